"""Exceptions of the core.

    SIPCoreError                   misuse, Engine not running, invalid URI or header, wrong object state
     +- PJSIPError                 a PJSIP call failed (.status, .errno)
     |   +- PJSIPTLSError          a TLS transport could not be started
     +- SIPCoreInvalidStateError   the action is not allowed in the object's present state
"""

from __future__ import annotations

ENGINE_ENDED = 'the Engine has stopped'            # reason of what was under way then

__all__ = ['SIPCoreError', 'PJSIPError', 'PJSIPTLSError', 'SIPCoreInvalidStateError', 'pjsip_error']

PJ_ERRNO_START_SYS = 120000  # PJSIP adds this to the operating system's error codes
TLS_START_ERRORS = range(171160, 171167)  # PJSIP_TLS_EUNKNOWN .. PJSIP_TLS_ECTX: method, CA, certificate, key, cipher, context


class SIPCoreError(Exception):
    """Root of all errors of the core."""


class PJSIPError(SIPCoreError):
    """A PJSIP call failed.

    Args:
        message: "what failed: PJSIP's own text".
        status: the PJ status code.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def errno(self) -> int:
        """The operating system's error number (comparable with errno.EADDRINUSE); 0 when status is 0."""
        return self.status - PJ_ERRNO_START_SYS if self.status else 0


class PJSIPTLSError(PJSIPError):
    """Starting a TLS transport failed for a TLS reason: method, CA, certificate, key, cipher or context."""


class SIPCoreInvalidStateError(SIPCoreError):
    """The action is not allowed in the present state of the object."""


def pjsip_error(message: str, status: int) -> PJSIPError:
    """The exception for a PJ status code: PJSIPTLSError for the codes of a failed TLS transport start, else PJSIPError."""
    return (PJSIPTLSError if status in TLS_START_ERRORS else PJSIPError)(message, status)
