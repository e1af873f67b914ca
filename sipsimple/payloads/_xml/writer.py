"""From objects without nodes to their text, and from the text to their nodes.

An element that a program makes has no node at first. When its document is printed, or somebody asks for the node, the text of it and of all that is in
it is written and parsed: that costs a third of making the nodes one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from sipsimple.payloads._xml.errors import BuilderError
from sipsimple.payloads._xml.reader import Parsers

if TYPE_CHECKING:
    from sipsimple.payloads._xml.attributes import XMLAttribute
    from sipsimple.payloads._xml.elements import XMLElement, XMLElementType

__all__ = ['ElementPlan', 'WrittenTree', 'grow']

_ESCAPED = str.maketrans({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\t': '&#9;', '\n': '&#10;', '\r': '&#13;'})
_ESCAPED_TEXT = str.maketrans({'&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;'})

XML_NAMESPACE = 'http://www.w3.org/XML/1998/namespace'      # its prefix is always there

_UNKNOWN = 'ns'     # prefix of namespaces that the document type does not know
_BEGIN = re.compile('<[^ />]+')


class AttributePlan(NamedTuple):
    """How an attribute is written."""

    name: str                               # prefix:name, if it has a namespace
    build: Callable[[Any], str] | None      # makes the text of what is no text
    prefix: str | None                      # to be declared, or None
    namespace: str

    @classmethod
    def of(cls, attribute: XMLAttribute, prefixes: Mapping[str, str | None]) -> AttributePlan:
        """The plan for an attribute where namespaces have these prefixes."""
        build = None if attribute.type is str else attribute.build
        if attribute.xmlname[0] != '{':
            return cls(attribute.xmlname, build, None, '')
        namespace, _, name = attribute.xmlname[1:].partition('}')
        if namespace == XML_NAMESPACE:
            return cls(f'xml:{name}', build, None, '')
        prefix = prefixes.get(namespace) or _UNKNOWN        # without one it would be in no namespace
        return cls(f'{prefix}:{name}', build, prefix, namespace)


class ElementPlan(NamedTuple):
    """How the elements of a class are written."""

    name: str                               # prefix:tag
    prefix: str | None                      # None: the namespace is to be the default one
    namespace: str
    attributes: dict[str, AttributePlan]    # by their names in Python
    has_parts: bool                         # whether anything can be in it
    can_lack: bool                          # whether anything can be missing

    @classmethod
    def of(cls, kind: XMLElementType, attributes: Iterable[XMLAttribute], *, has_parts: bool, can_lack: bool) -> ElementPlan:
        """The plan for a class with these attributes."""
        prefixes: Mapping[str, str | None] = {} if kind._xml_document is None else kind._xml_document._prefix_of
        prefix = None if kind._xml_namespace is None else prefixes.get(kind._xml_namespace, _UNKNOWN)
        tag = kind._xml_tag or ''
        return cls(tag if prefix is None else f'{prefix}:{tag}', prefix, kind._xml_namespace or '',
                   {item.name: AttributePlan.of(item, prefixes) for item in attributes}, has_parts, can_lack)


_parsers = Parsers(huge_tree=True)


class WrittenTree:
    """A tree of nodes for an element that has none, and all that is in it.

    Args:
        must_be_complete: whether something that is missing is an error.

    Raises:
        BuilderError: it is not complete, or has something that XML has not.

    Attributes:
        text: what was parsed.
        node: the root of the tree.
        objects: the elements, in the order of the nodes.
        is_whole: whether all of them were without nodes; an element that has one is an empty node in this tree.
    """

    def __init__(self, root: XMLElement, must_be_complete: bool = False) -> None:
        self._checks = must_be_complete
        self.objects: list[XMLElement] = []
        self.is_whole = True
        self._pieces: list[str] = []
        self._prefixes: dict[str, str] = {}             # prefix -> namespace
        self._write(root, '')
        # All prefixes are declared at the root, whose tag was written first.
        declared = ''.join(f' xmlns:{prefix}="{namespace.translate(_ESCAPED)}"' for prefix, namespace in self._prefixes.items())
        self._pieces[0] = _BEGIN.sub(lambda begin: begin[0] + declared, self._pieces[0], count=1)
        try:
            self.text = ''.join(self._pieces).encode()
            self.node: Any = etree.fromstring(self.text, _parsers.parser)
        except (UnicodeEncodeError, etree.XMLSyntaxError) as error:     # what a type's `__xmlbuild__` made is no text that XML has
            raise BuilderError(f'{type(root).__name__} cannot be written: {error}') from error

    def _write(self, element: XMLElement, default: str) -> None:
        """Write an element where `default` is the default namespace."""
        self.objects.append(element)
        if element._node is not None:
            self.is_whole = False
            self._pieces.append('<x/>')
            if self._checks:
                element._complete()
            return
        name, prefix, namespace, attributes, has_parts, can_lack = element._xml_plan
        if can_lack and self._checks:
            element._check()
        if prefix is not None and self._prefixes.get(prefix) != namespace:
            name = self._named(name, prefix, namespace)
        text = f'<{name}'
        if prefix is None and namespace != default:
            default = namespace
            text += f' xmlns="{default.translate(_ESCAPED)}"'
        if element._values:
            for key, value in element._values.items():
                attribute, build, prefix, namespace = attributes[key]
                if build is not None:
                    value = build(value)
                if '&' in value or '<' in value or '"' in value or not value.isprintable():
                    value = value.translate(_ESCAPED)
                if prefix is not None:
                    attribute = self._named(attribute, prefix, namespace)
                text += f' {attribute}="{value}"'
        content = element._text()
        if content and ('&' in content or '<' in content or '>' in content or '\r' in content):
            content = content.translate(_ESCAPED_TEXT)
        if has_parts:
            parts = element._parts()
            if parts:
                self._pieces.append(f'{text}>{content or ""}')
                for part in parts:
                    self._write(part, default)
                self._pieces.append(f'</{name}>')
                return
        self._pieces.append(f'{text}>{content}</{name}>' if content else f'{text}/>')

    def _named(self, name: str, prefix: str, namespace: str) -> str:
        """`prefix:name` when the prefix can be declared, or is: else the name with another one, as this stands for something else."""
        usual = prefix
        while self._prefixes.setdefault(prefix, namespace) != namespace:
            prefix += '_'
        return name if prefix == usual else f'{prefix}{name[len(usual):]}'


def grow(element: XMLElement) -> Any:
    """Give an element and all that is in it the nodes that they do not have; returns the node of the element."""
    tree = WrittenTree(element)
    grown = []
    for node, item in zip(list(tree.node.iter()), tree.objects, strict=True):
        if item is not element:
            item._place = 0
        if item._node is None:
            item._node = node
            grown.append(item)
        else:
            node.getparent().replace(node, item._node)
    for item in grown:
        item._has_grown()
    return tree.node
