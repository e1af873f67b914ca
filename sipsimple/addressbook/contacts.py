"""Contact, and the addresses it has."""

from __future__ import annotations

from typing import Any

from sipsimple.addressbook.datatypes import EventSettings, SyncedSetting, is_id, is_text, new_id
from sipsimple.addressbook.model import AddressbookExtension, AddressbookObject, Item, committed_state
from sipsimple.addressbook.store import store
from sipsimple.configuration import DefaultValue, ItemCollection, ItemContainer, ItemManagement, ModifiedValue, PersistentKey, Setting
from sipsimple.configuration.descriptors import Cell

__all__ = ['Contact', 'ContactExtension', 'ContactURI', 'ContactURIExtension', 'ContactURIList']


class ContactExtension(AddressbookExtension):
    """Base of what an application adds to contacts."""


class ContactURIExtension(AddressbookExtension):
    """Base of what an application adds to the addresses of contacts."""


class ContactURI(Item):
    """An address of a contact; it is saved with the contact.

    Args:
        id: None for one of its own. ValueError, TypeError: it cannot be an id.
        state: values of settings.

    Attributes:
        id: unique in the contact; it does not change.
        uri: the address.
        type: any word, or None.
    """

    _extension_type = ContactURIExtension
    uri = SyncedSetting(type=str, default='')
    type = SyncedSetting(type=str, default=None, nillable=True)

    def __init__(self, id: str | None = None, **state: Any) -> None:
        self.id = new_id() if id is None else id
        for name, value in state.items():
            if name not in self._settings:
                raise TypeError(f'{ContactURI.__name__} has no setting {name}')
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(id={str(self.id)!r})'


class DefaultURI(Setting):
    """The address to use unless told, one of the collection that has the setting; stored as its id."""

    def __init__(self) -> None:
        super().__init__(type=ContactURI, default=None, nillable=True)

    def convert(self, value: Any) -> Any:
        """The address itself. TypeError: something else."""
        if value is not None and not isinstance(value, ContactURI):
            raise TypeError(f'not a ContactURI: {value!r}')
        return value

    def __set__(self, obj: Any, value: Any) -> None:
        value = None if value is DefaultValue else self.convert(value)
        if value is not None and obj.get(value.id) is not value:
            raise ValueError(f'not an address of the contact: {value!r}')
        super().__set__(obj, value)

    def __setstate__(self, obj: Any, value: Any = None) -> None:
        if value is not None and not isinstance(value, str):
            raise ValueError(f'{self.name} is not a single text: {value!r}')
        obj._stored_default = value             # looked up when the addresses are loaded

    def committed_state(self, obj: Any) -> Any:
        """The id; DefaultValue, so nothing is stored, for none."""
        value = self.get_old(obj)
        return DefaultValue if value is None else str(value.id)


class URIManagement(ItemManagement):
    """Keeps the default among the addresses."""

    def remove_item(self, item: Any, collection: Any) -> None:
        """An address went."""
        if collection.default is item:
            collection.default = None

    def add_item(self, item: Any, collection: Any) -> None:
        """An address came; maybe in the place of one with its id."""
        default = collection.default
        if default is not None and collection.get(default.id) is not default:
            collection.default = item if item.id == default.id else None

    def set_items(self, items: list[Any], collection: Any) -> None:
        """All were replaced."""
        default = collection.default
        if default is not None and collection.get(default.id) is not default:
            collection.default = None


class ContactURIList(ItemCollection):
    """The addresses of a contact: add(), remove(), iteration and `in` by id, `ids()`, `get(id)`, `[id]`.

    Attributes:
        default: the address to use unless told, or None. TypeError: not a ContactURI; ValueError: not one of these.
    """

    _item_type = ContactURI
    _item_management = URIManagement()
    default = DefaultURI()

    @classmethod
    def is_sound(cls, state: Any) -> bool:
        """True for a stored state that can be loaded without fault, and would be stored as it is."""
        if not isinstance(state, dict) or len(cls._settings) != 1 or cls._group_classes or len(ContactURI._settings) != 2 or ContactURI._group_classes:
            return False
        for id, uri in state.items():
            if id == 'default':
                if not isinstance(uri, str) or uri == id or uri not in state:
                    return False
            elif not (is_id(id) and isinstance(uri, dict) and len(uri) == 2 and is_text(uri.get('uri')) and ('type' in uri)
                      and (uri['type'] is None or is_text(uri['type']))):
                return False
        return True

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._stored_default: str | None = None
        super().__setstate__(state)
        if self._stored_default is not None and self._stored_default in self._items:
            cell = self._values.setdefault('default', Cell())
            cell.value = cell.committed = self._items[self._stored_default]

    def committed_state(self) -> dict[str, Any]:
        """The tree of what was last saved."""
        state = ItemContainer(committed_state(self))
        for id, item in self._committed.items():
            state[PersistentKey(id)] = committed_state(item)
        return state

    @property
    def saved(self) -> dict[str, ContactURI]:
        """The addresses as they were last saved, by id. Not to be changed."""
        return self._committed

    @property
    def saved_default(self) -> ContactURI | None:
        """The default as it was last saved."""
        value: ContactURI | None = type(self).default.get_old(self)
        return value

    # What comes from a server. What the application has added or removed and not saved stays so.

    def take_in(self, item: ContactURI) -> None:
        """Have an address among the saved ones."""
        id = str(item.id)
        item.get_modified()
        old = self._committed.get(id)
        self._committed[id] = item
        if id not in self._items or self._items[id] is old:
            self._items[id] = item

    def take_out(self, item: ContactURI) -> None:
        """Have an address no longer among the saved ones."""
        id = str(item.id)
        if self._committed.get(id) is item:
            del self._committed[id]
        if self._items.get(id) is item:
            del self._items[id]
        cell = self._values.get('default')
        if cell is not None:
            if cell.committed is item:
                cell.committed = None
            if cell.value is item:
                cell.value = None
            cell.dirty = cell.value is not cell.committed

    def take_default(self, item: ContactURI | None) -> ModifiedValue | None:
        """Have a saved address, or None, as the saved default. None: it is already."""
        cell = self._values.setdefault('default', Cell())
        old = None if cell.committed is DefaultValue else cell.committed
        if old is item:
            return None
        if not cell.dirty:
            cell.value = item
        cell.committed = item
        cell.dirty = cell.value is not item
        return ModifiedValue(old, item)


class Contact(AddressbookObject):
    """Somebody, with addresses.

    Attributes:
        id: a random name; it does not change.
        name: what to show.
        uris: the addresses, a `ContactURIList`; assigning an iterable replaces them.
        dialog, presence: what is done with these events, `EventSettings`.
    Notifications: AddressbookContactWasActivated, AddressbookContactWasCreated, AddressbookContactDidChange(modified), AddressbookContactWasDeleted;
        CFGManagerSaveFailed from the ConfigurationManager.
    """

    __group__ = 'Contacts'
    _extension_type = ContactExtension
    name = SyncedSetting(type=str, default='')
    uris: Any = ContactURIList
    dialog = EventSettings
    presence = EventSettings

    def _did_add(self) -> None:
        """Groups may have had it as a member before it was saved."""
        for group in store.awaited.pop(str(self.id), ()):
            group._gain(self)

    def _give_up(self) -> None:
        """Groups may have it as a member."""
        for group in store.awaited.pop(str(self.id), ()):
            group.contacts.give_up(self)

    def _remove(self, origin: Any) -> None:
        """Groups lose it first. Of servers only the contact itself is taken out: they do the same."""
        groups = [group for group in store.saved['Groups'].values() if self.id in group.contacts or self.id in group.contacts.saved]
        started = bool(groups) and store.begin()        # one batch, so the file never has the one without the other
        try:
            super()._remove(origin)
            for group in groups:
                group._lose(self, origin)
        finally:
            if started:
                store.commit()

    def _post_activated(self) -> None:
        self._post('AddressbookContactWasActivated')

    def _post_created(self) -> None:
        self._post('AddressbookContactWasCreated')

    def _post_changed(self, modified: dict[str, Any]) -> None:
        self._post('AddressbookContactDidChange', modified=modified)

    def _post_deleted(self) -> None:
        self._post('AddressbookContactWasDeleted')
