"""Digest authentication of calls: several realms, stale nonces, nonces used again inside the dialog. RFC 3261 section 22, RFC 8760."""

from __future__ import annotations

import hashlib
import re

import pytest

from sipsimple.core import Credentials
from tests.support.sip_calls import SDP_HEADERS, Outgoing
from tests.support.sip_peer import audio_sdp

PROXY, SERVER = 'proxy-authorization', 'authorization'
HASHES = {'MD5': hashlib.md5, 'SHA-256': hashlib.sha256}


def fields(header):
    return {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header)}


def given(request, header=SERVER, password='secret'):
    """realm -> (nonce, nc) of the credentials in a request, each checked."""
    found = {}
    for value in request.headers.get(header, []):
        assert value.startswith('Digest ')
        item = fields(value)
        digest = HASHES[item.get('algorithm', 'MD5')]

        def text(*parts, digest=digest):
            return digest(':'.join(parts).encode()).hexdigest()
        assert item['uri'] == request.start.split()[1] and item['username'] == 'alice'
        middle = [item[name] for name in ('nonce', 'nc', 'cnonce', 'qop')] if 'qop' in item else [item['nonce']]
        assert item['response'] == text(text('alice', item['realm'], password), *middle, text(request.method, item['uri']))
        assert item['realm'] not in found
        found[item['realm']] = item['nonce'], item.get('nc')
    return found


def challenges(*items, proxy=False):
    return ''.join(f'{"Proxy" if proxy else "WWW"}-Authenticate: Digest {item}\r\n' for item in items)


class Call(Outgoing):
    """A call with credentials."""

    def __init__(self, peer, seen, password='secret'):
        super().__init__(peer, seen, credentials=Credentials('alice', password))

    def challenge(self, *items, code=401):
        """Ask for credentials; the next INVITE is in `request`."""
        cseq = int(self.request.get('cseq').split()[0])
        self.answer(code, 'Who are you', headers=challenges(*items, proxy=code == 407))
        self.peer.expect('ACK')
        self.request = self.peer.expect('INVITE')
        assert int(self.request.get('cseq').split()[0]) == cseq + 1

    def asked_again(self, method, *items, code=401):
        """A request in the dialog is challenged: what comes then."""
        first = self.peer.expect(method)
        self.peer.answer(first, code, 'Who are you', headers=challenges(*items, proxy=code == 407))
        if method == 'INVITE':
            self.peer.expect('ACK')
        return self.peer.expect(method)


def test_two_realms_one_after_the_other(peer, seen):
    """The proxy asks first, then the server behind it. Both are told in every request of the dialog that follows, without being asked."""
    call = Call(peer, seen)
    assert given(call.request) == given(call.request, PROXY) == {}
    call.challenge('realm="proxy", nonce="p1", qop="auth"', code=407)
    assert given(call.request, PROXY) == {'proxy': ('p1', '00000001')} and given(call.request) == {}
    call.challenge('realm="server", nonce="s1", qop="auth", algorithm=SHA-256')
    assert given(call.request, PROXY) == {'proxy': ('p1', '00000001')} and given(call.request) == {'server': ('s1', '00000001')}
    call.answer(200, 'OK', sdp=audio_sdp(5000))
    ack = peer.expect('ACK')                    # which cannot be challenged: RFC 3261 section 22.1
    assert all(ack.headers[header] == call.request.headers[header] for header in (PROXY, SERVER))
    call.state('connected', sub_state='normal')
    call.invitation.send_reinvite()
    again = peer.expect('INVITE')
    assert given(again, PROXY) == {'proxy': ('p1', '00000002')} and given(again) == {'server': ('s1', '00000002')}
    peer.answer(again, 200, headers=SDP_HEADERS, body=audio_sdp(5000, version=2))
    peer.expect('ACK')
    call.state('connected', sub_state='normal')
    call.invitation.end()
    bye = peer.expect('BYE')
    assert given(bye, PROXY) == {'proxy': ('p1', '00000003')} and given(bye) == {'server': ('s1', '00000003')}
    peer.answer(bye, 200)
    assert call.state('disconnected').code == 200


def test_two_realms_at_once(peer, seen):
    call = Call(peer, seen)
    call.challenge('realm="one", nonce="1", qop="auth"', 'realm="two", nonce="2"', code=407)
    assert given(call.request, PROXY) == {'one': ('1', '00000001'), 'two': ('2', None)}
    call.connect().end()


def test_several_algorithms(peer, seen):
    """The first one that is known here (RFC 8760 section 2.4)."""
    call = Call(peer, seen)
    call.challenge('realm="r", nonce="0", algorithm=FUTURE-512, qop="auth"', 'realm="r", nonce="1", algorithm=SHA-256, qop="auth-int,auth"',
                   'realm="r", nonce="2", algorithm=MD5, qop="auth"')
    assert given(call.request) == {'r': ('1', '00000001')} and 'algorithm=SHA-256' in call.request.get('authorization')
    call.connect().end()


def test_stale_nonce(peer, seen):
    """Marked as such, before the call and in it; the opaque value of the last challenge is returned."""
    call = Call(peer, seen)
    call.challenge('realm="r", nonce="1", qop="auth"')
    call.challenge('realm="r", nonce="2", qop="auth", stale=true, opaque="box"')
    assert given(call.request) == {'r': ('2', '00000001')} and fields(call.request.get(SERVER))['opaque'] == 'box'
    call.connect()
    call.invitation.send_reinvite()
    again = call.asked_again('INVITE', 'realm="r", nonce="3", qop="auth", stale=TRUE')
    assert given(again) == {'r': ('3', '00000001')}
    peer.answer(again, 200, headers=SDP_HEADERS, body=audio_sdp(5000, version=2))
    peer.expect('ACK')
    call.state('connected', sub_state='normal')
    call.invitation.end()
    bye = call.asked_again('BYE', 'realm="r", nonce="4", qop="auth"')       # not marked, but it is another one than that used before
    assert given(bye) == {'r': ('4', '00000001')}
    peer.answer(bye, 200)
    assert call.state('disconnected').code == 200


def test_nonce_that_is_always_stale(peer, seen):
    """It ends some time."""
    call = Call(peer, seen)
    tries = 0
    while call.invitation.state != 'disconnected':
        try:
            request = peer.receive(0.2)
        except TimeoutError:
            continue
        tries += request.method == 'INVITE'
        assert tries < 20
        call.request = request if request.method == 'INVITE' else call.request
        call.answer(401, headers=challenges(f'realm="r", nonce="{tries}", qop="auth", stale=true'))
    assert call.state('disconnected').code == 401


@pytest.mark.parametrize('code, more', [(401, ', qop="auth"'), (407, ', qop="auth"'), (401, ''), (407, '')])
def test_wrong_password(peer, seen, code, more):
    """The code and words of the server; it is not tried again, whatever the nonce is."""
    call = Call(peer, seen, 'wrong')
    call.challenge(f'realm="r", nonce="1"{more}', code=code)
    assert given(call.request, SERVER if code == 401 else PROXY, 'wrong')
    call.answer(code, 'Not with that password', headers=challenges(f'realm="r", nonce="2"{more}', proxy=code == 407))
    peer.expect('ACK')
    data = call.state('disconnected')
    assert (data.originator, data.code, data.reason, data.disconnect_reason) == ('remote', code, 'Not with that password', 'Not with that password')


def test_one_of_two_passwords_is_wrong(peer, seen):
    """The proxy lets us pass, the server does not."""
    call = Call(peer, seen)
    call.challenge('realm="proxy", nonce="p", qop="auth"', code=407)
    call.challenge('realm="server", nonce="s", qop="auth"')
    call.answer(401, 'No', headers=challenges('realm="server", nonce="t", qop="auth"'))
    peer.expect('ACK')
    assert call.state('disconnected').code == 401
    assert peer.silent()


def test_digest_beside_another_scheme(peer, seen):
    call = Call(peer, seen)
    call.answer(401, headers='WWW-Authenticate: NTLM realm="r", targetname="x"\r\nWWW-Authenticate: Basic realm="r",\r\n charset="UTF-8"\r\n'
                + challenges('realm="r", nonce="1", qop="auth"') + 'WWW-Authenticate: Bearer realm="r", authz_server="https://example.com"\r\n')
    peer.expect('ACK')
    call.request = peer.expect('INVITE')
    assert given(call.request) == {'r': ('1', '00000001')}
    call.connect().end()


@pytest.mark.parametrize('challenge', ['Basic realm="r"', 'Digest realm="r", nonce="1", algorithm=FUTURE-512', 'Digest realm="r", nonce="1", qop="auth-int"', ''])
def test_challenge_that_cannot_be_answered(peer, seen, challenge):
    call = Call(peer, seen)
    call.answer(401, 'No way', headers=f'WWW-Authenticate: {challenge}\r\n' if challenge else '')
    peer.expect('ACK')
    assert call.state('disconnected').code == 401


def test_credentials_of_another_realm_are_not_given(peer, seen):
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'secret', realm='home'))
    call.answer(407, headers=challenges('realm="elsewhere", nonce="1"', proxy=True))
    peer.expect('ACK')
    assert call.state('disconnected').code == 407


@pytest.mark.parametrize('ours', [False, True])
def test_realm_that_is_not_ours_in_mid_call(peer, seen, ours):
    """A re-INVITE is challenged for a realm without credentials, alone or beside one that has some: the call goes on, and can be hung up."""
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'secret', realm='home')).connect()
    call.invitation.send_reinvite()
    request = peer.expect('INVITE')
    items = ['realm="elsewhere", nonce="1"', *(['realm="home", nonce="2"'] if ours else [])]
    peer.answer(request, 407, headers=challenges(*items, proxy=True))
    peer.expect('ACK')
    if ours:
        request = peer.expect('INVITE')
        assert given(request, PROXY) == {'home': ('2', None)}
        peer.answer(request, 407, headers=challenges('realm="elsewhere", nonce="3"', proxy=True))
        peer.expect('ACK')
    call.state('connected', sub_state='normal', code=407)
    call.invitation.send_reinvite()
    request = peer.expect('INVITE')
    assert given(request, PROXY) == ({'home': ('2', None)} if ours else {})
    peer.answer(request, 200, headers=SDP_HEADERS, body=audio_sdp(5000, version=2))
    peer.expect('ACK')
    call.state('connected', sub_state='normal', code=200)
    call.end()
