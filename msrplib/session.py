"""A session on a connection: what a user of the library works with once `msrplib.connect` has made the connection.

    session = MSRPSession(transport, accept_types=['text/*'], on_incoming_cb=incoming)
    session.send(OutgoingMessage('text/plain', b'Hello', success_report='yes'))

`on_incoming_cb(chunk, error)` is called with every message that has come (as one chunk, with all its data), every report, every other request, and at last
with the error that ended the session. `on_event` is called with all events of `msrplib.endpoint`, which also tell how messages of ours fared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from msrplib.chunking import OutgoingMessage
from msrplib.endpoint import Input, State, type_matches
from msrplib.errors import MSRPSessionError, MSRPTransactionError
from msrplib.events import Event, MessageReceived, ReportReceived, RequestAnswered, RequestReceived
from msrplib.framing import make_report, new_message_id
from msrplib.headers import ByteRange, ByteRangeHeader, ContentTypeHeader, MessageIDHeader, MSRPHeader, UseNicknameHeader
from msrplib.message import MSRPData
from msrplib.transport import MSRPTransport, message_data

__all__ = ['LocalResponse', 'MSRPSession', 'contains_mime_type']

contains_mime_type = type_matches


class LocalResponse(MSRPData):
    """An answer that did not come from the peer: there was none in time, or the connection is gone."""

    __slots__ = ()

    def __init__(self, code: int = 408, comment: str | None = None) -> None:
        super().__init__('local', code=code, comment=comment)


class MSRPSession:
    """A session.

    Args:
        msrptransport: its connection, bound to the session.
        accept_types: of incoming messages, others are refused with 415.
        on_incoming_cb: called as on_incoming_cb(chunk=None, error=None), in the thread of the reactor.
        automatic_reports: whether messages are reported when they have come.
        on_event: called with each event.
        keepalive: seconds between empty requests which show that the peer is still there; None for none.
    Raises:
        TypeError: neither on_incoming_cb nor on_event.
    """

    RESPONSE_TIMEOUT = 30
    SHUTDOWN_TIMEOUT = 1
    KEEPALIVE_INTERVAL = 60

    def __init__(self, msrptransport: MSRPTransport, accept_types: Iterable[str] = ('*',), on_incoming_cb: Callable[..., object] | None = None,
                 automatic_reports: bool = True, *, on_event: Callable[[Event], object] | None = None, methods: Iterable[str] = ('NICKNAME',),
                 keepalive: float | None = KEEPALIVE_INTERVAL) -> None:
        if on_incoming_cb is None and on_event is None:
            raise TypeError('on_incoming_cb or on_event is needed')
        self.msrp = msrptransport
        self.accept_types = list(accept_types)
        self.on_incoming_cb = on_incoming_cb
        self.on_event = on_event
        self.keepalive = keepalive
        self._keepalive_timer: Any = None
        endpoint = msrptransport.endpoint
        endpoint.accept_types = tuple(self.accept_types)
        endpoint.methods = set(methods) | {name.removeprefix('_handle_incoming_') for name in dir(self) if name.startswith('_handle_incoming_')}
        endpoint.reports = automatic_reports
        msrptransport.on_lost = self._lost
        if msrptransport.lost is None:
            self._start_keepalive()
        msrptransport.handler = self._handle
        if msrptransport.lost is not None:
            self._lost(msrptransport.lost)

    @property
    def state(self) -> State:
        """CONNECTED, FLUSHING, CLOSING or DONE."""
        return self.msrp.endpoint.state

    @property
    def connected(self) -> bool:
        """Whether messages can be sent."""
        return self.state is State.CONNECTED

    def _incoming(self, chunk: MSRPData | None = None, error: object = None) -> None:
        if self.on_incoming_cb is not None:
            self.on_incoming_cb(chunk, error)

    def _handle(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)
        if isinstance(event, MessageReceived):
            if self.on_incoming_cb is not None:
                self._incoming(message_data(event.message))
        elif isinstance(event, ReportReceived):
            self._incoming(event.chunk)
        elif isinstance(event, RequestReceived):
            getattr(self, f'_handle_incoming_{event.chunk.method}', self._handle_other)(event.chunk)

    def _handle_incoming_NICKNAME(self, chunk: MSRPData) -> None:
        """RFC 7701: a nickname, and no report headers."""
        if not isinstance(chunk.headers.get('Use-Nickname'), UseNicknameHeader) or 'Success-Report' in chunk.headers or 'Failure-Report' in chunk.headers:
            self.respond(chunk, 400)
        else:
            self._incoming(chunk)

    def _handle_other(self, chunk: MSRPData) -> None:
        self._incoming(chunk)

    def _lost(self, reason: Failure) -> None:
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
            self._keepalive_timer = None
        self._incoming(None, reason.value)

    # Keep-alive

    def _start_keepalive(self) -> None:
        self._keepalive_timer = None
        if self.keepalive is not None and self.connected:
            self._keepalive_timer = self.msrp._reactor.callLater(self.keepalive, self._send_keepalive)

    def _send_keepalive(self) -> None:
        self._keepalive_timer = None
        if not self.connected:
            return
        headers = [MessageIDHeader(new_message_id()), ByteRangeHeader(ByteRange(1, 0, 0)), MSRPHeader('Keep-Alive', 'yes')]
        self.msrp.request('SEND', headers).addCallback(self._keepalive_answered)

    def _keepalive_answered(self, event: RequestAnswered) -> None:
        if event.code == 408 and self.msrp.lost is None and not self.msrp.reading_paused:      # or its answer waits where we do not look
            self.msrp.logger.warning('the peer does not answer any more')
            self.msrp.abort()
        elif self._keepalive_timer is None:
            self._start_keepalive()

    # Sending

    def send(self, message: OutgoingMessage) -> str:
        """Send a message and return its id; events tell how it fares.

        Raises:
            MSRPSessionError: the session is not connected.
        """
        self.msrp.send(message)
        return message.message_id

    def request(self, method: str, headers: Iterable[MSRPHeader] = ()) -> Deferred[RequestAnswered]:
        """Send a request without a body.

        Raises:
            MSRPSessionError: the session is not connected.
        """
        if not self.connected:
            raise MSRPSessionError('the session is not connected')
        return self.msrp.request(method, headers)

    def respond(self, chunk: MSRPData, code: int, comment: str | None = None, headers: Iterable[MSRPHeader] = ()) -> None:
        """Answer a request."""
        self.msrp.endpoint.respond(chunk, code, comment, headers)
        self.msrp.flush()

    def make_message(self, msg: bytes, content_type: str, message_id: str | None = None) -> MSRPData:
        """A chunk that is a whole message."""
        chunk = self.msrp.make_send_request(message_id, msg)
        chunk.add_header(ContentTypeHeader(content_type))
        return chunk

    def send_chunk(self, chunk: MSRPData, response_cb: Callable[[MSRPData], object] | None = None) -> None:
        """Send a chunk as it is; `response_cb` gets the answer to it, or a `LocalResponse` 408.

        Raises:
            MSRPSessionError: the session is not connected.
        """
        if not self.connected:
            raise MSRPSessionError('the session is not connected')
        answered = None
        if response_cb is not None and chunk.method != 'REPORT' and chunk.failure_report == 'yes':
            def answered(event: RequestAnswered) -> None:
                response_cb(LocalResponse(408, event.comment) if event.response is None else event.response)
        self.msrp.write_chunk(chunk, answered)

    def deliver_chunk(self, chunk: MSRPData) -> Deferred[MSRPData | None]:
        """Send a chunk; the result is the answer to it, at once None if it wants none.

        Fails with MSRPTransactionError if the answer is not 200.
        """
        deferred: Deferred[MSRPData | None] = Deferred()
        if chunk.failure_report != 'yes':
            self.send_chunk(chunk)
            deferred.callback(None)
            return deferred

        def answered(response: MSRPData) -> None:
            code = response.code or 408
            if 200 <= code < 300:
                deferred.callback(response)
            else:
                deferred.errback(MSRPTransactionError(response.comment, code))
        self.send_chunk(chunk, answered)
        return deferred

    def send_message(self, msg: bytes, content_type: str) -> str:
        """Send a message without caring for its answer; returns its id."""
        chunk = self.make_message(msg, content_type)
        self.send_chunk(chunk)
        return str(chunk.message_id)

    def deliver_message(self, msg: bytes, content_type: str) -> Deferred[MSRPData | None]:
        """Send a message; see `deliver_chunk`."""
        return self.deliver_chunk(self.make_message(msg, content_type))

    def send_report(self, chunk: MSRPData, code: int, reason: str | None = None) -> None:
        """Report a message, if it wants that.

        Raises:
            ValueError: the chunk is no SEND request.
            MSRPSessionError: the session is not connected.
        """
        if chunk.method != 'SEND':
            raise ValueError('only SEND requests are reported')
        report = make_report(chunk, code, reason)
        if report is not None:
            self.send_chunk(report)

    def shutdown(self, wait: bool = True) -> Deferred[None]:
        """End the session: write what is queued and wait for answers (unless `wait` is false), then close the connection. The result: it is closed."""
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
            self._keepalive_timer = None
        if self.state is State.CONNECTED:
            self.msrp.endpoint.fire(Input.SHUTDOWN)
        return self.msrp.loseConnection(wait)
