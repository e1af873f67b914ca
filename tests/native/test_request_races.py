"""Answers that are there before a send returns, sends that fail at once, transfers that end at any moment (B7, B9, B10 of PJSIP's list of faults)."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sipsimple.core import Credentials, Engine, FromHeader, PJSIPError, Request, RouteHeader, SIPURI, ToHeader
from tests.support.engine import Seen, nothing_left
from tests.support.sip_calls import Outgoing
from tests.support.sip_peer import UDPPeer

ENGINE_OPTIONS = {'tcp_port': 0}
FULL = bool(os.environ.get('SIPSIMPLE_FULL_LOAD'))
CHALLENGE = 'WWW-Authenticate: Digest realm="example.com", nonce="one", qop="auth"\r\n'
FRAGMENT = 'Content-Type: message/sipfrag;version=2.0\r\n'


@contextmanager
def challenging(peer: UDPPeer) -> Iterator[None]:
    """The peer answers every request the moment it comes: 401, and 200 to credentials."""
    end = threading.Event()

    def run() -> None:
        while not end.is_set():
            try:
                request = peer.receive(0.1)
            except TimeoutError:
                continue
            if request.get('authorization'):
                peer.answer(request, 200)
            else:
                peer.answer(request, 401, headers=CHALLENGE)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def request_to(host: str, port: int, transport: str = 'udp') -> Request:
    uri = SIPURI(host='example.com', user='bob')
    return Request('MESSAGE', uri, FromHeader(SIPURI(host='example.com', user='alice')), ToHeader(uri),
                   RouteHeader(SIPURI(host=host, port=port, parameters={'transport': transport})), credentials=Credentials('alice', 'secret'))


def test_challenged_at_once(peer: UDPPeer, seen: Seen) -> None:
    """The answer, and the second request made from the first, while the thread that sent the first may be in the send."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(1000 if FULL else 60):
                request = request_to('127.0.0.1', peer.port)
                request.send()
                sent.append(request)
        except BaseException as error:
            failures.append(error)

    sent: list[Request] = []
    with challenging(peer):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        for request in sent:
            assert seen.wait_ever('SIPRequestDidSucceed', sender=request).data.code == 200
            seen.wait_ever('SIPRequestDidEnd', sender=request)


def test_sends_that_fail_at_once(engine: Engine, peer: UDPPeer, seen: Seen) -> None:
    """No way leads there, which the send finds out; meanwhile the thread that polls has answers to handle."""
    assert engine.tls_port is None
    others = []
    with challenging(peer):
        for _ in range(400 if FULL else 60):
            request = request_to('127.0.0.1', 9, 'tls')
            try:
                request.send()
            except PJSIPError:
                pass
            else:
                assert seen.wait_ever('SIPRequestDidFail', sender=request).data.code in (502, 503)
            others.append(request_to('127.0.0.1', peer.port))
            others[-1].send()
        for request in others:
            seen.wait_ever('SIPRequestDidSucceed', sender=request)


def test_connections_that_are_refused(engine: Engine, seen: Seen) -> None:
    """The thread that polls finds out that nobody is there, at the moment at which another one sends."""
    for _ in range(20000 if FULL else 3000):
        request = request_to('127.0.0.1', 1, 'tcp')
        try:
            request.send()
        except PJSIPError:
            continue
        assert seen.wait('SIPRequestDidFail', sender=request).data.code in (408, 502, 503)


def test_transfers_that_end_at_any_moment(peer: UDPPeer, seen: Seen) -> None:
    """The call ends in one thread while what comes for the transfer is handled in another; a NOTIFY too late is answered 481."""
    chance = random.Random(1)
    codes = set()
    for _ in range(200 if FULL else 20):
        call = Outgoing(peer, seen).connect()
        call.invitation.transfer(SIPURI(host='example.com', user='carol'))
        refer = peer.expect('REFER')
        steps = [peer.response(refer, 202),
                 *(call.in_dialog('NOTIFY', cseq=cseq, headers=f'Event: refer\r\nSubscription-State: {state}\r\n{FRAGMENT}', body=text)
                   for cseq, state, text in ((1, 'active', 'SIP/2.0 100 Trying'), (2, 'active', 'SIP/2.0 180 Ringing'), (3, 'terminated', 'SIP/2.0 200 OK')))]
        before = chance.randrange(len(steps) + 1)
        for step in steps[:before]:
            peer.send(step)
        ending = threading.Thread(target=call.invitation.end)
        ending.start()
        for step in steps[before:]:
            peer.send(step)
        answers, bye = 0, None
        while bye is None or answers < 3:
            message = peer.receive()
            if message.method == 'BYE':
                bye = message
                peer.answer(bye, 200)
            elif message.code is not None and (message.get('cseq') or '').endswith('NOTIFY'):
                answers += 1
                codes.add(message.code)
        ending.join()
        call.state('disconnected')
    assert codes <= {200, 481}


def test_nothing_is_left(engine: Engine) -> None:
    assert nothing_left()
