"""Dialogs and transactions in which any message of the peer may be damaged, out of place or repeated: nothing crashes, hangs or leaks.

Damaged messages of a running call come in tests/calls/test_malformed_calls.py; here they belong to the dialog they damage, in both directions.
SIPSIMPLE_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import re
from typing import Any, Self

import pytest

from sipsimple.core import ContactHeader, Credentials, FromHeader, Invitation, Request, RouteHeader, SDPSession, SIPCoreError, SIPURI, ToHeader
from sipsimple.core.engine import Engine
from sipsimple.notification import Notification, NotificationCenter
from tests.support.counts import Counts
from tests.support.engine import nothing_left
from tests.support.mutation import Mutator
from tests.support.sip_peer import SIPText, UDPPeer, audio_sdp

ENGINE_OPTIONS = {'incoming_requests': {'PING'}}
SEED = int(os.environ.get('SIPSIMPLE_SEED') or random.SystemRandom().randrange(2**32))
ROUNDS = 1000 if os.environ.get('SIPSIMPLE_FULL_LOAD') else 40
SDP = 'Content-Type: application/sdp\r\n'
OURS = SDPSession.parse(audio_sdp(4000, formats='0 101', extra='a=rtpmap:101 telephone-event/8000\r\n'))


class Application:
    """Answers and begins things at random, on the engine thread; keeps what lives."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.failures: list[str] = []
        self.alive: set[Any] = set()

    def __enter__(self) -> Self:
        NotificationCenter().add_observer(self)
        return self

    def __exit__(self, *exc: object) -> None:
        NotificationCenter().remove_observer(self)
        for invitation in self.alive:
            self.attempt(invitation.end, (), 1)
            self.attempt(invitation.send_response, 603)
        self.alive.clear()

    @staticmethod
    def attempt(function: Any, *args: Any) -> None:
        try:
            function(*args)
        except SIPCoreError:
            pass                        # not in this state

    def handle_notification(self, notification: Notification) -> None:
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPEngineGotException':
            self.failures.append(data.traceback)
        elif name == 'SIPIncomingRequestGotRequest':
            self.attempt(sender.answer, self.dice.choice((200, 404, 500)))
        elif name == 'SIPInvitationChangedState':
            if data.state == 'disconnected':
                self.alive.discard(sender)
                return
            self.alive.add(sender)
            if data.state == 'incoming' or (data.state == 'connected' and data.sub_state.startswith('received')):
                for code in self.dice.choice(((200,), (180, 200), (183, 200), (180, 486), (488,), ())):
                    self.attempt(sender.send_response, code, None, None, OURS if code in (183, 200) else None)
            elif data.state == 'connected' and self.dice.random() < 0.3:
                self.attempt(self.dice.choice((lambda: sender.end((), 1), lambda: sender.send_reinvite(sdp=OURS), lambda: sender.transfer(SIPURI('127.0.0.1', user='x')))))
            elif data.state in ('outgoing', 'early') and self.dice.random() < 0.2:
                self.attempt(sender.end, (), 1)
        elif name == 'SIPInvitationTransferNewIncoming':
            self.attempt(sender.notify_transfer_progress, self.dice.choice((180, 200, 603)))


class Hostile:
    """A peer that sends what it should not."""

    def __init__(self, peer: UDPPeer, mutator: Mutator) -> None:
        self.peer, self.mutator, self.dice = peer, mutator, mutator.random

    def send(self, text: str, damage: float) -> None:
        data = text.encode()
        if self.dice.random() < damage:
            data = self.mutator.sdp(data) if b'\r\nv=0' in data and self.dice.random() < 0.4 else self.mutator.text(data)
        for _ in range(self.dice.choice((1, 1, 1, 2))):
            self.peer.send(data[:65000])

    def drain(self, wait: float = 0.0) -> list[SIPText]:
        """What has come; the first one is waited for."""
        messages = []
        try:
            while True:
                messages.append(self.peer.receive(0.0001 if messages else max(wait, 0.0001)))
        except (TimeoutError, BlockingIOError):
            return messages

    def body(self) -> tuple[str, str]:
        """Headers and body; often an SDP."""
        return self.dice.choice((('', ''), (SDP, audio_sdp(5000, version=self.dice.randrange(9))), (SDP, audio_sdp(0)), (SDP, audio_sdp(5000, formats='0 8 101 00')),
                                 ('Content-Type: multipart/mixed;boundary=b\r\n', f'--b\r\n{SDP}\r\n{audio_sdp(5000)}\r\n--b--\r\n'),
                                 ('Content-Type: message/sipfrag\r\n', 'SIP/2.0 200 OK')))

    EXTRA = ('', '', 'Require: 100rel\r\n', 'Supported: 100rel, timer\r\nSession-Expires: 90;refresher=uac\r\nMin-SE: 90\r\n', 'RAck: 1 1 INVITE\r\n',
             'Refer-To: <sip:x@127.0.0.1>\r\n', 'Replaces: a;to-tag=b;from-tag=c\r\n', 'Event: refer\r\nSubscription-State: active\r\n', 'Expires: 0\r\n',
             'RSeq: 1\r\nRequire: 100rel\r\n', 'Record-Route: <sip:127.0.0.1;hide>\r\n', 'WWW-Authenticate: Digest realm="a",nonce="b",qop="auth"\r\n',
             'Contact: <sip:a@127.0.0.1>, <sip:b@127.0.0.1;transport=tcp>\r\n', 'Min-SE: 999999\r\n', 'Retry-After: 0\r\n', 'Require: nothing\r\n')
    METHODS = ('ACK', 'BYE', 'CANCEL', 'INVITE', 'UPDATE', 'PRACK', 'REFER', 'NOTIFY', 'SUBSCRIBE', 'INFO', 'MESSAGE', 'OPTIONS', 'PING', 'REGISTER', 'PUBLISH', 'WHAT')
    CODES = (100, 180, 183, 200, 202, 299, 300, 302, 401, 407, 404, 408, 415, 420, 421, 422, 423, 481, 486, 487, 491, 500, 503, 603, 699)

    def request_in(self, call_id: str, to_tag: str | None, cseq: int, damage: float, branch: str | None = None) -> None:
        headers, body = self.body()
        self.send(self.peer.request(self.dice.choice(self.METHODS), headers=self.dice.choice(self.EXTRA) + headers, body=body, call_id=call_id, to_tag=to_tag,
                                    cseq=self.dice.choice((cseq, cseq, cseq - 1, 1, 2**31 - 1)), branch=branch), damage)

    def respond(self, request: SIPText, damage: float) -> None:
        if self.dice.random() < 0.6:        # what a good peer says
            if request.method == 'INVITE':
                for code in self.dice.choice(((200,), (100, 180, 200), (183, 200), (180, 486))):
                    self.send(self.peer.response(request, code, headers=SDP, body=audio_sdp(5000)) if code in (183, 200) else self.peer.response(request, code),
                              damage / 3)
            elif request.method != 'ACK':
                self.send(self.peer.response(request, 200), damage / 3)
            return
        for _ in range(self.dice.choice((1, 1, 2, 3))):
            headers, body = self.body()
            self.send(self.peer.response(request, self.dice.choice(self.CODES), headers=self.dice.choice(self.EXTRA) + headers, body=body,
                                         to_tag=self.dice.choice(('one', 'one', 'two'))), damage)

    def incoming(self, number: int, damage: float) -> None:
        """A dialog that the peer begins."""
        call_id, branch = f'hostile-{number}', f'z9hG4bK-hostile-{number}'
        headers, body = self.body() if self.dice.random() < 0.5 else (SDP, audio_sdp(5000))
        self.send(self.peer.request('INVITE', headers=self.dice.choice(self.EXTRA[:6] * 3 + self.EXTRA) + headers, body=body, call_id=call_id, branch=branch),
                  damage / 3)
        tag = None
        for cseq in range(2, 2 + self.dice.randrange(8)):
            for message in self.drain(0.05):
                found = re.search(r';tag=([^;,\s]+)', message.get('to') or '')
                if message.code and message.get('call-id') == call_id and found:
                    tag = found[1]
                if message.code and message.code // 100 == 2 and (message.get('cseq') or '').endswith('INVITE') and self.dice.random() < 0.8:
                    self.send(self.peer.request('ACK', call_id=call_id, to_tag=tag, cseq=int((message.get('cseq') or '1').split()[0])), damage / 3)
                if message.code is None:
                    self.respond(message, damage)
            self.request_in(call_id, tag, cseq, damage, self.dice.choice((None, None, branch)))

    def outgoing(self, application: Application, damage: float) -> None:
        """Something that the engine begins."""
        uri = SIPURI('127.0.0.1', port=self.peer.port, user='peer')
        if self.dice.random() < 0.4:
            request = Request(self.dice.choice(('REGISTER', 'MESSAGE', 'OPTIONS', 'PUBLISH')), uri, FromHeader(uri), ToHeader(uri), RouteHeader(uri),
                              credentials=Credentials('user', 'secret'))
            request.send(timeout=2)
        else:
            invitation = Invitation()
            application.alive.add(invitation)
            invitation.send_invite(uri, FromHeader(uri), ToHeader(uri), RouteHeader(uri), ContactHeader(uri), OURS, credentials=Credentials('user', 'secret'))
        for cseq in range(2, 2 + self.dice.randrange(1, 8)):
            for message in self.drain(0.05):
                if message.code is not None:
                    continue
                self.respond(message, damage)
                found = re.search(r';tag=([^;,\s]+)', message.get('from') or '')
                if found and self.dice.random() < 0.5:          # a request of ours in that dialog
                    tags = {'from_tag': self.dice.choice(('peer-to', 'one', 'two')), 'to_tag': found[1]}
                    headers, body = self.body()
                    self.send(self.peer.request(self.dice.choice(self.METHODS), headers=self.dice.choice(self.EXTRA) + headers, body=body, cseq=cseq,
                                                call_id=message.get('call-id'), **tags), damage)


@pytest.mark.parametrize('damage', [0.0, 0.3, 0.9])
def test_hostile_peer(engine: Engine, damage: float) -> None:
    counts = Counts()
    mutator = Mutator(SEED)
    with Application(mutator.random) as application:
        for number in range(ROUNDS):
            with UDPPeer(engine.udp_port) as peer:
                hostile = Hostile(peer, mutator)
                if mutator.random.random() < 0.5:
                    hostile.incoming(number, damage)
                else:
                    hostile.outgoing(application, damage)
            if number % 50 == 0:
                with UDPPeer(engine.udp_port) as peer:
                    peer.send(peer.request('OPTIONS'))
                    assert peer.expect(200), SEED
            assert not application.failures, (SEED, application.failures[0])
    assert nothing_left(20), SEED
    assert bool(counts.grown('malformed')) == (damage > 0), counts.all()
