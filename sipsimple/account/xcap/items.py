"""What an addressbook on an XCAP server consists of, as plain values: nothing here knows XML or the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from sipsimple.payloads.pidf import PIDF

__all__ = ['Contact', 'ContactList', 'ContactURI', 'ContactURIList', 'EventHandling', 'Group', 'Icon', 'Item', 'ItemCollection', 'OfflineStatus', 'Policy']

POLICIES = ('allow', 'block', 'default')


class HasID(Protocol):
    """What a collection holds."""

    id: str


T = TypeVar('T', bound=HasID)


class _Value:
    """Two are equal when they are of one class and all they have is equal."""

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    __hash__: Any = None


class Item(_Value):
    """A value with an id that it keeps, and by which it hashes."""

    id: str

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.id!r})'


class EventHandling(_Value):
    """What is done with an event (presence, dialog) of a contact or policy.

    Args:
        policy: whether they may see ours: `allow`, `block` or `default`.
        subscribe: whether we want to see theirs.

    Raises:
        ValueError: there is no such policy.
    """

    def __init__(self, policy: str, subscribe: bool) -> None:
        if policy not in POLICIES:
            raise ValueError(f'{policy!r} is none of {", ".join(POLICIES)}')
        self.policy = str(policy)
        self.subscribe = bool(subscribe)

    def __repr__(self) -> str:
        return f'EventHandling({self.policy!r}, {self.subscribe})'


class ItemCollection(Generic[T]):
    """Items by id, in the order in which they were added.

    Iterating gives the items; `in` takes an id or an item. Two are equal when they have equal items, in whatever order.

    Args:
        items: what to begin with; of two with one id the later one stays.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items: dict[str, T] = {item.id: item for item in items}

    def __getitem__(self, id: str) -> T:
        return self._items[id]

    def __contains__(self, key: object) -> bool:
        return getattr(key, 'id', key) in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    def __reversed__(self) -> Iterator[T]:
        return iter(list(self._items.values())[::-1])

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, ItemCollection) and type(self) is type(other) else NotImplemented

    __hash__: Any = None

    def __repr__(self) -> str:
        return f'{type(self).__name__}({list(self._items.values())!r})'

    def ids(self) -> list[str]:
        """The ids, in order."""
        return list(self._items)

    def get(self, id: str, default: Any = None) -> Any:
        """The item of that id, or `default`."""
        return self._items.get(id, default)

    def add(self, item: T) -> None:
        """Add an item; one with its id gives it its place."""
        self._items[item.id] = item

    def remove(self, item: T) -> None:
        """Take out the item with the id of this one; no harm if there is none."""
        self._items.pop(item.id, None)


class ContactURI(Item):
    """An address of a contact.

    Args:
        id: unique in the contact.
        uri: the address, as the user would write it.
        type: any word, or None.
        attributes: what the application keeps with it; texts or None.
    """

    def __init__(self, id: str, uri: str, type: str | None, **attributes: str | None) -> None:
        self.id = id
        self.uri = uri
        self.type = type
        self.attributes = attributes


class ContactURIList(ItemCollection[ContactURI]):
    """The addresses of a contact.

    Args:
        items: what to begin with.
        default: id of the one to use unless told, or None.
    """

    def __init__(self, items: Iterable[ContactURI] = (), default: str | None = None) -> None:
        super().__init__(items)
        self.default = default

    def __eq__(self, other: object) -> bool:
        equal = super().__eq__(other)
        return equal if equal is NotImplemented else equal and self.default == other.default    # type: ignore[attr-defined]

    __hash__: Any = None


class Contact(Item):
    """Somebody.

    Args:
        id: unique in the addressbook.
        name: what to show.
        uris: `ContactURIList`, or the items of one.
        presence_handling, dialog_handling: what is done with their events; the default policy and no subscription unless told.
        attributes: what the application keeps with it; texts or None.
    """

    def __init__(self, id: str, name: str, uris: Iterable[ContactURI], presence_handling: EventHandling | None = None,
                 dialog_handling: EventHandling | None = None, **attributes: str | None) -> None:
        self.id = id
        self.name = name
        self.uris = uris if isinstance(uris, ContactURIList) else ContactURIList(uris)
        self.dialog = dialog_handling or EventHandling('default', False)
        self.presence = presence_handling or EventHandling('default', False)
        self.attributes = attributes


class ContactList(ItemCollection[Contact]):
    """The contacts of a group."""


class Group(Item):
    """Contacts under one name.

    Args:
        id: unique in the addressbook.
        name: what to show.
        contacts: `ContactList`, or the items of one.
        attributes: what the application keeps with it; texts or None.
    """

    def __init__(self, id: str, name: str, contacts: Iterable[Contact], **attributes: str | None) -> None:
        self.id = id
        self.name = name
        self.contacts = contacts if isinstance(contacts, ContactList) else ContactList(contacts)
        self.attributes = attributes


class Policy(Item):
    """What is done with the events of somebody who is no contact.

    Args:
        id: unique in the addressbook.
        uri: who it is.
        name: what to show.
        presence_handling, dialog_handling: what is done with their events; the default policy and no subscription unless told.
        attributes: what the application keeps with it; texts or None.
    """

    def __init__(self, id: str, uri: str, name: str, presence_handling: EventHandling | None = None,
                 dialog_handling: EventHandling | None = None, **attributes: str | None) -> None:
        self.id = id
        self.uri = uri
        self.name = name
        self.dialog = dialog_handling or EventHandling('default', False)
        self.presence = presence_handling or EventHandling('default', False)
        self.attributes = attributes


class Icon(_Value):
    """A picture of the user, which others see with the presence.

    Args:
        data: the file.
        mime_type: of the file: image/jpeg, image/png or image/gif.
        description: in words, or None.

    Attributes:
        url: where it is on the server; None unless it was read from there.
        etag: of that document. Neither of both takes part in comparisons.

    Raises:
        ValueError: another MIME type.
        TypeError: `data` is not bytes.
    """

    mime_types = ('image/jpeg', 'image/png', 'image/gif')

    def __init__(self, data: bytes, mime_type: str, description: str | None = None) -> None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f'the data of an icon are bytes, not {type(data).__name__}')
        if mime_type not in self.mime_types:
            raise ValueError(f'{mime_type!r} is none of {", ".join(self.mime_types)}')
        self.data = bytes(data)
        self.mime_type = mime_type
        self.description = description
        self.url: str | None = None
        self.etag: str | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Icon):
            return NotImplemented
        return (self.data, self.mime_type, self.description) == (other.data, other.mime_type, other.description)

    def __hash__(self) -> int:
        return hash((self.data, self.mime_type))

    def __repr__(self) -> str:
        return f'<Icon {self.mime_type}, {len(self.data)} bytes>'


class OfflineStatus(_Value):
    """What others see while no device of the user publishes anything.

    Args:
        pidf: the document, a `sipsimple.payloads.pidf.PIDF`.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, pidf: PIDF) -> None:
        from sipsimple.payloads.pidf import PIDF
        if not isinstance(pidf, PIDF):
            raise ValueError(f'{type(pidf).__name__} is no PIDF')
        self.pidf = pidf

    def __repr__(self) -> str:
        return f'OfflineStatus({self.pidf!r})'
