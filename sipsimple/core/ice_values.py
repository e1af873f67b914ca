"""ICE candidates and checks as values, and the parser of the native report about them."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ['ICECandidate', 'ICECheck', 'ICEReport']

COMPONENTS = {1: 'RTP', 2: 'RTCP'}
TYPES = ('HOST', 'SRFLX', 'PRFLX', 'RELAY')                                     # order of pj_ice_cand_type
CHECK_STATES = ('FROZEN', 'WAITING', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED')      # order of pj_ice_sess_check_state
UNKNOWN = 'UNKNOWN'


@dataclass(frozen=True, slots=True)
class ICECandidate:
    """A transport address of one side (RFC 8445 §5.1).

    Attributes:
        component: 'RTP' or 'RTCP'.
        type: 'HOST', 'SRFLX', 'PRFLX', 'RELAY' or 'UNKNOWN'.
        rel_address: address it was derived from; None for host candidates and where the peer did not tell.
    """

    component: str
    type: str
    address: str
    port: int
    priority: int
    rel_address: str | None = None

    def __str__(self) -> str:
        related = f' from {self.rel_address}' if self.rel_address else ''
        return f'({self.component}) {self.address}:{self.port}{related} {self.type.lower()} priority {self.priority}'


@dataclass(frozen=True, slots=True)
class ICECheck:
    """A pair of candidates and what became of its connectivity check (RFC 8445 §6.1.2).

    Attributes:
        state: 'FROZEN', 'WAITING', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED' or 'UNKNOWN'.
        nominated: whether the controlling side chose it.
    """

    local_candidate: ICECandidate
    remote_candidate: ICECandidate
    state: str
    nominated: bool

    def __str__(self) -> str:
        chosen = ', nominated' if self.nominated else ''
        return f'{self.local_candidate} -> {self.remote_candidate}: {self.state.lower()}{chosen}'


@dataclass(frozen=True, slots=True)
class ICEReport:
    """The result of a negotiation.

    Attributes:
        valid_pairs: the pair chosen per component, RTP first.
        valid_list: all pairs that were found to work.
    """

    local_candidates: list[ICECandidate] = field(default_factory=list)
    remote_candidates: list[ICECandidate] = field(default_factory=list)
    valid_pairs: list[ICECheck] = field(default_factory=list)
    valid_list: list[ICECheck] = field(default_factory=list)

    @classmethod
    def parse(cls, text: bytes) -> ICEReport:
        """Read the lines that native/ice.c writes: candidates (L, R) first, then checks (P, V) that name them by number."""
        report = cls()
        for line in text.decode('ascii').splitlines():
            kind, *words = line.split(' ')
            if kind in 'LR':
                candidates = report.local_candidates if kind == 'L' else report.remote_candidates
                candidates.append(_candidate(words))
            else:
                checks = report.valid_pairs if kind == 'P' else report.valid_list
                local, remote, state, nominated = (int(word) for word in words)
                checks.append(ICECheck(report.local_candidates[local], report.remote_candidates[remote],
                                       CHECK_STATES[state] if state < len(CHECK_STATES) else UNKNOWN, bool(nominated)))
        return report


def _candidate(words: list[str]) -> ICECandidate:
    component, kind, address, port, priority, related = words
    number = int(kind)
    return ICECandidate(COMPONENTS.get(int(component), UNKNOWN), TYPES[number] if number < len(TYPES) else UNKNOWN, address,
                        int(port), int(priority), None if related == '-' else related)
