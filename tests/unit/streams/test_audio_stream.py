"""`AudioStream` over scripted transports."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from sipsimple.core import FrozenSDPSession, SDPAttribute, SDPConnection, SDPMediaStream, SDPSession, SIPCoreError
from sipsimple.streams import InvalidStreamError, UnknownStreamError
from sipsimple.streams.rtp import encryption, set_audio_context
from sipsimple.streams.rtp.audio import AudioStream
from sipsimple.streams.rtp.base import TRANSITIONS, RTPStream, RTPStreamInput, RTPStreamState


def stream_in(state):
    paths = {RTPStreamState.NULL: []}
    queue = [RTPStreamState.NULL]
    while queue:
        here = queue.pop(0)
        for (source, what), target in TRANSITIONS.items():
            if source is here and target not in paths:
                paths[target] = [*paths[here], what]
                queue.append(target)
    stream = RTPStream()
    for what in paths[state]:
        stream._fire(what)
    return stream


@pytest.mark.parametrize('state, what', list(itertools.product(RTPStreamState, RTPStreamInput)), ids=lambda value: value.name)
def test_every_pair(state, what):
    stream = stream_in(state)
    if (state, what) in TRANSITIONS:
        stream._fire(what)
        assert stream.state == TRANSITIONS[state, what]
    else:
        with pytest.raises(RuntimeError):
            stream._fire(what)
        assert stream.state == state


# Made from an offer

def test_new_from_sdp(world):
    stream = AudioStream.new_from_sdp(world.account, world.describe(), 0)
    assert stream.index == 0 and stream.account is world.account and stream.state == 'NULL' and not stream.on_hold


def test_codecs_the_core_does_not_have_are_left_out(world):
    world.account.rtp.audio_codec_list = ('AMR-WB', 'PCMU')
    world.initialized()
    assert world.transport.codecs == ['PCMU']
    world.account.rtp.audio_codec_list = ('AMR-WB',)
    with pytest.raises(InvalidStreamError):
        AudioStream.new_from_sdp(world.account, world.describe(), 0)


def test_other_media(world):
    with pytest.raises(UnknownStreamError):
        AudioStream.new_from_sdp(world.account, world.describe(media='video'), 0)


@pytest.mark.parametrize('offer', [{'transport': 'UDP/TLS/RTP/SAVPF'}, {'formats': ['18']}, {'transport': 'RTP/SAVP'}])
def test_unusable_offer(world, offer):
    with pytest.raises(InvalidStreamError):
        AudioStream.new_from_sdp(world.account, world.describe(**offer), 0)


NAME = {'address': 'media.example.com'}
CREDENTIALS = (('ice-ufrag', 'abcd'), ('ice-pwd', 'abcdabcdabcdabcdabcdab'))
ICE = (*CREDENTIALS, ('candidate', '1 1 UDP 1 0b1c7d3a.local 30000 typ host'), ('candidate', '2 1 udp 1 127.0.0.1 30000 typ host'))
ICE_OF_NAMES = (*CREDENTIALS, ('candidate', '1 1 UDP 2130706431 0b1c7d3a.local 30000 typ host'), ('candidate', '2 1 TCP 1 127.0.0.1 9 typ host tcptype active'))


@pytest.mark.parametrize('use_ice, more', [(False, {}), (True, {}), (False, {'extra': ICE}), (True, {'extra': ICE_OF_NAMES})])
def test_media_wanted_at_a_name(world, use_ice, more):
    """It is not looked up; what the application is told says so."""
    world.account.nat_traversal.use_ice = use_ice
    with pytest.raises(InvalidStreamError, match='host name'):
        AudioStream.new_from_sdp(world.account, world.describe(**NAME, **more), 0)
    stream = world.started()
    assert not stream.validate_update(world.describe(**NAME, **more), 0)
    stream.update(world.describe(port=20000), world.describe(**NAME, **more), 0)
    assert 'host name' in world.one('MediaStreamDidFail').reason


def test_answer_with_a_name(world):
    stream = world.initialized()
    stream.start(world.describe(port=20000), world.describe(**NAME), 0)
    assert 'host name' in world.one('MediaStreamDidFail').reason


@pytest.mark.parametrize('offer, use_ice, held', [
    ({'address': '0.0.0.0'}, False, True), ({'address': '0.0.0.0', 'port': 9}, False, True), ({**NAME, 'port': 9}, False, True),
    ({'address': '0.0.0.0', 'extra': ICE}, True, True), ({'address': '0.0.0.0', 'port': 9, 'extra': ICE_OF_NAMES}, True, True),
    ({'address': '0.0.0.0', 'port': 9, 'extra': ICE}, True, False), ({**NAME, 'port': 9, 'extra': ICE}, True, False), ({**NAME, 'extra': ICE}, True, False)])
def test_addresses_of_ice(world, offer, use_ice, held):
    """RFC 8839 section 4.2.5: the null address with port 9, or a name, is no hold when there are candidates."""
    world.account.nat_traversal.use_ice = use_ice
    stream = world.initialized(world.describe(**offer))
    assert stream.get_local_media(for_offer=False).direction == ('recvonly' if held else 'sendrecv')
    assert world.rtp.use_ice == (use_ice and offer.get('extra') == ICE)


def test_codec_names_compare_without_case(world):
    world.account.rtp.audio_codec_list = ('pcmu',)
    AudioStream.new_from_sdp(world.account, world.describe(formats=['0']), 0)
    world.account.rtp.audio_codec_list = ('opus',)
    with pytest.raises(InvalidStreamError):
        AudioStream.new_from_sdp(world.account, world.describe(formats=['0']), 0)
    AudioStream.new_from_sdp(world.account, world.describe(formats=['96'], extra=[('rtpmap', '96 OPUS/48000/2')]), 0)


CRYPTO = ('crypto', '1 AES_CM_128_HMAC_SHA1_80 inline:' + 'A' * 40)
ZRTP = ('zrtp-hash', '1.10 abc')
FINGERPRINT = ('fingerprint', 'sha-256 AB')
DTLS = 'UDP/TLS/RTP/SAVP'


@pytest.mark.parametrize('policy, transport, extra, expected', [
    (None, 'RTP/AVP', [], None),
    (None, 'RTP/AVP', [CRYPTO], None),
    (None, 'RTP/SAVP', [CRYPTO], InvalidStreamError),
    ('sdes_optional', 'RTP/AVP', [], None),
    ('sdes_optional', 'RTP/AVP', [CRYPTO], 'sdes_optional'),
    ('sdes_optional', 'RTP/SAVP', [CRYPTO], 'sdes_optional'),
    ('sdes_mandatory', 'RTP/AVP', [], InvalidStreamError),
    ('sdes_mandatory', 'RTP/SAVP', [CRYPTO], 'sdes_mandatory'),
    ('zrtp', 'RTP/AVP', [], 'zrtp'),
    ('zrtp', 'RTP/SAVP', [CRYPTO], InvalidStreamError),
    ('opportunistic', 'RTP/AVP', [ZRTP, CRYPTO], 'sdes_optional'),      # there is no ZRTP
    ('opportunistic', 'RTP/AVP', [CRYPTO], 'sdes_optional'),
    ('opportunistic', 'RTP/AVP', [], 'zrtp'),
    ('opportunistic', 'RTP/SAVP', [CRYPTO], 'sdes_mandatory'),
    ('sdes_optional', 'RTP/SAVP', [], InvalidStreamError),
    (None, 'RTP/AVP', [FINGERPRINT], None),
    (None, DTLS, [FINGERPRINT], InvalidStreamError),
    ('sdes_optional', 'RTP/AVP', [FINGERPRINT], None),
    ('sdes_optional', DTLS, [FINGERPRINT], InvalidStreamError),
    ('sdes_optional', DTLS, [FINGERPRINT, CRYPTO], InvalidStreamError),
    ('sdes_mandatory', DTLS, [FINGERPRINT], InvalidStreamError),
    ('zrtp', DTLS, [FINGERPRINT], InvalidStreamError),
    ('dtls_optional', 'RTP/AVP', [], None),
    ('dtls_optional', 'RTP/AVP', [CRYPTO], None),
    ('dtls_optional', 'RTP/AVP', [FINGERPRINT], 'dtls_optional'),
    ('dtls_optional', 'RTP/SAVP', [CRYPTO], InvalidStreamError),
    ('dtls_optional', 'RTP/SAVP', [FINGERPRINT], InvalidStreamError),
    ('dtls_optional', DTLS, [FINGERPRINT], 'dtls_optional'),
    ('dtls_optional', DTLS, [], InvalidStreamError),
    ('dtls_mandatory', 'RTP/AVP', [], InvalidStreamError),
    ('dtls_mandatory', 'RTP/AVP', [CRYPTO], InvalidStreamError),
    ('dtls_mandatory', 'RTP/SAVP', [CRYPTO], InvalidStreamError),
    ('dtls_mandatory', 'RTP/AVP', [FINGERPRINT], 'dtls_mandatory'),
    ('dtls_mandatory', DTLS, [FINGERPRINT], 'dtls_mandatory'),
    ('dtls_mandatory', f'{DTLS}F', [FINGERPRINT], 'dtls_mandatory'),
    ('opportunistic', DTLS, [FINGERPRINT], 'dtls_mandatory'),
    ('opportunistic', 'RTP/AVP', [CRYPTO, FINGERPRINT], 'dtls_optional'),
    ('opportunistic', 'RTP/SAVP', [CRYPTO, FINGERPRINT], 'sdes_mandatory'),
])
def test_encryption_of_an_answer(world, policy, transport, extra, expected):
    offer = world.describe(transport=transport, extra=extra)
    if isinstance(expected, type):
        with pytest.raises(expected):
            encryption.for_offer(policy, offer, 0)
    else:
        assert encryption.for_offer(policy, offer, 0) == expected


def test_fingerprint_of_the_session_counts_for_its_lines(world):
    offer = world.describe(transport=DTLS)
    with pytest.raises(InvalidStreamError):
        encryption.for_offer('dtls_mandatory', offer, 0)
    offer = SDPSession.new(offer)
    offer.attributes.append(SDPAttribute(*FINGERPRINT))
    assert encryption.for_offer('dtls_mandatory', offer, 0) == 'dtls_mandatory'


@pytest.mark.parametrize('current, wanted, transport, possible', [
    (None, None, 'RTP/AVP', True), (None, 'sdes_optional', 'RTP/AVP', True), (None, 'sdes_optional', 'RTP/SAVP', False),
    (None, 'dtls_mandatory', DTLS, False),
    ('sdes_optional', 'sdes_optional', 'RTP/AVP', True), ('sdes_optional', 'sdes_mandatory', 'RTP/SAVP', True), ('sdes_optional', None, 'RTP/AVP', True),
    ('sdes_optional', 'dtls_optional', 'RTP/AVP', False), ('sdes_mandatory', None, 'RTP/AVP', False), ('sdes_mandatory', 'dtls_mandatory', DTLS, False),
    ('dtls_optional', 'dtls_optional', 'RTP/AVP', True), ('dtls_optional', None, 'RTP/AVP', True), ('dtls_optional', 'sdes_optional', 'RTP/AVP', False),
    ('dtls_mandatory', None, 'RTP/AVP', False), ('dtls_mandatory', 'dtls_mandatory', DTLS, True),
])
def test_a_stream_keeps_its_kind_of_keys(current, wanted, transport, possible):
    assert encryption.can_change(current, wanted, transport) == possible


def test_encryption_of_an_offer(world):
    assert encryption.for_policy(world.account) is None
    world.account.rtp.encryption.enabled = True
    world.account.rtp.encryption.key_negotiation = 'sdes_mandatory'
    assert encryption.for_policy(world.account) == 'sdes_mandatory'
    world.initialized()
    assert world.rtp.encryption == 'sdes_mandatory'


@pytest.mark.parametrize('policy, renewed', [('sdes_optional', True), ('sdes_mandatory', True), ('opportunistic', True), ('dtls_mandatory', False), (None, False)])
def test_other_keys_for_somebody_else(world, policy, renewed):
    """The media transport is made anew over the same ports, which makes PJMEDIA think of new keys; once somebody has answered nothing changes."""
    world.account.rtp.encryption.enabled = policy is not None
    world.account.rtp.encryption.key_negotiation = policy
    stream = world.initialized()
    first, rtp = world.transport, stream.rtp_transport
    stream.renew_offer()
    assert (first.calls == ['stop']) is renewed and (stream.media_transport is not first) is renewed and stream.rtp_transport is rtp
    stream.start(world.describe(port=20000), world.describe(), 0)
    running = stream.media_transport
    assert ('start', 30) in running.calls
    stream.renew_offer()
    assert stream.media_transport is running and 'stop' not in running.calls
    running.post('RTPAudioTransportDidTimeout')
    assert 'AudioStreamDidTimeout' in world.names           # it listens to the new one


def test_other_keys_that_cannot_be_made(world, monkeypatch):
    world.account.rtp.encryption.enabled = True
    stream = world.initialized()
    monkeypatch.setattr(world.AudioTransport, 'fail_new', 'no ports')
    stream.renew_offer()
    assert world.one('MediaStreamDidFail').context == 'initialize'


def test_keys_of_an_answer_stay(world):
    world.account.rtp.encryption.enabled = True
    stream = world.initialized(world.describe())
    transport = world.transport
    stream.renew_offer()
    assert stream.media_transport is transport and transport.calls == []


# The life

def test_outgoing_life(world):
    stream = world.initialized()
    assert world.names == ['MediaStreamDidInitialize'] and stream.state == 'INITIALIZED'
    assert world.transport.codecs == ['opus', 'PCMU'] and world.transport.remote_sdp is None
    assert stream.codec is stream.sample_rate is stream.consumer_slot is stream.producer_slot is None
    assert stream.get_local_media(True).media == 'audio' and world.transport.calls == [('offer', 'sendrecv')]
    stream.start(world.describe(port=20000), world.describe(), 0)
    assert stream.state == 'ESTABLISHED' and world.names[-1] == 'MediaStreamDidStart' and world.transport.calls[-1] == ('start', 30)
    assert (stream.codec, stream.sample_rate, stream.consumer_slot, stream.producer_slot) == ('PCMU', 8000, 5, 5)
    assert (stream.local_rtp_address, stream.local_rtp_port) == ('127.0.0.1', 20000)
    assert (stream.remote_rtp_address_sdp, stream.remote_rtp_port_sdp) == ('127.0.0.1', 30000)
    assert (stream.remote_rtp_address, stream.remote_rtp_port, stream.remote_rtp_address_received) == ('127.0.0.1', 30000, None)
    assert not stream.srtp_active and not stream.ice_active and stream.local_rtp_candidate_type is None and stream.encryption.type is None
    assert stream in stream.bridge and stream.device in stream.bridge and stream.mixer is world.mixer and stream.signal_level == (1, 2)
    slots = world.one('AudioPortDidChangeSlots')
    assert (slots.old_consumer_slot, slots.new_consumer_slot, slots.producer_slot_changed) == (None, 5, True)
    world.events.clear()
    bridge = stream.bridge
    stream.deactivate()
    assert stream not in bridge
    stream.end()
    assert world.names == ['MediaStreamWillEnd', 'AudioPortDidChangeSlots', 'MediaStreamDidEnd'] and world.one('MediaStreamDidEnd').error is None
    assert stream.state == 'ENDED' and stream.consumer_slot is None and world.transport.calls[-1] == 'stop' and bridge.stopped
    assert (stream.remote_rtp_address_sdp, stream.remote_rtp_port_sdp) == ('127.0.0.1', 30000)
    stream.end()
    assert len(world.events) == 3


def test_incoming_life(world):
    offer = world.describe()
    stream = world.initialized(offer)
    assert world.transport.remote_sdp is offer
    stream.get_local_media(False)
    assert world.transport.calls == [('answer', 'sendrecv')]


@pytest.mark.parametrize('offered, answered', [(['9', '0', '8'], '9'), (['0', '9'], '9'), (['0', '101'], '0'), (['8'], '8'), (['96', '8'], '8')])
def test_answer_has_one_codec(world, offered, answered):
    """The first of ours that was offered, whether it is named in the offer or known by its number."""
    media = SDPMediaStream('audio', 20000, 'RTP/AVP', formats=['9', '0', '8', '101'], attributes=[
        SDPAttribute('rtpmap', '9 G722/8000'), SDPAttribute('rtpmap', '0 PCMU/8000'), SDPAttribute('rtpmap', '8 PCMA/8000'),
        SDPAttribute('rtpmap', '101 telephone-event/8000'), SDPAttribute('fmtp', '101 0-15'), SDPAttribute('rtcp', '20001')])
    offer = world.describe(formats=offered, extra=[('rtpmap', '96 nosuch/8000'), ('rtpmap', '0 pcmu/8000')])
    world.account.rtp.audio_codec_list = ('G722', 'PCMU', 'PCMA')
    stream = world.initialized(offer)
    world.transport.get_local_media = lambda **arguments: media
    answer = stream.get_local_media(False)
    assert list(answer.formats) == [answered, '101']
    name = {'9': 'G722', '0': 'PCMU', '8': 'PCMA'}[answered]
    assert [(attribute.name, attribute.value) for attribute in answer.attributes] == [
        ('rtpmap', f'{answered} {name}/8000'), ('rtpmap', '101 telephone-event/8000'), ('fmtp', '101 0-15'), ('rtcp', '20001'), ('sendrecv', '')]


def test_answer_without_a_common_codec(world):
    """The negotiation is to tell the error."""
    media = SDPMediaStream('audio', 20000, 'RTP/AVP', formats=['9', '101'], attributes=[SDPAttribute('rtpmap', '9 G722/8000')])
    world.account.rtp.audio_codec_list = ('G722',)
    offer = world.describe(formats=['96'], extra=[('rtpmap', '96 G722/44100')])
    stream = world.initialized(offer)
    world.transport.get_local_media = lambda **arguments: media
    assert list(stream.get_local_media(False).formats) == ['9', '101']


def test_account_comes_from_the_session(world):
    stream = AudioStream()
    stream.initialize(world.session, 'outgoing')
    assert stream.account is world.account and stream.state == 'INITIALIZED'


def test_calls_in_the_wrong_state(world):
    stream = AudioStream(world.account)
    for call in (lambda: stream.get_local_media(True), lambda: stream.start(world.describe(), world.describe(), 0), lambda: stream.send_dtmf('1')):
        with pytest.raises(RuntimeError):
            call()
    stream.initialize(world.session, 'outgoing')
    with pytest.raises(RuntimeError):
        stream.initialize(world.session, 'outgoing')


def test_without_an_application(world):
    set_audio_context(None)
    stream = world.initialized()
    data = world.one('MediaStreamDidFail')
    assert data.context == 'initialize' and 'not running' in data.reason and stream.state == 'INITIALIZING'
    stream.end()
    assert world.names[-2:] == ['MediaStreamWillEnd', 'MediaStreamDidEnd']


def test_transport_cannot_be_made(world, monkeypatch):
    monkeypatch.setattr(world.AudioTransport, 'fail_new', 'no codec')
    world.initialized()
    data = world.one('MediaStreamDidFail')
    assert (data.context, data.reason) == ('initialize', 'no codec') and isinstance(data.failure.value, SIPCoreError)


def test_media_cannot_start(world, monkeypatch):
    monkeypatch.setattr(world.AudioTransport, 'fail_start', 'no codec')
    world.started()
    assert world.one('MediaStreamDidFail').context == 'start' and 'MediaStreamDidStart' not in world.names


def test_timeout_of_the_account_wins(world):
    world.account.rtp.timeout = 7
    world.started()
    assert ('start', 7) in world.transport.calls


def test_end_before_anything(world):
    stream = AudioStream(world.account)
    stream.end()
    assert world.names == [] and stream.state == 'ENDED'


# ICE

def test_stun_servers_in_order(world, monkeypatch):
    world.account.nat_traversal.use_ice = True
    world.account.nat_traversal.stun_server_list = [SimpleNamespace(host=f'192.0.2.{n}', port=3478) for n in (1, 2)]
    monkeypatch.setattr(world.RTPTransport, 'broken', ('192.0.2.1', '192.0.2.2'))
    stream = world.initialized()
    assert [transport.stun for transport in world.RTPTransport.made] == ['192.0.2.1', '192.0.2.2', None]
    assert stream.state == 'INITIALIZED' and world.rtp.use_ice and world.names == ['MediaStreamDidInitialize']


@pytest.mark.parametrize('failed, expected', [(False, ['192.0.2.7'] * 3), (True, ['192.0.2.7', None, None])])
def test_turn_server(world, monkeypatch, failed, expected):
    """It is asked beside each STUN server, until it has had its time in vain."""
    nat = world.account.nat_traversal
    nat.use_ice, nat.turn_server = True, SimpleNamespace(host='192.0.2.7', port=5349, transport='tls')
    nat.turn_username, nat.turn_password = 'alice', 'secret'
    nat.stun_server_list = [SimpleNamespace(host=f'192.0.2.{n}', port=3478) for n in (1, 2)]
    monkeypatch.setattr(world.RTPTransport, 'broken', ('192.0.2.1', '192.0.2.2'))
    monkeypatch.setattr(world.RTPTransport, 'turn_failed', failed)
    world.initialized()
    assert [transport.turn and transport.turn[0] for transport in world.RTPTransport.made] == expected
    assert world.RTPTransport.made[0].turn == ('192.0.2.7', 5349, 'tls', 'alice', 'secret', '192.0.2.7')


@pytest.mark.parametrize('result', ['DidSucceed', 'DidFail'])
def test_ice(world, result):
    world.account.nat_traversal.use_ice = True
    world.account.nat_traversal.stun_server_list = [SimpleNamespace(host='192.0.2.1', port=3478)]
    stream = world.started(remote=world.describe(extra=world.ICE))
    assert stream.state == 'WAIT_ICE' and 'MediaStreamDidStart' not in world.names
    world.rtp.post('RTPTransportICENegotiationStateDidChange', prev_state='NEGOTIATING', state='RUNNING')
    world.rtp.post(f'RTPTransportICENegotiation{result}', reason='x', duration=1.5)
    assert stream.state == 'ESTABLISHED'
    assert world.names[-3:] == ['AudioStreamICENegotiationStateDidChange', f'AudioStreamICENegotiation{result}', 'MediaStreamDidStart']
    assert world.one('AudioStreamICENegotiationStateDidChange').state == 'RUNNING'


def test_peer_without_ice(world):
    world.account.nat_traversal.use_ice = True
    world.account.nat_traversal.stun_server_list = [SimpleNamespace(host='192.0.2.1', port=3478)]
    assert world.started().state == 'ESTABLISHED'
    world.initialized(world.describe())
    assert not world.rtp.use_ice


def test_reoffer_after_ice(world):
    stream = world.started()
    assert not stream.ice_reoffer_needed
    world.rtp.ice_active = True
    world.rtp.local_rtp_candidate = SimpleNamespace(address='127.0.0.1', port=20000, type='HOST')
    world.rtp.remote_rtp_candidate = SimpleNamespace(address='127.0.0.1', port=30000, type='HOST')
    assert not stream.ice_reoffer_needed and stream.remote_rtp_candidate_type == 'HOST'
    world.rtp.remote_rtp_candidate = SimpleNamespace(address='192.0.2.5', port=30000, type='SRFLX')
    assert stream.ice_reoffer_needed


# Hold

def holds(world):
    return [(data.originator, data.on_hold) for name, data in world.events if name == 'AudioStreamDidChangeHoldState']


@pytest.mark.parametrize('previous, holding, offered', [
    ('sendrecv', False, 'sendrecv'), ('sendrecv', True, 'sendonly'), ('sendonly', True, 'sendonly'), ('sendonly', False, 'sendrecv'),
    ('recvonly', False, 'recvonly'), ('recvonly', True, 'inactive'), ('inactive', True, 'inactive'), ('inactive', False, 'recvonly'),
])
def test_direction_of_an_offer(world, previous, holding, offered):
    stream = world.started(local=world.describe(direction=previous))
    if holding:
        stream.hold()
    else:
        stream.unhold()
    stream.get_local_media(True)
    assert world.transport.calls[-1] == ('offer', offered)


def test_hold_by_us(world):
    stream = world.started()
    stream.hold()
    assert stream not in stream.bridge and not stream.on_hold
    stream.update(world.describe(direction='sendonly'), world.describe(direction='recvonly'), 0)
    assert stream.on_hold_by_local and not stream.on_hold_by_remote and stream.on_hold and holds(world) == [('local', True)]
    assert world.transport.direction == 'sendonly'
    stream.get_local_media(False)
    assert world.transport.calls[-1] == ('answer', 'sendonly')
    stream.unhold()
    assert stream not in stream.bridge
    stream.update(world.describe(), world.describe(), 0)
    assert stream in stream.bridge and holds(world) == [('local', True), ('local', False)] and not stream.on_hold


def test_hold_taken_back(world):
    stream = world.started()
    stream.hold()
    stream.unhold()
    assert stream in stream.bridge and holds(world) == []


def test_hold_before_the_start(world):
    stream = world.initialized()
    stream.hold()
    stream.get_local_media(True)
    assert world.transport.calls[-1] == ('offer', 'sendrecv')
    stream.start(world.describe(), world.describe(), 0)
    assert stream not in stream.bridge
    stream.get_local_media(True)
    assert world.transport.calls[-1] == ('offer', 'sendonly')


def test_hold_by_the_peer(world):
    stream = world.started()
    stream.update(world.describe(direction='recvonly'), world.describe(direction='sendonly'), 0)
    assert stream.on_hold_by_remote and not stream.on_hold_by_local and holds(world) == [('remote', True)]
    stream.update(world.describe(), world.describe(), 0)
    assert holds(world) == [('remote', True), ('remote', False)]


def test_hold_by_both(world):
    stream = world.started()
    stream.hold()
    stream.update(world.describe(direction='sendonly'), world.describe(direction='recvonly'), 0)
    stream.update(world.describe(direction='inactive'), world.describe(direction='inactive'), 0)
    assert stream.on_hold_by_local and stream.on_hold_by_remote
    stream.unhold()
    stream.update(world.describe(direction='recvonly'), world.describe(direction='sendonly'), 0)
    assert not stream.on_hold_by_local and stream.on_hold_by_remote and stream in stream.bridge
    assert holds(world) == [('local', True), ('remote', True), ('local', False)]


@pytest.mark.parametrize('null', ['0.0.0.0', '::', '0:0:0:0:0:0:0:0'])
def test_old_way_to_hold(world, null):
    stream = world.started()
    held = world.describe(address=null)
    world.session.proposed_remote_sdp = held
    stream.get_local_media(False)
    assert world.transport.calls[-1] == ('answer', 'recvonly')
    stream.update(world.describe(), held, 0)
    assert stream.on_hold_by_remote and stream.direction == 'recvonly' and ('update', held) not in world.transport.calls


def test_peer_holds_with_inactive(world):
    """What we answer to its unhold must not look like a hold of ours."""
    stream = world.started()
    stream.update(world.describe(direction='inactive'), world.describe(direction='inactive'), 0)
    assert stream.on_hold_by_remote and not stream.on_hold_by_local
    assert stream.get_local_media(False).direction == 'sendrecv'


# Updates

def test_peer_moves(world):
    stream = world.started()
    moved = world.describe(port=31000, address='127.0.0.2')
    stream.update(world.describe(), moved, 0)
    assert ('update', moved) in world.transport.calls
    data = world.one('AudioStreamDidChangeRTPParameters')
    assert (data.change, data.old_remote_port, data.new_remote_address, data.new_remote_port) == ('remote_peer_rebind', 30000, '127.0.0.2', 31000)
    assert stream.remote_rtp_port_sdp == 31000


def test_same_description_changes_nothing(world):
    stream = world.started()
    world.events.clear()
    calls = list(world.transport.calls)
    stream.update(world.describe(port=20000), world.describe(), 0)
    assert world.events == [] and world.transport.calls == calls


def test_other_codec(world):
    stream = world.started(local=world.describe(formats=['0']), remote=world.describe(formats=['0']))
    world.events.clear()
    stream.update(world.describe(formats=['8']), world.describe(formats=['8']), 0)
    assert stream.codec == 'PCMA' and stream.consumer_slot == 6 and stream in stream.bridge
    assert world.names == ['AudioPortDidChangeSlots', 'AudioStreamDidChangeRTPParameters'] and stream.state == 'ESTABLISHED'


def test_validate_update(world):
    stream = world.started()
    assert stream.validate_update(world.describe(port=1), 0)
    assert not stream.validate_update(world.describe(formats=['18']), 0)
    assert not stream.validate_update(world.describe(transport='RTP/SAVP', extra=[CRYPTO]), 0)


# DTMF, timeouts, mute

def test_dtmf(world):
    stream = world.started()
    stream.send_dtmf('5')
    assert world.transport.calls[-1] == ('dtmf', '5')
    with pytest.raises(SIPCoreError):
        stream.send_dtmf('x')
    world.transport.post('RTPAudioStreamGotDTMF', digit='#')
    assert world.one('AudioStreamGotDTMF').digit == '#'


def test_media_timeout(world):
    stream = world.started()
    world.transport.post('RTPAudioTransportDidTimeout')
    assert world.one('AudioStreamDidTimeout').timestamp is not None and stream.state == 'ESTABLISHED'


def test_late_notification_of_a_transport(world):
    stream = world.started()
    transport = world.transport
    stream.end()
    world.events.clear()
    transport.post('RTPAudioStreamGotDTMF', digit='1')
    assert world.events == []


def test_muted(world):
    stream = world.started()
    world.events.clear()
    stream.muted = True
    stream.muted = True
    assert stream.producer_slot is None and stream.consumer_slot == 5
    data = world.one('AudioPortDidChangeSlots')
    assert (data.old_producer_slot, data.new_producer_slot, data.consumer_slot_changed) == (5, None, False)
    with pytest.raises(ValueError):
        stream.muted = 1


BOTH_WAYS = {(0, 5), (5, 0)}


def test_without_a_bridge_the_sound_card_is_connected_directly(world):
    stream = world.started()
    assert stream._bridge is None and world.mixer.connected == BOTH_WAYS
    stream.hold()
    assert world.mixer.connected == set()
    stream.unhold()
    assert world.mixer.connected == BOTH_WAYS
    stream.deactivate()
    assert world.mixer.connected == set()
    stream.end()
    assert stream._bridge is None and world.mixer.connected == set()


def test_bridge_takes_over_the_connections(world):
    stream = world.started()
    assert stream in stream.bridge and stream.device in stream.bridge and world.mixer.connected == BOTH_WAYS
    stream.hold()
    assert stream not in stream.bridge
    stream.unhold()
    assert stream in stream.bridge


def test_muted_before_the_start(world):
    stream = world.initialized()
    stream.muted = True
    stream.start(world.describe(port=20000), world.describe(), 0)
    assert stream in stream.bridge and stream.producer_slot is None and world.mixer.connected == set()


def test_bridge_exists_before_the_start(world):
    stream = AudioStream(world.account)
    assert stream.device in stream.bridge and stream not in stream.bridge


# Encryption that is there

def test_encryption_attribute(world):
    world.account.rtp.encryption.enabled = True
    world.account.rtp.encryption.key_negotiation = 'sdes_optional'
    stream = world.initialized()
    world.rtp.srtp_active, world.rtp.srtp_cipher = True, 'AES_CM_128_HMAC_SHA1_80'
    stream.start(world.describe(), world.describe(), 0)
    assert (stream.encryption.active, stream.encryption.type, stream.encryption.cipher) == (True, 'SRTP/SDES', 'AES_CM_128_HMAC_SHA1_80')
    assert stream.srtp_active and 'RTPStreamDidEnableEncryption' in world.names
    with pytest.raises(RuntimeError):
        stream.encryption.zrtp


def test_encryption_that_did_not_come(world):
    world.account.rtp.encryption.enabled = True
    world.account.rtp.encryption.key_negotiation = 'sdes_optional'
    world.started()
    assert world.one('RTPStreamDidNotEnableEncryption').reason


# Recording

def test_recording(world):
    stream = world.started()
    stream.start_recording('/tmp/call.wav')
    assert stream.recording_filename == '/tmp/call.wav' and stream.recording_active and stream.recorder in stream.bridge
    with pytest.raises(RuntimeError):
        stream.start_recording('/tmp/other.wav')
    recorder = stream.recorder
    stream.stop_recording()
    assert stream.recording_filename is None and not recorder.is_active and recorder not in stream.bridge
    assert [name for name in world.names if 'Recording' in name] == [
        'AudioStreamWillStartRecordingAudio', 'AudioStreamDidStartRecordingAudio', 'AudioStreamWillStopRecordingAudio', 'AudioStreamDidStopRecordingAudio']
    assert world.one('AudioStreamDidStopRecordingAudio').filename == '/tmp/call.wav'
    with pytest.raises(RuntimeError):
        stream.stop_recording()


def test_recording_without_a_name(world):
    world.session.local_identity = SimpleNamespace(uri=SimpleNamespace(user='me', host='example.com'))
    world.session.remote_identity = SimpleNamespace(uri=SimpleNamespace(user='../you', host='example.org'))
    stream = world.started()
    stream.start_recording()
    directory, _, name = stream.recording_filename.rpartition('/')
    assert directory == '/recordings' and name.endswith('-me@example.com-.._you@example.org.wav')


def test_recording_wanted_before_the_start(world):
    stream = world.initialized()
    stream.start_recording('/tmp/call.wav')
    assert not stream.recorder.is_active
    stream.start(world.describe(), world.describe(), 0)
    assert stream.recorder.is_active and stream.recorder in stream.bridge


def test_recording_during_hold(world):
    stream = world.started()
    stream.start_recording('/tmp/call.wav')
    stream.hold()
    assert stream.recorder.is_active and stream.recorder not in stream.bridge
    stream.unhold()
    assert stream.recorder in stream.bridge


def test_recording_ends_with_the_stream(world):
    stream = world.started()
    stream.start_recording('/tmp/call.wav')
    stream.end()
    assert [name for name in world.names if 'Stop' in name] == ['AudioStreamWillStopRecordingAudio', 'AudioStreamDidStopRecordingAudio']
    with pytest.raises(RuntimeError):
        stream.start_recording('/tmp/call.wav')


def test_recording_that_cannot_start(world, monkeypatch):
    monkeypatch.setattr(world.Recorder, 'fail', 'read-only')
    stream = world.started()
    stream.start_recording('/tmp/call.wav')
    assert world.one('AudioStreamDidStopRecordingAudio').reason == 'read-only' and not stream.recording_active


def test_address_of_the_line_wins(world):
    sdp = SDPSession.new(world.describe())
    sdp.media[0].connection = SDPConnection('127.0.0.9')
    stream = world.started(remote=FrozenSDPSession.new(sdp))
    assert stream.remote_rtp_address_sdp == '127.0.0.9'


# Encryption that comes later, or goes

def encrypted_by(world, policy, extra):
    world.account.rtp.encryption.enabled = True
    world.account.rtp.encryption.key_negotiation = policy
    stream = world.initialized()
    stream.start(world.describe(port=20000), world.describe(extra=extra), 0)
    return stream


def encryption_news(world):
    return [name for name in world.names if name.startswith('RTPStream')]


def test_dtls_is_told_when_its_handshake_is_over(world):
    stream = encrypted_by(world, 'dtls_mandatory', [FINGERPRINT])
    assert encryption_news(world) == [] and stream.encryption.type is None and stream.state == 'ESTABLISHED'
    world.rtp.srtp_active, world.rtp.srtp_cipher = True, 'AEAD_AES_128_GCM'
    stream._NH_RTPTransportDTLSSecureOn(None)
    assert encryption_news(world) == ['RTPStreamDidEnableEncryption']
    assert (stream.encryption.active, stream.encryption.type, stream.encryption.cipher) == (True, 'SRTP/DTLS', 'AEAD_AES_128_GCM')


def test_handshake_that_fails_ends_the_stream(world):
    stream = encrypted_by(world, 'dtls_optional', [FINGERPRINT])
    stream._NH_RTPTransportDTLSNegotiationFailed(SimpleNamespace(data=SimpleNamespace(reason='the certificate')))
    assert world.one('RTPStreamDidNotEnableEncryption').reason == 'the certificate'
    failure = world.one('MediaStreamDidFail')
    assert (failure.context, failure.reason) == ('encryption', 'the certificate')


def test_optional_dtls_without_a_fingerprint(world):
    encrypted_by(world, 'dtls_optional', [])
    assert world.one('RTPStreamDidNotEnableEncryption').reason == 'Not supported by remote'


@pytest.mark.parametrize('policy, key', [('sdes_optional', CRYPTO), ('dtls_optional', FINGERPRINT)])
def test_encryption_taken_back_is_told(world, policy, key):
    world.account.rtp.encryption.enabled = True
    world.account.rtp.encryption.key_negotiation = policy
    stream = world.initialized()
    world.rtp.srtp_active = True
    stream.start(world.describe(port=20000), world.describe(extra=[key]), 0)
    if policy == 'dtls_optional':
        stream._NH_RTPTransportDTLSSecureOn(None)
    assert encryption_news(world) == ['RTPStreamDidEnableEncryption']
    stream.update(world.describe(port=20000), world.describe(extra=[key], direction='sendonly'), 0)
    assert encryption_news(world) == ['RTPStreamDidEnableEncryption']
    world.rtp.srtp_active = False
    stream.update(world.describe(port=20000), world.describe(), 0)
    assert world.one('RTPStreamDidNotEnableEncryption').reason == 'No longer supported by remote'
    stream.update(world.describe(port=20000), world.describe(direction='sendonly'), 0)
    world.rtp.srtp_active = True
    stream.update(world.describe(port=20000), world.describe(extra=[key]), 0)
    if policy == 'dtls_optional':
        stream._NH_RTPTransportDTLSSecureOn(None)
    assert encryption_news(world) == ['RTPStreamDidEnableEncryption', 'RTPStreamDidNotEnableEncryption', 'RTPStreamDidEnableEncryption']
