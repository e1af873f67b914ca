"""The registry of stream types, and the metaclass that fills it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

from sipsimple.streams.interfaces import UnknownStreamError

__all__ = ['MediaStreamRegistrar', 'MediaStreamRegistry', 'MediaStreamRegistryType']


class MediaStreamRegistryType:
    """The stream types known to sessions, in the order in which they are asked about a media line: by priority, then by age.

    `MediaStreamRegistry` is the only instance; calling it returns it, so it may be used as if it were a singleton class. The known classes are
    also attributes, by class name: `MediaStreamRegistry.AudioStream`. All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._types: tuple[type[Any], ...] = ()
        self._loader: Callable[[], None] | None = None

    def set_loader(self, loader: Callable[[], None]) -> None:
        """Set the function that imports the SDK's own stream types. It runs once, when the registry is first asked for a type: until then their
        modules, and what these need, are not loaded."""
        self._loader = loader

    def _load(self) -> None:
        loader, self._loader = self._loader, None
        if loader is not None:
            loader()

    def __call__(self) -> MediaStreamRegistryType:
        return self

    def __iter__(self) -> Iterator[type[Any]]:
        self._load()
        return iter(self._types)

    def __len__(self) -> int:
        self._load()
        return len(self._types)

    def __contains__(self, item: object) -> bool:
        self._load()
        return item in self._types

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__}: {", ".join(cls.__name__ for cls in self._types)}>'

    def add(self, cls: type[Any]) -> None:
        """Register a stream type. A class that is registered already is left where it is.

        Raises:
            TypeError: the class has no `type` or no `priority`.
        """
        if getattr(cls, 'type', None) is None or getattr(cls, 'priority', None) is None:
            raise TypeError(f'{cls.__name__} needs the attributes type and priority to be registered')
        with self._lock:
            if cls not in self._types:
                self._types = tuple(sorted((*self._types, cls), key=lambda item: item.priority, reverse=True))

    def remove(self, cls: type[Any]) -> None:
        """Remove a stream type.

        Raises:
            ValueError: the class is not registered.
        """
        with self._lock:
            if cls not in self._types:
                raise ValueError(f'{cls.__name__} is not registered')
            self._types = tuple(item for item in self._types if item is not cls)

    def get(self, type: str) -> type[Any]:
        """Return the class for a stream type, for example 'audio'; of several, the one with the highest priority.

        Raises:
            UnknownStreamError: there is none.
        """
        self._load()
        for cls in self._types:
            if cls.type == type:
                return cls
        raise UnknownStreamError(f'unknown stream type: {type!r}')

    def __getattr__(self, name: str) -> type[Any]:
        if not name.startswith('_'):
            self._load()
            for cls in self._types:
                if cls.__name__ == name:
                    return cls
        raise AttributeError(f'{self.__class__.__name__} has no attribute {name!r}')


MediaStreamRegistry = MediaStreamRegistryType()


class MediaStreamRegistrar(type):
    """Metaclass that adds a stream class to `MediaStreamRegistry`, unless its `type` or `priority` is None (an abstract base)."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        if getattr(cls, 'type', None) is not None and getattr(cls, 'priority', None) is not None:
            MediaStreamRegistry.add(cls)
