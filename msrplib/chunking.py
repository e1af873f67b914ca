"""Messages to chunks: who may write next, how much, and how a chunk is ended so that another message gets its turn.

A message is written in pieces. As long as nobody else wants to write, its chunk goes on, up to a size; as soon as another message or an answer waits, the
chunk is ended with `+` after the present piece, and the message continues in a chunk of its own when its turn comes again (RFC 4975 section 5.1). So nobody
waits longer than for a piece of each other message, and no message is in memory as a whole unless it was given that way.

The range of a chunk of more than 2048 bytes ends with `*`: it may be interrupted. Every piece is searched for the line that ends the chunk; a chunk in
which it would appear is ended before that piece, and a new one begun, with another transaction id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from msrplib.framing import header_lines, new_message_id, new_transaction_id, one_line
from msrplib.headers import ByteRange, MSRPHeader
from msrplib.message import ABORTED, COMPLETE, CONTINUED
from msrplib.ranges import Ranges

__all__ = ['CHUNK_SIZE', 'OutgoingMessage', 'PIECE_SIZE', 'Sender', 'SentChunk', 'Source']

PIECE_SIZE = 65536          # bytes: how long others wait
CHUNK_SIZE = 1 << 20        # bytes of a chunk that nobody interrupts; some peers keep a chunk in memory, and refuse 4 MiB
_INTERRUPTIBLE = 2048       # RFC 4975 section 7.1: a chunk of more bytes must be interruptible, its end is not told


class Source(Protocol):
    """Where the bytes of a message come from, for instance a file."""

    def read(self, size: int, /) -> bytes | None:
        """At most so many bytes; b'' at the end, None if there are none now (`Sender.wake` when there are)."""


class _Bytes:
    __slots__ = ('_data', '_position')

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int, /) -> bytes:
        begin = self._position
        self._position = begin + size
        return self._data if not begin and size >= len(self._data) else self._data[begin:begin + size]


class OutgoingMessage:
    """A message to be sent.

    Args:
        content_type: MIME type; None for a message without a body (what binds a session to a connection, or keeps it open).
        data: the bytes, or where they come from.
        size: how many bytes come from a source; None if that is not known.
        success_report, failure_report: as in the headers: 'yes', 'no'; 'yes', 'no', 'partial'.
        headers: more of them.
    Raises:
        ValueError: a text that goes into a header has more than one line.
    Attributes:
        written: bytes given to the transport so far.
        finished: all is written, or it was given up.
        failed: the status code it failed with, or None.
        reported: which bytes the peer has reported to have.
        delivered: all bytes were reported.
    """

    __slots__ = ('_cancelled', '_frame', '_lines', 'content_type', 'context', 'delivered', 'failed', 'failure_report', 'finished', 'headers', 'message_id',
                 'reported', 'size', 'source', 'success_report', 'unanswered', 'written')

    def __init__(self, content_type: str | None, data: bytes | Source = b'', *, size: int | None = None, message_id: str | None = None,
                 success_report: str = 'no', failure_report: str = 'yes', headers: Iterable[MSRPHeader] = (), context: object = None) -> None:
        self.content_type = content_type
        if isinstance(data, bytes):
            self.source: Source | None = _Bytes(data)
            self.size: int | None = len(data)
        else:
            self.source = data
            self.size = size
        self.message_id = one_line(message_id or new_message_id())
        self.success_report = success_report
        self.failure_report = failure_report
        self.headers = tuple(headers)
        self.context = context
        self.written = 0
        self.finished = False
        self.failed: int | None = None
        self.reported = Ranges()
        self.delivered = False
        self.unanswered = 0         # chunks without an answer
        self._cancelled = False
        self._lines = header_lines(self.headers)
        if success_report != 'no':
            self._lines += f'Success-Report: {one_line(success_report)}\r\n'
        if failure_report != 'yes':
            self._lines += f'Failure-Report: {one_line(failure_report)}\r\n'
        if content_type is not None:
            self._lines += f'Content-Type: {one_line(content_type)}\r\n\r\n'
        self._frame: tuple[bytes, bytes] | None = None

    def frame(self, to_path: str, from_path: str) -> tuple[bytes, bytes]:
        """What comes between transaction id and range, and between range and body."""
        if self._frame is None:
            self._frame = (f' SEND\r\nTo-Path: {to_path}\r\nFrom-Path: {from_path}\r\nMessage-ID: {self.message_id}\r\nByte-Range: '.encode(),
                           f'\r\n{self._lines}'.encode())
        return self._frame

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.message_id} {self.content_type}, {self.written} of {"?" if self.size is None else self.size} written>'


class SentChunk(NamedTuple):
    """One chunk of a message: its transaction, where its bytes begin (from 1 on)."""

    message: OutgoingMessage
    transaction_id: str
    start: int


class Sender:
    """Writes the messages and answers of one connection.

    Args:
        to_path, from_path: of all messages.
        began: called with a chunk before its first byte is given out.
        ended: called with a chunk and its flag when its last byte is given out.
        may_begin: asked before another chunk is begun; False as long as too many wait for an answer.
    Attributes:
        chunk_size, piece_size: bytes.
    """

    def __init__(self, to_path: str = '', from_path: str = '', *, chunk_size: int = CHUNK_SIZE, piece_size: int = PIECE_SIZE,
                 began: Callable[[SentChunk], object] | None = None, ended: Callable[[SentChunk, str], object] | None = None,
                 may_begin: Callable[[], bool] | None = None) -> None:
        self.to_path = to_path
        self.from_path = from_path
        self.chunk_size = chunk_size
        self.piece_size = piece_size
        self._began = began
        self._ended = ended
        self._may_begin = may_begin
        self._frames: list[bytes] = []
        self._ready: deque[OutgoingMessage] = deque()
        self._asleep: set[OutgoingMessage] = set()
        self._chunk: SentChunk | None = None
        self._in_chunk = 0          # bytes of its body so far
        self._last = b''            # the last bytes of its body, for a line that lies across two pieces

    @property
    def idle(self) -> bool:
        """Nothing is to be written, nor will be without a call."""
        return not self._frames and not self._ready and not self._asleep

    @property
    def messages(self) -> list[OutgoingMessage]:
        """The messages that are not finished, in the order of their turns."""
        return [*self._ready, *self._asleep]

    @property
    def writable(self) -> bool:
        """Whether `take` would return something."""
        return bool(self._frames) or (bool(self._ready) and (self._chunk is not None or self._may_begin is None or self._may_begin()))

    def put(self, frame: bytes) -> None:
        """Add a complete chunk without a message (an answer, a report, another request): it goes first."""
        self._frames.append(frame)

    def add(self, message: OutgoingMessage) -> None:
        """Add a message; its turn comes after those that are waiting."""
        self._ready.append(message)

    def wake(self, message: OutgoingMessage) -> None:
        """The source of a message has bytes again, or is at its end."""
        if message in self._asleep:
            self._asleep.discard(message)
            self._ready.append(message)

    def cancel(self, message: OutgoingMessage) -> None:
        """Give a message up. What was written of it is declared void with `#` in its next turn; without effect if it is finished."""
        if message.finished or message._cancelled:
            return
        message._cancelled = True
        if not message.written and (self._chunk is None or self._chunk.message is not message):
            self._forget(message)
        else:
            self.wake(message)

    def _forget(self, message: OutgoingMessage) -> None:
        message.finished = True
        message.source = None
        self._asleep.discard(message)
        if message in self._ready:
            self._ready.remove(message)

    def take(self, size: int) -> list[bytes]:
        """The next buffers to be written: some `size` bytes, or what there is."""
        out: list[bytes] = []
        taken = 0
        while taken < size:
            if self._frames and self._chunk is None:
                taken += sum(map(len, self._frames))
                out += self._frames
                self._frames.clear()
            elif self._frames:
                out.append(self._end(CONTINUED))
                self._ready.rotate(-1)
            elif self._ready:
                if self._chunk is None and self._may_begin is not None and not self._may_begin():
                    break
                before = len(out)
                self._turn(self._ready[0], out)
                taken += sum(map(len, out[before:]))
            else:
                break
        return out

    def _end(self, flag: str) -> bytes:
        """End the chunk that is being written."""
        chunk = self._chunk
        assert chunk is not None
        self._chunk = None
        self._last = b''
        if flag != CONTINUED:
            self._forget(chunk.message)
        if self._ended is not None:
            self._ended(chunk, flag)
        line = f'-------{chunk.transaction_id}{flag}\r\n'
        return f'\r\n{line}'.encode() if chunk.message.content_type is not None else line.encode()

    def _turn(self, message: OutgoingMessage, out: list[bytes]) -> None:
        """A piece of the message, and the end of its chunk when it has to end."""
        if message._cancelled:
            if self._chunk is None:
                self._begin(message, b'', out)
            out.append(self._end(ABORTED))
            return
        left = self.chunk_size - (self._in_chunk if self._chunk is not None else 0)
        if message.size is not None:
            left = min(left, message.size - message.written)
        source = message.source
        assert source is not None
        piece = source.read(min(self.piece_size, left))
        if piece is None:
            if self._chunk is not None:
                out.append(self._end(CONTINUED))
            self._ready.remove(message)
            self._asleep.add(message)
            return
        if len(piece) > left or (not piece and message.size is not None and message.written < message.size):
            # A file that became shorter, or a source that gives more than it was asked for. What was announced cannot be kept.
            message.failed = 400
            message._cancelled = True
            return
        if self._chunk is not None and self._collides(piece):
            out.append(self._end(CONTINUED))
        if self._chunk is None:
            self._begin(message, piece, out)
        elif piece:
            out.append(piece)
        size = len(piece)
        message.written += size
        self._in_chunk += size
        self._last = piece[-48:] if size >= 48 else (self._last + piece)[-48:]
        if message.written == message.size or (message.size is None and not piece):
            out.append(self._end(COMPLETE))
        elif self._in_chunk >= self.chunk_size or len(self._ready) > 1 or self._frames:
            out.append(self._end(CONTINUED))
            self._ready.rotate(-1)

    def _collides(self, piece: bytes) -> bool:
        """Whether the end-line of the present chunk would be in its body."""
        assert self._chunk is not None
        line = f'-------{self._chunk.transaction_id}'.encode()
        return line in piece or line in self._last + piece[:len(line)]

    def _begin(self, message: OutgoingMessage, piece: bytes, out: list[bytes]) -> None:
        """Begin a chunk with a piece that may be all of it."""
        transaction_id = new_transaction_id()
        while f'-------{transaction_id}'.encode() in piece:
            transaction_id = new_transaction_id()
        start = message.written + 1
        whole = min(self.chunk_size, message.size - message.written if message.size is not None else self.chunk_size)
        end = message.written + len(piece) if message.size is not None and len(piece) == whole <= _INTERRUPTIBLE else None
        self._chunk = SentChunk(message, transaction_id, start)
        self._in_chunk = 0
        before, after = message.frame(self.to_path, self.from_path)
        out.append(b''.join((f'MSRP {transaction_id}'.encode(), before, str(ByteRange(start, end, message.size)).encode(), after)))
        if piece:
            out.append(piece)
        if self._began is not None:
            self._began(self._chunk)

    def abandon(self) -> list[OutgoingMessage]:
        """The connection is gone: forget everything, and return the messages that were not finished."""
        messages = self.messages
        for message in messages:
            self._forget(message)
        self._frames.clear()
        self._chunk = None
        return messages
