"""`FileTransferStream`: a file over MSRP (RFC 5547), pushed by who offers it, or pulled by who asks for it.

Each side has a handler: one sends, the other receives, see `filesender` and `filereceiver`. A transfer that was broken off goes on where it was when the same
file is offered or asked for again, with `a=file-range`: who receives it says from which byte on it wants it, in its offer or its answer. The message has these
bytes only, and its Byte-Range counts from their beginning.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sipsimple.streams.interfaces import InvalidStreamError, UnknownStreamError
from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamState
from sipsimple.streams.msrp.description import MSRPMedia
from sipsimple.streams.msrp.filehandler import FileTransferHandler
from sipsimple.streams.msrp.filereceiver import FileReceiver
from sipsimple.streams.msrp.fileselector import FileRange, FileSelector, format_dates, parse_dates
from sipsimple.streams.msrp.filesender import FileSender
from sipsimple.threading import reactor

# Loaded with the first stream, see base.py.
if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from msrplib.events import Event, MessageAborted, MessageReceived
    from msrplib.reassembly import IncomingMessage, Sink

__all__ = ['FileTransferStream']

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,256}")


class FileTransferStream(MSRPStreamBase):
    """A file that is sent or received.

    Args:
        account: of the session; None to take it from the session.
        file_selector: the file: to send one, `FileSelector.for_file(path)`; to ask for one, what is known of it.
        direction: 'sendonly' to send it, 'recvonly' to ask for it.
        transfer_id: for `a=file-transfer-id`; random by default.
        disposition: for `a=file-disposition`: what it is for, 'attachment' or 'render'.
        dates: for `a=file-date`, by 'creation', 'modification', 'read'.
    Raises:
        ValueError: another direction; an id or disposition that is no token of SIP.
    Attributes:
        file_selector: what is known of the file. When a peer asks for one, `fd` is to be set, the file opened for reading in binary mode, before the
            session is accepted: else the stream cannot be initialised. The stream closes it.
        handler: a `FileSender` or `FileReceiver`, which has the name of the file here (`filename`), and where one goes (`save_directory`).
        transfer_id, disposition, dates: as above, or what the peer says.
    Notifications, besides those of `FileTransferHandler`:
        FileTransferStreamDidDeliverChunk(message_id, chunk, code, reason, transferred_bytes, file_size): the peer has reported to have so many bytes;
            `chunk` is its report, an `MSRPData`, `code` 200.
        FileTransferStreamDidNotDeliverChunk(message_id, chunk, code, reason): it is refused, and the transfer over; `chunk` is the report or the answer, or
            None, with `code` 0, if the connection is gone.
        FileTransferStreamGotChunk(content, content_type, transferred_bytes, file_size, offset): bytes have come and were written; `offset` is their place in
            the file. `file_size` is None if it is not known.
        FileTransferStreamDidFinish(): all of it is there, checked and under its name, or reported to be so.
    """

    type: ClassVar[str | None] = 'file-transfer'
    priority: ClassVar[int | None] = 10          # before chat, which would take the line for its own
    media_type: ClassVar[str] = 'message'
    accept_types: ClassVar[list[str]] = ['*']
    accept_wrapped_types: ClassVar[list[str] | None] = ['*']
    automatic_reports: ClassVar[bool] = False

    def __init__(self, account: Any = None, file_selector: FileSelector | None = None, direction: str = 'sendonly', transfer_id: str | None = None, *,
                 disposition: str | None = None, dates: dict[str, datetime] | None = None) -> None:
        if direction not in ('sendonly', 'recvonly'):
            raise ValueError(f'sendonly or recvonly, not {direction!r}')
        for value in (transfer_id, disposition):
            if value is not None and not _TOKEN.fullmatch(value):
                raise ValueError(f'no token: {value[:80]!r}')
        super().__init__(account, direction)
        self.transfer_id: str | None = transfer_id or str(uuid.uuid4())
        self.disposition = disposition
        self.dates = dict(dates or {})
        self.handler: FileTransferHandler = (FileSender if direction == 'sendonly' else FileReceiver)(self, file_selector)

    @property
    def file_selector(self) -> FileSelector:
        """What is known of the file."""
        return self.handler.selector

    @file_selector.setter
    def file_selector(self, selector: FileSelector) -> None:
        self.handler.selector = selector

    # The description

    @classmethod
    def new_from_sdp(cls, account: Any, remote_sdp: Any, stream_index: int) -> FileTransferStream:
        """Return a stream for an offered media line.

        Raises:
            UnknownStreamError: the line is not for a file.
            InvalidStreamError: it cannot be used.
        """
        media = remote_sdp.media[stream_index]
        if media.media != cls.media_type or not any(attribute.name == 'file-selector' for attribute in media.attributes):
            raise UnknownStreamError('not for a file')
        remote = cls._read_offer(account, remote_sdp, stream_index)
        if remote.direction not in ('sendonly', 'recvonly'):
            raise InvalidStreamError(f'a file goes one way, and the line is {remote.direction}')
        selector, wanted = _read_selector(remote), _read_range(remote)
        stream = cls(account, selector, 'recvonly' if remote.direction == 'sendonly' else 'sendonly')
        stream._from_offer(remote, remote_sdp, stream_index)
        stream._read_facts(remote)
        if isinstance(stream.handler, FileSender):
            stream.handler.wanted = _read_selector(remote)
            stream.handler.offset, stream.handler.stop = wanted.start - 1, wanted.stop
        elif wanted != FileRange() and wanted != FileRange(1, selector.size):
            raise InvalidStreamError('a part of a file is offered that nobody has asked for')
        return stream

    def _read_facts(self, remote: MSRPMedia) -> None:
        """What an offer says besides."""
        identity, self.disposition = remote.get('file-transfer-id'), remote.get('file-disposition')
        for value in (identity, self.disposition):
            if value is not None and not _TOKEN.fullmatch(value):
                raise InvalidStreamError(f'no token: {value[:80]}')
        self.transfer_id = identity         # without, there is none to be copied
        try:
            self.dates = parse_dates(remote.get('file-date') or '')
        except ValueError:
            self.dates = {}                 # nothing depends on them

    def _media_attributes(self) -> list[tuple[str, str]]:
        handler = self.handler
        attributes = [('file-selector', handler.selector.sdp_repr)]
        if self.transfer_id is not None:
            attributes.append(('file-transfer-id', self.transfer_id))
        if self.disposition is not None:
            attributes.append(('file-disposition', self.disposition))
        if self.dates:
            attributes.append(('file-date', format_dates(self.dates)))
        if handler.offset or (isinstance(handler, FileSender) and handler.stop is not None):
            attributes.append(('file-range', str(FileRange(handler.offset + 1, handler.stop if isinstance(handler, FileSender) else None))))
        return attributes

    def _negotiated(self, remote: MSRPMedia) -> None:
        if self._incoming_sdp is not None:
            return              # it was all in the offer
        expected = 'recvonly' if self.direction == 'sendonly' else 'sendonly'
        if remote.direction not in (expected, 'sendrecv'):
            raise InvalidStreamError(f'the answer is {remote.direction}')
        handler, wanted = self.handler, _read_range(remote)
        if isinstance(handler, FileSender):
            assert handler.selector.size is not None
            if wanted.start > max(1, handler.selector.size):
                raise InvalidStreamError('the range that is wanted is beyond the end')
            handler.offset, handler.stop = wanted.start - 1, wanted.stop
        else:
            answered = _read_selector(remote)
            differs = handler.selector.contradicts(answered)
            if differs is not None:
                raise InvalidStreamError(f'another {differs} than that of the file that was asked for')
            handler.selector.complete_from(answered)
            if wanted.start - 1 not in (0, handler.offset) or wanted.stop not in (None, handler.selector.size):
                raise InvalidStreamError('another range than the one that was asked for')

    def validate_update(self, remote_sdp: Any, stream_index: int) -> bool:
        """Return whether the line is still for the same transfer: another one needs a line of its own."""
        identity = next((str(attribute.value) for attribute in remote_sdp.media[stream_index].attributes if attribute.name == 'file-transfer-id'), None)
        return identity is None or identity == self.transfer_id

    # The life

    def _get_ready(self) -> None:
        if self._incoming_sdp is None and isinstance(self.handler, FileReceiver):
            self.handler.asking = True
            if not self.handler.selector.sdp_repr:
                self._fail('initialize', 'nothing is known of the file that is wanted')
                return

        def done(error: BaseException | None) -> None:
            if error is None:
                self._initialized()
            else:
                self._fail('initialize', str(self.handler.error))
        self.handler.initialize(done)

    def _started(self) -> None:
        # After MediaStreamDidStart, as an application expects; what comes earlier waits for us.
        reactor.call_later(0, self._start_transfer)
        assert self.msrp is not None
        self.msrp.pause_reading()

    def _start_transfer(self) -> None:
        if self.msrp is None:
            return
        self.msrp.resume_reading()
        if self.msrp_session is not None and self.msrp_session.connected and self.handler.state == 'INITIALIZED':
            self.handler.start(self.msrp_session)

    def _ending(self) -> None:
        handler = self.handler
        if handler.busy:
            return
        if handler.fail('Cancelled', quiet=self.session is None) and isinstance(handler, FileSender) and self.msrp_session is not None:
            handler.cancel(self.msrp_session)

    def _close(self) -> Deferred[None]:
        # When all has come, it is put into its place first, and the sender told so.
        from twisted.internet.defer import Deferred
        first: Deferred[None] = Deferred()
        if self.handler.busy:
            self.handler.call_when_closed(lambda: first.callback(None))
        else:
            first.callback(None)

        def close(ignored: object) -> Deferred[None]:
            return super(FileTransferStream, self)._close()

        def wait(ignored: object) -> Deferred[None]:
            closed: Deferred[None] = Deferred()
            self.handler.call_when_closed(lambda: closed.callback(None))
            return closed
        return first.addCallback(close).addBoth(wait)

    def _fail(self, context: str, error: BaseException | Failure | str, text: str | None = None) -> None:
        if not self._failed and self.state != MSRPStreamState.ENDED and not self.handler.busy:
            reason = getattr(error, 'value', error)
            self.handler.fail(text or str(reason) or reason.__class__.__name__)
        super()._fail(context, error, text)

    def transfer_failed(self, reason: str) -> None:
        """The handler cannot go on: tell the session."""
        self._fail('transferring', reason)

    # The message

    def _accept_message(self, message: IncomingMessage) -> Sink | None:
        from msrplib.errors import MSRPTransactionError
        handler = self.handler
        if not isinstance(handler, FileReceiver):
            raise MSRPTransactionError(code=413)
        if (message.content_type or '').partition(';')[0].strip().lower() == 'message/cpim':
            handler.break_off('the file comes in an envelope')
            raise MSRPTransactionError(code=415)
        return handler.accept(message)

    def _message_received(self, event: MessageReceived) -> None:
        if isinstance(self.handler, FileReceiver):
            self.handler.complete()

    def _message_aborted(self, event: MessageAborted) -> None:
        if isinstance(self.handler, FileReceiver) and event.message is self.handler.message and not self.shutting_down:
            lost = self.msrp is None or self.msrp.lost is not None
            reason = 'the connection was lost' if lost else 'the sender has given up' if event.code is None else f'refused with {event.code}'
            if self.handler.aborted(reason) and not lost:
                self._fail('transferring', reason)

    def _handle_REPORT(self, chunk: Any) -> None:
        if isinstance(self.handler, FileSender):
            self.handler.reported(chunk)

    def _outgoing_event(self, event: Event) -> None:
        from msrplib.events import MessageDelivered, MessageFailed
        handler = self.handler
        if not isinstance(handler, FileSender):
            return
        if isinstance(event, MessageDelivered):
            handler.delivered()
        elif isinstance(event, MessageFailed):
            lost = self.msrp is None or self.msrp.lost is not None
            reason = handler.failed(event)
            if reason is not None and not lost:
                self._fail('transferring', reason)


def _read_selector(remote: MSRPMedia) -> FileSelector:
    try:
        return FileSelector.parse(remote.get('file-selector') or '')
    except ValueError as error:
        raise InvalidStreamError(str(error)) from None


def _read_range(remote: MSRPMedia) -> FileRange:
    text = remote.get('file-range')
    try:
        return FileRange() if text is None else FileRange.parse(text)
    except ValueError as error:
        raise InvalidStreamError(str(error)) from None
