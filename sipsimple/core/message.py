"""Message: one MESSAGE outside dialogs (RFC 3428)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zope.interface import implementer

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import FromHeader, FrozenFromHeader, FrozenRouteHeader, FrozenToHeader, Header, RouteHeader, ToHeader
from sipsimple.core.request import Request, check_type
from sipsimple.core.values import Credentials, EndpointAddress, FrozenCredentials, SIPURI
from sipsimple.notification import IObserver, NotificationCenter, NotificationData

__all__ = ['Message']


@implementer(IObserver)
class Message:
    """A MESSAGE to the To URI; a str body is sent as UTF-8.

    Notifications: SIPMessageDidSucceed, SIPMessageDidFail, with the data of the request's own notification.
    """

    def __init__(self, from_header: FromHeader, to_header: ToHeader, route_header: RouteHeader, content_type: str, body: str | bytes,
                 credentials: Credentials | None = None, extra_headers: Iterable[Header] | None = None) -> None:
        check_type(to_header, ToHeader, 'to_header')
        if content_type is None or body is None:
            raise ValueError('a Message needs a content type and a body')
        self._request = Request('MESSAGE', SIPURI.new(to_header.uri), from_header, to_header, route_header, credentials=credentials,
                                extra_headers=extra_headers, content_type=content_type, body=body)
        self._sent = False

    @property
    def from_header(self) -> FrozenFromHeader:
        """Who sends it."""
        return self._request.from_header

    @property
    def to_header(self) -> FrozenToHeader:
        """Whom it is for; its URI is the request URI too."""
        return self._request.to_header

    @property
    def route_header(self) -> FrozenRouteHeader:
        """The next hop."""
        return self._request.route_header

    @property
    def content_type(self) -> str | None:
        """Media type of the body."""
        return self._request.content_type

    @property
    def body(self) -> bytes | None:
        """The body; a str was encoded in UTF-8."""
        return self._request.body

    @property
    def credentials(self) -> FrozenCredentials | None:
        """What a challenge is answered with; None: it is the final answer."""
        return self._request.credentials

    @property
    def is_sent(self) -> bool:
        """True once send() succeeded."""
        return self._sent

    @property
    def in_progress(self) -> bool:
        """True until the final response."""
        return self._request.state == 'IN_PROGRESS'

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last response came from, None before one."""
        return self._request.peer_address

    def send(self, timeout: float | None = None) -> None:
        """Send it. RuntimeError when it was sent before; SIPCoreError when it cannot be."""
        if self._sent:
            raise RuntimeError('the Message was sent already')
        center = NotificationCenter()
        center.add_observer(self, sender=self._request)
        self._sent = True
        try:
            self._request.send(timeout=timeout)
        except SIPCoreError:
            self._sent = False
            center.discard_observer(self, sender=self._request)
            raise

    def end(self) -> None:
        """Stop waiting: it fails with 408."""
        self._request.end()

    def handle_notification(self, notification: Any) -> None:
        center = NotificationCenter()
        if notification.name == 'SIPRequestDidSucceed':
            center.post_notification('SIPMessageDidSucceed', sender=self, data=notification.data)
        elif notification.name == 'SIPRequestDidFail':
            center.post_notification('SIPMessageDidFail', sender=self, data=NotificationData(**vars(notification.data)))
        if notification.name == 'SIPRequestDidEnd':
            center.discard_observer(self, sender=notification.sender)
