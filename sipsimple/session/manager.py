"""`SessionManager`: takes incoming INVITEs, knows all live sessions and ends them when the application stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from sipsimple.core import SIPCoreError
from sipsimple.notification import IObserver, Notification, NotificationCenter, TimestampedNotificationData
from sipsimple.session import active, description, network, replaces
from sipsimple.session.base import log
from sipsimple.session.inputs import Kind
from sipsimple.session.session import Session
from sipsimple.streams import MediaStreamRegistry

__all__ = ['SessionManager']


_OBSERVED = ('SIPInvitationChangedState', 'SIPEngineDidEnd', 'SIPEngineDidFail', 'NetworkConditionsDidChange', 'SIPEngineTransportDidDisconnect',
             'SIPAccountRegistrationDidSucceed')


def _find_account(contact_uri: Any) -> Any:
    from sipsimple.account import AccountManager
    return AccountManager().find_account(contact_uri)


@implementer(IObserver)
class SessionManager:
    """The one manager of all sessions; `SessionManager()` always returns the same object.

    Attributes:
        state: None, 'starting', 'started', 'stopping' or 'stopped'.
        find_account: function that returns the account for the Request-URI of an INVITE, or None. The default asks `AccountManager`.

    Notifications: `SIPSessionManagerWillStart`, `SIPSessionManagerDidStart`, `SIPSessionManagerWillEnd`, `SIPSessionManagerDidEnd`.
    """

    _instance: SessionManager | None = None

    state: str | None
    find_account: Callable[[Any], Any]
    _refused: set[Any]          # invitations answered with an error, kept until they are gone: without a reference they would end without a word

    def __new__(cls) -> SessionManager:
        if cls._instance is None:
            instance = super().__new__(cls)
            instance.state = None
            instance.find_account = _find_account
            instance._refused = set()
            cls._instance = instance
        return cls._instance

    @property
    def sessions(self) -> list[Session]:
        """A copy of the list of live sessions; any thread."""
        return active.sessions()

    def start(self) -> None:
        """Take incoming sessions from now on. `SIPApplication` calls this.

        Raises:
            RuntimeError: the manager is stopping.
        """
        if self.state == 'stopping':
            raise RuntimeError('the session manager is stopping')
        if self.state in ('starting', 'started'):
            return
        self.state = 'starting'
        list(MediaStreamRegistry)           # load the types of streams now: the first call must not wait for that
        self._post('SIPSessionManagerWillStart')
        for name in _OBSERVED:
            NotificationCenter().add_observer(self, name=name)
        self.state = 'started'
        self._post('SIPSessionManagerDidStart')

    def stop(self) -> Any:
        """End all sessions. `SIPApplication` calls this.

        Returns:
            An event whose `wait()`, in a green thread, returns when no session lives any more.
        """
        from sipsimple.threading import call_in_twisted_thread
        from sipsimple.threading.green import Event
        done: Event[None] = Event()
        call_in_twisted_thread(self._stop, done.send)
        return done

    def _stop(self, done: Callable[[], object]) -> None:
        if self.state != 'started':
            if self.state == 'stopping':
                active.call_when_empty(done)
            else:
                done()
            return
        self.state = 'stopping'
        self._post('SIPSessionManagerWillEnd')
        for session in active.sessions():
            session.end()

        def finish() -> None:
            for name in _OBSERVED:
                NotificationCenter().discard_observer(self, name=name)
            self.state = 'stopped'
            self._post('SIPSessionManagerDidEnd')
            done()
        active.call_when_empty(finish)

    def _post(self, name: str) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData())

    def handle_notification(self, notification: Notification) -> None:
        """Take an INVITE, in the thread that serves the events of the core; there is no more here than what cannot wait."""
        data = notification.data
        match notification.name:
            case 'SIPInvitationChangedState':
                self._invitation_changed(notification, data)
            case 'NetworkConditionsDidChange':
                description.forget_routes()
                self._tell(network.CHANGED if data.changed else network.WOKEN, lambda session: True)
            case 'SIPEngineTransportDidDisconnect':
                self._tell(network.LOST, lambda session: network.uses_connection(session, data.transport, data.remote_address))
            case 'SIPAccountRegistrationDidSucceed':
                self._tell(network.REGISTERED, lambda session: session._connection_lost and session.account is notification.sender)
            case _:
                # Without the engine nothing will ever be heard of the dialogs again.
                for session in active.sessions():
                    session.end()

    @staticmethod
    def _tell(news: str, concerns: Callable[[Session], bool]) -> None:
        for session in active.sessions():
            if concerns(session):
                session._send(Kind.NETWORK, news)

    def _invitation_changed(self, notification: Notification, data: Any) -> None:
        if data.state == 'disconnected':
            self._refused.discard(notification.sender)
        elif data.state == 'incoming' and data.prev_state is None:
            # The session listens from here on: a CANCEL may be next in the queue.
            session = Session(None)
            session._attach(notification.sender)
            invitation = notification.sender
            session._send_soon(Kind.RUN, lambda: self._received(session, invitation, data))

    def _received(self, session: Session, invitation: Any, data: Any) -> None:
        """Answer an INVITE, or make it a session. It runs as an event of the session: what observers of `SIPSessionNewIncoming` call is done when all
        of them have heard of it."""
        try:
            code = self._admit(session, invitation, data)
        except Exception:
            log.exception('incoming session failed')
            code = 500
        if code is not None:
            session._disown()
            self._refused.add(invitation)
            try:
                invitation.send_response(code)
            except SIPCoreError as error:
                self._refused.discard(invitation)
                log.debug('cannot send %d: %s', code, error)        # cancelled meanwhile

    def _admit(self, session: Session, invitation: Any, data: Any) -> int | None:
        """Return the code to refuse the INVITE with; None if it became a session."""
        if invitation.state != 'incoming':
            session._disown()           # cancelled before anybody heard of it
            return None
        if self.state != 'started':
            return 480
        account = self.find_account(data.request_uri)
        if account is None:
            return 404
        replaced = None
        header = data.headers.get('Replaces')
        if header is not None:
            replaced = replaces.find_replaced(header, active.sessions())
            if replaced is None:
                return 481
            if replaces.is_ending(replaced):
                return 603
        session.account = account
        session._receive(invitation, data, replaced)
        return None
