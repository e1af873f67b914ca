import copy
import pickle
import time

import pytest
from hypothesis import example, given, strategies as st

from sipsimple.core.containers import frozenlist
from sipsimple.core.errors import PJSIPError, SIPCoreError
from sipsimple.core.sdp import (
    BaseSDPMediaStream,
    BaseSDPSession,
    FrozenSDPAttribute,
    FrozenSDPAttributeList,
    FrozenSDPBandwidthInfo,
    FrozenSDPConnection,
    FrozenSDPMediaStream,
    FrozenSDPSession,
    MediaCodec,
    SDPAttribute,
    SDPAttributeList,
    SDPBandwidthInfo,
    SDPConnection,
    SDPMediaStream,
    SDPSession,
)

OFFER = '''v=0
o=- 3945654654 3945654655 IN IP4 192.168.1.10
s=sipsimple
c=IN IP4 192.168.1.10
b=CT:128
t=0 0
a=group:BUNDLE audio
m=audio 50000 RTP/AVP 113 9 0 101
b=AS:64
a=rtcp:50001
a=rtpmap:113 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=candidate:1 1 UDP 123 192.168.1.10 50000 typ host
a=candidate:1 2 UDP 122 192.168.1.10 50001 typ host
a=sendonly
m=video 0/2 RTP/SAVP *
c=IN IP6 ::1
'''.replace('\n', '\r\n')


def build():
    audio = SDPMediaStream('audio', 50000, 'RTP/AVP', formats=['0', '101'], connection=SDPConnection('192.0.2.1'),
                           attributes=[SDPAttribute('rtpmap', '101 telephone-event/8000'), SDPAttribute('sendrecv', '')],
                           bandwidth_info=[SDPBandwidthInfo('AS', 64)])
    return SDPSession('192.0.2.1', id=1, version=2, connection=SDPConnection('192.0.2.1'), media=[audio])


def test_round_trip():
    for cls in (SDPSession, FrozenSDPSession):
        session = cls.parse(OFFER)
        assert str(session) == OFFER and cls.parse(OFFER.encode()) == session and cls.parse(OFFER.replace('\r\n', '\n')) == session


def test_parsed_fields():
    session = FrozenSDPSession.parse(OFFER)
    assert (session.user, session.id, session.version, session.net_type, session.address_type, session.address) == \
        ('-', 3945654654, 3945654655, 'IN', 'IP4', '192.168.1.10')
    assert (session.name, session.start_time, session.stop_time) == ('sipsimple', 0, 0)
    assert session.connection == SDPConnection('192.168.1.10') and 'CT' in session.bandwidth_info
    assert session.attributes == [SDPAttribute('group', 'BUNDLE audio')] and not session.has_ice_attributes
    audio, video = session.media
    assert (audio.media, audio.port, audio.port_count, audio.transport) == ('audio', 50000, 1, 'RTP/AVP')
    assert audio.formats == ['113', '9', '0', '101'] and audio.connection is None and audio.direction == 'sendonly'
    assert audio.has_ice_attributes and audio.has_ice_candidates and not audio.has_srtp
    assert audio.codec_list == ['opus/48000', 'G722/8000', 'pcmu', 'telephone-event']
    assert (video.port, video.port_count, video.formats, video.codec_list) == (0, 2, ['*'], ['Unknown'])
    assert video.connection == FrozenSDPConnection('::1', 'IN', 'IP6') and video.direction == 'sendrecv' and video.has_srtp
    assert type(session.media) is frozenlist and type(audio.attributes) is FrozenSDPAttributeList
    assert audio.attributes.getall('candidate') == [
        '1 1 UDP 123 192.168.1.10 50000 typ host', '1 2 UDP 122 192.168.1.10 50001 typ host']


def test_built_session():
    session = build()
    assert str(session) == (
        'v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns= \r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 50000 RTP/AVP 0 101\r\n'
        'c=IN IP4 192.0.2.1\r\nb=AS:64\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n')
    assert SDPSession.parse(str(session)) == session


def test_defaults():
    before = int(time.time()) + 2208988800
    session = SDPSession('h')
    assert before <= session.id <= before + 60 and before <= session.version <= before + 60
    assert (session.user, session.name, session.connection, session.media, session.attributes) == ('-', ' ', None, [], [])
    assert session.bandwidth_info == [] and type(FrozenSDPSession('h').media) is frozenlist
    stream = FrozenSDPMediaStream('audio', 5, 'RTP/AVP')
    assert stream.port_count == 1 and stream.formats == [] == stream.attributes and stream.direction == 'sendrecv'
    assert (SDPConnection('h').net_type, SDPConnection('h').address_type) == ('IN', 'IP4')


def test_twins():
    session = build()
    frozen = FrozenSDPSession.new(session)
    assert frozen == session and session == frozen and hash(frozen) == hash(FrozenSDPSession.new(build()))
    assert FrozenSDPSession.new(frozen) is frozen and str(frozen) == str(session)
    assert type(frozen.media[0]) is FrozenSDPMediaStream and type(frozen.media[0].attributes[0]) is FrozenSDPAttribute
    thawed = SDPSession.new(frozen)
    thawed.media[0].attributes.append(SDPAttribute('x', 'y'))
    thawed.media[0].connection.address = 'z'
    assert type(thawed.media[0].attributes) is SDPAttributeList and thawed != frozen and frozen == session
    for value in (session, frozen, session.media[0], frozen.media[0], session.connection, frozen.media[0].attributes[0]):
        for other in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), type(value).new(value)):
            assert other == value and type(other) is type(value)
    for value in (session, session.media[0], session.connection):
        with pytest.raises(TypeError):
            hash(value)
    for name in ('version', 'media', 'connection', 'attributes'):
        with pytest.raises(AttributeError):
            setattr(frozen, name, None)
    for cls in (SDPSession, FrozenSDPSession, SDPMediaStream, FrozenSDPAttribute):
        with pytest.raises(TypeError):
            cls.new(None)
    with pytest.raises(SIPCoreError):
        session.__init__('h')
    with pytest.raises(TypeError):
        frozen.__init__('h')
    for cls in (BaseSDPSession, BaseSDPMediaStream) * 20:       # often enough for Python to specialise the call
        with pytest.raises(TypeError, match='abstract'):
            cls('h', 1, 'x')


def test_frozen_types_take_frozen_members():
    attribute = FrozenSDPAttribute('a', 'b')
    stream = FrozenSDPMediaStream('audio', 5, 'RTP/AVP', formats=frozenlist(['0']), attributes=frozenlist([attribute]))
    assert stream.attributes.getfirst('a') == 'b'
    assert FrozenSDPSession('h', media=frozenlist([stream])).media[0] is stream


@pytest.mark.parametrize('build', [
    lambda: FrozenSDPMediaStream('audio', 5, 'RTP/AVP', formats=['0']),
    lambda: FrozenSDPMediaStream('audio', 5, 'RTP/AVP', attributes=frozenlist([SDPAttribute('a', 'b')])),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', formats=frozenlist(['0'])),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', formats=[0]),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', attributes=[FrozenSDPAttribute('a', 'b')]),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', attributes=['a']),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', connection='192.0.2.1'),
    lambda: SDPMediaStream('audio', 5, 'RTP/AVP', connection=FrozenSDPConnection('192.0.2.1')),
    lambda: SDPMediaStream(None, 5, 'RTP/AVP'), lambda: SDPMediaStream('audio', None, 'RTP/AVP'),
    lambda: SDPSession(None), lambda: SDPSession('h', user=None), lambda: SDPSession('h', name=b'x'),
    lambda: SDPSession('h', media=['x']), lambda: SDPSession('h', bandwidth_info=[5]),
    lambda: FrozenSDPSession('h', media=frozenlist([None])), lambda: SDPAttribute('a', None), lambda: SDPAttribute(None, 'a'),
    lambda: SDPConnection(None), lambda: SDPBandwidthInfo(None, 1), lambda: SDPBandwidthInfo('AS', None), lambda: MediaCodec(None, 1)])
def test_wrong_types(build):
    with pytest.raises(TypeError):
        build()


@pytest.mark.parametrize('build', [
    lambda: SDPMediaStream('audio', 65536, 'RTP/AVP'), lambda: SDPMediaStream('audio', -1, 'RTP/AVP'),
    lambda: SDPMediaStream('audio', 1, 'RTP/AVP', port_count=0), lambda: SDPSession('h', start_time=-1),
    lambda: SDPSession('h', stop_time=2**64), lambda: SDPSession('h', id=-1), lambda: SDPBandwidthInfo('AS', -1),
    lambda: SDPAttribute('a', 'b\r\na=c'), lambda: SDPConnection('h\n'), lambda: SDPSession('h', name='a\rb'),
    lambda: SDPMediaStream('audio', 1, 'RTP/AVP', formats=['0\r\n'])])
def test_wrong_values(build):
    with pytest.raises(ValueError):
        build()


def attributes(count):
    return [SDPAttribute('a', str(i)) for i in range(count)]


@pytest.mark.parametrize('limit, build', [
    (32, lambda n: SDPMediaStream('audio', 1, 'RTP/AVP', formats=['0'] * n)),
    (68, lambda n: SDPMediaStream('audio', 1, 'RTP/AVP', attributes=attributes(n))),
    (68, lambda n: SDPSession('h', attributes=attributes(n))),
    (4, lambda n: SDPSession('h', bandwidth_info=[SDPBandwidthInfo('AS', i) for i in range(n)])),
    (4, lambda n: SDPMediaStream('audio', 1, 'RTP/AVP', bandwidth_info=[SDPBandwidthInfo('AS', i) for i in range(n)])),
    (16, lambda n: SDPSession('h', media=[None] * n)),
    (16, lambda n: SDPSession('h', media=[SDPMediaStream('audio', 1, 'RTP/AVP')] * n)),
    (32, lambda n: FrozenSDPSession.parse('v=0\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP' + ' 0' * n)),
    (68, lambda n: FrozenSDPSession.parse('v=0\no=- 1 1 IN IP4 h\n' + 'a=x\n' * n)),
    (68, lambda n: FrozenSDPSession.parse('v=0\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP 0\n' + 'a=x\n' * n)),
    (4, lambda n: SDPSession.parse('v=0\no=- 1 1 IN IP4 h\n' + 'b=AS:1\n' * n)),
    (16, lambda n: SDPSession.parse('v=0\no=- 1 1 IN IP4 h\n' + 'm=audio 1 RTP/AVP 0\n' * n))])
def test_limits(limit, build):
    build(limit)
    with pytest.raises(SIPCoreError):
        build(limit + 1)


def test_limits_hold_for_lists_that_grew():
    session = build()
    session.media[0].attributes.extend(attributes(68))
    with pytest.raises(SIPCoreError):
        str(session)
    with pytest.raises(SIPCoreError):
        FrozenSDPSession.new(session)


def test_placeholders():
    session = SDPSession('h', media=[None, None])
    session.media[1] = SDPMediaStream('audio', 1, 'RTP/AVP', formats=['0'])
    with pytest.raises(SIPCoreError):
        str(session)
    with pytest.raises((SIPCoreError, TypeError)):
        FrozenSDPSession.new(session)
    session.media[0] = session.media[1]
    assert str(session).count('m=audio') == 2 and len(FrozenSDPSession.new(session).media) == 2


def test_attribute_list():
    items = build().media[0].attributes
    assert 'sendrecv' in items and 'sendonly' not in items and SDPAttribute('sendrecv', '') in items
    assert FrozenSDPAttribute('sendrecv', '') in items and SDPAttribute('sendrecv', 'x') not in items
    assert items.getall('x') == [] and items.getfirst('x') is None and items.getfirst('x', 5) == 5
    assert SDPBandwidthInfo('AS', 64) in build().media[0].bandwidth_info
    assert FrozenSDPBandwidthInfo('AS', 65) not in build().media[0].bandwidth_info


def test_session_direction_is_the_default():
    session = SDPSession.parse('v=0\no=- 1 1 IN IP4 h\na=inactive\nm=audio 1 RTP/AVP 0\nm=audio 1 RTP/AVP 0\na=sendonly\n')
    assert [stream.direction for stream in session.media] == ['inactive', 'sendonly']
    assert [stream.direction for stream in FrozenSDPSession.new(session).media] == ['inactive', 'sendonly']


def test_session_level_ice():
    session = FrozenSDPSession.parse('v=0\no=- 1 1 IN IP4 h\na=ice-ufrag:a\na=ice-pwd:b\nm=audio 1 RTP/AVP 0\n')
    assert session.has_ice_attributes and not session.media[0].has_ice_attributes and not session.media[0].has_ice_candidates


def test_codecs():
    stream = SDPMediaStream('audio', 1, 'RTP/AVP', formats=[str(i) for i in range(20)])
    assert [str(codec) for codec in stream.codec_list] == [
        'PCMU/8000', 'Unknown/0', 'Unknown/0', 'GSM/8000', 'G723/8000', 'DVI4/8000', 'DVI4/16000', 'LPC/8000', 'PCMA/8000', 'G722/8000',
        'L16/44100', 'L16/44100', 'QCELP/8000', 'CN/8000', 'MPA/90000', 'G728/8000', 'DVI4/11025', 'DVI4/22050', 'G729/8000', 'Unknown/0']
    stream.formats = ['96', 'x', '97', '98']
    stream.attributes = SDPAttributeList([
        SDPAttribute('rtpmap', value) for value in ('96 VP8/90000', '97', '98 x/²', '96 H264/90000', '99 y/' + '9' * 5000)])
    assert stream.codec_list == ['VP8/90000', 'Unknown', 'Unknown', 'Unknown']
    stream.media = 'message'
    assert stream.codec_list == []


def test_media_codec():
    codec = MediaCodec('opus', 48000)
    assert codec == MediaCodec('OPUS', 48000) == 'Opus' and codec == 'opus/48000' and codec != 'opus/8000' and codec != 'pcmu'
    assert codec != MediaCodec('opus', 8000) and codec != 5 and str(codec) == 'opus/48000' and (codec.name, codec.rate) == ('opus', 48000)
    assert hash(codec) == hash(MediaCodec('OPUS', 48000)) and pickle.loads(pickle.dumps(codec)) == codec
    with pytest.raises(AttributeError):
        codec.name = 'x'


@pytest.mark.parametrize('text, status', [
    ('', 220021), ('v=1\n', 220021), ('o=- 1 1 IN IP4 h\n', 220021), ('v=0\n', 220022), ('v=0\no=- 1 1 IN IP4\n', 220022),
    ('v=0\no=- x 1 IN IP4 h\n', 220022), ('v=0\no=- 1 18446744073709551616 IN IP4 h\n', 220022), ('v=0\no=- 1 -1 IN IP4 h\n', 220022)]
    + [('v=0\no=- 1 1 IN IP4 h\n' + line, status) for line, status in (
        ('t=0\n', 220023), ('t=x 0\n', 220023), ('t=18446744073709551616 0\n', 220023), ('t=' + '9' * 5000 + ' 0\n', 220023),
        ('c=IN IP4\n', 220025), ('a=\n', 220027), ('a=:x\n', 220027), ('m=audio\n', 220031), ('m=audio 5\n', 220031),
        ('m=audio 65536 RTP/AVP 0\n', 220031), ('m=audio -1 RTP/AVP 0\n', 220031), ('m=audio x RTP/AVP 0\n', 220031),
        ('m=audio 1/x RTP/AVP 0\n', 220031), ('m=audio 1/99999 RTP/AVP 0\n', 220031), ('m=audio ² RTP/AVP 0\n', 220031),
        ('b=AS\n', 220037), ('b=:5\n', 220037), ('b=AS:x\n', 220037), ('b=AS:4294967296\n', 220037), ('nonsense\n', 220020), ('x\n', 220020),
        ('s=\0\n', 220020))])
def test_invalid(text, status):
    for cls in (SDPSession, FrozenSDPSession):
        with pytest.raises(PJSIPError) as caught:
            cls.parse(text)
        assert caught.value.status == status


def test_too_long():
    with pytest.raises(SIPCoreError):
        SDPSession.parse('v=0\no=- 1 1 IN IP4 h\na=' + 'x' * 70000)
    with pytest.raises(TypeError):
        SDPSession.parse(None)


@pytest.mark.parametrize('line, check', [
    ('i=info\nu=http://x\ne=a@b\np=1\nk=clear:x\nz=0 0\nr=7d 1h 0\n', lambda s: str(s).count('\r\n') == 4),
    ('t=4294967296 18446744073709551615\n', lambda s: s.stop_time == 2**64 - 1), ('t=1 2\nt=3 4\n', lambda s: s.start_time == 1),
    ('m=audio 1 RTP/AVP\n', lambda s: s.media[0].formats == []), ('a=x:\n', lambda s: s.attributes.getfirst('x') == ''),
    ('s=\n', lambda s: s.name == ' '), ('\n\n', lambda s: s.media == []), ('a=x:a:b \n', lambda s: s.attributes.getfirst('x') == 'a:b '),
    ('c=IN IP4 a\nc=IN IP4 b\n', lambda s: s.connection.address == 'a')])
def test_odd_but_valid(line, check):
    assert check(SDPSession.parse('v=0\no=- 1 1 IN IP4 h\n' + line))


def test_bytes_that_are_not_utf8():
    session = FrozenSDPSession.parse(b'v=0\r\no=- 1 1 IN IP4 h\r\ns=caf\xe9\r\nt=0 0\r\n')
    assert session.name == 'café' and FrozenSDPSession.parse(str(session)) == session


LINES = st.lists(st.one_of(
    st.sampled_from(OFFER.splitlines()), st.tuples(st.sampled_from('abcmotsvx'), st.text('0123 /:=aIN²-\u2028\r', max_size=20)).map('='.join)))


@given(LINES)
@example(['a=' + ':' * 50000])
def test_fuzz(lines):
    try:
        session = FrozenSDPSession.parse('v=0\no=- 1 1 IN IP4 h\n' + '\n'.join(lines))
    except SIPCoreError:
        return
    assert FrozenSDPSession.parse(str(session)) == session == SDPSession.parse(str(session)) == SDPSession.new(session)
    for stream in session.media:
        assert len(stream.codec_list) in (0, len(stream.formats)) and stream.direction
    assert hash(session) == hash(FrozenSDPSession.new(SDPSession.new(session)))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(b'v=0\r\n'.__add__))
def test_fuzz_bytes(data):
    try:
        FrozenSDPSession.parse(data)
    except SIPCoreError:
        pass


def test_only_spaces_and_tabs_divide_words():
    """What other character sets have for spaces is part of a word."""
    sdp = SDPSession.parse('v=0\r\no=a\x85b 1 2 IN IP4\t192.0.2.1\r\ns= \r\nc=IN IP4 192.0.2.1\xa0\r\nt=0 0\r\n'.encode('latin-1'))
    assert (sdp.user, sdp.address, sdp.connection.address) == ('a\x85b', '192.0.2.1', '192.0.2.1\xa0')


def test_deferred():
    """It is what `parse` makes, whatever is looked at first."""
    parsed = FrozenSDPSession.parse(OFFER)
    for look in (str, repr, hash, pickle.dumps, copy.deepcopy, SDPSession.new, lambda sdp: sdp.media[0].port, lambda sdp: sdp.has_ice_attributes, lambda sdp: sdp._key()):
        deferred = FrozenSDPSession.deferred(OFFER.encode())
        look(deferred)
        assert deferred == parsed and parsed == deferred and hash(deferred) == hash(parsed) and str(deferred) == str(parsed)
    assert FrozenSDPSession.new(deferred) is deferred and pickle.loads(pickle.dumps(deferred)) == parsed
    for name in ('nothing', '_nothing', '_text'):
        with pytest.raises(AttributeError):
            getattr(parsed, name)
    assert not hasattr(deferred, 'nothing')
    with pytest.raises(TypeError):
        deferred.__init__('127.0.0.1')


def test_deferred_and_wrong():
    deferred = FrozenSDPSession.deferred('v=1')
    for _ in range(2):
        with pytest.raises(PJSIPError):
            _ = deferred.media
        with pytest.raises(PJSIPError):
            str(deferred)
