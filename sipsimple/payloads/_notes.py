"""Notes: texts in a language, in the elements of presence documents that have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from sipsimple.payloads import XMLElement, XMLListElement, XMLLocalizedStringElement

__all__ = ['Note', 'NoteList', 'WithNotes']


class Note(str):
    """A text, and the language it is in or None; equal to a str only without language."""

    lang: str | None

    def __new__(cls, text: str, lang: str | None = None) -> Self:
        self = super().__new__(cls, text)
        self.lang = lang if lang is not None else getattr(text, 'lang', None)
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.lang == getattr(other, 'lang', None) and str.__eq__(self, other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return f'{type(self).__name__}({str.__repr__(self)}, {self.lang!r})'


class NoteList:
    """The notes of an element, as `Note`; changes change the element. A str that is looked for or added is a note without language."""

    def __init__(self, owner: WithNotes) -> None:
        self._owner = owner

    def _elements(self) -> list[XMLLocalizedStringElement]:
        return [item for item in self._owner._elements() if isinstance(item, self._owner._xml_note_type)]

    def __iter__(self) -> Iterator[Note]:
        return iter([Note(item.value, item.lang) for item in self._elements()])

    def __len__(self) -> int:
        return len(self._elements())

    def __contains__(self, note: object) -> bool:
        return isinstance(note, str) and any(mine == note for mine in self)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (NoteList, list, tuple)) else NotImplemented

    __hash__ = None     # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'NoteList({list(self)!r})'

    def add(self, note: str) -> None:
        """Add a note behind the others."""
        if not isinstance(note, str):
            raise TypeError(f'{type(note).__name__} is no note')
        self._owner._add_element(self._owner._xml_note_type(note, getattr(note, 'lang', None)))

    def remove(self, note: str) -> None:
        """Take the note, or the first equal one, out.

        Raises:
            KeyError: there is none.
        """
        for item in self._elements():
            if Note(item.value, item.lang) == note:
                self._owner._remove_element(item)
                return
        raise KeyError(note)

    def update(self, notes: Iterable[str]) -> None:
        """Add all of them."""
        for note in notes:
            self.add(note)

    def clear(self) -> None:
        """Take all of them out."""
        for item in self._elements():
            self._owner._remove_element(item)


class WithNotes(XMLListElement):
    """An element with notes, which are among its items but not shown there.

    Class attributes of derived classes:
        _xml_note_type: class of the elements of notes; it is one of the `_xml_item_types`.
    """

    _xml_is_base = True
    _xml_note_type: ClassVar[Any] = XMLLocalizedStringElement

    @property
    def notes(self) -> NoteList:
        """The notes of the element."""
        return NoteList(self)

    def _decode_item(self, item: XMLElement) -> Any:
        return None if isinstance(item, self._xml_note_type) else super()._decode_item(item)
