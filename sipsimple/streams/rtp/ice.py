"""ICE for RTP streams: which STUN servers to gather candidates with, and when the result has to be offered anew. RFC 8445, RFC 8839."""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

__all__ = ['find_stun_servers', 'offer_has_ice', 'reoffer_needed']

log = logging.getLogger('sipsimple.streams')

STUN_PORT = 3478

Server = tuple[str, int]


def offer_has_ice(remote_sdp: Any, index: int) -> bool:
    """Return whether an offer lets us use ICE: attributes for the session or the media line, and candidates."""
    media = remote_sdp.media[index]
    return bool((remote_sdp.has_ice_attributes or media.has_ice_attributes) and media.has_ice_candidates)


def find_stun_servers(account: Any, found: Callable[[list[Server]], None]) -> None:
    """Find the STUN servers for an account and hand them to `found`, in the order in which to try them. Reactor thread.

    The servers of the account's settings; without any, those of its domain (SRV, RFC 8489 §8); the Bonjour account has none.
    """
    servers: list[tuple[str, int | None]] = [(str(server.host), server.port) for server in account.nat_traversal.stun_server_list or ()]
    if not servers:
        domain = getattr(getattr(account, 'id', None), 'domain', None)
        if domain is not None and domain != 'local':
            servers = [(str(domain), None)]
    if all(port is not None and _is_address(host) for host, port in servers):
        found([(host, port or STUN_PORT) for host, port in servers])
    else:
        from sipsimple.threading.green import call_in_green_thread
        call_in_green_thread(_look_up, servers, found)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(names: list[tuple[str, int | None]], found: Callable[[list[Server]], None]) -> None:
    from sipsimple.core import SIPURI
    from sipsimple.lookup import DNSLookup
    servers: list[Server] = []
    for host, port in names:
        try:
            servers += [(address, port) for address, port in DNSLookup().lookup_service(SIPURI(host=host, port=port), 'stun').wait()]
        except Exception as error:
            log.info('no STUN server for %s: %s', host, error)
    found(servers)


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
