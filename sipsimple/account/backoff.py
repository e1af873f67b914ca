"""Waiting times that grow as long as nothing helps."""

from __future__ import annotations

import random

__all__ = ['Backoff']


class Backoff:
    """A waiting time that doubles from `first` up to `last`; random in [w, 2w]."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, last
        self.wait = first

    def next(self) -> float:
        """Return the seconds to wait this time; the next time it is twice as long."""
        wait, self.wait = self.wait, min(self.wait * 2, self.last)
        return random.uniform(wait, 2 * wait)

    def reset(self) -> None:
        """Begin again with `first`: it went well."""
        self.wait = self.first
