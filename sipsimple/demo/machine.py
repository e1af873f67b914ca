"""Whether the machine has time for a call: what is heard in real time is torn apart when the threads that mix it have to wait for a processor."""

from __future__ import annotations

import threading
from pathlib import Path

__all__ = ['ProcessorWait']

INTERVAL = 0.05                         # seconds


class ProcessorWait:
    """Watches, in a thread of its own, how long the threads of this process are ready to run but do not get a processor.

    The kernel counts that (/proc/.../schedstat), so waiting for one another, as for the GIL, is not in it.

    Attributes:
        longest: seconds that one thread had to wait at a stretch, to INTERVAL; 0 where the kernel does not tell.
    """

    def __init__(self, folder: Path = Path('/proc/self/task')) -> None:
        self.longest = 0.0
        self._folder = folder
        self._waited: dict[str, int] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Start watching; it ends with the process, or by `stop`."""
        threading.Thread(target=self._run, name='processor wait', daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.look()

    def look(self) -> None:
        """Read the counters; what a thread waited since the last time counts as one stretch."""
        now: dict[str, int] = {}
        try:
            for task in self._folder.iterdir():
                now[task.name] = int((task / 'schedstat').read_text().split()[1])
        except (OSError, ValueError, IndexError):
            pass                        # a thread has just ended
        for name, nanoseconds in now.items():
            if name in self._waited:
                self.longest = max(self.longest, (nanoseconds - self._waited[name]) / 1e9)
        self._waited.update(now)
