"""What is answered to a request outside dialogs before anybody is asked: RFC 3261 section 8.2; and what OPTIONS tells of us."""

from __future__ import annotations

import pytest

from sipsimple.core import SDPSession
from tests.support.sip_calls import SDP_HEADERS, Incoming, Outgoing
from tests.support.sip_peer import audio_sdp

TWO_PARTS = ('--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\nContent-Type: application/sdp\r\n\r\n' + audio_sdp() + '\r\n--x--\r\n')


def values(message, name):
    return [value.strip() for value in (message.get(name) or '').split(',') if value.strip()]


def final(peer):
    answer = peer.receive()
    while answer.code == 100:
        answer = peer.receive()
    return answer


def invited(peer, seen, **options):
    """An INVITE that is offered to the application; its Invitation."""
    return Incoming(peer, seen, **options).invitation


@pytest.mark.parametrize('inside', [False, True])
def test_options(engine, peer, seen, inside):
    """In a dialog and outside: the methods that are answered, those of the application and the packages that can be subscribed to among them."""
    engine.add_incoming_request('PUBLISH')
    engine.add_incoming_event('presence')
    engine.add_incoming_event('dialog')
    try:
        if inside:
            call = Outgoing(peer, seen).connect()
            peer.send(call.in_dialog('OPTIONS', cseq=1))
        else:
            peer.send(peer.request('OPTIONS'))
        answer = peer.expect(200)
        if inside:
            call.end()
    finally:
        engine.remove_incoming_event('dialog')
        engine.remove_incoming_event('presence')
        engine.remove_incoming_request('PUBLISH')
    assert sorted(values(answer, 'allow')) == ['ACK', 'BYE', 'CANCEL', 'INVITE', 'MESSAGE', 'NOTIFY', 'OPTIONS', 'PRACK', 'PUBLISH', 'REFER', 'SUBSCRIBE', 'UPDATE']
    assert 'application/sdp' in values(answer, 'accept')
    assert {'100rel', 'gruu', 'norefersub', 'replaces', 'timer'} <= set(values(answer, 'supported'))
    assert sorted(values(answer, 'allow-events')) == ['dialog', 'presence']


def test_what_is_not_there_is_not_told(peer):
    peer.send(peer.request('OPTIONS'))
    answer = peer.expect(200)
    assert 'PUBLISH' not in values(answer, 'allow') and answer.get('allow-events') is None
    peer.send(peer.request('NOSUCH'))
    assert 'OPTIONS' in values(peer.expect(405), 'allow')


@pytest.mark.parametrize('method', ['INVITE', 'OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'REFER'])
def test_unknown_extensions_are_named(peer, method):
    """All of them, whichever header they are in."""
    more = 'Event: presence\r\nRefer-To: <sip:a@example.com>\r\n'
    headers, body = (SDP_HEADERS, audio_sdp()) if method == 'INVITE' else (more, '')
    peer.send(peer.request(method, headers=f'{headers}Require: 100rel, telepathy\r\nRequire: telekinesis\r\nRequire: replaces\r\n', body=body))
    answer = final(peer)
    assert answer.code == 420 and values(answer, 'unsupported') == ['telepathy', 'telekinesis']


def test_required_extensions_that_we_have(peer, seen):
    invitation = invited(peer, seen, headers='Require: replaces\r\nRequire: timer\r\nSession-Expires: 1800\r\n')
    invitation.send_response(486)
    assert peer.expect(486)


@pytest.mark.parametrize('headers, code, told', [
    ('Content-Type: text/plain\r\n', 415, ('accept', ['application/sdp'])),
    ('Content-Type: text/plain\r\nContent-Disposition: session;handling=required\r\n', 415, ('accept', ['application/sdp'])),
    ('Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n', 415, ('accept-encoding', ['identity'])),
    ('Content-Type: application/sdp\r\ne: gzip\r\n', 415, ('accept-encoding', ['identity'])),
    ('Content-Type: application/sdp\r\nAccept: text/plain, message/*\r\n', 406, ('accept', [])),
])
def test_bodies_that_we_cannot_use(peer, headers, code, told):
    peer.send(peer.request('INVITE', headers=headers, body=audio_sdp()))
    answer = final(peer)
    assert answer.code == code and values(answer, told[0]) == told[1]


@pytest.mark.parametrize('headers, body, offer', [
    ('Content-Type: application/sdp\r\nContent-Encoding: identity\r\n', audio_sdp(), True),
    ('Content-Type: application/sdp\r\nAccept: text/plain\r\nAccept: application/*;q=0.3\r\n', audio_sdp(), True),
    ('Content-Type: multipart/mixed;boundary=x\r\n', TWO_PARTS, True),
    ('Content-Type: text/plain\r\nContent-Disposition: render; handling=optional\r\n', 'hello', False),
])
def test_bodies_that_we_can_use(peer, seen, headers, body, offer):
    """One that need not be understood is left alone: the INVITE has no offer, then."""
    peer.send(peer.request('INVITE', headers=headers, body=body))
    notification = seen.wait('SIPInvitationChangedState', state='incoming')
    invitation = notification.sender
    assert (invitation.sdp.proposed_remote is not None) is offer
    invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    assert 'm=audio' in peer.expect(200).body


def test_merged_request(peer, seen):
    """The second way that a forked INVITE takes to us (RFC 3261 section 8.2.2.2); the next INVITE of the same caller is another one."""
    call = Incoming(peer, seen, call_id='forked', branch='z9hG4bK-one')
    peer.send(peer.request('INVITE', headers=SDP_HEADERS, body=audio_sdp(), call_id='forked', branch='z9hG4bK-two'))
    assert peer.expect(482)
    call.invitation.send_response(486)
    assert peer.expect(486)
    again = Incoming(peer, seen, call_id='forked', branch='z9hG4bK-three', cseq=2)
    again.invitation.send_response(603)
    assert peer.expect(603)


# ---- inside a dialog -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('method', ['INVITE', 'UPDATE', 'MESSAGE', 'OPTIONS', 'REFER'])
def test_unknown_extensions_inside_a_dialog(peer, seen, method):
    """Nobody is asked, and the dialog goes on."""
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog(method, cseq=1, headers='Require: telepathy\r\nRequire: timer\r\nRefer-To: <sip:a@example.com>\r\n' + SDP_HEADERS,
                             body=audio_sdp(5000, version=2)))
    answer = peer.receive()
    assert answer.code == 420 and values(answer, 'unsupported') == ['telepathy']
    if method == 'INVITE':
        peer.send(call.in_dialog('ACK', cseq=1))
    peer.send(call.in_dialog('INVITE', cseq=2, headers=SDP_HEADERS, body=audio_sdp(5000, version=2)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(488)
    assert peer.expect(488)
    call.state('connected', sub_state='normal')
    call.end()


@pytest.mark.parametrize('headers, code, told', [
    ('Content-Type: text/plain\r\n', 415, ('accept', ['application/sdp'])),
    ('Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n', 415, ('accept-encoding', ['identity'])),
    ('Content-Type: application/sdp\r\nAccept: text/plain\r\n', 406, ('accept', [])),
])
@pytest.mark.parametrize('method', ['INVITE', 'UPDATE'])
def test_bodies_inside_a_dialog_that_we_cannot_use(peer, seen, method, headers, code, told):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog(method, cseq=1, headers=headers, body=audio_sdp(5000, version=2)))
    answer = peer.receive()
    assert answer.code == code and values(answer, told[0]) == told[1]
    if method == 'INVITE':
        peer.send(call.in_dialog('ACK', cseq=1))
    call.end()


def test_hanging_up_is_never_refused(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('BYE', cseq=1, headers='Require: telepathy\r\n'))
    assert peer.expect(200)
    assert call.state('disconnected').originator == 'remote'
