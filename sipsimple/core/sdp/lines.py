"""The lines of an SDP as values: connection, attribute, bandwidth, their lists; and the codecs that formats stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Self

from sipsimple.core.containers import frozenlist
from sipsimple.core.fields import Value, abstract, text_field, twins

__all__ = [
    'BaseSDPConnection', 'SDPConnection', 'FrozenSDPConnection', 'BaseSDPAttribute', 'SDPAttribute', 'FrozenSDPAttribute',
    'BaseSDPBandwidthInfo', 'SDPBandwidthInfo', 'FrozenSDPBandwidthInfo', 'SDPAttributeList', 'FrozenSDPAttributeList',
    'SDPBandwidthInfoList', 'FrozenSDPBandwidthInfoList', 'MediaCodec']

# PJMEDIA_MAX_SDP_FMT, _ATTR, _BANDW, _MEDIA
MAX_FORMATS = 32
MAX_ATTRIBUTES = 68
MAX_BANDWIDTH_LINES = 4
MAX_MEDIA = 16

MAX_NUMBER = 2**64 - 1  # of session id, version and times, RFC 8866 §5.2 and §5.9
DIRECTIONS = frozenset(('sendrecv', 'sendonly', 'recvonly', 'inactive'))

_breaks = re.compile(r'[\r\n\0]')


def line_field(owner: Value, value: Any) -> str:
    """A str that fits in one line."""
    text = text_field(owner, value)
    if not text.isprintable() and _breaks.search(text):
        raise ValueError(f'line break in an SDP field: {text[:300]!r}')
    return text


def integer_field(limit: int) -> Callable[[Any, Any], int]:
    """Return a check of numbers in 0..limit. ValueError in the check."""
    def check(owner: Value, value: Any) -> int:
        number = int(value)
        if not 0 <= number <= limit:
            raise ValueError(f'SDP number must be within 0..{limit}: {value!r}')
        return number
    return check


long_field = integer_field(MAX_NUMBER)
bandwidth_field = integer_field(2**32 - 1)
port_field = integer_field(65535)


def port_count_field(owner: Value, value: Any) -> int:
    """Check a number of ports: 1..65535. ValueError."""
    count = port_field(owner, value)
    if count == 0:
        raise ValueError('port_count must be at least 1')
    return count


@abstract
class BaseSDPConnection(Value):
    """Parent of SDPConnection and FrozenSDPConnection: a `c=` line."""

    __slots__ = ('_address', '_net_type', '_address_type', '_printed')
    _fields = {'address': line_field, 'net_type': line_field, 'address_type': line_field}
    address: str
    net_type: str
    address_type: str
    _address: str
    _net_type: str
    _address_type: str
    _printed: str | None

    def __init__(self, address: str, net_type: str = 'IN', address_type: str = 'IP4') -> None:
        if getattr(self, '_address', None) is not None:
            raise self._initialized_again()
        checked = line_field(self, address)
        self._net_type = line_field(self, net_type)
        self._address_type = line_field(self, address_type)
        self._printed = None
        self._address = checked

    def _format(self) -> str:
        return f'c={self._net_type} {self._address_type} {self._address}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._address!r}, {self._net_type!r}, {self._address_type!r})'


class SDPConnection(BaseSDPConnection):
    """Connection data (RFC 8866 §5.7)."""

    __slots__ = ()


@twins(BaseSDPConnection, SDPConnection)
class FrozenSDPConnection(BaseSDPConnection):
    """An SDPConnection that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseSDPAttribute(Value):
    """Parent of SDPAttribute and FrozenSDPAttribute: an `a=` line; `value` is '' for a flag."""

    __slots__ = ('_name', '_value', '_printed')
    _fields = {'name': line_field, 'value': line_field}
    name: str
    value: str
    _name: str
    _value: str
    _printed: str | None

    def __init__(self, name: str, value: str) -> None:
        if getattr(self, '_name', None) is not None:
            raise self._initialized_again()
        checked = line_field(self, name)
        self._value = line_field(self, value)
        self._printed = None
        self._name = checked

    @classmethod
    def new(cls, value: Any) -> Self:
        """As Value.new; a shorter way, for there are many attributes."""
        if cls._frozen and type(value) is cls:
            return value
        if not isinstance(value, BaseSDPAttribute):
            raise TypeError(f'expected SDPAttribute or its twin, got {type(value).__name__}')
        copy = cls.__new__(cls)
        copy._name = value._name
        copy._value = value._value
        copy._printed = None
        return copy

    def _format(self) -> str:
        return f'a={self._name}:{self._value}' if self._value else f'a={self._name}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._name!r}, {self._value!r})'


class SDPAttribute(BaseSDPAttribute):
    """An attribute (RFC 8866 §5.13)."""

    __slots__ = ()


@twins(BaseSDPAttribute, SDPAttribute)
class FrozenSDPAttribute(BaseSDPAttribute):
    """An SDPAttribute that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseSDPBandwidthInfo(Value):
    """Parent of SDPBandwidthInfo and FrozenSDPBandwidthInfo: a `b=` line; `value` int (kbit/s for CT and AS)."""

    __slots__ = ('_modifier', '_value', '_printed')
    _fields = {'modifier': line_field, 'value': bandwidth_field}
    modifier: str
    value: int
    _modifier: str
    _value: int
    _printed: str | None

    def __init__(self, modifier: str, value: int) -> None:
        if getattr(self, '_modifier', None) is not None:
            raise self._initialized_again()
        checked = line_field(self, modifier)
        self._value = bandwidth_field(self, value)
        self._printed = None
        self._modifier = checked

    def _format(self) -> str:
        return f'b={self._modifier}:{self._value}'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._modifier!r}, {self._value!r})'


class SDPBandwidthInfo(BaseSDPBandwidthInfo):
    """Bandwidth (RFC 8866 §5.8)."""

    __slots__ = ()


@twins(BaseSDPBandwidthInfo, SDPBandwidthInfo)
class FrozenSDPBandwidthInfo(BaseSDPBandwidthInfo):
    """An SDPBandwidthInfo that cannot change; hashable."""

    __slots__ = ()


class _AttributeLookup:
    """Reading of attributes by name."""

    __slots__ = ()

    def __contains__(self: Any, item: object) -> bool:
        """`item` is an attribute or the name of one."""
        if isinstance(item, BaseSDPAttribute):
            return any(attribute == item for attribute in self)
        return any(attribute.name == item for attribute in self)

    def getall(self: Any, name: str) -> list[str]:
        """The values of all attributes with this name."""
        return [attribute.value for attribute in self if attribute.name == name]

    def getfirst(self: Any, name: str, default: Any = None) -> Any:
        """The value of the first attribute with this name, or `default`."""
        for attribute in self:
            if attribute.name == name:
                return attribute.value
        return default


class SDPAttributeList(_AttributeLookup, list[SDPAttribute]):
    """A list of SDPAttribute with access by name."""

    __slots__ = ()


class FrozenSDPAttributeList(_AttributeLookup, frozenlist[FrozenSDPAttribute]):
    """A frozenlist of FrozenSDPAttribute with access by name."""

    __slots__ = ()


class _BandwidthLookup:
    __slots__ = ()

    def __contains__(self: Any, item: object) -> bool:
        """`item` is a bandwidth object or a modifier."""
        if isinstance(item, BaseSDPBandwidthInfo):
            return any(info == item for info in self)
        return any(info.modifier == item for info in self)


class SDPBandwidthInfoList(_BandwidthLookup, list[SDPBandwidthInfo]):
    """A list of SDPBandwidthInfo; `in` takes a modifier too."""

    __slots__ = ()


class FrozenSDPBandwidthInfoList(_BandwidthLookup, frozenlist[FrozenSDPBandwidthInfo]):
    """A frozenlist of FrozenSDPBandwidthInfo; `in` takes a modifier too."""

    __slots__ = ()


class MediaCodec:
    """Name and clock rate (Hz) of a codec. Equals another of the same name (in any case) and rate, "name" or "name/rate"."""

    __slots__ = ('_name', '_rate')
    _name: str
    _rate: int

    def __init__(self, name: str, rate: int) -> None:
        if getattr(self, '_name', None) is not None:
            raise TypeError('MediaCodec is read-only')
        if not isinstance(name, str):
            raise TypeError(f'MediaCodec: expected str, got {type(name).__name__}')
        self._rate = int(rate)
        self._name = name

    @property
    def name(self) -> str:
        """Encoding name as in the SDP."""
        return self._name

    @property
    def rate(self) -> int:
        """Clock rate in Hz; 0 when unknown."""
        return self._rate

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MediaCodec):
            return self._rate == other._rate and self._name.lower() == other._name.lower()
        if isinstance(other, str):
            name, sign, rate = other.partition('/')
            return name.lower() == self._name.lower() and (not sign or rate == str(self._rate))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._name.lower())

    def __reduce__(self) -> tuple[Any, ...]:
        return MediaCodec, (self._name, self._rate)

    def __str__(self) -> str:
        return f'{self._name}/{self._rate}'

    def __repr__(self) -> str:
        return f'MediaCodec({self._name!r}, {self._rate})'


UNKNOWN_CODEC = MediaCodec('Unknown', 0)
STATIC_CODECS = {str(payload_type): MediaCodec(name, rate) for payload_type, name, rate in (
    (0, 'PCMU', 8000), (3, 'GSM', 8000), (4, 'G723', 8000), (5, 'DVI4', 8000), (6, 'DVI4', 16000), (7, 'LPC', 8000),
    (8, 'PCMA', 8000), (9, 'G722', 8000), (10, 'L16', 44100), (11, 'L16', 44100), (12, 'QCELP', 8000), (13, 'CN', 8000),
    (14, 'MPA', 90000), (15, 'G728', 8000), (16, 'DVI4', 11025), (17, 'DVI4', 22050), (18, 'G729', 8000))}  # RFC 3551 §6
