"""Presence between two programs, through Kamailio: published, watched, allowed, blocked; one list of a thousand; mailbox, watchers and calls; a server that
starts anew.

Kamailio has no dialog.winfo and no lists of dialogs: `test_presence_script.py` has those.
"""

from __future__ import annotations

import time

import pytest

from tests.support.lab import lab_fixture
from tests.support.sdk import LIMIT, SDK
from tests.support.waiting import wait_until
from tests.support.xcap_put import put, rules, services

pytestmark = pytest.mark.interop

strict_lab = lab_fixture('kamailio')                            # rules decide who sees what
# Everybody sees everything. A subscription of its own to each of a thousand contacts is more than Kamailio has memory for in the lab.
open_lab = lab_fixture('kamailio', kamailio_memory=512, LAB_FORCE_ACTIVE='1')

PIDF = '''<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"
    xmlns:c="urn:ietf:params:xml:ns:pidf:cipid" entity="sip:{user}@lab.test">
<tuple id="t1"><status><basic>open</basic></status><contact priority="0.8">sip:{user}@lab.test</contact><note xml:lang="en">{note}</note></tuple>
<dm:person id="p1"><rpid:activities><rpid:{activity}/></rpid:activities><rpid:mood><rpid:happy/></rpid:mood><c:display-name>The user</c:display-name>
<dm:note>{note}</dm:note></dm:person></presence>'''
DIALOG = '''<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" state="full" entity="sip:{user}@lab.test">
<dialog id="d1" direction="initiator"><state>{state}</state></dialog></dialog-info>'''
PARSED = "__import__('sipsimple.payloads.{module}', fromlist=['_']).{kind}.parse({text!r})"
CONTACT = """[(contact.uris.add(book.ContactURI(uri='bob@lab.test')), setattr(contact.presence, 'subscribe', True), contact.save(), agent.objects.update(contact=contact))
    for book in [__import__('sipsimple.addressbook', fromlist=['_'])] for contact in [book.Contact()]] and None"""
BOOK = "__import__('sipsimple.addressbook', fromlist=['_'])"
# An object of the addressbook becomes another one, and is saved.
CHANGE = "[setattr(item, 'policy', {value!r}) for item in [agent.objects[{name!r}].presence]] and agent.objects[{name!r}].save()"
DEFAULT = "AccountManager().get_account('carol@lab.test').xcap_manager.set_default_presence_policy({value!r})"
# What a program last heard of a resource, with the time: state, notes of the services, activities of the persons. The documents do not come to this process.
SEEN = """[[when, str(resource.state), [str(note) for pidf in resource.pidf_list for service in pidf.services for note in service.notes],
    [str(activity) for pidf in resource.pidf_list for person in pidf.persons for activity in (person.activities or ())]]
    for when, resource in [agent.latest.get({uri!r}, (None, None))] if resource]"""
KEEP = """agent.__dict__.setdefault('latest', {}) is None or NotificationCenter().add_observer(agent.__dict__.setdefault('keeper', implementer(IObserver)(type('Keeper', (), {
    'handle_notification': lambda self, notification: agent.latest.update({uri: (time.monotonic(), resource) for uri, resource in notification.data.resource_map.items()})
    }))()), name='SIPAccountGotPresenceState')"""


@pytest.fixture(scope='module')
def programs():
    with SDK('alice') as alice, SDK('bob') as bob:
        for sdk in (alice, bob):
            sdk.start(settings={'sip.transport_list': ['tcp']})
            sdk.do('evaluate', expression=KEEP)
            sdk.do('evaluate', expression="__import__('sipsimple.payloads.rpid', fromlist=['_']) and __import__('sipsimple.payloads.cipid', fromlist=['_']) and None")
        yield {'alice': alice, 'bob': bob}


@pytest.fixture
def users(programs):
    for sdk in programs.values():
        sdk.mark()
    yield programs
    for sdk in programs.values():
        sdk.do('evaluate', expression='agent.latest.clear()')
    for user, sdk in [*programs.items(), ('carol', programs['bob'])]:
        if sdk.call('manager', 'has_account', f'{user}@lab.test'):
            sdk.call(f'{user}@lab.test', 'delete')
            sdk.wait('SIPAccountManagerDidRemoveAccount')


def add(lab, sdk, user, watch=(), **values):
    """An account; it is returned when the server has its first subscription."""
    name = f'{user}@lab.test'
    sdk.account(name, {'auth.password': f'{user}-pw', 'sip.outbound_proxy': f'127.0.0.1:{lab.port("SIP")};transport=tcp', 'presence.enabled': True,
                       'enabled': True, **values})
    sdk.wait('SIPAccountWillActivate', name)
    if watch:
        sdk.call(name, 'watch', [f'sip:{contact}@lab.test' for contact in watch], [f'sip:{contact}@lab.test' for contact in watch])


def show(sdk, user, note, activity='away'):
    """Publish a presence and return when that began."""
    text = PARSED.format(module='pidf', kind='PIDF', text=PIDF.format(user=user, note=note, activity=activity))
    began = time.monotonic()
    sdk.do('evaluate', expression=f'setattr(AccountManager().get_account("{user}@lab.test"), "presence_state", {text})')
    return began


def when_seen(sdk, contact, state, note=None, activity='away', timeout=LIMIT):
    """Wait until somebody is seen in that state; return when that was, None after the time-out."""
    def found():
        for when, *what in sdk.do('evaluate', expression=SEEN.format(uri=f'sip:{contact}@lab.test')):
            if what[0] == state and (note is None or what[1:] == [[note], [activity]]):
                return when
        return None
    return wait_until(found, timeout=timeout)


def sees(sdk, contact, state, note=None, activity='away', timeout=LIMIT):
    """The same; it has to come."""
    when = when_seen(sdk, contact, state, note, activity, timeout)
    assert when is not None, f'{contact} is not seen as {state}: {note}'
    return when


def decide(lab, user, **decisions):
    assert put(f'http://127.0.0.1:{lab.port("HTTP")}/xcap-root/', f'{user}@lab.test', f'{user}-pw', 'pres-rules', rules(**decisions)) in (200, 201)


def test_publish_allow_see_block(strict_lab, users):
    alice, bob = users['alice'], users['bob']
    add(strict_lab, bob, 'bob')
    show(bob, 'bob', 'first word')
    bob.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    add(strict_lab, alice, 'alice', watch=['bob'])
    sees(alice, 'bob', 'pending')
    asking = bob.wait_until(lambda event: event.name == 'PresenceWinfoSubscriptionGotNotify' and 'status="pending"' in event.body and 'alice@lab.test' in event.body,
                            'nobody is said to wait for a decision')
    told = bob.wait_until(lambda event: event.name == 'SIPAccountGotPresenceWinfo' and event.time >= asking.time, 'no watchers')
    assert set(told.types) == {'version', 'state', 'watcher_list', 'timestamp'} and told.types['watcher_list'] == 'WatcherList'
    decide(strict_lab, 'bob', friends='allow sip:alice@lab.test sip:bob@lab.test')
    sees(alice, 'bob', 'active', 'first word')
    times = []
    for number in range(4):
        said = show(bob, 'bob', f'word {number}', 'meeting')
        times.append(sees(alice, 'bob', 'active', f'word {number}', 'meeting') - said)
    print('seconds from one user to the other:', times)
    assert min(times) < 1
    assert bob.wait('SIPAccountGotSelfPresenceState', 'bob@lab.test').types['pidf'] == 'PIDF'
    decide(strict_lab, 'bob', friends='allow sip:bob@lab.test', enemies='block sip:alice@lab.test')
    sees(alice, 'bob', 'terminated')
    failed = alice.wait('PresenceSubscriptionDidFail', 'PresenceSubscriber')
    assert failed.reason == 'Ended by the notifier: rejected' and failed.retry_after >= 3600


def test_policies_of_the_addressbook(strict_lab, users):
    """Who is allowed, blocked or neither in the addressbook of one user sees, does not see, or waits, as soon as that changes."""
    alice, carol = users['alice'], users['bob']                 # who has not been here before, this server remembers what was decided
    decide(strict_lab, 'carol', theirs='block sip:mallory@lab.test')           # rules of another program

    def book(kind, name, values):
        carol.do('evaluate', expression=f"[({values}, item.save(), agent.objects.update({name}=item)) for item in [{BOOK}.{kind}()]] and None")

    def change(name, value):
        began = time.monotonic()
        carol.do('evaluate', expression=CHANGE.format(name=name, value=value))
        return began

    def told_of(status):
        return carol.wait_until(lambda event: event.name == 'PresenceWinfoSubscriptionGotNotify' and f'status="{status}"' in (event.body or '')
                              and 'alice@lab.test' in event.body and not event.taken, f'nobody is said to be {status}')

    def published(note):
        show(carol, 'carol', note)
        carol.wait_until(lambda event: event.name == 'SelfPresenceSubscriptionGotNotify' and note in (event.body or ''), f'the server has no {note}')

    add(strict_lab, carol, 'carol', **{'xcap.enabled': True, 'xcap.xcap_root': f'http://127.0.0.1:{strict_lab.port("HTTP")}/xcap-root'})
    carol.wait('SIPAccountDidDiscoverXCAPSupport', 'carol@lab.test')
    published('first word')
    add(strict_lab, alice, 'alice', watch=['carol'])
    sees(alice, 'carol', 'pending')
    told_of('pending')
    began = time.monotonic()
    book('Contact', 'friend', f"item.uris.add({BOOK}.ContactURI(uri='alice@lab.test')), setattr(item.presence, 'policy', 'allow')")
    times = [sees(alice, 'carol', 'active', 'first word') - began]
    # This server tells of watchers that come and go, and of what was decided about them to who asks anew.
    carol.do('evaluate', expression="AccountManager().get_account('carol@lab.test').resubscribe()")
    told_of('active')
    for number in range(3):
        said = change('friend', 'block')
        alice.wait_until(lambda event, said=said: event.name == 'PresenceSubscriptionGotNotify' and event.time >= said and not event.body, 'no NOTIFY that is empty')
        published(f'secret {number}')
        published(f'word {number}')
        began = change('friend', 'allow')
        times.append(sees(alice, 'carol', 'active', f'word {number}') - began)
    print('seconds from the addressbook to the other user:', times)
    assert min(times) < 1
    assert not [event for event in alice.events('PresenceSubscriptionGotNotify') if 'secret' in (event.body or '')]
    carol.do('evaluate', expression="agent.objects['friend'].delete()")
    sees(alice, 'carol', 'pending')
    book('Policy', 'rule', "setattr(item, 'uri', 'alice@lab.test'), setattr(item.presence, 'policy', 'allow')")
    sees(alice, 'carol', 'active', 'word 2')
    change('rule', 'default')
    sees(alice, 'carol', 'pending')
    carol.do('evaluate', expression=DEFAULT.format(value='allow'))
    sees(alice, 'carol', 'active', 'word 2')
    carol.do('evaluate', expression=DEFAULT.format(value='block'))
    sees(alice, 'carol', 'terminated')
    carol.do('evaluate', expression="agent.objects['rule'].delete()")


def test_thousand_contacts_in_one_list(open_lab, users):
    alice, bob = users['alice'], users['bob']
    add(open_lab, alice, 'alice')
    show(alice, 'alice', 'before')
    alice.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    contacts = [f'sip:contact{number:03}@lab.test' for number in range(999)] + ['sip:alice@lab.test']
    root = f'http://127.0.0.1:{open_lab.port("HTTP")}/xcap-root/'
    assert put(root, 'bob@lab.test', 'bob-pw', 'rls-services', services('sip:bob+presence@lab.test', contacts)) in (200, 201)
    began = time.monotonic()
    add(open_lab, bob, 'bob', **{'xcap.enabled': True, 'xcap.discovered': True})
    first = bob.wait('SIPAccountGotPresenceState', 'bob@lab.test')
    assert first.full_state is True and sorted(first.resource_map) == sorted(contacts)
    print('all told of after', first.time - began)
    assert len(bob.events('PresenceSubscriptionDidStart', 'PresenceSubscriber')) == 1
    # Of its own thousand subscriptions and of changes that come while it tells of others this server loses some: what is not seen is said again, and after a
    # while the list is subscribed to anew.
    times: list[float] = []
    for number in range(12):
        said = show(alice, 'alice', f'word {number}')
        seen = when_seen(bob, 'alice', 'active', f'word {number}', timeout=7)
        times += [] if seen is None else [seen - said]
        if len(times) == 2:
            break
        if seen is None:
            bob.do('evaluate', expression="AccountManager().get_account('bob@lab.test').resubscribe()")
    print('seconds through the list:', times)
    assert len(times) == 2 and not bob.events('SIPAccountGotInvalidNotify')


def test_contact_of_the_addressbook(open_lab, users):
    """From the addressbook to the XCAP server, which makes a list of it, and through the list; until then by a subscription of its own."""
    alice, bob = users['alice'], users['bob']
    add(open_lab, bob, 'bob')
    show(bob, 'bob', 'in the book')
    bob.wait('PresencePublicationDidSucceed', 'PresencePublisher')
    alice.do('evaluate', expression=CONTACT)
    add(open_lab, alice, 'alice', **{'xcap.enabled': True, 'xcap.xcap_root': f'http://127.0.0.1:{open_lab.port("HTTP")}/xcap-root'})
    alice.wait('SIPAccountDidDiscoverXCAPSupport', 'alice@lab.test')
    alice.wait_until(lambda event: event.name == 'SIPAccountGotPresenceState' and event.full_state and list(event.resource_map) == ['sip:bob@lab.test'],
                     'no list with the contact')            # there may be one without it before
    sees(alice, 'bob', 'active', 'in the book')
    show(bob, 'bob', 'still there')
    sees(alice, 'bob', 'active', 'still there')
    alice.do('evaluate', expression="agent.objects['contact'].delete()")


def test_mailbox_and_calls(open_lab, users):
    alice, bob = users['alice'], users['bob']
    add(open_lab, bob, 'bob', watch=['alice'], **{'message_summary.enabled': True})
    add(open_lab, alice, 'alice')
    bob.wait('MWISubscriptionDidStart', 'MWISubscriber')
    assert bob.get('bob@lab.test', 'mwi_active') is True
    text = 'Messages-Waiting: yes\\r\\nMessage-Account: sip:box@lab.test\\r\\nVoice-Message: 2/1 (1/0)\\r\\n'
    bob.do('evaluate', expression=f'''[agent.objects.update(summary=__import__('sipsimple.core', fromlist=['_']).Publication(FromHeader(account.uri), 'message-summary',
        'application/simple-message-summary', account.credentials)) or agent.objects['summary'].publish('{text}', RouteHeader(SIPURI('127.0.0.1', port={open_lab.port("SIP")},
        parameters={{'transport': 'tcp'}}))) for account in [AccountManager().get_account('bob@lab.test')]]''')
    bob.wait('SIPPublicationDidSucceed')
    summary = bob.wait('SIPAccountGotMessageSummary', 'bob@lab.test')
    assert summary.message_summary.splitlines() == ['Messages-Waiting: yes', 'Message-Account: sip:box@lab.test', 'Voice-Message: 2/1 (1/0)']
    assert bob.get('bob@lab.test', 'voicemail_uri') == 'sip:box@lab.test'
    for version, state in enumerate(('early', 'confirmed', 'terminated')):
        value = PARSED.format(module='dialoginfo', kind='DialogInfo', text=DIALOG.format(user='alice', version=version, state=state))
        alice.do('evaluate', expression=f'setattr(AccountManager().get_account("alice@lab.test"), "dialog_state", {value})')
        alice.wait('DialogPublicationDidSucceed', 'DialogPublisher')
        bob.wait_until(lambda event, state=state: event.name == 'DialogSubscriptionGotNotify' and event.body is not None and state in event.body,
                       f'no call that is {state}')
    assert bob.wait('SIPAccountGotDialogState', 'bob@lab.test').types == {'version': 'int', 'full_state': 'bool', 'resource_map': 'dict', 'timestamp': 'datetime'}


def test_expiry_and_a_server_that_starts_anew(open_lab, users):
    """Short intervals: all is refreshed. Then the server is stopped, and another one knows of nothing."""
    alice, bob = users['alice'], users['bob']
    add(open_lab, bob, 'bob', **{'sip.publish_interval': 5})
    show(bob, 'bob', 'first word')
    add(open_lab, alice, 'alice', watch=['bob'], **{'sip.subscribe_interval': 5})
    sees(alice, 'bob', 'active', 'first word')
    for _ in range(3):                                          # half of the time each: together longer than what was granted first
        bob.wait('PresencePublisherWillRefresh', 'PresencePublisher')
    show(bob, 'bob', 'still here')
    sees(alice, 'bob', 'active', 'still here')
    assert not alice.events('PresenceSubscriptionDidFail') and not bob.events('PresencePublicationDidFail')
    open_lab.stop_component('kamailio')
    alice.wait('PresenceSubscriptionDidFail', 'PresenceSubscriber')
    bob.wait('PresencePublicationDidFail', 'PresencePublisher')
    open_lab.start_component('kamailio')
    sees(alice, 'bob', 'active', 'still here', timeout=4 * LIMIT)      # the tries have grown rare by then, on a slow machine
    show(bob, 'bob', 'after all')
    sees(alice, 'bob', 'active', 'after all')
