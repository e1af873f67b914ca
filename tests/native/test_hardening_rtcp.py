"""What RTCP measures on a machine that runs for long, and what a peer reports (patch 83)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('case', ['jitter', 'loss'])
def test_rtcp_reports(variant: str, case: str) -> None:
    assert run(program('rtcp_reports', ('pjmedia/src/pjmedia/rtcp.c',), variant), case) == 'ok'
