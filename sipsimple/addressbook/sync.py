"""Keeping the addressbook and those on the XCAP servers of the accounts in step.

A change here becomes operations, which each account with `xcap.discovered` is given in one transaction. What a server says (XCAPManagerDidReloadData)
comes in by a merge of three: the book here, the one there, and what the server is known to have had.

- The server's values win, but for what was changed here since the server's book was put together: that is on its way, and will be there in the next.
- What is here and not there was removed there if the server had it; if not, it never got there, and is sent. So the books of two servers are
  joined, and neither takes away what only the other one has.
- What the application has set and not saved stays set.

Threads: marks are made under the store's lock; operations are handed over and books merged in file-io. A reload is looked at in the
thread that posts it, where the manager's own state is the one that belongs to that book.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from sipsimple.addressbook.contacts import Contact, ContactURI
from sipsimple.addressbook.groups import Group
from sipsimple.addressbook.model import AddressbookObject, Item
from sipsimple.addressbook.policies import Policy
from sipsimple.addressbook.remote import Mark, Operation, operations_of, read_field, to_remote
from sipsimple.addressbook.store import Change, Store
from sipsimple.configuration import ModifiedList
from sipsimple.configuration.writer import STORAGE_THREAD
from sipsimple.threading import schedule_in_thread
from sipsimple.util import collector_paused

__all__ = ['AccountSync', 'ServerSync']

_log = logging.getLogger('sipsimple.addressbook')
SECTIONS: tuple[tuple[str, str, type[AddressbookObject]], ...] = (
    ('contacts', 'Contacts', Contact), ('groups', 'Groups', Group), ('policies', 'Policies', Policy))
ORDER = {'add_contact': 0, 'add_policy': 1, 'add_group': 2}     # then addresses and members: a member has to be there before
REMOVALS = ('Policies', 'Groups', 'Contacts')


class AccountSync:
    """What is known of the book on the server of an account.

    Attributes:
        known: marks of what the server has or is about to have: objects, addresses, members.
        pending: marks of what was changed here and may not be in the next book of the server.
    """

    def __init__(self, account: Any) -> None:
        self.account = account
        self.known: set[Mark] = set()
        self.pending: set[Mark] = set()
        self.unsent = 0                     # batches that the manager was not given yet
        self.root: str | None = None        # the server that `known` is about

    @property
    def manager(self) -> Any:
        """The account's XCAPManager, or None."""
        return getattr(self.account, 'xcap_manager', None) or None

    def forget(self) -> None:
        """The account has another server: nothing is known of it."""
        self.known.clear()
        self.pending.clear()

    def note(self, operations: Iterable[Operation]) -> None:
        """Take down what is going to be sent."""
        for operation in operations:
            self.pending.update(operation.marks)
            self._expect(operation)

    def _expect(self, operation: Operation) -> None:
        """Know what the server is going to have. An operation reaches it sooner or later: the manager has a journal."""
        verb = operation.name.partition('_')[0]
        if verb == 'remove':
            self.known.difference_update(operation.marks)
        elif verb == 'add':
            self.known.update(operation.marks)
            item = operation.arguments[0]
            if operation.name in ('add_contact', 'add_group'):
                self.known.update(_parts(operation.marks[0], item))

    def learn(self, book: Any) -> None:
        """Know what a book of the server has, and what is on its way there."""
        before = {mark for mark in self.known if mark in self.pending}
        self.known = set(marks_of(book)) | before

    def protect(self) -> set[Mark]:
        """Marks of what the book that the manager posts just now cannot have yet. Thread: the one of the manager."""
        if not self.unsent and not getattr(self.manager, 'journal', None):
            self.pending.clear()
        return set(self.pending)


def _parts(mark: Mark, item: Any) -> Iterable[Mark]:
    if mark[0] == 'Contacts':
        return ((*mark, 'uris', str(uri.id)) for uri in item.uris)
    if mark[0] == 'Groups':
        return ((*mark, 'contacts', str(contact.id)) for contact in item.contacts)
    return ()


def marks_of(book: Any) -> Iterable[Mark]:
    """The objects, addresses and members in a book of a server."""
    for name, section, _ in SECTIONS:
        for item in getattr(book, name):
            mark = (section, str(item.id))
            yield mark
            yield from _parts(mark, item)


class ServerSync:
    """Tells the servers of the accounts what changes here, and the store what has changed there.

    Args:
        store: of the addressbook.
        accounts: gives all accounts there are.
    """

    def __init__(self, store: Store, accounts: Callable[[], Iterable[Any]]) -> None:
        self._store = store
        self._accounts = accounts
        self._syncs: dict[int, AccountSync] = {}        # id of the account -> what is known of its server

    # ---- changes here ------------------------------------------------------------------------------------------

    def sync_of(self, account: Any) -> AccountSync:
        """What is known of the server of an account; with the store's lock held."""
        sync = self._syncs.get(id(account))
        if sync is None:
            sync = self._syncs[id(account)] = AccountSync(account)
        return sync

    def discovered(self) -> list[AccountSync]:
        """Those of the accounts that have a server; with the store's lock held."""
        return [self.sync_of(account) for account in self._accounts() if has_server(account)]

    def changing(self, change: Change) -> None:
        """Note a change; under the lock, in the thread that makes it."""
        targets = [sync for sync in self.discovered() if sync is not change.origin]
        if targets and change.operations is None:
            change.operations = operations_of(change)
        if change.operations:
            for sync in targets:
                sync.note(change.operations)
                sync.unsent += 1
            change.targets = targets

    def send(self, changes: list[Change]) -> None:
        """Give the managers the operations of a batch, each in one transaction. Thread: file-io."""
        work: dict[int, tuple[AccountSync, list[Operation]]] = {}
        for change in changes:
            for sync in change.targets:
                work.setdefault(id(sync), (sync, []))[1].extend(change.operations)
        try:
            for sync, operations in work.values():
                try:
                    self._give(sync, operations)
                except Exception:
                    _log.exception('%s cannot be told of changes', sync.account)
        finally:
            with self._store.lock:
                for change in changes:
                    for sync in change.targets:
                        sync.unsent -= 1

    @staticmethod
    def _give(sync: AccountSync, operations: Iterable[Operation]) -> None:
        manager = sync.manager
        if manager is None:
            return
        with manager.transaction():
            for operation in operations:
                try:
                    getattr(manager, operation.name)(*operation.arguments)
                except Exception:           # what one server cannot be told, others still are
                    _log.exception('%s cannot be told of %s %s', sync.account, operation.name, operation.arguments[0])

    def push_all(self, account: Any) -> None:
        """The server of an account was found: give it all there is. Thread: any."""
        with self._store.lock:
            sync = self.sync_of(account)
            sync.forget()
            operations: list[Operation] = []
            for section in ('Contacts', 'Policies', 'Groups'):
                for obj in self._store.saved[section].values():
                    operations.extend(operations_of(Change(obj, 'add', {})))
            sync.note(operations)
            sync.unsent += 1
        schedule_in_thread(STORAGE_THREAD, self._send_all, sync, operations)

    def _send_all(self, sync: AccountSync, operations: list[Operation]) -> None:
        try:
            self._give(sync, operations)
        finally:
            with self._store.lock:
                sync.unsent -= 1

    def lost_document(self, document: Any) -> None:
        """A server has no such document. If it is the one with the addressbook, nobody has removed what was in it: the server has lost it. Thread: any."""
        with self._store.lock:
            for sync in self._syncs.values():
                if getattr(sync.manager, 'resource_lists', None) is document:
                    if sync.known:
                        _log.warning('%s: the server has no addressbook any more, and is given it anew', sync.account)
                    sync.known.intersection_update(sync.pending)

    def lose_server(self, account: Any) -> None:
        """The account has lost its server, or is about to get another one. Thread: any."""
        with self._store.lock:
            sync = self._syncs.get(id(account))
            if sync is not None:
                sync.forget()

    def forget_account(self, account: Any) -> None:
        """The account was deleted. Thread: any."""
        with self._store.lock:
            self._syncs.pop(id(account), None)

    def clear(self) -> None:
        """Forget all accounts."""
        with self._store.lock:
            self._syncs.clear()

    # ---- changes there -----------------------------------------------------------------------------------------

    def found(self, account: Any) -> None:
        """The manager of an account has found its server, for the first time or again, and knows what that had from here or gave to here.

        When it is another server, what the one before had does not count. Thread: any.
        """
        with self._store.lock:
            sync = self.sync_of(account)
            root = getattr(sync.manager, 'xcap_root', None)
            if sync.root == root:
                return
            if sync.root is not None:
                sync.known.intersection_update(sync.pending)
            sync.root = root
            sync.known.update(getattr(getattr(sync.manager, 'seen', None), 'marks', ()))

    def reloaded(self, account: Any, book: Any) -> None:
        """A manager has posted the book of its server; in the thread that it posts in."""
        with self._store.lock:
            sync = self.sync_of(account)
            protected = sync.protect()
        schedule_in_thread(STORAGE_THREAD, self._merge, sync, book, protected)

    def _merge(self, sync: AccountSync, book: Any, protected: set[Mark]) -> None:
        """Bring the store in step with the book of a server. Thread: file-io."""
        self._store.begin()
        try:
            with collector_paused():
                Merge(self._store, sync, book, protected).run()
        finally:
            self._store.commit()


def has_server(account: Any) -> bool:
    """True for an account whose XCAP server was found."""
    settings = getattr(account, 'xcap', None)
    return bool(getattr(settings, 'discovered', False)) and getattr(account, 'xcap_manager', None) is not None


class Merge:
    """One run: a book of a server into the store. The lock is taken for each object, so that nobody waits for all of them."""

    def __init__(self, store: Store, sync: AccountSync, book: Any, protected: set[Mark]) -> None:
        self._store = store
        self._sync = sync
        self._book = book
        self._protected = protected
        self._missing: list[Operation] = []         # what the server should have and has not

    def run(self) -> None:
        """Contacts, groups, policies; then what was removed: policies, groups, contacts."""
        store, sync = self._store, self._sync
        present: dict[str, set[str]] = {}
        for name, section, cls in SECTIONS:
            items = getattr(self._book, name)
            present[section] = {str(item.id) for item in items}
            for item in items:
                with store.lock:
                    self._take(section, cls, item)
        for section in REMOVALS:
            for id in [id for id in store.saved[section] if id not in present[section]]:
                with store.lock:
                    self._miss(section, id)
        self._missing.sort(key=lambda operation: ORDER.get(operation.name, len(ORDER)))
        with store.lock:
            sync.learn(self._book)
            if self._missing:
                sync.note(self._missing)
                sync.unsent += 1
        if self._missing:
            try:
                ServerSync._give(sync, self._missing)
            finally:
                with store.lock:
                    sync.unsent -= 1

    def _is_ours(self, *marks: Mark) -> bool:
        """True when one of these was changed here, and the server's book has not got it yet."""
        return any(mark in self._protected or mark in self._sync.pending for mark in marks)

    def _take(self, section: str, cls: type[AddressbookObject], item: Any) -> None:
        """An object of the server's book."""
        id = str(item.id)
        if self._is_ours((section, id)):
            return
        obj: Any = self._store.saved[section].get(id)
        if obj is None:
            self._create(section, cls, item)
            return
        modified = self._take_fields(obj, item, (section, id))
        if section == 'Contacts':
            modified.update(self._take_uris(obj, item, (section, id)))
        elif section == 'Groups':
            modified.update(self._take_members(obj, item, (section, id)))
        if modified:
            self._store.submit(Change(obj, 'update', modified, origin=self._sync))

    def _create(self, section: str, cls: type[AddressbookObject], item: Any) -> None:
        id = str(item.id)
        unsaved = self._store.unsaved(section, id)
        try:
            obj: Any = unsaved if unsaved is not None else cls(id)
        except (ValueError, TypeError, RuntimeError) as error:
            _log.warning('the server of %s has a %s that cannot be taken: %s', self._sync.account, cls.__name__, error)
            return
        self._take_fields(obj, item, None)
        if section == 'Contacts':
            self._take_uris(obj, item, None)
        elif section == 'Groups':
            self._take_members(obj, item, None)
        self._store.submit(Change(obj, 'add', {}, origin=self._sync))
        obj._did_add()

    def _take_fields(self, target: Item, item: Any, mark: Mark | None) -> dict[str, Any]:
        modified: dict[str, Any] = {}
        for field in target.fields():
            if mark is not None and self._is_ours((*mark, field.path)):
                continue
            has, value = read_field(field, item)
            if not has:
                continue
            try:
                change = field.take_over(target, value)
            except Exception as error:          # types may be the application's
                _log.warning('%s: the server of %s has %s = %r, which is refused: %s', target, self._sync.account, field.path, value, error)
                continue
            if change is not None:
                modified[field.path] = change
        return modified

    def _take_uris(self, contact: Contact, item: Any, mark: Mark | None) -> dict[str, Any]:
        added: list[ContactURI] = []
        removed: list[ContactURI] = []
        changed: dict[str, Any] = {}
        present = set()
        for entry in item.uris:
            id = str(entry.id)
            present.add(id)
            place = None if mark is None else (*mark, 'uris', id)
            if place is not None and self._is_ours(place):
                continue
            uri = contact.uris.saved.get(id)
            if uri is not None:
                modified = self._take_fields(uri, entry, place)
                if modified:
                    changed[id] = modified
                continue
            try:
                uri = ContactURI(id)
                contact.uris._check(uri)
            except (ValueError, TypeError) as error:
                _log.warning('%s: the server of %s has an address that cannot be taken: %s', contact, self._sync.account, error)
                continue
            self._take_fields(uri, entry, None)
            contact.uris.take_in(uri)
            added.append(uri)
        if mark is not None:
            remote: Any = None
            for id, uri in [(id, uri) for id, uri in contact.uris.saved.items() if id not in present]:
                place = (*mark, 'uris', id)
                if self._is_ours(place):
                    continue
                if place in self._sync.known:
                    contact.uris.take_out(uri)
                    removed.append(uri)
                else:
                    remote = remote or to_remote(contact)
                    self._missing.append(Operation('add_contact_uri', (remote, remote.uris[id]), (place,)))
        modified_list: dict[str, Any] = {'uris': ModifiedList(added, removed, changed)} if added or removed or changed else {}
        if mark is None or not self._is_ours((*mark, 'uris.default')):
            default = contact.uris.saved.get(item.uris.default)
            change = contact.uris.take_default(default)
            if change is not None:
                modified_list['uris.default'] = change
        return modified_list

    def _take_members(self, group: Group, item: Any, mark: Mark | None) -> dict[str, Any]:
        added: list[Contact] = []
        removed: list[Contact] = []
        contacts = self._store.saved['Contacts']
        present = {str(contact.id) for contact in item.contacts}
        for id in present:
            contact = contacts.get(id)
            if contact is None or group.contacts.saved.get(id) is contact or mark is not None and self._is_ours((*mark, 'contacts', id)):
                continue
            group.contacts.take_in(contact)
            added.append(contact)
        if mark is not None:
            remote: Any = None
            for id, contact in [(id, contact) for id, contact in group.contacts.saved.items() if id not in present]:
                place = (*mark, 'contacts', id)
                if self._is_ours(place):
                    continue
                if place in self._sync.known:
                    group.contacts.take_out(id)
                    removed.append(contact)
                else:
                    remote = remote or to_remote(group)
                    self._missing.append(Operation('add_group_member', (remote, remote.contacts[id]), (place,)))
        added.sort(key=lambda contact: contact.id)
        return {'contacts': ModifiedList(added, removed, None)} if added or removed else {}

    def _miss(self, section: str, id: str) -> None:
        """An object that is here and not there."""
        obj = self._store.saved[section].get(id)
        mark = (section, id)
        if obj is None or self._is_ours(mark):
            return
        if mark in self._sync.known:
            obj._remove(self._sync)
        else:
            self._missing.extend(operations_of(Change(obj, 'add', {})))


