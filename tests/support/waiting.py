"""Waiting for what nobody tells of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ['LIMIT', 'wait_until']

LIMIT = 60.0            # seconds; the machine may be busy

T = TypeVar('T')


def wait_until(condition: Callable[[], T], timeout: float = LIMIT, interval: float = 0.005) -> T:
    """Ask again and again until the answer is true, or the time is over; the last answer."""
    end = time.monotonic() + timeout
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(interval)
    return answer
