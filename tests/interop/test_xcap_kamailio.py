"""XCAP against the lab's Kamailio: the client over HTTP and HTTPS, and two managers that share an addressbook.

What that server lacks (xcap-diff, conditional GET, dialog rules, namespaces in node selectors, bodies above 64 KB) is tried against a scripted one:
tests/unit/xcap, tests/interop/test_xcap_script.py.
"""

from __future__ import annotations

import os
import random

import pytest

from sipsimple.account.xcap import Contact, ContactURI, EventHandling, Group, Icon, OfflineStatus, Policy, manager as manager_module, patience
from sipsimple.account.xcap.client import XCAPClient
from sipsimple.account.xcap.errors import AuthenticationError, HTTPError, NotFoundError, PreconditionError, TransportError
from sipsimple.account.xcap.uri import document_url, list_selector, node_url
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.objects import forget_static_objects
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.payloads.pidf import PIDF
from sipsimple.threading.green import wait_deferred
from tests.support.addressbook_app import AddressbookApp
from tests.support.addressbook_sync import Ledger, book_in, change_at_random, come_into_step, ids_of
from tests.support.cutting_proxy import CuttingProxy
from tests.support.lab import lab_fixture
from tests.support.sdk import SDK
from tests.support.waiting import wait_until
from tests.support.xcap_put import get
from tests.support.xcap_rig import Rig, green

pytestmark = pytest.mark.interop

lab = lab_fixture('dns', 'kamailio')

SEED = int(os.environ.get('SIPSIMPLE_SEED', '1'))


@pytest.fixture(autouse=True, scope='module')
def configuration():
    ConfigurationManager().start(MemoryBackend())
    yield
    ConfigurationManager().reset()
    forget_static_objects()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module, name in ((patience, 'RETRY'), (patience, 'RETRY_LOST'), (manager_module, 'POLL')):
        monkeypatch.setattr(module, name, 0.2)


def root(lab, scheme='http'):
    return f'{scheme}://127.0.0.1:{lab.port("HTTP" if scheme == "http" else "HTTPS")}/xcap-root'


def rig(lab, user='alice', **more):
    return Rig(root(lab), id=f'{user}@lab.test', password=f'{user}-pw', **more)


def contact(id, name=None, **handling):
    return Contact(id, name or id, [ContactURI('u1', f'sip:{id}@lab.test', 'SIP')], **handling)


# ---- the client ----------------------------------------------------------------------------------------------------


def test_documents_and_nodes(lab):
    client = green(lambda: XCAPClient(root(lab), 'dave', 'dave-pw'))
    url = document_url(root(lab), 'resource-lists', 'sip:dave@lab.test', 'index')
    text = b'<?xml version="1.0"?><resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="friends"><entry uri="sip:bob@lab.test"/></list></resource-lists>'

    def ask(method, *args, **more):
        return green(lambda: wait_deferred(getattr(client, method)(*args, **more)))
    with pytest.raises(NotFoundError):
        ask('get', url)
    etag = ask('put', url, text, 'application/resource-lists+xml', create=True).etag
    assert etag and ask('get', url).etag == etag and ask('get', url).data == text
    with pytest.raises(PreconditionError):
        ask('put', url, text, 'application/resource-lists+xml', etag='"another"')
    assert b'sip:bob@lab.test' in ask('get', node_url(url, list_selector('friends'))).data
    entry = node_url(url, f'{list_selector("friends")}/entry[@uri="sip:carol@lab.test"]')
    ask('put', entry, b'<entry xmlns="urn:ietf:params:xml:ns:resource-lists" uri="sip:carol@lab.test"/>', 'application/xcap-el+xml')
    assert b'carol' in ask('get', url).data
    ask('delete', entry)
    assert b'carol' not in ask('get', url).data
    ask('delete', url)
    with pytest.raises(NotFoundError):
        ask('get', url)
    with pytest.raises(HTTPError) as caught:
        ask('get', document_url(root(lab), 'resource-lists', 'sip:bob@lab.test', 'index'))
    assert caught.value.code == 403
    stranger = green(lambda: XCAPClient(root(lab), 'dave', 'wrong'))
    with pytest.raises(AuthenticationError):
        green(lambda: wait_deferred(stranger.get(url)))


@pytest.mark.parametrize('authority, good', [('ca.pem', True), ('selfsigned.pem', False)])
def test_https(lab, authority, good):
    settings = SIPSimpleSettings()
    settings.tls.ca_list, settings.tls.verify_server = str(lab.certs / authority), True
    try:
        with Rig(root(lab, 'https'), id='eve@lab.test', password='eve-pw') as eve:
            eve.start()
            if good:
                assert eve.in_sync().manager.resource_lists
            else:
                assert isinstance(eve.wait('XCAPManagerClientError').error, TransportError) and not eve.account.xcap.discovered
    finally:
        settings.tls.ca_list, settings.tls.verify_server = None, False


# ---- managers ------------------------------------------------------------------------------------------------------


def test_an_addressbook(lab):
    with rig(lab) as alice, rig(lab) as other:
        alice.start().in_sync()
        manager = alice.manager
        assert 'org.openmobilealliance.pres-content' in alice.all('XCAPManagerDidDiscoverServerCapabilities')[0].auids
        assert [document.name for document in manager.documents if document.supported] == [
            'resource_lists', 'rls_services', 'pres_rules', 'pidf_manipulation', 'status_icon', 'ietf_pres_rules', 'server_caps']
        with manager.transaction():
            bob = contact('bob', presence_handling=EventHandling('allow', True), note='x')
            manager.add_contact(bob)
            manager.add_group(Group('g1', 'G', [bob], color='red'))
            manager.add_policy(Policy('p1', 'sip:eve@lab.test', 'Eve', EventHandling('block', False)))
            manager.set_default_presence_policy('allow')
            manager.set_status_icon(Icon(bytes(range(256)), 'image/png'))
            manager.set_offline_status(OfflineStatus(PIDF('sip:alice@lab.test')))
        alice.in_sync()
        assert not alice.all('XCAPManagerClientError')
        other.start().in_sync()
        assert other.manager.data == manager.data and other.book.contacts['bob'] == bob and other.manager.data.status_icon == Icon(bytes(range(256)), 'image/png')
        other.manager.set_status_icon(None)
        other.manager.remove_contact(bob)
        other.in_sync()
        assert wait_until(lambda: not manager.data.addressbook.contacts and manager.data.status_icon is None)


def test_two_managers_at_once(lab):
    """What both write at the same time is all there in the end."""
    choose = random.Random(3)
    with rig(lab, 'carol') as one, rig(lab, 'carol') as other:
        rigs = {'a': one.start(), 'b': other.start()}
        names = {}
        for count in range(100):
            for side, manager in ((side, item.manager) for side, item in rigs.items()):
                id = f'{side}{count % 20}'
                names[id] = f'{side}{count}'
                if count < 20:
                    manager.add_contact(contact(id, names[id]))
                else:
                    manager.update_contact(contact(id), {'name': names[id]})
                manager.add_contact(contact(f's{choose.randrange(3)}', f'{side}{count}'))
                manager.remove_contact(contact(f's{choose.randrange(3)}'))
            if count % 10 == 0:
                assert wait_until(lambda: all(len(item.manager.journal) < 20 for item in rigs.values()))
        for item in rigs.values():
            item.in_sync()
        assert wait_until(lambda: one.manager.data == other.manager.data)
        assert {item.id: item.name for item in one.book.contacts if item.id[0] in 'ab'} == names


def test_two_applications_and_their_addressbooks(lab, tmp_path):
    """Two processes with one account change the same things at the same time, and their connections are cut: equal books, nothing lost, nothing twice."""
    name, plain = 'bob@lab.test', f'{root(lab)}/'
    ledger = Ledger()
    with CuttingProxy(lab.port('HTTP'), SEED) as proxy:
        roots = {name: f'http://127.0.0.1:{proxy.port}/xcap-root'}
        with AddressbookApp(tmp_path / 'one', 'one', roots, 'bob-pw') as one, AddressbookApp(tmp_path / 'two', 'two', roots, 'bob-pw') as two:
            proxy.cuts = True
            change_at_random([one, two], ledger, 40, 5, SEED)
            assert wait_until(lambda: one('refresh') or proxy.count > 3)
            proxy.cuts = False
            come_into_step(one, two)
            books = [one('book'), two('book'), book_in(get(plain, name, 'bob-pw', 'resource-lists'))]
            assert books[0] == books[1] == books[2]
            assert ids_of(books[0]) == ledger.left
            one('random', 'alone', 5)
            one.kill()                              # the other one has it all the same, as soon as it is on the server
            one.start()
            come_into_step(one, two)
            assert one('book') == two('book') == book_in(get(plain, name, 'bob-pw', 'resource-lists'))


# ---- what others make of it ----------------------------------------------------------------------------------------


def test_the_list_of_contacts_is_one_that_the_server_subscribes_to(lab):
    """A contact whose presence is wanted is in the list that the account is subscribed to (RLS), as soon as it was added."""
    name, values = '1001@lab.test', "__import__('sipsimple.account.xcap', fromlist=['_'])"
    with SDK('1001') as sdk:
        sdk.start(nameservers=lab.nameservers, settings={'sip.transport_list': ['tcp']})
        sdk.account(name, {
            'auth.password': '1001-pw', 'sip.outbound_proxy': f'127.0.0.1:{lab.port("SIP")};transport=tcp', 'presence.enabled': True, 'xcap.enabled': True,
            'enabled': True})
        assert sdk.wait('XCAPManagerClientWillInitialize').root.rstrip('/') == root(lab)         # from DNS
        sdk.wait('SIPAccountDidDiscoverXCAPSupport', name)
        sdk.wait('SIPAccountGotPresenceState', name, resource_map={})
        uri = f"{values}.ContactURI('u1', 'sip:1002@lab.test', 'SIP')"
        sdk.do('evaluate', expression=f"agent.objects[{name!r}].xcap_manager.add_contact({values}.Contact('c1', 'N', [{uri}], {values}.EventHandling('default', True)))")
        sdk.wait_until(lambda event: event.name == 'SIPAccountGotPresenceState' and list(event.resource_map) == ['sip:1002@lab.test'], 'the contact is not in the list')
