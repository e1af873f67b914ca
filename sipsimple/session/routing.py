"""The way of a session's request to its target: by the proxy that the account wants, or straight to where DNS says that the target is (RFC 3263)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.account import routes
from sipsimple.session.establish import settings
from sipsimple.session.inputs import Event, Kind
from sipsimple.threading.green import run_in_green_thread

if TYPE_CHECKING:
    from sipsimple.core import Route, SIPURI
    from sipsimple.session.base import SessionBase

__all__ = ['find_routes', 'routes_to']


def find_routes(account: Any, target: SIPURI) -> list[Route]:
    """Return the routes to the target, best first. Green threads only.

    Raises:
        DNSLookupError: there is none.
    """
    return routes.find_routes(account, target, settings().sip.transport_list)


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
            found: list[Route] = event.data
            return found


@run_in_green_thread
def _look_up(session: SessionBase, target: SIPURI, question: object) -> None:
    try:
        answer: Any = find_routes(session.account, target)
    except Exception as error:
        answer = error
    session.scheduler.call(session._inbox.put, Event(Kind.ROUTES, question, answer))
