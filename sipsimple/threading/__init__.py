"""Named worker threads and the way into the SDK thread.

Each worker runs its calls strictly in order; an exception is logged and does not end it. Names with a meaning:
'file-io' (configuration and address book persistence), 'device-io' (sound devices), 'thread-ops' (internal).
Importing this module starts nothing; Twisted is imported when the SDK thread is started (sipsimple.threading.reactor).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import wraps
from queue import SimpleQueue
from typing import Any, ClassVar, ParamSpec

__all__ = ['ThreadManager', 'run_in_thread', 'call_in_thread', 'schedule_in_thread', 'run_in_twisted_thread', 'call_in_twisted_thread']

P = ParamSpec('P')
_log = logging.getLogger('sipsimple.threading')

INTERNAL_THREAD = 'thread-ops'


class WorkerThread:
    """One named worker: runs queued calls in order until it is ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._queue: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def put(self, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._queue.put((function, args, kwargs))

    def end(self) -> None:
        """End after what is queued already."""
        self._queue.put(None)

    def join(self, timeout: float | None = None) -> None:
        if not self.is_current:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            function, args, kwargs = entry
            try:
                function(*args, **kwargs)
            except BaseException:           # also SystemExit: the worker serves others
                _log.exception('a call failed in thread %s: %r', self.name, function)
            del entry, function, args, kwargs


class ThreadManager:
    """The named workers of the process (singleton). Thread: any."""

    _instance: ClassVar[ThreadManager | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()
    _lock: threading.Lock
    _threads: dict[str, WorkerThread]

    def __new__(cls) -> ThreadManager:
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = super().__new__(cls)
                cls._instance._lock = threading.Lock()
                cls._instance._threads = {}
            return cls._instance

    def start(self) -> None:
        """Nothing to do: workers start when they are first used."""

    def stop(self) -> None:
        """End and join every worker, the caller's own excepted; queued calls are carried out first."""
        with self._lock:
            threads = list(self._threads.values())
            self._threads.clear()
        for thread in threads:
            thread.end()
        for thread in threads:
            thread.join()

    def get_thread(self, name: str) -> WorkerThread:
        """The worker of that name, started on demand."""
        with self._lock:
            thread = self._threads.get(name)
            if thread is None:
                thread = self._threads[name] = WorkerThread(name)
            return thread

    def stop_thread(self, name: str) -> None:
        """End one worker after its queued calls, without waiting. RuntimeError for the internal one."""
        if name == INTERNAL_THREAD:
            raise RuntimeError('the internal thread cannot be stopped')
        with self._lock:
            thread = self._threads.pop(name, None)
        if thread is not None:
            thread.end()


def schedule_in_thread(name: str, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Queue a call to the worker of that name."""
    ThreadManager().get_thread(name).put(function, args, kwargs)


def call_in_thread(name: str, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """The same, but at once when already in that worker."""
    thread = ThreadManager().get_thread(name)
    if thread.is_current:
        function(*args, **kwargs)
    else:
        thread.put(function, args, kwargs)


def run_in_thread(name: str, scheduled: bool = False) -> Callable[[Callable[P, object]], Callable[P, None]]:
    """Decorator: calls run in the worker of that name and return None at once; inline there, unless `scheduled`."""
    call = schedule_in_thread if scheduled else call_in_thread

    def decorate(function: Callable[P, object]) -> Callable[P, None]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
            call(name, function, *args, **kwargs)
        return wrapper
    return decorate


def call_in_twisted_thread(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call it in the SDK (reactor) thread: at once when there already, else soon; the result is dropped."""
    from sipsimple.threading import reactor
    if reactor.is_current():
        function(*args, **kwargs)
    else:
        reactor.call_from_thread(function, *args, **kwargs)


def run_in_twisted_thread(function: Callable[P, object]) -> Callable[P, None]:
    """Decorator for call_in_twisted_thread."""
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        call_in_twisted_thread(function, *args, **kwargs)
    return wrapper
