"""The end of a dialog (patch 74)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_dialog_is_destroyed_once(variant: str) -> None:
    assert run(program('dialog_end', ('pjsip/src/pjsip/sip_dialog.c',), variant)) == 'ok'
