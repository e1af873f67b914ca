"""The life of an XCAP manager as a table."""

from __future__ import annotations

from enum import Enum, StrEnum, auto

__all__ = ['TRANSITIONS', 'ManagerInput', 'ManagerState']


class ManagerState(StrEnum):
    """What the manager does."""

    STOPPED = 'stopped'
    INITIALIZING = 'initializing'       # looks for the server and asks what it can do
    FETCHING = 'fetching'               # reads documents
    UPDATING = 'updating'               # carries out the journal, and writes
    INSYNC = 'insync'
    TERMINATED = 'terminated'           # the account is gone


class ManagerInput(Enum):
    """What makes it do something else."""

    START = auto()
    CAPABLE = auto()        # the server has what we need
    FETCHED = auto()        # all documents are as on the server
    UPDATED = auto()        # the server has what we have
    FETCH = auto()          # somebody else has changed something, or may have
    CHANGE = auto()         # the user has
    RESTART = auto()        # settings changed
    STOP = auto()
    TERMINATE = auto()


_S, _I = ManagerState, ManagerInput

TRANSITIONS: dict[tuple[ManagerState, ManagerInput], ManagerState] = {
    # State: stopped
    (_S.STOPPED, _I.START): _S.INITIALIZING,
    (_S.STOPPED, _I.TERMINATE): _S.TERMINATED,
    # State: initializing
    (_S.INITIALIZING, _I.CAPABLE): _S.FETCHING,
    (_S.INITIALIZING, _I.RESTART): _S.INITIALIZING,
    (_S.INITIALIZING, _I.STOP): _S.STOPPED,
    # State: fetching
    (_S.FETCHING, _I.FETCHED): _S.UPDATING,
    (_S.FETCHING, _I.RESTART): _S.INITIALIZING,
    (_S.FETCHING, _I.STOP): _S.STOPPED,
    # State: updating
    (_S.UPDATING, _I.UPDATED): _S.INSYNC,
    (_S.UPDATING, _I.FETCH): _S.FETCHING,
    (_S.UPDATING, _I.RESTART): _S.INITIALIZING,
    (_S.UPDATING, _I.STOP): _S.STOPPED,
    # State: insync
    (_S.INSYNC, _I.FETCH): _S.FETCHING,
    (_S.INSYNC, _I.CHANGE): _S.UPDATING,
    (_S.INSYNC, _I.RESTART): _S.INITIALIZING,
    (_S.INSYNC, _I.STOP): _S.STOPPED,
}
