"""Setting and its variants: class-level descriptors with a value per owner.

A value is implicit (the default) or explicit; beside it stands the committed value, what the last save or load knew.
An owner keeps them in its `_values` dict: name -> Cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipsimple.configuration.changes import DefaultValue, ModifiedValue

__all__ = ['AbstractSetting', 'CorrelatedSetting', 'RuntimeSetting', 'Setting', 'SettingsObjectID', 'SettingsObjectImmutableID']

TRUE = frozenset(('true', 'yes', 'on', '1'))
FALSE = frozenset(('false', 'no', 'off', '0'))


class AbstractSetting:
    """Base of everything that a settings class is scanned for, also of application-defined descriptors."""

    name: str = ''

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            self.name = name

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        raise NotImplementedError

    def __set__(self, obj: Any, value: Any) -> None:
        raise NotImplementedError

    def __getstate__(self, obj: Any = None) -> Any:
        raise NotImplementedError

    def __setstate__(self, obj: Any, value: Any = None) -> None:
        raise NotImplementedError

    def get_modified(self, obj: Any) -> ModifiedValue | None:
        """The change since the last call, committed now; None when there is none."""
        raise NotImplementedError

    def get_old(self, obj: Any) -> Any:
        """The committed value, or the default."""
        raise NotImplementedError

    def undo(self, obj: Any) -> None:
        """Back to the committed value."""
        raise NotImplementedError


class Cell:
    """Value of one setting of one owner; DefaultValue stands for "implicit"."""

    __slots__ = ('value', 'committed', 'dirty')

    def __init__(self) -> None:
        self.value: Any = DefaultValue
        self.committed: Any = DefaultValue
        self.dirty = False


def parse_bool(value: Any) -> bool:
    """True or False for a bool, 0/1, or the words that files use. ValueError."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in TRUE:
        return True
    if isinstance(value, str) and value.lower() in FALSE:
        return False
    raise ValueError(f'not a boolean: {value!r}')


class Setting(AbstractSetting):
    """A typed setting.

    Args:
        type: called with a value that is no instance of it; its ValueError/TypeError refuses the value.
        default: TypeError when None and not nillable.
    """

    stored = True

    def __init__(self, type: Callable[..., Any], default: Any = None, nillable: bool = False) -> None:
        if default is None and not nillable:
            raise TypeError('a setting without default must be nillable')
        self.type = type
        self.default = default
        self.nillable = nillable

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        cell = obj._values.get(self.name)
        if cell is None or cell.value is DefaultValue:
            return self.default
        return cell.value

    def convert(self, value: Any) -> Any:
        """The value as the type has it. ValueError, TypeError."""
        if value is None:
            if not self.nillable:
                raise ValueError(f'{self.name} cannot be None')
            return None
        if self.type is bool:
            return parse_bool(value)
        if isinstance(self.type, type) and isinstance(value, self.type):
            return value
        return self.type(value)

    def __set__(self, obj: Any, value: Any) -> None:
        if value is not DefaultValue:
            value = self.convert(value)
        cell = obj._values.get(self.name)
        if cell is None:
            if value is DefaultValue:
                return
            cell = obj._values[self.name] = Cell()
        if value is DefaultValue:
            cell.value = DefaultValue
            cell.dirty = cell.committed is not DefaultValue
            return
        if cell.value is not DefaultValue and type(cell.value) is type(value) and cell.value == value:
            return
        cell.value = value
        cell.dirty = cell.committed is DefaultValue or cell.committed != value

    def __delete__(self, obj: Any) -> None:
        raise AttributeError(f'{self.name} cannot be deleted')

    def __getstate__(self, obj: Any = None) -> Any:
        if obj is None:
            return self.__dict__
        cell = obj._values.get(self.name)
        value = DefaultValue if cell is None else cell.value
        if value is DefaultValue or value is None:
            return value
        if isinstance(value, bool):
            return 'true' if value else 'false'
        if isinstance(value, (int, str)):
            return str(value)
        own = getattr(type(value), '__getstate__', None)
        if own is not None and own is not getattr(object, '__getstate__', None):
            return value.__getstate__()
        return str(value)

    def __setstate__(self, obj: Any, value: Any = None) -> None:
        """Load a stored text; it counts as committed. ValueError, TypeError."""
        if value is None:
            if not self.nillable:
                raise ValueError(f'{self.name} has no value')
            loaded = None
        elif self.type is bool:
            loaded = parse_bool(value)
        elif isinstance(self.type, type) and issubclass(self.type, (int, str)):
            if not isinstance(value, str):
                raise ValueError(f'{self.name} is not a single text: {value!r}')
            loaded = self.type(value)
        elif isinstance(self.type, type) and hasattr(self.type, '__setstate__'):
            loaded = self.type.__new__(self.type)
            loaded.__setstate__(value)
        else:
            loaded = self.type(value)
        cell = obj._values.get(self.name)
        if cell is None:
            cell = obj._values[self.name] = Cell()
        cell.value = cell.committed = loaded
        cell.dirty = False

    def get_modified(self, obj: Any) -> ModifiedValue | None:
        cell = obj._values.get(self.name)
        if cell is None or not cell.dirty:
            return None
        old = self.default if cell.committed is DefaultValue else cell.committed
        new = self.default if cell.value is DefaultValue else cell.value
        cell.committed, cell.dirty = cell.value, False
        return ModifiedValue(old, new)

    def is_modified(self, obj: Any) -> bool:
        cell = obj._values.get(self.name)
        return cell is not None and cell.dirty

    def get_old(self, obj: Any) -> Any:
        cell = obj._values.get(self.name)
        return self.default if cell is None or cell.committed is DefaultValue else cell.committed

    def undo(self, obj: Any) -> None:
        cell = obj._values.get(self.name)
        if cell is not None:
            cell.value, cell.dirty = cell.committed, False


class CorrelatedSetting(Setting):
    """A setting whose values must fit those of a sibling: `validator(value, sibling_value)` raises to refuse."""

    def __init__(self, type: Callable[..., Any], sibling: str, validator: Callable[[Any, Any], object], default: Any = None,
                 nillable: bool = False) -> None:
        super().__init__(type, default, nillable)
        self.sibling = sibling
        self.validator = validator

    def __set__(self, obj: Any, value: Any) -> None:
        new = self.default if value is DefaultValue else self.convert(value)
        self.validator(new, getattr(obj, self.sibling))
        super().__set__(obj, value)


class RuntimeSetting(Setting):
    """A setting that is reported in changes but never stored."""

    stored = False


class SettingsObjectID(AbstractSetting):
    """The id of a settings object, changeable; a change is committed by save()."""

    def __init__(self, type: Callable[[str], Any]) -> None:
        self.type = type

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        return obj._id_cell.value

    def __set__(self, obj: Any, value: Any) -> None:
        from sipsimple.configuration import objects
        objects.change_id(obj, self.type(value))

    def __delete__(self, obj: Any) -> None:
        raise AttributeError('an id cannot be deleted')

    def get_modified(self, obj: Any) -> ModifiedValue | None:
        cell = obj._id_cell
        if not cell.dirty:
            return None
        change = ModifiedValue(cell.committed, cell.value)
        cell.committed, cell.dirty = cell.value, False
        return change

    def get_old(self, obj: Any) -> Any:
        return obj._id_cell.committed

    def undo(self, obj: Any) -> None:
        self.__set__(obj, obj._id_cell.committed)


class SettingsObjectImmutableID(SettingsObjectID):
    """The id of a settings object, fixed at its construction."""

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError('this id cannot be changed')
