"""What time does to a call: lost answers and ACKs, session timers (RFC 4028), all with short timers."""

import pytest

from sipsimple.core import SDPSession, _endpoint, _invitation
from tests.support.engine import nothing_left, running_engine
from tests.support.sip_calls import SDP_HEADERS, Incoming, Outgoing
from tests.support.sip_peer import audio_sdp, tag_of


@pytest.fixture(scope='module')
def engine():
    _endpoint.set_sip_timers(t1=20, t2=80, t4=100, td=1280)
    try:
        with running_engine() as engine:
            yield engine
    finally:
        _endpoint.set_sip_timers()


@pytest.fixture
def short_session():
    """A session interval of two seconds; answered by who asked for it, refreshed after one."""
    _invitation.set_session_timer(expires=2, minimum=1)
    yield
    _invitation.set_session_timer()


# ---- silence -------------------------------------------------------------------------------------------------------


def test_invite_without_any_answer(peer, seen):
    call = Outgoing(peer, seen)
    data = call.state('disconnected')
    assert (data.code, data.originator, data.disconnect_reason) == (408, 'local', 'timeout')
    assert [past.data.state for past in seen.past if past.name == 'SIPInvitationChangedState'] == ['outgoing', 'disconnected']


def test_cancelled_invite_without_any_answer(peer, seen):
    call = Outgoing(peer, seen)
    call.invitation.end()
    call.state('disconnecting')
    data = call.state('disconnected')
    assert data.disconnect_reason in ('timeout', 'user request')


def test_cancelled_invite_that_is_never_answered_finally(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(180)
    call.state('early')
    call.invitation.end()
    peer.answer(peer.expect('CANCEL'), 200)
    assert call.state('disconnected').disconnect_reason in ('timeout', 'user request')


def test_missing_ack(peer, seen):
    call = Incoming(peer, seen)
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    first, second = peer.expect(200), peer.expect(200)
    assert first.raw == second.raw
    bye = peer.expect('BYE')
    assert 'cause=408' in bye.get('reason')
    assert call.state('disconnecting').originator == 'local'
    peer.answer(bye, 200)
    data = call.state('disconnected')
    assert (data.code, data.originator, data.disconnect_reason) == (408, 'local', 'missing ACK')


def test_ack_that_comes_at_last(peer, seen):
    """Until then the answer comes again and again; what is no ACK for it, and the INVITE itself, change nothing."""
    call = Incoming(peer, seen)
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    first = peer.expect(200)
    call.tag = tag_of(first.get('to'))
    for number in range(9):
        while (answer := peer.expect(200)).get('cseq') != '1 INVITE':
            pass                        # to an OPTIONS
        assert answer.raw == first.raw
        peer.send((call.text, call.in_dialog('OPTIONS', 10 + number), call.in_dialog('ACK', 1, 'nonsense'))[number % 3])
    assert call.invitation.state == 'connecting'
    peer.send(call.in_dialog('ACK', 1))
    call.state('connected', sub_state='normal')
    peer.send(call.in_dialog('MESSAGE', 30, headers='Content-Type: text/plain\r\n', body='now'))
    while peer.expect(200).get('cseq') != '30 MESSAGE':
        pass                            # those that were on their way
    assert peer.silent(0.3)             # six times as long as an answer waits to come again
    call.invitation.end()
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'user request'


def test_missing_ack_to_a_reinvite(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000, version=2)))
    call.state('connected', sub_state='normal')
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'missing ACK'


def test_missing_ack_to_a_refused_reinvite(peer, seen):
    """Nothing was agreed on, so the call goes on as it was (RFC 3261 section 14.2); and our turn comes all the same."""
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE', headers=SDP_HEADERS, body=audio_sdp(5002, version=2)))
    call.state('connected', sub_state='received_proposal')
    call.invitation.send_response(488)
    call.state('connected', sub_state='normal')
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.request = peer.expect('INVITE')
    call.answer(200, sdp=audio_sdp(5004, version=2))
    peer.expect('ACK')
    assert call.state('connected', sub_state='normal').code == 200
    call.end()


def test_missing_ack_to_our_offer_in_a_reinvite(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('INVITE'))
    call.state('connected', sub_state='received_proposal_request')
    call.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000, version=2)))
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'missing ACK'


def test_bye_without_answer(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.end()
    data = call.state('disconnected')
    assert (data.code, data.originator, data.disconnect_reason) == (408, 'local', 'timeout')


@pytest.mark.parametrize('answer', [None, 408, 481])
def test_reinvite_that_tells_of_a_dead_dialog(peer, seen, answer):
    """RFC 3261 section 12.2.1.2: such an answer, or none, ends the dialog."""
    call = Outgoing(peer, seen).connect()
    call.invitation.send_reinvite(sdp=SDPSession.parse(audio_sdp(4002, version=2)))
    call.state('connected', sub_state='sent_proposal')
    call.request = peer.expect('INVITE')
    if answer is not None:
        call.answer(answer, 'Gone')
    data = call.state('connected', sub_state='normal')
    assert (data.code, data.originator) == (answer or 408, 'remote' if answer else 'local')
    call.state('disconnecting')
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').code == (answer or 408)


def test_reliable_response_that_nobody_acknowledges(peer, seen):
    call = Incoming(peer, seen, headers='Require: 100rel\r\n')
    call.invitation.send_response(183, sdp=SDPSession.parse(audio_sdp(4000)))
    first, second = peer.expect(183), peer.expect(183)
    assert first.get('rseq') == second.get('rseq')
    final = peer.expect(504)
    assert final
    assert call.state('disconnected').code == 504


# ---- session timers -------------------------------------------------------------------------------------------------

TIMER = 'Supported: timer\r\n'


def test_session_timer_is_asked_for(peer, seen):
    call = Outgoing(peer, seen)
    assert 'timer' in call.request.get('supported')
    assert call.request.get('session-expires') == '1800' and call.request.get('min-se') == '90'
    call.connect()
    call.end()


def test_too_short_an_interval_is_refused(peer):
    peer.send(peer.request('INVITE', headers=SDP_HEADERS + TIMER + 'Session-Expires: 30\r\n', body=audio_sdp()))
    assert peer.expect(422).get('min-se') == '90'


def test_longer_interval_is_agreed_to(peer, seen):
    call = Outgoing(peer, seen)
    call.answer(422, 'Session Interval Too Small', headers='Min-SE: 3600\r\n')
    peer.expect('ACK')
    call.request = peer.expect('INVITE')
    assert call.request.get('session-expires') == '3600' and call.request.get('min-se') == '3600'
    call.connect()
    assert [past.data.state for past in seen.past if past.name == 'SIPInvitationChangedState'] == ['outgoing', 'connecting', 'connected']
    call.end()


def test_we_refresh_by_update(peer, seen, short_session):
    call = Outgoing(peer, seen).connect(headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n')
    for _ in range(2):
        update = peer.expect('UPDATE')
        assert update.body == '' and update.get('session-expires') == '2;refresher=uac'
        peer.answer(update, 200, headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\n')
    assert call.invitation.sub_state == 'normal'
    call.end()


def test_we_refresh_by_reinvite(peer, seen, short_session):
    call = Outgoing(peer, seen).connect(headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\nAllow: INVITE, ACK, BYE\r\n')
    call.request = peer.expect('INVITE')
    assert 'm=audio 4000' in call.request.body
    call.answer(200, sdp=audio_sdp(5000), headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\n')
    peer.expect('ACK')
    assert call.invitation.sub_state == 'normal'
    call.end()
    assert not [past for past in seen.past if getattr(past.data, 'sub_state', 'normal') not in ('normal', None)]


def test_refused_update_is_tried_again_with_a_description(peer, seen, short_session):
    call = Outgoing(peer, seen).connect(headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n')
    peer.answer(peer.expect('UPDATE'), 488)
    again = peer.expect('UPDATE')
    assert 'm=audio 4000' in again.body
    peer.answer(again, 200, headers=SDP_HEADERS + 'Require: timer\r\nSession-Expires: 2;refresher=uac\r\n', body=audio_sdp(5000))
    call.end()


def test_refresh_that_fails_ends_the_call(peer, seen, short_session):
    call = Outgoing(peer, seen).connect(headers='Require: timer\r\nSession-Expires: 2;refresher=uac\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n')
    peer.answer(peer.expect('UPDATE'), 481)
    peer.answer(peer.expect('BYE'), 200)
    data = call.state('disconnected')
    assert (data.code, data.originator) == (481, 'local')


def test_call_ends_when_the_peer_does_not_refresh(peer, seen, short_session):
    call = Outgoing(peer, seen).connect(headers='Require: timer\r\nSession-Expires: 2;refresher=uas\r\n')
    bye = peer.expect('BYE')
    assert 'cause=408' in bye.get('reason')
    assert call.state('disconnecting').originator == 'local'
    peer.answer(bye, 200)
    data = call.state('disconnected')
    assert (data.code, data.originator, data.disconnect_reason) == (408, 'local', 'timeout')


def test_peer_refreshes(peer, seen, short_session):
    call = Incoming(peer, seen, headers=TIMER + 'Session-Expires: 2;refresher=uac\r\n')
    call.connect()
    assert call.ok.get('session-expires') == '2;refresher=uac' and call.ok.get('require') == 'timer'
    peer.send(call.in_dialog('UPDATE', 2, headers=TIMER + 'Session-Expires: 3;refresher=uac\r\n'))
    assert peer.expect(200).get('session-expires') == '3;refresher=uac'
    assert peer.silent(1)
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'timeout'


def test_we_refresh_a_call_that_came_in(peer, seen, short_session):
    call = Incoming(peer, seen, headers=TIMER + 'Session-Expires: 2;refresher=uas\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n')
    call.connect()
    assert call.ok.get('session-expires') == '2;refresher=uas'
    update = peer.expect('UPDATE')
    assert update.get('session-expires') == '2;refresher=uac'       # the roles of this transaction
    peer.answer(update, 200, headers='Session-Expires: 2;refresher=uac\r\n')
    peer.send(call.in_dialog('BYE', 2))
    assert call.state('disconnected').originator == 'remote'


def test_no_session_timer_unless_the_peer_wants_one(peer, seen):
    call = Incoming(peer, seen, headers=TIMER).connect()
    assert call.ok.get('session-expires') is None
    peer.send(call.in_dialog('BYE', 2))
    call.state('disconnected')


def test_nothing_is_left(engine):
    assert nothing_left()
