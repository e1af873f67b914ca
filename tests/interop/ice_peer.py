"""A SIP peer whose ICE is aioice's, steered like `ice_agent.py`: plain RTP over an aioice connection, SIP as text over UDP.

Configuration: `name`; `nat`: `stun` [host, port], `turn` {arguments of aioice.Connection}, `environment` to have from the moment the SIP socket is there;
`codec`; `controlling`: the role, when not by offer and answer. Commands: call(port), answer, restart (for who has called), play_tone, record, stop_recording, facts, hang_up. Events as the agent's: ready,
incoming, connected, ended, ...; restarted; media_over: RTCP said BYE.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import socket
import sys
import threading
import wave
from array import array
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aioice

from tests.support import rtp_packets as rtp
from tests.support.sip_peer import SIPText, UDPPeer, tag_of

CODECS = {'PCMU': (rtp.PCMUCodec, 0, '0 PCMU/8000'), 'opus': (rtp.OpusCodec, 96, '96 opus/48000/2')}

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1']         # it leaves loopback out


class Phone(UDPPeer):
    """The SIP side; its port is outside of what a NAT is asked to translate."""

    def __init__(self) -> None:
        super().__init__(0)
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for port in range(20000, 23000):
            with contextlib.suppress(OSError):
                self.socket.bind(('127.0.0.1', port))
                break
        self.port = self.socket.getsockname()[1]

    def receive(self, timeout: float = 60.0) -> SIPText:
        self.socket.settimeout(timeout)
        data, self.engine = self.socket.recvfrom(65536)
        return SIPText(data)


def ufrag_of(sdp: str) -> str:
    return sdp.partition('a=ice-ufrag:')[2].split()[0]


class Peer:
    def __init__(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration
        self.phone = Phone()
        os.environ.update(configuration['nat'].get('environment', {}))
        codec, self.payload_type, self.rtpmap = CODECS[configuration['codec']]
        self.codec = codec()
        self.talker = rtp.Talker(self.codec, self.payload_type)
        self.connection: Any = None
        self.left: list[Any] = []               # those before a restart
        self.invite: SIPText | None = None
        self.dialog: dict[str, Any] = {}
        self.heard: list[int] | None = None
        self.packets = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.cseq = 1
        self.answers: queue.Queue[SIPText] = queue.Queue()
        self.remote_ufrag: str | None = None

    def tell(self, event: str, **fields: Any) -> None:
        print(json.dumps({'event': event, **fields}), flush=True)

    # ---- ICE and SDP -------------------------------------------------------------------------------------------------

    async def gather(self, controlling: bool, offer: str | None = None) -> None:
        nat = self.configuration['nat']
        turn = dict(nat.get('turn', {}))
        if turn:
            turn['turn_server'] = tuple(turn['turn_server'])
        controlling = self.configuration.get('controlling', controlling)
        self.connection = aioice.Connection(ice_controlling=controlling, components=2, stun_server=tuple(nat['stun']) if 'stun' in nat else None, **turn)
        await self.connection.gather_candidates()

    def description(self) -> str:
        default, control = (self.connection.get_default_candidate(component) for component in (1, 2))
        candidates = ''.join(f'a=candidate:{candidate.to_sdp()}\r\n' for candidate in self.connection.local_candidates)
        return (f'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=aioice\r\nt=0 0\r\nm=audio {default.port} RTP/AVP {self.payload_type} 101\r\n'
                f'c=IN IP4 {default.host}\r\na=rtcp:{control.port} IN IP4 {control.host}\r\na=rtpmap:{self.rtpmap}\r\na=rtpmap:101 telephone-event/8000\r\n'
                f'a=ice-ufrag:{self.connection.local_username}\r\na=ice-pwd:{self.connection.local_password}\r\n{candidates}a=sendrecv\r\n')

    async def renegotiate(self, sdp: str) -> str:
        """The answer to a later offer. If the result of ICE is offered anew, what we have told is still true."""
        if ufrag_of(sdp) != self.remote_ufrag:
            self.leave()
            await self.gather(controlling=False)
            self.tasks = [asyncio.create_task(self.connect_anew(sdp))]
        return self.description()

    def leave(self) -> None:
        """Stop the media, and let the connection go."""
        for task in self.tasks:
            task.cancel()
        self.left.append(self.connection)

    async def connect_anew(self, sdp: str) -> None:
        await self.connect(sdp)
        self.tell('restarted')

    async def connect(self, sdp: str) -> None:
        self.remote_ufrag = ufrag_of(sdp)
        for line in sdp.splitlines():
            name, _, value = line.removeprefix('a=').partition(':')
            if name == 'ice-ufrag':
                self.connection.remote_username = value
            elif name == 'ice-pwd':
                self.connection.remote_password = value
            elif name == 'candidate':
                await self.connection.add_remote_candidate(aioice.Candidate.from_sdp(value))
        await self.connection.add_remote_candidate(None)
        await self.connection.connect()
        self.tasks = [asyncio.create_task(task) for task in (self.send(), self.receive())]

    # ---- media ----------------------------------------------------------------------------------------------------------

    async def send(self) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time()
        playing = False
        while True:
            await self.connection.sendto(bytes(self.talker.packet()), 1)
            if playing and not self.talker.samples:
                self.tell('tone_played')
            playing = bool(self.talker.samples)
            when += rtp.FRAME_MS / 1000
            await asyncio.sleep(when - loop.time())

    async def receive(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                data, component = await self.connection.recvfrom()
                packet = rtp.RTP.parse(data) if component == 1 else None
                if packet is not None and packet.payload_type == self.payload_type:
                    self.packets += 1
                    if self.heard is not None:
                        self.heard += self.codec.decode(packet.payload)
                elif component == 2 and rtp.BYE in rtp.rtcp_types(data):
                    self.tell('media_over')

    def final(self) -> SIPText:
        """The final response to our INVITE."""
        while (answer := self.phone.receive()).code is None or answer.code < 200:
            pass
        return answer

    # ---- commands ---------------------------------------------------------------------------------------------------------

    async def do_call(self, target: str, address: str, port: int, transport: str) -> None:
        await self.gather(controlling=True)
        self.phone.engine = (address, port)
        uri = f'{target}'
        text = self.phone.request('INVITE', uri=uri, call_id='aioice-call', headers='Content-Type: application/sdp\r\n', body=self.description())
        self.phone.send(text)
        answer = await asyncio.to_thread(self.final)
        if answer.code != 200:
            self.phone.send(self.phone.request('ACK', uri=uri, call_id='aioice-call', to_tag=tag_of(answer.get('to')), cseq=1))
            self.tell('refused', code=answer.code)
            return
        contact = (answer.get('contact') or '').partition('<')[2].partition('>')[0]
        self.dialog = {'uri': contact, 'call_id': 'aioice-call', 'to_tag': tag_of(answer.get('to')), 'to': uri}
        self.phone.send(self.phone.request('ACK', **self.dialog, cseq=1))
        serve = threading.Thread(target=self.serve, args=(asyncio.get_running_loop(),), daemon=True)
        serve.start()
        await self.connect(answer.body)
        self.tell('connected')

    async def do_restart(self) -> None:
        """Begin anew: another connection, told by a re-INVITE."""
        self.leave()
        await self.gather(controlling=True)
        self.cseq += 1
        self.phone.send(self.phone.request('INVITE', **self.dialog, cseq=self.cseq, headers='Content-Type: application/sdp\r\n', body=self.description()))
        while ((answer := await asyncio.to_thread(self.answers.get, timeout=60)).code or 0) < 200:
            pass
        self.phone.send(self.phone.request('ACK', **self.dialog, cseq=self.cseq))
        assert answer.code == 200, str(answer)
        await self.connect_anew(answer.body)

    async def do_answer(self) -> None:
        assert self.invite is not None
        await self.gather(controlling=False, offer=self.invite.body)
        self.phone.answer(self.invite, 200, headers='Content-Type: application/sdp\r\n', body=self.description())
        await self.connect(self.invite.body)
        self.tell('connected')

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer requests; runs in a thread."""
        while True:
            try:
                request = self.phone.receive(3600)
            except OSError:
                return
            match request.method:
                case 'INVITE' if self.invite is None and not self.dialog:
                    self.invite = request
                    self.phone.answer(request, 180)
                    self.tell('incoming')
                case 'INVITE':
                    body = asyncio.run_coroutine_threadsafe(self.renegotiate(request.body), loop).result()
                    self.phone.answer(request, 200, headers='Content-Type: application/sdp\r\n', body=body)
                    self.tell('reinvite', body=request.body)
                case 'BYE':
                    self.phone.answer(request, 200)
                    self.tell('ended')
                case None:
                    self.answers.put(request)
                case method if method != 'ACK':
                    self.phone.answer(request, 200)

    async def do_play_tone(self, frequency: int, milliseconds: int) -> None:
        self.talker.samples = rtp.tone(frequency, milliseconds / 1000, self.codec.rate)

    async def do_record(self, filename: str) -> None:
        self.heard = []
        self.recording = filename
        self.tell('recording')

    async def do_stop_recording(self) -> None:
        samples, self.heard = self.heard or [], None
        with wave.open(self.recording, 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.codec.rate)
            file.writeframes(array('h', samples).tobytes())
        self.tell('recorded')

    async def do_facts(self) -> None:
        pairs = self.connection._nominated          # the public part does not tell
        self.tell('facts', packets=self.packets, controlling=self.connection.ice_controlling, **{
            side: {str(component): [candidate.type, candidate.host, candidate.port]
                   for component, candidate in ((component, getattr(pair, f'{side}_candidate')) for component, pair in pairs.items())}
            for side in ('local', 'remote')})

    async def do_hang_up(self) -> None:
        self.phone.send(self.phone.request('BYE', **self.dialog, cseq=self.cseq + 1))
        self.tell('ended')

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        if not self.configuration['calls']:
            threading.Thread(target=self.serve, args=(loop,), daemon=True).start()
        self.tell('ready', ports={'udp': self.phone.port})
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            name = command.pop('do')
            if name == 'stop':
                break
            try:
                await getattr(self, f'do_{name}')(**command)
            except Exception as error:
                self.tell('error', text=f'{name}: {error.__class__.__name__}: {error}')
        for task in self.tasks:
            task.cancel()
        for connection in (*self.left, self.connection):
            if connection is not None:
                await connection.close()
        self.phone.socket.close()


def main(kind: type[Peer]) -> None:
    asyncio.run(kind(json.loads(sys.stdin.readline())).run())
    os._exit(0)             # the thread that reads SIP


if __name__ == '__main__':
    main(Peer)
