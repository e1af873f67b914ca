"""The documents of `data/` and what every test of them needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from sipsimple.payloads import XMLElement, XMLListElement

DATA = Path(__file__).parent / 'data'

# First word of the file's name -> module and document type.
TYPES = {
    'conference': ('conference', 'ConferenceDocument'),
    'imdn': ('imdn', 'IMDNDocument'),
    'iscomposing': ('iscomposing', 'IsComposingDocument'),
    'pidf': ('pidf', 'PIDFDocument'),
}


def names() -> list[str]:
    return sorted(path.name for path in DATA.glob('*.xml'))


def load(name: str) -> tuple[type, bytes]:
    """The document type and the text of a file."""
    for extension in ('caps', 'cipid', 'rpid'):     # they add to the classes of pidf
        importlib.import_module(f'sipsimple.payloads.{extension}')
    module, document = TYPES[name.partition('-')[0].removesuffix('.xml')]
    return getattr(importlib.import_module(f'sipsimple.payloads.{module}'), document), (DATA / name).read_bytes()


def canonical(document: bytes, exclusive: bool = False) -> bytes:
    """Canonical XML, comments included."""
    return etree.tostring(etree.fromstring(document).getroottree(), method='c14n', exclusive=exclusive, with_comments=True)


def elements(root: XMLElement) -> Iterator[XMLElement]:
    """Every element that is exposed as an object, by looking at everything there is to look at."""
    yield root
    for child in type(root)._xml_children.values():
        found = child.get(root)
        if found is not None:
            yield from elements(found)
    if isinstance(root, XMLListElement):
        for item in root._elements():
            yield from elements(item)
