"""ICE for RTP streams: which servers to gather candidates with, and when the result has to be offered anew. RFC 8445, RFC 8839."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sipsimple.core import SDPAttribute
from sipsimple.core.helpers import is_address

__all__ = ['Servers', 'TURNServer', 'begins_anew', 'find_servers', 'leave', 'offer_has_ice', 'reoffer_needed']

log = logging.getLogger('sipsimple.streams')

PORTS = {'stun': 3478, 'turn': 3478, 'turns': 5349}

Server = tuple[str, int]


@dataclass(frozen=True)
class TURNServer:
    """A relay, RFC 8656.

    Attributes:
        transport: how it is reached: 'udp', 'tcp' or 'tls'.
        name: of the settings; over TLS its certificate must be for that (RFC 5928 section 5).
    """

    address: str
    port: int
    transport: str
    username: str | None
    password: str | None = field(repr=False)
    name: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `RTPTransport`."""
        return {'turn_address': self.address, 'turn_port': self.port, 'turn_transport': self.transport, 'turn_username': self.username,
                'turn_password': self.password, 'turn_tls_name': self.name}


@dataclass(frozen=True)
class Servers:
    """Where to gather candidates: the STUN servers in the order in which to try them, and the relay."""

    stun: list[Server]
    turn: TURNServer | None = None


def offer_has_ice(remote_sdp: Any, index: int) -> bool:
    """Return whether an offer lets us use ICE: attributes for the session or the media line, and candidates of use. The core judges alike."""
    media = remote_sdp.media[index]
    return (remote_sdp.has_ice_attributes or media.has_ice_attributes) and any(_is_usable(value) for value in media.attributes.getall('candidate'))


def _is_usable(candidate: str) -> bool:
    """Whether a candidate is one for RTP over UDP, and with an address: those with names are to be ignored (RFC 8839 §5.1)."""
    words = candidate.split()
    return len(words) > 5 and words[1] == '1' and words[2].upper() == 'UDP' and is_address(words[4])


def begins_anew(before: Any, after: Any, index: int) -> bool:
    """Return whether ICE begins anew with the second description of one side: it has other credentials, RFC 8839 §4.4.1.1.1."""
    return index < len(after.media) and offer_has_ice(after, index) and _credentials(before, index) != _credentials(after, index)


def _credentials(sdp: Any, index: int) -> list[str | None]:
    return [sdp.media[index].attributes.getfirst(name) or sdp.attributes.getfirst(name) for name in ('ice-ufrag', 'ice-pwd')]


def find_servers(account: Any, found: Callable[[Servers], None]) -> None:
    """Find the servers for an account and hand them to `found`. Reactor thread.

    STUN: the servers of the account's settings; without any, its TURN server, which is one as well (RFC 8656 §3); without that, those of its domain
    (SRV, RFC 8489 §8); the Bonjour account has none. TURN: the server of the settings.
    """
    nat = account.nat_traversal
    stun: list[tuple[str, int | None]] = [(str(server.host), server.port) for server in nat.stun_server_list or ()]
    turn = nat.turn_server
    if not stun and turn is None:
        domain = getattr(getattr(account, 'id', None), 'domain', None)
        if domain is not None and domain != 'local':
            stun = [(str(domain), None)]
    hosts = [host for host, _ in stun] + ([str(turn.host)] if turn is not None else [])
    if all(is_address(host) for host in hosts) and all(port is not None for _, port in stun):
        found(_servers(account, [(host, port or PORTS['stun']) for host, port in stun], (str(turn.host), turn.port) if turn is not None else None))
    else:
        from sipsimple.threading.green import call_in_green_thread
        call_in_green_thread(_look_up_all, account, stun, turn, found)


def _servers(account: Any, stun: list[Server], relay: Server | None) -> Servers:
    if relay is None:
        return Servers(stun)
    nat = account.nat_traversal
    turn = TURNServer(*relay, nat.turn_server.transport, nat.turn_username, nat.turn_password, str(nat.turn_server.host))
    if not stun and turn.transport == 'udp':
        stun = [relay]
    return Servers(stun, turn)


def _look_up_all(account: Any, stun: list[tuple[str, int | None]], turn: Any, found: Callable[[Servers], None]) -> None:
    servers: list[Server] = []
    for host, port in stun:
        servers += _look_up('stun', host, port)
    relays: list[Server] = []
    if turn is not None:
        relays = _look_up('turns' if turn.transport == 'tls' else 'turn', str(turn.host), turn.port)
    found(_servers(account, servers, relays[0] if relays else None))


def _look_up(service: str, host: str, port: int | None) -> list[Server]:
    """The servers behind a name. A port of its own means that very host, the usual one may as well be that of a domain (RFC 8489 §8, RFC 5928 §3)."""
    if port is not None and is_address(host):
        return [(host, port)]
    from sipsimple.core import SIPURI
    from sipsimple.lookup import DNSLookup
    try:
        if port is None or port == PORTS[service]:
            return list(DNSLookup().lookup_service(SIPURI(host=host), service).wait())
        # A URI with a port is a host to SIP as well, and so its address is looked up.
        return [(route.address, port) for route in DNSLookup().lookup_sip_proxy(SIPURI(host=host, port=port), ['udp']).wait()]
    except Exception as error:
        log.info('no %s server for %s: %s', service.upper(), host, error)
        return []


ATTRIBUTES = frozenset(('candidate', 'remote-candidates', 'ice-ufrag', 'ice-pwd', 'ice-options', 'ice-mismatch', 'ice-lite', 'rtcp'))


def leave(media: Any) -> None:
    """Make a media line of ours one without ICE: with the ports of our own sockets, which are those of the host candidates (RFC 8839 §5.1)."""
    ports: dict[str, int] = {}
    for attribute in media.attributes:
        words = attribute.value.split() if attribute.name == 'candidate' else []
        if len(words) > 7 and words[7] == 'host':
            ports.setdefault(words[1], int(words[5]))
    media.attributes = [attribute for attribute in media.attributes if attribute.name not in ATTRIBUTES]
    media.connection = None
    if '1' in ports:
        media.port = ports['1']
    if '2' in ports:
        media.attributes.append(SDPAttribute('rtcp', str(ports['2'])))


def reoffer_needed(transport: Any, local_sdp: Any, remote_sdp: Any, index: int) -> bool:
    """Return whether the addresses ICE selected differ from those of the descriptions: then the offerer sends an updated offer."""
    if not transport.ice_active:
        return False
    pairs = ((transport.local_rtp_candidate, local_sdp), (transport.remote_rtp_candidate, remote_sdp))
    for candidate, sdp in pairs:
        if candidate is None:
            continue
        media = sdp.media[index]
        connection = media.connection or sdp.connection
        if (candidate.address, candidate.port) != (connection.address if connection is not None else None, media.port):
            return True
    return False
