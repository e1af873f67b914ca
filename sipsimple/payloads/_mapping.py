"""Elements that are a mapping of names to texts, each in an element of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sipsimple.payloads import XMLAttribute, XMLElement, XMLElementID, XMLListElement
from sipsimple.payloads._xml.attributes import representable
from sipsimple.payloads._xml.elements import text_of
from sipsimple.payloads.datatypes import Boolean

__all__ = ['NamedText', 'TextMapping']


class NamedText(XMLElement):
    """A name with a text or None."""

    _xml_is_base = True
    name = XMLElementID('name', type=str, required=True)
    nil = XMLAttribute('nil', type=Boolean)
    _value: str = ''

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__()
        self.name = name
        self.value = value

    @property
    def value(self) -> str | None:
        """The text, or None."""
        return None if self.nil else self._value

    @value.setter
    def value(self, value: str | None) -> None:
        self.nil = True if value is None else None
        self._value = '' if value is None else representable(str(value))
        if self._node is not None:
            for child in list(self._node):      # comments
                self._node.remove(child)
            self._node.text = self._value
        self._dirty = self._changed = True

    def _text(self) -> str:
        return self._value

    def _parse_content(self) -> None:
        self._value = text_of(self._node)

    def _content(self) -> Any:
        return self.value


class TextMapping(XMLListElement):
    """A mapping of names to texts; a text may be None.

    Args:
        attributes: what to begin with.

    Class attributes of derived classes:
        _xml_item_types: the class of the elements, derived from `NamedText`.
    """

    _xml_is_base = True

    def __init__(self, attributes: Mapping[str, str | None] | Iterable[tuple[str, str | None]] = ()) -> None:
        super().__init__()
        self.update(attributes)

    def _find(self, name: Any) -> NamedText | None:
        self._load()
        found: Any = self._index.get((self._xml_item_classes[0], name))
        return found    # type: ignore[no-any-return]

    def __getitem__(self, name: Any) -> Any:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found.value

    def __setitem__(self, name: str, value: str | None) -> None:
        found = self._find(name)
        if found is None:
            self._add_element(self._xml_item_classes[0](name, value))
        elif found.value != value:
            found.value = value

    def __delitem__(self, name: Any) -> None:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        self._remove_element(found)

    def __iter__(self) -> Iterator[str]:
        return iter([item.name for item in self._elements()])   # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._load())

    def __contains__(self, name: Any) -> bool:
        return self._find(name) is not None

    def keys(self) -> list[str]:
        """The names."""
        return list(self)

    def values(self) -> list[str | None]:
        """The texts."""
        return [item.value for item in self._elements()]    # type: ignore[attr-defined]

    def items(self) -> list[tuple[str, str | None]]:
        """Names and texts."""
        return [(item.name, item.value) for item in self._elements()]   # type: ignore[attr-defined]

    def update(self, items: Any = (), **more: str | None) -> None:
        """Set what a mapping, pairs, or keywords say."""
        for name, value in dict(items, **more).items():
            self[name] = value

    def clear(self) -> None:
        """Take all out."""
        for item in list(self._elements()):
            self._remove_element(item)

    def pop(self, name: str, *default: Any) -> Any:
        """Take one out and return its text; KeyError, or `default`, when it is not there."""
        found = self._find(name)
        if found is None:
            if default:
                return default[0]
            raise KeyError(name)
        value = found.value
        self._remove_element(found)
        return value

    def setdefault(self, name: str, value: str | None = None) -> str | None:
        """The text, set before when it is not there."""
        if name not in self:
            self[name] = value
        text: str | None = self[name]
        return text
