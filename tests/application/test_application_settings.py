"""SIPApplication: settings that change while it runs, devices, the network, the type of the NAT."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from tests.support.dns_server import ScriptedServer, answer

ADDRESS = 'stun.test. 60 IN A 127.0.0.1'
PORT = '''
def free(kind=socket.SOCK_DGRAM):
    with socket.socket(type=kind) as probe:
        probe.bind(('0.0.0.0', 0))
        return probe.getsockname()[1]
'''


def test_ports_and_transports(run):
    run(PORT + '''
start()
settings, engine = SIPSimpleSettings(), app.engine
assert engine.udp_port and engine.tcp_port and engine.tls_port
settings.sip.udp_port, settings.sip.tcp_port = free(), free(socket.SOCK_STREAM)
saved()
assert (engine.udp_port, engine.tcp_port) == (settings.sip.udp_port, settings.sip.tcp_port)
settings.sip.transport_list = ['udp']
saved()
assert engine.udp_port == settings.sip.udp_port and engine.tcp_port is engine.tls_port is None
settings.sip.transport_list = ['tls', 'tcp']
saved()
assert engine.udp_port is None and engine.tcp_port == settings.sip.tcp_port and engine.tls_port
settings.sip.transport_list = ['udp', 'tcp', 'tls']
settings.sip.udp_port = 0
saved()
assert engine.udp_port
before = engine.udp_port
settings.sip.transport_list = ['tls', 'tcp', 'udp']        # the order concerns accounts only
saved()
assert engine.udp_port == before
stop()
''')


def test_a_port_that_cannot_be_had(run):
    """The transport stays where it is."""
    run('''
start()
settings, engine = SIPSimpleSettings(), app.engine
before = engine.udp_port, engine.tcp_port
datagram, stream = socket.socket(type=socket.SOCK_DGRAM), socket.create_server(('0.0.0.0', 0))
datagram.bind(('0.0.0.0', 0))
settings.sip.udp_port, settings.sip.tcp_port = datagram.getsockname()[1], stream.getsockname()[1]
saved()
assert (engine.udp_port, engine.tcp_port) == before and app.running, (engine.udp_port, engine.tcp_port, before)
stop()
''', traceback=True)


def test_what_the_engine_is_told(run):
    run('''
start()
settings, engine = SIPSimpleSettings(), app.engine
settings.user_agent = 'another name'
settings.rtp.audio_codec_list = ['PCMA', 'AMR-WB', 'G722']
settings.rtp.port_range = '40000-40100'
saved()
assert engine.user_agent == 'another name' and engine.codecs == ['PCMA', 'G722'] and engine.rtp_port_range == (40000, 40100)
stop()
''')


def test_traces_are_switched_while_it_runs(run):
    run('''
start()
settings, engine = SIPSimpleSettings(), app.engine
peer = socket.socket(type=socket.SOCK_DGRAM)
peer.bind(('127.0.0.1', 0))
peer.settimeout(10)
number = 0
def ask():
    """Send an OPTIONS and wait for the answer: the notifications that came before it."""
    global number
    number += 1
    peer.sendto(f"""OPTIONS sip:x@127.0.0.1:{engine.udp_port} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{peer.getsockname()[1]};branch=z9hG4bK{number}
Max-Forwards: 70
From: <sip:peer@127.0.0.1>;tag=1
To: <sip:x@127.0.0.1>
Call-ID: {number}@test
CSeq: 1 OPTIONS
Content-Length: 0

""".replace('\\n', '\\r\\n').encode(), ('127.0.0.1', engine.udp_port))
    assert peer.recv(4096).startswith(b'SIP/2.0 200')
    mark = NotificationData()
    engine.post_later('TestMark')
    wait('TestMark')
    names = {item.name for item in past}
    past.clear()
    return names
assert not ask() & {'SIPEngineSIPTrace', 'SIPEngineLog'}
settings.logs.trace_sip = True
saved()
assert engine.trace_sip and 'SIPEngineSIPTrace' in ask()
settings.logs.trace_sip, settings.logs.trace_pjsip = False, True
saved()
names = ask()
assert engine.log_level == 5 and 'SIPEngineLog' in names and 'SIPEngineSIPTrace' not in names
settings.logs.pjsip_level = 3
saved()
assert engine.log_level == 3
settings.logs.trace_pjsip = False
saved()
past.clear()
assert engine.log_level == 0 and not ask() & {'SIPEngineSIPTrace', 'SIPEngineLog'}
stop()
''')


def test_traces_in_files(run, tmp_path):
    """A TraceLog runs all the time; the settings decide whether there is anything to write."""
    run('''
from sipsimple.logging import TraceLog
log = TraceLog('traces')
log.start()
start()
settings = SIPSimpleSettings()
peer = socket.socket(type=socket.SOCK_DGRAM)
peer.bind(('127.0.0.1', 0))
peer.settimeout(10)
for number, traced in enumerate((False, True, False)):
    settings.logs.trace_sip = traced
    settings.logs.trace_pjsip = traced
    if number:
        saved()
    peer.sendto(f"""OPTIONS sip:x@127.0.0.1:{app.engine.udp_port} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{peer.getsockname()[1]};branch=z9hG4bK{number}
Max-Forwards: 70
From: <sip:peer@127.0.0.1>;tag=1
To: <sip:x@127.0.0.1>
Call-ID: question-{number}
CSeq: 1 OPTIONS
Content-Length: 0

""".replace('\\n', '\\r\\n').encode(), ('127.0.0.1', app.engine.udp_port))
    assert peer.recv(4096).startswith(b'SIP/2.0 200')
    app.engine.post_later('TestMark')               # behind the traces of this
    wait('TestMark')
log.stop()
text = open('traces/sip.log').read()
assert text.count('question-') == text.count('question-1') == 2 and 'RECEIVED UDP' in text and 'SENT UDP' in text, text
assert os.path.getsize('traces/pjsip.log') and not os.path.getsize('traces/msrp.log')
stop()
''')


def test_tls_is_opened_anew(run, tmp_path):
    make_certificate(tmp_path)
    run('''
import ssl
start()
settings, engine = SIPSimpleSettings(), app.engine
def subject():
    """The name in the certificate that the engine shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(('127.0.0.1', engine.tls_port), 5) as connection, context.wrap_socket(connection) as secure:
        return secure.getpeercert(binary_form=True)
settings.tls.certificate, settings.tls.ca_list, settings.tls.verify_server = os.path.abspath('one.pem'), os.path.abspath('one.pem'), True
saved()
changed = [item.data for item in past if item.name == 'TLSTransportHasChanged'][-1]
assert (changed.port, changed.verify_server, changed.certificate, changed.ca_file) == (
    engine.tls_port, True, os.path.abspath('one.pem'), os.path.abspath('one.pem')), changed
one = subject()
settings.tls.certificate = os.path.abspath('two.pem')
saved()
assert subject() != one and engine.tls_cert_file == os.path.abspath('two.pem')
settings.tls.certificate = os.path.abspath('missing.pem')
saved()
assert isinstance([item.data for item in past if item.name == 'SIPApplicationFailedToStartTLS'][-1].error, ValueError)
assert [item.data for item in past if item.name == 'TLSTransportHasChanged'][-1].port == engine.tls_port
settings.sip.transport_list = ['udp']
saved()
assert engine.tls_port is None
stop()
''')


def make_certificate(folder):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    for name in ('one', 'two'):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
        (folder / f'{name}.pem').write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def test_audio_settings(run):
    run('''
start()
settings = SIPSimpleSettings()
voice, alert = app.voice_audio_mixer, app.alert_audio_mixer
assert (voice.sample_rate, voice.ec_tail_length, alert.ec_tail_length, alert.output_volume, voice.muted) == (32000, 100, 0, 100, False)
settings.audio.silent = settings.audio.muted = True
settings.audio.echo_canceller.tail_length = 40
saved()
until(lambda: voice.ec_tail_length == 40)
assert alert.output_volume == 0 and voice.muted
settings.audio.silent = settings.audio.muted = settings.audio.echo_canceller.enabled = False
saved()
until(lambda: voice.ec_tail_length == 0)
assert alert.output_volume == 100 and not voice.muted
settings.audio.input_device = settings.audio.output_device = settings.audio.alert_device = None
saved()
until(lambda: voice.input_device is voice.output_device is alert.output_device is None)
settings.audio.sample_rate = 48000
saved()
assert app.voice_audio_mixer is not voice and app.alert_audio_mixer is not alert
for kind in ('voice', 'alert'):
    mixer, device, bridge = (getattr(app, f'{kind}_audio_{part}') for part in ('mixer', 'device', 'bridge'))
    assert mixer.sample_rate == 48000 and device.mixer is bridge.mixer is mixer and device in bridge
stop()
''')


def test_a_device_that_is_not_there(run):
    """It is played on the default one, or on none, and the user's choice is kept."""
    run('''
storage = MemoryStorage()
storage.configuration_backend.data = {'SIPSimpleSettings': {'audio': {name: 'Unplugged headset' for name in ('input_device', 'output_device', 'alert_device')}}}
assert start(storage).name == 'SIPApplicationDidStart'
settings = SIPSimpleSettings()
assert settings.audio.input_device == settings.audio.output_device == settings.audio.alert_device == 'Unplugged headset'
assert app.alert_audio_mixer.input_device is None
app.engine.refresh_sound_devices()
data = wait('AudioDevicesDidChange').data
assert isinstance(data.old_devices, list) and isinstance(data.new_devices, list)
app.engine.refresh_video_devices()
assert vars(wait('VideoDevicesDidChange').data) == {'old_devices': [], 'new_devices': []}
stop()
assert settings.audio.alert_device == 'Unplugged headset'
''')


@pytest.mark.parametrize('news', ['SystemIPAddressDidChange', 'SystemDidWakeUpFromSleep'])
def test_the_network_changes(run, news):
    """TCP and TLS go on on the same ports, and everybody is told what changed."""
    run(f'''
network.SETTLING_TIME = 0.05
start()
engine = app.engine
before = engine.udp_port, engine.tcp_port, engine.tls_port
connections = [socket.create_connection(('127.0.0.1', port), 5) for port in before[1:]]
center = NotificationCenter()
fields = dict(old_ip_address='192.0.2.1', new_ip_address='192.0.2.2') if 'Address' in '{news}' else {{}}
center.post_notification('{news}', sender=None, data=NotificationData(**fields))
changed = wait('NetworkConditionsDidChange')
assert changed.sender is app and changed.data.changed == [], changed
assert (engine.udp_port, engine.tcp_port, engine.tls_port) == before, (engine.udp_port, engine.tcp_port, engine.tls_port, before)
for port in before[1:]:
    socket.create_connection(('127.0.0.1', port), 5).close()
network.watch.default_addresses = lambda: ('another address', None)
center.post_notification('{news}', sender=None, data=NotificationData(**fields))
assert wait('NetworkConditionsDidChange').data.changed == ['ip']
dns.nameservers = ['127.0.0.1']
data = wait('NetworkConditionsDidChange').data
assert data.changed == ['dns'], (data, [item.name for item in past])
past.clear()
network.SETTLING_TIME = 5
center.post_notification('{news}', sender=None, data=NotificationData(**fields))
stop()                                                  # while it settles
assert not any(item.name == 'NetworkConditionsDidChange' for item in past)
''')


class STUNServer:
    """Answers binding requests as the classic RFC 3489 wants it: with the address they came from, and one that is said to be another server's."""

    def __init__(self):
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                data, source = self.socket.recvfrom(2048)
            except OSError:
                return
            if len(data) < 20 or data[:2] != b'\0\1':
                continue
            self.requests += 1
            attributes = b''.join(struct.pack('!HHBBH', kind, 8, 0, 1, port) + socket.inet_aton(address) for kind, (address, port) in (
                (1, source), (4, ('127.0.0.1', self.port)), (5, ('127.0.0.1', self.port))))
            self.socket.sendto(struct.pack('!HH', 0x0101, len(attributes)) + data[4:20] + attributes, source)


def test_the_type_of_the_nat(run):
    """Found out with the STUN servers of the accounts: the first is silent, the second has a name."""
    server = STUNServer()
    with socket.socket(type=socket.SOCK_DGRAM) as silent, ScriptedServer(lambda query, protocol: [answer(query, ADDRESS)]) as names:
        silent.bind(('127.0.0.1', 0))
        run('''
dns.nameservers = [('127.0.0.1', int(sys.argv.pop()))]
storage = MemoryStorage()
servers = [f'{host}:{port}' for host, port in zip(('127.0.0.1', 'stun.test'), sys.argv[1:])]
storage.configuration_backend.data = {'Accounts': {'alice@example.com': {
    'enabled': 'true', 'sip': {'register': {'enabled': 'false'}}, 'nat_traversal': {'stun_server_list': servers}}}}
start(storage)
assert app.local_nat_type == 'unknown'
until(lambda: app.local_nat_type != 'unknown', 60)
assert app.local_nat_type not in ('unknown', 'blocked')
assert wait('SIPEngineDetectedNATType').data.nat_type == 'Blocked'
found = wait('SIPEngineDetectedNATType').data
assert found.succeeded and found.nat_type.lower() == app.local_nat_type and found.user_data is not None
stop()
assert app.local_nat_type == 'unknown'
''', silent.getsockname()[1], server.port, names.endpoint[1])
    assert server.requests
    server.socket.close()
