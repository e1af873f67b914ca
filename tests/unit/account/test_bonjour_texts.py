"""TXT records, names of instances, DNS messages."""

from __future__ import annotations

import random
import socket
import struct

import pytest
from hypothesis import given, strategies as st
from zeroconf import DNSIncoming, DNSNsec, DNSOutgoing, ServiceInfo

from sipsimple.account.bonjour import BonjourNeighbourRecord, BonjourPresenceState, BonjourServiceDescription
from sipsimple.account.bonjour.txt import MAX_INSTANCE, build, clip, host_label, instance_name, parse, read
from sipsimple.account.bonjour.wire import join_labels
from sipsimple.core import FrozenSIPURI


def test_values():
    one, two = BonjourServiceDescription('a', '_sipuri._udp'), BonjourServiceDescription('a', '_sipuri._udp', 'local')
    assert one == two and hash(one) == hash(two) and one < BonjourServiceDescription('b', '_sipuri._udp') and one != BonjourServiceDescription('a', '_sipuri._tcp')
    assert (one.name, one.type, one.domain) == ('a', '_sipuri._udp', 'local')
    assert BonjourPresenceState('busy') == BonjourPresenceState('busy', None) != BonjourPresenceState('busy', 'note')


# ---- TXT records -------------------------------------------------------------------------------------------------------

def test_txt_record():
    items = {'txtvers': '1', 'name': 'Böb ☎', 'contact': '<sip:bob@10.0.0.1>', 'note': None, 'state': ''}
    data = build(items)
    assert data == b'\x09txtvers=1' + bytes([5 + 8]) + 'name=Böb ☎'.encode() + b'\x1acontact=<sip:bob@10.0.0.1>' + b'\x06state='
    assert parse(data) == {key: value for key, value in items.items() if value is not None}
    assert parse(b'') == {} and parse(b'\0') == {} and build({}) == b''


def test_long_values_are_cut_at_a_character():
    data = build({'name': '€' * 200})
    assert data[0] == len(data) - 1 <= 255 and parse(data) == {'name': '€' * 83}
    assert clip('aé', 2) == 'a' and clip('aé', 3) == 'aé' and clip('\ud800x', 10) == '?x'
    with pytest.raises(ValueError, match='too long'):
        build({'contact': 'x' * 248})
    assert len(build({'contact': 'x' * 247})) == 256


def test_what_is_not_as_it_should_be():
    assert parse(b'\x06NAME=a\x06name=b') == {'name': 'a'}              # RFC 6763 section 6.4: any case, the first counts
    assert parse(b'\x04flag\x02=x\x03a=b') == {'a': 'b'}
    assert parse(b'\xffname=cut short') == {'name': 'cut short'}
    assert parse(b'\x08name=\xff\xfeA') == {'name': '\ufffd\ufffdA'}
    assert parse(b'\x09name=a\x00\nb\x7f') == {'name': 'ab'}
    assert len(parse(b''.join(b'\x05%04x=' % number for number in range(1000)))) == 64


@given(st.binary(max_size=600))
def test_any_bytes_are_read(data):
    items = parse(data)
    assert all(isinstance(value, str) and len(value.encode()) <= 3 * 255 for value in items.values())
    try:
        found = read(data, 'x', 'host.local.')
    except ValueError:
        return
    assert isinstance(found.record.uri, FrozenSIPURI)


# ---- names -------------------------------------------------------------------------------------------------------------

def test_names_of_instances():
    assert instance_name('sip:alice@10.0.0.1:5062;transport=tcp') == 'sip:alice@10.0.0.1:5062;transport=tcp'
    first, second = (instance_name(f'sip:alice@[2001:db8:1111:2222:3333:4444:5555:6666]:5062;transport={name}') for name in ('tcp', 'tls'))
    assert first != second and len(first) == len(second) == MAX_INSTANCE and first.startswith('sip:alice@[2001:db8:')
    assert len(instance_name('sip:' + 'é' * 100 + '@host').encode()) <= MAX_INSTANCE


def test_names_of_hosts(monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'Bob\'s löptop.example.com')
    label = host_label('id', 'bob')
    assert label.startswith('Bob-s-l-ptop-') and len(label) == len('Bob-s-l-ptop-') + 8
    assert label != host_label('id', 'alice') != host_label('other', 'alice')
    monkeypatch.setattr(socket, 'gethostname', lambda: '...')
    assert host_label('id', 'bob').startswith('host-')
    monkeypatch.setattr(socket, 'gethostname', lambda: 'a' * 64)
    assert len(host_label('id', 'bob')) == 49


# ---- neighbours --------------------------------------------------------------------------------------------------------

def test_neighbour(monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'laptop')
    text = build({'txtvers': '1', 'name': 'Bob', 'contact': '<sip:bob@10.0.0.1:5062;transport=tls>', 'instance_id': 'id', 'state': 'away', 'note': 'lunch'})
    found = read(text, 'any', host_label('id', 'bob') + '.local.')
    uri = FrozenSIPURI.parse('sip:bob@10.0.0.1:5062;transport=tls')
    assert found.record == BonjourNeighbourRecord('id', 'Bob', 'laptop', uri, BonjourPresenceState('away', 'lunch'))
    assert (found.transport, found.user) == ('tls', 'bob')


def test_neighbours_that_say_less():
    found = read(b'\0', 'sip:bob@10.0.0.1', 'laptop.local.')
    assert found.record == BonjourNeighbourRecord(None, '', 'laptop', FrozenSIPURI.parse('sip:bob@10.0.0.1')) and found.transport == 'udp'
    assert read(build({'status': 'busy'}), 'sips:bob@host', 'x').record.presence == BonjourPresenceState('busy') and read(b'', 'sips:bob@host', 'x').transport == 'tls'
    assert read(build({'note': 'only'}), 'sip:bob@host', 'x').record.presence is None


@pytest.mark.parametrize('contact', ['', '<>', 'sip:', 'http://example.com', 'sip:bob@', 'sip:bob@[::', '<sip:bob@host:99999>'])
def test_no_uri(contact):
    with pytest.raises(ValueError, match='.'):
        read(build({'contact': contact}), 'a printer', 'host.local.')


# ---- messages ----------------------------------------------------------------------------------------------------------

def message(*instances: str, protocol: str = 'udp') -> DNSOutgoing:
    out = DNSOutgoing(0x8400)
    for number, instance in enumerate(instances):
        type = f'_sipuri._{protocol}.local.'
        info = ServiceInfo(type, f'{instance}.{type}', port=5060 + number, properties={'txtvers': '1'}, server=f'host{number}.local.',
                           parsed_addresses=['10.0.0.1', 'fe80::1'])
        for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses(), DNSNsec(info.name, 47, 0x8001, 120, info.name, [16, 33])):
            out.add_answer_at_time(record, 0)
    return out


def test_an_instance_is_one_label():
    names = ['sip:alice@10.0.0.1:5062', 'sip:bob@20.0.0.1:5062', 'sip:alice@[fe80::1]:5060', 'no dots']       # the first two end alike
    packet, = message(*names).packets()
    joined = join_labels(packet)
    for name in names:
        assert bytes([len(name)]) + name.encode() in joined
    assert b'\x0csip:alice@10\x010\x010\x061:5062' in packet and b'\x0csip:alice@10\x01' not in joined
    before, after = DNSIncoming(packet), DNSIncoming(joined)
    assert after.valid and after.answers() == before.answers() and len(after.answers()) == 6 * len(names)
    assert join_labels(joined) == joined


def test_other_names_stay():
    out = DNSOutgoing(0x8400)
    info = ServiceInfo('_http._tcp.local.', 'a.b._http._tcp.local.', port=80, properties={}, server='c.d.local.', parsed_addresses=['10.0.0.1'])
    for record in (info.dns_pointer(), info.dns_service()):
        out.add_answer_at_time(record, 0)
    packet, = out.packets()
    assert DNSIncoming(join_labels(packet)).answers() == DNSIncoming(packet).answers() and b'\x01a\x01b' in join_labels(packet)
    long = '.'.join(['a' * 40] * 2)         # longer than a label can be
    packet = struct.pack('!6H', 0, 0, 1, 0, 0, 0) + b'(' + b'a' * 40 + b'(' + b'a' * 40 + b'\x07_sipuri\x04_udp\x05local\0\0\x21\0\1'
    assert join_labels(packet) == packet and long.encode() not in packet


def test_broken_messages():
    packet = join_labels(message('sip:alice@10.0.0.1:5062').packets()[0])
    for size in range(len(packet)):
        with pytest.raises(ValueError, match='DNS|label'):
            join_labels(packet[:size])
    header = struct.pack('!6H', 0, 0, 1, 0, 0, 0)
    for name in (b'\xc0\x0c', b'\x40' + b'a' * 64 + b'\0', b'\x01a\xc0\x0c'):
        with pytest.raises(ValueError, match='end|long'):
            join_labels(header + name + b'\0\x0c\0\1')
    generator = random.Random(5)
    for _ in range(2000):
        broken = bytearray(packet)
        for _ in range(generator.randrange(1, 6)):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        try:
            join_labels(bytes(broken))
        except ValueError:
            pass
