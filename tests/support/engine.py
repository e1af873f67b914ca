"""A running Engine for native tests, and the notifications it posts."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from sipsimple.core import Engine
from sipsimple.core._handles import live_objects
from sipsimple.notification import Notification, NotificationCenter, NotificationQueue
from tests.support.waiting import wait_until

LIMIT = 15.0


def matches(notification: Notification, name: str, sender: Any, fields: dict[str, Any]) -> bool:
    return notification.name == name and (sender is None or notification.sender is sender) \
        and all(getattr(notification.data, key, None) == value for key, value in fields.items())


class Seen:
    """All notifications since it was made, in order; an exception of the engine thread fails the test."""

    def __init__(self) -> None:
        self.queue = NotificationQueue()
        self.queue.start()
        self.past: list[Notification] = []

    def wait_ever(self, name: str, sender: Any = None, **fields: Any) -> Notification:
        """The first such notification since it was made, also one that another wait passed over: for two of which either may come first."""
        for past in self.past:
            if matches(past, name, sender, fields):
                return past
        return self.wait(name, sender, **fields)

    def wait(self, name: str, sender: Any = None, timeout: float = LIMIT, **fields: Any) -> Notification:
        """The next notification of that name (from that sender, with these data fields)."""
        until = time.monotonic() + timeout
        while True:
            try:
                notification = self.queue.get(max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f'no {name} {fields} within {timeout} s; seen: {[past.name for past in self.past][-20:]}') from None
            self.past.append(notification)
            data = notification.data
            assert notification.name != 'SIPEngineGotException', data.traceback
            if matches(notification, name, sender, fields):
                return notification

    def stop(self) -> None:
        self.queue.stop()
        self.queue = NotificationQueue()
        self.past.clear()


@contextmanager
def running_engine(**options: Any) -> Iterator[Engine]:
    """Start the Engine with these options, stop it afterwards."""
    engine = Engine()
    seen = Seen()
    options = {'udp_port': 0, 'ip_address': '127.0.0.1', **options}
    try:
        engine.start(**options)
        try:
            seen.wait('SIPEngineDidStart')
        finally:
            seen.stop()                 # it would keep alive whatever is posted
        yield engine
    finally:
        engine.stop()
        assert engine.join(LIMIT), 'the engine does not end'


def nothing_left(timeout: float = 5.0) -> bool:
    """True when no native object is alive and no handle is bound."""
    import gc
    gc.collect()
    if wait_until(lambda: not any(live_objects().values()), timeout):
        return True
    print('left:', {name: count for name, count in live_objects().items() if count})
    return False


class Forgetful:
    """An application that does something with what posts a notification and forgets it at once: there is no reference left when its handler returns.

    Args:
        name: of the notification.
        call: what is done with the sender, in the thread that posts.
        kept: what is held until then.
    """

    def __init__(self, name: str, call: Callable[[Any], object], kept: Any = None) -> None:
        self.name, self.call, self.kept = name, call, kept

    def handle_notification(self, notification: Notification) -> None:
        self.kept = None
        self.call(notification.sender)

    def __enter__(self) -> Self:
        NotificationCenter().add_observer(self, name=self.name)
        return self

    def __exit__(self, *exc: object) -> None:
        NotificationCenter().remove_observer(self, name=self.name)
