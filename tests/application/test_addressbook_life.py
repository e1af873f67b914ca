"""The addressbook in an application, and what is left of it when the process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from sipsimple.configuration.backend.file import FileBackend
from tests.support.child import environment


def test_it_is_there_when_the_application_starts_and_kept_until_the_next_time(run):
    run('''
from sipsimple.addressbook import AddressbookManager, Contact, ContactURI, Group, Policy
manager = AddressbookManager()
try:
    Contact()
except RuntimeError:
    pass
else:
    raise AssertionError('made before the start')
for number in range(3):
    storage = FileStorage('data')
    app.start(storage)
    assert len(manager.get_contacts()) == len(manager.get_groups()) == len(manager.get_policies()) == number     # at once
    wait('SIPApplicationDidStart')
    contact = Contact()
    contact.name = f'contact {number}'
    contact.uris.add(ContactURI(uri=f'{number}@example.com'))
    contact.save()
    group = Group()
    group.contacts = manager.get_contacts()
    group.save()
    policy = Policy()
    policy.save()
    stop()                              # right after: nothing is lost
    assert manager.get_contacts() == []
    contact.name = 'late'
    contact.save()                      # its application is gone
app.start(FileStorage('data'))
assert sorted(contact.name for contact in manager.get_contacts()) == ['contact 0', 'contact 1', 'contact 2']
assert sorted(len(group.contacts) for group in manager.get_groups()) == [1, 2, 3]
wait('SIPApplicationDidStart')
stop()
''')


# Changes several objects at a time, all of them to the same turn, and now and then deletes a contact and makes another one, as fast as it can.
SAVER = '''
import sys
from sipsimple.addressbook import AddressbookManager, Contact, ContactURI, Group, Policy
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.file import FileBackend
from sipsimple.threading import ThreadManager

ConfigurationManager().start(FileBackend(sys.argv[1]))
manager = AddressbookManager()
manager.load()
turn = max([int(contact.name) for contact in manager.get_contacts()], default=0)
print('ready', flush=True)
while True:
    turn += 1
    with manager.transaction():
        for contact in manager.get_contacts()[:5] if turn % 7 == 0 else []:
            contact.delete()
        while len(manager.get_contacts()) < 100:
            contact = Contact()
            for number in range(3):
                contact.uris.add(ContactURI(uri=f'{number}@example.com'))
            contact.save()
        for contact in manager.get_contacts():
            contact.name = str(turn)
            for uri in contact.uris:
                uri.type = str(turn)
            contact.save()
        group = manager.get_groups()[0] if manager.get_groups() else Group()
        group.name = str(turn)
        group.contacts = manager.get_contacts()
        group.save()
    ThreadManager().stop()          # until it is on the disk
    print(turn, flush=True)
'''


def test_a_process_killed_while_it_saves_leaves_a_whole_addressbook(tmp_path):
    """Each transaction is in the file or is not, and what was reported as written is there."""
    path = str(tmp_path / 'config')
    moments = random.Random(11)
    last = 0
    for number in range(12):
        child = subprocess.Popen([sys.executable, '-c', SAVER, path], stdout=subprocess.PIPE, env=environment())
        assert child.stdout is not None and child.stdout.readline() == b'ready\n'
        first = child.stdout.readline() if number % 2 else b''          # so that some are killed later than in their first turn
        time.sleep(moments.uniform(0.0, 0.2))
        os.kill(child.pid, signal.SIGKILL)
        told = [int(line) for line in (first + child.stdout.read()).splitlines(keepends=True) if line.endswith(b'\n')]
        child.wait()
        child.stdout.close()
        last = max([last, *told])
        data = FileBackend(path).load()
        assert os.listdir(tmp_path) == (['config'] if data else [])
        if not data:
            continue                # killed before the first turn was written
        book = data['Addressbook']
        group, = book['Groups'].values()
        turn = group['name']
        assert last <= int(turn) <= last + 1, (last, turn)
        assert len(book['Contacts']) == 100 and sorted(book['Contacts']) == sorted(group['contacts'])
        assert all(contact['name'] == turn and [uri['type'] for uri in contact['uris'].values()] == [turn] * 3 for contact in book['Contacts'].values())
        last = int(turn)
    assert last >= 6
