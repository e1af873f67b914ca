"""What the user did and the server has not seen yet, kept on disk: JSON, written as a whole at each change."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Iterable
from typing import Any

from sipsimple.account.xcap import operations
from sipsimple.account.xcap.operations import Operation
from sipsimple.account.xcap.storage import XCAPStorageError

__all__ = ['Journal']

log = logging.getLogger('sipsimple.account.xcap')

NAME = 'journal'
VERSION = 1


class Journal:
    """Operations in order. Thread: any.

    Args:
        storage: where it is kept, an `IXCAPStorage`.

    Attributes:
        run: names this run of the program, so that numbers are never used twice even if the last ones before a crash were not stored.
        root: the XCAP root that the stored documents are of, or None.
        sent: name of a document -> (digest of what was sent, numbers of the operations in it), while it is not known whether it arrived.
    """

    def __init__(self, storage: Any) -> None:
        self.run = secrets.token_hex(6)
        self.root: str | None = None
        self.sent: dict[str, tuple[str, list[tuple[str, int]]]] = {}
        self._storage = storage
        self._lock = threading.RLock()
        self._save_lock = threading.Lock()
        self._place = 0
        self._depth = 0
        self._committed: list[Operation] = []
        self._open: list[Operation] = []
        self._unsaved = False

    def __len__(self) -> int:
        """How many operations there are, those of an open transaction included."""
        with self._lock:
            return len(self._committed) + len(self._open)

    def load(self) -> None:
        """Read what an earlier run left. What cannot be read is put aside, not lost."""
        try:
            data = self._storage.load(NAME)
        except XCAPStorageError:
            return
        try:
            stored = json.loads(data)
            if not isinstance(stored, dict) or stored.get('version') != VERSION:
                raise ValueError('not a journal of ours')
            found = [operations.from_json(item) for item in stored['operations']]
            sent = {str(name): (str(digest), [(str(run), int(place)) for run, place in numbers]) for name, (digest, numbers) in stored['sent'].items()}
            root = stored['root']
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.error('the journal cannot be read and is put aside as %s.broken: %s', NAME, error)
            try:
                self._storage.save(f'{NAME}.broken', data)
            except XCAPStorageError as problem:
                log.error('%s', problem)
            return
        with self._lock:
            self._committed[:0] = found
            self.sent, self.root = sent, None if root is None else str(root)

    # ---- operations ------------------------------------------------------------------------------------------------

    def add(self, name: str, *arguments: Any) -> bool:
        """Note an operation; False when it waits for the end of a transaction.

        Raises:
            ValueError, TypeError, AttributeError: the arguments cannot be stored.
        """
        with self._lock:
            operation = operations.make((self.run, self._place + 1), name, *arguments)
            self._place += 1
            (self._open if self._depth else self._committed).append(operation)
            self._unsaved = True
            return not self._depth

    def begin(self) -> None:
        """Begin a transaction; they nest."""
        with self._lock:
            self._depth += 1

    def commit(self) -> bool:
        """End a transaction; True when it was the outermost one and had operations.

        Raises:
            RuntimeError: there is none.
        """
        with self._lock:
            if not self._depth:
                raise RuntimeError('there is no transaction')
            self._depth -= 1
            if self._depth or not self._open:
                return False
            self._committed += self._open
            self._open.clear()
            return True

    def pending(self) -> list[Operation]:
        """What has to be carried out, in order."""
        with self._lock:
            return list(self._committed)

    def remove(self, numbers: Iterable[tuple[str, int]]) -> None:
        """These are done."""
        gone = set(numbers)
        with self._lock:
            self._committed = [operation for operation in self._committed if operation.number not in gone]
            self._unsaved = True

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._committed.clear()
            self._open.clear()
            self.sent.clear()
            self._unsaved = True

    def note(self) -> None:
        """`root` or `sent` were changed."""
        with self._lock:
            self._unsaved = True

    # ---- storage ---------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write it, if it is not written as it is; failures are logged. Blocks."""
        with self._save_lock:           # a later one is not overtaken by an earlier one
            with self._lock:
                if not self._unsaved:
                    return
                self._unsaved = False
                stored = {'version': VERSION, 'root': self.root, 'sent': dict(self.sent), 'operations': [item.to_json() for item in self._committed]}
            try:
                self._storage.save(NAME, json.dumps(stored, ensure_ascii=False, separators=(',', ':')))
            except XCAPStorageError as error:
                log.error('the journal is not stored: %s', error)
                with self._lock:
                    self._unsaved = True
