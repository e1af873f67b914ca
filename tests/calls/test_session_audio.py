"""Real calls with audio between two processes: DTMF, hold, recording, encryption, ICE and codecs."""

from __future__ import annotations

import contextlib
import socket
import time
import wave

import pytest


def start(pair, **account):
    pair.start()
    for side in (pair.caller, pair.callee):
        if account:
            side.do('set', target='account', **account)


def test_dtmf_both_ways(audio_pair):
    start(audio_pair)
    audio_pair.connected()
    for digit in '159#':
        audio_pair.caller.do('stream', args=['s', 'send_dtmf', digit])
        assert audio_pair.callee.wait('AudioStreamGotDTMF') == {'digit': digit}
    audio_pair.callee.do('stream', args=['in1', 'send_dtmf', '*'])
    assert audio_pair.caller.wait('AudioStreamGotDTMF') == {'digit': '*'}


@pytest.mark.parametrize('codec, rate', [('opus', 48000), ('G722', 16000), ('speex', 8000), ('GSM', 8000), ('PCMA', 8000)])
def test_codecs(audio_pair, codec, rate):
    start(audio_pair, **{'rtp.audio_codec_list': [codec]})
    audio_pair.connected()
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        facts = side.do('get', args=[session, 'streams.0.codec', 'streams.0.sample_rate'])
        assert facts['streams.0.codec'] == codec and facts['streams.0.sample_rate'] >= rate
    audio_pair.caller.do('stream', args=['s', 'send_dtmf', '5'])
    assert audio_pair.callee.wait('AudioStreamGotDTMF') == {'digit': '5'}


def test_facts_of_a_stream(audio_pair):
    start(audio_pair)
    audio_pair.connected()
    caller = audio_pair.caller.do('get', args=['s', *(f'streams.0.{name}' for name in (
        'codec', 'sample_rate', 'srtp_active', 'ice_active', 'local_rtp_address', 'local_rtp_port', 'remote_rtp_address_sdp', 'remote_rtp_port_sdp',
        'local_rtp_candidate_type', 'recording_filename', 'state', 'consumer_slot'))])
    callee = audio_pair.callee.do('get', args=['in1', 'streams.0.local_rtp_port', 'streams.0.remote_rtp_port_sdp', 'streams.0.codec'])
    assert (caller['streams.0.codec'], caller['streams.0.sample_rate'], caller['streams.0.state']) == ('PCMU', 8000, 'ESTABLISHED')
    assert callee['streams.0.codec'] == 'PCMU'
    assert caller['streams.0.srtp_active'] is caller['streams.0.ice_active'] is False
    assert caller['streams.0.remote_rtp_port_sdp'] == callee['streams.0.local_rtp_port']
    assert callee['streams.0.remote_rtp_port_sdp'] == caller['streams.0.local_rtp_port']
    assert caller['streams.0.remote_rtp_address_sdp'] == caller['streams.0.local_rtp_address'] == '127.0.0.1'
    assert caller['streams.0.recording_filename'] is caller['streams.0.local_rtp_candidate_type'] is None and caller['streams.0.consumer_slot'] > 0


def test_hold_and_unhold(audio_pair):
    start(audio_pair)
    audio_pair.connected()
    caller, callee = audio_pair.caller, audio_pair.callee
    for held in (True, False):
        caller.call('hold' if held else 'unhold')
        assert caller.wait('SIPSessionDidChangeHoldState') == {'originator': 'local', 'on_hold': held, 'partial': False}
        assert callee.wait('SIPSessionDidChangeHoldState') == {'originator': 'remote', 'on_hold': held, 'partial': False}
        assert caller.do('get', args=['s', 'on_hold', 'streams.0.on_hold_by_local', 'streams.0.direction']) == {
            'done': 'get', 'on_hold': held, 'streams.0.on_hold_by_local': held, 'streams.0.direction': 'sendonly' if held else 'sendrecv'}
        assert callee.do('get', args=['in1', 'on_hold', 'streams.0.on_hold_by_remote'])['on_hold'] is held
    assert [fields for name, _, fields in caller.events if name == 'AudioStreamDidChangeHoldState'] == [
        {'originator': 'local', 'on_hold': True}, {'originator': 'local', 'on_hold': False}]
    assert [fields for name, _, fields in callee.events if name == 'AudioStreamDidChangeHoldState'] == [
        {'originator': 'remote', 'on_hold': True}, {'originator': 'remote', 'on_hold': False}]


def test_hold_by_both(audio_pair):
    start(audio_pair)
    audio_pair.connected()
    audio_pair.caller.call('hold')
    audio_pair.callee.wait('SIPSessionDidChangeHoldState')
    audio_pair.caller.wait('SIPSessionDidChangeHoldState')
    audio_pair.callee.call('hold', 'in1')
    audio_pair.callee.wait('SIPSessionDidChangeHoldState')
    audio_pair.caller.wait('SIPSessionDidChangeHoldState')
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        facts = side.do('get', args=[session, 'streams.0.direction', 'streams.0.on_hold_by_local', 'streams.0.on_hold_by_remote'])
        assert (facts['streams.0.direction'], facts['streams.0.on_hold_by_local'], facts['streams.0.on_hold_by_remote']) == ('inactive', True, True)
    audio_pair.caller.call('unhold')
    audio_pair.caller.wait('SIPSessionDidChangeHoldState')
    facts = audio_pair.caller.do('get', args=['s', 'streams.0.on_hold_by_local', 'streams.0.on_hold_by_remote'])
    assert (facts['streams.0.on_hold_by_local'], facts['streams.0.on_hold_by_remote']) == (False, True)
    assert audio_pair.callee.wait('SIPSessionDidChangeHoldState') == {'originator': 'remote', 'on_hold': False, 'partial': False}
    audio_pair.callee.call('unhold', 'in1')
    assert audio_pair.callee.wait('SIPSessionDidChangeHoldState') == {'originator': 'local', 'on_hold': False, 'partial': False}
    assert audio_pair.callee.do('get', args=['in1', 'on_hold'])['on_hold'] is False


def test_hold_of_both_at_once(audio_pair):
    """Glare: both are told 491 (or one is first), and both get there."""
    start(audio_pair)
    audio_pair.connected()
    audio_pair.caller.call('hold')
    audio_pair.callee.call('hold', 'in1')
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        facts = [side.do('get', args=[session, 'streams.0.on_hold_by_local', 'streams.0.on_hold_by_remote'])
                 for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1'))]
        if all(each['streams.0.on_hold_by_local'] and each['streams.0.on_hold_by_remote'] for each in facts):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(facts)


def test_recording(audio_pair, tmp_path):
    path = tmp_path / 'folder' / 'call.wav'
    start(audio_pair)
    audio_pair.connected()
    audio_pair.caller.do('stream', args=['s', 'start_recording', str(path)])
    assert audio_pair.caller.wait('AudioStreamWillStartRecordingAudio') == {'filename': str(path)}
    audio_pair.caller.wait('AudioStreamDidStartRecordingAudio')
    for digit in '123':                 # takes a moment, in which something is recorded
        audio_pair.callee.do('stream', args=['in1', 'send_dtmf', digit])
        audio_pair.caller.wait('AudioStreamGotDTMF')
    audio_pair.caller.do('stream', args=['s', 'stop_recording'])
    audio_pair.caller.wait('AudioStreamWillStopRecordingAudio')
    audio_pair.caller.wait('AudioStreamDidStopRecordingAudio')
    with wave.open(str(path)) as recording:
        assert recording.getnchannels() == 1 and recording.getnframes() > 0


def test_srtp(audio_pair):
    start(audio_pair, **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': 'sdes_mandatory'})
    audio_pair.connected()
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        facts = side.do('get', args=[session, 'streams.0.srtp_active', 'streams.0.encryption.type', 'streams.0.encryption.cipher'])
        assert facts['streams.0.srtp_active'] is True and facts['streams.0.encryption.type'] == 'SRTP/SDES' and 'AES' in facts['streams.0.encryption.cipher']
        assert side.names('RTPStream') == ['DidEnableEncryption']
    audio_pair.caller.do('stream', args=['s', 'send_dtmf', '7'])
    assert audio_pair.callee.wait('AudioStreamGotDTMF') == {'digit': '7'}


@pytest.mark.parametrize('caller, callee, ice', [
    ('dtls_mandatory', 'dtls_mandatory', False), ('dtls_mandatory', 'opportunistic', True), ('dtls_optional', 'dtls_optional', False)])
def test_dtls(audio_pair, caller, callee, ice):
    start(audio_pair, **{'rtp.encryption.enabled': True, 'nat_traversal.use_ice': ice, 'id': 'agent@local'})
    for side, policy in ((audio_pair.caller, caller), (audio_pair.callee, callee)):
        side.do('set', target='account', **{'rtp.encryption.key_negotiation': policy})
    audio_pair.connected()
    sides = ((audio_pair.caller, 's'), (audio_pair.callee, 'in1'))
    for side, session in sides:
        side.seen('RTPStreamDidEnableEncryption')
        facts = side.do('get', args=[session, 'streams.0.srtp_active', 'streams.0.encryption.type', 'streams.0.encryption.cipher'])
        assert facts['streams.0.srtp_active'] is True and facts['streams.0.encryption.type'] == 'SRTP/DTLS' and 'AES' in facts['streams.0.encryption.cipher']
    audio_pair.caller.do('stream', args=['s', 'send_dtmf', '7'])
    assert audio_pair.callee.wait('AudioStreamGotDTMF') == {'digit': '7'}
    for verb in ('hold', 'unhold'):                 # by the side that is called: the roles are the same in its offer
        audio_pair.callee.call(verb, 'in1')
        for side, _ in sides:
            side.wait('SIPSessionDidChangeHoldState')
    audio_pair.callee.do('stream', args=['in1', 'send_dtmf', '8'])
    assert audio_pair.caller.wait('AudioStreamGotDTMF') == {'digit': '8'}
    for side, session in sides:
        assert side.names('RTPStream') == ['DidEnableEncryption']
        assert side.do('get', args=[session, 'streams.0.encryption.active'])['streams.0.encryption.active'] is True


@pytest.mark.parametrize('caller, callee, encrypted', [
    ('dtls_optional', 'sdes_optional', False), ('sdes_optional', 'dtls_optional', False), ('dtls_optional', None, False),
    ('dtls_mandatory', 'sdes_optional', None), ('sdes_mandatory', 'dtls_optional', None), ('dtls_mandatory', None, None)])
def test_keys_that_do_not_fit(audio_pair, caller, callee, encrypted):
    """Optional encryption of two kinds comes to none, and says so; what is mandatory for one side is not for the other to take away."""
    start(audio_pair)
    for side, policy in ((audio_pair.caller, caller), (audio_pair.callee, callee)):
        if policy is not None:
            side.do('set', target='account', **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': policy})
    if encrypted is None:
        audio_pair.connect()
        assert audio_pair.callee.wait('SIPSessionNewIncoming')['streams'] == []
        audio_pair.callee.call('reject', 'in1', 488)
        assert audio_pair.caller.wait('SIPSessionDidFail')['code'] == 488
    else:
        audio_pair.connected()
        assert audio_pair.caller.seen('RTPStreamDidNotEnableEncryption')['reason'] == 'Not supported by remote'
        assert audio_pair.caller.do('get', args=['s', 'streams.0.encryption.active'])['streams.0.encryption.active'] is False


@pytest.mark.parametrize('policy', ['opportunistic', 'zrtp'])
def test_other_policies(audio_pair, policy):
    """Without ZRTP in the core, opportunistic means SDES where the peer has it too, and zrtp means none; a call is never lost for that."""
    start(audio_pair, **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': policy})
    audio_pair.connected()
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        facts = side.do('get', args=[session, 'streams.0.srtp_active', 'streams.0.encryption.active'])
        assert facts['streams.0.srtp_active'] is facts['streams.0.encryption.active'] is (policy == 'opportunistic')
        assert side.names('RTPStream') == ['DidEnableEncryption' if policy == 'opportunistic' else 'DidNotEnableEncryption']


def test_srtp_is_mandatory_for_one_side_only(audio_pair):
    start(audio_pair)
    audio_pair.callee.do('set', target='account', **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': 'sdes_mandatory'})
    audio_pair.connect()
    assert audio_pair.callee.wait('SIPSessionNewIncoming')['streams'] == []
    audio_pair.callee.call('reject', 'in1', 488)
    assert audio_pair.caller.wait('SIPSessionDidFail')['code'] == 488


def test_no_port_is_left(audio_pair):
    """A stream without sockets fails before anything is sent, and the call with it."""
    with contextlib.ExitStack() as stack:
        while True:
            taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken.bind(('127.0.0.1', 0))
            port = taken.getsockname()[1]
            if port % 2 == 0:
                break
        audio_pair.start(rtp_port_range=[port, port + 2])
        audio_pair.connect()
        failed = audio_pair.caller.wait('MediaStreamDidFail')
        assert failed['context'] == 'initialize' and failed['reason']
        failure = audio_pair.caller.wait('SIPSessionDidFail')
        assert failure['originator'] == 'local' and failure['failure_reason'] == f'media stream failed: {failed["reason"]}'
        assert 'GotProvisionalResponse' not in audio_pair.caller.names() and audio_pair.callee.names() == []


def test_ice(audio_pair):
    start(audio_pair, **{'nat_traversal.use_ice': True, 'id': 'agent@local'})
    audio_pair.connected()
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        names = side.names('AudioStreamICENegotiation')
        assert 'DidSucceed' in names and 'StateDidChange' in names
        facts = side.do('get', args=[session, 'streams.0.ice_active', 'streams.0.local_rtp_candidate_type', 'streams.0.remote_rtp_candidate_type'])
        assert facts['streams.0.ice_active'] is True and facts['streams.0.local_rtp_candidate_type'] == 'HOST'
    audio_pair.caller.do('stream', args=['s', 'send_dtmf', '7'])
    assert audio_pair.callee.wait('AudioStreamGotDTMF') == {'digit': '7'}


def test_ice_on_one_side_only(audio_pair):
    start(audio_pair)
    audio_pair.caller.do('set', target='account', **{'nat_traversal.use_ice': True, 'id': 'agent@local'})
    audio_pair.connected()
    assert audio_pair.caller.do('get', args=['s', 'streams.0.ice_active'])['streams.0.ice_active'] is False


def test_no_common_codec(audio_pair):
    start(audio_pair)
    audio_pair.caller.do('set', target='account', **{'rtp.audio_codec_list': ['PCMU']})
    audio_pair.callee.do('set', target='account', **{'rtp.audio_codec_list': ['PCMA']})
    audio_pair.connect()
    assert audio_pair.callee.wait('SIPSessionNewIncoming')['streams'] == []


def test_codec_order_of_the_callee_wins(audio_pair):
    start(audio_pair)
    audio_pair.callee.do('set', target='account', **{'rtp.audio_codec_list': ['PCMA', 'PCMU']})
    audio_pair.connected()
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        assert side.do('get', args=[session, 'streams.0.codec'])['streams.0.codec'] == 'PCMA'


def test_audio_beside_another_stream(audio_pair):
    start(audio_pair)
    audio_pair.connected('plain')
    audio_pair.caller.do('add', session='s', streams=['audio'])
    audio_pair.callee.wait('SIPSessionGotProposal')
    audio_pair.callee.do('accept_proposal', session='in1')
    for side in (audio_pair.caller, audio_pair.callee):
        assert side.wait('SIPSessionDidRenegotiateStreams')['streams'] == ['audio']
    audio_pair.caller.do('remove', session='s', type='audio')
    for side in (audio_pair.caller, audio_pair.callee):
        assert side.wait('SIPSessionDidRenegotiateStreams')['action'] == 'remove'
    audio_pair.caller.call('end')
    audio_pair.callee.wait('SIPSessionDidEnd')


def test_media_timeout(audio_pair):
    """The callee stops sending by being stopped as a whole; the caller's stream goes on and says so."""
    start(audio_pair)
    audio_pair.caller.do('set', target='account', **{'rtp.timeout': 1})
    audio_pair.connected()
    audio_pair.callee.pause()
    try:
        audio_pair.caller.wait('AudioStreamDidTimeout')
        assert audio_pair.caller.state() == 'connected'
    finally:
        audio_pair.callee.resume()
