"""A running session: its end, its streams, hold, and re-INVITEs of either side."""

from __future__ import annotations

import pytest

from sipsimple.core import SDPAttribute, SDPConnection, SDPMediaStream, SDPSession, SIPCoreError, SIPURI, ToHeader
from sipsimple.notification import NotificationCenter
from sipsimple.session import Session


def media(sdp):
    return [(line.media, line.port, line.direction) for line in sdp.media]


# The end

def test_end(world):
    session, invitation = world.connected()
    stream = session.streams[0]
    order = []
    world.recorder.reactions = {name: (lambda notification: order.append((notification.name, list(stream.calls))))
                                for name in ('SIPSessionWillEnd', 'SIPSessionDidEnd')}
    session.end()
    assert session.state == 'terminated' and invitation.methods == ['BYE']
    assert world.recorder.names == ['WillEnd', 'DidProcessTransaction', 'DidEnd']
    assert world.recorder.one('SIPSessionWillEnd').originator == 'local'
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.method, transaction.code, transaction.reason) == ('local', 'BYE', 200, 'OK')
    assert not hasattr(transaction, 'ack_received')
    data = world.recorder.one('SIPSessionDidEnd')
    assert (data.originator, data.end_reason) == ('local', 'user_request')
    assert session.stop_time == session.end_time >= session.start_time
    assert order == [('SIPSessionWillEnd', []), ('SIPSessionDidEnd', ['deactivate'])] and stream.calls == ['deactivate', 'end']
    session.end()
    assert len(world.recorder.all('SIPSessionDidEnd')) == 1


@pytest.mark.parametrize('text, public', [('user request', 'user_request'), ('Out of money', 'Out of money')])
def test_peer_ends(world, text, public):
    session, invitation = world.connected()
    stream = session.streams[0]
    invitation.bye(text)
    assert session.state == 'terminated' and world.recorder.names == ['WillEnd', 'DidProcessTransaction', 'DidEnd']
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.method, transaction.code) == ('remote', 'BYE', 200)
    data = world.recorder.one('SIPSessionDidEnd')
    assert (data.originator, data.end_reason) == ('remote', public) and stream.calls == ['deactivate', 'end']


def test_dialog_breaks(world):
    _session, invitation = world.connected()
    invitation.gone('local', code=408, reason='Request Timeout', disconnect_reason='timeout')
    data = world.recorder.one('SIPSessionDidEnd')
    assert (data.originator, data.end_reason) == ('local', 'timeout') and 'DidProcessTransaction' not in world.recorder.names


def test_both_end_at_once(world):
    world.answer_end = False
    session, invitation = world.connected()
    session.end()
    invitation.bye()
    assert session.state == 'terminated'
    assert world.recorder.one('SIPSessionDidProcessTransaction').originator == 'remote'
    assert len(world.recorder.all('SIPSessionDidEnd')) == 1


def test_bye_is_not_answered(world):
    world.answer_end = False
    session, invitation = world.connected()
    session.end()
    assert invitation.last('BYE').timeout == 1
    world.advance(16)
    assert session.state == 'terminated' and world.recorder.names == ['WillEnd', 'DidEnd']


def test_last_stream_fails(world):
    session, invitation = world.connected()
    session.streams[0].fail()
    assert session.state == 'terminated' and invitation.methods == ['BYE']


def test_one_of_two_streams_fails(world):
    audio, text = world.Stream(), world.Text()
    session, invitation = world.connected(audio, text)
    text.fail()
    assert session.streams == [audio] and media(invitation.last('re-INVITE').sdp)[1][:2] == ('text', 0)
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and text.calls == ['deactivate', 'end']


def test_stream_of_the_document_alone(world):
    """A stream that has and posts only what the document names."""
    class Plain:
        hold_supported = on_hold = on_hold_by_local = on_hold_by_remote = False

        def __init__(self):
            self.ended = 0

        def post(self, name):
            NotificationCenter().post_notification(name, sender=self)

        def get_local_media(self, for_offer):
            return SDPMediaStream('application', 5000, 'TCP', formats=['*'])

        def initialize(self, session, direction):
            self.post('MediaStreamDidInitialize')

        def start(self, local_sdp, remote_sdp, stream_index):
            self.post('MediaStreamDidStart')

        def update(self, local_sdp, remote_sdp, stream_index):
            pass

        def validate_update(self, remote_sdp, stream_index):
            return True

        def deactivate(self):
            pass

        def end(self):
            self.ended += 1

    stream = Plain()
    session = world.outgoing(stream)
    invitation = world.invitation
    invitation.peer_answers()
    assert session.state == 'connected'
    invitation.peer_offers(None)
    invitation.negotiated(invitation.last(200).sdp, world.sdp('application'))
    invitation.change('connected')
    assert session.state == 'connected'
    session.hold()
    stream.post('MediaStreamDidFail')
    assert session.state == 'terminated' and stream.ended == 1
    failing = Plain()
    failing.initialize = lambda session, direction: failing.post('MediaStreamDidFail')
    assert world.outgoing(failing).state == 'terminated'
    assert world.recorder.all('SIPSessionDidFail')[-1].failure_reason == 'media stream failed: unknown reason'


def test_error_in_the_way_out(world, monkeypatch):
    session, _ = world.connected()
    monkeypatch.setattr('sipsimple.session.streamset.deactivate', lambda streams: 1 / 0)
    session.end()
    assert session.state == 'terminated' and world.recorder.one('SIPSessionDidEnd').end_reason == 'internal error'
    assert world.manager.sessions == []


# Hold

def test_hold_and_unhold(world):
    session, invitation = world.connected()
    stream = session.streams[0]
    session.hold()
    assert stream.calls == ['hold', 'offer'] and session.state == 'sending_proposal' and not session.on_hold
    offer = invitation.last('re-INVITE').sdp
    assert media(offer) == [('audio', 20000, 'sendonly')] and offer.version == invitation.sdp.active_local.version + 1
    session.hold()
    invitation.peer_answers_reinvite(remote=world.sdp('audio', direction='recvonly'))
    assert session.state == 'connected' and session.on_hold and invitation.methods == ['re-INVITE']
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.originator, data.on_hold, data.partial) == ('local', True, False)
    session.hold()
    assert invitation.methods == ['re-INVITE']
    session.unhold()
    invitation.peer_answers_reinvite()
    assert not session.on_hold
    data = world.recorder.all('SIPSessionDidChangeHoldState')[1]
    assert (data.originator, data.on_hold, data.partial) == ('local', False, False)
    session.unhold()
    assert invitation.methods == ['re-INVITE'] * 2


def test_opposite_wish_during_the_reinvite(world):
    session, invitation = world.connected()
    session.hold()
    session.unhold()
    assert invitation.methods == ['re-INVITE']
    invitation.peer_answers_reinvite(remote=world.sdp('audio', direction='recvonly'))
    assert invitation.methods == ['re-INVITE'] * 2 and media(invitation.last('re-INVITE').sdp) == [('audio', 20000, 'sendrecv')]
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and not session.on_hold
    assert [data.on_hold for data in world.recorder.all('SIPSessionDidChangeHoldState')] == [True, False]


def test_hold_before_the_session_runs(world):
    stream = world.Stream()
    session = world.outgoing(stream)
    session.hold()
    assert stream.calls[-1] == 'hold'
    world.invitation.peer_answers()
    assert world.invitation.methods == ['INVITE', 're-INVITE'] and world.recorder.names[-1] == 'DidStart'


def test_hold_before_there_are_streams(world):
    session = Session(world.account)
    session.hold()
    stream = world.Stream()
    session.connect(ToHeader(SIPURI('example.com', user='you')), [world.route()], [stream])
    world.invitation.peer_answers()
    assert world.invitation.methods == ['INVITE', 're-INVITE'] and media(world.invitation.last('re-INVITE').sdp) == [('audio', 20000, 'sendonly')]


def test_hold_taken_back_before_it_was_sent(world):
    stream = world.Stream()
    session = world.outgoing(stream)
    session.hold()
    session.unhold()
    world.invitation.peer_answers()
    assert world.invitation.methods == ['INVITE'] and session.state == 'connected'


def test_hold_without_a_stream_that_can_be_held(world):
    session, invitation = world.connected(world.Text())
    session.hold()
    assert invitation.methods == [] and session.state == 'connected' and world.recorder.names == []


def test_hold_meets_glare(world):
    session, invitation = world.connected()
    session.hold()
    invitation.peer_answers_reinvite(491, 'Request Pending')
    assert session.state == 'connected' and invitation.methods == ['re-INVITE'] and not session.on_hold
    world.advance(2)
    assert invitation.methods == ['re-INVITE']
    world.advance(2.1)
    assert invitation.methods == ['re-INVITE'] * 2
    invitation.peer_answers_reinvite(remote=world.sdp('audio', direction='recvonly'))
    assert session.on_hold and len(world.recorder.all('SIPSessionDidChangeHoldState')) == 1


def test_hold_is_refused(world):
    session, invitation = world.connected()
    session.hold()
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert session.state == 'connected' and not session.on_hold and session.streams[0].calls[-1] == 'unhold'
    data = world.recorder.one('SIPSessionHadProposalFailure')
    assert (data.originator, data.failure_reason, data.streams) == ('local', '488 Not Acceptable Here', session.streams)
    assert 'DidChangeHoldState' not in world.recorder.names


@pytest.mark.parametrize('code', [408, 481])
@pytest.mark.parametrize('method', ['hold', 'add', 'remove'])
def test_peer_does_not_know_the_dialog(world, code, method):
    """RFC 3261 section 14.1: the two refusals that end the dialog."""
    session, invitation = world.connected(world.Stream(), world.Text())
    new = world.Text()
    {'hold': session.hold, 'add': lambda: session.add_stream(new), 'remove': lambda: session.remove_stream(session.streams[1])}[method]()
    invitation.peer_answers_reinvite(code, 'Gone')
    assert session.state == 'terminated' and invitation.methods[-1] == 'BYE'
    assert world.recorder.one('SIPSessionDidEnd').end_reason == 'Gone'
    assert method != 'add' or new.calls[-1] == 'end'


def test_hold_is_not_answered(world):
    session, invitation = world.connected()
    session.hold()
    world.advance(5.1)
    assert invitation.methods == ['re-INVITE', 'CANCEL re-INVITE']
    invitation.peer_answers_reinvite(487, 'Request Terminated')
    assert session.state == 'connected' and world.recorder.one('SIPSessionHadProposalFailure').failure_reason == 'timeout'


def test_hold_is_answered_when_it_was_cancelled(world):
    session, invitation = world.connected()
    session.hold()
    world.advance(5.1)
    invitation.peer_answers_reinvite()
    assert session.state == 'terminated' and invitation.methods[-1] == 'BYE'


def test_peer_is_silent(world):
    session, invitation = world.connected()
    session.hold()
    world.advance(5.1)
    world.advance(5.1)
    assert session.state == 'terminated' and invitation.methods[-1] == 'BYE'


def test_end_during_a_reinvite(world):
    session, invitation = world.connected()
    session.hold()
    session.end()
    assert session.state == 'terminated' and invitation.methods == ['re-INVITE', 'BYE']


def test_peer_ends_during_a_reinvite(world):
    session, invitation = world.connected()
    session.hold()
    invitation.bye()
    assert session.state == 'terminated' and world.recorder.names == ['WillEnd', 'DidProcessTransaction', 'DidEnd']


def test_hold_cannot_be_sent(world):
    session, invitation = world.connected()
    invitation.fail_send = SIPCoreError('no transport')
    session.hold()
    for _ in range(3):
        assert session.state == 'connected' and 'HadProposalFailure' not in world.recorder.names
        invitation.fail_send = SIPCoreError('no transport')
        world.advance(0.2)
    assert session.state == 'connected' and world.recorder.one('SIPSessionHadProposalFailure').failure_reason == 'SIP core error: no transport'


def test_hold_gives_way_to_the_peer(world):
    session, invitation = world.connected()
    invitation.sub_state = 'received_proposal'          # its notification is on the way
    session.hold()
    assert invitation.methods == [] and session.state == 'connected'
    invitation.sub_state = 'normal'
    invitation.peer_offers(world.sdp('audio', port=40000))
    assert invitation.methods == [200]
    world.advance(0.1)
    assert invitation.methods == [200, 're-INVITE']


def test_partial_hold(world):
    first, second = world.Stream(), world.Stream()
    session, invitation = world.connected(first, second)
    second.hold = second.unhold = lambda: None          # does not do as it should
    session.hold()
    invitation.peer_answers_reinvite()
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.on_hold, data.partial) == (True, True)


def test_stream_added_during_a_hold(world):
    """It is not held, until somebody asks for that."""
    session, invitation = world.connected()
    session.hold()
    invitation.peer_answers_reinvite()
    second = world.Stream()
    session.add_stream(second)
    invitation.peer_answers_reinvite()
    assert session.streams[1] is second and not second.holding
    session.hold()
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert session.on_hold and session.streams[0].holding and not second.holding
    session.hold()
    assert [line[2] for line in media(invitation.last('re-INVITE').sdp)] == ['sendonly', 'sendonly']
    invitation.peer_answers_reinvite()
    session.hold()
    assert invitation.methods == ['re-INVITE'] * 4
    assert [(data.on_hold, data.partial) for data in world.recorder.all('SIPSessionDidChangeHoldState')] == [(True, False)] * 2


@pytest.mark.parametrize('side', ['local', 'remote'])
def test_held_stream_is_removed(world, side):
    """With the last stream that was held the hold is over, which is told; a new hold is for those that are left."""
    first, second = world.Stream(), world.Stream()
    session, invitation = world.connected(first)
    if side == 'local':
        session.hold()
        invitation.peer_answers_reinvite()
    else:
        invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    session.add_stream(second)
    first.update = lambda *arguments: None              # as it is
    invitation.peer_answers_reinvite()
    assert session.on_hold and not second.on_hold
    session.remove_stream(first)
    invitation.peer_answers_reinvite()
    assert not session.on_hold
    data = world.recorder.all('SIPSessionDidChangeHoldState')[-1]
    assert (data.originator, data.on_hold, data.partial) == (side, False, False)
    session.hold()
    invitation.peer_answers_reinvite()
    assert session.on_hold and second.on_hold_by_local


def test_stream_refused_in_the_answer_to_a_hold(world):
    """RFC 3264 section 6: a port of 0 ends a stream in an answer as in an offer."""
    first, second = world.Stream(), world.Stream()
    session, invitation = world.connected(first, second)
    session.hold()
    invitation.peer_answers_reinvite(remote=world.sdp('audio', ('audio', 0), direction='recvonly'))
    assert session.state == 'connected' and session.streams == [first] and second.calls[-2:] == ['deactivate', 'end'] and 'update' not in second.calls
    data = world.recorder.one('SIPSessionDidRenegotiateStreams')
    assert (data.originator, data.action, data.streams) == ('remote', 'remove', [second])
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.on_hold, data.partial) == (True, False)


def test_stream_refused_in_the_answer_to_an_addition(world):
    session, invitation = world.connected()
    audio, text = session.streams[0], world.Text()
    session.add_stream(text)
    invitation.peer_answers_reinvite(remote=world.sdp(('audio', 0), 'text'))
    assert session.streams == [text] and audio.calls[-1] == 'end'
    assert [data.action for data in world.recorder.all('SIPSessionDidRenegotiateStreams')] == ['remove', 'add']


# Re-INVITEs of the peer

def test_call_begins_with_a_hold(world):
    """By the callee, or the caller."""
    session = world.outgoing()
    stream = session.proposed_streams[0]
    stream.start = lambda *arguments: (stream.update(*arguments), stream.post('MediaStreamDidStart'))
    world.invitation.peer_answers()
    assert 'DidChangeHoldState' not in world.recorder.names
    session = world.outgoing(stream := world.Stream())
    stream.start = lambda *arguments: (setattr(stream, 'on_hold_by_remote', True), stream.post('MediaStreamDidStart'))
    world.invitation.peer_answers()
    assert world.recorder.names[-2:] == ['DidStart', 'DidChangeHoldState'] and session.on_hold
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.originator, data.on_hold, data.partial) == ('remote', True, False)


def test_peer_holds_some(world):
    session, invitation = world.connected(world.Stream(), world.Stream())
    lines = [SDPMediaStream('audio', 30000, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute(direction, '')]) for direction in ('inactive', 'sendrecv')]
    invitation.peer_offers(SDPSession('127.0.0.1', id=1, version=2, connection=SDPConnection('127.0.0.1'), media=lines))
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.originator, data.on_hold, data.partial) == ('remote', True, True) and session.on_hold
    invitation.peer_offers(world.sdp('audio', 'audio', direction='sendonly'))
    invitation.peer_offers(world.sdp('audio', 'audio'))
    assert [(data.on_hold, data.partial) for data in world.recorder.all('SIPSessionDidChangeHoldState')] == [(True, True), (True, False), (False, False)]


def test_peer_holds(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert invitation.methods == [200] and session.state == 'connected' and session.on_hold
    assert world.recorder.names == ['DidProcessTransaction', 'DidChangeHoldState']
    data = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (data.originator, data.on_hold, data.partial) == ('remote', True, False)
    transaction = world.recorder.one('SIPSessionDidProcessTransaction')
    assert (transaction.originator, transaction.method, transaction.code, transaction.ack_received) == ('remote', 'INVITE', 200, 'unknown')
    assert session.streams[0].calls == ['answer', 'update']
    invitation.peer_offers(world.sdp('audio'))
    assert not session.on_hold and world.recorder.all('SIPSessionDidChangeHoldState')[1].on_hold is False


def test_peer_holds_by_update(world):
    """RFC 3311: the core has answered it already."""
    session, invitation = world.connected()
    for direction, held in (('sendonly', True), ('sendrecv', False)):
        invitation.negotiated(world.sdp('audio', direction={True: 'recvonly', False: 'sendrecv'}[held]), world.sdp('audio', direction=direction))
        assert session.on_hold is held and session.state == 'connected' and invitation.methods == []
        assert world.recorder.all('SIPSessionDidChangeHoldState')[-1].on_hold is held
    assert session.streams[0].calls == ['update', 'update'] and world.recorder.names == ['DidChangeHoldState', 'DidChangeHoldState']


def test_peer_takes_a_stream_out_by_update(world):
    first, second = world.Stream(), world.Stream()
    session, invitation = world.connected(first, second)
    invitation.negotiated(world.sdp('audio', ('audio', 0)), world.sdp('audio', ('audio', 0)))
    assert session.streams == [first] and second.calls[-1] == 'end' and 'update' not in second.calls
    data = world.recorder.one('SIPSessionDidRenegotiateStreams')
    assert (data.originator, data.action, data.streams) == ('remote', 'remove', [second])


def test_update_that_comes_too_late(world):
    session, invitation = world.connected()
    session.end()
    stream_calls = list(world.recorder.names)
    invitation.negotiated(world.sdp('audio'), world.sdp('audio', direction='sendonly'))
    assert world.recorder.names == stream_calls


def test_refresh_changes_nothing(world):
    session, invitation = world.connected()
    for _ in range(3):
        invitation.peer_offers(world.sdp('audio'))
    assert invitation.methods == [200] * 3 and session.state == 'connected'
    assert world.recorder.names == ['DidProcessTransaction'] * 3
    versions = [arguments.sdp.version for _, arguments in invitation.sent]
    assert versions == list(range(versions[0], versions[0] + 3))


def test_peer_changes_its_address(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp('audio', port=40000))
    assert invitation.methods == [200] and session.streams[0].calls == ['answer', 'update']


def test_stream_refuses_the_change(world):
    session, invitation = world.connected(world.Stream(script='refuse-update'))
    invitation.peer_offers(world.sdp('audio', port=40000))
    assert invitation.methods == [488] and session.state == 'connected' and session.streams
    [warning] = invitation.last(488).extra_headers
    assert warning.code == 399 and '0' in warning.text
    assert world.recorder.one('SIPSessionDidProcessTransaction').code == 488


def test_offer_with_fewer_lines(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    invitation.peer_offers(world.sdp('audio'))
    assert invitation.methods == [488] and invitation.last(488).extra_headers[0].code == 399 and len(session.streams) == 2


def test_peer_removes_a_stream(world):
    audio, text = world.Stream(), world.Text()
    session, invitation = world.connected(audio, text)
    invitation.peer_offers(world.sdp('audio', ('text', 0)))
    assert invitation.methods == [200] and session.streams == [audio] and text.calls == ['deactivate', 'end']
    assert [line.port for line in invitation.last(200).sdp.media] == [20000, 0]
    data = world.recorder.one('SIPSessionDidRenegotiateStreams')
    assert (data.originator, data.action, data.streams) == ('remote', 'remove', [text])


def test_peer_adds_and_removes(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp(('audio', 0), 'text'))
    assert invitation.methods == [488] and session.streams and world.recorder.names == ['DidProcessTransaction']


def test_peer_changes_the_type_of_a_line(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp('text'))
    assert invitation.methods == [488] and session.state == 'connected'


def test_peer_adds_what_we_do_not_know(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp('audio', 'video'))
    assert invitation.methods == [488] and session.state == 'connected'


def test_refused_line_is_offered_again(world):
    invitation, session = world.incoming('audio', 'video')
    session.accept(session.proposed_streams)
    invitation.change('connected')
    local = invitation.sdp.active_local
    invitation.negotiated(local, world.sdp('audio', ('video', 0)))
    session._remote_sdp = invitation.sdp.active_remote
    invitation.peer_offers(world.sdp('audio', 'video', direction='sendonly'))
    assert invitation.methods[-1] == 200 and [line.port for line in invitation.last(200).sdp.media] == [20000, 0] and session.on_hold


def test_offer_is_requested(world):
    session, invitation = world.connected()
    stream = session.streams[0]
    invitation.peer_offers(None)
    assert session.state == 'received_proposal_request' and stream.calls == ['reset', 'offer'] and invitation.methods == [200]
    invitation.negotiated(invitation.last(200).sdp, world.sdp('audio', port=41000))
    invitation.change('connected')
    assert session.state == 'connected' and stream.calls[-1] == 'update' and world.recorder.names == ['DidProcessTransaction']


def test_requested_offer_is_never_answered(world):
    session, invitation = world.connected()
    invitation.peer_offers(None)
    world.advance(16)
    assert session.state == 'terminated' and invitation.methods[-1] == 'BYE'


def test_proposal_while_streams_start(world):
    """A fast peer: its re-INVITE comes before our streams run."""
    stream = world.Stream(script='slow-start')
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    world.invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert 200 not in world.invitation.methods
    stream.post('MediaStreamDidStart')
    assert world.invitation.methods[-1] == 200 and session.on_hold and session.state == 'connected'


def test_proposal_taken_back_before_it_was_seen(world):
    stream = world.Stream(script='slow-start')
    session = world.outgoing(stream)
    world.invitation.peer_answers()
    world.invitation.peer_offers(world.sdp('audio', 'text'))
    world.invitation.change('connected', code=487, reason='Request Terminated')
    stream.post('MediaStreamDidStart')
    assert session.state == 'connected' and world.invitation.methods == ['INVITE']


# Adding and removing

def test_add_accepted(world):
    session, invitation = world.connected()
    audio, text = session.streams[0], world.Text()
    session.add_stream(text)
    assert session.state == 'sending_proposal' and session.proposed_streams == [text]
    assert [line[0] for line in media(invitation.last('re-INVITE').sdp)] == ['audio', 'text'] and text.index == 1
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and session.streams == [audio, text] and session.proposed_streams is None
    assert world.recorder.names == ['GotProposal', 'DidProcessTransaction', 'GotAcceptProposal', 'DidRenegotiateStreams']
    data = world.recorder.one('SIPSessionGotAcceptProposal')
    assert (data.originator, data.streams, data.proposed_streams) == ('local', [text], [text])
    data = world.recorder.one('SIPSessionDidRenegotiateStreams')
    assert (data.originator, data.action, data.streams) == ('local', 'add', [text])
    assert text.calls == ['initialize outgoing', 'offer', 'start'] and audio.calls[-1] == 'update'


def test_progress_of_a_proposal(world):
    session, invitation = world.connected()
    session.add_stream(world.Text())
    invitation.peer_delays_reinvite(180, 'Ringing')
    invitation.peer_delays_reinvite(183, 'Session Progress')
    assert world.recorder.names == ['GotProposal', 'GotRingIndication', 'GotProvisionalResponse', 'GotProvisionalResponse']
    assert [(data.code, data.reason) for data in world.recorder.all('SIPSessionGotProvisionalResponse')] == [(180, 'Ringing'), (183, 'Session Progress')]
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and len(session.streams) == 2


def test_add_rejected(world):
    session, invitation = world.connected()
    text = world.Text()
    session.add_stream(text)
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert session.state == 'connected' and text.calls[-2:] == ['deactivate', 'end'] and text not in session.streams
    data = world.recorder.one('SIPSessionGotRejectProposal')
    assert (data.originator, data.code, data.reason, data.streams) == ('local', 488, 'Not Acceptable Here', [text])


def test_add_refused_in_the_answer(world):
    session, invitation = world.connected()
    text = world.Text()
    session.add_stream(text)
    invitation.peer_answers_reinvite(remote=world.sdp('audio', ('text', 0)))
    data = world.recorder.one('SIPSessionGotAcceptProposal')
    assert (data.streams, data.proposed_streams) == ([], [text]) and text.calls[-1] == 'end'


def test_add_cancelled(world):
    session, invitation = world.connected()
    text = world.Text()
    session.add_stream(text)
    session.cancel_proposal()
    assert session.state == 'cancelling_proposal' and invitation.methods == ['re-INVITE', 'CANCEL re-INVITE']
    invitation.peer_answers_reinvite(487, 'Request Terminated')
    assert session.state == 'connected' and text.calls[-1] == 'end'
    data = world.recorder.one('SIPSessionGotRejectProposal')
    assert (data.originator, data.code, data.streams) == ('local', 487, [text])


def test_add_cancelled_before_the_engine_thread_tells_that_it_was_sent(world):
    session, invitation = world.connected()
    world.late = True
    session.add_stream(world.Text())
    session.cancel_proposal()
    assert invitation.methods == ['re-INVITE']
    invitation.tell()
    assert invitation.methods == ['re-INVITE', 'CANCEL re-INVITE']
    invitation.peer_answers_reinvite(487, 'Request Terminated')
    assert session.state == 'connected' and world.recorder.one('SIPSessionGotRejectProposal').code == 487


def test_add_cancelled_before_it_was_sent(world):
    session, invitation = world.connected()
    text = world.Text(script='slow-init')
    session.add_stream(text)
    session.cancel_proposal()
    assert session.state == 'connected' and invitation.methods == [] and world.recorder.one('SIPSessionGotRejectProposal').code == 487


def test_cancelled_too_late(world):
    session, invitation = world.connected()
    text = world.Text(script='slow-start')
    session.add_stream(text)
    invitation.peer_answers_reinvite()
    session.cancel_proposal()
    text.post('MediaStreamDidStart')
    assert session.state == 'connected' and text in session.streams and invitation.methods == ['re-INVITE']


def test_only_added_streams_can_be_taken_back(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    text = session.streams[1]
    session.remove_stream(text)
    session.cancel_proposal()
    assert invitation.methods == ['re-INVITE']
    invitation.peer_answers_reinvite(491, 'Request Pending')
    world.advance(4.1)
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and text not in session.streams
    session.hold()
    session.cancel_proposal()
    invitation.peer_answers_reinvite()
    assert session.on_hold


def test_add_fails_here(world):
    session, invitation = world.connected()
    text = world.Text(script='bad-init')
    session.add_stream(text)
    assert session.state == 'connected' and invitation.methods == [] and text.calls[-1] == 'end'
    data = world.recorder.one('SIPSessionHadProposalFailure')
    assert (data.originator, data.failure_reason, data.streams) == ('local', 'media stream failed: no device', [text])


def test_added_stream_does_not_start(world):
    session, invitation = world.connected()
    text = world.Text(script='slow-start')
    session.add_stream(text)
    invitation.peer_answers_reinvite()
    world.advance(16)
    assert media(invitation.last('re-INVITE').sdp)[1][:2] == ('text', 0)
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and text not in session.streams and text.calls[-1] == 'end'
    assert world.recorder.one('SIPSessionHadProposalFailure').failure_reason == 'media stream start timeout'


def test_proposal_of_the_peer_comes_first(world):
    session, invitation = world.connected()
    text = world.Text(script='slow-init')
    session.add_stream(text)
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert invitation.methods == []
    text.post('MediaStreamDidInitialize')
    assert invitation.methods == [200] and session.state == 'connected' and session.on_hold
    assert world.recorder.names[0] == 'HadProposalFailure' and text.calls[-1] == 'end'


def test_add_what_is_there_and_remove_what_is_not(world):
    session, invitation = world.connected()
    session.add_streams(session.streams)
    session.remove_stream(world.Text())
    assert session.state == 'connected' and invitation.methods == [] and world.recorder.names == []


def test_remove_and_reuse_of_the_line(world):
    audio, text = world.Stream(), world.Text()
    session, invitation = world.connected(audio, text)
    session.remove_stream(text)
    assert session.streams == [audio] and text.calls == ['deactivate']
    invitation.peer_answers_reinvite()
    assert text.calls[-1] == 'end' and session.state == 'connected'
    data = world.recorder.one('SIPSessionDidRenegotiateStreams')
    assert (data.originator, data.action, data.streams) == ('local', 'remove', [text])
    again = world.Text()
    session.add_stream(again)
    assert again.index == 1 and [line[0] for line in media(invitation.last('re-INVITE').sdp)] == ['audio', 'text']


def test_removed_stream_fails_meanwhile(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    text = session.streams[1]
    session.remove_stream(text)
    text.fail()
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and text.calls[-1] == 'end'


def test_remove_is_refused(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    text = session.streams[1]
    session.remove_stream(text)
    invitation.peer_answers_reinvite(488, 'no')
    assert session.state == 'connected' and text not in session.streams and text.calls[-1] == 'end'
    assert world.recorder.one('SIPSessionDidRenegotiateStreams').action == 'remove'


def test_remove_meets_glare(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    session.remove_stream(session.streams[1])
    invitation.peer_answers_reinvite(491, 'Request Pending')
    world.advance(4.1)
    assert invitation.methods == ['re-INVITE'] * 2
    invitation.peer_answers_reinvite()
    assert session.state == 'connected'


@pytest.mark.parametrize('direction', ['outgoing', 'incoming'])
def test_remove_lets_the_peer_go_first_after_a_glare(world, direction):
    """Its hold, which met our removal, does not have to wait for our timer; the answer to it takes the stream out."""
    session, invitation = world.connected(world.Stream(), world.Text())
    session.direction = direction
    text = session.streams[1]
    session.remove_stream(text)
    invitation.peer_answers_reinvite(491, 'Request Pending')
    assert session.state == 'sending_proposal'
    invitation.peer_offers(world.sdp('audio', 'text', direction='sendonly'))
    assert invitation.methods == ['re-INVITE', 200] and session.state == 'connected' and session.on_hold and session.streams != [text]
    assert [line[:2] for line in media(invitation.last(200).sdp)] == [('audio', 20000), ('text', 0)]
    assert 'GotProposal' not in world.recorder.names and text.calls[-1] == 'end'
    world.advance(5)
    assert invitation.methods == ['re-INVITE', 200]


def test_removal_that_was_refused(world):
    """The stream is gone all the same: it is neither offered again, nor taken for a new one when the peer still has it."""
    session, invitation = world.connected(world.Stream(), world.Text())
    session.remove_stream(session.streams[1])
    invitation.peer_answers_reinvite(488, 'no')
    invitation.peer_offers(world.sdp('audio', 'text'))
    assert 'GotProposal' not in world.recorder.names and session.state == 'connected' and media(invitation.last(200).sdp)[1][:2] == ('text', 0)
    session, invitation = world.connected(world.Stream(), world.Text())
    session.remove_stream(session.streams[1])
    invitation.peer_answers_reinvite(488, 'no')
    session.hold()
    assert media(invitation.last('re-INVITE').sdp)[1][:2] == ('text', 0)


def test_remove_is_not_answered(world):
    session, invitation = world.connected(world.Stream(), world.Text())
    text = session.streams[1]
    session.remove_stream(text)
    world.advance(5.1)
    invitation.peer_answers_reinvite(487, 'Request Terminated')
    assert session.state == 'terminated' and text.calls[-1] == 'end'


# Proposals of the peer that the application decides

def proposal(world):
    session, invitation = world.connected()
    invitation.peer_offers(world.sdp('audio', 'text'))
    assert session.state == 'received_proposal' and invitation.methods == [100]
    [text] = world.recorder.one('SIPSessionGotProposal').streams
    assert session.proposed_streams == [text] and text.index == 1
    world.recorder.events.clear()
    return session, invitation, text


def test_proposal_accepted(world):
    session, invitation, text = proposal(world)
    session.accept_proposal([text])
    assert invitation.methods == [100, 200] and session.state == 'connected' and session.streams[1] is text
    assert [line.port for line in invitation.last(200).sdp.media] == [20000, 20000]
    assert world.recorder.names == ['DidProcessTransaction', 'GotAcceptProposal', 'DidRenegotiateStreams']
    assert text.calls == ['initialize incoming', 'answer', 'start'] and session.proposed_streams is None


def test_ring_during_a_proposal(world):
    session, invitation, _ = proposal(world)
    session.send_ring_indication()
    assert invitation.methods == [100, 180]


@pytest.mark.parametrize('accept', [False, True])
def test_a_proposal_is_over_when_the_core_says_so(world, accept):
    """What an observer of its end starts must not find the core still waiting."""
    session, invitation, text = proposal(world)
    change, changes = invitation.change, []
    invitation.change = lambda *args, **kwargs: changes.append((args, kwargs))
    if accept:
        session.accept_proposal([text])
    else:
        session.reject_proposal()
    assert changes and not {'GotAcceptProposal', 'GotRejectProposal', 'DidRenegotiateStreams'}.intersection(world.recorder.names)
    invitation.change = change
    world.recorder.reactions['SIPSessionGotAcceptProposal' if accept else 'SIPSessionGotRejectProposal'] = lambda notification: session.hold()
    args, kwargs = changes[0]
    change(*args, **kwargs)
    assert world.recorder.names.count('GotAcceptProposal' if accept else 'GotRejectProposal') == 1
    assert invitation.methods[-1] == 're-INVITE'


def test_proposal_rejected(world):
    session, invitation, text = proposal(world)
    session.reject_proposal(603, 'No')
    assert invitation.methods == [100, 603] and session.state == 'connected' and text.calls == []
    data = world.recorder.one('SIPSessionGotRejectProposal')
    assert (data.originator, data.code, data.reason, data.streams) == ('remote', 603, 'Decline', [text])


@pytest.mark.parametrize('answering', [False, True])
def test_proposal_withdrawn(world, answering):
    session, invitation, text = proposal(world)
    if answering:
        text.script = 'slow-init'
        session.accept_proposal([text])
    invitation.sdp.proposed_remote = None
    invitation.change('connected', code=487, reason='Request Terminated')
    assert session.state == 'connected' and 200 not in invitation.methods
    data = world.recorder.one('SIPSessionGotRejectProposal')
    assert (data.originator, data.code, data.streams) == ('remote', 487, [text])
    assert text.calls[-1:] == (['end'] if answering else [])


def test_proposed_stream_fails(world):
    session, invitation, text = proposal(world)
    text.script = 'bad-init'
    session.accept_proposal([text])
    assert invitation.methods == [100, 488] and session.state == 'connected'
    data = world.recorder.one('SIPSessionHadProposalFailure')
    assert (data.originator, data.failure_reason, data.streams) == ('remote', 'media stream failed: no device', [text])


def test_end_during_a_proposal(world):
    session, invitation, _text = proposal(world)
    session.end()
    assert session.state == 'terminated' and invitation.methods[-1] == 'BYE'


# Aside

def test_message_in_the_dialog(world):
    session, invitation = world.connected()
    session.send_message('text/plain', 'hello')
    assert invitation.last('MESSAGE').content == 'hello'
    invitation._post('SIPInvitationGotMessage', method='MESSAGE', request_uri=None, headers={}, body=b'hi')
    assert world.recorder.one('SIPSessionGotMessage').body == b'hi'
