"""Presence, dialog and mailbox services of accounts against a server that does as the test says: what Kamailio does not have (dialog.winfo, RLS of dialogs), or
does not show in time (subscriptions that end, states that are lost, documents that are missed)."""

from __future__ import annotations

import pytest

from tests.support.presence_server import PresenceServer
from tests.support.registrar import answer, challenge
from tests.support.sdk import SDK
from tests.support.waiting import wait_until

NAME = 'me@presence.test'
SOON = (0.2, 0.3)
EVENTS = ('message-summary', 'presence.winfo', 'dialog.winfo', 'presence')      # what an account without contacts subscribes to

PIDF = '''<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{user}@presence.test"><tuple id="t1"><status><basic>{basic}</basic></status></tuple></presence>'''
WATCHERS = '''<?xml version="1.0"?><watcherinfo xmlns="urn:ietf:params:xml:ns:watcherinfo" version="{version}" state="{state}">
<watcher-list resource="sip:me@presence.test" package="{package}"><watcher id="w1" status="active" event="subscribe">sip:bob@presence.test</watcher></watcher-list></watcherinfo>'''
DIALOGS = '''<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" state="full" entity="sip:{user}@presence.test">
<dialog id="d1" direction="initiator"><state>confirmed</state></dialog></dialog-info>'''
ACCOUNT = f'agent.objects[{NAME!r}]'
STATE = "__import__('sipsimple.payloads.pidf', fromlist=['_']).PIDF.parse({text!r})"


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['tcp']})
        sdk.do('patch', module='sipsimple.account.subscriber', values={'RETRY_AFTER': dict.fromkeys(
            ('no address', 'dns', 'not sent', 'too short', 'unusable answer', 'later'), SOON)})
        yield sdk


@pytest.fixture
def server():
    with PresenceServer() as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(sdk, server):
    sdk.mark()
    yield
    if sdk.call('manager', 'has_account', NAME):
        sdk.call(NAME, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount')


def add(sdk, server, **values):
    sdk.account(NAME, {'auth.password': 'secret', 'sip.outbound_proxy': server.proxy, 'presence.enabled': True, 'message_summary.enabled': True, 'enabled': True,
                       **values})


def publish(sdk, text):
    sdk.do('evaluate', expression=f"setattr({ACCOUNT}, 'presence_state', {STATE.format(text=text)})" if text else f"setattr({ACCOUNT}, 'presence_state', None)")


# ---- subscriptions ---------------------------------------------------------------------------------------------------


def test_everything_that_is_told(sdk, server):
    server.states.update({
        'message-summary': lambda dialog: ('application/simple-message-summary', 'Messages-Waiting: yes\r\nMessage-Account: sip:box@presence.test\r\nVoice-Message: 2/1\r\n'),
        'presence.winfo': lambda dialog: ('application/watcherinfo+xml', WATCHERS.format(version=dialog.version, state='full', package='presence')),
        'dialog.winfo': lambda dialog: ('application/watcherinfo+xml', WATCHERS.format(version=dialog.version, state='full', package='dialog')),
        'presence': lambda dialog: ('application/pidf+xml', PIDF.format(user='me', basic='open'))})
    add(sdk, server)
    assert sdk.wait('SIPAccountGotMessageSummary', NAME).types == {'message_summary': 'MessageSummary', 'timestamp': 'datetime'}
    for name in ('SIPAccountGotPresenceWinfo', 'SIPAccountGotDialogWinfo'):
        told = sdk.wait(name, NAME)
        assert told.version == 0 and told.state == 'full'
        assert told.types['watcher_list'] == 'WatcherList' and set(told.types) == {'version', 'state', 'watcher_list', 'timestamp'}
    assert sdk.wait('SIPAccountGotSelfPresenceState', NAME).types == {'pidf': 'PIDF', 'timestamp': 'datetime'}
    assert sdk.facts(NAME, 'mwi_active', 'voicemail_uri') == {'mwi_active': True, 'voicemail_uri': 'sip:box@presence.test'}
    for event in EVENTS:
        dialog = server.subscribed(event)
        assert dialog.target == NAME and server.answered(dialog, 1) == 200 and dialog.requests[0].get('expires') == '600'
    sdk.set(NAME, enabled=False)
    sdk.wait('SIPAccountDidDeactivate', NAME)
    assert [server.refreshed(server.subscribed(event), 2).get('expires') for event in EVENTS] == ['0'] * 4
    assert sdk.facts(NAME, 'mwi_active', 'voicemail_uri') == {'mwi_active': False, 'voicemail_uri': NAME}
    names = sdk.names('MWISubscriber')
    assert names == ['MWISubscriberWillStart', 'MWISubscriberDidActivate', 'MWISubscriberDidStart', 'MWISubscriptionDidStart', 'MWISubscriptionGotNotify',
                     'MWISubscriberWillEnd', 'MWISubscriptionDidEnd', 'MWISubscriberDidDeactivate', 'MWISubscriberDidEnd']


def test_settings_at_run_time(sdk, server):
    add(sdk, server, **{'presence.enabled': False, 'message_summary.enabled': False})
    sdk.wait('SIPAccountRegistrationDidSucceed', NAME)
    assert server.past == []
    sdk.account(NAME, {'message_summary.enabled': True})
    mailbox = server.subscribed('message-summary')
    sdk.account(NAME, {'message_summary.voicemail_uri': 'box@presence.test'})
    assert server.refreshed(mailbox, 2).get('expires') == '0'
    assert server.subscribed('message-summary', 2).target == 'box@presence.test'
    sdk.account(NAME, {'sip.subscribe_interval': 120})
    assert server.subscribed('message-summary', 3).requests[0].get('expires') == '120'
    sdk.account(NAME, {'presence.enabled': True})
    for event in EVENTS:
        server.subscribed(event)
    sdk.account(NAME, {'presence.enabled': False})
    for event in EVENTS[1:]:
        assert server.refreshed(server.subscribed(event), 2).get('expires') == '0'
    sdk.call(NAME, 'resubscribe')
    server.subscribed('message-summary', 4)


def test_refreshed_in_time(sdk, server):
    """And shortened by the server, which grants four seconds."""
    server.expires = 4
    add(sdk, server, **{'presence.enabled': False})
    dialog = server.subscribed('message-summary')
    server.refreshed(dialog, 3)
    assert len(server.past) == 1 and sdk.get(NAME, 'mwi_active') is True


@pytest.mark.parametrize('reason', ['deactivated', 'timeout', 'probation'])
def test_ended_by_the_server(sdk, server, reason):
    add(sdk, server, **{'presence.enabled': False})
    server.end(server.subscribed('message-summary'), reason)
    end = sdk.wait('MWISubscriptionDidEnd', 'MWISubscriber')
    assert end.originator == 'remote'
    failed = sdk.wait('MWISubscriptionDidFail', 'MWISubscriber')
    assert failed.reason == f'Ended by the notifier: {reason}' and failed.retry_after <= 0.3
    server.subscribed('message-summary', 2)


def test_not_wanted(sdk, server):
    """A server that does not know an event is not asked again for an hour, and the rest goes on."""
    server.refusals['dialog.winfo'] = answer(489, 'Bad Event')
    add(sdk, server)
    failed = sdk.wait('DialogWinfoSubscriptionDidFail', 'DialogWinfoSubscriber')
    assert (failed.code, failed.reason) == (489, 'Bad Event') and failed.retry_after >= 3600
    server.subscribed('presence.winfo')


def test_wrong_password(sdk, server):
    server.refusals['message-summary'] = challenge('one', proxy=True)
    add(sdk, server, **{'presence.enabled': False})
    failed = sdk.wait('MWISubscriptionDidFail', 'MWISubscriber')
    assert failed.code == 407 and 60 <= failed.retry_after <= 120
    del server.refusals['message-summary']
    sdk.account(NAME, {'auth.password': 'another'})         # tried at once
    server.subscribed('message-summary')


def test_missed_documents(sdk, server):
    server.states['dialog.winfo'] = lambda dialog: ('application/watcherinfo+xml', WATCHERS.format(version=dialog.version, state='full', package='dialog'))
    add(sdk, server)
    dialog = server.subscribed('dialog.winfo')
    sdk.wait('SIPAccountGotDialogWinfo', NAME, version=0)
    for version, state in ((1, 'partial'), (1, 'partial'), (4, 'partial')):
        server.notify(dialog, 'application/watcherinfo+xml', WATCHERS.format(version=version, state=state, package='dialog'))
    sdk.wait('SIPAccountGotDialogWinfo', NAME, version=4)
    server.refreshed(dialog, 2)
    assert [event.version for event in sdk.events('SIPAccountGotDialogWinfo', NAME)][:3] == [0, 1, 4]


@pytest.mark.parametrize('body', ['<watcherinfo', '<!DOCTYPE a [<!ENTITY b "c">]><watcherinfo>&b;</watcherinfo>', '\xff' * 100])
def test_bodies_that_cannot_be_used(sdk, server, body):
    add(sdk, server)
    dialog = server.subscribed('presence.winfo')
    number = server.notify(dialog, 'application/watcherinfo+xml', body.encode('latin-1'))
    told = sdk.wait('SIPAccountGotInvalidNotify', NAME)
    assert told.event == 'presence.winfo' and told.content_type == 'application/watcherinfo+xml' and told.error
    assert server.answered(dialog, number) == 200
    server.notify(dialog, 'application/watcherinfo+xml', WATCHERS.format(version=7, state='full', package='presence'))
    sdk.wait('SIPAccountGotPresenceWinfo', NAME, version=7)


def test_server_starts_anew(sdk, server):
    """It knows nothing of us any more. The lost connection tells; with everything subscribed and published as before."""
    add(sdk, server)
    publish(sdk, PIDF.format(user='me', basic='open'))
    server.published(1)
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    for event in EVENTS:
        server.subscribed(event)
        sdk.wait(f'{EVENT_NAMES[event]}SubscriptionDidStart')
    server.forget()
    server.disconnect()
    for event in EVENTS:
        server.subscribed(event, 2)
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    assert wait_until(lambda: len(server.etags) == 1)
    assert [bool(request.body) for request in server.publications] == [True, True, True]        # the second named a tag that was not known
    assert server.publications[1].get('sip-if-match') and not server.publications[2].get('sip-if-match')


def test_network_changes(sdk, server):
    """Subscriptions are left and made anew; the published state is replaced, and nobody sees it go."""
    add(sdk, server)
    publish(sdk, PIDF.format(user='me', basic='open'))
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    for event in EVENTS:
        server.subscribed(event)
        sdk.wait(f'{EVENT_NAMES[event]}SubscriptionDidStart')
    sdk.do('evaluate', expression="NotificationCenter().post_notification('NetworkConditionsDidChange')")
    for event in EVENTS:
        server.subscribed(event, 2)
        assert server.refreshed(server.subscribed(event), 2).get('expires') == '0'
    again = server.published(2)
    assert again.body and again.get('sip-if-match')
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    assert len(server.etags) == 1 and sdk.events('PresencePublicationDidEnd') == []


EVENT_NAMES = {'message-summary': 'MWI', 'presence.winfo': 'PresenceWinfo', 'dialog.winfo': 'DialogWinfo', 'presence': 'SelfPresence'}


# ---- contacts --------------------------------------------------------------------------------------------------------


def rls(version, full, uris, kind, document, documents=3):
    """A list notification about these users; the documents of the first of them only, and without any nothing of the others either."""
    boundary = 'list-boundary'
    instance = '<instance id="1" state="active" cid="{}"/>' if documents else ''
    resources = ''.join(f'<resource uri="sip:{user}@presence.test">{instance.format(user)}</resource>' for user in uris)
    text = (f'<?xml version="1.0"?><list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:me+{kind}@presence.test" version="{version}" fullState="{full}">'
            f'{resources}</list>')
    parts = [f'--{boundary}\r\nContent-ID: <root>\r\nContent-Type: application/rlmi+xml;charset="UTF-8"\r\n\r\n{text}\r\n']
    parts += [f'--{boundary}\r\nContent-ID: <{user}>\r\nContent-Type: {document[0]}\r\n\r\n{document[1](user)}\r\n' for user in uris[:documents]]
    return f'multipart/related;type="application/rlmi+xml";start="<root>";boundary="{boundary}"', ''.join(parts) + f'--{boundary}--\r\n'


DOCUMENTS = {'presence': ('application/pidf+xml', lambda user: PIDF.format(user=user, basic='open')),
             'dialog': ('application/dialog-info+xml', lambda user: DIALOGS.format(user=user, version=0))}


def test_thousand_contacts(sdk, server):
    """Told of in one NOTIFY, and their documents in others, as a server does that keeps its messages short."""
    names = [f'user{number:03}' for number in range(1000)]
    server.states['presence'] = lambda dialog: rls(0, 'true', names, 'presence', DOCUMENTS['presence'], 0) if dialog.target.startswith('me+') else None
    server.headers['presence'] = 'Require: eventlist\r\n'
    add(sdk, server, **{'xcap.enabled': True, 'xcap.discovered': True})
    dialog = server.subscribed('presence', target='me+presence@presence.test')
    assert len(sdk.wait('SIPAccountGotPresenceState', NAME).resource_map) == 1000
    for number in range(20):
        server.notify(dialog, *rls(number + 1, 'false', names[number * 50:number * 50 + 50], 'presence', DOCUMENTS['presence'], 50))
    sdk.wait('SIPAccountGotPresenceState', NAME, version=20)
    told = {}
    for event in sdk.events('SIPAccountGotPresenceState', NAME)[1:]:
        told.update(event.resource_map)
    assert len(told) == 1000 and all("'active'" in text for text in told.values()) and len(dialog.requests) == 1


def test_thousand_contacts_in_one_message(sdk, server):
    """With their documents, some 370 KB (patch 92 of PJSIP)."""
    names = [f'user{number:03}' for number in range(1000)]
    server.states['presence'] = lambda dialog: rls(0, 'true', names, 'presence', DOCUMENTS['presence'], 1000) if dialog.target.startswith('me+') else None
    server.headers['presence'] = 'Require: eventlist\r\n'
    add(sdk, server, **{'xcap.enabled': True, 'xcap.discovered': True})
    told = sdk.wait('SIPAccountGotPresenceState', NAME).resource_map
    assert len(told) == 1000 and all("'active'" in text for text in told.values())
    dialog = server.subscribed('presence', target='me+presence@presence.test')
    assert server.answered(dialog, 1) == 200 and len(server.states['presence'](dialog)[1]) > 300_000


@pytest.mark.parametrize('kind', ['presence', 'dialog'])
def test_list(sdk, server, kind):
    names = [f'user{number:03}' for number in range(200)]
    notification = {'presence': 'SIPAccountGotPresenceState', 'dialog': 'SIPAccountGotDialogState'}[kind]

    def state(dialog):
        if not dialog.target.startswith('me+'):
            return None
        event = dialog.event
        return rls(0, 'true', names, event, DOCUMENTS[event])
    server.states.update({'presence': state, 'dialog': state})
    server.headers.update({'presence': 'Require: eventlist\r\n', 'dialog': 'Require: eventlist\r\n'})
    add(sdk, server, **{'xcap.enabled': True, 'xcap.discovered': True})
    dialog = server.subscribed(kind, target=f'me+{kind}@presence.test')
    assert 'eventlist' in (dialog.requests[0].get('supported') or '')
    first = sdk.wait(notification, NAME)
    assert first.version == 0 and first.full_state is True and list(first.resource_map) == [f'sip:{name}@presence.test' for name in names]
    assert set(first.types) == {'version', 'full_state', 'resource_map', 'timestamp'}
    server.notify(dialog, *rls(1, 'false', names[:1], kind, DOCUMENTS[kind]))
    second = sdk.wait(notification, NAME, version=1)
    assert second.full_state is False and list(second.resource_map) == ['sip:user000@presence.test']
    server.notify(dialog, *rls(5, 'false', names[:1], kind, DOCUMENTS[kind]))
    server.refreshed(dialog, 2)


def test_contacts_one_by_one(sdk, server):
    """Without XCAP, and with a server that has no list: it says so by not requiring `eventlist`."""
    server.states['presence'] = lambda dialog: ('application/pidf+xml', PIDF.format(user=dialog.target.partition('@')[0], basic='open'))
    server.states['dialog'] = lambda dialog: ('application/dialog-info+xml', DIALOGS.format(user=dialog.target.partition('@')[0], version=dialog.version))
    add(sdk, server)
    sdk.call(NAME, 'watch', ['bob@presence.test', 'sip:carol@presence.test'], ['bob@presence.test'])
    told = [sdk.wait('SIPAccountGotPresenceState', NAME) for _ in range(2)]
    assert sorted(next(iter(event.resource_map)) for event in told) == ['bob@presence.test', 'sip:carol@presence.test']
    assert all(event.full_state is False for event in told)
    assert list(sdk.wait('SIPAccountGotDialogState', NAME).resource_map) == ['bob@presence.test']
    bob = server.subscribed('presence', target='bob@presence.test')
    sdk.call(NAME, 'watch', ['sip:carol@presence.test'], [])
    assert server.refreshed(bob, 2).get('expires') == '0'
    sdk.account(NAME, {'xcap.enabled': True, 'xcap.discovered': True})
    assert server.refreshed(server.subscribed('presence', target='carol@presence.test'), 2).get('expires') == '0'
    server.subscribed('presence', target='me+presence@presence.test')
    server.subscribed('presence', 2, target='carol@presence.test')


# ---- publications ----------------------------------------------------------------------------------------------------


def test_publications(sdk, server):
    server.expires = 4
    add(sdk, server, **{'message_summary.enabled': False})
    publish(sdk, PIDF.format(user='me', basic='open'))
    first = server.published(1)
    assert first.get('event') == 'presence' and first.get('content-type') == 'application/pidf+xml' and 'open' in first.body
    will = sdk.wait('PresencePublisherWillPublish', 'PresencePublisher')
    assert will.duration == 600 and will.types['state'] == 'PIDF'
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    refresh = server.published(2)
    assert not refresh.body and refresh.get('sip-if-match')
    sdk.wait('PresencePublisherWillRefresh', 'PresencePublisher')
    publish(sdk, PIDF.format(user='me', basic='closed'))
    assert wait_until(lambda: any('closed' in request.body for request in server.publications))
    publish(sdk, None)
    sdk.wait('PresencePublicationDidEnd', 'PresencePublisher')
    assert server.publications[-1].get('expires') == '0' and server.etags == {}


def test_calls_are_published(sdk, server):
    add(sdk, server, **{'message_summary.enabled': False})
    text = DIALOGS.format(user='me', version=0)
    sdk.do('evaluate', expression=f"setattr({ACCOUNT}, 'dialog_state', __import__('sipsimple.payloads.dialoginfo', fromlist=['_']).DialogInfo.parse({text!r}))")
    request = server.published(1, 'dialog')
    assert request.get('content-type') == 'application/dialog-info+xml' and 'confirmed' in request.body
    sdk.wait('DialogPublicationDidSucceed', 'DialogPublisher')
    sdk.set(NAME, enabled=False)
    sdk.wait('SIPAccountDidDeactivate', NAME)
    assert server.etags == {} and sdk.events('DialogPublicationDidEnd', 'DialogPublisher')


def test_too_often(sdk, server):
    """As many changes as there are arrive as few, the last one among them."""
    add(sdk, server, **{'message_summary.enabled': False})
    states = [STATE.format(text=PIDF.format(user='me', basic='open').replace('t1', f't{number}')) for number in range(30)]
    sdk.do('evaluate', expression=f"[setattr({ACCOUNT}, 'presence_state', state) for state in [{', '.join(states)}]] and None")
    assert wait_until(lambda: any('t29' in request.body for request in server.publications))
    assert len(server.publications) <= 7


def test_server_that_wants_no_presence(sdk, server):
    server.refusals['PUBLISH'] = answer(489, 'Bad Event')
    add(sdk, server)
    publish(sdk, PIDF.format(user='me', basic='open'))
    failed = sdk.wait('PresencePublicationDidFail', 'PresencePublisher')
    assert failed.reason == 'Bad Event' and failed.retry_after >= 3600


def test_longer_interval(sdk, server):
    server.refusals['PUBLISH'] = lambda request: (423, 'Interval Too Brief', 'Min-Expires: 900\r\n') if int(request.get('expires')) < 900 else (
        200, 'OK', 'SIP-ETag: x\r\nExpires: 900\r\n')
    add(sdk, server)
    publish(sdk, PIDF.format(user='me', basic='open'))
    sdk.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    assert [request.get('expires') for request in server.publications] == ['600', '900']
