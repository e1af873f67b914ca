"""Sessions through Kamailio's MSRP relay: AUTH, one and two relays, plain and TLS, in both directions."""

from __future__ import annotations

import hashlib
import os

import pytest
from twisted.internet.defer import DeferredList

from msrplib.chunking import OutgoingMessage
from msrplib.connect import DirectAcceptor, DirectConnector, MSRPRelaySettings, RelayConnection
from msrplib.errors import MSRPNoSuchSessionError, MSRPRelayAuthError
from msrplib.events import MessageFailed, MessageReceived
from msrplib.tls import X509Credentials
from tests.calls.test_session_chat import Chat
from tests.calls.test_session_desktop import Desktops, look
from tests.support.desktop import desktop_fixture
from tests.support.lab import Lab, lab_fixture
from tests.support.msrp import Side, in_reactor, local
from tests.support.waiting import wait_until

pytestmark = pytest.mark.interop
relay_lab = lab_fixture('msrp')
second_lab = lab_fixture('msrp')
desktop = desktop_fixture()

TLS = pytest.mark.parametrize('use_tls', [False, True], ids=['tcp', 'tls'])


def settings(lab: Lab, user: str, use_tls: bool, password: str | None = None) -> MSRPRelaySettings:
    return MSRPRelaySettings('lab.test', user, f'{user}-pw' if password is None else password, '127.0.0.1', lab.port('MSRPS' if use_tls else 'MSRP'), use_tls,
                             X509Credentials(trusted=lab.certs / 'ca.pem'))


def uri(lab: Lab, use_tls: bool):
    """Ours: with TLS, the lab's certificate for this host."""
    return local(use_tls, credentials=X509Credentials(lab.certs / 'server.pem', lab.certs / 'server.key', trusted=lab.certs / 'ca.pem'))


def meet(passive, active, passive_uri, active_uri):
    """Bring two connectors together; use with `yield from`."""
    theirs = yield passive.prepare(passive_uri)
    ours = yield active.prepare(active_uri)
    results = yield DeferredList([active.complete(theirs), passive.complete(ours)], consumeErrors=True)
    for good, result in results:
        if not good:
            raise result.value
    return Side(results[0][1]), Side(results[1][1])


def talk(left, right):
    """Short messages and a big one each way, all with reports; use with `yield from`."""
    for one, other in ((left, right), (right, left)):
        texts = [OutgoingMessage('text/plain', b'%d' % number, success_report='yes') for number in range(20)]
        body = os.urandom(1_000_000)
        big = OutgoingMessage('application/octet-stream', body, success_report='yes')
        for message in (*texts, big):
            one.session.send(message)
        yield one.done(*texts, big)
        assert one.of(MessageFailed) == [] and all(message.delivered for message in (*texts, big))
        received = [event.message for event in other.of(MessageReceived)]
        assert [message.data for message in received if message.content_type == 'text/plain'] == [b'%d' % number for number in range(20)]
        assert [hashlib.sha256(message.data).digest() for message in received if message.content_type != 'text/plain'] == [hashlib.sha256(body).digest()]
    for side in (left, right):
        yield side.session.shutdown()


@TLS
def test_we_are_behind_a_relay_and_the_peer_connects_to_it(relay_lab, use_tls):
    def run():
        ours = RelayConnection(settings(relay_lab, 'alice', use_tls), 'passive')
        left, right = yield from meet(ours, DirectConnector(), uri(relay_lab, use_tls), uri(relay_lab, use_tls))
        assert len(right.transport.full_local_path) == 2 and ours.remote_endpoint.startswith('tls:' if use_tls else 'tcp:')
        yield from talk(left, right)
        yield ours.cleanup()
    in_reactor(run)


@TLS
def test_we_are_behind_a_relay_and_it_connects_to_the_peer(relay_lab, use_tls):
    def run():
        ours = RelayConnection(settings(relay_lab, 'bob', use_tls), 'active')
        peer = DirectAcceptor()
        left, right = yield from meet(peer, ours, uri(relay_lab, use_tls), uri(relay_lab, use_tls))
        yield from talk(left, right)
        yield ours.cleanup()
    in_reactor(run)


@TLS
def test_both_are_behind_relays(relay_lab, second_lab, use_tls):
    def run():
        ours, theirs = RelayConnection(settings(relay_lab, 'alice', use_tls), 'active'), RelayConnection(settings(second_lab, 'bob', use_tls), 'passive')
        left, right = yield from meet(theirs, ours, uri(second_lab, use_tls), uri(relay_lab, use_tls))
        assert len(left.transport.full_remote_path) == 3
        yield from talk(left, right)
        yield ours.cleanup()
        yield theirs.cleanup()
    in_reactor(run)


def test_a_wrong_password(relay_lab):
    def run():
        for user, password in (('alice', 'wrong'), ('nobody', 'nothing')):
            connection = RelayConnection(settings(relay_lab, user, True, password), 'passive')
            with pytest.raises(MSRPRelayAuthError) as caught:
                yield connection.prepare(uri(relay_lab, True))
            assert caught.value.code == 401
            yield connection.cleanup()
    in_reactor(run)


def test_the_relay_keeps_us_as_long_as_it_likes(relay_lab):
    """It takes 60 to 3600 seconds, and says so."""
    def run():
        for wanted, granted in ((5, 60), (10_000, 3600)):
            connection = RelayConnection(settings(relay_lab, 'carol', False), 'passive', expires=wanted)
            yield connection.prepare(uri(relay_lab, False))
            assert abs(connection._renewal.getTime() - connection._reactor.seconds() - granted * 0.8) < 10
            yield connection.cleanup()
            assert connection._renewal is None or not connection._renewal.active()
    in_reactor(run)


def test_a_session_the_relay_does_not_know(relay_lab):
    def run():
        ours = RelayConnection(settings(relay_lab, 'alice', False), 'passive')
        path = yield ours.prepare(uri(relay_lab, False))
        peer = DirectConnector()
        yield peer.prepare(local())
        with pytest.raises(MSRPNoSuchSessionError):
            yield peer.complete([path[0].copy(session_id='unknown'), path[1]])
        yield ours.cleanup()
    in_reactor(run)


@pytest.fixture(scope='module')
def chats():
    chat = Chat()
    yield chat
    chat.stop()


@pytest.mark.parametrize('outbound', [True, False], ids=['caller behind it', 'callee behind it'])
@TLS
def test_chats_of_accounts_behind_a_relay(relay_lab, chats, use_tls, outbound):
    """Whoever has to be reached is reached through the relay: the caller if it wants that, else the callee."""
    chats.reset()
    chats.settings(transport='tls' if use_tls else 'tcp', model='relay', relay=['127.0.0.1', relay_lab.port('MSRPS' if use_tls else 'MSRP')],
                   outbound=outbound, username='alice', password='alice-pw', ca_list=str(relay_lab.certs / 'ca.pem'))
    chats.connected()
    for one, other, session in ((chats.caller, chats.callee, 's'), (chats.callee, chats.caller, 'in1')):
        identity = one.do('send', session=session, content='through the relay')['id']
        assert other.wait('ChatStreamGotMessage')['message']['content'] == 'through the relay'
        assert one.wait('ChatStreamDidDeliverMessage')['message_id'] == identity
    long = chats.caller.do('big', session='s', size=300_000)['id']
    assert chats.caller.wait('ChatStreamDidDeliverMessage')['message_id'] == long
    assert len(chats.callee.wait('ChatStreamGotMessage')['message']['content']) == 300_000
    role = chats.caller.do('get', args=['s', 'streams.0.local_role'])['streams.0.local_role']
    assert role == ('passive' if outbound else 'active')


@pytest.fixture(scope='module')
def desktops():
    made = Desktops()
    yield made
    made.stop()


@pytest.mark.parametrize('calling', ['viewer', 'server'])
@TLS
def test_desktops_of_accounts_behind_a_relay(relay_lab, desktops, desktop, tmp_path, use_tls, calling):
    desktops.reset()
    desktops.settings(transport='tls' if use_tls else 'tcp', model='relay', relay=['127.0.0.1', relay_lab.port('MSRPS' if use_tls else 'MSRP')],
                      username='alice', password='alice-pw', ca_list=str(relay_lab.certs / 'ca.pem'))
    desktops.handlers(internal=False, port=desktop.port)
    desktops.connected(calling)
    viewer, session = (desktops.caller, 's') if calling == 'viewer' else (desktops.callee, 'in1')
    look(viewer, session, desktop, tmp_path)
    for process in (desktops.caller, desktops.callee):
        process.wait('SIPSessionDidEnd')


def test_more_than_a_relay_can_hold(relay_lab, desktops):
    """It throws away what its queue cannot hold: no more is on its way than the peer keeps up with, also if that takes nothing for a while."""
    desktops.reset()
    desktops.settings(transport='tcp', model='relay', relay=['127.0.0.1', relay_lab.port('MSRP')], username='alice', password='alice-pw')
    desktops.connected('viewer')
    desktops.caller.do('flow', session='s', method='pause')
    size, count = 1 << 20, 8
    expected = hashlib.sha256()
    for _ in range(count):
        desktops.callee.do('write', session='in1', size=size)
        expected.update(bytes(range(256)) * (size // 256))
    held = [0]

    def still():
        held.append(desktops.callee.do('got', session='in1')['outgoing'])
        return len(held) > 20 and len(set(held[-20:])) == 1
    assert wait_until(still, interval=0.05)         # nothing moves any more: the rest waits with the sender
    assert held[-1] > size * count // 2 and desktops.caller.do('got', session='s')['size'] == 0
    desktops.caller.do('flow', session='s', method='resume')
    while desktops.caller.wait('DesktopSharingStreamGotData')['total'] < size * count:
        pass
    assert desktops.caller.do('got', session='s')['hash'] == expected.hexdigest() and desktops.failures() == []
