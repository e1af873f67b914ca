"""What an account tells of its user's presence and calls, and what others see of it (RFC 3856, 4235)."""

from __future__ import annotations

from typing import Any

from sipsimple.account.services import EventPublisher, EventSubscriber
from sipsimple.account.watchers import same_address

__all__ = ['DialogPublisher', 'PresencePublisher', 'SelfPresenceSubscriber']


class PresencePublisher(EventPublisher):
    """Publishes the presence of the account, a `PIDF`, while `presence.enabled`. Notifications: see EventPublisher."""

    event = 'presence'
    content_type = 'application/pidf+xml'

    def _check(self, state: Any) -> None:
        from sipsimple.payloads.pidf import PIDF
        if not isinstance(state, PIDF):
            raise ValueError(f'a presence state is a PIDF, not {state!r}')


class DialogPublisher(EventPublisher):
    """Publishes the calls of the account, a `DialogInfo`, while `presence.enabled`. Notifications: see EventPublisher."""

    event = 'dialog'
    content_type = 'application/dialog-info+xml'

    def _check(self, state: Any) -> None:
        from sipsimple.payloads.dialoginfo import DialogInfo
        if not isinstance(state, DialogInfo):
            raise ValueError(f'a dialog state is a DialogInfo, not {state!r}')


class SelfPresenceSubscriber(EventSubscriber):
    """Subscribed to the presence of the account itself while `presence.enabled`: what is published of it by all its programs, put together.

    Notifications: SIPAccountGotSelfPresenceState (`pidf`) of the account; those of EventSubscriber.
    """

    event = 'presence'

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.presence.enabled)

    def _heard(self, data: Any) -> None:
        if data.body is None:
            return
        from sipsimple.payloads import ParserError
        from sipsimple.payloads.pidf import PIDF, PIDFDocument
        if str(data.content_type or '').lower() != PIDFDocument.content_type:
            self._tell_invalid(data, f'it is no {PIDFDocument.content_type}')
            return
        try:
            pidf = PIDF.parse(data.body)
        except ParserError as error:
            self._tell_invalid(data, error)
            return
        if same_address(pidf.entity, self.account.id):
            self._post_for_account('SIPAccountGotSelfPresenceState', pidf=pidf)
        else:
            self._tell_invalid(data, f'it is about {pidf.entity}')
