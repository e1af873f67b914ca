"""RTP streams over scripted transports."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import FrozenSDPSession, SDPAttribute, SDPConnection, SDPMediaStream, SDPSession, SIPCoreError
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.streams.rtp import set_audio_context
from sipsimple.streams.rtp.audio import AudioStream


def describe(*, port=30000, address='127.0.0.1', direction='sendrecv', transport='RTP/AVP', formats=('0', '8'), media='audio', extra=()):
    attributes = [SDPAttribute(direction, ''), *(SDPAttribute(name, value) for name, value in extra)]
    line = SDPMediaStream(media, port, transport, formats=list(formats), attributes=attributes)
    return FrozenSDPSession.new(SDPSession(address, id=1, version=1, connection=SDPConnection(address), media=[line]))


ICE = (('ice-ufrag', 'abcd'), ('ice-pwd', 'abcdabcdabcdabcdabcdab'), ('candidate', '1 1 UDP 2130706431 127.0.0.1 30000 typ host'))


class FakeRTPTransport:
    srtp_active = ice_active = turn_failed = False
    srtp_cipher = None
    remote_rtp_address = remote_rtp_port = local_rtp_candidate = remote_rtp_candidate = None
    made = []
    broken = ()                 # STUN servers that do not answer

    def __init__(self, encryption=None, use_ice=False, ice_stun_address=None, ice_stun_port=3478, *, turn_address=None, turn_port=3478, turn_transport='udp',
                 turn_username=None, turn_password=None, turn_tls_name=None, ipv6=False):
        self.encryption, self.use_ice, self.stun, self.ipv6 = encryption, use_ice, ice_stun_address, ipv6
        self.turn = turn_address and (turn_address, turn_port, turn_transport, turn_username, turn_password, turn_tls_name)
        self.state = 'NULL'
        self.local_rtp_address, self.local_rtp_port = '127.0.0.1', 20000
        self.made.append(self)
        self.ufrag = f'ours{len(self.made)}'

    def set_INIT(self):
        self.state = 'WAIT_STUN' if self.stun else 'INIT'
        if self.stun in self.broken:
            self.post('RTPTransportDidFail', reason='no answer')
        else:
            self.state = 'INIT'
            self.post('RTPTransportDidInitialize')

    def post(self, name, **fields):
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**fields))


class FakeAudioTransport:
    made = []
    fail_new = fail_start = None

    def __init__(self, mixer, transport, remote_sdp=None, sdp_index=0, enable_silence_detection=False, codecs=None):
        if self.fail_new:
            raise SIPCoreError(self.fail_new)
        self.mixer, self.transport, self.remote_sdp, self.codecs = mixer, transport, remote_sdp, codecs
        self.calls = []
        self.direction = self.slot = self.codec = self.sample_rate = self.statistics = None
        self.volume = 100
        self.number = len(self.made)
        self.made.append(self)

    def get_local_media(self, remote_sdp=None, index=0, direction='sendrecv'):
        self.calls.append(('answer' if remote_sdp is not None else 'offer', direction))
        lines = [SDPAttribute('ice-ufrag', self.transport.ufrag)] if self.transport.use_ice else []
        return SDPMediaStream('audio', 20000, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute(direction, ''), *lines])

    def start(self, local_sdp, remote_sdp, index, timeout=30):
        if self.fail_start:
            raise SIPCoreError(self.fail_start)
        self.calls.append(('start', timeout))
        self.slot, self.codec, self.sample_rate = 5 + 10 * self.number, 'PCMU', 8000
        self.direction = local_sdp.media[index].direction

    def stop(self):
        self.calls.append('stop')
        self.slot = self.codec = self.sample_rate = None

    def update_sdp(self, local_sdp, remote_sdp, index):
        self.calls.append(('update', remote_sdp))
        self.direction = local_sdp.media[index].direction
        codec = {'0': 'PCMU', '8': 'PCMA'}[local_sdp.media[index].formats[0]]
        rebuilt, self.codec = codec != self.codec, codec
        if rebuilt:
            self.slot += 1
        return rebuilt

    def update_direction(self, direction):
        self.calls.append(('direction', direction))
        self.direction = direction

    def send_dtmf(self, digit):
        if digit not in set('0123456789*#ABCD'):
            raise SIPCoreError('no digit')
        self.calls.append(('dtmf', digit))

    def post(self, name, **fields):
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**fields))


class FakeMixer:
    def __init__(self):
        self.connected = set()

    def get_signal_level(self, slot):
        return 1, 2

    def connect_slots(self, source, sink):
        self.connected.add((source, sink))

    def disconnect_slots(self, source, sink):
        self.connected.remove((source, sink))


class FakeBridge:
    def __init__(self, mixer):
        self.mixer, self.ports, self.stopped = mixer, [], False

    def __contains__(self, port):
        return port in self.ports

    def add(self, port):
        if port not in self.ports:
            self.ports.append(port)

    def remove(self, port):
        self.ports.remove(port)

    def stop(self):
        self.ports.clear()
        self.stopped = True


class FakeRecorder:
    fail = None

    def __init__(self, mixer, filename):
        self.mixer, self.filename, self.is_active = mixer, filename, False

    def start(self):
        if self.fail:
            raise OSError(self.fail)
        self.is_active = True

    def stop(self):
        self.is_active = False


class World:
    ICE = ICE
    describe = staticmethod(describe)

    def __init__(self):
        self.settings = SimpleNamespace(rtp=SimpleNamespace(audio_codec_list=('opus', 'PCMU'), timeout=30))
        self.account = SimpleNamespace(
            id='me@example.com',
            rtp=SimpleNamespace(audio_codec_list=None, timeout=None, encryption=SimpleNamespace(enabled=False, key_negotiation='opportunistic')),
            nat_traversal=SimpleNamespace(use_ice=False, stun_server_list=None, turn_server=None))
        self.session = SimpleNamespace(account=self.account, proposed_remote_sdp=None, local_identity=None, remote_identity=None)
        self.events = []
        self.mixer = FakeMixer()

    def handle_notification(self, notification):
        if notification.name.startswith(('MediaStream', 'AudioStream', 'AudioPort', 'RTPStream')):
            self.events.append((notification.name, notification.data))

    @property
    def names(self):
        return [name for name, _ in self.events]

    def one(self, name):
        [data] = [data for each, data in self.events if each == name]
        return data

    def initialized(self, offer=None):
        if offer is None:
            stream = AudioStream(self.account)
            stream.index = 0
        else:
            stream = AudioStream.new_from_sdp(self.account, offer, 0)
        stream.initialize(self.session, 'incoming' if offer is not None else 'outgoing')
        return stream

    def started(self, local=None, remote=None):
        stream = self.initialized()
        stream.start(local or describe(port=20000), remote or describe(), 0)
        return stream

    @property
    def transport(self):
        return FakeAudioTransport.made[-1]

    @property
    def rtp(self):
        return FakeRTPTransport.made[-1]


@pytest.fixture
def world(monkeypatch):
    world = World()
    for name, value in (('base.RTPTransport', FakeRTPTransport), ('audio.AudioTransport', FakeAudioTransport), ('audio.AudioBridge', FakeBridge),
                        ('audio.AudioDevice', lambda mixer: ('device', mixer)), ('audio.WaveRecorder', FakeRecorder)):
        monkeypatch.setattr(f'sipsimple.streams.rtp.{name}', value)
    monkeypatch.setattr('sipsimple.streams.rtp.audio._available_codecs', lambda: frozenset(('opus', 'g722', 'pcmu', 'pcma')))
    monkeypatch.setattr('sipsimple.threading.call_in_twisted_thread', lambda function, *args: function(*args))
    monkeypatch.setattr('sipsimple.configuration.settings.SIPSimpleSettings', lambda: world.settings)
    monkeypatch.setattr(FakeRTPTransport, 'made', [])
    monkeypatch.setattr(FakeAudioTransport, 'made', [])
    world.RTPTransport, world.AudioTransport, world.Recorder = FakeRTPTransport, FakeAudioTransport, FakeRecorder
    set_audio_context(SimpleNamespace(voice_audio_mixer=world.mixer, recordings_directory='/recordings'))
    NotificationCenter().add_observer(world)
    yield world
    NotificationCenter().remove_observer(world)
    set_audio_context(None)
