"""Calls at the level of the Invitation: signalling and offer/answer, as pjsip-perf does it, no media."""

from __future__ import annotations

from bench.context import Bench
from bench.measures import calls
from bench.programs import Subject
from bench.report import Row


def measure(bench: Bench) -> list[Row]:
    return calls.measure(bench, 'Invitations', bench.count(5000), bench.count(10000), lambda: Subject('invitations'), 0.4)
