"""Making connections: direct ones, to the peer or from it, and those through relays (RFC 4976).

    connector = DirectConnector(...)            DirectAcceptor, RelayConnection
    path = yield connector.prepare()            what the peer has to know, for the session description
    transport = yield connector.complete(their_path)
    ... or connector.cleanup()

A connector is used once. All methods that take time return a Deferred and have a time limit; whatever goes wrong, nothing stays open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed

from msrplib.connector import RELAY_CHUNK_SIZE, TIMEOUT, ConnectBase, chunk_size_for, open_connection
from msrplib.errors import MSRPBindSessionTimeout, MSRPConnectTimeout, MSRPSessionError
from msrplib.relay import MSRPRelaySettings, RelayConnection, lookup_relay
from msrplib.server import MSRPServer
from msrplib.transport import MSRPTransport
from msrplib.uri import DEFAULT_PORT, URI

__all__ = ['ConnectBase', 'DirectAcceptor', 'DirectConnector', 'MSRPRelaySettings', 'MSRPServer', 'RELAY_CHUNK_SIZE', 'RelayConnection', 'TIMEOUT',
           'chunk_size_for', 'lookup_relay']


class DirectConnector(ConnectBase):
    """Connects to the first URI of the peer's path: the active side of RFC 6135.

    complete() fails with MSRPConnectTimeout, MSRPBindSessionTimeout, what Twisted has for connections that fail, MSRPTransactionError from the peer.
    """

    def prepare(self, local_uri: URI | None = None) -> Deferred[list[URI]]:
        """Nothing to be done: nobody connects to us. Port 0 becomes 2855 in the path, as some number has to be there."""
        uri = local_uri or URI()
        self.local_uri = uri if uri.port else uri.copy(port=DEFAULT_PORT)
        return succeed([self.local_uri])

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
        yield self._limited(open_connection(self._reactor, first, first.host, transport, self.timeout), MSRPConnectTimeout)
        self.transport = transport
        yield self._limited(transport.bind(path), MSRPBindSessionTimeout)
        return transport


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
            return fail(MSRPSessionError('prepare() comes first'))

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
        return self._server.getHost()
