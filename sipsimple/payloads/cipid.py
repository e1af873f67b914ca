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


class Card(XMLAnyURIElement, _Element):
    """URI of a business card, such as a vCard."""

    _xml_tag = 'card'


class DisplayName(XMLLocalizedStringElement, _Element):
    """The name to show."""

    _xml_tag = 'display-name'


class Homepage(XMLAnyURIElement, _Element):
    """URI of a page about the person or service."""

    _xml_tag = 'homepage'


class Icon(XMLAnyURIElement, _Element):
    """URI of a picture."""

    _xml_tag = 'icon'


class Map(XMLAnyURIElement, _Element):
    """URI of a map."""

    _xml_tag = 'map'


class Sound(XMLAnyURIElement, _Element):
    """URI of a sound, such as the name spoken."""

    _xml_tag = 'sound'


for _owner in (Person, Service):
    _owner.register_extension('card', type=Card)
    _owner.register_extension('display_name', type=DisplayName)
    _owner.register_extension('homepage', type=Homepage)
    _owner.register_extension('icon', type=Icon)
    _owner.register_extension('map', type=Map)
    _owner.register_extension('sound', type=Sound)
