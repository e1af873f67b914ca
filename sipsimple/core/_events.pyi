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

LOG: int
SIP_TRACE: int
MESSAGE: int
NAT_TYPE: int
TRANSPORT_CONNECTED: int
TRANSPORT_DISCONNECTED: int
TRANSPORT_VERIFIED: int
TRANSPORT_CERT_ERROR: int
REQUEST_RESPONSE: int
INCOMING_REQUEST: int
INCOMING_REQUEST_SENT: int
INV_INCOMING: int
INV_STATE: int
INV_SDP: int
INV_REINVITE: int
INV_REINVITE_END: int
INV_REINVITE_SENT: int
INV_REINVITE_PROGRESS: int
INV_MESSAGE: int
INV_TRANSFER_IN: int
INV_TRANSFER_STATE: int
INV_TRANSFER_NOTIFY: int
INV_OFFER: int
INV_TRANSFER_OUT: int
