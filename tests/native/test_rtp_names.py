"""Host names in the peer's session description: none is looked up, and what else it says is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sipsimple.core import PJSIPError, SDPAttribute, SDPConnection
from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.sdp import SDPMediaStream, SDPSession
from tests.native.audio_support import eventually
from tests.native.rtp_support import Pair, RTPPeer, engine, initialized, mixer, no_leaks, session
from tests.support.look_ups import LookUps

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

NAME = 'media.example.com'
LOCAL_NAME = '0b1c7d3a-58a6-4f6b-9f0d-2f3a4b5c6d7e.local'       # as browsers have them
ICE = {'use_ice': True}

Change = Callable[[SDPMediaStream], None]


@pytest.fixture(autouse=True)
def look_ups() -> Iterator[LookUps]:
    """Nothing is looked up in any test, and so nothing takes its time."""
    with LookUps() as look_ups:
        yield look_ups
        assert look_ups.names() == set()


def test_look_ups_are_seen(look_ups: LookUps) -> None:
    """What the other tests would see."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(NAME, None)
    assert NAME in look_ups.names()


def line(sdp: SDPSession) -> SDPMediaStream:
    media = sdp.media[0]
    assert media is not None
    return media


def candidates(media: SDPMediaStream, change: Callable[[list[str]], list[list[str]]]) -> None:
    """Put others in the place of each candidate; they are lists of words."""
    attributes: list[Any] = []
    for attribute in media.attributes:
        words = change(attribute.value.split()) if attribute.name == 'candidate' else []
        attributes += [SDPAttribute('candidate', ' '.join(each)) for each in words] if attribute.name == 'candidate' else [attribute]
    media.attributes = attributes


def add_names(media: SDPMediaStream) -> None:
    """Better candidates with names before, behind; the related address is a name, too."""
    def change(words: list[str]) -> list[list[str]]:
        name = [words[0] + 'n', *words[1:3], '2130706431', LOCAL_NAME, *words[5:]]
        return [name[:5], name, [*words[:6], 'typ', 'srflx', 'raddr', LOCAL_NAME, 'rport', '9'], [*name[:4], NAME, *name[5:]]]
    candidates(media, change)


def only_names(media: SDPMediaStream) -> None:
    candidates(media, lambda words: [[*words[:4], LOCAL_NAME, *words[5:]]])


def tcp_beside_names(media: SDPMediaStream) -> None:
    candidates(media, lambda words: [[*words[:4], LOCAL_NAME, *words[5:]], [*words[:2], 'TCP', *words[3:5], '9', *words[6:], 'tcptype', 'active']])


def elsewhere(media: SDPMediaStream) -> None:
    candidates(media, lambda words: [[*words[:4], '127.0.0.2', *words[5:]]])


def name_of_default(media: SDPMediaStream) -> None:
    candidates(media, lambda words: [[*words[:4], LOCAL_NAME, *words[5:]], [*words[:4], '127.0.0.2', *words[5:]]])


def default(address: str, port: int | None = None, rtcp: str | None = None) -> Change:
    """Another default destination; the one for RTCP is `rtcp`, or as it was."""
    def change(media: SDPMediaStream) -> None:
        media.connection = SDPConnection(address, address_type='IP6' if ':' in address else 'IP4')
        media.port = media.port if port is None else port
        if rtcp is not None:
            media.attributes = [SDPAttribute('rtcp', rtcp) if each.name == 'rtcp' else each for each in media.attributes]
    return change


def call(pair: Pair, change: Change) -> None:
    """Both descriptions are changed on their way."""
    pair.offer()
    sent = pair.local
    pair.local = SDPSession.new(sent)
    change(line(pair.local))
    pair.answer()
    answer = SDPSession.new(pair.remote)
    change(line(answer))
    pair.b.start(pair.remote, pair.local, 0)
    pair.a.start(sent, answer, 0)


def digits_pass(pair: Pair) -> None:
    for source, sink in ((pair.a, pair.b), (pair.b, pair.a)):
        source.send_dtmf('5')
        pair.inbox.wait('RTPAudioStreamGotDTMF', sink, keep=True)


@pytest.mark.parametrize('change', [
    pytest.param(add_names, id='candidates'),
    pytest.param(default(NAME), id='connection'),
    pytest.param(default(NAME, 9), id='connection and port 9'),
    pytest.param(default(NAME, 9, f'9 IN IP4 {NAME}'), id='connection and RTCP'),
    pytest.param(default('0.0.0.0', 9, '9 IN IP4 0.0.0.0'), id='addresses to come'),
    pytest.param(default('127.0.0.1', None, f'9 IN IP4 {NAME}'), id='RTCP')])
def test_ice_goes_on(mixer: AudioMixer, change: Change) -> None:
    """RFC 8839 sections 4.2.5 and 5.1: with the candidates that are addresses."""
    with Pair(mixer, ICE) as pair:
        call(pair, change)
        for rtp, peer in ((pair.a_rtp, pair.b_rtp), (pair.b_rtp, pair.a_rtp)):
            data = pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True).data
            assert {each.address for each in data.remote_candidates} == {'127.0.0.1'}
            assert len(data.valid_pairs) == 2
            assert (rtp.remote_rtp_address, rtp.remote_rtp_port) == ('127.0.0.1', peer.local_rtp_port)
        digits_pass(pair)


@pytest.mark.parametrize('keys, change', [('dtls_mandatory', add_names), ('dtls_mandatory', default(NAME)), ('sdes_mandatory', default(NAME, 9))])
def test_encrypted(mixer: AudioMixer, keys: str, change: Change) -> None:
    with Pair(mixer, {**ICE, 'encryption': keys}) as pair:
        call(pair, change)
        for rtp in (pair.a_rtp, pair.b_rtp):
            pair.inbox.wait('RTPTransportICENegotiationDidSucceed', rtp, keep=True)
        assert eventually(lambda: pair.a_rtp.srtp_active and pair.b_rtp.srtp_active)
        digits_pass(pair)


@pytest.mark.parametrize('change', [only_names, tcp_beside_names])
def test_no_candidate_is_left(mixer: AudioMixer, change: Change) -> None:
    """As with a peer without ICE."""
    with Pair(mixer, ICE) as pair:
        call(pair, change)
        digits_pass(pair)
        assert not pair.a_rtp.ice_active and not pair.b_rtp.ice_active
        assert not [name for name in pair.inbox.names() if 'Negotiation' in name and 'State' not in name]
        assert 'candidate' not in line(pair.remote).attributes and 'ice-ufrag' not in line(pair.remote).attributes


@pytest.mark.parametrize('change', [elsewhere, name_of_default])
def test_mismatch(mixer: AudioMixer, change: Change) -> None:
    """An address that is not among the candidates: ICE is left, which is told to who waits for its end, and media go to that address."""
    with Pair(mixer, ICE) as pair:
        call(pair, change)
        data = pair.inbox.wait('RTPTransportICENegotiationDidFail', pair.b_rtp, keep=True).data
        assert 'match' in data.reason
        assert not pair.b_rtp.ice_active and 'ice-mismatch' in line(pair.remote).attributes
        digits_pass(pair)


@pytest.mark.parametrize('ours', [{}, ICE], ids=['without ICE', 'ICE and names'])
def test_media_to_a_name(mixer: AudioMixer, ours: dict[str, bool]) -> None:
    """Refused, in an offer, in an answer and in what changes them."""
    with Pair(mixer, ours) as pair:
        good = pair.offer()
        bad = SDPSession.new(good)
        default(NAME)(line(bad))
        only_names(line(bad))
        with pytest.raises(PJSIPError, match='address'):
            AudioTransport(mixer, pair.b_rtp, bad, 0, False, ['PCMU']).get_local_media(bad, 0)
        pair.answer()
        answer = SDPSession.new(pair.remote)
        default(NAME)(line(answer))
        only_names(line(answer))
        with pytest.raises(PJSIPError, match='address'):
            pair.a.start(good, answer, 0)
        pair.b.start(pair.remote, pair.local, 0)
        pair.a.start(good, pair.remote, 0)
        digits_pass(pair)
        with pytest.raises(PJSIPError, match='address'):
            pair.b.update_sdp(pair.remote, bad, 0)


def test_nothing_wanted(mixer: AudioMixer) -> None:
    """Port 9 discards, as in offers whose addresses are to come (RFC 8840); nothing is sent, and the call is none the worse."""
    with Pair(mixer) as pair:
        pair.offer()
        sent, pair.local = pair.local, SDPSession.new(pair.local)
        default(NAME, 9)(line(pair.local))
        pair.answer()
        pair.b.start(pair.remote, pair.local, 0)
        pair.b.update_sdp(pair.remote, sent, 0)
        pair.a.start(sent, pair.remote, 0)
        digits_pass(pair)


@pytest.mark.parametrize('index', [0, 1])
def test_line_that_is_rejected(mixer: AudioMixer, index: int) -> None:
    """It may say what it likes, and the other lines say where they want their media."""
    rejected = SDPMediaStream('audio', 0, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute('rtcp', f'9 IN IP4 {NAME}')])
    used = SDPMediaStream('audio', 5000, 'RTP/AVP', formats=['0'], connection=SDPConnection('127.0.0.1'))
    offer = SDPSession('127.0.0.1', connection=SDPConnection(NAME), media=[rejected, used])
    transport = initialized()
    transport.set_REMOTE(session(), offer, index)
    local = session(*[SDPMediaStream('audio', 9, 'RTP/AVP', formats=['0']) for _ in offer.media])
    transport.update_local_sdp(local, offer, index)
    transport.set_ESTABLISHED(local, offer, index)


def test_rtcp_to_a_name(mixer: AudioMixer) -> None:
    """The address is that of the connection, the port is the one that was told (RFC 3605)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reports:
        reports.bind(('127.0.0.1', 0))
        reports.settimeout(15)
        with RTPPeer(mixer, attributes=f'a=rtcp:{reports.getsockname()[1]} IN IP4 {NAME}\r\n') as peer:
            peer.talk(10)
            assert reports.recv(2048)[1] in (200, 201) and not peer.rtcp
