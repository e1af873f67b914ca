"""Markers, singletons, Null, timestamps, texts, the timer, SHA-1."""

import copy
import gc
import hashlib
import pickle
import queue
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

import sipsimple._sha1
from sipsimple import util
from sipsimple.notification import NotificationQueue
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.util import All, ExponentialTimer, ISOTimestamp, MultilingualText, Null, Singleton, collector_paused, settle_collector, sha1, user_info


def test_markers_and_aliases():
    from sipsimple.core.helpers import Route
    assert repr(All) == 'All' and repr(util.Any) == 'Any' and util.Route is Route
    with pytest.raises(AttributeError):
        util.no_such_name


def test_the_collector_waits_while_many_objects_are_made():
    class Counting:
        passes = 0

        def __call__(self, phase, info):
            self.passes += phase == 'start'

    counting = Counting()
    gc.callbacks.append(counting)
    try:
        with collector_paused():
            with collector_paused():
                made = [[number] for number in range(util.MANY_OBJECTS + 1000)]
                assert not gc.isenabled()
            assert not gc.isenabled() and counting.passes == 0
        assert gc.isenabled() and counting.passes == 0
        settle_collector()
        assert counting.passes == 1
        before = counting.passes
        with collector_paused():
            made.append([0])
        settle_collector()                  # that were not many
        assert counting.passes == before
        gc.disable()
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.callbacks.remove(counting)


def test_a_singleton_is_made_once():
    made = []

    class One(metaclass=Singleton):
        def __init__(self):
            made.append(self)

    class Derived(One):
        pass
    gate = threading.Barrier(4)
    threads = [threading.Thread(target=lambda: (gate.wait(), One())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [One()] and Derived() is not One() and Derived() is Derived()


def test_null_takes_anything():
    assert Null.a.b(1, x=2)['y'] is Null and not Null and len(Null) == 0 and list(Null) == []
    Null.attribute = 5
    del Null.attribute
    assert Null.attribute is Null and type(Null)() is Null
    assert Null == Null and Null != 0 and hash(Null) == hash(Null) and repr(Null) == 'Null'
    for made in (copy.copy(Null), copy.deepcopy(Null), pickle.loads(pickle.dumps(Null))):
        assert made is Null
    with pytest.raises(AttributeError):
        Null.__no_such_protocol__


@pytest.mark.parametrize('text, utc', [
    ('2012-11-09T14:57:00Z', (2012, 11, 9, 14, 57)), ('2012-11-09T14:57:00+02:00', (2012, 11, 9, 12, 57)),
    (' 2012-11-09T14:57:00.5-0130 ', (2012, 11, 9, 16, 27, 0, 500000)), ('20121109T145700Z', (2012, 11, 9, 14, 57))])
def test_timestamps_from_text(text, utc):
    assert ISOTimestamp(text) == datetime(*utc, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.timezones() | st.none()))
def test_timestamps_are_aware_and_come_back(moment):
    stamp = ISOTimestamp(moment)
    assert stamp.utcoffset() is not None and isinstance(stamp, datetime)
    assert str(stamp) == stamp.isoformat()
    for again in (ISOTimestamp(str(stamp)), pickle.loads(pickle.dumps(stamp)), copy.deepcopy(stamp)):
        assert type(again) is ISOTimestamp and again.isoformat() == stamp.isoformat()


def test_timestamps_otherwise():
    assert ISOTimestamp(2012, 11, 9).utcoffset() is not None
    assert ISOTimestamp(2012, 11, 9, tzinfo=UTC) == datetime(2012, 11, 9, tzinfo=UTC)
    assert ISOTimestamp.utcnow().utcoffset() == timedelta(0)
    assert abs(ISOTimestamp.now() - ISOTimestamp.utcnow()) < timedelta(minutes=1)
    assert ISOTimestamp.now(UTC).utcoffset() == timedelta(0)
    later = ISOTimestamp('2012-11-09T14:57:00Z') + timedelta(hours=1)
    assert later == ISOTimestamp('2012-11-09T15:57:00Z')
    with pytest.raises(ValueError):
        ISOTimestamp('yesterday')


def test_multilingual_texts():
    text = MultilingualText('Hello', fr='Bonjour')
    assert text == 'Hello' and text.translations == {'fr': 'Bonjour'}
    assert text.get_translation('fr') == 'Bonjour' and text.get_translation('de') == 'Hello'
    assert MultilingualText(en='Hi', fr='Salut') == 'Hi' and MultilingualText() == '' == MultilingualText(fr='x')
    again = pickle.loads(pickle.dumps(text))
    assert type(again) is MultilingualText and again == text and again.translations == text.translations
    with pytest.raises(TypeError):
        MultilingualText('a', 'b')


def test_the_user_has_a_name():
    assert user_info.username and user_info.fullname


# ---- the timer ---------------------------------------------------------------------------------------------------


class Clock:
    """Stands for the reactor module: time goes by in `advance` only."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def time(self):
        return self.now

    def get_loop(self):
        return self

    def call_later(self, seconds, function, *args):
        entry = [self.now + seconds, function, args]
        self.calls.append(entry)

        class Handle:
            cancel = staticmethod(lambda: self.calls.remove(entry) if entry in self.calls else None)
        return Handle

    def advance(self, until):
        while True:
            due = sorted((entry for entry in self.calls if entry[0] <= until), key=lambda entry: entry[0])
            if not due:
                break
            self.calls.remove(due[0])
            self.now = due[0][0]
            due[0][1](*due[0][2])
        self.now = until


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr('sipsimple.threading.reactor', clock)
    monkeypatch.setattr('sipsimple.threading.call_in_twisted_thread', lambda function, *args: function(*args))
    return clock


def fired(timer, clock, until):
    times = []

    class Observer:
        def handle_notification(self, notification):
            times.append(clock.now)
    observer = Observer()
    from sipsimple.notification import NotificationCenter
    NotificationCenter().add_observer(observer, 'ExponentialTimerDidTimeout', timer)
    clock.advance(until)
    NotificationCenter().remove_observer(observer, 'ExponentialTimerDidTimeout', timer)
    return times


@pytest.mark.parametrize('options, times', [
    ({}, [1, 3, 7, 15, 31]), ({'immediate': True}, [0, 1, 3, 7, 15, 31]), ({'iterations': 2}, [1, 3]), ({'immediate': True, 'iterations': 1}, [0]),
    ({'time_limit': 7}, [1, 3, 7]), ({'time_limit': 6.9}, [1, 3]), ({'time_limit': 0.5}, [])])
def test_the_timer_doubles(clock, options, times):
    timer = ExponentialTimer()
    timer.start(1, **options)
    assert fired(timer, clock, 32) == times
    assert timer.active == (options in ({}, {'immediate': True}))


def test_the_timer_stops_and_starts_again(clock):
    timer = ExponentialTimer()
    assert not timer.active
    timer.stop()
    timer.start(1)
    assert fired(timer, clock, 2) == [1] and timer.active
    timer.stop()
    assert not timer.active and clock.calls == [] and fired(timer, clock, 20) == []
    timer.start(1)
    timer.start(5)
    assert fired(timer, clock, 30) == [25] and len(clock.calls) == 1
    for wrong in ({'base_interval': 0}, {'base_interval': -1}, {'base_interval': 1, 'iterations': 0}):
        with pytest.raises(ValueError):
            timer.start(**wrong)


def test_the_timer_on_the_sdk_thread():
    reactor.start()
    timer = ExponentialTimer()
    with NotificationQueue('ExponentialTimerDidTimeout', timer) as posted:
        timer.start(0.001, iterations=2)
        assert posted.get(10).sender is timer and posted.get(10).sender is timer
        settled = threading.Event()
        call_in_twisted_thread(settled.set)
        settled.wait(10)
        assert not timer.active
        with pytest.raises(queue.Empty):
            posted.get(0)


# ---- SHA-1 -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=['library', 'python'])
def implementation(request, monkeypatch):
    if request.param == 'python':
        monkeypatch.setattr(sipsimple._sha1, '_library', lambda: None)
    elif sipsimple._sha1._library() is None:
        pytest.skip('no libcrypto here')


def test_sha1_of_every_length(implementation):
    for size in [*range(130), 1000]:
        data = bytes(range(256))[:size] if size <= 256 else bytes(size)
        assert sha1(data).hexdigest() == hashlib.sha1(data).hexdigest(), size


def test_sha1_goes_on_after_pickling(implementation):
    ours, theirs = sha1(), hashlib.sha1()
    for size in (1, 63, 64, 65, 0, 200, 7):
        ours.update(memoryview(bytes(size)))
        theirs.update(bytes(size))
        ours = pickle.loads(pickle.dumps(ours))
        assert ours.digest() == theirs.digest() == ours.copy().digest()
    other = ours.copy()
    other.update(b'x')
    assert other.digest() != ours.digest()
    assert (ours.name, ours.block_size, ours.digest_size) == (theirs.name, theirs.block_size, theirs.digest_size)
    with pytest.raises(TypeError):
        ours.update('text')
