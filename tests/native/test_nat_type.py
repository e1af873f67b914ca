"""NAT type detection: it goes on long after the call that began it has returned."""

from __future__ import annotations

import socket

import pytest

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


@pytest.mark.interop
def test_real_server(turn_lab: Lab) -> None:
    """Nothing is filtered. On a machine with another network the loopback address counts as translated."""
    found = detect(turn_lab.port('TURN'))
    assert found in ([(True, 'Open')] * 3, [(True, 'Full Cone')] * 3)
