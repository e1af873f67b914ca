"""Streams that start, change and stop while packets come without end: a callback never meets what is gone (B1 to B3, B15 of PJSIP's list of faults).

With SIPSIMPLE_FULL_LOAD=1 two hundred calls of each kind, else a few; AddressSanitizer watches the build that CI makes for it.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sipsimple.core._mixer import AudioMixer
from tests.native.rtp_support import Pair, engine, mixer, no_leaks, session
from tests.support import rtp_packets as packets
from tests.support.rtp_packets import RTP

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

CALLS = 200 if os.environ.get('SIPSIMPLE_FULL_LOAD') else 12
KINDS: dict[str, dict[str, Any]] = {'plain': {}, 'srtp': {'encryption': 'sdes_mandatory'}, 'ice': {'use_ice': True},
                                    'srtp over ice': {'encryption': 'sdes_mandatory', 'use_ice': True}}


class Flood:
    """A thread that sends RTP, RTCP and worse to the ports in `targets`, as fast as it can."""

    def __init__(self) -> None:
        self.targets: list[int] = []
        self.sent = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        chance = random.Random(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            number = 0
            while not self._end.is_set():
                for port in list(self.targets):
                    number += 1
                    kinds = [bytes(RTP(0, number, number * 160, bytes(160), ssrc=number % 3)), packets.sender_report(number % 3, 1, 160, number),
                             b'\x80' + chance.randbytes(40), struct.pack('!HHI', 1, 0, 0x2112A442) + chance.randbytes(12)]
                    sender.sendto(kinds[number % len(kinds)], ('127.0.0.1', port + number // 8 % 2))
                    self.sent += 1
                if not self.targets or number % 200 == 0:
                    self._end.wait(0.002)           # let others run

    def close(self) -> None:
        self._end.set()
        self._thread.join()


@contextmanager
def flood() -> Iterator[Flood]:
    flood = Flood()
    try:
        yield flood
    finally:
        flood.close()


def call(mixer: AudioMixer, flood: Flood, options: dict[str, Any], chance: random.Random) -> None:
    """A call that is held and taken up again some times, and ends at any moment of its life."""
    with Pair(mixer, options, codecs=['PCMU', 'G722']) as pair:
        ports = [port for port in (pair.a_rtp.local_rtp_port, pair.b_rtp.local_rtp_port) if port]
        flood.targets += ports
        try:
            pair.start()
            for _ in range(chance.randrange(4)):
                sent = flood.sent
                while flood.sent < sent + 20:
                    threading.Event().wait(0.001)
                direction = chance.choice(('sendonly', 'sendrecv', 'inactive'))
                offer = session(pair.a.get_local_media(None, 0, direction))
                answer = session(pair.b.get_local_media(offer, 0))
                if chance.random() < 0.5:           # another codec: the stream is built anew
                    for description in (offer, answer):
                        media = description.media[0]
                        assert media is not None
                        media.formats = ['9', '101']
                        media.attributes = [each for each in media.attributes if not each.value.startswith('0 ')]
                pair.b.update_sdp(answer, offer, 0)
                pair.a.update_sdp(offer, answer, 0)
            first, second = chance.sample([pair.a, pair.b], 2)
            first.stop()
            if chance.random() < 0.5:
                second.stop()
        finally:
            for port in ports:
                flood.targets.remove(port)


@pytest.mark.parametrize('kind', KINDS)
def test_calls_under_fire(mixer: AudioMixer, kind: str) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(CALLS // 2):
                call(mixer, flooding, KINDS[kind], chance)
        except BaseException as error:
            failures.append(error)

    with flood() as flooding:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert flooding.sent > 100
    assert mixer.used_slot_count == 0
