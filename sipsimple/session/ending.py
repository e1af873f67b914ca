"""The one way out: every session, from whatever state and for whatever reason, ends here.

What is posted depends on how far the session came:

- it was never answered: `SIPSessionDidFail`;
- it was answered, and then the user or the peer ended it: `SIPSessionWillEnd`, `SIPSessionDidEnd`;
- it was answered, but something of ours broke before it started: `SIPSessionDidFail`; afterwards: `SIPSessionWillEnd`, `SIPSessionDidEnd`.

Streams are deactivated before the dialog is closed and ended after it, so that none mistakes the peer's closing of a transport for an error.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sipsimple.core import ReasonHeader, SIPCoreError, sip_status_messages
from sipsimple.session import active, streamset, transferee, transferor
from sipsimple.session.inputs import Disconnected, EndRequested, Failure, Kind, NextEvent
from sipsimple.session.states import Input

if TYPE_CHECKING:
    from sipsimple.core import Invitation
    from sipsimple.session.base import Procedure
    from sipsimple.session.session import Session

__all__ = ['USER_REQUEST', 'abandon', 'answered', 'close_invite', 'invite_answered', 'invite_refused', 'phrase', 'procedure_for', 'run_end', 'run_reject']

log = logging.getLogger('sipsimple.session')

USER_REQUEST = 'user_request'
"""The public spelling; the core's is 'user request'."""

BYE_TIMEOUT = 1
"""Seconds the peer has to answer our BYE or CANCEL."""

_GUARD = 15
"""Seconds after which the session ends even if the core reports nothing. It always does, after BYE_TIMEOUT at the latest; but hundreds of
calls that are ended at once keep the thread busy that serves its report, and whether the BYE was answered is not to be lost then."""


def phrase(code: int) -> str:
    """Return the standard phrase for a status code, '' for a code without one."""
    try:
        return sip_status_messages[code]
    except (IndexError, KeyError):
        return ''


def public_reason(data: Any) -> str:
    """Return the reason for which the core says the dialog is gone, in the words of this package."""
    reason: str = data.disconnect_reason or data.reason or ''
    return USER_REQUEST if reason == 'user request' else reason


def procedure_for(session: Session, error: Exception) -> Procedure:
    """Return the procedure that ends a session in which an operation was broken off by `error`."""
    match error:
        case EndRequested():
            return run_end(session)
        case Disconnected():
            return _run_disconnected(session, error.data)
        case Failure():
            return _run_failure(session, error)
        case SIPCoreError():
            log.warning('session ended by an error of the core', exc_info=error)
            return _run_failure(session, Failure(f'SIP core error: {error}', response=500))
        case _:
            log.error('session ended by an internal error', exc_info=error)
            return _run_failure(session, Failure('internal error', response=500))


def _all_streams(session: Session) -> list[Any]:
    return list(session._observed)


async def gone(session: Session, seconds: float) -> Any | None:
    """Wait until the dialog is gone, at most `seconds`; return the data of that notification, None if it did not come."""
    if session._gone is not None:
        return session._gone
    deadline = session._deadline(seconds)
    try:
        while True:
            event = await NextEvent()
            if event.kind is Kind.INVITATION and event.data.state == 'disconnected':
                return event.data
            if event.kind is Kind.INVITATION and event.data.state == 'connecting' and session.direction == 'outgoing':
                answered(session, event.data.code, event.data.reason)       # it was in the queue behind what ended the session
            if event.kind is Kind.TIMER and event.source is deadline:
                return None
    finally:
        deadline.cancel()


def _finish(session: Session) -> None:
    """Nothing more will happen: let go of the dialog and reach the last state."""
    session.proposed_streams = None
    for timer in (session._hold_timer, session._move_timer, session._trying_timer):
        if timer is not None:
            timer.cancel()
    # The core says this as well, before the dialog is gone, unless it is gone itself.
    if session.transfer_handler.direction == 'outgoing':
        transferor.fail(session, 0, 'the dialog ended')
    else:
        transferee.lost(session, 0, 'the dialog ended')
    session._detach()
    session._local_sdp = session._remote_sdp = session._local_offer = None
    session._fire(Input.FINISHED)
    active.remove(session)


def failed(session: Session, originator: str, code: int, reason: str | None, failure_reason: str, redirect_identities: list[Any] | None = None) -> None:
    """Post that the session failed; streams end last."""
    proposed = session.proposed_streams
    _finish(session)
    session.proposed_streams = proposed         # observers may want to know what did not come to be
    session._post('SIPSessionDidFail', originator=originator, code=code, reason=reason, failure_reason=failure_reason,
                  redirect_identities=redirect_identities)
    streamset.end(session, _all_streams(session))
    active.settle()


def _ended(session: Session, originator: str, end_reason: str) -> None:
    _finish(session)
    session.end_time = datetime.now().astimezone()
    session._post('SIPSessionDidEnd', originator=originator, end_reason=end_reason)
    streamset.end(session, _all_streams(session))
    active.settle()


def invite_answered(session: Session, code: int, ack_received: bool | str, reason: str | None = None) -> None:
    """Post that a transaction with an INVITE of the peer is over."""
    session._post('SIPSessionDidProcessTransaction', originator='remote', method='INVITE', code=code, reason=reason or phrase(code), ack_received=ack_received)


def invite_refused(session: Session, data: Any) -> None:
    """Post that a transaction with an INVITE of ours is over; it had no 2xx."""
    session._post('SIPSessionDidProcessTransaction', originator='local', method='INVITE', code=data.code, reason=data.reason, ack_received='unknown')


def answered(session: Session, code: int, reason: str) -> None:
    """A 2xx to the INVITE was sent or received."""
    session._answered = session._invite_open = True
    session._final = (code, reason)


def close_invite(session: Session, ack_received: bool | str) -> None:
    """Post that the transaction with the INVITE is over, once; it had a 2xx."""
    if session._invite_open:
        session._invite_open = False
        code, reason = session._final
        session._post('SIPSessionDidProcessTransaction', originator='remote' if session.direction == 'incoming' else 'local', method='INVITE', code=code,
                      reason=reason, ack_received=ack_received)


def cancelled(session: Session, data: Any) -> None:
    """The caller gave up before we answered."""
    invite_answered(session, 487, 'unknown', 'Session Cancelled')
    failed(session, 'remote', 487, 'Session Cancelled', public_reason(data))


def _used(invitation: Invitation) -> bool:
    """Return whether an INVITE was sent or received. The state does not tell: it follows when the event is served."""
    return invitation.direction is not None


async def _hang_up(session: Session, reason: str | None) -> Any | None:
    """Send BYE or CANCEL, and wait for the dialog to go; return what the core reports of it."""
    invitation = session._invitation
    if invitation is None or not _used(invitation):
        return None
    try:
        if invitation.state not in ('disconnecting', 'disconnected'):
            headers: list[Any] = [ReasonHeader('SIP', {'cause': '500', 'text': f'"{reason}"'})] if reason is not None else []
            invitation.end(extra_headers=headers, timeout=BYE_TIMEOUT)
    except SIPCoreError as error:
        # The peer was faster; what happened is in the queue.
        log.debug('cannot end the dialog: %s', error)
    return await gone(session, _GUARD)


async def run_end(session: Session) -> None:
    """Procedure: the application, or a limit it has set, ends the session."""
    session._fire(Input.END)
    invitation = session._invitation
    streams = _all_streams(session)
    if session._answered:
        session._post('SIPSessionWillEnd', originator='local')
        streamset.deactivate(streams)
        data = await _hang_up(session, None)
        close_invite(session, 'unknown')
        if data is not None and data.originator == 'remote' and getattr(data, 'method', None) == 'BYE':
            # Both hung up at the same time.
            session._post('SIPSessionDidProcessTransaction', originator='remote', method='BYE', code=200, reason=phrase(200))
        elif data is not None:
            # Of a BYE that was answered with 200 the core reports why the dialog ended, not the phrase of the response.
            reason = phrase(200) if data.code == 200 else data.reason
            session._post('SIPSessionDidProcessTransaction', originator='local', method='BYE', code=data.code, reason=reason)
        _ended(session, 'local', USER_REQUEST)
        return
    streamset.deactivate(streams)
    if invitation is None or not _used(invitation):
        failed(session, 'local', 487, 'Session Cancelled', USER_REQUEST)
    elif session.direction == 'incoming':
        await run_reject(session, 480, None)
    else:
        data = await _hang_up(session, None)
        if data is not None:
            invite_refused(session, data)
        failed(session, 'local', 487, 'Session Cancelled', USER_REQUEST)


async def run_reject(session: Session, code: int, reason: str | None) -> None:
    """Procedure: refuse an incoming session. The state is `terminating` already."""
    invitation = session._invitation
    assert invitation is not None
    try:
        invitation.send_response(code, reason)
    except SIPCoreError as error:
        log.debug('cannot refuse the session: %s', error)       # the caller's CANCEL was faster; it is in the queue
    data = await gone(session, BYE_TIMEOUT)
    if data is not None and data.originator == 'remote' and data.code == 487 != code:
        cancelled(session, data)
        return
    missing = data is None or data.disconnect_reason in ('timeout', 'missing ACK')
    # The core may end the dialog before the ACK comes.
    acknowledged = False if missing else True if getattr(data, 'method', None) == 'ACK' else 'unknown'
    invite_answered(session, code, acknowledged)
    failed(session, 'local', code, phrase(code), 'timeout' if missing else USER_REQUEST)


async def _run_disconnected(session: Session, data: Any) -> None:
    """Procedure: the dialog is gone, without us having asked for it."""
    session._fire(Input.FAILED)
    streams = _all_streams(session)
    reason = public_reason(data)
    if not session._answered:
        streamset.deactivate(streams)
        if session.direction == 'incoming':
            if data.originator == 'remote':
                cancelled(session, data)
            else:
                failed(session, 'local', data.code, data.reason, reason)
            return
        invite_refused(session, data)
        redirect = list(data.headers.get('Contact', ())) if data.originator == 'remote' and 300 <= data.code < 400 else None
        failed(session, data.originator or 'local', data.code, data.reason, reason, redirect)
    elif data.disconnect_reason == 'missing ACK' and session.start_time is None:
        streamset.deactivate(streams)
        close_invite(session, False)
        failed(session, 'local', 200, phrase(200), 'missing ACK')
    elif data.originator != 'remote' and session.start_time is None:
        # The core could not use the peer's answer, and has hung up.
        streamset.deactivate(streams)
        close_invite(session, 'unknown')
        failed(session, 'local', data.code, data.reason, reason)
    else:
        originator = data.originator or 'local'
        session._post('SIPSessionWillEnd', originator=originator)
        streamset.deactivate(streams)
        close_invite(session, 'unknown')
        if originator == 'remote':
            session._post('SIPSessionDidProcessTransaction', originator='remote', method='BYE', code=200, reason=phrase(200))
        _ended(session, originator, reason)


def abandon(session: Session) -> None:
    """End a session whose way out failed: no more signalling."""
    if not session._try(Input.FAILED):
        return                      # it is over already
    session._detach()
    if session.start_time is None:
        failed(session, 'local', 0, None, 'internal error')
    else:
        _ended(session, 'local', 'internal error')


async def _run_failure(session: Session, failure: Failure) -> None:
    """Procedure: something of ours does not work."""
    session._fire(Input.FAILED)
    started = session.start_time is not None
    if started:
        session._post('SIPSessionWillEnd', originator='local')
    streams = _all_streams(session)
    streamset.deactivate(streams)
    invitation = session._invitation
    if session.direction == 'incoming' and not session._answered and invitation is not None and invitation.state in ('incoming', 'early'):
        try:
            invitation.send_response(failure.response)
        except SIPCoreError as error:
            log.debug('cannot refuse the session: %s', error)
        else:
            data = await gone(session, BYE_TIMEOUT)
            invite_answered(session, failure.response, 'unknown' if data is not None else False)
    else:
        # The reason goes with a BYE; whether it is one is better known to the core, which may have an answer that we have not handled yet.
        data = await _hang_up(session, failure.bye_reason)
        close_invite(session, 'unknown')
        if data is not None:
            extra = {} if session._answered else {'ack_received': 'unknown'}
            session._post('SIPSessionDidProcessTransaction', originator='local', method='BYE' if session._answered else 'INVITE', code=data.code,
                          reason=data.reason, **extra)
    if started:
        _ended(session, 'local', failure.failure_reason)
    else:
        failed(session, 'local', failure.code, failure.reason, failure.failure_reason)
