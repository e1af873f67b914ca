"""Hostile offers against the SDP parser and negotiator and the SDES answerer (patches 02, 04, 05, 10, 17, 80 to 82, 89)."""

import pytest

from tests.native.hardening.programs import VARIANTS, program, run

NEGOTIATION = ('sdp_negotiation', ('pjmedia/src/pjmedia/sdp_neg.c',))
VALUES = ('sdp_values', ('pjmedia/src/pjmedia/sdp.c', 'pjmedia/src/pjmedia/stream_info.c'))
SDES = ('sdes_offer', ('pjmedia/src/pjmedia/transport_srtp.c',))


@pytest.mark.parametrize('variant', VARIANTS)
def test_disabled_media_without_connection_line(variant):
    assert run(program(*NEGOTIATION, variant), 'disabled') == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('spelling', ['0', '00', '000', '08'])
def test_static_payload_type_in_another_spelling(variant, spelling):
    for prefer_remote in (1, 0):
        assert run(program(*NEGOTIATION, variant), 'static', spelling, prefer_remote) == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_payload_type_offered_twice(variant):
    assert run(program(*NEGOTIATION, variant), 'twice') == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_seventeenth_media_line_is_refused(variant):
    for allow_media_change in (0, 1):
        assert run(program(*NEGOTIATION, variant), 'seventeen', allow_media_change) == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('lines', [63, 64, 65, 68])
def test_many_crypto_lines(variant, lines):
    for supported_last in (0, 1):
        for mandatory in (0, 1):
            assert run(program(*SDES, variant), 'answer', lines, supported_last, mandatory) == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_no_room_for_a_crypto_line(variant):
    assert run(program(*SDES, variant), 'full') == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_redundancy_beside_a_static_payload_type(variant):
    assert run(program(*NEGOTIATION, variant), 'redundancy') == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_payload_type_range(variant):
    assert run(program(*NEGOTIATION, variant), 'payload_type_range') == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('case', ['numbers', 'unknown_codec'])
def test_sdp_values(variant, case):
    assert run(program(*VALUES, variant), case) == 'ok'
