"""A SIP peer whose media are aiortc's: ICE, DTLS-SRTP, a codec and rtcp-mux, in one bundle. Steered like `ice_peer.py`.

Further configuration: `forge`: tell a fingerprint that is not the certificate's.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from array import array
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aioice
import av
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from tests.interop.ice_peer import Peer, main
from tests.support import rtp_packets as rtp

RATE = 48000
FRAME = RATE * rtp.FRAME_MS // 1000

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1']


class Voice(MediaStreamTrack):
    """Silence, or what is to be said."""

    kind = 'audio'

    def __init__(self) -> None:
        super().__init__()
        self.samples: list[int] = []
        self.position = 0
        self.when: float | None = None
        self.said = asyncio.Event()

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        if self.when is not None:
            self.when += rtp.FRAME_MS / 1000
            await asyncio.sleep(self.when - loop.time())
        else:
            self.when = loop.time()
        now, self.samples = self.samples[:FRAME], self.samples[FRAME:]
        if now and not self.samples:
            self.said.set()
        frame = av.AudioFrame(format='s16', layout='mono', samples=FRAME)
        frame.planes[0].update(array('h', now + [0] * (FRAME - len(now))).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.position, Fraction(1, RATE)
        self.position += FRAME
        return frame


class RTCPeer(Peer):
    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__({**configuration, 'codec': 'PCMU'})
        self.chosen = configuration['codec']
        self.rate = 8000

    # ---- ICE and SDP -------------------------------------------------------------------------------------------------

    async def gather(self, controlling: bool, offer: str | None = None) -> None:
        self.connection = RTCPeerConnection()
        self.voice = Voice()
        self.connection.on('track', lambda track: self.tasks.append(asyncio.create_task(self.listen(track))))
        if offer is not None:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, 'offer'))
        self.connection.addTrack(self.voice)
        made = await (self.connection.createOffer() if offer is None else self.connection.createAnswer())
        await self.connection.setLocalDescription(made)

    def description(self) -> str:
        sdp = self.connection.localDescription.sdp
        if not self.configuration.get('forge'):
            return sdp
        lines = sdp.split('\r\n')
        return '\r\n'.join(line[:-2] + f'{int(line[-2:], 16) ^ 1:02X}' if line.startswith('a=fingerprint:') else line for line in lines)

    async def connect(self, sdp: str) -> None:
        if self.configuration['calls']:
            await self.connection.setRemoteDescription(RTCSessionDescription(sdp, 'answer'))

    async def renegotiate(self, sdp: str) -> str:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, 'offer'))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self.description()

    # ---- media ----------------------------------------------------------------------------------------------------------

    async def listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.packets += 1
                self.rate = frame.sample_rate
                if self.heard is not None:
                    step = len(frame.layout.channels)
                    self.heard += array('h', bytes(frame.planes[0])[:2 * step * frame.samples])[::step]

    async def do_play_tone(self, frequency: int, milliseconds: int) -> None:
        self.voice.said.clear()
        self.voice.samples = rtp.tone(frequency, milliseconds / 1000, RATE)
        await self.voice.said.wait()
        self.tell('tone_played')

    async def do_stop_recording(self) -> None:
        self.codec.rate = self.rate             # of the file that is written
        await super().do_stop_recording()

    async def do_facts(self) -> None:
        [transceiver] = self.connection.getTransceivers()
        dtls = transceiver.sender.transport
        ice = dtls.transport
        statistics = {each.type: each for each in (await self.connection.getStats()).values()}
        sent, theirs = statistics['outbound-rtp'], statistics.get('remote-inbound-rtp')
        self.tell('facts', packets=self.packets, controlling=ice.role == 'controlling', dtls=dtls.state, dtls_role=dtls._role, ice=ice.state,
                  local_sdp=self.connection.localDescription.sdp, remote_sdp=self.connection.remoteDescription.sdp, sent=sent.packetsSent,
                  reported_lost=None if theirs is None else theirs.packetsLost)


if __name__ == '__main__':
    main(RTCPeer)
