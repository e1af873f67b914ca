"""Addressbooks of several applications with one account, in step through an XCAP server that has faults; each application is a process of its own."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from tests.support.addressbook_app import AddressbookApp
from tests.support.addressbook_sync import Ledger, book_in, change_at_random, come_into_step, ids_of
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
    return book_in(server.content('resource-lists', user))


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
