"""Elements that are a value."""

from __future__ import annotations

import decimal
from typing import Any, ClassVar

from sipsimple.payloads import datatypes
from sipsimple.payloads._xml.attributes import XMLAttribute, converters, must_be_representable, representable
from sipsimple.payloads._xml.elements import XMLElement, text_of
from sipsimple.payloads._xml.errors import ValidationError

__all__ = [
    'XMLAnyURIElement', 'XMLBooleanElement', 'XMLByteElement', 'XMLDateTimeElement', 'XMLDecimalElement', 'XMLEmptyElement', 'XMLIntElement',
    'XMLIntegerElement', 'XMLKeywordElement', 'XMLLocalizedStringElement', 'XMLLongElement', 'XMLNegativeIntegerElement', 'XMLNonNegativeIntegerElement',
    'XMLNonPositiveIntegerElement', 'XMLPositiveIntegerElement', 'XMLShortElement', 'XMLSimpleElement', 'XMLStringElement', 'XMLUnsignedByteElement',
    'XMLUnsignedIntElement', 'XMLUnsignedLongElement', 'XMLUnsignedShortElement',
]

XML_LANG = '{http://www.w3.org/XML/1998/namespace}lang'


class XMLSimpleElement(XMLElement):
    """An element that is its value: text, truth and comparison are those of `value`.

    Args:
        value: None when there is none yet; the element is incomplete then.

    Raises:
        ValueError, TypeError: it is no such value.
    """

    _xml_is_base = True
    _xml_value_type: ClassVar[Any] = None
    _xml_value_convert: ClassVar[Any] = None
    _xml_value_required: ClassVar[bool] = True

    _value: Any = None

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        if '_xml_value_type' in vars(cls):
            cls._xml_value_convert = converters(cls._xml_value_type)

    def __init__(self, value: Any) -> None:
        super().__init__()
        if value is not None:
            self._value = self._converted(value)

    def _converted(self, value: Any) -> Any:
        """Anything that is set as a value of the element's type; ValueError, TypeError."""
        kind = self._xml_value_type
        if type(value) is not kind:
            value = kind(value.value if isinstance(value, XMLSimpleElement) else value)
        if kind is str:
            return representable(value)
        if self._xml_value_convert[1] is str:
            must_be_representable(str(value))
        return value

    @property
    def value(self) -> Any:
        """The value; setting None leaves the element incomplete."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(value, XMLSimpleElement):
            value = value.value
        if value is not None:
            value = self._converted(value)
            if value == self._value:
                return
        self._value = value
        node = self._node
        if node is not None:
            for child in list(node):        # comments
                node.remove(child)
            node.text = self._text()
        self._dirty = self._changed = True

    def _text(self) -> str | None:
        value = self._value
        return None if value is None else self._xml_value_convert[1](value)

    def _parse_content(self) -> None:
        element = self._node
        text = text_of(element) if len(element) else element.text or ''
        if self._xml_value_type is str:
            self._value = text
            return
        try:
            self._value = type(self)._xml_value_convert[0](text.strip())
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValidationError(f'{self._xml_tag}: {error}') from error

    def check_validity(self) -> None:
        """Look whether there is a value, and whatever else any element needs."""
        if self._xml_musts or self._xml_needs:
            super().check_validity()
        if self._value is None and self._xml_value_required:
            raise ValidationError(f'{type(self).__name__} has no value')

    def _content(self) -> Any:
        return self._value

    def __str__(self) -> str:
        return '' if self._value is None else str(self._value)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._value!r})'

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) if isinstance(other, XMLElement) else bool(self._value == other)

    def __hash__(self) -> int:
        return hash(self._value)

    def _compared(self, other: Any) -> Any:
        return other.value if isinstance(other, XMLSimpleElement) else other

    def __lt__(self, other: Any) -> bool:
        return bool(self._value < self._compared(other))

    def __le__(self, other: Any) -> bool:
        return bool(self._value <= self._compared(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self._value > self._compared(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self._value >= self._compared(other))


class XMLStringElement(XMLSimpleElement):
    """Text. Characters that XML does not have become U+FFFD."""

    _xml_is_base = True
    _xml_value_type = str

    def _text(self) -> str | None:
        return self._value      # type: ignore[no-any-return]


class XMLLocalizedStringElement(XMLStringElement):
    """Text in a language; equals a str only when it has none.

    Args:
        value: the text.
        lang: language tag (RFC 5646), the attribute xml:lang, or None.
    """

    _xml_is_base = True
    lang = XMLAttribute('lang', xmlname=XML_LANG, type=str, required=False)

    def __init__(self, value: Any, lang: str | None = None) -> None:
        super().__init__(value)
        if lang is None and type(value) is not str:
            lang = getattr(value, 'lang', None)
        if lang is not None:
            self.lang = lang

    def __eq__(self, other: object) -> bool:
        if isinstance(other, XMLElement):
            return super().__eq__(other)
        return self.lang == getattr(other, 'lang', None) and bool(self._value == other)

    __hash__ = XMLStringElement.__hash__

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._value!r}, {self.lang!r})'


class XMLBooleanElement(XMLSimpleElement):
    """True or false, or anything that is either."""

    _xml_is_base = True
    _xml_value_type = bool


class XMLByteElement(XMLSimpleElement):
    """An integer from -128 to 127."""

    _xml_is_base = True
    _xml_value_type = datatypes.Byte


class XMLUnsignedByteElement(XMLSimpleElement):
    """An integer from 0 to 255."""

    _xml_is_base = True
    _xml_value_type = datatypes.UnsignedByte


class XMLShortElement(XMLSimpleElement):
    """An integer of 16 bits with sign."""

    _xml_is_base = True
    _xml_value_type = datatypes.Short


class XMLUnsignedShortElement(XMLSimpleElement):
    """An integer of 16 bits."""

    _xml_is_base = True
    _xml_value_type = datatypes.UnsignedShort


class XMLIntElement(XMLSimpleElement):
    """An integer of 32 bits with sign."""

    _xml_is_base = True
    _xml_value_type = datatypes.Int


class XMLUnsignedIntElement(XMLSimpleElement):
    """An integer of 32 bits."""

    _xml_is_base = True
    _xml_value_type = datatypes.UnsignedInt


class XMLLongElement(XMLSimpleElement):
    """An integer of 64 bits with sign."""

    _xml_is_base = True
    _xml_value_type = datatypes.Long


class XMLUnsignedLongElement(XMLSimpleElement):
    """An integer of 64 bits."""

    _xml_is_base = True
    _xml_value_type = datatypes.UnsignedLong


class XMLIntegerElement(XMLSimpleElement):
    """Any integer."""

    _xml_is_base = True
    _xml_value_type = int


class XMLPositiveIntegerElement(XMLSimpleElement):
    """An integer above 0."""

    _xml_is_base = True
    _xml_value_type = datatypes.PositiveInteger


class XMLNegativeIntegerElement(XMLSimpleElement):
    """An integer below 0."""

    _xml_is_base = True
    _xml_value_type = datatypes.NegativeInteger


class XMLNonNegativeIntegerElement(XMLSimpleElement):
    """An integer, 0 or above."""

    _xml_is_base = True
    _xml_value_type = datatypes.NonNegativeInteger


class XMLNonPositiveIntegerElement(XMLSimpleElement):
    """An integer, 0 or below."""

    _xml_is_base = True
    _xml_value_type = datatypes.NonPositiveInteger


class XMLDecimalElement(XMLSimpleElement):
    """A decimal.Decimal."""

    _xml_is_base = True
    _xml_value_type = decimal.Decimal


class XMLDateTimeElement(XMLSimpleElement):
    """A moment with its zone (`datatypes.DateTime`)."""

    _xml_is_base = True
    _xml_value_type = datatypes.DateTime


class XMLAnyURIElement(XMLSimpleElement):
    """A URI (`datatypes.AnyURI`)."""

    _xml_is_base = True
    _xml_value_type = datatypes.AnyURI


class XMLKeywordElement(XMLSimpleElement):
    """One of some words (`datatypes.Keyword`).

    Class attributes of derived classes:
        _xml_value_words: the words.
    """

    _xml_is_base = True
    _xml_value_words: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kw: Any) -> None:
        if '_xml_value_words' in vars(cls):
            # Pickled values find their class by its place.
            cls._xml_value_type = type(f'{cls.__name__}Value', (datatypes.Keyword,), {
                '__module__': cls.__module__, '__qualname__': f'{cls.__qualname__}._xml_value_type', '__doc__': cls.__doc__, '__slots__': (),
                'words': frozenset(cls._xml_value_words)})
        super().__init_subclass__(**kw)


class XMLEmptyElement(XMLElement):
    """An element that says something by being there. As a child it is set with True, and taken away with False or None."""

    _xml_is_base = True
    _xml_is_flag = True

    def __init__(self, value: object = True) -> None:
        if value is not True:
            raise TypeError(f'{type(self).__name__} has no value')
        super().__init__()
