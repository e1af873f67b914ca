"""XCAP of an account, with a server that does as the test says: what an application sees, and being told of changes (xcap-diff, RFC 5875), which the lab's
Kamailio does not have."""

from __future__ import annotations

import re

import pytest

from tests.support.presence_server import PresenceServer
from tests.support.sdk import SDK
from tests.support.waiting import wait_until
from tests.support.xcap_server import XCAPServer

NAME = 'alice@presence.test'
SOON = (0.2, 0.3)
LISTS = f'resource-lists/users/sip:{NAME}/index'
BOB = ('<contact xmlns="urn:ag-projects:xml:ns:addressbook" id="c1"><name>Bob</name><uris><uri id="u1" uri="sip:bob@presence.test"/></uris><dialog><policy>default</policy>'
       '<subscribe>false</subscribe></dialog><presence><policy>allow</policy><subscribe>true</subscribe></presence></contact>')


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['tcp']})
        sdk.do('patch', module='sipsimple.account.xcap.patience', values={'RETRY': 0.2, 'RETRY_LOST': 0.1})
        sdk.do('patch', module='sipsimple.account.subscriber', values={'RETRY_AFTER': dict.fromkeys(
            ('no address', 'dns', 'not sent', 'too short', 'unusable answer', 'later'), SOON)})
        yield sdk


@pytest.fixture
def server():
    with PresenceServer() as server:
        yield server


@pytest.fixture
def xcap():
    with XCAPServer({'alice': 'secret'}) as xcap:
        yield xcap


@pytest.fixture(autouse=True)
def fresh(sdk, server, xcap):
    sdk.mark()
    yield
    if sdk.call('manager', 'has_account', NAME):
        sdk.call(NAME, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount')


def add(sdk, server, xcap, **values):
    sdk.account(NAME, {'auth.password': 'secret', 'sip.outbound_proxy': server.proxy, 'sip.register.enabled': False, 'xcap.enabled': True, 'xcap.xcap_root': xcap.root,
                       'enabled': True, **values})


def add_bob(xcap):
    """What another program does."""
    text = xcap.documents[LISTS][1].decode()
    return xcap.put(LISTS, re.sub(r'(<rl:list name="sipsimple_addressbook"[^/>]*)/>', rf'\1>{BOB}</rl:list>', text).encode())


def diff(xcap, etag, previous):
    changes = f'<document sel="{LISTS}"' + ''.join(f' {name}="{value.strip(chr(34))}"' for name, value in (('new-etag', etag), ('previous-etag', previous)) if value) + '/>'
    return 'application/xcap-diff+xml', f'<xcap-diff xmlns="urn:ietf:params:xml:ns:xcap-diff" xcap-root="{xcap.root}/">{changes}</xcap-diff>'


def contacts(sdk):
    return sdk.do('evaluate', expression=f"sorted(agent.objects[{NAME!r}].xcap_manager.data.addressbook.contacts.ids())")


def settled(sdk):
    return wait_until(lambda: sdk.do('evaluate', expression=f"agent.objects[{NAME!r}].xcap_manager.state == 'insync' and not agent.objects[{NAME!r}].xcap_manager._to_fetch"))


def test_what_an_application_sees(sdk, server, xcap):
    add(sdk, server, xcap, **{'xcap.xcap_diff': False})
    assert sdk.wait('SIPAccountDidDiscoverXCAPSupport', NAME).types == {'timestamp': 'datetime'}
    data = sdk.wait('XCAPManagerDidReloadData', 'XCAPManager')
    assert data.types == {'addressbook': 'Addressbook', 'presence_rules': 'Rules', 'dialog_rules': 'Rules', 'status_icon': 'NoneType', 'offline_status': 'NoneType',
                          'timestamp': 'datetime'}
    assert sdk.get(NAME, 'xcap.discovered') is True
    assert sdk.wait('XCAPTrace', 'Document', method='PUT').fields['application'] == 'resource-lists'
    sdk.set(NAME, **{'xcap.enabled': False})
    sdk.wait('XCAPManagerDidEnd')
    sdk.set(NAME, **{'xcap.enabled': True})
    sdk.wait('XCAPManagerDidStart')
    settled(sdk)
    count = len(xcap.requests)
    sdk.set(NAME, **{'auth.password': 'wrong'})
    assert sdk.wait('XCAPManagerClientError').error.startswith('401')
    sdk.set(NAME, **{'auth.password': 'secret'})
    sdk.wait('XCAPManagerDidReloadData')
    assert len(xcap.requests) > count
    sdk.set(NAME, enabled=False)
    sdk.wait('XCAPManagerDidEnd')
    sdk.wait('SIPAccountDidDeactivate', NAME)


def test_changes_are_told_by_the_server(sdk, server, xcap):
    add(sdk, server, xcap)
    dialog = server.subscribed('xcap-diff')
    request = dialog.requests[0]
    assert dialog.target == NAME and request.get('content-type') == 'application/resource-lists+xml'
    assert re.findall(r'entry uri="([^"]*)"', request.body if isinstance(request.body, str) else request.body.decode()) == [
        f'{auid}/users/sip:{NAME}/{file}' for auid, file in (
            ('resource-lists', 'index'), ('rls-services', 'index'), ('org.openmobilealliance.pres-rules', 'index'), ('org.openxcap.dialog-rules', 'index'),
            ('pidf-manipulation', 'index'), ('org.openmobilealliance.pres-content', 'oma_status-icon/index'), ('pres-rules', 'index'))]
    sdk.wait('XCAPSubscriptionDidStart')
    assert sdk.wait('XCAPDocumentsDidChange').fields == {'root': xcap.root, 'documents': ['all']}
    settled(sdk)
    previous = xcap.documents[LISTS][0]
    etag = add_bob(xcap)
    count = len(xcap.requests)
    server.notify(dialog, *diff(xcap, etag, previous))
    told = sdk.wait('XCAPDocumentsDidChange')
    assert told.documents == ['resource_lists'] and told.notified_etags == {'resource_lists': {
        'new_etag': etag.strip('"'), 'previous_etag': previous.strip('"'), 'auid': 'resource-lists', 'url': f'{xcap.root}/{LISTS}'}}
    assert wait_until(lambda: contacts(sdk) == ['c1'])
    assert {seen.path for seen in xcap.requests[count:] if seen.method == 'GET'} == {f'/xcap-root/{LISTS}'}     # and no other document
    settled(sdk)
    count = len(xcap.requests)
    server.notify(dialog, *diff(xcap, xcap.documents[LISTS][0], etag))          # we know that one
    sdk.wait('XCAPSubscriptionGotNotify')
    server.notify(dialog, 'application/xcap-diff+xml', 'nonsense')
    sdk.wait('SIPAccountGotInvalidNotify', NAME)
    assert sdk.wait('XCAPDocumentsDidChange').documents == ['all']
    assert wait_until(lambda: len(xcap.requests) == count + 7)


def test_a_subscription_that_ends_is_reason_to_look(sdk, server, xcap):
    add(sdk, server, xcap)
    dialog = server.subscribed('xcap-diff')
    sdk.wait('XCAPSubscriptionDidStart')
    settled(sdk)
    add_bob(xcap)
    server.end(dialog, 'deactivated')
    sdk.wait('XCAPSubscriptionDidEnd')
    assert wait_until(lambda: contacts(sdk) == ['c1'])
    server.subscribed('xcap-diff', 2)
    sdk.set(NAME, **{'xcap.xcap_diff': False})
    sdk.wait('XCAPSubscriberDidDeactivate')
    sdk.set(NAME, **{'xcap.xcap_diff': True})
    server.subscribed('xcap-diff', 3)
