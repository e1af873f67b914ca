"""What may be under way through a relay."""

from __future__ import annotations

from msrplib.pacing import END, FIRST, SILENCE, STALL, WINDOW, Pacer


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
