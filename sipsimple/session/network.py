"""Another network in the middle of a session: the peer is told where we are now.

A session knows the address it is reached at, its place: ours on the way to the next hop of its dialog. Whatever it says to the peer after the network
has changed has the present one, in the contact (a target refresh, RFC 3261 §12.2) and in the descriptions; and if there is nothing else to say, a
re-INVITE is sent for that. Sockets without ICE need not be changed: they are bound to every address. With ICE the candidates are wrong, and relays lost:
the re-INVITE begins ICE anew with other sockets, see `streams.rtp.restart`. A description that goes out before that has the old candidates still.

The same re-INVITE brings a dialog onto another connection, where the peer reaches us by that of our registration only and it was lost.

An INVITE of ours that nobody has answered yet is given up, with a CANCEL; one of the peer's is answered with the new contact.

What comes of the re-INVITE:

- it is accepted: the session goes on;
- there is no network: the session waits for one, that is the next NetworkConditionsDidChange;
- the new candidates are not acceptable (488, 606): it is sent once more without ICE, as the peer may take that;
- 491, 5xx, a connection that cannot be made: it is tried again, a few times;
- nobody answers, or anything else: the session is ended with the reason, if the place has changed (RFC 3261 §12.2.1.2). After a lost connection it
  goes on, as its media do, unless the peer says that it does not know the dialog.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sipsimple.core import SDPSession, SIPCoreError
from sipsimple.session import description, place, reinvite, streamset
from sipsimple.session.inputs import Event, Failure, Kind
from sipsimple.session.states import Input, SessionState

if TYPE_CHECKING:
    from sipsimple.session.base import SessionBase
    from sipsimple.session.session import Session

__all__ = ['CHANGED', 'CUT_OFF', 'LOST', 'REGISTERED', 'RESTARTED', 'WOKEN', 'heard', 'is_cut_off', 'is_due', 'run_move', 'uses_connection']

log = logging.getLogger('sipsimple.session')

# What a session is told of (data of Kind.NETWORK; None: it is time to try again).
CHANGED = 'the network is another one'
LOST = 'the connection of the dialog is lost'
WOKEN = 'the system has slept'
REGISTERED = 'the account is registered again'
RESTARTED = 'the peer has begun ICE anew by UPDATE, which the core has answered with what we had'

CUT_OFF = 'our address changed before the call was answered'

TRIES = 5
FIRST_WAIT = 2.0            # seconds to the second try, each time twice as long
NOT_ACCEPTABLE = frozenset((488, 606))      # the description, that is


def uses_connection(session: SessionBase, transport: str, remote_address: str) -> bool:
    """Return whether the dialog's messages come over that connection."""
    invitation = session._invitation
    if invitation is None or invitation.transport != transport or invitation.peer_address is None:
        return False
    peer = invitation.peer_address
    return remote_address == (f'[{peer.ip}]:{peer.port}' if ':' in peer.ip else f'{peer.ip}:{peer.port}')


def heard(session: Session, news: str | None) -> None:
    """Something has happened to the network; reactor thread."""
    if news == LOST:
        if not session._moving:         # or it is what the re-INVITE under way is about
            session._connection_lost = True
        return
    if news == REGISTERED and not session._connection_lost:
        return
    if session._move_timer is not None:
        session._move_timer.cancel()
        session._move_timer = None
    if news == RESTARTED or news == WOKEN and any(getattr(stream, 'ice_may_be_lost', False) for stream in session.streams):
        session._ice_outdated = True
    if news == streamset.FOUND:
        session._ice_found = True
    if news is not None:
        session._move_wanted = True
        session._move_tries = 0


async def run_move(session: Session) -> None:
    """Procedure: send a re-INVITE if the peer has to be told where we are."""
    session._move_wanted = False
    if place.new_place(session) is None and not session._connection_lost and not session._ice_outdated and not _found(session):
        return
    if not session._try(Input.PROPOSE):
        session._move_wanted = True     # another thread has just started something else; this comes after it
        return
    session._moving = True
    try:
        await _move(session)
    finally:
        session._moving = False


def _found(session: Session) -> list[Any]:
    """Return the streams for which ICE has begun anew and chosen addresses that the peer was not told: that is told as at the start of a call."""
    return [stream for stream in session.streams if getattr(stream, 'ice_reoffer_needed', False)] if session._ice_found else []


async def _move(session: Session) -> None:
    moved = place.new_place(session) is not None
    restarted = await streamset.restart_ice(session, session.streams) if moved or session._ice_outdated else []
    session._ice_outdated = bool(restarted)
    try:
        outcome = await _tell(session, restarted or _found(session))
        if outcome.code in NOT_ACCEPTABLE and restarted:
            streamset.leave_ice(restarted)
            outcome = await _tell(session, restarted)
        if outcome.accepted:
            session._move_tries = 0
            session._ice_outdated = session._ice_found = False
            reinvite.apply(session)
    except reinvite.PeerFirst:
        _retry(session, 0.02)           # not at once: the proposal is still on its way to us
    except SIPCoreError as error:
        _failed(session, moved, str(error), True)
    else:
        if outcome.code == 491:
            _retry(session, reinvite.glare_delay(session))
        elif not outcome.accepted:
            _failed(session, moved, f'{outcome.code} {outcome.reason}', outcome.code >= 500)
    finally:
        streamset.keep_ice(restarted)   # no effect on what the peer has taken
    reinvite.finish(session)


async def _tell(session: Session, streams: list[Any]) -> reinvite.Outcome:
    """Send the re-INVITE, with new lines of the given streams, and wait for its final response."""
    assert session._local_sdp is not None
    if streams:
        sdp = description.next_offer(session._local_sdp, streams, session.streams)
    elif place.new_place(session) is not None:
        sdp = description.revised(session._local_sdp)       # RFC 3264 §8: the version of a description tells that it is another one
    else:
        sdp = SDPSession.new(session._local_sdp)
    reinvite.send(session, sdp)
    return await reinvite.final_response(session, None)


def _failed(session: Session, moved: bool, reason: str, passing: bool) -> None:
    session._move_tries += 1
    if passing and session._move_tries < TRIES:
        _retry(session, FIRST_WAIT * 2 ** (session._move_tries - 1))
    elif moved:
        raise Failure(f'the peer cannot be told of our new address: {reason}', bye_reason='network change')
    else:
        log.warning('%s goes on as it is, though the peer was told nothing: %s', session, reason)
        session._connection_lost = session._ice_outdated = session._ice_found = False


def _retry(session: Session, seconds: float) -> None:
    session._move_wanted = True
    session._move_timer = session.scheduler.call_later(seconds, session._inbox.put, Event(Kind.NETWORK))


def is_cut_off(session: Session) -> bool:
    """Return whether an INVITE of ours waits for an answer that cannot come: it would go where the INVITE came from (RFC 3261 §18.2.2)."""
    invitation = session._invitation
    return session.state is SessionState.OUTGOING and not session._answered and session._move_wanted \
        and invitation is not None and invitation.state in ('outgoing', 'early') and place.new_place(session) is not None


def is_due(session: Session) -> bool:
    """Return whether `run_move` is to be started."""
    return session._move_wanted and session._move_timer is None and session.state is SessionState.CONNECTED
