"""Registrations, discoveries and neighbours of a BonjourAccount, with a scripted responder and a clock that does not wait."""

from __future__ import annotations

import asyncio

import pytest

from sipsimple.account.bonjour import BonjourPresenceState
from sipsimple.account.bonjour.discovery import (
    CONFIRM_TIME,
    DISCOVERY_RETRY,
    MAX_NEIGHBOURS,
    MAX_UNRESOLVED,
    TRANSITIONS as DISCOVERY_TRANSITIONS,
    Discovery,
    Input as DiscoveryInput,
    State as DiscoveryState,
)
from sipsimple.account.bonjour.dnssd import Resolved, Service
from sipsimple.account.bonjour.neighbour import (
    MIN_TTL,
    NEIGHBOUR_TRANSITIONS,
    QUIET_TIME,
    RESOLVE_RETRY,
    NeighbourInput,
    NeighbourState,
)
from sipsimple.account.bonjour.registration import (
    CONFLICTS,
    REGISTER_RETRY,
    TRANSITIONS as REGISTRATION_TRANSITIONS,
    UPDATE_RETRY,
    Input,
    Offer,
    Registration,
    State,
)
from sipsimple.account.bonjour.txt import build
from tests.support.virtual_loop import run

TYPE = '_sipuri._udp'


class Published:
    def __init__(self, service, conflict):
        self.service = service
        self.conflict = conflict
        self.name = f'{service.instance}.{service.type}.local.'


class Browser:
    cancelled = False

    async def cancel(self):
        self.cancelled = True


class Responder:
    """A scripted one. `errors`: what the next calls raise, None for nothing. What it was asked for is in `calls`."""

    def __init__(self):
        self.errors = []
        self.calls = []
        self.texts = {}             # what instances publish: name -> TXT record
        self.ttl = 120.0
        self.busy = 0.0             # seconds that an answer takes
        self.published = None
        self.browser = None

    async def open(self):
        self.calls.append('open')
        self._raise()
        return self

    def _raise(self):
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error

    async def publish(self, service, conflict):
        self.calls.append(f'publish {service.instance}')
        await asyncio.sleep(1.5)
        self._raise()
        self.published = Published(service, conflict)
        return self.published

    async def update(self, published, service):
        self.calls.append('update')
        await asyncio.sleep(0.5)
        self._raise()
        published.service = service

    async def withdraw(self, published):
        self.calls.append('withdraw')
        self._raise()

    def abandon(self, published):
        self.calls.append('abandon')

    def browse(self, type, listener):
        self._raise()
        assert type == TYPE
        self.browser = Browser()
        return self.browser

    async def resolve(self, type, name):
        self.calls.append(f'resolve {name.partition(".")[0]}')
        await asyncio.sleep(self.busy)
        self._raise()
        text = self.texts.get(name)
        return None if text is None else Resolved(text, 'host.local.', 5060, ('127.0.0.1',), asyncio.get_running_loop().time() + self.ttl, self.ttl)

    def known(self, type, name):
        return None

    def ask(self, name):
        self.calls.append(f'ask {name.partition(".")[0]}')


class World:
    def __init__(self):
        self.responder = Responder()
        self.seen = []
        self.transports = ['udp', 'tcp']
        self.text = 'one'
        self.contact = 'sip:me@10.0.0.1:5060'
        self.registration = Registration('udp', self.responder.open, self.offer, self.post)
        self.discovery = Discovery(TYPE, self.responder.open, lambda: self.transports, lambda found: found.user == 'me', self.post)

    def offer(self):
        if self.contact is None:
            raise OSError('the udp transport is not running')
        return Offer(Service(TYPE, self.contact, 5060, build({'name': self.text}), 'host', ('10.0.0.1',)), self.contact)

    def post(self, name, /, **data):
        self.seen.append((name.removeprefix('BonjourAccount'), data))

    def names(self):
        """What was posted since the last time."""
        names = [name for name, _ in self.seen]
        self.seen.clear()
        return names

    def called(self):
        calls = list(self.responder.calls)
        self.responder.calls.clear()
        return calls

    # neighbours

    def full(self, user):
        return f'sip:{user}@127.0.0.1.{TYPE}.local.'

    def publish(self, user, name=None, **more):
        self.responder.texts[self.full(user)] = build({'name': name or user.capitalize(), 'contact': f'<sip:{user}@127.0.0.1>', **more})

    async def find(self, user, **more):
        self.publish(user, **more)
        self.discovery.seen(self.full(user))
        await asyncio.sleep(0.01)

    def neighbour(self, user):
        return self.discovery.neighbours.get(self.full(user))


def on_loop(function):
    """A test that is a coroutine, on a virtual loop, with a World."""
    def test():
        async def procedure():
            world = World()
            await function(world)
            await world.registration.stop()
            await world.discovery.stop()
            assert world.discovery.neighbours == {}
            loop = asyncio.get_running_loop()
            assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
            assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
        run(procedure())
    test.__name__ = function.__name__
    return test


# ---- registrations -----------------------------------------------------------------------------------------------------

@on_loop
async def test_a_registration(world):
    registration = world.registration
    assert registration.state == State.ENDED and registration.contact is None
    registration.start()
    registration.start()
    assert registration.state == State.REGISTERING
    await asyncio.sleep(2)
    assert registration.state == State.REGISTERED and registration.contact == world.contact
    assert world.seen == [('WillRegister', {'transport': 'udp'}), ('RegistrationDidSucceed', {'name': 'sip:me@10.0.0.1:5060', 'transport': 'udp'})]
    world.names()
    registration.changed()
    assert registration.state == State.REGISTERED and not registration.moved()
    world.text = 'two'
    registration.changed()
    assert registration.state == State.UPDATING and not registration.moved()
    await asyncio.sleep(1)
    assert registration.state == State.REGISTERED and world.responder.published.service.text == build({'name': 'two'})
    world.contact = 'sip:me@10.0.0.2:5060'
    assert registration.moved()
    registration.changed()                          # whoever made it stops it, and starts it again
    assert registration.state == State.REGISTERED
    await registration.stop()
    await registration.stop()
    assert registration.state == State.ENDED and world.names() == ['RegistrationDidEnd']
    assert world.called() == ['open', 'publish sip:me@10.0.0.1:5060', 'update', 'withdraw']
    registration.start()
    await asyncio.sleep(2)
    assert world.responder.published.name == f'sip:me@10.0.0.2:5060.{TYPE}.local.'


@on_loop
async def test_a_registration_is_tried_again(world):
    world.responder.errors = [OSError('no socket'), None, OSError('no name'), None, None]
    world.registration.start()
    await asyncio.sleep(0.01)
    assert world.registration.state == State.WAITING
    assert world.seen[-1] == ('RegistrationDidFail', {'reason': 'no socket', 'transport': 'udp'})
    await asyncio.sleep(REGISTER_RETRY - 0.1)
    assert world.names() == ['WillRegister', 'RegistrationDidFail']
    await asyncio.sleep(2)
    assert world.seen == [('WillRegister', {'transport': 'udp'}), ('RegistrationDidFail', {'reason': 'no name', 'transport': 'udp'})]
    world.contact = None
    await asyncio.sleep(REGISTER_RETRY)
    assert world.seen[-1][1]['reason'] == 'the udp transport is not running' and world.registration.moved()
    world.contact = 'sip:me@10.0.0.1:5060'
    world.names()
    await asyncio.sleep(REGISTER_RETRY + 2)
    assert world.names() == ['WillRegister', 'RegistrationDidSucceed']


@on_loop
async def test_an_update_is_tried_again(world):
    world.registration.start()
    await asyncio.sleep(2)
    world.names()
    world.text = 'two'
    world.responder.errors = [RuntimeError('what nobody thought of'), OSError('once more')]
    world.registration.changed()
    await asyncio.sleep(0.6)
    assert world.registration.state == State.STALE
    assert world.seen == [('RegistrationUpdateDidFail', {'reason': 'what nobody thought of', 'transport': 'udp'})]
    await asyncio.sleep(UPDATE_RETRY + 0.5)
    assert world.names() == ['RegistrationUpdateDidFail'] * 2
    world.text = 'three'
    world.registration.changed()
    await asyncio.sleep(0.6)
    assert world.registration.state == State.REGISTERED and world.responder.published.service.text == build({'name': 'three'})
    assert world.called().count('update') == 3


@on_loop
async def test_changes_during_a_registration(world):
    world.registration.start()
    await asyncio.sleep(1)
    world.text = 'two'
    world.registration.changed()
    assert world.registration.state == State.REGISTERING
    await asyncio.sleep(0.6)
    assert world.registration.state == State.UPDATING
    world.text = 'three'
    world.registration.changed()                    # the one under way is given up
    await asyncio.sleep(0.6)
    assert world.registration.state == State.REGISTERED and world.responder.published.service.text == build({'name': 'three'})


@on_loop
async def test_everything_is_said_once_more(world):
    world.registration.repeat()
    await world.discovery.repeat()
    assert world.called() == [] and world.discovery.state == DiscoveryState.ENDED
    world.registration.start()
    world.discovery.start()
    await asyncio.sleep(2)
    world.called()
    world.names()
    browser = world.responder.browser
    world.registration.repeat()
    await world.discovery.repeat()
    await asyncio.sleep(1)
    assert world.called() == ['update'] and world.names() == [] and world.registration.state == State.REGISTERED
    assert browser.cancelled and world.responder.browser is not browser and not world.responder.browser.cancelled


@on_loop
async def test_a_registration_is_stopped_at_once(world):
    world.registration.start()
    await asyncio.sleep(1)
    await world.registration.stop()
    assert world.names() == ['WillRegister'] and world.called() == ['open', 'publish sip:me@10.0.0.1:5060']


@on_loop
async def test_somebody_takes_the_name(world):
    world.registration.start()
    await asyncio.sleep(2)
    world.called()
    world.names()
    first = world.responder.published
    first.conflict()
    first.conflict()
    assert world.registration.state == State.REGISTERING
    await asyncio.sleep(2)
    calls = world.called()
    assert calls[:2] == ['abandon', 'open'] and calls[2].startswith('publish sip:me@10.0.0.1:5060-') and len(calls) == 3        # no goodbye
    assert world.names() == ['WillRegister', 'RegistrationDidSucceed']
    for _ in range(CONFLICTS - 2):
        await asyncio.sleep(2)
        world.responder.published.conflict()
    await asyncio.sleep(2)
    assert world.registration.state == State.REGISTERED
    world.responder.published.conflict()
    await asyncio.sleep(REGISTER_RETRY - 1)         # that is too often
    assert world.registration.state == State.REGISTERING
    await asyncio.sleep(3)
    assert world.registration.state == State.REGISTERED


def test_no_goodbye_can_be_said():
    @on_loop
    async def test(world):
        world.registration.start()
        await asyncio.sleep(2)
        world.responder.errors = [RuntimeError('no network')]
        await world.registration.stop()
        assert world.names()[-1] == 'RegistrationDidEnd'
    test()


# ---- discoveries -------------------------------------------------------------------------------------------------------

@on_loop
async def test_a_discovery(world):
    discovery = world.discovery
    discovery.start()
    discovery.start()
    await asyncio.sleep(0.01)
    assert discovery.state == DiscoveryState.BROWSING
    assert world.seen == [('WillInitateDiscovery', {'transport': 'udp'}), ('WillInitiateDiscovery', {'transport': 'udp'})]
    world.names()
    await world.find('bob', state='busy')
    name, data = world.seen.pop()
    description = data['service_description']
    assert name == 'DidAddNeighbour' and set(data) == {'service_description', 'neighbour', 'record', 'display_name', 'host', 'uri'}
    assert (description.name, description.type, description.domain) == ('sip:bob@127.0.0.1', TYPE, 'local') and data['neighbour'] is description
    assert (data['display_name'], data['host'], str(data['uri'])) == ('Bob', 'host', 'sip:bob@127.0.0.1') and data['record'].presence == BonjourPresenceState('busy')
    await world.find('bob', state='busy')           # nothing is new
    await asyncio.sleep(QUIET_TIME)
    assert world.names() == []
    await world.find('bob', name='Robert')
    await asyncio.sleep(QUIET_TIME)
    name, data = world.seen.pop()
    assert name == 'DidUpdateNeighbour' and data['display_name'] == 'Robert' and data['service_description'] == description
    discovery.lost(world.full('bob').upper())
    assert world.seen == [('DidRemoveNeighbour', {'service_description': description, 'neighbour': description, 'record': data['record']})]
    discovery.lost(world.full('bob'))
    await world.find('bob')
    await discovery.stop()
    assert world.names() == ['DidRemoveNeighbour', 'DidAddNeighbour', 'DidRemoveNeighbour'] and discovery.state == DiscoveryState.ENDED
    assert world.responder.browser.cancelled


@on_loop
async def test_a_discovery_is_tried_again(world):
    world.transports = ['tcp', 'udp']
    world.responder.errors = [OSError('no socket'), None, RuntimeError('what nobody thought of')]
    world.discovery.start()
    await asyncio.sleep(0.01)
    assert world.discovery.state == DiscoveryState.WAITING
    assert world.seen[-1] == ('DiscoveryDidFail', {'reason': 'no socket', 'transport': 'udp'})
    world.names()
    await asyncio.sleep(DISCOVERY_RETRY)
    assert world.names() == ['WillInitateDiscovery', 'WillInitiateDiscovery', 'DiscoveryDidFail']
    await asyncio.sleep(DISCOVERY_RETRY)
    assert world.names() == ['WillInitateDiscovery', 'WillInitiateDiscovery'] and world.discovery.state == DiscoveryState.BROWSING


@on_loop
async def test_what_is_nothing_for_us(world):
    world.discovery.start()
    await asyncio.sleep(0.01)
    world.names()
    await world.find('me')                                                          # ourselves
    await world.find('tls', contact='<sip:tls@127.0.0.1;transport=tls>')            # of the other type
    await world.find('sctp', contact='<sip:sctp@127.0.0.1;transport=sctp>')
    await world.find('printer', contact='ipp://printer')
    world.discovery.seen('whatever._ipp._tcp.local.')
    world.discovery.seen('')
    assert world.names() == [] and {each.state for each in world.discovery.neighbours.values()} == {NeighbourState.HIDDEN}
    world.transports = ['tcp']
    await world.find('bob')
    assert world.names() == []
    world.transports = ['udp']
    world.discovery.review()
    await asyncio.sleep(1)
    assert world.names() == ['DidAddNeighbour']
    world.transports = ['tcp']
    world.discovery.review()
    await asyncio.sleep(1)
    assert world.names() == ['DidRemoveNeighbour']


@on_loop
async def test_a_neighbour_that_does_not_say(world):
    world.discovery.start()
    await asyncio.sleep(0.01)
    world.names()
    world.discovery.seen(world.full('bob'))
    await asyncio.sleep(0.01)
    assert world.neighbour('bob').state == NeighbourState.WAITING
    assert world.seen == [('DiscoveryFailure', {'error': "'sip:bob@127.0.0.1' does not say where it is", 'transport': 'udp'})]
    await asyncio.sleep(RESOLVE_RETRY)
    assert world.neighbour('bob') is not None
    await asyncio.sleep(RESOLVE_RETRY)
    assert world.neighbour('bob') is None and world.names() == ['DiscoveryFailure'] * 3
    world.responder.errors = [RuntimeError('what nobody thought of')]
    await world.find('bob')
    assert world.names() == ['DiscoveryFailure']
    await asyncio.sleep(RESOLVE_RETRY)
    assert world.names() == ['DidAddNeighbour'] and world.neighbour('bob').state == NeighbourState.SHOWN
    del world.responder.texts[world.full('bob')]
    world.neighbour('bob').changed()                # one that is known is not given up before its time is over
    await asyncio.sleep(3 * RESOLVE_RETRY + 3)
    assert set(world.names()) == {'DiscoveryFailure'} and world.neighbour('bob').record is not None
    await asyncio.sleep(120)
    assert world.neighbour('bob') is None and world.names()[-1] == 'DidRemoveNeighbour'


@on_loop
async def test_a_neighbour_that_vanishes(world):
    """It is asked whether it is there at 80, 85, 90 and 95 % of the time it has given; who answers has that time again."""
    world.discovery.start()
    await asyncio.sleep(0.01)
    await world.find('bob')
    world.names()
    world.called()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.sleep(95)
    assert world.called() == []
    await asyncio.sleep(2)
    assert world.called() == ['ask sip:bob@127']
    world.discovery.alive(world.full('bob'), loop.time() + 120, 120)
    await asyncio.sleep(95)
    assert world.called() == []
    await asyncio.sleep(24)
    assert world.called() == ['ask sip:bob@127'] * 4 and world.names() == []
    await asyncio.sleep(3)
    assert world.names() == ['DidRemoveNeighbour'] and 217 < loop.time() - begin < 222
    world.discovery.alive(world.full('bob'), loop.time() + 120, 120)            # it was away, and says something
    await asyncio.sleep(0.01)
    assert world.names() == ['DidAddNeighbour']


@on_loop
async def test_short_lives(world):
    """Who gives itself a second is not asked every second."""
    world.responder.ttl = 1
    world.discovery.start()
    await asyncio.sleep(0.01)
    await world.find('bob')
    world.called()
    await asyncio.sleep(MIN_TTL - 1)
    assert world.neighbour('bob') is not None and len(world.called()) <= 4
    await asyncio.sleep(2)
    assert world.neighbour('bob') is None


@on_loop
async def test_another_network(world):
    """Neighbours that are found again are the same ones, the others are gone after a while."""
    world.discovery.start()
    await asyncio.sleep(0.01)
    await world.find('bob')
    await world.find('carol')
    world.names()
    await world.discovery.pause()
    assert world.names() == []
    world.discovery.start()
    await asyncio.sleep(1)
    world.discovery.seen(world.full('bob'))
    await asyncio.sleep(CONFIRM_TIME)
    assert world.names() == ['WillInitateDiscovery', 'WillInitiateDiscovery', 'DidRemoveNeighbour']
    assert world.neighbour('bob').state == NeighbourState.SHOWN and world.neighbour('carol') is None


@on_loop
async def test_a_flood_of_instances(world):
    """Neither those that say nothing nor those that say something are more than so many; none of it raises, and most of it is not even looked at."""
    world.discovery.start()
    await asyncio.sleep(0.01)
    world.responder.busy = 3
    for number in range(5000):
        world.discovery.seen(world.full(f'nobody{number}'))
    assert len(world.discovery.neighbours) == MAX_UNRESOLVED
    await asyncio.sleep(200)
    assert world.discovery.neighbours == {} and len(world.called()) < 4 * MAX_UNRESOLVED
    world.responder.busy = 0
    for number in range(MAX_NEIGHBOURS + 10):
        await world.find(f'user{number}')
    assert len(world.discovery.neighbours) == MAX_NEIGHBOURS
    await asyncio.sleep(1)
    world.called()
    for number in range(1000):
        world.publish('user1', name=str(number))
        world.discovery.seen(world.full('user1'))
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    assert len(world.called()) <= 4 and world.neighbour('user1').record.name == '999'


@on_loop
async def test_changes_while_it_is_looked_at(world):
    world.discovery.start()
    await asyncio.sleep(0.01)
    world.responder.busy = 1
    world.publish('bob', name='One')
    world.discovery.seen(world.full('bob'))
    await asyncio.sleep(0.5)
    world.discovery.seen(world.full('bob'))
    await asyncio.sleep(0.6)
    world.publish('bob', name='Two')
    await asyncio.sleep(3)
    assert world.neighbour('bob').record.name == 'Two' and world.names()[-2:] == ['DidAddNeighbour', 'DidUpdateNeighbour']
    world.discovery.seen(world.full('bob'))
    await asyncio.sleep(0.1)
    world.discovery.lost(world.full('bob'))         # while it is looked at
    await asyncio.sleep(5)
    assert world.neighbour('bob') is None and world.names() == ['DidRemoveNeighbour']


# ---- tables ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(('states', 'inputs', 'transitions', 'final'), [
    (State, Input, REGISTRATION_TRANSITIONS, None), (DiscoveryState, DiscoveryInput, DISCOVERY_TRANSITIONS, None),
    (NeighbourState, NeighbourInput, NEIGHBOUR_TRANSITIONS, NeighbourState.GONE)])
def test_tables(states, inputs, transitions, final):
    """Each state is reached and left, each input is used, and from each state there is a way to the end."""
    assert {state for state, _ in transitions} == set(states) - {final} and {what for _, what in transitions} == set(inputs)
    assert set(transitions.values()) == set(states)
    end = final or states('ended')
    stop = next(what for what in inputs if what.name in ('STOP', 'LOST'))
    assert all(transitions[state, stop] == end for state in set(states) - {end})


@pytest.mark.parametrize('what', list(Input))
@pytest.mark.parametrize('state', list(State))
def test_every_pair_of_a_registration(state, what):
    """An input that is not in the table changes nothing; one that is leads where the table says."""
    async def procedure():
        world = World()
        registration = world.registration
        registration.start()
        if state in (State.REGISTERED, State.UPDATING, State.STALE, State.ENDED):
            await asyncio.sleep(2)
        if state in (State.UPDATING, State.STALE):
            world.text = 'two'
            world.responder.errors = [OSError('no')]
            registration.changed()
            await asyncio.sleep(0.6 if state is State.STALE else 0)
        elif state is State.WAITING:
            world.responder.errors = [OSError('no')]
            await asyncio.sleep(0.01)
        elif state is State.ENDED:
            await registration.stop()
        assert registration.state == state
        world.text = 'one'
        registration._fire(what)
        assert registration.state == REGISTRATION_TRANSITIONS.get((state, what), state)
        await registration.stop()
        assert registration.state == State.ENDED
        await asyncio.sleep(0)
    run(procedure())
