"""The addressbook as XCAP servers have it: objects as values, changes as operations, and what an operation touches.

A mark names what an operation touches: (section, id) that an object is there or not, (section, id, path) a setting of it, (section, id, 'uris', id of
an address[, path]) the same of an address, (section, id, 'contacts', id of a contact) a member of a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sipsimple.account import xcap
from sipsimple.addressbook.contacts import Contact, ContactURI
from sipsimple.addressbook.groups import Group
from sipsimple.addressbook.model import Field, Item
from sipsimple.addressbook.policies import Policy
from sipsimple.addressbook.store import Change
from sipsimple.configuration import ModifiedList

__all__ = ['Mark', 'Operation', 'operations_of', 'read_field', 'to_remote']

Mark = tuple[str, ...]


class Operation(NamedTuple):
    """A call of a method of an XCAP manager."""

    name: str
    arguments: tuple[Any, ...]
    marks: tuple[Mark, ...]


def attributes_of(item: Any) -> dict[str, str | None]:
    """The shared settings that an application has added."""
    return {field.path: field.text(item) for field in item.fields() if field.is_extension}


def handling_of(events: Any) -> xcap.EventHandling:
    """What was last saved of an event."""
    kind = type(events)
    return xcap.EventHandling(kind.policy.get_old(events), kind.subscribe.get_old(events))


def uri_to_remote(uri: ContactURI) -> xcap.ContactURI:
    """An address, as it was last saved."""
    return xcap.ContactURI(str(uri.id), ContactURI.uri.get_old(uri), ContactURI.type.get_old(uri), **attributes_of(uri))


def contact_to_remote(contact: Contact) -> xcap.Contact:
    """A contact, as it was last saved."""
    default = contact.uris.saved_default
    uris = xcap.ContactURIList(map(uri_to_remote, contact.uris.saved.values()), default=None if default is None else str(default.id))
    return xcap.Contact(str(contact.id), Contact.name.get_old(contact), uris, presence_handling=handling_of(contact.presence),
                        dialog_handling=handling_of(contact.dialog), **attributes_of(contact))


def member_of(contact: Contact) -> xcap.Contact:
    """A contact as the member of a group: of these a server has the ids only."""
    return xcap.Contact(str(contact.id), Contact.name.get_old(contact), ())


def group_to_remote(group: Group, with_members: bool = True) -> xcap.Group:
    """A group, as it was last saved."""
    members = map(member_of, group.contacts.saved.values()) if with_members else ()
    return xcap.Group(str(group.id), Group.name.get_old(group), xcap.ContactList(members), **attributes_of(group))


def policy_to_remote(policy: Policy) -> xcap.Policy:
    """A policy, as it was last saved."""
    return xcap.Policy(str(policy.id), Policy.uri.get_old(policy), Policy.name.get_old(policy), presence_handling=handling_of(policy.presence),
                       dialog_handling=handling_of(policy.dialog), **attributes_of(policy))


def to_remote(obj: Any) -> Any:
    """A contact, group or policy, as it was last saved."""
    if isinstance(obj, Contact):
        return contact_to_remote(obj)
    return group_to_remote(obj) if isinstance(obj, Group) else policy_to_remote(obj)


def read_field(field: Field, item: Any) -> tuple[bool, Any]:
    """Whether an item of a server has the setting, and its value."""
    if field.is_extension:
        return field.path in item.attributes, item.attributes.get(field.path)
    for name in field.groups:
        item = getattr(item, name)
    return True, getattr(item, field.setting.name)


def operations_of(change: Change) -> tuple[Operation, ...]:
    """What servers are told of a change; with the lock held, right after it was made."""
    obj: Any = change.object
    kind = type(obj).__name__.lower()
    mark = (obj.__group__, str(obj.id))
    if change.action in ('add', 'remove'):
        return (Operation(f'{change.action}_{kind}', (to_remote(obj),), (mark,)),)
    found: list[Operation] = []
    attributes = _changed(obj, change.modified)
    this: Any = group_to_remote(obj, with_members=False) if isinstance(obj, Group) else to_remote(obj)
    if isinstance(obj, Contact):
        uris = change.modified.get('uris')
        if uris is not None:
            found += _uri_operations(this, mark, uris)
        if 'uris.default' in change.modified:
            default = change.modified['uris.default'].new
            attributes['uris.default'] = None if default is None else str(default.id)
    elif isinstance(obj, Group):
        found += _member_operations(this, mark, change.modified.get('contacts'))
    if attributes:          # after the addresses: the default is one of them
        found.append(Operation(f'update_{kind}', (this, attributes), tuple((*mark, path) for path in attributes)))
    return tuple(found)


def _changed(item: Item, modified: Iterable[str]) -> dict[str, Any]:
    """The settings among what was modified that servers are told, by path, as their managers take them."""
    paths = set(modified)
    return {field.path: field.text(item) if field.is_extension else field.committed(item) for field in item.fields() if field.path in paths}


def _uri_operations(contact: xcap.Contact, mark: Mark, uris: ModifiedList) -> list[Operation]:
    found: list[Operation] = []
    added = {str(uri.id) for uri in uris.added}
    for uri in uris.removed:
        if str(uri.id) not in added:            # else the new one takes its place
            found.append(Operation('remove_contact_uri', (contact, uri_to_remote(uri)), ((*mark, 'uris', str(uri.id)),)))
    for uri in uris.added:
        found.append(Operation('add_contact_uri', (contact, uri_to_remote(uri)), ((*mark, 'uris', str(uri.id)),)))
    for id, modified in (uris.modified or {}).items():
        uri = contact_uri = contact.uris.get(id)
        if contact_uri is None:
            continue
        attributes = {path: uri.attributes[path] if path in uri.attributes else getattr(uri, path)
                      for path in modified if path in uri.attributes or path in ('uri', 'type')}
        if attributes:
            found.append(Operation('update_contact_uri', (contact, uri, attributes), tuple((*mark, 'uris', id, path) for path in attributes)))
    return found


def _member_operations(group: xcap.Group, mark: Mark, members: ModifiedList | None) -> list[Operation]:
    if members is None:
        return []
    return [*(Operation('remove_group_member', (group, member_of(contact)), ((*mark, 'contacts', str(contact.id)),)) for contact in members.removed),
            *(Operation('add_group_member', (group, member_of(contact)), ((*mark, 'contacts', str(contact.id)),)) for contact in members.added)]
