"""What waits in the mailbox of an account (RFC 3842)."""

from __future__ import annotations

from typing import Any

from sipsimple.account.services import EventSubscriber, uri_of
from sipsimple.core import SIPURI
from sipsimple.threading.scheduler import Scheduler, reactor_scheduler

__all__ = ['MWISubscriber']


class MWISubscriber(EventSubscriber):
    """Subscribed to message-summary while `message_summary.enabled`.

    Attributes:
        message_account: URI of the mailbox as the server tells it, None when it does not, or when there is no subscription.
    Notifications: SIPAccountGotMessageSummary (`message_summary`) of the account; those of EventSubscriber.
    """

    event = 'message-summary'
    needs_stream = False

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self.message_account: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.message_summary.enabled)

    @property
    def target(self) -> SIPURI:
        """The mailbox."""
        return uri_of(self.account.message_summary.voicemail_uri or self.account.id)

    def _end(self) -> None:
        self.message_account = None
        super()._end()

    def _heard(self, data: Any) -> None:
        if data.body is None:
            return
        from sipsimple.payloads import ValidationError
        from sipsimple.payloads.messagesummary import MessageSummary
        if str(data.content_type or '').lower() != MessageSummary.content_type:
            self._tell_invalid(data, f'it is no {MessageSummary.content_type}')
            return
        try:
            summary = MessageSummary.parse(data.body)
        except ValidationError as error:
            self._tell_invalid(data, error)
            return
        if summary.message_account is not None:
            self.message_account = summary.message_account
        self._post_for_account('SIPAccountGotMessageSummary', message_summary=summary)
