"""A presence server that does as a test says: what RFC 3903 and 6665 have a server do, and what no server at hand does.

    with PresenceServer('tcp') as server:
        server.states['dialog.winfo'] = lambda dialog: ('application/watcherinfo+xml', text)
        dialog = server.subscribed('dialog.winfo')
        server.notify(dialog, *state)
        server.end(dialog, 'deactivated')
        server.published(1).body

It is a registrar as well. Over TCP it uses the connections that clients make.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.registrar import LIMIT, Answer, ScriptedRegistrar, granted
from tests.support.sip_peer import SIPText

__all__ = ['Dialog', 'PresenceServer']

State = tuple[str, str | bytes] | None


@dataclass(eq=False)
class Dialog:
    """A subscription of a client."""

    event: str
    target: str                 # user@domain
    call_id: str
    tag: str
    origin: Any
    requests: list[SIPText] = field(default_factory=list)
    cseq: int = 0
    is_over: bool = False
    answers: dict[int, int] = field(default_factory=dict)       # CSeq of a NOTIFY -> code

    @property
    def version(self) -> int:
        """Number of the NOTIFYs sent, for documents."""
        return self.cseq


class PresenceServer(ScriptedRegistrar):
    """See the module.

    Attributes:
        states: event -> what the NOTIFY after a SUBSCRIBE has, as a function of the dialog: type and text, or None for neither.
        refusals: event of SUBSCRIBE, or 'PUBLISH', -> how to answer; see `registrar.answer`.
        expires: seconds that are granted, None for what is asked for.
        headers: header lines of every NOTIFY of an event.
    """

    def __init__(self, transport: str = 'tcp', **more: Any) -> None:
        self.states: dict[str, Callable[[Dialog], State]] = {}
        self.refusals: dict[str, Answer] = {}
        self.headers: dict[str, str] = {}
        self.expires: int | None = None
        self.dialogs: dict[str, Dialog] = {}
        self.past: list[Dialog] = []                    # all there were, in order
        self.publications: list[SIPText] = []           # PUBLISH requests, in order
        self.etags: dict[str, SIPText] = {}             # what is published now
        self._numbers = itertools.count(1)
        self._seen: dict[str | None, bytes | None] = {}
        super().__init__(transport, **more)

    # ---- what a test does ----------------------------------------------------------------------------------------

    def subscribed(self, event: str, count: int = 1, target: str | None = None, timeout: float = LIMIT) -> Dialog:
        """The dialog of the count-th subscription to an event, when it has come."""
        def found() -> list[Dialog]:
            return [dialog for dialog in self.past if dialog.event == event and target in (None, dialog.target)]
        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, timeout), f'{len(found())} of {count} subscriptions to {event}'
            return found()[count - 1]

    def refreshed(self, dialog: Dialog, count: int, timeout: float = LIMIT) -> SIPText:
        """The count-th SUBSCRIBE of a dialog, when it has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(dialog.requests) >= count, timeout), f'{len(dialog.requests)} of {count} SUBSCRIBEs of {dialog.event}'
            return dialog.requests[count - 1]

    def answered(self, dialog: Dialog, cseq: int, timeout: float = LIMIT) -> int:
        """The code that the client gave to a NOTIFY."""
        with self._changed:
            assert self._changed.wait_for(lambda: cseq in dialog.answers, timeout), f'no answer to NOTIFY {cseq} of {dialog.event}'
            return dialog.answers[cseq]

    def published(self, count: int, event: str | None = None, timeout: float = LIMIT) -> SIPText:
        """The count-th PUBLISH, when it has come."""
        def found() -> list[SIPText]:
            return [request for request in self.publications if event in (None, request.get('event'))]
        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, timeout), f'{len(found())} of {count} PUBLISHes'
            return found()[count - 1]

    def notify(self, dialog: Dialog, content_type: str | None = None, body: str | bytes = b'', state: str = 'active;expires=600') -> int:
        """Send a NOTIFY; its CSeq."""
        with self._changed:                 # the server's own NOTIFYs go out from another thread
            dialog.cseq += 1
            first = dialog.requests[0]
            data = body.encode() if isinstance(body, str) else body
            contact = (first.get('contact') or '').partition('<')[2].partition('>')[0]
            kind = f'Content-Type: {content_type}\r\n' if content_type else ''
            head = (f'NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/{self.transport.upper()} 127.0.0.1:{self.port};branch=z9hG4bK-server-{next(self._numbers)}\r\n'
                    f'Max-Forwards: 70\r\nFrom: {first.get("to")};tag={dialog.tag}\r\nTo: {first.get("from")}\r\nCall-ID: {dialog.call_id}\r\n'
                    f'CSeq: {dialog.cseq} NOTIFY\r\nContact: {self._contact}\r\nEvent: {dialog.event}\r\nSubscription-State: {state}\r\n'
                    f'{self.headers.get(dialog.event, "")}{kind}Content-Length: {len(data)}\r\n\r\n')
            self._transmit(head.encode() + data, dialog.origin)
            return dialog.cseq

    def end(self, dialog: Dialog, reason: str = 'deactivated', **parameters: Any) -> None:
        """End a subscription."""
        more = ''.join(f';{name.replace("_", "-")}={value}' for name, value in parameters.items())
        self.notify(dialog, state=f'terminated;reason={reason}{more}')
        dialog.is_over = True
        self.dialogs.pop(dialog.call_id, None)

    def forget(self) -> None:
        """Start anew: nothing is known of anybody."""
        with self._changed:
            self.dialogs.clear()
            self.etags.clear()

    # ---- the protocol --------------------------------------------------------------------------------------------

    @property
    def _contact(self) -> str:
        return f'<sip:server@127.0.0.1:{self.port};transport={self.transport}>'

    def _reply(self, data: bytes, address: Any = None) -> bytes | None:
        message = SIPText(data)
        if message.code is not None:
            self._heed(message)
            return None
        if message.method not in ('SUBSCRIBE', 'PUBLISH'):
            return super()._reply(data, address)
        key = message.get('via')
        if key not in self._seen:
            self._seen[key] = None
            (self._subscribe if message.method == 'SUBSCRIBE' else self._publish)(message, address, key)
            return None
        return self._seen[key]

    def _heed(self, message: SIPText) -> None:
        number, _, method = (message.get('cseq') or '').partition(' ')
        dialog = next((dialog for dialog in self.past if dialog.call_id == message.get('call-id')), None)
        if method == 'NOTIFY' and dialog is not None and message.code is not None and message.code >= 200:
            with self._changed:
                dialog.answers[int(number)] = message.code
                self._changed.notify_all()

    def _answer(self, request: SIPText, origin: Any, key: str | None, result: tuple[int, str, str] | None, tag: str) -> None:
        if result is None:
            return
        code, reason, headers = result
        to = request.get('to') or ''
        to += '' if ';tag=' in to else f';tag={tag}'
        via = ''.join(f'Via: {value}\r\n' for value in request.headers['via'])
        text = (f'SIP/2.0 {code} {reason}\r\n{via}From: {request.get("from")}\r\nTo: {to}\r\nCall-ID: {request.get("call-id")}\r\nCSeq: {request.get("cseq")}\r\n'
                f'{headers}Content-Length: 0\r\n\r\n').encode()
        self._seen[key] = text
        self._transmit(text, origin)

    def _granted(self, request: SIPText) -> int:
        asked = int(request.get('expires') or 0)
        return asked if self.expires is None else min(asked, self.expires)

    def _subscribe(self, request: SIPText, origin: Any, key: str | None) -> None:
        event, call_id = (request.get('event') or '').partition(';')[0], request.get('call-id') or ''
        is_new = ';tag=' not in (request.get('to') or '')
        refusal = self.refusals.get(event)
        if refusal is not None:
            self._answer(request, origin, key, refusal(request), 'refused')
            return
        with self._changed:
            if is_new:
                target = request.start.split()[1].partition(':')[2].partition(';')[0]
                self.dialogs[call_id] = dialog = Dialog(event, target, call_id, f'server-{next(self._numbers)}', origin)
                self.past.append(dialog)
            elif call_id not in self.dialogs:
                self._answer(request, origin, key, (481, 'Subscription does not exist', ''), 'none')
                return
            dialog = self.dialogs[call_id]
            dialog.origin = origin
            dialog.requests.append(request)
            expires = self._granted(request)
            self._answer(request, origin, key, (200, 'OK', f'Expires: {expires}\r\nContact: {self._contact}\r\n'), dialog.tag)
            if expires:
                state = self.states.get(event, lambda dialog: None)(dialog)
                self.notify(dialog, *(state or (None, b'')), state=f'active;expires={expires}')
            else:
                self.end(dialog, 'timeout')
            self._changed.notify_all()

    def _publish(self, request: SIPText, origin: Any, key: str | None) -> None:
        with self._changed:
            self.publications.append(request)
            refusal = self.refusals.get('PUBLISH')
            known = request.get('sip-if-match')
            expires = self._granted(request)
            if refusal is not None and expires:
                result = refusal(request)
            elif known is not None and known not in self.etags:
                result = 412, 'Conditional Request Failed', ''
            elif known is None and not request.body:
                result = 400, 'Nothing to publish', ''
            else:
                old = self.etags.pop(known) if known is not None else None
                etag = f'etag-{next(self._numbers)}'
                if expires:
                    self.etags[etag] = request if request.body else old or request
                result = 200, 'OK', f'SIP-ETag: {etag}\r\nExpires: {expires}\r\n'
            self._changed.notify_all()
        self._answer(request, origin, key, result, 'publish')

    def __enter__(self) -> PresenceServer:
        self.script = [granted(600)]
        return self
