"""Streams for files without a session: what their media lines say, what is refused, their states, and what comes out of step."""

from __future__ import annotations

import datetime
import errno
import itertools
import os
from types import SimpleNamespace

import pytest
from zope.interface.verify import verifyObject

from msrplib.errors import MSRPTransactionError
from msrplib.framing import new_message_id
from sipsimple.core import FrozenSDPSession, SDPConnection, SDPSession
from sipsimple.notification import NotificationCenter
from sipsimple.streams import ChatStream, FileSelector, FileTransferStream, IMediaStream, InvalidStreamError, MediaStreamRegistry, UnknownStreamError
from sipsimple.streams.msrp.description import make_media
from sipsimple.streams.msrp.filehandler import TRANSITIONS, HandlerInput, HandlerState
from sipsimple.streams.msrp.filereceiver import HIGH, FileReceiver
from sipsimple.streams.msrp.filesender import FileSender
from tests.unit.streams.test_msrp_streams import PATH, account, offer

SELECTOR = 'name:"a b.txt" type:text/plain size:10'


def answered(stream, **attributes):
    """Have a stream read an answer."""
    from sipsimple.streams.msrp.description import MSRPMedia
    stream._negotiated(MSRPMedia.of(offer(**attributes), 0))


def test_the_interface():
    stream = FileTransferStream(account(), FileSelector('x'))
    assert verifyObject(IMediaStream, stream)
    assert (stream.type, stream.priority, stream.direction) == ('file-transfer', 10, 'sendonly') and isinstance(stream.handler, FileSender)
    types = [cls.type for cls in MediaStreamRegistry]
    assert types.index('file-transfer') < types.index('chat')
    with pytest.raises(ValueError):
        FileTransferStream(account(), FileSelector('x'), 'sendrecv')
    for option in ({'transfer_id': 'a b'}, {'transfer_id': ''}, {'disposition': 'x\r\ny'}):
        with pytest.raises(ValueError):
            FileTransferStream(account(), FileSelector('x'), **option)


def test_an_offered_file():
    dates = 'creation:"Mon, 15 May 2006 15:01:31 +0300"'
    stream = FileTransferStream.new_from_sdp(account(), offer(sendonly='', file_selector=SELECTOR, file_transfer_id='vBnG916bdberum2fF', file_disposition='render',
                                                              file_date=dates, accept_types='*'), 0)
    assert isinstance(stream.handler, FileReceiver) and stream.direction == 'recvonly' and stream.index == 0
    assert (stream.file_selector.name, stream.file_selector.size) == ('a b.txt', 10) and stream.transfer_id == 'vBnG916bdberum2fF' and stream.disposition == 'render'
    assert stream.dates['creation'].utcoffset() == datetime.timedelta(hours=3)
    attributes = dict(stream._media_attributes())
    assert attributes == {'file-selector': SELECTOR, 'file-transfer-id': 'vBnG916bdberum2fF', 'file-disposition': 'render',
                          'file-date': 'creation:"Mon, 15 May 2006 12:01:31 +0000"'}
    stream.handler.offset = 4
    assert dict(stream._media_attributes())['file-range'] == '5-*'
    # Without an id there is none in the answer, and dates that make no sense harm nobody.
    stream = FileTransferStream.new_from_sdp(account(), offer(sendonly='', file_selector='', file_date='yesterday'), 0)
    assert stream.transfer_id is None and stream.dates == {} and stream._media_attributes() == [('file-selector', '')]


def test_a_file_that_is_asked_for():
    stream = FileTransferStream.new_from_sdp(account(), offer(recvonly='', file_selector=SELECTOR, file_range='5-8'), 0)
    assert isinstance(stream.handler, FileSender) and stream.direction == 'sendonly'
    assert (stream.handler.offset, stream.handler.stop) == (4, 8) and stream.handler.wanted == stream.file_selector
    assert dict(stream._media_attributes())['file-range'] == '5-8'


@pytest.mark.parametrize('attributes', [
    {}, {'sendonly': '', 'recvonly': ''}, {'inactive': ''}, {'sendonly': '', 'file_selector': 'size:x'}, {'sendonly': '', 'file_range': '0-*'},
    {'sendonly': '', 'file_range': '5-*'}, {'sendonly': '', 'file_transfer_id': 'a b'}, {'sendonly': '', 'file_disposition': '"'}, {'recvonly': '', 'path': None},
    {'sendonly': '', 'transport': 'TCP/MSRP'}])
def test_offers_that_cannot_be_used(attributes):
    attributes = {'file_selector': SELECTOR, **attributes}
    if attributes.get('recvonly') == attributes.get('sendonly') == '':
        attributes.pop('recvonly')
        attributes['sendonly'], attributes['formats'] = '', ('0',)
    with pytest.raises(InvalidStreamError):
        FileTransferStream.new_from_sdp(account(), offer(**attributes), 0)


def test_lines_for_others():
    for line in (offer(), offer(media='audio', file_selector=SELECTOR)):
        with pytest.raises(UnknownStreamError):
            FileTransferStream.new_from_sdp(account(), line, 0)
    with pytest.raises(UnknownStreamError):
        ChatStream.new_from_sdp(account(), offer(file_selector=SELECTOR, sendonly=''), 0)


def test_answers_to_an_offered_file():
    for attributes, offset, stop in (({}, 0, None), ({'file_range': '1-*'}, 0, None), ({'file_range': '5-*'}, 4, None), ({'file_range': '10-10'}, 9, 10)):
        stream = FileTransferStream(account(), FileSelector('x', size=10))
        answered(stream, recvonly='', **attributes)
        assert (stream.handler.offset, stream.handler.stop) == (offset, stop)
    for attributes in ({'sendonly': ''}, {'inactive': ''}, {'recvonly': '', 'file_range': '11-*'}, {'recvonly': '', 'file_range': 'x'}):
        with pytest.raises(InvalidStreamError):
            answered(FileTransferStream(account(), FileSelector('x', size=10)), **attributes)


def test_answers_to_who_asks():
    stream = FileTransferStream(account(), FileSelector('x'), 'recvonly')
    answered(stream, sendonly='', file_selector=SELECTOR)
    assert (stream.file_selector.name, stream.file_selector.size, stream.file_selector.type) == ('x', 10, 'text/plain')
    for attributes in ({'recvonly': '', 'file_selector': SELECTOR}, {'sendonly': '', 'file_selector': 'size:11'}, {'sendonly': '', 'file_selector': '"'},
                       {'sendonly': '', 'file_range': '3-*'}, {'sendonly': '', 'file_range': '1-5'}):
        with pytest.raises(InvalidStreamError):
            answered(FileTransferStream(account(), FileSelector('x', size=10), 'recvonly'), **attributes)


def test_another_transfer_needs_another_line():
    stream = FileTransferStream(account(), FileSelector('x'), transfer_id='one')
    assert stream.validate_update(offer(), 0) and stream.validate_update(offer(file_transfer_id='one'), 0)
    assert not stream.validate_update(offer(file_transfer_id='two'), 0)


def test_the_line_survives_the_wire():
    """Quotes, percent signs and letters of all kinds."""
    from msrplib.uri import URI
    selector = FileSelector('50% "Grüße"\n☎.txt', 'text/plain;charset="utf-8"', 5)
    media = make_media('message', 'tls', [URI.parse(PATH)], setup='active', direction='sendonly', accept_types=['*'], accept_wrapped_types=['*'], fingerprint=None,
                       attributes=FileTransferStream(account(), selector, disposition='attachment')._media_attributes())
    sdp = SDPSession('192.0.2.1', id=1, version=1, connection=SDPConnection('192.0.2.1'), media=[media])
    read = FrozenSDPSession.parse(str(sdp)) if hasattr(FrozenSDPSession, 'parse') else FrozenSDPSession.new(sdp)
    stream = FileTransferStream.new_from_sdp(account(), read, 0)
    assert stream.file_selector.name == '50% "Grüße"☎.txt' and stream.file_selector.type == 'text/plain;charset="utf-8"' and stream.disposition == 'attachment'


# The handlers

class Told:
    """What handlers and streams post, and a connection that only takes notes."""

    def __init__(self, monkeypatch, folder, direction='recvonly', total=None, **selector):
        self.events = []
        self.reports = []
        self.read = 0           # pause_reading() and resume_reading()
        self.work = []
        monkeypatch.setattr('sipsimple.streams.msrp.filehandler.schedule_in_thread', lambda name, function, *arguments: self.work.append((function, arguments)))
        for module in ('filehandler', 'filesender', 'filereceiver'):
            monkeypatch.setattr(f'sipsimple.streams.msrp.{module}.call_in_twisted_thread', lambda function, *arguments: function(*arguments))
        self.later = []
        monkeypatch.setattr('sipsimple.streams.msrp.filereceiver.reactor', SimpleNamespace(call_later=lambda seconds, function, *arguments: self.later.append((function, arguments))))
        self.stream = FileTransferStream(account(), FileSelector(**selector), direction)
        self.stream.session = object()
        self.handler = self.stream.handler
        if direction == 'recvonly':
            self.handler.save_directory = str(folder)
        NotificationCenter().add_observer(self, sender=self.stream)
        NotificationCenter().add_observer(self, sender=self.handler)
        self.session = SimpleNamespace(msrp=SimpleNamespace(
            lost=None, full_remote_path=['one'], flush=lambda: None, pause_reading=lambda: self.count(1), resume_reading=lambda: self.count(-1),
            endpoint=SimpleNamespace(report=lambda message, code, comment, byte_range: self.reports.append((code, str(byte_range))))))
        self.total = total

    def count(self, number):
        self.read += number

    def handle_notification(self, notification):
        self.events.append((notification.name, notification.data))

    def names(self):
        return [name.removeprefix('FileTransfer') for name, _ in self.events]

    def do_work(self):
        while self.work:
            function, arguments = self.work.pop(0)
            function(*arguments)

    def started(self):
        errors = []
        self.handler.initialize(errors.append)
        self.do_work()
        assert errors == [None], errors
        self.handler.start(self.session)
        return self

    def message(self, total=None, content_type='text/plain'):
        from msrplib.message import MSRPData
        from msrplib.reassembly import IncomingMessage
        message = IncomingMessage(MSRPData(new_message_id(), 'SEND'), new_message_id())
        message.total, message.content_type = total, content_type
        return message


@pytest.fixture
def told(monkeypatch, tmp_path):
    return lambda **options: Told(monkeypatch, tmp_path, **options)


@pytest.mark.parametrize(('state', 'what'), list(itertools.product(HandlerState, HandlerInput)))
def test_every_pair_of_state_and_input(state, what):
    handler = FileTransferStream(account(), FileSelector('x')).handler
    handler._machine._state = state
    if (state, what) in TRANSITIONS:
        assert handler._machine.fire(what) == TRANSITIONS[state, what] == handler.state
    else:
        from sipsimple.statemachine import InvalidTransition
        with pytest.raises(InvalidTransition):
            handler._machine.fire(what)
        assert handler.state == state


@pytest.mark.parametrize(('state', 'expected'), [
    ('NULL', ['HandlerDidNotInitialize']), ('INITIALIZING', ['HandlerDidNotInitialize']), ('INITIALIZED', ['HandlerError', 'HandlerDidEnd']),
    ('STARTED', ['HandlerError', 'HandlerDidEnd']), ('ENDED', [])])
def test_what_is_told_of_a_failure(told, state, expected):
    side = told(size=5)
    side.handler._machine._state = HandlerState(state)
    assert side.handler.fail('why') is (state != 'ENDED')
    assert not side.handler.fail('again')
    side.do_work()
    assert side.names() == expected and side.handler.state == 'ENDED'
    assert all(getattr(data, 'reason', getattr(data, 'error', None)) == 'why' for _, data in side.events)


def test_pieces_in_any_order(told, tmp_path):
    side = told(size=10, name='x').started()
    message = side.message(10)
    take = side.handler.accept(message)
    assert message.report == 'manual'
    take(5, memoryview(b'world'))
    side.do_work()
    take(0, b'hello')
    side.handler.complete()
    assert side.handler.busy
    side.do_work()
    assert (tmp_path / 'x').read_bytes() == b'helloworld' and side.handler.finished and not side.handler.busy
    assert side.reports == [(200, '1-10/10')]
    assert side.names() == ['HandlerDidInitialize', 'HandlerDidStart', 'StreamGotChunk', 'HandlerProgress', 'StreamGotChunk', 'HandlerProgress', 'StreamDidFinish',
                            'HandlerDidEnd']


def test_what_comes_before_the_start_waits(told, tmp_path):
    side = told(size=3, name='x')
    side.handler.initialize(lambda error: None)
    side.do_work()
    take = side.handler.accept(side.message(3))
    take(0, b'abc')
    side.handler.complete()
    side.do_work()
    assert side.handler.state == 'INITIALIZED' and not (tmp_path / 'x').exists()
    side.handler.start(side.session)
    side.do_work()
    assert (tmp_path / 'x').read_bytes() == b'abc'


def test_the_disk_that_is_slower(told):
    side = told(size=1 << 30).started()
    side.do_work()
    take = side.handler.accept(side.message())
    piece = bytes(1 << 20)
    for number in range(20):
        take(number << 20, piece)
        assert side.read == (((number + 1) << 20) > HIGH)
    side.do_work()
    assert side.read == 0
    side.handler.fail('enough')
    side.do_work()


def test_progress_is_reported_without_the_last_byte(told):
    size = 3 << 20
    side = told(size=size).started()
    side.do_work()
    take = side.handler.accept(side.message(size))
    for number in range(3):
        take(number << 20, bytes(1 << 20))
        side.do_work()
    assert side.reports[:2] == [(200, f'1-{1 << 20}/{size}'), (200, f'{(1 << 20) + 1}-{2 << 20}/{size}')]
    assert all(not text.startswith(f'1-{size}') and f'-{size}/' not in text for _, text in side.reports)
    side.handler.complete()
    side.do_work()
    assert side.reports[-1] == (200, f'1-{size}/{size}')


def test_through_a_relay_each_piece_is_reported(told):
    side = told(size=100).started()
    side.session.msrp.full_remote_path = ['relay', 'peer']
    side.do_work()
    take = side.handler.accept(side.message(100))
    for number in range(3):
        take(10 * number, b'0123456789')
        side.do_work()
    assert side.reports == [(200, '1-10/100'), (200, '11-20/100'), (200, '21-30/100')]


def test_what_comes_after_something_that_is_missing_is_not_gone_on_with(told, tmp_path):
    """A relay has lost something: the next attempt begins there, and not behind it."""
    hash = 'sha-1:2A:AE:6C:35:C9:4F:CF:B4:15:DB:E9:5F:40:8B:9C:E9:1E:E8:46:ED'
    for present, pieces in ((0, [(5, b' world')]), (3, [(0, b'hel'), (6, b'world')])):
        side = told(size=11, name='x', hash=hash).started()
        side.do_work()
        take = side.handler.accept(side.message(11))
        for offset, piece in pieces:
            take(offset, piece)
        side.do_work()
        side.handler.fail('broken')
        side.do_work()
        assert [len((tmp_path / name).read_bytes()) for name in os.listdir(tmp_path)] == ([present] if present else [])


@pytest.mark.parametrize(('path', 'filled', 'reports'), [
    (['relay', 'peer'], False, [(408, '1-30/30')]), (['relay', 'peer'], True, []), (['peer'], False, [])])
def test_what_a_relay_has_lost_is_noticed(told, path, filled, reports):
    """It is lost when something after it has come and it has not for a while: the sender is told at once."""
    side = told(size=30, name='x').started()
    side.session.msrp.full_remote_path = path
    side.do_work()
    message = side.message(30)
    take = side.handler.accept(message)

    def come(offset):
        take(offset, b'0123456789')
        message.received.add(offset, offset + 10)
    come(20)
    come(10)
    assert len(side.later) == (len(path) > 1)
    if filled:
        come(0)
    side.do_work()
    side.reports.clear()
    for function, arguments in side.later[:]:
        function(*arguments)
    side.do_work()
    assert side.reports == reports and side.handler.error == ('some of the file was lost on the way' if reports else None)
    side.handler.fail('enough')
    side.do_work()


def test_where_a_message_begins(told, tmp_path):
    """A sender that does not know ranges begins with the first byte again."""
    hash = 'sha-1:2A:AE:6C:35:C9:4F:CF:B4:15:DB:E9:5F:40:8B:9C:E9:1E:E8:46:ED'       # of 'hello world'
    for total, parts in ((6, [(0, b' world')]), (11, [(0, b'hello world')])):
        before = told(size=11, name='x', hash=hash).started()
        before.handler.accept(before.message(11))(0, b'hello')
        before.do_work()
        before.handler.fail('broken')
        before.do_work()
        side = told(size=11, name='x', hash=hash).started()
        assert side.handler.offset == 5 and dict(side.stream._media_attributes())['file-range'] == '6-*'
        take = side.handler.accept(side.message(total))
        for offset, piece in parts:
            take(offset, piece)
        side.handler.complete()
        side.do_work()
        assert side.handler.finished and side.handler.offset == 11 - total
        with open(side.handler.filename, 'rb') as file:
            assert file.read() == b'hello world'
    assert sorted(os.listdir(tmp_path)) == ['x', 'x-1']


@pytest.mark.parametrize('total', [5, 7])
def test_a_message_of_another_size(told, total):
    side = told(size=6).started()
    with pytest.raises(MSRPTransactionError) as caught:
        side.handler.accept(side.message(total))
    assert caught.value.code == 400 and side.names()[-2:] == ['HandlerError', 'MediaStreamDidFail']
    side.do_work()
    assert side.names()[-1] == 'HandlerDidEnd'


def test_more_than_the_size(told, tmp_path):
    side = told(size=6).started()
    side.do_work()
    take = side.handler.accept(side.message())
    take(0, b'12345')
    with pytest.raises(MSRPTransactionError) as caught:
        take(5, b'67')
    assert caught.value.code == 413 and side.handler.state == 'ENDED'
    side.do_work()
    assert os.listdir(tmp_path) == []


def test_less_than_the_size(told, tmp_path):
    side = told(size=6).started()
    side.do_work()
    take = side.handler.accept(side.message())
    take(0, b'12345')
    side.handler.complete()
    side.do_work()
    assert side.reports[-1][0] == 400 and os.listdir(tmp_path) == []


def test_one_message_only(told):
    side = told(size=6).started()
    side.handler.accept(side.message(6))
    for stream, code in ((side, 413), (told(direction='sendonly', name='x'), 413)):
        with pytest.raises(MSRPTransactionError) as caught:
            stream.stream._accept_message(side.message(6))
        assert caught.value.code == code


def test_envelopes_are_refused(told):
    side = told(size=6).started()
    with pytest.raises(MSRPTransactionError) as caught:
        side.stream._accept_message(side.message(6, 'Message/CPIM'))
    assert caught.value.code == 415 and side.handler.error


def test_a_disk_that_fails(told, monkeypatch):
    side = told(size=6).started()
    side.do_work()
    take = side.handler.accept(side.message(6))

    def full(offset, data, grown):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(side.handler._partial, 'write', full)
    take(0, b'abc')
    side.do_work()
    assert side.later == [(side.stream.transfer_failed, (os.strerror(errno.ENOSPC),))]         # should the sender not end it
    assert side.reports == [(413, '1-6/6')] and side.handler.error == os.strerror(errno.ENOSPC)
    with pytest.raises(MSRPTransactionError) as caught:
        take(3, b'def')
    assert caught.value.code == 413


def test_a_name_that_cannot_be_given(told, monkeypatch, tmp_path):
    side = told(size=3, name='x').started()
    side.do_work()
    take = side.handler.accept(side.message(3))
    take(0, b'abc')
    side.handler.complete()
    monkeypatch.setattr('sipsimple.streams.msrp.filestore.os.fsync', lambda fd: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
    side.do_work()
    assert side.handler.error == os.strerror(errno.EIO) and side.reports[-1][0] == 400 and os.listdir(tmp_path) == []


def test_a_sender_without_a_file(told):
    for selector, reason in (({'name': 'x'}, 'there is no file to send'),):
        side = told(direction='sendonly', **selector)
        errors = []
        side.handler.initialize(errors.append)
        side.do_work()
        assert str(errors[0]) == side.handler.error == reason and side.names() == ['HandlerDidNotInitialize']


def test_a_range_beyond_the_end(told, tmp_path):
    (tmp_path / 'x').write_bytes(b'12345')
    for offset, good in ((4, True), (5, False)):
        side = told(direction='sendonly')
        side.stream.file_selector = FileSelector.for_file(tmp_path / 'x')
        side.handler.wanted, side.handler.offset = FileSelector(), offset
        side.handler.initialize(lambda error: None)
        side.do_work()
        assert (side.handler.state == 'INITIALIZED') is good
        side.handler.fail('enough')
        side.do_work()
        assert side.stream.file_selector.fd.closed


def test_ended_while_it_hashes(told, tmp_path):
    (tmp_path / 'x').write_bytes(bytes(5_000_000))
    side = told(direction='sendonly')
    side.stream.file_selector = FileSelector.for_file(tmp_path / 'x')
    side.handler.initialize(lambda error: pytest.fail('it goes on'))
    side.handler.fail('Cancelled')
    side.do_work()
    assert side.names() == ['HandlerDidNotInitialize'] and side.stream.file_selector.fd.closed


def test_who_asks_must_know_something():
    stream = FileTransferStream(account(), None, 'recvonly')
    failed = []
    stream.post = lambda name, **fields: failed.append((name, fields['reason']))
    stream._get_ready()
    assert failed == [('MediaStreamDidFail', 'nothing is known of the file that is wanted')]
