"""Green threads on the asyncio loop of the SDK thread, and what they wait on.

Theory: the loop runs in the thread's main greenlet, the hub. A green thread is a greenlet whose parent is the hub. To
wait it switches to the hub; to wake it, something schedules its switch on the loop, never switches to it directly, so
an exception that escapes a green thread cannot surface in whoever woke it. The names are eventlet's, so code written
for eventlet reads the same; eventlet itself is not needed.

Every wait is an object of its own (`_Waiter`): a wake-up that comes late, after a timeout or an exception ended the wait,
finds it inert and cannot end the thread's next wait. What is handed over by a wake-up is not lost either: a thread that
was given a value or a lock, but is interrupted before it runs, passes it on.

Rule: everything here may be used in the SDK thread only, `Event.send` and `Queue.put` included (RuntimeError elsewhere).
From other threads go through call_in_twisted_thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

import greenlet  # type: ignore[import-untyped,unused-ignore]

__all__ = ['Event', 'GreenThread', 'Lock', 'Queue', 'QueueEmpty', 'Timeout', 'get_current', 'in_green_thread', 'set_hub', 'sleep', 'spawn', 'wait_deferred']

T = TypeVar('T')
_log = logging.getLogger('sipsimple.threading.green')
_hub: greenlet.greenlet | None = None
_loop: asyncio.AbstractEventLoop | None = None
_hub_ident: int | None = None


def set_hub(loop: asyncio.AbstractEventLoop) -> None:
    """Make the calling greenlet the hub; called once, by the SDK thread."""
    global _hub, _loop, _hub_ident
    _hub, _loop, _hub_ident = greenlet.getcurrent(), loop, threading.get_ident()


class GreenThread(greenlet.greenlet):  # type: ignore[misc,unused-ignore]
    """A green thread; `kill()` raises GreenletExit in it."""

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(parent=_hub)
        self._call = (function, args, kwargs)

    def run(self) -> None:
        """Call the function; what it raises is logged."""
        function, args, kwargs = self._call
        del self._call
        try:
            function(*args, **kwargs)
        except greenlet.GreenletExit:
            pass
        except BaseException:               # also SystemExit: it must not end the loop
            _log.exception('a green thread failed: %r', function)

    def kill(self) -> None:
        """Raise GreenletExit in it, soon. RuntimeError outside the SDK thread."""
        _check_sender()
        if not self.dead:
            assert _loop is not None
            _loop.call_soon(_throw, self, greenlet.GreenletExit())


def _throw(target: greenlet.greenlet, error: BaseException) -> None:
    if not target.dead:
        target.throw(error)


def _check_thread() -> None:
    if _hub is None or threading.get_ident() != _hub_ident:
        raise RuntimeError('green threads live in the SDK thread; get there with call_in_green_thread or call_in_twisted_thread')


def get_current() -> GreenThread:
    """The running green thread. RuntimeError outside one: the hub (a reactor callback) cannot wait."""
    current = greenlet.getcurrent()
    if not isinstance(current, GreenThread):
        _check_thread()
        raise RuntimeError('a reactor callback cannot wait; do this in a green thread')
    return current


def in_green_thread() -> bool:
    """Whether the caller is a green thread, which can wait."""
    return isinstance(greenlet.getcurrent(), GreenThread)


def spawn(function: Callable[..., object], *args: Any, **kwargs: Any) -> GreenThread:
    """Run function in a new green thread, soon. Thread: SDK."""
    _check_thread()
    assert _loop is not None
    thread = GreenThread(function, args, kwargs)
    _loop.call_soon(thread.switch)
    return thread


def spawn_now(function: Callable[..., object], *args: Any, **kwargs: Any) -> GreenThread:
    """The same, but it runs to its first wait before this returns, when called from the hub."""
    _check_thread()
    thread = GreenThread(function, args, kwargs)
    if greenlet.getcurrent() is _hub:
        thread.switch()
    else:
        assert _loop is not None
        _loop.call_soon(thread.switch)
    return thread


def _wait() -> Any:
    assert _hub is not None
    return _hub.switch()


def sleep(seconds: float = 0) -> None:
    """Let others run for that long."""
    current = get_current()
    assert _loop is not None
    handle = _loop.call_soon(current.switch) if seconds <= 0 else _loop.call_later(seconds, current.switch)
    try:
        _wait()
    finally:
        handle.cancel()


class Timeout(BaseException):
    """Raised in the green thread `seconds` after it was made, unless cancelled; a context manager.

    With `exception=False` as a context manager it ends the block silently; another exception is raised instead of this.
    """

    def __init__(self, seconds: float | None = None, exception: BaseException | type[BaseException] | bool | None = None) -> None:
        super().__init__()
        self.seconds = seconds
        self.exception = exception
        self._handle: asyncio.TimerHandle | None = None
        if seconds is not None:
            current = get_current()
            assert _loop is not None
            error: Any = self if exception is None or isinstance(exception, bool) else exception
            self._handle = _loop.call_later(seconds, _throw, current, error)

    @property
    def pending(self) -> bool:
        """True until it is raised or cancelled."""
        return self._handle is not None and not self._handle.cancelled() and self._handle.when() > (_loop.time() if _loop else 0)

    def cancel(self) -> None:
        """Do not raise it any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def __str__(self) -> str:
        return f'{self.seconds} seconds'

    def __enter__(self) -> Timeout:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> bool:
        self.cancel()
        return value is self and self.exception is False


class _Waiter:
    """One wait of one green thread; after the wait it is inert, so a late wake-up cannot end another wait."""

    __slots__ = ('thread', 'active', 'woken', 'value')

    def __init__(self, thread: GreenThread) -> None:
        self.thread = thread
        self.active = True
        self.woken = False
        self.value: Any = None

    def resume(self) -> None:
        if self.active and not self.thread.dead:
            self.thread.switch()


class _Waiters:
    """Green threads that wait, in order; each wake-up hands a value to the one that waits longest."""

    def __init__(self) -> None:
        self._queue: deque[_Waiter] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def wait(self, timeout: float | None, refused: Callable[[Any], object] | None = None) -> _Waiter:
        """Wait; `woken` of the result tells whether somebody woke it or the time ran out.

        When an exception (Timeout, kill) ends a wait that had been woken already, `refused` gets the value back.
        """
        current = get_current()
        assert _loop is not None
        waiter = _Waiter(current)
        handle = None if timeout is None else _loop.call_later(timeout, waiter.resume)
        self._queue.append(waiter)
        try:
            _wait()
        except BaseException:
            if waiter.woken and refused is not None:
                waiter.active = False
                refused(waiter.value)
            raise
        finally:
            waiter.active = False
            if handle is not None:
                handle.cancel()
            if not waiter.woken:
                self._queue.remove(waiter)
        return waiter

    def wake_one(self, value: Any = None) -> GreenThread | None:
        """Wake the thread that waits longest, through the loop; None when there is none."""
        assert _loop is not None or not self._queue
        while self._queue:
            waiter = self._queue.popleft()
            waiter.woken, waiter.value = True, value
            if not waiter.thread.dead:
                assert _loop is not None
                _loop.call_soon(waiter.resume)
                return waiter.thread
        return None

    def wake_all(self) -> None:
        while self.wake_one() is not None:
            pass


def _check_sender() -> None:
    if _hub_ident is not None and threading.get_ident() != _hub_ident:
        raise RuntimeError('green primitives are used in the SDK thread only; get there with call_in_twisted_thread')


class Event(Generic[T]):
    """One value or exception, once; any number of waiters (eventlet.event.Event)."""

    def __init__(self) -> None:
        self._ready = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters = _Waiters()

    def ready(self) -> bool:
        """True once something was sent."""
        return self._ready

    def _set(self, value: Any, error: BaseException | None) -> None:
        _check_sender()
        if self._ready:
            raise RuntimeError('the event was sent already')
        self._ready, self._value, self._error = True, value, error
        self._waiters.wake_all()

    def send(self, value: T | None = None) -> None:
        """Wake the waiters with a value. RuntimeError the second time, and outside the SDK thread."""
        self._set(value, None)

    def send_exception(self, error: BaseException) -> None:
        """Raise an exception in the waiters. RuntimeError the second time, and outside the SDK thread."""
        self._set(None, error)

    def wait(self, timeout: float | None = None) -> T | None:
        """The value, when it comes; None after `timeout` seconds without one."""
        if not self._ready:
            self._waiters.wait(timeout)
            if not self._ready:
                return None
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]


class QueueEmpty(Exception):
    """Queue.get(timeout) found nothing in time."""


class Queue(Generic[T]):
    """Values in order, one waiter each; put never waits (the role of eventlet.coros.queue).

    Fair: a value goes to the green thread that waits longest, also when another asks before that one runs.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._waiters = _Waiters()

    def __len__(self) -> int:
        return len(self._items)

    def qsize(self) -> int:
        """Return how many values wait."""
        return len(self._items)

    def put(self, item: T) -> None:
        """Add a value. RuntimeError outside the SDK thread."""
        _check_sender()
        if self._waiters.wake_one(item) is None:
            self._items.append(item)

    send = put

    def _put_back(self, item: T) -> None:
        if self._waiters.wake_one(item) is None:
            self._items.appendleft(item)

    def get(self, timeout: float | None = None) -> T:
        """Wait for a value; QueueEmpty after `timeout` seconds."""
        if self._items:
            return self._items.popleft()
        waiter = self._waiters.wait(timeout, self._put_back)
        if not waiter.woken:
            raise QueueEmpty
        return waiter.value  # type: ignore[no-any-return]

    wait = get

    def clear(self) -> None:
        """Forget the values that wait."""
        self._items.clear()


class Lock:
    """Mutual exclusion among green threads; a context manager, not recursive.

    Fair: release() hands it to the green thread that waits longest.
    """

    def __init__(self) -> None:
        self._owner: GreenThread | None = None
        self._waiters = _Waiters()

    @property
    def locked(self) -> bool:
        """True while a green thread has it."""
        return self._owner is not None

    def acquire(self) -> None:
        """Wait for it. RuntimeError when this green thread has it."""
        current = get_current()
        if self._owner is current:
            raise RuntimeError('this green thread has the lock already')
        if self._owner is None:
            self._owner = current
        else:
            self._waiters.wait(None, lambda value: self.release())

    def release(self) -> None:
        """Hand it on. RuntimeError when nobody has it."""
        _check_sender()
        if self._owner is None:
            raise RuntimeError('the lock is not held')
        self._owner = self._waiters.wake_one()

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


def wait_deferred(deferred: Any, timeout: float | None = None) -> Any:
    """Wait for a Twisted Deferred: its result, or its failure raised; TimeoutError after `timeout` seconds.

    A wait that ends early, by the timeout or because the green thread was interrupted, cancels the Deferred.
    """
    event: Event[Any] = Event()
    get_current()
    deferred.addCallbacks(event.send, lambda failure: event.send_exception(failure.value))
    if not event.ready():
        try:
            event._waiters.wait(timeout)
        except BaseException:
            if not event.ready():
                deferred.cancel()
            raise
        if not event.ready():
            deferred.cancel()
            raise TimeoutError(f'no result in {timeout} seconds')
    return event.wait()
