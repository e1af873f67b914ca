"""Whom the accounts watch by the addressbook."""

from types import SimpleNamespace

import pytest

from sipsimple.application import watched
from sipsimple.application.watched import SETTLING, ContactsWatch, watched_uris
from sipsimple.notification import NotificationCenter, NotificationData
from tests.support.keeper_world import InlineScheduler


def entry(*uris, presence=False, dialog=False):
    handling = {'presence': SimpleNamespace(subscribe=presence), 'dialog': SimpleNamespace(subscribe=dialog)}
    return SimpleNamespace(uris=[SimpleNamespace(uri=uri) for uri in uris], uri=uris[0], **handling)


def test_who_is_watched():
    contacts = [entry('bob@example.com', 'sips:bob@home.example', 'sip:+3120@example.com', '+31201234567', 'no uri', '', presence=True),
                entry('carol@example.com', dialog=True)]
    policies = [entry('dave@example.com', presence=True), entry('carol@example.com', presence=True), entry('eve@example.com')]
    assert watched_uris('presence', contacts, policies) == ['sip:bob@example.com', 'sips:bob@home.example', 'sip:+3120@example.com', 'sip:dave@example.com']
    assert watched_uris('dialog', contacts, policies) == ['sip:carol@example.com']


class Account:
    def __init__(self):
        self.told = []

    def watch_contacts(self, presence, dialog):
        self.told.append((presence, dialog))


@pytest.fixture
def world(monkeypatch):
    contacts, accounts, scheduler = [], [Account(), SimpleNamespace()], InlineScheduler()
    monkeypatch.setattr(watched, 'Account', Account)
    monkeypatch.setattr(watched, 'AccountManager', lambda: SimpleNamespace(get_accounts=lambda: accounts))
    monkeypatch.setattr(watched, 'AddressbookManager', lambda: SimpleNamespace(get_contacts=lambda: contacts, get_policies=list))
    watch = ContactsWatch(scheduler)
    yield SimpleNamespace(contacts=contacts, accounts=accounts, told=accounts[0].told, watch=watch, advance=scheduler.clock.advance)
    watch.stop()
    assert scheduler.clock.getDelayedCalls() == []


def test_changes_are_followed(world):
    world.contacts.append(entry('bob@example.com', presence=True))
    world.watch.start()
    assert world.told == [(['sip:bob@example.com'], [])]
    for number in range(100):
        world.contacts.append(entry(f'{number}@example.com', presence=number == 7))
        NotificationCenter().post_notification('AddressbookContactWasActivated')
    world.advance(SETTLING)
    assert world.told[1:] == [(['sip:bob@example.com', 'sip:7@example.com'], [])]
    NotificationCenter().post_notification('AddressbookContactDidChange')
    world.advance(SETTLING)
    assert len(world.told) == 2                     # nobody has to be told of a name
    new = Account()
    world.accounts.append(new)
    NotificationCenter().post_notification('SIPAccountManagerDidAddAccount', data=NotificationData())
    world.advance(SETTLING)
    assert len(new.told) == 1
    world.contacts.clear()
    NotificationCenter().post_notification('AddressbookContactWasDeleted')
    world.watch.stop()
    world.advance(1)
    assert len(new.told) == 1
