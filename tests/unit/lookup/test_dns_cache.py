"""The resolver's parts which need no network: cache, server addresses, the system's configuration."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sipsimple.lookup.resolver import MAX_NEGATIVE_TTL, MAX_TTL, AnswerCache, normalize_nameserver, system_configuration


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_an_answer_lives_for_its_ttl(clock):
    cache = AnswerCache(clock=clock)
    cache.put('key', 'answer', 10)
    clock.now += 9.9
    assert cache.get('key') == 'answer'
    clock.now += 0.1
    assert cache.get('key') is None
    assert len(cache) == 0


def test_no_answer_lives_longer_than_an_hour(clock):
    cache = AnswerCache(clock=clock)
    cache.put('key', 'answer', 86400)
    clock.now += MAX_TTL - 1
    assert cache.get('key') == 'answer'
    clock.now += 1
    assert MAX_TTL == 3600 and cache.get('key') is None


def test_a_denial_lives_shorter(clock):
    cache = AnswerCache(clock=clock)
    error = Exception('absent')
    cache.put('key', error, 86400)
    clock.now += MAX_NEGATIVE_TTL - 1
    assert cache.get('key') is error
    clock.now += 1
    assert cache.get('key') is None


def test_a_ttl_of_zero_stores_nothing_and_forgets_what_was(clock):
    cache = AnswerCache(clock=clock)
    cache.put('key', 'old', 10)
    cache.put('key', 'new', 0)
    assert cache.get('key') is None


def test_the_least_used_entry_makes_room(clock):
    cache = AnswerCache(size=3, clock=clock)
    for key in 'abc':
        cache.put(key, key, 10)
    cache.get('a')
    cache.put('d', 'd', 10)
    assert [cache.get(key) for key in 'abcd'] == ['a', None, 'c', 'd']
    cache.clear()
    assert len(cache) == 0


@pytest.mark.parametrize('value, expected', [
    ('192.0.2.1', '192.0.2.1'), (('192.0.2.1', 53), '192.0.2.1'), (('192.0.2.1', 5353), ('192.0.2.1', 5353)), (['127.0.0.1', 15353], ('127.0.0.1', 15353)),
    ('2001:DB8::1', '2001:db8::1'), (('::1', 15353), ('::1', 15353)), ('fe80::1%eth0', 'fe80::1%eth0'),
])
def test_nameservers_are_normalized(value, expected):
    assert normalize_nameserver(value) == expected


@pytest.mark.parametrize('value', ['', 'ns.example.com', '192.0.2.1:53', '999.1.1.1', ('192.0.2.1', 0), ('192.0.2.1', 65536), ('192.0.2.1', '53'), ('192.0.2.1', True),
                                   ('192.0.2.1',), (1, 53), None, 5, b'192.0.2.1'])
def test_bad_nameservers_are_refused(value):
    with pytest.raises(ValueError):
        normalize_nameserver(value)


def test_the_system_configuration_is_read(tmp_path):
    path = tmp_path / 'resolv.conf'
    path.write_text('# comment\nnameserver 192.0.2.1\nnameserver ::1\nsearch example.com office.local local lan\noptions ndots:2\n')
    assert system_configuration(str(path)) == (['192.0.2.1', '::1'], ['example.com', 'lan'], '')
    path.write_text('nameserver 192.0.2.1\ndomain example.com\n')
    assert system_configuration(str(path))[2] == 'example.com'


@pytest.mark.parametrize('content', [None, '', 'nameserver\n', 'nameserver nonsense\n'])
def test_a_missing_or_useless_system_configuration_is_empty(tmp_path, content):
    path = tmp_path / 'resolv.conf'
    if content is not None:
        path.write_text(content)
    assert system_configuration(str(path))[0] == []


def test_importing_the_package_is_cheap():
    code = 'import sys, sipsimple.lookup; print(sorted(name for name in ("dns", "twisted.internet", "eventlet", "sipsimple.core") if name in sys.modules))'
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True).stdout.strip() == '[]'
