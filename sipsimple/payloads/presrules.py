"""Who may see presence, and how much of it: application/auth-policy+xml, RFC 5025."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import All, XMLAttribute, XMLBooleanElement, XMLElement, XMLEmptyElement, XMLListElement, XMLSimpleElement, XMLStringElement
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


class SubHandling(XMLSimpleElement, _Element, ActionElement):
    """What is done with a subscription: a `SubHandlingValue`."""

    _xml_tag = 'sub-handling'
    _xml_value_type = SubHandlingValue


# Transformations: which persons, devices and services are shown

class Class(XMLStringElement, _Element):
    """A class, as rich presence (`rpid`) says it."""

    _xml_tag = 'class'


class OccurenceID(XMLStringElement, _Element):
    """The id of a person, device or service in a document."""

    _xml_tag = 'occurence-id'


class DeviceID(XMLStringElement, _Element):
    """The URI of a device."""

    _xml_tag = 'deviceID'


class ServiceURI(XMLStringElement, _Element):
    """The URI of a service."""

    _xml_tag = 'service-uri'


class ServiceURIScheme(XMLStringElement, _Element):
    """The scheme of the URI of a service."""

    _xml_tag = 'service-uri-scheme'


class _AllDevices(XMLEmptyElement, _Element):
    _xml_tag = 'all-devices'


class _AllPersons(XMLEmptyElement, _Element):
    _xml_tag = 'all-persons'


class _AllServices(XMLEmptyElement, _Element):
    _xml_tag = 'all-services'


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


class ProvideDevices(_Provide):
    """Which devices are shown.

    Args:
        provides: `All`, or `DeviceID`, `OccurenceID`, `Class`, and elements of the kind `ProvideDeviceElement`.
    """

    _xml_tag = 'provide-devices'
    _xml_item_types = (DeviceID, OccurenceID, Class, _AllDevices, ProvideDeviceElement)
    _xml_all = _AllDevices


class ProvidePersons(_Provide):
    """Which persons are shown.

    Args:
        provides: `All`, or `OccurenceID`, `Class`, and elements of the kind `ProvidePersonElement`.
    """

    _xml_tag = 'provide-persons'
    _xml_item_types = (OccurenceID, Class, _AllPersons, ProvidePersonElement)
    _xml_all = _AllPersons


class ProvideServices(_Provide):
    """Which services are shown.

    Args:
        provides: `All`, or `ServiceURI`, `ServiceURIScheme`, `OccurenceID`, `Class`, and elements of the kind `ProvideServiceElement`.
    """

    _xml_tag = 'provide-services'
    _xml_item_types = (ServiceURI, ServiceURIScheme, OccurenceID, Class, _AllServices, ProvideServiceElement)
    _xml_all = _AllServices


# Transformations: what is shown of them

class _ProvideBoolean(XMLBooleanElement, _Element, TransformationElement):
    _xml_is_base = True


class ProvideActivities(_ProvideBoolean):
    """Whether activities are shown."""

    _xml_tag = 'provide-activities'


class ProvideClass(_ProvideBoolean):
    """Whether classes are shown."""

    _xml_tag = 'provide-class'


class ProvideDeviceID(_ProvideBoolean):
    """Whether the ids of devices are shown."""

    _xml_tag = 'provide-deviceID'


class ProvideMood(_ProvideBoolean):
    """Whether moods are shown."""

    _xml_tag = 'provide-mood'


class ProvidePlaceIs(_ProvideBoolean):
    """Whether it is shown what can be done at the place."""

    _xml_tag = 'provide-place-is'


class ProvidePlaceType(_ProvideBoolean):
    """Whether the kind of the place is shown."""

    _xml_tag = 'provide-place-type'


class ProvidePrivacy(_ProvideBoolean):
    """Whether privacy is shown."""

    _xml_tag = 'provide-privacy'


class ProvideRelationship(_ProvideBoolean):
    """Whether relationships are shown."""

    _xml_tag = 'provide-relationship'


class ProvideStatusIcon(_ProvideBoolean):
    """Whether pictures are shown."""

    _xml_tag = 'provide-status-icon'


class ProvideSphere(_ProvideBoolean):
    """Whether spheres are shown."""

    _xml_tag = 'provide-sphere'


class ProvideTimeOffset(_ProvideBoolean):
    """Whether the zone of time is shown."""

    _xml_tag = 'provide-time-offset'


class ProvideNote(_ProvideBoolean):
    """Whether notes are shown."""

    _xml_tag = 'provide-note'


class _UserInputValue(Keyword):
    __slots__ = ()
    words = frozenset({'false', 'bare', 'thresholds', 'full'})


class ProvideUserInput(XMLSimpleElement, _Element, TransformationElement):
    """How much of user input is shown: `false`, `bare`, `thresholds` or `full`."""

    _xml_tag = 'provide-user-input'
    _xml_value_type = _UserInputValue


class ProvideUnknownAttribute(XMLBooleanElement, _Element, TransformationElement):
    """Whether an element of another namespace is shown.

    Args:
        ns: its namespace.
        name: its name.
        value: True or False.
    """

    _xml_tag = 'provide-unknown-attribute'
    ns = XMLAttribute('ns', type=str, required=True)
    name = XMLAttribute('name', type=str, required=True)

    def __init__(self, ns: str, name: str, value: bool) -> None:
        super().__init__(value)
        self.ns = ns
        self.name = name


class ProvideAllAttributes(XMLEmptyElement, _Element, TransformationElement):
    """Everything is shown."""

    _xml_tag = 'provide-all-attributes'


class PresRules(RuleSet):
    """Rules about presence, by id.

    Args:
        rules: what to begin with.
    """

    _xml_document = PresRulesDocument

    def __init__(self, rules: Iterable[Any] = ()) -> None:
        super().__init__(rules)
