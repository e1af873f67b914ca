"""Datatypes: what they take and refuse, their text, pickling; the built-in settings."""

import copy
import os
import pickle

import pytest
from hypothesis import given, strategies as st

from sipsimple.account.settings import migrate_account
from sipsimple.configuration import datatypes as d
from sipsimple.configuration.settings import SIPSimpleSettings

GOOD = [
    (d.ContentType, '*', '*'), (d.ContentType, 'text/plain', 'text/plain'), (d.ContentType, 'text/*', 'text/*'),
    (d.ContentTypeList, ['text/plain', '*'], 'text/plain, *'), (d.CountryCode, '40', '40'), (d.CountryCode, 40, '40'),
    (d.NonNegativeInteger, '0', '0'), (d.PositiveInteger, 1, '1'), (d.SIPAddress, 'a@b@example.com', 'a%40b@example.com'),
    (d.PJSIPLogLevel, '5', '5'), (d.AudioCodecList, ['opus', 'PCMU'], 'opus, PCMU'), (d.SampleRate, '16000', '16000'), (d.VideoCodecList, ('VP8',), 'VP8'),
    (d.H264Profile, 'HIGH', 'high'), (d.VideoResolution, '640x480', '640x480'), (d.VideoResolution, (640, 480), '640x480'),
    (d.Port, '0', '0'), (d.Port, 65535, '65535'), (d.PortRange, '5-10', '5-10'), (d.Hostname, 'a_b.example-1.com', 'a_b.example-1.com'),
    (d.Hostname, '192.0.2.1', '192.0.2.1'), (d.Hostname, '[2001:db8::1]', '2001:db8::1'), (d.IPAddress, '2001:db8::1', '2001:db8::1'),
    (d.DomainList, ['example.com', 'a.b'], 'example.com, a.b'), (d.EndpointAddress, 'a:1', 'a:1'), (d.EndpointIPAddress, '192.0.2.1:1', '192.0.2.1:1'),
    (d.MSRPRelayAddress, 'relay', 'relay:2855;transport=tls'), (d.MSRPRelayAddress, 'relay:1;transport=tcp', 'relay:1;transport=tcp'),
    (d.SIPProxyAddress, 'p', 'p:5060;transport=udp'), (d.SIPProxyAddress, 'p;transport=tls', 'p:5061;transport=tls'),
    (d.SIPProxyAddress, '[2001:db8::1]:5;transport=TCP', '[2001:db8::1]:5;transport=tcp'), (d.STUNServerAddress, 's', 's:3478'),
    (d.STUNServerAddressList, ['s', 't:5'], 's:3478, t:5'), (d.TURNServerAddress, 't;transport=tls', 't:5349;transport=tls'),
    (d.XCAPRoot, 'https://xcap.example.com:443/root', 'https://xcap.example.com:443/root'), (d.MSRPConnectionModel, 'acm', 'acm'),
    (d.MSRPTransport, 'tcp', 'tcp'), (d.SIPTransport, 'tls', 'tls'), (d.SIPTransportList, ['udp', 'tls'], 'udp, tls'),
    (d.SRTPEncryption, 'optional', 'optional'), (d.SRTPKeyNegotiation, 'zrtp', 'zrtp'), (d.Path, '~/a//b/../c', '~/a/c'), (d.Path, '//x', '/x'), (d.Path, '', '')]

BAD = [
    (d.ContentType, '*/x'), (d.ContentType, 'text'), (d.ContentType, 'a/b/c'), (d.ContentTypeList, ['x']), (d.CountryCode, '040'), (d.CountryCode, 'x'),
    (d.CountryCode, '٤'), (d.NonNegativeInteger, -1), (d.PositiveInteger, 0), (d.PositiveInteger, 'x'), (d.SIPAddress, 'nobody'), (d.SIPAddress, '@host'),
    (d.SIPAddress, 'a@'), (d.SIPAddress, 'a b@host'), (d.SIPAddress, 'a@-x'), (d.PJSIPLogLevel, 6), (d.AudioCodecList, ['opus', 'Opus']), (d.VideoCodecList, ['x']),
    (d.SampleRate, 12345), (d.H264Profile, 'x'), (d.VideoResolution, '640'), (d.VideoResolution, '0x5'), (d.VideoResolution, 'axb'), (d.VideoResolution, (1, 2, 3)),
    (d.Port, -1), (d.Port, 65536), (d.PortRange, '0-5'), (d.PortRange, '5-4'), (d.PortRange, '5'), (d.PortRange, '5-70000'), (d.PortRange, 5),
    (d.Hostname, ''), (d.Hostname, 'a..b'), (d.Hostname, '-a'), (d.Hostname, 'a' * 64), (d.Hostname, '1.2.3'), (d.Hostname, '256.1.1.1'), (d.Hostname, 'a b'),
    (d.Hostname, 'a\n'), (d.Hostname, None), (d.IPAddress, 'host'), (d.DomainList, ['a..b']), (d.EndpointAddress, 'a'), (d.EndpointAddress, 'a:0'),
    (d.EndpointAddress, ''), (d.EndpointIPAddress, 'host:1'), (d.MSRPRelayAddress, 'r;transport=udp'), (d.SIPProxyAddress, 'p:0'), (d.SIPProxyAddress, 'p;x=y'),
    (d.SIPProxyAddress, '[::1'), (d.STUNServerAddressList, ['']), (d.STUNServerAddressList, [None]), (d.XCAPRoot, 'ftp://x/'), (d.XCAPRoot, 'http:///x'),
    (d.XCAPRoot, 'http://x/?q'), (d.XCAPRoot, 'http://x/#f'), (d.XCAPRoot, 'http://x/;p'), (d.XCAPRoot, 'http://x:0/'), (d.XCAPRoot, 'http://x/\n'),
    (d.MSRPConnectionModel, 'x'), (d.SIPTransport, 'sctp'), (d.SIPTransportList, ['udp', 'x']), (d.SRTPEncryption, ''), (d.Path, 'a\0b')]


@pytest.mark.parametrize('kind, value, text', GOOD)
def test_accepted(kind, value, text):
    made = kind(value)
    assert str(made) == text
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind and again == made == copy.deepcopy(made) and str(again) == text
    if hasattr(kind, '__setstate__'):
        loaded = kind.__new__(kind)
        loaded.__setstate__(made.__getstate__())
        assert loaded == made


@pytest.mark.parametrize('kind, value', BAD)
def test_refused(kind, value):
    with pytest.raises(ValueError):
        kind(value)


def test_parts():
    address = d.SIPAddress('user@example.com')
    assert (address.username, address.domain) == ('user', 'example.com')
    assert (d.VideoResolution('4x3').width, d.VideoResolution('4x3').height) == (4, 3)
    assert (d.PortRange(1, 2).start, d.PortRange(1, 2).end) == (1, 2) and d.PortRange(1, 2) != d.PortRange(1, 3)
    assert d.SIPProxyAddress('h', 5, 'tcp') == d.SIPProxyAddress.from_description('h:5;transport=tcp') != d.SIPProxyAddress('h')
    for kind in (d.SIPProxyAddress, d.MSRPRelayAddress, d.STUNServerAddress):
        assert kind.from_description('') is None is kind.from_description(None)
    assert d.STUNServerAddress.default_port == 3478
    assert d.Path('~/x').normalized == os.path.expanduser('~/x')
    with pytest.raises(TypeError):
        d.Path(5)


def test_lists():
    made = d.List(['a', 'b'])
    assert made == ['a', 'b'] == list(made) and made == d.List(('a', 'b')) and made != ['a'] and made != 'a, b'
    assert made + ['c'] == ['a', 'b', 'c'] == ['a'] + d.List(['b', 'c']) and made + d.List(['c']) == ['a', 'b', 'c'] and made * 2 == ['a', 'b'] * 2 == 2 * made
    assert made[0] == 'a' and len(made) == 2 and 'b' in made and made.__getstate__() == ['a', 'b'] and type(made + ['c']) is d.List
    assert d.List('one') == ['one'] and d.List([1]) == ['1'] and d.List() == []
    with pytest.raises(TypeError):
        hash(made)
    with pytest.raises(TypeError):
        made[0] = 'x'
    with pytest.raises(TypeError):
        d.List(5)


@given(st.sampled_from([kind for kind in {kind for kind, _, _ in GOOD} if issubclass(kind, str)]), st.text(max_size=20) | st.text('a@.:/*-;', max_size=12))
def test_any_text_is_taken_or_refused_with_a_value_error(kind, text):
    try:
        made = kind(text)
    except ValueError:
        return
    assert kind(str(made)) == made


@given(st.sampled_from([d.SIPProxyAddress, d.MSRPRelayAddress, d.STUNServerAddress, d.PortRange, d.VideoResolution]), st.text('a1.:[];=-xtransportudp', max_size=24))
def test_any_address_is_taken_or_refused_with_a_value_error(kind, text):
    try:
        made = kind(text)
    except ValueError:
        return
    assert kind(str(made)) == made


def test_the_general_settings(start, posted):
    manager = start({'SIPSimpleSettings': {'sip': {'tcp_port': '5061', 'tls_port': '5061'}}})
    settings = SIPSimpleSettings()
    assert (settings.sip.tcp_port, settings.sip.tls_port) == (0, 5061)
    assert (settings.default_account, settings.audio.sample_rate, settings.rtp.port_range, settings.sip.transport_list) == (
        'bonjour@local', 32000, d.PortRange(50000, 50500), ['tls', 'tcp', 'udp'])
    with pytest.raises(ValueError):
        settings.sip.tcp_port = 5061
    settings.audio.muted = settings.audio.silent = True
    settings.audio.input_device = None
    settings.save()
    posted.take()
    assert manager.get(['SIPSimpleSettings', 'audio']) == {'silent': 'true', 'input_device': None}


@pytest.mark.parametrize('old, new', [
    ({'password': 'p'}, {'auth': {'password': 'p'}}), ({'password': 'p', 'auth': {'password': 'q', 'username': 'u'}}, {'auth': {'password': 'q', 'username': 'u'}}),
    ({'password': 'p', 'auth': 'scalar'}, {'auth': {'password': 'p'}}), ({'auth': {'password': 'p'}}, None), ({'password': {'x': '1'}}, None)])
def test_old_passwords_move(old, new):
    migrated = migrate_account(old)
    assert migrated is old if new is None else migrated == new


def test_a_migration_is_written_and_old_names_go(start, posted):
    from sipsimple.configuration import Setting, SettingsGroup, SettingsObject, SettingsObjectID

    class Auth(SettingsGroup):
        password = Setting(type=str, default='')

    class Old(SettingsObject):
        __group__ = 'Old'
        __id__ = SettingsObjectID(type=str)
        auth = Auth
        _migrate = staticmethod(migrate_account)
    manager = start({'Old': {'a': {'password': 'p', 'kept': '1'}}})
    assert Old('a').auth.password == 'p'
    assert posted.names() == ['CFGSettingsObjectWasActivated']
    assert manager.backend.data == {'Old': {'a': {'kept': '1', 'auth': {'password': 'p'}}}}
