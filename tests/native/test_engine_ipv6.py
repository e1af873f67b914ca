"""SIP over IPv6."""

import contextlib
import re

import pytest

from sipsimple.core import ContactHeader, FromHeader, Invitation, Registration, RouteHeader, SDPSession, SIPURI, ToHeader
from tests.support.engine import running_engine
from tests.support.sip_calls import SDP_HEADERS
from tests.support.sip_peer import StreamPeer, UDPPeer, audio_sdp, has_ipv6
from tests.support.stun import binding_answer, binding_id
from tests.support.waiting import wait_until

six = pytest.mark.skipif(not has_ipv6(), reason='this machine has no IPv6')


@six
@pytest.mark.parametrize('transport', ['udp', 'tcp'])
@pytest.mark.parametrize('address', ['::1', None])
def test_ipv6(seen, transport, address):
    """Bound to an IPv6 address, or to all addresses of both kinds."""
    with running_engine(ip_address=address, tcp_port=0) as engine:
        if transport == 'udp':
            peer = UDPPeer(engine.udp_port, '::1')
        else:
            peer = StreamPeer(engine.tcp_port, host='::1')
        with peer:
            uri = SIPURI(host='::1', user='peer', port=peer.port, parameters={} if transport == 'udp' else {'transport': transport})
            assert str(uri).startswith(f'sip:peer@[::1]:{peer.port}')
            invitation = Invitation()
            port = engine.udp_port if transport == 'udp' else engine.tcp_port
            invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), RouteHeader(uri),
                                   ContactHeader(SIPURI(host='::1', user='alice', port=port, parameters=dict(uri.parameters))), SDPSession.parse(audio_sdp()))
            text = peer.expect('INVITE')
            assert re.match(rf'SIP/2\.0/{transport.upper()} \[[0-9a-f:]*\]:', text.get('via'))      # for all addresses, the one that the machine is known by
            assert text.get('contact').startswith(f'<sip:alice@[::1]:{port}')
            peer.answer(text, 200, headers=SDP_HEADERS, body=audio_sdp(5000))
            peer.expect('ACK')
            seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
            assert invitation.peer_address.ip == '::1' and str(invitation.peer_address) == f'[::1]:{peer.port}'
            assert invitation.transport == transport
            invitation.end()
            peer.answer(peer.expect('BYE'), 200)
            seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')
            if transport == 'tcp':
                assert seen.past and any(past.name == 'SIPEngineTransportDidConnect' and past.data.remote_address == f'[::1]:{peer.port}' for past in seen.past)
                peer.hang_up()
                peer.connect()
            peer.send(peer.request('INVITE', headers=SDP_HEADERS, body=audio_sdp(5000)))
            incoming = seen.wait('SIPInvitationChangedState', state='incoming').sender
            assert incoming.transport == transport and incoming.peer_address.ip == '::1'
            assert incoming.local_contact_header.uri.host.strip('[]') == '::1'
            incoming.send_response(486)
            assert peer.expect(486)


@six
def test_flow_over_ipv6(seen, monkeypatch):
    """A keep-alive of STUN (RFC 5626 section 4.4.2) goes out and comes back, with an address of 16 bytes; that another one is noticed shows that it was read."""
    monkeypatch.setattr('sipsimple.core.registration.DATAGRAM_INTERVAL', (0.1, 0.2))
    with running_engine(ip_address='::1') as engine, UDPPeer(engine.udp_port, '::1') as peer:
        registration = Registration(FromHeader(SIPURI('example.com', user='alice')), duration=600)
        registration.register(ContactHeader(SIPURI('::1', user='me')), RouteHeader(SIPURI('::1', port=peer.port)))
        peer.answer(peer.expect('REGISTER'), 200, headers='Require: outbound\r\nExpires: 600\r\n')
        seen.wait('SIPRegistrationDidSucceed', sender=registration)
        assert registration.seen_address.ip == '::1'

        def answer(address):
            """Answer what has come until now, and see whether the flow has ended."""
            peer.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    data = peer.socket.recv(65536)
                    if data.startswith(b'\0\1'):
                        peer.send(binding_answer(binding_id(data), (address, 4000)))
                        answered.append(address)
            with contextlib.suppress(AssertionError):
                return seen.wait('SIPEngineTransportDidDisconnect', timeout=0.05, transport='udp', remote_address=peer.address)

        answered = []
        while len(answered) < 3:
            assert not answer('2001:db8::1')
        assert wait_until(lambda: answer('2001:db8::2'))
        registration.drop()
