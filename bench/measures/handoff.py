"""How long a notification takes into another thread, beside a bare semaphore of PJLIB, on an idle machine."""

from __future__ import annotations

import subprocess

from bench.context import Bench
from bench.programs import Subject
from bench.report import Row, percentile

COUNT = 1000
PAUSE = 0.001           # seconds


def measure(bench: Bench) -> list[Row]:
    direct = {percent: Row(f'notification into the SDK thread, p{percent}', 'us') for percent in (50, 99)}
    core = {percent: Row(f'event of the core to an observer in the SDK thread, p{percent}', 'us') for percent in (50, 99)}
    count = bench.count(COUNT)
    for _ in bench.turns():
        with Subject('handoff') as subject:
            subject.ready()
            for rows, through_core in ((direct, False), (core, True)):
                times = subject.do('measure', count=count, pause=PAUSE, through_core=through_core)['times']
                for percent, row in rows.items():
                    row.ours.values.append(percentile(times, percent))
        done = subprocess.run([bench.peers.handoff, str(count), str(int(PAUSE * 1e6))], capture_output=True, text=True, check=True)
        times = [float(line) for line in done.stdout.split()]
        for rows in (direct, core):
            for percent, row in rows.items():
                row.peer.values.append(percentile(times, percent))
    return [*direct.values(), *core.values()]
