from collections.abc import Iterable
from typing import Any

from sipsimple.core._handles import Handle

def create() -> Handle:
    """A Handle to bind before send(); events may come as soon as that is called."""
def send(handle: Handle, method: str, target: str, from_: str, to: str, from_params: str, to_params: str, contact: str | None, call_id: str | None, cseq: int,
         route: str | None, headers: Iterable[Any] | None, content_type: str | None, body: bytes | None,
         credentials: Any, timeout_ms: int, from_tag: str | None = None, to_tag: str | None = None, report_sent: bool = False) -> None:
    """Send a request by a new client transaction; the tags are those of a dialog. Raises PJSIPError; nothing follows then."""
def cancel(handle: Handle) -> None:
    """Stop waiting: a final 408 is reported."""
def keep_alive(handle: Handle, least_ms: int, most_ms: int, limit_ms: int) -> Handle:
    """Ping by the way that the 2xx of a request has come, and watch for the answers; a Handle of that."""
def answer(handle: Handle, code: int, reason: str | None, headers: Iterable[Any] | None) -> None:
    """Answer an incoming request. Raises PJSIPError."""
