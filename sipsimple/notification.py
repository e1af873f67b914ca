"""The notification bus.

`post_notification` calls the observers in the posting thread, in the order in which they were added. Posting takes no
lock: the observers of a (name, sender) pair are a cached tuple, thrown away whenever an observer comes or goes. An
observer that raises is logged and the next one is called. Senders are held weakly, so observing does not keep one alive.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import Any, ClassVar
from weakref import ref

from zope.interface import Interface, implementer

__all__ = ['IObserver', 'Notification', 'NotificationCenter', 'NotificationData', 'NotificationQueue', 'ObserverWeakrefProxy',
           'TimestampedNotificationData']

_log = logging.getLogger('sipsimple.notification')


class IObserver(Interface):
    """What an observer provides."""

    def handle_notification(notification: Any) -> None:
        """Called in the posting thread; must not block."""


class NotificationData:
    """The fields of a notification, as attributes."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return '{}({})'.format(type(self).__name__, ', '.join(f'{name}={value!r}' for name, value in self.__dict__.items()))

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, NotificationData) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f'this notification has no field {name!r}')


class TimestampedNotificationData(NotificationData):
    """Fields with a `timestamp`: an aware datetime, now unless given."""

    def __init__(self, **fields: Any) -> None:
        if 'timestamp' not in fields:
            fields['timestamp'] = datetime.now(timezone.utc).astimezone()
        super().__init__(**fields)


class Notification:
    """One posted notification: name, sender, data, timestamp (epoch seconds), center."""

    __slots__ = ('name', 'sender', 'data', 'timestamp', 'center')

    def __init__(self, name: str, sender: Any, data: NotificationData, timestamp: float, center: NotificationCenter) -> None:
        self.name = name
        self.sender = sender
        self.data = data
        self.timestamp = timestamp
        self.center = center

    @property
    def datetime(self) -> datetime:
        """When it was posted, in local time (aware)."""
        return self.utcdatetime.astimezone()

    @property
    def utcdatetime(self) -> datetime:
        """When it was posted, in UTC (aware)."""
        return datetime.fromtimestamp(self.timestamp, timezone.utc)

    def __repr__(self) -> str:
        return f'<Notification {self.name} from {self.sender!r}: {self.data!r}>'


@implementer(IObserver)
class ObserverWeakrefProxy:
    """Stands for an observer without keeping it alive."""

    def __init__(self, observer: Any) -> None:
        self._observer = ref(observer, self._gone)

    def _gone(self, reference: Any) -> None:
        NotificationCenter().forget(self)

    def handle_notification(self, notification: Notification) -> None:
        observer = self._observer()
        if observer is not None:
            observer.handle_notification(notification)


class NotificationCenter:
    """The bus (singleton). Thread: any."""

    _instance: ClassVar[NotificationCenter | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __new__(cls) -> NotificationCenter:
        instance = cls._instance
        if instance is None:
            with cls._instance_lock:
                instance = cls._instance
                if instance is None:
                    instance = super().__new__(cls)
                    instance._setup()
                    cls._instance = instance
        return instance

    def _setup(self) -> None:
        self._lock = threading.RLock()
        # name or None -> id of the sender or None -> observers in order (a dict used as an ordered set, by id)
        self._observers: dict[str | None, dict[int | None, dict[int, Any]]] = {}
        self._senders: dict[int, ref[Any]] = {}
        self._cache: dict[tuple[str, int | None], tuple[Any, ...]] = {}

    def add_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """Call `observer.handle_notification` for that name (None: any) from that sender (None: any); twice is once."""
        if not callable(getattr(observer, 'handle_notification', None)):
            raise TypeError(f'not an observer: {observer!r}')
        with self._lock:
            key = None if sender is None else id(sender)
            if key is not None and key not in self._senders:
                try:
                    self._senders[key] = ref(sender, lambda _, key=key: self._sender_gone(key))  # type: ignore[misc]
                except TypeError:               # cannot be referred to weakly: held for as long as it is observed
                    self._senders[key] = lambda sender=sender: sender  # type: ignore[assignment,misc]
            self._observers.setdefault(name, {}).setdefault(key, {})[id(observer)] = observer
            self._cache = {}

    def remove_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """Undo add_observer with the same arguments; KeyError when it was not added so."""
        if not self._discard(observer, name, sender):
            raise KeyError(f'{observer!r} does not observe {name!r} from {sender!r}')

    def discard_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """The same, harmless when it was not added so."""
        self._discard(observer, name, sender)

    def _discard(self, observer: Any, name: str | None, sender: Any) -> bool:
        with self._lock:
            key = None if sender is None else id(sender)
            senders = self._observers.get(name, {})
            observers = senders.get(key, {})
            if observers.pop(id(observer), None) is None:
                return False
            if not observers:
                del senders[key]
                if not senders:
                    del self._observers[name]
                if key is not None and not any(key in entries for entries in self._observers.values()):
                    self._senders.pop(key, None)
            self._cache = {}
            return True

    def forget(self, observer: Any) -> None:
        """Remove an observer from wherever it was added."""
        with self._lock:
            for name, senders in list(self._observers.items()):
                for key, observers in list(senders.items()):
                    observers.pop(id(observer), None)
                    if not observers:
                        del senders[key]
                if not senders:
                    del self._observers[name]
            self._cache = {}

    def _sender_gone(self, key: int) -> None:
        with self._lock:
            self._senders.pop(key, None)
            for name, senders in list(self._observers.items()):
                if senders.pop(key, None) is not None and not senders:
                    del self._observers[name]
            self._cache = {}

    def _find(self, name: str, key: int | None) -> tuple[Any, ...]:
        with self._lock:
            found: dict[int, Any] = {}
            for entry in (self._observers.get(name), self._observers.get(None)):
                if entry is not None:
                    if key in self._senders:
                        found.update(entry.get(key, {}))
                    found.update(entry.get(None, {}))
            result = tuple(found.values())
            if key is None or key in self._senders:
                self._cache[name, key] = result
            else:
                self._cache[name, None] = result
            return result

    def post_notification(self, name: str, sender: Any = None, data: NotificationData | None = None) -> None:
        """Call the observers of `name` from `sender` in this thread."""
        key = None if sender is None else id(sender)
        if key not in self._senders:
            key = None
        observers = self._cache.get((name, key))
        if observers is None:
            observers = self._find(name, key)
        if not observers:
            return
        notification = Notification(name, sender, data if data is not None else NotificationData(), time.time(), self)
        for observer in observers:
            try:
                observer.handle_notification(notification)
            except Exception:
                _log.exception('an observer failed on %s: %r', name, observer)

    def notifications(self, name: str | None = None, sender: Any = None) -> AsyncIterator[Notification]:
        """An asynchronous iterator over notifications from now on; leave the loop or aclose() it to stop."""
        return _notifications(self, name, sender, asyncio.get_running_loop())


@implementer(IObserver)
class NotificationQueue:
    """A thread-safe queue of notifications, for code that prefers to wait.

    As a context manager it observes from enter to exit.
    """

    def __init__(self, name: str | None = None, sender: Any = None) -> None:
        self.name = name
        self.sender = sender
        self._queue: SimpleQueue[Notification] = SimpleQueue()

    def handle_notification(self, notification: Notification) -> None:
        self._queue.put(notification)

    def get(self, timeout: float | None = None) -> Notification:
        """The next one; queue.Empty after `timeout` seconds."""
        return self._queue.get(timeout=timeout)

    def start(self) -> None:
        NotificationCenter().add_observer(self, self.name, self.sender)

    def stop(self) -> None:
        NotificationCenter().discard_observer(self, self.name, self.sender)

    def __enter__(self) -> NotificationQueue:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


@implementer(IObserver)
class _LoopObserver:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.queue: asyncio.Queue[Notification] = asyncio.Queue()

    def handle_notification(self, notification: Notification) -> None:
        self.loop.call_soon_threadsafe(self.queue.put_nowait, notification)


async def _notifications(center: NotificationCenter, name: str | None, sender: Any,
                         loop: asyncio.AbstractEventLoop) -> AsyncIterator[Notification]:
    observer = _LoopObserver(loop)
    center.add_observer(observer, name, sender)
    try:
        while True:
            yield await observer.queue.get()
    finally:
        center.discard_observer(observer, name, sender)
