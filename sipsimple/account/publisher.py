"""A state of an account that a server is told, and kept there (RFC 3903). Its states are those of `keeper`: `kept` while the server has it.

What changes is sent at once as long as that is rarely: BURST times, and then every SPACING seconds, the last state only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sipsimple.account.keeper import Failure, Keeper, KeeperState, nobody
from sipsimple.account.leaving import withdraw
from sipsimple.account.routes import OwnHeaders
from sipsimple.core import Publication, PublicationETagError, RouteHeader, SIPCoreError
from sipsimple.notification import NotificationCenter
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['BURST', 'Publisher', 'RateLimit', 'SPACING']

log = logging.getLogger('sipsimple.account')

BURST = 5
SPACING = 5.0               # seconds; watchers are told no more often either (RFC 3856 section 6.10)
# What failed -> between how many and how many seconds later comes the next try; random, as the publishers of a server all lose it at once.
RETRY_AFTER = {
    'no address': (60.0, 60.0),
    'not sent': (5.0, 5.0),
    'too short': (60.0, 120.0),
    'expired': (1.0, 3.0),              # the machine slept, perhaps: nothing is wrong with the server
}


class RateLimit:
    """Lets something happen `burst` times, and again as often as `spacing` seconds have passed. Thread: the SDK thread.

    Args:
        ready: called when it may happen again after it was refused.
    """

    def __init__(self, burst: int, spacing: float, scheduler: Scheduler, ready: Callable[[], object]) -> None:
        self._left = self._burst = burst
        self._spacing = spacing
        self._scheduler = scheduler
        self._ready = ready
        self._is_wanted = False
        self._timer: Timer | None = None

    def take(self) -> bool:
        """Return whether it may happen now, which it then has."""
        if not self._left:
            self._is_wanted = True
            return False
        self._left -= 1
        if self._timer is None:
            self._timer = self._scheduler.call_later(self._spacing, self._refill)
        return True

    def _refill(self) -> None:
        self._timer = None
        self._left += 1
        if self._left < self._burst:
            self._timer = self._scheduler.call_later(self._spacing, self._refill)
        wanted, self._is_wanted = self._is_wanted, False
        if wanted:
            self._ready()

    def close(self) -> None:
        """Nothing happens any more."""
        self._is_wanted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Publisher(Keeper):
    """Keeps a state published, between start() and stop(). Thread: the SDK thread.

    Args:
        account: whose state it is.
        event: name of the event package.
        content_type: of the state.
        state: what is published, for `tell` only.
        body: its text.
        interval: seconds that are asked for.
        transports: returns the names of the transports that may be used, in order of preference.
        scheduler: the SDK thread.
        tell: called as tell(what, **fields) with 'publishing' (`state`, `duration` in seconds), 'refreshing' (`state`), 'published' (`code`, `reason`,
            `expires`), 'failed' (`code`, `reason`, `retry_after`), and 'ended' or 'not ended' when it was withdrawn.
        refusal_wait: see Keeper.
    """

    ROUTE_LIMIT: ClassVar[float] = 10.0
    BACKOFFS: ClassVar[Mapping[str, tuple[float, float]]] = {
        'authentication': (60.0, 1800.0),       # a wrong password does not get better, and servers lock out who insists
        'dns': (1.0, 30.0),
        'routes': (1.0, 30.0),
        'lost': (1.0, 60.0),
    }
    REFUSALS: ClassVar[frozenset[int]] = frozenset((403, 405, 406, 415, 489, 501))      # RFC 3903 section 4, RFC 3261 section 21.4

    def __init__(self, account: Any, event: str, content_type: str, state: Any, body: bytes, interval: int, transports: Callable[[], list[str]],
                 scheduler: Scheduler = reactor_scheduler, tell: Callable[..., object] = nobody, refusal_wait: tuple[float, float] | None = None) -> None:
        super().__init__(account, event, account.uri, interval, transports, scheduler, tell, refusal_wait)
        self._content_type = content_type
        self._state, self._body = state, body
        self._limit = RateLimit(BURST, SPACING, scheduler, self._flush)
        self._publication: Publication | None = None    # one for all attempts: it knows the tag of what the server has
        self._is_dirty = False                      # there is a later state than the one that was sent
        self._is_busy = False                       # a PUBLISH is not answered yet
        self._is_fresh = False                      # ... and says all, without a tag: nothing is left to be tried after a 412

    def publish(self, state: Any, body: bytes) -> None:
        """Publish another state instead."""
        self._state, self._body = state, body
        self._is_dirty = True
        self._flush()

    def stop(self, done: Callable[[], object] | None = None) -> None:
        """See Keeper."""
        self._limit.close()
        super().stop(done)

    # ---- requests ----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self.state is KeeperState.KEPT and self._is_dirty and not self._is_busy and self._limit.take():
            self._send_again(True)

    def _send_again(self, everything: bool) -> None:
        """Publish over the route that works: the state, or that it is still so."""
        publication, route = self._publication, self._route
        if publication is None or route is None:
            return
        try:
            publication.credentials = self.account.credentials
            self._publish(publication, RouteHeader(route.uri), everything)
        except PublicationETagError:
            self._send_again(True)
        except (SIPCoreError, ValueError) as error:
            log.warning('%r: %s', self, error)
            self._later(Failure('not sent', 0, f'Internal error: {error}'))

    def _publish(self, publication: Publication, route: RouteHeader, everything: bool) -> None:
        publication.duration = self._interval
        if everything:
            self._is_dirty = False
            self._tell('publishing', state=self._state, duration=self._interval)
        else:
            self._tell('refreshing', state=self._state)
        self._is_fresh = everything and not publication.is_published
        publication.publish(self._body if everything else None, route, timeout=self.ROUTE_LIMIT)
        self._is_busy = True

    # ---- Keeper ------------------------------------------------------------------------------------------------

    def _times(self) -> Mapping[str, tuple[float, float]]:
        return RETRY_AFTER

    def _send(self, headers: OwnHeaders) -> None:
        if self._publication is None:
            self._publication = Publication(headers.sender, self.event, self._content_type)
            NotificationCenter().add_observer(self, sender=self._publication)
        self._publication.credentials = self.account.credentials
        self._publish(self._publication, headers.route, True)

    def _forget(self) -> None:
        """The server may still have it: the next attempt says which one it replaces."""
        self._is_busy = False

    def _before_renewal(self) -> None:
        """What the server has is replaced, not withdrawn first: watchers need not see a gap."""
        self._is_busy = False

    def _leave(self, done: Callable[[], object] | None = None) -> None:
        publication, self._publication = self._publication, None
        if publication is None or not (publication.is_published or publication.is_pending):
            if publication is not None:
                NotificationCenter().discard_observer(self, sender=publication)
            if done is not None:
                done()
            return
        NotificationCenter().discard_observer(self, sender=publication)

        def ended(agreed: bool) -> None:
            self._tell('ended' if agreed else 'not ended')
            if done is not None:
                done()
        withdraw(publication, self._scheduler, ended)

    def _is_ours(self, sender: Any) -> bool:
        return sender is self._publication

    def _heed(self, name: str, data: Any) -> None:
        if name == 'SIPPublicationDidSucceed':
            self._is_busy = False
            if self.state is not KeeperState.KEPT:
                self._accepted()
            self._tell('published', code=data.code, reason=data.reason, expires=data.expires_in)
            self._flush()
        elif name == 'SIPPublicationDidFail':
            self._is_busy = False
            if data.code == 412 and not self._is_fresh:
                self._send_again(True)              # RFC 3903 section 4.1: the server does not have it any more
            else:
                self._failed(data.code, data.reason, data.min_expires or 0, data.retry_after or 0)
        elif name == 'SIPPublicationWillExpire':
            if self.state is KeeperState.KEPT and not self._is_busy:
                self._send_again(self._is_dirty)
        elif name == 'SIPPublicationDidEnd' and data.expired and self.state is KeeperState.KEPT:
            self._is_busy = False
            self._later(Failure('expired', 0, 'Publication expired'))

    def _disconnected(self) -> None:
        """The server may have started anew, and know nothing of it."""
        self._is_busy = False
        self._lost(Failure('lost', 0, 'Connection lost'))
