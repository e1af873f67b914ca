"""The control of a conference at the peer: RFC 4579."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ['NoConferenceControl']


class NoConferenceControl:
    """Stands where the control of a conference will be. It is false, as the document wants it of a session without one."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return 'no conference control'

    def add_participant(self, participant_uri: Any) -> NoReturn:
        """Raises NotImplementedError: this version cannot."""
        raise NotImplementedError('Session.conference: this version cannot control conferences')

    remove_participant = add_participant
