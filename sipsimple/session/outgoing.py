"""`connect`: from the first offer to a running session, over as many routes as it takes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sipsimple.account.routes import route_header
from sipsimple.core import ContactHeader, Engine, FromHeader, Invitation, NoGRUU, PublicGRUUIfAvailable, SIPCoreError, SIPURI, ToHeader
from sipsimple.lookup import DNSLookupError
from sipsimple.session import active, description, ending, place, redirect, reinvite, streamset
from sipsimple.session.establish import established, got_provisional, settings, uses_gruu
from sipsimple.session.inputs import DeadlineExpired, Disconnected, EndRequested, Failure, Kind, StreamFailed
from sipsimple.session.routing import routes_to

if TYPE_CHECKING:
    from sipsimple.core import Route
    from sipsimple.session.session import Session

__all__ = ['ConnectRequest', 'forbidden_headers', 'run_connect']

log = logging.getLogger('sipsimple.session')

forbidden_headers = frozenset(('to', 'from', 'via', 'contact', 'route', 'record-route'))


@dataclass
class ConnectRequest:
    """The arguments of `Session.connect`, and what becomes of them."""

    to_header: ToHeader
    routes: list[Route]
    streams: list[Any]
    is_focus: bool
    extra_headers: list[Any]
    target: SIPURI | None = None        # where a redirection leads; None: what the To header says


class _RouteFailed(Exception):
    """Nobody answered over this route: the next one may do better. `cause` is what ends the session if there is none."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _TargetFailed(Exception):
    """The callee does not take the call, as `cause` says; another one may."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _fails_over(data: Any, provisional: bool) -> bool:
    """Whether the end of an unanswered INVITE says something about the route rather than about the callee.

    503 is the server on the way (RFC 3263 §4.3); a 408 made here is a transport error or, with no provisional response before it, silence. Once a
    provisional response came, a 408 is the callee's silence.
    """
    return data.code == 503 or (data.code == 408 and data.originator != 'remote' and not provisional)


async def run_connect(session: Session, request: ConnectRequest) -> None:
    """Procedure: connect."""
    active.add(session)
    session._post('SIPSessionNewOutgoing', streams=list(request.streams))
    session._check_alive()
    session.ipv6_media = _prefers_ipv6(request.routes)
    streams = await streamset.initialize(session, request.streams, 'outgoing')
    session.proposed_streams = streams
    await _call(session, request, streams)
    await _reoffer_after_ice(session)
    established(session)


async def _call(session: Session, request: ConnectRequest, streams: list[Any]) -> None:
    """Call the callee, then those that it redirects us to, until one answers.

    Raises:
        Disconnected, Failure: nobody does; what the last one said.
    """
    targets = redirect.Targets(SIPURI.new(request.to_header.uri))
    while True:
        try:
            await _call_target(session, request, streams)
            return
        except _TargetFailed as error:
            cause = error.cause
        data = cause.data if isinstance(cause, Disconnected) else None
        if data is not None and redirect.is_redirection(data) and redirect.follows(session.account):
            targets.add(data.headers.get('Contact', ()))
        if data is not None and data.code >= 600:
            raise cause                         # it says so for all of them
        await _turn_to_next(session, request, targets, cause)
        _renew_offer(session, streams)


def _renew_offer(session: Session, streams: list[Any]) -> None:
    """Somebody else is called: the keys of the next offer are others than those the last one knows. The method is not in the document: an application's own
    streams may not have it."""
    for stream in streams:
        renew = getattr(stream, 'renew_offer', None)
        if renew is not None:
            renew()
    session._local_offer = None


async def _turn_to_next(session: Session, request: ConnectRequest, targets: redirect.Targets, cause: Exception) -> None:
    """Let the request go to the next target that there is a way to, or raise `cause`."""
    while (target := targets.next()) is not None:
        # There is nothing of the last INVITE left to wait for, should the application end the session now.
        if isinstance(cause, Disconnected):
            session._gone = cause.data
        else:
            session._disown()
        try:
            routes = await routes_to(session, target)
        except DNSLookupError as error:
            log.info('redirected to %s, which cannot be found: %s', target, error)
            continue
        if isinstance(cause, Disconnected):
            ending.invite_refused(session, cause.data)
        request.target, request.routes = target, routes
        session._callee = target
        return
    raise cause


async def _call_target(session: Session, request: ConnectRequest, streams: list[Any]) -> None:
    """Call one URI, over all its routes.

    Raises:
        _TargetFailed: it does not answer.
    """
    failure: Exception = Failure('no route to the destination', 480, response=480)
    for route in request.routes:
        try:
            await _attempt(session, request, route, streams)
            return
        except _RouteFailed as error:
            failure = error.cause
    raise _TargetFailed(failure)


def _prefers_ipv6(routes: list[Route]) -> bool:
    """Return whether media are offered over IPv6: as the INVITE by the first route that there is a way to."""
    bound: str | None = getattr(Engine(), 'ip_address', None)       # there is none before it runs
    if bound is not None:
        return description.is_ipv6(bound)
    return next((description.is_ipv6(route.address) for route in routes if description.outgoing_address(route.address) is not None), False)


def _media_address(session: Session, request: ConnectRequest, address: str) -> str:
    """Return the address to offer media at: ours on the way of the INVITE, or else one of the kind that the streams were opened for."""
    if description.is_ipv6(address) == session.ipv6_media:
        return address
    others = (description.outgoing_address(route.address) for route in request.routes if description.is_ipv6(route.address) == session.ipv6_media)
    return next((other for other in others if other is not None), address)


def _contact(session: Session, request: ConnectRequest, route: Route) -> tuple[ContactHeader, str]:
    """Return the contact and the media address for a route."""
    try:
        uri = session.account.contact[PublicGRUUIfAvailable if uses_gruu(session.account) else NoGRUU, route]
    except KeyError as error:
        raise Failure('could not find a contact for the route', 480, response=480) from error
    # A GRUU names a server; every other contact has our address on this route.
    address = uri.host if 'gr' not in uri.parameters else description.outgoing_address(route.address)
    if address is None:
        raise Failure('no local address to reach the route from', 480, response=480)
    return ContactHeader(uri, parameters={'isfocus': None} if request.is_focus else None), _media_address(session, request, address.strip('[]'))


async def _attempt(session: Session, request: ConnectRequest, route: Route, streams: list[Any]) -> None:
    """Send the INVITE over one route and see it through until it is acknowledged and all streams run.

    Raises:
        _RouteFailed: this route does not work.
        _TargetFailed: the callee refuses.
    """
    try:
        contact, address = _contact(session, request, route)
    except Failure as error:
        raise _RouteFailed(error) from error
    place.enter(session, description.outgoing_address(route.address))
    if session._local_offer is None:
        session._local_offer = description.first_offer(address, settings().user_agent, streams)
    sdp = session._local_offer
    if sdp.address != address:              # another way out than that of the route before
        description.move(sdp, address)
    account = session.account
    invitation = Invitation()
    session._attach(invitation)
    try:
        invitation.send_invite(SIPURI.new(request.target or request.to_header.uri), FromHeader(account.uri, account.display_name), request.to_header,
                               route_header(route, contact), contact, sdp, account.credentials, request.extra_headers)
    except SIPCoreError as error:
        raise _RouteFailed(Failure(f'SIP core error: {error}', response=480)) from error
    invite_timeout = settings().sip.invite_timeout
    answer_deadline = session._deadline(invite_timeout) if invite_timeout else None
    start_deadline = None
    starter = streamset.Starter(session, streams)
    provisional = acknowledged = False
    try:
        while not (acknowledged and starter.complete):
            event = await session._wait(start_deadline or answer_deadline)
            data = event.data
            match event.kind:
                case Kind.INVITATION if data.state == 'early':
                    provisional = True
                    got_provisional(session, data)
                case Kind.INVITATION if data.state == 'connecting':
                    ending.answered(session, data.code, data.reason)
                    session._learn_peer(data)
                    start_deadline = session._deadline(session.media_stream_timeout)
                case Kind.INVITATION if data.state == 'connected':
                    acknowledged = True
                    ending.close_invite(session, 'unknown')
                case Kind.SDP:
                    if not data.succeeded:
                        raise Failure(f'SDP negotiation failed: {data.error}')
                    if not starter.negotiated:
                        session._post('SIPSessionWillStart')
                    session._negotiated(data)
                    starter.negotiate(data.local_sdp, data.remote_sdp)
                case Kind.STREAM_STARTED:
                    starter.pending.discard(event.source)
    except Disconnected as error:
        if not session._answered and not starter.negotiated:
            if _fails_over(error.data, provisional):
                raise _RouteFailed(error) from error
            if error.data.originator == 'remote':
                raise _TargetFailed(error) from error
        raise
    except DeadlineExpired as error:
        if start_deadline is None:
            raise EndRequested from error           # the callee let it ring too long: as if the user hung up
        raise Failure('media stream start timeout' if starter.pending else 'INVITE not completed') from error
    except StreamFailed as error:
        raise Failure(f'media stream failed: {error.reason}') from error
    finally:
        for deadline in (answer_deadline, start_deadline):
            if deadline is not None:
                deadline.cancel()
    if not starter.started:
        raise Failure('the peer accepted no stream')
    starter.drop_refused()
    session.streams = starter.started


async def _reoffer_after_ice(session: Session) -> None:
    """Tell the peer, and what is on the way, which addresses ICE chose, if these are not those of the first offer (RFC 8839 §4.4.1).

    Errors do not matter: media flows already.
    """
    streams = [stream for stream in session.streams if getattr(stream, 'ice_reoffer_needed', False)]
    if streams:
        await reinvite.reoffer(session, streams)
