"""Processes that are killed at random moments of chats through Kamailio's MSRP relay: what anybody was told to be delivered is there.

The checks are those of tests/calls/test_session_kills.py, and so is the number of kills with SIPSIMPLE_FULL_LOAD=1. SIPSIMPLE_SEED repeats a run, as far as moments can be repeated.
"""

from __future__ import annotations

import pytest

from tests.calls.test_session_kills import FULL, KILLS, agents, chat, reported, seed  # noqa: F401 - fixtures
from tests.support.lab import lab_fixture

pytestmark = pytest.mark.interop
relay_lab = lab_fixture('msrp')
second_lab = lab_fixture('msrp')


@pytest.mark.parametrize('count', [1, 2], ids=['one relay', 'two relays'])
def test_chats_are_killed(relay_lab, second_lab, agents, seed, tmp_path, count):     # noqa: F811
    authorities = tmp_path / 'both.pem'
    authorities.write_bytes(b''.join((lab.certs / 'ca.pem').read_bytes() for lab in (relay_lab, second_lab)))

    def relays(side, transport):
        lab, user = (relay_lab, 'alice') if side == 'a' else (second_lab, 'bob')
        return {'model': 'relay', 'relay': ['127.0.0.1', lab.port('MSRPS' if transport == 'tls' else 'MSRP')], 'outbound': side == 'a' or count == 2,
                'username': user, 'password': f'{user}-pw', 'ca_list': str(authorities)}

    with reported(f'chats, relays: {count}') as seen:
        taken = chat(agents, seed, tmp_path, 0, None, seen, relays)
        for number in range(1, (KILLS if FULL else 2) + 1):
            chat(agents, seed, tmp_path, number, taken, seen, relays)
    assert seen['messages delivered'] >= 120
