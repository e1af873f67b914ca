"""From what the server has and what the user did to what has to be there."""

import base64
import gc
import json
import random

import pytest
from lxml import etree

from sipsimple.account.xcap import Contact, ContactURI, ContactURIList, EventHandling, Group, Icon, OfflineStatus, Policy, merge as merge_module, operations
from sipsimple.account.xcap.errors import DocumentError
from sipsimple.account.xcap.journal import Journal
from sipsimple.account.xcap.merge import MAX_RUNS, Facts, merge
from sipsimple.account.xcap.storage import XCAPStorageError
from sipsimple.account.xcap.storage.memory import MemoryStorage
from sipsimple.payloads.dialogrules import DialogRulesDocument
from sipsimple.payloads.pidf import PIDF
from sipsimple.payloads.presrules import PresRulesDocument
from sipsimple.payloads.resourcelists import Entry, External, List, ResourceListsDocument
from sipsimple.payloads.rlsservices import RLSServicesDocument

ROOT = 'http://xcap.example.com/root'
URLS = {'resource_lists': f'{ROOT}/resource-lists/users/sip:alice@example.com/index', 'rls_services': f'{ROOT}/rls-services/x', 'pres_rules': f'{ROOT}/pres-rules/x',
        'dialog_rules': f'{ROOT}/dialog-rules/x', 'pidf_manipulation': f'{ROOT}/pidf-manipulation/x', 'status_icon': f'{ROOT}/pres-content/x'}
FACTS = Facts('alice@example.com', URLS)
RL = '{urn:ietf:params:xml:ns:resource-lists}'
LIST = URLS['resource_lists'] + '/~~/resource-lists/list%5B@name=%22{}%22%5D'


class Server:
    """What the server has, and a journal."""

    def __init__(self, facts=FACTS):
        self.facts = facts
        self.contents = {}
        self.journal = Journal(MemoryStorage('alice'))
        self.data = None
        self.changed = {}

    def do(self, name, *arguments):
        self.journal.add(name, *arguments)
        return self

    def merge(self):
        """Carry out what was done; the names of the documents that changed."""
        pending = [operations.from_json(json.loads(json.dumps(item.to_json()))) for item in self.journal.pending()]
        merged = merge(self.contents, pending, self.facts)
        self.contents.update(merged.changed)
        self.journal.remove(item.number for item in pending)
        self.data, self.changed, self.effective = merged.data, merged.changed, merged.effective
        return sorted(merged.changed)

    def lists(self):
        root = ResourceListsDocument.parse(self.contents['resource_lists'])
        return {item.name: [str(entry.uri) for entry in item if isinstance(entry, Entry)] for item in root}

    def rules(self, name='pres_rules', kind=PresRulesDocument):
        return {rule.id: [str(action.value) for action in rule.actions] for rule in kind.parse(self.contents[name])}


@pytest.fixture
def server():
    server = Server()
    server.merge()
    return server


def contact(id, *uris, presence=('default', False), dialog=('default', False), default=None, name='N', **attributes):
    items = ContactURIList((ContactURI(f'u{number}', uri, None) for number, uri in enumerate(uris, 1)), default)
    return Contact(id, name, items, EventHandling(*presence), EventHandling(*dialog), **attributes)


# ---- normal form ---------------------------------------------------------------------------------------------------


def test_what_an_empty_server_gets():
    server = Server()
    assert server.merge() == ['dialog_rules', 'pres_rules', 'resource_lists', 'rls_services']
    assert list(server.lists()) == ['sipsimple_addressbook', 'oma_buddylist', 'oma_grantedcontacts', 'oma_blockedcontacts', 'sipsimple_presence_rls',
                                    'dialog_grantedcontacts', 'dialog_blockedcontacts', 'sipsimple_dialog_rls', 'oma_allcontacts']
    everybody = ResourceListsDocument.parse(server.contents['resource_lists'])['oma_allcontacts']
    assert all(isinstance(item, External) for item in everybody)
    raw = etree.fromstring(server.contents['resource_lists'])
    assert [item.get('anchor') for item in raw.iter(f'{RL}external')] == [
        LIST.format(name) for name in ('oma_buddylist', 'oma_grantedcontacts', 'oma_blockedcontacts')]
    assert server.rules() == {'wp_prs_grantedcontacts': ['allow'], 'wp_prs_blockedcontacts': ['polite-block'], 'wp_prs_unlisted': ['confirm'],
                              'wp_prs_block_anonymous': ['block'], 'wp_prs_allow_own': ['allow']}
    assert set(server.rules('dialog_rules', DialogRulesDocument)) == {name.replace('prs', 'dlg') for name in server.rules()}
    services = RLSServicesDocument.parse(server.contents['rls_services'])
    assert {service.uri: list(service.packages) for service in services} == {'sip:alice+presence@example.com': ['presence'], 'sip:alice+dialog@example.com': ['dialog']}
    assert LIST.format('sipsimple_presence_rls').encode() in server.contents['rls_services']
    assert b'sip:alice@example.com' in server.contents['pres_rules'] and b'%3A' not in server.contents['pres_rules'] and b'%40' not in server.contents['pres_rules']
    assert LIST.format('oma_grantedcontacts').encode() in server.contents['pres_rules']
    assert server.data.presence_rules.default_policy == server.data.dialog_rules.default_policy == 'confirm'
    assert not server.data.addressbook.contacts and server.data.status_icon is None is server.data.offline_status


def test_the_normal_form_stays_as_it_is(server):
    before = dict(server.contents)
    assert server.merge() == [] and server.contents == before
    server.do('add_contact', contact('c1', 'sip:bob@example.com', default='u1', presence=('allow', True), color='red', note=None)).merge()
    server.do('add_group', Group('g1', 'G', server.data.addressbook.contacts)).do('add_policy', Policy('p1', 'sip:x@example.com', 'X')).merge()
    before = dict(server.contents)
    assert server.merge() == [] and server.contents == before


@pytest.mark.parametrize('supported', [('resource_lists', 'rls_services', 'pres_rules')])
def test_what_the_server_does_not_support_is_left_out(supported):
    server = Server(Facts('alice@example.com', {name: URLS[name] for name in supported}))
    server.do('set_default_dialog_policy', 'allow').do('set_status_icon', Icon(b'x', 'image/png'))
    assert server.merge() == ['pres_rules', 'resource_lists', 'rls_services']
    assert server.data.dialog_rules is None is server.data.status_icon


def test_the_lists_that_follow_from_the_addressbook(server):
    server.do('add_contact', contact('c1', 'sip:allow@e.com', 'allow2@e.com', 'xmpp:no@e.com', '12345', presence=('allow', True)))
    server.do('add_contact', contact('c2', 'sip:block@e.com', 'sip:both@e.com', presence=('block', False), dialog=('allow', True)))
    server.do('add_contact', contact('c3', 'sip:both@e.com', 'sip:plain@e.com', presence=('allow', False)))
    server.do('add_contact', contact('c4', 'sip:nothing@e.com'))
    for number, (uri, presence) in enumerate([('sip:p-allow@e.com', ('allow', True)), ('sip:p-block@e.com', ('block', True)), ('sip:p-both@e.com', ('allow', False)),
                                              ('sip:p-both@e.com', ('block', False)), ('sip:plain@e.com', ('block', True)), ('p-bare@e.com', ('allow', False)),
                                              ('sip:allow@e.com', ('block', False))]):
        server.do('add_policy', Policy(f'p{number}', uri, '', EventHandling(*presence)))
    assert server.merge() == ['resource_lists']
    lists = {name: sorted(entries) for name, entries in server.lists().items()}
    assert lists['oma_grantedcontacts'] == ['sip:allow2@e.com', 'sip:allow@e.com', 'sip:p-allow@e.com', 'sip:p-bare@e.com', 'sip:plain@e.com']
    assert lists['oma_blockedcontacts'] == ['sip:block@e.com', 'sip:both@e.com', 'sip:p-block@e.com', 'sip:p-both@e.com']
    assert lists['sipsimple_presence_rls'] == ['sip:allow2@e.com', 'sip:allow@e.com', 'sip:p-allow@e.com', 'sip:p-block@e.com']
    assert lists['dialog_grantedcontacts'] == lists['sipsimple_dialog_rls'] == ['sip:block@e.com', 'sip:both@e.com']
    assert lists['dialog_blockedcontacts'] == []
    server.do('remove_contact', contact('c2')).do('update_contact', contact('c1'), {'presence.subscribe': False}).merge()
    lists = server.lists()
    assert 'sip:both@e.com' in lists['oma_grantedcontacts'] and 'sip:block@e.com' not in lists['oma_blockedcontacts']
    assert lists['sipsimple_presence_rls'] == ['sip:p-allow@e.com', 'sip:p-block@e.com']


def test_what_others_have_on_the_server_stays():
    server = Server()
    server.contents['resource_lists'] = (
        b'<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:x="urn:x">'
        b'<list name="theirs"><display-name>Theirs</display-name><entry uri="sip:z@e.com"><x:more/></entry><x:thing/></list>'
        b'<list name="oma_grantedcontacts"><entry uri="sip:stale@e.com"/><entry uri="sip:bob@e.com"><display-name>Bob</display-name></entry></list>'
        b'<list name="sipsimple_addressbook"><entry uri="sip:stray@e.com"/><x:unknown a="b"/>'
        b'<a:contact xmlns:a="urn:ag-projects:xml:ns:addressbook" id="c1"><a:name>Bob</a:name><a:uris><a:uri id="u" uri="sip:bob@e.com"/></a:uris>'
        b'<a:dialog><a:policy>default</a:policy><a:subscribe>false</a:subscribe></a:dialog>'
        b'<a:presence><a:policy>allow</a:policy><a:subscribe>false</a:subscribe></a:presence><x:mine>kept</x:mine></a:contact></list></resource-lists>')
    server.contents['rls_services'] = (b'<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"><service uri="sip:theirs@e.com"><list/><packages><package>presence</package>'
                                       b'</packages></service></rls-services>')
    server.contents['pres_rules'] = (
        b'<cp:ruleset xmlns:cp="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules" xmlns:ocp="urn:oma:xml:xdm:common-policy">'
        b'<cp:rule id="theirs"><cp:conditions><cp:identity><cp:one id="sip:z@e.com"/></cp:identity></cp:conditions><cp:actions><pr:sub-handling>allow</pr:sub-handling></cp:actions>'
        b'<cp:transformations><pr:provide-mood>true</pr:provide-mood></cp:transformations></cp:rule>'
        b'<cp:rule id="wp_prs_allow_unlisted"><cp:conditions><ocp:other-identity/></cp:conditions><cp:actions><pr:sub-handling>allow</pr:sub-handling></cp:actions></cp:rule>'
        b'<cp:rule id="wp_prs_block_anonymous"><cp:conditions><ocp:anonymous-request/></cp:conditions>'
        b'<cp:actions><pr:sub-handling>block</pr:sub-handling><pr:sub-handling>polite-block</pr:sub-handling></cp:actions></cp:rule></cp:ruleset>')
    server.do('update_contact', contact('c1'), {'name': 'Robert'}).merge()
    text = server.contents['resource_lists']
    assert b'Theirs' in text and b'thing' in text and b'more' in text and b'unknown' in text and b'kept' in text and b'Robert' in text
    assert b'stray' not in text and b'stale' not in text and b'<display-name>Bob</display-name>' in text.replace(b'rl:', b'')
    assert server.rules() == {'theirs': ['allow'], 'wp_prs_allow_unlisted': ['allow'], 'wp_prs_block_anonymous': ['polite-block'],
                              'wp_prs_grantedcontacts': ['allow'], 'wp_prs_blockedcontacts': ['polite-block'], 'wp_prs_allow_own': ['allow']}
    assert b'provide-mood' in server.contents['pres_rules'] and b'theirs' in server.contents['rls_services']
    assert server.data.presence_rules.default_policy == 'allow'
    assert server.merge() == []


@pytest.mark.parametrize('value, rule', [('allow', 'wp_prs_allow_unlisted'), ('confirm', 'wp_prs_unlisted'), ('block', 'wp_prs_unlisted'), ('polite-block', 'wp_prs_unlisted')])
def test_the_policy_for_everybody_else(server, value, rule):
    for before in ('allow', 'block'):
        server.do('set_default_presence_policy', before).merge()
        server.do('set_default_presence_policy', value).do('set_default_dialog_policy', value).merge()
        assert {name: what for name, what in server.rules().items() if 'unlisted' in name} == {rule: [value]}
        assert server.data.presence_rules.default_policy == server.data.dialog_rules.default_policy == value


def test_a_rule_that_allows_and_one_that_does_not_are_one(server):
    text = server.contents['pres_rules'].decode()
    unlisted = text[text.index('<cp:rule id="wp_prs_unlisted"'):]
    unlisted = unlisted[:unlisted.index('</cp:rule>') + len('</cp:rule>')]
    server.contents['pres_rules'] = text.replace(unlisted, unlisted + unlisted.replace('wp_prs_unlisted', 'wp_prs_allow_unlisted').replace('confirm', 'allow')).encode()
    assert server.merge() == ['pres_rules'] and server.data.presence_rules.default_policy == 'confirm'
    assert 'wp_prs_allow_unlisted' not in server.rules()


@pytest.mark.parametrize('name', ['resource_lists', 'rls_services', 'pres_rules', 'dialog_rules'])
def test_what_cannot_be_understood_is_not_overwritten(server, name):
    server.contents[name] = b'<something-else/>'
    with pytest.raises(DocumentError, match=name):
        server.merge()


def test_the_collector_waits(server, monkeypatch):
    """Of ten thousand contacts it would look at hundreds of thousands of objects, several times, while no thread can do anything."""
    states, read = [], merge_module.read_addressbook
    monkeypatch.setattr(merge_module, 'read_addressbook', lambda items: states.append(gc.isenabled()) or read(items))
    server.do('add_contact', contact('c1', 'sip:a@e')).merge()
    assert states == [False] and gc.isenabled()
    server.contents['pres_rules'] = b'<something-else/>'
    with pytest.raises(DocumentError):
        server.merge()
    assert gc.isenabled()


# ---- icon and status -----------------------------------------------------------------------------------------------


def test_an_icon_is_written_once_and_deleted(server):
    icon = Icon(bytes(range(256)), 'image/png', 'Me')
    assert server.do('set_status_icon', icon).merge() == ['status_icon'] and server.data.status_icon == icon
    assert server.merge() == [] and server.data.status_icon == icon and server.data.status_icon.data == icon.data
    assert server.do('set_status_icon', icon).merge() == []
    assert server.do('set_status_icon', Icon(b'', 'image/png')).merge() == ['status_icon'] and server.contents['status_icon'] is None
    assert server.do('set_status_icon', None).merge() == [] and server.data.status_icon is None


@pytest.mark.parametrize('content', [
    '<content xmlns="urn:oma:xml:prs:pres-content"><mime-type>image/svg</mime-type><encoding>base64</encoding><data>eA==</data></content>',
    '<content xmlns="urn:oma:xml:prs:pres-content"><mime-type>image/png</mime-type><encoding>base64</encoding><data>no base64!</data></content>',
    '<content xmlns="urn:oma:xml:prs:pres-content"><mime-type>image/png</mime-type><encoding>hex</encoding><data>00</data></content>',
    '<something-else/>',
])
def test_an_icon_that_nobody_can_show_is_removed(server, content):
    server.contents['status_icon'] = content.encode()
    assert server.merge() == ['status_icon'] and server.contents['status_icon'] is None and server.data.status_icon is None


def test_an_icon_of_others_is_read(server):
    data = base64.b64encode(b'picture').decode()
    server.contents['status_icon'] = (f'<content xmlns="urn:oma:xml:prs:pres-content"><mime-type> IMAGE/GIF </mime-type><data>\n {data[:4]}\n {data[4:]}\n</data></content>').encode()
    assert server.merge() == [] and server.data.status_icon == Icon(b'picture', 'image/gif')


def test_the_status_while_offline(server):
    pidf = PIDF('sip:alice@example.com')
    assert server.do('set_offline_status', OfflineStatus(pidf)).merge() == ['pidf_manipulation']
    assert server.data.offline_status == OfflineStatus(PIDF('sip:alice@example.com'))
    assert server.do('set_offline_status', OfflineStatus(pidf)).merge() == []
    assert server.do('set_offline_status', None).merge() == ['pidf_manipulation'] and server.contents['pidf_manipulation'] is None
    assert server.data.offline_status is None


# ---- operations ----------------------------------------------------------------------------------------------------


def test_contacts_come_back_as_they_were_added(server):
    bob = Contact('c1', 'B\u00f6b <&>', ContactURIList([ContactURI('u1', 'sip:bob@example.com', 'SIP', own='x', none=None), ContactURI('u2', 'tel:+123', None)], 'u2'),
                  EventHandling('allow', True), EventHandling('block', False), name2=None)
    bob.attributes.update({'self': '1', 'uris': 'odd', 'with space': ''})
    policy = Policy('p1', 'sip:x@y', 'P', EventHandling('block', False), EventHandling('allow', True), key='v')
    server.do('add_contact', bob).do('add_group', Group('g1', 'G', [bob], k='v')).do('add_policy', policy).merge()
    book = server.data.addressbook
    assert book.contacts['c1'] == bob and book.groups['g1'] == Group('g1', 'G', [bob], k='v') and book.policies['p1'] == policy
    for again in (('add_contact', bob), ('add_group', Group('g1', 'G', [bob], k='v')), ('add_policy', policy), ('add_contact_uri', bob, bob.uris['u1']),
                  ('add_group_member', Group('g1', '', []), bob), ('update_contact', bob, {'name': bob.name, 'uris.default': 'u2', 'presence.policy': 'allow', 'self': '1'}),
                  ('update_policy', policy, {'uri': 'sip:x@y', 'key': 'v'}), ('update_group', Group('g1', '', []), {'name': 'G'})):
        assert server.do(*again).merge() == [], again       # what is so already changes nothing


def test_updates(server):
    bob = contact('c1', 'sip:bob@example.com', 'sip:bob2@example.com')
    server.do('add_contact', bob).do('add_group', Group('g', 'G', [bob])).do('add_policy', Policy('p', 'sip:p@e', 'P'))
    server.do('update_contact', bob, {'id': 'other', 'name': 'Bob', 'uris.default': 'u2', 'presence.policy': 'block', 'presence.subscribe': True, 'dialog.policy': 'allow',
                                      'dialog.subscribe': 1, 'x': 'y', 'z': None, 'uri': 'own'})
    server.do('update_contact_uri', bob, bob.uris['u1'], {'uri': 'sip:new@example.com', 'type': 'SIP', 'k': 'v'})
    server.do('update_group', Group('g', '', []), {'name': 'H', 'k': 'v'})
    server.do('update_policy', Policy('p', '', ''), {'uri': 'sip:q@e', 'name': 'Q', 'presence.policy': 'allow', 'k': None}).merge()
    book = server.data.addressbook
    found = book.contacts['c1']
    assert (found.name, found.uris.default, found.presence, found.dialog) == ('Bob', 'u2', EventHandling('block', True), EventHandling('allow', True))
    assert found.attributes == {'x': 'y', 'z': None, 'uri': 'own'}
    assert (found.uris['u1'].uri, found.uris['u1'].type, found.uris['u1'].attributes) == ('sip:new@example.com', 'SIP', {'k': 'v'})
    assert (book.groups['g'].name, book.groups['g'].attributes) == ('H', {'k': 'v'})
    assert book.policies['p'] == Policy('p', 'sip:q@e', 'Q', EventHandling('allow', False), k=None)
    server.do('update_contact', bob, {'uris.default': None}).do('remove_contact_uri', bob, bob.uris['u2']).do('update_contact_uri', bob, bob.uris['u1'], {'type': None}).merge()
    found = server.data.addressbook.contacts['c1']
    assert found.uris.ids() == ['u1'] and found.uris.default is None and found.uris['u1'].type is None


def test_a_default_address_goes_with_the_address(server):
    bob = contact('c1', 'sip:a@e', 'sip:b@e', default='u2')
    server.do('add_contact', bob).do('remove_contact_uri', bob, bob.uris['u2']).merge()
    assert server.data.addressbook.contacts['c1'].uris.default is None
    server.do('update_contact', bob, {'uris.default': 'nobody'}).merge()
    assert server.data.addressbook.contacts['c1'].uris.default is None


def test_groups_have_known_contacts_only(server):
    bob, carol = contact('c1', 'sip:a@e'), contact('c2', 'sip:b@e')
    server.do('add_group', Group('g', 'G', [bob, carol])).do('add_contact', bob).merge()
    assert server.data.addressbook.groups['g'].contacts.ids() == ['c1']
    server.do('add_contact', carol).do('add_group_member', Group('g', '', []), carol).do('remove_group_member', Group('g', '', []), bob).merge()
    assert server.data.addressbook.groups['g'].contacts.ids() == ['c2']
    server.do('remove_contact', carol).merge()
    assert server.data.addressbook.groups['g'].contacts.ids() == [] and b'contact_id' not in server.contents['resource_lists']


def test_what_is_gone_is_nobodys_business(server):
    bob, group, policy = contact('c1', 'sip:a@e'), Group('g', 'G', []), Policy('p', 'sip:a@e', 'P')
    for what in (('update_contact', bob, {'name': 'x'}), ('remove_contact', bob), ('add_contact_uri', bob, bob.uris['u1']), ('update_contact_uri', bob, bob.uris['u1'], {'uri': 'sip:x@y'}),
                 ('remove_contact_uri', bob, bob.uris['u1']), ('update_group', group, {'name': 'x'}), ('remove_group', group), ('add_group_member', group, bob),
                 ('remove_group_member', group, bob), ('update_policy', policy, {'name': 'x'}), ('remove_policy', policy)):
        assert server.do(*what).merge() == [], what


@pytest.mark.parametrize('name, arguments', [
    ('add_contact', (contact('not an id'),)), ('update_contact', (contact('c'), {'presence.policy': 'confirm'})), ('update_contact', (contact('c'), {'name': None})),
    ('set_default_presence_policy', ('maybe',)), ('add_group', (Group('1', 'G', []),)), ('add_contact', (None,)),
])
def test_what_cannot_be_is_refused_at_once(server, name, arguments):
    with pytest.raises((ValueError, AttributeError)):
        server.do(name, *arguments)
    assert not server.journal.pending()


def test_an_operation_that_makes_no_sense_stops_nothing(server):
    server.do('add_contact', contact('c1', 'sip:a@e')).do('add_contact', contact('c2', 'sip:b@e'))
    server.journal._committed[0].arguments['contact']['presence'] = 'nonsense'
    server.merge()
    assert server.data.addressbook.contacts.ids() == ['c2']


@pytest.mark.parametrize('uri', ['sip:bob@[2001:db8::1]', 'office: 12', '[', 'http://host:port/'])
def test_an_address_that_is_no_uri_stops_nothing(server, uri):
    """The schema takes no such text, and everything behind it would wait for ever."""
    server.do('add_contact', contact('c1', uri, presence=('allow', True))).do('add_contact', contact('c2', 'sip:b@e'))
    assert 'resource_lists' in server.merge() and server.data.addressbook.contacts['c1'].uris['u1'].uri == uri
    assert server.merge() == [] and server.data.addressbook.contacts['c1'].uris['u1'].uri == uri and server.data.addressbook.contacts.ids() == ['c1', 'c2']


# ---- exactly once --------------------------------------------------------------------------------------------------


def test_what_arrived_unheard_is_not_done_again(server):
    bob = contact('c1', 'sip:a@e', name='Bob')
    server.do('add_contact', bob).merge()
    server.do('update_contact', bob, {'name': 'Robert'})
    pending = server.journal.pending()
    server.merge()
    other = Server()
    other.contents = server.contents
    other.do('update_contact', bob, {'name': 'Bobby'}).merge()              # somebody else, later
    server.journal._committed = pending                                     # we were killed, or did not hear of it
    server.do('update_contact', bob, {'color': 'red'})
    server.merge()
    found = server.data.addressbook.contacts['c1']
    assert (found.name, found.attributes) == ('Bobby', {'color': 'red'})
    assert [item.arguments['changes'] for item in server.effective] == [{'color': 'red'}]


def test_only_so_many_runs_are_remembered(server):
    for number in range(MAX_RUNS + 20):
        server.journal.run = f'run{number}'
        server.do('add_contact', contact('c1', f'sip:{number}@e')).merge()
    applied = etree.fromstring(server.contents['resource_lists']).find(f'{RL}list[@name="sipsimple_addressbook"]').get('{urn:sipsimple:xml:ns:xcap-journal}applied')
    assert len(applied.split()) == MAX_RUNS and applied.split()[-1].startswith(f'run{MAX_RUNS + 19}:')


def test_damaged_marks_are_ignored(server):
    bob = contact('c1', 'sip:a@e')
    server.do('add_contact', bob).merge()
    run = server.journal.run
    server.contents['resource_lists'] = server.contents['resource_lists'].replace(f'{run}:1'.encode(), f'x {run}:-1 :5 {run}: y:99999999999999999999 \u00e9'.encode())
    server.do('update_contact', bob, {'name': 'B'}).merge()
    assert server.data.addressbook.contacts['c1'].name == 'B'


def random_operation(choose, ids):
    """A random operation on a random thing."""
    person = contact(choose.choice(ids), 'sip:a@e', 'sip:b@e')
    group = Group(f'g{choose.randrange(3)}', 'G', [])
    policy = Policy(f'p{choose.randrange(3)}', f'sip:p{choose.randrange(3)}@e', 'P')
    number = str(choose.randrange(1000))
    return choose.choice([
        ('add_contact', contact(person.id, f'sip:{number}@e', name=number, presence=(choose.choice(['allow', 'block', 'default']), choose.random() < 0.5))),
        ('update_contact', person, {choose.choice(['name', 'x', 'y']): number}), ('remove_contact', person),
        ('add_contact_uri', person, ContactURI(f'u{choose.randrange(4)}', f'sip:{number}@e', None)),
        ('update_contact_uri', person, person.uris['u1'], {'uri': f'sip:{number}@e'}), ('remove_contact_uri', person, person.uris['u2']),
        ('add_group', Group(group.id, number, [])), ('update_group', group, {'name': number}), ('remove_group', group),
        ('add_group_member', group, person), ('remove_group_member', group, person),
        ('add_policy', policy), ('update_policy', policy, {'name': number}), ('remove_policy', policy)])


@pytest.mark.parametrize('seed', range(5))
def test_one_at_a_time_is_as_all_at_once(seed):
    choose = random.Random(seed)
    single, batch = Server(), Server()
    single.merge()
    for _ in range(60):
        operation = random_operation(choose, ['c1', 'c2', 'c3'])
        single.do(*operation).merge()
        batch.do(*operation)
    batch.merge()
    one, all = single.data.addressbook, batch.data.addressbook
    assert one == all
    assert {name: set(entries) for name, entries in single.lists().items()} == {name: set(entries) for name, entries in batch.lists().items()}


# ---- the journal ---------------------------------------------------------------------------------------------------


def test_the_journal_survives():
    storage = MemoryStorage('alice')
    journal = Journal(storage)
    journal.add('add_contact', contact('c1', 'sip:\u00e9@e'))
    journal.add('set_status_icon', Icon(b'\0\xff', 'image/png'))
    journal.sent['status_icon'] = 'digest', [('run', 2)]
    journal.root = 'http://x'
    journal.save()
    other = Journal(storage)
    other.load()
    assert other.pending() == journal.pending() and other.sent == journal.sent and other.root == 'http://x' and other.run != journal.run
    assert json.loads(storage.load('journal'))['version'] == 1


def test_nothing_of_an_open_transaction_is_sent():
    journal = Journal(MemoryStorage('alice'))
    journal.begin()
    journal.begin()
    assert not journal.add('remove_contact', contact('c1')) and not journal.pending() and len(journal) == 1
    assert not journal.commit() and not journal.pending()
    assert journal.commit() and len(journal.pending()) == 1
    journal.begin()
    assert not journal.commit()
    with pytest.raises(RuntimeError):
        journal.commit()


@pytest.mark.parametrize('text', ['', 'no JSON', '[]', '{}', '{"version": 2}', '{"version": 1, "root": null, "sent": {}, "operations": [["r", 1, "no_such", {}]]}',
                                  '{"version": 1, "root": null, "sent": [], "operations": []}', '[' * 100000])
def test_a_damaged_journal_is_put_aside(text):
    storage = MemoryStorage('alice')
    storage.save('journal', text)
    journal = Journal(storage)
    journal.load()
    assert not journal.pending() and storage.load('journal.broken') == text.encode()
    journal.add('remove_contact', contact('c1'))
    journal.save()
    assert json.loads(storage.load('journal'))['operations']


def test_a_disk_that_is_full_stops_nothing(caplog):
    class Full(MemoryStorage):
        def save(self, name, data):
            raise XCAPStorageError('no space')
    journal = Journal(Full('alice'))
    journal.add('remove_contact', contact('c1'))
    journal.save()
    assert 'no space' in caplog.text and len(journal.pending()) == 1
    journal._storage = MemoryStorage('alice')
    journal.save()
    assert journal._storage.load('journal')


def test_lists_of_a_list_are_not_ours(server):
    root = ResourceListsDocument.parse(server.contents['resource_lists'])
    root['sipsimple_addressbook'].add(List(name='inner'))
    server.contents['resource_lists'] = root.toxml()
    assert server.merge() == ['resource_lists'] and b'inner' not in server.contents['resource_lists']
