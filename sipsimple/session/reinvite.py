"""One re-INVITE of ours, from the offer to its final response."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from sipsimple.core import SIPCoreError
from sipsimple.session import description, place, streamset
from sipsimple.session.inputs import DeadlineExpired, Failure, Kind, PeerProposes, ProposalCancelled
from sipsimple.session.states import Input

if TYPE_CHECKING:
    from sipsimple.core import Invitation, SDPSession
    from sipsimple.session.base import SessionBase

__all__ = ['OutOfStep', 'Outcome', 'PeerFirst', 'apply', 'finish', 'glare_delay', 'reoffer', 'send', 'stand_back', 'final_response']


class PeerFirst(Exception):
    """A proposal of the peer came before ours was sent: it has to be answered first."""


class OutOfStep(Failure):
    """It is not known any more which streams the peer thinks there are: the session has to end."""


class Outcome(NamedTuple):
    """The final response to a re-INVITE."""

    code: int
    reason: str
    cancelled: bool

    @property
    def accepted(self) -> bool:
        """True for a 2xx."""
        return 200 <= self.code < 300


def glare_delay(session: SessionBase) -> float:
    """Return the seconds to wait after a 491: RFC 3261 §14.1."""
    return random.randrange(2100, 4001, 10) / 1000 if session.direction == 'outgoing' else random.randrange(0, 2001, 10) / 1000


async def stand_back(session: SessionBase) -> None:
    """Wait after a glare, until the peer comes with what it tried to send at the same time; what we want then goes with the answer."""
    deadline = session._deadline(glare_delay(session))
    try:
        while True:
            try:
                await session._wait(deadline, peer_first=True)
            except ProposalCancelled:
                continue
            except (DeadlineExpired, PeerProposes):
                break
    finally:
        deadline.cancel()


def send(session: SessionBase, sdp: SDPSession) -> None:
    """Send a re-INVITE with an offer.

    Raises:
        PeerFirst: the peer is waiting for our answer to one of its own.
        SIPCoreError: it could not be sent.
    """
    invitation = session._invitation
    assert invitation is not None
    if invitation.state == 'connected' and invitation.sub_state != 'normal':
        raise PeerFirst
    description.reveal(sdp, invitation.peer_address)
    invitation.send_reinvite(contact_header=place.refresh(session, sdp), sdp=sdp)


def _cancel(invitation: Invitation) -> bool:
    """Cancel the re-INVITE, if the core knows of it: it tells when it has sent one, and forgets it with the final response."""
    try:
        invitation.cancel_reinvite()
    except SIPCoreError:
        return False
    return True


async def final_response(session: SessionBase, seconds: float | None, cancellable: bool = False) -> Outcome:
    """Wait for the final response; cancel the re-INVITE after `seconds` or, if it is `cancellable`, when the application wants it: only added streams
    can be taken back.

    Raises:
        OutOfStep: the peer answers nothing at all, does not know the dialog any more, or a 2xx crossed our CANCEL.
    """
    invitation = session._invitation
    assert invitation is not None
    cancelled = cancel_sent = False
    deadline = session._deadline(seconds) if seconds else None
    try:
        while True:
            try:
                event = await session._wait(deadline)
            except (DeadlineExpired, ProposalCancelled) as error:
                if isinstance(error, ProposalCancelled) and (cancelled or not cancellable):
                    continue
                if cancelled:
                    raise OutOfStep('re-INVITE not answered') from error
                cancelled = True
                if deadline is not None:
                    deadline.cancel()
                deadline = session._deadline(session.short_reinvite_timeout)
                cancel_sent = _cancel(invitation)
                continue
            data = event.data
            if event.kind is Kind.SDP and data.succeeded:
                session._local_sdp, session._remote_sdp = data.local_sdp, data.remote_sdp
            elif event.kind is Kind.INVITATION and data.state == 'connected' and data.sub_state == 'sent_proposal':
                if cancelled and not cancel_sent:
                    cancel_sent = _cancel(invitation)
            elif event.kind is Kind.INVITATION and data.state == 'connected' and getattr(data, 'prev_sub_state', None) == 'sent_proposal':
                outcome = Outcome(data.code, data.reason, cancelled)
                break
    finally:
        if deadline is not None:
            deadline.cancel()
    session._post('SIPSessionDidProcessTransaction', originator='local', method='INVITE', code=outcome.code, reason=outcome.reason, ack_received='unknown')
    if outcome.accepted:
        place.told(session)
    if cancelled and outcome.accepted:
        raise OutOfStep('re-INVITE accepted when it was cancelled')
    # RFC 3261 §14.1: all other refusals leave the session as it was. While we move, silence has other reasons, which `network` knows.
    if outcome.code == 481 or outcome.code == 408 and not session._moving:
        raise OutOfStep(outcome.reason)
    return outcome


def apply(session: SessionBase) -> None:
    """Give the running streams the descriptions that an answer of the peer has made. Those whose lines it refuses leave the session (RFC 3264 §6), as if
    it had proposed that: `finish`, or `part`, tells it."""
    assert session._local_sdp is not None and session._remote_sdp is not None
    lost = [stream for stream in session.streams if streamset.refused(stream, session._local_sdp, session._remote_sdp)]
    session.streams = [stream for stream in session.streams if stream not in lost]
    streamset.deactivate(lost)
    session._lost_streams += lost
    streamset.update(session.streams, session._local_sdp, session._remote_sdp)


def finish(session: SessionBase) -> None:
    """The re-INVITE is over."""
    session._advance(Input.PROPOSAL_DONE)
    part(session)


def part(session: SessionBase) -> None:
    """End the streams that the peer has refused, and tell it."""
    lost, session._lost_streams = session._lost_streams, []
    if lost:
        session._post('SIPSessionDidRenegotiateStreams', originator='remote', action='remove', streams=list(lost), added_streams=[],
                      removed_streams=list(lost))
        streamset.end(session, lost)


async def reoffer(session: SessionBase, streams: list[Any]) -> Outcome | None:
    """Offer the given streams of the session anew, with the session not connected yet; None if there was no way to do so."""
    assert session._local_sdp is not None and session._remote_sdp is not None
    session._advance(Input.REOFFER)
    outcome = None
    try:
        for is_second in (False, True):
            send(session, description.next_offer(session._local_sdp, streams, session.streams))
            outcome = await final_response(session, session.short_reinvite_timeout)
            if outcome.code != 491 or is_second:
                break
            await stand_back(session)
    except (PeerFirst, SIPCoreError):
        pass
    if outcome is not None and outcome.accepted:
        apply(session)
    finish(session)
    return outcome
