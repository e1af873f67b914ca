"""Desktop sharing without a session: what media lines say, the queues, and the handlers with real sockets."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from twisted.internet import task
from zope.interface.verify import verifyObject

from msrplib.errors import MSRPBadRequest
from msrplib.events import MessageAborted, MessageDelivered, MessageFailed, MessageSent
from msrplib.message import MSRPData
from msrplib.pacing import STALL
from msrplib.reassembly import IncomingMessage
from sipsimple.notification import NotificationCenter
from sipsimple.streams import (
    DesktopSharingStream,
    ExternalVNCServerHandler,
    ExternalVNCViewerHandler,
    IDesktopSharingHandler,
    InternalVNCServerHandler,
    InternalVNCViewerHandler,
    InvalidStreamError,
    MediaStreamRegistry,
    UnknownStreamError,
)
from sipsimple.streams.msrp import DesktopSharingError
from sipsimple.streams.msrp.base import MSRPStreamInput, MSRPStreamState
from sipsimple.streams.msrp.dataqueue import DataQueue
from sipsimple.threading import reactor
from sipsimple.threading.green import call_in_green_thread
from tests.support.msrp import in_reactor
from tests.support.waiting import LIMIT, wait_until
from tests.unit.streams.test_msrp_streams import account, offer

RFB = 'application/x-rfb'


def desktop_offer(**options):
    return offer(**{'media': 'application', 'accept_types': RFB, **options})


class Observer:
    def __init__(self, sender):
        self.seen = []
        NotificationCenter().add_observer(self, sender=sender)

    def handle_notification(self, notification):
        self.seen.append(notification)

    def named(self, name):
        return [notification.data for notification in self.seen if notification.name == name]


# ---- media lines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('rfbsetup', 'handler'), [('active', InternalVNCServerHandler), ('passive', InternalVNCViewerHandler), (None, InternalVNCServerHandler),
                                                   ('ACTIVE', InternalVNCServerHandler)])
def test_an_offer_says_who_is_the_viewer(rfbsetup, handler):
    stream = DesktopSharingStream.new_from_sdp(account(), desktop_offer(rfbsetup=rfbsetup), 0)
    assert type(stream.handler) is handler and stream.index == 0 and stream.state == 'NULL'
    assert MediaStreamRegistry.get('desktop-sharing') is DesktopSharingStream


@pytest.mark.parametrize('changes', [{'media': 'message'}, {'accept_types': 'text/plain'}, {'accept_types': None}, {'transport': 'TCP/TLS/BFCP'}])
def test_lines_of_others(changes):
    with pytest.raises(UnknownStreamError):
        DesktopSharingStream.new_from_sdp(account(), desktop_offer(**changes), 0)


@pytest.mark.parametrize('changes', [{'rfbsetup': 'actpass'}, {'path': None}, {'transport': 'TCP/MSRP'}])
def test_lines_that_cannot_be_used(changes):
    with pytest.raises(InvalidStreamError):
        DesktopSharingStream.new_from_sdp(account(), desktop_offer(**changes), 0)


def test_the_handler_of_a_stream():
    first, second = InternalVNCViewerHandler(), InternalVNCViewerHandler()
    stream = DesktopSharingStream(account(), first)
    assert stream.handler is first and stream._media_attributes() == [('rfbsetup', 'active')]
    stream.handler = second
    assert stream.handler is second
    with pytest.raises(ValueError):
        stream.handler = None
    with pytest.raises(TypeError):
        stream.handler = InternalVNCServerHandler()
    for wrong in (None, SimpleNamespace(type='both', initialize=print), SimpleNamespace(type='active')):
        with pytest.raises(ValueError):
            DesktopSharingStream(account(), wrong)
    stream._machine._state = MSRPStreamState.STARTING
    with pytest.raises(RuntimeError):
        stream.handler = first
    assert stream.handler is second


def test_answers_that_do_not_fit():
    from sipsimple.streams.msrp.description import MSRPMedia
    for handler, said, reason in ((InternalVNCViewerHandler(), 'active', 'viewers'), (InternalVNCServerHandler(), 'passive', 'servers')):
        stream = DesktopSharingStream(account(), handler)
        answer = desktop_offer(rfbsetup=said)
        with pytest.raises(InvalidStreamError, match=reason):
            stream._negotiated(MSRPMedia.of(answer, 0))
        for good in (None, {'active': 'passive', 'passive': 'active'}[said]):
            answer = desktop_offer(rfbsetup=good)
            stream._negotiated(MSRPMedia.of(answer, 0))
        answer = desktop_offer(accept_types='text/plain')
        with pytest.raises(InvalidStreamError, match=RFB):
            stream._negotiated(MSRPMedia.of(answer, 0))


def test_every_handler_is_one(tmp_path):
    viewer = ExternalVNCViewerHandler()
    try:
        for handler in (InternalVNCViewerHandler(), InternalVNCServerHandler(), viewer, ExternalVNCServerHandler(('localhost', 5900))):
            assert verifyObject(IDesktopSharingHandler, handler)
            assert handler.type == ('active' if 'Viewer' in type(handler).__name__ else 'passive')
        assert (viewer.connect_timeout, ExternalVNCServerHandler().address, ExternalVNCServerHandler().connect_timeout) == (3, ('localhost', 5900), 3)
    finally:
        in_reactor(viewer.end)


# ---- queues ----------------------------------------------------------------------------------------------------------


def test_a_queue_joins_what_waits():
    def run():
        queue = DataQueue(10)
        for item in (b'ab', b'', b'cd', b'efgh'):
            queue.put(item)
        assert (queue.size, len(queue), queue.full) == (8, 3, False)
        assert queue.take(5, whole=True) == b'abcd' and queue.take(1, whole=True) == b'efgh' and queue.take(1) == b''
        for item in (b'abc', b'def', b'ghi'):
            queue.put(item)
        assert queue.take(4) == b'abcd' and (queue.size, len(queue)) == (5, 2) and queue.get() == b'ef' and queue.take(1) == b'g'
        assert queue.take(9, whole=True) == b'hi' and queue.take(0) == b'' and queue.size == 0
    in_reactor(run)


def test_a_queue_tells_when_it_is_full_and_when_there_is_room():
    def run():
        calls = []
        queue = DataQueue(10)
        queue.on_room = lambda: calls.append(('room', queue.size))
        queue.on_data = lambda: calls.append(('data', queue.size))
        for _ in range(5):
            queue.put(b'xyz')
        assert queue.full and queue.size == 15
        queue.take(3)
        queue.take(3)
        assert queue.full           # not before half of it is gone
        queue.take(6)
        assert not queue.full and calls == [('data', size) for size in (3, 6, 9, 12, 15)] + [('room', 3)]
        queue.close()
        queue.put(b'late')
        assert queue.size == 0 and len(calls) == 6
    in_reactor(run)


def test_green_threads_wait_for_room_and_for_data():
    done: Future[list[bytes]] = Future()
    order = []

    def produce(queue):
        for number in range(6):
            queue.send(b'%d' % number * 4)
            order.append(('put', queue.size))

    def consume(queue):
        from sipsimple.threading.coros import sleep, spawn
        spawn(produce, queue)
        sleep(0)
        sleep(0)
        assert order[-1] == ('put', 12) and queue.full          # it waits
        done.set_result([queue.wait() for _ in range(6)])
    reactor.start()
    call_in_green_thread(consume, DataQueue(10))
    assert done.result(LIMIT) == [b'%d' % number * 4 for number in range(6)]
    assert max(size for _, size in order) == 12


def test_a_producer_does_not_wait_for_a_queue_that_is_closed():
    done: Future[bool] = Future()

    def produce(queue):
        queue.put(b'x' * 10)
        reactor.call_later(0, queue.close)
        queue.put(b'y')
        done.set_result(queue.size == 0)
    reactor.start()
    call_in_green_thread(produce, DataQueue(10))
    assert done.result(LIMIT)


def test_a_value_that_nobody_took_is_counted():
    """A green thread is given something and killed before it runs: it goes back."""
    def run():
        from sipsimple.threading.coros import spawn_now
        queue = DataQueue(10)
        thread = spawn_now(queue.get)
        queue.put(b'abc')
        assert queue.size == 0
        thread.kill()
        thread.throw()
        assert queue.size == 3 and queue.take(5) == b'abc' and queue.size == 0
    in_reactor(run)


# ---- handlers ---------------------------------------------------------------------------------------------------------


class Stream:
    """What a handler needs of a stream."""

    def __init__(self, limit=256 * 1024):
        self.incoming_queue, self.outgoing_queue = DataQueue(limit), DataQueue(limit)

    def end(self):
        self.incoming_queue.close()
        self.outgoing_queue.close()


@pytest.fixture
def made():
    """Handlers of a test, which are ended after it."""
    handlers = []
    yield handlers
    for handler in handlers:
        in_reactor(handler.end)


def begin(made, handler, stream=None):
    made.append(handler)
    stream = stream or Stream()
    observer = Observer(handler)
    in_reactor(lambda: handler.initialize(stream))
    return stream, observer


def put(stream, data):
    in_reactor(lambda: stream.incoming_queue.put(data))


def taken(stream, size):
    """So many bytes of what went out."""
    data = bytearray()

    def take():
        data.extend(stream.outgoing_queue.take(1 << 20))
        return len(data) >= size
    assert wait_until(lambda: in_reactor(take)), f'{len(data)} of {size} bytes'
    return bytes(data)


def receive(connection, size):
    data = bytearray()
    while len(data) < size and (piece := connection.recv(1 << 16)):
        data += piece
    return bytes(data)


def test_a_viewer_connects_to_us(made):
    handler = ExternalVNCViewerHandler()
    early = socket.create_connection(handler.address, LIMIT)            # before the stream starts
    stream, observer = begin(made, handler)
    put(stream, b'RFB 003.008\n')
    assert receive(early, 12) == b'RFB 003.008\n'
    early.sendall(b'RFB 003.003\n')
    assert taken(stream, 12) == b'RFB 003.003\n'
    with pytest.raises(OSError):        # nobody else; the connection may be accepted by the kernel for a moment
        wait_until(lambda: socket.create_connection(handler.address, LIMIT).recv(1) and False)
    assert not observer.seen
    early.close()
    failed, = wait_until(lambda: observer.named('DesktopSharingHandlerDidFail'))
    assert failed.context == 'reading' and failed.reason and failed.failure.value is not None


def test_a_viewer_that_never_connects(made):
    handler = ExternalVNCViewerHandler(('127.0.0.1', 0), connect_timeout=0.05)
    _, observer = begin(made, handler)
    failed, = wait_until(lambda: observer.named('DesktopSharingHandlerDidFail'))
    assert (failed.context, failed.reason, failed.failure.type) == ('connecting', 'no VNC viewer has connected in 0.05 seconds', TimeoutError)
    in_reactor(lambda: task.deferLater(reactor.get_reactor(), 0))       # the port is closed a turn after that
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(handler.address, LIMIT)


def test_an_address_that_is_taken():
    with socket.create_server(('127.0.0.1', 0)) as server, pytest.raises(OSError):
        ExternalVNCViewerHandler(server.getsockname())


def test_a_handler_that_was_never_used(made):
    handler = ExternalVNCViewerHandler()
    in_reactor(handler.end)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(handler.address, LIMIT)
    with pytest.raises(RuntimeError):
        in_reactor(lambda: handler.initialize(Stream()))


def test_we_connect_to_a_server(made):
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(LIMIT)
        stream, observer = begin(made, ExternalVNCServerHandler(server.getsockname()))
        put(stream, b'early')
        connection, _ = server.accept()
        assert receive(connection, 5) == b'early'
        connection.sendall(b'RFB 003.008\n')
        assert taken(stream, 12) == b'RFB 003.008\n'
        in_reactor(made[0].end)
        assert connection.recv(1) == b'' and not observer.seen          # that we end it is no failure


@pytest.mark.parametrize(('address', 'kind'), [(('127.0.0.1', 0), 'ConnectionRefused'), (('nosuch.invalid', 5900), 'DNSLookup')])
def test_a_server_that_is_not_there(made, address, kind):
    with socket.socket() as taken_port:
        taken_port.bind(('127.0.0.1', 0))
        _, observer = begin(made, ExternalVNCServerHandler((address[0], address[1] or taken_port.getsockname()[1]), LIMIT))
        failed, = wait_until(lambda: observer.named('DesktopSharingHandlerDidFail'))
    assert failed.context == 'connecting' and kind in failed.failure.type.__name__ and failed.reason


def test_ended_while_it_connects(made):
    with socket.create_server(('127.0.0.1', 0), backlog=1) as server:
        _, observer = begin(made, ExternalVNCServerHandler(server.getsockname()))
        in_reactor(made[0].end)
        in_reactor(made[0].end)
    assert not observer.seen


def test_a_program_that_reads_nothing_stops_the_queue(made):
    """What it does not take waits in the queue, which is full then; and what it sends while we take nothing stays with it."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(LIMIT)
        stream, observer = begin(made, ExternalVNCServerHandler(server.getsockname()))
        connection, _ = server.accept()
        piece = bytes(range(256)) * 256
        sent = 0

        def fill():
            nonlocal sent
            while not stream.incoming_queue.full and sent < 64 << 20:
                stream.incoming_queue.put(piece)
                sent += len(piece)
            return stream.incoming_queue.full
        assert wait_until(lambda: in_reactor(fill)) and sent < 64 << 20
        assert receive(connection, sent) == piece * (sent // len(piece))
        assert wait_until(lambda: in_reactor(lambda: not stream.incoming_queue.full))
        # And the other way.
        connection.setblocking(False)
        given = 0
        quiet = 0
        while quiet < 20 and given < 64 << 20:
            try:
                given += connection.send(piece)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                threading.Event().wait(0.01)        # the reactor takes what it wants to
        assert given < 64 << 20 and in_reactor(lambda: stream.outgoing_queue.size) < 2 * 256 * 1024
        got = taken(stream, given)
        assert len(got) == given and not observer.seen


def test_an_application_as_the_program(made):
    handler = InternalVNCViewerHandler()
    with pytest.raises(DesktopSharingError, match='not started'):
        handler.send(b'x')
    stream, observer = begin(made, handler)
    put(stream, b'one')
    assert [data.data for data in observer.named('DesktopSharingStreamGotData')] == [b'one']
    handler.pause()
    put(stream, b'two')
    assert stream.incoming_queue.size == 3
    handler.resume()
    assert wait_until(lambda: [data.data for data in observer.named('DesktopSharingStreamGotData')] == [b'one', b'two'])
    assert handler.send(bytearray(b'abc')) is True and taken(stream, 3) == b'abc'
    with pytest.raises(TypeError):
        handler.send('text')
    assert handler.send(bytes(stream.outgoing_queue.limit)) is False and handler.send(b'more') is False
    with pytest.raises(DesktopSharingError, match='wait to be sent'):
        handler.send(bytes(16 << 20))
    assert observer.named('DesktopSharingHandlerGotRoom') == []
    assert len(taken(stream, stream.outgoing_queue.limit + 4)) == stream.outgoing_queue.limit + 4
    assert len(wait_until(lambda: observer.named('DesktopSharingHandlerGotRoom'))) == 1
    in_reactor(handler.end)
    with pytest.raises(DesktopSharingError, match='has ended'):
        handler.send(b'x')
    with pytest.raises(RuntimeError):
        in_reactor(lambda: handler.initialize(stream))


# ---- the stream between queue and connection ----------------------------------------------------------------------------


class Session:
    """Stands for the MSRP session: what is sent waits until it is told to be written."""

    def __init__(self, stream):
        self.connected, self.sent, self.stream, self.requests = True, [], stream, []

    def send(self, message):
        self.sent.append(message)

    def request(self, method, headers):
        from twisted.internet.defer import Deferred
        self.requests.append(Deferred())
        return self.requests[-1]

    def written(self):
        self.stream._event(MessageSent(self.sent[-1], True))


@pytest.fixture
def stream():
    made = DesktopSharingStream(account(), InternalVNCServerHandler())
    made.failed = []
    made.post = lambda name, **fields: made.failed.append((name, fields.get('context'), fields.get('reason')))
    made.paused = 0

    def pause(by):
        made.paused += by
    made.msrp = SimpleNamespace(pause_reading=lambda: pause(1), resume_reading=lambda: pause(-1), lost=None, full_remote_path=['peer'])
    made.msrp_session = Session(made)
    for what in (MSRPStreamInput.INITIALIZE, MSRPStreamInput.READY, MSRPStreamInput.START, MSRPStreamInput.BOUND):
        made._fire(what)
    return made


def incoming(stream, total=None, message_id='m1'):
    message = IncomingMessage(MSRPData('t1', 'SEND'), message_id)
    message.total = total
    return message, stream._accept_message(message)


def give(message, sink, data):
    sink(message.received.total, memoryview(data))
    message.received.add(message.received.total, message.received.total + len(data))


def test_one_message_at_a_time(stream):
    def run():
        for item in (b'one', b'two', b'three'):
            stream.outgoing_queue.put(item)
        session = stream.msrp_session
        assert [message.size for message in session.sent] == [3]
        session.written()
        assert [message.size for message in session.sent] == [3, 8]
        message = session.sent[0]
        assert (message.content_type, message.success_report, message.failure_report) == (RFB, 'no', 'partial')
        session.written()
        stream.outgoing_queue.put(b'x' * 65536)
        stream.outgoing_queue.put(b'y')
        assert [message.size for message in session.sent] == [3, 8, 65536]
        session.connected = False
        session.written()
        assert len(session.sent) == 3 and stream.outgoing_queue.size == 1
    in_reactor(run)


def test_reports_say_how_much_a_relay_may_hold(monkeypatch, stream):
    """Two seconds without any, and more is sent, as there are peers that make none."""
    clock, later = [100.0], []
    monkeypatch.setattr('sipsimple.streams.msrp.desktopsharing.monotonic', lambda: clock[0])
    monkeypatch.setattr('sipsimple.streams.msrp.desktopsharing.reactor', SimpleNamespace(
        call_later=lambda seconds, function, *arguments: later.append((seconds, function)) or SimpleNamespace(cancel=lambda: None)))
    stream.msrp.full_remote_path = ['relay', 'peer']

    def run():
        stream._started()
        session = stream.msrp_session
        stream.outgoing_queue.put(bytes(1 << 20))

        def write():
            while stream._message is not None:
                session.written()
        def sent():
            write()
            return sum(message.size for message in session.sent)
        first = sent()
        assert 0 < first < 1 << 20 and {message.success_report for message in session.sent} == {'yes'}
        assert [seconds for seconds, _ in later] == [STALL]
        clock[0] += STALL
        later.pop()[1]()
        second = sent()
        assert first < second < 1 << 20
        for message in session.sent[:]:
            message.written = message.size
            stream._event(MessageDelivered(message, None))
        third = sent()
        assert second < third < 1 << 20 and stream.outgoing_queue.size == (1 << 20) - third
        for _ in range(3):              # a peer that has made reports and takes nothing any more is waited for
            clock[0] += 600
            later.pop()[1]()
        assert sent() == third and stream.failed == [] and len(later) == 1
    in_reactor(run)


def test_what_could_not_be_sent(stream):
    def run():
        stream.outgoing_queue.put(b'one')
        stream._event(MessageFailed(stream.msrp_session.sent[0], 0, 'The connection was closed', None))
        assert stream.failed == []          # that is told by the connection
        stream._event(MessageFailed(stream.msrp_session.sent[0], 413, 'Stop', None))
        assert stream.failed == [('MediaStreamDidFail', 'sending', '413 Stop')]
    in_reactor(run)


def test_the_connection_is_read_as_long_as_there_is_room(stream):
    def run():
        message, sink = incoming(stream)
        for _ in range(5):
            give(message, sink, bytes(65536))
        assert stream.paused == 1 and stream.incoming_queue.full
        while stream.incoming_queue.size:
            stream.incoming_queue.take(65536)
        assert stream.paused == 0 and stream.failed == []
    in_reactor(run)


def test_data_that_could_not_be_put_in_order(stream):
    def run():
        message, sink = incoming(stream, 10)
        give(message, sink, b'01234')
        with pytest.raises(MSRPBadRequest, match='order'):
            sink(7, b'x')
        assert stream.failed == [('MediaStreamDidFail', 'reading', 'the peer sends data out of order')]
    in_reactor(run)


def test_messages_that_are_mixed(stream):
    def run():
        first, sink = incoming(stream, 10)
        give(first, sink, b'01234')
        second, other = incoming(stream, 3, 'm2')
        with pytest.raises(MSRPBadRequest, match='two'):
            give(second, other, b'abc')
        assert stream.failed == [('MediaStreamDidFail', 'reading', 'the peer sends the data of two messages at once')]
    in_reactor(run)


def test_messages_one_after_the_other(stream):
    def run():
        for number in range(3):
            message, sink = incoming(stream, 6, f'm{number}')
            give(message, sink, b'abc')
            give(message, sink, b'def')
        assert stream.incoming_queue.take(100) == b'abcdef' * 3 and stream.failed == []
    in_reactor(run)


def test_a_message_that_is_given_up(stream):
    def run():
        message, sink = incoming(stream, 10)
        give(message, sink, b'01234')
        stream._event(MessageAborted(message, None))
        assert stream.failed == [('MediaStreamDidFail', 'reading', 'the peer gave up a message')]
    in_reactor(run)


def test_a_handler_that_raises(stream):
    class Handler:
        type = 'passive'

        def initialize(self, stream):
            raise ZeroDivisionError('trouble')
    stream._handler = Handler()
    in_reactor(stream._started)
    assert stream.failed == [('MediaStreamDidFail', 'connecting', 'trouble')]


def test_the_failure_of_a_handler_is_that_of_the_stream(stream):
    class Handler:
        """One of an application: it has no `end`, and its failure no exception."""

        type = 'passive'

        def initialize(self, stream):
            self.stream = stream
    stream._handler = handler = Handler()
    in_reactor(stream._started)
    from sipsimple.notification import NotificationData
    NotificationCenter().post_notification('DesktopSharingHandlerDidFail', sender=handler, data=NotificationData(context='sending', failure=None, reason='out of paper'))
    request = wait_until(lambda: stream.msrp_session.requests)[0]
    assert not stream.failed            # the peer has not answered yet
    in_reactor(lambda: request.callback(None))
    assert stream.failed == [('MediaStreamDidFail', 'sending', 'out of paper')]
    in_reactor(stream._ending)
    assert stream.incoming_queue.closed and stream.outgoing_queue.closed


@pytest.mark.parametrize('answered', [True, False])
def test_the_last_words_of_a_program(monkeypatch, stream, answered):
    """They are sent, and heard, before its end is told; but a peer that takes nothing is not waited for long."""
    later = []
    monkeypatch.setattr('sipsimple.streams.msrp.desktopsharing.reactor', SimpleNamespace(
        call_later=lambda seconds, function, *arguments: later.append((function, arguments)) or SimpleNamespace(cancel=lambda: None)))

    def run():
        session = stream.msrp_session
        stream.outgoing_queue.put(b'one')
        stream.outgoing_queue.put(b'two')
        stream._handler_failed('reading', 'closed', 'closed')
        assert session.requests == [] and len(later) == 1
        session.written()
        assert session.requests == [] and [message.size for message in session.sent] == [3, 3]
        session.written()
        assert len(session.requests) == 1 and stream.failed == []
        if answered:
            session.requests[0].callback(None)
        else:
            later[0][0](*later[0][1])
        assert stream.failed == [('MediaStreamDidFail', 'reading', 'closed')]
        stream._handler_failed('reading', 'again', 'again')
        assert len(stream.failed) == 1
    in_reactor(run)
