"""Packets that come while a media transport starts (patch 64)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_packet_at_the_start_does_not_end_the_reception(variant: str) -> None:
    assert run(program('udp_media_start', (), variant)) == 'rtp rtcp'
