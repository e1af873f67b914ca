"""One module a subject of measurement; ALL has their functions by name, in the order of the table, MORE those that are only made when asked for."""

from __future__ import annotations

from bench.context import Measure
from bench.measures import handoff, held, invitations, msrp, requests, sessions, setup, startup

__all__ = ['ALL', 'MORE']

ALL: dict[str, Measure] = {
    'startup': startup.measure,
    'requests': requests.measure,
    'invitations': invitations.measure,
    'sessions': sessions.measure,
    'setup': setup.measure,
    'held': held.measure,
    'handoff': handoff.measure,
    'msrp': msrp.measure,
}

MORE: dict[str, Measure] = {
    'msrp-relay': msrp.measure_relay,
}
