"""DNSManager: lists of servers, notifications, probes; the network is a table of which server answers what."""

from __future__ import annotations

import asyncio

import dns.resolver
import pytest
from zope.interface.verify import verifyObject

from sipsimple.lookup import manager as module
from sipsimple.lookup.manager import DNSManager
from sipsimple.notification import IObserver, NotificationCenter

SYSTEM = '192.0.2.1'
PUBLIC = ('127.0.0.9', 5353)
LATER = '192.0.2.2'


class Recorder:
    def __init__(self):
        self.events = []

    def handle_notification(self, notification):
        self.events.append((notification.name, notification.data.nameservers))
        assert notification.data.timestamp.tzinfo is not None


class Network:
    """Stands for Resolver; `working` maps a server to the record types it answers."""

    def __init__(self):
        self.working = {}
        self.asked = []

    def __call__(self, nameservers, timeout):
        network = self

        class FakeResolver:
            async def query(self, name, kind, lifetime):
                network.asked.append((list(nameservers), name, kind, timeout, lifetime))
                if not any(kind in network.working.get(server, ()) for server in nameservers):
                    raise dns.resolver.NoAnswer
                return object()
        return FakeResolver()


@pytest.fixture
def network(monkeypatch):
    network = Network()
    monkeypatch.setattr(module, 'Resolver', network)
    return network


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(DNSManager, '_instance', None)
    manager = DNSManager()
    manager.probe_domain = 'probe.test'
    manager.public_nameservers = [PUBLIC]
    manager.reprobe_interval = 0.01
    manager.wakeup_delay = 0.01
    manager.read_configuration = lambda: ([SYSTEM], ['example.com'], 'example.org')
    return manager


@pytest.fixture
def events(manager):
    recorder = Recorder()
    names = ('DNSResolverDidInitialize', 'DNSNameserversDidChange')
    for name in names:
        NotificationCenter().add_observer(recorder, name=name, sender=manager)
    yield recorder.events
    for name in names:
        NotificationCenter().remove_observer(recorder, name=name, sender=manager)


def test_it_is_a_singleton_and_an_observer(manager):
    assert DNSManager() is manager
    assert verifyObject(IObserver, manager)


def test_the_documented_defaults(monkeypatch):
    monkeypatch.setattr(DNSManager, '_instance', None)
    manager = DNSManager()
    assert (manager.probe_domain, manager.public_nameservers) == ('sip2sip.info', ['8.8.8.8', '8.8.4.4'])
    assert (manager.reprobe_interval, manager.wakeup_delay) == (15.0, 5.0)


def test_the_system_configuration_is_the_first_list(manager, events):
    assert events == []
    assert manager.nameservers == [SYSTEM]
    assert (manager.search, manager.domain) == (['example.com'], 'example.org')
    assert events == [('DNSResolverDidInitialize', [SYSTEM])]


def test_servers_can_be_set_and_given_back(manager, events):
    manager.nameservers = ['127.0.0.1', ('127.0.0.1', 53), ('127.0.0.1', 15353)]
    assert manager.nameservers == ['127.0.0.1', '127.0.0.1', ('127.0.0.1', 15353)]
    manager.nameservers = [('127.0.0.1', 15353)]
    manager.nameservers = [('127.0.0.1', 15353)]
    manager.nameservers = None
    assert events == [('DNSResolverDidInitialize', ['127.0.0.1', '127.0.0.1', ('127.0.0.1', 15353)]),
                      ('DNSNameserversDidChange', [('127.0.0.1', 15353)]), ('DNSNameserversDidChange', [SYSTEM])]


@pytest.mark.parametrize('value', ['127.0.0.1', ['localhost'], [('127.0.0.1', 0)], [None]])
def test_bad_servers_change_nothing(manager, events, value):
    with pytest.raises(ValueError):
        manager.nameservers = value
    assert events == []


def test_the_list_cannot_be_changed_from_outside(manager):
    manager.nameservers.append('203.0.113.1')
    assert manager.nameservers == [SYSTEM]


def test_another_list_empties_the_cache(manager):
    manager.nameservers = [SYSTEM]
    manager.cache.put('key', 'value', 60)
    manager.nameservers = [SYSTEM]
    assert manager.cache.get('key') == 'value'
    manager.nameservers = [LATER]
    assert manager.cache.get('key') is None


def probe(manager):
    return asyncio.run(manager._probe())


def test_working_system_servers_are_kept(manager, network, events):
    network.working = {SYSTEM: ['NAPTR', 'SRV'], PUBLIC: ['NAPTR', 'SRV']}
    assert probe(manager)
    assert events == [('DNSResolverDidInitialize', [SYSTEM])]
    assert network.asked == [([SYSTEM], 'probe.test', 'NAPTR', 1, 3), ([SYSTEM], '_sip._udp.probe.test', 'SRV', 1, 3)]


@pytest.mark.parametrize('works', [[], ['NAPTR'], ['SRV']])
def test_public_servers_stand_in_for_broken_ones(manager, network, events, works):
    network.working = {SYSTEM: works, PUBLIC: ['NAPTR']}
    assert not probe(manager)
    assert events == [('DNSResolverDidInitialize', [SYSTEM]), ('DNSNameserversDidChange', [PUBLIC])]
    assert network.asked[2:] == [([PUBLIC], 'probe.test', 'NAPTR', 2, 4)]
    network.working = {SYSTEM: ['NAPTR', 'SRV']}
    assert probe(manager)
    assert events[2:] == [('DNSNameserversDidChange', [SYSTEM])]


def test_system_servers_are_kept_when_nothing_works(manager, network, events):
    assert not probe(manager)
    assert events == [('DNSResolverDidInitialize', [SYSTEM])]


def test_no_stand_in_without_public_servers(manager, network):
    manager.public_nameservers = []
    assert not probe(manager)
    assert manager.nameservers == [SYSTEM] and len(network.asked) == 2


def test_no_packets_without_a_probe_domain(manager, network):
    manager.probe_domain = None
    assert probe(manager)
    assert manager.nameservers == [SYSTEM] and network.asked == []


def test_no_packets_when_the_application_chose_the_servers(manager, network):
    manager.nameservers = [LATER]
    assert probe(manager)
    assert manager.nameservers == [LATER] and network.asked == []
    assert manager.domain == 'example.org'


def test_a_change_of_the_system_configuration_is_seen(manager, network, events):
    network.working = {SYSTEM: ['NAPTR', 'SRV'], LATER: ['NAPTR', 'SRV']}
    probe(manager)
    manager.read_configuration = lambda: ([LATER], [], '')
    assert probe(manager)
    assert events[1:] == [('DNSNameserversDidChange', [LATER])]
    assert (manager.search, manager.domain) == ([], '')


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_probing_goes_on_until_the_system_servers_work(manager, network):
    network.working = {PUBLIC: ['NAPTR']}

    async def run():
        manager._start()
        manager._start()
        await until(lambda: manager.nameservers == [PUBLIC])
        await until(lambda: len(network.asked) >= 9)
        network.working[SYSTEM] = ['NAPTR', 'SRV']
        await until(lambda: manager.nameservers == [SYSTEM])
        asked = len(network.asked)
        await asyncio.sleep(0.05)       # five intervals without another probe
        assert len(network.asked) == asked
        manager._stop()
        manager._stop()
        manager._start()
        await until(lambda: len(network.asked) == asked + 2)
        manager._stop()
    asyncio.run(run())


def test_a_fault_in_a_probe_does_not_end_probing(manager, network, caplog):
    network.working = {SYSTEM: ['NAPTR', 'SRV']}
    calls = []

    def read_configuration():
        calls.append(1)
        if len(calls) == 1:
            raise OSError('no luck')
        return [SYSTEM], [], ''
    manager.read_configuration = read_configuration

    async def run():
        manager._start()
        await until(lambda: network.asked)
        manager._stop()
    asyncio.run(run())
    assert 'no luck' in caplog.text


@pytest.mark.parametrize('name', ['SystemIPAddressDidChange', 'SystemDidWakeUpFromSleep'])
def test_the_system_notifications_lead_to_a_probe_while_started(manager, network, monkeypatch, name):
    monkeypatch.setattr('sipsimple.threading.call_in_twisted_thread', lambda function: function())
    network.working = {SYSTEM: ['NAPTR', 'SRV']}

    async def run():
        NotificationCenter().post_notification(name)
        manager._start()
        await until(lambda: len(network.asked) == 2)
        manager.cache.put('key', 'value', 60)
        NotificationCenter().post_notification(name)
        NotificationCenter().post_notification(name)
        assert manager.cache.get('key') is None
        await until(lambda: len(network.asked) == 4)
        manager._stop()
        NotificationCenter().post_notification(name)
        await asyncio.sleep(0.05)
        assert len(network.asked) == 4
    asyncio.run(run())


def test_the_systems_file_is_read_again_when_it_has_changed(manager, network, events, monkeypatch):
    monkeypatch.setattr('sipsimple.threading.call_in_twisted_thread', lambda function: function())
    manager.probe_domain = None
    servers = [SYSTEM]
    manager.read_configuration = lambda: (servers, [], '')

    async def run():
        manager._start()
        await until(lambda: len(events) == 1)
        manager.cache.put('key', 'value', 60)
        servers[:] = [LATER]
        manager.refresh()
        await until(lambda: len(events) == 2)
        manager._stop()
    asyncio.run(run())
    assert events[1] == ('DNSNameserversDidChange', [LATER]) and manager.cache.get('key') is None
