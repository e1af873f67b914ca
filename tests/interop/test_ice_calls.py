"""ICE between two processes of ours: each kind of candidate is the one that works, through a real coturn; audio in both directions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sipsimple.core import SDPMediaStream, SDPSession
from tests.interop.ice_support import SDK_PORTS, Process, behind, call, nat_library, says, sdk
from tests.native.audio_support import eventually
from tests.support.lab import Lab, lab_fixture

__all__ = ['nat_library']
pytestmark = pytest.mark.interop

turn_lab = lab_fixture('turn')

STATES = ['GATHERING', 'GATHERING_COMPLETE', 'NEGOTIATION_START', 'NEGOTIATING', 'RUNNING']


def stun(lab: Lab) -> dict[str, Any]:
    return {'stun_server_list': [f'127.0.0.1:{lab.port("TURN")}']}


def turn(lab: Lab, transport: str = 'udp', user: str = 'alice') -> dict[str, Any]:
    port = lab.port('TURNS' if transport == 'tls' else 'TURN')
    return {'turn_server': f'127.0.0.1:{port};transport={transport}', 'turn_username': user, 'turn_password': f'{user}-pw'}


def facts(side: Process) -> dict[str, Any]:
    side.do('facts')
    return side.wait('facts')


def check_call(alice: Process, bob: Process, tmp_path: Path, types: tuple[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Audio goes both ways, and both say the truth about the candidates in use: those of alice's and of bob's side. Returns what they say."""
    heard = says(alice, bob, tmp_path / 'bob-heard.wav', 800), says(bob, alice, tmp_path / 'alice-heard.wav', 1200)
    told = facts(alice), facts(bob)
    assert min(heard) > 0.9, (heard, told, alice.all('ice_done'), bob.all('ice_done'))
    for fact, expected in zip(told, (types, types[::-1]), strict=True):
        assert fact['ice_active']
        assert (fact['local_rtp_candidate_type'], fact['remote_rtp_candidate_type']) == expected
        assert fact['statistics']['rx']['packets'] > 50 and fact['statistics']['rx']['packets_lost'] == 0
    a, b = told
    assert (a['remote_rtp_address'], a['remote_rtp_port']) == (b['local_rtp_address'], b['local_rtp_port'])
    assert (b['remote_rtp_address'], b['remote_rtp_port']) == (a['local_rtp_address'], a['local_rtp_port'])
    for side, fact in ((alice, a), (bob, b)):
        check_notifications(side, fact)
    return told


def check_notifications(side: Process, fact: dict[str, Any]) -> None:
    states = side.all('ice_state')
    assert [event['state'] for event in states] == STATES
    assert [event['previous'] for event in states] == ['NULL', *STATES[:-1]]
    [done] = side.all('ice_done')
    assert 0 < done['duration'] < 30
    chosen = done['valid_pairs']
    assert [pair['local']['component'] for pair in chosen] == ['RTP', 'RTCP']
    assert all(pair['state'] == 'SUCCEEDED' and pair['nominated'] for pair in chosen)
    local, remote = chosen[0]['local'], chosen[0]['remote']
    assert (local['type'], remote['type']) == (fact['local_rtp_candidate_type'], fact['remote_rtp_candidate_type'])
    assert (local['address'], local['port']) == (fact['local_rtp_address'], fact['local_rtp_port'])
    assert (remote['address'], remote['port']) == (fact['remote_rtp_address'], fact['remote_rtp_port'])
    assert local in done['local_candidates'] and remote in done['remote_candidates']
    assert all(pair in done['valid_list'] for pair in chosen)


def offered(side: Process) -> list[str]:
    """The types of the candidates for RTP in what the side sent first."""
    body = next(event['message'] for event in side.all('sip') if not event['received'] and '\r\n\r\nv=0' in event['message']).partition('\r\n\r\n')[2]
    media = SDPSession.parse(body.encode()).media[0]
    assert media is not None
    return [value.split()[7] for value in media.attributes.getall('candidate') if value.split()[1] == '1']


def descriptions(side: Process) -> list[tuple[str, SDPMediaStream, str]]:
    """What a side has sent of its media so far: kind of message ('INVITE', '200'), the line, and the address that counts for it."""
    found = []
    for event in side.all('sip'):
        head, _, body = event['message'].partition('\r\n\r\n')
        if not event['received'] and body.startswith('v=0'):
            sdp = SDPSession.parse(body.encode())
            media = sdp.media[0]
            words = head.split()
            found.append((words[1] if words[0] == 'SIP/2.0' else words[0], media, (media.connection or sdp.connection).address))
    return found


def credentials(media: SDPMediaStream) -> list[str]:
    return [media.attributes.getfirst(name) for name in ('ice-ufrag', 'ice-pwd')]


def check_chosen(media: SDPMediaStream, address: str, fact: dict[str, Any], controlling: bool) -> None:
    """RFC 8839 section 4.4.1: the line has what the side has chosen, and nothing else, as its default and as its candidates; an offer of the controlling side
    names those of the other side as well, and nothing else does."""
    assert (address, media.port) == (fact['local_rtp_address'], fact['local_rtp_port'])
    candidates = {words[1]: words for words in (value.split() for value in media.attributes.getall('candidate'))}
    assert sorted(candidates) == ['1', '2'] and len(media.attributes.getall('candidate')) == 2
    assert candidates['1'][4:6] == [fact['local_rtp_address'], str(fact['local_rtp_port'])]
    remote = [value.split() for value in media.attributes.getall('remote-candidates')]
    if controlling:
        assert [words[:3] for words in remote] == [['1', fact['remote_rtp_address'], str(fact['remote_rtp_port'])]]
    else:
        assert remote == []


@pytest.mark.parametrize('relays', ['caller', 'callee', 'both', 'nobody'])
def test_the_chosen_candidates_are_told(tmp_path: Path, turn_lab: Lab, relays: str) -> None:
    """Who has a relay names it as the default, and then a better pair is found: the offerer, who is the controlling side, sends a second INVITE for that, and
    no other. Later offers of either side have it as well, and do not begin ICE anew.

    Which pair it is may be another one at either end: with aggressive nomination each takes the first that is nominated, and host and relay both work here.
    """
    with (sdk('alice', turn(turn_lab) if relays in ('caller', 'both') else {}) as alice,
          sdk('bob', turn(turn_lab, user='bob') if relays in ('callee', 'both') else {}) as bob, call(alice, bob)):
        def check_sound() -> None:
            heard = says(alice, bob, tmp_path / 'bob-heard.wav', 800), says(bob, alice, tmp_path / 'alice-heard.wav', 1200)
            assert min(heard) > 0.9, (heard, facts(alice), facts(bob))
        check_sound()
        told = facts(alice), facts(bob)
        assert told[0]['ice_active'] and told[1]['ice_active']
        sent, answered = descriptions(alice), descriptions(bob)
        (_, offer, offered_at), (_, answer, answered_at) = sent[0], answered[0]
        again = ((offered_at, offer.port) != (told[0]['local_rtp_address'], told[0]['local_rtp_port'])
                 or (answered_at, answer.port) != (told[0]['remote_rtp_address'], told[0]['remote_rtp_port']))
        assert again or relays != 'caller' or told[0]['local_rtp_candidate_type'] != 'HOST'
        assert not again or relays != 'nobody'
        assert [kind for kind, _, _ in sent] == ['INVITE'] * (1 + again) and [kind for kind, _, _ in answered] == ['200'] * (1 + again)
        if again:
            check_chosen(*sent[-1][1:], told[0], True)
            check_chosen(*answered[-1][1:], told[1], False)
        for side, other in ((bob, alice), (alice, bob)):
            for wish in (True, False):
                side.do('hold', wish=wish)
                side.wait('held', by='local', wish=wish)
                other.wait('held', by='remote', wish=wish)
        check_sound()
        after = facts(alice), facts(bob)
        assert [(fact['local_rtp_port'], fact['remote_rtp_port']) for fact in after] == [(fact['local_rtp_port'], fact['remote_rtp_port']) for fact in told]
        for side, fact, is_controlling in ((alice, told[0], True), (bob, told[1], False)):
            said = descriptions(side)
            assert [kind for kind, _, _ in said].count('INVITE') == 2 + (1 + again) * is_controlling
            assert {tuple(credentials(media)) for _, media, _ in said} == {tuple(credentials(said[0][1]))}
            assert [event['state'] for event in side.all('ice_state')] == STATES
            for kind, media, address in said[1 + again:]:
                check_chosen(media, address, fact, is_controlling and kind == 'INVITE')


def test_host(tmp_path: Path) -> None:
    with sdk('alice') as alice, sdk('bob') as bob, call(alice, bob):
        check_call(alice, bob, tmp_path, ('HOST', 'HOST'))
        assert offered(alice) == offered(bob) == ['host']


def test_server_reflexive(tmp_path: Path, turn_lab: Lab, nat_library: Path) -> None:
    """Both are behind NATs, and their own addresses lead nowhere."""
    with (sdk('alice', stun(turn_lab), behind(nat_library, SDK_PORTS, outside='127.0.0.2')) as alice,
          sdk('bob', stun(turn_lab), behind(nat_library, SDK_PORTS, outside='127.0.0.3')) as bob, call(alice, bob)):
        a, b = check_call(alice, bob, tmp_path, ('SRFLX', 'SRFLX'))
        assert a['local_rtp_address'] == '127.0.0.2' and b['local_rtp_address'] == '127.0.0.3'
        assert sorted(offered(alice)) == sorted(offered(bob)) == ['host', 'srflx']


@pytest.mark.parametrize('transport', ['udp', 'tcp', 'tls'])
def test_relayed(tmp_path: Path, turn_lab: Lab, nat_library: Path, transport: str) -> None:
    """Both are behind firewalls: only their relays, reached in three ways, reach each other."""
    firewall = behind(nat_library, SDK_PORTS, block=turn_lab.port('TURN'))
    with (sdk('alice', {**stun(turn_lab), **turn(turn_lab, transport)}, firewall) as alice,
          sdk('bob', {**stun(turn_lab), **turn(turn_lab, transport, 'bob')}, firewall) as bob, call(alice, bob)):
        told = check_call(alice, bob, tmp_path, ('RELAY', 'RELAY'))
        assert sorted(offered(alice)) == sorted(offered(bob)) == ['host', 'relay']
        for fact in told:
            assert 23000 <= fact['local_rtp_port'] < 30000


def test_relay_on_one_side(tmp_path: Path, turn_lab: Lab, nat_library: Path) -> None:
    firewall = behind(nat_library, SDK_PORTS, block=turn_lab.port('TURN'))
    with sdk('alice', turn(turn_lab), firewall) as alice, sdk('bob') as bob, call(alice, bob):
        check_call(alice, bob, tmp_path, ('RELAY', 'HOST'))


def test_srtp_over_relays_and_hold(tmp_path: Path, turn_lab: Lab, nat_library: Path) -> None:
    """A re-INVITE neither starts ICE anew nor moves the media."""
    firewall = behind(nat_library, SDK_PORTS, block=turn_lab.port('TURN'))
    with (sdk('alice', turn(turn_lab), firewall, srtp='mandatory', codecs=['opus']) as alice,
          sdk('bob', turn(turn_lab), firewall, srtp='mandatory', codecs=['opus']) as bob, call(alice, bob)):
        before = check_call(alice, bob, tmp_path, ('RELAY', 'RELAY'))
        assert all(fact['srtp_active'] and fact['codec'] == 'opus' for fact in before)
        for wish in (True, False):
            bob.do('hold', wish=wish)
            bob.wait('held', by='local', wish=wish)
            alice.wait('held', by='remote', wish=wish)
        after = check_call(alice, bob, tmp_path, ('RELAY', 'RELAY'))
        for one, other in zip(before, after, strict=True):
            assert one['local_rtp_port'] == other['local_rtp_port'] and one['remote_rtp_port'] == other['remote_rtp_port']


def test_relays_are_given_back(tmp_path: Path, turn_lab: Lab) -> None:
    with sdk('alice', turn(turn_lab)) as alice, sdk('bob', turn(turn_lab)) as bob, call(alice, bob):
        assert facts(alice)['local_rtp_candidate_type'] == 'HOST'          # both can reach each other, so the relays idle
        made = turn_lab.log('turn').count('ALLOCATE processed, success')
    assert made >= 4
    assert eventually(lambda: len(re.findall('refreshed, .*lifetime=0', turn_lab.log('turn'))) >= 4), turn_lab.log('turn')


def test_refused_relay(tmp_path: Path, turn_lab: Lab) -> None:
    """A TURN server that does not like our password costs the relay, not the call."""
    nat = {**turn(turn_lab), 'turn_password': 'wrong'}
    with sdk('alice', nat) as alice, sdk('bob') as bob, call(alice, bob):
        check_call(alice, bob, tmp_path, ('HOST', 'HOST'))
        assert offered(alice) == ['host']


def test_servers_by_name(tmp_path: Path, nat_library: Path) -> None:
    """Alice's relay is that of a domain (SRV), bob's STUN servers are those of the domain of his account."""
    with Lab('dns', 'turn') as lab:
        names = {'nameservers': lab.nameservers}
        with (sdk('alice', {'turn_server': 'lab.test', 'turn_username': 'alice', 'turn_password': 'alice-pw'},
                  behind(nat_library, SDK_PORTS, block=lab.port('TURN')), **names) as alice,
              sdk('bob', environment=behind(nat_library, SDK_PORTS, outside='127.0.0.3'), **names) as bob, call(alice, bob)):
            check_call(alice, bob, tmp_path, ('RELAY', 'SRFLX'))


def test_no_way_at_all(nat_library: Path) -> None:
    """ICE fails; the call goes on, to the addresses of the descriptions."""
    firewall = behind(nat_library, SDK_PORTS, block=9)
    with sdk('alice', environment=firewall) as alice, sdk('bob', environment=firewall) as bob, call(alice, bob):
        for side in (alice, bob):
            [failure] = side.all('ice_failed')
            assert failure['reason']
            assert side.all('ice_state')[-1]['state'] == 'FAILED' and not side.all('ice_done')
            fact = facts(side)
            assert not fact['ice_active'] and fact['local_rtp_candidate_type'] is None
            assert (fact['remote_rtp_address'], fact['remote_rtp_port']) == (fact['remote_rtp_address_sdp'], fact['remote_rtp_port_sdp'])


def test_peer_without_ice(tmp_path: Path, turn_lab: Lab) -> None:
    """With a relay to offer, the description has the relay's address: such a peer sends there."""
    with sdk('alice', turn(turn_lab)) as alice, sdk('bob', {'use_ice': False}) as bob, call(alice, bob):
        assert says(bob, alice, tmp_path / 'alice-heard.wav', 1200) > 0.9
        assert says(alice, bob, tmp_path / 'bob-heard.wav', 800) > 0.9
        a, b = facts(alice), facts(bob)
        assert not a['ice_active'] and not b['ice_active']
        assert not alice.all('ice_done') and not alice.all('ice_failed')
        assert b['remote_rtp_port_sdp'] == a['local_rtp_port']
