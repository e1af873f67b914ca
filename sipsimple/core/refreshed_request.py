"""A state of ours that a server keeps for some time: what Registration and Publication have in common."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from zope.interface import implementer

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import FromHeader, FrozenRouteHeader, Header, RouteHeader, ToHeader
from sipsimple.core.request import Request, check_type
from sipsimple.core.values import Credentials, EndpointAddress, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, NotificationData

__all__ = ['RefreshedRequest']


@implementer(IObserver)
class RefreshedRequest:
    """The requests that make a state, refresh it and take it back: all of one Call-ID, each with the next CSeq.

    At most one is under way; a new one takes its place. The last one that succeeded stays, as it tells when the time is up.

    Class attributes of derived classes:
        _prefix: what the names of the notifications begin with.
        _not_kept: reason of the failure when a server agrees, and keeps it for no time.
    """

    _prefix: ClassVar[str]
    _not_kept: ClassVar[str]

    def __init__(self, from_header: FromHeader, credentials: Credentials | None, duration: int, extra_headers: Iterable[Header] | None) -> None:
        check_type(from_header, FromHeader, 'from_header')
        check_type(credentials, Credentials, 'credentials', optional=True)
        self.from_header = FromHeader.new(from_header)
        self.credentials = credentials
        self.duration = duration
        self.extra_headers = list(extra_headers or ())
        self._call_id = uuid.uuid4().hex
        self._cseq = random.randrange(1, 0x7fff)
        self._request: Request | None = None            # the one under way
        self._last_request: Request | None = None       # the one that succeeded last
        self._ending = False
        self._route_header: FrozenRouteHeader | None = None

    @property
    def expires_in(self) -> int:
        """Seconds that the state is still kept, 0 when there is none."""
        return self._last_request.expires_in if self._last_request is not None else 0

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last response came from."""
        request = self._request or self._last_request
        return request.peer_address if request is not None else None

    def end(self, timeout: float | None = None) -> None:
        """Have the server forget the state; no-op when there is none."""
        if not self._may_end() or self._route_header is None or self._ending:
            return
        self._post(f'{self._prefix}WillEnd')
        self._ending = True
        try:
            self._send_end(RouteHeader.new(self._route_header), timeout)
        except (SIPCoreError, ValueError) as error:
            self._ending = False
            self._post(f'{self._prefix}DidNotEnd', code=0, reason=str(error))

    # ---- for derived classes -----------------------------------------------------------------------------------

    def _may_end(self) -> bool:
        """Whether there is something that can be taken back."""
        return self._last_request is not None

    def _send_end(self, route_header: RouteHeader, timeout: float | None) -> None:
        """Send the request that takes the state back."""
        raise NotImplementedError

    def _succeeded(self, request: Request, data: Any) -> None:
        """The server keeps it: remember what is needed for the next request, and post that."""
        raise NotImplementedError

    def _is_lost(self, code: int) -> bool:
        """Whether a failure says that the server keeps nothing (any more)."""
        return False

    def _forget(self) -> None:
        """The server keeps nothing of ours."""
        self._drop_last()

    def _limits(self, data: Any) -> dict[str, Any]:
        """What a failure says of when and for how long it may be tried again."""
        headers = getattr(data, 'headers', {})
        retry_after = headers.get('Retry-After')
        return {'min_expires': headers.get('Min-Expires') if data.code == 423 else None,
                'retry_after': retry_after.seconds if retry_after is not None else None}

    def _drop_last(self) -> None:
        last, self._last_request = self._last_request, None
        if last is not None:
            NotificationCenter().discard_observer(self, sender=last)
            last.end()

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def _send_request(self, method: str, request_uri: SIPURI, route_header: RouteHeader, headers: Iterable[Header], expires: int, timeout: float | None,
                      **options: Any) -> None:
        """Send the next request; `options` are those of its class."""
        self._cseq += 1
        request = Request(
            method, request_uri, self.from_header, ToHeader(SIPURI.new(self.from_header.uri), self.from_header.display_name), route_header,
            credentials=self.credentials, call_id=self._call_id, cseq=self._cseq, extra_headers=[*self.extra_headers, *headers], **options)
        if expires:
            self._ending = False
        center = NotificationCenter()
        self._abandon()
        self._request = request
        center.add_observer(self, sender=request)
        try:
            request.send(timeout=timeout)
        except BaseException:
            center.discard_observer(self, sender=request)
            self._request = None
            raise
        self._route_header = FrozenRouteHeader.new(route_header)

    def _abandon(self) -> None:
        """Nothing more is heard of the request that is under way."""
        superseded, self._request = self._request, None
        if superseded is not None:
            NotificationCenter().discard_observer(self, sender=superseded)
            superseded.end()

    # ---- what becomes of a request -----------------------------------------------------------------------------

    def handle_notification(self, notification: Any) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _answered(self, request: Request) -> bool:
        """Whether that was the request under way; there is none then."""
        if request is not self._request:
            return False
        self._request = None
        self._cseq = max(self._cseq, request.cseq)      # one more for each challenge
        return True

    def _NH_SIPRequestDidSucceed(self, notification: Any) -> None:
        request: Request = notification.sender
        data = notification.data
        if not self._answered(request):
            return
        if data.expires and not self._ending:
            self._drop_last()
            self._last_request = request
            self._succeeded(request, data)
            return
        self._forget()
        NotificationCenter().discard_observer(self, sender=request)
        ending, self._ending = self._ending, False
        if ending:
            self._post(f'{self._prefix}DidEnd', expired=False)
        else:
            self._post(f'{self._prefix}DidFail', code=data.code, reason=self._not_kept, route_header=request.route_header, min_expires=None, retry_after=None)

    def _NH_SIPRequestDidFail(self, notification: Any) -> None:
        request: Request = notification.sender
        data = notification.data
        NotificationCenter().discard_observer(self, sender=request)
        if not self._answered(request):
            return
        ending, self._ending = self._ending, False
        if ending or self._is_lost(data.code):
            self._forget()
        if ending:
            self._post(f'{self._prefix}DidNotEnd', code=data.code, reason=data.reason)
            return
        self._post(f'{self._prefix}DidFail', code=data.code, reason=data.reason, route_header=request.route_header, **self._limits(data))

    def _NH_SIPRequestWillExpire(self, notification: Any) -> None:
        if notification.sender is self._last_request and not self._ending:
            self._post(f'{self._prefix}WillExpire', expires=notification.data.expires)

    def _NH_SIPRequestDidEnd(self, notification: Any) -> None:
        NotificationCenter().discard_observer(self, sender=notification.sender)
        if notification.sender is self._last_request:
            self._last_request = None
            self._forget()
            self._post(f'{self._prefix}DidEnd', expired=True)
