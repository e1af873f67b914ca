"""How much may be under way to a peer behind a relay.

A relay answers SEND itself, and what its queue cannot hold it throws away, with the connection or without. Only success reports come from the far end: a
message is written no further than a window beyond what they confirm. A peer that makes no report before the end is not waited for in vain: the window
doubles each time that a while has passed without one.
"""

from __future__ import annotations

__all__ = ['Pacer', 'STALL', 'WINDOW']

WINDOW = 1 << 18            # bytes on their way; what Kamailio's relay takes without loss is some 400 kB
STALL = 2.0                 # seconds without a report, after which a peer that never made one gets more
SILENCE = 60.0              # seconds without a report, after which a peer that made some is lost


class Pacer:
    """The window of one message.

    Args:
        window: bytes that may be under way; None for any number.
    Attributes:
        confirmed: bytes that were reported.
    """

    __slots__ = ('_last', '_reports', 'confirmed', 'window')

    def __init__(self, window: int | None = WINDOW) -> None:
        self.window = window
        self.confirmed = 0
        self._reports = False
        self._last: float | None = None         # when there was a report, or we began to wait for one

    def allowed(self, written: int, now: float) -> int | None:
        """How many bytes may be written after the first `written`; None for any number. The time of waiting begins when it is none."""
        if self.window is None:
            return None
        left = max(0, self.confirmed + self.window - written)
        if not left and self._last is None:
            self._last = now
        return left

    def reported(self, confirmed: int) -> None:
        """The peer has reported to have so many bytes."""
        if confirmed > self.confirmed:
            self.confirmed = confirmed
            self._reports = True
            self._last = None

    @property
    def deadline(self) -> float | None:
        """When `stalled` is to be called; None while nobody waits."""
        return None if self._last is None else self._last + (SILENCE if self._reports else STALL)

    def stalled(self) -> bool:
        """No report has come in time. Whether to go on: with a wider window, as this peer makes none before the end."""
        self._last = None
        if self._reports or self.window is None:
            return False
        self.window *= 2
        return True
