"""A packet that comes before its ICE session is complete (patch 77)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_packet_before_the_candidates(variant: str) -> None:
    assert run(program('ice_early', ('pjnath/src/pjnath/ice_session.c',), variant)) == 'ok'


@pytest.mark.parametrize('checks', [0, 1, 2])
@pytest.mark.parametrize('variant', VARIANTS)
def test_an_early_check_nominates(variant: str, checks: int) -> None:
    """Checks of the peer that come before ours are started (patch 91)."""
    assert run(program('ice_nomination', ('pjnath/src/pjnath/ice_session.c',), variant), checks) == 'ok'
