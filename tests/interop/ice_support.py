"""What the ICE tests share: processes steered by lines of JSON, the NAT around them, tones to listen for."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from buildtools.requirements import compiler
from tests.native.audio_support import loud_part, read_samples, share
from tests.support import child

HERE = Path(__file__).parent
LIMIT = 60.0            # seconds for one step; only a failing test waits that long
SDK_PORTS = '50000-50499'


@pytest.fixture(scope='session')
def nat_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared object to preload."""
    path = tmp_path_factory.mktemp('nat') / 'nat.so'
    subprocess.run([*compiler(), '-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', str(path), str(HERE / 'ice_nat.c'), '-ldl'], check=True)
    return path


def behind(library: Path, ports: str, outside: str | None = None, block: int | None = None) -> dict[str, str]:
    """The environment of a process behind a NAT (`outside`: its address there), or a firewall that is open for one port only."""
    environment = {'LD_PRELOAD': ' '.join(filter(None, [os.environ.get('LD_PRELOAD'), str(library)])), 'NAT_PORTS': ports}
    if outside is not None:
        environment['NAT_OUTSIDE'] = outside
    if block is not None:
        environment['NAT_BLOCK'] = str(block)
    return environment


class Process:
    """A process that takes commands, {"do": name, ...}, and tells events, {"event": name, ...}."""

    def __init__(self, script: str, configuration: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        self.name: str = configuration['name']
        self.events: list[dict[str, Any]] = []
        self._taken = 0
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()     # noqa: SIM115 - for the life of the process
        self._process = subprocess.Popen([sys.executable, str(HERE / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
                                         env=child.environment(**(environment or {})))
        self._write(configuration)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        self._write({'do': 'stop'})
        try:
            status = self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if kind is None:
            assert status == 0, self._complaint(f'ended with status {status}')

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + '\n')
            self._process.stdin.flush()
        except OSError:
            pass                        # it has ended; wait() tells

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _complaint(self, text: str) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode('utf-8', 'replace')[-2000:]
        return f'{self.name}: {text}; events: {[event["event"] for event in self.events if event["event"] != "sip"]}; it said: {said}'

    def do(self, name: str, **arguments: Any) -> None:
        self._write({'do': name, **arguments})

    def wait(self, name: str, limit: float = LIMIT, **fields: Any) -> dict[str, Any]:
        """The next event of that name with these fields; events between are skipped."""
        deadline = time.monotonic() + limit
        while True:
            while self._taken < len(self.events):
                event = self.events[self._taken]
                self._taken += 1
                if event['event'] == name and all(event[key] == value for key, value in fields.items()):
                    return event
                assert event['event'] not in ('error', 'failed'), self._complaint(str(event))
            try:
                event = self._lines.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(self._complaint(f'no {name} {fields}')) from None
            assert event is not None, self._complaint(f'has ended with {self._process.wait()}')
            self.events.append(event)

    def seen(self, name: str) -> dict[str, Any]:
        """The first event of that name, whenever it came."""
        return next((event for event in self.events if event['event'] == name), None) or self.wait(name)

    def all(self, name: str) -> list[dict[str, Any]]:
        """What has come so far under that name."""
        return [event for event in self.events if event['event'] == name]


def free_port() -> int:
    """A UDP port that is neither used nor given out by the kernel, and not one that a NAT translates."""
    for port in random.sample(range(30000, 32700), 200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as test, contextlib.suppress(OSError):
            test.bind(('127.0.0.1', port))
            return port
    raise AssertionError('no free port')


def sdk(name: str, nat: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **configuration: Any) -> Process:
    """A process of ours; `nat`: settings of its account's nat_traversal group."""
    return Process('ice_agent.py', {'name': name, 'account': f'{name}@lab.test', 'nat': nat or {}, **configuration}, environment)


@contextmanager
def call(alice: Process, bob: Process, transport: str = 'tcp', target: str = 'sip:bob@lab.test') -> Iterator[None]:
    """Alice calls Bob; on exit she hangs up."""
    alice.wait('ready')
    port = bob.wait('ready')['ports'][transport]
    alice.do('call', target=target, address='127.0.0.1', port=port, transport=transport)
    bob.wait('incoming')
    bob.do('answer')
    for side in (alice, bob):
        side.wait('connected')
    yield
    alice.do('hang_up')
    for side in (alice, bob):
        side.wait('ended')


def says(speaker: Process, listener: Process, path: Path, frequency: int) -> float:
    """The speaker plays a tone; the share of it in what the listener records meanwhile. A busy machine may be late with so much of it that it has to be played
    again."""
    for _ in range(3):
        listener.do('record', filename=str(path))
        listener.wait('recording')
        speaker.do('play_tone', frequency=frequency, milliseconds=1000)
        speaker.wait('tone_played')
        listener.do('stop_recording')
        listener.wait('recorded')
        heard = tone_share(path, frequency)
        if heard > 0.9:
            break
    return heard


def tone_share(path: Path, frequency: int) -> float:
    """How much of a recording's best 0.3 s is that tone, so that a busy machine may stutter; 0 when less than half a second is loud at all."""
    samples, rate = read_samples(path)
    loud = loud_part(samples)
    if len(loud) < rate / 2:
        return 0.0
    size = rate * 3 // 10
    return max(share(loud[start:start + size], rate, frequency) for start in range(0, len(loud) - size + 1, size // 3))
