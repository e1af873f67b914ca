"""SIP over connections: what a call needs of them."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from sipsimple.core import Engine, Invitation
from tests.support.engine import Seen, running_engine
from tests.support.sip_peer import SIPText, audio_sdp


@pytest.fixture
def engine() -> Any:
    with running_engine(tcp_port=0) as engine:
        yield engine


def ends_at(port: int) -> list[socket.socket]:
    """Our own sockets that are connected with that port of this machine."""
    found = []
    for number in map(int, os.listdir('/proc/self/fd')):
        try:
            if number in [one.fileno() for one in found]:
                continue
            copy = os.dup(number)
        except OSError:
            continue                    # that of the list itself, which is closed; a copy may have its number
        try:
            one = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)              # no socket; a copy left open would be an end of some process's pipe
            continue
        try:
            matches = one.family == socket.AF_INET and one.type == socket.SOCK_STREAM and one.getpeername()[1] == port
        except OSError:
            matches = False
        if matches:
            found.append(one)
        else:
            one.close()
    return found


def invite(own_port: int, target: str) -> bytes:
    body = audio_sdp()
    return (f'INVITE {target} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{own_port};branch=z9hG4bK-1;rport\r\nMax-Forwards: 70\r\n'
            f'From: <sip:peer@127.0.0.1>;tag=1\r\nTo: <{target}>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n'
            f'Contact: <sip:peer@127.0.0.1:{own_port};transport=tcp>\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}').encode()


@pytest.mark.parametrize('suffix', ['', ';transport=tcp'])
def test_contact_of_a_call_over_tcp(engine: Engine, suffix: str) -> None:
    """The caller sends its ACK and BYE where the contact says: over the connection, also if its own URI did not name the transport."""
    seen = Seen()
    with socket.create_connection(('127.0.0.1', engine.tcp_port or 0)) as peer:
        peer.settimeout(10)
        peer.sendall(invite(peer.getsockname()[1], f'sip:engine@127.0.0.1:{engine.tcp_port}{suffix}'))
        invitation: Invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
        contact = invitation.local_contact_header
        assert contact is not None
        assert (contact.uri.host, contact.uri.port, contact.uri.transport) == ('127.0.0.1', engine.tcp_port, 'tcp')
        invitation.send_response(486)
        received = b''
        while b'SIP/2.0 486' not in received:
            received += peer.recv(65536)
        assert SIPText(received).code == 100
    seen.stop()


def test_messages_are_not_held_back(engine: Engine) -> None:
    """Nagle's algorithm would keep the second message until the kernel of the peer has acknowledged the first, 40 ms later."""
    with socket.create_connection(('127.0.0.1', engine.tcp_port or 0)) as peer:
        peer.settimeout(10)
        peer.sendall(invite(peer.getsockname()[1], 'sip:engine@127.0.0.1').replace(b'INVITE', b'OPTIONS'))
        assert peer.recv(65536).startswith(b'SIP/2.0 ')         # the connection is accepted for sure
        ours = ends_at(peer.getsockname()[1])
        assert len(ours) == 1
        assert ours[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        ours[0].close()
    with socket.create_server(('127.0.0.1', 0)) as server:
        from sipsimple.core import FromHeader, Message, RouteHeader, SIPURI, ToHeader
        port = server.getsockname()[1]
        target = SIPURI('127.0.0.1', port=port, parameters={'transport': 'tcp'})
        message = Message(FromHeader(SIPURI('127.0.0.1', user='engine')), ToHeader(target), RouteHeader(target), 'text/plain', 'hello')
        seen = Seen()
        message.send()
        accepted, _ = server.accept()
        with accepted:
            ours = ends_at(port)
            assert len(ours) == 1
            assert ours[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            ours[0].close()
        seen.wait('SIPMessageDidFail', sender=message)          # its connection is gone
        seen.stop()


def test_connections_over_loopback_outlive_a_change_of_the_network(engine: Engine) -> None:
    """They depend on no network. What becomes of others is tried where addresses can be changed: tests/network."""
    with socket.create_connection(('127.0.0.1', engine.tcp_port or 0)) as peer:
        peer.settimeout(10)
        for reconnect in (False, True):
            options = invite(peer.getsockname()[1], 'sip:engine@127.0.0.1').replace(b'INVITE', b'OPTIONS').replace(b'Call-ID: one', b'Call-ID: %d' % reconnect)
            peer.sendall(options.replace(b'z9hG4bK-1', b'z9hG4bK-%d' % reconnect))
            assert peer.recv(65536).startswith(b'SIP/2.0 ')
            assert engine.update_addresses(reconnect=reconnect) == 0
        peer.sendall(options.replace(b'z9hG4bK-1', b'z9hG4bK-2'))
        assert peer.recv(65536).startswith(b'SIP/2.0 ')


def test_ping_is_answered(engine: Engine) -> None:
    """RFC 5626 section 4.4.1: two line breaks between messages want one, also when they come in pieces; a message may begin with any number of others."""
    with socket.create_connection(('127.0.0.1', engine.tcp_port or 0)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.settimeout(10)
        number = 0

        def answer(before: bytes) -> bytes:
            """What comes back when `before` and a request were sent, up to the answer to the request."""
            nonlocal number
            number += 1
            request = invite(peer.getsockname()[1], 'sip:engine@127.0.0.1').replace(b'INVITE', b'OPTIONS').replace(b'-1;', b'-%d;' % number)
            peer.sendall(before + request.replace(b'CSeq: 1', b'CSeq: %d' % number))
            received = b''
            while b'SIP/2.0 ' not in received or not received.endswith(b'\r\n\r\n'):
                received += peer.recv(65536)
            return received[:received.index(b'SIP/2.0 ')]

        assert answer(b'') == b''
        peer.sendall(b'\r\n\r\n')
        assert peer.recv(65536) == b'\r\n'
        assert answer(b'\r\n\r\n') == b'\r\n'
        assert answer(b'\r\n') == b''                           # the answer to a ping of ours, or nothing at all
        for piece in (b'\r\n', b'\r\n'):
            peer.sendall(piece)
        assert peer.recv(65536) == b'\r\n'
        for piece in (b'\r', b'\n\r', b'\n'):
            peer.sendall(piece)
        assert peer.recv(65536) == b'\r\n'
        assert answer(b'\n\n\r\r') == b''
