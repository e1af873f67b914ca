"""The registrar client of an account: registers, refreshes, retries, fails over, unregisters (RFC 3261 section 10), with one flow (RFC 5626).

One green procedure per active account does everything; what happens outside comes to it as inputs through a queue.
TRANSITIONS says what it does with each input in each state; anything else is ignored there.

    registering   routes are being tried
    registered    waits for the time to refresh
    waiting       the last attempt failed; waits for the retry time
    ended         stopped

An attempt looks at one input only: STOP and REREGISTER interrupt it. What the registrar may have stored by then is waited for, a short time, so
that it can be removed in order.
"""

from __future__ import annotations

import ipaddress
import logging
import random
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.account.backoff import Backoff
from sipsimple.account.routes import remote_end
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import ContactHeader, FromHeader, Header, NoGRUU, Registration, Route, RouteHeader, SIPCoreError, SIPURI
from sipsimple.lookup import DNSLookup, DNSLookupError
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.threading.green import Event, Queue, QueueEmpty, spawn

if TYPE_CHECKING:
    from sipsimple.account.account import Account

__all__ = ['Registrar', 'State']

log = logging.getLogger('sipsimple.account')

ATTEMPT_LIMIT = 30.0                    # seconds for all routes of one attempt
ROUTE_LIMITS = (1.0, 10.0)              # seconds for one route
UNREGISTER_LIMIT = 2.0                  # seconds; also for the answer that an interrupted attempt still waits for
# What failed -> between how many and how many seconds later comes the next attempt; random, as the accounts of a server all lose it at once.
RETRY_AFTER = {
    'no address': (60.0, 60.0),
    'not made': (120.0, 120.0),
    'not sent': (5.0, 5.0),
    'too short': (60.0, 120.0),
    'refused': (15.0, 40.0),
    'expired': (1.0, 3.0),              # the machine slept, perhaps: nothing is wrong with the server
}
# The same where it grows with every failure in a row: the first and the last w, for a time in [w, 2w].
BACKOFFS = {
    'dns': (1.0, 30.0),
    'routes': (1.0, 30.0),
    'connection': (1.0, 30.0),
    'flow': (30.0, 900.0),              # RFC 5626 section 4.5: of a registrar that reaches its clients by flows, they all come at once after a failure
    'authentication': (60.0, 1800.0),   # a wrong password does not get better, and servers lock out who insists
}
MAX_RETRY_AFTER = 3600.0                # what a server may ask for
REG_ID = '1'                            # of the one flow there is (RFC 5626 section 4.2)
STABLE = 60.0                           # seconds that a connection lasts when it is not lost again and again


class State(StrEnum):
    """What a Registrar does."""

    REGISTERING = 'registering'
    REGISTERED = 'registered'
    WAITING = 'waiting'
    ENDED = 'ended'


class Input(Enum):
    """What makes it do something else."""

    REFRESH = 1                         # the core says the registration is about to expire
    EXPIRED = 2                         # it did
    DISCONNECTED = 3                    # the connection it was made over is gone, and with it the way to us
    RETRY = 4                           # the retry time is over
    REREGISTER = 5                      # settings or the network changed
    STOP = 6


# (state, input) -> the method that carries it out and the state during it
TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    # State: registered
    (State.REGISTERED, Input.REFRESH): ('_refresh', State.REGISTERING),
    (State.REGISTERED, Input.EXPIRED): ('_expired', State.WAITING),
    (State.REGISTERED, Input.DISCONNECTED): ('_disconnected', State.WAITING),
    (State.REGISTERED, Input.REREGISTER): ('_reregister', State.REGISTERING),
    (State.REGISTERED, Input.STOP): ('_unregister', State.ENDED),
    # State: waiting
    (State.WAITING, Input.RETRY): ('_attempt', State.REGISTERING),
    (State.WAITING, Input.REREGISTER): ('_reregister', State.REGISTERING),
    (State.WAITING, Input.STOP): ('_unregister', State.ENDED),
}


class RegistrationError(Exception):
    """An attempt failed: what to report and when to try again (seconds)."""

    def __init__(self, error: str, retry_after: float) -> None:
        super().__init__(error)
        self.error = error
        self.retry_after = retry_after


class Interrupted(Exception):
    """STOP or REREGISTER came during an attempt."""


def _retry_after(what: str) -> float:
    return random.uniform(*RETRY_AFTER[what])


def _is_translated(registration: Registration, transport: str) -> bool:
    """Whether there is a NAT between us and who has answered: it sees another address than the contact has."""
    seen, contact = registration.seen_address, registration.contact_uri
    if seen is None or contact is None:
        return False
    try:
        same = ipaddress.ip_address(seen.ip) == ipaddress.ip_address(contact.host.strip('[]'))
    except ValueError:
        return False
    return not same or (transport == 'udp' and seen.port != contact.port)      # connections come from a port of their own


@implementer(IObserver)
class Registrar:
    """Keeps one account registered between start() and stop(). Thread: the SDK thread, reregister() any."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.state = State.ENDED
        self.registered = False
        self._inputs: Queue[Input] = Queue()
        self._answers: Queue[tuple[str, Any]] = Queue()     # what the present attempt waits for
        self._interrupted = False                           # STOP or REREGISTER is among the inputs
        self._ended: Event[None] | None = None
        self._registration: Registration | None = None
        self._parameters: tuple[Any, ...] | None = None     # the settings of the last attempt
        self._route: Route | None = None                    # the one that works
        self._registered_at = 0.0                           # of the loop's clock
        self._min_expires = 0                               # seconds; what the registrar says is the least
        self._is_outbound = False                           # the last success was one of RFC 5626
        self._outbound_refused = False                      # it does not work over the first hop
        self._retry_at: float | None = None
        self._certificate_errors: dict[int, str] = {}       # of the present attempt: port -> text
        self._backoffs = {name: Backoff(*times) for name, times in BACKOFFS.items()}

    # ---- control -----------------------------------------------------------------------------------------------

    OBSERVED = ('NetworkConditionsDidChange', 'SIPEngineTransportDidDisconnect', 'SIPEngineTransportGotCertificateError')

    @property
    def active(self) -> bool:
        """True from start() to stop()."""
        return self._ended is not None

    def start(self) -> None:
        """Begin to register; no-op when active."""
        if self._ended is None:
            self._ended = Event()
            self._inputs = Queue()
            self._interrupted = False
            self._parameters = None
            self._min_expires = 0
            self._is_outbound = self._outbound_refused = False
            self._backoffs = {name: Backoff(*times) for name, times in BACKOFFS.items()}
            for name in self.OBSERVED:
                NotificationCenter().add_observer(self, name=name)
            spawn(self._run, self._inputs, self._ended)

    def stop(self) -> None:
        """Unregister and end; waits for it, for 5 s at most. Thread: a green thread."""
        ended, self._ended = self._ended, None
        if ended is not None:
            for name in self.OBSERVED:
                NotificationCenter().discard_observer(self, name=name)
            self._interrupt(Input.STOP)
            ended.wait()

    def reregister(self) -> None:
        """Unregister and register anew, with the settings as they are now."""
        call_in_twisted_thread(self._request_reregistration)

    def update(self) -> None:
        """Register anew if settings have changed since the last attempt began. Thread: the SDK thread."""
        if self._parameters not in (None, self._current_parameters()):
            self._request_reregistration()

    def _current_parameters(self) -> tuple[Any, ...]:
        account = self.account
        return (account.id, account.auth.username, account.auth.password, account.nat_traversal.use_ice, str(account.sip.outbound_proxy),
                account.sip.tls_name, account.sip.register_interval)

    def _request_reregistration(self) -> None:
        if self._ended is not None and not self._interrupted:       # one that waits will see the present settings as well
            self._interrupt(Input.REREGISTER)

    def _interrupt(self, what: Input) -> None:
        self._interrupted = True
        self._inputs.put(what)
        self._answers.put(('interrupt', None))

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
            what = inputs.get(timeout)
        except QueueEmpty:
            return Input.RETRY
        if what is Input.STOP:
            self._interrupted = False
        elif what is Input.REREGISTER:
            self._interrupted = self._ended is None         # a STOP may have come after it
        return what

    def _attempt(self) -> None:
        """Register by the first route that does; leads to registered or waiting."""
        if self._registration is None and not self._interrupted:
            self._post('SIPAccountWillRegister')
        try:
            self._register()
        except Interrupted:
            self._retry_at = None
            self._move(State.REGISTERED if self.registered else State.WAITING)      # the input is next
        except RegistrationError as failure:
            self._fail(failure.error, failure.retry_after)
        except Exception:               # whatever it is, the account must not stay unregistered for it
            log.exception('%s: an attempt to register failed', self.account.id)
            self._fail('Internal error', _retry_after('no address'))
        else:
            self._move(State.REGISTERED)

    def _fail(self, error: str, retry_after: float) -> None:
        """Forget the registration, tell, and wait."""
        self._retry_at = reactor.get_loop().time() + retry_after
        self._forget()
        self._move(State.WAITING)
        self._post('SIPAccountRegistrationDidFail', error=error, retry_after=float(retry_after))

    def _refresh(self) -> None:
        self._post('SIPAccountRegistrationWillRefresh')
        self._attempt()

    def _expired(self) -> None:
        self._fail('Registration expired', _retry_after('expired'))

    def _disconnected(self) -> None:
        backoff = self._backoffs['connection']
        if reactor.get_loop().time() > self._registered_at + STABLE:
            backoff.reset()
        self._fail('Connection lost', backoff.next())

    def _reregister(self) -> None:
        """What is changed may be what stood in the way: nothing is left of earlier failures."""
        self._unregister()
        self._min_expires = 0
        self._is_outbound = self._outbound_refused = False
        for backoff in self._backoffs.values():
            backoff.reset()
        self._attempt()

    # ---- one attempt -------------------------------------------------------------------------------------------

    def _wait(self, limit: float | None = None) -> tuple[str, Any]:
        """The next of what the attempt waits for. QueueEmpty: not within `limit` seconds."""
        return ('interrupt', None) if self._interrupted else self._answers.get(limit)

    def _find_routes(self) -> list[Route]:
        account, settings = self.account, SIPSimpleSettings()
        transports = list(settings.sip.transport_list)
        proxy = account.sip.outbound_proxy
        if proxy is not None and proxy.transport in transports:
            uri = SIPURI(host=proxy.host, port=proxy.port, parameters={'transport': proxy.transport})
        else:
            uri = SIPURI(host=account.id.domain)
        spawn(self._look_up, uri, transports, account.sip.tls_name, self._answers)
        name, result = self._wait()
        if name == 'interrupt':
            raise Interrupted
        if isinstance(result, DNSLookupError):
            raise RegistrationError(f'DNS lookup failed: {result}', self._backoffs['dns'].next())
        routes: list[Route] = result
        return routes

    @staticmethod
    def _look_up(uri: SIPURI, transports: list[str], tls_name: str | None, answers: Queue[tuple[str, Any]]) -> None:
        """In a green thread of its own, as an interrupted attempt does not wait for name servers."""
        try:
            answers.put(('routes', DNSLookup().lookup_sip_proxy(uri, transports, tls_name=tls_name).wait()))
        except DNSLookupError as error:
            answers.put(('routes', error))

    def _make_registration(self) -> Registration:
        account = self.account
        if self._registration is None:
            registration = Registration(FromHeader(SIPURI.new(account.uri), account.display_name), credentials=account.credentials)
            NotificationCenter().add_observer(self, sender=registration)
            self._registration = registration
        self._registration.credentials = account.credentials
        return self._registration

    def _contact_header(self, route: Route) -> ContactHeader:
        uri = self.account.contact[NoGRUU, route]
        uri.parameters.pop('ob', None)          # that is for dialogs
        header = ContactHeader(uri)
        instance_id = SIPSimpleSettings().instance_id
        if instance_id:
            header.parameters['+sip.instance'] = f'"<{instance_id}>"'
            header.parameters['reg-id'] = REG_ID
        return header

    def _negotiate_outbound(self, registration: Registration, contact: ContactHeader) -> None:
        """Offer the registrar to reach us by flows, unless it cannot; without an instance id it could not tell whose they are."""
        if self._outbound_refused:
            contact.parameters.pop('reg-id', None)
        wants_outbound = 'reg-id' in contact.parameters
        registration.extra_headers = [Header('Supported', 'gruu, outbound, path' if wants_outbound else 'gruu')]

    def _register(self) -> None:
        deadline = reactor.get_loop().time() + ATTEMPT_LIMIT
        self._parameters = self._current_parameters()
        self._answers = Queue()
        self._certificate_errors = {}
        routes = self._find_routes()
        self._backoffs['dns'].reset()
        try:
            registration = self._make_registration()
        except (SIPCoreError, ValueError, TypeError) as error:
            raise RegistrationError(f'Cannot create registration: {error}', _retry_after('not made')) from None
        failure: tuple[Any, Route] | None = None
        for route in routes:
            left = deadline - reactor.get_loop().time()
            if left <= 0:
                break
            try:
                contact = self._contact_header(route)
            except KeyError:
                continue
            data = self._try(registration, route, contact, left)
            if data is None:
                return
            failure = data, route
        if failure is None:
            raise RegistrationError('No IP address', _retry_after('no address'))
        if deadline > reactor.get_loop().time():
            raise RegistrationError(self._reason(*failure), self._delay(failure[0]))
        raise RegistrationError('No more routes to try', self._backoffs['flow' if self._is_outbound else 'routes'].next())

    def _try(self, registration: Registration, route: Route, contact: ContactHeader, limit: float) -> Any:
        """Register by one route.

        Returns:
            None: it succeeded. Else the data of the failure, after which the next route may be tried.
        Raises:
            RegistrationError: the next route would not do any better. Interrupted.
        """
        while not self._interrupted:
            registration.duration = max(1, self.account.sip.register_interval, self._min_expires)
            self._answers = Queue()
            self._negotiate_outbound(registration, contact)
            registration.register(contact, RouteHeader(route.uri), timeout=min(max(limit, ROUTE_LIMITS[0]), ROUTE_LIMITS[1]))
            name, data = self._answers.get()
            while name == 'interrupt':
                try:
                    name, data = self._answers.get(UNREGISTER_LIMIT)        # the registrar may have our contact by now
                except QueueEmpty:
                    raise Interrupted from None
            if name == 'SIPRegistrationDidSucceed':
                self._succeeded(data, registration, route)
                return None
            self._post_answer(data.code or 503, data.reason, registration, route)       # RFC 3261 section 8.1.3.1: it could not be sent
            min_expires = getattr(data, 'min_expires', None) or 0
            if data.code == 423 and min_expires > registration.duration:
                self._min_expires = min_expires         # RFC 3261 section 10.2.8
                continue
            if data.code == 439 and not self._outbound_refused:
                self._outbound_refused = True           # RFC 5626 section 4.2.1: the registrar would, but the proxy before it does not know of flows
                continue
            self._check_final(data)
            return data
        raise Interrupted

    def _check_final(self, data: Any) -> None:
        """Raise RegistrationError for answers after which no other route is tried."""
        if data.code in (401, 407):
            raise RegistrationError('Authentication failed', self._backoffs['authentication'].next())
        if data.code == 423:
            raise RegistrationError('Interval too short', _retry_after('too short'))

    def _reason(self, data: Any, route: Route) -> str:
        """What to tell of a failure."""
        if data.code == 408:
            return 'Request timeout'
        if route.transport == 'tls' and route.port in self._certificate_errors:
            return f'Certificate refused: {self._certificate_errors[route.port]}'
        return str(data.reason)

    def _delay(self, data: Any) -> float:
        """How long to wait after a failure."""
        if data.code == 0:
            return _retry_after('not sent')
        delay = self._backoffs['flow'].next() if self._is_outbound else _retry_after('refused')
        return max(delay, min(data.retry_after or 0, MAX_RETRY_AFTER))

    def _succeeded(self, data: Any, registration: Registration, route: Route) -> None:
        for name, backoff in self._backoffs.items():
            if name != 'connection':
                backoff.reset()
        self.registered = True
        self._route = route
        self._registered_at = reactor.get_loop().time()
        self._is_outbound = registration.is_outbound
        # Requests in dialogs come by the flow as well if the contact says so. Where we are reached at the contact itself that is better: it can change.
        self.account.contact.outbound = registration.is_outbound and _is_translated(registration, route.transport)
        self._learn_gruu(data.contact_header_list)
        self._post_answer(data.code, data.reason, registration, route)
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
        self._route = None
        if registration is not None:
            NotificationCenter().discard_observer(self, sender=registration)
            registration.drop()
        self.account.contact.public_gruu = self.account.contact.temporary_gruu = None
        self.account.contact.outbound = False

    # ---- notifications -----------------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self.account, data=TimestampedNotificationData(**data))

    def _post_answer(self, code: int, reason: str, registration: Registration, route: Route) -> None:
        self._post('SIPAccountRegistrationGotAnswer', code=code, reason=reason, registration=registration, registrar=route)

    def handle_notification(self, notification: Any) -> None:
        call_in_twisted_thread(self._handle, notification)

    def _handle(self, notification: Any) -> None:
        name, data = notification.name, notification.data
        if name == 'NetworkConditionsDidChange':
            self._request_reregistration()
        elif name == 'SIPEngineTransportGotCertificateError':
            port = data.remote_address.rpartition(':')[2]
            self._certificate_errors[int(port)] = ', '.join(data.certificate_errors) or data.reason
        elif name == 'SIPEngineTransportDidDisconnect':
            route = self._route
            if self.state is State.REGISTERED and route is not None and (data.transport, data.remote_address) == (route.transport, remote_end(route)):
                self._inputs.put(Input.DISCONNECTED)
        elif notification.sender is not self._registration:
            return
        elif name == 'SIPRegistrationWillExpire':
            self._inputs.put(Input.REFRESH)
        elif name == 'SIPRegistrationDidEnd' and data.expired:
            self._inputs.put(Input.EXPIRED)
        elif name in ('SIPRegistrationDidSucceed', 'SIPRegistrationDidFail', 'SIPRegistrationDidEnd', 'SIPRegistrationDidNotEnd'):
            self._answers.put((name, data))
