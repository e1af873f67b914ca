"""The call transfer of an Invitation: REFER in the dialog, in both roles (RFC 3515, RFC 3891, RFC 4488). See `invitation`."""

from __future__ import annotations

from collections.abc import Iterable

from sipsimple.core import _events, _invitation, _timers
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.headers import Header
from sipsimple.core.invitation_state import DialogID, InvitationState, request_data
from sipsimple.core.messages import Request, Response, parse_message, parse_request, parse_sipfrag
from sipsimple.core.request import check_reason
from sipsimple.core.values import SIPURI
from sipsimple.notification import NotificationData

__all__ = ['InvitationTransfer']

TRANSFER_TIMEOUT = 90


class InvitationTransfer(InvitationState):
    """An INVITE dialog with its transfers, one at a time."""

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

    # ---- events ------------------------------------------------------------------------------------------------

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
        self._post('SIPInvitationTransferNewOutgoing', request_data(message))

    def _on_transfer_in(self, event: _events.Event) -> None:
        message = parse_request(event.data[0])
        self._transfer_incoming = True
        self._transfer_result = None
        self._transfer_state = None
        self._set_transfer_state('INCOMING')
        self._post('SIPInvitationTransferNewIncoming', request_data(message))
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
