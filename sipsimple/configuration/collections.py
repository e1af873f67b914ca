"""ItemCollection: a group of settings plus a dynamic set of items keyed by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sipsimple.configuration.changes import ItemContainer, ModifiedList, ModifiedValue
from sipsimple.configuration.descriptors import AbstractSetting, SettingsObjectID
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
    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        item_type = namespace.get('_item_type')
        if item_type is not None:
            if not (isinstance(item_type, type) and issubclass(item_type, SettingsState)):
                raise TypeError(f'{name}._item_type must be a SettingsState class')
            if not isinstance(vars(item_type).get('id', getattr(item_type, 'id', None)), (SettingsObjectID, AbstractSetting)):
                raise ValueError(f'{name}._item_type needs an id descriptor')
        super().__init__(name, bases, namespace)


class ItemCollection(SettingsGroup, metaclass=ItemCollectionMeta):
    """Subclasses set `_item_type` and, if wanted, `_item_management`. Sorted by id; unhashable."""

    _item_type: ClassVar[type[Any] | None] = None
    _item_management: ClassVar[ItemManagement] = ItemManagement()

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}
        self._committed: dict[str, Any] = {}

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, id: str) -> Any:
        return self._items[id]

    def __contains__(self, id: object) -> bool:
        return id in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter([self._items[id] for id in self.ids()])

    def __reversed__(self) -> Iterator[Any]:
        return iter([self._items[id] for id in reversed(self.ids())])

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemCollection) and self._items == other._items

    def ids(self) -> list[str]:
        """The ids, sorted."""
        return sorted(self._items)

    def get(self, id: str, default: Any = None) -> Any:
        return self._items.get(id, default)

    def _check(self, item: Any) -> None:
        if self._item_type is None or not isinstance(item, self._item_type):
            raise TypeError(f'not an item of {type(self).__name__}: {item!r}')
        if item.id in self._settings or item.id in self._group_classes:
            raise ValueError(f'the id is the name of a setting: {item.id}')

    def add(self, item: Any) -> None:
        """Add an item, replacing one of the same id. TypeError, ValueError."""
        self._check(item)
        self._items[str(item.id)] = item
        self._item_management.add_item(item, self)

    def remove(self, item: Any) -> None:
        """Remove an item; an absent one is fine."""
        if self._items.pop(str(item.id), None) is not None:
            self._item_management.remove_item(item, self)

    def _assign(self, items: Iterable[Any]) -> None:
        new = list(items)
        for item in new:
            self._check(item)
        self._item_management.set_items(new, self)
        self._items = {str(item.id): item for item in new}

    def get_modified(self) -> dict[str, ModifiedValue | ModifiedList]:
        modified = super().get_modified()
        added = [item for id, item in self._items.items() if self._committed.get(id) is not item]
        removed = [item for id, item in self._committed.items() if self._items.get(id) is not item]
        changes: dict[str, Any] = {}
        for id, item in self._items.items():
            change = item.get_modified()
            if change and item not in added:
                changes[id] = change
        if added or removed or changes:
            modified[''] = ModifiedList(added, removed, changes)
        self._committed = dict(self._items)
        return modified

    def __getstate__(self) -> dict[str, Any]:
        state = ItemContainer(super().__getstate__())
        for id, item in self._items.items():
            state[id] = item.__getstate__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self._settings.keys() | self._group_classes.keys()
        super().__setstate__({name: value for name, value in state.items() if name in own})
        for name, value in state.items():
            if name not in own and isinstance(value, dict) and self._item_type is not None:
                item = self._item_type(name)
                item.__setstate__(value)
                self._items[name] = item
        self._committed = dict(self._items)
