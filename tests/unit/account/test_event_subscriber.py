"""Subscriber: a subscription that is kept alive."""

import pytest

from sipsimple.account.keeper import TRANSITIONS, KeeperInput, KeeperState
from sipsimple.account.subscriber import RETRY_AFTER, Subscriber
from sipsimple.core import Header, Route, SIPCoreError, SIPURI
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import NotificationCenter, NotificationData
from tests.support.keeper_world import KeeperWorld
from tests.support.tables import pairs, paths

BACKOFF = Subscriber.BACKOFFS['lost']


class World(KeeperWorld):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.heard = []
        self.told = []
        self.subscriber = Subscriber(self.account, 'conference', SIPURI('example.com', user='room'), 600, lambda: ['udp'], self.heard.append, self.scheduler,
                                     lambda what, **data: self.told.append((what, data)))

    def __getattr__(self, name):
        return getattr(self.subscriber, name)

    @property
    def last(self):
        return self.Subscription.made[-1]

    @property
    def count(self):
        return len(self.Subscription.made)

    def subscribed(self):
        self.subscriber.start()
        self.last.accepted_by_peer()
        assert self.subscriber.state == 'kept'


@pytest.fixture
def world(monkeypatch):
    world = World(monkeypatch)
    yield world
    world.subscriber.stop()
    world.advance(10)
    assert world.subscriber.state == 'ended' and world.idle()


def test_life(world):
    assert world.state is None
    world.subscriber.start()
    world.subscriber.start()
    assert world.state == 'asking' and world.count == 1 and world.last.sent == ['subscribe'] and world.last.timeouts == [5.0]
    assert repr(world.subscriber) == '<Subscriber of me@example.com to conference at sip:room@example.com: asking>'
    subscription = world.last
    subscription.accepted_by_peer()
    assert world.state == 'kept'
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
    assert world.state == 'asking' and world.count == 2


@pytest.mark.parametrize('code', [0, 404, 408, 480, 481, 500, 503])
def test_other_failures_try_the_next_route(world, code):
    world.routes = [Route('127.0.0.1', port=number) for number in (1, 2, 3)]
    world.account.contact.missing = {2}             # no address on this one
    world.subscriber.start()
    world.last.failed_by_peer(code)
    assert [subscription.route.uri.port for subscription in world.Subscription.made] == [1, 3]
    world.last.failed_by_peer(code)
    assert world.state == 'waiting' and world.tried_again_after(2, 4)
    world.last.accepted_by_peer()
    assert world.state == 'kept'


def test_no_further_route_after_the_limit(world):
    world.routes = [Route('127.0.0.1', port=1), Route('127.0.0.1', port=2), Route('127.0.0.1', port=3)]
    world.subscriber.start()
    world.advance(20)
    world.last.failed_by_peer(408)
    assert world.count == 2
    world.advance(10)
    world.last.failed_by_peer(408)
    assert world.count == 2 and world.state == 'waiting'


@pytest.mark.parametrize('code, what', [(1400, 'unusable answer'), (423, 'too short')])
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
    assert world.state == 'asking'


def test_no_address(world):
    world.account.contact.missing = {1}
    world.subscriber.start()
    assert world.state == 'waiting' and world.tried_again_after(*RETRY_AFTER['no address'])


def test_core_that_refuses(world, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(world.Subscription, 'subscribe', lambda self, timeout: (_ for _ in ()).throw(SIPCoreError('no engine')))
        world.subscriber.start()
        assert world.state == 'waiting'
    assert world.tried_again_after(*RETRY_AFTER['not sent']) and world.state == 'asking'


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
    assert world.state == 'asking' and world.count == 2


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
    assert world.state == 'asking' and world.count == 2


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
    assert world.state == 'asking' and world.heard == []
    world.last.failed_by_peer(500)
    assert world.state == 'waiting'
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert world.state == 'asking' and world.count == 3
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
    assert reached == {None, *KeeperState}
    assert {state for state, _ in TRANSITIONS} == reached - {KeeperState.ENDED}
    assert {what for _, what in TRANSITIONS} == set(KeeperInput)
    assert all((state, KeeperInput.STOP) in TRANSITIONS for state in reached - {KeeperState.ENDED})


@pytest.mark.parametrize('code', [401, 407])
def test_wrong_password_is_given_ever_more_rarely(world, code):
    world.subscriber.start()
    for least in (60, 120, 240):
        world.last.failed_by_peer(code)
        assert world.state == 'waiting' and world.tried_again_after(least, 2 * least)
    world.renew()                                   # there may be another one
    world.last.failed_by_peer(code)
    assert world.tried_again_after(60, 120)


def test_what_is_told(world):
    world.subscribed()
    assert world.told == [('started', {})]
    world.last.ended_by_peer(reason='deactivated')
    assert world.told[1:] == [('ended', {'originator': 'remote'}), ('failed', {'code': 0, 'reason': 'Ended by the notifier: deactivated', 'retry_after': 0})]
    world.advance(0)
    world.last.accepted_by_peer()
    world.last.failed_by_peer(481, 'Gone')
    what, data = world.told[-1]
    assert what == 'failed' and (data['code'], data['reason']) == (481, 'Gone') and 1 <= data['retry_after'] <= 2
    world.advance(2)
    world.last.accepted_by_peer()
    world.renew()
    assert world.told[-1] == ('ended', {'originator': 'local'})
    world.last.failed_by_peer(489)
    assert world.told[-1] == ('failed', {'code': 489, 'reason': 'No', 'retry_after': None})
    count = len(world.told)
    world.stop()
    assert len(world.told) == count                 # there was nothing to end


def test_a_refusal_may_have_its_time(world):
    world.subscriber._refusal_wait = (3600, 4200)
    world.subscriber.start()
    world.last.failed_by_peer(489)
    assert world.state == 'given_up' and 3600 <= world.told[-1][1]['retry_after'] <= 4200
    assert world.tried_again_after(3600, 4200) and world.state == 'asking'


def test_headers_and_document_of_each_request(world):
    documents = iter([('text/plain', 'one'), ('text/plain', 'two'), None])
    world.subscriber._headers = [Header('Supported', 'eventlist')]
    world.subscriber._document = lambda: next(documents)
    world.subscribed()
    assert world.last.document == ('text/plain', 'one') and [header.name for header in world.last.extra_headers] == ['Supported']
    world.refresh()
    assert world.last.document == ('text/plain', 'two') and [header.name for header in world.last.extra_headers] == ['Supported']
    world.renew()
    assert world.last.document is None


def test_lost_connection(world):
    """NOTIFYs have no way to us any more, and the server may have started anew."""
    world.routes = [Route('127.0.0.1', port=1, transport='tcp')]
    world.subscribed()
    old = world.last

    def disconnect(port, transport='tcp'):
        NotificationCenter().post_notification('SIPEngineTransportDidDisconnect', data=NotificationData(transport=transport, remote_address=f'127.0.0.1:{port}'))
    disconnect(2)
    disconnect(1, 'tls')
    assert world.state == 'kept'
    disconnect(1)
    assert world.state == 'waiting' and old.sent == ['subscribe'] and world.told[-1][1]['reason'] == 'Connection lost'
    world.advance(0)
    assert world.state == 'asking' and world.count == 2
    disconnect(1)
    assert world.state == 'asking'                  # the answer to the request will tell


def test_what_hears_may_fail(world, caplog):
    world.subscribed()
    world.subscriber._heard = lambda data: 1 / 0
    world.last.tell(b'text')
    assert world.state == 'kept' and 'a NOTIFY could not be used' in caplog.text


# ---- every pair of state and input -----------------------------------------------------------------------------------


PATHS = paths(TRANSITIONS)


class Run:
    """A subscriber whose lookups wait until they are told to go on."""

    def __init__(self, world):
        self.world = world
        self.Subscription = world.Subscription
        self.Subscription.made.clear()
        world.routes = [Route('127.0.0.1', port=number) for number in range(1, 9)]
        world.waiting = []
        world.subscriber = self.subscriber = Subscriber(world.account, 'conference', SIPURI('example.com', user='room'), 600, lambda: ['udp'], world.heard.append,
                                                        world.scheduler, lambda what, **data: world.told.append((what, data)), refusal_wait=(5000, 5000))
        self.steps = []
        self.done = []
        self.subscriber._machine._trace = lambda *step: self.steps.append(step)

    @property
    def traces(self):
        """All that the world has noticed of it."""
        return ([subscription.sent for subscription in self.Subscription.made], len(self.world.waiting), len(self.world.scheduler.clock.getDelayedCalls()),
                len(self.steps), self.subscriber.state)

    def find(self, routes):
        self.world.routes = routes
        self.world.waiting.pop()()

    def ways(self, what):
        """The ways to bring an input about in the present state, by whoever it is that can; what comes of a subscription that is over is among them."""
        subscriber, world, state = self.subscriber, self.world, self.subscriber.state
        last = self.Subscription.made[-1] if self.Subscription.made else None
        match what:
            case KeeperInput.START:
                return [subscriber.start]
            case KeeperInput.STOP:
                return [subscriber.stop]
            case KeeperInput.RENEW:
                return [subscriber.renew, lambda: NotificationCenter().post_notification('NetworkConditionsDidChange')]
            case KeeperInput.ROUTES if world.waiting:
                return [lambda: self.find(world.routes)]
            case KeeperInput.LATER if world.waiting and state is KeeperState.LOOKING_UP:
                return [lambda: self.find([])]
            case KeeperInput.LATER if last is not None:
                return [lambda: last.failed_by_peer(401), lambda: last.failed_by_peer(1400),
                        *([last.ended, lambda: last.ended_by_peer(reason='giveup'), lambda: last.failed_by_peer(481)] if state is not KeeperState.ASKING else [])]
            case KeeperInput.NEXT_ROUTE if last is not None and state is not KeeperState.KEPT:
                return [lambda code=code: last.failed_by_peer(code) for code in (408, 503)]
            case KeeperInput.ACCEPTED if last is not None:
                return [last.accepted_by_peer]
            case KeeperInput.REFUSED if last is not None:
                return [lambda: last.failed_by_peer(403), lambda: last.ended_by_peer(reason='rejected')]
            case KeeperInput.RETRY if state in (None, KeeperState.WAITING, KeeperState.GIVEN_UP, KeeperState.ENDED):
                return [lambda: world.advance(10000)]
        return []

    def go(self, state):
        for what in PATHS[state]:
            self.ways(what)[0]()
        assert self.subscriber.state == state
        return self


@pytest.mark.parametrize('state, what', pairs(TRANSITIONS, KeeperInput), ids=lambda value: getattr(value, 'name', str(value)))
def test_pair(world, state, what):
    legal = (state, what) in TRANSITIONS
    number, ways = 0, 1
    while number < ways:
        run = Run(world).go(state)
        before = run.traces
        found = run.ways(what)
        ways = max(1, len(found))
        if legal:
            found[number]()
            assert run.steps[before[3]:][:1] == [(state, what, TRANSITIONS[state, what])], number
        else:
            assert run.subscriber._go(what) is False and run.traces == before
            if found:
                found[number]()
                assert run.traces[0] == before[0] and run.traces[3:] == before[3:], number
        # Wherever it is now, it ends in order, and once.
        run.subscriber.stop(lambda run=run: run.done.append(1))
        world.advance(10)
        assert run.subscriber.state == 'ended' and run.done == [1] and world.scheduler.clock.getDelayedCalls() == []
        number += 1
