"""Tests whose failure says little about the code, and which are run again: what was, stands at the end of the report with what had failed. A plugin.

**When the machine stood still.** Virtual machines are held up by their hosts, now and then for a second. Calls with sound, timers of the protocol and other
programs' patience are tried in real time, so that some test is told of silence or of an expiry then. A process of the highest priority looks at the clock
fifty times a second; what holds it up has held up everything. It is not held up by our own load, so a test that makes the machine too busy fails as ever.

**When it is one of thousands with real peers, in continuous integration** (SIPSIMPLE_SECOND_CHANCE=1). Servers, clients and the network between them have
races of their own, each lost once in dozens of runs of the suite. A test with peers that fails has to pass twice in a row then, and is told of as unsteady:
whoever reads the report looks for the cause. On a developer's machine it fails.

A report of a sanitizer, a process that crashes, and an exception that it tells of, are faults however often they show.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ['Heartbeat', 'Rerun']

TESTS = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).with_name('heartbeat.py')
RUNS = 3                # of one test that fails, at most
PROOFS = 2              # successes in a row that outweigh a failure
PEERS = frozenset(('native', 'application', 'calls', 'interop', 'network', 'load'))     # folders of tests
FAULTS = re.compile(r'Traceback \(most recent call last\)|the sanitizers reported|Sanitizer|SIGSEGV|SIGABRT|Segmentation fault|(ended with|returncode[:=]?) -\d')


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


class Rerun:
    """Runs tests again.

    Attributes:
        heart: the `Heartbeat`.
        disturbed, unsteady: what was run again for either reason: test and what it said.
    """

    def __init__(self) -> None:
        self.heart = Heartbeat()
        self.disturbed: list[str] = []
        self.unsteady: list[str] = []
        self._second_chance = os.environ.get('SIPSIMPLE_SECOND_CHANCE') == '1'

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        from _pytest.runner import runtestprotocol
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports: list[pytest.TestReport] = []
        wanted = 0                      # successes, after a failure
        for run in range(1, RUNS + PROOFS):
            begin = time.monotonic()
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            failed = [report for report in reports if report.failed]
            if failed:
                needs = self._excuse(item, failed, begin, run)
                if not needs:
                    break
                wanted = max(wanted, needs)
            else:
                wanted -= 1
                if wanted <= 0:
                    break
            item.session._setupstate.teardown_exact(None)       # what it shares with other tests may be in any state
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _excuse(self, item: pytest.Item, failed: list[pytest.TestReport], begin: float, run: int) -> int:
        """How many successes outweigh this failure; 0: none."""
        if run >= RUNS or any(FAULTS.search(report.longreprtext) for report in failed):
            return 0
        pauses = self.heart.pauses(begin)
        if pauses:
            self.disturbed.append(f'{item.nodeid}: {sum(pauses):.2f} s; {_reason(failed[0])}')
            return 1
        if self._second_chance and run == 1 and _has_peers(item):
            self.unsteady.append(f'{item.nodeid}: {_reason(failed[0])}')
            return PROOFS
        return 0

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for title, lines in (('failed while the machine stood still, and were run again', self.disturbed), ('unsteady: failed, and were run again', self.unsteady)):
            if lines:
                terminalreporter.section(title)
                for line in lines:
                    terminalreporter.line(line)

    def pytest_unconfigure(self) -> None:
        self.heart.stop()


def _has_peers(item: pytest.Item) -> bool:
    """Whether other processes and the network have a part in it."""
    folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else None
    return folder in PEERS or item.get_closest_marker('interop') is not None


def _reason(report: Any) -> str:
    """One line of why it failed."""
    crash = getattr(report.longrepr, 'reprcrash', None)
    text = crash.message if crash is not None else report.longreprtext
    return str(text.strip().partition('\n')[0])
