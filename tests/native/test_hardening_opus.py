"""Opus packets with more frames than bytes (patch 11)."""

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_parse_writes_nothing_outside(variant):
    assert run(program('opus_parse', ('pjmedia/src/pjmedia-codec/opus.c',), variant)) == 'ok'
