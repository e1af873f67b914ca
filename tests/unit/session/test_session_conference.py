"""The control of a conference: requests for participants, and the subscription of a session with a focus."""

from types import SimpleNamespace

import pytest

from sipsimple.core import ContentType, FrozenContactHeader, FrozenSIPURI, FrozenToHeader, SIPCoreError, SIPURI, ToHeader
from sipsimple.lookup import DNSLookupError
from sipsimple.payloads.conference import Conference
from sipsimple.session import ConferenceHandler, Session, active
from sipsimple.session.participants import PARTICIPANT_TRANSITIONS, ParticipantInput, ParticipantState
from tests.support.event_fakes import FakeReferral, FakeSubscription

BOB = SIPURI('example.com', user='bob')
FOCUS = [SimpleNamespace(parameters={'isfocus': None})]
NO_FOCUS = [SimpleNamespace(parameters={})]


@pytest.fixture
def conference(world, monkeypatch):
    """The fakes below the handler, and what routes there are."""
    conference = SimpleNamespace(routes=[world.route()], error=None, looked_up=[], Referral=FakeReferral.fresh(), Subscription=FakeSubscription.fresh())

    def find_routes(account, target, *transports):
        conference.looked_up.append((str(target), *transports))
        if conference.error is not None:
            raise conference.error
        return conference.routes
    for module in ('sipsimple.session.participants', 'sipsimple.account.keeper'):
        monkeypatch.setattr(f'{module}.find_routes', find_routes)
        monkeypatch.setattr(f'{module}.call_in_green_thread', lambda function, *args: function(*args))
    monkeypatch.setattr('sipsimple.session.focus.settings', lambda: world.settings)
    monkeypatch.setattr('sipsimple.session.participants.Referral', conference.Referral)
    for module in ('subscriber', 'leaving'):
        monkeypatch.setattr(f'sipsimple.account.{module}.Subscription', conference.Subscription)
    yield conference
    active._held.clear()


@pytest.fixture
def called(world, conference):
    """A running call with a focus; the subscription has been asked for."""
    session = world.outgoing()
    invitation = world.invitation
    local = invitation.sdp.proposed_local
    invitation.negotiated(local, world.sdp(*[(line.media, 30000) for line in local.media]))
    invitation.change('connecting', headers={'Contact': FOCUS})
    assert conference.Subscription.made == []
    invitation.change('connected', 'local')
    world.recorder.events.clear()
    return session


def told(world, prefix='SIPConference'):
    return [(name.removeprefix(prefix), str(data.participant), *([(data.code, data.reason)] if hasattr(data, 'code') else []))
            for name, data in world.conference_events if name.startswith(prefix)]


@pytest.fixture(autouse=True)
def record(world):
    """The recorder of the world hears nothing of conferences."""
    from zope.interface import implementer

    from sipsimple.notification import IObserver, NotificationCenter
    world.conference_events = []

    @implementer(IObserver)
    class Observer:
        def handle_notification(self, notification):
            if 'Conference' in notification.name:
                world.conference_events.append((notification.name, notification.data))
    observer = Observer()
    NotificationCenter().add_observer(observer)
    yield
    NotificationCenter().remove_observer(observer)


# ---- participants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('value', ['bob@example.com', 'sip:bob@example.com', ' SIP:bob@example.com', BOB])
def test_participant_is_added(world, conference, called, value):
    called.conference.add_participant(value)
    referral, = conference.Referral.made
    sent = referral.sent_to
    assert str(sent.request_uri) == str(sent.to_header.uri) == 'sip:you@example.com' and str(sent.from_header.uri) == 'sip:me@example.com'
    assert sent.refer_to.body == '<sip:bob@example.com>;method=INVITE'
    assert str(sent.contact.uri) == 'sip:me@127.0.0.1:5070' and str(sent.route.uri) == 'sip:127.0.0.1'
    referral.accepted_by_peer()
    assert told(world) == []
    for line in ('SIP/2.0 100 Trying', 'SIP/2.0 180 Ringing', 'SIP/2.0 200 OK'):
        referral.tell(line)
    assert told(world) == [('GotAddParticipantProgress', 'sip:bob@example.com', (100, 'Trying')), ('GotAddParticipantProgress', 'sip:bob@example.com', (180, 'Ringing')),
                           ('GotAddParticipantProgress', 'sip:bob@example.com', (200, 'OK')), ('DidAddParticipant', 'sip:bob@example.com')]
    assert referral.sent == ['refer', 'end']            # nothing more is of interest
    referral.ended()
    assert len(told(world)) == 4


def test_participant_is_removed(world, conference, called):
    called.conference.remove_participant('sip:bob@example.com;transport=tcp')
    referral, = conference.Referral.made
    assert referral.sent_to.refer_to.body == '<sip:bob@example.com;transport=tcp;method=BYE>;method=BYE'
    referral.accepted_by_peer()
    referral.tell('SIP/2.0 200 OK')
    assert told(world) == [('GotRemoveParticipantProgress', 'sip:bob@example.com;transport=tcp', (200, 'OK')),
                           ('DidRemoveParticipant', 'sip:bob@example.com;transport=tcp')]


@pytest.mark.parametrize('method, word', [('add_participant', 'Add'), ('remove_participant', 'Remove')])
def test_participant_does_not_answer(world, conference, called, method, word):
    getattr(called.conference, method)(BOB)
    referral, = conference.Referral.made
    referral.accepted_by_peer()
    referral.tell('SIP/2.0 486 Busy Here')
    assert told(world) == [(f'DidNot{word}Participant', 'sip:bob@example.com', (486, 'Busy Here'))]


def test_notify_faster_than_the_answer(world, conference, called):
    called.conference.add_participant(BOB)
    referral, = conference.Referral.made
    referral.tell('SIP/2.0 200 OK')
    referral.accepted_by_peer()
    referral.ended()
    assert [entry[0] for entry in told(world)] == ['GotAddParticipantProgress', 'DidAddParticipant']


def test_focus_that_tells_nothing(world, conference, called):
    """It wants no subscription (RFC 4488): that it has accepted is all there is."""
    called.conference.add_participant(BOB)
    referral, = conference.Referral.made
    referral.accepted_by_peer()
    referral.ended()
    assert told(world) == [('DidAddParticipant', 'sip:bob@example.com')]


def test_focus_that_stops_telling(world, conference, called):
    called.conference.add_participant(BOB)
    referral, = conference.Referral.made
    referral.accepted_by_peer()
    referral.tell('SIP/2.0 180 Ringing')
    referral.tell(None)
    referral.tell('nonsense')
    referral.failed_by_peer(180, 'Ringing')
    assert told(world)[1:] == [('DidNotAddParticipant', 'sip:bob@example.com', (0, 'the focus did not tell the outcome'))]


@pytest.mark.parametrize('code, routes', [(403, 1), (405, 1), (480, 2), (503, 2), (408, 2), (0, 2), (603, 2)])
def test_refused_refer(world, conference, called, code, routes):
    conference.routes = [world.route(1), world.route(2)]
    called.conference.add_participant(BOB)
    for number in range(routes):
        referral = conference.Referral.made[number]
        assert referral.sent_to.route.uri.port == number + 1
        referral.failed_by_peer(code, 'No')
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (code, 'No'))] and len(conference.Referral.made) == routes
    assert [referral.timeouts for referral in conference.Referral.made] == [[5.0], [30.0]][:routes]


def test_second_route_works(world, conference, called):
    conference.routes = [world.route(1), world.route(2)]
    called.conference.add_participant(BOB)
    conference.Referral.made[0].failed_by_peer(408)
    second = conference.Referral.made[1]
    second.accepted_by_peer()
    second.tell('SIP/2.0 200 OK')
    assert told(world)[-1] == ('DidAddParticipant', 'sip:bob@example.com')


def test_no_further_route_after_half_a_minute(world, conference, called):
    conference.routes = [world.route(1), world.route(2)]
    called.conference.add_participant(BOB)
    world.advance(30)
    conference.Referral.made[0].failed_by_peer(408, 'Timeout')
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (408, 'Timeout'))] and len(conference.Referral.made) == 1


def test_failure_after_the_answer_is_final(world, conference, called):
    conference.routes = [world.route(1), world.route(2)]
    called.conference.add_participant(BOB)
    conference.Referral.made[0].accepted_by_peer()
    conference.Referral.made[0].failed_by_peer(408, 'No NOTIFY received')
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (408, 'No NOTIFY received'))] and len(conference.Referral.made) == 1


@pytest.mark.parametrize('value', ['', 'sip:', 'bob@', 'bob@example.com:notaport', None, 17])
def test_bad_uri(world, conference, called, value):
    called.conference.add_participant(value)
    called.conference.remove_participant(value)
    first, second = (data for _, data in world.conference_events)
    assert [name for name, _ in world.conference_events] == ['SIPConferenceDidNotAddParticipant', 'SIPConferenceDidNotRemoveParticipant']
    assert first.participant is second.participant is value and first.code == second.code == 0 and first.reason and conference.Referral.made == []


def test_peer_is_no_focus(world, conference):
    session, _ = world.connected()
    session.conference.add_participant(BOB)
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (0, 'the peer is no focus'))]


def test_session_does_not_run(world, conference, called):
    early = world.outgoing()
    early.remote_focus = True
    early.conference.add_participant(BOB)
    called.end()
    called.conference.remove_participant(BOB)
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (0, 'the session does not run')),
                           ('DidNotRemoveParticipant', 'sip:bob@example.com', (0, 'the session does not run'))]


def test_no_way_to_the_focus(world, conference, called, monkeypatch):
    conference.error = DNSLookupError('no such name')
    called.conference.add_participant(BOB)
    conference.error, conference.routes = None, []
    called.conference.add_participant(BOB)
    conference.routes, world.account.contact.missing = [world.route()], True
    called.conference.add_participant(BOB)
    world.account.contact.missing = False
    monkeypatch.setattr(conference.Referral, 'send_refer', lambda self, timeout: (_ for _ in ()).throw(SIPCoreError('no engine')))
    called.conference.add_participant(BOB)
    conference.error = ZeroDivisionError('a defect')
    called.conference.add_participant(BOB)
    assert [entry[2] for entry in told(world)] == [(0, 'DNS lookup failed: no such name'), (0, 'no route to the focus'), (0, 'no local address to reach the focus from'),
                                                   (0, 'SIP core error: no engine'), (0, 'internal error: a defect')]


def test_requests_end_with_the_session(world, conference, called):
    called.conference.add_participant(BOB)
    called.conference.remove_participant('carol@example.com')
    conference.Referral.made[0].accepted_by_peer()
    called.end()
    assert told(world) == [('DidNotAddParticipant', 'sip:bob@example.com', (0, 'the session has ended')),
                           ('DidNotRemoveParticipant', 'sip:carol@example.com', (0, 'the session has ended'))]
    for referral in conference.Referral.made:
        assert referral.sent == ['refer', 'end']
        referral.tell('SIP/2.0 200 OK')
        referral.ended()
    assert len(told(world)) == 2


def test_lookup_that_ends_after_the_session(world, conference, called, monkeypatch):
    waiting = []
    monkeypatch.setattr('sipsimple.session.participants.call_in_green_thread', waiting.append)
    called.conference.add_participant(BOB)
    called.end()
    waiting.pop()()
    assert conference.Referral.made == [] and len(told(world)) == 1


def test_several_at_a_time(world, conference, called):
    for name in ('bob', 'carol'):
        called.conference.add_participant(f'{name}@example.com')
    for referral in reversed(conference.Referral.made):
        referral.accepted_by_peer()
        referral.tell('SIP/2.0 200 OK')
    assert [entry[1] for entry in told(world) if entry[0] == 'DidAddParticipant'] == ['sip:carol@example.com', 'sip:bob@example.com']


def test_every_state_of_a_request_can_be_left():
    finals = {ParticipantState.DONE, ParticipantState.FAILED}
    reached = {None, *PARTICIPANT_TRANSITIONS.values()}
    assert reached == {None, *ParticipantState}
    assert {state for state, _ in PARTICIPANT_TRANSITIONS} == reached - finals
    assert {what for _, what in PARTICIPANT_TRANSITIONS} == set(ParticipantInput)


# ---- the subscription ------------------------------------------------------------------------------------------------


def test_focus_is_subscribed_to(world, conference, called):
    assert called.remote_focus and isinstance(called.conference, ConferenceHandler) and called.conference
    subscription, = conference.Subscription.made
    target, sender, to, contact, event, _, credentials, refresh = subscription.arguments
    assert [str(target), *(str(header.uri) for header in (sender, to, contact))] == [
        'sip:you@example.com', 'sip:me@example.com', 'sip:you@example.com', 'sip:me@127.0.0.1:5070']
    assert (event, credentials, refresh) == ('conference', None, 600) and conference.looked_up == [('sip:you@example.com', ['udp', 'tcp'])]


@pytest.mark.parametrize('setting, asked', [(77, 77), (0, 600)])
def test_interval_of_the_account(world, conference, setting, asked):
    world.account.sip.subscribe_interval = setting
    session = world.outgoing()
    session.remote_focus = True
    world.invitation.peer_answers()
    assert conference.Subscription.made[0].refresh == asked


def test_other_peers_are_not_subscribed_to(world, conference):
    session, _ = world.connected()
    assert not session.remote_focus and conference.Subscription.made == []


def test_incoming_call_of_a_focus(world, conference):
    invitation, session = world.incoming(headers={'Contact': FOCUS})
    assert conference.Subscription.made == []
    session.accept(session.proposed_streams)
    assert conference.Subscription.made == []
    invitation.change('connected', 'remote', headers={})        # the ACK, which has no contact
    assert session.state == 'connected' and session.remote_focus and len(conference.Subscription.made) == 1


def test_end_of_the_session_ends_the_subscription(world, conference, called):
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    called.end()
    assert subscription.sent == ['subscribe', 'end'] and called.state == 'terminated'
    empty = []
    active.call_when_empty(lambda: empty.append(1))             # the application waits for it
    assert empty == []
    subscription.ended()
    assert empty == [1]
    subscription.tell(b'<late/>')
    assert world.conference_events == []


def test_focus_that_does_not_let_go_is_not_waited_for(world, conference, called):
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    called.end()
    empty = []
    active.call_when_empty(lambda: empty.append(1))
    world.advance(3)
    assert empty == [1]


def test_peer_becomes_and_stops_being_a_focus(world, conference):
    session, invitation = world.connected()
    invitation.change('connected', 'local', headers={'Contact': FOCUS}, sub_state='normal')             # our own message
    invitation.change('connected', headers={'Contact': FOCUS}, sub_state='normal', code=302)           # contacts of a refusal are something else
    assert not session.remote_focus
    offer = world.sdp('audio')
    invitation.sdp.proposed_remote = offer
    invitation.change('connected', headers={'Contact': FOCUS}, sub_state='received_proposal')
    assert session.state == 'connected' and session.remote_focus
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    session.hold()
    invitation.change('connected', headers={}, code=491, reason='Request Pending')
    assert session.remote_focus
    world.advance(5)
    invitation.negotiated(invitation.sdp.proposed_local, offer)
    invitation.change('connected', headers={'Contact': NO_FOCUS})
    assert not session.remote_focus and subscription.sent == ['subscribe', 'end']
    subscription.ended()
    invitation.sdp.proposed_remote = offer
    invitation.change('connected', headers={'Contact': FOCUS}, sub_state='received_proposal')
    assert len(conference.Subscription.made) == 2


def test_peer_becomes_a_focus_by_update(world, conference):
    session, invitation = world.connected()
    invitation._post('SIPInvitationGotUpdate', method='UPDATE', request_uri=None, headers={'Contact': FOCUS}, body=None)
    assert session.remote_focus
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    session.hold()                              # it may come while something else runs
    invitation._post('SIPInvitationGotUpdate', method='UPDATE', request_uri=None, headers={'Contact': NO_FOCUS}, body=None)
    assert session.state == 'sending_proposal' and not session.remote_focus and subscription.sent == ['subscribe', 'end']
    session.end()
    invitation._post('SIPInvitationGotUpdate', method='UPDATE', request_uri=None, headers={'Contact': FOCUS}, body=None)
    assert not session.remote_focus and len(conference.Subscription.made) == 1


@pytest.mark.parametrize('identity, contact, expected', [
    ('sip:room@example.com', 'sip:room@192.0.2.1:5080', 'sip:room@example.com'), ('sip:room@192.0.2.9', 'sip:x@192.0.2.1:5080;transport=tcp', 'sip:x@192.0.2.1:5080;transport=tcp'),
    ('sip:room@[2001:db8::1]', 'sip:x@[2001:db8::1]:5080', 'sip:x@[2001:db8::1]:5080'), ('sip:room@192.0.2.9', None, 'sip:room@192.0.2.9')])
def test_name_of_the_conference_that_calls(world, conference, identity, contact, expected):
    """A machine is found by its contact: its From has no port."""
    invitation, session = world.incoming(headers={'Contact': FOCUS})
    invitation.remote_identity = FrozenToHeader(FrozenSIPURI.parse(identity))
    invitation.remote_contact_header = None if contact is None else FrozenContactHeader(FrozenSIPURI.parse(contact))
    session.accept(session.proposed_streams)
    invitation.change('connected', 'remote', headers={})
    assert str(conference.Subscription.made[0].arguments[0]) == expected


def test_name_of_the_conference_that_is_called(world, conference):
    """With its port, which is not in the To of messages."""
    session = Session(world.account)
    session.connect(ToHeader(SIPURI('192.0.2.9', user='room', port=5080, parameters={'transport': 'tcp'}, headers={'Subject': 'x'})), [world.route()], [world.Stream()])
    session.remote_focus = True
    world.invitation.peer_answers()
    assert str(conference.Subscription.made[0].arguments[0]) == 'sip:room@192.0.2.9:5080;transport=tcp'


# ---- the state of the conference -------------------------------------------------------------------------------------


def document(version=1, state='full', user='bob'):
    description = '<conference-description><subject>Lunch</subject></conference-description>' if state == 'full' else ''
    return (f'<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:you@example.com" state="{state}" version="{version}">{description}'
            f'<users state="{state}"><user entity="sip:{user}@example.com"/></users></conference-info>').encode()


def infos(world):
    return [data.conference_info for name, data in world.conference_events if name == 'SIPSessionGotConferenceInfo']


def test_documents(world, conference, called):
    subscription, = conference.Subscription.made
    subscription.tell(document(1))                          # before the answer to the SUBSCRIBE
    subscription.accepted_by_peer()
    subscription.tell(document(2, 'partial', 'carol'))
    subscription.tell(document(3, 'partial', 'dave'))
    first, second, third = infos(world)
    assert isinstance(first, Conference) and (first.version, first.state, str(first.conference_description.subject)) == (1, 'full', 'Lunch')
    assert [user.entity for user in first.users] == ['sip:bob@example.com']
    assert (second.version, second.state, str(second.conference_description.subject)) == (2, 'full', 'Lunch')
    assert [user.entity for user in second.users] == ['sip:bob@example.com', 'sip:carol@example.com']
    assert (third.version, [user.entity for user in third.users]) == (3, ['sip:bob@example.com', 'sip:carol@example.com', 'sip:dave@example.com'])
    assert subscription.sent == ['subscribe']


def test_what_the_application_does_to_a_document_is_its_own(world, conference, called):
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    for version, state, user in ((1, 'full', 'bob'), (2, 'partial', 'carol'), (3, 'partial', 'dave')):
        subscription.tell(document(version, state, user))
        infos(world)[-1].users.clear()
    subscription.tell(document(4, 'partial', 'erin'))
    assert [user.entity for user in infos(world)[-1].users] == [f'sip:{name}@example.com' for name in ('bob', 'carol', 'dave', 'erin')]


def test_change_that_leads_to_nothing(world, conference, called):
    """It comes as it is, and the whole is asked for."""
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    subscription.tell(document(1))
    subscription.tell(document(2, 'partial').replace(b'<users state="partial">', b'<users state="deleted">'))
    assert infos(world)[-1].state == 'partial' and subscription.sent == ['subscribe', 'subscribe']
    subscription.tell(document(3, 'partial'))
    assert infos(world)[-1].state == 'partial' and subscription.sent == ['subscribe', 'subscribe']
    subscription.tell(document(4))
    subscription.tell(document(5, 'partial', 'carol'))
    assert infos(world)[-1].state == 'full' and len(list(infos(world)[-1].users)) == 2 and subscription.sent == ['subscribe', 'subscribe']


def test_conference_that_is_gone(world, conference, called):
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    subscription.tell(document(1))
    subscription.tell(document(2, 'deleted'))
    assert infos(world)[-1].state == 'deleted'
    subscription.tell(document(3, 'partial'))
    assert infos(world)[-1].state == 'partial' and subscription.sent == ['subscribe']


@pytest.mark.parametrize('body, content_type', [
    (None, None), (b'', 'application/conference-info+xml'), (b'<conference-info', 'application/conference-info+xml'), (b'<other/>', 'application/conference-info+xml'),
    (document(), 'text/plain'), (document(), None), (document()[:-20], 'application/conference-info+xml'), (b'\xff\xfe', 'application/conference-info+xml')])
def test_what_is_no_document_is_ignored(world, conference, called, body, content_type):
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    subscription.tell(body, content_type)
    assert world.conference_events == [] and called.state == 'connected'
    subscription.tell(document(), ContentType('Application/Conference-Info+XML'))
    assert len(infos(world)) == 1


def test_gap_in_the_documents(world, conference, called):
    """The whole state is asked for when changes are missing: RFC 4575 section 4.6."""
    subscription, = conference.Subscription.made
    subscription.accepted_by_peer()
    for version, state, asked, told in ((5, 'full', 1, 'full'), (6, 'partial', 1, 'full'), (9, 'partial', 2, 'partial'), (10, 'full', 2, 'full'),
                                        (20, 'full', 2, 'full'), (21, 'partial', 2, 'full'), (4, 'partial', 3, 'partial')):
        subscription.tell(document(version, state))
        assert subscription.sent.count('subscribe') == asked and infos(world)[-1].state == told
    subscription.ended_by_peer(reason='deactivated')
    world.advance(0)
    subscription = conference.Subscription.made[-1]
    subscription.accepted_by_peer()
    subscription.tell(document(3, 'partial'))               # the first one: what it changes is not known
    assert subscription.sent.count('subscribe') == 2 and len(infos(world)) == 8
