"""The way of a request of an account to its target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sipsimple.core import ContactHeader, FromHeader, NoGRUU, PublicGRUUIfAvailable, Route, RouteHeader, SIPURI
from sipsimple.lookup import DNSLookup

__all__ = ['OwnHeaders', 'find_routes', 'next_hop', 'own_headers', 'remote_end', 'route_header', 'uses_gruu']


class OwnHeaders(NamedTuple):
    """What a request says of us, and its next hop."""

    sender: FromHeader
    contact: ContactHeader
    route: RouteHeader


def uses_gruu(account: Any) -> bool:
    """Return whether the account wants its GRUU, if it has one, as the contact of dialogs."""
    return bool(getattr(getattr(account, 'sip', None), 'use_gruu', False))


def next_hop(account: Any, target: SIPURI, transports: Iterable[str]) -> SIPURI:
    """Return what to look up to reach a target: the account's proxy, its domain, or the target itself."""
    sip = account.sip
    proxy = getattr(sip, 'outbound_proxy', None)
    if proxy is not None and proxy.transport in transports:
        return SIPURI(host=proxy.host, port=proxy.port, parameters={'transport': proxy.transport})
    if getattr(sip, 'always_use_my_proxy', False):
        return SIPURI(host=account.id.domain)
    return target


def find_routes(account: Any, target: SIPURI, transports: Iterable[str]) -> list[Route]:
    """Return the routes to a target, best first. Thread: a green thread.

    Raises:
        DNSLookupError: there are none.
    """
    names = list(transports)
    lookup = DNSLookup().lookup_sip_proxy(next_hop(account, target, names), names, tls_name=getattr(account.sip, 'tls_name', None))
    routes: list[Route] = lookup.wait()
    return routes


def remote_end(route: Route) -> str:
    """Return the remote address of a connection, as the engine writes it."""
    return f'[{route.address}]:{route.port}' if ':' in route.address else f'{route.address}:{route.port}'


def route_header(route: Route, contact: ContactHeader) -> RouteHeader:
    """Return the first hop of a request that begins a dialog. The proxy there looks for `ob` before it looks at the contact (RFC 5626 section 5.3.2)."""
    uri = route.uri
    if contact.uri is not None and 'ob' in contact.uri.parameters:
        uri.parameters['ob'] = None
    return RouteHeader(uri)


def own_headers(account: Any, route: Route) -> OwnHeaders:
    """Return the headers of a request that takes a route and begins a dialog.

    Raises:
        KeyError: there is no address of ours on that route, or its transport is off.
    """
    contact = ContactHeader(account.contact[PublicGRUUIfAvailable if uses_gruu(account) else NoGRUU, route])
    return OwnHeaders(FromHeader(SIPURI.new(account.uri), account.display_name), contact, route_header(route, contact))
