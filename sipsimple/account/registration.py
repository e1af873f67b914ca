"""The registrar client of an account: registers, refreshes, retries, fails over, unregisters (RFC 3261 section 10).

One green procedure per active account does everything; what happens outside comes to it as inputs through a queue.
STATES says what it does with each input in each state; anything else is kept or ignored there.

    registering   routes are being tried
    registered    waits for the time to refresh
    waiting       the last attempt failed; waits for the retry time
    ended         stopped
"""

from __future__ import annotations

import random
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import (
    ContactHeader, FromHeader, Header, NoGRUU, PJSIPError, Registration, Route, RouteHeader, SIPCoreError, SIPURI)
from sipsimple.lookup import DNSLookup, DNSLookupError
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.threading.green import Event, Queue, QueueEmpty, spawn

if TYPE_CHECKING:
    from sipsimple.account.account import Account

__all__ = ['Registrar', 'State']

ATTEMPT_LIMIT = 30.0                    # seconds for all routes of one attempt
ROUTE_LIMITS = (1.0, 10.0)              # seconds for one route
UNREGISTER_LIMIT = 2.0
MAX_BACKOFF = 30.0


class State(StrEnum):
    REGISTERING = 'registering'
    REGISTERED = 'registered'
    WAITING = 'waiting'
    ENDED = 'ended'


class Input(Enum):
    REFRESH = 1                         # the core says the registration is about to expire
    EXPIRED = 2                         # it did
    RETRY = 3                           # the retry time is over
    REREGISTER = 4                      # settings or the network changed
    STOP = 5


# (state, input) -> the method that carries it out and the state during it
TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    # State: registered
    (State.REGISTERED, Input.REFRESH): ('_refresh', State.REGISTERING),
    (State.REGISTERED, Input.EXPIRED): ('_expired', State.WAITING),
    (State.REGISTERED, Input.REREGISTER): ('_reregister', State.REGISTERING),
    (State.REGISTERED, Input.STOP): ('_unregister', State.ENDED),
    # State: waiting
    (State.WAITING, Input.RETRY): ('_attempt', State.REGISTERING),
    (State.WAITING, Input.REREGISTER): ('_attempt', State.REGISTERING),
    (State.WAITING, Input.STOP): ('_unregister', State.ENDED),
}


class RegistrationError(Exception):
    """An attempt failed: what to report and when to try again (seconds)."""

    def __init__(self, error: str, retry_after: float, min_expires: int | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.retry_after = retry_after
        self.min_expires = min_expires


class Backoff:
    """A waiting time that doubles up to MAX_BACKOFF; random in [w, 2w]."""

    def __init__(self) -> None:
        self.wait = 1.0

    def next(self) -> float:
        wait, self.wait = self.wait, min(self.wait * 2, MAX_BACKOFF)
        return random.uniform(wait, 2 * wait)

    def reset(self) -> None:
        self.wait = 1.0


@implementer(IObserver)
class Registrar:
    """Keeps one account registered between start() and stop(). Thread: the SDK thread, reregister() any."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.state = State.ENDED
        self.registered = False
        self._inputs: Queue[Input] = Queue()
        self._answers: Queue[tuple[str, Any]] = Queue()
        self._ended: Event[None] | None = None
        self._registration: Registration | None = None
        self._min_expires: int | None = None
        self._retry_at: float | None = None
        self._dns_backoff = Backoff()
        self._route_backoff = Backoff()

    # ---- control -----------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        return self._ended is not None

    def start(self) -> None:
        """Begin to register; no-op when active."""
        if self._ended is None:
            self._ended = Event()
            self._inputs = Queue()
            NotificationCenter().add_observer(self, name='NetworkConditionsDidChange')
            spawn(self._run, self._inputs, self._ended)

    def stop(self) -> None:
        """Unregister and end; waits for it, for 2 s at most. Thread: a green thread."""
        ended, self._ended = self._ended, None
        if ended is not None:
            NotificationCenter().discard_observer(self, name='NetworkConditionsDidChange')
            self._inputs.put(Input.STOP)
            self._answers.put(('stop', None))
            ended.wait()

    def reregister(self) -> None:
        """Unregister and register anew, with the settings as they are now."""
        call_in_twisted_thread(self._inputs.put, Input.REREGISTER)

    # ---- the procedure -----------------------------------------------------------------------------------------

    def _run(self, inputs: Queue[Input], ended: Event[None]) -> None:
        try:
            self._move(State.REGISTERING)
            self._attempt()
            while self.state is not State.ENDED:
                action = TRANSITIONS.get((self.state, self._next_input(inputs)))
                if action is not None:
                    method, state = action
                    self._move(state)
                    getattr(self, method)()
        finally:
            self._move(State.ENDED)
            self._forget()
            ended.send()

    def _move(self, state: State) -> None:
        self.state = state

    def _next_input(self, inputs: Queue[Input]) -> Input:
        timeout = None
        if self.state is State.WAITING and self._retry_at is not None:
            timeout = max(0.0, self._retry_at - reactor.get_loop().time())
        try:
            return inputs.get(timeout)
        except QueueEmpty:
            return Input.RETRY

    def _attempt(self) -> None:
        """Register by the first route that does; leads to registered or waiting."""
        if self._registration is None:
            self._post('SIPAccountWillRegister')
        try:
            self._register()
        except RegistrationError as failure:
            if self._ended is None:     # interrupted by stop(): its input is next, and unregisters what there is
                self._retry_at = None
                self._move(State.WAITING)
                return
            self._min_expires = failure.min_expires
            self._retry_at = reactor.get_loop().time() + failure.retry_after
            self._forget()
            self._move(State.WAITING)
            self._post('SIPAccountRegistrationDidFail', error=failure.error, retry_after=float(failure.retry_after))
        else:
            self._dns_backoff.reset()
            self._route_backoff.reset()
            self._move(State.REGISTERED)

    def _refresh(self) -> None:
        self._post('SIPAccountRegistrationWillRefresh')
        self._attempt()

    def _expired(self) -> None:
        retry_after = random.uniform(60, 120)
        self._forget()
        self._retry_at = reactor.get_loop().time() + retry_after
        self._post('SIPAccountRegistrationDidFail', error='Registration expired', retry_after=retry_after)

    def _reregister(self) -> None:
        self._unregister()
        if self._ended is None:
            self._move(State.WAITING)
        else:
            self._attempt()

    # ---- one attempt -------------------------------------------------------------------------------------------

    def _find_routes(self) -> list[Route]:
        account, settings = self.account, SIPSimpleSettings()
        transports = list(settings.sip.transport_list)
        proxy = account.sip.outbound_proxy
        if proxy is not None and proxy.transport in transports:
            uri = SIPURI(host=proxy.host, port=proxy.port, parameters={'transport': proxy.transport})
        else:
            uri = SIPURI(host=account.id.domain)
        try:
            routes: list[Route] = DNSLookup().lookup_sip_proxy(uri, transports).wait()
        except DNSLookupError as error:
            raise RegistrationError(f'DNS lookup failed: {error}', self._dns_backoff.next()) from None
        return routes

    def _make_registration(self) -> Registration:
        account = self.account
        interval = account.sip.register_interval
        if self._min_expires is not None:
            interval = max(interval, self._min_expires)
        if self._registration is None:
            registration = Registration(
                FromHeader(SIPURI.new(account.uri), account.display_name), credentials=account.credentials, duration=interval,
                extra_headers=[Header('Supported', 'gruu')])
            NotificationCenter().add_observer(self, sender=registration)
            self._registration = registration
        self._registration.duration = interval
        self._registration.credentials = account.credentials
        return self._registration

    def _contact_header(self, route: Route) -> ContactHeader:
        header = ContactHeader(self.account.contact[NoGRUU, route])
        instance_id = SIPSimpleSettings().instance_id
        if instance_id:
            header.parameters['+sip.instance'] = f'"<{instance_id}>"'
        return header

    def _register(self) -> None:
        deadline = reactor.get_loop().time() + ATTEMPT_LIMIT
        routes = self._find_routes()
        try:
            registration = self._make_registration()
        except (SIPCoreError, ValueError, TypeError) as error:
            raise RegistrationError(f'Cannot create registration: {error}', 120) from None
        tried = False
        reason: tuple[int, str] | None = None
        for route in routes:
            left = deadline - reactor.get_loop().time()
            if left <= 0 or self._ended is None:
                break
            try:
                contact = self._contact_header(route)
            except KeyError:
                continue
            tried = True
            self._answers = Queue()
            try:
                registration.register(contact, RouteHeader(route.uri), timeout=min(max(left, ROUTE_LIMITS[0]), ROUTE_LIMITS[1]))
            except PJSIPError:
                raise RegistrationError('Internal error', 5) from None
            name, data = self._answers.get()
            if name == 'stop':
                break
            if name == 'SIPRegistrationDidSucceed':
                self._succeeded(data, route)
                return
            self._post_answer(data.code, data.reason, registration, route)
            reason = (data.code, data.reason)
            self._check_final(data)
        if not tried:
            raise RegistrationError('No IP address', 60)
        if reason is not None and deadline > reactor.get_loop().time():
            code, text = reason
            raise RegistrationError('Request timeout' if code == 408 else text, random.uniform(15, 40))
        raise RegistrationError('No more routes to try', self._route_backoff.next())

    @staticmethod
    def _check_final(data: Any) -> None:
        """Answers after which no other route is tried."""
        if data.code == 0:
            raise RegistrationError('Internal error', 5)
        if data.code in (401, 407):
            raise RegistrationError('Authentication failed', random.uniform(60, 120))
        if data.code == 423:
            raise RegistrationError('Interval too short', random.uniform(60, 120), getattr(data, 'min_expires', None))

    def _succeeded(self, data: Any, route: Route) -> None:
        self._min_expires = None
        self.registered = True
        self._learn_gruu(data.contact_header_list)
        self._post_answer(data.code, data.reason, self._registration, route)
        self._post('SIPAccountRegistrationDidSucceed', contact_header=data.contact_header,
                   contact_header_list=data.contact_header_list, expires=data.expires_in, registrar=route)

    def _learn_gruu(self, contacts: list[Any]) -> None:
        instance_id = SIPSimpleSettings().instance_id
        factory = self.account.contact
        factory.public_gruu = factory.temporary_gruu = None
        for contact in contacts:
            parameters = contact.parameters
            if instance_id and (parameters.get('+sip.instance') or '').strip('"<>') == instance_id:
                for name, attribute in (('pub-gruu', 'public_gruu'), ('temp-gruu', 'temporary_gruu')):
                    text = (parameters.get(name) or '').strip('"')
                    if text:
                        try:
                            setattr(factory, attribute, SIPURI.parse(text))
                        except SIPCoreError:
                            continue

    def _unregister(self) -> None:
        registration = self._registration
        if registration is not None and registration.is_registered:
            self._answers = Queue()
            registration.end(timeout=UNREGISTER_LIMIT)
            try:
                while True:
                    name, data = self._answers.get(UNREGISTER_LIMIT + 1)
                    if name == 'SIPRegistrationDidEnd':
                        self._post('SIPAccountRegistrationDidEnd', registration=registration)
                        break
                    if name == 'SIPRegistrationDidNotEnd':
                        self._post('SIPAccountRegistrationDidNotEnd', code=data.code, reason=data.reason, registration=registration)
                        break
            except QueueEmpty:
                self._post('SIPAccountRegistrationDidNotEnd', code=408, reason='Request Timeout', registration=registration)
        self._forget()

    def _forget(self) -> None:
        registration, self._registration = self._registration, None
        self.registered = False
        if registration is not None:
            NotificationCenter().discard_observer(self, sender=registration)
        self.account.contact.public_gruu = self.account.contact.temporary_gruu = None

    # ---- notifications -----------------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self.account, data=TimestampedNotificationData(**data))

    def _post_answer(self, code: int, reason: str, registration: Registration | None, route: Route) -> None:
        self._post('SIPAccountRegistrationGotAnswer', code=code, reason=reason, registration=registration, registrar=route)

    def handle_notification(self, notification: Any) -> None:
        call_in_twisted_thread(self._handle, notification)

    def _handle(self, notification: Any) -> None:
        name = notification.name
        if name == 'NetworkConditionsDidChange':
            self._inputs.put(Input.REREGISTER)
        elif notification.sender is not self._registration:
            return
        elif name == 'SIPRegistrationWillExpire':
            self._inputs.put(Input.REFRESH)
        elif name == 'SIPRegistrationDidEnd' and notification.data.expired:
            self._inputs.put(Input.EXPIRED)
        elif name in ('SIPRegistrationDidSucceed', 'SIPRegistrationDidFail', 'SIPRegistrationDidEnd', 'SIPRegistrationDidNotEnd'):
            self._answers.put((name, notification.data))
