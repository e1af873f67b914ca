"""The way of a registration, kept open and watched (RFC 5626 section 4.4), against a server that answers pings or does not."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sipsimple.core import ContactHeader, Engine, FromHeader, Registration, RouteHeader, SIPURI, registration as module
from sipsimple.core._handles import counters, live_objects
from sipsimple.core.messages import MessageHeaders
from tests.support.engine import Seen, nothing_left, running_engine
from tests.support.sip_peer import SIPText, StreamPeer, UDPPeer
from tests.support.stun import binding_answer, binding_id
from tests.support.waiting import wait_until

OUTBOUND = 'Require: outbound\r\n'
GONE = 'SIPEngineTransportDidDisconnect'
PATIENCE = 60.0                         # seconds for an answer where there will be one
SHORT = 1.0                             # where there will be none


@pytest.fixture(scope='module')
def engine() -> Iterator[Engine]:
    with running_engine(tcp_port=0) as engine:
        yield engine


@pytest.fixture
def seen(engine: Engine) -> Iterator[Seen]:
    seen = Seen()
    yield seen
    seen.stop()
    assert nothing_left(20)


@pytest.fixture(autouse=True)
def pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They follow each other fast, and answers have time."""
    monkeypatch.setattr(module, 'STREAM_INTERVAL', (0.1, 0.2))
    monkeypatch.setattr(module, 'DATAGRAM_INTERVAL', (0.1, 0.2))
    monkeypatch.setattr(module, 'PING_LIMIT', PATIENCE)


def register(peer: UDPPeer | StreamPeer, seen: Seen, headers: str = OUTBOUND) -> Registration:
    """A registration that is granted with these headers."""
    transport = peer.transport.lower()
    contact = ContactHeader(SIPURI('127.0.0.1', user='me'), parameters={'reg-id': '1'})
    registration = Registration(FromHeader(SIPURI('example.com', user='alice')), duration=600)
    registration.register(contact, RouteHeader(SIPURI('127.0.0.1', port=peer.port, parameters={} if transport == 'udp' else {'transport': transport})))
    peer.answer(peer.expect('REGISTER'), 200, headers=f'{headers}Expires: 600\r\n')
    seen.wait('SIPRegistrationDidSucceed', sender=registration)
    return registration


# ---- connections ---------------------------------------------------------------------------------------------------


def ping(peer: StreamPeer) -> None:
    """Wait for one."""
    assert peer.stream is not None
    peer.stream.settimeout(PATIENCE)
    received = b''
    while len(received) < 4:
        received += peer.stream.recv(4 - len(received))
    assert received == b'\r\n\r\n'


def test_connection_whose_pings_are_answered(engine: Engine, seen: Seen) -> None:
    with StreamPeer(engine.tcp_port or 0) as peer:
        registration = register(peer, seen)
        assert registration.is_outbound and registration.seen_address is not None and registration.seen_address.ip == '127.0.0.1'
        malformed = counters()['malformed']
        for _ in range(4):
            ping(peer)
            peer.send('\r\n')
        assert live_objects()['flow'] == 1 and counters()['malformed'] == malformed
        registration.end()
        peer.answer(peer.expect('REGISTER'), 200)
        seen.wait('SIPRegistrationDidEnd', sender=registration)
        assert wait_until(lambda: live_objects()['flow'] == 0, 10)
        assert not [past for past in seen.past if past.name == GONE]


def test_dead_connection(engine: Engine, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has answered, and does not any more, is gone: the connection is closed, and told of once."""
    monkeypatch.setattr(module, 'PING_LIMIT', SHORT)
    with StreamPeer(engine.tcp_port or 0) as peer:
        registrations = [register(peer, seen) for _ in range(2)]        # two accounts that watch the same one
        for _ in range(8):                                              # not all of the answers will be late
            ping(peer)
            peer.send('\r\n')
        data = seen.wait(GONE, remote_address=peer.address).data
        assert data.transport == 'tcp' and data.reason
        assert peer.stream is not None
        peer.stream.settimeout(PATIENCE)
        for registration in registrations:
            registration.drop()
        while peer.stream.recv(100):
            pass                                                        # pings, and then the end
        peer.hang_up()
        register(peer, seen, '').drop()                                 # by another connection
        assert [past.name for past in seen.past].count(GONE) == 1


def test_connection_whose_pings_are_never_answered(engine: Engine, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps them open all the same; whatever else comes by it is no answer."""
    monkeypatch.setattr(module, 'PING_LIMIT', 0.2)
    with StreamPeer(engine.tcp_port or 0) as peer:
        registration = register(peer, seen)
        for number in range(3):
            ping(peer)
            peer.send(peer.request('OPTIONS', call_id=f'silent-{number}'))
            while b'SIP/2.0' not in (received := peer.stream.recv(65536) if peer.stream is not None else b''):      # the answer, and perhaps pings before it
                assert set(received) <= set(b'\r\n') and received
            assert received.endswith(b'\r\n\r\n')
        assert live_objects()['flow'] == 1
        registration.drop()
        register(peer, seen, '').drop()                                 # by the same connection
        assert not [past for past in seen.past if past.name == GONE]


def test_without_a_word_of_the_registrar(engine: Engine, seen: Seen) -> None:
    with StreamPeer(engine.tcp_port or 0) as peer:
        registration = register(peer, seen, 'Flow-Timer: 0\r\n')
        assert not registration.is_outbound and live_objects()['flow'] == 0
        registration.drop()


# ---- UDP -----------------------------------------------------------------------------------------------------------


def request_of(peer: UDPPeer) -> bytes:
    """The next binding request: its transaction."""
    peer.socket.settimeout(PATIENCE)
    data = peer.socket.recv(65536)
    while not data.startswith(b'\0\1'):
        assert SIPText(data).method == 'REGISTER'                       # sent twice
        data = peer.socket.recv(65536)
    return binding_id(data)


def test_server_that_is_there(engine: Engine, seen: Seen) -> None:
    with UDPPeer(engine.udp_port or 0) as peer:
        registration = register(peer, seen)
        malformed = counters()['malformed']
        transactions: list[bytes] = []
        while len(set(transactions)) < 4:
            transactions.append(request_of(peer))
            peer.send(binding_answer(transactions[-1], ('127.0.0.1', 4000)))
        assert live_objects()['flow'] == 1 and counters()['malformed'] == malformed
        assert not [past for past in seen.past if past.name == GONE]
        registration.drop()


def test_server_that_is_gone(engine: Engine, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes out again, and then it is told."""
    monkeypatch.setattr(module, 'PING_LIMIT', SHORT)
    with UDPPeer(engine.udp_port or 0) as peer:
        registration = register(peer, seen)
        for _ in range(4):
            peer.send(binding_answer(request_of(peer), ('127.0.0.1', 4000)))
        data = seen.wait(GONE, remote_address=peer.address).data
        assert (data.transport, data.local_address, data.reason) == ('udp', f'127.0.0.1:{engine.udp_port}', 'No answer to a keep-alive')
        registration.drop()
        requests = []
        peer.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                requests.append(binding_id(peer.socket.recv(65536)))
        assert len(requests) > len(set(requests))


def test_short_answers(engine: Engine, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many servers put nothing but the address into them, which makes 32 bytes; they are heard, and nobody complains that they are no SIP."""
    monkeypatch.setattr(module, 'PING_LIMIT', SHORT)
    with UDPPeer(engine.udp_port or 0) as peer:
        registration = register(peer, seen)
        malformed = counters()['malformed']
        for _ in range(4):
            short = binding_answer(request_of(peer), ('127.0.0.1', 4000), software=b'')
            assert len(short) == 32
            peer.send(short)
        assert seen.wait(GONE, remote_address=peer.address).data.reason == 'No answer to a keep-alive'         # as they were heard before
        assert counters()['malformed'] == malformed
        registration.drop()


def test_server_that_sees_another_address(engine: Engine, seen: Seen) -> None:
    """The NAT before us has forgotten the way: what the registrar knows leads nowhere."""
    with UDPPeer(engine.udp_port or 0) as peer:
        registration = register(peer, seen)
        for _ in range(4):
            peer.send(binding_answer(request_of(peer), ('127.0.0.1', 4000)))
        assert not [past for past in seen.past if past.name == GONE]

        def is_told() -> bool:
            """Whether it is; what has come until now is answered."""
            peer.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    peer.send(binding_answer(binding_id(peer.socket.recv(65536)), ('127.0.0.1', 4001)))
            with contextlib.suppress(AssertionError):
                return seen.wait(GONE, timeout=0.05, remote_address=peer.address).data.reason == 'The server sees another address of ours'
            return False

        assert wait_until(is_told, PATIENCE)
        registration.drop()


def test_answers_of_others(engine: Engine, seen: Seen) -> None:
    """To another transaction, from elsewhere, cut short: none of them counts."""
    with UDPPeer(engine.udp_port or 0) as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        registration = register(peer, seen)
        for port in (4000, 4001, 4002):
            transaction = request_of(peer)
            stranger.sendto(binding_answer(transaction, ('127.0.0.1', port)), peer.engine)
            peer.send(binding_answer(bytes(12), ('127.0.0.1', port)))
            peer.send(binding_answer(transaction, ('127.0.0.1', port))[:-4])
            peer.send(binding_answer(transaction, ('127.0.0.1', 5000)))
        peer.send(peer.request('OPTIONS'))
        until = time.monotonic() + PATIENCE
        peer.socket.settimeout(PATIENCE)
        while not peer.socket.recv(65536).startswith(b'SIP/2.0 '):      # what was sent before it was read
            assert time.monotonic() < until
        assert live_objects()['flow'] == 1
        registration.drop()
        assert not [past for past in seen.past if past.name == GONE]


def test_server_that_never_answers(engine: Engine, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'PING_LIMIT', 0.2)
    with UDPPeer(engine.udp_port or 0) as peer:
        registration = register(peer, seen)
        assert len({request_of(peer) for _ in range(5)}) > 1
        assert live_objects()['flow'] == 1
        registration.drop()
        assert not [past for past in seen.past if past.name == GONE]


# ---- what the registrar says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(('transport', 'headers', 'interval'), [
    ('udp', '', None), ('tcp', 'Require: path\r\n', None), ('tcp', 'Flow-Timer: x\r\n', None),
    ('udp', OUTBOUND, (24.0, 29.0)), ('tls', OUTBOUND, (95.0, 120.0)), ('tcp', 'Require: gruu, Outbound\r\n', (95.0, 120.0)),
    ('tcp', f'{OUTBOUND}Flow-Timer: 100\r\n', (80.0, 100)), ('udp', 'Flow-Timer: 10\r\n', (8.0, 10)),
    ('tcp', f'Flow-Timer: {2**32 - 1}\r\n', (2880.0, 3600))])
def test_time_between_pings(monkeypatch: pytest.MonkeyPatch, transport: str, headers: str, interval: tuple[float, float] | None) -> None:
    monkeypatch.undo()
    asked: list[Any] = []
    request: Any = SimpleNamespace(route_header=RouteHeader(SIPURI('127.0.0.1', parameters={'transport': transport})), keep_alive=lambda *args: asked.append(args))
    registration = Registration(FromHeader(SIPURI('example.com', user='alice')))
    registration._watch(request, MessageHeaders(f'Via: SIP/2.0/UDP 10.0.0.1:5070;rport=4444;received=192.0.2.1\r\n{headers}'.encode()))
    assert asked == ([] if interval is None else [(interval, 10.0)])
    assert str(registration.seen_address) == '192.0.2.1:4444' and registration.is_outbound is ('outbound' in headers.lower())
