"""How fast MSRP is: in memory, and over loopback beside a bare copy through Python sockets in the same run.

    python bench/msrp_bench.py                  # in memory, TCP, TLS
    python bench/msrp_bench.py memory tcp       # some of it
    python bench/msrp_bench.py relay            # through the relay of the lab (SIPSIMPLE_LAB)
    python bench/msrp_bench.py --size 2e9 tcp   # with another amount of data

Sender and receiver are processes of their own. Both ends are what a program would use: `msrplib` on Twisted's reactor for asyncio, reports for every message.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msrplib.chunking import CHUNK_SIZE, OutgoingMessage
from msrplib.endpoint import Endpoint, Event, MessageDelivered, MessageFailed
from msrplib.uri import URI

PIECE = 65536
BARE = 1 << 18                  # bytes of a read or write of the bare copy
RELAYED = 100_000               # bytes of each message through a relay
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


# In memory

def pair(chunk_size: int = CHUNK_SIZE) -> tuple[Endpoint, Endpoint]:
    """Two ends of a session; what is sent to the second is thrown away as it comes."""
    uris = URI('127.0.0.1', False), URI('127.0.0.1', False, port=2856)
    ends = Endpoint(uris[0], chunk_size=chunk_size), Endpoint(uris[1], accept=lambda message: lambda offset, piece: None)
    ends[0].set_remote_path([uris[1]])
    ends[1].set_remote_path([uris[0]])
    return ends


def carry(ends: tuple[Endpoint, Endpoint]) -> int:
    """Carry bytes both ways until there are none; returns how many messages were reported delivered."""
    delivered = 0
    busy = True
    while busy:
        busy = False
        for one, other in (ends, ends[::-1]):
            data = b''.join(one.take(PIECE, 0))
            delivered += sum(isinstance(event, MessageDelivered) for event in one.events())
            if data:
                busy = True
                delivered += sum(isinstance(event, MessageDelivered) for event in other.receive(data, 0))
    return delivered


def small(count: int) -> float:
    """Short messages a second, each with an answer and a report; both ends in this thread."""
    ends = pair()
    begin = time.perf_counter()
    for _ in range(count):
        ends[0].send(OutgoingMessage('text/plain', TEXT, success_report='yes'))
    if carry(ends) != count:
        raise SystemExit('messages were lost')
    return count / (time.perf_counter() - begin)


def big(size: int, chunk_size: int) -> float:
    """MB/s of one message, both ends in this thread."""
    ends = pair(chunk_size)
    begin = time.perf_counter()
    ends[0].send(OutgoingMessage('application/octet-stream', Bytes(size), size=size, success_report='yes'))
    if carry(ends) != 1:
        raise SystemExit('the message was lost')
    return size / (time.perf_counter() - begin) / 1e6


def memory(size: int, count: int) -> None:
    """The protocol alone."""
    show('in memory: one big message, chunks of 1 MiB', big(size, 1 << 20), 'MB/s')
    show('in memory: one big message, chunks of 64 KiB', big(size, 65536), 'MB/s')
    show('in memory: one big message, chunks of 10 kB', big(size // 4, 10_000), 'MB/s')
    show('in memory: short messages with reports', small(count), '/s')


# Processes

class Receiver:
    """A process of this program that receives; commands and answers are lines of JSON."""

    def __init__(self, **options: Any) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, '--receive', json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command: Any) -> dict[str, Any]:
        """Have a command carried out."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + '\n')
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "the receiver ended"}')
        if 'error' in answer:
            raise SystemExit(answer['error'])
        return answer

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


def receive(options: dict[str, Any]) -> None:
    """The receiving process."""
    if 'bare' in options:
        receive_bare(options['certificate'])
    else:
        receive_msrp(options)


def receive_bare(certificate: str | None) -> None:
    """Read from one connection after the other until its end, and answer each with a byte."""
    listener = socket.create_server(('127.0.0.1', 0))
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve() -> None:
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
    threading.Thread(target=serve, daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps({'port': listener.getsockname()[1]}), flush=True)


def send_bare(size: int, certificate: str | None) -> float:
    """MB/s through sockets and nothing else."""
    piece = os.urandom(BARE)
    with Receiver(bare=True, certificate=certificate) as receiver:
        connection = socket.create_connection(('127.0.0.1', receiver.ask()['port']))
        if certificate:
            connection = ssl._create_unverified_context().wrap_socket(connection)
        begin = time.perf_counter()
        connection.sendall(size.to_bytes(8, 'big'))
        left = size
        while left:
            connection.sendall(piece[:min(left, BARE)] if left < BARE else piece)
            left -= min(left, BARE)
        if connection.recv(1) != b'x':
            raise SystemExit('the bare copy failed')
        return size / (time.perf_counter() - begin) / 1e6


def reactor() -> Any:
    """Twisted's reactor, that of the SDK."""
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
    from twisted.internet import reactor
    return reactor


def connector(options: dict[str, Any], active: bool) -> tuple[Any, URI]:
    """Our way to the other side, and our URI."""
    from msrplib.connect import RELAY_CHUNK_SIZE, DirectAcceptor, DirectConnector, MSRPRelaySettings, RelayConnection
    from msrplib.tls import X509Credentials
    tls = bool(options.get('certificate'))
    credentials = X509Credentials(options['certificate'], verify=False) if tls else None
    uri = URI('127.0.0.1', tls, port=0, credentials=credentials)
    chunk_size = options.get('chunk_size') or CHUNK_SIZE
    if not options.get('relay'):
        return (DirectConnector(chunk_size=chunk_size) if active else DirectAcceptor(chunk_size=chunk_size)), uri
    if active:
        return DirectConnector(chunk_size=RELAY_CHUNK_SIZE), uri
    host, port = options['relay']
    return RelayConnection(MSRPRelaySettings('lab.test', 'bob', 'bob-pw', host, port, tls, credentials), 'passive'), uri


def receive_msrp(options: dict[str, Any]) -> None:
    """Accept one session, throw away what is big, and report everything."""
    running = reactor()
    from msrplib.session import MSRPSession
    ours, uri = connector(options, active=False)
    sessions = []

    def accepted(transport: Any) -> None:
        transport.accept = lambda message: None if message.total is not None and message.total < 1000 else lambda offset, piece: None
        sessions.append(MSRPSession(transport, on_event=lambda event: None))

    def carry_out(command: dict[str, Any]) -> None:
        if 'path' in command:
            path = [URI.parse(word) for word in command['path']]
            ours.complete(path).addCallbacks(accepted, lambda failure: sys.exit(f'the receiver failed: {failure.value}'))
            print(json.dumps({}), flush=True)
        elif command.get('peak'):
            print(json.dumps({'peak': peak()}), flush=True)

    def prepare() -> None:
        def prepared(path: list[URI]) -> None:
            sys.stdin.readline()
            print(json.dumps({'path': [str(item) for item in path]}), flush=True)
            threading.Thread(target=listen, daemon=True).start()
        ours.prepare(uri).addCallbacks(prepared, lambda failure: (print(json.dumps({'error': str(failure.value)}), flush=True), running.stop()))

    def listen() -> None:
        for line in sys.stdin:
            running.callFromThread(carry_out, json.loads(line))
        running.callFromThread(running.stop)
    running.callWhenRunning(prepare)
    running.run()


def send_msrp(options: dict[str, Any], work: Callable[[Any, Callable[[], None]], None]) -> None:
    """Connect to a receiver, and let `work(session, done)` send."""
    running = reactor()
    from twisted.internet.defer import inlineCallbacks

    from msrplib.session import MSRPSession
    failures = []

    def tell(event: Event) -> None:
        sessions[0].listener(event)
    sessions: list[Any] = []

    @inlineCallbacks
    def run() -> Any:
        with Receiver(**options) as receiver:
            theirs = receiver.ask()['path']
            ours, uri = connector(options, active=True)
            path = yield ours.prepare(uri)
            receiver.ask(path=[str(item) for item in path])
            transport = yield ours.complete([URI.parse(word) for word in theirs])
            from twisted.internet.defer import Deferred
            finished: Deferred[None] = Deferred()
            session: Any = MSRPSession(transport, on_event=tell)
            sessions.append(session)
            work(session, lambda: finished.callback(None))
            yield finished
            print(json.dumps({'peak': peak(), 'peak of the receiver': receiver.ask(peak=True)['peak'], **session.figures}), flush=True)
            yield session.shutdown()

    def failed(failure: Any) -> None:
        failures.append(failure)

    def start() -> None:
        run().addErrback(failed).addBoth(lambda ignored: running.stop())
    running.callWhenRunning(start)
    running.run()
    if failures:
        raise SystemExit(failures[0].getTraceback())


def send_big(session: Any, done: Callable[[], None], size: int) -> None:
    """One big message."""
    message = OutgoingMessage('application/octet-stream', Bytes(size), size=size, success_report='yes')
    begin = time.perf_counter()

    def listener(event: Event) -> None:
        if isinstance(event, MessageFailed):
            raise SystemExit(f'the message failed: {event.code} {event.comment}')
        if isinstance(event, MessageDelivered):
            session.figures = {'rate': size / (time.perf_counter() - begin) / 1e6}
            done()
    session.listener = listener
    session.send(message)


def send_many(session: Any, done: Callable[[], None], count: int, size: int, window: int, unit: float) -> None:
    """Messages of one size, so many of them under way at any time; the rate is that of messages, divided by the unit."""
    begin = time.perf_counter()
    left = [count, count]           # to be sent, to be delivered
    body = TEXT if size <= len(TEXT) else os.urandom(size)

    def send() -> None:
        left[0] -= 1
        session.send(OutgoingMessage('text/plain', body, success_report='yes'))

    def listener(event: Event) -> None:
        if isinstance(event, MessageFailed):
            raise SystemExit(f'a message failed: {event.code} {event.comment}')
        if isinstance(event, MessageDelivered):
            left[1] -= 1
            if left[0]:
                send()
            elif not left[1]:
                session.figures = {'rate': count / (time.perf_counter() - begin) / unit}
                done()
    session.listener = listener
    for _ in range(min(window, count)):
        send()


def measure(**options: Any) -> dict[str, float]:
    """Run a sender in a process of its own and return its figures."""
    done = subprocess.run([sys.executable, __file__, '--send', json.dumps(options)], stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f'the sender failed\n{done.stdout}')
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def sender(options: dict[str, Any]) -> None:
    """The sending process."""
    size, count = options.pop('size', 0), options.pop('count', 0)

    def work(session: Any, done: Callable[[], None]) -> None:
        if not size:
            send_many(session, done, count, len(TEXT), 100, 1)
        elif options['relay']:
            # This relay drops a receiver that is slower than the sender: only reports, which come from the far end, can tell.
            send_many(session, done, size // RELAYED, RELAYED, 4, 1e6 / RELAYED)
        else:
            send_big(session, done, size)
    send_msrp(options, work)


def over(name: str, size: int, count: int, certificate: str | None, relay: tuple[str, int] | None = None) -> None:
    """Big and small messages over one kind of connection, beside the bare copy."""
    bare = send_bare(size, certificate)
    show(f'{name}: bare copy through sockets', bare, 'MB/s')
    figures = measure(size=size, certificate=certificate, relay=relay)
    show(f'{name}: ' + ('messages of 100 kB, four under way' if relay else 'one big message'), figures['rate'], 'MB/s', bare)
    show(f'{name}: ... most memory of the sender', figures['peak'], 'MB')
    show(f'{name}: ... most memory of the receiver', figures['peak of the receiver'], 'MB')
    show(f'{name}: short messages with reports', measure(count=count, certificate=certificate, relay=relay)['rate'], '/s')


def make_certificate(folder: str) -> str:
    """A certificate for this host, signed by itself, with its key in the same file."""
    from tests.support.certificates import Authority
    path = Authority(Path(folder)).issue('bench', '127.0.0.1', 'localhost')
    joined = Path(folder) / 'both.pem'
    joined.write_bytes(path.with_suffix('.pem').read_bytes() + path.with_suffix('.key').read_bytes())
    return str(joined)


def show(name: str, value: float, unit: str, bare: float | None = None) -> None:
    print(f'{name:60} {value:12,.0f} {unit}' + (f'   {value / bare:.2f} of the bare copy' if bare else ''), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('what', nargs='*', metavar='memory | tcp | tls | relay', default=['memory', 'tcp', 'tls'])
    parser.add_argument('--size', type=float, default=1e9, help='bytes of the big message')
    parser.add_argument('--count', type=int, default=20_000, help='how many short messages')
    parser.add_argument('--receive', help=argparse.SUPPRESS)
    parser.add_argument('--send', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive or arguments.send:
        (receive if arguments.receive else sender)(json.loads(arguments.receive or arguments.send))
        return
    size, count = int(arguments.size), arguments.count
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        if 'memory' in arguments.what:
            memory(min(size, 400_000_000), count)
        if 'tcp' in arguments.what:
            over('TCP', size, count, None)
        if 'tls' in arguments.what:
            over('TLS', size, count, certificate)
        if 'relay' in arguments.what:
            from tests.support.lab import Lab
            with Lab('msrp') as lab:
                over('relay, TCP', size // 10, count, None, ('127.0.0.1', lab.port('MSRP')))
                over('relay, TLS', size // 10, count, certificate, ('127.0.0.1', lab.port('MSRPS')))


if __name__ == '__main__':
    main()
