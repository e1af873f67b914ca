"""The end of a transfer that sends a file: it is read ahead in the thread of the transfer, as far as the connection takes it and the receiver confirms."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sipsimple.streams.msrp.filehandler import FileTransferError, FileTransferHandler, HandlerState, reason_of
from sipsimple.streams.msrp.fileselector import ALGORITHMS, DEFAULT_TYPE, FileSelector, guess_type
from sipsimple.threading import call_in_twisted_thread, reactor

# Loaded with the first stream, see base.py.
if TYPE_CHECKING:
    from msrplib.chunking import OutgoingMessage
    from msrplib.events import MessageFailed
    from msrplib.message import MSRPData
    from msrplib.session import MSRPSession

__all__ = ['FileSender']

AHEAD = 4                   # blocks that are read ahead
BLOCK = 1 << 20             # bytes of one


class FileSender(FileTransferHandler):
    """Sends a file."""

    direction: ClassVar[str] = 'sendonly'

    def __init__(self, stream: Any, selector: FileSelector | None) -> None:
        super().__init__(stream, selector)
        self.wanted: FileSelector | None = None         # what the receiver has asked for, if it was its idea
        self.stop: int | None = None            # the last byte that the receiver wants, from 1 on; None for the end
        self.message: OutgoingMessage | None = None
        self._source: _ReadAhead | None = None
        self._session: MSRPSession | None = None

    def _prepare(self) -> None:
        selector = self.selector
        if selector.fd is None:
            raise FileTransferError('there is no file to send')
        fd = selector.fd.fileno()
        size = os.fstat(fd).st_size
        name = selector.fd.name if isinstance(selector.fd.name, str) else None
        self.filename = name
        found = FileSelector(selector.name or (os.path.basename(name) if name else None), size=size)
        found.type = selector.type or guess_type(found.name or '')
        if self.wanted is not None or (selector.hashing and not selector.hashes):
            found.hashes = {key: value.digest() for key, value in self._hash(fd, None, list(ALGORITHMS), size).items()}
        differs = None if self.wanted is None else self.wanted.contradicts(found)
        if differs is not None:
            raise FileTransferError(f'the file has another {differs} than the one that is wanted')
        if self.offset >= max(size, 1):
            raise FileTransferError('the file ends before the range that is wanted')
        selector.size = size
        selector.complete_from(found)

    def _begin(self, session: MSRPSession) -> None:
        from msrplib.chunking import OutgoingMessage
        from msrplib.pacing import FIRST, WINDOW, Pacer
        selector = self.selector
        assert selector.fd is not None and selector.size is not None
        end = selector.size if self.stop is None else min(self.stop, selector.size)
        self._session = session
        relayed = len(session.msrp.full_remote_path) > 1
        self._source = source = _ReadAhead(self, session, selector.fd.fileno(), self.offset, end, Pacer(WINDOW if relayed else None, FIRST))
        self.transferred = self.offset
        self.message = source.message = message = OutgoingMessage(
            selector.type or DEFAULT_TYPE, source, size=end - self.offset, success_report='yes', failure_report='yes')
        session.send(message)

    def reported(self, chunk: MSRPData) -> None:
        """A report of the receiver about what it has."""
        message, source = self.message, self._source
        status = chunk.status
        if message is None or source is None or status is None or status.code != 200 or self.state != HandlerState.STARTED:
            return
        source.reported(message.reported.total)
        transferred = self.offset + message.reported.total
        self.stream.post('FileTransferStreamDidDeliverChunk', message_id=message.message_id, chunk=chunk, code=status.code, reason=status.comment or '',
                         transferred_bytes=transferred, file_size=self.selector.size)
        self._progress(transferred)

    def delivered(self) -> None:
        """The receiver has reported to have all of it."""
        if self.state == HandlerState.STARTED:
            self._succeed()

    def failed(self, event: MessageFailed) -> str | None:
        """The message failed; returns why, or None if the transfer was over."""
        if self.state != HandlerState.STARTED:
            return None
        source = self._source
        reason = source.error if source is not None and source.error else f'{event.code} {event.comment}' if event.code else event.comment
        self.stream.post('FileTransferStreamDidNotDeliverChunk', message_id=event.message.message_id, chunk=event.chunk, code=event.code, reason=event.comment)
        self.fail(reason)
        return reason

    def silent(self, reason: str) -> None:
        """The receiver does not confirm anything any more."""
        message, session = self.message, self._session
        if message is not None and session is not None and self.fail(reason):
            self.stream.post('FileTransferStreamDidNotDeliverChunk', message_id=message.message_id, chunk=None, code=408, reason=reason)
            self.cancel(session)
            self.stream.transfer_failed(reason)

    def cancel(self, session: MSRPSession) -> None:
        """Tell the receiver that no more will come."""
        if self.message is not None:
            session.msrp.endpoint.cancel(self.message)
            session.msrp.flush()

    def _over(self, tell: Callable[[], object] | None) -> None:
        if self._source is not None:
            self._source.end()
        super()._over(tell)

    def _close(self) -> None:
        if self.selector.fd is not None:
            self.selector.fd.close()


class _ReadAhead:
    """The source of a message: a file, read in blocks in the thread of the transfer, and no faster than the pacer allows.

    Attributes:
        error: why the file cannot be read, None if it can.
    """

    def __init__(self, handler: FileSender, session: MSRPSession, fd: int, begin: int, end: int, pacer: Any) -> None:
        self.message: OutgoingMessage | None = None
        self.error: str | None = None
        self._handler = handler
        self._session = session
        self._fd = fd
        self._wanted = begin            # where the next block to be asked for begins
        self._end = end
        self._size = end - begin
        self._asked = 0                 # blocks that are being read
        self._blocks: deque[bytes] = deque()
        self._taken = 0                 # bytes of the first block that were given out
        self._given = 0
        self._at_end = False
        self._pacer = pacer
        self._timer: Any = None

    def read(self, size: int, /) -> bytes | None:
        """See `msrplib.chunking.Source`."""
        allowed = self._pacer.allowed(self._given, time.monotonic())
        if allowed is not None:
            if not allowed and self._given < self._size:
                self._arm()
                return None
            size = min(size, allowed)
        self._fill()
        if not self._blocks:
            return b'' if self._at_end or not self._asked else None
        block = self._blocks[0]
        piece = block[self._taken:self._taken + size]
        self._taken += len(piece)
        if self._taken >= len(block):
            self._blocks.popleft()
            self._taken = 0
            self._fill()
        self._given += len(piece)
        if self._given == self._size:
            self._pacer.complete(time.monotonic())
            self._arm()
        return piece

    def _fill(self) -> None:
        while not self._at_end and self._wanted < self._end and self._asked + len(self._blocks) < AHEAD:
            size = min(BLOCK, self._end - self._wanted)
            self._asked += 1
            self._handler._in_thread(self._load, self._wanted, size)
            self._wanted += size

    def _load(self, position: int, size: int) -> None:
        block, error = b'', None
        try:
            while len(block) < size:
                piece = os.pread(self._fd, size - len(block), position + len(block))
                if not piece:
                    error = 'the file has become shorter'
                    break
                block += piece
        except OSError as failed:
            error = reason_of(failed)
        call_in_twisted_thread(self._loaded, block, error)

    def _loaded(self, block: bytes, error: str | None) -> None:
        self._asked -= 1
        if error is not None:
            self.error = self.error or error
            self._at_end = True
        elif not self._at_end:
            self._blocks.append(block)
        self._wake()

    def _wake(self) -> None:
        if self.message is not None and self._session.msrp.lost is None:
            self._session.msrp.endpoint.sender.wake(self.message)
            self._session.msrp.flush()

    def reported(self, confirmed: int) -> None:
        """The receiver has that many bytes."""
        self._pacer.reported(confirmed, time.monotonic())
        self._disarm()
        # Of the last byte it is told when the file was checked and is on the disk, which may take any time.
        if self._given < self._size or confirmed < self._size - 1:
            self._arm()
        self._wake()

    def _arm(self) -> None:
        if self._timer is None and self._pacer.deadline is not None:
            self._timer = reactor.call_later(max(0.0, self._pacer.deadline - time.monotonic()), self._stalled)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stalled(self) -> None:
        self._timer = None
        if not self._pacer.stalled():
            self.error = 'the receiver does not confirm anything any more'
            self._at_end = True
            self._blocks.clear()
            self._handler.silent(self.error)
        self._wake()

    def end(self) -> None:
        """Nothing more is needed."""
        self._at_end = True
        self._blocks.clear()
        self._disarm()
