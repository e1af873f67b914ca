import copy
import pickle
import types

import pytest

from sipsimple.core import helpers
from sipsimple.core.headers import RouteHeader
from sipsimple.core.helpers import (
    ContactURIFactory,
    NoGRUU,
    PublicGRUU,
    PublicGRUUIfAvailable,
    Route,
    TemporaryGRUU,
    TemporaryGRUUIfAvailable,
    is_null_address,
    local_ip_for,
    outgoing_ip_for,
)
from sipsimple.core.values import FrozenSIPURI, SIPURI


@pytest.fixture
def provider(monkeypatch):
    facts = types.SimpleNamespace(running=True, ip_address='127.0.0.1', udp_port=5066, tcp_port=5067, tls_port=None)
    monkeypatch.setattr(helpers, '_provider', None)  # restored afterwards
    helpers.set_engine_provider(facts)
    return facts


def test_route():
    route = Route('1.2.3.4', port=1234, transport='TLS', tls_name='example.com')
    assert (route.address, route.port, route.transport, route.tls_name) == ('1.2.3.4', 1234, 'tls', 'example.com')
    assert str(route) == 'sip:1.2.3.4:1234;transport=tls;tls_name=example.com' and route.get_uri() == route.uri
    assert str(RouteHeader(route.get_uri())) == 'Route: <sip:1.2.3.4:1234;transport=tls;tls_name=example.com>'
    assert copy.copy(route) == route == pickle.loads(pickle.dumps(route)) and route != Route('1.2.3.4')


@pytest.mark.parametrize('route, port, text', [
    (Route('1.2.3.4'), 5060, 'sip:1.2.3.4'), (Route('1.2.3.4', 5060, 'tcp'), 5060, 'sip:1.2.3.4;transport=tcp'),
    (Route('1.2.3.4', transport='tls'), 5061, 'sip:1.2.3.4;transport=tls'),
    (Route('1.2.3.4', 5060, 'tls'), 5060, 'sip:1.2.3.4:5060;transport=tls'),
    (Route('1.2.3.4', 5061), 5061, 'sip:1.2.3.4:5061'), (Route('[2001:db8::1]', '5070'), 5070, 'sip:[2001:db8::1]:5070'),
    (Route('1.2.3.4', tls_name='x'), 5060, 'sip:1.2.3.4')])
def test_route_uri(route, port, text):
    assert route.port == port and str(route) == text


@pytest.mark.parametrize('args', [
    ('example.com',), ('',), (None,), ('1.2.3',), ('1.2.3.4', 0), ('1.2.3.4', 65536), ('1.2.3.4', None, 'sctp'),
    ('1.2.3.4', None, None), ('1.2.3.4', None, 'tls', 5)])
def test_invalid_route(args):
    with pytest.raises(ValueError):
        Route(*args)


def test_route_is_writable():
    route = Route('1.2.3.4')
    route.transport = 'tls'
    assert route.port == 5061
    route.port, route.address = 5070, '::1'
    assert str(route) == 'sip:[::1]:5070;transport=tls'
    for name, value in (('address', 'x'), ('port', -1), ('transport', 'x')):
        with pytest.raises(ValueError):
            setattr(route, name, value)


def test_outgoing_address():
    assert outgoing_ip_for('127.0.0.1') == '127.0.0.1' and outgoing_ip_for('127.8.9.1') == '127.0.0.1'
    assert outgoing_ip_for('example.com') is None


def test_address_to_talk_from(provider):
    """Of an Engine that is bound to one address it is that one, as only there an answer is heard."""
    assert local_ip_for('127.0.0.1') == '127.0.0.1'
    provider.ip_address = '127.0.0.5'
    assert local_ip_for('127.0.0.1') == '127.0.0.5' and local_ip_for('example.com') is None
    provider.running = False
    assert local_ip_for('127.0.0.1') == '127.0.0.1'


@pytest.mark.parametrize('address, null', [('0.0.0.0', True), ('::', True), ('0:0:0:0:0:0:0:0', True), ('::0.0.0.0', True), ('10.0.0.0', False), ('::1', False),
                                           ('', False), (None, False)])
def test_null_address(address, null):
    assert is_null_address(address) is null


def test_contact(provider):
    factory = ContactURIFactory('alice')
    assert str(factory['udp']) == str(factory[NoGRUU, 'UDP']) == str(factory[Route('127.0.0.1')]) == 'sip:alice@127.0.0.1:5066'
    assert str(factory[Route('127.0.0.1', transport='tcp')]) == 'sip:alice@127.0.0.1:5067;transport=tcp'
    assert type(factory['udp']) is SIPURI and repr(factory) == 'ContactURIFactory(username=alice)'


def test_bound_address_is_the_one_that_listens(provider):
    provider.ip_address = '127.0.0.5'
    assert ContactURIFactory('a')[Route('127.0.0.1')].host == '127.0.0.5'
    provider.ip_address = None
    assert ContactURIFactory('a')[Route('127.0.0.1')].host == '127.0.0.1'


def test_default_username():
    names = {ContactURIFactory().username for _ in range(20)}
    assert len(names) == 20 and all(len(name) == 8 and name.isalpha() and name.islower() for name in names)


def test_gruu(provider):
    factory = ContactURIFactory('alice')
    for kind in (PublicGRUU, TemporaryGRUU):
        with pytest.raises(KeyError):
            factory[kind, 'udp']
    for kind in (PublicGRUUIfAvailable, TemporaryGRUUIfAvailable):
        assert factory[kind, 'udp'] == factory['udp']
    factory.public_gruu = FrozenSIPURI.parse('sip:alice@example.com;gr=urn:uuid:1')
    factory.temporary_gruu = SIPURI.parse('sip:tgruu.1@example.com;gr')
    assert str(factory[PublicGRUU, 'udp']) == str(factory[PublicGRUUIfAvailable, 'udp']) == 'sip:alice@example.com;gr=urn:uuid:1'
    assert str(factory[TemporaryGRUU, 'tcp']) == 'sip:tgruu.1@example.com;gr;transport=tcp'
    factory[TemporaryGRUU, 'udp'].parameters.clear()
    assert str(factory.temporary_gruu) == 'sip:tgruu.1@example.com;gr'
    assert factory['udp'].host == '127.0.0.1'


@pytest.mark.parametrize('key', ['tls', 'sctp', None, 5, (PublicGRUU,), ('NoGRUU', 'udp'), (None, 'udp'), (NoGRUU, None)])
def test_unusable_keys(provider, key):
    with pytest.raises(KeyError):
        ContactURIFactory()[key]


def test_engine_not_running(provider):
    provider.running = False
    with pytest.raises(KeyError):
        ContactURIFactory()['udp']
    helpers.set_engine_provider(None)
    with pytest.raises(KeyError):
        ContactURIFactory()['udp']


def test_no_way_to_the_route(provider, monkeypatch):
    monkeypatch.setattr(helpers, 'outgoing_ip_for', lambda address=None: None)
    with pytest.raises(KeyError):
        ContactURIFactory()[Route('127.0.0.1')]


def test_markers_survive_copies():
    for marker in (NoGRUU, PublicGRUU, TemporaryGRUU, PublicGRUUIfAvailable, TemporaryGRUUIfAvailable):
        assert pickle.loads(pickle.dumps(marker)) is marker and copy.deepcopy(marker) is marker
