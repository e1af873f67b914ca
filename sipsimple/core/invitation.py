"""Invitation: one INVITE dialog.

States and what leads from one to the other are in TRANSITIONS; only `_move` writes them. Methods check what they may do,
hand the work to the native part and return; every change, also one that a method caused, comes back as an event and is
applied (`invitation_events`) and posted on the thread that serves events (see `engine`), in the order in which it happened in the dialog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from sipsimple.core import _endpoint, _events, _handles, _invitation, _timers
from sipsimple.core.errors import SIPCoreError, SIPCoreInvalidStateError
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
from sipsimple.core.invitation_events import InvitationEvents
from sipsimple.core.invitation_state import SUB_TRANSITIONS, TRANSITIONS, DialogID
from sipsimple.core.request import check_reason, check_timeout, check_type, name_addr, parameters_of, route_body
from sipsimple.core.sdp import SDPSession
from sipsimple.core.values import Credentials, FrozenCredentials, FrozenSIPURI, SIPURI

__all__ = ['SUB_TRANSITIONS', 'TRANSITIONS', 'DialogID', 'Invitation']


class Invitation(InvitationEvents):
    """One INVITE dialog, made by the application for `send_invite` or by the Engine for an incoming INVITE.

    Dropping the last reference to a live one ends the dialog silently.

    Notifications: SIPInvitationChangedState, SIPInvitationGotSDPUpdate, SIPInvitationGotMessage, SIPInvitationGotUpdate (an UPDATE with a contact of the
        peer, RFC 3311; what it changes of the media comes as SIPInvitationGotSDPUpdate), SIPInvitationGotProvisionalResponse (to a re-INVITE of ours;
        those to the INVITE are changes of the state) and the SIPInvitationTransfer... family.
    Thread: methods may be called from any thread; notifications come on the one that serves events, see `engine`.
    """

    expire_warning_time: ClassVar[int] = 30

    def __init__(self) -> None:
        if '_state' in self.__dict__:
            raise SIPCoreError('the Invitation is initialised already')
        _endpoint.check_running()
        self._setup()

    # ---- methods -----------------------------------------------------------------------------------------------

    def send_invite(self, request_uri: SIPURI, from_header: FromHeader, to_header: ToHeader, route_header: RouteHeader,
                    contact_header: ContactHeader, sdp: SDPSession | None, credentials: Credentials | None = None,
                    extra_headers: Iterable[Header] = (), timeout: float | None = None) -> None:
        """Send the INVITE.

        Args:
            sdp: the offer; None asks the peer for one, which comes with the 2xx: state 'connecting' with `sdp.proposed_remote`
                set, and send_ack() has to answer it.
            timeout: seconds for a provisional answer with a tag or a 2xx; then disconnected with code 408.
        Raises:
            SIPCoreInvalidStateError: used before. SIPCoreError: more than one Replaces. PJSIPError: not sent.
        """
        check_type(request_uri, SIPURI, 'request_uri')
        check_type(from_header, FromHeader, 'from_header')
        check_type(to_header, ToHeader, 'to_header')
        check_type(route_header, RouteHeader, 'route_header')
        check_type(contact_header, ContactHeader, 'contact_header')
        check_type(sdp, SDPSession, 'sdp', optional=True)
        check_type(credentials, Credentials, 'credentials', optional=True)
        check_timeout(timeout)
        headers = list(extra_headers)
        if sum(header.name.lower() == 'replaces' for header in headers) > 1:
            raise SIPCoreError('an INVITE takes one Replaces header')
        if self._state is not None or self._handle is not None:
            raise SIPCoreInvalidStateError('the Invitation was used already')
        handle = _invitation.create()
        self._handle = handle
        self._request_uri = FrozenSIPURI.new(request_uri)
        self._from_header = FrozenFromHeader.new(from_header)
        self._to_header = FrozenToHeader.new(to_header)
        self._route_header = FrozenRouteHeader.new(route_header)
        self._local_contact_header = FrozenContactHeader.new(contact_header)
        self._credentials = None if credentials is None else FrozenCredentials.new(credentials)
        self._direction = 'outgoing'
        self._transport = route_header.uri.transport
        text = None if sdp is None else str(sdp)
        self.sdp._set(proposed_local=text)
        _handles.bind(handle.number, self)
        try:
            if timeout is not None:
                self._timer = _timers.call_later(timeout, self._give_up)
            _invitation.invite(handle, str(request_uri), name_addr(from_header), name_addr(to_header),
                               parameters_of(from_header), parameters_of(to_header), contact_header.body,
                               route_body(route_header), text, headers, self._credentials)
        except BaseException:
            self._stop_timer()
            handle.close()
            self._setup()
            raise

    def send_response(self, code: int, reason: str | None = None, contact_header: ContactHeader | None = None,
                      sdp: SDPSession | None = None, extra_headers: Iterable[Header] = ()) -> None:
        """Answer the INVITE, or the re-INVITE that waits.

        Raises:
            SIPCoreInvalidStateError: nothing waits for an answer. ValueError: not a status code.
            SIPCoreError: 2xx without or >=300 with SDP, or a reason that no status line may have. PJSIPError: not sent.
        """
        check_type(contact_header, ContactHeader, 'contact_header', optional=True)
        check_type(sdp, SDPSession, 'sdp', optional=True)
        first = self._direction == 'incoming' and self._state in ('incoming', 'early') and not self._answered
        later = self._state == 'connected' and self._sub_state in ('received_proposal', 'received_proposal_request')
        if not (first or later) or self._handle is None:
            raise SIPCoreInvalidStateError(f'nothing to answer in state {self._state}/{self._sub_state}')
        if not 100 <= code < 700:
            raise ValueError(f'not a status code: {code!r}')
        check_reason(reason)
        if 200 <= code < 300 and sdp is None:
            raise SIPCoreError('a 2xx needs an SDP')
        if code >= 300 and sdp is not None:
            raise SIPCoreError('a negative answer has no SDP')
        text = None if sdp is None else str(sdp)
        if first and code >= 200:
            self._answered = True
        if text is not None:
            self.sdp._set(proposed_local=text)
        try:
            _invitation.answer(self._handle, code, reason, None if contact_header is None else contact_header.body, text, extra_headers)
        except SIPCoreError:
            if first:
                self._answered = False
            raise
        if contact_header is not None:
            self._local_contact_header = FrozenContactHeader.new(contact_header)

    def send_ack(self, sdp: SDPSession, extra_headers: Iterable[Header] = ()) -> None:
        """Answer the offer that the peer's 2xx brought to our INVITE without one.

        Raises:
            SIPCoreInvalidStateError: no offer waits. PJSIPError: not sent.
        """
        check_type(sdp, SDPSession, 'sdp')
        if self._state != 'connecting' or self._direction != 'outgoing' or self._handle is None or self.sdp.proposed_remote is None:
            raise SIPCoreInvalidStateError(f'no offer to answer in state {self._state}/{self._sub_state}')
        self.sdp._set(proposed_local=str(sdp))
        _invitation.ack(self._handle, sdp, extra_headers)

    def send_reinvite(self, contact_header: ContactHeader | None = None, sdp: SDPSession | None = None,
                      extra_headers: Iterable[Header] = ()) -> None:
        """Propose a change; without an SDP the active one is offered again.

        When the ACK for our answer to a proposal of the peer is still awaited, ours goes out behind it (RFC 3261 section 14.1).

        Raises:
            SIPCoreError: not in connected/normal. PJSIPError: not sent, also when a proposal of the peer just arrived.
        """
        self._offer(False, contact_header, sdp, extra_headers)

    def send_update(self, contact_header: ContactHeader | None = None, sdp: SDPSession | None = None,
                    extra_headers: Iterable[Header] = ()) -> None:
        """The same by UPDATE (RFC 3311), which the peer answers at once; SIPInvitationGotSDPUpdate tells the outcome."""
        self._offer(True, contact_header, sdp, extra_headers)

    def _offer(self, update: bool, contact_header: ContactHeader | None, sdp: SDPSession | None, extra_headers: Iterable[Header]) -> None:
        check_type(contact_header, ContactHeader, 'contact_header', optional=True)
        check_type(sdp, SDPSession, 'sdp', optional=True)
        if self._state != 'connected' or self._sub_state != 'normal' or self._handle is None:
            raise SIPCoreError(f'no proposal in state {self._state}/{self._sub_state}')
        text = None if sdp is None else str(sdp)
        self.sdp._set(proposed_local=text if text is not None else self.sdp._texts.get('active_local'))
        try:
            _invitation.offer(self._handle, update, None if contact_header is None else contact_header.body, text, extra_headers)
        except BaseException:
            self.sdp._set(proposed_local=None)
            raise
        if contact_header is not None:
            self._local_contact_header = FrozenContactHeader.new(contact_header)

    def cancel_reinvite(self) -> None:
        """CANCEL our proposal; it ends in connected/normal, usually with 487. SIPCoreError when there is none."""
        if self._state != 'connected' or self._sub_state != 'sent_proposal' or self._handle is None:
            raise SIPCoreError(f'no proposal to cancel in state {self._state}/{self._sub_state}')
        _invitation.cancel_reinvite(self._handle)

    def send_message(self, content_type: str, content: str | bytes, extra_headers: Iterable[Header] = ()) -> None:
        """Send a MESSAGE in the dialog; its result is not reported. SIPCoreError outside early and connected."""
        if self._state not in ('early', 'connected') or self._handle is None:
            raise SIPCoreError(f'no MESSAGE in state {self._state}')
        _invitation.message(self._handle, content_type, content.encode() if isinstance(content, str) else content, extra_headers)

    def end(self, extra_headers: Iterable[Header] = (), timeout: float | None = None) -> None:
        """CANCEL or BYE; no-op when disconnected.

        Args:
            timeout: seconds for the reply; then disconnected with code 408, "timeout". Also for an end that is under way.
        Raises:
            SIPCoreError: nothing to end yet, or an incoming INVITE that must be answered.
        """
        check_timeout(timeout)
        state = self._state
        if state == 'disconnected':
            return
        if state == 'disconnecting':
            if timeout is not None:
                self._limit_end(timeout)
            return
        unanswered = self._direction == 'incoming' and not self._answered
        if self._handle is None or state is None and self._direction is None or unanswered and state in ('incoming', 'early'):
            raise SIPCoreError(f'nothing to end in state {state}')
        self._ended = True
        if timeout is not None:
            self._limit_end(timeout)
        _invitation.end(self._handle, 487 if state in (None, 'outgoing', 'early') else 200, extra_headers)

    def _limit_end(self, timeout: float) -> None:
        self._stop_timer()
        self._timer = _timers.call_later(timeout, self._give_up)


def _on_incoming(obj: None, event: _events.Event) -> None:
    Invitation._incoming(event)


_events.register(_events.INV_INCOMING, _on_incoming, fresh=True)
_events.register(_events.INV_STATE, Invitation._on_state)
_events.register(_events.INV_SDP, Invitation._on_sdp)
_events.register(_events.INV_REINVITE, Invitation._on_reinvite)
_events.register(_events.INV_REINVITE_SENT, lambda invitation, event: invitation._on_reinvite_sent())
_events.register(_events.INV_REINVITE_PROGRESS, Invitation._on_reinvite_progress)
_events.register(_events.INV_REINVITE_END, Invitation._on_reinvite_end)
_events.register(_events.INV_MESSAGE, Invitation._on_message)
_events.register(_events.INV_UPDATE, Invitation._on_update)
_events.register(_events.INV_TRANSFER_IN, Invitation._on_transfer_in)
_events.register(_events.INV_TRANSFER_STATE, Invitation._on_transfer_state)
_events.register(_events.INV_TRANSFER_NOTIFY, Invitation._on_transfer_notify)
_events.register(_events.INV_TRANSFER_OUT, Invitation._on_transfer_out)
_events.register(_events.INV_OFFER, Invitation._on_offer)
