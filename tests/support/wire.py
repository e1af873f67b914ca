"""A wire between two processes that call each other over UDP: it passes SIP, RTP and RTCP on, keeps copies, and can send what neither has sent.

Each side sees the other one at the wire's addresses, in messages as well as in packets; so what is injected comes from where the peer is.
"""

from __future__ import annotations

import random
import re
import selectors
import socket
import threading
from typing import NamedTuple, Self

ADDRESS = '127.0.0.1'


class Packet(NamedTuple):
    """A packet on the wire."""

    to_callee: bool
    kind: str               # 'sip', 'rtp' or 'rtcp'
    data: bytes             # as it was passed on


def _udp(port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((ADDRESS, port))
    except OSError:
        sock.close()
        raise
    return sock


def _udp_pair() -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the next one."""
    for port in random.sample(range(20000, 30000, 2), 100):
        try:
            first = _udp(port)
        except OSError:
            continue
        try:
            return first, _udp(port + 1)
        except OSError:
            first.close()
    raise OSError('no two free ports beside each other')


class _Media:
    """Stands for the media ports of one side; what comes here is for it."""

    def __init__(self, real_port: int) -> None:
        self.real_port = real_port
        self.sockets = dict(zip(('rtp', 'rtcp'), _udp_pair(), strict=True))
        self.port = self.sockets['rtp'].getsockname()[1]


class Wire:
    """Between a caller, who is to call `port`, and a callee. A context manager."""

    def __init__(self, callee_port: int) -> None:
        self.callee_port = callee_port
        self.caller_port: int | None = None             # learnt from its first message
        self.near, self.far = _udp(), _udp()            # what the caller sees, what the callee sees
        self.port = self.near.getsockname()[1]
        self.far_port = self.far.getsockname()[1]
        self.packets: list[Packet] = []
        self.call_id = b''                              # of the last call
        self._media: dict[tuple[bytes, bool], _Media] = {}      # by call, and whom it stands for: the callee?
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        for sock, to_callee in ((self.near, True), (self.far, False)):
            self._selector.register(sock, selectors.EVENT_READ, ('sip', to_callee, b''))
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._wake.send(b'x')
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()         # type: ignore[union-attr]
        self._wake.close()

    def inject(self, to_callee: bool, kind: str, data: bytes) -> None:
        """Send a packet as if it came from the other side, in the last call. Any thread."""
        self._pass_on(to_callee, kind, data, self.call_id)

    def captured(self, kind: str, to_callee: bool | None = None) -> list[bytes]:
        """Copies of what was passed on so far."""
        with self._lock:
            return [packet.data for packet in self.packets if packet.kind == kind and to_callee in (None, packet.to_callee)]

    def media_port(self, of_callee: bool) -> int:
        """The port that side really receives RTP at, in the last call."""
        return self._media[self.call_id, of_callee].real_port

    # ---- the thread

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                kind, to_callee, call_id = key.data
                try:
                    data, source = key.fileobj.recvfrom(65536)      # type: ignore[union-attr]
                except OSError:
                    continue            # the other process is gone; ICMP said so
                if kind == 'sip':
                    if to_callee and self.caller_port is None:
                        self.caller_port = source[1]
                    data = self._translate(to_callee, data)
                with self._lock:
                    self.packets.append(Packet(to_callee, kind, data))
                self._pass_on(to_callee, kind, data, call_id)

    def _pass_on(self, to_callee: bool, kind: str, data: bytes, call_id: bytes) -> None:
        if kind == 'sip':
            sock, port = (self.far, self.callee_port) if to_callee else (self.near, self.caller_port)
        else:
            # The callee knows the caller by the port that stands for the caller, and packets must come from there.
            receiver, sender = self._media.get((call_id, to_callee)), self._media.get((call_id, not to_callee))
            if receiver is None or sender is None:
                return
            sock, port = sender.sockets[kind], receiver.real_port + (kind == 'rtcp')
        try:
            sock.sendto(data, (ADDRESS, port))
        except OSError:
            pass                        # a port that is closed now

    def _translate(self, to_callee: bool, data: bytes) -> bytes:
        """The message with the addresses that its receiver knows."""
        if to_callee:
            ports = {self.caller_port: self.far_port, self.port: self.callee_port}
        else:
            ports = {self.callee_port: self.port, self.far_port: self.caller_port}
        head, separator, body = data.partition(b'\r\n\r\n')

        def port(match: re.Match[bytes]) -> bytes:
            old = int(match[2])
            return match[1] + str(ports.get(old, old)).encode()

        head = re.sub(rb'(127\.0\.0\.1:|rport=)(\d+)', port, head)
        found = re.search(rb'(?im)^Call-ID:\s*(\S+)', head)
        if found and body.startswith(b'v=0'):
            body = self._translate_sdp(to_callee, body, found[1])
            head = re.sub(rb'(?im)^(Content-Length:\s*)\d+', lambda match: match[1] + str(len(body)).encode(), head)
        return head + separator + body

    def _translate_sdp(self, to_callee: bool, body: bytes, call_id: bytes) -> bytes:
        """The first m= line gets the wire's ports; a call has one stream here."""
        found = re.search(rb'(?m)^m=\w+ (\d+) ', body)
        if found is None or found[1] == b'0':
            return body
        real = int(found[1])
        of_callee = not to_callee
        media = self._media.get((call_id, of_callee))
        if media is None:
            media = self._media[call_id, of_callee] = _Media(real)
            self.call_id = call_id
            for kind, sock in media.sockets.items():
                self._selector.register(sock, selectors.EVENT_READ, (kind, of_callee, call_id))
        media.real_port = real
        body = re.sub(rb'(?m)^(m=\w+) \d+ ', rb'\1 %d ' % media.port, body, count=1)
        return re.sub(rb'(?m)^a=rtcp:\d+', b'a=rtcp:%d' % (media.port + 1), body)
