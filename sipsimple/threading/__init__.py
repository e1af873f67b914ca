"""Named worker threads and the way into the SDK thread.

Each worker runs its calls strictly in order; an exception is logged and does not end it. Names with a meaning:
'file-io' (configuration and address book persistence), 'device-io' (sound devices), 'thread-ops' (internal).
What was queued is carried out before the process ends: at interpreter exit the workers get EXIT_SECONDS for it.
Importing this module starts nothing; Twisted is imported when the SDK thread is started (sipsimple.threading.reactor).
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from functools import wraps
from queue import SimpleQueue
from typing import Any, ClassVar, ParamSpec

__all__ = ['ThreadManager', 'run_in_thread', 'call_in_thread', 'schedule_in_thread', 'run_in_twisted_thread', 'call_in_twisted_thread']

P = ParamSpec('P')
_log = logging.getLogger('sipsimple.threading')

INTERNAL_THREAD = 'thread-ops'
EXIT_SECONDS = 5.0


class WorkerThread:
    """One named worker: runs queued calls in order until it is ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._queue: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    @property
    def is_current(self) -> bool:
        """True in the worker's own thread."""
        return threading.current_thread() is self.thread

    def put(self, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Queue a call. Thread: any."""
        self._queue.put((function, args, kwargs))

    def end(self) -> None:
        """End after what is queued already."""
        self._queue.put(None)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, `timeout` seconds at most; returns at once in the worker itself."""
        if not self.is_current:
            self.thread.join(timeout)

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
    _exiting: bool

    def __new__(cls) -> ThreadManager:
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = super().__new__(cls)
                cls._instance._lock = threading.Lock()
                cls._instance._threads = {}
                cls._instance._exiting = False
            return cls._instance

    def start(self) -> None:
        """Nothing to do: workers start when they are first used."""

    def stop(self) -> None:
        """End and join every worker, the caller's own excepted; queued calls are carried out first."""
        self._end_all(None)

    def _end_all(self, seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads.values())
            self._threads.clear()
            for thread in threads:
                thread.end()
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _exit(self) -> None:
        """At interpreter exit: daemon threads would lose what is queued, a configuration to be written for instance."""
        with self._lock:
            self._exiting = True
        self._end_all(EXIT_SECONDS)

    def get_thread(self, name: str) -> WorkerThread:
        """The worker of that name, started on demand."""
        with self._lock:
            return self._get(name)

    def _get(self, name: str) -> WorkerThread:
        thread = self._threads.get(name)
        if thread is None:
            thread = self._threads[name] = WorkerThread(name)
        return thread

    def put(self, name: str, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Queue a call; False when the process ends and nobody would carry it out.

        Under the lock, so that none comes behind the end of a worker, where it would be lost.
        """
        with self._lock:
            if self._exiting:
                return False
            try:
                worker = self._get(name)
            except RuntimeError as error:
                if 'shutdown' not in str(error):        # as Python says when handlers of atexit, and ours is one of the last, ask for a thread
                    raise
                return False
            worker.put(function, args, kwargs)
            return True

    def current(self, name: str) -> threading.Thread | None:
        """The thread of that worker; None when it was not started."""
        with self._lock:
            worker = self._threads.get(name)
        return None if worker is None else worker.thread

    def stop_thread(self, name: str) -> None:
        """End one worker after its queued calls, without waiting. RuntimeError for the internal one."""
        if name == INTERNAL_THREAD:
            raise RuntimeError('the internal thread cannot be stopped')
        with self._lock:
            thread = self._threads.pop(name, None)
            if thread is not None:
                thread.end()


atexit.register(ThreadManager()._exit)      # registered early, so it runs after the handlers of those who import this


def schedule_in_thread(name: str, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Queue a call to the worker of that name. At the very end of the process it is made at once instead."""
    if not ThreadManager().put(name, function, args, kwargs):
        _log.debug('no worker %s at exit, running %r here', name, function)
        function(*args, **kwargs)


def call_in_thread(name: str, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """The same, but at once when already in that worker."""
    if threading.current_thread() is ThreadManager().current(name):
        function(*args, **kwargs)
    else:
        schedule_in_thread(name, function, *args, **kwargs)


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
