"""An audio conference of twenty real calls: who hears whom, also while somebody is on hold."""

from __future__ import annotations

import pytest

from tests.support.programs import hear, write_notes
from tests.support.sdk import SDK

NOTES = ((523.0, 0.3), (784.0, 0.3))
ALL = {frequency for frequency, _ in NOTES}
GUESTS = 20


@pytest.fixture
def sides():
    """Who has the conference, and a process with all the guests."""
    with SDK('host') as host, SDK('guests') as guests:
        for side in (host, guests):
            side.start(settings={'sip.transport_list': ['udp'], 'logs.trace_sip': False},
                       accounts={'bonjour': {'rtp.encryption.enabled': False, 'rtp.audio_codec_list': ['PCMU']}})
        yield host, guests


def test_conference_of_twenty_calls(sides, tmp_path):
    host, guests = sides
    write_notes(tmp_path / 'notes.wav', ((0.0, 0.2), *NOTES, (0.0, 0.3)))
    host.do('answer', steps=['accept'])
    uri = f'sip:{host.get("bonjour", "contact.username")}@127.0.0.1:{host.ports["udp"]}'
    calls = {}
    for number in range(GUESTS):
        name = f'guest{number}'
        guests.do('connect', session=name, account='bonjour', uri=uri)
        calls[name] = host.wait('SIPSessionDidStart').sender
        guests.wait('SIPSessionDidStart', name)
    host.do('conference', conference='conference', sessions=list(calls.values()))
    assert host.do('evaluate', expression="len(agent.find('conference').streams)") == GUESTS

    def heard_by(*names):
        """Let the first guest say something; what others hear of it."""
        for name in names:
            guests.do('record', recorder=name + '.recorder', session=name, filename=str(tmp_path / f'{name}.wav'))
        guests.do('play', player='player', session='guest0', filename=str(tmp_path / 'notes.wav'))
        guests.wait('WavePlayerDidEnd')
        for name in names:
            guests.do('stop_record', recorder=name + '.recorder')
        return [set(hear(tmp_path / f'{name}.wav', NOTES)) for name in names]

    assert heard_by(*list(calls)[1:]) == [ALL] * (GUESTS - 1)
    # The local party leaves: nothing changes for the others.
    host.call('conference', 'hold')
    assert host.get('conference', 'on_hold') is True
    assert not host.do('evaluate', expression="[pair for pair in SIPApplication.voice_audio_mixer.connected_slots if 0 in pair]")
    assert heard_by('guest1', 'guest19') == [ALL] * 2
    # The host holds one guest, and another one holds the host.
    host.call(calls['guest1'], 'hold')
    host.wait('SIPSessionDidChangeHoldState', calls['guest1'])
    guests.call('guest2', 'hold')
    guests.wait('SIPSessionDidChangeHoldState', 'guest2')
    assert heard_by('guest1', 'guest3') == [set(), ALL]
    host.call('conference', 'unhold')
    host.call(calls['guest1'], 'unhold')
    host.wait('SIPSessionDidChangeHoldState', calls['guest1'])
    guests.call('guest2', 'unhold')
    guests.wait('SIPSessionDidChangeHoldState', 'guest2', on_hold=False)
    assert heard_by('guest1', 'guest2') == [ALL] * 2
    # Who is out has the local party for itself again.
    host.do('evaluate', expression=f"agent.find('conference').remove(agent.stream_of({calls['guest2']!r}, 0))")
    assert heard_by('guest1', 'guest2') == [ALL, set()]
    guests.call('guest3', 'end')            # one leaves by hanging up
    host.wait('SIPSessionDidEnd', calls['guest3'])
    assert heard_by('guest1', 'guest4') == [ALL] * 2
    for side in sides:
        side.do('end_sessions')
