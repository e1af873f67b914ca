"""The reactor thread as state machines see it: calls into it, and calls in the future. Tests put in their own."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from sipsimple.threading import reactor

__all__ = ['Scheduler', 'Timer', 'reactor_scheduler']

log = logging.getLogger('sipsimple.threading')


class Timer(Protocol):
    """A call in the future."""

    def cancel(self) -> None:
        """Call it off; harmless when it was made."""


class Scheduler(Protocol):
    """The reactor thread."""

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call in the reactor thread: at once if this is it."""

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call in the reactor thread, when what runs there now is over."""

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call in `seconds`; only from the reactor thread."""


class _ReactorScheduler:
    """The real one. Calls from other threads wake the reactor once for all that is waiting, not once each: a busy core has several
    events at a time, and the wake-up (a write to a socket) costs more than most of them."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False

    def call(self, function: Callable[..., object], *args: Any) -> None:
        if reactor.is_current():
            function(*args)
        else:
            self.call_soon(function, *args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        self._calls.append((function, args))
        # Two threads may both see False: then the second wake-up finds nothing to do.
        if not self._woken:
            self._woken = True
            try:
                reactor.call_from_thread(self._run)
            except RuntimeError:
                # There is no reactor thread: the caller is told, and nothing is left for one that may come.
                self._woken = False
                self._calls.clear()
                raise

    def _run(self) -> None:
        # Cleared first: what is appended from here on either is seen below or wakes again.
        self._woken = False
        calls = self._calls
        for _ in range(len(calls)):
            function, args = calls.popleft()
            try:
                function(*args)
            except Exception:
                log.exception('a call failed in the reactor thread: %r', function)

    call_later = staticmethod(reactor.call_later)


reactor_scheduler: Scheduler = _ReactorScheduler()
