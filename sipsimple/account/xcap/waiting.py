"""Waits of one green thread that others can end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipsimple.threading import call_in_twisted_thread, reactor, schedule_in_thread
from sipsimple.threading.green import Event

__all__ = ['Interrupted', 'Waiting']


class Interrupted(Exception):
    """Something else is to be done."""


class Waiting:
    """The waits of a green thread, one at a time. Thread: the SDK thread.

    `interrupt` ends the present wait, or the next one if there is none; `wake` ends a `sleep` only.
    """

    def __init__(self) -> None:
        self._event: Event[Any] | None = None
        self._interrupted = False
        self._sleeping = False
        self._woken = False

    def interrupt(self) -> None:
        """Raise Interrupted in the present wait, or in the next one."""
        if self._event is not None and not self._event.ready():
            self._event.send_exception(Interrupted())
        else:
            self._interrupted = True

    def resume(self) -> None:
        """Whoever was interrupted knows now."""
        self._interrupted = False

    def wake(self) -> None:
        """End a sleep, or the next one at once."""
        if self._sleeping and self._event is not None:
            if not self._event.ready():
                self._event.send()
        else:
            self._woken = True

    def _wait(self, event: Event[Any]) -> Any:
        if self._interrupted:
            self._interrupted = False
            raise Interrupted
        self._event = event
        try:
            return event.wait()
        finally:
            self._event = None

    def sleep(self, seconds: float | None) -> None:
        """Wait for `wake`, `seconds` at most."""
        if self._woken:
            self._woken = False
            return
        event: Event[Any] = Event()
        timer = None if seconds is None else reactor.call_later(seconds, _send, event)
        self._sleeping = True
        try:
            self._wait(event)
        finally:
            self._sleeping = self._woken = False
            if timer is not None:
                timer.cancel()

    def deferred(self, deferred: Any) -> Any:
        """The result of a Deferred, or its failure raised; who is interrupted cancels it."""
        event: Event[Any] = Event()
        deferred.addCallbacks(lambda value: _send(event, value), lambda failure: _fail(event, failure.value))
        try:
            return self._wait(event)
        except Interrupted:
            deferred.cancel()
            raise

    def call(self, thread: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a named worker: its result, or its exception raised. Who is interrupted leaves it to itself."""
        event: Event[Any] = Event()

        def run() -> None:
            try:
                value = function(*args)
            except Exception as error:
                call_in_twisted_thread(_fail, event, error)
            else:
                call_in_twisted_thread(_send, event, value)
        schedule_in_thread(thread, run)
        return self._wait(event)

    def green(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a green thread of its own: its result, or its exception raised. Who is interrupted leaves it to itself."""
        from sipsimple.threading.green import spawn
        event: Event[Any] = Event()

        def run() -> None:
            try:
                _send(event, function(*args))
            except Exception as error:
                _fail(event, error)
        spawn(run)
        return self._wait(event)


def _send(event: Event[Any], value: Any = None) -> None:
    if not event.ready():
        event.send(value)


def _fail(event: Event[Any], error: BaseException) -> None:
    if not event.ready():
        event.send_exception(error)
