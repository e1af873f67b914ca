"""Request, Registration and Message against a scripted peer."""

import hashlib
import re

import pytest

from sipsimple.core import ContactHeader, Credentials, FromHeader, Header, Message, Registration, Request, RouteHeader, SIPCoreError, SIPURI, ToHeader
from tests.support.engine import nothing_left

ENGINE_OPTIONS = {'tcp_port': 0}


def make_request(peer, method='OPTIONS', **kwargs):
    uri = SIPURI(host='example.com', user='bob')
    return Request(method, uri, FromHeader(SIPURI(host='example.com', user='alice'), 'Alice "A"'), ToHeader(uri),
                   RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)), **kwargs)


def digest_of(header, method, password, algorithm='md5'):
    """The expected response of a digest Authorization value (RFC 7616)."""
    fields = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header)}

    def digest(text):
        return hashlib.new(algorithm, text.encode()).hexdigest()
    ha1 = digest(f'{fields["username"]}:{fields["realm"]}:{password}')
    ha2 = digest(f'{method}:{fields["uri"]}')
    middle = f'{fields["nonce"]}:{fields["nc"]}:{fields["cnonce"]}:{fields["qop"]}' if 'qop' in fields else fields['nonce']
    expected = digest(f'{ha1}:{middle}:{ha2}')
    return fields['response'], expected


def test_message_on_the_wire(peer, seen):
    request = make_request(peer, 'MESSAGE', content_type='text/plain', body='Zwölf', extra_headers=[Header('X-Extra', 'one, two')], cseq=77,
                           call_id='my-call', contact_header=ContactHeader(SIPURI(host='127.0.0.1', user='me')))
    request.send()
    assert request.state == 'IN_PROGRESS'
    sent = peer.expect('MESSAGE')
    assert sent.start == 'MESSAGE sip:bob@example.com SIP/2.0'
    assert sent.get('route') == f'<sip:127.0.0.1:{peer.port};lr>'
    assert sent.get('x-extra') == 'one, two'
    assert sent.get('cseq') == '77 MESSAGE'
    assert sent.get('call-id') == 'my-call'
    assert sent.get('from').startswith('"Alice \\"A\\"" <sip:alice@example.com>;tag=')
    assert sent.body == 'Zwölf'
    peer.answer(sent, 200)
    data = seen.wait('SIPRequestDidSucceed', sender=request).data
    assert (data.code, data.reason, data.expires) == (200, 'Test', 0)
    assert data.headers['CSeq'] == (77, 'MESSAGE')
    seen.wait('SIPRequestDidEnd', sender=request)
    assert request.state == 'TERMINATED'
    assert request.peer_address.port == peer.port


def test_provisional_then_failure(peer, seen):
    request = make_request(peer)
    request.send()
    sent = peer.expect('OPTIONS')
    peer.answer(sent, 182, 'Queued')
    assert seen.wait('SIPRequestGotProvisionalResponse', sender=request).data.code == 182
    peer.answer(sent, 404, 'Nobody there', headers='X-Why: unknown\r\n', body='')
    data = seen.wait('SIPRequestDidFail', sender=request).data
    assert (data.code, data.reason) == (404, 'Nobody there')
    assert data.headers['X-Why'].body == 'unknown'


def test_non_utf8_reason_is_survived(peer, seen):
    request = make_request(peer)
    request.send()
    sent = peer.expect('OPTIONS')
    peer.send(peer.response(sent, 486, 'REASON').encode().replace(b'REASON', b'caf\xe9 \xff'))
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 486


@pytest.mark.parametrize('algorithm, name', [('md5', 'MD5'), ('sha256', 'SHA-256')])
@pytest.mark.parametrize('code, challenge, response', [(401, 'WWW-Authenticate', 'authorization'), (407, 'Proxy-Authenticate', 'proxy-authorization')])
def test_digest(peer, seen, algorithm, name, code, challenge, response):
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    first = peer.expect('OPTIONS')
    peer.answer(first, code, headers=f'{challenge}: Digest realm="example.com", nonce="abc", algorithm={name}, qop="auth"\r\n')
    second = peer.expect('OPTIONS')
    assert int(second.get('cseq').split()[0]) == int(first.get('cseq').split()[0]) + 1
    given, expected = digest_of(second.get(response), 'OPTIONS', 'secret', algorithm)
    assert given == expected
    peer.answer(second, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)
    assert request.cseq == int(second.get('cseq').split()[0])


def challenge(peer, request, lines, code=401):
    peer.answer(request, code, headers=''.join(f'{"WWW" if code == 401 else "Proxy"}-Authenticate: Digest {line}\r\n' for line in lines))


@pytest.mark.parametrize('qop', [', qop="auth"', ''])
def test_strongest_is_what_the_server_names_first(peer, seen, qop):
    """RFC 8760 section 2.4; each challenge has a nonce of its own."""
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), [f'realm="example.com", nonce="one", algorithm=SHA-256{qop}', f'realm="example.com", nonce="two"{qop}'])
    again = peer.expect('OPTIONS')
    assert len(again.headers['authorization']) == 1 and 'algorithm=SHA-256' in again.get('authorization') and 'nonce="one"' in again.get('authorization')
    given, expected = digest_of(again.get('authorization'), 'OPTIONS', 'secret', 'sha256')
    assert given == expected
    peer.answer(again, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_unknown_algorithm_is_passed_over(peer, seen):
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), ['realm="example.com", nonce="one", algorithm=FUTURE-1, qop="auth"', 'realm="example.com", nonce="two", qop="auth"'])
    again = peer.expect('OPTIONS')
    given, expected = digest_of(again.get('authorization'), 'OPTIONS', 'secret')
    assert given == expected and 'nonce="two"' in again.get('authorization')
    peer.answer(again, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_digest_without_qop(peer, seen):
    """RFC 2069 style."""
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), ['realm="example.com", nonce="n", opaque="o"'])
    again = peer.expect('OPTIONS')
    fields = dict(re.findall(r'(\w+)="([^"]*)"', again.get('authorization')))
    ha1, ha2 = (hashlib.md5(text.encode()).hexdigest() for text in ('alice:example.com:secret', f'OPTIONS:{fields["uri"]}'))
    assert fields['response'] == hashlib.md5(f'{ha1}:n:{ha2}'.encode()).hexdigest()
    assert fields['opaque'] == 'o' and 'qop' not in again.get('authorization')
    peer.answer(again, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


@pytest.mark.parametrize('algorithm, name', [('md5', 'MD5'), ('sha256', 'SHA-256')])
def test_digest_from_the_hash(peer, seen, algorithm, name):
    ha1 = hashlib.new(algorithm, b'alice:example.com:secret').hexdigest()
    request = make_request(peer, credentials=Credentials('alice', ha1, 'example.com', digest=True))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), [f'realm="example.com", nonce="n", algorithm={name}, qop="auth"'])
    again = peer.expect('OPTIONS')
    given, expected = digest_of(again.get('authorization'), 'OPTIONS', 'secret', algorithm)
    assert given == expected
    peer.answer(again, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_credentials_of_another_realm_are_not_given_away(peer, seen):
    request = make_request(peer, credentials=Credentials('alice', 'secret', 'example.org'))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), ['realm="example.com", nonce="n", qop="auth"'])
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 401
    assert peer.silent(0.1)


def test_same_realm_of_proxy_and_server(peer, seen):
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    challenge(peer, peer.expect('OPTIONS'), ['realm="example.com", nonce="p", qop="auth"'], 407)
    challenge(peer, peer.expect('OPTIONS'), ['realm="example.com", nonce="s", qop="auth"'], 401)
    last = peer.expect('OPTIONS')
    assert 'nonce="p"' in last.get('proxy-authorization') and 'nonce="s"' in last.get('authorization')
    peer.answer(last, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_parameters_of_from_and_to_go_out(peer, seen):
    uri = SIPURI(host='example.com', user='bob')
    request = Request('OPTIONS', uri, FromHeader(SIPURI(host='example.com', user='alice'), 'Alice', {'x-mine': 'yes', 'tag': 'not-this'}),
                      ToHeader(uri, parameters={'x-flag': None}), RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)))
    request.send()
    sent = peer.expect('OPTIONS')
    assert ';x-mine=yes' in sent.get('from') and 'not-this' not in sent.get('from') and sent.get('from').count('tag=') == 1
    assert sent.get('to') == '<sip:bob@example.com>;x-flag'
    peer.answer(sent, 200)
    seen.wait('SIPRequestDidEnd', sender=request)


def test_same_branch_of_two_senders(peer, seen):
    """Two requests, not one that comes again (RFC 3261 section 17.2.3)."""
    for text in ('one', 'two'):
        request = peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body=text, branch='z9hG4bK1')
        peer.send(request.replace(f'/UDP 127.0.0.1:{peer.port}', f'/UDP {text}.example.com'))
        assert seen.wait('SIPEngineGotMessage').data.body == text.encode()
        assert peer.expect(200).get('via').startswith(f'SIP/2.0/UDP {text}.example.com')


def test_challenge_is_answered_once(peer, seen):
    request = make_request(peer, credentials=Credentials('alice', 'wrong'))
    request.send()
    for nonce in ('one', 'two'):
        peer.answer(peer.expect('OPTIONS'), 401, headers=f'WWW-Authenticate: Digest realm="example.com", nonce="{nonce}"\r\n')
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 401


def test_stale_nonce_is_replaced(peer, seen):
    """RFC 7616 section 3.3: the credentials were right, only the nonce is too old."""
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    for nonce, stale in (('one', ''), ('two', ', stale=true')):
        peer.answer(peer.expect('OPTIONS'), 401, headers=f'WWW-Authenticate: Digest realm="example.com", nonce="{nonce}", qop="auth"{stale}\r\n')
    last = peer.expect('OPTIONS')
    assert 'nonce="two"' in last.get('authorization')
    given, expected = digest_of(last.get('authorization'), 'OPTIONS', 'secret')
    assert given == expected
    peer.answer(last, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_stale_nonces_have_an_end(peer, seen):
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    for nonce in range(4):
        peer.answer(peer.expect('OPTIONS'), 401, headers=f'WWW-Authenticate: Digest realm="example.com", nonce="{nonce}", stale=true\r\n')
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 401


def test_proxy_and_server_both_ask(peer, seen):
    """RFC 3261 section 22.3: each gets the credentials for its realm, and the proxy's stay."""
    request = make_request(peer, credentials=Credentials('alice', 'secret'))
    request.send()
    peer.answer(peer.expect('OPTIONS'), 407, headers='Proxy-Authenticate: Digest realm="proxy", nonce="one", qop="auth"\r\n')
    peer.answer(peer.expect('OPTIONS'), 401, headers='WWW-Authenticate: Digest realm="server", nonce="two", qop="auth"\r\n')
    last = peer.expect('OPTIONS')
    for header in ('authorization', 'proxy-authorization'):
        given, expected = digest_of(last.get(header), 'OPTIONS', 'secret')
        assert given == expected
    peer.answer(last, 200)
    seen.wait('SIPRequestDidSucceed', sender=request)


def test_challenge_without_credentials_or_with_empty_realm(peer, seen):
    for credentials in (None, Credentials('alice', 'x')):
        request = make_request(peer, credentials=credentials)
        request.send()
        peer.answer(peer.expect('OPTIONS'), 401, headers='WWW-Authenticate: Digest realm="", nonce=""\r\n')
        while True:
            notification = seen.wait('SIPRequestDidFail', sender=request) if credentials is None else None
            break
        if notification is None:
            again = peer.expect('OPTIONS')
            peer.answer(again, 403)
            notification = seen.wait('SIPRequestDidFail', sender=request)
        assert notification.data.code in (401, 403)


def test_timeout_and_end(peer, seen):
    request = make_request(peer)
    request.send(timeout=0.1)
    assert seen.wait('SIPRequestDidFail', sender=request).data.code == 408
    other = make_request(peer)
    other.send()
    other.end()
    assert seen.wait('SIPRequestDidFail', sender=other).data.code == 408
    other.end()
    with pytest.raises(SIPCoreError):
        other.send()


def test_expiry(peer, seen):
    request = make_request(peer, extra_headers=[Header('Expires', '60')])
    request.send()
    peer.answer(peer.expect('OPTIONS'), 200, headers='Expires: 2\r\n')
    assert seen.wait('SIPRequestDidSucceed', sender=request).data.expires == 2
    assert request.state == 'EXPIRING' and 0 < request.expires_in <= 2
    assert seen.wait('SIPRequestWillExpire', sender=request).data.expires >= 0
    seen.wait('SIPRequestDidEnd', sender=request)
    assert request.state == 'TERMINATED'


def test_arguments_are_checked(peer):
    with pytest.raises(ValueError):
        make_request(peer, cseq=-1)
    with pytest.raises(ValueError):
        make_request(peer, body='x')
    for name in ('Route', 'Content-Type', 'Via', 'from'):
        with pytest.raises(ValueError):
            make_request(peer, extra_headers=[Header(name, 'x')])
    with pytest.raises(TypeError):
        Request('OPTIONS', 'sip:x', None, None, None)
    for timeout in (0, -1):
        with pytest.raises(ValueError):
            make_request(peer).send(timeout=timeout)
    with pytest.raises(SIPCoreError):
        make_request(peer, extra_headers=[Header('X-Evil', 'a\r\nVia: forged')]).send()


def register(peer, **kwargs):
    registration = Registration(FromHeader(SIPURI(host='example.com', user='alice')), **kwargs)
    contact = ContactHeader(SIPURI(host='127.0.0.1', port=5999, user='me'))
    registration.register(contact, RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)), timeout=5)
    return registration


def test_registration(peer, seen):
    registration = register(peer, duration=100)
    sent = peer.expect('REGISTER')
    assert sent.start == 'REGISTER sip:example.com SIP/2.0'
    assert sent.get('expires') == '100'
    assert sent.get('to') == '<sip:alice@example.com>'
    peer.send(peer.response(sent, 200).replace(f'Contact: <{peer.uri}>\r\n', 'Contact: <sip:me@127.0.0.1:5999>;expires=90, <sip:other@example.com>;expires=5\r\nExpires: 60\r\n'))
    data = seen.wait('SIPRegistrationDidSucceed', sender=registration).data
    assert data.expires_in == 90        # of our contact: other bindings have their own time
    assert [str(contact.uri) for contact in data.contact_header_list] == ['sip:me@127.0.0.1:5999', 'sip:other@example.com']
    assert registration.is_registered and 88 <= registration.expires_in <= 90
    assert registration.contact_uri.user == 'me'
    registration.end(timeout=5)
    seen.wait('SIPRegistrationWillEnd', sender=registration)
    last = peer.expect('REGISTER')
    assert last.get('expires') == '0' and last.get('call-id') == sent.get('call-id')
    assert int(last.get('cseq').split()[0]) > int(sent.get('cseq').split()[0])
    peer.answer(last, 200)
    assert seen.wait('SIPRegistrationDidEnd', sender=registration).data.expired is False
    assert not registration.is_registered


def test_registration_failure(peer, seen):
    registration = register(peer)
    peer.answer(peer.expect('REGISTER'), 423, headers='Min-Expires: 700\r\n')
    data = seen.wait('SIPRegistrationDidFail', sender=registration).data
    assert (data.code, data.min_expires, data.retry_after) == (423, 700, None)
    assert not registration.is_registered
    registration.end()                  # nothing to end


def test_registration_that_has_to_wait(peer, seen):
    registration = register(peer)
    peer.answer(peer.expect('REGISTER'), 503, headers='Retry-After: 17 (maintenance);duration=3\r\n')
    data = seen.wait('SIPRegistrationDidFail', sender=registration).data
    assert (data.code, data.min_expires, data.retry_after) == (503, None, 17)


def test_registration_that_is_granted_no_time(peer, seen):
    registration = register(peer)
    peer.answer(peer.expect('REGISTER'), 200, headers='Expires: 0\r\n')
    assert seen.wait('SIPRegistrationDidFail', sender=registration).data.code == 200
    assert not registration.is_registered


def test_dropped_registration(peer, seen):
    registration = register(peer)
    sent = peer.expect('REGISTER')
    registration.drop()
    peer.answer(sent, 200, headers='Expires: 60\r\n')
    registration = register(peer)
    peer.answer(peer.expect('REGISTER'), 200, headers='Expires: 60\r\n')
    seen.wait('SIPRegistrationDidSucceed', sender=registration)
    registration.drop()
    assert not registration.is_registered and peer.silent()
    assert [past.name for past in seen.past if past.name.startswith('SIPRegistration')] == ['SIPRegistrationDidSucceed']


def test_registration_that_cannot_be_sent_is_told_not_raised(peer, seen):
    registration = Registration(FromHeader(SIPURI(host='example.com', user='alice')), extra_headers=[Header('Via', 'not allowed')])
    registration.register(ContactHeader(SIPURI(host='127.0.0.1', user='me')), RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)))
    data = seen.wait('SIPRegistrationDidFail', sender=registration).data
    assert data.code == 0 and data.reason and not hasattr(data, 'min_expires')


def test_registration_supersedes_the_one_under_way(peer, seen):
    registration = register(peer)
    first = peer.expect('REGISTER')
    registration.register(ContactHeader(SIPURI(host='127.0.0.1', port=5999, user='me')), RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)))
    second = peer.expect('REGISTER')
    while second.get('cseq') == first.get('cseq'):      # a retransmission
        second = peer.expect('REGISTER')
    peer.answer(first, 403)
    peer.answer(second, 200, headers='Expires: 60\r\n')
    seen.wait('SIPRegistrationDidSucceed', sender=registration)
    assert not [past for past in seen.past if past.name == 'SIPRegistrationDidFail']
    registration.end()
    peer.answer(peer.expect('REGISTER'), 500)
    assert seen.wait('SIPRegistrationDidNotEnd', sender=registration).data.code == 500


def test_registration_that_runs_out(peer, seen):
    registration = register(peer)
    peer.answer(peer.expect('REGISTER'), 200, headers='Expires: 2\r\n')
    assert seen.wait('SIPRegistrationDidSucceed', sender=registration).data.expires_in == 2
    assert seen.wait('SIPRegistrationWillExpire', sender=registration).data.expires <= 1
    assert seen.wait('SIPRegistrationDidEnd', sender=registration).data.expired is True
    assert not registration.is_registered and registration.expires_in == 0


def test_message(peer, seen):
    uri = SIPURI(host='example.com', user='bob')
    message = Message(FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)),
                      'text/plain', 'hello')
    message.send()
    assert message.is_sent and message.in_progress
    peer.answer(peer.expect('MESSAGE'), 202)
    assert seen.wait('SIPMessageDidSucceed', sender=message).data.code == 202
    with pytest.raises(RuntimeError):
        message.send()


def test_message_to_nobody_fails(seen):
    uri = SIPURI(host='example.com', user='bob')
    message = Message(FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri),
                      RouteHeader(SIPURI(host='127.0.0.1', port=9, parameters={'transport': 'tcp'})), 'text/plain', 'hello')
    message.send(timeout=5)
    assert seen.wait('SIPMessageDidFail', sender=message).data.code in (408, 502, 503)


def test_dropped_request_is_silent(peer, seen):
    request = make_request(peer)
    request.send()
    sent = peer.expect('OPTIONS')
    del request
    peer.answer(sent, 200)
    last = make_request(peer)
    last.send()
    peer.answer(peer.expect('OPTIONS'), 200)
    seen.wait('SIPRequestDidEnd', sender=last)
    assert sum(past.name == 'SIPRequestDidSucceed' for past in seen.past) == 1


def test_nothing_is_left(engine):
    assert nothing_left()
