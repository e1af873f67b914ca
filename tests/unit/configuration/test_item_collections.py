"""ItemCollection: content, ids, changes, storing and loading."""

import pytest

from sipsimple.configuration import (
    DuplicateIDError,
    ItemCollection,
    ItemManagement,
    ModifiedList,
    ModifiedValue,
    Setting,
    SettingsGroup,
    SettingsObject,
    SettingsObjectID,
    SettingsObjectImmutableID,
    SettingsState,
)


class Server(SettingsState):
    id = SettingsObjectImmutableID(type=str)
    port = Setting(type=int, default=1)

    def __init__(self, id):
        if id == 'refused':
            raise ValueError('refused')
        self.id = id


class Label(SettingsState):
    id = SettingsObjectID(type=str)
    text = Setting(type=str, default='')

    def __init__(self, id):
        self.id = id


class Management(ItemManagement):
    log = []

    def add_item(self, item, collection):
        self.log.append(('add', item.id))

    def remove_item(self, item, collection):
        self.log.append(('remove', item.id))

    def set_items(self, items, collection):
        self.log.append(('set', [item.id for item in items]))


class Servers(ItemCollection):
    _item_type = Server
    _item_management = Management()
    limit = Setting(type=int, default=3)


class Labels(ItemCollection):
    _item_type = Label


class Owner(SettingsObject):
    __id__ = SettingsObjectID(type=str)
    servers = Servers
    labels = Labels


@pytest.fixture
def owner(start):
    start()
    Management.log.clear()
    return Owner('o')


def test_wrong_classes_are_refused():
    for item_type, error in ((object, TypeError), (5, TypeError), (SettingsGroup, ValueError)):
        with pytest.raises(error):
            type(ItemCollection)('Wrong', (ItemCollection,), {'_item_type': item_type})
    with pytest.raises(TypeError):
        type(ItemCollection)('Wrong', (ItemCollection,), {'_item_management': object()})


def test_content(owner):
    servers = owner.servers
    b, a = Server('b'), Server('a')
    servers.add(b)
    servers.add(a)
    assert [item.id for item in servers] == servers.ids() == ['a', 'b'] and [item.id for item in reversed(servers)] == ['b', 'a']
    assert servers['a'] is a and 'b' in servers and 'c' not in servers and len(servers) == 2
    assert servers.get('c') is None and servers.get('c', 5) == 5
    with pytest.raises(KeyError):
        servers['c']
    with pytest.raises(TypeError):
        servers.add(Label('x'))
    with pytest.raises(ValueError):
        servers.add(Server('limit'))
    with pytest.raises(TypeError):
        hash(servers)
    servers.remove(a)
    servers.remove(a)
    servers.remove(Server('b'))
    assert servers.ids() == ['b']
    owner.servers = [a, Server('c')]
    assert owner.servers is servers and servers.ids() == ['a', 'c']
    with pytest.raises(DuplicateIDError):
        owner.servers = [Server('x'), Server('x')]
    assert servers.ids() == ['a', 'c']
    assert Management.log == [('add', 'b'), ('add', 'a'), ('remove', 'a'), ('set', ['a', 'c'])]
    with pytest.raises(AttributeError):
        a.id = 'z'


def test_changes(owner):
    a, b = Server('a'), Server('b')
    owner.servers.add(a)
    owner.servers.limit = 9
    assert owner.get_modified() == {'servers.limit': ModifiedValue(3, 9), 'servers': ModifiedList([a], [], {})}
    a.port = 2
    owner.servers.add(b)
    assert owner.get_modified() == {'servers': ModifiedList([b], [], {'a': {'port': ModifiedValue(1, 2)}})}
    owner.servers.remove(b)
    assert owner.get_modified() == {'servers': ModifiedList([], [b], {})}
    assert owner.get_modified() == {}


def test_an_item_changes_its_id(owner):
    label = Label('old')
    owner.labels.add(label)
    owner.get_modified()
    label.id = 'new'
    assert owner.labels['new'] is label and 'old' not in owner.labels
    assert owner.get_modified() == {'labels': ModifiedList([], [], {'new': {'__id__': ModifiedValue('old', 'new')}})}
    other = Label('other')
    owner.labels.add(other)
    other.id = 'new'
    with pytest.raises(DuplicateIDError):
        owner.labels.ids()


def test_stored_and_loaded(start, posted):
    manager = start()
    owner = Owner('o')
    owner.servers.add(Server('plain'))
    owner.servers.add(Server('other'))
    owner.servers['other'].port = 5
    owner.labels.add(Label('l'))
    owner.save()
    posted.take()
    assert manager.data == {'o': {'servers': {'plain': {}, 'other': {'port': '5'}}, 'labels': {'l': {}}}}
    owner.servers.remove(owner.servers['plain'])
    owner.labels['l'].id = 'm'
    owner.save()
    assert set(posted.take()[0].data.modified) == {'servers', 'labels'}
    assert manager.data == {'o': {'servers': {'other': {'port': '5'}}, 'labels': {'m': {}}}}
    start({'o': {'servers': {'other': {'port': '5'}, 'limit': '7'}}})
    again = Owner('o')
    assert again.servers.ids() == ['other'] and again.servers['other'].port == 5 and again.servers.limit == 7
    assert again.get_modified() == {}
    copy = again.clone('p')
    assert copy.servers['other'].port == 5 and copy.servers['other'] is not again.servers['other']


def test_bad_items_are_told_and_the_rest_is_loaded(start, posted):
    start({'o': {'servers': {'a': {'port': 'x'}, 'refused': {}, 'scalar': 'x', 'good': {'port': '2'}}}})
    owner = Owner('o')
    assert [entry.data.attribute for entry in posted.take() if entry.name == 'CFGManagerLoadFailed'] == ['port', 'refused', 'scalar']
    assert owner.servers.ids() == ['a', 'good'] and owner.servers['good'].port == 2
