import copy
import pickle

import pytest
from hypothesis import example, given, strategies as st

from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.values import BaseCredentials, BaseSIPURI, Credentials, EndpointAddress, FrozenCredentials, FrozenSIPURI, SIPURI

FIELDS = ('host', 'user', 'password', 'port', 'secure', 'parameters', 'headers')


def test_defaults():
    for cls, kind in ((SIPURI, dict), (FrozenSIPURI, frozendict)):
        uri = cls('example.com')
        assert [getattr(uri, name) for name in FIELDS] == ['example.com', None, None, None, False, {}, {}]
        assert type(uri.parameters) is kind and type(uri.headers) is kind
        assert uri.transport == 'udp' and str(uri) == 'sip:example.com'


def test_mutable_defaults_are_not_shared():
    SIPURI('a').parameters['x'] = 'y'
    assert SIPURI('a').parameters == {} and FrozenSIPURI('a').parameters == {}


@pytest.mark.parametrize('text', [
    'sip:example.com', 'sips:alice@example.com', 'sip:alice:secret@example.com:5061;transport=tls;lr?Subject=a%20b&X=',
    'sip:[2001:db8::1]:5060;lr', 'sip:+358-555-1234567;postd=pp22@foo.com;user=phone', "sip:a.b-c_d!e~f*g'h(i)@h",
    'sip:alice@example.com;maddr=[::1]', 'sip:a%40b@example.com', 'sip:user;par=u%40example.net@example.com'])
def test_round_trip(text):
    for cls in (SIPURI, FrozenSIPURI):
        uri = cls.parse(text)
        assert str(uri) == text and cls.parse(f' <{text}> ') == uri


@pytest.mark.parametrize('text, fields', [
    ('SIP:Alice@Example.COM;Transport=TCP', dict(host='Example.COM', user='Alice', parameters={'transport': 'TCP'})),
    ('sip:a;b?c@h', dict(host='h', user='a;b?c')),
    ('sip:h;lr;x=;y=1?A=%3B', dict(host='h', parameters={'lr': None, 'x': '', 'y': '1'}, headers={'A': ';'})),
    ('sip:a:@h:5070', dict(host='h', user='a', password='', port=5070)),
    # RFC 4475 §3.1.1.1, §3.1.1.3, §3.1.1.9
    ('sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn\'t-it)@example.com',
     dict(host='example.com', user="1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
          password="&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")),
    ('sip:null-%00-null@example.com', dict(host='example.com', user='null-\0-null')),
    ('sip:user;par=u%40example.net@example.com', dict(host='example.com', user='user;par=u@example.net')),
    ('sip:caf%C3%A9@h', dict(host='h', user='café')), ('sip:caf%E9@h', dict(host='h', user='café')),
    ('sip:100%@h', dict(host='h', user='100%'))])
def test_parse(text, fields):
    uri = SIPURI.parse(text)
    assert uri == SIPURI(**fields) and SIPURI.parse(str(uri)) == uri


@pytest.mark.parametrize('text', [
    '', 'sip:', 'sip', 'sips:', ':', '<>', '<sip:>', 'tel:+123', 'http://example.com', 'alice@example.com', 'sip:@example.com',
    'sip::x@h', 'sip:alice@', 'sip:a@b c', 'sip:h:0', 'sip:h:65536', 'sip:h:-1', 'sip:h:5060x', 'sip:h:' + '9' * 5000,
    'sip:[::1', 'sip:[1.2.3.4]', 'sip:[::1]x', 'sip:[]', 'sip:::1', 'sip:a@h\r\nX: y', 'sip:a@<h>', '<sip:h>;lr', 'sip:h;=1',
    '"A" <sip:h>', 'sip:h\0', 'sip:h²', 'sip:h:²', 'sip:' + 'a' * 5000 + '@h', 'sip:ﬀ@ünï.example'])
def test_invalid(text):
    for cls in (SIPURI, FrozenSIPURI):
        with pytest.raises(SIPCoreError):
            cls.parse(text)


def test_escaping():
    uri = SIPURI('h', user='a b@<>"\r\n', password='p:;', parameters={'x;y': 'a=b c'}, headers={'S?': 'a&b=c'})
    assert str(uri) == 'sip:a%20b%40%3C%3E%22%0D%0A:p%3A%3B@h;x%3By=a%3Db%20c?S?=a%26b%3Dc'
    assert SIPURI.parse(str(uri)) == uri


@pytest.mark.parametrize('args, kw, error', [
    ((None,), {}, TypeError), ((b'h',), {}, TypeError), (('',), {}, SIPCoreError), (('a b',), {}, SIPCoreError),
    (('h\r\nX: y',), {}, SIPCoreError), (('h',), dict(port=0), ValueError), (('h',), dict(port=65536), ValueError),
    (('h',), dict(port='x'), ValueError), (('h',), dict(user=b'x'), TypeError), (('h',), dict(password=1), TypeError),
    (('h',), dict(parameters='x=y'), TypeError)])
def test_invalid_arguments(args, kw, error):
    for cls in (SIPURI, FrozenSIPURI):
        with pytest.raises(error):
            cls(*args, **kw)


def test_frozen_takes_only_frozendict():
    with pytest.raises(TypeError):
        FrozenSIPURI('h', parameters={'lr': None})
    assert FrozenSIPURI('h', parameters=frozendict(lr=None)) == SIPURI('h', parameters={'lr': None})


def test_writable_and_read_only():
    uri = SIPURI('h')
    uri.host, uri.user, uri.port, uri.secure, uri.parameters = '[::1]', 'bob', '5080', 1, {'x': None}
    assert str(uri) == 'sips:bob@[::1]:5080;x' and uri.host == '::1' and uri.secure is True
    for name, value, error in (('host', None, TypeError), ('port', 70000, ValueError), ('user', 5, TypeError)):
        with pytest.raises(error):
            setattr(uri, name, value)
    with pytest.raises(AttributeError):
        uri.hots = 'x'
    frozen = FrozenSIPURI.new(uri)
    for name in FIELDS + ('transport',):
        with pytest.raises(AttributeError):
            setattr(frozen, name, 'x')
    with pytest.raises(TypeError):
        frozen.parameters['a'] = 'b'


def test_transport():
    uri = SIPURI('h')
    uri.transport = 'tls'
    assert uri.parameters == {'transport': 'tls'} and uri.transport == 'tls'
    uri.transport = 'UDP'
    assert uri.parameters == {} and uri.transport == 'udp'
    with pytest.raises(TypeError):
        uri.transport = None
    assert SIPURI.parse('sip:h;transport=TCP').transport == 'tcp' and SIPURI.parse('sip:h;transport').transport == 'udp'


def test_twins():
    uri = SIPURI.parse('sip:alice@example.com:5070;lr?a=b')
    frozen = FrozenSIPURI.new(uri)
    assert uri == frozen and frozen == uri and FrozenSIPURI.new(frozen) is frozen and hash(frozen) == hash(FrozenSIPURI.new(uri))
    copied = SIPURI.new(uri)
    copied.parameters['x'] = 'y'
    assert uri != copied and frozen == uri and SIPURI.new(frozen) == uri
    for cls in (SIPURI, FrozenSIPURI):
        with pytest.raises(TypeError):
            cls.new('sip:h')
        with pytest.raises(TypeError):
            cls.new(None)
    with pytest.raises(TypeError):
        hash(uri)
    with pytest.raises(TypeError):
        uri < frozen
    for value in (uri, frozen):
        for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert other == value and type(other) is type(value)
    assert uri != 'sip:alice@example.com:5070;lr?a=b'


@pytest.mark.parametrize('name, value', [
    ('host', 'other'), ('user', 'bob'), ('password', 'x'), ('port', 5060), ('secure', True), ('parameters', {'x': None}),
    ('headers', {'x': 'y'})])
def test_every_field_counts(name, value):
    uri, other = SIPURI('h', 'alice'), SIPURI('h', 'alice')
    setattr(other, name, value)
    assert uri != other and FrozenSIPURI.new(uri) != FrozenSIPURI.new(other)


@pytest.mark.parametrize('address, result', [
    ('alice', True), ('sip:alice', True), ('sips:alice', False), ('bob', False), ('alice@example.com', True),
    ('alice@EXAMPLE.com', True), ('alice@example.org', False), ('alice@example.com:5070', True), ('alice@example.com:5060', False),
    ('alice;transport=tcp', True), ('alice@example.com;transport=udp', False), ('alice;lr', False), ('alice?s=1', True),
    ('alice@example.com:5070;transport=tcp?s=1', True), ('alice?s=2', False), ('alice?t', False), ('', False), ('@example.com', False),
    ('alice;=', False)])
def test_matches(address, result):
    uri = SIPURI.parse('sip:alice@example.com:5070;transport=tcp;x?s=1')
    assert uri.matches(address) is result and FrozenSIPURI.new(uri).matches(address) is result


def test_matches_needs_text():
    with pytest.raises(TypeError):
        SIPURI('h').matches(None)


def test_double_init():
    uri, frozen = SIPURI('h'), FrozenSIPURI('h')
    with pytest.raises(SIPCoreError):
        uri.__init__('other')
    with pytest.raises(TypeError):
        frozen.__init__('other')
    with pytest.raises(SIPCoreError):
        Credentials.__init__(Credentials('a', 'b'), 'c', 'd')
    assert uri.host == frozen.host == 'h'


def test_base_classes_are_abstract():
    with pytest.raises(TypeError):
        BaseSIPURI('h')
    with pytest.raises(TypeError):
        BaseCredentials('a', 'b')


def test_credentials():
    credentials = Credentials('alice', 'secret')
    assert (credentials.username, credentials.password, credentials.realm, credentials.digest) == ('alice', 'secret', '*', False)
    assert str(credentials) == '<Credentials for "alice@*">' and 'secret' not in repr(credentials)
    frozen = FrozenCredentials.new(credentials)
    assert frozen == credentials and str(frozen) == '<FrozenCredentials for "alice@*">' and hash(frozen) == hash(FrozenCredentials('alice', 'secret'))
    credentials.realm, credentials.digest = 'r', True
    assert frozen != credentials and pickle.loads(pickle.dumps(credentials)) == credentials
    with pytest.raises(AttributeError):
        frozen.password = 'x'
    for arguments in ((None, 'x'), ('x', None), ('x', 'x', None)):
        for cls in (Credentials, FrozenCredentials):
            with pytest.raises(TypeError):
                cls(*arguments)
    with pytest.raises(TypeError):
        credentials.username = None


def test_endpoint_address():
    address = EndpointAddress('192.0.2.1', 5060)
    assert str(address) == '192.0.2.1:5060' and str(EndpointAddress('::1', 5060)) == '[::1]:5060'
    assert address == EndpointAddress('192.0.2.1', 5060) != EndpointAddress('192.0.2.1', 5061)
    assert len({address, EndpointAddress('192.0.2.1', 5060)}) == 1


@given(st.one_of(st.text(), st.text('sip:@;?&=%[]<>\r\n0aF:"', max_size=60), st.text('sip:@;?&=%0a', max_size=40).map('sip:'.__add__)))
@example('sip:a@h;' + ';' * 4000)
@example('sip:h?' + '&' * 4000)
def test_fuzz_parse(text):
    try:
        uri = FrozenSIPURI.parse(text)
    except SIPCoreError:
        return
    printed = str(uri)
    assert printed.isascii() and printed.isprintable()
    assert FrozenSIPURI.parse(printed) == uri and str(FrozenSIPURI.parse(printed)) == printed


@given(st.text(min_size=1), st.text(), st.dictionaries(st.text(min_size=1), st.none() | st.text()), st.integers(1, 65535))
def test_fuzz_print(user, password, headers, port):
    uri = SIPURI('h', user, password, port, headers=headers)
    assert str(uri).isascii() and str(uri).isprintable()


def test_three_colons_of_an_old_grammar() -> None:
    """RFC 5118 section 4.10."""
    assert SIPURI.parse('sip:user@[2001:db8:::192.0.2.1]').host == '2001:db8::192.0.2.1'
    for text in ('sip:user@[2001:db8::::1]', 'sip:user@[1:::2:::3]'):
        with pytest.raises(SIPCoreError):
            SIPURI.parse(text)
