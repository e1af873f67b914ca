"""What changed on an XCAP server: application/xcap-diff+xml, RFC 5874."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLAttribute, XMLDocument, XMLElement, XMLElementChild, XMLElementID, XMLEmptyElement, XMLListRootElement, XMLStringElement
from sipsimple.payloads.datatypes import XCAPURI, AnyURI, Boolean

__all__ = ['Attribute', 'BodyNotChanged', 'Document', 'Element', 'XCAPDiff', 'XCAPDiffDocument', 'namespace']

namespace = 'urn:ietf:params:xml:ns:xcap-diff'


class XCAPDiffDocument(XMLDocument):
    """A document of changes."""

    content_type = 'application/xcap-diff+xml'


XCAPDiffDocument.register_namespace(namespace, prefix=None, schema='xcap-diff.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = XCAPDiffDocument


class BodyNotChanged(XMLEmptyElement, _Element, tag='body-not-changed'):
    """Only the entity tag of the document changed."""


class Document(_Element, tag='document'):
    """A change of a document.

    Args:
        selector: its place below the XCAP root.
        new_etag: its entity tag now; None when it is gone.
        previous_etag: the one before; None when it is new.
        body_not_changed: whether only the entity tag changed.
    """

    selector = XMLElementID('selector', xmlname='sel', type=XCAPURI, required=True)
    new_etag = XMLAttribute('new_etag', xmlname='new-etag', type=str)
    previous_etag = XMLAttribute('previous_etag', xmlname='previous-etag', type=str)
    body_not_changed = XMLElementChild('body_not_changed', type=BodyNotChanged)

    def __init__(self, selector: str, new_etag: str | None = None, previous_etag: str | None = None, body_not_changed: bool | None = None) -> None:
        super().__init__()
        self.selector = selector
        self.new_etag = new_etag
        self.previous_etag = previous_etag
        self.body_not_changed = body_not_changed

    @property
    def empty_body(self) -> bool:
        """Whether it is not told what changed."""
        return not self._names()


class Element(_Element, tag='element'):
    """An element that was asked for.

    Args:
        selector: its place below the XCAP root.
        exists: whether it is there.
    """

    selector = XMLElementID('selector', xmlname='sel', type=XCAPURI, required=True)
    exists = XMLAttribute('exists', type=Boolean)

    def __init__(self, selector: str, exists: bool | None = None) -> None:
        super().__init__()
        self.selector = selector
        self.exists = exists


class Attribute(XMLStringElement, _Element, tag='attribute'):
    """An attribute that was asked for.

    Args:
        selector: its place below the XCAP root.
        exists: whether it is there.
        value: its value.
    """

    _xml_value_required = False
    selector = XMLElementID('selector', xmlname='sel', type=XCAPURI, required=True)
    exists = XMLAttribute('exists', type=Boolean)

    def __init__(self, selector: str, exists: bool | None = None, value: str = '') -> None:
        super().__init__(value)
        self.selector = selector
        self.exists = exists

    # It has an id, and is compared by that as other elements are.
    __eq__ = XMLElement.__eq__
    __hash__ = XMLElement.__hash__


class XCAPDiff(XMLListRootElement, _Element, tag='xcap-diff'):
    """Changes: `Document`, `Element` and `Attribute`.

    Args:
        xcap_root: URI of the XCAP root.
        children: what to begin with.
    """

    _xml_item_types = (Document, Element, Attribute)
    xcap_root = XMLElementID('xcap_root', xmlname='xcap-root', type=AnyURI, required=True)

    def __init__(self, xcap_root: str, children: Iterable[Any] = ()) -> None:
        super().__init__()
        self.xcap_root = xcap_root
        self.update(children)
