"""A scripted SIP peer: sends and receives plain text over UDP or TCP, so that a test decides every byte."""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import time
from typing import Self

LIMIT = 10.0


class SIPText:
    """A received message: start line, headers by lower-case name (lists), body."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.decode('utf-8', 'replace').partition('\r\n\r\n')
        self.start, *lines = head.split('\r\n')
        self.headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(':')
            self.headers.setdefault(name.strip().lower(), []).append(value.strip())

    @property
    def code(self) -> int | None:
        return int(self.start.split()[1]) if self.start.startswith('SIP/2.0') else None

    @property
    def method(self) -> str | None:
        return None if self.start.startswith('SIP/2.0') else self.start.split()[0]

    def get(self, name: str, default: str | None = None) -> str | None:
        return self.headers.get(name.lower(), [default])[0]

    def __repr__(self) -> str:
        return f'<{self.start}>'


class Peer:
    """What the peers have in common: the texts of messages, and waiting for one.

    Attributes:
        engine: address that the engine listens at.
        host: our own address; port: where we can be reached.
    """

    _numbers = itertools.count(1)
    transport = 'UDP'
    engine: tuple[str, int]
    host: str
    port: int

    def __init__(self) -> None:
        self._answered: set[tuple[str | None, str | None]] = set()     # transactions of requests that have their final response

    @staticmethod
    def _bracketed(host: str) -> str:
        return f'[{host}]' if ':' in host else host

    @property
    def address(self) -> str:
        return f'{self._bracketed(self.host)}:{self.port}'

    @property
    def uri(self) -> str:
        return f'sip:peer@{self.address}' + ('' if self.transport == 'UDP' else f';transport={self.transport.lower()}')

    def send(self, data: str | bytes) -> None:
        raise NotImplementedError

    def receive(self, timeout: float = LIMIT) -> SIPText:
        """The next message; TimeoutError."""
        raise NotImplementedError

    def expect(self, what: int | str, timeout: float = LIMIT) -> SIPText:
        """The next message with that code or method; others are skipped, and what `answer` has answered: it was sent again before the answer came."""
        until = time.monotonic() + timeout
        while True:
            message = self.receive(max(0.01, until - time.monotonic()))
            if what in (message.code, message.method) and self._transaction(message) not in self._answered:
                return message

    def silent(self, seconds: float = 0.2) -> bool:
        """True when nothing comes for that long."""
        try:
            self.receive(seconds)
        except TimeoutError:
            return True
        return False

    @staticmethod
    def _transaction(message: SIPText) -> tuple[str | None, str | None]:
        """What the transaction of a request is known by; no other has it."""
        return message.get('via'), message.method

    def request(self, method: str, *, uri: str | None = None, headers: str = '', body: str = '', cseq: int = 1, call_id: str | None = None,
                from_tag: str = 'peer-tag', to_tag: str | None = None, branch: str | None = None, to: str | None = None) -> str:
        """Text of a request to the engine."""
        number = next(self._numbers)
        target = uri or f'sip:engine@{self._bracketed(self.engine[0])}:{self.engine[1]}'
        tag = f';tag={to_tag}' if to_tag else ''
        return (f'{method} {target} SIP/2.0\r\n'
                f'Via: SIP/2.0/{self.transport} {self.address};rport;branch={branch or f"z9hG4bK-peer-{number}"}\r\n'
                'Max-Forwards: 70\r\n'
                f'From: <{self.uri}>;tag={from_tag}\r\n'
                f'To: <{to or target}>{tag}\r\n'
                f'Call-ID: {call_id or f"peer-{number}@127.0.0.1"}\r\n'
                f'CSeq: {cseq} {method}\r\n'
                f'Contact: <{self.uri}>\r\n'
                f'{headers}'
                f'Content-Length: {len(body.encode())}\r\n\r\n{body}')

    def response(self, request: SIPText, code: int, reason: str = 'Test', *, headers: str = '', body: str = '', to_tag: str = 'peer-to') -> str:
        """Text of a response to a request of the engine."""
        to = request.get('to') or ''
        if code > 100 and ';tag=' not in to:
            to += f';tag={to_tag}'
        via = ''.join(f'Via: {value}\r\n' for value in request.headers['via'])
        return (f'SIP/2.0 {code} {reason}\r\n{via}From: {request.get("from")}\r\nTo: {to}\r\nCall-ID: {request.get("call-id")}\r\n'
                f'CSeq: {request.get("cseq")}\r\nContact: <{self.uri}>\r\n{headers}Content-Length: {len(body.encode())}\r\n\r\n{body}')

    def answer(self, request: SIPText, code: int, reason: str = 'Test', **kwargs: str) -> None:
        if code >= 200:
            self._answered.add(self._transaction(request))
        self.send(self.response(request, code, reason, **kwargs))


class UDPPeer(Peer):
    """A UDP socket on loopback that speaks to one engine."""

    def __init__(self, engine_port: int, host: str = '127.0.0.1') -> None:
        super().__init__()
        self.host = host
        self.engine = (host, engine_port)
        self.socket = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, data: str | bytes) -> None:
        self.socket.sendto(data if isinstance(data, bytes) else data.encode(), self.engine)

    def receive(self, timeout: float = LIMIT) -> SIPText:
        self.socket.settimeout(timeout)
        return SIPText(self.socket.recv(65536))


class StreamPeer(Peer):
    """A TCP or TLS server for the engine to connect to, or a client of it: one connection at a time.

    Args:
        context: of the server, for TLS.
    """

    def __init__(self, engine_port: int, context: ssl.SSLContext | None = None, host: str = '127.0.0.1') -> None:
        super().__init__()
        self.host = host
        self.engine = (host, engine_port)
        self.context = context
        self.transport = 'TCP' if context is None else 'TLS'
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.stream: socket.socket | None = None
        self._received = b''

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.hang_up()
        self.listener.close()

    def hang_up(self) -> None:
        """Close the connection."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def accept(self, timeout: float = LIMIT) -> None:
        """Wait for the engine's connection; ssl.SSLError when it does not like us."""
        self.listener.settimeout(timeout)
        stream, _ = self.listener.accept()
        stream.settimeout(timeout)
        self._received = b''
        self.stream = stream if self.context is None else self.context.wrap_socket(stream, server_side=True)

    def connect(self, context: ssl.SSLContext | None = None, name: str | None = None) -> None:
        """Connect to the engine."""
        stream = socket.create_connection(self.engine, LIMIT)
        self._received = b''
        self.transport = 'TCP' if context is None else 'TLS'
        self.stream = stream if context is None else context.wrap_socket(stream, server_hostname=name)

    def send(self, data: str | bytes) -> None:
        assert self.stream is not None, 'no connection'
        self.stream.sendall(data if isinstance(data, bytes) else data.encode())

    def receive(self, timeout: float = LIMIT) -> SIPText:
        if self.stream is None:
            self.accept(timeout)
        assert self.stream is not None
        until = time.monotonic() + timeout
        while True:
            self._received = self._received.lstrip(b'\r\n')             # keep-alives
            head, end, _rest = self._received.partition(b'\r\n\r\n')
            if end:
                length = re.search(rb'(?im)^content-length[ \t]*:[ \t]*(\d+)', head)
                size = len(head) + 4 + (int(length.group(1)) if length else 0)
                if len(self._received) >= size:
                    message, self._received = self._received[:size], self._received[size:]
                    return SIPText(message)
            self.stream.settimeout(max(0.01, until - time.monotonic()))
            data = self.stream.recv(65536)
            if not data:
                raise ConnectionError('the engine has closed the connection')
            self._received += data


def has_ipv6() -> bool:
    """Whether there is an IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
    except OSError:
        return False
    return True


def tag_of(header: str | None) -> str:
    """The tag parameter of a From or To value."""
    found = re.search(r';tag=([^;,\s]+)', header or '')
    assert found, f'no tag in {header!r}'
    return found.group(1)


def audio_sdp(port: int = 4000, *, formats: str = '0', direction: str = 'sendrecv', version: int = 1, extra: str = '') -> str:
    """A small audio session description."""
    return (f'v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n'
            f'a=rtpmap:0 PCMU/8000\r\na={direction}\r\n{extra}')
