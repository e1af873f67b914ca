"""Rules about who may do what: application/auth-policy+xml, RFC 4745. What may be done is in `presrules` and `dialogrules`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sipsimple.payloads import (
    KeyedList,
    ValidationError,
    XMLAttribute,
    XMLDateTimeElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementID,
    XMLEmptyElement,
    XMLListElement,
    XMLListRootElement,
    XMLLocalizedStringElement,
)
from sipsimple.payloads.datatypes import ID, AnyURI, DateTime

__all__ = [
    'ActionElement', 'Actions', 'CommonPolicyDocument', 'ConditionElement', 'Conditions', 'FalseCondition', 'Identity', 'IdentityExcept', 'IdentityMany',
    'IdentityOne', 'Rule', 'RuleDisplayName', 'RuleExtension', 'RuleSet', 'Sphere', 'TransformationElement', 'Transformations', 'Validity', 'ValidityFrom',
    'ValidityInterval', 'ValidityUntil', 'agp_cp_namespace', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:common-policy'
agp_cp_namespace = 'urn:ag-projects:xml:ns:common-policy'


class CommonPolicyDocument(XMLDocument):
    """A document of rules."""

    content_type = 'application/auth-policy+xml'


CommonPolicyDocument.register_namespace(namespace, prefix='cp', schema='common-policy.xsd')
CommonPolicyDocument.register_namespace(agp_cp_namespace, prefix='agp-cp', schema='agp-common-policy.xsd')


class ConditionElement:
    """Marker of further conditions."""


class ActionElement:
    """Marker of actions."""


class TransformationElement:
    """Marker of transformations."""


class RuleExtension:
    """Marker of extensions of `Rule`."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = CommonPolicyDocument


_DOMAIN = re.compile(r'(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?:[^@]*@)?(?P<domain>\[[^\]]*\]|[^:;?/>\s]*)')


def _domain_of(uri: str) -> str:
    match = _DOMAIN.match(str(uri))
    return match['domain'].lower() if match else ''


# Conditions

class IdentityOne(_Element, tag='one'):
    """One URI.

    Args:
        id: the URI.
    """

    id = XMLElementID('id', type=AnyURI, required=True)

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id

    def matches(self, uri: str) -> bool:
        """Whether it is this URI."""
        return bool(self.id == AnyURI(uri))


class IdentityExcept(_Element, tag='except'):
    """A URI or domain that is left out.

    Args:
        id: the URI.
        domain: the domain; one of both is told.
    """

    id = XMLAttribute('id', type=AnyURI)
    domain = XMLAttribute('domain', type=str)

    def __init__(self, id: str | None = None, domain: str | None = None) -> None:
        super().__init__()
        self.id = id
        self.domain = domain

    def check_validity(self) -> None:
        """Look whether there is a URI or a domain, and not both."""
        super().check_validity()
        if (self.id is None) == (self.domain is None):
            raise ValidationError('an exception is a URI or a domain')

    def matches(self, uri: str) -> bool:
        """Whether the URI is not left out."""
        return bool(self.id != AnyURI(uri)) if self.id is not None else self.domain is None or self.domain.lower() != _domain_of(uri)


class IdentityMany(XMLListElement, _Element, tag='many'):
    """Everybody, or everybody in a domain, without exceptions.

    Args:
        domain: the domain, or None.
        exceptions: `IdentityExcept`.
    """

    _xml_item_types = (IdentityExcept,)
    domain = XMLAttribute('domain', type=str)

    def __init__(self, domain: str | None = None, exceptions: Iterable[IdentityExcept] = ()) -> None:
        super().__init__()
        self.domain = domain
        self.update(exceptions)

    def matches(self, uri: str) -> bool:
        """Whether the URI is in the domain and no exception."""
        return (self.domain is None or self.domain.lower() == _domain_of(uri)) and all(item.matches(uri) for item in self)


class Identity(XMLListElement, _Element, tag='identity'):
    """Who it is: any of the items.

    Args:
        identities: `IdentityOne` and `IdentityMany`.
    """

    _xml_item_types = (IdentityOne, IdentityMany)

    def __init__(self, identities: Iterable[IdentityOne | IdentityMany] = ()) -> None:
        super().__init__()
        self.update(identities)

    def matches(self, uri: str) -> bool:
        """Whether any of the items matches the URI."""
        return any(item.matches(uri) for item in self)


class Sphere(_Element, tag='sphere'):
    """The part of life the presentity is in.

    Args:
        value: any word.
    """

    value = XMLAttribute('value', type=str, required=True)

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value


class ValidityFrom(XMLDateTimeElement, _Element, tag='from'):
    """The beginning of an interval."""


class ValidityUntil(XMLDateTimeElement, _Element, tag='until'):
    """The end of an interval."""


class ValidityInterval:
    """A time, from a moment until another; both are `DateTime`."""

    def __init__(self, from_timestamp: Any, until_timestamp: Any) -> None:
        self.from_timestamp = DateTime(from_timestamp)
        self.until_timestamp = DateTime(until_timestamp)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ValidityInterval):
            return (self.from_timestamp, self.until_timestamp) == (other.from_timestamp, other.until_timestamp)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.from_timestamp, self.until_timestamp))

    def __repr__(self) -> str:
        return f'ValidityInterval({str(self.from_timestamp)!r}, {str(self.until_timestamp)!r})'


class Validity(_Element, tag='validity'):
    """Times at which the rule holds: iterates over `ValidityInterval`.

    Args:
        intervals: at least one when it is written.
    """

    def __init__(self, intervals: Iterable[ValidityInterval] = ()) -> None:
        super().__init__()
        self._intervals: list[ValidityInterval] = []
        self.update(intervals)

    def _parse_content(self) -> None:
        moments = [kind.from_element(node).value for node in self.element for kind in (ValidityFrom, ValidityUntil) if node.tag == kind.qname]
        self._intervals = [ValidityInterval(*pair) for pair in zip(moments[::2], moments[1::2], strict=False)]

    def _write(self) -> None:
        del self.element[:]
        for interval in self._intervals:
            self.element.append(ValidityFrom(interval.from_timestamp).element)
            self.element.append(ValidityUntil(interval.until_timestamp).element)
        self._dirty = self._changed = True

    def check_validity(self) -> None:
        """Look whether there is an interval."""
        super().check_validity()
        if not self._intervals:
            raise ValidationError('a validity has at least one interval')

    def _content(self) -> Any:
        return self._intervals

    def __iter__(self) -> Iterator[ValidityInterval]:
        return iter(list(self._intervals))

    def __len__(self) -> int:
        return len(self._intervals)

    def __contains__(self, interval: object) -> bool:
        return interval in self._intervals

    def add(self, interval: ValidityInterval) -> None:
        """Add an interval behind the others."""
        if not isinstance(interval, ValidityInterval):
            raise TypeError(f'{type(interval).__name__} is no interval')
        self._intervals.append(interval)
        self._write()

    def remove(self, interval: ValidityInterval) -> None:
        """Take an interval out; KeyError when it is not there."""
        if interval not in self._intervals:
            raise KeyError(interval)
        self._intervals.remove(interval)
        self._write()

    def update(self, intervals: Iterable[ValidityInterval]) -> None:
        """Add all of them."""
        for interval in intervals:
            self.add(interval)

    def clear(self) -> None:
        """Take all of them out."""
        self._intervals.clear()
        self._write()


class Conditions(XMLListElement, _Element, tag='conditions'):
    """When the rule holds: when all of the items do.

    Args:
        conditions: `Identity`, `Sphere`, `Validity`, and elements of the kind `ConditionElement`.
    """

    _xml_item_types = (Identity, Sphere, Validity, ConditionElement)

    def __init__(self, conditions: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(conditions)


class Actions(XMLListElement, _Element, tag='actions'):
    """What is done.

    Args:
        actions: elements of the kind `ActionElement`.
    """

    _xml_item_types = (ActionElement,)

    def __init__(self, actions: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(actions)


class Transformations(XMLListElement, _Element, tag='transformations'):
    """What is shown.

    Args:
        transformations: elements of the kind `TransformationElement`.
    """

    _xml_item_types = (TransformationElement,)

    def __init__(self, transformations: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(transformations)


# Rules

class Rule(_Element, tag='rule'):
    """A rule.

    Args:
        id: name, unique in the document.
        conditions, actions, transformations: lists, or the items of them, or None.
    """

    _xml_extension_type = RuleExtension
    _xml_children_order = {Conditions.qname: 0, Actions.qname: 1, Transformations.qname: 2}
    id = XMLElementID('id', type=ID, required=True)
    conditions = XMLElementChild('conditions', type=Conditions)
    actions = XMLElementChild('actions', type=Actions)
    transformations = XMLElementChild('transformations', type=Transformations)

    def __init__(self, id: str, conditions: Any = None, actions: Any = None, transformations: Any = None) -> None:
        super().__init__()
        self.id = id
        self.conditions = conditions
        self.actions = actions
        self.transformations = transformations


class RuleSet(KeyedList, XMLListRootElement, _Element, tag='ruleset'):
    """Rules, by id.

    Args:
        rules: what to begin with.
    """

    _xml_item_types = (Rule,)
    _xml_children_order = {Rule.qname: 0}

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        super().__init__()
        self.update(rules)


# Private extensions

class FalseCondition(XMLEmptyElement, ConditionElement, tag='false-condition'):
    """A condition that never holds."""

    _xml_namespace = agp_cp_namespace
    _xml_document = CommonPolicyDocument


class RuleDisplayName(XMLLocalizedStringElement, RuleExtension, tag='display-name'):
    """What to show of a rule: `Rule.display_name`."""

    _xml_namespace = agp_cp_namespace
    _xml_document = CommonPolicyDocument


Rule.register_extension('display_name', type=RuleDisplayName)
