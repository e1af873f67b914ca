"""Sessions: two endpoints wired in memory, and one with a scripted peer."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings, strategies as st

from msrplib.chunking import OutgoingMessage, Sender
from msrplib.endpoint import TRANSITIONS, Endpoint, Input, State, type_matches
from msrplib.errors import MSRPSessionError, MSRPTransactionError
from msrplib.events import (
    ChunkReceived,
    EmptySend,
    MessageAborted,
    MessageDelivered,
    MessageFailed,
    MessageReceived,
    MessageSent,
    Noise,
    PeerFailed,
    ReportReceived,
    RequestAnswered,
    RequestReceived,
)
from msrplib.headers import ByteRange, MSRPHeader
from msrplib.parser import Data, End, Parser, Whole
from msrplib.reassembly import Reassembler, ReassemblyLimits
from msrplib.uri import URI
from tests.unit.msrplib.test_parser import chunks, parse

A = URI('a.example.com', False, session_id='aaaa')
B = URI('b.example.com', False, session_id='bbbb')
OTHER = URI('c.example.com', False, session_id='cccc')


def endpoint(**options) -> Endpoint:
    made = Endpoint(A, **options)
    made.set_remote_path([B])
    return made


class Pair:
    """Two ends, `left` (A) and `right` (B), and what they told."""

    def __init__(self, **options) -> None:
        self.left, self.right = Endpoint(A, **options), Endpoint(B, **options)
        self.left.set_remote_path([B])
        self.right.set_remote_path([A])
        self.told: dict[Endpoint, list] = {self.left: [], self.right: []}

    def run(self, size: int = 4096, now: float = 0) -> None:
        """Carry bytes until both are quiet."""
        busy = True
        while busy:
            busy = False
            for one, other in ((self.left, self.right), (self.right, self.left)):
                data = b''.join(one.take(size, now))
                self.told[one] += one.events()
                if data:
                    busy = True
                    self.told[other] += other.receive(data, now)

    def events(self, side: Endpoint, kind: type) -> list:
        return [event for event in self.told[side] if isinstance(event, kind)]


def send(message_id: str = '12345678', byte_range: str = '1-*/*', body: bytes | None = b'hello', flag: str = '$', to: object = A, of: object = B,
         content_type: str = 'text/plain', lines: tuple[str, ...] = (), identity: str = 'abcd1234') -> bytes:
    """A chunk from the peer."""
    head = [f'MSRP {identity} SEND', f'To-Path: {to}', f'From-Path: {of}', f'Message-ID: {message_id}', f'Byte-Range: {byte_range}', *lines]
    if body is not None:
        head += [f'Content-Type: {content_type}', '']
    return '\r\n'.join(head).encode() + b'\r\n' + (b'' if body is None else body + b'\r\n') + f'-------{identity}{flag}\r\n'.encode()


def answers(made: Endpoint) -> list[tuple[str | None, int | None]]:
    """What it wants to write: methods and codes."""
    return [(item.method, item.code or (item.status.code if item.status else None)) for item in parse(b''.join(made.take(1 << 20, 0)))]

# State


@pytest.mark.parametrize(('state', 'what'), list(itertools.product(State, Input)))
def test_every_pair_of_state_and_input(state, what):
    made = endpoint()
    made.state = state
    if (state, what) in TRANSITIONS:
        assert made.fire(what) is TRANSITIONS[state, what] is made.state
    else:
        with pytest.raises(MSRPSessionError):
            made.fire(what)
        assert made.state is state


def test_nothing_is_sent_when_the_session_ends():
    made = endpoint()
    made.fire(Input.SHUTDOWN)
    with pytest.raises(MSRPSessionError):
        made.send(OutgoingMessage('text/plain', b'x'))

# Messages between two ends


def test_a_message_is_delivered():
    pair = Pair()
    message = OutgoingMessage('text/plain', 'Grüße'.encode(), success_report='yes', headers=[MSRPHeader('X-More', 'y')])
    pair.left.send(message)
    pair.run()
    received = pair.events(pair.right, MessageReceived)[0].message
    assert received.data.decode() == 'Grüße' and received.content_type == 'text/plain' and received.message_id == message.message_id
    assert received.chunk.header_text('X-More') == 'y' and received.chunk.byte_range == (1, 7, 7)
    assert [event.answered for event in pair.events(pair.left, MessageSent)] == [False, True]
    assert pair.events(pair.left, ReportReceived)[0].byte_range == (1, 7, 7) and pair.events(pair.left, MessageDelivered)[0].message is message
    assert message.delivered and message.finished and pair.left.quiet and pair.right.quiet and pair.left.deadline is None and not pair.left._messages


@pytest.mark.parametrize(('failure', 'success', 'count'), [('yes', 'no', 2), ('no', 'no', 1), ('partial', 'no', 1), ('no', 'yes', 1), ('partial', 'yes', 1)])
def test_how_a_message_ends_without_trouble(failure, success, count):
    pair = Pair()
    message = OutgoingMessage('a/b', b'x' * 9000, failure_report=failure, success_report=success)
    pair.left.send(message)
    pair.run()
    assert [event.answered for event in pair.events(pair.left, MessageSent)] == [False, True][-count:] and not pair.events(pair.left, MessageFailed)
    assert bool(pair.events(pair.left, MessageDelivered)) is (success == 'yes')
    pair.told[pair.left] += pair.left.tick(31)
    assert not pair.events(pair.left, MessageFailed) and not pair.left._messages and pair.left.quiet


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=9000), min_size=1, max_size=6), st.integers(1, 3000), st.integers(1, 5000), st.integers(1, 6000))
def test_any_messages_with_any_sizes(bodies, piece_size, chunk_size, size):
    pair = Pair(chunk_size=chunk_size)
    pair.left.sender.piece_size = pair.right.sender.piece_size = piece_size
    messages = [OutgoingMessage('a/b', body, success_report='yes') for body in bodies]
    for message in messages:
        pair.left.send(message)
        pair.right.send(OutgoingMessage('a/b', message.source.read(1 << 20)))
        message.source._position = 0
    pair.run(size)
    for side in (pair.left, pair.right):
        received = [event.message.data for event in pair.events(side, MessageReceived)]
        assert sorted(received) == sorted(bodies)
    assert all(message.delivered for message in messages) and pair.left.quiet and not pair.left._messages and pair.right.reassembler.held == 0


def test_long_messages_share_the_connection():
    """A short message waits for a piece of the long ones, not for their ends; answers go first."""
    made = endpoint()
    for letter in (b'l', b'm'):
        made.send(OutgoingMessage('a/b', letter * 1_000_000))
    first = b''.join(made.take(200_000, 0))
    made.send(OutgoingMessage('text/plain', b'short'))
    made.receive(send(), 0)
    rest = b''.join(made.take(3_000_000, 0))
    parsed = parse(first + rest)
    order = [item.data[:1] or item.code for item in parsed]
    assert order[:4] == [b'l', b'm', b'l', b'm'] and order.index(200) - len(parse(first)) <= 1 and order.index(b's') - len(parse(first)) <= 3
    assert all(item.size <= 65536 for item in parsed)
    for letter in (b'l', b'm'):
        mine = [item for item in parsed if item.data[:1] == letter]
        assert b''.join(item.data for item in mine) == letter * 1_000_000 and [item.contflag for item in mine] == ['+'] * (len(mine) - 1) + ['$']
        starts = [item.byte_range.start for item in mine]
        assert starts == [1 + sum(item.size for item in mine[:number]) for number in range(len(mine))] and {item.byte_range.total for item in mine} == {1_000_000}


def test_a_long_message_alone_is_not_interrupted():
    made = endpoint()
    made.send(OutgoingMessage('a/b', b'x' * 3_000_000))
    assert [item.size for item in parse(b''.join(made.take(4_000_000, 0)))] == [1 << 20, 1 << 20, 3_000_000 - (2 << 20)]


def test_the_end_line_does_not_get_into_a_body(monkeypatch):
    """Even if somebody knew our transaction ids."""
    ids = [f'known{number:03}' for number in range(100)]
    monkeypatch.setattr('msrplib.chunking.new_transaction_id', lambda: ids.pop(0))
    body = b'a' * 95 + b'-------known001$' + b'b' * 80 + b'-------known000$' + b'-------known002$' * 9 + b'\r\n-------known003$\r\n'
    made = endpoint()
    made.sender.piece_size = 100
    made.send(OutgoingMessage('a/b', body))
    parsed = parse(b''.join(made.take(10000, 0)))
    assert b''.join(item.data for item in parsed) == body and parsed[-1].contflag == '$' and len(parsed) > 1


class Trickle:
    """A source that has something only now and then."""

    def __init__(self, *pieces: bytes | None) -> None:
        self.pieces = list(pieces)

    def read(self, size: int) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else b''


def test_a_source_may_have_nothing_now():
    pair = Pair()
    message = OutgoingMessage('a/b', Trickle(b'one', None, b'two', b'', b'never'), success_report='yes')
    pair.left.send(message)
    pair.left.send(OutgoingMessage('a/b', b'other'))
    pair.run()
    assert [event.message.data for event in pair.events(pair.right, MessageReceived)] == [b'other'] and not pair.left.quiet and not pair.left.wants_to_write
    pair.left.sender.wake(message)
    pair.run()
    received = pair.events(pair.right, MessageReceived)[1].message
    assert received.data == b'onetwo' and received.total == 6 and received.chunk.byte_range == (1, None, None) and message.delivered


@pytest.mark.parametrize('pieces', [(b'abc',), (b'abc', b'x' * 100), ()])
def test_a_source_that_breaks_its_word(pieces):
    """It said 8 bytes: the peer is told that the message is void, and we that it failed."""
    pair = Pair()
    message = OutgoingMessage('a/b', Trickle(*pieces), size=8)
    pair.left.send(message)
    pair.run()
    assert not pair.events(pair.right, MessageReceived) and pair.events(pair.right, MessageAborted)[0].code is None
    assert [event.message for event in pair.events(pair.left, MessageFailed)] == [message] and pair.left.quiet and not pair.right.reassembler.messages


def test_a_header_cannot_add_another():
    for options in ({'content_type': 'a/b\r\nX: y'}, {'headers': [MSRPHeader('X', 'y\nZ: z')]}, {'message_id': 'a\r\nb'}, {'success_report': 'yes\r\n'}):
        with pytest.raises(ValueError):
            OutgoingMessage(**{'content_type': 'a/b', 'data': b'x', **options})
    with pytest.raises(ValueError):
        endpoint().request('NICKNAME', [MSRPHeader('X', 'y\rz')])


def test_a_message_can_be_cancelled():
    pair = Pair()
    early, late, never = (OutgoingMessage('a/b', letter * 300_000) for letter in (b'e', b'l', b'n'))
    pair.left.send(early)
    pair.left.send(late)
    pair.told[pair.right] += pair.right.receive(b''.join(pair.left.take(100_000, 0)), 0)
    pair.left.send(never)
    for message in (early, never):
        pair.left.cancel(message)
    pair.run()
    assert [event.message.data for event in pair.events(pair.right, MessageReceived)] == [b'l' * 300_000]
    assert [event.message.message_id for event in pair.events(pair.right, MessageAborted)] == [early.message_id]
    assert {event.message: event.code for event in pair.events(pair.left, MessageFailed)} == {early: 0, never: 0} and pair.left.quiet
    pair.left.cancel(late)
    assert pair.left.events() == [] and late.failed is None


def test_not_too_many_wait_for_an_answer():
    made = endpoint(max_pending=3)
    for _ in range(5):
        made.send(OutgoingMessage('a/b', b'x'))
    written = parse(b''.join(made.take(1 << 20, 0)))
    assert len(written) == 3 and not made.wants_to_write and not made.quiet
    for item in written:
        made.receive(f'MSRP {item.transaction_id} 200 OK\r\nTo-Path: {A}\r\nFrom-Path: {B}\r\n-------{item.transaction_id}$\r\n'.encode(), 0)
    assert len(parse(b''.join(made.take(1 << 20, 0)))) == 2

# Answers, reports, time


def response(identity: str, code: int) -> bytes:
    return f'MSRP {identity} {code} Text\r\nTo-Path: {A}\r\nFrom-Path: {B}\r\n-------{identity}$\r\n'.encode()


def report(message_id: str, code: int, byte_range: str = '1-5/5', of: object = B) -> bytes:
    return (f'MSRP repo1234 REPORT\r\nTo-Path: {A}\r\nFrom-Path: {of}\r\nMessage-ID: {message_id}\r\nByte-Range: {byte_range}\r\nStatus: 000 {code} Text\r\n'
            '-------repo1234$\r\n').encode()


@pytest.mark.parametrize('failure', ['yes', 'partial', 'no'])
def test_without_an_answer(failure):
    made = endpoint()
    message = OutgoingMessage('a/b', b'hello', failure_report=failure)
    made.send(message)
    written = parse(b''.join(made.take(1000, now=100)))
    made.events()
    assert made.deadline == (None if failure == 'no' else 130)
    assert made.tick(129.9) == []
    failed = made.tick(130)
    assert [(type(event), event.message, event.code) for event in failed] == ([(MessageFailed, message, 408)] if failure == 'yes' else [])
    assert made.receive(response(written[0].transaction_id, 415), 131) == [] and made.quiet


def test_those_who_answer_only_failures_are_not_waited_for():
    """However many are sent, the next one goes out, and little is remembered of them."""
    made = endpoint(max_pending=2)
    messages = [OutgoingMessage('a/b', b'x', failure_report='partial', message_id=f'message{number}') for number in range(6000)]
    for message in messages:
        made.send(message)
    written = parse(b''.join(made.take(1 << 24, now=0)))
    assert len(written) == 6000 and len(made._lenient) == 4096 == len(made._messages) and made.quiet and made.settled
    told = made.receive(response(written[0].transaction_id, 413) + response(written[-1].transaction_id, 413), 1)
    assert [(event.message, event.code) for event in told if isinstance(event, MessageFailed)] == [(messages[-1], 413)]
    assert [event for event in made.closed() if isinstance(event, MessageFailed)] == []
    made = endpoint()
    with pytest.raises(ValueError):
        made.send(messages[0])
    made.send(OutgoingMessage('a/b', b'x', failure_report='partial'))
    made.take(1000, now=0)
    made.events()
    assert made.deadline == 30 and made.tick(30) == [] and not made._messages and made.deadline is None


def test_settled_is_when_the_reports_are_there():
    made = endpoint()
    message = OutgoingMessage('a/b', b'hello', failure_report='no', success_report='yes')
    made.send(message)
    made.take(1000, 0)
    assert made.quiet and not made.settled
    made.receive(report(message.message_id, 200), 0)
    assert made.settled


def test_the_time_runs_from_the_end_of_a_chunk():
    made = endpoint()
    made.send(OutgoingMessage('a/b', b'x' * 1_000_000))
    made.take(100_000, now=0)
    assert made.deadline is None and made.tick(1000) == []
    made.take(2_000_000, now=1000)
    assert made.deadline == 1030


@pytest.mark.parametrize('failure', ['yes', 'partial'])
def test_an_error_stops_a_message(failure):
    made = endpoint()
    message = OutgoingMessage('a/b', b'x' * 1_000_000, failure_report=failure)
    made.send(message)
    begun = b''.join(made.take(100_000, 0))
    identity = begun.split()[1].decode()
    event, = [item for item in made.receive(response(identity, 413), 0) if isinstance(item, MessageFailed)]
    assert (event.message, event.code, event.comment, event.chunk.code) == (message, 413, 'Text', 413)
    rest = b''.join(made.take(1 << 20, 0))
    assert len(rest) < 100 and parse(begun + rest)[0].contflag == '#' and made.quiet and made.deadline is None


def test_a_failure_report_fails_a_message():
    made = endpoint()
    message = OutgoingMessage('a/b', b'hello', success_report='yes')
    made.send(message)
    made.take(1000, 0)
    made.events()
    told = made.receive(report(message.message_id, 415) + report(message.message_id, 200), 0)
    assert [type(event) for event in told] == [ReportReceived, MessageFailed, ReportReceived] and told[1].code == 415 and told[2].message is None
    assert not message.delivered


def test_delivered_is_only_what_was_reported_whole():
    made = endpoint()
    message = OutgoingMessage('a/b', b'x' * 5000, success_report='yes')
    made.send(message)
    made.sender.piece_size = 2000
    early = b''.join(made.take(1000, 0))
    told = made.receive(report(message.message_id, 200, '1-5000/5000'), 0)
    assert early and not [event for event in told if isinstance(event, MessageDelivered)] and not message.delivered
    made.take(10000, 0)
    for span, delivered in (('2001-3000/5000', False), ('4000-*/5000', False), ('3001-3998/5000', False), ('3999-3999/5000', True)):
        told = made.receive(report(message.message_id, 200, span), 0)
        assert bool([event for event in told if isinstance(event, MessageDelivered)]) is delivered is message.delivered, span


@pytest.mark.parametrize('data', [report('12345678', 200).replace(b'Status: 000', b'Status: 001'), report('12345678', 200).replace(b'Status: 000 200 Text\r\n', b''),
                                  report('12345678', 200, 'x'), report('12345678', 200).replace(b'000 200', b'abc')])
def test_strange_reports_are_noise(data):
    made = endpoint()
    assert [type(event) for event in made.receive(data, 0)] == [Noise] and answers(made) == []


def test_reports_for_other_sessions_do_not_count():
    made = endpoint()
    message = OutgoingMessage('a/b', b'hello', success_report='yes')
    made.send(message)
    made.take(1000, 0)
    made.events()
    assert made.receive(report(message.message_id, 200, of=OTHER), 0) == [] and not message.delivered


def test_what_was_not_confirmed_fails_with_the_connection():
    made = endpoint()
    messages = [OutgoingMessage('a/b', b'x' * 200_000, success_report='yes') for _ in range(3)]
    for message in messages:
        made.send(message)
    made.request('NICKNAME', context='nick')
    made.take(300_000, 0)
    made.receive(send(flag='+'), 0)
    told = made.closed('gone')
    assert [event.message for event in told if isinstance(event, MessageFailed)] == messages and {event.comment for event in told if isinstance(event, MessageFailed)} == {'gone'}
    assert [event.context for event in told if isinstance(event, RequestAnswered)] == ['nick'] and [event.message.message_id for event in told if isinstance(event, MessageAborted)] == ['12345678']
    assert made.state is State.DONE and made.quiet and made.closed() == []



def test_too_many_without_a_report_is_told(monkeypatch):
    monkeypatch.setattr('msrplib.endpoint.MAX_UNREPORTED', 2)
    made = endpoint()
    messages = [OutgoingMessage('a/b', b'hello', success_report='yes', failure_report='partial') for _ in range(4)]
    for message in messages[:3]:
        made.send(message)
    assert made.events() == []          # they are not even written
    made.take(10_000, 0)
    assert {type(event) for event in made.events()} == {MessageSent}
    made.send(messages[3])
    event, = made.events()
    assert isinstance(event, MessageFailed) and (event.message, event.code, event.chunk) == (messages[0], 0, None) and event.comment
    told = made.receive(b''.join(report(message.message_id, 200) for message in messages[:3]), 0)
    assert [event.message for event in told if isinstance(event, MessageDelivered)] == messages[1:3]

# What the peer sends


@pytest.mark.parametrize(('data', 'code', 'kinds'), [
    (send(), 200, [MessageReceived]),
    (send(body=None, byte_range='1-0/0'), 200, [EmptySend]),
    (send(to=OTHER), 481, []),
    (send(of=OTHER), 481, []),
    (send(to=f'{A} {OTHER}'), 481, []),
    (send(to='nowhere'), 400, []),
    (send(message_id='a b'), 400, []),
    (send(byte_range='x'), 400, []),
    (send(byte_range='1-3/3'), 400, [MessageAborted]),
    (send(byte_range='1-*/9'), 400, [MessageAborted]),
    (send(content_type='image/png'), 415, []),
    (send(lines=('To-Path: x',)), 400, []),
    (send().replace(b'SEND', b'STEAL'), 501, []),
    (send().replace(b'SEND', b'NICKNAME'), None, [RequestReceived]),
    (send(byte_range='1-*/2000'), 413, []),
    (send(body=b'x' * 1500), 413, [MessageAborted]),
    (send(body=b'x' * 100_000), 413, [MessageAborted]),
    (send(byte_range='900-*/*', body=b'x' * 200), 413, [MessageAborted]),
    (send(flag='#'), 200, [MessageAborted]),
    (send(body=b'x' * 20000).replace(b'SEND', b'STEAL'), 501, []),
    (send(body=b'x' * 100_000).replace(b'SEND', b'STEAL'), 413, []),
])
@pytest.mark.parametrize('size', [1, 5000, 1 << 20])
def test_what_is_answered(data, code, kinds, size):
    if size == 1 and len(data) > 3000:
        size = 999
    made = endpoint(accept_types=['text/*', 'a/b'], methods=['NICKNAME'], reassembly=ReassemblyLimits(size=1000))
    told = [event for start in range(0, len(data), size) for event in made.receive(data[start:start + size], 0)]
    assert [type(event) for event in told] == kinds
    assert [answer for _, answer in answers(made)] == ([] if code is None else [code])
    assert not made.reassembler.messages and made.reassembler.held == 0


def test_answers_go_where_they_belong():
    made = endpoint(methods=['NICKNAME'])
    told = made.receive(send(lines=('Success-Report: yes',)), 0)
    answer, made_report = parse(b''.join(made.take(1000, 0)))
    assert answer.transaction_id == 'abcd1234' and list(answer.to_path) == [B] and list(answer.from_path) == [A]
    assert made_report.method == 'REPORT' and made_report.byte_range == (1, 5, 5) and made_report.status.code == 200 and made_report.message_id == '12345678'
    request, = made.receive(send().replace(b'SEND', b'NICKNAME'), 0)
    made.respond(request.chunk, 425)
    assert parse(b''.join(made.take(1000, 0)))[0].comment == 'Nickname Usage Failed' and len(told) == 1


def test_session_ids_are_enough_with_sessmatch():
    elsewhere = URI('nat.example.com', False, port=1, session_id='aaaa')
    for sessmatch, code in ((False, 481), (True, 200)):
        made = endpoint(sessmatch=sessmatch)
        made.receive(send(to=elsewhere, of=URI('nat.example.com', False, port=2, session_id='bbbb')), 0)
        assert answers(made) == [(None, code)]
    made = endpoint(sessmatch=True)
    made.receive(send(to=URI('a.example.com', False, session_id='xxxx')), 0)
    assert answers(made) == [(None, 481)]


def test_paths_through_relays():
    relays = [URI('r1.example.com', session_id='r1r1'), URI('r2.example.com', session_id='r2r2')]
    made = Endpoint(A)
    made.set_relays(relays)
    made.set_remote_path([OTHER, B])
    assert [uri.host for uri in made.local_path] == ['r2.example.com', 'r1.example.com', 'a.example.com']
    made.send(OutgoingMessage('a/b', b'x'))
    written = parse(b''.join(made.take(1000, 0)))[0]
    assert list(written.to_path) == [*relays, OTHER, B] and list(written.from_path) == [A]
    made.receive(send(of=' '.join(map(str, [*relays, OTHER, B]))) + send(of=B, identity='abcd1235'), 0)
    assert [code for _, code in answers(made)] == [200, 481]


def test_types():
    assert type_matches(['*'], 'a/b') and type_matches(['text/*'], 'TEXT/plain;charset=x') and type_matches(['Text/Plain'], 'text/plain')
    assert not type_matches(['text/plain'], 'text/html') and not type_matches([], 'a/b') and not type_matches(['text/*'], 'textual/x')


def test_requests_are_answered_or_not():
    made = endpoint()
    first = made.request('NICKNAME', [MSRPHeader('Use-Nickname', '"x"')], 'first')
    made.request('NICKNAME', context='second')
    assert parse(b''.join(made.take(1000, 5)))[0].header_text('Use-Nickname') == '"x"'
    told = made.receive(response(first, 425), 6) + made.tick(35)
    assert [(event.context, event.code, event.response is None) for event in told] == [('first', 425, False), ('second', 408, True)]


def test_noise_and_the_end_of_patience():
    made = endpoint()
    assert [type(event) for event in made.receive(b'garbage\r\n' + send(), 0)] == [Noise, MessageReceived]
    assert type(made.receive(b'MSRP abcd SEND\r\n' + b'X: y\r\n' * 100_000, 0)[-1]) is PeerFailed


def test_a_consumer_may_take_the_bytes_as_they_come():
    taken: dict[str, list] = {}

    def accept(message):
        if message.content_type == 'no/thanks':
            raise MSRPTransactionError(code=403)
        if message.content_type != 'stream/me':
            return None
        message.report = 'chunk'
        return lambda offset, piece: taken.setdefault(message.message_id, []).append((offset, bytes(piece)))

    made = endpoint(accept=accept, reassembly=ReassemblyLimits(size=10))
    wanted = ('Success-Report: yes',)
    told = made.receive(send(content_type='stream/me', byte_range='4-*/*', body=b'x' * 50000, lines=wanted), 0)
    assert [type(event) for event in told] == [ChunkReceived] and told[0].byte_range == (4, 50003, 50003) and made.reassembler.held == 0
    told = made.receive(send(content_type='stream/me', byte_range='1-3/*', body=b'abc', flag='+', lines=wanted), 0)
    assert [type(event) for event in told] == [ChunkReceived, MessageReceived] and told[0].byte_range == (1, 3, 50003) and told[1].message.data == b''
    data = bytearray(50003)
    for offset, piece in taken['12345678']:
        data[offset:offset + len(piece)] = piece
    assert data == b'abc' + b'x' * 50000
    assert answers(made) == [(None, 200), ('REPORT', 200)] * 2
    made.receive(send(content_type='no/thanks'), 0)
    made.receive(send(content_type='too/big', message_id='other123', body=b'x' * 11), 0)
    assert [code for _, code in answers(made)] == [403, 413]


def test_a_consumer_may_stop_a_message():
    def sink(offset, piece):
        if offset + len(piece) > 3:
            raise MSRPTransactionError('Disk full', 413)
    made = endpoint(accept=lambda message: sink)
    told = made.receive(send(body=b'abc', flag='+') + send(byte_range='4-*/*', body=b'd', flag='+') + send(byte_range='5-*/*', body=b'e'), 0)
    assert [(type(event), event.code) for event in told] == [(MessageAborted, 413)] and [code for _, code in answers(made)] == [200, 413, 413]

# Reassembly


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=400), st.lists(st.tuples(st.integers(0, 399), st.integers(1, 200)), max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_chunks_in_any_order_make_the_message(body, extra, order, known):
    """Overlapping ones, too; the one with the last byte has the $."""
    spans = [(start, min(start + 37, len(body))) for start in range(0, len(body), 37)]
    spans += [(start % len(body), min(start % len(body) + size, len(body))) for start, size in extra]
    order.shuffle(spans)
    reassembler = Reassembler()
    done = []
    for start, end in spans:
        flag = '$' if end == len(body) else '+'
        item = parse(send(byte_range=str(ByteRange(start + 1, None, len(body) if known else None)), body=body[start:end], flag=flag, content_type='a/b'))[0]
        if not done or item.message_id in reassembler.messages:
            message = reassembler.begin(item)
            reassembler.data(message, memoryview(body)[start:end])
            reassembler.end(message, flag)
            if message.complete:
                done.append(message.data)
                break
    assert done == [body] and not reassembler.messages and reassembler.held == 0


def test_what_came_last_counts():
    made = endpoint()
    made.receive(send(body=b'aaaa', flag='+') + send(byte_range='3-*/*', body=b'bb', flag='+'), 0)
    told = made.receive(send(byte_range='4-*/*', body=b'cd'), 0)
    assert told[0].message.data == b'aabcd'


def test_a_total_may_not_change_nor_be_exceeded():
    for second in (send(byte_range='4-*/9', flag='+'), send(byte_range='4-*/*', body=b'x' * 9, flag='+'), send(byte_range='1-*/*', body=b'x')):
        made = endpoint()
        made.receive(send(byte_range='2-*/8', body=b'abc', flag='+') + second, 0)
        assert [code for _, code in answers(made)] == [200, 400] and not made.reassembler.messages
    # Told only when more has come already.
    made = endpoint()
    told = made.receive(send(body=b'x' * 20, flag='+') + send(byte_range='1-*/8', body=b'abcdefgh', flag='+'), 0)
    assert [code for _, code in answers(made)] == [200, 400] and not [event for event in told if isinstance(event, MessageReceived)]


def test_memory_is_bounded():
    made = endpoint(reassembly=ReassemblyLimits(messages=4, size=1000, memory=1500, spans=5))
    codes = []
    for number in range(10):
        made.receive(send(message_id=f'messag{number}', byte_range='501-*/*', body=b'x' * 100, flag='+'), 0)
        codes += [code for _, code in answers(made)]
        assert made.reassembler.held <= 1500 and len(made.reassembler.messages) <= 4
    assert codes == [200, 200] + [413] * 8
    made = endpoint(reassembly=ReassemblyLimits(messages=4, spans=5))
    for number in range(20):
        made.receive(send(byte_range=f'{number * 10 + 1}-*/*', body=b'x', flag='+'), 0)
    assert [code for _, code in answers(made)] == [200] * 5 + [413] * 15 and not made.reassembler.messages
    for number in range(20):
        made.receive(send(message_id=f'messag{number}', body=b'x', flag='+'), 0)
    assert [code for _, code in answers(made)] == [200] * 4 + [413] * 16 and len(made.reassembler._refused) <= 4


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30), st.binary(max_size=8)), max_size=5))
def test_damaged_sessions_raise_nothing(operations):
    data = bytearray(send(flag='+') + send(byte_range='6-*/*', lines=('Success-Report: yes',)) + report('12345678', 200) + response('abcd1234', 200))
    for position, length, replacement in operations:
        data[position:position + length] = replacement
    made = endpoint()
    made.receive(bytes(data), 0)
    made.tick(100)
    made.take(1 << 16, 100)
    made.closed()


def test_a_sender_alone():
    """Its frames are complete chunks; what is abandoned is returned."""
    sender = Sender(str(B), str(A))
    message = OutgoingMessage(None)
    sender.add(message)
    assert parse(b''.join(sender.take(1000)))[0].byte_range == (1, 0, 0) and message.finished and sender.idle
    kept = OutgoingMessage('a/b', b'x' * 1000)
    sender.add(kept)
    sender.put(b'frame')
    assert sender.writable and sender.abandon() == [kept] and sender.idle and kept.finished


def test_many_sizes_and_seeds():
    """Any way of cutting what an endpoint writes gives the same messages."""
    for seed in range(5):
        choose = random.Random(seed)
        made = endpoint(chunk_size=choose.randint(100, 4000))
        made.sender.piece_size = choose.randint(50, 3000)
        bodies = [choose.randbytes(choose.randint(0, 5000)) for _ in range(5)]
        for body in bodies:
            made.send(OutgoingMessage('a/b', body))
        written = b''.join(made.take(1 << 20, 0))
        parser, events = Parser(), []
        while written:
            size = choose.randint(1, 2000)
            events += parser.feed(written[:size])
            written = written[size:]
        collected: dict[str, bytes] = {}
        for item in chunks(events):
            collected[item.message_id] = collected.get(item.message_id, b'') + item.data
        assert sorted(collected.values()) == sorted(bodies) and not [event for event in events if not isinstance(event, (Whole, Data, End)) and not hasattr(event, 'chunk')]
