"""What contacts, their addresses, groups and policies have in common: settings that are stored and shared, extensions, save() and delete()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from sipsimple.addressbook.datatypes import ObjectID, SharedSetting, SyncedSetting
from sipsimple.addressbook.store import Change, store
from sipsimple.configuration import DefaultValue, ModifiedValue, Setting, SettingsObjectImmutableID, SettingsState
from sipsimple.configuration.descriptors import AbstractSetting, Cell, same
from sipsimple.configuration.objects import is_group
from sipsimple.notification import NotificationCenter, NotificationData

__all__ = ['AddressbookExtension', 'AddressbookObject', 'Field', 'Item']


class AddressbookExtension:
    """Base of the classes whose settings and groups are added to a class of the addressbook."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError('an extension cannot be instantiated')


class Field(NamedTuple):
    """A setting of a class that servers are told, also one in a group.

    Attributes:
        path: dotted, as in notifications.
        groups: the groups on the way to it.
        setting: its descriptor.
        is_extension: it is the application's, and so among the `attributes` there.
    """

    path: str
    groups: tuple[str, ...]
    setting: SyncedSetting
    is_extension: bool

    def owner(self, obj: Any) -> Any:
        """The object or group that has the setting."""
        for name in self.groups:
            obj = getattr(obj, name)
        return obj

    def text(self, obj: Any) -> str | None:
        """What was last saved, as a text."""
        text: str | None = self.setting.to_text(self.owner(obj))
        return text

    def committed(self, obj: Any) -> Any:
        """What was last saved."""
        return self.setting.get_old(self.owner(obj))

    def take_over(self, obj: Any, value: Any) -> ModifiedValue | None:
        """Have a value of the server as the saved one; what the application has set and not saved stays. None: it was that value already.

        ValueError, TypeError, and what types of an application raise: it is no value for the setting.
        """
        setting, owner = self.setting, self.owner(obj)
        value = setting.load(value) if self.is_extension and value is not None else setting.convert(value)
        with setting._lock:
            cell = owner._values.setdefault(setting.name, Cell())
            old = setting.default if cell.committed is DefaultValue else cell.committed
            if same(old, value):
                return None
            if not cell.dirty:
                cell.value = value
            cell.committed = value
            cell.dirty = not same(cell.value, value)
            return ModifiedValue(old, value)


def committed_state(state: SettingsState) -> dict[str, Any]:
    """The tree of what was last saved. Values are in it also when they are the default."""
    tree: dict[str, Any] = {}
    for name, setting in state._settings.items():
        if not getattr(setting, 'stored', True):
            continue
        own = getattr(setting, 'committed_state', None)
        if own is not None:
            tree[name] = own(state)
        elif isinstance(setting, Setting):
            tree[name] = setting.to_state(setting.get_old(state))
        else:
            tree[name] = setting.__getstate__(state)
    unread = getattr(state, '_unread', {})
    for name in state._group_classes:
        if name in unread and name not in state._groups:
            tree[name] = dict(unread[name])
            continue
        group = getattr(state, name)
        own = getattr(group, 'committed_state', None)
        tree[name] = own() if own is not None else committed_state(group)
    return tree


class Item(SettingsState):
    """Something with an id, settings, and extensions by the application."""

    id = SettingsObjectImmutableID(type=ObjectID)
    _unread: dict[str, Any] = {}                # groups that nobody has looked at yet: name -> their stored state
    _extension_type: ClassVar[type] = AddressbookExtension
    _fields_of: ClassVar[tuple[Any, tuple[Field, ...]] | None] = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load a stored tree; of groups that need no other look, which are most in an addressbook of thousands, when they are asked for."""
        if self._group_classes:
            sound = {}
            for name, group in self._group_classes.items():
                is_sound = getattr(group, 'is_sound', None)
                if is_sound is not None and name in state and is_sound(state[name]):
                    sound[name] = state[name]
            if sound:
                self._unread = sound
                state = {name: value for name, value in state.items() if name not in sound}
        super().__setstate__(state)

    def _make_group(self, name: str, group: Any) -> Any:
        made = group()
        if name in self._unread:
            made.__setstate__(self._unread[name])
        return made

    @classmethod
    def register_extension(cls, extension: type) -> None:
        """Add the settings and groups of an extension, replacing those of the same name; before the addressbook is loaded.

        TypeError: not an extension of this class. RuntimeError: it has shared settings, and `SharedSetting.set_namespace` was not called.
        """
        if not (isinstance(extension, type) and issubclass(extension, cls._extension_type)):
            raise TypeError(f'not a {cls._extension_type.__name__}: {extension!r}')
        members: dict[str, Any] = {}
        for base in reversed(extension.__mro__):
            members.update(vars(base))
        found = {name: value for name, value in members.items()
                 if not name.startswith('__') and name != 'id' and (is_group(value) or isinstance(value, AbstractSetting))}
        if not SharedSetting.has_namespace() and any(_has_shared(value) for value in found.values()):
            raise RuntimeError('SharedSetting.set_namespace() has to be called before')
        for name, value in found.items():
            cls._add(name, value)

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """The settings that servers are told."""
        known = cls.__dict__.get('_fields_of')
        if known is None or known[0] is not cls._settings:
            cls._fields_of = known = (cls._settings, tuple(_fields(cls, ())))
        return known[1]


def _fields(cls: Any, groups: tuple[str, ...]) -> Iterator[Field]:
    for name, setting in cls._settings.items():
        if isinstance(setting, SyncedSetting):
            yield Field('.'.join([*groups, name]), groups, setting, isinstance(setting, SharedSetting))
    for name, group in cls._group_classes.items():
        if not hasattr(group, '_item_type'):
            yield from _fields(group, (*groups, name))


def _has_shared(value: Any) -> bool:
    if is_group(value):
        return any(map(_has_shared, value._settings.values())) or any(map(_has_shared, value._group_classes.values()))
    return isinstance(value, SharedSetting)


class AddressbookObject(Item):
    """A contact, group or policy: it is stored by itself.

    Args:
        id: of one that is stored already; None for a new one, with an id of its own.

    Raises:
        RuntimeError: the AddressbookManager has not loaded.
        DuplicateIDError: there is an object with that id. ValueError, TypeError: it cannot be an id.
    """

    __group__: ClassVar[str] = ''
    _state: str             # new, saved, deleted

    def __new__(cls, id: str | None = None) -> Any:
        self = super().__new__(cls)
        store.enter(self, id)
        return self

    def __init__(self, id: str | None = None) -> None:
        pass

    @classmethod
    def _make(cls, id: ObjectID) -> Any:
        """An empty object, which is not entered anywhere."""
        self = Item.__new__(cls)
        self._id_cell = cell = Cell()
        cell.value = cell.committed = id
        self._state = 'new'
        return self

    def __repr__(self) -> str:
        return f'{type(self).__name__}(id={str(self.id)!r})'

    def save(self) -> None:
        """Store what changed, here and on the servers of the accounts; returns at once. Nothing happens when nothing changed, and after delete().

        Thread: any; servers, notifications and the file follow in 'file-io'.
        """
        with store.lock:
            if self._state == 'deleted':
                return
            is_new = self._state == 'new'
            self._will_save()
            modified = self.get_modified()
            if is_new:
                store.submit(Change(self, 'add', {}))
                self._did_add()
            elif modified:
                store.submit(Change(self, 'update', modified, is_stored=any(map(self._is_stored, modified))))

    def delete(self) -> None:
        """Remove it, here and from the servers of the accounts; returns at once. Saves and deletes after it do nothing.

        Thread: any; servers, notifications and the file follow in 'file-io'.
        """
        with store.lock:
            if self._state == 'saved':
                self._remove(None)
            elif self._state == 'new':
                self._give_up()
            self._state = 'deleted'

    def _remove(self, origin: Any) -> None:
        """Take it out of the book; with the lock held."""
        store.submit(Change(self, 'remove', {}, origin=origin))

    def _give_up(self) -> None:
        """It is deleted before it was saved; with the lock held."""

    def _will_save(self) -> None:
        """It is about to be saved; with the lock held."""

    def _did_add(self) -> None:
        """It was saved for the first time; with the lock held."""

    def _is_stored(self, path: str) -> bool:
        owner: Any = type(self)
        *groups, name = path.split('.')
        for group in groups:
            owner = owner._group_classes.get(group)
            if owner is None:
                return True
        return bool(getattr(owner._settings.get(name), 'stored', True))

    def stored_state(self) -> dict[str, Any]:
        """The tree of what was last saved, as the configuration has it."""
        return committed_state(self)

    def clone(self, new_id: str | None = None) -> Any:
        """Raise NotImplementedError."""
        raise NotImplementedError('objects of the addressbook cannot be cloned')

    # What follows is written out in each class, with literal names, so that they can be searched for.

    def _post_activated(self) -> None:
        raise NotImplementedError

    def _post_created(self) -> None:
        raise NotImplementedError

    def _post_changed(self, modified: dict[str, Any]) -> None:
        raise NotImplementedError

    def _post_deleted(self) -> None:
        raise NotImplementedError

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**data))
