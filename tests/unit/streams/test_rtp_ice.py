"""Where the STUN and TURN servers of a stream come from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import Route, SDPAttribute, SDPConnection, SDPMediaStream
from sipsimple.streams.rtp import ice


@pytest.fixture
def lookups(monkeypatch):
    """Name lookups without a network; what was asked for."""
    asked = []
    services = {'example.com': [('192.0.2.1', 3478), ('192.0.2.2', 3479)]}
    hosts = {'stun.example.org': '192.0.2.3'}

    class Lookup:
        def lookup_service(self, uri, service):
            asked.append((uri.host, None, service))
            return SimpleNamespace(wait=lambda: answer(services, uri.host))

        def lookup_sip_proxy(self, uri, transports):
            asked.append((uri.host, uri.port, 'host'))
            return SimpleNamespace(wait=lambda: [Route(answer(hosts, uri.host), port=uri.port)])

    def answer(table, host):
        if host not in table:
            raise RuntimeError('no such domain')
        return table[host]
    monkeypatch.setattr('sipsimple.lookup.DNSLookup', Lookup)
    monkeypatch.setattr('sipsimple.threading.green.call_in_green_thread', lambda function, *args: function(*args))
    return asked


def account(*servers, domain='example.com', turn=None):
    return SimpleNamespace(id=SimpleNamespace(domain=domain) if domain else 'bonjour@local', nat_traversal=SimpleNamespace(
        stun_server_list=[SimpleNamespace(host=host, port=port) for host, port in servers] or None,
        turn_server=turn and SimpleNamespace(host=turn[0], port=turn[1], transport=turn[2]), turn_username='alice', turn_password='secret'))


def servers_of(account):
    found = []
    ice.find_servers(account, found.append)
    [servers] = found
    return servers


@pytest.mark.parametrize('servers, domain, expected, asked', [
    ([('192.0.2.9', 3478)], 'example.com', [('192.0.2.9', 3478)], []),
    ([('192.0.2.9', 3478), ('stun.example.org', 4000)], None, [('192.0.2.9', 3478), ('192.0.2.3', 4000)], [('stun.example.org', 4000, 'host')]),
    # The usual port is what a domain has in the settings, too: then its SRV records count.
    ([('example.com', 3478)], None, [('192.0.2.1', 3478), ('192.0.2.2', 3479)], [('example.com', None, 'stun')]),
    ([], 'example.com', [('192.0.2.1', 3478), ('192.0.2.2', 3479)], [('example.com', None, 'stun')]),
    ([], 'nowhere.example', [], [('nowhere.example', None, 'stun')]),
    ([], 'local', [], []),
    ([], None, [], []),
])
def test_stun_servers(lookups, servers, domain, expected, asked):
    assert servers_of(account(*servers, domain=domain)) == ice.Servers(expected)
    assert lookups == asked


def relay(address, port, transport='udp', name=None):
    return ice.TURNServer(address, port, transport, 'alice', 'secret', name or address)


@pytest.mark.parametrize('servers, turn, expected, asked', [
    # It is a STUN server as well, but over UDP only.
    ([], ('192.0.2.8', 3478, 'udp'), ice.Servers([('192.0.2.8', 3478)], relay('192.0.2.8', 3478)), []),
    ([], ('192.0.2.8', 3478, 'tcp'), ice.Servers([], relay('192.0.2.8', 3478, 'tcp')), []),
    ([('192.0.2.9', 3478)], ('192.0.2.8', 4000, 'udp'), ice.Servers([('192.0.2.9', 3478)], relay('192.0.2.8', 4000)), []),
    ([('192.0.2.9', 3478)], ('example.com', 3478, 'udp'), ice.Servers([('192.0.2.9', 3478)], relay('192.0.2.1', 3478, name='example.com')), [('example.com', None, 'turn')]),
    ([], ('example.com', 5349, 'tls'), ice.Servers([], relay('192.0.2.1', 3478, 'tls', 'example.com')), [('example.com', None, 'turns')]),
    ([], ('stun.example.org', 443, 'tls'), ice.Servers([], relay('192.0.2.3', 443, 'tls', 'stun.example.org')), [('stun.example.org', 443, 'host')]),
    ([('192.0.2.9', 3478)], ('nowhere.example', 3478, 'udp'), ice.Servers([('192.0.2.9', 3478)]), [('nowhere.example', None, 'turn')]),
])
def test_turn_server(lookups, servers, turn, expected, asked):
    assert servers_of(account(*servers, turn=turn)) == expected
    assert lookups == asked


def test_password_is_not_printed():
    assert 'secret' not in repr(relay('192.0.2.1', 3478)) and relay('192.0.2.1', 3478).arguments['turn_password'] == 'secret'


def test_a_line_without_ice():
    """The ports are those of the sockets of this host, whatever a NAT or a relay made of them."""
    candidates = ['1 1 UDP 1 192.0.2.1 50000 typ relay raddr 0.0.0.0 rport 9', '2 1 UDP 9 10.0.0.1 4000 typ host', '2 2 UDP 8 10.0.0.1 4001 typ host',
                  '3 1 UDP 9 10.9.0.1 4000 typ host', 'cut short']
    media = SDPMediaStream('audio', 50000, 'RTP/AVP', formats=['0'], connection=SDPConnection('192.0.2.1'), attributes=[
        SDPAttribute('rtpmap', '0 PCMU/8000'), SDPAttribute('rtcp', '50001 IN IP4 192.0.2.1'), SDPAttribute('ice-ufrag', 'a'), SDPAttribute('ice-pwd', 'b'),
        *(SDPAttribute('candidate', text) for text in candidates), SDPAttribute('sendrecv', '')])
    ice.leave(media)
    assert (media.port, media.connection) == (4000, None)
    assert [(attribute.name, attribute.value) for attribute in media.attributes] == [('rtpmap', '0 PCMU/8000'), ('sendrecv', ''), ('rtcp', '4001')]
    assert not media.has_ice_attributes and not media.has_ice_candidates


def test_a_line_without_candidates_of_this_host_keeps_its_port():
    media = SDPMediaStream('audio', 50000, 'RTP/AVP', formats=['0'], connection=SDPConnection('192.0.2.1'), attributes=[SDPAttribute('ice-ufrag', 'a')])
    ice.leave(media)
    assert (media.port, media.connection, list(media.attributes)) == (50000, None, [])
