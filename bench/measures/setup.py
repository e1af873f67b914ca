"""How long it takes to set up a single call on an idle machine."""

from __future__ import annotations

import re
import socket
import time
from typing import Self

from bench.context import Bench
from bench.measures.calls import NEGOTIATE
from bench.programs import BenchError, Subject
from bench.report import Row, percentile

COUNT = 100
PAUSE = 0.02            # seconds between two calls
SDP = ('v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {media} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n'
       'a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n')


class Caller:
    """Makes calls, one after the other, over a socket of its own, and takes the time until the 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.connect(('127.0.0.1', port))
        self.socket.settimeout(10)
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)       # where the audio goes
        self.media.bind(('127.0.0.1', 0))
        self.own = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()
        self.media.close()

    def _request(self, method: str, number: int, cseq: int, tag: str, body: str = '') -> bytes:
        return (f'{method} sip:2@127.0.0.1:{self.port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.own};rport;branch=z9hG4bK-{number}-{method}\r\n'
                f'Max-Forwards: 70\r\nFrom: <sip:bench@127.0.0.1>;tag=b{number}\r\nTo: <sip:2@127.0.0.1>{tag}\r\nCall-ID: setup-{number}\r\n'
                f'CSeq: {cseq} {method}\r\nContact: <sip:bench@127.0.0.1:{self.own}>\r\nContent-Type: application/sdp\r\n'
                f'Content-Length: {len(body)}\r\n\r\n{body}').encode()

    def _answer(self, method: str) -> str:
        while True:
            text = self.socket.recv(65536).decode()
            code = int(text[8:11]) if text.startswith('SIP/2.0') else 0
            if code >= 300:
                raise BenchError(text.splitlines()[0])
            if code >= 200 and re.search(rf'^CSeq: \d+ {method}\r$', text, re.MULTILINE):
                return text

    def call(self, number: int) -> float:
        """Seconds from the INVITE to the 200 of a call."""
        invite = self._request('INVITE', number, 1, '', SDP.format(media=self.media.getsockname()[1]))
        begin = time.perf_counter()
        self.socket.send(invite)
        answer = self._answer('INVITE')
        seconds = time.perf_counter() - begin
        found = re.search(r'^To: .*(;tag=[^;\r\n]+)', answer, re.MULTILINE)
        assert found is not None
        self.socket.send(self._request('ACK', number, 1, found[1]))
        time.sleep(PAUSE)
        self.socket.send(self._request('BYE', number, 2, found[1]))
        self._answer('BYE')
        time.sleep(PAUSE)
        return seconds


def _calls(port: int, count: int) -> list[float]:
    with Caller(port) as caller:
        return [caller.call(number) * 1000 for number in range(count)]


def measure(bench: Bench) -> list[Row]:
    answered = Row('idle: INVITE to 200 of a Session, p50', 'ms', target=3, absolute=True)
    slow = Row('idle: INVITE to 200 of a Session, p99', 'ms')
    made = Row('idle: connect() to SIPSessionDidStart, p50', 'ms', target=3, absolute=True)
    count = bench.count(COUNT)
    for _ in bench.turns():
        with Subject('sessions') as subject:
            times = _calls(subject.ready()['port'], count)
            answered.ours.values.append(percentile(times, 50))
            slow.ours.values.append(percentile(times, 99))
        server, port = bench.peers.perf_server(NEGOTIATE)
        with server, Subject('sessions') as subject:
            subject.ready()
            answer = subject.do('dial', port=port, count=count, window=1, pause=PAUSE)
            made.ours.values.append(percentile(answer['setup'], 50) * 1000)
            times = _calls(port, count)
            answered.peer.values.append(percentile(times, 50))
            slow.peer.values.append(percentile(times, 99))
    return [answered, slow, made]
