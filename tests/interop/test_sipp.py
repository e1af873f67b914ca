"""Calls with sipp, which checks the messages and sends back the sound: through the lab's Kamailio and without any server.

sipp has no TLS; see test_baresip.py.
"""

from __future__ import annotations

import pytest

from tests.support.lab import lab_fixture
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
    receive_invite,
    register,
    reply,
    reply_late,
    reply_within,
    request,
    sdp,
)
from tests.support.sipp_calls import NOTES, Call

pytestmark = pytest.mark.interop

lab = lab_fixture('kamailio')
TALK = 1.7                      # seconds that `talk` may take; a peer that ends the call waits so long
RINGING = [receive(100, optional=True), receive(180)]
THEY_HANG_UP, WE_HANG_UP = 'they hang up', 'we hang up'
BYE = [receive('BYE'), reply_within(200)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'notes.wav', (*NOTES, (0.0, 0.3)))        # it takes a moment until the last one is back
    return folder


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp', 'tcp']}, accounts={'bonjour': {'rtp.encryption.enabled': False}})
        yield sdk


@pytest.fixture
def call(sdk, folder):
    sdk.mark()
    yield Call(sdk, folder)
    sdk.do('end_sessions')


# ---- whole calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('end', [WE_HANG_UP, THEY_HANG_UP])
@pytest.mark.parametrize('transport, codec', [('udp', 'PCMU'), ('tcp', 'G722'), ('udp', 'opus')])
def test_we_call(call, transport, codec, end):
    steps = [receive_invite(), reply(180), pause(0.1), reply(200, sdp=sdp(codec)), receive('ACK')]
    steps += BYE if end == WE_HANG_UP else [pause(TALK), request('BYE', 1), receive(200)]
    with call.peer(steps, transport=transport) as peer:
        call.connect(peer, transport)
        assert call.sdk.facts('out', 'streams.0.codec', 'transport') == {'streams.0.codec': codec, 'transport': transport}
        call.talk()
        (call.hang_up if end == WE_HANG_UP else call.ended)(peer)


@pytest.mark.parametrize('end', [WE_HANG_UP, THEY_HANG_UP])
@pytest.mark.parametrize('transport, codec', [('udp', 'opus'), ('tcp', 'PCMU'), ('udp', 'G722')])
def test_they_call(call, transport, codec, end):
    """They offer one codec, which need not be the one we like best."""
    uri = call.uri(transport)
    steps = [invite(uri, sdp(codec)), *RINGING, receive(200, rrs='true'), ack(uri)]
    steps += BYE if end == WE_HANG_UP else [pause(TALK), request('BYE', 2, uri=uri), receive(200)]
    with call.caller(steps, transport) as peer:
        session = call.answer()
        facts = call.sdk.facts(session, 'streams.0.codec', 'transport', 'remote_user_agent', 'direction')
        assert facts == {'streams.0.codec': codec, 'transport': transport, 'remote_user_agent': 'sipp', 'direction': 'incoming'}
        call.talk(session)
        (call.hang_up if end == WE_HANG_UP else call.ended)(peer, session)


def test_other_payload_types(call):
    """The numbers are the peer's choice: opus and telephone-event have ones that we would not use."""
    uri = call.uri()
    offer = sdp('opus').replace('96', '123').replace('101', '98')
    with call.caller([invite(uri, offer), *RINGING, receive(200, rrs='true', checks={'': 'a=rtpmap:123 opus/48000/2'}), ack(uri), *BYE]) as peer:
        session = call.answer()
        call.talk(session)
        call.hang_up(peer, session)


# ---- through the server --------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def accounts(sdk, lab):
    """Ours, registered over UDP and TCP."""
    names = {'udp': 'alice@lab.test', 'tcp': 'carol@lab.test'}
    for transport, name in names.items():
        sdk.account(name, {'auth.password': f'{name.partition("@")[0]}-pw', 'sip.outbound_proxy': f'127.0.0.1:{lab.port("SIP")};transport={transport}',
                           'rtp.encryption.enabled': False, 'enabled': True})
        sdk.wait('SIPAccountRegistrationDidSucceed', name)
    return names


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_they_call_through_the_server(call, lab, accounts, transport):
    uri, caller = f'sip:{accounts[transport]}', 'bob@lab.test'
    steps = [invite(uri, sdp(), caller), receive(407, auth='true'), ack_failure(uri, caller),
             invite(uri, sdp(), caller, 2, '[authentication username=bob password=bob-pw]\n'), *RINGING, receive(200, rrs='true'), ack(uri, caller, 2),
             pause(TALK), request('BYE', 3, uri=uri, caller=caller), receive(200)]
    with Sipp(call.folder, steps, target=f'127.0.0.1:{lab.port("SIP")}', transport=transport) as peer:
        session = call.answer(behind_server=peer)
        assert call.sdk.get(session, 'account.id') == accounts[transport]
        call.talk(session)
        call.ended(peer, session)


def test_we_call_through_the_server(call, lab, accounts):
    """sipp registers, then waits at the same port. Over TCP it could not: each of its processes has one connection."""
    with Sipp(call.folder, register('bob', 'bob-pw', 'lab.test'), target=f'127.0.0.1:{lab.port("SIP")}') as registering:
        registering.finish()
    steps = [receive_invite(), reply(100), reply(180), reply(200, sdp=sdp('G722')), receive('ACK'), pause(TALK), request('BYE', 1), receive(200)]
    with call.peer(steps, port=registering.port) as peer:
        call.sdk.do('connect', session='out', account=accounts['udp'], uri='sip:bob@lab.test', via=f'sip:127.0.0.1:{lab.port("SIP")}')
        call.started()
        call.talk()
        call.ended(peer)


# ---- before the answer ---------------------------------------------------------------------------------------------


def test_early_media(call):
    """183 with a description: sound goes both ways before the call is answered."""
    steps = [receive_invite(), reply(183, 'Session Progress', sdp()), pause(TALK), reply(200, sdp=sdp()), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.start(peer)
        assert call.sdk.wait('SIPSessionGotProvisionalResponse', 'out').fields == {'code': 183, 'reason': 'Session Progress'}
        call.sdk.wait('MediaStreamDidStart', 'out')
        call.talk(digit=None)
        assert not call.sdk.events('SIPSessionDidStart', 'out')
        call.started()
        call.talk()
        call.hang_up(peer)


def test_reliable_early_media(call):
    """RFC 3262: the answer is in the 183, and there is none in the 200."""
    steps = [receive_invite({'Supported': '100rel'}), reply(183, 'Session Progress', sdp(), 'Require: 100rel\nRSeq: 1\n'),
             receive('PRACK', checks={'RAck': '1 .* INVITE'}), reply_within(200), pause(TALK), reply_late(200), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.start(peer)
        call.sdk.wait('MediaStreamDidStart', 'out')
        call.talk(digit=None)
        call.started()
        call.hang_up(peer)


def test_forked_call(call):
    """It rings at one phone and is answered at another one: the dialog is that of the 200 (RFC 3261 section 13.2.2.4)."""
    steps = [receive_invite(), reply(180, tag='first'), reply(183, 'Session Progress', sdp(), tag='second'), reply(200, sdp=sdp('G722'), tag='third'),
             receive('ACK', checks={'To': 'tag=third'}), receive('BYE', checks={'To': 'tag=third'}), reply_within(200)]
    with call.peer(steps) as peer:
        call.connect(peer)
        assert call.sdk.get('out', 'streams.0.codec') == 'G722'
        call.talk()
        call.hang_up(peer)


@pytest.mark.parametrize('code, reason', [(302, 'Moved'), (404, 'Not Found'), (486, 'Busy Here'), (503, 'Service Unavailable'), (603, 'Decline')])
def test_refused(call, code, reason):
    if code == 302:
        answer = reply(code, reason, contact='"Bob" <sip:bob@lab.test>, <sip:carol@lab.test>')
    else:
        answer = reply(code, reason)
    with call.peer([receive('INVITE'), answer, receive('ACK')]) as peer:
        call.start(peer)
        failure = call.sdk.wait('SIPSessionDidFail', 'out')
        peer.finish()
    assert (failure.originator, failure.code, failure.reason) == ('remote', code, reason)
    if code == 302:
        assert failure.redirect_identities == ['Contact: "Bob" <sip:bob@lab.test>', 'Contact: <sip:carol@lab.test>']
    else:
        assert failure.redirect_identities is None


@pytest.mark.parametrize('code', [480, 486, 603])
def test_we_decline(call, code):
    uri = call.uri()
    with call.caller([invite(uri, sdp()), *RINGING, receive(code), ack_failure(uri)]) as peer:
        session = call.sdk.wait('SIPSessionNewIncoming').sender
        call.sdk.call(session, 'send_ring_indication')
        call.sdk.call(session, 'reject', code)
        peer.finish()
        assert call.sdk.wait('SIPSessionDidFail', session).code == code


def test_we_cancel(call):
    steps = [receive_invite(), reply(180), receive('CANCEL'), reply_within(200), reply_late(487, 'Request Terminated'), receive('ACK')]
    with call.peer(steps) as peer:
        call.start(peer)
        call.sdk.wait('SIPSessionGotRingIndication', 'out')
        call.sdk.call('out', 'end')
        assert call.sdk.wait('SIPSessionDidFail', 'out').fields == {
            'originator': 'local', 'code': 487, 'reason': 'Session Cancelled', 'failure_reason': 'user_request', 'redirect_identities': None}
        peer.finish()


def test_they_cancel(call):
    uri = call.uri()
    with call.caller([invite(uri, sdp()), *RINGING, cancel(uri), receive(200), receive(487), ack_failure(uri)]) as peer:
        session = call.sdk.wait('SIPSessionNewIncoming').sender
        call.sdk.call(session, 'send_ring_indication')
        failure = call.sdk.wait('SIPSessionDidFail', session)
        assert (failure.originator, failure.code) == ('remote', 487)
        peer.finish()


@pytest.mark.parametrize('offer', [sdp().replace('m=audio', 'm=video'), sdp().replace('0 101', '77 101').replace('0 PCMU', '77 nosuch')])
def test_nothing_we_have(call, offer):
    """An INVITE without a medium or a codec of ours is told as a session without streams."""
    uri = call.uri()
    with call.caller([invite(uri, offer), receive(100, optional=True), receive(488), ack_failure(uri)]) as peer:
        incoming = call.sdk.wait('SIPSessionNewIncoming')
        assert incoming.streams == []
        call.sdk.call(incoming.sender, 'reject', 488)
        peer.finish()


def test_unknown_extension_is_required(call):
    """RFC 3261 section 8.2.2.3."""
    uri = call.uri()
    steps = [invite(uri, sdp(), headers='Require: nosuch\n'), receive(100, optional=True), receive(420, checks={'Unsupported': 'nosuch'}), ack_failure(uri)]
    with call.caller(steps) as peer:
        peer.finish()
    assert not call.sdk.events('SIPSessionNewIncoming')


# ---- without an offer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('codec', ['PCMU', 'opus'])
def test_invite_without_an_offer(call, codec):
    """RFC 3261 section 13.2.1: the offer is in our 200, the answer in the ACK."""
    uri = call.uri()
    steps = [invite(uri, None), *RINGING, receive(200, rrs='true', checks={'': 'm=audio .* RTP/AVP'}), ack(uri, sdp=sdp(codec)), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        assert call.sdk.get(session, 'streams.0.codec') == codec
        call.talk(session)
        call.hang_up(peer, session)


def test_reinvite_without_an_offer(call):
    """We offer what we have, and take the answer of the ACK."""
    steps = [receive_invite(), reply(200, sdp=sdp('PCMU')), receive('ACK'), pause(0.1), request('INVITE', 1), receive(100, optional=True),
             receive(200, checks={'': 'm=audio .* RTP/AVP'}), request('ACK', 1, sdp('PCMU', version=2)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.wait('SIPSessionDidProcessTransaction', 'out', originator='remote', method='INVITE')
        call.talk()
        call.hang_up(peer)


# ---- during the call -----------------------------------------------------------------------------------------------


def reinvite(offer, cseq=1, uri=None):
    return [request('INVITE', cseq, offer, uri=uri), receive(100, optional=True), receive(200), request('ACK', cseq, uri=uri)]


@pytest.mark.parametrize('held', ['a=sendonly', 'a=inactive', '0.0.0.0'])
def test_they_hold(call, held):
    """A direction, or the address of RFC 2543."""
    offer = sdp(version=2, address='0.0.0.0') if held == '0.0.0.0' else sdp(version=2, direction=held.removeprefix('a='))
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), *reinvite(offer), pause(0.2), *reinvite(sdp(version=3), cseq=2), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').fields == {'originator': 'remote', 'on_hold': True, 'partial': False}
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').fields == {'originator': 'remote', 'on_hold': False, 'partial': False}
        call.talk()
        call.hang_up(peer)


def test_they_change_the_codec(call):
    uri = call.uri()
    steps = [invite(uri, sdp('PCMU')), *RINGING, receive(200, rrs='true'), ack(uri), pause(0.1), *reinvite(sdp('opus', version=2), cseq=2, uri=uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        call.sdk.do('wait_for', target=session, name='streams.0.codec', value='opus')
        call.talk(session)
        call.hang_up(peer, session)


def test_they_change_the_port(call):
    """Where the sound goes to: the second echo of sipp is two ports above."""
    moved = sdp(version=2).replace('[media_port]', '[media_port+2]')
    with call.peer([receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), *reinvite(moved), *BYE]) as peer:
        call.connect(peer)
        call.sdk.do('wait_for', target='out', name='streams.0.remote_rtp_port_sdp', value=peer.media_port + 2)
        call.talk()
        assert call.sdk.get('out', 'streams.0.remote_rtp_port') == peer.media_port + 2
        call.hang_up(peer)


def test_they_propose_what_we_do_not_have(call):
    """Video beside the sound is refused, and the call goes on as it was."""
    video = sdp(version=2) + 'm=video [media_port+2] RTP/AVP 97\na=rtpmap:97 nosuch/90000\n'
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), request('INVITE', 1, video), receive(100, optional=True), receive(488),
             ack_within(1), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.talk()
        call.hang_up(peer)


def test_update_during_the_call(call):
    """RFC 3311, without and with an offer."""
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), request('UPDATE', 1), receive(200),
             request('UPDATE', 2, sdp(version=2, direction='sendonly')), receive(200, checks={'': 'a=recvonly'}),
             request('UPDATE', 3, sdp(version=3)), receive(200, checks={'': 'a=sendrecv'}), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').on_hold is True
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').on_hold is False
        call.talk()
        call.hang_up(peer)


def test_we_hold(call):
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'),
             receive('INVITE', checks={'': 'a=sendonly'}), reply_within(200, sdp=sdp(direction='recvonly', version=2)), receive('ACK'),
             receive('INVITE', checks={'': 'a=sendrecv'}), reply_within(200, sdp=sdp(version=3)), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        for on_hold, method in ((True, 'hold'), (False, 'unhold')):
            call.sdk.call('out', method)
            assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').fields == {'originator': 'local', 'on_hold': on_hold, 'partial': False}
        call.talk()
        call.hang_up(peer)


def test_hold_is_refused(call):
    """The call goes on as it was."""
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'),
             receive('INVITE', checks={'': 'a=sendonly'}), reply_within(488, 'Not Acceptable Here'), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        failure = call.sdk.wait('SIPSessionHadProposalFailure', 'out')
        assert failure.originator == 'local' and 'Not Acceptable Here' in failure.failure_reason
        call.talk()
        call.hang_up(peer)


def test_both_hold_at_once(call):
    """491: tried again after a while (RFC 3261 section 14.1)."""
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), receive('INVITE'), reply_within(491, 'Request Pending'), receive('ACK'),
             receive('INVITE', checks={'': 'a=sendonly'}), reply_within(200, sdp=sdp(direction='recvonly', version=2)), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        assert call.sdk.wait('SIPSessionDidChangeHoldState', 'out').on_hold is True
        call.hang_up(peer)


@pytest.mark.parametrize('method, code', [('INFO', 405), ('NOSUCH', 405), ('OPTIONS', 200)])
def test_other_requests(call, method, code):
    """What is not for us is answered all the same, and the call goes on."""
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), request(method, 1), receive(code), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.talk()
        call.hang_up(peer)


# ---- transfer ------------------------------------------------------------------------------------------------------


def notify(cseq, frag, state='active;expires=60'):
    """What the transferee tells of the call that it makes."""
    headers = f'Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag;version=2.0\nContent-Length: [len]\n\n{frag}'
    return [request('NOTIFY', cseq, headers=headers).replace('Content-Length: 0\n\n', ''), receive(200)]


def refer(cseq, target):
    return [request('REFER', cseq, headers=f'Refer-To: <{target}>\nReferred-By: <sip:boss@lab.test>\n'), receive(202)]


def told(code):
    """The NOTIFY that tells how our call to the target goes."""
    return [receive('NOTIFY', checks={'': rf'SIP/2.0 {code}', 'Event': 'refer'}), reply_within(200)]


def test_we_transfer(call):
    """A first try to somebody who is busy, then a second one."""
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'),
             receive('REFER', checks={'Refer-To': '<sip:busy@lab.test>', 'Referred-By': 'sip:'}), reply_within(202, 'Accepted'),
             *notify(1, 'SIP/2.0 100 Trying'), *notify(2, 'SIP/2.0 486 Busy Here', 'terminated;reason=noresource'),
             receive('REFER', checks={'Refer-To': '<sip:carol@lab.test>'}), reply_within(202, 'Accepted'),
             *notify(3, 'SIP/2.0 180 Ringing'), *notify(4, 'SIP/2.0 200 OK', 'terminated;reason=noresource'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'transfer', 'sip:busy@lab.test')
        assert call.sdk.wait('SIPSessionTransferDidFail', 'out').fields == {'code': 486, 'reason': 'Busy Here'}
        call.talk(digit=None)
        call.sdk.call('out', 'transfer', 'sip:carol@lab.test')
        call.sdk.wait('SIPSessionTransferDidEnd', 'out')
        assert call.sdk.wait('SIPSessionDidEnd', 'out').fields == {'originator': 'local', 'end_reason': 'user_request'}
        peer.finish()


def test_they_refuse_our_transfer(call):
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), receive('REFER'), reply_within(603, 'Decline'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'transfer', 'sip:carol@lab.test')
        assert call.sdk.wait('SIPSessionTransferDidFail', 'out').fields == {'code': 603, 'reason': 'Decline'}
        call.hang_up(peer)


def test_they_transfer_us(call):
    """With Replaces: the third party sees which of its dialogs our call takes the place of, and who sent us (RFC 3891, RFC 3892)."""
    checks = {'Referred-By': '<sip:boss@lab.test>', 'Replaces': 'old@host(;to-tag=t|;from-tag=f){2}'}
    third = [receive_invite(checks), reply(180), reply(200, sdp=sdp()), receive('ACK'), *BYE]
    with call.peer(third) as carol:
        target = f'sip:carol@127.0.0.1:{carol.port}?Replaces=old%40host%3Bfrom-tag%3Df%3Bto-tag%3Dt'
        steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), *refer(1, target), *told(100), *told(180), *told(200), *BYE]
        with call.peer(steps) as peer:
            call.connect(peer)
            call.sdk.wait('SIPSessionNewOutgoing', 'out')
            asked = call.sdk.wait('SIPSessionTransferNewIncoming', 'out')
            assert asked.transfer_destination == f'sip:carol@127.0.0.1:{carol.port}'
            call.sdk.call('out', 'accept_transfer')
            new = call.sdk.wait('SIPSessionNewOutgoing', unless='SIPSessionTransferDidFail').sender
            call.sdk.wait('SIPSessionTransferDidEnd', 'out')
            call.sdk.wait('SIPSessionDidEnd', 'out')
            peer.finish()
        call.talk(new)
        call.hang_up(carol, new)


def test_transfer_of_us_fails(call):
    """The target is busy: the call goes on as it was."""
    with call.peer([receive_invite(), reply(486, 'Busy Here'), receive('ACK')]) as carol:
        steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), *refer(1, f'sip:carol@127.0.0.1:{carol.port}'), *told(100),
                 *told(486), *BYE]
        with call.peer(steps) as peer:
            call.connect(peer)
            call.sdk.wait('SIPSessionTransferNewIncoming', 'out')
            call.sdk.call('out', 'accept_transfer')
            assert call.sdk.wait('SIPSessionTransferDidFail', 'out').fields == {'code': 486, 'reason': 'Busy Here'}
            carol.finish()
            call.talk(digit=None)
            call.hang_up(peer)


def test_we_refuse_a_transfer(call):
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.1), *refer(1, 'sip:carol@lab.test'), *told(100), *told(603), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.wait('SIPSessionTransferNewIncoming', 'out')
        call.sdk.call('out', 'reject_transfer', 603, 'No thanks')
        assert call.sdk.wait('SIPSessionTransferDidFail', 'out').fields == {'code': 603, 'reason': 'No thanks'}
        call.hang_up(peer)
