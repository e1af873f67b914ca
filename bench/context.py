"""What every measurement is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.programs import Peers
from bench.report import Row

__all__ = ['Bench', 'Measure']


@dataclass
class Bench:
    """Args of a run.

    Attributes:
        peers: the programs in C.
        rounds: how often each side is measured, in turn.
        scale: factor for the number of operations in a round; 1 gives rounds of a few seconds.
        remarks: what a reader of the table should know, such as failed calls.
    """

    peers: Peers
    rounds: int = 3
    scale: float = 1.0
    remarks: list[str] = field(default_factory=list)

    def count(self, usual: int) -> int:
        """A number of operations, scaled."""
        return max(10, int(usual * self.scale))

    def turns(self) -> Iterator[int]:
        """The rounds; both sides are measured in each, so that a busy moment of the machine does not fall on one of them alone."""
        yield from range(self.rounds)

    def remark(self, text: str) -> None:
        """Add a remark, once."""
        if text not in self.remarks:
            self.remarks.append(text)


Measure = Callable[[Bench], list[Row]]
