"""`hold` and `unhold` in every state: the wish waits until the session can tell the peer, whatever it was doing."""

from __future__ import annotations

import pytest


def in_state(world, state):
    """A session in a state; its invitation; what brings it to `connected`."""
    if state == 'outgoing':
        session = world.outgoing()
        return session, world.invitation, world.invitation.peer_answers
    if state in ('incoming', 'accepting'):
        invitation, session = world.incoming()
        if state == 'accepting':
            session.accept(session.proposed_streams)
            return session, invitation, lambda: invitation.change('connected')
        return session, invitation, lambda: (session.accept(session.proposed_streams), invitation.change('connected'))
    session, invitation = world.connected()
    match state:
        case 'connected':
            return session, invitation, lambda: None
        case 'sending_proposal':
            session.add_stream(world.Text())
            return session, invitation, invitation.peer_answers_reinvite
        case 'cancelling_proposal':
            session.add_stream(world.Text())
            session.cancel_proposal()
            return session, invitation, lambda: invitation.peer_answers_reinvite(487, 'Request Terminated')
        case 'received_proposal_request':
            invitation.peer_offers(None)
            return session, invitation, lambda: (invitation.negotiated(invitation.last(200).sdp, world.sdp('audio')), invitation.change('connected'))
    invitation.peer_offers(world.sdp('audio', 'text'))
    match state:
        case 'received_proposal':
            return session, invitation, lambda: session.accept_proposal(session.proposed_streams)
        case 'accepting_proposal':
            session.proposed_streams[0].script = 'slow-start'
            text = session.proposed_streams[0]
            session.accept_proposal([text])
            return session, invitation, lambda: text.post('MediaStreamDidStart')
        case 'rejecting_proposal':
            invitation.send_response = lambda code, *arguments, **more: None        # the core tells later that it was sent
            session.reject_proposal()
            return session, invitation, lambda: invitation.change('connected', 'local', code=488)
    raise AssertionError(state)


STATES = ['outgoing', 'incoming', 'accepting', 'connected', 'sending_proposal', 'cancelling_proposal', 'received_proposal', 'accepting_proposal',
          'rejecting_proposal', 'received_proposal_request']


@pytest.mark.parametrize('state', STATES)
def test_hold(world, state):
    session, invitation, go_on = in_state(world, state)
    assert session.state == state
    session.hold()
    stream = next(stream for stream in [*session.streams, *(session.proposed_streams or ())] if stream.hold_supported)
    assert stream.holding
    before = invitation.methods.count('re-INVITE')
    assert before == (1 if state in ('connected', 'sending_proposal', 'cancelling_proposal') else 0)
    go_on()
    assert session.state == 'sending_proposal' and invitation.methods.count('re-INVITE') == before + (state != 'connected')
    assert invitation.last('re-INVITE').sdp.media[0].direction == 'sendonly'
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and session.on_hold
    change = world.recorder.one('SIPSessionDidChangeHoldState')
    assert (change.originator, change.on_hold, change.partial) == ('local', True, False)


@pytest.mark.parametrize('state', [state for state in STATES if state != 'connected'])
def test_hold_taken_back(world, state):
    """Nobody needs to know."""
    session, invitation, go_on = in_state(world, state)
    before = invitation.methods.count('re-INVITE')
    session.hold()
    session.unhold()
    go_on()
    assert session.state == 'connected' and not session.on_hold and invitation.methods.count('re-INVITE') == before
    assert not any(stream.holding for stream in session.streams) and not world.recorder.all('SIPSessionDidChangeHoldState')


def test_hold_at_the_end(world):
    session, invitation = world.connected()
    world.answer_end = False
    session.end()
    session.hold()
    assert session.state == 'terminating' and invitation.methods == ['BYE']
    invitation.gone('local', 200, 'OK')
    session.hold()
    session.unhold()
    assert session.state == 'terminated' and invitation.methods == ['BYE']
