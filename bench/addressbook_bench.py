"""How long a big addressbook takes: load it, change one contact and save, add and delete one, change all.

    python bench/addressbook_bench.py [contacts]

A save is over when the file is on the disk, which is what is measured; save() itself returns before. The limits are those of a machine that does nothing else.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from sipsimple.addressbook import AddressbookManager, Contact, ContactURI, Group, Policy
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.file import FileBackend
from sipsimple.threading import ThreadManager

MEMBERS = 100               # of a group
LOAD_LIMIT = 1000.0         # ms
SAVE_LIMIT = 50.0           # ms


def timed(what: str, function: Callable[[], object], limit: float | None = None) -> float:
    begin = time.perf_counter()
    function()
    took = (time.perf_counter() - begin) * 1000
    print(f'{what}: {took:.1f} ms' + ('' if limit is None else f', limit {limit:.0f} ms' + (' MISSED' if took > limit else '')))
    return took


def written() -> None:
    """Wait until what was saved is in the file."""
    ThreadManager().stop()


def fill(manager: Any, count: int) -> None:
    with manager.transaction():
        contacts = []
        for number in range(count):
            contact = Contact()
            contact.name = f'User {number}'
            contact.presence.subscribe = True
            home = ContactURI(uri=f'user{number}@example.com', type='SIP')
            contact.uris.add(home)
            contact.uris.add(ContactURI(uri=f'{number}@mobile.example.com'))
            contact.uris.default = home
            contact.save()
            contacts.append(contact)
        for start in range(0, count, MEMBERS):
            group = Group()
            group.name = f'Group {start}'
            group.contacts = contacts[start:start + MEMBERS]
            group.save()
        policy = Policy()
        policy.uri = 'mallory@example.com'
        policy.presence.policy = 'block'
        policy.save()
    written()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    configuration, manager = ConfigurationManager(), AddressbookManager()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'config')
        configuration.start(FileBackend(path))
        manager.load()
        timed(f'make {count} contacts with two addresses each, in one transaction', lambda: fill(manager, count))
        manager.unload()
        configuration.reset()
        print(f'{os.path.getsize(path)} bytes')

        read = timed('  read the file', lambda: configuration.start(FileBackend(path)))
        made = timed('  make the objects', manager.load)
        print(f'load: {read + made:.1f} ms, limit {LOAD_LIMIT:.0f} ms' + (' MISSED' if read + made > LOAD_LIMIT else ''))
        timed('  and made ready for fast saving, in the background', written)
        contacts = manager.get_contacts()
        for turn in ('first', 'second', 'third'):
            def change(turn: str = turn) -> None:
                contacts[count // 2].name = turn
                contacts[count // 2].save()
                written()
            timed(f'{turn} save of one change', change, SAVE_LIMIT)

        def add() -> None:
            contact = Contact()
            contact.uris.add(ContactURI(uri='new@example.com'))
            contact.save()
            written()

        def remove() -> None:
            contacts[0].delete()
            written()

        def change_all() -> None:
            for contact in contacts[1:]:
                contact.presence.policy = 'allow'
                contact.save()
            written()

        timed('add a contact', add, SAVE_LIMIT)
        timed('delete a contact that is in a group', remove, SAVE_LIMIT)
        timed('save of every contact, one by one', change_all)
        manager.unload()
        configuration.reset()
        configuration.start(FileBackend(path))
        manager.load()
        assert len(manager.get_contacts()) == count and manager.get_contact(contacts[-1].id).presence.policy == 'allow'


if __name__ == '__main__':
    main()
