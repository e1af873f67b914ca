"""Connections through relays (RFC 4976): where they are, who we are there, and for how long they keep us."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks
from twisted.python.failure import Failure

from msrplib.connector import RELAY_CHUNK_SIZE, TIMEOUT, ConnectBase, open_connection
from msrplib.digest import choose_challenge, process_www_authenticate
from msrplib.errors import MSRPAuthTimeout, MSRPBindSessionTimeout, MSRPRelayAuthError, MSRPRelayConnectTimeout, MSRPSessionError
from msrplib.events import RequestAnswered
from msrplib.headers import AuthorizationHeader, ExpiresHeader, MSRPHeader, parse_challenges
from msrplib.tls import X509Credentials
from msrplib.trafficlog import Logger
from msrplib.transport import MSRPTransport
from msrplib.uri import DEFAULT_PORT, URI, ConnectInfo, local_address

__all__ = ['MSRPRelaySettings', 'RelayConnection', 'lookup_relay']

RELAY_EXPIRES = 1800        # seconds asked of a relay
MIN_RENEWAL = 1.0           # seconds before the end after which we do not ask again


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
                yield self._limited(open_connection(self._reactor, self.remote_uri, host, transport, self.timeout), MSRPRelayConnectTimeout)
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
        transport.hold_requests()       # the peer knows the way before we know the peer
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
            return fail(MSRPSessionError('prepare() comes first'))
        if self.mode == 'active':
            bound = self._limited(transport.bind(full_remote_path), MSRPBindSessionTimeout)
        else:
            bound = self._limited(transport.accept_binding(full_remote_path), MSRPBindSessionTimeout)
        transport.release()
        return self._begin(bound.addCallback(lambda ignored: transport))

    def _drop(self) -> None:
        super()._drop()
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
