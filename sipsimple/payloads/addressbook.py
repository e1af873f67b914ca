"""Contacts, groups and policies in a list of resources: a private extension.

A `resourcelists.List` with them in it is an addressbook.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    KeyedList,
    XMLAttribute,
    XMLBooleanElement,
    XMLElement,
    XMLElementChild,
    XMLElementID,
    XMLSimpleElement,
    XMLStringElement,
    XMLStringListElement,
)
from sipsimple.payloads._mapping import NamedText, TextMapping
from sipsimple.payloads.datatypes import ID, AnyURI, Keyword
from sipsimple.payloads.resourcelists import ListElement, ResourceListsDocument

__all__ = [
    'Contact', 'ContactID', 'ContactList', 'ContactURI', 'ContactURIList', 'DialogHandling', 'ElementAttribute', 'ElementAttributes', 'ElementExtension',
    'Group', 'Name', 'Policy', 'PolicyElement', 'PolicyValue', 'PresenceHandling', 'Subscribe', 'namespace', 'sipsimple_namespace',
]

namespace = 'urn:ag-projects:xml:ns:addressbook'
sipsimple_namespace = 'urn:ag-projects:sipsimple:xml:ns:addressbook'

ResourceListsDocument.register_namespace(namespace, prefix='addressbook', schema='addressbook.xsd')
ResourceListsDocument.register_namespace(sipsimple_namespace, prefix='sipsimple', schema='addressbook-attributes.xsd')


class ElementExtension:
    """Marker of extensions of `Contact`, `ContactURI`, `Group` and `Policy`."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = ResourceListsDocument


class Name(XMLStringElement, _Element, tag='name'):
    """What to show of it."""


# What is done with events

class PolicyValue(Keyword):
    """`allow`, `block` or `default`."""

    __slots__ = ()
    words = frozenset({'allow', 'block', 'default'})


class PolicyElement(XMLSimpleElement, _Element, tag='policy'):
    """Whether others may see the event: a `PolicyValue`."""

    _xml_value_type = PolicyValue


class Subscribe(XMLBooleanElement, _Element, tag='subscribe'):
    """Whether to subscribe to the event."""


class _Handling(_Element):
    _xml_children_order = {PolicyElement.qname: 0, Subscribe.qname: 1}
    policy = XMLElementChild('policy', type=PolicyElement, required=True)
    subscribe = XMLElementChild('subscribe', type=Subscribe, required=True)

    def __init__(self, policy: str = 'default', subscribe: bool = False) -> None:
        super().__init__()
        self.policy = policy
        self.subscribe = subscribe


class DialogHandling(_Handling, tag='dialog'):
    """What is done with dialogs.

    Args:
        policy: `allow`, `block` or `default`.
        subscribe: whether to subscribe to theirs.
    """


class PresenceHandling(_Handling, tag='presence'):
    """What is done with presence.

    Args:
        policy: `allow`, `block` or `default`.
        subscribe: whether to subscribe to theirs.
    """


# Contacts

class ContactURI(_Element, tag='uri'):
    """An address of a contact.

    Args:
        id: name, unique in the contact.
        uri: the address.
        type: any word, or None.
    """

    _xml_extension_type = ElementExtension
    id = XMLElementID('id', type=ID, required=True)
    uri = XMLAttribute('uri', type=AnyURI, required=True)
    type = XMLAttribute('type', type=str)

    def __init__(self, id: str, uri: str, type: str | None = None) -> None:
        super().__init__()
        self.id = id
        self.uri = uri
        self.type = type


class ContactURIList(KeyedList, _Element, tag='uris'):
    """The addresses of a contact, by id.

    Args:
        uris: what to begin with.
        default: id of the one to use unless told, or None.
    """

    _xml_item_types = (ContactURI,)
    default = XMLAttribute('default', type=str)

    def __init__(self, uris: Iterable[ContactURI] = (), default: str | None = None) -> None:
        super().__init__()
        self.update(uris)
        self.default = default


class Contact(_Element, ListElement, tag='contact'):
    """Somebody.

    Args:
        id: name, unique in the addressbook.
        name: what to show.
        uris: `ContactURIList`, or the items of it.
        presence_handling, dialog_handling: what is done with their events; default, without subscription, unless told.
    """

    _xml_extension_type = ElementExtension
    _xml_children_order = {Name.qname: 0, ContactURIList.qname: 1, DialogHandling.qname: 2, PresenceHandling.qname: 3}
    id = XMLElementID('id', type=ID, required=True)
    name = XMLElementChild('name', type=Name, required=True)
    uris = XMLElementChild('uris', type=ContactURIList, required=True)
    dialog = XMLElementChild('dialog', type=DialogHandling, required=True)
    presence = XMLElementChild('presence', type=PresenceHandling, required=True)

    def __init__(self, id: str, name: str, uris: Any = (), presence_handling: PresenceHandling | None = None,
                 dialog_handling: DialogHandling | None = None) -> None:
        super().__init__()
        self.id = id
        self.name = name
        self.uris = uris
        self.dialog = DialogHandling() if dialog_handling is None else dialog_handling
        self.presence = PresenceHandling() if presence_handling is None else presence_handling


# Groups

class ContactID(XMLStringElement, _Element, tag='contact_id'):
    """The id of a contact; seen as str."""


class ContactList(XMLStringListElement, _Element, tag='contacts'):
    """The ids of the contacts of a group, as str.

    Args:
        contacts: what to begin with.
    """

    _xml_item_other_type = ContactID

    def __init__(self, contacts: Iterable[str] = ()) -> None:
        super().__init__()
        self.update(contacts)

    def add(self, item: Any) -> None:
        """Add a contact, unless it is there."""
        element = self._encode_item(item)
        if self._lookup(element) is None:
            self._add_element(element)


class Group(_Element, ListElement, tag='group'):
    """Contacts under one name.

    Args:
        id: name, unique in the addressbook.
        name: what to show.
        contacts: `ContactList`, or ids.
    """

    _xml_extension_type = ElementExtension
    _xml_children_order = {Name.qname: 0, ContactList.qname: 1}
    id = XMLElementID('id', type=ID, required=True)
    name = XMLElementChild('name', type=Name, required=True)
    contacts = XMLElementChild('contacts', type=ContactList, required=True)

    def __init__(self, id: str, name: str, contacts: Any = ()) -> None:
        super().__init__()
        self.id = id
        self.name = name
        self.contacts = contacts


# Policies

class Policy(_Element, ListElement, tag='policy-element'):
    """What is done with the events of somebody who is no contact.

    Args:
        id: name, unique in the addressbook.
        uri: who it is.
        name: what to show.
        presence_handling, dialog_handling: what is done with their events; default, without subscription, unless told.
    """

    _xml_extension_type = ElementExtension
    _xml_children_order = {Name.qname: 0, DialogHandling.qname: 1, PresenceHandling.qname: 2}
    id = XMLElementID('id', type=ID, required=True)
    uri = XMLAttribute('uri', type=AnyURI, required=True)
    name = XMLElementChild('name', type=Name, required=True)
    dialog = XMLElementChild('dialog', type=DialogHandling, required=True)
    presence = XMLElementChild('presence', type=PresenceHandling, required=True)

    def __init__(self, id: str, uri: str, name: str = '', presence_handling: PresenceHandling | None = None,
                 dialog_handling: DialogHandling | None = None) -> None:
        super().__init__()
        self.id = id
        self.uri = uri
        self.name = name
        self.dialog = DialogHandling() if dialog_handling is None else dialog_handling
        self.presence = PresenceHandling() if presence_handling is None else presence_handling


# Other facts

class ElementAttribute(NamedText, tag='attribute'):
    """An attribute of a contact, address, group or policy."""

    _xml_namespace = sipsimple_namespace
    _xml_document = ResourceListsDocument


class ElementAttributes(TextMapping, ElementExtension, tag='attributes'):
    """A mapping of names to texts or None: `attributes` of contacts, addresses, groups and policies."""

    _xml_namespace = sipsimple_namespace
    _xml_document = ResourceListsDocument
    _xml_item_types = (ElementAttribute,)


for _owner in (Contact, ContactURI, Group, Policy):
    _owner.register_extension('attributes', type=ElementAttributes)


def set_attributes_namespace(namespace: str, prefix: str) -> None:
    """Have the `attributes` of contacts, addresses, groups and policies in a namespace of the application; others there may be are kept as they are.

    Raises:
        ValueError: the prefix or the namespace is registered.
    """
    global ElementAttribute, ElementAttributes
    if namespace == ElementAttributes._xml_namespace:
        return
    ResourceListsDocument.register_namespace(namespace, prefix=prefix)
    place = {'_xml_namespace': namespace, '_xml_document': ResourceListsDocument}
    item: Any = type('ElementAttribute', (NamedText,), {**place, '_xml_tag': 'attribute', '__module__': __name__, '__doc__': ElementAttribute.__doc__})
    kind: Any = type('ElementAttributes', (TextMapping, ElementExtension),
                     {**place, '_xml_tag': 'attributes', '_xml_item_types': (item,), '__module__': __name__, '__doc__': ElementAttributes.__doc__})
    for owner in (Contact, ContactURI, Group, Policy):
        owner.unregister_extension('attributes')
        owner.register_extension('attributes', type=kind)
    ElementAttribute, ElementAttributes = item, kind    # type: ignore[misc]
