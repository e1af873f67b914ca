"""Tones: DTMF, queues, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipsimple.core._mixer import AudioMixer
from sipsimple.core._tone import DTMF_DIGITS, ToneGenerator
from sipsimple.core._wave import RecordingWaveFile
from sipsimple.core.errors import SIPCoreError
from tests.native.audio_support import Inbox, engine, loud_part, no_leaks, read_samples, share

__all__ = ['engine', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')
RATE = 8000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYPAD = {digit: (LOW[number // 4], HIGH[number % 4]) for number, digit in enumerate('123A456B789C*0#D')}


@pytest.fixture
def mixer(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[AudioMixer]:
    yield AudioMixer(None, None, RATE, 0)
    del request.node.funcargs['mixer']      # it should be gone when no_leaks looks


def test_arguments(mixer: AudioMixer) -> None:
    with pytest.raises(ValueError):
        ToneGenerator(None)                     # type: ignore[arg-type]
    tone = ToneGenerator(mixer)
    with pytest.raises(SIPCoreError):
        tone.play_tones([(400, 0, 10)])
    with pytest.raises(SIPCoreError):
        tone.play_dtmf('1')
    tone.start()
    with pytest.raises(SIPCoreError):
        tone.start()
    for digit in ('', '12', 'E', 'x', '٣'):
        with pytest.raises(SIPCoreError):
            tone.play_dtmf(digit)
    with pytest.raises(TypeError):
        tone.play_dtmf(5)                       # type: ignore[arg-type]
    for bad in ((-1, 0, 10), (400, -1, 10), (400, 0, -1), (400, 0, 40000), (100000, 0, 10)):
        with pytest.raises(ValueError):
            tone.play_tones([bad])
    with pytest.raises(SIPCoreError):
        tone.play_tones([(400, 0, 10)] * 33)
    with pytest.raises(ValueError):
        tone.volume = -1
    assert not tone.is_busy
    tone.play_tones([])
    assert not tone.is_busy
    tone.stop()
    tone.stop()
    assert tone.slot is None


def test_too_many_waiting(mixer: AudioMixer) -> None:
    tone = ToneGenerator(mixer)
    tone.start()
    tone.play_tones([(400, 0, 1000)] * 20)
    with pytest.raises(SIPCoreError):
        tone.play_tones([(400, 0, 1000)] * 20)
    assert tone.is_busy
    tone.stop()


@pytest.mark.parametrize('digits', ['0123456789*#ABCD', 'abcd'])
def test_dtmf(mixer: AudioMixer, tmp_path: Path, digits: str) -> None:
    tone, recorder = ToneGenerator(mixer), RecordingWaveFile(mixer, str(tmp_path / 'out.wav'))
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    tone.start()
    recorder.start()
    mixer.connect_slots(tone.slot or 0, recorder.slot or 0)
    for digit in digits:
        tone.play_dtmf(digit)
    inbox.wait()
    recorder.stop()
    samples = loud_part(read_samples(tmp_path / 'out.wav')[0])
    step = int(0.25 * RATE)
    heard = ''
    for start in range(0, len(samples), step):
        part = samples[start + 400:start + 1200]
        shares = {digit: (share(part, RATE, low), share(part, RATE, high)) for digit, (low, high) in KEYPAD.items()}
        heard += max(shares, key=lambda digit: min(shares[digit]))
        assert min(shares[heard[-1]]) > 0.3
    assert heard == digits.upper()
    assert set(DTMF_DIGITS) == set(KEYPAD)
    inbox.close()


def test_silence_between_tones(mixer: AudioMixer, tmp_path: Path) -> None:
    tone, recorder = ToneGenerator(mixer), RecordingWaveFile(mixer, str(tmp_path / 'out.wav'))
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    tone.start()
    recorder.start()
    mixer.connect_slots(tone.slot or 0, recorder.slot or 0)
    tone.play_tones([(0, 0, 100), (440, 0, 200), (0, 0, 200), (480, 620, 200)])
    inbox.wait()
    recorder.stop()
    samples = loud_part(read_samples(tmp_path / 'out.wav')[0])
    assert abs(len(samples) / RATE - 0.6) < 0.02
    assert share(samples[400:1200], RATE, 440) > 0.97
    assert max(abs(sample) for sample in samples[int(0.25 * RATE):int(0.35 * RATE)]) < 50
    last = samples[int(0.45 * RATE):int(0.55 * RATE)]
    assert min(share(last, RATE, 480), share(last, RATE, 620)) > 0.4
    inbox.close()


def test_restart_and_interruption(mixer: AudioMixer) -> None:
    tone = ToneGenerator(mixer)
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    for _ in range(3):
        tone.start()
        tone.play_tones([(400, 0, 60)])
        assert tone.is_busy
        inbox.wait()
        assert not tone.is_busy and tone.is_active
        tone.play_tones([(400, 0, 30000)])
        tone.stop()                             # cut short: told once
        assert not tone.is_busy and not tone.is_active
        inbox.wait()
    tone.start()
    tone.stop()                                 # nothing was played: nothing told
    tone.start()
    tone.play_dtmf('1')
    inbox.wait()
    tone.stop()
    assert inbox.names() == []
    inbox.close()
