"""The way of a session's request to its target: by the proxy that the account wants, or straight to where DNS says that the target is (RFC 3263)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPURI
from sipsimple.lookup import DNSLookup
from sipsimple.session.establish import settings
from sipsimple.session.inputs import Event, Kind
from sipsimple.threading.green import run_in_green_thread

if TYPE_CHECKING:
    from sipsimple.core import Route
    from sipsimple.session.base import SessionBase

__all__ = ['find_routes', 'next_hop', 'routes_to']


def next_hop(account: Any, target: SIPURI) -> SIPURI:
    """Return what to look up to reach the target."""
    sip, transports = account.sip, settings().sip.transport_list
    proxy = getattr(sip, 'outbound_proxy', None)
    if proxy is not None and proxy.transport in transports:
        return SIPURI(host=proxy.host, port=proxy.port, parameters={'transport': proxy.transport})
    if getattr(sip, 'always_use_my_proxy', False):
        return SIPURI(host=account.id.domain)
    return target


def find_routes(account: Any, target: SIPURI) -> list[Route]:
    """Return the routes to the target, best first. Green threads only.

    Raises:
        DNSLookupError: there is none.
    """
    lookup = DNSLookup().lookup_sip_proxy(next_hop(account, target), list(settings().sip.transport_list), tls_name=getattr(account.sip, 'tls_name', None))
    routes: list[Route] = lookup.wait()
    return routes


async def routes_to(session: SessionBase, target: SIPURI) -> list[Route]:
    """Return the routes to the target, in a procedure.

    Raises:
        DNSLookupError: there is none.
        EndRequested: the application has ended the session meanwhile.
    """
    question = object()
    _look_up(session, target, question)
    while True:
        event = await session._wait()
        if event.kind is Kind.ROUTES and event.source is question:
            if isinstance(event.data, Exception):
                raise event.data
            routes: list[Route] = event.data
            return routes


@run_in_green_thread
def _look_up(session: SessionBase, target: SIPURI, question: object) -> None:
    try:
        answer: Any = find_routes(session.account, target)
    except Exception as error:
        answer = error
    session.scheduler.call(session._inbox.put, Event(Kind.ROUTES, question, answer))
