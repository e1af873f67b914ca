"""Malformed SIP and SDP is counted, refused where that is due, and changes nothing else. tests/calls/test_malformed_calls.py sends it in masses."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import socket

import pytest

from sipsimple.core import ContactHeader, FromHeader, Invitation, Request, RouteHeader, SDPSession, SIPURI, ToHeader
from sipsimple.core.engine import Engine
from sipsimple.notification import Notification, NotificationCenter
from tests.support.counts import Counts
from tests.support.engine import Seen, wait_until
from tests.support.mutation import Mutator
from tests.support.sip_peer import SIPText, UDPPeer, audio_sdp, tag_of

ENGINE_OPTIONS = {'tcp_port': 0, 'incoming_requests': {'PING'}}
ADDRESSES = (b'sip:alice@127.0.0.1', b'sips:alice:secret@example.com:5061;transport=tcp;lr', b'sip:a%20b;x=1@[::1]:5060;maddr=127.0.0.1;ttl=1', b'sip:127.0.0.1:5060',
             b'sip:+123;phone-context=example.com@example.com;user=phone', b'sip:alice@example.com;method=INVITE;gr=urn:uuid:1?Subject=a%20b&Priority=urgent')
SDP = 'Content-Type: application/sdp\r\n'


def alive(peer: UDPPeer) -> None:
    peer.send(peer.request('OPTIONS'))
    assert peer.expect(200)


HEADERS = b'Max-Forwards: 70\r\nUser-Agent: nobody\r\n\r\n'


@pytest.mark.parametrize('data', [bytes(100), b'\xff' * 1400, b'INVITE' * 10, b'INVITE sip:a SIP/2.0\r\n' + HEADERS, b'SIP/2.0 200 OK\r\n' + HEADERS,
                                  b'SIP/2.0 999 What\r\n' + HEADERS, b'%s' * 500, b'OPTIONS sip:[::: SIP/2.0\r\nVia: SIP/2.0/UDP\r\n\r\n'], ids=itertools.count())
def test_garbage_is_counted(peer: UDPPeer, data: bytes) -> None:
    counts = Counts()
    peer.send(data)
    alive(peer)
    assert counts.all() == {'malformed': 1}


@pytest.mark.parametrize('data', [b'\r\n\r\n', b'\n', b'\0', b'jaK\r\n', b'\r\n' * 50])
def test_keep_alives_are_not(peer: UDPPeer, data: bytes) -> None:
    counts = Counts()
    peer.send(data)
    alive(peer)
    assert counts.all() == {}


def test_datagram_that_ends_too_early(peer: UDPPeer, seen: Seen) -> None:
    """RFC 3261 section 18.3."""
    whole = peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='hello')
    head = whole.partition('\r\n\r\n')[0]
    counts = Counts()
    for cut in (whole[:-1], whole[:-5], f'{head}\r\n', head.partition('Content-Length')[0]):
        peer.send(cut)
        assert peer.receive().code == 400
    assert counts.all() == {'malformed': 4}
    peer.send(peer.request('ACK', headers='Content-Length: 5\r\n').replace('Content-Length: 0\r\n', ''))
    peer.send('SIP/2.0 200 OK\r\n' + peer.request('OPTIONS', body='hello').partition('\r\n')[2][:-2])
    alive(peer)                                             # neither was answered
    assert counts.all() == {'malformed': 6}
    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='end'))
    assert seen.wait('SIPEngineGotMessage').data.body == b'end'


@pytest.mark.parametrize('method', ['ACK', 'aCK', 'ack'])
@pytest.mark.parametrize('broken', ['Contact: <sip:a@', 'Route: ][', 'CSeq: one'])
def test_broken_ack_is_not_answered(peer: UDPPeer, method: str, broken: str) -> None:
    """RFC 3261 section 17: nothing is. PJSIP does not look at the case."""
    counts = Counts()
    peer.send(peer.request(method, headers=f'{broken}\r\n'))
    alive(peer)
    assert counts.all() == {'malformed': 1}


def test_bytes_behind_a_message_in_a_datagram(peer: UDPPeer, seen: Seen) -> None:
    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='hello') + ' and more')
    assert seen.wait('SIPEngineGotMessage').data.body == b'hello'
    assert peer.receive().code == 200
    peer.send(peer.request('INVITE', headers=SDP, body=audio_sdp(5000)) + 'm=audio 6000 RTP/AVP 0\r\n')
    invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
    assert [media.port for media in invitation.sdp.proposed_remote.media] == [5000]
    invitation.send_response(486)


@pytest.mark.parametrize('line', ['OPTIONS sip:a@127.0.0.1:5060SIP/2.0', 'OPTIONS sip:a@127.0.0.1 SIP /2.0', 'OPTIONS sip:a@127.0.0.1 SIP/ 2.0'])
def test_request_line_that_runs_together(peer: UDPPeer, line: str) -> None:
    """RFC 3261 section 7.1; PJSIP understands these."""
    counts = Counts()
    peer.send(f'{line}\r\n' + peer.request('OPTIONS').partition('\r\n')[2])
    assert peer.receive().code == 400
    alive(peer)
    assert counts.all() == {'malformed': 1}


@pytest.mark.parametrize('line', ['SIP/2.0 200`Test', 'SIP/2.0 200OK', 'SIP/2.0200 OK', 'SIP/ 2.0 200 OK', 'SIP/2.0 200\0', 'SIP/2.0 0200 OK'])
def test_status_line_that_runs_together(peer: UDPPeer, seen: Seen, line: str) -> None:
    """RFC 3261 section 7.2; PJSIP understands these."""
    counts = Counts()
    uri = SIPURI('127.0.0.1', port=peer.port, user='peer')
    request = Request('OPTIONS', uri, FromHeader(uri), ToHeader(uri), RouteHeader(uri))
    request.send()
    received = peer.receive()
    peer.send(f'{line}\r\n' + peer.response(received, 200).partition('\r\n')[2])
    alive(peer)
    assert counts.all() == {'malformed': 1}
    peer.send(peer.response(received, 404))
    assert seen.wait('SIPRequestDidFail').data.code == 404


@pytest.mark.parametrize('uri', ['sip:a@[::2147483647]', 'sip:a@[1::2', 'sip:a@[]', 'sip:a@[' + '1' * 46 + ']', 'sip:[::1]:0', 'sip:a@127.0.0.1:0;lr', 'sip:a@127.0.0.1:99999', 'sip:127.0.0.1:0?a=b',
                                 'sip:a;b=c:d@127.0.0.1:65536'])
def test_address_nobody_can_have(peer: UDPPeer, uri: str) -> None:
    """RFC 3261 section 25.1; PJSIP takes some of these."""
    counts = Counts()
    peer.send(peer.request('PING', uri=uri, to='sip:alice@127.0.0.1'))
    assert peer.receive().code == 400
    alive(peer)
    assert counts.all() == {'malformed': 1}


@pytest.mark.parametrize('method', ['OPTIONS', 'MESSAGE', 'PING', 'INVITE'])
def test_address_that_is_too_long(peer: UDPPeer, method: str) -> None:
    """RFC 3261 section 21.4.15."""
    counts = Counts()
    peer.send(peer.request(method, uri=f'sip:{"a" * 4096}@127.0.0.1', to='sip:alice@127.0.0.1'))
    assert peer.receive().code == 414
    alive(peer)
    assert counts.all() == {'malformed': 1}


class Answering:
    """Answers what comes to the application; keeps the exceptions of the core."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.heard = 0

    def handle_notification(self, notification: Notification) -> None:
        if notification.name == 'SIPEngineGotException':
            self.failures.append(notification.data.traceback)
        elif notification.name == 'SIPIncomingRequestGotRequest':
            self.heard += 1
            notification.sender.answer(200)
        elif notification.name == 'SIPInvitationChangedState' and notification.data.state == 'incoming':
            self.heard += 1
            notification.sender.send_response(486)


def acknowledge(peer: UDPPeer, answer: SIPText) -> None:
    """Send the ACK for a negative answer, or it would come again for half a minute."""
    branch = re.search(r'branch=([^;]+)', answer.get('via') or '')
    if (answer.code or 0) >= 300 and (answer.get('cseq') or '').endswith('INVITE') and branch:
        peer.send(peer.request('ACK', to='sip:alice@127.0.0.1', to_tag=tag_of(answer.get('to')), call_id=answer.get('call-id'), branch=branch[1]))


@pytest.mark.parametrize(('method', 'count'), [('PING', 2000), ('INVITE', 400)])
def test_damaged_addresses(peer: UDPPeer, method: str, count: int) -> None:
    """What PJSIP takes for an address of a request, and Python does not, is refused before it comes that far. SIPSIMPLE_SEED repeats a run."""
    seed = int(os.environ.get('SIPSIMPLE_SEED') or random.SystemRandom().randrange(2**32))
    mutator = Mutator(seed)
    application = Answering()
    NotificationCenter().add_observer(application)
    try:
        for number in range(count):
            uri = mutator.text(mutator.random.choice(ADDRESSES)).partition(b'\n')[0]
            peer.send(peer.request(method, uri='here', to='sip:alice@127.0.0.1').encode().replace(b'here', uri, 1))
            if number % 50 == 49:
                peer.send(peer.request('OPTIONS', call_id=f'alive-{number}'))
                while (answer := peer.receive()).get('call-id') != f'alive-{number}':
                    acknowledge(peer, answer)
            assert not application.failures, (seed, application.failures[0])
        with contextlib.suppress(TimeoutError):
            while True:
                acknowledge(peer, peer.receive(0.7))        # or they would be sent to whoever has this port next
    finally:
        NotificationCenter().remove_observer(application)
    assert application.heard > count / 10, seed


@pytest.mark.parametrize('method', ['OPTIONS', 'MESSAGE', 'INVITE', 'BYE'])
def test_cseq_of_another_method(peer: UDPPeer, method: str) -> None:
    counts = Counts()
    peer.send(peer.request(method).replace(f'CSeq: 1 {method}', 'CSeq: 1 PUBLISH'))
    assert peer.receive().code == 400
    alive(peer)
    assert counts.all() == {'malformed': 1}


BAD_SDP = {
    'a version': audio_sdp(5000).replace('v=0\r\n', 'v=x\r\n'),
    'no origin': audio_sdp(5000).replace('o=-', 'x=-'),
    'cut': audio_sdp(5000)[:30],
    'garbage': '\x01\x02\x03',
    'no connection': audio_sdp(5000).replace('c=IN IP4 127.0.0.1\r\n', ''),
    'formats': audio_sdp(5000, formats='999'),
    'no rtpmap': audio_sdp(5000, formats='97'),
    'no formats': audio_sdp(5000, formats=''),
    'NUL': audio_sdp(5000).replace('s=test', 's=te\0st'),
    'control character': audio_sdp(5000).replace('c=IN IP4 127', 'c=IN IP4 \x1f127'),
    'a host that is too long': audio_sdp(5000).replace('c=IN IP4 127.0.0.1', f'c=IN IP4 {"a" * 256}'),
    'a candidate with a host that is too long': audio_sdp(5000, extra=f'a=candidate:1 1 UDP 1 {"a" * 256} 5000 typ host\r\n'),
    'a host for RTCP that is too long': audio_sdp(5000, extra=f'a=rtcp:5001 IN IP4 {"a" * 256}\r\n'),
    'line break in a line': audio_sdp(5000).replace('c=IN IP4', 'c=IN\rIP4'),
    'value of the bandwidth in another line': audio_sdp(5000).replace('t=0 0', 'b=AS'),
    'origin in another line': audio_sdp(5000).replace('o=- 1', 'o=\r\nx=- 1'),
    'no line': audio_sdp(5000) + 'hello\r\n',
}


@pytest.mark.parametrize('body', BAD_SDP.values(), ids=BAD_SDP)
def test_bad_offer_in_an_invite(peer: UDPPeer, body: str) -> None:
    counts = Counts()
    peer.send(peer.request('INVITE', headers=SDP, body=body))
    assert 400 <= (peer.receive().code or 0) < 500
    assert counts.all() == {'malformed_sdp': 1}
    alive(peer)


def call(peer: UDPPeer, seen: Seen) -> tuple[Invitation, str, str]:
    """An incoming call that is up; with its Call-ID and our tag."""
    peer.send(peer.request('INVITE', headers=SDP, body=audio_sdp(5000)))
    invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
    invitation.send_response(200, sdp=SDPSession.parse(audio_sdp(4000)))
    tag = tag_of(peer.expect(200).get('to'))
    peer.send(peer.request('ACK', call_id=invitation.call_id, to_tag=tag))
    seen.wait('SIPInvitationChangedState', sender=invitation, state='connected')
    return invitation, invitation.call_id, tag


@pytest.mark.parametrize('method', ['INVITE', 'UPDATE'])
@pytest.mark.parametrize('body', BAD_SDP.values(), ids=BAD_SDP)
def test_bad_offer_in_a_call(peer: UDPPeer, seen: Seen, method: str, body: str) -> None:
    """It is refused, and the call goes on."""
    invitation, call_id, tag = call(peer, seen)
    counts = Counts()
    peer.send(peer.request(method, headers=SDP, body=body, call_id=call_id, to_tag=tag, cseq=2))
    answer = peer.receive()
    while answer.code == 100:
        answer = peer.receive()
    assert 400 <= (answer.code or 0) < 500, answer
    assert counts.all() == {'malformed_sdp': 1}
    if method == 'INVITE':
        peer.send(peer.request('ACK', call_id=call_id, to_tag=tag, cseq=2))
    peer.send(peer.request('UPDATE', headers=SDP, body=audio_sdp(5000, version=2), call_id=call_id, to_tag=tag, cseq=3))
    assert peer.expect(200).get('cseq') == '3 UPDATE'
    assert invitation.state == 'connected'
    peer.send(peer.request('BYE', call_id=call_id, to_tag=tag, cseq=4))
    peer.expect(200)
    seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


@pytest.mark.parametrize('body', BAD_SDP.values(), ids=BAD_SDP)
def test_bad_answer(peer: UDPPeer, seen: Seen, body: str) -> None:
    """A call whose 200 has no usable answer is acknowledged and ended."""
    invitation = Invitation()
    uri = SIPURI('127.0.0.1', port=peer.port, user='peer')
    counts = Counts()
    invitation.send_invite(uri, FromHeader(uri), ToHeader(uri), RouteHeader(uri), ContactHeader(uri), SDPSession.parse(audio_sdp(4000)))
    invite = peer.expect('INVITE')
    peer.answer(invite, 200, headers=SDP, body=body)
    peer.expect('ACK')
    assert counts.all() == {'malformed_sdp': 1}
    peer.answer(peer.expect('BYE'), 200)
    seen.wait('SIPInvitationChangedState', sender=invitation, state='disconnected')


def test_messages_back_to_back_on_a_stream(engine: Engine, peer: UDPPeer, seen: Seen) -> None:
    """An SDP that ends without line break is followed by the next message at once; each is taken for what it is."""
    with socket.create_connection(('127.0.0.1', engine.tcp_port)) as stream:
        stream.settimeout(15)
        sdp = audio_sdp(5000, extra='a=rtpmap:0 PCMU/8000')
        invite = peer.request('INVITE', headers=SDP, body=sdp).replace('/UDP', '/TCP')
        options = peer.request('OPTIONS').replace('/UDP', '/TCP')
        stream.sendall((invite + options).encode())
        invitation = seen.wait('SIPInvitationChangedState', state='incoming').sender
        assert str(invitation.sdp.proposed_remote.media[0].attributes[-1]) == 'a=rtpmap:0 PCMU/8000'
        invitation.send_response(486)
        received = b''
        while b'486' not in received or b'200 OK' not in received:
            data = stream.recv(65536)
            assert data, received
            received += data
    alive(peer)


@pytest.mark.parametrize('data', [b'\0' * 100, b'GET / HTTP/1.0\r\n\r\n', b'INVITE sip:a SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n',
                                  b'OPTIONS sip:a SIP/2.0\r\nContent-Length: -5\r\n\r\n', b'x' * 70000], ids=itertools.count())
def test_garbage_on_a_stream(engine: Engine, peer: UDPPeer, data: bytes) -> None:
    with socket.create_connection(('127.0.0.1', engine.tcp_port)) as stream:
        counts = Counts()
        try:
            stream.sendall(data + b'\r\n\r\n')
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass                        # closed by the engine in the meantime
        complete = b'\r\n\r\n' in data or len(data) > 65536
        assert wait_until(lambda: counts.grown('malformed') >= 1) or not complete
    alive(peer)
