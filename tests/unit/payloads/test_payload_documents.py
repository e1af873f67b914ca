"""What holds for every document type: nothing is lost, equal things are equal, and broken documents give the documented error."""

import random
import time

import pytest

from sipsimple.payloads import ParserError
from tests.unit.payloads.documents import TYPES, canonical, elements, load, names

NAMES = names()


def test_every_type_has_a_document():
    assert {name.partition('-')[0] for name in NAMES} == set(TYPES)


@pytest.mark.parametrize('name', NAMES)
def test_what_is_read_is_written(name):
    kind, text = load(name)
    root = kind.parse(text)
    assert not root.__dirty__
    assert canonical(kind.build(root)) == canonical(text)
    assert canonical(root.toxml(encoding='utf-16').decode('utf-16').partition('?>')[2].encode()) == canonical(text)


@pytest.mark.parametrize('name', NAMES)
def test_looking_at_everything_changes_nothing(name):
    kind, text = load(name)
    root = kind.parse(text)
    found = list(elements(root))
    assert len(found) > 1 or len(root.element) == 0
    assert not root.__dirty__ and canonical(root.toxml()) == canonical(text)


@pytest.mark.parametrize('name', NAMES)
def test_every_element_is_written_as_it_was_when_something_else_changes(name):
    """The namespaces move to the root then, which is no difference to exclusive canonical XML."""
    kind, text = load(name)
    root = kind.parse(text)
    for element in elements(root):
        element._changed = True
    assert canonical(root.toxml(), exclusive=True) == canonical(text, exclusive=True)


@pytest.mark.parametrize('name', NAMES)
def test_equal_documents_are_equal(name):
    kind, text = load(name)
    one, two = kind.parse(text), kind.parse(text.decode())
    assert one == two and not one != two and hash(one) == hash(two)
    assert kind.parse(one.toxml()) == two
    for mine, other in zip(elements(one), elements(two), strict=True):
        assert mine == other and hash(mine) == hash(other)


@pytest.mark.parametrize('name', NAMES)
def test_attributes_written_again_are_the_same(name):
    """What `type` makes of a text is written as a text that means the same."""
    kind, text = load(name)
    root = kind.parse(text)
    for element in elements(root):
        for attribute in type(element)._xml_attributes.values():
            value = element._values.get(attribute.name)
            if value is not None:
                element.element.set(attribute.xmlname, attribute.build(value))
        element._changed = True
    assert kind.parse(root.toxml()) == root == kind.parse(text)


@pytest.mark.parametrize('name', NAMES)
def test_what_is_cut_off_is_refused(name):
    kind, text = load(name)
    body = text.rstrip()
    step = max(1, len(body) // 200)
    for end in range(0, len(body), step):
        with pytest.raises(ParserError):
            kind.parse(body[:end])


@pytest.mark.parametrize('name', NAMES)
def test_what_is_damaged_is_refused_or_read(name):
    """Nothing but ParserError, on parsing and on looking at what was parsed, and all of it soon."""
    kind, text = load(name)
    dice = random.Random(name)
    words = [b'<', b'>', b'"', b'&', b'&#0;', b'\0', b'\xff', b'state="gone"', b'-1', b'99999999999999999999', b'</', b'<!--', b']]>', b'xmlns=""', b'x:', b'%zz']
    begin = time.process_time()
    read = 0
    for _ in range(150):
        data = bytearray(text)
        gentle = dice.random() < 0.5
        for _ in range(1 if gentle else dice.randint(1, 3)):
            place = dice.randrange(len(data))
            if gentle:
                data[place] = dice.choice(b'aZ0 -.')
            elif dice.random() < 0.5:
                data[place] = dice.randrange(256)
            else:
                data[place:place + dice.randint(0, 8)] = dice.choice(words)
        try:
            root = kind.parse(bytes(data))
        except ParserError:
            continue
        read += 1
        for element in elements(root):
            repr(element), hash(element), str(element)
        root.toxml(validate=False)
    assert read and time.process_time() - begin < 20


LAUGHS = '<!DOCTYPE r [<!ENTITY a "ha">' + ''.join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)) + ']>'


@pytest.mark.parametrize('prolog', [
    LAUGHS,
    '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/a.dtd">',
    '<!DOCTYPE r [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>',
    '<!DOCTYPE r>',
    '<!-- a --> <?p?>\n<!-- b --><!DOCTYPE r>',
    '<!-- a -->' * 5000 + '<!DOCTYPE r>',
], ids=['laughs', 'file', 'network', 'parameter', 'plain', 'hidden', 'far'])
@pytest.mark.parametrize('name', [name for name in NAMES if name.startswith('conference-full')] or NAMES[:1])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'utf-16-le', 'iso-8859-1'])
def test_entities_are_refused(name, prolog, encoding):
    kind, text = load(name)
    body = text.decode().partition('?>')[2]
    declared = '' if encoding.startswith('utf-16') else f'<?xml version="1.0" encoding="{encoding}"?>'
    begin = time.process_time()
    for use in ('', '&l;', '&a;'):
        with pytest.raises(ParserError, match='document type'):
            kind.parse((declared + prolog + body.replace('Bob Hoskins', use)).encode(encoding))
    assert time.process_time() - begin < 5
