"""Other programs that tests talk to: ports for them, what they say and what they have heard."""

from __future__ import annotations

import array
import os
import random
import socket
import sys
import wave
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from sipsimple.demo import sound

__all__ = ['Notes', 'environment', 'free_ports', 'hear', 'is_bound', 'read_mono', 'write_notes']

Notes = Sequence[tuple[float, float]]


def environment() -> dict[str, str]:
    """For programs that are not ours: of a test run with --asan they shall not know."""
    return {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}


_given: deque[int] = deque(maxlen=1000)         # ports handed out lately, which need not be bound yet


def free_ports(count: int = 1) -> int:
    """The first of `count` ports in a row on 127.0.0.1 that nobody uses, neither UDP nor TCP. None of them is given again soon."""
    for _ in range(1000):
        first = random.randrange(20000, 32000, 2)
        if not set(_given).isdisjoint(range(first, first + count)):
            continue
        sockets: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    sockets.append(socket.socket(socket.AF_INET, kind))
                    sockets[-1].bind(('127.0.0.1', port))
            _given.extend(range(first, first + count))
            return first
        except OSError:
            continue
        finally:
            for item in sockets:
                item.close()
    raise AssertionError('there are no free ports')


def is_bound(port: int, transport: str) -> bool:
    """Whether somebody has this port of 127.0.0.1, 'udp' or 'tcp'; for tcp: listens at it."""
    if transport == 'tcp':
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0
    # Not by binding it: who is about to would find it taken.
    lines = Path('/proc/net/udp').read_text(encoding='ascii').splitlines()[1:]
    return any(line.split()[1] in (f'0100007F:{port:04X}', f'00000000:{port:04X}') for line in lines)


# ---- sound ---------------------------------------------------------------------------------------------------------


def write_notes(path: Path, notes: Notes, rate: int = 16000) -> Path:
    """Write notes (Hz, seconds) to a .wav file of that sample rate."""
    sound.make_melody(path, notes)
    if rate != sound.RATE:
        _, samples = sound.read_wave(path)
        assert sound.RATE % rate == 0
        sound.write_wave(path, rate, samples[::sound.RATE // rate])         # all notes are far below half of either rate
    return path


def read_mono(path: Path) -> Path:
    """A recording with one channel: the first one of `path`."""
    with wave.open(str(path)) as file:
        channels, rate, data = file.getnchannels(), file.getframerate(), file.readframes(file.getnframes())
    if channels == 1:
        return path
    samples = array.array('h')
    samples.frombytes(data[:len(data) // (2 * channels) * 2 * channels])
    if sys.byteorder == 'big':
        samples.byteswap()
    mono = path.with_suffix('.mono.wav')
    sound.write_wave(mono, rate, samples[::channels])
    return mono


def hear(path: Path, notes: Notes) -> list[float]:
    """The notes (Hz) that follow one another in a recording."""
    return sound.hear_notes(read_mono(path), notes)
