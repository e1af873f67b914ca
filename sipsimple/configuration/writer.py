"""When the tree is written: once for all saves that wait together, every WRITE_SECONDS at the latest while more keep coming."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from sipsimple.configuration.backend import ConfigurationBackendError
from sipsimple.configuration.manager import ConfigurationManager
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['STORAGE_THREAD', 'Writer', 'writer']

STORAGE_THREAD = 'file-io'
WRITE_SECONDS = 1.0
_log = logging.getLogger('sipsimple.configuration')


class Writer:
    """Counts the saves that were announced and decides when the file is written. Only the file-io thread calls `done`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queued = 0
        self._waiting: list[tuple[Any, str, dict[str, Any]]] = []
        self._sources: list[Callable[[], object]] = []
        self._last = 0.0

    def add_source(self, source: Callable[[], object]) -> None:
        """Have a function called before each writing, in file-io: it puts into the tree what it has collected. Twice is once."""
        if source not in self._sources:
            self._sources.append(source)

    def queue(self) -> None:
        """Announce a call of `done`. Thread: any."""
        with self._lock:
            self._queued += 1

    def done(self, saved: Iterable[tuple[Any, str, dict[str, Any]]]) -> None:
        """Write what was saved, or have a later call do it.

        Args:
            saved: object, operation ('save', 'delete') and further fields for CFGManagerSaveFailed; none when there is nothing to be written.
        """
        with self._lock:
            self._queued -= 1
            more = self._queued > 0
        self._waiting.extend(saved)
        if self._waiting and (not more or time.monotonic() - self._last > WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        manager = ConfigurationManager()
        try:
            for source in self._sources:
                source()
            manager.save()
        except Exception as error:          # the backend may be the application's
            if not isinstance(error, ConfigurationBackendError):
                _log.exception('the configuration backend failed')
            for obj, operation, data in waiting:
                NotificationCenter().post_notification('CFGManagerSaveFailed', sender=manager, data=NotificationData(
                    object=obj, operation=operation, exception=error, **data))
        self._last = time.monotonic()


writer = Writer()
