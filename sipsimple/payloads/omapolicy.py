"""Further conditions of rules about presence and dialogs, of the Open Mobile Alliance (Presence SIMPLE XDM 1.1).

Importing the module makes `presrules` and `dialogrules` know them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLElement, XMLElementID, XMLEmptyElement, XMLListElement
from sipsimple.payloads.commonpolicy import ConditionElement
from sipsimple.payloads.datatypes import AnyURI
from sipsimple.payloads.dialogrules import DialogRulesDocument
from sipsimple.payloads.presrules import PresRulesDocument

__all__ = ['AnonymousRequest', 'Entry', 'ExternalList', 'OtherIdentity', 'namespace']

namespace = 'urn:oma:xml:xdm:common-policy'

for _document in (PresRulesDocument, DialogRulesDocument):
    _document.register_namespace(namespace, prefix='ocp', schema='oma-common-policy.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = PresRulesDocument


class OtherIdentity(XMLEmptyElement, _Element, ConditionElement, tag='other-identity'):
    """Whoever matches no other rule."""


class AnonymousRequest(XMLEmptyElement, _Element, ConditionElement, tag='anonymous-request'):
    """Whoever does not say who it is."""


class Entry(_Element, tag='entry'):
    """The URI of a list; seen as str."""

    uri = XMLElementID('uri', xmlname='anc', type=AnyURI, required=True)

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.uri = uri

    def __str__(self) -> str:
        return str(self.uri)


class ExternalList(XMLListElement, _Element, ConditionElement, tag='external-list'):
    """Whoever is in one of some lists; their URIs are read and written as str.

    Args:
        entries: what to begin with.
    """

    _xml_item_types = (Entry,)

    def __init__(self, entries: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(entries)

    def _encode_item(self, value: Any) -> XMLElement:
        return Entry(value) if isinstance(value, str) else super()._encode_item(value)

    def _decode_item(self, item: XMLElement) -> Any:
        return str(item)


for _element in (OtherIdentity, AnonymousRequest, ExternalList):
    DialogRulesDocument.register_element(_element)
