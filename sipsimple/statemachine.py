"""State machines as tables.

A table is a dict literal, (state, input) -> next state, grouped by `# State:` comments, and contains all that is legal. States are values of a `StrEnum`
(or None for "not yet"), inputs members of an `Enum`. `StateMachine.fire` is the only writer of a state; what has to be done on a transition is the
owner's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

__all__ = ['InvalidTransition', 'StateMachine', 'describe']

S = TypeVar('S')
I = TypeVar('I')        # noqa: E741 - the input


class InvalidTransition(Exception):
    """The input is not legal in the present state. Attributes: `state`, `input`."""

    def __init__(self, state: object, what: object) -> None:
        super().__init__(f'{what} is not legal in state {state}')
        self.state = state
        self.input = what


class StateMachine(Generic[S, I]):
    """One run through a table.

    Args:
        transitions: the table; shared, never changed.
        initial: the first state.
        trace: called as trace(state, input, next state) after each transition, outside the lock.
    Thread: any; a transition is atomic.
    """

    __slots__ = ('_lock', '_state', '_trace', '_transitions')

    def __init__(self, transitions: Mapping[tuple[S, I], S], initial: S, trace: Callable[[S, I, S], object] | None = None) -> None:
        self._transitions = transitions
        self._state = initial
        self._trace = trace
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} in state {self._state}>'

    @property
    def state(self) -> S:
        """The present state."""
        return self._state

    def check(self, what: I) -> bool:
        """Return whether the input is legal now. Another thread may change that at once: to act on it, use `fire`."""
        return (self._state, what) in self._transitions

    def fire(self, what: I) -> S:
        """Take an input and return the new state.

        Raises:
            InvalidTransition: not legal in the present state, which stays.
        """
        with self._lock:
            state = self._state
            try:
                self._state = following = self._transitions[state, what]
            except KeyError:
                raise InvalidTransition(state, what) from None
        if self._trace is not None:
            self._trace(state, what, following)
        return following


def describe(transitions: Mapping[tuple[S, I], S]) -> str:
    """Return a table as text, a line per transition, in its own order: for documentation and logs."""
    rows = [(str(state), getattr(what, 'name', str(what)), str(following)) for (state, what), following in transitions.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return '\n'.join(f'{state:<{widths[0]}}  {what:<{widths[1]}}  -> {following}' for state, what, following in rows)
