"""The media lines of MSRP in SDP: RFC 4975 section 8, with `a=setup` of RFC 6135, `a=fingerprint` of RFC 8122 and `a=chatroom` of RFC 7701."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sipsimple.core import SDPAttribute, SDPMediaStream
from sipsimple.streams.interfaces import InvalidStreamError

if TYPE_CHECKING:
    from msrplib.uri import URI

__all__ = ['MSRPMedia', 'TRANSPORTS', 'make_media']

# account.msrp.transport -> the transport of a media line
TRANSPORTS = {'tls': 'TCP/TLS/MSRP', 'tcp': 'TCP/MSRP'}
SETUPS = frozenset(('active', 'passive', 'actpass', 'holdconn'))


def _value(media: Any, name: str) -> str | None:
    for attribute in media.attributes:
        if attribute.name == name:
            return str(attribute.value)
    return None


@dataclass(frozen=True)
class MSRPMedia:
    """What the peer's media line says.

    Attributes:
        transport: 'tls' or 'tcp'.
        path: its URIs, the next hop first.
        setup: 'active', 'passive', 'actpass', None if it says nothing.
        direction: from its point of view.
        accept_types, accept_wrapped_types: MIME types; None if it says nothing.
        fingerprint: of its certificate, None if it says nothing.
        chatroom: what its chat room can do.
        attributes: all of the line's, names and values.
    """

    transport: str
    path: tuple[URI, ...]
    setup: str | None
    direction: str
    accept_types: tuple[str, ...] | None
    accept_wrapped_types: tuple[str, ...] | None
    fingerprint: str | None
    chatroom: frozenset[str]
    attributes: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)

    def get(self, name: str) -> str | None:
        """The value of the first attribute of that name, None if there is none."""
        return next((value for key, value in self.attributes if key == name), None)

    @classmethod
    def of(cls, remote_sdp: Any, index: int) -> MSRPMedia:
        """Read a media line.

        Raises:
            InvalidStreamError: it is not MSRP, or what it must have is missing or malformed.
        """
        from msrplib.errors import MSRPError
        from msrplib.tls import normalize_fingerprint
        from msrplib.uri import parse_path
        media = remote_sdp.media[index]
        transport = next((name for name, text in TRANSPORTS.items() if text == media.transport), None)
        if transport is None:
            raise InvalidStreamError(f'unsupported transport: {media.transport}')
        if list(media.formats) != ['*']:
            raise InvalidStreamError(f'unsupported formats: {" ".join(media.formats)[:80]}')
        path, setup, fingerprint = _value(media, 'path'), _value(media, 'setup'), _value(media, 'fingerprint')
        if fingerprint is None:
            fingerprint = next((str(attribute.value) for attribute in remote_sdp.attributes if attribute.name == 'fingerprint'), None)
        try:
            uris = parse_path(path or '')
            if fingerprint is not None:
                normalize_fingerprint(fingerprint)
        except MSRPError as error:
            raise InvalidStreamError(f'unusable media line: {error}') from None
        if uris[0].use_tls != (transport == 'tls'):
            raise InvalidStreamError(f'the path does not go over {transport}')
        if setup is not None and setup.lower() not in SETUPS:
            raise InvalidStreamError(f'unknown setup: {setup[:20]}')
        accept_types, accept_wrapped_types = _value(media, 'accept-types'), _value(media, 'accept-wrapped-types')
        return cls(transport, uris, None if setup is None else setup.lower(), media.direction,
                   None if accept_types is None else tuple(accept_types.split()),
                   None if accept_wrapped_types is None else tuple(accept_wrapped_types.split()),
                   fingerprint, frozenset((_value(media, 'chatroom') or '').split()),
                   tuple((str(attribute.name), str(attribute.value)) for attribute in media.attributes))


def make_media(media_type: str, transport: str, path: Iterable[URI], *, setup: str | None, direction: str, accept_types: Iterable[str],
               accept_wrapped_types: Iterable[str] | None, fingerprint: str | None, attributes: Iterable[tuple[str, str]] = ()) -> SDPMediaStream:
    """Our media line.

    Args:
        attributes: further ones, names and values.
    """
    from msrplib.uri import DEFAULT_PORT, format_path
    path = list(path)
    values = [('path', format_path(path))]
    if direction != 'sendrecv':
        values.append((direction, ''))
    values.append(('accept-types', ' '.join(accept_types)))
    if accept_wrapped_types is not None:
        values.append(('accept-wrapped-types', ' '.join(accept_wrapped_types)))
    if setup is not None:
        values.append(('setup', setup))
    if fingerprint is not None:
        values.append(('fingerprint', fingerprint))
    values += attributes
    return SDPMediaStream(media_type, path[-1].port or DEFAULT_PORT, TRANSPORTS[transport], formats=['*'],
                          attributes=[SDPAttribute(name, value) for name, value in values])
