"""An Engine whose Python handler gets every OPTIONS and MESSAGE.

Options: `answer`, methods that the handler answers itself; a MESSAGE that is not among them is answered by the core and handed over.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from bench.subjects import commands
from sipsimple.core import Engine
from sipsimple.notification import NotificationCenter


class Handler:
    """Counts what it gets."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.count = 0
        self.first = self.last = 0.0

    def handle_notification(self, notification: Any) -> None:
        name = notification.name
        if name == 'SIPIncomingRequestGotRequest':
            notification.sender.answer(200)
        elif name != 'SIPEngineGotMessage':
            if name == 'SIPEngineDidStart':
                self.started.set()
            return
        now = time.perf_counter()
        if not self.count:
            self.first = now
        self.count += 1
        self.last = now

    def report(self) -> dict[str, Any]:
        """How many requests came since the last report, and in how many seconds."""
        count, seconds = self.count, self.last - self.first
        self.count = 0
        return {'count': count, 'seconds': seconds}


def main() -> None:
    handler = Handler()
    NotificationCenter().add_observer(handler)
    engine = Engine()
    engine.start(udp_port=0, ip_address='127.0.0.1', incoming_requests=set(commands.options()['answer']))
    handler.started.wait(30)
    commands.say('ready', port=engine.udp_port)
    commands.serve(report=handler.report)
    engine.stop()
    engine.join(10)


if __name__ == '__main__':
    main()
