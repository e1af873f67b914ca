"""Which notifications were posted, from what and with which data fields; a JSON file that several runs add to.

Only what the product posts counts, see by_product(); what a test posts itself is counted apart. Child processes of a run write what they see into
a journal, one JSON object a line, as soon as it is new: one that is killed has told all but how often. See report_hook/sitecustomize.py.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sipsimple.notification
from sipsimple.notification import NotificationCenter

__all__ = ['JOURNAL_VARIABLE', 'NotificationReport', 'by_product', 'start_journal', 'with_children']

JOURNAL_VARIABLE = 'SIPSIMPLE_NOTIFICATION_JOURNAL'
HOOK = Path(__file__).resolve().parent / 'report_hook'
PRODUCT = tuple(str(Path(sipsimple.__file__).resolve().parents[1] / name) + os.sep for name in ('sipsimple', 'msrplib'))
TESTS = (str(Path(__file__).resolve().parents[1]) + os.sep, '<')           # a script that is handed over with -c is '<string>'
POSTING = re.compile(r'_?post(_|\Z)')


def by_product(sender: Any) -> bool:
    """Whether the product posts the notification that the caller, an observer, is being given.

    It does when its code calls `post_notification`, for a sender of its own or for nobody. Where that code is a function that does nothing else,
    such as `_post`, a test must not be its caller: an event loop may be.
    """
    if sender is not None and not any(base.__module__.partition('.')[0] in ('sipsimple', 'msrplib') for base in type(sender).__mro__):
        return False
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not NotificationCenter.post_notification.__code__:
        frame = frame.f_back
    frame = frame.f_back if frame is not None else None
    if frame is None or not frame.f_code.co_filename.startswith(PRODUCT):
        return False
    while frame is not None and POSTING.match(frame.f_code.co_name) and frame.f_code.co_filename.startswith(PRODUCT):
        frame = frame.f_back
    return frame is None or not frame.f_code.co_filename.startswith(TESTS)


def _test_file() -> str:
    """The file of the test that runs, or that ran when this process was started."""
    return os.environ.get('PYTEST_CURRENT_TEST', '').partition('::')[0]


Shape = tuple[str, tuple[str, ...], tuple[str, ...], str, str]              # name, fields, those that are not None, class of the sender, file of the test


def _shape(notification: Any) -> Shape:
    fields = vars(notification.data)
    return (notification.name, tuple(sorted(fields)), tuple(sorted(name for name, value in fields.items() if value is not None)),
            type(notification.sender).__name__, _test_file())


class NotificationReport:
    """Observes every notification between start() and stop(). Thread: any.

    File: {name: {"count": n, "foreign": n that the product did not post, "fields": [names seen], "always": [names in every one],
    "seen": {file of the test: {class of the sender: [names that were once not None]}}}}.
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
        if by_product(notification.sender):
            self._add(_shape(notification), 1)
        else:
            self._add_foreign(notification.name, 1)

    def _entry(self, name: str) -> dict[str, Any]:
        return self._seen.setdefault(name, {'count': 0, 'foreign': 0, 'fields': set(), 'always': None, 'seen': {}})

    def _add(self, shape: Shape, count: int) -> None:
        name, fields, told, sender, file = shape
        with self._lock:
            entry = self._entry(name)
            entry['count'] += count
            entry['fields'] |= set(fields)
            entry['always'] = set(fields) if entry['always'] is None else entry['always'] & set(fields)
            entry['seen'].setdefault(file, {}).setdefault(sender, set()).update(told)

    def _add_foreign(self, name: str, count: int) -> None:
        with self._lock:
            self._entry(name)['foreign'] += count

    def _merge(self, name: str, stored: dict[str, Any]) -> None:
        """Add the entry of a file."""
        with self._lock:
            entry = self._entry(name)
            if stored['count']:
                always = set(stored['always'])
                entry['always'] = always if entry['always'] is None else entry['always'] & always
            entry['count'] += stored['count']
            entry['foreign'] += stored['foreign']
            entry['fields'] |= set(stored['fields'])
            for file, senders in stored['seen'].items():
                for sender, told in senders.items():
                    entry['seen'].setdefault(file, {}).setdefault(sender, set()).update(told)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """What was seen, ready for JSON."""
        with self._lock:
            return {name: {'count': entry['count'], 'foreign': entry['foreign'], 'fields': sorted(entry['fields']), 'always': sorted(entry['always'] or ()),
                           'seen': {file: {sender: sorted(told) for sender, told in sorted(senders.items())}
                                    for file, senders in sorted(entry['seen'].items())}}
                    for name, entry in sorted(self._seen.items())}

    def add_journal(self, path: str) -> None:
        """Add what child processes wrote."""
        for line in Path(path).read_text(encoding='utf-8').splitlines():
            shape, count = json.loads(line)
            if len(shape) == 1:
                self._add_foreign(shape[0], count)
            else:
                self._add(shape, count)

    def write(self, path: str) -> None:
        """Write the report, merged with what the file holds already. ValueError: the file is no report."""
        merged = NotificationReport()
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                stored = json.load(file)
            try:
                for name, entry in stored.items():
                    merged._merge(name, entry)
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f'{path} is no notification report') from error
        for name, entry in self.as_dict().items():
            merged._merge(name, entry)
        temporary = f'{path}.{os.getpid()}'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(merged.as_dict(), file, indent=1)
            file.write('\n')
        os.replace(temporary, path)


class _Journal:
    """Writes each new shape of notification at once, and how many more there were when the process ends. Of what the product did not post, the name is all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._more: dict[Shape | tuple[str], int] = {}

    def handle_notification(self, notification: Any) -> None:
        shape = _shape(notification) if by_product(notification.sender) else (notification.name,)
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

    def _write(self, entries: list[tuple[Shape | tuple[str], int]]) -> None:
        lines = [json.dumps(entry) + '\n' for entry in entries]
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
