"""Messages over a stream that are longer than any datagram (patch 92): a notification about a list of resources has no limit."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.engine import running_engine
from tests.support.sip_peer import StreamPeer

LIMIT = 1 << 20                 # bytes; PJSIP_MAX_RX_LEN


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


@pytest.fixture(scope='module')
def engine(authority):
    server = authority.issue('server', '127.0.0.1')
    with running_engine(tcp_port=0, tls_port=0, tls_cert_file=f'{server}.pem', tls_privkey_file=f'{server}.key', tls_ca_file=str(authority.file)) as engine:
        yield engine


@pytest.fixture(params=['tcp', 'tls'])
def peer(request, engine, authority):
    peer = StreamPeer(engine.tcp_port if request.param == 'tcp' else engine.tls_port)
    with peer:
        context = None
        if request.param == 'tls':
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(authority.file)
        peer.connect(context, '127.0.0.1')
        yield peer


def message(peer, size):
    return peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='x' * size)


def resident():
    """Bytes of memory in use."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


@pytest.mark.parametrize('size', [70_000, 600_000, LIMIT - 2000])
def test_large_message_and_those_around_it(peer, seen, size):
    peer.send(message(peer, 5) + message(peer, size) + message(peer, 7))
    assert [peer.receive().code for _ in range(3)] == [200, 200, 200]
    assert [len(seen.wait('SIPEngineGotMessage').data.body) for _ in range(3)] == [5, size, 7]


def test_one_that_comes_in_pieces(peer, seen):
    text = message(peer, 300_000).encode()
    for start in range(0, len(text), 50_000):
        peer.send(text[start:start + 50_000])
        time.sleep(0.002)       # so that they are read one by one, or some of them are
    assert peer.receive().code == 200 and len(seen.wait('SIPEngineGotMessage').data.body) == 300_000


def test_too_large(engine, seen, peer):
    """Others are heard."""
    try:
        peer.send(message(peer, LIMIT + 100_000))
    except OSError:
        pass                    # it may be closed meanwhile
    with StreamPeer(engine.tcp_port) as other:
        other.connect()
        other.send(message(other, 3))
        assert other.receive().code == 200


def test_connections_take_no_memory_for_what_has_not_come(engine):
    """Of the room for a large message only what a message has reached is there."""
    peers = [StreamPeer(engine.tcp_port) for _ in range(50)]
    before = resident()
    try:
        for peer in peers:
            peer.connect()
            peer.send(message(peer, 10))
            assert peer.receive().code == 200
        assert resident() - before < 25 * LIMIT          # zeroed, it would be twice that
    finally:
        for peer in peers:
            with peer:
                pass
