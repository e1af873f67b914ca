"""The TCP connection to a VNC program, with back-pressure both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sipsimple.threading import reactor

__all__ = ['RFBConnection', 'RFBFactory']

CLOSE_LIMIT = 2.0       # seconds that the program may take to read the rest


@implementer(IPushProducer)
class RFBConnection(Protocol):
    """A connection.

    Attributes:
        takes: whether what is written leaves at once: while it is false, nothing should be written.
        on_data: called with what has come. on_room: called when `takes` has become true. on_lost: called with the reason, unless we have closed it.
    """

    def __init__(self, made: Callable[[RFBConnection], object]) -> None:
        self._made = made
        self.takes = True
        self.on_data: Callable[[bytes], object] | None = None
        self.on_room: Callable[[], object] | None = None
        self.on_lost: Callable[[Failure], object] | None = None
        self._reading = True
        self._limit: Any = None

    def connectionMade(self) -> None:
        """The connection is there."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self._made(self)

    def dataReceived(self, data: bytes) -> None:
        """Something has come."""
        if self.on_data is not None:
            self.on_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.takes = False
        if self._limit is not None:
            self._limit.cancel()
        lost, self.on_data, self.on_room, self.on_lost = self.on_lost, None, None, None
        if lost is not None:
            lost(reason)

    def pauseProducing(self) -> None:
        """The program reads nothing for now."""
        self.takes = False

    def resumeProducing(self) -> None:
        """It does again."""
        self.takes = True
        if self.on_room is not None:
            self.on_room()

    def stopProducing(self) -> None:
        """It never will; connectionLost follows."""
        self.takes = False

    def write(self, data: bytes) -> None:
        """Write, or keep it if `takes` is false."""
        transport: Any = self.transport
        transport.write(data)

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        if self._reading:
            self._reading = False
            transport: Any = self.transport
            transport.pauseProducing()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if not self._reading:
            self._reading = True
            transport: Any = self.transport
            transport.resumeProducing()

    def close(self) -> None:
        """Close it, when what was written is read or after a moment. Nobody is called any more."""
        self.on_data = self.on_room = self.on_lost = None
        transport: Any = self.transport
        if transport is None or not transport.connected:
            return
        self.resume_reading()       # or the end would never be seen
        transport.unregisterProducer()
        transport.loseConnection()
        self._limit = reactor.call_later(CLOSE_LIMIT, transport.abortConnection)


class RFBFactory(Factory):
    """Makes one connection, and refuses others."""

    noisy = False

    def __init__(self, made: Callable[[RFBConnection], object]) -> None:
        self._made: Callable[[RFBConnection], object] | None = made

    def buildProtocol(self, addr: IAddress | None) -> RFBConnection | None:
        """Somebody has connected, or we have."""
        made, self._made = self._made, None
        return None if made is None else RFBConnection(made)
