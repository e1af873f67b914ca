"""BonjourAccount on networks of its own: neighbours find and call each other, vanish, move, and meet what else there is on a network."""

from __future__ import annotations

import contextlib
import copy
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import until
from tests.support.certificates import Authority
from tests.support.namespaces import Host, Network, require_namespaces
from tests.support.sdk import SDK, Event

NAMES = ('alice', 'bob')
ADDRESSES = {4: ('10.30.0.1/24', '10.30.0.2/24'), 6: ('fd00:30::1/64', 'fd00:30::2/64')}
GROUP = '224.0.0.251'
NEIGHBOUR = ('service_description', 'display_name', 'host', 'uri', 'timestamp', 'neighbour', 'record')


class Street:
    """The hosts `alice` and `bob`, and who lives there."""

    def __init__(self, network: Network, version: int | None = 4) -> None:
        self.network = network
        self.hosts = {name: network.host(name) for name in NAMES}
        self.stack = contextlib.ExitStack()
        network.link(*NAMES)
        for name, address in zip(NAMES, ADDRESSES.get(version or 0, ()), strict=False):
            self.hosts[name].add_address(address)

    def sdk(self, name: str, host: Host | None = None, patches: dict[str, dict[str, Any]] | None = None, **values: Any) -> SDK:
        """A process with the SDK, whose Bonjour account is active."""
        sdk = self.stack.enter_context(SDK(name, prefix=(host or self.hosts[name]).prefix))
        sdk.do('evaluate', expression="importlib.import_module('sipsimple.application.network').__dict__.update(SETTLING_TIME=0.5, SETTLED_TIME=0.2)")
        for module, names in (patches or {}).items():
            sdk.do('patch', module=f'sipsimple.account.bonjour.{module}', values=names)
        settings = {'sip.transport_list': ['udp', 'tcp'], 'rtp.audio_codec_list': ['PCMU'], **values.pop('settings', {})}
        account = {'discovery.enabled': True, 'display_name': name.capitalize(), **values.pop('account', {})}
        return sdk.start(ip_address=None, settings=settings, accounts={'bonjour': account}, **values)


    def both(self, **values: Any) -> list[SDK]:
        """Both of them, started at the same time."""
        with ThreadPoolExecutor(len(NAMES)) as starters:
            return list(starters.map(lambda name: self.sdk(name, **copy.deepcopy(values)), NAMES))


@pytest.fixture
def street() -> Iterator[Street]:
    require_namespaces()
    with Network(*NAMES) as network:
        street = Street(network)
        with street.stack:
            yield street


def named(name: str, transport: str | None = None) -> Any:
    """Whether a notification is of a neighbour with that name and transport."""
    def matches(event: Event) -> bool:
        return (not event.taken and event.name == 'BonjourAccountDidAddNeighbour' and event.display_name == name
                and transport in (None, 'tcp' if 'transport=tcp' in event.uri else 'tls' if 'transport=tls' in event.uri else 'udp'))
    return matches


def finds(sdk: SDK, name: str, transport: str | None = None) -> Event:
    """Wait for a neighbour."""
    return sdk.wait_until(named(name, transport), f'no neighbour {name} with {transport}')


def call(caller: SDK, callee: SDK, uri: str, number: int) -> None:
    """Call a neighbour at the URI it publishes; audio goes both ways."""
    host, port = uri.partition('@')[2].partition(';')[0].rsplit(':', 1)
    transport = 'tcp' if 'transport=tcp' in uri else 'udp'
    callee.do('answer', steps=['accept'])
    caller.do('connect', session=f'call{number}', account='bonjour', uri=uri, route=[host.strip('[]'), int(port), transport])
    caller.wait('SIPSessionDidStart', f'call{number}', unless='SIPSessionDidFail')
    callee.wait('SIPSessionDidStart', 'in1', unless='SIPSessionDidFail')
    for sdk, session in ((caller, f'call{number}'), (callee, 'in1')):
        def received(sdk: SDK = sdk, session: str = session) -> int:
            count: int = sdk.do('evaluate', expression=f'agent.find("{session}").streams[0].statistics["rx"]["packets"]')
            return count
        until(lambda received=received: received() > 10, f'{sdk.name} hears nothing')
    caller.call(f'call{number}/streams.0', 'send_dtmf', '5')
    assert callee.wait('AudioStreamGotDTMF').digit == '5'
    caller.call(f'call{number}', 'end')
    callee.wait('SIPSessionDidEnd', 'in1')
    caller.wait('SIPSessionDidEnd', f'call{number}')
    callee.do('answer', steps=[])


@pytest.mark.parametrize('version', [4, 6])
def test_neighbours_call_each_other(version: int) -> None:
    """Two that know nothing of each other find each other and talk; what changes is told, and who leaves says goodbye."""
    require_namespaces()
    with Network(*NAMES) as network:
        street = Street(network, version)
        with street.stack:
            alice, bob = street.both()
            for sdk in (alice, bob):
                for transport in ('udp', 'tcp'):
                    sdk.wait('BonjourAccountWillRegister', transport=transport)
                    sdk.wait('BonjourAccountWillInitateDiscovery', transport=transport)
                    sdk.wait('BonjourAccountWillInitiateDiscovery', transport=transport)
                    published = sdk.wait('BonjourAccountRegistrationDidSucceed', transport=transport)
                    assert published.fields['name'].startswith(f'sip:{sdk.get("bonjour", "contact.username")}@')
            host = ADDRESSES[version][1].partition('/')[0]
            host = f'[{host}]' if version == 6 else host
            user = bob.get('bonjour', 'contact.username')
            found = {transport: finds(alice, 'Bob', transport) for transport in ('udp', 'tcp')}
            assert found['udp'].uri == f'sip:{user}@{host}:{bob.ports["udp"]}'
            assert found['tcp'].uri == f'sip:{user}@{host}:{bob.ports["tcp"]};transport=tcp'
            for transport, event in found.items():
                assert set(event.types) == set(NEIGHBOUR)
                assert event.types['service_description'] == 'BonjourServiceDescription' and event.types['uri'] == 'FrozenSIPURI'
                assert event.service_description == event.neighbour and f"type='_sipuri._{transport}'" in event.neighbour
                assert event.host == socket.gethostname().partition('.')[0]
                assert bob.get('settings', 'instance_id').removeprefix('urn:uuid:') in event.record
            call(alice, bob, found['tcp'].uri, 1)
            bob.do('evaluate', expression='setattr(agent, "incoming", 0)')
            call(bob, alice, finds(bob, 'Alice', 'udp').uri, 2)

            bob.account('bonjour', {'display_name': 'Böb ☎'})
            for _ in range(2):
                assert alice.wait('BonjourAccountDidUpdateNeighbour', display_name='Böb ☎').host == found['udp'].host
            bob.account('bonjour', {'presence.enabled': True})
            bob.do('evaluate', expression='setattr(BonjourAccount(), "presence_state", importlib.import_module("sipsimple.account.bonjour").BonjourPresenceState("busy", "à table"))')
            for _ in range(2):
                alice.wait_until(lambda event: not event.taken and event.name == 'BonjourAccountDidUpdateNeighbour' and "state='busy', note='à table'" in event.record, 'no presence')

            bob.mark()
            bob.account('bonjour', {'enabled': False})
            for transport in ('udp', 'tcp'):
                bob.wait('BonjourAccountRegistrationDidEnd', transport=transport)
                gone = alice.wait('BonjourAccountDidRemoveNeighbour', service_description=found[transport].service_description)
                assert set(gone.types) == {'service_description', 'neighbour', 'record', 'timestamp'}
            bob.wait('SIPAccountDidDeactivate', 'bonjour')
            assert len(bob.events('BonjourAccountDidRemoveNeighbour')) == 2
            names = bob.names('bonjour', 'BonjourAccount')
            assert names[0] == 'BonjourAccountWillStop'


def test_a_killed_neighbour_expires(street: Street) -> None:
    """One that is killed says no goodbye: it is asked for, and taken for gone when its record expires; one that lives answers, and stays."""
    ttl = 3         # seconds
    alice, bob = street.both(patches={'neighbour': {'MIN_TTL': 1.0}, 'dnssd': {'HOST_TTL': ttl}}, settings={'sip.transport_list': ['udp']})
    found = finds(bob, 'Alice')
    expires = "[each._next.when() for each in BonjourAccount()._services._discoveries['_sipuri._udp'].neighbours.values() if each.record is not None]"
    first = until(lambda: bob.do('evaluate', expression=expires), 'no time')[0]
    until(lambda: (bob.do('evaluate', expression=expires) or [0])[0] > first + ttl / 2, 'the neighbour is not asked for')
    alice.kill()
    gone = bob.wait('BonjourAccountDidRemoveNeighbour', service_description=found.service_description)
    assert gone.time - alice.killed_at < ttl + 20


def test_other_transports(street: Street, tmp_path: Path) -> None:
    """A transport that is switched off says goodbye, and its neighbours are gone; one that is switched on is published, TLS with a certificate only.
    An update that fails is tried again."""
    alice, bob = street.both()
    for transport in ('udp', 'tcp'):
        alice.wait('BonjourAccountRegistrationDidSucceed', transport=transport)
    for sdk, name in ((alice, 'Bob'), (bob, 'Alice')):
        for transport in ('udp', 'tcp'):
            finds(sdk, name, transport)
    update = "importlib.import_module('sipsimple.account.bonjour.dnssd').Responder"
    alice.do('evaluate', expression=f"[agent.objects.update(update={update}.update), setattr({update}, 'update', None)]")
    alice.account('bonjour', {'display_name': 'Alicia'})
    for transport in ('udp', 'tcp'):
        assert 'callable' in alice.wait('BonjourAccountRegistrationUpdateDidFail', transport=transport).reason
    alice.do('evaluate', expression=f"setattr({update}, 'update', agent.objects['update'])")
    for _ in range(2):
        bob.wait('BonjourAccountDidUpdateNeighbour', display_name='Alicia')
    alice.set('settings', sip__transport_list=['udp'])
    alice.wait('BonjourAccountRegistrationDidEnd', transport='tcp')
    assert '_tcp' in alice.wait('BonjourAccountDidRemoveNeighbour').service_description
    assert '_tcp' in bob.wait('BonjourAccountDidRemoveNeighbour').service_description
    alice.mark()
    certificate = tmp_path / 'alice.pem'
    signed = Authority(tmp_path).issue('signed', '10.30.0.1')
    certificate.write_bytes(signed.with_suffix('.pem').read_bytes() + signed.with_suffix('.key').read_bytes())
    alice.set('settings', tls__certificate=str(certificate), sip__transport_list=['tls', 'tcp', 'udp'])
    for transport in ('tcp', 'tls'):
        alice.wait('BonjourAccountRegistrationDidSucceed', transport=transport)
    finds(alice, 'Bob', 'tcp')
    finds(bob, 'Alicia', 'tcp')
    bob.set('settings', sip__transport_list=['tls', 'tcp', 'udp'])      # without a certificate: for calls to others only
    finds(bob, 'Alicia', 'tls')
    assert 'tls' not in {event.transport for event in bob.events('BonjourAccountWillRegister')}
    assert not alice.events('BonjourAccountRegistrationDidEnd')


def test_another_address(street: Street) -> None:
    """The network is another one: what is published is as well, and neighbours are found there."""
    alice, bob = street.both(settings={'sip.transport_list': ['udp']})
    old, theirs = finds(bob, 'Alice'), finds(alice, 'Bob')
    street.hosts['alice'].delete_address('10.30.0.1/24')
    street.hosts['alice'].add_address('10.30.0.3/24')
    new = finds(bob, 'Alice')
    assert '@10.30.0.3:' in new.uri
    bob.wait('BonjourAccountDidRemoveNeighbour', service_description=old.service_description)
    alice.wait('BonjourAccountRegistrationDidEnd')
    # Bob was there all the time; Alice may have lost sight of him for a moment.
    known = "[str(each.record.uri) for each in BonjourAccount()._services._discoveries['_sipuri._udp'].neighbours.values() if each.record is not None]"
    until(lambda: alice.do('evaluate', expression=known) == [theirs.uri], 'Alice has lost Bob')
    call(alice, bob, theirs.uri, 1)


def test_a_link_that_was_down(street: Street) -> None:
    """The addresses stay what they were; neighbours that were lost meanwhile are found again when the link is back."""
    alice, bob = street.both(patches={'neighbour': {'MIN_TTL': 1.0}, 'dnssd': {'HOST_TTL': 3}}, settings={'sip.transport_list': ['udp']})
    for sdk, name in ((alice, 'Bob'), (bob, 'Alice')):
        finds(sdk, name)
        sdk.wait('BonjourAccountRegistrationDidSucceed')
    street.hosts['alice'].set_link(False)
    for sdk in (alice, bob):
        sdk.wait('BonjourAccountDidRemoveNeighbour')
        sdk.mark()
    street.hosts['alice'].set_link(True)
    for sdk, name in ((alice, 'Bob'), (bob, 'Alice')):
        sdk.wait('SystemNetworkLinkDidComeUp')
        finds(sdk, name)
    assert not alice.events('SystemIPAddressDidChange') and 'Traceback' not in alice.errors()


def test_the_port_is_taken(street: Street) -> None:
    """Nothing can be published while somebody has the port of mDNS for itself; that is told, and tried again."""
    def take() -> socket.socket:
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        holder.bind(('', 5353))
        return holder
    with street.hosts['alice'].call(take):
        alice = street.sdk('alice', patches={'registration': {'REGISTER_RETRY': 0.3}, 'discovery': {'DISCOVERY_RETRY': 0.2}})
        for _ in range(2):
            for transport in ('udp', 'tcp'):
                alice.wait('BonjourAccountWillRegister', transport=transport)
                assert 'in use' in alice.wait('BonjourAccountRegistrationDidFail', transport=transport).reason
                assert 'in use' in alice.wait('BonjourAccountDiscoveryDidFail', transport=transport).reason
        assert not alice.events('BonjourAccountRegistrationDidSucceed')
    for transport in ('udp', 'tcp'):
        alice.wait('BonjourAccountRegistrationDidSucceed', transport=transport)
    finds(street.sdk('bob'), 'Alice', 'tcp')


def test_links_without_addresses() -> None:
    """With nothing but the IPv6 addresses of the link, which every interface gives itself, neighbours find each other."""
    require_namespaces()
    with Network(*NAMES) as network:
        street = Street(network, None)
        with street.stack:
            alice, bob = street.both(settings={'sip.transport_list': ['udp']})
            assert re.match(r'sip:[a-z]{8}@\[fe80::', finds(alice, 'Bob').uri)
            assert re.match(r'sip:[a-z]{8}@\[fe80::', finds(bob, 'Alice').uri)
