"""IncomingSubscription: telling a peer of an event (RFC 6665)."""

from __future__ import annotations

from typing import ClassVar

from sipsimple.core import _event_dialog, _events, _handles
from sipsimple.core.errors import SIPCoreInvalidStateError
from sipsimple.core.event_dialog import now, request_data
from sipsimple.core.headers import ContentType, Header
from sipsimple.core.messages import Request, Response
from sipsimple.core.notifier import MAX_EXPIRES, Notifier, take_requests_of

__all__ = ['IncomingSubscription']


@take_requests_of
class IncomingSubscription(Notifier):
    """A peer's subscription to an event package of `Engine.incoming_events`.

    `state` is 'INCOMING', 'PENDING', 'ACTIVE' or 'TERMINATED'. It lasts as long as the peer asked for, 3600 seconds at most; asked for 0 seconds, it
    is over after one NOTIFY. One that is not answered is answered with 500 when the last reference goes; later, dropping it ends it silently.

    Notifications: SIPIncomingSubscriptionGotSubscribe, SIPIncomingSubscriptionGotRefreshingSubscribe, SIPIncomingSubscriptionGotUnsubscribe,
        SIPIncomingSubscriptionAnsweredSubscribe, SIPIncomingSubscriptionSentNotify, SIPIncomingSubscriptionNotifyDidSucceed,
        SIPIncomingSubscriptionNotifyDidFail, SIPIncomingSubscriptionChangedState, SIPIncomingSubscriptionDidTimeout, SIPIncomingSubscriptionDidEnd.
    Thread: methods may be called from any thread; notifications come on the Engine thread.
    """

    _kind: ClassVar[int] = _event_dialog.INCOMING_SUBSCRIPTION
    _prefix: ClassVar[str] = 'SIPIncomingSubscription'
    _method: ClassVar[str] = 'SUBSCRIBE'

    _content_type: ContentType | None
    _content: bytes | None

    # ---- attributes --------------------------------------------------------------------------------------------

    @property
    def event(self) -> str:
        """Name of the event package."""
        return self._event

    @property
    def content_type(self) -> ContentType | None:
        """Media type of the present content, None without any."""
        return self._content_type

    @property
    def content(self) -> bytes | None:
        """What the NOTIFYs say, None for nothing; a str was encoded in UTF-8."""
        return self._content

    # ---- methods -----------------------------------------------------------------------------------------------

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

    def accept_pending(self) -> None:
        """Answer 202, for whoever decides has yet to be asked. SIPCoreInvalidStateError: answered before."""
        self._claim('PENDING', 'INCOMING')
        self._defer(self._accept, 'INCOMING', 'PENDING')

    def accept(self, content_type: str | None = None, content: str | bytes | None = None) -> None:
        """Let the peer have it, with this content.

        Raises:
            ValueError: only one of content_type and content, or no type/subtype. SIPCoreInvalidStateError: neither new nor pending.
        """
        pair = self._checked(content_type, content)
        previous = self._claim('ACTIVE', 'INCOMING', 'PENDING')
        self._content_type, self._content = pair
        self._defer(self._accept, previous, 'ACTIVE')

    def push_content(self, content_type: str, content: str | bytes) -> None:
        """Tell the peer of new content.

        Raises:
            ValueError: no type/subtype, or no content. SIPCoreInvalidStateError: not ACTIVE.
        """
        pair = self._checked(content_type, content)
        if pair[0] is None:
            raise ValueError('there is no content')
        with self._lock:
            if self._state != 'ACTIVE':
                raise SIPCoreInvalidStateError(f'not in state {self._state}')
            self._content_type, self._content = pair
        self._defer(self._tell_state, *pair)

    def end(self, reason: str | None = None) -> None:
        """Send the last NOTIFY; no-op when it is over.

        Args:
            reason: of RFC 6665 section 4.1.3: deactivated, probation, rejected, timeout, giveup, noresource, invariant.
        Raises:
            SIPCoreInvalidStateError: not answered yet.
        """
        previous = self._claim_end('PENDING', 'ACTIVE')
        if previous is not None:
            self._stay()
            self._defer(self._say_last_word, previous, reason, False)

    # ---- protocol ----------------------------------------------------------------------------------------------

    @staticmethod
    def _checked(content_type: str | None, content: str | bytes | None) -> tuple[ContentType | None, bytes | None]:
        if (content_type is None) != (content is None):
            raise ValueError('content_type and content go together')
        if content_type is None:
            return None, None
        return ContentType(content_type), content.encode() if isinstance(content, str) else content

    def _arrive(self, handle: _handles.Handle, event: _events.Event, message: Request) -> None:
        headers = message.headers
        self._content_type = self._content = None
        header = headers.get('Event')
        self._event = '' if header is None else header.event
        self._event_text = '' if header is None else header.body        # with the id, which the NOTIFYs must have too
        self._event_id = None if header is None else header.id
        self._expires = min(headers.get('Expires', MAX_EXPIRES), MAX_EXPIRES)
        if self._begin(handle, event, message):
            self._post('SIPIncomingSubscriptionGotSubscribe', **request_data(message))

    def _accept(self, previous: str, state: str) -> None:
        self._post_change(previous, state)
        if previous == 'INCOMING':
            if not self._answer(self._number, 202 if state == 'PENDING' else 200, Header('Expires', str(self._expires)), self._contact_header()):
                self._change('TERMINATED')
                self._finish()
                return
            if not self._expires:
                before = self._move('TERMINATED')
                if before is not None:
                    self._say_last_word(before, 'timeout', True)
                return
            self._lasts(self._expires)
        self._tell_state(self._content_type, self._content)

    def _lasts(self, expires: int) -> None:
        self._expires_at = now() + expires
        self._after('expiry', expires, self._timed_out)

    def _timed_out(self) -> None:
        previous = self._move('TERMINATED')
        if previous is not None:
            self._post('SIPIncomingSubscriptionDidTimeout')
            self._say_last_word(previous, 'timeout', False)

    def _tell_state(self, content_type: str | None, content: bytes | None) -> None:
        """The state, and the content if it may be told. Once the last word is said, nothing more."""
        if self._last_word:
            return
        if self._state == 'PENDING':
            self._notify(self._event_text, f'pending;expires={self._time_left()}', None, None)
        else:
            self._notify(self._event_text, f'active;expires={self._time_left()}', content_type, content)

    def _say_last_word(self, previous: str, reason: str | None, with_content: bool) -> None:
        self._post_change(previous, 'TERMINATED')
        self._cancel('expiry')
        self._last_word = True
        told = with_content and previous == 'ACTIVE'
        self._notify(self._event_text, 'terminated' + (f';reason={reason}' if reason else ''), self._content_type if told else None,
                     self._content if told else None)

    def _received(self, number: int, message: Request) -> None:
        headers = message.headers
        event = headers.get('Event')
        if message.method != 'SUBSCRIBE':
            self._answer(number, 405, Header('Allow', 'SUBSCRIBE'))
        elif event is None or event.event != self._event or event.id != self._event_id:
            self._answer(number, 489, *self._refuse_event_headers())
        elif self._state == 'TERMINATED':
            self._answer(number, 481)
        elif self._state == 'INCOMING':
            self._answer(number, 500)       # the one before is not answered yet
        else:
            self._heed(number, message)

    def _heed(self, number: int, message: Request) -> None:
        headers = message.headers
        self._learn_target(headers)
        self._expires = min(headers.get('Expires', MAX_EXPIRES), MAX_EXPIRES)
        if self._expires:
            self._post('SIPIncomingSubscriptionGotRefreshingSubscribe', **request_data(message))
        else:
            self._post('SIPIncomingSubscriptionGotUnsubscribe', **request_data(message))
        self._answer(number, 200, Header('Expires', str(self._expires)), self._contact_header())
        if not self._expires:
            previous = self._move('TERMINATED')
            if previous is not None:
                self._say_last_word(previous, 'timeout', True)
        elif self._state != 'TERMINATED':
            self._lasts(self._expires)
            self._tell_state(self._content_type, self._content)

    def _post_answered(self, message: Response) -> None:
        self._post('SIPIncomingSubscriptionAnsweredSubscribe', code=message.code, reason=message.reason, headers=message.headers, body=message.body)
