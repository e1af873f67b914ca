"""Which notifications were posted, from what and with which data fields; a JSON file that several runs add to."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from sipsimple.notification import NotificationCenter

__all__ = ['NotificationReport']


class NotificationReport:
    """Observes every notification between start() and stop(). Thread: any.

    File: {name: {"count": n, "fields": [names seen], "always": [names in every one], "senders": [class names]}}.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Observe from now on."""
        NotificationCenter().add_observer(self)

    def stop(self) -> None:
        """Observe no more."""
        NotificationCenter().discard_observer(self)

    def handle_notification(self, notification: Any) -> None:
        """Called by the centre."""
        self._add(notification.name, 1, set(vars(notification.data)), set(vars(notification.data)), {type(notification.sender).__name__})

    def _add(self, name: str, count: int, fields: set[str], always: set[str], senders: set[str]) -> None:
        with self._lock:
            entry = self._seen.get(name)
            if entry is None:
                self._seen[name] = {'count': count, 'fields': set(fields), 'always': set(always), 'senders': set(senders)}
                return
            entry['count'] += count
            entry['fields'] |= fields
            entry['always'] &= always
            entry['senders'] |= senders

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """What was seen, ready for JSON."""
        with self._lock:
            return {name: {key: sorted(value) if isinstance(value, set) else value for key, value in entry.items()}
                    for name, entry in sorted(self._seen.items())}

    def write(self, path: str) -> None:
        """Write the report, merged with what the file holds already. ValueError: the file is no report."""
        merged = NotificationReport()
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                stored = json.load(file)
            try:
                for name, entry in stored.items():
                    merged._add(name, entry['count'], set(entry['fields']), set(entry['always']), set(entry['senders']))
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f'{path} is no notification report') from error
        for name, entry in self.as_dict().items():
            merged._add(name, entry['count'], set(entry['fields']), set(entry['always']), set(entry['senders']))
        temporary = f'{path}.{os.getpid()}'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(merged.as_dict(), file, indent=1)
            file.write('\n')
        os.replace(temporary, path)
