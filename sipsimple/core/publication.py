"""Publication: keeps a state of ours at an event state compositor (RFC 3903)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from typing import Any

from zope.interface import implementer

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import FromHeader, FrozenRouteHeader, Header, RouteHeader, ToHeader
from sipsimple.core.request import Request, check_type
from sipsimple.core.values import Credentials, EndpointAddress, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, NotificationData

__all__ = ['Publication', 'PublicationError', 'PublicationETagError']


class PublicationError(SIPCoreError):
    """What is asked for cannot be published."""


class PublicationETagError(PublicationError):
    """A refresh of a state that the server does not keep (any more): publish it anew, with its body."""


@implementer(IObserver)
class Publication:
    """Publishes one state; each `publish()` is a PUBLISH that names the entity tag the server gave last.

    Args:
        from_header: whose state it is; also where the PUBLISH goes.
        event: name of the event package.
        duration: asked for, in seconds.
    The attributes of the same names are writable and used by the next request.
    Notifications: SIPPublicationDidSucceed, SIPPublicationDidFail, SIPPublicationWillExpire, SIPPublicationWillEnd,
        SIPPublicationDidNotEnd, SIPPublicationDidEnd.
    """

    def __init__(self, from_header: FromHeader, event: str, content_type: str, credentials: Credentials | None = None, duration: int = 300,
                 extra_headers: Iterable[Header] | None = None) -> None:
        check_type(from_header, FromHeader, 'from_header')
        check_type(credentials, Credentials, 'credentials', optional=True)
        self.from_header = FromHeader.new(from_header)
        self.event = event
        self.content_type = content_type
        self.credentials = credentials
        self.duration = duration
        self.extra_headers = list(extra_headers or ())
        self._call_id = uuid.uuid4().hex
        self._cseq = random.randrange(1, 0x7fff)
        self._request: Request | None = None            # the one under way
        self._last_request: Request | None = None       # the one that succeeded last
        self._etag: str | None = None
        self._was_published = False
        self._ending = False
        self._route_header: FrozenRouteHeader | None = None

    @property
    def is_published(self) -> bool:
        """True from a success until it is ended, ran out or turned out to be lost."""
        return self._last_request is not None

    @property
    def is_pending(self) -> bool:
        """True while a PUBLISH is not answered."""
        return self._request is not None

    @property
    def expires_in(self) -> int:
        """Seconds that the state is still kept, 0 when there is none."""
        return self._last_request.expires_in if self._last_request is not None else 0

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last response came from."""
        request = self._request or self._last_request
        return request.peer_address if request is not None else None

    def publish(self, body: str | bytes | None, route_header: RouteHeader, timeout: float | None = None) -> None:
        """Send a PUBLISH: the first one, a new body, or with None a refresh; supersedes one that is under way.

        Raises:
            ValueError: None before the first success. PublicationETagError: None, and the server keeps nothing that could be refreshed.
            SIPCoreError, TypeError: it cannot be sent.
        """
        if body is None and not self._was_published:
            raise ValueError('a body is needed until it was published once')
        if body is None and self._etag is None:
            raise PublicationETagError('there is nothing to refresh')
        self._send(body, route_header, self.duration, timeout)

    def end(self, timeout: float | None = None) -> None:
        """Remove the state; no-op when nothing is published."""
        if self._last_request is None or self._route_header is None or self._etag is None or self._ending:
            return
        self._post('SIPPublicationWillEnd')
        self._ending = True
        try:
            self._send(None, RouteHeader.new(self._route_header), 0, timeout)
        except (SIPCoreError, ValueError) as error:
            self._ending = False
            self._post('SIPPublicationDidNotEnd', code=0, reason=str(error))

    # ---- internals ---------------------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def _send(self, body: str | bytes | None, route_header: RouteHeader, expires: int, timeout: float | None) -> None:
        uri = self.from_header.uri
        headers = [*self.extra_headers, Header('Event', self.event), Header('Expires', str(expires))]
        if self._etag is not None:
            headers.append(Header('SIP-If-Match', self._etag))
        self._cseq += 1
        request = Request(
            'PUBLISH', SIPURI.new(uri), self.from_header, ToHeader(SIPURI.new(uri), self.from_header.display_name), route_header,
            credentials=self.credentials, call_id=self._call_id, cseq=self._cseq, extra_headers=headers,
            content_type=None if body is None else self.content_type, body=body)
        if expires:
            self._ending = False
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
        self._route_header = FrozenRouteHeader.new(route_header)

    def handle_notification(self, notification: Any) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _forget(self) -> None:
        """The server keeps nothing of ours."""
        self._etag = None
        self._drop_last()

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
            self._etag = None
            ending, self._ending = self._ending, False
            if ending:
                self._post('SIPPublicationDidEnd', expired=False)
            else:
                self._post('SIPPublicationDidFail', code=data.code, reason='The state was not stored', route_header=request.route_header,
                           min_expires=None, retry_after=None)
            return
        self._last_request = request
        self._was_published = True
        etag = data.headers.get('SIP-ETag')
        self._etag = None if etag is None else etag.body
        self._post('SIPPublicationDidSucceed', code=data.code, reason=data.reason, expires_in=data.expires, route_header=request.route_header)

    def _NH_SIPRequestDidFail(self, notification: Any) -> None:
        request: Request = notification.sender
        data = notification.data
        NotificationCenter().discard_observer(self, sender=request)
        if request is not self._request:
            return
        self._request = None
        self._cseq = max(self._cseq, request.cseq)
        ending, self._ending = self._ending, False
        if data.code == 412 or ending:
            self._forget()
        if ending:
            self._post('SIPPublicationDidNotEnd', code=data.code, reason=data.reason)
        else:
            headers = getattr(data, 'headers', {})
            retry_after = headers.get('Retry-After')
            self._post('SIPPublicationDidFail', code=data.code, reason=data.reason, route_header=request.route_header,
                       min_expires=headers.get('Min-Expires') if data.code == 423 else None,
                       retry_after=retry_after.seconds if retry_after is not None else None)

    def _NH_SIPRequestWillExpire(self, notification: Any) -> None:
        if notification.sender is self._last_request and not self._ending:
            self._post('SIPPublicationWillExpire', expires=notification.data.expires)

    def _NH_SIPRequestDidEnd(self, notification: Any) -> None:
        NotificationCenter().discard_observer(self, sender=notification.sender)
        if notification.sender is self._last_request:
            self._last_request = None
            self._etag = None
            self._post('SIPPublicationDidEnd', expired=True)
