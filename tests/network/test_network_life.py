"""The network changes under an application that is registered and in a call: everything comes back by itself."""

from __future__ import annotations

import re
import shutil
from array import array
from pathlib import Path

import pytest

from sipsimple.demo import sound
from tests.network.conftest import CLIENT, ELSEWHERE, SERVER, Rig, until
from tests.support import rtp_packets
from tests.support.programs import environment
from tests.support.require import SEARCH_PATH, require
from tests.support.sdk import SDK

ALICE, BOB = 'alice@lab.test', 'bob@lab.test'


def call(caller: SDK, callee: SDK, name: str) -> None:
    """Set up a call; it is 'call' at the caller and 'in1' at the callee."""
    callee.do('answer', steps=['accept'])
    caller.do('connect', session='call', account=f'{caller.name}@lab.test', uri=f'sip:{name}@lab.test', route=[SERVER, 5060, caller.transport])
    caller.wait('SIPSessionDidStart', 'call', unless='SIPSessionDidFail')
    callee.wait('SIPSessionDidStart', 'in1', unless='SIPSessionDidFail')


def hears(sdk: SDK, session: str) -> None:
    """Wait until packets of the peer's media come that were not there before."""
    def received() -> int:
        count: int = sdk.do('evaluate', expression=f'agent.find("{session}").streams[0].statistics["rx"]["packets"]')
        return count
    before = received()
    until(lambda: received() > before + 10, f'{sdk.name} hears nothing of {session}')


def header(message: str, name: str) -> str:
    found = re.search(rf'^{name}: *(.*?)\r?$', message, re.MULTILINE)
    assert found is not None, (name, message)
    return found[1]


def requests(sdk: SDK, method: str, received: bool) -> list[str]:
    return [message for message in sdk.messages(received) if message.startswith(f'{method} ')]


@pytest.mark.parametrize('caller', ['alice', 'bob'])
@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_another_address(rig: Rig, transport: str, caller: str) -> None:
    """Alice's address is another one: she registers it, the call goes on there, and Bob can still end it."""
    alice, bob = rig.user('alice', rig.client, transport), rig.user('bob', rig.server, transport)
    alice.transport = bob.transport = transport
    first, second = (alice, bob) if caller == 'alice' else (bob, alice)
    call(first, second, second.name)
    mine, yours = ('call', 'in1') if caller == 'alice' else ('in1', 'call')
    hears(bob, yours)
    alice.mark()
    bob.mark()
    rig.move()
    change = alice.wait('SystemIPAddressDidChange', new_ip_address=ELSEWHERE)
    assert change.old_ip_address in (CLIENT, None)
    assert 'ip' in alice.wait('NetworkConditionsDidChange').changed
    registered = alice.wait('SIPAccountRegistrationDidSucceed', ALICE)
    assert ELSEWHERE in registered.contact_header and [ELSEWHERE in contact for contact in registered.contact_header_list] == [True]
    done = alice.wait('SIPSessionDidProcessTransaction', mine, originator='local', method='INVITE', unless='SIPSessionDidEnd')
    assert done.code == 200
    invite = requests(alice, 'INVITE', received=False)[-1]
    assert ELSEWHERE in header(invite, 'Via') and ELSEWHERE in header(invite, 'Contact') and CLIENT not in header(invite, 'Contact')
    assert f'c=IN IP4 {ELSEWHERE}' in invite and re.search(rf'^o=.* {CLIENT}\r?$', invite, re.MULTILINE)
    assert CLIENT not in invite.partition('c=IN')[2]
    bob.wait('SIPSessionDidProcessTransaction', yours, originator='remote', method='INVITE', code=200)
    alice.do('wait_for', target=f'{mine}/streams.0', name='local_rtp_address', value=ELSEWHERE)
    bob.do('wait_for', target=f'{yours}/streams.0', name='remote_rtp_address_sdp', value=ELSEWHERE)
    hears(bob, yours)
    hears(alice, mine)
    bob.call(yours, 'end')
    assert alice.wait('SIPSessionDidEnd', mine).originator == 'remote'
    assert bob.wait('SIPSessionDidProcessTransaction', yours, method='BYE').code == 200
    assert not alice.events('SIPSessionHadProposalFailure') and not alice.events('SIPAccountRegistrationDidNotEnd')


@pytest.mark.parametrize('transport', ['tcp'])
def test_the_interface_is_lost_and_comes_back(rig: Rig, transport: str) -> None:
    """Without an interface nothing works, and the call waits; with the same address again it goes on, and nobody had to be told of anything."""
    alice, bob = rig.user('alice', rig.client, transport), rig.user('bob', rig.server, transport)
    alice.transport = transport
    call(alice, bob, 'bob')
    alice.mark()
    rig.client.set_link(False)
    assert alice.wait('SystemIPAddressDidChange').new_ip_address is None
    assert alice.wait('NetworkConditionsDidChange').changed == ['ip']
    alice.wait('SIPAccountRegistrationDidFail', ALICE)
    assert alice.get('call', 'state') == 'connected'
    alice.mark()
    rig.client.set_link(True)
    rig.client.ip('route', 'replace', 'default', 'via', SERVER, 'dev', 'eth0')
    assert alice.wait('SystemIPAddressDidChange').new_ip_address == CLIENT
    alice.wait('SIPAccountRegistrationDidSucceed', ALICE)
    hears(bob, 'in1')
    hears(alice, 'call')
    assert not requests(alice, 'INVITE', received=False)
    bob.call('in1', 'end')
    alice.wait('SIPSessionDidEnd', 'call', originator='remote')


def test_another_network_after_none(rig: Rig) -> None:
    """The interface is lost for longer than everything settles; what comes back is another network. The call goes on there."""
    alice, bob = rig.user('alice', rig.client), rig.user('bob', rig.server)
    alice.transport = 'udp'
    call(alice, bob, 'bob')
    alice.mark()
    rig.client.delete_address(f'{CLIENT}/24')
    alice.wait('SIPAccountRegistrationDidFail', ALICE)
    rig.client.add_address(f'{ELSEWHERE}/24', gateway=SERVER)
    alice.wait('SIPAccountRegistrationDidSucceed', ALICE)
    alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE', code=200, unless='SIPSessionDidEnd')
    hears(bob, 'in1')
    alice.call('call', 'end')
    alice.wait('SIPSessionDidEnd', 'call')
    bob.wait('SIPSessionDidEnd', 'in1', originator='remote')


def test_nobody_is_there_at_the_new_address(rig: Rig) -> None:
    """The new network leads nowhere: the call ends, and says why."""
    alice, bob = rig.user('alice', rig.client), rig.user('bob', rig.server)
    alice.transport = 'udp'
    call(alice, bob, 'bob')
    alice.do('evaluate', expression='importlib.import_module("sipsimple.core._endpoint").set_sip_timers(100, 400, 500, 2000)')
    alice.mark()
    rig.client.delete_address(f'{CLIENT}/24')
    rig.client.add_address('10.99.0.2/24', gateway='10.99.0.1')
    ended = alice.wait('SIPSessionDidEnd', 'call')
    assert (ended.originator, ended.end_reason) == ('local', 'the peer cannot be told of our new address: 408 Request Timeout')
    assert alice.wait('SIPAccountRegistrationDidFail', ALICE).error == 'Request timeout'


def wake_up(sdk: SDK) -> None:
    """Let an application believe that the system has slept."""
    sdk.do('evaluate', expression='importlib.import_module("sipsimple.application.watch").__dict__.update(time_asleep=lambda: 1e6)')
    sdk.do('evaluate', expression='importlib.import_module("sipsimple.threading").call_in_twisted_thread(lambda: [each.clock_jumped() '
                                  'for each in SIPApplication()._network._watches if hasattr(each, "clock_jumped")])')
    sdk.wait('SystemDidWakeUpFromSleep')


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_waking_up(rig: Rig, transport: str) -> None:
    """The system has slept: connections are made anew, and everybody registers. What the kernel tells is played, as nobody may put the machine to sleep."""
    alice, bob = rig.user('alice', rig.client, transport), rig.user('bob', rig.server, transport)
    alice.transport = transport
    call(alice, bob, 'bob')
    alice.mark()
    wake_up(alice)
    assert alice.wait('NetworkConditionsDidChange').changed == []
    if transport == 'tcp':
        alice.wait('SIPEngineTransportDidDisconnect', transport='tcp', remote_address=f'{SERVER}:5060')
    alice.wait('SIPAccountRegistrationDidSucceed', ALICE)
    if transport == 'tcp':              # the dialog has to be moved onto the new connection
        alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE', code=200)
    bob.call('in1', 'end')
    alice.wait('SIPSessionDidEnd', 'call', originator='remote')


def test_the_registrar_starts_anew_during_a_call(rig: Rig) -> None:
    """Kamailio is killed and started again. By TCP it reaches Alice over her connection only: she registers, and moves the dialog onto the new one."""
    alice, bob = rig.user('alice', rig.client, 'tcp'), rig.user('bob', rig.server, 'udp')
    alice.transport = 'tcp'
    call(alice, bob, 'bob')
    alice.mark()
    rig.kamailio.kill()
    alice.wait('SIPEngineTransportDidDisconnect', transport='tcp')
    alice.wait('SIPAccountRegistrationDidFail', ALICE)
    rig.kamailio.start()
    alice.wait('SIPAccountRegistrationDidSucceed', ALICE, timeout=90)
    alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE', code=200)
    hears(bob, 'in1')
    bob.call('in1', 'end')
    alice.wait('SIPSessionDidEnd', 'call', originator='remote')
    assert bob.wait('SIPSessionDidProcessTransaction', 'in1', method='BYE').code == 200


def test_other_name_servers(rig: Rig) -> None:
    """The list of name servers changes: those that answer are asked at once, also by an account that waits in vain for the others."""
    require('dnsmasq')
    rig.client.write('resolv.conf', 'nameserver 10.20.0.9\noptions timeout:1 attempts:1\n')
    alice = rig.sdk('alice', rig.client, system_nameservers=True)
    assert alice.do('evaluate', expression='DNSManager().nameservers') == ['10.20.0.9']
    alice.account(ALICE, {'enabled': True})
    alice.wait('SIPAccountWillRegister', ALICE)
    with open(rig.folder / 'dnsmasq.log', 'wb') as log:
        server = rig.server.popen(shutil.which('dnsmasq', path=SEARCH_PATH) or 'dnsmasq', '--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null',
                                  '--pid-file', '--user=root', f'--listen-address={SERVER}', '--bind-interfaces', f'--address=/lab.test/{SERVER}',
                                  '--log-facility=-', stdout=log, stderr=log, env=environment())
    try:
        rig.client.write('resolv.conf', f'nameserver {SERVER}\n')
        assert alice.wait('DNSNameserversDidChange').nameservers == [SERVER]
        assert alice.wait('NetworkConditionsDidChange').changed == ['dns']
        alice.wait('SIPAccountRegistrationDidSucceed', ALICE, timeout=90)
    finally:
        server.kill()
        server.wait()


def test_another_address_while_it_rings(rig: Rig) -> None:
    """An answer to Alice's call would not find her any more: she gives it up. A call that rings at hers can be answered."""
    alice, bob = rig.user('alice', rig.client), rig.user('bob', rig.server)
    for sdk in (alice, bob):
        sdk.do('answer', steps=['send_ring_indication'])
    for caller, callee, session in ((alice, 'bob', 'out'), (bob, 'alice', 'call')):
        caller.do('connect', session=session, account=f'{caller.name}@lab.test', uri=f'sip:{callee}@lab.test', route=[SERVER, 5060, 'udp'])
        caller.wait('SIPSessionGotRingIndication', session)
    rig.move()
    failed = alice.wait('SIPSessionDidFail', 'out')
    assert (failed.originator, failed.failure_reason) == ('local', 'our address changed before the call was answered')
    assert bob.wait('SIPSessionDidFail', 'in1').code == 487
    alice.wait('NetworkConditionsDidChange')
    alice.do('accept', session='in1')
    alice.wait('SIPSessionDidStart', 'in1', unless='SIPSessionDidFail')
    bob.wait('SIPSessionDidStart', 'call', unless='SIPSessionDidFail')
    hears(bob, 'call')
    hears(alice, 'in1')
    bob.call('call', 'end')
    alice.wait('SIPSessionDidEnd', 'in1', originator='remote')


ENCRYPTED = {'rtp.encryption.enabled': True}
KEYS = {None: {'rtp.encryption.enabled': False}, 'SRTP/SDES': {**ENCRYPTED, 'rtp.encryption.key_negotiation': 'sdes_mandatory'},
        'SRTP/DTLS': {**ENCRYPTED, 'rtp.encryption.key_negotiation': 'dtls_mandatory'}}


def credentials(messages: list[str]) -> set[str]:
    """The user fragments of ICE and the keys of SDES and DTLS in messages."""
    return {line for message in messages for line in re.findall(r'a=(?:ice-ufrag|crypto|tls-id):.*', message)}


def play(sdk: SDK, session: str, folder: Path) -> None:
    """Play something to the peer, until the end."""
    path = folder / 'tone.wav'
    sound.write_wave(path, 8000, array('h', rtp_packets.tone(440, 1)))
    sdk.do('play', player='tone', session=session, filename=str(path), loop_count=0)


def sounds(sdk: SDK, session: str) -> None:
    """Wait until there is sound in what comes from the peer."""
    until(lambda: sdk.get(f'{session}/streams.0', 'signal_level')[1] > 20, f'{sdk.name} hears no sound in {session}')


def restarted(sdk: SDK, session: str) -> None:
    """Wait until a stream has told that ICE began anew and found a way, and that it is in use."""
    for state in ('NEGOTIATION_START', 'NEGOTIATING', 'RUNNING'):
        sdk.wait('AudioStreamICENegotiationStateDidChange', session, state=state, unless='AudioStreamICENegotiationDidFail')
    assert sdk.wait('AudioStreamICENegotiationDidSucceed', session).valid_pairs
    sdk.do('wait_for', target=f'{session}/streams.0', name='ice_active', value=True)


@pytest.mark.parametrize('mover, encryption', [('caller', None), ('callee', 'SRTP/SDES'), ('caller', 'SRTP/DTLS')])
def test_another_address_with_ice(rig: Rig, mover: str, encryption: str | None) -> None:
    """What ICE has found is not true any more: it begins anew with candidates of the new address, other credentials and other keys."""
    both = {'nat_traversal.use_ice': True, **KEYS[encryption]}
    alice, bob = rig.user('alice', rig.client, **both), rig.user('bob', rig.server, **both)
    alice.transport = bob.transport = 'udp'
    first, second = (alice, bob) if mover == 'caller' else (bob, alice)
    call(first, second, second.name)
    mine, yours = ('call', 'in1') if mover == 'caller' else ('in1', 'call')
    ends = (alice, mine), (bob, yours)
    for sdk, session in ends:
        sdk.do('wait_for', target=f'{session}/streams.0', name='ice_active', value=True)
        sdk.do('wait_for', target=f'{session}/streams.0', name='encryption.type', value=encryption)
    for sdk, session in ends:
        play(sdk, session, rig.folder)
    for sdk, session in ends:
        sounds(sdk, session)
    told = credentials(alice.messages())
    alice.mark()
    bob.mark()
    rig.move()
    alice.wait('SIPSessionDidProcessTransaction', mine, originator='local', method='INVITE', code=200, unless='SIPSessionDidEnd')
    invite = requests(alice, 'INVITE', received=False)[-1]
    assert f'{ELSEWHERE} ' in invite.partition('a=candidate')[2] and CLIENT not in invite.partition('c=IN')[2]
    answer = next(message for message in alice.messages(received=True) if message.startswith('SIP/2.0 200') and 'm=audio' in message)
    fresh = credentials([invite, answer])
    assert len(fresh) >= 2 and not told & fresh
    for sdk, session in ends:
        restarted(sdk, session)
        sdk.do('wait_for', target=f'{session}/streams.0', name='encryption.type', value=encryption)
    assert alice.get(f'{mine}/streams.0', 'local_rtp_address') == ELSEWHERE == bob.get(f'{yours}/streams.0', 'remote_rtp_address')
    for sdk, session in ends:
        sounds(sdk, session)
    alice.mark()
    alice.call(mine, 'hold')
    alice.wait('SIPSessionDidChangeHoldState', mine, on_hold=True)
    hold = requests(alice, 'INVITE', received=False)[-1]
    assert CLIENT not in hold.partition('c=IN')[2] and 'a=candidate' in hold
    assert {line for line in credentials([hold]) if 'crypto' not in line} <= fresh          # nothing begins anew for that
    alice.call(mine, 'end')
    bob.wait('SIPSessionDidEnd', yours, originator='remote')
    assert not alice.events('MediaStreamDidFail') and not bob.events('MediaStreamDidFail')


def ice_call(rig: Rig) -> tuple[SDK, SDK]:
    """Alice calls Bob, and both have found a way by ICE."""
    alice, bob = (rig.user(name, host, **{'nat_traversal.use_ice': True}) for name, host in (('alice', rig.client), ('bob', rig.server)))
    alice.transport = bob.transport = 'udp'
    call(alice, bob, 'bob')
    for sdk, session in ((alice, 'call'), (bob, 'in1')):
        sdk.do('wait_for', target=f'{session}/streams.0', name='ice_active', value=True)
    alice.mark()
    bob.mark()
    return alice, bob


def refuse_candidates(sdk: SDK) -> None:
    """Answer offers with candidates with 488 from now on."""
    sdk.do('evaluate', expression='setattr(AudioStream, "validate_update", lambda self, sdp, index: not sdp.media[index].has_ice_candidates)')


def test_a_peer_that_refuses_other_candidates(rig: Rig) -> None:
    """The call goes on at the new address without ICE, on the sockets it had."""
    alice, bob = ice_call(rig)
    ports = [sdk.get(f'{session}/streams.0', 'local_rtp_port') for sdk, session in ((alice, 'call'), (bob, 'in1'))]
    refuse_candidates(bob)
    rig.move()
    assert alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE', unless='SIPSessionDidEnd').code == 488
    alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE', code=200, unless='SIPSessionDidEnd')
    for sdk, session in ((alice, 'call'), (bob, 'in1')):
        sdk.do('wait_for', target=f'{session}/streams.0', name='ice_active', value=False)
    assert ports == [sdk.get(f'{session}/streams.0', 'local_rtp_port') for sdk, session in ((alice, 'call'), (bob, 'in1'))]
    assert alice.get('call/streams.0', 'local_rtp_address') == ELSEWHERE == bob.get('in1/streams.0', 'remote_rtp_address')
    hears(bob, 'in1')
    hears(alice, 'call')
    alice.call('call', 'end')
    bob.wait('SIPSessionDidEnd', 'in1', originator='remote')


@pytest.mark.parametrize('refused', [False, True])
def test_the_peer_begins_ice_anew_by_update(rig: Rig, refused: bool) -> None:
    """The answer, which the core has to give at once, has our old credentials; a re-INVITE brings the new ones. If that is refused, all stays as it was."""
    alice, bob = ice_call(rig)
    if refused:
        refuse_candidates(bob)
    port = alice.get('call/streams.0', 'local_rtp_port')
    bob.do('evaluate', expression='[agent.find("in1")._invitation.send_update(sdp=sdp) for sdp in [__import__("sipsimple.core").core.SDPSession.parse(__import__("re").sub('
                                  '"ice-ufrag:.*", "ice-ufrag:another", str(agent.find("in1")._local_sdp)))]] and None')
    done = alice.wait('SIPSessionDidProcessTransaction', 'call', originator='local', method='INVITE', unless='SIPSessionDidEnd')
    assert done.code == (488 if refused else 200)
    if refused:
        alice.wait('SIPSessionDidProcessTransaction', 'call', method='INVITE')
    else:
        for sdk, session in ((alice, 'call'), (bob, 'in1')):
            restarted(sdk, session)
    assert (alice.get('call/streams.0', 'local_rtp_port') == port) is refused
    hears(bob, 'in1')
    hears(alice, 'call')
    alice.call('call', 'end')
    bob.wait('SIPSessionDidEnd', 'in1', originator='remote')
