"""The addressbook list of a resource-lists document, as items and back. What other programs keep in its elements stays there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sipsimple.account.xcap.items import (
    Contact,
    ContactList,
    ContactURI,
    ContactURIList,
    EventHandling,
    Group,
    ItemCollection,
    Policy,
)
from sipsimple.payloads import IterateItems, addressbook as xml
from sipsimple.payloads.resourcelists import List

__all__ = ['ADDRESSBOOK', 'Addressbook', 'read_addressbook', 'write_contact', 'write_group', 'write_handling', 'write_policy', 'write_uri']

ADDRESSBOOK = 'sipsimple_addressbook'


class Addressbook:
    """Contacts, groups and policies of an account.

    Attributes:
        contacts, groups, policies: an `ItemCollection` each, in the order of the server.
    """

    def __init__(self, contacts: ItemCollection[Contact], groups: ItemCollection[Group], policies: ItemCollection[Policy]) -> None:
        self.contacts = contacts
        self.groups = groups
        self.policies = policies

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Addressbook) else NotImplemented

    __hash__: Any = None

    def __repr__(self) -> str:
        return f'<Addressbook: {len(self.contacts)} contacts, {len(self.groups)} groups, {len(self.policies)} policies>'


# ---- from XML ------------------------------------------------------------------------------------------------------


def _attributes(element: Any) -> dict[str, str | None]:
    return {} if element.attributes is None else dict(element.attributes.items())


def _handling(element: Any) -> EventHandling:
    return EventHandling(element.policy.value, element.subscribe.value)


def _with_attributes(item: Any, element: Any) -> Any:
    # Names may be such as arguments of a constructor have.
    item.attributes = _attributes(element)
    return item


def read_uri(element: xml.ContactURI) -> ContactURI:
    """The address in an element."""
    item: ContactURI = _with_attributes(ContactURI(str(element.id), str(element.uri), element.type), element)
    return item


def read_contact(element: xml.Contact) -> Contact:
    """The contact in an element. A default address that is not there is none."""
    uris = ContactURIList(map(read_uri, element.uris), element.uris.default)
    if uris.default not in uris:
        uris.default = None
    contact = Contact(str(element.id), element.name.value, uris, _handling(element.presence), _handling(element.dialog))
    return _with_attributes(contact, element)   # type: ignore[no-any-return]


def read_policy(element: xml.Policy) -> Policy:
    """The policy in an element."""
    policy = Policy(str(element.id), str(element.uri), element.name.value, _handling(element.presence), _handling(element.dialog))
    return _with_attributes(policy, element)    # type: ignore[no-any-return]


def read_addressbook(book: List) -> Addressbook:
    """What an addressbook list has. Members of groups that nobody knows are left out."""
    contacts = ItemCollection(map(read_contact, book[xml.Contact, IterateItems]))
    groups: ItemCollection[Group] = ItemCollection()
    for element in book[xml.Group, IterateItems]:
        members = ContactList(contacts[id] for id in element.contacts if id in contacts)
        groups.add(_with_attributes(Group(str(element.id), element.name.value, members), element))
    return Addressbook(contacts, groups, ItemCollection(map(read_policy, book[xml.Policy, IterateItems])))


# ---- to XML --------------------------------------------------------------------------------------------------------


def write_attributes(element: Any, attributes: Mapping[str, str | None]) -> Any:
    """Give a new element its attributes."""
    if attributes:
        element.attributes = xml.ElementAttributes(attributes)
    return element


def write_handling(kind: Any, handling: EventHandling) -> Any:
    """The element of a handling."""
    return kind(handling.policy, handling.subscribe)


def write_uri(uri: ContactURI) -> xml.ContactURI:
    """The element of an address."""
    element: xml.ContactURI = write_attributes(xml.ContactURI(uri.id, uri.uri, uri.type), uri.attributes)
    return element


def write_contact(contact: Contact) -> xml.Contact:
    """The element of a contact."""
    element = xml.Contact(contact.id, contact.name, xml.ContactURIList(map(write_uri, contact.uris), contact.uris.default),
                          write_handling(xml.PresenceHandling, contact.presence), write_handling(xml.DialogHandling, contact.dialog))
    return write_attributes(element, contact.attributes)    # type: ignore[no-any-return]


def write_group(group: Group) -> xml.Group:
    """The element of a group."""
    return write_attributes(xml.Group(group.id, group.name, group.contacts.ids()), group.attributes)    # type: ignore[no-any-return]


def write_policy(policy: Policy) -> xml.Policy:
    """The element of a policy."""
    element = xml.Policy(policy.id, policy.uri, policy.name, write_handling(xml.PresenceHandling, policy.presence),
                         write_handling(xml.DialogHandling, policy.dialog))
    return write_attributes(element, policy.attributes)     # type: ignore[no-any-return]
