"""What a stranger may send to a running engine over UDP (patches 01, 04, 05, 07): the right answer, and the process lives."""

import pytest

from sipsimple.core import Invitation, SDPSession, SIPCoreError  # noqa: F401  (Invitation: it registers for INVITEs)
from tests.support.sip_peer import audio_sdp, tag_of

SDP = 'Content-Type: application/sdp\r\n'
HEAD = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=test\r\n'


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


@pytest.mark.parametrize('loose', [True, False])
def test_call_with_a_hidden_record_route(peer, seen, loose):
    uri = f'sip:127.0.0.1:{peer.port};{"lr;" if loose else ""}hide'
    invitation, ok, _tag = call(peer, seen, audio_sdp(5000), headers=f'Record-Route: <{uri}>\r\n')
    assert ok.get('record-route') == f'<{uri}>'
    invitation.end()
    bye = peer.expect('BYE')
    if loose:
        assert bye.start.split()[1] == peer.uri and bye.headers['route'] == [f'<{uri}>']
    else:                                       # RFC 3261 section 12.2.1.1: without lr, and only then, a strict route
        assert bye.start.split()[1] == uri and bye.headers['route'] == [f'<{peer.uri}>']
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


@pytest.mark.parametrize('reason', ['R' * 5000, 'Busy\r\nX-Forged: yes', 'Busy\0'], ids=['long', 'line break', 'NUL'])
def test_reasons_of_the_application_are_checked(peer, seen, reason):
    peer.send(peer.request('INVITE', headers=SDP, body=audio_sdp(5000)))
    invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
    with pytest.raises(SIPCoreError):
        invitation.send_response(486, reason)
    invitation.send_response(486, 'Busy')
    assert peer.expect(486).start == 'SIP/2.0 486 Busy'


@pytest.mark.parametrize('method', ['MESSAGE', 'NOTIFY'])
def test_multipart_without_parts(peer, seen, method):
    headers = 'Content-Type: multipart/related;boundary=b\r\n' + ('Event: presence\r\nSubscription-State: active\r\n' if method == 'NOTIFY' else '')
    peer.send(peer.request(method, headers=headers, body='--b--\r\n'))
    if method == 'NOTIFY':
        assert peer.receive().code >= 400
    else:
        assert peer.receive().code == 200
        assert seen.wait('SIPEngineGotMessage').data.body == b'--b--\r\n'
    alive(peer)


def test_short_message_after_a_long_one(peer, seen):
    """Bytes of the message before, still in the receive buffer, belong to no other (patch 60)."""
    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='X' * 60000))
    assert peer.receive().code == 200
    assert seen.wait('SIPEngineGotMessage').data.body == b'X' * 60000
    whole = peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='short')
    for length in range(len(whole) - 40, len(whole)):       # cut in the head, at its end and in the body
        peer.send(whole[:length])
    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='end'))
    body = None
    while body != b'end':
        message = seen.wait('SIPEngineGotMessage').data
        body = message.body
        assert b'XX' not in (body or b'') and 'XX' not in repr(message.headers)


def test_answers_around_the_size_of_the_first_buffer(peer):
    """An answer is printed into a small buffer first, into a large one when it does not fit (patch 61)."""
    sizes = set()
    for length in [*range(3000, 3900), 20000, 50000]:
        route = f'<sip:127.0.0.1;lr;pad={"p" * length}>'
        peer.send(peer.request('OPTIONS', headers=f'Record-Route: {route}\r\n'))
        answer = peer.receive()
        assert answer.code == 200 and answer.get('record-route') == route and answer.raw.endswith(b'\r\n\r\n')
        sizes.add(len(answer.raw))
    assert {3998, 3999, 4000, 4001} <= sizes


def test_final_response_to_a_request_retransmitted_often(peer, seen):
    """The next one comes after T2 at the latest (RFC 3261 section 17.2.1), however often the INVITE has come (patch 41)."""
    invite = peer.request('INVITE', headers=SDP, body=audio_sdp(5000))
    peer.send(invite)
    seen.wait('SIPInvitationChangedState', state='incoming').sender.send_response(486)
    peer.expect(486)
    for _ in range(29):
        peer.send(invite)
        peer.expect(486)
    for _ in range(2):                          # of the timer, after T1 and after T2
        peer.expect(486)
