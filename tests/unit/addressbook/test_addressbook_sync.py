"""The addressbook and the servers of the accounts: what they are told, and what is made of what they say.

The XCAP managers are played (conftest.py).
"""

import copy
import random
from types import SimpleNamespace

import pytest

from sipsimple.account import xcap
from sipsimple.addressbook import Contact, ContactURI, Group, Policy
from sipsimple.configuration import ModifiedList, ModifiedValue
from sipsimple.notification import NotificationCenter, NotificationData
from tests.support.addressbook import Server


def saved(cls, *uris, id=None, **state):
    obj = cls(id)
    for uri in uris:
        obj.uris.add(uri)
    for name, value in state.items():
        setattr(obj, name, value)
    obj.save()
    return obj


def contact_of(contact):
    """A contact, here or on a server, as plain data."""
    return (str(contact.id), contact.name, contact.presence.policy, contact.presence.subscribe, contact.dialog.policy, contact.dialog.subscribe,
            getattr(contact.uris.default, 'id', contact.uris.default), sorted((str(uri.id), uri.uri, uri.type) for uri in contact.uris))


def policy_of(policy):
    return (str(policy.id), policy.uri, policy.name, policy.presence.policy, policy.presence.subscribe, policy.dialog.policy, policy.dialog.subscribe)


def plain(contacts, groups, policies):
    return {'contacts': sorted(map(contact_of, contacts)),
            'groups': sorted((str(group.id), group.name, sorted(map(str, group.contacts.ids()))) for group in groups),
            'policies': sorted(map(policy_of, policies))}


def here(manager):
    return plain(manager.get_contacts(), manager.get_groups(), manager.get_policies())


def there(server):
    return plain(server.book.contacts, server.book.groups, server.book.policies)


def is_stored_as_it_is(books):
    """Another start finds the same."""
    before = here(books.manager)
    books.load()
    return here(books.manager) == before


# ---- what servers are told -----------------------------------------------------------------------------------------


def test_a_life_in_operations(manager, account, server):
    xcap_manager = account.xcap_manager
    home, work = ContactURI('home', uri='a@example.com'), ContactURI('work', uri='b@example.com', type='SIP')
    contact = saved(Contact, home, id='c', name='Alice')
    assert xcap_manager.names() == ['add_contact']
    contact.name = 'Alice B'
    contact.presence.policy = 'allow'
    contact.uris.add(work)
    contact.uris.default = work
    home.type = 'Home'
    contact.save()
    assert xcap_manager.names() == ['add_contact_uri', 'update_contact_uri', 'update_contact']
    contact.uris.remove(work)
    contact.save()
    assert xcap_manager.names() == ['remove_contact_uri', 'update_contact']
    group = saved(Group, id='g', name='friends', contacts=[contact])
    group.name = 'Friends'
    group.save()
    group.contacts = []
    group.save()
    group.contacts = [contact]
    group.save()
    assert xcap_manager.names() == ['add_group', 'update_group', 'remove_group_member', 'add_group_member']
    policy = saved(Policy, id='p', uri='m@example.com')
    policy.dialog.policy = 'block'
    policy.save()
    assert xcap_manager.names() == ['add_policy', 'update_policy']
    xcap_manager.send()
    assert there(server) == here(manager) != {'contacts': [], 'groups': [], 'policies': []}
    contact.delete()                                # of which the server takes it out of groups by itself
    group.delete()
    policy.delete()
    assert xcap_manager.names() == ['remove_contact', 'remove_group', 'remove_policy']
    xcap_manager.send()
    assert there(server) == here(manager) == {'contacts': [], 'groups': [], 'policies': []}


def test_each_save_and_each_transaction_is_one_of_each_account(manager, accounts):
    first, second, third = accounts(), accounts(), accounts(discovered=False)
    with manager.transaction():
        contact = saved(Contact)
        saved(Group, contacts=[contact])
    saved(Policy)
    for account in (first, second):
        account.xcap_manager.send()
        assert [(number, name) for number, name, *_ in account.xcap_manager.told] == [(1, 'add_contact'), (1, 'add_group'), (2, 'add_policy')]
    assert third.xcap_manager.names() == []


def test_a_new_member_is_told_after_the_contact(manager, account, server):
    contact = Contact('c')
    saved(Group, id='g', contacts=[contact])
    contact.save()
    account.xcap_manager.send()
    assert there(server) == here(manager) and there(server)['groups'] == [('g', '', ['c'])]


def test_a_server_that_refuses_one_thing_is_told_the_rest(manager, account, accounts, server, monkeypatch, caplog):
    def refuse(*arguments):
        raise ValueError('no')
    monkeypatch.setattr(account.xcap_manager, 'add_contact', refuse, raising=False)
    other = accounts()
    with manager.transaction():
        saved(Contact, id='c')
        saved(Policy, id='p')
    account.xcap_manager.send()
    other.xcap_manager.send()
    assert [policy.id for policy in server.book.policies] == ['p'] and len(server.book.contacts) == 0
    assert there(other.xcap_manager.server) == here(manager)
    assert 'add_contact' in caplog.text


def test_everything_is_pushed_when_a_server_is_found(manager, accounts, server):
    account = accounts(server, discovered=False)
    uri = ContactURI('u', uri='a@example.com')
    contact = saved(Contact, uri, id='c', name='x')
    contact.uris.default = uri
    contact.save()
    contact.name = 'not saved'
    saved(Group, id='g', contacts=[contact])
    saved(Policy, id='p')
    assert account.xcap_manager.names() == []
    account.discover()
    assert account.xcap_manager.names() == ['add_contact', 'add_policy', 'add_group'] and account.xcap_manager.transactions == 1
    account.xcap_manager.send()
    assert server.book.contacts['c'].name == 'x' and server.book.contacts['c'].uris.default == 'u'
    assert server.book.groups['g'].contacts.ids() == ['c']


# ---- what servers say ----------------------------------------------------------------------------------------------


def test_what_came_on_the_server_comes_here(books, account, server, posted):
    manager = books.manager
    server.book.contacts.add(xcap.Contact('c', 'Carol', [xcap.ContactURI('u', 'c@example.com', 'SIP')], xcap.EventHandling('allow', True)))
    server.book.contacts['c'].uris.default = 'u'
    server.book.groups.add(xcap.Group('g', 'friends', [server.book.contacts['c']]))
    server.book.policies.add(xcap.Policy('p', 'm@example.com', 'Mallory', xcap.EventHandling('block', False)))
    account.xcap_manager.post()
    assert here(manager) == there(server)
    seen = posted.take()
    assert [notification.name for notification in seen] == [name for kind in ('Contact', 'Group', 'Policy') for name in (
        f'Addressbook{kind}WasActivated', f'AddressbookManagerDidAdd{kind}', f'Addressbook{kind}WasCreated')]
    assert account.xcap_manager.names() == []
    account.xcap_manager.post()
    assert posted.names() == [] and account.xcap_manager.names() == []
    assert is_stored_as_it_is(books)


def test_what_changed_on_the_server_changes_here(books, account, server, posted):
    manager = books.manager
    uris = [ContactURI('keep', uri='1'), ContactURI('lose', uri='2')]
    contact, other = saved(Contact, *uris, id='c', name='old'), saved(Contact, id='o')
    group, policy = saved(Group, id='g', name='old', contacts=[other]), saved(Policy, id='p', uri='old')
    account.xcap_manager.send()
    posted.take()
    account.xcap_manager.told.clear()
    theirs = server.book.contacts['c']
    theirs.name, theirs.dialog.subscribe = 'new', True
    theirs.uris.remove(uris[1])
    theirs.uris['keep'].type = 'Home'
    theirs.uris.add(xcap.ContactURI('more', '3', None))
    theirs.uris.default = 'more'
    server.book.groups['g'].name = 'new'
    server.book.groups['g'].contacts = xcap.ContactList([theirs])
    server.book.policies['p'].uri = 'new'
    account.xcap_manager.post()
    assert here(manager) == there(server)
    seen = posted.take()
    assert [(notification.name, notification.sender) for notification in seen] == [
        ('AddressbookContactDidChange', contact), ('AddressbookGroupDidChange', group), ('AddressbookPolicyDidChange', policy)]
    new = contact.uris['more']
    assert seen[0].data.modified == {
        'name': ModifiedValue('old', 'new'), 'dialog.subscribe': ModifiedValue(False, True), 'uris.default': ModifiedValue(None, new),
        'uris': ModifiedList([new], [uris[1]], {'keep': {'type': ModifiedValue(None, 'Home')}})}
    assert seen[1].data.modified == {'name': ModifiedValue('old', 'new'), 'contacts': ModifiedList([contact], [other], None)}
    assert seen[2].data.modified == {'uri': ModifiedValue('old', 'new')}
    assert account.xcap_manager.names() == []           # not sent back
    assert is_stored_as_it_is(books)


def test_what_went_on_the_server_goes_here(books, account, server, posted):
    contact, kept = saved(Contact, id='c'), saved(Contact, id='k')
    group, left = saved(Group, id='g', contacts=[contact, kept]), saved(Group, id='h')
    policy = saved(Policy, id='p')
    account.xcap_manager.send()
    posted.take()
    account.xcap_manager.told.clear()
    server.book.contacts.remove(contact)
    server.book.groups['g'].contacts.remove(contact)
    server.book.groups.remove(left)
    server.book.policies.remove(policy)
    account.xcap_manager.post()
    assert here(books.manager) == there(server)
    assert [(notification.name, notification.sender) for notification in posted.take()] == [
        ('AddressbookGroupDidChange', group), ('AddressbookPolicyWasDeleted', policy), ('AddressbookManagerDidRemovePolicy', books.manager),
        ('AddressbookGroupWasDeleted', left), ('AddressbookManagerDidRemoveGroup', books.manager),
        ('AddressbookContactWasDeleted', contact), ('AddressbookManagerDidRemoveContact', books.manager)]
    assert account.xcap_manager.names() == []
    assert is_stored_as_it_is(books)


def test_what_is_set_and_not_saved_stays_set(manager, account, server, posted):
    contact = saved(Contact, ContactURI('u', uri='1'), id='c', name='old')
    account.xcap_manager.send()
    posted.take()
    mine = ContactURI('mine', uri='2')
    contact.name = 'mine'
    contact.uris.add(mine)
    contact.uris.remove(contact.uris['u'])
    server.book.contacts['c'].name = 'theirs'
    server.book.contacts['c'].presence.subscribe = True
    account.xcap_manager.post()
    assert (contact.name, contact.presence.subscribe, contact.uris.ids()) == ('mine', True, ['mine'])
    assert posted.one('AddressbookContactDidChange').data.modified == {
        'name': ModifiedValue('old', 'theirs'), 'presence.subscribe': ModifiedValue(False, True)}
    contact.save()
    modified = posted.one('AddressbookContactDidChange').data.modified
    assert modified['name'] == ModifiedValue('theirs', 'mine') and [uri.id for uri in modified['uris'].added] == ['mine']
    account.xcap_manager.send()
    assert there(server) == here(manager)


def test_a_book_that_is_older_than_a_change_does_not_undo_it(manager, account, server, posted):
    uri = ContactURI('u', uri='1')
    contact, gone = saved(Contact, uri, id='c', name='a'), saved(Contact, id='gone')
    group, policy = saved(Group, id='g', contacts=[contact]), saved(Policy, id='p')
    account.xcap_manager.send()
    account.xcap_manager.post()
    old = copy.deepcopy(server.book)
    contact.name = 'b'
    uri.type = 'Home'
    contact.uris.add(ContactURI('v', uri='2'))
    contact.save()
    saved(Contact, id='new')
    gone.delete()
    group.contacts = []
    group.save()
    policy.delete()
    posted.take()
    before = here(manager)
    old.contacts['c'].presence.policy = 'block'         # and something of the server's own
    account.xcap_manager.post(old)
    assert contact.presence.policy == 'block'
    assert [notification.data.modified for notification in posted.take()] == [{'presence.policy': ModifiedValue('default', 'block')}]
    contact.presence.policy = 'default'
    contact.save()
    assert here(manager) == before
    account.xcap_manager.send()
    account.xcap_manager.post()
    assert here(manager) == there(server) == before


def test_the_server_wins_once_it_has_what_was_changed_here(manager, account, server):
    contact = saved(Contact, id='c', name='a')
    account.xcap_manager.send()
    contact.name = 'b'
    contact.save()
    account.xcap_manager.send()                         # nothing was posted in between
    server.book.contacts['c'].name = 'c'
    account.xcap_manager.post()
    assert contact.name == 'c'


def test_what_the_server_never_had_is_sent(manager, account, server):
    """The journal was lost, or another program damaged the document."""
    uri = ContactURI('u', uri='1')
    contact = saved(Contact, uri, id='c')
    saved(Group, id='g', contacts=[contact])
    account.xcap_manager.names()
    account.xcap_manager.journal.clear()
    manager._servers.lose_server(account)
    server.book.groups.add(xcap.Group('g', 'theirs', []))
    account.xcap_manager.post()
    assert account.xcap_manager.names() == ['add_contact', 'add_group_member']
    account.xcap_manager.send()
    account.xcap_manager.post()
    assert here(manager) == there(server) and here(manager)['groups'] == [('g', 'theirs', ['c'])]


def test_illegal_things_of_a_server_are_left_out(manager, account, server, caplog):
    server.book.contacts.add(xcap.Contact('not an id', 'x', []))
    server.book.contacts.add(xcap.Contact('c', 'good', [xcap.ContactURI('1', 'x', None), xcap.ContactURI('default', 'x', None), xcap.ContactURI('u', 'y', None)]))
    server.book.contacts['c'].presence.policy = 'odd'
    server.book.contacts['c'].uris.default = '1'
    account.xcap_manager.post()
    assert [contact_of(contact) for contact in manager.get_contacts()] == [('c', 'good', 'default', False, 'default', False, None, [('u', 'y', None)])]
    assert account.xcap_manager.names() == []
    assert len(caplog.records) >= 3


# ---- several servers -----------------------------------------------------------------------------------------------


def test_two_servers_are_joined_and_nothing_is_lost(manager, accounts):
    """Each has something of its own; the second one's book was put together before it heard of the first one's."""
    first, second = accounts(), accounts()
    first.xcap_manager.server.book.contacts.add(xcap.Contact('a', 'of the first', []))
    second.xcap_manager.server.book.contacts.add(xcap.Contact('b', 'of the second', []))
    stale = copy.deepcopy(second.xcap_manager.server.book)
    first.xcap_manager.post()
    second.xcap_manager.post(stale)
    for _ in range(2):
        for account in (first, second):
            account.xcap_manager.send()
            account.xcap_manager.post()
    assert [contact.id for contact in sorted(manager.get_contacts(), key=lambda contact: contact.id)] == ['a', 'b']
    assert there(first.xcap_manager.server) == there(second.xcap_manager.server) == here(manager)


def test_a_change_of_one_server_is_told_to_the_others(manager, accounts):
    first, second = accounts(), accounts()
    contact = saved(Contact, id='c', name='a')
    saved(Contact, id='d')
    for account in (first, second):
        account.xcap_manager.send()
        account.xcap_manager.told.clear()
    first.xcap_manager.server.book.contacts['c'].name = 'b'
    first.xcap_manager.server.book.contacts.remove(manager.get_contact('d'))
    first.xcap_manager.post()
    assert contact.name == 'b' and not manager.has_contact('d')
    assert first.xcap_manager.names() == [] and second.xcap_manager.names() == ['update_contact', 'remove_contact']
    second.xcap_manager.send()
    assert there(first.xcap_manager.server) == there(second.xcap_manager.server) == here(manager)


SEEN = frozenset((('Contacts', 'c'), ('Contacts', 'c', 'uris', 'u'), ('Contacts', 'c', 'uris', 'v'), ('Groups', 'g'), ('Groups', 'g', 'contacts', 'c'),
                  ('Policies', 'p')))


def test_what_was_removed_while_the_program_did_not_run_is_removed(manager, account, server):
    """The manager knows from its last run what the server had."""
    contact = saved(Contact, ContactURI('u', uri='1'), ContactURI('v', uri='2'), ContactURI('w', uri='3'), id='c')
    saved(Group, id='g', contacts=[contact])
    saved(Policy, id='p')
    saved(Policy, id='q')
    account.xcap_manager.send()
    account.xcap_manager.told.clear()
    manager._servers.clear()                            # another run
    account.xcap_manager.seen = SimpleNamespace(marks=SEEN)
    account.xcap_manager.find()
    theirs = server.book.contacts['c']
    theirs.uris = xcap.ContactURIList([theirs.uris['u']])
    server.book.groups['g'].contacts = xcap.ContactList()
    server.book.policies = xcap.ItemCollection()
    account.xcap_manager.post()
    assert contact.uris.ids() == ['u', 'w'] and len(manager.get_group('g').contacts) == 0
    assert [policy.id for policy in manager.get_policies()] == ['q']
    assert account.xcap_manager.names() == ['add_policy', 'add_contact_uri']         # what it never had


def test_another_server_has_removed_nothing(manager, account, server):
    """The account is moved to another server: what is not there never was."""
    contact = saved(Contact, id='c')
    account.xcap_manager.find()
    account.xcap_manager.send()
    account.xcap_manager.post()
    account.xcap_manager.root = 'http://other.example.com/'
    account.xcap_manager.server = Server()
    contact.name = 'x'
    contact.save()
    account.xcap_manager.find()
    saved(Contact, id='d')
    account.xcap_manager.send()
    account.xcap_manager.post()
    account.xcap_manager.send()
    account.xcap_manager.post()
    assert [contact.id for contact in manager.get_contacts()] == ['c', 'd']
    assert there(account.xcap_manager.server) == here(manager)


def test_an_account_with_another_id_has_removed_nothing(manager, account, server):
    saved(Contact, id='c')
    account.xcap_manager.find()
    account.xcap_manager.send()
    account.xcap_manager.post()
    NotificationCenter().post_notification('CFGSettingsObjectDidChange', sender=account, data=NotificationData(modified={'__id__': None}))
    account.xcap_manager.server = Server()
    account.xcap_manager.post()
    account.xcap_manager.send()
    assert manager.has_contact('c') and there(account.xcap_manager.server) == here(manager)


def test_a_server_that_has_lost_the_addressbook_is_given_it_anew(manager, account, server):
    contact = saved(Contact, id='c')
    saved(Group, id='g', contacts=[contact])
    account.xcap_manager.resource_lists = SimpleNamespace(data=None)
    account.xcap_manager.find()
    account.xcap_manager.send()
    account.xcap_manager.post()
    account.xcap_manager.server = Server()
    for document, code, method in ((object(), 404, 'GET'), (account.xcap_manager.resource_lists, 404, 'DELETE'),
                                   (account.xcap_manager.resource_lists, 200, 'GET')):
        NotificationCenter().post_notification('XCAPTrace', sender=document, data=NotificationData(method=method, code=code))
    assert ('Contacts', 'c') in manager._servers.sync_of(account).known
    NotificationCenter().post_notification('XCAPTrace', sender=account.xcap_manager.resource_lists, data=NotificationData(method='GET', code=404))
    account.xcap_manager.post()
    account.xcap_manager.send()
    account.xcap_manager.post()
    assert [contact.id for contact in manager.get_contacts()] == ['c'] and there(account.xcap_manager.server) == here(manager)


def test_a_manager_that_fails_is_no_harm_for_others(books, manager, account, accounts, monkeypatch, posted):
    def fail():
        raise RuntimeError('no')
    other = accounts()
    monkeypatch.setattr(account.xcap_manager, 'transaction', fail)
    saved(Contact, id='c')
    assert 'AddressbookContactWasCreated' in posted.names() and 'c' in books.stored['Addressbook']['Contacts']
    assert other.xcap_manager.names() == ['add_contact']
    assert manager._servers.sync_of(account).unsent == manager._servers.sync_of(other).unsent == 0


def test_a_deleted_account_and_another_server_are_forgotten(manager, accounts):
    account = accounts()
    saved(Contact, id='c')
    account.xcap_manager.send()
    assert ('Contacts', 'c') in manager._servers.sync_of(account).known
    account.xcap.discovered = False
    NotificationCenter().post_notification('CFGSettingsObjectDidChange', sender=account, data=NotificationData(modified={'xcap.discovered': None}))
    assert not manager._servers.sync_of(account).known
    NotificationCenter().post_notification('SIPAccountManagerDidRemoveAccount', sender=None, data=NotificationData(account=account))
    assert id(account) not in manager._servers._syncs


# ---- anything at any time ------------------------------------------------------------------------------------------


class Chaos:
    """Random changes here and by another program on the server, journals sent and books posted at any time, some of them old."""

    def __init__(self, manager, account, server, seed):
        self.random = random.Random(seed)
        self.manager = manager
        self.account = account
        self.server = server
        self.number = 0
        self.deleted = set()
        self.made = set()
        self.books = []

    def new(self, prefix):
        self.number += 1
        return f'{prefix}{self.number}'

    def pick(self, items):
        items = sorted(items, key=lambda item: item.id)
        return self.random.choice(items) if items else None

    def change_here(self):
        manager, chance = self.manager, self.random.random()
        contact, group, policy = self.pick(manager.get_contacts()), self.pick(manager.get_groups()), self.pick(manager.get_policies())
        if chance < 0.25 or contact is None:
            contact = saved(Contact, ContactURI(self.new('u'), uri=self.new('uri')), id=self.new('c'), name=self.new('name'))
            self.made.add(contact.id)
        elif chance < 0.3:
            self.deleted.add(contact.id)
            contact.delete()
        elif chance < 0.5:
            contact.name = self.new('name')
            contact.presence.policy = self.random.choice(['allow', 'block', 'default'])
            contact.save()
        elif chance < 0.65:
            uri = self.pick(contact.uris)
            if uri is None or self.random.random() < 0.6:
                contact.uris.add(ContactURI(self.new('u'), uri=self.new('uri')))
            elif self.random.random() < 0.5:
                contact.uris.remove(uri)
            else:
                uri.type = self.new('type')
                contact.uris.default = uri
            contact.save()
        elif chance < 0.75 or group is None:
            self.made.add(saved(Group, id=self.new('g'), contacts=[contact]).id)
        elif chance < 0.9:
            (group.contacts.remove if contact in group.contacts else group.contacts.add)(contact)
            group.name = self.new('name')
            group.save()
        elif chance < 0.95 or policy is None:
            self.made.add(saved(Policy, id=self.new('p'), uri=self.new('uri')).id)
        else:
            self.deleted.add(policy.id)
            policy.delete()

    def change_there(self):
        book, chance = self.server.book, self.random.random()
        contact, group = self.pick(book.contacts), self.pick(book.groups)
        if chance < 0.3 or contact is None:
            book.contacts.add(xcap.Contact(self.new('c'), self.new('name'), [xcap.ContactURI(self.new('u'), self.new('uri'), None)]))
            self.made.add(f'c{self.number - 3}')
        elif chance < 0.4:
            book.contacts.remove(contact)
            self.deleted.add(contact.id)
            for entry in book.groups:
                entry.contacts.remove(contact)
        elif chance < 0.7:
            contact.name = self.new('name')
            contact.uris.add(xcap.ContactURI(self.new('u'), self.new('uri'), None))
        elif group is not None:
            group.name = self.new('name')
            (group.contacts.remove if contact in group.contacts else group.contacts.add)(contact)

    def step(self):
        manager, chance = self.account.xcap_manager, self.random.random()
        if chance < 0.45:
            self.change_here()
        elif chance < 0.7:
            self.change_there()
        elif chance < 0.8:
            manager.send()
        elif chance < 0.95:
            manager.post()
        elif manager.journal:
            manager.post(copy.deepcopy(self.server.book))           # put together before the journal's changes

    def end(self):
        manager = self.account.xcap_manager
        for _ in range(3):
            manager.send()
            manager.post()


@pytest.mark.parametrize('seed', range(12))
def test_whatever_happens_both_sides_end_equal_and_nothing_is_lost(books, account, server, seed):
    chaos = Chaos(books.manager, account, server, seed)
    for _ in range(120):
        chaos.step()
    chaos.end()
    assert here(books.manager) == there(server)
    present = {id for section in here(books.manager).values() for id, *_ in section}
    assert present == chaos.made - chaos.deleted
    assert is_stored_as_it_is(books)
