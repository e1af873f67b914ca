"""Which bytes of a message have arrived, or were reported."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

__all__ = ['Ranges']


class Ranges:
    """A set of offsets from 0 on, as few spans as possible."""

    __slots__ = ('_ends', '_starts')

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        """How many spans there are."""
        return len(self._starts)

    def __repr__(self) -> str:
        return f'<Ranges {self.spans()}>'

    def spans(self) -> list[tuple[int, int]]:
        """The spans: (first offset, offset after the last)."""
        return list(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Add the offsets from `start` up to, but not including, `end`."""
        if end <= start:
            return
        starts, ends = self._starts, self._ends
        if ends and ends[-1] == start:          # in order, as nearly always
            ends[-1] = end
            return
        first = bisect_left(ends, start)        # the first span that touches or comes after
        last = bisect_right(starts, end)        # after the last span that touches
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]

    def covers(self, start: int, end: int) -> bool:
        """Whether all offsets from `start` up to `end` are there; an empty span always is."""
        if end <= start:
            return True
        position = bisect_right(self._starts, start) - 1
        return position >= 0 and self._ends[position] >= end

    @property
    def end(self) -> int:
        """The offset after the last one that is there."""
        return self._ends[-1] if self._ends else 0

    @property
    def prefix(self) -> int:
        """How many bytes from the beginning on are there without a gap."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    @property
    def total(self) -> int:
        """How many bytes are there."""
        return sum(self._ends) - sum(self._starts)
