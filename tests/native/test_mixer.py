"""The mixer: slots, connections, its clock, many participants, storms."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sipsimple.core import _diagnostics, _handles
from sipsimple.core._mixer import AudioMixer, MixerPort
from sipsimple.core._tone import ToneGenerator
from sipsimple.core._wave import RecordingWaveFile, WaveFile
from sipsimple.core.errors import PJSIPError, SIPCoreError
from tests.native.audio_support import Inbox, audio_objects, engine, eventually, middle, no_leaks, read_samples, share, write_tone
from tests.support.child import ROOT, environment

__all__ = ['engine', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')


def mixer(rate: int = 16000, **options: int) -> AudioMixer:
    return AudioMixer(None, None, rate, 0, **options)


def clock_cpu() -> int:
    """CPU time of all mixer threads of the process, in ticks."""
    total = 0
    for task in os.listdir('/proc/self/task'):
        try:
            name, _, rest = Path(f'/proc/self/task/{task}/stat').read_text().partition('(')[2].rpartition(')')
        except OSError:
            continue
        if name == 'mixer':
            total += sum(int(value) for value in rest.split()[11:13])
    return total


def test_arguments() -> None:
    for rate in (0, -50, 8001):
        with pytest.raises(ValueError):
            mixer(rate)
    with pytest.raises(ValueError):
        AudioMixer(None, None, 8000, -1)
    with pytest.raises(ValueError):
        mixer(slot_count=0)
    with pytest.raises(TypeError):
        AudioMixer(5, None, 8000, 0)            # type: ignore[arg-type]
    one = mixer()
    with pytest.raises(SIPCoreError):
        one.__init__(None, None, 16000, 0)      # type: ignore[misc]
    for bad in (-1, -7):
        with pytest.raises(ValueError):
            one.connect_slots(bad, 0)
        with pytest.raises(ValueError):
            one.disconnect_slots(0, bad)
    with pytest.raises(PJSIPError):
        one.connect_slots(0, 7)
    with pytest.raises(PJSIPError):
        one.connect_slots(100000, 0)
    with pytest.raises(ValueError):
        MixerPort(None)                         # type: ignore[arg-type]


def test_defaults_and_attributes() -> None:
    one = AudioMixer('system_default', 'no such device', 32000)
    assert (one.ec_tail_length, one.slot_count, one.sample_rate) == (200, 254, 32000)
    assert (one.input_device, one.output_device) == ('system_default', 'no such device')
    assert (one.used_slot_count, one.connected_slots) == (0, [])
    one.set_sound_devices(None, None, 50)
    assert (one.input_device, one.output_device, one.ec_tail_length) == (None, None, 50)
    assert (one.real_input_device, one.real_output_device) == (None, None)
    one.reset_ec()


def test_volumes() -> None:
    one = mixer()
    assert (one.input_volume, one.output_volume, one.muted) == (100, 100, False)
    one.muted = True
    one.input_volume = 0
    assert one.muted
    one.input_volume = 150
    assert not one.muted
    one.output_volume = 30
    assert (one.input_volume, one.output_volume) == (150, 30)
    for name in ('input_volume', 'output_volume'):
        with pytest.raises(ValueError):
            setattr(one, name, -1)


def test_connections() -> None:
    one = mixer()
    ports = [MixerPort(one) for _ in range(3)]
    for port in ports:
        assert port.slot is None and not port.is_active
        port.start()
        assert port.is_active
    a, b, c = (port.slot for port in ports)
    assert a and b and c
    one.connect_slots(b, a)
    one.connect_slots(a, b)
    one.connect_slots(a, b)
    one.connect_slots(0, c)
    assert one.connected_slots == sorted([(0, c), (a, b), (b, a)])
    assert one.used_slot_count == 3
    one.disconnect_slots(a, b)
    one.disconnect_slots(a, b)
    assert one.connected_slots == sorted([(0, c), (b, a)])
    ports[0].stop()
    ports[0].stop()
    assert ports[0].slot is None
    assert one.connected_slots == [(0, c)]
    assert one.used_slot_count == 2
    with pytest.raises(SIPCoreError):
        ports[0].start()                        # once only
    with pytest.raises(PJSIPError):
        one.connect_slots(a, b)


@pytest.mark.parametrize('rate', [8000, 16000, 32000, 44100, 48000])
def test_tone_through_the_bridge(tmp_path: Path, rate: int) -> None:
    one = mixer(rate)
    tone, recorder = ToneGenerator(one), RecordingWaveFile(one, str(tmp_path / 'tone.wav'))
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    tone.start()
    recorder.start()
    assert tone.slot is not None and recorder.slot is not None
    one.connect_slots(tone.slot, recorder.slot)
    tone.play_tones([(1000, 0, 600)])
    inbox.wait()
    recorder.stop()
    samples, recorded = read_samples(tmp_path / 'tone.wav')
    assert recorded == rate
    assert share(middle(samples, rate), rate, 1000) > 0.98
    inbox.close()


def test_files_of_other_rates_are_resampled(tmp_path: Path) -> None:
    one = mixer(16000)
    recorder = RecordingWaveFile(one, str(tmp_path / 'mix.wav'))
    recorder.start()
    frequencies = {8000: 500, 16000: 900, 44100: 1300, 48000: 1700}
    players = [WaveFile(one, str(write_tone(tmp_path / f'{rate}.wav', frequency, 1, rate, level=0.2)))
               for rate, frequency in frequencies.items()]
    inbox = Inbox('WaveFileDidFinishPlaying')
    for player in players:
        player.start()
        one.connect_slots(player.slot or 0, recorder.slot or 0)
    for _ in players:
        inbox.wait()
    recorder.stop()
    samples, rate = read_samples(tmp_path / 'mix.wav')
    part = middle(samples, rate, 0.4)
    shares = [share(part, rate, frequency) for frequency in frequencies.values()]
    assert all(0.2 < value < 0.3 for value in shares), shares
    inbox.close()


def test_volume_of_a_slot(tmp_path: Path) -> None:
    loudness = {}
    for volume in (100, 50, 0):
        one = mixer()
        player = WaveFile(one, str(write_tone(tmp_path / 'in.wav', 700, 0.4, 16000)))
        player.volume = volume
        recorder = RecordingWaveFile(one, str(tmp_path / 'out.wav'))
        inbox = Inbox('WaveFileDidFinishPlaying', player)
        recorder.start()
        player.start()
        one.connect_slots(player.slot or 0, recorder.slot or 0)
        inbox.wait()
        recorder.stop()
        loudness[volume] = max((abs(sample) for sample in read_samples(tmp_path / 'out.wav')[0]), default=0)
        inbox.close()
    assert loudness[0] == 0
    assert 0.45 < loudness[50] / loudness[100] < 0.55


def test_mixer_port_passes_on(tmp_path: Path) -> None:
    one = mixer()
    tone, port = ToneGenerator(one), MixerPort(one)
    recorders = [RecordingWaveFile(one, str(tmp_path / f'{number}.wav')) for number in range(2)]
    inbox = Inbox('ToneGeneratorDidFinishPlaying', tone)
    for item in (tone, port, *recorders):
        item.start()
    one.connect_slots(tone.slot or 0, port.slot or 0)
    for recorder in recorders:
        one.connect_slots(port.slot or 0, recorder.slot or 0)
    tone.play_tones([(440, 0, 500)])
    inbox.wait()
    for recorder in recorders:
        recorder.stop()
        samples, rate = read_samples(Path(recorder.filename))
        assert share(middle(samples, rate), rate, 440) > 0.98
    inbox.close()


def test_signal_level() -> None:
    one = mixer()
    tone, port = ToneGenerator(one), MixerPort(one)
    tone.start()
    port.start()
    one.connect_slots(tone.slot or 0, port.slot or 0)
    assert one.get_signal_level(port.slot or 0) == (0, 0)
    tone.play_tones([(440, 0, 30000)])
    assert eventually(lambda: one.get_signal_level(tone.slot or 0)[1] > 50)
    assert eventually(lambda: one.get_signal_level(port.slot or 0)[0] > 50)
    with pytest.raises(PJSIPError):
        one.get_signal_level(200)


def test_conference_of_twenty(tmp_path: Path) -> None:
    """Everybody speaks on a frequency of their own, and hears all others but not themselves."""
    count, one = 20, mixer(16000)
    frequencies = [400 + 100 * number for number in range(count)]
    speakers = [WaveFile(one, str(write_tone(tmp_path / f's{number}.wav', frequency, 2, 16000, level=0.04)))
                for number, frequency in enumerate(frequencies)]
    listeners = [RecordingWaveFile(one, str(tmp_path / f'l{number}.wav')) for number in range(count)]
    inbox = Inbox('WaveFileDidFinishPlaying')
    for item in (*listeners, *speakers):
        item.start()
    for number, speaker in enumerate(speakers):
        for other, listener in enumerate(listeners):
            if other != number:
                one.connect_slots(speaker.slot or 0, listener.slot or 0)
    assert len(one.connected_slots) == count * (count - 1)
    for _ in speakers:
        inbox.wait()
    for number in (0, 7, 19):
        listeners[number].stop()
        samples, rate = read_samples(tmp_path / f'l{number}.wav')
        part = middle(samples, rate, 0.5)
        for other, frequency in enumerate(frequencies):
            heard = share(part, rate, frequency)
            assert heard < 0.005 if other == number else 0.02 < heard < 0.1, (number, other, heard)
    inbox.close()


def test_clock_sleeps_when_no_slot_is_used() -> None:
    one = mixer()
    port = MixerPort(one)
    assert one.frames_mixed == 0
    port.start()
    assert eventually(lambda: one.frames_mixed > 3)
    port.stop()
    assert eventually(lambda: _handles.live_objects()['mixer_port'] == 0 and one.used_slot_count == 0)
    frames = one.frames_mixed
    cpu = clock_cpu()
    threading.Event().wait(0.3)         # fifteen frames, if the clock went on
    assert one.frames_mixed <= frames + 1
    assert clock_cpu() == cpu
    again = MixerPort(one)              # and it wakes up
    again.start()
    assert eventually(lambda: one.frames_mixed > frames + 3)
    again.stop()


def test_frame_rate() -> None:
    """Fifty frames a second, with some room for a busy machine."""
    import time
    one = mixer()
    port = MixerPort(one)
    port.start()
    assert eventually(lambda: one.frames_mixed > 0)
    start, first = time.monotonic(), one.frames_mixed
    assert eventually(lambda: one.frames_mixed >= first + 50)
    elapsed = time.monotonic() - start
    assert 0.9 < elapsed < 1.5
    port.stop()


def test_two_mixers_at_a_time(tmp_path: Path) -> None:
    results = {}
    inbox = Inbox('WaveFileDidFinishPlaying')
    running = []
    for rate, frequency in ((8000, 600), (48000, 2000)):
        one = mixer(rate)
        player = WaveFile(one, str(write_tone(tmp_path / f'in{rate}.wav', frequency, 0.6, 16000)))
        recorder = RecordingWaveFile(one, str(tmp_path / f'out{rate}.wav'))
        recorder.start()
        player.start()
        one.connect_slots(player.slot or 0, recorder.slot or 0)
        running.append((rate, frequency, player, recorder))
    for _ in running:
        inbox.wait()
    for rate, frequency, _, recorder in running:
        recorder.stop()
        samples, recorded = read_samples(tmp_path / f'out{rate}.wav')
        results[rate] = share(middle(samples, recorded), recorded, frequency)
    assert all(value > 0.97 for value in results.values()), results
    inbox.close()


def test_storm_of_ports() -> None:
    """Far more starts and stops than slots and frames: removals wait for the clock, adds wait for removals."""
    one = mixer(slot_count=30)
    for _ in range(1000):
        port = MixerPort(one)
        port.start()
        one.connect_slots(port.slot or 0, 0)
        one.connect_slots(0, port.slot or 0)
        port.stop()
    assert one.used_slot_count == 0
    assert eventually(lambda: _handles.live_objects()['mixer_port'] == 0)
    assert one.connected_slots == []


def test_storm_from_threads() -> None:
    one = mixer(slot_count=60)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(150):
                ports = [MixerPort(one) for _ in range(3)]
                for port in ports:
                    port.start()
                one.connect_slots(ports[0].slot or 0, ports[1].slot or 0)
                one.connect_slots(ports[1].slot or 0, ports[2].slot or 0)
                one.disconnect_slots(ports[0].slot or 0, ports[1].slot or 0)
                for port in ports:
                    port.stop()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert one.used_slot_count == 0


FULL_AGAIN_AND_AGAIN = '''
import select, sys
from tests.native.audio_support import Inbox
from sipsimple.core.engine import Engine
from sipsimple.core._mixer import AudioMixer, MixerPort
inbox = Inbox(sender=Engine())
Engine().start(udp_port=None)
inbox.wait('SIPEngineDidStart')
mixer = AudioMixer(None, None, 16000, 0, slot_count=3)
print('running', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    ports = [MixerPort(mixer) for _ in range(3)]
    for port in ports:
        port.start()            # waits until the slots are free that the last round has left
    for port in ports:
        port.stop()
Engine().stop()
inbox.wait('SIPEngineDidEnd')
'''


def test_slots_are_waited_for_while_the_process_stands_still() -> None:
    """The clock, which frees them, stands still as well."""
    with subprocess.Popen([sys.executable, '-c', FULL_AGAIN_AND_AGAIN], cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == 'running\n'
        for _ in range(4):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.6)                 # longer than it waits at once
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        _, told = process.communicate('\n', timeout=60)
    assert process.returncode == 0, told


FULL_OF_THREADS = '''
import threading
from tests.native.audio_support import Inbox
from sipsimple.core.engine import Engine
from sipsimple.core._mixer import AudioMixer, MixerPort
inbox = Inbox(sender=Engine())
Engine().start(udp_port=None)
inbox.wait('SIPEngineDidStart')
mixer = AudioMixer(None, None, 16000, 0, slot_count=32)
done = []
def work():
    for _ in range(120):
        port = MixerPort(mixer)
        port.start()
        port.stop()
    done.append(1)
threads = [threading.Thread(target=work) for _ in range(32)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(done) == 32 and mixer.used_slot_count == 0
del mixer
Engine().stop()
inbox.wait('SIPEngineDidEnd')
'''


def test_slots_that_are_taken_again_while_the_frame_frees_them() -> None:
    """Then more ports are removed in one frame than the mixer has slots."""
    done = subprocess.run([sys.executable, '-c', FULL_OF_THREADS], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, '')


def test_full_mixer() -> None:
    one = mixer(slot_count=3)
    ports = [MixerPort(one) for _ in range(4)]
    for port in ports[:3]:
        port.start()
    with pytest.raises(PJSIPError):
        ports[3].start()
    ports[1].stop()
    ports[3].start()                    # the failed start does not count
    assert ports[3].is_active


def test_one_source_and_many_sinks() -> None:
    """The room for listeners of a slot grows; those that come and go do not get in each other's way."""
    one = mixer(slot_count=300)
    tone = ToneGenerator(one)
    tone.start()
    tone.play_tones([(440, 0, 30000)])
    ports = [MixerPort(one) for _ in range(120)]
    for port in ports:
        port.start()
        one.connect_slots(tone.slot or 0, port.slot or 0)
    assert eventually(lambda: all(one.get_signal_level(port.slot or 0)[0] > 50 for port in ports))
    for port in ports[::3]:
        one.disconnect_slots(tone.slot or 0, port.slot or 0)
    for port in ports[1::3]:
        port.stop()
    assert eventually(lambda: all(one.get_signal_level(port.slot or 0)[0] == 0 for port in ports[::3]))
    for port in ports[::3]:
        one.connect_slots(tone.slot or 0, port.slot or 0)
    assert eventually(lambda: all(one.get_signal_level(port.slot or 0)[0] > 50 for number, port in enumerate(ports) if number % 3 != 1))
    assert len(one.connected_slots) == 80


def test_a_port_of_a_large_mixer_is_small() -> None:
    if not _diagnostics.pools():
        pytest.skip('a build for AddressSanitizer does not count pools')
    one = mixer(slot_count=4000)
    port = MixerPort(one)
    port.start()
    assert eventually(lambda: 'port' in _diagnostics.pools())
    number, size = _diagnostics.pools()['port']
    assert (number, size < 12000) == (1, True), size


def test_dropped_objects_leave(tmp_path: Path) -> None:
    """The last reference is gone: the slot is free, nothing is reported."""
    one = mixer()
    inbox = Inbox('WaveFileDidFinishPlaying')
    player = WaveFile(one, str(write_tone(tmp_path / 'long.wav', 500, 5)))
    player.start()
    recorder = RecordingWaveFile(one, str(tmp_path / 'cut.wav'))
    recorder.start()
    del player, recorder
    assert eventually(lambda: one.used_slot_count == 0)
    assert eventually(lambda: set(audio_objects()) == {'mixer'})
    assert inbox.names() == []
    inbox.close()


def test_mixer_dropped_before_its_ports() -> None:
    port = MixerPort(mixer())
    port.start()
    assert port.mixer.used_slot_count == 1      # the port keeps it
    del port


def test_mixers_come_and_go() -> None:
    for number in range(60):
        one = mixer((8000, 16000, 48000)[number % 3])
        port = MixerPort(one)
        port.start()
        if number % 2:
            port.stop()
        del one, port
    assert eventually(lambda: _handles.live_objects()['mixer'] == 0)


def test_audio_threads_are_preferred_alike() -> None:
    """None has a real-time priority, which would starve the other as soon as there is too much to do."""
    one = mixer()
    port = MixerPort(one)
    port.start()
    assert eventually(lambda: one.frames_mixed > 0)
    found: dict[str, tuple[int, int]] = {}
    for task in os.listdir('/proc/self/task'):
        name, _, rest = Path(f'/proc/self/task/{task}/stat').read_text().partition('(')[2].rpartition(')')
        fields = rest.split()
        found[name] = (int(fields[16]), int(fields[38]))        # niceness, policy
    own = os.getpriority(os.PRIO_PROCESS, 0)
    allowed = os.geteuid() == 0
    assert found['mixer'] == found['media']
    assert found['mixer'][1] == 0
    if allowed:
        assert found['mixer'][0] in (own - 10, own)             # own: in a container without CAP_SYS_NICE
    assert found['sipworker'] == (own, 0)
