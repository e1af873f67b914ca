"""A TURN server over TCP that coalesces, fragments and lies about lengths (patch 09)."""

import socket
import struct
import threading

import pytest

from tests.native.hardening.programs import VARIANTS, program, run

COOKIE = 0x2112A442


def error(transaction, code):
    reason = b'no!!'
    attribute = struct.pack('!HHHBB', 9, 4 + len(reason), 0, code // 100, code % 100) + reason
    return struct.pack('!HHI', 0x113, len(attribute), COOKIE) + transaction + attribute


INDICATION = struct.pack('!HHI', 0x0017, 0, COOKIE) + bytes(12)


def coalesced(connection, transaction):
    connection.sendall(error(transaction, 400) + INDICATION + INDICATION)


def fragments(connection, transaction):
    data = error(transaction, 400) + INDICATION
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for size in (1, 2, 3, 1):
        connection.sendall(data[:size])
        data = data[size:]
        threading.Event().wait(0.03)        # a segment of its own
    connection.sendall(data)


def oversize_stun(connection, transaction):
    connection.sendall(struct.pack('!HHI', 0x0017, 0xFFFC, COOKIE) + bytes(100))


def oversize_channel_data(connection, transaction):
    connection.sendall(struct.pack('!HH', 0x4000, 0xFFFF) + bytes(100))


@pytest.mark.parametrize('behaviour', [coalesced, fragments, oversize_stun, oversize_channel_data])
@pytest.mark.parametrize('variant', VARIANTS)
def test_stream(variant, behaviour):
    path = program('turn_stream', ('pjnath/src/pjnath/turn_sock.c', 'pjnath/src/pjnath/turn_session.c'), variant)
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(30)

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            request = connection.recv(2000)
            behaviour(connection, request[8:20])
            while True:
                try:
                    if not connection.recv(2000):
                        return
                except OSError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        assert run(path, listener.getsockname()[1]) == 'ended'
    finally:
        listener.close()
        thread.join(30)
