"""One module a subject of measurement; ALL has their functions by name, in the order of the table."""

from __future__ import annotations

from bench.context import Measure
from bench.measures import handoff, held, invitations, requests, sessions, setup, startup

__all__ = ['ALL']

ALL: dict[str, Measure] = {
    'startup': startup.measure,
    'requests': requests.measure,
    'invitations': invitations.measure,
    'sessions': sessions.measure,
    'setup': setup.measure,
    'held': held.measure,
    'handoff': handoff.measure,
}
