from collections.abc import Iterable
from typing import Any

from sipsimple.core._handles import Handle

SUBSCRIPTION: int
INCOMING_SUBSCRIPTION: int
REFERRAL: int
INCOMING_REFERRAL: int

def set_packages(packages: Iterable[str]) -> None:
    """Event packages whose SUBSCRIBEs are handed to the application."""
def create(kind: int, call_id: str, local_tag: str) -> Handle:
    """A Handle of a dialog that we begin, to bind before anything is sent."""
def answer(handle: Handle, kind: int, number: int, code: int, headers: Iterable[Any] | None) -> None:
    """Answer the request of that number. Raises PJSIPError: it is answered already, or with 500 because of a bad header."""
def call(handle: Handle) -> None:
    """Have DIALOG_CALL come in the order of events; no-op for a closed handle, for another thread may close it at any time."""
def timer_n() -> float:
    """Seconds within which the first NOTIFY has to come (RFC 6665 section 4.1.2.4)."""
