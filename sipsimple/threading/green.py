"""Green threads of the SDK thread: decorators, commands, workers; the one facade for everybody above.

`run_in_green_thread` and its kin may be called from any thread; what they run lives in the SDK thread.
"""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

from sipsimple.threading import coros, reactor
from sipsimple.threading.coros import Event, GreenThread, Lock, Queue, QueueEmpty, Timeout, sleep, spawn, wait_deferred

__all__ = ['Command', 'Event', 'GreenThread', 'InterruptCommand', 'Lock', 'Queue', 'QueueEmpty', 'Timeout', 'Waitable', 'Worker',
           'call_in_green_thread', 'run_in_green_thread', 'run_in_waitable_green_thread', 'sleep', 'spawn', 'wait_deferred']

P = ParamSpec('P')
T = TypeVar('T')


def call_in_green_thread(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Run it in a new green thread; returns at once. Thread: any."""
    if reactor.is_current():
        coros.spawn_now(function, *args, **kwargs)
    else:
        reactor.call_from_thread(coros.spawn_now, function, *args, **kwargs)


def run_in_green_thread(function: Callable[P, object]) -> Callable[P, None]:
    """Decorator for call_in_green_thread."""
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        call_in_green_thread(function, *args, **kwargs)
    return wrapper


class Waitable(Generic[T]):
    """The outcome of a call in a green thread: `wait()` there, `result()` in ordinary threads, `await` in asyncio."""

    def __init__(self) -> None:
        self._future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def _run(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(value)

    def done(self) -> bool:
        """True when wait() would not wait."""
        return self._future.done()

    def wait(self) -> T:
        """The result, or the exception raised. Thread: a green thread."""
        if not self._future.done():
            event: Event[None] = Event()
            coros.get_current()

            def wake(future: Any) -> None:
                if reactor.is_current():
                    event.send()
                else:
                    reactor.call_from_thread(event.send)

            self._future.add_done_callback(wake)
            event.wait()
        return self._future.result(0)

    def result(self, timeout: float | None = None) -> T:
        """The same for an ordinary thread; TimeoutError after `timeout` seconds. RuntimeError in the SDK thread."""
        if reactor.is_current() and not self._future.done():
            raise RuntimeError('result() would block the SDK thread; use wait() in a green thread')
        return self._future.result(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio
        return asyncio.wrap_future(self._future).__await__()


def run_in_waitable_green_thread(function: Callable[P, T]) -> Callable[P, Waitable[T]]:
    """Decorator: the call runs in a new green thread; the result is a Waitable. Thread: any."""
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Waitable[T]:
        waitable: Waitable[T] = Waitable()
        call_in_green_thread(waitable._run, function, args, kwargs)
        return waitable
    return wrapper


class InterruptCommand(Exception):
    """Raised in a command loop to break it out of its current command."""


class Command:
    """A message for a command loop: `name`, `event`, `timestamp` (UTC) and the extra keywords as attributes."""

    _defaults: ClassVar[dict[tuple[str, str], dict[str, Any]]] = {}

    def __init__(self, name: str, event: Event[Any] | None = None, timestamp: datetime | None = None, **kwargs: Any) -> None:
        frame = inspect.currentframe()
        module = frame.f_back.f_globals.get('__name__', '') if frame is not None and frame.f_back is not None else ''
        self.name = name
        self.event: Event[Any] = event if event is not None else Event()
        self.timestamp = timestamp if timestamp is not None else datetime.now(UTC)
        for key, value in {**self._defaults.get((module, name), {}), **kwargs}.items():
            setattr(self, key, value)

    @classmethod
    def register_defaults(cls, name: str, **kwargs: Any) -> None:
        """Default attributes of the commands of that name made in the calling module."""
        frame = inspect.currentframe()
        module = frame.f_back.f_globals.get('__name__', '') if frame is not None and frame.f_back is not None else ''
        cls._defaults[module, name] = kwargs

    def signal(self, result: Any = None) -> None:
        """Complete it; an exception instance is raised in the waiters."""
        if isinstance(result, BaseException):
            self.event.send_exception(result)
        else:
            self.event.send(result)

    def wait(self) -> Any:
        """Wait for its completion. Thread: a green thread."""
        return self.event.wait()

    def __repr__(self) -> str:
        return f'<Command {self.name}>'


class Worker:
    """A function in a green thread whose outcome can be waited for."""

    def __init__(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self._call = (function, args, kwargs)
        self._started = False
        self._event: Event[tuple[Any, BaseException | None]] = Event()

    @classmethod
    def spawn(cls, function: Callable[..., object], *args: Any, **kwargs: Any) -> Worker:
        """Make and start one."""
        worker = cls(function, *args, **kwargs)
        worker.start()
        return worker

    def start(self) -> None:
        """Start it. RuntimeError outside the SDK thread, or when it was started."""
        if self._started:
            raise RuntimeError('the worker was started already')
        if not reactor.is_current():
            raise RuntimeError('a worker is started in the SDK thread')
        self._started = True
        coros.spawn(self._run)

    def _run(self) -> None:
        function, args, kwargs = self._call
        del self._call
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self._event.send((None, error))
        else:
            self._event.send((value, None))

    def _outcome(self) -> tuple[Any, BaseException | None]:
        outcome = self._event.wait()
        assert outcome is not None
        return outcome

    def wait(self) -> Any:
        """Its result, or its exception raised. Thread: a green thread."""
        value, error = self._outcome()
        if error is not None:
            raise error
        return value

    def wait_ex(self) -> Any:
        """Its result, or its exception as a value; an exception of the waiting thread itself (Timeout) is raised."""
        value, error = self._outcome()
        return value if error is None else error
