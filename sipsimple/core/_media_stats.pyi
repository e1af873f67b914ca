from typing import TypedDict

DIRECTION_FIELDS: tuple[str, ...]
FIGURE_FIELDS: tuple[str, ...]

class Figures(TypedDict):
    """Microseconds, except `count`."""
    count: int
    max: int
    min: int
    last: int
    avg: int

class DirectionStatistics(TypedDict):
    packets: int
    bytes: int
    packets_discarded: int
    packets_lost: int
    packets_reordered: int
    packets_duplicate: int
    loss_period: Figures
    burst_loss: bool
    random_loss: bool
    jitter: Figures

class Statistics(TypedDict):
    rtt: Figures
    rx: DirectionStatistics
    tx: DirectionStatistics
