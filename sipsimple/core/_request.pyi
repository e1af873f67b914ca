from collections.abc import Iterable
from typing import Any

from sipsimple.core._handles import Handle

def send(method: str, target: str, from_: str, to: str, contact: str | None, call_id: str | None, cseq: int,
         route: str | None, headers: Iterable[Any] | None, content_type: str | None, body: bytes | None,
         credentials: Any, timeout_ms: int) -> Handle: ...
def cancel(handle: Handle) -> None: ...
def answer(handle: Handle, code: int, reason: str | None, headers: Iterable[Any] | None) -> None: ...
