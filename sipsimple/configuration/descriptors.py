"""Setting and its variants: class-level descriptors with a value per owner.

A value is implicit (the default) or explicit; beside it stands the committed value, what the last save or load knew.
An owner keeps them in its `_values` dict: name -> Cell. Each descriptor's lock makes a change one step for other threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

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


type_of_classes = type          # inside Setting, `type` is an argument and an attribute


def is_class(kind: object, base: Any) -> bool:
    """True when `kind` is a class, and `base` or derived from it; `base` may be a tuple."""
    return isinstance(kind, type_of_classes) and issubclass(kind, base)


def same(left: Any, right: Any) -> bool:
    """Equal values of one class; DefaultValue is equal to itself only."""
    return left is right or type_of_classes(left) is type_of_classes(right) and bool(left == right)


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

    stored: ClassVar[bool] = True

    def __init__(self, type: Callable[..., Any], default: Any = None, nillable: bool = False) -> None:
        if default is None and not nillable:
            raise TypeError('a setting without default must be nillable')
        self.type = type
        self.default = default
        self.nillable = nillable
        self._lock = threading.RLock()

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        cell = obj._values.get(self.name)
        value = DefaultValue if cell is None else cell.value
        return self.default if value is DefaultValue else value

    def convert(self, value: Any) -> Any:
        """The value as the type has it. ValueError, TypeError."""
        if value is None:
            if not self.nillable:
                raise ValueError(f'{self.name} cannot be None')
            return None
        kind = self.type
        if kind is bool:
            return parse_bool(value)
        if is_class(kind, int) and isinstance(value, bool):
            value = int(value)              # or the file would say "true"
        if is_class(kind, str) and isinstance(value, (bytes, bytearray)):
            raise TypeError(f'{self.name} is a text, not bytes: {value!r}')
        if isinstance(kind, type_of_classes) and isinstance(value, kind):
            return value
        return kind(value)

    def __set__(self, obj: Any, value: Any) -> None:
        if value is not DefaultValue:
            value = self.convert(value)
        with self._lock:
            cell = obj._values.get(self.name)
            if cell is None:
                if value is DefaultValue:
                    return
                cell = obj._values[self.name] = Cell()
            if value is DefaultValue:
                cell.dirty = cell.committed is not DefaultValue
                cell.value = DefaultValue
            elif not same(cell.value, value):
                cell.dirty = not same(cell.committed, value)
                cell.value = value

    def __delete__(self, obj: Any) -> None:
        raise AttributeError(f'{self.name} cannot be deleted')

    def __getstate__(self, obj: Any = None) -> Any:
        if obj is None:
            return self.__dict__
        cell = obj._values.get(self.name)
        return self.to_state(DefaultValue if cell is None else cell.value)

    @staticmethod
    def to_state(value: Any) -> Any:
        """The text, or list of texts, that a value is stored as; None and DefaultValue are themselves."""
        if value is DefaultValue or value is None:
            return value
        if isinstance(value, bool):
            return 'true' if value else 'false'
        if isinstance(value, (int, str)):
            return str(value)
        kind: Any = type_of_classes(value)
        if kind.__getstate__ is not object.__getstate__:
            return kind.__getstate__(value)
        return str(value)

    def load(self, value: Any) -> Any:
        """The value in a stored text or list. ValueError, TypeError, and what application-defined types raise."""
        kind = self.type
        if value is None:
            if not self.nillable:
                raise ValueError(f'{self.name} has no value')
            return None
        if kind is bool:
            return parse_bool(value)
        if is_class(kind, (int, str)):
            if not isinstance(value, str):
                raise ValueError(f'{self.name} is not a single text: {value!r}')
            return kind(value)
        if isinstance(kind, type_of_classes) and hasattr(kind, '__setstate__'):
            empty: Any = kind
            loaded: Any = empty.__new__(empty)
            loaded.__setstate__(value)
            return loaded
        return kind(value)

    def __setstate__(self, obj: Any, value: Any = None) -> None:
        """Load a stored text; it counts as committed. On an exception nothing has changed."""
        loaded = self.load(value)
        with self._lock:
            cell = obj._values.get(self.name)
            if cell is None:
                cell = obj._values[self.name] = Cell()
            cell.value = cell.committed = loaded
            cell.dirty = False

    def get_modified(self, obj: Any) -> ModifiedValue | None:
        """Commit the owner's value; return what changed since the last commit, None for nothing."""
        with self._lock:
            cell = obj._values.get(self.name)
            if cell is None or not cell.dirty:
                return None
            old = self.default if cell.committed is DefaultValue else cell.committed
            new = self.default if cell.value is DefaultValue else cell.value
            cell.committed, cell.dirty = cell.value, False
            return ModifiedValue(old, new)

    def is_modified(self, obj: Any) -> bool:
        """True when there is a change that get_modified() would report."""
        cell = obj._values.get(self.name)
        return cell is not None and cell.dirty

    def get_old(self, obj: Any) -> Any:
        """Return the committed value, the default when there is none."""
        cell = obj._values.get(self.name)
        return self.default if cell is None or cell.committed is DefaultValue else cell.committed

    def undo(self, obj: Any) -> None:
        """Go back to the committed value."""
        with self._lock:
            cell = obj._values.get(self.name)
            if cell is not None:
                cell.value, cell.dirty = cell.committed, False


class CorrelatedSetting(Setting):
    """A setting whose values must fit those of a sibling: `validator(value, sibling_value)` raises to refuse."""

    _pair_lock: ClassVar[threading.RLock] = threading.RLock()       # of all: a validator reads two settings

    def __init__(self, type: Callable[..., Any], sibling: str, validator: Callable[[Any, Any], object], default: Any = None,
                 nillable: bool = False) -> None:
        super().__init__(type, default, nillable)
        self.sibling = sibling
        self.validator = validator

    def __set__(self, obj: Any, value: Any) -> None:
        new = self.default if value is DefaultValue else self.convert(value)
        with self._pair_lock:
            self.validator(new, getattr(obj, self.sibling))
            super().__set__(obj, value if value is DefaultValue else new)

    def check_loaded(self, obj: Any) -> None:
        """Validate a loaded value, once its sibling is loaded too; raises what the validator raises, back at the default."""
        with self._pair_lock:
            cell = obj._values.get(self.name)
            if cell is None or cell.value is DefaultValue:
                return
            try:
                self.validator(cell.value, getattr(obj, self.sibling))
            except BaseException:
                del obj._values[self.name]
                raise


class RuntimeSetting(Setting):
    """A setting that is reported in changes but never stored."""

    stored = False


class SettingsObjectID(AbstractSetting):
    """The id of a settings object, or of an item of a collection; changeable, a change is committed by save().

    ValueError, TypeError from `type`; DuplicateIDError when another live object has the id or had it at the last save.
    """

    def __init__(self, type: Callable[[str], Any]) -> None:
        self.type = type

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        if obj._id_cell is None:
            raise AttributeError('the id was not set yet')
        return obj._id_cell.value

    def __set__(self, obj: Any, value: Any) -> None:
        new = value if isinstance(self.type, type_of_classes) and isinstance(value, self.type) else self.type(value)
        if obj._id_cell is None:            # an item of a collection, in its constructor
            obj._id_cell = cell = Cell()
            cell.value = cell.committed = new
        else:
            obj._change_id(new)

    def __delete__(self, obj: Any) -> None:
        raise AttributeError('an id cannot be deleted')

    def get_modified(self, obj: Any) -> ModifiedValue | None:
        """Commit the id; return its change, None for none."""
        cell = obj._id_cell
        if cell is None or not cell.dirty:
            return None
        change = ModifiedValue(cell.committed, cell.value)
        cell.committed, cell.dirty = cell.value, False
        return change

    def get_old(self, obj: Any) -> Any:
        """Return the committed id."""
        return obj._id_cell.committed

    def undo(self, obj: Any) -> None:
        """Go back to the committed id."""
        if obj._id_cell.dirty:
            obj._change_id(obj._id_cell.committed)


class SettingsObjectImmutableID(SettingsObjectID):
    """The id of a settings object, fixed at its construction: AttributeError on a change."""

    def __set__(self, obj: Any, value: Any) -> None:
        if obj._id_cell is not None:
            raise AttributeError('this id cannot be changed')
        super().__set__(obj, value)
