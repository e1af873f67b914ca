"""Tables of transitions, (state, input) -> state, as tests of all their pairs need them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ['pairs', 'paths']


def paths(transitions: Mapping[tuple[Any, Any], Any]) -> dict[Any, list[Any]]:
    """State -> the inputs that lead to it from a new object, as few as possible."""
    found: dict[Any, list[Any]] = {None: []}
    queue = [None]
    while queue:
        here = queue.pop(0)
        for (state, what), following in transitions.items():
            if state == here and following not in found:
                found[following] = [*found[here], what]
                queue.append(following)
    return found


def pairs(transitions: Mapping[tuple[Any, Any], Any], inputs: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Every state that can be reached, with every input."""
    return list(itertools.product(paths(transitions), inputs))
