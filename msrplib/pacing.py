"""How much may be under way to a peer behind a relay.

A relay answers SEND itself, and what its queue cannot hold it throws away, with the connection or without; so it does with what comes before its own
connection to the next hop is there. Only success reports come from the far end: a message is written no further than a window beyond what they confirm, and
the window begins small. A peer that makes no report before the end is not waited for in vain: the window doubles each time that a while has passed without one.
"""

from __future__ import annotations

__all__ = ['END', 'FIRST', 'Pacer', 'SILENCE', 'STALL', 'WINDOW']

FIRST = 10_000              # bytes that go ahead, to see whether the way is there: a chunk
WINDOW = 1 << 17            # bytes on their way at most; what Kamailio's relay takes without loss is some 200 kB
STALL = 2.0                 # seconds without a report, after which a peer that never made one gets more
SILENCE = 60.0              # seconds without a report, after which a peer that made some is lost
END = 300.0                 # seconds without a report after all was written, for a peer that made none


class Pacer:
    """The window of one message.

    Args:
        limit: how wide it becomes, in bytes; None for any number from the beginning.
    Attributes:
        window: bytes that may be under way now; None for any number.
        confirmed: bytes that were reported.
    """

    __slots__ = ('_complete', '_last', '_limit', '_reports', 'confirmed', 'window')

    def __init__(self, limit: int | None = WINDOW) -> None:
        self._limit = limit
        self.window = None if limit is None else min(FIRST, limit)
        self.confirmed = 0
        self._reports = False
        self._complete = False
        self._last: float | None = None         # when there was a report, or we began to wait for one

    def allowed(self, written: int, now: float) -> int | None:
        """How many bytes may be written after the first `written`; None for any number. The time of waiting begins when it is none."""
        if self.window is None:
            return None
        left = max(0, self.confirmed + self.window - written)
        if not left and self._last is None:
            self._last = now
        return left

    def complete(self, now: float) -> None:
        """All is written: only reports are missing."""
        self._complete = True
        if self.window is not None:
            self._last = now

    def reported(self, confirmed: int, now: float) -> None:
        """The peer has reported to have so many bytes."""
        if self.window is None or self._limit is None:
            return
        if confirmed > self.confirmed:
            self.confirmed = confirmed
            self.window = max(self.window, min(self._limit, self.window * 2))
            self._reports = True
            self._last = now if self._complete else None

    @property
    def deadline(self) -> float | None:
        """When `stalled` is to be called; None while nobody waits."""
        if self._last is None:
            return None
        return self._last + (SILENCE if self._reports else END if self._complete else STALL)

    def stalled(self) -> bool:
        """No report has come in time. Whether to go on: with a wider window, as this peer makes none before the end."""
        self._last = None
        if self._reports or self._complete or self.window is None:
            return False
        self.window *= 2
        return True
