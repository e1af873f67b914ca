"""Who may see presence, and how much of it: application/auth-policy+xml, RFC 5025."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    All,
    XMLAttribute,
    XMLBooleanElement,
    XMLElement,
    XMLEmptyElement,
    XMLKeywordElement,
    XMLListElement,
    XMLSimpleElement,
    XMLStringElement,
)
from sipsimple.payloads.commonpolicy import ActionElement, CommonPolicyDocument, RuleSet, TransformationElement
from sipsimple.payloads.datatypes import Keyword

__all__ = [
    'Class', 'DeviceID', 'OccurenceID', 'PresRules', 'PresRulesDocument', 'ProvideActivities', 'ProvideAllAttributes', 'ProvideClass',
    'ProvideDeviceElement', 'ProvideDeviceID', 'ProvideDevices', 'ProvideMood', 'ProvideNote', 'ProvidePersonElement', 'ProvidePersons', 'ProvidePlaceIs',
    'ProvidePlaceType', 'ProvidePrivacy', 'ProvideRelationship', 'ProvideServiceElement', 'ProvideServices', 'ProvideSphere', 'ProvideStatusIcon',
    'ProvideTimeOffset', 'ProvideUnknownAttribute', 'ProvideUserInput', 'ServiceURI', 'ServiceURIScheme', 'SubHandling', 'SubHandlingValue', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:pres-rules'


class PresRulesDocument(CommonPolicyDocument):
    """A document of rules about presence."""


PresRulesDocument.register_namespace(namespace, prefix='pr', schema='pres-rules.xsd')


class ProvideDeviceElement:
    """Marker of further ways to choose devices."""


class ProvidePersonElement:
    """Marker of further ways to choose persons."""


class ProvideServiceElement:
    """Marker of further ways to choose services."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = PresRulesDocument


# Actions

class SubHandlingValue(Keyword):
    """`block`, `confirm`, `polite-block` or `allow`.

    Attributes:
        priority: 0, 10, 20, 30; of several rules that match, the highest counts.
    """

    __slots__ = ()
    words = frozenset({'block', 'confirm', 'polite-block', 'allow'})

    @property
    def priority(self) -> int:
        """0, 10, 20, 30; of several rules that match, the highest counts."""
        return {'block': 0, 'confirm': 10, 'polite-block': 20, 'allow': 30}[str(self)]


class SubHandling(XMLSimpleElement, _Element, ActionElement, tag='sub-handling'):
    """What is done with a subscription: a `SubHandlingValue`."""

    _xml_value_type = SubHandlingValue


# Transformations: which persons, devices and services are shown

class Class(XMLStringElement, _Element, tag='class'):
    """A class, as rich presence (`rpid`) says it."""


class OccurenceID(XMLStringElement, _Element, tag='occurence-id'):
    """The id of a person, device or service in a document."""


class DeviceID(XMLStringElement, _Element, tag='deviceID'):
    """The URI of a device."""


class ServiceURI(XMLStringElement, _Element, tag='service-uri'):
    """The URI of a service."""


class ServiceURIScheme(XMLStringElement, _Element, tag='service-uri-scheme'):
    """The scheme of the URI of a service."""


class _AllDevices(XMLEmptyElement, _Element, tag='all-devices'):
    pass


class _AllPersons(XMLEmptyElement, _Element, tag='all-persons'):
    pass


class _AllServices(XMLEmptyElement, _Element, tag='all-services'):
    pass


class _Provide(XMLListElement, _Element, TransformationElement):
    """A choice of some, or `All`, which stands alone."""

    _xml_is_base = True
    _xml_all: Any = None

    def __init__(self, provides: Any = ()) -> None:
        super().__init__()
        self.update([provides] if provides is All else provides)

    def _encode_item(self, value: Any) -> XMLElement:
        return self._xml_all() if value is All else super()._encode_item(value)

    def _decode_item(self, item: XMLElement) -> Any:
        return All if isinstance(item, self._xml_all) else item

    def add(self, item: Any) -> None:
        """Add an item; `All` takes the place of all others, and any other that of `All`."""
        element = self._encode_item(item)
        if item is All:
            self.clear()
        elif All in self:
            self.remove(All)
        self._add_element(element)


class ProvideDevices(_Provide, tag='provide-devices'):
    """Which devices are shown.

    Args:
        provides: `All`, or `DeviceID`, `OccurenceID`, `Class`, and elements of the kind `ProvideDeviceElement`.
    """

    _xml_item_types = (DeviceID, OccurenceID, Class, _AllDevices, ProvideDeviceElement)
    _xml_all = _AllDevices


class ProvidePersons(_Provide, tag='provide-persons'):
    """Which persons are shown.

    Args:
        provides: `All`, or `OccurenceID`, `Class`, and elements of the kind `ProvidePersonElement`.
    """

    _xml_item_types = (OccurenceID, Class, _AllPersons, ProvidePersonElement)
    _xml_all = _AllPersons


class ProvideServices(_Provide, tag='provide-services'):
    """Which services are shown.

    Args:
        provides: `All`, or `ServiceURI`, `ServiceURIScheme`, `OccurenceID`, `Class`, and elements of the kind `ProvideServiceElement`.
    """

    _xml_item_types = (ServiceURI, ServiceURIScheme, OccurenceID, Class, _AllServices, ProvideServiceElement)
    _xml_all = _AllServices


# Transformations: what is shown of them

class _ProvideBoolean(XMLBooleanElement, _Element, TransformationElement):
    _xml_is_base = True


class ProvideActivities(_ProvideBoolean, tag='provide-activities'):
    """Whether activities are shown."""


class ProvideClass(_ProvideBoolean, tag='provide-class'):
    """Whether classes are shown."""


class ProvideDeviceID(_ProvideBoolean, tag='provide-deviceID'):
    """Whether the ids of devices are shown."""


class ProvideMood(_ProvideBoolean, tag='provide-mood'):
    """Whether moods are shown."""


class ProvidePlaceIs(_ProvideBoolean, tag='provide-place-is'):
    """Whether it is shown what can be done at the place."""


class ProvidePlaceType(_ProvideBoolean, tag='provide-place-type'):
    """Whether the kind of the place is shown."""


class ProvidePrivacy(_ProvideBoolean, tag='provide-privacy'):
    """Whether privacy is shown."""


class ProvideRelationship(_ProvideBoolean, tag='provide-relationship'):
    """Whether relationships are shown."""


class ProvideStatusIcon(_ProvideBoolean, tag='provide-status-icon'):
    """Whether pictures are shown."""


class ProvideSphere(_ProvideBoolean, tag='provide-sphere'):
    """Whether spheres are shown."""


class ProvideTimeOffset(_ProvideBoolean, tag='provide-time-offset'):
    """Whether the zone of time is shown."""


class ProvideNote(_ProvideBoolean, tag='provide-note'):
    """Whether notes are shown."""


class ProvideUserInput(XMLKeywordElement, _Element, TransformationElement, tag='provide-user-input'):
    """How much of user input is shown: `false`, `bare`, `thresholds` or `full`."""

    _xml_value_words = ('false', 'bare', 'thresholds', 'full')


class ProvideUnknownAttribute(XMLBooleanElement, _Element, TransformationElement, tag='provide-unknown-attribute'):
    """Whether an element of another namespace is shown.

    Args:
        ns: its namespace.
        name: its name.
        value: True or False.
    """

    ns = XMLAttribute('ns', type=str, required=True)
    name = XMLAttribute('name', type=str, required=True)

    def __init__(self, ns: str, name: str, value: bool) -> None:
        super().__init__(value)
        self.ns = ns
        self.name = name


class ProvideAllAttributes(XMLEmptyElement, _Element, TransformationElement, tag='provide-all-attributes'):
    """Everything is shown."""


class PresRules(RuleSet):
    """Rules about presence, by id.

    Args:
        rules: what to begin with.
    """

    _xml_document = PresRulesDocument

    def __init__(self, rules: Iterable[Any] = ()) -> None:
        super().__init__(rules)
