"""A process with an application and an account with an XCAP server, whose addressbook is changed at random when it is told to; see `addressbook_app.py`.

    addressbook_agent.py FOLDER NAME PASSWORD [ACCOUNT ROOT]...

Standard input has the commands, a JSON list on each line, standard output their results likewise:

    ["random", seed, count]     that many changes -> what was made (ids of contacts, groups, policies, and of addresses with that of the contact) and deleted
    ["refresh"]                 look at the server
    ["in step"]                 whether everything here is on the server
    ["book"]                    what there is
    ["set", id, name]           name a contact
    ["quit"]                    stop the application
"""

from __future__ import annotations

import json
import random
import sys
import threading
from functools import partial
from typing import Any

from sipsimple.account import Account, AccountManager
from sipsimple.account.xcap import patience
from sipsimple.addressbook import AddressbookManager, Contact, ContactURI, Group, Policy
from sipsimple.application import SIPApplication
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.lookup import DNSManager
from sipsimple.notification import NotificationQueue
from sipsimple.storage import FileStorage
from sipsimple.threading import call_in_thread, call_in_twisted_thread


class Changes:
    """Random changes, and what they have made and deleted.

    Args:
        name: part of every id and value, so that they differ from those of others.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = random.Random()
        self.manager = AddressbookManager()
        self.number = 0
        self.made: dict[str, str | None] = {}       # id -> that of the contact it is an address of, or None
        self.deleted: list[str] = []

    def run(self, seed: str, count: int) -> dict[str, Any]:
        """Make so many changes; seeded with a text, which no other run has, so that no id comes twice."""
        self.random.seed(seed)
        self.name, self.number = seed, 0
        self.made, self.deleted = {}, []
        while count > 0:
            several = min(count, self.random.choice([1, 1, 1, 4]))
            with self.manager.transaction():
                for _ in range(several):
                    self.change()
            count -= several
        return {'made': self.made, 'deleted': self.deleted}

    def new(self, prefix: str) -> str:
        self.number += 1
        return f'{prefix}-{self.name}-{self.number}'

    def pick(self, items: Any) -> Any:
        found = list(items)
        return self.random.choice(found) if found else None

    def make(self, cls: Any, **state: Any) -> None:
        obj = cls(self.new(cls.__name__.lower()))
        self.made[str(obj.id)] = None
        for name, value in state.items():
            setattr(obj, name, value)
        if cls is Contact:
            obj.uris.add(self.uri(obj))
        obj.save()

    def uri(self, contact: Contact) -> ContactURI:
        uri = ContactURI(self.new('uri'), uri=self.new('sip'))
        self.made[str(uri.id)] = str(contact.id)
        return uri

    def delete(self, obj: Any) -> None:
        self.deleted.append(str(obj.id))
        obj.delete()

    def change(self) -> None:
        manager, chance = self.manager, self.random.random()
        contact = self.pick(manager.get_contacts())
        if contact is None or chance < 0.2:
            self.make(Contact, name=self.new('name'))
        elif chance < 0.27:
            self.delete(contact)
        elif chance < 0.45:
            contact.name = self.new('name')
            contact.presence.policy = self.random.choice(['allow', 'block', 'default'])
            contact.dialog.subscribe = self.random.random() < 0.5
            contact.save()
        elif chance < 0.65:
            self.change_uris(contact)
        else:
            self.change_others(contact, chance)

    def change_uris(self, contact: Contact) -> None:
        uri = self.pick(contact.uris)
        if uri is None or self.random.random() < 0.5:
            contact.uris.add(self.uri(contact))
        elif self.random.random() < 0.4:
            self.deleted.append(str(uri.id))
            contact.uris.remove(uri)
        else:
            uri.type = self.new('type')
            contact.uris.default = uri
        contact.save()

    def change_others(self, contact: Contact, chance: float) -> None:
        group, policy = self.pick(self.manager.get_groups()), self.pick(self.manager.get_policies())
        if group is None or chance < 0.7:
            self.make(Group, name=self.new('name'), contacts=[contact])
        elif chance < 0.85:
            (group.contacts.remove if contact in group.contacts else group.contacts.add)(contact)
            group.name = self.new('name')
            group.save()
        elif chance < 0.87:
            self.delete(group)
        elif policy is None or chance < 0.95:
            self.make(Policy, uri=self.new('sip'))
        elif chance < 0.98:
            policy.name = self.new('name')
            policy.save()
        else:
            self.delete(policy)


def book() -> dict[str, Any]:
    """All there is, as JSON has it."""
    manager = AddressbookManager()

    def events(obj: Any) -> list[Any]:
        return [str(obj.presence.policy), obj.presence.subscribe, str(obj.dialog.policy), obj.dialog.subscribe]

    return {
        'contacts': {str(contact.id): [contact.name, getattr(contact.uris.default, 'id', None), events(contact),
                                       {str(uri.id): [uri.uri, uri.type] for uri in contact.uris}] for contact in manager.get_contacts()},
        'groups': {str(group.id): [group.name, group.contacts.ids()] for group in manager.get_groups()},
        'policies': {str(policy.id): [policy.uri, policy.name, events(policy)] for policy in manager.get_policies()}}


def settled() -> None:
    """Wait until what was saved and what came from servers is worked through."""
    for call in (call_in_twisted_thread, partial(call_in_thread, 'file-io'), partial(call_in_thread, 'file-io')):
        done = threading.Event()
        call(done.set)
        done.wait(60)


def main() -> None:
    folder, name, password, *rest = sys.argv[1:]
    patience.RETRY, patience.RETRY_LOST = 0.3, 0.1              # seconds; who has to wait for a minute in a test
    dns = DNSManager()
    dns.probe_domain, dns.public_nameservers, dns.nameservers = None, [], []        # asks nobody
    with NotificationQueue() as events:
        SIPApplication().start(FileStorage(folder))
        settings = SIPSimpleSettings()
        settings.sip.transport_list = ['udp']
        settings.save()
        while events.get(60).name != 'SIPApplicationDidStart':
            pass
    accounts = []
    for id, root in zip(rest[::2], rest[1::2], strict=True):
        account = Account(id)
        account.auth.password = password
        account.sip.register.enabled = account.xcap.xcap_diff = False
        account.xcap.xcap_root = root
        account.xcap.enabled = account.enabled = True
        account.save()
        accounts.append(account)
    changes = Changes(name)

    def in_step() -> bool:
        settled()
        return all(account.xcap.discovered and account.xcap_manager.state == 'insync' and not account.xcap_manager.has_pending_operations
                   and not account.xcap_manager._to_fetch for account in accounts)

    commands = {'random': changes.run, 'refresh': lambda: [account.xcap_manager.refresh() for account in accounts] and None,
                'in step': in_step, 'book': lambda: settled() or book()}

    def set_name(id: str, name: str) -> None:
        contact = AddressbookManager().get_contact(id)
        contact.name = name
        contact.save()
    commands['set'] = set_name
    print(json.dumps('ready'), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        if command == 'quit':
            break
        print(json.dumps(commands[command](*arguments)), flush=True)
    assert AccountManager().get_accounts()
    with NotificationQueue('SIPApplicationDidEnd') as ends:
        SIPApplication().stop()
        ends.get(60)


if __name__ == '__main__':
    main()
