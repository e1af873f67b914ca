"""`ChatStream`: messages, composing indications and nicknames over MSRP (RFC 4975, 3862, 3994, 7701).

What can be sent, and how, depends on what the peer's description says, which is known when the stream starts; until then messages wait. A message is in an
envelope (message/cpim) if it needs one, because it says more than who talks to whom in this session, or if both sides prefer it.

With relays between us, no more is on its way than the peer keeps up with (`msrplib.pacing`), and chunks are reported as they come, for a peer that paces, too.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sipsimple.streams.interfaces import InvalidStreamError, UnknownStreamError
from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamError, MSRPStreamState
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.util import ISOTimestamp, MultilingualText

# Loaded with the first chat, see base.py.
if TYPE_CHECKING:
    from msrplib.chunking import OutgoingMessage
    from msrplib.events import ChunkReceived, Event, MessageReceived, RequestAnswered
    from msrplib.message import MSRPData
    from msrplib.pacing import Flow
    from msrplib.reassembly import IncomingMessage, Sink
    from sipsimple.payloads.cpim import ChatIdentity, ChatMessage, CPIMHeader

__all__ = ['ChatStream', 'ChatStreamError']

COMPOSING = 'application/im-iscomposing+xml'
COMPOSING_REFRESH = 120     # seconds after which somebody is idle who does not say how often they refresh: RFC 3994 section 3.3


class ChatStreamError(MSRPStreamError):
    """The peer, or the direction of the stream, does not allow that."""


class _Outgoing:
    """A message of the application that waits, or is on its way."""

    def __init__(self, message_id: str, content: str | bytes, content_type: str, **envelope: Any) -> None:
        self.message_id = message_id
        self.content = content
        self.content_type = content_type
        self.envelope = envelope
        self.silent = False         # nobody is told how it fares


class _Context(NamedTuple):
    """What is remembered of a message on its way."""

    silent: bool
    data: bytes


class ChatStream(MSRPStreamBase):
    """A chat.

    Args:
        account: of the session; None to take it from the session.
        direction: 'sendrecv', 'sendonly' or 'recvonly'.
    Attributes:
        chatroom_capabilities: what the peer's chat room can do, if it is one: 'nickname', 'private-messages' ...; empty until started.
    Notifications:
        ChatStreamGotMessage(message, private): `message` is a `ChatMessage`, or a `CPIMMessage` if it came in an envelope. The peer is told that it was
            delivered when all observers have returned. None comes before MediaStreamDidStart.
        ChatStreamDidSendMessage(message): `message` is an `MSRPData`; it was written.
        ChatStreamDidDeliverMessage(message_id, code, reason, chunk): the peer has it all; `chunk` is its report. Also as `message`.
        ChatStreamDidNotDeliverMessage(message_id, code, reason, chunk): `chunk` is the report or the answer; `code` is 0 and `chunk` None if it was not sent,
            or if the connection was lost before the peer confirmed it. Also as `message`.
        ChatStreamGotComposingIndication(state, refresh, content_type, last_active, sender, recipients, private): also when somebody becomes idle because
            they did not refresh it.
        ChatStreamDidSetNickname(message_id, response), ChatStreamDidNotSetNickname(message_id, message, code, reason).
    """

    type: ClassVar[str | None] = 'chat'
    priority: ClassVar[int | None] = 1
    media_type: ClassVar[str] = 'message'
    accept_types: ClassVar[list[str]] = ['message/cpim', 'text/*', 'image/*', COMPOSING]
    accept_wrapped_types: ClassVar[list[str] | None] = ['*']
    automatic_reports: ClassVar[bool] = False
    prefer_cpim: ClassVar[bool] = True

    def __init__(self, account: Any = None, direction: str = 'sendrecv') -> None:
        super().__init__(account, direction)
        self.chatroom_capabilities: frozenset[str] = frozenset()
        self._queue: deque[_Outgoing] = deque()
        self._early: deque[MessageReceived] | None = deque()       # what came before the start; None after it
        self._flow: Flow | None = None                  # if there are relays between us
        self._sending = False
        self._composing: dict[Any, Any] = {}            # timers by sender

    @classmethod
    def new_from_sdp(cls, account: Any, remote_sdp: Any, stream_index: int) -> ChatStream:
        """Return a stream for an offered media line.

        Raises:
            UnknownStreamError: the line has another type of media, or is for a file.
            InvalidStreamError: it cannot be used, or no type of content is in common.
        """
        remote = cls._read_offer(account, remote_sdp, stream_index)
        if remote.get('file-selector') is not None:
            raise UnknownStreamError('the line is for a file')
        if remote.accept_types is None or not any(_in_common(offered, cls.accept_types) for offered in remote.accept_types):
            raise InvalidStreamError('no type of content in common')
        if remote.direction == 'inactive':
            raise InvalidStreamError('the line is inactive')
        stream = cls(account)
        stream._from_offer(remote, remote_sdp, stream_index)
        return stream

    # Who is who

    @property
    def local_identity(self) -> ChatIdentity | None:
        """We, None until `initialize`."""
        return _identity(self.session.local_identity) if self.session is not None else None

    @property
    def remote_identity(self) -> ChatIdentity | None:
        """The peer, or the chat room; None until `initialize`."""
        return _identity(self.session.remote_identity) if self.session is not None else None

    @property
    def private_messages_allowed(self) -> bool:
        """Whether the peer is a chat room in which one may talk to somebody alone."""
        return 'private-messages' in self.chatroom_capabilities

    @property
    def nickname_allowed(self) -> bool:
        """Whether the peer is a chat room with nicknames."""
        return 'nickname' in self.chatroom_capabilities

    def _started(self) -> None:
        remote = self.remote_media
        assert remote is not None
        from msrplib.session import contains_mime_type
        self.direction = _direction(self.direction, remote.direction)
        self.cpim_enabled = self.prefer_cpim and 'message/cpim' in self.accept_types and contains_mime_type(self.remote_accept_types, 'message/cpim')
        if self.cpim_enabled and getattr(self.session, 'remote_focus', False):
            self.chatroom_capabilities = remote.chatroom
        if self._relayed:
            from msrplib.pacing import Flow
            self._flow = Flow(self._wake)
        # After MediaStreamDidStart, as an application expects.
        reactor.call_later(0, self._begin)

    def _begin(self) -> None:
        early, self._early = self._early or (), None
        for event in early:
            if self.msrp is not None:
                self._message_received(event)
        self._send_queue()

    # Sending

    def send_message(self, content: str | bytes, content_type: str = 'text/plain', recipients: Sequence[ChatIdentity] | None = None,
                     courtesy_recipients: Sequence[ChatIdentity] | None = None, subject: str | MultilingualText | None = None,
                     timestamp: datetime.datetime | None = None, required: Sequence[str] | None = None,
                     additional_headers: Sequence[CPIMHeader] | None = None) -> str:
        """Send a message, or queue it until the stream starts, and return its id.

        Args:
            content: text, or bytes for what is none.
            recipients: None for the peer; others need a chat room with private messages, as do `courtesy_recipients`.
            subject, timestamp, required, additional_headers: for the envelope. The time is now by default.
        Raises:
            ChatStreamError: the direction of the stream, or what the peer can take, does not allow it. Before the start only the former is known: the
                rest is told by ChatStreamDidNotDeliverMessage then.
        Notifications: ChatStreamDidSendMessage, then ChatStreamDidDeliverMessage or ChatStreamDidNotDeliverMessage.
        Thread: any.
        """
        from msrplib.framing import new_message_id
        message = _Outgoing(new_message_id(), content, content_type, recipients=recipients, courtesy_recipients=courtesy_recipients, subject=subject,
                            timestamp=timestamp or ISOTimestamp.now(), required=required, additional_headers=additional_headers)
        return self._send(message)

    def send_composing_indication(self, state: str, refresh: int | None = None, last_active: datetime.datetime | None = None,
                                  recipients: Sequence[ChatIdentity] | None = None) -> str:
        """Tell the peer that somebody writes, or has stopped; returns an id. Nobody is told what becomes of it.

        Args:
            state: 'active' or 'idle'.
            refresh: seconds after which it is told again, or else the peer takes us for idle.
            last_active: the last time that something was written.
        Raises:
            ValueError: another state. ChatStreamError: as for `send_message`.
        Thread: any.
        """
        if state not in ('active', 'idle'):
            raise ValueError(f'active or idle, not {state!r}')
        from msrplib.framing import new_message_id
        from sipsimple.payloads.iscomposing import IsComposingMessage
        payload = IsComposingMessage(state=state, refresh=refresh, last_active=last_active, content_type='text')
        message = _Outgoing(new_message_id(), payload.toxml(), COMPOSING, recipients=recipients, courtesy_recipients=None, subject=None,
                            timestamp=ISOTimestamp.now(), required=None, additional_headers=None)
        message.silent = True
        return self._send(message)

    def _send(self, message: _Outgoing) -> str:
        if self.direction == 'recvonly':
            raise ChatStreamError('nothing can be sent over a stream that only receives')
        if self.state == MSRPStreamState.ENDED:
            raise ChatStreamError('the stream has ended')
        if self.cpim_enabled is not None:
            self._check(message)
        call_in_twisted_thread(self._enqueue, message)
        return message.message_id

    def _check(self, message: _Outgoing) -> bool:
        """Whether a message needs an envelope.

        Raises:
            ChatStreamError: it cannot be sent.
        """
        from msrplib.session import contains_mime_type
        envelope = message.envelope
        default = [self.remote_identity]
        others = envelope['recipients'] is not None and list(envelope['recipients']) != default
        special = others or any(envelope[name] for name in ('courtesy_recipients', 'subject', 'required', 'additional_headers'))
        if (others or envelope['courtesy_recipients']) and not self.private_messages_allowed:
            raise ChatStreamError('the peer knows no private messages')
        wrapped = contains_mime_type(self.remote_accept_types, 'message/cpim') and contains_mime_type(self.remote_accept_wrapped_types, message.content_type)
        bare = contains_mime_type(self.remote_accept_types, message.content_type)
        if special and not wrapped:
            raise ChatStreamError('the peer does not take such a message in an envelope')
        if not wrapped and not bare:
            raise ChatStreamError(f'the peer does not take {message.content_type}')
        return bool(wrapped and (special or not bare or self.cpim_enabled))

    def _enqueue(self, message: _Outgoing) -> None:
        self._queue.append(message)
        if self.state == MSRPStreamState.STARTED:
            self._send_queue()
        elif self.state == MSRPStreamState.ENDED:
            self._drop_queue()

    def _send_queue(self, last: bool = False) -> None:
        """Hand over what can be sent; the `last` time, all of it."""
        if self._sending:           # a message that was sent makes room for the next
            return
        self._sending = True
        try:
            while self._queue and self.msrp_session is not None and self.msrp_session.connected:
                if self._flow is not None and self._flow.crowded and not last:
                    break
                message = self._queue.popleft()
                try:
                    self.msrp_session.send(self._outgoing_message(message))
                except (MSRPStreamError, ValueError) as error:
                    self._not_delivered(message.message_id, message.silent, 0, str(error), None)
        finally:
            self._sending = False

    def _wake(self, message: OutgoingMessage) -> None:
        """The peer keeps up: some more of a message may go."""
        if self.msrp is not None and self.msrp.lost is None:
            self.msrp.endpoint.sender.wake(message)
            self.msrp.flush()

    def _outgoing_message(self, message: _Outgoing) -> OutgoingMessage:
        from msrplib.chunking import OutgoingMessage
        from sipsimple.payloads.cpim import CPIMPayload, SimplePayload
        envelope = message.envelope
        content: str | bytes
        if self._check(message):
            remote = self.remote_identity
            recipients = list(envelope['recipients'] if envelope['recipients'] is not None else [] if remote is None else [remote])
            content, content_type = CPIMPayload(
                message.content, message.content_type, sender=self.local_identity, recipients=recipients,
                courtesy_recipients=envelope['courtesy_recipients'], subject=envelope['subject'], timestamp=envelope['timestamp'],
                required=envelope['required'], additional_headers=envelope['additional_headers']).encode()
        else:
            content, content_type = SimplePayload(message.content, message.content_type).encode()
        data = content.encode('utf-8') if isinstance(content, str) else content
        success, failure = ('no', 'no') if message.silent else ('yes', 'partial')
        context = _Context(message.silent, data)
        if self._flow is not None:
            return self._flow.message(content_type, data, message_id=message.message_id, failure_report=failure, context=context)
        return OutgoingMessage(content_type, data, message_id=message.message_id, success_report=success, failure_report=failure, context=context)

    def _outgoing_event(self, event: Event) -> None:
        from msrplib.events import MessageDelivered, MessageFailed, MessageSent
        from msrplib.session import LocalResponse
        if not isinstance(event, (MessageSent, MessageDelivered, MessageFailed)):
            return
        context = event.message.context
        silent = isinstance(context, _Context) and context.silent
        if isinstance(event, MessageSent):
            if isinstance(context, _Context) and not silent:        # told once, as our messages want no answers
                self.post('ChatStreamDidSendMessage', message=self._sent(event.message, context.data))
        elif isinstance(event, MessageDelivered):
            status = event.chunk.status
            assert status is not None
            if not silent:
                self.post('ChatStreamDidDeliverMessage', message_id=event.message.message_id, code=status.code, reason=status.comment or '', chunk=event.chunk,
                          message=event.chunk)
        else:
            chunk = event.chunk if event.chunk is not None or event.code != 408 else LocalResponse(408, event.comment)
            self._not_delivered(event.message.message_id, silent, event.code, event.comment, chunk)
        if self._flow is not None:
            if not isinstance(event, MessageSent):
                self._flow.finished(event.message)
            self._send_queue()

    def _handle_REPORT(self, chunk: Any) -> None:
        if self._flow is not None:
            self._flow.reported(chunk.message_id)

    def _sent(self, message: OutgoingMessage, data: bytes) -> MSRPData:
        """What was written, as one chunk."""
        from msrplib import protocol
        assert self.msrp is not None
        size = len(data)
        return protocol.MSRPData(message.message_id, 'SEND', headers=[
            protocol.ToPathHeader(self.msrp.full_remote_path), protocol.FromPathHeader([self.msrp.local_uri]), protocol.MessageIDHeader(message.message_id),
            protocol.ByteRangeHeader(protocol.ByteRange(1, size, size)), protocol.SuccessReportHeader(message.success_report),
            protocol.FailureReportHeader(message.failure_report), protocol.ContentTypeHeader(str(message.content_type))], data=data)

    def _not_delivered(self, message_id: str, silent: bool, code: int, reason: str, chunk: MSRPData | None) -> None:
        if not silent:
            self.post('ChatStreamDidNotDeliverMessage', message_id=message_id, code=code, reason=reason, chunk=chunk, message=chunk)

    def _drop_queue(self) -> None:
        while self._queue:
            message = self._queue.popleft()
            self._not_delivered(message.message_id, message.silent, 0, 'The stream has ended', None)

    def _ending(self) -> None:
        for timer in self._composing.values():
            timer.cancel()
        self._composing.clear()
        if self._flow is not None:
            self._send_queue(last=True)         # as without relays: some time is left for it
        self._drop_queue()

    def _ended(self) -> None:
        if self._flow is not None:
            self._flow.end()

    # Nicknames

    def set_local_nickname(self, nickname: str) -> str:
        """Ask the chat room for a nickname, '' for none; returns an id.

        Raises:
            ChatStreamError: the stream has not started, or the peer has no nicknames.
        Notifications: ChatStreamDidSetNickname or ChatStreamDidNotSetNickname.
        Thread: any.
        """
        if self.cpim_enabled is None or not self.nickname_allowed:
            raise ChatStreamError('the peer has no nicknames')
        from msrplib.framing import new_message_id
        message_id = new_message_id()
        call_in_twisted_thread(self._set_nickname, nickname, message_id)
        return message_id

    def _set_nickname(self, nickname: str, message_id: str) -> None:
        if self.msrp_session is None or not self.msrp_session.connected:
            self.post('ChatStreamDidNotSetNickname', message_id=message_id, message=None, code=0, reason='The stream has ended')
            return
        from msrplib.headers import UseNicknameHeader
        from msrplib.session import LocalResponse
        header = UseNicknameHeader('')
        header.decoded = nickname

        def answered(event: RequestAnswered) -> None:
            if event.code == 200:
                self.post('ChatStreamDidSetNickname', message_id=message_id, response=event.response)
            else:
                response = event.response or LocalResponse(event.code, event.comment)
                self.post('ChatStreamDidNotSetNickname', message_id=message_id, message=response, code=event.code, reason=event.comment)
        self.msrp_session.request('NICKNAME', [header]).addCallback(answered)

    # Receiving

    def _accept_message(self, message: IncomingMessage) -> Sink | None:
        message.report = 'manual'       # when the application has it; also for what comes with the binding, before there is a session
        return None

    def _chunk_received(self, event: ChunkReceived) -> None:
        """Through relays, the sender waits for our reports. That of the last byte is made when it is known what becomes of the message."""
        if self._relayed and event.byte_range.end != event.message.total and self.msrp is not None and self.msrp.lost is None:
            self.msrp.endpoint.report(event.message, 200, None, event.byte_range)
            self.msrp.flush()

    def _message_received(self, event: MessageReceived) -> None:
        if self._early is not None:
            self._early.append(event)
            return
        code = self._take(event.message)
        assert self.msrp is not None
        self.msrp.endpoint.report(event.message, code)
        self.msrp.flush()

    def _take(self, incoming: IncomingMessage) -> int:
        """Take a message that has come, and return the status to report."""
        from msrplib.session import contains_mime_type
        from sipsimple.payloads.cpim import ChatMessage, CPIMMessage, CPIMParserError, SimplePayload
        if self.direction == 'sendonly':
            return 413
        content_type = incoming.content_type or ''
        message: ChatMessage
        try:
            if content_type.partition(';')[0].strip().lower() == 'message/cpim':
                message = CPIMMessage.parse(incoming.data)
                if not contains_mime_type(self.accept_wrapped_types or (), message.content_type):
                    return 413
                if message.timestamp is None:
                    message.timestamp = ISOTimestamp.now()
                if message.sender is None:
                    message.sender = self.remote_identity
                private = bool(getattr(self.session, 'remote_focus', False)) and len(message.recipients) == 1 and message.recipients[0] != self.remote_identity
            else:
                payload = SimplePayload.decode(incoming.data, content_type)
                local = self.local_identity
                message = ChatMessage(payload.content, payload.content_type, self.remote_identity, [local] if local is not None else [],
                                      timestamp=ISOTimestamp.now())
                private = False
        except CPIMParserError:
            return 400
        if message.content_type.lower() == COMPOSING:
            return self._take_composing(message, private)
        self._forget_composing(message.sender)          # who has sent something writes no more
        self.post('ChatStreamGotMessage', message=message, private=private)
        return 200

    def _take_composing(self, message: ChatMessage, private: bool) -> int:
        from sipsimple.payloads import ParserError
        from sipsimple.payloads.iscomposing import IsComposingDocument
        content = message.content.encode() if isinstance(message.content, str) else message.content
        try:
            document = IsComposingDocument.parse(content)
            state, refresh, last_active, composed = (None if item is None else item.value for item in (
                document.state, document.refresh, document.last_active, document.content_type))
        except (ParserError, ValueError):
            return 400
        fields = {'content_type': composed, 'sender': message.sender, 'recipients': message.recipients, 'private': private}
        self._forget_composing(message.sender)
        if state == 'active':
            def idle() -> None:
                self._composing.pop(message.sender, None)
                self.post('ChatStreamGotComposingIndication', state='idle', refresh=None, last_active=last_active, **fields)
            self._composing[message.sender] = reactor.call_later(refresh or COMPOSING_REFRESH, idle)
        self.post('ChatStreamGotComposingIndication', state=str(state), refresh=refresh, last_active=last_active, **fields)
        return 200

    def _forget_composing(self, sender: Any) -> None:
        timer = self._composing.pop(sender, None)
        if timer is not None:
            timer.cancel()


def _identity(header: Any) -> ChatIdentity | None:
    from sipsimple.payloads.cpim import CPIMIdentity
    return None if header is None else CPIMIdentity(header.uri, header.display_name)


def _in_common(offered: str, accepted: Sequence[str]) -> bool:
    """Whether two lists of types may have something in common: `text/*` and `text/plain` do."""
    from msrplib.session import contains_mime_type
    if offered == '*':
        return True
    if offered.endswith('/*'):
        return contains_mime_type(accepted, offered) or any(item.lower().startswith(offered[:-1].lower()) for item in accepted)
    return contains_mime_type(accepted, offered)


def _direction(ours: str, theirs: str) -> str:
    """The direction that is left of ours when the peer has answered with its own."""
    if theirs == 'sendonly':
        return 'recvonly'
    if theirs == 'recvonly':
        return 'sendonly'
    return ours
