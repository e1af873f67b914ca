"""Two processes that call each other over the loopback interface."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.child import environment
from tests.support.sip_peer import UDPPeer

HERE = Path(__file__).parent
LIMIT = 20          # seconds a process may take for one step


class Process:
    """An agent process and what it has told."""

    def __init__(self, name, script='session_agent.py'):
        self.name = name
        self.events = []            # (name, session, fields), in order
        self._taken = 0
        self._lines = queue.Queue()
        self._process = subprocess.Popen([sys.executable, str(HERE / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=environment())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            if line.endswith('\n'):        # else it was killed while it wrote
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def _next(self, until):
        message = self._lines.get(timeout=max(0.01, until - time.monotonic()))
        assert message is not None, f'{self.name} has ended with {self._process.wait()}'
        if 'event' in message:
            self.events.append((message['event'], message['session'], message['fields']))
        return message

    def do(self, command, **arguments):
        self.ask(command, **arguments)
        return self.answer(command)

    def ask(self, command, **arguments):
        self._process.stdin.write(json.dumps({'do': command, **arguments}) + '\n')
        self._process.stdin.flush()

    def answer(self, command):
        until = time.monotonic() + 150
        while True:
            message = self._next(until)
            if message.get('done') == command:
                assert 'error' not in message, message['error']
                return message

    def call(self, method, session='s', *args, **kwargs):
        self.do('call', args=[session, method, *args], **kwargs)

    def wait(self, name, session=None):
        """Return the fields of the next notification of that name, in the order in which they are asked for."""
        until = time.monotonic() + LIMIT
        while True:
            while self._taken < len(self.events):
                event = self.events[self._taken]
                self._taken += 1
                if event[0] == name and session in (None, event[1]):
                    return event[2]
            try:
                self._next(until)
            except queue.Empty:
                raise AssertionError(f'{self.name}: no {name}; had {[event[0] for event in self.events]}') from None

    def seen(self, name):
        """Return the fields of the first notification of that name, whenever it came."""
        found = next((fields for event, _, fields in self.events if event == name), None)
        return self.wait(name) if found is None else found

    def forget(self):
        self.events.clear()
        self._taken = 0

    def names(self, prefix='SIPSession'):
        return [name.removeprefix(prefix) for name, _, _ in self.events if name.startswith(prefix) and 'Manager' not in name]

    def state(self, session='s'):
        return self.do('get', args=[session, 'state'])['state']

    def pause(self):
        """Stop the process where it is; returns when each of its threads stands still."""
        self._process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + LIMIT
        for stat in Path(f'/proc/{self._process.pid}/task').glob('*/stat'):
            while stat.read_text().rpartition(')')[2].split()[0] not in 'tT':
                assert time.monotonic() < until, f'{self.name} does not stop'
                time.sleep(0.001)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f'{self.name} does not end') from None
        assert self._process.returncode == 0, f'{self.name} ended with {self._process.returncode}'


class Pair:
    """A caller and a callee. `media` is the type of stream the calls of a test use."""

    def __init__(self, media):
        self.media = media
        self.caller = Process('caller')
        self.callee = Process('callee')

    def start(self, **options):
        self.caller.do('start', audio=self.media == 'audio', **options)
        ports = self.callee.do('start', audio=self.media == 'audio', **options)
        self.port, self.tcp_port = ports['port'], ports['tcp_port']

    def connect(self, *streams, ports=None, **arguments):
        self.caller.do('connect', session='s', ports=ports or [self.port], streams=list(streams) or [self.media], **arguments)

    def connected(self, *streams):
        self.connect(*streams)
        self.callee.wait('SIPSessionNewIncoming')
        self.callee.do('accept', session='in1')
        self.caller.wait('SIPSessionDidStart')
        self.callee.wait('SIPSessionDidStart')

    def stop(self):
        try:
            self.caller.stop()
        finally:
            self.callee.stop()


@pytest.fixture(params=['plain', 'audio'])
def pair(request):
    pair = Pair(request.param)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()


@pytest.fixture
def plain_pair():
    pair = Pair('plain')
    try:
        yield pair
    finally:
        pair.stop()


@pytest.fixture
def audio_pair():
    pair = Pair('audio')
    try:
        yield pair
    finally:
        pair.stop()


@pytest.fixture(scope='module')
def agent_process():
    process = Process('agent')
    try:
        process.port = process.do('start', audio=False, t1=50, tcp_port=0)['port']
        yield process
    finally:
        process.stop()


@pytest.fixture
def agent(agent_process):
    """One process, for calls with a scripted peer. Its SIP timers run ten times as fast: a transaction gives up after 3.2 seconds."""
    assert agent_process.do('reset')['left'] == 0
    agent_process.forget()
    return agent_process


@pytest.fixture
def peer(agent):
    with UDPPeer(agent.port) as peer:
        yield peer
