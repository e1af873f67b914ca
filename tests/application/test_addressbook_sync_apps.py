"""Addressbooks of several applications with one account, in step through an XCAP server that has faults; each application is a process of its own."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from sipsimple.account.xcap.addressbook import ADDRESSBOOK, read_addressbook
from sipsimple.payloads.resourcelists import ResourceListsDocument
from tests.support.addressbook_app import AddressbookApp
from tests.support.waiting import wait_until
from tests.support.xcap_server import XCAPServer

ALICE, BOB = 'alice@example.com', 'bob@example.com'
FAULTS = ['cut before', 'cut after', 'cut inside', 503, 'cut before', 'cut after']
USERS = {'alice': 'secret', 'bob': 'secret'}
SEED = int(os.environ.get('SIPSIMPLE_SEED', '1'))


@pytest.fixture
def server():
    with XCAPServer(users=USERS) as server:
        yield server


def book_of(server, user=ALICE):
    """What an application would have of the server."""
    def events(item):
        return [str(item.presence.policy), item.presence.subscribe, str(item.dialog.policy), item.dialog.subscribe]
    book = read_addressbook(ResourceListsDocument.parse(server.content('resource-lists', user))[ADDRESSBOOK])
    return {
        'contacts': {contact.id: [contact.name, contact.uris.default, events(contact), {uri.id: [uri.uri, uri.type] for uri in contact.uris}]
                     for contact in book.contacts},
        'groups': {group.id: [group.name, sorted(group.contacts.ids())] for group in book.groups},
        'policies': {policy.id: [policy.uri, policy.name, events(policy)] for policy in book.policies}}


def ids_of(book):
    """The ids of all objects and addresses in a book."""
    return {id for section in book.values() for id in section} | {id for *_, uris in book['contacts'].values() for id in uris}


class Ledger:
    """What was made and deleted by all applications together."""

    def __init__(self):
        self.made = {}
        self.deleted = set()

    def enter(self, done):
        self.made.update(done['made'])
        self.deleted.update(done['deleted'])

    @property
    def left(self):
        """Ids of what has to be there: of a contact that one has deleted, the addresses that another has added meanwhile have not."""
        return {id for id, contact in self.made.items() if not self.deleted & {id, contact}}


def come_into_step(*apps):
    """Until each has everything of the others. Twice: what one sends the other has to look for."""
    for _ in range(3):
        for app in apps:
            app('refresh')
            assert wait_until(lambda app=app: app('in step'), timeout=120), ''.join(app.errors)


class Trouble:
    """Breaks connections of a server at random while it runs."""

    def __init__(self, server, seed):
        self.server = server
        self.random = random.Random(seed)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.wait(self.random.uniform(0.01, 0.1)):
            if not self.server.faults:
                self.server.faults.extend([None] * self.random.randrange(8) + [self.random.choice(FAULTS)])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *rest):
        self.ended.set()
        self.thread.join(30)
        self.server.faults.clear()


def change_at_random(apps, ledger, count, step, seed):
    """Have the applications make changes at the same time; what was made and what was deleted."""
    moments = random.Random(seed)
    for turn in range(0, count, step):
        for app in apps:
            app.send('random', f'{app.name}-{seed}-{turn}', step)
        for app in apps:
            ledger.enter(app.answer())
        time.sleep(moments.uniform(0, 0.1))             # now they overtake each other, now they do not
        moments.choice(apps)('refresh')


def test_two_applications_stay_in_step_whatever_becomes_of_their_connections(server, tmp_path):
    """Hundreds of changes on both sides at the same time, with interrupted connections: equal books, nothing lost, nothing twice."""
    ledger = Ledger()
    with AddressbookApp(tmp_path / 'one', 'one', {ALICE: server.root}) as one, AddressbookApp(tmp_path / 'two', 'two', {ALICE: server.root}) as two:
        with Trouble(server, SEED):
            change_at_random([one, two], ledger, 500, 10, SEED)
        come_into_step(one, two)
        books = [one('book'), two('book'), book_of(server)]
        assert any(seen.code <= 0 for seen in server.requests)          # there were interruptions
        assert books[0] == books[1] == books[2]
        assert ids_of(books[0]) == ledger.left
        one.quit()
        two.kill()
        two.start()
        assert two('book') == books[0]                  # as it is in the file
        come_into_step(two)
        assert two('book') == books[0] == book_of(server)


def test_what_is_done_without_the_server_reaches_it_once_also_after_kill_9(server, tmp_path):
    moments, ledger = random.Random(SEED), Ledger()
    with AddressbookApp(tmp_path / 'one', 'one', {ALICE: server.root}) as one, AddressbookApp(tmp_path / 'two', 'two', {ALICE: server.root}) as two:
        come_into_step(one, two)
        for turn in range(4):
            server.faults.extend([503] * 1000)
            for app in (one, two):
                ledger.enter(app('random', f'{app.name}-{turn}', 15))
            one('book')                                 # what was saved is in the journal and in the file from here on
            one.kill()
            server.faults.clear()
            if turn % 2:
                server.faults.extend(moments.choice(['cut after', 'cut inside', None]) for _ in range(10))
            one.start()
        server.faults.clear()
        come_into_step(one, two)
        assert one('book') == two('book') == book_of(server)
        assert ids_of(one('book')) == ledger.left
        for turn in range(3):
            one.send('random', f'late-{turn}', 300)
            time.sleep(moments.uniform(0.02, 0.3))
            one.kill()                                  # in the middle of it: whatever was saved is here and there, or nowhere
            one.start()
        come_into_step(one, two)
        assert one('book') == two('book') == book_of(server)


def test_a_server_that_loses_its_documents_is_given_the_addressbook_again(server, tmp_path):
    with AddressbookApp(tmp_path / 'one', 'one', {ALICE: server.root}) as one:
        ledger = Ledger()
        ledger.enter(one('random', 'before', 40))
        come_into_step(one)
        before = one('book')
        with server.lock:
            server.documents.clear()
        come_into_step(one)
        assert one('book') == before == book_of(server) and ids_of(before) == ledger.left


def test_two_accounts_with_a_server_each_have_one_addressbook(server, tmp_path):
    """Each account's book was made by another application; a third has both accounts, and all end with all contacts."""
    ledger = Ledger()
    with XCAPServer(users=USERS) as other, AddressbookApp(tmp_path / 'one', 'one', {ALICE: server.root}) as one, \
            AddressbookApp(tmp_path / 'two', 'two', {BOB: other.root}) as two:
        change_at_random([one, two], ledger, 20, 20, 3)
        come_into_step(one, two)
        with AddressbookApp(tmp_path / 'both', 'both', {ALICE: server.root, BOB: other.root}) as both:
            come_into_step(both, one, two, both)
            assert both('book') == one('book') == two('book') == book_of(server, ALICE) == book_of(other, BOB)
            assert ids_of(both('book')) == ledger.left
            ledger.enter(both('random', 'more', 30))
            come_into_step(both, one, two, both)
            assert both('book') == one('book') == two('book') == book_of(server, ALICE) == book_of(other, BOB)
            assert ids_of(both('book')) == ledger.left
