"""Document types: namespaces, schemas, elements, and the way from text to root element and back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lxml import etree

from sipsimple.payloads._xml.errors import BuilderError, ParserError
from sipsimple.payloads._xml.reader import read
from sipsimple.payloads._xml.writer import WrittenTree

if TYPE_CHECKING:
    from sipsimple.payloads._xml.elements import XMLElement

__all__ = ['XMLDocument', 'XMLDocumentType', 'parse_qname']

Default = TypeVar('Default')

_XS = 'http://www.w3.org/2001/XMLSchema'


def parse_qname(qname: str) -> tuple[str | None, str]:
    """`{namespace}tag` as (namespace, tag); the namespace is None when there is none."""
    if qname[:1] == '{':
        namespace, _, tag = qname[1:].partition('}')
        return namespace, tag
    return None, qname


class _Schema:
    """A compiled schema. lxml keeps the errors of a validation with the schema: one at a time."""

    def __init__(self, files: list[tuple[str, Path]]) -> None:
        self.lock = threading.Lock()
        # One schema that imports those of all namespaces, so that elements of extensions are checked too.
        wrapper = etree.Element(f'{{{_XS}}}schema', nsmap={'xs': _XS})
        for namespace, path in files:
            if not path.is_file():      # libxml2 would only warn, and check nothing
                raise FileNotFoundError(f'the schema {path} does not exist')
            etree.SubElement(wrapper, f'{{{_XS}}}import', namespace=namespace, schemaLocation=path.as_uri())
        self.schema = etree.XMLSchema(wrapper)

    def error(self, node: Any) -> str | None:
        """What is wrong with the tree of `node`, or None."""
        schema = self.schema
        with self.lock:
            if schema.validate(node):
                return None
            first = schema.error_log[0] if len(schema.error_log) else None
        return 'schema violation' if first is None else f'line {first.line}: {first.message}'


class XMLDocumentType(type):
    """Metaclass of document types: what a type registers, those derived from it have too."""

    _own_namespaces: dict[str, tuple[str | None, str | None]]     # namespace -> (prefix, file of the schema)
    _own_elements: dict[str, type[XMLElement]]
    _cached: dict[str, Any]
    _lock: ClassVar[threading.RLock] = threading.RLock()
    _schema_path: ClassVar[Path] = Path(__file__).resolve().parent.parent / 'xml-schemas'

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls._own_namespaces = {}
        cls._own_elements = {}
        cls._cached = {}

    def _types(cls) -> list[XMLDocumentType]:
        """The type and those it derives from, base first."""
        return [kind for kind in reversed(cls.__mro__) if isinstance(kind, XMLDocumentType)]

    def _changed(cls) -> None:
        """Forget what was made of the registrations, here and in what derives from it."""
        cls._cached = {}
        derived: list[Any] = cls.__subclasses__()
        for kind in derived:
            kind._changed()

    @property
    def nsmap(cls) -> dict[str | None, str]:
        """Prefix -> namespace; the default namespace has the prefix None. A copy."""
        return dict(cls._prefixes)

    @property
    def _prefixes(cls) -> dict[str | None, str]:
        known: dict[str | None, str] | None = cls._cached.get('prefixes')
        if known is None:
            known = {prefix: namespace for kind in cls._types() for namespace, (prefix, _) in kind._own_namespaces.items()}
            cls._cached['prefixes'] = known
        return known

    @property
    def _prefix_of(cls) -> dict[str, str | None]:
        known: dict[str, str | None] | None = cls._cached.get('prefix_of')
        if known is None:
            known = cls._cached['prefix_of'] = {namespace: prefix for prefix, namespace in cls._prefixes.items()}
        return known

    @property
    def schema_path(cls) -> Path:
        """The directory of the schemas; may be set on `XMLDocument` only, and then all of them are read again."""
        return XMLDocumentType._schema_path

    @schema_path.setter
    def schema_path(cls, path: str | Path) -> None:
        if cls.__mro__[1] is not object:
            raise AttributeError('schema_path can be set on XMLDocument only')
        XMLDocumentType._schema_path = Path(path).resolve()
        cls._changed()

    @property
    def _schema(cls) -> _Schema | None:
        """The schema of all registered namespaces, compiled when it is first needed; None when no namespace has one."""
        try:
            schema: _Schema | None = cls._cached['schema']
        except KeyError:
            with XMLDocumentType._lock:
                if 'schema' not in cls._cached:
                    files = [(namespace, cls.schema_path / file) for kind in cls._types()
                             for namespace, (_, file) in kind._own_namespaces.items() if file is not None]
                    cls._cached['schema'] = _Schema(files) if files else None
                schema = cls._cached['schema']
        return schema

    @property
    def _elements(cls) -> dict[str, type[XMLElement]]:
        known: dict[str, type[XMLElement]] | None = cls._cached.get('elements')
        if known is None:
            known = {}
            for kind in cls._types():
                known.update(kind._own_elements)
            cls._cached['elements'] = known
        return known


class XMLDocument(metaclass=XMLDocumentType):
    """A document type; one class each, never an instance. Thread: any.

    Attributes:
        content_type: its MIME type.
        encoding: what documents are written in unless `build` is told otherwise.
        root_element: the class of the root element; the last registered `XMLRootElement` class.
        max_size: bytes a document to be parsed may have (in UTF-8).
        max_tags: tags it may have; a start and an end tag count two.
        max_depth: levels of elements it may have.
    """

    content_type: ClassVar[str | None] = None
    encoding: ClassVar[str] = 'UTF-8'
    root_element: ClassVar[Any] = None
    max_size: ClassVar[int] = 16 << 20
    max_tags: ClassVar[int] = 1_000_000
    max_depth: ClassVar[int] = 100

    @classmethod
    def parse(cls, document: Any) -> Any:
        """The root element of `document`: str, bytes, or a file object.

        Elements are made when they are looked at; what the document has and no class knows stays in it.

        Raises:
            ParserError: it is not well-formed, over a limit, against the schema, or not of this type.
        """
        node = read(document, cls.max_size, cls.max_tags, cls.max_depth)
        root = cls.root_element
        if root is None:
            raise ParserError(f'{cls.__name__} has no root element')
        if node.tag != root.qname:
            raise ParserError(f'the root element is {node.tag}, not {root.qname}')
        schema = cls._schema
        if schema is not None:
            error = schema.error(node)
            if error is not None:
                raise ParserError(error)
        return root.from_element(node, cls)

    @classmethod
    def build(cls, root: Any, encoding: str | None = None, pretty_print: bool = False, validate: bool = True) -> bytes:
        """The document of `root` with an XML declaration.

        Namespaces are declared at the root, those that nothing uses are not declared; a parsed document that was not changed is written as it was read.

        Raises:
            TypeError: `root` is not the root element of this document type.
            BuilderError: it is incomplete, or against the schema.
        """
        if cls.root_element is None or not isinstance(root, cls.root_element):
            expected = 'nothing' if cls.root_element is None else cls.root_element.__name__
            raise TypeError(f'the root of a {cls.__name__} is {expected}, not {type(root).__name__}')
        text, node = None, root._node
        if root._is_changed():
            if node is None:
                tree = WrittenTree(root, must_be_complete=True)
                text, node = (tree.text, tree.node) if tree.is_whole else (None, root.element)
            else:
                root._complete()
            if text is None:
                cls._tidy(node)
            schema = cls._schema if validate else None
            if schema is not None:
                error = schema.error(node)
                if error is not None:
                    raise BuilderError(error)
        encoding = encoding or cls.encoding
        if text is not None and not pretty_print and encoding == 'UTF-8':
            return b"<?xml version='1.0' encoding='UTF-8'?>\n" + text       # as below
        written: bytes = etree.tostring(node.getroottree(), encoding=encoding, xml_declaration=True, pretty_print=pretty_print)
        return written

    @classmethod
    def _tidy(cls, node: Any) -> None:
        """Declare the namespaces of a tree as `build` says."""
        foreign = [prefix for prefix, namespace in node.nsmap.items() if prefix and namespace not in cls._prefix_of]
        top = {prefix: namespace for prefix, namespace in cls._prefixes.items() if prefix or not node.prefix}
        etree.cleanup_namespaces(node, top_nsmap=top, keep_ns_prefixes=foreign)

    @classmethod
    def create(cls, build_kw: Mapping[str, Any] = {}, **kw: Any) -> bytes:
        """The document whose root element is constructed with `kw`; `build_kw` are arguments of `build`."""
        return cls.build(cls.root_element(**kw), **build_kw)

    @classmethod
    def register_namespace(cls, namespace: str, prefix: str | None = None, schema: str | None = None) -> None:
        """Let documents of this type have elements of `namespace`; `schema` is a file in `schema_path`.

        Raises:
            ValueError: the prefix or the namespace is registered.
        """
        with XMLDocumentType._lock:
            if prefix in cls._prefixes:
                raise ValueError(f'the prefix {prefix!r} is registered in {cls.__name__}')
            if namespace in cls._prefix_of:
                raise ValueError(f'the namespace {namespace!r} is registered in {cls.__name__}')
            cls._own_namespaces[namespace] = (prefix, schema)
            cls._changed()

    @classmethod
    def unregister_namespace(cls, namespace: str) -> None:
        """Take back `register_namespace`.

        Raises:
            KeyError: the namespace is not registered with this very type.
        """
        with XMLDocumentType._lock:
            del cls._own_namespaces[namespace]
            cls._changed()

    @classmethod
    def register_element(cls, element_class: Any) -> None:
        """Know the class; done by itself for classes that name the document as their `_xml_document`."""
        with XMLDocumentType._lock:
            cls._own_elements[element_class.qname] = element_class
            if element_class._xml_is_root:
                cls.root_element = element_class
            cls._changed_elements()

    @classmethod
    def _changed_elements(cls) -> None:
        cls._cached.pop('elements', None)
        for kind in cls.__subclasses__():
            kind._changed_elements()

    @classmethod
    def get_element(cls, qname: str, default: Default | None = None) -> Any:
        """The class for `{namespace}tag`, or `default`."""
        return cls._elements.get(qname, default)
