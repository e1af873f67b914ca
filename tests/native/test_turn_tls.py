"""TURN over TLS: the certificate of the server counts when the Engine verifies servers (patch 27)."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from sipsimple.core._rtp_transport import RTPTransport
from sipsimple.core.engine import Engine
from tests.native.audio_support import Inbox
from tests.native.rtp_support import engine, no_leaks
from tests.support.certificates import Authority

__all__ = ['engine', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

ALLOCATE = b'\0\x03'
COOKIE = b'\x21\x12\xa4\x42'


class TURNServer:
    """Takes TLS connections and refuses every allocation with 486; what becomes of each is in `seen`: 'allocate' or the error of the handshake."""

    def __init__(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.with_suffix('.pem'), certificate.with_suffix('.key'))
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.seen: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            try:
                with self.context.wrap_socket(connection, server_side=True) as stream:
                    request = stream.recv(2000)
                    if request[:2] == ALLOCATE and request[4:8] == COOKIE:
                        stream.sendall(b'\x01\x13\0\x08' + request[4:20] + b'\0\x09\0\x04\0\0\x04\x56')
                        self.seen.put('allocate')
                    else:
                        self.seen.put(f'end: {request[:8]!r}')
            except OSError as error:
                self.seen.put(str(error))


@pytest.fixture(scope='module')
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp('turn'))


@pytest.fixture
def verify(engine: Engine, authority: Authority) -> Iterator[None]:
    engine.set_tls_options(None, verify_server=True, ca_file=str(authority.file))
    yield
    engine.set_tls_options(None)


def gathers(port: int, name: str | None = None) -> RTPTransport:
    """A transport that has asked for a relay, which nobody here gives."""
    transport = RTPTransport(use_ice=True, turn_address='127.0.0.1', turn_port=port, turn_transport='tls', turn_username='a', turn_password='b',
                             turn_tls_name=name)
    inbox = Inbox(sender=transport)
    try:
        transport.set_INIT()
        inbox.wait('RTPTransportDidInitialize')
    finally:
        inbox.close()
    assert transport.turn_failed
    return transport


@pytest.mark.parametrize('name, names', [(None, ['127.0.0.1']), ('turn.example.com', ['turn.example.com']), ('turn.example.com', ['*.example.com'])])
@pytest.mark.usefixtures('verify')
def test_good_certificate(authority: Authority, name: str | None, names: list[str]) -> None:
    with TURNServer(authority.issue('good', *names)) as server:
        transport = gathers(server.port, name)
        assert server.seen.get(timeout=20) == 'allocate' and transport.turn_tls_name == name


@pytest.mark.parametrize('name, names, how', [
    (None, ['127.0.0.2'], {}), ('turn.example.com', ['other.example.com'], {}), ('turn.example.com', ['127.0.0.1'], {}),
    ('turn.example.com', ['turn*.example.com'], {}), ('turn.example.com', ['turn.example.com'], {'expired': True}),
    ('turn.example.com', ['turn.example.com'], {'self_signed': True}),
])
@pytest.mark.usefixtures('verify')
def test_bad_certificate(authority: Authority, name: str | None, names: list[str], how: dict[str, bool]) -> None:
    """No password goes to such a server; the call can do without the relay, and `turn_failed` tells of it."""
    with TURNServer(authority.issue('bad', *names, **how)) as server:
        gathers(server.port, name)
        assert 'allocate' not in server.seen.get(timeout=20)


def test_any_certificate_when_servers_are_not_verified(engine: Engine, authority: Authority) -> None:
    with TURNServer(authority.issue('any', 'other.example.com', self_signed=True)) as server:
        gathers(server.port, 'turn.example.com')
        assert server.seen.get(timeout=20) == 'allocate'
