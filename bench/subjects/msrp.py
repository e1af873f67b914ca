"""One end of an MSRP session on `msrplib`, or of a bare copy through Python sockets; what comes is thrown away, and nothing holds a message.

Options: `role` ('send', 'receive', 'bare send', 'bare receive'), `certificate` (a file with certificate and key; None for TCP), `relay` ([host, port] or None).
Commands: see `Session` and the functions `bare_...`.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.subjects import commands

BARE = 1 << 18                  # bytes of a read or write of the bare copy
TEXT = b'Not a long message, as they are in a chat.\n'


class Bytes:
    """A source of so many bytes, all from the same buffer."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.buffer = os.urandom(1 << 20)

    def read(self, size: int) -> bytes:
        size = min(size, self.left, len(self.buffer))
        self.left -= size
        return self.buffer[:size]


def peak() -> float:
    """The most memory this process has used, in MB."""
    for line in Path('/proc/self/status').read_text(encoding='ascii').splitlines():
        if line.startswith('VmHWM'):
            return int(line.split()[1]) / 1000
    return 0.0


# ---- sockets and nothing else ----

def bare_receive(certificate: str | None) -> None:
    """Read from one connection after the other until its end, and answer each with a byte."""
    listener = socket.create_server(('127.0.0.1', 0))
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def accept() -> None:
        buffer = bytearray(BARE)
        while True:
            connection, _ = listener.accept()
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            left = int.from_bytes(connection.recv(8), 'big')
            while left:
                left -= connection.recv_into(buffer, min(left, len(buffer)))
            connection.sendall(b'x')
            connection.close()
    threading.Thread(target=accept, daemon=True).start()
    commands.say('ready', port=listener.getsockname()[1])
    sys.stdin.read()


def bare_send(certificate: str | None) -> None:
    """Command: `copy` so many bytes to a port; answers with the rate in MB/s."""
    piece = os.urandom(BARE)

    def copy(port: int, size: int) -> dict[str, Any]:
        with socket.create_connection(('127.0.0.1', port)) as plain:
            connection = ssl._create_unverified_context().wrap_socket(plain) if certificate else plain
            begin = time.perf_counter()
            connection.sendall(size.to_bytes(8, 'big'))
            for left in range(size, 0, -BARE):
                connection.sendall(piece if left >= BARE else piece[:left])
            if connection.recv(1) != b'x':
                raise RuntimeError('the bare copy failed')
            return {'rate': size / (time.perf_counter() - begin) / 1e6}
    commands.say('ready')
    commands.serve(copy=copy)


# ---- MSRP ----

class Session:
    """A session, with commands for it, which are carried out in the thread of the reactor."""

    def __init__(self, reactor: Any, role: str, certificate: str | None, relay: list[Any] | None) -> None:
        from msrplib.connect import RELAY_CHUNK_SIZE, DirectAcceptor, DirectConnector, MSRPRelaySettings, RelayConnection
        from msrplib.tls import X509Credentials
        from msrplib.uri import URI
        tls = bool(certificate)
        credentials = X509Credentials(certificate, verify=False) if tls else None
        self.reactor = reactor
        self.uri = URI('127.0.0.1', tls, port=0, credentials=credentials)
        self.connector: Any
        if role == 'send':
            self.connector = DirectConnector(chunk_size=RELAY_CHUNK_SIZE) if relay else DirectConnector()
        elif relay:
            self.connector = RelayConnection(MSRPRelaySettings('lab.test', 'bob', 'bob-pw', relay[0], relay[1], tls, credentials), 'passive')
        else:
            self.connector = DirectAcceptor()
        self.session: Any = None
        self.listener: Any = None

    def prepare(self) -> None:
        """Tell our path."""
        self.connector.prepare(self.uri).addCallbacks(lambda path: commands.say('ready', path=[str(item) for item in path]), self.failed('ready'))

    def failed(self, what: str) -> Any:
        """Something went wrong."""
        return lambda failure: commands.say(what, error=str(failure.value))

    def do_connect(self, path: list[str]) -> None:
        """With the path of the other end; the sender answers when it has connected, the receiver at once."""
        from msrplib.connect import DirectConnector
        from msrplib.session import MSRPSession
        from msrplib.uri import URI

        def connected(transport: Any) -> None:
            transport.accept = lambda message: None if message.total is not None and message.total < 1000 else lambda offset, piece: None
            self.session = MSRPSession(transport, on_event=lambda event: None if self.listener is None else self.listener(event))
            if active:
                commands.say('connect')
        active = isinstance(self.connector, DirectConnector)
        self.connector.complete([URI.parse(word) for word in path]).addCallbacks(connected, self.failed('connect'))
        if not active:
            commands.say('connect')

    def do_peak(self) -> None:
        """The most memory this process has used, in MB."""
        commands.say('peak', peak=peak())

    def do_big(self, size: int) -> None:
        """Send one message; answers with MB/s when it is reported."""
        from msrplib.chunking import OutgoingMessage
        from msrplib.events import Event, MessageDelivered, MessageFailed

        def listener(event: Event) -> None:
            if isinstance(event, MessageFailed):
                commands.say('big', error=f'the message failed: {event.code} {event.comment}')
            elif isinstance(event, MessageDelivered):
                commands.say('big', rate=size / (time.perf_counter() - begin) / 1e6)
        self.listener = listener
        begin = time.perf_counter()
        self.session.send(OutgoingMessage('application/octet-stream', Bytes(size), size=size, success_report='yes'))

    def do_many(self, count: int, window: int, size: int = 0) -> None:
        """Send messages of one size (0: short texts), so many under way at any time; answers with messages a second when all are reported."""
        from msrplib.chunking import OutgoingMessage
        from msrplib.events import Event, MessageDelivered, MessageFailed
        body = os.urandom(size) if size else TEXT
        left = [count, count]           # to be sent, to be delivered

        def send() -> None:
            left[0] -= 1
            self.session.send(OutgoingMessage('text/plain', body, success_report='yes'))

        def listener(event: Event) -> None:
            if isinstance(event, MessageFailed):
                commands.say('many', error=f'a message failed: {event.code} {event.comment}')
            elif isinstance(event, MessageDelivered):
                left[1] -= 1
                if left[0]:
                    send()
                elif not left[1]:
                    commands.say('many', rate=count / (time.perf_counter() - begin))
        self.listener = listener
        begin = time.perf_counter()
        for _ in range(min(window, count)):
            send()


def msrp(role: str, certificate: str | None, relay: list[Any] | None) -> None:
    """Serve one session."""
    import json

    from twisted.internet import asyncioreactor
    asyncioreactor.install()            # that of the SDK
    from twisted.internet import reactor
    running: Any = reactor
    session = Session(running, role, certificate, relay)

    def listen() -> None:
        for line in sys.stdin:
            command = json.loads(line)
            running.callFromThread(getattr(session, f'do_{command.pop("do")}'), **command)
        running.callFromThread(running.stop)
    threading.Thread(target=listen, daemon=True).start()
    running.callWhenRunning(session.prepare)
    running.run()


def main() -> None:
    given = commands.options()
    role, certificate = given['role'], given.get('certificate')
    if role.startswith('bare'):
        (bare_receive if role == 'bare receive' else bare_send)(certificate)
    else:
        msrp(role, certificate, given.get('relay'))


if __name__ == '__main__':
    main()
