"""Changes of the streams of a running session: re-INVITEs of ours that add or remove streams, and all re-INVITEs of the peer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPCoreError, WarningHeader
from sipsimple.session import description, ending, hold, place, reinvite, streamset
from sipsimple.session.establish import settings
from sipsimple.session.incoming import proposed_streams
from sipsimple.session.inputs import DeadlineExpired, Event, Failure, Kind, ProposalCancelled, StreamFailed
from sipsimple.session.states import Input, SessionState

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPSession
    from sipsimple.session.session import Session

__all__ = ['ProposalAnswer', 'handle_proposal', 'run_add', 'run_remove']

log = logging.getLogger('sipsimple.session')


@dataclass
class ProposalAnswer:
    """The arguments of `accept_proposal` (streams) or `reject_proposal` (code, reason)."""

    streams: list[Any] | None = None
    code: int = 488
    reason: str | None = None


class _Withdrawn(Exception):
    """The peer took its proposal back."""


# Local proposals

async def run_add(session: Session, streams: list[Any]) -> None:
    """Procedure: propose streams to the peer. The state is `sending_proposal` already."""
    session._check_alive()
    session.proposed_streams = streams
    try:
        outcome, ready, starter = await _propose(session, streams)
    except ProposalCancelled:
        streamset.close(session, streams)
        _rejected(session, 'local', 487, ending.phrase(487), streams)
    except reinvite.OutOfStep:
        raise
    except (reinvite.PeerFirst, Failure, StreamFailed, DeadlineExpired, SIPCoreError) as error:
        streamset.close(session, streams)
        await _withdraw(session, streams)
        _broken(session, 'local', _text(error), streams)
    else:
        if outcome.accepted:
            _accepted(session, 'local', starter, streams)
        else:
            streamset.close(session, ready)
            code = 487 if outcome.cancelled else outcome.code
            _rejected(session, 'local', code, ending.phrase(487) if outcome.cancelled else outcome.reason, streams)


async def _propose(session: Session, streams: list[Any]) -> tuple[reinvite.Outcome, list[Any], streamset.Starter]:
    ready = await streamset.initialize(session, streams, 'outgoing')
    assert session._local_sdp is not None and session._remote_sdp is not None
    taken = {stream.index for stream in session.streams}
    for stream in ready:
        stream.index = description.free_index(session._local_sdp, session._remote_sdp, taken)
        taken.add(stream.index)
    starter = streamset.Starter(session, ready)
    reinvite.send(session, description.next_offer(session._local_sdp, ready, session.streams))
    session._post('SIPSessionGotProposal', originator='local', streams=list(streams))
    outcome = await reinvite.final_response(session, settings().sip.invite_timeout, cancellable=True)
    if outcome.accepted:
        reinvite.apply(session)
        await _start(session, starter)
    return outcome, ready, starter


async def _start(session: Session, starter: streamset.Starter) -> None:
    """Start proposed streams with the descriptions in use, and wait for them."""
    assert session._local_sdp is not None and session._remote_sdp is not None
    starter.negotiate(session._local_sdp, session._remote_sdp)
    deadline = session._deadline(session.media_stream_timeout)
    try:
        while not starter.complete:
            try:
                event = await session._wait(deadline)
            except ProposalCancelled:
                continue                    # too late, the peer has accepted it
            if event.kind is Kind.STREAM_STARTED:
                starter.pending.discard(event.source)
    finally:
        deadline.cancel()
    starter.drop_refused()


async def _withdraw(session: Session, streams: list[Any]) -> None:
    """Take lines out of the descriptions that the peer accepted, but that did not come to life here."""
    local, remote = session._local_sdp, session._remote_sdp
    assert local is not None and remote is not None
    used = {stream.index for stream in session.streams}
    if any(stream.index is not None and stream.index not in used and stream.index < len(local.media)
           and local.media[stream.index].port and remote.media[stream.index].port for stream in streams):
        await _remove_lines(session)


async def run_remove(session: Session, streams: list[Any]) -> None:
    """Procedure: take streams out of the session. The state is `sending_proposal` already."""
    session._check_alive()
    session.streams = [stream for stream in session.streams if stream not in streams]
    streamset.deactivate(streams)
    try:
        await _remove_lines(session)
    finally:
        streamset.end(session, streams)
    reinvite.finish(session)
    session._post('SIPSessionDidRenegotiateStreams', originator='local', action='remove', streams=list(streams), added_streams=[],
                  removed_streams=list(streams))
    hold.check(session)


async def _remove_lines(session: Session) -> None:
    """Disable the media lines that have no stream any more.

    Raises:
        OutOfStep: the peer does not answer.
        SIPCoreError: the re-INVITE could not be sent.
    """
    while True:
        assert session._local_sdp is not None and session._remote_sdp is not None
        sdp = description.next_offer(session._local_sdp, (), session.streams)
        try:
            reinvite.send(session, sdp)
        except reinvite.PeerFirst:
            # Its offer is in the queue and will be answered without these streams.
            return
        outcome = await reinvite.final_response(session, session.short_reinvite_timeout)
        if outcome.cancelled:
            raise reinvite.OutOfStep('timeout')
        if outcome.code != 491:
            break
        await reinvite.stand_back(session)
    if outcome.accepted:
        reinvite.apply(session)


# Proposals of the peer

def handle_proposal(session: Session, event: Event) -> None:
    """Start the answer to a re-INVITE of the peer, if it is still waiting for one."""
    invitation = session._invitation
    assert invitation is not None
    sub_state = invitation.sub_state if invitation.state == 'connected' else None
    if sub_state == 'received_proposal':
        if session._try(Input.PROPOSAL_RECEIVED):
            session._spawn(_run_proposal(session))
            return
    elif sub_state == 'received_proposal_request':
        if session._try(Input.OFFER_REQUESTED):
            session._spawn(_run_offer(session))
            return
    else:
        return
    # A call from another thread has moved the state; what it started is in the queue and will give way.
    session._deferred.append(event)


async def _run_proposal(session: Session) -> None:
    invitation = session._invitation
    assert invitation is not None and session._remote_sdp is not None
    offer = invitation.sdp.proposed_remote
    if offer is None:
        reinvite.finish(session)            # cancelled meanwhile
        return
    try:
        assert session._local_sdp is not None
        changes = description.OfferChanges.of(session._local_sdp, session._remote_sdp, offer, session.streams)
        for stream in changes.changed:
            if not stream.validate_update(offer, stream.index):
                raise description.InvalidOffer(f'Failed to update media stream index {stream.index}')
        if changes.added and changes.removed:
            raise description.InvalidOffer('Both removing and adding a media stream is currently not supported')
    except description.InvalidOffer as error:
        await _refuse(session, 488, str(error))
        return
    proposed = proposed_streams(session.account, offer, changes.added) if changes.added else []
    if not proposed and any(index >= len(session._remote_sdp.media) for index in changes.added):
        await _refuse(session, 488)
        return
    restarted = await streamset.restart_ice(session, _to_restart(session, offer, changes.kept), offer)
    try:
        if proposed:
            await _run_additions(session, offer, changes, proposed)
        else:
            # Lines we refused before, offered again, do not stop the rest of the offer from being answered.
            await _answer_changes(session, offer, changes)
    finally:
        streamset.keep_ice(restarted)       # no effect on what went out with the answer


def _to_restart(session: Session, offer: FrozenSDPSession, streams: list[Any]) -> list[Any]:
    """Return the streams that need other sockets to answer an offer with which ICE begins anew. The method is not in the document: an application's own
    streams may not have it."""
    moved = place.new_place(session) is not None
    return [stream for stream in streams if getattr(stream, 'restart_needed', None) is not None and stream.restart_needed(offer, moved)]


async def _refuse(session: Session, code: int, warning: str | None = None, reason: str | None = None) -> None:
    """Send a negative answer to a proposal; it is over."""
    invitation = session._invitation
    assert invitation is not None
    headers: list[Any] = [WarningHeader(399, settings().user_agent, warning)] if warning is not None else []
    try:
        invitation.send_response(code, reason, extra_headers=headers)
    except SIPCoreError as error:
        log.debug('cannot refuse the proposal: %s', error)          # taken back in this moment
    else:
        await _noted(session)
        ending.invite_answered(session, code, 'unknown')
    reinvite.finish(session)


async def _noted(session: Session) -> None:
    """Wait until the core tells that the proposal is answered: until then it takes none of ours, and who hears of the answer may make one."""
    invitation = session._invitation
    assert invitation is not None
    deadline = session._deadline(session.short_reinvite_timeout)
    try:
        while invitation.state == 'connected' and invitation.sub_state != 'normal':
            await session._wait(deadline)
    except DeadlineExpired:
        log.warning('the core does not tell that a proposal is over')
    finally:
        deadline.cancel()


async def _send_answer(session: Session, offer: FrozenSDPSession | None, streams: list[Any]) -> None:
    """Send the 200 with the lines of the given streams and wait until it is negotiated; without an offer, ours goes out and the answer is in the ACK.

    Raises:
        _Withdrawn: the peer took its proposal back.
        OutOfStep: our answer was not taken.
        SIPCoreError: the answer could not be sent.
    """
    invitation = session._invitation
    assert invitation is not None and session._local_sdp is not None
    if offer is None:
        sdp = description.next_offer(session._local_sdp, streams, ())
        description.reveal(sdp, invitation.peer_address)
    else:
        sdp = description.next_answer(session._local_sdp, offer, streams)
    try:
        invitation.send_response(200, contact_header=place.refresh(session, sdp), sdp=sdp)
        place.told(session)
    except SIPCoreError:
        if invitation.state == 'connected' and invitation.sub_state == 'normal':
            raise _Withdrawn from None
        raise
    negotiated = False
    deadline = session._deadline(session.media_stream_timeout)
    try:
        # The answer to our offer comes with the ACK, the answer to the peer's is negotiated when we send it.
        while not negotiated:
            event = await session._wait(deadline)
            if event.kind is Kind.SDP:
                if not event.data.succeeded:
                    raise reinvite.OutOfStep(f'SDP negotiation failed: {event.data.error}')
                session._local_sdp, session._remote_sdp = event.data.local_sdp, event.data.remote_sdp
                negotiated = True
    except DeadlineExpired as error:
        raise reinvite.OutOfStep('missing ACK', bye_reason='Missing ACK') from error
    finally:
        deadline.cancel()
    await _noted(session)


async def _answer_changes(session: Session, offer: FrozenSDPSession, changes: description.OfferChanges) -> None:
    """Accept an offer that only removes streams or changes their parameters."""
    streamset.deactivate(changes.removed)
    try:
        await _send_answer(session, offer, changes.kept)
    except _Withdrawn:
        reinvite.finish(session)
        return
    _answered(session, changes.kept, changes.removed)


def _answered(session: Session, kept: list[Any], removed: list[Any]) -> None:
    """The answer is negotiated: update what stays, end what goes."""
    assert session._local_sdp is not None and session._remote_sdp is not None
    streamset.update(kept, session._local_sdp, session._remote_sdp)
    session.streams = [stream for stream in session.streams if stream not in removed]
    reinvite.finish(session)
    ending.invite_answered(session, 200, 'unknown')
    hold.check(session)
    if removed:
        session._post('SIPSessionDidRenegotiateStreams', originator='remote', action='remove', streams=list(removed), added_streams=[],
                      removed_streams=list(removed))
        streamset.end(session, removed)


async def _run_offer(session: Session) -> None:
    """A re-INVITE without SDP: offer all we can (RFC 3261 §14.2)."""
    streams = list(session.streams)
    streamset.reset(streams)
    restarted = await streamset.restart_ice(session, streams) if place.new_place(session) is not None else []
    try:
        await _send_answer(session, None, streams)
        assert session._local_sdp is not None and session._remote_sdp is not None
        remote = session._remote_sdp
        removed = [stream for stream in streams if stream.index >= len(remote.media) or not remote.media[stream.index].port]
        streamset.deactivate(removed)
        _answered(session, [stream for stream in streams if stream not in removed], removed)
    except _Withdrawn:
        reinvite.finish(session)
    finally:
        streamset.keep_ice(restarted)


async def _run_additions(session: Session, offer: FrozenSDPSession, changes: description.OfferChanges, proposed: list[Any]) -> None:
    """An offer with new streams: the application decides."""
    invitation = session._invitation
    assert invitation is not None
    session.proposed_streams = proposed
    try:
        invitation.send_response(100)
    except SIPCoreError as error:
        log.debug('cannot send 100: %s', error)
    session._post('SIPSessionGotProposal', originator='remote', streams=list(proposed))
    try:
        decision = await _decision(session)
        if decision.streams is None:
            await _refuse_additions(session, decision, proposed)
            return
        starter = await _accept_additions(session, offer, changes, [stream for stream in decision.streams if stream in proposed])
    except _Withdrawn:
        streamset.close(session, proposed)
        ending.invite_answered(session, 487, 'unknown')
        _rejected(session, 'remote', 487, ending.phrase(487), proposed)
    except reinvite.OutOfStep:
        raise
    except (Failure, StreamFailed, DeadlineExpired, SIPCoreError) as error:
        streamset.close(session, proposed)
        if invitation.state == 'connected' and invitation.sub_state == 'received_proposal':
            code = 488 if isinstance(error, (Failure, StreamFailed)) else 500
            try:
                invitation.send_response(code)
            except SIPCoreError:
                pass
            else:
                await _noted(session)
                ending.invite_answered(session, code, 'unknown')
        else:
            await _withdraw(session, proposed)
        _broken(session, 'remote', _text(error), proposed)
    else:
        ending.invite_answered(session, 200, 'unknown')
        _accepted(session, 'remote', starter, proposed)


async def _next(session: Session) -> Event:
    """Return the next event while the peer may still take its proposal back."""
    event = await session._wait()
    if event.kind is Kind.INVITATION and event.data.state == 'connected' and getattr(event.data, 'prev_sub_state', None) == 'received_proposal':
        raise _Withdrawn
    return event


async def _decision(session: Session) -> ProposalAnswer:
    while True:
        event = await _next(session)
        if event.kind is Kind.ANSWER_PROPOSAL:
            answer: ProposalAnswer = event.data
            return answer


async def _refuse_additions(session: Session, decision: ProposalAnswer, proposed: list[Any]) -> None:
    invitation = session._invitation
    assert invitation is not None
    invitation.send_response(decision.code, decision.reason)
    await _noted(session)
    ending.invite_answered(session, decision.code, 'unknown')
    _rejected(session, 'remote', decision.code, ending.phrase(decision.code), proposed)


async def _accept_additions(session: Session, offer: FrozenSDPSession, changes: description.OfferChanges, streams: list[Any]) -> streamset.Starter:
    ready = await streamset.initialize(session, streams, 'incoming', _next)
    starter = streamset.Starter(session, ready)
    await _send_answer(session, offer, changes.kept + ready)
    assert session._local_sdp is not None and session._remote_sdp is not None
    streamset.update(changes.kept, session._local_sdp, session._remote_sdp)
    await _start(session, starter)
    return starter


# The ends of a proposal

def _text(error: Exception) -> str:
    match error:
        case reinvite.PeerFirst():
            return 'received stream proposal'
        case DeadlineExpired():
            return 'media stream start timeout'
        case StreamFailed():
            return f'media stream failed: {error}'
        case SIPCoreError():
            return f'SIP core error: {error}'
        case _:
            return str(error)


def _over(session: Session) -> None:
    session.proposed_streams = None
    if session.state is not SessionState.CONNECTED:
        reinvite.finish(session)


def _accepted(session: Session, originator: str, starter: streamset.Starter, proposed: list[Any]) -> None:
    session.streams = session.streams + starter.started
    _over(session)
    session._post('SIPSessionGotAcceptProposal', originator=originator, streams=list(starter.started), proposed_streams=list(proposed))
    session._post('SIPSessionDidRenegotiateStreams', originator=originator, action='add', streams=list(starter.started),
                  added_streams=list(starter.started), removed_streams=[])
    hold.check(session)


def _rejected(session: Session, originator: str, code: int, reason: str, streams: list[Any]) -> None:
    _over(session)
    session._post('SIPSessionGotRejectProposal', originator=originator, code=code, reason=reason, streams=list(streams))


def _broken(session: Session, originator: str, failure_reason: str, streams: list[Any]) -> None:
    _over(session)
    session._post('SIPSessionHadProposalFailure', originator=originator, failure_reason=failure_reason, streams=list(streams))
