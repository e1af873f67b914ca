"""Referral: asking a peer, outside of a call, to send a request (RFC 3515)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.core import _event_dialog
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.event_dialog import Reply, check_extra_headers
from sipsimple.core.headers import (
    ContactHeader,
    FromHeader,
    FrozenContactHeader,
    FrozenReferToHeader,
    Header,
    ReferToHeader,
    RouteHeader,
    ToHeader,
)
from sipsimple.core.messages import Request, parse_sipfrag
from sipsimple.core.request import check_timeout, check_type
from sipsimple.core.subscriber import OWN_HEADERS, Subscriber
from sipsimple.core.values import Credentials, SIPURI

__all__ = ['Referral']

REFRESH = 600                           # seconds asked for


class Referral(Subscriber):
    """A REFER of its own, and the subscription to how the peer fares with it.

    `state` is 'NULL', 'SENT', 'ACCEPTED', 'PENDING', 'ACTIVE' or 'TERMINATED'. It did well (SIPReferralDidEnd) when the last status that the peer told
    of is a 2xx, when nothing was to be told, or when we ended it; else it has failed, with that status or code 0 if there was none.
    Dropping the last reference ends it silently.

    Raises:
        TypeError: an argument of another class. SIPCoreError: the Engine does not run.
    Notifications: SIPReferralWillStart, SIPReferralDidStart, SIPReferralGotNotify, SIPReferralChangedState, SIPReferralDidFail,
        SIPReferralWillEnd, SIPReferralDidEnd.
    Thread: methods may be called from any thread; notifications come on the Engine thread.
    """

    _kind: ClassVar[int] = _event_dialog.REFERRAL
    _prefix: ClassVar[str] = 'SIPReferral'

    def __init__(self, request_uri: SIPURI, from_header: FromHeader, to_header: ToHeader, refer_to_header: ReferToHeader, contact_header: ContactHeader,
                 route_header: RouteHeader, credentials: Credentials | None = None) -> None:
        self._setup_subscriber('refer', request_uri, from_header, to_header, contact_header, route_header, credentials)
        check_type(refer_to_header, ReferToHeader, 'refer_to_header')
        self._refer_to_header = FrozenReferToHeader.new(refer_to_header)
        self._refresh_headers: list[Any] = []
        self._silent = False            # no subscription: nothing is told after the 2xx
        self._result: tuple[int, str] | None = None

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def refer_to_header(self) -> FrozenReferToHeader:
        """Where the peer is to send its request."""
        return self._refer_to_header

    @property
    def local_contact_header(self) -> FrozenContactHeader:
        """Where the NOTIFYs are to be sent."""
        return self._contact_header

    @property
    def remote_contact_header(self) -> FrozenContactHeader | None:
        """The peer's contact, None while it is not known."""
        value: FrozenContactHeader | None = self._remote_contact
        return value

    @property
    def extra_headers(self) -> list[Any]:
        """Frozen copies of the headers given to `send_refer`."""
        return list(self._extra_headers)

    # ---- methods -----------------------------------------------------------------------------------------------

    def send_refer(self, create_subscription: int = 1, extra_headers: Iterable[Header] = (), timeout: float | None = None) -> None:
        """Send the REFER, with a Referred-By unless one is given.

        Args:
            create_subscription: 0 asks the peer not to tell how it fares (RFC 4488); the 2xx is the end then.
            timeout: seconds for the answer, without which it fails with code 408.
        Raises:
            SIPCoreError: sent before. ValueError: an extra header that the request has by itself, timeout not positive.
        """
        check_timeout(timeout)
        headers = check_extra_headers(extra_headers, OWN_HEADERS)
        with self._lock:
            if self._state != 'NULL':
                raise SIPCoreError('a REFER can be sent once')
            self._open()
            self._state = 'SENT'
            self._extra_headers = headers
            self._silent = not create_subscription
        sent: list[Any] = [self._refer_to_header, *headers]
        if not any(header.name.lower() == 'referred-by' for header in headers):
            sent.append(Header('Referred-By', f'<{self._from_header.uri}>'))
        if self._silent:
            sent += [Header('Refer-Sub', 'false'), Header('Supported', 'norefersub')]
        self._defer(self._start, 'REFER', sent, None, None, timeout)

    def refresh(self, contact_header: ContactHeader | None = None, extra_headers: Iterable[Header] = (), timeout: float | None = None) -> None:
        """Refresh the subscription for 600 seconds, perhaps with a new contact; the other arguments serve the automatic refreshes too.

        Raises:
            SIPCoreError: not ACCEPTED, PENDING or ACTIVE, or `end` was called. ValueError: as in `send_refer`.
        """
        check_type(contact_header, ContactHeader, 'contact_header', optional=True)
        check_timeout(timeout)
        headers = check_extra_headers(extra_headers, OWN_HEADERS)
        with self._lock:
            if self._state not in ('ACCEPTED', 'PENDING', 'ACTIVE') or self._ending:
                raise SIPCoreError(f'nothing to refresh in state {self._state}')
            self._refresh_headers = headers
            self._timeout = timeout
            if contact_header is not None:
                self._contact_header = FrozenContactHeader.new(contact_header)
                self._contact = self._contact_header.body
        self._defer(self._refresh_now)

    def end(self, timeout: float | None = None) -> None:
        """Do not be told any more; what the peer does goes on. No-op when it is over.

        Args:
            timeout: seconds after which it is over whatever the peer does.
        Raises:
            SIPCoreError: never sent. ValueError: timeout not positive.
        """
        check_timeout(timeout)
        if self._claim_end():
            self._stay()
            self._defer(self._unsubscribe, timeout)

    # ---- protocol ----------------------------------------------------------------------------------------------

    def _unsubscribe(self, timeout: float | None) -> None:
        self._end(self._subscribe_headers(0, self._refresh_headers), timeout)

    def _takes(self, headers: Any) -> bool:
        self._learn_target(headers)     # a 2xx without it is of use: the outcome is what counts, and a NOTIFY may bring it
        return True

    def _is_enough(self, reply: Reply) -> bool:
        header = None if reply.message is None else reply.message.headers.get('Refer-Sub')
        if header is not None and header.body.strip().lower().startswith('false'):
            self._silent = True
        return self._silent

    def _granted(self, headers: Any) -> None:
        expires = headers.get('Expires')
        if expires and not self._ending:
            self._lasts(expires)        # else a NOTIFY tells, for the peer chooses the time

    def _refresh_now(self) -> None:
        if not self._ending:
            self._cancel('refresh')
            self._send('SUBSCRIBE', self._subscribe_headers(REFRESH, self._refresh_headers), self._on_refreshed, timeout=self._timeout)

    def _is_our_event(self, event: Any) -> bool:
        if event.event != 'refer':
            return False
        self._event_text = event.body   # with the id, which a SUBSCRIBE of ours must have too
        return True

    def _shorten(self, expires: int) -> None:
        if expires > 0:
            self._lasts(expires)

    def _heed(self, message: Request) -> None:
        self._result = parse_sipfrag(message.body) or self._result
        super()._heed(message)

    def _post_end(self) -> None:
        code, reason = self._result or (0, 'The peer has ended it')
        if self._ending or self._silent or 200 <= code < 300:
            self._post('SIPReferralDidEnd')
        else:
            self._post('SIPReferralDidFail', code=code, reason=reason)

    def _post_failure(self, code: int, reason: str, min_expires: int | None) -> None:
        if self._result is not None and self._result[0] >= 200:
            self._post_end()
        else:
            self._post('SIPReferralDidFail', code=code, reason=reason)
