"""The services of an account: when they are active, and what they make of the bodies of NOTIFYs."""

from types import SimpleNamespace

import pytest
from zope.interface import implementer

from sipsimple.account import contacts
from sipsimple.account.contacts import LIST_RETRY, UNHEARD_LIMIT, DialogSubscriber, PresenceSubscriber
from sipsimple.account.mwi import MWISubscriber
from sipsimple.account.presence import DialogPublisher, PresencePublisher, SelfPresenceSubscriber
from sipsimple.account.versions import ASK_AGAIN, Versions
from sipsimple.account.watchers import DialogWinfoSubscriber, PresenceWinfoSubscriber, same_address
from sipsimple.account.xcap import Contact, ContactURI, EventHandling
from sipsimple.configuration.datatypes import SIPAddress, SIPProxyAddress
from sipsimple.core import SIPCoreError
from sipsimple.notification import IObserver, NotificationCenter, NotificationData
from sipsimple.payloads.dialoginfo import DialogInfo
from sipsimple.payloads.messagesummary import MessageSummary
from sipsimple.payloads.pidf import PIDF, Service
from sipsimple.payloads.watcherinfo import Watcher, WatcherInfo, WatcherList
from tests.support.keeper_world import InlineScheduler, KeeperWorld

PIDF_TYPE = 'application/pidf+xml'


@implementer(IObserver)
class World(KeeperWorld):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.settings = SimpleNamespace(sip=SimpleNamespace(transport_list=['tls', 'tcp', 'udp']))
        self.posted = []
        self.services = []
        monkeypatch.setattr('sipsimple.account.services.SIPSimpleSettings', lambda: self.settings)
        NotificationCenter().add_observer(self)

    def handle_notification(self, notification):
        if notification.sender is self.account or notification.sender in self.services:
            self.posted.append((notification.name, notification.data))

    def make(self, kind, start=True):
        service = kind(self.account, self.scheduler)
        self.services.append(service)
        if start:
            service.start()
        return service

    def names(self):
        return [name for name, _ in self.posted]

    def told(self, name):
        return [data for posted, data in self.posted if posted == name]

    @property
    def last(self):
        return self.Subscription.made[-1]


@pytest.fixture
def world(monkeypatch):
    world = World(monkeypatch)
    yield world
    for service in world.services:
        service.stop(lambda: None)
    world.advance(10)
    NotificationCenter().remove_observer(world)
    assert world.idle() and not any(service._done or service._ending for service in world.services)


# ---- life ------------------------------------------------------------------------------------------------------------


def test_life_of_a_subscriber(world):
    service = world.make(MWISubscriber)
    assert world.looked_up == [('sip:me@example.com', ['tls', 'tcp', 'udp'])] and world.last.arguments[4] == 'message-summary' and world.last.refresh == 600
    assert service.is_active and not service.is_subscribed
    world.last.accepted_by_peer()
    assert service.is_subscribed
    world.last.tell(None)
    done = []
    service.stop(lambda: done.append(1))
    assert not service.is_active and not service.is_subscribed and not done
    world.last.ended()
    assert done == [1]
    service.stop(lambda: done.append(2))
    assert done == [1, 2]
    assert world.names() == [
        'MWISubscriberWillStart', 'MWISubscriberDidActivate', 'MWISubscriberDidStart', 'MWISubscriptionDidStart', 'MWISubscriptionGotNotify',
        'MWISubscriberWillEnd', 'MWISubscriptionDidEnd', 'MWISubscriberDidDeactivate', 'MWISubscriberDidEnd']
    assert all(data.timestamp for _, data in world.posted)
    assert world.told('MWISubscriptionDidEnd')[0].originator == 'local'
    assert set(vars(world.told('MWISubscriptionGotNotify')[0])) == {
        'timestamp', 'request_uri', 'from_header', 'to_header', 'headers', 'body', 'content_type', 'event'}


def test_settings_at_run_time(world):
    world.account.message_summary.enabled = False
    service = world.make(MWISubscriber)
    assert world.Subscription.made == [] and world.names() == ['MWISubscriberWillStart', 'MWISubscriberDidStart']
    world.account.message_summary.enabled = True
    service.update()
    service.update()
    assert len(world.Subscription.made) == 1
    for change in (lambda: setattr(world.account.message_summary, 'voicemail_uri', SIPAddress('voicemail@example.com')),
                   lambda: setattr(world.account.sip, 'subscribe_interval', 60), lambda: setattr(world.account.auth, 'password', 'other'),
                   lambda: setattr(world.account.sip, 'always_use_my_proxy', False)):
        count = len(world.Subscription.made)
        change()
        service.update()
        assert world.Subscription.made[-2].sent == ['subscribe', 'end'] and len(world.Subscription.made) == count + 1
    assert world.last.target == 'sip:voicemail@example.com' and world.last.refresh == 60
    world.settings.sip.transport_list = ['udp']
    NotificationCenter().post_notification('CFGSettingsObjectDidChange', sender=world.settings)
    assert world.looked_up[-1][1] == ['udp']
    world.account.message_summary.enabled = False
    service.update()
    assert world.last.sent == ['subscribe', 'end'] and world.names()[-1] == 'MWISubscriberDidDeactivate'


def test_large_documents_need_a_stream(world):
    world.make(PresenceWinfoSubscriber)
    assert world.looked_up[-1][1] == ['tls', 'tcp']
    world.settings.sip.transport_list = ['udp']         # there is nothing else
    world.make(DialogWinfoSubscriber)
    assert world.looked_up[-1][1] == ['udp']
    world.settings.sip.transport_list = ['tls', 'tcp', 'udp']
    world.account.sip.outbound_proxy = SIPProxyAddress('proxy.example.com;transport=udp')       # it is what the user wants
    world.make(SelfPresenceSubscriber)
    assert world.looked_up[-1][1] == ['tls', 'tcp', 'udp']


@pytest.mark.parametrize('kind', [PresenceWinfoSubscriber, DialogWinfoSubscriber, SelfPresenceSubscriber, PresenceSubscriber, DialogSubscriber])
def test_presence_does_not_wait_for_xcap(world, kind):
    service = world.make(kind)
    assert service.is_active
    world.account.presence.enabled = False
    service.update()
    assert not service.is_active


def test_stop_waits_for_those_left_before(world):
    service = world.make(MWISubscriber)
    old = world.last
    old.accepted_by_peer()
    world.account.sip.subscribe_interval = 60
    service.update()
    done = []
    service.stop(lambda: done.append(1))
    world.last.ended()
    assert not done
    old.ended()
    assert done == [1]


def test_failures_are_told(world):
    world.make(MWISubscriber)
    world.last.failed_by_peer(489, 'Bad Event')
    failure, = world.told('MWISubscriptionDidFail')
    assert (failure.code, failure.reason) == (489, 'Bad Event') and 3600 <= failure.retry_after <= 4200


# ---- bodies ----------------------------------------------------------------------------------------------------------


def test_message_summary(world):
    service = world.make(MWISubscriber)
    world.last.accepted_by_peer()
    summary = MessageSummary(True, 'sip:box@example.com', {'voice-message': {'new_messages': 2}})
    world.last.tell(summary.to_string().encode(), content_type=summary.content_type)
    assert world.told('SIPAccountGotMessageSummary')[0].message_summary == summary and service.message_account == 'sip:box@example.com'
    world.last.tell(b'Messages-Waiting: no\r\n', content_type=summary.content_type)
    assert service.message_account == 'sip:box@example.com'
    world.account.message_summary.enabled = False
    service.update()
    assert service.message_account is None


@pytest.mark.parametrize('kind, content_type, body', [
    (MWISubscriber, 'application/simple-message-summary', b'Messages-Waiting: perhaps'), (MWISubscriber, 'text/plain', b'Messages-Waiting: no'),
    (PresenceWinfoSubscriber, 'application/watcherinfo+xml', b'<watcherinfo'), (PresenceWinfoSubscriber, 'text/xml', b'<watcherinfo/>'),
    (SelfPresenceSubscriber, PIDF_TYPE, b'\xff\xfe'), (SelfPresenceSubscriber, 'text/plain', b'open'),
    (SelfPresenceSubscriber, PIDF_TYPE, PIDF('sip:somebody@example.com').toxml()),
])
def test_bodies_that_cannot_be_used_are_told(world, caplog, kind, content_type, body):
    world.make(kind)
    world.last.accepted_by_peer()
    world.last.tell(body, content_type=content_type)
    told, = world.told('SIPAccountGotInvalidNotify')
    assert (told.event, told.content_type, told.body) == (kind.event, content_type, body) and told.error and 'cannot be used' in caplog.text
    assert not any(name.startswith('SIPAccountGot') for name in world.names() if name != 'SIPAccountGotInvalidNotify')
    assert kind is not MWISubscriber or world.last.state == 'ACCEPTED'


def winfo(version, state, package='presence', resource='sip:me@example.com', count=1):
    watchers = [Watcher(f'sip:{number}@example.com', f'w{number}', 'active', 'subscribe') for number in range(count)]
    return WatcherInfo(version, state, [WatcherList(resource, package, watchers)]).toxml()


@pytest.mark.parametrize('kind, package, name', [
    (PresenceWinfoSubscriber, 'presence', 'SIPAccountGotPresenceWinfo'), (DialogWinfoSubscriber, 'dialog', 'SIPAccountGotDialogWinfo')])
def test_watchers(world, kind, package, name):
    world.make(kind)
    subscription = world.last
    subscription.accepted_by_peer()

    def tell(version, state, **more):
        subscription.tell(winfo(version, state, package, **more), content_type='application/watcherinfo+xml')
    tell(0, 'full')
    tell(1, 'partial', count=2)
    told = world.told(name)
    assert [(data.version, data.state, [watcher.id for watcher in data.watcher_list]) for data in told] == [(0, 'full', ['w0']), (1, 'partial', ['w0', 'w1'])]
    tell(1, 'partial')                                  # an old one
    assert len(world.told(name)) == 2 and subscription.sent == ['subscribe']
    tell(3, 'partial')                                  # one was missed
    assert world.told(name)[-1].version == 3 and subscription.sent == ['subscribe', 'subscribe']
    tell(5, 'partial')                                  # it was asked for already
    assert subscription.sent == ['subscribe', 'subscribe']
    tell(6, 'full')
    tell(8, 'partial')
    assert subscription.sent == ['subscribe'] * 3
    subscription.ended_by_peer(reason='deactivated')
    world.advance(0)
    world.last.accepted_by_peer()
    subscription = world.last
    tell(0, 'full')                                     # another subscription counts anew
    assert world.told(name)[-1].version == 0


def test_watchers_first_partial(world):
    world.make(PresenceWinfoSubscriber)
    world.last.accepted_by_peer()
    world.last.tell(winfo(4, 'partial'), content_type='application/watcherinfo+xml')
    assert world.told('SIPAccountGotPresenceWinfo')[0].version == 4 and world.last.sent == ['subscribe', 'subscribe']


@pytest.mark.parametrize('more', [{'package': 'dialog'}, {'resource': 'sip:other@example.com'}])
def test_watchers_of_others(world, more):
    world.make(PresenceWinfoSubscriber)
    world.last.accepted_by_peer()
    world.last.tell(winfo(0, 'full', **more), content_type='application/watcherinfo+xml')
    assert not world.told('SIPAccountGotPresenceWinfo') and world.told('SIPAccountGotInvalidNotify')


def test_self_presence(world):
    world.make(SelfPresenceSubscriber)
    world.last.accepted_by_peer()
    world.last.tell(PIDF('pres:me@EXAMPLE.com', [Service('t1', status='open')]).toxml(), content_type=PIDF_TYPE)
    assert [service.id for service in world.told('SIPAccountGotSelfPresenceState')[0].pidf.services] == ['t1']


@pytest.mark.parametrize('uri, same', [
    ('sip:me@example.com', True), ('me@example.com', True), ('sips:me@Example.COM;transport=tls', True), ('pres:me@example.com', True), ('sip:ME@example.com', False),
    ('sip:me@example.org', False), ('sip:example.com', False), ('mailto:me@example.com', False), ('', False)])
def test_same_address(uri, same):
    assert same_address(uri, 'me@example.com') is same


def test_versions_ask_again_after_a_while():
    scheduler, asked = InlineScheduler(), []
    versions = Versions(lambda: asked.append(1), scheduler)
    for version in (1, 3, 5):
        assert versions.accept(version, False)
    assert asked == [1]
    scheduler.clock.advance(ASK_AGAIN)
    assert versions.accept(6, False) and asked == [1]           # nothing was missed since
    assert versions.accept(8, False) and asked == [1, 1]
    versions.clear()
    assert versions.accept(0, True) and scheduler.clock.getDelayedCalls() == []


# ---- lists -----------------------------------------------------------------------------------------------------------


def rls(version, full, resources, uri='sip:me+presence@example.com', kind=PIDF_TYPE):
    """A body of multipart/related with `resources`: URI -> text of its document, or None."""
    parts, rlmi = [], []
    for number, (resource, text) in enumerate(resources.items()):
        instance = f'<instance id="i{number}" state="active" cid="c{number}"/>' if text is not None else f'<instance id="i{number}" state="pending"/>'
        rlmi.append(f'<resource uri="{resource}">{instance}</resource>')
        if text is not None:
            parts.append(f'--b\r\nContent-Type: {kind}\r\nContent-ID: <c{number}>\r\n\r\n{text.decode()}\r\n')
    root = f'<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="{uri}" version="{version}" fullState="{str(full).lower()}">{"".join(rlmi)}</list>'
    return f'--b\r\nContent-Type: application/rlmi+xml\r\nContent-ID: <root>\r\n\r\n{root}\r\n{"".join(parts)}--b--\r\n'.encode()


RLS_TYPE = 'multipart/related;type="application/rlmi+xml";start="<root>";boundary="b"'


@pytest.mark.parametrize('kind, name, document', [
    (PresenceSubscriber, 'SIPAccountGotPresenceState', PIDF('sip:bob@example.com', [Service('t1', status='open')])),
    (DialogSubscriber, 'SIPAccountGotDialogState', DialogInfo(3, 'full', 'sip:bob@example.com'))])
def test_list(world, kind, name, document):
    world.account.xcap.enabled = world.account.xcap.discovered = True
    service = world.make(kind)
    assert service.uses_list and world.last.target == f'sip:me+{kind.event}@example.com' and world.looked_up[-1][1] == ['tls', 'tcp']
    assert [(header.name, header.body) for header in world.last.extra_headers] == [('Supported', 'eventlist')]
    world.last.accepted_by_peer()

    def tell(version, full, resources, **more):
        world.last.tell(rls(version, full, resources, world.last.target, kind.content_type, **more), content_type=RLS_TYPE, require=['eventlist'])
    tell(0, True, {'sip:bob@example.com': None, 'sip:carol@example.com': None})
    tell(1, False, {'sip:bob@example.com': document.toxml()})
    first, second = world.told(name)
    assert (first.version, first.full_state) == (0, True) and (second.version, second.full_state) == (1, False)
    assert {uri: resource.state for uri, resource in first.resource_map.items()} == {'sip:bob@example.com': 'pending', 'sip:carol@example.com': 'pending'}
    resource = second.resource_map['sip:bob@example.com']
    assert resource.state == 'active' and resource.pidf_list == [document]
    tell(1, False, {})
    assert len(world.told(name)) == 2
    tell(5, False, {'sip:carol@example.com': None})
    assert world.told(name)[-1].version == 5 and world.last.sent == ['subscribe', 'subscribe']
    world.last.tell(rls(6, True, {}, 'sip:other@example.com'), content_type=RLS_TYPE, require=['eventlist'])
    world.last.tell(b'--b--', content_type=RLS_TYPE, require=['eventlist'])
    world.last.tell(b'text', content_type=kind.content_type, require=['eventlist'])
    assert len(world.told('SIPAccountGotInvalidNotify')) == 3 and len(world.told(name)) == 3


@pytest.mark.parametrize('how', ['404', '489', 'no eventlist'])
def test_server_without_the_list(world, how):
    world.account.xcap.enabled = world.account.xcap.discovered = True
    service = world.make(PresenceSubscriber)
    service.watch(['bob@example.com'])
    assert len(world.Subscription.made) == 1            # the list tells of all
    listed = world.last
    if how == 'no eventlist':
        listed.accepted_by_peer()
        listed.tell(None, state='pending')
        assert listed.sent == ['subscribe', 'end']
    else:
        listed.failed_by_peer(int(how))
    assert not service.uses_list and world.last.target == 'sip:bob@example.com'
    world.last.accepted_by_peer()
    single = world.last
    world.advance(LIST_RETRY)
    assert service.uses_list and single.sent == ['subscribe', 'end'] and world.last.target == 'sip:me+presence@example.com'
    world.last.failed_by_peer(404)
    service.resubscribe()                               # instead of the try that was planned
    world.last.accepted_by_peer()
    world.last.tell(rls(0, True, {}), content_type=RLS_TYPE, require=['eventlist'])
    world.advance(2 * LIST_RETRY)
    assert world.last.sent == ['subscribe'] and service.is_subscribed and len(world.told('SIPAccountGotPresenceState')) == 1


def test_list_that_is_written_after_its_server_was_found(world):
    """The list is asked for before there is one, and once more when there should be."""
    world.account.xcap.enabled = world.account.xcap.discovered = True
    manager, other = SimpleNamespace(account=world.account), SimpleNamespace(account=None)
    service = world.make(PresenceSubscriber)
    service.watch(['bob@example.com'])

    def change(state, sender=manager):
        NotificationCenter().post_notification('XCAPManagerDidChangeState', sender=sender, data=NotificationData(prev_state='updating', state=state))
    world.last.failed_by_peer(404)
    change('fetching')
    change('insync', other)
    assert world.last.target == 'sip:bob@example.com'
    change('insync')
    assert world.last.target == 'sip:me+presence@example.com' and service.uses_list
    world.last.failed_by_peer(404)
    count = len(world.Subscription.made)
    change('insync')
    assert len(world.Subscription.made) == count and world.last.target == 'sip:bob@example.com'


def test_list_that_changes_unheard(world):
    """A server that tells nothing of a change of the list is asked, once; one that does is not."""
    world.account.xcap.enabled = world.account.xcap.discovered = True
    manager = SimpleNamespace(account=world.account)
    world.make(PresenceSubscriber)
    world.last.accepted_by_peer()

    def tell(version, full, *uris):
        world.last.tell(rls(version, full, dict.fromkeys(uris)), content_type=RLS_TYPE, require=['eventlist'])

    def change(*uris, sender=manager):
        contacts = [Contact(uri, uri, [ContactURI('u', uri, 'SIP')], EventHandling('default', True)) for uri in uris]
        NotificationCenter().post_notification('XCAPManagerDidReloadData', sender=sender, data=NotificationData(addressbook=SimpleNamespace(contacts=contacts, policies=[])))
    tell(0, True)
    change('bob@example.com')
    change('bob@example.com', 'carol@example.com')
    world.advance(UNHEARD_LIMIT)
    assert world.last.sent == ['subscribe', 'subscribe']
    tell(1, True, 'sip:bob@example.com', 'sip:carol@example.com')
    change('bob@example.com', 'carol@example.com')                  # something else of them
    change('dave@example.com', sender=SimpleNamespace(account=None))
    world.advance(UNHEARD_LIMIT)
    change('bob@example.com')
    tell(2, False, 'sip:bob@example.com')                           # of their state
    tell(3, True, 'sip:bob@example.com')
    change('bob@example.com', 'dave@example.com')
    tell(4, False, 'sip:dave@example.com')
    world.advance(UNHEARD_LIMIT)
    assert world.last.sent == ['subscribe', 'subscribe']


def test_xcap_discovered_later(world):
    service = world.make(PresenceSubscriber)
    service.watch(['sip:bob@example.com'])
    single = world.last
    single.accepted_by_peer()
    world.account.xcap.enabled = world.account.xcap.discovered = True
    service.update()
    assert single.sent == ['subscribe', 'end'] and world.last.target == 'sip:me+presence@example.com'


def test_single_contacts(world):
    service = world.make(PresenceSubscriber)
    assert world.Subscription.made == []
    service.watch(['bob@example.com', 'sip:carol@example.com'])
    bob = world.last
    assert bob.target == 'sip:bob@example.com' and len(world.Subscription.made) == 1
    world.advance(contacts.PACE)
    carol = world.last
    assert carol.target == 'sip:carol@example.com'
    bob.accepted_by_peer()
    bob.tell(None, state='pending')
    document = PIDF('sip:bob@example.com', [Service('t1', status='open')])
    bob.tell(document.toxml(), content_type=PIDF_TYPE)
    told = world.told('SIPAccountGotPresenceState')
    assert [(data.version, data.full_state, list(data.resource_map)) for data in told] == [(1, False, ['bob@example.com']), (2, False, ['bob@example.com'])]
    states = [data.resource_map['bob@example.com'] for data in told]
    assert [(resource.state, resource.pidf_list) for resource in states] == [('pending', []), ('active', [document])]
    bob.tell(b'<', content_type=PIDF_TYPE)
    assert world.told('SIPAccountGotInvalidNotify')[0].body == b'<'
    bob.failed_by_peer(481, 'Gone')
    last = world.told('SIPAccountGotPresenceState')[-1].resource_map['bob@example.com']
    assert (last.state, last.reason) == ('terminated', 'Gone')
    carol.accepted_by_peer()
    carol.ended_by_peer(reason='rejected')
    last = world.told('SIPAccountGotPresenceState')[-1].resource_map['sip:carol@example.com']
    assert (last.state, last.reason) == ('terminated', 'rejected')
    service.watch(['dave@example.com'])
    world.advance(1)
    assert world.last.target == 'sip:dave@example.com' and list(service._contacts) == ['dave@example.com']
    with pytest.raises(SIPCoreError):
        service.watch(['no uri'])
    service.watch(['sip:dave@example.com', 'sip:eve@example.com'], 'addressbook')
    world.advance(1)
    assert [subscription.target for subscription in world.Subscription.made[-1:]] == ['sip:eve@example.com'] and len(service._contacts) == 2
    service.watch([])
    assert len(service._contacts) == 2


def test_many_single_contacts(world):
    """A server is not asked for all of them in one moment; what is stopped meanwhile is not begun."""
    service = world.make(PresenceSubscriber)
    service.watch(f'{number}@example.com' for number in range(100))
    for _ in range(25):
        world.advance(contacts.PACE)
    begun = len(world.Subscription.made)
    assert begun == 26
    service.watch(['0@example.com'])
    world.advance(10)
    assert len(world.Subscription.made) == begun
    service.resubscribe()
    assert len(world.Subscription.made) == begun + 1


def test_calls_of_single_contacts(world):
    service = world.make(DialogSubscriber)
    service.watch(['sip:bob@example.com'])
    world.last.accepted_by_peer()
    for version, state in ((0, 'full'), (1, 'partial'), (1, 'partial'), (4, 'partial')):
        world.last.tell(DialogInfo(version, state, 'sip:bob@example.com').toxml(), content_type=DialogSubscriber.content_type)
    assert [data.resource_map['sip:bob@example.com'].pidf_list[0].version for data in world.told('SIPAccountGotDialogState')] == [0, 1, 4]
    assert world.last.sent == ['subscribe', 'subscribe']


# ---- publishers ------------------------------------------------------------------------------------------------------


def test_publisher(world):
    service = world.make(PresencePublisher)
    assert world.Publication.made == []
    state = PIDF('sip:me@example.com', [Service('t1', status='open')])
    service.set(state)
    publication = world.Publication.made[-1]
    publication.accepted_by_peer()
    assert service.state is state and service.is_published and publication.bodies == [state.toxml()] and publication.duration == 600
    service.set(PIDF('sip:me@example.com', [Service('t1', status='open')]))
    assert len(publication.bodies) == 1                 # it says the same
    changed = service.state
    next(changed.services).status.basic = 'closed'
    service.set(changed)                                # the same object, which says something else
    publication.accepted_by_peer()
    publication.will_expire()
    publication.accepted_by_peer()
    assert publication.bodies[1:] == [changed.toxml(), None]
    service.set(None)
    assert publication.sent[-1] == 'end' and not service.is_published and service.state is None
    publication.ended()
    service.set(None)
    assert world.names() == [
        'PresencePublisherWillStart', 'PresencePublisherDidActivate', 'PresencePublisherDidStart',
        'PresencePublisherWillPublish', 'PresencePublicationDidSucceed', 'PresencePublisherWillPublish', 'PresencePublicationDidSucceed',
        'PresencePublisherWillRefresh', 'PresencePublicationDidSucceed', 'PresencePublicationDidEnd']
    assert world.told('PresencePublisherWillPublish')[0].state is state and world.told('PresencePublisherWillPublish')[0].duration == 600


def test_publisher_is_off_and_on(world):
    world.account.presence.enabled = False
    service = world.make(DialogPublisher)
    service.set(DialogInfo(0, 'full', 'sip:me@example.com'))
    assert world.Publication.made == []
    world.account.presence.enabled = True
    service.update()
    first = world.Publication.made[-1]
    first.accepted_by_peer()
    assert first.arguments[1:] == ('dialog', 'application/dialog-info+xml')
    world.account.sip.publish_interval = 60
    service.update()
    assert first.sent == ['publish', 'end'] and world.Publication.made[-1].duration == 60
    first.not_ended()
    world.Publication.made[-1].failed_by_peer(489)
    assert world.told('DialogPublicationDidNotEnd') and world.told('DialogPublicationDidFail')[0].reason == 'No'
    world.account.presence.enabled = False
    service.update()
    assert service.state is not None and len(world.Publication.made) == 2


def test_what_is_no_state(world):
    presence, dialog = world.make(PresencePublisher), world.make(DialogPublisher)
    for value in (DialogInfo(0, 'full', 'sip:me@example.com'), 'open', 5):
        with pytest.raises(ValueError, match='PIDF'):
            presence.set(value)
    with pytest.raises(ValueError, match='DialogInfo'):
        dialog.set(PIDF('sip:me@example.com'))
    with pytest.raises(ValueError, match='cannot be written'):
        presence.set(PIDF('sip:me@example.com', [Service('t1')]))
    assert world.Publication.made == [] and presence.state is None
