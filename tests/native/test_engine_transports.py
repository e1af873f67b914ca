"""SIP over TCP and TLS: connections, certificates, and what is told of them."""

import re
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sipsimple.core import ContactHeader, FromHeader, Invitation, Message, PJSIPError, Request, Route, RouteHeader, SDPSession, SIPURI, ToHeader
from tests.support.certificates import Authority
from tests.support.engine import nothing_left, running_engine
from tests.support.sip_calls import SDP_HEADERS
from tests.support.sip_peer import StreamPeer, UDPPeer, audio_sdp, tag_of


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp('certificates'))
    authority.issue('engine', 'engine.example.com', '127.0.0.1')
    authority.issue('good', 'sip.example.com', 'other.example.com', '127.0.0.1')
    authority.issue('wrong', 'elsewhere.example.com')
    authority.issue('expired', 'sip.example.com', '127.0.0.1', expired=True)
    authority.issue('self-signed', 'sip.example.com', '127.0.0.1', self_signed=True)
    return authority


def server_context(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = authority.folder / name
    context.load_cert_chain(path.with_suffix('.pem'), path.with_suffix('.key'))
    return context


def client_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    return context


@pytest.fixture(scope='module')
def engine(authority):
    path = authority.folder / 'engine'
    with running_engine(tcp_port=0, tls_port=0, tls_verify_server=True, tls_ca_file=str(authority.file), tls_cert_file=str(path.with_suffix('.pem')),
                        tls_privkey_file=str(path.with_suffix('.key'))) as engine:
        yield engine


def route(peer, tls_name=None):
    return RouteHeader(Route(peer.host, peer.port, peer.transport.lower(), tls_name).uri)


def options(peer, tls_name=None):
    """An OPTIONS on its way to the peer."""
    uri = SIPURI(host='example.com', user='bob')
    request = Request('OPTIONS', uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), route(peer, tls_name))
    request.send()
    return request


# ---- TCP -----------------------------------------------------------------------------------------------------------


def test_tcp_connection_is_made_told_and_used_again(engine, seen):
    with StreamPeer(engine.tcp_port) as peer:
        first = options(peer)
        peer.answer(peer.expect('OPTIONS'), 200)
        data = seen.wait('SIPEngineTransportDidConnect', remote_address=peer.address).data
        assert data.transport == 'tcp' and data.remote_address == peer.address and data.local_address.startswith('127.0.0.1:')
        seen.wait('SIPRequestDidSucceed', sender=first)
        second = options(peer)
        peer.answer(peer.expect('OPTIONS'), 200)        # over the same connection: nobody accepted another one
        seen.wait('SIPRequestDidSucceed', sender=second)
        assert second.peer_address.port == peer.port
        peer.hang_up()
        data = seen.wait('SIPEngineTransportDidDisconnect', remote_address=peer.address).data
        assert data.transport == 'tcp' and data.remote_address == peer.address and data.reason


def test_nobody_listens(engine, seen):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        with StreamPeer(engine.tcp_port) as peer:
            peer.listener.close()
            request = options(peer)
            assert seen.wait('SIPRequestDidFail', sender=request).data.code in (408, 502, 503)
            data = seen.wait_ever('SIPEngineTransportDidDisconnect', remote_address=peer.address).data
            assert 'refused' in data.reason.lower()
            assert not [past for past in seen.past if past.name == 'SIPEngineTransportDidConnect' and past.data.remote_address == peer.address]


def test_requests_come_and_are_answered_over_tcp(engine, seen):
    with StreamPeer(engine.tcp_port) as peer:
        peer.connect()
        message = peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='in pieces')
        for start in range(0, len(message), 50):
            peer.send(message[start:start + 50])
        assert peer.expect(200)
        assert seen.wait('SIPEngineGotMessage').data.body == b'in pieces'
        peer.send('\r\n\r\n' + peer.request('OPTIONS') + peer.request('OPTIONS'))       # a keep-alive and two at once
        assert peer.expect(200) and peer.expect(200)


def test_trace_of_a_connection(engine, seen):
    engine.trace_sip = True
    try:
        with StreamPeer(engine.tcp_port) as peer:
            request = options(peer)
            peer.answer(peer.expect('OPTIONS'), 200)
            seen.wait('SIPRequestDidSucceed', sender=request)
    finally:
        engine.trace_sip = False
    sent, received = (next(past.data for past in seen.past if past.name == 'SIPEngineSIPTrace' and past.data.received is way) for way in (False, True))
    assert sent.data.startswith(b'OPTIONS ') and received.data.startswith(b'SIP/2.0 200')
    assert sent.transport == received.transport == 'TCP'
    assert (sent.destination_ip, sent.destination_port) == ('127.0.0.1', peer.port) == (received.source_ip, received.source_port)


def test_call_over_tcp(engine, seen):
    with StreamPeer(engine.tcp_port) as peer:
        invitation = Invitation()
        uri = SIPURI(host=peer.host, user='peer', port=peer.port, parameters={'transport': 'tcp'})
        invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), route(peer),
                               ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.tcp_port, parameters={'transport': 'tcp'})),
                               SDPSession.parse(audio_sdp()))
        request = peer.expect('INVITE')
        assert request.get('via').startswith('SIP/2.0/TCP')
        peer.answer(request, 200, headers=SDP_HEADERS, body=audio_sdp(5000))
        peer.expect('ACK')
        seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
        assert invitation.transport == 'tcp' and invitation.peer_address.port == peer.port
        invitation.end()
        peer.answer(peer.expect('BYE'), 200)
        seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


def test_connection_lost_during_a_call(engine, seen):
    """The call goes on; the next request makes a new connection."""
    with StreamPeer(engine.tcp_port) as peer:
        invitation = Invitation()
        uri = SIPURI(host=peer.host, user='peer', port=peer.port, parameters={'transport': 'tcp'})
        invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), route(peer),
                               ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.tcp_port, parameters={'transport': 'tcp'})),
                               SDPSession.parse(audio_sdp()))
        peer.answer(peer.expect('INVITE'), 200, headers=SDP_HEADERS, body=audio_sdp(5000))
        peer.expect('ACK')
        seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
        peer.hang_up()
        seen.wait('SIPEngineTransportDidDisconnect', remote_address=peer.address)
        invitation.send_reinvite()
        request = peer.expect('INVITE')
        peer.answer(request, 488)
        seen.wait('SIPInvitationChangedState', sender=invitation, sub_state='normal', prev_sub_state='sent_proposal')
        peer.hang_up()
        peer.listener.close()
        seen.wait('SIPEngineTransportDidDisconnect', remote_address=peer.address)
        invitation.end()
        data = seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected').data
        assert data.disconnect_reason == 'user request' and data.originator == 'local'


def test_reinvite_that_cannot_be_sent(engine, seen):
    """RFC 3261 section 12.2.1.2 does not end a dialog for that: the proposal fails, the call goes on."""
    with StreamPeer(engine.tcp_port) as peer:
        invitation = Invitation()
        uri = SIPURI(host=peer.host, user='peer', port=peer.port, parameters={'transport': 'tcp'})
        invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), route(peer),
                               ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.tcp_port, parameters={'transport': 'tcp'})),
                               SDPSession.parse(audio_sdp()))
        peer.answer(peer.expect('INVITE'), 200, headers=SDP_HEADERS, body=audio_sdp(5000))
        peer.expect('ACK')
        seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
        peer.hang_up()
        seen.wait('SIPEngineTransportDidDisconnect', remote_address=peer.address)
        peer.listener.close()
        for _ in range(2):              # the first failure must not stand in the way of the second try
            try:
                invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002)))
            except PJSIPError:
                assert invitation.sub_state == 'normal'         # the system knew at once
            else:
                seen.wait('SIPInvitationChangedState', sender=invitation, sub_state='sent_proposal')
                data = seen.wait('SIPInvitationChangedState', sender=invitation, sub_state='normal').data
                assert (data.code, data.reason, data.originator) == (408, 'Transport Error', 'local')
            assert invitation.state == 'connected' and invitation.sdp.proposed_local is None
        invitation.end()
        seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', [None, 'sip.example.com', 'OTHER.example.com'])
def test_certificate_of_the_right_name(engine, seen, authority, name):
    with StreamPeer(engine.tls_port, server_context(authority, 'good')) as peer:
        request = options(peer, name)
        text = peer.expect('OPTIONS')
        assert text.get('via').startswith('SIP/2.0/TLS') and 'tls_name' not in text.raw.decode()
        peer.answer(text, 200)
        verified = seen.wait('SIPEngineTransportDidVerifyCertificate', remote_address=peer.address).data
        connected = seen.wait('SIPEngineTransportDidConnect', remote_address=peer.address).data
        assert verified.verified is True and verified.verify_status == 0
        assert verified.transport == connected.transport == 'tls' and verified.remote_address == connected.remote_address == peer.address
        assert verified.remote_hostname == (name or '127.0.0.1') and verified.remote_ip == '127.0.0.1'
        assert verified.tls_cipher
        seen.wait('SIPRequestDidSucceed', sender=request)


def test_what_is_told_of_a_certificate(engine, seen, authority, monkeypatch):
    monkeypatch.setenv('TZ', 'America/New_York')        # the times are GMT nevertheless
    time.tzset()
    try:
        with StreamPeer(engine.tls_port, server_context(authority, 'good')) as peer:
            options(peer)
            peer.answer(peer.expect('OPTIONS'), 200)
            told = seen.wait('SIPEngineTransportDidVerifyCertificate', remote_address=peer.address).data.certificate
    finally:
        monkeypatch.undo()
        time.tzset()
    certificate = x509.load_pem_x509_certificate((authority.folder / 'good.pem').read_bytes())
    assert told['subject'] == 'sip.example.com' and told['subject_info'] == '/CN=sip.example.com'
    assert told['issuer'] == 'Test CA' and told['issuer_info'] == '/CN=Test CA'
    assert told['version'] == 3 and int(told['serial'], 16) == certificate.serial_number
    assert told['not_before'] == certificate.not_valid_before_utc.strftime('%Y-%m-%d %H:%M:%S GMT')
    assert told['not_after'] == certificate.not_valid_after_utc.strftime('%Y-%m-%d %H:%M:%S GMT')
    assert told['alternative_names'] == ['sip.example.com', 'other.example.com', '127.0.0.1']
    assert x509.load_pem_x509_certificate(told['pem'].encode()) == certificate
    assert certificate.public_bytes(serialization.Encoding.PEM).decode().split() == told['pem'].split()


@pytest.mark.parametrize('certificate, name, what', [
    ('wrong', 'sip.example.com', 'identity'),
    ('wrong', None, 'identity'),
    ('good', 'sip.example.org', 'identity'),
    ('expired', 'sip.example.com', 'expired'),
    ('self-signed', 'sip.example.com', 'untrusted'),
])
def test_certificate_that_is_refused(engine, seen, authority, certificate, name, what):
    with StreamPeer(engine.tls_port, server_context(authority, certificate)) as peer:
        request = options(peer, name)
        try:
            peer.accept()
            with pytest.raises((ConnectionError, ssl.SSLError, OSError)):
                peer.receive()
        except (ssl.SSLError, ConnectionError):
            pass                        # it hung up during our side of the handshake
        error = seen.wait('SIPEngineTransportGotCertificateError', remote_address=peer.address).data
        gone = seen.wait('SIPEngineTransportDidDisconnect', remote_address=peer.address).data
        assert error.transport == gone.transport == 'tls' and error.remote_address == gone.remote_address == peer.address
        assert error.reason and error.certificate_errors and what in ' '.join(error.certificate_errors).lower()
        assert seen.wait_ever('SIPRequestDidFail', sender=request).data.code in (408, 502, 503)
        assert not [past for past in seen.past if past.name == 'SIPEngineTransportDidConnect' and past.data.remote_address == peer.address]


def test_each_name_has_a_connection_of_its_own(engine, seen, authority):
    """A connection that was verified for one name is not used for another one at the same address."""
    with StreamPeer(engine.tls_port, server_context(authority, 'good')) as peer:
        options(peer, 'sip.example.com')
        peer.answer(peer.expect('OPTIONS'), 200)
        assert seen.wait('SIPEngineTransportDidVerifyCertificate', remote_address=peer.address).data.remote_hostname == 'sip.example.com'
        first, peer.stream = peer.stream, None
        request = options(peer, 'unknown.example.com')
        try:
            peer.accept()
            peer.receive()
        except (ssl.SSLError, ConnectionError):
            pass
        seen.wait('SIPEngineTransportGotCertificateError')
        seen.wait('SIPRequestDidFail', sender=request)
        first.close()


def test_call_over_tls_stays_on_the_verified_connection(engine, seen, authority):
    with StreamPeer(engine.tls_port, server_context(authority, 'good')) as peer:
        invitation = Invitation()
        uri = SIPURI(host='example.com', user='peer')
        invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), route(peer, 'sip.example.com'),
                               ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.tls_port, parameters={'transport': 'tls'})),
                               SDPSession.parse(audio_sdp()))
        peer.answer(peer.expect('INVITE'), 200, headers=SDP_HEADERS + f'Record-Route: <sip:127.0.0.1:{peer.port};transport=tls;lr>\r\n', body=audio_sdp(5000))
        peer.expect('ACK')
        seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
        assert invitation.transport == 'tls'
        invitation.end()
        peer.answer(peer.expect('BYE'), 200)
        seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')
        assert sum(past.name == 'SIPEngineTransportDidConnect' for past in seen.past) == 1


def test_engine_as_a_server(engine, seen, authority):
    with StreamPeer(engine.tls_port) as peer:
        peer.connect(client_context(authority), 'engine.example.com')       # our side checks name and signature
        host, port = peer.stream.getsockname()
        verified = seen.wait('SIPEngineTransportDidVerifyCertificate', remote_address=f'{host}:{port}').data
        assert verified.certificate is None and verified.verified is False
        seen.wait('SIPEngineTransportDidConnect')
        peer.send(peer.request('INVITE', headers=SDP_HEADERS, body=audio_sdp(5000)))
        invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
        assert invitation.transport == 'tls'
        invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
        ok = peer.expect(200)
        # The request URI, which is an address of ours, and the transport: what follows in the dialog must come this way.
        assert re.fullmatch(r'<sip:engine@127\.0\.0\.1:\d+;transport=tls>', ok.get('contact'), re.IGNORECASE)
        peer.send(peer.request('ACK', call_id=invitation.call_id, to_tag=tag_of(ok.get('to'))))
        seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
        peer.send(peer.request('BYE', call_id=invitation.call_id, to_tag=tag_of(ok.get('to')), cseq=2))
        assert peer.expect(200)
        seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


def test_old_tls_versions_are_refused(engine, authority):
    context = client_context(authority)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    try:
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers('ALL:@SECLEVEL=0')
    except (ValueError, ssl.SSLError):
        pytest.skip('this OpenSSL has no TLS 1.1 any more')
    with StreamPeer(engine.tls_port) as peer, pytest.raises((ssl.SSLError, ConnectionError)):
        peer.connect(context, 'engine.example.com')


def test_silent_server_does_not_hold_up_others(engine, seen, authority):
    """The handshake ends after tls_timeout; meanwhile the engine works."""
    engine.set_tls_options(port=0, verify_server=True, ca_file=str(authority.file), timeout=500)
    try:
        with socket.create_server(('127.0.0.1', 0)) as silent, UDPPeer(engine.udp_port) as udp:
            uri = SIPURI(host='example.com', user='bob')
            message = Message(FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri),
                              RouteHeader(Route('127.0.0.1', silent.getsockname()[1], 'tls').uri), 'text/plain', 'anyone?')
            message.send()
            connection, _ = silent.accept()
            udp.send(udp.request('OPTIONS'))
            assert udp.expect(200, 2)
            assert seen.wait('SIPMessageDidFail', sender=message).data.code in (408, 502, 503)
            connection.close()
    finally:
        path = authority.folder / 'engine'
        engine.set_tls_options(port=0, verify_server=True, ca_file=str(authority.file), cert_file=str(path.with_suffix('.pem')),
                               privkey_file=str(path.with_suffix('.key')))
    assert engine.tls_verify_server is True and engine.tls_timeout == 3000


def test_unverified_connection_is_told_and_used(engine, seen, authority):
    engine.set_tls_options(port=0, verify_server=False, ca_file=str(authority.file))
    try:
        with StreamPeer(engine.tls_port, server_context(authority, 'self-signed')) as peer:
            request = options(peer, 'elsewhere.example.com')
            peer.answer(peer.expect('OPTIONS'), 200)
            data = seen.wait('SIPEngineTransportDidVerifyCertificate', remote_address=peer.address).data
            assert data.verified is False and data.verify_status and data.certificate['subject'] == 'sip.example.com'
            seen.wait('SIPEngineTransportDidConnect')
            seen.wait('SIPRequestDidSucceed', sender=request)
    finally:
        path = authority.folder / 'engine'
        engine.set_tls_options(port=0, verify_server=True, ca_file=str(authority.file), cert_file=str(path.with_suffix('.pem')),
                               privkey_file=str(path.with_suffix('.key')))


def test_nothing_is_left(engine):
    assert nothing_left()
