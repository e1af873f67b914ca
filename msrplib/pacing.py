"""How much may be under way to a peer behind a relay.

A relay answers SEND itself, and what its queue cannot hold it throws away, with the connection or without; so it does with what comes before its own
connection to the next hop is there. Only success reports come from the far end: a message is written no further than a window beyond what they confirm, and
the window begins small. A peer that makes no report before the end is not waited for in vain: the window doubles each time that a while has passed without one.

A `Pacer` is for one message, a `Flow` for all messages of a session, which take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from msrplib.chunking import OutgoingMessage

__all__ = ['END', 'FIRST', 'Flow', 'PATIENCE', 'PROBE', 'Pacer', 'SHARED', 'SILENCE', 'STALL', 'WINDOW']

FIRST = 10_000              # bytes that go ahead, to see whether the way is there: a chunk
WINDOW = 1 << 17            # bytes on their way at most; what Kamailio's relay takes without loss is some 200 kB
STALL = 2.0                 # seconds without a report, after which a peer that never made one gets more
SILENCE = 60.0              # seconds without a report, after which a peer that made some is lost
END = 300.0                 # seconds without a report after all was written, for a peer that made none
PATIENCE = 10.0             # seconds without a report, after which a peer gets more that may be slow, or may make reports at the end of a message only
PROBE = 10.0                # seconds without a report, after which a peer that made some gets a chunk that shows it what was lost before
SHARED = 32                 # messages that share a flow; receivers do not take any number at once
OVERHEAD = 500              # bytes a chunk has on its way beside its body


class Pacer:
    """The window of one message.

    Args:
        limit: how wide it becomes, in bytes; None for any number from the beginning.
        probe: bytes that a peer is given once when it is silent, to see whether it has what came before; 0 for none.
    Attributes:
        window: bytes that may be under way now; None for any number.
        confirmed: bytes that were reported.
    """

    __slots__ = ('_complete', '_last', '_limit', '_probe', '_probing', '_reports', 'confirmed', 'window')

    def __init__(self, limit: int | None = WINDOW, probe: int = 0) -> None:
        self._limit = limit
        self._probe = probe
        self._probing = False
        self.window = None if limit is None else min(FIRST, limit)
        self.confirmed = 0
        self._reports = False
        self._complete = False
        self._last: float | None = None         # when there was a report, or we began to wait for one

    def allowed(self, written: int, now: float) -> int | None:
        """How many bytes may be written after the first `written`; None for any number. The time of waiting begins when it is none."""
        if self.window is None:
            return None
        left = max(0, self.confirmed + self.window + (self._probe if self._probing else 0) - written)
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
            self._probing = False
            self._last = now if self._complete else None

    @property
    def deadline(self) -> float | None:
        """When `stalled` is to be called; None while nobody waits."""
        if self._last is None:
            return None
        if not self._reports:
            return self._last + (END if self._complete else STALL)
        if self._complete or not self._probe:
            return self._last + SILENCE
        return self._last + (SILENCE - PROBE if self._probing else PROBE)

    def stalled(self) -> bool:
        """No report has come in time. Whether to go on: with a wider window, as this peer makes none before the end, or with a probe."""
        self._last = None
        if self._complete or self.window is None:
            return False
        if self._reports:
            probing, self._probing = self._probing, self._probe > 0
            return self._probing and not probing
        self.window *= 2
        return True


class _Chunk:
    """Bytes of a message on their way.

    Attributes:
        end: where in the message they end.
        cost: how many bytes of the window they take.
        done: they take none any more.
    """

    __slots__ = ('cost', 'done', 'end')

    def __init__(self, end: int, cost: int) -> None:
        self.end = end
        self.cost = cost
        self.done = False


class _Paced:
    """The source of a message in a flow."""

    __slots__ = ('_data', '_flow', 'chunks', 'count', 'message', 'position')

    def __init__(self, flow: Flow, data: bytes) -> None:
        self.message: OutgoingMessage
        self._flow = flow
        self._data = data
        self.position = 0
        self.count = 0                          # chunks that were written
        self.chunks: deque[_Chunk] = deque()    # those on their way

    @property
    def read_out(self) -> bool:
        """Whether nothing is left to be written."""
        return self.count > 0 and self.position == len(self._data)

    def read(self, size: int, /) -> bytes | None:
        """See `msrplib.chunking.Source`."""
        if not self._flow._may_write(self):
            return None
        piece = self._data[self.position:self.position + size]
        self.position += len(piece)
        self.count += 1
        self._flow._wrote(self, len(piece))
        return piece


class Flow:
    """The window of all messages of a session.

    Messages that wait for the window take turns, a chunk each. What comes over a chain of connections comes in order: a report shows that nothing that was
    written before what it is about is on its way any more, be it there or lost.

    A peer that reports each chunk is waited for, as long as that takes: a chunk more goes each minute, in case that all was lost. One that was never seen to
    do that gets more after a while, as it may make its report when a message is complete, for which we would wait in vain.

    Args:
        wake: called with a message that may be written again.
        reactor: for the time; None for that of Twisted.
        limit: how wide the window becomes, in bytes.
    Attributes:
        window: bytes that may be under way now.
        under_way: bytes that are.
    """

    def __init__(self, wake: Callable[[OutgoingMessage], object], reactor: Any = None, limit: int = WINDOW) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._wake = wake
        self._limit = limit
        self.window = min(FIRST, limit)
        self.under_way = 0
        self._reports = False                   # the peer has made some
        self._partial: bool | None = None       # and before a message was complete; None as long as that is not known
        self._sources: dict[str, _Paced] = {}   # of messages that are not confirmed
        self._open: set[_Paced] = set()         # of those that are not written
        self._waiting: deque[_Paced] = deque()
        self._chunks: deque[_Chunk] = deque()   # on their way, in order
        self._since: float | None = None        # since when the window is full and somebody waits
        self._timer: Any = None

    def message(self, content_type: str | None, data: bytes, **options: Any) -> OutgoingMessage:
        """Make a message that keeps to the window. It needs a success report; `options` are those of `OutgoingMessage`."""
        source = _Paced(self, data)
        source.message = message = OutgoingMessage(content_type, source, size=len(data), success_report='yes', **options)
        self._sources[message.message_id] = source
        self._open.add(source)
        return message

    @property
    def crowded(self) -> bool:
        """Whether as many messages wait as can share it."""
        return len(self._open) >= SHARED

    def _may_write(self, source: _Paced) -> bool:
        waiting = self._waiting
        first = not waiting or waiting[0] is source
        if first and self.under_way < self.window:
            if waiting:
                waiting.popleft()
            return True
        if source not in waiting:
            waiting.append(source)
        if first:
            self._wait()
        return False

    def _wrote(self, source: _Paced, size: int) -> None:
        chunk = _Chunk(source.position, size + OVERHEAD)
        source.chunks.append(chunk)
        self._chunks.append(chunk)
        self.under_way += chunk.cost
        if source.read_out:
            self._open.discard(source)
        self._advance()

    def reported(self, message_id: str | None) -> None:
        """The peer has reported some of a message: its `reported` says what."""
        source = self._sources.get(message_id or '')
        if source is None:
            return
        end = source.message.reported.end
        last = None
        while source.chunks and source.chunks[0].end <= end:
            last = source.chunks.popleft()
        if last is None:
            return
        while not last.done:
            self._remove(self._chunks.popleft())
        self._reports = True
        if source.chunks or not source.read_out:
            self._partial = True
        self.window = min(self._limit, self.window * 2)
        self._since = None
        self._advance()

    def finished(self, message: OutgoingMessage) -> None:
        """A message is delivered, or has failed."""
        source = self._sources.pop(message.message_id, None)
        if source is None:
            return
        for chunk in source.chunks:
            self._remove(chunk)
        if message.delivered and self._partial is None and source.count > 2:
            self._partial = False
        self._open.discard(source)
        if source in self._waiting:
            self._waiting.remove(source)
        self._advance()

    def _remove(self, chunk: _Chunk) -> None:
        """It is on its way no more."""
        if not chunk.done:
            chunk.done = True
            self.under_way -= chunk.cost

    def _advance(self) -> None:
        """Have the next one write, or wait."""
        while self._chunks and self._chunks[0].done:
            self._chunks.popleft()
        if not self._waiting:
            self._since = None
        elif self.under_way < self.window:
            self._since = None
            self._wake(self._waiting[0].message)
        else:
            self._wait()

    def _wait(self) -> None:
        if self._since is None:
            self._since = self._reactor.seconds()
        if self._timer is None:
            self._timer = self._reactor.callLater(self._interval, self._look)

    @property
    def _interval(self) -> float:
        """Seconds without a report after which more may go."""
        if self._partial:
            return SILENCE
        return STALL if self._partial is False or (not self._reports and self.window < self._limit) else PATIENCE

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._interval - self._reactor.seconds()
        if left > 0:
            self._timer = self._reactor.callLater(left, self._look)
            return
        self._since = None
        self.window = max(self.window if self._partial else self.window * 2, self.under_way + 1)
        self._advance()

    def end(self) -> None:
        """Nothing more is to be written."""
        self._waiting.clear()
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
