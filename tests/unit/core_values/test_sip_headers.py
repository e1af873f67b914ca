import copy
import pickle

import pytest
from hypothesis import example, given, strategies as st

import sipsimple.core.headers as headers_package
from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import (
    ContactHeader,
    ContentType,
    ContentTypeHeader,
    EventHeader,
    FromHeader,
    FrozenContactHeader,
    FrozenContentTypeHeader,
    FrozenFromHeader,
    FrozenHeader,
    FrozenReasonHeader,
    FrozenToHeader,
    FrozenViaHeader,
    Header,
    ReasonHeader,
    RecordRouteHeader,
    ReferToHeader,
    ReplacesHeader,
    RetryAfterHeader,
    RouteHeader,
    SubjectHeader,
    SubscriptionStateHeader,
    ToHeader,
    ViaHeader,
    WarningHeader,
)
from sipsimple.core.headers.syntax import parse_parameters, split_list
from sipsimple.core.values import FrozenSIPURI, SIPURI

URI = SIPURI('example.com', 'alice')
FROZEN_URI = FrozenSIPURI('example.com', 'alice')

# class, constructor arguments, body
SAMPLES = [
    (Header, ('X-Foo', 'bar; baz'), 'bar; baz'),
    (FromHeader, (URI,), '<sip:alice@example.com>'),
    (FromHeader, (URI, 'Alice "A" \\ Smith', {'tag': 'x1'}), '"Alice \\"A\\" \\\\ Smith" <sip:alice@example.com>;tag=x1'),
    (ToHeader, (URI, 'Bob', {'tag': '1', 'flag': None}), '"Bob" <sip:alice@example.com>;tag=1;flag'),
    (RouteHeader, (SIPURI('h', parameters={'lr': None}),), '<sip:h;lr>'),
    (RecordRouteHeader, (SIPURI('h', parameters={'lr': None}), None, {'x': 'y'}), '<sip:h;lr>;x=y'),
    (ContactHeader, (None,), '*'),
    (ContactHeader, (URI, 'Al', {'q': '0.7', '+sip.instance': '"<urn:uuid:1>"'}),
     '"Al" <sip:alice@example.com>;q=0.7;+sip.instance="<urn:uuid:1>"'),
    (ContentTypeHeader, ('multipart/mixed', {'boundary': '"a;b"'}), 'multipart/mixed;boundary="a;b"'),
    (RetryAfterHeader, (5,), '5'),
    (RetryAfterHeader, (18000, 'in (a) meeting', {'duration': '3600'}), '18000 (in \\(a\\) meeting);duration=3600'),
    (ViaHeader, ('UDP', '192.0.2.1'), 'SIP/2.0/UDP 192.0.2.1:5060'),
    (ViaHeader, ('TLS', '::1', 5070, {'rport': None, 'branch': 'z9hG4bK1'}), 'SIP/2.0/TLS [::1]:5070;rport;branch=z9hG4bK1'),
    (WarningHeader, (370, 'devnull', 'Choose a "bigger" pipe'), '370 devnull "Choose a \\"bigger\\" pipe"'),
    (EventHeader, ('presence', {'id': '5'}), 'presence;id=5'),
    (SubscriptionStateHeader, ('terminated', {'reason': 'timeout', 'retry-after': '7'}), 'terminated;reason=timeout;retry-after=7'),
    (ReasonHeader, ('SIP', {'cause': '200', 'text': '"Call completed"'}), 'SIP;cause=200;text="Call completed"'),
    (ReferToHeader, ('sip:bob@h?Replaces=1%3Bto-tag%3D2', {'x': None}), '<sip:bob@h?Replaces=1%3Bto-tag%3D2>;x'),
    (ReferToHeader, ('tel:+123',), '<tel:+123>'),
    (SubjectHeader, ('Lunch, today; or not',), 'Lunch, today; or not'),
    (ReplacesHeader, ('a@b', 'f1', 't1', 1, {'x': 'y'}), 'a@b;from-tag=f1;to-tag=t1;early-only;x=y')]


def test_every_pair_is_sampled_and_complete():
    mutable = {cls for cls, _, _ in SAMPLES}
    expected = {
        name for name in headers_package.__all__
        if name.endswith('Header') and not name.startswith(('Base', 'Frozen')) and name != 'IdentityHeader'}
    assert {cls.__name__ for cls in mutable} == expected
    for cls in mutable:
        frozen = getattr(headers_package, 'Frozen' + cls.__name__)
        base = getattr(headers_package, 'Base' + cls.__name__)
        assert cls.normal_type is frozen.normal_type is cls and cls.frozen_type is frozen.frozen_type is frozen
        assert issubclass(cls, base) and issubclass(frozen, base)
        with pytest.raises(TypeError):
            base()
    for name in ('IdentityHeader', 'FrozenIdentityHeader', 'BaseIdentityHeader'):
        for cls in (FromHeader, ToHeader, RouteHeader, RecordRouteHeader):
            assert issubclass(cls if not name.startswith('F') else cls.frozen_type, getattr(headers_package, name))
        with pytest.raises(TypeError):
            getattr(headers_package, name)(URI)


@pytest.mark.parametrize('cls, args, body', SAMPLES)
def test_common_rules(cls, args, body):
    header = cls(*args)
    assert header.body == body and str(header) == f'{header.name}: {body}'
    frozen = cls.frozen_type.new(header)
    assert frozen == header and header == frozen and not frozen != header and str(frozen) == str(header) == str(frozen)
    assert cls.frozen_type.new(frozen) is frozen and hash(frozen) == hash(cls.frozen_type.new(header))
    copied = cls.new(frozen)
    assert type(copied) is cls and copied == header and cls.new(header) is not header
    for value in (header, frozen):
        for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert other == value and type(other) is type(value)
    with pytest.raises(TypeError):
        hash(header)
    with pytest.raises(TypeError):
        header < frozen
    with pytest.raises(SIPCoreError):
        header.__init__(*args)
    with pytest.raises(TypeError):
        frozen.__init__(*args)
    for kind in (cls, cls.frozen_type):
        with pytest.raises(TypeError):
            kind.new(None)
        with pytest.raises(TypeError):
            kind.new('x')
    for field in cls._fields:
        with pytest.raises(AttributeError):
            setattr(frozen, field, 'x')
    if cls is not Header:
        for kind in (cls, cls.frozen_type):
            assert kind.parse(body) == header and kind.parse(f' {body}\t') == header


@pytest.mark.parametrize('cls, args, body', [sample for sample in SAMPLES if sample[0] is not ContactHeader])
def test_none_where_required(cls, args, body):
    with pytest.raises(ValueError if cls is SubjectHeader else TypeError):
        cls(None, *args[1:])


def test_twins_insist_on_their_types():
    with pytest.raises(TypeError):
        FromHeader(FROZEN_URI)
    with pytest.raises(TypeError):
        FrozenFromHeader(URI)
    with pytest.raises(TypeError):
        FrozenFromHeader(FROZEN_URI, None, {'tag': 'x'})
    with pytest.raises(TypeError):
        FromHeader(URI).uri = FROZEN_URI
    with pytest.raises(TypeError):
        FromHeader(URI, 5)
    assert FrozenFromHeader(FROZEN_URI, None, frozendict(tag='x')).tag == 'x'
    assert FromHeader(URI) != ToHeader(URI) and FrozenFromHeader(FROZEN_URI) != FrozenToHeader(FROZEN_URI)


def test_new_copies_deeply():
    header = FromHeader(URI, 'A', {'tag': 'x'})
    other = FromHeader.new(header)
    other.uri.user, other.parameters['tag'] = 'bob', 'y'
    assert header.uri.user == 'alice' and header.tag == 'x'


def test_tag():
    header = FromHeader(SIPURI('h'))
    assert header.tag is None
    header.tag = 'x'
    assert header.parameters == {'tag': 'x'} and header.body == '<sip:h>;tag=x'
    header.tag = None
    assert header.parameters == {}
    with pytest.raises(AttributeError):
        FrozenFromHeader(FROZEN_URI).tag = 'x'


def test_contact():
    header = ContactHeader(SIPURI('h'), parameters={'q': '0.25', 'expires': '60'})
    assert (header.q, header.expires) == (0.25, 60)
    header.q, header.expires = 1, None
    assert header.body == '<sip:h>;q=1'
    for value in (-0.1, 1.1):
        with pytest.raises(ValueError):
            header.q = value
    with pytest.raises(ValueError):
        header.expires = -1
    for arguments in ((None, 'A'), (None, None, {'q': '1'})):
        with pytest.raises(ValueError):
            ContactHeader(*arguments)
    star = ContactHeader(None)
    for name, value in (('display_name', 'x'), ('parameters', {'x': None}), ('q', 1), ('expires', 1)):
        with pytest.raises(ValueError):
            setattr(star, name, value)
    with pytest.raises(ValueError):
        header.uri = None
    assert FrozenContactHeader.parse(' * ').uri is None


@pytest.mark.parametrize('text, value', [
    ('0', 0), ('4294967296', 4294967295), ('9' * 5000, 4294967295), ('-1', None), ('x', None), ('', None), ('²', None), ('1.5', None)])
def test_hostile_expires(text, value):
    assert ContactHeader.parse(f'<sip:h>;expires={text}').expires == value
    assert SubscriptionStateHeader.parse(f'active;expires={text}').expires == value


@pytest.mark.parametrize('text, value', [('0.5', 0.5), ('1', 1), ('.5', 0.5), ('2', None), ('nan', None), ('1e999', None), ('9' * 99, None), ('.', None)])
def test_hostile_q(text, value):
    assert ContactHeader.parse(f'<sip:h>;q={text}').q == value


def test_content_type():
    kind = ContentType('text/plain')
    assert (kind, kind.type, kind.subtype) == ('text/plain', 'text', 'plain') and isinstance(kind, str)
    for value in ('', 'text', 'text/', '/plain', '/'):
        with pytest.raises(ValueError):
            ContentType(value)
    header = ContentTypeHeader('text/plain')
    assert type(header.content_type) is ContentType
    header.content_type = 'nonsense'
    assert header.content_type is None and header.body == 'nonsense'
    with pytest.raises(TypeError):
        header.content_type = None
    assert FrozenContentTypeHeader.parse('Text/HTML ; Charset = ISO-8859-4').parameters == {'charset': 'ISO-8859-4'}


def test_via():
    header = ViaHeader('UDP', 'h', parameters={'rport': '5', 'ttl': '16', 'maddr': 'm', 'received': 'r', 'branch': 'b', 'comp': 'sigcomp'})
    assert (header.rport, header.ttl, header.maddr, header.received, header.branch, header.compression) == (5, 16, 'm', 'r', 'b', 'sigcomp')
    header.compression, header.ttl = None, 1
    assert 'comp' not in header.parameters and header.parameters['ttl'] == '1'
    for port in (0, 65536, -1):
        with pytest.raises(ValueError):
            ViaHeader('UDP', 'h', port)
        with pytest.raises(ValueError):
            header.port = port
    # RFC 4475 §3.1.1.1
    assert FrozenViaHeader.parse('SIP  / 2.0\n  /UDP\n    192.0.2.2;branch=390skdjuw').body == 'SIP/2.0/UDP 192.0.2.2:5060;branch=390skdjuw'
    assert FrozenViaHeader.parse('SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,'.rstrip(' ,')).branch == 'z9hG4bK9ikj8'
    assert FrozenViaHeader.parse('SIP/2.0/TLS h').port == 5061
    assert FrozenViaHeader.parse('SIP/2.0/UDP h;rport').rport is None


def test_warning_code():
    for code in (99, 1000):
        with pytest.raises(ValueError):
            WarningHeader(code, 'a', 'b')
    header = WarningHeader(100, 'a', 'b')
    header.text, header.code = 'c', 399
    assert header.body == '399 a "c"'


def test_reason():
    header = ReasonHeader('SIP')
    assert header.cause is None and header.text is None
    header.cause, header.text = 486, 'He said "no"'
    assert header.body == 'SIP;cause=486;text="He said \\"no\\""' and header.text == 'He said "no"'
    assert FrozenReasonHeader.parse('SIP;text="a, b";cause=1, Q.850;cause=16').text == 'a, b'


def test_parameters_are_given_out_as_copies():
    for header in (EventHeader('presence', {'id': '1'}), SubscriptionStateHeader('active', {'expires': '1'})):
        parameters = header.parameters
        header.parameters['x'] = 'y'
        assert header.parameters == parameters
        header.parameters = {'z': None}
        assert header.body.endswith(';z')
    header = EventHeader('presence')
    header.id = '7'
    assert header.body == 'presence;id=7'


def test_subscription_state():
    header = SubscriptionStateHeader('active')
    header.expires, header.retry_after, header.reason = 5, 6, 'probation'
    assert header.body == 'active;expires=5;retry-after=6;reason=probation'


def test_refer_to_takes_text():
    with pytest.raises(TypeError):
        ReferToHeader(URI)
    with pytest.raises(ValueError):
        ReferToHeader('sip:a>;x=<sip:b')
    assert ReferToHeader.parse('"Bob" <sip:b@h;method=INVITE>').uri == 'sip:b@h;method=INVITE'
    assert ReferToHeader.parse('sip:b@h').body == '<sip:b@h>'
    with pytest.raises(SIPCoreError):
        ReferToHeader.parse('<sip:a@h>, <sip:b@h>')


@pytest.mark.parametrize('body, display_name, uri, parameters', [
    ('Alice Smith <sip:a@h>;tag=1', 'Alice Smith', 'sip:a@h', {'tag': '1'}),
    ('"A;<b>, \\"c\\"" <sip:a@h>', 'A;<b>, "c"', 'sip:a@h', {}),
    ('sip:a@h;tag=1', None, 'sip:a@h', {'tag': '1'}),
    ('"" <sip:a@h>', None, 'sip:a@h', {}),
    ('<sip:a@h;x=y> ; Tag = 1 ;; b', None, 'sip:a@h;x=y', {'tag': '1', 'b': None}),
    # RFC 4475 §3.1.1.1, §3.1.1.6
    ('"J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8', 'J Rosenberg \\"', 'sip:jdrosen@example.com', {'tag': '98asjd8'}),
    ('I have a user name of extreme proportion<sip:a@h>;tag=1;tag=2', 'I have a user name of extreme proportion', 'sip:a@h', {'tag': '1'}),
    ('"caf\u00e9"<sip:a@h>', 'café', 'sip:a@h', {})])
def test_name_addr(body, display_name, uri, parameters):
    for cls in (FromHeader, FrozenFromHeader):
        header = cls.parse(body)
        assert (header.display_name, str(header.uri), header.parameters) == (display_name, uri, parameters)
        assert cls.parse(header.body) == header


@pytest.mark.parametrize('cls, body', [
    (FromHeader, ''), (FromHeader, '<>'), (FromHeader, '<sip:a@h'), (FromHeader, '"x <sip:a@h>'), (FromHeader, '"x" sip:a@h <sip:b@h>'),
    (FromHeader, '<tel:+1>'), (FromHeader, '<sip:a@h>;=x'), (FromHeader, '*'), (ContactHeader, '**'), (ViaHeader, 'SIP/2.0/UDP'),
    (ViaHeader, 'SIP/3.0/UDP h'), (ViaHeader, 'SIP/2.0/UDP h:0'), (ViaHeader, 'SIP/2.0/UDP h:99999'), (ViaHeader, 'SIP/2.0/UDP [::1'), (ViaHeader, 'h'),
    (EventHeader, ''), (EventHeader, ';id=1'), (ReplacesHeader, 'a;to-tag=1'), (ReplacesHeader, 'a;from-tag=1'), (WarningHeader, '370 x'),
    (WarningHeader, '070 a "b"'), (RetryAfterHeader, 'x'), (RetryAfterHeader, '-1'), (RetryAfterHeader, '5 (a'), (RetryAfterHeader, '9' * 5000),
    (ContentTypeHeader, ''), (ReasonHeader, ''), (ReasonHeader, ','), (ReferToHeader, ''), (ReferToHeader, '<>')])
def test_invalid(cls, body):
    for kind in (cls, cls.frozen_type):
        with pytest.raises(SIPCoreError):
            kind.parse(body)


def test_values_cannot_break_out():
    header = FromHeader(SIPURI('h'), 'A\r\nX: y', {'x': 'a;b', 'y': '"\r\n', 'z': 'a,b'})
    assert header.body == '"A X: y" <sip:h>;x="a;b";y="\\" ";z="a,b"'


def test_lists():
    assert split_list('a, "b, c" , <d,e>;f="g,h",,') == ['a', '"b, c"', '<d,e>;f="g,h"']
    assert split_list('a, "b, c') == ['a', '"b, c'] and split_list('"b\\') == ['"b\\'] and split_list('<a, b') == ['<a', 'b'] and split_list('') == []
    assert parse_parameters(';a="x;y";b=<p;q>;A=2') == {'a': '"x;y"', 'b': '"<p;q>"'}


def test_plain_header_takes_any_text():
    header = Header('X', '')
    header.name, header.body = 'Y', 'z'
    assert str(header) == 'Y: z' and FrozenHeader('Y', 'z') == header
    for arguments in (('X', None), (None, 'x'), (b'X', 'y')):
        for cls in (Header, FrozenHeader):
            with pytest.raises(TypeError):
                cls(*arguments)


PARSED = sorted({cls.frozen_type for cls, _, _ in SAMPLES if cls is not Header}, key=lambda cls: cls.__name__)
SYNTAX = st.text('sipAB:@;,<>"\\=()* /2.0UDP[]%\t\u00e9', max_size=60)


@pytest.mark.parametrize('cls', PARSED)
@given(body=st.one_of(SYNTAX, SYNTAX.map('<sip:a@h>;'.__add__), SYNTAX.map('a;from-tag=1;to-tag=2;'.__add__), st.text()))
@example(body='"' * 5000)
@example(body='"\\' * 5000)
@example(body='";0=,')
@example(body='<' * 5000)
@example(body='(' * 5000)
@example(body='5 ' + '(\\' * 5000)
@example(body='<sip:a@h>' + ';a="' * 5000)
def test_fuzz(cls, body):
    try:
        header = cls.parse(body)
    except SIPCoreError:
        return
    again = cls.parse(header.body)
    assert again == header and again.body == header.body
