"""ConfigurationManager: life, paths, merge rules."""

import pytest
from hypothesis import given, strategies as st

from sipsimple.configuration import ConfigurationManager, DefaultValue, ItemContainer, ObjectNotFoundError, PersistentKey
from sipsimple.configuration.backend import ConfigurationBackendError
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.manager import set_storage_provider
from sipsimple.configuration.tree import Tree, merge
from sipsimple.storage import MemoryStorage


def test_the_manager_is_one():
    assert ConfigurationManager() is ConfigurationManager()


def test_nothing_works_before_start(start):
    manager = start()
    manager.reset()
    assert manager.backend is None and manager.data is None
    for call in (lambda: manager.get(['a']), lambda: manager.get_names(['a']), lambda: manager.update(['a'], {}),
                 lambda: manager.rename(['a'], ['b']), lambda: manager.delete(['a']), manager.save):
        with pytest.raises(RuntimeError):
            call()


def test_start_takes_the_backend_of_the_storage(start, monkeypatch):
    manager = start()
    with pytest.raises(RuntimeError):
        manager.start(MemoryBackend())
    manager.reset()
    monkeypatch.setattr('sipsimple.configuration.manager._storage_provider', None)
    with pytest.raises(RuntimeError):
        manager.start()
    storage = MemoryStorage()
    set_storage_provider(lambda: storage)
    manager.start()
    assert manager.backend is storage.configuration_backend


def test_start_that_fails_can_be_repeated(start):
    manager = start()
    manager.reset()
    with pytest.raises(TypeError):
        manager.start(object())

    class Broken(MemoryBackend):
        def load(self):
            raise ConfigurationBackendError('no')
    with pytest.raises(ConfigurationBackendError):
        manager.start(Broken())
    assert manager.data is None
    bad = MemoryBackend()
    bad.data = ['no dict']
    with pytest.raises(TypeError):
        manager.start(bad)
    manager.start(MemoryBackend())


def test_an_empty_path_is_refused(start):
    manager = start()
    for call in (lambda: manager.get([]), lambda: manager.get_names([]), lambda: manager.update([], {}), lambda: manager.delete([]),
                 lambda: manager.rename([], ['a']), lambda: manager.rename(['a'], [])):
        with pytest.raises(KeyError):
            call()


def test_get_and_names(start):
    manager = start({'a': {'b': {'c': '1'}, 'l': ['x']}})
    assert manager.get(['a', 'b']) == {'c': '1'}
    assert manager.get(['a', 'b', 'c']) == '1'
    assert manager.get_names(['a']) == ['b', 'l']
    assert manager.get_names(['a', 'none']) == manager.get_names(['a', 'l']) == []
    for path in (['x'], ['a', 'b', 'c', 'd']):
        with pytest.raises(ObjectNotFoundError):
            manager.get(path)
    manager.get(['a', 'l']).append('y')
    assert manager.get(['a', 'l']) == ['x']


def test_what_get_returns_cannot_change_the_tree(start):
    manager = start({'a': {'b': '1'}})
    for change in (lambda tree: tree.update(b='2'), lambda tree: tree.pop('b'), lambda tree: tree.clear(),
                   lambda tree: tree.setdefault('c', '1'), lambda tree: tree.__setitem__('b', '2'), lambda tree: tree.__delitem__('b')):
        with pytest.raises(TypeError):
            change(manager.get(['a']))
    own = manager.get(['a']).copy()
    own['b'] = '2'
    assert manager.get(['a']) == {'b': '1'}


@pytest.mark.parametrize('old, state, new', [
    ({'x': '1'}, {'y': '2'}, {'x': '1', 'y': '2'}),
    ({'x': '1'}, {'x': DefaultValue}, None),
    ({'x': '1', 'k': '0'}, {'x': None}, {'x': None, 'k': '0'}),
    ({'g': {'x': '1', 'k': '0'}}, {'g': {'x': DefaultValue}}, {'g': {'k': '0'}}),
    ({'g': {'x': '1'}, 'k': '0'}, {'g': {'x': DefaultValue}}, {'k': '0'}),
    ({'g': 'scalar'}, {'g': {'x': '1'}}, {'g': {'x': '1'}}),
    ({'g': {'x': '1'}}, {'g': 'scalar'}, {'g': 'scalar'}),
    ({'g': {'a': {'x': '1'}, 'b': {'x': '2'}}}, {'g': ItemContainer(a={'x': '3'})}, {'g': {'a': {'x': '3'}}}),
    ({'g': {'a': {'x': '1', 'k': '0'}}}, {'g': ItemContainer(a={'x': '3'})}, {'g': {'a': {'x': '3', 'k': '0'}}}),
    ({'g': {'a': '1'}, 'k': '0'}, {'g': ItemContainer()}, {'k': '0'}),
    ({}, {'g': {PersistentKey('a'): {}}}, {'g': {'a': {}}}),
    ({}, {'l': ('a', 'b')}, {'l': ['a', 'b']}),
])
def test_merge_rules(start, old, state, new):
    manager = start({'o': old} if old else {})
    manager.update(['o'], state)
    assert manager.data == ({} if new is None else {'o': new})


def test_a_persistent_key_keeps_its_node(start):
    manager = start()
    manager.update(['Accounts', PersistentKey('a')], {'x': DefaultValue})
    assert manager.data == {'Accounts': {'a': {}}}
    manager.update(['Accounts', 'a'], {})
    assert manager.data == {}


@pytest.mark.parametrize('value', [1, True, object(), [1], b'x'])
def test_what_no_backend_can_hold_is_refused_at_once(start, value):
    manager = start({'a': {'x': '1'}})
    with pytest.raises(TypeError):
        manager.update(['a'], {'x': value})
    assert manager.data == {'a': {'x': '1'}}


def test_rename_and_delete(start):
    manager = start({'g': {'a': {'x': '1'}, 'n': None}, 'h': {'b': {'y': '2'}}})
    manager.rename(['g', 'a'], ['g', 'c'])
    assert manager.data['g'] == {'c': {'x': '1'}, 'n': None}
    manager.rename(['h', 'b'], ['i', 'j', 'b'])
    manager.rename(['g', 'n'], ['g', 'm'])
    assert manager.data == {'g': {'c': {'x': '1'}, 'm': None}, 'i': {'j': {'b': {'y': '2'}}}}
    with pytest.raises(ObjectNotFoundError):
        manager.rename(['h', 'b'], ['g', 'z'])
    manager.delete(['i', 'j', 'b'])
    manager.delete(['no', 'such'])
    assert manager.data == {'g': {'c': {'x': '1'}, 'm': None}}


def test_save_hands_over_a_snapshot(start):
    manager = start()
    manager.update(['a'], {'x': '1'})
    manager.save()
    saved = manager.backend.data
    manager.update(['a'], {'x': '2'})
    assert saved == {'a': {'x': '1'}}


NAMES = st.sampled_from('abc')
STATE = st.recursive(st.dictionaries(NAMES, st.text(max_size=2)), lambda child: st.dictionaries(NAMES, st.text(max_size=2) | child, max_size=3))


def no_empty_groups(tree):
    return all(not isinstance(value, dict) or value and no_empty_groups(value) for value in tree.values())


@given(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), STATE), max_size=6))
def test_merging_leaves_no_empty_groups_and_old_trees_alone(updates):
    tree = Tree()
    for path, state in updates:
        before = repr(tree)
        new = merge(tree, path, state)
        assert repr(tree) == before
        assert no_empty_groups(new)
        tree = new
