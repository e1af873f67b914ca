"""An INVITE that takes the place of one of our sessions: RFC 3891."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sipsimple.session.states import SessionState

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['find_replaced', 'is_ending']


def find_replaced(header: Any, sessions: Iterable[Session]) -> Session | None:
    """Return the session whose dialog a `Replaces` header means, None if there is none.

    The tags are the sender's view: its to-tag is ours. `from-tag=0` means a peer without a tag (RFC 3891 §6.1). An incoming session that has not been
    answered yet never matches (§3).
    """
    for session in sessions:
        dialog_id = session.dialog_id
        if dialog_id is None or dialog_id.call_id != header.call_id or dialog_id.local_tag != header.to_tag:
            continue
        if dialog_id.remote_tag != header.from_tag and not (header.from_tag == '0' and not dialog_id.remote_tag):
            continue
        if session.state in (SessionState.INCOMING, SessionState.ACCEPTING):
            continue
        return session
    return None


def is_ending(session: Session) -> bool:
    """Return whether it is too late to replace the session."""
    return session.state in (SessionState.TERMINATING, SessionState.TERMINATED)
