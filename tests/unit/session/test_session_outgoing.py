"""`Session.connect`, from the first offer to a running session or to the failure."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import FrozenContactHeader, Header, PJSIPError, SIPURI, ToHeader
from sipsimple.lookup import DNSLookupError
from sipsimple.session import IllegalStateError, Session, SessionManager
from sipsimple.util import Null


def test_call_that_works(world):
    stream = world.Stream()
    session = world.outgoing(stream)
    assert session.state == 'outgoing' and session.direction == 'outgoing'
    assert world.recorder.names == ['NewOutgoing']
    assert world.recorder.one('SIPSessionNewOutgoing').streams == [stream]
    assert stream.calls == ['initialize outgoing', 'offer']
    invite = world.invitation.last('INVITE')
    assert str(invite.request_uri) == 'sip:you@example.com' and invite.route_header.uri.host == '127.0.0.1'
    assert [(line.media, line.port) for line in invite.sdp.media] == [('audio', 20000)] and invite.sdp.name == 'test'
    world.invitation.peer_rings()
    world.invitation.peer_answers()
    assert world.recorder.names == ['NewOutgoing', 'GotRingIndication', 'GotProvisionalResponse', 'WillStart', 'DidProcessTransaction', 'DidStart']
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.method, transaction.code, transaction.reason) == ('local', 'INVITE', 200, 'OK')
    assert transaction.ack_received == 'unknown'
    assert session.state == 'connected' and session.streams == [stream] and session.proposed_streams is None
    assert session.start_time is not None and session.stop_time is None
    assert world.recorder.one('SIPSessionDidStart').streams == [stream]
    assert stream.calls == ['initialize outgoing', 'offer', 'start']
    assert all(data.timestamp is not None for _, data in world.recorder.events)
    assert SessionManager().sessions == [session]


def test_other_provisional_responses_do_not_ring(world):
    world.outgoing()
    world.invitation.peer_rings(183, 'Session Progress')
    assert world.recorder.names == ['NewOutgoing', 'GotProvisionalResponse']
    data = world.recorder.one('SIPSessionGotProvisionalResponse')
    assert (data.code, data.reason) == (183, 'Session Progress')


def test_early_media(world):
    stream = world.Stream()
    session = world.outgoing(stream)
    world.invitation.negotiated(world.invitation.sdp.proposed_local, world.sdp('audio'))
    world.invitation.peer_rings(183, 'Session Progress')
    assert 'start' in stream.calls and 'WillStart' in world.recorder.names
    assert session.state == 'outgoing' and 'DidStart' not in world.recorder.names
    world.invitation.change('connecting')
    world.invitation.change('connected', 'local')
    assert session.state == 'connected'
    assert world.recorder.names.count('WillStart') == 1 and stream.calls.count('start') == 1


def test_second_description_updates_running_streams(world):
    stream = world.Stream()
    world.outgoing(stream)
    world.invitation.negotiated(world.invitation.sdp.proposed_local, world.sdp('audio'))
    world.invitation.negotiated(world.sdp('audio'), world.sdp('audio', port=31000))
    assert stream.calls[-2:] == ['start', 'update']


def test_refused_stream_is_dropped_silently(world):
    kept, refused = world.Stream(), world.Text()
    session = world.outgoing(kept, refused)
    world.invitation.peer_answers([('audio', 30000), ('text', 0)])
    assert session.streams == [kept]
    assert refused.calls == ['initialize outgoing', 'offer', 'deactivate', 'end']
    assert session.state == 'connected'


def test_slow_streams(world):
    stream = world.Stream(script='slow-init slow-start')
    session = world.outgoing(stream)
    assert not world.invitations
    stream.post('MediaStreamDidInitialize')
    world.invitation.peer_answers()
    assert session.state == 'outgoing'
    stream.post('MediaStreamDidStart')
    assert session.state == 'connected'


@pytest.mark.parametrize('script', ['bad-init', 'raise-init'])
def test_one_of_two_streams_fails_to_initialize(world, script):
    good, bad = world.Stream(), world.Text(script=script)
    world.outgoing(good, bad)
    assert [line.media for line in world.invitation.last('INVITE').sdp.media] == ['audio']
    assert bad.calls[-1] == 'end'


def test_no_stream_can_be_initialized(world):
    session = world.outgoing(world.Stream(script='bad-init'))
    assert world.recorder.names == ['NewOutgoing', 'DidFail']
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 0, None, 'media stream failed: no device')
    assert session.state == 'terminated' and not world.invitations and SessionManager().sessions == []


def test_no_contact(world):
    world.account.contact.missing = True
    world.outgoing()
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code) == ('local', 480)


def test_no_way_out(world, monkeypatch):
    monkeypatch.setattr('sipsimple.session.description.outgoing_address', lambda remote: None)
    world.account.contact.gruu = True
    world.outgoing()
    assert world.recorder.one('SIPSessionDidFail').code == 480


def test_rejected(world):
    stream = world.Stream()
    session = world.outgoing(stream)
    world.invitation.gone(code=486, reason='Busy Here', disconnect_reason='Busy Here')
    assert world.recorder.names == ['NewOutgoing', 'DidProcessTransaction', 'DidFail']
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason, data.redirect_identities) == ('remote', 486, 'Busy Here', 'Busy Here', None)
    assert session.state == 'terminated' and stream.calls[-2:] == ['deactivate', 'end']


def test_redirected(world):
    world.outgoing()
    world.invitation.gone(code=302, reason='Moved Temporarily', disconnect_reason='Moved Temporarily', headers={'Contact': ['a', 'b']})
    assert world.recorder.one('SIPSessionDidFail').redirect_identities == ['a', 'b']


# Redirections that are followed

def moved(world, *contacts, code=302, reason='Moved'):
    world.invitation.gone(code=code, reason=reason, headers={'Contact': [FrozenContactHeader.parse(contact) for contact in contacts]}, disconnect_reason=reason)


@pytest.fixture
def following(world, lookup):
    world.account.sip.follow_redirects = True
    return world


def called(world):
    """The Request-URIs of the INVITEs."""
    return [str(invitation.last('INVITE').request_uri) for invitation in world.invitations]


@pytest.mark.parametrize('code', [300, 301, 302])
def test_redirection_is_followed(following, lookup, code):
    """The To header stays; what a contact says besides its URI does not go into the request."""
    world = following
    session = world.outgoing()
    moved(world, '"Carol" <sip:carol@example.org;transport=tcp;method=INVITE?Subject=money>', code=code)
    assert session.state == 'outgoing' and called(world) == ['sip:you@example.com', 'sip:carol@example.org;transport=tcp']
    assert [str(uri) for uri, _ in lookup.asked] == ['sip:carol@example.org;transport=tcp']
    first, second = (invitation.last('INVITE') for invitation in world.invitations)
    assert str(second.to_header) == str(first.to_header) and second.sdp.media == first.sdp.media
    assert [stream.calls for stream in session.proposed_streams] == [['initialize outgoing', 'offer', 'renew', 'offer']]      # with other keys
    world.invitation.peer_answers()
    assert session.state == 'connected' and world.recorder.names.count('NewOutgoing') == 1 and 'DidFail' not in world.recorder.names
    assert [data.code for data in world.recorder.all('SIPSessionDidProcessTransaction')] == [code, 200]


@pytest.mark.parametrize('code', [305, 380])
def test_redirection_to_what_is_no_callee(following, code):
    following.outgoing()
    moved(following, '<sip:carol@example.org>', code=code)
    data = following.recorder.one('SIPSessionDidFail')
    assert (data.code, len(data.redirect_identities)) == (code, 1)


def test_contacts_are_tried_best_first(following):
    """A redirection within goes before the rest; the answer of a callee, and silence, lead on to the next one; nobody is called twice."""
    world = following
    session = world.outgoing()
    moved(world, '<sip:c@example.org>;q=0.3', '<sip:a@example.org>;q=0.8', '<sip:b@example.org>;q=0.8', '<sip:a@EXAMPLE.org>', '<sip:you@example.com>')
    moved(world, '<sip:d@example.org>;q=0.1', '<sip:b@example.org>')
    world.invitation.gone(code=486, reason='Busy Here', disconnect_reason='Busy Here')
    world.invitation.gone('local', code=408, reason='timeout', disconnect_reason='timeout')
    assert session.state == 'outgoing'
    world.invitation.gone(code=404, reason='Not Found', disconnect_reason='Not Found')
    assert called(world) == [f'sip:{user}' for user in ('you@example.com', 'a@example.org', 'd@example.org', 'b@example.org', 'c@example.org')]
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.redirect_identities) == ('remote', 404, 'Not Found', None)


def test_refusal_for_everywhere(following):
    session = following.outgoing()
    moved(following, '<sip:a@example.org>', '<sip:b@example.org>')
    following.invitation.gone(code=603, reason='Decline', disconnect_reason='Decline')
    assert session.state == 'terminated' and following.recorder.one('SIPSessionDidFail').code == 603


@pytest.mark.parametrize('contacts', [[], ['*'], ['<sip:you@example.com>'], ['<sip:a@example.org;method=MESSAGE>']])
def test_redirection_to_nobody(following, contacts):
    following.outgoing()
    moved(following, *contacts)
    data = following.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, len(data.redirect_identities)) == ('remote', 302, len(contacts))


def test_secure_call_stays_secure(following):
    session = Session(following.account)
    session.connect(ToHeader(SIPURI('example.com', user='you', secure=True)), [following.route()], [following.Stream()])
    moved(following, '<sip:a@example.org>;q=1', '<sips:b@example.org>;q=0.1')
    assert called(following) == ['sips:you@example.com', 'sips:b@example.org']


def test_circle_of_redirections_ends(following):
    following.outgoing()
    for number in range(100):
        if following.invitation.state != 'disconnected':
            moved(following, f'<sip:number-{number}@example.org>')
    assert len(following.invitations) == 10 and following.recorder.one('SIPSessionDidFail').code == 302


def test_redirection_to_what_is_not_found(following, lookup):
    """The next contact is tried; when there is none, the redirection is what the call ended with."""
    lookup.errors['nowhere.example'] = DNSLookupError('no such name')
    following.outgoing()
    moved(following, '<sip:a@nowhere.example>', '<sip:b@example.org>')
    assert called(following) == ['sip:you@example.com', 'sip:b@example.org']
    moved(following, '<sip:b@nowhere.example>')
    data = following.recorder.one('SIPSessionDidFail')
    assert data.code == 302 and 'nowhere.example' in str(data.redirect_identities[0])


def test_end_while_the_target_is_looked_up(following, lookup):
    lookup.late = []
    session = following.outgoing()
    moved(following, '<sip:a@example.org>')
    assert session.state == 'outgoing' and len(following.invitations) == 1
    session.end()
    assert session.state == 'terminated'
    data = following.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.failure_reason) == ('local', 487, 'user_request')
    lookup.tell()
    assert len(following.invitations) == 1


def test_every_route_of_a_target_is_tried(following, lookup):
    lookup.routes = [following.route(5061), following.route(5062)]
    following.outgoing()
    moved(following, '<sip:a@example.org>')
    following.invitation.gone(code=503, reason='Full', disconnect_reason='Full')
    assert [invitation.last('INVITE').route_header.uri.port or 5060 for invitation in following.invitations] == [5060, 5061, 5062]


# Routes

@pytest.mark.parametrize('code, originator, provisional, tried_next', [
    (503, 'remote', False, True), (503, 'local', False, True), (408, 'local', False, True),
    (408, 'local', True, False), (408, 'remote', False, False), (486, 'remote', False, False), (500, 'remote', False, False),
])
def test_route_failover(world, code, originator, provisional, tried_next):
    session = world.outgoing(routes=[world.route(5060), world.route(5062)])
    if provisional:
        world.invitation.peer_rings()
    world.invitation.gone(originator, code=code, reason='x', disconnect_reason='x')
    assert len(world.invitations) == (2 if tried_next else 1)
    if tried_next:
        assert session.state == 'outgoing'
        assert world.invitation.last('INVITE').route_header.uri.port == 5062
        world.invitation.peer_answers()
        assert session.state == 'connected'
    else:
        assert session.state == 'terminated' and world.recorder.one('SIPSessionDidFail').code == code


def test_all_routes_fail(world):
    session = world.outgoing(routes=[world.route(5060), world.route(5062)])
    world.invitation.gone('local', code=408, reason='Transport Error', disconnect_reason='Transport Error')
    world.invitation.gone('local', code=408, reason='timeout', disconnect_reason='timeout')
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 408, 'timeout', 'timeout')
    assert session.state == 'terminated' and world.recorder.names.count('NewOutgoing') == 1


def test_invite_cannot_be_sent(world, monkeypatch):
    original = world._new_invitation

    def failing():
        invitation = original()
        if len(world.invitations) == 1:
            invitation.fail_send = PJSIPError('no transport', 171060)
        return invitation
    monkeypatch.setattr('sipsimple.session.outgoing.Invitation', failing)
    session = world.outgoing(routes=[world.route(), world.route(5062)])
    assert len(world.invitations) == 2
    world.invitation.peer_answers()
    assert session.state == 'connected'


def test_events_of_an_abandoned_route_are_ignored(world):
    session = world.outgoing(routes=[world.route(), world.route(5062)])
    first = world.invitation
    first.gone('local', code=503, reason='x', disconnect_reason='x')
    first.gone('local', code=486, reason='x', disconnect_reason='x')
    assert session.state == 'outgoing' and len(world.invitations) == 2


def test_nobody_answers(world):
    session = world.outgoing()
    world.invitation.peer_rings()
    world.advance(89)
    assert session.state == 'outgoing'
    world.advance(2)
    assert 'CANCEL' in world.invitation.methods and session.state == 'terminated'
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 487, 'Session Cancelled', 'user_request')


def test_no_limit_for_the_answer(world):
    world.settings.sip.invite_timeout = None
    session = world.outgoing()
    world.advance(100000)
    assert session.state == 'outgoing'


def test_stream_does_not_start(world):
    stream = world.Stream(script='slow-start')
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    world.advance(14)
    assert session.state == 'outgoing'
    world.advance(2)
    assert world.invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 0, None, 'media stream start timeout')
    assert stream.calls[-2:] == ['deactivate', 'end'] and 'DidEnd' not in world.recorder.names


def test_stream_fails_to_start(world):
    session = world.outgoing(world.Stream(script='bad-start'))
    world.invitation.negotiated(world.invitation.sdp.proposed_local, world.sdp('audio'))
    assert world.invitation.methods[-1] == 'CANCEL' and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').failure_reason == 'media stream failed: no codec'


def test_negotiation_fails(world):
    session = world.outgoing()
    world.invitation._post('SIPInvitationGotSDPUpdate', succeeded=False, error='no codec')
    world.invitation.change('connecting')
    assert session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').failure_reason == 'SDP negotiation failed: no codec'


def test_peer_accepts_no_stream(world):
    session = world.outgoing()
    world.invitation.peer_answers([('audio', 0)])
    assert world.invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.failure_reason) == ('local', 'the peer accepted no stream')


def test_peer_hangs_up_while_streams_start(world):
    session = world.outgoing(world.Stream(script='slow-start'))
    world.invitation.peer_answers()
    world.invitation.bye()
    assert world.recorder.names[-3:] == ['WillEnd', 'DidProcessTransaction', 'DidEnd'] and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidEnd').originator == 'remote'


def test_end_before_anything_was_sent(world):
    session = world.outgoing(world.Stream(script='slow-init'))
    session.end()
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 487, 'Session Cancelled', 'user_request')
    assert data.redirect_identities is None and not world.invitations and session.state == 'terminated'


def test_end_before_the_engine_thread_tells_that_the_invite_was_sent(world):
    world.late = True
    session = world.outgoing()
    assert world.invitation.state is None and world.invitation.methods == ['INVITE']
    session.end()
    assert world.invitation.methods == ['INVITE', 'CANCEL'] and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').code == 487


def test_end_while_it_rings(world):
    session = world.outgoing()
    world.invitation.peer_rings()
    world.recorder.events.clear()
    session.end()
    assert session.state == 'terminated' and world.invitation.methods[-1] == 'CANCEL'
    assert world.recorder.names == ['DidProcessTransaction', 'DidFail']
    data = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (data.originator, data.method, data.code) == ('local', 'INVITE', 487)


def test_cancel_is_not_answered(world):
    world.answer_end = False
    session = world.outgoing()
    world.invitation.peer_rings()
    session.end()
    assert session.state == 'terminating'
    world.advance(16)
    assert session.state == 'terminated' and world.recorder.one('SIPSessionDidFail').code == 487


def test_end_from_inside_a_notification(world):
    session = None

    def end(notification):
        notification.sender.end()
    world.recorder.reactions['SIPSessionGotRingIndication'] = end
    session = world.outgoing()
    world.invitation.peer_rings()
    assert session.state == 'terminated' and world.invitation.methods[-1] == 'CANCEL'


def test_end_from_inside_did_start(world):
    world.recorder.reactions['SIPSessionDidStart'] = lambda notification: notification.sender.end()
    session = world.outgoing()
    world.invitation.peer_answers()
    assert session.state == 'terminated' and world.invitation.methods[-1] == 'BYE' and world.recorder.names[-1] == 'DidEnd'


def test_arguments(world):
    session = Session(world.account)
    to_header = ToHeader(SIPURI('example.com', user='you'))
    with pytest.raises(RuntimeError):
        session.connect(to_header, [world.route()], [world.Stream()], extra_headers=[Header('Via', 'x')])
    with pytest.raises(ValueError):
        session.connect(to_header, [world.route()], [])
    with pytest.raises(ValueError):
        session.connect(to_header, [], [world.Stream()])
    assert session.state is None
    session.connect(to_header, [world.route()], [world.Stream()], is_focus=True, subject='Greetings', extra_headers=[Header('X-Test', '1')])
    invite = world.invitation.last('INVITE')
    assert [(header.name, header.body) for header in invite.extra_headers] == [('X-Test', '1'), ('Subject', 'Greetings')]
    assert 'isfocus' in invite.contact_header.parameters and session.local_focus and session.subject == 'Greetings'
    with pytest.raises(IllegalStateError):
        session.connect(to_header, [world.route()], [world.Stream()])


def test_focus_of_the_peer(world):
    session = world.outgoing()
    world.invitation.change('connecting', headers={'Contact': [SimpleNamespace(parameters={'isfocus': None})]})
    assert session.remote_focus


def test_several_at_once(world):
    sessions = [world.outgoing() for _ in range(5)]
    assert SessionManager().sessions == sessions
    for invitation in reversed(world.invitations):
        invitation.peer_answers()
    assert [session.state for session in sessions] == ['connected'] * 5
    sessions[2].end()
    assert SessionManager().sessions == [session for session in sessions if session is not sessions[2]]


def test_observer_that_raises_does_not_stop_the_session(world):
    def broken(notification):
        raise RuntimeError('observer')
    world.recorder.reactions['SIPSessionGotRingIndication'] = broken
    session = world.outgoing()
    world.invitation.peer_rings()
    world.invitation.peer_answers()
    assert session.state == 'connected'


def test_internal_error_ends_the_session(world, monkeypatch):
    session = world.outgoing()
    monkeypatch.setattr(session, '_negotiated', lambda data: 1 / 0)
    world.invitation.peer_answers()
    assert session.state == 'terminated' and world.recorder.one('SIPSessionDidFail').failure_reason == 'internal error'


def test_what_is_not_there_is_null(world):
    session = Session(world.account)
    assert not session.replaced_session and not session.transfer_info
    assert session.replaced_session.remote_identity is session.transfer_info.referred_by is Null
    assert world.outgoing().transfer_info is Null


def test_what_needs_a_session(world):
    session = Session(world.account)
    assert session.state is None and session.streams == [] and session.proposed_streams is None
    assert session.transport is session.local_identity is session.remote_identity is session.remote_user_agent is session.dialog_id is None
    session.end()
    assert session.state is None and world.recorder.events == []
    for call in (session.send_ring_indication, session.reject, session.cancel_proposal, session.reject_proposal, session.accept_transfer):
        with pytest.raises(IllegalStateError):
            call()
    for call in (session.accept, session.accept_proposal, session.add_streams, session.remove_streams):
        with pytest.raises(IllegalStateError):
            call([world.Stream()])


@pytest.mark.parametrize('answer', [200, 488, None])
def test_result_of_ice_is_offered_before_the_session_starts(world, answer):
    stream = world.Stream()
    stream.ice_reoffer_needed = True
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    assert session.state == 'sending_proposal' and world.invitation.methods == ['INVITE', 're-INVITE'] and 'DidStart' not in world.recorder.names
    if answer is None:
        world.advance(5.1)
        world.invitation.peer_answers_reinvite(487, 'Request Terminated')
    else:
        world.invitation.peer_answers_reinvite(answer, 'x')
    assert session.state == 'connected' and world.recorder.names[-1] == 'DidStart'
    assert (stream.calls[-1] == 'update') is (answer == 200)


def test_peer_is_faster_than_the_result_of_ice(world):
    """Its re-INVITE is answered first; media runs anyhow, and the session has started."""
    stream = world.Stream(script='slow-start')
    stream.ice_reoffer_needed = True
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    world.invitation.peer_offers(world.sdp('audio', port=40000))
    stream.post('MediaStreamDidStart')
    assert session.state == 'connected' and world.invitation.methods == ['INVITE', 200]
    assert world.recorder.names[-2:] == ['DidStart', 'DidProcessTransaction']


@pytest.mark.parametrize('peer', ['waits', 'comes', 'refuses again'])
def test_result_of_ice_meets_glare(world, peer):
    """It is offered once more (RFC 3261 section 14.1), unless the peer comes first: then our answer tells it."""
    stream = world.Stream()
    stream.ice_reoffer_needed = True
    session = world.outgoing(stream)
    invitation = world.invitation
    invitation.peer_answers()
    invitation.peer_answers_reinvite(491, 'Request Pending')
    assert session.state == 'sending_proposal' and 'DidStart' not in world.recorder.names
    if peer == 'comes':
        invitation.peer_offers(world.sdp('audio', port=40000))
        assert invitation.methods == ['INVITE', 're-INVITE', 200]
    else:
        world.advance(2)
        assert invitation.methods == ['INVITE', 're-INVITE']
        world.advance(2.1)
        assert invitation.methods == ['INVITE', 're-INVITE', 're-INVITE']
        invitation.peer_answers_reinvite(*((200,) if peer == 'waits' else (491, 'Request Pending')))
    assert session.state == 'connected' and 'DidStart' in world.recorder.names
    world.advance(5)
    assert invitation.methods.count('re-INVITE') == (1 if peer == 'comes' else 2)


def test_end_while_the_result_of_ice_is_offered(world):
    stream = world.Stream()
    stream.ice_reoffer_needed = True
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    session.end()
    assert session.state == 'terminated' and world.recorder.names[-1] == 'DidEnd' and 'DidStart' not in world.recorder.names
