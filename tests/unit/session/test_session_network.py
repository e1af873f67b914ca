"""The network changes under a session."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import ContactHeader, FrozenContactHeader, SIPURI
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.session import description, network
from tests.unit.session.conftest import FakeStream, World

frozen = FrozenContactHeader.new

OLD, NEW = '127.0.0.1', '192.0.2.7'


@pytest.fixture
def here(monkeypatch, world):
    """Our address on the way to everybody: `here.address`."""
    place = SimpleNamespace(address=OLD)
    monkeypatch.setattr(description, 'local_ip_for', lambda remote=None: place.address)
    description.forget_routes()
    yield place
    description.forget_routes()


def connected(world: World, *streams):
    session, invitation = world.connected(*streams)
    invitation.local_contact_header = frozen(ContactHeader(SIPURI(OLD, user='me', port=5070), parameters={'isfocus': None}))
    return session, invitation


def changed():
    NotificationCenter().post_notification('NetworkConditionsDidChange', sender=None, data=NotificationData(changed=['ip']))


def woken():
    NotificationCenter().post_notification('NetworkConditionsDidChange', sender=None, data=NotificationData(changed=[]))


def lost(port=5060, transport='udp'):
    NotificationCenter().post_notification('SIPEngineTransportDidDisconnect', sender=None, data=NotificationData(
        transport=transport, local_address='127.0.0.1:1', remote_address=f'127.0.0.1:{port}', reason='reset'))


def registered(account):
    NotificationCenter().post_notification('SIPAccountRegistrationDidSucceed', sender=account, data=NotificationData())


@pytest.fixture(autouse=True)
def manager(world):
    world.manager.start()


def test_the_peer_is_told(world, here):
    session, invitation = connected(world)
    before = session._local_sdp
    here.address = NEW
    changed()
    assert invitation.methods == ['re-INVITE'] and session.state == 'sending_proposal'
    sent = invitation.last('re-INVITE')
    assert sent.contact_header.uri == SIPURI(NEW, user='me', port=5070) and 'isfocus' in sent.contact_header.parameters
    assert sent.sdp.connection.address == NEW
    assert (sent.sdp.address, sent.sdp.version) == (before.address, before.version + 1)         # RFC 3264 section 8
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and 'update' in session.streams[0].calls
    assert world.recorder.one('SIPSessionDidProcessTransaction').code == 200
    changed()                           # nothing more to tell
    assert invitation.methods == ['re-INVITE']


def test_nothing_to_tell(world, here):
    session, invitation = connected(world)
    changed()
    here.address = None                 # no network: wait for one
    description.forget_routes()
    changed()
    here.address = OLD
    changed()
    assert invitation.methods == [] and session.state == 'connected'


def test_a_contact_that_is_not_our_address_stays(world, here):
    _session, invitation = connected(world)
    invitation.local_contact_header = frozen(ContactHeader(SIPURI('example.com', user='me', parameters={'gr': 'x'})))
    here.address = NEW
    changed()
    assert invitation.last('re-INVITE').contact_header is None and invitation.last('re-INVITE').sdp.connection.address == NEW


def test_media_on_another_way_than_signalling(world, here, monkeypatch):
    monkeypatch.setattr(description, 'local_ip_for', lambda remote=None: here.address if remote == '127.0.0.1' else '198.51.100.1')
    session, invitation = connected(world)
    session._remote_sdp = world.sdp('audio', address='203.0.113.5')
    here.address = NEW
    changed()
    sent = invitation.last('re-INVITE')
    assert (sent.contact_header.uri.host, sent.sdp.connection.address) == (NEW, '198.51.100.1')


def test_after_the_proposal_that_is_under_way(world, here):
    session, invitation = connected(world)
    session.hold()
    here.address = NEW
    changed()
    assert invitation.methods == ['re-INVITE'] and invitation.last('re-INVITE').contact_header is None
    invitation.peer_answers_reinvite()
    assert invitation.methods == ['re-INVITE'] * 2 and invitation.last('re-INVITE').sdp.connection.address == NEW
    assert invitation.last('re-INVITE').sdp.media[0].direction == 'sendonly'
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and session.on_hold


def test_together_with_what_else_is_proposed(world, here):
    session, invitation = connected(world)
    here.address = NEW
    description.forget_routes()
    session.hold()                      # before anybody says that the network is another one
    assert invitation.last('re-INVITE').contact_header.uri.host == NEW and invitation.last('re-INVITE').sdp.connection.address == NEW
    invitation.peer_answers_reinvite()
    changed()
    assert invitation.methods == ['re-INVITE']


def test_in_the_answer_to_the_peer(world, here):
    _session, invitation = connected(world)
    here.address = NEW
    description.forget_routes()
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    answer = invitation.last(200)
    assert answer.contact_header.uri.host == NEW and answer.sdp.connection.address == NEW
    changed()
    assert invitation.methods == [200]


def test_the_old_way_to_hold_is_kept(world, here):
    _session, invitation = connected(world)
    invitation.peer_offers(world.sdp('audio', address='0.0.0.0'))
    here.address = NEW
    changed()
    assert invitation.last('re-INVITE').sdp.connection.address == NEW


def test_while_it_rings(world, here):
    world.outgoing()
    invitation = world.invitation
    invitation.local_contact_header = frozen(ContactHeader(SIPURI(OLD, user='me', port=5070)))
    invitation.peer_rings()
    changed()
    assert invitation.methods == ['INVITE']
    here.address = NEW
    changed()
    assert invitation.methods == ['INVITE', 'CANCEL']
    assert world.recorder.one('SIPSessionDidFail').failure_reason == 'our address changed before the call was answered'
    world.recorder.events.clear()


def test_before_and_between_the_routes(world, here):
    """The first route fails after the change, and the next is tried with the new contact: there is nothing to tell afterwards."""
    stream = world.Stream(script='slow-init')
    session = world.outgoing(stream, routes=[world.route(5060), world.route(5062)])
    here.address = NEW
    changed()                           # nothing was sent yet
    assert session.state == 'outgoing' and not world.invitations
    stream.post('MediaStreamDidInitialize')
    world.invitations[0].gone('local', 408, 'Request Timeout', 'timeout')
    world.invitation.local_contact_header = frozen(ContactHeader(SIPURI(NEW, user='me', port=5070)))
    world.invitation.peer_answers()
    assert session.state == 'connected' and world.invitation.methods == ['INVITE']


def test_while_it_rings_here(world, here):
    invitation, session = world.incoming()
    invitation.local_contact_header = frozen(ContactHeader(SIPURI(OLD, user='me', port=5070)))
    here.address = NEW
    changed()
    assert session.state == 'incoming'
    session.accept(session.proposed_streams)
    assert invitation.last(200).contact_header.uri.host == NEW and invitation.last(200).sdp.connection.address == NEW
    invitation.change('connected')
    assert session.state == 'connected' and invitation.methods == [200]


def test_glare(world, here):
    session, invitation = connected(world)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite(491, 'Request Pending')
    assert session.state == 'connected' and invitation.methods == ['re-INVITE']
    world.advance(2.0)
    assert invitation.methods == ['re-INVITE']
    world.advance(2.1)
    assert invitation.methods == ['re-INVITE'] * 2
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and not world.recorder.all('SIPSessionWillEnd')


def test_the_peer_proposes_something_at_that_moment(world, here):
    session, invitation = connected(world)
    here.address = NEW
    invitation.sub_state = 'received_proposal'      # the core knows it, the session does not yet
    changed()
    assert invitation.methods == [] and session.state == 'connected'
    invitation.sub_state = 'normal'
    world.advance(0.03)
    assert invitation.methods == ['re-INVITE']


def test_it_is_tried_again(world, here):
    """As long as it may be a matter of time; then the session ends with the reason."""
    session, invitation = connected(world)
    here.address = NEW
    changed()
    for number, seconds in enumerate((2, 4, 8, 16), 1):
        assert len(invitation.methods) == number - (number > 1)             # the second was not sent
        if number != 2:
            invitation.peer_answers_reinvite(503, 'Service Unavailable')
        assert session.state == 'connected'
        world.advance(seconds - 0.1)
        assert session.state == 'connected'
        if number == 1:
            invitation.fail_send = world.SIPCoreError('no connection')
        world.advance(0.1)
    invitation.peer_answers_reinvite(503, 'Service Unavailable')
    assert world.recorder.one('SIPSessionDidEnd').end_reason == 'the peer cannot be told of our new address: 503 Service Unavailable'
    assert invitation.methods[-1] == 'BYE' and session.state == 'terminated'
    world.advance(100)
    assert invitation.methods[-1] == 'BYE'


def test_another_change_starts_anew(world, here):
    _session, invitation = connected(world)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite(503, 'Service Unavailable')
    here.address = '192.0.2.8'
    changed()
    assert invitation.methods == ['re-INVITE'] * 2 and invitation.last('re-INVITE').sdp.connection.address == '192.0.2.8'
    invitation.peer_answers_reinvite()
    world.advance(100)
    assert invitation.methods == ['re-INVITE'] * 2


def test_the_peer_refuses(world, here):
    session, invitation = connected(world)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert world.recorder.one('SIPSessionDidEnd').end_reason == 'the peer cannot be told of our new address: 488 Not Acceptable Here'
    assert session.state == 'terminated'


def test_the_user_hangs_up_meanwhile(world, here):
    session, invitation = connected(world)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite(503, 'Service Unavailable')
    session.end()
    assert world.recorder.one('SIPSessionDidEnd').end_reason == 'user_request'
    world.advance(100)
    assert invitation.methods == ['re-INVITE', 'BYE']
    changed()
    assert session.state == 'terminated'


def test_another_connection(world, here):
    """The dialog is moved onto the connection of the new registration, not before; nothing of the descriptions is new."""
    session, invitation = connected(world)
    before = session._local_sdp
    registered(world.account)
    lost(port=5061)                     # somebody else's
    lost(transport='tcp')
    registered(world.account)
    assert invitation.methods == []
    lost()
    assert invitation.methods == []
    registered(object())
    assert invitation.methods == []
    registered(world.account)
    sent = invitation.last('re-INVITE')
    assert sent.contact_header is None and sent.sdp.version == before.version
    invitation.peer_answers_reinvite()
    registered(world.account)
    assert invitation.methods == ['re-INVITE'] and session.state == 'connected'


def test_another_connection_is_refused(world, here):
    session, invitation = connected(world)
    lost()
    registered(world.account)
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert session.state == 'connected'
    registered(world.account)
    assert invitation.methods == ['re-INVITE']


def test_the_connection_goes_with_the_address(world, here):
    """One re-INVITE for both: the loss is reported while it is under way."""
    _session, invitation = connected(world)
    here.address = NEW
    changed()
    lost()
    registered(world.account)
    invitation.peer_answers_reinvite()
    registered(world.account)
    assert invitation.methods == ['re-INVITE'] and network.LOST


# ICE

class FakeICEStream(FakeStream):
    """A stream with ICE that gathers anew when it is asked to, at once or when `gathered` is called."""

    slow = False
    restart = None              # 'READY', 'LEFT'
    needed = started_by_peer = ice_may_be_lost = ice_reoffer_needed = False

    @property
    def ice_outdated(self):
        return self.restart is None

    def restart_needed(self, offer, moved):
        return self.needed and moved

    def restarts_ice(self, local_sdp, remote_sdp):
        return self.started_by_peer

    def restart_ice(self, done, offer=None, found=None):
        self.calls.append('restart for an answer' if offer is not None else 'restart')
        self.found = found

        def gathered():
            self.restart = 'READY'
            done()
        self.gathered = gathered
        if not self.slow:
            gathered()
        return True

    def leave_ice(self):
        self.calls.append('leave')
        self.restart = 'LEFT'

    def keep_ice(self):
        self.calls.append('keep')
        self.restart = None

    def get_local_media(self, for_offer):
        media = super().get_local_media(for_offer)
        if self.restart == 'READY':
            media.port = 30000
        elif self.restart == 'LEFT':
            media.port = 40000
        return media


def test_ice_begins_anew(world, here):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.slow = True
    here.address = NEW
    changed()
    assert stream.calls[-1] == 'restart' and invitation.methods == [] and session.state == 'sending_proposal'
    stream.gathered()
    sent = invitation.last('re-INVITE').sdp
    assert sent.media[0].port == 30000 and sent.version == session._local_sdp.version + 1
    invitation.peer_answers_reinvite()
    assert stream.calls[-2:] == ['update', 'keep'] and session.state == 'connected'
    changed()
    assert invitation.methods == ['re-INVITE']


def test_gathering_takes_too_long(world, here):
    """Then it is offered to go on without ICE."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.slow = True
    here.address = NEW
    changed()
    world.advance(session.media_stream_timeout)
    assert 'leave' in stream.calls and invitation.last('re-INVITE').sdp.media[0].port == 40000
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and invitation.methods == ['re-INVITE']


@pytest.mark.parametrize('second', [200, 488])
def test_candidates_are_not_acceptable(world, here, second):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    here.address = NEW
    changed()
    assert invitation.last('re-INVITE').sdp.media[0].port == 30000
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert 'leave' in stream.calls and invitation.last('re-INVITE').sdp.media[0].port == 40000 and session.state == 'sending_proposal'
    if second == 200:
        invitation.peer_answers_reinvite()
        assert session.state == 'connected' and stream.calls[-2:] == ['update', 'keep']
    else:
        invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
        assert world.recorder.one('SIPSessionDidEnd').end_reason == 'the peer cannot be told of our new address: 488 Not Acceptable Here'


@pytest.mark.parametrize('code, seconds', [(491, 4.1), (503, 2.1)])
def test_what_was_gathered_in_vain_goes(world, here, code, seconds):
    """And is gathered anew for the next attempt: it may be another network by then."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite(code, 'No')
    assert stream.calls[-1] == 'keep' and session.state == 'connected'
    world.advance(seconds)
    assert stream.calls.count('restart') == 2 and invitation.methods == ['re-INVITE'] * 2
    invitation.peer_answers_reinvite()
    assert session.state == 'connected' and stream.calls[-2:] == ['update', 'keep']


def test_the_user_hangs_up_while_candidates_are_gathered(world, here):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.slow = True
    here.address = NEW
    changed()
    session.end()
    assert session.state == 'terminated' and invitation.methods == ['BYE']
    stream.gathered()
    assert session.state == 'terminated'


@pytest.mark.parametrize('what', ['hold', 'answer'])
def test_ice_begins_anew_after_what_else_is_told(world, here, what):
    """A description that goes out at the new address before the change is known has the old candidates: they follow."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    here.address = NEW
    description.forget_routes()
    if what == 'hold':
        session.hold()
        assert invitation.last('re-INVITE').sdp.media[0].port == 20000
        invitation.peer_answers_reinvite()
    else:
        invitation.peer_offers(world.sdp('audio', direction='sendonly'))
        assert invitation.last(200).sdp.media[0].port == 20000
    assert invitation.methods[-1] == 're-INVITE' and invitation.last('re-INVITE').sdp.media[0].port == 30000
    count = len(invitation.methods)
    invitation.peer_answers_reinvite()
    changed()
    assert session.state == 'connected' and len(invitation.methods) == count


def test_the_peer_begins_anew_when_we_have_moved(world, here):
    """The answer has new candidates already: nothing has to follow."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.needed = True
    here.address = NEW
    description.forget_routes()
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert 'restart for an answer' in stream.calls and invitation.last(200).sdp.media[0].port == 30000
    assert stream.calls[-2:] == ['update', 'keep'] and session.state == 'connected'
    changed()
    assert invitation.methods == [200]


def test_the_peer_withdraws_while_we_gather_for_the_answer(world, here):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.needed = stream.slow = True
    here.address = NEW
    description.forget_routes()
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert invitation.methods == [] and session.state == 'received_proposal'
    invitation.sdp.proposed_remote = None
    invitation.change('connected', code=487, reason='Request Terminated')
    stream.gathered()
    assert stream.calls[-1] == 'keep' and 'update' not in stream.calls and session.state == 'connected'


def test_the_peer_asks_for_an_offer_when_we_have_moved(world, here):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    here.address = NEW
    description.forget_routes()
    invitation.peer_offers(None)
    assert invitation.last(200).sdp.media[0].port == 30000 and 'restart' in stream.calls and 'keep' not in stream.calls
    invitation.negotiated(invitation.sdp.proposed_local, world.sdp('audio'))
    invitation.change('connected', 'local')
    assert stream.calls[-2:] == ['update', 'keep'] and session.state == 'connected'
    changed()
    assert invitation.methods == [200]


def test_the_peer_begins_anew_by_update(world, here):
    """The core has answered with the credentials that we had: ours follow in a re-INVITE, though our address is the same."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.started_by_peer = True
    invitation.negotiated(session._local_sdp, world.sdp('audio'))
    assert invitation.methods == ['re-INVITE'] and invitation.last('re-INVITE').sdp.media[0].port == 30000
    assert invitation.last('re-INVITE').contact_header is None
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    invitation.peer_answers_reinvite(488, 'Not Acceptable Here')
    assert session.state == 'connected' and stream.calls[-1] == 'keep'
    changed()
    assert invitation.methods == ['re-INVITE'] * 2


@pytest.mark.parametrize('relayed', [False, True])
def test_after_sleep(world, here, relayed):
    """A relay has forgotten us by then, and so has a NAT."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.ice_may_be_lost = relayed
    changed()
    assert invitation.methods == []
    woken()
    assert invitation.methods == (['re-INVITE'] if relayed else [])
    if relayed:
        assert invitation.last('re-INVITE').sdp.media[0].port == 30000 and invitation.last('re-INVITE').contact_header is None
        invitation.peer_answers_reinvite()
        assert session.state == 'connected' and stream.calls[-2:] == ['update', 'keep']


def test_what_ice_has_chosen_is_told(world, here):
    """When it is not what the re-INVITE named: RFC 8839 section 4.4.1."""
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    here.address = NEW
    changed()
    invitation.peer_answers_reinvite()
    stream.ice_reoffer_needed = True
    stream.found()
    assert invitation.methods == ['re-INVITE'] * 2 and stream.calls.count('restart') == 1 and stream.calls[-1] == 'offer'
    invitation.peer_answers_reinvite(491, 'Request Pending')
    world.advance(4.1)
    assert invitation.methods == ['re-INVITE'] * 3
    stream.ice_reoffer_needed = False
    invitation.peer_answers_reinvite()
    changed()
    assert invitation.methods == ['re-INVITE'] * 3 and session.state == 'connected'


def test_whoever_answers_does_not_tell_what_ice_has_chosen(world, here):
    stream = FakeICEStream()
    session, invitation = connected(world, stream)
    stream.needed = True
    here.address = NEW
    description.forget_routes()
    invitation.peer_offers(world.sdp('audio', direction='sendonly'))
    assert stream.found is None and session.state == 'connected'
