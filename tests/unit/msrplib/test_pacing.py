"""What may be under way through a relay."""

from __future__ import annotations

import random

import pytest
from twisted.internet.task import Clock

from msrplib.endpoint import Endpoint
from msrplib.events import ChunkReceived, MessageDelivered, MessageFailed, MessageReceived, MessageSent, ReportReceived
from msrplib.pacing import END, FIRST, OVERHEAD, PATIENCE, PROBE, SHARED, SILENCE, STALL, WINDOW, Flow, Pacer
from tests.unit.msrplib.test_endpoint import A, B


def test_without_a_window():
    pacer = Pacer(None)
    pacer.reported(5, 0)
    pacer.complete(0)
    assert pacer.allowed(1 << 40, 0) is None and pacer.deadline is None


def test_it_begins_small_and_widens_with_each_report():
    pacer = Pacer()
    written, now, windows = 0, 0, []
    while not windows or pacer.window != windows[-1]:
        windows.append(pacer.window)
        written += pacer.allowed(written, now)
        now += 1
        pacer.reported(written, now)
    assert windows[0] == FIRST and windows == sorted(windows) and windows[-1] == WINDOW


def test_no_further_than_the_window():
    pacer = Pacer(1000)
    assert pacer.allowed(0, 5) == 1000 and pacer.allowed(900, 5) == 100 and pacer.deadline is None
    assert pacer.allowed(1000, 5) == 0
    assert pacer.deadline == 5 + STALL          # it waits for the first report
    assert pacer.allowed(1000, 6) == 0 and pacer.deadline == 5 + STALL
    pacer.reported(400, 6)
    assert pacer.deadline is None and pacer.allowed(1000, 7) == 400
    pacer.reported(300, 7)                      # late
    assert pacer.confirmed == 400 and pacer.allowed(1400, 8) == 0
    assert pacer.deadline == 8 + SILENCE


def test_a_peer_that_never_reports_gets_more_and_more():
    pacer = Pacer(1000)
    written = 0
    for expected in (1000, 1000, 2000, 4000):
        assert pacer.allowed(written, 0) == expected
        written += expected
        assert pacer.allowed(written, 0) == 0
        assert pacer.stalled() and pacer.deadline is None
    assert pacer.window == 16000
    pacer.complete(5)
    assert pacer.deadline == 5 + END and not pacer.stalled()


def test_a_peer_that_has_reported_is_lost_when_it_is_silent():
    pacer = Pacer(1000)
    pacer.reported(10, 0)
    assert pacer.allowed(1010, 0) == 0
    assert not pacer.stalled() and pacer.window == 1000
    pacer.complete(1)
    assert pacer.deadline == 1 + SILENCE
    pacer.reported(500, 3)
    assert pacer.deadline == 3 + SILENCE and not pacer.stalled()


def test_a_peer_that_is_silent_is_probed_once():
    pacer = Pacer(1000, 100)
    pacer.reported(10, 0)
    assert pacer.allowed(1010, 0) == 0 and pacer.deadline == PROBE
    assert pacer.stalled() and pacer.allowed(1010, PROBE) == 100
    assert pacer.allowed(1110, PROBE) == 0 and pacer.deadline == SILENCE
    pacer.reported(500, PROBE + 1)
    assert pacer.deadline is None and pacer.allowed(1110, 20) == 390
    assert pacer.allowed(1500, 20) == 0 and pacer.deadline == 20 + PROBE
    assert pacer.stalled() and pacer.allowed(1600, 20 + PROBE) == 0 and pacer.deadline == 20 + SILENCE
    assert not pacer.stalled()


class Way:
    """A sender with a flow, and a peer that takes what is under way when it is told to."""

    def __init__(self, partial=True, reports=True):
        self.clock = Clock()
        self.left, self.right = Endpoint(A, chunk_size=FIRST), Endpoint(B, accept=self.accept)
        self.left.set_remote_path([B])
        self.right.set_remote_path([A])
        self.right.reports = False
        self.flow = Flow(self.left.sender.wake, self.clock)
        self.partial, self.reports = partial, reports
        self.held = bytearray()
        self.sent, self.delivered, self.failed, self.received = [], [], [], []

    def accept(self, message):
        if self.partial:
            message.report = 'manual'

    def send(self, data, **options):
        message = self.flow.message('a/b', data, failure_report='partial', **options)
        self.left.send(message)
        self.write()
        return message

    def write(self):
        """Put on the way what may be."""
        while buffers := self.left.take(65536, self.clock.seconds()):
            self.held += b''.join(buffers)
        self.told(self.left.events())

    def told(self, events):
        for event in events:
            if isinstance(event, ReportReceived):
                self.flow.reported(event.chunk.message_id)
            elif isinstance(event, MessageSent):
                self.sent.append(event.message)
            elif isinstance(event, (MessageDelivered, MessageFailed)):
                (self.delivered if isinstance(event, MessageDelivered) else self.failed).append(event.message)
                self.flow.finished(event.message)

    def take(self):
        """The peer takes what is on the way, and reports it."""
        held, self.held = bytes(self.held), bytearray()
        for event in self.right.receive(held, 0):
            if isinstance(event, MessageReceived):
                self.received.append(event.message.data)
            if self.reports and isinstance(event, MessageReceived):
                self.right.report(event.message)
            elif self.reports and isinstance(event, ChunkReceived) and event.byte_range.end != event.message.total:
                self.right.report(event.message, 200, None, event.byte_range)
        self.told(self.left.receive(b''.join(self.right.take(1 << 20, 0)), self.clock.seconds()))
        self.write()

    def wait(self, seconds):
        self.clock.advance(seconds)
        self.write()


def test_a_flow_keeps_to_its_window_and_all_arrives_in_the_end():
    way = Way()
    bodies = [bytes([number]) * 100_000 for number in range(5)] + [b'short %d' % number for number in range(20)]
    messages = [way.send(body) for body in bodies]
    assert len(way.held) < FIRST + 1000 and way.sent == []
    most, rounds = 0, 0
    while way.held:
        most = max(most, len(way.held))
        assert len(way.held) <= way.flow.under_way <= way.flow.window + FIRST + OVERHEAD
        way.take()
        rounds += 1
    assert WINDOW // 2 < most < WINDOW + FIRST + OVERHEAD
    assert sorted(way.received) == sorted(bodies) and set(way.delivered) == set(messages) == set(way.sent) and way.failed == []
    assert way.flow.under_way == 0 and not way.flow._sources and not way.flow._chunks and not way.flow._open and way.flow._since is None


def test_messages_of_a_flow_take_turns():
    way = Way()
    long = [way.send(bytes(500_000)) for _ in range(3)]
    for _ in range(3):
        way.take()
    short = way.send(b'short')
    while short not in way.delivered:
        way.take()
        written = sorted(message.written for message in long)
        assert written[-1] - written[0] <= 2 * FIRST        # a chunk each, whatever the window allows; the first had one before the others came
    assert long[0] not in way.delivered and written[-1] < 250_000


def test_a_peer_that_reports_chunks_is_waited_for():
    """However long it takes; a chunk goes each minute, in case that what is on its way is lost."""
    way = Way()
    message = way.send(bytes(1_000_000))
    for _ in range(5):
        way.take()
    before = message.written
    way.wait(SILENCE - 1)
    assert message.written == before
    way.wait(1)
    assert message.written == before + FIRST
    way.wait(SILENCE)
    assert message.written == before + 2 * FIRST
    way.take()
    assert way.flow.window == WINDOW
    while message not in way.delivered:
        way.take()
    assert way.received == [bytes(1_000_000)]


def test_a_peer_that_reports_whole_messages_only():
    """It may be slow at first; once that is known of it, it does not have to wait for long."""
    way = Way(partial=False)
    for _ in range(10):
        way.send(b'short')
        way.take()
    assert way.flow.window == WINDOW
    waited = []
    for _ in range(2):
        message, before = way.send(bytes(500_000)), way.clock.seconds()
        while message not in way.delivered:
            way.take()
            if message not in way.delivered:
                assert way.flow._timer is not None
                way.wait(way.flow._timer.getTime() - way.clock.seconds())
        waited.append(way.clock.seconds() - before)
    assert waited == [2 * PATIENCE, 2 * STALL]


def test_a_peer_that_reports_nothing():
    way = Way(reports=False)
    messages = [way.send(b'x' * 2000) for _ in range(500)]
    for _ in range(100):
        way.take()
        if set(way.sent) == set(messages):
            break
        way.wait(STALL)
    assert way.received == [b'x' * 2000] * 500 and way.delivered == [] and 4 * STALL < way.clock.seconds() < 60


def test_what_failed_is_under_way_no_more():
    """Refused by the peer, by a relay, or given up while it waits."""
    way = Way()
    first, second, third = (way.send(bytes(50_000)) for _ in range(3))
    under_way = way.flow.under_way
    way.told(way.left.receive(b'MSRP report1 REPORT\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: %s\r\nByte-Range: 1-10000/50000\r\nStatus: 000 413 No\r\n-------report1$\r\n' % (
        str(A).encode(), str(B).encode(), first.message_id.encode()), 0))
    assert way.failed == [first] and under_way > 0
    way.write()
    assert second.written == FIRST
    way.left.cancel(third)
    way.write()
    while second not in way.delivered:
        way.take()
    assert way.failed == [first, third] and way.flow.under_way == 0 and not way.flow._sources


def test_a_report_shows_that_what_came_before_is_not_under_way():
    way = Way()
    lost = way.send(b'x' * 3000)
    way.held.clear()
    seen = way.send(b'y' * 3000)
    way.take()
    assert way.delivered == [seen] and way.flow.under_way == 0 and lost not in way.delivered


def test_no_more_share_a_flow_than_a_receiver_takes():
    way = Way()
    count = 0
    while not way.flow.crowded:
        way.send(bytes(30_000))
        count += 1
    assert count == SHARED
    while len(way.received) < count:
        way.take()
    assert way.failed == [] and not way.flow.crowded


@pytest.mark.parametrize('seed', range(5))
def test_any_messages_to_any_peer(seed):
    """Whatever is sent when, and whenever the peer takes it: all of it arrives once, and nothing is counted twice."""
    randomly = random.Random(seed)
    way = Way(partial=seed % 2 == 0)
    bodies = []
    for _ in range(300):
        what = randomly.random()
        if what < 0.5 and not way.flow.crowded:
            bodies.append(randomly.randbytes(randomly.choice([0, 10, 1000, 9999, 10_000, 10_001, 60_000])))
            way.send(bodies[-1])
        elif what < 0.8:
            way.take()
        else:
            way.wait(randomly.choice([0.1, 1, 3]))
    while way.held or way.flow._waiting:
        way.take()
        way.wait(1)
    assert sorted(way.received) == sorted(bodies) and len(way.delivered) == len(bodies) and way.flow.under_way == 0


def test_the_end_of_a_flow():
    way = Way()
    way.send(bytes(100_000))
    assert way.clock.getDelayedCalls()
    way.flow.end()
    way.flow.end()
    assert not way.clock.getDelayedCalls()
