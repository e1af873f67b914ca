from collections.abc import Iterable

def generation() -> int:
    """Number of the present run of the Engine's media part, 0 while it is off."""
def available_codecs() -> list[str]:
    """Names of all audio codecs that were compiled in; empty while the Engine is off."""
def get_codecs() -> list[str]:
    """Names of the enabled audio codecs, most preferred first."""
def set_codecs(names: Iterable[str]) -> None:
    """Enable these audio codecs, most preferred first, and disable all others. Names compare case-insensitively.

    Raises:
        ValueError: a name occurs twice.
        SIPCoreError: an unknown name; nothing is changed.
        PJSIPError: the Engine is not running.
    """
def set_rtp_port_range(start: int, stop: int) -> None:
    """Take UDP ports for RTP and RTCP from [start, stop), in pairs with an even RTP port.

    Raises:
        SIPCoreError: a port outside 0..65535, or no usable pair.
    """
