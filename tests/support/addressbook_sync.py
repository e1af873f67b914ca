"""What tests of addressbooks of several applications have in common: what they have made, and that all of them have the same in the end."""

from __future__ import annotations

import random
import time
from typing import Any

from sipsimple.account.xcap.addressbook import ADDRESSBOOK, read_addressbook
from sipsimple.payloads.resourcelists import ResourceListsDocument
from tests.support.addressbook_app import AddressbookApp
from tests.support.waiting import wait_until

__all__ = ['Ledger', 'book_in', 'change_at_random', 'come_into_step', 'ids_of']


def book_in(document: bytes) -> dict[str, Any]:
    """What an application would have of a resource-lists document."""
    def events(item: Any) -> list[Any]:
        return [str(item.presence.policy), item.presence.subscribe, str(item.dialog.policy), item.dialog.subscribe]
    book = read_addressbook(ResourceListsDocument.parse(document)[ADDRESSBOOK])
    return {
        'contacts': {contact.id: [contact.name, contact.uris.default, events(contact), {uri.id: [uri.uri, uri.type] for uri in contact.uris}]
                     for contact in book.contacts},
        'groups': {group.id: [group.name, sorted(group.contacts.ids())] for group in book.groups},
        'policies': {policy.id: [policy.uri, policy.name, events(policy)] for policy in book.policies}}


def ids_of(book: dict[str, Any]) -> set[str]:
    """The ids of all objects and addresses in a book."""
    return {id for section in book.values() for id in section} | {id for *_, uris in book['contacts'].values() for id in uris}


class Ledger:
    """What was made and deleted by all applications together."""

    def __init__(self) -> None:
        self.made: dict[str, str | None] = {}
        self.deleted: set[str] = set()

    def enter(self, done: dict[str, Any]) -> None:
        """Take note of what one application has told."""
        self.made.update(done['made'])
        self.deleted.update(done['deleted'])

    @property
    def left(self) -> set[str]:
        """Ids of what has to be there: of a contact that one has deleted, the addresses that another has added meanwhile have not."""
        return {id for id, contact in self.made.items() if not self.deleted & {id, contact}}


def come_into_step(*apps: AddressbookApp) -> None:
    """Until each has everything of the others. Twice: what one sends the other has to look for."""
    for _ in range(3):
        for app in apps:
            app('refresh')
            assert wait_until(lambda app=app: app('in step'), timeout=120), ''.join(app.errors)


def change_at_random(apps: list[AddressbookApp], ledger: Ledger, count: int, step: int, seed: int) -> None:
    """Have the applications make changes at the same time, and enter them."""
    moments = random.Random(seed)
    for turn in range(0, count, step):
        for app in apps:
            app.send('random', f'{app.name}-{seed}-{turn}', step)
        for app in apps:
            ledger.enter(app.answer())
        time.sleep(moments.uniform(0, 0.1))             # now they overtake each other, now they do not
        moments.choice(apps)('refresh')
