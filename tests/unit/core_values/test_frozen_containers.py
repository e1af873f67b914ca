import copy
import pickle

import pytest

from sipsimple.core.containers import frozendict, frozenlist


def test_list_reads_like_a_list():
    items = frozenlist([1, 2, 3])
    assert items == [1, 2, 3] and [1, 2, 3] == items and items != [1, 2] and not items != [1, 2, 3]
    assert items[0] == 1 and items[-1] == 3 and items[1:] == frozenlist([2, 3]) and isinstance(items[1:], frozenlist)
    assert items + [4] == [0, 1, 2, 3, 4][1:] and [0] + items == [0, 1, 2, 3] and items * 2 == [1, 2, 3] * 2
    assert isinstance([0] + items, frozenlist)
    assert items.index(2) == 1 and items.count(3) == 1 and 2 in items and len(items) == 3 and list(reversed(items)) == [3, 2, 1]
    assert items < [1, 2, 4] and [1, 2, 4] > items and items <= [1, 2, 3] and items >= [1]
    assert repr(items) == 'frozenlist([1, 2, 3])'


def test_list_cannot_change():
    items = frozenlist([1])
    for name in ('append', 'extend', 'insert', 'pop', 'remove', 'clear', 'sort', 'reverse'):
        assert not hasattr(items, name)
    with pytest.raises(TypeError):
        items[0] = 2
    with pytest.raises(TypeError):
        del items[0]


def test_dict_reads_like_a_dict():
    items = frozendict({'a': '1'}, b=None)
    assert items == {'a': '1', 'b': None} and {'a': '1', 'b': None} == items and items['a'] == '1' and 'b' in items
    assert items.get('c', 5) == 5 and list(items) == ['a', 'b'] and dict(items) == items and {**items} == items
    assert items | {'c': '3'} == {'a': '1', 'b': None, 'c': '3'} and {'c': '3'} | items == {'c': '3', 'a': '1', 'b': None}
    assert frozendict.fromkeys('xy') == {'x': None, 'y': None}


@pytest.mark.parametrize('change', [
    lambda d: d.__setitem__('a', 1), lambda d: d.__delitem__('a'), lambda d: d.clear(), lambda d: d.pop('a'),
    lambda d: d.popitem(), lambda d: d.setdefault('z', 1), lambda d: d.update(z=1)])
def test_dict_cannot_change(change):
    items = frozendict(a='1')
    with pytest.raises(TypeError):
        change(items)
    assert items == {'a': '1'}
    same = items
    items |= {'b': '2'}
    assert same == {'a': '1'}


@pytest.mark.parametrize('value', [frozenlist([1, 'a']), frozendict(a='1', b=None), frozenlist(), frozendict()])
def test_hash_pickle_copy(value):
    for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value), value.copy()):
        assert other == value and type(other) is type(value) and hash(other) == hash(value)


def test_hash_does_not_depend_on_order():
    assert hash(frozendict(a=1, b=2)) == hash(frozendict(b=2, a=1))
