"""A big addressbook on an XCAP server: how long changes take to get there, and for how long the SDK thread is held up meanwhile.

    python -m bench.xcap_bench [contacts]

The server is a process of its own. The SDK thread asks for its turn every 2 ms; what is told is by how much it comes too late, at worst.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

from sipsimple.account.xcap import Contact, ContactURI, EventHandling
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.threading import reactor, schedule_in_thread
from tests.support.xcap_rig import Rig
from tests.support.xcap_server import XCAPServer

TURN = 0.002        # seconds


class Lateness:
    """By how much the SDK thread comes too late, in ms."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._due: float | None = None
        reactor.get_loop().call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._due is not None:
            self.worst = max(self.worst, (now - self._due) * 1000)
        self._due = now + TURN
        reactor.get_loop().call_later(TURN, self._turn)


def files_are_written() -> None:
    done = threading.Event()
    schedule_in_thread('file-io', done.set)
    done.wait(600)


def contact(number: int, policy: str) -> Contact:
    uris = [ContactURI('u1', f'sip:user{number}@example.com', 'SIP'), ContactURI('u2', f'{number}@mobile.example.com', None)]
    return Contact(f'c{number}', f'User {number}', uris, EventHandling(policy, True))


def fill(rig: Rig, count: int) -> None:
    with rig.manager.transaction():
        for number in range(count):
            rig.manager.add_contact(contact(number, 'allow' if number % 2 else 'default'))


def serve() -> None:
    with XCAPServer() as server:
        print(server.root, flush=True)
        sys.stdin.read()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ConfigurationManager().start(MemoryBackend())
    server = subprocess.Popen([sys.executable, '-m', 'bench.xcap_bench', 'serve'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    try:
        with Rig(server.stdout.readline().strip()) as rig:
            lateness = Lateness()
            rig.start().in_sync()
            manager, one = rig.manager, contact(5, 'allow')

            def timed(what: str, change: Callable[[], object]) -> None:
                lateness.worst = 0.0
                begin = time.perf_counter()
                change()
                rig.in_sync()
                took = time.perf_counter() - begin
                files_are_written()
                print(f'{what}: there after {took:.2f} s, the SDK thread at worst {lateness.worst:.0f} ms late', flush=True)
            timed(f'{count} contacts in one transaction', lambda: fill(rig, count))
            for turn in ('first', 'second', 'third'):
                timed(f'{turn} change of a name', lambda turn=turn: manager.update_contact(one, {'name': turn}))       # type: ignore[misc]
            timed('a contact is blocked', lambda: manager.update_contact(one, {'presence.policy': 'block'}))
            timed('a contact is deleted', lambda: manager.remove_contact(one))
    finally:
        server.stdin.close()
        server.wait(60)


if __name__ == '__main__':
    serve() if sys.argv[1:] == ['serve'] else main()
