"""What tells of changes, and the markers of the state dictionaries."""

from __future__ import annotations

from typing import Any

__all__ = ['DefaultValue', 'ItemContainer', 'ModifiedList', 'ModifiedValue', 'PersistentKey']


class DefaultValue:
    """Marker (the class itself): back to the implicit default."""


class PersistentKey(str):
    """Path element whose node exists even when nothing is stored below it."""


class ItemContainer(dict[str, Any]):
    """State of a dynamic collection: an update also deletes the keys it does not have."""


class ModifiedValue:
    """A change of a setting: `old` and `new` value."""

    __slots__ = ('old', 'new')

    def __init__(self, old: Any, new: Any) -> None:
        self.old = old
        self.new = new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModifiedValue) and (self.old, self.new) == (other.old, other.new)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'ModifiedValue(old={self.old!r}, new={self.new!r})'


class ModifiedList:
    """A change of a collection: items `added` and `removed`, and `modified`: id -> {path: ModifiedValue}, or None."""

    __slots__ = ('added', 'removed', 'modified')

    def __init__(self, added: list[Any], removed: list[Any], modified: dict[str, dict[str, ModifiedValue]] | None) -> None:
        self.added = added
        self.removed = removed
        self.modified = modified

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModifiedList) and (self.added, self.removed, self.modified) == (other.added, other.removed, other.modified)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'ModifiedList(added={self.added!r}, removed={self.removed!r}, modified={self.modified!r})'
