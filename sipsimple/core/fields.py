"""How the frozen/mutable twins of URIs, credentials, headers and SDP grow from one field list.

A `BaseX` class names its fields in `_fields`, keeps their values in the slots `_<field>` and has the constructor.
`@twins(BaseX, X)` on FrozenX completes both: X gets writable properties that check what is assigned, FrozenX gets
read-only ones, a hash and a cached text. Construction writes to the slots directly, so it costs no property call.

The order of `_fields` is the order of the constructor's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar

from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError

Check = Callable[[Any, Any], Any]  # (the object, the new value) -> the value to store
Shortcut = tuple[Callable[[Any], Any], Callable[[Any, Any], None]]  # reads, writes

EMPTY: frozendict[str, str | None] = frozendict()


class Value:
    """Root of the values: equality over all fields and both variants, pickling, conversion."""

    __slots__ = ()

    _fields: ClassVar[dict[str, Check]] = {}
    _shortcuts: ClassVar[dict[str, Shortcut]] = {}  # typed views of parts of a field, e.g. of one parameter
    _base: ClassVar[type[Value]]
    _frozen: ClassVar[bool] = False
    _key: ClassVar[Callable[[Any], tuple[Any, ...]]]
    normal_type: ClassVar[type[Any]]
    frozen_type: ClassVar[type[Any]]
    _constructor: ClassVar[Callable[..., None]]  # of an abstract class, for its subclasses

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__init__ is _refuse:
            setattr(cls, '__init__', cls._constructor)

    def _format(self) -> str:
        raise NotImplementedError

    def _initialized_again(self) -> Exception:
        """The exception for a second __init__."""
        if self._frozen:
            return TypeError(f'{type(self).__name__} is read-only')
        return SIPCoreError(f'{type(self).__name__}.__init__() was already called')

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, self._base):
            return NotImplemented
        return bool(self._key() == other._key())

    def __hash__(self) -> int:  # mutable twins get None instead
        return hash((self._base, self._key()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._key()

    @classmethod
    def new(cls, value: Any) -> Self:
        """Convert from either variant. A frozen class returns its own objects as they are, else the result is a deep copy."""
        if cls._frozen and type(value) is cls:
            return value
        if not isinstance(value, cls._base):
            raise TypeError(f'expected {cls._base.__name__[4:]} or its twin, got {type(value).__name__}')
        return cls(*map(freeze if cls._frozen else thaw, value._key()))


def freeze(value: Any) -> Any:
    """The frozen form of a field value."""
    if isinstance(value, Value):
        return value.frozen_type.new(value)
    if isinstance(value, dict):
        return frozendict(value) if value else EMPTY
    return value


def thaw(value: Any) -> Any:
    """An independent, mutable copy of a field value."""
    if isinstance(value, Value):
        return value.normal_type.new(value)
    if isinstance(value, dict):
        return dict(value)
    return value


V = TypeVar('V', bound=Value)


def _refuse(self: Value, *args: object, **kwargs: object) -> None:
    raise TypeError(f"Can't instantiate abstract class {type(self).__name__}")


def abstract(cls: type[V]) -> type[V]:
    """Class decorator: instantiation raises TypeError, subclasses pay nothing (unlike with the ABCMeta metaclass).

    Marking the class in `__abstractmethods__` is not enough: without ABCMeta, calls that Python has specialised do not look there (3.14).
    """
    setattr(cls, '_constructor', cls.__init__)
    setattr(cls, '__init__', _refuse)
    setattr(cls, '__abstractmethods__', frozenset({'__init__'}))
    return cls


def _writable(slot: str, check: Check) -> property:
    def assign(self: Any, value: Any) -> None:
        setattr(self, slot, check(self, value))
    return property(attrgetter(slot), assign)


def _cached_format(self: Any) -> str:
    text = self._printed
    if text is None:
        text = self._printed = self._format()
    return text  # type: ignore[no-any-return]


def _unchanged(self: V, *memo: object) -> V:
    return self


def twins(base: type[Value], normal: type[Value], text: str = '__str__') -> Callable[[type[V]], type[V]]:
    """Class decorator for FrozenX: complete the pair `normal`/FrozenX of `base`.

    Args:
        text: the property or method that gives the value's text; the frozen class caches it in the slot `_printed`.
    """
    slots = ['_' + name for name in base._fields]
    getter = attrgetter(*slots)

    def key(self: Any) -> tuple[Any, ...]:
        return getter(self) if len(slots) > 1 else (getter(self),)

    def complete(frozen: type[V]) -> type[V]:
        for cls in (base, normal, frozen):
            setattr(cls, '_base', base)
            setattr(cls, '_key', key)
            setattr(cls, 'normal_type', normal)
            setattr(cls, 'frozen_type', frozen)
        for name, check in base._fields.items():
            if not hasattr(base, name):  # else the base class has a property of its own
                setattr(normal, name, _writable('_' + name, check))
                setattr(frozen, name, property(attrgetter('_' + name)))
        for name, (read, write) in base._shortcuts.items():
            setattr(normal, name, property(read, write))
            setattr(frozen, name, property(read))
        setattr(normal, '__hash__', None)
        setattr(frozen, '_frozen', True)
        setattr(frozen, '__copy__', _unchanged)
        setattr(frozen, '__deepcopy__', _unchanged)
        as_property = text != '__str__'
        setattr(normal, text, property(base._format) if as_property else base._format)
        setattr(frozen, text, property(_cached_format) if as_property else _cached_format)
        return frozen
    return complete


# Checks of single fields.

def text_field(owner: Value, value: Any) -> str:
    """A str."""
    if not isinstance(value, str):
        raise TypeError(f'{type(owner).__name__}: expected str, got {type(value).__name__}')
    return value


def optional_text(owner: Value, value: Any) -> str | None:
    """A str or None."""
    return None if value is None else text_field(owner, value)


def parameters_field(owner: Value, value: Any) -> dict[str, str | None]:
    """A dict of the owner's own (mutable owner), or a frozendict (frozen owner); None is empty."""
    if owner._frozen:
        if value is None:
            return EMPTY
        if not isinstance(value, frozendict):
            raise TypeError(f'{type(owner).__name__}: expected frozendict, got {type(value).__name__}')
        return value
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f'{type(owner).__name__}: expected dict, got {type(value).__name__}')
    return dict(value)


def port_field(owner: Value, value: Any) -> int:
    """A port number, 1..65535, from anything int() takes; ValueError outside."""
    port = int(value)
    if not 0 < port < 65536:
        raise ValueError(f'invalid port: {value!r}')
    return port


def optional_port(owner: Value, value: Any) -> int | None:
    """As port_field, or None."""
    return None if value is None else port_field(owner, value)


def flag_field(owner: Value, value: Any) -> bool:
    """Any truth value."""
    return bool(value)


def number(text: str | None, limit: int = 0xFFFFFFFF) -> int | None:
    """A decimal number from the wire: None when it is not one, `limit` when it is larger (RFC 3261 §20.19: 2^32-1 seconds)."""
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(int(text), limit) if len(text) < 20 else limit
