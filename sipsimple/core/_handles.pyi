from collections.abc import Callable
from typing import Self

TYPES: tuple[str, ...]

def bind(handle: int, obj: object) -> None:
    """Let events for `handle` reach `obj` (held weakly)."""
def unbind(handle: int) -> None:
    """Forget `handle`; harmless when unknown."""
def keep(handle: int, obj: object) -> None:
    """Hold `obj` strongly until unbind() or release(); for objects that must live through an operation under way."""
def release(handle: int) -> None:
    """Undo keep()."""
def lookup(handle: int) -> object | None:
    """The live object of a handle, or None."""
def end_all(on_exception: Callable[[], None]) -> None:
    """The Engine has stopped: no event comes any more. Each object that waits for one is told, once, by its `_engine_ended()` if it has that; all handles are
    forgotten.

    Args:
        on_exception: called without arguments, inside the except block, for each exception of an object or its observers.
    Thread: the one that serves events.
    """
def live_objects() -> dict[str, int]:
    """Live native objects per type, and `bound`, the handles that Python holds: for leak checks."""
def counters() -> dict[str, int]:
    """The native core's counters since the process started."""

class Handle:
    """Ownership of one native object: when this goes, the object is ended in the worker thread."""
    number: int
    def __new__(cls, number: int) -> Self: ...
    def close(self) -> None:
        """End the native object now; idempotent, any thread."""
