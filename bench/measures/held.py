"""Calls that are held: what each costs a second, and how much memory it takes. The peer is pjsua; another pjsua makes the calls and talks."""

from __future__ import annotations

import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.context import Bench
from bench.programs import BenchError, Program, Subject
from bench.report import Row

CALLS = 100
FIRST = 10              # calls made before the memory is first looked at: what is made once is made by then
SECONDS = 8.0           # of a measurement; a quarter in a run that is scaled down, which nobody reads figures from
WINDOWS = 3             # measurements, until there is one in which no sound was held up
STEADY = 2.0            # seconds until jitter buffers and the like have taken their size
PACKETS = 100           # a second of each call: 50 in each direction


def _speech(path: Path) -> None:
    """A file with a tone that never ends, 8 kHz."""
    period = bytes(value for step in (0, 8000, 11000, 8000, 0, -8000, -11000, -8000) for value in step.to_bytes(2, 'little', signed=True))
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(period * 4000)


def _dial(caller: Program, url: str, count: int) -> None:
    """Let the pjsua make calls."""
    caller.write('M')
    caller.write(str(count))
    caller.write(url)


def _connected(caller: Program, count: int) -> None:
    """Wait for that many calls to be answered."""
    for _ in range(count):
        caller.wait_line('state changed to CONFIRMED', 30)


def _datagrams() -> int:
    """UDP packets this machine has received so far."""
    names, values = (line.split() for line in Path('/proc/net/snmp').read_text(encoding='utf-8').splitlines() if line.startswith('Udp:'))
    return int(values[names.index('InDatagrams')])


def _hold(bench: Bench, target: Program, port: int, speech: Path) -> tuple[float, float]:
    """CPU in milliseconds a second of each call, and kilobytes of each call."""
    count = bench.count(CALLS)
    first = min(FIRST, count // 2)
    part = 1.0 if bench.scale >= 0.1 else 0.25
    caller, _ = bench.peers.pjsua(f'--play-file={speech}', '--auto-play', '--app-log-level=3', '--log-level=3')
    with caller:
        url = f'sip:2@127.0.0.1:{port}'
        _dial(caller, url, first)
        _connected(caller, first)
        time.sleep(STEADY * part)
        memory = target.memory()
        _dial(caller, url, count - first)
        _connected(caller, count - first)
        time.sleep(STEADY * part)
        cpu, rate = 0.0, 0.0
        for _ in range(WINDOWS):        # sound that is held up says nothing of what it costs
            cpu, packets, begin = target.cpu(), _datagrams(), time.perf_counter()
            time.sleep(SECONDS * part)
            seconds = time.perf_counter() - begin
            cpu, rate = (target.cpu() - cpu) / seconds, (_datagrams() - packets) / seconds / count
            if rate >= 0.98 * PACKETS:
                break
        used = target.memory() - memory
        lost = caller.past('DISCONNECTED')
        if lost:
            raise BenchError(f'{lost} calls were lost')
        if rate < 0.98 * PACKETS:
            raise BenchError(f'{rate:.0f} packets a second of each call; there should be {PACKETS}')
    return cpu / count * 1000, used / (count - first) / 1000


def measure(bench: Bench) -> list[Row]:
    cpu = Row('held G.711 call: CPU a second', 'ms', target=1.1)
    memory = Row('held G.711 call: memory', 'KB', target=160, absolute=True)
    with TemporaryDirectory() as folder:
        speech = Path(folder) / 'tone.wav'
        _speech(speech)
        for _ in bench.turns():
            with Subject('sessions') as subject:
                used, size = _hold(bench, subject, subject.ready()['port'], speech)
                cpu.ours.values.append(used)
                memory.ours.values.append(size)
            peer, port = bench.peers.pjsua('--auto-answer=200')
            with peer:
                used, size = _hold(bench, peer, port, speech)
                cpu.peer.values.append(used)
                memory.peer.values.append(size)
    return [cpu, memory]
