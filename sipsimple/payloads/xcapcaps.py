"""What an XCAP server can do: application/xcap-caps+xml, RFC 4825 section 12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLDocument, XMLElement, XMLElementChild, XMLRootElement, XMLStringElement, XMLStringListElement

__all__ = ['AUID', 'AUIDS', 'Extension', 'Extensions', 'Namespace', 'Namespaces', 'XCAPCapabilities', 'XCAPCapabilitiesDocument', 'namespace']

namespace = 'urn:ietf:params:xml:ns:xcap-caps'


class XCAPCapabilitiesDocument(XMLDocument):
    """A document of capabilities."""

    content_type = 'application/xcap-caps+xml'


XCAPCapabilitiesDocument.register_namespace(namespace, prefix=None, schema='xcap-caps.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = XCAPCapabilitiesDocument


class _Strings(XMLStringListElement, _Element):
    _xml_is_base = True

    def __init__(self, items: Iterable[str] = ()) -> None:
        super().__init__()
        self.update(items)

    def add(self, item: Any) -> None:
        """Add a text, unless it is there."""
        element = self._encode_item(item)
        if self._lookup(element) is None:
            self._add_element(element)


class AUID(XMLStringElement, _Element, tag='auid'):
    """An application; seen as str."""


class AUIDS(_Strings, tag='auids'):
    """The applications that the server knows."""

    _xml_item_other_type = AUID


class Extension(XMLStringElement, _Element, tag='extension'):
    """An extension; seen as str."""


class Extensions(_Strings, tag='extensions'):
    """The extensions of XCAP that the server has."""

    _xml_item_other_type = Extension


class Namespace(XMLStringElement, _Element, tag='namespace'):
    """A namespace of XML; seen as str."""


class Namespaces(_Strings, tag='namespaces'):
    """The namespaces of XML that the server knows."""

    _xml_item_other_type = Namespace


class XCAPCapabilities(XMLRootElement, _Element, tag='xcap-caps'):
    """What an XCAP server can do.

    Args:
        auids, extensions, namespaces: lists, or the items of them; extensions may be None.
    """

    _xml_children_order = {AUIDS.qname: 0, Extensions.qname: 1, Namespaces.qname: 2}
    auids = XMLElementChild('auids', type=AUIDS, required=True)
    extensions = XMLElementChild('extensions', type=Extensions)
    namespaces = XMLElementChild('namespaces', type=Namespaces, required=True)

    def __init__(self, auids: Any = (), extensions: Any = None, namespaces: Any = ()) -> None:
        super().__init__()
        self.auids = auids
        self.extensions = extensions
        self.namespaces = namespaces
