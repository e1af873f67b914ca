"""Call transfer: what a session knows about one, and the table of its states. RFC 3515, RFC 3891, RFC 5589.

`transferor` asks the peer to call somebody else, `transferee` does what the peer asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from sipsimple.core import Header, ReplacesHeader
from sipsimple.statemachine import InvalidTransition, StateMachine

__all__ = ['TRANSFER_TRANSITIONS', 'TransferHandler', 'TransferInfo', 'TransferInput', 'TransferState', 'transfer_headers']


@dataclass(slots=True)
class TransferInfo:
    """Who sent us to the peer of a session, and which dialog the session takes the place of.

    Attributes:
        referred_by: body of the `Referred-By` header (RFC 3892), or None.
        replaced_dialog_id: `DialogID` of the replaced dialog with the tags of the `Replaces` header as `local_tag` (its from-tag) and `remote_tag` (its
            to-tag), which is how its owner's peer knows it; or None.
    """

    referred_by: str | None = None
    replaced_dialog_id: Any = None


class TransferState(StrEnum):
    """Direction and state of a transfer; before the first one it is None."""

    ASKING = 'outgoing_starting'
    PEER_TRIES = 'outgoing_started'
    PEER_DONE = 'outgoing_ended'
    PEER_FAILED = 'outgoing_failed'
    ASKED = 'incoming_starting'
    TRYING = 'incoming_started'
    DONE = 'incoming_ended'
    FAILED = 'incoming_failed'


class TransferInput(Enum):
    """What can happen to a transfer."""

    ASK = 'transfer()'
    ACCEPTED = 'the peer accepts the REFER'
    ASKED = 'a REFER of the peer'
    ACCEPT = 'accept_transfer()'
    REFUSE = 'reject_transfer()'
    SUCCESS = 'the new session runs'
    FAILURE = 'refused, failed, timed out, or the dialog is gone'


_T = TransferState
_I = TransferInput

TRANSFER_TRANSITIONS: dict[tuple[TransferState | None, TransferInput], TransferState] = {
    # State: none running. One at a time, as often as wanted.
    (None, _I.ASK): _T.ASKING,
    (None, _I.ASKED): _T.ASKED,
    (_T.PEER_DONE, _I.ASK): _T.ASKING,
    (_T.PEER_DONE, _I.ASKED): _T.ASKED,
    (_T.PEER_FAILED, _I.ASK): _T.ASKING,
    (_T.PEER_FAILED, _I.ASKED): _T.ASKED,
    (_T.DONE, _I.ASK): _T.ASKING,
    (_T.DONE, _I.ASKED): _T.ASKED,
    (_T.FAILED, _I.ASK): _T.ASKING,
    (_T.FAILED, _I.ASKED): _T.ASKED,
    # State: outgoing starting
    (_T.ASKING, _I.ACCEPTED): _T.PEER_TRIES,
    (_T.ASKING, _I.SUCCESS): _T.PEER_DONE,
    (_T.ASKING, _I.FAILURE): _T.PEER_FAILED,
    # State: outgoing started
    (_T.PEER_TRIES, _I.SUCCESS): _T.PEER_DONE,
    (_T.PEER_TRIES, _I.FAILURE): _T.PEER_FAILED,
    # State: incoming starting
    (_T.ASKED, _I.ACCEPT): _T.TRYING,
    (_T.ASKED, _I.REFUSE): _T.FAILED,
    (_T.ASKED, _I.FAILURE): _T.FAILED,
    # State: incoming started
    (_T.TRYING, _I.SUCCESS): _T.DONE,
    (_T.TRYING, _I.FAILURE): _T.FAILED,
}


class TransferHandler:
    """The transfer of a session, the last one if there were several. Thread: any.

    Attributes:
        new_session: of an incoming transfer that was accepted, the `Session` that calls the target; else None.
    """

    __slots__ = ('_dialog', '_machine', '_next', 'new_session')

    def __init__(self) -> None:
        # For this package, reactor thread only:
        self._dialog: str | None = None                         # direction of the transfer that the dialog has, until the core says that it is over
        self._next: Callable[[], None] | None = None            # starts the one that waits for that
        self._machine: StateMachine[TransferState | None, TransferInput] = StateMachine(TRANSFER_TRANSITIONS, None)
        self.new_session: Any = None

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self._machine.state or "unused"}>'

    @property
    def direction(self) -> str | None:
        """'outgoing' if we have asked the peer to call somebody else, 'incoming' if the peer has asked us; None before the first transfer."""
        state = self._machine.state
        return None if state is None else state.partition('_')[0]

    @property
    def state(self) -> str | None:
        """'starting', 'started', 'ended' or 'failed'; None before the first transfer."""
        state = self._machine.state
        return None if state is None else state.partition('_')[2]

    @property
    def active(self) -> bool:
        """Whether a transfer is running."""
        return self.state in ('starting', 'started')

    def _try(self, what: TransferInput) -> bool:
        """Move on, if that is possible in the present state."""
        try:
            self._machine.fire(what)
        except InvalidTransition:
            return False
        return True


def transfer_headers(info: TransferInfo) -> list[Any]:
    """Return the header fields of an INVITE that a transfer made."""
    headers: list[Any] = []
    if info.referred_by is not None:
        headers.append(Header('Referred-By', info.referred_by))
    if info.replaced_dialog_id is not None:
        call_id, local_tag, remote_tag = info.replaced_dialog_id
        headers.append(ReplacesHeader(call_id, local_tag, remote_tag))
    return headers
