"""Another network in the middle of a session: the peer is told where we are now.

A session knows the address it is reached at, its place: ours on the way to the next hop of its dialog. Whatever it says to the peer after the network
has changed has the present one, in the contact (a target refresh, RFC 3261 §12.2) and in the descriptions; and if there is nothing else to say, a
re-INVITE is sent for that. The sockets need not be changed: those of the media are bound to every address.

The same re-INVITE brings a dialog onto another connection, where the peer reaches us by that of our registration only and it was lost.

An INVITE of ours that nobody has answered yet is given up, with a CANCEL; one of the peer's is answered with the new contact.

What comes of the re-INVITE:

- it is accepted: the session goes on;
- there is no network: the session waits for one, that is the next NetworkConditionsDidChange;
- 491, 5xx, a connection that cannot be made: it is tried again, a few times;
- nobody answers, or anything else: the session is ended with the reason, if the place has changed (RFC 3261 §12.2.1.2). After a lost connection it
  goes on, as its media do, unless the peer says that it does not know the dialog.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sipsimple.core import SDPSession, SIPCoreError
from sipsimple.session import description, place, reinvite
from sipsimple.session.inputs import Event, Failure, Kind
from sipsimple.session.states import Input, SessionState

if TYPE_CHECKING:
    from sipsimple.session.base import SessionBase
    from sipsimple.session.session import Session

__all__ = ['CHANGED', 'CUT_OFF', 'LOST', 'REGISTERED', 'heard', 'is_cut_off', 'is_due', 'run_move', 'uses_connection']

log = logging.getLogger('sipsimple.session')

# What a session is told of (data of Kind.NETWORK; None: it is time to try again).
CHANGED = 'the network is another one'
LOST = 'the connection of the dialog is lost'
REGISTERED = 'the account is registered again'

CUT_OFF = 'our address changed before the call was answered'

TRIES = 5
FIRST_WAIT = 2.0            # seconds to the second try, each time twice as long


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
    if news is not None:
        session._move_wanted = True
        session._move_tries = 0


async def run_move(session: Session) -> None:
    """Procedure: send a re-INVITE if the peer has to be told where we are."""
    session._move_wanted = False
    if place.new_place(session) is None and not session._connection_lost:
        return
    if not session._try(Input.PROPOSE):
        session._move_wanted = True     # another thread has just started something else; this comes after it
        return
    session._moving = True
    try:
        await _move(session)
    finally:
        session._moving = False


async def _move(session: Session) -> None:
    assert session._local_sdp is not None and session._remote_sdp is not None
    moved = place.new_place(session) is not None
    # RFC 3264 §8: the version of a description tells that it is another one.
    sdp = description.revised(session._local_sdp) if moved else SDPSession.new(session._local_sdp)
    try:
        reinvite.send(session, sdp)
        outcome = await reinvite.final_response(session, None)
    except reinvite.PeerFirst:
        _retry(session, 0.02)           # not at once: the proposal is still on its way to us
        reinvite.finish(session)
        return
    except SIPCoreError as error:
        _failed(session, moved, str(error), True)
        return
    if outcome.accepted:
        session._move_tries = 0
        reinvite.apply(session)
        reinvite.finish(session)
    elif outcome.code == 491:
        _retry(session, reinvite.glare_delay(session))
        reinvite.finish(session)
    else:
        _failed(session, moved, f'{outcome.code} {outcome.reason}', outcome.code >= 500)


def _failed(session: Session, moved: bool, reason: str, passing: bool) -> None:
    session._move_tries += 1
    if passing and session._move_tries < TRIES:
        _retry(session, FIRST_WAIT * 2 ** (session._move_tries - 1))
    elif moved:
        raise Failure(f'the peer cannot be told of our new address: {reason}', bye_reason='network change')
    else:
        log.warning('%s goes on without the connection that was lost: %s', session, reason)
        session._connection_lost = False
    reinvite.finish(session)


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
