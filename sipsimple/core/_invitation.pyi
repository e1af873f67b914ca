from collections.abc import Iterable
from typing import Any

from sipsimple.core._handles import Handle

FLAG_REQUEST: int
FLAG_LOCAL: int
FLAG_MISSING_ACK: int
STATE_DISCONNECTING: int

def set_session_timer(expires: int = 1800, minimum: int = 90) -> None:
    """Session interval to ask for and the smallest one to agree to, in seconds (RFC 4028). For tests."""
def create() -> Handle:
    """A Handle to bind before invite(); events may come as soon as that is called."""
def invite(handle: Handle, target: str, from_: str, to: str, from_params: str, to_params: str, contact: str, route: str, sdp: Any,
           headers: Iterable[Any] | None,
           credentials: Any) -> None:
    """Send an INVITE. Raises PJSIPError; nothing follows then."""
def answer(handle: Handle, code: int, reason: str | None, contact: str | None, sdp: Any,
           headers: Iterable[Any] | None) -> None:
    """Answer the INVITE or re-INVITE that waits. Raises PJSIPError."""
def offer(handle: Handle, update: bool, contact: str | None, sdp: Any, headers: Iterable[Any] | None) -> None:
    """Send a re-INVITE, or an UPDATE. Raises PJSIPError."""
def ack(handle: Handle, sdp: Any, headers: Iterable[Any] | None) -> None:
    """Send the ACK to a 2xx that brought an offer, with the answer. Raises PJSIPError."""
def cancel_reinvite(handle: Handle) -> None:
    """CANCEL our re-INVITE. Raises PJSIPError."""
def end(handle: Handle, code: int, headers: Iterable[Any] | None) -> None:
    """CANCEL or BYE, as the state asks; a final answer `code` for an unanswered incoming one. Raises PJSIPError."""
def abort(handle: Handle, code: int, reason: str) -> None:
    """Report `disconnected` with this code now; the dialog ends on its own."""
def message(handle: Handle, content_type: str, content: bytes, headers: Iterable[Any] | None) -> None:
    """Send a MESSAGE in the dialog. Raises PJSIPError."""
def dialog_id(handle: Handle) -> tuple[str, str, str] | None:
    """(call_id, local_tag, remote_tag), or None when the dialog is gone."""
def transfer(handle: Handle, refer_to: str, headers: Iterable[Any] | None) -> None:
    """Send a REFER in the dialog. Raises PJSIPError."""
def transfer_end(handle: Handle) -> None:
    """Forget the transfer under way; harmless without one."""
def transfer_notify(handle: Handle, code: int, reason: str | None) -> None:
    """Tell the peer how the transfer it asked for goes. Raises PJSIPError."""
