"""Full Sessions with an AudioStream: RTP sockets, codec, jitter buffer and bridge are made and let go for each. pjsip-perf has no media."""

from __future__ import annotations

from bench.context import Bench
from bench.measures import calls
from bench.programs import Subject
from bench.report import Row


def measure(bench: Bench) -> list[Row]:
    return calls.measure(bench, 'Sessions', bench.count(2000), bench.count(10000), lambda: Subject('sessions'), 0.2)
