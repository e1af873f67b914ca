"""Calls with sipp that do not go straight: redirections, challenges, servers that are full, requests that cross, messages that are lost or come twice, and calls
that take the place of others. Where a call is up in the end, sound is heard in both directions.
"""

from __future__ import annotations

import re
import socket

import pytest

from tests.support.programs import write_notes
from tests.support.sdk import SDK
from tests.support.sipp import (
    Sipp,
    ack,
    ack_failure,
    ack_within,
    cancel,
    invite,
    pause,
    receive,
    receive_authorized,
    receive_invite,
    receive_within,
    reply,
    reply_late,
    reply_within,
    request,
    sdp,
)
from tests.support.sipp_calls import Call

pytestmark = pytest.mark.interop

NOTES = ((523.0, 0.2), (784.0, 0.2))
TALK = 1.7                      # seconds that `talk` may take; a peer that goes on by itself waits so long
TRYING = receive(100, optional=True)
RINGING = [TRYING, receive(180)]
BYE = [receive('BYE'), reply_within(200)]
ANSWER = [reply(180), reply(200, sdp=sdp()), receive('ACK')]
PASSWORD = 'lamarr'
NAMES = ('hedy@one.test', 'joan@two.test', 'mary@two.test')


class Caller(Call):
    """Our end of the calls, of any account."""

    def caller(self, steps, transport='udp', **options):
        return Sipp(self.folder, steps, target=f'127.0.0.1:{self.sdk.ports[transport]}', transport=transport, **options)

    def start(self, peer, transport='udp', account='bonjour', **arguments):
        self.sdk.do('connect', session='out', account=account, uri=f'sip:peer@127.0.0.1:{peer.port};transport={transport}', **arguments)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'notes.wav', ((0.0, 0.2), *NOTES, (0.0, 0.3)))         # of a stream that has just begun the first moment may be missing
    return folder


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp', 'tcp']}, accounts={'bonjour': {'rtp.encryption.enabled': False}})
        yield sdk


@pytest.fixture
def call(sdk, folder):
    sdk.mark()
    yield Caller(sdk, folder, NOTES)
    sdk.do('end_sessions')


@pytest.fixture(scope='module')
def accounts(sdk):
    """Three without a server, beside the one for calls without any; the last one is off."""
    for number, name in enumerate(NAMES):
        sdk.account(name, {'sip.register.enabled': False, 'sip.always_use_my_proxy': False, 'rtp.encryption.enabled': False,
                                'auth.password': PASSWORD, 'enabled': number < 2})
    for name in NAMES[:2]:
        sdk.do('wait_for', target=name, name='enabled', value=True)
    return NAMES


@pytest.fixture
def account(accounts, sdk):
    """The first of them, as it was made."""
    yield accounts[0]
    sdk.account(accounts[0], {'sip.follow_redirects': False, 'auth.password': PASSWORD})


def talk_and_hang_up(call, peer, session='out'):
    call.talk(session, digit=None)
    call.hang_up(peer, session)


# ---- redirections --------------------------------------------------------------------------------------------------


def test_redirection_is_followed(call, account):
    """To the first contact that can be used and answers; the To header says who was called at first (RFC 3261 section 8.1.3.4)."""
    call.sdk.account(account, {'sip.follow_redirects': True})
    busy = [receive('INVITE'), reply(486, 'Busy Here'), receive('ACK')]
    with call.peer(busy) as carol, call.peer([receive_invite({'To': '<sip:peer@'}), *ANSWER, *BYE]) as dave:
        contact = f'<tel:+31201234567>, "Dave" <sip:dave@127.0.0.1:{dave.port}>;q=0.5, <sip:carol@127.0.0.1:{carol.port}>;q=0.7'
        with call.peer([receive('INVITE'), reply(302, 'Moved', contact=contact), receive('ACK')]) as peer:
            call.start(peer, account=account)
            call.started()
            peer.finish()
        carol.finish()
        assert f'INVITE sip:dave@127.0.0.1:{dave.port} SIP/2.0' in dave.messages()
        assert [event.code for event in call.sdk.events('SIPSessionDidProcessTransaction', 'out')] == [302, 486, 200]
        talk_and_hang_up(call, dave)


@pytest.mark.parametrize('keys, ice', [('sdes_optional', False), ('sdes_mandatory', True)])
def test_redirection_leads_to_other_keys(call, account, keys, ice):
    """Whoever was called first does not know what encrypts the call with somebody else."""
    call.sdk.account(account, {'sip.follow_redirects': True, 'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': keys, 'nat_traversal.use_ice': ice})
    try:
        with call.peer([receive('INVITE'), reply(486, 'Busy Here'), receive('ACK')]) as dave:
            with call.peer([receive('INVITE'), reply(302, 'Moved', contact=f'<sip:dave@127.0.0.1:{dave.port}>'), receive('ACK')]) as peer:
                call.start(peer, account=account)
                assert call.sdk.wait('SIPSessionDidFail', 'out').code == 486
                peer.finish()
            dave.finish()
            first, second = (set(re.findall('^a=crypto:.*inline:(\\S+)', each.messages(), re.MULTILINE)) for each in (peer, dave))
            assert len(first) == len(second) == 2 and not first & second
    finally:
        call.sdk.account(account, {'rtp.encryption.enabled': False, 'nat_traversal.use_ice': False})


def test_redirection_within_the_call(call):
    """The answer to a re-INVITE: the proposal has failed, and the call goes on as it was."""
    steps = [receive_invite(), *ANSWER, receive('INVITE', checks={'': 'a=sendonly'}), reply_within(302, 'Moved'), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        assert '302' in call.sdk.wait('SIPSessionHadProposalFailure', 'out').failure_reason
        talk_and_hang_up(call, peer)


# ---- challenges ----------------------------------------------------------------------------------------------------


def challenge(code, realm, nonce, more=', qop="auth"'):
    return f'{"Proxy" if code == 407 else "WWW"}-Authenticate: Digest realm="{realm}", nonce="{nonce}", algorithm=MD5{more}\n'


def ask(code, *challenges):
    return [reply(code, 'Who are you', headers=''.join(challenges)), receive('ACK')]


def authorized(method, **checks):
    """The request with credentials for the server, not the proxy: sipp computes the digest itself."""
    return receive_authorized(method, 'hedy', PASSWORD, checks)


def test_challenges_of_several_realms(call, account):
    """A proxy, then the server behind it. Their credentials are in the ACK and in all requests of the call that follow, until a nonce is stale."""
    proxy, both = 'Proxy-Authorization', {'Proxy-Authorization': 'realm="proxy".*nonce="p1"', 'Authorization': 'realm="server".*nonce="s1"'}
    steps = [receive('INVITE'), *ask(407, challenge(407, 'proxy', 'p1')),
             receive('INVITE', checks={proxy: 'nc=00000001'}), *ask(401, challenge(401, 'server', 's1')),
             authorized('INVITE', **both), reply(180), reply(200, sdp=sdp()), receive('ACK', checks=both),
             authorized('INVITE', **{proxy: 'nc=00000002'}), reply_within(407, headers=challenge(407, 'proxy', 'p2', ', qop="auth", stale=true')), receive('ACK'),
             authorized('INVITE', **{proxy: 'nonce="p2".*nc=00000001', '': 'a=sendonly'}),
             reply_within(200, sdp=sdp(direction='recvonly', version=2)), receive('ACK'),
             authorized('INVITE', **{proxy: 'nonce="p2".*nc=00000002', '': 'a=sendrecv'}), reply_within(200, sdp=sdp(version=3)), receive('ACK'),
             authorized('BYE', **{proxy: 'nonce="p2".*nc=00000003'}), reply_within(200)]
    with call.peer(steps) as peer:
        call.connect(peer, account=account)
        call.talk()
        for method, on_hold in (('hold', True), ('unhold', False)):
            call.sdk.call('out', method)
            assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').on_hold is on_hold
        talk_and_hang_up(call, peer)


def test_challenge_without_qop(call, account):
    """As servers of RFC 2543 send them, and old ones today."""
    steps = [receive('INVITE'), *ask(401, challenge(401, 'old', 'one', '')), authorized('INVITE'), *ANSWER, *BYE]
    with call.peer(steps) as peer:
        call.connect(peer, account=account)
        talk_and_hang_up(call, peer)


@pytest.mark.parametrize('more', [', qop="auth"', ''])
def test_wrong_password(call, account, more):
    """It is given once: servers lock out who insists."""
    call.sdk.account(account, {'auth.password': 'wrong'})
    steps = [receive('INVITE'), *ask(407, challenge(407, 'proxy', 'one', more)), receive('INVITE', checks={'Proxy-Authorization': 'username="hedy"'}),
             reply(407, 'Wrong Password', headers=challenge(407, 'proxy', 'two', more)), receive('ACK'), pause(0.3)]
    with call.peer(steps) as peer:
        call.start(peer, account=account)
        failure = call.sdk.wait('SIPSessionDidFail', 'out')
        assert (failure.originator, failure.code, failure.reason, failure.failure_reason) == ('remote', 407, 'Wrong Password', 'Wrong Password')
        peer.finish()


# ---- routes --------------------------------------------------------------------------------------------------------


def test_next_route_is_tried(call, account):
    """Nobody listens on the first one, the second says that it is full (RFC 3263 section 4.3)."""
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))           # bound, but nobody listens: nobody else can take it meanwhile
        with call.peer([receive_invite(), *ANSWER, *BYE]) as last, call.peer([receive('INVITE'), reply(503, 'Full'), receive('ACK')]) as full:
            routes = [['127.0.0.1', closed.getsockname()[1], 'tcp'], ['127.0.0.1', full.port, 'udp'], ['127.0.0.1', last.port, 'udp']]
            call.sdk.do('connect', session='out', account=account, uri='sip:peer@two.test', routes=routes)
            call.started()
            full.finish()
            assert 'INVITE sip:peer@two.test SIP/2.0' in last.messages() and call.sdk.get('out', 'route.uri.port') == last.port
            talk_and_hang_up(call, last)


def test_all_routes_are_full(call, account):
    refusal = [receive('INVITE'), reply(503, 'Full'), receive('ACK')]
    with call.peer(refusal) as first, call.peer(refusal) as second:
        call.sdk.do('connect', session='out', account=account, uri='sip:peer@two.test',
                    routes=[['127.0.0.1', peer.port, 'udp'] for peer in (first, second)])
        failure = call.sdk.wait('SIPSessionDidFail', 'out')
        assert (failure.code, failure.reason) == (503, 'Full')
        first.finish()
        second.finish()


# ---- requests that cross -------------------------------------------------------------------------------------------


def test_both_propose_at_once(call):
    """Their re-INVITE comes while ours waits for an answer: 491 (RFC 3261 section 14.2). Ours is answered, theirs comes again."""
    offer = sdp(version=2)
    steps = [receive_invite(), *ANSWER, receive_within('INVITE', {'': 'a=sendonly'}), request('INVITE', 1, offer), receive(100, optional=True), receive(491), ack_within(1),
             reply_late(200, 'OK', sdp(direction='recvonly', version=2)), receive('ACK'),
             request('INVITE', 2, sdp(version=3, direction='recvonly')), receive(100, optional=True), receive(200), request('ACK', 2),
             receive('INVITE', checks={'': 'a=sendrecv'}), reply_within(200, sdp=sdp(version=4)), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').fields == {'originator': 'local', 'on_hold': True, 'partial': False}
        call.sdk.wait('SIPSessionDidProcessTransaction', 'out', originator='remote', method='INVITE')
        call.sdk.call('out', 'unhold')
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').on_hold is False
        talk_and_hang_up(call, peer)


def test_our_cancel_crosses_the_answer(call):
    """Acknowledged and hung up; the next call works."""
    steps = [receive_invite(), reply(180), receive('CANCEL'), reply_within(200), reply_late(200, 'OK', sdp()), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.start(peer)
        call.sdk.wait('SIPSessionGotRingIndication', 'out')
        call.sdk.call('out', 'end')
        assert call.sdk.wait('SIPSessionDidFail', 'out').code == 487
        peer.finish()
    with call.peer([receive_invite(), *ANSWER, *BYE]) as peer:
        call.connect(peer)
        talk_and_hang_up(call, peer)


def test_their_cancel_crosses_our_answer(call):
    """It is too late, and the call goes on (RFC 3261 section 9.2)."""
    uri = call.uri()
    steps = [invite(uri, sdp()), *RINGING, receive(200, rrs='true'), cancel(uri), receive(200), ack(uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        talk_and_hang_up(call, peer, session)


def test_both_hang_up_at_once(call):
    """Their BYE comes before the answer to ours. Both are answered, and the session ends once."""
    steps = [receive_invite(), *ANSWER, receive_within('BYE'), request('BYE', 1), receive(200), reply_late(200, 'OK')]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.talk(digit=None)
        call.sdk.call('out', 'end')
        assert call.sdk.wait('SIPSessionDidEnd', 'out').originator == 'local'
        peer.finish()
        assert len(call.sdk.events('SIPSessionDidEnd', 'out')) == 1


# ---- lost, and twice -----------------------------------------------------------------------------------------------


def test_our_ack_is_lost(call):
    """Their answer comes again: it is acknowledged again."""
    steps = [receive_invite(), reply(180), reply_late(200, 'OK', sdp()), receive('ACK'), reply_late(200, 'OK', sdp()), receive('ACK'), *BYE]
    with call.peer(steps, retransmissions=False) as peer:
        call.connect(peer)
        talk_and_hang_up(call, peer)


def sent(call, start, method):
    """How often we have sent such a message."""
    return sum(message.startswith(start) and f' {method}\r\n' in message for message in call.sdk.messages(received=False))


def test_their_ack_is_late(call):
    """Our answer is sent again until it comes."""
    uri = call.uri()
    with call.caller([invite(uri, sdp()), *RINGING, receive(200, rrs='true'), pause(1.2), ack(uri), *BYE]) as peer:
        session = call.answer()
        assert sent(call, 'SIP/2.0 200', 'INVITE') >= 2
        talk_and_hang_up(call, peer, session)


@pytest.fixture
def fast_timers(call):
    """Transactions give up after 3.2 seconds, for a while."""
    set_timers = '__import__("sipsimple.core._endpoint", fromlist=["_"]).set_sip_timers(t1={0}, t2=8 * {0}, t4=10 * {0}, td=64 * {0})'
    call.sdk.do('evaluate', expression=set_timers.format(50))
    yield
    call.sdk.do('evaluate', expression=set_timers.format(500))


def test_their_ack_never_comes(call, fast_timers):
    """The call is hung up, and says why; not before there is no hope for an ACK (RFC 3261 section 15)."""
    uri = call.uri()
    steps = [invite(uri, sdp()), TRYING, receive(200), receive(200), *[receive(200, optional=True)] * 14, receive('BYE'), reply_within(200)]
    with call.caller(steps, retransmissions=False) as peer:
        session = call.sdk.wait('SIPSessionNewIncoming').sender
        call.sdk.do('accept', session=session)
        failure = call.sdk.wait('SIPSessionDidFail', session)
        assert (failure.originator, failure.failure_reason) == ('local', 'missing ACK')
        peer.finish()


def test_everything_comes_twice(call):
    """One session, one answer to each request, whatever is sent again. The same INVITE over another way to us is refused (RFC 3261 section 8.2.2.2)."""
    uri = call.uri()
    steps = [invite(uri, sdp()), receive(100), invite(uri, sdp(), again=2), receive(100), invite(uri, sdp()), receive(482), receive(180),
             receive(200, rrs='true'), ack(uri), ack(uri, again=1), pause(TALK),
             request('INVITE', 2, sdp(version=2), uri=uri), TRYING, receive(200), request('INVITE', 2, sdp(version=2), uri=uri, again=3), receive(200),
             request('ACK', 2, uri=uri), request('ACK', 2, uri=uri, again=1), pause(TALK),
             request('BYE', 3, uri=uri), receive(200), request('BYE', 3, uri=uri, again=2), receive(200)]
    with call.caller(steps, retransmissions=False) as peer:
        call.sdk.wait('SIPSessionNewIncoming')
        call.sdk.wait_until(lambda event: event.name == 'SIPEngineSIPTrace' and event.data.startswith('SIP/2.0 482'), 'no 482')
        session = call.sdk.events('SIPSessionNewIncoming')[0].sender
        call.sdk.call(session, 'send_ring_indication')
        call.sdk.do('accept', session=session)
        call.started(session)
        call.talk(session, digit=None)
        call.sdk.wait_until(lambda event: event.name == 'SIPSessionDidProcessTransaction' and event.method == 'INVITE' and event.sender == session
                            and event.time > call.sdk.events('SIPSessionDidStart', session)[0].time, 'no re-INVITE')
        call.talk(session, digit=None)
        call.ended(peer, session)
    assert len(call.sdk.events('SIPSessionNewIncoming')) == 1
    assert [event.method for event in call.sdk.events('SIPSessionDidProcessTransaction', session)] == ['INVITE', 'INVITE', 'BYE']


# ---- Replaces ------------------------------------------------------------------------------------------------------


def replaces(call, session, more=''):
    """The header that means a session of ours; as its peer sees it, our tag is the to-tag."""
    call_id, local, remote = (call.sdk.get(session, f'dialog_id.{name}') for name in ('call_id', 'local_tag', 'remote_tag'))
    return f'Require: replaces\nReplaces: {call_id};to-tag={local};from-tag={remote}{more}\n'


@pytest.mark.parametrize('ours', [True, False], ids=['we called', 'they called'])
def test_call_is_replaced(call, ours):
    """The new caller is heard, the old one gets a BYE (RFC 3891 section 3)."""
    uri = call.uri()
    if ours:
        old = call.peer([receive_invite(), *ANSWER, *BYE])
    else:
        old = call.caller([invite(uri, sdp()), *RINGING, receive(200, rrs='true'), ack(uri), *BYE])
    with old:
        if ours:
            call.connect(old)
            first = 'out'
        else:
            first = call.answer()
        call.talk(first, digit=None)
        header = replaces(call, first)
        with call.caller([invite(uri, sdp(), headers=header, caller='carol@two.test'), TRYING, receive(200, rrs='true'),
                          ack(uri, caller='carol@two.test'), *BYE]) as new:
            incoming = call.sdk.wait('SIPSessionNewIncoming')
            second = incoming.sender
            assert call.sdk.do('evaluate', expression=f'agent.find("{second}").replaced_session is agent.find("{first}")')
            assert call.sdk.get(first, 'state') == 'connected'
            call.sdk.do('accept', session=second)
            call.started(second)
            assert call.sdk.wait('SIPSessionDidEnd', first).originator == 'local'
            old.finish()
            talk_and_hang_up(call, new, second)


def test_ringing_call_of_ours_is_replaced(call):
    """Who picks up elsewhere calls us: our INVITE is cancelled."""
    uri = call.uri()
    steps = [receive_invite(), reply(180), receive('CANCEL'), reply_within(200), reply_late(487, 'Request Terminated'), receive('ACK')]
    with call.peer(steps) as ringing:
        call.start(ringing)
        call.sdk.wait('SIPSessionGotRingIndication', 'out')
        header = replaces(call, 'out', ';early-only')
        with call.caller([invite(uri, sdp(), headers=header), *RINGING, receive(200, rrs='true'), ack(uri), *BYE]) as new:
            session = call.answer()
            assert call.sdk.wait('SIPSessionDidFail', 'out').code == 487
            ringing.finish()
            talk_and_hang_up(call, new, session)


@pytest.mark.parametrize('wrong, code', [('unknown', 481), ('early-only', 486), ('two', 400)])
def test_replaces_that_is_refused(call, wrong, code):
    """No dialog of ours; one that is up where a ringing one is meant; two of them (RFC 3891 section 3). The call goes on."""
    uri = call.uri()
    with call.peer([receive_invite(), *ANSWER, *BYE]) as peer:
        call.connect(peer)
        header = replaces(call, 'out', ';early-only' if wrong == 'early-only' else '')
        if wrong == 'unknown':
            header = header.replace('to-tag=', 'to-tag=x')
        elif wrong == 'two':
            header += header.partition('\n')[2]
        with call.caller([invite(uri, sdp(), headers=header), receive(100, optional=True), receive(code), ack_failure(uri)]) as other:
            other.finish()
        assert not call.sdk.events('SIPSessionNewIncoming')
        talk_and_hang_up(call, peer)


# ---- whose call it is ----------------------------------------------------------------------------------------------


def test_account_of_a_call(call, accounts):
    """By the user of its contact, by its address, or by the user of its address alone; who is off, or unknown, is not found."""
    port = call.sdk.ports['udp']
    contact = call.sdk.get('joan@two.test', 'contact.username')
    for user, expected in (('hedy@one.test', 'hedy@one.test'), (f'{contact}@127.0.0.1:{port}', 'joan@two.test'), (f'joan@127.0.0.1:{port}', 'joan@two.test')):
        uri = f'sip:{user}'
        with call.caller([invite(uri, sdp()), receive(100, optional=True), receive(486), ack_failure(uri)]) as peer:
            session = call.sdk.wait('SIPSessionNewIncoming').sender
            assert call.sdk.get(session, 'account.id') == expected
            call.sdk.call(session, 'reject', 486)
            peer.finish()
    for user in ('mary@two.test', 'nobody@one.test'):
        uri = f'sip:{user}'
        with call.caller([invite(uri, sdp()), receive(100, optional=True), receive(404), ack_failure(uri)]) as peer:
            peer.finish()


def test_what_we_can_is_told(call):
    """OPTIONS, outside of a call and in it."""
    checks = {'Allow': 'INVITE.*OPTIONS', 'Accept': 'application/sdp', 'Supported': 'replaces'}
    options = request('OPTIONS', 1, uri=call.uri()).replace('[next_url]', call.uri()).replace('[peer_tag_param]', '')
    with call.caller([options, receive(200, checks=checks)]) as peer:
        peer.finish()
    with call.peer([receive_invite(), *ANSWER, request('OPTIONS', 1), receive(200, checks=checks), *BYE]) as peer:
        call.connect(peer)
        talk_and_hang_up(call, peer)
