"""`Invitation.sdp`: descriptions are parsed when asked for, and not kept in parsed form when the call is over."""

from sipsimple.core.invitation_state import SDPPayloads
from sipsimple.core.sdp import FrozenSDPSession

OFFER = b'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n'
ANSWER = OFFER.replace(b'4000', b'5000')


def test_an_offer_that_came_into_force_as_it_was_is_the_same_object():
    sdp = SDPPayloads()
    sdp._set(proposed_remote=OFFER)
    offer = sdp.proposed_remote
    assert offer == FrozenSDPSession.parse(OFFER) and sdp.proposed_remote is offer
    sdp._agree(ANSWER, OFFER)
    assert sdp.active_remote is offer and sdp.active_local == FrozenSDPSession.parse(ANSWER)
    assert sdp.proposed_remote is None and sdp.proposed_local is None


def test_one_that_was_changed_is_another():
    sdp = SDPPayloads()
    sdp._set(proposed_remote=OFFER, proposed_local=ANSWER.decode())
    assert sdp.proposed_remote is not None and sdp.proposed_local is not None
    sdp._agree(ANSWER, OFFER.replace(b'RTP/AVP 0', b'RTP/AVP 0 101'))
    assert sdp.active_remote is not None and sdp.active_remote.media[0].formats == ['0', '101']
    sdp._set(active_remote=OFFER)
    assert sdp.active_remote == FrozenSDPSession.parse(OFFER)


def test_what_was_in_force_can_be_asked_for_after_the_end():
    sdp = SDPPayloads()
    sdp._agree(ANSWER, OFFER)
    local, remote = sdp.active_local, sdp.active_remote
    sdp._forget_parsed()
    assert not sdp._parsed
    assert (sdp.active_local, sdp.active_remote) == (local, remote)
