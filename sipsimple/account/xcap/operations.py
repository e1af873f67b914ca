"""Changes of an account's documents, as they stand in the journal and as they are carried out on XML.

An operation says what the user did, not what the document was like: it is carried out again on whatever the server has by then, so that of two
programs that change the same thing the last one wins, and nothing else is lost. What it is about may be gone: then it does nothing. Carrying it out where
it has its effect already changes nothing either.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sipsimple.account.xcap import addressbook as book
from sipsimple.account.xcap.items import Contact, ContactURI, ContactURIList, EventHandling, Group, Icon, Item, OfflineStatus, Policy
from sipsimple.payloads import addressbook as xml
from sipsimple.payloads.datatypes import ID
from sipsimple.payloads.pidf import PIDFDocument
from sipsimple.payloads.presrules import SubHandlingValue
from sipsimple.payloads.resourcelists import List

__all__ = ['DOCUMENTS', 'Operation', 'carry_out', 'from_json', 'find', 'icon_data', 'make', 'status_pidf', 'subject_of']


@dataclass(frozen=True, eq=False)
class Operation:
    """A change.

    Attributes:
        number: of the run of the program that made it, and its place there: (`3f2a9c0b1d4e`, 17).
        name: what to do, as the method of the manager.
        arguments: of JSON only.
    """

    number: tuple[str, int]
    name: str
    arguments: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        return self.number == other.number if isinstance(other, Operation) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.number)

    @property
    def document(self) -> str:
        """Name of the document that it changes."""
        return DOCUMENTS[self.name]

    def to_json(self) -> list[Any]:
        """For the journal."""
        return [*self.number, self.name, self.arguments]


def from_json(data: Any) -> Operation:
    """Take back `Operation.to_json`; ValueError when it is none."""
    try:
        run, place, name, arguments = data
        if not (isinstance(run, str) and isinstance(place, int) and name in DOCUMENTS and isinstance(arguments, dict)):
            raise ValueError
        return Operation((run, place), name, arguments)
    except (TypeError, ValueError):
        raise ValueError(f'no operation: {str(data)[:200]}') from None


# ---- values as JSON ------------------------------------------------------------------------------------------------


def _texts(attributes: Mapping[str, Any]) -> dict[str, str | None]:
    return {str(name): None if value is None else str(value) for name, value in attributes.items()}


def _encode_handling(handling: EventHandling) -> list[Any]:
    return [handling.policy, handling.subscribe]


def _encode_uri(uri: ContactURI) -> dict[str, Any]:
    return {'id': ID(uri.id), 'uri': str(uri.uri), 'type': None if uri.type is None else str(uri.type), 'attributes': _texts(uri.attributes)}


def _encode_contact(contact: Contact) -> dict[str, Any]:
    return {'id': ID(contact.id), 'name': str(contact.name), 'uris': list(map(_encode_uri, contact.uris)), 'default': contact.uris.default,
            'presence': _encode_handling(contact.presence), 'dialog': _encode_handling(contact.dialog), 'attributes': _texts(contact.attributes)}


def _encode_group(group: Group) -> dict[str, Any]:
    return {'id': ID(group.id), 'name': str(group.name), 'contacts': group.contacts.ids(), 'attributes': _texts(group.attributes)}


def _encode_policy(policy: Policy) -> dict[str, Any]:
    return {'id': ID(policy.id), 'uri': str(policy.uri), 'name': str(policy.name), 'presence': _encode_handling(policy.presence),
            'dialog': _encode_handling(policy.dialog), 'attributes': _texts(policy.attributes)}


def _given(item: Any, data: dict[str, Any]) -> Any:
    item.attributes = dict(data['attributes'])
    return item


def _decode_uri(data: dict[str, Any]) -> ContactURI:
    return _given(ContactURI(data['id'], data['uri'], data['type']), data)      # type: ignore[no-any-return]


def _decode_contact(data: dict[str, Any]) -> Contact:
    uris = ContactURIList(map(_decode_uri, data['uris']), data['default'])
    return _given(Contact(data['id'], data['name'], uris, EventHandling(*data['presence']), EventHandling(*data['dialog'])), data)  # type: ignore[no-any-return]


def _decode_policy(data: dict[str, Any]) -> Policy:
    policy = Policy(data['id'], data['uri'], data['name'], EventHandling(*data['presence']), EventHandling(*data['dialog']))
    return _given(policy, data)     # type: ignore[no-any-return]


# ---- what the user did, as an operation ----------------------------------------------------------------------------

_HANDLINGS = ('presence', 'dialog')
# Dotted names with a meaning of their own; all others are attributes of the application.
_KNOWN = {
    Contact: {'name', 'uris.default', 'presence.policy', 'presence.subscribe', 'dialog.policy', 'dialog.subscribe'},
    ContactURI: {'uri', 'type'},
    Group: {'name'},
    Policy: {'uri', 'name', 'presence.policy', 'presence.subscribe', 'dialog.policy', 'dialog.subscribe'},
}


def _encode_changes(kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, value in attributes.items():
        if name == 'id':
            continue
        if name in _KNOWN[kind] and name.endswith('.subscribe'):
            changes[name] = bool(value)
        elif name in _KNOWN[kind] and name.endswith('.policy'):
            changes[name] = EventHandling(value, False).policy
        else:
            if value is None and name in ('name', 'uri') and name in _KNOWN[kind]:
                raise ValueError(f'{name} of a {kind.__name__} cannot be None')
            changes[name] = None if value is None else str(getattr(value, 'id', value) if name == 'uris.default' else value)
    return changes


def _sub_handling(value: str) -> dict[str, Any]:
    return {'value': str(SubHandlingValue(value))}


def _encode_icon(icon: Icon | None) -> dict[str, Any]:
    if not icon or not icon.data:
        return {'icon': None}
    return {'icon': {'data': base64.b64encode(icon.data).decode(), 'mime_type': icon.mime_type, 'description': icon.description}}


def _encode_status(status: OfflineStatus | None) -> dict[str, Any]:
    return {'pidf': None if status is None else status.pidf.toxml().decode()}


_ENCODERS: dict[str, Callable[..., dict[str, Any]]] = {
    'add_contact': lambda contact: {'contact': _encode_contact(contact)},
    'update_contact': lambda contact, attributes: {'id': contact.id, 'changes': _encode_changes(Contact, attributes)},
    'remove_contact': lambda contact: {'id': contact.id},
    'add_contact_uri': lambda contact, uri: {'id': contact.id, 'uri': _encode_uri(uri)},
    'update_contact_uri': lambda contact, uri, attributes: {'id': contact.id, 'uri': uri.id, 'changes': _encode_changes(ContactURI, attributes)},
    'remove_contact_uri': lambda contact, uri: {'id': contact.id, 'uri': uri.id},
    'add_group': lambda group: {'group': _encode_group(group)},
    'update_group': lambda group, attributes: {'id': group.id, 'changes': _encode_changes(Group, attributes)},
    'remove_group': lambda group: {'id': group.id},
    'add_group_member': lambda group, contact: {'id': group.id, 'contact': contact.id},
    'remove_group_member': lambda group, contact: {'id': group.id, 'contact': contact.id},
    'add_policy': lambda policy: {'policy': _encode_policy(policy)},
    'update_policy': lambda policy, attributes: {'id': policy.id, 'changes': _encode_changes(Policy, attributes)},
    'remove_policy': lambda policy: {'id': policy.id},
    'set_default_presence_policy': _sub_handling,
    'set_default_dialog_policy': _sub_handling,
    'set_status_icon': _encode_icon,
    'set_offline_status': _encode_status,
}

DOCUMENTS = dict.fromkeys(_ENCODERS, 'resource_lists') | {
    'set_default_presence_policy': 'pres_rules', 'set_default_dialog_policy': 'dialog_rules', 'set_status_icon': 'status_icon',
    'set_offline_status': 'pidf_manipulation'}


def make(number: tuple[str, int], name: str, *arguments: Any) -> Operation:
    """The operation of a method call.

    Raises:
        ValueError, AttributeError: the arguments are not such as can be stored.
    """
    return Operation(number, name, _ENCODERS[name](*arguments))


# ---- what is told of it --------------------------------------------------------------------------------------------

_KINDS = {'contact': xml.Contact, 'group': xml.Group, 'policy': xml.Policy}


def subject_of(operation: Operation) -> tuple[str, str]:
    """Kind (`contact`, `group`, `policy`) and id of what an operation is about."""
    kind, arguments = operation.name.split('_')[1], operation.arguments
    return kind, arguments['id'] if 'id' in arguments else arguments[kind]['id']


def find(items: List, kind: str, id: str) -> Item | None:
    """A contact, group or policy of the addressbook list as it is now."""
    element = items.get((_KINDS[kind], id))
    if element is None:
        return None
    if kind == 'group':
        return book.read_group(element, lambda member: find(items, 'contact', member))      # type: ignore[return-value,arg-type]
    return book.read_contact(element) if kind == 'contact' else book.read_policy(element)


# ---- carrying it out on the addressbook ----------------------------------------------------------------------------


def _set(element: Any, name: str, value: Any) -> None:
    """Set a simple child or attribute, unless it is so already: every assignment counts as a change."""
    old = getattr(element, name)
    if getattr(old, 'value', old) != value:
        setattr(element, name, value)


def _change(element: Any, known: set[str], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if name not in known:
            _set_attribute(element, name, value)
        elif name == 'uris.default':
            _set(element.uris, 'default', value if value is not None and element.uris.get(value) is not None else None)
        elif '.' in name:
            event, _, what = name.partition('.')
            _set(getattr(element, event), what, value)
        else:
            _set(element, name, value)


def _set_attribute(element: Any, name: str, value: str | None) -> None:
    if element.attributes is None:
        element.attributes = xml.ElementAttributes({name: value})
    elif name not in element.attributes or element.attributes[name] != value:
        element.attributes[name] = value


def _put(items: Any, kind: Any, id: str, wanted: Any, read: Callable[[Any], Any], write: Callable[[Any], Any]) -> None:
    """Put an element in, or in the place of the one with its id, unless that one says the same."""
    old = items.get((kind, id)) if kind is not None else items.get(id)
    if old is None or read(old) != wanted:
        items.add(write(wanted))


def _add_contact(items: List, contact: dict[str, Any]) -> None:
    wanted = _decode_contact(contact)
    if wanted.uris.default not in wanted.uris:
        wanted.uris.default = None
    _put(items, xml.Contact, wanted.id, wanted, book.read_contact, book.write_contact)


def _update(kind: Any, item: type) -> Callable[..., None]:
    def update(items: List, id: str, changes: dict[str, Any]) -> None:
        element = items.get((kind, id))
        if element is not None:
            _change(element, _KNOWN[item], changes)
    return update


def _remove(kind: Any) -> Callable[..., None]:
    def remove(items: List, id: str) -> None:
        element = items.get((kind, id))
        if element is not None:
            items.remove(element)
    return remove


def _remove_contact(items: List, id: str) -> None:
    _remove(xml.Contact)(items, id)
    for group in items:
        if isinstance(group, xml.Group) and id in group.contacts:
            group.contacts.remove(id)


def _add_contact_uri(items: List, id: str, uri: dict[str, Any]) -> None:
    contact = items.get((xml.Contact, id))
    if contact is not None:
        _put(contact.uris, None, uri['id'], _decode_uri(uri), book.read_uri, book.write_uri)


def _update_contact_uri(items: List, id: str, uri: str, changes: dict[str, Any]) -> None:
    contact = items.get((xml.Contact, id))
    element = None if contact is None else contact.uris.get(uri)
    if element is not None:
        _change(element, _KNOWN[ContactURI], changes)


def _remove_contact_uri(items: List, id: str, uri: str) -> None:
    contact = items.get((xml.Contact, id))
    element = None if contact is None else contact.uris.get(uri)
    if contact is not None and element is not None:
        contact.uris.remove(element)
        if contact.uris.default == uri:
            contact.uris.default = None


def _add_group(items: List, group: dict[str, Any]) -> None:
    members = group['contacts']         # those that nobody knows are taken out when all is done
    old = items.get((xml.Group, group['id']))
    if old is not None and (old.name.value, list(old.contacts), {} if old.attributes is None else dict(old.attributes.items())) == (
            group['name'], members, group['attributes']):
        return
    items.add(book.write_attributes(xml.Group(group['id'], group['name'], members), group['attributes']))


def _add_group_member(items: List, id: str, contact: str) -> None:
    group = items.get((xml.Group, id))
    if group is not None and contact not in group.contacts and items.get((xml.Contact, contact)) is not None:
        group.contacts.add(contact)


def _remove_group_member(items: List, id: str, contact: str) -> None:
    group = items.get((xml.Group, id))
    if group is not None and contact in group.contacts:
        group.contacts.remove(contact)


def _add_policy(items: List, policy: dict[str, Any]) -> None:
    _put(items, xml.Policy, policy['id'], _decode_policy(policy), book.read_policy, book.write_policy)


_ON_ADDRESSBOOK: dict[str, Callable[..., None]] = {
    'add_contact': _add_contact,
    'update_contact': _update(xml.Contact, Contact),
    'remove_contact': _remove_contact,
    'add_contact_uri': _add_contact_uri,
    'update_contact_uri': _update_contact_uri,
    'remove_contact_uri': _remove_contact_uri,
    'add_group': _add_group,
    'update_group': _update(xml.Group, Group),
    'remove_group': _remove(xml.Group),
    'add_group_member': _add_group_member,
    'remove_group_member': _remove_group_member,
    'add_policy': _add_policy,
    'update_policy': _update(xml.Policy, Policy),
    'remove_policy': _remove(xml.Policy),
}


def carry_out(operation: Operation, items: List) -> None:
    """Carry out an operation on the addressbook list.

    Raises:
        Exception: any, when what the journal says makes no sense.
    """
    _ON_ADDRESSBOOK[operation.name](items, **operation.arguments)


def icon_data(operation: Operation) -> dict[str, Any] | None:
    """Data, MIME type and description of the icon that is to be set; None to have none."""
    return operation.arguments['icon']  # type: ignore[no-any-return]


def status_pidf(operation: Operation) -> Any:
    """The PIDF that is to be set; None to have none."""
    text = operation.arguments['pidf']
    return None if text is None else PIDFDocument.parse(text)
