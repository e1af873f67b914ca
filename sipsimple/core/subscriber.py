"""The subscriber's side of RFC 6665, as Subscription and Referral share it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from sipsimple.core import _endpoint, _event_dialog, event_packages
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.event_dialog import EventDialog, Reply, due, notify_data, now
from sipsimple.core.headers import (
    ContactHeader,
    FromHeader,
    FrozenContactHeader,
    FrozenFromHeader,
    FrozenRouteHeader,
    FrozenToHeader,
    Header,
    RouteHeader,
    ToHeader,
)
from sipsimple.core.messages import Request
from sipsimple.core.request import check_type, route_body
from sipsimple.core.values import Credentials, FrozenCredentials, FrozenSIPURI, SIPURI

__all__ = ['Subscriber', 'TRANSITIONS']

# state -> states it may go to
TRANSITIONS: dict[str, frozenset[str]] = {
    'NULL': frozenset(('SENT',)),
    'SENT': frozenset(('ACCEPTED', 'PENDING', 'ACTIVE', 'TERMINATED')),
    'ACCEPTED': frozenset(('PENDING', 'ACTIVE', 'TERMINATED')),
    'PENDING': frozenset(('ACTIVE', 'TERMINATED')),
    'ACTIVE': frozenset(('PENDING', 'TERMINATED')),
    'TERMINATED': frozenset(),
}

FINAL_NOTIFY_WAIT = 5                   # seconds for the last NOTIFY after the end was agreed to; the peer may have forgotten us already
MAX_EXPIRES = 7 * 86400                # some servers grant centuries
OWN_HEADERS = frozenset((
    'call-id', 'contact', 'content-length', 'content-type', 'cseq', 'event', 'expires', 'from', 'max-forwards', 'refer-to', 'route', 'to', 'via'))


class Subscriber(EventDialog):
    """A dialog in which we are told of an event.

    It is over when the notifier says so, when a request fails, when the first NOTIFY does not come within 64 * T1 after the 2xx (RFC 6665 section 4.1.2.4),
    or after `end`. A refresh that fails ends it at once: what has the application subscribe anew sooner than the time that is left would.
    """

    expire_warning_time: ClassVar[int] = 30
    _transitions: ClassVar[Mapping[str, frozenset[str]]] = TRANSITIONS

    def _setup_subscriber(self, event: str, request_uri: SIPURI, from_header: FromHeader, to_header: ToHeader, contact_header: ContactHeader,
                          route_header: RouteHeader, credentials: Credentials | None) -> None:
        """What the constructors do; they raise the same."""
        if '_state' in self.__dict__:
            raise SIPCoreError(f'the {type(self).__name__} is initialised already')
        _endpoint.check_running()
        check_type(request_uri, SIPURI, 'request_uri')
        check_type(from_header, FromHeader, 'from_header')
        check_type(to_header, ToHeader, 'to_header')
        check_type(contact_header, ContactHeader, 'contact_header')
        check_type(route_header, RouteHeader, 'route_header')
        check_type(credentials, Credentials, 'credentials', optional=True)
        self._setup('NULL', uuid.uuid4().hex, uuid.uuid4().hex)
        self._event = event
        self._event_text = event        # of our Event header; a REFER's gets its id from the notifier
        self._answered = False          # the first request has its 2xx
        self._ending = False            # end() was called, or the peer granted no time
        self._over_early = False        # the notifier said so before it answered the first request
        self._notified = False
        self._expires_at = 0.0
        self._from_header = FrozenFromHeader.new(from_header)
        self._to_header = FrozenToHeader.new(to_header)
        self._contact_header = FrozenContactHeader.new(contact_header)
        self._route_header = FrozenRouteHeader.new(route_header)
        self._credentials = None if credentials is None else FrozenCredentials.new(credentials)
        self._extra_headers: list[Any] = []
        self._timeout: float | None = None
        self._target = FrozenSIPURI.new(request_uri)
        self._local, self._remote = self._from_header, self._to_header
        self._contact = self._contact_header.body
        self._first_route = route_body(self._route_header)

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def from_header(self) -> FrozenFromHeader:
        """From; its tag is made by the core."""
        return self._from_header

    @property
    def to_header(self) -> FrozenToHeader:
        """To, as given."""
        return self._to_header

    @property
    def route_header(self) -> FrozenRouteHeader:
        """The next hop of the first request."""
        return self._route_header

    @property
    def credentials(self) -> FrozenCredentials | None:
        """What a challenge is answered with; None: it is the final answer."""
        value: FrozenCredentials | None = self._credentials
        return value

    # ---- first request -----------------------------------------------------------------------------------------

    def _start(self, method: str, headers: list[Any], content_type: str | None, body: bytes | None, timeout: float | None) -> None:
        self._post(f'{self._prefix}WillStart')
        self._post_change('NULL', 'SENT')
        self._send(method, headers, self._on_first, content_type=content_type, body=body, timeout=timeout)

    def _on_first(self, reply: Reply) -> None:
        headers = reply.message.headers if reply.message is not None else {}
        if not 200 <= reply.code < 300:
            self._fail_with(reply)
            return
        if not self._takes(headers):
            self._fail(1400, 'Contact header missing')
            return
        if self._remote_tag is None:
            to = headers.get('To')
            self._establish(None if to is None else to.tag, reversed(headers.get('Record-Route', [])))
        self._answered = True
        self._post(f'{self._prefix}DidStart')
        if self._over_early or self._is_enough(reply):
            self._finish()
            return
        self._change_from_sent()
        self._granted(headers)
        if not self._notified and not self._ending:
            self._after('first NOTIFY', _event_dialog.timer_n(), self._no_notify)

    def _change_from_sent(self) -> None:
        previous = self._move('ACCEPTED', 'SENT')
        if previous is not None:
            self._post_change(previous, 'ACCEPTED')

    def _takes(self, headers: Any) -> bool:
        """Whether the 2xx to the first request has all it needs; its contact is our target."""
        return self._learn_target(headers)

    def _is_enough(self, reply: Reply) -> bool:
        """Whether this 2xx is all there will be."""
        return False

    def _granted(self, headers: Any) -> None:
        """How long it lasts by a 2xx."""
        raise NotImplementedError

    def _no_notify(self) -> None:
        self._fail(408, 'No NOTIFY received')

    # ---- refreshes ---------------------------------------------------------------------------------------------

    def _lasts(self, expires: int) -> None:
        expires = min(max(expires, 1), MAX_EXPIRES)
        self._expires_at = now() + expires
        if not self._ending:
            self._after('refresh', due(expires, self.expire_warning_time), self._refresh_now)

    def _subscribe_headers(self, expires: int, extra: Iterable[Any]) -> list[Any]:
        headers = [Header('Event', self._event_text), Header('Expires', str(expires))]
        extra = list(extra)
        if not any(header.name.lower() == 'accept' for header in extra):
            headers.append(Header('Accept', ', '.join(event_packages.types_of(self._event))))
        return headers + extra

    def _refresh_now(self) -> None:
        """It is time for a SUBSCRIBE."""
        raise NotImplementedError

    def _on_refreshed(self, reply: Reply) -> None:
        if not 200 <= reply.code < 300:
            self._fail_with(reply)
            return
        headers = reply.message.headers if reply.message is not None else {}
        self._learn_target(headers)
        if not self._ending:
            self._granted(headers)

    # ---- end ---------------------------------------------------------------------------------------------------

    def _claim_end(self) -> bool:
        """True for the one call of end() that does something."""
        with self._lock:
            if self._state == 'NULL':
                raise SIPCoreError('there is nothing to end yet')
            if self._state == 'TERMINATED' or self._ending:
                return False
            self._ending = True
            return True

    def _end(self, headers: list[Any], timeout: float | None) -> None:
        self._post(f'{self._prefix}WillEnd')
        for name in ('refresh', 'first NOTIFY'):
            self._cancel(name)
        if timeout is not None:
            self._after('end', timeout, self._finish)
        self._send('SUBSCRIBE', headers, self._on_unsubscribed, timeout=timeout)

    def _on_unsubscribed(self, reply: Reply) -> None:
        if 200 <= reply.code < 300:
            self._wait_for_last()
        else:
            self._finish()

    def _wait_for_last(self) -> None:
        self._after('last NOTIFY', FINAL_NOTIFY_WAIT, self._finish)

    def _finish(self) -> None:
        self._change('TERMINATED')
        self._close()
        self._post_end()

    def _post_end(self) -> None:
        self._post(f'{self._prefix}DidEnd')

    def _fail_with(self, reply: Reply) -> None:
        headers = reply.message.headers if reply.message is not None else {}
        self._fail(reply.code, reply.reason, headers.get('Min-Expires') if reply.code == 423 else None)

    def _fail(self, code: int, reason: str, min_expires: int | None = None) -> None:
        if self._ending:
            self._finish()              # it ends, which is what was asked for
            return
        self._change('TERMINATED')
        self._close()
        self._post_failure(code, reason, min_expires)

    def _post_failure(self, code: int, reason: str, min_expires: int | None) -> None:
        raise NotImplementedError

    # ---- NOTIFY ------------------------------------------------------------------------------------------------

    def _refusal(self, message: Request) -> tuple[int, list[Any]] | None:
        """The negative answer to a NOTIFY that is not for us; None when it is."""
        headers = message.headers
        event, content_type = headers.get('Event'), headers.get('Content-Type')
        if message.method != 'NOTIFY':
            return 405, [Header('Allow', 'NOTIFY')]
        if event is None:
            return 489, self._refuse_event_headers()
        if not self._is_our_event(event):
            return (481, []) if event_packages.is_known(event.event) else (489, self._refuse_event_headers())
        if message.body is not None and (content_type is None or not event_packages.accepts(self._event, content_type.body)):
            return 415, [Header('Accept', ', '.join(event_packages.types_of(self._event)))]
        return None

    def _is_our_event(self, event: Any) -> bool:
        return bool(event.event == self._event and event.id is None)

    def _received(self, number: int, message: Request) -> None:
        headers = message.headers
        refusal = self._refusal(message)
        if refusal is not None:
            self._answer(number, refusal[0], *refusal[1])
            return
        if self._remote_tag is None:    # before the 2xx: RFC 6665 section 4.4.1
            self._establish(headers['From'].tag, headers.get('Record-Route', []), headers['CSeq'][0])
        self._learn_target(headers)
        self._answer(number, 200)
        self._notified = True
        self._cancel('first NOTIFY')
        self._post(f'{self._prefix}GotNotify', **notify_data(message))
        self._heed(message)

    def _heed(self, message: Request) -> None:
        """Do what the Subscription-State of a NOTIFY says. Without one, which no notifier may send, it is active."""
        substate = message.headers.get('Subscription-State')
        state = 'active' if substate is None else substate.state.lower()
        if self._state == 'TERMINATED':
            return                      # an observer of the NOTIFY has ended it
        if state == 'terminated':
            if self._answered:
                self._finish()
            else:
                self._over_early = True
            return
        if state in ('active', 'pending'):
            self._change(state.upper())
        if substate is not None and substate.expires is not None and not self._ending:
            self._shorten(substate.expires)

    def _shorten(self, expires: int) -> None:
        """RFC 6665 section 4.1.3: a NOTIFY may leave less time than the 2xx did, not more."""
        if now() + expires < self._expires_at - 1:
            self._lasts(expires)
