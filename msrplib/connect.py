"""Making connections: direct ones, to the peer or from it, and those through relays (RFC 4976).

    connector = DirectConnector(...)            DirectAcceptor, RelayConnection
    path = yield connector.prepare()            what the peer has to know, for the session description
    transport = yield connector.complete(their_path)
    ... or connector.cleanup()

A connector is used once. All methods that take time return a Deferred and have a time limit; whatever goes wrong, nothing stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from msrplib.chunking import CHUNK_SIZE
from msrplib.digest import choose_challenge, process_www_authenticate
from msrplib.errors import (
    MSRPAuthTimeout,
    MSRPBadRequest,
    MSRPBindSessionTimeout,
    MSRPConnectTimeout,
    MSRPIncomingConnectTimeout,
    MSRPNoSuchSessionError,
    MSRPRelayAuthError,
    MSRPRelayConnectTimeout,
    MSRPSessionError,
    MSRPTransactionError,
    ParsingError,
)
from msrplib.events import RequestAnswered
from msrplib.framing import encode_response
from msrplib.headers import AuthorizationHeader, ExpiresHeader, MSRPHeader, parse_challenges
from msrplib.parser import Begin, Failed, Parser, Whole
from msrplib.reassembly import Accept, IncomingMessage, Sink
from msrplib.tls import X509Credentials, client_creator, server_context
from msrplib.trafficlog import Logger, NullLogger
from msrplib.transport import MSRPTransport
from msrplib.uri import DEFAULT_PORT, URI, ConnectInfo, local_address, parse_path

__all__ = ['ConnectBase', 'DirectAcceptor', 'DirectConnector', 'MSRPRelaySettings', 'MSRPServer', 'RELAY_CHUNK_SIZE', 'RelayConnection', 'TIMEOUT',
           'chunk_size_for', 'lookup_relay']

TIMEOUT = 30.0              # seconds for each step
RELAY_CHUNK_SIZE = 10_000   # bytes of the body of a chunk that relays are known to pass on
RELAY_EXPIRES = 1800        # seconds asked of a relay
MIN_RENEWAL = 1.0           # seconds before the end after which we do not ask again
MAX_STRANGERS = 16          # connections at once of which nobody knows yet for whom they are
MAX_FIRST = 65536           # bytes of them that are kept


def _connect(reactor: Any, uri: ConnectInfo, name: str, protocol: MSRPTransport, timeout: float) -> Deferred[MSRPTransport]:
    """Connect to a URI.

    Args:
        name: whose certificate it has to be.
    """
    endpoint: Any = HostnameEndpoint(reactor, uri.host, uri.port or DEFAULT_PORT, timeout=timeout)
    if uri.use_tls:
        endpoint = wrapClientTLS(client_creator(name, uri.credentials), endpoint)
    connected: Deferred[MSRPTransport] = connectProtocol(endpoint, protocol)    # type: ignore[no-untyped-call]
    return connected


def chunk_size_for(chunk_size: int, path: Sequence[URI]) -> int:
    """The size of chunks that goes over a path to the peer: there are relays on it if it has several URIs."""
    return chunk_size if len(path) == 1 else min(chunk_size, RELAY_CHUNK_SIZE)


class ConnectBase:
    """What all ways to connect have in common.

    Args:
        logger: see `msrplib.trafficlog`.
        use_sessmatch: compare only session ids (RFC 6714).
        chunk_size: bytes in the body of a chunk; fewer when the peer is behind a relay.
        timeout: seconds for each step.
    Attributes:
        local_uri: ours, once prepared.
        remote_uri: of the next hop, once known.
        remote_endpoint: the same as 'tls:host:port'.
        transport: the connection, once there is one.
        on_failed: called with an error when the way to us is no longer there although the connection is: a relay does not keep us.
        accept: asked about each incoming message, see `msrplib.reassembly.Reassembler`. The first may come with what binds the session, before
            anybody can set it for the connection; it may still be set there, too.
    """

    def __init__(self, logger: Logger | None = None, use_sessmatch: bool = False, *, chunk_size: int = CHUNK_SIZE, timeout: float = TIMEOUT,
                 reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.logger = logger or NullLogger()
        self.use_sessmatch = use_sessmatch
        self.chunk_size = chunk_size
        self.timeout = timeout
        self.on_failed: Callable[[Exception], object] | None = None
        self.local_uri: URI | None = None
        self.remote_uri: URI | None = None
        self.transport: MSRPTransport | None = None
        self.accept: Accept | None = None
        self._pending: Deferred[Any] | None = None
        self._given_up = False

    @property
    def remote_endpoint(self) -> str | None:
        """Where we connect to, 'tls:host:port', None as long as it is not known."""
        uri = self.remote_uri
        return None if uri is None else f'{"tls" if uri.use_tls else uri.transport}:{uri.host}:{uri.port}'

    def getHost(self) -> Any:
        """Our address, None without a connection."""
        return None if self.transport is None else self.transport.getHost()

    def _make(self, uri: URI) -> MSRPTransport:
        return MSRPTransport(uri, self.logger, self.use_sessmatch, accept=self._asked, chunk_size=self.chunk_size, reactor=self._reactor, timeout=self.timeout)

    def _asked(self, message: IncomingMessage) -> Sink | None:
        return None if self.accept is None else self.accept(message)

    def _begin(self, deferred: Deferred[Any]) -> Deferred[Any]:
        """Remember what is going on, for cleanup()."""
        self._pending = deferred

        def done(result: Any) -> Any:
            self._pending = None
            if isinstance(result, Failure):
                self._drop()
                if self._given_up:
                    raise CancelledError    # whatever Twisted made of it
            return result
        return deferred.addBoth(done)

    def _limited(self, deferred: Deferred[Any], error: type[MSRPTransactionError]) -> Deferred[Any]:
        """Give something a time limit."""
        def late(failure: Any, seconds: float) -> Any:
            if isinstance(failure, Failure):
                raise error(f'Nothing happened in {seconds:.0f} seconds')
            return failure
        return deferred.addTimeout(self.timeout, self._reactor, late)

    def _drop(self) -> None:
        """Close whatever is open."""
        if self.transport is not None:
            self.transport.abort()

    def prepare(self, local_uri: URI | None = None) -> Deferred[list[URI]]:
        """Get ready; the result is our path, to be told to the peer."""
        raise NotImplementedError

    def complete(self, full_remote_path: Iterable[URI]) -> Deferred[MSRPTransport]:
        """Connect, with the peer's path; the result is the connection, bound to the session."""
        raise NotImplementedError

    def cleanup(self, wait: bool = True) -> Deferred[None]:
        """Give it up, in any state. What is going on fails with CancelledError. The result: all is closed."""
        pending, self._pending = self._pending, None
        self._given_up = True
        if pending is not None:
            pending.cancel()
        done: Deferred[None] = Deferred()
        transport = self.transport
        if transport is None or transport.lost is not None:
            self._drop()
            done.callback(None)
            return done
        closed = transport.loseConnection(wait=False)
        self._drop()
        return closed if wait else _now(None)


def _now(value: Any) -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    deferred.callback(value)
    return deferred


class DirectConnector(ConnectBase):
    """Connects to the first URI of the peer's path: the active side of RFC 6135.

    complete() fails with MSRPConnectTimeout, MSRPBindSessionTimeout, what Twisted has for connections that fail, MSRPTransactionError from the peer.
    """

    def prepare(self, local_uri: URI | None = None) -> Deferred[list[URI]]:
        """Nothing to be done: nobody connects to us. Port 0 becomes 2855 in the path, as some number has to be there."""
        uri = local_uri or URI()
        self.local_uri = uri if uri.port else uri.copy(port=DEFAULT_PORT)
        return _now([self.local_uri])

    def complete(self, full_remote_path: Iterable[URI]) -> Deferred[MSRPTransport]:
        """Connect, and bind the session to the connection."""
        return self._begin(self._complete(list(full_remote_path)))

    @inlineCallbacks
    def _complete(self, path: list[URI]) -> Any:
        if self.local_uri is None:
            raise MSRPSessionError('prepare() comes first')
        self.remote_uri = first = path[0].copy(credentials=self.local_uri.credentials)
        transport = self._make(self.local_uri)
        transport.endpoint.sender.chunk_size = chunk_size_for(self.chunk_size, path)
        yield self._limited(_connect(self._reactor, first, first.host, transport, self.timeout), MSRPConnectTimeout)
        self.transport = transport
        yield self._limited(transport.bind(path), MSRPBindSessionTimeout)
        return transport


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
        return result if isinstance(result, Deferred) else _now(None)


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


class DirectAcceptor(ConnectBase):
    """Waits for the peer to connect: the passive side of RFC 6135. Connections for other sessions are refused, and do not end the waiting.

    prepare() fails with TLSError or what Twisted has for ports that are taken; complete() with MSRPIncomingConnectTimeout.
    """

    _server: MSRPServer | None = None

    def prepare(self, local_uri: URI | None = None) -> Deferred[list[URI]]:
        """Open a port: that of the URI, or any if that is 0."""
        self._server = MSRPServer(self.logger, use_sessmatch=self.use_sessmatch, chunk_size=self.chunk_size, timeout=self.timeout, reactor=self._reactor)

        def prepared(path: list[URI]) -> list[URI]:
            self.local_uri = path[0]
            return path
        return self._begin(self._server.prepare(local_uri or URI(port=0)).addCallback(prepared))

    def complete(self, full_remote_path: Iterable[URI]) -> Deferred[MSRPTransport]:
        """Wait for the peer."""
        if self._server is None or self.local_uri is None:
            return _failed(MSRPSessionError('prepare() comes first'))

        self._server.accept = self._asked

        def connected(transport: MSRPTransport) -> MSRPTransport:
            self.transport = transport
            self.remote_uri = transport.next_host()
            self._stop()
            return transport
        return self._begin(self._server.complete(self.local_uri, full_remote_path).addCallback(connected))

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _drop(self) -> None:
        super()._drop()
        self._stop()

    def getHost(self) -> Any:
        """Our address: of the connection, or of the port while we wait."""
        if self.transport is not None or self._server is None:
            return super().getHost()
        return next((listener.port.getHost() for listener in self._server._ports.values()), None)


def _failed(error: Exception) -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    deferred.errback(error)
    return deferred


class MSRPRelaySettings(ConnectInfo):
    """A relay, and who we are there.

    Args:
        domain: of the account; also where the relay is looked up (SRV) when no host is given.
        host, port, use_tls, credentials: as for a URI.
    """

    def __init__(self, domain: str, username: str, password: str, host: str | None = None, port: int | None = None, use_tls: bool | None = None,
                 credentials: X509Credentials | None = None) -> None:
        super().__init__(domain if host is None else host, use_tls, port, credentials=credentials)
        self.domain = domain
        self.username = username
        self.password = password
        self.explicit = host is not None

    @property
    def uri(self) -> URI:
        """Its URI, to which AUTH is sent: that of the domain."""
        return URI(self.domain, self.use_tls, port=self.port, session_id='', credentials=self.credentials)


class _Moved(MSRPRelayAuthError):
    """The relay has given us other URIs."""


def lookup_relay(relay: MSRPRelaySettings) -> Deferred[list[tuple[str, int]]]:
    """Where the relay of a domain is (RFC 4976 section 5.1): SRV records by priority, else the domain itself."""
    from twisted.names import client, dns

    def found(answers: Any) -> list[tuple[str, int]]:
        records = sorted((record.payload for record in answers[0] if record.type == dns.SRV), key=lambda item: (item.priority, -item.weight))
        return [(str(record.target), record.port) for record in records if str(record.target)] or [(relay.domain, DEFAULT_PORT)]
    resolver: Any = client
    lookup = resolver.lookupService(f'_{relay.scheme}._tcp.{relay.domain}')
    return lookup.addCallbacks(found, lambda failure: [(relay.domain, DEFAULT_PORT)])   # type: ignore[no-any-return]


class RelayConnection(ConnectBase):
    """Goes through our relay, or through several: the peer finds us there, and messages of ours leave there.

    prepare() connects to the relay and shows who we are, for as long as the connection lasts; complete() tells the peer through the relay which session
    this is (`mode` 'active'), or waits for the peer to do that ('passive').

    Args:
        relay: settings, or a list of them: the first is connected to, each further one is reached through those before it.
        mode: 'active' or 'passive'.
        expires: how long the relay shall keep the session, in seconds; it is renewed in time.
        lookup: finds the hosts of a relay for which none is given.
    Raises:
        ValueError: another mode.
    prepare() fails with MSRPRelayConnectTimeout, MSRPAuthTimeout, MSRPRelayAuthError, and what Twisted has for connections that fail; complete() with
    MSRPBindSessionTimeout and MSRPTransactionError.
    """

    def __init__(self, relay: MSRPRelaySettings | Sequence[MSRPRelaySettings], mode: str, logger: Logger | None = None, use_sessmatch: bool = False, *,
                 chunk_size: int = RELAY_CHUNK_SIZE, timeout: float = TIMEOUT, reactor: Any = None, expires: int = RELAY_EXPIRES,
                 lookup: Callable[[MSRPRelaySettings], Deferred[list[tuple[str, int]]]] = lookup_relay) -> None:
        if mode not in ('active', 'passive'):
            raise ValueError(f'mode is active or passive, not {mode!r}')
        super().__init__(logger, use_sessmatch, chunk_size=chunk_size, timeout=timeout, reactor=reactor)
        self.relays = [relay] if isinstance(relay, MSRPRelaySettings) else list(relay)
        self.mode = mode
        self.expires = expires
        self._lookup = lookup
        self._renewal: Any = None
        self._expires_at = 0.0          # when the last relay forgets us

    def prepare(self, local_uri: URI | None = None) -> Deferred[list[URI]]:
        """Connect to the relays and authenticate; the result is the path through them."""
        first = self.relays[0]
        uri = local_uri or URI(local_address(), first.use_tls)
        self.local_uri = uri if uri.port else uri.copy(port=DEFAULT_PORT)
        return self._begin(self._prepare(first))

    @inlineCallbacks
    def _prepare(self, first: MSRPRelaySettings) -> Any:
        assert self.local_uri is not None
        if first.explicit:
            places = [(first.host, first.port)]
        else:
            places = yield self._limited(self._lookup(first), MSRPRelayConnectTimeout)
        error: Exception = MSRPRelayConnectTimeout()
        for host, port in places:
            self.remote_uri = URI(host, first.use_tls, port=port, session_id='', credentials=first.credentials)
            transport = self._make(self.local_uri)
            try:
                yield self._limited(_connect(self._reactor, self.remote_uri, host, transport, self.timeout), MSRPRelayConnectTimeout)
            except CancelledError:
                raise
            except Exception as failed:     # any reason is one to try the next
                error = failed
                continue
            break
        else:
            raise error
        self.transport = transport
        used: list[URI] = []
        for relay in self.relays:
            used = yield self._limited(self._authenticate(transport, relay, used), MSRPAuthTimeout)
        transport.set_local_path(used)
        return transport.full_local_path

    @inlineCallbacks
    def _authenticate(self, transport: MSRPTransport, relay: MSRPRelaySettings, used: list[URI]) -> Any:
        """AUTH at a relay, through those before it; returns the path with it."""
        to_path = ' '.join(map(str, [*used, relay.uri]))
        expires = self.expires
        authorization: list[MSRPHeader] = []
        proof = ''
        changed = challenged = False
        while True:
            answer: RequestAnswered = yield transport.request('AUTH', [*authorization, ExpiresHeader(expires)], to_path)
            response = answer.response
            if response is None:
                raise MSRPAuthTimeout(answer.comment)
            if answer.code == 200:
                break
            if answer.code == 401 and not challenged:
                challenge = choose_challenge(parse_challenges(response.header_text('WWW-Authenticate') or ''))
                if challenge is None:
                    raise MSRPRelayAuthError('The Challenge Cannot Be Answered', 401)
                values, proof = process_www_authenticate(relay.username, relay.password, 'AUTH', str(relay.uri), **dict(challenge))
                # RFC 4976 leaves the uri out, as it is that of the request; there are relays that do not find it there.
                authorization = [AuthorizationHeader({**values, 'uri': str(relay.uri)})]
                challenged = True
            elif answer.code == 423 and not changed:
                # It wants to keep us for a shorter or a longer time.
                limits = [response.headers[name].decoded for name in ('Min-Expires', 'Max-Expires') if name in response.headers]
                if not limits:
                    raise MSRPRelayAuthError(answer.comment, 423)
                expires, changed, challenged, authorization = limits[0], True, False, []
            else:
                raise MSRPRelayAuthError(answer.comment, answer.code)
        shown = response.headers['Authentication-Info'].decoded.get('rspauth') if 'Authentication-Info' in response.headers else None
        if shown is not None and shown.lower() != proof:
            raise MSRPRelayAuthError('The Relay Does Not Know The Password', 200)
        if 'Use-Path' not in response.headers:
            raise MSRPRelayAuthError('No Use-Path', 200)
        path = list(response.headers['Use-Path'].decoded)
        granted = response.headers['Expires'].decoded if 'Expires' in response.headers else expires
        if relay is self.relays[-1] and granted:
            if self._renewal is not None and self._renewal.active():
                self._renewal.cancel()
            self._expires_at = self._reactor.seconds() + granted
            self._renewal = self._reactor.callLater(granted * 0.8, self._renew)
        return path if len(path) > len(used) else [*used, *path]

    def _renew(self) -> None:
        """Authenticate again before the relay forgets us; if that fails, until it has."""
        self._renewal = None
        transport = self.transport
        if transport is None or transport.lost is not None:
            return

        @inlineCallbacks
        def again() -> Any:
            used: list[URI] = []
            for relay in self.relays:
                used = yield self._limited(self._authenticate(transport, relay, used), MSRPAuthTimeout)
            if used != transport.local_path:
                # It should keep them (RFC 4976 section 5.1). The peer knows the old ones, and would not reach us any more.
                raise _Moved('The Relay Has Given Other URIs', 200)
        again().addErrback(self._not_renewed)

    def _not_renewed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, Exception) or self.transport is None or self.transport.lost is not None:
            return
        left = self._expires_at - self._reactor.seconds()
        if not isinstance(error, _Moved) and left > MIN_RENEWAL:
            self.logger.warning('the relay does not keep us yet: %s', error)
            self._renewal = self._reactor.callLater(left / 2, self._renew)
            return
        self.logger.error('the relay does not keep us: %s', error)
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
        if self.on_failed is not None:
            self.on_failed(error)

    def complete(self, full_remote_path: Iterable[URI]) -> Deferred[MSRPTransport]:
        """Tell the peer which session this is, or wait for it to tell us."""
        transport = self.transport
        if transport is None:
            return _failed(MSRPSessionError('prepare() comes first'))
        if self.mode == 'active':
            bound = self._limited(transport.bind(full_remote_path), MSRPBindSessionTimeout)
        else:
            bound = self._limited(transport.accept_binding(full_remote_path), MSRPBindSessionTimeout)
        return self._begin(bound.addCallback(lambda ignored: transport))

    def _drop(self) -> None:
        super()._drop()
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()

