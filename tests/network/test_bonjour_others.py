"""BonjourAccount among others: Avahi, somebody who takes its name, somebody who says anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.conftest import until
from tests.network.test_bonjour import Street, finds
from tests.support.avahi import Avahi
from tests.support.namespaces import Network, require_namespaces
from tests.support.require import require

NAMES = ('alice', 'bob')


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
        expires = "BonjourAccount()._services._discoveries['_sipuri._udp'].neighbours['sip:bob@10.30.0.2:5070._sipuri._udp.local.']._next.when()"
        before = alice.do('evaluate', expression=expires)
        alice.do('evaluate', expression="importlib.import_module('sipsimple.threading').call_in_twisted_thread("
                                        "BonjourAccount()._services._discoveries['_sipuri._udp'].ask, 'sip:bob@10.30.0.2:5070._sipuri._udp.local.')")
        until(lambda: alice.do('evaluate', expression=expires) > before, 'Avahi does not answer for a name with dots')
        published.terminate()
        published.wait()
        alice.wait('BonjourAccountDidRemoveNeighbour', service_description=bob.service_description)
