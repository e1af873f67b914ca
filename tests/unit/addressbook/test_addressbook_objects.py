"""Contacts, addresses, groups, policies: what they hold, what is posted, what is stored."""

import re
import threading
import time

import pytest

from sipsimple.addressbook import Contact, ContactURI, Group, Policy
from sipsimple.addressbook.datatypes import new_id
from sipsimple.configuration import DuplicateIDError, ModifiedList, ModifiedValue
from sipsimple.configuration.backend import ConfigurationBackendError
from sipsimple.configuration.backend.file import FileBackend
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.writer import WRITE_SECONDS
from sipsimple.notification import NotificationData
from sipsimple.threading import call_in_thread

FILE = '''
Addressbook:
  Contacts:
    id1341414346774404637127:
      name = test
      dialog:
        policy = default
        subscribe = false
      presence:
        policy = default
        subscribe = false
      uris:
        id1341414346774623001554:
          type =
          uri = test@example.com
    id1341414346776435374242:
      name = other
  Groups:
    id1341414346762171006572:
      contacts = id1341414346776435374242, id1341414346774404637127, id1341414346775905712988
      name = Other
  Policies:
    id1352465065493178912902:
      name = "test"
      uri = test@example.com
      dialog:
        policy = default
        subscribe = false
      presence:
        policy = block
        subscribe = false
'''


def saved(cls, **state):
    obj = cls()
    for name, value in state.items():
        setattr(obj, name, value)
    obj.save()
    return obj


# ---- ids and life --------------------------------------------------------------------------------------------------


def test_ids_look_like_the_documented_ones_and_differ(manager):
    ids = [new_id() for _ in range(1000)] + [Contact().id, Group().id, Policy().id, ContactURI().id]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r'id[0-9]{16}[0-9]{6}', id) for id in ids)


def test_an_id_that_is_given_is_an_xml_name_and_stays(manager):
    assert Contact('_a-b.c1').id == '_a-b.c1'
    for wrong in ('', '1a', 'a b', 'a:b', 'a\n'):
        with pytest.raises(ValueError, match='not an id'):
            Contact(wrong)
    with pytest.raises(TypeError):
        Contact(7)
    contact = Contact()
    with pytest.raises(AttributeError):
        contact.id = 'other'
    with pytest.raises(AttributeError):
        ContactURI().id = 'other'


def test_two_live_objects_cannot_have_one_id(manager):
    first = Contact('one')
    with pytest.raises(DuplicateIDError):
        Contact('one')
    assert Group('one').id == 'one'                     # another kind
    first.save()
    with pytest.raises(DuplicateIDError):
        Contact('one')
    first.delete()
    assert Contact('one') is not first
    Contact('two')
    assert Contact('two').id == 'two'                   # the one before is gone, and was never saved


def test_nothing_can_be_made_before_the_addressbook_is_loaded(books):
    books.end()
    for cls in (Contact, Group, Policy):
        with pytest.raises(RuntimeError):
            cls()
    ContactURI()


def test_loading_twice_is_refused(manager):
    with pytest.raises(RuntimeError):
        manager.load()


def test_an_object_of_an_earlier_life_is_dead(books, posted):
    contact = saved(Contact, name='old')
    posted.take()
    books.load({})
    contact.name = 'new'
    contact.save()
    contact.delete()
    assert posted.names() == [] and books.stored == {} and not books.manager.has_contact(contact.id)


# ---- the manager ---------------------------------------------------------------------------------------------------


def test_the_manager_knows_what_was_saved(manager):
    contact, group, policy = Contact(), Group(), Policy()
    assert not manager.has_contact(contact.id) and not manager.has_group(group.id) and not manager.has_policy(policy.id)
    for obj in (contact, group, policy):
        obj.save()
    assert manager.has_contact(contact.id) and manager.get_contact(contact.id) is contact and manager.get_contacts() == [contact]
    assert manager.has_group(group.id) and manager.get_group(group.id) is group and manager.get_groups() == [group]
    assert manager.has_policy(policy.id) and manager.get_policy(policy.id) is policy and manager.get_policies() == [policy]
    for obj in (contact, group, policy):
        obj.delete()
    for get, id in ((manager.get_contact, contact.id), (manager.get_group, group.id), (manager.get_policy, policy.id)):
        with pytest.raises(KeyError):
            get(id)
    assert manager.get_contacts() == manager.get_groups() == manager.get_policies() == []


@pytest.mark.parametrize('cls', [Contact, Group, Policy])
def test_what_is_posted_in_a_life(cls, manager, posted):
    name, field = cls.__name__, cls.__name__.lower()
    obj = cls()
    obj.name = 'first'
    assert posted.names() == []
    obj.save()
    seen = posted.take()
    assert [notification.name for notification in seen] == [
        f'Addressbook{name}WasActivated', f'AddressbookManagerDidAdd{name}', f'Addressbook{name}WasCreated']
    assert [notification.sender for notification in seen] == [obj, manager, obj]
    assert seen[0].data == seen[2].data == NotificationData() and seen[1].data == NotificationData(**{field: obj})
    obj.save()
    assert posted.names() == []
    obj.name = 'second'
    obj.save()
    changed = posted.one(f'Addressbook{name}DidChange')
    assert changed.sender is obj and changed.data.modified == {'name': ModifiedValue('first', 'second')}
    obj.delete()
    obj.delete()
    obj.name = 'third'
    obj.save()
    seen = posted.take()
    assert [notification.name for notification in seen] == [f'Addressbook{name}WasDeleted', f'AddressbookManagerDidRemove{name}']
    assert [notification.sender for notification in seen] == [obj, manager] and seen[1].data == NotificationData(**{field: obj})


def test_an_unsaved_object_can_be_deleted_and_says_nothing(books, posted):
    contact = Contact()
    contact.delete()
    contact.save()
    assert posted.names() == [] and books.stored == {}


def test_notifications_come_from_the_storage_thread(manager, posted):
    threads = []

    class Observer:
        def handle_notification(self, notification):
            threads.append(threading.current_thread().name)

    from sipsimple.notification import NotificationCenter
    observer = Observer()
    contact = Contact()
    NotificationCenter().add_observer(observer, sender=contact)
    contact.save()
    posted.take()
    assert threads == ['file-io', 'file-io']


def test_the_representation_names_the_id(manager):
    assert repr(Contact('a')) == "Contact(id='a')" and repr(ContactURI('b')) == "ContactURI(id='b')"


# ---- loading and storing -------------------------------------------------------------------------------------------


def test_the_documented_file_is_loaded(books, posted, tmp_path):
    (tmp_path / 'config').write_text(FILE)
    manager = books.load(backend=FileBackend(str(tmp_path / 'config')))
    names = posted.names()
    assert names == ['AddressbookContactWasActivated', 'AddressbookManagerDidAddContact'] * 2 + [
        'AddressbookPolicyWasActivated', 'AddressbookManagerDidAddPolicy', 'AddressbookGroupWasActivated', 'AddressbookManagerDidAddGroup']
    contact = manager.get_contact('id1341414346774404637127')
    assert (contact.name, contact.dialog.policy, contact.presence.subscribe) == ('test', 'default', False)
    uri = contact.uris['id1341414346774623001554']
    assert (uri.uri, uri.type, contact.uris.default) == ('test@example.com', None, None)
    other = manager.get_contact('id1341414346776435374242')
    assert (other.name, len(other.uris), other.presence.policy) == ('other', 0, 'default')
    group = manager.get_group('id1341414346762171006572')
    assert group.name == 'Other' and list(group.contacts) == [contact, other]           # the third does not exist
    policy = manager.get_policy('id1352465065493178912902')
    assert (policy.uri, policy.name, policy.presence.policy, policy.dialog.policy) == ('test@example.com', 'test', 'block', 'default')
    before = (tmp_path / 'config').read_text()
    contact.save()
    books.end()
    assert (tmp_path / 'config').read_text() == before


def test_everything_is_stored_also_what_is_the_default(books):
    contact = Contact('c')
    uri = ContactURI('u', uri='a@example.com')
    contact.uris.add(uri)
    contact.uris.default = uri
    contact.save()
    saved(Group, contacts=[contact]).delete()
    group = Group('g')
    group.contacts.add(contact)
    group.save()
    policy = Policy('p')
    policy.save()
    events = {'policy': 'default', 'subscribe': 'false'}
    assert books.stored == {'Addressbook': {
        'Contacts': {'c': {'name': '', 'dialog': events, 'presence': events, 'uris': {'default': 'u', 'u': {'uri': 'a@example.com', 'type': None}}}},
        'Groups': {'g': {'name': '', 'contacts': ['c']}},
        'Policies': {'p': {'name': '', 'uri': '', 'dialog': events, 'presence': events}}}}
    contact.uris.remove(uri)
    contact.save()
    assert 'uris' not in books.stored['Addressbook']['Contacts']['c']
    contact.delete()
    assert books.stored['Addressbook']['Groups'] == {'g': {'name': '', 'contacts': []}}
    assert 'Contacts' not in books.stored['Addressbook']
    group.delete()
    policy.delete()
    assert books.stored == {}


def test_what_was_stored_comes_back(books):
    contact = Contact('c')
    contact.name = 'Zoë, "the" #1: \\ tab\tnew\nline'
    contact.presence.policy = 'allow'
    contact.dialog.subscribe = True
    uris = [ContactURI('u2', uri='sip:z@example.com', type=''), ContactURI('u1', uri='', type='Home')]
    contact.uris = uris
    contact.uris.default = uris[0]
    contact.save()
    group = saved(Group, name='friends', contacts=[contact])
    manager = books.load()
    loaded = manager.get_contact('c')
    assert loaded is not contact
    assert (loaded.name, loaded.presence.policy, loaded.dialog.subscribe) == (contact.name, 'allow', True)
    assert [(uri.id, uri.uri, uri.type) for uri in loaded.uris] == [('u1', '', 'Home'), ('u2', 'sip:z@example.com', '')]
    assert loaded.uris.default is loaded.uris['u2']
    assert list(manager.get_group(group.id).contacts) == [loaded]


def test_what_cannot_be_loaded_is_told_and_the_rest_is_there(books, posted):
    manager = books.load({'Addressbook': {
        'Contacts': {'a b': {'name': 'no id'}, 'plain': 'text', 'good': {
            'name': ['a', 'list'], 'presence': {'policy': 'nonsense', 'subscribe': 'true'}, 'dialog': 'scalar',
            'uris': {'default': 'gone', 'u': {'uri': 'x@example.com'}, '1': {'uri': 'y@example.com'}, 'v': 'scalar'}}},
        'Groups': {'g': {'contacts': 'good'}, 'h': {'contacts': {'a': 'group'}}}}})
    failed = [(notification.data.attribute, str(notification.data.error)) for notification in posted.take() if notification.name == 'CFGManagerLoadFailed']
    assert [attribute for attribute, _ in failed] == ['a b', 'plain', 'name', 'policy', 'dialog', '1', 'v', 'contacts']
    contact = manager.get_contact('good')
    assert (contact.name, contact.presence.policy, contact.presence.subscribe, contact.uris.ids(), contact.uris.default) == ('', 'default', True, ['u'], None)
    assert list(manager.get_group('g').contacts) == [contact] and len(manager.get_group('h').contacts) == 0
    contact.name = 'now'
    contact.save()
    assert books.stored['Addressbook']['Contacts']['a b'] == {'name': 'no id'}          # not ours to remove


def test_unknown_settings_in_the_file_survive_a_save_and_not_a_new_life(books):
    manager = books.load({'Addressbook': {'Contacts': {'c': {'name': 'x', 'colour': 'red', 'uris': {}}}}})
    contact = manager.get_contact('c')
    contact.name = 'y'
    contact.save()
    assert books.stored['Addressbook']['Contacts']['c']['colour'] == 'red'
    contact.delete()
    again = Contact('c')
    again.save()
    assert 'colour' not in books.stored['Addressbook']['Contacts']['c']


def test_ten_thousand_saves_are_a_few_writes(books):
    class Counting(MemoryBackend):
        saves = 0

        def save(self, data):
            self.saves += 1
            super().save(data)

    provided = Counting()
    manager = books.load(backend=provided)
    go_on = threading.Event()
    call_in_thread('file-io', go_on.wait, 60)           # so that all of them wait together
    contacts = [saved(Contact, name=str(number)) for number in range(2000)]
    begin = time.monotonic()
    go_on.set()
    assert len(books.stored['Addressbook']['Contacts']) == len(manager.get_contacts()) == len(contacts)
    assert 1 <= provided.saves <= 3 + (time.monotonic() - begin) / WRITE_SECONDS


def test_a_write_that_fails_is_told_and_made_up_for(books, posted):
    class Failing(MemoryBackend):
        fails = True

        def save(self, data):
            if self.fails:
                raise ConfigurationBackendError('disk full')
            super().save(data)

    backend = Failing()
    books.load(backend=backend)
    contact = saved(Contact, name='a')
    failed = posted.one('CFGManagerSaveFailed')
    assert failed.sender is books.configuration
    assert (failed.data.object, failed.data.operation, failed.data.modified, str(failed.data.exception)) == (contact, 'save', None, 'disk full')
    contact.name = 'b'
    contact.save()
    failed = posted.one('CFGManagerSaveFailed')
    assert failed.data.modified == {'name': ModifiedValue('a', 'b')}
    contact.delete()
    failed = posted.one('CFGManagerSaveFailed')
    assert failed.data.operation == 'delete' and not hasattr(failed.data, 'modified')
    other = saved(Contact, name='c')
    posted.take()
    backend.fails = False
    other.name = 'd'
    other.save()
    assert list(books.stored['Addressbook']['Contacts']) == [other.id]


# ---- values --------------------------------------------------------------------------------------------------------


def test_illegal_values_are_refused(manager):
    contact = Contact()
    with pytest.raises(ValueError, match='not a policy'):
        contact.presence.policy = 'sometimes'
    with pytest.raises(ValueError):
        contact.presence.subscribe = 'perhaps'
    with pytest.raises(ValueError):
        contact.name = None
    with pytest.raises(AttributeError):
        contact.presence = 'x'
    with pytest.raises(TypeError):
        ContactURI(colour='red')
    for wrong in ('\x00', 'a\x0bb', '\ud800', '\ufffe'):
        with pytest.raises(ValueError, match='cannot be stored'):
            contact.name = wrong
    contact.name = 'tab\t \U0001f600\n'
    with pytest.raises(NotImplementedError):
        contact.clone()


def test_changes_of_groups_of_settings_are_named_by_their_path(manager, posted):
    contact = saved(Contact, name='test')
    posted.take()
    contact.name = 'test2'
    contact.dialog.policy = 'block'
    contact.save()
    changed = posted.one('AddressbookContactDidChange')
    assert changed.data.modified == {'dialog.policy': ModifiedValue('default', 'block'), 'name': ModifiedValue('test', 'test2')}


# ---- addresses -----------------------------------------------------------------------------------------------------


def test_addresses_are_a_set_by_id(manager):
    contact = Contact()
    first, second = ContactURI('b', uri='1'), ContactURI('a', uri='2')
    contact.uris.add(first)
    contact.uris.add(second)
    contact.uris.add(second)
    assert list(contact.uris) == [second, first] and list(reversed(contact.uris)) == [first, second]
    assert contact.uris.ids() == ['a', 'b'] and 'a' in contact.uris and 'c' not in contact.uris and len(contact.uris) == 2
    assert contact.uris['a'] is second and contact.uris.get('c') is None
    contact.uris.remove(first)
    contact.uris.remove(first)
    assert contact.uris.ids() == ['a']
    with pytest.raises(TypeError):
        contact.uris.add('sip:x@example.com')
    with pytest.raises(ValueError, match='name of a setting'):
        contact.uris.add(ContactURI('default'))


def test_what_changes_of_addresses(manager, posted):
    contact = Contact()
    kept, gone = ContactURI('kept', uri='1'), ContactURI('gone', uri='2')
    contact.uris = [kept, gone]
    contact.save()
    posted.take()
    new = ContactURI('new', uri='3', type='Home')
    contact.uris.add(new)
    contact.uris.remove(gone)
    kept.type = 'Work'
    contact.uris.default = new
    contact.save()
    modified = posted.one('AddressbookContactDidChange').data.modified
    assert modified == {'uris': ModifiedList([new], [gone], {'kept': {'type': ModifiedValue(None, 'Work')}}), 'uris.default': ModifiedValue(None, new)}
    contact.uris.remove(new)
    assert contact.uris.default is None
    contact.save()
    modified = posted.one('AddressbookContactDidChange').data.modified
    assert modified == {'uris': ModifiedList([], [new], {}), 'uris.default': ModifiedValue(new, None)}


def test_the_default_is_one_of_the_addresses(manager):
    contact = Contact()
    uri = ContactURI('u', uri='1')
    with pytest.raises(ValueError, match='not an address of the contact'):
        contact.uris.default = uri
    with pytest.raises(TypeError):
        contact.uris.default = 'u'
    contact.uris.add(uri)
    contact.uris.default = uri
    twin = ContactURI('u', uri='2')
    with pytest.raises(ValueError, match='not an address of the contact'):
        contact.uris.default = twin
    contact.uris.add(twin)                              # takes its place
    assert contact.uris.default is twin
    contact.uris = [ContactURI('v')]
    assert contact.uris.default is None


# ---- groups --------------------------------------------------------------------------------------------------------


def test_the_contacts_of_a_group(manager, posted):
    b, a, c = (saved(Contact, name=name) for name in 'bac')
    group = saved(Group, name='g')
    posted.take()
    group.contacts = [b, a]
    ids = sorted([a.id, b.id])
    assert group.contacts.ids() == ids and [contact.id for contact in group.contacts] == ids
    assert [contact.id for contact in reversed(group.contacts)] == ids[::-1]
    assert a in group.contacts and a.id in group.contacts and c not in group.contacts and len(group.contacts) == 2
    assert group.contacts[a.id] is a and group.contacts.get(c.id) is None
    group.save()
    modified = posted.one('AddressbookGroupDidChange').data.modified
    assert modified == {'contacts': ModifiedList(sorted([a, b], key=lambda contact: contact.id), [], None)}
    group.contacts.add(c)
    group.contacts.add(c)
    group.contacts.remove(a)
    group.contacts.remove(a)
    group.save()
    assert posted.one('AddressbookGroupDidChange').data.modified == {'contacts': ModifiedList([c], [a], None)}
    group.contacts.remove(c)
    group.contacts.add(c)
    group.save()
    assert posted.names() == []
    for wrong in ('x', ContactURI(), group):
        with pytest.raises(TypeError):
            group.contacts.add(wrong)
    with pytest.raises(TypeError):
        group.contacts = [a, 'x']
    assert sorted(group.contacts.ids()) == sorted([b.id, c.id])


def test_a_deleted_contact_leaves_its_groups(books, posted):
    contact, other = saved(Contact), saved(Contact)
    groups = [saved(Group, contacts=[contact, other]), saved(Group, contacts=[contact]), saved(Group, contacts=[other])]
    unsaved = Group()
    unsaved.contacts.add(contact)
    posted.take()
    contact.delete()
    seen = posted.take()
    assert [notification.name for notification in seen] == [
        'AddressbookContactWasDeleted', 'AddressbookManagerDidRemoveContact', 'AddressbookGroupDidChange', 'AddressbookGroupDidChange']
    assert [notification.sender for notification in seen[2:]] == groups[:2]
    assert all(notification.data.modified == {'contacts': ModifiedList([], [contact], None)} for notification in seen[2:])
    assert [group.contacts.ids() for group in groups] == [[other.id], [], [other.id]]
    groups[1].contacts.add(contact)
    assert len(groups[1].contacts) == 0
    unsaved.save()
    assert len(unsaved.contacts) == 0
    stored = books.stored['Addressbook']['Groups']
    assert [stored[group.id]['contacts'] for group in [*groups, unsaved]] == [[other.id], [], [other.id], []]


def test_a_contact_that_is_not_saved_is_a_member_from_when_it_is(books, posted):
    contact = Contact()
    group = Group()
    group.contacts.add(contact)
    group.save()
    assert contact in group.contacts and books.stored['Addressbook']['Groups'][group.id]['contacts'] == []
    posted.take()
    contact.save()
    seen = posted.take()
    assert [notification.name for notification in seen][-1] == 'AddressbookGroupDidChange'
    assert seen[-1].data.modified == {'contacts': ModifiedList([contact], [], None)}
    assert books.stored['Addressbook']['Groups'][group.id]['contacts'] == [contact.id]
    group.save()
    assert posted.names() == []


def test_what_is_not_saved_of_a_group_stays_so_when_the_contact_is(books, posted):
    group, contact, other = saved(Group), Contact(), Contact()
    group.contacts.add(contact)                         # of which nobody has said save()
    contact.save()
    assert books.stored['Addressbook']['Groups'][group.id]['contacts'] == []
    group.contacts.add(other)
    group.save()
    assert books.stored['Addressbook']['Groups'][group.id]['contacts'] == [contact.id]
    group.contacts.remove(other)
    group.save()
    other.save()                                        # it was a member, and is not any more
    assert books.stored['Addressbook']['Groups'][group.id]['contacts'] == [contact.id]
    never = Contact()
    group.contacts.add(never)
    group.save()
    never.delete()
    assert group.contacts.ids() == [contact.id]
    third, gone = Contact(), saved(Group)
    gone.contacts.add(third)
    gone.save()
    gone.delete()
    third.save()
    assert list(books.stored['Addressbook']['Groups']) == [group.id]


# ---- transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_is_written_once_and_whole(books, posted):
    class Recording(MemoryBackend):
        def __init__(self):
            super().__init__()
            self.sizes = []

        def save(self, data):
            self.sizes.append(len(data.get('Addressbook', {}).get('Contacts', {})))
            super().save(data)

    backend = Recording()
    manager = books.load(backend=backend)
    with manager.transaction():
        for _ in range(10):
            saved(Contact)
        with manager.transaction():
            saved(Group)
        assert posted.names() == [] and backend.sizes == []
        assert len(manager.get_contacts()) == 10
    assert posted.names().count('AddressbookContactWasCreated') == 10
    assert backend.sizes == [10]


def test_what_was_saved_before_an_exception_is_saved(books):
    with pytest.raises(ZeroDivisionError), books.manager.transaction():
        saved(Contact, name='kept')
        1 / 0
    assert [state['name'] for state in books.stored['Addressbook']['Contacts'].values()] == ['kept']
    contact = saved(Contact)
    assert contact.id in books.stored['Addressbook']['Contacts']


def test_a_transaction_is_of_its_thread(books, posted):
    done = threading.Event()

    def other():
        saved(Contact, name='other')
        done.set()

    with books.manager.transaction():
        saved(Contact, name='mine')
        thread = threading.Thread(target=other)
        thread.start()
        assert done.wait(30)
        thread.join()
        assert posted.names() == ['AddressbookContactWasActivated', 'AddressbookManagerDidAddContact', 'AddressbookContactWasCreated']
    assert len(posted.names()) == 3


def test_saves_from_many_threads(books):
    contacts = [saved(Contact) for _ in range(20)]

    def work(number):
        for turn in range(50):
            for contact in contacts[number::4]:
                contact.name = f'{number} {turn}'
                contact.save()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = books.stored['Addressbook']['Contacts']
    assert [stored[contact.id]['name'] for contact in contacts] == [f'{number % 4} 49' for number in range(20)]
