"""BonjourAccount among others: Avahi, somebody who takes its name, somebody who says anything."""

from __future__ import annotations

import random
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.network.conftest import until
from tests.network.test_bonjour import Street, finds
from tests.support.avahi import Avahi
from tests.support.namespaces import Host, Network, require_namespaces
from tests.support.require import require

NAMES = ('alice', 'bob')
A, PTR, TXT, SRV = 1, 12, 16, 33
MEMORY = "int(open('/proc/self/statm').read().split()[1]) * 4"           # KB


@pytest.fixture
def street() -> Iterator[Street]:
    require_namespaces()
    with Network(*NAMES) as network:
        street = Street(network)
        with street.stack:
            yield street


def unescaped(name: str) -> str:
    """A name as avahi-browse prints it."""
    return re.sub(rb'\\(\d{3})|\\(.)', lambda match: bytes([int(match[1])]) if match[1] else match[2], name.encode()).decode()


def test_avahi(street: Street, tmp_path: Path) -> None:
    """Avahi finds what we publish, under its name with dots, and we find what it publishes, and hear when that is gone."""
    require('avahi-daemon', 'avahi-browse', 'dbus-daemon')
    alice = street.sdk('alice', account={'display_name': 'Alice Ünder'})
    with Avahi(street.hosts['bob'], tmp_path) as avahi:
        contacts = {transport: alice.wait('BonjourAccountRegistrationDidSucceed', transport=transport).fields['name'] for transport in ('udp', 'tcp')}
        for transport, contact in contacts.items():
            found = [line for line in avahi.browse(f'_sipuri._{transport}') if line[1] == 'IPv4']
            assert [unescaped(line[2]) for line in found] == [contact], avahi.log()
            line = found[0]
            assert (line[3], line[4], line[6], int(line[7])) == (f'_sipuri._{transport}', 'local', '10.30.0.1', alice.ports[transport])
            assert {'"txtvers=1"', f'"contact=<{contact}>"'} <= set(line[8].split()) and '"name=Alice Ünder"' in unescaped(line[8])
        published = avahi.publish('sip:bob@10.30.0.2:5070', '_sipuri._udp', 5070, 'txtvers=1', 'name=Bob the Bear', 'contact=<sip:bob@10.30.0.2:5070>')
        bob = finds(alice, 'Bob the Bear', 'udp')
        assert (bob.uri, bob.host) == ('sip:bob@10.30.0.2:5070', 'avahi')
        assert "name='sip:bob@10.30.0.2:5070'" in bob.service_description
        # There is no timer while an answer is looked at.
        expires = ("(lambda timer: timer and timer.when())(BonjourAccount()._services._discoveries['_sipuri._udp']"
                   ".neighbours['sip:bob@10.30.0.2:5070._sipuri._udp.local.']._next)")
        before = until(lambda: alice.do('evaluate', expression=expires), 'there is no timer')
        alice.do('evaluate', expression="importlib.import_module('sipsimple.threading').call_in_twisted_thread("
                                        "BonjourAccount()._services._discoveries['_sipuri._udp'].ask, 'sip:bob@10.30.0.2:5070._sipuri._udp.local.')")
        until(lambda: (alice.do('evaluate', expression=expires) or 0) > before, 'Avahi does not answer for a name with dots')
        published.terminate()
        published.wait()
        alice.wait('BonjourAccountDidRemoveNeighbour', service_description=bob.service_description)


class Mallory:
    """Somebody on the network who says anything. Messages go to everybody from `host`."""

    def __init__(self, host: Host, address: str = '10.30.0.2') -> None:
        def connect() -> socket.socket:
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sender.bind((address, 5353))
            return sender
        self._socket = host.call(connect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()

    def say(self, data: bytes) -> None:
        self._socket.sendto(data, ('224.0.0.251', 5353))

    def answer(self, *records: bytes) -> None:
        self.say(struct.pack('!6H', 0, 0x8400, 0, len(records), 0, 0) + b''.join(records))


def name(*labels: bytes) -> bytes:
    return b''.join(bytes([len(label)]) + label for label in labels) + b'\0'


def record(owner: bytes, kind: int, data: bytes, ttl: int = 120, class_: int = 0x8001) -> bytes:
    return owner + struct.pack('!HHIH', kind, class_, ttl, len(data)) + data


def instance(label: bytes, text: bytes | None, port: int = 5060, host: bytes = b'mallory', ttl: int = 120) -> list[bytes]:
    """The records of an instance of `_sipuri._udp`; without a text only the pointer to it."""
    type = (b'_sipuri', b'_udp', b'local')
    full = name(label, *type)
    found = [record(name(*type), PTR, full, ttl, 1)]
    if text is not None:
        found += [record(full, SRV, struct.pack('!3H', 0, 0, port) + name(host, b'local'), ttl), record(full, TXT, text, ttl),
                  record(name(host, b'local'), A, socket.inet_aton('10.30.0.2'), ttl)]
    return found


def string(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def test_somebody_takes_our_name(street: Street) -> None:
    """Whoever publishes our name leaves us another one, by which we are found; the name stays with it."""
    alice = street.sdk('alice', settings={'sip.transport_list': ['udp']})
    contact = alice.wait('BonjourAccountRegistrationDidSucceed').fields['name']
    with Mallory(street.hosts['bob']) as mallory:
        mallory.answer(*instance(contact.encode(), string(b'contact=<sip:mallory@10.30.0.2>'), port=6666))
        for _ in range(2):
            alice.wait('BonjourAccountWillRegister')
        assert alice.wait('BonjourAccountRegistrationDidSucceed').fields['name'] == contact
        bob = street.sdk('bob', settings={'sip.transport_list': ['udp']})
        found = finds(bob, 'Alice')
        assert found.uri == contact and re.search(rf"name='{re.escape(contact)}-[0-9a-f]{{4}}'", found.service_description)


def test_hostile_neighbours(street: Street) -> None:
    """Whatever somebody says, Alice lives, says nothing of it in her log but what is meant to be said, and finds Bob."""
    alice = street.sdk('alice', settings={'sip.transport_list': ['udp']})
    alice.wait('BonjourAccountRegistrationDidSucceed')
    before = alice.do('evaluate', expression=MEMORY)
    generator = random.Random(7)
    with Mallory(street.hosts['bob']) as mallory:
        good = string(b'contact=<sip:eve@10.30.0.2>')
        texts = [b'', b'\0', b'\xff', string(b'contact=') + string(b'name=\xff\xfe'), string(b'contact=<sip:\xc3\x28@\xff>'), string(b'contact=<sip:eve@[::>'),
                 string(b'contact=sip:eve@10.30.0.2;transport=\x00'), string(b'name=' + b'\x1b' * 250) + good, good * 40]
        for number, text in enumerate(texts):
            mallory.answer(*instance(b'text %d' % number, text))
        for label in (b'\xff' * 63, b'\xc3\x28' * 31, b'\x00\x01\x7f', b'.', b'..', b'a.' * 31, b'\\', b'_sipuri._udp.local', 'é'.encode() * 31, b'a' * 63):
            mallory.answer(*instance(label, good))
            mallory.answer(*instance(label, None))
        whole = struct.pack('!6H', 0, 0x8400, 0, 4, 0, 0) + b''.join(instance(b'sip:eve@10.30.0.2', good))
        for _ in range(1000):
            broken = bytearray(whole[:generator.randrange(1, len(whole) + 1)])
            for _ in range(generator.randrange(4)):
                broken[generator.randrange(len(broken))] = generator.randrange(256)
            mallory.say(bytes(broken))
        for number in range(0, 6000, 20):
            mallory.answer(*(one for each in range(20) for one in instance(b'nobody %d' % (number + each), None)))
        mallory.answer(*instance(b'sip:carol@10.30.0.2:5070', string(b'name=Carol') + string(b'contact=<sip:carol@10.30.0.2:5070>')))
        bob = street.sdk('bob', host=street.hosts['alice'], settings={'sip.transport_list': ['udp']})
        finds(alice, 'Bob')
        finds(bob, 'Alice')
    count = alice.do('evaluate', expression="len(BonjourAccount()._services._discoveries['_sipuri._udp'].neighbours)")
    assert count <= 200
    assert alice.do('evaluate', expression=MEMORY) - before < 64 << 10
    assert 'Traceback' not in alice.errors() and 'Traceback' not in bob.errors(), alice.errors()
    uris = {event.uri for event in alice.events('BonjourAccountDidAddNeighbour')}
    assert 'sip:eve@10.30.0.2' in uris and not any(character in uri for uri in uris for character in '\0\x1b\ufffd')
