"""Account: a SIP account at a provider; settings and services in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.account import settings as groups
from sipsimple.account.registration import Registrar
from sipsimple.configuration import Setting, SettingsObject, SettingsObjectID
from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.core import ContactURIFactory, Credentials, Engine, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread
from sipsimple.threading.green import Lock, call_in_green_thread

if TYPE_CHECKING:
    from sipsimple.notification import Notification

__all__ = ['Account', 'AccountLife']

NOT_YET = 'presence, dialog and message-summary subscriptions and publications are not implemented yet'


@implementer(IObserver)
class AccountLife:
    """What Account and BonjourAccount share: activation follows `enabled` and start()/stop().

    Activation and deactivation never overlap: each runs as a green procedure under one lock and looks at what is wanted
    when its turn comes.
    """

    enabled: Any

    def _setup_life(self) -> None:
        self._started = False
        self._active = False
        self._life_lock = Lock()
        NotificationCenter().add_observer(self, sender=self)
        NotificationCenter().add_observer(self, name='SIPEngineDidStart')

    def start(self) -> None:
        """Activate if enabled, now and later. Thread: any; called by the AccountManager."""
        self._started = True
        call_in_green_thread(self._update_active)

    def stop(self) -> None:
        """Deactivate; waits. Thread: a green thread; called by the AccountManager."""
        self._started = False
        self._update_active()

    def forget(self) -> None:
        """Hear of nothing any more: the account is gone, or the application has ended. Called by the AccountManager."""
        NotificationCenter().discard_observer(self, sender=self)
        NotificationCenter().discard_observer(self, name='SIPEngineDidStart')

    def _update_active(self) -> None:
        with self._life_lock:
            wanted = self._started and bool(self.enabled) and Engine().is_running
            if wanted and not self._active:
                self._post('SIPAccountWillActivate')
                self._active = True
                self._activate()
                self._post('SIPAccountDidActivate')
            elif self._active and not (self._started and self.enabled):
                self._post('SIPAccountWillDeactivate')
                self._active = False
                self._deactivate()
                self._post('SIPAccountDidDeactivate')

    def _activate(self) -> None:
        """Start the services. Thread: green."""

    def _deactivate(self) -> None:
        """Stop the services and wait for them. Thread: green."""

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**data))

    def handle_notification(self, notification: Notification) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            call_in_twisted_thread(handler, notification)

    def _NH_SIPEngineDidStart(self, notification: Notification) -> None:
        if self._started:
            call_in_green_thread(self._update_active)

    def _NH_CFGSettingsObjectDidChange(self, notification: Notification) -> None:
        if 'enabled' in notification.data.modified:
            call_in_green_thread(self._update_active)


class Account(AccountLife, SettingsObject):
    """A SIP account; `Account('user@domain')` is the one object for that address.

    An address that no account has makes a new account, which `save()` stores. See AccountManager for the list of accounts.
    Notifications: the SIPAccount... family of the middleware API; CFGSettingsObjectDidChange.
    """

    __group__ = 'Accounts'
    __id__ = SettingsObjectID(type=SIPAddress)

    id = __id__
    enabled = Setting(type=bool, default=False)
    display_name = Setting(type=str, default=None, nillable=True)
    auth = groups.AuthSettings
    sip = groups.SIPSettings
    rtp = groups.RTPSettings
    nat_traversal = groups.NATTraversalSettings
    message_summary = groups.MessageSummarySettings
    msrp = groups.MSRPSettings
    presence = groups.PresenceSettings
    xcap = groups.XCAPSettings
    tls = groups.TLSSettings

    def _migrate(self, state: dict[str, Any]) -> dict[str, Any]:
        return groups.migrate_account(state)

    def __init__(self, id: str) -> None:
        self.contact = ContactURIFactory()
        self._registrar = Registrar(self)
        self._setup_life()
        from sipsimple.account.manager import AccountManager
        AccountManager().adopt(self)

    # ---- what the account is -----------------------------------------------------------------------------------

    @property
    def uri(self) -> SIPURI:
        """The address of the account."""
        return SIPURI(user=self.id.username, host=self.id.domain)

    @property
    def credentials(self) -> Credentials:
        """What challenges are answered with."""
        return Credentials(username=self.auth.username or self.id.username, password=self.auth.password)

    @property
    def voicemail_uri(self) -> str:
        """Subscription target of message-summary."""
        return str(self.message_summary.voicemail_uri or self.id)

    @property
    def tls_credentials(self) -> Any:
        """Certificates for MSRP connections, an `msrplib.tls.X509Credentials`, made of the present settings.

        Raises:
            msrplib.tls.TLSError: a file of theirs cannot be used.
        """
        from sipsimple.account.tls import tls_credentials
        return tls_credentials()

    @property
    def registered(self) -> bool:
        """True while the registrar holds our contact."""
        return self._registrar.registered

    @property
    def mwi_active(self) -> bool:
        """True with an active message-summary subscription."""
        return False

    @property
    def presence_state(self) -> Any:
        """What is published about the user; None, and assigning raises NotImplementedError, as long as there is no presence."""
        return None

    @presence_state.setter
    def presence_state(self, state: Any) -> None:
        raise NotImplementedError(NOT_YET)

    @property
    def dialog_state(self) -> Any:
        """What is published about the user's calls; None, and assigning raises NotImplementedError, as long as there is no presence."""
        return None

    @dialog_state.setter
    def dialog_state(self, state: Any) -> None:
        raise NotImplementedError(NOT_YET)

    # ---- services ----------------------------------------------------------------------------------------------

    def reregister(self) -> None:
        """Unregister and register anew; no-op when not started. Thread: any."""
        self._registrar.reregister()

    def _activate(self) -> None:
        if self.sip.register.enabled:
            self._registrar.start()

    def _deactivate(self) -> None:
        self._registrar.stop()

    def delete(self) -> None:
        """Stop everything, then remove the account; safe to call twice. Thread: any."""
        call_in_green_thread(self._delete)

    def _delete(self) -> None:
        self.stop()
        super().delete()

    def _NH_CFGSettingsObjectWasActivated(self, notification: Notification) -> None:
        from sipsimple.account.manager import AccountManager
        AccountManager().add_account(self)

    def _NH_CFGSettingsObjectWasDeleted(self, notification: Notification) -> None:
        from sipsimple.account.manager import AccountManager
        AccountManager().remove_account(self)
        self.forget()

    def _NH_CFGSettingsObjectDidChange(self, notification: Notification) -> None:
        modified = notification.data.modified
        super()._NH_CFGSettingsObjectDidChange(notification)
        if '__id__' in modified:
            from sipsimple.account.manager import AccountManager
            AccountManager().rename_account(self, modified['__id__'].old)
        call_in_green_thread(self._update_registrar)        # after the activation, which has the lock by now

    def _update_registrar(self) -> None:
        with self._life_lock:
            if self._active and self.sip.register.enabled:
                self._registrar.start()
                self._registrar.update()
            else:
                self._registrar.stop()

    def __repr__(self) -> str:
        return f'Account({str(self.id)!r})'
