"""What an Invitation is made of: its states, its values, and the one place that changes the state. See `invitation`."""

from __future__ import annotations

from typing import Any, NamedTuple

from sipsimple.core import _handles, _invitation, _timers
from sipsimple.core.headers import FrozenContactHeader, FrozenFromHeader, FrozenRouteHeader, FrozenToHeader
from sipsimple.core.messages import Request
from sipsimple.core.sdp import FrozenSDPSession
from sipsimple.core.values import EndpointAddress, FrozenCredentials, FrozenSIPURI
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['SUB_TRANSITIONS', 'TRANSITIONS', 'DialogID', 'InvitationState', 'SDPPayloads', 'request_data']

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
                found = FrozenSDPSession.deferred(text)
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


def request_data(message: Request) -> NotificationData:
    """The fields of a notification about a request."""
    return NotificationData(method=message.method, request_uri=message.request_uri, headers=message.headers, body=message.body)


class InvitationState:
    """State and values of an INVITE dialog."""

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

    # ---- changes -----------------------------------------------------------------------------------------------

    def _post(self, name: str, data: NotificationData) -> None:
        NotificationCenter().post_notification(name, sender=self, data=data)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

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

    def _move_sub(self, sub_state: str, originator: str | None, message: dict[str, Any]) -> None:
        if self._state == 'connected' and self._sub_state is not None and sub_state in SUB_TRANSITIONS[self._sub_state]:
            self._move('connected', sub_state, originator, message)
