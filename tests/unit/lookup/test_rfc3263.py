"""RFC 3263 choices against zones which are dictionaries."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from sipsimple.lookup import rfc3263
from sipsimple.lookup.errors import DNSLookupError
from sipsimple.lookup.rfc3263 import NAPTR, NS, SRV, Address, Outcome, Query, Reply, Target, Text

ALL = ['udp', 'tcp', 'tls']


def naptr(order, service, replacement, flags='s', preference=50, regexp=''):
    return NAPTR(order, preference, flags, service, regexp, replacement)


ZONE = {
    ('full.test', 'NAPTR'): [naptr(10, 'SIPS+D2T', '_sips._tcp.full.test.'), naptr(20, 'SIP+D2T', '_sip._tcp.full.test.'),
                             naptr(30, 'sip+d2u', '_sip._udp.full.test.', flags='S')],
    ('_sips._tcp.full.test.', 'SRV'): [SRV(10, 10, 5071, 'a.test.')],
    ('_sip._tcp.full.test.', 'SRV'): [SRV(10, 10, 5070, 'a.test.')],
    ('_sip._udp.full.test.', 'SRV'): [SRV(20, 10, 5080, 'b.test.'), SRV(10, 10, 5070, 'a.test.')],
    ('a.test.', 'A'): [Address('192.0.2.1')],
    ('a.test.', 'AAAA'): [Address('2001:db8::1')],
    ('b.test.', 'A'): [Address('192.0.2.2'), Address('192.0.2.3')],
    ('srv.test', 'A'): [Address('192.0.2.99')],
    ('_sip._udp.srv.test', 'SRV'): [SRV(1, 0, 5070, 'b.test.')],
    ('_sip._tcp.srv.test', 'SRV'): [SRV(1, 0, 5070, 'a.test.')],
    ('a.test', 'A'): [Address('192.0.2.1')],
    ('v6.test', 'AAAA'): [Address('2001:db8::6')],
    ('host.test', 'NAPTR'): [naptr(10, 'SIP+D2U', 'a.test.', flags='a')],
    ('mixed.test', 'NAPTR'): [naptr(1, 'SIP+D2X', '_sip._x.full.test.'), naptr(2, 'E2U+sip', '.', flags='u', regexp='!^.*$!sip:x@y!'),
                              naptr(3, 'SIP+D2U', '_sip._udp.full.test.', regexp='!a!b!'), naptr(4, 'SIP+D2U', '.'),
                              naptr(5, 'SIP+D2U', '_sip._udp.srv.test.', flags='p'), naptr(6, 'SIP+D2U', '_sip._udp.full.test.')],
    ('udponly.test', 'NAPTR'): [naptr(1, 'SIP+D2U', '_sip._udp.full.test.')],
    ('udponly.test', 'A'): [Address('192.0.2.77')],
    ('dangling.test', 'NAPTR'): [naptr(1, 'SIP+D2U', '_sip._udp.missing.test.')],
    ('_sip._udp.dangling.test', 'SRV'): [SRV(1, 0, 5070, 'b.test.')],
    ('lost.test', 'A'): [Address('192.0.2.50')],
    ('_sip._udp.lost.test', 'SRV'): [SRV(1, 0, 5070, 'missing.test.')],
    ('none.test', 'A'): [Address('192.0.2.60')],
    ('_sip._udp.none.test', 'SRV'): [SRV(0, 0, 0, '.')],
    ('partly.test', 'A'): [Address('192.0.2.60')],
    ('_sip._udp.partly.test', 'SRV'): [SRV(0, 0, 0, '.')],
    ('_sip._tcp.partly.test', 'SRV'): [SRV(0, 0, 5070, 'a.test.')],
}


class Asker:
    """Runs steps against a zone; `outcomes` overrides replies by (name, type) or by type."""

    def __init__(self, zone=ZONE, outcomes=()):
        self.zone = zone
        self.outcomes = dict(outcomes)
        self.rounds: list[list[Query]] = []

    @property
    def queries(self):
        return [(query.name, query.type) for queries in self.rounds for query in queries]

    def reply(self, query):
        outcome = self.outcomes.get((query.name, query.type), self.outcomes.get(query.type))
        if outcome is not None:
            return Reply(outcome)
        records = self.zone.get((query.name, query.type), [])
        return Reply(Outcome.FOUND if records else Outcome.ABSENT, tuple(records))

    def run(self, steps):
        try:
            queries = next(steps)
            while True:
                assert queries, 'an empty round'
                self.rounds.append(queries)
                queries = steps.send([self.reply(query) for query in queries])
        except StopIteration as stop:
            return stop.value


def proxy(host, port=None, transport=None, secure=False, supported=ALL, ip_versions=(4, 6), asker=None, rng=None):
    asker = asker or Asker()
    targets = asker.run(rfc3263.sip_proxy(host, port, transport, secure, supported, ip_versions, rng or random.Random(1)))
    return [(target.transport, target.address, target.port) for target in targets]


def failure(*args, **kwargs):
    with pytest.raises(DNSLookupError) as info:
        proxy(*args, **kwargs)
    return info.value


# Arguments

@pytest.mark.parametrize('supported', [[], ['sctp'], ['udp', 'ws'], 'udp'])
def test_bad_transports_are_local_errors(supported):
    assert failure('full.test', supported=supported).originator == 'local'


@pytest.mark.parametrize('host', ['', ' ', '.'])
def test_a_missing_host_is_a_local_error(host):
    assert failure(host).originator == 'local'


def test_transports_are_case_insensitive_and_counted_once():
    assert rfc3263.check_transports(['TLS', 'udp', 'tls']) == ['tls', 'udp']


@pytest.mark.parametrize('transport', ['udp', 'tcp', 'sctp'])
def test_sips_conflicts_with_a_transport_other_than_tls(transport):
    error = failure('full.test', transport=transport, secure=True)
    assert error.originator == 'local' and transport in str(error)


def test_sips_needs_tls_support():
    assert 'tls' in str(failure('full.test', secure=True, supported=['udp', 'tcp']))


def test_the_transport_parameter_must_be_supported():
    assert 'tcp' in str(failure('full.test', transport='TCP', supported=['udp']))


# IP literals and ports

@pytest.mark.parametrize('host, kwargs, expected', [
    ('192.0.2.7', {}, ('udp', '192.0.2.7', 5060)),
    ('192.0.2.7', {'secure': True}, ('tls', '192.0.2.7', 5061)),
    ('192.0.2.7', {'transport': 'tcp'}, ('tcp', '192.0.2.7', 5060)),
    ('192.0.2.7', {'transport': 'TLS'}, ('tls', '192.0.2.7', 5061)),
    ('192.0.2.7', {'port': 5090, 'transport': 'tls'}, ('tls', '192.0.2.7', 5090)),
    ('192.0.2.7', {'port': 5090, 'secure': True, 'transport': 'tls'}, ('tls', '192.0.2.7', 5090)),
    ('[2001:db8::7]', {}, ('udp', '2001:db8::7', 5060)),
    ('2001:db8::7', {'port': 5062}, ('udp', '2001:db8::7', 5062)),
    ('localhost', {'port': 5062}, ('udp', '127.0.0.1', 5062)),
    ('LOCALHOST.', {}, ('udp', '127.0.0.1', 5060)),
])
def test_addresses_need_no_query(host, kwargs, expected):
    asker = Asker()
    assert proxy(host, asker=asker, **kwargs) == [expected]
    assert asker.queries == []


def test_an_address_without_transport_means_udp_which_must_be_supported():
    assert failure('192.0.2.7', supported=['tcp', 'tls']).originator == 'local'


@pytest.mark.parametrize('kwargs, expected', [
    ({}, ('udp', '192.0.2.1', 5099)), ({'secure': True}, ('tls', '192.0.2.1', 5099)), ({'transport': 'tcp'}, ('tcp', '192.0.2.1', 5099)),
])
def test_a_port_means_address_queries_only(kwargs, expected):
    asker = Asker()
    assert proxy('a.test', 5099, asker=asker, **kwargs) == [expected]
    assert asker.queries == [('a.test', 'A'), ('a.test', 'AAAA')]


def test_a_port_with_an_unsupported_default_transport_is_refused():
    assert failure('a.test', 5099, supported=['tcp']).originator == 'local'


# NAPTR, SRV, A

def test_the_result_is_in_the_order_of_supported_transports():
    assert [item[0] for item in proxy('full.test', supported=['udp', 'tls', 'tcp'], ip_versions=(4,))] == ['udp', 'udp', 'udp', 'tls', 'tcp']
    assert proxy('full.test', supported=['tls', 'tcp'], ip_versions=(4,)) == [('tls', '192.0.2.1', 5071), ('tcp', '192.0.2.1', 5070)]


def test_one_host_gives_ipv4_before_ipv6_and_the_preference_can_be_turned():
    assert proxy('full.test', transport=None, supported=['tcp']) == [('tcp', '192.0.2.1', 5070), ('tcp', '2001:db8::1', 5070)]
    assert proxy('full.test', supported=['tcp'], ip_versions=(6, 4)) == [('tcp', '2001:db8::1', 5070), ('tcp', '192.0.2.1', 5070)]
    assert proxy('full.test', supported=['tcp'], ip_versions=(6,)) == [('tcp', '2001:db8::1', 5070)]


def test_srv_priorities_are_kept_within_a_transport():
    assert proxy('full.test', supported=['udp'], ip_versions=(4,)) == [
        ('udp', '192.0.2.1', 5070), ('udp', '192.0.2.2', 5080), ('udp', '192.0.2.3', 5080)]


def test_queries_of_one_step_are_asked_side_by_side():
    asker = Asker()
    proxy('full.test', asker=asker, ip_versions=(4,))
    assert [len(queries) for queries in asker.rounds] == [1, 3, 2]
    assert [query.optional for query in asker.rounds[0] + asker.rounds[1]] == [True] * 4
    assert [query.optional for query in asker.rounds[2]] == [False] * 2


def test_sips_uses_tls_only():
    asker = Asker()
    assert proxy('full.test', secure=True, ip_versions=(4,), asker=asker) == [('tls', '192.0.2.1', 5071)]
    assert asker.queries == [('full.test', 'NAPTR'), ('_sips._tcp.full.test.', 'SRV'), ('a.test.', 'A')]


def test_naptr_flag_a_names_a_host():
    asker = Asker()
    assert proxy('host.test', ip_versions=(4,), asker=asker) == [('udp', '192.0.2.1', 5060)]
    assert asker.queries == [('host.test', 'NAPTR'), ('a.test.', 'A')]


def test_naptr_records_which_are_not_usable_are_skipped():
    asker = Asker()
    assert len(proxy('mixed.test', ip_versions=(4,), asker=asker)) == 3
    assert [name for name, kind in asker.queries if kind == 'SRV'] == ['_sip._udp.full.test.']


def test_naptr_for_other_transports_only_leads_to_srv_and_then_the_host():
    asker = Asker()
    assert proxy('udponly.test', supported=['tls', 'tcp'], ip_versions=(4,), asker=asker) == [('tls', '192.0.2.77', 5061)]
    assert asker.queries == [('udponly.test', 'NAPTR'), ('_sips._tcp.udponly.test', 'SRV'), ('_sip._tcp.udponly.test', 'SRV'), ('udponly.test', 'A')]


def test_naptr_to_nowhere_falls_back_to_srv():
    assert proxy('dangling.test', ip_versions=(4,)) == [('udp', '192.0.2.2', 5070), ('udp', '192.0.2.3', 5070)]


@pytest.mark.parametrize('outcome', [Outcome.TIMEOUT, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.ABSENT])
def test_a_failed_naptr_query_leads_to_srv(outcome):
    asker = Asker(outcomes={'NAPTR': outcome})
    assert proxy('srv.test', supported=['tcp', 'udp'], ip_versions=(4,), asker=asker) == [
        ('tcp', '192.0.2.1', 5070), ('udp', '192.0.2.2', 5070), ('udp', '192.0.2.3', 5070)]


def test_one_srv_query_timing_out_does_not_fail_the_lookup():
    asker = Asker(outcomes={('_sip._udp.srv.test', 'SRV'): Outcome.TIMEOUT})
    assert proxy('srv.test', ip_versions=(4,), asker=asker) == [('tcp', '192.0.2.1', 5070)]


@pytest.mark.parametrize('outcome', [Outcome.TIMEOUT, Outcome.FAILED])
def test_all_srv_queries_failing_leads_to_the_host(outcome):
    asker = Asker(outcomes={'NAPTR': outcome, 'SRV': outcome})
    assert proxy('srv.test', ip_versions=(4,), asker=asker) == [('udp', '192.0.2.99', 5060)]


@pytest.mark.parametrize('kwargs, expected', [
    ({}, ('udp', 5060)), ({'secure': True}, ('tls', 5061)), ({'supported': ['tcp', 'tls']}, ('tcp', 5060)),
    ({'supported': ['tls']}, ('tls', 5061)), ({'supported': ['tls', 'udp']}, ('udp', 5060)),
])
def test_the_last_resort_is_the_host_with_a_default_port(kwargs, expected):
    assert proxy('v6.test', **kwargs) == [(expected[0], '2001:db8::6', expected[1])]


def test_the_transport_parameter_selects_the_srv_name():
    asker = Asker()
    assert proxy('srv.test', transport='TCP', ip_versions=(4,), asker=asker) == [('tcp', '192.0.2.1', 5070)]
    assert asker.queries == [('_sip._tcp.srv.test', 'SRV'), ('a.test.', 'A')]


def test_the_transport_parameter_without_srv_leads_to_the_host():
    asker = Asker()
    assert proxy('srv.test', transport='tls', ip_versions=(4,), asker=asker) == [('tls', '192.0.2.99', 5061)]
    assert asker.queries == [('_sips._tcp.srv.test', 'SRV'), ('srv.test', 'A')]


def test_srv_records_to_nowhere_are_not_replaced_by_the_host():
    error = failure('lost.test')
    assert error.originator == 'remote'
    assert 'lost.test' in str(error)


@pytest.mark.parametrize('transport', [None, 'udp'])
def test_a_service_denied_by_srv_is_not_looked_for_at_the_host(transport):
    asker = Asker()
    error = failure('none.test', transport=transport, asker=asker)
    assert error.originator == 'remote' and 'offers no SIP' in str(error)
    assert ('none.test', 'A') not in asker.queries


def test_a_transport_denied_by_srv_does_not_hurt_the_others():
    assert proxy('partly.test', ip_versions=(4,)) == [('tcp', '192.0.2.1', 5070)]


def test_nothing_at_all_is_a_remote_error():
    error = failure('missing.test')
    assert (error.originator, str(error)) == ('remote', 'no SIP proxy address found for missing.test')


@pytest.mark.parametrize('outcome, originator', [(Outcome.TIMEOUT, 'local'), (Outcome.UNREACHABLE, 'local'), (Outcome.FAILED, 'remote')])
def test_the_reason_of_a_failure_is_told(outcome, originator):
    error = failure('a.test', 5060, asker=Asker(outcomes={'A': outcome}))
    assert error.originator == originator
    assert 'A a.test' in str(error) and 'AAAA' not in str(error)


def test_a_timeout_outweighs_other_failures():
    error = failure('a.test', 5060, asker=Asker(outcomes={'A': Outcome.FAILED, 'AAAA': Outcome.TIMEOUT}))
    assert error.originator == 'local' and 'timeout for AAAA a.test' in str(error)


def test_equal_targets_come_once():
    zone = {('x.test', 'NAPTR'): [naptr(1, 'SIP+D2U', '_sip._udp.x.test.'), naptr(2, 'SIP+D2U', '_sip._udp.x.test.')],
            ('_sip._udp.x.test.', 'SRV'): [SRV(1, 1, 5060, 'h.test.'), SRV(1, 1, 5060, 'h.test.'), SRV(2, 1, 5060, 'h.test.')],
            ('h.test.', 'A'): [Address('192.0.2.1'), Address('192.0.2.1')]}
    assert proxy('x.test', asker=Asker(zone)) == [('udp', '192.0.2.1', 5060)]


def test_a_huge_zone_does_not_make_huge_work():
    zone = {('x.test', 'NAPTR'): [naptr(number, 'SIP+D2U', f'_sip._udp.x{number}.test.') for number in range(100)]}
    for number in range(100):
        zone[f'_sip._udp.x{number}.test.', 'SRV'] = [SRV(1, 1, 5060, f'h{number}-{target}.test.') for target in range(100)]
        for target in range(100):
            zone[f'h{number}-{target}.test.', 'A'] = [Address('192.0.2.1')]
    asker = Asker(zone)
    proxy('x.test', asker=asker)
    assert len(asker.queries) <= 1 + rfc3263.MAX_SERVICES + 2 * rfc3263.MAX_HOSTS


# Weights

def test_srv_order_is_by_priority_and_complete():
    records = [SRV(priority, weight, 5060, f'{priority}-{weight}.test.') for priority in (5, 1, 3) for weight in (0, 10, 90)]
    ordered = rfc3263.order_srv(records, random.Random(7))
    assert [record.priority for record in ordered] == [1, 1, 1, 3, 3, 3, 5, 5, 5]
    assert set(ordered) == set(records)


class Scripted:
    """Returns the given numbers and remembers the ranges it was asked for."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)
        self.ranges = []

    def randint(self, a, b, /):
        self.ranges.append((a, b))
        return self.numbers.pop(0)


@pytest.mark.parametrize('pick, first', [(0, 0), (1, 10), (10, 10), (11, 90), (100, 90)])
def test_the_running_sum_of_rfc_2782(pick, first):
    rng = Scripted(pick, 0, 0)
    ordered = rfc3263.order_srv([SRV(1, 90, 1, 'c.'), SRV(1, 0, 1, 'a.'), SRV(1, 10, 1, 'b.')], rng)
    assert ordered[0].weight == first
    assert rng.ranges[0] == (0, 100)


def test_weights_give_their_shares():
    rng = random.Random(3263)
    records = [SRV(1, weight, 5060, f'w{weight}.') for weight in (0, 10, 90)]
    first = Counter(rfc3263.order_srv(records, rng)[0].weight for _ in range(5000))
    assert 4350 < first[90] < 4650 and 400 < first[10] < 600 and 0 < first[0] < 120


def test_weights_of_zero_share_evenly():
    rng = random.Random(2782)
    records = [SRV(1, 0, 5060, f'{name}.') for name in 'abc']
    first = Counter(rfc3263.order_srv(records, rng)[0].target for _ in range(3000))
    assert all(900 < count < 1100 for count in first.values()) and len(first) == 3


@given(st.lists(st.builds(SRV, st.integers(0, 3), st.integers(0, 65535), st.integers(1, 65535), st.sampled_from(['a.', 'b.', 'c.', 'd.']))), st.integers())
def test_ordering_loses_and_invents_nothing(records, seed):
    ordered = rfc3263.order_srv(records, random.Random(seed))
    assert len(ordered) == len(set(records)) and set(ordered) == set(records)
    assert [record.priority for record in ordered] == sorted(record.priority for record in ordered)


record_strategy = st.one_of(
    st.builds(NAPTR, st.integers(0, 9), st.integers(0, 9), st.sampled_from(['s', 'a', 'u', '']), st.sampled_from(['SIP+D2U', 'SIP+D2T', 'SIPS+D2T', 'X']),
              st.sampled_from(['', '!a!b!']), st.sampled_from(['.', '', 'h.test.', '_sip._udp.h.test.'])),
    st.builds(SRV, st.integers(0, 2), st.integers(0, 9), st.integers(0, 65535), st.sampled_from(['.', '', 'h.test.', 'i.test.'])),
    st.builds(Address, st.sampled_from(['192.0.2.1', '2001:db8::1'])),
    st.builds(Text, st.tuples(st.binary(max_size=20))),
)


@given(st.data(), st.booleans(), st.sampled_from([None, 'udp', 'tcp', 'tls']), st.sampled_from([None, 5070]),
       st.lists(st.sampled_from(ALL), min_size=1, unique=True))
def test_any_replies_give_supported_targets_or_a_lookup_error(data, secure, transport, port, supported):
    """Records of the wrong type, too, are what a broken server may send."""
    steps = rfc3263.sip_proxy('x.test', port, transport, secure, supported)
    try:
        queries = next(steps)
        for _ in range(10):
            replies = [Reply(data.draw(st.sampled_from(Outcome)), tuple(data.draw(st.lists(record_strategy, max_size=4)))) for _ in queries]
            queries = steps.send(replies)
        pytest.fail('does not end')
    except StopIteration as stop:
        assert stop.value and all(isinstance(target, Target) and 0 < target.port < 65536 for target in stop.value)
        order = [supported.index(target.transport) for target in stop.value]
        assert order == sorted(order)
        if secure:
            assert {target.transport for target in stop.value} == {'tls'}
    except DNSLookupError as error:
        assert str(error)


# Services

SERVICE_ZONE = {
    ('_stun._udp.lab.test', 'SRV'): [SRV(1, 1, 13478, 'turn.test.')],
    ('_turn._udp.lab.test', 'SRV'): [SRV(1, 1, 13479, 'turn.test.')],
    ('_turns._tcp.lab.test', 'SRV'): [SRV(1, 1, 15349, 'turn.test.')],
    ('_msrps._tcp.lab.test', 'SRV'): [SRV(1, 1, 12856, 'turn.test.')],
    ('turn.test.', 'A'): [Address('192.0.2.9')],
    ('plain.test', 'A'): [Address('192.0.2.10')],
    ('_stun._udp.none.test', 'SRV'): [SRV(0, 0, 0, '.')],
    ('none.test', 'A'): [Address('192.0.2.11')],
}


def find_service(host, name, port=None, **kwargs):
    return Asker(SERVICE_ZONE, **kwargs).run(rfc3263.service(host, port, name))


@pytest.mark.parametrize('name, srv_port, default_port', [('stun', 13478, 3478), ('turn', 13479, 3478), ('turns', 15349, 5349), ('msrprelay', 12856, 2855)])
def test_services(name, srv_port, default_port):
    assert find_service('lab.test', name) == [('192.0.2.9', srv_port)]
    assert find_service('plain.test', name) == [('192.0.2.10', default_port)]
    assert find_service('plain.test', name, port=1234) == [('192.0.2.10', default_port)]
    assert find_service('192.0.2.4', name) == [('192.0.2.4', default_port)]
    assert find_service('192.0.2.4', name, port=1234) == [('192.0.2.4', 1234)]


def test_a_service_falls_back_to_the_host_when_srv_fails():
    assert find_service('plain.test', 'stun', outcomes={'SRV': Outcome.TIMEOUT}) == [('192.0.2.10', 3478)]


def test_unknown_missing_and_denied_services():
    for host, name, originator in (('lab.test', 'ftp', 'local'), ('missing.test', 'stun', 'remote'), ('none.test', 'stun', 'remote'), ('', 'stun', 'local')):
        with pytest.raises(DNSLookupError) as info:
            find_service(host, name)
        assert info.value.originator == originator


# XCAP

def xcap(*strings, host='lab.test', outcomes=()):
    zone = {('xcap.lab.test', 'TXT'): [Text(tuple(item if isinstance(item, tuple) else (item,))) for item in strings]}
    return Asker(zone, outcomes).run(rfc3263.xcap_root(host))


def test_xcap_roots_are_all_http_urls():
    assert xcap(b'http://a.test/root/', b'v=spf1 -all', (b'HTTPS://b.test:8443/x', b'junk'), b'http://a.test/root/') == ['http://a.test/root/', 'HTTPS://b.test:8443/x']


def test_a_long_url_is_joined():
    url = b'http://a.test/' + b'x' * 300
    assert xcap((url[:255], url[255:])) == [url.decode()]


@pytest.mark.parametrize('value', [b'', b'ftp://a.test/', b'http:///path', b'http://', b'root=http://a.test/', b'http://a.test:99999/', b'http://a.test:0/',
                                   b'http://a b/', b'http://a.test/\n', b' http://a.test/', b'http://[::1/', b'http://\xc3\xa9.test/', b'http://a.test/<x>'])
def test_what_is_not_an_http_url_is_ignored(value):
    with pytest.raises(DNSLookupError) as info:
        xcap(value)
    assert info.value.originator == 'remote'


def test_xcap_failures():
    for host, outcomes, originator in (('192.0.2.1', (), 'local'), ('lab.test', {'TXT': Outcome.TIMEOUT}, 'local'), ('lab.test', {'TXT': Outcome.ABSENT}, 'remote')):
        with pytest.raises(DNSLookupError) as info:
            xcap(b'http://a.test/', host=host, outcomes=outcomes)
        assert info.value.originator == originator


# Authoritative servers

def test_authoritative_servers_are_those_of_the_closest_zone():
    zone = {('example.test', 'NS'): [NS('ns1.other.test.'), NS('ns2.other.test.')], ('ns1.other.test.', 'A'): [Address('192.0.2.53')],
            ('test', 'NS'): [NS('ns1.other.test.')]}
    asker = Asker(zone)
    assert asker.run(rfc3263.authoritative_servers('sip.example.test.', (4,))) == ['192.0.2.53']
    assert asker.queries == [('sip.example.test', 'NS'), ('example.test', 'NS'), ('ns1.other.test.', 'A'), ('ns2.other.test.', 'A')]


@pytest.mark.parametrize('host, outcomes, asked', [('a.b.test', {}, 2), ('a.b.test', {'NS': Outcome.TIMEOUT}, 1), ('192.0.2.1', {}, 0), ('test', {}, 0)])
def test_unknown_authoritative_servers(host, outcomes, asked):
    asker = Asker({('test', 'NS'): [NS('a.test.')]}, outcomes)
    assert asker.run(rfc3263.authoritative_servers(host)) == []
    assert len(asker.queries) == asked
