"""AddressbookManager: what there is, and how several changes are made one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipsimple.account import AccountManager
from sipsimple.addressbook.contacts import Contact
from sipsimple.addressbook.groups import Group
from sipsimple.addressbook.policies import Policy
from sipsimple.addressbook.store import store
from sipsimple.addressbook.sync import ServerSync
from sipsimple.notification import IObserver, NotificationCenter, NotificationData
from sipsimple.util import Singleton

if TYPE_CHECKING:
    from sipsimple.notification import Notification

__all__ = ['AddressbookManager', 'MultiAccountTransaction']

OBSERVED = ('CFGSettingsObjectDidChange', 'SIPAccountManagerDidRemoveAccount', 'XCAPManagerDidDiscoverServerCapabilities', 'XCAPManagerDidReloadData',
            'XCAPTrace')


class MultiAccountTransaction:
    """Makes the changes of the thread within it one: `with manager.transaction(): ...`

    Each account is told of all of them in one transaction, and the file is written once, with all of them or none. Nothing is undone when the block is
    left by an exception: what was saved in it is saved. Transactions may be nested; the outermost one counts.
    """

    def __init__(self) -> None:
        self._began = False

    def __enter__(self) -> MultiAccountTransaction:
        self._began = store.begin()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._began:
            self._began = False
            store.commit()


@implementer(IObserver)
class AddressbookManager(metaclass=Singleton):
    """Contacts, groups and policies, kept here and in step with the XCAP servers of the accounts (singleton). Thread: any.

    Notifications: AddressbookManagerDidAddContact(contact), AddressbookManagerDidRemoveContact(contact), AddressbookManagerDidAddGroup(group),
        AddressbookManagerDidRemoveGroup(group), AddressbookManagerDidAddPolicy(policy), AddressbookManagerDidRemovePolicy(policy).
    """

    _singleton_instance: ClassVar[Any]

    def __init__(self) -> None:
        self._servers = ServerSync(store, lambda: AccountManager().get_accounts())
        store.manager = self

    # ---- life --------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Make the objects that the configuration has: contacts, policies, groups; called once by the application. RuntimeError: loaded already."""
        store.load((Contact, Policy, Group))
        store.servers = self._servers
        center = NotificationCenter()
        for name in OBSERVED:
            center.add_observer(self, name=name)

    def start(self) -> None:
        """Nothing to do: what is on its way to a server waits in the journal of its account."""

    def stop(self) -> None:
        """Nothing to do: what was saved is written before the application ends."""

    def unload(self) -> None:
        """Forget everything, after it was written, so that another start of the application reads its own configuration."""
        center = NotificationCenter()
        for name in OBSERVED:
            center.discard_observer(self, name=name)
        store.servers = None
        store.unload()
        self._servers.clear()

    # ---- look-up -----------------------------------------------------------------------------------------------

    def has_contact(self, id: str) -> bool:
        """True when there is a contact with that id."""
        return id in store.saved['Contacts']

    def get_contact(self, id: str) -> Contact:
        """The contact with that id; KeyError."""
        contact: Contact = store.saved['Contacts'][id]
        return contact

    def get_contacts(self) -> list[Contact]:
        """All contacts."""
        return _all('Contacts')

    def has_group(self, id: str) -> bool:
        """True when there is a group with that id."""
        return id in store.saved['Groups']

    def get_group(self, id: str) -> Group:
        """The group with that id; KeyError."""
        group: Group = store.saved['Groups'][id]
        return group

    def get_groups(self) -> list[Group]:
        """All groups."""
        return _all('Groups')

    def has_policy(self, id: str) -> bool:
        """True when there is a policy with that id."""
        return id in store.saved['Policies']

    def get_policy(self, id: str) -> Policy:
        """The policy with that id; KeyError."""
        policy: Policy = store.saved['Policies'][id]
        return policy

    def get_policies(self) -> list[Policy]:
        """All policies."""
        return _all('Policies')

    def transaction(self) -> MultiAccountTransaction:
        """A context manager that makes the changes within it one."""
        return MultiAccountTransaction()

    # ---- notifications -----------------------------------------------------------------------------------------

    def _post_added(self, obj: Any) -> None:
        if isinstance(obj, Contact):
            self._post('AddressbookManagerDidAddContact', contact=obj)
        elif isinstance(obj, Group):
            self._post('AddressbookManagerDidAddGroup', group=obj)
        else:
            self._post('AddressbookManagerDidAddPolicy', policy=obj)

    def _post_removed(self, obj: Any) -> None:
        if isinstance(obj, Contact):
            self._post('AddressbookManagerDidRemoveContact', contact=obj)
        elif isinstance(obj, Group):
            self._post('AddressbookManagerDidRemoveGroup', group=obj)
        else:
            self._post('AddressbookManagerDidRemovePolicy', policy=obj)

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def handle_notification(self, notification: Notification) -> None:
        getattr(self, f'_NH_{notification.name}')(notification)

    def _NH_CFGSettingsObjectDidChange(self, notification: Notification) -> None:
        modified, account = notification.data.modified, notification.sender
        if 'xcap.discovered' in modified and account.xcap.discovered:
            self._servers.push_all(account)
        elif 'xcap.discovered' in modified or '__id__' in modified:
            self._servers.lose_server(account)          # of settings objects that are no accounts nothing is known

    def _NH_SIPAccountManagerDidRemoveAccount(self, notification: Notification) -> None:
        self._servers.forget_account(notification.data.account)

    def _NH_XCAPManagerDidDiscoverServerCapabilities(self, notification: Notification) -> None:
        self._servers.found(notification.sender.account)

    def _NH_XCAPTrace(self, notification: Notification) -> None:
        if getattr(notification.data, 'code', None) == 404 and getattr(notification.data, 'method', None) == 'GET':
            self._servers.lost_document(notification.sender)

    def _NH_XCAPManagerDidReloadData(self, notification: Notification) -> None:
        self._servers.reloaded(notification.sender.account, notification.data.addressbook)


def _all(section: str) -> list[Any]:
    objects: Iterable[Any] = store.saved[section].values()
    return list(objects)
