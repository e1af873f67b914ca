"""Transfers between three processes: alice asks bob to call carol."""

import time
from types import SimpleNamespace

import pytest

from tests.calls.conftest import LIMIT, Process


@pytest.fixture(params=['plain', 'audio'])
def three(request):
    """alice has called bob, who has accepted. What an accepted REFER makes is a call with audio, so that bob and carol have it in any case."""
    parties = {name: Process(name) for name in ('alice', 'bob', 'carol')}
    try:
        ports = {name: process.do('start')['port'] for name, process in parties.items()}
        three = SimpleNamespace(**parties, ports=ports)
        parties['alice'].do('connect', session='s', ports=[ports['bob']], streams=[request.param])
        parties['bob'].wait('SIPSessionNewIncoming')
        parties['bob'].do('accept', session='in1')
        for name in ('alice', 'bob'):
            parties[name].wait('SIPSessionDidStart')
        yield three
    finally:
        for process in parties.values():
            process.stop()


def test_blind(three):
    three.alice.do('transfer', session='s', port=three.ports['carol'])
    asked = three.bob.wait('SIPSessionTransferNewIncoming')
    assert asked['transfer_destination'] == f'sip:agent@127.0.0.1:{three.ports["carol"]}' and asked['transfer_source'].startswith('sip:agent@127.0.0.1')
    three.bob.call('accept_transfer', 'in1')
    three.carol.wait('SIPSessionNewIncoming')
    three.carol.call('send_ring_indication', 'in1')
    three.bob.wait('SIPSessionGotRingIndication')
    three.carol.do('accept', session='in1')
    three.carol.wait('SIPSessionDidStart')
    assert three.bob.wait('SIPSessionDidStart')['streams'] == ['audio']
    three.bob.wait('SIPSessionTransferDidEnd', 'in1')
    three.bob.wait('SIPSessionDidEnd', 'in1')
    three.alice.wait('SIPSessionTransferDidStart')
    progress = [three.alice.wait('SIPSessionTransferGotProgress')['code'] for _ in range(3)]
    assert progress == [100, 180, 200]
    three.alice.wait('SIPSessionTransferDidEnd')
    three.alice.wait('SIPSessionDidEnd')
    assert three.carol.state('in1') == 'connected'


def test_attended(three):
    """alice has asked carol whether she wants to talk to bob; bob's call takes the place of alice's."""
    three.alice.do('connect', session='c', ports=[three.ports['carol']], streams=['audio'])
    three.carol.wait('SIPSessionNewIncoming')
    three.carol.do('accept', session='in1')
    three.alice.wait('SIPSessionDidStart', 'c')
    three.alice.do('transfer', session='s', port=three.ports['carol'], replaced='c')
    three.bob.wait('SIPSessionTransferNewIncoming')
    three.bob.call('accept_transfer', 'in1')
    assert three.carol.wait('SIPSessionNewIncoming')['replaced_dialog'] is not None
    three.carol.do('accept', session='in2')
    three.carol.wait('SIPSessionDidStart', 'in2')
    three.carol.wait('SIPSessionDidEnd', 'in1')                 # replaced
    three.alice.wait('SIPSessionTransferDidEnd', 's')
    three.bob.wait('SIPSessionDidEnd', 'in1')
    until = time.monotonic() + LIMIT
    while three.alice.names().count('DidEnd') < 2:      # the one that was replaced may have ended before or after the news of the transfer
        assert time.monotonic() < until
        three.alice.do('sessions')                      # reads what it tells
    assert three.alice.do('sessions')['count'] == 0 and three.carol.state('in2') == 'connected'


def test_busy_then_rejected_then_done(three):
    for answer, code in (('reject', 486), (None, 480)):
        three.carol.do('set', target='agent', auto=answer)
        three.alice.do('transfer', session='s', port=three.ports['carol'], user='agent' if answer else 'nobody')
        three.bob.wait('SIPSessionTransferNewIncoming')
        if answer:
            three.bob.call('accept_transfer', 'in1')
        else:
            three.bob.call('reject_transfer', 'in1', code)
        assert three.alice.wait('SIPSessionTransferDidFail')['code'] == three.bob.wait('SIPSessionTransferDidFail')['code'] == code
        assert three.alice.state() == three.bob.state('in1') == 'connected'
    three.carol.do('set', target='agent', auto='accept')
    three.alice.do('transfer', session='s', port=three.ports['carol'])
    three.bob.wait('SIPSessionTransferNewIncoming')
    three.bob.call('accept_transfer', 'in1')
    three.alice.wait('SIPSessionDidEnd', 's')
    three.bob.wait('SIPSessionDidEnd', 'in1')


def test_transferor_hangs_up_at_once(three):
    three.alice.do('transfer', session='s', port=three.ports['carol'])
    three.bob.wait('SIPSessionTransferNewIncoming')
    three.bob.call('accept_transfer', 'in1')
    three.carol.wait('SIPSessionNewIncoming')
    three.alice.call('end')
    assert three.alice.wait('SIPSessionTransferDidFail')['code'] == 0
    three.bob.wait('SIPSessionDidEnd', 'in1')
    three.carol.do('accept', session='in1')
    three.bob.wait('SIPSessionTransferDidEnd', 'in1')
    three.carol.wait('SIPSessionDidStart')
