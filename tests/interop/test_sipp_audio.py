"""Sound of running calls with sipp, which sends it back: muting, recording, other devices, silence of the peer."""

from __future__ import annotations

import wave

import pytest

from tests.support.programs import hear, write_notes
from tests.support.sdk import SDK
from tests.support.sipp import pause, receive, receive_invite, reply, reply_within, request, sdp
from tests.support.sipp_calls import Call

pytestmark = pytest.mark.interop

NOTES = ((523.0, 0.2), (784.0, 0.2))
OTHER_NOTES = ((1047.0, 0.2),)
CALLED = [receive_invite(), reply(200, sdp=sdp()), receive('ACK')]
BYE = [receive('BYE'), reply_within(200)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'notes.wav', ((0.0, 0.2), *NOTES, (0.0, 0.3)))
    write_notes(folder / 'other.wav', (*OTHER_NOTES, (0.0, 0.3)))
    return folder


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp']}, accounts={'bonjour': {'rtp.encryption.enabled': False, 'rtp.audio_codec_list': ['PCMU']}})
        yield sdk


@pytest.fixture
def call(sdk, folder):
    sdk.mark()
    yield Call(sdk, folder, NOTES)
    sdk.do('end_sessions')


def play(call, name):
    call.sdk.do('play', player='player', session='out', filename=str(call.folder / name))
    call.sdk.wait('WavePlayerDidEnd')


def held(call, on_hold, originator='local'):
    call.sdk.wait('SIPSessionDidChangeHoldState', 'out', originator=originator, on_hold=on_hold)


def test_muted_peer(call):
    """It is not heard, and hears us; for a recording of both sides the same is true."""
    with call.peer([*CALLED, *BYE]) as peer:
        call.connect(peer)
        call.talk()
        call.sdk.set('out/streams.0', muted=True)
        for muted in (True, False):
            heard = call.folder / f'muted-{muted}.wav'
            call.sdk.do('record', recorder='recorder', session='out', filename=str(heard))
            play(call, 'notes.wav')
            call.sdk.do('stop_record', recorder='recorder')
            assert hear(heard, NOTES) == ([] if muted else [frequency for frequency, _ in NOTES])
            call.sdk.set('out/streams.0', muted=False)
        call.hang_up(peer)


def test_recording_of_a_call_that_is_held(call):
    """The file stays open during the hold, and gets nothing. With all notifications and their fields."""
    hold = [receive('INVITE', checks={'': 'a=sendonly'}), reply_within(200, sdp=sdp(direction='recvonly', version=2)), receive('ACK')]
    unhold = [receive('INVITE', checks={'': 'a=sendrecv'}), reply_within(200, sdp=sdp(version=3)), receive('ACK')]
    path = call.folder / 'recordings' / 'call.wav'
    with call.peer([*CALLED, *hold, *unhold, *BYE]) as peer:
        call.connect(peer)
        call.sdk.call('out/streams.0', 'start_recording', str(path))
        call.sdk.wait('AudioStreamDidStartRecordingAudio', 'out')
        assert call.sdk.get('out', 'streams.0.recording_filename') == str(path)
        play(call, 'notes.wav')
        call.sdk.call('out', 'hold')
        held(call, True)
        play(call, 'other.wav')
        call.sdk.call('out', 'unhold')
        held(call, False)
        play(call, 'notes.wav')
        call.sdk.call('out/streams.0', 'stop_recording')
        call.sdk.wait('AudioStreamDidStopRecordingAudio', 'out')
        call.hang_up(peer)
    for name in ('WillStart', 'DidStart', 'WillStop', 'DidStop'):
        [event] = call.sdk.events(f'AudioStream{name}RecordingAudio', 'out')
        assert event.fields == {'filename': str(path)} and event.types['timestamp'] == 'datetime'
    with wave.open(str(path)) as file:
        assert file.getnframes() > file.getframerate() // 2
    # Both sides are in it: what we played, and the echo of it.
    assert [note for note in hear(path, NOTES + OTHER_NOTES) if note == 1047.0] == []
    assert set(hear(path, NOTES + OTHER_NOTES)) == {frequency for frequency, _ in NOTES}


def test_default_recording(call):
    """Without a name, one is made from the time and the parties."""
    with call.peer([*CALLED, *BYE]) as peer:
        call.sdk.set('settings', audio__recordings_directory=str(call.folder / 'made'))
        call.connect(peer)
        call.sdk.call('out/streams.0', 'start_recording')
        filename = call.sdk.wait('AudioStreamDidStartRecordingAudio', 'out').filename
        play(call, 'notes.wav')
        call.hang_up(peer)              # which closes it
        assert call.sdk.wait('AudioStreamDidStopRecordingAudio', 'out').filename == filename
    assert filename.startswith(str(call.folder / 'made')) and '127.0.0.1' in filename
    assert set(hear(filename, NOTES)) == {frequency for frequency, _ in NOTES}


def test_other_devices_during_a_call(call):
    """Devices come and go, and the sample rate of the mixer changes: the call goes on, with its sound."""
    with call.peer([*CALLED, *BYE]) as peer:
        call.connect(peer)
        call.talk()
        for device in ('Unplugged headset', None):
            call.sdk.set('settings', audio__input_device=device, audio__output_device=device)
            call.sdk.call('engine', 'refresh_sound_devices')
            call.sdk.wait('AudioDevicesDidChange')
            call.talk()
        before = call.sdk.get('settings', 'audio.sample_rate')
        call.sdk.set('settings', audio__sample_rate=16000)
        try:
            call.sdk.do('wait_for', target='application', name='voice_audio_mixer.sample_rate', value=16000)
            assert call.sdk.get('out', 'streams.0.mixer.sample_rate') == before
            call.talk()
        finally:
            call.sdk.set('settings', audio__sample_rate=before)
        call.hang_up(peer)


@pytest.fixture
def timeout(call):
    call.sdk.set('settings', rtp__timeout=1)
    yield
    call.sdk.set('settings', rtp__timeout=30)


def test_silence_of_the_peer(call, timeout):
    """It is told while both sides should send, and not while one of them is held. The call goes on."""
    nowhere = sdp().replace('[media_port]', '[media_port+3]')           # no echo there
    steps = [receive_invite(), reply(200, sdp=nowhere), receive('ACK'), receive('MESSAGE'), reply_within(200),
             request('INVITE', 1, sdp(version=2, direction='sendonly')), receive(100, optional=True), receive(200), request('ACK', 1), pause(1.5),
             request('INVITE', 2, sdp(version=3)), receive(100, optional=True), receive(200), request('ACK', 2), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        for _ in range(2):              # each second anew
            assert call.sdk.wait('AudioStreamDidTimeout', 'out').types == {'timestamp': 'datetime'}
        assert call.sdk.get('out', 'state') == 'connected'
        call.sdk.call('out', 'send_message', 'text/plain', 'hold it')
        held(call, True, 'remote')
        held(call, False, 'remote')
        changes = [event.time for event in call.sdk.events('SIPSessionDidChangeHoldState', 'out')]
        assert not [event for event in call.sdk.events('AudioStreamDidTimeout', 'out') if changes[0] + 0.5 < event.time < changes[1]]
        call.talk()
        call.hang_up(peer)
