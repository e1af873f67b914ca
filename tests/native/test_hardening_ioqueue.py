"""A registration with an ioqueue that fails (patch 87)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_failed_registration_leaves_nothing(variant: str) -> None:
    assert run(program('ioqueue_registration', ('pjlib/src/pj/ioqueue_epoll.c',), variant)) == 'ok'
