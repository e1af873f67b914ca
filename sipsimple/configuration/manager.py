"""ConfigurationManager: the tree of plain data between the settings objects and the backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sipsimple.configuration import tree
from sipsimple.configuration.backend import IConfigurationBackend
from sipsimple.configuration.errors import ObjectNotFoundError
from sipsimple.threading import schedule_in_thread
from sipsimple.util import Singleton, collector_paused, settle_collector

__all__ = ['ConfigurationManager', 'get_storage', 'set_storage_provider']

_storage_provider: Callable[[], Any] | None = None


def set_storage_provider(provider: Callable[[], Any]) -> None:
    """Tell where the storage comes from when start() is called without a backend; the application registers itself."""
    global _storage_provider
    _storage_provider = provider


def get_storage() -> Any:
    """The application's storage, or None."""
    return _storage_provider() if _storage_provider is not None else None


class ConfigurationManager(metaclass=Singleton):
    """Holds the loaded tree (singleton). Thread: any.

    `backend` and `data` are None until it is started. `data` is never changed in place (see the tree module): what get()
    returned stays as it was, and save() writes a snapshot while other threads go on.

    Notifications (posted by the settings objects, it is the sender): CFGManagerLoadFailed, CFGManagerSaveFailed.
    """

    _singleton_instance: ClassVar[Any]

    def __init__(self) -> None:
        self.backend: Any = None
        self.data: tree.Tree | None = None
        self._lock = threading.RLock()
        self._save_lock = threading.Lock()

    def start(self, backend: Any = None) -> None:
        """Load the tree from the backend, by default that of the application's storage.

        Raises:
            RuntimeError: started already, or no storage. TypeError: not an IConfigurationBackend, or it loads no dict.
            ConfigurationBackendError: it could not be loaded; the manager stays un-started.
        """
        with self._lock:
            if self.data is not None:
                raise RuntimeError('the ConfigurationManager is started already')
            if backend is None:
                storage = get_storage()
                if storage is None:
                    raise RuntimeError('there is no storage to take the configuration from')
                backend = storage.configuration_backend
            if not IConfigurationBackend.providedBy(backend):
                raise TypeError(f'not a configuration backend: {backend!r}')
            with collector_paused():
                data = tree.freeze(backend.load())
                if not isinstance(data, tree.Tree):
                    raise TypeError(f'the backend loaded no dict: {data!r}')
                self.backend, self.data = backend, data

    def prepare(self) -> None:
        """Have the backend make in advance what makes saving fast, in the thread that saves; call it when all is loaded, to not be in the way."""
        schedule_in_thread('file-io', self._prepare)

    def _prepare(self) -> None:
        with self._save_lock:
            with self._lock:
                backend, data = self.backend, self.data
            if data is not None and hasattr(backend, 'prepare'):
                backend.prepare(data)
        settle_collector()

    def reset(self) -> None:
        """Forget tree and backend, so that start() can be called again."""
        with self._lock:
            self.backend = self.data = None

    def _tree(self, key: Sequence[str] = ('',)) -> tree.Tree:
        data = self.data
        if data is None:
            raise RuntimeError('the ConfigurationManager is not started')
        if not key:
            raise KeyError('an empty path')
        return data

    def get(self, key: Sequence[str]) -> Any:
        """The subtree or value at a path; a subtree cannot be changed. ObjectNotFoundError."""
        value = tree.find(self._tree(key), key)
        return list(value) if isinstance(value, list) else value

    def get_names(self, key: Sequence[str]) -> list[str]:
        """The names below a path; empty when it is missing."""
        try:
            node = self.get(key)
        except ObjectNotFoundError:
            return []
        return list(node) if isinstance(node, dict) else []

    def update(self, key: Sequence[str], data: dict[str, Any]) -> None:
        """Merge a state dictionary into the tree at a path. TypeError for a value that cannot be stored.

        DefaultValue removes a name; a dict is merged and removed when it ends empty; an ItemContainer also deletes the
        names that it does not have; anything else replaces. Names not mentioned stay.
        """
        with self._lock:
            self.data = tree.merge(self._tree(key), key, data)

    def rename(self, old_key: Sequence[str], new_key: Sequence[str]) -> None:
        """Move a subtree. ObjectNotFoundError."""
        with self._lock:
            self._tree(new_key)
            self.data = tree.rename(self._tree(old_key), old_key, new_key)

    def delete(self, key: Sequence[str]) -> None:
        """Remove a subtree and the parents that became empty; a missing path is fine."""
        with self._lock:
            self.data = tree.delete(self._tree(key), key)

    def save(self) -> None:
        """Hand the whole tree to the backend. ConfigurationBackendError."""
        with self._save_lock:               # a later save is not overtaken by an earlier one
            with self._lock:
                backend, data = self.backend, self._tree()
            backend.save(data)
