"""XCAPManager against a server that can be told to fail: its life, what it writes, what it tells."""

import itertools
import json
import random
import threading

import pytest
from lxml import etree

from sipsimple.account.xcap import (
    Contact,
    ContactURI,
    EventHandling,
    Group,
    Icon,
    OfflineStatus,
    Policy,
    manager as manager_module,
    patience,
    seen as seen_module,
)
from sipsimple.account.xcap.errors import (
    AuthenticationError,
    CapabilityError,
    ConflictError,
    DocumentError,
    RootNotFound,
    ServerError,
    TooLarge,
    TransportError,
)
from sipsimple.account.xcap.states import TRANSITIONS, ManagerInput, ManagerState
from sipsimple.account.xcap.storage.file import FileStorage
from sipsimple.account.xcap.storage.memory import MemoryStorage
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.payloads.pidf import PIDF
from sipsimple.statemachine import InvalidTransition, StateMachine
from sipsimple.threading import schedule_in_thread
from tests.support.waiting import wait_until
from tests.support.xcap_rig import Rig, green
from tests.support.xcap_server import AUIDS, XCAPServer

NAMES = ['resource_lists', 'rls_services', 'pres_rules', 'dialog_rules', 'pidf_manipulation', 'status_icon', 'ietf_pres_rules']


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Failures are tried again soon."""
    for name in ('RETRY', 'RETRY_LOST', 'RETRY_CAPABILITIES'):
        monkeypatch.setattr(patience, name, 0.02)


@pytest.fixture
def server():
    with XCAPServer({'alice': 'secret'}) as server:
        yield server


@pytest.fixture
def rig(server):
    with Rig(server.root) as rig:
        yield rig


def flush():
    """Wait until all is on disk."""
    done = threading.Event()
    schedule_in_thread('file-io', done.set)
    assert done.wait(60)


def contact(id='c1', name='Bob', uri='sip:bob@example.com', **handling):
    return Contact(id, name, [ContactURI('u1', uri, None)], **handling)


# ---- life ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('state, what', list(itertools.product(ManagerState, ManagerInput)))
def test_every_pair_of_state_and_input(state, what):
    machine = StateMachine(TRANSITIONS, state)
    if (state, what) in TRANSITIONS:
        assert machine.fire(what) is TRANSITIONS[state, what]
    else:
        with pytest.raises(InvalidTransition):
            machine.fire(what)


def test_from_nothing_to_in_step_and_to_the_end(server, rig):
    manager = rig.manager
    assert manager.state == 'stopped' and manager.document_names == NAMES and not manager.resource_lists and manager.xcap_root is None
    rig.start().in_sync()
    assert [item for item in rig.names() if item != 'XCAPTrace'] == [
        'XCAPManagerWillStart', 'XCAPManagerDidChangeState', 'XCAPManagerDidStart', 'XCAPManagerClientWillInitialize', 'XCAPManagerClientDidInitialize',
        'XCAPManagerDidDiscoverServerCapabilities', 'XCAPManagerDidChangeState', 'XCAPManagerDidChangeState', 'XCAPManagerDidChangeState',
        'SIPAccountDidDiscoverXCAPSupport', 'XCAPManagerDidReloadData']
    assert [(data.prev_state, data.state) for data in rig.all('XCAPManagerDidChangeState')] == [
        ('stopped', 'initializing'), ('initializing', 'fetching'), ('fetching', 'updating'), ('updating', 'insync')]
    assert rig.all('XCAPManagerClientWillInitialize')[0].root == server.root == manager.xcap_root
    assert rig.all('XCAPManagerClientDidInitialize')[0].client is manager.client and rig.all('XCAPManagerClientDidInitialize')[0].root == server.root
    assert rig.all('XCAPManagerDidDiscoverServerCapabilities')[0].auids == list(AUIDS)
    assert rig.account.xcap.discovered and rig.account.saves == 1
    data = rig.all('XCAPManagerDidReloadData')[0]
    assert (len(data.addressbook.contacts), len(data.addressbook.groups), len(data.addressbook.policies)) == (0, 0, 0)
    assert data.presence_rules.default_policy == data.dialog_rules.default_policy == 'confirm' and data.status_icon is None is data.offline_status
    assert manager.resource_lists and manager.resource_lists.content['oma_buddylist'] is not None and not manager.resource_lists.dirty
    assert manager.pres_rules.application == 'org.openmobilealliance.pres-rules' and manager.last_fetch_time and manager.last_update_time
    assert manager.rls_presence_uri == 'sip:alice+presence@example.com' and manager.rls_dialog_uri == 'sip:alice+dialog@example.com'
    rig.stop()
    assert rig.names()[-3:] == ['XCAPManagerWillEnd', 'XCAPManagerDidChangeState', 'XCAPManagerDidEnd'] and manager.state == 'stopped'
    rig.stop()                                              # for good measure
    count = len(server.requests)
    rig.start().in_sync()
    assert rig.names().count('SIPAccountDidDiscoverXCAPSupport') == 1 and rig.names().count('XCAPManagerDidReloadData') == 2
    assert [code for _, _, code in server.methods()[count:]] == [401, 200, 304, 304, 304, 304, 404, 404, 304]     # nothing is transferred twice


def test_what_the_trace_tells(server, rig):
    rig.start().in_sync()
    traces = rig.all('XCAPTrace')
    assert all({'method', 'url', 'application', 'etag', 'result', 'reason', 'code', 'size', 'timestamp'} <= set(vars(data)) for data in traces)
    told = [(data.method, data.application, data.result, data.code) for data in traces]
    assert told[:3] == [('GET', 'xcap-caps', 'fetch', 200), ('GET', 'resource-lists', 'failure', 404), ('GET', 'rls-services', 'failure', 404)]
    assert ('PUT', 'resource-lists', 'success', 201) in told
    put = next(data for data in traces if data.method == 'PUT')
    assert put.etag == server.documents['resource-lists/users/sip:alice@example.com/index'][0] and put.size == len(server.content('resource-lists'))
    rig.manager.set_status_icon(Icon(b'x', 'image/png'))
    rig.in_sync().manager.set_status_icon(None)
    rig.in_sync()
    assert [(data.method, data.application, data.result) for data in rig.all('XCAPTrace')][-2:] == [
        ('PUT', 'org.openmobilealliance.pres-content', 'success'), ('DELETE', 'org.openmobilealliance.pres-content', 'success')]


def test_the_root_is_found_in_dns(server, monkeypatch):
    class Lookup:
        def lookup_xcap_server(self, uri):
            assert uri.host == 'example.com'
            return self
        answers = [[server.root]]

        def wait(self):
            return self.answers.pop()
    monkeypatch.setattr('sipsimple.lookup.DNSLookup', Lookup)
    with Rig(None) as rig:
        rig.start().in_sync()
        assert rig.manager.xcap_root == server.root


def test_a_root_that_nobody_knows_is_told_and_looked_for_again(server, monkeypatch):
    from sipsimple.lookup import DNSLookupError

    class Lookup:
        def lookup_xcap_server(self, uri):
            return self

        def wait(self):
            raise DNSLookupError('no such name')
    monkeypatch.setattr('sipsimple.lookup.DNSLookup', Lookup)
    with Rig(None) as rig:
        rig.start()
        assert isinstance(rig.wait('XCAPManagerClientDidNotInitialize', 2).error, RootNotFound)
        rig.account.change(xcap__xcap_root=server.root)
        rig.in_sync()


def test_a_stop_ends_what_is_under_way(server, rig):
    server.faults.append('stall')
    rig.start()
    assert wait_until(lambda: server.requests)
    rig.stop()
    assert rig.manager.state == 'stopped'
    rig.start().in_sync()


def test_a_stop_ends_a_wait(server, rig, monkeypatch):
    monkeypatch.setattr(patience, 'RETRY', 3600.0)
    server.faults.append(503)
    rig.start().wait('XCAPManagerClientError')
    rig.stop()
    assert rig.manager.state == 'stopped'


def test_the_account_is_deleted(server, tmp_path):
    with Rig(server.root, FileStorage(str(tmp_path), 'alice@example.com')) as rig:
        rig.manager.add_contact(contact())
        rig.start().in_sync()
        flush()
        assert {file.name for file in (tmp_path / 'alice@example.com').iterdir()} == {
            'journal', 'seen', 'resource-lists', 'rls-services', 'pres-rules', 'dialog-rules', 'ietf-pres-rules'}
        tag, _, text = (tmp_path / 'alice@example.com' / 'resource-lists').read_bytes().partition(b'\n')
        assert (tag.decode(), text) == server.documents['resource-lists/users/sip:alice@example.com/index']
        green(rig.manager.delete)
        assert rig.manager.state == 'terminated'
        assert wait_until(lambda: not (tmp_path / 'alice@example.com').exists())
        green(rig.manager.start)
        rig.manager.add_contact(contact('c2'))
        flush()
        assert rig.manager.state == 'terminated' and not (tmp_path / 'alice@example.com').exists()


# ---- capabilities --------------------------------------------------------------------------------------------------


def test_a_server_that_lacks_something_is_told_of(server, rig):
    server.auids = ('xcap-caps', 'resource-lists')
    rig.start()
    data = rig.wait('XCAPManagerClientError', 2)
    assert data.context == 'capabilities' and isinstance(data.error, CapabilityError) and data.client is not None
    assert 'rls-services' in str(data.error) and 'pres-rules' in str(data.error) and not rig.account.xcap.discovered
    server.auids = AUIDS
    rig.in_sync()


def test_rules_for_plain_servers_are_where_those_look(server, rig):
    """In the document of RFC 5025, and in OMA's unless the server says that it knows OMA's conditions."""
    rig.manager.add_policy(Policy('p1', 'sip:mallory@example.com', '', EventHandling('block', False)))
    rig.start().in_sync()
    oma, ietf = 'org.openmobilealliance.pres-rules', 'pres-rules'
    one = b'one id="sip:mallory@example.com"'
    assert one in server.content(oma) and one in server.content(ietf) and b'external-list' not in server.content(ietf)
    rig.manager.set_default_presence_policy('allow')
    rig.in_sync()
    assert all(b'except id="sip:mallory@example.com"' in server.content(name) for name in (oma, ietf))
    rig.stop()
    server.caps = server.capabilities().replace(b'</namespaces>', b'<namespace> urn:oma:xml:xdm:common-policy </namespace></namespaces>')
    rig.start().in_sync()
    assert b'mallory' not in server.content(oma) and b'external-list' in server.content(oma) and one in server.content(ietf)


@pytest.mark.parametrize('method, code', [('GET', 403), ('PUT', 403), ('PUT', 409), ('PUT', 404)])
def test_without_the_rules_beside_all_the_rest_is_in_step(server, rig, method, code):
    server.faults.extend([lambda handler: code if handler.command == method and '/pres-rules/' in handler.path else None] * 30)
    rig.manager.add_contact(contact())
    rig.start().in_sync()
    assert not rig.manager.ietf_pres_rules.supported and server.content('pres-rules') is None and not rig.all('XCAPManagerClientError')
    assert rig.book.contacts['c1'] == contact() and b'"c1"' in server.content('resource-lists')


def test_old_rules_do_where_there_are_no_others(server, rig):
    server.auids = ('xcap-caps', 'resource-lists', 'rls-services', 'pres-rules')
    rig.start().in_sync()
    assert server.content('pres-rules') and rig.all('XCAPManagerDidReloadData')[0].dialog_rules is None
    assert [document.name for document in rig.manager.documents if document.supported] == ['resource_lists', 'rls_services', 'pres_rules', 'server_caps']


@pytest.mark.parametrize('caps', [b'nonsense', b'<xcap-caps xmlns="urn:ietf:params:xml:ns:xcap-caps"><auids/><namespaces/></xcap-caps>'])
def test_capabilities_that_say_nothing(server, rig, caps):
    server.caps = caps
    rig.start()
    assert isinstance(rig.wait('XCAPManagerClientError').error, DocumentError)
    server.caps = None
    rig.in_sync()


def test_copies_of_what_is_not_supported_any_more_go(server):
    storage = MemoryStorage('alice')
    with Rig(server.root, storage) as rig:
        rig.manager.set_default_dialog_policy('allow')
        rig.start().in_sync()
        assert wait_until(lambda: 'dialog-rules' in storage._items)
        rig.stop()
        server.auids = tuple(name for name in AUIDS if 'dialog' not in name)
        rig.start().in_sync()
        assert wait_until(lambda: 'dialog-rules' not in storage._items) and not rig.manager.dialog_rules


# ---- what the user does --------------------------------------------------------------------------------------------


def test_operations_are_told_when_the_server_has_them(server, rig):
    rig.start().in_sync()
    bob, group, policy = contact(), Group('g1', 'Friends', []), Policy('p1', 'sip:x@example.com', 'X')
    manager = rig.manager
    with manager.transaction():
        manager.add_contact(bob)
        manager.add_contact_uri(bob, ContactURI('u2', 'sip:b@example.com', 'SIP'))
        manager.add_group(group)
        manager.add_group_member(group, bob)
        manager.add_policy(policy)
        manager.set_default_presence_policy('allow')
        manager.set_default_dialog_policy('block')
        manager.set_status_icon(Icon(b'picture', 'image/png'))
        manager.set_offline_status(OfflineStatus(PIDF('sip:alice@example.com')))
        assert manager.has_pending_operations
    rig.in_sync()
    manager.update_contact(bob, {'name': 'Robert'})
    manager.update_group(group, {'name': 'Others'})
    manager.update_policy(policy, {'name': 'Y'})
    manager.update_contact_uri(bob, bob.uris['u1'], {'uri': 'sip:new@example.com'})
    manager.remove_group_member(group, bob)
    rig.in_sync()
    manager.remove_contact_uri(bob, bob.uris['u1'])
    manager.remove_contact(bob)
    manager.remove_group(group)
    manager.remove_policy(policy)
    rig.in_sync()
    told = [(name.removeprefix('XCAPManage'), (data.group, data.contact) if 'Member' in name else getattr(data, 'contact', None) or data.group)
            for name, data in rig.told if 'DidAdd' in name or 'DidUpdate' in name or 'DidRemove' in name]
    assert [name for name, _ in told] == [
        'rDidAddContact', 'rDidUpdateContact', 'rDidAddGroup', 'DidAddGroupMember', 'rDidAddGroupMember',
        'rDidUpdateContact', 'rDidUpdateGroup', 'rDidUpdateContact', 'DidRemoveGroupMember', 'rDidRemoveGroupMember',
        'rDidUpdateContact', 'rDidRemoveContact', 'rDidRemoveGroup']
    assert told[0][1].id == 'c1' and told[2][1].id == 'g1' and [item.id for item in told[3][1]] == ['g1', 'c1'] and told[5][1].name == 'Robert' and told[-1][1].id == 'g1'
    reloaded = rig.all('XCAPManagerDidReloadData')
    assert reloaded[1].addressbook.contacts['c1'].uris.ids() == ['u1', 'u2'] and reloaded[1].addressbook.groups['g1'].contacts.ids() == ['c1']
    assert (reloaded[1].presence_rules.default_policy, reloaded[1].dialog_rules.default_policy) == ('allow', 'block')
    assert reloaded[1].status_icon == Icon(b'picture', 'image/png') and reloaded[1].status_icon.url == manager.status_icon.url
    assert reloaded[1].status_icon.etag == manager.status_icon.etag and reloaded[1].offline_status == OfflineStatus(PIDF('sip:alice@example.com'))
    assert not reloaded[-1].addressbook.contacts and not reloaded[-1].addressbook.groups and not reloaded[-1].addressbook.policies


def test_a_transaction_is_one_change(server, rig):
    rig.start().in_sync()
    count = len(server.methods('PUT'))
    with rig.manager.transaction():
        for number in range(20):
            rig.manager.add_contact(contact(f'c{number}', uri=f'sip:{number}@example.com', presence_handling=EventHandling('allow', True)))
    rig.in_sync()
    assert server.methods('PUT')[count:] == [(
        'PUT', name, 200) for name in ('resource-lists', 'org.openmobilealliance.pres-rules', 'pres-rules')] and len(rig.book.contacts) == 20
    lists = rig.manager.resource_lists.content
    assert len(lists['oma_grantedcontacts']) == len(lists['sipsimple_presence_rls']) == 20


def test_what_was_done_before_an_exception_is_done(server, rig):
    rig.start().in_sync()
    with pytest.raises(ZeroDivisionError), rig.manager.transaction():
        rig.manager.add_contact(contact())
        1 / 0
    assert rig.in_sync().book.contacts.ids() == ['c1']


def test_writes_have_conditions(server, rig):
    rig.start().in_sync()
    rig.manager.add_contact(contact())
    rig.in_sync()
    rig.manager.set_status_icon(Icon(b'x', 'image/png'))
    rig.in_sync().manager.set_status_icon(None)
    rig.in_sync()
    for seen in server.requests:
        if seen.method != 'GET' and seen.code != 401:
            assert ('If-None-Match' in seen.headers) == (seen.code == 201) != ('If-Match' in seen.headers)
            assert seen.headers.get('If-None-Match', '*') == '*'


def test_from_many_threads(server, rig):
    rig.start()
    threads = [threading.Thread(target=lambda base=base: [rig.manager.add_contact(contact(f'c{base}-{number}')) for number in range(10)]) for base in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rig.in_sync().book.contacts) == 50


# ---- others write too ----------------------------------------------------------------------------------------------


def test_two_managers_merge_their_changes(server):
    with Rig(server.root) as one, Rig(server.root) as other:
        one.start().in_sync()
        other.start().in_sync()
        one.manager.add_contact(contact('c1'))
        one.in_sync()
        other.manager.add_contact(contact('c2'))           # it does not know of the first one
        assert other.in_sync().book.contacts.ids() == ['c1', 'c2']
        one.manager.refresh()
        assert wait_until(lambda: one.manager.data.addressbook == other.book)
        assert [code for method, _, code in server.methods() if method == 'PUT'].count(412) == 1
        one.in_sync().manager.update_contact(contact('c2'), {'name': 'One'})
        other.manager.update_contact(contact('c2'), {'x': 'other'})
        one.in_sync()
        other.in_sync().manager.refresh()
        one.manager.refresh()
        assert wait_until(lambda: one.manager.data.addressbook == other.manager.data.addressbook and one.book.contacts['c2'].attributes == {'x': 'other'})
        assert one.book.contacts['c2'].name == 'One'


def test_a_server_that_does_not_heed_that_a_document_is_to_be_new(server, rig):
    """Another client had found none as well, and writes its own over ours, which we had found in place."""
    path = 'resource-lists/users/sip:alice@example.com/index'
    with Rig(server.root) as other:
        other.manager.add_contact(contact('c2'))
        other.start().in_sync()
        theirs = server.content('resource-lists')
    server.delete(path)
    rig.start().manager.add_contact(contact())
    rig.in_sync().manager.refresh()
    assert wait_until(lambda: ('GET', 'resource-lists', 304) in server.methods()) and rig.in_sync()
    server.put(path, theirs)
    rig.manager.refresh()
    assert wait_until(lambda: rig.manager.data.addressbook.contacts.ids() == ['c2', 'c1'])
    assert b'"c1"' in server.content('resource-lists')


def test_a_server_that_takes_two_writes_at_once(server, rig, monkeypatch):
    """Its conditions are checked, and by the time it writes they do not hold any more."""
    path = 'resource-lists/users/sip:alice@example.com/index'
    monkeypatch.setattr('sipsimple.account.xcap.unconfirmed.CREATED_LIMIT', 0)
    rig.start().in_sync()
    before = server.content('resource-lists')
    rig.manager.add_contact(contact())
    rig.in_sync()
    rig.manager.update_contact(contact(), {'name': 'Robert'})
    rig.in_sync()
    with Rig(server.root) as other:
        other.manager.add_contact(contact('c2'))
        other.start().in_sync()
        theirs = server.content('resource-lists')
    server.put(path, before)                        # as if ours had been lost, and theirs had come then
    rig.manager.refresh()
    assert wait_until(lambda: b'"c1"' in server.content('resource-lists'))
    assert rig.in_sync().book.contacts['c1'].name == 'Robert'
    server.put(path, theirs)
    rig.manager.refresh()
    assert wait_until(lambda: rig.manager.data.addressbook.contacts.ids() == ['c1', 'c2'])
    server.put(path, before)                        # that is what somebody wants, as we had seen it there
    rig.manager.refresh()
    assert wait_until(lambda: not rig.manager.data.addressbook.contacts)


def test_who_always_comes_second_gives_up_for_a_while(server, rig, monkeypatch):
    monkeypatch.setattr(patience, 'MAX_CONFLICTS', 2)
    rig.start().in_sync()
    server.faults.extend([lambda handler: 412 if handler.command == 'PUT' else None] * 20)
    rig.manager.add_contact(contact())
    assert rig.wait('XCAPManagerClientError').error.code == 412
    server.faults.clear()
    assert rig.in_sync().book.contacts.ids() == ['c1']


def test_a_change_of_others_is_seen_at_the_next_look(server, rig, monkeypatch):
    monkeypatch.setattr(manager_module, 'POLL', 0.05)
    rig.start().in_sync()
    with Rig(server.root) as other:
        other.manager.add_contact(contact())
        other.start().in_sync()
    assert rig.wait('XCAPManagerDidReloadData', 2).addressbook.contacts.ids() == ['c1']


def test_a_document_that_others_delete_is_made_again(server, rig):
    rig.manager.add_contact(contact())
    rig.start().in_sync()
    server.delete('resource-lists/users/sip:alice@example.com/index')
    rig.manager.refresh()
    assert not rig.wait('XCAPManagerDidReloadData', 2).addressbook.contacts        # that is what they did
    assert rig.in_sync().manager.resource_lists


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('fault, kind', [(503, ServerError), ('cut before', TransportError), ('cut inside', TransportError), ('cut after', TransportError)])
@pytest.mark.parametrize('place', range(12))
def test_any_request_may_fail_once(server, fault, kind, place):
    server.users = None
    server.faults.extend([None] * place + [fault])
    with Rig(server.root) as rig:
        rig.manager.add_contact(contact())
        rig.manager.set_default_presence_policy('block')
        rig.manager.set_status_icon(Icon(b'x', 'image/png'))
        rig.start().in_sync()
        errors = rig.all('XCAPManagerClientError')
        assert len(errors) == 1 or (not errors and fault in ('cut before', 'cut after'))        # reading again over a new connection is done without a word
        assert all(isinstance(data.error, kind) and data.context in ('capabilities', 'fetch', 'update') for data in errors)
        assert rig.book.contacts.ids() == ['c1'] and rig.manager.data.presence_rules.default_policy == 'block' and rig.manager.data.status_icon is not None
        assert len(rig.manager.journal) == 0 and not rig.manager.journal.sent


def test_what_was_written_unheard_is_not_written_again(server, rig):
    """The connection breaks after the server has taken the change, and somebody else changes the same thing before we are back."""
    rig.manager.add_contact(contact())
    rig.start().in_sync()
    with Rig(server.root) as other:
        other.start().in_sync()
        rig.manager.account.xcap.xcap_root = 'http://127.0.0.1:1/'       # where it looks when it begins again
        server.faults.append('cut after')
        rig.manager.update_contact(contact(), {'name': 'Mine'})
        rig.wait('XCAPManagerClientError')
        rig.stop()
        assert server.content('resource-lists').count(b'Mine') == 1 and len(rig.manager.journal) == 1
        other.manager.update_contact(contact(), {'name': 'Theirs'})
        other.in_sync()
        rig.account.xcap.xcap_root = server.root
        assert rig.start().in_sync().book.contacts['c1'].name == 'Theirs'


@pytest.mark.parametrize('name, value', [('set_status_icon', Icon(b'mine', 'image/png')), ('set_default_presence_policy', 'block')])
def test_nor_are_other_documents(server, name, value):
    storage = MemoryStorage('alice')
    with Rig(server.root, storage) as rig:
        rig.start().in_sync()
        server.faults.append('cut after')
        getattr(rig.manager, name)(value)
        rig.wait('XCAPManagerClientError')
        rig.stop()
    count = len(server.methods('PUT'))
    with Rig(server.root, storage) as rig:          # as after a crash
        rig.start().in_sync()
        assert [put for put in server.methods('PUT')[count:] if put[1] != 'pres-rules'] == [] and len(rig.manager.journal) == 0


def test_a_conflict_that_stays_is_told(server, rig):
    rig.start().in_sync()
    server.conflict = server_conflict = b'<xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"><constraint-failure phrase="no more"/></xcap-error>'
    rig.manager.add_contact(contact())
    rig.in_sync()                                   # the first time it may be that somebody else was faster
    assert not rig.all('XCAPManagerClientError')

    def refuse(handler):
        if handler.command == 'PUT':
            server.conflict = server_conflict
    server.faults.extend([refuse] * 30)
    rig.manager.add_contact(contact('c2'))
    error = rig.wait('XCAPManagerClientError')
    assert error.context == 'update' and isinstance(error.error, ConflictError) and error.error.condition == 'constraint-failure'
    server.faults.clear()
    server.conflict = None
    assert rig.in_sync().book.contacts.ids() == ['c1', 'c2']


def test_a_wrong_password_is_told_and_a_new_one_is_taken_at_once(server, monkeypatch):
    monkeypatch.setattr(patience, 'RETRY', 3600.0)
    with Rig(server.root, password='wrong') as rig:
        rig.manager.add_contact(contact())
        rig.start()
        error = rig.wait('XCAPManagerClientError')
        assert isinstance(error.error, AuthenticationError) and error.context == 'capabilities'
        rig.account.change(auth__password='secret')
        assert rig.in_sync().book.contacts.ids() == ['c1']


def test_a_password_that_changes_while_all_is_well(server, rig, monkeypatch):
    rig.start().in_sync()
    server.users['alice'] = 'new'
    server._nonces.clear()
    rig.manager.add_contact(contact())
    assert isinstance(rig.wait('XCAPManagerClientError').error, AuthenticationError)
    rig.account.change(auth__password='new')
    assert rig.in_sync().book.contacts.ids() == ['c1']


def test_a_document_of_nonsense_is_told_and_kept(server, rig):
    path = 'resource-lists/users/sip:alice@example.com/index'
    server.put(path, b'<nonsense/>')
    rig.manager.add_contact(contact())
    rig.start()
    assert isinstance(rig.wait('XCAPManagerClientError', 2).error, DocumentError)
    assert server.content('resource-lists') == b'<nonsense/>'
    server.delete(path)
    assert rig.in_sync().book.contacts.ids() == ['c1']


def test_a_document_without_end(server, rig, monkeypatch):
    monkeypatch.setattr('sipsimple.account.xcap.client.MAX_BODY', 1 << 20)
    server.faults.extend([None, None, 'giant'])
    rig.start()
    assert isinstance(rig.wait('XCAPManagerClientError').error, TooLarge)
    rig.in_sync()


def test_a_server_without_entity_tags(server, rig):
    server.give_etags = False
    rig.manager.add_contact(contact())
    rig.start().in_sync()
    rig.manager.update_contact(contact(), {'name': 'Robert'})
    assert rig.in_sync().book.contacts['c1'].name == 'Robert'


def test_retry_after_is_heeded(server, rig, monkeypatch):
    waits = []
    monkeypatch.setattr(manager_module.XCAPManager, '_pause', lambda self, seconds: waits.append(seconds))

    def busy(handler):
        handler.send_response(503)
        handler.send_header('Retry-After', '120')
        handler.send_header('Content-Length', '0')
        handler.end_headers()
        return 'cut before'
    server.faults.append(busy)
    rig.start().in_sync()
    assert waits == [120]


# ---- settings and network ------------------------------------------------------------------------------------------


def test_another_root(server, rig):
    rig.manager.add_contact(contact())
    rig.start().in_sync()
    with XCAPServer() as second:
        rig.account.change(xcap__xcap_root=second.root)
        assert wait_until(lambda: rig.manager.xcap_root == second.root and rig.manager.state == 'insync')
        assert not rig.manager.data.addressbook.contacts           # what is there, is there
        assert not any('If-None-Match' in seen.headers and seen.method == 'GET' for seen in second.requests)
        assert rig.names().count('SIPAccountDidDiscoverXCAPSupport') == 2 and rig.account.xcap.discovered      # the application sends what it has
        rig.account.change(xcap__xcap_root=server.root)
        assert wait_until(lambda: rig.manager.xcap_root == server.root and rig.manager.state == 'insync')
        assert wait_until(lambda: rig.book.contacts.ids() == ['c1'])


def test_another_id(server, tmp_path, monkeypatch):
    server.users['carol'] = 'secret'
    monkeypatch.setattr('sipsimple.account.xcap.factory.make_storage', lambda id: FileStorage(str(tmp_path), id))
    with Rig(server.root, FileStorage(str(tmp_path), 'alice@example.com')) as rig:
        rig.manager.add_contact(contact())
        rig.start().in_sync()
        rig.manager.account.change(id=type(rig.account.id)('carol@example.com'))
        assert wait_until(lambda: server.content('resource-lists', 'carol@example.com'))
        assert not rig.in_sync().book.contacts and rig.manager.resource_lists.url.endswith('/users/sip:carol@example.com/index')
        assert wait_until(lambda: [file.name for file in tmp_path.iterdir()] == ['carol@example.com'])


def test_another_network_is_reason_to_try_at_once(server, rig, monkeypatch):
    monkeypatch.setattr(patience, 'RETRY', 3600.0)
    server.faults.append(503)
    rig.start().wait('XCAPManagerClientError')
    NotificationCenter().post_notification('NetworkConditionsDidChange', data=NotificationData(changed=['ip']))
    rig.in_sync()
    with Rig(server.root) as other:
        other.manager.add_contact(contact())
        other.start().in_sync()
    NotificationCenter().post_notification('NetworkConditionsDidChange', data=NotificationData(changed=['ip']))
    assert rig.wait('XCAPManagerDidReloadData', 2).addressbook.contacts.ids() == ['c1']


# ---- offline, and afterwards ---------------------------------------------------------------------------------------


def test_what_is_done_offline_is_done_later_once(server, tmp_path):
    def rig():
        return Rig(server.root, FileStorage(str(tmp_path), 'alice@example.com'))
    with rig() as first:
        first.manager.add_contact(contact())
        first.manager.start_transaction()
        first.manager.update_contact(contact(), {'name': 'Robert'})
        first.manager.commit_transaction()
        first.manager.start_transaction()
        first.manager.update_contact(contact(), {'name': 'Never'})
        flush()
        assert len(json.loads((tmp_path / 'alice@example.com' / 'journal').read_text())['operations']) == 2
    with rig() as second:                               # the first one never stopped in order
        second.start().in_sync()
        assert second.book.contacts['c1'].name == 'Robert'
        second.stop()
        flush()
        assert json.loads((tmp_path / 'alice@example.com' / 'journal').read_text())['operations'] == []
    with rig() as third, Rig(server.root) as other:
        other.manager.update_contact(contact(), {'name': 'Theirs'})
        other.start().in_sync()
        assert third.start().in_sync().book.contacts['c1'].name == 'Theirs'


def test_a_storage_that_fails_stops_nothing(server):
    class Broken(MemoryStorage):
        def save(self, name, data):
            from sipsimple.account.xcap.storage import XCAPStorageError
            raise XCAPStorageError('broken')
        delete = purge = load = save
        load = lambda self, name: self.save(name, None)        # noqa: E731
        delete = lambda self, name: self.save(name, None)      # noqa: E731
    with Rig(server.root, Broken('alice')) as rig:
        rig.manager.add_contact(contact())
        assert rig.start().in_sync().book.contacts.ids() == ['c1']


@pytest.mark.parametrize('copy', [b'', b'no newline', b'"x"\n', b'\xff\n<x/>', b'"etag"\n<nonsense/>'])
def test_damaged_copies_do_no_harm(server, copy):
    storage = MemoryStorage('alice')
    with Rig(server.root, storage) as rig:
        rig.manager.add_contact(contact())
        rig.start().in_sync()
    storage.save('resource-lists', copy)
    with Rig(server.root, storage) as rig:
        assert rig.start().in_sync().book.contacts.ids() == ['c1']


# ---- what the server has had ---------------------------------------------------------------------------------------

BOB = frozenset((('Contacts', 'c1'), ('Contacts', 'c1', 'uris', 'u1')))


def test_what_the_server_has_had_survives(server):
    storage = MemoryStorage('alice')
    with Rig(server.root, storage) as rig:
        group = Group('g1', 'G', [contact()])
        rig.manager.add_contact(contact())
        rig.manager.add_group(group)
        rig.manager.add_policy(Policy('p1', 'sip:x@y', ''))
        assert rig.manager.seen.marks == frozenset()
        rig.start().in_sync()
        flush()
        assert rig.manager.seen.marks == BOB | {('Groups', 'g1'), ('Groups', 'g1', 'contacts', 'c1'), ('Policies', 'p1')}
        rig.manager.remove_group(group)
        rig.manager.remove_policy(Policy('p1', '', ''))
        rig.in_sync()
        flush()
        assert ('Groups', 'g1') in rig.manager.seen.marks           # the application may still be writing what it was told before
        rig.manager.update_contact(contact(), {'name': 'Robert'})
        rig.in_sync()
        flush()
        assert rig.manager.seen.marks == BOB
    with Rig(server.root, storage) as rig:
        assert rig.manager.seen.marks == BOB
        with XCAPServer() as second:
            rig.account.xcap.xcap_root = second.root
            rig.start().wait('XCAPManagerDidDiscoverServerCapabilities')
            assert rig.manager.seen.marks == frozenset()


def test_what_was_written_and_removed_by_others_before_it_was_told(server):
    storage = MemoryStorage('alice')
    with Rig(server.root, storage) as rig:
        rig.start().in_sync()
        count = len(server.methods('PUT'))

        def busy(handler):                  # one more thing to do, as soon as that is on the server
            server.faults.append('stall')
            rig.manager.add_contact(contact('c2'))
        server.faults.append(busy)
        rig.manager.add_contact(contact())
        assert wait_until(lambda: len(server.methods('PUT')) == count + 2)
        flush()
        assert BOB <= rig.manager.seen.marks and 'XCAPManagerDidReloadData' in rig.names()
        assert not any(data.addressbook.contacts for data in rig.all('XCAPManagerDidReloadData'))
    with Rig(server.root, storage) as rig:
        assert BOB <= rig.manager.seen.marks


@pytest.mark.parametrize('text', [b'', b'no JSON', b'5', b'[5]', b'[' * 100000])
def test_damaged_marks_are_none(server, text):
    storage = MemoryStorage('alice')
    storage.save('seen', text)
    with Rig(server.root, storage) as rig:
        assert rig.manager.seen.marks == frozenset()
        rig.manager.add_contact(contact())
        rig.start().in_sync()
        flush()
        assert rig.manager.seen.marks == BOB


def test_what_was_written_is_read_once(server, rig, monkeypatch):
    """Reading a big addressbook takes the thread for files a while, in which nothing is saved."""
    read = []
    marks_in = seen_module.marks_in
    monkeypatch.setattr(seen_module, 'marks_in', lambda document: read.append(document) or marks_in(document))
    rig.start().in_sync()
    flush()
    read.clear()
    rig.manager.add_contact(contact())
    rig.in_sync()
    flush()
    assert read == [server.content('resource-lists')] and rig.manager.seen.marks == BOB         # written, and told of


def test_nothing_is_merged_when_nobody_has_changed_anything(server, rig, monkeypatch):
    merges = []
    merge = manager_module.merge
    monkeypatch.setattr(manager_module, 'merge', lambda *args: merges.append(args) or merge(*args))
    rig.start().in_sync()
    count, requests = len(merges), len(server.requests)
    rig.manager.refresh()
    assert wait_until(lambda: len(server.requests) == requests + 7 and rig.manager.state == 'insync' and not rig.manager._to_fetch)
    assert len(merges) == count and rig.names().count('XCAPManagerDidReloadData') == 1


# ---- acceptance ----------------------------------------------------------------------------------------------------


def operation(choose, model, side):
    """A random operation; what has to be there in the end goes into the model.

    Each side makes things of its own, which must not get lost, and both change and remove what is shared.
    """
    number = choose.randrange(10 ** 6)
    own = f'{side}{number}'
    shared = contact(f's{choose.randrange(8)}', uri=f'sip:{number}@example.com')
    group = Group(f'g{choose.randrange(3)}', 'G', [])
    mine = sorted(id for id in model if id.startswith(side))
    what = choose.randrange(9)
    if what <= 1 or not mine:
        model[own] = {'name': own}
        return 'add_contact', contact(own, own, f'sip:{own}@example.com', presence_handling=EventHandling('allow', choose.random() < 0.5))
    id = choose.choice(mine)
    if what == 2:
        model[id]['name'] = own
        return 'update_contact', contact(id), {'name': own}
    if what == 3:
        model[id][f'x{side}'] = own
        return 'update_contact', contact(id), {f'x{side}': own}
    if what == 4 and len(mine) > 5:
        del model[id]
        return 'remove_contact', contact(id)
    return choose.choice([('add_contact', shared), ('update_contact', shared, {'name': own}), ('remove_contact', shared), ('update_contact', shared, {f'x{side}': own}),
                          ('add_group', group), ('add_group_member', group, shared), ('remove_group_member', group, shared), ('remove_group', group),
                          ('add_policy', Policy(f'p{choose.randrange(4)}', f'sip:{number}@example.com', own)), ('remove_policy', Policy(f'p{choose.randrange(4)}', '', '')),
                          ('set_default_presence_policy', choose.choice(['allow', 'confirm', 'block']))])


def test_two_instances_keep_one_addressbook(server, monkeypatch, tmp_path):
    """500 random operations on each side with broken connections and restarts: equal books in the end, and nothing lost."""
    monkeypatch.setattr(manager_module, 'POLL', 0.05)
    choose = random.Random(5)
    models = {'a': {}, 'b': {}}
    faults = [None] * 8 + ['cut before', 'cut after', 'cut inside', 503]
    storages = {side: FileStorage(str(tmp_path), f'{side}-alice') for side in models}
    rigs = {side: Rig(server.root, storages[side]).start() for side in models}
    try:
        for count in range(500):
            for side, rig in rigs.items():
                name, *arguments = operation(choose, models[side], side)
                getattr(rig.manager, name)(*arguments)
            if count % 5 == 0:
                with server.lock:
                    server.faults.extend(choose.choice(faults) for _ in range(4))
                assert wait_until(lambda: len(server.faults) < 4)       # let them work
            if count % 100 == 50:
                side = choose.choice('ab')
                rigs[side].stop()
                if choose.random() < 0.5:           # as another process, with what is on disk
                    green(rigs[side].manager.forget)
                    flush()
                    rigs[side] = Rig(server.root, storages[side])
                rigs[side].start()
        server.faults.clear()
        for rig in rigs.values():
            rig.in_sync()
        for rig in rigs.values():
            rig.manager.refresh()
        assert wait_until(lambda: rigs['a'].manager.data == rigs['b'].manager.data and all(not rig.manager._to_fetch for rig in rigs.values()))
        book = rigs['a'].in_sync().book
        for side, model in models.items():
            found = {contact.id: {'name': contact.name, **contact.attributes} for contact in book.contacts if contact.id.startswith(side)}
            assert found == model
        assert any(id.startswith('s') for id in book.contacts.ids())
        text = etree.fromstring(server.content('resource-lists'))
        assert len(text.findall('.//{urn:ag-projects:xml:ns:addressbook}contact')) == len(book.contacts)
        codes = {abs(code) for _, _, code in server.methods()}
        assert {0, 200, 503} <= codes, codes
    finally:
        for rig in rigs.values():
            rig.__exit__()
