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
from tests.calls.test_session_files import fields
from tests.support.desktop import desktop_fixture
from tests.support.lab import Lab, lab_fixture
from tests.support.msrp import Side, in_reactor, local
from tests.support.waiting import wait_until

pytestmark = pytest.mark.interop
relay_lab = lab_fixture('msrp')
second_lab = lab_fixture('msrp')
desktop = desktop_fixture()

TLS = pytest.mark.parametrize('use_tls', [False, True], ids=['tcp', 'tls'])
BEHIND = pytest.mark.parametrize('who', ['caller', 'callee', 'both'])


def settings(lab: Lab, user: str, use_tls: bool, password: str | None = None) -> MSRPRelaySettings:
    return MSRPRelaySettings('lab.test', user, f'{user}-pw' if password is None else password, '127.0.0.1', lab.port('MSRPS' if use_tls else 'MSRP'), use_tls,
                             X509Credentials(trusted=lab.certs / 'ca.pem'))


def behind(processes, lab, other_lab, who, use_tls=False):
    """Who of caller and callee is reached through a relay: one, or 'both', each through its own. The account of the other one has that relay, too, and does not use it."""
    authorities = lab.dir / 'both.pem'
    authorities.write_bytes(b''.join((item.certs / 'ca.pem').read_bytes() for item in (lab, other_lab)))
    for process, user, relay, wanted in ((processes.caller, 'alice', lab, who in ('caller', 'both')), (processes.callee, 'bob', other_lab, who == 'both')):
        process.do('msrp', transport='tls' if use_tls else 'tcp', model='relay', relay=['127.0.0.1', relay.port('MSRPS' if use_tls else 'MSRP')],
                   outbound=wanted, username=user, password=f'{user}-pw', ca_list=str(authorities))


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
    """Short messages and a big one each way, all with reports; use with `yield from`.

    Nothing is paced here. So the first one goes alone, as a relay may lose what comes before its own connection is there; and all together is what its queue
    holds: it throws away what is more, if the next hop is held up.
    """
    for one, other in ((left, right), (right, left)):
        texts = [OutgoingMessage('text/plain', b'%d' % number, success_report='yes') for number in range(20)]
        body = os.urandom(100_000)
        big = OutgoingMessage('application/octet-stream', body, success_report='yes')
        one.session.send(texts[0])
        yield one.done(texts[0])
        for message in (*texts[1:], big):
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


@BEHIND
@TLS
def test_chats_of_accounts_behind_a_relay(relay_lab, second_lab, chats, use_tls, who):
    """Whoever has to be reached is reached through the relay: the caller if it wants that, else the callee; both, if both want it."""
    chats.reset()
    behind(chats, relay_lab, second_lab, who, use_tls)
    chats.connected()
    for one, other, session in ((chats.caller, chats.callee, 's'), (chats.callee, chats.caller, 'in1')):
        assert one.do('hops', session=session)['hops'] == (3 if who == 'both' else 2)
        identity = one.do('send', session=session, content='through the relay')['id']
        assert other.wait('ChatStreamGotMessage')['message']['content'] == 'through the relay'
        assert one.wait('ChatStreamDidDeliverMessage')['message_id'] == identity
    for one, other, session in ((chats.caller, chats.callee, 's'), (chats.callee, chats.caller, 'in1')):
        long = one.do('big', session=session, size=300_000)['id']
        assert one.wait('ChatStreamDidDeliverMessage')['message_id'] == long
        assert len(other.wait('ChatStreamGotMessage')['message']['content']) == 300_000
    role = chats.caller.do('get', args=['s', 'streams.0.local_role'])['streams.0.local_role']
    assert role == ('active' if who == 'callee' else 'passive')


@pytest.mark.parametrize(('who', 'sender', 'use_tls'), [('callee', 'caller', False), ('caller', 'caller', True), ('both', 'callee', False)])
def test_chats_with_a_peer_that_is_slow(relay_lab, second_lab, chats, who, sender, use_tls):
    """A relay answers for it, and has nowhere to keep what it does not take: long messages and many short ones all arrive, and none is told of before."""
    chats.reset()
    behind(chats, relay_lab, second_lab, who, use_tls)
    chats.connected()
    one, other, session = (chats.caller, chats.callee, 's') if sender == 'caller' else (chats.callee, chats.caller, 'in1')
    one.do('big', session=session, size=40_000)
    other.wait('ChatStreamGotMessage')
    one.wait('ChatStreamDidDeliverMessage')
    other.pause()
    try:
        sizes = [2_500_000, 3_000_000, 3_500_000]       # more than all sockets on the way take
        identities = [one.do('big', session=session, size=size)['id'] for size in sizes]
        identities += one.do('burst', session=session, count=1000, size=300)['ids']
        held = [0]

        def still():
            held.append(one.do('written', session=session)['written'])
            return len(held) > 20 and len(set(held[-20:])) == 1
        assert wait_until(still, interval=0.05)         # nothing moves any more: the rest waits with the sender
        assert 0 < held[-1] < sum(sizes) // 2 and fields(one, 'ChatStreamDidDeliverMessage')[1:] == []
        one.do('compose', session=session, state='active')
    finally:
        other.resume()
    last = one.do('send', session=session, content='last')['id']
    delivered = [one.wait('ChatStreamDidDeliverMessage')['message_id'] for _ in range(len(identities) + 1)]
    assert sorted(delivered) == sorted([*identities, last])
    received = [other.wait('ChatStreamGotMessage')['message']['content'] for _ in delivered]
    assert sorted(map(len, received))[-3:] == sizes and [text for text in received if len(text) == 300] == [f'{number:0300}' for number in range(1000)]
    assert {text for text in received if len(text) >= sizes[0]} == {'x' * size for size in sizes} and 'last' in received
    assert sorted(item['message']['message_id'] for item in fields(one, 'ChatStreamDidSendMessage')[1:]) == sorted(delivered)
    for process in (one, other):
        assert not [name for name, _, _ in process.events if name in ('ChatStreamDidNotDeliverMessage', 'MediaStreamDidFail')]
    assert fields(other, 'ChatStreamGotComposingIndication')


def test_a_chat_whose_peer_is_gone(relay_lab, second_lab, chats):
    """What was written and what was not: each message of which nobody knows that it arrived is told of as such."""
    chats.reset()
    behind(chats, relay_lab, second_lab, 'callee')
    chats.connected()
    chats.callee.pause()
    try:
        identities = [chats.caller.do('big', session='s', size=400_000)['id'] for _ in range(2)] + chats.caller.do('burst', session='s', count=500, size=100)['ids']
        assert wait_until(lambda: chats.caller.do('written', session='s')['written'])
        chats.caller.do('drop', session='s')
        failed = [chats.caller.wait('ChatStreamDidNotDeliverMessage') for _ in identities]
        assert sorted(item['message_id'] for item in failed) == sorted(identities) and {(item['code'], item['chunk']) for item in failed} == {(0, None)}
        assert not fields(chats.caller, 'ChatStreamDidDeliverMessage')
    finally:
        chats.callee.resume()
    for process in (chats.caller, chats.callee):
        process.seen('SIPSessionDidEnd')


@pytest.fixture(scope='module')
def desktops():
    made = Desktops()
    yield made
    made.stop()


@pytest.mark.parametrize(('calling', 'who'), [('viewer', 'callee'), ('server', 'callee'), ('viewer', 'both')])
@TLS
def test_desktops_of_accounts_behind_a_relay(relay_lab, second_lab, desktops, desktop, tmp_path, use_tls, calling, who):
    desktops.reset()
    behind(desktops, relay_lab, second_lab, who, use_tls)
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
