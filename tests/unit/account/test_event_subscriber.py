"""Subscriber: a subscription that is kept alive."""

from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from sipsimple.account.subscriber import BACKOFF, RETRY_AFTER, TRANSITIONS, Subscriber, SubscriberInput, SubscriberState
from sipsimple.core import Route, SIPCoreError, SIPURI
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import NotificationCenter
from tests.support.event_fakes import FakeSubscription


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


class World:
    def __init__(self, monkeypatch):
        self.scheduler = InlineScheduler()
        self.routes = [Route('127.0.0.1', port=1)]
        self.error = None
        self.lookups = 0
        self.waiting = None             # a list: lookups that have not ended
        self.Subscription = FakeSubscription.fresh()
        self.heard = []
        self.account = SimpleNamespace(id='me@example.com', uri=SIPURI('example.com', user='me'), display_name='Me', credentials=None, contact=Contact(),
                                       sip=SimpleNamespace())
        for module in ('subscriber', 'leaving'):
            monkeypatch.setattr(f'sipsimple.account.{module}.Subscription', self.Subscription)
        monkeypatch.setattr('sipsimple.account.subscriber.find_routes', self._find_routes)
        monkeypatch.setattr('sipsimple.account.subscriber.call_in_green_thread', self._call)
        self.subscriber = Subscriber(self.account, 'conference', SIPURI('example.com', user='room'), 600, lambda: ['udp'], self.heard.append, self.scheduler)

    def _find_routes(self, account, target, transports):
        assert account is self.account and str(target) == 'sip:room@example.com' and transports == ['udp']
        self.lookups += 1
        if self.error is not None:
            raise self.error
        return self.routes

    def _call(self, function, *args):
        if self.waiting is None:
            function(*args)
        else:
            self.waiting.append(lambda: function(*args))

    def __getattr__(self, name):
        return getattr(self.subscriber, name)

    @property
    def last(self):
        return self.Subscription.made[-1]

    @property
    def count(self):
        return len(self.Subscription.made)

    def advance(self, seconds):
        self.scheduler.clock.advance(seconds)

    def subscribed(self):
        self.subscriber.start()
        self.last.accepted_by_peer()
        assert self.subscriber.state == 'subscribed'

    def tried_again_after(self, first, last):
        """Whether the next try comes within these seconds."""
        count = self.lookups
        if first:
            self.advance(first - 0.1)
            if self.lookups != count:
                return False
        self.advance(last - first + 0.2)
        return self.lookups == count + 1


@pytest.fixture
def world(monkeypatch):
    world = World(monkeypatch)
    yield world
    world.subscriber.stop()
    world.advance(10)
    assert world.subscriber.state == 'ended' and world.scheduler.clock.getDelayedCalls() == []


def test_life(world):
    assert world.state is None
    world.subscriber.start()
    world.subscriber.start()
    assert world.state == 'subscribing' and world.count == 1 and world.last.sent == ['subscribe'] and world.last.timeouts == [5.0]
    assert repr(world.subscriber) == '<Subscriber of me@example.com to conference at sip:room@example.com: subscribing>'
    subscription = world.last
    subscription.accepted_by_peer()
    assert world.state == 'subscribed'
    subscription.tell(b'one')
    subscription.tell(b'two')
    assert [data.body for data in world.heard] == [b'one', b'two']
    world.refresh()
    assert subscription.sent == ['subscribe', 'subscribe']
    done = []
    world.stop(lambda: done.append(1))
    assert world.state == 'ended' and subscription.sent == ['subscribe', 'subscribe', 'end'] and done == []
    subscription.tell(b'last')
    subscription.ended()
    assert done == [1] and len(world.heard) == 2
    world.stop(lambda: done.append(2))
    world.refresh()
    assert done == [1, 2] and subscription.sent[-1] == 'end'


def test_notify_before_the_answer(world):
    world.subscriber.start()
    world.last.tell(b'early')
    world.last.accepted_by_peer()
    assert len(world.heard) == 1


@pytest.mark.parametrize('code', [403, 405, 406, 489, 501, 603])
@pytest.mark.parametrize('running', [False, True])
def test_final_refusal(world, code, running):
    world.routes = [Route('127.0.0.1', port=1), Route('127.0.0.1', port=2)]
    world.subscriber.start()
    if running:
        world.last.accepted_by_peer()
    world.last.failed_by_peer(code)
    world.advance(10000)
    assert world.state == 'given_up' and world.count == 1
    world.renew()
    assert world.state == 'subscribing' and world.count == 2


@pytest.mark.parametrize('code', [0, 404, 408, 480, 481, 500, 503])
def test_other_failures_try_the_next_route(world, code):
    world.routes = [Route('127.0.0.1', port=number) for number in (1, 2, 3)]
    world.account.contact.missing = {2}             # no address on this one
    world.subscriber.start()
    world.last.failed_by_peer(code)
    assert [subscription.route.uri.port for subscription in world.Subscription.made] == [1, 3]
    world.last.failed_by_peer(code)
    assert world.state == 'waiting' and world.tried_again_after(*RETRY_AFTER['routes'])
    world.last.accepted_by_peer()
    assert world.state == 'subscribed'


def test_no_further_route_after_the_limit(world):
    world.routes = [Route('127.0.0.1', port=1), Route('127.0.0.1', port=2), Route('127.0.0.1', port=3)]
    world.subscriber.start()
    world.advance(20)
    world.last.failed_by_peer(408)
    assert world.count == 2
    world.advance(10)
    world.last.failed_by_peer(408)
    assert world.count == 2 and world.state == 'waiting'


@pytest.mark.parametrize('code, what', [(401, 'authentication'), (407, 'authentication'), (1400, 'unusable answer'), (423, 'too short')])
def test_failures_after_which_it_waits(world, code, what):
    world.routes = [Route('127.0.0.1', port=1), Route('127.0.0.1', port=2)]
    world.subscriber.start()
    world.last.failed_by_peer(code)
    assert world.state == 'waiting' and world.count == 1 and world.tried_again_after(*RETRY_AFTER[what])


def test_interval_too_short(world):
    world.subscriber.start()
    world.last.failed_by_peer(423, min_expires=3600)
    assert world.count == 2 and world.last.refresh == 3600
    world.last.failed_by_peer(423, min_expires=3600)            # as asked for: there is no point in asking again at once
    assert world.state == 'waiting' and world.count == 2
    world.advance(200)
    world.last.accepted_by_peer()
    world.last.failed_by_peer(423, min_expires=7200)            # a refresh
    world.advance(0)
    assert world.count == 4 and world.last.refresh == 7200


@pytest.mark.parametrize('what', ['error', 'none', 'defect'])
def test_no_routes(world, what):
    world.error = {'error': DNSLookupError('no such name'), 'none': None, 'defect': ZeroDivisionError()}[what]
    routes, world.routes = world.routes, []
    world.subscriber.start()
    assert world.state == 'waiting' and world.count == 0 and world.tried_again_after(*RETRY_AFTER['dns'])
    world.error, world.routes = None, routes
    world.advance(30)
    assert world.state == 'subscribing'


def test_no_address(world):
    world.account.contact.missing = {1}
    world.subscriber.start()
    assert world.state == 'waiting' and world.tried_again_after(*RETRY_AFTER['no address'])


def test_core_that_refuses(world, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(world.Subscription, 'subscribe', lambda self, timeout: (_ for _ in ()).throw(SIPCoreError('no engine')))
        world.subscriber.start()
        assert world.state == 'waiting'
    assert world.tried_again_after(*RETRY_AFTER['not sent']) and world.state == 'subscribing'


@pytest.mark.parametrize('reason', ['rejected', 'noresource', 'invariant', 'NoResource'])
def test_end_for_good(world, reason):
    world.subscribed()
    world.last.ended_by_peer(reason=reason)
    world.advance(10000)
    assert world.state == 'given_up' and world.count == 1


@pytest.mark.parametrize('parameters', [{'reason': 'deactivated'}, {'reason': 'timeout'}, {'reason': 'deactivated', 'retry_after': 50}, {'reason': 'unheard-of'}, {}])
def test_end_after_which_it_is_made_anew(world, parameters):
    world.subscribed()
    world.last.ended_by_peer(**parameters)
    assert world.state == 'waiting'
    world.advance(0)
    assert world.state == 'subscribing' and world.count == 2


@pytest.mark.parametrize('parameters, first, last', [
    ({'reason': 'probation', 'retry_after': 7}, 7, 7), ({'reason': 'giveup', 'retry_after': 200}, 200, 200), ({'retry_after': 99999}, 3600, 3600),
    ({'reason': 'probation'}, *RETRY_AFTER['later']), ({'reason': 'giveup'}, *RETRY_AFTER['later'])])
def test_end_after_which_it_waits(world, parameters, first, last):
    world.subscribed()
    world.last.ended_by_peer(**parameters)
    assert world.tried_again_after(first, last)


def test_end_without_a_notify(world):
    """The answer granted no time."""
    world.subscribed()
    world.last.ended()
    world.advance(0)
    assert world.count == 2


@pytest.mark.parametrize('code', [408, 481, 500])
def test_failed_refresh(world, code):
    world.subscribed()
    world.last.failed_by_peer(code)
    world.advance(0)
    assert world.state == 'subscribing' and world.count == 2


def test_lost_again_and_again(world):
    """A notifier that ends each subscription at once is asked ever more rarely; when one has lasted, it is as in the beginning."""
    world.subscribed()
    least = BACKOFF[0]
    world.last.ended_by_peer(reason='deactivated')
    world.advance(0)
    for _ in range(8):
        world.last.accepted_by_peer()
        world.last.ended_by_peer(reason='deactivated')
        assert world.tried_again_after(least, 2 * least)
        least = min(least * 2, BACKOFF[1])
    world.last.accepted_by_peer()
    world.advance(60)
    count = world.count
    world.last.ended_by_peer(reason='deactivated')
    world.advance(0)
    assert world.count == count + 1


def test_network_changes(world):
    world.subscribed()
    old = world.last
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert old.sent == ['subscribe', 'end'] and world.count == 2 and world.lookups == 2
    old.ended()
    old.tell(b'late')
    assert world.state == 'subscribing' and world.heard == []
    world.last.failed_by_peer(500)
    assert world.state == 'waiting'
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert world.state == 'subscribing' and world.count == 3
    world.stop()
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert world.count == 3


def test_what_comes_of_an_old_lookup(world):
    world.waiting = []
    world.subscriber.start()
    world.renew()
    assert world.state == 'looking_up'
    world.waiting[1]()
    assert world.count == 1
    world.waiting[0]()
    assert world.count == 1
    world.renew()
    world.stop()
    world.waiting[2]()
    assert world.count == 1 and world.state == 'ended'


def test_stop_waits_for_a_while_only(world):
    world.subscribed()
    done = []
    world.stop(lambda: done.append(1))
    world.advance(2.9)
    assert done == []
    world.advance(0.2)
    assert done == [1]


def test_stop_of_what_is_over_in_the_core(world):
    world.subscribed()
    world.last.state = 'TERMINATED'                 # its notification is on the way
    done = []
    world.stop(lambda: done.append(1))
    assert done == [1]


def test_every_state_can_be_left():
    reached = {None, *TRANSITIONS.values()}
    assert reached == {None, *SubscriberState}
    assert {state for state, _ in TRANSITIONS} == reached - {SubscriberState.ENDED}
    assert {what for _, what in TRANSITIONS} == set(SubscriberInput)
    assert all((state, SubscriberInput.STOP) in TRANSITIONS for state in reached - {SubscriberState.ENDED})
