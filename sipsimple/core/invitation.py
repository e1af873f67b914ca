"""Invitation: one INVITE dialog.

States and what leads from one to the other are in TRANSITIONS; only `_move` writes them. Methods check what they may do,
hand the work to the native part and return; every change, also one that a method caused, comes back as an event and is
applied and posted on the thread that serves events (see `engine`), in the order in which it happened in the dialog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from sipsimple.core import _endpoint, _events, _handles, _invitation, _timers
from sipsimple.core.errors import ENGINE_ENDED, SIPCoreError, SIPCoreInvalidStateError
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
from sipsimple.core.messages import Request, Response, parse_message, parse_request, parse_sipfrag
from sipsimple.core.request import check_reason, check_timeout, check_type, name_addr, parameters_of, route_body
from sipsimple.core.sdp import FrozenSDPSession, SDPSession
from sipsimple.core.values import Credentials, EndpointAddress, FrozenCredentials, FrozenSIPURI, SIPURI
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['Invitation', 'DialogID']

# state -> states it may go to
TRANSITIONS: dict[str | None, frozenset[str]] = {
    None: frozenset(('outgoing', 'incoming')),
    'outgoing': frozenset(('early', 'connecting', 'disconnecting', 'disconnected')),
    'incoming': frozenset(('early', 'connecting', 'disconnecting', 'disconnected')),
    'early': frozenset(('early', 'connecting', 'disconnecting', 'disconnected')),
    'connecting': frozenset(('connected', 'disconnecting', 'disconnected')),
    'connected': frozenset(('connected', 'disconnecting', 'disconnected')),     # connected: another sub-state
    'disconnecting': frozenset(('disconnected',)),
    'disconnected': frozenset(),
}

# sub-state of 'connected' -> sub-states it may go to
SUB_TRANSITIONS: dict[str, frozenset[str]] = {
    'normal': frozenset(('sent_proposal', 'received_proposal', 'received_proposal_request')),
    'sent_proposal': frozenset(('normal',)),
    'received_proposal': frozenset(('normal',)),
    'received_proposal_request': frozenset(('normal',)),
}

NATIVE_STATES = {1: 'outgoing', 3: 'early', 4: 'connecting', 5: 'connected', 6: 'disconnected',
                 _invitation.STATE_DISCONNECTING: 'disconnecting'}
ORIGINATORS = {0: None, 1: 'local', 2: 'remote'}
TRANSFER_TIMEOUT = 90


class DialogID(NamedTuple):
    """Identity of a dialog (RFC 3261 section 12)."""

    call_id: str | None
    local_tag: str | None
    remote_tag: str | None


class SDPPayloads:
    """The session descriptions of an Invitation; each a FrozenSDPSession or None, parsed when asked for."""

    __slots__ = ('_parsed', '_texts')

    def __init__(self) -> None:
        self._texts: dict[str, bytes | str | None] = {}
        self._parsed: dict[str, FrozenSDPSession] = {}

    def _get(self, name: str) -> FrozenSDPSession | None:
        found = self._parsed.get(name)
        if found is None:
            text = self._texts.get(name)
            if text is not None:
                found = FrozenSDPSession.parse(text)
                if self._texts.get(name) is text:
                    self._parsed[name] = found
        return found

    def _set(self, **texts: bytes | str | None) -> None:
        for name, text in texts.items():
            self._texts[name] = text
            self._parsed.pop(name, None)

    def _agree(self, local: bytes, remote: bytes) -> None:
        """The exchange under way is over, with these in force; what the core hands on as it came is not parsed again."""
        offer = self._parsed.get('proposed_remote') if self._texts.get('proposed_remote') == remote else None
        self._set(proposed_local=None, proposed_remote=None, active_local=local, active_remote=remote)
        if offer is not None:
            self._parsed['active_remote'] = offer

    def _forget_parsed(self) -> None:
        """The call is over. Whoever still wants to know has the texts parsed again: some 60 objects less for the garbage collector, in whose
        hands most ended calls fall."""
        self._parsed.clear()

    @property
    def proposed_local(self) -> FrozenSDPSession | None:
        """Our offer or answer of the exchange under way."""
        return self._get('proposed_local')

    @property
    def proposed_remote(self) -> FrozenSDPSession | None:
        """The peer's offer or answer of the exchange under way."""
        return self._get('proposed_remote')

    @property
    def active_local(self) -> FrozenSDPSession | None:
        """Our description that is in force."""
        return self._get('active_local')

    @property
    def active_remote(self) -> FrozenSDPSession | None:
        """The peer's description that is in force."""
        return self._get('active_remote')


def _reason_text(headers: Any) -> str | None:
    reason = headers.get('Reason')
    return reason.text if reason is not None else None


class Invitation:
    """One INVITE dialog, made by the application for `send_invite` or by the Engine for an incoming INVITE.

    Dropping the last reference to a live one ends the dialog silently.

    Notifications: SIPInvitationChangedState, SIPInvitationGotSDPUpdate, SIPInvitationGotMessage, SIPInvitationGotProvisionalResponse (to a
        re-INVITE of ours; those to the INVITE are changes of the state) and the
        SIPInvitationTransfer... family.
    Thread: methods may be called from any thread; notifications come on the one that serves events, see `engine`.
    """

    expire_warning_time: ClassVar[int] = 30

    def __init__(self) -> None:
        if '_state' in self.__dict__:
            raise SIPCoreError('the Invitation is initialised already')
        _endpoint.check_running()
        self._setup()

    def _setup(self) -> None:
        self._state: str | None = None
        self._sub_state: str | None = None
        self._direction: str | None = None
        self._transport: str | None = None
        self._handle: _handles.Handle | None = None
        self._timer: _timers.Timer | None = None
        self._call_id: str | None = None
        self._dialog_id: DialogID | None = None
        self._request_uri: FrozenSIPURI | None = None
        self._from_header: FrozenFromHeader | None = None
        self._to_header: FrozenToHeader | None = None
        self._route_header: FrozenRouteHeader | None = None
        self._local_contact_header: FrozenContactHeader | None = None
        self._remote_contact_header: FrozenContactHeader | None = None
        self._credentials: FrozenCredentials | None = None
        self._remote_user_agent: str | None = None
        self._peer_address: EndpointAddress | None = None
        self._answered = False              # a final answer to the INVITE was handed to the native part
        self._ended = False                 # end() was called
        self._cause: tuple[int, str, str] | None = None     # code, reason, disconnect_reason when the core ends it by itself
        self.sdp = SDPPayloads()
        self._transfer_state: str | None = None
        self._transfer_incoming = False
        self._transfer_result: tuple[int, str] | None = None
        self._transfer_timer: _timers.Timer | None = None

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def state(self) -> str | None:
        """None (not used yet), 'incoming', 'outgoing', 'early', 'connecting', 'connected', 'disconnecting' or 'disconnected'."""
        return self._state

    @property
    def sub_state(self) -> str | None:
        """None but in 'connected': 'normal', 'sent_proposal', 'received_proposal', 'received_proposal_request'."""
        return self._sub_state

    @property
    def direction(self) -> str | None:
        """None, 'incoming' or 'outgoing'."""
        return self._direction

    @property
    def transport(self) -> str | None:
        """'udp', 'tcp' or 'tls'."""
        return self._transport

    @property
    def call_id(self) -> str | None:
        """The Call-ID, None before there is one."""
        return self.dialog_id.call_id

    @property
    def dialog_id(self) -> DialogID:
        """Call-ID and tags of the dialog (RFC 3261 §12), each None while it is not known."""
        known = self._dialog_id
        if known is None or known.remote_tag is None:
            found = _invitation.dialog_id(self._handle) if self._handle is not None else None
            if found is not None:
                known = DialogID(found[0] or None, found[1] or None, found[2] or None)
                self._dialog_id = known
        return known if known is not None else DialogID(self._call_id, None, None)

    @property
    def request_uri(self) -> FrozenSIPURI | None:
        """Request URI of the INVITE, None before there is one."""
        return self._request_uri

    @property
    def from_header(self) -> FrozenFromHeader | None:
        """From header of the INVITE, None before there is one."""
        return self._from_header

    @property
    def to_header(self) -> FrozenToHeader | None:
        """To header of the INVITE, None before there is one."""
        return self._to_header

    @property
    def route_header(self) -> FrozenRouteHeader | None:
        """The next hop of an outgoing INVITE, else None."""
        return self._route_header

    @property
    def local_contact_header(self) -> FrozenContactHeader | None:
        """Our contact in the dialog, None while there is none."""
        return self._local_contact_header

    @property
    def remote_contact_header(self) -> FrozenContactHeader | None:
        """The peer's contact in the dialog, None while it is not known."""
        return self._remote_contact_header

    @property
    def credentials(self) -> FrozenCredentials | None:
        """What a challenge is answered with; None: it is the final answer."""
        return self._credentials

    @property
    def remote_user_agent(self) -> str | None:
        """The peer's User-Agent, else its Server."""
        return self._remote_user_agent

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last message came from."""
        return self._peer_address

    @property
    def local_identity(self) -> FrozenFromHeader | FrozenToHeader | None:
        """Who we are: From of an outgoing INVITE, To of an incoming one; None before there is one."""
        return {'outgoing': self._from_header, 'incoming': self._to_header}.get(self._direction or '')

    @property
    def remote_identity(self) -> FrozenFromHeader | FrozenToHeader | None:
        """Who the peer is: To of an outgoing INVITE, From of an incoming one; None before there is one."""
        return {'outgoing': self._to_header, 'incoming': self._from_header}.get(self._direction or '')

    @property
    def transfer_state(self) -> str | None:
        """State of a REFER in the dialog (RFC 3515), None before one."""
        return self._transfer_state

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
            timeout: seconds for the reply; then disconnected with code 408, "timeout".
        Raises:
            SIPCoreError: nothing to end yet, or an incoming INVITE that must be answered.
        """
        check_timeout(timeout)
        state = self._state
        if state in ('disconnected', 'disconnecting'):
            return
        unanswered = self._direction == 'incoming' and not self._answered
        if self._handle is None or state is None and self._direction is None or unanswered and state in ('incoming', 'early'):
            raise SIPCoreError(f'nothing to end in state {state}')
        self._ended = True
        if timeout is not None:
            self._stop_timer()
            self._timer = _timers.call_later(timeout, self._give_up)
        _invitation.end(self._handle, 487 if state in (None, 'outgoing', 'early') else 200, extra_headers)

    def transfer(self, target_uri: SIPURI, replaced_dialog_id: DialogID | None = None, extra_headers: Iterable[Header] = ()) -> None:
        """Ask the peer to call `target_uri` (REFER in the dialog); with a complete dialog id an attended transfer.

        Raises:
            SIPCoreError: not connected, or a transfer is running. PJSIPError: not sent.
        """
        if self._state != 'connected' or self._handle is None:
            raise SIPCoreError(f'no transfer in state {self._state}')
        if self._transfer_state not in (None, 'TERMINATED'):
            raise SIPCoreError('a transfer is running')
        target = SIPURI.new(target_uri)
        if replaced_dialog_id is not None and None not in replaced_dialog_id:
            call_id, local_tag, remote_tag = replaced_dialog_id
            target.headers['Replaces'] = f'{call_id};from-tag={local_tag};to-tag={remote_tag}'
        headers = list(extra_headers)
        if self.local_identity is not None and not any(header.name.lower() == 'referred-by' for header in headers):
            headers.append(Header('Referred-By', f'<{self.local_identity.uri}>'))
        self._transfer_incoming = False
        self._transfer_result = None
        self._transfer_state = 'SENT'
        try:
            _invitation.transfer(self._handle, f'<{target}>', headers)
        except BaseException:
            self._transfer_state = None
            raise
        self._transfer_timer = _timers.call_later(TRANSFER_TIMEOUT, self._transfer_timed_out)

    def notify_transfer_progress(self, code: int, reason: str | None = None) -> None:
        """Tell the peer how the transfer it asked for goes; a final code ends it. SIPCoreError when there is none."""
        if not self._transfer_incoming or self._transfer_state in (None, 'TERMINATED') or self._handle is None:
            raise SIPCoreError('no incoming transfer is running')
        check_reason(reason)
        if code >= 200:
            self._transfer_result = (code, reason or '')
        _invitation.transfer_notify(self._handle, code, reason)

    # ---- events: state -----------------------------------------------------------------------------------------

    def _post(self, name: str, data: NotificationData) -> None:
        NotificationCenter().post_notification(name, sender=self, data=data)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        if self._handle is not None and self._state != 'disconnected':
            _invitation.abort(self._handle, 408, 'timeout')

    def _move(self, state: str, sub_state: str | None, originator: str | None, message: dict[str, Any]) -> None:
        """The one place that changes the state; posts the notification."""
        previous, previous_sub = self._state, self._sub_state
        data: dict[str, Any] = {'prev_state': previous, 'state': state, 'originator': originator, **message}
        if previous == 'connected':
            data['prev_sub_state'] = previous_sub
        if state == 'connected':
            data['sub_state'] = sub_state
        self._state, self._sub_state = state, sub_state
        self._post('SIPInvitationChangedState', NotificationData(**data))

    def _learn(self, message: Any, sent: bool, is_request: bool) -> None:
        """What a message of the peer tells about it."""
        if sent:
            return
        headers = message.headers
        agent = headers.get('User-Agent') or headers.get('Server')
        if agent is not None:
            self._remote_user_agent = agent.body
        contacts = headers.get('Contact')
        if contacts:
            self._remote_contact_header = contacts[0]
        if not is_request and self._direction == 'outgoing':
            to_header = headers.get('To')
            if to_header is not None and to_header.tag:
                self._to_header = to_header

    def _on_state(self, event: _events.Event) -> None:
        native, code, origin, flags, port = event.num[:5]
        raw, reason, source, _ = event.data
        state = NATIVE_STATES.get(native)
        if state == 'disconnected' and self._state is None and self._direction == 'outgoing':
            # The very first send failed, and PJSIP goes to the end at once.
            self._move('outgoing', None, 'local', {'headers': {}, 'body': None, 'method': 'INVITE', 'request_uri': self._request_uri})
        if state is None or state not in TRANSITIONS[self._state]:
            return                          # a repetition, or news from a dialog that was given up
        if source:
            self._peer_address = EndpointAddress(source.decode(), port)
        originator = ORIGINATORS[origin]
        message: dict[str, Any] = {'headers': {}, 'body': None}
        is_request = bool(flags & _invitation.FLAG_REQUEST)
        text = reason.decode('utf-8', 'replace')
        if raw:
            parsed = parse_message(raw)
            if state in ('connecting', 'connected', 'early'):
                self._learn(parsed, bool(flags & _invitation.FLAG_LOCAL), is_request)
            message = {'headers': parsed.headers, 'body': parsed.body}
            if isinstance(parsed, Request):
                message.update(method=parsed.method, request_uri=parsed.request_uri)
            else:
                message.update(code=parsed.code, reason=parsed.reason)
        elif state in ('early', 'connecting', 'connected'):
            message.update(code=code, reason=text)
        if state != 'outgoing':
            if not (state == 'disconnecting' and self._ended):
                self._stop_timer()
        if state == 'disconnected':
            self._disconnect(code, text, originator, is_request, bool(raw), message)
        else:
            if state == 'disconnecting' and code:
                self._cause = self._own_cause(code, text, bool(flags & _invitation.FLAG_MISSING_ACK))
            self._move(state, 'normal' if state == 'connected' else None, originator, message)

    @staticmethod
    def _own_cause(code: int, text: str, missing_ack: bool) -> tuple[int, str, str]:
        """Why the core sends a BYE without being asked."""
        if missing_ack:
            return code, text, 'missing ACK'
        if code == 408:
            return code, text, 'timeout'
        return code, text, 'internal error' if code == 488 or code == 406 else text

    def _disconnect(self, code: int, text: str, originator: str | None, is_request: bool, has_message: bool, message: dict[str, Any]) -> None:
        why = _reason_text(message['headers']) if originator == 'remote' else None
        if originator == 'remote' and not is_request and message['headers'].get('CSeq', (0, ''))[1] == 'BYE':
            originator, why = 'local', None         # the peer only agrees with our BYE
        if originator == 'local' and code == 503 and not has_message:
            code, text = 408, 'Transport Error'
        if self._direction == 'incoming' and self._state in ('incoming', 'early') and code == 487 and not self._ended:
            originator, why = 'remote', why or 'user request'       # the 487 is ours, the CANCEL was the peer's
        if self._cause is not None and originator == 'local':
            code, text, why = self._cause
        elif why is None:
            timed_out = code == 408 and not has_message and text != 'Transport Error'
            if timed_out:
                why = 'timeout'
            elif self._ended:
                why = 'user request'
            elif originator == 'remote':
                why = 'user request' if is_request else text
            elif self._answered and self._state != 'connected':
                why = 'user request'
            else:
                why = text
        message.update(code=code, reason=text, disconnect_reason=why)
        self._end_transfer(0, 'the dialog ended')
        self._move('disconnected', None, originator, message)
        self.sdp._forget_parsed()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _engine_ended(self) -> None:
        handle, self._handle = self._handle, None
        self._stop_timer()
        if handle is None or self._state == 'disconnected':
            return
        if self._state is None:             # stopped before the core could say that it is on its way
            self._move('outgoing', None, 'local', {'headers': {}, 'body': None, 'method': 'INVITE', 'request_uri': self._request_uri})
        self._end_transfer(0, ENGINE_ENDED)
        self._move('disconnected', None, 'local', {'headers': {}, 'body': None, 'code': 0, 'reason': ENGINE_ENDED, 'disconnect_reason': ENGINE_ENDED})

    # ---- events: offers ----------------------------------------------------------------------------------------

    def _on_sdp(self, event: _events.Event) -> None:
        local, remote, error = event.data
        over = self._state in ('disconnecting', 'disconnected')
        agreed = event.num[0] == 0 and local and remote
        if agreed and not over:
            self.sdp._agree(local, remote)
        else:
            self.sdp._set(proposed_local=None, proposed_remote=None)
        if over:
            return
        if agreed:
            self._post('SIPInvitationGotSDPUpdate', NotificationData(
                succeeded=True, local_sdp=self.sdp.active_local, remote_sdp=self.sdp.active_remote))
        else:
            self._post('SIPInvitationGotSDPUpdate', NotificationData(succeeded=False, error=error.decode('utf-8', 'replace')))

    def _move_sub(self, sub_state: str, originator: str | None, message: dict[str, Any]) -> None:
        if self._state == 'connected' and self._sub_state is not None and sub_state in SUB_TRANSITIONS[self._sub_state]:
            self._move('connected', sub_state, originator, message)

    def _on_reinvite(self, event: _events.Event) -> None:
        raw, offer = event.data
        message = parse_request(raw)
        self._learn(message, False, True)
        self.sdp._set(proposed_remote=offer or None)
        self._move_sub('received_proposal' if event.num[0] else 'received_proposal_request', 'remote', {
            'method': message.method, 'request_uri': message.request_uri, 'headers': message.headers, 'body': message.body})

    def _on_reinvite_sent(self) -> None:
        self._move_sub('sent_proposal', 'local', {'headers': {}, 'body': None})

    def _on_reinvite_progress(self, event: _events.Event) -> None:
        response = parse_message(event.data[0])
        if self._sub_state == 'sent_proposal' and isinstance(response, Response):
            self._post('SIPInvitationGotProvisionalResponse', NotificationData(
                code=response.code, reason=response.reason, headers=response.headers, body=response.body))

    def _on_reinvite_end(self, event: _events.Event) -> None:
        code, origin, _ = event.num[:3]
        raw, reason = event.data
        message: dict[str, Any] = {'code': code, 'reason': reason.decode('utf-8', 'replace'), 'headers': {}, 'body': None}
        if raw:
            parsed = parse_message(raw)
            if isinstance(parsed, Response):
                message = {'code': parsed.code, 'reason': parsed.reason, 'headers': parsed.headers, 'body': parsed.body}
                self._learn(parsed, origin == 1, False)
            else:
                message.update(headers=parsed.headers, body=parsed.body)
        elif code == 503 and origin == 1:
            message.update(code=408, reason='Transport Error')
        self.sdp._set(proposed_local=None, proposed_remote=None)
        self._move_sub('normal', ORIGINATORS[origin], message)

    @staticmethod
    def _request_data(message: Request) -> NotificationData:
        return NotificationData(method=message.method, request_uri=message.request_uri, headers=message.headers, body=message.body)

    def _on_message(self, event: _events.Event) -> None:
        self._post('SIPInvitationGotMessage', self._request_data(parse_request(event.data[0])))

    def _on_offer(self, event: _events.Event) -> None:
        self.sdp._set(proposed_remote=event.data[0])

    # ---- events: transfer --------------------------------------------------------------------------------------

    def _set_transfer_state(self, state: str) -> None:
        previous, self._transfer_state = self._transfer_state, state
        if previous != state:
            self._post('SIPInvitationTransferChangedState', NotificationData(prev_state=previous, state=state))

    def _stop_transfer_timer(self) -> None:
        timer, self._transfer_timer = self._transfer_timer, None
        if timer is not None:
            timer.cancel()

    @staticmethod
    def _silent(message: Request | Response) -> bool:
        header = message.headers.get('Refer-Sub')
        return header is not None and header.body.strip().lower().startswith('false')

    def _transfer_timed_out(self) -> None:
        if self._transfer_state == 'SENT':
            self._end_transfer(408, 'Request Timeout')

    def _on_transfer_out(self, event: _events.Event) -> None:
        if not event.data[0]:
            return                          # not printed yet when it was sent, for its host is still being looked up
        message = parse_request(event.data[0])
        self._post('SIPInvitationTransferChangedState', NotificationData(prev_state=None, state='SENT'))
        self._post('SIPInvitationTransferNewOutgoing', self._request_data(message))

    def _on_transfer_in(self, event: _events.Event) -> None:
        message = parse_request(event.data[0])
        self._transfer_incoming = True
        self._transfer_result = None
        self._transfer_state = None
        self._set_transfer_state('INCOMING')
        self._post('SIPInvitationTransferNewIncoming', self._request_data(message))
        self._post('SIPInvitationTransferDidStart', NotificationData())
        self._set_transfer_state('ACTIVE')

    def _on_transfer_state(self, event: _events.Event) -> None:
        state, raw, reason = event.data
        code, text = event.num[1], reason.decode('utf-8', 'replace')
        name = state.decode()
        if self._transfer_state in (None, 'TERMINATED'):
            return
        if name == 'TERMINATED':
            if self._transfer_result is not None:
                self._end_transfer(*self._transfer_result)
            else:
                self._end_transfer(code if code >= 300 else 0, text)
        elif not self._transfer_incoming and name in ('ACCEPTED', 'PENDING', 'ACTIVE'):
            self._stop_transfer_timer()
            if self._transfer_state == 'SENT':
                self._post('SIPInvitationTransferDidStart', NotificationData())
            self._set_transfer_state(name)
            if name == 'ACCEPTED' and raw and self._silent(parse_message(raw)):
                self._end_transfer(code, text)      # RFC 4488: there will be no NOTIFY, so this is all we learn

    def _on_transfer_notify(self, event: _events.Event) -> None:
        message = parse_request(event.data[0])
        headers = message.headers
        content_type, event_header = headers.get('Content-Type'), headers.get('Event')
        self._post('SIPInvitationTransferGotNotify', NotificationData(
            request_uri=message.request_uri, from_header=headers.get('From'), to_header=headers.get('To'), headers=headers,
            body=message.body, content_type=None if content_type is None else content_type.content_type,
            event=None if event_header is None else event_header.event))
        status = parse_sipfrag(message.body or b'')
        if status is not None and status[0] >= 200:
            self._transfer_result = status
            self._end_transfer(*status)

    def _end_transfer(self, code: int, reason: str) -> None:
        """Report the end of a running transfer, once."""
        self._stop_transfer_timer()
        if self._transfer_state in (None, 'TERMINATED'):
            return
        if not self._transfer_incoming and self._handle is not None:
            _invitation.transfer_end(self._handle)      # what still comes about it is not ours any more
        self._set_transfer_state('TERMINATED')
        if 200 <= code < 300:
            self._post('SIPInvitationTransferDidEnd', NotificationData())
        else:
            self._post('SIPInvitationTransferDidFail', NotificationData(code=code, reason=reason))

    # ---- incoming ----------------------------------------------------------------------------------------------

    @classmethod
    def _incoming(cls, event: _events.Event) -> Invitation:
        raw, source, transport, _local_tag, contact, sdp = event.data
        self = cls.__new__(cls)
        self._setup()
        self._handle = _handles.Handle(event.handle)
        _handles.bind(event.handle, self)
        message = parse_request(raw)
        headers = message.headers
        self._direction = 'incoming'
        self._transport = transport.decode().lower()[:3]
        self._request_uri = message.request_uri
        self._from_header = headers.get('From')
        self._to_header = headers.get('To')
        self._peer_address = EndpointAddress(source.decode(), event.num[0])
        self._dialog_id = None
        if contact:
            self._local_contact_header = FrozenContactHeader.parse(contact.decode())
        self._learn(message, False, True)
        self.sdp._set(proposed_remote=sdp or None)
        self._move('incoming', None, 'remote', {
            'method': message.method, 'request_uri': message.request_uri, 'headers': headers, 'body': message.body})
        return self


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
_events.register(_events.INV_TRANSFER_IN, Invitation._on_transfer_in)
_events.register(_events.INV_TRANSFER_STATE, Invitation._on_transfer_state)
_events.register(_events.INV_TRANSFER_NOTIFY, Invitation._on_transfer_notify)
_events.register(_events.INV_TRANSFER_OUT, Invitation._on_transfer_out)
_events.register(_events.INV_OFFER, Invitation._on_offer)
