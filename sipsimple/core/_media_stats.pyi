from typing import TypedDict, type_check_only

DIRECTION_FIELDS: tuple[str, ...]
FIGURE_FIELDS: tuple[str, ...]

@type_check_only
class Figures(TypedDict):
    """Microseconds, except `count`."""
    count: int
    max: int
    min: int
    last: int
    avg: int

@type_check_only
class DirectionStatistics(TypedDict):
    """Of packets received (`rx`) or sent (`tx`: losses and jitter as the peer reports them); `bytes` are payload."""
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

@type_check_only
class Statistics(TypedDict):
    """`rtt` is the time of a round trip (RFC 3550 §6.4.1)."""
    rtt: Figures
    rx: DirectionStatistics
    tx: DirectionStatistics
