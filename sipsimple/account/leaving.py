"""Ending what a server keeps for an account, without waiting for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from zope.interface import implementer

from sipsimple.core import Publication, Referral, SIPCoreError, Subscription
from sipsimple.notification import IObserver, NotificationCenter
from sipsimple.threading.scheduler import Scheduler

__all__ = ['END_LIMIT', 'leave', 'withdraw']

log = logging.getLogger('sipsimple.account')

END_LIMIT = 2.0             # seconds for the server to agree


def leave(dialog: Subscription | Referral, scheduler: Scheduler, done: Callable[[], object] | None = None) -> None:
    """Unsubscribe. `done` is called when that is over, within END_LIMIT and a second. Thread: the SDK thread, `done` too."""
    _Leaving(dialog, scheduler, done).begin()


def withdraw(publication: Publication, scheduler: Scheduler, done: Callable[[bool], object]) -> None:
    """Take a published state back. A PUBLISH that is not answered is waited for, as the server may store what it says. Thread: the SDK thread, `done` too.

    Args:
        done: called within END_LIMIT and a second for each of the two; the argument tells whether the server agreed, or had nothing of it.
    """
    _Withdrawing(publication, scheduler, done).begin()


@implementer(IObserver)
class _Ending:
    """The notification centre keeps this, and with it what is ended, until it is over: nothing would be sent for a dialog that nobody holds."""

    names: ClassVar[tuple[str, ...]]
    prefix: str

    def __init__(self, kept: Any, scheduler: Scheduler) -> None:
        self._kept = kept
        self._scheduler = scheduler
        self._names = [self.prefix + name for name in self.names]
        self._is_over = False
        # The core has a limit of its own, and says nothing any more when the Engine has ended.
        self._timer = scheduler.call_later(END_LIMIT + 1, self._finish)

    def begin(self) -> None:
        for name in self._names:
            NotificationCenter().add_observer(self, name=name, sender=self._kept)
        self._end()

    def _end(self) -> None:
        try:
            self._kept.end(timeout=END_LIMIT)
        except SIPCoreError as error:
            log.debug('cannot be ended: %s', error)
            self._finish()
            return
        if self._is_gone():             # its last notification was posted before we listened
            self._finish(True)

    def _is_gone(self) -> bool:
        raise NotImplementedError

    def handle_notification(self, notification: Any) -> None:
        """Any thread."""
        self._scheduler.call_soon(self._heed, notification.name.removeprefix(self.prefix))

    def _heed(self, what: str) -> None:
        self._finish(what == 'DidEnd')

    def _finish(self, agreed: bool = False) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        for name in self._names:
            NotificationCenter().discard_observer(self, name=name, sender=self._kept)
        self._tell(agreed)

    def _tell(self, agreed: bool) -> None:
        raise NotImplementedError


class _Leaving(_Ending):
    names = ('DidEnd', 'DidFail')

    def __init__(self, dialog: Subscription | Referral, scheduler: Scheduler, done: Callable[[], object] | None) -> None:
        self.prefix = 'SIPSubscription' if isinstance(dialog, Subscription) else 'SIPReferral'
        self._done = done
        super().__init__(dialog, scheduler)

    def _is_gone(self) -> bool:
        return bool(self._kept.state == 'TERMINATED')

    def _tell(self, agreed: bool) -> None:
        if self._done is not None:
            self._done()


class _Withdrawing(_Ending):
    names = ('DidEnd', 'DidNotEnd', 'DidFail', 'DidSucceed')
    prefix = 'SIPPublication'

    def __init__(self, publication: Publication, scheduler: Scheduler, done: Callable[[bool], object]) -> None:
        self._under_way = publication.is_pending
        self._done = done
        super().__init__(publication, scheduler)

    def _end(self) -> None:
        if not self._under_way:
            super()._end()

    def _is_gone(self) -> bool:
        return not self._kept.is_published

    def _heed(self, what: str) -> None:
        if what in ('DidSucceed', 'DidFail') and self._under_way and not self._is_over:
            self._under_way = False
            self._timer.cancel()
            self._timer = self._scheduler.call_later(END_LIMIT + 1, self._finish)
            self._end()
        elif what in ('DidEnd', 'DidNotEnd'):
            self._finish(what == 'DidEnd')

    def _tell(self, agreed: bool) -> None:
        self._done(agreed)
