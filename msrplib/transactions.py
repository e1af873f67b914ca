"""Requests that wait for their answers. Deadlines are data: whoever has a clock asks for the next one, and tells the time."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ['RESPONSE_TIMEOUT', 'Transactions']

RESPONSE_TIMEOUT = 30.0     # seconds from the last byte of a request, RFC 4975 section 7.1.1

T = TypeVar('T')


class Transactions(Generic[T]):
    """Values by transaction id, from the first byte of a request on; its time runs from its last byte.

    The time limit is the same for all, so they expire in the order in which they were armed.
    """

    __slots__ = ('_armed', '_open', 'timeout')

    def __init__(self, timeout: float = RESPONSE_TIMEOUT) -> None:
        self.timeout = timeout
        self._open: dict[str, T] = {}
        self._armed: dict[str, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._armed)

    def begin(self, transaction_id: str, value: T) -> None:
        """A request begins to be written; an answer may come from now on."""
        self._open[transaction_id] = value

    def arm(self, transaction_id: str, now: float) -> None:
        """The request is written; without effect if it was answered already."""
        if transaction_id in self._open:
            self._armed[transaction_id] = now + self.timeout, self._open.pop(transaction_id)

    def answer(self, transaction_id: str) -> T | None:
        """Take the request that is answered; None if there is none, or not any more."""
        armed = self._armed.pop(transaction_id, None)
        return armed[1] if armed is not None else self._open.pop(transaction_id, None)

    @property
    def deadline(self) -> float | None:
        """When the next one expires."""
        return next(iter(self._armed.values()))[0] if self._armed else None

    def expire(self, now: float) -> list[T]:
        """Take those whose time is over."""
        expired = []
        for transaction_id, (deadline, value) in list(self._armed.items()) if self._armed and self.deadline <= now else ():     # type: ignore[operator]
            if deadline > now:
                break
            del self._armed[transaction_id]
            expired.append(value)
        return expired

    def drop(self) -> T | None:
        """Take the one that would expire first."""
        return self._armed.pop(next(iter(self._armed)))[1] if self._armed else None

    def clear(self) -> list[T]:
        """Take all, because the connection is gone."""
        values = [*self._open.values(), *(value for _, value in self._armed.values())]
        self._open.clear()
        self._armed.clear()
        return values
