"""Accounts whose XCAP managers are played, for the addressbook."""

from __future__ import annotations

import copy
from types import SimpleNamespace

from sipsimple.account import xcap
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.threading import ThreadManager

__all__ = ['Account', 'Manager', 'Server', 'settle']


def settle():
    """Until what was saved is announced and written, and what came from servers is taken in and announced.

    Ending the worker carries out what is queued; that may queue more.
    """
    for _ in range(4):
        ThreadManager().stop()


class Server:
    """An XCAP server's addressbook."""

    def __init__(self):
        self.book = SimpleNamespace(contacts=xcap.ItemCollection(), groups=xcap.ItemCollection(), policies=xcap.ItemCollection())


def change(item, attributes):
    for path, value in attributes.items():
        if path == 'uris.default':
            item.uris.default = value
        elif path.startswith(('presence.', 'dialog.')) and hasattr(item, 'presence'):
            event, _, name = path.partition('.')
            setattr(getattr(item, event), name, value)
        elif path in vars(item) and path != 'attributes':
            setattr(item, path, value)
        else:
            item.attributes[path] = value


def carry_out(book, name, item, *arguments):
    """Carry out an operation, as section 11.5 of the specification has them."""
    verb, kind = name.split('_', 1)
    items = {'contact': book.contacts, 'group': book.groups, 'policy': book.policies}[kind.split('_')[0]]
    if kind in ('contact', 'group', 'policy'):
        if verb == 'add':
            item = copy.deepcopy(item)
            if kind == 'group':
                item.contacts = xcap.ContactList(book.contacts[id] for id in item.contacts.ids() if id in book.contacts)
            items.add(item)
        elif verb == 'update' and item.id in items:
            change(items[item.id], copy.deepcopy(arguments[0]))
        elif verb == 'remove':
            items.remove(item)
            if kind == 'contact':
                for group in book.groups:
                    group.contacts.remove(item)
        return
    if item.id not in items:
        return
    owner, part = items[item.id], copy.deepcopy(arguments[0])
    if kind == 'group_member':
        if verb == 'remove':
            owner.contacts.remove(part)
        elif part.id in book.contacts and part.id not in owner.contacts:
            owner.contacts.add(book.contacts[part.id])
    elif verb == 'add':
        owner.uris.add(part)
    elif verb == 'remove':
        owner.uris.remove(part)
        if owner.uris.default == part.id:
            owner.uris.default = None
    elif part.id in owner.uris:
        change(owner.uris[part.id], arguments[1])


class Manager:
    """Plays the XCAP manager of an account: operations wait in its journal until send() carries them out on its server."""

    def __init__(self, account, server):
        self.account = account
        self.server = server
        self.journal = []
        self.xcap_root = None
        self.root = 'http://xcap.example.com/'
        self.seen = None
        self.transactions = 0
        self.told = []              # every operation, with its transaction

    def __getattr__(self, name):
        if name.split('_')[0] not in ('add', 'update', 'remove'):
            raise AttributeError(name)

        def operation(*arguments):
            arguments = copy.deepcopy(arguments)
            self.journal.append((name, *arguments))
            self.told.append((self.transactions, name, *arguments))
        return operation

    def transaction(self):
        manager = self

        class Transaction:
            def __enter__(self):
                manager.transactions += 1

            def __exit__(self, *exception):
                pass
        return Transaction()

    def find(self):
        """Its server was found."""
        self.xcap_root = self.root
        NotificationCenter().post_notification('XCAPManagerDidDiscoverServerCapabilities', sender=self, data=NotificationData(auids=[]))
        settle()

    def names(self):
        """The operations since the last call."""
        settle()
        told, self.told = self.told, []
        return [name for _, name, *_ in told]

    def book(self):
        """What the manager would say now: the server's book with the journal carried out on it."""
        book = copy.deepcopy(self.server.book)
        for operation in self.journal:
            carry_out(book, *operation)
        return book

    def send(self):
        """Bring the journal to the server."""
        settle()
        for operation in self.journal:
            carry_out(self.server.book, *operation)
        self.journal.clear()

    def post(self, book=None):
        """Tell what the server has."""
        NotificationCenter().post_notification('XCAPManagerDidReloadData', sender=self, data=NotificationData(
            addressbook=self.book() if book is None else book, presence_rules=None, dialog_rules=None, status_icon=None, offline_status=None))
        settle()


class Account:
    """An account as far as the addressbook looks at it."""

    def __init__(self, id, server, discovered=True):
        self.id = id
        self.xcap = SimpleNamespace(discovered=discovered)
        self.xcap_manager = Manager(self, server)

    def discover(self):
        self.xcap.discovered = True
        self.xcap_manager.account = self
        NotificationCenter().post_notification('CFGSettingsObjectDidChange', sender=self, data=NotificationData(
            modified={'xcap.discovered': None}))
        settle()
