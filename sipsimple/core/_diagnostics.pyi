def held() -> dict[str, int]:
    """Numbers of what PJSIP holds: see `Engine.diagnostics`. Thread: any."""
def thread_is_known() -> bool:
    """Whether PJLIB knows the calling thread: always so once it has called into the native core. Thread: any."""
def pools() -> dict[str, tuple[int, int]]:
    """The memory pools in use, name -> (number, bytes); the address at the end of a name is left out. Empty in builds for AddressSanitizer.

    It stops the making of new pools while it counts: to find a leak with, not for production. Thread: any.
    """
