"""A whole application: full Sessions with an AudioStream, on the settings an application starts with, but G.711 and no sound card.

The bridge runs at the rate of pjsua's. The account is the one for calls without a server.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from bench.subjects import commands
from sipsimple.account import AccountManager, BonjourAccount, ContactURIFactory
from sipsimple.application import SIPApplication
from sipsimple.configuration.datatypes import PortRange
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Route, SIPURI, ToHeader
from sipsimple.notification import NotificationCenter
from sipsimple.session import Session
from sipsimple.storage import MemoryStorage
from sipsimple.streams import AudioStream
from sipsimple.threading import call_in_twisted_thread

ADDRESS = '127.0.0.1'
USER = '2'              # what pjsip-perf calls


class Calls:
    """Takes every session; makes sessions, and ends each as soon as it has started."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()
        self.done = threading.Event()
        self.begun: dict[Session, float] = {}
        self.setup: list[float] = []
        self.sessions = self.failed = self.left = self.waiting = 0
        self.port = 0
        self.pause = 0.0

    def handle_notification(self, notification: Any) -> None:
        handler = getattr(self, notification.name, None)
        if handler is not None:
            handler(notification)

    def SIPApplicationWillStart(self, notification: Any) -> None:
        commands.stay_here()
        settings: Any = SIPSimpleSettings()
        settings.audio.input_device = settings.audio.output_device = settings.audio.alert_device = None
        settings.audio.sample_rate = commands.options().get('sample_rate', 16000)
        settings.rtp.audio_codec_list = ['PCMU']
        settings.rtp.port_range = PortRange(20000, 24000)
        settings.sip.transport_list = ['udp']
        settings.save()
        BonjourAccount().contact = ContactURIFactory(USER)
        BonjourAccount().discovery.enabled = False          # nobody is to be found, and nothing is sent into the networks of this machine

    def SIPApplicationDidStart(self, notification: Any) -> None:
        self.started.set()

    def SIPApplicationDidEnd(self, notification: Any) -> None:
        self.ended.set()

    def SIPSessionNewIncoming(self, notification: Any) -> None:
        notification.sender.accept(notification.data.streams)

    def SIPSessionDidStart(self, notification: Any) -> None:
        session = notification.sender
        self.sessions += 1
        if session.direction == 'outgoing':
            self.setup.append(time.perf_counter() - self.begun[session])
            session.end()

    def SIPSessionDidFail(self, notification: Any) -> None:
        self.failed += 1
        self.over(notification.sender)

    def SIPSessionDidEnd(self, notification: Any) -> None:
        self.over(notification.sender)

    def over(self, session: Session) -> None:
        """A session is over: make another, or tell that all are done."""
        if self.begun.pop(session, None) is None:
            return
        if self.left:
            self.left -= 1
            if self.pause:
                from sipsimple.threading import reactor
                reactor.call_later(self.pause, self.call)
            else:
                self.call()
        else:
            self.waiting -= 1
            if not self.waiting:
                self.done.set()

    def call(self) -> None:
        account = AccountManager().get_account('bonjour@local')
        session = Session(account)
        self.begun[session] = time.perf_counter()
        session.connect(ToHeader(SIPURI(ADDRESS, user='2', port=self.port)), [Route(ADDRESS, self.port, 'udp')], [AudioStream(account)])

    def dial(self, port: int, count: int, window: int, pause: float = 0) -> dict[str, Any]:
        """Make `count` calls to the program at `port`, at most `window` at a time, with a pause in seconds after each."""
        window = min(window, count)
        self.port, self.left, self.waiting, self.pause = port, count - window, window, pause
        self.setup.clear()
        self.sessions = self.failed = 0
        self.done.clear()
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(window):
            call_in_twisted_thread(self.call)
        if not self.done.wait(120):
            raise TimeoutError(f'{self.left} calls left')
        return {'seconds': time.perf_counter() - begin, 'cpu': time.process_time() - used, 'started': self.sessions, 'failed': self.failed,
                'setup': self.setup}

    def report(self) -> dict[str, Any]:
        started, self.sessions = self.sessions, 0
        failed, self.failed = self.failed, 0
        return {'started': started, 'failed': failed, 'threads': threading.active_count(), 'files': len(os.listdir('/proc/self/fd'))}


def main() -> None:
    calls = Calls()
    NotificationCenter().add_observer(calls)
    application = SIPApplication()
    application.start(MemoryStorage())
    calls.started.wait(30)
    commands.say('ready', port=application.engine.udp_port)
    commands.serve(dial=calls.dial, report=calls.report)
    application.stop()
    calls.ended.wait(20)


if __name__ == '__main__':
    main()
