"""URIs, headers, chunks as values, ranges, transactions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from msrplib.errors import STATUS_COMMENTS, ChunkParseError, HeaderParsingError, MSRPBadRequest, MSRPError, MSRPTimeout, MSRPTransactionError, ParsingError
from msrplib.framing import encode_response, make_report, make_response, new_transaction_id
from msrplib.headers import (
    IDENT,
    ByteRange,
    ByteRangeHeader,
    ExpiresHeader,
    HeaderType,
    IntegerHeaderType,
    MessageIDHeader,
    MSRPHeader,
    MSRPNamedHeader,
    Status,
    StatusHeader,
    ToPathHeader,
    UseNicknameHeader,
    WWWAuthenticateHeader,
    parse_challenges,
)
from msrplib.message import HeaderMap, MSRPData
from msrplib.parser import Parser
from msrplib.ranges import Ranges
from msrplib.transactions import Transactions
from msrplib.uri import URI, parse_path, parse_uri

# URIs


def test_a_uri_has_its_parts():
    uri = URI.parse('msrps://alice@[2001:db8::1]:1234/a~b.c-d;tcp;x=1;y')
    assert (uri.use_tls, uri.user, uri.host, uri.port, uri.session_id, uri.transport) == (True, 'alice', '2001:db8::1', 1234, 'a~b.c-d', 'tcp')
    assert uri.parameters == {'x': '1', 'y': None} and uri.scheme == 'msrps'
    assert str(uri) == 'msrps://alice@[2001:db8::1]:1234/a~b.c-d;tcp;x=1;y' and repr(uri) == f'<URI "{uri}">'
    assert str(parse_uri('msrp://relay.example.com;tcp')) == 'msrp://relay.example.com:2855;tcp'
    assert str(URI('127.0.0.1', False, port=0, session_id='x')) == 'msrp://127.0.0.1/x;tcp'


def test_a_uri_of_our_own():
    uri = URI()
    assert uri.use_tls and uri.port == 2855 and uri.host and len(uri.session_id) == 20 and uri.session_id != URI().session_id
    assert uri.copy(port=1) == URI(uri.host, port=1, session_id=uri.session_id)


def test_equal_uris():
    uri = URI('Host.example.com', True, session_id='x')
    assert uri == URI('host.EXAMPLE.com', True, 'someone', session_id='x', parameters={'a': 'b'}) and hash(uri) == hash(URI('host.example.com', session_id='x'))
    for other in (URI('host.example.com', False, session_id='x'), URI('host.example.com', session_id='X'), URI('host.example.com', port=1, session_id='x'), 'x'):
        assert uri != other


@pytest.mark.parametrize('text', ['', 'sip:a@b', 'msrp://host', 'msrp://host;udp', 'msrp://;tcp', 'msrp://h:0;tcp', 'msrp://h:65536;tcp', 'msrp://h:x;tcp',
                                  'msrp://h/a b;tcp', 'msrp://h;tcp\r\n', 'http://h;tcp', 'msrp://[::1;tcp', 'msrp://h;tcp;=1'])
def test_what_is_no_uri(text):
    with pytest.raises(ParsingError):
        URI.parse(text)


def test_paths():
    assert [uri.session_id for uri in parse_path('msrp://a/1;tcp  msrps://b/2;tcp')] == ['1', '2']
    for text in ('', ' ', 'msrp://a/1;tcp x', ' '.join(['msrp://a/1;tcp'] * 17)):
        with pytest.raises(ParsingError):
            parse_path(text)


@given(st.text(max_size=60))
def test_any_text_is_a_uri_or_an_error(text):
    for candidate in (text, f'msrp://{text};tcp', f'msrp://h/{text};tcp'):
        try:
            uri = URI.parse(candidate)
        except ParsingError:
            continue
        assert URI.parse(str(uri)) == uri

# Headers


@pytest.mark.parametrize(('name', 'text', 'value'), [
    ('Byte-Range', '1-*/*', ByteRange(1, None, None)),
    ('Byte-Range', '5-8/8', ByteRange(5, 8, 8)),
    ('Byte-Range', '1-0/0', ByteRange(1, 0, 0)),
    ('Status', '000 200 OK', Status(200, 'OK')),
    ('Status', '000 413', Status(413, None)),
    ('Expires', '900', 900),
    ('Success-Report', 'yes', 'yes'),
    ('Failure-Report', 'partial', 'partial'),
    ('Message-ID', '87652491', '87652491'),
    ('Content-Type', 'text/plain;charset=utf-8', 'text/plain;charset=utf-8'),
    ('Use-Nickname', '"a \\"b\\" \\\\c"', 'a "b" \\c'),
    ('Authorization', 'Digest username="a", nc=00000001', {'username': 'a', 'nc': '00000001'}),
    ('X-Other', 'anything', 'anything'),
])
def test_headers_both_ways(name, text, value):
    header = MSRPHeader(name, text)
    assert header.decoded == value and str(header) == f'{name}: {text}'
    header.decoded = value
    assert header.encoded == text and header == MSRPHeader(name.upper(), text) and hash(header) == hash(MSRPHeader(name.upper(), text))
    if not isinstance(value, str):
        assert MSRPHeader(name, value).encoded == text


@pytest.mark.parametrize(('name', 'text'), [
    ('Byte-Range', ''), ('Byte-Range', '0-1/1'), ('Byte-Range', '2-0/4'), ('Byte-Range', '1-5/4'), ('Byte-Range', '6-*/4'), ('Byte-Range', '1-99999999999999999999/*'),
    ('Byte-Range', '1-9223372036854775808/*'), ('Byte-Range', '-1-1/1'), ('Byte-Range', '1-1'), ('Byte-Range', '\u0661-*/*'), ('Status', '200 OK'), ('Status', ''),
    ('Expires', '-1'), ('Expires', 'x'), ('Expires', '9' * 20), ('Success-Report', 'partial'), ('Failure-Report', 'maybe'), ('Message-ID', 'a b'), ('Message-ID', ''),
    ('Message-ID', 'abc'), ('To-Path', 'nowhere'), ('Authorization', 'Basic abc'), ('Authorization', 'Digest a="'), ('Authorization', 'Digest a=1, a=2')])
def test_malformed_headers(name, text):
    with pytest.raises(HeaderParsingError) as caught:
        MSRPHeader(name, text).decoded
    assert caught.value.header == name and isinstance(caught.value, ParsingError) and isinstance(caught.value, MSRPError)


def test_headers_have_classes():
    assert isinstance(MSRPHeader('to-path', 'msrp://a/1;tcp'), ToPathHeader) and type(MSRPHeader('X', '')) is MSRPHeader
    assert ExpiresHeader(5).name == 'Expires' and ExpiresHeader('Expires', 5).encoded == '5'
    assert ByteRangeHeader('3-4/*').start == ByteRangeHeader('3-4/*').fro == 3 and ByteRangeHeader('3-4/*').end == 4 and ByteRangeHeader('3-4/*').total is None
    assert StatusHeader('000 200 OK').code == 200 and StatusHeader('000 200 OK').comment == 'OK'
    assert str(ToPathHeader([URI('a', session_id='1'), URI('b', session_id='2')])) == 'To-Path: msrps://a:2855/1;tcp msrps://b:2855/2;tcp'
    nickname = UseNicknameHeader('')
    nickname.decoded = 'Al "ice"'
    assert nickname.encoded == '"Al \\"ice\\""'


def test_a_header_is_one_line():
    with pytest.raises(HeaderParsingError):
        StatusHeader((200, 'OK\r\nTo-Path: b')).encoded
    data = MSRPData('abcd', 'SEND')
    data.add_header(MSRPHeader('X', 'a\r\nb'))
    with pytest.raises(ValueError):
        data.encode()


def test_headers_can_be_added():
    class TestOffsetHeader(MSRPNamedHeader, name='X-Test-Offset'):
        value_type = IntegerHeaderType

    assert MSRPHeader('x-test-offset', '12').decoded == 12 and isinstance(MSRPHeader('X-Test-Offset', 3), TestOffsetHeader)
    assert HeaderType.decode('x') == 'x'


def test_challenges():
    text = 'Digest realm="a, b", nonce="1", algorithm=SHA-256, qop="auth", Basic realm="x", digest realm="\\"q\\"", nonce=2, Digest broken'
    assert parse_challenges(text)[0] == {'realm': 'a, b', 'nonce': '1', 'algorithm': 'SHA-256', 'qop': 'auth'}
    assert WWWAuthenticateHeader('Digest nonce="x"').decoded == {'nonce': 'x'}
    assert parse_challenges('Basic realm="x"') == [] and parse_challenges('') == []


@given(st.text(max_size=80), st.sampled_from(['Byte-Range', 'Status', 'Authorization', 'WWW-Authenticate', 'Use-Nickname', 'Expires', 'From-Path']))
def test_any_text_is_a_value_or_an_error(text, name):
    try:
        MSRPHeader(name, text).decoded
    except HeaderParsingError:
        pass

# Chunks


def test_a_chunk_of_our_own():
    data = MSRPData('a786hjs2', 'SEND', headers=[MSRPHeader('Content-Type', 'text/plain'), MSRPHeader('X-More', 'y'), MSRPHeader('Content-ID', '<1>'),
                                                 MessageIDHeader('87652491'), ToPathHeader('msrp://b/2;tcp'), MSRPHeader('From-Path', 'msrp://a/1;tcp')], data=b'hello')
    assert data.encode() == (b'MSRP a786hjs2 SEND\r\nTo-Path: msrp://b/2;tcp\r\nFrom-Path: msrp://a/1;tcp\r\nMessage-ID: 87652491\r\nX-More: y\r\nContent-ID: <1>\r\n'
                             b'Content-Type: text/plain\r\n\r\nhello\r\n-------a786hjs2$\r\n')
    assert data.encoded_header + data.data + data.encoded_footer == data.encode() and data.size == 5
    assert data.chunk_header == data.encoded_header.decode() and data.chunk_footer == '\r\n-------a786hjs2$\r\n'
    copied = data.copy()
    assert copied == data and copied is not data and copied.headers['Message-ID'] is not data.headers['Message-ID']
    copied.headers['Message-ID'].encoded = 'other'
    assert copied != data and data.message_id == '87652491'
    data.transaction_id = 'other123'
    assert str(data) == data.first_line == 'MSRP other123 SEND'


def test_what_a_chunk_refuses():
    for arguments in ({}, {'method': 'SEND', 'code': 200}, {'method': 'SEND', 'comment': 'x'}):
        with pytest.raises(ValueError):
            MSRPData('a786hjs2', **arguments)
    data = MSRPData('a786hjs2', code=200)
    for name in ('method', 'code', 'comment', 'headers'):
        with pytest.raises(AttributeError):
            setattr(data, name, None)
        with pytest.raises(AttributeError):
            delattr(data, name)
    for bad in (MSRPData('a786hjs2', 'SEND', data=b'x'), MSRPData('a786hjs2', 'SEND', headers=[MSRPHeader('Content-Type', 'a/b')], data=b'-------a786hjs2')):
        with pytest.raises(ValueError):
            bad.encode()


def test_what_is_absent():
    data = MSRPData('a786hjs2', code=403)
    assert (data.to_path, data.from_path, data.content_type, data.message_id, data.byte_range, data.status) == (None,) * 6
    assert data.failure_report == 'yes' and data.success_report == 'no' and data.first_line == 'MSRP a786hjs2 403'
    with pytest.raises(ChunkParseError):
        data.verify_headers()
    data.add_header(ToPathHeader('msrp://b/2;tcp'))
    data.add_header(MSRPHeader('From-Path', 'bad'))
    with pytest.raises(HeaderParsingError):
        data.verify_headers()


def test_headers_of_a_parsed_chunk_may_change():
    headers = Parser().feed(b'MSRP abcd SEND\r\nTo-Path: msrp://b/2;tcp\r\nX: 1\r\n-------abcd$\r\n')[0].chunk.headers
    assert 'X' in headers and len(headers) == 2 and headers.text('X') == '1' and headers.text('Y') is None and headers.get('Y') is None
    headers['Y'] = MSRPHeader('Y', '2')
    del headers['X']
    assert list(headers) == ['To-Path', 'Y'] and 'X' not in headers and len(headers) == 2 and [header.name for header in headers.values()] == ['To-Path', 'Y']
    assert headers == HeaderMap([MSRPHeader('Y', '2'), ToPathHeader('msrp://b/2;tcp')]) and headers != {}


def request(*lines: str, body: bytes = b'hello') -> MSRPData:
    head = '\r\n'.join(['MSRP abcd SEND', 'To-Path: msrp://b/2;tcp', 'From-Path: msrp://r/3;tcp msrp://a/1;tcp', 'Message-ID: 1234', 'Byte-Range: 3-*/9', *lines])
    return Parser().feed(head.encode() + b'\r\nContent-Type: a/b\r\n\r\n' + body + b'\r\n-------abcd+\r\n')[0].chunk


@pytest.mark.parametrize(('failure', 'success', 'code', 'answered', 'reported'), [
    (None, None, 200, True, False), (None, None, 415, True, True), ('no', 'yes', 200, False, True), ('no', 'no', 415, False, False),
    ('partial', 'yes', 200, False, True), ('partial', 'no', 415, True, True), ('yes', 'no', 200, True, False)])
def test_who_gets_an_answer_and_a_report(failure, success, code, answered, reported):
    lines = ([] if failure is None else [f'Failure-Report: {failure}']) + ([] if success is None else [f'Success-Report: {success}'])
    response, report = make_response(request(*lines), code), make_report(request(*lines), code)
    assert bool(response) is answered and bool(report) is reported
    encoded = encode_response(request(*lines), code)
    assert (encoded is not None) is answered
    if response is not None:
        assert response.encode() == encoded and response.first_line == f'MSRP abcd {code} {STATUS_COMMENTS[code]}'
        assert [uri.host for uri in response.to_path] == ['r'] and [uri.host for uri in response.from_path] == ['b']
    if report is not None:
        assert [uri.host for uri in report.to_path] == ['r', 'a'] and report.byte_range == (3, 7, 9) and report.message_id == '1234'
        assert report.status == (code, STATUS_COMMENTS[code], '000') and report.transaction_id != 'abcd'


def test_reports_are_never_answered():
    assert encode_response(MSRPData('abcd', 'REPORT'), 400) is None and make_report(MSRPData('abcd', 'REPORT'), 200) is None
    with pytest.raises(ChunkParseError):
        encode_response(MSRPData('abcd', 'SEND'), 400)


def test_errors_have_codes():
    with pytest.raises(TypeError):
        MSRPTransactionError('no code')
    assert str(MSRPBadRequest()) == '400 Bad Request' and MSRPTimeout().code == 408 and str(MSRPTransactionError('Why', 415)) == '415 Why'
    assert MSRPTransactionError(code=699).comment == ''


def test_ids_are_new_and_well_formed():
    made = {new_transaction_id() for _ in range(1000)}
    assert len(made) == 1000 and all(IDENT.fullmatch(item) for item in made)

# Ranges


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=30), st.integers(0, 70), st.integers(0, 20))
def test_ranges_are_sets(spans, start, size):
    ranges, model = Ranges(), set()
    for first, length in spans:
        ranges.add(first, first + length)
        model |= set(range(first, first + length))
    assert {offset for first, last in ranges.spans() for offset in range(first, last)} == model
    assert all(first < last for first, last in ranges.spans())
    assert all(before[1] < after[0] for before, after in zip(ranges.spans(), ranges.spans()[1:], strict=False))
    assert ranges.covers(start, start + size) is (set(range(start, start + size)) <= model)
    assert ranges.total == len(model) and ranges.end == max(model, default=-1) + 1
    assert ranges.prefix == next(offset for offset in range(200) if offset not in model)


# Transactions


def test_transactions_expire_in_order():
    transactions: Transactions[int] = Transactions(timeout=30)
    assert transactions.deadline is None and transactions.expire(1e9) == []
    for number in range(4):
        transactions.begin(str(number), number)
        transactions.arm(str(number), now=number)
    transactions.begin('open', 9)
    transactions.arm('unknown', 0)
    assert len(transactions) == 5 and transactions.deadline == 30
    assert transactions.answer('1') == 1 and transactions.answer('1') is None
    assert transactions.expire(29.9) == [] and transactions.expire(32) == [0, 2] and transactions.deadline == 33
    assert transactions.answer('open') == 9 and transactions.clear() == [3] and len(transactions) == 0


def test_an_answer_before_the_end_of_a_request_is_taken():
    transactions: Transactions[int] = Transactions()
    transactions.begin('a', 1)
    assert transactions.answer('a') == 1
    transactions.arm('a', 0)
    assert len(transactions) == 0 and transactions.deadline is None


def test_random_order():
    """Spans in any order become one."""
    for seed in range(20):
        order = list(range(100))
        random.Random(seed).shuffle(order)
        ranges = Ranges()
        for number in order:
            ranges.add(number * 10, number * 10 + 10)
        assert ranges.spans() == [(0, 1000)]
