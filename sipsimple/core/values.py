"""SIP URIs, credentials and addresses (RFC 3261 §19.1)."""

from __future__ import annotations

from socket import AF_INET6, inet_pton
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import EMPTY, Value, abstract, flag_field, optional_port, optional_text, parameters_field, text_field, twins

__all__ = [
    'BaseSIPURI', 'SIPURI', 'FrozenSIPURI', 'BaseCredentials', 'Credentials', 'FrozenCredentials', 'EndpointAddress']

MAX_URI_LENGTH = 4096  # characters; what PJSIP is built for

_ALNUM = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
_UNRESERVED = _ALNUM + "-_.!~*'()"
_USER = _UNRESERVED + '&=+$,;?/'
_PASSWORD = _UNRESERVED + '&=+$,'
_PARAMETER = _UNRESERVED + '[]/:&+$'
_HEADER = _UNRESERVED + '[]/?:+$'
_HOST = _ALNUM + '-._'


def _escape(text: str, safe: str) -> str:
    if not text.strip(safe):  # nothing is left when all characters are safe
        return text
    return ''.join(
        c if c in safe else ''.join(f'%{byte:02X}' for byte in c.encode('utf-8', 'surrogatepass')) for c in text)


def _unescape(text: str) -> str:
    raw = unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode('latin-1')


def _check_host(owner: object, host: Any) -> str:
    """Any host name, IPv4 or IPv6 literal; the brackets of IPv6 are not part of the host."""
    if not isinstance(host, str):
        raise TypeError(f'expected str as host, got {type(host).__name__}')
    if host and not host.strip(_HOST):
        return host
    address = host[1:-1] if host.startswith('[') and host.endswith(']') else host
    try:
        inet_pton(AF_INET6, address)
    except (OSError, ValueError):
        raise SIPCoreError(f'invalid host in SIP URI: {host[:300]!r}') from None
    return address


def _list_pairs(items: str, separator: str, lower: bool) -> dict[str, str | None]:
    """Split `a=b;c` into {'a': 'b', 'c': None}; the first of several equal names wins."""
    pairs: dict[str, str | None] = {}
    for item in items.split(separator):
        name, sign, text = item.partition('=')
        name = name.strip()
        if not name:
            if item.strip():
                raise SIPCoreError(f'nameless parameter in SIP URI: {item[:300]!r}')
            continue
        value: str | None = text.strip() if sign else None
        if '%' in item:
            name = _unescape(name)
            value = _unescape(value) if value else value
        if lower:
            name = name.lower()
        if name not in pairs:
            pairs[name] = value
    return pairs


@abstract
class BaseSIPURI(Value):
    """Parent of SIPURI and FrozenSIPURI.

    Texts are stored unescaped; str() escapes what needs it. Parameter names from the wire are in lower case.

    Args:
        host: host name, IPv4 or IPv6 literal (with or without brackets).
        port: None or 1..65535.
        secure: True for `sips:`.
        parameters: name -> value, None as value for a flag (`;lr`). A frozendict for FrozenSIPURI.
        headers: as parameters.
    Raises:
        SIPCoreError: invalid host. ValueError: invalid port. TypeError: wrong type, None as host.
    """

    __slots__ = ('_host', '_user', '_password', '_port', '_secure', '_parameters', '_headers', '_printed')
    _fields = {
        'host': _check_host, 'user': optional_text, 'password': optional_text, 'port': optional_port,
        'secure': flag_field, 'parameters': parameters_field, 'headers': parameters_field}

    host: str
    user: str | None
    password: str | None
    port: int | None
    secure: bool
    parameters: dict[str, str | None]
    headers: dict[str, str | None]
    _host: str
    _user: str | None
    _password: str | None
    _port: int | None
    _secure: bool
    _parameters: dict[str, str | None]
    _headers: dict[str, str | None]
    _printed: str | None

    def __init__(
            self, host: str, user: str | None = None, password: str | None = None, port: int | None = None,
            secure: bool = False, parameters: dict[str, str | None] | None = None,
            headers: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_host', None) is not None:
            raise self._initialized_again()
        checked = _check_host(self, host)
        self._user = user if user is None or type(user) is str else text_field(self, user)
        self._password = password if password is None or type(password) is str else text_field(self, password)
        self._port = port if port is None else optional_port(self, port)
        self._secure = secure if type(secure) is bool else bool(secure)
        self._parameters = parameters_field(self, parameters)
        self._headers = parameters_field(self, headers)
        self._printed = None
        self._host = checked

    def _format(self) -> str:
        text = 'sips:' if self._secure else 'sip:'
        user = self._user
        if user:
            text += user if user.isalnum() and user.isascii() else _escape(user, _USER)
            if self._password is not None:
                text += ':' + _escape(self._password, _PASSWORD)
            text += '@'
        host = self._host
        text += f'[{host}]' if ':' in host else host
        if self._port is not None:
            text += f':{self._port}'
        if self._parameters:
            for name, value in self._parameters.items():
                text += ';' + _escape(name, _PARAMETER)
                if value is not None:
                    text += '=' + _escape(value, _PARAMETER)
        if self._headers:
            mark = '?'
            for name, value in self._headers.items():
                text += mark + _escape(name, _HEADER)
                if value is not None:
                    text += '=' + _escape(value, _HEADER)
                mark = '&'
        return text

    def __repr__(self) -> str:
        return f'{type(self).__name__}.parse({str(self)!r})'

    @classmethod
    def parse(cls, text: str) -> Self:
        """The URI in `text`, which is bare or stands in `<>`.

        Raises:
            SIPCoreError: not a valid `sip:` or `sips:` URI, or longer than MAX_URI_LENGTH.
        """
        if not isinstance(text, str):
            raise TypeError(f'expected str as URI, got {type(text).__name__}')
        if len(text) > MAX_URI_LENGTH:
            raise SIPCoreError(f'SIP URI longer than {MAX_URI_LENGTH} characters')
        rest = text.strip()
        if rest[:1] == '<' and rest[-1:] == '>':
            rest = rest[1:-1].strip()
        scheme, sign, rest = rest.partition(':')
        secure = False
        if scheme != 'sip' or not sign:
            scheme = scheme.lower()
            secure = scheme == 'sips'
            if not sign or not (secure or scheme == 'sip'):
                raise SIPCoreError(f'not a SIP URI: {text[:300]!r}')

        # '@' is always escaped elsewhere, while ';' and '?' may be part of the user.
        user: str | None
        password: str | None = None
        user, sign, location = rest.partition('@')
        if not sign:
            user, location = None, rest
        elif not (user.isalnum() and user.isascii()):
            user, sign, secret = user.partition(':')
            if sign:
                password = _unescape(secret)
            if not user:
                raise SIPCoreError(f'empty user in SIP URI: {text[:300]!r}')
            if '%' in user:
                user = _unescape(user)

        parameters: dict[str, str | None] | None = None
        headers: dict[str, str | None] | None = None
        if '?' in location:
            location, sign, items = location.partition('?')
            headers = _list_pairs(items, '&', False)
        if ';' in location:
            location, sign, items = location.partition(';')
            parameters = _list_pairs(items, ';', True)

        port: int | None = None
        if location[:1] == '[':
            host, sign, tail = location[1:].partition(']')
            if not sign or ':' not in host or tail and tail[0] != ':':
                raise SIPCoreError(f'invalid host in SIP URI: {text[:300]!r}')
            digits = tail[1:].strip()
        else:
            host, sign, digits = location.partition(':')
        host = host.strip()
        if not host or host.strip(_HOST):
            if location[:1] != '[':
                raise SIPCoreError(f'invalid host in SIP URI: {text[:300]!r}')
            host = _check_host(None, host.replace(':::', '::', 1))      # RFC 5118 section 4.10: once the grammar had it so
        if sign and digits:
            if len(digits) > 10 or not digits.isascii() or not digits.isdigit() or not 0 < (port := int(digits)) < 65536:
                raise SIPCoreError(f'invalid port in SIP URI: {text[:300]!r}')

        self = cls.__new__(cls)
        self._host = host
        self._user = user
        self._password = password
        self._port = port
        self._secure = secure
        if cls._frozen:
            self._parameters = frozendict(parameters) if parameters else EMPTY
            self._headers = frozendict(headers) if headers else EMPTY
        else:
            self._parameters = parameters if parameters is not None else {}
            self._headers = headers if headers is not None else {}
        self._printed = None
        return self

    @property
    def transport(self) -> str:
        """The `transport` parameter in lower case; "udp" when there is none. Assigning "udp" removes it."""
        return (self._parameters.get('transport') or 'udp').lower()

    def matches(self, address: str) -> bool:
        """Whether every part given in `address` (`[scheme:]user[@domain[:port]][;params][?headers]`) is the same here."""
        if not isinstance(address, str):
            raise TypeError(f'expected str as address, got {type(address).__name__}')
        rest = address.strip()
        lowered = rest[:5].lower()
        for scheme, secure in (('sip:', False), ('sips:', True)):
            if lowered.startswith(scheme):
                if self._secure != secure:
                    return False
                rest = rest[len(scheme):]
        user, sign, location = rest.partition('@')
        try:
            tail = location if sign else rest
            tail, _, text = tail.partition('?')
            headers = _list_pairs(text, '&', False) if text else {}
            tail, _, text = tail.partition(';')
            parameters = _list_pairs(text, ';', True) if text else {}
        except SIPCoreError:
            return False
        if sign:
            if tail.startswith('['):
                domain, _, port = tail[1:].partition(']')
                port = port.removeprefix(':')
            else:
                domain, _, port = tail.partition(':')
            if domain.lower() != self._host.lower():
                return False
            if port and port != str(self._port or (5061 if self._secure else 5060)):
                return False
        else:
            user = tail
        user, sign, password = user.partition(':')
        if not user or _unescape(user) != (self._user or '') or sign and _unescape(password) != self._password:
            return False
        own = {name.lower(): value for name, value in self._parameters.items()} if parameters else {}
        return (all(name in own and own[name] == value for name, value in parameters.items())
                and all(name in self._headers and self._headers[name] == value for name, value in headers.items()))


class SIPURI(BaseSIPURI):
    """A SIP URI whose parts may be changed."""

    __slots__ = ()

    @property
    def transport(self) -> str:
        """The `transport` parameter in lower case; "udp" when there is none. Assigning "udp" removes it."""
        return (self._parameters.get('transport') or 'udp').lower()

    @transport.setter
    def transport(self, value: str) -> None:
        if text_field(self, value).lower() == 'udp':
            self._parameters.pop('transport', None)
        else:
            self._parameters['transport'] = value


@twins(BaseSIPURI, SIPURI)
class FrozenSIPURI(BaseSIPURI):
    """A SIP URI that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]
    headers: frozendict[str, str | None]


@abstract
class BaseCredentials(Value):
    """Parent of Credentials and FrozenCredentials.

    Args:
        realm: realm to answer, '*' for any.
        digest: True when `password` is the HA1 hash.
    Raises:
        TypeError: an argument is not a str (None included).
    """

    __slots__ = ('_username', '_password', '_realm', '_digest', '_printed')
    _fields = {'username': text_field, 'password': text_field, 'realm': text_field, 'digest': flag_field}

    username: str
    password: str
    realm: str
    digest: bool
    _username: str
    _password: str
    _realm: str
    _digest: bool
    _printed: str | None

    def __init__(self, username: str, password: str, realm: str = '*', digest: bool = False) -> None:
        if getattr(self, '_username', None) is not None:
            raise self._initialized_again()
        checked = text_field(self, username)
        self._password = text_field(self, password)
        self._realm = text_field(self, realm)
        self._digest = bool(digest)
        self._printed = None
        self._username = checked

    def _format(self) -> str:
        return f'<{type(self).__name__} for "{self._username}@{self._realm}">'

    def __repr__(self) -> str:
        return self._format()  # never the password


class Credentials(BaseCredentials):
    """User name and password for digest authentication."""

    __slots__ = ()


@twins(BaseCredentials, Credentials)
class FrozenCredentials(BaseCredentials):
    """Credentials that cannot change; hashable."""

    __slots__ = ()


class EndpointAddress:
    """Network address of a peer; str() is "ip:port", or "[ip]:port" for IPv6."""

    __slots__ = ('ip', 'port')

    def __init__(self, ip: str, port: int) -> None:
        self.ip = ip
        self.port = port

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EndpointAddress):
            return NotImplemented
        return self.ip == other.ip and self.port == other.port

    def __hash__(self) -> int:
        return hash((self.ip, self.port))

    def __str__(self) -> str:
        return f'[{self.ip}]:{self.port}' if ':' in self.ip else f'{self.ip}:{self.port}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.ip!r}, {self.port!r})'
