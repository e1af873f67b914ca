"""Conferences between processes: a focus, hosted by the parts of the SDK, and those who are in or get invited."""

import time
from types import SimpleNamespace

import pytest

from tests.calls.conftest import LIMIT, Process

CONTENT_TYPE = 'application/conference-info+xml'


@pytest.fixture
def conference():
    """alice has called the focus; bob waits to be called."""
    parties = {'focus': Process('focus', 'focus_agent.py'), 'alice': Process('alice'), 'bob': Process('bob')}
    try:
        ports = {}
        for name, process in parties.items():
            options = {} if name == 'focus' else {'own_uri': True}
            ports[name] = process.do('start', audio=False, t1=50, tcp_port=None, **options)['port']
        conference = SimpleNamespace(**parties, ports=ports, uri={name: f'sip:agent@127.0.0.1:{port}' for name, port in ports.items()}, stopped=[])
        parties['bob'].do('set', target='agent', auto='ring+accept')
        yield conference
    finally:
        for name, process in parties.items():
            if name not in conference.stopped:
                process.stop()


def call(conference):
    conference.alice.do('connect', session='s', ports=[conference.ports['focus']], streams=['plain'])
    conference.alice.wait('SIPSessionDidStart')
    conference.focus.wait('SIPIncomingSubscriptionGotSubscribe')


def told_of(process, *users):
    """Wait for a list with just these users."""
    while sorted(process.wait('SIPSessionGotConferenceInfo')['conference_info']) != sorted(users):
        pass


def count(process, name):
    process.do('sessions')              # reads what it tells
    return sum(event[0] == name for event in process.events)


def wait_for_count(process, name, number):
    until = time.monotonic() + LIMIT
    while count(process, name) < number:
        assert time.monotonic() < until, (name, process.events)


def test_conference(conference):
    """Added and removed; everybody who is in hears of it, and knows that the peer is a focus."""
    focus, alice, bob, uri = conference.focus, conference.alice, conference.bob, conference.uri
    call(conference)
    assert alice.do('get', args=['s', 'remote_focus'])['remote_focus'] is True
    told_of(alice, uri['alice'])
    alice.do('conference', session='s', method='add_participant', port=conference.ports['bob'])
    bob.wait('SIPSessionDidStart')
    assert bob.do('get', args=['in1', 'remote_focus', 'local_focus']) == {'done': 'get', 'remote_focus': True, 'local_focus': False}
    told_of(bob, uri['alice'], uri['bob'])
    codes = []
    while not codes or codes[-1] != 200:
        progress = alice.wait('SIPConferenceGotAddParticipantProgress', 's')
        assert progress['participant'] == uri['bob'] and progress['reason']
        codes.append(progress['code'])
    assert codes[0] == 100 and codes == sorted(codes) and 180 in codes
    assert alice.wait('SIPConferenceDidAddParticipant', 's') == {'participant': uri['bob']}
    assert [user for name, _, fields in alice.events if name == 'SIPSessionGotConferenceInfo' for user in fields['conference_info']].count(uri['bob']) >= 1
    alice.do('conference', session='s', method='remove_participant', port=conference.ports['bob'])
    assert bob.wait('SIPSessionDidEnd')['originator'] == 'remote'
    assert alice.wait('SIPConferenceGotRemoveParticipantProgress', 's')['code'] in (100, 200)
    assert alice.wait('SIPConferenceDidRemoveParticipant', 's') == {'participant': uri['bob']}
    assert count(alice, 'SIPConferenceDidAddParticipant') == count(alice, 'SIPConferenceDidRemoveParticipant') == 1
    alice.call('end')
    alice.wait('SIPSessionDidEnd', 's')
    focus.wait('SIPIncomingSubscriptionGotUnsubscribe')


def test_what_is_not_done(conference):
    """Busy, not in, refused by the focus, no URI; the call goes on."""
    focus, alice, bob, uri = conference.focus, conference.alice, conference.bob, conference.uri
    call(conference)
    bob.do('set', target='agent', auto='reject')
    alice.do('conference', session='s', method='add_participant', port=conference.ports['bob'])
    assert alice.wait('SIPConferenceDidNotAddParticipant') == {'participant': uri['bob'], 'code': 486, 'reason': 'Busy Here'}
    alice.do('conference', session='s', method='remove_participant', port=conference.ports['bob'])
    assert alice.wait('SIPConferenceDidNotRemoveParticipant') == {'participant': uri['bob'], 'code': 404, 'reason': 'Not Found'}
    focus.do('set', target='agent', refer_code=403)
    for method, word in (('add_participant', 'Add'), ('remove_participant', 'Remove')):
        alice.do('conference', session='s', method=method, port=conference.ports['bob'])
        assert alice.wait(f'SIPConferenceDidNot{word}Participant') == {'participant': uri['bob'], 'code': 403, 'reason': 'Forbidden'}
    alice.do('conference', session='s', method='add_participant', uri='sip:')
    assert alice.wait('SIPConferenceDidNotAddParticipant')['code'] == 0
    assert alice.state() == 'connected' and count(alice, 'SIPConferenceDidAddParticipant') == 0


@pytest.mark.parametrize('code', [489, 403])
def test_subscription_is_refused(conference, code):
    """It is not asked for again until the network changes; the call goes on."""
    conference.focus.do('set', target='agent', subscribe_code=code)
    call(conference)
    conference.focus.wait('SIPIncomingSubscriptionDidEnd')
    conference.focus.do('set', target='agent', subscribe_code=None)
    conference.alice.do('conference', session='s', method='remove_participant', port=conference.ports['bob'])
    assert conference.alice.wait('SIPConferenceDidNotRemoveParticipant')['code'] == 404
    assert count(conference.focus, 'SIPIncomingSubscriptionGotSubscribe') == 1
    conference.alice.do('post', name='NetworkConditionsDidChange')
    told_of(conference.alice, conference.uri['alice'])


def test_subscription_is_ended(conference):
    """Made anew when that is of use, not when the focus says that there is nothing any more."""
    focus, alice = conference.focus, conference.alice
    call(conference)
    told_of(alice, conference.uri['alice'])
    focus.do('end_subscriptions', reason='deactivated')
    focus.wait('SIPIncomingSubscriptionGotSubscribe')
    told_of(alice, conference.uri['alice'])
    focus.do('end_subscriptions', reason='noresource')
    wait_for_count(focus, 'SIPIncomingSubscriptionDidEnd', 2)
    alice.do('conference', session='s', method='remove_participant', port=conference.ports['bob'])
    alice.wait('SIPConferenceDidNotRemoveParticipant')
    assert count(focus, 'SIPIncomingSubscriptionGotSubscribe') == 2 and alice.state() == 'connected'


def test_documents_that_are_none(conference):
    focus, alice = conference.focus, conference.alice
    call(conference)
    told_of(alice, conference.uri['alice'])
    for content in ('<conference-info', '<other/>', ''):
        focus.do('tell', content_type=CONTENT_TYPE, content=content)
    document = (f'<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="{conference.uri["focus"]}" state="partial" version="99"><users>'
                f'<user entity="sip:last@example.com" state="full"/></users></conference-info>')
    focus.do('tell', content_type=CONTENT_TYPE, content=document)
    assert alice.wait('SIPSessionGotConferenceInfo')['conference_info'] == ['sip:last@example.com']
    focus.wait('SIPIncomingSubscriptionGotRefreshingSubscribe')         # what was before it did not come


def test_focus_vanishes(conference):
    """What is asked for fails, and the call can be ended."""
    alice = conference.alice
    call(conference)
    told_of(alice, conference.uri['alice'])
    conference.focus.kill()
    conference.stopped.append('focus')
    alice.do('conference', session='s', method='add_participant', port=conference.ports['bob'])
    failure = alice.wait('SIPConferenceDidNotAddParticipant')
    assert failure['participant'] == conference.uri['bob'] and failure['code'] in (408, 503)
    alice.call('end')
    alice.wait('SIPSessionDidEnd')
    assert alice.do('stop_manager')['stopped']          # which waits for the subscription


def test_session_ends_while_a_participant_is_called(conference):
    alice, bob = conference.alice, conference.bob
    call(conference)
    bob.do('set', target='agent', auto=None)
    alice.do('conference', session='s', method='add_participant', port=conference.ports['bob'])
    bob.wait('SIPSessionNewIncoming')
    alice.wait('SIPConferenceGotAddParticipantProgress')
    alice.call('end')
    assert alice.wait('SIPConferenceDidNotAddParticipant') == {'participant': conference.uri['bob'], 'code': 0, 'reason': 'the session has ended'}
    alice.wait('SIPSessionDidEnd')
    bob.do('accept', session='in1')
    bob.wait('SIPSessionDidStart')              # the focus goes on with it


@pytest.mark.parametrize('who', ['alice', 'focus'])
def test_focus_stays_one(conference, who):
    """A re-INVITE, and the answer to one, say `isfocus` again: nothing is subscribed to anew, or given up."""
    focus, alice = conference.focus, conference.alice
    call(conference)
    focus.wait('SIPIncomingSubscriptionNotifyDidSucceed')
    proposer, other = (alice, focus) if who == 'alice' else (focus, alice)
    names = {'alice': 's', 'focus': 'in1'}
    proposer.do('add', session=names[proposer.name], streams=['plain'])
    other.wait('SIPSessionGotProposal')
    other.do('accept_proposal', session=names[other.name])
    for process in (alice, focus):
        process.wait('SIPSessionDidRenegotiateStreams')
    assert alice.do('get', args=['s', 'remote_focus'])['remote_focus'] is True
    assert focus.do('get', args=['in1', 'local_focus', 'remote_focus']) == {'done': 'get', 'local_focus': True, 'remote_focus': False}
    assert count(focus, 'SIPIncomingSubscriptionGotSubscribe') == 1 and count(focus, 'SIPIncomingSubscriptionGotUnsubscribe') == 0


def test_focus_of_a_running_call(conference):
    """alice calls bob, who is no focus: nothing is subscribed to, and nothing can be asked for."""
    alice = conference.alice
    alice.do('connect', session='s', ports=[conference.ports['bob']], streams=['plain'])
    alice.wait('SIPSessionDidStart')
    alice.do('conference', session='s', method='add_participant', port=conference.ports['focus'])
    assert alice.wait('SIPConferenceDidNotAddParticipant')['reason'] == 'the peer is no focus'
    assert alice.do('get', args=['s', 'remote_focus'])['remote_focus'] is False
