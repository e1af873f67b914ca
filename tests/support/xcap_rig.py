"""An account that is nothing but settings, and its XCAPManager, driven from a test's thread."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, Self

from sipsimple.account.xcap.manager import XCAPManager
from sipsimple.account.xcap.storage.memory import MemoryStorage
from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.threading import reactor
from sipsimple.threading.green import run_in_waitable_green_thread
from tests.support.waiting import wait_until

LIMIT = 60.0


def green(function: Any, *args: Any) -> Any:
    """Call something in a green thread, and wait for it in this one."""
    reactor.start()
    return run_in_waitable_green_thread(function)(*args).result(LIMIT)


class FakeAccount:
    """What a manager needs of an account."""

    def __init__(self, root: str | None, id: str = 'alice@example.com', password: str = 'secret') -> None:
        self.id = SIPAddress(id)
        self.auth = SimpleNamespace(username=None, password=password)
        self.xcap = SimpleNamespace(enabled=True, discovered=False, xcap_root=root, xcap_diff=False)
        self.saves = 0

    def save(self) -> None:
        self.saves += 1

    def change(self, **values: Any) -> None:
        """Change settings, as save() would tell; `__` for a dot."""
        modified = {}
        for name, value in values.items():
            group, _, attribute = name.partition('__')
            target = getattr(self, group) if attribute else self
            modified['__id__' if name == 'id' else name.replace('__', '.')] = SimpleNamespace(old=getattr(target, attribute or name), new=value)
            setattr(target, attribute or name, value)
        NotificationCenter().post_notification('CFGSettingsObjectDidChange', sender=self, data=NotificationData(modified=modified))


class Rig:
    """A manager with its account; a context manager that stops it.

    Attributes:
        told: (name, data) of its notifications.
    """

    def __init__(self, root: str | None, storage: Any = None, id: str = 'alice@example.com', password: str = 'secret') -> None:
        reactor.start()
        self.account = FakeAccount(root, id, password)
        self.storage = storage if storage is not None else MemoryStorage(id)
        self.manager = XCAPManager(self.account)
        self.told: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        center = NotificationCenter()
        center.add_observer(self, sender=self.manager)
        center.add_observer(self, sender=self.account)
        self.manager.init(self.storage)
        for document in self.manager.documents:
            center.add_observer(self, name='XCAPTrace', sender=document)

    def handle_notification(self, notification: Any) -> None:
        with self._changed:
            self.told.append((notification.name, notification.data))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        self.stop()
        self.manager.forget()
        for observed in (self.manager, self.account):
            NotificationCenter().discard_observer(self, sender=observed)
        for document in self.manager.documents:
            NotificationCenter().discard_observer(self, name='XCAPTrace', sender=document)

    def start(self) -> Self:
        green(self.manager.start)
        return self

    def stop(self) -> None:
        green(self.manager.stop)

    def names(self) -> list[str]:
        return [name for name, _ in list(self.told)]

    def all(self, name: str) -> list[Any]:
        return [data for told, data in list(self.told) if told == name]

    def wait(self, name: str, count: int = 1) -> Any:
        """Wait for the count-th notification of that name; its data."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all(name)) >= count, LIMIT), f'no {name}: {self.names()[-30:]}'
        return self.all(name)[count - 1]

    def in_sync(self) -> Self:
        """Wait until everything is on the server, and told."""
        manager = self.manager
        assert wait_until(lambda: manager.state == 'insync' and not manager.has_pending_operations and not manager._to_fetch and manager._is_told), (
            f'{manager}: {self.names()[-30:]}; {self.all("XCAPManagerClientError")[-3:]}')
        return self

    @property
    def book(self) -> Any:
        return self.manager.data.addressbook
