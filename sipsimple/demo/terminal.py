"""Progress and results of the demo, on a terminal or in a file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ['Terminal']

BAR = 24                                # columns


class Terminal:
    """Writes lines with the time since the start; on a terminal, also a bar while something lasts.

    Attributes:
        zero: when it began, seconds since the epoch.
        failures: the checks that failed.
        waited: seconds that the processes had to wait for a processor at a stretch, at most.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self.zero = time.time()
        self.failures: list[str] = []
        self.waited = 0.0
        self._output = output if output is not None else sys.stdout
        self._live = self._output.isatty()

    def _style(self, text: str, code: str) -> str:
        return f'\033[{code}m{text}\033[0m' if self._live else text

    def line(self, text: str = '') -> None:
        """Write a line."""
        print(text, file=self._output, flush=True)

    def title(self, text: str) -> None:
        """Write the title of a part."""
        self.line()
        self.line(self._style(text, '1'))

    def step(self, text: str, when: float | None = None) -> None:
        """Write what has happened, now or at that time."""
        self.line(f'{(time.time() if when is None else when) - self.zero:7.3f}  {text}')

    @contextmanager
    def lasting(self, text: str, seconds: float) -> Iterator[None]:
        """Write what is going on while the block runs, which takes about that long."""
        self.step(text)
        if not self._live:
            yield
            return
        done = threading.Event()

        def show() -> None:
            began = time.monotonic()
            while not done.wait(0.1):
                part = min(1.0, (time.monotonic() - began) / seconds)
                full = round(part * BAR)
                print(f'\r         [{"#" * full}{"." * (BAR - full)}]', end='', file=self._output, flush=True)
            print('\r\033[K', end='', file=self._output, flush=True)
        bar = threading.Thread(target=show, daemon=True)
        bar.start()
        try:
            yield
        finally:
            done.set()
            bar.join()

    def check(self, good: bool, text: str) -> None:
        """Write the result of a check; a failed one is remembered."""
        if not good:
            self.failures.append(text)
        self.line(f'  {self._style("ok    ", "32") if good else self._style("FAILED", "31;1")}  {text}')

    def verdict(self, good: bool, text: str) -> None:
        """Write the last line."""
        self.line()
        self.line(self._style(text, '32;1' if good else '31;1'))
