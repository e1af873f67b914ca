"""`Session`: a SIP session and its streams, the public face of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPCoreError, SIPURI, SubjectHeader
from sipsimple.session import active, ending, establish, hold, network, place, proposals, reinvite, transferee, transferor
from sipsimple.session.base import SessionBase, log
from sipsimple.session.focus import ConferenceHandler
from sipsimple.session.incoming import proposed_streams, run_accept
from sipsimple.session.inputs import Disconnected, EndRequested, Event, Failure, Kind
from sipsimple.session.outgoing import ConnectRequest, forbidden_headers, run_connect
from sipsimple.session.states import IllegalDirectionError, IllegalStateError, Input, SessionState
from sipsimple.session.transfer import TransferHandler, TransferInfo, TransferInput, transfer_headers
from sipsimple.util import Null, NullType

if TYPE_CHECKING:
    from sipsimple.core import Invitation, Route, ToHeader

__all__ = ['Session']


class Session(SessionBase):
    """A SIP session between an account and a remote party.

    All methods may be called from any thread. A method checks, and for most changes, the state at once in the caller's thread; the rest happens in
    the reactor thread and ends with notifications.

    Attributes (read-only; those not listed here are properties below):
        account: the local account.
        direction: None, 'incoming' or 'outgoing': of the first INVITE.
        streams: list of the active streams.
        proposed_streams: list of the streams of the proposal in progress, else None.
        start_time, end_time: when the session started and ended, aware `datetime` objects, or None.
        local_focus, remote_focus: whether our, or the peer's, contact says `isfocus`: RFC 4579.
        subject: the subject of the session, or None.
        conference: the conference at the peer, if that is a focus: a `ConferenceHandler`.
        replaced_session: the session this incoming one takes the place of, or `Null`.
        transfer_handler: state of the transfer of this session, a `TransferHandler`.
        transfer_info: how a transfer made this session, a `TransferInfo`, or `Null`.
    """

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        self.subject: str | None = None
        self.conference = ConferenceHandler(self)
        self.replaced_session: Session | NullType = Null
        self.transfer_handler = TransferHandler()
        self.transfer_info: TransferInfo | NullType = Null
        self._wanted: transferee.Wanted | None = None           # what the peer's REFER asks for
        self._callee: Any = None                # the URI that was called; that in the To of messages has lost its port
        self._has_offer = False                 # the INVITE of the peer had one
        self._closing = False                   # the procedure that ends the session was started

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.direction or "new"} {self.state} with {self.remote_identity}>'

    # Properties

    @property
    def stop_time(self) -> datetime | None:
        """When the session ended, or None: the same as `end_time`."""
        return self.end_time

    @property
    def on_hold(self) -> bool:
        """Whether the local or the remote party has put the session on hold."""
        return self._on_hold or any(stream.on_hold_by_remote for stream in self.streams)

    @property
    def transport(self) -> str | None:
        """The SIP transport: 'udp', 'tcp' or 'tls'; None before the session uses one."""
        return self._invitation.transport if self._invitation is not None else None

    @property
    def peer_address(self) -> Any:
        """The address the peer's messages come from, with `ip` and `port`; None before the first one."""
        return self._invitation.peer_address if self._invitation is not None else None

    @property
    def local_identity(self) -> Any:
        """The header that identifies the local party, a `FrozenFromHeader` or `FrozenToHeader`; None before the session uses one."""
        return self._invitation.local_identity if self._invitation is not None else None

    @property
    def remote_identity(self) -> Any:
        """The header that identifies the remote party, a `FrozenFromHeader` or `FrozenToHeader`; None before the session uses one."""
        return self._invitation.remote_identity if self._invitation is not None else None

    @property
    def remote_user_agent(self) -> str | None:
        """The name of the peer's program, None until it tells."""
        return self._invitation.remote_user_agent if self._invitation is not None else None

    @property
    def route(self) -> Any:
        """The route of an outgoing session, a `FrozenRouteHeader`, else None."""
        return self._invitation.route_header if self._invitation is not None else None

    @property
    def call_id(self) -> str | None:
        """The Call-ID of the dialog."""
        return self._invitation.call_id if self._invitation is not None else None

    @property
    def dialog_id(self) -> Any:
        """The `DialogID` of the session: `call_id`, `local_tag`, `remote_tag`; None before there is a dialog."""
        return self._invitation.dialog_id if self._invitation is not None else None

    # Establishing

    def connect(self, to_header: ToHeader, routes: Iterable[Route], streams: Iterable[Any], is_focus: bool = False, subject: str | None = None,
                transfer_info: TransferInfo | None = None, extra_headers: Iterable[Any] | None = None) -> None:
        """Call somebody.

        Args:
            to_header: the callee.
            routes: next hops, tried in order until one works.
            streams: the streams to offer.
            is_focus: say `isfocus` in our contact.
            subject: put in a `Subject` header.
            transfer_info: what made us call, for `Referred-By` and `Replaces`.
            extra_headers: further header fields for the INVITE.

        Raises:
            IllegalStateError: the state is not None.
            RuntimeError: an extra header is one the stack makes.
            ValueError: there are no streams, or no routes.

        Notifications: `SIPSessionNewOutgoing`, then `SIPSessionDidStart` or `SIPSessionDidFail`.
        """
        streams, routes, headers = list(streams), list(routes), list(extra_headers or ())
        for header in headers:
            if header.name.lower() in forbidden_headers:
                raise RuntimeError(f'extra_headers must not contain {header.name}')
        if not streams:
            raise ValueError('a session needs at least one stream')
        if not routes:
            raise ValueError('a session needs at least one route')
        if transfer_info is not None:
            headers += transfer_headers(transfer_info)
        if subject is not None:
            headers.append(SubjectHeader(subject))
        self._fire(Input.CONNECT)
        self.direction = 'outgoing'
        self.subject = subject
        self.transfer_info = transfer_info if transfer_info is not None else Null
        self.local_focus = is_focus
        self._callee = to_header.uri
        self.proposed_streams = streams
        request = ConnectRequest(to_header, routes, list(streams), is_focus, headers)
        self._send(Kind.RUN, lambda: run_connect(self, request))

    def send_ring_indication(self) -> None:
        """Tell the peer that it rings here: a 180. It may be repeated.

        Raises:
            IllegalStateError: the state is neither `incoming` nor `received_proposal`.
        """
        self._fire(Input.RING)
        self.scheduler.call(self._respond, 180)

    def accept(self, streams: Iterable[Any], is_focus: bool = False, extra_headers: Iterable[Any] | None = None) -> None:
        """Accept an incoming session.

        Args:
            streams: those of the proposed streams to accept; the others are refused. If the INVITE had no offer: new streams, which become ours.
            is_focus: say `isfocus` in our contact.
            extra_headers: further header fields for the 200.

        Raises:
            IllegalStateError: the state is not `incoming`.
            ValueError: there are no streams, or one of them was not proposed.

        Notifications: `SIPSessionWillStart` and `SIPSessionDidStart`, or `SIPSessionDidFail`.
        """
        streams, headers = list(streams), list(extra_headers or ())
        if not streams:
            raise ValueError('a session needs at least one stream')
        if self.state is SessionState.INCOMING and self._has_offer and any(stream not in (self.proposed_streams or ()) for stream in streams):
            raise ValueError('only proposed streams can be accepted')
        self._fire(Input.ACCEPT)
        self.local_focus = is_focus
        self._send(Kind.RUN, lambda: run_accept(self, streams, is_focus, headers))

    def reject(self, code: int = 603, reason: str | None = None) -> None:
        """Refuse an incoming session.

        Args:
            code: status code, 300 to 699; 486 is busy, 603 declined.
            reason: text to send with it, None for the standard one.

        Raises:
            IllegalStateError: the state is not `incoming`.
            ValueError: the code is no refusal.

        Notifications: `SIPSessionDidProcessTransaction`, `SIPSessionDidFail`.
        """
        _check_refusal(code)
        self._fire(Input.REJECT)
        self._send(Kind.RUN, lambda: ending.run_reject(self, code, reason))

    def end(self) -> None:
        """End the session, whatever it is doing: BYE, CANCEL, or 480 to an INVITE that was not answered. Without effect before `connect` and when the
        session is ending already.

        Notifications: `SIPSessionWillEnd` and `SIPSessionDidEnd` if the session was answered, else `SIPSessionDidFail`.
        """
        before = self.state
        self._fire(Input.END)
        if before not in (None, SessionState.TERMINATING, SessionState.TERMINATED):
            self._send(Kind.END)

    # Changing a running session

    def hold(self) -> None:
        """Put the streams that can be held on hold: media stops at once, the peer is told as soon as the session can send a re-INVITE.

        Notifications: `SIPSessionDidChangeHoldState`, or `SIPSessionHadProposalFailure` if the peer does not take it.
        """
        self._send(Kind.HOLD, True)

    def unhold(self) -> None:
        """Undo `hold`, in the same way."""
        self._send(Kind.HOLD, False)

    def add_stream(self, stream: Any) -> None:
        """Propose a new stream to the peer: see `add_streams`."""
        self.add_streams([stream])

    def add_streams(self, streams: Iterable[Any]) -> None:
        """Propose new streams to the peer. Streams that are active already are left out.

        Raises:
            IllegalStateError: the state is not `connected`.

        Notifications: `SIPSessionGotProposal`; then `SIPSessionGotAcceptProposal` and `SIPSessionDidRenegotiateStreams`, `SIPSessionGotRejectProposal`,
        or `SIPSessionHadProposalFailure`.
        """
        wanted = list(dict.fromkeys(streams))
        self._fire(Input.PROPOSE)
        new = [stream for stream in wanted if stream not in self.streams]
        if not new:
            self._try(Input.PROPOSAL_DONE)
            return
        self._send(Kind.RUN, lambda: proposals.run_add(self, new))

    def remove_stream(self, stream: Any) -> None:
        """Take a stream out of the session: see `remove_streams`."""
        self.remove_streams([stream])

    def remove_streams(self, streams: Iterable[Any]) -> None:
        """Take streams out of the session, whatever the peer says. Streams that are not active are left out.

        Raises:
            IllegalStateError: the state is not `connected`.

        Notifications: `SIPSessionDidRenegotiateStreams`.
        """
        wanted = list(dict.fromkeys(streams))
        self._fire(Input.PROPOSE)
        known = [stream for stream in wanted if stream in self.streams]
        if not known:
            self._try(Input.PROPOSAL_DONE)
            return
        self._send(Kind.RUN, lambda: proposals.run_remove(self, known))

    def cancel_proposal(self) -> None:
        """Take our proposal back before the peer has answered it.

        Raises:
            IllegalStateError: the state is not `sending_proposal`.

        Notifications: `SIPSessionGotRejectProposal` with code 487.
        """
        self._fire(Input.CANCEL_PROPOSAL)
        self._send(Kind.CANCEL_PROPOSAL)

    def accept_proposal(self, streams: Iterable[Any]) -> None:
        """Accept streams the peer proposes to add.

        Args:
            streams: those of `proposed_streams` to accept; the others are refused.

        Raises:
            IllegalStateError: the state is not `received_proposal`.

        Notifications: `SIPSessionGotAcceptProposal` and `SIPSessionDidRenegotiateStreams`, or `SIPSessionHadProposalFailure`.
        """
        wanted = list(dict.fromkeys(streams))
        self._fire(Input.ACCEPT_PROPOSAL)
        self._send(Kind.ANSWER_PROPOSAL, proposals.ProposalAnswer(wanted))

    def reject_proposal(self, code: int = 488, reason: str | None = None) -> None:
        """Refuse the streams the peer proposes to add.

        Args:
            code: status code, 300 to 699.
            reason: text to send with it, None for the standard one.

        Raises:
            IllegalStateError: the state is not `received_proposal`.
            ValueError: the code is no refusal.

        Notifications: `SIPSessionGotRejectProposal`.
        """
        _check_refusal(code)
        self._fire(Input.REJECT_PROPOSAL)
        self._send(Kind.ANSWER_PROPOSAL, proposals.ProposalAnswer(None, code, reason))

    def send_message(self, content_type: str, content: str | bytes, extra_headers: Iterable[Any] | None = None) -> None:
        """Send a MESSAGE in the dialog of the session; the outcome is not reported.

        Raises:
            IllegalStateError: there is no dialog.
        """
        if self._invitation is None or self._invitation.state not in ('early', 'connected'):
            raise IllegalStateError('the session has no dialog')
        self._invitation.send_message(content_type, content, extra_headers=list(extra_headers or ()))

    # Transfer

    def transfer(self, target_uri: Any, replaced_session: Session | None = None, extra_headers: Iterable[Any] | None = None) -> None:
        """Ask the peer to call somebody else (RFC 3515). When that has come to be, this session is ended.

        Args:
            target_uri: a `SIPURI`, or text, for example 'sip:carol@example.com'.
            replaced_session: an own connected session with that somebody, whose place the peer's call takes: an attended transfer (RFC 5589 §7).
            extra_headers: further header fields for the REFER; a `Referred-By` of our own is in it unless given here.

        Raises:
            IllegalStateError: the state is not `connected`, a transfer is running, or the session to replace has no dialog.
            ValueError, SIPCoreError: the target is no SIP URI.

        Notifications: `SIPSessionTransferNewOutgoing`, `SIPSessionTransferDidStart`, `SIPSessionTransferGotProgress`; then `SIPSessionTransferDidEnd` and
        those of `end()`, or `SIPSessionTransferDidFail`.
        """
        target = SIPURI.parse(target_uri) if isinstance(target_uri, str) else SIPURI.new(target_uri)
        headers = list(extra_headers or ())
        if replaced_session is not None and (replaced_session.dialog_id is None or None in replaced_session.dialog_id):
            raise IllegalStateError('the session to replace has no dialog')
        self._fire(Input.TRANSFER)
        if not self.transfer_handler._try(TransferInput.ASK):
            raise IllegalStateError('a transfer is running already')
        self._send(Kind.TRANSFER_CALL, lambda: self._ask_for_transfer(lambda: transferor.ask(self, target, replaced_session, headers)))

    def _ask_for_transfer(self, ask: Callable[[], None]) -> None:
        """Reactor thread. The dialog has one transfer at a time: that of before may not be over yet, though its outcome is known."""
        if self.transfer_handler._dialog is None:
            ask()
        else:
            self.transfer_handler._next = ask

    def accept_transfer(self) -> None:
        """Do what the peer asks for by REFER: call the target with an audio stream, on the same account. The new session is
        `transfer_handler.new_session` and comes with `SIPSessionNewOutgoing`; when it has started, this one is ended. In a conference of ours (`local_focus`)
        whose participant asks for another one, by a REFER that says `method=INVITE`, both go on: RFC 4579 section 5.5.

        Raises:
            IllegalStateError: not in the present state, or it was accepted already.
            IllegalDirectionError: the peer did not ask for a transfer.

        Notifications: `SIPSessionTransferDidStart`; then `SIPSessionTransferDidEnd` and those of `end()`, or `SIPSessionTransferDidFail`.
        """
        self._answer_transfer(TransferInput.ACCEPT)
        self._send(Kind.TRANSFER_CALL, lambda: transferee.follow(self))

    def reject_transfer(self, code: int = 486, reason: str | None = None) -> None:
        """Refuse what the peer asks for by REFER. The session goes on.

        Args:
            code: status code, 300 to 699.
            reason: text to send with it, None for the standard one.

        Raises:
            IllegalStateError: not in the present state, or it was accepted already.
            IllegalDirectionError: the peer did not ask for a transfer.
            ValueError: the code is no refusal.

        Notifications: `SIPSessionTransferDidFail`.
        """
        _check_refusal(code)
        text = reason if reason is not None else ending.phrase(code)
        self._answer_transfer(TransferInput.REFUSE)
        self._send(Kind.TRANSFER_CALL, lambda: transferee.refuse(self, code, text))

    def _answer_transfer(self, answer: TransferInput) -> None:
        self._fire(Input.ANSWER_TRANSFER)
        if self.transfer_handler.direction != 'incoming':
            raise IllegalDirectionError('there is no incoming transfer')
        if not self.transfer_handler._try(answer):
            raise IllegalStateError('the transfer was answered already')

    # Reactor thread

    def _receive(self, invitation: Invitation, data: Any, replaced: Session | None) -> None:
        """Become the session of an INVITE; called by the session manager, which has subscribed us to the invitation."""
        self._invitation = invitation
        self.direction = 'incoming'
        offer = invitation.sdp.proposed_remote
        self._has_offer = offer is not None
        self.proposed_streams = proposed_streams(self.account, offer) if offer is not None else []
        subject = data.headers.get('Subject')
        self.subject = subject.subject if subject is not None else None
        self._learn_peer(data)
        place.enter(self)
        if replaced is not None:
            self.replaced_session = replaced
            self.transfer_info = TransferInfo(replaced_dialog_id=replaced.dialog_id)
        self._fire(Input.INVITE_RECEIVED)
        active.add(self)
        # RFC 3261 §17.2.1: a 100, unless something else is answered within 200 ms.
        self._trying_timer = self.scheduler.call_later(0.2, self._respond_trying)
        self._post('SIPSessionNewIncoming', streams=list(self.proposed_streams), headers=data.headers,
                   replaced_dialog=replaced.dialog_id if replaced is not None else None)

    def _respond_trying(self) -> None:
        self._trying_timer = None
        if self._invitation is not None and self._invitation.state == 'incoming' and not self._answered:
            self._respond(100)

    def _respond(self, code: int) -> None:
        """Send a provisional response, if there still is something to respond to."""
        invitation = self._invitation
        if invitation is not None:
            try:
                invitation.send_response(code)
            except SIPCoreError as error:
                log.debug('cannot send %d: %s', code, error)

    def _learn_peer(self, data: Any) -> None:
        """Take from a message of the peer what it says of itself. One without a contact says nothing."""
        contacts = data.headers.get('Contact')
        if contacts:
            self.remote_focus = any('isfocus' in header.parameters for header in contacts)
            self.conference._follow()

    def _negotiated(self, data: Any) -> None:
        self._local_sdp, self._remote_sdp = data.local_sdp, data.remote_sdp

    def _settle_replacement(self) -> None:
        """The session has started: the one it replaces is not needed any more."""
        if self.replaced_session:
            self.replaced_session.end()

    def _idle(self, event: Event) -> None:
        match event.kind:
            case Kind.RUN if self.state is not SessionState.TERMINATED:
                procedure = event.data()
                if procedure is not None:
                    self._spawn(procedure)
            case Kind.END if self.state is SessionState.TERMINATING:
                self._fail(EndRequested())
            case Kind.INVITATION if event.data.state == 'disconnected':
                if self.state not in (SessionState.TERMINATING, SessionState.TERMINATED):
                    self._fail(Disconnected(event.data))
                else:
                    # end() or reject() has moved the state in another thread, and finds the dialog gone when its event is handled.
                    self._gone = event.data
            case Kind.INVITATION if event.data.state == 'connected':
                proposals.handle_proposal(self, event)
            case Kind.SDP if event.data.succeeded and self.state is SessionState.CONNECTED:
                self._take_update(event.data)
            case Kind.STREAM_FAILED if event.source in self.streams:
                self._lose_stream(event.source)

    def _take_update(self, data: Any) -> None:
        """The peer has changed the media by UPDATE, which the core has answered: RFC 3311."""
        restarted = any(getattr(stream, 'restarts_ice', None) is not None and stream.restarts_ice(data.local_sdp, data.remote_sdp) for stream in self.streams)
        self._negotiated(data)
        reinvite.apply(self)
        reinvite.part(self)
        hold.check(self)
        if restarted:
            network.heard(self, network.RESTARTED)
            self._settle()

    def _lose_stream(self, stream: Any) -> None:
        """A running stream broke: go on without it, unless it was the last one."""
        if self.streams == [stream]:
            self.end()
        elif self._try(Input.PROPOSE):
            self._spawn(proposals.run_remove(self, [stream]))
        else:
            self._deferred.append(Event(Kind.STREAM_FAILED, stream))

    def _handle_aside(self, event: Event) -> None:
        match event.kind:
            case Kind.HOLD:
                if self.state in (SessionState.TERMINATING, SessionState.TERMINATED):
                    return
                if event.data is not None:
                    hold.change_wish(self, event.data)
                else:
                    self._hold_timer = None
                if self._procedure is None:
                    self._settle()
            case Kind.NETWORK:
                if self.state in (SessionState.TERMINATING, SessionState.TERMINATED):
                    return
                network.heard(self, event.data)
                if self._procedure is None:
                    self._settle()
                elif network.is_cut_off(self):
                    self._interrupt(Failure(network.CUT_OFF))
            case Kind.MESSAGE:
                data = event.data
                self._post('SIPSessionGotMessage', method=data.method, request_uri=data.request_uri, headers=data.headers, body=data.body)
            case Kind.PROGRESS:
                establish.got_provisional(self, event.data)
            case Kind.UPDATE:
                if self.state not in (SessionState.TERMINATING, SessionState.TERMINATED):
                    self._learn_peer(event.data)
            case Kind.TRANSFER_CALL:
                event.data()
            case Kind.TRANSFER_ASKED:
                transferee.asked(self, event.data)
            case _:
                self._transfer_news(event)

    def _transfer_news(self, event: Event) -> None:
        """The core tells of the transfer that the dialog has, which may be one before that of the handler."""
        handler = self.transfer_handler
        direction, over = handler._dialog, event.kind in (Kind.TRANSFER_ENDED, Kind.TRANSFER_FAILED)
        if over:
            handler._dialog = None
        if direction == 'outgoing':
            transferor.heard(self, event)
        elif event.kind is Kind.TRANSFER_FAILED:
            transferee.lost(self, event.data.code, event.data.reason)
        if over and handler._next is not None:
            waiting, handler._next = handler._next, None
            waiting()

    def _settle(self) -> None:
        events, self._deferred = self._deferred, []
        for event in events:
            if self._procedure is None:
                self._idle(event)
            else:
                self._deferred.append(event)
        if self._procedure is None and network.is_due(self):
            self._spawn(network.run_move(self))
        if self._procedure is None and self._hold_wish is not None and self.state is SessionState.CONNECTED:
            if self._hold_timer is None:
                self._spawn(hold.run_hold(self))

    def _fail(self, error: Exception) -> None:
        self._deferred.clear()
        if self._closing:
            # The way out itself is broken: there is none left but to say so.
            log.error('error while a session was ending', exc_info=error)
            ending.abandon(self)
            return
        self._closing = True
        self.conference._end()
        self._spawn(ending.procedure_for(self, error))


def _check_refusal(code: int) -> None:
    if not 300 <= code <= 699:
        raise ValueError(f'not a status code that refuses: {code}')


