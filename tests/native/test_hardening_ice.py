"""A packet that comes before its ICE session is complete (patch 77)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_packet_before_the_candidates(variant: str) -> None:
    assert run(program('ice_early', ('pjnath/src/pjnath/ice_session.c',), variant)) == 'ok'
