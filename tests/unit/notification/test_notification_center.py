"""The notification bus: who is called, in which order, removal, weak ends, queue and asynchronous iterator."""

import asyncio
import gc
import logging
import threading
from itertools import count
from queue import Empty
from random import Random

import pytest

from sipsimple.notification import IObserver, NotificationCenter, NotificationData, NotificationQueue, ObserverWeakrefProxy, TimestampedNotificationData

NAME = 'TestDidHappen'


class Sender:
    pass


class Observer:
    def __init__(self, log=None, label=None, action=None):
        self.log = [] if log is None else log
        self.label, self.action = label, action

    def handle_notification(self, notification):
        self.log.append(notification if self.label is None else self.label)
        if self.action is not None:
            self.action()


@pytest.fixture
def center():
    center = NotificationCenter()
    before = repr(center._observers), dict(center._senders)
    yield center
    gc.collect()
    center.forget(object())
    assert (repr(center._observers), dict(center._senders)) == before       # a test leaves nothing behind


def test_the_center_is_one(center):
    assert NotificationCenter() is center


def test_names_and_senders(center):
    sender, other = Sender(), Sender()
    log = []
    places = {'both': (NAME, sender), 'name': (NAME, None), 'sender': (None, sender), 'any': (None, None), 'wrong': ('Other', None)}
    observers = {label: Observer(log, label) for label in places}
    for label, (name, of) in places.items():
        center.add_observer(observers[label], name, of)
    center.post_notification(NAME, sender)
    assert log == ['both', 'name', 'sender', 'any']
    log.clear()
    center.post_notification(NAME, other)
    center.post_notification(NAME)
    assert log == ['name', 'any'] * 2
    for label, (name, of) in places.items():
        center.remove_observer(observers[label], name, of)
    log.clear()
    center.post_notification(NAME, sender)
    assert log == []


def test_order_is_that_of_coming_whatever_the_route(center):
    sender, log = Sender(), []
    places = [(None, None), (NAME, sender), (None, sender), (NAME, None), (NAME, sender), (None, None)]
    observers = [Observer(log, number) for number in range(len(places))]
    for observer, place in zip(observers, places, strict=True):
        center.add_observer(observer, *place)
    center.post_notification(NAME, sender)
    assert log == list(range(len(places)))
    for observer, place in zip(observers, places, strict=True):
        center.remove_observer(observer, *place)


def test_twice_is_once(center):
    sender, observer = Sender(), Observer()
    center.add_observer(observer, NAME)
    center.add_observer(observer, NAME)
    center.add_observer(observer, None, sender)
    center.post_notification(NAME, sender)
    assert len(observer.log) == 1
    center.remove_observer(observer, NAME)
    with pytest.raises(KeyError):
        center.remove_observer(observer, NAME)
    center.discard_observer(observer, NAME)
    center.remove_observer(observer, None, sender)


def test_what_a_notification_holds(center):
    sender, observer = Sender(), Observer()
    center.add_observer(observer, NAME)
    center.post_notification(NAME, sender, NotificationData(a=1))
    center.post_notification(NAME, sender)
    center.remove_observer(observer, NAME)
    notification, bare = observer.log
    assert (notification.name, notification.sender, notification.data, notification.center) == (NAME, sender, NotificationData(a=1), center)
    assert notification.utcdatetime == notification.datetime
    assert notification.utcdatetime.timestamp() == pytest.approx(notification.timestamp, abs=1e-5)
    assert notification.utcdatetime.utcoffset().total_seconds() == 0 and notification.datetime.tzinfo is not None
    assert bare.data == NotificationData() != NotificationData(a=1)
    assert repr(notification.data) == 'NotificationData(a=1)'
    with pytest.raises(AttributeError):
        notification.data.b
    assert TimestampedNotificationData(x=1).timestamp.tzinfo is not None
    assert TimestampedNotificationData(timestamp=5).timestamp == 5


def test_no_observer_no_call(center):
    with pytest.raises(TypeError):
        center.add_observer(object())
    assert IObserver.implementedBy(ObserverWeakrefProxy)


def test_removed_during_the_dispatch_is_not_called(center):
    log = []
    late = Observer(log, 'late')
    third = Observer(log, 'third')

    def change():
        center.discard_observer(second, NAME)
        center.add_observer(late, NAME)
    first, second = Observer(log, 'first', change), Observer(log, 'second')
    for observer in (first, second, third):
        center.add_observer(observer, NAME)
    center.post_notification(NAME)
    assert log == ['first', 'third']
    log.clear()
    center.post_notification(NAME)
    assert log == ['first', 'third', 'late']
    for observer in (first, third, late):
        center.remove_observer(observer, NAME)


def test_observers_that_remove_themselves(center):
    log = []
    observers = []
    for number in range(3):
        observer = Observer(log, number)
        observer.action = lambda observer=observer: center.remove_observer(observer, NAME)
        observers.append(observer)
        center.add_observer(observer, NAME)
    center.post_notification(NAME)
    center.post_notification(NAME)
    assert log == [0, 1, 2]


def test_an_observer_that_raises_stops_nobody(center, caplog):
    def fail():
        raise ValueError('broken observer')
    bad, good = Observer(action=fail), Observer()
    center.add_observer(bad, NAME)
    center.add_observer(good, NAME)
    with caplog.at_level(logging.ERROR, 'sipsimple.notification'):
        center.post_notification(NAME)
    assert len(good.log) == 1 and 'broken observer' in caplog.text
    center.remove_observer(bad, NAME)
    center.remove_observer(good, NAME)


def test_posting_inside_a_handler(center):
    log = []
    second = Observer(log, 'second')
    first = Observer(log, 'first', lambda: center.post_notification('Other'))
    center.add_observer(first, NAME)
    center.add_observer(second, 'Other')
    center.post_notification(NAME)
    assert log == ['first', 'second']
    center.remove_observer(first, NAME)
    center.remove_observer(second, 'Other')


def test_senders_are_held_weakly(center):
    observer, sender = Observer(), Sender()
    center.add_observer(observer, NAME, sender)
    key = id(sender)
    assert key in center._senders
    del sender
    gc.collect()
    center.post_notification(NAME)
    assert key not in center._senders and NAME not in center._observers and observer.log == []


def test_an_id_used_again_is_another_sender(center):
    """A sender that died does not pass its observers on to an object that got its id."""
    observer, sender = Observer(), Sender()
    center.add_observer(observer, NAME, sender)
    stale = center._senders[id(sender)]
    new = Sender()
    center._senders[id(new)] = stale                    # what the table looks like when the id is used again
    center._observers[NAME][id(new)] = dict(center._observers[NAME][id(sender)])
    fresh = Observer()
    center.add_observer(fresh, NAME, new)
    center.post_notification(NAME, new)
    assert len(fresh.log) == 1 and observer.log == []
    center.remove_observer(fresh, NAME, new)
    center.remove_observer(observer, NAME, sender)


def test_a_sender_without_weak_references(center):
    observer, sender = Observer(), (1, 2)
    center.add_observer(observer, NAME, sender)
    center.post_notification(NAME, sender)
    center.remove_observer(observer, NAME, sender)
    center.post_notification(NAME, sender)
    assert len(observer.log) == 1


def test_observers_behind_a_weak_proxy(center):
    log = []
    observer = Observer(log)
    center.add_observer(ObserverWeakrefProxy(observer), NAME)
    center.add_observer(ObserverWeakrefProxy(observer), NAME)          # the same to the center
    center.post_notification(NAME)
    assert len(log) == 1
    center.remove_observer(ObserverWeakrefProxy(observer), NAME)
    center.add_observer(ObserverWeakrefProxy(observer), NAME)
    center.add_observer(ObserverWeakrefProxy(observer), 'Other')
    del observer
    gc.collect()
    center.post_notification(NAME)
    assert len(log) == 1
    assert NAME not in center._observers and 'Other' not in center._observers


def test_many_threads(center):
    stop = threading.Event()
    errors = []

    def churn():
        try:
            while not stop.is_set():
                sender = Sender()
                observer = Observer()
                center.add_observer(observer, NAME, sender)
                center.post_notification(NAME, sender)
                if len(observer.log) != 1:
                    errors.append(observer.log)
                center.remove_observer(observer, NAME, sender)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    steady = Observer()
    center.add_observer(steady, NAME)
    for _ in range(300):
        center.post_notification(NAME, center)
    stop.set()
    for thread in threads:
        thread.join()
    center.remove_observer(steady, NAME)
    assert errors == [] and len([entry for entry in steady.log if entry.sender is center]) == 300


def test_the_queue_waits(center):
    with NotificationQueue(NAME) as queue:
        threading.Thread(target=center.post_notification, args=(NAME, None, NotificationData(x=1))).start()
        assert queue.get(10).data.x == 1
        with pytest.raises(Empty):
            queue.get(0)
    center.post_notification(NAME)
    with pytest.raises(Empty):
        queue.get(0)


def test_the_iterator_observes_from_the_call_on(center):
    async def main():
        stream = center.notifications(NAME)
        center.post_notification(NAME, data=NotificationData(x=1))          # before the first iteration
        thread = threading.Thread(target=center.post_notification, args=(NAME, None, NotificationData(x=2)))
        thread.start()
        seen = []
        async for notification in stream:
            seen.append(notification.data.x)
            if len(seen) == 2:
                break
        thread.join()
        await stream.aclose()
        await stream.aclose()
        assert [notification async for notification in stream] == []
        assert NAME not in center._observers
        return seen
    assert asyncio.run(main()) == [1, 2]


def test_closing_the_iterator_ends_a_task_that_waits(center):
    async def main():
        async with center.notifications(NAME) as stream:
            async def collect():
                return [notification async for notification in stream]
            task = asyncio.create_task(collect())
            await asyncio.sleep(0)
        return await asyncio.wait_for(task, 10)
    assert asyncio.run(main()) == []


def test_an_abandoned_iterator_observes_no_more(center):
    async def main():
        center.notifications(NAME)
        gc.collect()
        assert NAME not in center._observers
    asyncio.run(main())


def test_a_loop_that_is_closed_is_forgotten(center, caplog):
    async def main():
        return center.notifications(NAME)
    stream = asyncio.run(main())
    center.post_notification(NAME)
    assert NAME not in center._observers and caplog.text == ''
    del stream


def test_the_iterator_needs_a_loop(center):
    with pytest.raises(RuntimeError):
        center.notifications(NAME)


# ---- what is remembered of earlier searches ----------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(20))
def test_any_order_of_changes_and_posts(center, seed):
    """A model without memory says who is called, in which order; a handler may change that in the middle."""
    random = Random(seed)
    senders = [Sender() for _ in range(3)]
    names = [NAME, 'OtherDidHappen']
    log, added, actions = [], {}, []
    observers = [Observer(log, number, lambda: actions and actions.pop()()) for number in range(4)]
    order = count()

    def change():
        entry = random.randrange(4), random.choice([*names, None]), random.choice([*senders, None])
        if entry in added:
            center.remove_observer(observers[entry[0]], *entry[1:])
            del added[entry]
        else:
            center.add_observer(observers[entry[0]], *entry[1:])
            added[entry] = next(order)

    def expected(name, sender):
        first = {}
        for (number, of_name, of_sender), place in added.items():
            if of_name in (name, None) and of_sender in (sender, None):
                first[number] = min(place, first.get(number, place))
        return sorted(first, key=first.__getitem__)

    for _ in range(300):
        for _ in range(random.randrange(3)):
            change()
        name, sender = random.choice(names), random.choice([*senders, None])
        before = expected(name, sender)
        if random.random() < 0.5:
            actions[:] = [change]
        log.clear()
        center.post_notification(name, sender)
        after = expected(name, sender)
        actions.clear()
        assert log == [number for number in before if number == (before or [None])[0] or number in after], (before, after)
    for number, name, sender in added:
        center.remove_observer(observers[number], name, sender)


def test_observing_one_sender_costs_the_others_nothing(center, monkeypatch):
    sender, other = Sender(), Sender()
    observer = Observer()
    center.add_observer(observer, sender=sender)
    center.add_observer(observer, NAME)
    searches = []
    find = center._find
    monkeypatch.setattr(center, '_find', lambda *args: searches.append(args) or find(*args))
    for _ in range(2):
        center.post_notification(NAME, sender)
        center.post_notification(NAME, Sender())            # observed by name only
        center.add_observer(observer, sender=other)
        center.post_notification(NAME, other)
        center.remove_observer(observer, sender=other)
    assert [name for name, _ in searches] == [NAME] * 4     # once for the first, once for all unknown, and for the other each time
    center.remove_observer(observer, sender=sender)
    center.remove_observer(observer, NAME)
