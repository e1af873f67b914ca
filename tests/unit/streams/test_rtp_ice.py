"""Where the STUN servers of a stream come from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.streams.rtp import ice


@pytest.fixture
def lookups(monkeypatch):
    """Name lookups without a network; what was asked for."""
    asked = []
    answers = {'example.com': [('192.0.2.1', 3478), ('192.0.2.2', 3479)], 'stun.example.org': [('192.0.2.3', 4000)]}

    class Lookup:
        def lookup_service(self, uri, service):
            asked.append((uri.host, uri.port, service))

            def wait():
                if uri.host not in answers:
                    raise RuntimeError('no such domain')
                return answers[uri.host]
            return SimpleNamespace(wait=wait)
    monkeypatch.setattr('sipsimple.lookup.DNSLookup', Lookup)
    monkeypatch.setattr('sipsimple.threading.green.call_in_green_thread', lambda function, *args: function(*args))
    return asked


def account(*servers, domain='example.com'):
    return SimpleNamespace(id=SimpleNamespace(domain=domain) if domain else 'bonjour@local', nat_traversal=SimpleNamespace(
        stun_server_list=[SimpleNamespace(host=host, port=port) for host, port in servers] or None))


@pytest.mark.parametrize('servers, domain, expected, asked', [
    ([('192.0.2.9', 3478)], 'example.com', [('192.0.2.9', 3478)], []),
    ([('192.0.2.9', 3478), ('stun.example.org', 4000)], None, [('192.0.2.9', 3478), ('192.0.2.3', 4000)], [('192.0.2.9', 3478), ('stun.example.org', 4000)]),
    ([], 'example.com', [('192.0.2.1', 3478), ('192.0.2.2', 3479)], [('example.com', None)]),
    ([], 'nowhere.example', [], [('nowhere.example', None)]),
    ([], 'local', [], []),
    ([], None, [], []),
])
def test_servers(lookups, servers, domain, expected, asked):
    found = []
    if servers:
        # An address is answered by the lookup as it is.
        import sipsimple.lookup
        plain = sipsimple.lookup.DNSLookup.lookup_service

        def lookup(self, uri, service):
            waitable = plain(self, uri, service)
            return SimpleNamespace(wait=lambda: [(uri.host, uri.port)]) if uri.host[0].isdigit() else waitable
        sipsimple.lookup.DNSLookup.lookup_service = lookup
    ice.find_stun_servers(account(*servers, domain=domain), found.extend)
    assert found == expected
    assert [each[:2] for each in lookups] == asked and {each[2] for each in lookups} <= {'stun'}
