"""Every pair of state and input of a request to a focus, with real requests: each is brought into a state and given every input, by who asks, by the lookup
or by the focus. What follows is the transition of the table, or nothing at all."""

import pytest

from sipsimple.core import SIPURI
from sipsimple.session.participants import PARTICIPANT_TRANSITIONS, ParticipantInput, ParticipantRequest, ParticipantState
from tests.support.event_fakes import FakeReferral
from tests.support.tables import pairs, paths

I, S = ParticipantInput, ParticipantState           # noqa: E741 - the inputs
PATHS = paths(PARTICIPANT_TRANSITIONS)
FINAL = (S.DONE, S.FAILED)


class Run:
    """One request, whose lookup and focus wait until they are told to go on."""

    def __init__(self, world, monkeypatch):
        self.world = world
        self.told = []                  # what the listener has heard
        self.lookups = []
        self.steps = []
        self.Referral = FakeReferral.fresh()
        monkeypatch.setattr('sipsimple.session.participants.Referral', self.Referral)
        monkeypatch.setattr('sipsimple.account.leaving.Referral', self.Referral)
        monkeypatch.setattr('sipsimple.session.participants.call_in_green_thread', self.lookups.append)
        monkeypatch.setattr('sipsimple.session.participants.find_routes', lambda account, focus: [world.route(number) for number in range(1, 9)])
        self.request = ParticipantRequest(world.account, SIPURI('example.com', user='room'), SIPURI('example.com', user='bob'), 'INVITE', self, world.scheduler)
        self.request._machine._trace = lambda *step: self.steps.append(step)

    # For the request

    def progress(self, request, code, reason):
        self.told.append(('progress', code))

    def succeeded(self, request):
        self.told.append('succeeded')

    def failed(self, request, code, reason):
        self.told.append(('failed', code))

    @property
    def ends(self):
        """How it was told to have ended; once, at most."""
        return [told for told in self.told if 'progress' not in told]

    @property
    def traces(self):
        """All that the world has noticed of the request."""
        return len(self.told), [referral.sent for referral in self.Referral.made], len(self.lookups), len(self.steps), self.request.state

    def ways(self, what):
        """The ways to bring an input about in the present state, by whoever it is that can."""
        request, state = self.request, self.request.state
        focus = self.Referral.made[-1] if self.Referral.made else None
        match what:
            case I.START:
                return [request.start]
            case I.ROUTES if self.lookups:
                return [self.lookups[-1]]
            case I.NEXT_ROUTE if focus is not None and state is not S.ACCEPTED:
                return [lambda code=code: focus.failed_by_peer(code) for code in (408, 480, 503)]
            case I.ACCEPTED if focus is not None:
                return [focus.accepted_by_peer]
            case I.SUCCESS if focus is not None:
                return [lambda: focus.tell('SIP/2.0 200 OK'), focus.ended]
            case I.FAILURE:
                ways = [lambda: request.fail(0, 'the session has ended')]
                if focus is not None:
                    ways += [lambda: focus.tell('SIP/2.0 486 Busy Here'), lambda: focus.failed_by_peer(403)]
                return ways
        return []

    def go(self, state):
        for what in PATHS[state]:
            self.ways(what)[0]()
        assert self.request.state == state
        return self


@pytest.mark.parametrize('state, what', pairs(PARTICIPANT_TRANSITIONS, I), ids=lambda value: getattr(value, 'name', str(value)))
def test_pair_of_a_request(world, monkeypatch, state, what):
    legal = (state, what) in PARTICIPANT_TRANSITIONS
    for number in range(max(1, len(Run(world, monkeypatch).go(state).ways(what)))):
        run = Run(world, monkeypatch).go(state)
        before = run.traces
        ways = run.ways(what)
        if legal:
            assert ways, 'nothing brings it about'
            ways[number]()
            assert run.steps[before[3]:] == [(state, what, PARTICIPANT_TRANSITIONS[state, what])]
            assert len(run.ends) == (run.request.state in FINAL)
        else:
            assert run.request._go(what) is False and run.traces == before
            if ways:
                ways[number]()
                assert run.traces == before, number
        # The end is told once, whatever else comes.
        run.request.start()
        run.request.fail(0, 'the session has ended')
        ends = run.ends
        assert len(ends) == 1 and run.request.state in FINAL
        world.advance(60)
        for focus in run.Referral.made:
            focus.state = 'ACCEPTED'
            focus.tell('SIP/2.0 200 OK')
            focus.ended()
        assert run.ends == ends
