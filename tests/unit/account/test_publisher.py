"""Publisher: a state that is kept published."""

import pytest

from sipsimple.account.publisher import BURST, RETRY_AFTER, SPACING, Publisher
from sipsimple.core import Route, SIPCoreError
from sipsimple.lookup import DNSLookupError
from sipsimple.notification import NotificationCenter, NotificationData
from tests.support.keeper_world import KeeperWorld


class World(KeeperWorld):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.told = []
        self.publisher = Publisher(self.account, 'presence', 'application/pidf+xml', 'state 0', b'0', 600, lambda: ['udp'], self.scheduler,
                                   lambda what, **data: self.told.append((what, data)), (3600, 4200))

    @property
    def state(self):
        return self.publisher.state

    @property
    def last(self):
        return self.Publication.made[-1]

    @property
    def bodies(self):
        return [body for publication in self.Publication.made for body in publication.bodies]

    def published(self):
        self.publisher.start()
        self.last.accepted_by_peer()
        assert self.state == 'kept'

    def failure(self):
        return [data for what, data in self.told if what == 'failed'][-1]


@pytest.fixture
def world(monkeypatch):
    world = World(monkeypatch)
    yield world
    world.publisher.stop()
    world.advance(10)
    assert world.publisher.state == 'ended' and world.idle()


def test_life(world):
    world.publisher.start()
    assert world.state == 'asking' and world.looked_up == [('sip:me@example.com', ['udp'])] and world.last.timeouts == [10.0]
    assert world.last.arguments[1:] == ('presence', 'application/pidf+xml') and world.last.duration == 600
    world.last.accepted_by_peer(expires=300)
    world.last.will_expire()
    world.last.accepted_by_peer()
    world.publisher.publish('state 1', b'1')
    world.last.accepted_by_peer()
    assert world.bodies == [b'0', None, b'1'] and len(world.Publication.made) == 1
    done = []
    world.publisher.stop(lambda: done.append(1))
    assert world.last.sent[-1] == 'end' and not done and world.last.timeouts[-1] == 2.0
    world.last.ended()
    assert done == [1]
    assert world.told == [
        ('publishing', {'state': 'state 0', 'duration': 600}), ('published', {'code': 200, 'reason': 'OK', 'expires': 300}),
        ('refreshing', {'state': 'state 0'}), ('published', {'code': 200, 'reason': 'OK', 'expires': 600}),
        ('publishing', {'state': 'state 1', 'duration': 600}), ('published', {'code': 200, 'reason': 'OK', 'expires': 600}), ('ended', {})]


def test_only_the_last_of_many_changes(world):
    world.published()
    for number in range(1, 4):
        world.publisher.publish(f'state {number}', b'%d' % number)
    assert world.bodies == [b'0', b'1']                 # the others wait for the answer
    world.last.accepted_by_peer()
    world.last.accepted_by_peer()
    assert world.bodies == [b'0', b'1', b'3'] and len(world.told) == 6


def test_rate(world):
    """As often as wanted for a while, then ever SPACING seconds."""
    world.published()
    for number in range(1, 12):
        world.publisher.publish('', b'%d' % number)
        world.last.accepted_by_peer()
    assert world.bodies[1:] == [b'%d' % number for number in range(1, BURST + 1)]
    world.advance(SPACING)
    assert world.bodies[BURST + 1:] == [b'11']
    world.last.accepted_by_peer()
    world.publisher.publish('', b'12')
    world.advance(SPACING - 0.1)
    assert world.bodies[BURST + 2:] == []
    world.advance(0.2)
    assert world.bodies[BURST + 2:] == [b'12']
    world.last.accepted_by_peer()
    for _ in range(BURST + 1):
        world.advance(SPACING)
    count = len(world.bodies)
    for number in range(BURST):
        world.publisher.publish('', b'again %d' % number)
        world.last.accepted_by_peer()
    assert len(world.bodies) == count + BURST


def test_changed_before_it_was_published_at_all(world):
    world.waiting = []
    world.publisher.start()
    world.publisher.publish('', b'1')
    world.waiting.pop()()
    assert world.bodies == [b'1']
    world.publisher.publish('', b'2')
    assert world.bodies == [b'1']
    world.last.accepted_by_peer()
    assert world.bodies == [b'1', b'2']


def test_server_that_has_lost_it(world):
    """412 to a refresh: RFC 3903 section 4.1; to a change as well. Never twice in a row."""
    world.published()
    world.last.will_expire()
    world.last.failed_by_peer(412)
    assert world.bodies == [b'0', None, b'0'] and world.state == 'kept'
    world.last.accepted_by_peer()
    world.publisher.publish('', b'1')
    world.last.failed_by_peer(412)
    assert world.bodies[3:] == [b'1', b'1']
    world.last.failed_by_peer(412)
    assert world.bodies[5:] == [] and world.state == 'waiting'
    world.advance(0)
    assert world.bodies[5:] == [b'1']


def test_no_tag(world):
    """A server that gives no tag is told all each time."""
    world.publisher.start()
    world.last.accepted_by_peer(etag=None)
    world.last.will_expire()
    assert world.bodies == [b'0', b'0']


@pytest.mark.parametrize('code', [401, 407])
@pytest.mark.parametrize('running', [False, True])
def test_wrong_password_is_given_ever_more_rarely(world, code, running):
    world.publisher.start()
    if running:
        world.last.accepted_by_peer()
        world.last.will_expire()
    for least in (60, 120, 240):
        world.last.failed_by_peer(code)
        assert world.state == 'waiting' and world.tried_again_after(least, 2 * least)
    assert world.failure()['code'] == code


@pytest.mark.parametrize('code', [403, 405, 406, 415, 489, 603])
@pytest.mark.parametrize('running', [False, True])
def test_refusal(world, code, running):
    world.routes = [Route('127.0.0.1', port=1), Route('127.0.0.1', port=2)]
    world.publisher.start()
    if running:
        world.last.accepted_by_peer()
        world.last.will_expire()
    world.last.failed_by_peer(code)
    assert world.state == 'given_up' and 3600 <= world.failure()['retry_after'] <= 4200
    world.publisher.publish('', b'later')
    assert b'later' not in world.bodies
    assert world.tried_again_after(3600, 4200) and world.bodies[-1] == b'later'


@pytest.mark.parametrize('code', [0, 404, 408, 480, 500, 503])
def test_other_failures_try_the_next_route(world, code):
    world.routes = [Route('127.0.0.1', port=number) for number in (1, 2, 3)]
    world.account.contact.missing = {2}
    world.publisher.start()
    world.last.failed_by_peer(code, 'Trouble')
    assert [route.uri.port for route in world.last.routes] == [1, 3]
    world.last.failed_by_peer(code, 'Trouble')
    assert world.state == 'waiting' and world.failure()['reason'] == 'Trouble' and world.tried_again_after(1, 2)
    world.last.failed_by_peer(code)
    world.last.failed_by_peer(code)
    assert world.tried_again_after(2, 4)
    world.last.accepted_by_peer()
    assert world.state == 'kept'


def test_server_says_when_to_come_back(world):
    world.publisher.start()
    world.last.failed_by_peer(503, retry_after=90)
    assert world.failure()['retry_after'] == 90 and world.tried_again_after(90, 90)
    world.last.accepted_by_peer()
    world.last.will_expire()
    world.last.failed_by_peer(503, retry_after=99999)
    assert world.failure()['retry_after'] == 3600


def test_failed_refresh_is_made_good_at_once(world):
    world.published()
    world.last.will_expire()
    world.last.failed_by_peer(500)
    world.advance(0)
    assert world.bodies == [b'0', None, b'0'] and len(world.Publication.made) == 1      # the same one: it knows the tag
    world.last.accepted_by_peer()
    world.last.will_expire()
    world.last.failed_by_peer(500)
    assert world.tried_again_after(1, 2)


@pytest.mark.parametrize('running', [False, True])
def test_interval_too_short(world, running):
    world.publisher.start()
    if running:
        world.last.accepted_by_peer()
        world.last.will_expire()
    world.last.failed_by_peer(423, min_expires=3600)
    world.advance(0)
    assert world.last.duration == 3600 and world.bodies[-1] == b'0'
    world.last.failed_by_peer(423, min_expires=3600)
    assert world.state == 'waiting' and 60 <= world.failure()['retry_after'] <= 120


def test_expired(world):
    world.published()
    world.last.ended(expired=True)
    assert world.failure()['reason'] == 'Publication expired' and world.tried_again_after(*RETRY_AFTER['expired'])
    assert world.bodies == [b'0', b'0']


@pytest.mark.parametrize('error', [DNSLookupError('no such name'), ZeroDivisionError('defect')])
def test_no_routes(world, error):
    world.error = error
    world.publisher.start()
    assert world.failure()['reason'] == f'DNS lookup failed: {error}' and world.tried_again_after(1, 2) and world.tried_again_after(2, 4)
    world.error = None
    world.advance(8)
    assert world.state == 'asking'


def test_no_address(world):
    world.account.contact.missing = {1}
    world.publisher.start()
    assert world.failure() == {'code': 0, 'reason': 'No IP address', 'retry_after': 60} and world.tried_again_after(60, 60)


@pytest.mark.parametrize('running', [False, True])
def test_core_that_refuses(world, monkeypatch, running):
    if running:
        world.published()
    with monkeypatch.context() as context:
        context.setattr(world.Publication, 'publish', lambda self, body, route, timeout: (_ for _ in ()).throw(SIPCoreError('no engine')))
        if running:
            world.publisher.publish('', b'1')
        else:
            world.publisher.start()
        assert world.state == 'waiting' and world.failure()['reason'] == 'Internal error: no engine'
    assert world.tried_again_after(5, 5) and world.state == 'asking'


def test_network_changes(world):
    """What the server has is replaced, and not withdrawn before."""
    world.published()
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert world.last.sent == ['publish', 'publish'] and world.bodies == [b'0', b'0'] and len(world.Publication.made) == 1
    world.last.failed_by_peer(408)
    NotificationCenter().post_notification('NetworkConditionsDidChange')
    assert world.state == 'asking' and len(world.bodies) == 3


def test_lost_connection(world):
    world.routes = [Route('127.0.0.1', port=1, transport='tls')]
    world.published()
    NotificationCenter().post_notification('SIPEngineTransportDidDisconnect', data=NotificationData(transport='tls', remote_address='127.0.0.1:1'))
    world.advance(0)
    assert world.state == 'asking' and world.bodies == [b'0', b'0']
    world.last.failed_by_peer(412)
    assert world.bodies == [b'0', b'0', b'0']
    world.last.accepted_by_peer()
    assert world.state == 'kept'


@pytest.mark.parametrize('answer', ['accepted', 'failed', 'none'])
def test_stop_during_a_request(world, answer):
    """What the server stores by it is taken back."""
    world.publisher.start()
    done = []
    world.publisher.stop(lambda: done.append(1))
    assert world.last.sent == ['publish'] and not done
    if answer == 'accepted':
        world.last.accepted_by_peer()
        assert world.last.sent == ['publish', 'end'] and not done
        world.last.not_ended()
        assert world.told[-1][0] == 'not ended'
    elif answer == 'failed':
        world.last.failed_by_peer(500)
    else:
        world.advance(2.9)
        assert not done
        world.advance(0.2)
        assert world.told[-1][0] == 'not ended'
    assert done == [1]


def test_stop_before_the_answer_was_looked_at(world, monkeypatch):
    """It has come, and is not waited for again."""
    world.publisher.start()
    held = []
    monkeypatch.setattr(world.scheduler, 'call_soon', lambda function, *args: held.append((function, args)), raising=False)
    world.last.accepted_by_peer()
    monkeypatch.setattr(world.scheduler, 'call_soon', world.scheduler.call, raising=False)
    done = []
    world.publisher.stop(lambda: done.append(1))
    assert held and world.last.sent[-1] == 'end'
    world.last.ended()
    assert done == [1] and world.told[-1] == ('ended', {})
    for function, args in held:
        function(*args)


def test_stop_without_anything(world):
    done = []
    world.error = DNSLookupError('no such name')
    world.publisher.start()
    world.publisher.stop(lambda: done.append(1))
    assert done == [1] and world.Publication.made == [] and world.told[-1][0] == 'failed'
