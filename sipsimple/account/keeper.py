"""What an account has a server keep for it, a subscription or a published state: found, asked for over the first route that works, made anew when lost.

TRANSITIONS says what can happen in which state; anything else is ignored there.

    looking_up    the routes to the server are looked up
    asking        requests are sent, one route after the other
    kept          the server has agreed; it is refreshed in time
    waiting       it failed, or was lost; waits for the time of the next try
    given_up      the server does not want it: only renew() tries again, and some do after a long time
    ended         stopped
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Any, ClassVar, NamedTuple

from zope.interface import implementer

from sipsimple.account.backoff import Backoff
from sipsimple.account.routes import OwnHeaders, find_routes, own_headers, remote_end
from sipsimple.core import Route, SIPCoreError, SIPURI
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.threading.green import call_in_green_thread
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['Failure', 'Keeper', 'KeeperInput', 'KeeperState', 'TRANSITIONS']

log = logging.getLogger('sipsimple.account')

ATTEMPT_LIMIT = 30.0                    # seconds in which routes are tried
STABLE = 60.0                           # seconds after which what is lost is made anew at once
MAX_RETRY_AFTER = 3600                  # seconds that a server may ask for


class KeeperState(StrEnum):
    """What a Keeper does; None before start()."""

    LOOKING_UP = 'looking_up'
    ASKING = 'asking'
    KEPT = 'kept'
    WAITING = 'waiting'
    GIVEN_UP = 'given_up'
    ENDED = 'ended'


class KeeperInput(Enum):
    """What makes it do something else."""

    START = 'start()'
    ROUTES = 'routes found'
    NEXT_ROUTE = 'no success over a route'
    ACCEPTED = 'the server agrees'
    LATER = 'failed, or lost'
    REFUSED = 'the server does not want it'
    RETRY = 'time for the next try'
    RENEW = 'renew(), or the network changed'
    STOP = 'stop()'


_S = KeeperState
_I = KeeperInput

TRANSITIONS: dict[tuple[KeeperState | None, KeeperInput], KeeperState] = {
    # State: None
    (None, _I.START): _S.LOOKING_UP,
    (None, _I.STOP): _S.ENDED,
    # State: looking_up
    (_S.LOOKING_UP, _I.ROUTES): _S.ASKING,
    (_S.LOOKING_UP, _I.LATER): _S.WAITING,
    (_S.LOOKING_UP, _I.RENEW): _S.LOOKING_UP,
    (_S.LOOKING_UP, _I.STOP): _S.ENDED,
    # State: asking
    (_S.ASKING, _I.NEXT_ROUTE): _S.ASKING,
    (_S.ASKING, _I.ACCEPTED): _S.KEPT,
    (_S.ASKING, _I.LATER): _S.WAITING,
    (_S.ASKING, _I.REFUSED): _S.GIVEN_UP,
    (_S.ASKING, _I.RENEW): _S.LOOKING_UP,
    (_S.ASKING, _I.STOP): _S.ENDED,
    # State: kept
    (_S.KEPT, _I.LATER): _S.WAITING,
    (_S.KEPT, _I.REFUSED): _S.GIVEN_UP,
    (_S.KEPT, _I.RENEW): _S.LOOKING_UP,
    (_S.KEPT, _I.STOP): _S.ENDED,
    # State: waiting
    (_S.WAITING, _I.RETRY): _S.LOOKING_UP,
    (_S.WAITING, _I.RENEW): _S.LOOKING_UP,
    (_S.WAITING, _I.STOP): _S.ENDED,
    # State: given_up
    (_S.GIVEN_UP, _I.RETRY): _S.LOOKING_UP,
    (_S.GIVEN_UP, _I.RENEW): _S.LOOKING_UP,
    (_S.GIVEN_UP, _I.STOP): _S.ENDED,
}


class Failure(NamedTuple):
    """Why an attempt came to nothing: a key of the times to wait, the code of the answer or 0, and what to tell."""

    kind: str
    code: int
    reason: str


NO_ADDRESS = Failure('no address', 0, 'No IP address')


def nobody(what: str, **data: Any) -> None:
    """Tell nobody."""


@implementer(IObserver)
class Keeper:
    """Has something kept between start() and stop(). Thread: the SDK thread.

    Args:
        account: whose it is.
        event: name of the event package.
        target: URI of the resource.
        interval: seconds that are asked for.
        transports: returns the names of the transports that may be used, in order of preference.
        scheduler: the SDK thread.
        tell: called with the name of what happens, and fields of that: 'failed' with `code`, `reason` and `retry_after`, the seconds to the next try or None;
            the rest is up to the class.
        refusal_wait: seconds, least and most, until a server that does not want it is asked again; None: it is not.
    """

    ROUTE_LIMIT: ClassVar[float]                        # seconds for an answer
    BACKOFFS: ClassVar[Mapping[str, tuple[float, float]]]       # what failed -> the least and the most time to wait, if it grows
    REFUSALS: ClassVar[frozenset[int]]                  # answers after which no try is of use; those from 600 on are as final
    OBSERVED = ('NetworkConditionsDidChange', 'SIPEngineTransportDidDisconnect')

    def __init__(self, account: Any, event: str, target: SIPURI, interval: int, transports: Callable[[], list[str]], scheduler: Scheduler = reactor_scheduler,
                 tell: Callable[..., object] = nobody, refusal_wait: tuple[float, float] | None = None) -> None:
        self.account = account
        self.event = event
        self.target = target
        self._interval = max(1, interval)
        self._transports = transports
        self._scheduler = scheduler
        self._tell = tell
        self._refusal_wait = refusal_wait
        self._machine: StateMachine[KeeperState | None, KeeperInput] = StateMachine(TRANSITIONS, None)
        self._lookup = 0                            # the number of the present one: what comes of those before does not count
        self._routes: deque[Route] = deque()        # not tried yet
        self._route: Route | None = None            # the present one
        self._timer: Timer | None = None            # of the state
        self._backoffs = {name: Backoff(*times) for name, times in self.BACKOFFS.items()}
        self._stable = True                         # the next loss is the first one for long

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.account.id} to {self.event} at {self.target}: {self.state or "unused"}>'

    @property
    def state(self) -> KeeperState | None:
        """What it does; None before start()."""
        return self._machine.state

    # ---- what the classes do -----------------------------------------------------------------------------------

    def _times(self) -> Mapping[str, tuple[float, float]]:
        """What failed -> between how many and how many seconds later comes the next try."""
        raise NotImplementedError

    def _send(self, headers: OwnHeaders) -> None:
        """Send the first request over a route. SIPCoreError, ValueError, TypeError: it cannot be sent."""
        raise NotImplementedError

    def _forget(self) -> None:
        """What was asked for or kept is none of ours any more; nothing is said to the server."""
        raise NotImplementedError

    def _leave(self, done: Callable[[], object] | None = None) -> None:
        """Have the server keep it no longer; it may be kept nowhere."""
        raise NotImplementedError

    def _heed(self, name: str, data: Any) -> None:
        """News of what is asked for or kept."""
        raise NotImplementedError

    def _is_ours(self, sender: Any) -> bool:
        """Whether a notification is about what is asked for or kept."""
        raise NotImplementedError

    # ---- control -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for it, and see to it that it is kept; once."""
        if self._go(KeeperInput.START):
            for name in self.OBSERVED:
                NotificationCenter().add_observer(self, name=name)
            self._look_up()

    def renew(self) -> None:
        """Ask anew, with what is true of account and network now."""
        if self._go(KeeperInput.RENEW):
            self._before_renewal()
            for backoff in self._backoffs.values():
                backoff.reset()
            self._stable = True
            self._look_up()

    def stop(self, done: Callable[[], object] | None = None) -> None:
        """Have it ended, and do nothing any more. `done` is called when the server has agreed, or has not within some seconds."""
        if self._go(KeeperInput.STOP):
            for name in self.OBSERVED:
                NotificationCenter().discard_observer(self, name=name)
            self._lookup += 1
            self._leave(done)
        elif done is not None:
            done()

    def _before_renewal(self) -> None:
        """What is kept comes to its end before it is asked for anew."""
        self._leave()

    # ---- states ------------------------------------------------------------------------------------------------

    def _go(self, what: KeeperInput) -> bool:
        """Move, if that is possible in the present state; what a state waits for is called off when it is left."""
        before = self.state
        try:
            self._machine.fire(what)
        except InvalidTransition:
            return False
        if self.state is not before and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True

    def _look_up(self) -> None:
        self._lookup += 1
        call_in_green_thread(self._find, self._lookup)

    def _find(self, lookup: int) -> None:
        """In a green thread of its own."""
        routes: list[Route] = []
        problem = 'no routes'
        try:
            routes = find_routes(self.account, self.target, self._transports())
        except DNSLookupError as error:
            problem = str(error)
        except Exception as error:
            log.exception('%r: the lookup failed', self)
            problem = str(error)
        self._scheduler.call(self._found, lookup, routes, problem)

    def _found(self, lookup: int, routes: list[Route], problem: str) -> None:
        if lookup != self._lookup:
            return
        if not routes:
            self._later(Failure('dns', 0, f'DNS lookup failed: {problem}'))
        elif self._go(KeeperInput.ROUTES):
            if 'dns' in self._backoffs:
                self._backoffs['dns'].reset()
            self._routes = deque(routes)
            self._timer = self._scheduler.call_later(ATTEMPT_LIMIT, self._routes.clear)
            self._try_next(NO_ADDRESS)

    def _try_next(self, failure: Failure) -> None:
        """Ask over the next route; after the last one, wait as that failure wants it."""
        while self._routes:
            self._route = self._routes.popleft()
            if self._try(self._route):
                return
        self._later(failure)

    def _try(self, route: Route) -> bool:
        """Ask over a route; False: there is no address of ours on it."""
        try:
            headers = own_headers(self.account, route)
        except KeyError:
            return False
        try:
            self._send(headers)
        except (SIPCoreError, ValueError, TypeError) as error:
            log.warning('%r: %s', self, error)
            self._forget()
            self._later(Failure('not sent', 0, f'Internal error: {error}'))
        return True

    def _accepted(self) -> None:
        """The server agrees."""
        if self._go(KeeperInput.ACCEPTED):
            for name, backoff in self._backoffs.items():
                if name != 'lost':
                    backoff.reset()
            self._timer = self._scheduler.call_later(STABLE, self._is_stable)

    def _is_stable(self) -> None:
        self._timer = None
        self._stable = True

    def _later(self, failure: Failure, at_least: float = 0) -> None:
        """Wait as long as that failure wants it, and then try again."""
        backoff = self._backoffs.get(failure.kind)
        self._wait(failure, max(at_least, random.uniform(*self._times()[failure.kind]) if backoff is None else backoff.next()))

    def _lost(self, failure: Failure) -> None:
        """Make it anew at once, or a little later when it was lost before."""
        stable, self._stable = self._stable, False
        if stable:
            self._backoffs['lost'].reset()
        self._wait(failure, 0 if stable else self._backoffs['lost'].next())

    def _wait(self, failure: Failure, seconds: float) -> None:
        if self._go(KeeperInput.LATER):
            log.info('%r: %d %s; next try in %.1f s', self, failure.code, failure.reason, seconds)
            self._timer = self._scheduler.call_later(seconds, self._retry)
            self._tell_failure(failure, seconds)

    def _refuse(self, failure: Failure) -> None:
        """The server does not want it."""
        if self._go(KeeperInput.REFUSED):
            wait = None if self._refusal_wait is None else random.uniform(*self._refusal_wait)
            log.warning('%r: %d %s; next try %s', self, failure.code, failure.reason, 'when asked to' if wait is None else f'in {wait:.0f} s')
            if wait is not None:
                self._timer = self._scheduler.call_later(wait, self._retry)
            self._tell_failure(failure, wait)

    def _tell_failure(self, failure: Failure, seconds: float | None) -> None:
        self._tell('failed', code=failure.code, reason=failure.reason, retry_after=seconds)

    def _retry(self) -> None:
        if self._go(KeeperInput.RETRY):
            self._look_up()

    # ---- failures ----------------------------------------------------------------------------------------------

    def _failed(self, code: int, reason: str, min_expires: int = 0, retry_after: float = 0) -> None:
        """A request was answered with this; 0: it was not sent."""
        failure = Failure('routes', code, reason)
        retry_after = min(retry_after, MAX_RETRY_AFTER)
        if code in self.REFUSALS or 600 <= code < 700:
            self._refuse(failure)
        elif code in (401, 407):
            self._later(Failure('authentication', code, reason))
        elif code == 423:
            self._lengthen(min_expires)
        elif code == 1400:
            self._later(Failure('unusable answer', code, reason))
        elif retry_after and (self.state is KeeperState.KEPT or not self._routes):
            self._later(failure, retry_after)
        elif self.state is KeeperState.KEPT:
            self._lost(failure)
        elif self._go(KeeperInput.NEXT_ROUTE):
            self._try_next(failure)

    def _lengthen(self, min_expires: int) -> None:
        """The server wants to be bothered less often: RFC 6665 section 4.2.1.1, RFC 3903 section 4.2."""
        failure = Failure('too short', 423, 'Interval Too Brief')
        if min_expires <= self._interval:
            self._later(failure)
            return
        self._interval = min_expires
        if self._route is not None and self._go(KeeperInput.NEXT_ROUTE):
            if not self._try(self._route):
                self._later(NO_ADDRESS)
        elif self.state is KeeperState.KEPT:
            self._lost(failure)

    # ---- news --------------------------------------------------------------------------------------------------

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._handle, notification.name, notification.sender, notification.data)

    def _handle(self, name: str, sender: Any, data: Any) -> None:
        if name == 'NetworkConditionsDidChange':
            self.renew()
        elif name == 'SIPEngineTransportDidDisconnect':
            route = self._route
            if self.state is KeeperState.KEPT and route is not None and (data.transport, data.remote_address) == (route.transport, remote_end(route)):
                self._disconnected()
        elif self._is_ours(sender):
            self._heed(name, data)

    def _disconnected(self) -> None:
        """The connection is gone, and perhaps the server with it; what it knows of us does not reach us any more."""
        self._forget()
        self._lost(Failure('lost', 0, 'Connection lost'))
