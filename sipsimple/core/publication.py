"""Publication: keeps a state of ours at an event state compositor (RFC 3903)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import FromHeader, Header, RouteHeader
from sipsimple.core.refreshed_request import RefreshedRequest
from sipsimple.core.request import Request
from sipsimple.core.values import Credentials, SIPURI

__all__ = ['Publication', 'PublicationError', 'PublicationETagError']


class PublicationError(SIPCoreError):
    """What is asked for cannot be published."""


class PublicationETagError(PublicationError):
    """A refresh of a state that the server does not keep (any more): publish it anew, with its body."""


class Publication(RefreshedRequest):
    """Publishes one state; each `publish()` is a PUBLISH that names the entity tag the server gave last.

    Args:
        from_header: whose state it is; also where the PUBLISH goes.
        event: name of the event package.
        duration: asked for, in seconds.
    The attributes of the same names are writable and used by the next request.
    Notifications: SIPPublicationDidSucceed, SIPPublicationDidFail, SIPPublicationWillExpire, SIPPublicationWillEnd,
        SIPPublicationDidNotEnd, SIPPublicationDidEnd.
    """

    _prefix: ClassVar[str] = 'SIPPublication'
    _not_kept: ClassVar[str] = 'The state was not stored'

    def __init__(self, from_header: FromHeader, event: str, content_type: str, credentials: Credentials | None = None, duration: int = 300,
                 extra_headers: Iterable[Header] | None = None) -> None:
        super().__init__(from_header, credentials, duration, extra_headers)
        self.event = event
        self.content_type = content_type
        self._etag: str | None = None
        self._was_published = False

    @property
    def is_published(self) -> bool:
        """True from a success until it is ended, ran out or turned out to be lost."""
        return self._last_request is not None

    @property
    def is_pending(self) -> bool:
        """True while a PUBLISH is not answered."""
        return self._request is not None

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

    # ---- internals ---------------------------------------------------------------------------------------------

    def _send(self, body: str | bytes | None, route_header: RouteHeader, expires: int, timeout: float | None) -> None:
        headers = [Header('Event', self.event), Header('Expires', str(expires))]
        if self._etag is not None:
            headers.append(Header('SIP-If-Match', self._etag))
        self._send_request('PUBLISH', SIPURI.new(self.from_header.uri), route_header, headers, expires, timeout,
                           content_type=None if body is None else self.content_type, body=body)

    def _may_end(self) -> bool:
        return super()._may_end() and self._etag is not None

    def _send_end(self, route_header: RouteHeader, timeout: float | None) -> None:
        self._send(None, route_header, 0, timeout)

    def _succeeded(self, request: Request, data: Any) -> None:
        self._was_published = True
        etag = data.headers.get('SIP-ETag')
        self._etag = None if etag is None else etag.body
        self._post('SIPPublicationDidSucceed', code=data.code, reason=data.reason, expires_in=data.expires, route_header=request.route_header)

    def _is_lost(self, code: int) -> bool:
        return code == 412

    def _forget(self) -> None:
        super()._forget()
        self._etag = None
