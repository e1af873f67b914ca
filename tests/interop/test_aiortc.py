"""DTLS-SRTP, ICE, rtcp-mux and BUNDLE with another implementation, aiortc: offered and answered, audio in both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.ice_support import Process, free_port, says, sdk
from tests.interop.test_ice_aioice import a_call
from tests.native.audio_support import eventually
from tests.support.require import require_module

pytestmark = pytest.mark.interop

require_module('aiortc')


def peer(codec: str = 'PCMU', calls: bool = False, **configuration: Any) -> Process:
    return Process('rtc_peer.py', {'name': 'peer', 'codec': codec, 'calls': calls, 'nat': {}, **configuration})


def ours(keys: str = 'dtls_mandatory', codec: str = 'PCMU', **configuration: Any) -> Process:
    return sdk('alice', transports=['udp'], codecs=[codec], udp_port=free_port(), srtp='on', keys=keys, **configuration)


def heard_both_ways(alice: Process, other: Process, tmp_path: Path, name: str) -> None:
    assert says(alice, other, tmp_path / f'peer-heard-{name}.wav', 800) > 0.9
    assert says(other, alice, tmp_path / f'alice-heard-{name}.wav', 1200) > 0.9


def facts(process: Process) -> dict[str, Any]:
    process.do('facts')
    return process.wait('facts')


def lines(sdp: str, name: str) -> list[str]:
    return [line.removeprefix(f'a={name}').removeprefix(':') for line in sdp.splitlines() if line.startswith(f'a={name}')]


def check(alice: Process, other: Process, caller: str) -> dict[str, Any]:
    fact, theirs = facts(alice), facts(other)
    assert fact['ice_active'] and (fact['local_rtp_candidate_type'], fact['remote_rtp_candidate_type']) == ('HOST', 'HOST')
    assert fact['encryption.active'] and fact['srtp_active'] and fact['encryption.type'] == 'SRTP/DTLS'
    assert fact['encryption.cipher'] in ('AEAD_AES_128_GCM', 'AEAD_AES_256_GCM')
    assert theirs['dtls'] == 'connected' and theirs['ice'] == 'completed' and theirs['controlling'] is (caller != 'alice')
    # Who answers is the client of the handshake.
    assert theirs['dtls_role'] == ('client' if caller == 'alice' else 'server')
    assert fact['statistics']['rx']['packets_lost'] == 0
    return theirs


@pytest.mark.parametrize('caller, keys, codec', [
    ('alice', 'dtls_mandatory', 'PCMU'), ('alice', 'dtls_mandatory', 'opus'), ('aiortc', 'dtls_mandatory', 'opus'), ('aiortc', 'opportunistic', 'PCMU')])
def test_call(tmp_path: Path, caller: str, keys: str, codec: str) -> None:
    with ours(keys, codec) as alice, peer(codec, caller != 'alice') as other, a_call(alice, other, caller):
        alice.seen('encrypted')
        heard_both_ways(alice, other, tmp_path, 'first')
        theirs = check(alice, other, caller)
        if caller == 'alice':
            assert 'UDP/TLS/RTP/SAVP ' in theirs['remote_sdp'] and lines(theirs['remote_sdp'], 'setup') == ['actpass']
        else:
            assert 'UDP/TLS/RTP/SAVPF ' in theirs['remote_sdp'] and lines(theirs['remote_sdp'], 'setup') == ['active']
            assert lines(theirs['remote_sdp'], 'group') == ['BUNDLE 0'] and lines(theirs['remote_sdp'], 'mid') == ['0']
        # RTCP goes both ways over the one port (aiortc raises without a=rtcp-mux): they know what has reached us, we how long it takes.
        assert fresh_reports(alice, other)


def fresh_reports(alice: Process, other: Process) -> bool:
    return eventually(lambda: facts(alice)['statistics']['rtt']['count'] > 0 and facts(other)['reported_lost'] == 0)


@pytest.mark.parametrize('caller', ['alice', 'aiortc'])
def test_hold_keeps_the_association(tmp_path: Path, caller: str) -> None:
    with ours() as alice, peer(calls=caller != 'alice') as other, a_call(alice, other, caller):
        alice.seen('encrypted')
        before = check(alice, other, caller)
        for wish in (True, False):
            alice.do('hold', wish=wish)
            offer = other.wait('reinvite')['body']
            alice.wait('held', by='local', wish=wish)
            # The role it has, so that no peer chooses anew.
            assert lines(offer, 'setup') == ['passive' if caller == 'alice' else 'active']
            for name in ('fingerprint', 'ice-ufrag'):
                assert lines(offer, name) == lines(before['remote_sdp'], name)
            assert lines(offer, 'rtcp-mux') == ['']
        heard_both_ways(alice, other, tmp_path, 'after')
        after = check(alice, other, caller)
        assert lines(after['remote_sdp'], 'fingerprint') == lines(before['remote_sdp'], 'fingerprint')
        assert len(alice.all('encrypted')) == 1


@pytest.mark.parametrize('caller', ['alice', 'aiortc'])
def test_certificate_of_somebody_else(caller: str) -> None:
    """The SDP names another certificate than the one that comes: the call ends, says why, and nobody has heard anything."""
    with ours() as alice, peer(calls=caller != 'alice', forge=True) as other:
        alice.wait('ready')
        port = other.wait('ready')['ports']['udp']
        if caller == 'alice':
            alice.do('call', target='sip:bob@lab.test', address='127.0.0.1', port=port, transport='udp')
            other.wait('incoming')
            other.do('answer')
        else:
            other.do('call', target='sip:alice@lab.test', address='127.0.0.1', port=alice.seen('ready')['ports']['udp'], transport='udp')
            alice.wait('incoming')
            alice.do('answer')
        assert 'certificate' in alice.wait('not_encrypted')['reason']
        alice.wait('ended', originator='local')
        other.wait('ended')
        assert not alice.all('encrypted')
        assert facts(other)['packets'] == 0


@pytest.mark.parametrize('keys', ['sdes_mandatory', 'sdes_optional'])
def test_account_without_dtls_refuses(keys: str) -> None:
    with ours(keys) as alice, peer(calls=True) as other:
        other.wait('ready')
        other.do('call', target='sip:alice@lab.test', address='127.0.0.1', port=alice.wait('ready')['ports']['udp'], transport='udp')
        assert alice.wait('incoming')['streams'] == []
        alice.do('hang_up')
        other.wait('refused')
