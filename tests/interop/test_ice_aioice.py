"""ICE with another implementation, aioice: both roles, each kind of candidate, audio in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.ice_support import SDK_PORTS, Process, behind, call, free_port, nat_library, says, sdk
from tests.support.lab import Lab, lab_fixture

__all__ = ['nat_library']
pytestmark = pytest.mark.interop

pytest.importorskip('aioice', reason='aioice is not installed (it is in the "test" extra)')
turn_lab = lab_fixture('turn')

ANY_PORT = '0-0'


def peer(codec: str = 'PCMU', calls: bool = False, environment: dict[str, str] | None = None, controlling: bool | None = None, **nat: Any) -> Process:
    """A process of the other side. The NAT comes up when its SIP socket is there, so only the preloaded object is in its environment at first."""
    environment = dict(environment or {})
    preload = {name: environment.pop(name) for name in ('LD_PRELOAD',) if name in environment}
    role = {} if controlling is None else {'controlling': controlling}
    return Process('ice_peer.py', {'name': 'peer', 'codec': codec, 'calls': calls, 'nat': {**nat, 'environment': environment}, **role}, preload)


def ours(nat: dict[str, Any] | None = None, environment: dict[str, str] | None = None, codec: str = 'PCMU') -> Process:
    return sdk('alice', nat, environment, transports=['udp'], codecs=[codec], udp_port=free_port())


@contextmanager
def a_call(alice: Process, other: Process, caller: str) -> Iterator[None]:
    """One of them calls the other; the caller hangs up."""
    if caller == 'alice':
        with call(alice, other, 'udp'):
            yield
    else:
        with call(other, alice, 'udp', target='sip:alice@lab.test'):
            yield


def check(alice: Process, other: Process, caller: str, tmp_path: Path, types: tuple[str, str]) -> None:
    with a_call(alice, other, caller):
        assert says(alice, other, tmp_path / 'peer-heard.wav', 800) > 0.9
        assert says(other, alice, tmp_path / 'alice-heard.wav', 1200) > 0.9
        alice.do('facts')
        fact = alice.wait('facts')
        assert fact['ice_active'] and (fact['local_rtp_candidate_type'], fact['remote_rtp_candidate_type']) == types
        assert fact['statistics']['rx']['packets_lost'] == 0
        other.do('facts')
        theirs = other.wait('facts')
        assert theirs['controlling'] is (caller != 'alice')
        # What each takes for the other's address is what the other takes for its own.
        assert theirs['remote']['1'][1:] == [fact['local_rtp_address'], fact['local_rtp_port']]
        assert theirs['remote']['1'][0].upper() == types[0]
        assert theirs['packets'] > 50
    other.seen('media_over')            # RTCP's BYE, over the pair of its component


@pytest.mark.parametrize('caller', ['alice', 'aioice'])
@pytest.mark.parametrize('codec', ['PCMU', 'opus'])
def test_host(tmp_path: Path, caller: str, codec: str) -> None:
    with ours(codec=codec) as alice, peer(codec, caller != 'alice') as other:
        check(alice, other, caller, tmp_path, ('HOST', 'HOST'))


@pytest.mark.parametrize('caller', ['alice', 'aioice'])
def test_role_conflict(tmp_path: Path, caller: str) -> None:
    """Both take themselves for the controlling agent, or both for the controlled one: one of them gives way (RFC 8445 section 7.3.1.1)."""
    with ours() as alice, peer(calls=caller != 'alice', controlling=caller == 'alice') as other, a_call(alice, other, caller):
        assert says(alice, other, tmp_path / 'peer-heard.wav', 800) > 0.9
        assert says(other, alice, tmp_path / 'alice-heard.wav', 1200) > 0.9
        alice.do('facts')
        assert alice.wait('facts')['ice_active']


@pytest.mark.parametrize('caller', ['alice', 'aioice'])
def test_server_reflexive(tmp_path: Path, turn_lab: Lab, nat_library: Path, caller: str) -> None:
    server = ['127.0.0.1', turn_lab.port('TURN')]
    with (ours({'stun_server_list': [f'127.0.0.1:{server[1]}']}, behind(nat_library, SDK_PORTS, outside='127.0.0.2')) as alice,
          peer(calls=caller != 'alice', environment=behind(nat_library, ANY_PORT, outside='127.0.0.3'), stun=server) as other):
        check(alice, other, caller, tmp_path, ('SRFLX', 'SRFLX'))


@pytest.mark.parametrize('caller', ['alice', 'aioice'])
@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_relayed(tmp_path: Path, turn_lab: Lab, nat_library: Path, caller: str, transport: str) -> None:
    port = turn_lab.port('TURN')
    relay = {'turn_server': ['127.0.0.1', port], 'turn_username': 'bob', 'turn_password': 'bob-pw', 'turn_transport': transport}
    with (ours({'turn_server': f'127.0.0.1:{port};transport={transport}', 'turn_username': 'alice', 'turn_password': 'alice-pw'},
               behind(nat_library, SDK_PORTS, block=port)) as alice,
          peer(calls=caller != 'alice', environment=behind(nat_library, ANY_PORT, block=port), turn=relay) as other):
        check(alice, other, caller, tmp_path, ('RELAY', 'RELAY'))


@pytest.mark.parametrize('beginner', ['alice', 'aioice'])
def test_ice_begins_anew(tmp_path: Path, beginner: str) -> None:
    """By a re-INVITE with other credentials and candidates: whoever answers has others as well, and there is sound in both directions again."""
    with ours() as alice, peer(calls=beginner != 'alice') as other, a_call(alice, other, beginner):
        assert says(other, alice, tmp_path / 'first.wav', 1200) > 0.9
        before = []
        for process in (alice, other):
            process.do('facts')
            before.append(process.wait('facts'))
        (alice if beginner == 'alice' else other).do('restart')
        other.seen('restarted')
        assert says(alice, other, tmp_path / 'peer-heard.wav', 800) > 0.9
        assert says(other, alice, tmp_path / 'alice-heard.wav', 1200) > 0.9
        alice.do('facts')
        other.do('facts')
        fact, theirs = alice.wait('facts'), other.wait('facts')
        assert fact['ice_active'] and theirs['controlling'] is (beginner != 'alice')
        assert theirs['remote']['1'][1:] == [fact['local_rtp_address'], fact['local_rtp_port']]
        assert theirs['local']['1'][1:] == [fact['remote_rtp_address'], fact['remote_rtp_port']]
        assert fact['local_rtp_port'] != before[0]['local_rtp_port'] and theirs['local'] != before[1]['local']
