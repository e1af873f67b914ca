"""Hold and unhold. The application states a wish; the peer learns of it with the next re-INVITE that can be sent. The last wish wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPCoreError
from sipsimple.session import description, reinvite, streamset
from sipsimple.session.inputs import Event, Kind
from sipsimple.session.states import Input

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['change_wish', 'check', 'held_remotely', 'run_hold']


def _holdable(streams: list[Any]) -> list[Any]:
    return [stream for stream in streams if stream.hold_supported]


def change_wish(session: Session, wish: bool) -> None:
    """Take a call of `hold` or `unhold`; media stops at once."""
    coming = next((known for known in (session._hold_wish, session._hold_sent) if known is not None), None)
    if wish == coming if coming is not None else _is_fulfilled(session, wish):
        return
    session._hold_wish = wish
    _tell(_holdable([*session.streams, *(session.proposed_streams or ())]), wish)


def _is_fulfilled(session: Session, wish: bool) -> bool:
    """Whether it is so already. Streams that were added during a hold are not held: another `hold` is for them."""
    return wish == session._on_hold and not (wish and any(not stream.on_hold_by_local for stream in _holdable(session.streams)))


def _tell(streams: list[Any], wish: bool) -> None:
    for stream in streams:
        streamset.hold(stream, wish)


async def run_hold(session: Session) -> None:
    """Procedure: tell the peer what the application wishes."""
    streams = _holdable(session.streams)
    if session._hold_wish is None or _is_fulfilled(session, session._hold_wish) or not streams:
        session._hold_wish = None
        return
    if not session._try(Input.PROPOSE):
        return                          # another thread has just started something else; this comes after it
    wish = session._hold_sent = session._hold_wish
    _tell(streams, wish)                # there may be streams now that were not there when the application called
    session._hold_wish = None
    try:
        await _propose(session, wish, streams)
    finally:
        session._hold_sent = None


async def _propose(session: Session, wish: bool, streams: list[Any]) -> None:
    assert session._local_sdp is not None and session._remote_sdp is not None
    failure = None
    try:
        reinvite.send(session, description.next_offer(session._local_sdp, streams, session.streams))
        outcome = await reinvite.final_response(session, session.short_reinvite_timeout)
    except reinvite.PeerFirst:
        # Not at once: the proposal is still on its way to us.
        _retry(session, wish, 0.02)
        reinvite.finish(session)
        return
    except SIPCoreError as error:
        # It may be a proposal of the peer that only the native part knows of by now.
        if session._hold_tries < 3:
            session._hold_tries += 1
            _retry(session, wish, 0.1)
            reinvite.finish(session)
            return
        failure = f'SIP core error: {error}'
    else:
        if outcome.code == 491:
            _retry(session, wish, reinvite.glare_delay(session))
            reinvite.finish(session)
            return
        if not outcome.accepted:
            failure = 'timeout' if outcome.cancelled else f'{outcome.code} {outcome.reason}'
    session._hold_tries = 0
    if failure is None:
        session._on_hold = wish
        reinvite.apply(session)
    elif session._hold_wish is None:
        # The peer goes on as before, and so do we: nobody must believe in a hold that is not there.
        for stream in streams:
            streamset.hold(stream, stream.on_hold_by_local)
    reinvite.finish(session)
    if failure is None:
        partial = wish and any(not stream.on_hold_by_local for stream in _holdable(session.streams))
        session._post('SIPSessionDidChangeHoldState', originator='local', on_hold=wish, partial=partial)
        check(session)
    else:
        session._post('SIPSessionHadProposalFailure', originator='local', failure_reason=failure, streams=streams)


def _retry(session: Session, wish: bool, seconds: float) -> None:
    """Keep the wish, unless the application has another one by now; look at it again after `seconds`."""
    if session._hold_wish is None:
        session._hold_wish = wish
    session._hold_timer = session.scheduler.call_later(seconds, session._inbox.put, Event(Kind.HOLD))


def held_remotely(session: Session) -> frozenset[Any]:
    """Return the streams that the peer has on hold."""
    return frozenset(stream for stream in session.streams if stream.on_hold_by_remote)


def check(session: Session) -> None:
    """Post if the peer has other streams on hold than it had, or if the last stream is gone that we had on hold."""
    if session._on_hold and not any(stream.on_hold_by_local for stream in session.streams):
        session._on_hold = False
        session._post('SIPSessionDidChangeHoldState', originator='local', on_hold=False, partial=False)
    held = held_remotely(session)
    if held == session._held_remotely:
        return
    session._held_remotely = held
    partial = bool(held) and any(stream.hold_supported and not stream.on_hold_by_remote for stream in session.streams)
    session._post('SIPSessionDidChangeHoldState', originator='remote', on_hold=bool(held), partial=partial)
