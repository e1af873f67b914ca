"""What reaches a session, and the machinery that runs its procedures.

A session is an actor. Notifications of its invitation (from the core), notifications of its streams, timers and calls of the application (any
thread) become `Event` objects in its `Inbox`, which is emptied in the reactor thread, one event at a time and never nested: an observer may call
the session from inside a notification the session is just posting, and that call is handled when the present step is over.

An operation that takes several events (connect, accept, a re-INVITE, the end) is a *procedure*: a coroutine that awaits events of the inbox and
runs on nothing but them. It needs neither a green thread of its own nor any hand-over to the hub, and a session runs at most one at a time, which is
what serialises its operations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from enum import Enum, auto
from typing import Any, NamedTuple

from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['ASIDE', 'CORE_KINDS', 'Deadline', 'DeadlineExpired', 'Disconnected', 'EndRequested', 'Event', 'Failure', 'Inbox', 'Kind', 'NOTIFICATION_KINDS',
           'NextEvent', 'PeerProposes', 'ProposalCancelled', 'Scheduler', 'StreamFailed', 'Timer', 'reactor_scheduler']


class Kind(Enum):
    """What an event tells."""

    RUN = auto()                    # data: a function to call; the procedure it returns, if any, is run
    END = auto()                    # the application called end()
    CANCEL_PROPOSAL = auto()        # the application called cancel_proposal()
    ANSWER_PROPOSAL = auto()        # the application called accept_proposal() or reject_proposal(); data: ProposalAnswer
    HOLD = auto()                   # the application called hold() or unhold(), data: True or False; or it is time to try again, data: None
    NETWORK = auto()                # the network is another one; or it is time to try again
    TIMER = auto()                  # source: the Deadline that expired
    INVITATION = auto()             # SIPInvitationChangedState
    SDP = auto()                    # SIPInvitationGotSDPUpdate
    MESSAGE = auto()                # SIPInvitationGotMessage
    PROGRESS = auto()               # SIPInvitationGotProvisionalResponse: to a re-INVITE
    UPDATE = auto()                 # SIPInvitationGotUpdate
    TRANSFER_CALL = auto()          # the application called transfer(), accept_transfer() or reject_transfer(); data: a function
    TRANSFER_ASKED = auto()         # SIPInvitationTransferNewIncoming
    TRANSFER_STARTED = auto()       # SIPInvitationTransferDidStart
    TRANSFER_PROGRESS = auto()      # SIPInvitationTransferGotNotify
    TRANSFER_ENDED = auto()         # SIPInvitationTransferDidEnd
    TRANSFER_FAILED = auto()        # SIPInvitationTransferDidFail
    ROUTES = auto()                 # a lookup is over; source: the question, data: the routes or an exception
    STREAM_INITIALIZED = auto()
    STREAM_STARTED = auto()
    STREAM_FAILED = auto()
    STREAM_RESTARTED = auto()       # a stream has gathered ICE candidates anew, or cannot; data: the stream


NOTIFICATION_KINDS = {
    'SIPInvitationChangedState': Kind.INVITATION,
    'SIPInvitationGotSDPUpdate': Kind.SDP,
    'SIPInvitationGotMessage': Kind.MESSAGE,
    'SIPInvitationGotProvisionalResponse': Kind.PROGRESS,
    'SIPInvitationGotUpdate': Kind.UPDATE,
    'SIPInvitationTransferNewIncoming': Kind.TRANSFER_ASKED,
    'SIPInvitationTransferDidStart': Kind.TRANSFER_STARTED,
    'SIPInvitationTransferGotNotify': Kind.TRANSFER_PROGRESS,
    'SIPInvitationTransferDidEnd': Kind.TRANSFER_ENDED,
    'SIPInvitationTransferDidFail': Kind.TRANSFER_FAILED,
    'MediaStreamDidInitialize': Kind.STREAM_INITIALIZED,
    'MediaStreamDidStart': Kind.STREAM_STARTED,
    'MediaStreamDidFail': Kind.STREAM_FAILED,
    'MediaStreamDidNotInitialize': Kind.STREAM_FAILED,
}

CORE_KINDS = frozenset(kind for name, kind in NOTIFICATION_KINDS.items() if name.startswith('SIPInvitation'))
"""What the core posts. A session takes these when the notification has been to all its observers, whichever thread posts it."""

ASIDE = frozenset((Kind.MESSAGE, Kind.PROGRESS, Kind.UPDATE, Kind.HOLD, Kind.NETWORK, Kind.TRANSFER_CALL, Kind.TRANSFER_ASKED, Kind.TRANSFER_STARTED,
                   Kind.TRANSFER_PROGRESS, Kind.TRANSFER_ENDED, Kind.TRANSFER_FAILED))
"""What is handled at once, whatever procedure runs."""


class Event(NamedTuple):
    """One thing that happened."""

    kind: Kind
    source: Any = None
    data: Any = None


class EndRequested(Exception):
    """The application ended the session while a procedure was running."""


class ProposalCancelled(Exception):
    """The application called cancel_proposal() while a procedure was running."""


class PeerProposes(Exception):
    """A re-INVITE of the peer came while a procedure was waiting that lets it go first. It will be answered when the procedure is over."""


class Disconnected(Exception):
    """The dialog is gone. `data` is that of the notification `SIPInvitationChangedState`."""

    def __init__(self, data: Any) -> None:
        super().__init__(f'{data.code} {data.reason}')
        self.data = data


class StreamFailed(Exception):
    """A stream of the session failed."""

    def __init__(self, stream: Any, reason: str) -> None:
        super().__init__(reason)
        self.stream = stream
        self.reason = reason


class DeadlineExpired(Exception):
    """What a procedure was waiting for did not come in time."""


class Failure(Exception):
    """The session cannot go on: `code`, `reason` and `failure_reason` are for `SIPSessionDidFail`, `response` is the code for the peer if it waits for
    our answer to its INVITE, `bye_reason` the text of the `Reason` of a BYE."""

    def __init__(self, failure_reason: str, code: int = 0, reason: str | None = None, response: int = 500, bye_reason: str | None = None) -> None:
        super().__init__(failure_reason)
        self.failure_reason = failure_reason
        self.code = code
        self.reason = reason
        self.response = response
        self.bye_reason = bye_reason


class NextEvent:
    """Awaitable: the next event of the session that runs the procedure."""

    def __await__(self) -> Generator[None, Event, Event]:
        return (yield)


class Inbox:
    """The queue of events of one session. Reactor thread only."""

    __slots__ = ('_busy', '_events', '_handler')

    def __init__(self, handler: Callable[[Event], None]) -> None:
        self._events: deque[Event] = deque()
        self._handler = handler
        self._busy = False

    def put(self, event: Event) -> None:
        """Handle the event now, or after those before it if one is being handled. The handler must not raise."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                self._handler(self._events.popleft())
        finally:
            self._busy = False


class Deadline:
    """A moment after which a procedure does not want to wait any more. Cancel it when the wait is over."""

    __slots__ = ('_timer',)

    def __init__(self, scheduler: Scheduler, inbox: Inbox, seconds: float) -> None:
        self._timer = scheduler.call_later(seconds, inbox.put, Event(Kind.TIMER, self))

    def cancel(self) -> None:
        """Stop the timer; harmless when it has expired."""
        self._timer.cancel()
