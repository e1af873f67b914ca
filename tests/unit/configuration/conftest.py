"""A started ConfigurationManager, and what was posted."""

import pytest

from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.objects import forget_static_objects
from sipsimple.notification import NotificationCenter
from sipsimple.threading import ThreadManager


class Recorder:
    """Records the configuration's notifications; `names()` waits for the storage thread first."""

    def __init__(self):
        self.seen = []

    def handle_notification(self, notification):
        if notification.name.startswith('CFG'):
            self.seen.append(notification)

    def take(self):
        ThreadManager().stop()
        seen, self.seen = self.seen, []
        return seen

    def names(self):
        return [notification.name for notification in self.take()]


@pytest.fixture
def posted():
    recorder = Recorder()
    NotificationCenter().add_observer(recorder)
    yield recorder
    NotificationCenter().remove_observer(recorder)


@pytest.fixture
def start():
    """Call it with a tree or a backend: the manager, started anew."""
    manager = ConfigurationManager()

    def restart(source=None):
        ThreadManager().stop()
        manager.reset()
        forget_static_objects()
        backend = source
        if source is None or isinstance(source, dict):
            backend = MemoryBackend()
            backend.data = source or {}
        manager.start(backend)
        return manager

    yield restart
    ThreadManager().stop()
    manager.reset()
    forget_static_objects()
