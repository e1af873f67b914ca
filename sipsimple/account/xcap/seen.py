"""What of the application's addressbook the server has had, so that what is missing there is known to be removed and not to be new.

The application learns of the server's addressbook when it is told (XCAPManagerDidReloadData), and the server of the application's when a document is
written. What was told last, and what was written since, is on disk before anything follows from it: whenever the program is killed, what the application
has then is in here, or its making is in the journal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from sipsimple.account.xcap.addressbook import ADDRESSBOOK
from sipsimple.account.xcap.storage import XCAPStorageError
from sipsimple.payloads import ParserError, addressbook as xml
from sipsimple.payloads.resourcelists import ResourceListsDocument
from sipsimple.util import collector_paused

__all__ = ['Mark', 'Seen', 'marks_in']

log = logging.getLogger('sipsimple.account.xcap')

NAME = 'seen'
SECTIONS = {xml.Contact.qname: 'Contacts', xml.Group.qname: 'Groups', xml.Policy.qname: 'Policies'}

Mark = tuple[str, ...]


def marks_in(document: bytes) -> Iterator[Mark]:
    """The objects, addresses and members in the addressbook of a resource-lists document: `('Contacts', id)`, `('Contacts', id, 'uris', id)`,
    `('Groups', id)`, `('Groups', id, 'contacts', id)`, `('Policies', id)`.

    Raises:
        ParserError: it is no such document.
    """
    # On the nodes: of ten thousand contacts no more than the ids is wanted.
    root = ResourceListsDocument.parse(document).element
    for node in (node for item in root if item.get('name') == ADDRESSBOOK for node in item):
        id, section = node.get('id'), SECTIONS.get(node.tag)
        if section is None or id is None:
            continue
        yield section, id
        if section == 'Contacts':
            yield from ((section, id, 'uris', uri.get('id')) for uri in node.iter(xml.ContactURI.qname) if uri.get('id'))
        elif section == 'Groups':
            yield from ((section, id, 'contacts', member.text) for member in node.iter(xml.ContactID.qname) if member.text)


class Seen:
    """Marks of what the server has had. Thread: the one for files, but for `marks`.

    Args:
        storage: where they are kept.

    Attributes:
        marks: a frozenset of `Mark`. Thread: any.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.marks: frozenset[Mark] = frozenset()
        self._told = self.marks             # of what the application was told last
        self._read: tuple[bytes | None, frozenset[Mark]] = None, frozenset()    # what was read last: written, told of and seen again it is the same

    def load(self) -> None:
        """Read what an earlier run left. What cannot be read is nothing: then too much comes back, instead of too much being lost."""
        try:
            stored = json.loads(self._storage.load(NAME))
            self.marks = self._told = frozenset(tuple(map(str, mark)) for mark in stored)
        except XCAPStorageError:
            return
        except (ValueError, TypeError, RecursionError) as error:
            log.warning('what the server had cannot be read: %s', error)

    def add(self, document: bytes | None) -> None:
        """The server has this, besides what it had."""
        self._set(self.marks | self._marks_in(document))

    def tell(self, document: bytes | None) -> None:
        """The application is about to be told of this. What it was told before last does not matter any more; what it was told last it may still be writing."""
        new = self._marks_in(document)
        self._set(self._told | new)
        self._told = new

    def clear(self) -> None:
        """It is another server, or another user's addressbook."""
        self._told = frozenset()
        self._set(self._told)

    def _marks_in(self, document: bytes | None) -> frozenset[Mark]:
        if document is not self._read[0]:
            try:
                with collector_paused():
                    self._read = document, frozenset() if document is None else frozenset(marks_in(document))
            except ParserError:
                self._read = document, frozenset()          # nothing was learnt from that one
        return self._read[1]

    def _set(self, marks: frozenset[Mark]) -> None:
        if marks == self.marks:
            return
        self.marks = marks
        try:
            self._storage.save(NAME, json.dumps(sorted(marks), ensure_ascii=False, separators=(',', ':')))
        except XCAPStorageError as error:
            log.warning('what the server had is not stored: %s', error)
