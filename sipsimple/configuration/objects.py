"""SettingsState, SettingsGroup, SettingsObject: trees of settings, saved object by object.

save() and delete() change the tree in memory in the caller's thread, so a save stores what was set before it and nothing
set after it, and an object made right after a delete() finds nothing. Notifying and writing happen in the file-io thread,
in the order of the calls (see the writer module).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from sipsimple.configuration.changes import DefaultValue, ModifiedList, ModifiedValue, PersistentKey
from sipsimple.configuration.descriptors import AbstractSetting, Cell, CorrelatedSetting, Setting, SettingsObjectID
from sipsimple.configuration.errors import DuplicateIDError, ObjectNotFoundError
from sipsimple.configuration.manager import ConfigurationManager
from sipsimple.configuration.writer import STORAGE_THREAD, writer
from sipsimple.notification import NotificationCenter, NotificationData, TimestampedNotificationData
from sipsimple.threading import call_in_thread

__all__ = ['SettingsGroup', 'SettingsObject', 'SettingsObjectExtension', 'SettingsState', 'SettingsStateMeta']

_log = logging.getLogger('sipsimple.configuration')


def is_group(value: object) -> bool:
    """True for a class of settings groups."""
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
            return obj._groups.setdefault(self.name, obj._make_group(self.name, self.group))

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
        cls._collect_all()

    def _collect_all(cls) -> None:
        cls._collect()
        kind: Any = cls
        for subclass in type.__subclasses__(kind):
            subclass._collect_all()


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
        kind: Any = owner if owner is not None else type(obj)
        return _SettingsMap(kind)


class SettingsState(metaclass=SettingsStateMeta):
    """Something with settings and groups of settings."""

    __settings__ = _SettingsMapDescriptor()
    _settings: ClassVar[dict[str, AbstractSetting]]
    _group_classes: ClassVar[dict[str, type[SettingsGroup]]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._values = {}
        self._groups = {}
        self._id_cell = None
        return self

    _values: dict[str, Cell]
    _groups: dict[str, Any]
    _id_cell: Cell | None

    def _make_group(self, name: str, group: type[SettingsGroup]) -> Any:
        """A group is looked at for the first time."""
        return group()

    def _change_id(self, new: Any) -> None:
        """The id descriptor is given another value."""
        cell = self._id_cell
        assert cell is not None
        cell.value, cell.dirty = new, new != cell.committed

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
        settings, groups = self._settings, self._group_classes
        correlated = False
        for name, value in state.items():
            setting = settings.get(name)
            if setting is not None:
                if getattr(setting, 'stored', True):
                    try:
                        if isinstance(value, dict):
                            raise ValueError(f'{name} is a setting, not a group')
                        setting.__setstate__(self, value)
                    except Exception as error:
                        self._refuse(name, error)
                    correlated = correlated or isinstance(setting, CorrelatedSetting)
            elif name in groups:
                self._try_load(name, self._load_group, getattr(self, name), value)
        if correlated:
            for name, setting in settings.items():
                if isinstance(setting, CorrelatedSetting) and name in state:
                    self._try_load(name, setting.check_loaded, self)

    def _try_load(self, name: str, load: Callable[..., None], *args: Any) -> None:
        """Load one part; types may be the application's, so any exception means a bad value."""
        try:
            load(*args)
        except Exception as error:
            self._refuse(name, error)

    def _refuse(self, name: str, error: Exception) -> None:
        _log.warning('a stored value was refused: %s of %s: %s', name, type(self).__name__, error)
        NotificationCenter().post_notification('CFGManagerLoadFailed', sender=ConfigurationManager(), data=NotificationData(
            attribute=name, container=self, error=error))

    def _load_group(self, group: Any, value: Any) -> None:
        group.__setstate__(value if isinstance(value, dict) else group._from_scalar(value))

    def clone(self, *args: Any, **kwargs: Any) -> Any:
        """A copy of the explicit values in a new object of the same class, made with the arguments."""
        copy = type(self)(*args, **kwargs)
        copy.update(self)
        return copy

    def update(self, other: Any) -> None:
        """Take over the values of another object of the same class, implicit ones as implicit. TypeError."""
        if not isinstance(other, type(self)):
            raise TypeError(f'not a {type(self).__name__}: {other!r}')
        for name, setting in self._settings.items():
            if isinstance(setting, Setting):
                cell = other._values.get(name)
                Setting.__set__(setting, self, DefaultValue if cell is None else cell.value)
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
_dynamic: dict[type, WeakValueDictionary[str, Any]] = {}        # under the id of now and that of the last save
_static: dict[type, Any] = {}


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
        obj = _static.get(cls)
        if obj is not None and not args and not kwargs:
            return obj
        id_: Any = getattr(cls, '__id__', None)
        with _lock:
            if isinstance(id_, str):
                if args or kwargs:
                    raise TypeError(f'{cls.__name__} takes no arguments')
                if cls in _static:
                    return _static[cls]
                obj = cls._make(id_, (), id_)
                _static[cls] = obj
            else:
                if len(args) + len(kwargs) > 1 or kwargs.keys() - {'id'}:
                    raise TypeError(f'{cls.__name__} takes an id and nothing else')
                given = args[0] if args else kwargs.get('id')
                if given is None:
                    raise ValueError(f'{cls.__name__} needs an id')
                if not isinstance(given, str):
                    raise TypeError(f'an id must be a text: {given!r}')
                value = id_.type(given) if isinstance(id_, SettingsObjectID) else given
                live = _dynamic.setdefault(cls, WeakValueDictionary())
                obj = live.get(str(value))
                if obj is not None:
                    return obj
                obj = cls._make(value, (value,), id_)
                live[str(value)] = obj
        if obj._state == 'loaded':
            NotificationCenter().post_notification('CFGSettingsObjectWasActivated', sender=obj, data=TimestampedNotificationData())
        return obj

    def _make(cls, value: Any, args: tuple[Any, ...], id_: Any) -> Any:
        manager = ConfigurationManager()
        construct: Any = cls.__new__
        obj = construct(cls, *args)
        obj._id_cell = cell = Cell()
        cell.value = cell.committed = value
        path = obj._path()
        try:
            stored = manager.get(path)
        except ObjectNotFoundError:
            obj._state = 'loaded' if isinstance(id_, str) else 'new'
        else:
            obj._state = 'loaded'
            if isinstance(stored, dict):
                state = obj._migrate(stored)
                obj.__setstate__(state)
                if state is not stored:         # not merged: what the new layout has no place for must go
                    manager.delete(path)
                    manager.update(path, state)
                    call_in_thread(STORAGE_THREAD, obj._write, 'save', {'modified': {}})
            else:
                obj._try_load(str(value), _refuse_scalar, stored)
        obj.__init__(*args)
        return obj


def _refuse_scalar(value: Any) -> None:
    raise ValueError(f'a group of settings is expected, not {value!r}')


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
    _state: str             # new, loaded, deleted

    def __init__(self, *args: Any) -> None:
        pass

    def _migrate(self, state: dict[str, Any]) -> dict[str, Any]:
        """Stored state in the present layout; classes whose layout changed override it."""
        return state

    def _path(self, old: bool = False) -> list[str]:
        name = PersistentKey(self._id_cell.committed if old else self._id_cell.value)
        return [name] if self.__group__ is None else [self.__group__, name]

    def _change_id(self, new: Any) -> None:
        with _lock:
            cell = self._id_cell
            if self._state != 'deleted':
                live = _dynamic.setdefault(type(self), WeakValueDictionary())
                other = live.get(str(new))
                if other is not None and other is not self or other is None and self._is_taken(new):
                    raise DuplicateIDError(f'{type(self).__name__} {new} exists')
                if str(cell.value) not in (str(cell.committed), str(new)):
                    live.pop(str(cell.value), None)
                live[str(new)] = self
            cell.value, cell.dirty = new, new != cell.committed

    def _is_taken(self, id: Any) -> bool:
        """True when something is stored under the id: an object that nobody has asked for yet must not be overwritten."""
        path = [str(id)] if self.__group__ is None else [self.__group__, str(id)]
        try:
            ConfigurationManager().get(path)
        except ObjectNotFoundError:
            return False
        return True

    def clone(self, new_id: str) -> Any:
        """A new, unsaved object with that id and the same values. DuplicateIDError; TypeError for a static id."""
        if isinstance(type(self).__id__, str):
            raise TypeError(f'there is one {type(self).__name__} only')
        with _lock:
            value = type(self).__id__.type(new_id) if isinstance(type(self).__id__, SettingsObjectID) else new_id
            if str(value) in _dynamic.get(type(self), ()) or self._is_taken(value):
                raise DuplicateIDError(f'{type(self).__name__} {value} exists')
            copy = type(self)(new_id)
        copy.update(self)
        return copy

    def save(self) -> None:
        """Store what changed; returns at once. Nothing happens when nothing changed, and after delete().

        Thread: any; notifications and writing in 'file-io'.
        RuntimeError: the ConfigurationManager is not started. TypeError: a value of an own type that cannot be stored.
        """
        with _lock:
            if self._state == 'deleted':
                return
            manager = ConfigurationManager()
            state = self.__getstate__()
            created = self._state == 'new'
            path, old_path = self._path(), self._path(old=True)
            if created or path != old_path or self._is_changed():
                if path != old_path:
                    try:
                        manager.rename(old_path, path)
                    except ObjectNotFoundError:
                        pass
                manager.update(path, state)
            modified: dict[str, Any] = self.get_modified()
            id_change = self._commit_id()
            if id_change is not None:
                modified['__id__'] = id_change
            if not created and not modified:
                return
            self._state = 'loaded'
            stored = created or any(self._is_stored(name) for name in modified)
            writer.queue()
            call_in_thread(STORAGE_THREAD, self._announce_save, created, modified, stored)

    def _is_changed(self) -> bool:
        """False only when it is sure that no stored setting changed."""
        def changed(state: Any) -> bool:
            for setting in state._settings.values():
                if getattr(setting, 'stored', True) and (not isinstance(setting, Setting) or setting.is_modified(state)):
                    return True
            return hasattr(state, '_items') or any(changed(group) for group in state._groups.values())
        return changed(self)

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
        live = _dynamic.get(type(self))
        if live is not None and live.get(str(cell.committed)) is self:
            del live[str(cell.committed)]
        cell.committed, cell.dirty = cell.value, False
        return change

    def _announce_save(self, created: bool, modified: dict[str, Any], stored: bool) -> None:
        center = NotificationCenter()
        if created:
            center.post_notification('CFGSettingsObjectWasActivated', sender=self, data=TimestampedNotificationData())
            center.post_notification('CFGSettingsObjectWasCreated', sender=self, data=TimestampedNotificationData())
        else:
            center.post_notification('CFGSettingsObjectDidChange', sender=self, data=TimestampedNotificationData(modified=modified))
        writer.done([(self, 'save', {'modified': None if created else modified})] if stored else ())

    def _write(self, operation: str, data: dict[str, Any]) -> None:
        writer.queue()
        writer.done([(self, operation, data)])

    def delete(self) -> None:
        """Remove the object from the configuration; returns at once. Saves and deletes after it do nothing.

        TypeError: the class has a static id. Thread: any; notification and writing in 'file-io'.
        """
        if isinstance(type(self).__id__, str):
            raise TypeError(f'{type(self).__name__} cannot be deleted')
        with _lock:
            if self._state == 'deleted':
                return
            ConfigurationManager().delete(self._path(old=True))
            self._state = 'deleted'
            live = _dynamic.get(type(self))
            if live is not None:
                for name in {str(self._id_cell.value), str(self._id_cell.committed)}:
                    if live.get(name) is self:
                        del live[name]
            writer.queue()
            call_in_thread(STORAGE_THREAD, self._announce_delete)

    def _announce_delete(self) -> None:
        NotificationCenter().post_notification('CFGSettingsObjectWasDeleted', sender=self, data=TimestampedNotificationData())
        writer.done([(self, 'delete', {})])

    @classmethod
    def register_extension(cls, extension: type) -> None:
        """Add the settings and groups of a SettingsObjectExtension, replacing those of the same name. TypeError."""
        if not (isinstance(extension, type) and issubclass(extension, SettingsObjectExtension)):
            raise TypeError(f'not a SettingsObjectExtension: {extension!r}')
        members: dict[str, Any] = {}
        for base in reversed(extension.__mro__):
            members.update(vars(base))
        for name, value in members.items():
            if name.startswith('__') or isinstance(value, SettingsObjectID):
                continue
            if is_group(value) or isinstance(value, AbstractSetting):
                cls._add(name, value)


def forget_static_objects() -> None:
    """Let singletons be made anew from another configuration, after the application stopped."""
    with _lock:
        _static.clear()
        _dynamic.clear()
