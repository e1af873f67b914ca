"""Hold, and streams that come and go, with sipp: it checks the offers and answers, and its echo tells after each step that sound goes as it should."""

from __future__ import annotations

import pytest

from tests.support.programs import write_notes
from tests.support.sdk import SDK
from tests.support.sipp import (
    ack,
    ack_within,
    invite,
    pause,
    receive,
    receive_invite,
    reply,
    reply_within,
    request,
    sdp,
    send,
)
from tests.support.sipp_calls import Call

pytestmark = pytest.mark.interop

NOTES = ((523.0, 0.2), (784.0, 0.2))
FIRST, SECOND, THIRD = '[media_port]', '[media_port+2]', '[media_port+4]'        # sipp echoes at the first two
BYE = [receive('BYE'), reply_within(200)]
LINE = r'm=audio [1-9][0-9]* RTP'
OFF = 'm=audio 0 RTP'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'notes.wav', ((0.0, 0.2), *NOTES, (0.0, 0.3)))           # of a stream that has just begun the first moment may be missing
    return folder


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp', 'tcp']},
                  accounts={'bonjour': {'rtp.encryption.enabled': False, 'rtp.audio_codec_list': ['PCMU']}})
        yield sdk


@pytest.fixture
def call(sdk, folder):
    sdk.mark()
    yield Call(sdk, folder, NOTES)
    sdk.do('end_sessions')


def lines(*media, version=1):
    """A description with audio lines: ports, or pairs of port and direction."""
    pairs = [line if isinstance(line, tuple) else (line, 'sendrecv') for line in media]
    return f'v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=sipp\nc=IN IP4 [media_ip]\nt=0 0\n' + ''.join(
        f'm=audio {port} RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na={direction}\n' for port, direction in pairs)


def reinvited(check, answer=None, code=200, reason='OK'):
    """A re-INVITE of ours whose offer is as wanted, and its answer."""
    return [receive('INVITE', checks={'': check}), reply_within(code, reason, answer), receive('ACK')]


def reinvite(cseq, offer, check='m=audio', uri=None):
    """A re-INVITE of theirs, and the answer that is wanted."""
    return [request('INVITE', cseq, offer, uri=uri), receive(100, optional=True), receive(200, checks={'': check}), request('ACK', cseq, uri=uri)]


def called(answer=None):
    """We call."""
    return [receive_invite(), reply(200, sdp=answer or lines(FIRST)), receive('ACK')]


def remembered(check):
    """A re-INVITE of ours that is answered later, by `reply_remembered`."""
    step = receive('INVITE', checks={'': check})
    actions = ''.join(f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{header.lower()}_again"/>' for header in ('Via', 'CSeq'))
    return step.replace('<action>', f'<action>{actions}')


def reply_remembered(code, reason, sdp=None):
    body = 'Content-Length: 0\n\n' if sdp is None else f'Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}'
    return send(f'SIP/2.0 {code} {reason}\nVia: [$via_again]\nFrom: [$from_value]\nTo: [$to_value];tag=sipp[call_number]\n[last_Call-ID:]\n'
                f'CSeq: [$cseq_again]\nContact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n{body}')


def held(call, session, originator, on_hold, partial=False):
    change = call.sdk.wait('SIPSessionDidChangeHoldState', session, unless='SIPSessionHadProposalFailure')
    assert change.fields == {'originator': originator, 'on_hold': on_hold, 'partial': partial}


def renegotiated(call, session, originator, action, count):
    event = call.sdk.wait('SIPSessionDidRenegotiateStreams', session, unless='SIPSessionHadProposalFailure')
    assert (event.originator, event.action, len(event.streams)) == (originator, action, count)


# ---- hold ----------------------------------------------------------------------------------------------------------


def test_we_hold_two_streams(call):
    steps = [*called(lines(FIRST, SECOND)), *reinvited('a=sendonly.*m=audio.*a=sendonly', lines((FIRST, 'recvonly'), (SECOND, 'recvonly'), version=2)),
             *reinvited('a=sendrecv.*m=audio.*a=sendrecv', lines(FIRST, SECOND, version=3)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer, streams=2)
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.sdk.call('out', 'hold')
        held(call, 'out', 'local', True)
        assert call.sdk.facts('out', 'on_hold', 'streams.0.on_hold_by_local', 'streams.1.on_hold_by_local') == {
            'on_hold': True, 'streams.0.on_hold_by_local': True, 'streams.1.on_hold_by_local': True}
        for _ in range(2):
            assert call.sdk.wait('AudioStreamDidChangeHoldState', 'out').fields == {'originator': 'local', 'on_hold': True}
        call.sdk.call('out', 'unhold')
        held(call, 'out', 'local', False)
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.hang_up(peer)


def test_they_hold_one_of_two(call):
    """The other one goes on, which is what `partial` tells; then they hold both."""
    steps = [*called(lines(FIRST, SECOND)), pause(0.1), *reinvite(1, lines((FIRST, 'sendonly'), SECOND, version=2), 'a=recvonly.*m=audio.*a=sendrecv'),
             receive('MESSAGE'), reply_within(200), *reinvite(2, lines((FIRST, 'inactive'), (SECOND, 'sendonly'), version=3), 'a=inactive.*m=audio.*a=recvonly'),
             *reinvite(3, lines(FIRST, SECOND, version=4), 'a=sendrecv.*m=audio.*a=sendrecv'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer, streams=2)
        held(call, 'out', 'remote', True, partial=True)
        call.talk(stream=1)
        call.sdk.call('out', 'send_message', 'text/plain', 'go on')
        held(call, 'out', 'remote', True)
        held(call, 'out', 'remote', False)
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.hang_up(peer)


@pytest.mark.parametrize('line', ['c=IN IP4 0.0.0.0', 'c=IN IP6 ::'])
def test_they_hold_in_the_old_way(call, line):
    """The null address of a call that came to us: RFC 2543, and its counterpart in IPv6."""
    uri = call.uri()
    old = lines(FIRST, version=2).replace('c=IN IP4 [media_ip]', line)
    steps = [invite(uri, lines(FIRST)), receive(100, optional=True), receive(180), receive(200, rrs='true'), ack(uri), pause(0.1),
             *reinvite(2, old, 'a=recvonly', uri), *reinvite(3, lines(FIRST, version=3), 'a=sendrecv', uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        held(call, session, 'remote', True)
        held(call, session, 'remote', False)
        call.talk(session)
        call.hang_up(peer, session)


def test_call_that_begins_on_hold(call):
    """With the null address, which we mirror (RFC 3725): what comes later has our own."""
    uri = call.uri()
    steps = [invite(uri, lines(FIRST).replace('c=IN IP4 [media_ip]', 'c=IN IP4 0.0.0.0')), receive(100, optional=True), receive(180),
             receive(200, rrs='true', checks={'': 'a=recvonly'}), ack(uri), pause(0.1),
             *reinvite(2, lines(FIRST, version=2), 'c=IN IP4 127.0.0.1.*a=sendrecv', uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        held(call, session, 'remote', True)
        held(call, session, 'remote', False)
        call.talk(session)
        call.hang_up(peer, session)


def test_hold_before_the_answer(call):
    """It waits until there is a call to hold."""
    steps = [receive_invite(), reply(180), pause(0.2), reply(200, sdp=lines(FIRST)), receive('ACK'),
             *reinvited('a=sendonly', lines((FIRST, 'recvonly'), version=2)), *reinvited('a=sendrecv', lines(FIRST, version=3)), *BYE]
    with call.peer(steps) as peer:
        call.start(peer)
        call.sdk.wait('SIPSessionGotRingIndication', 'out')
        call.sdk.call('out', 'hold')
        call.started()
        held(call, 'out', 'local', True)
        call.sdk.call('out', 'unhold')
        held(call, 'out', 'local', False)
        call.talk()
        call.hang_up(peer)


def test_hold_during_their_proposal(call):
    """The wish waits for the end of the proposal, and is for the new stream as well."""
    steps = [*called(), pause(0.1), *reinvite(1, lines(FIRST, SECOND, version=2)),
             *reinvited('a=sendonly.*m=audio.*a=sendonly', lines((FIRST, 'recvonly'), (SECOND, 'recvonly'), version=3)),
             *reinvited('a=sendrecv.*m=audio.*a=sendrecv', lines(FIRST, SECOND, version=4)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.wait('SIPSessionGotProposal', 'out')
        call.sdk.call('out', 'hold')
        call.sdk.do('accept_proposal', session='out', indexes=[0])
        renegotiated(call, 'out', 'remote', 'add', 1)
        held(call, 'out', 'local', True)
        call.sdk.call('out', 'unhold')
        held(call, 'out', 'local', False)
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.hang_up(peer)


@pytest.mark.parametrize('code, reason', [(481, 'Call/Transaction Does Not Exist'), (408, 'Request Timeout')])
def test_hold_in_a_call_that_they_do_not_know(call, code, reason):
    """The dialog is over: RFC 3261 section 12.2.1.2."""
    with call.peer([*called(), *reinvited('a=sendonly', code=code, reason=reason), *BYE]) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        end = call.sdk.wait('SIPSessionDidEnd', 'out')
        assert (end.originator, end.end_reason) == ('local', reason)
        peer.finish()
    assert not call.sdk.events('SIPSessionDidChangeHoldState', 'out')


# ---- glare ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_hold_that_meets_theirs(call, direction):
    """Each side answers 491. They try again at once; we do when the timer of RFC 3261 section 14.1 is over, which is longer for who owns the Call-ID."""
    uri = None if direction == 'out' else call.uri()
    cseq = 1 if uri is None else 2
    begin = called() if uri is None else [invite(uri, lines(FIRST)), receive(100, optional=True), receive(180), receive(200, rrs='true'), ack(uri)]
    again = ([*reinvite(cseq + 1, lines((FIRST, 'sendonly'), version=2), 'a=inactive'), *reinvited('a=inactive', lines((FIRST, 'inactive'), version=2))]
             if uri is None else reinvited('a=sendonly', lines((FIRST, 'recvonly'), version=2)))
    if uri is None:
        glare = [remembered('a=sendonly'), request('INVITE', cseq, lines((FIRST, 'sendonly'), version=2)), receive(100, optional=True), receive(491),
                 ack_within(cseq), reply_remembered(491, 'Request Pending'), receive('ACK')]
    else:
        glare = reinvited('a=sendonly', code=491, reason='Request Pending')
    with (call.peer if uri is None else call.caller)([*begin, *glare, *again, *BYE]) as peer:
        if uri is None:
            call.connect(peer)
            session = 'out'
        else:
            session = call.answer()
        call.sdk.call(session, 'hold')
        if uri is None:
            held(call, session, 'remote', True)
        held(call, session, 'local', True)
        answers = [event for event in call.sdk.events('SIPSessionDidProcessTransaction', session) if event.originator == 'local' and event.code in (200, 491)]
        assert [event.code for event in answers if event.method == 'INVITE'][-2:] == [491, 200]
        if direction == 'out':
            assert answers[-1].time - answers[-2].time >= 2.1
        call.hang_up(peer, session)


def test_addition_that_meets_glare(call):
    """The application is told, and may try once more."""
    steps = [*called(), *reinvited(f'{LINE}.*{LINE}', code=491, reason='Request Pending'),
             *reinvited(f'{LINE}.*{LINE}', lines(FIRST, SECOND, version=2)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.do('add', session='out')
        refusal = call.sdk.wait('SIPSessionGotRejectProposal', 'out')
        assert (refusal.originator, refusal.code, refusal.reason, len(refusal.streams)) == ('local', 491, 'Request Pending', 1)
        call.talk()
        call.sdk.do('add', session='out')
        renegotiated(call, 'out', 'local', 'add', 1)
        call.talk(stream=1)
        call.hang_up(peer)


def test_removal_that_meets_glare(call):
    """It is tried again, whatever they do meanwhile: their hold is answered at once, and without the stream."""
    steps = [*called(lines(FIRST, SECOND)), *reinvited(f'{LINE}.*{OFF}', code=491, reason='Request Pending'),
             *reinvite(1, lines((FIRST, 'sendonly'), (SECOND, 'sendonly'), version=2), f'{LINE}.*a=recvonly.*{OFF}'),
             *reinvite(2, lines(FIRST, 0, version=3), f'{LINE}.*a=sendrecv.*{OFF}'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer, streams=2)
        call.sdk.do('remove', session='out', indexes=[1])
        renegotiated(call, 'out', 'local', 'remove', 1)
        held(call, 'out', 'remote', True)
        held(call, 'out', 'remote', False)
        assert not call.sdk.events('SIPSessionGotProposal', 'out')
        call.talk()
        call.hang_up(peer)


# ---- our proposals -------------------------------------------------------------------------------------------------


def test_we_add_and_remove(call):
    steps = [*called(), *reinvited(f'{LINE}.*{LINE}', lines(FIRST, SECOND, version=2)), *reinvited(f'{LINE}.*{OFF}', lines(FIRST, 0, version=3)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.talk()
        call.sdk.do('add', session='out')
        proposal = call.sdk.wait('SIPSessionGotProposal', 'out')
        assert (proposal.originator, len(proposal.streams)) == ('local', 1)
        accepted = call.sdk.wait('SIPSessionGotAcceptProposal', 'out')
        assert (accepted.originator, len(accepted.streams), len(accepted.proposed_streams)) == ('local', 1, 1)
        renegotiated(call, 'out', 'local', 'add', 1)
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.sdk.do('remove', session='out', indexes=[1])
        renegotiated(call, 'out', 'local', 'remove', 1)
        call.talk()
        call.hang_up(peer)


def test_they_accept_some_of_ours(call):
    steps = [*called(), *reinvited(f'{LINE}.*{LINE}.*{LINE}', lines(FIRST, 0, SECOND, version=2)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.do('add', session='out', count=2)
        accepted = call.sdk.wait('SIPSessionGotAcceptProposal', 'out')
        assert (len(accepted.streams), len(accepted.proposed_streams)) == (1, 2)
        renegotiated(call, 'out', 'local', 'add', 1)
        assert call.sdk.get('out', 'streams.1.index') == 2
        call.talk(stream=0, digit=None)
        call.talk(stream=1)
        call.hang_up(peer)


def test_they_refuse_ours(call):
    """The call goes on as it was, and a line is used again."""
    steps = [*called(), *reinvited(f'{LINE}.*{LINE}', code=488, reason='Not Acceptable Here'), *reinvited(f'{LINE}.*{LINE}', lines(FIRST, SECOND, version=2)),
             *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.do('add', session='out')
        refusal = call.sdk.wait('SIPSessionGotRejectProposal', 'out')
        assert (refusal.originator, refusal.code, refusal.reason, len(refusal.streams)) == ('local', 488, 'Not Acceptable Here', 1)
        assert call.sdk.facts('out', 'state', 'proposed_streams') == {'state': 'connected', 'proposed_streams': None}
        call.talk()
        call.sdk.do('add', session='out')
        renegotiated(call, 'out', 'local', 'add', 1)
        assert call.sdk.get('out', 'streams.1.index') == 1
        call.talk(stream=1)
        call.hang_up(peer)


def test_we_cancel_ours(call):
    steps = [*called(), remembered(f'{LINE}.*{LINE}'), reply_within(180, 'Ringing'), receive('CANCEL'), reply_within(200),
             reply_remembered(487, 'Request Terminated'), receive('ACK'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.do('add', session='out')
        call.sdk.wait('SIPSessionGotProvisionalResponse', 'out', code=180)
        call.sdk.call('out', 'cancel_proposal')
        refusal = call.sdk.wait('SIPSessionGotRejectProposal', 'out')
        assert (refusal.originator, refusal.code, len(refusal.streams)) == ('local', 487, 1)
        call.talk()
        call.hang_up(peer)


def test_they_take_a_stream_out_by_answering(call):
    """A port of 0 in the answer to our hold."""
    steps = [*called(lines(FIRST, SECOND)), *reinvited('a=sendonly.*m=audio.*a=sendonly', lines((FIRST, 'recvonly'), 0, version=2)),
             *reinvited(f'a=sendrecv.*{OFF}', lines(FIRST, 0, version=3)), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer, streams=2)
        call.sdk.call('out', 'hold')
        renegotiated(call, 'out', 'remote', 'remove', 1)
        held(call, 'out', 'local', True)
        call.sdk.call('out', 'unhold')
        held(call, 'out', 'local', False)
        call.talk()
        call.hang_up(peer)


# ---- their proposals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('indexes, answer', [([0], f'{LINE}.*{LINE}.*{OFF}'), ([], f'{LINE}.*{OFF}.*{OFF}')])
def test_we_accept_some_of_theirs(call, indexes, answer):
    steps = [*called(), pause(0.1), *reinvite(1, lines(FIRST, SECOND, THIRD, version=2), answer), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        proposal = call.sdk.wait('SIPSessionGotProposal', 'out')
        assert (proposal.originator, len(proposal.streams)) == ('remote', 2)
        assert call.sdk.get('out', 'state') == 'received_proposal'
        call.sdk.do('accept_proposal', session='out', indexes=indexes)
        accepted = call.sdk.wait('SIPSessionGotAcceptProposal', 'out')
        assert (accepted.originator, len(accepted.streams), len(accepted.proposed_streams)) == ('remote', len(indexes), 2)
        renegotiated(call, 'out', 'remote', 'add', len(indexes))
        for stream in range(1 + len(indexes)):
            call.talk(stream=stream)
        call.hang_up(peer)


def test_they_add_and_remove(call):
    uri = call.uri()
    steps = [invite(uri, lines(FIRST)), receive(100, optional=True), receive(180), receive(200, rrs='true'), ack(uri), pause(0.1),
             *reinvite(2, lines(FIRST, SECOND, version=2), f'{LINE}.*{LINE}', uri), receive('MESSAGE'), reply_within(200),
             *reinvite(3, lines(0, SECOND, version=3), f'{OFF}.*{LINE}', uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer()
        call.sdk.wait('SIPSessionGotProposal', session)
        call.sdk.do('accept_proposal', session=session, indexes=[0])
        renegotiated(call, session, 'remote', 'add', 1)
        call.talk(session, stream=0)
        call.talk(session, stream=1)
        call.sdk.call(session, 'send_message', 'text/plain', 'go on')
        renegotiated(call, session, 'remote', 'remove', 1)
        call.talk(session)
        call.hang_up(peer, session)


def test_we_refuse_theirs(call):
    steps = [*called(), pause(0.1), request('INVITE', 1, lines(FIRST, SECOND, version=2)), receive(100, optional=True), receive(180), receive(603),
             ack_within(1), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.wait('SIPSessionGotProposal', 'out')
        call.sdk.call('out', 'send_ring_indication')
        call.sdk.call('out', 'reject_proposal', 603)
        refusal = call.sdk.wait('SIPSessionGotRejectProposal', 'out')
        assert (refusal.originator, refusal.code, refusal.reason, len(refusal.streams)) == ('remote', 603, 'Decline', 1)
        call.talk()
        call.hang_up(peer)


def test_they_cancel_theirs(call):
    cancel = send('CANCEL [next_url] SIP/2.0\n[last_Via:]\nFrom: [$to_value];tag=sipp[call_number]\nTo: [$from_value]\nCall-ID: [call_id]\n'
                  'CSeq: 1 CANCEL\nMax-Forwards: 70\nContent-Length: 0\n\n', retransmit=True)
    steps = [*called(), pause(0.1), request('INVITE', 1, lines(FIRST, SECOND, version=2)), receive(100), receive(180), cancel, receive(200), receive(487),
             ack_within(1), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.wait('SIPSessionGotProposal', 'out')
        call.sdk.call('out', 'send_ring_indication')
        refusal = call.sdk.wait('SIPSessionGotRejectProposal', 'out')
        assert (refusal.originator, refusal.code, len(refusal.streams)) == ('remote', 487, 1)
        call.talk()
        call.hang_up(peer)


# ---- calls with several streams ------------------------------------------------------------------------------------


def test_they_refuse_some_of_a_call(call):
    """Of three streams that we offer they take the last one; the lines keep their places."""
    steps = [*called(lines(0, 0, FIRST)), *reinvited(f'{OFF}.*{OFF}.*{LINE}.*a=sendonly', lines(0, 0, (FIRST, 'recvonly'), version=2)),
             *reinvited(f'{OFF}.*{OFF}.*{LINE}.*a=sendrecv', lines(0, 0, FIRST, version=3)), *BYE]
    with call.peer(steps) as peer:
        call.start(peer, streams=3)
        assert len(call.started().streams) == 1
        call.talk()
        for on_hold, method in ((True, 'hold'), (False, 'unhold')):
            call.sdk.call('out', method)
            held(call, 'out', 'local', on_hold)
        call.talk()
        call.hang_up(peer)


def test_we_refuse_some_of_a_call(call):
    uri = call.uri()
    offer = lines(THIRD, FIRST) + 'm=video [media_port+6] RTP/AVP 97\na=rtpmap:97 nosuch/90000\n'
    steps = [invite(uri, offer), receive(100, optional=True), receive(180), receive(200, rrs='true', checks={'': f'{OFF}.*{LINE}.*m=video 0 '}), ack(uri), *BYE]
    with call.caller(steps) as peer:
        session = call.answer(indexes=[1])
        assert call.sdk.get(session, 'streams.0.index') == 1
        call.talk(session)
        call.hang_up(peer, session)


def test_they_refuse_all_of_a_call(call):
    """A 200 that takes nothing is hung up."""
    steps = [*called(lines(0, 0)), *BYE]
    with call.peer(steps) as peer:
        call.start(peer, streams=2)
        failure = call.sdk.wait('SIPSessionDidFail', 'out')
        assert failure.originator == 'local'
        peer.finish()


def test_messages_in_the_call(call):
    """Both ways, also while it is held."""
    theirs = request('MESSAGE', 1, headers='Content-Type: text/plain\nContent-Length: [len]\n\nhello').replace('Content-Length: 0\n\n', '')
    steps = [*called(), *reinvited('a=sendonly', lines((FIRST, 'recvonly'), version=2)), theirs, receive(200), receive('MESSAGE', checks={'': 'hello yourself'}),
             reply_within(200), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        call.sdk.call('out', 'hold')
        held(call, 'out', 'local', True)
        message = call.sdk.wait('SIPSessionGotMessage', 'out')
        assert (message.method, message.body.strip()) == ('MESSAGE', 'hello')
        call.sdk.call('out', 'send_message', 'text/plain', 'hello yourself')
        call.hang_up(peer)


# ---- what changes nothing ----------------------------------------------------------------------------------------


def test_refresh_of_a_held_call(call):
    """A re-INVITE that changes nothing: the hold is told once."""
    steps = [*called(), pause(0.1), *reinvite(1, lines((FIRST, 'sendonly'), version=2), 'a=recvonly'),
             *reinvite(2, lines((FIRST, 'sendonly'), version=2), 'a=recvonly'), *reinvite(3, sdp(version=3), 'a=sendrecv'), *BYE]
    with call.peer(steps) as peer:
        call.connect(peer)
        held(call, 'out', 'remote', True)
        held(call, 'out', 'remote', False)
        call.talk()
        call.hang_up(peer)
        assert len(call.sdk.events('SIPSessionDidChangeHoldState', 'out')) == 2
