"""The addressbook list of a resource-lists document, as items and back. What other programs keep in its elements stays there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

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
from sipsimple.payloads import addressbook as xml
from sipsimple.payloads.datatypes import ID, AnyURI
from sipsimple.payloads.resourcelists import List

__all__ = ['ADDRESSBOOK', 'Addressbook', 'read_addressbook', 'read_contact', 'read_group', 'read_policy', 'read_uri', 'write_attributes', 'write_contact',
           'write_group', 'write_handling', 'write_policy', 'write_uri']

T = TypeVar('T')

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
# From the nodes, and not from objects made of them: of ten thousand contacts that takes a tenth of the time. The document was checked against its
# schema, so that the parts of an element are where they should be; ids the schema takes and we do not are left out.


def _attributes(node: Any) -> dict[str, str | None]:
    kind = xml.ElementAttributes
    found = node.find(kind.qname)
    if found is None:
        return {}
    attributes: dict[str, str | None] = {}
    for item in found.iterchildren(xml.ElementAttribute.qname):
        name = item.get('name')
        if name is not None:
            attributes.setdefault(name, None if item.get('nil') in ('true', '1') else item.text or '')
    return attributes


def _handling(node: Any) -> EventHandling:
    policy, subscribe = node.find(xml.PolicyElement.qname), node.find(xml.Subscribe.qname)
    return EventHandling((policy.text or '').strip(), (subscribe.text or '').strip() in ('true', '1'))


def _name(node: Any) -> str:
    return node.find(xml.Name.qname).text or ''


def _filled(item: T, node: Any) -> T:
    # Names may be such as arguments of a constructor have.
    item.attributes = _attributes(node)     # type: ignore[attr-defined]
    return item


def _each(node: Any, kind: Any) -> Iterator[tuple[str, Any]]:
    """Children of a kind by id: of two with one id the first one counts."""
    seen = set()
    for child in node.iterchildren(kind.qname):
        id = (child.get('id') or '').strip()
        if id not in seen and _ID(id):
            seen.add(id)
            yield id, child


_ID = ID._pattern.fullmatch


def _read_uri(id: str, node: Any) -> ContactURI:
    return _filled(ContactURI(id, str(AnyURI.__xmlparse__(node.get('uri'))), node.get('type')), node)


def _read_contact(id: str, node: Any) -> Contact:
    """A default address that is not there is none."""
    found = node.find(xml.ContactURIList.qname)
    uris = ContactURIList(itertools.starmap(_read_uri, _each(found, xml.ContactURI)), found.get('default'))
    if uris.default not in uris:
        uris.default = None
    return _filled(Contact(id, _name(node), uris, _handling(node.find(xml.PresenceHandling.qname)), _handling(node.find(xml.DialogHandling.qname))), node)


def _read_policy(id: str, node: Any) -> Policy:
    policy = Policy(id, str(AnyURI.__xmlparse__(node.get('uri'))), _name(node), _handling(node.find(xml.PresenceHandling.qname)),
                    _handling(node.find(xml.DialogHandling.qname)))
    return _filled(policy, node)


def _read_group(id: str, node: Any, contact_of: Callable[[str], Contact | None]) -> Group:
    """Members that nobody knows are left out."""
    ids = [(member.text or '').strip() for member in node.find(xml.ContactList.qname).iterchildren(xml.ContactID.qname)]
    members = (contact_of(member) for member in ids)
    return _filled(Group(id, _name(node), ContactList(contact for contact in members if contact is not None)), node)


def read_uri(element: xml.ContactURI) -> ContactURI:
    """The address in an element."""
    return _read_uri(str(element.id), element.element)


def read_contact(element: xml.Contact) -> Contact:
    """The contact in an element."""
    return _read_contact(str(element.id), element.element)


def read_policy(element: xml.Policy) -> Policy:
    """The policy in an element."""
    return _read_policy(str(element.id), element.element)


def read_group(element: xml.Group, contact_of: Callable[[str], Contact | None]) -> Group:
    """The group in an element.

    Args:
        contact_of: gives the contact with an id.
    """
    return _read_group(str(element.id), element.element, contact_of)


def read_addressbook(book: List) -> Addressbook:
    """What an addressbook list has."""
    node = book.element
    contacts = ItemCollection(itertools.starmap(_read_contact, _each(node, xml.Contact)))
    groups = ItemCollection(_read_group(id, child, contacts.get) for id, child in _each(node, xml.Group))
    return Addressbook(contacts, groups, ItemCollection(itertools.starmap(_read_policy, _each(node, xml.Policy))))


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
