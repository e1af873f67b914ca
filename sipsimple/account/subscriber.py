"""A subscription that is kept alive: found, made over the first route that works, refreshed, made anew when it is lost (RFC 6665).

TRANSITIONS says what can happen in which state; anything else is ignored there.

    looking_up    the routes to the resource are looked up
    subscribing   SUBSCRIBE requests are sent, one route after the other
    subscribed    the notifier has agreed; the core refreshes the subscription
    waiting       it failed, or was ended by the notifier; waits for the time of the next try
    given_up      the notifier does not want us, or has nothing to tell: only renew() tries again
    ended         stopped
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any

from zope.interface import implementer

from sipsimple.account.leaving import leave
from sipsimple.account.registration import Backoff
from sipsimple.account.routes import find_routes, own_headers
from sipsimple.core import Route, SIPCoreError, SIPURI, Subscription, ToHeader
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.threading.green import call_in_green_thread
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['Subscriber', 'SubscriberInput', 'SubscriberState', 'TRANSITIONS']

log = logging.getLogger('sipsimple.account')

ATTEMPT_LIMIT = 30.0                    # seconds in which routes are tried
ROUTE_LIMIT = 5.0                       # seconds for an answer
# What failed -> between how many and how many seconds later comes the next try; random, as the subscribers of a server all lose it at once.
RETRY_AFTER = {
    'no address': (60.0, 60.0),
    'dns': (15.0, 30.0),
    'not sent': (5.0, 5.0),
    'authentication': (60.0, 120.0),
    'too short': (60.0, 120.0),
    'unusable answer': (3600.0, 3600.0),
    'routes': (60.0, 180.0),
    'later': (60.0, 180.0),             # the notifier wants us to come back, and does not say when
}
BACKOFF = (1.0, 60.0)                   # seconds, first and last, before a lost subscription is made anew, unless it had lasted for STABLE
STABLE = 60.0
MAX_RETRY_AFTER = 3600                  # seconds that a notifier may ask for
# Answers after which no try is of use: RFC 6665 sections 3.1.3.1 and 4.2.1.1, RFC 3261 section 21.4.4. Those from 600 on are as final.
REFUSALS = frozenset((403, 405, 406, 489, 501))
# Reasons of Subscription-State (RFC 6665 section 4.1.3) after which there is no subscription to be had, and those that ask to wait. After all others it
# is made anew at once.
FINAL_REASONS = frozenset(('rejected', 'noresource', 'invariant'))
LATER_REASONS = frozenset(('probation', 'giveup'))


class SubscriberState(StrEnum):
    """What a Subscriber does; None before start()."""

    LOOKING_UP = 'looking_up'
    SUBSCRIBING = 'subscribing'
    SUBSCRIBED = 'subscribed'
    WAITING = 'waiting'
    GIVEN_UP = 'given_up'
    ENDED = 'ended'


class SubscriberInput(Enum):
    """What makes it do something else."""

    START = 'start()'
    ROUTES = 'routes found'
    NEXT_ROUTE = 'no success over a route'
    ACCEPTED = 'the notifier agrees'
    LATER = 'failed, or lost'
    REFUSED = 'the notifier does not want us'
    RETRY = 'time for the next try'
    RENEW = 'renew(), or the network changed'
    STOP = 'stop()'


_S = SubscriberState
_I = SubscriberInput

TRANSITIONS: dict[tuple[SubscriberState | None, SubscriberInput], SubscriberState] = {
    # State: None
    (None, _I.START): _S.LOOKING_UP,
    (None, _I.STOP): _S.ENDED,
    # State: looking_up
    (_S.LOOKING_UP, _I.ROUTES): _S.SUBSCRIBING,
    (_S.LOOKING_UP, _I.LATER): _S.WAITING,
    (_S.LOOKING_UP, _I.RENEW): _S.LOOKING_UP,
    (_S.LOOKING_UP, _I.STOP): _S.ENDED,
    # State: subscribing
    (_S.SUBSCRIBING, _I.NEXT_ROUTE): _S.SUBSCRIBING,
    (_S.SUBSCRIBING, _I.ACCEPTED): _S.SUBSCRIBED,
    (_S.SUBSCRIBING, _I.LATER): _S.WAITING,
    (_S.SUBSCRIBING, _I.REFUSED): _S.GIVEN_UP,
    (_S.SUBSCRIBING, _I.RENEW): _S.LOOKING_UP,
    (_S.SUBSCRIBING, _I.STOP): _S.ENDED,
    # State: subscribed
    (_S.SUBSCRIBED, _I.LATER): _S.WAITING,
    (_S.SUBSCRIBED, _I.REFUSED): _S.GIVEN_UP,
    (_S.SUBSCRIBED, _I.RENEW): _S.LOOKING_UP,
    (_S.SUBSCRIBED, _I.STOP): _S.ENDED,
    # State: waiting
    (_S.WAITING, _I.RETRY): _S.LOOKING_UP,
    (_S.WAITING, _I.RENEW): _S.LOOKING_UP,
    (_S.WAITING, _I.STOP): _S.ENDED,
    # State: given_up
    (_S.GIVEN_UP, _I.RENEW): _S.LOOKING_UP,
    (_S.GIVEN_UP, _I.STOP): _S.ENDED,
}

OBSERVED = 'NetworkConditionsDidChange'


@implementer(IObserver)
class Subscriber:
    """Keeps an account subscribed to an event package at one resource, between start() and stop(). Thread: the SDK thread.

    Args:
        account: who subscribes.
        event: name of the package.
        target: URI of the resource.
        interval: seconds that are asked for.
        transports: returns the names of the transports that may be used, in order of preference.
        heard: called with the data of each NOTIFY, in the SDK thread.
        scheduler: the SDK thread.
    """

    def __init__(self, account: Any, event: str, target: SIPURI, interval: int, transports: Callable[[], list[str]], heard: Callable[[Any], object],
                 scheduler: Scheduler = reactor_scheduler) -> None:
        self.account = account
        self.event = event
        self.target = target
        self._interval = max(1, interval)
        self._transports = transports
        self._heard = heard
        self._scheduler = scheduler
        self._machine: StateMachine[SubscriberState | None, SubscriberInput] = StateMachine(TRANSITIONS, None)
        self._lookup = 0                            # the number of the present one: what comes of those before does not count
        self._routes: deque[Route] = deque()        # not tried yet
        self._route: Route | None = None            # the present one
        self._subscription: Subscription | None = None
        self._last_word: Any = None                 # Subscription-State of its last NOTIFY
        self._timer: Timer | None = None            # of the state
        self._backoff = Backoff(*BACKOFF)
        self._stable = True                         # the next loss is the first one for long

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.account.id} to {self.event} at {self.target}: {self.state or "unused"}>'

    @property
    def state(self) -> SubscriberState | None:
        """What it does; None before start()."""
        return self._machine.state

    # ---- control -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Subscribe, and see to it that it stays so; once."""
        if self._go(SubscriberInput.START):
            NotificationCenter().add_observer(self, name=OBSERVED)
            self._look_up()

    def renew(self) -> None:
        """Subscribe anew, with what is true of account and network now."""
        if self._go(SubscriberInput.RENEW):
            self._leave()
            self._backoff.reset()
            self._stable = True
            self._look_up()

    def refresh(self) -> None:
        """Ask for the whole state: the notifier sends it after each SUBSCRIBE (RFC 6665 section 4.2.1.2). No-op when not subscribed."""
        if self.state is SubscriberState.SUBSCRIBED and self._subscription is not None:
            try:
                self._subscription.subscribe(timeout=ROUTE_LIMIT)
            except SIPCoreError as error:
                log.debug('%r cannot be refreshed: %s', self, error)        # its end is on the way

    def stop(self, done: Callable[[], object] | None = None) -> None:
        """Unsubscribe, and do nothing any more. `done` is called when the notifier has agreed, or has not within some seconds."""
        if self._go(SubscriberInput.STOP):
            NotificationCenter().discard_observer(self, name=OBSERVED)
            self._lookup += 1
            self._leave(done)
        elif done is not None:
            done()

    # ---- states ------------------------------------------------------------------------------------------------

    def _go(self, what: SubscriberInput) -> bool:
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
        try:
            routes = find_routes(self.account, self.target, self._transports())
        except DNSLookupError as error:
            log.info('%r: %s', self, error)
        except Exception:
            log.exception('%r: the lookup failed', self)
        self._scheduler.call(self._found, lookup, routes)

    def _found(self, lookup: int, routes: list[Route]) -> None:
        if lookup != self._lookup:
            return
        if not routes:
            self._later('dns')
        elif self._go(SubscriberInput.ROUTES):
            self._routes = deque(routes)
            self._timer = self._scheduler.call_later(ATTEMPT_LIMIT, self._routes.clear)
            self._try_next('no address')

    def _try_next(self, failure: str) -> None:
        """Subscribe over the next route; after the last one, wait as that failure wants it."""
        while self._routes:
            self._route = self._routes.popleft()
            if self._try(self._route):
                return
        self._later(failure)

    def _try(self, route: Route) -> bool:
        """Send a SUBSCRIBE; False: there is no address of ours on that route."""
        try:
            headers = own_headers(self.account, route)
        except KeyError:
            return False
        try:
            subscription = Subscription(self.target, headers.sender, ToHeader(self.target), headers.contact, self.event, headers.route,
                                        self.account.credentials, self._interval)
            self._subscription, self._last_word = subscription, None
            NotificationCenter().add_observer(self, sender=subscription)
            subscription.subscribe(timeout=ROUTE_LIMIT)
        except (SIPCoreError, ValueError, TypeError) as error:
            log.warning('%r: %s', self, error)
            self._forget()
            self._later('not sent')
        return True

    def _later(self, failure: str, at_least: float = 0) -> None:
        self._wait(max(at_least, random.uniform(*RETRY_AFTER[failure])))

    def _wait(self, seconds: float) -> None:
        if self._go(SubscriberInput.LATER):
            self._timer = self._scheduler.call_later(seconds, self._retry)

    def _retry(self) -> None:
        if self._go(SubscriberInput.RETRY):
            self._look_up()

    def _is_stable(self) -> None:
        self._timer = None
        self._stable = True

    def _forget(self) -> None:
        """The subscription is over, or never was."""
        if self._subscription is not None:
            NotificationCenter().discard_observer(self, sender=self._subscription)
            self._subscription = None

    def _leave(self, done: Callable[[], object] | None = None) -> None:
        """End the subscription, if there is one; nothing of what it still tells matters."""
        subscription = self._subscription
        self._forget()
        if subscription is not None:
            leave(subscription, self._scheduler, done)
        elif done is not None:
            done()

    # ---- news of the core --------------------------------------------------------------------------------------

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._handle, notification.name, notification.sender, notification.data)

    def _handle(self, name: str, sender: Any, data: Any) -> None:
        if name == OBSERVED:
            self.renew()
        elif sender is not self._subscription:
            return
        elif name == 'SIPSubscriptionDidStart':
            if self._go(SubscriberInput.ACCEPTED):
                self._timer = self._scheduler.call_later(STABLE, self._is_stable)
        elif name == 'SIPSubscriptionGotNotify':
            self._last_word = data.headers.get('Subscription-State')
            self._heard(data)
        elif name == 'SIPSubscriptionDidFail':
            self._forget()
            self._failed(data)
        elif name == 'SIPSubscriptionDidEnd':
            self._forget()
            self._ended_by_peer()

    def _failed(self, data: Any) -> None:
        log.info('%r: %d %s', self, data.code, data.reason)
        if data.code in REFUSALS or data.code >= 600 and data.code < 700:
            self._go(SubscriberInput.REFUSED)
        elif data.code in (401, 407):
            self._later('authentication')
        elif data.code == 423:
            self._lengthen(data.min_expires or 0)
        elif data.code == 1400:
            self._later('unusable answer')
        elif self.state is SubscriberState.SUBSCRIBED:
            self._lost()                            # a refresh failed: RFC 6665 section 4.1.2.2
        elif self._go(SubscriberInput.NEXT_ROUTE):
            self._try_next('routes')

    def _lengthen(self, min_expires: int) -> None:
        """The notifier wants to be bothered less often: RFC 6665 section 4.2.1.1."""
        if min_expires <= self._interval:
            self._later('too short')
            return
        self._interval = min_expires
        if self._route is not None and self._go(SubscriberInput.NEXT_ROUTE) and not self._try(self._route):
            self._later('no address')
        elif self.state is SubscriberState.SUBSCRIBED:
            self._lost()

    def _ended_by_peer(self) -> None:
        last = self._last_word
        reason = (last.reason or '').lower() if last is not None else ''
        log.info('%r: ended by the notifier, reason %r', self, reason)
        if reason in FINAL_REASONS:
            self._go(SubscriberInput.REFUSED)
        elif last is not None and last.retry_after is not None and reason not in ('deactivated', 'timeout'):
            self._later('not sent', min(last.retry_after, MAX_RETRY_AFTER))
        elif reason in LATER_REASONS:
            self._later('later')
        else:
            self._lost()

    def _lost(self) -> None:
        """Subscribe anew at once, or a little later when it was lost before."""
        stable, self._stable = self._stable, False
        if stable:
            self._backoff.reset()
        self._wait(0 if stable else self._backoff.next())
