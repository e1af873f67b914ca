"""Calls that are accepted, refused and ended by both sides at the same moments: whatever meets on the way, both sides come to an end."""

from __future__ import annotations

import time


def test_end_meets_everything(pair):
    pair.callee.do('set', target='agent', auto='chaos', quiet=True)
    result = pair.caller.do('chaos', port=pair.port, calls=150, streams=[pair.media], seed=7)
    assert result['unfinished'] == [] and result['twice'] == [] and result['states'] == ['terminated'], result
    assert result['ended'] + result['failed'] == 150 and result['ended'] and result['failed'], result       # how many of each is a matter of speed
    # The last BYE or CANCEL may still be on its way, and a call that was refused has its end() before it.
    for side in (pair.caller, pair.callee):
        assert becomes(lambda: side.do('sessions')['count'], 0) == 0            # noqa: B023  called at once
        assert becomes(lambda: side.do('leftovers')['leftovers'], {}) == {}     # noqa: B023


def becomes(function, value):
    """Call the function until it returns the value; return what it returned last."""
    deadline = time.monotonic() + 30
    while (result := function()) != value and time.monotonic() < deadline:
        time.sleep(0.05)
    return result
