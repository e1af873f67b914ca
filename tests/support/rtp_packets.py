"""RTP, RTCP and telephone-event packets as bytes, and the codecs of a scripted peer (RFC 3550, 3551, 4733)."""

from __future__ import annotations

import ctypes
import math
import struct
from dataclasses import dataclass, field

FRAME_MS = 20
PCMU, PCMA, EVENT = 0, 8, 101
DIGITS = '0123456789*#ABCD'             # event codes 0..15
SR, RR, SDES, BYE = 200, 201, 202, 203


@dataclass(frozen=True)
class RTP:
    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes
    ssrc: int = 0x5EED
    marker: bool = False

    def __bytes__(self) -> bytes:
        return struct.pack('!BBHII', 0x80, self.marker << 7 | self.payload_type, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc) + self.payload

    @classmethod
    def parse(cls, data: bytes) -> RTP | None:
        """None for what is no plain RTP packet."""
        if len(data) < 12 or data[0] & 0xC0 != 0x80 or 64 <= data[1] & 0x7F < 96 or data[0] & 0x3F:
            return None
        _, second, sequence, timestamp, ssrc = struct.unpack('!BBHII', data[:12])
        return cls(second & 0x7F, sequence, timestamp, data[12:], ssrc, bool(second & 0x80))

    @property
    def event(self) -> tuple[str, bool, int, int]:
        """Of a telephone-event: digit, end bit, volume (-dBm0), duration."""
        code, flags, duration = struct.unpack('!BBH', self.payload)
        return DIGITS[code], bool(flags & 0x80), flags & 0x3F, duration


def event_payload(digit: str, duration: int, end: bool = False, volume: int = 10) -> bytes:
    return struct.pack('!BBH', DIGITS.index(digit), end << 7 | volume, duration)


def digit_packets(digit: str, sequence: int, timestamp: int, steps: int = 5, ends: int = 3, payload_type: int = EVENT) -> list[RTP]:
    """A key press as RFC 4733 section 2.5.1 has it: updates with a growing duration, the end sent several times."""
    updates = [RTP(payload_type, sequence + i, timestamp, event_payload(digit, 160 * (i + 1)), marker=i == 0) for i in range(steps)]
    last = [RTP(payload_type, sequence + steps + i, timestamp, event_payload(digit, 160 * (steps + 1), end=True)) for i in range(ends)]
    return updates + last


def rtcp_types(data: bytes) -> list[int]:
    """Types of the packets of a compound RTCP packet; empty for something else."""
    found = []
    while len(data) >= 4 and data[0] & 0xC0 == 0x80 and 192 <= data[1] < 224:
        found.append(data[1])
        data = data[4 + 4 * int.from_bytes(data[2:4]):]
    return found


def sender_report(ssrc: int, packets: int, octets: int, timestamp: int, blocks: bytes = b'') -> bytes:
    body = struct.pack('!IIIIII', ssrc, 0xE0000000, 0x12345678, timestamp & 0xFFFFFFFF, packets, octets) + blocks
    return struct.pack('!BBH', 0x80 | len(blocks) // 24, SR, len(body) // 4) + body


def report_block(ssrc: int, *, fraction: int = 0, lost: int = 0, highest: int = 0, jitter: int = 0, last_sr: int = 0, delay: int = 0) -> bytes:
    return struct.pack('!IIIIII', ssrc, fraction << 24 | lost & 0xFFFFFF, highest, jitter, last_sr, delay)


# ---- codecs -----------------------------------------------------------------------------------------------------------


def tone(frequency: float, seconds: float, rate: int = 8000, level: float = 0.4) -> list[int]:
    return [int(32767 * level * math.sin(2 * math.pi * frequency * i / rate)) for i in range(int(rate * seconds))]


def _ulaw(sample: int) -> int:
    """ITU-T G.711."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 15) & 0xFF


def _linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 15) * 8 + 132 << (code >> 4 & 7)) - 132
    return -magnitude if code & 0x80 else magnitude


_LINEAR = [_linear(code) for code in range(256)]


class PCMUCodec:
    """8 kHz, a byte a sample."""

    rate = clock = 8000
    frame = rate * FRAME_MS // 1000

    def encode(self, samples: list[int]) -> bytes:
        return bytes(_ulaw(sample) for sample in samples)

    def decode(self, payload: bytes) -> list[int]:
        return [_LINEAR[code] for code in payload]


class OpusCodec:
    """libopus itself, 48 kHz mono (RFC 7587).

    Args:
        speech: encodes for speech at a low rate, which has frames of up to 60 ms; else packets of more than 20 ms are made of frames of 20.
    """

    rate = clock = 48000
    frame = rate * FRAME_MS // 1000
    VOIP = 2048
    SET_BITRATE, SET_MAX_BANDWIDTH, SET_FORCE_MODE = 4002, 4004, 11002
    WIDEBAND, SILK = 1103, 1000

    def __init__(self, speech: bool = False) -> None:
        self._library = ctypes.CDLL('libopus.so.0')
        for name in ('opus_encoder_create', 'opus_decoder_create'):
            getattr(self._library, name).restype = ctypes.c_void_p
        error = ctypes.c_int()
        self._encoder = ctypes.c_void_p(self._library.opus_encoder_create(self.rate, 1, self.VOIP, ctypes.byref(error)))
        self._decoder = ctypes.c_void_p(self._library.opus_decoder_create(self.rate, 1, ctypes.byref(error)))
        for request, value in ((self.SET_BITRATE, 16000), (self.SET_MAX_BANDWIDTH, self.WIDEBAND), (self.SET_FORCE_MODE, self.SILK)) if speech else ():
            assert self._library.opus_encoder_ctl(self._encoder, request, value) == 0

    def encode(self, samples: list[int]) -> bytes:
        output = ctypes.create_string_buffer(1500)
        size = self._library.opus_encode(self._encoder, (ctypes.c_int16 * len(samples))(*samples), len(samples), output, len(output))
        assert size > 0, size
        return output.raw[:size]

    def decode(self, payload: bytes) -> list[int]:
        output = (ctypes.c_int16 * (6 * self.frame))()
        size = self._library.opus_decode(self._decoder, payload, len(payload), output, len(output), 0)
        assert size >= 0, size
        return list(output[:size])


@dataclass
class Talker:
    """Makes the packets of a stream, one after the other: silence, or a tone while there is one."""

    codec: PCMUCodec | OpusCodec
    payload_type: int
    sequence: int = 100
    timestamp: int = 1000
    ssrc: int = 0x5EED
    samples: list[int] = field(default_factory=list)

    def packet(self) -> RTP:
        frame, self.samples = self.samples[:self.codec.frame], self.samples[self.codec.frame:]
        frame += [0] * (self.codec.frame - len(frame))
        packet = RTP(self.payload_type, self.sequence & 0xFFFF, self.timestamp, self.codec.encode(frame), self.ssrc)
        self.sequence += 1
        self.timestamp += self.codec.frame
        return packet
