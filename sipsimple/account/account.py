"""Account: a SIP account at a provider; settings and services in one object."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.account import settings as groups
from sipsimple.account.contacts import DialogSubscriber, PresenceSubscriber
from sipsimple.account.mwi import MWISubscriber
from sipsimple.account.presence import DialogPublisher, PresencePublisher, SelfPresenceSubscriber
from sipsimple.account.registration import Registrar
from sipsimple.account.services import AccountService, EventSubscriber
from sipsimple.account.watchers import DialogWinfoSubscriber, PresenceWinfoSubscriber
from sipsimple.configuration import Setting, SettingsObject, SettingsObjectID
from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.core import ContactURIFactory, Credentials, Engine, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread
from sipsimple.threading.green import Event, Lock, Worker, call_in_green_thread

if TYPE_CHECKING:
    from sipsimple.account.xcap.manager import XCAPManager
    from sipsimple.notification import Notification

__all__ = ['Account', 'AccountLife']

log = logging.getLogger('sipsimple.account')

SERVICES_LIMIT = 8.0        # seconds for all services to end; each has limits of its own, which are shorter


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

    def _post(self, name: str, /, **data: Any) -> None:
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
        self._mwi = MWISubscriber(self)
        self._presence = PresenceSubscriber(self)
        self._dialog = DialogSubscriber(self)
        self._presence_publisher = PresencePublisher(self)
        self._dialog_publisher = DialogPublisher(self)
        self._services: list[AccountService] = [
            self._mwi, PresenceWinfoSubscriber(self), DialogWinfoSubscriber(self), self._presence, self._dialog, SelfPresenceSubscriber(self),
            self._presence_publisher, self._dialog_publisher]
        self._xcap_manager: XCAPManager | None = None
        self._xcap_lock = threading.Lock()
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
        """The mailbox: as the server tells it, else subscription target of message-summary."""
        return str(self._mwi.message_account or self.message_summary.voicemail_uri or self.id)

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
        return self._mwi.is_subscribed

    @property
    def presence_state(self) -> Any:
        """What is published about the user, a `sipsimple.payloads.pidf.PIDF`; None for nothing. Thread: any.

        What is assigned is published as it is at that moment; to publish it changed, assign it again. While the account or `presence.enabled` is off
        it is kept.

        Raises:
            ValueError: it is no PIDF, or cannot be written.
        """
        return self._presence_publisher.state

    @presence_state.setter
    def presence_state(self, state: Any) -> None:
        self._presence_publisher.set(state)

    @property
    def dialog_state(self) -> Any:
        """What is published about the user's calls, a `sipsimple.payloads.dialoginfo.DialogInfo`; None for nothing. As `presence_state`."""
        return self._dialog_publisher.state

    @dialog_state.setter
    def dialog_state(self, state: Any) -> None:
        self._dialog_publisher.set(state)

    @property
    def xcap_manager(self) -> XCAPManager:
        """Its documents on an XCAP server: `sipsimple.account.xcap.manager.XCAPManager`, made when somebody asks for it. It runs with `xcap.enabled`."""
        manager = self._xcap_manager
        if manager is None:
            from sipsimple.account.xcap.factory import make_manager
            with self._xcap_lock:
                if self._xcap_manager is None:
                    self._xcap_manager = make_manager(self)
                manager = self._xcap_manager
        return manager

    # ---- services ----------------------------------------------------------------------------------------------

    def reregister(self) -> None:
        """Unregister and register anew; no-op when not started. Thread: any."""
        self._registrar.reregister()

    def resubscribe(self) -> None:
        """Leave all subscriptions and make others; no-op when not started. Thread: any."""
        call_in_twisted_thread(self._resubscribe)

    def _resubscribe(self) -> None:
        for service in self._services:
            if isinstance(service, EventSubscriber):
                service.resubscribe()

    def watch(self, presence: Iterable[str] = (), dialog: Iterable[str] = ()) -> None:
        """Say whose presence and whose calls are watched as long as the server has no list of them, that is without XCAP or RLS. Thread: any.

        Those whom the addressbook wants to be subscribed to are watched as well.

        Args:
            presence, dialog: URIs, instead of those given before; `sip:` may be missing.
        Raises:
            SIPCoreError: one is no URI.
        Notifications: SIPAccountGotPresenceState and SIPAccountGotDialogState.
        """
        self._presence.watch(presence)
        self._dialog.watch(dialog)

    def watch_contacts(self, presence: Iterable[str], dialog: Iterable[str]) -> None:
        """The same for those whom the addressbook wants to be subscribed to; called by the application. Thread: any."""
        self._presence.watch(presence, 'addressbook')
        self._dialog.watch(dialog, 'addressbook')

    def _activate(self) -> None:
        if self.sip.register.enabled:
            self._registrar.start()
        for service in self._services:
            service.start()
        self._update_xcap()

    def _deactivate(self) -> None:
        ended: Event[None] = Event()
        left = set(self._services)

        def done(service: AccountService) -> None:
            left.discard(service)
            if not left:
                ended.send()
        for service in self._services:
            service.stop(partial(done, service))
        xcap = Worker.spawn(self._update_xcap)
        self._registrar.stop()
        ended.wait(SERVICES_LIMIT)
        xcap.wait_ex()
        if left:
            log.error('%r: %s did not end', self, left)

    def _update_xcap(self) -> None:
        if self._active and self.xcap.enabled:
            self.xcap_manager.start()
        elif self._xcap_manager is not None:
            self._xcap_manager.stop()

    def delete(self) -> None:
        """Stop everything, then remove the account; safe to call twice. Thread: any."""
        call_in_green_thread(self._delete)

    def _delete(self) -> None:
        self.stop()
        if self._xcap_manager is not None or self.xcap.discovered:
            self.xcap_manager.delete()
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
        call_in_green_thread(self._update_services)         # after the activation, which has the lock by now

    def _update_services(self) -> None:
        with self._life_lock:
            for service in self._services:
                service.update()
            if self._active and self.sip.register.enabled:
                self._registrar.start()
                self._registrar.update()
            else:
                self._registrar.stop()
            self._update_xcap()

    def forget(self) -> None:
        """Hear of nothing any more: the account is gone, or the application has ended. Called by the AccountManager."""
        super().forget()
        if self._xcap_manager is not None:
            self._xcap_manager.forget()

    def __repr__(self) -> str:
        return f'Account({str(self.id)!r})'
