"""An asyncio loop whose clock goes on at once when there is nothing else to do: what takes minutes is tested in no time, in the right order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ['VirtualLoop', 'run']

T = TypeVar('T')


class _Selector(selectors.DefaultSelector):     # type: ignore[misc, valid-type, unused-ignore]
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise AssertionError('everything waits, and nothing will happen')
            self.loop.now += max(timeout, 0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Attributes: `now`, its clock in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(procedure: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on such a loop. AssertionError: something failed in the loop and nobody looked."""
    loop = VirtualLoop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    try:
        return loop.run_until_complete(procedure)
    finally:
        loop.close()
        assert not failures, failures
