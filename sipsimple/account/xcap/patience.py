"""How long is waited after failures, and how often conflicts are taken up again."""

from __future__ import annotations

import random

from sipsimple.account.xcap.errors import CapabilityError, ConflictError, HTTPError, PreconditionError, TransportError, XCAPError

__all__ = ['Patience']

RETRY = 60.0                # seconds after a failure
RETRY_LOST = 2.0            # after the first time that a connection broke, which may be one that was idle for too long
RETRY_CAPABILITIES = 3600.0     # when the server lacks what we need
MAX_RETRY_AFTER = 3600.0    # a server may ask for more time, up to this
MAX_CONFLICTS = 50          # in a row, before somebody who writes all the time is left alone for RETRY


class Patience:
    """What went wrong in a row."""

    def __init__(self) -> None:
        self._conflicts = 0
        self._lost = False      # the last request found its connection broken

    def answered(self) -> None:
        """The connection serves."""
        self._lost = False

    def succeeded(self) -> None:
        """Nothing was in the way."""
        self._conflicts, self._lost = 0, False

    def after(self, error: XCAPError) -> float:
        """Seconds until it is tried again."""
        if isinstance(error, CapabilityError):
            return RETRY_CAPABILITIES
        lost, self._lost = self._lost, isinstance(error, TransportError)
        if self._lost and not lost:
            return random.uniform(RETRY_LOST / 2, RETRY_LOST)
        asked = error.retry_after if isinstance(error, HTTPError) and error.retry_after is not None else 0
        return max(RETRY, min(asked, MAX_RETRY_AFTER))

    def conflict(self, error: PreconditionError | ConflictError) -> float | None:
        """Seconds until a document that is another one by now is read and written again; None: it is no use, that was a failure."""
        self._conflicts += 1
        if (isinstance(error, ConflictError) and self._conflicts > 1) or self._conflicts > MAX_CONFLICTS:
            self._conflicts = 0
            return None
        # Somebody else writes as often: who waits a little less wins.
        return random.uniform(0, min(0.1 * self._conflicts, 2.0)) if self._conflicts > 3 else 0
