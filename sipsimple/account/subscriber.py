"""A subscription that is kept alive (RFC 6665). Its states are those of `keeper`: `kept` while the notifier agrees, `given_up` when it does not want us, or
has nothing to tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from sipsimple.account.keeper import MAX_RETRY_AFTER, Failure, Keeper, KeeperState, nobody
from sipsimple.account.leaving import leave
from sipsimple.account.routes import OwnHeaders
from sipsimple.core import Header, SIPCoreError, SIPURI, Subscription, ToHeader
from sipsimple.notification import NotificationCenter
from sipsimple.threading.scheduler import Scheduler, reactor_scheduler

__all__ = ['Subscriber']

log = logging.getLogger('sipsimple.account')

# What failed -> between how many and how many seconds later comes the next try; random, as the subscribers of a server all lose it at once.
RETRY_AFTER = {
    'no address': (60.0, 60.0),
    'dns': (15.0, 30.0),
    'not sent': (5.0, 5.0),
    'too short': (60.0, 120.0),
    'unusable answer': (3600.0, 3600.0),
    'later': (60.0, 180.0),             # the notifier wants us to come back, and does not say when
}
# Reasons of Subscription-State (RFC 6665 section 4.1.3) after which there is no subscription to be had, and those that ask to wait. After all others it
# is made anew at once.
FINAL_REASONS = frozenset(('rejected', 'noresource', 'invariant'))
LATER_REASONS = frozenset(('probation', 'giveup'))


class Subscriber(Keeper):
    """Keeps an account subscribed to an event package at one resource, between start() and stop(). Thread: the SDK thread.

    Args:
        account: who subscribes.
        event: name of the package.
        target: URI of the resource.
        interval: seconds that are asked for.
        transports: returns the names of the transports that may be used, in order of preference.
        heard: called with the data of each NOTIFY, in the SDK thread.
        scheduler: the SDK thread.
        tell: called as tell(what, **fields) with 'started'; 'ended', `originator` being 'remote' when the notifier ended it and 'local' when it is left;
            'failed' with `code`, `reason`, `retry_after`. See Keeper.
        refusal_wait: see Keeper.
        headers: of the SUBSCRIBEs, beside those that each has.
        document: returns type and text of the body of the SUBSCRIBEs, or None; asked at each beginning and refresh().
    """

    ROUTE_LIMIT: ClassVar[float] = 5.0
    BACKOFFS: ClassVar[Mapping[str, tuple[float, float]]] = {
        'authentication': (60.0, 1800.0),       # a wrong password does not get better, and servers lock out who insists
        'routes': (2.0, 90.0),
        'lost': (1.0, 60.0),                    # before it is made anew, unless it had lasted for STABLE
    }
    # RFC 6665 sections 3.1.3.1 and 4.2.1.1, RFC 3261 section 21.4.4.
    REFUSALS: ClassVar[frozenset[int]] = frozenset((403, 405, 406, 489, 501))

    def __init__(self, account: Any, event: str, target: SIPURI, interval: int, transports: Callable[[], list[str]], heard: Callable[[Any], object],
                 scheduler: Scheduler = reactor_scheduler, tell: Callable[..., object] = nobody, refusal_wait: tuple[float, float] | None = None,
                 headers: Iterable[Header] = (), document: Callable[[], tuple[str, str | bytes] | None] | None = None) -> None:
        super().__init__(account, event, target, interval, transports, scheduler, tell, refusal_wait)
        self._heard = heard
        self._headers = list(headers)
        self._document = document
        self._subscription: Subscription | None = None
        self._is_told = False                       # that it has started
        self._last_word: Any = None                 # Subscription-State of its last NOTIFY

    def refresh(self) -> None:
        """Ask for the whole state: the notifier sends it after each SUBSCRIBE (RFC 6665 section 4.2.1.2). No-op when not subscribed."""
        if self.state is KeeperState.KEPT and self._subscription is not None:
            try:
                self._subscribe(self._subscription)
            except SIPCoreError as error:
                log.debug('%r cannot be refreshed: %s', self, error)        # its end is on the way

    # ---- Keeper ------------------------------------------------------------------------------------------------

    def _times(self) -> Mapping[str, tuple[float, float]]:
        return RETRY_AFTER

    def _subscribe(self, subscription: Subscription) -> None:
        document = None if self._document is None else self._document()
        content_type, body = (None, None) if document is None else document
        subscription.subscribe(self._headers, content_type, body, timeout=self.ROUTE_LIMIT)

    def _send(self, headers: OwnHeaders) -> None:
        subscription = Subscription(self.target, headers.sender, ToHeader(self.target), headers.contact, self.event, headers.route,
                                    self.account.credentials, self._interval)
        self._subscription, self._last_word = subscription, None
        NotificationCenter().add_observer(self, sender=subscription)
        self._subscribe(subscription)

    def _forget(self) -> None:
        if self._subscription is not None:
            NotificationCenter().discard_observer(self, sender=self._subscription)
            self._subscription = None
        self._is_told = False

    def _leave(self, done: Callable[[], object] | None = None) -> None:
        """End the subscription, if there is one; nothing of what it still tells matters."""
        subscription, was_told = self._subscription, self._is_told
        self._forget()
        if was_told:
            self._tell('ended', originator='local')
        if subscription is not None:
            leave(subscription, self._scheduler, done)
        elif done is not None:
            done()

    def _is_ours(self, sender: Any) -> bool:
        return sender is self._subscription

    def _heed(self, name: str, data: Any) -> None:
        if name == 'SIPSubscriptionDidStart':
            self._accepted()
            self._is_told = True
            self._tell('started')
        elif name == 'SIPSubscriptionGotNotify':
            self._last_word = data.headers.get('Subscription-State')
            try:
                self._heard(data)
            except Exception:                   # the subscription goes on, whatever is made of what it tells
                log.exception('%r: a NOTIFY could not be used', self)
        elif name == 'SIPSubscriptionDidFail':
            self._forget()
            self._failed(data.code, data.reason, data.min_expires or 0)
        elif name == 'SIPSubscriptionDidEnd':
            self._forget()
            self._tell('ended', originator='remote')
            self._ended_by_peer()

    def _ended_by_peer(self) -> None:
        last = self._last_word
        reason = (last.reason or '').lower() if last is not None else ''
        failure = Failure('later', 0, f'Ended by the notifier: {reason or "no reason"}')
        if reason in FINAL_REASONS:
            self._refuse(failure)
        elif last is not None and last.retry_after is not None and reason not in ('deactivated', 'timeout'):
            self._later(failure._replace(kind='not sent'), min(last.retry_after, MAX_RETRY_AFTER))
        elif reason in LATER_REASONS:
            self._later(failure)
        else:
            self._lost(failure)
