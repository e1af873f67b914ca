"""The end of a dialog, and its tag (patches 74, 86)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_dialog_is_destroyed_once(variant: str) -> None:
    assert run(program('dialog_end', ('pjsip/src/pjsip/sip_dialog.c',), variant)) == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_tag_may_have_any_hash_value(variant: str) -> None:
    assert run(program('dialog_tag', ('pjsip/src/pjsip/sip_ua_layer.c',), variant)) == 'ok'
