"""What is kept on XCAP servers: lists (RFC 4826), addressbooks, directories, capabilities (RFC 4825), changes (RFC 5874), content; and files of RCS."""

from datetime import UTC, datetime

import pytest

from sipsimple.payloads import All, BuilderError, IterateIDs, IterateItems, IterateTypes, ParserError
from sipsimple.payloads.addressbook import (
    Contact,
    ContactList,
    ContactURI,
    ContactURIList,
    DialogHandling,
    ElementAttributes,
    Group,
    Policy,
    PresenceHandling,
)
from sipsimple.payloads.directory import Entry as DirectoryEntry, Folder, XCAPDirectory
from sipsimple.payloads.prescontent import Description, PresenceContent
from sipsimple.payloads.rcsfthttp import FileInfo, FTHTTPMessage
from sipsimple.payloads.resourcelists import DisplayName, Entry, EntryAttributes, EntryRef, External, List, ResourceLists
from sipsimple.payloads.rlsservices import List as ServiceList, Packages, ResourceList, RLSServices, Service
from sipsimple.payloads.xcapcaps import XCAPCapabilities
from sipsimple.payloads.xcapdiff import Attribute, Document, Element, XCAPDiff
from tests.unit.payloads.documents import load


def nested():
    return ResourceLists.parse(load('resourcelists-nested.xml')[1])


def test_lists_are_read():
    lists = nested()
    assert list(lists[IterateIDs]) == ['friends'] and len(lists) == 2
    friends = lists['friends']
    assert [type(item) for item in friends] == [Entry, EntryRef, List] and list(friends[IterateTypes]) == [Entry, EntryRef, List]
    close = friends[List, 'close-friends']
    assert close.display_name == 'Close Friends' and list(close[Entry, IterateIDs]) == ['sip:joe@example.com', 'sip:nancy@example.com']
    assert close[Entry, 'sip:joe@example.com'].display_name.lang == 'en' and [item.anchor[:23] for item in close[External, IterateItems]] == ['http://www.example.org/']
    assert 'sip:nancy@example.com' == close[Entry, 'sip:nancy@example.com'] and Entry('sip:nobody@example.com') not in close
    with pytest.raises(KeyError):
        close[Entry, 'sip:x@y']


def test_selectors():
    lists = nested()
    friends = lists['friends']
    close = friends[List, 'close-friends']
    unnamed = list(lists)[1]
    assert lists.get_xpath(friends) == '/resource-lists/list[@name="friends"]' and lists.get_xpath(lists) == '/resource-lists' and lists.get_xpath(unnamed) == '/resource-lists/list[2]'
    assert lists.get_xpath(close[Entry, 'sip:joe@example.com']) == '/resource-lists/list[@name="friends"]/list[@name="close-friends"]/entry[@uri="sip:joe@example.com"]'
    assert lists.get_xpath(close.display_name) == '/resource-lists/list[@name="friends"]/list[@name="close-friends"]/display-name'
    assert lists.get_xpath(List(name='new')) is None and lists.find_parent(close) is friends and lists.find_parent(friends) is lists
    assert lists.find_parent(lists) is None and lists.find_parent(List()) is None
    unnamed.add(List(name='a"b&c'))
    assert lists.get_xpath(unnamed[List, 'a"b&c']) == '/resource-lists/list[2]/list[@name="a&quot;b&amp;c"]'
    with pytest.raises(ValueError):
        lists.get_xpath(Service('sip:a@b'))
    book = ResourceLists.parse(load('resourcelists-private.xml')[1])
    assert book.get_xpath(book['sipsimple_addressbook'][Contact, 'c1']) == '/resource-lists/list[@name="sipsimple_addressbook"]/addressbook:contact[@id="c1"]'


def test_elements_are_found_by_xpath():
    lists = nested()
    close = lists['friends'][List, 'close-friends']
    assert lists.xpath('//rl:entry[@uri="sip:joe@example.com"]') == [close[Entry, 'sip:joe@example.com']]
    assert lists.xpath('//y:display-name', {'y': 'urn:ietf:params:xml:ns:resource-lists'})[1] is close.display_name
    assert lists.xpath('/rl:resource-lists') == [lists] and lists.xpath('count(//rl:entry)') == [] and lists.xpath('//@uri') == []
    for wrong in ('//[', '//z:a'):
        with pytest.raises(ValueError):
            lists.xpath(wrong)


def test_lists_are_changed():
    lists = nested()
    friends = lists['friends']
    friends.add(Entry('sip:bill@example.com', DisplayName('Bill', 'en')))
    assert [item.display_name.value for item in friends[Entry, IterateItems]] == ['Bill'] and len(friends) == 3 and lists.__dirty__
    friends.add(Entry('sip:new@example.com'))
    friends.display_name = 'Friends'
    lists.add(List([Entry('sip:x@y')], name='other'))
    text = lists.toxml()
    again = ResourceLists.parse(text)
    assert again == lists and text.index(b'Friends') < text.index(b'<entry') and list(again['friends'])[-1] == 'sip:new@example.com'
    del friends[Entry, All]
    friends.remove(friends[List, 'close-friends'])
    del lists['other']
    assert [type(item) for item in friends] == [EntryRef] and list(lists[IterateIDs]) == ['friends']
    lists.clear()
    assert len(lists) == 0 and ResourceLists.parse(lists.toxml()) == ResourceLists()
    with pytest.raises(KeyError):
        del lists['friends']
    with pytest.raises(KeyError):
        lists.remove(friends)


def test_what_is_in_one_list_is_copied_to_another():
    one, two = List([Entry('sip:a@b', 'A')], name='one'), List(name='two')
    two.update(one)
    two[Entry, 'sip:a@b'].display_name = 'B'
    assert one[Entry, 'sip:a@b'].display_name == 'A' and len(one) == len(two) == 1
    entry = one[Entry, 'sip:a@b']
    one.remove(entry)
    two.add(entry)
    assert two[Entry, 'sip:a@b'] is entry and two[Entry, 'sip:a@b'].display_name == 'A' and len(one) == 0


def test_uris_that_are_wholly_escaped_are_read():
    entry = next(iter(ResourceLists.parse(load('resourcelists-private.xml')[1])['sipsimple_addressbook'][Entry, IterateItems]))
    assert entry.uri == 'sip:alice@example.com' and dict(entry.attributes.items()) == {'a': '1', 'b': None}
    assert b'uri="sip:x%20y@example.com;a=%25"' in ResourceLists([List([Entry('sip:x y@example.com;a=%')])]).toxml()


def test_mappings():
    attributes = EntryAttributes({'a': '1', 'b': None})
    attributes['c'] = 'x'
    attributes['a'] = None
    attributes['b'] = 'y'
    attributes.update(d='z')
    assert list(attributes) == attributes.keys() == ['a', 'b', 'c', 'd'] and attributes.values() == [None, 'y', 'x', 'z'] and 'a' in attributes and 'e' not in attributes
    assert attributes.pop('d') == 'z' and attributes.pop('d', 5) == 5 and attributes.get('a', 7) is None and attributes.get('q', 7) == 7 and attributes.setdefault('e', 'f') == 'f'
    del attributes['e']
    for wrong in (lambda: attributes['q'], lambda: attributes.pop('q'), lambda: attributes.__delitem__('q')):
        with pytest.raises(KeyError):
            wrong()
    entry = Entry('sip:a@b')
    entry.attributes = attributes
    lists = ResourceLists([List([entry])])
    again = ResourceLists.parse(lists.toxml())
    assert again == lists and b'nil="true"' in lists.toxml()
    again.xpath('//agp-rl:attributes')[0]['c'] = 'changed'
    assert again != lists and again.__dirty__
    attributes.clear()
    assert len(attributes) == 0


def test_addressbooks_are_read():
    book = ResourceLists.parse(load('resourcelists-private.xml')[1])['sipsimple_addressbook']
    assert list(book[IterateTypes]) == [Entry, Contact, Group, Policy]
    contact, group, policy = book[Contact, 'c1'], book[Group, 'g1'], book[Policy, 'p1']
    assert contact.name == 'Alice' and contact.uris.default == 'u2' and list(contact.uris[IterateIDs]) == ['u1', 'u2'] and contact.uris['u1'].type == 'SIP'
    assert contact.presence.policy == 'allow' and contact.presence.subscribe and contact.dialog.policy == 'default' and not contact.dialog.subscribe
    assert contact.attributes.items() == [('icon', None)] and contact.uris['u2'].attributes['position'] == '1' and contact.uris['u1'].attributes is None
    assert list(group.contacts) == ['c1'] and 'c1' in group.contacts and (policy.uri, policy.presence.policy.value, str(policy.name)) == ('sip:carol@example.com', 'block', '')


def test_addressbooks_are_written():
    contact = Contact('c', 'Zoë', uris=ContactURIList([ContactURI('u', 'sip:z@e', 'SIP')], default='u'), presence_handling=PresenceHandling('allow', True))
    contact.attributes = ElementAttributes({'icon': None})
    contact.uris['u'].attributes = {'a': 'b'}
    group = Group('g', 'All', ['c', 'c', 'd'])
    policy = Policy('p', 'sip:x@y', 'X', dialog_handling=DialogHandling('block'))
    lists = ResourceLists([List([contact, group, policy], name='book')])
    text = lists.toxml()
    again = ResourceLists.parse(text)
    assert again == lists and list(again['book'][Group, 'g'].contacts) == ['c', 'd'] and text.count(b'xmlns') == 3
    places = [text.index(tag) for tag in (b'<addressbook:name', b'<addressbook:uris', b'<addressbook:dialog', b'<addressbook:presence', b'<sipsimple:attribute name="icon"')]
    assert places == sorted(places)
    group.contacts.remove('c')
    assert list(group.contacts) == ['d'] and isinstance(group.contacts, ContactList)
    contact.presence.policy = 'block'
    assert ResourceLists.parse(lists.toxml()) != again
    for wrong in (lambda: Contact('1', 'x'), lambda: PresenceHandling('perhaps')):
        with pytest.raises(ValueError):
            wrong()
    contact.name = None
    with pytest.raises(BuilderError):
        lists.toxml()


def test_many_contacts():
    """Each is found and taken away in a time that does not grow with their number; this would take minutes otherwise."""
    book = List([Contact(f'c{number}', f'N {number}', [ContactURI('u', f'sip:{number}@example.com')]) for number in range(2000)], name='book')
    lists = ResourceLists([book])
    again = ResourceLists.parse(lists.toxml())
    book = again['book']
    assert len(book) == 2000 and book[Contact, 'c1999'].uris['u'].uri == 'sip:1999@example.com'
    for number in range(0, 2000, 2):
        del book[Contact, f'c{number}']
    assert [contact.id for contact in book[Contact, IterateItems]] == [f'c{number}' for number in range(1, 2000, 2)]


def test_services():
    services = RLSServices.parse(load('rlsservices-two.xml')[1])
    buddies, marketing = services['sip:mybuddies@example.com'], services['sip:marketing@example.com']
    assert isinstance(buddies.list, ResourceList) and buddies.list == 'http://xcap.example.com/xxx' and list(buddies.packages) == ['presence']
    assert isinstance(marketing.list, ServiceList) and list(marketing.list[Entry, IterateIDs]) == ['sip:joe@example.com', 'sip:sudhir@example.com']
    assert marketing.list[List, 'inner'].display_name == 'In' and 'dialog' in marketing.packages
    made = RLSServices([Service('sip:a@b', ServiceList([Entry('sip:c@d', 'C')]), ['presence', 'presence', 'dialog']), Service('sip:e@f', ResourceList('http://x/'))])
    text = made.toxml()
    assert RLSServices.parse(text) == made and b'<rl:entry' in text and b'<list>' in text and list(made['sip:a@b'].packages) == ['presence', 'dialog']
    made['sip:a@b'].list = ResourceList('http://y/')
    made['sip:a@b'].packages = Packages(['x'])
    assert RLSServices.parse(made.toxml()) == made and b'<list' not in made.toxml()
    with pytest.raises(TypeError):
        made['sip:a@b'].list = List()


def test_directories():
    directory = XCAPDirectory.parse(load('directory-two.xml')[1])
    lists, rules = directory
    assert [entry.etag for entry in lists] == ['abc', 'def'] and next(iter(lists)).size == 300 and next(iter(lists)).last_modified == datetime(2026, 1, 1, tzinfo=UTC)
    assert rules.error_code == '404' and len(rules) == 0 and directory[Folder, 'pres-rules'] is rules
    with pytest.raises(ValueError):
        rules.add(DirectoryEntry('http://x', 'e'))
    lists.error_code = '500'
    assert len(lists) == 0 and XCAPDirectory.parse(directory.toxml()) == directory
    made = XCAPDirectory([Folder('a', [DirectoryEntry('http://x', 'e', last_modified='2026-01-01T00:00:00Z', size=1)]), Folder('b', error_code='1')])
    assert XCAPDirectory.parse(made.toxml()) == made


def test_capabilities():
    caps = XCAPCapabilities.parse(load('xcapcaps-server.xml')[1])
    assert list(caps.auids) == ['new-address-book', 'xcap-caps'] and list(caps.extensions) == ['a'] and 'urn:ietf:params:xml:ns:xcap-error' in caps.namespaces
    made = XCAPCapabilities(['a'], ['e'], ['n', 'n', 'm'])
    assert XCAPCapabilities.parse(made.toxml()) == made and list(made.namespaces) == ['n', 'm'] and made != caps
    made.extensions = None
    assert XCAPCapabilities.parse(made.toxml()).extensions is None


def test_changes():
    diff = XCAPDiff.parse(load('xcapdiff-changes.xml')[1])
    gone, patched, same, element, attribute = diff
    assert diff.xcap_root == 'http://xcap.example.com/root/' and [type(item) for item in (gone, element, attribute)] == [Document, Element, Attribute]
    assert (gone.new_etag, gone.previous_etag, gone.empty_body, gone.body_not_changed) == ('7ahggs', '8a77f8d', True, None) and not patched.empty_body
    assert same.body_not_changed and not same.empty_body and same.previous_etag is None
    selector = gone.selector
    assert (selector.auid, selector.userstree, selector.document, selector.relative, selector.globaltree) == ('resource-lists', 'sip:joe@example.com', 'coworkers', True, False)
    assert element.exists is True and element.selector.node.startswith('*/service') and (attribute.exists, str(attribute)) == (False, 'a text')
    made = XCAPDiff('http://x/', [Document('a/users/b/c', new_etag='1', body_not_changed=True), Element('a/users/b/c/~~/d', exists=False), Attribute('a/global/c/~~/d/@e', value='v')])
    assert XCAPDiff.parse(made.toxml()) == made
    with pytest.raises(ValueError):
        Document('nowhere')


def test_content():
    content = PresenceContent.parse(load('prescontent-icon.xml')[1])
    assert (str(content.mime_type), str(content.encoding), content.description.lang) == ('image/png', 'base64', 'en') and str(content.data).startswith('iVBOR')
    made = PresenceContent('AAAA', 'image/png', 'base64', Description('x', 'de'))
    assert PresenceContent.parse(made.toxml()) == made
    with pytest.raises(ParserError):
        PresenceContent.parse('<content xmlns="urn:oma:xml:prs:pres-content"/>')


def test_files_of_rcs():
    thumbnail, file = FTHTTPMessage.parse(load('rcsfthttp-file.xml')[1])
    assert (thumbnail.type, thumbnail.file_size.value, thumbnail.file_name) == ('thumbnail', 2048, None) and file.file_disposition == 'render'
    assert (str(file.file_name), file.data.url, file.data.until) == ('IMG 1.jpg', 'https://ft.example.com/f?a=1&b=2', datetime(2026, 2, 1, tzinfo=UTC))
    assert file.branded_url == 'https://ft.example.com/look' and file.hash == 'sha-256:00'
    made = FTHTTPMessage([FileInfo(file_disposition='attachment', file_size=1, file_name='a', content_type='text/plain', url='http://x', until='2026-01-01T00:00:00Z', hash='h')])
    assert FTHTTPMessage.parse(made.toxml()) == made and b'x:file-hash' in made.toxml()
    with pytest.raises(BuilderError):
        FTHTTPMessage([FileInfo(file_size=1, content_type='text/plain', url='http://x')]).toxml()
