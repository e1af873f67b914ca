"""Session descriptions: offers, answers, and what an offer changes. RFC 3264.

One media line per stream, at an index that never changes; lines are never taken away, only refused with port 0. No function here knows the state of
the session.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sipsimple.core import SDPAttribute, SDPConnection, SDPMediaStream, SDPSession
from sipsimple.core.helpers import is_address, is_null_address, local_ip_for

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPMediaStream, FrozenSDPSession

__all__ = ['InvalidOffer', 'OfferChanges', 'answer', 'first_offer', 'forget_routes', 'free_index', 'is_ipv6', 'local_address', 'media_address', 'move',
           'next_answer', 'next_offer', 'outgoing_address', 'refused_media', 'relocate', 'remote_address', 'reveal', 'revised', 'stream_media']


class InvalidOffer(Exception):
    """The offer breaks a rule; the text says which."""


_ROUTE_LIFETIME = 1         # seconds

_routes: dict[str, tuple[float, str]] = {}


def outgoing_address(remote: str) -> str | None:
    """Return the local address from which packets to `remote` leave, None without a route to it.

    Asking costs a socket, as much as the rest of a description; so an answer is good for a moment.
    """
    now = time.monotonic()
    known = _routes.get(remote)
    if known is not None and now - known[0] < _ROUTE_LIFETIME:
        return known[1]
    address = local_ip_for(remote)
    if address is None:
        return None
    if len(_routes) > 1000:
        _routes.clear()
    _routes[remote] = (now, address)
    return address


def forget_routes() -> None:
    """The routing table is another one."""
    _routes.clear()


def remote_address(remote_sdp: FrozenSDPSession) -> str | None:
    """Return the address the peer wants media at: of the session, or of its first used media line. Host names are none; where there are only such: None."""
    connections = [remote_sdp.connection, *(media.connection for media in remote_sdp.media if media.port)]
    return next((each.address for each in connections if each is not None and is_address(each.address)), None)


def local_address(remote_sdp: FrozenSDPSession) -> str | None:
    """Return the address to answer this offer from, None without a route. The old way to hold, `0.0.0.0` or `::`, is mirrored."""
    remote = remote_address(remote_sdp)
    if remote is None:
        return None
    return remote if is_null_address(remote) else outgoing_address(remote)


def stream_media(stream: Any, for_offer: bool) -> SDPMediaStream:
    """Return the media line of a stream. Its address is that of the session, unless ICE made its own."""
    media: SDPMediaStream = stream.get_local_media(for_offer)
    if media.connection is not None and not media.has_ice_attributes and not media.has_ice_candidates:
        media.connection = None         # type: ignore[misc]
        # RFC 3605: without an address it is that of the connection.
        media.attributes = [SDPAttribute('rtcp', attribute.value.partition(' ')[0]) if attribute.name == 'rtcp' else attribute      # type: ignore[misc, assignment]
                            for attribute in media.attributes]
    return media


def refused_media(offered: FrozenSDPMediaStream | SDPMediaStream) -> SDPMediaStream:
    """Return the line that refuses an offered one: RFC 3264 §6."""
    return SDPMediaStream(str(offered.media), 0, str(offered.transport), formats=list(offered.formats))


def is_ipv6(address: str | None) -> bool:
    """Return whether an address is one of IPv6."""
    return address is not None and ':' in address


def _connection(address: str) -> SDPConnection:
    return SDPConnection(address, address_type='IP6' if is_ipv6(address) else 'IP4')


def _session(address: str, name: str, media: list[SDPMediaStream | None]) -> SDPSession:
    connection = _connection(address)
    return SDPSession(address, address_type=connection.address_type, name=name, connection=connection, media=media)


def first_offer(address: str, name: str, streams: Sequence[Any]) -> SDPSession:
    """Return the first description of a session we offer; numbers the streams."""
    for index, stream in enumerate(streams):
        stream.index = index
    return _session(address, name, [stream_media(stream, True) for stream in streams])


def answer(offer: FrozenSDPSession, address: str, name: str, streams: Iterable[Any]) -> SDPSession:
    """Return the first answer of a session: the lines of the given streams, the others refused."""
    sdp = _session(address, name, _answered(offer, streams))
    _bundle(sdp, offer)
    return sdp


def _answered(offer: FrozenSDPSession, streams: Iterable[Any]) -> list[SDPMediaStream | None]:
    by_index = {stream.index: stream for stream in streams}
    lines: list[SDPMediaStream | None] = []
    for index, offered in enumerate(offer.media):
        line = stream_media(by_index[index], False) if index in by_index else refused_media(offered)
        _identify(line, offered)
        lines.append(line)
    return lines


def _identify(line: SDPMediaStream, same: Any) -> None:
    """Give a line the identification another description has for it: RFC 5888 §9.1."""
    mid = same.attributes.getfirst('mid')
    if mid is not None and 'mid' not in line.attributes:
        line.attributes.append(SDPAttribute('mid', mid))


def _bundle(sdp: SDPSession, offer: Any) -> None:
    """Answer a BUNDLE group (RFC 9143 §7.3): with its first line that is used, since each of our streams has a port of its own. The others leave it."""
    if 'group' not in offer.attributes and 'group' not in sdp.attributes:
        return
    groups = offer.attributes.getall('group')
    kept = [attribute for attribute in sdp.attributes if not (attribute.name == 'group' and attribute.value.startswith('BUNDLE'))]
    sdp.attributes = kept               # type: ignore[misc, assignment]
    used = [line.attributes.getfirst('mid') for line in sdp.media if line is not None and line.port]
    for group in groups:
        semantics, *mids = group.split()
        bundled = [mid for mid in mids if mid in used]
        if semantics == 'BUNDLE' and bundled:
            sdp.attributes.append(SDPAttribute('group', f'BUNDLE {bundled[0]}'))
            return


def move(sdp: SDPSession, address: str) -> None:
    """Put another address in a first offer: it leaves over another network than planned."""
    sdp.address = address               # type: ignore[misc]
    sdp.connection = _connection(address)           # type: ignore[misc]


def media_address(sdp: FrozenSDPSession | SDPSession) -> str | None:
    """Return the address a description of ours wants media at, None if each stream has its own."""
    return sdp.connection.address if sdp.connection is not None else None


def relocate(sdp: SDPSession, address: str) -> None:
    """Put another address in a later description. The one in the origin line stays: RFC 3264 §8 wants it so."""
    sdp.connection = _connection(address)           # type: ignore[misc]


def reveal(sdp: SDPSession, peer: Any) -> None:
    """Put our address in an offer in which there is still the null address of the peer's first offer; `peer` is where its messages come from, or None."""
    _uncover(sdp, outgoing_address(peer.ip) if peer is not None else None)


def _uncover(sdp: SDPSession, address: str | None) -> None:
    if is_null_address(media_address(sdp)) and address is not None:
        relocate(sdp, address)


def revised(active: FrozenSDPSession) -> SDPSession:
    """Return a copy of an active description of ours, with the next version: RFC 3264 §8."""
    sdp = SDPSession.new(active)
    sdp.version = active.version + 1    # type: ignore[misc]
    return sdp


def next_answer(active: FrozenSDPSession, offer: FrozenSDPSession, streams: Iterable[Any]) -> SDPSession:
    """Return the answer to a later offer: the lines of the given streams, the others refused."""
    sdp = revised(active)
    _uncover(sdp, local_address(offer))
    sdp.media = _answered(offer, streams)           # type: ignore[misc]
    _bundle(sdp, offer)
    return sdp


def next_offer(active: FrozenSDPSession, lines: Iterable[Any], others: Iterable[Any]) -> SDPSession:
    """Return the next offer: the active description, with the lines of the given streams made anew and those of `others` as they are.

    A line of neither is disabled: its stream is gone, though the peer has not taken that in.
    """
    lines = list(lines)
    sdp = revised(active)
    used = {stream.index for stream in [*lines, *others]}
    for index, line in enumerate(active.media):
        if line.port and index not in used:
            refused = refused_media(line)
            _identify(refused, line)
            sdp.media[index] = refused
    for stream in lines:
        media = stream_media(stream, True)
        if stream.index == len(sdp.media):
            sdp.media.append(media)
        else:
            _identify(media, sdp.media[stream.index])
            sdp.media[stream.index] = media
    _bundle(sdp, sdp)
    return sdp


def free_index(active: FrozenSDPSession, remote: FrozenSDPSession, taken: Iterable[int]) -> int:
    """Return the index for a stream to add: a disabled line is used again before one is appended (RFC 3264 §8.1)."""
    taken = set(taken)
    for index, line in enumerate(active.media):
        if index not in taken and (not line.port or index >= len(remote.media) or not remote.media[index].port):
            return index
    index = len(active.media)
    while index in taken:
        index += 1
    return index


@dataclass
class OfferChanges:
    """What an offer of the peer in a running session means for its streams."""

    added: list[int] = field(default_factory=list)          # indexes of lines that are new, or used again
    removed: list[Any] = field(default_factory=list)        # streams that end
    kept: list[Any] = field(default_factory=list)
    changed: list[Any] = field(default_factory=list)        # of the kept ones: those whose line or address differs

    @classmethod
    def of(cls, local: FrozenSDPSession, active: FrozenSDPSession, offer: FrozenSDPSession, streams: Iterable[Any]) -> OfferChanges:
        """Compare an offer with the peer's active description; `local` is ours.

        A line that both sides use by now, but that has no stream, is one we are taking out: the peer does not know yet, and proposes nothing with it.

        Raises:
            InvalidOffer: the offer has fewer lines than the active description.
        """
        if len(offer.media) < len(active.media):
            raise InvalidOffer('Streams cannot be deleted from the SDP')
        by_index = {stream.index: stream for stream in streams}
        moved = offer.connection != active.connection or remote_address(offer) != remote_address(active)
        changes = cls()
        for index, line in enumerate(offer.media):
            stream = by_index.get(index)
            previous = active.media[index] if index < len(active.media) else None
            if not line.port:
                if stream is not None:
                    changes.removed.append(stream)
            elif stream is None:
                if not (previous is not None and previous.port and previous.media == line.media and local.media[index].port):
                    changes.added.append(index)
            elif previous is None or previous.media != line.media:
                changes.removed.append(stream)
                changes.added.append(index)
            else:
                changes.kept.append(stream)
                if moved or previous != line:
                    changes.changed.append(stream)
        return changes
