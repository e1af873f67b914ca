"""Lists of resources: application/resource-lists+xml, RFC 4826 section 3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import KeyedList, XMLDocument, XMLElement, XMLElementChild, XMLElementID, XMLListElement, XMLListRootElement, XMLLocalizedStringElement
from sipsimple.payloads._mapping import NamedText, TextMapping
from sipsimple.payloads.datatypes import AnyURI

__all__ = [
    'DisplayName', 'Entry', 'EntryAttribute', 'EntryAttributes', 'EntryExtension', 'EntryRef', 'External', 'List', 'ListElement', 'ResourceLists',
    'ResourceListsDocument', 'agp_rl_namespace', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:resource-lists'
agp_rl_namespace = 'urn:ag-projects:xml:ns:resource-lists'


class ResourceListsDocument(XMLDocument):
    """A document of lists of resources."""

    content_type = 'application/resource-lists+xml'


ResourceListsDocument.register_namespace(namespace, prefix='rl', schema='resource-lists.xsd')
ResourceListsDocument.register_namespace(agp_rl_namespace, prefix='agp-rl', schema='agp-resource-lists.xsd')


class ListElement:
    """Marker of further items of a `List`."""


class EntryExtension:
    """Marker of extensions of `Entry`."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = ResourceListsDocument


class DisplayName(XMLLocalizedStringElement, _Element, tag='display-name'):
    """What to show of a list or resource."""


class Entry(_Element, tag='entry'):
    """A resource.

    Args:
        uri: URI of the resource.
        display_name: text, or `DisplayName`.
    """

    _xml_extension_type = EntryExtension
    _xml_children_order = {DisplayName.qname: 0}
    uri = XMLElementID('uri', type=AnyURI, required=True)
    display_name = XMLElementChild('display_name', type=DisplayName)

    def __init__(self, uri: str, display_name: Any = None) -> None:
        super().__init__()
        self.uri = uri
        if display_name is not None:
            self.display_name = display_name


class EntryRef(_Element, tag='entry-ref'):
    """A resource that is an entry of another document.

    Args:
        ref: path of the entry below the XCAP root.
        display_name: text, or `DisplayName`.
    """

    _xml_children_order = {DisplayName.qname: 0}
    ref = XMLElementID('ref', type=AnyURI, required=True)
    display_name = XMLElementChild('display_name', type=DisplayName)

    def __init__(self, ref: str, display_name: Any = None) -> None:
        super().__init__()
        self.ref = ref
        self.display_name = display_name


class External(_Element, tag='external'):
    """A list that is part of another document.

    Args:
        anchor: URI of the list.
        display_name: text, or `DisplayName`.
    """

    _xml_children_order = {DisplayName.qname: 0}
    anchor = XMLElementID('anchor', type=AnyURI, required=True)
    display_name = XMLElementChild('display_name', type=DisplayName)

    def __init__(self, anchor: str, display_name: Any = None) -> None:
        super().__init__()
        self.anchor = anchor
        self.display_name = display_name


class List(XMLListElement, _Element, tag='list'):
    """A list of resources: `Entry`, `EntryRef`, `External`, `List`, and elements of the kind `ListElement`.

    Args:
        entries: what to begin with.
        name: unique among the lists beside it, or None.
        display_name: text, or `DisplayName`.
    """

    _xml_children_order = {DisplayName.qname: 0}
    _xml_item_types = (Entry, EntryRef, External, ListElement)
    name = XMLElementID('name', type=str)
    display_name = XMLElementChild('display_name', type=DisplayName)

    def __init__(self, entries: Iterable[Any] = (), name: str | None = None, display_name: Any = None) -> None:
        super().__init__()
        if name is not None:
            self.name = name
        self.display_name = display_name
        self.update(entries)


List._add_item_type(List)


class ResourceLists(KeyedList, XMLListRootElement, _Element, tag='resource-lists'):
    """Lists of resources, by name.

    Args:
        lists: what to begin with.
    """

    _xml_item_types = (List,)
    _xml_children_order = {List.qname: 0}

    def __init__(self, lists: Iterable[List] = ()) -> None:
        super().__init__()
        self.update(lists)

    def get_xpath(self, element: XMLElement) -> str | None:
        """The node selector (RFC 4825, 6.3) of an element, such as `/resource-lists/list[@name="friends"]`; None when it is not in the document.

        Elements without id are selected by their position. Those of other namespaces have the prefix that the document type knows.

        Raises:
            ValueError: it is no list, nor anything that lists have.
        """
        if not isinstance(element, (ResourceLists, List, Entry, EntryRef, External, DisplayName, ListElement)):
            raise ValueError(f'{type(element).__name__} is no part of a list')
        lineage = self._lineage(element.element)
        if not lineage or lineage[-1] is not element:
            return None
        return ''.join('/' + self._step(item) for item in lineage)

    def _step(self, item: XMLElement) -> str:
        kind = type(item)
        prefix = '' if kind._xml_namespace == namespace else f'{kind._xml_document._prefix_of.get(kind._xml_namespace)}:'
        step = f'{prefix}{kind._xml_tag}'
        if item is self or isinstance(item, DisplayName):
            return step
        identity = kind._xml_id
        if identity is not None and identity.name in item._values:
            value = item.element.get(identity.xmlname).replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')
            return f'{step}[@{identity.xmlname}="{value}"]'
        return f'{step}[{1 + sum(1 for _ in item.element.itersiblings(item.element.tag, preceding=True))}]'

    def find_parent(self, element: XMLElement) -> XMLElement | None:
        """The element that has this one in it, or None: it is not in the document, or it is the document."""
        lineage = self._lineage(element.element)
        return lineage[-2] if len(lineage) > 1 and lineage[-1] is element else None


# Private extension

class EntryAttribute(NamedText, tag='attribute'):
    """An attribute of a resource."""

    _xml_namespace = agp_rl_namespace
    _xml_document = ResourceListsDocument


class EntryAttributes(TextMapping, EntryExtension, tag='attributes'):
    """A mapping of names to texts or None: `Entry.attributes`."""

    _xml_namespace = agp_rl_namespace
    _xml_document = ResourceListsDocument
    _xml_item_types = (EntryAttribute,)


Entry.register_extension('attributes', type=EntryAttributes)
