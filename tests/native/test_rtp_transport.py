"""RTPTransport: states, ports, SDP lines, addresses."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sipsimple.core import SDPAttribute, SDPConnection
from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._rtp_transport import STATES, RTPTransport
from sipsimple.core.engine import Engine
from sipsimple.core.errors import PJSIPError, SIPCoreError
from sipsimple.core.sdp import SDPMediaStream, SDPSession
from tests.native.audio_support import Inbox, eventually
from tests.native.rtp_support import Pair, RTPPeer, engine, initialized, mixer, no_leaks, rejected, session
from tests.support.counts import Counts

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')


def stream(port: int = 4000, address: str = '127.0.0.1', *attributes: SDPAttribute) -> SDPMediaStream:
    return SDPMediaStream('audio', port, 'RTP/AVP', formats=['0'], connection=SDPConnection(address), attributes=list(attributes))


def test_arguments() -> None:
    for options in ({'ice_stun_port': 0}, {'turn_port': 70000}, {'turn_transport': 'sctp'}):
        with pytest.raises(ValueError):
            RTPTransport(**options)         # type: ignore[arg-type]
    with pytest.raises(TypeError):
        RTPTransport(ice_stun_address=5)    # type: ignore[arg-type]
    transport = RTPTransport()
    with pytest.raises(SIPCoreError):
        transport.__init__()                # type: ignore[misc]
    assert (transport.encryption, transport.use_ice, transport.ice_stun_address, transport.ice_stun_port) == (None, False, None, 3478)


@pytest.mark.parametrize('encryption', ['zrtp', 'rot13'])
def test_unknown_encryption_fails_in_set_init(encryption: str) -> None:
    transport = RTPTransport(encryption)
    with pytest.raises(SIPCoreError):
        transport.set_INIT()
    assert transport.state == 'NULL'


def test_before_init_nothing_is_known() -> None:
    transport = RTPTransport()
    assert transport.state == 'NULL'
    assert transport.local_rtp_address is transport.local_rtp_port is None
    assert transport.remote_rtp_address is transport.remote_rtp_port is None
    assert transport.local_rtp_candidate is transport.remote_rtp_candidate is None
    assert transport.srtp_active is transport.ice_active is False
    assert transport.srtp_cipher is None


def test_every_operation_in_every_state() -> None:
    """From each state, each operation either leads where the table says or raises and changes nothing."""
    local, remote = session(stream(4000)), session(stream(4002))
    operations = {
        'INIT': lambda transport: transport.set_INIT(),
        'LOCAL': lambda transport: transport.set_LOCAL(local, 0),
        'REMOTE': lambda transport: transport.set_REMOTE(local, remote, 0),
        'ESTABLISHED': lambda transport: transport.set_ESTABLISHED(local, remote, 0),
        'update': lambda transport: transport.update_local_sdp(SDPSession.new(local), None, 0)}
    ways: dict[str, list[str]] = {
        'NULL': [], 'INIT': ['INIT'], 'LOCAL': ['INIT', 'LOCAL'], 'REMOTE': ['INIT', 'REMOTE'],
        'ESTABLISHED': ['INIT', 'LOCAL', 'ESTABLISHED']}
    allowed = {
        'NULL': {'INIT': 'INIT'},
        'INIT': {'INIT': 'INIT', 'LOCAL': 'LOCAL', 'REMOTE': 'REMOTE'},
        'LOCAL': {'INIT': 'INIT', 'LOCAL': 'LOCAL', 'ESTABLISHED': 'ESTABLISHED', 'update': 'LOCAL'},
        'REMOTE': {'INIT': 'INIT', 'REMOTE': 'REMOTE', 'ESTABLISHED': 'ESTABLISHED', 'update': 'REMOTE'},
        'ESTABLISHED': {'INIT': 'INIT', 'ESTABLISHED': 'ESTABLISHED', 'update': 'ESTABLISHED'}}
    assert set(allowed) == set(STATES) - {'WAIT_STUN', 'INVALID'}
    for state, way in ways.items():
        for name, operation in operations.items():
            transport = RTPTransport()
            for step in way:
                operations[step](transport)
            assert transport.state == state
            if name in allowed[state]:
                operation(transport)
                assert transport.state == allowed[state][name], (state, name)
            else:
                with pytest.raises(SIPCoreError):
                    operation(transport)
                assert transport.state == state, (state, name)


def test_missing_sdp_and_bad_index() -> None:
    transport = initialized()
    sdp = session(stream())
    with pytest.raises(SIPCoreError):
        transport.set_LOCAL(None, 0)        # type: ignore[arg-type]
    for index in (-1, 1, 16):
        with pytest.raises(ValueError):
            transport.set_LOCAL(sdp, index)
    transport.set_LOCAL(sdp, 0)
    with pytest.raises(SIPCoreError):
        transport.set_ESTABLISHED(sdp, None, 0)     # type: ignore[arg-type]
    with pytest.raises(ValueError):
        transport.set_ESTABLISHED(sdp, sdp, 1)
    with pytest.raises(ValueError):
        transport.update_local_sdp(sdp, None, 1)
    with pytest.raises(SIPCoreError):
        transport.rebind_remote_peer(sdp, 0)        # nothing runs


def test_one_notification_per_initialization() -> None:
    transport = RTPTransport()
    inbox = Inbox(sender=transport)
    transport.set_INIT()
    transport.set_INIT()
    inbox.wait('RTPTransportDidInitialize')
    transport.set_LOCAL(session(stream()), 0)
    transport.set_INIT()
    other = initialized()                   # its notification comes behind any of the first
    assert inbox.names() == []
    inbox.close()
    del other


def test_ports_come_in_pairs_round_robin(engine: Engine) -> None:
    first, second = initialized(), initialized()
    assert first.local_rtp_address == '127.0.0.1'
    assert first.local_rtp_port is not None and second.local_rtp_port is not None
    assert first.local_rtp_port % 2 == 0
    start, stop = engine.rtp_port_range
    assert second.local_rtp_port == start + (first.local_rtp_port - start + 2) % (stop - start)


def test_used_ports_are_skipped_and_the_ports_stay(engine: Engine) -> None:
    transport = initialized()
    port = transport.local_rtp_port
    assert port is not None
    start, stop = engine.rtp_port_range
    taken = start + (port - start + 2) % (stop - start)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as blocker:
        blocker.bind(('127.0.0.1', taken + 1))      # the RTCP port alone is enough
        other = initialized()
    assert other.local_rtp_port == start + (port - start + 4) % (stop - start)
    transport.set_LOCAL(session(stream()), 0)
    transport.set_INIT()
    assert transport.local_rtp_port == port


def test_no_free_port_can_be_tried_again(engine: Engine) -> None:
    saved = engine.rtp_port_range
    engine.rtp_port_range = (saved[1] + 100, saved[1] + 102)
    try:
        first, second = initialized(), RTPTransport()
        with pytest.raises(PJSIPError, match=f'no free pair of UDP ports for RTP in {saved[1] + 100}-{saved[1] + 101}'):
            second.set_INIT()
        assert second.state == 'NULL'
        del first
        gc.collect()

        def retry() -> bool:
            try:
                second.set_INIT()
            except PJSIPError:
                return False
            return True
        assert eventually(retry)
        assert second.state == 'INIT'
    finally:
        engine.rtp_port_range = saved


def test_update_local_sdp_replaces_and_does_not_pile_up() -> None:
    transport = initialized(encryption='sdes_optional')
    sdp = session(rejected(), stream(9, '0.0.0.0', SDPAttribute('candidate', 'old'), SDPAttribute('crypto', 'old'), SDPAttribute('ptime', '20')))
    transport.set_LOCAL(sdp, 1)
    transport.update_local_sdp(sdp, None, 1)
    once = str(sdp)
    media = sdp.media[1]
    assert media is not None
    assert media.port == transport.local_rtp_port
    assert media.connection is not None and media.connection.address == '127.0.0.1'
    assert 'candidate' not in media.attributes and media.attributes.getfirst('ptime') == '20'
    assert len(media.attributes.getall('crypto')) == 2
    transport.update_local_sdp(sdp, None, 1)
    assert str(sdp) == once
    first = sdp.media[0]
    assert first is not None and first.port == 0
    transport.update_local_sdp(sdp, None, 0)        # a rejected stream stays as it is
    assert str(sdp) == once


def test_placeholders_of_other_streams_do_not_matter() -> None:
    transport = initialized()
    sdp = session(stream())
    transport.set_LOCAL(sdp, 0)
    sdp.media.append(None)
    transport.update_local_sdp(sdp, None, 0)
    assert sdp.media[0] is not None and sdp.media[0].port == transport.local_rtp_port


def test_plain_transport_refuses_savp() -> None:
    transport = initialized()
    offer = session(stream())
    media = offer.media[0]
    assert media is not None
    media.transport = 'RTP/SAVP'
    transport.set_REMOTE(None, offer, 0)
    with pytest.raises(PJSIPError):
        transport.update_local_sdp(session(stream()), offer, 0)


def test_many_states_from_many_threads() -> None:
    """Operations from several threads at once leave a transport that works."""
    import threading
    transport = initialized()
    sdp = session(stream())

    def worker() -> None:
        for _ in range(50):
            for operation in (lambda: transport.set_LOCAL(sdp, 0), lambda: transport.set_ESTABLISHED(sdp, sdp, 0), transport.set_INIT):
                try:
                    operation()
                except SIPCoreError:
                    pass
            assert transport.local_rtp_address == '127.0.0.1'

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.set_INIT()
    assert transport.state == 'INIT'


def test_media_from_an_unexpected_address(mixer: AudioMixer) -> None:
    """Symmetric RTP: the peer's SDP names the wrong port, media go where packets come from."""
    with Pair(mixer) as pair:
        pair.offer()
        pair.answer()
        told = SDPSession.new(pair.local)
        assert told.media[0] is not None
        told.media[0].port += 2000
        pair.b.start(pair.remote, told, 0)
        pair.a.start(pair.local, pair.remote, 0)
        pair.a.send_dtmf('1')
        pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b)
        assert (pair.b_rtp.remote_rtp_address, pair.b_rtp.remote_rtp_port) == ('127.0.0.1', pair.a_rtp.local_rtp_port)
        pair.b.send_dtmf('2')
        assert pair.inbox.wait('RTPAudioStreamGotDTMF', pair.a).data.digit == '2'


def test_rebind_remote_peer(mixer: AudioMixer, tmp_path: Path) -> None:
    """Running media are pointed at another peer; counters go on, and the new peer is heard."""
    with Pair(mixer) as pair, Pair(mixer) as other:
        pair.start()
        other.offer()
        other.answer()
        assert eventually(lambda: (pair.a.statistics or {})['rx']['packets'] > 5)
        sent = pair.a.statistics
        other.b.start(other.remote, pair.local, 0)
        pair.b.stop()
        pair.a_rtp.rebind_remote_peer(other.remote, 0)
        pair.a.send_dtmf('7')
        assert other.inbox.wait('RTPAudioStreamGotDTMF', other.b).data.digit == '7'
        assert eventually(lambda: pair.a_rtp.remote_rtp_port == other.b_rtp.local_rtp_port)
        now = pair.a.statistics
        assert sent is not None and now is not None and now['tx']['packets'] > sent['tx']['packets']
        assert pair.hears(other.b, pair.a, tmp_path / 'rebound.wav') > 0.9


def test_ipv6(mixer: AudioMixer) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as test:
            test.bind(('::1', 0))
    except OSError:
        pytest.skip('no IPv6 on this machine')
    with Pair(mixer, {'ipv6': True}) as pair:
        offer = pair.offer()
        media = offer.media[0]
        assert media is not None and media.connection is not None and media.connection.address_type == 'IP6'
        pair.answer()
        for sdp in (pair.local, pair.remote):
            assert sdp.media[0] is not None and sdp.media[0].connection is not None
            sdp.media[0].connection.address = '::1'
        pair.b.start(pair.remote, pair.local, 0)
        pair.a.start(pair.local, pair.remote, 0)
        pair.a.send_dtmf('6')
        pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b)
        assert pair.b_rtp.remote_rtp_address == '::1'


def test_stopped_transport_does_not_talk(mixer: AudioMixer) -> None:
    """After set_INIT the stream is cut off: it neither hears nor sends."""
    with Pair(mixer) as pair:
        pair.start()
        assert eventually(lambda: (pair.b.statistics or {})['rx']['packets'] > 3)
        pair.a_rtp.set_INIT()
        assert pair.a_rtp.state == 'INIT' and pair.a_rtp.remote_rtp_address is None
        before = pair.b.statistics
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 10)
        after = pair.b.statistics
        assert before is not None and after is not None and after['rx']['packets'] <= before['rx']['packets'] + 1
        assert isinstance(pair.a, AudioTransport) and pair.a.is_active


def test_the_first_encrypted_transport_of_a_process_costs_no_more_than_others() -> None:
    """An RSA key for DTLS, which is not offered, would take some 300 ms in which the thread of all sessions stands still."""
    code = """
import threading, time
from sipsimple.core import Engine, RTPTransport
from sipsimple.notification import NotificationCenter
class Observer:
    def __init__(self):
        self.started = threading.Event()
        NotificationCenter().add_observer(self, name='SIPEngineDidStart')
    def handle_notification(self, notification):
        self.started.set()
observer = Observer()
Engine().start(udp_port=0, ip_address='127.0.0.1')
assert observer.started.wait(60)
used = []
for _ in range(2):
    begin = time.thread_time()
    transport = RTPTransport('sdes_optional')
    transport.set_INIT()
    used.append(time.thread_time() - begin)
assert transport.state == 'INIT' and max(used) < 0.25, used
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_keep_alives(mixer: AudioMixer) -> None:
    """RFC 6263: while we only listen, an empty datagram now and then keeps the way through a NAT open; media take its place."""
    datagrams: list[bytes] = []
    peer = RTPPeer(mixer, keep_alive_interval=0.2)
    peer.unprotect = lambda data: (datagrams.append(data), data)[1]
    with peer:
        assert eventually(lambda: any(datagrams))
        for direction in ('recvonly', 'inactive'):
            peer.stream.update_direction(direction)
            datagrams.clear()
            assert eventually(lambda: datagrams.count(b'') >= 2)
            assert peer.sources == {peer.address}
        peer.stream.update_direction('sendrecv')
        datagrams.clear()
        assert eventually(lambda: any(datagrams))


def test_keep_alives_are_no_media(mixer: AudioMixer) -> None:
    """Those that come are neither counted as damaged nor taken for the peer's media."""
    counts = Counts()
    with RTPPeer(mixer) as peer:
        peer.sockets[0].sendto(b'', peer.address)
        peer.talk(5)
        assert eventually(lambda: peer.rx['packets'] == 5)
        peer.sockets[0].sendto(b'', peer.address)
        peer.talk(5)
        assert eventually(lambda: peer.rx['packets'] == 10)
        assert not counts.all()
