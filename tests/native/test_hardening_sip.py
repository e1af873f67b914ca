"""What a stranger may send to a running engine over UDP (patches 01, 04, 05, 07): the right answer, and the process lives."""

import pytest

from sipsimple.core import SDPSession
from tests.support.engine import Seen, running_engine
from tests.support.sip_peer import UDPPeer, audio_sdp, tag_of

SDP = 'Content-Type: application/sdp\r\n'
HEAD = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=test\r\n'


@pytest.fixture(scope='module')
def engine():
    with running_engine() as engine:
        yield engine


@pytest.fixture
def seen():
    seen = Seen()
    yield seen
    seen.stop()


@pytest.fixture
def peer(engine):
    with UDPPeer(engine.udp_port) as peer:
        yield peer


def alive(peer):
    peer.send(peer.request('OPTIONS'))
    assert peer.receive().code


def call(peer, seen, body, headers=''):
    """An INVITE that is accepted; returns the 200."""
    peer.send(peer.request('INVITE', headers=headers + SDP, body=body))
    invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
    invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    ok = peer.expect(200)
    tag = tag_of(ok.get('to'))
    peer.send(peer.request('ACK', call_id=invitation.call_id, to_tag=tag))
    seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
    return invitation, ok, tag


@pytest.mark.parametrize('route', ['<sip:x;hide>', '<sip:x;lr;hide>'])
def test_record_route_with_hide_is_echoed(peer, route):
    peer.send(peer.request('OPTIONS', headers=f'Record-Route: {route}\r\n'))
    answer = peer.receive()
    assert answer.code and (answer.code >= 300 or answer.get('record-route') == route)
    alive(peer)


def test_call_with_a_hidden_record_route(peer, seen):
    route = f'<sip:127.0.0.1:{peer.port};lr;hide>'
    invitation, ok, tag = call(peer, seen, audio_sdp(5000), headers=f'Record-Route: {route}\r\n')
    assert ok.get('record-route') == route
    invitation.end()
    bye = peer.expect('BYE')
    assert bye.get('route') == route
    peer.answer(bye, 200)
    seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


@pytest.mark.parametrize('offer', [
    HEAD + 't=0 0\r\nm=audio 5000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\nm=video 0 RTP/AVP 34\r\n',
    HEAD + 'c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 00\r\n',
], ids=['disabled line without c=', 'payload type 00'])
def test_odd_offers_are_answered(peer, seen, offer):
    invitation, ok, _tag = call(peer, seen, offer)
    media = [line for line in ok.body.split('\r\n') if line.startswith('m=')]
    assert media[0].startswith('m=audio 4000 ')
    assert all(line.split()[1] == '0' for line in media[1:])
    invitation.end()
    peer.answer(peer.expect('BYE'), 200)
    seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


@pytest.mark.parametrize('method', ['MESSAGE', 'NOTIFY'])
def test_multipart_without_parts(peer, method):
    headers = 'Content-Type: multipart/related;boundary=b\r\n' + ('Event: presence\r\nSubscription-State: active\r\n' if method == 'NOTIFY' else '')
    peer.send(peer.request(method, headers=headers, body='--b--\r\n'))
    if method == 'NOTIFY':
        assert peer.receive().code >= 400
    alive(peer)
