"""Elements with a keyword in them, which is an empty element."""

from __future__ import annotations

from typing import Any, ClassVar

from sipsimple.payloads import XMLElement, XMLStringChoiceChild
from sipsimple.payloads._xml.lists import registry_of

__all__ = ['WordElement']


class WordElement(XMLElement):
    """An element with one keyword in it: `value`, `str()`, and equal to it.

    Class attributes of derived classes:
        _xml_value_words: the keywords.
    """

    _xml_is_base = True
    _xml_value_words: ClassVar[tuple[str, ...]] = ()

    value: Any

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        if '_xml_value_words' in vars(cls):
            cls.value = XMLStringChoiceChild('value', registry=registry_of(cls, cls._xml_value_words), required=True)

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value

    def __str__(self) -> str:
        return str(self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == other) if isinstance(other, str) else super().__eq__(other)

    __hash__ = XMLElement.__hash__
