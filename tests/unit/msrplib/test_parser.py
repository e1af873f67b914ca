"""The parser: the examples of the specification, in pieces of every size, damaged, and too big."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings, strategies as st

from msrplib.message import MSRPData
from msrplib.parser import Begin, Data, End, Failed, Illegal, Limits, Parser, Whole
from tests.unit.msrplib.rfc_examples import EXAMPLES, chunk

ALL = b''.join(EXAMPLES.values())


def chunks(events) -> list[MSRPData]:
    """The chunks of a list of events, with their data put together."""
    found: list[MSRPData] = []
    for event in events:
        if isinstance(event, (Whole, Begin)):
            found.append(event.chunk)
        elif isinstance(event, Data):
            found[-1].data += bytes(event.data)
    return found


def parse(*pieces: bytes, limits: Limits | None = None) -> list[MSRPData]:
    parser = Parser(limits)
    return chunks([event for piece in pieces for event in parser.feed(piece)])


def test_examples_say_what_they_mean():
    send = parse(EXAMPLES['send'])[0]
    assert (send.method, send.code, send.transaction_id, send.message_id, send.contflag) == ('SEND', None, 'a786hjs2', '87652491', '$')
    assert send.byte_range == (1, 25, 25) and send.content_type == 'text/plain' and send.data == b'Hey Bob, are you there?'
    assert str(send.to_path[0]) == 'msrp://bob.example.com:8888/9di4eae923wzd;tcp' and send.failure_report == 'yes' and send.success_report == 'no'
    answer = parse(EXAMPLES['ok'])[0]
    assert (answer.method, answer.code, answer.comment, answer.data) == (None, 200, 'OK', b'')
    first, second = parse(EXAMPLES['first chunk'] + EXAMPLES['second chunk'])
    assert first.data + second.data == b'abcdEFGH' and first.contflag == '+' and first.byte_range == (1, None, 8) and first.message_id == second.message_id
    assert parse(EXAMPLES['basic send'])[0].data == b"Hi, I'm Alice!\r\n"
    assert parse(EXAMPLES['report'])[0].status == (200, 'OK', '000')
    assert parse(EXAMPLES['aborted'])[0].contflag == '#'
    empty = parse(EXAMPLES['empty'])[0]
    assert empty.content_type is None and empty.byte_range == (1, 0, 0)
    challenge = parse(EXAMPLES['challenge'])[0]
    assert challenge.headers['WWW-Authenticate'].decoded == {'realm': 'intra.example.com', 'qop': 'auth', 'nonce': 'dcd98b7102dd2f0e8b11d0f600bfb0c093'}
    use_path = parse(EXAMPLES['use path'])[0]
    assert str(use_path.headers['Use-Path'].decoded[0]) == 'msrps://intra.example.com:9000/jui787s2f;tcp' and use_path.headers['Expires'].decoded == 900


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples_survive_a_round_trip(name):
    parsed = parse(EXAMPLES[name])
    assert len(parsed) == 1
    parsed[0].verify_headers()
    assert parse(parsed[0].encode()) == parsed
    # Nothing but the order of the headers may differ.
    assert sorted(parsed[0].encode().split(b'\r\n')) == sorted(EXAMPLES[name].split(b'\r\n'))


def test_a_cut_anywhere_makes_no_difference():
    expected = parse(ALL)
    assert len(expected) == len(EXAMPLES)
    for position in range(1, len(ALL)):
        assert parse(ALL[:position], ALL[position:]) == expected, position


def test_bytes_one_by_one():
    parser = Parser()
    events = [event for position in range(len(ALL)) for event in parser.feed(ALL[position:position + 1])]
    assert chunks(events) == parse(ALL) and parser.held == 0
    assert [event.chunk for event in events if isinstance(event, (Whole, End))] == [event.chunk for event in events if isinstance(event, (Whole, Begin))]


@pytest.mark.parametrize('name', EXAMPLES)
def test_what_is_cut_off_is_not_a_chunk(name):
    """Truncated anywhere, a chunk is never told to be complete, and nothing is told to be wrong."""
    for position in range(len(EXAMPLES[name])):
        events = Parser().feed(EXAMPLES[name][:position])
        assert not [event for event in events if isinstance(event, (Whole, End, Illegal, Failed))], position


def test_the_end_of_another_chunk_is_part_of_the_body():
    body = (b'\r\n-------d93kswow\r\n\r\n-------d93kswo$\r\n\r\n-------d93kswow$\r\r\n-------d93kswow!\r\n-------d93kswow$x\r\nMSRP a786hjs2 SEND\r\n\r\n-------')
    data = chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Content-Type: a/b', body=body)
    for position in range(len(data)):
        parsed = parse(data[:position], data[position:])
        assert [item.data for item in parsed] == [body], position


def test_a_body_may_begin_like_its_end():
    for body in (b'-', b'-------', b'-------d93kswo', b'- one\r\n- two', b''):
        data = chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Content-Type: a/b', body=body)
        for position in range(len(data)):
            assert [item.data for item in parse(data[:position], data[position:])] == [body], (body, position)


def test_an_empty_line_without_a_body_is_tolerated():
    data = EXAMPLES['ok'].replace(b'\r\n-------', b'\r\n\r\n-------')
    for position in range(len(data)):
        parsed = parse(data[:position], data[position:])
        assert [(item.code, item.data) for item in parsed] == [(200, b'')], position


def test_pieces_of_a_big_body_are_not_copied():
    body = bytes(range(256)) * 1000
    data = chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Content-Type: a/b', body=body)
    pieces = [data[start:start + 4096] for start in range(0, len(data), 4096)]
    parser = Parser()
    given = []
    for piece in pieces:
        events = parser.feed(piece)
        given += [event.data for event in events if isinstance(event, Data)]
        if piece is not pieces[0] and len(events) == 1 and len(events[0].data) == len(piece):
            assert events[0].data.obj is piece
        assert parser.held < 64
    assert b''.join(given) == body and len(given) >= len(pieces)


def test_garbage_is_told_and_left_out():
    parser = Parser()
    events = parser.feed(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n' + EXAMPLES['ok'] + b'\r\n\r\n' + b'MSRP bad\r\n' + EXAMPLES['send'])
    assert [item.first_line for item in chunks(events)] == ['MSRP a786hjs2 200 OK', 'MSRP a786hjs2 SEND']
    illegal = [event for event in events if isinstance(event, Illegal)]
    assert illegal[0].data.startswith(b'GET') and illegal[-1].data.startswith(b'MSRP bad')


def test_malformed_headers_are_left_out():
    events = Parser().feed(chunk('a786hjs2 200 OK', 'no colon', ': no name', 'Bad name: x', 'Expires: 12', 'expires : 13', 'MESSAGE-id: 4564dpWd'))
    parsed = chunks(events)[0]
    assert parsed.headers['Expires'].decoded == 12 and parsed.message_id == '4564dpWd'
    assert len([event for event in events if isinstance(event, Illegal)]) == 4


def test_a_header_that_comes_twice_is_a_problem():
    parsed = parse(chunk('a786hjs2 SEND', 'To-Path: msrp://other.example.com:1/x;tcp', 'Message-ID: 12345'))[0]
    assert parsed.problem == 'To-Path comes twice' and str(parsed.to_path[0].host) == 'bob.example.com'
    both = parse(chunk('a786hjs2 401 No', 'WWW-Authenticate: Digest realm="a", nonce="1", algorithm=SHA-256', 'WWW-Authenticate: Digest realm="a", nonce="2"'))[0]
    assert both.problem is None and both.header_text('WWW-Authenticate').count('Digest') == 2


@pytest.mark.parametrize('data', [
    b'MSRP a786hjs2 SEND\r\n' + b'X: y\r\n' * 65 + b'-------a786hjs2$\r\n',
    b'MSRP a786hjs2 SEND\r\n' + b'X' * 70000,
    b'MSRP a786hjs2 SEND\r\n' + (b'X: ' + b'y' * 16000 + b'\r\n') * 5,
    b'x' * 200000,
    b'MSRP ' * 40000,
    b'\n' * 200000,
], ids=['lines', 'line', 'head', 'garbage', 'first line', 'line feeds'])
@pytest.mark.parametrize('size', [1000, 65536, 1 << 20])
def test_limits_end_the_parser(data, size):
    parser = Parser()
    events = []
    for start in range(0, len(data), size):
        events += parser.feed(data[start:start + size])
        assert parser.held <= 65536 + 16384 + size
    assert [event for event in events if isinstance(event, Failed)] == events[-1:] and parser.failed and parser.held == 0
    assert parser.feed(EXAMPLES['ok']) == []


def test_a_line_that_is_too_long_is_left_out_with_its_chunk():
    data = b'MSRP a786hjs2 200 ' + b'x' * 20000 + b'\r\n-------a786hjs2$\r\n'
    events = Parser().feed(data + EXAMPLES['ok'])
    assert [item.comment for item in chunks(events)] == ['OK'] and isinstance(events[0], Illegal)


def test_endless_bodies_take_no_memory():
    parser = Parser()
    parser.feed(b'MSRP a786hjs2 SEND\r\nTo-Path: a\r\nContent-Type: a/b\r\n\r\n')
    piece = b'\r\n-------a786hjs2' * 4000
    for _ in range(100):
        assert sum(sys.getsizeof(event) for event in parser.feed(piece)) < 1000
        assert parser.held < 64


def test_the_transaction_id_is_what_the_grammar_says():
    for identity, good in (('abcd', True), ('a' * 32, True), ('a.+%=-', True), ('abc', False), ('a' * 33, False), ('-abc', False), ('ab_d', False)):
        parsed = parse(b'MSRP %s SEND\r\n-------%s$\r\n' % (identity.encode(), identity.encode()))
        assert bool(parsed) is good, identity


OPERATIONS = st.lists(st.tuples(st.integers(0, len(ALL)), st.integers(0, 40), st.one_of(
    st.binary(max_size=12), st.sampled_from([b'\r\n', b'\r\n\r\n', b'-------', b'MSRP ', b'\0', b'-------a786hjs2$\r\n', b'Byte-Range: ', b'\xff']))), max_size=6)


def mutated(operations) -> bytes:
    data = bytearray(ALL)
    for position, length, replacement in operations:
        data[position:position + length] = replacement
    return bytes(data)


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.lists(st.integers(1, 300), max_size=8))
def test_damage_is_never_more_than_left_out(operations, sizes):
    """Whatever comes: only events of the known kinds, in an order that makes sense, the same in pieces as at once, and little memory."""
    data = mutated(operations)
    whole = Parser()
    expected = whole.feed(data)
    pieces, position = [], 0
    for size in sizes:
        pieces.append(data[position:position + size])
        position += size
    pieces.append(data[position:])
    parser = Parser()
    events = []
    for piece in pieces:
        events += parser.feed(piece)
        assert parser.held <= len(data) and parser.held <= 65536 + 16384
    open_chunk = None
    for event in events:
        assert isinstance(event, (Whole, Begin, Data, End, Illegal, Failed))
        if isinstance(event, (Whole, Begin)):
            assert open_chunk is None
            open_chunk = event.chunk if isinstance(event, Begin) else None
        elif isinstance(event, Data):
            assert open_chunk is not None and len(event.data)
        elif isinstance(event, End):
            assert event.chunk is open_chunk
            open_chunk = None
    assert open_chunk is parser.chunk
    complete = [event.chunk.first_line for event in events if isinstance(event, (Whole, End))]
    assert complete == [event.chunk.first_line for event in expected if isinstance(event, (Whole, End))]
    assert b''.join(item.data for item in chunks(events)).startswith(b''.join(item.data for item in chunks(expected))[:1000])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data):
    for event in Parser().feed(data + b'\r\n') + Parser().feed(b'MSRP a786hjs2 SEND\r\n' + data + b'\r\n-------a786hjs2$\r\n'):
        assert isinstance(event, (Whole, Begin, Data, End, Illegal, Failed))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 700), st.sampled_from('$+#'))
def test_any_body_comes_through(body, size, flag):
    data = chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Content-Type: a/b', body=body, flag=flag) + EXAMPLES['ok']
    if b'-------d93kswow' in body:
        return
    parsed = parse(*(data[start:start + size] for start in range(0, len(data), size)))
    assert [item.data for item in parsed] == [body, b''] and parsed[0].contflag == flag
