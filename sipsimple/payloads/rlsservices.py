"""Services of a resource list server: application/rls-services+xml, RFC 4826 section 4."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    KeyedList,
    XMLAnyURIElement,
    XMLElement,
    XMLElementChild,
    XMLElementChoiceChild,
    XMLElementID,
    XMLListRootElement,
    XMLStringElement,
    XMLStringListElement,
)
from sipsimple.payloads.datatypes import AnyURI
from sipsimple.payloads.resourcelists import List as ResourceListsList, ResourceListsDocument

__all__ = ['List', 'Package', 'Packages', 'RLSServices', 'RLSServicesDocument', 'ResourceList', 'Service', 'namespace']

namespace = 'urn:ietf:params:xml:ns:rls-services'


class RLSServicesDocument(ResourceListsDocument):
    """A document of services."""

    content_type = 'application/rls-services+xml'


RLSServicesDocument.register_namespace(namespace, prefix=None, schema='rls-services.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = RLSServicesDocument


class ResourceList(XMLAnyURIElement, _Element, tag='resource-list'):
    """URI of a list in another document."""


class List(ResourceListsList, tag='list'):
    """A list of resources that is part of a service; what is in it is as in `resourcelists`."""

    _xml_namespace = namespace
    _xml_document = RLSServicesDocument


class Package(XMLStringElement, _Element, tag='package'):
    """An event package; seen as str."""


class Packages(XMLStringListElement, _Element, tag='packages'):
    """The event packages of a service, as str.

    Args:
        packages: what to begin with.
    """

    _xml_item_other_type = Package

    def __init__(self, packages: Iterable[str] = ()) -> None:
        super().__init__()
        self.update(packages)

    def add(self, item: Any) -> None:
        """Add a package, unless it is there."""
        element = self._encode_item(item)
        if self._lookup(element) is None:
            self._add_element(element)


class Service(_Element, tag='service'):
    """A URI that stands for the resources of a list.

    Args:
        uri: URI of the service.
        list: `ResourceList` or `List`; an empty list unless told.
        packages: `Packages`, or names of event packages.
    """

    _xml_children_order = {List.qname: 0, ResourceList.qname: 0, Packages.qname: 1}
    uri = XMLElementID('uri', type=AnyURI, required=True)
    list = XMLElementChoiceChild('list', types=(ResourceList, List), required=True)
    packages = XMLElementChild('packages', type=Packages)

    def __init__(self, uri: str, list: ResourceList | List | None = None, packages: Any = ()) -> None:
        super().__init__()
        self.uri = uri
        self.list = List() if list is None else list
        self.packages = packages


class RLSServices(KeyedList, XMLListRootElement, _Element, tag='rls-services'):
    """Services of a resource list server, by URI.

    Args:
        services: what to begin with.
    """

    _xml_item_types = (Service,)
    _xml_children_order = {Service.qname: 0}

    def __init__(self, services: Iterable[Service] = ()) -> None:
        super().__init__()
        self.update(services)
