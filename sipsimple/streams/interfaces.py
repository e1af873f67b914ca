"""`IMediaStream`, the interface between a `Session` and its streams, and the errors of this package.

StreamError
├── InvalidStreamError    the media line is of our type, but it cannot be used
└── UnknownStreamError    the media line is not of our type: ask the next one
"""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

__all__ = ['IMediaStream', 'InvalidStreamError', 'StreamError', 'UnknownStreamError']


class StreamError(Exception):
    """Root of the errors of the streams."""


class InvalidStreamError(StreamError):
    """The media line belongs to this type of stream, but its contents cannot be used: it is refused."""


class UnknownStreamError(StreamError):
    """The media line (or the name of a stream type) does not belong to this type of stream: another one is asked."""


class IMediaStream(Interface):
    """What a `Session` needs of a stream. All methods are called in the SDK's reactor thread and must not block it.

    The life of a stream: `new_from_sdp` or the constructor; `initialize`; `get_local_media`; `start`; any number of `update`, `hold`, `unhold`,
    `reset`; `deactivate`; `end`. Once `initialize` was called, `end` always follows, whatever happens in between.

    Notifications (sender: the stream): `MediaStreamDidInitialize`, `MediaStreamDidStart`, `MediaStreamDidFail(context, reason, failure)`,
    `MediaStreamWillEnd`, `MediaStreamDidEnd(error)`.
    """

    type = Attribute('A string naming the type of stream, for example "audio". A class attribute; `None` for an abstract class.')
    priority = Attribute('An integer; types with a higher one are asked first about a media line. A class attribute; `None` for an abstract class.')

    session = Attribute('The session the stream is part of; `None` until `initialize`.')
    index = Attribute('The position of the stream in the SDP; `None` until known. Written by the session.')

    hold_supported = Attribute('True if the stream supports hold.')
    on_hold_by_local = Attribute('True if the stream is on hold by the local party.')
    on_hold_by_remote = Attribute('True if the stream is on hold by the remote party.')
    on_hold = Attribute('True if either on_hold_by_local or on_hold_by_remote is true.')

    def new_from_sdp(account: Any, remote_sdp: Any, stream_index: int) -> Any:
        """Return a new stream for a media line of an offer, or `None` if it is of another type (a class method).

        `UnknownStreamError` means the same as `None`; `InvalidStreamError`, or any other exception, refuses the media line.

        Args:
            account: the account of the session.
            remote_sdp: the offer, a `FrozenSDPSession`.
            stream_index: the position of the media line in the offer.
        """

    def get_local_media(for_offer: bool) -> Any:
        """Return the `SDPMediaStream` that offers this stream, or that answers the peer's offer if `for_offer` is false.

        For the answer to a re-INVITE the offer is `session.proposed_remote_sdp`.
        """

    def initialize(session: Any, direction: str) -> None:
        """Get ready. Ends with `MediaStreamDidInitialize`, or with `MediaStreamDidFail`.

        Args:
            session: the session the stream will be part of.
            direction: 'incoming' if the peer proposed the stream, else 'outgoing'.
        """

    def start(local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Start with the negotiated session descriptions. Ends with `MediaStreamDidStart`, or with `MediaStreamDidFail`."""

    def validate_update(remote_sdp: Any, stream_index: int) -> bool:
        """Return whether an offer of the peer for this running stream is acceptable. Must change nothing."""

    def update(local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Apply newly negotiated session descriptions."""

    def hold() -> None:
        """Stop sending and receiving at once, if the stream supports hold, and say so in media returned from now on."""

    def unhold() -> None:
        """Undo `hold` in media returned from now on."""

    def reset(stream_index: int) -> None:
        """Get ready to make a new full offer for the running stream: the peer asked for one with a re-INVITE without SDP."""

    def deactivate() -> None:
        """Take the closing of the transport by the peer for normal from now on: the stream is about to be removed."""

    def end() -> None:
        """Close the transport. Posts `MediaStreamWillEnd` at once and `MediaStreamDidEnd` when all is closed. May be called twice."""
