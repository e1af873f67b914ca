"""Malformed RTP and RTCP, and packets of strangers, are counted and dropped. tests/calls/test_malformed_calls.py sends them in masses."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Self

import pytest

from sipsimple.core import SDPConnection, SDPMediaStream, SDPSession
from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.engine import Engine
from tests.native.audio_support import eventually
from tests.native.rtp_support import Pair, engine, initialized, mixer, no_leaks, session
from tests.support.counts import Counts
from tests.support.engine import wait_until

__all__ = ['engine', 'mixer', 'no_leaks']


class MediaPeer:
    """Two UDP sockets for RTP and RTCP, and PCMU packets with numbers of their own."""

    def __init__(self) -> None:
        while True:
            self.rtp, self.rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            self.rtp.bind(('127.0.0.1', 0))
            self.port = self.rtp.getsockname()[1]
            try:
                if self.port % 2 == 0:
                    self.rtcp.bind(('127.0.0.1', self.port + 1))
                    break
            except OSError:
                pass
            self.close()
        self.rtp.settimeout(10)
        self.ssrc = int.from_bytes(os.urandom(4))
        self.number = 1000

    def packet(self, payload: bytes = b'\x55' * 160, *, first: int = 0x80, kind: int = 0) -> bytes:
        self.number += 1
        return struct.pack('!BBHII', first, kind, self.number & 0xFFFF, self.number * 160 & 0xFFFFFFFF, self.ssrc) + payload

    def hears(self) -> bool:
        """Whether media come here now: two packets later than any that is on its way."""
        self.rtp.setblocking(False)
        try:
            while True:
                self.rtp.recv(3000)
        except BlockingIOError:
            pass
        self.rtp.settimeout(2)
        try:
            return bool(self.rtp.recv(3000) and self.rtp.recv(3000))
        except TimeoutError:
            return False

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class Leg:
    """An AudioTransport that calls a MediaPeer."""

    def __init__(self, mixer: AudioMixer) -> None:
        self.peer = MediaPeer()
        self.transport = initialized()
        self.audio = AudioTransport(mixer, self.transport, None, 0, False, ['PCMU'])
        self.local = session(self.audio.get_local_media(None, 0))
        self.audio.start(self.local, self.remote(self.peer), 0, 0)
        self.address = ('127.0.0.1', self.local.media[0].port)
        self.others: list[MediaPeer] = []

    @staticmethod
    def remote(peer: MediaPeer) -> SDPSession:
        return session(SDPMediaStream('audio', peer.port, 'RTP/AVP', formats=['0'], connection=SDPConnection('127.0.0.1')))

    def other(self) -> MediaPeer:
        self.others.append(MediaPeer())
        return self.others[-1]

    def received(self) -> int:
        return int(self.audio.statistics['rx']['packets'])

    def send(self, peer: MediaPeer, data: bytes | None = None) -> None:
        peer.rtp.sendto(peer.packet() if data is None else data, self.address)

    def takes(self, peer: MediaPeer) -> bool:
        """Whether packets of that peer are taken now."""
        before = self.received()
        for _ in range(3):
            self.send(peer)
        return wait_until(lambda: self.received() >= before + 3, 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.audio.stop()
        for peer in (self.peer, *self.others):
            peer.close()
        self.__dict__.clear()


REPORT = struct.pack('!BBHIIIIIIIIII', 0x81, 200, 12, 7, 1, 2, 3, 4, 5, 6, 0, 0, 0) + bytes(8)
RTP = struct.pack('!BBHII', 0x80, 0, 1, 160, 7)
BAD_RTP = {
    'short': RTP[:11],
    'version 1': b'\x40' + RTP[1:] + bytes(160),
    'version 3': b'\xc0' + RTP[1:] + bytes(160),
    'contributors beyond the end': b'\x8f' + RTP[1:] + bytes(59),
    'extension header beyond the end': b'\x90' + RTP[1:] + bytes(3),
    'extension beyond the end': b'\x90' + RTP[1:] + b'\0\0\xff\xff' + bytes(160),
    'padding of nothing': b'\xa0' + RTP[1:],
    'padding of zero': b'\xa0' + RTP[1:] + bytes(160),
    'padding beyond the start': b'\xa0' + RTP[1:] + bytes(159) + b'\xff',
    'text': b'INVITE sip:a SIP/2.0\r\n\r\n',
    'TLS': b'\x16\x03\x01\x00\xff' + bytes(200),
}
GOOD_RTP = {
    'plain': {'payload': b'\x55' * 160},
    'contributors': {'first': 0x82, 'payload': bytes(8) + b'\x55' * 160},
    'extension': {'first': 0x90, 'payload': b'\xbe\xde\0\x01' + bytes(4) + b'\x55' * 160},
    'padding': {'first': 0xa0, 'payload': b'\x55' * 160 + b'\0\0\0\x04'},
    'all of it': {'first': 0xb1, 'payload': bytes(4) + b'\xbe\xde\0\0' + b'\x55' * 160 + b'\x01'},
}


def test_malformed_rtp_is_counted_and_dropped(engine: Engine, mixer: AudioMixer) -> None:
    with Leg(mixer) as leg:
        assert leg.takes(leg.peer)
        for name, data in BAD_RTP.items():
            before, counts = leg.received(), Counts()
            leg.send(leg.peer, data)
            assert eventually(lambda counts=counts: counts.all() == {'malformed_rtp': 1}), (name, counts.all())
            assert leg.received() == before, name
        for name, how in GOOD_RTP.items():
            before, counts = leg.received(), Counts()
            leg.send(leg.peer, leg.peer.packet(**how))      # type: ignore[arg-type]
            assert eventually(lambda before=before: leg.received() == before + 1), name
            assert counts.all() == {}, name
        counts = Counts()
        for data in (b'', b'\0\0\0\0', bytes.fromhex('000100002112a442') + bytes(12)):
            leg.send(leg.peer, data)                        # keep-alives
        assert leg.takes(leg.peer) and counts.all() == {}


def test_malformed_rtcp_is_counted_and_dropped(engine: Engine, mixer: AudioMixer) -> None:
    report = REPORT
    bye = struct.pack('!BBHI', 0x81, 203, 1, 7)
    bad = [report[:7], report[:-1], report + b'\x80', b'\x40' + report[1:], report[:1] + b'\x05' + report[2:], report[:2] + b'\xff\xff' + report[4:],
           b'\xa1' + report[1:] + bye, bye + report[:8]]
    with Leg(mixer) as leg:
        assert leg.takes(leg.peer)
        address = (leg.address[0], leg.address[1] + 1)
        for number, data in enumerate(bad):
            counts = Counts()
            leg.peer.rtcp.sendto(data, address)
            assert eventually(lambda counts=counts: counts.all() == {'malformed_rtcp': 1}), (number, counts.all())
        counts = Counts()
        updates = leg.audio.statistics['tx']['jitter']['count']
        leg.peer.rtcp.sendto(report + bye, address)
        assert eventually(lambda: leg.audio.statistics['tx']['jitter']['count'] > updates)
        assert counts.all() == {}


def test_a_stranger_is_not_heard_and_gets_no_media(engine: Engine, mixer: AudioMixer) -> None:
    with Leg(mixer) as leg:
        stranger = leg.other()
        assert leg.takes(leg.peer) and leg.peer.hears()
        counts, before = Counts(), leg.received()
        for number in range(1, 21):
            for _ in range(20):                             # of them, for each packet of the peer
                leg.send(stranger)
            leg.send(leg.peer)
            assert eventually(lambda number=number: leg.received() == before + number), leg.received() - before
        assert counts.all() == {'stranger_rtp': 400}
        assert leg.peer.hears() and leg.transport.remote_rtp_port == leg.peer.port


def rtcp_goes_to(leg: Leg, *candidates: socket.socket) -> list[bool]:
    """End the media, which sends a BYE at once, and tell which of the sockets have got RTCP."""
    for each in candidates:
        while has_rtcp(each):
            pass
    leg.audio.stop()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [has_rtcp(each) for each in candidates]
        if any(found):
            return found
        time.sleep(0.01)
    return [False] * len(candidates)


def has_rtcp(receiver: socket.socket) -> bool:
    receiver.setblocking(False)
    try:
        return receiver.recv(3000)[1] in range(200, 205)
    except BlockingIOError:
        return False


def takes_rtcp(leg: Leg, sender: socket.socket) -> bool:
    """Whether reports from there are taken now."""
    before, counts = leg.audio.statistics['tx']['jitter']['count'], Counts()
    sender.sendto(REPORT, (leg.address[0], leg.address[1] + 1))
    assert eventually(lambda: leg.audio.statistics['tx']['jitter']['count'] > before or counts.grown('stranger_rtcp') == 1), counts.all()
    return not counts.grown('stranger_rtcp')


def test_rtcp_of_a_stranger_is_not_taken(engine: Engine, mixer: AudioMixer) -> None:
    """Neither of one on the peer's host, once the peer was heard, nor of one on another host, however early it comes."""
    with Leg(mixer) as leg:
        near, far = leg.other(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with far:
            far.bind(('127.0.0.2', 0))
            assert not takes_rtcp(leg, far)
            assert takes_rtcp(leg, leg.peer.rtcp)
            assert not any(takes_rtcp(leg, each) for each in (near.rtcp, far) for _ in range(6))
            assert rtcp_goes_to(leg, leg.peer.rtcp, near.rtcp, far) == [True, False, False]


def test_rtcp_of_a_stranger_alone(engine: Engine, mixer: AudioMixer) -> None:
    """Ours goes where it was signalled for, though nothing came from there yet."""
    with Leg(mixer) as leg, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(('127.0.0.2', 0))
        assert not any(takes_rtcp(leg, far) for _ in range(6))
        assert rtcp_goes_to(leg, leg.peer.rtcp, far) == [True, False]


def test_rtcp_of_a_peer_behind_a_nat(engine: Engine, mixer: AudioMixer) -> None:
    """Both its addresses are not the signalled ones: the first to be heard counts, and the signalled one always does."""
    with Leg(mixer) as leg:
        mapped = leg.other()
        assert leg.takes(mapped)
        assert takes_rtcp(leg, mapped.rtcp) and takes_rtcp(leg, leg.peer.rtcp) and takes_rtcp(leg, mapped.rtcp)
        assert rtcp_goes_to(leg, leg.peer.rtcp, mapped.rtcp) == [False, True]


def test_rtcp_follows_rtp_until_it_is_heard(engine: Engine, mixer: AudioMixer) -> None:
    with Leg(mixer) as leg:
        mapped = leg.other()
        assert leg.takes(mapped)
        assert rtcp_goes_to(leg, leg.peer.rtcp, mapped.rtcp) == [False, True]


def test_rtcp_goes_to_a_new_signalled_address(engine: Engine, mixer: AudioMixer) -> None:
    with Leg(mixer) as leg:
        mapped, fresh = leg.other(), leg.other()
        assert takes_rtcp(leg, mapped.rtcp)
        leg.transport.rebind_remote_peer(leg.remote(fresh), 0)
        assert not any(has_rtcp(each) for each in (mapped.rtcp, fresh.rtcp))
        assert rtcp_goes_to(leg, mapped.rtcp, fresh.rtcp) == [False, True]


def test_a_peer_that_moves_is_followed(engine: Engine, mixer: AudioMixer) -> None:
    """Behind a NAT it comes from another address than the signalled one, and from another one later. Where it was before counts again at once."""
    with Leg(mixer) as leg:
        first, second = leg.other(), leg.other()
        assert leg.takes(first) and first.hears() and leg.transport.remote_rtp_port == first.port
        before = leg.received()
        leg.send(second)                                    # too early
        leg.send(first)
        assert eventually(lambda: leg.received() == before + 1)
        time.sleep(0.6)                                     # the first one is silent; nothing tells when that has been long enough
        assert leg.takes(second) and second.hears()
        assert leg.takes(first) and first.hears()
        assert leg.takes(leg.peer) and leg.peer.hears()     # the signalled address
        assert leg.transport.remote_rtp_port == leg.peer.port
        fresh = leg.other()
        leg.audio.update(leg.local, leg.remote(fresh), 0) if hasattr(leg.audio, 'update') else leg.transport.rebind_remote_peer(leg.remote(fresh), 0)
        assert fresh.hears() and leg.takes(fresh)


def test_srtp_that_nobody_with_the_key_sent(engine: Engine, mixer: AudioMixer) -> None:
    with Pair(mixer, a={'encryption': 'sdes_mandatory'}).start() as pair:
        assert eventually(lambda: pair.a.statistics['rx']['packets'] > 5)
        counts = Counts()
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with stranger:
            for _ in range(50):
                stranger.sendto(RTP + os.urandom(170), ('127.0.0.1', pair.a_rtp.local_rtp_port))
                stranger.sendto(b'\x80\xc8\0\x06' + os.urandom(50), ('127.0.0.1', pair.a_rtp.local_rtp_port + 1))
            assert eventually(lambda: counts.grown('rejected_srtp') == 100), counts.all()
            assert counts.all() == {'rejected_srtp': 100}
            before = pair.a.statistics['rx']['packets']
            assert eventually(lambda: pair.a.statistics['rx']['packets'] > before + 5)
            pair.a.stop()                                   # which sends an RTCP BYE at once
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(3000)
