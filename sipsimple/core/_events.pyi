from collections.abc import Callable
from typing import Any

class Event:
    """One native event: `kind`, `handle`, `num` (six ints), `data` (bytes, their meaning is in native/events.h)."""
    kind: int
    handle: int
    num: tuple[int, int, int, int, int, int]
    data: tuple[bytes, ...]

def register(kind: int, handler: Callable[[Any, Event], None], fresh: bool = False) -> None:
    """Call handler(obj, event) for each event of this kind, on the thread that serves events.

    `obj` is the live Python object of the event's handle (None for events of the Engine itself). With `fresh` the
    handle is a new one that Python has not seen, and obj is None.
    """
def interrupt() -> None:
    """Make a waiting drain() return."""
def drain(on_exception: Callable[[], None]) -> int:
    """Wait for events and serve them; returns the number served, 0 when interrupted with an empty queue.

    Args:
        on_exception: called without arguments, inside the except block, for each exception of a handler.
    Thread: the one that serves events, and not while a descriptor is open().
    """
def open() -> int:
    """A descriptor that is readable while events wait, for a thread that has other things to do. OSError: there is none to be had."""
def close() -> None:
    """Go back to drain(); the caller then closes the descriptor. Events that wait stay."""
def serve(on_exception: Callable[[], None], limit: int) -> bool:
    """Serve the events that wait now, at most `limit`, and return at once; True when there are more. Arguments as for drain()."""

LOG: int
SIP_TRACE: int
MESSAGE: int
NAT_TYPE: int
TRANSPORT_CONNECTED: int
TRANSPORT_DISCONNECTED: int
TRANSPORT_VERIFIED: int
TRANSPORT_CERT_ERROR: int
REQUEST_RESPONSE: int
REQUEST_SENT: int
INCOMING_REQUEST: int
INCOMING_REQUEST_SENT: int
DIALOG_INCOMING: int
DIALOG_REQUEST: int
DIALOG_ANSWERED: int
DIALOG_CALL: int
INV_INCOMING: int
INV_STATE: int
INV_SDP: int
INV_REINVITE: int
INV_REINVITE_END: int
INV_REINVITE_SENT: int
INV_REINVITE_PROGRESS: int
INV_MESSAGE: int
INV_UPDATE: int
INV_TRANSFER_IN: int
INV_TRANSFER_STATE: int
INV_TRANSFER_NOTIFY: int
INV_OFFER: int
INV_TRANSFER_OUT: int
