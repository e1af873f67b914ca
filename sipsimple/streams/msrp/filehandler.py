"""What the two ends of a file transfer have in common, without SDP: its life, its thread, and what is told of it.

The file is read, hashed and written in a thread of the transfer; everything else, all notifications among it, happens in the reactor thread. The ends
themselves are `filesender` and `filereceiver`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from sipsimple.notification import NotificationCenter, TimestampedNotificationData
from sipsimple.statemachine import StateMachine
from sipsimple.streams.interfaces import StreamError
from sipsimple.streams.msrp.fileselector import FileSelector, hash_file
from sipsimple.threading import ThreadManager, call_in_twisted_thread, schedule_in_thread

# Loaded with the first stream, see base.py.
if TYPE_CHECKING:
    from msrplib.session import MSRPSession

__all__ = ['FileTransferError', 'FileTransferHandler', 'HandlerInput', 'HandlerState', 'TRANSITIONS', 'reason_of']

PROGRESS_TIME = 0.1         # seconds between two notifications of the progress of hashing

_numbers = count(1)


class FileTransferError(StreamError):
    """A file cannot be sent or received."""


class HandlerState(StrEnum):
    """The states of a transfer."""

    NULL = 'NULL'
    INITIALIZING = 'INITIALIZING'
    INITIALIZED = 'INITIALIZED'
    STARTED = 'STARTED'
    ENDED = 'ENDED'


class HandlerInput(Enum):
    """What can happen to a transfer."""

    INITIALIZE = 'initialize()'
    READY = 'the file is ready'
    START = 'the connection is there'
    FINISH = 'all of the file is there'
    FAIL = 'it cannot go on'


_S = HandlerState
_I = HandlerInput

TRANSITIONS: dict[tuple[HandlerState, HandlerInput], HandlerState] = {
    # State: NULL
    (_S.NULL, _I.INITIALIZE): _S.INITIALIZING,
    (_S.NULL, _I.FAIL): _S.ENDED,
    # State: INITIALIZING
    (_S.INITIALIZING, _I.READY): _S.INITIALIZED,
    (_S.INITIALIZING, _I.FAIL): _S.ENDED,
    # State: INITIALIZED
    (_S.INITIALIZED, _I.START): _S.STARTED,
    (_S.INITIALIZED, _I.FAIL): _S.ENDED,
    # State: STARTED
    (_S.STARTED, _I.FINISH): _S.ENDED,
    (_S.STARTED, _I.FAIL): _S.ENDED,
    # State: ENDED
    (_S.ENDED, _I.FAIL): _S.ENDED,
}


class FileTransferHandler:
    """One end of a transfer.

    Attributes:
        stream: whose it is.
        filename: the path of the file here; None until it is known.
        offset: how many bytes the receiver had before: what is transferred begins after them.
        transferred: bytes that the receiver has, those from before included.
    Notifications (the sender is the handler):
        FileTransferHandlerDidInitialize(), FileTransferHandlerDidNotInitialize(reason).
        FileTransferHandlerHashProgress(processed, total): bytes.
        FileTransferHandlerDidStart().
        FileTransferHandlerProgress(transferred_bytes, total_bytes): total_bytes is None if the size is not known.
        FileTransferHandlerError(error): a text.
        FileTransferHandlerDidEnd(error, reason): once, if it was initialised; error (bool) says whether it failed, reason why, None if it did not.
    """

    direction: ClassVar[str] = ''

    def __init__(self, stream: Any, selector: FileSelector | None) -> None:
        self.stream = stream
        self.selector = selector or FileSelector()
        self.filename: str | None = None
        self.offset = 0
        self.transferred = 0
        self.error: str | None = None           # why it failed
        self.finished = False                   # and well
        self._machine: StateMachine[HandlerState, HandlerInput] = StateMachine(TRANSITIONS, HandlerState.NULL)
        self._thread = f'file-transfer-{next(_numbers)}'
        self._shown = 0.0                       # when progress of hashing was told last
        self._stopped = False                   # the thread is to give up what takes long
        self._closed = False                    # the thread has let go of the file
        self._when_closed: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.state}, {self.transferred} of {self.selector.size}>'

    @property
    def state(self) -> str:
        """The state, see `HandlerState`."""
        state: HandlerState = self._machine.state
        return state

    @property
    def busy(self) -> bool:
        """All has come, and is being checked and put in its place: the end of the session does not matter any more."""
        return False

    def call_when_closed(self, function: Callable[[], object]) -> None:
        """Call it when the transfer has ended and the file is closed, at once if it is."""
        if self._closed:
            function()
        else:
            self._when_closed.append(function)

    # The life

    def initialize(self, done: Callable[[BaseException | None], object]) -> None:
        """Get the file ready, in the thread; `done` is called with None or with what is in the way, unless the transfer was ended meanwhile."""
        self._machine.fire(HandlerInput.INITIALIZE)

        def work() -> None:
            error: BaseException | None = None
            try:
                self._prepare()
            except (OSError, ValueError, StreamError) as failed:
                error = failed
            call_in_twisted_thread(ready, error)

        def ready(error: BaseException | None) -> None:
            if self.state != HandlerState.INITIALIZING:
                return
            if error is not None:
                self.fail(reason_of(error))
            else:
                self._machine.fire(HandlerInput.READY)
                self.post('FileTransferHandlerDidInitialize')
            done(error)
        self._in_thread(work)

    def start(self, session: MSRPSession) -> None:
        """The connection is there."""
        self._machine.fire(HandlerInput.START)
        self.post('FileTransferHandlerDidStart')
        self._begin(session)

    def fail(self, reason: str, quiet: bool = False) -> bool:
        """End the transfer, which did not succeed; returns whether it was not over anyway.

        Args:
            quiet: nobody is told, as it never began.
        """
        before = self.state
        if before == HandlerState.ENDED:
            return False
        self._machine.fire(HandlerInput.FAIL)
        self.error = reason
        self._stopped = True
        if before in (HandlerState.NULL, HandlerState.INITIALIZING):
            self._over(None if quiet else lambda: self.post('FileTransferHandlerDidNotInitialize', reason=reason))
        else:
            self.post('FileTransferHandlerError', error=reason)
            self._over(lambda: self.post('FileTransferHandlerDidEnd', error=True, reason=reason))
        return True

    def _succeed(self) -> None:
        self._machine.fire(HandlerInput.FINISH)
        self.finished = True
        self.stream.post('FileTransferStreamDidFinish')
        self._over(lambda: self.post('FileTransferHandlerDidEnd', error=False, reason=None))

    def _over(self, tell: Callable[[], object] | None) -> None:
        """Let go of the file, and then post the last notification: whoever hears it can try again at once."""
        def close() -> None:
            try:
                self._close()
            finally:
                call_in_twisted_thread(closed)

        def closed() -> None:
            self._closed = True
            if tell is not None:
                tell()
            waiting, self._when_closed = self._when_closed, []
            for function in waiting:
                function()
        self._in_thread(close)
        ThreadManager().stop_thread(self._thread)

    def _progress(self, transferred: int) -> None:
        self.transferred = transferred
        self.post('FileTransferHandlerProgress', transferred_bytes=transferred, total_bytes=self.selector.size)

    def post(self, name: str, /, **fields: Any) -> None:
        """Post a notification of this handler."""
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    # For the two ends

    def _prepare(self) -> None:
        """Get the file ready. In the thread; OSError, ValueError or StreamError says why that is not possible."""

    def _begin(self, session: MSRPSession) -> None:
        """The connection is there."""

    def _close(self) -> None:
        """Let go of the file. In the thread, the last thing that happens there."""

    # The thread

    def _in_thread(self, function: Callable[..., object], *args: Any) -> None:
        schedule_in_thread(self._thread, function, *args)

    def _hash(self, fd: int, size: int | None, functions: list[str], total: int) -> dict[str, Any]:
        def progress(processed: int) -> None:
            if self._stopped:
                raise FileTransferError('given up')
            now = time.monotonic()
            if now - self._shown >= PROGRESS_TIME or processed == total:
                self._shown = now
                call_in_twisted_thread(self._post_hash_progress, processed, total)
        return hash_file(fd, size, functions, progress)

    def _post_hash_progress(self, processed: int, total: int) -> None:
        if self.state != HandlerState.ENDED:
            self.post('FileTransferHandlerHashProgress', processed=processed, total=total)


def reason_of(error: BaseException) -> str:
    """What went wrong, for a user."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or error.__class__.__name__
