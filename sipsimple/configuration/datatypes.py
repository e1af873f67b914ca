"""Types of settings: what a value may be, how it is written. All refuse a bad value with ValueError (TypeError for a
value of a kind that makes no sense at all).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsInt
from urllib.parse import urlsplit

__all__ = [
    'List', 'ContentType', 'ContentTypeList', 'CountryCode', 'NonNegativeInteger', 'PositiveInteger', 'SIPAddress', 'PJSIPLogLevel', 'CodecList',
    'AudioCodecList', 'SampleRate', 'VideoCodecList', 'H264Profile', 'VideoResolution', 'Port', 'PortRange', 'Hostname', 'IPAddress', 'DomainList',
    'EndpointAddress', 'EndpointIPAddress', 'MSRPRelayAddress', 'SIPProxyAddress', 'STUNServerAddress', 'STUNServerAddressList', 'TURNServerAddress',
    'XCAPRoot', 'MSRPConnectionModel', 'MSRPTransport', 'SIPTransport', 'SIPTransportList', 'SRTPEncryption', 'SRTPKeyNegotiation', 'Path']


class List:
    """An immutable sequence; items are converted with the class attribute `type`."""

    type: ClassVar[Any] = str
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Iterable[Any] = ()) -> None:
        if isinstance(values, str):
            values = (values,)
        self.values: tuple[Any, ...] = tuple(item if isinstance(item, self.type) else self.type(item) for item in values)

    def __getstate__(self) -> list[str]:
        return [str(item) for item in self.values]

    def __setstate__(self, state: Any) -> None:
        self.__init__([state] if isinstance(state, str) else state)  # type: ignore[misc]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __contains__(self, item: object) -> bool:
        return item in self.values

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __add__(self, other: Any) -> Any:
        return type(self)([*self.values, *other]) if isinstance(other, (list, List)) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return type(self)([*other, *self.values]) if isinstance(other, list) else NotImplemented

    def __mul__(self, count: int) -> Any:
        return type(self)(self.values * count)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, List):
            return self.values == other.values
        return list(self.values) == other if isinstance(other, list) else NotImplemented

    def __str__(self) -> str:
        return ', '.join(str(item) for item in self.values)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({list(self.values)!r})'


class ContentType(str):
    """`*`, `type/subtype` or `type/*`."""

    _pattern = re.compile(r"(\*|[A-Za-z0-9!#$&^_.+-]+/(\*|[A-Za-z0-9!#$&^_.+-]+))\Z")

    def __new__(cls, value: object) -> ContentType:
        text = str(value)
        if not cls._pattern.match(text):
            raise ValueError(f'not a content type: {value!r}')
        return super().__new__(cls, text)


class ContentTypeList(List):
    """A list of ContentType."""

    type = ContentType


class CountryCode(str):
    """Digits, the first not 0."""

    def __new__(cls, value: object) -> CountryCode:
        text = str(value)
        if not re.match(r'[1-9][0-9]*\Z', text, re.ASCII):
            raise ValueError(f'not a country code: {value!r}')
        return super().__new__(cls, text)


class NonNegativeInteger(int):
    """0 or more."""

    def __new__(cls, value: SupportsInt | str) -> NonNegativeInteger:
        number = int(value)
        if number < 0:
            raise ValueError(f'negative: {value!r}')
        return super().__new__(cls, number)


class PositiveInteger(int):
    """1 or more."""

    def __new__(cls, value: SupportsInt | str) -> PositiveInteger:
        number = int(value)
        if number <= 0:
            raise ValueError(f'not positive: {value!r}')
        return super().__new__(cls, number)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_label = re.compile(r'(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z')


class Hostname(str):
    """A host name or an IPv4 or IPv6 address."""

    def __new__(cls, value: object) -> Hostname:
        if not isinstance(value, str):
            raise ValueError(f'not a host name: {value!r}')
        text = str(value)
        bare = text[1:-1] if text[:1] == '[' and text[-1:] == ']' else text
        if not _is_ip(bare):
            labels = text.removesuffix('.').split('.')
            if len(text) > 253 or not all(_label.match(label) for label in labels) or labels[-1].isdigit():
                raise ValueError(f'not a host name: {value!r}')
            bare = text
        return super().__new__(cls, bare)


class IPAddress(str):
    """An IPv4 or IPv6 address."""

    def __new__(cls, value: object) -> IPAddress:
        text = str(value)
        if not _is_ip(text):
            raise ValueError(f'not an IP address: {value!r}')
        return super().__new__(cls, text)


class SIPAddress(str):
    """`user@domain`, with `username` and `domain`; an `@` in the user part is written %40."""

    def __new__(cls, value: object) -> SIPAddress:
        text = str(value)
        user, at, domain = text.rpartition('@')
        if not at or not user or any(char.isspace() or not char.isprintable() for char in user):
            raise ValueError(f'not a SIP address: {value!r}')
        Hostname(domain)
        return super().__new__(cls, f'{user.replace("@", "%40")}@{domain}')

    @property
    def username(self) -> str:
        """The part before the `@`, with %40 for an `@` in it."""
        return self.rpartition('@')[0]

    @property
    def domain(self) -> str:
        """The part after the `@`."""
        return self.rpartition('@')[2]


class PJSIPLogLevel(int):
    """0..5."""

    def __new__(cls, value: SupportsInt | str) -> PJSIPLogLevel:
        number = int(value)
        if not 0 <= number <= 5:
            raise ValueError(f'not a log level: {value!r}')
        return super().__new__(cls, number)


class CodecList(List):
    """Names of `available_values`, most preferred first."""

    type = str
    available_values: ClassVar[frozenset[str] | None] = None

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__(values)
        if self.available_values is not None:
            unknown = [name for name in self.values if name not in self.available_values]
            if unknown:
                raise ValueError('unknown codecs: ' + ', '.join(unknown))


class AudioCodecList(CodecList):
    """Names of audio codecs, of those the API knows; a build may lack some of them."""

    available_values = frozenset(('opus', 'speex', 'G722', 'G729', 'GSM', 'iLBC', 'PCMU', 'PCMA', 'AMR-WB', 'L16'))


class VideoCodecList(CodecList):
    """Names of video codecs."""

    available_values = frozenset(('H264', 'VP8', 'VP9'))


class SampleRate(int):
    """A rate that mixers run at, in Hz."""

    valid_values = (8000, 16000, 32000, 44100, 48000)

    def __new__(cls, value: SupportsInt | str) -> SampleRate:
        number = int(value)
        if number not in cls.valid_values:
            raise ValueError(f'not a sample rate: {value!r}')
        return super().__new__(cls, number)


class _Choice(str):
    valid_values: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, value: object) -> Any:
        text = str(value)
        if text not in cls.valid_values:
            raise ValueError(f'{value!r} is none of {", ".join(cls.valid_values)}')
        return super().__new__(cls, text)


class H264Profile(_Choice):
    """'baseline', 'main' or 'high'; in any case of letters."""

    valid_values = ('baseline', 'main', 'high')

    def __new__(cls, value: object) -> Any:
        return super().__new__(cls, str(value).casefold())


class VideoResolution(tuple[int, int]):
    """`(width, height)` or `WxH`."""

    def __new__(cls, value: Any) -> VideoResolution:
        if isinstance(value, str):
            value = value.lower().split('x')
        try:
            width, height = (int(number) for number in value)
        except (TypeError, ValueError):
            raise ValueError(f'not a resolution: {value!r}') from None
        if width <= 0 or height <= 0:
            raise ValueError(f'not a resolution: {value!r}')
        return super().__new__(cls, (width, height))

    @property
    def width(self) -> int:
        """Pixels."""
        return self[0]

    @property
    def height(self) -> int:
        """Pixels."""
        return self[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self),)

    def __str__(self) -> str:
        return f'{self[0]}x{self[1]}'


class Port(int):
    """0..65535; 0 lets the system choose."""

    def __new__(cls, value: SupportsInt | str) -> Port:
        number = int(value)
        if not 0 <= number <= 65535:
            raise ValueError(f'not a port: {value!r}')
        return super().__new__(cls, number)


class PortRange:
    """`start-end`, both 1..65535."""

    def __init__(self, start: Any, end: Any = None) -> None:
        if end is None and isinstance(start, str):
            start, _, end = start.partition('-')
        try:
            self.start, self.end = Port(start), Port(end)
        except (TypeError, ValueError):
            raise ValueError(f'not a port range: {start!r}-{end!r}') from None
        if not 0 < self.start <= self.end:
            raise ValueError(f'not a port range: {start!r}-{end!r}')

    def __getstate__(self) -> str:
        return str(self)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, str):
            raise ValueError(f'not a port range: {state!r}')
        self.__init__(state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PortRange) and (self.start, self.end) == (other.start, other.end)

    def __hash__(self) -> int:
        return hash((self.start, self.end))

    def __str__(self) -> str:
        return f'{self.start}-{self.end}'

    def __repr__(self) -> str:
        return f'PortRange({self.start}, {self.end})'


class DomainList(List):
    """A list of Hostname."""

    type = Hostname


def split_host(text: str) -> tuple[str, str | None]:
    """Host and port text of `host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    if text.startswith('['):
        host, bracket, rest = text[1:].partition(']')
        if not bracket or rest and not rest.startswith(':'):
            raise ValueError(f'not an address: {text!r}')
        return host, rest[1:] or None
    if text.count(':') > 1:
        return text, None
    host, _, port = text.partition(':')
    return host, port or None


def join_host(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


class EndpointAddress:
    """`host:port`; made from its parts or from such a text."""

    default_port: ClassVar[int] = 0
    host_type: ClassVar[Any] = Hostname

    def __init__(self, host: str, port: Any = None) -> None:
        if port is None and isinstance(host, str):
            host, port = split_host(host)
        self.host = self.host_type(host)
        self.port = Port(self.default_port if port is None else port)
        if self.port == 0:
            raise ValueError('an address needs a port')

    @classmethod
    def from_description(cls, description: str | None) -> Any:
        """The address in a text; None for an empty one. ValueError."""
        return cls(description) if description else None

    def __getstate__(self) -> str:
        return str(self)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, str):
            raise ValueError(f'not an address: {state!r}')
        self.__init__(state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return join_host(self.host, self.port)

    def __repr__(self) -> str:
        return f'{type(self).__name__}.from_description({str(self)!r})'


class EndpointIPAddress(EndpointAddress):
    """`address:port`, with an IP address."""

    host_type = IPAddress


class _TransportAddress(EndpointAddress):
    """`host[:port][;transport=T]`; the default port depends on the transport."""

    ports: ClassVar[dict[str, int]] = {}
    default_transport: ClassVar[str] = ''

    def __init__(self, host: str, port: Any = None, transport: str | None = None) -> None:
        if port is None and transport is None and isinstance(host, str):
            host, port, transport = self._split(host)
        name = (transport or self.default_transport).lower()
        if name not in self.ports:
            raise ValueError(f'not a transport: {transport!r}')
        super().__init__(host, self.ports[name] if port is None else port)
        self.transport = name

    @staticmethod
    def _split(description: str) -> tuple[str, str | None, str | None]:
        address, *parameters = description.split(';')
        transport = None
        for parameter in parameters:
            name, _, value = parameter.partition('=')
            if name.strip().lower() != 'transport':
                raise ValueError(f'unknown parameter: {parameter!r}')
            transport = value.strip()
        host, port = split_host(address.strip())
        return host, port, transport

    def __str__(self) -> str:
        return f'{join_host(self.host, self.port)};transport={self.transport}'


class MSRPRelayAddress(_TransportAddress):
    """`host[:port][;transport=T]`, T one of tls (default) and tcp; port 2855 (RFC 4976)."""

    ports = {'tls': 2855, 'tcp': 2855}
    default_transport = 'tls'


class SIPProxyAddress(_TransportAddress):
    """`host[:port][;transport=T]`, T one of udp (default), tcp and tls; port 5060, with TLS 5061 (RFC 3261 §19.1.2)."""

    ports = {'udp': 5060, 'tcp': 5060, 'tls': 5061}
    default_transport = 'udp'


class TURNServerAddress(_TransportAddress):
    """`host[:port][;transport=T]`, T one of udp (default), tcp and tls; port 3478, with TLS 5349 (RFC 8656)."""

    ports = {'udp': 3478, 'tcp': 3478, 'tls': 5349}
    default_transport = 'udp'


class STUNServerAddress(EndpointAddress):
    """`host[:port]`; port 3478 (RFC 8489)."""

    default_port = 3478


class STUNServerAddressList(List):
    """A list of STUNServerAddress."""

    type = STUNServerAddress


class XCAPRoot(str):
    """An absolute http or https URL without parameters, query and fragment."""

    def __new__(cls, value: object) -> XCAPRoot:
        text = str(value)
        if any(char.isspace() or not char.isprintable() for char in text):
            raise ValueError(f'not an XCAP root: {value!r}')
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(f'not an XCAP root: {value!r}') from None
        if parts.scheme not in ('http', 'https') or not parts.hostname or port == 0 or parts.query or parts.fragment or ';' in parts.path:
            raise ValueError(f'not an XCAP root: {value!r}')
        Hostname(parts.hostname)
        return super().__new__(cls, text)


class MSRPConnectionModel(_Choice):
    """'relay', or 'acm' for RFC 6135."""

    valid_values = ('relay', 'acm')


class MSRPTransport(_Choice):
    """'tls' or 'tcp'."""

    valid_values = ('tls', 'tcp')


class SIPTransport(_Choice):
    """'udp', 'tcp' or 'tls'."""

    valid_values = ('udp', 'tcp', 'tls')


class SIPTransportList(List):
    """SIP transports, most preferred first."""

    type = SIPTransport
    available_values = SIPTransport.valid_values


class SRTPEncryption(_Choice):
    """'disabled', 'optional' or 'mandatory'."""

    valid_values = ('disabled', 'optional', 'mandatory')


class SRTPKeyNegotiation(_Choice):
    """'opportunistic', 'sdes_optional', 'sdes_mandatory', 'dtls_optional', 'dtls_mandatory' or 'zrtp'."""

    valid_values = ('opportunistic', 'sdes_optional', 'sdes_mandatory', 'dtls_optional', 'dtls_mandatory', 'zrtp')


class Path(str):
    """A normalised path; `~` is kept, `normalized` has it expanded."""

    def __new__(cls, value: object) -> Path:
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(text, str):
            raise TypeError(f'a path is a text: {value!r}')
        if '\0' in text:
            raise ValueError('a path cannot hold NUL')
        text = os.path.normpath(text) if text else text
        return super().__new__(cls, text[1:] if text.startswith('//') else text)

    @property
    def normalized(self) -> str:
        """The path with `~` expanded."""
        return os.path.expanduser(self)
