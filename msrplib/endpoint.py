"""One end of an MSRP session, without input or output: bytes in, events and bytes out, the time told from outside.

    endpoint = Endpoint(local_uri, accept=...)
    endpoint.set_remote_path(path)
    events = endpoint.receive(data, now)        what came over the connection
    endpoint.send(OutgoingMessage(...))         as many as wanted
    buffers = endpoint.take(65536, now)         to be written, when the connection has room
    events = endpoint.tick(now)                 at endpoint.deadline

Requests of the peer are checked for their session (RFC 4975 section 7.3, or only for the session ids, RFC 6714), answered, and reported when a message is
complete. A message of ours is known to be delivered when a report says so for each of its bytes, and to have failed when an answer or a report says so, or
when there was no answer in time and its Failure-Report is `yes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum

from msrplib.chunking import CHUNK_SIZE, OutgoingMessage, Sender, SentChunk
from msrplib.errors import ChunkParseError, HeaderParsingError, MSRPBadRequest, MSRPNoSuchSessionError, MSRPSessionError, MSRPTransactionError, ParsingError
from msrplib.events import (
    ChunkReceived,
    EmptySend,
    Event,
    MessageAborted,
    MessageDelivered,
    MessageFailed,
    MessageReceived,
    MessageSent,
    Noise,
    PeerFailed,
    ReportReceived,
    RequestAnswered,
    RequestReceived,
)
from msrplib.framing import encode_report, encode_request, encode_response, wants_report
from msrplib.headers import ByteRange, MSRPHeader
from msrplib.message import ABORTED, COMPLETE, MSRPData
from msrplib.parser import Begin, Data, End, Failed, Illegal, Limits, Parser, Whole
from msrplib.reassembly import Accept, IncomingMessage, Piece, Reassembler, ReassemblyLimits
from msrplib.transactions import RESPONSE_TIMEOUT, Transactions
from msrplib.uri import URI, format_path, parse_path

__all__ = ['Endpoint', 'Input', 'MAX_PENDING', 'State', 'TRANSITIONS', 'type_matches']

MAX_PENDING = 1024          # chunks of ours without an answer before we wait for some
MAX_LENIENT = 4096          # chunks of ours that are answered only if they fail, and that are remembered for that
MAX_UNREPORTED = 16384      # messages of ours whose reports are awaited; there is no time limit for reports, so the oldest one fails if there are more
MAX_BODY = 65536            # bytes of the body of a request that is not SEND


class State(StrEnum):
    """Of a session."""

    CONNECTED = 'CONNECTED'     # messages go both ways
    FLUSHING = 'FLUSHING'       # we want to end: what is queued is still sent, and answers are awaited
    CLOSING = 'CLOSING'         # the connection is being closed
    DONE = 'DONE'               # it is closed


class Input(Enum):
    """What changes the state of a session."""

    SHUTDOWN = 'shutdown'       # we want to end
    FLUSHED = 'flushed'         # all is sent and answered, or the time for that is over
    BROKEN = 'broken'           # the peer sends what is no MSRP, or does not answer any more
    CLOSED = 'closed'           # the connection is gone


TRANSITIONS = {
    # State: CONNECTED
    (State.CONNECTED, Input.SHUTDOWN): State.FLUSHING,
    (State.CONNECTED, Input.BROKEN): State.CLOSING,
    (State.CONNECTED, Input.CLOSED): State.DONE,
    # State: FLUSHING
    (State.FLUSHING, Input.SHUTDOWN): State.FLUSHING,
    (State.FLUSHING, Input.FLUSHED): State.CLOSING,
    (State.FLUSHING, Input.BROKEN): State.CLOSING,
    (State.FLUSHING, Input.CLOSED): State.DONE,
    # State: CLOSING
    (State.CLOSING, Input.SHUTDOWN): State.CLOSING,
    (State.CLOSING, Input.BROKEN): State.CLOSING,
    (State.CLOSING, Input.CLOSED): State.DONE,
    # State: DONE
    (State.DONE, Input.SHUTDOWN): State.DONE,
    (State.DONE, Input.CLOSED): State.DONE,
}


class _Request:
    """A request of ours that is not part of a message."""

    __slots__ = ('context',)

    def __init__(self, context: object) -> None:
        self.context = context


class Endpoint:
    """One end of a session.

    Args:
        local_uri: ours, which the peer puts last into To-Path.
        relays: of ours, the one next to us first (Use-Path of RFC 4976).
        accept: asked about each new message, see `Reassembler`.
        accept_types: which content types are taken; others are refused with 415.
        methods: besides SEND and REPORT; others are refused with 501.
        sessmatch: compare session ids only (RFC 6714), as something on the way may have put other addresses into the paths.
    Attributes:
        state: a `State`.
        sender: writes; its sizes may be changed.
        reports: whether success reports are made here.
        on_checked: called with each request's error, or None: whether it is for this session.
    """

    def __init__(self, local_uri: URI, relays: Iterable[URI] = (), *, accept: Accept | None = None, accept_types: Iterable[str] = ('*',),
                 methods: Iterable[str] = (), sessmatch: bool = False, limits: Limits | None = None, reassembly: ReassemblyLimits | None = None,
                 timeout: float = RESPONSE_TIMEOUT, chunk_size: int = CHUNK_SIZE, max_pending: int = MAX_PENDING) -> None:
        self.local_uri = local_uri
        self.relays = tuple(relays)
        self.remote_path: tuple[URI, ...] = ()
        self.accept_types = tuple(accept_types)
        self.methods = set(methods)
        self.sessmatch = sessmatch
        self.reports = True
        self.on_checked: Callable[[MSRPTransactionError | None], object] | None = None
        self.state = State.CONNECTED
        self.parser = Parser(limits)
        self.reassembler = Reassembler(self._accepted, reassembly)
        self.transactions: Transactions[SentChunk | _Request] = Transactions(timeout)
        self._lenient: Transactions[SentChunk] = Transactions(timeout)      # with Failure-Report: partial
        self.sender = Sender(from_path=str(local_uri), chunk_size=chunk_size, began=self._chunk_began, ended=self._chunk_ended,
                             may_begin=lambda: len(self.transactions) < max_pending)
        self._accept = accept
        self._messages: dict[str, OutgoingMessage] = {}
        self._known_paths: set[tuple[str, str]] = set()
        self._incoming: IncomingMessage | None = None       # whose chunk is coming
        self._refused = False       # the rest of the chunk that is coming is thrown away
        self._body: bytearray | None = None                 # of a request that is not SEND
        self._arm: list[str] = []
        self._events: list[Event] = []

    def set_remote_path(self, path: Iterable[URI]) -> None:
        """Whom to talk to: the path of the peer's session description."""
        self.remote_path = tuple(path)
        self.sender.to_path = format_path((*self.relays, *self.remote_path))
        self._known_paths.clear()

    def set_relays(self, relays: Iterable[URI]) -> None:
        """Our relays, as they told us in Use-Path."""
        self.relays = tuple(relays)
        self.set_remote_path(self.remote_path)

    @property
    def local_path(self) -> tuple[URI, ...]:
        """What to tell the peer: our relays and our URI."""
        return (*reversed(self.relays), self.local_uri) if self.relays else (self.local_uri,)

    def fire(self, what: Input) -> State:
        """Change the state.

        Raises:
            MSRPSessionError: the input is not legal now.
        """
        try:
            self.state = TRANSITIONS[self.state, what]
        except KeyError:
            raise MSRPSessionError(f'{what.value} is not legal in state {self.state}') from None
        return self.state

    # What we send

    def send(self, message: OutgoingMessage) -> None:
        """Queue a message.

        Raises:
            MSRPSessionError: the session is not connected.
            ValueError: it was sent before.
        """
        if self.state is not State.CONNECTED:
            raise MSRPSessionError('the session is not connected')
        if message.finished or message.message_id in self._messages:
            raise ValueError('a message is sent once')
        self._messages[message.message_id] = message
        if len(self._messages) > MAX_UNREPORTED:
            oldest = next(iter(self._messages.values()))
            if oldest.finished:
                self._fail(oldest, 0, 'Too many messages wait for a report', None)
        self.sender.add(message)

    def cancel(self, message: OutgoingMessage, code: int = 0, comment: str = 'Cancelled') -> None:
        """Give a message up; MessageFailed follows. Without effect if it is written or failed already."""
        if not message.finished:
            self._fail(message, code, comment, None)

    def request(self, method: str, headers: Iterable[MSRPHeader] = (), context: object = None, to_path: str | None = None) -> str:
        """Send a request without a body and return its transaction id; RequestAnswered follows with the `context`."""
        identity, data = encode_request(method, self.sender.to_path if to_path is None else to_path, str(self.local_uri), headers)
        self.expect(identity, context)
        self.sender.put(data)
        return identity

    def expect(self, transaction_id: str, context: object) -> None:
        """A request made elsewhere is put into `sender`: RequestAnswered follows with the `context`."""
        self.transactions.begin(transaction_id, _Request(context))
        self._arm.append(transaction_id)

    def respond(self, chunk: MSRPData, code: int, comment: str | None = None, headers: Iterable[MSRPHeader] = ()) -> None:
        """Answer a request, if it wants that answer. A malformed one cannot be answered."""
        try:
            data = encode_response(chunk, code, comment, headers)
        except ParsingError:
            return
        if data is not None:
            self.sender.put(data)

    def report(self, message: IncomingMessage, code: int = 200, comment: str | None = None, byte_range: ByteRange | None = None) -> None:
        """Report a message, or some of its bytes, if it wants that report."""
        if not wants_report(message.chunk, code):
            return
        if byte_range is None:
            end = message.received.end if message.total is None else message.total
            byte_range = ByteRange(1, end, message.total)
        try:
            self.sender.put(encode_report(message.chunk, code, comment, byte_range))
        except ParsingError:
            return

    @property
    def wants_to_write(self) -> bool:
        """Whether `take` would return something."""
        return self.sender.writable

    def take(self, size: int, now: float) -> list[bytes]:
        """The next buffers to be written: some `size` bytes, or what there is. The time of requests in them runs from now on."""
        buffers = self.sender.take(size)
        if self._arm:
            for identity in self._arm:
                self.transactions.arm(identity, now)
                self._lenient.arm(identity, now)
            self._arm.clear()
            while len(self._lenient) > MAX_LENIENT and (oldest := self._lenient.drop()) is not None:
                self._was_fine(oldest.message)
        return buffers

    def events(self) -> list[Event]:
        """What there is to tell since the last time; also returned by `receive` and `tick`. `take`, `send` and `cancel` lead to events, too."""
        events, self._events = self._events, []
        return events

    def _chunk_began(self, chunk: SentChunk) -> None:
        wanted = chunk.message.failure_report
        if wanted == 'yes':
            chunk.message.unanswered += 1
            self.transactions.begin(chunk.transaction_id, chunk)
        elif wanted == 'partial':
            self._lenient.begin(chunk.transaction_id, chunk)

    def _chunk_ended(self, chunk: SentChunk, flag: str) -> None:
        self._arm.append(chunk.transaction_id)
        message = chunk.message
        if flag == COMPLETE:
            # Without an answer to a `partial` one, no news is good news.
            awaited = message.unanswered > 0
            self._events.append(MessageSent(message, not awaited))
            if not awaited and message.failure_report != 'partial':
                self._was_fine(message)
        elif flag == ABORTED and message.failed is not None and message.message_id in self._messages:
            # Its source did not give what was announced.
            del self._messages[message.message_id]
            self._events.append(MessageFailed(message, 0, 'The source of the message failed', None))

    def _was_fine(self, message: OutgoingMessage) -> None:
        """Nothing can come any more but reports: forget a message without."""
        if message.finished and message.success_report != 'yes':
            self._messages.pop(message.message_id, None)

    def _fail(self, message: OutgoingMessage, code: int, comment: str, chunk: MSRPData | None) -> None:
        """The end of a message of ours, once."""
        if self._messages.pop(message.message_id, None) is None:
            return
        message.failed = code
        self._events.append(MessageFailed(message, code, comment, chunk))
        self.sender.cancel(message)

    # What we receive

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came over the connection."""
        for event in self.parser.feed(data):
            kind = event.__class__
            if kind is Whole:
                self._whole(event.chunk)        # type: ignore[attr-defined]
            elif kind is Data:
                self._piece(event.data)         # type: ignore[attr-defined]
            elif kind is Begin:
                self._begin(event.chunk)        # type: ignore[attr-defined]
            elif kind is End:
                self._end(event.chunk)          # type: ignore[attr-defined]
            elif isinstance(event, Illegal):
                self._events.append(Noise(event.data, event.reason))
            elif isinstance(event, Failed):
                self._events.append(PeerFailed(event.reason))
        return self.events()

    def _whole(self, chunk: MSRPData) -> None:
        if chunk.code is not None:
            self._response(chunk)
        elif chunk.method == 'SEND':
            message = self._send_begins(chunk)
            if message is not None:
                data = chunk.data
                chunk.data = b''        # it is the message that has it
                try:
                    if data:
                        self.reassembler.data(message, data)
                except MSRPTransactionError as error:
                    self._refuse(chunk, error, message)
                else:
                    self._send_ends(chunk, message)
        else:
            self._other(chunk)

    def _begin(self, chunk: MSRPData) -> None:
        self._incoming, self._refused, self._body = None, False, None
        if chunk.method == 'SEND':
            self._incoming = self._send_begins(chunk)
            self._refused = self._incoming is None
        else:
            self._body = bytearray()

    def _piece(self, piece: Piece) -> None:
        if self._incoming is not None:
            try:
                self.reassembler.data(self._incoming, piece)
            except MSRPTransactionError as error:
                chunk = self.parser.chunk or self._incoming.chunk
                message, self._incoming, self._refused = self._incoming, None, True
                self._refuse(chunk, error, message)
        elif self._body is not None and not self._refused:
            self._body += piece
            if len(self._body) > MAX_BODY:
                self._refused = True

    def _end(self, chunk: MSRPData) -> None:
        message, self._incoming = self._incoming, None
        if message is not None:
            self._send_ends(chunk, message)
        elif self._body is not None:
            if self._refused:
                self.respond(chunk, 413)
            else:
                chunk.data = bytes(self._body)
                self._whole(chunk)
        self._body, self._refused = None, False

    def check(self, chunk: MSRPData) -> None:
        """Whether a request is for this session.

        Raises:
            MSRPBadRequest: it is malformed.
            MSRPNoSuchSessionError: it is not.
        """
        try:
            self._check(chunk)
        except MSRPTransactionError as error:
            if self.on_checked is not None:
                self.on_checked(error)
            raise
        if self.on_checked is not None:
            self.on_checked(None)

    def _check(self, chunk: MSRPData) -> None:
        if chunk.problem is not None:
            raise MSRPBadRequest(chunk.problem)
        to_text, from_text = chunk.header_text('To-Path'), chunk.header_text('From-Path')
        if to_text is None or from_text is None:
            raise MSRPBadRequest('A Path Is Missing')
        if (to_text, from_text) in self._known_paths:
            return
        try:
            to_path, from_path = parse_path(to_text), parse_path(from_text)
        except ParsingError:
            raise MSRPBadRequest('Malformed Path') from None
        expected = (*self.relays, *self.remote_path)
        if self.sessmatch:
            mine = to_path[0].session_id == self.local_uri.session_id
            theirs = not self.remote_path or from_path[-1].session_id == self.remote_path[-1].session_id
        else:
            mine = to_path == (self.local_uri,)
            theirs = from_path == expected
        if not mine or len(to_path) != 1 or not theirs:
            raise MSRPNoSuchSessionError
        if len(self._known_paths) < 8:
            self._known_paths.add((to_text, from_text))

    def _accepted(self, message: IncomingMessage) -> Callable[[int, Piece], object] | None:
        if not type_matches(self.accept_types, message.content_type or ''):
            raise MSRPTransactionError(code=415)
        return None if self._accept is None else self._accept(message)

    def _send_begins(self, chunk: MSRPData) -> IncomingMessage | None:
        """A chunk of a SEND; None if it needs nothing more."""
        try:
            self.check(chunk)
            if chunk.content_type is None:
                if not chunk.message_id:
                    raise MSRPBadRequest('No Message-ID')
                self.respond(chunk, 200)
                if chunk.contflag == ABORTED and chunk.message_id in self.reassembler.messages:
                    message = self.reassembler.messages[chunk.message_id]
                    self.reassembler.remove(message)
                    self._events.append(MessageAborted(message, None))
                else:
                    self._events.append(EmptySend(chunk))
                return None
            return self.reassembler.begin(chunk)
        except MSRPTransactionError as error:
            self._refuse(chunk, error, None)
            return None

    def _refuse(self, chunk: MSRPData, error: MSRPTransactionError, message: IncomingMessage | None) -> None:
        self.respond(chunk, error.code, error.comment)
        if message is not None:
            self._events.append(MessageAborted(message, error.code))

    def _send_ends(self, chunk: MSRPData, message: IncomingMessage) -> None:
        try:
            byte_range = self.reassembler.end(message, chunk.contflag)
        except MSRPTransactionError as error:
            self._refuse(chunk, error, message)
            return
        self.respond(chunk, 200)
        if self.reports and message.report == 'chunk' and chunk.contflag != ABORTED:
            self.report(message, 200, None, byte_range)
        if chunk.contflag == ABORTED:
            self._events.append(MessageAborted(message, None))
        elif message.complete:
            if self.reports and message.report == 'message':
                self.report(message)
            if message.report != 'message':
                self._events.append(ChunkReceived(message, byte_range))
            self._events.append(MessageReceived(message))
        elif message.report != 'message':
            self._events.append(ChunkReceived(message, byte_range))

    def _other(self, chunk: MSRPData) -> None:
        """A request that is not SEND."""
        try:
            self.check(chunk)
            if chunk.method == 'REPORT':
                self._report(chunk)
            elif chunk.method in self.methods:
                self._events.append(RequestReceived(chunk))
            else:
                self.respond(chunk, 501)
        except MSRPTransactionError as error:
            self.respond(chunk, error.code, error.comment)

    def _report(self, chunk: MSRPData) -> None:
        try:
            status, byte_range, message_id = chunk.status, chunk.byte_range, chunk.message_id
            if status is None or message_id is None or status.namespace != '000':
                raise ChunkParseError('no Status, or no Message-ID')
        except HeaderParsingError as error:
            self._events.append(Noise(chunk.first_line.encode(), f'report with a {error}'))
            return
        except ChunkParseError as error:
            self._events.append(Noise(chunk.first_line.encode(), f'report with {error}'))
            return
        message = self._messages.get(message_id)
        byte_range = byte_range or ByteRange()
        self._events.append(ReportReceived(message, chunk, status, byte_range))
        if message is None:
            return
        if status.code != 200:
            self._fail(message, status.code, status.comment or '', chunk)
            return
        end = byte_range.end if byte_range.end is not None else byte_range.total
        if end is not None:
            # Nobody can have more than was written.
            message.reported.add(byte_range.start - 1, min(end, message.written))
        if message.finished and not message.delivered and message.reported.covers(0, message.written):
            message.delivered = True
            self._messages.pop(message_id, None)
            self._events.append(MessageDelivered(message, chunk))

    def _response(self, chunk: MSRPData) -> None:
        code = chunk.code or 0
        lenient = self._lenient.answer(chunk.transaction_id)
        if lenient is not None:
            if code != 200:
                self._fail(lenient.message, code, chunk.comment or '', chunk)
            return
        found = self.transactions.answer(chunk.transaction_id)
        if found is None:
            return          # late, or for a chunk that wanted no answer
        if isinstance(found, _Request):
            self._events.append(RequestAnswered(found.context, code, chunk.comment or '', chunk))
            return
        message = found.message
        message.unanswered -= 1
        if code != 200:
            self._fail(message, code, chunk.comment or '', chunk)
        elif message.finished and not message.unanswered and message.failed is None:
            self._events.append(MessageSent(message, True))
            self._was_fine(message)

    # Time and the end

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called."""
        first, second = self.transactions.deadline, self._lenient.deadline
        return first if second is None else second if first is None else min(first, second)

    def tick(self, now: float) -> list[Event]:
        """The time is `now`: what was not answered in time fails."""
        for item in self.transactions.expire(now):
            if isinstance(item, _Request):
                self._events.append(RequestAnswered(item.context, 408, 'Request Timeout', None))
                continue
            item.message.unanswered -= 1
            self._fail(item.message, 408, 'Request Timeout', None)
        for chunk in self._lenient.expire(now):
            self._was_fine(chunk.message)
        return self.events()

    @property
    def quiet(self) -> bool:
        """Nothing is queued, and no answer is awaited."""
        return self.sender.idle and not len(self.transactions)

    @property
    def settled(self) -> bool:
        """The same, and all reports have come."""
        return self.quiet and not any(message.success_report == 'yes' for message in self._messages.values())

    def closed(self, reason: str = 'The connection was closed') -> list[Event]:
        """The connection is gone: everything that was not confirmed has failed."""
        if self.state is not State.DONE:
            self.fire(Input.CLOSED)
        self.sender.abandon()
        for item in self.transactions.clear():
            if isinstance(item, _Request):
                self._events.append(RequestAnswered(item.context, 408, reason, None))
        self._lenient.clear()
        for message in list(self._messages.values()):
            if message.finished and message.success_report != 'yes' and message.failure_report == 'partial':
                continue        # it was written, and nobody has complained
            self._fail(message, 0, reason, None)
        self._messages.clear()
        for incoming in list(self.reassembler.messages.values()):
            self.reassembler.remove(incoming)
            self._events.append(MessageAborted(incoming, None))
        return self.events()


def type_matches(accepted: Iterable[str], content_type: str) -> bool:
    """Whether a MIME type is in a list with `*`, `type/*` and exact ones; its case and its parameters do not count."""
    wanted = content_type.partition(';')[0].strip().lower()
    major = wanted.partition('/')[0] + '/*'
    return any(item.lower() in ('*', '*/*', major, wanted) for item in accepted)
