"""The notification bus.

`post_notification` calls the observers in the posting thread, in the order in which they were added. Posting takes no
lock: the observers of a (name, sender) pair are a cached tuple, thrown away when an observer of that sender, or of any,
comes or goes. An observer that raises is logged and the next one is called. Senders are held weakly, so observing does
not keep one alive.
An observer removed during a dispatch is not called any more; one added during it starts with the next notification.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime as DateTime
from queue import SimpleQueue
from typing import Any, ClassVar
from weakref import ref

from zope.interface import Interface, implementer

__all__ = ['IObserver', 'Notification', 'NotificationCenter', 'NotificationData', 'NotificationQueue', 'NotificationStream', 'ObserverWeakrefProxy',
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
            fields['timestamp'] = DateTime.now(UTC).astimezone()
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
    def datetime(self) -> DateTime:
        """When it was posted, in local time (aware)."""
        return self.utcdatetime.astimezone()

    @property
    def utcdatetime(self) -> DateTime:
        """When it was posted, in UTC (aware)."""
        return DateTime.fromtimestamp(self.timestamp, UTC)

    def __repr__(self) -> str:
        return f'<Notification {self.name} from {self.sender!r}: {self.data!r}>'


@implementer(IObserver)
class ObserverWeakrefProxy:
    """Stands for an observer without keeping it alive; two proxies of one observer are the same to the centre."""

    def __init__(self, observer: Any) -> None:
        self._key = ('proxy', id(observer))
        self._observer = ref(observer, self._gone)

    def _gone(self, reference: Any) -> None:
        NotificationCenter().forget_later(self)

    def handle_notification(self, notification: Notification) -> None:
        observer = self._observer()
        if observer is not None:
            observer.handle_notification(notification)


def _key_of(observer: Any) -> object:
    return observer._key if isinstance(observer, ObserverWeakrefProxy) else id(observer)


class NotificationCenter:
    """The bus (singleton). Thread: any.

    The garbage collector may run a weak reference's callback in any thread at any moment, also in the middle of one of
    the methods below. So such a callback only notes who went (`_gone`, a deque); the next method that takes the lock
    clears the tables.
    """

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
        # name or None -> id of the sender or None -> key of the observer -> (order of its coming, observer)
        self._observers: dict[str | None, dict[int | None, dict[object, tuple[int, Any]]]] = {}
        self._senders: dict[int, Callable[[], Any]] = {}
        # id of the sender or None -> name -> who is called; each has those of any sender among them
        self._cache: dict[int | None, dict[str, tuple[Any, ...]]] = {}
        self._removals = 0                      # counts what may concern a notification that is being posted
        self._order = itertools.count()
        self._gone: deque[tuple[int, Any] | ObserverWeakrefProxy] = deque()

    def add_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """Call `observer.handle_notification` for that name (None: any) from that sender (None: any); twice is once.

        An observer that matches a notification in several ways is called once. TypeError: not an observer.
        """
        if not callable(getattr(observer, 'handle_notification', None)):
            raise TypeError(f'not an observer: {observer!r}')
        with self._lock:
            self._clear_gone()
            key = None if sender is None else id(sender)
            if key is not None and (key not in self._senders or self._senders[key]() is not sender):
                if key in self._senders:
                    self._drop_sender(key)
                gone = self._gone
                try:
                    self._senders[key] = ref(sender, lambda reference, key=key: gone.append((key, reference)))  # type: ignore[misc]
                except TypeError:               # cannot be referred to weakly: held for as long as it is observed
                    self._senders[key] = lambda sender=sender: sender  # type: ignore[misc]
            self._observers.setdefault(name, {}).setdefault(key, {}).setdefault(_key_of(observer), (next(self._order), observer))
            self._forget_found(key)

    def _forget_found(self, key: int | None) -> None:
        """The observers of a sender (None: of any) have changed."""
        if key is None:
            self._cache = {}
        else:
            self._cache.pop(key, None)

    def remove_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """Undo add_observer with the same arguments; KeyError when it was not added so.

        In the calling thread it is not called any more, not even for the notification that is being posted.
        """
        if not self._discard(observer, name, sender):
            raise KeyError(f'{observer!r} does not observe {name!r} from {sender!r}')

    def discard_observer(self, observer: Any, name: str | None = None, sender: Any = None) -> None:
        """The same, harmless when it was not added so."""
        self._discard(observer, name, sender)

    def _discard(self, observer: Any, name: str | None, sender: Any) -> bool:
        with self._lock:
            self._clear_gone()
            key = None if sender is None else id(sender)
            senders = self._observers.get(name, {})
            observers = senders.get(key, {})
            if observers.pop(_key_of(observer), None) is None:
                return False
            if not observers:
                del senders[key]
                if not senders:
                    del self._observers[name]
                if key is not None and not any(key in entries for entries in self._observers.values()):
                    self._senders.pop(key, None)
            self._removals += 1
            self._forget_found(key)
            return True

    def forget(self, observer: Any) -> None:
        """Remove an observer from wherever it was added."""
        with self._lock:
            self._clear_gone()
            self._forget(observer)

    def forget_later(self, observer: ObserverWeakrefProxy) -> None:
        """The same, soon; safe in a weak reference's callback."""
        self._gone.append(observer)

    def _forget(self, observer: Any) -> None:
        observer_key = _key_of(observer)
        for name, senders in list(self._observers.items()):
            for key, observers in list(senders.items()):
                if observer_key in observers and observers[observer_key][1] is observer:
                    del observers[observer_key]
                if not observers:
                    del senders[key]
            if not senders:
                del self._observers[name]
        self._removals += 1
        self._cache = {}

    def _clear_gone(self) -> None:
        while self._gone:
            entry = self._gone.popleft()
            if isinstance(entry, ObserverWeakrefProxy):
                self._forget(entry)
            elif self._senders.get(entry[0]) is entry[1]:       # else another object got the id since
                self._drop_sender(entry[0])

    def _drop_sender(self, key: int) -> None:
        self._senders.pop(key, None)
        for name, senders in list(self._observers.items()):
            if senders.pop(key, None) is not None and not senders:
                del self._observers[name]
        self._removals += 1
        self._forget_found(key)

    def _find(self, name: str, key: int | None) -> tuple[Any, ...]:
        with self._lock:
            self._clear_gone()
            if key not in self._senders:
                key = None
            found: dict[object, tuple[int, Any]] = {}
            for entry in (self._observers.get(name), self._observers.get(None)):
                for sender in (None,) if key is None else (key, None):
                    for observer_key, place in entry.get(sender, {}).items() if entry is not None else ():
                        if observer_key not in found or place[0] < found[observer_key][0]:
                            found[observer_key] = place
            result = tuple(observer for _, observer in sorted(found.values(), key=lambda place: place[0]))
            self._cache.setdefault(key, {})[name] = result
            return result

    def _is_found(self, observer: Any, name: str, key: int | None) -> bool:
        """Whether the observer still gets notifications of `name` from the sender."""
        found = self._cache.get(key, {}).get(name)
        return any(observer is other for other in (found if found is not None else self._find(name, key)))

    def post_notification(self, name: str, sender: Any = None, data: NotificationData | None = None) -> None:
        """Call the observers of `name` from `sender` in this thread, in the order in which they were added."""
        if self._gone:
            with self._lock:
                self._clear_gone()
        key = None if sender is None else id(sender)
        if key not in self._senders:
            key = None
        removals = self._removals
        found = self._cache.get(key)
        observers = found.get(name) if found is not None else None
        if observers is None:
            observers = self._find(name, key)
        if not observers:
            return
        notification = Notification(name, sender, data if data is not None else NotificationData(), time.time(), self)
        for observer in observers:
            if self._removals != removals and not self._is_found(observer, name, key):
                continue                        # removed by an observer before it
            try:
                observer.handle_notification(notification)
            except Exception:
                _log.exception('an observer failed on %s: %r', name, observer)

    def notifications(self, name: str | None = None, sender: Any = None) -> NotificationStream:
        """An asynchronous iterator over the notifications from this call on. RuntimeError without a running loop.

        It ends by `aclose()`, by leaving it as an asynchronous context manager, or when nobody refers to it any more.
        """
        return NotificationStream(self, name, sender, asyncio.get_running_loop())


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

    def empty(self) -> bool:
        """True when get() would have to wait."""
        return self._queue.empty()

    def start(self) -> None:
        """Begin to observe."""
        NotificationCenter().add_observer(self, self.name, self.sender)

    def stop(self) -> None:
        """Observe no more; what is in the queue stays."""
        NotificationCenter().discard_observer(self, self.name, self.sender)

    def __enter__(self) -> NotificationQueue:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


@implementer(IObserver)
class _LoopObserver:
    """Carries notifications into an asyncio loop; apart from the stream, so that an abandoned stream can go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.queue: asyncio.Queue[Notification | None] = asyncio.Queue()

    def handle_notification(self, notification: Notification) -> None:
        self.put(notification)

    def put(self, entry: Notification | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, entry)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            NotificationCenter().forget(self)


class NotificationStream:
    """What `NotificationCenter.notifications()` returns: `async for notification in stream`."""

    def __init__(self, center: NotificationCenter, name: str | None, sender: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._observer = observer = _LoopObserver(loop)
        self._undo: Callable[[], None] = lambda: center.discard_observer(observer, name, sender)
        self._closed = False
        center.add_observer(self._observer, name, sender)

    def __aiter__(self) -> NotificationStream:
        return self

    async def __anext__(self) -> Notification:
        if self._closed:
            raise StopAsyncIteration
        entry = await self._observer.queue.get()
        if entry is None:
            self._observer.queue.put_nowait(None)           # for another task that waits here
            raise StopAsyncIteration
        return entry

    async def aclose(self) -> None:
        """Observe no more; a task that waits for the next notification leaves its loop."""
        if not self._closed:
            self._closed = True
            self._undo()
            self._observer.queue.put_nowait(None)

    async def __aenter__(self) -> NotificationStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, '_closed', True):
            self._undo()
