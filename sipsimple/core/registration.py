"""Registration: keeps a contact bound at a registrar (RFC 3261 section 10), and the way by which it is reached open (RFC 5626)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import number
from sipsimple.core.headers import ContactHeader, FromHeader, Header, RouteHeader
from sipsimple.core.refreshed_request import RefreshedRequest
from sipsimple.core.request import Request
from sipsimple.core.values import Credentials, EndpointAddress, FrozenSIPURI, SIPURI

__all__ = ['Registration']

# Seconds between pings where the registrar does not say how often (RFC 5626 sections 4.4.1 and 4.4.2), and for the answer to one.
STREAM_INTERVAL = (95.0, 120.0)
DATAGRAM_INTERVAL = (24.0, 29.0)
PING_LIMIT = 10.0
MAX_FLOW_TIMER = 3600
FLOW_TIMER_SHARE = 0.8                  # of the time that the registrar waits for a ping: the next one comes between this and all of it


class Registration(RefreshedRequest):
    """Registers one contact; each `register()` is a REGISTER of the same Call-ID with the next CSeq.

    Args:
        from_header: the address-of-record; its host is where the REGISTER goes.
        duration: asked for, in seconds.
    The attributes of the same names are writable and used by the next request.
    Who registers with `reg-id` in the contact and `Supported: outbound` may be granted RFC 5626. Then, and where the registrar gives a Flow-Timer, the way
    of the registration is kept open and watched: SIPEngineTransportDidDisconnect with the transport and the address of the next hop tells that it is lost.
    Notifications: SIPRegistrationDidSucceed, SIPRegistrationDidFail, SIPRegistrationWillExpire, SIPRegistrationWillEnd,
        SIPRegistrationDidNotEnd, SIPRegistrationDidEnd.
    """

    _prefix: ClassVar[str] = 'SIPRegistration'
    _not_kept: ClassVar[str] = 'The contact was not stored'

    def __init__(self, from_header: FromHeader, credentials: Credentials | None = None, duration: int = 300,
                 extra_headers: Iterable[Header] | None = None) -> None:
        super().__init__(from_header, credentials, duration, extra_headers)
        self._contact_header: ContactHeader | None = None
        self._is_outbound = False
        self._seen_address: EndpointAddress | None = None

    @property
    def is_registered(self) -> bool:
        """True from a success until it is ended or ran out."""
        return self._last_request is not None

    @property
    def contact_uri(self) -> FrozenSIPURI | None:
        """The contact that was registered last, None before."""
        if self._last_request is None or self._contact_header is None:
            return None
        return FrozenSIPURI.new(self._contact_header.uri)

    @property
    def is_outbound(self) -> bool:
        """Whether the registrar reaches us by the way that the registration has come (RFC 5626 section 6); of the last success."""
        return self._is_outbound

    @property
    def seen_address(self) -> EndpointAddress | None:
        """Where the last successful REGISTER came from, as the server has it (RFC 3581): behind a NAT an address of that. None before."""
        return self._seen_address

    def register(self, contact_header: ContactHeader, route_header: RouteHeader, timeout: float | None = None) -> None:
        """Send a REGISTER, also to refresh; supersedes one that is under way.

        A local error is reported as SIPRegistrationDidFail with code 0.
        """
        try:
            self._send(contact_header, route_header, self.duration, timeout)
        except (SIPCoreError, ValueError) as error:
            self._post('SIPRegistrationDidFail', code=0, reason=str(error), route_header=route_header)

    def drop(self) -> None:
        """Forget the binding without a word to the registrar, and a request that is under way; nothing is posted."""
        self._abandon()
        self._forget()
        self._ending = False

    # ---- internals ---------------------------------------------------------------------------------------------

    def _send(self, contact_header: ContactHeader, route_header: RouteHeader, expires: int, timeout: float | None) -> None:
        uri = self.from_header.uri
        self._send_request('REGISTER', SIPURI(host=uri.host, secure=uri.secure), route_header, [Header('Expires', str(expires))], expires, timeout,
                           contact_header=contact_header)
        if expires:
            self._contact_header = ContactHeader.new(contact_header)

    def _send_end(self, route_header: RouteHeader, timeout: float | None) -> None:
        assert self._contact_header is not None     # there was a success
        self._send(self._contact_header, route_header, 0, timeout)

    def _succeeded(self, request: Request, data: Any) -> None:
        self._watch(request, data.headers)
        self._post('SIPRegistrationDidSucceed', code=data.code, reason=data.reason, contact_header=request.contact_header,
                   contact_header_list=list(data.headers.get('Contact', [])), expires_in=data.expires, route_header=request.route_header)

    def _watch(self, request: Request, headers: Any) -> None:
        """Learn what the registrar says of our way to it, and keep it open where that is wanted."""
        via = next(iter(headers.get('Via', ())), None)
        self._seen_address = None if via is None else EndpointAddress((via.received or via.host).strip('[]'), via.rport or via.port)
        self._is_outbound = 'outbound' in [token.lower() for token in headers.get('Require', ())]
        flow_timer = headers.get('Flow-Timer')
        seconds = None if flow_timer is None else number(flow_timer.body.strip(), MAX_FLOW_TIMER)
        if seconds:
            request.keep_alive((FLOW_TIMER_SHARE * seconds, seconds), PING_LIMIT)
        elif self._is_outbound:
            request.keep_alive(DATAGRAM_INTERVAL if request.route_header.uri.transport == 'udp' else STREAM_INTERVAL, PING_LIMIT)

    def _limits(self, data: Any) -> dict[str, Any]:
        return super()._limits(data) if data.code else {}   # code 0: nobody has said anything
