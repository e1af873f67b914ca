"""Elements that a program makes have no nodes until somebody asks for one: whether and when that happens must not make a difference."""

import pickle

import pytest
from hypothesis import given, settings, strategies as st
from lxml import etree

from sipsimple.payloads import BuilderError, XMLAttribute, XMLDocument, XMLElement, XMLElementChild, XMLListRootElement, XMLRootElement, XMLStringElement
from sipsimple.payloads._xml.document import XMLDocumentType
from sipsimple.payloads._xml.writer import WrittenTree
from sipsimple.payloads.pidf import PIDF, DeviceID, Note, Person, Service
from sipsimple.payloads.resourcelists import DisplayName, Entry, EntryAttributes, External, List, ResourceLists
from sipsimple.payloads.rpid import Activities, Privacy


def canonical(document):
    return etree.tostring(etree.fromstring(document), method='c14n2')


def written_both_ways(make):
    """The canonical text of what `make` makes, which has to be the same with nodes and without."""
    late, early = make(), make()
    assert late._node is None and early.element is early._node is not None
    text = canonical(late.toxml())
    assert late._node is None and canonical(early.toxml()) == text and canonical(late.toxml()) == text
    assert late.element is late._node and canonical(late.toxml()) == text
    return text


def services():
    service = Service('s1', notes=[Note('hello', 'en')], status='open', contact='sip:a@192.0.2.1', timestamp='2026-01-01T00:00:00Z')
    service.add(DeviceID('urn:x:1'))
    service.status.extended = 'busy'
    person = Person('p1', notes=['x'], timestamp='2026-01-01T00:00:00Z')
    person.activities = Activities(['away', 'juggling'], notes=['far'], since='2026-01-01T00:00:00Z')
    person.privacy = Privacy()
    return PIDF('sip:a@b', [person, Note('all'), service])


def test_default_namespace_and_prefixes():
    text = written_both_ways(services)
    assert text.startswith(b'<presence xmlns="urn:ietf:params:xml:ns:pidf"') and b'<rpid:unknown>' in text
    plain = services().toxml()
    assert plain.count(b'xmlns') == 4 and plain.index(b'xmlns:dm') < plain.index(b'<tuple')    # declared at the root, and what is used only


@pytest.mark.parametrize('text', ['&<>"\'', 'a\tb\nc\rd', ' x ', 'ä\U0001f600\xa0', ']]>', '\0\x1b\ufffe\ud800', ''])
def test_any_character(text):
    document = written_both_ways(lambda: ResourceLists([List([Entry('sip:a@b', DisplayName(text, 'en'))], name=f'{text}x')]))
    [item] = ResourceLists.parse(document)
    kept = ''.join('\ufffd' if character in '\0\x1b\ufffe\ud800' else character for character in text)
    assert item.name == f'{kept}x' and next(iter(item)).display_name.value == kept
    made = List(name=text)
    made.display_name = text
    assert made.name == kept and made.display_name.value == kept and made._node is None


def test_nodes_that_were_asked_for_stay():
    entry, name = Entry('sip:a@b'), DisplayName('Friends')
    node = entry.element
    items = List([entry], name='friends', display_name=name)
    node_of_name = name.element
    lists = ResourceLists([items])
    text = lists.toxml()
    assert lists._node is not None and [child.tag for child in items.element] == [DisplayName.qname, Entry.qname]
    assert list(items.element) == [node_of_name, node] and node.getroottree().getroot() is lists.element and text.count(b'xmlns') == 1
    entry.display_name = 'A'
    assert b'<rl:display-name>A<' in lists.toxml() and lists.get_xpath(entry) == '/resource-lists/list[@name="friends"]/entry[@uri="sip:a@b"]'


def test_path_of_what_has_no_node():
    entry = Entry('sip:a@b')
    lists = ResourceLists([List([entry], name='friends')])
    assert lists.get_xpath(entry) == '/resource-lists/list[@name="friends"]/entry[@uri="sip:a@b"]' and lists.find_parent(entry) is lists['friends']
    assert lists.xpath('//rl:entry') == [entry]
    assert lists.get_xpath(Entry('sip:a@b')) is None


def test_an_element_has_one_place():
    entry, name = Entry('sip:a@b', 'A'), DisplayName('B')
    first, second = List([entry], display_name=name), List([entry], display_name=name)
    assert next(iter(first)) is entry and next(iter(second)) is not entry and next(iter(second)) == entry
    assert first.display_name is name and second.display_name is not name and second.display_name == name
    first.remove(entry)
    first.display_name = None
    third = List([entry], display_name=name)
    assert next(iter(third)) is entry and third.display_name is name
    third.add(Entry('sip:a@b', 'other'))
    assert next(iter(List([entry]))) is entry and len(third) == 1


def test_adding_twice():
    entry = Entry('sip:a@b')
    items = List([entry, entry])
    assert list(items) == [entry] and len(items) == 1 and items[Entry, 'sip:a@b'] is entry


def test_what_is_missing():
    def parsed():
        return PIDF.parse(services().toxml())

    for make in (services, parsed):
        pidf = make()
        next(pidf.persons).activities.clear()
        with pytest.raises(BuilderError, match='no activity'):
            pidf.toxml()
    for asked in (False, True):
        service = Service('s1')
        if asked:
            assert service.element.get('id') == 's1'        # may be looked at
        with pytest.raises(BuilderError, match='status'):
            PIDF('sip:a@b', [service]).toxml()
        with pytest.raises(BuilderError, match='status'):
            service.to_element()


class Odd(str):
    __slots__ = ()

    def __xmlbuild__(self):
        return f'{self}\0' if self == 'zero' else f'{self}\ud800'


class Strange(XMLRootElement, tag='strange'):
    _xml_document = XMLDocumentType('StrangeDocument', (XMLDocument,), {})
    odd = XMLAttribute('odd', type=Odd)


@pytest.mark.parametrize('value', ['zero', 'surrogate'])
def test_a_type_that_makes_no_text(value):
    made = Strange()
    made.odd = value
    with pytest.raises(BuilderError, match='Strange cannot be written'):
        made.toxml()
    with pytest.raises(BuilderError, match='Strange cannot be written'):
        made.element


def test_pickled_and_copied():
    pidf = services()
    assert b'rpid:unknown' in pidf.toxml()
    assert pickle.loads(pickle.dumps(pidf)) == pidf == services()
    assert canonical(pickle.loads(pickle.dumps(pidf)).toxml()) == canonical(services().toxml())


# Other namespaces than those of one document

class HomeDocument(XMLDocument):
    content_type = 'application/home+xml'


class AwayDocument(XMLDocument):
    content_type = 'application/away+xml'


HomeDocument.register_namespace('urn:example:home', prefix=None)
HomeDocument.register_namespace('urn:example:x', prefix='x')
AwayDocument.register_namespace('urn:example:away', prefix='x')


class InX(XMLStringElement, tag='one'):
    _xml_namespace = 'urn:example:x'
    _xml_document = HomeDocument
    place = XMLAttribute('place', xmlname='{urn:example:x}place')


class InXOfOther(XMLStringElement, tag='two'):
    _xml_namespace = 'urn:example:away'
    _xml_document = AwayDocument
    place = XMLAttribute('place', xmlname='{urn:example:away}place')


class InNothing(XMLElement, tag='three'):
    _xml_document = HomeDocument


class InUnknown(XMLStringElement, tag='four'):
    _xml_namespace = 'urn:example:unknown?a&b'
    _xml_document = HomeDocument


class InHome(XMLStringElement, tag='five'):
    _xml_namespace = 'urn:example:home'
    _xml_document = HomeDocument
    place = XMLAttribute('place', xmlname='{urn:example:home}place')


InNothing.five = XMLElementChild('five', type=InHome)
InNothing._xml_compile()


class Home(XMLListRootElement, tag='home'):
    _xml_namespace = 'urn:example:home'
    _xml_document = HomeDocument
    _xml_item_types = (InX, InXOfOther, InNothing, InUnknown, InHome)


class Bare(XMLRootElement, tag='bare'):
    _xml_document = AwayDocument
    five = XMLElementChild('five', type=InHome)


def test_namespaces_that_are_in_each_others_way():
    def make():
        inner = InNothing()
        inner.five = 'in home again'
        home = Home()
        home.update([InX('1'), InXOfOther('2'), inner, InUnknown('4'), InHome('5')])
        for item in home:
            if hasattr(item, 'place'):
                item.place = 'here'
        return home

    for home in (make(), make()):
        tree = etree.fromstring(home.toxml(validate=False))
        assert [node.tag for node in tree] == [kind.qname for kind in Home._xml_item_types] and tree[2][0].tag == InHome.qname
        assert [dict(node.attrib) for node in tree] == [{InX.place.xmlname: 'here'}, {InXOfOther.place.xmlname: 'here'}, {}, {}, {InHome.place.xmlname: 'here'}]
        assert [node.tag for node in home.element] == [node.tag for node in tree]
    bare = Bare()
    bare.five = 'x'
    assert [node.tag for node in etree.fromstring(bare.toxml()).iter()] == ['bare', InHome.qname]


# Any changes in any order

URIS = [f'sip:{name}@example.com' for name in 'abcd']
NAMES = ['n', 'm', None]
CHANGES = st.lists(st.tuples(st.sampled_from(['add', 'add', 'list', 'remove', 'name', 'attributes', 'external', 'clear', 'same']),
                             st.integers(0, 3), st.sampled_from(URIS), st.sampled_from(NAMES), st.booleans()), max_size=25)


def change(lists, what, place, uri, name):
    items = [*lists, *(inner for outer in lists for inner in outer if isinstance(inner, List))]
    here = items[place % len(items)]
    entries = [item for item in here if isinstance(item, Entry)]
    if what == 'add':
        here.add(Entry(uri, name))
    elif what == 'external':
        here.add(External(uri, name))
    elif what == 'list':
        here.add(List([Entry(uri)], name=name and name + uri[4]))
    elif what == 'remove' and entries:
        here.remove(entries[place % len(entries)])
    elif what == 'name':
        (entries[place % len(entries)] if entries else here).display_name = name
    elif what == 'attributes' and entries:
        entries[place % len(entries)].attributes = None if name is None else EntryAttributes({name: uri, 'nil': None})
    elif what == 'clear' and place == 3:
        here.clear()
    elif what == 'same' and entries:
        items[(place + 1) % len(items)].add(entries[0])


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_nodes_at_any_moment_make_no_difference(changes):
    late, early, sometimes = (ResourceLists([List(name='friends')]) for _ in range(3))
    assert early.element is not None
    for what, place, uri, name, asked in changes:
        for lists in (late, early, sometimes):
            change(lists, what, place, uri, name)
        if asked:
            found = [sometimes, *sometimes, *(item for outer in sometimes for item in outer)]
            assert found[place % len(found)].element is not None
    assert late == early == sometimes and late._node is None
    text = canonical(late.toxml())
    assert canonical(early.toxml()) == text == canonical(sometimes.toxml()) and ResourceLists.parse(text) == late
    tree = WrittenTree(late)        # what is taken from another list is copied, which makes nodes
    names = [item.qname for item in tree.objects]
    assert names == [node.tag for node in tree.node.iter()] if tree.is_whole else any(what == 'same' for what, *_ in changes)
