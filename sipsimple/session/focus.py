"""`ConferenceHandler`: what a session with a focus makes of that: the state of the conference (RFC 4575), and requests to change who is in it (RFC 4579)."""

from __future__ import annotations

import logging
from copy import copy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from sipsimple.account.subscriber import Subscriber
from sipsimple.core import SIPCoreError, SIPURI
from sipsimple.session import active
from sipsimple.session.establish import settings
from sipsimple.session.participants import ParticipantRequest
from sipsimple.session.states import SessionState

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['ConferenceHandler']

log = logging.getLogger('sipsimple.session')

CONTENT_TYPE = 'application/conference-info+xml'
SUBSCRIBE_INTERVAL = 600                # seconds, for an account that does not say


class ConferenceHandler:
    """The conference at the peer of a session, if the peer is a focus: `Session.remote_focus`. Thread: any.

    While that is so and the session runs, it is subscribed to the state of the conference.

    Notifications: `SIPSessionGotConferenceInfo` whenever the focus tells of the conference, with all that is known of it: a partial document has changed
        what was known before (RFC 4575 section 4.6). One that cannot, because others are missing between both, comes as it is, and its state says
        'partial'; the focus is asked for the whole then. This and those of the methods have the session as their sender and come in the reactor thread.
    """

    __slots__ = ('_known', '_requests', '_session', '_subscriber', '_version')

    def __init__(self, session: Session) -> None:
        self._session = session
        # Reactor thread only:
        self._subscriber: Subscriber | None = None
        self._requests: dict[ParticipantRequest, None] = {}         # those that run
        self._version: int | None = None                            # of the last document
        self._known: Any = None                                     # the full state that it was, as text, or has led to

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} of {self._session!r}>'

    def add_participant(self, participant_uri: Any) -> None:
        """Ask the focus to invite somebody, by a REFER outside of the call: RFC 4579 section 5.5.

        Args:
            participant_uri: a `SIPURI`, or text, in which `sip:` may be missing.

        Notifications: `SIPConferenceGotAddParticipantProgress` as the focus tells of it, then `SIPConferenceDidAddParticipant` or
        `SIPConferenceDidNotAddParticipant`. The latter has code 0 if no answer is the reason: a bad URI, a peer that is no focus, a session that
        does not run, a focus that is not found.
        """
        self._session.scheduler.call_soon(self._ask, 'INVITE', participant_uri)

    def remove_participant(self, participant_uri: Any) -> None:
        """Ask the focus to throw somebody out: RFC 4579 section 5.11.

        Args:
            participant_uri: a `SIPURI`, or text, in which `sip:` may be missing.

        Notifications: `SIPConferenceGotRemoveParticipantProgress`, `SIPConferenceDidRemoveParticipant` and `SIPConferenceDidNotRemoveParticipant`, as for
        `add_participant`.
        """
        self._session.scheduler.call_soon(self._ask, 'BYE', participant_uri)

    # ---- for the session, reactor thread -----------------------------------------------------------------------

    def _follow(self) -> None:
        """Be subscribed as long as the peer is a focus: called when the session has started, and when its peer has changed."""
        session = self._session
        if session.remote_focus:
            if self._subscriber is None and self._runs():
                interval = getattr(session.account.sip, 'subscribe_interval', 0) or SUBSCRIBE_INTERVAL
                self._subscriber = Subscriber(session.account, 'conference', self._target(), interval, _transports, self._heard, session.scheduler)
                self._subscriber.start()
        elif self._subscriber is not None:
            self._unsubscribe()

    def _end(self) -> None:
        """The session ends."""
        for request in list(self._requests):
            request.fail(0, 'the session has ended')
        if self._subscriber is not None:
            self._unsubscribe()

    def _runs(self) -> bool:
        return self._session.start_time is not None and self._session.state not in (SessionState.TERMINATING, SessionState.TERMINATED)

    def _target(self) -> SIPURI:
        """The URI of the conference: what we have called, or how the caller names itself. If that is a machine and not a domain, then its contact, for From has
        neither port nor transport (RFC 3261 section 20.10)."""
        session = self._session
        uri, contact = session._callee, session._invitation.remote_contact_header if session._invitation is not None else None
        if uri is None:
            uri = session.remote_identity.uri
            if contact is not None and contact.uri is not None and _is_address(uri.host):
                uri = contact.uri
        target = SIPURI.new(uri)
        target.headers.clear()
        return target

    # ---- the state of the conference ---------------------------------------------------------------------------

    def _unsubscribe(self) -> None:
        subscriber, self._subscriber = self._subscriber, None
        self._version = self._known = None
        assert subscriber is not None
        active.hold(subscriber)             # the application's end waits for it, as the focus would go on sending
        subscriber.stop(lambda: active.release(subscriber))

    def _heard(self, data: Any) -> None:
        """A NOTIFY has come. What is no such document is ignored, as what is none at all."""
        if data.body is None or str(data.content_type or '').lower() != CONTENT_TYPE:
            return
        from sipsimple.payloads import ParserError  # needs an XML library, which takes long to import
        from sipsimple.payloads.conference import Conference
        try:
            info = Conference.parse(data.body)
        except ParserError as error:
            log.info('%r: not a conference document: %s', self, error)
            return
        self._session._post('SIPSessionGotConferenceInfo', conference_info=self._whole(info, data.body))

    def _whole(self, info: Any, body: bytes) -> Any:
        """What is known with this document; the document itself when it does not fit to what was known."""
        known, self._known = self._known, None
        last, self._version = self._version, info.version
        if info.state == 'full':
            self._known = body                      # what we hand out may be changed by whoever gets it
        elif info.state == 'partial':
            gap = last is None or info.version != last + 1
            if known is not None and not gap:
                self._known = changed = _changed(known, info)
                if changed is not None:
                    return copy(changed)
            # RFC 4575 section 4.6. Once is enough: until the whole comes, only another gap is a reason to ask again.
            if self._subscriber is not None and (gap or known is not None):
                self._subscriber.refresh()
        return info

    # ---- participants ------------------------------------------------------------------------------------------

    def _ask(self, method: str, participant_uri: Any) -> None:
        problem = None
        try:
            participant = _participant(participant_uri)
        except (SIPCoreError, ValueError, TypeError) as error:
            participant, problem = participant_uri, str(error)
        if problem is None and not self._runs():
            problem = 'the session does not run'
        if problem is None and not self._session.remote_focus:
            problem = 'the peer is no focus'
        if problem is not None:
            self._post_failure(method, participant, 0, problem)
            return
        request = ParticipantRequest(self._session.account, self._target(), participant, method, self, self._session.scheduler)
        self._requests[request] = None
        request.start()

    def progress(self, request: ParticipantRequest, code: int, reason: str) -> None:
        """For requests: the focus tells how one goes."""
        name = 'SIPConferenceGotAddParticipantProgress' if request.method == 'INVITE' else 'SIPConferenceGotRemoveParticipantProgress'
        self._session._post(name, participant=request.participant, code=code, reason=reason)

    def succeeded(self, request: ParticipantRequest) -> None:
        """For requests: one is done."""
        self._requests.pop(request, None)
        name = 'SIPConferenceDidAddParticipant' if request.method == 'INVITE' else 'SIPConferenceDidRemoveParticipant'
        self._session._post(name, participant=request.participant)

    def failed(self, request: ParticipantRequest, code: int, reason: str) -> None:
        """For requests: one came to nothing."""
        self._requests.pop(request, None)
        self._post_failure(request.method, request.participant, code, reason)

    def _post_failure(self, method: str, participant: Any, code: int, reason: str) -> None:
        name = 'SIPConferenceDidNotAddParticipant' if method == 'INVITE' else 'SIPConferenceDidNotRemoveParticipant'
        self._session._post(name, participant=participant, code=code, reason=reason)


def _changed(known: Any, info: Any) -> Any:
    """The state, a document or an object, after a change; None if there is none."""
    from sipsimple.payloads import ValidationError
    from sipsimple.payloads.conference import Conference
    try:
        return (Conference.parse(known) if isinstance(known, bytes) else known).changed_by(info)
    except ValidationError as error:
        log.info('a change of a conference that leads to nothing: %s', error)
        return None


def _transports() -> list[str]:
    return list(settings().sip.transport_list)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip('[]'))
    except ValueError:
        return False
    return True


def _participant(value: Any) -> SIPURI:
    """Return a copy of a URI, or what a text says. SIPCoreError, ValueError or TypeError: it is none."""
    if not isinstance(value, str):
        return SIPURI.new(value)
    text = value.strip()
    return SIPURI.parse(text if text.lower().startswith(('sip:', 'sips:')) else f'sip:{text}')
