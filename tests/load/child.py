"""What the two kinds of processes of the load tests have in common: commands as JSON lines on the standard input, one answer each.

Whatever happens is counted, not told: a test asks for the counts, or waits for them here. So the processes spend their time on calls.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from typing import Any

from tests.load import usage


class Log(logging.Handler):
    """Keeps what was logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f'{record.name}: {self.format(record)}')


class Child:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.counts: Counter[str] = Counter()
        self.log = Log()
        logging.getLogger().addHandler(self.log)

    def count(self, name: str) -> None:
        with self.changed:
            self.counts[name] += 1
            self.changed.notify_all()

    def wait_for(self, name: str, count: int, limit: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.counts[name] >= count, limit)

    # Commands

    def do_wait(self, limit: float, **wanted: int) -> dict[str, Any]:
        """Wait until things were counted so often."""
        until = time.monotonic() + limit
        with self.changed:
            done = self.changed.wait_for(lambda: all(self.counts[name] >= count for name, count in wanted.items()), limit)
            return {'reached': done, 'left': until - time.monotonic(), 'counts': dict(self.counts)}

    def do_counts(self) -> dict[str, Any]:
        with self.changed:
            return {'counts': dict(self.counts), 'log': list(self.log.lines)}

    def do_usage(self) -> dict[str, Any]:
        return {'usage': usage.usage()}

    def do_malloc(self) -> dict[str, Any]:
        return {'malloc': usage.malloc(), 'info': ''}

    def do_types(self) -> dict[str, Any]:
        return {'types': usage.types()}

    def do_pools(self) -> dict[str, Any]:
        from sipsimple.core import _diagnostics
        return {'pools': _diagnostics.pools()}

    def do_cpu(self) -> dict[str, Any]:
        return {'cpu': usage.cpu(), 'clock': time.monotonic()}

    def do_settle(self, limit: float) -> dict[str, Any]:
        """Wait for what a call leaves for a while: transactions (32 s when answered over UDP), connections that nobody uses (33 s), freed memory."""
        from sipsimple.core import Engine
        until = time.monotonic() + limit
        least, since = usage.rss(), time.monotonic()
        while True:
            held = Engine().diagnostics()
            left, now, rss = {name: held[name] for name in ('transactions', 'dialogs', 'timers')}, time.monotonic(), usage.rss()
            left['connections'] = held['transports'] - 1
            if any(left.values()) or rss < least:
                least, since = rss, now
            if now - since > 5 or now > until:          # the core gives memory back at most every 4 s
                return {'left': left, 'steady': now - since}
            time.sleep(0.05)

    def run(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)
            name = command.pop('do')
            try:
                result = getattr(self, f'do_{name}')(**command) or {}
            except Exception as error:
                import traceback
                result = {'error': f'{error.__class__.__name__}: {error}', 'traceback': traceback.format_exc()}
            print(json.dumps(result), flush=True)
            if name == 'quit':
                break
        self.close()
        sys.stdout.flush()
        if self.log.lines and os.environ.get('LOAD_LOG'):
            print('\n'.join(self.log.lines[:200]), file=sys.stderr)

    def close(self) -> None:
        raise NotImplementedError
