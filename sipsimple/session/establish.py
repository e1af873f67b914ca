"""What the two ways to establish a session have in common."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sipsimple.account.routes import uses_gruu
from sipsimple.session import hold, place
from sipsimple.session.states import Input, SessionState

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['established', 'got_provisional', 'settings', 'uses_gruu']


def settings() -> Any:
    """Return the general settings."""
    from sipsimple.configuration.settings import SIPSimpleSettings
    return SIPSimpleSettings()


def established(session: Session) -> None:
    """The INVITE is done and the streams run: the session is connected."""
    if session.state is not SessionState.CONNECTED:
        session._advance(Input.STARTED)
    session.start_time = datetime.now().astimezone()
    session.proposed_streams = None
    place.enter(session)
    session._post('SIPSessionDidStart', streams=list(session.streams))
    hold.check(session)                     # it may begin with a hold
    session._settle_replacement()
    session.conference._follow()


def got_provisional(session: Session, data: Any) -> None:
    """The peer has answered an INVITE or re-INVITE of ours with a 1xx."""
    if data.code == 180:
        session._post('SIPSessionGotRingIndication')
    session._post('SIPSessionGotProvisionalResponse', code=data.code, reason=data.reason)
