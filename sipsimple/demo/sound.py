"""What the demo plays, and whether a recording contains it.

Speech is found again in two ways: its loudness curve must be that of the original (normalised cross-correlation, a value every 5 ms,
which also gives the delay), and piece by piece the wave form itself must be. Notes are found with Goertzel's filter. It is plain Python on
purpose; at 4 kHz it takes some tenths of a second.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import wave
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul
from pathlib import Path

__all__ = ['BURSTS', 'MELODY', 'Match', 'compare', 'goertzel', 'hear_notes', 'make_melody', 'make_speech', 'read_wave', 'write_wave']

RATE = 16000                            # of what is made here
ANALYSIS_RATE = 4000
FRAME = 20                              # samples from one value of the loudness curve to the next, 5 ms
SMOOTH = 5                              # frames that a value is taken over
PIECE = 1000                            # samples of a piece of the wave form, 250 ms
PIECE_SHIFT = 240                       # 60 ms: how far a piece may be from where the delay puts it, as jitter buffers move things
MAX_DELAY = 2.0                         # seconds

TEXT = 'Hello Bob, this is Alice. Can you hear me?'
# Hz and seconds. Neighbours differ, so that the notes can be counted; all are below 3.4 kHz, the limit of a telephone.
MELODY = ((523.0, 0.25), (659.0, 0.25), (784.0, 0.25), (1047.0, 0.25), (784.0, 0.25), (523.0, 0.25))
# Stands in for speech: bursts of uneven length, whose loudness curve fits at one place only.
BURSTS = ((392.0, 0.31), (0.0, 0.09), (523.0, 0.17), (587.0, 0.23), (0.0, 0.21), (440.0, 0.41), (0.0, 0.05), (698.0, 0.13), (0.0, 0.11),
              (330.0, 0.29), (494.0, 0.19), (0.0, 0.27), (880.0, 0.11), (0.0, 0.07), (622.0, 0.37))


@dataclass(frozen=True)
class Match:
    """How a recording resembles the original.

    Attributes:
        delay: seconds from the start of the recording to the start of the original in it.
        loudness: correlation of the loudness curves, -1 to 1.
        waveform: median of the correlations of the pieces.
        found: part of the loud pieces that are in the recording, 0 to 1.
    """

    delay: float
    loudness: float
    waveform: float
    found: float

    @property
    def good(self) -> bool:
        """Whether somebody who listens would call it the same."""
        return self.loudness >= 0.9 and self.waveform >= 0.6 and self.found >= 0.9


# ---- making ------------------------------------------------------------------------------------------------------


def make_speech(path: Path) -> str:
    """Write what alice says; returns 'speech', or 'tones' on a machine without espeak-ng."""
    program = shutil.which('espeak-ng')
    if program is not None:
        try:
            subprocess.run([program, '-s', '190', '-w', str(path), TEXT], check=True, capture_output=True, timeout=10)
            rate, samples = read_wave(path)
            if rate <= len(samples) <= 8 * rate and max(samples) > 3000:
                return 'speech'
        except (subprocess.SubprocessError, OSError, ValueError):
            pass                        # installed, but not in working order
    make_melody(path, BURSTS)
    return 'tones'


def make_melody(path: Path, notes: Sequence[tuple[float, float]] = MELODY) -> None:
    """Write notes (Hz, seconds) to a .wav file; 0 Hz is silence."""
    fade = RATE // 200
    samples = array('h')
    for frequency, seconds in notes:
        count = round(seconds * RATE)
        step = 2 * math.pi * frequency / RATE
        samples.extend(round(12000 * min(1.0, i / fade, (count - i) / fade) * math.sin(step * i)) for i in range(count))
    write_wave(path, RATE, samples)


def write_wave(path: Path, rate: int, samples: array[int]) -> None:
    """Write 16-bit samples as a mono .wav file."""
    if sys.byteorder == 'big':
        samples = array('h', samples)
        samples.byteswap()
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def read_wave(path: Path) -> tuple[int, array[int]]:
    """Return sample rate and samples of a 16-bit mono .wav file. ValueError: it is none."""
    try:
        with wave.open(str(path), 'rb') as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise ValueError(f'{path} is not 16-bit mono')
            rate, samples = file.getframerate(), array('h')
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f'{path} is no .wav file: {error}') from None
    samples.frombytes(data[:len(data) // 2 * 2])
    if sys.byteorder == 'big':
        samples.byteswap()
    return rate, samples


# ---- comparing ---------------------------------------------------------------------------------------------------


def _resample(samples: Sequence[int], rate: int) -> list[float]:
    """Lower the sample rate to ANALYSIS_RATE: each value is the mean of the time it stands for."""
    sums = [0, *accumulate(samples)]
    step = rate / ANALYSIS_RATE

    def integral(position: float) -> float:
        whole = int(position)
        return sums[whole] + (samples[whole] * (position - whole) if whole < len(samples) else 0)

    edges = [integral(i * step) for i in range(int(len(samples) / step) + 1)]
    return [(after - before) / step for before, after in pairwise(edges)]


def _loudness(signal: Sequence[float]) -> list[float]:
    """The loudness around every 5 ms, over SMOOTH frames: longer than the periods of a voice, which the curve must not follow."""
    sums = [0.0, *accumulate(map(mul, signal, signal))]
    return [math.sqrt((sums[i + SMOOTH * FRAME] - sums[i]) / (SMOOTH * FRAME)) for i in range(0, len(signal) - SMOOTH * FRAME + 1, FRAME)]


def _correlate(first: Sequence[float], second: Sequence[float]) -> float:
    """The normalised correlation of two sequences of the same length; 0 when one is silent."""
    power = sum(map(mul, first, first)) * sum(map(mul, second, second))
    return sum(map(mul, first, second)) / math.sqrt(power) if power > 0 else 0.0


def _correlate_curves(first: Sequence[float], second: Sequence[float]) -> float:
    """The same without the mean, which is what two loudness curves have in common anyway."""
    mean1, mean2 = sum(first) / len(first), sum(second) / len(second)
    return _correlate([value - mean1 for value in first], [value - mean2 for value in second])


def compare(original: Path, recording: Path) -> Match:
    """Look for the original in a recording, which may begin up to MAX_DELAY earlier and have another sample rate.

    Raises:
        ValueError: one of the files is no 16-bit mono .wav file, or the original is shorter than a piece.
    """
    played, heard = (_resample(samples, rate) for rate, samples in (read_wave(original), read_wave(recording)))
    if len(played) < PIECE:
        raise ValueError(f'{original} is too short')
    curve1 = _loudness(played)
    curve2 = _loudness(heard) + [0.0] * (len(curve1) + 1)
    shifts = range(min(int(MAX_DELAY * ANALYSIS_RATE) // FRAME, len(curve2) - len(curve1)))
    loudness, shift = max((_correlate_curves(curve1, curve2[shift:shift + len(curve1)]), shift) for shift in shifts)

    pieces = [(start, played[start:start + PIECE]) for start in range(0, len(played) - PIECE + 1, PIECE)]
    powers = [sum(map(mul, piece, piece)) for _, piece in pieces]
    loud = [piece for piece, power in zip(pieces, powers, strict=True) if power > max(powers) / 300]
    heard = [0.0] * PIECE_SHIFT + heard + [0.0] * (PIECE + 2 * PIECE_SHIFT)
    found = sorted(_best_place(piece, heard[start + shift * FRAME:start + shift * FRAME + PIECE + 2 * PIECE_SHIFT]) for start, piece in loud)
    if not found:
        return Match(shift * FRAME / ANALYSIS_RATE, loudness, 0.0, 0.0)
    return Match(shift * FRAME / ANALYSIS_RATE, loudness, found[len(found) // 2], sum(value >= 0.5 for value in found) / len(found))


def _best_place(piece: Sequence[float], place: Sequence[float]) -> float:
    """The best correlation of a piece with any part of a place."""
    size = len(piece)
    own = sum(map(mul, piece, piece))
    squares = [0.0, *accumulate(map(mul, place, place))]
    best = 0.0
    for shift in range(len(place) - size + 1):
        power = own * (squares[shift + size] - squares[shift])
        if power > 0:
            best = max(best, sum(map(mul, piece, place[shift:shift + size])) / math.sqrt(power))
    return best


def goertzel(samples: Sequence[float], rate: int, frequency: float) -> float:
    """Return the part of the power of the samples that is at `frequency`: 1 for a pure tone, near 0 for anything else."""
    energy: float = sum(map(mul, samples, samples))
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    last = before = 0.0
    for sample in samples:
        last, before = sample + coefficient * last - before, last
    return (last * last + before * before - coefficient * last * before) * 2 / (len(samples) * energy)


def hear_notes(recording: Path, notes: Sequence[tuple[float, float]] = MELODY) -> list[float]:
    """Return the notes (Hz) that follow one another in a recording; only those in `notes` are listened for. ValueError: no .wav file."""
    rate, samples = read_wave(recording)
    signal = _resample(samples, rate)
    frequencies = sorted({frequency for frequency, _ in notes if frequency})
    window, hop = ANALYSIS_RATE // 10, ANALYSIS_RATE // 20
    heard: list[float] = []
    current: float | None = None
    for start in range(0, len(signal) - window + 1, hop):
        frame = signal[start:start + window]
        share, frequency = max((goertzel(frame, ANALYSIS_RATE, frequency), frequency) for frequency in frequencies)
        loud = sum(map(mul, frame, frame)) / window > 300 ** 2
        note = frequency if loud and share > 0.7 else None
        if note is not None and note != current:
            heard.append(note)
        current = note if note is not None or not loud else current         # between two notes no one is pure
    return heard
