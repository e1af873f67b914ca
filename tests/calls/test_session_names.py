"""Host names in the descriptions of a scripted peer, in calls. All are of this machine, and would be found if anybody looked them up."""

from __future__ import annotations

import pytest

from tests.support.sip_peer import UDPPeer, tag_of

TYPE = 'Content-Type: application/sdp\r\n'
CREDENTIALS = 'a=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n'
NAMES = CREDENTIALS + 'a=candidate:1 1 UDP 2130706431 localhost 5000 typ host\r\n'
ADDRESSES = NAMES + ''.join(f'a=candidate:2 {component} UDP 2130706430 127.0.0.1 500{component} typ host\r\n' for component in (1, 2))


def audio(host, port=5000, lines='', version=1):
    return (f'v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{lines}')


@pytest.fixture
def callee(audio_pair):
    audio_pair.start()
    return audio_pair.callee


@pytest.fixture
def caller(audio_pair, callee):
    with UDPPeer(audio_pair.port) as peer:
        yield peer


def use_ice(process):
    process.do('set', target='account', **{'nat_traversal.use_ice': True, 'id': 'agent@local'})


def invite(peer, body):
    peer.send(peer.request('INVITE', headers=TYPE, body=body))


def in_dialog(peer, method, response, cseq, body=''):
    return peer.request(method, cseq=cseq, call_id=response.get('call-id'), from_tag=tag_of(response.get('from')), to_tag=tag_of(response.get('to')),
                        headers=TYPE if body else '', body=body)


def accepted(callee, peer):
    callee.wait('SIPSessionNewIncoming')
    callee.do('accept', session='in1')
    response = peer.expect(200)
    peer.send(in_dialog(peer, 'ACK', response, 1))
    return response


@pytest.mark.parametrize('lines', ['', CREDENTIALS, NAMES])
@pytest.mark.parametrize('ice', [False, True])
def test_nothing_is_proposed(callee, caller, ice, lines):
    if ice:
        use_ice(callee)
    invite(caller, audio('localhost', lines=lines))
    assert callee.wait('SIPSessionNewIncoming')['streams'] == []
    callee.call('reject', 'in1', 488)
    caller.expect(488)


@pytest.mark.parametrize('host, port', [('localhost', 5000), ('localhost', 9), ('0.0.0.0', 9), ('127.0.0.1', 5001)])
def test_ice_is_used(callee, caller, host, port):
    use_ice(callee)
    invite(caller, audio(host, port, ADDRESSES))
    answer = accepted(callee, caller).body
    assert 'c=IN IP4 127.0.0.1\r\n' in answer and 'a=candidate:' in answer and 'a=ice-mismatch' not in answer
    assert 'a=sendrecv' in answer
    callee.call('end', 'in1')
    caller.answer(caller.expect('BYE'), 200)
    callee.wait('SIPSessionDidEnd')


def test_new_description_with_a_name(callee, caller):
    """It is refused, and the call goes on as it was."""
    invite(caller, audio('127.0.0.1'))
    response = accepted(callee, caller)
    callee.wait('SIPSessionDidStart')
    caller.send(in_dialog(caller, 'INVITE', response, 2, audio('localhost', version=2)))
    caller.send(in_dialog(caller, 'ACK', caller.expect(488), 2))
    caller.send(in_dialog(caller, 'INVITE', response, 3, audio('127.0.0.1', 6000, version=2)))
    again = caller.expect(200)
    caller.send(in_dialog(caller, 'ACK', again, 3))
    callee.call('end', 'in1')
    caller.answer(caller.expect('BYE'), 200)
    assert callee.wait('SIPSessionDidEnd')['end_reason'] == 'user_request'


def test_answer_with_a_name(audio_pair, callee, caller):
    callee.do('connect', session='s', ports=[caller.port], streams=['audio'])
    caller.answer(caller.expect('INVITE'), 200, headers=TYPE, body=audio('localhost'))
    caller.expect('ACK')
    caller.answer(caller.expect('BYE'), 200)
    assert 'host name' in callee.wait('SIPSessionDidFail')['failure_reason']


def test_msrp(agent, peer):
    """Its addresses are in the path."""
    invite(peer, 'v=0\r\no=- 1 1 IN IP4 localhost\r\ns=test\r\nc=IN IP4 localhost\r\nt=0 0\r\nm=message 2855 TCP/MSRP *\r\n')
    assert 'c=IN IP4 127.0.0.1\r\n' in accepted(agent, peer).body
    agent.call('end', 'in1')
    peer.answer(peer.expect('BYE'), 200)
    agent.wait('SIPSessionDidEnd')
