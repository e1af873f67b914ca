"""Invitation against a scripted peer: every road through its states."""

import gc
import threading

import pytest

from sipsimple.core import (
    ContactHeader,
    Credentials,
    FromHeader,
    FrozenFromHeader,
    FrozenSIPURI,
    Header,
    Invitation,
    PJSIPError,
    ReplacesHeader,
    RouteHeader,
    SDPSession,
    SIPCoreError,
    SIPCoreInvalidStateError,
    SIPURI,
    ToHeader,
)
from sipsimple.notification import NotificationCenter
from tests.support.engine import nothing_left
from tests.support.sip_calls import SDP_HEADERS, Incoming, Outgoing
from tests.support.sip_peer import audio_sdp, tag_of

ENGINE_OPTIONS = {'tcp_port': 0}


# ---- outgoing ------------------------------------------------------------------------------------------------------


def test_call_and_hang_up(peer, seen):
    call = Outgoing(peer, seen, extra_headers=[Header('X-Extra', 'yes')])
    assert call.state('outgoing').originator == 'local'
    assert call.request.get('x-extra') == 'yes'
    assert call.request.get('from').startswith('"Alice" <sip:alice@example.com>;tag=')
    assert call.request.get('contact') == f'<sip:alice@127.0.0.1:{peer.engine[1]}>'
    assert call.request.get('route') == f'<sip:127.0.0.1:{peer.port};lr>'
    call.answer(100)
    call.answer(180, 'Ringing')
    assert call.state('early').code == 180
    call.answer(183, 'Progress')
    assert call.state('early').code == 183          # every one is reported
    call.answer(200, 'OK', sdp=audio_sdp(5000), headers='User-Agent: Peer 1.0\r\n')
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert update.succeeded and update.local_sdp.media[0].port == 4000 and update.remote_sdp.media[0].port == 5000
    assert call.state('connecting').originator == 'remote'
    peer.expect('ACK')
    data = call.state('connected')
    assert data.sub_state == 'normal' and call.invitation.sub_state == 'normal'
    assert call.invitation.remote_user_agent == 'Peer 1.0'
    assert call.invitation.remote_contact_header.uri.user == 'peer'
    assert call.invitation.peer_address.port == peer.port
    assert call.invitation.transport == 'udp'
    identity = call.invitation.dialog_id
    assert identity.call_id == call.request.get('call-id') and identity.remote_tag == 'peer-to'
    call.invitation.end(extra_headers=[Header('X-Bye', '1')])
    bye = peer.expect('BYE')
    assert bye.get('x-bye') == '1'
    assert call.state('disconnecting').originator == 'local'
    peer.answer(bye, 200)
    data = call.state('disconnected')
    assert (data.code, data.disconnect_reason) == (200, 'user request')
    call.invitation.end()               # no-op


@pytest.mark.parametrize('code', [404, 486, 500, 603])
def test_refused(peer, seen, code):
    call = Outgoing(peer, seen)
    call.answer(code, 'No thanks')
    assert peer.expect('ACK')
    data = call.state('disconnected')
    assert (data.code, data.reason, data.disconnect_reason, data.originator) == (code, 'No thanks', 'No thanks', 'remote')


def test_refused_with_reason_header(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(486, headers='Reason: Q.850;cause=17;text="Line is busy"\r\n')
    assert call.state('disconnected').disconnect_reason == 'Line is busy'


def test_redirect_is_reported(peer, seen):
    call = Outgoing(peer, seen)
    peer.send(peer.response(call.request, 302, 'Moved').replace(f'Contact: <{peer.uri}>', 'Contact: <sip:elsewhere@example.com>'))
    data = call.state('disconnected')
    assert data.code == 302
    assert str(data.headers['Contact'][0].uri) == 'sip:elsewhere@example.com'


def test_cancel(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(180)
    call.state('early')
    call.invitation.end()
    cancel = peer.expect('CANCEL')
    assert cancel.get('cseq').split()[0] == call.request.get('cseq').split()[0]
    call.state('disconnecting')
    peer.answer(cancel, 200)
    call.answer(487, 'Request Terminated')
    peer.expect('ACK')
    data = call.state('disconnected')
    assert (data.code, data.disconnect_reason) == (487, 'user request')


def test_cancel_before_any_answer_waits_for_one(peer, seen):
    call = Outgoing(peer, seen)
    call.invitation.end()
    call.state('disconnecting')
    call.answer(100)
    peer.answer(peer.expect('CANCEL'), 200)
    call.answer(487)
    assert call.state('disconnected').code == 487


def test_cancel_crossing_a_200_ends_with_bye(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(180)
    call.state('early')
    call.invitation.end()
    cancel = peer.expect('CANCEL')
    call.answer(200, sdp=audio_sdp(5000))
    peer.answer(cancel, 200)
    bye = peer.expect('BYE')
    peer.answer(bye, 200)
    assert call.state('disconnected').disconnect_reason == 'user request'


def test_timeout_of_the_call(peer, seen):
    call = Outgoing(peer, seen, timeout=0.2)
    call.answer(100)
    data = call.state('disconnected')
    assert (data.code, data.reason, data.disconnect_reason) == (408, 'timeout', 'timeout')
    assert peer.expect('CANCEL')


def test_timeout_is_off_once_it_rings(peer, seen):
    call = Outgoing(peer, seen, timeout=0.3)
    call.answer(180)
    call.state('early')
    assert peer.silent(0.5)
    call.connect()
    call.end()


def test_contact_of_a_call_to_a_name(peer, seen):
    """It is where the request has come to, as it is not known who else has that name; nor is it looked up, which may take its time."""
    call = Incoming(peer, seen, uri=f'sip:bob@localhost:{peer.engine[1]}').connect()
    assert call.ok.get('contact') == f'<sip:bob@127.0.0.1:{peer.engine[1]}>'
    call.invitation.end()
    peer.answer(peer.expect('BYE'), 200)
    call.state('disconnected')


def test_end_with_timeout(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.end(timeout=0.2)
    peer.expect('BYE')
    data = call.state('disconnected')
    assert (data.code, data.disconnect_reason) == (408, 'timeout')


def test_end_with_timeout_before_it_is_known_that_the_call_stands(peer, seen):
    """The changes of state that are on their way do not make the timeout void."""
    stands = threading.Event()

    class Late:
        def handle_notification(self, notification):
            if notification.data.state == 'early':
                assert stands.wait(10)
                notification.sender.end(timeout=0.3)

    late = Late()
    call = Outgoing(peer, seen)
    NotificationCenter().add_observer(late, 'SIPInvitationChangedState', call.invitation)
    call.answer(180)
    call.answer(200, sdp=audio_sdp(5000))
    peer.expect('ACK')
    stands.set()
    peer.expect('BYE')
    data = call.state('disconnected')
    assert (data.code, data.disconnect_reason) == (408, 'timeout')


def test_timeout_for_an_end_under_way(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.end()
    peer.expect('BYE')
    call.state('disconnecting')
    call.invitation.end(timeout=0.2)
    data = call.state('disconnected')
    assert (data.code, data.disconnect_reason) == (408, 'timeout')
    call.invitation.end(timeout=0.2)


@pytest.mark.parametrize('algorithm', ['MD5', 'SHA-256'])
def test_authentication(peer, seen, algorithm):
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'secret'))
    call.answer(407, headers=f'Proxy-Authenticate: Digest realm="example.com", nonce="n", qop="auth", algorithm={algorithm}\r\n')
    peer.expect('ACK')
    again = peer.expect('INVITE')
    assert f'algorithm={algorithm}' in again.get('proxy-authorization')
    assert 'username="alice"' in again.get('proxy-authorization')
    call.request = again
    call.connect()
    call.end()


def test_wrong_password(peer, seen):
    """A new nonce is in every challenge: the credentials for the first one are refused, not stale."""
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'wrong'))
    for nonce in ('one', 'two'):
        call.answer(407, headers=f'Proxy-Authenticate: Digest realm="example.com", nonce="{nonce}", qop="auth"\r\n')
        peer.expect('ACK')
        if nonce == 'one':
            call.request = peer.expect('INVITE')
    assert call.state('disconnected').code == 407


def test_early_media(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(183, sdp=audio_sdp(5000))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.succeeded
    call.state('early')
    call.connect()
    call.end()


def test_same_answer_again(peer, seen):
    """Repeated in later responses it changes nothing, and nothing is told; another one is another agreement."""
    call = Outgoing(peer, seen)
    call.answer(183, sdp=audio_sdp(5000))
    call.answer(183, sdp=audio_sdp(5000))
    call.answer(180, sdp=audio_sdp(5000))
    call.state('early')
    call.answer(183, sdp=audio_sdp(5002))
    call.connect()
    assert [seen_one.data.remote_sdp.media[0].port for seen_one in seen.past if seen_one.name == 'SIPInvitationGotSDPUpdate'] == [5000, 5002, 5000]
    call.end()


def test_reliable_provisional_response(peer, seen):
    call = Outgoing(peer, seen)
    assert '100rel' in call.request.get('supported')
    call.answer(183, headers='Require: 100rel\r\nRSeq: 5\r\n', sdp=audio_sdp(5000))
    prack = peer.expect('PRACK')
    assert prack.get('rack') == f'5 {call.request.get("cseq")}'
    peer.answer(prack, 200)
    call.state('early')
    call.answer(200)
    peer.expect('ACK')
    call.state('connected')
    call.end()


def test_failed_negotiation_ends_the_call(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(200, sdp=audio_sdp(0))              # our only stream is refused: still an agreement
    peer.expect('ACK')
    call.state('connected')
    call.end()
    other = Outgoing(peer, seen)
    other.answer(200, sdp=audio_sdp(5000).replace('m=audio', 'm=video'))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=other.invitation).data.succeeded is False
    peer.answer(peer.expect('BYE'), 200)
    data = other.state('disconnected')
    assert data.disconnect_reason == 'internal error'


def test_answer_with_other_media_lines_keeps_both_sides_in_step(peer, seen):
    line = 'm=message 2855 TCP/MSRP *\r\na=path:msrp://127.0.0.1:2855/x;tcp\r\na=accept-types:*\r\n'
    call = Outgoing(peer, seen, sdp=audio_sdp(4000) + line)
    head, media = audio_sdp(5000).split('m=')
    call.answer(200, sdp=head + line + 'm=' + media)        # swapped: our audio is not answered, its audio was not offered
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert [(stream.media, stream.port) for stream in update.local_sdp.media] == [('audio', 0), ('message', 2855)]
    assert [(stream.media, stream.port) for stream in update.remote_sdp.media] == [('audio', 0), ('message', 2855)]
    call.state('connected')
    call.end()


def test_given_up_call_that_is_answered_all_the_same(peer, seen):
    """Nobody is there any more, but the peer must not be left in a call."""
    call = Outgoing(peer, seen)
    call.state('outgoing')
    call.invitation = None
    seen.past.clear()                   # holds what was posted, and so the sender
    gc.collect()
    call.answer(200, sdp=audio_sdp(5000))
    peer.expect('ACK')
    peer.answer(peer.expect('BYE'), 200)


def test_nobody_listens_on_tcp(engine, seen):
    invitation = Invitation()
    uri = SIPURI(host='127.0.0.1', user='peer', port=9, parameters={'transport': 'tcp'})
    invitation.send_invite(uri, FromHeader(SIPURI(host='example.com')), ToHeader(uri), RouteHeader(uri),
                           ContactHeader(SIPURI(host='127.0.0.1', port=engine.tcp_port)), SDPSession.parse(audio_sdp()))
    data = seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected').data
    assert (data.code, data.reason) == (408, 'Transport Error')


def test_first_send_fails(engine, seen):
    """The kernel refuses: the engine's socket is bound to loopback. PJSIP never comes to 'calling' then."""
    invitation = Invitation()
    uri = SIPURI(host='192.0.2.1', user='peer')
    invitation.send_invite(uri, FromHeader(SIPURI(host='example.com')), ToHeader(uri), RouteHeader(uri),
                           ContactHeader(SIPURI(host='127.0.0.1', port=engine.udp_port)), SDPSession.parse(audio_sdp()))
    data = seen.wait('SIPInvitationChangedState', sender=invitation).data
    assert (data.prev_state, data.state, data.originator) == (None, 'outgoing', 'local')
    data = seen.wait('SIPInvitationChangedState', sender=invitation).data
    assert (data.state, data.code, data.reason, data.originator) == ('disconnected', 408, 'Transport Error', 'local')


def test_lost_2xx_is_acknowledged_again(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.answer(200, sdp=audio_sdp(5000))
    assert peer.expect('ACK')
    call.end()


def test_each_2xx_is_acknowledged_whatever_goes_on(peer, seen):
    """A peer that none of our ACKs reaches repeats its answers for half a minute: while our re-INVITE waits, after that is answered, during one of its own, and
    while the call ends. Each repetition gets the ACK for its own number, the same as before (RFC 3261 section 13.2.2.4)."""
    call = Outgoing(peer, seen)
    first = call.request
    call.answer(200, 'OK', sdp=audio_sdp(5000))
    acks = {first.get('cseq'): peer.expect('ACK')}
    call.state('connected', sub_state='normal')

    def again(request, times=3):
        number = request.get('cseq').split()[0]
        for _ in range(times):
            peer.answer(request, 200, 'OK', headers=SDP_HEADERS, body=audio_sdp(5000))
            ack = peer.expect('ACK')
            assert ack.get('cseq') == f'{number} ACK' and ack.body == '' and ack.get('to') == acks[request.get('cseq')].get('to')
            assert ack.start == acks[request.get('cseq')].start
    again(first)
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.request = second = peer.expect('INVITE')
    again(first)
    call.answer(180)
    again(first)
    call.answer(200, 'OK', sdp=audio_sdp(5002, version=2))
    acks[second.get('cseq')] = peer.expect('ACK')
    assert call.state('connected', sub_state='normal', prev_sub_state='sent_proposal').code == 200
    for request in (first, second, first, second):
        again(request, 1)
    peer.send(call.in_dialog('INVITE', cseq=1, headers=SDP_HEADERS, body=audio_sdp(5004, version=3)))
    call.state('connected', sub_state='received_proposal')
    for request in (second, first):
        again(request, 1)
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4002, version=3)))
    peer.expect(200)
    peer.send(call.in_dialog('ACK', cseq=1))
    again(second)
    call.invitation.end()
    bye = peer.expect('BYE')
    again(second)
    peer.answer(bye, 200)
    call.state('disconnected')
    again(second)


def test_2xx_that_comes_again_after_the_end_is_acknowledged(peer, seen):
    """The session is destroyed then, its dialog is not yet."""
    call = Outgoing(peer, seen).connect()
    call.end()
    for _ in range(2):
        call.answer(200, 'OK', sdp=audio_sdp(5000))
        assert peer.expect('ACK').get('cseq') == f'{call.request.get("cseq").split()[0]} ACK'


# ---- incoming ------------------------------------------------------------------------------------------------------


def test_invite_that_comes_again_after_the_ack(peer, seen):
    """A copy that was late is no second call, RFC 6026 section 7.1."""
    call = Incoming(peer, seen).connect()
    for text in (call.text, call.in_dialog('ACK', 1), call.text):
        peer.send(text)
    for _ in range(2):
        assert peer.expect(200).get('to') == call.ok.get('to')
    peer.send(call.in_dialog('OPTIONS', 2))
    assert peer.expect(200).get('cseq') == '2 OPTIONS'
    assert call.invitation.state == 'connected'
    assert [past.sender for past in seen.past if past.name == 'SIPInvitationChangedState' and past.data.state == 'incoming'] == [call.invitation]
    peer.send(call.in_dialog('BYE', 3))
    call.state('disconnected')


def test_incoming_call(peer, seen):
    call = Incoming(peer, seen, headers='User-Agent: Caller/2\r\nSubject: hello\r\n')
    assert call.data.method == 'INVITE' and call.data.headers['Subject'].subject == 'hello'
    invitation = call.invitation
    assert invitation.direction == 'incoming' and invitation.remote_user_agent == 'Caller/2'
    assert invitation.sdp.proposed_remote.media[0].port == 5000
    assert invitation.remote_identity.uri.user == 'peer'
    peer.expect(100)
    invitation.send_response(180)
    assert peer.expect(180)
    assert call.state('early').originator == 'local'
    call.connect()
    assert call.ok.get('contact') == f'<sip:engine@127.0.0.1:{peer.engine[1]}>'
    peer.send(call.in_dialog('BYE', 2, call.tag, headers='Reason: SIP;cause=200;text="bored"\r\n'))
    assert peer.expect(200).get('cseq') == '2 BYE'
    data = call.state('disconnected')
    assert (data.originator, data.disconnect_reason) == ('remote', 'bored')


@pytest.mark.parametrize('code', [180, 183])
def test_session_description_in_a_provisional_response_stands(peer, seen, code):
    call = Incoming(peer, seen)
    call.invitation.send_response(code, sdp=SDPSession.parse(audio_sdp(4000)))
    assert 'm=audio 4000' in peer.expect(code).body
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.succeeded
    call.state('early')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4002)))
    ok = peer.expect(200)
    assert 'm=audio 4000' in ok.body
    call.state('connecting')
    peer.send(call.in_dialog('ACK', 1, tag_of(ok.get('to'))))
    call.state('connected')
    assert call.invitation.sdp.active_local.media[0].port == 4000


def test_extra_headers_go_out_once(peer, seen):
    call = Incoming(peer, seen)
    call.invitation.send_response(180, extra_headers=[Header('X-One', '1'), Header('X-Both', '1')])
    ringing = peer.expect(180)
    assert (ringing.headers['x-one'], ringing.headers['x-both']) == (['1'], ['1'])
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp()), extra_headers=[Header('X-Both', '2')],
                                  contact_header=ContactHeader(SIPURI(host='127.0.0.1', user='other', port=peer.engine[1])))
    ok = peer.expect(200)
    assert 'x-one' not in ok.headers and ok.headers['x-both'] == ['2']
    assert ok.headers['contact'] == [f'<sip:other@127.0.0.1:{peer.engine[1]}>']
    assert call.invitation.local_contact_header.uri.user == 'other'


def test_all_streams_rejected_is_an_agreement(peer, seen):
    call = Incoming(peer, seen)
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(0)))
    ok = peer.expect(200)
    assert 'm=audio 0' in ok.body
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert (update.local_sdp.media[0].port, update.remote_sdp.media[0].port) == (0, 0)
    peer.send(call.in_dialog('ACK', 1, tag_of(ok.get('to'))))
    call.state('connected')


def test_reject(peer, seen):
    call = Incoming(peer, seen)
    call.invitation.send_response(486, 'Engaged')
    assert peer.expect(486).start == 'SIP/2.0 486 Engaged'
    call.state('disconnecting')
    assert call.state('disconnected').code == 486


def test_remote_cancel(peer, seen):
    call = Incoming(peer, seen, branch='z9hG4bK-to-cancel', call_id='to-cancel')
    call.invitation.send_response(180)
    peer.expect(180)
    peer.send(peer.request('CANCEL', branch='z9hG4bK-to-cancel', call_id='to-cancel'))
    codes = {peer.receive().code, peer.receive().code}
    assert codes == {200, 487}
    data = call.state('disconnected')
    assert (data.code, data.originator) == (487, 'remote')
    with pytest.raises(SIPCoreError):
        call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp()))


def test_offerless_invite(peer, seen):
    call = Incoming(peer, seen, body='')
    assert call.invitation.sdp.proposed_remote is None
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    ok = peer.expect(200)
    assert 'm=audio 4000' in ok.body
    call.state('connecting')
    peer.send(call.in_dialog('ACK', 1, tag_of(ok.get('to')), headers=SDP_HEADERS, body=audio_sdp(5000)))
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert update.succeeded and update.remote_sdp.media[0].port == 5000
    call.state('connected')


def test_missing_sdp_in_ack_ends_the_call(peer, seen):
    call = Incoming(peer, seen, body='')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    ok = peer.expect(200)
    peer.send(call.in_dialog('ACK', 1, tag_of(ok.get('to'))))
    peer.answer(peer.expect('BYE'), 200)
    call.state('disconnected')


@pytest.mark.parametrize('headers, body, code', [
    ('Require: telepathy\r\n', None, 420),
    ('Content-Type: text/plain\r\n', 'words', 415),
    ('Content-Type: application/sdp\r\n', 'v=0\r\nnonsense', 400),
    ('Replaces: nobody;from-tag=a;to-tag=b\r\n', None, 481),
])
def test_invite_that_the_engine_refuses(peer, headers, body, code):
    if body is None:
        headers, body = headers + SDP_HEADERS, audio_sdp()
    peer.send(peer.request('INVITE', headers=headers, body=body))
    answer = peer.receive()
    while answer.code == 100:
        answer = peer.receive()
    assert answer.code in (code, 488) if code == 400 else answer.code == code


def test_methods_in_the_wrong_state(peer, seen):
    call = Incoming(peer, seen)
    invitation = call.invitation
    with pytest.raises(SIPCoreError):
        invitation.end()
    with pytest.raises(SIPCoreError):
        invitation.send_reinvite()
    with pytest.raises(SIPCoreError):
        invitation.send_response(200)
    with pytest.raises(SIPCoreError):
        invitation.send_response(486, sdp=SDPSession.parse(audio_sdp()))
    call.connect()
    with pytest.raises(SIPCoreInvalidStateError):
        invitation.send_response(180)
    with pytest.raises(SIPCoreError):
        invitation.cancel_reinvite()
    with pytest.raises(SIPCoreError):
        invitation.notify_transfer_progress(100)
    with pytest.raises(SIPCoreError):
        Invitation().end()


def test_arguments_are_checked(peer):
    uri = SIPURI(host='127.0.0.1', user='peer', port=peer.port)
    good = {'request_uri': uri, 'from_header': FromHeader(uri), 'to_header': ToHeader(uri), 'route_header': RouteHeader(uri),
            'contact_header': ContactHeader(uri), 'sdp': SDPSession.parse(audio_sdp())}
    invitation = Invitation()
    assert (invitation.state, invitation.sub_state, invitation.direction, invitation.local_identity, invitation.remote_identity) == (None,) * 5
    assert invitation.expire_warning_time == 30
    with pytest.raises(SIPCoreError):
        invitation.__init__()
    for name, frozen in (('request_uri', FrozenSIPURI.new(uri)), ('from_header', FrozenFromHeader.new(good['from_header'])), ('route_header', None),
                         ('contact_header', 'sip:x@y'), ('sdp', audio_sdp())):
        with pytest.raises(TypeError):
            invitation.send_invite(**{**good, name: frozen})
    for timeout in (0, -1):
        with pytest.raises(ValueError):
            invitation.send_invite(**good, timeout=timeout)
    with pytest.raises(SIPCoreError):
        invitation.send_invite(**good, extra_headers=[ReplacesHeader('a', 'b', 'c'), Header('Replaces', 'd;from-tag=e;to-tag=f')])
    assert invitation.state is None and peer.silent(0.1)
    extra = [ReplacesHeader('id@host', 'from', 'to')]
    before = (str(uri), [str(header) for header in extra])
    instance = ContactHeader(uri, parameters={'+sip.instance': '"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'})
    invitation.send_invite(**{**good, 'contact_header': instance, 'from_header': FromHeader(uri, 'Me', {'x-mine': '1'})}, extra_headers=extra)
    request = peer.expect('INVITE')
    assert set(request.get('replaces').split(';')) == {'id@host', 'from-tag=from', 'to-tag=to'}
    assert '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"' in request.get('contact') and ';x-mine=1' in request.get('from')
    assert before == (str(uri), [str(header) for header in extra]), 'what belongs to the caller was changed'
    with pytest.raises(SIPCoreInvalidStateError):
        invitation.send_invite(**good)
    for timeout in (0, -1):
        with pytest.raises(ValueError):
            invitation.end(timeout=timeout)
    peer.answer(request, 486)
    peer.expect('ACK')


# ---- inside the dialog ---------------------------------------------------------------------------------------------


def test_local_reinvite(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, direction='sendonly', version=2)))
    call.state('connected', sub_state='sent_proposal')
    call.request = peer.expect('INVITE')
    assert 'a=sendonly' in call.request.body
    with pytest.raises(SIPCoreError):
        call.invitation.send_reinvite()
    call.answer(200, sdp=audio_sdp(5000, direction='recvonly', version=2))
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert update.local_sdp.media[0].direction == 'sendonly'
    peer.expect('ACK')
    data = call.state('connected', sub_state='normal')
    assert (data.code, data.prev_sub_state, data.originator) == (200, 'sent_proposal', 'remote')
    call.end()


@pytest.mark.parametrize('code', [488, 491])
def test_refused_reinvite_leaves_the_session_as_it_was(peer, seen, code):
    call = Outgoing(peer, seen).connect()
    before = call.invitation.sdp.active_local
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.request = peer.expect('INVITE')
    call.answer(code)
    peer.expect('ACK')
    assert call.state('connected', sub_state='normal').code == code
    assert call.invitation.sdp.active_local == before
    call.end()


def test_cancelled_reinvite(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.send_reinvite()
    call.state('connected', sub_state='sent_proposal')
    call.request = peer.expect('INVITE')
    call.answer(100)
    call.invitation.cancel_reinvite()
    peer.answer(peer.expect('CANCEL'), 200)
    call.answer(487)
    assert call.state('connected', sub_state='normal').code == 487
    call.end()


def test_remote_reinvite(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, direction='sendonly', version=2)))
    data = call.state('connected', sub_state='received_proposal')
    assert data.method == 'INVITE' and call.invitation.sdp.proposed_remote.media[0].port == 5002
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000, direction='recvonly', version=2)))
    answer = peer.expect(200)
    assert 'a=recvonly' in answer.body
    assert call.state('connected', sub_state='normal').originator == 'local'
    peer.send(call.in_dialog('ACK'))
    call.end()


def test_remote_reinvite_refused(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(488)
    assert peer.expect(488)
    peer.send(call.in_dialog('ACK'))
    assert call.state('connected', sub_state='normal').code == 488
    assert call.invitation.sdp.active_remote.media[0].port == 5000
    call.end()


def answered_proposal(peer, seen, code):
    """A call with a re-INVITE of the peer that is answered, but not acknowledged yet; and the branch of its transaction."""
    call = Outgoing(peer, seen).connect()
    branch = f'z9hG4bK-{call.invitation.call_id}'
    peer.send(call.in_dialog('INVITE', branch=branch, headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(code, sdp=SDPSession.parse(audio_sdp(4000, version=2)) if code == 200 else None)
    peer.expect(code)
    assert call.state('connected', sub_state='normal').code == code
    return call, branch


@pytest.mark.parametrize('code', [200, 488])
def test_reinvite_waits_for_the_ack_of_the_peers(peer, seen, code):
    """RFC 3261 section 14.1."""
    call, branch = answered_proposal(peer, seen, code)
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=3)), extra_headers=[Header('X-Kept', '1')])
    assert call.state('connected', sub_state='sent_proposal').originator == 'local'
    peer.send(call.in_dialog('ACK', **({'branch': branch} if code > 200 else {})))
    while (message := peer.receive()).code == code:
        pass                            # repeated until the ACK was there
    assert message.method == 'INVITE' and 'm=audio 4002' in message.body and message.get('x-kept') == '1'
    call.request = message
    call.answer(200, sdp=audio_sdp(5004, version=3))
    peer.expect('ACK')
    assert call.state('connected', sub_state='normal').originator == 'remote'
    assert (call.invitation.sdp.active_local.media[0].port, call.invitation.sdp.active_remote.media[0].port) == (4002, 5004)
    call.end()


def test_cancelled_reinvite_that_was_not_sent_yet(peer, seen):
    call, branch = answered_proposal(peer, seen, 488)
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.state('connected', sub_state='sent_proposal')
    call.invitation.cancel_reinvite()
    data = call.state('connected', sub_state='normal')
    assert (data.code, data.originator) == (487, 'local')
    peer.send(call.in_dialog('ACK', branch=branch))
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4004, version=2)))
    call.request = peer.expect('INVITE')
    assert 'm=audio 4004' in call.request.body
    call.answer(200, sdp=audio_sdp(5000))
    call.state('connected', sub_state='normal')
    call.end()


@pytest.mark.parametrize('later', ['INVITE', 'UPDATE'])
def test_proposal_of_the_peer_while_ours_waits_for_an_ack(peer, seen, later):
    """Glare, whichever of the two is sent first."""
    call, branch = answered_proposal(peer, seen, 488)
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.state('connected', sub_state='sent_proposal')
    again = call.in_dialog(later, cseq=2, branch=branch + '-2', headers=SDP_HEADERS, body=audio_sdp(5006, version=3))
    for text in (call.in_dialog('ACK', branch=branch), again):
        peer.send(text)
    got = set()
    while got != {'INVITE', 491}:
        message = peer.receive()
        if message.method == 'INVITE':
            call.request = message
        elif message.code == 491 and later == 'INVITE':
            peer.send(call.in_dialog('ACK', cseq=2, branch=branch + '-2'))
        got |= {message.method or message.code} & {'INVITE', 491}
    call.answer(200, sdp=audio_sdp(5000))
    assert call.state('connected', sub_state='normal').code == 200
    call.end()


def test_end_while_a_reinvite_waits_for_an_ack(peer, seen):
    call, branch = answered_proposal(peer, seen, 488)
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.state('connected', sub_state='sent_proposal')
    call.invitation.end()
    bye = peer.expect('BYE')
    peer.send(call.in_dialog('ACK', branch=branch))
    peer.answer(bye, 200)
    call.state('disconnected')
    assert peer.silent()                # what was kept is gone


def test_remote_reinvite_without_offer(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE'))
    call.state('connected', sub_state='received_proposal_request')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4004, version=2)))
    answer = peer.expect(200)
    assert 'm=audio 4004' in answer.body
    peer.send(call.in_dialog('ACK', headers=SDP_HEADERS, body=audio_sdp(5004, version=2)))
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert (update.local_sdp.media[0].port, update.remote_sdp.media[0].port) == (4004, 5004)
    call.state('connected', sub_state='normal')
    call.end()


def test_remote_reinvite_cancelled(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', branch='z9hG4bK-re', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    peer.send(call.in_dialog('CANCEL', branch='z9hG4bK-re'))
    assert {peer.receive().code for _ in range(3)} == {100, 200, 487}
    peer.send(call.in_dialog('ACK', branch='z9hG4bK-re'))
    data = call.state('connected', sub_state='normal')
    assert (data.code, data.originator) == (487, 'remote')
    with pytest.raises(SIPCoreInvalidStateError):
        call.invitation.send_response(488)
    peer.send(call.in_dialog('INVITE', cseq=2, headers=SDP_HEADERS, body=audio_sdp(5004, version=3)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000, version=2)))
    assert peer.expect(200)
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 5004
    call.end()


def test_reinvite_that_we_cannot_authenticate_leaves_the_next_one_possible(peer, seen):
    call = Outgoing(peer, seen).connect()
    for _ in range(2):
        call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
        call.state('connected', sub_state='sent_proposal')
        call.request = peer.expect('INVITE')
        call.answer(407, headers='Proxy-Authenticate: Digest realm="example.com", nonce="n"\r\n')
        assert call.state('connected', sub_state='normal').code == 407
    call.end()


def test_remote_reinvite_without_offer_and_without_answer(peer, seen):
    call = Outgoing(peer, seen).connect()
    before = call.invitation.sdp.active_local
    peer.send(call.in_dialog('INVITE'))
    call.state('connected', sub_state='received_proposal_request')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4004, version=2)))
    peer.expect(200)
    peer.send(call.in_dialog('ACK'))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation, succeeded=False).data.error
    call.state('connected', sub_state='normal')
    assert call.invitation.sdp.active_local == before
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4006, version=2)))
    call.request = peer.expect('INVITE')
    call.answer(200, sdp=audio_sdp(5000))
    call.state('connected', sub_state='normal')
    call.end()


def test_reinvite_crossing_our_bye(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.end()
    bye = peer.expect('BYE')
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    assert peer.expect(481)
    peer.answer(bye, 200)
    data = call.state('disconnected')
    assert (data.originator, data.disconnect_reason) == ('local', 'user request')
    assert not [past for past in seen.past if getattr(past.data, 'sub_state', None) == 'received_proposal']


def test_glare(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.request = peer.expect('INVITE')
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    assert peer.expect(491)
    call.answer(491)
    assert call.state('connected', sub_state='normal').code == 491
    call.end()


def test_update_both_ways(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('UPDATE', headers=SDP_HEADERS, body=audio_sdp(5006, direction='sendonly', version=2)))
    answer = peer.expect(200)
    assert answer.get('cseq') == '1 UPDATE' and 'a=recvonly' in answer.body
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert update.remote_sdp.media[0].port == 5006 and update.local_sdp.media[0].direction == 'recvonly'
    call.invitation.send_update(sdp=SDPSession.parse(audio_sdp(4006, version=3)))
    call.request = peer.expect('UPDATE')
    call.answer(200, sdp=audio_sdp(5008, version=3))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 5008
    assert call.invitation.sub_state == 'normal'
    call.end()


@pytest.mark.parametrize('wish, answers', [('sendrecv', ('a=recvonly', 'a=inactive', 'a=sendrecv')), ('sendonly', ('a=inactive', 'a=inactive', 'a=sendonly'))])
def test_update_narrows_the_direction_for_as_long_as_it_lasts(peer, seen, wish, answers):
    """What the peer does not want now is not what we do not want: with its hold ours of before it is back."""
    call = Outgoing(peer, seen, sdp=audio_sdp(4000, direction=wish))
    call.answer(200, sdp=audio_sdp(5000, direction='recvonly' if wish == 'sendonly' else wish))
    peer.expect('ACK')
    call.state('connected', sub_state='normal')
    for number, (direction, answer) in enumerate(zip(('sendonly', 'inactive', 'sendrecv'), answers, strict=True), 1):
        peer.send(call.in_dialog('UPDATE', cseq=number, headers=SDP_HEADERS, body=audio_sdp(5006, direction=direction, version=number + 1)))
        assert answer in peer.expect(200).body
    call.end()


@pytest.mark.parametrize('answer, headers', [(488, ''), (491, ''), (500, 'Retry-After: 1\r\n'), (200, '')])
def test_refused_update_is_a_failed_sdp_update(peer, seen, answer, headers):
    call = Outgoing(peer, seen).connect()
    before = call.invitation.sdp.active_local
    call.invitation.send_update(sdp=SDPSession.parse(audio_sdp(4006, version=3)))
    peer.answer(peer.expect('UPDATE'), answer, headers=headers)         # the 200 has no answer in it
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation, succeeded=False).data.error
    assert call.invitation.sdp.active_local == before and call.invitation.sdp.proposed_local is None
    call.invitation.send_update(sdp=SDPSession.parse(audio_sdp(4008, version=4)))
    peer.answer(peer.expect('UPDATE'), 200, headers=SDP_HEADERS, body=audio_sdp(5008, version=3))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation, succeeded=True).data.local_sdp.media[0].port == 4008
    call.end()


def test_update_while_an_answer_is_awaited(peer, seen):
    """RFC 3311 section 5.2."""
    call = Outgoing(peer, seen).connect()
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.request = peer.expect('INVITE')
    peer.send(call.in_dialog('UPDATE', headers=SDP_HEADERS, body=audio_sdp(5006, version=2)))
    assert peer.expect(491)
    call.answer(200, sdp=audio_sdp(5000))
    call.state('connected', sub_state='normal')
    peer.send(call.in_dialog('INVITE', cseq=2, headers=SDP_HEADERS, body=audio_sdp(5004, version=3)))
    call.state('connected', sub_state='received_proposal')
    peer.send(call.in_dialog('UPDATE', cseq=3, headers=SDP_HEADERS, body=audio_sdp(5006, version=4)))
    assert peer.expect(500).get('retry-after')
    call.end()


def test_update_with_one_more_stream(peer, seen):
    """It is rejected, as nobody can be asked; the rest is agreed on."""
    call = Outgoing(peer, seen).connect()
    video = 'm=video 5010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n'
    peer.send(call.in_dialog('UPDATE', headers=SDP_HEADERS, body=audio_sdp(5006, version=2) + video))
    answer = peer.expect(200)
    assert 'm=video 0 ' in answer.body
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert [stream.port for stream in update.remote_sdp.media] == [5006, 0]
    call.end()


@pytest.mark.parametrize('offer', [audio_sdp(5008, version=2), audio_sdp(5008, formats='8', version=2)])
def test_offer_in_a_prack(peer, seen, offer):
    """RFC 3262 section 5: after a reliable answer the PRACK may bring a new offer; one that does not fit ends the call with 488."""
    call = Incoming(peer, seen, headers='Require: 100rel\r\n')
    call.invitation.send_response(183, sdp=SDPSession.parse(audio_sdp(4000)))
    progress = peer.expect(183)
    peer.send(call.in_dialog('PRACK', 2, tag_of(progress.get('to')), headers=f'RAck: {progress.get("rseq")} 1 INVITE\r\n{SDP_HEADERS}', body=offer))
    answers = {peer.expect(200).get('cseq')}
    assert answers == {'2 PRACK'}
    if 'AVP 0' in offer:
        call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
        ok = peer.expect(200)
        assert ok.body == ''            # the answer went out reliably
        peer.send(call.in_dialog('ACK', 1, tag_of(ok.get('to'))))
        call.state('connected')
        assert call.invitation.sdp.active_remote.media[0].port == 5008
    else:
        assert peer.expect(488)
        call.state('disconnected')


def test_reliable_response_to_a_reinvite(peer, seen):
    """PJSIP can send such responses to one INVITE of a dialog only, and asserts that: another one is refused, the call goes on."""
    call = Incoming(peer, seen, headers='Require: 100rel\r\n')
    call.invitation.send_response(180)
    progress = peer.expect(180)
    peer.send(call.in_dialog('PRACK', 2, tag_of(progress.get('to')), headers=f'RAck: {progress.get("rseq")} 1 INVITE\r\n'))
    assert peer.expect(200).get('cseq') == '2 PRACK'
    call.connect()
    peer.send(call.in_dialog('INVITE', 3, headers='Require: 100rel\r\n' + SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    with pytest.raises(PJSIPError):
        call.invitation.send_response(180)
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000, version=2)))
    assert peer.expect(200).get('cseq') == '3 INVITE'
    peer.send(call.in_dialog('ACK', 3))
    call.state('connected', sub_state='normal')
    peer.send(call.in_dialog('BYE', 4))
    assert call.state('disconnected')


def test_update_without_offer_is_answered(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('UPDATE'))
    assert peer.expect(200).body == ''
    call.end()


def test_second_reinvite_while_one_waits(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    peer.send(call.in_dialog('INVITE', cseq=2, headers=SDP_HEADERS, body=audio_sdp(5004, version=3)))
    assert peer.expect(500).get('retry-after')
    with pytest.raises(SIPCoreError):
        call.invitation.send_reinvite()
    call.invitation.send_response(488)
    call.end()


def test_reinvite_with_a_bad_description_is_refused_at_once(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', branch='z9hG4bK-bad', headers=SDP_HEADERS, body='v=0\r\nnonsense'))
    answer = peer.receive()
    while answer.code == 100:
        answer = peer.receive()
    assert answer.code in (400, 415, 488)
    peer.send(call.in_dialog('ACK', branch='z9hG4bK-bad'))
    peer.send(call.in_dialog('INVITE', cseq=2, headers='Content-Type: text/plain\r\n', body='words'))
    while answer.get('cseq') != '2 INVITE' or answer.code == 100:
        answer = peer.receive()
    assert answer.code in (415, 488)
    assert call.invitation.sub_state == 'normal'
    call.end()


def many_lines(count, port=5000):
    return audio_sdp(port, version=2) + f'm=audio {port} RTP/AVP 0\r\n' * (count - 1)


TOO_MUCH = {'seventeen': many_lines(17), 'long': audio_sdp(5000, version=2, extra=f'a=x:{"y" * 500}\r\n' * 32)}


@pytest.mark.parametrize('offer', TOO_MUCH)
@pytest.mark.parametrize('method', ['INVITE', 're-INVITE', 'UPDATE', 'PRACK'])
def test_offer_that_is_too_much_is_refused(peer, seen, method, offer):
    """RFC 3264 section 6: the answer must have as many lines. More than seventeen or 15 KB are not taken, and the peer is told so."""
    headers, call = SDP_HEADERS, None
    if method == 'INVITE':
        text = peer.request('INVITE', headers=headers, body=TOO_MUCH[offer])
    elif method == 'PRACK':
        call = Incoming(peer, seen, headers='Require: 100rel\r\n')
        call.invitation.send_response(183, sdp=SDPSession.parse(audio_sdp(4000)))
        progress = peer.expect(183)
        text = call.in_dialog('PRACK', 2, tag_of(progress.get('to')), headers=f'RAck: {progress.get("rseq")} 1 INVITE\r\n{headers}', body=TOO_MUCH[offer])
    else:
        call = Outgoing(peer, seen).connect()
        text = call.in_dialog(method.removeprefix('re-'), headers=headers, body=TOO_MUCH[offer])
    peer.send(text)
    answer = peer.receive()
    while answer.code in (100, 183):
        answer = peer.receive()
    assert answer.code == 488 and ('16 media lines' if offer == 'seventeen' else 'bytes') in answer.get('warning'), answer.raw
    if method in ('re-INVITE', 'UPDATE'):
        peer.send(call.in_dialog('INVITE', cseq=3, headers=headers, body=many_lines(16, 5008)))       # sixteen are taken
        offered = call.state('connected', sub_state='received_proposal') and call.invitation.sdp.proposed_remote
        assert len(offered.media) == 16
        call.invitation.send_response(488)
        call.end()
    elif method == 'PRACK':
        call.invitation.send_response(488)
        call.state('disconnected')


def test_answer_with_seventeen_media_lines_ends_the_call(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(200, sdp=many_lines(17))
    assert peer.expect('ACK')
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert not update.succeeded
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').originator == 'local'


def test_seventeen_media_lines_of_ours_are_an_error(peer, seen):
    with pytest.raises(SIPCoreError):
        Outgoing(peer, seen, sdp=many_lines(17, 4000))
    call = Outgoing(peer, seen).connect()
    with pytest.raises(SIPCoreError):
        call.invitation.send_reinvite(sdp=SDPSession.parse(many_lines(17, 4000)))
    assert call.invitation.sub_state == 'normal'
    call.end()


@pytest.mark.parametrize('method, headers, code', [
    ('NOTIFY', 'Event: presence\r\nSubscription-State: active\r\n', 481),
    ('NOTIFY', '', 481),
    ('SUBSCRIBE', 'Event: presence\r\nExpires: 60\r\n', 489),
    ('PRACK', 'RAck: 1 1 INVITE\r\n', None),
    ('UNHEARD', '', 405),
])
def test_strange_requests_inside_the_dialog(peer, seen, method, headers, code):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog(method, headers=headers))
    answer = peer.receive()
    assert answer.code == code if code else answer.code >= 200
    if code == 405:
        assert 'INVITE' in answer.get('allow')
    assert call.invitation.state == 'connected'
    call.end()


def test_update_with_another_contact(peer, seen):
    """It is where the peer is found from now on, RFC 3311 section 5.2."""
    call = Outgoing(peer, seen).connect()
    moved = f'sip:moved@127.0.0.1:{peer.port}'
    peer.send(call.in_dialog('UPDATE', cseq=1).replace(f'Contact: <{peer.uri}>', f'Contact: <{moved}>;isfocus'))
    assert peer.expect(200)
    data = seen.wait('SIPInvitationGotUpdate', sender=call.invitation).data
    assert data.method == 'UPDATE' and str(data.headers['Contact'][0].uri) == moved and 'isfocus' in data.headers['Contact'][0].parameters
    assert str(call.invitation.remote_contact_header.uri) == moved
    seen.past.clear()
    peer.send(call.in_dialog('UPDATE', cseq=2).replace('Contact: ', 'X-Contact: '))
    assert peer.expect(200)
    call.invitation.end()
    bye = peer.expect('BYE')
    assert bye.start == f'BYE {moved} SIP/2.0'
    peer.answer(bye, 200)
    call.state('disconnected')
    assert not any(past.name == 'SIPInvitationGotUpdate' for past in seen.past)


def test_old_sequence_number_and_foreign_tags(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('OPTIONS', cseq=5))
    assert peer.expect(200)
    peer.send(call.in_dialog('OPTIONS', cseq=4))
    assert peer.expect(500)
    peer.send(call.in_dialog('BYE', cseq=6).replace('tag=peer-to', 'tag=somebody-else'))
    assert peer.expect(481)
    assert call.invitation.state == 'connected'
    call.end()


def test_message_and_options_inside_the_dialog(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('OPTIONS', cseq=1))
    answer = peer.expect(200)
    assert answer.get('accept') and 'INVITE' in answer.get('allow') and 'timer' in answer.get('supported')
    peer.send(call.in_dialog('MESSAGE', cseq=2, headers='Content-Type: text/plain\r\n', body='inside'))
    assert peer.expect(200)
    assert seen.wait('SIPInvitationGotMessage', sender=call.invitation).data.body == b'inside'
    peer.send(call.in_dialog('MESSAGE', cseq=9, body='what is this'))
    assert peer.expect(400)
    peer.send(call.in_dialog('INFO', cseq=10))
    assert peer.expect(405)
    call.invitation.send_message('text/plain', 'outside')
    sent = peer.expect('MESSAGE')
    assert sent.body == 'outside'
    peer.answer(sent, 200)
    call.end()


# ---- lifetime ------------------------------------------------------------------------------------------------------


def test_dropped_call_ends_silently(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation = None
    seen.past.clear()
    gc.collect()
    peer.answer(peer.expect('BYE'), 200)


def test_dropped_incoming_call_is_answered(peer, seen):
    call = Incoming(peer, seen)
    call.invitation = None
    seen.past.clear()
    gc.collect()
    assert peer.expect(480)


def test_nothing_is_left(engine):
    assert nothing_left()
