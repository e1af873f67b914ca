"""DTLS-SRTP with a scripted peer: roles, fingerprints, suites, and that nothing passes but what was encrypted with the right keys."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.errors import PJSIPError
from sipsimple.core.sdp import SDPAttribute, SDPSession
from tests.native.audio_support import eventually
from tests.native.rtp_support import Pair, RTPPeer, engine, initialized, mixer, no_leaks, session
from tests.support import rtp_packets as packets
from tests.support.counts import Counts
from tests.support.dtls_peer import HASHES, Certificate, DTLSPeer, is_dtls

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

SAVP = 'UDP/TLS/RTP/SAVP'
SUITES = ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM']
OURS = {'active': 'passive', 'passive': 'active', 'actpass': 'active'}


def line(sdp: SDPSession, name: str) -> str | None:
    media = sdp.media[0]
    assert media is not None
    value: str | None = media.attributes.getfirst(name)
    return value


def profile(sdp: SDPSession) -> str:
    media = sdp.media[0]
    assert media is not None
    return media.transport


class Peer(RTPPeer):
    """A peer whose datagrams of DTLS are answered, by `handshake`; all that is no DTLS is kept in `media`."""

    def __init__(self, mixer: AudioMixer, setup: str, offers: bool = True, suite: str | None = SUITES[0], policy: str = 'dtls_mandatory', profile: str = SAVP,
                 fingerprint: str | None = None, mux: bool = True, certificate: Certificate | None = None, **options: Any) -> None:
        self.certificate = certificate or Certificate()
        self.handshake: DTLSPeer | None = None
        self.media: list[bytes] = []
        self.records: list[bytes] = []
        self.sources: set[tuple[str, int]] = set()
        self.pass_on: Callable[[bytes], bool] = lambda record: True         # whether a record of theirs arrives
        self.secured = threading.Event()
        self.dtls_lock = threading.RLock()
        self.suite = suite
        self.setup = setup
        self.reply_socket: socket.socket | None = None
        attributes = (f'a=setup:{setup}\r\na=fingerprint:{fingerprint or self.certificate.fingerprint()}\r\n') + ('a=rtcp-mux\r\n' if mux else '')
        super().__init__(mixer, attributes=attributes, offers=offers, profile=profile, encryption=policy, **options)
        self.unprotect = self.take
        if offers:
            role = line(self.offer, 'setup')
            assert role == OURS[setup]
        else:
            role = OURS[setup]
        self.begin(client=role == 'passive')

    def begin(self, client: bool) -> None:
        with self.dtls_lock:
            self.secured.clear()
            self.handshake = DTLSPeer(client, self.certificate, self.suite)

    def take(self, data: bytes) -> bytes | None:
        with self.dtls_lock:
            if not is_dtls(data):
                self.media.append(data)
                receives = self.handshake.receives if self.handshake is not None else None
                return receives.unprotect(data) if receives is not None and data and not 192 <= data[1] <= 223 else None
            self.records.append(data)
            if self.handshake is not None and self.pass_on(data):
                self.tell(self.handshake.receive(data))
        return None

    def tell(self, datagrams: list[bytes]) -> None:
        assert self.handshake is not None
        for each in datagrams:
            (self.reply_socket or self.sockets[0]).sendto(each, self.address)
        if self.handshake.done:
            if self.handshake.sends is not None:
                self.protect = self.handshake.sends.protect
            self.secured.set()

    def start_handshake(self) -> None:
        """As the client."""
        with self.dtls_lock:
            assert self.handshake is not None
            self.tell(self.handshake.start())

    def again(self) -> None:
        """Send again what was not answered."""
        with self.dtls_lock:
            assert self.handshake is not None
            self.tell(self.handshake.timeout())

    def secure(self) -> None:
        """Both sides have keys."""
        if self.handshake is not None and self.handshake.client:
            self.start_handshake()
        self.wait_secure()

    def wait_secure(self) -> None:
        self.inbox.wait('RTPTransportDTLSSecureOn', self.transport)
        assert eventually(self.secured.is_set)

    def failure(self) -> str:
        reason: str = self.inbox.wait('RTPTransportDTLSNegotiationFailed', self.transport).data.reason
        return reason

    def speaks(self, count: int = 10) -> None:
        """Both directions work."""
        before, heard = self.rx['packets'], len(self.received(0))
        self.talk(count)
        assert eventually(lambda: self.rx['packets'] == before + count)
        assert eventually(lambda: len(self.received(0)) >= heard + count // 2)

    def update(self, answer: SDPSession, local: SDPSession | None = None) -> None:
        self.stream.update_sdp(local or self.offer, answer, 0)


@pytest.fixture
def rejected() -> Callable[[], int]:
    counts = Counts()
    return lambda: counts.grown('rejected_srtp')


# ---- roles and suites

@pytest.mark.parametrize('setup', ['actpass', 'active', 'passive'])
def test_peer_offers(mixer: AudioMixer, setup: str) -> None:
    with Peer(mixer, setup) as peer:
        assert profile(peer.offer) == SAVP and line(peer.offer, 'rtcp-mux') == ''
        peer.secure()
        assert peer.transport.srtp_active and peer.transport.srtp_cipher == SUITES[0]
        assert peer.handshake is not None and peer.handshake.peer_certificate() == line(peer.offer, 'fingerprint')
        peer.speaks()
        peer.stream.send_dtmf('7')
        assert eventually(lambda: any(packet.event[0] == '7' for packet in peer.received(packets.EVENT)))


@pytest.mark.parametrize('setup', ['active', 'passive'])
@pytest.mark.parametrize('policy', ['dtls_mandatory', 'dtls_optional'])
def test_we_offer(mixer: AudioMixer, setup: str, policy: str) -> None:
    with Peer(mixer, setup, offers=False, policy=policy, profile=SAVP if policy == 'dtls_mandatory' else 'RTP/AVP') as peer:
        assert profile(peer.offer) == peer.profile and line(peer.offer, 'setup') == 'actpass' and line(peer.offer, 'rtcp-mux') == ''
        assert len(line(peer.offer, 'tls-id') or '') >= 20
        peer.secure()
        peer.speaks()


@pytest.mark.parametrize('suite', SUITES[1:])
def test_suite(mixer: AudioMixer, suite: str) -> None:
    with Peer(mixer, 'actpass', suite=suite) as peer:
        peer.secure()
        assert peer.transport.srtp_cipher == suite
        peer.speaks()


@pytest.mark.parametrize('name', list(HASHES))
def test_hash_of_the_fingerprint(mixer: AudioMixer, name: str) -> None:
    """Also beside weaker ones, and ones that nobody knows."""
    certificate = Certificate()
    lines = '\r\na=fingerprint:'.join([certificate.fingerprint(name), 'sha3-256 00:11', f'md5 {":".join(["00"] * 16)}'])
    with Peer(mixer, 'actpass', fingerprint=lines, certificate=certificate) as peer:
        peer.secure()


def test_keep_alives(mixer: AudioMixer) -> None:
    """They need no keys."""
    peer = Peer(mixer, 'actpass', keep_alive_interval=0.2)
    with peer:
        peer.secure()
        peer.stream.update_direction('recvonly')
        peer.media.clear()
        assert eventually(lambda: peer.media.count(b'') >= 2)
        peer.sockets[0].sendto(b'', peer.address)
        peer.stream.update_direction('sendrecv')
        peer.speaks()


def test_fresh_certificate_for_each_transport(mixer: AudioMixer) -> None:
    """Calls cannot be told to be of the same user by it."""
    found = set()
    for _ in range(2):
        transport = initialized(encryption='dtls_mandatory')
        stream = AudioTransport(mixer, transport, codecs=['PCMU'])
        found.add(line(session(stream.get_local_media(None, 0)), 'fingerprint'))
        stream.stop()
    assert len(found) == 2


@pytest.mark.parametrize('options', [{}, {'use_ice': True}, {'ipv6': True}])
@pytest.mark.parametrize('mux', [True, False])
def test_between_two_transports(mixer: AudioMixer, tmp_path: Path, options: dict[str, Any], mux: bool) -> None:
    with Pair(mixer, {'encryption': 'dtls_mandatory', **options}) as pair:
        offer = pair.offer()
        if not mux:
            media = offer.media[0]
            media.attributes = [attribute for attribute in media.attributes if attribute.name != 'rtcp-mux']
        answer = pair.answer()
        assert (line(answer, 'rtcp-mux') is not None) is mux and not answer.media[0].bandwidth_info
        pair.b.start(answer, offer, 0)
        pair.a.start(offer, answer, 0)
        for transport in (pair.a_rtp, pair.b_rtp):
            pair.inbox.wait('RTPTransportDTLSSecureOn', transport)
            assert transport.srtp_cipher == 'AEAD_AES_128_GCM'
        assert pair.hears(pair.a, pair.b, tmp_path / 'b.wav') > 0.9
        assert pair.hears(pair.b, pair.a, tmp_path / 'a.wav') > 0.9


def test_rtcp_of_its_own_has_a_handshake_of_its_own(mixer: AudioMixer) -> None:
    """RFC 5764 section 4.1; and media do not wait for it."""
    with Peer(mixer, 'actpass', mux=False) as peer:
        assert line(peer.offer, 'rtcp-mux') is None
        peer.secure()
        peer.speaks()
        assert eventually(lambda: bool(peer.rtcp)) and is_dtls(peer.rtcp[0])


# ---- what is refused

@pytest.mark.parametrize('lines', [
    'a=setup:actpass\r\n',
    'a=setup:holdconn\r\na=fingerprint:{good}\r\n',
    'a=setup:actpass\r\na=fingerprint:md5 00:11\r\n',
    'a=setup:actpass\r\na=fingerprint:sha-256 00:11\r\n',
    'a=setup:actpass\r\na=fingerprint:sha-256\r\n',
    'a=setup:actpass\r\na=fingerprint:{good}:00\r\n',
    'a=setup:actpass\r\na=fingerprint:{good}\r\na=fingerprint:sha-512 zz\r\n',
])
@pytest.mark.parametrize('policy', ['dtls_mandatory', 'dtls_optional'])
def test_offer_refused(mixer: AudioMixer, lines: str, policy: str) -> None:
    transport = initialized(encryption=policy)
    lines = lines.format(good=Certificate().fingerprint())
    offer = SDPSession.parse(f'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns= \r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 {SAVP} 0\r\n{lines}'.encode())
    with pytest.raises(PJSIPError):
        AudioTransport(mixer, transport, offer, codecs=['PCMU'])
    assert transport.state == 'INIT'


@pytest.mark.parametrize('line_of_answer, lines', [
    (SAVP, ''), ('RTP/AVP', ''), (SAVP, 'a=setup:actpass\r\na=fingerprint:{good}\r\n'), (SAVP, 'a=setup:holdconn\r\na=fingerprint:{good}\r\n'),
    ('RTP/SAVP', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:' + 'A' * 40 + '\r\n')])
def test_answer_refused(mixer: AudioMixer, line_of_answer: str, lines: str) -> None:
    transport = initialized(encryption='dtls_mandatory')
    stream = AudioTransport(mixer, transport, codecs=['PCMU'])
    offer = session(stream.get_local_media(None, 0))
    lines = lines.format(good=Certificate().fingerprint())
    answer = SDPSession.parse((f'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns= \r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n'
                               f'm=audio 4000 {line_of_answer} 0\r\n{lines}').encode())
    with pytest.raises(PJSIPError):
        stream.start(offer, answer, 0)
    assert not stream.is_active and not transport.srtp_active
    stream.stop()


@pytest.mark.parametrize('offers', [True, False])
def test_optional_with_a_peer_that_has_none(mixer: AudioMixer, offers: bool) -> None:
    with RTPPeer(mixer, encryption='dtls_optional', offers=offers) as peer:
        assert profile(peer.offer) == 'RTP/AVP' and not peer.transport.srtp_active and peer.transport.srtp_cipher is None
        peer.talk(10)
        assert eventually(lambda: peer.rx['packets'] == 10 and len(peer.received(0)) >= 5)


def test_plain_media_of_strangers_are_judged_as_without_encryption(mixer: AudioMixer) -> None:
    """With an optional handshake that does not take place the source counts."""
    with RTPPeer(mixer, encryption='dtls_optional') as peer:
        peer.talk(5)
        assert eventually(lambda: peer.rx['packets'] == 5)
        strangers_are_not_heard(peer)


def strangers_are_not_heard(peer: RTPPeer) -> None:
    counts, before = Counts(), peer.rx['packets']
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(5):
            stranger.sendto(bytes(peer.talker.packet()), peer.address)
        assert eventually(lambda: counts.grown('stranger_rtp') == 5)
    assert peer.rx['packets'] == before


# ---- nothing passes in the clear

def test_nothing_passes_before_the_handshake(mixer: AudioMixer, rejected: Callable[[], int]) -> None:
    with Peer(mixer, 'active') as peer:
        peer.send(*(peer.talker.packet() for _ in range(20)))       # plain
        assert eventually(lambda: rejected() == 20)
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 10)
        assert peer.rx['packets'] == 0 and peer.media == [] and not peer.transport.srtp_active
        peer.secure()
        peer.speaks()
        peer.sockets[0].sendto(bytes(peer.talker.packet()), peer.address)       # plain again, and forged
        peer.sockets[0].sendto(peer.protect(bytes(peer.talker.packet()))[:-1], peer.address)
        assert eventually(lambda: rejected() == 22)


@pytest.mark.parametrize('setup', ['active', 'passive'])
def test_certificate_of_somebody_else(mixer: AudioMixer, rejected: Callable[[], int], setup: str) -> None:
    with Peer(mixer, setup, fingerprint=Certificate().fingerprint()) as peer:
        if setup == 'active':
            peer.start_handshake()
        assert 'fingerprint' in peer.failure()
        assert not peer.transport.srtp_active and peer.transport.srtp_cipher is None
        peer.send(*(peer.talker.packet() for _ in range(5)))
        assert eventually(lambda: rejected() == 5)
        assert peer.media == [] and peer.rx['packets'] == 0
        handshake = peer.handshake
        assert handshake is not None and eventually(lambda: handshake.error is not None)       # by an alert


def test_peer_without_srtp(mixer: AudioMixer) -> None:
    with Peer(mixer, 'active', suite=None) as peer:
        peer.start_handshake()
        assert 'SRTP' in peer.failure()
        assert peer.media == []


@pytest.mark.parametrize('setup', ['active', 'passive'])
def test_no_handshake_in_time(mixer: AudioMixer, setup: str) -> None:
    peer = Peer(mixer, setup, dtls_timeout=1)
    peer.pass_on = lambda record: False
    with peer:
        assert 'in time' in peer.failure()
        assert peer.media == [] and not peer.transport.srtp_active
        # We are the client: it was tried again and again.
        assert len(peer.records) >= 2 if setup == 'passive' else not peer.records


# ---- what may happen to a handshake

def test_lost_datagrams_are_sent_again(mixer: AudioMixer) -> None:
    peer = Peer(mixer, 'passive')
    lost = iter([True, True])
    peer.pass_on = lambda record: not next(lost, False)
    with peer:
        peer.secure()
        assert len(peer.records) >= 4
        peer.speaks()


def test_last_flight_is_sent_again(mixer: AudioMixer) -> None:
    """The peer, the client, misses our Finished and repeats its own: it still gets there, though we are done."""
    with Peer(mixer, 'active') as peer:
        dropped: list[bytes] = []

        def pass_on(record: bytes) -> bool:
            if record[0] == 20 and not dropped:         # ChangeCipherSpec, and Finished with it
                dropped.append(record)
                return False
            return True
        peer.pass_on = pass_on
        peer.start_handshake()
        peer.inbox.wait('RTPTransportDTLSSecureOn', peer.transport)
        assert eventually(lambda: bool(dropped)) and not peer.secured.is_set()

        def repeated() -> bool:
            peer.again()
            return peer.secured.is_set()
        assert eventually(repeated)
        peer.speaks()


def test_hello_that_is_early(mixer: AudioMixer) -> None:
    """The peer begins when it has our description, before we have started: nothing has to be sent twice."""
    peer = Peer(mixer, 'active', offers=False)
    sent = []
    tell = peer.tell
    peer.tell = lambda datagrams: (sent.extend(datagrams), tell(datagrams))[1]      # type: ignore[method-assign]
    peer.start_handshake()
    assert len(sent) == 1
    with peer:
        peer.wait_secure()
        peer.speaks()


def test_garbage_before_the_handshake(mixer: AudioMixer) -> None:
    """A handshake that something has broken makes place for a good one."""
    peer = Peer(mixer, 'active')
    peer.pass_on = lambda record: record[0] != 21           # the alert that garbage gets
    with peer:
        hello = bytes.fromhex('16feff0000000000000000') + (60).to_bytes(2) + b'\x01\x00\x00\x30\x00\x00\x00\x00\x00\x00\x00\x30' + bytes(48)
        for data in (bytes([22]) + bytes(40), bytes([22, 254, 253]) + b'\xff' * 60, hello, bytes([63]) * 20):
            peer.sockets[0].sendto(data, peer.address)
        peer.secure()
        peer.speaks()


def test_strays_after_the_handshake(mixer: AudioMixer) -> None:
    with Peer(mixer, 'active') as peer:
        peer.secure()
        other = DTLSPeer(True)
        [hello] = other.start()
        for data in (hello, bytes.fromhex('15fefd000000000000000000020228'), bytes.fromhex('16fefd0001000000000009001c') + bytes(28), bytes([22]) * 30):
            peer.sockets[0].sendto(data, peer.address)
        peer.speaks()
        assert peer.transport.srtp_active


def test_peer_that_gives_up_is_heard(mixer: AudioMixer) -> None:
    """A fatal alert in the place of its answer: not only after the time for a handshake."""
    peer = Peer(mixer, 'passive')
    peer.pass_on = lambda record: False
    with peer:
        assert eventually(lambda: bool(peer.records))
        peer.sockets[0].sendto(bytes.fromhex('15fefd000000000000000000020228'), peer.address)      # handshake_failure
        assert 'alert' in peer.failure()


def test_handshake_from_another_address(mixer: AudioMixer) -> None:
    """The peer is behind a NAT: media go to where its handshake came from."""
    with Peer(mixer, 'active') as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.bind(('127.0.0.1', 0))
        outside.settimeout(10)
        peer.reply_socket = outside
        peer.start_handshake()
        while not peer.secured.is_set():
            peer.take(outside.recv(2048))
        peer.wait_secure()
        peer.sockets[0], inside = outside, peer.sockets[0]
        try:
            peer.talk(10)
            assert eventually(lambda: peer.rx['packets'] == 10)
            assert not is_dtls(outside.recv(2048))
        finally:
            peer.sockets[0] = inside
        assert peer.received(0) == []


def test_stranger_cannot_turn_the_handshake_to_itself(mixer: AudioMixer) -> None:
    """While the peer's handshake is under way, that of another source is not heard."""
    with Peer(mixer, 'active') as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(('127.0.0.1', 0))
        stranger.setblocking(False)
        counts = Counts()
        peer.pass_on = lambda record: False
        peer.start_handshake()
        assert eventually(lambda: bool(peer.records))
        stranger.sendto(DTLSPeer(True).start()[0], peer.address)
        assert eventually(lambda: counts.grown('stranger_rtp') == 1)
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)


# ---- later descriptions

def test_new_descriptions_keep_the_association(mixer: AudioMixer) -> None:
    with Peer(mixer, 'actpass') as peer:
        peer.secure()
        peer.speaks()
        records = len(peer.records)
        offer = session(peer.stream.get_local_media(None, 0, 'sendonly'))
        assert line(offer, 'setup') == 'active' and profile(offer) == SAVP
        for name in ('fingerprint', 'tls-id'):
            assert line(offer, name) == line(peer.offer, name)
        peer.setup = 'passive'
        peer.attributes = peer.attributes.replace('actpass', 'passive')
        peer.update(peer.description(direction='recvonly'), offer)
        peer.update(peer.description(), peer.offer)
        peer.speaks()
        assert len(peer.records) == records and peer.transport.srtp_active


@pytest.mark.parametrize('change', ['fingerprint', 'tls-id'])
def test_new_association(mixer: AudioMixer, rejected: Callable[[], int], change: str) -> None:
    """RFC 8842 section 4. Its predecessor's keys are worth nothing from then on."""
    with Peer(mixer, 'actpass') as peer:
        peer.secure()
        peer.speaks()
        old = peer.protect
        if change == 'fingerprint':
            previous, peer.certificate = peer.certificate, Certificate()
            peer.attributes = peer.attributes.replace(previous.fingerprint(), peer.certificate.fingerprint())
        else:
            peer.attributes += 'a=tls-id:abcdefghijklmnopqrstuvwxyz\r\n'
        offer = peer.description()
        peer.pass_on = lambda record: False
        peer.begin(client=False)
        peer.update(offer, session(peer.stream.get_local_media(offer, 0)))
        assert not peer.transport.srtp_active
        peer.sockets[0].sendto(old(bytes(peer.talker.packet())), peer.address)
        assert eventually(lambda: rejected() == 1)
        peer.pass_on = lambda record: True
        peer.wait_secure()
        peer.speaks()


def test_mandatory_is_not_taken_back(mixer: AudioMixer) -> None:
    with Peer(mixer, 'actpass') as peer:
        peer.secure()
        plain = Peer.description(peer)
        media = plain.media[0]
        media.attributes = [attribute for attribute in media.attributes if attribute.name not in ('setup', 'fingerprint')]
        for transport in ('RTP/AVP', SAVP):
            media.transport = transport
            with pytest.raises(PJSIPError):
                peer.update(plain)
            with pytest.raises(PJSIPError):
                peer.stream.get_local_media(plain, 0)
        peer.speaks()
        assert peer.transport.srtp_active


def test_optional_may_be_taken_back(mixer: AudioMixer) -> None:
    with Peer(mixer, 'actpass', policy='dtls_optional', profile='RTP/AVP') as peer:
        peer.secure()
        peer.speaks()
        peer.attributes = ''
        plain = peer.description()
        local = session(peer.stream.get_local_media(plain, 0))
        assert line(local, 'fingerprint') is None
        peer.update(plain, local)
        assert not peer.transport.srtp_active
        peer.protect = peer.unprotect = bytes
        peer.speaks()
        strangers_are_not_heard(peer)


def test_mux_is_answered_without_encryption(mixer: AudioMixer) -> None:
    """RFC 5761 section 5.1.1, also for plain RTP; our own plain offers do not have it."""
    with RTPPeer(mixer, attributes='a=rtcp-mux\r\n', offers=True) as peer:
        assert line(peer.offer, 'rtcp-mux') == '' and line(peer.offer, 'rtcp') is None
        peer.talk(10)
        assert eventually(lambda: peer.rx['packets'] == 10)
    with RTPPeer(mixer) as peer:
        assert line(peer.offer, 'rtcp-mux') is None


def test_attributes_are_written_once(mixer: AudioMixer) -> None:
    with Peer(mixer, 'actpass') as peer:
        sdp = SDPSession.new(peer.offer)
        sdp.media[0].attributes.append(SDPAttribute('setup', 'active'))
        peer.transport.update_local_sdp(sdp, peer.answer, 0)
        for name in ('setup', 'fingerprint', 'tls-id', 'rtcp-mux'):
            assert len(sdp.media[0].attributes.getall(name)) == 1
