"""Engine.diagnostics(): what the native core holds."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sipsimple.core import Engine, MixerPort, _diagnostics, _handles
from sipsimple.core._mixer import AudioMixer
from tests.native.audio_support import eventually
from tests.support.engine import running_engine
from tests.support.sip_peer import UDPPeer


def held(name: str) -> int:
    return Engine().diagnostics()[name]


def test_nothing_is_held_while_the_engine_is_off() -> None:
    with running_engine():
        assert held('timers_of_core') == 0
    report = Engine().diagnostics()
    counters = {*_handles.counters(), 'cached_pool_bytes'}
    assert {name: value for name, value in report.items() if value and name not in counters} == {}, _diagnostics.pools()
    assert _diagnostics.pools() == {}


def test_a_thread_that_asks_before_the_first_start_is_known_to_pjlib_later() -> None:
    """What PJLIB does not know it takes for one and the same owner of its locks."""
    code = '''from sipsimple.core import Engine, _diagnostics
from tests.support.engine import running_engine
Engine().diagnostics()
with running_engine():
    Engine().diagnostics()
    print(_diagnostics.thread_is_known())
'''
    done = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, 'True\n'), done.stderr


def test_transports_are_counted() -> None:
    with running_engine(tcp_port=0) as engine:
        assert held('transports') == 1          # the UDP socket; a TCP listener is none
        port = engine.tcp_port
        assert port is not None
        with socket.create_connection(('127.0.0.1', port)), socket.create_connection(('127.0.0.1', port)):
            assert eventually(lambda: held('transports') == 3)
        assert eventually(lambda: held('transports') == 1)


def test_handles_take_memory_when_they_are_used() -> None:
    """Patch 65: the queues of handles begin empty, and use again what they have."""
    with running_engine(tcp_port=0) as engine:
        port = engine.tcp_port
        assert port is not None
        if not held('pools'):
            pytest.skip('a build for AddressSanitizer has no pools to count')
        assert held('pool_bytes') < 3_000_000

        def queue_bytes() -> int:
            return sum(size for name, (_, size) in _diagnostics.pools().items() if name.startswith('ioq'))
        before = queue_bytes()
        for _ in range(2):
            connections = [socket.create_connection(('127.0.0.1', port)) for _ in range(100)]
            assert eventually(lambda: held('transports') == 101)
            grown = queue_bytes() - before
            assert 10_000 < grown < 200_000
            for connection in connections:
                connection.close()
            assert eventually(lambda: held('transports') == 1)


def test_transactions_and_timers_are_counted() -> None:
    with running_engine() as engine, UDPPeer(engine.udp_port or 0) as peer:
        assert (held('transactions'), held('dialogs')) == (0, 0)
        before = held('timers')
        engine.add_incoming_request('MESSAGE')
        peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='hello'))
        assert eventually(lambda: held('transactions') == 1)
        assert held('timers') >= before


@pytest.mark.usefixtures('engine_without_sip')
def test_objects_and_pools_are_counted() -> None:
    mixer = AudioMixer(None, None, 8000, 0)
    pools, live = held('pools'), held('live_mixer_port')
    ports = [MixerPort(mixer) for _ in range(10)]
    for port in ports:
        port.start()
    assert (held('live_mixer_port'), held('live_mixer')) == (live + 10, 1)
    if pools:                                   # not in a build for AddressSanitizer
        assert held('pools') >= pools + 20      # the port's, and the one that the bridge makes for it
        assert _diagnostics.pools()['mixerport'][0] == 10
        assert held('pool_bytes') >= sum(size for _, size in _diagnostics.pools().values()) - 100000 > 0
    for port in ports:
        port.stop()
    assert eventually(lambda: held('pools') == pools and held('live_mixer_port') == live)


@pytest.fixture
def engine_without_sip() -> object:
    with running_engine(udp_port=None):
        yield
