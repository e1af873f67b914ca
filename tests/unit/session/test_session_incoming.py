"""Incoming sessions: the manager's rules, accept, reject, cancel."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import Header, SIPCoreInvalidStateError, SIPURI
from sipsimple.notification import NotificationCenter
from sipsimple.session import IllegalStateError, SessionManager


def test_call_that_works(world):
    invitation, session = world.incoming('audio')
    assert session.state == 'incoming' and session.direction == 'incoming' and session.account is world.account
    assert invitation.methods == [] and world.recorder.names == ['NewIncoming']
    [stream] = world.recorder.one('SIPSessionNewIncoming').streams
    assert session.proposed_streams == [stream] and stream.index == 0 and stream.calls == []
    session.send_ring_indication()
    assert invitation.methods == [180]
    session.accept([stream])
    answer = invitation.last(200)
    assert [(line.media, line.port) for line in answer.sdp.media] == [('audio', 20000)] and answer.sdp.address == '127.0.0.1'
    assert session.state == 'accepting' and world.recorder.names == ['NewIncoming', 'WillStart']
    assert stream.calls == ['initialize incoming', 'answer', 'start']
    invitation.change('connected')
    assert session.state == 'connected' and session.streams == [stream] and session.proposed_streams is None
    assert world.recorder.names == ['NewIncoming', 'WillStart', 'DidProcessTransaction', 'DidStart']
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.method, transaction.code, transaction.reason, transaction.ack_received) == ('remote', 'INVITE', 200, 'OK', True)


@pytest.mark.parametrize('answer, sent', [(None, [100]), ('ring', [180]), ('accept', [200]), ('reject', [603])])
def test_trying_if_nothing_else_is_said(world, answer, sent):
    invitation, session = world.incoming('audio')
    if answer == 'ring':
        session.send_ring_indication()
    elif answer == 'accept':
        session.accept(session.proposed_streams)
    elif answer == 'reject':
        session.reject()
    world.advance(0.3)
    assert invitation.methods == sent


def test_answer_from_inside_the_notification(world):
    """The second observer hears of the new session before it hears what the first one did with it."""
    second = type(world.recorder)()
    NotificationCenter().add_observer(second)
    world.recorder.reactions['SIPSessionNewIncoming'] = lambda notification: notification.sender.accept(notification.data.streams)
    try:
        invitation, session = world.incoming()
    finally:
        NotificationCenter().remove_observer(second)
    assert invitation.methods == [200] and session.state == 'accepting'
    assert second.names == ['NewIncoming', 'WillStart']


def test_only_some_streams_are_accepted(world):
    invitation, session = world.incoming('video', 'audio', 'text')
    audio, text = session.proposed_streams
    assert (audio.index, text.index) == (1, 2)
    session.accept([text])
    assert [(line.media, line.port) for line in invitation.last(200).sdp.media] == [('video', 0), ('audio', 0), ('text', 20000)]
    invitation.change('connected')
    assert session.streams == [text] and audio.calls == []


def test_streams_must_be_proposed(world):
    _, session = world.incoming('audio')
    with pytest.raises(ValueError):
        session.accept([world.Stream()])
    with pytest.raises(ValueError):
        session.accept([])
    assert session.state == 'incoming'


def test_contact_and_headers_of_the_answer(world):
    invitation, session = world.incoming()
    invitation.local_contact_header = SimpleNamespace(uri=world.account.uri)
    session.accept(session.proposed_streams, is_focus=True, extra_headers=[Header('X-Test', '1')])
    answer = invitation.last(200)
    assert 'isfocus' in answer.contact_header.parameters and [header.name for header in answer.extra_headers] == ['X-Test'] and session.local_focus


@pytest.mark.parametrize('transport, contact', [('udp', None), ('tcp', 'sip:me@127.0.0.1;transport=tcp')])
def test_contact_names_the_transport(world, transport, contact):
    invitation, session = world.incoming()
    invitation.transport = transport
    invitation.local_contact_header = SimpleNamespace(uri=SIPURI('127.0.0.1', user='me'))
    session.accept(session.proposed_streams)
    header = invitation.last(200).contact_header
    assert (str(header.uri) if header is not None else None) == contact


def test_subject_and_focus_of_the_caller(world):
    _, session = world.incoming(headers={'Subject': SimpleNamespace(subject='Hello'), 'Contact': [SimpleNamespace(parameters={'isfocus': None})]})
    assert session.subject == 'Hello' and session.remote_focus


def test_unknown_account(world):
    invitation, session = world.incoming(user='nobody')
    assert session is None and invitation.methods == [404] and world.recorder.names == []


def test_no_usable_stream_is_left_to_the_application(world):
    invitation, session = world.incoming('video', ('audio', 13))
    assert world.recorder.one('SIPSessionNewIncoming').streams == []
    session.reject(488)
    assert invitation.methods == [488] and session.state == 'terminated'


def test_disabled_lines_are_no_proposal(world):
    _, session = world.incoming(('audio', 0), 'text')
    assert [stream.type for stream in session.proposed_streams] == ['text']


def test_invite_without_offer(world):
    invitation, session = world.incoming(offer=False)
    assert world.recorder.one('SIPSessionNewIncoming').streams == []
    stream = world.Stream(world.account)
    session.accept([stream])
    offer = invitation.last(200).sdp
    assert [(line.media, line.port) for line in offer.media] == [('audio', 20000)]
    assert stream.calls == ['initialize outgoing', 'offer'] and world.recorder.names == ['NewIncoming', 'WillStart']
    invitation.negotiated(offer, world.sdp('audio'))
    invitation.change('connected')
    assert session.state == 'connected' and 'start' in stream.calls


def test_null_address_is_mirrored(world):
    world.manager.start()
    invitation, session = world.incoming()
    invitation.sdp.proposed_remote = world.sdp('audio', address='0.0.0.0')
    session.accept(session.proposed_streams)
    assert invitation.last(200).sdp.address == '0.0.0.0'


def test_no_way_to_the_media_of_the_peer(world, monkeypatch):
    monkeypatch.setattr('sipsimple.session.description.outgoing_address', lambda remote: None)
    invitation, session = world.incoming()
    session.accept(session.proposed_streams)
    assert invitation.methods[-1] == 500 and session.state == 'terminated'
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code) == ('local', 500)


def test_no_stream_can_be_initialized(world):
    invitation, session = world.incoming()
    session.proposed_streams[0].script = 'bad-init'
    session.accept(session.proposed_streams)
    assert invitation.methods[-1] == 500 and session.state == 'terminated'
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason) == ('local', 500, 'Server Internal Error') or data.code == 500
    assert data.failure_reason == 'media stream failed: no device'


def test_one_of_two_streams_fails_to_initialize(world):
    invitation, session = world.incoming('audio', 'text')
    session.proposed_streams[0].script = 'bad-init'
    session.accept(session.proposed_streams)
    assert [line.port for line in invitation.last(200).sdp.media] == [0, 20000]


def test_missing_ack(world):
    invitation, session = world.incoming()
    session.accept(session.proposed_streams)
    world.advance(16)
    assert invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    [reason] = invitation.last('BYE').extra_headers
    assert (reason.cause, reason.text) == (500, 'Missing ACK')
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.failure_reason) == ('local', 0, 'missing ACK')
    assert world.recorder.all('SIPSessionDidProcessTransaction')[0].ack_received is False


def test_missing_ack_told_by_the_stack(world):
    invitation, session = world.incoming()
    session.accept(session.proposed_streams)
    invitation.gone('local', code=408, reason='Request Timeout', disconnect_reason='missing ACK')
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.failure_reason) == ('local', 200, 'missing ACK') and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidProcessTransaction').ack_received is False


def test_stream_does_not_start(world):
    invitation, session = world.incoming()
    session.proposed_streams[0].script = 'slow-start'
    session.accept(session.proposed_streams)
    invitation.change('connected')
    world.advance(16)
    assert invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').failure_reason == 'media stream start timeout'


@pytest.mark.parametrize('when', ['incoming', 'ringing', 'accepting'])
def test_cancelled_by_the_caller(world, when):
    invitation, session = world.incoming()
    stream = session.proposed_streams[0]
    if when == 'ringing':
        session.send_ring_indication()
    elif when == 'accepting':
        stream.script = 'slow-init'
        session.accept([stream])
    world.recorder.events.clear()
    invitation.gone(code=487, reason='Request Terminated', method='CANCEL', disconnect_reason='user request')
    assert session.state == 'terminated' and world.recorder.names == ['DidProcessTransaction', 'DidFail']
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.code, transaction.ack_received) == ('remote', 487, 'unknown')
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason) == ('remote', 487, 'Session Cancelled')
    if when == 'accepting':
        assert stream.calls[-2:] == ['deactivate', 'end']
    with pytest.raises(IllegalStateError):
        session.accept([stream])


@pytest.mark.parametrize('user', ['me', 'nobody'])
def test_cancelled_before_the_session_was_made(world, caplog, user):
    """The CANCEL is in the queue behind the INVITE."""
    pending = []
    world.scheduler.call_soon = lambda function, *args: pending.append((function, args))
    invitation, session = world.incoming(user=user)
    assert session is None
    invitation.gone(code=487, reason='Request Terminated', method='CANCEL')
    while pending:
        function, args = pending.pop(0)
        function(*args)
    assert SessionManager().sessions == [] and invitation.methods == []
    assert world.recorder.names == [] and caplog.records == []


@pytest.mark.parametrize('late', [False, True])
def test_reject(world, late):
    invitation, session = world.incoming()
    proposed = session.proposed_streams
    world.recorder.events.clear()
    world.ack = not late
    session.reject(486, 'In a meeting')
    assert invitation.methods[-1] == 486 and invitation.last(486).reason == 'In a meeting'
    if late:
        assert session.state == 'terminating'
        world.advance(1.1)
    assert session.state == 'terminated' and world.recorder.names == ['DidProcessTransaction', 'DidFail']
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.code, transaction.reason, transaction.ack_received) == ('remote', 486, 'Busy Here', not late)
    data = world.recorder.one('SIPSessionDidFail')
    assert (data.originator, data.code, data.reason, data.failure_reason) == ('local', 486, 'Busy Here', 'timeout' if late else 'user_request')
    assert session.proposed_streams == proposed


def test_reject_needs_a_negative_code(world):
    _, session = world.incoming()
    with pytest.raises(ValueError):
        session.reject(200)
    assert session.state == 'incoming'


def test_reject_races_with_cancel(world):
    invitation, session = world.incoming()
    world.ack = False
    session.reject()
    invitation.gone(code=487, reason='Request Terminated', method='CANCEL')
    assert session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').code == 487


def test_reject_after_cancel_told_late(world):
    """The dialog is gone, but its notification comes after our attempt to answer."""
    invitation, session = world.incoming()
    invitation.fail_send = SIPCoreInvalidStateError('gone')
    session.reject()
    invitation.gone(code=487, reason='Request Terminated', method='CANCEL')
    assert session.state == 'terminated' and world.recorder.one('SIPSessionDidFail').originator == 'remote'


def test_end_unanswered(world):
    invitation, session = world.incoming()
    session.end()
    assert invitation.methods[-1] == 480 and session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidFail').code == 480


def test_end_while_streams_initialize(world):
    invitation, session = world.incoming()
    stream = session.proposed_streams[0]
    stream.script = 'slow-init'
    session.accept([stream])
    session.end()
    assert invitation.methods[-1] == 480 and session.state == 'terminated' and stream.calls[-1] == 'end'


def test_end_while_the_ack_is_missing(world):
    invitation, session = world.incoming()
    session.accept(session.proposed_streams)
    session.end()
    assert invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    assert world.recorder.names[-4:] == ['WillEnd', 'DidProcessTransaction', 'DidProcessTransaction', 'DidEnd']


def test_manager_start_and_stop(world):
    manager = SessionManager()
    assert manager is SessionManager() is world.manager
    _, first = world.incoming()
    second, _ = world.connected()
    assert world.recorder.events == []
    done = []
    manager._stop(lambda: done.append(True))
    assert done == [True] and manager.sessions == [] and manager.state == 'stopped'
    assert first.state == second.state == 'terminated'
    names = [name for name, _ in world.recorder.events]
    assert names.index('SIPSessionManagerDidEnd') > names.index('SIPSessionDidEnd')
    assert names[0] == 'SIPSessionManagerWillEnd' and names[-1] == 'SIPSessionManagerDidEnd'


def test_manager_waits_for_sessions(world):
    world.answer_end = False
    world.manager.start()
    session, _ = world.connected()
    done = []
    world.manager._stop(lambda: done.append(True))
    assert not done and world.manager.state == 'stopping'
    invitation, _ = world.incoming()
    assert invitation.methods == [480]
    world.advance(16)
    assert done == [True] and session.state == 'terminated'


def test_engine_is_gone(world):
    """Nothing is heard of the dialogs any more: the sessions end by themselves."""
    world.answer_end = False
    world.manager.start()
    session, _invitation = world.connected()
    NotificationCenter().post_notification('SIPEngineDidFail', sender=None)
    assert session.state == 'terminating'
    world.advance(16)
    assert session.state == 'terminated' and world.manager.sessions == []


def test_sessions_is_a_copy(world):
    session, _ = world.connected()
    world.manager.sessions.clear()
    assert world.manager.sessions == [session]


def replaces(session_invitation, to_tag='here', from_tag='there'):
    return {'Replaces': SimpleNamespace(call_id=session_invitation.call_id, to_tag=to_tag, from_tag=from_tag)}


def test_replaced_session_ends_when_the_new_one_starts(world):
    old, old_invitation = world.connected()
    invitation, session = world.incoming(headers=replaces(old_invitation))
    assert session.replaced_session is old and session.transfer_info.replaced_dialog_id is old_invitation.dialog_id
    session.accept(session.proposed_streams)
    assert old.state == 'connected'
    invitation.change('connected')
    assert session.state == 'connected' and old.state == 'terminated'


def test_replaced_session_stays_when_the_new_one_fails(world):
    old, old_invitation = world.connected()
    _, session = world.incoming(headers=replaces(old_invitation))
    session.reject()
    assert old.state == 'connected'


@pytest.mark.parametrize('tags', [{'to_tag': 'x'}, {'from_tag': 'x'}])
def test_replaces_without_match(world, tags):
    _, old_invitation = world.connected()
    invitation, session = world.incoming(headers=replaces(old_invitation, **tags))
    assert session is None and invitation.methods == [481]


def test_replaces_a_session_that_is_ending(world):
    old, old_invitation = world.connected()
    world.answer_end = False
    old.end()
    invitation, _ = world.incoming(headers=replaces(old_invitation))
    assert invitation.methods == [603]
