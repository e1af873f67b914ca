"""`RTPStream`: the life of a stream over RTP, for all kinds of media.

All methods the session calls, and all transitions, happen in the reactor thread; notifications of the transports come from the core and are
handed over. `TRANSITIONS` is the whole life cycle; a stream that failed stays in its state until the session ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any, ClassVar

from twisted.python.failure import Failure  # not when a stream fails: it may be for want of descriptors
from zope.interface import implementer

from sipsimple.core import RTPTransport, SDPAttribute, SIPCoreError
from sipsimple.core.helpers import is_address, is_null_address
from sipsimple.notification import IObserver, Notification, NotificationCenter, TimestampedNotificationData
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.streams.interfaces import IMediaStream, InvalidStreamError, StreamError, UnknownStreamError
from sipsimple.streams.registry import MediaStreamRegistrar
from sipsimple.streams.rtp import encryption, ice
from sipsimple.streams.rtp.facts import RTPStreamFacts, address_of, is_held_by_null_address, refuse_name
from sipsimple.streams.rtp.gathering import Gathering
from sipsimple.streams.rtp.restart import Restart, RestartState

__all__ = ['RTPStream', 'RTPStreamInput', 'RTPStreamState', 'TRANSITIONS']

log = logging.getLogger('sipsimple.streams')

DIRECTIONS = frozenset(('sendrecv', 'sendonly', 'recvonly', 'inactive'))


class RTPStreamState(StrEnum):
    """The states of a stream."""

    NULL = 'NULL'
    INITIALIZING = 'INITIALIZING'
    INITIALIZED = 'INITIALIZED'
    WAIT_ICE = 'WAIT_ICE'
    ESTABLISHED = 'ESTABLISHED'
    ENDED = 'ENDED'


class RTPStreamInput(Enum):
    """What can happen to a stream."""

    INITIALIZE = 'initialize()'
    READY = 'the RTP transport has its sockets, and its candidates'
    START = 'start()'
    START_WITH_ICE = 'start(), with ICE to be negotiated'
    ICE_DONE = 'ICE has succeeded or failed'
    END = 'end()'


_S = RTPStreamState
_I = RTPStreamInput

TRANSITIONS: dict[tuple[RTPStreamState, RTPStreamInput], RTPStreamState] = {
    # State: NULL
    (_S.NULL, _I.INITIALIZE): _S.INITIALIZING,
    (_S.NULL, _I.END): _S.ENDED,
    # State: INITIALIZING
    (_S.INITIALIZING, _I.READY): _S.INITIALIZED,
    (_S.INITIALIZING, _I.END): _S.ENDED,
    # State: INITIALIZED
    (_S.INITIALIZED, _I.START): _S.ESTABLISHED,
    (_S.INITIALIZED, _I.START_WITH_ICE): _S.WAIT_ICE,
    (_S.INITIALIZED, _I.END): _S.ENDED,
    # State: WAIT_ICE
    (_S.WAIT_ICE, _I.ICE_DONE): _S.ESTABLISHED,
    (_S.WAIT_ICE, _I.END): _S.ENDED,
    # State: ESTABLISHED
    (_S.ESTABLISHED, _I.END): _S.ENDED,
    # State: ENDED
    (_S.ENDED, _I.END): _S.ENDED,
}


@implementer(IMediaStream, IObserver)
class RTPStream(RTPStreamFacts, metaclass=MediaStreamRegistrar):
    """Base of the streams over RTP.

    Attributes:
        account: the account of the session; None if not given to the constructor, until `initialize`.
        session: the session, None until `initialize`.
        index: the position in the SDP, None until known.
        encryption: state of the encryption, a `StreamEncryption`.
        on_hold_by_local, on_hold_by_remote: whether that party has put the stream on hold.
        direction: the negotiated direction from our point of view, None before `start`.
    """

    type: ClassVar[str | None] = None
    priority: ClassVar[int | None] = None
    hold_supported: ClassVar[bool] = True
    prefix: ClassVar[str] = 'RTPStream'
    """How the names of this kind's own notifications begin."""

    def __init__(self, account: Any = None) -> None:
        self.account = account
        self.session: Any = None
        self.index = None
        self.encryption = encryption.StreamEncryption(self)
        self.encryption_wanted: str | None = None       # by the account, given the offer
        self.encryption_policy: str | None = None       # what of it the core can do
        self.on_hold_by_local = False
        self.on_hold_by_remote = False
        self.direction: str | None = None
        self.rtp_transport = None               # RTPTransport
        self.media_transport = None             # AudioTransport or its kin
        self._machine: StateMachine[RTPStreamState, RTPStreamInput] = StateMachine(TRANSITIONS, RTPStreamState.NULL)
        self._incoming_sdp: Any = None          # the offer the stream was made from
        self._incoming_index = 0
        self._local_sdp = None
        self._remote_sdp = None
        self._last_remote = (None, None)
        self._use_ice = False
        self._ice_left = False                  # our addresses are others than ICE knows
        self._gathering = Gathering(self._first_rtp_transport, self._rtp_transport_ready, self._rtp_transport_failed)
        self._restart = Restart(self)
        self._found: Callable[[], None] | None = None           # to be called once a restart has succeeded
        self._hold_wish: bool | None = None     # hold() or unhold() was called, and the peer does not know yet
        self._failed = False
        self._deactivated = False

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.state} at index {self.index}>'

    @property
    def state(self) -> str:
        """The state, see `RTPStreamState`."""
        state: RTPStreamState = self._machine.state
        return state

    @property
    def remote_sdp(self) -> Any:
        """The peer's description in use; None before `start` and after the end."""
        return self._remote_sdp

    @property
    def on_hold(self) -> bool:
        """Whether either party has put the stream on hold."""
        return self.on_hold_by_local or self.on_hold_by_remote

    # What the media is

    @classmethod
    def new_from_sdp(cls, account: Any, remote_sdp: Any, stream_index: int) -> RTPStream:
        """Return a stream for an offered media line.

        Raises:
            UnknownStreamError: the line has another type of media.
            InvalidStreamError: no transport, codec or encryption in common, or no address.
        """
        media = remote_sdp.media[stream_index]
        if media.media != cls.type:
            raise UnknownStreamError(f'not {cls.type}: {media.media}')
        if media.transport not in encryption.TRANSPORTS:
            raise InvalidStreamError(f'unsupported transport: {media.transport}')
        codecs = {name.lower() for name in cls._codec_list(account)}
        if not any(codec.name.lower() in codecs for codec in media.codec_list):
            raise InvalidStreamError('no common codec')
        refuse_name(remote_sdp, stream_index, account.nat_traversal.use_ice)
        encryption.for_offer(encryption.for_policy(account), remote_sdp, stream_index)
        stream = cls(account)
        stream._incoming_sdp = remote_sdp
        stream._incoming_index = stream.index = stream_index
        return stream

    @classmethod
    def _codec_list(cls, account: Any) -> list[str]:
        """Return the names of the codecs to use, best first."""
        raise NotImplementedError

    # The interface of the session

    def initialize(self, session: Any, direction: str) -> None:
        """Open the transport, with candidates if ICE is used.

        Raises:
            RuntimeError: the stream was initialised before.
        """
        self._fire(RTPStreamInput.INITIALIZE)
        self.session = session
        if self.account is None:
            self.account = session.account
        try:
            policy = encryption.for_policy(self.account)
            if self._incoming_sdp is not None:
                policy = encryption.for_offer(policy, self._incoming_sdp, self._incoming_index)
            self.encryption_wanted = policy
            self.encryption_policy = encryption.available(policy)
            self._use_ice = bool(self.account.nat_traversal.use_ice)
            if self._incoming_sdp is not None:
                self._use_ice = self._use_ice and ice.offer_has_ice(self._incoming_sdp, self._incoming_index)
            self._gathering.begin(self.account if self._use_ice else None)
        except Exception as error:
            self._fail('initialize', error)

    def _first_rtp_transport(self, servers: dict[str, Any]) -> Any:
        if self.rtp_transport is not None:
            self._forget(self.rtp_transport)            # which has asked another server, in vain
        self.rtp_transport = self._new_rtp_transport(servers)
        NotificationCenter().add_observer(self, sender=self.rtp_transport)
        return self.rtp_transport

    def _new_rtp_transport(self, servers: dict[str, Any]) -> Any:
        return RTPTransport(self.encryption_policy, self._use_ice, ipv6=self._uses_ipv6(), **servers)

    def _rtp_transport_ready(self, transport: Any) -> None:
        try:
            self.media_transport = self._make_transport(transport, self._incoming_sdp, self._incoming_index)
        except (SIPCoreError, ValueError, StreamError) as error:
            self._fail('initialize', error)
            return
        NotificationCenter().add_observer(self, sender=self.media_transport)
        self._fire(RTPStreamInput.READY)
        self.post('MediaStreamDidInitialize')

    def _rtp_transport_failed(self, error: Exception | str) -> None:
        self._fail('initialize', error)

    def _uses_ipv6(self) -> bool:
        """Whether media go over IPv6: as the peer's line says, or the way that the session is to go."""
        if self._incoming_sdp is not None:
            media = self._incoming_sdp.media[self._incoming_index]
            connection = media.connection or self._incoming_sdp.connection
            if connection is not None:
                return ':' in connection.address or (not is_address(connection.address) and connection.address_type == 'IP6')
        return bool(getattr(self.session, 'ipv6_media', False))

    def get_local_media(self, for_offer: bool) -> Any:
        """Return the media line of this stream.

        Raises:
            RuntimeError: the stream is not initialised, or has ended.
        """
        if self.state not in (RTPStreamState.INITIALIZED, RTPStreamState.WAIT_ICE, RTPStreamState.ESTABLISHED):
            raise RuntimeError(f'there is no local media in the state {self.state}')
        anew = self._restart.state == RestartState.READY
        transport = self._restart.media_transport if anew else self.media_transport
        if for_offer:
            media = transport.get_local_media(index=self.index or 0, direction=self._offer_direction())
            if anew:
                self._restart.tell(media)
            elif self._ice_left:
                ice.leave(media)
            return media
        offer = self._offer_to_answer()
        direction = self._answer_direction(offer)
        media = transport.get_local_media(remote_sdp=offer, index=self.index, direction=direction)
        if anew:
            self._restart.tell(media)
        # The transport goes by the direction in use, but it is the hold that counts: after `inactive`, which may have been the peer's wish alone, we
        # must not seem to hold it.
        media.attributes = [attribute for attribute in media.attributes if attribute.name not in DIRECTIONS] + [SDPAttribute(direction, '')]
        return media

    def renew_offer(self) -> None:
        """Offer other keys from now on: somebody else is called, and who was called before is to know nothing of them. For the session, as long as nobody
        has answered; no effect on streams whose keys are not in their offer."""
        if self.state != RTPStreamState.INITIALIZED or self._incoming_sdp is not None or not (self.encryption_policy or '').startswith('sdes'):
            return
        self._forget(self.media_transport)
        self.media_transport.stop()             # its RTP transport keeps the ports, and makes new keys
        try:
            self.media_transport = self._make_transport(self.rtp_transport, None, 0)
        except (SIPCoreError, ValueError, StreamError) as error:
            self._fail('initialize', error)
            return
        NotificationCenter().add_observer(self, sender=self.media_transport)

    def _offer_to_answer(self) -> Any:
        return self.session.proposed_remote_sdp or self._remote_sdp or self._incoming_sdp

    def _holding(self) -> bool:
        return self._hold_wish if self._hold_wish is not None else self.on_hold_by_local

    def _offer_direction(self) -> str:
        if self.direction is None:
            return 'sendrecv'                   # a hold wanted by now follows with a re-INVITE
        if 'send' in self.direction:
            return 'sendonly' if self._holding() else 'sendrecv'
        return 'inactive' if self._holding() else 'recvonly'

    def _answer_direction(self, offer: Any) -> str:
        if self._holding():
            return 'sendonly'
        # The old way to hold: RFC 3264 §8.4 still wants it understood.
        return 'recvonly' if is_held_by_null_address(offer, self.index or 0, self._use_ice) else 'sendrecv'

    def start(self, local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Start the media.

        Raises:
            RuntimeError: the stream is not initialised, or was started before.
        """
        with_ice = self._use_ice and ice.offer_has_ice(remote_sdp, stream_index)
        self._fire(RTPStreamInput.START_WITH_ICE if with_ice else RTPStreamInput.START)
        self.index = stream_index
        self._local_sdp, self._remote_sdp = local_sdp, remote_sdp
        try:
            refuse_name(remote_sdp, stream_index, self._use_ice)
            self.media_transport.start(local_sdp, remote_sdp, stream_index, timeout=self._timeout())
        except (SIPCoreError, ValueError, StreamError) as error:
            self._fail('start', error)
            return
        self._check_hold()
        self._media_started()
        if not with_ice:
            self._established()

    def _established(self) -> None:
        self.encryption.media_started()
        self.post('MediaStreamDidStart')

    def _timeout(self) -> int:
        from sipsimple.configuration.settings import SIPSimpleSettings
        timeout: int | None = getattr(self.account.rtp, 'timeout', None)
        return timeout if timeout is not None else SIPSimpleSettings().rtp.timeout

    def validate_update(self, remote_sdp: Any, stream_index: int) -> bool:
        """Return whether an offer for the running stream can be accepted: a codec and an encryption in common, and an address."""
        media = remote_sdp.media[stream_index]
        codecs = {name.lower() for name in self._codec_list(self.account)}
        if media.transport not in encryption.TRANSPORTS or not any(codec.name.lower() in codecs for codec in media.codec_list):
            return False
        try:
            refuse_name(remote_sdp, stream_index, self._use_ice)
            wanted = encryption.for_offer(encryption.for_policy(self.account), remote_sdp, stream_index)
        except InvalidStreamError:
            return False
        return encryption.can_change(self.encryption_policy, encryption.available(wanted), media.transport)

    def update(self, local_sdp: Any, remote_sdp: Any, stream_index: int) -> None:
        """Apply newly negotiated descriptions: another address of the peer, another codec, hold."""
        if self.state not in (RTPStreamState.WAIT_ICE, RTPStreamState.ESTABLISHED):
            return
        old_local, old_remote, old_index = self._local_sdp, self._remote_sdp, self.index or 0
        old_codec = self.codec
        self.index = stream_index
        self._local_sdp, self._remote_sdp = local_sdp, remote_sdp
        before, after = address_of(old_remote, old_index), address_of(remote_sdp, stream_index)
        held = is_held_by_null_address(remote_sdp, stream_index, self._use_ice)
        rebuilt = False
        try:
            refuse_name(remote_sdp, stream_index, self._use_ice)
            if self._restart.is_taken(local_sdp.media[stream_index]):
                self._move_media()
            # The null address is the old way to hold, and no place to send anything to.
            elif not held and (before != after or old_index != stream_index or old_local.media[old_index] != local_sdp.media[stream_index]
                               or old_remote.media[old_index] != remote_sdp.media[stream_index]):
                rebuilt = self.media_transport.update_sdp(local_sdp, remote_sdp, stream_index)
        except (SIPCoreError, ValueError, StreamError) as error:
            self._fail('update', error)
            return
        self.encryption.media_updated()
        if rebuilt:
            self._media_started()
        if rebuilt or old_codec != self.codec:
            self.post(f'{self.prefix}DidChangeRTPParameters', change='codec')
        elif before != after and not is_null_address(before[0]) and not is_null_address(after[0]) and not self.ice_active:
            self.post(f'{self.prefix}DidChangeRTPParameters', change='remote_peer_rebind', old_remote_address=before[0], old_remote_port=before[1],
                      new_remote_address=after[0], new_remote_port=after[1])
        self._check_hold()

    def _move_media(self) -> None:
        """The peer has taken the description of the new transports: the media go over to them, the old ones end."""
        old_rtp, old_media = self.rtp_transport, self.media_transport
        self.rtp_transport, self.media_transport = self._restart.take()
        self._ice_left = False
        for transport in (self.rtp_transport, self.media_transport):
            NotificationCenter().add_observer(self, sender=transport)
        for transport in (old_rtp, old_media):
            self._forget(transport)
        self.media_transport.volume = old_media.volume
        try:
            self.media_transport.start(self._local_sdp, self._remote_sdp, self.index, timeout=self._timeout())
            self._media_started()               # while the old slot is still there: who listens to it is led to the new one
        finally:
            old_media.stop()

    @property
    def ice_outdated(self) -> bool:
        """Whether the line in use has candidates that another address of ours makes worthless. For the session."""
        return self._use_ice and not self._ice_left and self._restart.state != RestartState.READY

    @property
    def ice_may_be_lost(self) -> bool:
        """Whether the way of the media has parts that time takes away, when nothing is sent: a relay, a NAT. For the session."""
        return self.local_rtp_candidate_type not in (None, 'HOST')

    def restart_needed(self, offer: Any, moved: bool) -> bool:
        """Return whether the answer to an offer needs other sockets: when the peer begins ICE anew with it. For the session.

        PJNATH could begin anew by itself, but with the start of the media only: checks of the peer that come before would find the old credentials, and be
        refused. That is accepted for a peer that wants its DTLS association to go on, as other sockets begin another one; unless our own address is
        another one, too (`moved`).
        """
        index = self.index or 0
        return self._use_ice and ice.begins_anew(self._remote_sdp, offer, index) \
            and (moved or not self.encryption.goes_on(self._remote_sdp, offer, index))

    def restarts_ice(self, local_sdp: Any, remote_sdp: Any) -> bool:
        """Return whether ICE begins anew for the peer with these descriptions, and not for us; for the session, before `update`. So it is with an UPDATE, whose
        answer the core makes from what we had."""
        index = self.index or 0
        return self._use_ice and ice.begins_anew(self._remote_sdp, remote_sdp, index) and not ice.begins_anew(self._local_sdp, local_sdp, index)

    def restart_ice(self, done: Callable[[], None], offer: Any = None, found: Callable[[], None] | None = None) -> bool:
        """Our addresses have changed, and the candidates that ICE has gathered with them: gather anew, beside the media that run. For the session.

        Args:
            done: called in the reactor thread, from within this call or later, when `get_local_media` has what came of it: a line with other candidates, or
                one without ICE.
            offer: the peer's description that is to be answered; None when we offer.
            found: called in the reactor thread when the media have moved and ICE has chosen addresses that the peer was not told.

        Returns:
            False: the stream has no ICE, and nothing to gather; `done` is not called.
        """
        if not self._use_ice or self.state not in (RTPStreamState.WAIT_ICE, RTPStreamState.ESTABLISHED):
            return False

        def gathered() -> None:
            if offer is None and self._restart.state != RestartState.READY:
                self._ice_left = True
            done()
        self._found = found
        self._restart.begin(gathered, offer)
        return True

    def leave_ice(self) -> None:
        """Offer to go on without ICE, with the present addresses of the sockets that are there."""
        self.keep_ice()
        self._ice_left = self._use_ice

    def keep_ice(self) -> None:
        """What `restart_ice` has gathered did not come to be used: everything stays as it is. No effect when it did."""
        if self._restart.state != RestartState.ABSENT:
            self._found = None
            self._restart.drop()

    def reset(self, stream_index: int) -> None:
        """Get ready to make a new full offer for the running stream."""
        self.index = stream_index

    def hold(self) -> None:
        """Stop the media at once; the peer learns it with the next description."""
        if not self._holding():
            self._hold_wish = True if not self.on_hold_by_local else None
            if self.state == RTPStreamState.ESTABLISHED:
                self._pause_media()

    def unhold(self) -> None:
        """Undo `hold`; media goes on when the peer knows it."""
        if self._holding():
            self._hold_wish = False if self.on_hold_by_local else None
            if self._hold_wish is None and self.state == RTPStreamState.ESTABLISHED:
                self._resume_media()            # the peer never knew of the hold

    def _check_hold(self) -> None:
        """Take direction and hold from the negotiated descriptions."""
        direction = self._local_sdp.media[self.index].direction
        if direction == 'sendrecv' and is_held_by_null_address(self._remote_sdp, self.index or 0, self._use_ice):
            direction = 'recvonly'
        was_local, was_remote = self.on_hold_by_local, self.on_hold_by_remote
        if direction == 'inactive':
            self.on_hold_by_local = self._holding()
        else:
            self.on_hold_by_local = direction == 'sendonly'
        self.on_hold_by_remote = 'send' not in direction
        # A wish that came after the description was made is not fulfilled by it.
        if self._hold_wish == self.on_hold_by_local:
            self._hold_wish = None
        self.direction = direction
        try:
            if self.media_transport.direction != direction:
                self.media_transport.update_direction(direction)
        except SIPCoreError as error:
            self._fail('update', error)
            return
        if self.state == RTPStreamState.ESTABLISHED and was_local and not self._holding():
            self._resume_media()
        elif self.on_hold_by_local and not was_local:
            self._pause_media()
        if was_local != self.on_hold_by_local:
            self.post(f'{self.prefix}DidChangeHoldState', originator='local', on_hold=self.on_hold_by_local)
        if was_remote != self.on_hold_by_remote:
            self.post(f'{self.prefix}DidChangeHoldState', originator='remote', on_hold=self.on_hold_by_remote)

    def deactivate(self) -> None:
        """The stream is about to be removed: from now on the peer going silent is no error."""
        self._deactivated = True

    def end(self) -> None:
        """Stop the media and close the sockets. A second call has no effect."""
        if self.state == RTPStreamState.ENDED:
            return
        initialized = self.state != RTPStreamState.NULL
        started = self.state in (RTPStreamState.WAIT_ICE, RTPStreamState.ESTABLISHED)
        if initialized:
            self.post('MediaStreamWillEnd')
        if started:
            self._media_stopping()
        self._fire(RTPStreamInput.END)
        self._gathering.stop()
        self._restart.drop()
        if self.media_transport is not None:
            self._forget(self.media_transport)
            self.media_transport.stop()
        self._media_ended()
        if self.rtp_transport is not None:
            self._forget(self.rtp_transport)
        # The ports are free when the transports are gone, and the application may keep the stream for as long as it likes.
        self.media_transport = self.rtp_transport = None
        if self._remote_sdp is not None and (self.index or 0) < len(self._remote_sdp.media):
            self._last_remote = self._wanted_by_peer()
        self._local_sdp = self._remote_sdp = self._incoming_sdp = None
        if initialized:
            self.post('MediaStreamDidEnd', error=None)

    # For the kinds of media

    def _make_transport(self, rtp_transport: Any, remote_sdp: Any, index: int) -> Any:
        """Return the media transport over an RTP transport; without a remote description, for an offer."""
        raise NotImplementedError

    def _media_started(self) -> None:
        """The media transport runs."""

    def _media_stopping(self) -> None:
        """The media transport is about to stop."""

    def _media_ended(self) -> None:
        """The media transport has stopped, for ever."""

    def _pause_media(self) -> None:
        """We hold the peer."""

    def _resume_media(self) -> None:
        """We do not hold the peer any more."""

    # Notifications

    def post(self, name: str, /, **fields: Any) -> None:
        """Post a notification of this stream."""
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    def handle_notification(self, notification: Notification) -> None:
        """Hand a notification of a transport over to the reactor thread; any thread."""
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            from sipsimple.threading import call_in_twisted_thread
            call_in_twisted_thread(self._dispatch, handler, notification)

    def _dispatch(self, handler: Any, notification: Notification) -> None:
        if notification.sender is self.rtp_transport or notification.sender is self.media_transport:
            handler(notification)

    def _forget(self, transport: Any) -> None:
        NotificationCenter().discard_observer(self, sender=transport)

    def _fire(self, what: RTPStreamInput) -> None:
        try:
            self._machine.fire(what)
        except InvalidTransition as error:
            raise RuntimeError(f'{what.value} is not possible in the state {self.state}') from error

    def _fail(self, context: str, error: Exception | str) -> None:
        """Say, once, that the stream is broken; the session will end it."""
        if self._failed or self.state == RTPStreamState.ENDED:
            return
        self._failed = True
        failure = None
        if isinstance(error, Exception):
            if not isinstance(error, (SIPCoreError, StreamError, ValueError)):
                log.error('%s failed', self.__class__.__name__, exc_info=error)
            failure = Failure(error, error.__class__, error.__traceback__)       # type: ignore[no-untyped-call]
        self.post('MediaStreamDidFail', context=context, reason=str(error), failure=failure)

    def _NH_RTPTransportDidFail(self, notification: Notification) -> None:
        if self.state != RTPStreamState.INITIALIZING:           # or it is a matter of the gathering
            self._fail('transport', notification.data.reason)

    def _NH_RTPTransportICENegotiationStateDidChange(self, notification: Notification) -> None:
        self._proxy('ICENegotiationStateDidChange', notification)

    def _NH_RTPTransportICENegotiationDidSucceed(self, notification: Notification) -> None:
        self._proxy('ICENegotiationDidSucceed', notification)
        self._ice_done()

    def _NH_RTPTransportICENegotiationDidFail(self, notification: Notification) -> None:
        # Media goes to the addresses of the descriptions then.
        self._proxy('ICENegotiationDidFail', notification)
        self._ice_done()

    def _ice_done(self) -> None:
        if self.state == RTPStreamState.WAIT_ICE:
            self._fire(RTPStreamInput.ICE_DONE)
            self._established()
        elif self._found is not None and self._restart.state == RestartState.ABSENT:         # or it is the old pair that tells
            found, self._found = self._found, None
            if self.ice_reoffer_needed:
                found()

    def _proxy(self, name: str, notification: Notification) -> None:
        NotificationCenter().post_notification(f'{self.prefix}{name}', sender=self, data=notification.data)

    def _NH_RTPTransportDTLSSecureOn(self, notification: Notification) -> None:
        self.encryption.secure_on()

    def _NH_RTPTransportDTLSNegotiationFailed(self, notification: Notification) -> None:
        # There are no media, and there will be none: RFC 5763 section 5 has the session torn down.
        self.encryption.negotiation_failed(notification.data.reason)
        self._fail('encryption', notification.data.reason)

    def _NH_RTPTransportZRTPSecureOn(self, notification: Notification) -> None:
        self.encryption.secure_on()

    def _NH_RTPTransportZRTPReceivedSAS(self, notification: Notification) -> None:
        self.encryption.received_sas(notification.data.sas, notification.data.verified)

    def _NH_RTPTransportZRTPNegotiationFailed(self, notification: Notification) -> None:
        self.encryption.negotiation_failed(notification.data.reason)

    def _NH_RTPTransportZRTPNotSupportedByRemote(self, notification: Notification) -> None:
        self.encryption.negotiation_failed('ZRTP not supported by remote')

    def _NH_RTPTransportZRTPLog(self, notification: Notification) -> None:
        self.post('RTPStreamZRTPLog', level=notification.data.level, message=notification.data.message)

