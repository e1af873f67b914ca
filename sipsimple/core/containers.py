"""frozenlist and frozendict: read-only, hashable, picklable; equal to a plain list or dict with the same content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, Self, SupportsIndex, TypeVar, overload

__all__ = ['frozenlist', 'frozendict']

T = TypeVar('T')
K = TypeVar('K')
V = TypeVar('V')


class frozenlist(tuple[T, ...]):
    """A list that cannot change. It is stored as a tuple, hence as cheap to read and to hash."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list):
            return len(self) == len(other) and list(self) == other
        return tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        if isinstance(other, list):
            return not self == other
        return tuple.__ne__(self, other)

    __hash__ = tuple.__hash__

    def __lt__(self, other: Any) -> bool:
        return tuple.__lt__(self, tuple(other) if isinstance(other, list) else other)

    def __le__(self, other: Any) -> bool:
        return tuple.__le__(self, tuple(other) if isinstance(other, list) else other)

    def __gt__(self, other: Any) -> bool:
        return tuple.__gt__(self, tuple(other) if isinstance(other, list) else other)

    def __ge__(self, other: Any) -> bool:
        return tuple.__ge__(self, tuple(other) if isinstance(other, list) else other)

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> frozenlist[T]: ...

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return frozenlist(item) if isinstance(index, slice) else item

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        return frozenlist(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        return frozenlist(tuple.__add__(tuple(other), self))

    def __mul__(self, count: SupportsIndex) -> frozenlist[T]:
        return frozenlist(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f'{type(self).__name__}({list(self)!r})'

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)

    def __copy__(self) -> Self:
        return self

    def copy(self) -> Self:
        """The object itself: it cannot change."""
        return self


class frozendict(dict[K, V]):
    """A dict that cannot change. Hashable when its values are."""

    __slots__ = ('_hash',)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]  # a dict, but an immutable one
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def _read_only(self, *args: Any, **kw: Any) -> NoReturn:
        raise TypeError(f'{type(self).__name__} is read-only')

    __setitem__ = _read_only
    __delitem__ = _read_only
    clear = _read_only
    pop = _read_only
    popitem = _read_only
    setdefault = _read_only
    update = _read_only

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        return frozendict({**self, **other})

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        return frozendict({**other, **self})

    __ior__ = __or__  # rebinds the name, as for a tuple

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None) -> Any:
        """A frozendict with the keys of `iterable`, all with the same value."""
        return cls(dict.fromkeys(iterable, value))

    def __repr__(self) -> str:
        return f'{type(self).__name__}({dict.__repr__(self)})'

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __copy__(self) -> Self:
        return self

    def copy(self) -> Self:
        """The object itself: it cannot change."""
        return self
