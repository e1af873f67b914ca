"""Handlers of a `DesktopSharingStream`: who makes the RFB data (RFC 6143) that it carries, and who takes it.

`External...` ones talk to a VNC program over TCP, `Internal...` ones to the application. Viewers are active, servers passive: that is what `a=rfbsetup` says.
"""

from __future__ import annotations

import socket
from threading import Lock
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface, implementer

from sipsimple.notification import NotificationCenter, TimestampedNotificationData
from sipsimple.streams.msrp.base import MSRPStreamError
from sipsimple.threading import call_in_twisted_thread, reactor

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipsimple.streams.msrp.desktopsharing import DesktopSharingStream
    from sipsimple.streams.msrp.rfbconnection import RFBConnection

__all__ = ['DesktopSharingError', 'ExternalVNCServerHandler', 'ExternalVNCViewerHandler', 'IDesktopSharingHandler', 'InternalVNCServerHandler',
           'InternalVNCViewerHandler']

PIECE = 65536               # bytes handed on at once
MAX_UNSENT = 16 << 20       # bytes that the application may hand in before they are sent


class DesktopSharingError(MSRPStreamError):
    """A handler cannot do what it is asked for."""


class IDesktopSharingHandler(Interface):
    """Makes and takes the RFB data that a `DesktopSharingStream` carries. A handler is for one stream.

    A handler that has a method `end()`, too, is told with it that the stream ends.

    Notifications (sender: the handler): DesktopSharingHandlerDidFail(context, failure, reason): the stream fails with the same; `context` is 'connecting',
    'reading' or 'sending', `failure` a Twisted `Failure`.
    """

    type = Attribute("'active' for a viewer, 'passive' for a server.")

    def initialize(stream: Any) -> None:
        """The stream has started: data comes in its `incoming_queue` (`wait()` in a green thread), and goes out by its `outgoing_queue` (`send(data)`).

        Thread: that of the SDK.
        """


@implementer(IDesktopSharingHandler)
class _Handler:
    """What the handlers have in common: `_drain` is called when data has come, `_room` when the stream takes more."""

    type: str

    def __init__(self) -> None:
        self.stream: DesktopSharingStream | None = None
        self._over = False      # failed, or ended

    def initialize(self, stream: DesktopSharingStream) -> None:
        """Begin. RuntimeError: the handler had a stream before."""
        if self.stream is not None or self._over:
            raise RuntimeError('a handler is for one stream')
        self.stream = stream
        stream.incoming_queue.on_data = self._drain
        stream.outgoing_queue.on_room = self._room
        self._begin()

    def end(self) -> None:
        """The stream ends. A second call has no effect. Thread: that of the SDK."""
        self._over = True

    def _begin(self) -> None:
        raise NotImplementedError

    def _drain(self) -> None:
        raise NotImplementedError

    def _room(self) -> None:
        raise NotImplementedError

    def _fail(self, context: str, error: Any) -> None:
        """Tell, once, that it does not go on."""
        from twisted.python.failure import Failure
        if self._over:
            return
        failure = error if isinstance(error, Failure) else Failure(error)      # type: ignore[no-untyped-call]
        self.end()
        reason = str(failure.value) or failure.value.__class__.__name__
        NotificationCenter().post_notification('DesktopSharingHandlerDidFail', sender=self, data=TimestampedNotificationData(
            context=context, failure=failure, reason=reason))


class _InternalHandler(_Handler):
    """A handler for a viewer or server within the application.

    Notifications: DesktopSharingStreamGotData(data): `data` is `bytes`; DesktopSharingHandlerGotRoom(): there is room again after `send` has returned False.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._unsent = 0            # bytes on the way to the queue; those in it count on their own
        self._crowded = False       # somebody was told that there is no room
        self._paused = False

    def send(self, data: bytes) -> bool:
        """Send data to the peer; returns whether there is room for more: if not, wait for DesktopSharingHandlerGotRoom.

        Raises:
            TypeError: `data` is not bytes.
            DesktopSharingError: the stream has not started, has ended, or takes 16 MiB less than it was given.
        Thread: any.
        """
        data = bytes(memoryview(data))
        stream = self.stream
        if stream is None or self._over:
            raise DesktopSharingError('the stream has ended' if self._over else 'the stream has not started')
        queue = stream.outgoing_queue
        with self._lock:
            waiting = self._unsent + queue.size
            if waiting + len(data) > MAX_UNSENT:
                raise DesktopSharingError(f'{waiting} bytes wait to be sent')
            self._unsent += len(data)
            room = waiting + len(data) < queue.limit
            if not room:
                self._crowded = True
        call_in_twisted_thread(self._put, data)
        return room

    def pause(self) -> None:
        """Take nothing more from the peer until `resume`; it is made to wait. Thread: any."""
        self._paused = True

    def resume(self) -> None:
        """Undo `pause`. Thread: any."""
        self._paused = False
        call_in_twisted_thread(self._drain)

    def _put(self, data: bytes) -> None:
        with self._lock:
            self._unsent -= len(data)
        if self.stream is not None and not self._over:
            self.stream.outgoing_queue.put(data)
            if not self.stream.outgoing_queue.full:
                self._room()

    def _begin(self) -> None:
        reactor.call_later(0, self._drain)      # what came already is told after the start of the stream

    def _drain(self) -> None:
        while not self._over and not self._paused and self.stream is not None and (data := self.stream.incoming_queue.take(PIECE)):
            NotificationCenter().post_notification('DesktopSharingStreamGotData', sender=self, data=TimestampedNotificationData(data=data))

    def _room(self) -> None:
        if self._over or self.stream is None:
            return
        queue = self.stream.outgoing_queue
        with self._lock:
            tell = self._crowded and self._unsent + queue.size < queue.limit
            if tell:
                self._crowded = False
        if tell:
            NotificationCenter().post_notification('DesktopSharingHandlerGotRoom', sender=self, data=TimestampedNotificationData())


class InternalVNCViewerHandler(_InternalHandler):
    """The application shows the desktop of the peer: it gets what the server sends, and sends what a viewer does."""

    type = 'active'


class InternalVNCServerHandler(_InternalHandler):
    """The application shares its desktop: it gets what the viewer sends, and sends what a server does."""

    type = 'passive'


class _ExternalHandler(_Handler):
    """A handler for a program that is reached over TCP."""

    def __init__(self, connect_timeout: float) -> None:
        super().__init__()
        self.connect_timeout = connect_timeout
        self._connection: RFBConnection | None = None

    def _connected(self, connection: RFBConnection) -> None:
        self._connection = connection
        connection.on_data = self._received
        connection.on_room = self._drain
        connection.on_lost = lambda reason: self._fail('reading', reason)
        self._drain()

    def _received(self, data: bytes) -> None:
        assert self.stream is not None and self._connection is not None
        queue = self.stream.outgoing_queue
        queue.put(data)
        if queue.full:
            self._connection.pause_reading()

    def _drain(self) -> None:
        connection = self._connection
        while connection is not None and self.stream is not None and connection.takes and (data := self.stream.incoming_queue.take(PIECE)):
            connection.write(data)

    def _room(self) -> None:
        if self._connection is not None:
            self._connection.resume_reading()

    def end(self) -> None:
        """Close the connection to the program."""
        super().end()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class ExternalVNCViewerHandler(_ExternalHandler):
    """A VNC viewer connects to us, over TCP, and shows the desktop of the peer.

    It may connect as soon as this is made, and has to have connected `connect_timeout` seconds after the start of the stream. Nobody else can connect then.

    Args:
        address: where to listen: an IP address or host name of this host, and a port, 0 for any.
        connect_timeout: seconds.
    Raises:
        OSError: that is not possible.
    Attributes:
        address: where it listens, as IP address and port.
    """

    type = 'active'

    def __init__(self, address: tuple[str, int] = ('localhost', 0), connect_timeout: float = 3) -> None:
        super().__init__(connect_timeout)
        places = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = min(places, key=lambda item: item[0] != socket.AF_INET)       # viewers find IPv4 by every name
        self._socket: socket.socket | None = socket.create_server(place[:2], family=family, backlog=1)
        self._socket.setblocking(False)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._port: Any = None
        self._timer: Any = None

    def _begin(self) -> None:
        from sipsimple.streams.msrp.rfbconnection import RFBFactory
        listener, self._socket = self._socket, None
        assert listener is not None
        with listener:
            self._port = reactor.get_reactor().adoptStreamPort(listener.fileno(), listener.family, RFBFactory(self._accepted))     # type: ignore[no-untyped-call]
        self._timer = reactor.call_later(self.connect_timeout, self._late)

    def _accepted(self, connection: RFBConnection) -> None:
        self._stop_waiting()
        self._connected(connection)

    def _late(self) -> None:
        self._fail('connecting', TimeoutError(f'no VNC viewer has connected in {self.connect_timeout:g} seconds'))

    def _stop_waiting(self) -> None:
        listener, self._socket = self._socket, None
        if listener is not None:
            listener.close()
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def end(self) -> None:
        """Close the port, and the connection to the viewer."""
        self._stop_waiting()
        super().end()


class ExternalVNCServerHandler(_ExternalHandler):
    """We connect to a VNC server, over TCP, when the stream has started, and the peer sees its desktop.

    Args:
        address: IP address or host name, and port.
        connect_timeout: seconds.
    """

    type = 'passive'

    def __init__(self, address: tuple[str, int] = ('localhost', 5900), connect_timeout: float = 3) -> None:
        super().__init__(connect_timeout)
        self.address = address
        self._connecting: Deferred[Any] | None = None

    def _begin(self) -> None:
        from twisted.internet.endpoints import HostnameEndpoint

        from sipsimple.streams.msrp.rfbconnection import RFBFactory
        endpoint = HostnameEndpoint(reactor.get_reactor(), *self.address, timeout=self.connect_timeout)
        self._connecting = connecting = endpoint.connect(RFBFactory(self._connected))
        connecting.addCallbacks(self._arrived, self._refused)

    def _arrived(self, connection: RFBConnection) -> None:
        self._connecting = None

    def _refused(self, failure: Any) -> None:
        self._connecting = None
        self._fail('connecting', failure)

    def end(self) -> None:
        """Close the connection to the server."""
        super().end()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()


