"""Root elements: where documents begin, and finding what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from lxml import etree

from sipsimple.payloads._xml.elements import XMLElement

__all__ = ['XMLRootElement']


class XMLRootElement(XMLElement):
    """The root element of a document."""

    _xml_is_base = True
    _xml_is_root = True

    @classmethod
    def parse(cls, document: Any) -> Self:
        """`XMLDocument.parse` of the document type of the class."""
        root: Self = cls._xml_document.parse(document)
        return root

    def toxml(self, encoding: str | None = None, pretty_print: bool = False, validate: bool = True) -> bytes:
        """`XMLDocument.build` of the element."""
        written: bytes = self._xml_document.build(self, encoding, pretty_print, validate)
        return written

    def xpath(self, expression: str, namespaces: Mapping[str, str] | None = None) -> list[XMLElement]:
        """The elements an XPath 1.0 expression finds, in document order; those that no object exposes are left out.

        Args:
            namespaces: prefix -> namespace, besides those of the document type.

        Raises:
            ValueError: it is no expression.
        """
        prefixes = {prefix: namespace for prefix, namespace in self._xml_document.nsmap.items() if prefix}
        prefixes.update(namespaces or {})
        try:
            found = self.element.xpath(expression, namespaces=prefixes)
        except (etree.XPathError, TypeError) as error:
            raise ValueError(f'{expression!r} is no XPath expression: {error}') from error
        if not isinstance(found, list):
            return []
        objects = (self._find(node) for node in found if isinstance(node, etree._Element))
        return [item for item in objects if item is not None]

    def _lineage(self, node: Any) -> list[XMLElement]:
        """The objects from the root to `node`, or [] when one of them is not exposed."""
        root = self.element             # makes nodes of what has none, and puts those in their place that were asked for before
        path = [node, *node.iterancestors()]
        if path[-1] is not root:
            return []
        objects: list[XMLElement] = [self]
        for step in reversed(path[:-1]):
            item = objects[-1]._object_of(step)
            if item is None:
                return []
            objects.append(item)
        return objects

    def _find(self, node: Any) -> XMLElement | None:
        objects = self._lineage(node)
        return objects[-1] if objects else None
