"""Two hosts that reach the server, and not each other: media go through coturn there."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import ELSEWHERE, LIMIT, SERVER, Rig, until
from tests.network.test_network_life import call, hears, restarted, wake_up
from tests.support.namespaces import Network, require_namespaces
from tests.support.require import SEARCH_PATH, require
from tests.support.sdk import SDK

FAR, GATEWAY = '10.21.0.2', '10.21.0.1'
PORT, USER, PASSWORD = 3478, 'alice', 'secret'


class Divided(Rig):
    """A Rig with one more host, `far`, on a network of its own; the server passes nothing on between the two, and has a TURN server."""

    def __init__(self, network: Network, folder: Path) -> None:
        super().__init__(network, folder)
        self.far = network.host('far')
        network.link('far', 'server', 'eth1')
        self.server.add_address(f'{GATEWAY}/24', device='eth1')
        self.far.add_address(f'{FAR}/24', gateway=GATEWAY, device='eth1')
        assert self.server.popen('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward').wait(LIMIT) == 0

    def start_relay(self) -> None:
        """Start coturn and return when it answers."""
        program = shutil.which('turnserver', path=SEARCH_PATH)
        assert program is not None
        command = [program, '-n', '--listening-ip', SERVER, '--listening-port', str(PORT), '--relay-ip', SERVER, '--lt-cred-mech', '--user', f'{USER}:{PASSWORD}',
                   '--realm', 'lab.test', '--no-tls', '--no-dtls', '--no-cli', '--pidfile', str(self.folder / 'turn.pid'),
                   '--userdb', str(self.folder / 'turn.db'), '--log-file', 'stdout', '--simple-log']
        with open(self.folder / 'turn.log', 'wb') as log:
            process = self.server.popen(*command, stdout=log, stderr=subprocess.STDOUT)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)

        def answers() -> bool:
            assert process.poll() is None, (self.folder / 'turn.log').read_text(errors='replace')[-3000:]
            with socket.socket() as probe:
                return probe.connect_ex((SERVER, PORT)) == 0
        self.server.call(lambda: until(answers, 'coturn does not answer'))


@pytest.fixture
def divided(tmp_path: Path) -> Iterator[Divided]:
    require_namespaces()
    require('kamailio')
    require('turnserver')
    with Network('client', 'server', 'far') as network:
        rig = Divided(network, tmp_path)
        with rig.stack:
            rig.kamailio.start()
            rig.start_relay()
            yield rig


def is_relayed(alice: SDK, bob: SDK, mine: str, yours: str) -> None:
    """Both ends have found the way over the server, and hear each other."""
    for sdk, session in ((alice, mine), (bob, yours)):
        sdk.do('wait_for', target=f'{session}/streams.0', name='ice_active', value=True)
    found: dict[str, Any] = alice.facts(f'{mine}/streams.0', 'local_rtp_candidate.type', 'local_rtp_candidate.address')
    assert found['local_rtp_candidate.type'] == 'RELAY' and found['local_rtp_candidate.address'].startswith(SERVER), found
    assert bob.get(f'{yours}/streams.0', 'remote_rtp_address') == SERVER
    hears(alice, mine)
    hears(bob, yours)


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_media_through_a_relay(divided: Divided, transport: str) -> None:
    """A call whose way is lost when Alice moves finds another over the relay, which knows her new address; and so does the next call."""
    alice = divided.user('alice', divided.client, **{
        'nat_traversal.use_ice': True, 'nat_traversal.turn_server': f'{SERVER}:{PORT};transport={transport}', 'nat_traversal.turn_username': USER,
        'nat_traversal.turn_password': PASSWORD})
    bob = divided.user('bob', divided.far, **{'nat_traversal.use_ice': True})
    alice.transport = bob.transport = 'udp'
    call(alice, bob, 'bob')
    is_relayed(alice, bob, 'call', 'in1')
    before = bob.get('in1/streams.0', 'remote_rtp_port')
    alice.mark()
    bob.mark()
    divided.move()
    assert ELSEWHERE in alice.wait('SIPAccountRegistrationDidSucceed', 'alice@lab.test').contact_header
    alice.wait('SIPSessionDidProcessTransaction', 'call', originator='local', method='INVITE', code=200, unless='SIPSessionDidEnd')
    for sdk, session in ((alice, 'call'), (bob, 'in1')):
        restarted(sdk, session)
    is_relayed(alice, bob, 'call', 'in1')
    assert bob.get('in1/streams.0', 'remote_rtp_port') != before            # another allocation
    wake_up(alice)                      # by now the relay might have forgotten her
    for sdk, session in ((alice, 'call'), (bob, 'in1')):
        restarted(sdk, session)
    is_relayed(alice, bob, 'call', 'in1')
    alice.call('call', 'end')
    bob.wait('SIPSessionDidEnd', 'in1', originator='remote')
    alice.do('answer', steps=['accept'])
    bob.do('connect', session='back', account='bob@lab.test', uri='sip:alice@lab.test', route=[SERVER, 5060, 'udp'])
    bob.wait('SIPSessionDidStart', 'back', unless='SIPSessionDidFail')
    alice.wait('SIPSessionDidStart', 'in1')
    is_relayed(alice, bob, 'in1', 'back')
    bob.call('back', 'end')
    alice.wait('SIPSessionDidEnd', 'in1', originator='remote')


def test_a_way_without_the_relay_is_told(divided: Divided) -> None:
    """Alice's first description names the relay, which is not needed to reach Bob: a further re-INVITE has the addresses that ICE has chosen, after a move too."""
    alice = divided.user('alice', divided.client, **{
        'nat_traversal.use_ice': True, 'nat_traversal.turn_server': f'{SERVER}:{PORT};transport=udp', 'nat_traversal.turn_username': USER,
        'nat_traversal.turn_password': PASSWORD})
    bob = divided.user('bob', divided.server, **{'nat_traversal.use_ice': True})
    alice.transport = bob.transport = 'udp'
    call(alice, bob, 'bob')
    alice.do('wait_for', target='call/streams.0', name='local_rtp_candidate_type', value='HOST')
    alice.mark()
    bob.mark()
    divided.move()
    for sdk, session in ((alice, 'call'), (bob, 'in1')):
        restarted(sdk, session)
    for _ in range(2):
        alice.wait('SIPSessionDidProcessTransaction', 'call', originator='local', method='INVITE', code=200, unless='SIPSessionDidEnd')
    first, second = [message for message in alice.messages(received=False) if message.startswith('INVITE ')]
    assert 'typ relay' in first and 'typ relay' not in second and f'c=IN IP4 {ELSEWHERE}' in second.partition('m=audio')[2]
    bob.do('wait_for', target='in1/streams.0', name='remote_rtp_address_sdp', value=ELSEWHERE)
    hears(alice, 'call')
    hears(bob, 'in1')
    alice.call('call', 'end')
    bob.wait('SIPSessionDidEnd', 'in1', originator='remote')
