"""Where to find out more of somebody: extensions of presence documents, RFC 4482.

Importing the module adds `card`, `homepage`, `icon`, `map`, `sound` and `display_name` to `pidf.Person` and `pidf.Service`.
"""

from __future__ import annotations

from sipsimple.payloads import XMLAnyURIElement, XMLElement, XMLLocalizedStringElement
from sipsimple.payloads.pidf import Person, PersonExtension, PIDFDocument, Service, ServiceExtension

__all__ = ['Card', 'DisplayName', 'Homepage', 'Icon', 'Map', 'Sound', 'namespace']

namespace = 'urn:ietf:params:xml:ns:pidf:cipid'

PIDFDocument.register_namespace(namespace, prefix='c', schema='cipid.xsd')


class _Element(XMLElement, PersonExtension, ServiceExtension):
    _xml_namespace = namespace
    _xml_document = PIDFDocument


class Card(XMLAnyURIElement, _Element, tag='card'):
    """URI of a business card, such as a vCard."""


class DisplayName(XMLLocalizedStringElement, _Element, tag='display-name'):
    """The name to show."""


class Homepage(XMLAnyURIElement, _Element, tag='homepage'):
    """URI of a page about the person or service."""


class Icon(XMLAnyURIElement, _Element, tag='icon'):
    """URI of a picture."""


class Map(XMLAnyURIElement, _Element, tag='map'):
    """URI of a map."""


class Sound(XMLAnyURIElement, _Element, tag='sound'):
    """URI of a sound, such as the name spoken."""


for _owner in (Person, Service):
    _owner.register_extension('card', type=Card)
    _owner.register_extension('display_name', type=DisplayName)
    _owner.register_extension('homepage', type=Homepage)
    _owner.register_extension('icon', type=Icon)
    _owner.register_extension('map', type=Map)
    _owner.register_extension('sound', type=Sound)
