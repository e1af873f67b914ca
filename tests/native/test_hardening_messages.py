"""Printing of SIP messages stays inside its buffer and never meets an assert (patches 01, 06, 07, 12, 13, 18, 85)."""

import pytest

from tests.native.hardening.programs import VARIANTS, program, run


@pytest.mark.parametrize('case', ['array_headers', 'multipart', 'body_printer_too_long', 'final_nul', 'first_line', 'route_hide', 'content_length',
                                  'media_type'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_message_print(variant, case):
    path = program('message_print', ('pjsip/src/pjsip/sip_msg.c', 'pjsip/src/pjsip/sip_multipart.c'), variant)
    assert run(path, case) == 'ok'
