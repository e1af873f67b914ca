"""Being told of changes: what is asked for, and what is made of the answers. With a real subscription: tests/interop/test_xcap_script.py."""

from types import SimpleNamespace

import pytest

from sipsimple.account.xcap.diff import XCAPSubscriber
from sipsimple.account.xcap.documents import DOCUMENTS, Document
from sipsimple.account.xcap.storage.memory import MemoryStorage
from sipsimple.notification import NotificationCenter
from sipsimple.payloads.resourcelists import ResourceListsDocument
from tests.support.xcap_rig import FakeAccount

ROOT = 'http://xcap.example.com/root'
PLACE = 'resource-lists/users/sip:alice@example.com/index'


class World:
    def __init__(self):
        self.account = FakeAccount(ROOT)
        storage = MemoryStorage('alice')
        self.documents = [Document(DOCUMENTS[name], storage) for name in ('resource_lists', 'pres_rules')]
        for document in self.documents:
            document.locate(ROOT, 'alice@example.com')
        self.documents[0].take(b'<x/>', '"one"')
        self.changes = []
        self.subscriber = XCAPSubscriber(self.account, self.documents, self.changes.append)

    def hear(self, body, content_type='application/xcap-diff+xml'):
        self.subscriber._heard(SimpleNamespace(body=body, content_type=content_type))
        return self.changes


@pytest.fixture
def world():
    return World()


def diff(*items):
    return f'<xcap-diff xmlns="urn:ietf:params:xml:ns:xcap-diff" xcap-root="{ROOT}/">{"".join(items)}</xcap-diff>'.encode()


def test_what_is_asked_for(world):
    content_type, body = world.subscriber.document()
    assert content_type == 'application/resource-lists+xml'
    (entries,) = ResourceListsDocument.parse(body)
    assert [str(entry.uri) for entry in entries] == [PLACE, 'org.openmobilealliance.pres-rules/users/sip:alice@example.com/index']
    assert b'entry uri="resource-lists/users/sip:alice@example.com/index"' in body


def test_it_is_wanted_with_the_setting(world):
    assert not world.subscriber.wanted
    world.account.xcap.xcap_diff = True
    assert world.subscriber.wanted


@pytest.mark.parametrize('place', [PLACE, f'{ROOT}/{PLACE}', PLACE.replace('@', '%40'), f'/{PLACE}'])
def test_a_document_that_changed(world, place):
    assert world.hear(diff(f'<document sel="{place}" new-etag="two" previous-etag="one"/>')) == [
        {'resource_lists': {'new_etag': 'two', 'previous_etag': 'one', 'auid': 'resource-lists', 'url': f'{ROOT}/{PLACE}'}}]


@pytest.mark.parametrize('etag', ['one', '&quot;one&quot;', 'W/&quot;one&quot;'])
def test_what_is_known_is_no_change(world, etag):
    assert world.hear(diff(f'<document sel="{PLACE}" new-etag="{etag}"/>')) == []


def test_each_document_is_compared_with_its_own_tag(world):
    world.documents[1].take(b'<x/>', '"rules"')
    assert world.hear(diff(f'<document sel="{PLACE}" new-etag="two"/>', f'<document sel="{world.documents[1].relative_url}" new-etag="rules"/>'))[0].keys() == {'resource_lists'}


def test_a_document_that_is_gone(world):
    assert world.hear(diff(f'<document sel="{PLACE}" previous-etag="one"/>'))[0]['resource_lists']['new_etag'] is None
    world.documents[0].take(None, None)
    world.changes.clear()
    assert world.hear(diff(f'<document sel="{PLACE}" previous-etag="one"/>')) == []


def test_a_change_of_a_node_is_one_of_its_document(world):
    assert world.hear(diff(f'<element sel="{PLACE}/~~/resource-lists" exists="1"/>'))[0].keys() == {'resource_lists'}


def test_documents_of_others_are_none_of_our_business(world):
    assert world.hear(diff('<document sel="resource-lists/users/sip:bob@example.com/index" new-etag="x"/>')) == []
    assert world.hear(None) == world.hear(b'') == world.hear(diff()) == []


@pytest.mark.parametrize('body, content_type', [(b'nonsense', 'application/xcap-diff+xml'), (diff(), 'text/plain'), (diff(), None)])
def test_what_makes_no_sense_may_mean_anything(world, body, content_type):
    told = []
    observer = SimpleNamespace(handle_notification=told.append)
    NotificationCenter().add_observer(observer, sender=world.account)
    try:
        assert world.hear(body, content_type) == [None]
    finally:
        NotificationCenter().remove_observer(observer, sender=world.account)
    assert [(item.name, item.data.event) for item in told] == [('SIPAccountGotInvalidNotify', 'xcap-diff')]


def test_what_happened_while_nobody_listened(world):
    world.subscriber._has_begun()
    world.subscriber._is_over()
    assert world.changes == [None, None]
