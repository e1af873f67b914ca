"""How far the counters of the native core have moved."""

from __future__ import annotations

from sipsimple.core._handles import counters


class Counts:
    """How far counters have moved since this was made."""

    def __init__(self) -> None:
        self.before = counters()

    def grown(self, name: str) -> int:
        return int(counters()[name] - self.before[name])

    def all(self) -> dict[str, int]:
        names = ('malformed', 'malformed_sdp', 'malformed_rtp', 'malformed_rtcp', 'stranger_rtp', 'stranger_rtcp', 'rejected_srtp')
        return {name: self.grown(name) for name in names if self.grown(name)}
