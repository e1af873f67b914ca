"""One INVITE, several answers; and the INVITE without offer."""

import pytest

from sipsimple.core import Credentials, Header, SDPSession, SIPCoreError, SIPCoreInvalidStateError
from tests.support.engine import nothing_left
from tests.support.sip_calls import Outgoing
from tests.support.sip_peer import UDPPeer, audio_sdp, tag_of

SDP_HEADERS = 'Content-Type: application/sdp\r\n'


@pytest.fixture
def other(engine):
    """Another branch: answers the INVITE that `peer` got from an address of its own."""
    with UDPPeer(engine.udp_port) as peer:
        yield peer


def answer_from(branch, call, code, tag, **kwargs):
    """A response with this To tag and the branch's own contact."""
    branch.send(branch.response(call.request, code, to_tag=tag, **kwargs))


def test_first_2xx_makes_the_dialog_whoever_rang_first(peer, other, seen):
    call = Outgoing(peer, seen)
    call.answer(180)
    call.state('early')
    answer_from(other, call, 180, 'other')
    call.state('early')
    answer_from(other, call, 200, 'other', headers=SDP_HEADERS, body=audio_sdp(6000))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 6000
    call.state('connected')
    assert call.invitation.dialog_id.remote_tag == 'other'
    other.expect('ACK')
    call.invitation.end()
    other.answer(other.expect('BYE'), 200)
    call.state('disconnected')


def test_second_2xx_is_acknowledged_and_ended(peer, other, seen):
    call = Outgoing(peer, seen).connect()
    for _ in range(2):                  # also its retransmission
        answer_from(other, call, 200, 'other', headers=SDP_HEADERS, body=audio_sdp(6000))
        ack = other.expect('ACK')
        assert tag_of(ack.get('to')) == 'other' and ack.start.split()[1] == other.uri
        assert ack.get('cseq') == call.request.get('cseq').replace('INVITE', 'ACK')
    bye = other.expect('BYE')
    assert tag_of(bye.get('to')) == 'other' and bye.start.split()[1] == other.uri
    other.answer(bye, 200)
    assert call.invitation.state == 'connected' and call.invitation.dialog_id.remote_tag == 'peer-to'
    call.end()
    assert sum(past.name == 'SIPInvitationGotSDPUpdate' for past in seen.past) == 1


def test_second_2xx_without_a_tag_is_dropped(peer, other, seen):
    call = Outgoing(peer, seen).connect()
    other.send(other.response(call.request, 200, to_tag='other', headers=SDP_HEADERS, body=audio_sdp(6000)).replace(';tag=other', ''))
    answer_from(other, call, 200, 'other', headers=SDP_HEADERS, body=audio_sdp(6000))
    assert tag_of(other.expect('ACK').get('to')) == 'other'
    other.answer(other.expect('BYE'), 200)
    call.end()


def test_bye_of_the_second_branch_is_authenticated(peer, other, seen):
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'secret')).connect()
    answer_from(other, call, 200, 'other', headers=SDP_HEADERS, body=audio_sdp(6000))
    other.answer(other.expect('BYE'), 407, headers='Proxy-Authenticate: Digest realm="example.com", nonce="n", qop="auth"\r\n')
    again = other.expect('BYE')
    assert again.get('proxy-authorization') and tag_of(again.get('to')) == 'other'
    other.answer(again, 200)
    call.end()


def test_ringing_elsewhere_after_the_answer_is_ignored(peer, other, seen):
    call = Outgoing(peer, seen).connect()
    answer_from(other, call, 180, 'other')
    answer_from(other, call, 200, 'third', headers='', body='')
    assert tag_of(other.expect('ACK').get('to')) == 'third'
    other.answer(other.expect('BYE'), 200)
    assert call.invitation.dialog_id.remote_tag == 'peer-to' and call.invitation.state == 'connected'
    call.end()


def test_early_media_of_two_branches(peer, other, seen):
    call = Outgoing(peer, seen)
    call.answer(183, sdp=audio_sdp(5000))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 5000
    call.state('early')
    answer_from(other, call, 183, 'other', headers=SDP_HEADERS, body=audio_sdp(6000))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 6000
    call.state('early')
    call.answer(200, sdp=audio_sdp(5000))
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.remote_sdp.media[0].port == 5000
    call.state('connected')
    assert call.invitation.dialog_id.remote_tag == 'peer-to'
    call.end()


# ---- the INVITE without offer ---------------------------------------------------------------------------------------


def test_offer_in_the_2xx_is_answered_in_the_ack(peer, seen):
    call = Outgoing(peer, seen, sdp=None)
    assert call.request.body == '' and '100rel' not in call.request.get('supported')
    call.answer(180)
    call.state('early')
    with pytest.raises(SIPCoreInvalidStateError):
        call.invitation.send_ack(SDPSession.parse(audio_sdp(4000)))
    call.answer(200, sdp=audio_sdp(5000))
    assert call.state('connecting').code == 200
    assert call.invitation.sdp.proposed_remote.media[0].port == 5000
    call.answer(200, sdp=audio_sdp(5000))               # a retransmission: still no answer
    assert peer.silent(0.1)
    call.invitation.send_ack(SDPSession.parse(audio_sdp(4000)), [Header('X-Ack', 'yes')])
    ack = peer.expect('ACK')
    assert 'm=audio 4000' in ack.body and ack.get('x-ack') == 'yes'
    update = seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data
    assert (update.local_sdp.media[0].port, update.remote_sdp.media[0].port) == (4000, 5000)
    call.state('connected', sub_state='normal')
    call.answer(200, sdp=audio_sdp(5000))               # the ACK was lost
    assert 'm=audio 4000' in peer.expect('ACK').body
    with pytest.raises(SIPCoreError):
        call.invitation.send_ack(SDPSession.parse(audio_sdp(4000)))
    call.end()


def test_answer_that_does_not_fit_the_offer(peer, seen):
    call = Outgoing(peer, seen, sdp=None)
    call.answer(200, sdp=audio_sdp(5000))
    call.state('connecting')
    call.invitation.send_ack(SDPSession.parse(audio_sdp(4000, formats='8')))
    peer.expect('ACK')
    assert seen.wait('SIPInvitationGotSDPUpdate', sender=call.invitation).data.succeeded is False
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'internal error'


def test_end_instead_of_an_answer(peer, seen):
    call = Outgoing(peer, seen, sdp=None)
    call.answer(200, sdp=audio_sdp(5000))
    call.state('connecting')
    call.invitation.end()
    peer.expect('ACK')                  # RFC 3261 section 13.2.2.4: first the ACK
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'user request'


def test_2xx_without_offer_ends_the_call(peer, seen):
    call = Outgoing(peer, seen, sdp=None)
    call.answer(200)
    peer.expect('ACK')
    peer.answer(peer.expect('BYE'), 200)
    assert call.state('disconnected').disconnect_reason == 'internal error'


def test_nothing_is_left(engine):
    assert nothing_left()
