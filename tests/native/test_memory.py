"""What a burst of work took goes back to the system, and the next start of the Engine takes no more than the first. Each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BEGIN = '''
import sys
from sipsimple.core import AudioMixer, Engine, _endpoint
from tests.load.usage import rss
from tests.support.engine import running_engine, wait_until
from tests.support.sip_peer import UDPPeer

def note(name):
    print(name, rss())

def diagnostics(name):
    return Engine().diagnostics()[name]
'''


def child(code: str) -> dict[str, float]:
    """Run it; the bytes of memory that it had where it said note(name), in MB."""
    done = subprocess.run([sys.executable, '-c', BEGIN + textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, ''), done.stderr
    if not done.stdout:
        pytest.skip('a build for AddressSanitizer keeps what is freed')
    return {name: int(value) / 1e6 for name, value in (line.split() for line in done.stdout.splitlines())}


def test_memory_of_answered_requests_goes_back() -> None:
    """Thousands of transactions live for a while after the answer; when they are over, so is what they took."""
    seen = child('''
        _endpoint.set_sip_timers(50, 400, 500, 3200)
        with running_engine(incoming_requests={'PING'}) as engine, UDPPeer(engine.udp_port) as peer:
            if not diagnostics('pools'):
                sys.exit()

            def burst(count):
                for number in range(count):
                    peer.send(peer.request('PING'))         # nobody takes it: it is answered 500 when the object goes
                    peer.expect(500)

            def settle(count=0):
                assert wait_until(lambda: diagnostics('transactions') == 0, 60)

            burst(100)
            settle()
            before = rss()
            burst(3000)
            most = rss()
            settle()
            print('before', before)
            print('most', most)
            assert wait_until(lambda: rss() - before < (most - before) / 4, 30), (before, most, rss())
    ''')
    assert seen['most'] > seen['before'] + 12, seen


def test_a_start_takes_what_the_first_one_took() -> None:
    """The tables of the endpoint and of mixers, which are large, go back at once."""
    seen = child('''
        for number in range(12):
            with running_engine() as engine:
                mixer = AudioMixer(None, None, 32000, 0)
                pools = diagnostics('pools')
                del mixer
            if not pools:
                sys.exit()
            note(f'stopped-{number}')
    ''')
    assert max(seen.values()) - min(seen.values()) < 2, seen
