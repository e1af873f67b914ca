"""Calls at the level of the Invitation: an Engine and nothing above it."""

from __future__ import annotations

import threading
import time
from typing import Any

from bench.subjects import commands
from sipsimple.core import ContactHeader, Engine, FromHeader, Invitation, RouteHeader, SDPAttribute, SDPConnection, SDPMediaStream, SDPSession, SIPURI, ToHeader
from sipsimple.notification import NotificationCenter

ADDRESS = '127.0.0.1'


def description() -> SDPSession:
    """A session description as an application would make it for each call."""
    media = SDPMediaStream('audio', 50000, 'RTP/AVP', formats=['0', '101'], attributes=[
        SDPAttribute('rtpmap', '0 PCMU/8000'), SDPAttribute('rtpmap', '101 telephone-event/8000'), SDPAttribute('fmtp', '101 0-15'),
        SDPAttribute('sendrecv', '')])
    return SDPSession(ADDRESS, name='bench', connection=SDPConnection(ADDRESS), media=[media])


class Calls:
    """Answers every INVITE at once; makes calls, and ends each as soon as it is connected."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.done = threading.Event()
        self.live: set[Invitation] = set()          # somebody has to keep them
        self.connected = self.failed = self.left = self.waiting = 0
        self.port = 0

    def handle_notification(self, notification: Any) -> None:
        if notification.name == 'SIPInvitationChangedState':
            data, invitation = notification.data, notification.sender
            match data.state:
                case 'incoming':
                    self.live.add(invitation)
                    invitation.send_response(200, sdp=description())
                case 'connected':
                    self.connected += 1
                    if invitation.direction == 'outgoing':
                        invitation.end()
                case 'disconnected':
                    self.live.discard(invitation)
                    if invitation.direction == 'outgoing':
                        if data.disconnect_reason != 'user request':
                            self.failed += 1
                        self.next()
        elif notification.name == 'SIPEngineDidStart':
            self.started.set()

    def next(self) -> None:
        """A call is over: make another, or tell that all are done."""
        if self.left:
            self.left -= 1
            self.call()
        else:
            self.waiting -= 1
            if not self.waiting:
                self.done.set()

    def call(self) -> None:
        target = SIPURI(ADDRESS, user='2', port=self.port)
        own = SIPURI(ADDRESS, user='bench', port=Engine().udp_port)
        invitation = Invitation()
        self.live.add(invitation)
        invitation.send_invite(target, FromHeader(own), ToHeader(target), RouteHeader(SIPURI(ADDRESS, port=self.port, parameters={'lr': None})),
                               ContactHeader(own), description())

    def dial(self, port: int, count: int, window: int) -> dict[str, Any]:
        """Make `count` calls to the program at `port`, at most `window` at a time."""
        window = min(window, count)
        self.port, self.left, self.waiting = port, count - window, window
        self.connected = self.failed = 0
        self.done.clear()
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(window):
            self.call()
        if not self.done.wait(120):
            raise TimeoutError(f'{self.left} calls left')
        return {'seconds': time.perf_counter() - begin, 'cpu': time.process_time() - used, 'connected': self.connected, 'failed': self.failed}

    def report(self) -> dict[str, Any]:
        connected, self.connected = self.connected, 0
        return {'connected': connected}


def main() -> None:
    calls = Calls()
    NotificationCenter().add_observer(calls)
    engine = Engine()
    engine.start(udp_port=0, ip_address=ADDRESS)
    calls.started.wait(30)
    commands.say('ready', port=engine.udp_port)
    commands.serve(dial=calls.dial, report=calls.report)
    engine.stop()
    engine.join(10)


if __name__ == '__main__':
    main()
