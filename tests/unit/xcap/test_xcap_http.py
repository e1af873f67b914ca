"""The HTTP client of XCAP against a server that can be told to fail."""


import pytest
from lxml import etree

from sipsimple.account.xcap import client as client_module
from sipsimple.account.xcap.client import ELEMENT, XCAPClient
from sipsimple.account.xcap.errors import (
    AuthenticationError,
    ConflictError,
    HTTPError,
    NotFoundError,
    PreconditionError,
    ServerError,
    TooLarge,
    TransportError,
)
from sipsimple.account.xcap.http_auth import Authenticator, parse_challenges
from sipsimple.account.xcap.uri import document_path, document_url, list_selector, node_url
from sipsimple.threading.green import wait_deferred
from tests.support.certificates import Authority
from tests.support.xcap_rig import green
from tests.support.xcap_server import XCAPServer

PATH = 'resource-lists/users/sip:alice@example.com/index'
DOCUMENT = b'<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="friends"><entry uri="sip:bob@example.com"/></list></resource-lists>'
TYPE = 'application/resource-lists+xml'


@pytest.fixture
def server():
    with XCAPServer() as server:
        yield server


class Client:
    """XCAPClient for a test's thread."""

    def __init__(self, server, username='alice', password='secret', credentials=None, root=None):
        self.root = root or server.root
        self._client = green(lambda: XCAPClient(self.root, username, password, credentials))
        self.url = document_url(self.root, 'resource-lists', 'sip:alice@example.com', 'index')

    def __getattr__(self, name):
        return lambda *args, **kw: green(lambda: wait_deferred(getattr(self._client, name)(*args, **kw)))

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.close()


# ---- URIs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('auid, user, file, path', [
    ('resource-lists', 'sip:alice@example.com', 'index', 'resource-lists/users/sip:alice@example.com/index'),
    ('xcap-caps', None, 'index', 'xcap-caps/global/index'),
    ('org.openmobilealliance.pres-content', 'sip:alice@example.com', 'oma_status-icon/index',
     'org.openmobilealliance.pres-content/users/sip:alice@example.com/oma_status-icon/index'),
    ('x', 'sip:a b/c?d#\u00e9%@e', 'index', 'x/users/sip:a%20b%2Fc%3Fd%23%C3%A9%25@e/index'),
])
def test_only_what_must_be_is_escaped_in_a_path(auid, user, file, path):
    assert document_path(auid, user, file) == path
    assert document_url('http://x/root/', auid, user, file) == document_url('http://x/root', auid, user, file) == f'http://x/root/{path}'


def test_node_selectors():
    assert node_url('http://x/d', list_selector('a b')) == 'http://x/d/~~/resource-lists/list%5B@name=%22a%20b%22%5D'
    assert node_url('http://x/d', '/rl:a/rl:b/@c', {'rl': 'urn:x(y)'}) == 'http://x/d/~~/rl:a/rl:b/@c?xmlns(rl=urn:x%5E(y%5E))'
    assert list_selector('"&<') == 'resource-lists/list[@name="&quot;&amp;&lt;"]'


# ---- documents -----------------------------------------------------------------------------------------------------


def test_a_document_is_written_read_changed_and_deleted(server):
    with Client(server) as client:
        with pytest.raises(NotFoundError):
            client.get(client.url)
        created = client.put(client.url, DOCUMENT, TYPE, create=True)
        assert created.code == 201 and created.etag == server.documents[PATH][0]
        read = client.get(client.url)
        assert (read.code, read.data, read.etag) == (200, DOCUMENT, created.etag)
        same = client.get(client.url, created.etag)
        assert (same.code, same.data, same.etag) == (304, b'', created.etag)
        with pytest.raises(PreconditionError):
            client.put(client.url, DOCUMENT, TYPE, create=True)
        changed = client.put(client.url, DOCUMENT + b'\n', TYPE, etag=created.etag)
        assert changed.code == 200 and changed.etag != created.etag
        for attempt in (lambda: client.put(client.url, DOCUMENT, TYPE, etag=created.etag), lambda: client.delete(client.url, created.etag)):
            with pytest.raises(PreconditionError):
                attempt()
        client.delete(client.url, changed.etag)
        with pytest.raises(NotFoundError):
            client.delete(client.url)
    assert [seen.headers['Content-Type'] for seen in server.requests if seen.method == 'PUT'] == [TYPE] * 4
    assert not server.documents


def test_nodes_with_namespaces_are_read_written_and_deleted(server):
    server.put(PATH, DOCUMENT)
    with Client(server) as client:
        bob = node_url(client.url, 'resource-lists/list[@name="friends"]/entry[@uri="sip:bob@example.com"]')
        read = client.get(bob)
        assert read.content_type == ELEMENT and etree.fromstring(read.data).get('uri') == 'sip:bob@example.com'
        prefixed = node_url(client.url, 'x:resource-lists/x:list/x:entry[1]/@uri', {'x': 'urn:ietf:params:xml:ns:resource-lists'})
        assert client.get(prefixed).data == b'sip:bob@example.com'
        carol = node_url(client.url, 'resource-lists/list[@name="friends"]/entry[@uri="sip:carol@example.com"]')
        client.put(carol, b'<entry xmlns="urn:ietf:params:xml:ns:resource-lists" uri="sip:carol@example.com"/>', ELEMENT, etag=read.etag)
        with pytest.raises(PreconditionError):
            client.delete(bob, read.etag)
        client.delete(bob)
        with pytest.raises(NotFoundError):
            client.get(bob)
        with pytest.raises(ConflictError) as caught:
            client.put(node_url(client.url, 'resource-lists/list[@name="x"]/entry[@uri="y"]'), b'<entry uri="y"/>', ELEMENT)
        assert caught.value.condition == 'no-parent'
    assert b'carol' in server.documents[PATH][1] and b'bob' not in server.documents[PATH][1]


# ---- refusals ------------------------------------------------------------------------------------------------------


def test_a_conflict_says_why(server):
    with Client(server) as client:
        with pytest.raises(ConflictError) as caught:
            client.put(client.url, b'no XML', TYPE)
        assert (caught.value.condition, caught.value.phrase, caught.value.code) == ('not-well-formed', 'it is so', 409)
        assert 'not-well-formed' in str(caught.value) and 'it is so' in str(caught.value)


@pytest.mark.parametrize('body', [b'', b'text', b'<a/>', b'<xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"/>',
                                  b'<!DOCTYPE x [<!ENTITY a "b">]><xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"><x phrase="&a;"/></xcap-error>'])
def test_a_conflict_that_does_not_say_why(server, body):
    server.conflict = body
    with Client(server) as client, pytest.raises(ConflictError) as caught:
        client.put(client.url, DOCUMENT, TYPE)
    assert caught.value.condition is None and caught.value.phrase is None


@pytest.mark.parametrize('code, kind', [(400, HTTPError), (403, HTTPError), (404, NotFoundError), (409, ConflictError), (412, PreconditionError),
                                        (500, ServerError), (503, ServerError), (302, HTTPError), (401, AuthenticationError)])
def test_refusals(server, code, kind):
    server.faults.append(code)
    with Client(server) as client:
        with pytest.raises(kind) as caught:
            client.get(client.url)
        assert type(caught.value) is kind and caught.value.code == code
        with pytest.raises(NotFoundError):      # and the connection is as good as ever
            client.get(client.url)


# ---- connections that break ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('fault', ['cut before', 'cut after', 'cut inside'])
@pytest.mark.parametrize('method', ['get', 'put'])
def test_a_broken_connection_is_told(server, fault, method):
    server.put(PATH, DOCUMENT)
    with Client(server) as client:
        server.faults.append(fault)
        with pytest.raises(TransportError):
            client.get(client.url) if method == 'get' else client.put(client.url, DOCUMENT, TYPE)
        assert client.get(client.url).data == DOCUMENT
    assert sum(seen.method == 'PUT' for seen in server.requests) == (method == 'put')      # a write is never repeated unasked


def test_nobody_there():
    with XCAPServer() as server:
        root = server.root
    with Client(None, root=root) as client, pytest.raises(TransportError):
        client.get(client.url)


def test_an_answer_that_does_not_come(server, monkeypatch):
    monkeypatch.setattr(client_module, 'REQUEST_LIMIT', 0.2)
    server.faults.append('stall')
    with Client(server) as client:
        with pytest.raises(TransportError, match='0.2 s'):
            client.get(client.url)
        monkeypatch.setattr(client_module, 'REQUEST_LIMIT', 60.0)
        with pytest.raises(NotFoundError):
            client.get(client.url)


def test_an_answer_that_does_not_end(server, monkeypatch):
    monkeypatch.setattr(client_module, 'MAX_BODY', 1 << 20)
    server.faults.append('giant')
    with Client(server) as client:
        with pytest.raises(TooLarge):
            client.get(client.url)
        with pytest.raises(NotFoundError):
            client.get(client.url)


# ---- redirections --------------------------------------------------------------------------------------------------


def test_redirections_on_the_same_host_are_followed(server):
    server.put(PATH, DOCUMENT)
    with Client(server) as client:
        server.redirect['/xcap-root/a'] = 302, f'/xcap-root/{PATH}'
        server.redirect['/xcap-root/b'] = 307, f'{server.root}/{PATH}'
        assert client.get(f'{server.root}/a').data == client.get(f'{server.root}/b').data == DOCUMENT
        assert client.put(f'{server.root}/b', DOCUMENT, TYPE).code == 200
        with pytest.raises(HTTPError) as caught:
            client.put(f'{server.root}/a', DOCUMENT, TYPE)
        assert caught.value.code == 302


@pytest.mark.parametrize('target', ['http://example.com/x', 'ftp://127.0.0.1/x', 'http://[::1', '//localhost/x'])
def test_others_are_not(server, target):
    server.redirect['/xcap-root/a'] = 307, target
    with Client(server) as client, pytest.raises(TransportError, match='redirected'):
        client.get(f'{server.root}/a')


def test_a_circle_of_redirections_ends(server):
    server.redirect['/xcap-root/a'] = 302, '/xcap-root/a'
    with Client(server) as client, pytest.raises(HTTPError) as caught:
        client.get(f'{server.root}/a')
    assert caught.value.code == 302 and len(server.requests) == client_module.MAX_REDIRECTS + 1


# ---- authentication ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('algorithm', ['MD5', 'SHA-256'])
def test_digest_authentication(algorithm):
    with XCAPServer({'alice': 's\u00e4 "cret"'}, algorithm) as server, Client(server, password='s\u00e4 "cret"') as client:
        for _ in range(3):
            client.put(client.url, DOCUMENT, TYPE)
        assert client.get(node_url(client.url, list_selector('friends'))).code == 200
        assert [code for _, _, code in server.methods()] == [401, 201, 200, 200, 200]      # challenged once


def test_a_nonce_that_became_too_old():
    with XCAPServer({'alice': 'secret'}) as server, Client(server) as client:
        server.stale_after = 2
        for _ in range(5):
            client.put(client.url, DOCUMENT, TYPE)
        assert [code for _, _, code in server.methods()] == [401, 201, 200, 401, 200, 200, 401, 200]


def test_a_wrong_password_is_given_once_and_a_right_one_later_is_taken():
    with XCAPServer({'alice': 'other'}) as server, Client(server) as client:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                client.get(client.url)
        assert len(server.requests) == 4
        server.users['alice'] = 'secret'
        with pytest.raises(NotFoundError):
            client.get(client.url)


def test_a_password_is_not_sent_in_the_clear():
    with XCAPServer({'alice': 'secret'}, 'Basic') as server, Client(server) as client:
        with pytest.raises(AuthenticationError):
            client.get(client.url)
        assert [seen.headers.get('Authorization') for seen in server.requests] == [None]


@pytest.mark.parametrize('text, expected', [
    ('Digest realm="a, b", nonce="c\\"d", qop="auth,auth-int", Basic realm=x', [('digest', {'realm': 'a, b', 'nonce': 'c"d', 'qop': 'auth,auth-int'}), ('basic', {'realm': 'x'})]),
    ('Negotiate, Digest nonce=a', [('negotiate', {}), ('digest', {'nonce': 'a'})]),
    ('Basic', [('basic', {})]),
    ('Digest REALM = "a" , nonce=b,,', [('digest', {'realm': 'a', 'nonce': 'b'})]),
    ('Digest realm="a', [('digest', {}), ]),
    ('', []), (',,', []), ('"', []),
])
def test_challenges_are_read(text, expected):
    found = [(item.scheme, item.parameters) for item in parse_challenges([text])]
    assert found[:len(expected)] == expected


def test_the_examples_of_rfc_7616(monkeypatch):
    monkeypatch.setattr('secrets.token_hex', lambda size: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ')
    parameters = 'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    for algorithm, response in (('MD5', '8ca523f5e9506fed4657c9700eebdbec'), ('SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1')):
        authenticator = Authenticator('Mufasa', 'Circle of Life', False)
        assert authenticator.challenge(parse_challenges([f'Digest {parameters}, algorithm={algorithm}']))
        assert f'response="{response}"' in authenticator.header('GET', '/dir/index.html')


def test_the_better_algorithm_is_chosen_and_what_is_unknown_is_not():
    authenticator = Authenticator('a', 'b', False)
    assert authenticator.challenge(parse_challenges(['Digest realm=a, nonce=1, algorithm=MD5', 'Digest realm=a, nonce=2, algorithm=SHA-256, qop=auth']))
    assert 'nonce="2"' in authenticator.header('GET', '/')
    authenticator = Authenticator('a', 'b', False)
    assert not authenticator.challenge(parse_challenges(['Digest realm=a, nonce=1, algorithm=FOO', 'Digest realm=a, nonce=1, qop=foo', 'Basic realm=a']))
    assert authenticator.header('GET', '/') is None


def test_who_does_not_know_the_password_is_not_believed():
    authenticator = Authenticator('a', 'b', False)
    authenticator.challenge(parse_challenges(['Digest realm=a, nonce=1, qop=auth']))
    authenticator.header('GET', '/')
    assert not authenticator.confirm('rspauth="0123", qop=auth')
    authenticator.header('GET', '/')
    assert authenticator.confirm('nextnonce="2"') and 'nonce="2"' in authenticator.header('GET', '/')
    assert authenticator.confirm(None) and authenticator.confirm('')


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


def pem(authority, name, *names, **kw):
    path = authority.issue(name, *names, **kw)
    both = path.with_suffix('.both')
    both.write_bytes(path.with_suffix('.pem').read_bytes() + path.with_suffix('.key').read_bytes())
    return str(both)


def test_basic_authentication_over_tls(authority):
    from msrplib.tls import X509Credentials
    with (XCAPServer({'alice': 'secret'}, 'Basic', certificate=pem(authority, 'good', '127.0.0.1')) as server,
          Client(server, credentials=X509Credentials(trusted=authority.file)) as client):
        assert client.put(client.url, DOCUMENT, TYPE).code == 201
        assert [code for _, _, code in server.methods()] == [401, 201]


@pytest.mark.parametrize('name, verify, good', [('127.0.0.1', True, True), ('127.0.0.2', True, False), ('127.0.0.2', False, True)])
def test_certificates_are_checked(authority, name, verify, good):
    from msrplib.tls import X509Credentials
    with (XCAPServer(certificate=pem(authority, f'c{name}-{verify}', name)) as server,
          Client(server, credentials=X509Credentials(trusted=authority.file, verify=verify)) as client):
        with pytest.raises(NotFoundError if good else TransportError):
            client.get(client.url)
        assert len(server.requests) == good


@pytest.mark.parametrize('kind', [{'expired': True}, {'self_signed': True}])
def test_bad_certificates_are_refused(authority, kind):
    from msrplib.tls import X509Credentials
    with (XCAPServer(certificate=pem(authority, next(iter(kind)), '127.0.0.1', **kind)) as server,
          Client(server, credentials=X509Credentials(trusted=authority.file)) as client):
        with pytest.raises(TransportError):
            client.get(client.url)
        assert not server.requests
