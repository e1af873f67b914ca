"""What the audio tests share: a running Engine, notifications to wait for, tones to listen for."""

from __future__ import annotations

import math
import queue
import struct
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipsimple.core import _handles
from sipsimple.core.engine import Engine
from sipsimple.notification import NotificationCenter
from tests.support.waiting import wait_until as eventually

PATIENCE = 20.0        # s; only a failing test waits that long


class Inbox:
    """Collects notifications; wait() takes the next one of a name and forgets those before it, or keeps them for later."""

    def __init__(self, name: str | None = None, sender: Any = None) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()
        self._kept: list[Any] = []
        self._key = (name, sender)
        NotificationCenter().add_observer(self, name=name, sender=sender)

    def handle_notification(self, notification: Any) -> None:
        self._queue.put(notification)

    def wait(self, name: str | None = None, sender: Any = None, keep: bool = False, timeout: float = PATIENCE) -> Any:
        deadline = time.monotonic() + timeout

        def fits(notification: Any) -> bool:
            return (name is None or notification.name == name) and (sender is None or notification.sender is sender)
        for index, notification in enumerate(self._kept):
            if fits(notification):
                self._kept[:index + 1] = self._kept[:index] if keep else []
                return notification
        if not keep:
            self._kept.clear()
        while True:
            notification = self._queue.get(timeout=max(deadline - time.monotonic(), 0.001))
            if fits(notification):
                return notification
            if keep:
                self._kept.append(notification)

    def names(self) -> list[str]:
        """Names of what has come so far; forgets it."""
        names = [notification.name for notification in self._kept]
        self._kept.clear()
        while True:
            try:
                names.append(self._queue.get_nowait().name)
            except queue.Empty:
                return names

    def close(self) -> None:
        NotificationCenter().discard_observer(self, name=self._key[0], sender=self._key[1])


AUDIO_TYPES = ('wave_player', 'wave_recorder', 'tone', 'mixer_port', 'mixer', 'bound')


def audio_objects() -> dict[str, int]:
    live = _handles.live_objects()
    return {name: live[name] for name in AUDIO_TYPES if live[name]}


@pytest.fixture(scope='module')
def engine() -> Iterator[Engine]:
    engine = Engine()
    inbox = Inbox(sender=engine)
    engine.start(udp_port=None, tcp_port=None, tls_port=None)
    inbox.wait('SIPEngineDidStart')
    yield engine
    engine.stop()
    inbox.wait('SIPEngineDidEnd')
    inbox.close()
    engine.join(PATIENCE)
    assert eventually(lambda: not audio_objects()), audio_objects()


@pytest.fixture
def no_leaks(engine: Engine) -> Iterator[None]:
    """Every native audio object of the test is gone at its end."""
    import gc
    yield
    gc.collect()
    assert eventually(lambda: not audio_objects()), audio_objects()


def write_tone(path: Path, frequency: float, seconds: float, rate: int = 8000, channels: int = 1, level: float = 0.5) -> Path:
    """A 16-bit .wav file with a sine."""
    samples = [int(32767 * level * math.sin(2 * math.pi * frequency * i / rate)) for i in range(int(rate * seconds))]
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b''.join(struct.pack('<h', sample) * channels for sample in samples))
    return path


def read_samples(path: Path) -> tuple[list[int], int]:
    """Samples and rate of a 16-bit mono file."""
    with wave.open(str(path), 'rb') as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        data = file.readframes(file.getnframes())
        return list(struct.unpack(f'<{len(data) // 2}h', data)), file.getframerate()


def share(samples: list[int], rate: int, frequency: float) -> float:
    """How much of the energy is at that frequency, 0..1 (Goertzel)."""
    total = sum(sample * sample for sample in samples)
    if not total:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    first = second = 0.0
    for sample in samples:
        first, second = sample + coefficient * first - second, first
    power = first * first + second * second - coefficient * first * second
    return 2 * power / (total * len(samples))


def middle(samples: list[int], rate: int, seconds: float = 0.3) -> list[int]:
    """The middle part, away from the edges."""
    size = int(rate * seconds)
    start = max((len(samples) - size) // 2, 0)
    return samples[start:start + size]


def loud_part(samples: list[int]) -> list[int]:
    """From the first to the last sample that is not silence."""
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 200]
    return samples[loud[0]:loud[-1] + 1] if loud else []
