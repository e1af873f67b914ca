"""The side of a transfer that is asked: a new session to where the peer's REFER points, and NOTIFY requests that tell how it goes. RFC 3515, RFC 5589."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.core import DialogID, FrozenReplacesHeader, SIPCoreError, SIPURI, ToHeader
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.session.base import log
from sipsimple.session.routing import find_routes
from sipsimple.session.transfer import TransferInfo, TransferInput, TransferState
from sipsimple.streams import AudioStream
from sipsimple.threading.green import run_in_green_thread

if TYPE_CHECKING:
    from sipsimple.core import Route
    from sipsimple.session.session import Session

__all__ = ['Wanted', 'asked', 'fail', 'follow', 'lost', 'refuse']

_FOLLOWED = ('SIPSessionGotProvisionalResponse', 'SIPSessionDidStart', 'SIPSessionDidFail')


class Wanted:
    """What a REFER asks for.

    Args:
        headers: the header fields of the REFER.
        peer: URI of who sent it, for a REFER without `Referred-By`.
    Attributes:
        adds: it says INVITE in so many words, and nobody's call is to be replaced: a participant of a conference asks for another one (RFC 4579 section 5.5).
    Raises:
        ValueError: the target is not a SIP URI that can be called.
    """

    def __init__(self, headers: Any, peer: Any) -> None:
        refer_to = headers['Refer-To']
        uri = SIPURI.parse(refer_to.uri)
        method = uri.parameters.pop('method', None) or refer_to.parameters.get('method')
        if (method or 'INVITE').upper() != 'INVITE':
            raise ValueError(f'not a call: {uri}')
        self.adds = method is not None and 'Replaces' not in uri.headers
        referred_by = headers.get('Referred-By')
        dialog_id = None
        if 'Replaces' in uri.headers:
            replaces = FrozenReplacesHeader.parse(uri.headers['Replaces'] or '')
            dialog_id = DialogID(replaces.call_id, replaces.from_tag, replaces.to_tag)
        uri.headers.clear()
        self.target = uri
        self.info = TransferInfo(referred_by.body if referred_by is not None else f'<{peer}>', dialog_id)

    @property
    def destination(self) -> SIPURI:
        """The target as it is shown: without parameters."""
        return SIPURI(host=self.target.host, user=self.target.user, port=self.target.port, secure=self.target.secure)


def asked(session: Session, data: Any) -> None:
    """A REFER has come, which the core has answered with 202 and NOTIFY of "100 Trying"."""
    peer = session.remote_identity.uri
    session.transfer_handler._dialog = 'incoming'
    try:
        wanted = Wanted(data.headers, peer)
    except (ValueError, SIPCoreError) as error:
        log.info('transfer refused: %s', error)
        _tell(session, 400, None)
        return
    if not session.transfer_handler._try(TransferInput.ASKED):
        _tell(session, 480, None)               # ours is running
        return
    session.transfer_handler.new_session = None
    session._wanted = wanted
    session._post('SIPSessionTransferNewIncoming', transfer_destination=wanted.destination, transfer_source=peer)


def refuse(session: Session, code: int, reason: str) -> None:
    """The application does not want it. The handler is `failed` already."""
    _tell(session, code, reason)
    session._post('SIPSessionTransferDidFail', code=code, reason=reason)


def lost(session: Session, code: int, reason: str) -> None:
    """The dialog is gone, or the peer does not want to hear any more. A call that is being made goes on all the same: RFC 5589 §6."""
    if session.transfer_handler._machine.state is TransferState.ASKED:          # it may be that of a later one
        _failed(session, code, reason)


def fail(session: Session, code: int, reason: str, told: int | None = None) -> None:
    """The target could not be called; the session goes on. `told` is the code for the peer, if it is another one."""
    _tell(session, told or code, reason)
    _failed(session, code, reason)


def _failed(session: Session, code: int, reason: str) -> None:
    if session.transfer_handler._try(TransferInput.FAILURE):
        session._post('SIPSessionTransferDidFail', code=code, reason=reason)


def _tell(session: Session, code: int, reason: str | None) -> None:
    """Send a NOTIFY, if the peer still listens."""
    invitation = session._invitation
    if invitation is None:
        return
    try:
        invitation.notify_transfer_progress(code, reason)
    except SIPCoreError as error:
        log.debug('cannot tell the peer of the transfer: %s', error)


# Making the call

def follow(session: Session) -> None:
    """Call the target. The handler is `started` already."""
    wanted = session._wanted
    assert wanted is not None
    session._post('SIPSessionTransferDidStart')
    _look_up(session, wanted)


@run_in_green_thread
def _look_up(session: Session, wanted: Wanted) -> None:
    try:
        _call(session, wanted, find_routes(session.account, wanted.target))
    except DNSLookupError as error:
        fail(session, 0, str(error), told=480)
    except Exception as error:
        log.exception('transfer failed')
        fail(session, 500, f'internal error: {error}')


def _call(session: Session, wanted: Wanted, routes: list[Route]) -> None:
    new = type(session)(session.account)
    session.transfer_handler.new_session = new
    joins = session.local_focus and wanted.adds         # the conference; the call that asks for it stays
    follower = _Follower(session, new, joins)
    try:
        new.connect(ToHeader(wanted.target), routes, [AudioStream()], is_focus=joins, transfer_info=wanted.info)
    except Exception:
        follower.stop()
        raise


@implementer(IObserver)
class _Follower:
    """Carries what becomes of the new session to the old one and to its peer. The notification centre keeps it alive.

    Args:
        both: the old one goes on beside the new one.
    """

    def __init__(self, old: Session, new: Session, both: bool) -> None:
        self.old = old
        self.new = new
        self.both = both
        for name in _FOLLOWED:
            NotificationCenter().add_observer(self, name=name, sender=new)

    def stop(self) -> None:
        """Hear no more."""
        for name in _FOLLOWED:
            NotificationCenter().discard_observer(self, name=name, sender=self.new)

    def handle_notification(self, notification: Notification) -> None:
        """Reactor thread, inside an event of the new session."""
        session, data = self.old, notification.data
        if notification.name == 'SIPSessionGotProvisionalResponse':
            if data.code > 100:                 # that one was sent with the 202
                _tell(session, data.code, data.reason)
            return
        self.stop()
        if notification.name == 'SIPSessionDidFail':
            fail(session, data.code or 500, data.reason or data.failure_reason)
            return
        _tell(session, 200, 'OK')
        if session.transfer_handler._try(TransferInput.SUCCESS):
            session._post('SIPSessionTransferDidEnd')
        if not self.both:
            session.end()
