"""Every pair of state and input, with real sessions: each is brought into a state over every transition that leads there and is given every input, by
a method of the application, by the peer or by its streams. What follows is the transition of the table, or the documented error and nothing else.

The pairs are those of the tables. An input that `Run` knows no way to bring about is fired at the machine of the session all the same.
"""

from __future__ import annotations

import pytest

from sipsimple.core import Route, SIPURI, ToHeader
from sipsimple.session import IllegalDirectionError, IllegalStateError, Session, transferee
from sipsimple.session.states import TRANSITIONS, Input, SessionState
from sipsimple.session.transfer import TRANSFER_TRANSITIONS, TransferInput, TransferState
from tests.support.tables import pairs, paths

I, S = Input, SessionState          # noqa: E741 - the inputs
CAROL = 'sip:carol@example.com'

# What the application can call, and the input that it is; None for what is not bound to a state.
METHODS = {
    'connect': I.CONNECT, 'send_ring_indication': I.RING, 'accept': I.ACCEPT, 'reject': I.REJECT, 'end': I.END,
    'add_stream': I.PROPOSE, 'add_streams': I.PROPOSE, 'remove_stream': I.PROPOSE, 'remove_streams': I.PROPOSE, 'hold': None, 'unhold': None,
    'cancel_proposal': I.CANCEL_PROPOSAL, 'accept_proposal': I.ACCEPT_PROPOSAL, 'reject_proposal': I.REJECT_PROPOSAL,
    'transfer': I.TRANSFER, 'accept_transfer': I.ANSWER_TRANSFER, 'reject_transfer': I.ANSWER_TRANSFER, 'send_message': None,
}


class Run:
    """One session, its core and its peer, which leave it in every state until they are told to go on."""

    def __init__(self, world, monkeypatch):
        self.world = world
        world.answer_end = world.ack = False
        world.recorder.events.clear()
        self.session = Session(world.account)
        self.invitation = None
        self.steps = []                 # (state, input, next state): what the machine did
        self.held = []                  # what the core has not told yet
        self.session._machine._trace = lambda *step: self.steps.append(step)
        monkeypatch.setattr('sipsimple.session.manager.Session', lambda account: self.session)

    def go(self, inputs):
        """Bring about the inputs one after the other."""
        for what in inputs:
            _name, function = self.ways(what)[0]
            self.prepare(what)
            function()

    def finish(self):
        """End what is left, and let all time limits pass."""
        self.world.answer_end = self.world.ack = True
        self.session.end()
        for _ in range(8):
            self.world.advance(20)
        assert self.session.state in (None, 'terminated') and self.session._procedure is None
        reasons = [getattr(data, 'failure_reason', None) or getattr(data, 'end_reason', None) for name, data in self.world.recorder.events
                   if name in ('SIPSessionDidFail', 'SIPSessionDidEnd')]
        assert len(reasons) == (self.session.state is not None) and 'internal error' not in reasons

    @property
    def traces(self):
        """All that the world has noticed of the session."""
        return len(self.world.recorder.events), len(self.invitation.sent) if self.invitation is not None else 0, len(self.steps), self.session.state

    # ---- ways to bring an input about ------------------------------------------------------------------------------

    def ways(self, what):
        """The ways to bring about an input, as (name, function); the first one leaves the session with two streams."""
        ways = [(name, getattr(self, f'call_{name}')) for name, each in METHODS.items() if each is what]
        if self.session.state is S.CONNECTED and what is I.PROPOSE:
            ways += [('hold', self.session.hold), ('add a slow stream', self.add_slow_stream), ('lose a stream', self.lose_stream)]
        if (self.session.state, what) == (S.TERMINATING, I.FAILED):
            return []                   # the way out is broken: see test_error_in_the_way_out
        if (self.session.state, what) in TRANSITIONS or what in (I.PROPOSAL_RECEIVED, I.OFFER_REQUESTED) and self.is_idle:
            other = getattr(self, f'cause_{what.name.lower()}', None)
            ways += [(what.name, other)] if other is not None else []
        return ways

    @property
    def is_idle(self):
        """The core would take a request of the peer."""
        return self.invitation is not None and self.invitation.state == 'connected' and self.invitation.sub_state == 'normal'

    def prepare(self, what):
        """There is one transfer at a time, and none can be answered before it was asked for."""
        if what not in (I.TRANSFER, I.ANSWER_TRANSFER) or self.invitation is None or self.invitation.state != 'connected':
            return
        if self.session.transfer_handler.state == 'started' and self.session.transfer_handler.direction == 'incoming':
            transferee.fail(self.session, 486, 'Busy Here')
        elif self.session.transfer_handler.active:
            self.invitation.end_transfer(486, 'Busy Here')
        if what is I.ANSWER_TRANSFER:
            self.invitation.peer_refers(CAROL)

    def call_connect(self):
        self.session.connect(ToHeader(SIPURI('example.com', user='you')), [Route('127.0.0.1')], [self.world.Stream(), self.world.Text()])
        self.invitation = self.world.invitation

    def call_send_ring_indication(self):
        self.session.send_ring_indication()

    def call_accept(self):
        self.session.accept(self.session.proposed_streams or [self.world.Stream()])

    def call_reject(self):
        self.session.reject()

    def call_end(self):
        self.session.end()

    def call_add_stream(self):
        self.session.add_stream(self.world.Text())

    def call_add_streams(self):
        self.session.add_streams([self.world.Text(), self.world.Text()])

    def call_remove_stream(self):
        self.session.remove_stream(self.session.streams[0] if self.session.streams else self.world.Stream())

    def call_remove_streams(self):
        self.session.remove_streams(self.session.streams[:1])

    def add_slow_stream(self):
        self.session.add_stream(self.world.Text(script='slow-init'))

    def lose_stream(self):
        self.session.streams[1].fail()

    def call_cancel_proposal(self):
        self.session.cancel_proposal()

    def call_accept_proposal(self):
        self._hold_back()
        self.session.accept_proposal(self.session.proposed_streams or [])

    def call_reject_proposal(self):
        self._hold_back()
        self.session.reject_proposal()

    def call_transfer(self):
        self.session.transfer(CAROL)

    def call_accept_transfer(self):
        self.session.accept_transfer()

    def call_reject_transfer(self):
        self.session.reject_transfer()

    def _hold_back(self):
        """Let the core tell later that a proposal is answered."""
        invitation = self.invitation
        if invitation is not None and 'change' not in vars(invitation):
            change = invitation.change
            invitation.change = lambda state, *args, **kwargs: (self.held.append((state, args, kwargs)) if state == 'connected'
                                                                else change(state, *args, **kwargs))

    def _release(self):
        del self.invitation.change
        held, self.held = self.held, []
        for state, args, kwargs in held:
            self.invitation.change(state, *args, **kwargs)

    # The peer

    def cause_invite_received(self):
        self.invitation, session = self.world.incoming('audio', 'text')
        assert session is self.session

    def cause_proposal_received(self):
        lines = [(line.media, line.port) for line in self.session._remote_sdp.media]
        self.invitation.peer_offers(self.world.sdp(*lines, 'text'))

    def cause_offer_requested(self):
        self.invitation.peer_offers(None)

    # Our own progress

    def cause_started(self):
        if self.session.direction == 'outgoing':
            self.invitation.peer_answers()
        else:
            self.invitation.change('connected')         # the ACK

    def cause_reoffer(self):
        self.session.proposed_streams[0].ice_reoffer_needed = True
        self.invitation.peer_answers()

    def cause_proposal_done(self):
        session, invitation = self.session, self.invitation
        for stream in session.proposed_streams or []:
            if 'slow-init' in stream.script:
                stream.post('MediaStreamDidInitialize')
        match session.state:
            case S.RECEIVED_PROPOSAL:
                invitation.sdp.proposed_remote = None
                invitation.change('connected', code=487, reason='Request Terminated')
            case S.RECEIVED_PROPOSAL_REQUEST:
                invitation.negotiated(invitation.sdp.proposed_local, self.world.sdp('audio', 'text'))
                invitation.change('connected')
            case S.ACCEPTING_PROPOSAL | S.REJECTING_PROPOSAL:
                self._release()
            case _ if invitation.sub_state == 'sent_proposal':
                invitation.peer_answers_reinvite(488, 'Not Acceptable Here')

    def cause_failed(self):
        match self.session.state:
            case S.INCOMING:
                self.invitation.gone('remote', 487, 'Request Terminated')
            case S.OUTGOING | S.ACCEPTING:
                self.invitation._post('SIPInvitationGotSDPUpdate', succeeded=False, error='no codec')
            case _:
                self.invitation.gone('local', 408, 'Request Timeout', 'timeout')

    def cause_finished(self):
        self.invitation.gone('local', 200, 'OK')


PATHS = paths(TRANSITIONS)


@pytest.fixture(autouse=True)
def no_lookup(monkeypatch):
    monkeypatch.setattr('sipsimple.session.transferee._look_up', lambda session, wanted: None)


def sessions_in(state, world, monkeypatch):
    """Sessions in a state, one for each way to come into it. Where a session runs on by itself (the end of its dialog leaves nothing to wait for),
    there is none."""
    found = 0
    for before, what in [(state, None)] if state is None else [edge for edge, following in TRANSITIONS.items() if following == state]:
        number = 0
        more = True
        while more:
            run = Run(world, monkeypatch)
            run.go(PATHS[before])
            assert run.session.state == before, (PATHS[before], run.steps)
            if what is None:
                more = False
            else:
                ways = run.ways(what)
                run.prepare(what)
                if not ways:            # nothing here knows how to bring it about
                    run.session._fire(what)
                else:
                    ways[number][1]()
                number += 1
                more = number < len(ways)
            if run.session.state == state:
                found += 1
                yield f'{before}, {what}', run
            run.finish()
    assert found, f'no session stays in {state}'


@pytest.mark.parametrize('state, what', list(TRANSITIONS), ids=lambda value: getattr(value, 'name', str(value)))
def test_legal_pair(world, monkeypatch, state, what):
    number, ways = 0, 1
    while number < ways:
        for how, run in sessions_in(state, world, monkeypatch):
            found = run.ways(what)
            ways = max(ways, len(found))
            if number >= max(1, len(found)):
                continue
            run.prepare(what)
            done = len(run.steps)
            name, function = found[number] if found else ('the machine', lambda run=run: run.session._fire(what))
            function()
            assert run.steps[done:][:1] == [(state, what, TRANSITIONS[state, what])], (how, name, run.steps)
            if not found:
                run.session._machine._state = state         # nothing else of the session has noticed
        number += 1


@pytest.mark.parametrize('state, what', [pair for pair in pairs(TRANSITIONS, I) if pair not in TRANSITIONS],
                         ids=lambda value: getattr(value, 'name', str(value)))
def test_illegal_pair(world, monkeypatch, state, what):
    for how, run in sessions_in(state, world, monkeypatch):
        run.prepare(what)
        before = run.traces
        with pytest.raises(IllegalStateError):
            run.session._fire(what)
        for name, function in run.ways(what):
            if name in METHODS:
                with pytest.raises(IllegalStateError):
                    function()
                assert run.traces == before, (how, name)
            else:                       # of the peer: it waits
                done = len(run.steps)
                function()
                assert run.steps[done:] == [], (how, name, run.steps)


def test_every_method_is_known_here():
    public = {name for name, value in vars(Session).items() if callable(value) and not name.startswith('_')}
    assert public == set(METHODS)


@pytest.mark.parametrize('state', list(PATHS), ids=str)
def test_hold_is_legal_in_every_state(world, monkeypatch, state):
    for how, run in sessions_in(state, world, monkeypatch):
        done = len(run.steps)
        run.session.hold()
        expected = [(S.CONNECTED, I.PROPOSE, S.SENDING_PROPOSAL)] if state is S.CONNECTED else []
        assert run.steps[done:] == expected, how
        run.session.unhold()


@pytest.mark.parametrize('state', [state for state, what in TRANSITIONS if what is I.ANSWER_TRANSFER])
def test_there_is_no_transfer_to_answer(world, monkeypatch, state):
    for how, run in sessions_in(state, world, monkeypatch):
        if run.session.transfer_handler.direction != 'incoming':
            for answer in (run.session.accept_transfer, run.session.reject_transfer):
                before = run.traces[:2]
                with pytest.raises(IllegalDirectionError):
                    answer()
                assert run.traces[:2] == before and run.session.state == state, how


# ---- transfers -------------------------------------------------------------------------------------------------------


class TransferRun(Run):
    """A session that runs, and its transfers."""

    def __init__(self, world, monkeypatch):
        super().__init__(world, monkeypatch)
        self.go([I.CONNECT, I.STARTED])
        self.transfers = []
        self.session.transfer_handler._machine._trace = lambda *step: self.transfers.append(step)

    @property
    def state(self):
        return self.session.transfer_handler._machine.state

    def transfer_way(self, what):
        """A way to bring about an input, None when there is none."""
        ours = self.session.transfer_handler.direction == 'outgoing'
        match what:
            case TransferInput.ASK:
                return lambda: self.session.transfer(CAROL)
            case TransferInput.ACCEPT:
                return self.session.accept_transfer
            case TransferInput.REFUSE:
                return self.session.reject_transfer
            case TransferInput.ASKED if not self.invitation.transferring:          # else the core answers 480
                return lambda: self.invitation.peer_refers(CAROL)
            case TransferInput.ACCEPTED if self.session.transfer_handler._dialog == 'outgoing':
                return lambda: self.invitation._post('SIPInvitationTransferDidStart')
            case TransferInput.SUCCESS if ours:
                return lambda: self.invitation.end_transfer(200)
            case TransferInput.FAILURE if ours or self.state == TransferState.ASKED:
                return lambda: self.invitation.end_transfer(486, 'Busy Here')
            case TransferInput.FAILURE if self.state == TransferState.TRYING:
                return lambda: transferee.fail(self.session, 486, 'Busy Here')
        return None


TRANSFER_PATHS = paths(TRANSFER_TRANSITIONS)


@pytest.mark.parametrize('state, what', pairs(TRANSFER_TRANSITIONS, TransferInput), ids=lambda value: getattr(value, 'name', str(value)))
def test_pair_of_a_transfer(world, monkeypatch, state, what):
    run = TransferRun(world, monkeypatch)
    for step in TRANSFER_PATHS[state]:
        function = run.transfer_way(step)
        if function is not None:
            function()
        else:
            run.session.transfer_handler._machine.fire(step)
    assert run.state == state
    legal = (state, what) in TRANSFER_TRANSITIONS
    done, before = len(run.transfers), len(world.recorder.events)
    function = run.transfer_way(what)
    if function is None or run.session.state is not S.CONNECTED:
        assert run.session.transfer_handler._try(what) is legal
    elif legal:
        function()
    elif what in (TransferInput.ASK, TransferInput.ACCEPT, TransferInput.REFUSE):
        with pytest.raises((IllegalStateError, IllegalDirectionError)):
            function()
        assert len(world.recorder.events) == before
    else:                       # of the peer
        function()
        assert len(world.recorder.events) == before
    assert run.transfers[done:][:1] == ([(state, what, TRANSFER_TRANSITIONS[state, what])] if legal else [])
    run.finish()
