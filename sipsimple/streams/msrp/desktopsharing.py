"""`DesktopSharingStream`: RFB (RFC 6143) over MSRP. One side is a viewer, the other a server; `a=rfbsetup` says which, their handlers do the rest.

What a handler puts into the outgoing queue goes out as messages, one after the other; what comes goes into the incoming queue as it comes. Neither grows
beyond its limit: nothing is taken from the outgoing queue while the connection takes nothing, and nothing is read from the connection while the incoming
queue is full, so that the VNC program at the other end has to wait. Through relays, which throw away what they cannot hold, reports of the peer say how much
more may be sent.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from sipsimple.notification import Notification, NotificationCenter
from sipsimple.streams.interfaces import InvalidStreamError, UnknownStreamError
from sipsimple.streams.msrp.base import MSRPStreamBase, MSRPStreamState
from sipsimple.streams.msrp.dataqueue import DataQueue
from sipsimple.streams.msrp.description import MSRPMedia
from sipsimple.threading import call_in_twisted_thread, reactor

# Loaded with the first stream, see base.py.
if TYPE_CHECKING:
    from msrplib.chunking import OutgoingMessage
    from msrplib.events import Event, MessageAborted
    from msrplib.pacing import Pacer
    from msrplib.reassembly import IncomingMessage, Piece, Sink

__all__ = ['DesktopSharingStream']

RFB = 'application/x-rfb'
MESSAGE_SIZE = 65536                # bytes: what msrplib writes at once
LAST_WORDS_LIMIT = 2.0              # seconds
ROLES = ('active', 'passive')       # viewer, server


class DesktopSharingStream(MSRPStreamBase):
    """A desktop of one side, shown on the other.

    Args:
        account: of the session; None to take it from the session.
        handler: provides `IDesktopSharingHandler`; its `type` decides which side we are.
    Raises:
        ValueError: there is no handler, or it is neither 'active' nor 'passive'.
    Attributes:
        incoming_queue, outgoing_queue: `DataQueue`s of the RFB data.
    Notifications: those of `IMediaStream`; MediaStreamDidFail has the fields of DesktopSharingHandlerDidFail if it was the handler that failed.
    """

    type: ClassVar[str | None] = 'desktop-sharing'
    priority: ClassVar[int | None] = 1
    media_type: ClassVar[str] = 'application'
    accept_types: ClassVar[list[str]] = [RFB]
    accept_wrapped_types: ClassVar[list[str] | None] = None

    def __init__(self, account: Any, handler: Any) -> None:
        super().__init__(account)
        _check_handler(handler)
        self._handler = handler
        self.incoming_queue = DataQueue()
        self.outgoing_queue = DataQueue()
        self.outgoing_queue.on_data = self._pump
        self.incoming_queue.on_room = self._resume
        self._message: OutgoingMessage | None = None        # that is being written
        self._pumping = False
        self._failure: tuple[Any, ...] | None = None        # of the handler, as long as there is something to be sent
        self._patience: Any = None
        self._pacer: Pacer | None = None                    # if there are relays between us
        self._pause: Any = None
        self._written = self._delivered = 0                 # bytes
        self._incoming_message: IncomingMessage | None = None
        self._reading = True

    @classmethod
    def new_from_sdp(cls, account: Any, remote_sdp: Any, stream_index: int) -> DesktopSharingStream:
        """Return a stream for an offered media line: with an `InternalVNCServerHandler` if the peer is a viewer, else an `InternalVNCViewerHandler`.

        Raises:
            UnknownStreamError: the line is not about RFB over MSRP.
            InvalidStreamError: it cannot be used.
        """
        from sipsimple.streams.msrp.vnc import InternalVNCServerHandler, InternalVNCViewerHandler
        media = remote_sdp.media[stream_index]
        if media.media == cls.media_type and 'MSRP' not in media.transport:
            raise UnknownStreamError(f'not MSRP: {media.transport}')       # others share this type of media
        remote = cls._read_offer(account, remote_sdp, stream_index)
        if not _takes_rfb(remote):
            raise UnknownStreamError(f'not {RFB}')
        role = _role(remote) or 'active'
        stream = cls(account, InternalVNCServerHandler() if role == 'active' else InternalVNCViewerHandler())
        stream._from_offer(remote, remote_sdp, stream_index)
        return stream

    @property
    def handler(self) -> Any:
        """Who makes and takes the data.

        It can be replaced by another one of the same type until the stream starts. TypeError: it has the other type; ValueError: None, or no handler;
        RuntimeError: the stream was started.
        """
        return self._handler

    @handler.setter
    def handler(self, handler: Any) -> None:
        _check_handler(handler)
        if handler.type != self._handler.type:
            raise TypeError(f'the stream needs a handler of the type {self._handler.type}')
        if self.state not in (MSRPStreamState.NULL, MSRPStreamState.INITIALIZING, MSRPStreamState.INITIALIZED):
            raise RuntimeError('the stream was started')
        self._handler = handler

    def _media_attributes(self) -> list[tuple[str, str]]:
        return [('rfbsetup', self._handler.type)]

    def _negotiated(self, remote: MSRPMedia) -> None:
        if not _takes_rfb(remote):
            raise InvalidStreamError(f'the peer does not take {RFB}')
        if self._incoming_sdp is None and _role(remote) == self._handler.type:
            raise InvalidStreamError('both sides are ' + ('viewers' if self._handler.type == 'active' else 'servers'))

    # The handler

    def _started(self) -> None:
        if self.msrp is not None and len(self.msrp.full_remote_path) > 1:
            from msrplib.pacing import Pacer
            self._pacer = Pacer()
        NotificationCenter().add_observer(self, sender=self._handler)
        try:
            self._handler.initialize(self)
        except Exception as error:
            self._fail('connecting', error)

    def _NH_DesktopSharingHandlerDidFail(self, notification: Notification) -> None:
        data = notification.data
        call_in_twisted_thread(self._handler_failed, data.context, data.reason if data.failure is None else data.failure, data.reason)

    def _handler_failed(self, *what: Any) -> None:
        """The last words of a VNC program say why it ends: the peer gets them first."""
        if not self._can_send() or self._failure is not None:
            self._fail(*what)
            return
        self._failure = what
        self._patience = reactor.call_later(LAST_WORDS_LIMIT, self._fail, *what)
        self._pump()

    def _say_goodbye(self) -> None:
        """All is sent. An empty request is answered when what came before it was taken."""
        from msrplib.framing import new_message_id
        from msrplib.headers import ByteRange, ByteRangeHeader, MessageIDHeader
        what, self._failure = self._failure, None
        assert self.msrp_session is not None and what is not None
        headers = [MessageIDHeader(new_message_id()), ByteRangeHeader(ByteRange(1, 0, 0))]
        self.msrp_session.request('SEND', headers).addBoth(lambda ignored: self._fail(*what))

    def _ending(self) -> None:
        NotificationCenter().discard_observer(self, sender=self._handler)
        for timer in (self._patience, self._pause):
            if timer is not None:
                timer.cancel()
        for queue in (self.incoming_queue, self.outgoing_queue):
            queue.close()
        self._resume()          # or the end of the connection would never be seen
        end = getattr(self._handler, 'end', None)
        if end is not None:
            end()

    # To the peer

    def _pump(self) -> None:
        """Send what waits, a message at a time: of several, the peer could not tell in which order their bytes belong."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._message is None and self._can_send() and (data := self._next()):
                self._send(data)
        finally:
            self._pumping = False
        if self._failure is not None and self._message is None and not self.outgoing_queue.size and self._can_send():
            self._say_goodbye()

    def _can_send(self) -> bool:
        return self.msrp_session is not None and self.msrp_session.connected

    def _next(self) -> bytes:
        """What may be sent now."""
        if self._pacer is None:
            return self.outgoing_queue.take(MESSAGE_SIZE, whole=True)
        if not self.outgoing_queue.size:
            return b''
        allowed = self._pacer.allowed(self._written, monotonic())
        if not allowed and self._pause is None and self._pacer.deadline is not None:
            self._pause = reactor.call_later(self._pacer.deadline - monotonic(), self._unreported)
        return self.outgoing_queue.take(min(MESSAGE_SIZE, allowed or 0))

    def _unreported(self) -> None:
        """No report has come for a while: from a peer that makes none, or one that takes nothing, which is no failure."""
        self._pause = None
        if self._pacer is not None and self._pacer.deadline is not None:
            if monotonic() >= self._pacer.deadline:
                self._pacer.stalled()
            self._pump()

    def _send(self, data: bytes) -> None:
        from msrplib.chunking import OutgoingMessage
        assert self.msrp_session is not None
        self._written += len(data)
        reported = 'no' if self._pacer is None else 'yes'
        self._message = message = OutgoingMessage(RFB, data, success_report=reported, failure_report='partial')
        self.msrp_session.send(message)         # its MessageSent may come at once

    def _outgoing_event(self, event: Event) -> None:
        from msrplib.events import MessageDelivered, MessageFailed, MessageSent
        if isinstance(event, MessageSent):
            if event.message is self._message:
                self._message = None
                self._pump()
        elif isinstance(event, MessageDelivered):
            if self._pacer is not None:
                self._delivered += event.message.written
                self._pacer.reported(self._delivered, monotonic())
                self._pump()
        elif isinstance(event, MessageFailed) and not self.shutting_down and event.code:
            self._fail('sending', f'{event.code} {event.comment}')      # without a code it is the connection that failed, which is told by itself

    # From the peer

    def _accept_message(self, message: IncomingMessage) -> Sink | None:
        def sink(offset: int, piece: Piece) -> None:
            self._take(message, offset, piece)
        return sink

    def _take(self, message: IncomingMessage, offset: int, piece: Piece) -> None:
        before = self._incoming_message
        if message is not before:
            if before is not None and not before.complete:
                self._refuse('the peer sends the data of two messages at once')
            self._incoming_message = message
        if offset != message.received.total:
            self._refuse('the peer sends data out of order')
        self.incoming_queue.put(bytes(piece))
        if self.incoming_queue.full and self._reading and self.msrp is not None:
            self._reading = False
            self.msrp.pause_reading()

    def _refuse(self, reason: str) -> None:
        from msrplib.errors import MSRPBadRequest
        self._fail('reading', reason)
        raise MSRPBadRequest(reason)

    def _resume(self) -> None:
        if not self._reading:
            self._reading = True
            if self.msrp is not None:
                self.msrp.resume_reading()

    def _handle_SEND(self, chunk: Any) -> None:
        # What came with the binding of the session, before anybody could say where it goes.
        self.incoming_queue.put(chunk.data)

    def _message_aborted(self, event: MessageAborted) -> None:
        if not event.message.complete and self.msrp is not None and self.msrp.lost is None:
            self._fail('reading', 'the peer gave up a message')


def _check_handler(handler: Any) -> None:
    if getattr(handler, 'type', None) not in ROLES or not callable(getattr(handler, 'initialize', None)):
        raise ValueError(f'no handler for RFB data: {handler!r}')


def _takes_rfb(remote: MSRPMedia) -> bool:
    return any(item.lower() in (RFB, 'application/*', '*') for item in remote.accept_types or ())


def _role(remote: MSRPMedia) -> str | None:
    """What the peer is, None if it does not say."""
    value = remote.get('rfbsetup')
    if value is None:
        return None
    value = value.strip().lower()
    if value not in ROLES:
        raise InvalidStreamError(f'unknown rfbsetup: {value[:20]}')
    return value
