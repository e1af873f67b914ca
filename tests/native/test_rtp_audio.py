"""AudioTransport: what a peer that is made of packets gets and sends - digits, loss, disorder, silence, new addresses and codecs, time-outs."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from sipsimple.core._audio_transport import AudioTransport
from sipsimple.core._media_endpoint import available_codecs
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._tone import ToneGenerator
from sipsimple.core._wave import RecordingWaveFile
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.sdp import SDPMediaStream, SDPSession
from tests.native.audio_support import Inbox, eventually, loud_part, middle, read_samples, share
from tests.native.rtp_support import Pair, RTPPeer, engine, initialized, mixer, no_leaks, session
from tests.support import rtp_packets as packets
from tests.support.rtp_packets import DIGITS, EVENT, RTP

__all__ = ['engine', 'mixer', 'no_leaks']
pytestmark = pytest.mark.usefixtures('no_leaks')

FIGURES = {'count', 'max', 'min', 'last', 'avg'}
DIRECTION = {'packets', 'bytes', 'packets_discarded', 'packets_lost', 'packets_reordered', 'packets_duplicate', 'loss_period', 'burst_loss', 'random_loss',
             'jitter'}


# ---- arguments and states -----------------------------------------------------------------------------------------------


def test_arguments(mixer: AudioMixer) -> None:
    transport = initialized()
    with pytest.raises(ValueError):
        AudioTransport(None, transport)         # type: ignore[arg-type]
    with pytest.raises(ValueError):
        AudioTransport(mixer, None)             # type: ignore[arg-type]
    with pytest.raises(ValueError):
        AudioTransport(mixer, transport, None, -1)
    for codecs in (['PCMU', 'nothing'], []):
        with pytest.raises(SIPCoreError):
            AudioTransport(mixer, transport, codecs=codecs)
    assert transport.state == 'INIT'
    stream = AudioTransport(mixer, transport, codecs=['PCMU'])
    assert transport.state == 'LOCAL'
    with pytest.raises(SIPCoreError):
        AudioTransport(mixer, transport)        # not in INIT
    with pytest.raises(SIPCoreError):
        stream.get_local_media(None, 0, 'both')
    assert (stream.mixer, stream.transport) == (mixer, transport)
    assert not stream.is_started and not stream.is_active and not stream.enable_silence_detection
    assert stream.direction is stream.codec is stream.sample_rate is stream.slot is stream.statistics is None
    assert stream.volume == 100
    for operation in (lambda: stream.send_dtmf('1'), lambda: stream.update_direction('sendrecv')):
        with pytest.raises(SIPCoreError):
            operation()
    with pytest.raises(ValueError):
        stream.volume = -1
    stream.stop()
    stream.stop()


def test_start_once(mixer: AudioMixer) -> None:
    with RTPPeer(mixer) as peer:
        stream = peer.stream
        assert stream.is_started and stream.is_active and stream.direction == 'sendrecv'
        assert (stream.codec, stream.sample_rate) == ('PCMU', 8000) and isinstance(stream.slot, int)
        with pytest.raises(SIPCoreError):
            stream.start(peer.offer, peer.answer, 0)
        stream.stop()
        assert stream.is_started and not stream.is_active and stream.slot is stream.codec is stream.statistics is None
        assert peer.transport.state == 'INIT'
        for operation in (lambda: stream.start(peer.offer, peer.answer, 0), lambda: stream.send_dtmf('1'), lambda: stream.update_direction('inactive'),
                          lambda: stream.update_sdp(peer.offer, peer.answer, 0)):
            with pytest.raises(SIPCoreError):
                operation()


def test_rejected_stream(mixer: AudioMixer) -> None:
    transport = initialized()
    stream = AudioTransport(mixer, transport, codecs=['PCMU'])
    offer = session(stream.get_local_media(None, 0))
    answer = SDPSession.parse(b'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns= \r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n')
    with pytest.raises(SIPCoreError):
        stream.start(offer, answer, 0)
    assert not stream.is_active
    with pytest.raises(ValueError):
        stream.start(offer, answer, 1)
    with pytest.raises(ValueError):
        stream.start(offer, answer, 0, timeout=-1)


# ---- digits -------------------------------------------------------------------------------------------------------------


def test_digits_from_the_peer(mixer: AudioMixer) -> None:
    """Each key press is told once, though its packets come many times."""
    with RTPPeer(mixer) as peer:
        peer.talk(5)
        for digit in DIGITS:
            pressed = packets.digit_packets(digit, peer.talker.sequence, peer.talker.timestamp)
            peer.talker.sequence += len(pressed)
            peer.talker.timestamp += 2000
            peer.send(*pressed)
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == digit
        peer.talk(2)
        assert 'RTPAudioStreamGotDTMF' not in peer.inbox.names()


def test_the_same_digit_again(mixer: AudioMixer) -> None:
    """Two key presses differ in their timestamp; a lost end does not swallow the next one."""
    with RTPPeer(mixer) as peer:
        peer.talk(5)
        for ends in (3, 0, 3):
            pressed = packets.digit_packets('5', peer.talker.sequence, peer.talker.timestamp, ends=ends)
            peer.talker.sequence += len(pressed)
            peer.talker.timestamp += 2000
            peer.send(*pressed)
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == '5'


def test_the_same_digit_as_long_as_before(mixer: AudioMixer) -> None:
    """Of two short presses all packets say the same duration; of some phones all presses do. The first one may be lost, but not of an end alone."""
    with RTPPeer(mixer) as peer:
        peer.talk(5)
        for steps, lost in ((0, 0), (0, 0), (5, 0), (5, 0), (5, 3), (0, 0)):
            pressed = packets.digit_packets('7', peer.talker.sequence, peer.talker.timestamp, steps=steps)
            pressed[0] = replace(pressed[0], marker=True)
            peer.talker.sequence += len(pressed)
            peer.talker.timestamp += 2000
            peer.send(*pressed[lost:])
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == '7'
        # A stream that is paused while it sends an end goes on with another timestamp.
        peer.send(*(replace(packet, sequence=packet.sequence + 3, timestamp=packet.timestamp + 800, marker=False) for packet in pressed[1:]))
        peer.talker.sequence += 2
        peer.talk(2)
        assert 'RTPAudioStreamGotDTMF' not in peer.inbox.names()


def test_digits_of_another_source(mixer: AudioMixer) -> None:
    """Who takes over has numbers of his own (RFC 3550 section 5.1): a little behind the others they are not late, also while the others still come."""
    with RTPPeer(mixer) as peer:
        peer.talker.sequence = 3000
        peer.talk(5)
        for number, digit in enumerate('1234'):
            pressed = packets.digit_packets(digit, peer.talker.sequence - 20 - 10 * number, 5000)
            for packet in pressed:
                peer.send(replace(packet, ssrc=0xCAFE + number))
                if number % 2:
                    peer.send(peer.talker.packet())
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == digit
        peer.talk(2)
        assert 'RTPAudioStreamGotDTMF' not in peer.inbox.names()


def test_digits_to_the_peer(mixer: AudioMixer) -> None:
    """RFC 4733: one timestamp, a growing duration, the marker first, the end three times."""
    with RTPPeer(mixer) as peer:
        for digit in [*DIGITS, 'd']:
            peer.stream.send_dtmf(digit)

        def presses() -> dict[int, list[RTP]]:
            found: dict[int, list[RTP]] = {}
            for packet in peer.received(EVENT):
                found.setdefault(packet.timestamp, []).append(packet)
            return found
        assert eventually(lambda: len(presses()) == 17 and sum(packet.event[1] for packet in list(presses().values())[-1]) == 3)
        for digit, press in zip(DIGITS + 'D', presses().values(), strict=True):
            assert {packet.event[0] for packet in press} == {digit}
            assert [packet.marker for packet in press] == [True] + [False] * (len(press) - 1)
            assert [packet.event[1] for packet in press] == [False] * (len(press) - 3) + [True] * 3
            durations = [packet.event[3] for packet in press]
            assert durations == sorted(durations) and durations[-1] == durations[-3] >= 800
            assert [packet.sequence - press[0].sequence & 0xFFFF for packet in press] == list(range(len(press)))
        for wrong in ('', '12', 'E', ' '):
            with pytest.raises(SIPCoreError):
                peer.stream.send_dtmf(wrong)


def test_peer_without_telephone_event(mixer: AudioMixer) -> None:
    with RTPPeer(mixer, formats='0') as peer:
        peer.stream.send_dtmf('1')
        assert eventually(lambda: len(peer.received(0)) >= 20)
        assert not peer.received(EVENT)


# ---- the jitter buffer and the statistics -----------------------------------------------------------------------------------


def test_fields_of_the_statistics(mixer: AudioMixer) -> None:
    with RTPPeer(mixer) as peer:
        peer.talk(10)
        statistics = peer.stream.statistics
        assert statistics is not None and set(statistics) == {'rtt', 'rx', 'tx'} and set(statistics['rtt']) == FIGURES
        for direction in ('rx', 'tx'):
            fields = statistics[direction]
            assert set(fields) == DIRECTION
            assert set(fields['loss_period']) == set(fields['jitter']) == FIGURES
            assert isinstance(fields['burst_loss'], bool) and isinstance(fields['random_loss'], bool)
        assert eventually(lambda: peer.rx['packets'] == 10) and peer.rx['bytes'] == 1600
        sent = peer.stream.statistics['tx']
        assert sent['packets'] >= 5 and sent['bytes'] == sent['packets'] * 160


def test_loss(mixer: AudioMixer) -> None:
    with RTPPeer(mixer) as peer:
        peer.talk(50, lambda number, packet: [] if number in (10, 20, 21, 22) else [packet])
        assert eventually(lambda: peer.rx['packets'] == 46)
        rx = peer.rx
        assert rx['packets_lost'] == 4 and rx['packets_duplicate'] == rx['packets_reordered'] == 0
        assert rx['loss_period']['count'] == 2 and rx['loss_period']['max'] == 60000 and rx['loss_period']['min'] == 20000         # us


def test_duplicates(mixer: AudioMixer) -> None:
    with RTPPeer(mixer) as peer:
        peer.talk(40, lambda number, packet: [packet, packet] if number % 10 == 5 else [packet])
        assert eventually(lambda: peer.rx['packets'] == 44)
        assert peer.rx['packets_duplicate'] == 4 and peer.rx['packets_lost'] == 0


def test_reordering(mixer: AudioMixer, tmp_path: Path) -> None:
    """Pairs that come the wrong way round: counted, and put right by the jitter buffer."""
    held: list[RTP] = []

    def swap(number: int, packet: RTP) -> Iterable[RTP]:
        if number % 10 == 4:
            held.append(packet)
            return []
        return [packet, held.pop()] if held else [packet]
    with RTPPeer(mixer) as peer:
        peer.talker.samples = packets.tone(1000, 1.2)
        assert recorded_share(peer, tmp_path, lambda: peer.talk(60, swap)) > 0.9
        assert eventually(lambda: peer.rx['packets'] == 60)
        assert peer.rx['packets_reordered'] == 6 and peer.rx['packets_lost'] == 0


def test_wrapped_numbers(mixer: AudioMixer, tmp_path: Path) -> None:
    """Sequence numbers and timestamps begin anew in the middle of the stream (RFC 3550 appendix A.1)."""
    with RTPPeer(mixer) as peer:
        peer.talker.sequence, peer.talker.timestamp = 0x10000 - 30, 2**32 - 160 * 30
        peer.talker.samples = packets.tone(1000, 1.2)
        assert recorded_share(peer, tmp_path, lambda: peer.talk(60)) > 0.9
        assert eventually(lambda: peer.rx['packets'] == 60) and peer.rx['packets_lost'] == 0


def test_a_lost_packet_is_concealed(mixer: AudioMixer, tmp_path: Path) -> None:
    with RTPPeer(mixer) as peer:
        peer.talker.samples = packets.tone(1000, 1.2)
        assert recorded_share(peer, tmp_path, lambda: peer.talk(60, lambda number, packet: [] if number % 10 == 7 else [packet])) > 0.8


def recorded_share(peer: RTPPeer, tmp_path: Path, talk: Callable[[], None], frequency: float = 1000) -> float:
    """What of a recording made while the peer talks is its tone."""
    recorder = RecordingWaveFile(peer.mixer, str(tmp_path / 'heard.wav'))
    recorder.start()
    try:
        assert peer.stream.slot is not None and recorder.slot is not None
        peer.mixer.connect_slots(peer.stream.slot, recorder.slot)
        talk()
        ticks = peer.mixer.frames_mixed
        assert eventually(lambda: peer.mixer.frames_mixed >= ticks + 5)
    finally:
        recorder.stop()
    samples, rate = read_samples(tmp_path / 'heard.wav')
    loud = loud_part(samples)
    return max((share(middle(loud[start:], rate, 0.2), rate, frequency) for start in range(0, max(1, len(loud) - rate // 2), rate // 10)), default=0.0)


def test_jitter_is_measured(mixer: AudioMixer) -> None:
    """Packets in groups of three: their spacing is uneven, nothing is lost."""
    waiting: list[RTP] = []

    def group(number: int, packet: RTP) -> Iterable[RTP]:
        waiting.append(packet)
        if number % 3 != 2:
            return []
        now, waiting[:] = waiting[:], []
        return now
    with RTPPeer(mixer) as peer:
        peer.talk(60, group)
        assert eventually(lambda: peer.rx['packets'] == 60)
        assert peer.rx['jitter']['max'] > 5000 and peer.rx['packets_lost'] == 0         # us


# ---- RTCP -----------------------------------------------------------------------------------------------------------------


def test_rtcp(mixer: AudioMixer) -> None:
    """We report, learn from the peer's reports what it lost and how long packets take, and say goodbye."""
    with RTPPeer(mixer) as peer:
        peer.talk(20)

        def reports() -> list[bytes]:
            with peer.lock:
                return [each for each in peer.rtcp if packets.SR in packets.rtcp_types(each)]
        assert eventually(reports)
        report = reports()[-1]
        assert packets.rtcp_types(report)[:2] == [packets.SR, packets.SDES]
        ssrc, high, low = struct.unpack('!III', report[4:16])
        delay = 1000            # of 1/65536 s: what the peer says that it kept the report for
        block = packets.report_block(ssrc, fraction=26, lost=3, highest=100, jitter=80, last_sr=(high & 0xFFFF) << 16 | low >> 16, delay=delay)
        peer.sockets[1].sendto(packets.sender_report(peer.talker.ssrc, 20, 3200, peer.talker.timestamp, block), (peer.address[0], peer.address[1] + 1))
        assert eventually(lambda: (peer.stream.statistics or {'tx': {'packets_lost': 0}})['tx']['packets_lost'] == 3)
        statistics = peer.stream.statistics
        assert statistics is not None and statistics['tx']['jitter']['last'] == 10000            # 80 samples at 8 kHz, in us
        assert statistics['rtt']['count'] == 1 and 0 < statistics['rtt']['last'] < 60_000_000
        peer.stream.stop()
        assert eventually(lambda: any(packets.BYE in packets.rtcp_types(each) for each in peer.rtcp))


# ---- silence ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('detect', [True, False])
def test_silence_detection(mixer: AudioMixer, detect: bool) -> None:
    """With it, next to nothing is sent while nobody speaks; a voice is sent at once."""
    with RTPPeer(mixer, vad=detect) as peer:
        assert peer.stream.enable_silence_detection is detect
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 60)          # what it needs to learn what silence is here
        before, ticks = len(peer.received(0)), mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 50)
        silent = len(peer.received(0)) - before
        assert silent <= 5 if detect else silent >= 40
        tone, before = ToneGenerator(mixer), len(peer.received(0))
        tone.start()
        inbox = Inbox(sender=tone)
        assert tone.slot is not None and peer.stream.slot is not None
        mixer.connect_slots(tone.slot, peer.stream.slot)
        tone.play_tones([(440, 0, 600)])
        inbox.wait('ToneGeneratorDidFinishPlaying')
        inbox.close()
        tone.stop()
        assert eventually(lambda: len(peer.received(0)) - before >= 25)


# ---- time-outs ---------------------------------------------------------------------------------------------------------------


def test_timeout_is_repeated(mixer: AudioMixer) -> None:
    with RTPPeer(mixer, timeout=1) as peer:
        peer.talk(75)           # 1.5 s
        assert 'RTPAudioTransportDidTimeout' not in peer.inbox.names()
        for _ in range(2):
            peer.inbox.wait('RTPAudioTransportDidTimeout', peer.stream)
        assert peer.stream.is_active


@pytest.mark.parametrize('direction', ['sendonly', 'recvonly', 'inactive'])
def test_no_timeout_on_hold(mixer: AudioMixer, direction: str) -> None:
    with RTPPeer(mixer, timeout=0.2) as peer, RTPPeer(mixer, timeout=0.2) as other:
        peer.stream.update_direction(direction)
        mine = Inbox('RTPAudioTransportDidTimeout', peer.stream)
        for _ in range(4):              # the other one's clock says that enough time has passed
            other.inbox.wait('RTPAudioTransportDidTimeout', other.stream)
        assert not mine.names()
        mine.close()
        peer.stream.update_direction('sendrecv')
        peer.inbox.wait('RTPAudioTransportDidTimeout', peer.stream)


def test_timeout_off(mixer: AudioMixer) -> None:
    with RTPPeer(mixer) as peer, RTPPeer(mixer, timeout=0.2) as other:
        for _ in range(3):
            assert other.inbox.wait('RTPAudioTransportDidTimeout').sender is other.stream
        assert peer.stream.is_active


# ---- directions, addresses, codecs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction, sends', [('sendrecv', True), ('sendonly', True), ('recvonly', False), ('inactive', False)])
def test_directions(mixer: AudioMixer, tmp_path: Path, direction: str, sends: bool) -> None:
    with RTPPeer(mixer) as peer:
        assert eventually(lambda: len(peer.received(0)) > 3)
        peer.stream.update_direction(direction)
        assert peer.stream.direction == direction
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 3)
        before, ticks = len(peer.received(0)), mixer.frames_mixed
        peer.talker.samples = packets.tone(1000, 0.8)
        heard = recorded_share(peer, tmp_path, lambda: peer.talk(40))
        if sends:
            assert eventually(lambda: len(peer.received(0)) >= before + 20)
        else:
            assert len(peer.received(0)) == before
        assert (heard > 0.9) is (direction in ('sendrecv', 'recvonly'))
        peer.stream.update_direction('sendrecv')
        peer.talker.samples = packets.tone(1000, 0.8)
        assert recorded_share(peer, tmp_path, lambda: peer.talk(40)) > 0.9
        with pytest.raises(SIPCoreError):
            peer.stream.update_direction('both')


def test_direction_of_the_answer(mixer: AudioMixer) -> None:
    """While we hold the peer we answer sendonly, and the negotiator makes of that what the offer allows."""
    with RTPPeer(mixer) as peer:
        for ours, expected in (('sendrecv', 'sendrecv'), ('sendonly', 'sendonly'), ('inactive', 'sendonly'), ('recvonly', 'sendrecv')):
            peer.stream.update_direction(ours)
            assert peer.stream.get_local_media(peer.description(), 0).direction == expected
        for direction in ('sendrecv', 'sendonly', 'recvonly', 'inactive'):
            assert peer.stream.get_local_media(None, 0, direction).direction == direction


def test_hold_by_the_null_address(mixer: AudioMixer) -> None:
    """RFC 3264 section 8.4: 0.0.0.0 is told, and nothing is sent, not even to this host."""
    with RTPPeer(mixer) as peer:
        assert eventually(lambda: len(peer.received(0)) > 3)
        peer.transport.rebind_remote_peer(peer.description(address='0.0.0.0'), 0)
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 3)
        before, ticks = len(peer.received(0)), mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 15)
        assert len(peer.received(0)) == before
        peer.transport.rebind_remote_peer(peer.description(), 0)
        assert eventually(lambda: len(peer.received(0)) > before + 3)


def test_peer_moves_to_another_port(mixer: AudioMixer) -> None:
    """A re-INVITE with another port: media go there, counters go on, nothing is built anew."""
    with RTPPeer(mixer) as peer, RTPPeer(mixer) as other:
        peer.talk(10)
        slot, before = peer.stream.slot, peer.stream.statistics
        assert not peer.stream.update_sdp(peer.offer, other.answer, 0)
        there = len(other.received(0))
        assert eventually(lambda: any(source[1] == peer.address[1] for source in other.sources)) and len(other.received(0)) > there
        assert peer.stream.slot == slot
        now = peer.stream.statistics
        assert before is not None and now is not None and now['tx']['packets'] >= before['tx']['packets'] and now['rx']['packets'] >= 10
        stopped = len(peer.received(0))
        ticks = mixer.frames_mixed
        assert eventually(lambda: mixer.frames_mixed >= ticks + 10)
        assert len(peer.received(0)) <= stopped + 1


def test_media_from_a_stranger(mixer: AudioMixer) -> None:
    """Once the peer is known, packets from somewhere else neither count nor draw the media there."""
    with RTPPeer(mixer) as peer, RTPPeer(mixer) as stranger:
        peer.talk(20)
        stranger.address = peer.address
        for _ in range(5):
            peer.talk(5)
            stranger.talk(2)
        peer.talk(10)
        assert (peer.transport.remote_rtp_address, peer.transport.remote_rtp_port) == ('127.0.0.1', peer.port)
        assert peer.address[1] not in {source[1] for source in stranger.sources}
        before = len(peer.received(0))
        assert eventually(lambda: len(peer.received(0)) > before + 5)


def only(media: SDPMediaStream, payload_type: str) -> SDPMediaStream:
    """The same with one of its codecs, and telephone-events."""
    media.formats = [payload_type, '101']
    media.attributes = [each for each in media.attributes if each.name not in ('rtpmap', 'fmtp') or each.value.split()[0] in media.formats]
    return media


def test_another_codec_by_reinvite(mixer: AudioMixer, tmp_path: Path) -> None:
    """The stream is built anew in another slot, connected as the old one was; the ports stay."""
    with Pair(mixer, codecs=['PCMU', 'G722']) as pair:
        pair.start()
        tone = ToneGenerator(mixer)
        tone.start()
        assert tone.slot is not None and pair.a.slot is not None
        mixer.connect_slots(tone.slot, pair.a.slot)
        old, port = pair.a.slot, pair.a_rtp.local_rtp_port
        offer = session(only(pair.a.get_local_media(None, 0), '9'))
        answer = session(only(pair.b.get_local_media(offer, 0), '9'))
        assert pair.b.update_sdp(answer, offer, 0) and pair.a.update_sdp(offer, answer, 0)
        assert pair.a.codec == pair.b.codec == 'G722' and pair.a.sample_rate == 16000
        assert pair.a.slot is not None and (tone.slot, pair.a.slot) in mixer.connected_slots
        assert (tone.slot, old) not in mixer.connected_slots or old == pair.a.slot
        assert pair.a_rtp.local_rtp_port == port
        tone.stop()
        assert pair.hears(pair.a, pair.b, tmp_path / 'ab.wav') > 0.9 and pair.hears(pair.b, pair.a, tmp_path / 'ba.wav') > 0.9


def change_codec(peer: RTPPeer, payload_type: str) -> None:
    """Build the stream anew, with another codec."""
    offer = session(only(peer.stream.get_local_media(None, 0), payload_type))
    assert peer.stream.update_sdp(offer, peer.description(formats=f'{payload_type} 101'), 0)


def test_our_digits_over_a_change_of_codec(mixer: AudioMixer) -> None:
    """Those that wait to be sent when the stream is built anew are sent by the new one, in their order and once."""
    with RTPPeer(mixer, codecs=['PCMU', 'PCMA'], formats='0 101') as peer:
        for digit in '1234':
            peer.stream.send_dtmf(digit)
        assert eventually(lambda: peer.received(EVENT))
        change_codec(peer, '8')
        for digit in '56':
            peer.stream.send_dtmf(digit)
        change_codec(peer, '0')
        peer.stream.send_dtmf('7')

        def presses() -> str:
            return ''.join(digit for _, _, digit in dict.fromkeys((packet.ssrc, packet.timestamp, packet.event[0]) for packet in peer.received(EVENT)))
        assert eventually(lambda: len(presses()) >= 7) and presses() == '1234567'


def test_their_digits_over_a_change_of_codec(mixer: AudioMixer) -> None:
    """One that is under way when the stream is built anew is told once."""
    with RTPPeer(mixer, codecs=['PCMU', 'PCMA'], formats='0 101') as peer:
        peer.talk(5)
        for number, payload_type in enumerate('808'):
            pressed = packets.digit_packets('5', peer.talker.sequence, peer.talker.timestamp)
            peer.talker.sequence += len(pressed)
            peer.talker.timestamp += 2000
            peer.send(*pressed[:3])
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == '5'
            change_codec(peer, payload_type)
            if number == 1:
                change_codec(peer, '8')
                change_codec(peer, '0')
            peer.send(*pressed[3:], *packets.digit_packets('6', peer.talker.sequence, peer.talker.timestamp))
            peer.talker.sequence += len(pressed)
            peer.talker.timestamp += 2000
            assert peer.inbox.wait('RTPAudioStreamGotDTMF', peer.stream).data.digit == '6'


@pytest.mark.parametrize('codec, rate', [('PCMU', 8000), ('PCMA', 8000), ('G722', 16000), ('GSM', 8000), ('speex', 32000), ('opus', 48000), ('L16', 44100),
                                         ('G729', 8000)])
def test_codecs(mixer: AudioMixer, tmp_path: Path, codec: str, rate: int) -> None:
    if codec == 'G729' and codec not in available_codecs():
        pytest.skip('built without bcg729')
    assert codec.lower() in {name.lower() for name in available_codecs()}
    with Pair(mixer, codecs=[codec]) as pair:
        pair.start()
        assert (pair.a.codec, pair.a.sample_rate) == (pair.b.codec, pair.b.sample_rate) == (codec, rate)
        assert pair.hears(pair.a, pair.b, tmp_path / 'ab.wav') > 0.8
        assert pair.hears(pair.b, pair.a, tmp_path / 'ba.wav') > 0.8
        pair.a.send_dtmf('8')
        assert pair.inbox.wait('RTPAudioStreamGotDTMF', pair.b).data.digit == '8'


def test_longer_frames(mixer: AudioMixer, tmp_path: Path) -> None:
    """A peer that makes longer and longer frames of Opus is heard all the time; the best of some tries, as the mixer is late now and then."""
    codec = packets.OpusCodec(speech=True)
    with RTPPeer(mixer, formats='96', attributes='a=rtpmap:96 opus/48000/2\r\n', codecs=['opus'], offers=True) as peer:
        assert peer.stream.codec == 'opus' and peer.stream.slot is not None
        sequence = timestamp = 0
        for length in (20, 40, 60, 120):
            heard = 0.0
            for _ in range(5):
                size = codec.rate * length // 1000
                samples = packets.tone(1000, 0.84, codec.rate)
                recorder = RecordingWaveFile(mixer, str(tmp_path / f'{length}.wav'))
                recorder.start()
                assert recorder.slot is not None
                mixer.connect_slots(peer.stream.slot, recorder.slot)
                when = time.monotonic()
                for start in range(0, len(samples) - size + 1, size):
                    payload = codec.encode(samples[start:start + size])
                    assert (10, 20, 40, 60)[payload[0] >> 3 & 3] == min(length, 60)             # of a frame, RFC 6716 section 3.1
                    peer.send(RTP(96, sequence, timestamp, payload))
                    sequence, timestamp = sequence + 1, timestamp + size
                    when += length / 1000
                    time.sleep(max(0.0, when - time.monotonic()))
                recorder.stop()
                recorded, rate = read_samples(tmp_path / f'{length}.wav')
                heard = max(heard, share(middle(recorded, rate), rate, 1000))
                if heard > 0.8:
                    break
            assert heard > 0.8, length


def test_volume(mixer: AudioMixer) -> None:
    """Of what comes from the peer."""
    def level(peer: RTPPeer, volume: int) -> int:
        peer.stream.volume = volume
        assert peer.stream.volume == volume
        peer.talker.samples = packets.tone(440, 0.6, level=0.2)
        peer.talk(30)
        assert peer.stream.slot is not None
        return mixer.get_signal_level(peer.stream.slot)[1]
    with RTPPeer(mixer) as peer:
        assert peer.stream.slot is not None
        mixer.connect_slots(peer.stream.slot, 0)
        normal, loud, quiet = (level(peer, volume) for volume in (100, 400, 10))
        assert quiet < normal < loud


def test_what_nobody_heard_is_not_heard_later(mixer: AudioMixer, tmp_path: Path) -> None:
    """A muted peer's words wait in the jitter buffer: they are not played, and do not delay what follows, when it is heard again."""
    with Pair(mixer) as pair:
        pair.start()
        assert pair.hears(pair.a, pair.b, tmp_path / 'before.wav') > 0.9
        assert pair.a.slot is not None and pair.b.slot is not None
        recorder, tone = RecordingWaveFile(mixer, str(tmp_path / 'after.wav')), ToneGenerator(mixer)
        inbox = Inbox(sender=tone)
        recorder.start()
        tone.start()
        assert tone.slot is not None and recorder.slot is not None
        mixer.connect_slots(tone.slot, pair.a.slot)
        tone.play_tones([(1000, 0, 800)])
        inbox.wait('ToneGeneratorDidFinishPlaying')
        inbox.close()
        for listening in (False, True):
            if listening:
                mixer.connect_slots(pair.b.slot, recorder.slot)
            frames = mixer.frames_mixed
            assert eventually(lambda: mixer.frames_mixed >= frames + (25 if listening else 5))         # noqa: B023
        tone.stop()
        recorder.stop()
        samples, _ = read_samples(tmp_path / 'after.wav')
        assert len(samples) > 0 and max(map(abs, samples)) < 500
