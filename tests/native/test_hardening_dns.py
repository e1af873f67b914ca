"""PJSIP's resolver against forged answers, and answers to cancelled queries (patches 08, 16)."""

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('case', ['forged', 'ids', 'cancelled'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_dns_answers(variant, case):
    assert run(program('dns_answers', ('pjlib-util/src/pjlib-util/resolver.c',), variant), case) == 'ok'
