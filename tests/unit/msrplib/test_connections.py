"""The shell: connections over loopback, plain and TLS, back-pressure, time limits, the traffic log, the chunk API."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.internet.defer import DeferredList
from twisted.internet.error import ConnectionDone, ConnectionRefusedError

from msrplib.chunking import OutgoingMessage
from msrplib.connect import DirectAcceptor, DirectConnector, MSRPServer
from msrplib.endpoint import State
from msrplib.errors import (
    MSRPBindSessionTimeout,
    MSRPIncomingConnectTimeout,
    MSRPNoSuchSessionError,
    MSRPSessionError,
    MSRPTransactionError,
)
from msrplib.events import EmptySend, MessageAborted, MessageDelivered, MessageFailed, MessageReceived, RequestReceived
from msrplib.headers import MSRPHeader
from msrplib.protocol import MSRPData
from msrplib.session import MSRPSession
from msrplib.tls import TLSError, X509Credentials
from msrplib.trafficlog import Logger, NullLogger, Tracer
from msrplib.transport import MSRPTransport
from msrplib.uri import URI
from tests.support.certificates import Authority
from tests.support.msrp import Side, in_reactor, in_turn, local
from tests.unit.msrplib.rfc_examples import EXAMPLES


@pytest.fixture(scope='module')
def certificates(tmp_path_factory):
    """Files by name: an authority, and certificates for this host and for another."""
    authority = Authority(tmp_path_factory.mktemp('certificates'))
    issued = {name: authority.issue(name, *names, **options) for name, names, options in [
        ('good', ('localhost', '127.0.0.1'), {}), ('other', ('other.example.com',), {}), ('selfsigned', ('127.0.0.1',), {'self_signed': True}),
        ('expired', ('127.0.0.1',), {'expired': True})]}
    return authority.file, issued


def credentials(certificates, name=None, **options) -> X509Credentials:
    authority, issued = certificates
    files = (issued[name].with_suffix('.pem'), issued[name].with_suffix('.key')) if name else (None, None)
    return X509Credentials(*files, trusted=authority, **options)


def connect(acceptor=None, connector=None, uri=None, from_uri=None, **options):
    """Both sides of a connection: use with `yield from`; (the one who connected, the one who listened)."""
    acceptor, connector = acceptor or DirectAcceptor(), connector or DirectConnector()
    listening = yield acceptor.prepare(uri or local())
    connecting = yield connector.prepare(from_uri or local())
    results = yield DeferredList([connector.complete(listening), acceptor.complete(connecting)], consumeErrors=True)
    for good, result in results:
        if not good:
            yield connector.cleanup()
            yield acceptor.cleanup()
            raise result.value
    return Side(results[0][1], **options), Side(results[1][1], **options)


def close(*sides):
    for side in sides:
        yield side.session.shutdown(wait=False)


def test_messages_both_ways():
    def run():
        left, right = yield from connect()
        messages = [OutgoingMessage('text/plain', f'message {number}'.encode(), success_report='yes') for number in range(50)]
        for message in messages:
            left.session.send(message)
        right.session.send(OutgoingMessage('a/b', b'x' * 500_000, success_report='yes'))
        received = yield right.received(50)
        assert received == [f'message {number}'.encode() for number in range(50)]
        assert (yield left.received()) == [b'x' * 500_000]
        yield left.done(*messages)
        assert all(message.delivered for message in messages)
        assert right.chunks[0].data == b'message 0' and right.chunks[0].byte_range == (1, 9, 9) and right.chunks[0].message_id == messages[0].message_id
        assert left.transport.getPeer().port == right.transport.getHost().port == right.transport.local_uri.port
        assert left.transport.addresses == right.transport.addresses[::-1] and left.transport.next_host() == right.transport.local_uri
        yield left.session.shutdown()
        yield right.lost()
        assert isinstance(right.errors[0], ConnectionDone) and left.session.state is State.DONE is right.session.state and not left.session.connected
        with pytest.raises(MSRPSessionError):
            left.session.send(OutgoingMessage('a/b', b''))
    in_reactor(run)


@pytest.mark.parametrize('way', ['name', 'fingerprint', 'both fingerprints', 'unverified'])
def test_tls(certificates, way):
    server, client = {
        'name': (credentials(certificates, 'good'), credentials(certificates)),
        'fingerprint': (credentials(certificates, 'selfsigned'), credentials(certificates, fingerprint=credentials(certificates, 'selfsigned').local_fingerprint)),
        'both fingerprints': (credentials(certificates, 'selfsigned', fingerprint=credentials(certificates, 'other').local_fingerprint),
                              credentials(certificates, 'other').with_fingerprint(credentials(certificates, 'selfsigned').local_fingerprint)),
        'unverified': (credentials(certificates, 'selfsigned'), credentials(certificates, verify=False)),
    }[way]

    def run():
        left, right = yield from connect(uri=local(True, credentials=server), from_uri=local(True, credentials=client))
        message = OutgoingMessage('a/b', os.urandom(2_000_000), success_report='yes')
        data = message.source.read(1 << 30)
        message.source._position = 0
        left.session.send(message)
        assert (yield right.received()) == [data]
        yield left.done(message)
        assert message.delivered and left.transport.next_host().scheme == 'msrps'
        yield from close(left, right)
    in_reactor(run)


@pytest.mark.parametrize(('server', 'client', 'options'), [
    ('other', None, {}), ('selfsigned', None, {}), ('expired', None, {}), ('good', None, {'fingerprint': 'sha-256 ' + ':'.join(['00'] * 32)}),
    ('selfsigned', None, {'fingerprint': 'sha-1 ' + ':'.join(['AB'] * 20)})])
def test_wrong_certificates(certificates, server, client, options):
    def run():
        connector = DirectConnector()
        acceptor = DirectAcceptor()
        listening = yield acceptor.prepare(local(True, credentials=credentials(certificates, server)))
        yield connector.prepare(local(True, credentials=credentials(certificates, client, **options)))
        with pytest.raises(Exception, match='certificate|verify|SSL|Verification'):
            yield connector.complete(listening)
        yield acceptor.cleanup()
    in_reactor(run)


def test_a_wrong_client_certificate(certificates):
    """Who listens and knows a fingerprint takes nobody else."""
    def run():
        acceptor = DirectAcceptor(timeout=60)
        server = credentials(certificates, 'good', fingerprint=credentials(certificates, 'other').local_fingerprint)
        listening = yield acceptor.prepare(local(True, credentials=server))
        for name in (None, 'selfsigned'):
            connector = DirectConnector()
            yield connector.prepare(local(True, credentials=credentials(certificates, name)))
            with pytest.raises(Exception):      # noqa: B017 - in TLS 1.3 the client learns it only afterwards, in one of several ways
                yield connector.complete(listening)
        connector = DirectConnector()
        connecting = yield connector.prepare(local(True, credentials=credentials(certificates, 'other')))
        results = yield DeferredList([connector.complete(listening), acceptor.complete(connecting)])
        assert [good for good, _ in results] == [True, True]
        yield connector.cleanup()
        yield acceptor.cleanup()
    in_reactor(run)


def test_what_is_no_certificate(tmp_path, certificates):
    (tmp_path / 'bad.pem').write_text('nothing')
    for arguments in ((tmp_path / 'missing.pem',), (tmp_path / 'bad.pem',), (certificates[0],)):
        with pytest.raises(TLSError):
            X509Credentials(*arguments)
    for fingerprint in ('', 'sha-256', 'sha-256 AB', 'md9 ' + 'AB:' * 16, 'sha-1 XX'):
        with pytest.raises(TLSError):
            X509Credentials(fingerprint=fingerprint)
    with pytest.raises(TLSError, match='certificate'):
        in_reactor(lambda: DirectAcceptor().prepare(local(True)))


def test_connecting_fails():
    def run():
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
        connector = DirectConnector()
        path = yield connector.prepare(local())
        assert path[0].port == 2855
        with pytest.raises(ConnectionRefusedError):
            yield connector.complete([URI('127.0.0.1', False, port=port)])
        with socket.create_server(('127.0.0.1', 0)) as silent:
            connector = DirectConnector()
            yield connector.prepare(local())
            make = connector._make

            def hurried(uri):
                """The time is short once we are connected, which may take its own."""
                transport = make(uri)
                bind = transport.bind

                def bind_soon(path):
                    connector.timeout = 0.2
                    return bind(path)
                transport.bind = bind_soon
                return transport
            connector._make = hurried
            with pytest.raises(MSRPBindSessionTimeout):
                yield connector.complete([URI('127.0.0.1', False, port=silent.getsockname()[1])])
            assert connector.remote_endpoint == f'tcp:127.0.0.1:{silent.getsockname()[1]}'
            yield connector.cleanup()
            assert connector.transport.lost is not None
        acceptor = DirectAcceptor(timeout=0.2)
        yield acceptor.prepare(local())
        with pytest.raises(MSRPIncomingConnectTimeout):
            yield acceptor.complete([local()])
        for early in (DirectConnector(), DirectAcceptor()):
            with pytest.raises(MSRPSessionError):
                yield early.complete([local()])
    in_reactor(run)


def test_cleanup_ends_what_is_going_on():
    from twisted.internet.defer import CancelledError

    def run():
        acceptor, connector = DirectAcceptor(), DirectConnector()
        listening = yield acceptor.prepare(local())
        yield connector.prepare(local())
        with socket.create_server(('127.0.0.1', 0)) as silent:
            waiting = acceptor.complete([local()])
            connecting = connector.complete([URI('127.0.0.1', False, port=silent.getsockname()[1])])
            yield acceptor.cleanup()
            yield connector.cleanup()
            for deferred in (waiting, connecting):
                with pytest.raises(CancelledError):
                    yield deferred
        other = DirectConnector()
        yield other.prepare(local())
        with pytest.raises(ConnectionRefusedError):
            yield other.complete(listening)
    in_reactor(run)


def test_strangers_do_not_take_the_place_of_the_peer():
    """Who connects first and says nothing, something else, or the name of another session, is not the peer."""
    def run():
        acceptor = DirectAcceptor(timeout=60)
        listening = yield acceptor.prepare(local())
        address = ('127.0.0.1', listening[0].port)
        strangers = [socket.create_connection(address) for _ in range(3)]
        strangers[1].sendall(b'GET / HTTP/1.1\r\n\r\n')
        strangers[2].sendall(EXAMPLES['empty'])
        wrong = DirectConnector()
        yield wrong.prepare(local())
        with pytest.raises(MSRPNoSuchSessionError):
            yield wrong.complete([listening[0].copy(session_id='guess')])
        impostor, connector = DirectConnector(), DirectConnector()
        yield impostor.prepare(local())
        connecting = yield connector.prepare(local())
        accepted = acceptor.complete(connecting)
        with pytest.raises(MSRPNoSuchSessionError):
            yield impostor.complete(listening)
        yield connector.complete(listening)
        yield accepted
        for stranger in strangers:
            stranger.close()
        yield connector.cleanup()
        yield acceptor.cleanup()
    in_reactor(run)


def test_the_peer_may_be_faster_than_the_signalling():
    """It connects before we know its path; its first request, with a message, is kept."""
    def run():
        acceptor, connector = DirectAcceptor(), DirectConnector()
        listening = yield acceptor.prepare(local())
        connecting = yield connector.prepare(local())
        bound = connector.complete(listening)
        early = socket.create_connection(('127.0.0.1', listening[0].port))
        yield in_turn(5)
        left, right = (yield DeferredList([bound, acceptor.complete(connecting)]))
        sides = Side(left[1]), Side(right[1])
        sides[0].session.send(OutgoingMessage('a/b', b'hello'))
        assert (yield sides[1].received()) == [b'hello'] and sides[1].of(EmptySend)
        early.close()
        yield from close(*sides)
    in_reactor(run)


def test_one_port_for_many_sessions():
    def run():
        server = MSRPServer()
        paths = [(yield server.prepare(local()))]
        for _ in range(4):
            paths.append((yield server.prepare(URI('127.0.0.1', False, port=paths[0][0].port))))
        assert len({path[0].port for path in paths}) == 1
        pairs = []
        for path in reversed(paths):
            connector = DirectConnector()
            connecting = yield connector.prepare(local())
            results = yield DeferredList([connector.complete(path), server.complete(path[0], connecting)])
            pairs.append([Side(result) for good, result in results])
        for number, (left, right) in enumerate(pairs):
            left.session.send(OutgoingMessage('a/b', b'%d' % number))
            assert (yield right.received()) == [b'%d' % number]
            yield from close(left, right)
        with pytest.raises(MSRPNoSuchSessionError):
            connector = DirectConnector()
            yield connector.prepare(local())
            yield connector.complete(paths[0])
        yield server.close()
    in_reactor(run)


class Slow:
    """Takes bytes only when it is told to."""

    def __init__(self):
        self.size = 0


class Endless:
    """A source of so many bytes that remembers how many were taken."""

    def __init__(self, size):
        self.left = size

    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


@pytest.mark.parametrize('use_tls', [False, True], ids=['tcp', 'tls'])
def test_back_pressure_both_ways(certificates, use_tls):
    """A receiver that reads nothing stops the sender, whose source is not read any more; then all of it comes."""
    total = 60_000_000
    made = {True: (credentials(certificates, 'good'), credentials(certificates)), False: (None, None)}[use_tls]

    def run():
        left, right = yield from connect(uri=local(use_tls, credentials=made[0]), from_uri=local(use_tls, credentials=made[1]))
        slow = Slow()

        def accept(message):
            right.transport.pause_reading()

            def sink(offset, piece):
                slow.size += len(piece)
            return sink
        right.transport.accept = accept
        source = Endless(total)
        message = OutgoingMessage('a/b', source, size=total, success_report='yes')
        left.session.send(message)
        before = None
        while not slow.size or before != (source.left, slow.size):
            before = source.left, slow.size
            yield in_turn(10)
        # What is in the buffers of the system and of TLS.
        assert left.transport.congested and source.left > total - 40_000_000 and slow.size < 40_000_000
        right.transport.resume_reading()
        yield left.done(message)
        assert message.delivered and slow.size == total and right.of(MessageReceived)[0].message.total == total
        yield from close(left, right)
    in_reactor(run)


def test_events_wait_for_a_session():
    """What comes between binding and the session is not lost, and there is an end to what is kept."""
    def run():
        acceptor, connector = DirectAcceptor(), DirectConnector()
        listening = yield acceptor.prepare(local())
        connecting = yield connector.prepare(local())
        results = yield DeferredList([connector.complete(listening), acceptor.complete(connecting)])
        left, transport = Side(results[0][1]), results[1][1]
        messages = [OutgoingMessage('a/b', b'%d' % number, failure_report='no') for number in range(1000)]
        for message in messages:
            left.session.send(message)
        while len(transport._waiting) < 256:
            yield in_turn(2)
        right = Side(transport)
        assert (yield right.received(1000)) == [b'%d' % number for number in range(1000)]
        yield from close(left, right)
    in_reactor(run)


def test_a_session_ends_in_good_order():
    """What is queued is sent, and its answers are awaited; then the connection is closed."""
    def run():
        left, right = yield from connect()
        messages = [OutgoingMessage('a/b', b'x' * 1_000_000) for _ in range(5)]
        for message in messages:
            left.session.send(message)
        closed = left.session.shutdown()
        assert left.session.state is State.FLUSHING
        yield closed
        assert [event.message for event in left.of(MessageFailed)] == [] and len(right.of(MessageReceived)) == 5
        yield left.session.shutdown()
    in_reactor(run)


def test_a_session_does_not_wait_long_for_reports():
    """They may come while it ends; if they do not, it ends all the same."""
    def run():
        for reports in (True, False):
            left, _ = yield from connect(automatic_reports=reports)
            message = OutgoingMessage('a/b', b'hello', failure_report='partial', success_report='yes')
            left.session.send(message)
            yield left.session.shutdown()
            assert message.delivered is reports and (left.of(MessageFailed) == []) is reports
    in_reactor(run)


def test_a_lost_connection_is_told():
    def run():
        left, right = yield from connect()
        message = OutgoingMessage('a/b', Endless(50_000_000), size=50_000_000, success_report='yes')
        right.transport.accept = lambda incoming: right.transport.pause_reading() or (lambda offset, piece: None)
        left.session.send(message)
        while not right.transport.endpoint.reassembler.messages:
            yield in_turn(2)
        right.transport.abort()
        yield left.lost()
        yield right.lost()
        assert [event.message for event in left.of(MessageFailed)] == [message] and not message.delivered
        assert left.transport.lost is not None and all(event.code is None for event in right.of(MessageAborted))
        late = MSRPSession(left.transport, on_incoming_cb=lambda chunk, error: left.errors.append(error))
        assert left.errors[-1] is left.transport.lost.value and not late.connected
    in_reactor(run)


def test_a_silent_peer_is_noticed():
    """Keep-alives that are not answered end the connection; those that are, do not."""
    def run():
        left, right = yield from connect(keepalive=0.05)
        yield left.until(lambda: len(left.of(EmptySend)) >= 3)
        assert left.session.connected and 'Keep-Alive' in left.of(EmptySend)[-1].chunk.headers
        while len(left.transport.endpoint.transactions):
            yield in_turn(1)
        left.transport.endpoint.transactions.timeout = 0.2
        right.transport.pause_reading()
        yield left.lost()
        right.transport.resume_reading()
        yield right.lost()
    in_reactor(run)


def test_a_peer_is_not_silent_while_we_do_not_listen():
    """Its answers to keep-alives wait in the socket: that ends no connection."""
    def run():
        left, right = yield from connect(keepalive=0.05)
        yield right.until(lambda: right.of(EmptySend))
        while len(left.transport.endpoint.transactions):
            yield in_turn(1)
        left.transport.endpoint.transactions.timeout = 0.05
        left.transport.pause_reading()
        before = len(right.of(EmptySend))
        yield right.until(lambda: len(right.of(EmptySend)) >= before + 3)
        assert left.session.connected
        left.transport.resume_reading()
        left.transport.endpoint.transactions.timeout = 30
        message = OutgoingMessage('text/plain', b'still here', success_report='yes')
        left.session.send(message)
        yield left.done(message)
        assert message.delivered
        for side in (left, right):
            yield side.session.shutdown()
    in_reactor(run)


def test_garbage_without_end_closes_the_connection():
    def run():
        left, right = yield from connect()
        left.transport.write(b'no MSRP at all\r\n' * 10)
        left.session.send(OutgoingMessage('a/b', b'still here'))
        assert (yield right.received()) == [b'still here']
        left.transport.write(b'MSRP abcd SEND\r\n' + b'X: y\r\n' * 20_000)
        yield right.lost()
        yield left.lost()
    in_reactor(run)


def test_a_source_that_raises_ends_the_connection():
    class Broken:
        def read(self, size):
            raise OSError('disk error')

    def run():
        left, right = yield from connect()
        message = OutgoingMessage('a/b', Broken(), size=10)
        left.session.send(message)
        yield left.lost()
        yield right.lost()
        assert [event.message for event in left.of(MessageFailed)] == [message]
    in_reactor(run)


def test_nicknames_and_other_requests():
    def run():
        left, right = yield from connect()
        answers = []
        for headers in ([MSRPHeader('Use-Nickname', '"Al"')], [], [MSRPHeader('Use-Nickname', '"Al"'), MSRPHeader('Success-Report', 'yes')]):
            left.session.request('NICKNAME', headers).addCallback(lambda event: answers.append(event.code))
        yield right.until(lambda: right.chunks)
        right.session.respond(right.chunks[0], 425)
        while len(answers) < 3:
            yield in_turn(2)
        assert sorted(answers) == [400, 400, 425] and right.chunks[0].headers['Use-Nickname'].decoded == 'Al' and len(right.of(RequestReceived)) == 3
        answer = yield left.session.request('UNHEARDOF')
        assert answer.code == 501
        yield from close(left, right)
        with pytest.raises(MSRPSessionError):
            left.session.request('NICKNAME')
    in_reactor(run)


def test_chunks_by_hand():
    """The interface of single chunks."""
    def run():
        left, right = yield from connect(automatic_reports=False)
        right.session.msrp.endpoint.accept_types = ('text/plain',)
        response = yield left.session.deliver_message(b'hello', 'text/plain')
        assert response.code == 200
        with pytest.raises(MSRPTransactionError) as caught:
            yield left.session.deliver_message(b'hello', 'image/png')
        assert caught.value.code == 415
        chunk = left.session.make_message(b'report me', 'text/plain', 'my-message')
        chunk.add_header(MSRPHeader('Success-Report', 'yes'))
        chunk.add_header(MSRPHeader('Failure-Report', 'no'))
        assert (yield left.session.deliver_chunk(chunk)) is None
        yield right.until(lambda: len(right.chunks) == 2)
        right.session.send_report(right.chunks[1], 200, 'OK')
        yield left.until(lambda: left.chunks)
        assert left.chunks[0].method == 'REPORT' and left.chunks[0].message_id == 'my-message' and left.chunks[0].status.code == 200
        with pytest.raises(ValueError):
            right.session.send_report(left.chunks[0], 200, 'OK')
        assert left.session.send_message(b'unanswered', 'text/plain')
        yield right.received(3)
        left.transport.endpoint.transactions.timeout = 0.05
        right.transport.pause_reading()
        answers = []
        left.session.send_chunk(left.session.make_message(b'x', 'text/plain'), answers.append)
        while not answers:
            yield in_turn(2)
        assert answers[0].code == 408
        right.transport.resume_reading()
        yield from close(left, right)
    in_reactor(run)


def test_a_transport_without_a_session():
    def run():
        acceptor, connector = DirectAcceptor(), DirectConnector()
        listening = yield acceptor.prepare(local())
        connecting = yield connector.prepare(local())
        results = yield DeferredList([connector.complete(listening), acceptor.complete(connecting)])
        left, right = results[0][1], results[1][1]
        request = left.make_send_request(data=b'x' * 3000, start=1, length=5000)
        assert (request.contflag, request.byte_range) == ('+', (1, None, 5000)) and request.to_path[0] == listening[0]
        request.add_header(MSRPHeader('Content-Type', 'a/b'))
        left.write_chunk(request)
        rest = left.make_send_request(request.message_id, b'y' * 2000, 3001, 5000, 5000)
        rest.add_header(MSRPHeader('Content-Type', 'a/b'))
        left.write_chunk(rest)
        chunk = yield right.read_chunk()
        assert isinstance(chunk, MSRPData) and chunk.data == b'x' * 3000 + b'y' * 2000 and chunk.byte_range == (1, 5000, 5000)
        right.check_incoming_SEND_chunk(chunk)
        with pytest.raises(MSRPNoSuchSessionError):
            left.check_incoming_SEND_chunk(chunk)
        right.write_response(chunk, 200)
        waiting = right.read_chunk()
        yield left.loseConnection()
        with pytest.raises(ConnectionDone):
            yield waiting
        with pytest.raises(ConnectionDone):
            yield right.read_chunk()
    in_reactor(run)


class Record(NullLogger):
    def __init__(self):
        super().__init__()
        self.log_traffic = True
        self.told = []

    def received_chunk(self, data, transport):
        self.told.append(('received', data))

    def sent_chunk(self, data, transport):
        self.told.append(('sent', data))

    def received_illegal_data(self, data, transport):
        self.told.append(('illegal', data))


def test_the_traffic_log():
    logs = Record(), Record()

    def run():
        left, right = yield from connect(DirectAcceptor(logs[1]), DirectConnector(logs[0]))
        left.session.send(OutgoingMessage('text/plain', 'Grüße'.encode(), success_report='yes'))
        left.session.send(OutgoingMessage('image/png', b'\0\xff' * 1000))
        yield right.received(2)
        left.transport.write(b'noise\r\n')
        last = OutgoingMessage('a/b', b'', success_report='yes')
        left.session.send(last)
        yield left.done(last)
        yield from close(left, right)
    in_reactor(run)
    sent, received = ([text for way, text in log.told if way == kind] for log, kind in ((logs[0], 'sent'), (logs[1], 'received')))
    assert sent == received and 'Grüße\r\n-------' in sent[1] and '[2000 bytes]' in sent[2] and sent[0].startswith('MSRP ')
    assert ('illegal', 'noise\r\n') in logs[1].told and [text for way, text in logs[0].told if way == 'received'][1].startswith('MSRP ')


def test_the_tracer_needs_little():
    tracer = Tracer()
    head = b'MSRP d93kswow SEND\r\nTo-Path: x\r\nContent-Type: text/plain\r\n\r\n'
    assert tracer.feed(head) == []
    for _ in range(100):
        assert tracer.feed(b'x' * 10_000) == []
    assert len(tracer._body) == 65536
    text, = tracer.feed(b'\r\n-------d93kswow$\r\n')
    assert '[... 1000000 bytes]' in text and len(text) < 70_000
    assert tracer.feed(b'noise\r\n') == [] and len(tracer.feed(EXAMPLES['ok'])) == 1
    assert tracer.feed(b'X' * 1_000_000) == [] and len(tracer.feed(b'\r\n' + EXAMPLES['ok'])) <= 1


def test_the_standard_logger(caplog):
    caplog.set_level('DEBUG', 'msrplib')
    logger = Logger('me', log_traffic=True)
    logger.sent_chunk('chunk', None)
    logger.received_chunk('chunk', None)
    logger.received_illegal_data('bad', None)
    for level in ('debug', 'info', 'warning', 'error', 'critical'):
        getattr(logger, level)('a %s', level)
    try:
        raise ValueError('why')
    except ValueError:
        logger.exception('oh')
    assert [record.getMessage() for record in caplog.records] == [
        'me -> chunk', 'me <- chunk', 'me not MSRP: bad', 'me a debug', 'me a info', 'me a warning', 'me a error', 'me a critical', 'me oh']


def test_a_transport_before_it_is_connected():
    transport = in_reactor(lambda: MSRPTransport(local()))
    assert transport.getHost() is transport.getPeer() is transport.remote_uri is None and transport.remote_path == []
    with pytest.raises(MSRPSessionError):
        transport.next_host()
    with pytest.raises(TypeError):
        in_reactor(lambda: MSRPSession(transport))
    in_reactor(transport.loseConnection)


def test_delivered_is_told_once():
    def run():
        left, right = yield from connect(DirectAcceptor(chunk_size=1000), DirectConnector(chunk_size=1000))
        message = OutgoingMessage('a/b', b'x' * 50_000, success_report='yes')
        right.transport.accept = lambda incoming: setattr(incoming, 'report', 'chunk')
        left.session.send(message)
        yield left.done(message)
        assert len(left.of(MessageDelivered)) == 1 and len(message.reported) == 1
        yield from close(left, right)
    in_reactor(run)
