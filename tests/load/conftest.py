"""How large the load tests are: small ones belong to the normal suite, SIPSIMPLE_FULL_LOAD=1 makes them what the project promises."""

from __future__ import annotations

import dataclasses
import os

import pytest


@dataclasses.dataclass(frozen=True)
class Amount:
    """What to ask for; the comment names the full size."""

    full: bool
    calls: int              # 300 at the same time
    seconds: float          # 60
    sequence: int           # 2,000 one after the other
    others: int             # 300 of each other kind
    abrupt: int             # 100 that end in some violent way


@pytest.fixture(scope='session')
def amount() -> Amount:
    if os.environ.get('SIPSIMPLE_FULL_LOAD') == '1':
        return Amount(True, 300, 60, 2000, 300, 100)
    return Amount(False, 30, 5, 100, 10, 20)
