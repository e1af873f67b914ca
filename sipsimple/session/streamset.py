"""Initialise, start, update and close the streams of a session. All calls into streams are here, and none of them lets an exception of a stream out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from sipsimple.session.inputs import DeadlineExpired, Event, Failure, Kind, ProposalCancelled, StreamFailed

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPSession
    from sipsimple.session.base import SessionBase

__all__ = ['FOUND', 'Starter', 'close', 'deactivate', 'end', 'hold', 'initialize', 'keep_ice', 'leave_ice', 'refused', 'reset', 'restart_ice', 'update']

Wait = Callable[[Any], Awaitable[Event]]

FOUND = 'ICE has chosen other addresses than the peer was told'         # data of Kind.NETWORK, see `network`

log = logging.getLogger('sipsimple.session')


def _guarded(stream: Any, method: Callable[..., object], *args: Any) -> bool:
    try:
        method(*args)
    except Exception:
        log.exception('%s of %s failed', getattr(method, '__name__', method), stream.__class__.__name__)
        return False
    return True


def deactivate(streams: Iterable[Any]) -> None:
    """Tell streams that their end is near."""
    for stream in streams:
        _guarded(stream, stream.deactivate)


def end(session: SessionBase, streams: Iterable[Any]) -> None:
    """End those of the streams that were initialised."""
    for stream in list(streams):
        if stream in session._observed:
            session._release(stream)
            _guarded(stream, stream.end)


def close(session: SessionBase, streams: Iterable[Any]) -> None:
    """Deactivate and end streams that are leaving the session, or never came to be used."""
    streams = [stream for stream in streams if stream in session._observed]
    deactivate(streams)
    end(session, streams)


async def initialize(session: SessionBase, streams: Iterable[Any], direction: str, wait: Wait | None = None) -> list[Any]:
    """Initialise streams and return those that are ready, in their order. A stream that fails is ended and left out.

    Args:
        wait: what to wait for events with, if not with the session's own way.

    Raises:
        Failure: no stream is left, though there were some.
    """
    streams = list(streams)
    pending: set[Any] = set()
    failed: set[Any] = set()
    text = ''
    for stream in streams:
        session._observe(stream)
        if _guarded(stream, stream.initialize, session, direction):
            pending.add(stream)
        else:
            failed.add(stream)
            text = 'internal error'
    while pending:
        try:
            event = await (wait(session) if wait is not None else session._wait())
        except StreamFailed as error:
            failed.add(error.stream)
            pending.discard(error.stream)
            text = error.reason
        else:
            if event.kind is Kind.STREAM_INITIALIZED:
                pending.discard(event.source)
    ready = [stream for stream in streams if stream not in failed]
    if failed:
        close(session, failed)
        if not ready:
            raise Failure(f'media stream failed: {text}')
    return ready


def update(streams: Iterable[Any], local_sdp: FrozenSDPSession, remote_sdp: FrozenSDPSession) -> None:
    """Give running streams newly negotiated descriptions. A stream that cannot take them posts `MediaStreamDidFail` by itself."""
    for stream in streams:
        _guarded(stream, stream.update, local_sdp, remote_sdp, stream.index)


def hold(stream: Any, wish: bool) -> None:
    """Put a stream on hold, or take it off."""
    _guarded(stream, stream.hold if wish else stream.unhold)


def reset(streams: Iterable[Any]) -> None:
    """Tell streams that a full offer will be asked of them. The method is not in the document: an application's own streams may not have it."""
    for stream in streams:
        method = getattr(stream, 'reset', None)
        if method is not None:
            _guarded(stream, method, stream.index)


async def restart_ice(session: SessionBase, streams: Iterable[Any], offer: FrozenSDPSession | None = None) -> list[Any]:
    """Let streams gather ICE candidates anew, for an offer of ours or for the answer to this one. Return those that did: their lines have to be made anew,
    with other candidates or without ICE. The method is not in the document: an application's own streams may not have it."""
    restarted = []
    pending = set()
    found = partial(session._send, Kind.NETWORK, FOUND) if offer is None else None          # whoever offers names what was chosen, RFC 8839 §4.4.1
    for stream in streams:
        method = getattr(stream, 'restart_ice', None)
        if method is None:
            continue
        pending.add(stream)
        if method(partial(session._send, Kind.STREAM_RESTARTED, stream), offer, found):
            restarted.append(stream)
        else:
            pending.discard(stream)
    deadline = session._deadline(session.media_stream_timeout)
    try:
        while pending:
            try:
                event = await session._wait(deadline)
            except ProposalCancelled:
                continue
            if event.kind is Kind.STREAM_RESTARTED:
                pending.discard(event.data)
    except DeadlineExpired:
        leave_ice(pending)
    finally:
        deadline.cancel()
    return restarted


def leave_ice(streams: Iterable[Any]) -> None:
    """Let streams that have gathered anew go on without ICE instead."""
    for stream in streams:
        _guarded(stream, stream.leave_ice)


def keep_ice(streams: Iterable[Any]) -> None:
    """Tell streams that what they have gathered anew did not come to be used."""
    for stream in streams:
        _guarded(stream, stream.keep_ice)


def refused(stream: Any, local_sdp: FrozenSDPSession, remote_sdp: FrozenSDPSession) -> bool:
    """Return whether one of the two sides does not want the line of a stream."""
    index = stream.index
    return index >= len(remote_sdp.media) or not remote_sdp.media[index].port or index >= len(local_sdp.media) or not local_sdp.media[index].port


class Starter:
    """Starts streams that were offered and keeps account of which of them are running.

    Early media makes two descriptions possible: what runs then is updated with the second one, what the first one refused may start now.
    """

    def __init__(self, session: SessionBase, streams: Iterable[Any]) -> None:
        self.streams = list(streams)
        self.started: list[Any] = []            # start() was called
        self.pending: set[Any] = set()          # of these, the ones that are not running yet
        self.negotiated = False
        self._session = session

    def negotiate(self, local_sdp: FrozenSDPSession, remote_sdp: FrozenSDPSession) -> None:
        """Start or update the streams that both descriptions have.

        Raises:
            StreamFailed: a stream refused to start.
        """
        self.negotiated = True
        for stream in self.streams:
            if refused(stream, local_sdp, remote_sdp):
                continue
            if stream in self.started:
                update([stream], local_sdp, remote_sdp)
            else:
                self.started.append(stream)
                self.pending.add(stream)
                if not _guarded(stream, stream.start, local_sdp, remote_sdp, stream.index):
                    raise StreamFailed(stream, 'internal error')

    def drop_refused(self) -> None:
        """Close the streams that did not make it into the final description."""
        refused = [stream for stream in self.streams if stream not in self.started]
        if refused:
            close(self._session, refused)

    @property
    def complete(self) -> bool:
        """True when the descriptions were negotiated and all started streams run."""
        return self.negotiated and not self.pending
