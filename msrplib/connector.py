"""What all ways to make a connection have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.python.failure import Failure

from msrplib.chunking import CHUNK_SIZE
from msrplib.errors import MSRPTransactionError
from msrplib.reassembly import Accept, IncomingMessage, Sink
from msrplib.tls import client_creator
from msrplib.trafficlog import Logger, NullLogger
from msrplib.transport import MSRPTransport
from msrplib.uri import DEFAULT_PORT, URI, ConnectInfo

__all__ = ['ConnectBase', 'RELAY_CHUNK_SIZE', 'TIMEOUT', 'chunk_size_for', 'open_connection']

TIMEOUT = 30.0              # seconds for each step
RELAY_CHUNK_SIZE = 10_000   # bytes of the body of a chunk that relays are known to pass on


def open_connection(reactor: Any, uri: ConnectInfo, name: str, protocol: MSRPTransport, timeout: float) -> Deferred[MSRPTransport]:
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
        return closed if wait else succeed(None)
