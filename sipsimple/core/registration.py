"""Registration: keeps a contact bound at a registrar (RFC 3261 section 10)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from typing import Any

from zope.interface import implementer

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import ContactHeader, FromHeader, FrozenRouteHeader, Header, RouteHeader, ToHeader
from sipsimple.core.request import Request, check_type
from sipsimple.core.values import Credentials, EndpointAddress, FrozenSIPURI, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, NotificationData

__all__ = ['Registration']


@implementer(IObserver)
class Registration:
    """Registers one contact; each `register()` is a REGISTER of the same Call-ID with the next CSeq.

    Args:
        from_header: the address-of-record; its host is where the REGISTER goes.
        duration: asked for, in seconds.
    The attributes of the same names are writable and used by the next request.
    Notifications: SIPRegistrationDidSucceed, SIPRegistrationDidFail, SIPRegistrationWillExpire, SIPRegistrationWillEnd,
        SIPRegistrationDidNotEnd, SIPRegistrationDidEnd.
    """

    def __init__(self, from_header: FromHeader, credentials: Credentials | None = None, duration: int = 300,
                 extra_headers: Iterable[Header] | None = None) -> None:
        check_type(from_header, FromHeader, 'from_header')
        check_type(credentials, Credentials, 'credentials', optional=True)
        self.from_header = FromHeader.new(from_header)
        self.credentials = credentials
        self.duration = duration
        self.extra_headers = list(extra_headers or ())
        self._call_id = uuid.uuid4().hex
        self._cseq = random.randrange(1, 0x7fff)
        self._request: Request | None = None            # the one that keeps us registered, or is under way
        self._last_request: Request | None = None       # the one that succeeded last
        self._ending = False
        self._contact_header: ContactHeader | None = None
        self._route_header: FrozenRouteHeader | None = None

    @property
    def is_registered(self) -> bool:
        """True from a success until it is ended or ran out."""
        return self._last_request is not None

    @property
    def expires_in(self) -> int:
        """Seconds that the registration is still good for, 0 without one."""
        return self._last_request.expires_in if self._last_request is not None else 0

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last response came from."""
        request = self._request or self._last_request
        return request.peer_address if request is not None else None

    @property
    def contact_uri(self) -> FrozenSIPURI | None:
        """The contact that was registered last, None before."""
        if self._last_request is None or self._contact_header is None:
            return None
        return FrozenSIPURI.new(self._contact_header.uri)

    def register(self, contact_header: ContactHeader, route_header: RouteHeader, timeout: float | None = None) -> None:
        """Send a REGISTER, also to refresh; supersedes one that is under way.

        A local error is reported as SIPRegistrationDidFail with code 0.
        """
        try:
            self._send(contact_header, route_header, self.duration, timeout)
        except (SIPCoreError, ValueError) as error:
            self._post('SIPRegistrationDidFail', code=0, reason=str(error), route_header=route_header)

    def end(self, timeout: float | None = None) -> None:
        """Remove the binding; no-op when not registered."""
        if self._last_request is None or self._contact_header is None or self._route_header is None or self._ending:
            return
        self._post('SIPRegistrationWillEnd')
        self._ending = True
        try:
            self._send(self._contact_header, RouteHeader.new(self._route_header), 0, timeout)
        except (SIPCoreError, ValueError) as error:
            self._ending = False
            self._post('SIPRegistrationDidNotEnd', code=0, reason=str(error))

    def drop(self) -> None:
        """Forget the binding without a word to the registrar, and a request that is under way; nothing is posted."""
        request, self._request = self._request, None
        if request is not None:
            NotificationCenter().discard_observer(self, sender=request)
            request.end()
        self._drop_last()
        self._ending = False

    # ---- internals ---------------------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def _send(self, contact_header: ContactHeader, route_header: RouteHeader, expires: int, timeout: float | None) -> None:
        if expires:
            self._ending = False
        uri = self.from_header.uri
        self._cseq += 1
        request = Request(
            'REGISTER', SIPURI(host=uri.host, secure=uri.secure), self.from_header,
            ToHeader(SIPURI.new(uri), self.from_header.display_name), route_header, credentials=self.credentials,
            contact_header=contact_header, call_id=self._call_id, cseq=self._cseq,
            extra_headers=[*self.extra_headers, Header('Expires', str(expires))])
        center = NotificationCenter()
        superseded, self._request = self._request, request
        if superseded is not None:
            center.discard_observer(self, sender=superseded)
            superseded.end()
        center.add_observer(self, sender=request)
        try:
            request.send(timeout=timeout)
        except BaseException:
            center.discard_observer(self, sender=request)
            self._request = None
            raise
        if expires:
            self._contact_header = ContactHeader.new(contact_header)
        self._route_header = FrozenRouteHeader.new(route_header)

    def handle_notification(self, notification: Any) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _drop_last(self) -> None:
        last, self._last_request = self._last_request, None
        if last is not None:
            NotificationCenter().discard_observer(self, sender=last)
            last.end()

    def _NH_SIPRequestDidSucceed(self, notification: Any) -> None:
        request: Request = notification.sender
        data = notification.data
        if request is not self._request:
            return
        self._request = None
        self._cseq = max(self._cseq, request.cseq)
        self._drop_last()
        if self._ending or not data.expires:
            NotificationCenter().discard_observer(self, sender=request)
            ending, self._ending = self._ending, False
            if ending:
                self._post('SIPRegistrationDidEnd', expired=False)
            else:
                self._post('SIPRegistrationDidFail', code=data.code, reason='The contact was not stored', route_header=request.route_header,
                           min_expires=None, retry_after=None)
            return
        self._last_request = request
        contacts = data.headers.get('Contact', [])
        self._post('SIPRegistrationDidSucceed', code=data.code, reason=data.reason, contact_header=request.contact_header,
                   contact_header_list=list(contacts), expires_in=data.expires, route_header=request.route_header)

    def _NH_SIPRequestDidFail(self, notification: Any) -> None:
        request: Request = notification.sender
        data = notification.data
        NotificationCenter().discard_observer(self, sender=request)
        if request is not self._request:
            return
        self._request = None
        self._cseq = max(self._cseq, request.cseq)
        if self._ending:
            self._ending = False
            self._drop_last()
            self._post('SIPRegistrationDidNotEnd', code=data.code, reason=data.reason)
            return
        headers = getattr(data, 'headers', {})
        if data.code == 0:
            self._post('SIPRegistrationDidFail', code=0, reason=data.reason, route_header=request.route_header)
        else:
            retry_after = headers.get('Retry-After')
            self._post('SIPRegistrationDidFail', code=data.code, reason=data.reason, route_header=request.route_header,
                       min_expires=headers.get('Min-Expires') if data.code == 423 else None,
                       retry_after=retry_after.seconds if retry_after is not None else None)

    def _NH_SIPRequestWillExpire(self, notification: Any) -> None:
        if notification.sender is self._last_request and not self._ending:
            self._post('SIPRegistrationWillExpire', expires=notification.data.expires)

    def _NH_SIPRequestDidEnd(self, notification: Any) -> None:
        NotificationCenter().discard_observer(self, sender=notification.sender)
        if notification.sender is self._last_request:
            self._last_request = None
            self._post('SIPRegistrationDidEnd', expired=True)
