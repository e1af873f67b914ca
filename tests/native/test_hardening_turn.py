"""A TURN server over TCP that coalesces, fragments and lies about lengths (patch 09)."""

import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.native.hardening.programs import VARIANTS, program, run

COOKIE = 0x2112A442
LIMIT = 30


def message(kind, transaction, attributes=b''):
    return struct.pack('!HHI', kind, len(attributes), COOKIE) + transaction + attributes


def attribute(kind, value):
    return struct.pack('!HH', kind, len(value)) + value + bytes(-len(value) % 4)


def address(port):
    """XOR-ed 127.0.0.1 and port (RFC 8489 section 14.2)."""
    return struct.pack('!BBHI', 0, 1, port ^ COOKIE >> 16, 0x7F000001 ^ COOKIE)


def error(transaction, code):
    return message(0x113, transaction, attribute(9, struct.pack('!HBB', 0, code // 100, code % 100) + b'no!!'))


INDICATION = message(0x0017, bytes(12))


def send_in_pieces(connection, data, *sizes):
    """Send so that the client reads pieces of these sizes, then the rest: each is out of its socket's queue before the next one goes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours, theirs = (f'0100007F:{name[1]:04X}' for name in (connection.getsockname(), connection.getpeername()))

    def unread():
        for line in Path('/proc/net/tcp').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1:3] == [theirs, ours]:
                return int(fields[4].split(':')[1], 16)
        return 0

    for size in sizes:
        connection.sendall(data[:size])
        data = data[size:]
        until = time.monotonic() + LIMIT
        while unread():
            assert time.monotonic() < until, 'the client does not read'
            time.sleep(0.002)
    connection.sendall(data)


class Server:
    """Serves the connections of one client, each by a function that gets the connection and the transaction id of its first request."""

    def __init__(self, *behaviours):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(LIMIT)
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._serve, args=(behaviours,), daemon=True)]
        self.threads[0].start()

    def _serve(self, behaviours):
        for behaviour in behaviours:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return                  # the client has ended
            thread = threading.Thread(target=self._one, args=(connection, behaviour), daemon=True)
            self.threads.append(thread)
            thread.start()

    @staticmethod
    def _one(connection, behaviour):
        with connection:
            connection.settimeout(LIMIT)
            request = connection.recv(2000)
            try:
                behaviour(connection, request[8:20])
                while connection.recv(2000):
                    pass
            except OSError:
                pass                    # the client went away

    def close(self):
        self.listener.close()
        for thread in self.threads:
            thread.join(LIMIT)


def client(variant, *behaviours, arguments=()):
    """What the client prints."""
    path = program('turn_stream', ('pjnath/src/pjnath/turn_sock.c', 'pjnath/src/pjnath/turn_session.c'), variant)
    server = Server(*behaviours)
    try:
        return run(path, server.port, *arguments)
    finally:
        server.close()


def coalesced(connection, transaction):
    connection.sendall(error(transaction, 400) + INDICATION + INDICATION)


def fragments(connection, transaction):
    send_in_pieces(connection, error(transaction, 400) + INDICATION, 1, 2, 3, 1)


def stale_bytes(connection, transaction):
    # What lies in the buffer behind the fragment says "a complete channel packet".
    send_in_pieces(connection, INDICATION + struct.pack('!HH', 0x4000, 0) * 4, 20, 16, 1)
    fragments(connection, transaction)


def oversize_stun(connection, transaction):
    connection.sendall(message(0x0017, bytes(12))[:2] + b'\xff\xfc' + bytes(100))


def oversize_channel_data(connection, transaction):
    connection.sendall(struct.pack('!HH', 0x4000, 0xFFFF) + bytes(100))


BAD_REQUEST = 370000 + 400      # PJ_STATUS_FROM_STUN_CODE
TOO_BIG = 70017                 # PJ_ETOOBIG


@pytest.mark.parametrize(('behaviour', 'status'), [(coalesced, BAD_REQUEST), (fragments, BAD_REQUEST), (stale_bytes, BAD_REQUEST), (oversize_stun, TOO_BIG),
                                                   (oversize_channel_data, TOO_BIG)])
@pytest.mark.parametrize('variant', VARIANTS)
def test_stream(variant, behaviour, status):
    assert client(variant, behaviour) == f'ended {status}'


# ---- connections to the peer (RFC 6062) ----

def allocation(connection, transaction):
    """Grant the allocation, then tell of a peer that wants to connect."""
    connection.sendall(message(0x103, transaction, attribute(0x16, address(5000)) + attribute(0x0D, struct.pack('!I', 600))))
    connection.sendall(message(0x001C, bytes(12), attribute(0x2A, b'conn') + attribute(0x12, address(6000))))


def bound(connection, transaction):
    connection.sendall(message(0x10B, transaction) + b'hello')


def bound_in_fragments(connection, transaction):
    send_in_pieces(connection, message(0x10B, transaction) + b'hello', 1, 2, 10, 7)


def not_stun(connection, transaction):
    connection.sendall(b'\xffnonsense')


def unparsable(connection, transaction):
    connection.sendall(struct.pack('!HHI', 0x10B, 0, 0x12345678) + transaction + b'hello')


def too_large(connection, transaction):
    connection.sendall(struct.pack('!HHI', 0x10B, 0xFFFC, COOKIE) + transaction + bytes(100))


def refused(connection, transaction):
    connection.sendall(message(0x11B, transaction, attribute(9, struct.pack('!HBB', 0, 4, 0) + b'no!!')) + b'hello')


@pytest.mark.parametrize(('behaviour', 'outcome'), [(bound, 'hello'), (bound_in_fragments, 'hello'), (not_stun, 'failed'), (unparsable, 'failed'),
                                                    (too_large, 'failed'), (refused, 'failed')])
@pytest.mark.parametrize('variant', VARIANTS)
def test_connection_to_a_peer(variant, behaviour, outcome):
    assert client(variant, allocation, behaviour, arguments=['peer-tcp']) == outcome
