"""Every way in which a session fails or ends, with a scripted peer that decides every byte. The agent's SIP timers run ten times as fast as usual."""

from __future__ import annotations

import itertools
import socket

import pytest

from tests.support.sip_peer import UDPPeer, tag_of

numbers = itertools.count(1)
TYPE = 'Content-Type: application/sdp\r\n'


def sdp(port=2855, formats='*', media='message', transport='TCP/MSRP', version=1, address='127.0.0.1'):
    return (f'v=0\r\no=- 1 {version} IN IP4 {address}\r\ns=test\r\nc=IN IP4 {address}\r\nt=0 0\r\nm={media} {port} {transport} {formats}\r\n')


def connect(agent, *peers, **arguments):
    agent.do('connect', session='s', ports=[peer.port for peer in peers], streams=['plain'], **arguments)


def answer(peer, invite, code=200, body=None, **options):
    peer.answer(invite, code, options.pop('reason', 'OK'), headers=options.pop('headers', '') + (TYPE if body else ''), body=body or '', **options)


def failed(agent, session=None):
    """The fields of SIPSessionDidFail; the session has let go of its streams, and nothing follows."""
    fields = agent.wait('SIPSessionDidFail', session)
    assert 'DidEnd' not in agent.names()
    assert agent.do('sessions')['count'] == 0
    return fields


def transaction(agent):
    """The fields of the last SIPSessionDidProcessTransaction."""
    return [fields for name, _, fields in agent.events if name == 'SIPSessionDidProcessTransaction'][-1]


def in_dialog(peer, method, dialog, *, cseq=2, headers='', body='', branch=None):
    """A request of the peer inside the dialog of a message that it received (a request or a response of the agent)."""
    ours, theirs = (dialog.get('to'), dialog.get('from')) if dialog.method else (dialog.get('from'), dialog.get('to'))
    return peer.request(method, cseq=cseq, call_id=dialog.get('call-id'), from_tag=tag_of(ours), to_tag=tag_of(theirs), headers=headers, body=body, branch=branch)


# ---- calls of ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('code, reason', [(403, 'Forbidden'), (404, 'No such number here'), (480, 'Away'), (486, 'Busy Here'), (488, 'Not Acceptable Here'),
                                          (500, 'Broken'), (503, 'Maintenance'), (580, 'Precondition Failure'), (600, 'Busy Everywhere'), (603, 'Decline'),
                                          (606, 'Not Acceptable')])
def test_refused(agent, peer, code, reason):
    connect(agent, peer)
    invite = peer.expect('INVITE')
    peer.answer(invite, 180, 'Ringing')
    agent.wait('SIPSessionGotRingIndication')
    peer.answer(invite, code, reason)
    assert peer.expect('ACK')
    assert failed(agent) == {'originator': 'remote', 'code': code, 'reason': reason, 'failure_reason': reason, 'redirect_identities': None}
    assert transaction(agent) == {'originator': 'local', 'method': 'INVITE', 'code': code, 'reason': reason, 'ack_received': 'unknown'}
    assert agent.names() == ['NewOutgoing', 'GotRingIndication', 'GotProvisionalResponse', 'DidProcessTransaction', 'DidFail']
    agent.wait('MediaStreamDidEnd')
    assert [name for name, _, _ in agent.events if name.startswith('MediaStream')] == ['MediaStreamDidInitialize', 'MediaStreamWillEnd', 'MediaStreamDidEnd']


def test_the_reason_header_says_why(agent, peer):
    connect(agent, peer)
    peer.answer(peer.expect('INVITE'), 480, 'Unavailable', headers='Reason: Q.850;cause=19;text="no answer from the user"\r\n')
    assert failed(agent)['failure_reason'] == 'no answer from the user'


@pytest.mark.parametrize('code', [300, 301, 302, 305, 380])
def test_redirected(agent, peer, code):
    connect(agent, peer)
    invite = peer.expect('INVITE')
    text = peer.response(invite, code, 'Elsewhere', headers='Contact: <sip:bob@192.0.2.9>;q=0.5\r\n')
    peer.send(text)
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['reason']) == ('remote', code, 'Elsewhere')
    assert len(fields['redirect_identities']) == 2 and 'bob@192.0.2.9' in str(fields['redirect_identities'])


def test_the_next_route_is_tried(agent, peer):
    """After a 503, which speaks of the server; the third one answers for the callee."""
    with UDPPeer(agent.port) as second, UDPPeer(agent.port) as third:
        connect(agent, peer, second, third)
        peer.answer(peer.expect('INVITE'), 503, 'Full')
        second.answer(second.expect('INVITE'), 503, 'Full too')
        third.answer(third.expect('INVITE'), 404, 'Not Found')
        assert failed(agent)['code'] == 404
        assert agent.names().count('NewOutgoing') == 1


def test_nobody_is_there(agent, peer):
    """Not a word: the transaction times out."""
    connect(agent, peer)
    peer.expect('INVITE')
    peer.expect('INVITE')                       # sent again
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['failure_reason']) == ('local', 408, 'timeout'), fields
    assert transaction(agent)['code'] == 408


def test_silence_makes_the_next_route_be_tried(agent, peer):
    with UDPPeer(agent.port) as second:
        connect(agent, peer, second)
        second.answer(second.expect('INVITE'), 486, 'Busy Here')
        assert failed(agent)['code'] == 486


def test_it_rings_too_long(agent, peer):
    agent.do('set', target='settings', **{'sip.invite_timeout': 1})
    connect(agent, peer)
    invite = peer.expect('INVITE')
    peer.answer(invite, 180, 'Ringing')
    peer.answer(peer.expect('CANCEL'), 200)
    peer.answer(invite, 487, 'Request Terminated')
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['failure_reason']) == ('local', 487, 'user_request')


def test_the_callee_does_not_answer_the_cancel(agent, peer):
    connect(agent, peer)
    peer.answer(peer.expect('INVITE'), 180, 'Ringing')
    agent.wait('SIPSessionGotRingIndication')
    agent.call('end')
    peer.expect('CANCEL')
    assert failed(agent)['code'] == 487


def test_cancelled_before_any_response(agent, peer):
    """RFC 3261 section 9.1: the CANCEL waits for one."""
    connect(agent, peer)
    invite = peer.expect('INVITE')
    agent.call('end')
    assert failed(agent)['code'] == 487
    peer.answer(invite, 180, 'Ringing')
    peer.answer(peer.expect('CANCEL'), 200)
    peer.answer(invite, 487, 'Request Terminated')
    assert peer.expect('ACK')


def test_the_answer_crosses_the_cancel(agent, peer):
    """The call is up for a moment: it has to be acknowledged and hung up."""
    connect(agent, peer)
    invite = peer.expect('INVITE')
    peer.answer(invite, 180, 'Ringing')
    agent.wait('SIPSessionGotRingIndication')
    agent.call('end')
    cancel = peer.expect('CANCEL')
    answer(peer, invite, body=sdp())
    peer.answer(cancel, 200)
    assert peer.expect('ACK')
    peer.answer(peer.expect('BYE'), 200)
    assert failed(agent)['code'] == 487


@pytest.mark.parametrize('nonces', [['one', 'one'], ['one', 'two']])
def test_wrong_password(agent, peer, nonces):
    """It is given once, whatever the nonces are."""
    agent.do('set', target='account', credentials=['agent', 'secret'])
    connect(agent, peer)
    sent = {}
    while len(sent) < 2:
        invite = peer.expect('INVITE')
        if invite.get('cseq') not in sent:      # not the same one again
            assert (invite.get('authorization') is not None) is bool(sent)
            sent[invite.get('cseq')] = nonces.pop()
        peer.answer(invite, 401, 'Unauthorized', headers=f'WWW-Authenticate: Digest realm="test", nonce="{sent[invite.get("cseq")]}"\r\n')
    assert failed(agent)['code'] == 401


def test_a_challenge_without_credentials(agent, peer):
    connect(agent, peer)
    peer.answer(peer.expect('INVITE'), 407, 'Proxy Authentication Required', headers='Proxy-Authenticate: Digest realm="test", nonce="one"\r\n')
    fields = failed(agent)
    assert fields['code'] == 407 and fields['originator'] == 'remote', fields


@pytest.mark.parametrize('body', ['', sdp(media='audio', formats='0', transport='RTP/AVP'), 'v=0\r\no=nonsense\r\n'])
def test_an_answer_that_is_none(agent, peer, body):
    """Without a description, with another type of media, with garbage: acknowledged and hung up."""
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=body)
    assert peer.expect('ACK')
    peer.answer(peer.expect('BYE'), 200)
    fields = failed(agent)
    assert fields['originator'] == 'local' and fields['failure_reason'], fields
    assert not any(name == 'MediaStreamDidStart' for name, _, _ in agent.events)


def test_every_stream_is_refused(agent, peer):
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=sdp(port=0))
    assert peer.expect('ACK')
    peer.answer(peer.expect('BYE'), 200)
    assert agent.wait('SIPSessionDidFail')['originator'] == 'local'
    assert agent.do('sessions')['count'] == 0


def test_the_callee_hangs_up_at_once(agent, peer):
    """Its BYE comes right behind the 200, before our streams run."""
    agent.do('set', target='stream', trouble='slow-start')
    connect(agent, peer)
    invite = peer.expect('INVITE')
    answer(peer, invite, body=sdp())
    ack = peer.expect('ACK')
    peer.send(in_dialog(peer, 'BYE', ack))
    assert peer.expect(200)
    assert agent.wait('SIPSessionDidEnd') == {'originator': 'remote', 'end_reason': 'user_request'}
    assert agent.names()[-3:] == ['WillEnd', 'DidProcessTransaction', 'DidEnd'] and 'DidStart' not in agent.names()
    assert agent.do('sessions')['count'] == 0


@pytest.mark.parametrize('trouble, reason', [('init', 'media stream failed: in trouble'), ('raise', 'media stream failed: internal error')])
def test_no_stream_can_be_initialised(agent, peer, trouble, reason):
    agent.do('set', target='stream', trouble=trouble)
    connect(agent, peer)
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['failure_reason']) == ('local', 0, reason)
    assert peer.silent()


@pytest.mark.parametrize('trouble, reason', [('start', 'media stream failed: in trouble'), ('slow-start', 'media stream start timeout')])
def test_a_stream_does_not_start(agent, peer, trouble, reason):
    agent.do('set', target='stream', trouble=trouble)
    agent.do('set', target='session', media_stream_timeout=1)
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=sdp())
    bye = peer.expect('BYE')
    peer.answer(bye, 200)
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['reason'], fields['failure_reason']) == ('local', 0, None, reason)
    assert transaction(agent)['method'] == 'BYE'


def test_the_callee_vanishes_after_its_answer(agent, peer):
    """Our BYE is never answered."""
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=sdp())
    agent.wait('SIPSessionDidStart')
    agent.call('end')
    peer.expect('BYE')
    assert agent.wait('SIPSessionDidEnd') == {'originator': 'local', 'end_reason': 'user_request'}
    assert transaction(agent)['code'] == 408


def test_both_hang_up(agent, peer):
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=sdp())
    ack = peer.expect('ACK')
    agent.wait('SIPSessionDidStart')
    agent.call('end')
    bye = peer.expect('BYE')
    peer.send(in_dialog(peer, 'BYE', ack))
    assert peer.expect(200)
    peer.answer(bye, 200)
    assert agent.wait('SIPSessionDidEnd')['originator'] == 'local'
    assert agent.names().count('DidEnd') == 1 and agent.do('sessions')['count'] == 0


def test_the_connection_breaks(agent):
    """TCP: the callee's machine goes away while it rings."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(10)
        agent.do('connect', session='s', ports=[server.getsockname()[1]], streams=['plain'], transport='tcp')
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(4096).startswith(b'INVITE')
    fields = failed(agent, 's')
    assert (fields['originator'], fields['code']) == ('local', 408), fields


# ---- calls for us --------------------------------------------------------------------------------------------------


def invite(peer, body=None, **options):
    """Send an INVITE, the only one of this peer; the text, to be sent again."""
    peer.call = f'call-{next(numbers)}'
    headers = options.pop('headers', '')
    text = peer.request('INVITE', uri=f'sip:agent@127.0.0.1:{peer.engine[1]}', headers=headers + (TYPE if body != '' else ''),
                        body=sdp() if body is None else body, branch=f'z9hG4bK-{peer.call}', call_id=peer.call, **options)
    peer.send(text)
    return text


def cancel(peer):
    peer.send(peer.request('CANCEL', uri=f'sip:agent@127.0.0.1:{peer.engine[1]}', branch=f'z9hG4bK-{peer.call}', call_id=peer.call))


def acknowledge(peer, response, **options):
    peer.send(in_dialog(peer, 'ACK', response, cseq=1, **options))


def test_taken(agent, peer):
    """The way it should be, retransmissions included."""
    text = invite(peer)
    agent.wait('SIPSessionNewIncoming')
    peer.send(text)
    agent.call('send_ring_indication', 'in1')
    peer.expect(180)
    agent.do('accept', session='in1')
    response = peer.expect(200)
    peer.send(text)
    assert peer.expect(200).raw == response.raw
    acknowledge(peer, response)
    agent.wait('SIPSessionDidStart')
    assert transaction(agent) == {'originator': 'remote', 'method': 'INVITE', 'code': 200, 'reason': 'OK', 'ack_received': True}
    assert agent.names() == ['NewIncoming', 'WillStart', 'DidProcessTransaction', 'DidStart']
    agent.call('end', 'in1')
    peer.answer(peer.expect('BYE'), 200)
    agent.wait('SIPSessionDidEnd')


def test_the_ack_is_lost(agent, peer):
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    assert peer.expect(200).raw == peer.expect(200).raw         # sent again and again
    bye = peer.expect('BYE')
    peer.answer(bye, 200)
    fields = failed(agent)
    assert fields['originator'] == 'local' and fields['failure_reason'] == 'missing ACK', fields
    transactions = [fields for name, _, fields in agent.events if name == 'SIPSessionDidProcessTransaction' and fields['method'] == 'INVITE']
    assert [fields['ack_received'] for fields in transactions] == [False] and transactions[0]['code'] == 200


def test_the_ack_is_late(agent, peer):
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    for _ in range(3):
        response = peer.expect(200)
    acknowledge(peer, response)
    agent.wait('SIPSessionDidStart')


@pytest.mark.parametrize('when', ['new', 'ringing', 'accepting'])
def test_the_caller_gives_up(agent, peer, when):
    agent.do('set', target='stream', trouble='slow-init')
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    if when == 'ringing':
        agent.call('send_ring_indication', 'in1')
        peer.expect(180)
    elif when == 'accepting':
        agent.do('accept', session='in1')
    cancel(peer)
    assert {peer.receive().code for _ in range(2)} <= {100, 200, 487}
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['reason']) == ('remote', 487, 'Session Cancelled')
    assert transaction(agent) == {'originator': 'remote', 'method': 'INVITE', 'code': 487, 'reason': 'Session Cancelled', 'ack_received': 'unknown'}


@pytest.mark.parametrize('code', [300, 403, 480, 486, 500, 603])
def test_we_refuse(agent, peer, code):
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.call('reject', 'in1', code, 'not now')
    response = peer.expect(code)
    assert response.start == f'SIP/2.0 {code} not now'
    peer.send(peer.request('ACK', uri=f'sip:agent@127.0.0.1:{peer.engine[1]}', branch=f'z9hG4bK-{peer.call}', call_id=peer.call, to_tag=tag_of(response.get('to'))))
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['failure_reason']) == ('local', code, 'user_request')
    assert transaction(agent) == {'originator': 'remote', 'method': 'INVITE', 'code': code, 'reason': fields['reason'], 'ack_received': 'unknown'}


def test_the_ack_of_our_refusal_is_lost(agent, peer):
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.call('reject', 'in1', 486)
    assert peer.expect(486).raw == peer.expect(486).raw
    assert failed(agent)['failure_reason'] == 'user_request'
    assert transaction(agent)['ack_received'] == 'unknown'
    assert peer.expect(486)


def test_we_end_it_unanswered(agent, peer):
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.call('end', 'in1')
    peer.expect(480)
    assert failed(agent)['code'] == 480


def test_we_end_it_before_the_ack(agent, peer):
    """RFC 3261 section 15: our BYE has to wait for the ACK."""
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    response = peer.expect(200)
    agent.call('end', 'in1')
    message = peer.receive()
    while message.code == 200:
        message = peer.receive(5) if not peer.silent(0.1) else None
        if message is None:
            break
    acknowledge(peer, response)
    if message is None:
        message = peer.expect('BYE')
    assert message.method == 'BYE'
    peer.answer(message, 200)
    assert agent.wait('SIPSessionDidEnd')['originator'] == 'local'


@pytest.mark.parametrize('trouble', ['init', 'raise'])
def test_accepted_but_no_stream_can_be_initialised(agent, peer, trouble):
    agent.do('set', target='stream', trouble=trouble)
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    peer.expect(500)
    fields = failed(agent)
    assert (fields['originator'], fields['code']) == ('local', 500) and fields['failure_reason'].startswith('media stream failed')


@pytest.mark.parametrize('trouble, reason', [('start', 'media stream failed: in trouble'), ('slow-start', 'media stream start timeout')])
def test_accepted_but_a_stream_does_not_start(agent, peer, trouble, reason):
    agent.do('set', target='stream', trouble=trouble)
    agent.do('set', target='session', media_stream_timeout=1)
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    acknowledge(peer, peer.expect(200))
    bye = peer.expect('BYE')
    assert 'SIP;cause=500' in bye.get('reason').replace(' ', '')
    peer.answer(bye, 200)
    fields = failed(agent)
    assert (fields['originator'], fields['code'], fields['failure_reason']) == ('local', 0, reason)


def test_the_caller_hangs_up_while_streams_start(agent, peer):
    agent.do('set', target='stream', trouble='slow-start')
    invite(peer)
    agent.wait('SIPSessionNewIncoming')
    agent.do('accept', session='in1')
    response = peer.expect(200)
    acknowledge(peer, response)
    peer.send(in_dialog(peer, 'BYE', response))
    assert peer.expect(200)
    assert agent.wait('SIPSessionDidEnd')['originator'] == 'remote'
    assert 'DidStart' not in agent.names() and agent.do('sessions')['count'] == 0


def test_no_offer_and_no_answer(agent, peer):
    """An INVITE without a description, and an ACK without one."""
    invite(peer, body='')
    assert agent.wait('SIPSessionNewIncoming')['streams'] == []
    agent.do('accept', session='in1')
    response = peer.expect(200)
    assert 'm=message' in response.body
    acknowledge(peer, response)
    peer.answer(peer.expect('BYE'), 200)
    assert failed(agent)['originator'] == 'local'


def test_nothing_we_know(agent, peer):
    invite(peer, body=sdp(media='video', formats='31', transport='RTP/AVP'))
    assert agent.wait('SIPSessionNewIncoming')['streams'] == []
    agent.call('reject', 'in1', 488)
    peer.expect(488)
    assert failed(agent)['code'] == 488


@pytest.mark.parametrize('options, code', [
    ({'headers': 'Require: teleportation\r\n'}, 420), ({'headers': 'Content-Type: text/plain\r\n', 'body': 'hello'}, 415), ({'to': 'sip:nobody@127.0.0.1'}, None),
    ({'headers': 'Replaces: unknown;to-tag=a;from-tag=b\r\n'}, 481)])
def test_nobody_is_asked(agent, peer, options, code):
    """What the stack or the manager answers by itself."""
    if code == 415:
        peer.send(peer.request('INVITE', uri=f'sip:agent@127.0.0.1:{peer.engine[1]}', **options))
    elif code is None:
        peer.send(peer.request('INVITE', uri=f'sip:nobody@127.0.0.1:{peer.engine[1]}', headers=TYPE, body=sdp()))
        code = 404
    else:
        invite(peer, **options)
    assert peer.expect(code)
    assert agent.do('sessions')['count'] == 0 and agent.names() == []


def test_a_running_call_without_a_peer(agent, peer):
    """In mid-call the dialog is gone: the peer answers our re-INVITE with 481."""
    connect(agent, peer)
    answer(peer, peer.expect('INVITE'), body=sdp())
    peer.expect('ACK')
    agent.wait('SIPSessionDidStart')
    agent.do('add', session='s', streams=['plain'])
    peer.answer(peer.expect('INVITE'), 481, 'Call/Transaction Does Not Exist')
    agent.wait('SIPSessionDidEnd')
    assert agent.do('sessions')['count'] == 0
