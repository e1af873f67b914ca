"""Subscription: being told of an event (RFC 6665)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.core import _event_dialog, event_packages
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.event_dialog import check_extra_headers
from sipsimple.core.headers import (
    ContactHeader,
    FromHeader,
    FrozenContactHeader,
    Header,
    RouteHeader,
    ToHeader,
)
from sipsimple.core.request import check_timeout
from sipsimple.core.subscriber import OWN_HEADERS, Subscriber
from sipsimple.core.values import Credentials, SIPURI

__all__ = ['Subscription']


class Subscription(Subscriber):
    """A subscription to an event package at one resource.

    `state` is 'NULL', 'SENT', 'ACCEPTED', 'PENDING', 'ACTIVE' or 'TERMINATED'. It refreshes itself. Dropping the last reference ends it silently,
    but for one that `end` was called for.

    Args:
        event: name of a package that the Engine knows.
        refresh: asked for with each SUBSCRIBE, in seconds.
    Raises:
        ValueError: unknown event, refresh not positive. TypeError: an argument of another class. SIPCoreError: the Engine does not run.
    Notifications: SIPSubscriptionWillStart, SIPSubscriptionDidStart, SIPSubscriptionGotNotify, SIPSubscriptionChangedState,
        SIPSubscriptionDidFail, SIPSubscriptionWillEnd, SIPSubscriptionDidEnd.
    Thread: methods may be called from any thread; notifications come on the Engine thread.
    """

    _kind: ClassVar[int] = _event_dialog.SUBSCRIPTION
    _prefix: ClassVar[str] = 'SIPSubscription'

    def __init__(self, request_uri: SIPURI, from_header: FromHeader, to_header: ToHeader, contact_header: ContactHeader, event: str,
                 route_header: RouteHeader, credentials: Credentials | None = None, refresh: int = 300) -> None:
        self._setup_subscriber(event, request_uri, from_header, to_header, contact_header, route_header, credentials)
        if not event_packages.is_known(event):
            raise ValueError(f'unknown event package: {event!r}')
        if refresh <= 0:
            raise ValueError(f'refresh must be positive: {refresh!r}')
        self._refresh = refresh
        self._content_type: str | None = None
        self._body: bytes | None = None

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def contact_header(self) -> FrozenContactHeader:
        """Where the NOTIFYs are to be sent."""
        return self._contact_header

    @property
    def event(self) -> str:
        """Name of the event package."""
        return self._event

    @property
    def refresh(self) -> int:
        """Seconds asked for with each SUBSCRIBE."""
        return self._refresh

    @property
    def extra_headers(self) -> list[Any]:
        """Frozen copies of the headers given to `subscribe` last."""
        return list(self._extra_headers)

    @property
    def content_type(self) -> str | None:
        """Media type of the SUBSCRIBEs' body, None without one."""
        return self._content_type

    @property
    def body(self) -> bytes | None:
        """Body of the SUBSCRIBEs, None for none; a str was encoded in UTF-8."""
        return self._body

    # ---- methods -----------------------------------------------------------------------------------------------

    def subscribe(self, extra_headers: Iterable[Header] = (), content_type: str | None = None, body: str | bytes | None = None,
                  timeout: float | None = None) -> None:
        """Subscribe, or refresh at once; the arguments serve the automatic refreshes too.

        Args:
            timeout: seconds for the answer, without which it fails with code 408.
        Raises:
            ValueError: only one of content_type and body, an extra header that the request has by itself, timeout not positive.
            SIPCoreError: it is over, or `end` was called.
        """
        check_timeout(timeout)
        headers = check_extra_headers(extra_headers, OWN_HEADERS)
        if (content_type is None) != (body is None):
            raise ValueError('content_type and body go together')
        with self._lock:
            if self._state == 'TERMINATED' or self._ending:
                raise SIPCoreError('the Subscription is over')
            is_first = self._state == 'NULL'
            if is_first:
                self._open()
                self._state = 'SENT'
            self._extra_headers = headers
            self._content_type = content_type
            self._body = body.encode() if isinstance(body, str) else body
            self._timeout = timeout
        if is_first:
            self._defer(self._start, 'SUBSCRIBE', self._subscribe_headers(self._refresh, headers), content_type, self._body, timeout)
        else:
            self._defer(self._refresh_now)

    def end(self, timeout: float | None = None) -> None:
        """Unsubscribe: SIPSubscriptionDidEnd comes when the notifier has said its last word, or does not within some seconds; no-op when it is over.

        Args:
            timeout: seconds after which it is over whatever the peer does.
        Raises:
            SIPCoreError: never subscribed. ValueError: timeout not positive.
        """
        check_timeout(timeout)
        if self._claim_end():
            self._stay()
            self._defer(self._end, self._subscribe_headers(0, self._extra_headers), timeout)

    # ---- protocol ----------------------------------------------------------------------------------------------

    def _refresh_now(self) -> None:
        if self._ending:
            return
        self._cancel('refresh')
        self._send('SUBSCRIBE', self._subscribe_headers(self._refresh, self._extra_headers), self._on_refreshed,
                   content_type=self._content_type, body=self._body, timeout=self._timeout)

    def _granted(self, headers: Any) -> None:
        expires = headers.get('Expires', self._refresh)
        if self._ending:
            return                      # the un-SUBSCRIBE waits behind this answer
        if expires:
            self._lasts(expires)
            return
        with self._lock:
            self._ending = True
        self._wait_for_last()

    def _post_failure(self, code: int, reason: str, min_expires: int | None) -> None:
        self._post('SIPSubscriptionDidFail', code=code, reason=reason, min_expires=min_expires)
