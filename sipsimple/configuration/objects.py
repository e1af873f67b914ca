"""SettingsState, SettingsGroup, SettingsObject: trees of settings, saved object by object.

save() commits and describes the change in the caller's thread, so a save stores what was set before it, and nothing set
after it; storing and notifying happen in the file-io thread, in the order of the calls.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from sipsimple.configuration.backend import ConfigurationBackendError
from sipsimple.configuration.changes import ModifiedList, ModifiedValue, PersistentKey
from sipsimple.configuration.descriptors import AbstractSetting, Cell, Setting, SettingsObjectID
from sipsimple.configuration.errors import DuplicateIDError, ObjectNotFoundError
from sipsimple.configuration.manager import ConfigurationManager
from sipsimple.notification import NotificationCenter, NotificationData, TimestampedNotificationData
from sipsimple.threading import call_in_thread

__all__ = ['SettingsGroup', 'SettingsObject', 'SettingsObjectExtension', 'SettingsState', 'SettingsStateMeta']

STORAGE_THREAD = 'file-io'


def is_group(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SettingsGroup)


class GroupDescriptor:
    """Gives each owner its own object of a group class."""

    def __init__(self, group: type[SettingsGroup], name: str) -> None:
        self.group = group
        self.name = name

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self.group
        try:
            return obj._groups[self.name]
        except KeyError:
            return obj._groups.setdefault(self.name, self.group())

    def __set__(self, obj: Any, value: Any) -> None:
        group = self.__get__(obj)
        assign = getattr(group, '_assign', None)
        if assign is None:
            raise AttributeError(f'the group {self.name} cannot be assigned')
        assign(value)

    def __delete__(self, obj: Any) -> None:
        raise AttributeError(f'the group {self.name} cannot be deleted')


class SettingsStateMeta(type):
    """Collects the settings and groups of a class, inherited ones included."""

    _settings: dict[str, AbstractSetting]
    _group_classes: dict[str, type[SettingsGroup]]

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        for key, value in list(namespace.items()):
            if is_group(value) and not key.startswith('__'):
                type.__setattr__(cls, key, GroupDescriptor(value, key))
        cls._collect()

    def _collect(cls) -> None:
        settings: dict[str, AbstractSetting] = {}
        groups: dict[str, type[SettingsGroup]] = {}
        for base in reversed(cls.__mro__):
            for key, value in vars(base).items():
                if key == '__id__':
                    continue
                if isinstance(value, GroupDescriptor):
                    groups[key] = value.group
                    settings.pop(key, None)
                elif isinstance(value, AbstractSetting) and not isinstance(value, SettingsObjectID):
                    settings[key] = value
                    groups.pop(key, None)
                elif key in settings or key in groups:
                    settings.pop(key, None)
                    groups.pop(key, None)
        type.__setattr__(cls, '_settings', settings)
        type.__setattr__(cls, '_group_classes', groups)

    def _add(cls, key: str, value: Any) -> None:
        """Add a setting or group after the class was made."""
        if is_group(value):
            value = GroupDescriptor(value, key)
        type.__setattr__(cls, key, value)
        cls._collect()


class _SettingsMap:
    """`__settings__['a.b.c']`: the descriptor behind a dotted path."""

    def __init__(self, owner: SettingsStateMeta) -> None:
        self._owner = owner

    def __getitem__(self, path: str) -> AbstractSetting:
        owner: Any = self._owner
        *groups, name = path.split('.')
        for group in groups:
            owner = owner._group_classes[group]
        setting: AbstractSetting = owner._settings[name]
        return setting


class _SettingsMapDescriptor:
    def __get__(self, obj: Any, owner: Any = None) -> _SettingsMap:
        return _SettingsMap(owner if owner is not None else type(obj))


class SettingsState(metaclass=SettingsStateMeta):
    """Something with settings and groups of settings."""

    __settings__ = _SettingsMapDescriptor()
    _settings: ClassVar[dict[str, AbstractSetting]]
    _group_classes: ClassVar[dict[str, type[SettingsGroup]]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._values = {}
        self._groups = {}
        return self

    _values: dict[str, Cell]
    _groups: dict[str, Any]

    def get_modified(self) -> dict[str, ModifiedValue | ModifiedList]:
        """What changed since the last call, by dotted path; committed now."""
        modified: dict[str, ModifiedValue | ModifiedList] = {}
        for name, setting in self._settings.items():
            change = setting.get_modified(self)
            if change is not None:
                modified[name] = change
        for name, group in self._groups.items():
            for path, group_change in group.get_modified().items():
                modified[f'{name}.{path}' if path else name] = group_change
        return modified

    def __getstate__(self) -> dict[str, Any]:
        """The tree as the backends know it; unset settings are DefaultValue."""
        state: dict[str, Any] = {}
        for name, setting in self._settings.items():
            if getattr(setting, 'stored', True):
                state[name] = setting.__getstate__(self)
        for name in self._group_classes:
            state[name] = getattr(self, name).__getstate__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load a stored tree. What cannot be loaded keeps its default and is reported by CFGManagerLoadFailed."""
        for name, value in state.items():
            try:
                if name in self._settings:
                    setting = self._settings[name]
                    if getattr(setting, 'stored', True):
                        if isinstance(value, dict):
                            raise ValueError(f'{name} is a setting, not a group')
                        setting.__setstate__(self, value)
                elif name in self._group_classes:
                    group = getattr(self, name)
                    if not isinstance(value, dict):
                        value = group._from_scalar(value)
                    group.__setstate__(value)
            except (ValueError, TypeError, AttributeError) as error:
                NotificationCenter().post_notification('CFGManagerLoadFailed', sender=ConfigurationManager(), data=NotificationData(
                    attribute=name, container=self, error=error))

    def clone(self) -> Any:
        """A copy of the explicit values in a new object of the same class (groups only: an object needs its own id)."""
        copy = type(self)()
        copy.update(self)
        return copy

    def update(self, other: Any) -> None:
        """Take over the explicit values of another object of the same class."""
        for name, setting in self._settings.items():
            if isinstance(setting, Setting) and name in other._values:
                setattr(self, name, other._values[name].value)
        for name in self._group_classes:
            getattr(self, name).update(getattr(other, name))


class SettingsGroup(SettingsState):
    """A group of settings; the class itself is assigned as an attribute of its owner's class."""

    def _from_scalar(self, value: Any) -> dict[str, Any]:
        """State for a plain value found where this group is now; groups that replaced a setting override it."""
        raise ValueError(f'{type(self).__name__} is a group, not a setting: {value!r}')


class SettingsObjectExtension:
    """Base of classes whose settings and groups are added to a settings object class."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError('an extension cannot be instantiated')


_lock = threading.RLock()
_dynamic: dict[type, WeakValueDictionary[str, Any]] = {}
_static: dict[type, Any] = {}


def change_id(obj: Any, new: Any) -> None:
    """Set the pending id of an object. DuplicateIDError."""
    with _lock:
        live = _dynamic[type(obj)]
        cell = obj._id_cell
        other = live.get(str(new))
        if other is not None and other is not obj:
            raise DuplicateIDError(f'{type(obj).__name__} {new} exists')
        if cell.value != cell.committed and str(cell.value) != str(new):
            live.pop(str(cell.value), None)
        live[str(new)] = obj
        cell.value = new
        cell.dirty = new != cell.committed


class SettingsObjectMeta(SettingsStateMeta):
    """One object per class (static id) or per class and id."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        id_ = namespace.get('__id__', getattr(cls, '__id__', None))
        if id_ is not None and not isinstance(id_, (str, SettingsObjectID)):
            raise TypeError(f'{name}.__id__ must be a text or an id descriptor')
        super().__init__(name, bases, namespace)
        if isinstance(id_, SettingsObjectID) and 'id' not in namespace and not hasattr(cls, 'id'):
            type.__setattr__(cls, 'id', id_)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        id_ = vars(cls).get('__id__') or next((vars(base)['__id__'] for base in cls.__mro__ if vars(base).get('__id__') is not None), None)
        with _lock:
            if isinstance(id_, str):
                if args or kwargs:
                    raise TypeError(f'{cls.__name__} takes no arguments')
                obj = _static.get(cls)
                if obj is not None:
                    return obj
                obj = cls._make(id_, (), id_)
                _static[cls] = obj
            else:
                given = args[0] if args else kwargs.get('id')
                if given is None:
                    raise ValueError(f'{cls.__name__} needs an id')
                if not isinstance(given, str):
                    raise TypeError(f'an id must be a text: {given!r}')
                value = id_.type(given) if isinstance(id_, SettingsObjectID) else given
                live = _dynamic.setdefault(cls, WeakValueDictionary())
                obj = live.get(str(value))
                if obj is not None and obj._state != 'deleted':
                    return obj
                obj = cls._make(value, (value,), id_)
                live[str(value)] = obj
        if obj._state == 'loaded' or isinstance(id_, str):
            NotificationCenter().post_notification('CFGSettingsObjectWasActivated', sender=obj, data=TimestampedNotificationData())
        return obj

    def _make(cls, value: Any, args: tuple[Any, ...], id_: Any) -> Any:
        obj = cls.__new__(cls, *args)
        cell = Cell()
        cell.value = cell.committed = value
        obj._id_cell = cell
        obj._state = 'new'
        try:
            stored = ConfigurationManager().get(obj._path())
        except ObjectNotFoundError:
            if isinstance(id_, str):
                obj._state = 'loaded'
        else:
            obj._state = 'loaded'
            if isinstance(stored, dict):
                obj.__setstate__(obj._migrate(stored))
        obj.__init__(*args)
        return obj


class SettingsObject(SettingsState, metaclass=SettingsObjectMeta):
    """Root of an independently saved tree.

    Class attributes:
        __group__: top-level section, or None.
        __id__: a text (one object of the class), SettingsObjectID or SettingsObjectImmutableID (one per id), or None.
    Notifications: CFGSettingsObjectWasActivated, CFGSettingsObjectWasCreated, CFGSettingsObjectDidChange,
        CFGSettingsObjectWasDeleted; CFGManagerSaveFailed from the ConfigurationManager.
    """

    __group__: ClassVar[str | None] = None
    __id__: ClassVar[Any] = None
    _id_cell: Cell
    _state: str

    def __init__(self, *args: Any) -> None:
        pass

    def _migrate(self, state: dict[str, Any]) -> dict[str, Any]:
        """Stored state in the present layout; classes whose layout changed override it."""
        return state

    def _path(self, old: bool = False) -> list[str]:
        name = PersistentKey(self._id_cell.committed if old else self._id_cell.value)
        return [name] if self.__group__ is None else [self.__group__, name]

    def save(self) -> None:
        """Store what changed; returns at once. Thread: any; storing and notifications in 'file-io'."""
        with _lock:
            if self._state == 'deleted':
                return
            created = self._state == 'new'
            old_path = self._path(old=True)
            id_change = self._commit_id()
            modified: dict[str, Any] = self.get_modified()
            if id_change is not None:
                modified['__id__'] = id_change
            if not created and not modified:
                return
            self._state = 'loaded'
            state, path = self.__getstate__(), self._path()
            persistent = created or id_change is not None or any(self._is_stored(name) for name in modified)
            call_in_thread(STORAGE_THREAD, self._store, created, modified, state, old_path if id_change is not None else None, path,
                           persistent)

    def _is_stored(self, path: str) -> bool:
        try:
            return bool(getattr(type(self).__settings__[path], 'stored', True))
        except KeyError:
            return True

    def _commit_id(self) -> ModifiedValue | None:
        cell = self._id_cell
        if not cell.dirty:
            return None
        change = ModifiedValue(cell.committed, cell.value)
        _dynamic[type(self)].pop(str(cell.committed), None)
        cell.committed, cell.dirty = cell.value, False
        return change

    def _store(self, created: bool, modified: dict[str, Any], state: dict[str, Any], old_path: list[str] | None, path: list[str],
               persistent: bool) -> None:
        manager, center = ConfigurationManager(), NotificationCenter()
        if persistent:
            if old_path is not None:
                try:
                    manager.rename(old_path, path)
                except ObjectNotFoundError:
                    pass
            manager.update(path, state)
        if created:
            center.post_notification('CFGSettingsObjectWasActivated', sender=self, data=TimestampedNotificationData())
            center.post_notification('CFGSettingsObjectWasCreated', sender=self, data=TimestampedNotificationData())
        else:
            center.post_notification('CFGSettingsObjectDidChange', sender=self, data=TimestampedNotificationData(modified=modified))
        if persistent:
            self._save_backend('save', modified=None if created else modified)

    def _save_backend(self, operation: str, **data: Any) -> None:
        manager = ConfigurationManager()
        try:
            manager.save()
        except ConfigurationBackendError as error:
            NotificationCenter().post_notification('CFGManagerSaveFailed', sender=manager, data=NotificationData(
                object=self, operation=operation, exception=error, **data))

    def delete(self) -> None:
        """Remove the object from the configuration; returns at once. TypeError for one with a static id."""
        if isinstance(type(self).__id__, str):
            raise TypeError(f'{type(self).__name__} cannot be deleted')
        with _lock:
            if self._state == 'deleted':
                return
            self._state = 'deleted'
            live = _dynamic.get(type(self))
            if live is not None:
                for name in {str(self._id_cell.value), str(self._id_cell.committed)}:
                    if live.get(name) is self:
                        del live[name]
        call_in_thread(STORAGE_THREAD, self._remove, self._path(old=True))

    def _remove(self, path: list[str]) -> None:
        ConfigurationManager().delete(path)
        NotificationCenter().post_notification('CFGSettingsObjectWasDeleted', sender=self, data=TimestampedNotificationData())
        self._save_backend('delete')

    @classmethod
    def register_extension(cls, extension: type) -> None:
        """Add the settings and groups of a SettingsObjectExtension, replacing those of the same name. TypeError."""
        if not (isinstance(extension, type) and issubclass(extension, SettingsObjectExtension)):
            raise TypeError(f'not a SettingsObjectExtension: {extension!r}')
        for base in reversed(extension.__mro__):
            for name, value in vars(base).items():
                if is_group(value) and not name.startswith('__') or isinstance(value, AbstractSetting):
                    cls._add(name, value)


def forget_static_objects() -> None:
    """Let singletons be made anew from another configuration, after the application stopped."""
    with _lock:
        _static.clear()
        _dynamic.clear()
