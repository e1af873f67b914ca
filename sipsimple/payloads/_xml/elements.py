"""Elements: objects over the nodes of a tree, made when they are looked at.

Where there is a node, it is the truth. An object keeps the values of its attributes and the objects of those children that were asked for, and every
change goes to the node at once; so what no class knows stays where it was, and a parsed document is written back without a walk. An element that a
program makes has no node until somebody asks for it (`element`), or adds it to one that has; it is written from its values (`writer`). All that is in an
element with a node has one, too. What can be said of a class is worked out once, when it is made (`_xml_compile`).

Validity is checked where an object is made of a node: attributes, required children, `check_validity`. The optional children of it are made, and thereby
checked, when they are asked for; an invalid one counts as not there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from copy import deepcopy
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lxml import etree

from sipsimple.payloads._xml.attributes import XMLAttribute, XMLElementID
from sipsimple.payloads._xml.errors import BuilderError, ValidationError
from sipsimple.payloads._xml.writer import ElementPlan, grow

if TYPE_CHECKING:
    from sipsimple.payloads._xml.document import XMLDocumentType

__all__ = ['Child', 'XMLElement', 'XMLElementType', 'text_of']

_turns = itertools.count(1)


def text_of(node: Any) -> str:
    """The text of a node without that of its children; comments in it do not cut it short."""
    text = node.text or ''
    if len(node):
        text += ''.join(child.tail or '' for child in node)
    return text


class Child:
    """Base of the descriptors of child elements."""

    name: str
    required: bool
    test_equal: bool

    def kind_of(self, qname: Any, document: Any) -> type[XMLElement] | None:
        """The class that reads an element called `qname`, or None when it is not this child."""
        raise NotImplementedError

    def qnames(self) -> tuple[str, ...]:
        """The names that are known when the class is made."""
        raise NotImplementedError

    def load(self, obj: XMLElement) -> XMLElement | None:
        """The child of the node as an object, or None: it is not there, or not valid."""
        if obj._node is None:
            return None
        for qname, node in obj._child_nodes().items():
            kind = self.kind_of(qname, obj._document)
            if kind is not None:
                try:
                    child = kind.from_element(node, obj._document)
                except ValidationError:
                    continue
                obj._children[self.name] = child
                return child
        obj._children[self.name] = None
        return None

    def get(self, obj: XMLElement) -> XMLElement | None:
        """The object of the child, or None."""
        child: Any = obj._children.get(self.name, self)
        found: XMLElement | None = self.load(obj) if child is self else child
        return found

    def put(self, obj: XMLElement, child: XMLElement | None) -> None:
        """Replace the child."""
        if obj._node is not None:
            document = obj._document
            for node in [node for node in obj._node if self.kind_of(node.tag, document) is not None]:
                obj._remove_node(node)
            obj._nodes = None
        obj._put_child(self.name, child)


class XMLElementType(type):
    """Metaclass of elements: collects the descriptors, and tells the document of the class.

    Args:
        tag: of the element; `class Name(XMLStringElement, tag='name')` is short for `_xml_tag = 'name'` in the class.
    """

    _xml_tag: str | None
    _xml_namespace: str | None
    _xml_document: XMLDocumentType | None
    _xml_attributes: dict[str, XMLAttribute]
    _xml_children: dict[str, Child]
    _xml_id: XMLElementID | None
    _xml_has_items: bool
    _xml_children_order: Mapping[str | None, int]

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], tag: str | None = None, **kw: Any) -> XMLElementType:
        if tag is not None:
            namespace['_xml_tag'] = tag
        return super().__new__(mcls, name, bases, namespace, **kw)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kw: Any) -> None:
        super().__init__(name, bases, namespace)
        tag, uri = cls._xml_tag, cls._xml_namespace
        cls.qname: str | None = None if tag is None else tag if uri is None else f'{{{uri}}}{tag}'
        document = cls._document = cls._xml_document
        cls._xml_compile()
        if cls.qname is None or document is None:
            return
        if '_xml_tag' in namespace or '_xml_document' in namespace:
            document.register_element(cls)      # type: ignore[attr-defined]

    def _xml_compile(cls) -> None:
        """Work out what every object of the class needs to know of it."""
        attributes: dict[str, XMLAttribute] = {}
        children: dict[str, Child] = {}
        for kind in reversed(cls.__mro__):
            for name, value in vars(kind).items():
                attributes.pop(name, None)
                children.pop(name, None)
                if isinstance(value, XMLAttribute):
                    attributes[value.name] = value
                elif isinstance(value, Child):
                    children[value.name] = value
        ids = [attribute for attribute in attributes.values() if isinstance(attribute, XMLElementID)]
        if len(ids) > 1:
            raise TypeError(f'{cls.__name__} has more than one id')
        cls._xml_attributes = attributes
        cls._xml_children = children
        cls._xml_id = ids[0] if ids else None
        cls._xml_id_name = ids[0].name if ids else None
        cls._xml_reads = tuple((item.name, item.xmlname, None if item.type is str else item.parse, item.required) for item in attributes.values())
        cls._xml_musts = tuple(item.name for item in attributes.values() if item.required)
        cls._xml_needs = tuple(child for child in children.values() if child.required)
        is_base = cls.__mro__[1] is object
        cls._xml_other_rank = cls._xml_children_order.get(None, len(cls._xml_children_order))
        can_lack = not is_base and bool(cls._xml_musts or cls._xml_needs or cls.check_validity is not XMLElement.check_validity     # type: ignore[attr-defined]
                                        or cls._check is not XMLElement._check)     # type: ignore[attr-defined]
        cls._xml_plan = ElementPlan.of(cls, attributes.values(), has_parts=bool(children) or cls._xml_has_items, can_lack=can_lack)
        cls._xml_has_content = not is_base and cls._parse_content is not XMLElement._parse_content     # type: ignore[attr-defined]
        cls._xml_checks = 'check_validity' in {name for kind in cls.__mro__[:-1] if not vars(kind).get('_xml_is_base') for name in vars(kind)}
        cls._xml_compares = (tuple((name, item.default) for name, item in attributes.items() if item.test_equal),
                             tuple(item for item in children.values() if item.test_equal))
        derived: list[Any] = cls.__subclasses__()
        for kind in derived:
            kind._xml_compile()


class XMLElement(metaclass=XMLElementType):
    """An element of a document. Thread: one at a time for the whole tree.

    Elements with an id (`XMLElementID`) hash by it and compare equal to its value; others compare by what they contain.
    """

    _xml_is_base: ClassVar[bool] = True
    _xml_is_root: ClassVar[bool] = False
    _xml_is_flag: ClassVar[bool] = False
    _xml_has_items: ClassVar[bool] = False
    _xml_tag: ClassVar[str | None] = None
    _xml_namespace: ClassVar[str | None] = None
    _xml_document: ClassVar[Any] = None
    _xml_extension_type: ClassVar[type | tuple[type, ...] | None] = None
    _xml_children_order: ClassVar[Mapping[str | None, int]] = {}
    # Worked out by the metaclass:
    qname: ClassVar[str | None]
    _xml_plan: ClassVar[ElementPlan]
    _xml_musts: ClassVar[tuple[str, ...]]                       # required attributes
    _xml_needs: ClassVar[tuple[Child, ...]]                     # required children
    _xml_id_name: ClassVar[str | None]
    _xml_other_rank: ClassVar[int]                              # of children that the order does not have

    _node: Any = None
    _place: int = 0                             # where it is among those in an element without a node, see `_place_for`; 0: it is in none
    _document: Any
    _values: dict[str, Any]
    _children: dict[str, XMLElement | None]
    _nodes: dict[str, Any] | None = None        # see `_child_nodes`
    _dirty: bool = False
    _changed: bool = False                      # since it was read; one without a node was never read

    def __init__(self) -> None:
        if self.qname is None:
            raise TypeError(f'{type(self).__name__} has no tag')
        self._values = {}
        self._children = {}
        self._dirty = True

    @classmethod
    def from_element(cls, element: Any, xml_document: Any = None) -> Self:
        """The object of a node; the node stays part of its tree and is what the object changes.

        Raises:
            ValidationError: an attribute is missing or wrong, a required child is, or `check_validity` says so.
        """
        self = cls.__new__(cls)
        self._node = element
        if xml_document is not None:
            self._document = xml_document
        self._values = values = {}
        self._children = {}
        for name, xmlname, parse, required in cls._xml_reads:
            text = element.get(xmlname)
            if text is not None:
                if parse is None:
                    values[name] = text
                    continue
                try:
                    values[name] = parse(text)
                except (ValueError, TypeError, ArithmeticError) as error:
                    raise ValidationError(f'attribute {xmlname} of {cls._xml_tag}: {error}') from error
            elif required:
                raise ValidationError(f'attribute {xmlname} of {cls._xml_tag} is missing')
        if cls._xml_has_content:
            self._parse_content()
        for child in cls._xml_needs:
            if child.get(self) is None:
                raise ValidationError(f'{child.name} of {cls._xml_tag} is missing or not valid')
        if cls._xml_checks:
            self.check_validity()
        return self

    def _parse_content(self) -> None:
        """Read what the node has besides attributes and children."""

    def check_validity(self) -> None:
        """Look whether the element is complete; called when it is read and when it is written. To be extended.

        Raises:
            ValidationError: it is not.
        """
        for name in self._xml_musts:
            if name not in self._values:
                raise ValidationError(f'{name} of {type(self).__name__} is missing')
        for child in self._xml_needs:
            if child.get(self) is None:
                raise ValidationError(f'{child.name} of {type(self).__name__} is missing')

    def to_element(self) -> Any:
        """The node of the element, after a look whether it and everything in it is complete.

        Raises:
            BuilderError: it is not.
        """
        self._complete()
        return self.element

    def _complete(self) -> None:
        """Look whether the element and everything in it is complete, where something was changed.

        Raises:
            BuilderError: it is not.
        """
        if self._changed or self._node is None:
            self._check()
        for child in self._made() if self._xml_has_items else self._children.values():
            if child is not None:
                child._complete()

    def _check(self) -> None:
        """Look whether the element is complete, not what is in it; BuilderError."""
        try:
            self.check_validity()
        except ValidationError as error:
            raise BuilderError(str(error)) from error

    def _made(self) -> list[XMLElement]:
        """The descendants that are objects, one level."""
        return [child for child in self._children.values() if child is not None] if self._children else []

    def _is_changed(self) -> bool:
        """Whether the tree differs from what was parsed; unlike `__dirty__` nobody can deny it."""
        return self._changed or self._node is None or any(child._is_changed() for child in self._made())

    @property
    def __dirty__(self) -> bool:
        return self._dirty or any(child.__dirty__ for child in self._made())

    @__dirty__.setter
    def __dirty__(self, dirty: bool) -> None:
        self._dirty = bool(dirty)
        if not dirty:
            for child in self._made():
                child.__dirty__ = False

    # Without a node

    def _place_for(self, part: XMLElement) -> int:
        """A number by which the parts of an element are sorted: where the order of the children wants them, and there in the order in which they came."""
        return (self._xml_children_order.get(part.qname, self._xml_other_rank) << 48) + next(_turns)

    def _parts(self) -> list[XMLElement]:
        """What is in an element without a node, in the order of the document."""
        parts = self._made()
        if len(parts) > 1:
            parts.sort(key=attrgetter('_place'))
        return parts

    def _text(self) -> str | None:
        """The text of an element without a node; classes that have some say so."""
        return None

    def _has_grown(self) -> None:
        """The element has a node now, and so has all that is in it."""
        self._changed = True

    # The node

    @property
    def element(self) -> Any:
        """The lxml node. One that was not read is made when it is first asked for; from then on changes of the object go to it."""
        node = self._node
        return node if node is not None else grow(self)

    def _names(self) -> list[str]:
        """The names `{namespace}name` of the elements in it, in any order, whether a class knows them or not."""
        if self._node is None:
            return [part.qname for part in self._made() if part.qname is not None]
        return [node.tag for node in self._node if isinstance(node.tag, str)]

    def _child_nodes(self) -> dict[str, Any]:
        """The first node of each name; comments and processing instructions have no name."""
        nodes = self._nodes
        if nodes is None:
            nodes = self._nodes = {}
            for node in self._node:
                nodes.setdefault(node.tag, node)
        return nodes

    def _put_child(self, name: str, child: XMLElement | None) -> None:
        """Let `child` be the child of that name; the nodes of the old one are gone already."""
        children = self._children
        old = children.pop(name, None)
        if old is not None:
            old._place = 0
        if child is not None:
            if child._place or child._node is not None:
                child = child._free()
            if self._node is None:
                child._place = self._place_for(child)
            else:
                self._insert_node(child.element)
                if self._nodes is not None:
                    self._nodes.setdefault(child._node.tag, child._node)
        children[name] = child
        self._dirty = self._changed = True

    def _free(self) -> Self:
        """Itself when it is part of nothing, else a copy: an element has one place only."""
        if not self._place and (self._node is None or self._node.getparent() is None):
            return self
        clone = type(self).from_element(self._copied_node(), self._document)
        clone._dirty = clone._changed = True
        return clone

    def _copied_node(self) -> Any:
        node = deepcopy(self.element)
        node.tail = None
        return node

    def __copy__(self) -> Self:
        clone = type(self).from_element(self._copied_node(), self._document)
        clone._dirty, clone._changed = self.__dirty__, self._is_changed()
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), etree.tostring(self._copied_node()), self._document, self.__dirty__, self._is_changed())

    def _insert_node(self, node: Any) -> bool:
        """Put a node where the order of the children wants it; False when that is not the end."""
        element = self._node
        order = self._xml_children_order
        if order:
            other = self._xml_other_rank
            rank = order.get(node.tag, other)
            skipped = False
            for before in element.iterchildren(reversed=True):
                if order.get(before.tag, other) <= rank:
                    if skipped:
                        before.addnext(node)
                        return False
                    break
                skipped = True
            else:
                if skipped:
                    element.insert(0, node)
                    return False
        element.append(node)
        return True

    def _remove_node(self, node: Any) -> None:
        """Take a node out; the blanks behind it go with it."""
        self._node.remove(node)
        node.tail = None

    def _object_of(self, node: Any) -> XMLElement | None:
        """The object of a child node, if it is exposed."""
        for child in type(self)._xml_children.values():
            found = child.get(self)
            if found is not None and found._node is node:
                return found
        return None

    # Comparison

    def _content(self) -> Any:
        """What is compared besides attributes and children."""
        return None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        kind = type(self)
        if isinstance(other, XMLElement):
            if kind is not type(other):
                return False
            attributes, children = kind._xml_compares
            mine, theirs = self._values, other._values
            return (all(mine.get(name, default) == theirs.get(name, default) for name, default in attributes)
                    and all(child.get(self) == child.get(other) for child in children)
                    and bool(self._content() == other._content()))
        if kind._xml_id is not None:
            return bool(self._values.get(kind._xml_id.name) == other)
        return NotImplemented

    def __hash__(self) -> int:
        identity = type(self)._xml_id
        return hash(type(self)) if identity is None else hash(self._values.get(identity.name))

    def __repr__(self) -> str:
        values = ', '.join(f'{name}={value!r}' for name, value in self._values.items())
        return f'{type(self).__name__}({values})'

    # Extensions

    @classmethod
    def register_extension(cls, name: str, type: type[XMLElement], test_equal: bool = True) -> None:
        """Add an optional child to the class; objects that exist have it too.

        Raises:
            ValueError: the class has no extensions, or has something of that name.
            TypeError: `type` is not of the kind of extensions that the class takes.
        """
        from sipsimple.payloads._xml.children import XMLElementChild
        marker = cls._xml_extension_type
        if marker is None:
            raise ValueError(f'{cls.__name__} has no extensions')
        if not issubclass(type, marker) or not issubclass(type, XMLElement):
            raise TypeError(f'{type.__name__} is no extension of {cls.__name__}')
        if hasattr(cls, name):
            raise ValueError(f'{cls.__name__} has {name} already')
        setattr(cls, name, XMLElementChild(name, type=type, required=False, test_equal=test_equal))
        cls._xml_compile()

    @classmethod
    def unregister_extension(cls, name: str) -> None:
        """Take back `register_extension`.

        Raises:
            ValueError: there is no such extension.
        """
        child = vars(cls).get(name)
        if cls._xml_extension_type is None or not isinstance(child, Child) or not issubclass(child.type, cls._xml_extension_type):   # type: ignore[attr-defined]
            raise ValueError(f'{cls.__name__} has no extension {name}')
        delattr(cls, name)
        cls._xml_compile()


def _restored(kind: type[XMLElement], text: bytes, document: Any, dirty: bool, changed: bool) -> XMLElement:
    """The element of a pickle."""
    element = kind.from_element(etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True)), document)
    element._dirty, element._changed = dirty, changed
    return element
