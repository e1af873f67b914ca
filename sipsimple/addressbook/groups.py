"""Group, and the contacts in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipsimple.addressbook.contacts import Contact
from sipsimple.addressbook.datatypes import SyncedSetting
from sipsimple.addressbook.model import AddressbookExtension, AddressbookObject
from sipsimple.addressbook.store import Change, store
from sipsimple.configuration import ModifiedList
from sipsimple.configuration.descriptors import AbstractSetting

__all__ = ['ContactList', 'Group', 'GroupExtension']


class GroupExtension(AddressbookExtension):
    """Base of what an application adds to groups."""


class ContactList:
    """The contacts of a group, ordered by id; `in` takes a contact or its id.

    A contact that was not saved yet is a member from when it is.
    """

    def __init__(self) -> None:
        self._members: dict[str, Contact] = {}
        self._saved: dict[str, Contact] = {}
        self._touched: dict[str, None] = {}         # ids of what may differ between both; a set that keeps its order
        self._awaited: dict[str, Contact] = {}      # those who were saved as members, and were not saved themselves

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, id: str) -> Contact:
        return self._members[id]

    def __contains__(self, contact: object) -> bool:
        return getattr(contact, 'id', contact) in self._members

    def __iter__(self) -> Iterator[Contact]:
        return iter([self._members[id] for id in sorted(self._members)])

    def __reversed__(self) -> Iterator[Contact]:
        return iter([self._members[id] for id in sorted(self._members, reverse=True)])

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        return self._members == other._members if isinstance(other, ContactList) else NotImplemented

    def __repr__(self) -> str:
        return f'{type(self).__name__}({list(self)!r})'

    def ids(self) -> list[str]:
        """The ids, sorted."""
        return sorted(self._members)

    def get(self, id: str, default: Any = None) -> Any:
        """The contact with that id, or the default."""
        return self._members.get(id, default)

    def add(self, contact: Contact) -> None:
        """Add a contact; one that was deleted is left out. TypeError: not a contact."""
        if not isinstance(contact, Contact):
            raise TypeError(f'not a Contact: {contact!r}')
        with store.lock:
            if contact._state != 'deleted' and self._members.get(contact.id) is not contact:
                self._members[str(contact.id)] = contact
                self._touched[str(contact.id)] = None

    def remove(self, contact: Contact) -> None:
        """Remove a contact; an absent one is fine."""
        with store.lock:
            if self._members.pop(contact.id, None) is not None:
                self._touched[str(contact.id)] = None

    def replace(self, contacts: Iterable[Contact]) -> None:
        """Have these contacts and no others. TypeError: one is no contact; then nothing has changed."""
        new = list(contacts)
        for contact in new:
            if not isinstance(contact, Contact):
                raise TypeError(f'not a Contact: {contact!r}')
        with store.lock:
            for id in [*self._members, *(str(contact.id) for contact in new)]:
                self._touched[id] = None
            self._members = {str(contact.id): contact for contact in new if contact._state != 'deleted'}

    # ---- what is saved, with the store's lock held -------------------------------------------------------------

    @property
    def saved(self) -> dict[str, Contact]:
        """The contacts as they were last saved, by id. Not to be changed."""
        return self._saved

    def load(self, contacts: Iterable[Contact]) -> None:
        """Have the stored contacts."""
        self._members = {str(contact.id): contact for contact in contacts}
        self._saved = dict(self._members)
        self._touched.clear()

    def commit(self) -> ModifiedList | None:
        """Save what changed since the last time; None when nothing did."""
        added: list[Contact] = []
        removed: list[Contact] = []
        touched, self._touched = self._touched, {}
        for id in sorted(touched):
            contact, old = self._members.get(id), self._saved.get(id)
            self._awaited.pop(id, None)
            if contact is not None and contact._state == 'new':
                self._awaited[id] = contact
                contact = None
            elif contact is not None and contact._state == 'deleted':
                del self._members[id]
                contact = None
            if contact is old:
                continue
            if old is not None:
                removed.append(old)
                del self._saved[id]
            if contact is not None:
                added.append(contact)
                self._saved[id] = contact
        return ModifiedList(added, removed, None) if added or removed else None

    @property
    def awaited(self) -> dict[str, Contact]:
        """Those who were saved as members, and were not saved themselves, by id. Not to be changed."""
        return self._awaited

    def gain(self, contact: Contact) -> bool:
        """A contact was saved for the first time. True when it was saved as a member before."""
        if self._awaited.pop(str(contact.id), None) is not contact:
            return False
        self.take_in(contact)
        return True

    def give_up(self, contact: Contact) -> None:
        """A contact that was never saved will not be."""
        id = str(contact.id)
        if self._awaited.pop(id, None) is contact and self._members.get(id) is contact:
            del self._members[id]

    def undo(self) -> None:
        """Go back to what was last saved."""
        with store.lock:
            self._members = {**self._saved, **self._awaited}
            self._touched.clear()

    def lose(self, contact: Contact) -> bool:
        """A contact was deleted: it is in no list any more. True when it was among the saved ones."""
        id = str(contact.id)
        if self._members.get(id) is contact:
            del self._members[id]
        if self._saved.get(id) is not contact:
            return False
        del self._saved[id]
        return True

    def take_in(self, contact: Contact) -> None:
        """Have a contact among the saved ones, as a server says; unless the application has taken it out and not saved yet, it is there."""
        id = str(contact.id)
        self._saved[id] = contact
        if id not in self._touched:
            self._members[id] = contact

    def take_out(self, id: str) -> None:
        """Have a contact no longer among the saved ones, as a server says."""
        self._saved.pop(id, None)
        if id not in self._touched:
            self._members.pop(id, None)


class ContactListSetting(AbstractSetting):
    """The contacts of a group; stored as a list of ids."""

    def _of(self, obj: Any) -> ContactList:
        found = obj.__dict__.get('_contact_list')
        if found is None:
            found = obj.__dict__.setdefault('_contact_list', ContactList())
        return found    # type: ignore[no-any-return]

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else self._of(obj)

    def __set__(self, obj: Any, value: Any) -> None:
        self._of(obj).replace(value)

    def __delete__(self, obj: Any) -> None:
        raise AttributeError(f'{self.name} cannot be deleted')

    def committed_state(self, obj: Any) -> list[str]:
        """The ids of what was last saved."""
        return sorted(self._of(obj).saved)

    def __getstate__(self, obj: Any = None) -> Any:
        return self.__dict__ if obj is None else self._of(obj).ids()

    def __setstate__(self, obj: Any, value: Any = None) -> None:
        """Load ids; those of contacts that do not exist are dropped."""
        ids = [value] if isinstance(value, str) else value or []
        known = store.saved['Contacts']
        self._of(obj).load(known[id] for id in ids if id in known)

    def get_modified(self, obj: Any) -> Any:
        """What was added and removed since the last call, committed now; None when there is nothing."""
        return self._of(obj).commit()

    def get_old(self, obj: Any) -> list[Contact]:
        """The contacts as they were last saved."""
        saved = self._of(obj).saved
        return [saved[id] for id in sorted(saved)]

    def undo(self, obj: Any) -> None:
        """Back to what was last saved."""
        self._of(obj).undo()


class Group(AddressbookObject):
    """Contacts under one name; a contact may be in several groups.

    Attributes:
        id: a random name; it does not change.
        name: what to show.
        contacts: a `ContactList`; assigning an iterable replaces what is in it.
    Notifications: AddressbookGroupWasActivated, AddressbookGroupWasCreated, AddressbookGroupDidChange(modified), AddressbookGroupWasDeleted;
        CFGManagerSaveFailed from the ConfigurationManager.
    """

    __group__ = 'Groups'
    _extension_type = GroupExtension
    name = SyncedSetting(type=str, default='')
    contacts = ContactListSetting()

    def get_modified(self) -> dict[str, Any]:
        """What changed since the last call, committed now."""
        modified = super().get_modified()
        for id in self.contacts.awaited:
            waiting = store.awaited.setdefault(id, [])
            if self not in waiting:
                waiting.append(self)
        return modified

    def _lose(self, contact: Contact, origin: Any) -> None:
        """A contact was deleted; with the lock held. Servers take it out of its groups themselves."""
        if self.contacts.lose(contact):
            store.submit(Change(self, 'update', {'contacts': ModifiedList([], [contact], None)}, origin=origin, operations=()))

    def _gain(self, contact: Contact) -> None:
        """A contact that is in it was saved for the first time; with the lock held."""
        if self._state == 'saved' and self.contacts.gain(contact):
            store.submit(Change(self, 'update', {'contacts': ModifiedList([contact], [], None)}))

    def _post_activated(self) -> None:
        self._post('AddressbookGroupWasActivated')

    def _post_created(self) -> None:
        self._post('AddressbookGroupWasCreated')

    def _post_changed(self, modified: dict[str, Any]) -> None:
        self._post('AddressbookGroupDidChange', modified=modified)

    def _post_deleted(self) -> None:
        self._post('AddressbookGroupWasDeleted')
