"""What a conference is like after a partial document: RFC 4575 section 4.6.

A change names what is new. An element with a state says by it what becomes of its like in the known document: `full` takes its place, `partial` changes it,
`deleted` takes it out. All other elements take the place of their like. What is its like among many is told by an attribute, or by a child: the key.

This works on nodes, not on the objects over them: what no class knows is to survive as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sipsimple.payloads import conference as c
from sipsimple.payloads._conference_parts import URI

__all__ = ['apply']


class _Part:
    """An element whose children are compared one by one.

    Args:
        kind: its class, which knows the order of the children.
        key: the attribute that tells it from others of its name, or the class of the child that does.
        children: those that are parts as well, by name.
    """

    def __init__(self, kind: Any, key: Any = None, **children: _Part) -> None:
        self.order: Mapping[str | None, int] = kind._xml_children_order
        self.key = key
        self.qname: str = kind.qname
        self.children: dict[str, _Part] = {part.qname: part for part in children.values()}


def _uris(kind: Any) -> _Part:
    return _Part(kind, entry=_Part(kind._xml_item_types[0], URI))


_MEDIA = _Part(c.Media, 'id')
_USERS = _Part(c.Users, user=_Part(c.User, 'entity', aors=_uris(c.AssociatedAors), endpoint=_Part(c.Endpoint, 'entity', media=_MEDIA)))
_SIDEBARS = _Part(c.SidebarsByVal)
_CONFERENCE = _Part(c.Conference, description=_Part(c.ConferenceDescription, conf_uris=_uris(c.ConfUris), service_uris=_uris(c.ServiceUris)),
                    users=_USERS, sidebars=_SIDEBARS, references=_uris(c.SidebarsByRef))
_SIDEBAR = _Part(c.SidebarsByValEntry, 'entity')
_SIDEBAR.children = _CONFERENCE.children
_SIDEBARS.children[_SIDEBAR.qname] = _SIDEBAR


def _key(node: Any, part: _Part | None) -> Any:
    if part is None or part.key is None:
        return None
    if isinstance(part.key, str):
        return node.get(part.key)
    child = node.find(part.key.qname)
    return None if child is None else (child.text or '').strip()


def _find(parent: Any, like: Any, part: _Part | None) -> Any:
    key = _key(like, part)
    return next((node for node in parent if node.tag == like.tag and _key(node, part) == key), None)


def _insert(parent: Any, node: Any, order: Mapping[str | None, int]) -> None:
    """Behind the last one that belongs before it or beside it."""
    other = order.get(None, len(order))
    rank = order.get(node.tag, other)
    for before in parent.iterchildren(reversed=True):
        if order.get(before.tag, other) <= rank:
            before.addnext(node)
            return
    parent.insert(0, node)


def _change(known: Any, change: Any, part: _Part) -> None:
    """Make `known` what it is after `change`; their state does not matter here."""
    for name, value in change.attrib.items():
        if name != 'state':
            known.set(name, value)
    if not len(known):
        known.text = change.text
    for new in change.iterchildren('*'):
        inner = part.children.get(new.tag)
        state = 'full' if inner is None else new.get('state', 'full').strip()
        old = _find(known, new, inner)
        if state == 'partial' and old is not None and inner is not None:
            _change(old, new, inner)
            continue
        if state != 'deleted':
            node = _whole(new, inner)
            if old is not None:
                old.addprevious(node)
            else:
                _insert(known, node, part.order)
        if old is not None:
            known.remove(old)


def _whole(node: Any, part: _Part | None) -> Any:
    """A copy in which nothing is a change any more; but what was never known in full goes on to say so."""
    if part is None:
        copy = deepcopy(node)
    else:
        copy = node.makeelement(node.tag, nsmap=node.nsmap)
        if node.get('state', '').strip() == 'partial':
            copy.set('state', 'partial')
        _change(copy, node, part)
    copy.tail = node.tail
    return copy


def apply(known: c.Conference, change: c.Conference) -> c.Conference:
    """The state after `change`, a document with the state `partial`; `known` is a `full` one, and stays as it is.

    Raises:
        ValidationError: what comes of it is no valid state.
    """
    node = deepcopy(known.element)
    _change(node, change.element, _CONFERENCE)
    node.set('state', 'full')
    return c.Conference.from_element(node, known._document)
