"""What a server may still lose of what it has taken."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sipsimple.account.xcap.operations import Operation

__all__ = ['Unconfirmed']

CREATED_LIMIT = 10.0        # seconds in which another client that had found no document may still write its own over ours: servers need not heed If-None-Match


class Unconfirmed:
    """Operations that were written to the addressbook, and not seen on the server since.

    There are servers that take two writes at once for the same document, whatever their conditions say, and keep the second one. So what was written is
    kept in mind until it was seen there, and merged into what is there until then.

    Attributes:
        operations: in the order in which they were written.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._created_until = 0.0       # seen there, they are confirmed from this (monotonic) time on
        self._is_fresh = False          # the addressbook was read since it was written

    def clear(self) -> None:
        """Nothing can be lost: another server, another user."""
        self.operations.clear()

    def written(self, operations: Iterable[Operation]) -> None:
        """The addressbook was written with these in it."""
        self.operations += operations

    def created(self) -> None:
        """There was no addressbook, as far as we knew, before the one that was written just now."""
        self._created_until = time.monotonic() + CREATED_LIMIT

    def fetched(self, exists: bool, is_ours: bool) -> None:
        """The addressbook was read.

        Args:
            exists: whether there is one; who has deleted it meant everything in it.
            is_ours: whether it is as we have written it.
        """
        if not exists or (is_ours and not self._is_new):
            self.operations.clear()
        self._is_fresh = True

    def merged(self, effective: Iterable[Operation]) -> None:
        """They were merged into what we have; `effective` are those that made a difference."""
        if self._is_fresh and not self._is_new:     # merged with what the server has, and not with what we think it has
            again = set(effective)
            self.operations = [operation for operation in self.operations if operation in again]
        self._is_fresh = False

    @property
    def _is_new(self) -> bool:
        """Whether our document may still be overwritten by a client that had found none."""
        return time.monotonic() < self._created_until
