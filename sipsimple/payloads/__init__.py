"""Bodies of SIP messages and documents of XCAP, a module each; here is what their XML is declared with.

Nothing of this package knows of sessions or accounts.
"""

from sipsimple.payloads._xml.attributes import XMLAttribute, XMLElementID
from sipsimple.payloads._xml.children import XMLElementChild, XMLElementChoiceChild, XMLStringChoiceChild
from sipsimple.payloads._xml.document import XMLDocument, parse_qname
from sipsimple.payloads._xml.elements import XMLElement
from sipsimple.payloads._xml.errors import BuilderError, ParserError, ValidationError
from sipsimple.payloads._xml.lists import (
    IterateIDs,
    IterateItems,
    IterateTypes,
    KeyedList,
    XMLEmptyElementRegistryType,
    XMLListElement,
    XMLListRootElement,
    XMLStringListElement,
)
from sipsimple.payloads._xml.roots import XMLRootElement
from sipsimple.payloads._xml.simple import (
    XMLAnyURIElement,
    XMLBooleanElement,
    XMLByteElement,
    XMLDateTimeElement,
    XMLDecimalElement,
    XMLEmptyElement,
    XMLIntegerElement,
    XMLIntElement,
    XMLKeywordElement,
    XMLLocalizedStringElement,
    XMLLongElement,
    XMLNegativeIntegerElement,
    XMLNonNegativeIntegerElement,
    XMLNonPositiveIntegerElement,
    XMLPositiveIntegerElement,
    XMLShortElement,
    XMLSimpleElement,
    XMLStringElement,
    XMLUnsignedByteElement,
    XMLUnsignedIntElement,
    XMLUnsignedLongElement,
    XMLUnsignedShortElement,
)
from sipsimple.util import All

__all__ = [
    'All', 'BuilderError', 'IterateIDs', 'IterateItems', 'IterateTypes', 'KeyedList', 'ParserError', 'ValidationError', 'XMLAnyURIElement', 'XMLAttribute',
    'XMLBooleanElement', 'XMLByteElement', 'XMLDateTimeElement', 'XMLDecimalElement', 'XMLDocument', 'XMLElement', 'XMLElementChild',
    'XMLElementChoiceChild', 'XMLElementID', 'XMLEmptyElement', 'XMLEmptyElementRegistryType', 'XMLIntElement', 'XMLIntegerElement', 'XMLKeywordElement',
    'XMLListElement', 'XMLListRootElement', 'XMLLocalizedStringElement', 'XMLLongElement', 'XMLNegativeIntegerElement', 'XMLNonNegativeIntegerElement',
    'XMLNonPositiveIntegerElement', 'XMLPositiveIntegerElement', 'XMLRootElement', 'XMLShortElement', 'XMLSimpleElement', 'XMLStringChoiceChild',
    'XMLStringElement', 'XMLStringListElement', 'XMLUnsignedByteElement', 'XMLUnsignedIntElement', 'XMLUnsignedLongElement', 'XMLUnsignedShortElement',
    'parse_qname',
]
