"""The Engine stops while things are under way: each of them ends, says so, and is forgotten; nothing begins any more."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sipsimple.core import (
    ContactHeader,
    Engine,
    FromHeader,
    Header,
    Invitation,
    Message,
    Registration,
    Request,
    RouteHeader,
    RTPTransport,
    SIPCoreError,
    SIPURI,
    ToHeader,
)
from tests.support.engine import nothing_left, running_engine
from tests.support.sip_calls import Incoming, Outgoing

ROOT = Path(__file__).resolve().parents[2]
STOPPED = 'the Engine has stopped'
ALICE, BOB = SIPURI(host='example.com', user='alice'), SIPURI(host='example.com', user='bob')


def route_to(peer):
    return RouteHeader(SIPURI(host='127.0.0.1', port=peer.port))


def request_to(peer, method='OPTIONS', **kwargs):
    return Request(method, BOB, FromHeader(ALICE), ToHeader(BOB), route_to(peer), **kwargs)


class Stopped:
    """What came from an object between SIPEngineWillEnd and SIPEngineDidEnd."""

    def __init__(self, engine, seen):
        before = len(seen.past)
        engine.stop()
        seen.wait('SIPEngineDidEnd')
        assert engine.join(15)
        self.notifications = seen.past[before:]

    def of(self, sender):
        return [(past.name, vars(past.data)) for past in self.notifications if past.sender is sender]


@pytest.fixture
def engine(seen):
    with running_engine(incoming_requests={'PING'}) as engine:
        yield engine


def bound():
    return Engine().diagnostics()['bound']


def test_request_in_progress(engine, peer, seen):
    request = request_to(peer)
    request.send()
    peer.expect('OPTIONS')
    stopped = Stopped(engine, seen)
    assert stopped.of(request) == [('SIPRequestDidFail', {'code': 0, 'reason': STOPPED}), ('SIPRequestDidEnd', {})]
    assert request.state == 'TERMINATED' and bound() == 0
    request.end()                               # harmless


def test_request_that_lasts(engine, peer, seen):
    request = request_to(peer, 'PUBLISH', extra_headers=[Header('Expires', '600')])
    request.send()
    peer.answer(peer.expect('PUBLISH'), 200, headers='Expires: 600\r\n')
    seen.wait('SIPRequestDidSucceed', sender=request)
    assert request.state == 'EXPIRING'
    stopped = Stopped(engine, seen)
    assert stopped.of(request) == [('SIPRequestDidEnd', {})]
    assert (request.state, request.expires_in, bound()) == ('TERMINATED', 0, 0)


def test_message_in_progress(engine, peer, seen):
    message = Message(FromHeader(ALICE), ToHeader(BOB), route_to(peer), 'text/plain', 'hello')
    message.send()
    peer.expect('MESSAGE')
    stopped = Stopped(engine, seen)
    assert stopped.of(message) == [('SIPMessageDidFail', {'code': 0, 'reason': STOPPED})]
    assert not message.in_progress


@pytest.mark.parametrize('registered', [False, True])
def test_registration(engine, peer, seen, registered):
    registration = Registration(FromHeader(ALICE))
    registration.register(ContactHeader(SIPURI(host='127.0.0.1', port=5999, user='me')), route_to(peer))
    sent = peer.expect('REGISTER')
    if registered:
        peer.answer(sent, 200, headers='Expires: 600\r\n')
        seen.wait('SIPRegistrationDidSucceed', sender=registration)
    stopped = Stopped(engine, seen)
    names = [name for name, _ in stopped.of(registration)]
    assert names == (['SIPRegistrationDidEnd'] if registered else ['SIPRegistrationDidFail'])
    assert not registration.is_registered and bound() == 0


@pytest.mark.parametrize('state', ['calling', 'early', 'connected', 'offering'])
def test_outgoing_call(engine, peer, seen, state):
    call = Outgoing(peer, seen)
    if state == 'calling':
        call.state('outgoing')
    elif state == 'early':
        call.answer(180)
        call.state('early')
    else:
        call.connect()
    if state == 'offering':
        call.invitation.send_reinvite()
        peer.expect('INVITE')
        call.state('connected', sub_state='sent_proposal')
    stopped = Stopped(engine, seen)
    changes = [data for name, data in stopped.of(call.invitation) if name == 'SIPInvitationChangedState']
    assert [data['state'] for data in changes] == ['disconnected']
    assert {name: changes[0][name] for name in ('originator', 'code', 'reason', 'disconnect_reason')} == {
        'originator': 'local', 'code': 0, 'reason': STOPPED, 'disconnect_reason': STOPPED}
    assert call.invitation.state == 'disconnected' and bound() == 0
    if state == 'early':
        peer.expect('CANCEL')
    elif state == 'connected':
        peer.expect('BYE')
    with pytest.raises(SIPCoreError):
        call.invitation.send_reinvite()
    call.invitation.end()                       # harmless


@pytest.mark.parametrize('connected', [False, True])
def test_incoming_call(engine, peer, seen, connected):
    call = Incoming(peer, seen)
    if connected:
        call.connect()
    stopped = Stopped(engine, seen)
    changes = [data['state'] for name, data in stopped.of(call.invitation) if name == 'SIPInvitationChangedState']
    assert changes == ['disconnected'] and bound() == 0
    peer.expect('BYE' if connected else 480)


def test_incoming_request(engine, peer, seen):
    peer.send(peer.request('PING'))
    request = seen.wait('SIPIncomingRequestGotRequest').sender
    stopped = Stopped(engine, seen)
    assert stopped.of(request) == [] and bound() == 0
    peer.expect(500)
    with pytest.raises(SIPCoreError):
        request.answer(200)


def test_transport_that_waits_for_stun(engine, seen):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(('127.0.0.1', 0))
        transport = RTPTransport(use_ice=True, ice_stun_address='127.0.0.1', ice_stun_port=silent.getsockname()[1])
        transport.set_INIT()
        assert transport.state == 'WAIT_STUN'
        stopped = Stopped(engine, seen)
    assert stopped.of(transport)[-1] == ('RTPTransportDidFail', {'reason': STOPPED})
    assert bound() == 0


def run(code):
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (done.stderr[-3000:], done.returncode) == ('', 0)
    return done.stdout


NAT = '''
import socket
from sipsimple.core import Engine
from tests.support.engine import Seen

seen, engine = Seen(), Engine()
engine.start(udp_port=0, ip_address='127.0.0.1')
seen.wait('SIPEngineDidStart')
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
    silent.bind(('127.0.0.1', 0))
    engine.detect_nat_type('127.0.0.1', silent.getsockname()[1], user_data='mine')
    engine.stop()
    told = seen.wait('SIPEngineDetectedNATType')
    seen.wait('SIPEngineDidEnd')
print(sorted(vars(told.data).items()))
'''


def test_search_for_the_nat():
    """In a process of its own: PJNATH cannot be told to stop, and what it holds stays."""
    assert run(NAT) == f"{[('error', STOPPED), ('succeeded', False), ('user_data', 'mine')]}\n"


def test_nothing_is_sent_by_what_was_made_before(engine, peer, seen):
    """It took the process down."""
    request, invitation = request_to(peer), Invitation()
    Stopped(engine, seen)
    with pytest.raises(SIPCoreError):
        request.send()
    with pytest.raises(SIPCoreError):
        invitation.send_invite(BOB, FromHeader(ALICE), ToHeader(BOB), route_to(peer), ContactHeader(ALICE), None)
    assert request.state == 'INIT' and bound() == 0
    del request, invitation
    gc.collect()
    assert nothing_left()


AMID_CALLS = '''
import socket, threading
from sipsimple.core import ContactHeader, Engine, FromHeader, Invitation, Request, RouteHeader, SIPCoreError, SIPURI, ToHeader
from sipsimple.notification import NotificationCenter
from tests.support.engine import Seen, wait_until

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(('127.0.0.1', 0))
uri, route = SIPURI(host='example.com', user='bob'), RouteHeader(SIPURI(host='127.0.0.1', port=silent.getsockname()[1]))
ends, sent = [], []

class Observer:
    def handle_notification(self, notification):
        if notification.name == 'SIPRequestDidEnd' or (notification.name == 'SIPInvitationChangedState' and notification.data.state == 'disconnected'):
            ends.append(notification.sender)

observer = Observer()
NotificationCenter().add_observer(observer)
seen = Seen()
engine = Engine()

def work():
    try:
        while True:
            request = Request('OPTIONS', uri, FromHeader(uri), ToHeader(uri), route)
            request.send()
            sent.append(request)
            invitation = Invitation()
            invitation.send_invite(uri, FromHeader(uri), ToHeader(uri), route, ContactHeader(uri), None)
            sent.append(invitation)
    except SIPCoreError:
        pass

for _ in range(6):
    engine.start(udp_port=0, ip_address='127.0.0.1')
    seen.wait('SIPEngineDidStart')
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(sent) >= 40), sent
    engine.stop()
    assert engine.join(30), 'the engine does not end'
    for thread in threads:
        thread.join()
    assert engine.diagnostics()['bound'] == 0, engine.diagnostics()
    assert sorted(map(id, ends)) == sorted(map(id, sent)), (len(ends), len(sent))
    ends.clear()
    sent.clear()
'''


def test_stop_amid_calls_of_other_threads():
    """Whatever send() has accepted ends once; nothing is used after its end."""
    assert run(AMID_CALLS) == ''


AMID_STREAMS = '''
import os
import threading
from sipsimple.core import AudioMixer, Engine, SIPCoreError
from tests.native.rtp_support import Pair
from tests.support.engine import Seen

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
seen = Seen()
engine = Engine()

for _ in range(20):
    engine.start(udp_port=0, ip_address='127.0.0.1')
    seen.wait('SIPEngineDidStart')
    mixer = AudioMixer(None, None, 16000, 0)
    pairs = [Pair(mixer).start() for _ in range(6)]
    go = threading.Barrier(len(pairs) + 1)

    def stop(pair):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)      # the engine's threads come first, in the middle of it
        go.wait()
        try:
            pair.a.stop()
            pair.b.stop()
        except SIPCoreError:
            pass
    threads = [threading.Thread(target=stop, args=[pair]) for pair in pairs]
    for thread in threads:
        thread.start()
    go.wait()
    engine.stop()
    for thread in threads:
        thread.join()
    assert engine.join(30), 'the engine does not end'
'''


def test_stop_amid_ends_of_streams():
    """A stream that another thread has begun to stop keeps what it needs until it has ended."""
    assert run(AMID_STREAMS) == ''


AMID_TIMERS = '''
import threading
from sipsimple.core import Engine, PJSIPError, _timers
from tests.support.engine import Seen, wait_until

seen = Seen()
engine = Engine()
kept = []

def work():
    try:
        while True:
            timer = _timers.call_later(1000, print)
            kept.append(timer)
            _timers.call_later(1000, print).cancel()
    except PJSIPError:
        pass

for _ in range(20):
    engine.start(udp_port=0, ip_address='127.0.0.1')
    seen.wait('SIPEngineDidStart')
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(kept) >= 40), kept
    engine.stop()
    for thread in threads:
        thread.join()
    for timer in kept:                  # as those do who are told of the end
        timer.cancel()
    kept.clear()
    assert engine.join(30), 'the engine does not end'
'''


def test_stop_amid_timers_of_other_threads():
    """None is started in what is being taken down, or asked of it."""
    assert run(AMID_TIMERS) == ''
