"""When the machine stood still: a test that failed meanwhile says nothing about the code, and is run again.

Virtual machines are held up by their hosts, now and then for a second. Calls with sound, timers of the protocol and other programs' patience are tried in
real time, so that some test is told of silence or of an expiry then. A process of the highest priority looks at the clock fifty times a
second; what holds it up has held up everything. It is not held up by our own load, so a test that makes the machine too busy fails as ever.

What was run again stands at the end of the report, with what had failed. A plugin; tests/conftest.py registers it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ['Heartbeat', 'Standstill']

PROGRAM = Path(__file__).with_name('heartbeat.py')
RUNS = 3                # of one test, at most


class Heartbeat:
    """The process that looks at the clock. Ends with us, however we end."""

    def __init__(self) -> None:
        variables = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}     # the sanitizers have nothing to do there
        self.process = subprocess.Popen([sys.executable, '-I', '-S', str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)
        self.pauses(0.0)        # it is there

    def pauses(self, since: float) -> list[float]:
        """How long the machine stood still, each time since that moment of the monotonic clock; what came before is forgotten."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b'\n')
        self.process.stdin.flush()
        return [end - begin for begin, end in json.loads(self.process.stdout.readline()) if end > since]

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Standstill:
    """Runs a test again that failed while the machine stood still.

    Attributes:
        heart: the `Heartbeat`.
        told: what was run again: (test, seconds of standstill, what it said).
    """

    def __init__(self) -> None:
        self.heart = Heartbeat()
        self.told: list[tuple[str, float, str]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        from _pytest.runner import runtestprotocol
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports: list[pytest.TestReport] = []
        for run in range(1, RUNS + 1):
            begin = time.monotonic()
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            failed = [report for report in reports if report.failed]
            if not failed or run == RUNS or any('the sanitizers reported' in report.longreprtext for report in failed):
                break
            pauses = self.heart.pauses(begin)
            if not pauses:
                break
            self.told.append((item.nodeid, sum(pauses), _reason(failed[0])))
            item.session._setupstate.teardown_exact(None)       # what it shares with other tests may be in any state
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.told:
            terminalreporter.section('failed while the machine stood still, and were run again')
            for name, seconds, text in self.told:
                terminalreporter.line(f'{name}: {seconds:.2f} s; {text}')

    def pytest_unconfigure(self) -> None:
        self.heart.stop()


def _reason(report: Any) -> str:
    """One line of why it failed."""
    crash = getattr(report.longrepr, 'reprcrash', None)
    text = crash.message if crash is not None else report.longreprtext
    return str(text.strip().partition('\n')[0])
