"""ConfigurationManager: the tree of plain data between the settings objects and the backend."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sipsimple.configuration.backend import IConfigurationBackend
from sipsimple.configuration.changes import DefaultValue, ItemContainer, PersistentKey
from sipsimple.configuration.errors import ObjectNotFoundError
from sipsimple.util import Singleton

__all__ = ['ConfigurationManager', 'set_storage_provider']

_storage_provider: Callable[[], Any] | None = None


def set_storage_provider(provider: Callable[[], Any]) -> None:
    """Tell where the storage comes from when start() is called without a backend; the application registers itself."""
    global _storage_provider
    _storage_provider = provider


class ConfigurationManager(metaclass=Singleton):
    """Holds the loaded tree (singleton). Thread: any."""

    _singleton_instance: ClassVar[Any]

    def __init__(self) -> None:
        self.backend: Any = None
        self.data: dict[str, Any] | None = None
        self._lock = threading.RLock()

    def start(self, backend: Any = None) -> None:
        """Load the tree from the backend, by default that of the application's storage.

        Raises:
            RuntimeError: started already, or no storage. TypeError: not an IConfigurationBackend.
            ConfigurationBackendError: it could not be loaded; the manager stays un-started.
        """
        with self._lock:
            if self.data is not None:
                raise RuntimeError('the ConfigurationManager is started already')
            if backend is None:
                storage = _storage_provider() if _storage_provider is not None else None
                if storage is None:
                    raise RuntimeError('there is no storage to take the configuration from')
                backend = storage.configuration_backend
            if not IConfigurationBackend.providedBy(backend):
                raise TypeError(f'not a configuration backend: {backend!r}')
            data = backend.load()
            self.backend, self.data = backend, data

    def reset(self) -> None:
        """Forget tree and backend, so that start() can be called again."""
        with self._lock:
            self.backend = self.data = None

    def _tree(self, key: Sequence[str]) -> dict[str, Any]:
        if self.data is None:
            raise RuntimeError('the ConfigurationManager is not started')
        if not key:
            raise KeyError('an empty path')
        return self.data

    def get(self, key: Sequence[str]) -> Any:
        """The subtree or value at a path. ObjectNotFoundError."""
        with self._lock:
            node: Any = self._tree(key)
            for name in key:
                if not isinstance(node, dict) or name not in node:
                    raise ObjectNotFoundError('nothing stored under ' + '/'.join(key))
                node = node[name]
            return node

    def get_names(self, key: Sequence[str]) -> list[str]:
        """The names below a path; empty when it is missing."""
        try:
            node = self.get(key)
        except ObjectNotFoundError:
            return []
        return list(node) if isinstance(node, dict) else []

    def update(self, key: Sequence[str], data: dict[str, Any]) -> None:
        """Merge a state dictionary into the tree at a path."""
        with self._lock:
            node = self._tree(key)
            for name in key:
                child = node.get(name)
                if not isinstance(child, dict):
                    child = node[name] = {}
                node = child
            _merge(node, data)
            self._prune(key)

    def _prune(self, key: Sequence[str]) -> None:
        """Remove empty groups along a path, from below; a PersistentKey stays."""
        assert self.data is not None
        nodes = [self.data]
        for name in key:
            child = nodes[-1].get(name)
            if not isinstance(child, dict):
                break
            nodes.append(child)
        for depth in range(len(nodes) - 1, 0, -1):
            if nodes[depth] or isinstance(key[depth - 1], PersistentKey):
                return
            del nodes[depth - 1][key[depth - 1]]

    def rename(self, old_key: Sequence[str], new_key: Sequence[str]) -> None:
        """Move a subtree. ObjectNotFoundError."""
        with self._lock:
            self._tree(new_key)
            subtree = self.get(old_key)
            self.delete(old_key)
            node = self._tree(new_key)
            for name in new_key[:-1]:
                child = node.get(name)
                if not isinstance(child, dict):
                    child = node[name] = {}
                node = child
            node[str(new_key[-1])] = subtree

    def delete(self, key: Sequence[str]) -> None:
        """Remove a subtree and the parents that became empty; a missing path is fine."""
        with self._lock:
            node = self._tree(key)
            for name in key[:-1]:
                child = node.get(name)
                if not isinstance(child, dict):
                    return
                node = child
            node.pop(key[-1], None)
            if len(key) > 1:
                self._prune([str(name) for name in key[:-1]])

    def save(self) -> None:
        """Hand the whole tree to the backend. ConfigurationBackendError."""
        with self._lock:
            if self.data is None:
                raise RuntimeError('the ConfigurationManager is not started')
            backend, data = self.backend, copy.copy(self.data)
            backend.save(data)


def _merge(node: dict[str, Any], data: dict[str, Any]) -> None:
    for name, value in data.items():
        name = str(name)
        if value is DefaultValue:
            node.pop(name, None)
        elif isinstance(value, dict):
            child = node.get(name)
            if not isinstance(child, dict):
                child = {}
            if isinstance(value, ItemContainer):
                for gone in child.keys() - {str(key) for key in value}:
                    del child[gone]
            _merge(child, value)
            if child or any(isinstance(key, PersistentKey) for key in value):
                node[name] = child
            else:
                node.pop(name, None)
        else:
            node[name] = value
