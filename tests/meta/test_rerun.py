"""What fails while the machine stands still is run again, in continuous integration also what has peers; nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The standstill is played: only the process that looks for it is stopped.
BEGINNING = """
import os, signal, time
import pytest
from pathlib import Path

RUNS = Path(__file__).with_name('runs')

@pytest.fixture
def stand_still(request):
    heart = request.config.pluginmanager.get_plugin('rerun').heart.process.pid
    def stop(seconds=0.3):
        os.kill(heart, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(heart, signal.SIGCONT)
    return stop

@pytest.fixture
def run():
    RUNS.open('a').write('x')
    return len(RUNS.read_text())

@pytest.fixture(scope='module')
def shared():
    return []
"""


def outcome(folder: Path, text: str, **variables: str) -> tuple[int, int, str]:
    """Exit status, how often the test ran, and what was printed."""
    (folder / 'test_inner.py').write_text(BEGINNING + text)
    (folder / 'runs').write_text('')
    done = subprocess.run([sys.executable, '-m', 'pytest', '-p', 'tests.conftest', '-p', 'no:cacheprovider', folder], cwd=ROOT, env={**os.environ, 'SIPSIMPLE_SECOND_CHANCE': '', **variables},
                          capture_output=True, text=True, check=False)
    return done.returncode, len((folder / 'runs').read_text()), done.stdout


def test_failure_in_a_standstill(tmp_path: Path) -> None:
    """With all its fixtures made anew; it is told of, and the time it stood."""
    status, runs, text = outcome(tmp_path, """
def test_it(run, stand_still, shared):
    shared.append(run)
    if run == 1:
        stand_still()
    assert shared == [2]
""")
    assert (status, runs) == (0, 2) and '1 passed' in text, text
    assert 'failed while the machine stood still, and were run again' in text and 'test_inner.py::test_it: 0.3' in text and 'assert [1] == [2]' in text


@pytest.mark.parametrize('what', ['assert False', 'stand_still(0); assert False'])
def test_failure_of_its_own(tmp_path: Path, what: str) -> None:
    status, runs, text = outcome(tmp_path, f"""
def test_it(run, stand_still):
    {what}
""")
    assert (status, runs) == (1, 1) and '1 failed' in text and 'stood still' not in text, text


def test_failure_after_a_standstill(tmp_path: Path) -> None:
    """One in the test before is none in this one."""
    status, runs, text = outcome(tmp_path, """
def test_before(stand_still):
    stand_still()

def test_it(run):
    assert False
""")
    assert (status, runs) == (1, 1) and '1 failed, 1 passed' in text, text


def test_failure_in_every_run(tmp_path: Path) -> None:
    status, runs, text = outcome(tmp_path, """
def test_it(run, stand_still):
    stand_still()
    assert False
""")
    assert (status, runs) == (1, 3) and '1 failed' in text and text.count('test_it: 0.3') == 2, text


def test_success_in_a_standstill(tmp_path: Path) -> None:
    status, runs, text = outcome(tmp_path, """
def test_it(run, stand_still):
    stand_still()
""")
    assert (status, runs) == (0, 1) and 'stood still' not in text, text


def test_report_of_a_sanitizer(tmp_path: Path) -> None:
    """That is a fault, whenever it shows."""
    status, runs, text = outcome(tmp_path, """
def test_it(run, stand_still):
    stand_still()
    Path(os.environ['SIPSIMPLE_SANITIZER_REPORT'] + '.1').write_text('heap-buffer-overflow')
""", SIPSIMPLE_SANITIZER_REPORT=str(tmp_path / 'report'))
    assert (status, runs) == (1, 1) and 'heap-buffer-overflow' in text, text


PEERS = """
pytestmark = pytest.mark.interop

def test_it(run):
    assert run not in {}
"""


@pytest.mark.parametrize(('fails', 'status', 'runs'), [((1,), 0, 3), ((1, 2), 1, 2), ((1, 3), 1, 3), ((), 0, 1)])
def test_second_chance(tmp_path: Path, fails: tuple[int, ...], status: int, runs: int) -> None:
    """Two successes outweigh one failure, which is told of."""
    done = outcome(tmp_path, PEERS.replace('{}', str(fails)), SIPSIMPLE_SECOND_CHANCE='1')
    assert done[:2] == (status, runs) and ('1 failed' in done[2]) is bool(status), done[2]
    assert ('unsteady: failed, and were run again' in done[2] and 'test_inner.py::test_it: assert 1 not in' in done[2]) is bool(fails)


@pytest.mark.parametrize(('text', 'chance'), [(PEERS.replace('{}', '(1,)'), '0'), (PEERS.replace('{}', '(1,)').replace('pytestmark', 'other'), '1'),
                                              (PEERS.replace('run not in {}', 'run > 1, "sipp has ended with -11"'), '1'),
                                              (PEERS.replace('run not in {}', 'run > 1, "it told Traceback (most recent call last): ..."'), '1')])
def test_no_second_chance(tmp_path: Path, text: str, chance: str) -> None:
    """On a developer's machine, for a test without peers, after a crash, after an exception."""
    status, runs, told = outcome(tmp_path, text, SIPSIMPLE_SECOND_CHANCE=chance)
    assert (status, runs) == (1, 1) and 'unsteady' not in told, told
