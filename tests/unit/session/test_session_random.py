"""Anything may happen at any time: whatever the order, a session ends properly, once, and leaves nothing behind."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from sipsimple.session import IllegalDirectionError, IllegalStateError

SCRIPTS = strategies.sampled_from(['', '', '', 'slow-init', 'bad-init', 'slow-start', 'bad-start', 'refuse-update', 'raise-init'])
APPLICATION = ['ring', 'accept', 'reject', 'end', 'hold', 'unhold', 'add', 'remove', 'cancel_proposal', 'accept_proposal', 'reject_proposal']
PEER = ['rings', 'answers', 'busy', 'unavailable', 'bye', 'ack', 'offers', 'offers more', 'offers less', 'holds', 'asks for an offer', 'withdraws',
        'accepts reinvite', 'rejects reinvite', 'glare', 'cancel', 'fails to answer']
STREAM = ['initialized', 'started', 'failed']
TIME = ['moment', 'seconds', 'minutes']
STEPS = strategies.lists(strategies.tuples(strategies.sampled_from(APPLICATION + PEER + STREAM + TIME), SCRIPTS), min_size=1, max_size=25)


class Run:
    def __init__(self, world, incoming, script):
        self.world = world
        self.streams = []
        if incoming:
            self.invitation, self.session = world.incoming('audio', 'text')
            self.streams += self.session.proposed_streams
            self.streams[0].script = script
        else:
            self.streams.append(world.Stream(script=script))
            self.session = world.outgoing(*self.streams, routes=[world.route(), world.route(5062)])

    def step(self, what, script):
        if what in APPLICATION:
            try:
                self.application(what, script)
            except (IllegalStateError, IllegalDirectionError, ValueError):
                pass
        elif what in STREAM:
            for stream in list(self.streams):
                if stream.session is not None and 'end' not in stream.calls:
                    if what == 'failed':
                        stream.fail()
                    else:
                        stream.post('MediaStreamDidInitialize' if what == 'initialized' else 'MediaStreamDidStart')
        elif what in TIME:
            self.world.advance({'moment': 0.3, 'seconds': 6, 'minutes': 100}[what])
        elif self.session._invitation is not None:
            self.peer(what, self.session._invitation)

    def application(self, what, script):
        session = self.session
        if what == 'ring':
            session.send_ring_indication()
        elif what == 'accept':
            session.accept(session.proposed_streams or [])
        elif what == 'add':
            stream = self.world.Text(script=script)
            session.add_stream(stream)
            self.streams.append(stream)
        elif what == 'remove':
            session.remove_streams(session.streams[:1])
        elif what == 'accept_proposal':
            session.accept_proposal(session.proposed_streams or [])
        else:
            getattr(session, what)()

    def peer(self, what, invitation):
        world, state, sub = self.world, invitation.state, invitation.sub_state
        lines = [(line.media, 30000) for line in invitation.sdp.active_remote.media] if invitation.sdp.active_remote is not None else []
        outgoing = invitation.direction == 'outgoing' and state in ('outgoing', 'early')
        if what == 'rings' and outgoing:
            invitation.peer_rings()
        elif what == 'answers' and outgoing:
            # The session may give up in the middle of this, as it may in life.
            local = invitation.sdp.proposed_local
            invitation.negotiated(local, world.sdp(*[(line.media, 30000) for line in local.media]))
            for following in ('connecting', 'connected'):
                if invitation.state in ('outgoing', 'early', 'connecting'):
                    invitation.change(following)
        elif what in ('busy', 'unavailable') and outgoing:
            invitation.gone(code=486 if what == 'busy' else 503, reason=what, disconnect_reason=what)
        elif what == 'bye' and state in ('connecting', 'connected', 'disconnecting'):
            invitation.bye()
        elif what == 'ack' and state == 'connecting':
            if invitation.sdp.active_remote is None:
                invitation.negotiated(invitation.sdp.proposed_local, world.sdp('audio', 'text'))
            invitation.change('connected')
        elif what == 'cancel' and invitation.direction == 'incoming' and state in ('incoming', 'early'):
            invitation.gone(code=487, reason='Request Terminated', method='CANCEL')
        elif what == 'fails to answer' and state in ('outgoing', 'early', 'connecting', 'connected', 'disconnecting'):
            invitation.gone('local', code=408, reason='timeout', disconnect_reason='timeout')
        elif state == 'connected' and sub == 'normal' and lines:
            if what == 'offers':
                invitation.peer_offers(world.sdp(*lines))
            elif what == 'offers more':
                invitation.peer_offers(world.sdp(*lines, 'text'))
            elif what == 'offers less':
                invitation.peer_offers(world.sdp(*[(media, 0) for media, _ in lines]))
            elif what == 'holds':
                invitation.peer_offers(world.sdp(*lines, direction='sendonly'))
            elif what == 'asks for an offer':
                invitation.peer_offers(None)
        elif state == 'connected' and sub in ('received_proposal', 'received_proposal_request') and what == 'withdraws':
            invitation.sdp.proposed_remote = None
            invitation.change('connected', code=487)
        elif state == 'connected' and sub == 'received_proposal_request' and what == 'ack' and invitation.sdp.proposed_local is not None:
            invitation.negotiated(invitation.sdp.proposed_local, world.sdp(*[(line.media, 30000) for line in invitation.sdp.proposed_local.media]))
            invitation.change('connected')
        elif state == 'connected' and sub == 'sent_proposal':
            if what == 'accepts reinvite':
                invitation.peer_answers_reinvite()
            elif what in ('rejects reinvite', 'glare'):
                invitation.peer_answers_reinvite(488 if what == 'rejects reinvite' else 491, what)

    def finish(self):
        """End what is left, and let all time limits pass."""
        self.session.end()
        for _ in range(8):
            self.world.advance(20)


@pytest.mark.parametrize('incoming', [False, True])
@given(steps=STEPS, script=SCRIPTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order(world, incoming, steps, script):
    world.recorder.events.clear()
    world.invitations.clear()
    run = Run(world, incoming, script)
    for what, stream_script in steps:
        run.step(what, stream_script)
    run.finish()
    session = run.session
    assert session.state == 'terminated' and session._procedure is None and session not in world.manager.sessions
    names = world.recorder.names
    assert names[0] == ('NewIncoming' if incoming else 'NewOutgoing')
    assert names.count('DidFail') + names.count('DidEnd') == 1 and names[-1] in ('DidFail', 'DidEnd')
    assert names.count('DidStart') <= 1
    if 'DidStart' in names:
        assert names[-1] == 'DidEnd' and names.index('WillStart') < names.index('DidStart')
    if 'DidEnd' in names:
        assert 'WillEnd' in names
    if 'DidFail' in names:
        assert 'WillEnd' not in names and world.recorder.one('SIPSessionDidFail').failure_reason != 'internal error'
    else:
        assert world.recorder.one('SIPSessionDidEnd').end_reason != 'internal error'
    for stream in run.streams:
        initialized = any(call.startswith('initialize') for call in stream.calls)
        assert stream.calls.count('end') == (1 if initialized else 0), (stream, stream.calls)
