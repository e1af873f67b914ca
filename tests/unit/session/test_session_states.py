"""The transition table of sessions: every pair of state and input."""

from __future__ import annotations

import itertools

import pytest

from sipsimple.session.base import SessionBase
from sipsimple.session.states import TRANSITIONS, IllegalStateError, Input, SessionState

STATES = [None, *SessionState]
LIVE = [state for state in SessionState if state not in (SessionState.TERMINATING, SessionState.TERMINATED)]


def session_in(state):
    """A session brought to a state over legal inputs only."""
    paths = {None: []}
    queue = [None]
    while queue:
        here = queue.pop(0)
        for (source, what), target in TRANSITIONS.items():
            if source == here and target not in paths:
                paths[target] = [*paths[here], what]
                queue.append(target)
    session = SessionBase(None)
    for what in paths[state]:
        session._fire(what)
    assert session.state == state
    return session


@pytest.mark.parametrize('state, what', list(itertools.product(STATES, Input)), ids=lambda value: getattr(value, 'name', str(value)))
def test_every_pair(state, what):
    session = session_in(state)
    if (state, what) in TRANSITIONS:
        session._fire(what)
        assert session.state == TRANSITIONS[state, what]
    else:
        with pytest.raises(IllegalStateError):
            session._fire(what)
        assert session.state == state


@pytest.mark.parametrize('state', LIVE)
def test_every_live_state_can_end(state):
    for what in (Input.END, Input.FAILED):
        session = session_in(state)
        session._fire(what)
        assert session.state == 'terminating'
        session._fire(Input.FINISHED)
        assert session.state == 'terminated'


def test_terminated_is_final():
    assert {target for (state, _), target in TRANSITIONS.items() if state is SessionState.TERMINATED} == {SessionState.TERMINATED}


def test_every_exchange_comes_back_to_connected():
    for state in ('sending_proposal', 'cancelling_proposal', 'received_proposal', 'accepting_proposal', 'rejecting_proposal', 'received_proposal_request'):
        session = session_in(SessionState(state))
        session._fire(Input.PROPOSAL_DONE)
        assert session.state == 'connected'


@pytest.mark.parametrize('what, legal', [
    (Input.CONNECT, {None}),
    (Input.RING, {'incoming', 'received_proposal'}),
    (Input.ACCEPT, {'incoming'}),
    (Input.REJECT, {'incoming'}),
    (Input.ACCEPT_PROPOSAL, {'received_proposal'}),
    (Input.REJECT_PROPOSAL, {'received_proposal'}),
    (Input.PROPOSE, {'connected'}),
    (Input.CANCEL_PROPOSAL, {'sending_proposal'}),
    (Input.TRANSFER, {'connected'}),
    (Input.ANSWER_TRANSFER, {'connected', 'received_proposal', 'sending_proposal', 'accepting_proposal', 'rejecting_proposal', 'cancelling_proposal'}),
    (Input.END, set(STATES)),
], ids=lambda value: getattr(value, 'name', None))
def test_methods_are_legal_where_documented(what, legal):
    assert {state for (state, each) in TRANSITIONS if each is what} == legal


def test_states_are_their_public_strings():
    assert [str(state) for state in SessionState] == [
        'outgoing', 'incoming', 'accepting', 'connected', 'sending_proposal', 'cancelling_proposal', 'received_proposal', 'accepting_proposal',
        'rejecting_proposal', 'received_proposal_request', 'terminating', 'terminated']
