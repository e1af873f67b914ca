"""`SessionBase`: the state of a session and the engine of its procedures. `session.Session` is the public face."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipsimple.notification import IObserver, Notification, NotificationCenter, TimestampedNotificationData
from sipsimple.session.inputs import (
    ASIDE,
    CORE_KINDS,
    NOTIFICATION_KINDS,
    Deadline,
    DeadlineExpired,
    Disconnected,
    EndRequested,
    Event,
    Inbox,
    Kind,
    NextEvent,
    PeerProposes,
    ProposalCancelled,
    Scheduler,
    StreamFailed,
    Timer,
    reactor_scheduler,
)
from sipsimple.session.states import TRANSITIONS, IllegalStateError, Input, SessionState
from sipsimple.statemachine import InvalidTransition, StateMachine

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPSession, Invitation, SDPSession

__all__ = ['Procedure', 'SessionBase']

log = logging.getLogger('sipsimple.session')

Procedure = Coroutine[None, Event, None]

_PROPOSALS = frozenset(('received_proposal', 'received_proposal_request'))


@implementer(IObserver)
class SessionBase:
    """What procedures work on.

    Attributes without an underscore are public. Those with one belong to this package; all but `_machine` are touched in the reactor thread only.
    """

    scheduler: ClassVar[Scheduler] = reactor_scheduler
    media_stream_timeout: ClassVar[float] = 15
    """Seconds streams may take to start, and the peer to acknowledge our 200."""
    short_reinvite_timeout: ClassVar[float] = 5
    """Seconds the peer may take to answer a re-INVITE that needs nobody's decision."""

    def __init__(self, account: Any) -> None:
        self.account = account
        self.direction: str | None = None
        self.streams: list[Any] = []
        self.proposed_streams: list[Any] | None = None
        self.start_time: datetime | None = None
        self.end_time: datetime | None = None
        self.local_focus = False
        self.remote_focus = False

        self._machine: StateMachine[SessionState | None, Input] = StateMachine(TRANSITIONS, None)
        self._inbox = Inbox(self._handle)
        self._procedure: Procedure | None = None
        self._deferred: list[Event] = []
        self._invitation: Invitation | None = None
        self._observed: dict[Any, None] = {}        # streams that were initialised and not ended yet
        self._answered = False                  # a 2xx to the INVITE was sent or received
        self._invite_open = False               # and nobody was told of that transaction yet
        self._local_sdp: FrozenSDPSession | None = None         # what was negotiated last
        self._remote_sdp: FrozenSDPSession | None = None
        self._local_offer: SDPSession | None = None             # the first offer, while routes are tried
        self.ipv6_media = False                 # whether media go over IPv6; decided once, for streams
        self._on_hold = False                   # what the peer knows of our hold
        self._hold_wish: bool | None = None     # what the application wants, until the peer knows it
        self._hold_sent: bool | None = None     # the wish that is on its way to the peer
        self._hold_tries = 0                    # to send it
        self._held_remotely: frozenset[Any] = frozenset()       # streams the peer has on hold, as it was posted last
        self._lost_streams: list[Any] = []      # refused in the answer to a re-INVITE, which is not over yet
        self._hold_timer: Timer | None = None   # until the next try after a 491
        self._place: str | None = None          # our address, as the peer knows it: see `place`
        self._place_sent: str | None = None     # the one that is on its way to the peer
        self._move_wanted = False               # it may have changed
        self._moving = False                    # the re-INVITE that tells of it is under way
        self._move_tries = 0                    # to send it
        self._move_timer: Timer | None = None   # until the next try
        self._connection_lost = False           # by which the peer reached us
        self._ice_found = False                 # it has begun anew, and has a way: the peer may have to be told
        self._ice_outdated = False              # candidates of streams are those of another address than the peer was told
        self._trying_timer: Timer | None = None         # until a 100 is due, if nothing else was answered
        self._gone: Any = None                  # data of the end of the dialog, if it came before what was to wait for it
        self._final = (0, '')                   # code and reason of the final response to the INVITE

    @property
    def state(self) -> SessionState | None:
        """The state, a string (see `SessionState`), or None before `connect` or an INVITE."""
        state: SessionState | None = self._machine.state
        return state

    @property
    def proposed_remote_sdp(self) -> FrozenSDPSession | None:
        """The offer of the peer that has not been answered yet, None if there is none. For streams."""
        return self._invitation.sdp.proposed_remote if self._invitation is not None else None

    # State and notifications

    def _fire(self, what: Input) -> None:
        """Move the state machine; any thread, atomic.

        Raises:
            IllegalStateError: the input is not legal in the present state.
        """
        try:
            self._machine.fire(what)
        except InvalidTransition as error:
            raise IllegalStateError(f'{what.value} is not possible in the state {self.state}') from error

    def _advance(self, what: Input) -> None:
        """Move the state machine from inside a procedure.

        Raises:
            EndRequested: the application has just ended the session, from another thread; its event is on the way.
        """
        try:
            self._fire(what)
        except IllegalStateError:
            if self.state is SessionState.TERMINATING:
                raise EndRequested from None
            raise

    def _check_alive(self) -> None:
        """Called first in a procedure, before it sends anything.

        Raises:
            EndRequested: the application has ended the session since it started the procedure.
        """
        if self.state is SessionState.TERMINATING:
            raise EndRequested

    def _try(self, what: Input) -> bool:
        """Move the state machine if it is possible in the present state."""
        try:
            self._fire(what)
        except IllegalStateError:
            return False
        return True

    def _post(self, name: str, /, **fields: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    # Observed objects

    def _attach(self, invitation: Invitation) -> None:
        """Make the invitation the one of this session; what another one still has to tell is not heard any more."""
        self._detach()
        self._gone = None
        self._invitation = invitation
        NotificationCenter().add_observer(self, sender=invitation)

    def _detach(self) -> None:
        if self._invitation is not None:
            NotificationCenter().discard_observer(self, sender=self._invitation)

    def _disown(self) -> None:
        """Let go of an invitation that will not be ours; nothing of what is queued of it is handled any more."""
        self._detach()
        self._invitation = None

    def _observe(self, stream: Any) -> None:
        if stream not in self._observed:
            self._observed[stream] = None
            NotificationCenter().add_observer(self, sender=stream)

    def _release(self, stream: Any) -> None:
        if stream in self._observed:
            del self._observed[stream]
            NotificationCenter().discard_observer(self, sender=stream)

    def handle_notification(self, notification: Notification) -> None:
        """Queue what an invitation or a stream has to tell; any thread."""
        kind = NOTIFICATION_KINDS.get(notification.name)
        if kind is not None:
            call = self.scheduler.call_soon if kind in CORE_KINDS else self.scheduler.call
            call(self._inbox.put, Event(kind, notification.sender, notification.data))

    def _send(self, kind: Kind, data: Any = None) -> None:
        """Queue an event; any thread."""
        self.scheduler.call(self._inbox.put, Event(kind, None, data))

    def _send_soon(self, kind: Kind, data: Any = None) -> None:
        """The same, behind what the core has told by now."""
        self.scheduler.call_soon(self._inbox.put, Event(kind, None, data))

    # Events and procedures; reactor thread

    def _handle(self, event: Event) -> None:
        """The handler of the inbox."""
        source = event.source
        match event.kind:
            case Kind.INVITATION | Kind.SDP:
                if source is not self._invitation:
                    return
                data = event.data
                if event.kind is Kind.INVITATION and data.state == 'connected' == data.prev_state and data.originator == 'remote':
                    if getattr(data, 'code', 200) < 300:
                        self._learn_peer(data)          # a re-INVITE, or the answer to one
            case Kind.STREAM_INITIALIZED | Kind.STREAM_STARTED | Kind.STREAM_FAILED:
                if source not in self._observed:
                    return
            case kind if kind in ASIDE:
                if source is None or source is self._invitation:
                    self._run(self._handle_aside, event)
                return
        if self._procedure is not None:
            self._resume(event)
        else:
            self._run(self._idle, event)

    def _run(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function that may start a procedure; an error in it ends the session like one in a procedure."""
        try:
            function(*args)
        except Exception as error:
            self._fail(error)

    def _spawn(self, procedure: Procedure) -> None:
        """Start a procedure, up to its first wait."""
        self._procedure = procedure
        self._resume(None)

    def _resume(self, event: Event | None) -> None:
        assert self._procedure is not None
        self._step(self._procedure.send, event)

    def _interrupt(self, error: Exception) -> None:
        """Raise an error where the procedure waits."""
        assert self._procedure is not None
        self._step(self._procedure.throw, error)

    def _step(self, go_on: Callable[[Any], None], argument: Any) -> None:
        try:
            go_on(argument)
        except StopIteration:
            self._procedure = None
            self._run(self._settle)
        except Exception as error:
            self._procedure = None
            self._fail(error)

    async def _wait(self, deadline: Deadline | None = None, peer_first: bool = False) -> Event:
        """Return the next event that concerns the procedure.

        Raises:
            Disconnected: the dialog is gone.
            StreamFailed: a stream that is not running yet failed.
            ProposalCancelled: the application called `cancel_proposal`.
            EndRequested: the application called `end`.
            DeadlineExpired: the given deadline has passed.
            PeerProposes: with `peer_first`: the peer wants an answer to a re-INVITE.
        """
        while True:
            event = await NextEvent()
            match event.kind:
                case Kind.INVITATION:
                    if event.data.state == 'disconnected':
                        raise Disconnected(event.data)
                    if event.data.state == 'connected' and event.data.sub_state in _PROPOSALS:
                        self._deferred.append(event)
                        if peer_first:
                            raise PeerProposes
                        continue
                case Kind.END:
                    raise EndRequested
                case Kind.STREAM_FAILED if event.source in self.streams:
                    self._deferred.append(event)        # not a matter of this procedure
                    continue
                case Kind.STREAM_FAILED if event.source not in (self.proposed_streams or ()):
                    continue                            # it is on its way out anyway
                case Kind.STREAM_FAILED:
                    # The document names no fields, so an application's own streams may post none.
                    raise StreamFailed(event.source, getattr(event.data, 'reason', None) or 'unknown reason')
                case Kind.TIMER:
                    if event.source is deadline:
                        raise DeadlineExpired
                    continue
                case Kind.RUN:
                    self._deferred.append(event)
                    continue
                case Kind.CANCEL_PROPOSAL:
                    raise ProposalCancelled
            return event

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(self.scheduler, self._inbox, seconds)

    # What the public face adds

    def _learn_peer(self, data: Any) -> None:
        """Take from a message of the peer what it says of itself."""
        raise NotImplementedError

    def _idle(self, event: Event) -> None:
        """Handle an event while no procedure runs."""
        raise NotImplementedError

    def _handle_aside(self, event: Event) -> None:
        """Handle an event that does not wait for the running procedure."""
        raise NotImplementedError

    def _settle(self) -> None:
        """A procedure is over: start what was waiting for that."""
        raise NotImplementedError

    def _fail(self, error: Exception) -> None:
        """A procedure ended with an exception: end the session as it demands."""
        raise NotImplementedError
