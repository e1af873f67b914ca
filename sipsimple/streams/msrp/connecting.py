"""Who connects to whom, and how: from the account's settings, the direction of the session, and what the peer wants (RFC 6135)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from msrplib.connect import ConnectBase, DirectAcceptor, DirectConnector, MSRPRelaySettings, RelayConnection
from msrplib.trafficlog import Logger
from sipsimple.streams.interfaces import StreamError
from sipsimple.streams.msrp.description import MSRPMedia

__all__ = ['Plan', 'lookup_relay', 'make_connector', 'make_plan', 'relay_settings', 'remote_setup']


@dataclass(frozen=True)
class Plan:
    """How a stream gets its connection.

    Attributes:
        way: 'connect', 'listen' or 'relay'.
        role: for `a=setup` in our description: 'active', 'passive' or 'actpass'.
    """

    way: str
    role: str


def make_plan(account: Any, direction: str, remote: MSRPMedia | None) -> Plan:
    """Decide how to get a connection.

    Args:
        direction: of the session's offer: 'outgoing' if it is ours.
        remote: the peer's media line, for an incoming offer.
    """
    outgoing = direction == 'outgoing'
    if not hasattr(account.msrp, 'connection_model'):       # neighbours, who see each other
        return Plan('connect', 'active') if outgoing else Plan('listen', 'passive')
    relay = str(account.msrp.connection_model) == 'relay'
    if not outgoing and remote is not None and remote_setup(remote, True) in ('actpass', 'passive'):
        # An account that wants its own connections to go through its relay has one on either side then.
        return Plan('relay' if relay and account.nat_traversal.use_msrp_relay_for_outbound else 'connect', 'active')
    if not relay:
        return Plan('listen', 'actpass' if outgoing else 'passive')
    if outgoing and not account.nat_traversal.use_msrp_relay_for_outbound:
        return Plan('connect', 'active')
    return Plan('relay', 'actpass' if outgoing else 'passive')


def remote_setup(remote: MSRPMedia, offer: bool) -> str:
    """What the peer's line says about connecting: without `a=setup`, the offerer connects (RFC 4975 section 5.4)."""
    return remote.setup or ('active' if offer else 'passive')


def make_connector(plan: Plan, relay: MSRPRelaySettings | None, logger: Logger, sessmatch: bool, passive: bool) -> ConnectBase:
    """The connector for a plan.

    Args:
        passive: for a relay, whether the peer connects.
    """
    if plan.way == 'connect':
        return DirectConnector(logger, sessmatch)
    if plan.way == 'listen':
        return DirectAcceptor(logger, sessmatch)
    assert relay is not None
    return RelayConnection(relay, 'passive' if passive else 'active', logger, sessmatch, lookup=lookup_relay)


def relay_settings(account: Any, use_tls: bool, credentials: Any) -> MSRPRelaySettings:
    """The relay of an account.

    Raises:
        StreamError: the configured one has another transport.
    """
    address = account.nat_traversal.msrp_relay
    if address is not None and (str(address.transport) == 'tls') != use_tls:
        raise StreamError(f'the MSRP relay is reached over {address.transport}, and account.msrp.transport is another one')
    username = str(account.auth.username or account.id.username)
    host, port = (None, None) if address is None else (str(address.host), int(address.port))
    return MSRPRelaySettings(str(account.id.domain), username, account.auth.password or '', host, port, use_tls, credentials)


def lookup_relay(relay: MSRPRelaySettings) -> Deferred[list[tuple[str, int]]]:
    """Where the relay of a domain is, by the SDK's own resolver."""
    from sipsimple.core import SIPURI
    from sipsimple.lookup import DNSLookup

    async def ask() -> list[tuple[str, int]]:
        return await DNSLookup().lookup_service(SIPURI(host=relay.domain), 'msrprelay')
    return Deferred.fromFuture(asyncio.ensure_future(ask()))
