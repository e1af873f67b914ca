"""The notifier's side of RFC 6665, as IncomingSubscription and IncomingReferral share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

from sipsimple.core import _events, _handles
from sipsimple.core.errors import SIPCoreError, SIPCoreInvalidStateError
from sipsimple.core.event_dialog import EventDialog, Reply, now, reply_data, request_data
from sipsimple.core.headers import Header
from sipsimple.core.messages import Request, Response, parse_request
from sipsimple.core.values import EndpointAddress

__all__ = ['Notifier', 'TRANSITIONS', 'take_requests_of']

# state -> states it may go to
TRANSITIONS: dict[str, frozenset[str]] = {
    'INCOMING': frozenset(('PENDING', 'ACTIVE', 'TERMINATED')),
    'PENDING': frozenset(('ACTIVE', 'TERMINATED')),
    'ACTIVE': frozenset(('TERMINATED',)),
    'TERMINATED': frozenset(),
}

MAX_EXPIRES = 3600
# Answers to a NOTIFY that end the subscription: RFC 6665 section 4.2.2 and RFC 5057; beyond 699 are PJSIP's own, 0 is ours.
ENDING = frozenset((0, 404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604))


class Notifier(EventDialog):
    """A dialog in which we tell of an event; begun by the peer and made by the Engine.

    One whose request is not answered is answered with 500 when the last reference goes.
    """

    _transitions: ClassVar[Mapping[str, frozenset[str]]] = TRANSITIONS
    _method: ClassVar[str]                              # of the request that begins it

    def __init__(self) -> None:
        raise SIPCoreError(f'the Engine makes an object of {type(self).__name__}')

    def _begin(self, handle: _handles.Handle, event: _events.Event, message: Request) -> bool:
        """Take over a request that begins a dialog; False when it was refused."""
        _raw, source, _transport, tag, contact = event.data
        headers = message.headers
        call_id = headers.get('Call-ID')
        self._setup('INCOMING', '' if call_id is None else call_id.body, tag.decode())
        self._handle = handle                           # refused ones are not bound
        self._number = event.num[1]                     # of the request that waits for its answer
        self._last_word = False                         # the final NOTIFY was handed over
        self._silent = False                            # over with the answer to the first request
        self._expires_at = 0.0
        self._report_sent = True
        self._peer_address = EndpointAddress(source.decode(), event.num[0])
        self._local, self._remote = headers.get('To'), headers.get('From')
        self._contact = contact.decode()
        if self._local is None or self._remote is None or not self._learn_target(headers):
            self._answer(self._number, 400)
            return False
        required = headers.get('Require')
        if required:
            self._answer(self._number, 420, Header('Unsupported', ', '.join(required)))
            return False
        self._establish(self._remote.tag, headers.get('Record-Route', []), headers['CSeq'][0])
        self._bind(handle)
        return True

    def _arrive(self, handle: _handles.Handle, event: _events.Event, message: Request) -> None:
        """Take over a request that begins a dialog, and tell of it."""
        raise NotImplementedError

    # ---- what methods claim ------------------------------------------------------------------------------------

    def _claim(self, state: str, *sources: str) -> str:
        """The state that the call of the application comes from. SIPCoreInvalidStateError: it may not come now. Any thread."""
        previous = self._move(state, *sources)
        if previous is None:
            raise SIPCoreInvalidStateError(f'not in state {self._state}')
        return previous

    def _claim_end(self, *sources: str) -> str | None:
        """The same for the end; None when it is over."""
        previous = self._move('TERMINATED', *sources)
        if previous is None and self._state != 'TERMINATED':
            raise SIPCoreInvalidStateError(f'not in state {self._state}')
        return previous

    # ---- answers -----------------------------------------------------------------------------------------------

    def _contact_header(self) -> Header:
        return Header('Contact', self._contact or '')

    def _refuse(self, code: int) -> None:
        self._silent = True
        self._post_change('INCOMING', 'TERMINATED')
        if not self._answer(self._number, code):
            self._finish()

    def _on_answered(self, message: Response) -> None:
        cseq = message.headers.get('CSeq')
        if cseq is not None and cseq[1] == self._method:
            self._post_answered(message)
        if self._silent:
            self._change('TERMINATED')
            self._finish()

    def _post_answered(self, message: Response) -> None:
        raise NotImplementedError

    # ---- NOTIFY ------------------------------------------------------------------------------------------------

    def _notify(self, event: str, state: str, content_type: str | None, content: bytes | None) -> None:
        self._send('NOTIFY', [Header('Event', event), Header('Subscription-State', state)], self._on_notified, content_type=content_type, body=content)

    def _time_left(self) -> int:
        return max(0, round(self._expires_at - now()))

    def _on_sent(self, message: Request) -> None:
        self._post(f'{self._prefix}SentNotify', **request_data(message))

    def _on_notified(self, reply: Reply) -> None:
        if 200 <= reply.code < 300:
            self._post(f'{self._prefix}NotifyDidSucceed', **reply_data(reply))
        else:
            self._post(f'{self._prefix}NotifyDidFail', **reply_data(reply))
            if reply.code in ENDING or reply.code >= 700:
                self._change('TERMINATED')
                self._finish()
                return
        if self._last_word and not self._outgoing:
            self._finish()

    def _finish(self) -> None:
        if self._handle is not None:
            self._close()
            self._post(f'{self._prefix}DidEnd')


N = TypeVar('N', bound=Notifier)
_classes: dict[int, type[Notifier]] = {}


def take_requests_of(cls: type[N]) -> type[N]:
    """Class decorator: what begins a dialog of that kind becomes an object of this class."""
    _classes[cls._kind] = cls
    return cls


def _on_incoming(obj: None, event: _events.Event) -> None:
    handle = _handles.Handle(event.handle)              # whatever fails: when it goes, the request is answered with 500
    cls = _classes.get(event.num[2])
    if cls is not None:
        notifier = cls.__new__(cls)
        notifier._arrive(handle, event, parse_request(event.data[0]))


_events.register(_events.DIALOG_INCOMING, _on_incoming, fresh=True)
