"""The tree of plain data, as a value: a change makes a new tree that shares what did not change.

So a snapshot for saving is free, readers need no lock, and a backend may keep the text of a part for as long as it is
the same object. `Tree` is a dict that refuses to be changed, which makes sure of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sipsimple.configuration.changes import DefaultValue, ItemContainer, PersistentKey
from sipsimple.configuration.errors import ObjectNotFoundError

__all__ = ['Tree', 'delete', 'find', 'freeze', 'merge', 'rename']


_nothing: Any = object()


class Tree(dict[str, Any]):
    """A dict that cannot be changed; ConfigurationManager.update() and its kin make new ones."""

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError('the stored tree is changed by the methods of the ConfigurationManager only')

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[str, Any]:
        """A dict of one's own, at this level."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tree, (dict(self),)


def check_leaf(value: Any, name: str) -> None:
    """TypeError unless a backend can store the value."""
    if value is None or isinstance(value, str):
        return
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return
    raise TypeError(f'{name}: only None, texts and lists of texts can be stored, not {value!r}')


def freeze(data: Any) -> Any:
    """A loaded tree as Trees. TypeError when it is no tree of names."""
    if isinstance(data, Tree) or not isinstance(data, dict):
        return data
    for name in data:
        if not isinstance(name, str):
            raise TypeError(f'a name must be a text: {name!r}')
    return Tree({name: freeze(value) if isinstance(value, dict) else value for name, value in data.items()})


def find(tree: Tree, key: Sequence[str]) -> Any:
    """What is under a path. ObjectNotFoundError."""
    node: Any = tree
    for name in key:
        if not isinstance(node, dict) or name not in node:
            raise ObjectNotFoundError('nothing stored under ' + '/'.join(key))
        node = node[name]
    return node


def _put(tree: Any, key: Sequence[str], value: Any) -> Tree:
    """The tree with another value (_nothing: none) under a path; groups that end empty go, but for PersistentKeys."""
    name = key[0]
    node = dict(tree) if isinstance(tree, dict) else {}
    if len(key) > 1:
        value = _put(node.get(name), key[1:], value)
    if value is _nothing or isinstance(value, dict) and not value and not isinstance(name, PersistentKey):
        node.pop(name, None)
    else:
        node[str(name)] = value
    return Tree(node)


def merge(tree: Tree, key: Sequence[str], data: dict[str, Any]) -> Tree:
    """The tree with a state dictionary merged in at a path. TypeError: a value that cannot be stored."""
    try:
        old = find(tree, key)
    except ObjectNotFoundError:
        old = None
    return _put(tree, key, _merged(old, data))


def _merged(old: Any, data: dict[str, Any]) -> Tree:
    names = {str(name) for name in data}
    node: dict[str, Any] = {}
    if isinstance(old, dict):
        node.update((name, value) for name, value in old.items() if name in names or not isinstance(data, ItemContainer))
    for key, value in data.items():
        name = str(key)
        if value is DefaultValue:
            node.pop(name, None)
        elif isinstance(value, dict):
            child = _merged(node.get(name), value)
            if child or isinstance(key, PersistentKey):
                node[name] = child
            else:
                node.pop(name, None)
        else:
            check_leaf(value, name)
            node[name] = list(value) if isinstance(value, (list, tuple)) else None if value is None else str(value)
    return Tree(node)


def delete(tree: Tree, key: Sequence[str]) -> Tree:
    """The tree without what is under a path, and without parents that became empty; a missing path is fine."""
    try:
        find(tree, key)
    except ObjectNotFoundError:
        return tree
    return _put(tree, [str(name) for name in key], _nothing)


def rename(tree: Tree, old_key: Sequence[str], new_key: Sequence[str]) -> Tree:
    """The tree with a part moved; what was under the new path is replaced. ObjectNotFoundError."""
    part = find(tree, old_key)
    return _put(delete(tree, old_key), [*new_key[:-1], PersistentKey(new_key[-1])], part)
