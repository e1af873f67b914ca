"""The end of a dialog, its tag, and the sequence of its requests (patches 74, 86, 96)."""

from __future__ import annotations

import pytest

from tests.native.hardening.programs import VARIANTS, program, run
from tests.support.engine import Seen
from tests.support.sip_calls import Incoming
from tests.support.sip_peer import UDPPeer


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_dialog_is_destroyed_once(variant: str) -> None:
    assert run(program('dialog_end', ('pjsip/src/pjsip/sip_dialog.c',), variant)) == 'ok'


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_tag_may_have_any_hash_value(variant: str) -> None:
    assert run(program('dialog_tag', ('pjsip/src/pjsip/sip_ua_layer.c',), variant)) == 'ok'


@pytest.mark.parametrize('number', [2**31 - 1, 1], ids=['far higher', 'late'])
def test_an_ack_does_not_count_in_the_sequence(peer: UDPPeer, seen: Seen, number: int) -> None:
    """RFC 3261 section 12.2.2."""
    call = Incoming(peer, seen).connect()
    for method, cseq in (('OPTIONS', 5), ('ACK', number), ('OPTIONS', 4), ('OPTIONS', 6)):
        peer.send(call.in_dialog(method, cseq))
        if method != 'ACK':
            assert peer.receive().code == (500 if cseq == 4 else 200), (method, cseq)
    peer.send(call.in_dialog('BYE', 7))
    assert peer.expect(200)
    call.state('disconnected')
