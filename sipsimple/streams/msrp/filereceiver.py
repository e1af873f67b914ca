"""The end of a transfer that receives a file.

What comes is written in the thread of the transfer; while the disk does not keep up, nothing more is read from the connection. A piece is confirmed to the
sender when it was written, and the last byte only when all of the file was checked, is on the disk, and has its name.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sipsimple.streams.interfaces import StreamError
from sipsimple.streams.msrp.filehandler import FileTransferError, FileTransferHandler, HandlerState, reason_of
from sipsimple.streams.msrp.filenames import safe_name
from sipsimple.streams.msrp.fileselector import ALGORITHMS, FileSelector
from sipsimple.streams.msrp.filestore import PartialFile, partial_key
from sipsimple.threading import call_in_twisted_thread, reactor

# Loaded with the first stream, see base.py.
if TYPE_CHECKING:
    from msrplib.reassembly import IncomingMessage, Piece
    from msrplib.session import MSRPSession

__all__ = ['FileReceiver']

HIGH, LOW = 8 << 20, 2 << 20            # bytes that wait for the disk: nothing more is read from the connection, it is read again
REPORT_SIZE = 1 << 20       # bytes after which the sender is told how far we are
REPORT_SIZE_RELAYED = 1 << 15           # the same when it waits for that, see msrplib.pacing
REPORT_TIME = 0.5           # seconds after which it is told in any case
END_LIMIT = 2.0             # seconds for the sender to end what cannot go on here
GAP_LIMIT = 5.0             # seconds after which what is missing before other bytes is taken for lost, if there are relays


class FileReceiver(FileTransferHandler):
    """Receives a file.

    Attributes:
        save_directory: the folder it comes into; None for the one of the settings. To be set before the stream is initialised.
    """

    direction: ClassVar[str] = 'recvonly'

    def __init__(self, stream: Any, selector: FileSelector | None) -> None:
        super().__init__(stream, selector)
        self.save_directory: str | None = None
        self.asking = False                     # it was our idea: what we do not know of the file will be in the answer
        self._partial: PartialFile | None = None
        self._hashes: dict[str, Any] = {}       # of all that is there
        self._session: MSRPSession | None = None
        self.message: IncomingMessage | None = None
        self._base = 0                          # where in the file the message begins
        self._pending: deque[tuple[int, Piece]] = deque()
        self._queued = 0                        # bytes of them, and of those that are being written
        self._paused = False
        self._scheduled = False
        self._complete = False                  # all of the message has come
        self._checking = False
        self._written: Any = None               # which bytes of the message are on the disk, a `Ranges`
        self._missing: int | None = None        # where something is missing before what has come, in the message
        self._reported = 0                      # how many of them the sender was told of
        self._report_time = 0.0

    @property
    def busy(self) -> bool:
        """All has come, and is being checked and put in its place: the end of the session does not matter any more."""
        return self._complete and self.state == HandlerState.STARTED

    @property
    def folder(self) -> str:
        """Where the file comes."""
        if self.save_directory is not None:
            return os.path.expanduser(os.fspath(self.save_directory))
        from sipsimple.configuration.settings import SIPSimpleSettings
        return str(SIPSimpleSettings().file_transfer.directory.normalized)

    def _key(self) -> str | None:
        # By the hash that everybody knows: the next attempt may be with somebody who has no other.
        digest = next((self.selector.hashes[name] for name in ALGORITHMS if name in self.selector.hashes), None)
        return partial_key(digest, self.selector.size)

    def _prepare(self) -> None:
        if not self.asking or self._key() is not None:
            self._open()

    def _open(self) -> None:
        """Open what has come before, if anything, and see how much of it can be used. In the thread."""
        size = self.selector.size
        self._partial = partial = PartialFile.open(self.folder, self._key(), size)
        # At least one byte is always asked for: a transfer of none would end before it began.
        self.offset = 0 if not size else min(partial.present, size - 1)
        self._rehash(self.offset)

    def _rehash(self, size: int) -> None:
        """Hash the first bytes of the file, and forget what comes after them. In the thread."""
        assert self._partial is not None
        self._partial.truncate(size)
        name = self.selector.strongest
        self._hashes = self._hash(self._partial.fd, size, [] if name is None else [name], size)

    def _begin(self, session: MSRPSession) -> None:
        from msrplib.ranges import Ranges
        self._session = session
        self._written = Ranges()
        self._report_time = time.monotonic()
        if self._partial is None:
            self._in_thread(self._guarded, self._open_late)
        # What came with the binding of the session.
        self._schedule()
        self._check_if_complete()

    def _open_late(self) -> None:
        """Nothing was known of the file when it was asked for, so all of it comes."""
        self._open()
        self.offset = 0
        self._rehash(0)

    # What comes

    def accept(self, message: IncomingMessage) -> Callable[[int, Piece], object]:
        """A message begins: it must be the file.

        Raises:
            MSRPTransactionError: it is not.
        """
        from msrplib.errors import MSRPTransactionError
        if self.message is not None or self.state not in (HandlerState.INITIALIZED, HandlerState.STARTED):
            raise MSRPTransactionError(code=413)
        size, total = self.selector.size, message.total
        self._base = self.offset
        if self.offset and size is not None and total == size:
            # The sender could not begin where we are.
            self._base = self.offset = 0
            self._in_thread(self._guarded, self._rehash, 0)
        if size is not None and total is not None and total + self._base != size:
            self.break_off(f'the message has {total} bytes instead of {size - self._base}')
            raise MSRPTransactionError('Another Size', 400)
        message.report = 'manual'
        self.message = message
        self.transferred = self._base
        return self._take

    def _take(self, offset: int, piece: Piece) -> None:
        """A piece of the message."""
        from msrplib.errors import MSRPTransactionError
        if self.state == HandlerState.ENDED:
            raise MSRPTransactionError(self.error, 413)
        if self.selector.size is not None and self._base + offset + len(piece) > self.selector.size:
            self.break_off('more came than the file has')
            raise MSRPTransactionError('More Than The Size', 413)
        assert self.message is not None
        if offset > self.message.received.prefix and self._missing is None and self._session is not None and len(self._session.msrp.full_remote_path) > 1:
            # What is sent in order comes in order: a relay has lost something, unless this sender jumps about.
            self._missing = self.message.received.prefix
            reactor.call_later(GAP_LIMIT, self._look_for_missing)
        self._pending.append((offset, piece))
        self._queued += len(piece)
        if self._queued > HIGH and not self._paused and self._session is not None:
            self._paused = True
            self._session.msrp.pause_reading()
        self._schedule()

    def _look_for_missing(self) -> None:
        missing, self._missing = self._missing, None
        assert self.message is not None
        if self.message.received.prefix == missing and self.state == HandlerState.STARTED:
            self._cannot('some of the file was lost on the way', 408)

    def _schedule(self) -> None:
        if not self._scheduled and self._pending and self._session is not None:
            self._scheduled = True
            pieces = list(self._pending)
            self._pending.clear()
            self._in_thread(self._guarded, self._write, pieces)

    def _guarded(self, function: Callable[..., object], *args: Any) -> None:
        """Have something done in the thread; what goes wrong there ends the transfer."""
        if self._stopped:
            return
        try:
            function(*args)
        except (OSError, ValueError, StreamError) as error:
            self._stopped = True
            full = getattr(error, 'errno', None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            call_in_twisted_thread(self._cannot, reason_of(error), 413 if full else 400)

    def _write(self, pieces: list[tuple[int, Piece]]) -> None:
        partial = self._partial
        assert partial is not None
        for offset, piece in pieces:
            partial.write(self._base + offset, piece, self._hash_more)
        call_in_twisted_thread(self._wrote, pieces)

    def _hash_more(self, data: Piece) -> None:
        for value in self._hashes.values():
            value.update(data)

    def _wrote(self, pieces: list[tuple[int, Piece]]) -> None:
        self._scheduled = False
        message, session = self.message, self._session
        assert message is not None and session is not None
        for offset, piece in pieces:
            self._queued -= len(piece)
            if self.state != HandlerState.STARTED:
                continue
            self._written.add(offset, offset + len(piece))
            self.transferred = self._base + self._written.total
            self.stream.post('FileTransferStreamGotChunk', content=bytes(piece), content_type=message.content_type, offset=self._base + offset,
                             transferred_bytes=self.transferred, file_size=self.selector.size)
        if self._paused and self._queued < LOW:
            self._paused = False
            session.msrp.resume_reading()
        if self.state != HandlerState.STARTED:
            return
        self._schedule()
        self._report_progress()
        self._progress(self.transferred)
        self._check_if_complete()

    def _report_progress(self) -> None:
        """Tell the sender how far we are, but never of the last byte: that is told when all is done."""
        message, session = self.message, self._session
        assert message is not None and session is not None
        written = self._written.prefix
        if message.total is None or written >= message.total:
            written -= 1
        new, now = written - self._reported, time.monotonic()
        relayed = len(session.msrp.full_remote_path) > 1
        # Through a relay the sender waits for it, so it is also told when nothing more is there.
        enough = 1 if relayed and not self._pending else REPORT_SIZE_RELAYED if relayed else REPORT_SIZE
        if new >= enough or (new > 0 and now - self._report_time >= REPORT_TIME):
            self._report(200, None, self._reported + 1, written)
            self._reported, self._report_time = written, now

    def _report(self, code: int, comment: str | None, first: int, last: int) -> None:
        from msrplib.headers import ByteRange
        message, session = self.message, self._session
        if message is None or session is None or session.msrp.lost is not None:
            return
        session.msrp.endpoint.report(message, code, comment, ByteRange(first, last, message.total))
        session.msrp.flush()

    def complete(self) -> None:
        """All of the message has come."""
        if self.state != HandlerState.ENDED:
            self._complete = True
            self._check_if_complete()

    def _check_if_complete(self) -> None:
        if self._complete and self._session is not None and not self._pending and not self._scheduled and not self._checking:
            self._checking = True
            self._in_thread(self._guarded, self._finish)

    def _finish(self) -> None:
        """Check the file and give it its name. In the thread."""
        partial, selector = self._partial, self.selector
        assert partial is not None
        size = os.fstat(partial.fd).st_size
        if selector.size is not None and selector.size != size:
            partial.discard()
            raise FileTransferError(f'{size} bytes have come instead of {selector.size}')
        name = selector.strongest
        if name is not None:
            if name not in self._hashes:
                self._hashes = self._hash(partial.fd, None, [name], size)
            if self._hashes[name].digest() != selector.hashes[name]:
                partial.discard()
                raise FileTransferError('the file has another hash than it should have')
        path = partial.publish(safe_name(selector.name))
        call_in_twisted_thread(self._named, path, size)

    def _named(self, path: str, size: int) -> None:
        if self.state != HandlerState.STARTED:
            return
        self.filename = path
        self.selector.size = size
        assert self.message is not None
        total = self.message.total or 0
        self._report(200, None, 1, total)
        if self.transferred != size:
            self._progress(size)
        self._succeed()

    def aborted(self, reason: str) -> bool:
        """The rest of the message will not come; returns whether that is news."""
        return False if self._complete else self.fail(reason)

    def break_off(self, reason: str) -> None:
        """It cannot go on: end it, and have the session told."""
        if self.fail(reason):
            self.stream.transfer_failed(reason)

    def _cannot(self, reason: str, code: int) -> None:
        """The disk is full, or the file is another one, or not all of it has come: the sender is told the code."""
        if self.state != HandlerState.STARTED:
            return
        message = self.message
        if message is None:
            self.break_off(reason)
            return
        self._report(code, reason, 1, message.total or self._written.end or 1)
        self.fail(reason)
        # The sender, who is told so, ends it. If we did, our BYE might come before our report, and it would not know why.
        reactor.call_later(END_LIMIT, self.stream.transfer_failed, reason)

    def _close(self) -> None:
        if self._partial is not None:
            self._partial.close()
