"""One request to a focus to invite somebody to its conference, or to throw somebody out: a REFER outside of the call, RFC 4579 sections 5.5 and 5.11.

The Refer-To says the method twice: as a parameter of the URI, which is RFC 3515, and as a parameter of the header field, where other implementations
of this API look for it. A focus ignores the one that it does not know.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any, Protocol

from zope.interface import implementer

from sipsimple.account.leaving import leave
from sipsimple.account.routes import own_headers
from sipsimple.core import Referral, ReferToHeader, Route, SIPCoreError, SIPURI, ToHeader
from sipsimple.core.messages import parse_sipfrag
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.session.inputs import Scheduler, Timer
from sipsimple.session.routing import find_routes
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.threading.green import call_in_green_thread

__all__ = ['Listener', 'PARTICIPANT_TRANSITIONS', 'ParticipantInput', 'ParticipantRequest', 'ParticipantState']

log = logging.getLogger('sipsimple.session')

ATTEMPT_LIMIT = 30.0                    # seconds in which routes are tried
ROUTE_LIMIT = 5.0                       # seconds for an answer, if there is another route
REFUSALS = frozenset((403, 405))        # answers after which no other route is tried


class ParticipantState(StrEnum):
    """How far a request is; None before it is made."""

    LOOKING_UP = 'looking_up'
    ASKING = 'asking'
    ACCEPTED = 'accepted'
    DONE = 'done'
    FAILED = 'failed'


class ParticipantInput(Enum):
    """What can happen to a request."""

    START = 'add_participant() or remove_participant()'
    ROUTES = 'routes found'
    NEXT_ROUTE = 'no success over a route'
    ACCEPTED = 'the focus accepts the REFER'
    SUCCESS = 'the focus tells of a 2xx'
    FAILURE = 'refused, failed, no way to the focus, or the session is over'


_S = ParticipantState
_I = ParticipantInput

PARTICIPANT_TRANSITIONS: dict[tuple[ParticipantState | None, ParticipantInput], ParticipantState] = {
    # State: None
    (None, _I.START): _S.LOOKING_UP,
    (None, _I.FAILURE): _S.FAILED,
    # State: looking_up
    (_S.LOOKING_UP, _I.ROUTES): _S.ASKING,
    (_S.LOOKING_UP, _I.FAILURE): _S.FAILED,
    # State: asking. The NOTIFY may be faster than the answer to the REFER.
    (_S.ASKING, _I.NEXT_ROUTE): _S.ASKING,
    (_S.ASKING, _I.ACCEPTED): _S.ACCEPTED,
    (_S.ASKING, _I.SUCCESS): _S.DONE,
    (_S.ASKING, _I.FAILURE): _S.FAILED,
    # State: accepted
    (_S.ACCEPTED, _I.SUCCESS): _S.DONE,
    (_S.ACCEPTED, _I.FAILURE): _S.FAILED,
}


class Listener(Protocol):
    """Who is told of a request. Thread: the reactor thread."""

    def progress(self, request: ParticipantRequest, code: int, reason: str) -> None:
        """The focus tells how it goes."""

    def succeeded(self, request: ParticipantRequest) -> None:
        """It is done."""

    def failed(self, request: ParticipantRequest, code: int, reason: str) -> None:
        """It came to nothing; code 0 when no answer says why."""


@implementer(IObserver)
class ParticipantRequest:
    """A request that is made. Thread: the reactor thread.

    Args:
        account: who asks.
        focus: URI of the conference.
        participant: who is to be invited or thrown out.
        method: 'INVITE' or 'BYE'.
    """

    def __init__(self, account: Any, focus: SIPURI, participant: SIPURI, method: str, listener: Listener, scheduler: Scheduler) -> None:
        self.participant = participant
        self.method = method
        self._account = account
        self._focus = focus
        self._listener = listener
        self._scheduler = scheduler
        self._machine: StateMachine[ParticipantState | None, ParticipantInput] = StateMachine(PARTICIPANT_TRANSITIONS, None)
        self._routes: deque[Route] = deque()        # not tried yet
        self._timer: Timer | None = None
        self._referral: Referral | None = None

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.method} {self.participant}: {self.state or "unused"}>'

    @property
    def state(self) -> ParticipantState | None:
        """How far it is."""
        return self._machine.state

    def start(self) -> None:
        """Begin; the listener is told of the end, once."""
        if self._go(ParticipantInput.START):
            call_in_green_thread(self._find)

    def fail(self, code: int, reason: str) -> None:
        """It comes to nothing. No-op when it is over."""
        if self._go(ParticipantInput.FAILURE):
            self._let_go()
            self._listener.failed(self, code, reason)

    def _go(self, what: ParticipantInput) -> bool:
        """Move, if that is possible in the present state."""
        try:
            self._machine.fire(what)
        except InvalidTransition:
            return False
        return True

    # ---- the way to the focus ----------------------------------------------------------------------------------

    def _find(self) -> None:
        """In a green thread of its own."""
        then: Callable[..., object] = self._found
        arguments: tuple[Any, ...]
        try:
            arguments = (find_routes(self._account, self._focus),)
        except DNSLookupError as error:
            then, arguments = self.fail, (0, f'DNS lookup failed: {error}')
        except Exception as error:
            log.exception('%r failed', self)
            then, arguments = self.fail, (0, f'internal error: {error}')
        self._scheduler.call(then, *arguments)

    def _found(self, routes: list[Route]) -> None:
        if self._go(ParticipantInput.ROUTES):
            self._routes = deque(routes)
            self._timer = self._scheduler.call_later(ATTEMPT_LIMIT, self._routes.clear)
            self._try_next(0, 'no local address to reach the focus from' if routes else 'no route to the focus')

    def _try_next(self, code: int, reason: str) -> None:
        """Ask over the next route; after the last one it has failed as given."""
        while self._routes:
            route = self._routes.popleft()
            try:
                headers = own_headers(self._account, route)
            except KeyError:
                continue
            refer_to = SIPURI.new(self.participant)
            if self.method != 'INVITE':             # which is what a URI without the parameter asks for
                refer_to.parameters['method'] = self.method
            try:
                referral = Referral(self._focus, headers.sender, ToHeader(self._focus), ReferToHeader(str(refer_to), {'method': self.method}),
                                    headers.contact, headers.route, self._account.credentials)
                self._referral = referral
                NotificationCenter().add_observer(self, sender=referral)
                referral.send_refer(timeout=ROUTE_LIMIT if self._routes else ATTEMPT_LIMIT)
            except (SIPCoreError, ValueError, TypeError) as error:
                self._forget()
                self.fail(0, f'SIP core error: {error}')
            return
        self.fail(code, reason)

    # ---- news of the core --------------------------------------------------------------------------------------

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._handle, notification.name, notification.sender, notification.data)

    def _handle(self, name: str, sender: Any, data: Any) -> None:
        if sender is not self._referral:
            return
        if name == 'SIPReferralDidStart':
            self._go(ParticipantInput.ACCEPTED)
        elif name == 'SIPReferralGotNotify':
            self._told(data.body)
        elif name == 'SIPReferralDidEnd':
            self._succeed()                         # without a word, if the focus has told us that there will be none
        elif name == 'SIPReferralDidFail':
            self._forget()
            self._refused(data.code, data.reason)

    def _told(self, body: bytes | None) -> None:
        status = parse_sipfrag(body)
        if status is None or self.state not in (ParticipantState.ASKING, ParticipantState.ACCEPTED):
            return
        code, reason = status
        if code <= 200:
            self._listener.progress(self, code, reason)
        if code >= 300:
            self.fail(code, reason)
        elif code >= 200:
            self._succeed()

    def _succeed(self) -> None:
        if self._go(ParticipantInput.SUCCESS):
            self._let_go()
            self._listener.succeeded(self)

    def _refused(self, code: int, reason: str) -> None:
        if self.state is ParticipantState.ASKING and code not in REFUSALS and self._routes:
            self._go(ParticipantInput.NEXT_ROUTE)
            self._try_next(code, reason)
        elif self.state is ParticipantState.ACCEPTED and code < 300:
            self.fail(0, 'the focus did not tell the outcome')
        else:
            self.fail(code, reason)

    def _forget(self) -> Referral | None:
        referral, self._referral = self._referral, None
        if referral is not None:
            NotificationCenter().discard_observer(self, sender=referral)
        return referral

    def _let_go(self) -> None:
        """What the focus still tells does not matter."""
        if self._timer is not None:
            self._timer.cancel()
        self._routes.clear()
        referral = self._forget()
        if referral is not None and referral.state != 'TERMINATED':
            leave(referral, self._scheduler)
