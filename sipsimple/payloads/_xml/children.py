"""Child elements as attributes of their parent's object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipsimple.payloads._xml.elements import Child, XMLElement
from sipsimple.payloads._xml.errors import ValidationError

__all__ = ['XMLElementChild', 'XMLElementChoiceChild', 'XMLStringChoiceChild']


class XMLElementChild(Child):
    """A child element of one class.

    Args:
        name: of the Python attribute.
        type: class of the child; a value that is no instance of it becomes `type(value)`.
        required: whether the element is incomplete without.
        test_equal: whether it takes part in comparison.
        onset, ondel: called as onset(obj, descriptor, value) and ondel(obj, descriptor) after a change.

    Setting None removes the child. What is set belongs to its parent: an element that is part of another one is copied.
    """

    def __init__(self, name: str, type: Any, required: bool = False, test_equal: bool = True,
                 onset: Callable[..., object] | None = None, ondel: Callable[..., object] | None = None) -> None:
        self.name = name
        self.type = type
        self.required = required
        self.test_equal = test_equal
        self.onset = onset
        self.ondel = ondel

    def kind_of(self, qname: Any, document: Any) -> type[XMLElement] | None:
        kind: Any = self.type
        return kind if qname == kind.qname else None

    def load(self, obj: XMLElement) -> XMLElement | None:
        if obj._node is None:
            return None
        child = None
        nodes = obj._nodes
        node = (obj._child_nodes() if nodes is None else nodes).get(self.type.qname)
        if node is not None:
            try:
                child = self.type.from_element(node, obj._document)
            except ValidationError:
                pass
        obj._children[self.name] = child
        return child

    def put(self, obj: XMLElement, child: XMLElement | None) -> None:
        qname = self.type.qname
        if obj._node is not None and qname in obj._child_nodes():
            for node in obj._node.findall(qname):
                obj._remove_node(node)
            del obj._child_nodes()[qname]
        obj._put_child(self.name, child)

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        child = obj._children.get(self.name, self)
        return self.load(obj) if child is self else child

    def __set__(self, obj: Any, value: Any) -> None:
        if value is None or (value is False and self.type._xml_is_flag):
            self.__delete__(obj)
            return
        kind = self.type
        if kind not in type(value).__mro__:     # isinstance() takes its time where classes have a metaclass
            value = kind(value)
        if obj._children.get(self.name) is value:
            return
        if obj._node is None:
            obj._put_child(self.name, value)
        else:
            self.put(obj, value)
        if self.onset is not None:
            self.onset(obj, self, value)

    def __delete__(self, obj: Any) -> None:
        is_there = obj._children.get(self.name) is not None if obj._node is None else self.type.qname in obj._child_nodes()
        if is_there:
            valid = self.get(obj) is not None
            self.put(obj, None)
            if valid and self.ondel is not None:
                self.ondel(obj, self)


class _Choice(Child):
    """One of several elements; more may be registered, and marked classes of the document count too."""

    def __init__(self, name: str, types: Any, extension_type: type | None, required: bool, test_equal: bool,
                 onset: Callable[..., object] | None, ondel: Callable[..., object] | None) -> None:
        self.name = name
        self.types: tuple[Any, ...] = tuple(types)
        self.extension_type = extension_type
        self.required = required
        self.test_equal = test_equal
        self.onset = onset
        self.ondel = ondel
        self._extensions: tuple[Any, ...] = ()
        self._kinds = {kind.qname: kind for kind in reversed(self.types)}

    def kind_of(self, qname: Any, document: Any) -> type[XMLElement] | None:
        kind = self._kinds.get(qname)
        if kind is not None:
            return kind     # type: ignore[no-any-return]
        if self.extension_type is not None and document is not None:
            kind = document.get_element(qname)
            if kind is not None and issubclass(kind, self.extension_type):
                return kind     # type: ignore[no-any-return]
        return None

    def register_extension(self, type: type[XMLElement]) -> None:
        """Take elements of one more class.

        Raises:
            ValueError: the child has no extensions, or this class already.
            TypeError: the class is of another kind.
        """
        if self.extension_type is None:
            raise ValueError(f'{self.name} has no extensions')
        if not issubclass(type, self.extension_type) or not issubclass(type, XMLElement):
            raise TypeError(f'{type.__name__} is no extension of {self.name}')
        if type in self.types or type in self._extensions:
            raise ValueError(f'{self.name} has {type.__name__} already')
        self._extensions += (type,)
        self._kinds[type.qname] = type

    def unregister_extension(self, type: type[XMLElement]) -> None:
        """Take back `register_extension`.

        Raises:
            ValueError: the class is not registered.
        """
        if type not in self._extensions:
            raise ValueError(f'{self.name} has no extension {type.__name__}')
        self._extensions = tuple(kind for kind in self._extensions if kind is not type)
        self._kinds = {kind.qname: kind for kind in reversed((*self.types, *self._extensions))}

    def _encode(self, value: Any) -> XMLElement:
        """The element for a value that is set."""
        kinds: tuple[type, ...] = (*self.types, *self._extensions, *((self.extension_type,) if self.extension_type is not None else ()))
        if isinstance(value, XMLElement) and isinstance(value, kinds):
            return value
        raise TypeError(f'{self.name} cannot be {value!r}')

    def _decode(self, child: XMLElement | None) -> Any:
        """The value of an element."""
        return child

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        return self if obj is None else self._decode(self.get(obj))

    def __set__(self, obj: Any, value: Any) -> None:
        if value is None:
            self.__delete__(obj)
            return
        child = self._encode(value)
        if self.get(obj) is child:
            return
        self.put(obj, child)
        if self.onset is not None:
            self.onset(obj, self, value)

    def __delete__(self, obj: Any) -> None:
        if self.get(obj) is None:
            return
        self.put(obj, None)
        if self.ondel is not None:
            self.ondel(obj, self)


class XMLElementChoiceChild(_Choice):
    """A child element of one of several classes; setting something else raises TypeError.

    Args:
        types: the classes.
        extension_type: what further classes must derive from.
        name, required, test_equal, onset, ondel: as for `XMLElementChild`.
    """

    def __init__(self, name: str, types: Any, extension_type: type | None = None, required: bool = False, test_equal: bool = True,
                 onset: Callable[..., object] | None = None, ondel: Callable[..., object] | None = None) -> None:
        super().__init__(name, types, extension_type, required, test_equal, onset, ondel)


class XMLStringChoiceChild(_Choice):
    """A child that is a keyword, an element without content, or free text; read and set as str.

    Args:
        registry: the class with the keywords (`XMLEmptyElementRegistryType`).
        other_type: class of the element that has free text.
        extension_type: what further classes must derive from; they are read and set as elements.
        name, required, test_equal, onset, ondel: as for `XMLElementChild`.
    """

    def __init__(self, name: str, registry: Any = None, other_type: Any = None, extension_type: type | None = None, required: bool = False,
                 test_equal: bool = True, onset: Callable[..., object] | None = None, ondel: Callable[..., object] | None = None) -> None:
        types = (*(registry.classes if registry is not None else ()), *((other_type,) if other_type is not None else ()))
        super().__init__(name, types, extension_type, required, test_equal, onset, ondel)
        self.registry = registry
        self.other_type = other_type

    def _encode(self, value: Any) -> XMLElement:
        if isinstance(value, XMLElement):
            return super()._encode(value)
        if not isinstance(value, str):
            raise TypeError(f'{self.name} is text, not {value!r}')
        kind = None if self.registry is None else self.registry.class_map.get(value)
        if kind is not None:
            return kind()   # type: ignore[no-any-return]
        if self.other_type is None:
            raise ValueError(f'{self.name} cannot be {value!r}')
        return self.other_type(value)   # type: ignore[no-any-return]

    def _decode(self, child: XMLElement | None) -> Any:
        return None if child is None else child if self.extension_type and isinstance(child, self.extension_type) else str(child)
