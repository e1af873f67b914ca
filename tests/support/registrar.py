"""A registrar that does as a test says: every REGISTER is answered by a function, over UDP, TCP or TLS, on 127.0.0.1.

    with ScriptedRegistrar() as registrar:
        registrar.script = [answer(423, 'Interval Too Brief', 'Min-Expires: 2'), granted(2)]
        ...
        registrar.wait(2)                       # two REGISTERs have come
        registrar.requests[1].get('expires')

When the script has come to its end, its last answer is given again.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.sip_peer import SIPText
from tests.support.stun import binding_answer, binding_id

__all__ = ['ScriptedRegistrar', 'answer', 'challenge', 'granted', 'silence']

LIMIT = 30.0
Answer = Callable[[SIPText], 'tuple[int, str, str] | None']


def answer(code: int, reason: str = 'Test', *headers: str) -> Answer:
    """Answer with that code and these header lines."""
    return lambda request: (code, reason, ''.join(f'{header}\r\n' for header in headers))


def granted(expires: int, *headers: str) -> Answer:
    """A 200 for the contact of the request; one that asks for 0 seconds gets what it wants."""
    def give(request: SIPText) -> tuple[int, str, str]:
        if request.get('expires') == '0':
            return 200, 'OK', ''
        return 200, 'OK', f'Contact: {request.get("contact")};expires={expires}\r\n' + ''.join(f'{header}\r\n' for header in headers)
    return give


def challenge(nonce: str, realm: str = 'test', stale: bool = False, proxy: bool = False) -> Answer:
    """A digest challenge."""
    name = 'Proxy-Authenticate' if proxy else 'WWW-Authenticate'
    return answer(407 if proxy else 401, 'Challenge', f'{name}: Digest realm="{realm}", nonce="{nonce}", qop="auth"{", stale=true" if stale else ""}')


def silence(request: SIPText) -> None:
    """Do not answer."""


class ScriptedRegistrar:
    """A context manager.

    Args:
        transport: 'udp', 'tcp' or 'tls'.
        certificate: for tls: folder and name, .pem and .key are added.
        port: None for any.

    Attributes:
        script: the answers, in order.
        requests: what has come, in order; repeated requests of UDP once.
        times: when, of the monotonic clock.
        server_names: host names that TLS clients have asked for.
        seen: the address in the answers to binding requests of STUN, and in Via; None: where it came from.
        pings: how many keep-alives (RFC 5626) have come; answers_pings: whether they are answered.
    """

    def __init__(self, transport: str = 'udp', certificate: Path | None = None, port: int = 0) -> None:
        self.transport = transport
        self.script: list[Answer] = [granted(60)]
        self.requests: list[SIPText] = []
        self.times: list[float] = []
        self.server_names: list[str | None] = []
        self.seen: tuple[str, int] | None = None
        self.pings = 0
        self.answers_pings = True
        self._addresses: dict[int, Any] = {}            # of UDP: id of request -> where it came from
        self._changed = threading.Condition()
        self._answered: dict[str | None, bytes | None] = {}
        self._context: ssl.SSLContext | None = None
        if transport == 'tls':
            assert certificate is not None
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(f'{certificate}.pem', f'{certificate}.key')
            self._context.sni_callback = lambda connection, name, context: self.server_names.append(name)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport == 'udp' else socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(('127.0.0.1', port))
        self.port = self._socket.getsockname()[1]
        if transport != 'udp':
            self._socket.listen()
        self._connections: list[socket.socket] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='registrar', daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def proxy(self) -> str:
        """For `sip.outbound_proxy`."""
        return f'127.0.0.1:{self.port};transport={self.transport}'

    def close(self) -> None:
        """Stop, and close all connections."""
        self._stopping = True
        self._thread.join(LIMIT)
        for item in (*self._connections, self._socket):
            item.close()

    def disconnect(self) -> None:
        """End the connections there are."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)       # what is left of it is closed by the thread
            except OSError:
                pass

    def wait(self, count: int, timeout: float = LIMIT) -> SIPText:
        """Return the request with that number (from 1), when it has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, timeout), f'{len(self.requests)} of {count} requests have come'
            return self.requests[count - 1]

    def send_late(self, request: SIPText, give: Answer) -> None:
        """Answer a request to which there was silence (UDP)."""
        text = self._text(request, give(request))
        assert text is not None
        self._socket.sendto(text, self._addresses[id(request)])

    def _text(self, request: SIPText, result: tuple[int, str, str] | None) -> bytes | None:
        if result is None:
            return None
        code, reason, headers = result
        via = ''.join(f'Via: {value}\r\n' for value in request.headers['via'])
        if self.seen is not None:
            via = via.replace(';rport', f';received={self.seen[0]};rport={self.seen[1]}', 1)
        return (f'SIP/2.0 {code} {reason}\r\n{via}From: {request.get("from")}\r\nTo: {request.get("to")};tag=registrar\r\n'
                f'Call-ID: {request.get("call-id")}\r\nCSeq: {request.get("cseq")}\r\n{headers}Content-Length: 0\r\n\r\n').encode()

    def _reply(self, data: bytes, address: Any = None) -> bytes | None:
        request = SIPText(data)
        if request.method != 'REGISTER':
            return None
        key = request.get('via')
        if key in self._answered:
            return self._answered[key]
        with self._changed:
            give = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(request)
            self._addresses[id(request)] = address
            self.times.append(time.monotonic())
            self._changed.notify_all()
        self._answered[key] = text = self._text(request, give(request))
        return text

    def _run(self) -> None:
        buffers: dict[socket.socket, bytes] = {}
        while not self._stopping:
            sources = [self._socket, *self._connections]
            ready, _, _ = select.select(sources, [], [], 0.05)
            for source in ready:
                try:
                    if source is self._socket and self.transport == 'udp':
                        data, address = source.recvfrom(65536)
                        self._take(data, address)
                    elif source is self._socket:
                        connection, _ = source.accept()
                        if self._context is not None:
                            connection.settimeout(LIMIT)
                            connection = self._context.wrap_socket(connection, server_side=True)
                        self._connections.append(connection)
                        buffers[connection] = b''
                    else:
                        self._serve(source, buffers)
                except OSError:
                    if source in self._connections:
                        self._connections.remove(source)
                        source.close()

    def _serve(self, connection: socket.socket, buffers: dict[socket.socket, bytes]) -> None:
        data = connection.recv(65536)
        if not data:
            self._connections.remove(connection)
            connection.close()
            return
        buffers[connection] += data
        while b'\r\n\r\n' in buffers[connection]:
            head, _, rest = buffers[connection].partition(b'\r\n\r\n')
            if not head.strip():
                buffers[connection] = rest
                self.pings += 1
                if self.answers_pings:
                    connection.sendall(b'\r\n')
                continue
            length = int(SIPText(head).get('content-length') or 0)
            if len(rest) < length:
                break
            buffers[connection] = rest[length:]
            self._take(head + b'\r\n\r\n' + rest[:length], connection)

    def _take(self, data: bytes, origin: Any) -> None:
        """A message has come from an address, or by a connection."""
        if data.startswith(b'\0\1'):
            self.pings += 1
            if self.answers_pings:
                self._transmit(binding_answer(binding_id(data), self.seen or origin), origin)
            return
        reply = self._reply(data, origin)
        if reply is not None:
            self._transmit(reply, origin)

    def _transmit(self, data: bytes, destination: Any) -> None:
        if isinstance(destination, socket.socket):
            destination.sendall(data)
        else:
            self._socket.sendto(data, destination)
