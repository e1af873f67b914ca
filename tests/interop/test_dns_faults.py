"""The resolver against servers with faults, scripted, on loopback."""

from __future__ import annotations

import asyncio
import socket
import time

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import pytest

from sipsimple.lookup.resolver import AnswerCache, Resolver
from tests.support.dns_server import ScriptedServer, answer

SOA = 'test. 60 IN SOA ns.test. root.test. 1 3600 600 86400 30'
GOOD = 'a.test. 60 IN A 192.0.2.1'


def ask(servers, name='a.test', kind='A', lifetime=5.0, timeout=2.0, **kwargs):
    """Return the texts of the records."""
    endpoints = [server.endpoint if isinstance(server, ScriptedServer) else server for server in servers]
    resolver = Resolver(endpoints, timeout, **kwargs)
    return sorted(rdata.to_text() for rdata in asyncio.run(resolver.query(name, kind, lifetime)))


def good(query, protocol):
    return [answer(query, GOOD)]


def rcode(code, edns=True):
    return lambda query, protocol: [answer(query, rcode=code, edns=edns)]


@pytest.fixture
def good_server():
    with ScriptedServer(good) as server:
        yield server


@pytest.fixture
def closed_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    return ('127.0.0.1', port)


def test_an_answer(good_server):
    assert ask([good_server]) == ['192.0.2.1']
    (name, kind, protocol, query), = good_server.queries
    assert (name, kind, protocol) == ('a.test', 'A', 'udp')
    assert query.flags & dns.flags.RD and query.edns == 0 and query.payload == 1232


def test_a_server_on_ipv6():
    with ScriptedServer(good, address='::1') as server:
        assert ask([server]) == ['192.0.2.1']


@pytest.mark.parametrize('handler', [
    rcode(dns.rcode.SERVFAIL), rcode(dns.rcode.REFUSED), rcode(dns.rcode.NOTIMP), rcode(dns.rcode.FORMERR), rcode(dns.rcode.NOTAUTH),
    lambda query, protocol: [answer(query, authority=['test. 60 IN NS ns.test.'])],
    lambda query, protocol: [answer(query, GOOD, rcode=dns.rcode.NXDOMAIN)],
], ids=['servfail', 'refused', 'notimp', 'formerr', 'notauth', 'referral', 'contradiction'])
def test_the_next_server_is_asked_at_once(handler, good_server):
    with ScriptedServer(handler) as broken:
        assert ask([broken, good_server], timeout=30, lifetime=30) == ['192.0.2.1']
        assert 1 <= len(broken.queries) <= 2
        with pytest.raises(dns.resolver.NoNameservers) as info:
            ask([broken], timeout=30, lifetime=30)
    assert info.value.kwargs['errors'][0][4] is not None


def test_a_closed_port_is_noticed_at_once(closed_port, good_server):
    assert ask([closed_port, good_server], timeout=30, lifetime=30) == ['192.0.2.1']
    with pytest.raises(dns.resolver.NoNameservers) as info:
        ask([closed_port], timeout=30, lifetime=30)
    assert info.value.kwargs['errors'][0][4] is None


def test_no_servers():
    with pytest.raises(dns.resolver.NoNameservers):
        ask([])


def test_a_silent_server_costs_its_timeout_only(good_server):
    with ScriptedServer(lambda query, protocol: []) as silent:
        started = time.monotonic()
        assert ask([silent, good_server], timeout=0.2, lifetime=30) == ['192.0.2.1']
        assert 0.2 <= time.monotonic() - started < 5
        assert len(silent.queries) == 1


def test_silence_ends_with_the_lifetime():
    with ScriptedServer(lambda query, protocol: []) as silent:
        started = time.monotonic()
        with pytest.raises(dns.resolver.LifetimeTimeout):
            ask([silent], timeout=0.1, lifetime=0.45)
        assert 0.45 <= time.monotonic() - started < 3
        assert 2 <= len(silent.queries) <= 5


def test_a_lost_datagram_is_sent_again():
    seen = []

    def handler(query, protocol):
        seen.append(query)
        return good(query, protocol) if len(seen) == 2 else []
    with ScriptedServer(handler) as server:
        assert ask([server], timeout=0.2) == ['192.0.2.1']
    assert seen[0].id != seen[1].id


def test_forgeries_and_garbage_are_dropped_and_the_answer_still_counts():
    def handler(query, protocol):
        wrong_id = answer(query, 'a.test. 60 IN A 203.0.113.1')
        wrong_id.id ^= 0x5555
        wrong_question = dns.message.make_query('b.test', 'A')
        wrong_question.id = query.id
        no_response = dns.message.make_query('a.test', 'A')
        no_response.id = query.id
        real = answer(query, GOOD).to_wire()
        return [b'x', b'\x00' * 12, real[:-5], bytes(range(256)), wrong_id, answer(wrong_question, 'b.test. 60 IN A 203.0.113.2'), no_response, real]
    with ScriptedServer(handler) as server:
        assert ask([server]) == ['192.0.2.1']
        assert len(server.queries) == 1


def test_garbage_alone_is_a_timeout():
    with ScriptedServer(lambda query, protocol: [b'\xff' * 40, b'']) as server, pytest.raises(dns.resolver.LifetimeTimeout):
        ask([server], timeout=0.2, lifetime=0.2)


def test_other_senders_are_not_heard(good_server):
    """The socket is connected: a datagram from another port does not arrive, whatever it says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('127.0.0.1', 0))

        def handler(query, protocol):
            forged = answer(query, 'a.test. 60 IN A 203.0.113.1').to_wire()
            other.sendto(forged, handler.peer)
            return [answer(query, GOOD)]
        with ScriptedServer(handler) as server:
            original = server._udp.recvfrom

            class Spy:
                """Notes the peer before the handler runs."""

                def __getattr__(self, name):
                    return getattr(server_socket, name)

                def recvfrom(self, size):
                    wire, handler.peer = original(size)
                    return wire, handler.peer
            server_socket = server._udp
            server._udp = Spy()
            server_socket.sendto(b'', server.endpoint)     # the thread goes round and meets the spy
            assert ask([server]) == ['192.0.2.1']


@pytest.mark.parametrize('code', [dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.SERVFAIL])
def test_a_server_without_edns_is_asked_without(code):
    def handler(query, protocol):
        return [answer(query, rcode=code, edns=False)] if query.edns >= 0 else good(query, protocol)
    with ScriptedServer(handler) as server:
        assert ask([server]) == ['192.0.2.1']
        assert [query.edns for *_, query in server.queries] == [0, -1]


def test_an_edns_version_not_known_leads_to_a_query_without():
    def handler(query, protocol):
        return [answer(query, rcode=dns.rcode.BADVERS)] if query.edns >= 0 else good(query, protocol)
    with ScriptedServer(handler) as server:
        assert ask([server]) == ['192.0.2.1']


def test_a_server_dropping_edns_queries_is_asked_without():
    with ScriptedServer(lambda query, protocol: good(query, protocol) if query.edns < 0 else []) as server:
        assert ask([server], timeout=0.2) == ['192.0.2.1']
        assert [query.edns for *_, query in server.queries] == [0, -1]


def truncating(tcp_answer):
    def handler(query, protocol):
        if protocol == 'tcp':
            return tcp_answer(query)
        return [answer(query, flags=dns.flags.TC)]
    return handler


def test_truncation_leads_to_tcp():
    records = [f'a.test. 60 IN A 192.0.2.{number}' for number in range(250)]
    with ScriptedServer(truncating(lambda query: [answer(query, *records)])) as server:
        assert len(ask([server])) == 250
        assert [protocol for _, _, protocol, _ in server.queries] == ['udp', 'tcp']


def test_truncation_in_the_middle_of_a_record():
    def handler(query, protocol):
        whole = answer(query, GOOD, flags=dns.flags.TC if protocol == 'udp' else 0, edns=False).to_wire()
        return [whole[:-3] if protocol == 'udp' else whole]
    with ScriptedServer(handler) as server:
        assert ask([server], lifetime=2) == ['192.0.2.1']


@pytest.mark.parametrize('tcp_answer', [
    lambda query: [b''], lambda query: [b'junk'], lambda query: [answer(dns.message.make_query('b.test', 'A'))], lambda query: []
], ids=['empty', 'junk', 'wrong question', 'closed'])
def test_a_broken_answer_over_tcp_leads_to_the_next_server(tcp_answer, good_server):
    with ScriptedServer(truncating(tcp_answer)) as server:
        assert ask([server, good_server], timeout=30, lifetime=30) == ['192.0.2.1']


def test_truncation_without_tcp_leads_to_the_next_server(good_server):
    with ScriptedServer(truncating(lambda query: []), tcp=False) as server:
        assert ask([server, good_server], timeout=30, lifetime=30) == ['192.0.2.1']


# Aliases

def test_an_alias_in_one_answer():
    with ScriptedServer(lambda query, protocol: [answer(query, 'www.test. 60 IN CNAME a.test.', GOOD)]) as server:
        assert ask([server], 'www.test') == ['192.0.2.1']
        assert server.names() == [('www.test', 'A')]


def test_an_alias_alone_is_followed():
    def handler(query, protocol):
        name = query.question[0].name.to_text()
        return [answer(query, f'{name} 60 IN CNAME a.test.') if name != 'a.test.' else answer(query, GOOD)]
    with ScriptedServer(handler) as server:
        assert ask([server], 'www.test') == ['192.0.2.1']
        assert server.names() == [('www.test', 'A'), ('a.test', 'A')]


def test_an_alias_to_nowhere():
    with ScriptedServer(lambda query, protocol: [answer(query, 'www.test. 60 IN CNAME gone.test.', authority=[SOA], rcode=dns.rcode.NXDOMAIN)]) as server, \
            pytest.raises(dns.resolver.NXDOMAIN):
        ask([server], 'www.test')


@pytest.mark.parametrize('target', [
    lambda number: number + 1, lambda number: (number + 1) % 2, lambda number: number
], ids=['endless', 'circle', 'itself'])
def test_endless_aliases_end(target):
    def handler(query, protocol):
        name = query.question[0].name.to_text()
        return [answer(query, f'{name} 60 IN CNAME n{target(int(name[1:-6]))}.test.')]
    with ScriptedServer(handler) as server:
        with pytest.raises((dns.message.ChainTooLong, dns.resolver.NoAnswer)):
            ask([server], 'n0.test', timeout=30, lifetime=30)
        assert len(server.queries) <= 8


def test_a_circle_in_one_answer_ends():
    with ScriptedServer(lambda query, protocol: [answer(query, 'n0.test. 60 IN CNAME n1.test.', 'n1.test. 60 IN CNAME n0.test.')]) as server, \
            pytest.raises(dns.message.ChainTooLong):
        ask([server], 'n0.test', timeout=30, lifetime=30)


# Denials and the cache

@pytest.mark.parametrize('code, error', [(dns.rcode.NOERROR, dns.resolver.NoAnswer), (dns.rcode.NXDOMAIN, dns.resolver.NXDOMAIN)])
def test_denials_are_final_and_kept_when_they_say_for_how_long(code, error, good_server):
    cache = AnswerCache()
    for authority in ([], [SOA]):
        with ScriptedServer(lambda query, protocol, authority=authority: [answer(query, authority=authority, rcode=code)]) as server:
            for _ in range(3):
                with pytest.raises(error):
                    ask([server, good_server], cache=cache)
            assert len(server.queries) == (1 if authority else 3)
    assert good_server.queries == []


def test_answers_are_kept_for_their_ttl_and_per_server():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now
    clock = Clock()
    cache = AnswerCache(clock=clock)
    with ScriptedServer(good) as first, ScriptedServer(good) as second:
        for _ in range(2):
            assert ask([first], cache=cache) == ['192.0.2.1']
        assert ask([first], 'A.TEST', cache=cache) == ['192.0.2.1']
        assert len(first.queries) == 1
        assert ask([second], cache=cache) == ['192.0.2.1']
        assert len(second.queries) == 1
        clock.now = 60
        assert ask([first], cache=cache) == ['192.0.2.1']
        assert len(first.queries) == 2


def test_an_alias_shortens_the_ttl():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now
    clock = Clock()
    cache = AnswerCache(clock=clock)

    def handler(query, protocol):
        return [answer(query, 'www.test. 5 IN CNAME a.test.') if query.question[0].name.to_text() == 'www.test.' else answer(query, GOOD)]
    with ScriptedServer(handler) as server:
        ask([server], 'www.test', cache=cache)
        clock.now = 5
        ask([server], 'www.test', cache=cache)
        assert server.names().count(('www.test', 'A')) == 2


def test_failures_and_timeouts_are_not_kept():
    cache = AnswerCache()
    with ScriptedServer(rcode(dns.rcode.SERVFAIL)) as server, pytest.raises(dns.resolver.NoNameservers):
        ask([server], cache=cache)
    with ScriptedServer(lambda query, protocol: []) as server, pytest.raises(dns.resolver.LifetimeTimeout):
        ask([server], cache=cache, timeout=0.1, lifetime=0.1)
    assert len(cache) == 0


# Authoritative servers

@pytest.mark.parametrize('flags, accepted', [(dns.flags.AA, True), (0, False)])
def test_only_the_word_of_an_authority_counts_without_recursion(flags, accepted):
    with ScriptedServer(lambda query, protocol: [answer(query, flags=flags)]) as server:
        with pytest.raises(dns.resolver.NoAnswer if accepted else dns.resolver.NoNameservers):
            ask([server], recursion=False)
        assert not server.queries[0][3].flags & dns.flags.RD


# Names

@pytest.mark.parametrize('name', ['a..test', '.a.test', 'a' * 64 + '.test', '.'.join(['abcdefgh'] * 40)])
def test_what_is_not_a_domain_name_is_refused_without_a_query(name, good_server):
    with pytest.raises((dns.exception.DNSException, UnicodeError)):
        ask([good_server], name)
    assert good_server.queries == []


def test_international_names_are_encoded():
    with ScriptedServer(lambda query, protocol: [answer(query, 'xn--bcher-kva.test. 60 IN A 192.0.2.1')]) as server:
        assert ask([server], 'bücher.test') == ['192.0.2.1']
        assert server.names() == [('xn--bcher-kva.test', 'A')]


def test_many_queries_side_by_side():
    def handler(query, protocol):
        name = query.question[0].name.to_text()
        return [answer(query, f'{name} 60 IN A 192.0.2.{int(name[1:-6])}')]

    async def run(endpoint):
        resolver = Resolver([endpoint])
        answers = await asyncio.gather(*(resolver.query(f'n{number}.test', 'A') for number in range(100)))
        return [result[0].address for result in answers]
    with ScriptedServer(handler) as server:
        assert asyncio.run(run(server.endpoint)) == [f'192.0.2.{number}' for number in range(100)]
