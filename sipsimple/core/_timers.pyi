from collections.abc import Callable
from typing import Any

class Timer:
    """A running timer; cancel() is idempotent and may come from any thread."""
    id: int
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    @property
    def active(self) -> bool:
        """True until it fired or was cancelled."""
    def cancel(self) -> None:
        """Make sure that the function is not called any more (a call under way in another thread goes on)."""

def call_later(seconds: float, function: Callable[..., object], *args: Any) -> Timer:
    """Call function(*args) on the thread that serves events in `seconds`.

    Raises:
        PJSIPError: the Engine is not running.
    """
def pending_count() -> int:
    """Timers that run; for leak checks."""
def forget_all() -> None:
    """Engine stop: nothing fires any more."""
