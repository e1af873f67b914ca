import copy
import pickle
import time

import pytest
from hypothesis import example, given, strategies as st

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import FrozenContactHeader, FrozenFromHeader, FrozenHeader, FrozenSubjectHeader, FrozenViaHeader
from sipsimple.core.messages import MessageHeaders, Request, Response, parse_message, parse_sipfrag

INVITE = b'''INVITE sip:bob@biloxi.example.com SIP/2.0
Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74b43, SIP/2.0/UDP a.b;rport
v: SIP/2.0/UDP c.d
Max-Forwards: 70
Route: <sip:ss1.atlanta.example.com;lr>, <sip:ss2.atlanta.example.com;lr>
f: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl
To : Bob <sip:bob@biloxi.example.com>
i: 3848276298220188511@atlanta.example.com
CSEQ: 1 INVITE
Contact: <sip:alice@client.atlanta.example.com;transport=tcp>,
 <tel:+123>, "x,y" <sip:a@b>;q=0.1
User-Agent: Foo 1.0
Allow: INVITE, ACK
Allow: CANCEL
k: replaces,gruu
Require:
X-MSRP-ID: first
x-msrp-id: second
Authorization: Digest username="alice"
Proxy-Authorization: Digest username="alice"
Warning: bogus
Expires: x
s: caf\xe9
Call-Info: <http://example.com/caf\xc3\xa9>
no colon here
Via
: nameless
V: SIP/2.0/UDP e.f
Content-Type: application/sdp
Content-Length: 3

abcdef'''.replace(b'\n', b'\r\n')


def test_request():
    message = parse_message(INVITE)
    assert type(message) is Request and message.method == 'INVITE' and message.body == b'abc'
    assert str(message.request_uri) == 'sip:bob@biloxi.example.com' and message.request_uri is message.request_uri


def test_response():
    message = parse_message(b'SIP/2.0 486 Busy  Here\r\nl: 0\r\n\r\n')
    assert type(message) is Response and (message.code, message.reason, message.body) == (486, 'Busy  Here', None)
    assert message.headers == {'Content-Length': 0}
    assert parse_message(b'SIP/2.0 200\r\n\r\n').reason == ''
    assert parse_message('SIP/2.0 200 Größe\r\n\r\n'.encode()).reason == 'Größe'
    assert parse_message(b'SIP/2.0 200 caf\xe9\r\n\r\n').reason == 'café'


def test_values():
    headers = parse_message(INVITE).headers
    assert [str(via) for via in headers['Via']] == [
        'Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74b43', 'Via: SIP/2.0/UDP a.b:5060;rport', 'Via: SIP/2.0/UDP c.d:5060',
        'Via: SIP/2.0/UDP e.f:5060']
    assert type(headers['Via'][0]) is FrozenViaHeader and len(headers['Route']) == 2
    assert headers['Max-Forwards'] == 70 and headers['CSeq'] == (1, 'INVITE') and headers['Content-Length'] == 3
    assert type(headers['From']) is FrozenFromHeader and headers['From'].tag == '9fxced76sl' and headers['To'].display_name == 'Bob'
    assert headers['Call-ID'] == FrozenHeader('Call-ID', '3848276298220188511@atlanta.example.com')
    assert [contact.display_name for contact in headers['Contact']] == [None, 'x,y'] and headers['Contact'][1].q == 0.1
    assert headers['Allow'] == ['INVITE', 'ACK', 'CANCEL'] and headers['Supported'] == ['replaces', 'gruu'] and headers['Require'] == []
    assert headers['X-MSRP-ID'] == FrozenHeader('X-MSRP-ID', 'first')
    assert headers['Subject'] == FrozenSubjectHeader('café') and headers['Call-Info'].body == '<http://example.com/café>'
    assert headers['Content-Type'].content_type == 'application/sdp'


ABSENT = ('Authorization', 'Proxy-Authorization', 'Warning', 'Expires', 'Event', '', 'no colon here')


def test_absent():
    headers = parse_message(INVITE).headers
    for _ in range(2):
        for name in ABSENT:
            assert name not in headers and headers.get(name) is None and headers.get(name, 5) == 5
            with pytest.raises(KeyError):
                headers[name]
        len(headers)  # now everything is parsed


NAMES = ['Via', 'Max-Forwards', 'Route', 'From', 'To', 'Call-ID', 'CSeq', 'Contact', 'User-Agent', 'Allow', 'Supported', 'Require',
         'X-MSRP-ID', 'Subject', 'Call-Info', 'Content-Type', 'Content-Length']


@pytest.mark.parametrize('read', [
    list, lambda h: list(h.keys()), lambda h: [name for name, _ in h.items()], lambda h: list(dict(h)), lambda h: list({**h}),
    lambda h: list(h.copy()), lambda h: list(h | {}), lambda h: list({} | h), lambda h: list(reversed(h))[::-1]])
@pytest.mark.parametrize('first', [None, 'Content-Length', 'from'])
def test_iteration_is_complete_and_in_order(read, first):
    headers = parse_message(INVITE).headers
    if first:
        headers[first]
    assert read(headers) == NAMES


def test_is_a_dict():
    headers = parse_message(INVITE).headers
    assert isinstance(headers, dict) and len(headers) == len(NAMES) and bool(headers) and not MessageHeaders()
    assert len(parse_message(INVITE).headers.values()) == len(NAMES)
    plain = dict(parse_message(INVITE).headers)
    assert type(plain) is dict
    for other in (plain, parse_message(INVITE).headers, copy.copy(parse_message(INVITE).headers),
                  copy.deepcopy(parse_message(INVITE).headers), pickle.loads(pickle.dumps(parse_message(INVITE).headers))):
        assert parse_message(INVITE).headers == other and other == parse_message(INVITE).headers
        assert not parse_message(INVITE).headers != other
    assert parse_message(INVITE).headers != {} and repr(parse_message(INVITE).headers) == repr(plain)
    with pytest.raises(KeyError):
        headers[5]
    assert 5 not in headers


def test_names_in_any_case_and_short():
    headers = parse_message(INVITE).headers
    for _ in range(2):
        assert headers['from'] is headers['From'] is headers['FROM'] is headers['f'] and 'x-msrp-id' in headers
        len(headers)
    assert 'from' not in list(headers)


def test_values_are_parsed_once():
    headers = parse_message(INVITE).headers
    contact = headers['Contact']
    assert headers['Contact'] is contact and headers.get('Contact') is contact
    assert dict(headers)['Contact'] is contact


@pytest.mark.parametrize('change, result', [
    (lambda h: h.__setitem__('X', 1), {'X-A': FrozenHeader('X-A', 'b'), 'X': 1}), (lambda h: h.update(X=1), {'X-A': FrozenHeader('X-A', 'b'), 'X': 1}),
    (lambda h: h.__delitem__('X-A'), {}), (lambda h: h.pop('X-A'), {}), (lambda h: h.clear(), {}), (lambda h: h.popitem(), {}),
    (lambda h: h.setdefault('X-A', 1), {'X-A': FrozenHeader('X-A', 'b')}), (lambda h: h.__ior__({'X-A': 1}), {'X-A': 1})])
def test_changes(change, result):
    headers = MessageHeaders(b'X-A: b\r\n')
    change(headers)
    assert headers == result and dict(headers) == result


@pytest.mark.parametrize('raw, name, value', [
    (b'Subject: a\r\n b\r\n\t c\r\n', 'Subject', FrozenSubjectHeader('a b c')), (b'Subject: a\n b\n', 'Subject', FrozenSubjectHeader('a b')),
    (b'Expires: 4294967296\r\n', 'Expires', 4294967295), (b'Expires: ' + b'9' * 5000, 'Expires', 4294967295), (b'Expires: 60;x', 'Expires', 60),
    (b'Max-Forwards: 0068\r\n', 'Max-Forwards', 68), (b'CSeq: 0009\r\n  INVITE\r\n', 'CSeq', (9, 'INVITE')),
    (b'm: *\r\n', 'Contact', [FrozenContactHeader(None)]), (b'NewFangledHeader:   newfangled value\r\n continued newfangled value', 'NewFangledHeader',
     FrozenHeader('NewFangledHeader', 'newfangled value continued newfangled value')),
    (b'UnknownHeaderWithUnusualValue: ;;,,;;,;', 'UnknownHeaderWithUnusualValue', FrozenHeader('UnknownHeaderWithUnusualValue', ';;,,;;,;')),
    (b'TO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n', 'To', None), (b'X-A: b\0c\rd', 'X-A', FrozenHeader('X-A', 'b c d')),
    (b'Accept: text/plain;q="a,b", */*', 'Accept', ['text/plain;q="a,b"', '*/*'])])
def test_odd_headers(raw, name, value):  # many from RFC 4475 §3.1.1.1
    headers = MessageHeaders(raw)
    assert list(headers) == [name]
    if value is None:
        assert headers[name].tag == '1918181833n'
    else:
        assert headers[name] == value


@pytest.mark.parametrize('raw', [
    b'From: <tel:+1>', b'Contact: <tel:+1>', b'CSeq: INVITE', b'CSeq: 5', b'CSeq: -1 INVITE', b'Expires: -1', b'Via: ', b'Refer-To:', b'Replaces: a',
    b'Event:', b'Content-Type: ', b'Max-Forwards: \xc2\xb2'])
def test_unparsable_headers_are_absent(raw):
    assert MessageHeaders(raw) == {}


def test_lists_are_limited():
    assert len(MessageHeaders(b'm: ' + b'<sip:a@h>,' * 5000)['Contact']) == 1024
    assert len(MessageHeaders(b'Supported: ' + b'a,' * 5000)['Supported']) == 1024


@pytest.mark.parametrize('data, body', [
    (b'A sip:h SIP/2.0\r\n\r\n', None), (b'A sip:h SIP/2.0\r\n\r\nxyz', b'xyz'), (b'A sip:h SIP/2.0\r\nContent-Length: 2\r\n\r\nxyz', b'xy'),
    (b'A sip:h SIP/2.0\r\nl : 2\r\n\r\nxyz', b'xy'), (b'A sip:h SIP/2.0\r\nContent-Length: 9\r\n\r\nxyz', b'xyz'),
    (b'A sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\nxyz', None), (b'A sip:h SIP/2.0\nX: y\n\nxyz', b'xyz'), (b'A sip:h SIP/2.0', None),
    (b'\r\n\r\nA sip:h SIP/2.0\r\n\r\nContent-Length: 1', b'Content-Length: 1')])
def test_body(data, body):
    assert parse_message(data).body == body


@pytest.mark.parametrize('data', [
    b'', b'\r\n\r\n', b'INVITE', b'INVITE sip:h', b'INVITE sip:h SIP/3.0\r\n\r\n', b'INVITE sip:h SIP/2.0 x\r\n\r\n', b'SIP/2.0\r\n\r\n', b'SIP/2.0 20 OK\r\n\r\n',
    b'SIP/2.0 abc OK\r\n\r\n', b'SIP/2.0 4294967301 better not break the receiver\r\n\r\n'])
def test_not_a_message(data):
    with pytest.raises(SIPCoreError):
        parse_message(data)


def test_foreign_request_uri():
    message = parse_message(b'OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0\r\n\r\n')  # RFC 4475 §3.3.2
    assert message.request_uri_text == 'nobodyKnowsThisScheme:totallyopaquecontent'
    with pytest.raises(SIPCoreError):
        message.request_uri


@pytest.mark.parametrize('body, result', [
    (b'SIP/2.0 100 Trying', (100, 'Trying')), (b'SIP/2.0 200 OK\r\nFrom: x', (200, 'OK')), (b'\r\nSIP/2.0 603 Decl\xe9', (603, 'Declé')),
    (b'SIP/2.0 200', (200, '')), (b'SIP/2.0 200 ', (200, '')), (b'SIP/2.0 2000 OK', None), (b'INVITE sip:h SIP/2.0', None), (b'', None), (None, None),
    (b'\xff\xfe', None)])
def test_sipfrag(body, result):
    assert parse_sipfrag(body) == result


def test_looking_at_nothing_parses_nothing():
    headers = parse_message(INVITE).headers
    assert headers._index is None and dict.__len__(headers) == 0
    headers['From']
    assert dict.__len__(headers) == 1


def test_hostile_messages_take_no_time():
    start = time.process_time()
    for line in (b'm: ' + b'"' * 50000, b'm: ' + b'<' * 50000, b'v: ' + b',' * 50000, b'f: ' + b'"\\' * 25000, b'A: b\r\n' + b' \r\n' * 15000, b'\r' * 50000,
                 b'\r\n'.join([b'm: <sip:a@h>'] * 4000), b'a: b\r\n' * 8000, b'Retry-After: 5 ' + b'(' * 50000, b'f: <sip:a@h>' + b';' * 50000,
                 b'm: <sip:a@h>' + b';a="' * 12000, b'Via: SIP/2.0/UDP ' + b'a ' * 25000, b'l : ' * 12000):
        message = parse_message(b'A sip:h SIP/2.0\r\n' + line + b'\r\n\r\n')
        dict(message.headers)
        message.body
    assert time.process_time() - start < 2  # some 0.1 s; quadratic parsing takes minutes


@given(st.lists(st.one_of(
    st.binary(max_size=40), st.tuples(st.sampled_from([line.partition(b':')[0] for line in INVITE.split(b'\r\n')[1:-2]]), st.binary(max_size=40)).map(b': '.join),
    st.sampled_from(INVITE.split(b'\r\n')))))
@example([b'From: <sip:h>', b'\xff'])
def test_fuzz(lines):
    message = parse_message(b'A sip:h SIP/2.0\r\n' + b'\r\n'.join(lines) + b'\r\n\r\n')
    plain = dict(message.headers)
    for name, value in plain.items():
        assert parse_message(message._data).headers[name] == value == message.headers[name.upper() if name.isascii() else name]
        assert name.lower() not in ('authorization', 'proxy-authorization')
    message.body


@given(st.binary())
def test_fuzz_bytes(data):
    parse_sipfrag(data)
    try:
        message = parse_message(data)
    except SIPCoreError:
        return
    dict(message.headers)
    message.body
