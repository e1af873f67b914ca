"""Reading of SDP text (RFC 8866 §9) into sdp values; liberal about order and unknown lines, strict about numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sipsimple.core.containers import frozenlist
from sipsimple.core.errors import PJSIPError, SIPCoreError
from sipsimple.core.sdp import lines as sdp
from sipsimple.core.sdp.session import FrozenSDPMediaStream, SDPMediaStream

if TYPE_CHECKING:
    from sipsimple.core.sdp.session import BaseSDPSession

__all__ = ['parse_sdp']

# PJMEDIA_SDP_E...
EINSDP, EINVER, EINORIGIN, EINTIME, EINCONN, EINATTR, EINMEDIA, EINBANDW = (
    220020, 220021, 220022, 220023, 220025, 220027, 220031, 220037)

MAX_SDP_LENGTH = 65536  # characters; more than a SIP message may have

S = TypeVar('S', bound='BaseSDPSession')


def _fail(status: int, what: str, line: str) -> NoReturn:
    raise PJSIPError(f'invalid {what} in SDP: {line[:300]!r}', status)


def _number(text: str, limit: int, status: int, line: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20 or (value := int(text)) > limit:
        _fail(status, 'number', line)
    return value


def _too_many(what: str, limit: int) -> NoReturn:
    raise SIPCoreError(f'too many {what} in SDP, at most {limit}')


class _Section:
    """What may follow v= and each m= line."""

    __slots__ = ('attributes', 'bandwidth', 'connection', 'heading')

    def __init__(self, heading: list[str]) -> None:
        self.heading = heading
        self.attributes: list[Any] = []
        self.bandwidth: list[Any] = []
        self.connection: Any = None


def _stream(section: _Section, frozen: bool) -> Any:
    media, port, transport, *formats = section.heading
    line = ' '.join(section.heading)
    port, sign, count = port.partition('/')
    if len(formats) > sdp.MAX_FORMATS:
        _too_many('formats', sdp.MAX_FORMATS)
    cls = FrozenSDPMediaStream if frozen else SDPMediaStream
    stream: Any = cls.__new__(cls)
    stream._media = media
    stream._port = _number(port, 65535, EINMEDIA, line)
    stream._port_count = (_number(count, 65535, EINMEDIA, line) or 1) if sign else 1
    stream._transport = transport
    stream._formats = frozenlist(formats) if frozen else formats
    stream._connection = section.connection
    if frozen:
        stream._attributes = sdp.FrozenSDPAttributeList(section.attributes)
        stream._bandwidth_info = sdp.FrozenSDPBandwidthInfoList(section.bandwidth)
    else:
        stream._attributes = sdp.SDPAttributeList(section.attributes)
        stream._bandwidth_info = sdp.SDPBandwidthInfoList(section.bandwidth)
    stream._session_direction = 'sendrecv'
    stream._printed = None
    return stream


def _words(text: str) -> list[str]:
    """Split at spaces and tabs; str.split() would also do so at what bytes of other character sets look like."""
    return [word for word in text.replace('\t', ' ').split(' ') if word]


def parse_sdp(cls: type[S], text: str | bytes) -> S:
    """The session in `text`, of class `cls`; see BaseSDPSession.parse."""
    if isinstance(text, bytes):
        data = text
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode('latin-1')
    elif not isinstance(text, str):
        raise TypeError(f'expected str or bytes as SDP, got {type(text).__name__}')
    if len(text) > MAX_SDP_LENGTH:
        raise SIPCoreError(f'SDP longer than {MAX_SDP_LENGTH} characters')
    if '\0' in text:
        _fail(EINSDP, 'NUL character', text)
    lines = text.replace('\r\n', '\n').replace('\r', '\n').split('\n')
    if lines[0].rstrip() != 'v=0':
        _fail(EINVER, 'version', lines[0])

    frozen = cls._frozen
    attribute_class: Any = sdp.FrozenSDPAttribute if frozen else sdp.SDPAttribute
    new_attribute = attribute_class.__new__
    origin: list[str] | None = None
    times: list[str] | None = None
    name = ' '
    session = section = _Section([])
    attributes = section.attributes
    sections: list[_Section] = []
    for line in lines:
        if line[1:2] != '=':
            if line.strip():
                _fail(EINSDP, 'line', line)
            continue
        kind = line[0]
        value = line[2:]
        if kind == 'a':
            key, sign, value = value.partition(':')
            key = key.strip()
            if not key:
                _fail(EINATTR, 'attribute', line)
            if len(attributes) == sdp.MAX_ATTRIBUTES:
                _too_many('attributes', sdp.MAX_ATTRIBUTES)
            attribute = new_attribute(attribute_class)
            attribute._name = key
            attribute._value = value
            attribute._printed = None
            attributes.append(attribute)
        elif kind == 'm':
            words = _words(value)
            if len(words) < 3:
                _fail(EINMEDIA, 'media', line)
            if len(sections) == sdp.MAX_MEDIA:
                _too_many('media', sdp.MAX_MEDIA)
            section = _Section(words)
            attributes = section.attributes
            sections.append(section)
        elif kind == 'c':
            words = _words(value)
            if len(words) != 3:
                _fail(EINCONN, 'connection', line)
            if section.connection is None:
                connection_class = sdp.FrozenSDPConnection if frozen else sdp.SDPConnection
                section.connection = connection_class(words[2], words[0], words[1])
        elif kind == 'b':
            key, sign, value = value.partition(':')
            key = key.strip()
            if not key or not sign:
                _fail(EINBANDW, 'bandwidth', line)
            if len(section.bandwidth) == sdp.MAX_BANDWIDTH_LINES:
                _too_many('bandwidth lines', sdp.MAX_BANDWIDTH_LINES)
            bandwidth_class = sdp.FrozenSDPBandwidthInfo if frozen else sdp.SDPBandwidthInfo
            section.bandwidth.append(bandwidth_class(key, _number(value.strip(), 2**32 - 1, EINBANDW, line)))
        elif kind == 'o' and origin is None:
            origin = _words(value)
            if len(origin) != 6:
                _fail(EINORIGIN, 'origin', line)
        elif kind == 's' and section is session:
            name = value or ' '
        elif kind == 't' and times is None:
            times = _words(value)
            if len(times) != 2:
                _fail(EINTIME, 'time', line)
    if origin is None:
        _fail(EINORIGIN, 'origin', '')

    result: Any = cls.__new__(cls)
    line = ' '.join(origin)
    result._user, number, version, result._net_type, result._address_type, result._address = origin
    result._id = _number(number, sdp.MAX_NUMBER, EINORIGIN, line)
    result._version = _number(version, sdp.MAX_NUMBER, EINORIGIN, line)
    result._name = name
    result._connection = session.connection
    start, stop = times or ('0', '0')
    result._start_time = _number(start, sdp.MAX_NUMBER, EINTIME, start)
    result._stop_time = _number(stop, sdp.MAX_NUMBER, EINTIME, stop)
    streams = [_stream(section, frozen) for section in sections]
    for attribute in session.attributes:
        if attribute._name in sdp.DIRECTIONS:  # the default for the streams, RFC 8866 §6.7
            for stream in streams:
                stream._session_direction = attribute._name
            break
    if frozen:
        result._attributes = sdp.FrozenSDPAttributeList(session.attributes)
        result._bandwidth_info = sdp.FrozenSDPBandwidthInfoList(session.bandwidth)
        result._media = frozenlist(streams)
    else:
        result._attributes = sdp.SDPAttributeList(session.attributes)
        result._bandwidth_info = sdp.SDPBandwidthInfoList(session.bandwidth)
        result._media = streams
    result._printed = None
    return result  # type: ignore[no-any-return]
