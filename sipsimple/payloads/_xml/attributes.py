"""Attributes of elements, and how values become text and text values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ['XMLAttribute', 'XMLElementID', 'converters', 'must_be_representable', 'representable']


_NOT_XML = re.compile('[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]')


def representable(text: str) -> str:
    """The text, with U+FFFD for each character that XML does not have; what others say may have some."""
    return text if text.isprintable() else _NOT_XML.sub('\ufffd', text)


def must_be_representable(text: str) -> None:
    """Raises ValueError for a character that XML does not have."""
    if not text.isprintable() and _NOT_XML.search(text):
        raise ValueError(f'{text!r} has a character that XML does not have')


def _parse_bool(text: str) -> bool:
    word = text.strip()
    if word in ('true', '1'):
        return True
    if word in ('false', '0'):
        return False
    raise ValueError(f'{text!r} is no boolean')


def _build_bool(value: bool) -> str:
    return 'true' if value else 'false'


def converters(kind: Any) -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    """How `kind` is read from text and written to it: its hooks `__xmlparse__(text)` and `__xmlbuild__(value)`, else the constructor and str()."""
    if kind is bool:
        return _parse_bool, _build_bool
    return getattr(kind, '__xmlparse__', kind), getattr(kind, '__xmlbuild__', str)


class XMLAttribute:
    """An XML attribute as an attribute of the object.

    Args:
        name: of the Python attribute.
        xmlname: of the XML attribute when it differs; `{namespace}name` when it has a namespace.
        type: what values are made with; may have `__xmlparse__(text)` and `__xmlbuild__(value)`.
        default: the value when there is none.
        required: whether the element is incomplete without.
        test_equal: whether it takes part in comparison.
        onset, ondel: called as onset(obj, descriptor, value) and ondel(obj, descriptor) after a change.

    Setting None removes the attribute; a value that `type` refuses raises its ValueError or TypeError. Characters that XML does not have become U+FFFD in text.
    """

    is_id = False

    def __init__(self, name: str, xmlname: str | None = None, type: Any = str, default: Any = None, required: bool = False, test_equal: bool = True,
                 onset: Callable[..., object] | None = None, ondel: Callable[..., object] | None = None) -> None:
        self.name = name
        self.xmlname = xmlname or name
        self.type = type
        self.default = default
        self.required = required
        self.test_equal = test_equal
        self.onset = onset
        self.ondel = ondel
        self.parse, self.build = converters(type)
        self.plain = type is str
        self.is_checked = self.build is str     # a hook makes text that XML has, or raises ValueError

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        return obj._values.get(self.name, self.default)

    def __set__(self, obj: Any, value: Any) -> None:
        if value is None:
            self.__delete__(obj)
            return
        if type(value) is not self.type:
            value = self.type(value)
        name, values = self.name, obj._values
        if name in values:
            if self.is_id:
                raise AttributeError(f'{name} is the id of the element and cannot be changed')
            if values[name] == value:
                return
        if self.plain:
            value = representable(value)
        elif self.is_checked:
            must_be_representable(str(value))
        if obj._node is not None:
            obj._node.set(self.xmlname, self.build(value))
        values[name] = value
        obj._dirty = obj._changed = True
        if self.onset is not None:
            self.onset(obj, self, value)

    def __delete__(self, obj: Any) -> None:
        if self.name not in obj._values:
            return
        del obj._values[self.name]
        if obj._node is not None:
            obj._node.attrib.pop(self.xmlname, None)
        obj._dirty = obj._changed = True
        if self.ondel is not None:
            self.ondel(obj, self)


class XMLElementID(XMLAttribute):
    """The attribute that tells elements of one class in a list apart; written once, never deleted."""

    is_id = True

    def __delete__(self, obj: Any) -> None:
        if self.name in obj._values:
            raise AttributeError(f'{self.name} is the id of the element and cannot be deleted')
