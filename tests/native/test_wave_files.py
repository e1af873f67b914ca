"""Wave files: formats, ends, broken input, recordings."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipsimple.core._mixer import AudioMixer
from sipsimple.core._wave import RecordingWaveFile, WaveFile
from sipsimple.core.errors import PJSIPError, SIPCoreError
from tests.native.audio_support import Inbox, audio_objects, engine, eventually, loud_part, middle, no_leaks, read_samples, share, write_tone

__all__ = ['engine', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')
RATE = 16000


@pytest.fixture
def mixer(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[AudioMixer]:
    yield AudioMixer(None, None, RATE, 0)
    del request.node.funcargs['mixer']      # it should be gone when no_leaks looks


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack('<I', len(data) if size is None else size) + data + b'\0' * (len(data) & 1)


def wave_file(format_chunk: bytes, data: bytes, extra: bytes = b'', data_size: int | None = None) -> bytes:
    body = b'WAVE' + chunk(b'fmt ', format_chunk) + extra + chunk(b'data', data, data_size)
    return b'RIFF' + struct.pack('<I', len(body)) + body


def fmt(tag: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, block: int | None = None) -> bytes:
    block = channels * bits // 8 if block is None else block
    return struct.pack('<HHIIHH', tag, channels, rate, rate * block & 0xffffffff, block, bits)


def sine(count: int, rate: int = 8000, frequency: float = 500) -> list[float]:
    return [0.5 * math.sin(2 * math.pi * frequency * i / rate) for i in range(count)]


def ulaw(value: float) -> int:
    """ITU-T G.711, one sample."""
    sample = int(value * 32635)
    sign, sample = (0x80, -sample) if sample < 0 else (0, sample)
    sample = min(sample, 32635) + 0x84
    exponent = max(sample.bit_length() - 8, 0)
    return ~(sign | exponent << 4 | (sample >> exponent + 3 & 0x0f)) & 0xff


ENCODINGS = {
    'u8': (fmt(bits=8), lambda v: struct.pack('B', 128 + int(v * 127))),
    's16': (fmt(), lambda v: struct.pack('<h', int(v * 32767))),
    's24': (fmt(bits=24), lambda v: struct.pack('<i', int(v * 8388607))[:3]),
    's32': (fmt(bits=32), lambda v: struct.pack('<i', int(v * 2147483647))),
    'float': (fmt(tag=3, bits=32), lambda v: struct.pack('<f', v)),
    'ulaw': (fmt(tag=7, bits=8), lambda v: bytes([ulaw(v)])),
    'stereo': (fmt(channels=2), lambda v: struct.pack('<hh', int(v * 32767), int(v * 32767))),
    'extensible': (struct.pack('<HHIIHHHHI', 0xfffe, 1, 8000, 16000, 2, 16, 22, 16, 4) + struct.pack('<H', 1) + bytes(14),
                   lambda v: struct.pack('<h', int(v * 32767))),
}


def play_and_record(mixer: AudioMixer, source: Path, target: Path) -> list[int]:
    player, recorder = WaveFile(mixer, str(source)), RecordingWaveFile(mixer, str(target))
    inbox = Inbox('WaveFileDidFinishPlaying', player)
    recorder.start()
    player.start()
    mixer.connect_slots(player.slot or 0, recorder.slot or 0)
    inbox.wait()
    recorder.stop()
    inbox.close()
    return read_samples(target)[0]


@pytest.mark.parametrize('name', ENCODINGS)
def test_formats(mixer: AudioMixer, tmp_path: Path, name: str) -> None:
    format_chunk, encode = ENCODINGS[name]
    source = tmp_path / 'in.wav'
    source.write_bytes(wave_file(format_chunk, b''.join(encode(value) for value in sine(4000)), chunk(b'LIST', b'odd')))
    samples = play_and_record(mixer, source, tmp_path / 'out.wav')
    assert share(middle(samples, RATE, 0.2), RATE, 500) > 0.97
    assert 0.4 < max(samples) / 32767 < 0.6


def test_length_of_what_is_heard(mixer: AudioMixer, tmp_path: Path) -> None:
    samples = play_and_record(mixer, write_tone(tmp_path / 'in.wav', 440, 0.7, RATE), tmp_path / 'out.wav')
    assert abs(len(loud_part(samples)) / RATE - 0.7) < 0.03


BROKEN = {
    'empty': b'',
    'text': b'hello, this is not a wave file' * 10,
    'riff only': b'RIFF',
    'other riff': b'RIFF\x04\0\0\0AVI ',
    'no chunks': b'RIFF\x04\0\0\0WAVE',
    'data before fmt': b'RIFF\0\0\0\0WAVE' + chunk(b'data', b'\0' * 100),
    'zero rate': wave_file(fmt(rate=0), b'\0' * 1000),
    'zero channels': wave_file(fmt(channels=0), b'\0' * 1000),
    'zero bits': wave_file(fmt(bits=0), b'\0' * 1000),
    'zero block': wave_file(fmt(block=0), b'\0' * 1000),
    'lying block': wave_file(fmt(block=7), b'\0' * 1000),
    'huge rate': wave_file(fmt(rate=0xffffffff), b'\0' * 1000),
    'many channels': wave_file(fmt(channels=65535, block=65534), b'\0' * 1000),
    'twelve bits': wave_file(fmt(bits=12), b'\0' * 1000),
    'adpcm': wave_file(fmt(tag=2, bits=4), b'\0' * 1000),
    'short fmt': wave_file(fmt()[:10], b'\0' * 1000),
    'empty fmt': wave_file(b'', b'\0' * 1000),
    'no data': wave_file(fmt(), b''),
    'half a sample': wave_file(fmt(), b'\1'),
    'chunk past the end': b'RIFF\0\0\0\0WAVE' + chunk(b'fmt ', fmt()) + chunk(b'junk', b'', 0xfffffff0),
    'endless chunks': b'RIFF\0\0\0\0WAVE' + chunk(b'junk', b'') * 5000 + chunk(b'fmt ', fmt()) + chunk(b'data', b'\0' * 100),
}


@pytest.mark.parametrize('name', BROKEN)
def test_broken_files(mixer: AudioMixer, tmp_path: Path, name: str) -> None:
    source = tmp_path / 'broken.wav'
    source.write_bytes(BROKEN[name])
    player = WaveFile(mixer, str(source))
    with pytest.raises(PJSIPError) as caught:
        player.start()
    assert caught.value.status and 'broken.wav' in str(caught.value)
    assert not player.is_active and player.slot is None and mixer.used_slot_count == 0


def test_every_truncation(mixer: AudioMixer, tmp_path: Path) -> None:
    whole = wave_file(fmt(), struct.pack('<160h', *range(160)), chunk(b'LIST', b'abc'))
    header = len(whole) - 320
    source = tmp_path / 'cut.wav'
    for length in range(header + 2):
        source.write_bytes(whole[:length])
        with pytest.raises(PJSIPError):
            WaveFile(mixer, str(source)).start()
    source.write_bytes(whole[:header + 2])          # one sample is a file
    player = WaveFile(mixer, str(source))
    inbox = Inbox('WaveFileDidFinishPlaying', player)
    player.start()
    inbox.wait()
    inbox.close()


@pytest.mark.parametrize('size', [0, 0xffffffff, 100000])
def test_wrong_data_size_plays_what_is_there(mixer: AudioMixer, tmp_path: Path, size: int) -> None:
    source = tmp_path / 'in.wav'
    source.write_bytes(wave_file(fmt(), struct.pack('<4000h', *(int(v * 32767) for v in sine(4000))), data_size=size))
    samples = play_and_record(mixer, source, tmp_path / 'out.wav')
    assert abs(len(loud_part(samples)) / RATE - 0.5) < 0.03


def test_unreadable_files(mixer: AudioMixer, tmp_path: Path) -> None:
    import errno
    cases = {tmp_path / 'missing.wav': errno.ENOENT, tmp_path: errno.EISDIR}
    os.mkfifo(tmp_path / 'pipe')
    cases[tmp_path / 'pipe'] = errno.EINVAL         # and does not block
    for path, code in cases.items():
        with pytest.raises(PJSIPError) as caught:
            WaveFile(mixer, str(path)).start()
        assert caught.value.errno == code
    for path in (tmp_path / 'no folder' / 'x.wav', tmp_path):
        with pytest.raises(PJSIPError):
            RecordingWaveFile(mixer, str(path)).start()


def test_arguments(mixer: AudioMixer) -> None:
    for kind in (WaveFile, RecordingWaveFile):
        with pytest.raises(ValueError):
            kind(None, 'x.wav')                     # type: ignore[arg-type]
        with pytest.raises(ValueError):
            kind(mixer, None)                       # type: ignore[arg-type]
        with pytest.raises(TypeError):
            kind(mixer, b'x.wav')                   # type: ignore[arg-type]
        with pytest.raises(ValueError):
            kind(mixer, 'x\0y')
        made = kind(mixer, 'x.wav')
        with pytest.raises(SIPCoreError):
            made.__init__(mixer, 'x.wav')           # type: ignore[misc]
        assert made.mixer is mixer and made.filename == 'x.wav'
        made.stop()                                 # idempotent
    with pytest.raises(ValueError):
        WaveFile(mixer, 'x.wav').volume = -1


def test_any_file_name(mixer: AudioMixer, tmp_path: Path) -> None:
    for name in ('Türglocke 门铃 🔔.wav', 'byte\udcff.wav', '%s%n.wav'):
        path = tmp_path / name
        recorder = RecordingWaveFile(mixer, str(path))
        recorder.start()
        recorder.stop()
        assert path.stat().st_size == 44


def test_finished_once_for_each_start(mixer: AudioMixer, tmp_path: Path) -> None:
    player = WaveFile(mixer, str(write_tone(tmp_path / 'in.wav', 500, 0.1)))
    inbox = Inbox('WaveFileDidFinishPlaying', player)
    for _ in range(3):                              # to the end, unheard
        player.start()
        with pytest.raises(SIPCoreError):
            player.start()
        inbox.wait()
        assert not player.is_active and player.slot is None
    for _ in range(20):                             # stopped before it
        player.start()
        player.stop()
        player.stop()
    for _ in range(20):
        inbox.wait()
    assert inbox.names() == []
    inbox.close()


def test_stop_at_the_end_of_the_file(mixer: AudioMixer, tmp_path: Path) -> None:
    """The end of the file and stop() at the same time: one notification, nothing left."""
    source = write_tone(tmp_path / 'in.wav', 500, 0.02)
    players = [WaveFile(mixer, str(source)) for _ in range(100)]
    inbox = Inbox('WaveFileDidFinishPlaying')
    for start in range(10):
        for player in players:
            player.start()
        goal = mixer.frames_mixed + start % 3
        eventually(lambda goal=goal: mixer.frames_mixed > goal)  # type: ignore[misc]
        for player in players:
            player.stop()
        for _ in players:
            inbox.wait()
    assert inbox.names() == []
    inbox.close()


def test_silence_of_connected_slots_is_recorded(mixer: AudioMixer, tmp_path: Path) -> None:
    from sipsimple.core._tone import ToneGenerator
    tone, recorder = ToneGenerator(mixer), RecordingWaveFile(mixer, str(tmp_path / 'out.wav'))
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    tone.start()
    recorder.start()
    frames = mixer.frames_mixed
    assert eventually(lambda: mixer.frames_mixed > frames + 10)
    mixer.connect_slots(tone.slot or 0, recorder.slot or 0)
    tone.play_tones([(600, 0, 200)])
    inbox.wait()
    frames = mixer.frames_mixed
    assert eventually(lambda: mixer.frames_mixed >= frames + 15)     # nothing is played
    tone.play_tones([(600, 0, 200)])
    inbox.wait()
    recorder.stop()
    length = len(loud_part(read_samples(tmp_path / 'out.wav')[0])) / RATE
    assert 0.65 < length < 0.95
    inbox.close()


def test_overwrites(mixer: AudioMixer, tmp_path: Path) -> None:
    target = tmp_path / 'out.wav'
    target.write_bytes(b'x' * 100000)
    recorder = RecordingWaveFile(mixer, str(target))
    recorder.start()
    recorder.stop()
    with pytest.raises(SIPCoreError):
        recorder.start()
    with wave.open(str(target)) as file:
        assert (file.getnframes(), file.getframerate()) == (0, RATE)


def test_full_disk(mixer: AudioMixer, tmp_path: Path) -> None:
    """A write error is told by stop(), and the mixer goes on."""
    import resource
    import signal

    from sipsimple.core._tone import ToneGenerator
    tone, recorder = ToneGenerator(mixer), RecordingWaveFile(mixer, str(tmp_path / 'out.wav'))
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    old_limit, old_handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        tone.start()
        recorder.start()
        mixer.connect_slots(tone.slot or 0, recorder.slot or 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old_limit[1]))
        tone.play_tones([(600, 0, 1500)])
        inbox.wait()
        with pytest.raises(PJSIPError) as caught:
            recorder.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert caught.value.errno
    inbox.close()


CUT_SHORT = '''
import os, signal, sys
from tests.native.audio_support import Inbox, eventually
from sipsimple.core.engine import Engine
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._tone import ToneGenerator
from sipsimple.core._wave import RecordingWaveFile
inbox = Inbox(sender=Engine())
Engine().start(udp_port=None)
inbox.wait('SIPEngineDidStart')
mixer = AudioMixer(None, None, 16000, 0)
tone, recorder = ToneGenerator(mixer), RecordingWaveFile(mixer, sys.argv[1])
tone.start(); recorder.start()
mixer.connect_slots(tone.slot, recorder.slot)
tone.play_tones([(600, 0, 30000)])
eventually(lambda: mixer.frames_mixed > 75)
os.kill(os.getpid(), signal.SIGKILL)
'''


def test_recording_survives_the_death_of_the_process(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, '-c', CUT_SHORT, str(tmp_path / 'out.wav')], cwd=root, timeout=30, check=False)
    samples, rate = read_samples(tmp_path / 'out.wav')
    assert len(samples) >= rate * 0.9
    assert share(middle(samples, rate), rate, 600) > 0.98


def test_engine_stop_ends_everything(tmp_path: Path) -> None:
    """In a process of its own: players and recorders that run when the Engine stops."""
    script = '''
import sys
from tests.native.audio_support import Inbox, audio_objects, read_samples
from pathlib import Path
from sipsimple.core.engine import Engine
from sipsimple.core._mixer import AudioMixer, MixerPort
from sipsimple.core._wave import RecordingWaveFile, WaveFile
from sipsimple.core.errors import SIPCoreError
inbox = Inbox()
for turn in range(3):
    Engine().start(udp_port=None)
    inbox.wait('SIPEngineDidStart')
    mixers = [AudioMixer(None, None, 16000, 0) for _ in range(2)]
    things = []
    for mixer in mixers:
        player, recorder = WaveFile(mixer, sys.argv[1]), RecordingWaveFile(mixer, sys.argv[2] + str(len(things)))
        player.start(); recorder.start()
        mixer.connect_slots(player.slot, recorder.slot)
        things += [player, recorder]
    Engine().stop()
    inbox.wait('SIPEngineDidEnd')
    Engine().join(10)
    assert audio_objects() in ({}, {'bound': 4}, {'bound': 2}), audio_objects()
    for thing in things:
        assert not thing.is_active and thing.slot is None
        thing.stop()
        try:
            thing.start()
        except SIPCoreError:
            pass
        else:
            raise AssertionError('started without an Engine')
    assert mixers[0].connected_slots == [] and mixers[0].used_slot_count == 0
    read_samples(Path(sys.argv[2] + '0'))
    del things, thing, mixers, mixer, player, recorder
print('fine')
'''
    root = Path(__file__).resolve().parents[2]
    source = write_tone(tmp_path / 'in.wav', 500, 3)
    done = subprocess.run([sys.executable, '-X', 'faulthandler', '-c', script, str(source), str(tmp_path / 'out')], cwd=root, timeout=60,
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == 'fine\n' and done.stderr == '', done.stderr
    assert audio_objects() == {}
