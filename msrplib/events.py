"""What an `Endpoint` tells of its session: the messages, requests and reports that came, and how ours fared."""

from __future__ import annotations

from msrplib.chunking import OutgoingMessage
from msrplib.headers import ByteRange, Status
from msrplib.message import MSRPData
from msrplib.reassembly import IncomingMessage

__all__ = ['ChunkReceived', 'EmptySend', 'Event', 'MessageAborted', 'MessageDelivered', 'MessageFailed', 'MessageReceived', 'MessageSent', 'Noise',
           'PeerFailed', 'ReportReceived', 'RequestAnswered', 'RequestReceived']


class Event:
    """Base of what an `Endpoint` tells."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {" ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)}>'


class MessageReceived(Event):
    """All of a message has come; `message.data` has it unless it has a sink."""

    __slots__ = ('message',)

    def __init__(self, message: IncomingMessage) -> None:
        self.message = message


class MessageAborted(Event):
    """A message will not be completed: the peer gave it up, or we refused the rest with `code`."""

    __slots__ = ('code', 'message')

    def __init__(self, message: IncomingMessage, code: int | None) -> None:
        self.message = message
        self.code = code


class ChunkReceived(Event):
    """A chunk of a message that is not complete has come: told only if `message.report` is not 'message'."""

    __slots__ = ('byte_range', 'message')

    def __init__(self, message: IncomingMessage, byte_range: ByteRange) -> None:
        self.message = message
        self.byte_range = byte_range


class EmptySend(Event):
    """A SEND without a body, which binds a session to a connection or keeps it open; it was answered."""

    __slots__ = ('chunk',)

    def __init__(self, chunk: MSRPData) -> None:
        self.chunk = chunk


class RequestReceived(Event):
    """A request that is neither SEND nor REPORT, of a method in `Endpoint.methods`: `Endpoint.respond` answers it."""

    __slots__ = ('chunk',)

    def __init__(self, chunk: MSRPData) -> None:
        self.chunk = chunk


class RequestAnswered(Event):
    """The answer to a request made with `Endpoint.request`: `response` is None if none came in time (`code` is 408 then)."""

    __slots__ = ('code', 'comment', 'context', 'response')

    def __init__(self, context: object, code: int, comment: str, response: MSRPData | None) -> None:
        self.context = context
        self.code = code
        self.comment = comment
        self.response = response


class MessageSent(Event):
    """All of a message was written. With `answered`: and each of its chunks was answered with 200, or wants no answer."""

    __slots__ = ('answered', 'message')

    def __init__(self, message: OutgoingMessage, answered: bool) -> None:
        self.message = message
        self.answered = answered


class MessageFailed(Event):
    """A message of ours failed: `code` of the answer or report (`chunk`), 408 without an answer in time, 0 if the connection was lost or we gave up."""

    __slots__ = ('chunk', 'code', 'comment', 'message')

    def __init__(self, message: OutgoingMessage, code: int, comment: str, chunk: MSRPData | None) -> None:
        self.message = message
        self.code = code
        self.comment = comment
        self.chunk = chunk


class ReportReceived(Event):
    """A report, the `chunk`, about bytes of ours; `message` is None if it is not known (any more)."""

    __slots__ = ('byte_range', 'chunk', 'message', 'status')

    def __init__(self, message: OutgoingMessage | None, chunk: MSRPData, status: Status, byte_range: ByteRange) -> None:
        self.message = message
        self.chunk = chunk
        self.status = status
        self.byte_range = byte_range


class MessageDelivered(Event):
    """The peer has reported to have all of a message; `chunk` is the last report."""

    __slots__ = ('chunk', 'message')

    def __init__(self, message: OutgoingMessage, chunk: MSRPData) -> None:
        self.message = message
        self.chunk = chunk


class Noise(Event):
    """Something that is not MSRP came and was left out: `data` (its beginning), `reason`."""

    __slots__ = ('data', 'reason')

    def __init__(self, data: bytes, reason: str) -> None:
        self.data = data
        self.reason = reason


class PeerFailed(Event):
    """Nothing more can be made of what the peer sends: the connection is to be closed."""

    __slots__ = ('reason',)

    def __init__(self, reason: str) -> None:
        self.reason = reason
