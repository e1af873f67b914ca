"""AccountManager: the accounts there are, the default one, and which one an incoming call is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.notification import IObserver, NotificationCenter, NotificationData, TimestampedNotificationData
from sipsimple.threading.green import Worker
from sipsimple.util import Singleton

if TYPE_CHECKING:
    from sipsimple.account.account import Account
    from sipsimple.account.bonjour_account import BonjourAccount
    from sipsimple.core import SIPURI
    from sipsimple.notification import Notification

__all__ = ['AccountManager']


@implementer(IObserver)
class AccountManager(metaclass=Singleton):
    """Loads and keeps the accounts (singleton).

    Notifications: SIPAccountManagerDidAddAccount, SIPAccountManagerDidRemoveAccount,
        SIPAccountManagerDidChangeDefaultAccount; also SIPAccountManagerDidLoad, WillStart, DidStart, WillEnd, DidEnd.
    """

    _singleton_instance: ClassVar[Any]

    def __init__(self) -> None:
        self._accounts: dict[str, Account | BonjourAccount] = {}
        self._loaded = False
        self._started = False
        NotificationCenter().add_observer(self, name='CFGSettingsObjectDidChange')

    # ---- life --------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the accounts from the configuration; called once by the application."""
        from sipsimple.account.account import Account
        from sipsimple.account.bonjour_account import BONJOUR_ID, BonjourAccount
        if self._loaded:
            return
        self._loaded = True
        if BonjourAccount.mdns_available:
            self.add_account(BonjourAccount())
        for name in ConfigurationManager().get_names(['Accounts']):
            if name != BONJOUR_ID:
                self.add_account(Account(name))
        self._choose_default()
        self._post('SIPAccountManagerDidLoad', accounts=list(self._accounts), default_account=self.default_account)

    def start(self) -> None:
        """Activate the enabled accounts; called by the application in a green thread. SIPAccountManagerDidStart follows."""
        from sipsimple.account.bonjour_account import BonjourAccount
        self.load()
        self._post('SIPAccountManagerWillStart', accounts=list(self._accounts), bonjour_available=BonjourAccount.mdns_available)
        self._started = True
        for account in list(self._accounts.values()):
            account.start()
        self._post('SIPAccountManagerDidStart')

    def stop(self) -> None:
        """Deactivate all accounts in parallel and wait. Thread: a green thread."""
        self._post('SIPAccountManagerWillEnd')
        self._started = False
        workers = [Worker.spawn(account.stop) for account in list(self._accounts.values())]
        for worker in workers:
            worker.wait_ex()
        self._post('SIPAccountManagerDidEnd')

    def unload(self) -> None:
        """Forget the accounts, so that another start of the application reads its own configuration."""
        for account in self._accounts.values():
            account.forget()
        self._accounts.clear()
        self._loaded = False

    # ---- look-up -----------------------------------------------------------------------------------------------

    def has_account(self, id: str) -> bool:
        """True when there is an account with that SIP id."""
        return id in self._accounts

    def get_account(self, id: str) -> Account | BonjourAccount:
        """The account with that SIP id; KeyError."""
        return self._accounts[id]

    def get_accounts(self) -> list[Account | BonjourAccount]:
        """All accounts, enabled or not."""
        return list(self._accounts.values())

    def iter_accounts(self) -> Iterator[Account | BonjourAccount]:
        """An iterator over all accounts."""
        return iter(list(self._accounts.values()))

    def find_account(self, contact_uri: SIPURI) -> Account | BonjourAccount | None:
        """The enabled account that a request to this URI is for, or None."""
        enabled = [account for account in self._accounts.values() if account.enabled]
        user, host = contact_uri.user, contact_uri.host
        for account in enabled:
            if account.contact.username == user or (account.id.username == user and account.id.domain == host):
                return account
        for account in enabled:
            if account.id.username == user:
                return account
        return None

    # ---- default account ---------------------------------------------------------------------------------------

    @property
    def default_account(self) -> Account | BonjourAccount | None:
        """The account for calls that name none; writable: ValueError for a disabled one."""
        name = SIPSimpleSettings().default_account
        return None if name is None else self._accounts.get(name)

    @default_account.setter
    def default_account(self, account: Account | BonjourAccount | None) -> None:
        if account is not None and not account.enabled:
            raise ValueError('the default account must be enabled')
        old = self.default_account
        if account is old:
            return
        settings = SIPSimpleSettings()
        settings.default_account = None if account is None else str(account.id)
        settings.save()
        NotificationCenter().post_notification('SIPAccountManagerDidChangeDefaultAccount', sender=self, data=TimestampedNotificationData(
            old_account=old, account=account))

    def _choose_default(self) -> None:
        """Move the default to the first enabled account when there is none, or it is disabled or gone."""
        current = self.default_account
        if current is None or not current.enabled:
            self.default_account = next((account for account in self._accounts.values() if account.enabled), None)

    # ---- membership --------------------------------------------------------------------------------------------

    def adopt(self, account: Account | BonjourAccount) -> None:
        """An account object was made. RuntimeError before load()."""
        if not self._loaded:
            raise RuntimeError('accounts cannot be made before the AccountManager has loaded')

    def add_account(self, account: Account | BonjourAccount) -> None:
        """A stored account is available."""
        if self._accounts.get(account.id) is account:
            return
        self._accounts[str(account.id)] = account
        NotificationCenter().post_notification('SIPAccountManagerDidAddAccount', sender=self, data=TimestampedNotificationData(account=account))
        if self._started:
            account.start()
            self._choose_default()

    def remove_account(self, account: Account | BonjourAccount) -> None:
        """An account was deleted."""
        if self._accounts.pop(str(account.id), None) is not None:
            NotificationCenter().post_notification('SIPAccountManagerDidRemoveAccount', sender=self, data=TimestampedNotificationData(account=account))
            self._choose_default()

    def rename_account(self, account: Account | BonjourAccount, old_id: str) -> None:
        """An account changed its id."""
        was_default = SIPSimpleSettings().default_account == old_id
        if self._accounts.pop(str(old_id), None) is not None:
            self._accounts[str(account.id)] = account
        if was_default:
            settings = SIPSimpleSettings()
            settings.default_account = str(account.id)
            settings.save()

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def handle_notification(self, notification: Notification) -> None:
        if notification.sender in self._accounts.values() and 'enabled' in notification.data.modified:
            self._choose_default()
