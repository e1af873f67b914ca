"""The way of events into the reactor thread."""

from __future__ import annotations

import threading

import pytest

from sipsimple.session.inputs import Event, Inbox, Kind
from sipsimple.threading import reactor
from sipsimple.threading.scheduler import _ReactorScheduler


@pytest.fixture
def scheduler(monkeypatch):
    """A scheduler whose reactor thread is called by hand."""
    wakes = []
    monkeypatch.setattr(reactor, 'is_current', lambda: False)
    monkeypatch.setattr(reactor, 'call_from_thread', wakes.append)
    scheduler = _ReactorScheduler()
    scheduler.wakes = wakes
    return scheduler


def test_one_wake_for_many_calls(scheduler):
    seen = []
    for number in range(5):
        scheduler.call(seen.append, number)
    assert len(scheduler.wakes) == 1 and seen == []
    scheduler.wakes.pop()()
    assert seen == [0, 1, 2, 3, 4]
    scheduler.call(seen.append, 5)
    assert len(scheduler.wakes) == 1


def test_calls_made_meanwhile_are_not_lost(scheduler):
    seen = []
    scheduler.call(lambda: scheduler.call(seen.append, 'second'))
    scheduler.wakes.pop()()
    assert seen == [] and len(scheduler.wakes) == 1
    scheduler.wakes.pop()()
    assert seen == ['second']


def test_call_that_raises_does_not_stop_the_others(scheduler):
    seen = []
    scheduler.call(lambda: 1 / 0)
    scheduler.call(seen.append, 1)
    scheduler.wakes.pop()()
    assert seen == [1]


def test_inline_in_the_reactor_thread(scheduler, monkeypatch):
    monkeypatch.setattr(reactor, 'is_current', lambda: True)
    seen = []
    scheduler.call(seen.append, 1)
    assert seen == [1] and scheduler.wakes == []


def test_no_reactor_thread(scheduler, monkeypatch):
    def fail(function):
        raise RuntimeError('not started')
    with monkeypatch.context() as context:
        context.setattr(reactor, 'call_from_thread', fail)
        with pytest.raises(RuntimeError):
            scheduler.call(print)
    seen = []
    scheduler.call(seen.append, 1)
    scheduler.wakes.pop()()
    assert seen == [1]


def test_nothing_is_lost_between_threads(monkeypatch):
    """Producers in several threads, one consumer: every call arrives, those of a thread in its order."""
    wake = threading.Semaphore(0)
    monkeypatch.setattr(reactor, 'is_current', lambda: False)
    monkeypatch.setattr(reactor, 'call_from_thread', lambda function: wake.release())
    scheduler = _ReactorScheduler()
    seen, total = [], 4 * 2000

    def produce(name):
        for number in range(2000):
            scheduler.call(seen.append, (name, number))
    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while len(seen) < total:
        assert wake.acquire(timeout=10)
        scheduler._run()
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [number for each, number in seen if each == name] == list(range(2000))


def test_inbox_is_not_reentered():
    seen = []

    def handle(event):
        seen.append(('begin', event.data))
        if event.data == 1:
            inbox.put(Event(Kind.RUN, None, 2))
        seen.append(('end', event.data))
    inbox = Inbox(handle)
    inbox.put(Event(Kind.RUN, None, 1))
    assert seen == [('begin', 1), ('end', 1), ('begin', 2), ('end', 2)]
