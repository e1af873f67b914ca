"""The Engine: life, options, transports, what it answers by itself."""

import datetime
import errno
import socket
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sipsimple.core import FromHeader, Header, PJSIPError, PJSIPTLSError, Request, RouteHeader, SIPCoreError, SIPCoreInvalidStateError, SIPURI, ToHeader
from sipsimple.core._handles import counters
from sipsimple.core._timers import call_later
from sipsimple.core.engine_options import check_options
from tests.support.engine import nothing_left

ENGINE_OPTIONS = {'tcp_port': 0, 'incoming_requests': {'PING'}}


def test_options_are_checked_before_the_start():
    with pytest.raises(TypeError):
        check_options({'no_such_option': 1})
    for bad in ({'udp_port': 70000}, {'ip_address': 'nowhere'}, {'tls_timeout': -1}, {'log_level': 99}, {'incoming_requests': {'INVITE'}},
                {'incoming_events': {'unheard-of'}}):
        with pytest.raises(ValueError):
            check_options(bad)


def test_attributes_exist_only_while_running(engine):
    assert engine.is_running and engine.udp_port > 0 and engine.tcp_port > 0 and engine.tls_port is None
    assert 'udp_port' in dir(engine)
    assert engine.codecs == ['G722', 'speex', 'PCMU', 'PCMA']
    with pytest.raises(ValueError):
        engine.codecs = ['PCMU', 'pcmu']
    with pytest.raises(SIPCoreError):
        engine.codecs = ['no-such-codec']
    engine.codecs = ['PCMA', 'PCMU']
    assert engine.codecs == ['PCMA', 'PCMU']
    engine.codecs = ['G722', 'speex', 'PCMU', 'PCMA']


def test_second_start_is_refused(engine):
    with pytest.raises(SIPCoreError):
        engine.start()


def test_ports_can_be_changed(engine):
    old = engine.tcp_port
    engine.set_tcp_port(None)
    assert engine.tcp_port is None
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.1', old), 1).close()
    engine.set_tcp_port(0)
    socket.create_connection(('127.0.0.1', engine.tcp_port), 1).close()
    with pytest.raises(ValueError):
        engine.set_tcp_port(65536)


@pytest.mark.parametrize('transport', ['udp', 'tcp', 'tls'])
def test_a_port_in_use_is_told(engine, peer, transport):
    """UDP and TCP stay open where they are then; TLS, which may have other settings too, is off."""
    with socket.socket(type=socket.SOCK_DGRAM if transport == 'udp' else socket.SOCK_STREAM) as taken:
        taken.bind(('127.0.0.1', 0))
        if transport != 'udp':
            taken.listen()
        port = taken.getsockname()[1]
        before = None if transport == 'tls' else getattr(engine, f'{transport}_port')
        set_port = {'udp': engine.set_udp_port, 'tcp': engine.set_tcp_port, 'tls': lambda port: engine.set_tls_options(port=port)}[transport]
        with pytest.raises(PJSIPError) as error:
            set_port(port)
        assert error.value.errno == errno.EADDRINUSE and getattr(engine, f'{transport}_port') == before
    if transport == 'udp':
        peer.send(peer.request('OPTIONS'))
        assert peer.expect(200)
    elif transport == 'tcp':
        socket.create_connection(('127.0.0.1', before), 5).close()
    set_port(port)
    assert getattr(engine, f'{transport}_port') == port
    engine.set_tls_options(port=None)


@pytest.mark.parametrize('transport', ['tcp', 'tls'])
def test_a_port_can_be_opened_again_at_once(engine, transport):
    """Though connections that we closed linger there."""
    def reopen(port):
        if transport == 'tls':
            engine.set_tls_options(port=port)
        else:
            engine.set_tcp_port(None)
            engine.set_tcp_port(port)
        return getattr(engine, f'{transport}_port')
    port = reopen(0)
    for _ in range(3):
        with socket.create_connection(('127.0.0.1', port), 5) as connection:
            assert reopen(port) == port
            connection.settimeout(15)
            if transport == 'tls':
                with pytest.raises(OSError):
                    connection.sendall(b'no handshake')
                    while connection.recv(100):
                        pass
                    raise ConnectionResetError
    engine.set_tls_options(port=None)


def test_tls_files_are_read_before_the_start(engine, tmp_path):
    """Missing ones are the caller's mistake; what is in the others decides whether TLS can be opened."""
    names = {}
    for name in ('good', 'other'):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        plain, locked = serialization.NoEncryption(), serialization.BestAvailableEncryption(b'secret')
        for kind, data in (('crt', certificate.public_bytes(pem)), ('key', key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)),
                           ('locked', key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))):
            names[f'{name}.{kind}'] = str(tmp_path / f'{name}.{kind}')
            (tmp_path / f'{name}.{kind}').write_bytes(data)
    names['bad'] = str(tmp_path / 'bad')
    (tmp_path / 'bad').write_text('-----BEGIN CERTIFICATE-----')
    with pytest.raises(ValueError):
        engine.set_tls_options(port=0, cert_file=str(tmp_path / 'missing'))
    for status, options in ((171162, {'ca_file': 'bad'}), (171163, {'cert_file': 'bad'}), (171164, {'cert_file': 'good.crt'}),
                            (171164, {'cert_file': 'good.crt', 'privkey_file': 'other.key'}),
                            (171164, {'cert_file': 'good.crt', 'privkey_file': 'good.locked'})):
        with pytest.raises(PJSIPTLSError) as error:
            engine.set_tls_options(port=0, **{option: names[name] for option, name in options.items()})
        assert error.value.status == status and engine.tls_port is None, (options, error.value)
    engine.set_tls_options(port=0, ca_file=names['other.crt'], cert_file=names['good.crt'], privkey_file=names['good.key'])
    assert engine.tls_port and engine.tls_cert_file == names['good.crt']
    engine.set_tls_options(port=None)


def test_options_is_answered_with_capabilities(peer):
    peer.send(peer.request('OPTIONS'))
    answer = peer.expect(200)
    assert {'INVITE', 'MESSAGE', 'BYE', 'UPDATE', 'REFER', 'PRACK'} <= set(answer.get('allow').replace(' ', '').split(','))
    assert 'application/sdp' in answer.get('accept')
    assert {'100rel', 'replaces', 'timer', 'norefersub'} <= set(answer.get('supported').replace(' ', '').split(','))
    assert answer.get('server').startswith('sipsimple-')


@pytest.mark.parametrize('method, code', [('SUBSCRIBE', 489), ('NOTIFY', 481), ('CANCEL', 481), ('BYE', 481), ('UNHEARD', 405), ('INFO', 405)])
def test_requests_outside_dialogs(peer, method, code):
    headers = 'Event: presence\r\n' if method in ('SUBSCRIBE', 'NOTIFY') else ''
    peer.send(peer.request(method, headers=headers))
    assert peer.receive().code == code


def test_ack_is_ignored(peer):
    peer.send(peer.request('ACK'))
    assert peer.silent()


def test_message_is_reported_once_though_retransmitted(peer, seen):
    text = peer.request('MESSAGE', headers='Content-Type: text/plain;charset=utf-8\r\n', body='Grüß Gott')
    peer.send(text)
    assert peer.receive().code == 200
    peer.send(text)
    assert peer.receive().code == 200
    data = seen.wait('SIPEngineGotMessage').data
    assert data.body == 'Grüß Gott'.encode()
    assert data.content_type == 'text/plain'
    assert data.from_header.uri.user == 'peer'
    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='second'))
    assert seen.wait('SIPEngineGotMessage').data.body == b'second'


def test_message_without_content_type_is_refused(peer):
    peer.send(peer.request('MESSAGE', body='what is this'))
    answer = peer.receive()
    assert answer.code == 400
    assert answer.get('warning').startswith('399')


def test_incoming_request_is_handed_over_and_answered(peer, seen):
    peer.send(peer.request('PING', headers='X-Question: why\r\n'))
    notification = seen.wait('SIPIncomingRequestGotRequest')
    assert notification.data.method == 'PING'
    assert notification.data.headers['X-Question'].body == 'why'
    notification.sender.answer(299, 'Because')
    answer = peer.expect(299)
    assert answer.start == 'SIP/2.0 299 Because'
    assert seen.wait('SIPIncomingRequestSentResponse').data.code == 299


def test_unanswered_incoming_request_is_answered_with_500(peer):
    peer.send(peer.request('PING'))
    assert peer.expect(500).code == 500


def test_own_request_coming_back_is_a_loop(engine, seen):
    uri = SIPURI(host='127.0.0.1', port=engine.udp_port, user='self')
    request = Request('OPTIONS', uri, FromHeader(SIPURI(host='example.com')), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1', port=engine.udp_port)))
    request.send(timeout=5)
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 482


def test_methods_handed_over_can_be_changed(engine, peer, seen):
    peer.send(peer.request('PONG'))
    assert peer.expect(405)
    engine.add_incoming_request('PONG')
    assert 'PONG' in engine.incoming_requests
    peer.send(peer.request('PONG'))
    seen.wait('SIPIncomingRequestGotRequest', method='PONG').sender.answer(202)
    assert peer.expect(202)
    engine.remove_incoming_request('PONG')
    peer.send(peer.request('PONG'))
    assert peer.expect(405)
    for method in ('ACK', 'BYE', 'INVITE', 'REFER', 'SUBSCRIBE'):
        with pytest.raises(ValueError):
            engine.add_incoming_request(method)
        with pytest.raises(ValueError):
            engine.remove_incoming_request(method)


@pytest.mark.parametrize('method', ['OPTIONS', 'MESSAGE'])
def test_application_wins_over_our_own_answers(engine, peer, seen, method):
    engine.add_incoming_request(method)
    try:
        peer.send(peer.request(method, headers='Content-Type: text/plain\r\n', body='x'))
        request = seen.wait('SIPIncomingRequestGotRequest', method=method).sender
        assert (request.state, request.peer_address.port) == ('incoming', peer.port)
        for code in (100, 199, 700):
            with pytest.raises(ValueError):
                request.answer(code)
        request.answer(299, extra_headers=[Header('X-Own', 'yes')])
        assert peer.expect(299).get('x-own') == 'yes' and request.state == 'answered'
        with pytest.raises(SIPCoreInvalidStateError):
            request.answer(200)
    finally:
        engine.remove_incoming_request(method)
    assert not [past for past in seen.past if past.name == 'SIPEngineGotMessage']


def test_event_packages(engine):
    assert {'dialog', 'presence', 'conference', 'message-summary', 'refer', 'xcap-diff'} <= engine.events.keys()
    engine.add_event('x-test', ['application/x-test'])
    assert engine.events['x-test'] == ['application/x-test']
    for types in ([], [f'x/{number}' for number in range(33)]):
        with pytest.raises(SIPCoreError):
            engine.add_event('x-other', types)
    engine.add_incoming_event('x-test')
    assert engine.incoming_events == {'x-test'}
    engine.remove_incoming_event('x-test')
    assert engine.incoming_events == set()
    for change in (engine.add_incoming_event, engine.remove_incoming_event):
        with pytest.raises(ValueError):
            change('unheard-of')


def test_loop_detection_can_be_off(engine, seen):
    engine.detect_sip_loops = False
    try:
        uri = SIPURI(host='127.0.0.1', port=engine.udp_port, user='self')
        request = Request('OPTIONS', uri, FromHeader(SIPURI(host='example.com')), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1', port=engine.udp_port)))
        request.send(timeout=5)
        assert seen.wait('SIPRequestDidSucceed', sender=request).data.code == 200
    finally:
        engine.detect_sip_loops = True


def test_user_agent_can_be_changed(engine, peer):
    old = engine.user_agent
    engine.user_agent = 'Other/1'
    try:
        assert engine.user_agent == 'Other/1'
        peer.send(peer.request('OPTIONS'))
        assert peer.expect(200).get('server') == 'Other/1'
    finally:
        engine.user_agent = old


def test_garbage_is_survived(peer):
    for data in (b'\0' * 2000, b'INVITE', b'\r\n\r\n', b'INVITE sip:a SIP/2.0\r\n\r\n', bytes(range(256)) * 10, b'SIP/2.0 200 OK\r\nVia: x\r\n\r\n'):
        peer.send(data)
    peer.send(peer.request('OPTIONS'))
    assert peer.expect(200)


def test_trace_and_log(engine, peer, seen):
    engine.trace_sip = True
    try:
        peer.send(peer.request('OPTIONS'))
        received = seen.wait('SIPEngineSIPTrace', received=True).data
        sent = seen.wait('SIPEngineSIPTrace', received=False).data
    finally:
        engine.trace_sip = False
    assert received.data.startswith(b'OPTIONS ') and received.transport == 'UDP' and received.source_port == peer.port
    assert sent.data.startswith(b'SIP/2.0 200') and sent.destination_port == peer.port
    engine.log_level = 5
    try:
        peer.send(peer.request('OPTIONS'))
        assert seen.wait('SIPEngineLog').data.message
    finally:
        engine.log_level = 0


def test_idle_engine_does_not_wake_up(engine):
    """Nothing polls: without packets and timers the worker sleeps through."""
    time.sleep(0.1)                     # let the transactions' short timers of earlier tests pass
    before = counters()['worker_rounds']
    time.sleep(1.0)
    assert counters()['worker_rounds'] - before <= 3


def test_timer_of_another_thread_wakes_the_worker(engine):
    """A timer that is due before all others is served in time although the worker sleeps."""
    fired = threading.Event()
    started = time.monotonic()
    call_later(0.05, fired.set)
    assert fired.wait(5)
    assert time.monotonic() - started < 0.5


def test_cancelled_timer_does_not_fire(engine):
    calls = []
    timer = call_later(0.02, calls.append, 1)
    timer.cancel()
    later = threading.Event()
    call_later(0.05, later.set)
    assert later.wait(5)
    assert calls == []


def test_exception_in_an_observer_does_not_stop_the_engine(engine, peer):
    from sipsimple.notification import NotificationCenter

    class Broken:
        def handle_notification(self, notification):
            raise ZeroDivisionError
    broken = Broken()
    NotificationCenter().add_observer(broken, name='SIPEngineGotMessage')
    try:
        peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='x'))
        assert peer.expect(200)
    finally:
        NotificationCenter().remove_observer(broken, name='SIPEngineGotMessage')
    peer.send(peer.request('OPTIONS'))
    assert peer.expect(200)


def test_nothing_is_left(engine):
    assert nothing_left()
