"""`MSRPStreamBase`: the life of a stream over MSRP, for chat, files, desktops, and streams of an application.

All methods the session calls, and all transitions, happen in the reactor thread. `TRANSITIONS` is the whole life cycle; a stream that failed stays in its
state until the session ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.python.failure import Failure
from zope.interface import implementer

from sipsimple.core import Engine
from sipsimple.core.helpers import outgoing_ip_for
from sipsimple.notification import IObserver, Notification, NotificationCenter, TimestampedNotificationData
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.streams.interfaces import IMediaStream, InvalidStreamError, StreamError, UnknownStreamError
from sipsimple.streams.msrp.description import MSRPMedia, make_media
from sipsimple.streams.registry import MediaStreamRegistrar
from sipsimple.threading import reactor

# What makes connections is loaded with the first stream: most programs that make calls never have one.
if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from msrplib.connect import ConnectBase
    from msrplib.events import ChunkReceived, Event, MessageAborted, MessageReceived
    from msrplib.reassembly import IncomingMessage, Sink
    from msrplib.session import MSRPSession
    from msrplib.transport import MSRPTransport
    from msrplib.uri import URI
    from sipsimple.streams.msrp.connecting import Plan
    from sipsimple.streams.msrp.logs import NotificationLogger

__all__ = ['MSRPStreamBase', 'MSRPStreamError', 'MSRPStreamInput', 'MSRPStreamState', 'TRANSITIONS']

log = logging.getLogger('sipsimple.streams')

BYE_LIMIT = 2.0             # seconds that the end of a session may come after the end of its connection

_OPPOSITE = {'sendonly': 'recvonly', 'recvonly': 'sendonly'}


class MSRPStreamError(StreamError):
    """A stream over MSRP cannot do what it is asked for."""


class MSRPStreamState(StrEnum):
    """The states of a stream."""

    NULL = 'NULL'
    INITIALIZING = 'INITIALIZING'
    INITIALIZED = 'INITIALIZED'
    STARTING = 'STARTING'
    STARTED = 'STARTED'
    ENDED = 'ENDED'


class MSRPStreamInput(Enum):
    """What can happen to a stream."""

    INITIALIZE = 'initialize()'
    READY = 'our path is known'
    START = 'start()'
    BOUND = 'the session has its connection'
    END = 'end()'


_S = MSRPStreamState
_I = MSRPStreamInput

TRANSITIONS: dict[tuple[MSRPStreamState, MSRPStreamInput], MSRPStreamState] = {
    # State: NULL
    (_S.NULL, _I.INITIALIZE): _S.INITIALIZING,
    (_S.NULL, _I.END): _S.ENDED,
    # State: INITIALIZING
    (_S.INITIALIZING, _I.READY): _S.INITIALIZED,
    (_S.INITIALIZING, _I.END): _S.ENDED,
    # State: INITIALIZED
    (_S.INITIALIZED, _I.START): _S.STARTING,
    (_S.INITIALIZED, _I.END): _S.ENDED,
    # State: STARTING
    (_S.STARTING, _I.BOUND): _S.STARTED,
    (_S.STARTING, _I.END): _S.ENDED,
    # State: STARTED
    (_S.STARTED, _I.END): _S.ENDED,
    # State: ENDED
    (_S.ENDED, _I.END): _S.ENDED,
}


@implementer(IMediaStream, IObserver)
class MSRPStreamBase(metaclass=MediaStreamRegistrar):
    """Base of the streams over MSRP.

    A subclass has `type`, `priority`, `media_type`, `accept_types` and `accept_wrapped_types`, and a `new_from_sdp` of its own that ends with
    `_from_media`. Incoming requests go to its methods `_handle_<METHOD>(chunk)`: SEND gets whole messages, unless `_accept_message` says where the bytes
    of a message go; REPORT gets reports. The stream observes itself: methods `_NH_<notification>` are called for the notifications it posts.

    Attributes:
        account, session, index: as in `IMediaStream`.
        direction: 'sendrecv', 'sendonly' or 'recvonly', from our point of view.
        transport: 'tls' or 'tcp', None before `initialize`.
        local_role, remote_role: what both sides said in `a=setup`, None until known.
        local_media: the description we made last, remote_media: what the peer's says; None until known.
        local_uri: our URI.
        msrp_connector, msrp, msrp_session: how the connection is made, the connection, and the session on it; None when there is none.
        cpim_enabled: whether messages can be wrapped; None until started.
        shutting_down: the stream is about to be removed, or removed.
    """

    type: ClassVar[str | None] = None
    priority: ClassVar[int | None] = None
    hold_supported: ClassVar[bool] = False
    media_type: ClassVar[str] = ''
    accept_types: ClassVar[list[str]] = []
    accept_wrapped_types: ClassVar[list[str] | None] = None
    use_msrp_session: ClassVar[bool] = True
    automatic_reports: ClassVar[bool] = True

    on_hold = on_hold_by_local = on_hold_by_remote = False

    def __init__(self, account: Any = None, direction: str = 'sendrecv') -> None:
        if direction not in ('sendrecv', 'sendonly', 'recvonly'):
            raise ValueError(f'unknown direction: {direction!r}')
        self.account = account
        self.direction = direction
        self.session: Any = None
        self.index: int | None = None
        self.transport: str | None = None
        self.local_role: str | None = None
        self.remote_role: str | None = None
        self.local_media: Any = None
        self.remote_media: MSRPMedia | None = None
        self.local_uri: URI | None = None
        self.msrp_connector: ConnectBase | None = None
        self.msrp: MSRPTransport | None = None
        self.msrp_session: MSRPSession | None = None
        self.cpim_enabled: bool | None = None
        self.shutting_down = False
        self.logger: NotificationLogger | None = None
        self._machine: StateMachine[MSRPStreamState, MSRPStreamInput] = StateMachine(TRANSITIONS, MSRPStreamState.NULL)
        self._plan: Plan | None = None
        self._path: list[URI] = []
        self._credentials: Any = None
        self._incoming_sdp: Any = None          # the offer the stream was made from
        self._failed = False

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.state} at index {self.index}>'

    @property
    def state(self) -> str:
        """The state, see `MSRPStreamState`."""
        state: MSRPStreamState = self._machine.state
        return state

    @property
    def remote_accept_types(self) -> tuple[str, ...]:
        """MIME types the peer takes."""
        return (self.remote_media.accept_types if self.remote_media is not None else None) or ()

    @property
    def remote_accept_wrapped_types(self) -> tuple[str, ...]:
        """MIME types the peer takes in an envelope."""
        return (self.remote_media.accept_wrapped_types if self.remote_media is not None else None) or ()

    @property
    def _relayed(self) -> bool:
        """Whether there are relays between us and the peer."""
        return len(self._path) > 1 or (self.remote_media is not None and len(self.remote_media.path) > 1)

    # The interface of the session

    @classmethod
    def new_from_sdp(cls, account: Any, remote_sdp: Any, stream_index: int) -> MSRPStreamBase | None:
        """To be provided by subclasses."""
        raise UnknownStreamError('an abstract stream')

    @classmethod
    def _read_offer(cls, account: Any, remote_sdp: Any, stream_index: int) -> MSRPMedia:
        """The offered line, if it is of our kind.

        Raises:
            UnknownStreamError: the line has another type of media.
            InvalidStreamError: it cannot be used.
        """
        if remote_sdp.media[stream_index].media != cls.media_type:
            raise UnknownStreamError(f'not {cls.media_type}: {remote_sdp.media[stream_index].media}')
        remote = MSRPMedia.of(remote_sdp, stream_index)
        if remote.transport != str(account.msrp.transport):
            raise InvalidStreamError(f'offered over {remote.transport}, and account.msrp.transport is {account.msrp.transport}')
        return remote

    def _from_offer(self, remote: MSRPMedia, remote_sdp: Any, stream_index: int) -> None:
        """Remember the offer the stream was made from."""
        self.remote_media = remote
        self.direction = _OPPOSITE.get(remote.direction, 'sendrecv')
        self.index = stream_index
        self._incoming_sdp = remote_sdp

    def initialize(self, session: Any, direction: str) -> None:
        """Find out our path: open a port, or reach the relay.

        Raises:
            RuntimeError: the stream was initialised before.
        """
        self._fire(MSRPStreamInput.INITIALIZE)
        self.session = session
        NotificationCenter().add_observer(self, sender=self)        # until the end, which always follows
        if self.account is None:
            self.account = session.account
        from msrplib.uri import URI
        from sipsimple.streams.msrp.connecting import make_connector, make_plan, relay_settings
        from sipsimple.streams.msrp.logs import NotificationLogger
        try:
            self.logger = NotificationLogger()
            self.transport = str(self.account.msrp.transport)
            use_tls = self.transport == 'tls'
            self._credentials = self.account.tls_credentials if use_tls else None
            self._plan = plan = make_plan(self.account, direction, self.remote_media)
            self.local_role = plan.role
            relay = relay_settings(self.account, use_tls, self._credentials) if plan.way == 'relay' else None
            self.msrp_connector = connector = make_connector(plan, relay, self.logger, self._sessmatch, plan.role == 'passive')
            connector.on_failed = lambda error: self._fail('relay', error)
            connector.accept = self._accept_message
            self.local_uri = URI(self._local_host(), use_tls, port=0, credentials=self._credentials)
            connector.prepare(self.local_uri).addCallbacks(self._prepared, lambda failure: self._fail('initialize', failure))
        except Exception as error:
            self._fail('initialize', error)

    @property
    def _sessmatch(self) -> bool:
        """Neighbours see each other's addresses; between all others somebody may change them."""
        return hasattr(self.account.msrp, 'connection_model')

    def _local_host(self) -> str:
        """Our address as the peer sees it: on the way to it if its address is known, else that of the Engine."""
        if self._incoming_sdp is not None:
            media = self._incoming_sdp.media[self.index or 0]
            connection = media.connection or self._incoming_sdp.connection
            host = outgoing_ip_for(connection.address) if connection is not None else None
            if host is not None:
                return host
        ipv6 = bool(getattr(self.session, 'ipv6_media', False))
        engine = Engine()
        if engine.is_running and engine.ip_address not in (None, '0.0.0.0') and (':' in engine.ip_address) == ipv6:
            return str(engine.ip_address)
        return outgoing_ip_for('2001:db8::1' if ipv6 else None) or ('::1' if ipv6 else '127.0.0.1')

    def _prepared(self, path: list[URI]) -> None:
        if self.state != MSRPStreamState.INITIALIZING:
            return
        self._path = path
        self.local_uri = path[-1]
        self._get_ready()

    def _get_ready(self) -> None:
        """Our path is known. A kind of stream that has more to do before it can be offered calls `_initialized` when that is done."""
        self._initialized()

    def _initialized(self) -> None:
        if self.state == MSRPStreamState.INITIALIZING:
            self._fire(MSRPStreamInput.READY)
            self.post('MediaStreamDidInitialize')

    def get_local_media(self, for_offer: bool) -> Any:
        """Return the media line of this stream.

        Raises:
            RuntimeError: the stream is not initialised, or has ended.
        """
        if self.state not in (MSRPStreamState.INITIALIZED, MSRPStreamState.STARTING, MSRPStreamState.STARTED):
            raise RuntimeError(f'there is no local media in the state {self.state}')
        if self.local_media is None or not for_offer:
            fingerprint = self._credentials.local_fingerprint if self._credentials is not None else None
            self.local_media = make_media(
                self.media_type, str(self.transport), self._path, setup=self.local_role, direction=self.direction, accept_types=self.accept_types,
                accept_wrapped_types=self.accept_wrapped_types, fingerprint=fingerprint, attributes=self._media_attributes())
        return self.local_media.__class__.new(self.local_media)

    def _media_attributes(self) -> list[tuple[str, str]]:
        """Further attributes of our media line."""
        return []

    def start(self, local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Connect, with the negotiated descriptions.

        Raises:
            RuntimeError: the stream is not initialised, or was started before.
        """
        self._fire(MSRPStreamInput.START)
        self.index = stream_index
        from sipsimple.streams.msrp.connecting import remote_setup
        try:
            self.remote_media = remote = MSRPMedia.of(remote_sdp, stream_index)
            if remote.transport != self.transport:
                raise InvalidStreamError(f'answered over {remote.transport}')
            self.remote_role = remote_setup(remote, self._incoming_sdp is not None)
            self._negotiated(remote)
            connector = self._connector_for(remote)
            connector.complete(remote.path).addCallbacks(self._connected, lambda failure: self._fail('start', failure))
        except Exception as error:
            self._fail('start', error)

    def _connector_for(self, remote: MSRPMedia) -> ConnectBase:
        """The connector that fits what the peer said; ours was made before that was known."""
        from msrplib.connect import DirectAcceptor, DirectConnector, RelayConnection
        connector, plan = self.msrp_connector, self._plan
        assert connector is not None and plan is not None and self.local_uri is not None
        connects = plan.role == 'active'
        if plan.role == 'actpass':
            connects = self.remote_role == 'passive'
            self.local_role = 'active' if connects else 'passive'
        if isinstance(connector, RelayConnection):
            connector.mode = 'active' if connects else 'passive'
        elif isinstance(connector, DirectAcceptor) and connects:
            connector.cleanup()
            self.msrp_connector = connector = DirectConnector(self.logger, self._sessmatch)
            connector.accept = self._accept_message
            connector.prepare(self.local_uri)
        if self._credentials is not None and isinstance(connector, DirectConnector) and len(remote.path) == 1 and connector.local_uri is not None:
            # The certificate is that of the peer itself, which its description vouches for; with a relay between us it would be the relay's.
            connector.local_uri.credentials = self._credentials.with_fingerprint(remote.fingerprint)
        return connector

    def _connected(self, transport: MSRPTransport) -> None:
        if self.state != MSRPStreamState.STARTING:
            transport.abort()
            return
        from msrplib.session import MSRPSession
        self.msrp = transport
        if self.use_msrp_session:
            methods = [name.removeprefix('_handle_') for name in dir(self) if name.startswith('_handle_')]
            self.msrp_session = MSRPSession(transport, self.accept_types, self._incoming, self.automatic_reports, on_event=self._event,
                                            methods=[name for name in methods if name not in ('SEND', 'REPORT')])
        self._fire(MSRPStreamInput.BOUND)
        self._started()
        if not self._failed:
            self.post('MediaStreamDidStart')

    def validate_update(self, remote_sdp: Any, stream_index: int) -> bool:
        """Return True: there is nothing that could change."""
        return True

    def update(self, local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Nothing changes while the stream runs."""
        self.index = stream_index

    def hold(self) -> None:
        """Without effect: these streams are not put on hold."""

    def unhold(self) -> None:
        """Without effect."""

    def reset(self, stream_index: int) -> None:
        """Get ready to make the same offer again."""
        self.index = stream_index

    def deactivate(self) -> None:
        """The stream is about to be removed: from now on the end of the connection is no error."""
        self.shutting_down = True

    def end(self) -> None:
        """Close the connection. A second call has no effect."""
        if self.state == MSRPStreamState.ENDED:
            return
        initialized = self.state != MSRPStreamState.NULL
        self.shutting_down = True
        if initialized:
            self.post('MediaStreamWillEnd')
        self._fire(MSRPStreamInput.END)
        self._ending()
        closed = self._close()

        def done(ignored: object) -> None:
            self.msrp = self.msrp_session = self.msrp_connector = None
            self._ended()
            if initialized:
                self.post('MediaStreamDidEnd', error=None)
            NotificationCenter().discard_observer(self, sender=self)
        closed.addBoth(done)

    def _close(self) -> Deferred[None]:
        if self.msrp_session is not None:
            return self.msrp_session.shutdown()
        if self.msrp_connector is not None:
            return self.msrp_connector.cleanup()
        from twisted.internet.defer import succeed
        return succeed(None)

    # For the kinds of streams

    def _negotiated(self, remote: MSRPMedia) -> None:
        """Take what the peer's line says of this kind of stream; InvalidStreamError if it cannot be used."""

    def _started(self) -> None:
        """The session has its connection; MediaStreamDidStart follows."""

    def _ending(self) -> None:
        """The connection is about to be closed; what was given to it is still sent."""

    def _ended(self) -> None:
        """The connection is closed."""

    def _accept_message(self, message: IncomingMessage) -> Sink | None:
        """Say where the bytes of a message that begins to come go, see `msrplib.reassembly.Reassembler`; None has it collected for `_handle_SEND`.

        The first may come with what binds the session to the connection, before the stream has started.
        """
        return None

    def _handle_SEND(self, chunk: Any) -> None:
        """A message has come."""

    def _handle_REPORT(self, chunk: Any) -> None:
        """A report has come."""

    def _outgoing_event(self, event: Event) -> None:
        """Something happened to a message of ours."""

    # The session of msrplib

    def _event(self, event: Event) -> None:
        from msrplib.events import ChunkReceived, MessageAborted, MessageReceived, ReportReceived, RequestReceived
        try:
            if isinstance(event, MessageReceived):
                self._message_received(event)
            elif isinstance(event, MessageAborted):
                self._message_aborted(event)
            elif isinstance(event, ChunkReceived):
                self._chunk_received(event)
            elif not isinstance(event, (ReportReceived, RequestReceived)):
                self._outgoing_event(event)
        except Exception as error:
            log.exception('%s failed', self.__class__.__name__)
            self._fail('reading', error)

    def _message_received(self, event: MessageReceived) -> None:
        from msrplib.transport import message_data
        if event.message.sink is None:
            self._handle_SEND(message_data(event.message))

    def _message_aborted(self, event: MessageAborted) -> None:
        """A message that had begun to come will not be completed."""

    def _chunk_received(self, event: ChunkReceived) -> None:
        """A chunk of a message has come that is not reported as a whole."""

    def _incoming(self, chunk: Any = None, error: Any = None) -> None:
        """Reports and requests, and the end of the connection."""
        if error is not None:
            self._connection_lost(error)
        elif chunk.method != 'SEND':
            handler: Callable[[Any], None] | None = getattr(self, f'_handle_{chunk.method}', None)
            try:
                if handler is not None:
                    handler(chunk)
                elif self.msrp_session is not None:
                    self.msrp_session.respond(chunk, 501)       # a nickname, which the session knows and this stream does not
            except Exception as failed:
                log.exception('%s failed', self.__class__.__name__)
                self._fail('reading', failed)

    def _connection_lost(self, error: BaseException) -> None:
        if self.shutting_down:
            return
        from twisted.internet.error import ConnectionDone
        if isinstance(error, ConnectionDone):
            # The peer has closed it in good order. It is ending the session, and its BYE may be overtaken: it takes another way, through other threads.
            reactor.call_later(BYE_LIMIT, self._nobody_has_ended, error)
        else:
            self._fail('reading', error)

    def _nobody_has_ended(self, error: BaseException) -> None:
        if not self.shutting_down:
            self._fail('reading', error)

    # Notifications

    def post(self, name: str, /, **fields: Any) -> None:
        """Post a notification of this stream."""
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    def handle_notification(self, notification: Notification) -> None:
        """Hand a notification of the stream to its method `_NH_<name>`, if it has one."""
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _fire(self, what: MSRPStreamInput) -> None:
        try:
            self._machine.fire(what)
        except InvalidTransition as error:
            raise RuntimeError(f'{what.value} is not possible in the state {self.state}') from error

    def _fail(self, context: str, error: BaseException | Failure | str, text: str | None = None) -> None:
        """Say, once, that the stream is broken; the session will end it. The reason is what the error says, if there is no other text."""
        if self._failed or self.state == MSRPStreamState.ENDED:
            return
        self._failed = True
        failure = error if isinstance(error, Failure) else None
        reason = error.value if isinstance(error, Failure) else error
        if isinstance(reason, Exception):
            from msrplib.errors import MSRPError
            if failure is None:
                failure = Failure(reason, reason.__class__, reason.__traceback__)       # type: ignore[no-untyped-call]
            known = isinstance(reason, (MSRPError, StreamError, ValueError, OSError))
            if not known and reason.__class__.__module__.partition('.')[0] not in ('twisted', 'OpenSSL'):
                log.error('%s failed', self.__class__.__name__, exc_info=reason)
        self.post('MediaStreamDidFail', context=context, reason=text or str(reason) or reason.__class__.__name__, failure=failure)
