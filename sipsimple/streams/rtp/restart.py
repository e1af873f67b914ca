"""ICE begins anew with other sockets (RFC 8445 section 9, RFC 8839 section 4.4.1.1.1), since the old ones have candidates of a network that is gone.

The candidates of a PJNATH transport are those of when it was made, and so is its relay. Hence a second pair of transports beside the running one: it
gathers, its line goes out with an offer or an answer, and when the peer has taken that, the stream moves its media over and lets the old pair go. If
the peer has not, the new pair goes and the old one stays.

A peer that begins anew while our own addresses are good needs none of that: PJNATH answers with new credentials for the sockets that are there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPCoreError
from sipsimple.statemachine import StateMachine
from sipsimple.streams.interfaces import StreamError
from sipsimple.streams.rtp.gathering import Gathering

if TYPE_CHECKING:
    from sipsimple.streams.rtp.base import RTPStream

__all__ = ['Restart', 'RestartInput', 'RestartState', 'TRANSITIONS']

log = logging.getLogger('sipsimple.streams')


class RestartState(StrEnum):
    """The states of the second pair of transports."""

    ABSENT = 'ABSENT'
    GATHERING = 'GATHERING'
    READY = 'READY'


class RestartInput(Enum):
    """What can happen to it."""

    BEGIN = 'our addresses have changed'
    GATHERED = 'the new transport has its candidates'
    FAILED = 'the new transport has no sockets'
    TAKEN = 'the peer has taken the description: media move'
    DROPPED = 'the peer has not, or the stream ends'


_S = RestartState
_I = RestartInput

TRANSITIONS: dict[tuple[RestartState, RestartInput], RestartState] = {
    # State: ABSENT
    (_S.ABSENT, _I.BEGIN): _S.GATHERING,
    (_S.ABSENT, _I.DROPPED): _S.ABSENT,
    # State: GATHERING
    (_S.GATHERING, _I.BEGIN): _S.GATHERING,
    (_S.GATHERING, _I.GATHERED): _S.READY,
    (_S.GATHERING, _I.FAILED): _S.ABSENT,
    (_S.GATHERING, _I.DROPPED): _S.ABSENT,
    # State: READY
    (_S.READY, _I.BEGIN): _S.GATHERING,
    (_S.READY, _I.TAKEN): _S.ABSENT,
    (_S.READY, _I.DROPPED): _S.ABSENT,
}


class Restart:
    """The second pair of transports of a stream, while there is one. Reactor thread.

    Attributes:
        rtp_transport, media_transport: the pair; None unless READY.
    """

    def __init__(self, stream: RTPStream) -> None:
        self.rtp_transport: Any = None
        self.media_transport: Any = None
        self._stream = stream
        self._machine: StateMachine[RestartState, RestartInput] = StateMachine(TRANSITIONS, RestartState.ABSENT)
        self._gathering: Gathering | None = None
        self._done: Callable[[], None] | None = None
        self._offer: Any = None
        self._ufrag: str | None = None          # in the line that goes to the peer

    @property
    def state(self) -> RestartState:
        """The state."""
        return self._machine.state

    def begin(self, done: Callable[[], None], offer: Any = None) -> None:
        """Gather candidates on new sockets: for an offer of ours, or for the answer to this one. `done` is called when the state is READY, or, after a failure,
        ABSENT; not after `drop`."""
        self._machine.fire(RestartInput.BEGIN)
        self._release()
        self._done, self._offer = done, offer
        self._gathering = Gathering(self._stream._new_rtp_transport, self._ready, self._failed)
        try:
            self._gathering.begin(self._stream.account)
        except Exception as error:
            self._failed(error)

    def _ready(self, rtp_transport: Any) -> None:
        try:
            media_transport = self._stream._make_transport(rtp_transport, self._offer, (self._stream.index or 0) if self._offer is not None else 0)
        except (SIPCoreError, ValueError, StreamError) as error:
            self._failed(error)
            return
        self.rtp_transport, self.media_transport, self._gathering = rtp_transport, media_transport, None
        self._end(RestartInput.GATHERED)

    def _failed(self, error: Exception | str) -> None:
        log.warning('%r cannot gather candidates anew: %s', self._stream, error)
        self._release()
        self._end(RestartInput.FAILED)

    def _end(self, how: RestartInput) -> None:
        self._machine.fire(how)
        done, self._done = self._done, None
        if done is not None:
            done()

    def tell(self, media: Any) -> None:
        """This line of the new pair goes out."""
        self._ufrag = media.attributes.getfirst('ice-ufrag')

    def is_taken(self, media: Any) -> bool:
        """Return whether a negotiated line of ours is the one of the new pair."""
        return self._ufrag is not None and media.attributes.getfirst('ice-ufrag') == self._ufrag

    def take(self) -> tuple[Any, Any]:
        """Return the pair, which is the stream's from now on: RTP transport and media transport."""
        self._machine.fire(RestartInput.TAKEN)
        pair = self.rtp_transport, self.media_transport
        self.rtp_transport = self.media_transport = self._offer = self._ufrag = None
        return pair

    def drop(self) -> None:
        """Let the pair go, if there is one."""
        self._machine.fire(RestartInput.DROPPED)
        self._done = None
        self._release()

    def _release(self) -> None:
        """The ports are free when the transports are gone."""
        if self._gathering is not None:
            self._gathering.stop()
        if self.media_transport is not None:
            self.media_transport.stop()
        self.rtp_transport = self.media_transport = self._gathering = self._offer = self._ufrag = None
