"""SDP sessions and media streams as values (RFC 8866)."""

from __future__ import annotations

from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any, Self

from sipsimple.core.containers import frozenlist
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import Value, abstract, twins
from sipsimple.core.sdp.lines import (
    DIRECTIONS,
    MAX_ATTRIBUTES,
    MAX_BANDWIDTH_LINES,
    MAX_FORMATS,
    MAX_MEDIA,
    STATIC_CODECS,
    UNKNOWN_CODEC,
    FrozenSDPAttributeList,
    FrozenSDPBandwidthInfoList,
    FrozenSDPConnection,
    MediaCodec,
    SDPAttribute,
    SDPAttributeList,
    SDPBandwidthInfo,
    SDPBandwidthInfoList,
    SDPConnection,
    line_field,
    long_field,
    port_count_field,
    port_field,
)

__all__ = ['BaseSDPMediaStream', 'SDPMediaStream', 'FrozenSDPMediaStream', 'BaseSDPSession', 'SDPSession', 'FrozenSDPSession']

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970


# Members that differ between the twins: lists and the connection.

def _limited(items: Any, limit: int, what: str) -> Any:
    if len(items) > limit:
        raise SIPCoreError(f'too many {what} in SDP: {len(items)}, at most {limit}')
    return items


def _members(owner: Value, value: Any, normal: type[Any], frozen: type[Any], item: type[Any], limit: int, what: str) -> Any:
    """`value` as the list type of the owner: `normal` from a list, `frozen` from a frozenlist, of `item` or its twin's type."""
    if owner._frozen:
        if value is None:
            return frozen()
        if not isinstance(value, frozenlist):
            raise TypeError(f'{what}: expected frozenlist, got {type(value).__name__}')
        expected = item.frozen_type if issubclass(item, Value) else item
        result = value if type(value) is frozen else frozen(value)
    else:
        if value is None:
            return normal()
        if not isinstance(value, list):
            raise TypeError(f'{what}: expected list, got {type(value).__name__}')
        expected = item
        result = normal(value)
    for member in result:
        if not isinstance(member, expected):
            raise TypeError(f'{what}: expected {expected.__name__}, got {type(member).__name__}')
    return _limited(result, limit, what)


def _attributes_field(owner: Value, value: Any) -> Any:
    return _members(
        owner, value, SDPAttributeList, FrozenSDPAttributeList, SDPAttribute, MAX_ATTRIBUTES, 'attributes')


def _bandwidth_info_field(owner: Value, value: Any) -> Any:
    return _members(
        owner, value, SDPBandwidthInfoList, FrozenSDPBandwidthInfoList, SDPBandwidthInfo, MAX_BANDWIDTH_LINES,
        'bandwidth_info')


def _formats_field(owner: Value, value: Any) -> Any:
    formats = _members(owner, value, list, frozenlist, str, MAX_FORMATS, 'formats')
    for item in formats:
        line_field(owner, item)
    return formats


def _connection_field(owner: Value, value: Any) -> Any:
    expected = FrozenSDPConnection if owner._frozen else SDPConnection
    if value is not None and not isinstance(value, expected):
        raise TypeError(f'connection: expected {expected.__name__}, got {type(value).__name__}')
    return value


def _media_field(owner: Value, value: Any) -> Any:
    if not owner._frozen and isinstance(value, list):  # None stands for a stream still to come
        _members(owner, [stream for stream in value if stream is not None], list, frozenlist, SDPMediaStream,
                 MAX_MEDIA, 'media')
        return _limited(list(value), MAX_MEDIA, 'media')
    return _members(owner, value, list, frozenlist, SDPMediaStream, MAX_MEDIA, 'media')


def _convert(value: Any, frozen: bool) -> Any:
    """A field value for the other twin (or a deep copy for the mutable one)."""
    if isinstance(value, Value):
        return (value.frozen_type if frozen else value.normal_type).new(value)
    if isinstance(value, (list, frozenlist)):
        return (frozenlist if frozen else list)([_convert(item, frozen) for item in value])
    return value


class _SDPValue(Value):
    __slots__ = ()

    @classmethod
    def new(cls, value: Any) -> Self:
        """Convert from either variant. A frozen class returns its own objects as they are, else the result is a deep copy."""
        if cls._frozen and type(value) is cls:
            return value
        if not isinstance(value, cls._base):
            raise TypeError(f'expected {cls._base.__name__[4:]} or its twin, got {type(value).__name__}')
        return cls(*[_convert(field, cls._frozen) for field in value._key()])


@lru_cache(128)
def _encoded(encoding: str) -> MediaCodec | None:
    """The codec that the encoding of an `rtpmap` names: there are few, and every offer has a dozen of them."""
    name, _, rest = encoding.strip().partition('/')
    rate = rest.partition('/')[0].strip()
    if name and len(rate) < 10 and rate.isascii() and rate.isdigit():
        return MediaCodec(name, int(rate))
    return None


@abstract
class BaseSDPMediaStream(_SDPValue):
    """Parent of SDPMediaStream and FrozenSDPMediaStream: an `m=` line and what follows it.

    Raises:
        TypeError: a member of the wrong type. SIPCoreError: too many members. ValueError: port outside 0..65535.
    """

    __slots__ = (
        '_media', '_port', '_transport', '_port_count', '_formats', '_connection', '_attributes', '_bandwidth_info',
        '_session_direction', '_printed')
    _fields = {
        'media': line_field, 'port': port_field, 'transport': line_field, 'port_count': port_count_field,
        'formats': _formats_field, 'connection': _connection_field, 'attributes': _attributes_field,
        'bandwidth_info': _bandwidth_info_field}
    media: str
    port: int
    transport: str
    port_count: int
    formats: Any
    connection: Any
    attributes: Any
    bandwidth_info: Any
    _media: str
    _port: int
    _transport: str
    _port_count: int
    _formats: Any
    _connection: Any
    _attributes: Any
    _bandwidth_info: Any
    _session_direction: str
    _printed: str | None

    def __init__(
            self, media: str, port: int, transport: str, port_count: int = 1, formats: Any = None, connection: Any = None,
            attributes: Any = None, bandwidth_info: Any = None) -> None:
        if getattr(self, '_media', None) is not None:
            raise self._initialized_again()
        checked = line_field(self, media)
        self._port = port_field(self, port)
        self._transport = line_field(self, transport)
        self._port_count = port_count_field(self, port_count)
        self._formats = _formats_field(self, formats)
        self._connection = _connection_field(self, connection)
        self._attributes = _attributes_field(self, attributes)
        self._bandwidth_info = _bandwidth_info_field(self, bandwidth_info)
        self._session_direction = 'sendrecv'
        self._printed = None
        self._media = checked

    @classmethod
    def new(cls, value: Any) -> Self:
        stream = super().new(value)
        if stream is not value:
            stream._session_direction = value._session_direction
        return stream

    def _format(self) -> str:
        text = f'm={self._media} {self._port}'
        if self._port_count != 1:
            text += f'/{self._port_count}'
        text += ' ' + self._transport
        if self._formats:
            text += ' ' + ' '.join(_limited(self._formats, MAX_FORMATS, 'formats'))
        lines = [text]
        if self._connection is not None:
            lines.append(self._connection._format())
        if self._bandwidth_info:
            lines += [info._format() for info in _limited(self._bandwidth_info, MAX_BANDWIDTH_LINES, 'bandwidth_info')]
        lines += [
            f'a={attribute._name}:{attribute._value}' if attribute._value else 'a=' + attribute._name
            for attribute in _limited(self._attributes, MAX_ATTRIBUTES, 'attributes')]
        lines.append('')
        return '\r\n'.join(lines)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self._media} {self._port} {self._transport}>'

    @property
    def direction(self) -> str:
        """sendrecv, sendonly, recvonly or inactive; from the session when the stream has none, else "sendrecv"."""
        for attribute in self._attributes:
            if attribute._name in DIRECTIONS:
                return attribute._name  # type: ignore[no-any-return]
        return self._session_direction

    @property
    def codec_list(self) -> list[MediaCodec]:
        """The codecs of an audio or video stream in order of preference; formats without known codec are "Unknown"."""
        if self._media not in ('audio', 'video'):
            return []
        codecs: dict[str, MediaCodec] = {}
        for attribute in self._attributes:
            if attribute._name == 'rtpmap':
                payload_type, _, encoding = attribute._value.strip().partition(' ')
                codec = _encoded(encoding) if len(encoding) < 100 else _encoded.__wrapped__(encoding)      # nothing huge is kept
                if codec is not None:
                    codecs.setdefault(payload_type, codec)
        return [codecs.get(item) or STATIC_CODECS.get(item, UNKNOWN_CODEC) for item in self._formats]

    @property
    def has_ice_attributes(self) -> bool:
        """Whether the stream has its own ICE user name fragment and password (RFC 8839)."""
        return 'ice-ufrag' in self._attributes and 'ice-pwd' in self._attributes

    @property
    def has_ice_candidates(self) -> bool:
        """Whether the stream has ICE candidates."""
        return 'candidate' in self._attributes

    @property
    def has_srtp(self) -> bool:
        """Whether the stream offers SRTP: by its transport, or by SDES keys or a fingerprint of DTLS on a plain one (RFC 8643)."""
        return 'SAVP' in self._transport.upper() or 'crypto' in self._attributes or 'fingerprint' in self._attributes


class SDPMediaStream(BaseSDPMediaStream):
    """A media stream (RFC 8866 §5.14) whose members may be changed; its lists are copies of the arguments."""

    __slots__ = ()
    formats: list[str]
    connection: SDPConnection | None
    attributes: SDPAttributeList
    bandwidth_info: SDPBandwidthInfoList


@twins(BaseSDPMediaStream, SDPMediaStream)
class FrozenSDPMediaStream(BaseSDPMediaStream):
    """An SDPMediaStream that cannot change; hashable."""

    __slots__ = ()
    formats: frozenlist[str]
    connection: FrozenSDPConnection | None
    attributes: FrozenSDPAttributeList
    bandwidth_info: FrozenSDPBandwidthInfoList


def _ntp_seconds() -> int:
    return int(time()) + NTP_EPOCH


@abstract
class BaseSDPSession(_SDPValue):
    """Parent of SDPSession and FrozenSDPSession.

    Args:
        address: address of the `o=` line.
        id, version: None is the current NTP second.
        start_time, stop_time: NTP seconds, 0 for unbounded.
    """

    __slots__ = (
        '_address', '_id', '_version', '_user', '_net_type', '_address_type', '_name', '_connection', '_start_time',
        '_stop_time', '_attributes', '_bandwidth_info', '_media', '_printed')
    _fields = {
        'address': line_field, 'id': long_field, 'version': long_field, 'user': line_field, 'net_type': line_field,
        'address_type': line_field, 'name': line_field, 'connection': _connection_field, 'start_time': long_field,
        'stop_time': long_field, 'attributes': _attributes_field, 'bandwidth_info': _bandwidth_info_field,
        'media': _media_field}
    address: str
    id: int
    version: int
    user: str
    net_type: str
    address_type: str
    name: str
    connection: Any
    start_time: int
    stop_time: int
    attributes: Any
    bandwidth_info: Any
    media: Any
    _address: str
    _id: int
    _version: int
    _user: str
    _net_type: str
    _address_type: str
    _name: str
    _connection: Any
    _start_time: int
    _stop_time: int
    _attributes: Any
    _bandwidth_info: Any
    _media: Any
    _printed: str | None

    def __init__(
            self, address: str, id: int | None = None, version: int | None = None, user: str = '-', net_type: str = 'IN',
            address_type: str = 'IP4', name: str = ' ', connection: Any = None, start_time: int = 0, stop_time: int = 0,
            attributes: Any = None, bandwidth_info: Any = None, media: Any = None) -> None:
        if getattr(self, '_address', None) is not None:
            raise self._initialized_again()
        checked = line_field(self, address)
        self._id = _ntp_seconds() if id is None else long_field(self, id)
        self._version = _ntp_seconds() if version is None else long_field(self, version)
        self._user = line_field(self, user)
        self._net_type = line_field(self, net_type)
        self._address_type = line_field(self, address_type)
        self._name = line_field(self, name)
        self._connection = _connection_field(self, connection)
        self._start_time = long_field(self, start_time)
        self._stop_time = long_field(self, stop_time)
        self._attributes = _attributes_field(self, attributes)
        self._bandwidth_info = _bandwidth_info_field(self, bandwidth_info)
        self._media = _media_field(self, media)
        self._printed = None
        self._address = checked

    def _format(self) -> str:
        lines = [
            'v=0', f'o={self._user} {self._id} {self._version} {self._net_type} {self._address_type} {self._address}',
            f's={self._name or " "}']
        if self._connection is not None:
            lines.append(self._connection._format())
        if self._bandwidth_info:
            lines += [info._format() for info in _limited(self._bandwidth_info, MAX_BANDWIDTH_LINES, 'bandwidth_info')]
        lines.append(f't={self._start_time} {self._stop_time}')
        if self._attributes:
            lines += [item._format() for item in _limited(self._attributes, MAX_ATTRIBUTES, 'attributes')]
        lines.append('')
        text = '\r\n'.join(lines)
        for index, stream in enumerate(_limited(self._media, MAX_MEDIA, 'media')):
            if stream is None:
                raise SIPCoreError(f'stream {index} of the SDP is not set yet')
            text += str(stream)
        return text

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self._id} {self._version} {self._address} {self._media!r}>'

    @property
    def has_ice_attributes(self) -> bool:
        """Whether ICE user name fragment and password stand at session level (RFC 8839)."""
        return 'ice-ufrag' in self._attributes and 'ice-pwd' in self._attributes

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The session described by `text`.

        Raises:
            PJSIPError: not a valid SDP; `status` is a PJMEDIA_SDP_E... code.
            SIPCoreError: more formats, attributes, bandwidth lines or streams than PJSIP takes.
        """
        from sipsimple.core.sdp.parser import parse_sdp
        return parse_sdp(cls, text)


class SDPSession(BaseSDPSession):
    """A session description whose parts may be changed; `media` may hold None while it is being put together."""

    __slots__ = ()
    connection: SDPConnection | None
    attributes: SDPAttributeList
    bandwidth_info: SDPBandwidthInfoList
    media: list[SDPMediaStream | None]


@twins(BaseSDPSession, SDPSession)
class FrozenSDPSession(BaseSDPSession):
    """An SDPSession that cannot change; hashable."""

    __slots__ = ('_text',)
    connection: FrozenSDPConnection | None
    attributes: FrozenSDPAttributeList
    bandwidth_info: FrozenSDPBandwidthInfoList
    media: frozenlist[FrozenSDPMediaStream]
    _text: str | bytes                  # not parsed yet, or parsed meanwhile; without value when made in another way

    @classmethod
    def deferred(cls, text: str | bytes) -> Self:
        """As `parse`, but the text is parsed when somebody looks at a field, and the errors come then. For descriptions that PJSIP has printed: most of those
        that notifications carry are never looked at."""
        self = cls.__new__(cls)
        self._text = text
        return self

    if not TYPE_CHECKING:               # or every name would be a member
        def __getattr__(self, name: str) -> Any:
            """A field without value: of a deferred description, or of one that is being made."""
            if name not in BaseSDPSession.__slots__:
                raise AttributeError(f'{type(self).__name__} has no attribute {name!r}')
            parsed = self.parse(self._text)
            for slot in BaseSDPSession.__slots__:
                setattr(self, slot, getattr(parsed, slot))
            return getattr(parsed, name)
