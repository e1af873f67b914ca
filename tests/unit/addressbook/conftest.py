"""A loaded addressbook, what was posted, and accounts whose XCAP managers are played."""

import pytest

from sipsimple.addressbook import AddressbookManager
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.objects import forget_static_objects
from sipsimple.notification import NotificationCenter
from tests.support.addressbook import Account, Server, settle


class Recorder:
    """Records the notifications of the addressbook and of the configuration."""

    def __init__(self):
        self.seen = []

    def handle_notification(self, notification):
        if notification.name.startswith(('Addressbook', 'CFGManager')):
            self.seen.append(notification)

    def take(self):
        settle()
        seen, self.seen = self.seen, []
        return seen

    def names(self):
        return [notification.name for notification in self.take()]

    def one(self, name):
        found = [notification for notification in self.take() if notification.name == name]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture
def posted():
    recorder = Recorder()
    NotificationCenter().add_observer(recorder)
    yield recorder
    NotificationCenter().remove_observer(recorder)


class Books:
    """Loads the addressbook, again and again if wanted, from what the backend has."""

    def __init__(self):
        self.manager = AddressbookManager()
        self.configuration = ConfigurationManager()
        self.backend = MemoryBackend()

    def load(self, data=None, backend=None):
        self.end()
        if backend is not None:
            self.backend = backend
        elif data is not None:
            self.backend = MemoryBackend()
            self.backend.data = data
        self.configuration.start(self.backend)
        self.manager.load()
        return self.manager

    def end(self):
        settle()
        self.manager.unload()
        self.configuration.reset()
        forget_static_objects()

    @property
    def stored(self):
        """The tree as it was last written."""
        settle()
        return self.backend.load()


@pytest.fixture
def books():
    books = Books()
    books.load()
    yield books
    books.end()


@pytest.fixture
def manager(books):
    return books.manager


@pytest.fixture
def accounts(manager, monkeypatch):
    """Call it to have another account; without a server it gets one of its own."""
    found = []
    monkeypatch.setattr(manager._servers, '_accounts', lambda: found)

    def add(server=None, discovered=True):
        account = Account(f'user{len(found)}@example.com', server or Server(), discovered)
        found.append(account)
        return account
    return add


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def account(accounts, server):
    return accounts(server)
