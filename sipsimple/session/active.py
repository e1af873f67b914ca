"""The sessions that live: from `SIPSessionNewIncoming` or `SIPSessionNewOutgoing` until `SIPSessionDidFail` or `SIPSessionDidEnd`; and what is left to do for
others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['add', 'call_when_empty', 'hold', 'release', 'remove', 'sessions', 'settle']

# Keys only; a dict keeps the order. Changed in the reactor thread only; copying it is one step under the GIL.
_sessions: dict[Session, None] = {}
_held: dict[object, None] = {}              # what has still to be said for sessions that are over
_when_empty: list[Callable[[], object]] = []


def add(session: Session) -> None:
    """Enter a session that begins. Thread: the SDK thread."""
    _sessions[session] = None


def remove(session: Session) -> None:
    """Take a session out, before its last notification: `settle` follows when all is done."""
    _sessions.pop(session, None)


def settle() -> None:
    """A session is over, streams and all: call who waits for that, if it was the last one."""
    if not _sessions and not _held:
        while _when_empty:
            _when_empty.pop()()


def hold(work: object) -> None:
    """There is something to be done yet, session or not. Reactor thread."""
    _held[work] = None


def release(work: object) -> None:
    """That is done. Reactor thread."""
    _held.pop(work, None)
    settle()


def sessions() -> list[Session]:
    """Return the live sessions, oldest first; any thread."""
    return list(_sessions)


def call_when_empty(function: Callable[[], object]) -> None:
    """Call once when no session lives any more, and nothing is to be done for one: at once if that is so. Reactor thread."""
    if _sessions or _held:
        _when_empty.append(function)
    else:
        function()
