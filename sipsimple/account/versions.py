"""Numbered documents, of which some tell what has changed only: RFC 3857 section 4.1, RFC 4235 section 4.3, RFC 4662 section 5.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipsimple.account.services import EventSubscriber
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['Versions', 'VersionedSubscriber']

ASK_AGAIN = 30.0            # seconds in which the whole state is asked for no more than once


class Versions:
    """The documents of one subscription. Thread: the SDK thread.

    Args:
        ask: called when something was missed: asks for the whole state.
    """

    def __init__(self, ask: Callable[[], object], scheduler: Scheduler) -> None:
        self._ask = ask
        self._scheduler = scheduler
        self._last: int | None = None
        self._timer: Timer | None = None

    def accept(self, version: int, is_full: bool) -> bool:
        """Return whether a document is to be used: not when it is no later than the last one. One that does not follow upon the last asks for the whole."""
        last = self._last
        if last is not None and version <= last:
            return False
        self._last = version
        if is_full:
            self._asked_enough()
        elif (last is None or version != last + 1) and self._timer is None:
            self._timer = self._scheduler.call_later(ASK_AGAIN, self._asked_enough)     # who answers with a gap again is not asked again at once
            self._ask()
        return True

    def clear(self) -> None:
        """What comes next is of another subscription."""
        self._last = None
        self._asked_enough()

    def _asked_enough(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class VersionedSubscriber(EventSubscriber):
    """An EventSubscriber whose documents are numbered."""

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self._versions = Versions(self.refresh, scheduler)

    def _is_over(self) -> None:
        self._versions.clear()
