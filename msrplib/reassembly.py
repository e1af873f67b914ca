"""Chunks to messages (RFC 4975 section 7.3.1).

The chunks of a message may come in any order and between those of others, and may overlap; what came last counts then. A message is complete when a chunk
with `$` has told where it ends, or a Byte-Range has, and every byte up to there has arrived. It is given up with `#`.

A message is collected in memory, up to a limit, or its bytes are handed to its `sink` as they come, wherever they belong: nothing is kept then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msrplib.errors import HeaderParsingError, MSRPBadRequest, MSRPTransactionError
from msrplib.headers import IDENT, ByteRange
from msrplib.message import ABORTED, COMPLETE, MSRPData
from msrplib.ranges import Ranges

__all__ = ['Accept', 'IncomingMessage', 'Piece', 'Reassembler', 'ReassemblyLimits', 'Sink']

Piece = bytes | memoryview
Sink = Callable[[int, Piece], object]
Accept = Callable[['IncomingMessage'], 'Sink | None']


@dataclass(frozen=True)
class ReassemblyLimits:
    """What is kept at most.

    Attributes:
        messages: messages that have begun and are not complete.
        size: bytes of a message that is collected.
        memory: bytes of all collected messages together.
        spans: holes in a message, plus one.
    """

    messages: int = 64
    size: int = 16 << 20
    memory: int = 64 << 20
    spans: int = 256


class IncomingMessage:
    """A message that is arriving, or has arrived.

    Attributes:
        chunk: the first chunk that came of it, without its data: headers, paths, which reports are wanted.
        message_id, content_type: from its headers.
        total: its size in bytes, None as long as it is not known.
        received: which bytes have come.
        refused: the status code it was refused with, or None.
        report: when a success report is made, if one is wanted: 'message' (when it is complete), 'chunk' (for each chunk), 'manual'.
    """

    __slots__ = ('_collected', '_first', 'chunk', 'content_type', 'message_id', 'received', 'refused', 'report', 'sink', 'total')

    def __init__(self, chunk: MSRPData, message_id: str) -> None:
        self.chunk = chunk
        self.message_id = message_id
        self.content_type = chunk.content_type
        self.total: int | None = None
        self.received = Ranges()
        self.refused: int | None = None
        self.report = 'message'
        self.sink: Sink | None = None
        self._first: Piece = b''
        self._collected: bytearray | None = None

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self.total is not None and self.received.covers(0, self.total)

    @property
    def data(self) -> bytes:
        """What was collected."""
        return bytes(self._first) if self._collected is None else bytes(self._collected)

    @property
    def held(self) -> int:
        """How many bytes are kept."""
        return len(self._first) if self._collected is None else len(self._collected)

    def write(self, offset: int, piece: Piece) -> None:
        """Take some bytes, without asking for limits."""
        if self.sink is not None:
            self.sink(offset, piece)
            return
        if self._collected is None:
            if not self._first and not offset:
                self._first = piece if isinstance(piece, bytes) else bytes(piece)
                return
            self._collected = bytearray(self._first)
            self._first = b''
        collected = self._collected
        if offset > len(collected):
            collected.extend(bytes(offset - len(collected)))
        collected[offset:offset + len(piece)] = piece

    def drop(self) -> None:
        """Forget what was collected."""
        self._first, self._collected = b'', None

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.message_id} {self.content_type}, {self.received.total} of {"?" if self.total is None else self.total}>'


class Reassembler:
    """The messages that are arriving over one session.

    Args:
        accept: asked about each new message; returns where its bytes go, or None to have them collected, or raises MSRPTransactionError to refuse it
            (413 to make the peer stop, 415 for its type).
    """

    __slots__ = ('_accept', '_held', '_limits', '_offset', '_refused', '_start', 'messages')

    def __init__(self, accept: Accept | None = None, limits: ReassemblyLimits | None = None) -> None:
        self._accept = accept
        self._limits = limits or ReassemblyLimits()
        self._held = 0
        self._offset = 0            # where the next bytes of the chunk that is coming belong
        self._start = 0
        self._refused: dict[str, int] = {}      # the last that were refused, with their codes
        self.messages: dict[str, IncomingMessage] = {}

    @property
    def held(self) -> int:
        """How many bytes are kept, of all messages together."""
        return self._held

    def begin(self, chunk: MSRPData) -> IncomingMessage:
        """A chunk of a message begins.

        Raises:
            MSRPTransactionError: it is refused; no more calls for this chunk then.
        """
        message_id = chunk.message_id
        if not message_id or not IDENT.fullmatch(message_id):
            raise MSRPBadRequest('No Message-ID')
        try:
            declared = chunk.byte_range or ByteRange()
        except HeaderParsingError:
            raise MSRPBadRequest('Malformed Byte-Range') from None
        message = self.messages.get(message_id)
        if message is None:
            refused = self._refused.get(message_id)
            if refused is not None:
                # It goes on until it has our answer; nobody is asked again.
                raise MSRPTransactionError(code=refused)
            if len(self.messages) >= self._limits.messages:
                raise MSRPTransactionError(code=413)
            message = IncomingMessage(chunk, message_id)
            message.total = declared.total
            if self._accept is not None:
                try:
                    message.sink = self._accept(message)
                except MSRPTransactionError as error:
                    self.refuse(message, error.code)
                    raise
            self.messages[message_id] = message
        elif declared.total is not None:
            if message.total not in (None, declared.total) or message.received.end > declared.total:
                self.refuse(message, 400)
                raise MSRPBadRequest('Another Total')
            message.total = declared.total
        if message.sink is None and declared.total is not None and declared.total > self._limits.size:
            self.refuse(message, 413)
            raise MSRPTransactionError(code=413)
        self._start = self._offset = declared.start - 1
        return message

    def data(self, message: IncomingMessage, piece: Piece) -> None:
        """Some bytes of the chunk.

        Raises:
            MSRPTransactionError: the message is refused from now on.
        """
        offset, size = self._offset, len(piece)
        end = offset + size
        if message.total is not None and end > message.total:
            self.refuse(message, 400)
            raise MSRPBadRequest('More Than Its Total')
        if message.sink is None:
            grows = max(0, end - message.held)
            if end > self._limits.size or self._held + grows > self._limits.memory:
                self.refuse(message, 413)
                raise MSRPTransactionError(code=413)
            message.write(offset, piece)
            self._held += grows
        else:
            try:
                message.write(offset, piece)
            except MSRPTransactionError as error:
                self.refuse(message, error.code)
                raise
        message.received.add(offset, end)
        self._offset = end
        if len(message.received) > self._limits.spans:
            self.refuse(message, 413)
            raise MSRPTransactionError(code=413)

    def end(self, message: IncomingMessage, flag: str) -> ByteRange:
        """The chunk ends. Whether the message is complete, it says itself; it is forgotten here then, or when it was given up.

        Returns:
            which bytes the chunk had.
        Raises:
            MSRPTransactionError: it ends somewhere else than it said.
        """
        end = self._offset
        if flag == COMPLETE:
            if message.total is not None and message.total != end:
                # RFC 4975: the last byte is in the chunk with the $; only then it may come before others.
                self.refuse(message, 400)
                raise MSRPBadRequest('Incomplete')
            message.total = end
            if message.received and message.received.end > end:
                self.refuse(message, 400)
                raise MSRPBadRequest('More Than Its Total')
        if flag == ABORTED or message.complete:
            self.remove(message)
        return ByteRange(self._start + 1, end, message.total)

    def refuse(self, message: IncomingMessage, code: int) -> None:
        """Forget a message, and refuse what still comes of it."""
        self.remove(message)
        message.refused = code
        self._refused[message.message_id] = code
        while len(self._refused) > self._limits.messages:
            del self._refused[next(iter(self._refused))]

    def remove(self, message: IncomingMessage) -> None:
        """Forget a message; what was collected of it stays with whoever has it."""
        if self.messages.pop(message.message_id, None) is not None:
            self._held -= message.held
