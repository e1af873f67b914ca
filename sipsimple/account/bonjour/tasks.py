"""Tasks of the loop whose errors somebody sees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ['begin']

log = logging.getLogger('sipsimple.account')


def begin(procedure: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a coroutine; an exception is logged. Thread: the SDK thread."""
    task = asyncio.get_running_loop().create_task(procedure)
    task.add_done_callback(_look)
    return task


def _look(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error('a task failed', exc_info=task.exception())
