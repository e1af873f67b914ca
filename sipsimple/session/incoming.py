"""An INVITE for us: the streams it proposes, and `accept`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sipsimple.core import ContactHeader, PublicGRUU, SIPCoreError, SIPURI, sip_status_messages
from sipsimple.session import description, ending, place, streamset
from sipsimple.session.establish import established, settings, uses_gruu
from sipsimple.session.inputs import DeadlineExpired, Failure, Kind, StreamFailed
from sipsimple.streams import MediaStreamRegistry, UnknownStreamError

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPSession, SDPSession
    from sipsimple.session.session import Session

__all__ = ['proposed_streams', 'run_accept']

log = logging.getLogger('sipsimple.session')


def proposed_streams(account: Any, offer: FrozenSDPSession, indexes: Iterable[int] | None = None) -> list[Any]:
    """Return a stream for every media line of an offer (or those at `indexes`) that a registered type takes."""
    streams = []
    for index in range(len(offer.media)) if indexes is None else indexes:
        if not offer.media[index].port:
            continue
        for stream_type in MediaStreamRegistry:
            try:
                stream = stream_type.new_from_sdp(account, offer, index)
            except UnknownStreamError:
                continue
            except Exception as error:
                log.info('media line %d refused: %s: %s', index, stream_type.__name__, error)
                break
            if stream is not None:
                stream.index = index
                streams.append(stream)
                break
    return streams


async def run_accept(session: Session, streams: list[Any], is_focus: bool, extra_headers: list[Any]) -> None:
    """Procedure: accept an incoming session."""
    session._check_alive()
    invitation = session._invitation
    assert invitation is not None
    offer = invitation.sdp.proposed_remote
    unknown = [stream for stream in streams if stream not in (session.proposed_streams or ())] if offer is not None else []
    if unknown:
        raise Failure(f'not among the proposed streams: {unknown}')
    if offer is None:
        session.proposed_streams = streams
        session.ipv6_media = invitation.peer_address is not None and description.is_ipv6(invitation.peer_address.ip)
    else:
        session.ipv6_media = description.is_ipv6(description.remote_address(offer))
    try:
        streams = await streamset.initialize(session, streams, 'incoming' if offer is not None else 'outgoing')
    except Failure as error:
        raise Failure(error.failure_reason, 500, sip_status_messages[500]) from error
    session.proposed_streams = streams
    sdp = _description(session, offer, streams)
    starter = streamset.Starter(session, streams)
    acknowledged = False
    deadline = None
    reason = sip_status_messages[200]
    try:
        try:
            invitation.send_response(200, contact_header=_contact(session, is_focus), sdp=sdp, extra_headers=extra_headers)
        except SIPCoreError as error:
            raise Failure(f'SIP core error: {error}', 500, sip_status_messages[500]) from error
        place.told(session)
        ending.answered(session, 200, reason)
        deadline = session._deadline(session.media_stream_timeout)
        # Streams start with the negotiation, which for our own offer in the 200 comes only with the ACK.
        session._post('SIPSessionWillStart')
        while not (acknowledged and starter.complete):
            event = await session._wait(deadline)
            match event.kind:
                case Kind.INVITATION if event.data.state == 'connected':
                    acknowledged = True
                    ending.close_invite(session, True)
                case Kind.SDP:
                    if not event.data.succeeded:
                        raise Failure(f'SDP negotiation failed: {event.data.error}')
                    session._negotiated(event.data)
                    starter.negotiate(event.data.local_sdp, event.data.remote_sdp)
                case Kind.STREAM_STARTED:
                    starter.pending.discard(event.source)
    except DeadlineExpired as error:
        if not acknowledged:
            ending.close_invite(session, False)
            raise Failure('missing ACK', bye_reason='Missing ACK') from error
        raise Failure('media stream start timeout', bye_reason='media stream start timeout') from error
    except StreamFailed as error:
        raise Failure(f'media stream failed: {error.reason}', bye_reason='media stream failed') from error
    finally:
        if deadline is not None:
            deadline.cancel()
    if not starter.started:
        raise Failure('the peer accepted no stream', bye_reason='no stream accepted')
    starter.drop_refused()
    session.streams = starter.started
    established(session)


def _contact(session: Session, is_focus: bool) -> ContactHeader | None:
    """Return the contact for the 200; None leaves the one made from the request."""
    invitation = session._invitation
    assert invitation is not None
    moved = place.present_contact(session)          # the address that was called may not be ours any more
    default = moved or invitation.local_contact_header
    try:
        if not uses_gruu(session.account):
            raise KeyError
        uri = SIPURI.new(session.account.contact[PublicGRUU, invitation.transport])
    except KeyError:
        if default is None:
            return None
        uri = SIPURI.new(default.uri)
        # The URI of the request need not name the transport it came over, but the ACK has to come back over the same.
        if not is_focus and moved is None and (uri.secure or uri.transport == invitation.transport):
            return None
        if not uri.secure:
            uri.transport = invitation.transport or 'udp'
    return ContactHeader(uri, parameters={'isfocus': None} if is_focus else None)


def _description(session: Session, offer: FrozenSDPSession | None, streams: list[Any]) -> SDPSession:
    """Return the answer, or the offer when the INVITE had none."""
    if offer is not None and description.remote_address(offer) is not None:
        address = description.local_address(offer)
    else:                               # no address is told, or names only: then it is the way that the INVITE has come
        assert session._invitation is not None
        peer = session._invitation.peer_address
        address = description.outgoing_address(peer.ip) if peer is not None else None
    if address is None:
        raise Failure('no local address to reach the remote media from', 500, sip_status_messages[500])
    if offer is None:
        return description.first_offer(address, settings().user_agent, streams)
    return description.answer(offer, address, settings().user_agent, streams)
