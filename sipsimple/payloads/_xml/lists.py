"""Elements that hold any number of others: lists, keyed lists, lists of words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, ClassVar

from sipsimple.payloads._xml.elements import XMLElement, XMLElementType
from sipsimple.payloads._xml.errors import ValidationError
from sipsimple.payloads._xml.roots import XMLRootElement
from sipsimple.util import All, MarkerType

__all__ = [
    'IterateIDs', 'IterateItems', 'IterateTypes', 'KeyedList', 'XMLEmptyElementRegistryType', 'XMLListElement', 'XMLListRootElement',
    'XMLStringListElement', 'registry_of',
]


class IterateTypes(metaclass=MarkerType):
    """Marker: `list[IterateTypes]` iterates over the classes of the items that have an id."""


class IterateIDs(metaclass=MarkerType):
    """Marker: `list[Class, IterateIDs]` iterates over the ids of the items of a class."""


class IterateItems(metaclass=MarkerType):
    """Marker: `list[Class, IterateItems]` iterates over the items of a class."""


class XMLListElement(XMLElement):
    """An element with items, besides attributes and children.

    The items are iterated in the order of the document. Those with an id are also reached by it:
    `l[Class, id]`, `l[IterateTypes]`, `l[Class, IterateIDs]`, `l[Class, IterateItems]`, `del l[Class, id]`, `del l[Class, All]`.

    Class attributes of derived classes:
        _xml_item_types: classes of the items; a class that is no element is a marker, and every element class of the document that derives from it counts.
    """

    _xml_is_base = True
    _xml_has_items = True
    _xml_item_types: ClassVar[tuple[type, ...]] = ()
    _xml_item_kinds: ClassVar[dict[str, type[XMLElement]]] = {}
    _xml_item_markers: ClassVar[tuple[type, ...]] = ()
    _xml_item_classes: ClassVar[tuple[Any, ...]] = ()
    _xml_decodes: ClassVar[bool] = False

    _items: dict[Any, XMLElement] | None = None     # node -> item; without nodes, id() of the item -> item
    _index: dict[tuple[type, Any], XMLElement]
    _hidden: dict[tuple[type, Any], list[Any]]  # nodes with the id of an item before them
    _sorted: bool

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls._xml_item_markers = tuple(kind for kind in cls._xml_item_types if not issubclass(kind, XMLElement))
        cls._xml_item_classes = tuple(kind for kind in cls._xml_item_types if issubclass(kind, XMLElement))
        cls._xml_decodes = cls._decode_item is not XMLListElement._decode_item
        # The class itself may be one of its items, see `_add_item_type`.
        cls._xml_item_kinds = {kind.qname: kind for kind in cls._xml_item_classes}

    @classmethod
    def _add_item_type(cls, kind: type[XMLElement]) -> None:
        """One more class of items, for one that did not exist when the list's class was made (itself)."""
        cls._xml_item_types += (kind,)
        cls.__init_subclass__()

    def __init__(self) -> None:
        super().__init__()
        self._items = {}
        self._index = {}
        self._hidden = {}
        self._sorted = True

    # What items look like from outside; derived classes may show something else than the elements.

    def _encode_item(self, value: Any) -> XMLElement:
        """The element for what is added, looked for or removed; TypeError when it is nothing that the list holds."""
        kinds = self._xml_item_classes
        if type(value) in kinds or isinstance(value, kinds) or (isinstance(value, XMLElement) and isinstance(value, self._xml_item_markers)):
            element: XMLElement = value
            return element
        raise TypeError(f'{type(value).__name__} is no item of {type(self).__name__}')

    def _decode_item(self, item: XMLElement) -> Any:
        """What is shown of an element; None hides it."""
        return item

    # Items

    def _kind_of(self, tag: Any) -> type[XMLElement] | None:
        kind = self._xml_item_kinds.get(tag)
        if kind is None and self._xml_item_markers and self._document is not None:
            kind = self._document.get_element(tag)
            if kind is not None and not issubclass(kind, self._xml_item_markers):
                kind = None
        return kind

    def _load(self) -> dict[Any, XMLElement]:
        """The items, made when they are first asked for."""
        items = self._items
        if items is None:
            items = self._items = {}
            self._index = index = {}
            self._hidden = {}
            self._sorted = True
            kinds = self._xml_item_kinds
            document = self._document
            markers = bool(self._xml_item_markers)
            for node in self._node:
                tag = node.tag
                kind = kinds.get(tag)
                if kind is None:
                    if not markers:
                        continue
                    kind = self._kind_of(tag)
                    if kind is None:
                        continue
                try:
                    item = kind.from_element(node, document)
                except ValidationError:
                    continue
                identity = kind._xml_id_name
                if identity is not None:
                    value = item._values.get(identity)
                    if value is not None:
                        key = (kind, value)
                        if key in index:
                            self._hidden.setdefault(key, []).append(node)
                            continue
                        index[key] = item
                items[node] = item
        return items

    def _elements(self) -> Iterable[XMLElement]:
        """The items as elements, in the order of the document."""
        items = self._load()
        if not self._sorted:
            if self._node is None:
                items = {id(part): part for part in self._parts() if id(part) in items}
            else:
                items = {node: items[node] for node in self._node if node in items}
            self._items = items
            self._sorted = True
        return items.values()

    def _made(self) -> list[XMLElement]:
        made = super()._made()
        return [*made, *self._items.values()] if self._items else made

    def _parts(self) -> list[XMLElement]:
        parts = list(self._items.values()) if self._items else []
        if self._children:
            parts += [child for child in self._children.values() if child is not None]
        if len(parts) > 1:
            parts.sort(key=attrgetter('_place'))
        return parts

    def _object_of(self, node: Any) -> XMLElement | None:
        return self._load().get(node) or super()._object_of(node)

    def _key(self, item: XMLElement) -> tuple[type, Any] | None:
        identity = item._xml_id_name
        if identity is None:
            return None
        value = item._values.get(identity)
        return None if value is None else (type(item), value)

    def _slot(self, item: XMLElement) -> Any:
        """The key of an item in `_items`."""
        return id(item) if self._node is None else item._node

    def _has_grown(self) -> None:
        super()._has_grown()
        self._items = {item._node: item for item in self._load().values()}
        self._sorted = False

    def _add_element(self, item: XMLElement) -> None:
        items = self._items
        if items is None:
            items = self._load()
        if items.get(self._slot(item)) is item:
            return
        if item._place or item._node is not None:
            item = item._free()
        key = self._key(item)
        old = self._index.get(key) if key is not None else None
        if old is not None:
            self._replace_element(old, item, key)
        elif self._node is None:
            item._place = self._place_for(item)
            items[id(item)] = item
            self._sorted = not self._xml_children_order
        else:
            node = item.element
            if not self._insert_node(node):
                self._sorted = False
            items[node] = item
        if key is not None:
            self._index[key] = item
        self._dirty = self._changed = True

    def _replace_element(self, old: XMLElement, item: XMLElement, key: Any) -> None:
        """Let an item take the place of another one."""
        items = self._load()
        del items[self._slot(old)]
        if self._node is None:
            item._place, old._place = old._place, 0
            items[id(item)] = item
        else:
            self._drop_hidden(key)
            node, tail = item.element, old._node.tail
            self._node.replace(old._node, node)
            old._node.tail, node.tail = None, tail
            items[node] = item
        self._sorted = False

    def _remove_element(self, item: XMLElement) -> None:
        del self._load()[self._slot(item)]
        item._place = 0
        if self._node is not None:
            self._remove_node(item._node)
        key = self._key(item)
        if key is not None:
            self._index.pop(key, None)
            self._drop_hidden(key)
        self._dirty = self._changed = True

    def _drop_hidden(self, key: Any) -> None:
        """An item that goes must not let another one with its id come forth."""
        for node in self._hidden.pop(key, ()):
            self._remove_node(node)

    def _lookup(self, item: XMLElement) -> XMLElement | None:
        """The item of the list that is, or equals, this one."""
        mine = self._load().get(self._slot(item))
        if mine is not None:
            return mine
        key = self._key(item)
        if key is not None:
            found = self._index.get(key)
            return found if found is not None and found == item else None
        return next((other for other in self._load().values() if other == item), None)

    def add(self, item: Any) -> None:
        """Put an item behind those of its kind; one with the same id is replaced. What is part of another element is copied.

        Raises:
            TypeError: it is no item of this list.
        """
        self._add_element(self._encode_item(item))

    def remove(self, item: Any) -> None:
        """Take an item, or an equal one, out.

        Raises:
            KeyError: it is not in the list.
        """
        found = self._lookup(self._encode_item(item))
        if found is None:
            raise KeyError(item)
        self._remove_element(found)

    def update(self, items: Iterable[Any]) -> None:
        """Add all of them."""
        for item in items:
            self.add(item)

    def clear(self) -> None:
        """Take all items out."""
        for item in list(self._load().values()):
            if self._decode_item(item) is not None:
                self._remove_element(item)

    def __iter__(self) -> Iterator[Any]:
        items = list(self._elements())
        if not self._xml_decodes:
            return iter(items)
        shown = (self._decode_item(item) for item in items)
        return iter([item for item in shown if item is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self) if self._xml_decodes else len(self._load())

    def __bool__(self) -> bool:
        """True, as for any element: an empty list is there."""
        return True

    def __contains__(self, item: Any) -> bool:
        try:
            return self._lookup(self._encode_item(item)) is not None
        except (TypeError, ValueError):
            return False

    # By id

    def __getitem__(self, key: Any) -> Any:
        self._load()
        if key is IterateTypes:
            return iter(dict.fromkeys(kind for kind, _ in self._index))
        kind, value = self._split(key)
        if value is IterateIDs:
            return iter([self._index_id(item) for item in self._elements() if type(item) is kind and self._key(item)])
        if value is IterateItems:
            return iter([item for item in self._elements() if type(item) is kind])
        return self._index[kind, value]

    def __delitem__(self, key: Any) -> None:
        self._load()
        kind, value = self._split(key)
        if value is All:
            for item in [item for item in self._elements() if type(item) is kind]:
                self._remove_element(item)
        else:
            self._remove_element(self._index[kind, value])

    @staticmethod
    def _index_id(item: XMLElement) -> Any:
        identity = type(item)._xml_id
        return None if identity is None else item._values.get(identity.name)

    def _split(self, key: Any) -> tuple[Any, Any]:
        if not isinstance(key, tuple) or len(key) != 2:
            raise KeyError(key)
        return key

    def get(self, key: Any, default: Any = None) -> Any:
        """The item that `l[key]` has, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def _content(self) -> Any:
        return list(self._elements())

    __eq__ = XMLElement.__eq__
    __hash__ = XMLElement.__hash__


class KeyedList(XMLListElement):
    """A list of one class, where the class is left out of the key: `l[id]`, `l[IterateIDs]`, `l[IterateItems]`, `del l[id]`, `del l[All]`."""

    _xml_is_base = True

    def _split(self, key: Any) -> tuple[Any, Any]:
        return self._xml_item_classes[0], key


class XMLListRootElement(XMLListElement, XMLRootElement):
    """A list that is the root element of a document."""

    _xml_is_base = True


class XMLEmptyElementRegistryType(type):
    """Metaclass: makes an empty element class for each name in `names`.

    The class needs `_xml_namespace` and `_xml_document`, if only from one that it derives from, and gets:
        class_map: name -> class.
        classes: the classes.
        names: the names.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        names = tuple(namespace.get('names', ()))
        place = {'_xml_namespace': getattr(cls, '_xml_namespace', None), '_xml_document': getattr(cls, '_xml_document', None)}
        cls.names = names
        cls.class_map: dict[str, Any] = {
            word: XMLElementType(word.title().replace('-', '').replace('_', ''), (_Keyword,), {
                '__module__': namespace.get('__module__', __name__), '__doc__': f'The keyword {word}.', '_xml_tag': word, **place})
            for word in names}
        cls.classes: tuple[Any, ...] = tuple(cls.class_map.values())


def registry_of(kind: type[XMLElement], words: tuple[str, ...]) -> XMLEmptyElementRegistryType:
    """The registry of words that only this class uses, and those derived from it."""
    return XMLEmptyElementRegistryType(f'{kind.__name__}Registry', (), {
        '__module__': kind.__module__, '_xml_namespace': kind._xml_namespace, '_xml_document': kind._xml_document, 'names': words})


class _Keyword(XMLElement):
    """An element that is a word."""

    def __str__(self) -> str:
        return type(self)._xml_tag or ''


class XMLStringListElement(XMLListElement):
    """A list of words and texts, read and written as str. `remove` raises KeyError for what is not there.

    Class attributes of derived classes:
        _xml_item_words: the keywords; or
        _xml_item_registry: the class that has them, if others use it too.
        _xml_item_other_type: class of the element with any other text, or None.
        _xml_item_extension_type: marker of further elements, which are shown as they are.
    """

    _xml_is_base = True
    _xml_item_words: ClassVar[tuple[str, ...]] = ()
    _xml_item_registry: ClassVar[Any] = None
    _xml_item_other_type: ClassVar[Any] = None
    _xml_item_extension_type: ClassVar[type | None] = None

    def __init_subclass__(cls, **kw: Any) -> None:
        if '_xml_item_words' in vars(cls):
            cls._xml_item_registry = registry_of(cls, cls._xml_item_words)
        registry, other, extension = cls._xml_item_registry, cls._xml_item_other_type, cls._xml_item_extension_type
        cls._xml_item_types = (*(registry.classes if registry is not None else ()), *((other,) if other is not None else ()),
                               *((extension,) if extension is not None else ()), *cls._xml_more_item_types())
        super().__init_subclass__(**kw)

    @classmethod
    def _xml_more_item_types(cls) -> tuple[type, ...]:
        return ()

    def _encode_item(self, value: Any) -> XMLElement:
        if isinstance(value, XMLElement):
            return super()._encode_item(value)
        if not isinstance(value, str):
            raise TypeError(f'{type(value).__name__} is no item of {type(self).__name__}')
        if self._xml_item_registry is not None:
            kind = self._xml_item_registry.class_map.get(str(value))
            if kind is not None:
                return kind()   # type: ignore[no-any-return]
        if self._xml_item_other_type is None:
            raise ValueError(f'{value!r} is no item of {type(self).__name__}')
        return self._make_other(value)

    def _make_other(self, value: str) -> XMLElement:
        """The element of a text that is no keyword."""
        return self._xml_item_other_type(value)     # type: ignore[no-any-return]

    def _decode_item(self, item: XMLElement) -> Any:
        if self._xml_item_extension_type is not None and isinstance(item, self._xml_item_extension_type):
            return item
        return str(item)
