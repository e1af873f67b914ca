"""NAT type detection: it goes on long after the call that began it has returned."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from tests.native.rtp_support import open_files
from tests.support.engine import Seen, running_engine
from tests.support.lab import Lab, lab_fixture

turn_lab = lab_fixture('turn')


def detect(port: int, count: int = 3) -> list[tuple[bool, str]]:
    """Several detections at once; what each tells, (succeeded, type)."""
    seen = Seen()
    try:
        with running_engine() as engine:
            for number in range(count):
                engine.detect_nat_type('127.0.0.1', port, user_data=number)
            found = {}
            while len(found) < count:
                data = seen.wait('SIPEngineDetectedNATType', timeout=60).data
                found[data.user_data] = (data.succeeded, data.nat_type)
        return [found[number] for number in range(count)]
    finally:
        seen.stop()


def test_silent_server() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(('127.0.0.1', 0))
        assert detect(server.getsockname()[1]) == [(True, 'Blocked')] * 3


def test_server_that_answers_with_an_error() -> None:
    """RFC 8489 section 14.8: 500. That says nothing about the NAT."""
    def serve() -> None:
        try:
            while True:
                data, source = server.recvfrom(2048)
                code = struct.pack('!HHHBB', 9, 8, 0, 5, 0) + b'Oops'
                server.sendto(struct.pack('!HH', 0x0111, len(code)) + data[4:20] + code, source)
        except OSError:
            pass                        # closed
    seen = Seen()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(('127.0.0.1', 0))
    threading.Thread(target=serve, daemon=True).start()
    try:
        with running_engine() as engine:
            engine.detect_nat_type('127.0.0.1', server.getsockname()[1], user_data='mine')
            data = seen.wait('SIPEngineDetectedNATType', timeout=60).data
            assert (data.succeeded, data.user_data) == (False, 'mine') and data.error and not hasattr(data, 'nat_type')
            for port in (0, 65536, -1):
                with pytest.raises(ValueError):
                    engine.detect_nat_type('127.0.0.1', port)
    finally:
        server.close()
        seen.stop()


def test_engine_that_stops_meanwhile() -> None:
    """Neither sockets nor memory are left."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(('127.0.0.1', 0))
        left = []
        for count in (0, 0, 5):
            with running_engine() as engine:
                for _ in range(count):
                    engine.detect_nat_type('127.0.0.1', server.getsockname()[1])
            left.append((open_files(), engine.diagnostics()['pools']))
        assert left[2] == left[1], left


@pytest.mark.interop
def test_real_server(turn_lab: Lab) -> None:
    """Nothing is filtered. On a machine with another network the loopback address counts as translated."""
    found = detect(turn_lab.port('TURN'))
    assert found in ([(True, 'Open')] * 3, [(True, 'Full Cone')] * 3)
