"""Requests outside dialogs: Request (client) and IncomingRequest (server)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.core import _endpoint, _events, _handles, _request, _timers
from sipsimple.core.errors import ENGINE_ENDED, PJSIPError, SIPCoreError, SIPCoreInvalidStateError
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
from sipsimple.core.headers.syntax import format_parameters
from sipsimple.core.messages import parse_message, parse_request, parse_response
from sipsimple.core.values import Credentials, EndpointAddress, FrozenCredentials, FrozenSIPURI, SIPURI
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['Request', 'IncomingRequest']

MAX_REASON = 512                        # bytes of a reason phrase; a status line that fills the message would displace its headers

# Headers that the request has already, so they cannot be "extra" ones.
OWN_HEADERS = frozenset(('call-id', 'contact', 'content-length', 'content-type', 'cseq', 'from', 'max-forwards', 'route', 'to', 'via'))


def check_type(value: object, kind: type, name: str, optional: bool = False) -> None:
    """TypeError unless value is of that class (or None, where that is allowed)."""
    if value is None and optional:
        return
    if not isinstance(value, kind):
        raise TypeError(f'{name} must be {kind.__name__}, not {type(value).__name__}')


def check_timeout(timeout: float | None) -> float | None:
    """ValueError unless the timeout (seconds) is positive or None."""
    if timeout is not None and timeout <= 0:
        raise ValueError(f'timeout must be positive: {timeout!r}')
    return timeout


def check_reason(reason: str | None) -> None:
    """SIPCoreError for a reason phrase longer than MAX_REASON bytes. (Line breaks and NUL are refused by what hands it down.)"""
    if reason is not None and len(reason.encode('utf-8', 'surrogateescape')) > MAX_REASON:
        raise SIPCoreError(f'a reason phrase longer than {MAX_REASON} bytes')


def route_body(route_header: Any) -> str:
    """Body of the Route header to send: always a loose route."""
    uri = route_header.uri
    if 'lr' in uri.parameters:
        return str(route_header.body)
    loose = SIPURI.new(uri)
    loose.parameters['lr'] = None
    return f'<{loose}>'


def name_addr(header: Any) -> str:
    """Name and address of a From or To header, less its parameters."""
    if header.display_name:
        escaped = header.display_name.replace('\\', '\\\\').replace('"', '\\"')
        return f'"{escaped}" <{header.uri}>'
    return f'<{header.uri}>'


def parameters_of(header: Any) -> str:
    """Parameters of a From or To header as they are written, less the tag."""
    return format_parameters({name: value for name, value in header.parameters.items() if name.lower() != 'tag'})


class Request:
    """A request outside dialogs and its client transaction.

    `state` goes INIT, IN_PROGRESS, then TERMINATED, by way of EXPIRING when a 2xx granted a time.

    Raises:
        ValueError: negative cseq; only one of content_type and body; an extra header that the request has by itself.
        TypeError: an argument of another class.
    Notifications: SIPRequestGotProvisionalResponse, SIPRequestDidSucceed, SIPRequestDidFail, SIPRequestWillExpire,
        SIPRequestDidEnd.
    """

    expire_warning_time: ClassVar[int] = 30

    def __init__(self, method: str, request_uri: SIPURI, from_header: FromHeader, to_header: ToHeader, route_header: RouteHeader,
                 credentials: Credentials | None = None, contact_header: ContactHeader | None = None, call_id: str | None = None,
                 cseq: int | None = None, extra_headers: Iterable[Header] | None = None, content_type: str | None = None,
                 body: str | bytes | None = None) -> None:
        if '_method' in self.__dict__:
            raise SIPCoreError('the Request is initialised already')
        _endpoint.check_running()
        check_type(request_uri, SIPURI, 'request_uri')
        check_type(from_header, FromHeader, 'from_header')
        check_type(to_header, ToHeader, 'to_header')
        check_type(route_header, RouteHeader, 'route_header')
        check_type(credentials, Credentials, 'credentials', optional=True)
        check_type(contact_header, ContactHeader, 'contact_header', optional=True)
        if cseq is not None and cseq < 0:
            raise ValueError('cseq is negative')
        if (content_type is None) != (body is None):
            raise ValueError('content_type and body go together')
        headers = list(extra_headers or ())
        for header in headers:
            if header.name.lower() in OWN_HEADERS:
                raise ValueError(f'not an extra header: {header.name}')
        self._method = method
        self._request_uri = FrozenSIPURI.new(request_uri)
        self._from_header = FrozenFromHeader.new(from_header)
        self._to_header = FrozenToHeader.new(to_header)
        self._route_header = FrozenRouteHeader.new(route_header)
        self._contact_header = None if contact_header is None else FrozenContactHeader.new(contact_header)
        self._credentials = None if credentials is None else FrozenCredentials.new(credentials)
        self._call_id = call_id or uuid.uuid4().hex
        self._cseq = random.randrange(1, 0x7fff) if cseq is None else cseq
        self._extra_headers = headers
        self._content_type = content_type
        self._body = body.encode() if isinstance(body, str) else body
        self._state = 'INIT'
        self._handle: _handles.Handle | None = None
        self._flow: _handles.Handle | None = None
        self._timer: _timers.Timer | None = None
        self._expires_at = 0.0
        self._peer_address: EndpointAddress | None = None

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """The method, as given."""
        return self._method

    @property
    def request_uri(self) -> FrozenSIPURI:
        """The request URI."""
        return self._request_uri

    @property
    def from_header(self) -> FrozenFromHeader:
        """The From header; its tag is made by the core."""
        return self._from_header

    @property
    def to_header(self) -> FrozenToHeader:
        """The To header."""
        return self._to_header

    @property
    def route_header(self) -> FrozenRouteHeader:
        """The next hop, with its transport."""
        return self._route_header

    @property
    def contact_header(self) -> FrozenContactHeader | None:
        """The Contact header, None for none."""
        return self._contact_header

    @property
    def credentials(self) -> FrozenCredentials | None:
        """What a challenge is answered with; None: it is the final answer."""
        return self._credentials

    @property
    def call_id(self) -> str:
        """The Call-ID, made up unless it was given."""
        return self._call_id

    @property
    def cseq(self) -> int:
        """CSeq number; one more after an answered challenge."""
        return self._cseq

    @property
    def extra_headers(self) -> list[Header]:
        """The headers that were given besides; a copy of the list."""
        return list(self._extra_headers)

    @property
    def content_type(self) -> str | None:
        """Media type of the body, None without a body."""
        return self._content_type

    @property
    def body(self) -> bytes | None:
        """The body, None for none; a str was encoded in UTF-8."""
        return self._body

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last response came from."""
        return self._peer_address

    @property
    def state(self) -> str:
        """'INIT', 'IN_PROGRESS', 'EXPIRING' or 'TERMINATED'."""
        return self._state

    @property
    def expires_in(self) -> int:
        """Whole seconds left while EXPIRING, else 0."""
        if self._state != 'EXPIRING':
            return 0
        import time
        return max(0, int(self._expires_at - time.monotonic()))

    # ---- methods -----------------------------------------------------------------------------------------------

    def send(self, timeout: float | None = None) -> None:
        """Send it; without a final response within `timeout` seconds it fails with 408.

        Raises:
            SIPCoreError: sent before, or the Engine does not run. PJSIPError: it could not be made; what the network says
                against it comes as SIPRequestDidFail with code 503.
        """
        check_timeout(timeout)
        if self._state != 'INIT':
            raise SIPCoreError('a Request can be sent once')
        handle = self._handle = _request.create()
        self._state = 'IN_PROGRESS'
        _handles.bind(handle.number, self)
        try:
            _request.send(
                handle, self._method, str(self._request_uri), name_addr(self._from_header), name_addr(self._to_header),
                parameters_of(self._from_header), parameters_of(self._to_header),
                None if self._contact_header is None else self._contact_header.body, self._call_id, self._cseq,
                route_body(self._route_header), self._extra_headers, self._content_type, self._body, self._credentials,
                0 if timeout is None else max(1, int(timeout * 1000)))
        except BaseException:
            self._state = 'INIT'
            self._handle = None
            handle.close()
            raise

    def end(self) -> None:
        """IN_PROGRESS: fail with 408; EXPIRING: forget the expiry. Sends nothing."""
        if self._state == 'IN_PROGRESS' and self._handle is not None:
            _request.cancel(self._handle)
        elif self._state == 'EXPIRING':
            self._stop_timer()
            self._terminate()
            _timers.call_later(0, self._post, 'SIPRequestDidEnd', NotificationData())

    def keep_alive(self, interval: tuple[float, float], limit: float) -> None:
        """Keep the way open that the request has gone, as long as it is EXPIRING, and watch it (RFC 5626 section 4.4).

        A server that has answered one ping has to answer the others. A connection on which it does not is closed. That, and a way over UDP that is
        lost, is told by SIPEngineTransportDidDisconnect; so is another address of ours that the server sees over UDP.

        Args:
            interval: between how many and how many seconds a ping follows the one before; random.
            limit: seconds for the answer.
        Raises:
            SIPCoreError: no time was granted, or it is over.
        """
        if self._state != 'EXPIRING' or self._handle is None:
            raise SIPCoreError('the way of a Request can be kept open while it is EXPIRING')
        least, most, limit_ms = (max(1, int(1000 * seconds)) for seconds in (*interval, limit))
        flow, self._flow = self._flow, _request.keep_alive(self._handle, least, most, limit_ms)
        if flow is not None:
            flow.close()

    # ---- events ------------------------------------------------------------------------------------------------

    def _post(self, name: str, data: NotificationData) -> None:
        NotificationCenter().post_notification(name, sender=self, data=data)

    def _terminate(self) -> None:
        self._state = 'TERMINATED'
        handles = self._flow, self._handle
        self._flow = self._handle = None
        for handle in handles:
            if handle is not None:
                handle.close()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expiry(self, headers: Any) -> int:
        """Granted time of a 2xx: that of our Contact, which may differ from others', else its Expires, else what we asked for."""
        own = self._contact_header.uri if self._contact_header is not None else None
        if own is not None:
            for contact in headers.get('Contact', ()):
                uri = contact.uri
                if uri is not None and contact.expires is not None \
                        and (uri.user, uri.host.lower(), uri.port) == (own.user, own.host.lower(), own.port):
                    return int(contact.expires)
        expires = headers.get('Expires')
        if expires is not None:
            return int(expires)
        for header in self._extra_headers:
            if header.name.lower() == 'expires':
                try:
                    return int(header.body)
                except ValueError:
                    return 0
        return 0

    def _on_response(self, event: _events.Event) -> None:
        code, port, cseq = event.num[:3]
        raw, reason, source = event.data
        if source:
            self._peer_address = EndpointAddress(source.decode(), port)
        if self._state != 'IN_PROGRESS':
            return
        text = reason.decode('utf-8', 'replace')
        message = parse_message(raw) if raw else None
        if 100 <= code < 200:
            if message is not None:
                self._post('SIPRequestGotProvisionalResponse',
                           NotificationData(code=code, reason=text, headers=message.headers, body=message.body))
            return
        if cseq:
            self._cseq = cseq
        if 200 <= code < 300 and message is not None:
            expires = self._expiry(message.headers)
            if expires:                 # the handle stays: it holds the connection, by which we can be reached as long as this lasts
                self._state = 'EXPIRING'
                self._start_expiry(expires)
            else:
                self._terminate()
            self._post('SIPRequestDidSucceed', NotificationData(
                code=code, reason=text, headers=message.headers, body=message.body, expires=expires))
            if expires:
                return
        else:
            self._terminate()
            data = NotificationData(code=code, reason=text)
            if message is not None:
                data = NotificationData(code=code, reason=text, headers=message.headers, body=message.body)
            self._post('SIPRequestDidFail', data)
        self._post('SIPRequestDidEnd', NotificationData())

    def _start_expiry(self, expires: int) -> None:
        import time
        self._expires_at = time.monotonic() + expires
        warning = max(1, expires - self.expire_warning_time, expires // 2)
        self._timer = _timers.call_later(min(warning, expires), self._will_expire)

    def _will_expire(self) -> None:
        if self._state == 'EXPIRING':
            left = self.expires_in
            self._timer = _timers.call_later(max(left, 0), self._expired)
            self._post('SIPRequestWillExpire', NotificationData(expires=left))

    def _expired(self) -> None:
        if self._state == 'EXPIRING':
            self._terminate()
            self._post('SIPRequestDidEnd', NotificationData())

    def _engine_ended(self) -> None:
        if self._state not in ('IN_PROGRESS', 'EXPIRING'):
            return
        failed = self._state == 'IN_PROGRESS'
        self._stop_timer()
        self._terminate()
        if failed:
            self._post('SIPRequestDidFail', NotificationData(code=0, reason=ENGINE_ENDED))
        self._post('SIPRequestDidEnd', NotificationData())


class IncomingRequest:
    """A request outside dialogs that the application answers; made by the Engine.

    One that nobody answers is answered with 500 when the last reference goes.
    Notifications: SIPIncomingRequestGotRequest, SIPIncomingRequestSentResponse.
    """

    def __init__(self) -> None:
        raise SIPCoreError('an IncomingRequest is made by the Engine')

    _handle: _handles.Handle
    _state: str
    _peer_address: EndpointAddress

    @property
    def state(self) -> str:
        """'incoming' or 'answered'."""
        return self._state

    @property
    def peer_address(self) -> EndpointAddress:
        """Where the request came from."""
        return self._peer_address

    def answer(self, code: int, reason: str | None = None, extra_headers: Iterable[Header] | None = None) -> None:
        """Send the final response.

        Raises:
            ValueError: code outside 200..699. SIPCoreInvalidStateError: answered before. SIPCoreError: a reason that no status line may have.
            PJSIPError: not sent.
        """
        if not 200 <= code < 700:
            raise ValueError(f'not a final status code: {code!r}')
        check_reason(reason)
        if self._state != 'incoming':
            raise SIPCoreInvalidStateError('the request is answered already')
        self._state = 'answered'
        try:
            _request.answer(self._handle, code, reason, extra_headers)
        except PJSIPError:
            self._state = 'incoming'
            raise


def _on_response(request: Request, event: _events.Event) -> None:
    request._on_response(event)


def _on_incoming(obj: None, event: _events.Event) -> None:
    request = IncomingRequest.__new__(IncomingRequest)
    request._handle = _handles.Handle(event.handle)
    request._state = 'incoming'
    request._peer_address = EndpointAddress(event.data[1].decode(), event.num[0])
    _handles.bind(event.handle, request)
    message = parse_request(event.data[0])
    NotificationCenter().post_notification('SIPIncomingRequestGotRequest', sender=request, data=NotificationData(
        method=message.method, request_uri=message.request_uri, headers=message.headers, body=message.body))


def _on_sent(request: IncomingRequest, event: _events.Event) -> None:
    message = parse_response(event.data[0])
    NotificationCenter().post_notification('SIPIncomingRequestSentResponse', sender=request, data=NotificationData(
        code=message.code, reason=message.reason, headers=message.headers, body=message.body))
    request._handle.close()


_events.register(_events.REQUEST_RESPONSE, _on_response)
_events.register(_events.INCOMING_REQUEST, _on_incoming, fresh=True)
_events.register(_events.INCOMING_REQUEST_SENT, _on_sent)
