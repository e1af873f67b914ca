"""Interfaces, the ways to a neighbour, and an installation without mDNS."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.account.bonjour import interfaces, neighbour
from sipsimple.core import FrozenSIPURI
from tests.support.child import run_script

# ---- interfaces --------------------------------------------------------------------------------------------------------


def adapter(number, *addresses):
    return SimpleNamespace(index=number, name=f'eth{number}', ips=[
        SimpleNamespace(ip=address if ':' not in address else (address, 0, number), is_IPv4=':' not in address) for address in addresses])


@pytest.fixture
def machine(monkeypatch):
    """A function that gives the machine adapters, and addresses that cannot be used yet."""
    def have(*adapters, unready=()):
        monkeypatch.setattr(interfaces.ifaddr, 'get_adapters', lambda: list(adapters))
        monkeypatch.setattr(interfaces, '_is_ready', lambda address: address.ip not in unready)
        return interfaces.find()
    return have


LOOPBACK = adapter(1, '127.0.0.1', '::1')


def test_interfaces(machine):
    found = machine(LOOPBACK, adapter(2, 'fe80::2', 'fd00::2', '10.0.0.2', '10.0.0.3'), adapter(3, '169.254.7.7'), adapter(4, 'fd00::4'))
    assert found.bind == ['10.0.0.2', 'fe80::2', '169.254.7.7', 'fd00::4'] and not found.unready
    assert found.addresses == ['10.0.0.2', '10.0.0.3', '169.254.7.7', 'fd00::2', 'fd00::4', 'fe80::2']


def test_interfaces_with_the_same_address(machine):
    assert machine(adapter(2, 'fe80::1'), adapter(3, 'fe80::1')).bind == [2, 3]


def test_only_loopback(machine):
    assert machine(LOOPBACK) == (['127.0.0.1'], ['127.0.0.1'], False) == machine()


def test_addresses_that_cannot_be_used_yet(machine):
    found = machine(adapter(2, '10.0.0.2', 'fe80::2', 'fd00::2'), unready=['fe80::2'])
    assert found == (['10.0.0.2', 'fd00::2'], ['10.0.0.2', 'fd00::2'], True)
    assert machine(adapter(2, 'fe80::2'), unready=['fe80::2']) == ([], [], True)


def test_one_address_only(machine):
    machine(adapter(2, '10.0.0.2'))
    assert interfaces.find('127.0.0.1') == (['127.0.0.1'], ['127.0.0.1'], False)


def test_this_machine():
    found = interfaces.find()
    assert found.bind and found.addresses


# ---- ways to a neighbour -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(('reachable', 'addresses', 'host'), [
    (['10.0.0.5'], ['10.1.0.5'], '10.0.0.5'),
    (['10.1.0.5'], ['fe80::5%2', '10.1.0.5'], '10.1.0.5'),
    (['fd00::5'], ['10.1.0.5', 'fd00::5'], '[fd00::5]'),
    ([], ['10.1.0.5'], '10.0.0.5'),
    (['fe80::5%2'], ['fe80::5%2'], '10.0.0.5'),
])
def test_another_address_of_the_same_machine(monkeypatch, reachable, addresses, host):
    monkeypatch.setattr(neighbour, 'outgoing_ip_for', lambda address: '10.0.0.1' if address in reachable else None)
    uri = FrozenSIPURI.parse('sip:bob@10.0.0.5:5062;transport=tcp')
    assert str(neighbour._reachable(uri, tuple(addresses))) == f'sip:bob@{host}:5062;transport=tcp'


# ---- without mDNS ------------------------------------------------------------------------------------------------------

WITHOUT = '''
import sys
sys.modules['zeroconf'] = None
from sipsimple.account import AccountManager, BonjourAccount
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
ConfigurationManager().start(MemoryBackend())
AccountManager().load()
assert AccountManager().get_accounts() == [] and AccountManager().default_account is None
assert BonjourAccount.mdns_available is False
account = BonjourAccount()
assert account.enabled is False and account.mdns_available is False
try:
    account.enabled = True
except RuntimeError as error:
    print(error)
'''

CHEAP = '''
import sys
import sipsimple.application, sipsimple.account, sipsimple.account.bonjour
assert 'zeroconf' not in sys.modules and 'ifaddr' not in sys.modules
from sipsimple.account import BonjourAccount
assert BonjourAccount.mdns_available is True and 'zeroconf' not in sys.modules
'''


@pytest.mark.parametrize(('code', 'output'), [(WITHOUT, 'there is no mDNS: the zeroconf package is not installed\n'), (CHEAP, '')])
def test_the_package_is_looked_for_when_it_is_needed(code, output):
    done = run_script(code)
    assert (done.returncode, done.stdout) == (0, output), done.stderr
