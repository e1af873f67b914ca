from collections.abc import Callable
from typing import Any

class Event:
    kind: int
    handle: int
    num: tuple[int, int, int, int, int, int]
    data: tuple[bytes, ...]

def register(kind: int, handler: Callable[[Any, Event], None], fresh: bool = False) -> None: ...
def interrupt() -> None: ...
def drain(on_exception: Callable[[], None]) -> int: ...
