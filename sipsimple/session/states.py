"""The states of a `Session`, the inputs that move it and the transition table.

Rules of this module:

- every transition is here; nothing else may write the state, and only through `fire` of the machine made from `TRANSITIONS`;
- it does not know which side called: an outgoing and an incoming session share one table;
- a pair that is not in the table is illegal. For a local call that is `IllegalStateError`, raised in the caller's thread. From the peer it
  cannot happen: the procedures look at the invitation first and answer what they cannot use;
- the state before `connect` or an INVITE is `None`, as the public attribute shows it.

Establishing a session is `None -> outgoing -> connected` or `None -> incoming -> accepting -> connected`. A connected session leaves that state
for one offer/answer exchange at a time and comes back with PROPOSAL_DONE, whatever the outcome. Everything ends through `terminating`, in
which the signalling and the streams are closed, to `terminated`.
"""

from __future__ import annotations

from enum import Enum, StrEnum

__all__ = ['IllegalDirectionError', 'IllegalStateError', 'Input', 'SessionState', 'TRANSITIONS']


class IllegalStateError(RuntimeError):
    """The method may not be called in the present state of the session."""


class IllegalDirectionError(RuntimeError):
    """The method belongs to the other side of the transfer."""


class SessionState(StrEnum):
    """The values of `Session.state`, beside `None`."""

    OUTGOING = 'outgoing'
    INCOMING = 'incoming'
    ACCEPTING = 'accepting'
    CONNECTED = 'connected'
    SENDING_PROPOSAL = 'sending_proposal'
    CANCELLING_PROPOSAL = 'cancelling_proposal'
    RECEIVED_PROPOSAL = 'received_proposal'
    ACCEPTING_PROPOSAL = 'accepting_proposal'
    REJECTING_PROPOSAL = 'rejecting_proposal'
    RECEIVED_PROPOSAL_REQUEST = 'received_proposal_request'
    TERMINATING = 'terminating'
    TERMINATED = 'terminated'


class Input(Enum):
    """What can happen to a session."""

    # the application
    CONNECT = 'connect()'
    RING = 'send_ring_indication()'
    ACCEPT = 'accept()'
    REJECT = 'reject()'
    PROPOSE = 'a local re-INVITE: add, remove, hold, unhold'
    CANCEL_PROPOSAL = 'cancel_proposal()'
    ACCEPT_PROPOSAL = 'accept_proposal()'
    REJECT_PROPOSAL = 'reject_proposal()'
    TRANSFER = 'transfer()'
    ANSWER_TRANSFER = 'accept_transfer() or reject_transfer()'
    END = 'end()'
    # the peer
    INVITE_RECEIVED = 'an INVITE for us'
    PROPOSAL_RECEIVED = 're-INVITE with an offer'
    OFFER_REQUESTED = 're-INVITE without SDP'
    # our own progress
    REOFFER = 'the result of ICE is offered anew'
    STARTED = 'INVITE acknowledged, all streams running'
    PROPOSAL_DONE = 'the re-INVITE has its final response'
    FAILED = 'a procedure failed, or the dialog is gone'
    FINISHED = 'signalling and streams are closed'


_S = SessionState
_I = Input

TRANSITIONS: dict[tuple[SessionState | None, Input], SessionState | None] = {
    # State: None
    (None, _I.CONNECT): _S.OUTGOING,
    (None, _I.INVITE_RECEIVED): _S.INCOMING,
    (None, _I.END): None,
    # State: outgoing
    (_S.OUTGOING, _I.REOFFER): _S.SENDING_PROPOSAL,
    (_S.OUTGOING, _I.STARTED): _S.CONNECTED,
    (_S.OUTGOING, _I.END): _S.TERMINATING,
    (_S.OUTGOING, _I.FAILED): _S.TERMINATING,
    # State: incoming
    (_S.INCOMING, _I.RING): _S.INCOMING,
    (_S.INCOMING, _I.ACCEPT): _S.ACCEPTING,
    (_S.INCOMING, _I.REJECT): _S.TERMINATING,
    (_S.INCOMING, _I.END): _S.TERMINATING,
    (_S.INCOMING, _I.FAILED): _S.TERMINATING,
    # State: accepting
    (_S.ACCEPTING, _I.STARTED): _S.CONNECTED,
    (_S.ACCEPTING, _I.END): _S.TERMINATING,
    (_S.ACCEPTING, _I.FAILED): _S.TERMINATING,
    # State: connected
    (_S.CONNECTED, _I.PROPOSE): _S.SENDING_PROPOSAL,
    (_S.CONNECTED, _I.PROPOSAL_RECEIVED): _S.RECEIVED_PROPOSAL,
    (_S.CONNECTED, _I.OFFER_REQUESTED): _S.RECEIVED_PROPOSAL_REQUEST,
    (_S.CONNECTED, _I.TRANSFER): _S.CONNECTED,
    (_S.CONNECTED, _I.ANSWER_TRANSFER): _S.CONNECTED,
    (_S.CONNECTED, _I.END): _S.TERMINATING,
    (_S.CONNECTED, _I.FAILED): _S.TERMINATING,
    # State: sending_proposal
    (_S.SENDING_PROPOSAL, _I.CANCEL_PROPOSAL): _S.CANCELLING_PROPOSAL,
    (_S.SENDING_PROPOSAL, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.SENDING_PROPOSAL, _I.ANSWER_TRANSFER): _S.SENDING_PROPOSAL,
    (_S.SENDING_PROPOSAL, _I.END): _S.TERMINATING,
    (_S.SENDING_PROPOSAL, _I.FAILED): _S.TERMINATING,
    # State: cancelling_proposal
    (_S.CANCELLING_PROPOSAL, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.CANCELLING_PROPOSAL, _I.ANSWER_TRANSFER): _S.CANCELLING_PROPOSAL,
    (_S.CANCELLING_PROPOSAL, _I.END): _S.TERMINATING,
    (_S.CANCELLING_PROPOSAL, _I.FAILED): _S.TERMINATING,
    # State: received_proposal
    (_S.RECEIVED_PROPOSAL, _I.RING): _S.RECEIVED_PROPOSAL,
    (_S.RECEIVED_PROPOSAL, _I.ACCEPT_PROPOSAL): _S.ACCEPTING_PROPOSAL,
    (_S.RECEIVED_PROPOSAL, _I.REJECT_PROPOSAL): _S.REJECTING_PROPOSAL,
    (_S.RECEIVED_PROPOSAL, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.RECEIVED_PROPOSAL, _I.ANSWER_TRANSFER): _S.RECEIVED_PROPOSAL,
    (_S.RECEIVED_PROPOSAL, _I.END): _S.TERMINATING,
    (_S.RECEIVED_PROPOSAL, _I.FAILED): _S.TERMINATING,
    # State: accepting_proposal
    (_S.ACCEPTING_PROPOSAL, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.ACCEPTING_PROPOSAL, _I.ANSWER_TRANSFER): _S.ACCEPTING_PROPOSAL,
    (_S.ACCEPTING_PROPOSAL, _I.END): _S.TERMINATING,
    (_S.ACCEPTING_PROPOSAL, _I.FAILED): _S.TERMINATING,
    # State: rejecting_proposal
    (_S.REJECTING_PROPOSAL, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.REJECTING_PROPOSAL, _I.ANSWER_TRANSFER): _S.REJECTING_PROPOSAL,
    (_S.REJECTING_PROPOSAL, _I.END): _S.TERMINATING,
    (_S.REJECTING_PROPOSAL, _I.FAILED): _S.TERMINATING,
    # State: received_proposal_request
    (_S.RECEIVED_PROPOSAL_REQUEST, _I.PROPOSAL_DONE): _S.CONNECTED,
    (_S.RECEIVED_PROPOSAL_REQUEST, _I.END): _S.TERMINATING,
    (_S.RECEIVED_PROPOSAL_REQUEST, _I.FAILED): _S.TERMINATING,
    # State: terminating
    (_S.TERMINATING, _I.END): _S.TERMINATING,
    (_S.TERMINATING, _I.FAILED): _S.TERMINATING,
    (_S.TERMINATING, _I.FINISHED): _S.TERMINATED,
    # State: terminated
    (_S.TERMINATED, _I.END): _S.TERMINATED,
}
