"""The world of the tests of what an account has kept: its time, its routes, and the core, which are fakes."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet.task import Clock

from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.core import Route, SIPURI
from tests.support.event_fakes import FakePublication, FakeSubscription

__all__ = ['InlineScheduler', 'KeeperWorld']


class InlineScheduler:
    """The SDK thread is this one; time is a Clock."""

    def __init__(self):
        self.clock = Clock()

    def call(self, function, *args):
        function(*args)

    call_soon = call

    def call_later(self, seconds, function, *args):
        call = self.clock.callLater(seconds, function, *args)
        return SimpleNamespace(cancel=lambda: call.active() and call.cancel())


class Contact:
    missing = frozenset()

    def __getitem__(self, key):
        if key[1].port in self.missing:
            raise KeyError(key)
        return SIPURI('127.0.0.1', user='me', port=5070)


class KeeperWorld:
    """An account, the routes to its server, and the Subscriptions and Publications that are made.

    Attributes:
        routes: what a lookup finds, unless `error` is raised; looked_up: its targets and transports.
        waiting: a list: lookups that have not ended.
    """

    def __init__(self, monkeypatch):
        self.scheduler = InlineScheduler()
        self.routes = [Route('127.0.0.1', port=1)]
        self.error = None
        self.looked_up = []
        self.waiting = None
        self.Subscription = FakeSubscription.fresh()
        self.Publication = FakePublication.fresh()
        self.account = SimpleNamespace(
            id=SIPAddress('me@example.com'), uri=SIPURI('example.com', user='me'), display_name='Me', credentials=None, contact=Contact(),
            auth=SimpleNamespace(username=None, password='secret'),
            sip=SimpleNamespace(outbound_proxy=None, always_use_my_proxy=True, tls_name=None, use_gruu=False, subscribe_interval=600, publish_interval=600),
            presence=SimpleNamespace(enabled=True), xcap=SimpleNamespace(enabled=False, discovered=False),
            message_summary=SimpleNamespace(enabled=True, voicemail_uri=None))
        for module in ('subscriber', 'leaving'):
            monkeypatch.setattr(f'sipsimple.account.{module}.Subscription', self.Subscription)
        monkeypatch.setattr('sipsimple.account.publisher.Publication', self.Publication)
        monkeypatch.setattr('sipsimple.account.keeper.find_routes', self._find_routes)
        monkeypatch.setattr('sipsimple.account.keeper.call_in_green_thread', self._call)

    def _find_routes(self, account, target, transports):
        assert account is self.account
        self.looked_up.append((str(target), transports))
        if self.error is not None:
            raise self.error
        return self.routes

    def _call(self, function, *args):
        if self.waiting is None:
            function(*args)
        else:
            self.waiting.append(lambda: function(*args))

    @property
    def lookups(self):
        return len(self.looked_up)

    def advance(self, seconds):
        self.scheduler.clock.advance(seconds)

    def idle(self):
        """Nothing waits for its time."""
        return self.scheduler.clock.getDelayedCalls() == []

    def tried_again_after(self, first, last):
        """Whether the next lookup comes within these seconds."""
        count = self.lookups
        if first:
            self.advance(first - 0.1)
            if self.lookups != count:
                return False
        self.advance(last - first + 0.2)
        return self.lookups == count + 1
