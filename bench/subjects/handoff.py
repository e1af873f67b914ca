"""How long a notification takes from one thread to an observer in another; each posting waits until the one before has arrived."""

from __future__ import annotations

import threading
import time
from typing import Any

from bench.subjects import commands
from sipsimple.core import Engine
from sipsimple.notification import NotificationCenter
from sipsimple.threading import reactor, run_in_twisted_thread

NAME = 'BenchDidPost'


class Observer:
    """Takes the time in the SDK thread."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.arrived = threading.Event()
        self.times: list[float] = []
        self.sent = 0.0

    def handle_notification(self, notification: Any) -> None:
        if notification.name == NAME:
            self.arrive()
        elif notification.name == 'SIPEngineDidStart':
            self.started.set()

    @run_in_twisted_thread
    def arrive(self) -> None:
        self.times.append((time.perf_counter() - self.sent) * 1e6)
        self.arrived.set()

    def measure(self, count: int, pause: float, through_core: bool) -> dict[str, Any]:
        """Times in microseconds.

        Args:
            through_core: by way of the native core: its worker, the queue of events, the Engine thread; else from this thread.
        """
        self.times = []
        for _ in range(count):
            time.sleep(pause)
            self.arrived.clear()
            self.sent = time.perf_counter()
            if through_core:
                Engine().post_later(NAME)
            else:
                NotificationCenter().post_notification(NAME, sender=self)
            self.arrived.wait(5)
        return {'times': self.times}


def main() -> None:
    observer = Observer()
    NotificationCenter().add_observer(observer)
    reactor.start()
    engine = Engine()
    engine.start(udp_port=0, ip_address='127.0.0.1')
    observer.started.wait(30)
    commands.say('ready')
    commands.serve(measure=observer.measure)
    engine.stop()
    engine.join(10)


if __name__ == '__main__':
    main()
