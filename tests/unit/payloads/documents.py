"""The documents of `data/` and what every test of them needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from sipsimple.payloads import XMLElement, XMLListElement

DATA = Path(__file__).parent / 'data'

# First word of the file's name, which is also the module -> document type.
TYPES = {
    'commonpolicy': 'CommonPolicyDocument', 'conference': 'ConferenceDocument', 'dialoginfo': 'DialogInfoDocument', 'dialogrules': 'DialogRulesDocument',
    'directory': 'XCAPDirectoryDocument', 'imdn': 'IMDNDocument', 'iscomposing': 'IsComposingDocument', 'pidf': 'PIDFDocument',
    'prescontent': 'PresenceContentDocument', 'presrules': 'PresRulesDocument', 'rcsfthttp': 'FTHTTPDocument', 'resourcelists': 'ResourceListsDocument',
    'rlmi': 'RLMIDocument', 'rlsservices': 'RLSServicesDocument', 'watcherinfo': 'WatcherInfoDocument', 'xcapcaps': 'XCAPCapabilitiesDocument',
    'xcapdiff': 'XCAPDiffDocument',
}


def names() -> list[str]:
    return sorted(path.name for path in DATA.glob('*.xml'))


def load(name: str) -> tuple[type, bytes]:
    """The document type and the text of a file."""
    for extension in ('addressbook', 'caps', 'cipid', 'omapolicy', 'rpid'):     # they add to the classes of others
        importlib.import_module(f'sipsimple.payloads.{extension}')
    module = name.partition('-')[0]
    return getattr(importlib.import_module(f'sipsimple.payloads.{module}'), TYPES[module]), (DATA / name).read_bytes()


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
