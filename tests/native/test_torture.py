"""The torture messages of RFC 4475 and RFC 5118 over UDP and TCP, while a call is up that must not notice (tests/native/torture has them): after each of
them its dialog is tried, and its sound in both directions."""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections.abc import Iterator

import pytest

from sipsimple.core import FromHeader, Request, RouteHeader, SIPURI, ToHeader
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.engine import Engine
from tests.native.audio_support import share
from tests.native.rtp_support import RTPPeer
from tests.native.torture import rfc4475, rfc5118
from tests.native.torture.cases import INCOMING, SILENCE, WAITS, Case
from tests.support.engine import Seen, running_engine
from tests.support.rtp_packets import FRAME_MS, RTP
from tests.support.sip_calls import Incoming
from tests.support.sip_peer import SIPText, StreamPeer, UDPPeer, has_ipv6


class Sound:
    """The media of a call in which we say what we hear. The peer hums; what it hums from now on must come back.

    Attributes:
        peer: the sockets of the other side.
    """

    FRAMES = 3          # that have to have the note, one after the other
    LIMIT = 20.0        # seconds

    def __init__(self) -> None:
        self.mixer = AudioMixer(None, None, 8000, 0)
        self.peer = RTPPeer(self.mixer, offers=True)
        self.notes = itertools.cycle(range(400, 3400, 300))
        self.note = next(self.notes)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._hum, name='hum')

    def start(self) -> None:
        self.peer.__enter__()
        self.mixer.connect_slots(self.peer.stream.slot, self.peer.stream.slot)
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join()
        self.peer.__exit__()

    def _hum(self) -> None:
        frame = self.peer.talker.codec.frame
        when = time.monotonic()
        for number in itertools.count():
            self.peer.talker.samples = [int(12000 * math.sin(2 * math.pi * self.note * (number * frame + i) / 8000)) for i in range(frame)]
            self.peer.send(self.peer.talker.packet())
            when = max(when + FRAME_MS / 1000, time.monotonic() - 0.1)          # what is late by more is not made up for
            if self.ending.wait(max(0.0, when - time.monotonic())):
                return

    def has_note(self, packet: RTP) -> bool:
        return share(self.peer.talker.codec.decode(packet.payload), 8000, self.note) > 0.9

    def check(self) -> None:
        """Both directions work: something that was not said before comes back."""
        self.note = next(self.notes)
        seen = len(self.peer.received(0))
        end = time.monotonic() + self.LIMIT
        found = 0
        while found < self.FRAMES:
            assert time.monotonic() < end, f'{seen} packets, and no {self.note} Hz in the last of them'
            packets = self.peer.received(0)
            for packet in packets[seen:]:
                found = found + 1 if self.has_note(packet) else 0
            seen = len(packets)
            time.sleep(0.005)


class Torture:
    """An engine with a call that is up.

    Attributes:
        peer: the other side of the call.
        call: the call.
        sound: its media.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen = Seen()
        self.peer = UDPPeer(engine.udp_port)
        self.sound = Sound()
        self.call = Incoming(self.peer, self.seen, body=str(self.sound.peer.answer)).connect(self.sound.peer.offer)
        self.sound.start()
        self.cseq = 1

    def check_call(self) -> None:
        """The call is as it was, and goes on."""
        self.sound.check()
        assert self.call.invitation.state == 'connected' and self.call.invitation.sub_state == 'normal'
        self.cseq += 1
        self.peer.send(self.call.in_dialog('UPDATE', self.cseq))
        assert self.peer.expect(200).get('cseq') == f'{self.cseq} UPDATE'

    def end(self) -> None:
        for past in self.seen.past:
            assert past.name != 'SIPInvitationChangedState' or past.sender is not self.call.invitation or past.data.state != 'disconnected', past
        self.cseq += 1
        self.peer.send(self.call.in_dialog('BYE', self.cseq))
        self.peer.expect(200)
        self.call.state('disconnected')
        self.sound.stop()
        self.seen.stop()
        self.peer.socket.close()


@pytest.fixture(scope='module')
def torture() -> Iterator[Torture]:
    with running_engine(ip_address=None, tcp_port=0, trace_sip=True) as engine:
        torture = Torture(engine)
        yield torture
        torture.end()


class Datagrams:
    """Messages as datagrams. An answer goes to the port that the Via names, not to ours: it is taken from the trace of what is sent, together with where to."""

    def __init__(self, torture: Torture, host: str) -> None:
        self.torture, self.seen = torture, torture.seen
        self.peer = UDPPeer(torture.engine.udp_port, host)

    def close(self) -> None:
        self.peer.socket.close()

    def sent(self) -> Iterator[SIPText]:
        """Everything that the engine sends to our address from now on."""
        while True:
            data = self.seen.wait('SIPEngineSIPTrace', received=False, transport='UDP').data
            if (data.destination_ip, data.destination_port) != ('127.0.0.1', self.torture.peer.port):
                assert data.destination_ip == self.peer.host
                text = SIPText(data.data)
                via = re.match(r'SIP */ *\d\.0 */ *\w+ +(?:\[.*?\]|[^\s:;]+)(?: *: *(\d+))?.*?(;rport=?\d*)?', ' '.join((text.get('via') or '').split()))
                if via and 'rport' not in (text.get('via') or '') and text.code not in (400, 505):
                    assert data.destination_port == int(via[1] or 5060), (data.destination_port, text.raw)
                yield text

    def probe(self) -> str:
        """A request that is answered behind all that was sent before; its Call-ID."""
        text = self.peer.request('OPTIONS')
        self.peer.send(text)
        return SIPText(text.encode()).get('call-id') or ''


class Streams:
    """Messages on a connection of their own; nothing is waited for that does not come on it."""

    def __init__(self, torture: Torture, host: str) -> None:
        self.peer = StreamPeer(torture.engine.tcp_port, host=host)
        self.peer.connect()

    def close(self) -> None:
        self.peer.__exit__()

    def sent(self) -> Iterator[SIPText]:
        while True:
            yield self.peer.receive()

    def probe(self) -> str:
        text = self.peer.request('OPTIONS')
        self.peer.send(text)
        return SIPText(text.encode()).get('call-id') or ''


def is_answer(text: SIPText, request: SIPText) -> None:
    """The answer has what an answer must have of its request (RFC 3261 section 8.2.6.2), also when that is damaged."""
    def squeezed(message: SIPText, *names: str) -> list[str]:
        return [' '.join(value.split()) for name in names for value in message.headers.get(name, [])]

    assert len(squeezed(text, 'via', 'v')) >= 1
    assert squeezed(text, 'call-id')[:1] == squeezed(request, 'call-id', 'i')[:1]
    numbers = [re.sub(r'^0+(?=\d)', '', value) for value in squeezed(request, 'cseq')]
    assert not numbers or squeezed(text, 'cseq')[0] in numbers
    branches = re.findall(r'branch\s*=\s*([^\s;,]+)', ' '.join(squeezed(request, 'via', 'v')))
    assert re.findall(r'branch\s*=\s*([^\s;,]+)', ' '.join(squeezed(text, 'via', 'v'))) == branches
    assert not branches or not squeezed(request, 'to', 't') or 'tag=' in squeezed(text, 'to')[0].replace(' ', '')


def unfolded(message: bytes) -> SIPText:
    head, end, body = message.partition(b'\r\n\r\n')
    return SIPText(re.sub(rb'\r\n[ \t]+', b' ', head) + end + body)


def ack(answer: SIPText, start: bytes) -> bytes:
    """The ACK of a refused INVITE."""
    uri = start.split()[1].decode()
    via = answer.headers['via'][0]
    return (f'ACK {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {answer.get("from")}\r\nTo: {answer.get("to")}\r\n'
            f'Call-ID: {answer.get("call-id")}\r\nCSeq: {(answer.get("cseq") or "").split()[0]} ACK\r\nContent-Length: 0\r\n\r\n').encode()


def check(torture: Torture, wire: Datagrams | Streams, case: Case, outcome: int | str) -> None:
    request = unfolded(case.message)
    call_id = request.get('call-id') or request.get('i') or ''
    sent = wire.sent()
    wire.peer.send(case.message)
    if outcome == WAITS:
        torture.check_call()
        assert wire.peer.silent(0.1)
        return
    if outcome == INCOMING:
        while True:
            invitation = torture.seen.wait('SIPInvitationChangedState', state='incoming').sender
            if invitation.call_id == call_id:
                break
        invitation.send_response(486)
        code = 486
    elif isinstance(outcome, int):
        code = outcome
    if outcome != SILENCE:
        answer = next(text for text in sent if text.code != 100 and (text.code != 200 or text.get('call-id') == call_id))
        assert answer.code == code, answer.raw
        is_answer(answer, request)
        for name, value in case.headers.items():
            assert value in ', '.join(answer.headers.get(name, []))
        if code == 405:
            assert 'INVITE' in (answer.get('allow') or '')
        if code >= 300 and request.method == 'INVITE':
            wire.peer.send(ack(answer, case.message))
    if isinstance(wire, Streams):
        if case.ends:
            with pytest.raises(ConnectionError):
                wire.peer.receive()
            return
        if case.second is not None:
            assert next(text for text in sent if text.code != 100).code == case.second
            return                      # its length is not right: what follows is not understood
    probe = wire.probe()
    following = next(text for text in sent if text.code != 100)
    assert following.get('call-id') == probe and following.code == 200, following.raw      # nothing else came meanwhile


def run(torture: Torture, case: Case, transport: str, host: str) -> None:
    wire = Datagrams(torture, host) if transport == 'udp' else Streams(torture, host)
    try:
        check(torture, wire, case, case.udp if transport == 'udp' else case.tcp)
    finally:
        wire.close()
    torture.check_call()


TRANSPORTS = ['tcp', 'udp']     # in this order: a refused INVITE is forgotten at once on a stream, over UDP it waits for retransmissions


@pytest.mark.parametrize('transport', TRANSPORTS)
@pytest.mark.parametrize('case', rfc4475.CASES, ids=[case.name for case in rfc4475.CASES])
def test_rfc4475(torture: Torture, case: Case, transport: str) -> None:
    run(torture, case, transport, '127.0.0.1')


@pytest.mark.skipif(not has_ipv6(), reason='this machine has no IPv6')
@pytest.mark.parametrize('transport', TRANSPORTS)
@pytest.mark.parametrize('case', rfc5118.CASES, ids=[case.name for case in rfc5118.CASES])
def test_rfc5118(torture: Torture, case: Case, transport: str) -> None:
    run(torture, case, transport, '::1')


@pytest.mark.parametrize('message, reason', [(rfc4475.UNREASON, '= 2**3 * 5**2 но сто девяносто девять - простое'), (rfc4475.NOREASON.replace(b' 100 ', b' 200 '), '')])
def test_reason_phrases(torture: Torture, message: bytes, reason: str) -> None:
    """Sections 3.1.1.12 and 3.1.1.13 as answers that somebody waits for."""
    uri = SIPURI(host='example.com', user='bob')
    request = Request('OPTIONS', uri, FromHeader(uri), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1', port=torture.peer.port)))
    request.send()
    answer = torture.peer.response(torture.peer.expect('OPTIONS'), 200, 'REASON').encode()
    torture.peer.send(message.partition(b'\r\n')[0] + b'\r\n' + answer.partition(b'\r\n')[2])
    data = torture.seen.wait('SIPRequestDidSucceed', sender=request).data
    assert (data.code, data.reason) == (200, reason)
    torture.check_call()
