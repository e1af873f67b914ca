"""Contacts of the addressbook whose presence and calls the accounts watch, where no server keeps a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from zope.interface import implementer

from sipsimple.account import Account, AccountManager
from sipsimple.addressbook import AddressbookManager
from sipsimple.core import SIPCoreError, SIPURI
from sipsimple.notification import IObserver, NotificationCenter
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['ContactsWatch', 'watched_uris']

SETTLING = 0.2              # seconds, for many changes at once
OBSERVED = (*(f'Addressbook{kind}{what}' for kind in ('Contact', 'Policy') for what in ('WasActivated', 'DidChange', 'WasDeleted')),
            'SIPAccountManagerDidAddAccount')


def watched_uris(event: str, contacts: Iterable[Any], policies: Iterable[Any]) -> list[str]:
    """Return whom the addressbook wants to be subscribed to: addresses of contacts, and of policies for those who are no contacts, that are SIP URIs.

    Args:
        event: 'presence' or 'dialog'.
    """
    known: set[str] = set()
    found: dict[str, None] = {}
    for contact in contacts:
        uris = [uri.uri for uri in contact.uris]
        known.update(uris)
        if getattr(contact, event).subscribe:
            found.update(dict.fromkeys(uris))
    found.update(dict.fromkeys(policy.uri for policy in policies if getattr(policy, event).subscribe and policy.uri not in known))
    return list(_sip_uris(found))


def _sip_uris(texts: Iterable[str]) -> Iterator[str]:
    """Those that name a user at a domain; a telephone number does not."""
    for text in texts:
        address = text if text.lower().startswith(('sip:', 'sips:')) else f'sip:{text}'
        try:
            uri = SIPURI.parse(address)
        except SIPCoreError:
            continue
        if uri.user:
            yield address


@implementer(IObserver)
class ContactsWatch:
    """Tells the accounts whom to watch, from start() to stop(). Thread: the SDK thread."""

    def __init__(self, scheduler: Scheduler = reactor_scheduler) -> None:
        self._scheduler = scheduler
        self._timer: Timer | None = None
        self._told: tuple[list[str], list[str]] = [], []

    def start(self) -> None:
        """Begin."""
        for name in OBSERVED:
            NotificationCenter().add_observer(self, name=name)
        self._told = [], []
        self._tell()

    def stop(self) -> None:
        """End; the accounts go on with whom they watch."""
        for name in OBSERVED:
            NotificationCenter().discard_observer(self, name=name)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def handle_notification(self, notification: Any) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._plan, notification.name == 'SIPAccountManagerDidAddAccount')

    def _plan(self, is_new_account: bool) -> None:
        if is_new_account:
            self._told = [], []                     # it was told of nobody
        if self._timer is None:
            self._timer = self._scheduler.call_later(SETTLING, self._tell)

    def _tell(self) -> None:
        self._timer = None
        manager = AddressbookManager()
        contacts, policies = manager.get_contacts(), manager.get_policies()
        wanted = watched_uris('presence', contacts, policies), watched_uris('dialog', contacts, policies)
        if wanted != self._told:
            self._told = wanted
            for account in AccountManager().get_accounts():
                if isinstance(account, Account):
                    account.watch_contacts(*wanted)
