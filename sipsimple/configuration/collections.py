"""ItemCollection: a group of settings plus a dynamic set of items keyed by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sipsimple.configuration.changes import ItemContainer, ModifiedList, ModifiedValue, PersistentKey
from sipsimple.configuration.descriptors import SettingsObjectID
from sipsimple.configuration.errors import DuplicateIDError
from sipsimple.configuration.objects import SettingsGroup, SettingsState, SettingsStateMeta

__all__ = ['ItemCollection', 'ItemManagement']


class ItemManagement:
    """Hooks of a collection."""

    def add_item(self, item: Any, collection: ItemCollection) -> None:
        """An item came."""

    def remove_item(self, item: Any, collection: ItemCollection) -> None:
        """An item went."""

    def set_items(self, items: list[Any], collection: ItemCollection) -> None:
        """The content was replaced."""


class ItemCollectionMeta(SettingsStateMeta):
    """Checks the class of the items and the hooks."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        item_type = namespace.get('_item_type')
        if item_type is not None:
            if not (isinstance(item_type, type) and issubclass(item_type, SettingsState)):
                raise TypeError(f'{name}._item_type must be a SettingsState class')
            if not isinstance(getattr(item_type, 'id', None), SettingsObjectID):
                raise ValueError(f'{name}._item_type needs an id descriptor')
        if '_item_management' in namespace and not isinstance(namespace['_item_management'], ItemManagement):
            raise TypeError(f'{name}._item_management must be an ItemManagement')
        super().__init__(name, bases, namespace)


class ItemCollection(SettingsGroup, metaclass=ItemCollectionMeta):
    """Subclasses set `_item_type` and, if wanted, `_item_management`. Sorted by id; unhashable.

    An item is made by `_item_type(id)`; it may change its id when its descriptor allows it, and is found under the new
    one at once. The order of the items is that of their ids.
    """

    _item_type: ClassVar[type[Any] | None] = None
    _item_management: ClassVar[ItemManagement] = ItemManagement()
    _items: dict[str, Any]
    _committed: dict[str, Any]

    def __new__(cls) -> Any:
        self = super().__new__(cls)
        self._items = {}
        self._committed = {}
        return self

    __hash__ = None  # type: ignore[assignment]

    def _current(self) -> dict[str, Any]:
        """The items by their ids of now. DuplicateIDError when two items were given the same one."""
        if any(str(item.id) != id for id, item in self._items.items()):
            items = {str(item.id): item for item in self._items.values()}
            if len(items) < len(self._items):
                raise DuplicateIDError(f'two items of {type(self).__name__} have the same id')
            self._items = items
        return self._items

    def __getitem__(self, id: str) -> Any:
        return self._current()[id]

    def __contains__(self, id: object) -> bool:
        return id in self._current()

    def __iter__(self) -> Iterator[Any]:
        items = self._current()
        return iter([items[id] for id in sorted(items)])

    def __reversed__(self) -> Iterator[Any]:
        items = self._current()
        return iter([items[id] for id in sorted(items, reverse=True)])

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemCollection) and self._current() == other._current()

    def ids(self) -> list[str]:
        """The ids, sorted."""
        return sorted(self._current())

    def get(self, id: str, default: Any = None) -> Any:
        """The item with that id, or the default."""
        return self._current().get(id, default)

    def _check(self, item: Any) -> None:
        if self._item_type is None or not isinstance(item, self._item_type):
            raise TypeError(f'not an item of {type(self).__name__}: {item!r}')
        if item.id in self._settings or item.id in self._group_classes:
            raise ValueError(f'the id is the name of a setting: {item.id}')

    def add(self, item: Any) -> None:
        """Add an item, replacing one of the same id. TypeError: wrong class; ValueError: the id is a setting's name."""
        self._check(item)
        self._current()[str(item.id)] = item
        self._item_management.add_item(item, self)

    def remove(self, item: Any) -> None:
        """Remove an item; an absent one is fine."""
        name = str(item.id)
        if self._current().get(name) is item:
            del self._items[name]
            self._item_management.remove_item(item, self)

    def _assign(self, items: Iterable[Any]) -> None:
        """Replace the content. DuplicateIDError when two items have one id."""
        new: dict[str, Any] = {}
        for item in items:
            self._check(item)
            if new.setdefault(str(item.id), item) is not item:
                raise DuplicateIDError(f'two items of {type(self).__name__} have the id {item.id}')
        self._items = new
        self._item_management.set_items(list(new.values()), self)

    def get_modified(self) -> dict[str, ModifiedValue | ModifiedList]:
        """What changed; that of the items is under the empty path, which the owner replaces by the collection's name."""
        modified = super().get_modified()
        items: dict[str, Any] = self._current()
        before = {id(item) for item in self._committed.values()}
        now = {id(item) for item in items.values()}
        added = [item for item in self if id(item) not in before]
        removed = [item for item in self._committed.values() if id(item) not in now]
        changes: dict[str, Any] = {}
        for name, item in items.items():
            change = item.get_modified()
            kind: Any = type(item)
            renamed = kind.id.get_modified(item)
            if renamed is not None:
                change['__id__'] = renamed
            if change and id(item) in before:
                changes[name] = change
        if added or removed or changes:
            modified[''] = ModifiedList(added, removed, changes)
        self._committed = dict(items)
        return modified

    def __getstate__(self) -> dict[str, Any]:
        state = ItemContainer(super().__getstate__())
        for name, item in self._current().items():
            state[PersistentKey(name)] = item.__getstate__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self._settings.keys() | self._group_classes.keys()
        super().__setstate__({name: value for name, value in state.items() if name in own})
        for name, value in state.items():
            if name not in own and self._item_type is not None:
                self._try_load(name, self._load_item, name, value)
        self._committed = dict(self._items)

    def _load_item(self, name: str, value: Any) -> None:
        assert self._item_type is not None
        if not isinstance(value, dict):
            raise ValueError(f'an item is expected, not {value!r}')
        item = self._item_type(name)
        item.__setstate__(value)
        self._items[str(item.id)] = item

    def update(self, other: Any) -> None:
        """Take over the settings of another collection, and copies of its items."""
        super().update(other)
        items = []
        for item in other:
            copy = type(item)(str(item.id))
            copy.update(item)
            items.append(copy)
        self._assign(items)
