"""The processes of a measurement: our subjects and the peers in C; what they use is read from /proc."""

from __future__ import annotations

import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ['BenchError', 'Load', 'Peers', 'Program', 'Subject', 'free_port']

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 90.0            # seconds for any single step
SETTLE = 0.1            # seconds from the last request sent until its answer is worked off
TICK = 1 / os.sysconf('SC_CLK_TCK')


class BenchError(Exception):
    """A measurement could not be made."""


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive UDP ports that are free now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(('127.0.0.1', 0))
            port: int = first.getsockname()[1]
        if port + count > 60000:
            continue
        try:
            for number in range(port, port + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(('127.0.0.1', number))
        except OSError:
            continue
        return port


class Program:
    """A process whose output is read line by line; as a context manager it is ended at exit."""

    def __init__(self, words: Sequence[str | Path], environment: dict[str, str] | None = None) -> None:
        # Line-buffered, also when it writes to a pipe: some lines tell when something begins.
        self.words = ['stdbuf', '-oL', *map(str, words)]
        self.started = time.perf_counter()
        self._process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                                         cwd=ROOT, env={**os.environ, **(environment or {})})
        self.output: list[str] = []
        self._lines: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid            # stdbuf replaces itself with the program

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put((time.perf_counter(), line.rstrip()))
        self._lines.put(None)

    def wait_line(self, pattern: str, limit: float = LIMIT) -> tuple[float, re.Match[str]]:
        """The next line that matches, and when it came (perf_counter)."""
        until = time.monotonic() + limit
        while True:
            try:
                entry = self._lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise BenchError(f'{self.words[2]}: no line {pattern!r} in {limit:.0f} s; last: {self.output[-3:]}') from None
            if entry is None:
                raise BenchError(f'{self.words[2]} ended with status {self._process.wait()}; last: {self.output[-8:]}')
            self.output.append(entry[1])
            if entry[1].startswith('Traceback'):
                self._drain(0.5)            # the rest of it
                raise BenchError('\n'.join([*self.words[2:], *self.output[-40:]]))
            match = re.search(pattern, entry[1])
            if match:
                return entry[0], match

    def past(self, pattern: str) -> int:
        """The number of lines that match, of all there are now."""
        self._drain(0.1)
        return sum(bool(re.search(pattern, line)) for line in self.output)

    def write(self, text: str) -> None:
        """Give it a line of input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + '\n')
        self._process.stdin.flush()

    def cpu(self) -> float:
        """Seconds of processor time so far, user and system, of all threads."""
        fields = Path(f'/proc/{self.pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def memory(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f'/proc/{self.pid}/statm').read_text(encoding='utf-8').split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def finish(self, limit: float = LIMIT) -> None:
        """Wait until it has ended by itself, reading all it has to say."""
        self._drain(limit)
        self._process.wait(limit)

    def _drain(self, limit: float) -> None:
        until = time.monotonic() + limit
        while True:
            try:
                entry = self._lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                return
            if entry is None:
                return
            self.output.append(entry[1])

    def end(self) -> None:
        """End it: by the end of its input, or else by force."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()


class Subject(Program):
    """A Python process of ours that runs a module of `bench.subjects`: commands and answers are lines of JSON."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__([sys.executable, '-m', f'bench.subjects.{name}', json.dumps(options)])

    def ready(self) -> dict[str, Any]:
        """Wait until it is at work; what it tells about itself, such as `port`."""
        return self._answer('ready')

    def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Have a command carried out."""
        self.write(json.dumps({'do': name, **arguments}))
        return self._answer(name)

    def _answer(self, name: str) -> dict[str, Any]:
        _, match = self.wait_line(rf'^\{{"done": "{name}".*\}}$')
        answer: dict[str, Any] = json.loads(match[0])
        if 'error' in answer:
            raise BenchError(f'{name}: {answer["error"]}')
        return answer


@dataclass
class Load:
    """What pjsip-perf reports of a run as client, and the time it used itself."""

    requests: int
    seconds: float
    failed: int
    cpu: float              # seconds, of the load generator
    server_cpu: float       # seconds, of the program it called

    @property
    def rate(self) -> float:
        """Requests or calls a second."""
        return self.requests / self.seconds

    @property
    def server_cost(self) -> float:
        """Microseconds of processor time the called program used for each."""
        return self.server_cpu / self.requests * 1e6

    @property
    def client_cost(self) -> float:
        """Microseconds of processor time the calling program used for each."""
        return self.cpu / self.requests * 1e6


class Peers:
    """The programs in C."""

    def __init__(self, programs: dict[str, Path]) -> None:
        self._programs = programs

    def perf_program(self, port: int, *options: str) -> Program:
        """A pjsip-perf that will answer at `port`."""
        return Program([self._programs['pjsip-perf'], '-p', str(port), *options])

    def perf_server(self, *options: str) -> tuple[Program, int]:
        """A pjsip-perf that answers, and its port."""
        port = free_port()
        server = self.perf_program(port, *options)
        server.wait_line('Press <ENTER> to quit')
        return server, port

    def perf_load(self, server: Program, url: str, method: str, count: int, window: int, *options: str) -> Load:
        """Let a pjsip-perf send `count` requests (or make calls, with INVITE) and wait for all answers."""
        with Program([self._programs['pjsip-perf'], '-p', str(free_port()), '-m', method, '-c', str(count), '-w', str(window), *options, url]) as client:
            client.wait_line('^Sending ')
            before, server_before = client.cpu(), server.cpu()
            client.wait_line('jobs started, .*completed[.,]')
            time.sleep(SETTLE)
            after, server_after = client.cpu(), server.cpu()
            _, total = client.wait_line(r'Total (\d+) responses received in (\d+) ms')
            client.finish()
        good = sum(int(match[1]) for line in client.output if (match := re.match(r' - 200 responses: +(\d+)', line)))
        return Load(count, int(total[2]) / 1000, count - good, after - before, server_after - server_before)

    def pjsua(self, *options: str) -> tuple[Program, int]:
        """A pjsua without sound card that knows only PCMU, and its SIP port. Each of its calls uses four ports."""
        port = free_port()
        program = Program([self._programs['pjsua'], '--no-tcp', '--null-audio', '--no-color', '--app-log-level=0', '--log-level=0', '--no-vad',
                           '--max-calls=600', f'--local-port={port}', f'--rtp-port={free_port(4)}', '--dis-codec=*', '--add-codec=PCMU', *options])
        program.wait_line('You have [0-9]+ active')
        return program, port

    @property
    def handoff(self) -> Path:
        """The program that measures how long one thread takes to wake another."""
        return self._programs['handoff']
