"""Ports where peers connect, each for many sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from msrplib.chunking import CHUNK_SIZE
from msrplib.connector import TIMEOUT, chunk_size_for
from msrplib.errors import MSRPBadRequest, MSRPIncomingConnectTimeout, MSRPNoSuchSessionError, MSRPTransactionError, ParsingError
from msrplib.framing import encode_response
from msrplib.parser import Begin, Failed, Parser, Whole
from msrplib.reassembly import Accept
from msrplib.tls import X509Credentials, server_context
from msrplib.trafficlog import Logger, NullLogger
from msrplib.transport import MSRPTransport
from msrplib.uri import URI, parse_path

__all__ = ['MSRPServer']

MAX_STRANGERS = 16          # connections at once of which nobody knows yet for whom they are
MAX_FIRST = 65536           # bytes of them that are kept


class _Listener(Factory):
    """A port where peers connect; the first request of each connection says for which session it is.

    A connection that does not say so in time, that sends something else, or that is for an unknown session, is closed (RFC 4975 section 7.3: 481).
    """

    noisy = False

    def __init__(self, owner: Any, reactor: Any, logger: Logger, timeout: float) -> None:
        self._owner = owner
        self._reactor = reactor
        self._logger = logger
        self._timeout = timeout
        self._strangers: dict[MSRPTransport, Any] = {}
        self.port: Any = None
        self.credentials: X509Credentials | None = None

    def listen(self, uri: URI) -> Deferred[IListeningPort]:
        """Open the port; 0 means any."""
        kind = TCP6ServerEndpoint if ':' in uri.host else TCP4ServerEndpoint
        endpoint: Any = kind(self._reactor, uri.port, interface=uri.host)
        factory: Any = self
        if uri.use_tls:
            from twisted.protocols.tls import TLSMemoryBIOFactory
            factory = TLSMemoryBIOFactory(server_context(uri.credentials), False, self)

        def listening(port: Any) -> Any:
            self.port = port
            return port
        opened: Deferred[IListeningPort] = endpoint.listen(factory)
        return opened.addCallback(listening)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Somebody has connected."""
        if len(self._strangers) >= MAX_STRANGERS:
            self._logger.warning('too many connections of strangers')
            return None
        transport = MSRPTransport(self._owner.any_uri(), self._logger, reactor=self._reactor)
        self._strangers[transport] = self._reactor.callLater(self._timeout, self._forget, transport)
        transport.on_lost = lambda reason: self._forget(transport, closed=True)
        transport.hold(lambda data: self._look(transport, data))
        return transport

    def _forget(self, transport: MSRPTransport, closed: bool = False) -> None:
        timer = self._strangers.pop(transport, None)
        if timer is not None and timer.active():
            timer.cancel()
        if not closed:
            transport.abort()

    def _look(self, transport: MSRPTransport, data: bytes) -> None:
        """Find out for which session the connection is."""
        if transport not in self._strangers:
            return
        chunk = None
        for event in Parser().feed(data):
            if isinstance(event, (Whole, Begin)):
                chunk = event.chunk
                break
            if isinstance(event, Failed):
                self._forget(transport)
                return
        if chunk is None:
            if len(data) > MAX_FIRST:
                self._forget(transport)
            return
        try:
            path = parse_path(chunk.header_text('To-Path') or '')
            if len(path) != 1:
                raise MSRPBadRequest
            waiting = self._owner.find(path[0])
            if waiting is None:
                raise MSRPNoSuchSessionError
        except (ParsingError, MSRPTransactionError) as error:
            self._refuse(transport, chunk, error.code if isinstance(error, MSRPTransactionError) else 400)
            return
        if callable(waiting):
            timer = self._strangers.pop(transport)
            timer.cancel()
            transport.on_lost = None
            waiting(transport)
        else:
            # We do not know yet to whom it has to belong.
            transport.pause_reading()

            def again() -> None:
                transport.resume_reading()
                self._look(transport, data)
            self._owner.later(path[0], again)

    def _refuse(self, transport: MSRPTransport, chunk: Any, code: int) -> None:
        self._logger.warning('a connection for an unknown session: %s', code)
        try:
            answer = encode_response(chunk, code)
        except ParsingError:
            answer = None
        if answer is not None and transport.transport is not None:
            transport.transport.write(answer)
        timer = self._strangers.pop(transport)
        timer.cancel()
        transport.hold(lambda data: None)
        transport.loseConnection(wait=False)

    def stop(self) -> Deferred[Any]:
        """Close the port, and the connections of strangers."""
        for transport in list(self._strangers):
            self._forget(transport)
        port, self.port = self.port, None
        result = None if port is None else port.stopListening()
        return result if isinstance(result, Deferred) else succeed(None)


class _Expected:
    """A session somebody waits for."""

    def __init__(self, uri: URI) -> None:
        self.uri = uri
        self.path: list[URI] | None = None
        self.result: Deferred[MSRPTransport] = Deferred()
        self.later: list[Callable[[], object]] = []


class MSRPServer:
    """One port for many sessions: which one a connection is for, its first request says.

    Args:
        logger: for what concerns no session.
    """

    def __init__(self, logger: Logger | None = None, *, use_sessmatch: bool = False, chunk_size: int = CHUNK_SIZE, timeout: float = TIMEOUT,
                 reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.logger = logger or NullLogger()
        self.use_sessmatch = use_sessmatch
        self.chunk_size = chunk_size
        self.timeout = timeout
        self.accept: Accept | None = None
        self._ports: dict[tuple[bool, str, int], _Listener] = {}
        self._expected: dict[str, _Expected] = {}

    def any_uri(self) -> URI:
        """For a connection of which nobody knows yet for which session it is."""
        return URI('127.0.0.1', False, session_id='none')

    def getHost(self) -> Any:
        """The address of the first port, None without one."""
        return next((listener.port.getHost() for listener in self._ports.values()), None)

    def find(self, uri: URI) -> Any:
        """What to do with a connection: None if it is for nobody, a function to give it to, or True: ask later."""
        expected = self._expected.get(uri.session_id)
        if expected is None or (not self.use_sessmatch and uri != expected.uri):
            return None
        return True if expected.path is None else lambda transport: self._bind(expected, transport)

    def later(self, uri: URI, function: Callable[[], object]) -> None:
        """Call a function when it is known who a session is with."""
        self._expected[uri.session_id].later.append(function)

    def _bind(self, expected: _Expected, transport: MSRPTransport) -> None:
        assert expected.path is not None
        endpoint = transport.endpoint
        endpoint.local_uri = transport.local_uri = expected.uri
        endpoint.sender.from_path = str(expected.uri)
        endpoint.sender.chunk_size = chunk_size_for(self.chunk_size, expected.path)
        endpoint.sessmatch = self.use_sessmatch
        transport.accept = self.accept

        def bound(ignored: None) -> None:
            if self._expected.pop(expected.uri.session_id, None) is None:
                transport.abort()       # somebody was faster, or nobody waits any more
            else:
                expected.result.callback(transport)

        def refused(failure: Failure) -> None:
            self.logger.warning('a connection is not for its session: %s', failure.value)
            transport.loseConnection()
        transport.accept_binding(expected.path).addCallbacks(bound, refused)
        transport.release()

    @inlineCallbacks
    def _prepare(self, uri: URI) -> Any:
        key = uri.use_tls, uri.host, uri.port
        listener = self._ports.get(key) if uri.port else None
        if listener is None:
            listener = _Listener(self, self._reactor, self.logger, self.timeout)
            port = yield listener.listen(uri)
            uri = uri.copy(port=port.getHost().port)
            self._ports[uri.use_tls, uri.host, uri.port] = listener
        self._expected[uri.session_id] = _Expected(uri)
        return [uri]

    def prepare(self, local_uri: URI | None = None, logger: Logger | None = None) -> Deferred[list[URI]]:
        """Open the port of a URI if it is not open, and expect a connection for its session; the result is the path. Port 0 is any free one."""
        return self._prepare(local_uri or URI())

    def complete(self, local_uri: URI, full_remote_path: Iterable[URI]) -> Deferred[MSRPTransport]:
        """Wait for the connection of a peer.

        Fails with MSRPIncomingConnectTimeout.
        """
        expected = self._expected[local_uri.session_id]
        expected.path = list(full_remote_path)
        later, expected.later = expected.later, []
        for function in later:
            function()

        def late(failure: Any, seconds: float) -> Any:
            self.cleanup(local_uri)
            raise MSRPIncomingConnectTimeout(f'Nobody connected in {seconds:.0f} seconds')
        return expected.result.addTimeout(self.timeout, self._reactor, late)

    def cleanup(self, local_uri: URI) -> None:
        """Expect a session no longer; its port stays open."""
        self._expected.pop(local_uri.session_id, None)

    def stopListening(self) -> Deferred[Any]:
        """Close all ports."""
        listeners, self._ports = list(self._ports.values()), {}
        return DeferredList([listener.stop() for listener in listeners])

    def close(self) -> Deferred[Any]:
        """Close all ports, and expect nobody any longer."""
        self._expected.clear()
        return self.stopListening()
