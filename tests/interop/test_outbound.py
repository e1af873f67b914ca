"""Accounts behind a NAT, whose server reaches them by flows (RFC 5626): Kamailio as the registrar, and another one as the proxy before it."""

from __future__ import annotations

import contextlib
import itertools
import socket
from pathlib import Path

import pytest

from tests.support.kamailio import Kamailio
from tests.support.require import require
from tests.support.sdk import SDK
from tests.support.sip_peer import SIPText

pytestmark = pytest.mark.interop

NAMES = ('alice@outbound.test', 'bob@outbound.test')
numbers = itertools.count(1)
INSIDE = '127.0.0.9'                    # the address that they have in their contacts: nobody is there
# Whoever is behind a NAT does not know it. Failed attempts are made again soon, and silence is noticed soon.
HIDE = f'''[importlib.import_module('sipsimple.core.helpers').__dict__.update(local_ip_for=lambda address: {INSIDE!r}),
    importlib.import_module('sipsimple.core.registration').__dict__.update(PING_LIMIT=2.0),
    importlib.import_module('sipsimple.account.registration').BACKOFFS.update(flow=(0.3, 0.3), routes=(0.3, 0.3))] and None'''


def free_port() -> int:
    """For UDP and TCP."""
    while True:
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            stream.bind(('127.0.0.1', 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):
                datagrams.bind(('127.0.0.1', port))
                return port


@pytest.fixture(scope='module')
def registrar(tmp_path_factory):
    require('kamailio')
    port = free_port()
    with Kamailio(Path(__file__).parent / 'outbound.cfg', {'PORT': str(port)}, tmp_path_factory.mktemp('registrar'), ('127.0.0.1', port)) as registrar:
        yield registrar


def edge_of(registrar: Kamailio, folder: Path, *defines: str) -> Kamailio:
    """A proxy before the registrar."""
    port = free_port()
    values = {'PORT': str(port), 'REGISTRAR': str(registrar.address[1])}
    return Kamailio(Path(__file__).parent / 'outbound.cfg', values, folder, ('127.0.0.1', port), ('IS_EDGE', *defines))


@pytest.fixture(scope='module')
def edge(registrar, tmp_path_factory):
    with edge_of(registrar, tmp_path_factory.mktemp('edge')) as edge:
        yield edge


@pytest.fixture(scope='module')
def both():
    """Two processes."""
    with SDK('alice') as alice, SDK('bob') as bob:
        for sdk in (alice, bob):
            sdk.start(settings={'sip.transport_list': ['udp', 'tcp'], 'rtp.audio_codec_list': ['PCMU']})
            sdk.do('evaluate', expression=HIDE)
        yield alice, bob


@pytest.fixture(scope='module', params=['udp', 'tcp'])
def users(request, both, edge):
    """Both of them registered over the same transport: (alice, bob, transport)."""
    for sdk, name in zip(both, NAMES, strict=True):
        sdk.mark()
        sdk.account(name, {'sip.outbound_proxy': f'127.0.0.1:{edge.address[1]};transport={request.param}', 'enabled': True})
        sdk.wait('SIPAccountRegistrationDidSucceed', name)
    yield *both, request.param
    for sdk, name in zip(both, NAMES, strict=True):
        sdk.call(name, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount')


def call(caller, called, transport, edge):
    """A call; the names of the session at both ends. The addresses in the contacts lead nowhere."""
    name, target = NAMES if caller.name == 'alice' else NAMES[::-1]
    outgoing, incoming = f'out{next(numbers)}', f'in{called.do("evaluate", expression="agent.incoming") + 1}'
    caller.do('connect', session=outgoing, account=name, uri=f'sip:{target}', route=['127.0.0.1', edge.address[1], transport])
    called.wait('SIPSessionNewIncoming', incoming)
    called.do('accept', session=incoming)
    caller.wait('SIPSessionDidStart', outgoing)
    called.wait('SIPSessionDidStart', incoming)         # the ACK has come
    return outgoing, incoming


def calls(alice, bob, transport, edge):
    """Requests within dialogs to the caller and to the called, at either end."""
    for caller, called in ((alice, bob), (bob, alice)):
        outgoing, incoming = call(caller, called, transport, edge)
        called.call(incoming, 'end')
        assert caller.wait('SIPSessionDidEnd', outgoing).originator == 'remote'
        called.wait('SIPSessionDidProcessTransaction', incoming, method='BYE', code=200)
        outgoing, incoming = call(caller, called, transport, edge)
        caller.call(outgoing, 'end')
        assert called.wait('SIPSessionDidEnd', incoming).originator == 'remote'
        caller.wait('SIPSessionDidProcessTransaction', outgoing, method='BYE', code=200)


def test_registration(users, edge):
    """With a Path and a flow, which is kept open."""
    alice, _bob, transport = users
    requests = [SIPText(text.encode()) for text in alice.messages(received=False) if text.startswith('REGISTER')]
    answers = [SIPText(text.encode()) for text in alice.messages(received=True) if text.startswith('SIP/2.0 200') and 'REGISTER' in text]
    assert f'@{INSIDE}:' in requests[-1].get('contact') and 'reg-id=1' in requests[-1].get('contact')
    assert answers[-1].get('require') == 'outbound' and answers[-1].get('flow-timer') == '2'
    contact = alice.do('evaluate', expression=f'str(AccountManager().get_account({NAMES[0]!r}).contact[Route("127.0.0.1", 5060, {transport!r})])')
    assert INSIDE in contact and contact.endswith(';ob')
    assert alice.do('evaluate', expression='importlib.import_module("sipsimple.core._handles").live_objects()["flow"]') == 1


def test_calls_both_ways(users, edge):
    alice, bob, transport = users
    alice.mark()
    calls(alice, bob, transport, edge)
    invite = next(SIPText(text.encode()) for text in alice.messages(received=False) if text.startswith('INVITE'))
    assert ';ob>' in invite.get('contact')
    assert f'<sip:127.0.0.1:{edge.address[1]};' in invite.get('route') and ';ob' in invite.get('route')


def test_server_that_starts_anew(users, edge):
    """TCP breaks at once, and over UDP nobody answers keep-alives. All flows it knew are gone, and both come again."""
    alice, bob, transport = users
    for sdk in (alice, bob):
        sdk.mark()
    edge.kill()
    for sdk, name in zip((alice, bob), NAMES, strict=True):
        lost = sdk.wait('SIPEngineTransportDidDisconnect')
        assert (lost.transport, lost.remote_address) == (transport, f'127.0.0.1:{edge.address[1]}')
        assert sdk.wait('SIPAccountRegistrationDidFail', name).error == 'Connection lost'
    edge.start()
    for sdk, name in zip((alice, bob), NAMES, strict=True):
        sdk.wait('SIPAccountRegistrationDidSucceed', name, timeout=60)
    calls(alice, bob, transport, edge)


def test_proxy_that_does_not_know_of_flows(both, registrar, tmp_path):
    """The registrar says so (439), and takes the account without."""
    alice, name = both[0], 'carol@outbound.test'
    alice.mark()
    with edge_of(registrar, tmp_path, 'IS_PLAIN') as edge:
        alice.account(name, {'sip.outbound_proxy': f'127.0.0.1:{edge.address[1]};transport=udp', 'enabled': True})
        alice.wait('SIPAccountRegistrationDidSucceed', name, unless='SIPAccountRegistrationDidFail')
        answers = [event.code for event in alice.events('SIPAccountRegistrationGotAnswer', name)]
        assert answers == [439, 200]
        assert ';ob' not in alice.do('evaluate', expression=f'str(AccountManager().get_account({name!r}).contact["udp"])')
        alice.call(name, 'delete')
        alice.wait('SIPAccountManagerDidRemoveAccount')
