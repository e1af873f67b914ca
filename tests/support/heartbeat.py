"""The process that looks at the clock for `rerun`: for each line that comes it tells of the standstills since the last one, as JSON."""

from __future__ import annotations

import json
import os
import select
import time

LIMIT = 0.1             # seconds that are a standstill
BEAT = 0.02             # seconds between two looks at the clock


def beat() -> None:
    """Until the end of the input."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, OSError):
        pass                    # not ours to have; then it stands still when others are busy, too
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    pauses: list[tuple[float, float]] = []
    last = time.monotonic()
    while True:
        ready = poll.poll(BEAT * 1000)
        now = time.monotonic()
        if now - last > LIMIT:
            pauses.append((last, now))
        last = now
        if ready:
            if not os.read(0, 1):
                return
            os.write(1, json.dumps(pauses).encode() + b'\n')
            pauses.clear()


if __name__ == '__main__':
    beat()
