"""One MSRP connection on Twisted: bytes between a socket and an `Endpoint`, time, and back-pressure both ways.

All of it lives in the thread of the reactor. What the endpoint tells goes to `handler`; until there is one, it waits here, and when much waits, nothing more
is read. Nothing is taken from the endpoint while the socket does not take it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from msrplib.chunking import CHUNK_SIZE, OutgoingMessage
from msrplib.endpoint import Endpoint, Input, State
from msrplib.errors import MSRPBindSessionTimeout, MSRPNoSuchSessionError, MSRPSessionError, MSRPTransactionError
from msrplib.events import Event, MessageReceived, Noise, PeerFailed, ReportReceived, RequestAnswered, RequestReceived
from msrplib.framing import encode_response, new_message_id, new_transaction_id
from msrplib.headers import ByteRange, ByteRangeHeader, FromPathHeader, MessageIDHeader, MSRPHeader, ToPathHeader
from msrplib.message import COMPLETE, CONTINUED, MSRPData
from msrplib.reassembly import Accept, IncomingMessage, Sink
from msrplib.trafficlog import Logger, NullLogger, Tracer
from msrplib.uri import URI

__all__ = ['MSRPTransport', 'WRITE_SIZE', 'message_data']

WRITE_SIZE = 1 << 18        # bytes given to the socket at once
WAITING = 256               # events without a handler, after which nothing more is read
CLOSE_LIMIT = 10.0          # seconds for closing in good order, before the connection is dropped
REPORT_LIMIT = 1.0          # seconds of that for answers and reports to what was written
_INTERRUPTIBLE = 2048
MAX_HELD = 65536            # bytes of an answer that is not complete
_ANSWER_BEGINS = re.compile(rb'MSRP [^ \r\n]+ [0-9]{3}[ \r]')
_ANSWER = re.compile(rb'MSRP ([^ \r\n]+) [0-9]{3}[ \r].*?\r\n-------\1\$\r\n', re.DOTALL)


def message_data(message: IncomingMessage) -> MSRPData:
    """A message that has come as one chunk with all of it."""
    chunk: MSRPData = message.chunk.copy()
    chunk.data = message.data
    chunk.contflag = COMPLETE
    chunk.add_header(ByteRangeHeader(ByteRange(1, message.total, message.total)))
    return chunk


@implementer(IPushProducer)
class MSRPTransport(Protocol):
    """A connection, and the session on it.

    Args:
        local_uri: ours.
        logger: see `msrplib.trafficlog`; None for silence.
        use_sessmatch: compare only session ids of incoming requests (RFC 6714).
        accept: asked about each incoming message, see `Reassembler`; `accept` may be set later, too.
    Attributes:
        endpoint: the protocol.
        handler: called with each event of the endpoint.
        on_lost: called with the reason when the connection is gone, after the last event.
        chunk_size: bytes; some relays do not pass on more than 10 kB.
    """

    def __init__(self, local_uri: URI, logger: Logger | None = None, use_sessmatch: bool = False, *, accept: Accept | None = None,
                 chunk_size: int = CHUNK_SIZE, reactor: Any = None, timeout: float = 30.0) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor: Any = reactor
        self.accept = accept
        self.local_uri = local_uri
        self.logger = logger or NullLogger()
        self.endpoint = Endpoint(local_uri, accept=self._accept, sessmatch=use_sessmatch, timeout=timeout, chunk_size=chunk_size)
        self.on_lost: Callable[[Failure], object] | None = None
        self.connected_to: str | None = None
        self.lost: Failure | None = None
        self._handler: Callable[[Event], object] | None = None
        self._waiting: deque[Event] = deque()
        self._readers: deque[Deferred[MSRPData]] = deque()
        self._paused = False                # by the socket: it takes nothing
        self._reading_paused = 0            # by those who cannot take more
        self._timer: Any = None
        self._closing: list[Deferred[None]] = []
        self._calls: dict[object, Callable[[RequestAnswered], object]] = {}
        self._held = b''                    # what came before it was known whose connection this is
        self._unbound: Callable[[bytes], object] | None = None
        self._hold_paused = False           # reading is paused because a request is held
        self._tracers = Tracer(), Tracer()
        self._flushing = False
        self._receiving = False
        self._crowded = False               # reading is paused because events wait
        self._binding: Deferred[None] | None = None
        self._limit: Any = None
        self._awaiting = False              # all is written, and answers or reports are missing

    # Addresses

    @property
    def remote_path(self) -> list[URI]:
        """The peer's path, as in its session description."""
        return list(self.endpoint.remote_path)

    @property
    def remote_uri(self) -> URI | None:
        """The peer's own URI."""
        return self.endpoint.remote_path[-1] if self.endpoint.remote_path else None

    @property
    def local_path(self) -> list[URI]:
        """Our relays, the one next to us first."""
        return list(self.endpoint.relays)

    @property
    def full_local_path(self) -> list[URI]:
        """What the peer has to know: our relays and our URI."""
        return list(self.endpoint.local_path)

    @property
    def full_remote_path(self) -> list[URI]:
        """Where messages go: our relays and the peer's path."""
        return [*self.endpoint.relays, *self.endpoint.remote_path]

    def next_host(self) -> URI:
        """The next hop of messages.

        Raises:
            MSRPSessionError: the path is not known yet.
        """
        path = self.full_remote_path
        if not path:
            raise MSRPSessionError('there is no path yet')
        return path[0]

    def getHost(self) -> Any:
        """Our address."""
        return self.transport.getHost() if self.transport is not None else None

    def getPeer(self) -> Any:
        """The address of the next hop."""
        return self.transport.getPeer() if self.transport is not None else None

    @property
    def addresses(self) -> tuple[str, str]:
        """Both ends of the connection as text, ours first."""
        return tuple(f'{getattr(item, "host", "")}:{getattr(item, "port", "")}' for item in (self.getHost(), self.getPeer()))   # type: ignore[return-value]

    # Twisted

    def connectionMade(self) -> None:
        """The connection is there."""
        transport: Any = self.transport
        lowest = getattr(transport, 'transport', transport)         # below TLS
        if hasattr(lowest, 'bufferSize'):
            lowest.bufferSize = max(lowest.bufferSize, WRITE_SIZE)
        if hasattr(transport, 'setTcpNoDelay'):
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        if self._reading_paused:
            transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        """Something has come."""
        if self._unbound is not None:
            self._held += data
            self._unbound(self._held)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self.logger.log_traffic:
            for text in self._tracers[0].feed(data):
                self.logger.received_chunk(text, self)
        # What handlers send meanwhile is written in one go.
        self._receiving = True
        try:
            self._dispatch(self.endpoint.receive(data, self._reactor.seconds()))
        finally:
            self._receiving = False
        self.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.lost = reason
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.cancel()
        self._timer = self._limit = None
        binding, self._binding = self._binding, None
        if binding is not None:
            binding.errback(reason)
        self._dispatch(self.endpoint.closed(str(reason.value)))
        for reader in self._readers:
            reader.errback(reason)
        self._readers.clear()
        closing, self._closing = self._closing, []
        for deferred in closing:
            deferred.callback(None)
        if self.on_lost is not None:
            self.on_lost(reason)

    def pauseProducing(self) -> None:
        """The socket takes nothing more for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The socket takes something again."""
        self._paused = False
        self.flush()

    def stopProducing(self) -> None:
        """The socket will never take anything again; connectionLost follows."""
        self._paused = True

    # Writing

    def flush(self) -> None:
        """Write what the endpoint has to write, as far as the socket takes it. To be called after anything was given to the endpoint."""
        if self._flushing or self._receiving or self.lost is not None:
            return
        self._flushing = True
        endpoint, seconds = self.endpoint, self._reactor.seconds
        try:
            while not self._paused and self.transport is not None and endpoint.wants_to_write:
                buffers = endpoint.take(WRITE_SIZE, seconds())
                if not buffers:
                    break
                if self.logger.log_traffic:
                    for text in self._tracers[1].feed(b''.join(buffers)):
                        self.logger.sent_chunk(text, self)
                self.transport.writeSequence(buffers)
        except Exception as error:
            # A source of a message raised. What was promised to the peer cannot be kept.
            self.logger.error('%s: %s', type(error).__name__, error)
            self._flushing = False
            self.abort()
            return
        self._flushing = False
        self._dispatch(endpoint.events())
        self._arm()
        if endpoint.state is State.FLUSHING and endpoint.sender.idle:
            if endpoint.settled:
                self._flushed()
            elif not self._awaiting:
                self._awaiting = True
                assert self._limit is not None
                self._limit.reset(REPORT_LIMIT)

    @property
    def congested(self) -> bool:
        """Whether the socket takes nothing for now: what is sent waits in memory."""
        return self._paused

    def _arm(self) -> None:
        """See that there is a timer no later than the next deadline. It may be earlier, as most deadlines are met."""
        deadline = self.endpoint.deadline
        if deadline is None or self.lost is not None:
            return
        if self._timer is None:
            self._timer = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._tick)
        elif self._timer.getTime() > deadline:
            self._timer.reset(max(0.0, deadline - self._reactor.seconds()))

    def _tick(self) -> None:
        self._timer = None
        self._dispatch(self.endpoint.tick(self._reactor.seconds()))
        self.flush()

    # Events

    @property
    def handler(self) -> Callable[[Event], object] | None:
        """Called with each event; what has waited for one is told at once when it is set."""
        return self._handler

    @handler.setter
    def handler(self, handler: Callable[[Event], object] | None) -> None:
        self._handler = handler
        while self._waiting and self._handler is not None:
            self._handler(self._waiting.popleft())
        if self._reading_paused and handler is not None and not self._waiting:
            self._resume_if_crowded()
        self.flush()

    def _accept(self, message: IncomingMessage) -> Sink | None:
        return None if self.accept is None else self.accept(message)

    def _dispatch(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RequestAnswered) and event.context in self._calls:
                self._calls.pop(event.context)(event)
            elif isinstance(event, Noise):
                self.logger.received_illegal_data(event.data.decode('utf-8', 'replace'), self)
                self.logger.warning('left out: %s', event.reason)
            elif isinstance(event, PeerFailed):
                self.logger.error('%s: closing the connection', event.reason)
                if self._handler is not None:
                    self._handler(event)
                self.abort()
                return
            elif self._handler is not None:
                self._handler(event)
            else:
                self._keep(event)

    def _keep(self, event: Event) -> None:
        if self._readers:
            chunk = self._chunk(event)
            if chunk is not None:
                self._readers.popleft().callback(chunk)
            return
        self._waiting.append(event)
        if len(self._waiting) == WAITING:
            self.pause_reading()
            self._crowded = True

    def _resume_if_crowded(self) -> None:
        if self._crowded:
            self._crowded = False
            self.resume_reading()

    @property
    def reading_paused(self) -> bool:
        """Whether nothing is read for now."""
        return bool(self._reading_paused)

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading` was called as often: what comes cannot be taken now."""
        self._reading_paused += 1
        transport: Any = self.transport
        if self._reading_paused == 1 and transport is not None and self.lost is None:
            transport.pauseProducing()

    def resume_reading(self) -> None:
        """Undo a `pause_reading`."""
        if not self._reading_paused:
            return
        self._reading_paused -= 1
        transport: Any = self.transport
        if not self._reading_paused and transport is not None and self.lost is None:
            transport.resumeProducing()

    # Requests

    def request(self, method: str, headers: Iterable[MSRPHeader] = (), to_path: str | None = None) -> Deferred[RequestAnswered]:
        """Send a request without a body; the result is the answer to it, or with code 408 that there was none. Fails if the connection is gone."""
        if self.lost is not None:
            return fail(self.lost)
        deferred: Deferred[RequestAnswered] = Deferred()
        context = object()
        self._calls[context] = deferred.callback
        self.endpoint.request(method, headers, context, to_path)
        self.flush()
        return deferred

    def send(self, message: OutgoingMessage) -> None:
        """Send a message.

        Raises:
            MSRPSessionError: the session is not connected.
        """
        self.endpoint.send(message)
        self.flush()

    def make_request(self, method: str) -> MSRPData:
        """A request to the peer, without a body."""
        return MSRPData(new_transaction_id(), method, headers=[ToPathHeader(self.full_remote_path), FromPathHeader([self.local_uri])])

    def make_send_request(self, message_id: str | None = None, data: bytes = b'', start: int = 1, end: int | None = None,
                          length: int | None = None) -> MSRPData:
        """A SEND request to the peer, without a Content-Type.

        Args:
            start, end: the bytes of the message that these are; `end` is found from the data.
            length: of the message; None if it ends with these bytes.
        """
        end = start + len(data) - 1 if end is None else end
        length = end if length is None else length
        chunk = self.make_request('SEND')
        chunk.add_header(MessageIDHeader(message_id or new_message_id()))
        chunk.add_header(ByteRangeHeader(ByteRange(start, end if length <= _INTERRUPTIBLE else None, length)))
        chunk.data = data
        chunk.contflag = COMPLETE if end == length else CONTINUED
        return chunk

    def write(self, data: bytes) -> None:
        """Write complete chunks as they are, before all messages."""
        self.endpoint.sender.put(data)
        self.flush()

    def write_chunk(self, chunk: MSRPData, answered: Callable[[RequestAnswered], object] | None = None) -> None:
        """Write a chunk; `answered` is called with the answer to it."""
        data = chunk.encode()
        if answered is not None:
            context = object()
            self._calls[context] = answered
            self.endpoint.expect(chunk.transaction_id, context)
        self.write(data)

    def write_response(self, chunk: MSRPData, code: int, comment: str | None = None) -> None:
        """Answer a request, if it wants that."""
        data = encode_response(chunk, code, comment)
        if data is not None:
            self.write(data)

    def check_incoming_SEND_chunk(self, chunk: MSRPData) -> None:
        """Whether a request is for this session.

        Raises:
            MSRPBadRequest, MSRPNoSuchSessionError: it is not.
        """
        self.endpoint.check(chunk)

    def read_chunk(self) -> Deferred[MSRPData]:
        """The next message, report or other request, as one chunk. For those who set no `handler`."""
        while self._waiting:
            chunk = self._chunk(self._waiting.popleft())
            if not self._waiting:
                self._resume_if_crowded()
            if chunk is not None:
                ready: Deferred[MSRPData] = Deferred()
                ready.callback(chunk)
                return ready
        deferred: Deferred[MSRPData] = Deferred()
        if self.lost is not None:
            deferred.errback(self.lost)
        else:
            self._readers.append(deferred)
        return deferred

    @staticmethod
    def _chunk(event: Event) -> MSRPData | None:
        if isinstance(event, MessageReceived):
            return message_data(event.message)
        return event.chunk if isinstance(event, (RequestReceived, ReportReceived)) else None

    # The beginning and the end

    def set_remote_path(self, path: Iterable[URI]) -> None:
        """Whom to talk to."""
        self.endpoint.set_remote_path(path)

    def set_local_path(self, relays: Iterable[URI]) -> None:
        """Our relays, the one next to us first."""
        self.endpoint.set_relays(relays)

    def bind(self, full_remote_path: Iterable[URI]) -> Deferred[None]:
        """Tell the peer which session this connection is for, with an empty SEND, and wait for its answer (RFC 4975 section 5.4).

        Fails with MSRPBindSessionTimeout, MSRPNoSuchSessionError, MSRPTransactionError, and with what ended the connection.
        """
        self.set_remote_path(full_remote_path)
        deferred = self.request('SEND', [MessageIDHeader(new_message_id()), ByteRangeHeader(ByteRange(1, 0, 0))])

        def answered(event: RequestAnswered) -> None:
            if self.lost is not None:
                assert self.lost.value is not None
                raise self.lost.value
            if event.response is None:
                raise MSRPBindSessionTimeout(event.comment)
            if event.code == 481:
                raise MSRPNoSuchSessionError(event.comment)
            if event.code != 200:
                raise MSRPTransactionError(event.comment, event.code)
        return deferred.addCallback(answered)

    def accept_binding(self, full_remote_path: Iterable[URI]) -> Deferred[None]:
        """Wait for the first request of the peer, which says that this connection is for our session; its message is kept.

        Fails with MSRPNoSuchSessionError or MSRPBadRequest if the request is for another session, and with what ended the connection.
        """
        self.set_remote_path(full_remote_path)
        if self.lost is not None:
            return fail(self.lost)
        deferred: Deferred[None] = Deferred()
        self._binding = deferred
        self.endpoint.on_checked = self._checked
        return deferred

    def _checked(self, error: MSRPTransactionError | None) -> None:
        self.endpoint.on_checked = None
        binding, self._binding = self._binding, None
        if binding is not None:
            # The request is answered first. What comes next waits for whoever wants the session.
            self.pause_reading()
            self._reactor.callLater(0, self._bound, binding, error)

    def _bound(self, binding: Deferred[None], error: MSRPTransactionError | None) -> None:
        if error is None:
            binding.callback(None)
        else:
            binding.errback(error)
        self.resume_reading()

    def hold(self, unbound: Callable[[bytes], object]) -> None:
        """Keep what comes, and give it to `unbound`, until `release`: whose connection this is, is not known yet."""
        self._unbound = unbound

    def hold_requests(self) -> None:
        """Take answers, and keep everything else until `release`: who the peer is, is not known yet, and it may be faster than those who tell us."""
        self.hold(self._take_answers)

    def _take_answers(self, held: bytes) -> None:
        while self._unbound is not None and (answer := _ANSWER.match(self._held)) is not None:
            self._held = self._held[answer.end():]
            self._take(answer.group())
        more = len(self._held) < MAX_HELD and (b'\r\n' not in self._held or _ANSWER_BEGINS.match(self._held) is not None)
        if not more and not self._hold_paused and self._unbound is not None:
            self._hold_paused = True
            self.pause_reading()

    def release(self) -> None:
        """Take what was held as if it came now."""
        held, self._held, self._unbound = self._held, b'', None
        if held and self.lost is None:
            self._take(held)
        if self._hold_paused:
            self._hold_paused = False
            self.resume_reading()

    def loseConnection(self, wait: bool = True) -> Deferred[None]:
        """Close the connection when what was given to the socket is written. The result: it is closed.

        Args:
            wait: write what is queued and wait for answers first.
        """
        deferred: Deferred[None] = Deferred()
        if self.lost is not None or self.transport is None:
            deferred.callback(None)
            return deferred
        self._closing.append(deferred)
        if self._limit is None:
            self._limit = self._reactor.callLater(CLOSE_LIMIT, self._give_up)
        endpoint = self.endpoint
        endpoint.fire(Input.SHUTDOWN)
        if wait:
            self.flush()
        elif endpoint.state is State.FLUSHING:
            self._flushed()
        return deferred

    def _close(self) -> None:
        transport: Any = self.transport
        transport.unregisterProducer()
        if self._reading_paused:
            # Or the end of the peer would never be seen.
            self._reading_paused = 0
            transport.resumeProducing()
        transport.loseConnection()

    def _flushed(self) -> None:
        self.endpoint.fire(Input.FLUSHED)
        if self._awaiting and self._limit is not None:
            self._limit.reset(CLOSE_LIMIT)
        self._close()

    def _give_up(self) -> None:
        """Whatever is still missing has not come in time."""
        self._limit = None
        if self._awaiting and self.endpoint.state is State.FLUSHING:
            self._awaiting = False
            self._limit = self._reactor.callLater(CLOSE_LIMIT, self._give_up)
            self._flushed()
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.lost is not None or self.transport is None:
            return
        transport: Any = self.transport
        if self.endpoint.state not in (State.CLOSING, State.DONE):
            self.endpoint.fire(Input.BROKEN)
        transport.abortConnection()

