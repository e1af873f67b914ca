"""What the RTP tests share: an Engine on loopback with all codecs, and pairs of transports that call each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.native.audio_support import PATIENCE, Inbox, eventually, loud_part, middle, read_samples, share

from sipsimple.core import _handles
from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._rtp_transport import RTPTransport
from sipsimple.core._tone import ToneGenerator
from sipsimple.core._wave import RecordingWaveFile
from sipsimple.core.engine import Engine
from sipsimple.core.sdp import SDPMediaStream, SDPSession

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
    """Every native object of the test is gone at its end."""
    import gc
    yield
    gc.collect()
    assert eventually(lambda: not objects()), objects()


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
        """Play a tone into `source` and record what comes out of `sink`; the share of the tone in its middle."""
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
