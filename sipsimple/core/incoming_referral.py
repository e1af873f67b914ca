"""IncomingReferral: a REFER outside of a call (RFC 3515)."""

from __future__ import annotations

from typing import ClassVar

from sipsimple.core import _event_dialog, _events, _handles
from sipsimple.core.errors import SIPCoreError, SIPCoreInvalidStateError
from sipsimple.core.event_dialog import now, request_data
from sipsimple.core.headers import FrozenContactHeader, Header
from sipsimple.core.messages import Request, Response
from sipsimple.core.notifier import MAX_EXPIRES, Notifier, take_requests_of
from sipsimple.core.request import check_reason
from sipsimple.core.status import sip_status_messages

__all__ = ['IncomingReferral']

SIPFRAG = 'message/sipfrag;version=2.0'


def _sipfrag(code: int, status: str | None) -> bytes:
    """The body of a NOTIFY. ValueError: not a status code. SIPCoreError: a phrase that no status line may have."""
    if not 100 <= code < 700:
        raise ValueError(f'not a status code: {code!r}')
    check_reason(status)
    if status is None:
        try:
            status = sip_status_messages[code]
        except IndexError:
            status = 'Unknown'
    if '\r' in status or '\n' in status or '\0' in status:
        raise SIPCoreError(f'line break or NUL in a reason phrase: {status!r}')
    return f'SIP/2.0 {code} {status}\r\n'.encode('utf-8', 'surrogateescape')


@take_requests_of
class IncomingReferral(Notifier):
    """A peer's REFER outside of a call; the application sends the request it asks for and tells how it fares.

    `state` is 'INCOMING', 'ACTIVE' or 'TERMINATED'. One that is not answered is answered with 500 when the last reference goes; later, dropping it
    ends it silently.

    Notifications: SIPIncomingReferralGotRefer, SIPIncomingReferralGotRefreshingSubscribe, SIPIncomingReferralGotUnsubscribe,
        SIPIncomingReferralAnsweredRefer, SIPIncomingReferralSentNotify, SIPIncomingReferralNotifyDidSucceed, SIPIncomingReferralNotifyDidFail,
        SIPIncomingReferralChangedState, SIPIncomingReferralDidEnd.
    Thread: methods may be called from any thread; notifications come on the Engine thread.
    """

    _kind: ClassVar[int] = _event_dialog.INCOMING_REFERRAL
    _prefix: ClassVar[str] = 'SIPIncomingReferral'
    _method: ClassVar[str] = 'REFER'

    @property
    def local_contact_header(self) -> FrozenContactHeader:
        """Our contact in the dialog."""
        return self._local_contact_header

    @property
    def remote_contact_header(self) -> FrozenContactHeader | None:
        """The peer's contact."""
        value: FrozenContactHeader | None = self._remote_contact
        return value

    # ---- methods -----------------------------------------------------------------------------------------------

    def accept(self, code: int = 202, duration: int = 180) -> None:
        """Agree to it: the answer, and a NOTIFY with 100 Trying. It is over with the answer when the peer wants to be told of nothing (RFC 4488).

        Args:
            duration: seconds that the peer is told for, unless it refreshes.
        Raises:
            ValueError: not a 2xx, duration not positive. SIPCoreInvalidStateError: answered before.
        """
        if not 200 <= code < 300:
            raise ValueError(f'not a positive status code: {code!r}')
        if duration <= 0:
            raise ValueError(f'duration must be positive: {duration!r}')
        self._claim('ACTIVE', 'INCOMING')
        self._defer(self._accept, code, duration)

    def reject(self, code: int) -> None:
        """Refuse it with a final status code.

        Raises:
            ValueError: code outside 300..699. SIPCoreInvalidStateError: answered before.
        """
        if not 300 <= code < 700:
            raise ValueError(f'not a negative status code: {code!r}')
        self._claim('TERMINATED', 'INCOMING')
        self._stay()
        self._defer(self._refuse, code)

    def send_notify(self, code: int, status: str | None = None) -> None:
        """Tell how it goes.

        Args:
            status: reason phrase, None for the standard one.
        Raises:
            ValueError: not a status code. SIPCoreError: a phrase that no status line may have. SIPCoreInvalidStateError: not ACTIVE.
        """
        body = _sipfrag(code, status)
        with self._lock:
            if self._state != 'ACTIVE':
                raise SIPCoreInvalidStateError(f'not in state {self._state}')
        self._defer(self._tell_status, body)

    def end(self, code: int, status: str | None = None) -> None:
        """Tell how it went; no-op when it is over. Raises as `send_notify`."""
        body = _sipfrag(code, status)
        previous = self._claim_end('PENDING', 'ACTIVE')
        if previous is not None:
            self._stay()
            self._defer(self._say_last_word, body, 'noresource', previous)

    # ---- protocol ----------------------------------------------------------------------------------------------

    def _arrive(self, handle: _handles.Handle, event: _events.Event, message: Request) -> None:
        headers = message.headers
        refer_to, refer_sub = headers.get('Refer-To'), headers.get('Refer-Sub')
        if not self._begin(handle, event, message):
            return
        try:
            self._local_contact_header = FrozenContactHeader.parse(self._contact or '')
        except SIPCoreError:
            self._answer(self._number, 500)
            return
        if refer_to is None:
            self._answer(self._number, 400)
            return
        self._told = b''
        self._wants_silence = refer_sub is not None and refer_sub.body.strip().lower().startswith('false')
        self._post('SIPIncomingReferralGotRefer', **request_data(message), prev_state=None, state='INCOMING', refer_to=refer_to)

    def _accept(self, code: int, duration: int) -> None:
        self._post_change('INCOMING', 'ACTIVE')
        self._silent = self._wants_silence
        headers = [self._contact_header()]
        if self._silent:
            headers.append(Header('Refer-Sub', 'false'))
        if not self._answer(self._number, code, *headers):
            self._change('TERMINATED')
            self._finish()
        elif not self._silent:
            self._lasts(duration)
            self._tell_status(_sipfrag(100, None))

    def _lasts(self, seconds: int) -> None:
        self._expires_at = now() + seconds
        self._after('expiry', seconds, self._timed_out)

    def _timed_out(self) -> None:
        previous = self._move('TERMINATED')
        if previous is not None:
            self._say_last_word(self._told, 'timeout', previous)

    def _tell_status(self, body: bytes) -> None:
        self._told = body
        if not self._last_word and not self._silent:
            self._notify('refer', f'active;expires={self._time_left()}', SIPFRAG, body)

    def _say_last_word(self, body: bytes, reason: str, previous: str) -> None:
        self._post_change(previous, 'TERMINATED')
        self._cancel('expiry')
        self._last_word = True
        if self._silent:
            return                      # over as soon as the answer is reported
        self._notify('refer', f'terminated;reason={reason}', SIPFRAG, body)

    def _received(self, number: int, message: Request) -> None:
        headers = message.headers
        event = headers.get('Event')
        if message.method != 'SUBSCRIBE':
            self._answer(number, 405, Header('Allow', 'SUBSCRIBE'))
        elif event is None or event.event != 'refer':
            self._answer(number, 489, *self._refuse_event_headers())
        elif self._state != 'ACTIVE' or self._silent:
            self._answer(number, 481 if self._state == 'TERMINATED' else 500)
        else:
            self._heed(number, message)

    def _heed(self, number: int, message: Request) -> None:
        self._learn_target(message.headers)
        expires = min(message.headers.get('Expires', MAX_EXPIRES), MAX_EXPIRES)
        if expires:
            self._post('SIPIncomingReferralGotRefreshingSubscribe', **request_data(message))
        else:
            self._post('SIPIncomingReferralGotUnsubscribe', **request_data(message))
        self._answer(number, 200, Header('Expires', str(expires)), self._contact_header())
        if not expires:
            previous = self._move('TERMINATED')
            if previous is not None:
                self._say_last_word(self._told, 'timeout', previous)
        elif self._state == 'ACTIVE':
            self._lasts(expires)
            self._tell_status(self._told)

    def _post_answered(self, message: Response) -> None:
        self._post('SIPIncomingReferralAnsweredRefer', code=message.code, reason=message.reason, headers=message.headers, body=message.body)
