"""Malformed input in masses while a call is up: no crash, the call and its audio go on, errors are counted.

Packets of real calls of ours, caught on the wire between the two processes, are truncated, bit-flipped and otherwise damaged (tests/support/mutation.py), and sent
at 1,000 packets a second to the ports for SIP (UDP and TCP), RTP and RTCP; from where the peer is, and from elsewhere. Five seconds of it; a minute with
SIPSIMPLE_FULL_LOAD=1 in the environment. SIPSIMPLE_SEED repeats a run: the seed is in the message of a failure.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time

import pytest

from tests.native.audio_support import read_samples, share
from tests.support.mutation import Mutator
from tests.support.wire import Wire

SECONDS = 60 if os.environ.get('SIPSIMPLE_FULL_LOAD') else 5
RATE = 1000                 # packets a second
SEED = int(os.environ.get('SIPSIMPLE_SEED') or random.SystemRandom().randrange(2**32))
TONE = 440                  # Hz
WINDOW = 0.1                # s

# What of a hundred packets is sent: kinds of packets, and who seems to send them. From the peer's address plain RTP cannot be told from the peer's.
SIP_MIX = {'peer sip': 20, 'stranger sip': 15, 'sdp': 5, 'tcp': 12, 'caller sip': 6}
SRTP_MIX = {**SIP_MIX, 'peer rtp': 15, 'stranger rtp': 15, 'peer rtcp': 6, 'stranger rtcp': 6}
PLAIN_MIX = {**SIP_MIX, 'stranger rtp': 30, 'stranger rtcp': 6, 'peer rtcp': 6}


def would_act(message: bytes, ours: list[bytes]) -> bool:
    """Whether a damaged request is still one of the running call, which the peer might have sent to change or end it."""
    return message.split(b' ', 1)[0].upper() in (b'BYE', b'CANCEL', b'INVITE', b'UPDATE', b'REFER') and all(word in message for word in ours)


class Flood:
    """Damaged packets at an even rate."""

    def __init__(self, wire: Wire, callee: dict[str, int], mix: dict[str, int], ours: list[bytes]) -> None:
        self.wire, self.callee, self.ours = wire, callee, ours
        self.mutator = Mutator(SEED)
        self.random = self.mutator.random
        self.kinds, self.weights = list(mix), list(mix.values())
        self.sip = wire.captured('sip')
        self.invites = [data for data in wire.captured('sip', True) if data.startswith(b'INVITE') and b'm=audio' in data]
        self.rtp, self.rtcp = wire.captured('rtp', True)[-200:], wire.captured('rtcp', True)[-50:]
        assert self.invites and self.rtp and self.rtcp
        self.sent = dict.fromkeys(mix, 0)
        self.number = 0
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stranger.bind(('127.0.0.1', 0))
        self.stream: socket.socket | None = None

    def run(self, seconds: float) -> float:
        """Send for that long; returns the rate that was reached."""
        begin = time.monotonic()
        total = 0
        while (now := time.monotonic() - begin) < seconds:
            while total < now * RATE:
                total += 1
                self.one(self.random.choices(self.kinds, self.weights)[0])
            time.sleep(0.002)           # what paces the packets
        self.stranger.close()
        if self.stream is not None:
            self.stream.close()
        return total / seconds

    def one(self, kind: str) -> None:
        who, _, what = kind.partition(' ')
        if what == 'sip':
            data = self.mutator.text(self.random.choice(self.sip))
            if would_act(data, self.ours):
                return
            if who == 'stranger':
                self.to_callee('port', data)
            else:
                self.wire.inject(who == 'peer', 'sip', data)
        elif kind == 'sdp':
            self.to_callee('port', self.mutator.sdp(self.new_invite()))
        elif kind == 'tcp':
            self.over_tcp()
        else:
            data = self.mutator.binary(self.random.choice(self.rtp if what == 'rtp' else self.rtcp))
            if who == 'stranger':
                self.to_callee(what, data)
            else:
                self.wire.inject(True, what, data)
        self.sent[kind] += 1

    def to_callee(self, port: str, data: bytes) -> None:
        try:
            self.stranger.sendto(data[:65000], ('127.0.0.1', self.callee[port]))
        except OSError:
            pass                        # an ICMP error of the packet before

    def new_invite(self) -> bytes:
        """An INVITE of another call."""
        self.number += 1
        invite = re.sub(rb'(?im)^(Call-ID:\s*)\S+', rb'\1other-%d' % self.number, self.random.choice(self.invites))
        return re.sub(rb'branch=[^;\s]+', b'branch=z9hG4bK-other-%d' % self.number, invite)

    def over_tcp(self) -> None:
        """Some messages, one of them damaged, in one piece on a connection; a new one when the callee has had enough of it."""
        messages = [self.random.choice(self.sip) for _ in range(self.random.choice((1, 1, 2, 4)))]
        messages[self.random.randrange(len(messages))] = self.mutator.text(self.random.choice(self.sip))
        data = b''.join(message for message in messages if not would_act(message, self.ours)).replace(b'SIP/2.0/UDP', b'SIP/2.0/TCP')
        try:
            if self.stream is None:
                self.stream = socket.create_connection(('127.0.0.1', self.callee['tcp_port']), 10)
                self.stream.setblocking(False)
            self.stream.send(data[:self.random.choice((len(data), len(data), 50))])
            if self.random.random() < 0.05:
                raise OSError('enough')
        except OSError:
            if self.stream is not None:
                self.stream.close()
            self.stream = None


def quality(path) -> tuple[float, float]:
    """Seconds of the recording, and which part of its windows has the tone and nothing else."""
    samples, rate = read_samples(path)
    size = int(rate * WINDOW)
    windows = [samples[start:start + size] for start in range(0, len(samples) - size, size)]
    good = sum(share(window, rate, TONE) > 0.8 for window in windows)
    return len(samples) / rate, good / max(1, len(windows))


def hold_and_unhold(pair, incoming):
    for held in (True, False):
        pair.caller.call('hold' if held else 'unhold')
        assert pair.caller.wait('SIPSessionDidChangeHoldState', 's')['on_hold'] is held
        assert pair.callee.wait('SIPSessionDidChangeHoldState', incoming)['on_hold'] is held


def hang_up(pair, incoming):
    pair.caller.call('end')
    pair.caller.wait('SIPSessionDidEnd', 's')
    pair.callee.wait('SIPSessionDidEnd', incoming)


def set_up(pair, wire):
    pair.connect(ports=[wire.port])
    pair.callee.wait('SIPSessionNewIncoming')
    incoming = pair.callee.events[-1][1]
    pair.callee.do('accept', session=incoming)
    pair.caller.wait('SIPSessionDidStart', 's')
    pair.callee.wait('SIPSessionDidStart', incoming)
    return incoming


class Call:
    """A call over a wire between two processes, in which the caller plays a tone."""

    def __init__(self, pair, tmp_path, encrypted):
        self.pair, self.path = pair, tmp_path / 'heard.wav'
        pair.caller.do('start')
        self.ports = pair.callee.do('start', tcp_port=0)
        pair.callee.do('count_errors')
        if encrypted:
            for side in (pair.caller, pair.callee):
                side.do('set', target='account', **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': 'sdes_mandatory'})
        self.wire = Wire(self.ports['port'])

    def run(self):
        """A call to take packets of all kinds from, then the one to disturb."""
        self.incoming = set_up(self.pair, self.wire)
        hold_and_unhold(self.pair, self.incoming)
        hang_up(self.pair, self.incoming)
        self.incoming = set_up(self.pair, self.wire)
        self.pair.caller.do('tone', session='s', frequency=TONE, seconds=5 * SECONDS + 120)
        reports = len(self.wire.captured('rtcp', True))
        until = time.monotonic() + 30
        while len(self.wire.captured('rtp', True)) < 100 or len(self.wire.captured('rtcp', True)) == reports:
            assert time.monotonic() < until, 'no media'
            time.sleep(0.05)
        self.pair.callee.do('set', target='agent', auto='reject', quiet=True)

    def undisturbed(self, seconds=2):
        """The clean part of what is heard when nothing disturbs it: less than all of it on a machine that is busy."""
        self.pair.callee.do('record', session=self.incoming, path=str(self.path))
        time.sleep(seconds)             # the length of the recording
        self.pair.callee.do('record', session=self.incoming, path=None)
        return quality(self.path)[1]

    def flood(self, mix, seconds):
        """Disturb it, listening meanwhile; returns what there is to know of that."""
        invite = next(data for data in reversed(self.wire.captured('sip', True)) if data.startswith(b'INVITE'))
        ours = [re.search(rb'(?im)^Call-ID:\s*(\S+)', invite)[1], re.search(rb'(?im)^From:.*?;tag=(\S+)', invite)[1]]
        port = self.wire.media_port(True)
        flood = Flood(self.wire, {**self.ports, 'rtp': port, 'rtcp': port + 1}, mix, ours)
        before = self.pair.callee.do('counters')['counters']
        self.pair.callee.do('record', session=self.incoming, path=str(self.path))
        rate = flood.run(seconds)
        self.pair.callee.do('record', session=self.incoming, path=None)
        after = self.pair.callee.do('counters')
        grown = {name: count - before[name] for name, count in after['counters'].items() if name.startswith(('malformed', 'stranger', 'rejected'))}
        length, clean = quality(self.path)
        facts = (f'seed {SEED}: {rate:.0f} packets/s, sent {flood.sent}, counted {grown}; {length:.1f} s recorded, {clean:.1%} of it clean; '
                 f'logged {after["errors"][:3]}')
        print(facts)
        assert self.pair.callee.state(self.incoming) == self.pair.caller.state('s') == 'connected', facts
        assert not after['errors'], facts
        return grown, rate, length, clean, facts

    def heard_through(self, mix, seconds, part):
        """Disturb it until that part was heard of what is heard undisturbed: a busy machine takes some of it now and then, a defect each time."""
        told = []
        for _ in range(3):
            undisturbed = self.undisturbed()
            grown, rate, length, clean, facts = self.flood(mix, seconds)
            if rate > RATE * 0.8 and length > seconds * 0.9 and clean > part * undisturbed:
                return grown, facts
            told.append((undisturbed, facts))
        pytest.fail(f'not heard: {told}')

    def end(self):
        """It does everything as before."""
        self.pair.callee.do('set', target='agent', auto=None, quiet=False)
        self.pair.caller.do('stream', args=['s', 'send_dtmf', '7'])
        assert self.pair.callee.wait('AudioStreamGotDTMF', self.incoming) == {'digit': '7'}
        hold_and_unhold(self.pair, self.incoming)
        hang_up(self.pair, self.incoming)
        for side in (self.pair.caller, self.pair.callee):
            errors = [event for event in side.events if event[0] == 'SIPEngineGotException']
            assert not errors, (SEED, errors[:3])


@pytest.mark.parametrize('encryption', ['srtp', 'plain'])
def test_damaged_packets_during_a_call(audio_pair, tmp_path, encryption):
    call = Call(audio_pair, tmp_path, encryption == 'srtp')
    with call.wire:
        call.run()
        grown, facts = call.heard_through(SRTP_MIX if encryption == 'srtp' else PLAIN_MIX, SECONDS, 0.9)
        names = ['rejected_srtp'] if encryption == 'srtp' else ['malformed_rtp', 'malformed_rtcp', 'stranger_rtp']
        assert all(grown[name] > SECONDS for name in ('malformed', 'malformed_sdp', *names)), facts
        if encryption == 'plain':
            # Damaged RTP from the peer's very address cannot be told from the peer's own; but when it ends, the damage does.
            grown, *_, facts = call.flood({'peer rtp': 1}, SECONDS / 5)
            assert grown['malformed_rtp'] > SECONDS, facts
            call.heard_through({'stranger rtp': 1}, 2, 0.8)
        call.end()
