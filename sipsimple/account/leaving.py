"""Ending what an account was told of, without waiting for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from sipsimple.core import Referral, SIPCoreError, Subscription
from sipsimple.notification import IObserver, NotificationCenter
from sipsimple.threading.scheduler import Scheduler

__all__ = ['END_LIMIT', 'leave']

log = logging.getLogger('sipsimple.account')

END_LIMIT = 2.0             # seconds for the notifier to agree


def leave(dialog: Subscription | Referral, scheduler: Scheduler, done: Callable[[], object] | None = None) -> None:
    """Unsubscribe. `done` is called when that is over, within END_LIMIT and a second. Thread: the SDK thread, `done` too."""
    _Leaving(dialog, scheduler, done).begin()


@implementer(IObserver)
class _Leaving:
    """The notification centre keeps this, and with it the dialog, until it is over: nothing would be sent for one that nobody holds."""

    def __init__(self, dialog: Subscription | Referral, scheduler: Scheduler, done: Callable[[], object] | None) -> None:
        prefix = 'SIPSubscription' if isinstance(dialog, Subscription) else 'SIPReferral'
        self._names = f'{prefix}DidEnd', f'{prefix}DidFail'
        self._dialog = dialog
        self._scheduler = scheduler
        self._done = done
        # The core has a limit of its own, and says nothing any more when the Engine has ended.
        self._timer = scheduler.call_later(END_LIMIT + 1, self._finish)

    def begin(self) -> None:
        for name in self._names:
            NotificationCenter().add_observer(self, name=name, sender=self._dialog)
        try:
            self._dialog.end(timeout=END_LIMIT)
        except SIPCoreError as error:
            log.debug('cannot unsubscribe: %s', error)
            self._finish()
            return
        if self._dialog.state == 'TERMINATED':          # its last notification was posted before we listened
            self._finish()

    def handle_notification(self, notification: Any) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._finish)

    def _finish(self) -> None:
        self._timer.cancel()
        for name in self._names:
            NotificationCenter().discard_observer(self, name=name, sender=self._dialog)
        done, self._done = self._done, None
        if done is not None:
            done()
