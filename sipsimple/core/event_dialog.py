"""What the four objects of RFC 6665 and RFC 3515 have in common: a dialog of its own, requests in both directions, timers.

Rules, for this module and those built on it:
 - The work is done on the Engine thread. A method that the application calls checks its arguments, claims the next state under the lock and
   leaves the rest to `_defer`; so notifications and messages keep their order and nothing is posted from inside the caller's call.
 - Requests of one dialog go out one after the other: a challenge takes a further CSeq, which the next request must not have had before.
 - Nothing here holds the object but the application: transactions and timers refer to it weakly, `_close` takes it out of the native table.
   A dialog that nobody holds any more is answered with 481 by the native part. One that was told to end is held (`_stay`) until it has.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple
from weakref import WeakMethod, WeakSet, ref

from sipsimple.core import _endpoint, _event_dialog, _events, _handles, _request, _timers, event_packages
from sipsimple.core.errors import PJSIPError, SIPCoreError
from sipsimple.core.headers import FrozenHeader, Header
from sipsimple.core.messages import Request, Response, parse_message, parse_request, parse_response
from sipsimple.core.request import name_addr, parameters_of
from sipsimple.core.values import EndpointAddress
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['EventDialog', 'Reply']


class Reply(NamedTuple):
    """The final answer to a request of ours. `code` 0: it could not be sent; `message` None: nothing was received."""

    code: int
    reason: str
    message: Response | None


class _Outgoing(NamedTuple):
    """A request that waits for its turn."""

    method: str
    headers: list[Any]
    content_type: str | None
    body: bytes | None
    timeout: float | None
    done: WeakMethod[Callable[[Reply], None]]


class _Transaction:
    """A request under way."""

    def __init__(self, dialog: EventDialog, outgoing: _Outgoing) -> None:
        self._dialog = ref(dialog)
        self.outgoing = outgoing
        self.handle = _request.create()
        _handles.bind(self.handle.number, self)

    def _on_response(self, event: _events.Event) -> None:
        code, port, cseq = event.num[:3]
        raw, reason, source = event.data
        dialog = self._dialog()
        if dialog is None or dialog._transaction is not self:
            return
        if source:
            dialog._peer_address = EndpointAddress(source.decode(), port)
        if code and code < 200:
            return
        message = parse_message(raw) if raw else None
        dialog._on_final(self, Reply(code, reason.decode('utf-8', 'replace'), message if isinstance(message, Response) else None), cseq)

    def _on_sent(self, event: _events.Event) -> None:
        dialog = self._dialog()
        if dialog is not None and event.data[0]:
            dialog._on_sent(parse_request(event.data[0]))


def reply_data(reply: Reply) -> dict[str, Any]:
    """The fields that tell of an answer; headers and body if there was a message."""
    if reply.message is None:
        return {'code': reply.code, 'reason': reply.reason}
    return {'code': reply.code, 'reason': reply.reason, 'headers': reply.message.headers, 'body': reply.message.body}


def request_data(message: Request) -> dict[str, Any]:
    """The fields that tell of a request."""
    return {'method': message.method, 'request_uri': message.request_uri, 'headers': message.headers, 'body': message.body}


def notify_data(message: Request) -> dict[str, Any]:
    """The fields that tell of a NOTIFY."""
    headers = message.headers
    content_type, event = headers.get('Content-Type'), headers.get('Event')
    return {'request_uri': message.request_uri, 'from_header': headers.get('From'), 'to_header': headers.get('To'), 'headers': headers,
            'body': message.body, 'content_type': None if content_type is None else content_type.content_type,
            'event': None if event is None else event.event}


class EventDialog:
    """One dialog; see the rules at the top of the module."""

    _kind: ClassVar[int]                                # of the native object
    _prefix: ClassVar[str]                              # of the notifications
    _transitions: ClassVar[Mapping[str, frozenset[str]]]

    _state: str

    def _setup(self, state: str, call_id: str, local_tag: str) -> None:
        self._lock = threading.Lock()                   # _state and what methods claim
        self._state = state
        self._call_id = call_id
        self._local_tag = local_tag
        self._handle: _handles.Handle | None = None
        self._deferred: deque[tuple[WeakMethod[Callable[..., None]], tuple[Any, ...]]] = deque()
        self._outgoing: deque[_Outgoing] = deque()
        self._transaction: _Transaction | None = None
        self._held: _handles.Handle | None = None       # of the last 2xx: it holds the connection by which we can be reached
        self._running: dict[str, _timers.Timer] = {}
        self._cseq = random.randrange(1, 0x7fff)
        self._remote_cseq: int | None = None
        self._remote_tag: str | None = None
        self._routes: list[Any] | None = None           # None: no dialog yet
        self._first_route: str | None = None            # where the request goes that begins the dialog
        self._target: Any = None                        # the peer's contact, or the first request URI
        self._remote_contact: Any = None
        self._local: Any = None                         # From and To of our requests
        self._remote: Any = None
        self._contact: str | None = None                # body of our Contact
        self._credentials: Any = None
        self._peer_address: EndpointAddress | None = None
        self._report_sent = False

    def __del__(self) -> None:
        for timer in list(self.__dict__.get('_running', {}).values()):
            timer.cancel()

    @property
    def state(self) -> str:
        """The state; one of the table of the class."""
        return self._state

    @property
    def call_id(self) -> str:
        """The Call-ID of the dialog."""
        return self._call_id

    @property
    def peer_address(self) -> EndpointAddress | None:
        """Where the last message came from."""
        return self._peer_address

    # ---- life --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Enter the native table as the one who begins the dialog."""
        _endpoint.check_running()
        self._bind(_event_dialog.create(self._kind, self._call_id, self._local_tag))

    def _bind(self, handle: _handles.Handle) -> None:
        self._handle = handle
        _handles.bind(handle.number, self)
        with _open_lock:
            _open.add(self)

    def _close(self) -> None:
        """Out of the native table: nothing comes after this. Engine thread."""
        for name in list(self._running):
            self._cancel(name)
        self._outgoing.clear()
        self._deferred.clear()
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.handle.close()
        held, self._held = self._held, None
        if held is not None:
            held.close()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()
        with _open_lock:
            _leaving.discard(self)

    def _stay(self) -> None:
        """Nobody need hold the object any more: it has still to say that it ends. Any thread."""
        with _open_lock:
            if self._handle is not None:
                _leaving.add(self)

    def _defer(self, method: Callable[..., None], *args: Any) -> None:
        """Call a method of this object with these arguments on the Engine thread, in the order of events; not at all once the dialog is closed. Any thread."""
        handle = self._handle
        if handle is not None:
            self._deferred.append((WeakMethod(method), args))
            _event_dialog.call(handle)

    def _run_deferred(self) -> None:
        if self._deferred:
            reference, args = self._deferred.popleft()
            method = reference()
            if method is not None:
                method(*args)

    def _after(self, name: str, seconds: float, method: Callable[[], None]) -> None:
        """Call a method of this object in so many seconds, instead of what that timer was to do before."""
        self._cancel(name)
        self._running[name] = _timers.call_later(seconds, _fire, ref(self), name, WeakMethod(method))

    def _cancel(self, name: str) -> None:
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    # ---- states and notifications ------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))

    def _move(self, state: str, *sources: str) -> str | None:
        """Go to a state, from one of these if any are named; the previous one, or None when the table does not have it. Any thread."""
        with self._lock:
            previous = self._state
            if state == previous or (sources and previous not in sources) or state not in self._transitions[previous]:
                return None
            self._state = state
            return previous

    def _change(self, state: str) -> bool:
        """_move, and tell of it. Engine thread."""
        previous = self._move(state)
        if previous is not None:
            self._post_change(previous, state)
        return previous is not None

    def _post_change(self, previous: str, state: str) -> None:
        self._post(f'{self._prefix}ChangedState', prev_state=previous, state=state)

    # ---- requests of ours --------------------------------------------------------------------------------------

    def _send(self, method: str, headers: Iterable[Any], done: Callable[[Reply], None], *, content_type: str | None = None,
              body: bytes | None = None, timeout: float | None = None) -> None:
        """Send a request, after those before it; done(reply), a method of this object, on its final answer. Engine thread."""
        self._outgoing.append(_Outgoing(method, list(headers), content_type, body, timeout, WeakMethod(done)))
        self._send_next()

    def _send_next(self) -> None:
        while self._transaction is None and self._outgoing and self._handle is not None:
            outgoing = self._outgoing.popleft()
            self._transaction = transaction = _Transaction(self, outgoing)
            self._cseq += 1
            headers = list(outgoing.headers)
            route = self._first_route
            if self._routes is not None:
                route = None
                headers[:0] = [Header('Route', header.body) for header in self._routes]
            timeout = 0 if outgoing.timeout is None else max(1, int(outgoing.timeout * 1000))
            try:
                _request.send(transaction.handle, outgoing.method, str(self._target), name_addr(self._local), name_addr(self._remote),
                              parameters_of(self._local), parameters_of(self._remote), self._contact, self._call_id, self._cseq, route, headers,
                              outgoing.content_type, outgoing.body, self._credentials, timeout, self._local_tag, self._remote_tag,
                              self._report_sent)
            except (SIPCoreError, ValueError) as error:
                self._transaction = None
                transaction.handle.close()
                self._tell(outgoing, Reply(0, str(error), None))

    def _on_final(self, transaction: _Transaction, reply: Reply, cseq: int) -> None:
        self._transaction = None
        if cseq:
            self._cseq = cseq
        if 200 <= reply.code < 300:
            held, self._held = self._held, transaction.handle
            if held is not None:
                held.close()
        else:
            transaction.handle.close()
        self._tell(transaction.outgoing, reply)
        self._send_next()

    @staticmethod
    def _tell(outgoing: _Outgoing, reply: Reply) -> None:
        done = outgoing.done()
        if done is not None:
            done(reply)

    def _on_sent(self, message: Request) -> None:
        """A request of ours has left."""

    # ---- requests of the peer ----------------------------------------------------------------------------------

    def _establish(self, remote_tag: str | None, routes: Iterable[Any], cseq: int | None = None) -> None:
        """The dialog is there: from now on only this peer counts (RFC 3261 section 12.1)."""
        self._remote_tag = remote_tag
        self._routes = list(routes)
        self._remote_cseq = cseq

    def _learn_target(self, headers: Any) -> bool:
        """The peer's contact, if the message has one."""
        contacts = headers.get('Contact')
        if not contacts or contacts[0].uri is None:
            return False
        self._target = contacts[0].uri
        self._remote_contact = contacts[0]
        return True

    def _answer(self, number: int, code: int, *headers: Any) -> bool:
        """Answer a request; False when it cannot be answered any more."""
        if self._handle is None:
            return False
        try:
            _event_dialog.answer(self._handle, self._kind, number, code, headers)
        except PJSIPError:
            return False
        return True

    def _on_request(self, event: _events.Event) -> None:
        number = event.num[1]
        try:
            message = parse_request(event.data[0])
            message.request_uri             # noqa: B018 - parsed here or never
            sender, cseq = message.headers['From'], message.headers['CSeq'][0]
        except (SIPCoreError, KeyError):
            self._answer(number, 400)
            return
        if self._remote_tag is not None:
            if sender.tag != self._remote_tag:
                self._answer(number, 481)   # another branch of a forked request: one subscription is what was asked for
                return
            if self._remote_cseq is not None and cseq <= self._remote_cseq:
                self._answer(number, 500)   # RFC 3261 section 12.2.2
                return
            self._remote_cseq = cseq
        self._peer_address = EndpointAddress(event.data[1].decode(), event.num[0])
        self._received(number, message)

    def _received(self, number: int, message: Request) -> None:
        """A request of the peer, to be answered."""
        raise NotImplementedError

    def _on_answered(self, message: Response) -> None:
        """An answer of ours was sent."""

    # ---- helpers -----------------------------------------------------------------------------------------------

    @staticmethod
    def _refuse_event_headers() -> list[Any]:
        return [Header('Allow-Events', ', '.join(event_packages.names()))]


_open_lock = threading.Lock()
_open: WeakSet[EventDialog] = WeakSet()                 # what the Engine's stop has to end
_leaving: set[EventDialog] = set()                      # what ends by itself


def end_all() -> None:
    """Engine stop: what is open is over, without a word."""
    with _open_lock:
        dialogs = list(_open)
        _open.clear()
    for dialog in dialogs:
        with dialog._lock:
            dialog._state = 'TERMINATED'
        dialog._close()


def due(expires: int, warning: int) -> float:
    """Seconds until something that lasts so long has to be refreshed."""
    return min(expires, max(1, expires - warning, expires // 2))


def now() -> float:
    """The clock of expiries."""
    return time.monotonic()


def check_extra_headers(headers: Iterable[Any], own: frozenset[str]) -> list[Any]:
    """A list of frozen copies. ValueError: one that the request has by itself."""
    result = []
    for header in headers:
        if header.name.lower() in own:
            raise ValueError(f'not an extra header: {header.name}')
        result.append(FrozenHeader(header.name, header.body))
    return result


def _fire(reference: Callable[[], EventDialog | None], name: str, method_reference: WeakMethod[Callable[[], None]]) -> None:
    dialog, method = reference(), method_reference()
    if dialog is not None and method is not None and dialog._running.pop(name, None) is not None:
        method()


def _on_answered(dialog: EventDialog, event: _events.Event) -> None:
    dialog._on_answered(parse_response(event.data[0]))


_events.register(_events.REQUEST_SENT, lambda transaction, event: transaction._on_sent(event))
_events.register(_events.DIALOG_REQUEST, lambda dialog, event: dialog._on_request(event))
_events.register(_events.DIALOG_ANSWERED, _on_answered)
_events.register(_events.DIALOG_CALL, lambda dialog, event: dialog._run_deferred())
