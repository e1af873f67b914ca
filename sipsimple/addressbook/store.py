"""What there is in the addressbook, and the way of a change: memory, servers, notifications, file.

A change is made in the thread that calls save() or delete(), under the lock: what was set is committed, and the object is in the book or out of it. What
follows happens in the file-io thread, in the order of the changes, for each batch (one change, or those of a transaction): the servers are told, the
notifications are posted, the file is written. Only then, and once for all batches that wait together, is the state of the objects put into the
tree of the configuration, so that ten thousand changes are one walk over it.

Nothing is posted and no server is called with the lock held.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from sipsimple.addressbook.datatypes import ObjectID, new_id
from sipsimple.configuration import ConfigurationManager, DefaultValue, DuplicateIDError, ItemContainer, ObjectNotFoundError, PersistentKey
from sipsimple.configuration.tree import check_leaf
from sipsimple.configuration.writer import STORAGE_THREAD, writer
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.threading import schedule_in_thread
from sipsimple.util import collector_paused

if TYPE_CHECKING:
    from sipsimple.addressbook.model import AddressbookObject

__all__ = ['GROUPS', 'SECTION', 'Change', 'Store', 'store']

SECTION = 'Addressbook'
GROUPS = ('Contacts', 'Policies', 'Groups')         # in the order in which they are loaded: groups refer to contacts
_log = logging.getLogger('sipsimple.addressbook')


class Change:
    """Something that happened to an object.

    Attributes:
        object: the contact, group or policy.
        action: 'add', 'update' or 'remove'.
        modified: of an update, what the notification says.
        operations: what servers are told, `Operation`s; None when that is to be made of the rest.
        origin: the server that it came from, or None.
        is_stored: whether the file changes.
        targets: the servers that are to be told.
    """

    __slots__ = ('action', 'is_stored', 'modified', 'object', 'operations', 'origin', 'targets')

    def __init__(self, object: AddressbookObject, action: str, modified: dict[str, Any], is_stored: bool = True, origin: Any = None,
                 operations: Any = None) -> None:
        self.object = object
        self.action = action
        self.modified = modified
        self.is_stored = is_stored
        self.origin = origin
        self.operations = operations
        self.targets: Any = ()


class Servers(Protocol):
    """Who tells servers of changes."""

    def changing(self, change: Change) -> None:
        """Note a change; under the lock, in the thread that makes it."""

    def send(self, changes: list[Change]) -> None:
        """Tell the servers of a batch. Thread: file-io."""


class Store:
    """The objects by section and id, and what is on its way. `lock` guards all of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_loaded = False
        self.saved: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        self.servers: Servers | None = None
        self.manager: Any = None
        self._unsaved: dict[str, WeakValueDictionary[str, Any]] = {group: WeakValueDictionary() for group in GROUPS}
        self._unwritten: dict[tuple[str, str], Any] = {}        # section and id -> the object, None when it was deleted
        self._renewed: set[tuple[str, str]] = set()             # made anew before the end of the one of that id was written
        self._local = threading.local()
        # id of a contact that was not saved yet -> groups that were saved with it as a member
        self.awaited: dict[str, list[Any]] = {}

    # ---- objects -----------------------------------------------------------------------------------------------

    def enter(self, obj: AddressbookObject, id: str | None) -> None:
        """Give a new object its id, and what is stored under it. RuntimeError, DuplicateIDError; ValueError and TypeError: no id."""
        group = obj.__group__
        with self.lock:
            if not self.is_loaded:
                raise RuntimeError('the addressbook is not loaded')
            value = ObjectID(new_id() if id is None else id)
            if value in self.saved[group] or value in self._unsaved[group]:
                raise DuplicateIDError(f'{type(obj).__name__} {value} exists')
            obj.id = value
            try:
                state = None if (group, value) in self._unwritten else ConfigurationManager().get([SECTION, group, value])
            except ObjectNotFoundError:
                state = None
            if not isinstance(state, dict):
                obj._state = 'new'
                self._unsaved[group][value] = obj
                return
            obj.__setstate__(state)
            self._adopt(obj)
            schedule_in_thread(STORAGE_THREAD, self._announce_loaded, [obj])

    def unsaved(self, group: str, id: str) -> Any:
        """The object with that id that was not saved yet, or None; with the lock held."""
        return self._unsaved[group].get(id)

    def _adopt(self, obj: AddressbookObject) -> None:
        obj._state = 'saved'
        self.saved[obj.__group__][obj.id] = obj

    def load(self, classes: Iterable[type[AddressbookObject]]) -> None:
        """Make the objects that the configuration has, and announce them in this thread. RuntimeError: loaded, or no configuration."""
        with self.lock, collector_paused():
            if self.is_loaded:
                raise RuntimeError('the addressbook is loaded already')
            manager = ConfigurationManager()
            found: list[AddressbookObject] = []
            for cls in classes:
                try:
                    stored = manager.get([SECTION, cls.__group__])
                except ObjectNotFoundError:
                    continue
                for name, state in stored.items() if isinstance(stored, dict) else ():
                    obj = self._load(cls, name, state)
                    if obj is not None:
                        found.append(obj)
            writer.add_source(self._fill_tree)
            self.is_loaded = True
        self._announce_loaded(found)
        ConfigurationManager().prepare()

    def _load(self, cls: type[AddressbookObject], name: str, state: Any) -> AddressbookObject | None:
        try:
            if not isinstance(state, dict):
                raise ValueError(f'a group of settings is expected, not {state!r}')
            obj: AddressbookObject = cls._make(ObjectID(name))
        except ValueError as error:
            _log.warning('a stored %s was refused: %s', cls.__name__, error)
            self._post('CFGManagerLoadFailed', ConfigurationManager(), attribute=name, container=None, error=error)
            return None
        obj.__setstate__(state)
        self._adopt(obj)
        return obj

    def unload(self) -> None:
        """Forget everything, after it was written, so that another configuration can be loaded. Objects that the application has kept are dead."""
        with self.lock:
            self.is_loaded = False
            for group in GROUPS:
                for obj in [*self.saved[group].values(), *self._unsaved[group].values()]:
                    obj._state = 'deleted'
                self.saved[group].clear()
                self._unsaved[group].clear()
            self._unwritten.clear()
            self._renewed.clear()
            self.awaited.clear()

    # ---- changes -----------------------------------------------------------------------------------------------

    def submit(self, change: Change) -> None:
        """Take up a change that was made in this thread; with the lock held."""
        obj = change.object
        key = (obj.__group__, str(obj.id))
        if change.action == 'add':
            self._unsaved[obj.__group__].pop(obj.id, None)
            self._adopt(obj)
            if self._unwritten.get(key, obj) is None:
                self._renewed.add(key)
        elif change.action == 'remove':
            obj._state = 'deleted'
            self.saved[obj.__group__].pop(obj.id, None)
        if change.is_stored:
            self._unwritten[key] = None if change.action == 'remove' else obj
        if self.servers is not None:
            self.servers.changing(change)
        batch: list[Change] | None = getattr(self._local, 'batch', None)
        if batch is not None:
            batch.append(change)
        else:
            self._queue([change])

    def begin(self) -> bool:
        """Collect the changes of this thread from here on; False when they are collected already."""
        if getattr(self._local, 'batch', None) is not None:
            return False
        self._local.batch = []
        return True

    def commit(self) -> None:
        """Let what was collected go its way, in one batch."""
        batch, self._local.batch = self._local.batch, None
        if batch:
            with self.lock:
                self._queue(batch)

    def _queue(self, batch: list[Change]) -> None:
        writer.queue()
        schedule_in_thread(STORAGE_THREAD, self._process, batch)

    def _process(self, batch: list[Change]) -> None:
        """What follows on a batch. Thread: file-io."""
        try:
            if self.servers is not None:
                self.servers.send(batch)
        except Exception:
            _log.exception('the servers could not be told')
        for change in batch:
            self._announce(change)
        writer.done([(change.object, 'delete', {}) if change.action == 'remove' else
                     (change.object, 'save', {'modified': None if change.action == 'add' else change.modified})
                     for change in batch if change.is_stored])

    def _fill_tree(self) -> None:
        """Put what changed into the tree of the configuration. Thread: file-io."""
        refused: list[tuple[Any, Exception]] = []
        with self.lock:
            unwritten, self._unwritten = self._unwritten, {}
            renewed, self._renewed = self._renewed, set()
            states: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
            for (group, id), obj in unwritten.items():
                try:
                    state: Any = DefaultValue if obj is None else checked(obj.stored_state(), id)
                except Exception as error:          # types may be the application's
                    _log.error('%r cannot be stored: %s', obj, error)
                    refused.append((obj, error))
                    continue
                states[group][PersistentKey(id)] = ItemContainer(state) if (group, id) in renewed and obj is not None else state
            manager = ConfigurationManager()
            for group, state in states.items():
                if state:
                    manager.update([SECTION, group], state)
        for obj, reason in refused:
            self._post('CFGManagerSaveFailed', manager, object=obj, operation='save', modified=None, exception=reason)

    # ---- notifications -----------------------------------------------------------------------------------------

    @staticmethod
    def _post(name: str, sender: Any, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=sender, data=NotificationData(**data))

    def _announce_loaded(self, objects: list[Any]) -> None:
        for obj in objects:
            obj._post_activated()
            self.manager._post_added(obj)

    def _announce(self, change: Change) -> None:
        obj = change.object
        if change.action == 'add':
            obj._post_activated()
            self.manager._post_added(obj)
            obj._post_created()
        elif change.action == 'remove':
            obj._post_deleted()
            self.manager._post_removed(obj)
        else:
            obj._post_changed(change.modified)


def checked(state: dict[str, Any], name: str) -> dict[str, Any]:
    """A state, if a backend can store it. TypeError."""
    for key, value in state.items():
        if isinstance(value, dict):
            checked(value, f'{name}.{key}')
        elif value is not DefaultValue:
            check_leaf(value, f'{name}.{key}')
    return state


store = Store()
