"""What the payloads are declared with: documents, elements, attributes, children, lists, values, and the limits of what is read."""

import copy
import importlib
import io
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

import sipsimple.payloads
from sipsimple.payloads import (
    All,
    BuilderError,
    IterateIDs,
    IterateItems,
    IterateTypes,
    ParserError,
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLBooleanElement,
    XMLByteElement,
    XMLDateTimeElement,
    XMLDecimalElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementChoiceChild,
    XMLElementID,
    XMLEmptyElement,
    XMLEmptyElementRegistryType,
    XMLIntegerElement,
    XMLIntElement,
    XMLKeywordElement,
    XMLListRootElement,
    XMLLocalizedStringElement,
    XMLLongElement,
    XMLNegativeIntegerElement,
    XMLNonNegativeIntegerElement,
    XMLNonPositiveIntegerElement,
    XMLPositiveIntegerElement,
    XMLRootElement,
    XMLShortElement,
    XMLStringChoiceChild,
    XMLStringElement,
    XMLStringListElement,
    XMLUnsignedByteElement,
    XMLUnsignedIntElement,
    XMLUnsignedLongElement,
    XMLUnsignedShortElement,
    datatypes,
    parse_qname,
)
from sipsimple.payloads.conference import FileResource
from sipsimple.payloads.iscomposing import IsComposingDocument
from sipsimple.payloads.resourcelists import ResourceListsDocument

ns = 'urn:example:zoo'


class ZooDocument(XMLDocument):
    content_type = 'application/zoo+xml'


ZooDocument.register_namespace(ns, prefix='zoo')


class AnimalExtension:
    pass


class Food:
    pass


class Base(XMLElement):
    _xml_namespace = ns
    _xml_document = ZooDocument


class Name(XMLLocalizedStringElement, Base):
    _xml_tag = 'name'


class Legs(XMLUnsignedByteElement, Base):
    _xml_tag = 'legs'


class Hay(XMLEmptyElement, Base, Food):
    _xml_tag = 'hay'


class Meat(XMLStringElement, Base, Food):
    _xml_tag = 'meat'


class Colours(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = ns
    _xml_document = ZooDocument
    names = ('red', 'green', 'light-blue')


class OtherColour(XMLStringElement, Base):
    _xml_tag = 'other'


class Spots(XMLStringListElement, Base):
    _xml_tag = 'spots'
    _xml_item_registry = Colours
    _xml_item_other_type = OtherColour

    def __init__(self, spots=()):
        super().__init__()
        self.update(spots)


class Mouth(XMLKeywordElement, Base, tag='mouth'):
    """What is kept of it."""

    _xml_value_words = ('open', 'shut')


class Beak(Mouth, tag='beak'):
    pass


class Sounds(XMLStringListElement, Base, tag='sounds'):
    _xml_item_words = ('roar', 'night-song')


class MoreColours(Colours):
    names = ('pink',)


calls = []


class Animal(Base):
    _xml_tag = 'animal'
    _xml_extension_type = AnimalExtension
    _xml_children_order = {Name.qname: 0, Legs.qname: 1, None: 2, Spots.qname: 3}
    id = XMLElementID('id', type=datatypes.ID, required=True)
    age = XMLAttribute('age', xmlname='years', type=int, default=1, onset=lambda *words: calls.append(('age', words[2])), ondel=lambda *words: calls.append(('age',)))
    born = XMLAttribute('born', type=datatypes.DateTime, test_equal=False)
    name = XMLElementChild('name', type=Name, required=True, onset=lambda *words: calls.append(('name', words[2])), ondel=lambda *words: calls.append(('name',)))
    legs = XMLElementChild('legs', type=Legs)
    food = XMLElementChoiceChild('food', types=(Hay,), extension_type=Food)
    colour = XMLStringChoiceChild('colour', registry=Colours, other_type=OtherColour)
    spots = XMLElementChild('spots', type=Spots, test_equal=False)

    def __init__(self, id, name=None, age=None):
        super().__init__()
        self.id = id
        self.name = name
        self.age = age


class Keeper(Base):
    _xml_tag = 'keeper'
    id = XMLElementID('id', type=int)

    def __init__(self, id=None):
        super().__init__()
        if id is not None:
            self.id = id


class Zoo(XMLListRootElement, Base):
    _xml_tag = 'zoo'
    _xml_item_types = (Animal, Keeper)

    def __init__(self, items=()):
        super().__init__()
        self.update(items)


def zoo(inner=''):
    return Zoo.parse(f'<zoo xmlns="{ns}">{inner}</zoo>')


def test_names():
    assert parse_qname('{a}b') == ('a', 'b') and parse_qname('b') == (None, 'b') and Animal.qname == f'{{{ns}}}animal'
    assert ZooDocument.root_element is Zoo and ZooDocument.get_element(Animal.qname) is Animal and ZooDocument.get_element('x', 5) == 5


def test_errors_have_a_family():
    assert issubclass(ValidationError, ParserError) and not issubclass(BuilderError, ParserError)


@pytest.mark.parametrize('form', [str, str.encode, io.StringIO, lambda text: io.BytesIO(text.encode()), lambda text: text.encode('utf-16'), lambda text: bytearray(text.encode()),
                                  lambda text: b'\xef\xbb\xbf' + text.encode(), lambda text: '\ufeff' + text, lambda text: '\r\n ' + text,
                                  lambda text: '<?xml version="1.0" encoding="utf-16"?>' + text, lambda text: b'<?xml version="1.0" encoding="ISO-8859-1"?>' + text.encode('latin-1'),
                                  lambda text: text.encode('utf-16-le'), lambda text: text.encode('utf-16-be')])
def test_forms_of_documents(form):
    [animal] = ZooDocument.parse(form(f'<zoo xmlns="{ns}"><animal id="a"><name>Zoé</name></animal></zoo>'))
    assert animal.name == 'Zoé'


@pytest.mark.parametrize('document', ['', ' ', 'x', '<zoo/>', f'<animal xmlns="{ns}" id="a"/>', '<a><b></a>', b'\xff\xfe', b'<?xml version="1.0" encoding="UTF-7"?><zoo/>', '\ud800',
                                      f'<zoo xmlns="{ns}">&who;</zoo>', b'<zoo xmlns="urn:example:zoo">\xe9</zoo>', '<?xml version="1.0" encoding="ascii"?>', b'\0<\0z\0o\0o'])
def test_what_is_no_document(document):
    with pytest.raises(ParserError):
        ZooDocument.parse(document)
    with pytest.raises(TypeError):
        ZooDocument.parse(5)


def test_attributes():
    animal = Animal('a', 'x')
    assert animal.age == 1 and animal.element.get('years') is None and animal.born is None
    calls.clear()
    animal.age = '7'
    animal.age = 7
    assert animal.age == 7 and animal.element.get('years') == '7' and calls == [('age', 7)]
    del animal.age
    animal.age = None
    assert animal.age == 1 and 'years' not in animal.element.attrib and calls == [('age', 7), ('age',)]
    with pytest.raises(ValueError):
        animal.age = 'old'
    with pytest.raises(AttributeError):
        del animal.id
    with pytest.raises(AttributeError):
        animal.id = 'a'
    assert isinstance(Animal.age, XMLAttribute)
    animal.born = datetime(2026, 1, 1, tzinfo=UTC)
    assert animal.element.get('born') == '2026-01-01T00:00:00+00:00'


def test_two_ids_are_one_too_many():
    with pytest.raises(TypeError, match='more than one id'):
        class Wrong(Keeper):
            other = XMLElementID('other', type=str)


def test_children():
    animal = Animal('a', 'x')
    calls.clear()
    animal.name = Name('y', 'en')
    assert animal.name.lang == 'en' and animal.name != 'y' and animal.name == Name('y', 'en') and calls == [('name', Name('y', 'en'))]
    animal.legs = 4
    animal.food = Hay()
    animal.colour = 'light-blue'
    animal.spots = ['red', 'pink']
    assert animal.legs == 4 and animal.food == Hay() and animal.colour == 'light-blue' and list(animal.spots) == ['red', 'pink']
    assert [parse_qname(node.tag)[1] for node in animal.element] == ['name', 'legs', 'hay', 'light-blue', 'spots']
    animal.colour = 'mauve'
    animal.food = Meat('cow')
    assert animal.colour == 'mauve' and animal.food == 'cow' and sorted(parse_qname(node.tag)[1] for node in animal.element) == ['legs', 'meat', 'name', 'other', 'spots']
    animal.food = animal.colour = animal.legs = None
    assert animal.food is None and animal.colour is None and animal.legs is None and len(animal.element) == 2
    del animal.name
    assert animal.name is None and calls[-1] == ('name',)
    for wrong in (lambda: setattr(animal, 'food', 'hay'), lambda: setattr(animal, 'colour', 5)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError):
        animal.legs = 256
    with pytest.raises(BuilderError, match='name'):
        Zoo([animal]).toxml()


def test_a_tag_may_be_an_argument_of_the_class():
    assert (Mouth.qname, Beak.qname) == (f'{{{ns}}}mouth', f'{{{ns}}}beak') and vars(Mouth)['_xml_tag'] == 'mouth'
    assert ZooDocument.get_element(Mouth.qname) is Mouth and ZooDocument.get_element(Beak.qname) is Beak

    class Snout(Mouth):
        pass
    assert Snout.qname == Mouth.qname and ZooDocument.get_element(Mouth.qname) is Mouth
    with pytest.raises(TypeError):
        type(Base)('Wrong', (Base,), {}, tags='wrong')


def test_keyword_elements():
    mouth = Mouth('open')
    assert mouth == 'open' and mouth != 'shut' and isinstance(mouth.value, datatypes.Keyword) and repr(mouth) == "Mouth('open')"
    for text, error in (('ajar', ValueError), ('Open', ValueError)):
        with pytest.raises(error, match='none of open, shut'):
            mouth.value = text
    assert mouth == 'open' and Beak('shut').value.words == {'open', 'shut'}
    restored = pickle.loads(pickle.dumps(mouth.value))
    assert restored == 'open' and type(restored) is type(mouth.value) is type(Beak('shut').value)
    assert Mouth.from_element(etree.fromstring(f'<mouth xmlns="{ns}"> shut </mouth>')) == 'shut'
    with pytest.raises(ValidationError):
        Mouth.from_element(etree.fromstring(f'<mouth xmlns="{ns}">ajar</mouth>'))


def test_lists_may_name_their_words():
    sounds = Sounds()
    sounds.update(['roar', 'night-song'])
    assert list(sounds) == ['roar', 'night-song'] and [node.tag for node in sounds.element] == [f'{{{ns}}}roar', f'{{{ns}}}night-song']
    with pytest.raises(ValueError):
        sounds.add('red')
    assert MoreColours.names == ('pink',) and MoreColours.class_map['pink'].qname == f'{{{ns}}}pink' and list(MoreColours.class_map) == ['pink']
    assert ZooDocument.get_element(f'{{{ns}}}pink') is MoreColours.class_map['pink']


def test_choices_may_be_extended():
    class Fish(XMLEmptyElement, Base, Food):
        _xml_tag = 'fish'
    Animal.food.register_extension(Fish)
    try:
        animal = Animal('a', 'x')
        animal.food = Fish()
        assert next(iter(Zoo.parse(Zoo([animal]).toxml()))).food == Fish()
        with pytest.raises(ValueError):
            Animal.food.register_extension(Fish)
        with pytest.raises(TypeError):
            Animal.food.register_extension(Legs)
        with pytest.raises(ValueError):
            Animal.colour.register_extension(Fish)
    finally:
        Animal.food.unregister_extension(Fish)
    with pytest.raises(ValueError):
        Animal.food.unregister_extension(Fish)


def test_extensions():
    class Weight(XMLIntElement, Base, AnimalExtension):
        _xml_tag = 'weight'

    class NoExtension(XMLIntElement, Base):
        _xml_tag = 'nothing'
    animal = Animal('a', 'x')
    Animal.register_extension('weight', type=Weight)
    try:
        assert animal.weight is None
        animal.weight = 5
        [parsed] = Zoo.parse(Zoo([animal]).toxml())
        assert parsed.weight == 5 and parsed == animal
        parsed.weight = 6
        assert parsed.element is not animal.element and Zoo([parsed]) != Zoo([animal])
        for error, words in ((ValueError, ('weight', Weight)), (ValueError, ('name', Weight)), (TypeError, ('other', NoExtension))):
            with pytest.raises(error):
                Animal.register_extension(*words)
        with pytest.raises(ValueError):
            Keeper.register_extension('weight', type=Weight)
    finally:
        Animal.unregister_extension('weight')
    assert not hasattr(animal, 'weight')
    for name in ('weight', 'name'):
        with pytest.raises(ValueError):
            Animal.unregister_extension(name)


def test_what_nobody_knows_stays():
    root = zoo('<!-- c --><animal id="a" x:b="c" xmlns:x="urn:x" d="e"><name>n</name><x:f><x:g/></x:f>text</animal><what/><?p i?>')
    root[Animal, 'a'].age = 3
    text = root.toxml().decode()
    assert all(word in text for word in ('<!-- c -->', 'x:b="c"', 'd="e"', '<x:f><x:g/></x:f>', '<what/>', '<?p i?>', 'years="3"'))


def test_what_is_invalid_is_skipped():
    root = zoo('<animal id="1a"><name>n</name></animal><animal id="b"/><animal><name>n</name></animal><animal id="c" years="x"><name>n</name></animal>'
               '<animal id="d"><name>n</name><legs>many</legs><spots/></animal><keeper id="x"/><keeper/>')
    assert [type(item) for item in root] == [Animal, Keeper]
    animal = root[Animal, 'd']
    assert animal.legs is None
    animal.legs = 4
    assert root.toxml().count(b'legs>') == 2 and b'many' not in root.toxml()
    for wrong in ('<animal xmlns="urn:example:zoo" id="1"/>', '<animal xmlns="urn:example:zoo" id="a"/>', '<animal xmlns="urn:example:zoo"/>'):
        with pytest.raises(ValidationError):
            Animal.from_element(etree.fromstring(wrong))


def test_comparison():
    one, two = Animal('a', 'x'), Animal('a', 'x')
    assert one == two and one == 'a' and not one != 'a' and hash(one) == hash('a') and one != 'b' and one != Keeper() and Keeper() == Keeper() and {Keeper()} == {Keeper()}
    two.born = '2026-01-01T00:00:00Z'
    two.spots = ['red']
    assert one == two       # they take no part
    two.age = 1
    assert one == two       # the default
    two.age = 2
    assert one != two
    two.age, two.legs = 1, 4
    assert one != two and (one == 5) is False and (Keeper() == 5) is False
    assert Zoo([one, Keeper(1)]) != Zoo([Keeper(1), one]) and Zoo([one]) == Zoo([Animal('a', 'x')])


def test_what_is_new_or_changed_is_dirty():
    animal = Animal('a', 'x')
    assert animal.__dirty__ and Zoo().__dirty__
    root = Zoo.parse(Zoo([animal]).toxml())
    assert not root.__dirty__
    root[Animal, 'a'].name.value = 'x'
    assert not root.__dirty__
    root[Animal, 'a'].name.value = 'y'
    assert root.__dirty__ and root[Animal, 'a'].__dirty__
    root.__dirty__ = False
    assert not root.__dirty__ and not root[Animal, 'a'].name.__dirty__ and b'>y<' in root.toxml()
    root.__dirty__ = True
    assert root.__dirty__
    root.__dirty__ = False
    root.remove(root[Animal, 'a'])
    assert root.__dirty__


def test_lists():
    root = Zoo([Animal('a', 'x'), Keeper(1), Animal('b', 'y'), Keeper()])
    a = root[Animal, 'a']
    assert len(root) == 4 and list(root[IterateTypes]) == [Animal, Keeper] and list(root[Animal, IterateIDs]) == ['a', 'b'] and len(list(root[Keeper, IterateItems])) == 2
    assert a in root and Animal('a', 'x') in root and Animal('a', 'z') not in root and 5 not in root and Keeper() in root and root.get((Animal, 'q')) is None and bool(Zoo())
    new = Animal('a', 'z')
    root.add(new)
    root.add(new)
    assert root[Animal, 'a'] is new and [getattr(item, 'id', None) for item in root] == ['a', 1, 'b', None] and a.element.getparent() is None
    for key in ((Animal, 'q'), 'a', (Zoo, 'a'), 5):
        with pytest.raises(KeyError):
            root[key]
        with pytest.raises(KeyError):
            del root[key]
    with pytest.raises(TypeError):
        root.add(Legs(4))
    root.remove(Keeper())
    del root[Animal, 'b']
    assert [item.id for item in root] == ['a', 1]
    del root[Animal, All]
    with pytest.raises(KeyError):
        root.remove(new)
    root.clear()
    assert len(root) == 0 == len(root.element)


def test_of_two_with_one_id_the_first_counts_until_it_goes():
    root = zoo('<animal id="a"><name>1</name></animal><animal id="a"><name>2</name></animal>')
    assert [item.name.value for item in root] == ['1'] and root.toxml().count(b'<animal') == 2
    del root[Animal, 'a']
    assert list(root) == [] and root.toxml().count(b'<animal') == 0


def test_keywords():
    assert Colours.names == ('red', 'green', 'light-blue') and list(Colours.class_map) == list(Colours.names) and Colours.classes == tuple(Colours.class_map.values())
    spots = Spots(['red', 'pink', Colours.class_map['green']()])
    assert list(spots) == ['red', 'pink', 'green'] and 'pink' in spots and 'blue' not in spots and len(spots) == 3
    spots.remove('red')
    with pytest.raises(KeyError):
        spots.remove('red')
    with pytest.raises(TypeError):
        spots.add(5)
    assert list(spots) == ['pink', 'green']


@pytest.mark.parametrize('kind, good, text, bad', [
    (XMLStringElement, 'a <b>', 'a &lt;b&gt;', None), (XMLBooleanElement, True, 'true', None), (XMLBooleanElement, False, 'false', None), (XMLByteElement, -128, '-128', 128),
    (XMLUnsignedByteElement, 255, '255', -1), (XMLShortElement, -32768, '-32768', 32768), (XMLUnsignedShortElement, 65535, '65535', 65536), (XMLIntElement, -2**31, '-2147483648', 2**31),
    (XMLUnsignedIntElement, 2**32 - 1, '4294967295', 2**32), (XMLLongElement, 2**63 - 1, '9223372036854775807', 2**63), (XMLUnsignedLongElement, 2**64 - 1, '18446744073709551615', 2**64),
    (XMLIntegerElement, -10**30, '-1' + '0' * 30, 'x'), (XMLPositiveIntegerElement, 1, '1', 0), (XMLNegativeIntegerElement, -1, '-1', 0), (XMLNonNegativeIntegerElement, 0, '0', -1),
    (XMLNonPositiveIntegerElement, 0, '0', 1), (XMLDecimalElement, Decimal('1.50'), '1.50', 'x'), (XMLAnyURIElement, 'sip:a@b', 'sip:a@b', None),
    (XMLDateTimeElement, datetime(2026, 1, 1, 12, tzinfo=UTC), '2026-01-01T12:00:00+00:00', 'now')])
def test_values(kind, good, text, bad):
    class Value(kind, Base):
        _xml_tag = 'value'
    element = Value(good)
    assert element.value == good and element == good and str(element) == str(element.value) and bool(element) == bool(good) and hash(element) == hash(element.value)
    written = etree.tostring(element.to_element()).decode()
    assert f'>{text}<' in written
    read = Value.from_element(etree.fromstring(written))
    assert read == element and type(read.value) is type(element.value) and read.element is not element.element and not read.__dirty__
    assert element <= good and element >= good and not element < good and not element > read
    if bad is not None:
        with pytest.raises((ValueError, ArithmeticError)):
            Value(bad)
        with pytest.raises(ValidationError):
            Value.from_element(etree.fromstring(f'<value>{bad}</value>'))
    element.value = None
    with pytest.raises(BuilderError):
        element.to_element()


def test_comments_in_values():
    [animal] = zoo('<animal id="a"><name>on<!-- x -->e</name><legs> 4 <!-- y --></legs></animal>')
    assert animal.name == 'one' and animal.legs == 4
    animal.name.value = 'two'
    assert b'>two<' in Zoo([animal]).toxml()


def test_characters_that_xml_does_not_have():
    animal = Animal('a', 'x\0\x07\ud800y\ufffe\t')
    animal.colour = 'r\x1bed'
    entry = FileResource('a\0b', 'h', 1, 's', 'o')
    assert animal.name == 'x\ufffd\ufffd\ufffdy\ufffd\t' and animal.colour == 'r\ufffded' and entry.name == 'a\ufffdb'
    assert Zoo.parse(Zoo([animal]).toxml()) == Zoo([animal])
    with pytest.raises(ValueError):
        Animal('a\0', 'x')


def test_copies():
    root = zoo('<animal id="a"><name>x</name></animal><keeper id="1"/>')
    for made in (copy.copy(root), copy.deepcopy(root), pickle.loads(pickle.dumps(root))):
        assert made == root and not made.__dirty__
        made[Animal, 'a'].name = 'y'
        assert made != root and made.__dirty__ and root[Animal, 'a'].name == 'x'
        again = copy.deepcopy(made)
        assert again == made and again.__dirty__ and b'>y<' in again.toxml()
        restored = pickle.loads(pickle.dumps(made[Animal, 'a']))
        assert restored == made[Animal, 'a'] and restored.element.tail is None


def test_empty_elements():
    assert Hay() == Hay() and bool(Hay()) and hash(Hay()) == hash(Hay())
    with pytest.raises(TypeError):
        Hay('dry')


def test_the_tree_has_no_namespaces_but_those_it_uses():
    class Other(XMLRootElement):
        _xml_tag = 'other'
        _xml_namespace = 'urn:example:other'
        _xml_document = type('OtherDocument', (XMLDocument,), {})
        animal = XMLElementChild('animal', type=Animal)
    other = Other()
    Other._xml_document.register_namespace('urn:example:other')
    Other._xml_document.register_namespace('urn:example:unused', prefix='u')
    other.animal = Animal('a', 'x')
    assert other.toxml().count(b'xmlns') == 2
    with pytest.raises(TypeError):
        ZooDocument.build(other)
    with pytest.raises(TypeError):
        XMLDocument.build(other)


def test_registrations():
    class One(XMLDocument):
        pass

    class Two(One):
        pass
    One.register_namespace('urn:a', prefix='a')
    Two.register_namespace('urn:b')
    assert Two.nsmap == {'a': 'urn:a', None: 'urn:b'} and One.nsmap == {'a': 'urn:a'}
    for kind, namespace, prefix in ((One, 'urn:a', 'x'), (One, 'urn:x', 'a'), (Two, 'urn:a', 'x'), (Two, 'urn:x', None), (Two, 'urn:x', 'a')):
        with pytest.raises(ValueError):
            kind.register_namespace(namespace, prefix=prefix)
    with pytest.raises(KeyError):
        Two.unregister_namespace('urn:a')
    One.unregister_namespace('urn:a')
    assert Two.nsmap == {None: 'urn:b'}
    with pytest.raises(ParserError):
        One.parse('<a/>')


def test_schemas(tmp_path):
    path = XMLDocument.schema_path
    with pytest.raises(AttributeError):
        IsComposingDocument.schema_path = tmp_path
    strange = tmp_path / 'a folder, ünusual #1'
    shutil.copytree(path, strange)
    text = '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>'
    try:
        XMLDocument.schema_path = strange
        assert IsComposingDocument.schema_path == strange and IsComposingDocument.parse(text).state == 'active' and len(ResourceListsDocument.parse(
            '<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list><display-name xml:lang="en">a</display-name></list></resource-lists>')) == 1
        schema = strange / 'im-iscomposing.xsd'
        schema.write_text(schema.read_text().replace('name="state" type="xs:string"', 'name="state" type="xs:integer"'))
        XMLDocument.schema_path = strange
        with pytest.raises(ParserError):
            IsComposingDocument.parse(text)
        with pytest.raises(BuilderError):
            IsComposingDocument.create(state='active')
        assert IsComposingDocument.create({'validate': False}, state='active')
        schema.unlink()
        XMLDocument.schema_path = strange
        with pytest.raises(FileNotFoundError):
            IsComposingDocument.parse(text)
    finally:
        XMLDocument.schema_path = path
    assert IsComposingDocument.parse(text)


def test_every_schema_is_used_and_part_of_packages():
    """Each file is named by a document type, or by another schema; and the pattern of pyproject.toml finds it."""
    folder = XMLDocument.schema_path
    files = {path.name for path in folder.iterdir()}
    used = set()
    for kind in every_document():
        used |= {file for _, file in kind._own_namespaces.values() if file}
        assert kind._schema is not None or not kind._own_namespaces or kind.__module__ == __name__
    imported = {name for path in folder.glob('*.xsd') for name in re.findall('schemaLocation="([^"]*)"', path.read_text(encoding='utf-8'))}
    assert used <= files and files == used | imported and all(name.endswith('.xsd') for name in files)


def every_document():
    for path in Path(sipsimple.payloads.__file__).parent.glob('[!_]*.py'):
        importlib.import_module(f'sipsimple.payloads.{path.stem}')
    kinds = [XMLDocument]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return [kind for kind in kinds if kind.__module__.startswith('sipsimple.')]


# Limits

LIST = '<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">{}</resource-lists>'


def nested(levels):
    return LIST.format('<list>' * levels + '</list>' * levels)


def test_depth():
    assert len(ResourceListsDocument.parse(nested(99))) == 1
    for levels in (100, 200, 5000, 200000):
        with pytest.raises(ParserError):
            ResourceListsDocument.parse(nested(levels))
    lists = ResourceListsDocument.parse(nested(99))
    depth, item = 0, lists
    while len(item):
        depth, item = depth + 1, next(iter(item))
    assert depth == 99 and lists == ResourceListsDocument.parse(nested(99)) and not lists.__dirty__
    lists = ResourceListsDocument.parse(nested(98))
    lists.xpath('//rl:list[not(*)]')[0].display_name = 'deep'
    assert lists.__dirty__ and ResourceListsDocument.parse(lists.toxml()) == lists


def attributes(count, form):
    return '<list ' + ' '.join(form.format(number) for number in range(count)) + '/>'


@pytest.mark.parametrize('inner', [
    'a' * (17 << 20), '<list></list>' * 500_001, attributes(200_000, 'a{}="x>\'"'), attributes(300, "a{}='x>'"), attributes(300, 'xmlns:a{0}="urn:{0}"')],
    ids=['size', 'tags', 'attributes', 'some attributes', 'namespaces'])
def test_limits(inner):
    text = LIST.format(inner)
    begin = time.process_time()
    with pytest.raises(ParserError):
        ResourceListsDocument.parse(text)
    assert time.process_time() - begin < 10


def test_many_good_attributes_are_read():
    entries = ''.join(f'<entry uri="sip:{number}@example.com"/>' for number in range(2000))
    [items] = ResourceListsDocument.parse(LIST.format(f'<list name="a">{entries}</list>'))
    assert len(items) == 2000
    within = ' '.join(f'x:a{number}="1"' for number in range(190))
    assert ResourceListsDocument.parse(LIST.format(f'<list xmlns:x="urn:x" {within}/>' * 2))


def test_hostile_documents_take_little_memory():
    """What is refused is refused before a tree of it is built; the growth is measured in a process that has not grown before."""
    script = '''
import resource
from sipsimple.payloads import ParserError
from sipsimple.payloads.resourcelists import ResourceListsDocument
bombs = ['<!DOCTYPE r [<!ENTITY a "%s">%s]><r>&h;</r>' % ('x' * 1000, ''.join('<!ENTITY %s "%s">' % (name, '&%s;' % before * 100) for before, name in zip('abcdefg', 'bcdefgh'))),
         '<a>' * 1_000_000, '<a' + ' b="c"' * 1_000_000 + '/>', '<a>' + '<b/>' * 2_000_000 + '</a>', 'x' * (64 << 20)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for bomb in bombs:
    try:
        ResourceListsDocument.parse(bomb)
    except ParserError:
        continue
    raise SystemExit('read it')
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
'''
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 200 << 10       # KiB; the longest of them is copied twice


def test_threads():
    """Documents of one type are read in several threads at once, errors go to the thread that made them."""
    good, bad = LIST.format('<list name="a"/>' * 50), LIST.format('<list><entry/></list>')
    failures = []

    def work():
        for _ in range(100):
            if len(ResourceListsDocument.parse(good)) != 50 and len(ResourceListsDocument.parse(good)) != 1:
                failures.append('list')
            try:
                ResourceListsDocument.parse(bad)
                failures.append('read')
            except ParserError as error:
                if 'uri' not in str(error):
                    failures.append(str(error))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


# Datatypes

@pytest.mark.parametrize('text, written', [
    ('sip:bob@[::1]:5060;transport=tcp', 'sip%3Abob%40%5B%3A%3A1%5D%3A5060%3Btransport%3Dtcp'), ('1:2', '1%3A2'), ('a b:c', 'a%20b%3Ac'), ('[', '%5B'), ('a#b#c', 'a%23b%23c'),
    ('http://h:port/', 'http%3A%2F%2Fh%3Aport%2F'), ('http://[::1]:80/x', 'http://[::1]:80/x'), ('a%23b', 'a%23b'), ('urn::', 'urn::'), ('http://a/%5Bb', 'http://a/%5Bb')])
def test_what_schemas_do_not_take_for_a_uri_is_escaped_as_a_whole(text, written):
    """An addressbook may have anything where an address should be, and has to come back from the server."""
    from sipsimple.payloads.resourcelists import Entry, List, ResourceLists, ResourceListsDocument
    data = ResourceLists([List([Entry(text)], name='x')]).toxml()
    assert f'uri="{written}"'.encode() in data
    assert [str(entry.uri) for items in ResourceListsDocument.parse(data) for entry in items] == [text]


def test_uris():
    uri = datatypes.AnyURI
    assert uri.__xmlparse__(' sip%3Aalice%40example.com%3Bx%3Dy ') == 'sip:alice@example.com;x=y' and uri('sip:alice%40home@example.com') == 'sip:alice%40home@example.com'
    assert uri('http://a/%C3%A9%20%2F%0A%FF%zz%25') == 'http://a/é %2F%0A%FF%zz%25'
    assert uri('http://a/é %2F%0A%FF%zz%25').__xmlbuild__() == 'http://a/%C3%A9%20%2F%0A%FF%25zz%25' and uri('sip:a@b:5060;x=1').__xmlbuild__() == 'sip:a@b:5060;x=1'
    sip = datatypes.SIPURI('sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr?subject=x&a=b')
    assert (sip.scheme, sip.username, sip.password, sip.domain, sip.port) == ('sips', 'alice', 'secret', '[2001:db8::1]', 5061)
    assert sip.params == {'transport': 'tls', 'lr': None} and sip.headers == {'subject': 'x', 'a': 'b'} and datatypes.SIPURI('sip:example.com').username is None
    for wrong in ('', 'alice', 'http://x', 'sip:', 'sip:@', 'sip:a@b c', 'sip:a@b:port'):
        with pytest.raises(ValueError):
            datatypes.SIPURI(wrong)
    xcap = datatypes.XCAPURI('https://bob:pw@xcap.example.com:8443/a/b/resource-lists/users/sip:a@b/c/index/~~/x/y?xmlns(a=b)')
    assert (xcap.scheme, xcap.username, xcap.password, xcap.hostname, xcap.port, xcap.root) == (
        'https', 'bob', 'pw', 'xcap.example.com', 8443, 'https://bob:pw@xcap.example.com:8443/a/b/')
    assert (xcap.auid, xcap.globaltree, xcap.userstree, xcap.document, xcap.node, xcap.query, xcap.relative) == (
        'resource-lists', False, 'sip:a@b', 'c/index', 'x/y', 'xmlns(a=b)', False)
    relative = datatypes.XCAPURI('/xcap-caps/global/index')
    assert (relative.root, relative.auid, relative.globaltree, relative.userstree, relative.document, relative.node, relative.relative) == (
        '', 'xcap-caps', True, None, 'index', None, True)
    for wrong in ('', 'x', 'ftp://x/a/global/b', 'http://x/a/b', 'a/users/b'):
        with pytest.raises(ValueError):
            datatypes.XCAPURI(wrong)


def test_other_datatypes():
    assert datatypes.Boolean('true') is datatypes.Boolean(1) is True and datatypes.Boolean('0') is datatypes.Boolean([]) is False
    with pytest.raises(ValueError):
        datatypes.Boolean('maybe')
    assert datatypes.ID('é_1.a-b') == 'é_1.a-b'
    for wrong in ('', '1', '-a', 'a b', 'a:b', '.a'):
        with pytest.raises(ValueError):
            datatypes.ID(wrong)
    moment = datatypes.DateTime('2026-01-01T00:00:00.5Z')
    assert moment == datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC) and type(pickle.loads(pickle.dumps(moment))) is datatypes.DateTime
    assert datatypes.DateTime(datetime(2026, 1, 1)).tzinfo is not None
