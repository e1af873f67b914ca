"""PJSIP's resolver: forged answers, answers to cancelled queries, its end, and who is told what (patches 08, 16, 78, 79)."""

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('case', ['forged', 'ids', 'cancelled'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_dns_answers(variant, case):
    assert run(program('dns_answers', ('pjlib-util/src/pjlib-util/resolver.c',), variant), case) == 'ok'


@pytest.mark.parametrize('case', ['destroyed', 'refused', 'destroyed_in_callback', 'cancelled_in_callback', 'cancelled_without_lock'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_dns_life(variant, case):
    assert run(program('dns_life', ('pjlib-util/src/pjlib-util/resolver.c',), variant), case) == 'ok'


RESOLUTION = ('pjlib-util/src/pjlib-util/resolver.c', 'pjlib-util/src/pjlib-util/srv_resolver.c', 'pjsip/src/pjsip/sip_resolve.c')


@pytest.mark.parametrize('case', ['second_fails', 'none_can_be_asked', 'no_address', 'all_cached', 'names', 'srv_all_cached', 'srv_addresses_cached',
                                  'srv_second_fails', 'srv_none_can_be_asked', 'srv_fallback', 'srv_cancelled'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_resolution(variant, case):
    assert run(program('sip_resolution', RESOLUTION, variant), case) == 'ok'
