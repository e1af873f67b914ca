"""Which notifications were posted, from what and with which data fields; a JSON file that several runs add to.

Child processes of a run write what they see into a journal, one JSON object a line, as soon as it is new: one that is killed has told all but how
often. See report_hook/sitecustomize.py.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sipsimple.notification import NotificationCenter

__all__ = ['JOURNAL_VARIABLE', 'NotificationReport', 'start_journal', 'with_children']

JOURNAL_VARIABLE = 'SIPSIMPLE_NOTIFICATION_JOURNAL'
HOOK = Path(__file__).resolve().parent / 'report_hook'


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
        fields = set(vars(notification.data))
        self._add(notification.name, 1, fields, fields, {type(notification.sender).__name__})

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

    def add_journal(self, path: str) -> None:
        """Add what child processes wrote."""
        for line in Path(path).read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            self._add(entry['name'], entry['count'], set(entry['fields']), set(entry['fields']), {entry['sender']})

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


class _Journal:
    """Writes each new shape of notification at once, and how many more there were when the process ends."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._more: dict[tuple[str, tuple[str, ...], str], int] = {}

    def handle_notification(self, notification: Any) -> None:
        shape = (notification.name, tuple(sorted(vars(notification.data))), type(notification.sender).__name__)
        with self._lock:
            known = shape in self._more
            self._more[shape] = self._more.get(shape, -1) + 1
        if not known:
            self._write([(shape, 1)])

    def finish(self) -> None:
        with self._lock:
            rest = [(shape, count) for shape, count in self._more.items() if count]
            self._more = dict.fromkeys(self._more, 0)
        self._write(rest)

    def _write(self, entries: list[tuple[tuple[str, tuple[str, ...], str], int]]) -> None:
        lines = [json.dumps({'name': name, 'count': count, 'fields': fields, 'sender': sender}) + '\n' for (name, fields, sender), count in entries]
        # One write to a file opened for appending: the lines of several processes do not mix.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, ''.join(lines).encode())
        finally:
            os.close(descriptor)


def start_journal(path: str) -> None:
    """Write what this process posts from now on into a journal."""
    journal = _Journal(path)
    NotificationCenter().add_observer(journal)
    atexit.register(journal.finish)


@contextmanager
def with_children(report: NotificationReport, journal: str) -> Iterator[None]:
    """Have the child processes that are started meanwhile write a journal; it is added to the report and removed afterwards."""
    path = os.path.abspath(journal)
    Path(path).write_bytes(b'')
    before = {name: os.environ.get(name) for name in (JOURNAL_VARIABLE, 'PYTHONPATH')}
    os.environ[JOURNAL_VARIABLE] = path
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(HOOK), before['PYTHONPATH']]))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        report.add_journal(path)
        os.unlink(path)
