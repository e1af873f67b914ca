"""Players, recorders and conferences on a real mixer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sipsimple.audio import AudioBridge, AudioDevice, IAudioPort, RootAudioBridge, WavePlayer, WavePlayerError, WaveRecorder
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.errors import PJSIPError
from sipsimple.threading import reactor
from tests.native.audio_support import Inbox, engine, eventually, middle, no_leaks, read_samples, share, write_tone

__all__ = ['engine', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')
RATE = 16000


@pytest.fixture
def mixer(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[AudioMixer]:
    reactor.start()
    yield AudioMixer(None, None, RATE, 0)
    del request.node.funcargs['mixer']


@pytest.fixture
def tone(tmp_path: Path) -> str:
    return str(write_tone(tmp_path / 'tone.wav', 800, 0.4, 8000))


def test_interfaces(mixer: AudioMixer, tone: str) -> None:
    for port in (WavePlayer(mixer, tone), WaveRecorder(mixer, tone), AudioDevice(mixer), AudioBridge(mixer)):
        assert verifyObject(IAudioPort, port) and port.mixer is mixer


def test_player_to_recorder(mixer: AudioMixer, tone: str, tmp_path: Path) -> None:
    target = tmp_path / 'new folder' / 'deeper' / 'out.wav'
    bridge, player, recorder = RootAudioBridge(mixer), WavePlayer(mixer, tone), WaveRecorder(mixer, str(target))
    bridge.add(player)
    bridge.add(recorder)
    slots, inbox = Inbox('AudioPortDidChangeSlots', recorder), Inbox(sender=player)
    recorder.start()
    recorder.start()
    assert recorder.is_active and recorder.consumer_slot is not None
    data = slots.wait().data
    assert (data.old_consumer_slot, data.new_consumer_slot) == (None, recorder.consumer_slot)
    player.start()
    assert player.is_active and player.producer_slot is not None
    player.start()
    assert inbox.wait().name == 'AudioPortDidChangeSlots'
    assert inbox.wait('WavePlayerDidStart').data.timestamp.tzinfo is not None
    assert inbox.wait('WavePlayerDidEnd').data.timestamp.tzinfo is not None
    assert not player.is_active and player.producer_slot is None
    recorder.stop()
    recorder.stop()
    assert not recorder.is_active and recorder.consumer_slot is None
    samples, rate = read_samples(target)
    assert share(middle(samples, rate, 0.2), rate, 800) > 0.97
    recorder.start()                        # reusable, overwrites
    recorder.stop()
    assert target.stat().st_size == 44
    slots.close()
    inbox.close()


def test_nested_bridges_carry_audio(mixer: AudioMixer, tone: str, tmp_path: Path) -> None:
    inner, other, outer = AudioBridge(mixer), AudioBridge(mixer), RootAudioBridge(mixer)
    player, recorder = WavePlayer(mixer, tone), WaveRecorder(mixer, str(tmp_path / 'out.wav'))
    inner.add(player)
    other.add(recorder)
    outer.add(inner)
    outer.add(other)
    inbox = Inbox('WavePlayerDidEnd', player)
    recorder.start()
    player.start()
    inbox.wait()
    recorder.stop()
    samples, rate = read_samples(tmp_path / 'out.wav')
    assert share(middle(samples, rate, 0.2), rate, 800) > 0.97
    inbox.close()


def test_loops_and_pauses(mixer: AudioMixer, tmp_path: Path) -> None:
    import time
    source = str(write_tone(tmp_path / 'short.wav', 800, 0.06))
    player = WavePlayer(mixer, source, loop_count=3, pause_time=0.2, initial_play=False)
    inbox = Inbox(sender=player)
    began = time.monotonic()
    player.start()
    assert player.is_active and player.producer_slot is None
    inbox.wait('WavePlayerDidStart')
    assert time.monotonic() - began >= 0.19
    inbox.wait('WavePlayerDidEnd')
    assert 0.7 < time.monotonic() - began < 3
    player.initial_play, player.pause_time, player.loop_count = True, 0, 0
    player.start()
    plays = 0
    while plays < 4:                        # endless, until stopped
        data = inbox.wait('AudioPortDidChangeSlots').data
        plays += data.new_producer_slot is not None
    player.stop()
    player.stop()
    inbox.wait('WavePlayerDidEnd')
    assert not player.is_active
    inbox.close()


def test_stop_in_a_pause(mixer: AudioMixer, tone: str) -> None:
    player = WavePlayer(mixer, tone, pause_time=60, initial_play=False)
    inbox = Inbox(sender=player)
    player.start()
    player.stop()
    inbox.wait('WavePlayerDidEnd')
    assert not player.is_active and inbox.names() == []
    inbox.close()


def test_failure(mixer: AudioMixer, tmp_path: Path) -> None:
    player = WavePlayer(mixer, str(tmp_path / 'missing.wav'))
    inbox = Inbox(sender=player)
    player.start()
    assert isinstance(inbox.wait('WavePlayerDidFail').data.error, PJSIPError)
    assert not player.is_active and inbox.names() == []
    with pytest.raises(PJSIPError):
        recorder = WaveRecorder(mixer, str(tmp_path))
        recorder.start()
    with pytest.raises(OSError):
        (tmp_path / 'file').touch()
        WaveRecorder(mixer, str(tmp_path / 'file' / 'x.wav')).start()
    inbox.close()


def test_play_is_waitable(mixer: AudioMixer, tone: str, tmp_path: Path) -> None:
    player = WavePlayer(mixer, tone)
    inbox = Inbox(sender=player)
    outcome = player.play()
    inbox.wait('WavePlayerDidStart')
    with pytest.raises(WavePlayerError):
        player.play().result(5)
    assert outcome.result(5) is None
    assert not player.is_active
    with pytest.raises(WavePlayerError) as caught:
        WavePlayer(mixer, str(tmp_path / 'missing.wav')).play().result(5)
    assert isinstance(caught.value.__cause__, PJSIPError)
    stopped = player.play()
    inbox.wait('WavePlayerDidStart')
    player.stop()
    assert stopped.result(5) is None
    inbox.close()


def test_very_short_file_tells_its_start_first(mixer: AudioMixer, tmp_path: Path) -> None:
    player = WavePlayer(mixer, str(write_tone(tmp_path / 'tick.wav', 800, 0.001)))
    inbox = Inbox(sender=player)
    for _ in range(20):
        player.start()
        inbox.wait('WavePlayerDidStart')
        inbox.wait('WavePlayerDidEnd')
    inbox.close()


class Stream:
    """What a conference uses of an AudioStream."""

    def __init__(self, mixer: AudioMixer) -> None:
        self.mixer = mixer
        self.device = AudioDevice(mixer)
        self.bridge = AudioBridge(mixer)
        self.bridge.add(self.device)


def test_conference(mixer: AudioMixer, tone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType('sipsimple.application')
    module.SIPApplication = SimpleNamespace(voice_audio_mixer=None)     # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'sipsimple.application', module)
    from sipsimple.conference import AudioConference
    with pytest.raises(RuntimeError):
        AudioConference()
    application: Any = module
    application.SIPApplication.voice_audio_mixer = mixer
    conference, streams = AudioConference(), [Stream(mixer) for _ in range(3)]
    with pytest.raises(ValueError):
        conference.remove(streams[0])
    for stream in streams:
        conference.add(stream)
        conference.add(stream)
        assert stream.device not in stream.bridge and stream.bridge in conference.bridge
    assert conference.streams == streams
    player, recorder = WavePlayer(mixer, tone), WaveRecorder(mixer, str(tmp_path / 'heard.wav'))
    streams[0].bridge.add(player)
    streams[2].bridge.add(recorder)
    inbox = Inbox('WavePlayerDidEnd', player)
    recorder.start()
    player.start()
    inbox.wait()
    recorder.stop()
    samples, rate = read_samples(tmp_path / 'heard.wav')
    assert share(middle(samples, rate, 0.2), rate, 800) > 0.97
    assert not conference.on_hold and conference.device in conference.bridge
    for _ in range(2):
        conference.hold()
        assert conference.on_hold and conference.device not in conference.bridge
    assert not any(0 in pair for pair in mixer.connected_slots)
    for _ in range(2):
        conference.unhold()
        assert not conference.on_hold and conference.device in conference.bridge
    for stream in streams:
        conference.remove(stream)
        assert stream.device in stream.bridge and stream.bridge not in conference.bridge
    assert conference.streams == []
    assert eventually(lambda: mixer.used_slot_count == 0)       # bridges in no bridge hold no slots
    application.SIPApplication.voice_audio_mixer = None
    inbox.close()
