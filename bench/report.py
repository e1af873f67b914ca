"""Statistics, targets, and the table that is printed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ['Figure', 'Row', 'percentile', 'table']


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the sorted values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass
class Figure:
    """What one side measured, a value a round; the median counts, and the spread tells how far to trust it."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def spread(self) -> float:
        """(largest - smallest) / median."""
        median = self.median
        return (max(self.values) - min(self.values)) / median if median else 0.0


@dataclass
class Row:
    """One line of the table.

    Attributes:
        ours, peer: what was measured; a row without a peer has only an absolute target.
        target: limit for the ratio ours / peer, or for our own value when `absolute`.
        at_least: whether the target is a lower limit.
    """

    name: str
    unit: str
    ours: Figure = field(default_factory=Figure)
    peer: Figure = field(default_factory=Figure)
    target: float | None = None
    absolute: bool = False
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        ours, peer = self.ours.median, self.peer.median
        return ours / peer if ours is not None and peer else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None without one (or without figures)."""
        value = self.ours.median if self.absolute else self.ratio
        if self.target is None or value is None:
            return None
        return value >= self.target if self.at_least else value <= self.target

    def cells(self) -> list[str]:
        """The texts of the line."""
        limit = ''
        if self.target is not None:
            limit = f'{"≥" if self.at_least else "≤"} {_number(self.target)}{"" if self.absolute else "×"}'
        return [self.name, self.unit, _shown(self.ours), _shown(self.peer), '' if self.ratio is None else f'{self.ratio:.2f}', limit,
                {None: '', True: 'yes', False: 'NO'}[self.met]]


def _number(value: float) -> str:
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.3g}'


def _shown(figure: Figure) -> str:
    if figure.median is None:
        return '-'
    spread = f' ±{figure.spread * 50:.0f}%' if len(figure.values) > 1 else ''
    return _number(figure.median) + spread


HEADINGS = ['measure', 'unit', 'ours', 'peer', 'ours/peer', 'target', 'met']


def table(rows: Iterable[Row]) -> str:
    """The rows as a table that is both readable and Markdown."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]

    def line(cells: Sequence[str]) -> str:
        return '| ' + ' | '.join(cell.ljust(width) if column < 2 else cell.rjust(width)
                                 for column, (cell, width) in enumerate(zip(cells, widths, strict=True))) + ' |'
    rule = '|' + '|'.join('-' * (width + 2) if column < 2 else '-' * (width + 1) + ':' for column, width in enumerate(widths)) + '|'
    return '\n'.join([line(lines[0]), rule, *(line(cells) for cells in lines[1:])])
