"""What the RTP tests share: an Engine on loopback with all codecs, and pairs of transports that call each other."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sipsimple.core import _handles
from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._rtp_transport import RTPTransport
from sipsimple.core._tone import ToneGenerator
from sipsimple.core._wave import RecordingWaveFile
from sipsimple.core.engine import Engine
from sipsimple.core.sdp import SDPMediaStream, SDPSession
from tests.native.audio_support import PATIENCE, Inbox, eventually, loud_part, middle, read_samples, share
from tests.support.rtp_packets import FRAME_MS, RTP, PCMUCodec, Talker

RATE = 8000


def objects() -> dict[str, int]:
    """Native objects that live, by type."""
    return {name: count for name, count in _handles.live_objects().items() if count}


@pytest.fixture(scope='module')
def engine() -> Iterator[Engine]:
    engine = Engine()
    inbox = Inbox(sender=engine)
    engine.start(ip_address='127.0.0.1', udp_port=None, tcp_port=None, tls_port=None,
                 codecs=['opus', 'speex', 'G722', 'PCMU', 'PCMA', 'GSM', 'iLBC', 'L16'])
    inbox.wait('SIPEngineDidStart')
    yield engine
    engine.stop()
    inbox.wait('SIPEngineDidEnd')
    inbox.close()
    engine.join(PATIENCE)
    assert eventually(lambda: not objects()), objects()


@pytest.fixture
def no_leaks(engine: Engine) -> Iterator[None]:
    """Every native object of the test is gone at its end. What a failed test before it has left behind is not its fault."""
    import gc
    before = sum(objects().values())
    yield
    gc.collect()
    assert eventually(lambda: sum(objects().values()) <= before), objects()


@pytest.fixture
def mixer(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[AudioMixer]:
    yield AudioMixer(None, None, RATE, 0)
    del request.node.funcargs['mixer']      # it should be gone when no_leaks looks


def initialized(**options: Any) -> RTPTransport:
    """An RTPTransport in state INIT."""
    transport = RTPTransport(**options)
    inbox = Inbox(sender=transport)
    try:
        transport.set_INIT()
        inbox.wait('RTPTransportDidInitialize')
    finally:
        inbox.close()
    return transport


def session(*streams: SDPMediaStream) -> SDPSession:
    return SDPSession('127.0.0.1', media=list(streams))


def rejected() -> SDPMediaStream:
    return SDPMediaStream('audio', 0, 'RTP/AVP', formats=['0'])


class Pair:
    """Two audio streams that call each other: `a` offers, `b` answers."""

    def __init__(self, mixer: AudioMixer, a: dict[str, Any] | None = None, b: dict[str, Any] | None = None,
                 codecs: list[str] | None = None, vad: bool = False, index: int = 0) -> None:
        self.mixer = mixer
        self.index = index
        self.codecs = codecs or ['PCMU']
        self.vad = vad
        self.inbox = Inbox()
        self.a_rtp = initialized(**(a or {}))
        self.b_rtp = initialized(**(b if b is not None else a or {}))

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.inbox.close()
        for name in ('a', 'b'):
            stream = self.__dict__.pop(name, None)
            if stream is not None:
                stream.stop()
        self.__dict__.clear()

    def offer(self, direction: str = 'sendrecv') -> SDPSession:
        self.a = AudioTransport(self.mixer, self.a_rtp, None, self.index, self.vad, self.codecs)
        media = self.a.get_local_media(None, self.index, direction)
        self.local = session(*[rejected() for _ in range(self.index)], media)
        return self.local

    def answer(self) -> SDPSession:
        self.b = AudioTransport(self.mixer, self.b_rtp, self.local, self.index, self.vad, self.codecs)
        media = self.b.get_local_media(self.local, self.index)
        self.remote = session(*[rejected() for _ in range(self.index)], media)
        return self.remote

    def start(self, timeout: float = 0) -> Pair:
        """Exchange SDPs and start both."""
        self.offer()
        self.answer()
        self.b.start(self.remote, self.local, self.index, timeout)
        self.a.start(self.local, self.remote, self.index, timeout)
        return self

    def hears(self, source: AudioTransport, sink: AudioTransport, path: Path, frequency: float = 1000, seconds: float = 0.6) -> float:
        """Play a tone into `source` and record what comes out of `sink`; the share of the tone in its middle.

        It is the best of some tries: on a busy machine the clock of the mixer is late now and then, and a jitter buffer has nothing.
        """
        heard = 0.0
        for _ in range(5):
            heard = max(heard, self._heard_once(source, sink, path, frequency, seconds))
            if heard > 0.95:
                break
        return heard

    def _heard_once(self, source: AudioTransport, sink: AudioTransport, path: Path, frequency: float, seconds: float) -> float:
        recorder = RecordingWaveFile(self.mixer, str(path))
        tone = ToneGenerator(self.mixer)
        inbox = Inbox(sender=tone)
        recorder.start()
        tone.start()
        try:
            self.mixer.connect_slots(sink.slot, recorder.slot)
            self.mixer.connect_slots(tone.slot, source.slot)
            tone.play_tones([(int(frequency), 0, int(seconds * 1000))])
            inbox.wait('ToneGeneratorDidFinishPlaying')
            # What is still on its way: codec delay and jitter buffer.
            ticks = self.mixer.frames_mixed
            assert eventually(lambda: self.mixer.frames_mixed >= ticks + 5)
        finally:
            inbox.close()
            tone.stop()
            recorder.stop()
        samples, rate = read_samples(path)
        part = middle(loud_part(samples), rate)
        return share(part, rate, frequency) if len(part) >= rate * 0.2 else 0.0


def open_files() -> int:
    return len(os.listdir('/proc/self/fd'))


class RTPPeer:
    """A peer made of two sockets: every packet it sends is the test's, every packet it gets is kept.

    With `offers` it is the peer who offers. `protect` and `unprotect` stand for its SRTP.
    """

    def __init__(self, mixer: AudioMixer, formats: str = '0 101', attributes: str = '', codecs: list[str] | None = None, vad: bool = False,
                 timeout: float = 0, offers: bool = False, profile: str = 'RTP/AVP', **options: Any) -> None:
        self.mixer = mixer
        self.inbox = Inbox()
        self.sockets = self._pair()
        self.port = self.sockets[0].getsockname()[1]
        self.lock = threading.Lock()
        self.rtp: list[RTP] = []
        self.rtcp: list[bytes] = []
        self.sources: set[tuple[str, int]] = set()
        self.closing = False
        self.talker = Talker(PCMUCodec(), 0)
        self.transport = initialized(**options)
        self.formats, self.attributes, self.profile = formats, attributes, profile
        self.protect: Callable[[bytes], bytes] = bytes
        self.unprotect: Callable[[bytes], bytes | None] = bytes
        self.answer = self.description()
        self.stream = AudioTransport(mixer, self.transport, self.answer if offers else None, 0, vad, codecs or ['PCMU'])
        self.offer = session(self.stream.get_local_media(self.answer if offers else None, 0))
        self.address = ('127.0.0.1', self.transport.local_rtp_port or 0)
        self.threads = [threading.Thread(target=self._receive, args=(number,)) for number in (0, 1)]
        for thread in self.threads:
            thread.start()
        self.timeout = timeout

    @staticmethod
    def _pair() -> list[socket.socket]:
        while True:
            first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            first.bind(('127.0.0.1', 0))
            try:
                second.bind(('127.0.0.1', first.getsockname()[1] + 1))
            except OSError:
                first.close()
                second.close()
            else:
                return [first, second]

    def __enter__(self) -> RTPPeer:
        self.stream.start(self.offer, self.answer, 0, self.timeout)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.inbox.close()
        self.stream.stop()
        self.closing = True
        for each in self.sockets:
            each.sendto(b'', each.getsockname())
        for thread in self.threads:
            thread.join()
        for each in self.sockets:
            each.close()
        del self.stream, self.transport

    def description(self, port: int | None = None, formats: str | None = None, direction: str = 'sendrecv', address: str = '127.0.0.1') -> SDPSession:
        """What the peer says of itself."""
        formats = formats or self.formats
        events = 'a=rtpmap:101 telephone-event/8000\r\n' if '101' in formats else ''
        return SDPSession.parse((f'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns= \r\nc=IN IP4 {address}\r\nt=0 0\r\n'
                                 f'm=audio {self.port if port is None else port} {self.profile} {formats}\r\n{events}a={direction}\r\n{self.attributes}').encode())

    def _receive(self, number: int) -> None:
        while True:
            data, source = self.sockets[number].recvfrom(4096)
            if self.closing:
                return
            with self.lock:
                plain = self.unprotect(data) if number == 0 else None
                packet = RTP.parse(plain) if plain is not None else None
                if packet is not None:
                    self.rtp.append(packet)
                    self.sources.add(source)
                elif number == 1:
                    self.rtcp.append(data)

    def send(self, *packets: RTP | bytes) -> None:
        for packet in packets:
            self.sockets[0].sendto(self.protect(bytes(packet)), self.address)

    def talk(self, frames: int, change: Callable[[int, RTP], Iterable[RTP]] = lambda number, packet: [packet]) -> None:
        """Send that many packets at their time; `change` says what becomes of each."""
        when = time.monotonic()
        for number in range(frames):
            self.send(*change(number, self.talker.packet()))
            when += FRAME_MS / 1000
            time.sleep(max(0.0, when - time.monotonic()))

    def received(self, payload_type: int | None = None) -> list[RTP]:
        """The packets that have come, in order of arrival."""
        with self.lock:
            return [packet for packet in self.rtp if payload_type in (None, packet.payload_type)]

    @property
    def rx(self) -> dict[str, Any]:
        """What the stream counts of what we sent."""
        statistics = self.stream.statistics
        assert statistics is not None
        return statistics['rx']
