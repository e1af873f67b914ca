"""Hash tables whose keys strangers choose (patch 84)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_equal_hash_values_are_spread(variant: str) -> None:
    assert run(program('hash_rows', (), variant)) == 'ok'
