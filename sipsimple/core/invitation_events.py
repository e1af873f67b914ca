"""What happens to an Invitation: the events of the native part, applied and posted. See `invitation`."""

from __future__ import annotations

from typing import Any, Self

from sipsimple.core import _events, _handles, _invitation
from sipsimple.core.errors import ENGINE_ENDED
from sipsimple.core.headers import FrozenContactHeader
from sipsimple.core.invitation_state import TRANSITIONS, request_data
from sipsimple.core.invitation_transfer import InvitationTransfer
from sipsimple.core.messages import Request, Response, parse_message, parse_request
from sipsimple.core.values import EndpointAddress
from sipsimple.notification import NotificationData

__all__ = ['InvitationEvents']

NATIVE_STATES = {1: 'outgoing', 3: 'early', 4: 'connecting', 5: 'connected', 6: 'disconnected',
                 _invitation.STATE_DISCONNECTING: 'disconnecting'}
ORIGINATORS = {0: None, 1: 'local', 2: 'remote'}


def _reason_text(headers: Any) -> str | None:
    reason = headers.get('Reason')
    return reason.text if reason is not None else None


class InvitationEvents(InvitationTransfer):
    """An INVITE dialog that follows what the native part tells of it."""

    # ---- state -------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        if self._handle is not None and self._state != 'disconnected':
            _invitation.abort(self._handle, 408, 'timeout')

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
        if state == 'disconnected' or state != 'outgoing' and not self._ended:
            self._stop_timer()                  # of the INVITE; that of end() goes on, whatever comes meanwhile
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

    # ---- offers ------------------------------------------------------------------------------------------------

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

    def _on_message(self, event: _events.Event) -> None:
        self._post('SIPInvitationGotMessage', request_data(parse_request(event.data[0])))

    def _on_update(self, event: _events.Event) -> None:
        message = parse_request(event.data[0])
        self._learn(message, False, True)
        self._post('SIPInvitationGotUpdate', request_data(message))

    def _on_offer(self, event: _events.Event) -> None:
        self.sdp._set(proposed_remote=event.data[0])

    # ---- incoming ----------------------------------------------------------------------------------------------

    @classmethod
    def _incoming(cls, event: _events.Event) -> Self:
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
