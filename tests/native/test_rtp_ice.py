"""ICE of RTP transports: gathering with servers that do not answer, negotiation between two transports of one engine."""

from __future__ import annotations

import contextlib
import gc
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aioice import stun

from sipsimple.core import ICECandidate, SDPAttribute
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._rtp_transport import RTPTransport
from sipsimple.core.sdp import SDPMediaStream
from sipsimple.notification import Notification
from tests.native.audio_support import Inbox, eventually
from tests.native.rtp_support import Pair, engine, mixer, no_leaks, objects, open_files, session

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

GATHERED = ['GATHERING', 'GATHERING_COMPLETE']
LIMIT = 4               # seconds that servers may take


@pytest.fixture(scope='module')
def silent() -> Iterator[dict[str, int]]:
    """Ports of servers that take everything and say nothing; 'refused' has none."""
    with contextlib.ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stream = stack.enter_context(socket.socket())
        refused = stack.enter_context(socket.socket())
        for each in (datagrams, stream, refused):
            each.bind(('127.0.0.1', 0))
        stream.listen()
        yield {'udp': datagrams.getsockname()[1], 'tcp': stream.getsockname()[1], 'tls': stream.getsockname()[1], 'refused': refused.getsockname()[1]}


def gather(**options: Any) -> tuple[RTPTransport, Notification, list[str], float]:
    """Initialize a transport; it, the notification of the end, the ICE states, seconds."""
    transport = RTPTransport(use_ice=True, **options)
    inbox = Inbox(sender=transport)
    start = time.monotonic()
    transport.set_INIT()
    states: list[str] = []
    try:
        while True:
            notification = inbox.wait()
            if notification.name in ('RTPTransportDidInitialize', 'RTPTransportDidFail'):
                return transport, notification, states, time.monotonic() - start
            assert notification.name == 'RTPTransportICENegotiationStateDidChange'
            assert notification.data.prev_state == (states[-1] if states else 'NULL')
            states.append(notification.data.state)
    finally:
        inbox.close()


def candidates(transport: RTPTransport) -> list[str]:
    """The types of the candidates for RTP that the transport offers."""
    sdp = session(SDPMediaStream('audio', 9, 'RTP/AVP', formats=['0']))
    transport.set_LOCAL(sdp, 0)
    transport.update_local_sdp(sdp, None, 0)
    media = sdp.media[0]
    assert media is not None
    return [value.split()[7] for value in media.attributes.getall('candidate') if value.split()[1] == '1']


def test_without_servers() -> None:
    transport, end, states, _ = gather()
    assert end.name == 'RTPTransportDidInitialize' and states == GATHERED and transport.state == 'INIT'
    assert candidates(transport) == ['host'] and not transport.turn_failed
    assert transport.turn_address is None and (transport.turn_port, transport.turn_transport) == (3478, 'udp')


def test_silent_stun_server(silent: dict[str, int]) -> None:
    """It is for the user of the transport to try another server, and soon."""
    transport, end, states, seconds = gather(ice_stun_address='127.0.0.1', ice_stun_port=silent['udp'])
    assert end.name == 'RTPTransportDidFail' and end.data.reason
    assert states == ['GATHERING', 'FAILED'] and transport.state == 'INVALID'
    assert LIMIT - 1 < seconds < 2 * LIMIT
    assert transport.local_rtp_address is None


@pytest.mark.parametrize('transport', ['udp', 'tcp', 'tls'])
def test_silent_turn_server(silent: dict[str, int], transport: str) -> None:
    """A call goes without a relay rather than not at all, or minutes later."""
    rtp, end, states, seconds = gather(turn_address='127.0.0.1', turn_port=silent[transport], turn_transport=transport, turn_username='a', turn_password='b')
    assert end.name == 'RTPTransportDidInitialize' and states == GATHERED and rtp.turn_failed
    assert seconds < 2 * LIMIT and candidates(rtp) == ['host']
    assert (rtp.turn_address, rtp.turn_port, rtp.turn_transport) == ('127.0.0.1', silent[transport], transport)


@pytest.mark.parametrize('transport', ['tcp', 'tls'])
def test_no_turn_server(silent: dict[str, int], transport: str) -> None:
    rtp, end, states, seconds = gather(turn_address='127.0.0.1', turn_port=silent['refused'], turn_transport=transport)
    assert end.name == 'RTPTransportDidInitialize' and states == GATHERED and rtp.turn_failed
    assert seconds < LIMIT and candidates(rtp) == ['host']


def test_all_servers_silent(silent: dict[str, int]) -> None:
    """First the relay is given up, then the STUN server is to blame."""
    transport, end, states, seconds = gather(ice_stun_address='127.0.0.1', ice_stun_port=silent['udp'], turn_address='127.0.0.1', turn_port=silent['udp'])
    assert end.name == 'RTPTransportDidFail' and states == ['GATHERING', 'FAILED'] and transport.turn_failed
    assert seconds < 3 * LIMIT


@pytest.mark.parametrize('service', ['stun', 'turn'])
def test_dropped_while_it_gathers(silent: dict[str, int], service: str) -> None:
    """Nothing is left of a transport that nobody wants any more, and nothing comes from it."""
    options: dict[str, Any] = ({'ice_stun_address': '127.0.0.1', 'ice_stun_port': silent['udp']} if service == 'stun' else
                               {'turn_address': '127.0.0.1', 'turn_port': silent['tls'], 'turn_transport': 'tls'})
    files = open_files()
    inbox = Inbox('RTPTransportDidFail')
    transport = RTPTransport(use_ice=True, **options)
    transport.set_INIT()
    assert transport.state == 'WAIT_STUN' and transport.local_rtp_address is None
    transport.set_INIT()                # no-op
    del transport
    gc.collect()
    assert eventually(lambda: not objects())
    assert eventually(lambda: open_files() <= files)
    assert inbox.names() == []
    inbox.close()


def test_report(mixer: AudioMixer) -> None:
    with Pair(mixer, {'use_ice': True}) as pair:
        pair.start()
        for rtp, peer in ((pair.a_rtp, pair.b_rtp), (pair.b_rtp, pair.a_rtp)):
            data = pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True).data
            assert 0 < data.duration < 30
            local, remote = rtp.local_rtp_candidate, rtp.remote_rtp_candidate
            assert isinstance(local, ICECandidate) and isinstance(remote, ICECandidate)
            assert rtp.ice_active
            assert (local.address, local.port, local.type, local.component, local.rel_address) == ('127.0.0.1', rtp.local_rtp_port, 'HOST', 'RTP', None)
            assert (remote.address, remote.port) == (rtp.remote_rtp_address, rtp.remote_rtp_port) == ('127.0.0.1', peer.local_rtp_port)
            rtp_pair, rtcp_pair = data.valid_pairs
            assert (rtp_pair.local_candidate, rtp_pair.remote_candidate) == (local, remote)
            assert rtcp_pair.local_candidate.component == rtcp_pair.remote_candidate.component == 'RTCP'
            assert all(each.state == 'SUCCEEDED' and each.nominated for each in data.valid_pairs)
            assert {each.component for each in data.local_candidates} == {each.component for each in data.remote_candidates} == {'RTP', 'RTCP'}
            assert all(each in data.valid_list for each in data.valid_pairs)
            assert 'host' in str(local) and 'nominated' in str(rtp_pair)


def test_peer_without_candidates(mixer: AudioMixer) -> None:
    with Pair(mixer, {'use_ice': True}, {}) as pair:
        pair.start()
        pair.a.send_dtmf('5')
        pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b)
        assert not pair.a_rtp.ice_active and pair.a_rtp.local_rtp_candidate is None
        assert 'RTPTransportICENegotiationDidFail' not in pair.inbox.names()


def test_again_after_media_stopped(mixer: AudioMixer) -> None:
    """Back in INIT the result is forgotten, and the next call negotiates anew, with other credentials."""
    with Pair(mixer, {'use_ice': True}) as pair:
        credentials = []
        for _ in range(2):
            pair.start()
            for rtp in (pair.a_rtp, pair.b_rtp):
                pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True)
                assert rtp.ice_active
            media = pair.local.media[0]
            assert media is not None
            credentials.append(media.attributes.getfirst('ice-ufrag'))
            pair.a.stop()
            pair.b.stop()
            for rtp in (pair.a_rtp, pair.b_rtp):
                assert rtp.state == 'INIT' and not rtp.ice_active and rtp.local_rtp_candidate is rtp.remote_rtp_candidate is None
        assert credentials[0] != credentials[1]


def test_wrong_credentials(mixer: AudioMixer) -> None:
    """ICE fails, and media go to the addresses of the SDPs."""
    with Pair(mixer, {'use_ice': True}) as pair:
        pair.offer()
        pair.answer()
        for sdp in (pair.local, pair.remote):
            media = sdp.media[0]
            assert media is not None
            media.attributes = [SDPAttribute('ice-pwd', 'x' * 24) if each.name == 'ice-pwd' else each for each in media.attributes]
        pair.b.start(pair.remote, pair.local, 0)
        pair.a.start(pair.local, pair.remote, 0)
        for rtp in (pair.a_rtp, pair.b_rtp):
            data = pair.inbox.wait('RTPTransportICENegotiationDidFail', rtp, keep=True, timeout=60).data
            assert data.reason and not rtp.ice_active
        pair.a.send_dtmf('5')
        pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b)
        assert (pair.b_rtp.remote_rtp_address, pair.b_rtp.remote_rtp_port) == ('127.0.0.1', pair.a_rtp.local_rtp_port)


def test_srtp_over_ice(mixer: AudioMixer, tmp_path: Path) -> None:
    with Pair(mixer, {'use_ice': True, 'encryption': 'sdes_mandatory'}) as pair:
        pair.start()
        for rtp in (pair.a_rtp, pair.b_rtp):
            pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True)
            assert rtp.srtp_active
        assert pair.hears(pair.a, pair.b, tmp_path / 'heard.wav') > 0.9


def test_restart(mixer: AudioMixer, tmp_path: Path) -> None:
    """An offer with other credentials makes ICE begin anew, in running media: here with another peer behind it."""
    with Pair(mixer, {'use_ice': True}) as pair, Pair(mixer, {'use_ice': True}) as other:
        pair.start()
        pair.inbox.wait('RTPTransportICENegotiationDidSucceed', pair.a_rtp)
        for number in range(3):
            offer = other.offer()
            media = pair.a.get_local_media(offer, 0)
            answer = session(media)
            pair.inbox.names()
            assert not pair.a.update_sdp(answer, offer, 0)
            other.a.start(offer, answer, 0)
            states = [pair.inbox.wait('RTPTransportICENegotiationStateDidChange', pair.a_rtp, keep=True).data.state for _ in range(3)]
            assert states == ['NEGOTIATION_START', 'NEGOTIATING', 'RUNNING']
            data = pair.inbox.wait('RTPTransportICENegotiationDidSucceed', pair.a_rtp, keep=True).data
            assert data.valid_pairs[0].remote_candidate == pair.a_rtp.remote_rtp_candidate
            assert pair.a_rtp.remote_rtp_port == other.a_rtp.local_rtp_port
            other.inbox.wait('RTPTransportICENegotiationDidSucceed', other.a_rtp)       # it may be the last to know
            other.a.send_dtmf(str(number))
            assert pair.inbox.wait('RTPAudioStreamGotDTMF', pair.a).data.digit == str(number)
            other.a.stop()


def test_no_restart_without_reason(mixer: AudioMixer) -> None:
    """The same credentials again, as in a re-INVITE for a hold: ICE stays as it is."""
    with Pair(mixer, {'use_ice': True}) as pair:
        pair.start()
        for rtp in (pair.a_rtp, pair.b_rtp):
            pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True)
        pair.inbox.names()
        offer = session(pair.a.get_local_media(None, 0, 'sendonly'))
        answer = session(pair.b.get_local_media(offer, 0))
        for stream, local, remote in ((pair.b, answer, offer), (pair.a, offer, answer)):
            stream.update_sdp(local, remote, 0)
        pair.a.send_dtmf('5')
        assert pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b, keep=True).data.digit == '5'
        assert not [name for name in pair.inbox.names() if 'ICE' in name]
        assert pair.a_rtp.ice_active and pair.b_rtp.ice_active


@pytest.mark.parametrize('credentials', ['right', 'wrong'])
def test_late_checks_change_nothing(mixer: AudioMixer, credentials: str) -> None:
    """A check from an address that nobody told of, with a priority above all, when ICE has chosen: media stay where they are (RFC 8445 section 8.3.1)."""
    with Pair(mixer, {'use_ice': True}) as pair, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        pair.start()
        for rtp in (pair.a_rtp, pair.b_rtp):
            pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True)
        stranger.bind(('127.0.0.1', 0))
        stranger.settimeout(10)
        ours, theirs = (sdp.media[0].attributes for sdp in (pair.remote, pair.local))
        # b is controlled, so the late check is of a controlling agent, which nominates.
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes['USERNAME'] = f'{ours.getfirst("ice-ufrag")}:{theirs.getfirst("ice-ufrag")}'
        request.attributes['PRIORITY'] = 2**31 - 1
        request.attributes['ICE-CONTROLLING'] = 2**64 - 1
        request.attributes['USE-CANDIDATE'] = None
        request.add_message_integrity((ours.getfirst('ice-pwd') if credentials == 'right' else 'x' * 24).encode())
        for _ in range(3):
            stranger.sendto(bytes(request), ('127.0.0.1', pair.b_rtp.local_rtp_port or 0))
        answer = stun.parse_message(stranger.recv(2048))
        assert answer.message_class == (stun.Class.RESPONSE if credentials == 'right' else stun.Class.ERROR)
        chosen = pair.a_rtp.local_rtp_port
        for digit in '123':
            pair.b.send_dtmf(digit)
            assert pair.inbox.wait('RTPAudioStreamGotDTMF', pair.a).data.digit == digit
        assert pair.b_rtp.remote_rtp_port == chosen and pair.b_rtp.ice_active
        stranger.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                assert stranger.recv(2048)[0] < 4          # STUN, and no media
