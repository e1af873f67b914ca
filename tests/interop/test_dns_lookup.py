"""DNSLookup against the lab's dnsmasq, with the SDK thread, green threads and notifications."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from types import SimpleNamespace

import dns.exception
import dns.flags
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from sipsimple.lookup import DNSLookup, DNSLookupError, DNSManager, lookup as lookup_module
from sipsimple.notification import NotificationCenter
from tests.support.dns_server import ScriptedServer, answer
from tests.support.lab import lab_fixture
from tests.support.require import require_module

dns_lab = lab_fixture('dns')
ALL = ['tls', 'tcp', 'udp']
BY_DEFAULT = DNSLookup.authoritative_first


class URI:
    """What a lookup reads of a SIPURI; the real one needs the native core."""

    def __init__(self, host, port=None, transport=None, secure=False):
        self.host, self.port, self.secure = host, port, secure
        self.parameters = {} if transport is None else {'transport': transport}

    def __repr__(self):
        return f'URI({self.host!r})'


class Recorder:
    def __init__(self):
        self.notifications = []
        self.ended = threading.Event()

    def handle_notification(self, notification):
        self.notifications.append(notification)
        if notification.name != 'DNSLookupTrace':
            self.ended.set()

    def of(self, name):
        return [notification.data for notification in self.notifications if notification.name == name]


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(DNSManager, '_instance', None)
    manager = DNSManager()
    manager.probe_domain = None
    manager.public_nameservers = []
    manager.read_configuration = lambda: ([], [], '')
    monkeypatch.setattr(DNSLookup, 'authoritative_first', False)        # what it adds is tested by itself, at the end
    return manager


@pytest.fixture
def lab(dns_lab, manager):
    manager.nameservers = dns_lab.nameservers
    return dns_lab


@pytest.fixture(autouse=True)
def routes(monkeypatch):
    """Route as plain data where the native core is not built."""
    try:
        from sipsimple.core.helpers import Route  # noqa: F401
    except ImportError:
        import sys
        stand_in = SimpleNamespace(Route=lambda address, port, transport, tls_name: SimpleNamespace(
            address=address, port=port, transport=transport, tls_name=tls_name))
        monkeypatch.setitem(sys.modules, 'sipsimple.core', SimpleNamespace(helpers=stand_in))
        monkeypatch.setitem(sys.modules, 'sipsimple.core.helpers', stand_in)


def observed(lookup=None):
    lookup = lookup or DNSLookup()
    recorder = Recorder()
    NotificationCenter().add_observer(recorder, sender=lookup)
    return lookup, recorder


def proxy(host, supported=ALL, **kwargs):
    result = DNSLookup().lookup_sip_proxy(URI(host, **kwargs), supported).result(30)
    return [(route.transport, route.address, route.port) for route in result]


def proxy_error(host, supported=ALL, **kwargs):
    lookup, recorder = observed()
    with pytest.raises(DNSLookupError) as info:
        lookup.lookup_sip_proxy(URI(host, **kwargs), supported).result(30)
    data, = recorder.of('DNSLookupDidFail')
    assert (data.error, data.originator) == (str(info.value), info.value.originator)
    assert not recorder.of('DNSLookupDidSucceed')
    return info.value


# The zones of the lab

def test_naptr_srv_and_addresses(lab):
    sip, sips = lab.port('SIP'), lab.port('SIPS')
    assert proxy('lab.test') == [('tls', '127.0.0.1', sips), ('tcp', '127.0.0.1', sip), ('udp', '127.0.0.1', sip)]
    assert proxy('lab.test', ['udp', 'tls']) == [('udp', '127.0.0.1', sip), ('tls', '127.0.0.1', sips)]
    assert proxy('lab.test', secure=True) == [('tls', '127.0.0.1', sips)]
    assert proxy('lab.test', transport='tcp') == [('tcp', '127.0.0.1', sip)]
    assert proxy('lab.test', port=5070) == [('udp', '127.0.0.1', 5070), ('udp', '::1', 5070)]
    assert proxy('www.lab.test', port=5070, transport='tls') == [('tls', '127.0.0.1', 5070)]


def test_srv_without_naptr(lab):
    assert proxy('srvonly.test', ['tcp', 'udp', 'tls']) == [
        ('tcp', '127.0.0.1', lab.port('SIP')), ('udp', '127.0.0.1', lab.port('SIP')), ('tls', '127.0.0.1', lab.port('SIPS'))]


def test_addresses_only(lab):
    assert proxy('aonly.test') == [('udp', '127.0.0.1', 5060)]
    assert proxy('aonly.test', ['tcp']) == [('tcp', '127.0.0.1', 5060)]
    assert proxy('v6only.test') == [('udp', '::1', 5060)]
    assert proxy('dual.test', secure=True) == [('tls', '127.0.0.1', 5061), ('tls', '::1', 5061)]


def test_the_order_of_ip_versions(lab, manager):
    manager.ip_versions = (6, 4)
    assert proxy('dual.test') == [('udp', '::1', 5060), ('udp', '127.0.0.1', 5060)]
    manager.ip_versions = (4,)
    assert proxy('dual.test') == [('udp', '127.0.0.1', 5060)]
    assert proxy_error('v6only.test').originator == 'remote'


def test_naptr_for_some_transports(lab):
    assert proxy('udponly.test') == [('udp', '127.0.0.1', lab.port('SIP'))]
    assert proxy('tlsonly.test') == [('tls', '127.0.0.1', lab.port('SIPS'))]
    assert proxy('naptra.test') == [('udp', '127.0.0.1', 5060)]
    assert proxy('mixednaptr.test') == [('udp', '127.0.0.1', lab.port('SIP'))]
    assert proxy_error('udponly.test', ['tls']).originator == 'remote'


def test_failover_comes_in_the_order_of_priorities(lab):
    expected = [int(lab.env['LAB_DEAD_PORT']), lab.port('SIP')]
    assert [port for *_, port in proxy('failover.test', transport='udp')] == expected
    assert proxy('failover.test', ['tcp', 'udp']) == [
        (transport, '127.0.0.1', port) for transport in ('tcp', 'udp') for port in expected]


def test_weights(lab):
    orders = [tuple(address for _, address, _ in proxy('weighted.test', transport='udp')) for _ in range(200)]
    assert {tuple(sorted(order)) for order in orders} == {('127.0.0.1', '127.0.0.2', '127.0.0.3')}
    assert sum(order[0] == '127.0.0.3' for order in orders) > 140


@pytest.mark.parametrize('host, text', [('nosip.test', 'offers no SIP'), ('danglingnaptr.test', 'no SIP proxy'), ('danglingsrv.test', 'no SIP proxy'),
                                        ('missing.test', 'no SIP proxy'), ('refused.example', 'server failure')])
def test_domains_without_a_sip_service(lab, host, text):
    error = proxy_error(host)
    assert error.originator == 'remote' and text in str(error)


def test_an_answer_too_long_for_udp(lab):
    """big.test is a TXT record; the query goes through the resolver as those of the lookups do."""
    import asyncio

    from sipsimple.lookup.resolver import Resolver
    result = asyncio.run(Resolver([('127.0.0.1', lab.port('DNS'))]).query('big.test', 'TXT'))
    assert sum(len(string) for string in result[0].strings) > 500


def test_services(lab):
    def find(host, service, **kwargs):
        return DNSLookup().lookup_service(URI(host, **kwargs), service).result(30)
    turn, turns = lab.port('TURN'), lab.port('TURNS')
    assert find('lab.test', 'stun') == [('127.0.0.1', turn)]
    assert find('lab.test', 'turn') == [('127.0.0.1', turn)]
    assert find('lab.test', 'turns') == [('127.0.0.1', turns)]
    assert find('lab.test', 'msrprelay') == [('127.0.0.1', lab.port('MSRPS'))]
    assert find('aonly.test', 'msrprelay', port=99) == [('127.0.0.1', 2855)]
    assert find('dual.test', 'stun') == [('127.0.0.1', 3478), ('::1', 3478)]
    assert find('127.0.0.5', 'stun', port=99) == [('127.0.0.5', 99)]
    for host, service in (('missing.test', 'stun'), ('lab.test', 'ftp')):
        with pytest.raises(DNSLookupError):
            find(host, service)


def test_xcap(lab):
    assert DNSLookup().lookup_xcap_server(URI('lab.test')).result(30) == [f'http://127.0.0.1:{lab.env["LAB_HTTP_PORT"]}/xcap-root/']
    with pytest.raises(DNSLookupError) as info:
        DNSLookup().lookup_xcap_server(URI('aonly.test')).result(30)
    assert info.value.originator == 'remote'


# Notifications and threads

def test_success_is_told(lab):
    lookup, recorder = observed()
    lookup.lookup_service(URI('lab.test'), 'stun')
    assert recorder.ended.wait(30)
    data, = recorder.of('DNSLookupDidSucceed')
    assert data.result == [('127.0.0.1', lab.port('TURN'))]
    assert isinstance(data.timestamp, datetime) and data.timestamp.tzinfo is not None
    assert recorder.notifications[-1].name == 'DNSLookupDidSucceed' and recorder.notifications[-1].sender is lookup


def test_each_query_is_traced(lab):
    lookup, recorder = observed()
    uri = URI('srvonly.test')
    lookup.lookup_sip_proxy(uri, ['udp'], request_id='id7').result(30)
    traces = recorder.of('DNSLookupTrace')
    asked = [(trace.query_type, trace.query_name) for trace in traces]      # those of one step end in any order
    assert asked[:2] == [('NAPTR', 'srvonly.test'), ('SRV', '_sip._udp.srvonly.test')]
    assert sorted(asked[2:]) == [('A', 'sip.lab.test.'), ('AAAA', 'sip.lab.test.')]
    for trace in traces:
        assert trace.context == 'lookup_sip_proxy' and trace.uri is uri and trace.request_id == 'id7'
        assert trace.nameservers == [('127.0.0.1', lab.port('DNS'))] and trace.timestamp.tzinfo is not None
        assert not hasattr(trace, 'service')
    assert traces[0].answer is None and isinstance(traces[0].error, dns.exception.DNSException)
    assert isinstance(traces[1].answer, dns.resolver.Answer) and traces[1].error is None
    assert traces[1].answer[0].port == lab.port('SIP')


def test_traces_of_the_other_methods(lab):
    lookup, recorder = observed()
    lookup.lookup_service(URI('lab.test'), 'stun').result(30)
    assert {(trace.context, trace.service) for trace in recorder.of('DNSLookupTrace')} == {('lookup_service', 'stun')}
    lookup, recorder = observed()
    lookup.lookup_xcap_server(URI('lab.test')).result(30)
    trace, = recorder.of('DNSLookupTrace')
    assert (trace.context, trace.query_type, trace.query_name) == ('lookup_xcap_server', 'TXT', 'xcap.lab.test')
    assert not hasattr(trace, 'service') and not hasattr(trace, 'request_id')


def test_routes_carry_the_name_for_the_certificate(lab):
    uri = URI('lab.test')
    assert {route.tls_name for route in DNSLookup().lookup_sip_proxy(uri, ALL).result(30)} == {'lab.test'}
    assert {route.tls_name for route in DNSLookup().lookup_sip_proxy(uri, ALL, tls_name='x.test').result(30)} == {'x.test'}


def in_green_thread(function):
    from sipsimple.threading.green import run_in_waitable_green_thread
    return run_in_waitable_green_thread(function)().result(30)


def test_waiting_in_a_green_thread(lab):
    DNSLookup().lookup_xcap_server(URI('lab.test')).result(30)      # starts the SDK thread

    def body():
        first = DNSLookup().lookup_service(URI('lab.test'), 'stun')
        second = DNSLookup().lookup_service(URI('missing.test'), 'stun')
        with pytest.raises(DNSLookupError):
            second.wait()
        return first.wait()
    assert in_green_thread(body) == [('127.0.0.1', lab.port('TURN'))]


@pytest.mark.parametrize('uri, transports', [(URI('lab.test'), []), (URI(''), ALL), (URI('192.0.2.1'), ['tcp']), (URI('a..b'), ALL), (URI('x' * 300), ALL),
                                             (SimpleNamespace(host=None), ALL)])
def test_bad_arguments_fail_as_lookups_after_the_call_returned(manager, uri, transports):
    manager.nameservers = []
    DNSLookup().lookup_service(URI('127.0.0.1'), 'stun').result(30)
    lookup, recorder = observed()

    def body():
        waitable = lookup.lookup_sip_proxy(uri, transports)
        early = list(recorder.notifications)
        with pytest.raises(DNSLookupError) as info:
            waitable.wait()
        return early, info.value
    early, error = in_green_thread(body)
    assert early == []
    data, = recorder.of('DNSLookupDidFail')
    assert error.originator == data.originator == 'local' and data.error == str(error) != ''


def test_no_nameservers(manager):
    manager.nameservers = []
    error = proxy_error('lab.test')
    assert error.originator == 'local' and 'not reachable' in str(error)


# Budgets and faults

def names(*records, **kwargs):
    """Handler which answers what matches of `records`, else nothing."""
    def handler(query, protocol):
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        found = [record for record in records if record.split()[0].lower() == question.name.to_text().lower() and record.split()[3] == kind]
        return [answer(query, *found, **kwargs)]
    return handler


def test_a_server_dropping_naptr_queries_does_not_fail_the_lookup(manager):
    inner = names('_sip._udp.x.test. 60 IN SRV 1 1 5070 h.x.test.', 'h.x.test. 60 IN A 192.0.2.1')

    def handler(query, protocol):
        return [] if dns.rdatatype.to_text(query.question[0].rdtype) == 'NAPTR' else inner(query, protocol)
    with ScriptedServer(handler) as server:
        manager.nameservers = [server.endpoint]
        started = time.monotonic()
        result = DNSLookup().lookup_sip_proxy(URI('x.test'), ['udp'], timeout=0.3, lifetime=1.0).result(30)
        assert [(route.address, route.port) for route in result] == [('192.0.2.1', 5070)]
        assert time.monotonic() - started < 1.0


def test_the_lifetime_covers_all_queries(manager):
    with ScriptedServer(lambda query, protocol: []) as server:
        manager.nameservers = [server.endpoint]
        lookup, recorder = observed()
        started = time.monotonic()
        with pytest.raises(DNSLookupError) as info:
            lookup.lookup_sip_proxy(URI('x.test'), ALL, timeout=0.1, lifetime=0.6).result(30)
        assert 0.55 < time.monotonic() - started < 2
        assert info.value.originator == 'local' and 'timeout' in str(info.value)
        assert sorted(trace.query_type for trace in recorder.of('DNSLookupTrace')) == ['A', 'AAAA', 'NAPTR', 'SRV', 'SRV', 'SRV']
        assert all(trace.answer is None and isinstance(trace.error, dns.exception.Timeout) for trace in recorder.of('DNSLookupTrace'))


def test_the_second_server_stands_in(lab, manager):
    with ScriptedServer(lambda query, protocol: [answer(query, rcode=dns.rcode.SERVFAIL)]) as broken:
        manager.nameservers = [broken.endpoint, ('127.0.0.1', lab.port('DNS'))]
        assert proxy('udponly.test') == [('udp', '127.0.0.1', lab.port('SIP'))]
        assert broken.queries


def test_lookups_share_the_cache(manager):
    with ScriptedServer(names('x.test. 60 IN A 192.0.2.1', 'x.test. 60 IN AAAA 2001:db8::1')) as server:
        manager.nameservers = [server.endpoint]
        for _ in range(3):
            lookup, recorder = observed()
            lookup.lookup_sip_proxy(URI('x.test', port=5060), ['udp']).result(30)
            assert len(recorder.of('DNSLookupTrace')) == 2
        assert len(server.queries) == 2


def test_the_sdk_thread_is_not_blocked(manager):
    """While a lookup waits for a silent server, the SDK thread serves others."""
    with ScriptedServer(lambda query, protocol: []) as server:
        manager.nameservers = [server.endpoint]
        waitable = DNSLookup().lookup_service(URI('x.test'), 'stun', timeout=0.5, lifetime=0.5)
        started = time.monotonic()
        assert in_green_thread(lambda: 'served') == 'served'
        assert time.monotonic() - started < 0.3 and not waitable.done()
        with pytest.raises(DNSLookupError):
            waitable.result(30)


# Authoritative servers

ZONE = ['_stun._udp.x.test. 60 IN SRV 1 1 3479 h.x.test.', 'h.x.test. 60 IN A 192.0.2.1']
DELEGATION = ['x.test. 60 IN NS ns.x.test.', 'ns.x.test. 60 IN A 127.0.0.1']


class Authorities(DNSLookup):
    authoritative_first = True


@pytest.fixture
def patient(monkeypatch):
    """Servers that do answer may take their time, on a busy machine."""
    monkeypatch.setattr(lookup_module, 'AUTHORITY_LIMIT', 20.0)


@pytest.fixture(autouse=True)
def nothing_remembered():
    lookup_module._silent_servers.clear()


def find(recursor, authority_port, manager):
    """The STUN servers of x.test, by the recursor at that endpoint and the authority at that port; and the seconds it took."""
    manager.nameservers = [recursor]
    manager.ip_versions = (4,)
    lookup = Authorities()
    lookup.authoritative_port = authority_port
    started = time.monotonic()
    return lookup.lookup_service(URI('x.test'), 'stun').result(60), time.monotonic() - started


@pytest.mark.parametrize('authority_works', [True, False])
def test_authoritative_servers_are_asked_first(manager, patient, authority_works):
    handler = names(*ZONE, flags=dns.flags.AA) if authority_works else lambda query, protocol: [answer(query, rcode=dns.rcode.REFUSED)]
    with ScriptedServer(handler) as authority, ScriptedServer(names(*DELEGATION, *ZONE)) as recursor:
        manager.nameservers = [recursor.endpoint]
        manager.ip_versions = (4,)
        lookup, recorder = observed(Authorities())
        lookup.authoritative_port = authority.endpoint[1]
        assert lookup.lookup_service(URI('x.test'), 'stun').result(30) == [('192.0.2.1', 3479)]
        assert recursor.names()[:2] == [('x.test', 'NS'), ('ns.x.test', 'A')]
        assert authority.names() == [('_stun._udp.x.test', 'SRV'), ('h.x.test', 'A')]
        assert recursor.names()[2:] == ([] if authority_works else authority.names())
        assert recorder.of('DNSLookupTrace')[0].query_type == 'NS'
        assert {tuple(trace.nameservers[0]) for trace in recorder.of('DNSLookupTrace')} == {authority.endpoint, recursor.endpoint}


@pytest.mark.parametrize('wanted', [True, False])
def test_authoritative_servers_are_sought_unless_switched_off(lab, monkeypatch, wanted):
    if wanted:
        monkeypatch.setattr(DNSLookup, 'authoritative_first', BY_DEFAULT)
    lookup, recorder = observed()
    lookup.lookup_service(URI('lab.test'), 'stun').result(30)
    assert ('NS' in {trace.query_type for trace in recorder.of('DNSLookupTrace')}) == wanted


def test_authoritative_servers_that_do_not_answer(manager):
    """As behind a firewall: a second, once for some minutes."""
    with ScriptedServer(lambda query, protocol: []) as authority, ScriptedServer(names(*DELEGATION, *ZONE)) as recursor:
        asked = None
        for number in range(3):
            manager.cache.clear()
            found, seconds = find(recursor.endpoint, authority.endpoint[1], manager)
            assert found == [('192.0.2.1', 3479)]
            assert number or seconds < 10
            assert len(set(authority.names())) == 1         # nothing more is asked there, by this lookup or the next ones
            asked = asked or len(authority.names())
            assert len(authority.names()) == asked


def test_servers_that_drop_the_search_for_authorities(manager):
    """As some routers do; it costs a second, once for some minutes."""
    zone = names(*ZONE)
    with ScriptedServer(lambda query, protocol: [] if query.question[0].rdtype == dns.rdatatype.NS else zone(query, protocol)) as recursor:
        for _ in range(3):
            manager.cache.clear()
            found, seconds = find(recursor.endpoint, 9, manager)
            assert found == [('192.0.2.1', 3479)] and seconds < 10
            assert {name for name in recursor.names() if name[1] == 'NS'} == {('x.test', 'NS')}
        assert len([name for name in recursor.names() if name[1] == 'NS']) <= 2


def test_what_the_authoritative_servers_do_not_know(manager, patient):
    """A local server may have names of its own."""
    with ScriptedServer(lambda query, protocol: [answer(query, rcode=dns.rcode.NXDOMAIN, authority=['x.test. 60 IN SOA a. b. 1 1 1 1 60'], flags=dns.flags.AA)]) \
            as authority, ScriptedServer(names(*DELEGATION, *ZONE)) as recursor:
        assert find(recursor.endpoint, authority.endpoint[1], manager)[0] == [('192.0.2.1', 3479)]
        assert ('_stun._udp.x.test', 'SRV') in authority.names() and ('_stun._udp.x.test', 'SRV') in recursor.names()


def test_the_system_servers_and_the_probe_with_real_packets(manager):
    """Broken system server, working stand-in; then the system's server is repaired."""
    from sipsimple.notification import NotificationQueue
    broken = threading.Event()
    broken.set()
    zone = names('probe.test. 60 IN NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.probe.test.', '_sip._udp.probe.test. 60 IN SRV 1 1 5060 h.probe.test.')

    def handler(query, protocol):
        return [answer(query, rcode=dns.rcode.NXDOMAIN)] if broken.is_set() else zone(query, protocol)
    with ScriptedServer(handler) as system, ScriptedServer(zone) as public, NotificationQueue(name='DNSNameserversDidChange', sender=manager) as changes:
        manager.probe_domain = 'probe.test'
        manager.public_nameservers = [public.endpoint]
        manager.read_configuration = lambda: ([system.endpoint], [], '')
        manager.reprobe_interval = 0.05
        manager.start()
        assert changes.get(10).data.nameservers == [public.endpoint]
        broken.clear()
        assert changes.get(10).data.nameservers == [system.endpoint]
        manager.stop()


def test_real_uris_and_routes(lab):
    values = require_module('sipsimple.core.values')
    from sipsimple.core.helpers import Route
    for uri in (values.SIPURI.parse('sips:alice@lab.test;transport=TLS'), values.FrozenSIPURI.parse('sip:lab.test;transport=tls')):
        route, = DNSLookup().lookup_sip_proxy(uri, ALL).result(30)
        assert isinstance(route, Route)
        assert (route.address, route.port, route.transport, route.tls_name) == ('127.0.0.1', lab.port('SIPS'), 'tls', 'lab.test')
    route, = DNSLookup().lookup_sip_proxy(values.SIPURI.parse('sip:alice@[::1]:5070'), ALL).result(30)
    assert (route.address, route.port, route.transport, route.tls_name) == ('::1', 5070, 'udp', '::1')
