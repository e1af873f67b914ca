"""Real calls between two processes, signalling and all: each test once with a stream of the test's own type and once with audio."""

from __future__ import annotations

import socket


def test_call(pair):
    pair.connect()
    assert pair.callee.wait('SIPSessionNewIncoming')['streams'] == [pair.media]
    pair.callee.call('send_ring_indication', 'in1')
    pair.caller.wait('SIPSessionGotRingIndication')
    pair.callee.do('accept', session='in1')
    pair.caller.wait('SIPSessionDidStart')
    pair.callee.wait('SIPSessionDidStart')
    assert pair.caller.state() == 'connected' and pair.callee.state('in1') == 'connected'
    facts = pair.callee.do('get', args=['in1', 'transport', 'remote_identity', 'local_identity', 'remote_user_agent', 'direction', 'on_hold'])
    assert facts['transport'] == 'udp' and facts['direction'] == 'incoming' and facts['on_hold'] is False
    assert 'agent@127.0.0.1' in facts['remote_identity'] and 'agent@127.0.0.1' in facts['local_identity'] and facts['remote_user_agent']
    pair.caller.call('end')
    assert pair.caller.wait('SIPSessionDidEnd') == {'originator': 'local', 'end_reason': 'user_request'}
    assert pair.callee.wait('SIPSessionDidEnd') == {'originator': 'remote', 'end_reason': 'user_request'}
    assert pair.caller.names() == ['NewOutgoing', 'GotRingIndication', 'GotProvisionalResponse', 'WillStart', 'DidProcessTransaction', 'DidStart', 'WillEnd',
                                   'DidProcessTransaction', 'DidEnd']
    assert pair.callee.names() == ['NewIncoming', 'WillStart', 'DidProcessTransaction', 'DidStart', 'WillEnd', 'DidProcessTransaction', 'DidEnd']
    assert pair.caller.do('sessions')['count'] == pair.callee.do('sessions')['count'] == 0


def test_callee_ends(pair):
    pair.connected()
    pair.callee.call('end', 'in1')
    assert pair.caller.wait('SIPSessionDidEnd')['originator'] == 'remote'
    assert pair.callee.wait('SIPSessionDidProcessTransaction')['method'] == 'BYE'
    pair.callee.wait('SIPSessionDidEnd')


def test_rejected(pair):
    pair.connect()
    pair.callee.wait('SIPSessionNewIncoming')
    pair.callee.call('reject', 'in1', 486, 'In a meeting')
    failure = pair.caller.wait('SIPSessionDidFail')
    assert (failure['originator'], failure['code'], failure['reason']) == ('remote', 486, 'In a meeting')
    failure = pair.callee.wait('SIPSessionDidFail')
    assert (failure['originator'], failure['code'], failure['reason']) == ('local', 486, 'Busy Here')


def test_cancelled(pair):
    pair.connect()
    pair.callee.wait('SIPSessionNewIncoming')
    pair.callee.call('send_ring_indication', 'in1')
    pair.caller.wait('SIPSessionGotRingIndication')
    pair.caller.call('end')
    failure = pair.caller.wait('SIPSessionDidFail')
    assert (failure['originator'], failure['code'], failure['failure_reason']) == ('local', 487, 'user_request')
    failure = pair.callee.wait('SIPSessionDidFail')
    assert (failure['originator'], failure['code'], failure['reason']) == ('remote', 487, 'Session Cancelled')


def test_unknown_account(pair):
    pair.connect(user='nobody')
    assert pair.caller.wait('SIPSessionDidFail')['code'] == 404
    assert pair.callee.names() == []


def test_dead_route_and_one_that_works(pair):
    """Nobody listens at the first port: over TCP that is known at once, over UDP after the transaction's timeout; here the port answers 503."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(('127.0.0.1', 0))
        server.settimeout(10)
        pair.connect(ports=[server.getsockname()[1], pair.port])
        request, address = server.recvfrom(65535)
        lines = request.decode().split('\r\n')
        keep = [line for line in lines[1:] if line.lower().startswith(('via:', 'from:', 'call-id:', 'cseq:'))]
        to_header = next(line for line in lines if line.lower().startswith('to:'))
        server.sendto('\r\n'.join(['SIP/2.0 503 Service Unavailable', *keep, to_header + ';tag=x', 'Content-Length: 0', '', '']).encode(), address)
        pair.callee.wait('SIPSessionNewIncoming')
        pair.callee.do('accept', session='in1')
        pair.caller.wait('SIPSessionDidStart')
    assert pair.caller.names().count('NewOutgoing') == 1


def test_add_and_remove(pair):
    pair.connected('plain')
    pair.caller.do('add', session='s', streams=['plain'])
    assert pair.callee.wait('SIPSessionGotProposal')['originator'] == 'remote'
    pair.callee.do('accept_proposal', session='in1')
    for side, originator in ((pair.caller, 'local'), (pair.callee, 'remote')):
        accepted = side.wait('SIPSessionGotAcceptProposal')
        assert accepted['originator'] == originator and accepted['streams'] == ['plain']
        assert side.wait('SIPSessionDidRenegotiateStreams')['action'] == 'add'
    pair.callee.do('add', session='in1', streams=['plain'])
    pair.caller.wait('SIPSessionGotProposal')
    pair.caller.call('reject_proposal')
    assert pair.callee.wait('SIPSessionGotRejectProposal')['code'] == 488
    pair.caller.wait('SIPSessionGotRejectProposal')
    pair.caller.do('remove', session='s', type='plain')
    for side in (pair.caller, pair.callee):
        assert side.wait('SIPSessionDidRenegotiateStreams')['action'] == 'remove'


def test_ringing_during_a_proposal(pair):
    pair.connected('plain')
    pair.caller.do('add', session='s', streams=['plain'])
    pair.callee.wait('SIPSessionGotProposal')
    pair.callee.call('send_ring_indication', 'in1')
    assert pair.caller.wait('SIPSessionGotProvisionalResponse') == {'code': 180, 'reason': 'Ringing'}
    assert pair.caller.names().count('GotRingIndication') == 1
    pair.callee.do('accept_proposal', session='in1')
    for side in (pair.caller, pair.callee):
        side.wait('SIPSessionDidRenegotiateStreams')


def test_proposal_cancelled(pair):
    pair.connected('plain')
    pair.caller.do('add', session='s', streams=['plain'])
    pair.callee.wait('SIPSessionGotProposal')
    pair.caller.call('cancel_proposal')
    assert pair.caller.wait('SIPSessionGotRejectProposal')['code'] == 487
    assert pair.callee.wait('SIPSessionGotRejectProposal')['code'] == 487
    assert pair.caller.state() == 'connected' and pair.callee.state('in1') == 'connected'


def test_stop_ends_all(pair):
    pair.connected()
    assert pair.callee.do('stop_manager')['stopped']
    assert pair.caller.wait('SIPSessionDidEnd')['originator'] == 'remote'


def test_many_calls(pair):
    pair.callee.do('set', target='agent', auto='ring+accept', quiet=True)
    result = pair.caller.do('load', port=pair.port, calls=60, window=20, streams=[pair.media])
    assert result['finished'] and result['failed'] == 0, result
    assert pair.caller.do('sessions')['count'] == 0
    for side in (pair.caller, pair.callee):
        assert side.do('leftovers')['leftovers'] == {}


def test_tcp(plain_pair):
    plain_pair.start(tcp_port=0)
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))           # bound, but not listening: a connection is refused
        plain_pair.connect(ports=[closed.getsockname()[1], plain_pair.tcp_port], transport='tcp')
        plain_pair.callee.wait('SIPSessionNewIncoming')
    plain_pair.callee.do('accept', session='in1')
    plain_pair.caller.wait('SIPSessionDidStart')
    assert plain_pair.callee.do('get', args=['in1', 'transport'])['transport'] == 'tcp'
    plain_pair.caller.call('end')
    plain_pair.callee.wait('SIPSessionDidEnd')


def test_no_route_works(plain_pair):
    plain_pair.start(tcp_port=0)
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        plain_pair.connect(ports=[closed.getsockname()[1]], transport='tcp')
        failure = plain_pair.caller.wait('SIPSessionDidFail')
    assert (failure['originator'], failure['code']) == ('local', 408), failure


def test_peer_disappears(plain_pair):
    """A callee that is gone without a word: ending takes no longer than the limit of the BYE."""
    plain_pair.start()
    plain_pair.connected()
    plain_pair.callee.pause()
    try:
        plain_pair.caller.call('end')
        assert plain_pair.caller.wait('SIPSessionDidEnd')['end_reason'] == 'user_request'
        transactions = [fields for name, _, fields in plain_pair.caller.events if name == 'SIPSessionDidProcessTransaction' and fields['method'] == 'BYE']
        assert [fields['code'] for fields in transactions] == [408]
    finally:
        plain_pair.callee.resume()
