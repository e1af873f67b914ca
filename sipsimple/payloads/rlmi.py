"""What a notification about a list of resources has in it: application/rlmi+xml, RFC 4662."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLAttribute, XMLDocument, XMLElement, XMLElementID, XMLListElement, XMLListRootElement, XMLLocalizedStringElement
from sipsimple.payloads.datatypes import AnyURI, Boolean, Keyword, UnsignedInt

__all__ = ['Instance', 'InstanceState', 'List', 'Name', 'RLMIDocument', 'Resource', 'namespace']

namespace = 'urn:ietf:params:xml:ns:rlmi'


class RLMIDocument(XMLDocument):
    """A document about a list of resources."""

    content_type = 'application/rlmi+xml'


RLMIDocument.register_namespace(namespace, prefix=None, schema='rlmi.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = RLMIDocument


class Name(XMLLocalizedStringElement, _Element, tag='name'):
    """What to show of a list or resource."""


class InstanceState(Keyword):
    """`active`, `pending` or `terminated`."""

    __slots__ = ()
    words = frozenset({'active', 'pending', 'terminated'})


class Instance(_Element, tag='instance'):
    """A subscription to a resource.

    Args:
        id: unique in the resource.
        state: `active`, `pending` or `terminated`.
        reason: of a terminated one.
        cid: Content-ID of the part with its state, without the brackets.
    """

    id = XMLElementID('id', type=str, required=True)
    state = XMLAttribute('state', type=InstanceState, required=True)
    reason = XMLAttribute('reason', type=str)
    cid = XMLAttribute('cid', type=str)

    def __init__(self, id: str, state: str, reason: str | None = None, cid: str | None = None) -> None:
        super().__init__()
        self.id = id
        self.state = state
        self.reason = reason
        self.cid = cid


class Resource(XMLListElement, _Element, tag='resource'):
    """A resource of the list; items are names and instances.

    Args:
        uri: URI.
        elements: what to begin with.
    """

    _xml_item_types = (Name, Instance)
    _xml_children_order = {Name.qname: 0, Instance.qname: 1}
    uri = XMLElementID('uri', type=AnyURI, required=True)

    def __init__(self, uri: str, elements: Iterable[Any] = ()) -> None:
        super().__init__()
        self.uri = uri
        self.update(elements)


class List(XMLListRootElement, _Element, tag='list'):
    """A list of resources; items are names and resources.

    Args:
        uri: URI of the list.
        version: number of the document; grows by one with each.
        full_state: whether all resources are here.
        cid: Content-ID of the part with the state of the list itself, without the brackets.
        elements: what to begin with.
    """

    _xml_item_types = (Name, Resource)
    _xml_children_order = {Name.qname: 0, Resource.qname: 1}
    uri = XMLElementID('uri', type=AnyURI, required=True)
    version = XMLAttribute('version', type=UnsignedInt, required=True)
    full_state = XMLAttribute('full_state', xmlname='fullState', type=Boolean, required=True)
    cid = XMLAttribute('cid', type=str)

    def __init__(self, uri: str, version: int, full_state: bool, cid: str | None = None, elements: Iterable[Any] = ()) -> None:
        super().__init__()
        self.uri = uri
        self.version = version
        self.full_state = full_state
        self.cid = cid
        self.update(elements)
