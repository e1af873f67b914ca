"""ICE begins anew, with a second pair of transports beside the running one."""

from __future__ import annotations

import gc
import itertools
import weakref
from types import SimpleNamespace

import pytest

from sipsimple.statemachine import InvalidTransition
from sipsimple.streams.rtp.base import RTPStream
from sipsimple.streams.rtp.restart import TRANSITIONS, Restart, RestartInput, RestartState

PATHS = {RestartState.ABSENT: [], RestartState.GATHERING: [RestartInput.BEGIN], RestartState.READY: [RestartInput.BEGIN, RestartInput.GATHERED]}


@pytest.mark.parametrize('state, what', list(itertools.product(RestartState, RestartInput)), ids=lambda value: value.name)
def test_every_pair(state, what):
    restart = Restart(RTPStream())
    for step in PATHS[state]:
        restart._machine.fire(step)
    assert restart.state is state
    if (state, what) in TRANSITIONS:
        restart._machine.fire(what)
        assert restart.state is TRANSITIONS[state, what]
    else:
        with pytest.raises(InvalidTransition):
            restart._machine.fire(what)
        assert restart.state is state


@pytest.fixture
def stream(world):
    world.account.nat_traversal.use_ice = True
    world.account.nat_traversal.stun_server_list = [SimpleNamespace(host='192.0.2.1', port=3478)]
    stream = world.started(local=world.describe(port=20000, extra=world.ICE), remote=world.describe(extra=world.ICE))
    world.rtp.post('RTPTransportICENegotiationDidSucceed', duration=1.5)
    world.rtp.ice_active = True
    world.events.clear()
    assert stream.state == 'ESTABLISHED'
    return stream


def restarted(stream, offer=None):
    """Begin anew; how often it was told that it is done."""
    done = []
    assert stream.restart_ice(lambda: done.append(stream._restart.state), offer)
    return done


def line_of(world, ufrag, **others):
    return world.describe(extra=[('ice-ufrag', ufrag), *world.ICE[1:]], **others)


def test_media_move_when_the_peer_has_taken_it(world, stream):
    assert stream.bridge is not None and stream.ice_outdated
    stream.volume = 70
    old_rtp, old_media = world.rtp, world.transport
    assert restarted(stream) == ['READY'] and not stream.ice_outdated
    assert stream.rtp_transport is old_rtp and stream.media_transport is old_media and 'stop' not in old_media.calls and stream.consumer_slot == 5
    new_rtp, new_media = world.rtp, world.transport
    assert new_rtp is not old_rtp and new_media.transport is new_rtp and new_rtp.stun == '192.0.2.1'
    media = stream.get_local_media(True)
    assert media.attributes.getfirst('ice-ufrag') == new_rtp.ufrag and new_media.calls == [('offer', 'sendrecv')]
    stream.update(line_of(world, new_rtp.ufrag), line_of(world, 'theirs2'), 0)
    assert stream.rtp_transport is new_rtp and stream.media_transport is new_media and stream.state == 'ESTABLISHED'
    assert ('start', 30) in new_media.calls and old_media.calls[-1] == 'stop' and new_media.volume == 70
    assert stream.consumer_slot == 15 and stream in stream.bridge
    assert world.names == ['AudioPortDidChangeSlots'] and stream.ice_outdated and stream._restart.state == 'ABSENT'
    stream.keep_ice()
    assert 'stop' not in new_media.calls
    world.events.clear()
    old_rtp.post('RTPTransportICENegotiationDidFail', reason='gone')            # nobody's any more
    new_rtp.post('RTPTransportICENegotiationStateDidChange', prev_state='NEGOTIATING', state='RUNNING')
    new_rtp.post('RTPTransportICENegotiationDidSucceed', duration=0.1)
    new_media.post('RTPAudioStreamGotDTMF', digit='1')
    assert world.names == ['AudioStreamICENegotiationStateDidChange', 'AudioStreamICENegotiationDidSucceed', 'AudioStreamGotDTMF']
    stream.get_local_media(True)
    assert new_media.calls[-1] == ('offer', 'sendrecv')


def test_what_is_not_taken_goes(world, stream):
    old_rtp, old_media = world.rtp, world.transport
    restarted(stream)
    new_media = world.transport
    stream.get_local_media(True)
    stream.keep_ice()
    assert new_media.calls[-1] == 'stop' and stream.ice_outdated
    stream.update(line_of(world, old_rtp.ufrag, direction='sendonly'), line_of(world, 'abcd', direction='recvonly'), 0)
    assert stream.rtp_transport is old_rtp and stream.media_transport is old_media and ('start', 30) not in new_media.calls
    stream.get_local_media(True)
    assert old_media.calls[-1][0] == 'offer'
    world.events.clear()
    world.rtp.post('RTPTransportICENegotiationStateDidChange', prev_state='GATHERING', state='GATHERING_COMPLETE')
    assert world.names == []


def test_another_description_does_not_move_the_media(world, stream):
    """Such as that of an UPDATE that crosses ours."""
    old_media = world.transport
    restarted(stream)
    stream.get_local_media(True)
    stream.update(line_of(world, 'abcd'), line_of(world, 'abcd', port=30002), 0)
    assert stream.media_transport is old_media and old_media.calls[-1][0] == 'update'


def test_an_association_of_dtls_that_goes_on(world, stream):
    """Other sockets would begin another one, which a peer that keeps its own does not expect."""
    association = [('fingerprint', 'sha-256 AB'), ('tls-id', 'x' * 20)]
    stream._remote_sdp = world.describe(extra=[*world.ICE, *association])
    offer = line_of(world, 'other')
    same, another = (world.describe(extra=[('ice-ufrag', 'other'), *world.ICE[1:], association[0], ('tls-id', name * 20)]) for name in 'xy')
    assert stream.restart_needed(same, moved=False)             # with other keys it does not matter
    stream.encryption_policy, world.rtp.srtp_active = 'dtls_mandatory', True
    assert not stream.restart_needed(same, moved=False) and stream.restart_needed(same, moved=True)
    assert stream.restart_needed(another, moved=False) and stream.restart_needed(offer, moved=False)


def test_the_line_of_an_answer(world, stream):
    offer = line_of(world, 'other')
    assert stream.restart_needed(offer, moved=False) and stream.restart_needed(offer, moved=True)
    assert not stream.restart_needed(world.describe(extra=world.ICE), moved=True) and not stream.restart_needed(world.describe(), moved=True)
    assert restarted(stream, offer) == ['READY'] and world.transport.remote_sdp is offer
    world.session.proposed_remote_sdp = offer
    assert stream.get_local_media(False).attributes.getfirst('ice-ufrag') == world.rtp.ufrag
    new_rtp = world.rtp
    stream.update(line_of(world, new_rtp.ufrag), offer, 0)
    assert stream.rtp_transport is new_rtp


def test_an_update_that_begins_anew_for_the_peer_only(world, stream):
    ours, theirs = stream._local_sdp, stream._remote_sdp
    assert not stream.restarts_ice(ours, theirs)
    assert stream.restarts_ice(ours, line_of(world, 'other'))
    assert not stream.restarts_ice(line_of(world, 'other'), line_of(world, 'other'))


def test_nothing_is_gathered(world, stream, monkeypatch):
    """The stream offers to go on without ICE, on the sockets that are there, until a later attempt."""
    old_media = world.transport
    monkeypatch.setattr(world.RTPTransport, 'broken', ('192.0.2.1', None))
    assert restarted(stream) == ['ABSENT'] and not stream.ice_outdated
    assert 'ice-ufrag' not in stream.get_local_media(True).attributes and stream.media_transport is old_media


def test_no_sockets(world, stream, monkeypatch):
    monkeypatch.setattr(world.AudioTransport, 'fail_new', 'the mixer is gone')
    assert restarted(stream) == ['ABSENT'] and world.names == []


def test_without_ice_after_all(world, stream):
    """The peer did not accept the candidates."""
    restarted(stream)
    new_media = world.transport
    stream.leave_ice()
    assert new_media.calls[-1] == 'stop' and 'ice-ufrag' not in stream.get_local_media(True).attributes
    restarted(stream)
    assert 'ice-ufrag' in stream.get_local_media(True).attributes


def test_the_stream_ends_meanwhile(world, stream, monkeypatch):
    monkeypatch.setattr(world.RTPTransport, 'set_INIT', lambda self: setattr(self, 'state', 'WAIT_STUN'))
    done = restarted(stream)
    stream.end()
    world.rtp.post('RTPTransportDidInitialize')
    assert done == [] and len(world.AudioTransport.made) == 1 and stream.state == 'ENDED'


def test_media_that_cannot_start_break_the_stream(world, stream, monkeypatch):
    old_media = world.transport
    restarted(stream)
    ufrag = stream.get_local_media(True).attributes.getfirst('ice-ufrag')
    monkeypatch.setattr(world.AudioTransport, 'fail_start', 'no keys')
    stream.update(line_of(world, ufrag), line_of(world, 'theirs2'), 0)
    data = world.one('MediaStreamDidFail')
    assert (data.context, data.reason) == ('update', 'no keys') and old_media.calls[-1] == 'stop'


def test_a_stream_without_ice(world):
    stream = world.started()
    assert not stream.ice_outdated and not stream.restart_ice(pytest.fail) and not stream.restart_needed(world.describe(extra=world.ICE), moved=True)


@pytest.mark.parametrize('port, told', [(30000, False), (30001, True)])
def test_addresses_that_the_peer_was_not_told(world, stream, port, told):
    found = []
    assert stream.restart_ice(lambda: None, None, lambda: found.append(True))
    new_rtp = world.rtp
    stream.get_local_media(True)
    world.RTPTransport.made[0].post('RTPTransportICENegotiationDidSucceed', duration=0.1)          # of the old pair
    assert found == []
    stream.update(line_of(world, new_rtp.ufrag), line_of(world, 'theirs2'), 0)
    stream.keep_ice()
    new_rtp.ice_active = True
    new_rtp.remote_rtp_candidate = SimpleNamespace(address='127.0.0.1', port=port, type='HOST')
    for _ in range(2):
        new_rtp.post('RTPTransportICENegotiationDidSucceed', duration=0.1)
    assert found == [True] * told


def test_the_old_pair_is_gone_after_the_move(world, stream):
    """Its ports are free when nobody holds it any more."""
    old = [weakref.ref(stream.rtp_transport), weakref.ref(stream.media_transport)]
    restarted(stream)
    ufrag = stream.get_local_media(True).attributes.getfirst('ice-ufrag')
    for kind in (world.RTPTransport, world.AudioTransport):
        kind.made.clear()
    stream.update(line_of(world, ufrag), line_of(world, 'theirs2'), 0)
    gc.collect()
    assert [each() for each in old] == [None, None]
    new = [weakref.ref(stream.rtp_transport), weakref.ref(stream.media_transport)]
    stream.end()
    gc.collect()
    assert [each() for each in new] == [None, None]
