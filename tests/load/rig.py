"""The processes of the load tests as a test sees them, and what it asks of sound."""

from __future__ import annotations

import cmath
import json
import math
import queue
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.child import environment
from tests.support.waiting import wait_until as until  # noqa: F401 - for the tests

ROOT = Path(__file__).parent.parent.parent
LIMIT = 60.0            # seconds for one step: the machine may be busy


class Process:
    """A child process; `do()` is one command."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.process = subprocess.Popen([sys.executable, '-m', f'tests.load.{kind}'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                                        env=environment())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put('')

    def begin(self, command: str, **arguments: Any) -> None:
        """Send a command without waiting for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({'do': command, **arguments}) + '\n')
        self.process.stdin.flush()

    def result(self, within: float = LIMIT) -> dict[str, Any]:
        """The answer to the command that was sent."""
        try:
            line = self._answers.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f'{self.kind}: no answer within {within} s') from None
        assert line, f'{self.kind} has ended with {self.process.wait()}'
        answer: dict[str, Any] = json.loads(line)
        assert 'error' not in answer, f'{self.kind}: {answer["error"]}\n{answer["traceback"]}'
        return answer

    def do(self, command: str, within: float = LIMIT, **arguments: Any) -> dict[str, Any]:
        self.begin(command, **arguments)
        return self.result(within)

    def wait(self, limit: float = LIMIT, **wanted: int) -> dict[str, int]:
        """Wait until things were counted so often; the counts."""
        answer = self.do('wait', limit + 10, **{'limit': limit, **wanted})
        counts: dict[str, int] = answer['counts']
        assert answer['reached'], f'{self.kind}: waited for {wanted}, had {counts}, {self.do("facts")}'
        return counts

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.do('counts')['counts']
        return counts

    def usage(self) -> dict[str, int]:
        answer: dict[str, int] = self.do('usage')['usage']
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in the orderly way."""
        if self.process.poll() is not None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'{self.kind} does not end') from None
        assert self.process.returncode == 0, f'{self.kind} has ended with {self.process.returncode}'


@contextmanager
def processes(*kinds: str) -> Iterator[list[Process]]:
    """Start processes; end them whatever happens."""
    running = [Process(kind) for kind in kinds]
    try:
        yield running
        for process in running:
            process.stop()
    finally:
        for process in running:
            if process.process.poll() is None:
                process.kill()


# ---- sound ---------------------------------------------------------------------------------------------------------

BLOCK = 0.02            # seconds; tones of multiples of 50 Hz do not disturb each other over this length


def write_tone(path: Path, frequency: int, seconds: float, rate: int, level: float = 0.25) -> Path:
    """A steady tone; one period of it repeats exactly if `frequency` divides `rate`."""
    period = b''.join(struct.pack('<h', round(32767 * level * math.sin(2 * math.pi * frequency * n / rate))) for n in range(rate // math.gcd(rate, frequency)))
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(period * (int(seconds * rate * 2) // len(period)))
    return path


def tone_levels(path: str | Path, frequency: int) -> list[float]:
    """How strong a tone is in each block of a recording, 1 = full scale."""
    with wave.open(str(path)) as file:
        rate, count = file.getframerate(), file.getnframes()
        data = struct.unpack(f'<{count}h', file.readframes(count))
    size = round(rate * BLOCK)
    turn = [cmath.exp(-2j * math.pi * frequency * n / rate) for n in range(size)]
    return [abs(sum(a * b for a, b in zip(data[start:start + size], turn, strict=True))) * 2 / size / 32768 for start in range(0, count - size + 1, size)]


def gaps(path: str | Path, frequency: int, skip: float = 0.5) -> tuple[int, list[float]]:
    """Blocks of a recording, and where (in seconds) the tone is weaker than half of what it usually is; not counting `skip` seconds at the ends."""
    levels = tone_levels(path, frequency)
    edge = round(skip / BLOCK)
    middle = levels[edge:len(levels) - edge]
    usual = sorted(middle)[len(middle) // 2] if middle else 0.0
    assert usual > 0.02, f'no tone of {frequency} Hz in {path}'
    return len(middle), [round((edge + number) * BLOCK, 2) for number, level in enumerate(middle) if level < usual / 2]
