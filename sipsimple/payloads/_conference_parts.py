"""What the users of a conference and the conference itself are made of (RFC 4575)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    XMLAnyURIElement,
    XMLAttribute,
    XMLDateTimeElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLKeywordElement,
    XMLListElement,
    XMLStringElement,
)
from sipsimple.payloads.datatypes import Keyword

__all__ = [
    'By', 'ConferenceDocument', 'ConferenceElement', 'DisplayText', 'ExecutionInfo', 'MediaStatus', 'MediaType', 'Purpose', 'Reason', 'State', 'URI',
    'UrisType', 'UrisTypeEntry', 'UrisTypeModified', 'When', 'agp_conf_namespace', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:conference-info'
agp_conf_namespace = 'urn:ag-projects:xml:ns:conference-info'


class ConferenceDocument(XMLDocument):
    """A document of conference state."""

    content_type = 'application/conference-info+xml'


ConferenceDocument.register_namespace(namespace, prefix=None, schema='conference.xsd')
ConferenceDocument.register_namespace(agp_conf_namespace, prefix='agp-conf', schema='agp-conference.xsd')


class ConferenceElement(XMLElement):
    """Base of all elements."""

    _xml_namespace = namespace
    _xml_document = ConferenceDocument


class State(Keyword):
    """`full`, `partial` or `deleted` (RFC 4575, 4.4)."""

    __slots__ = ()
    words = frozenset({'full', 'partial', 'deleted'})


class DisplayText(XMLStringElement, ConferenceElement, tag='display-text'):
    """What to show of the thing."""


class When(XMLDateTimeElement, ConferenceElement, tag='when'):
    """When something was done."""


class Reason(XMLStringElement, ConferenceElement, tag='reason'):
    """Why something was done."""


class By(XMLStringElement, ConferenceElement, tag='by'):
    """Who did it."""


class ExecutionInfo(ConferenceElement):
    """When, why and by whom something was done.

    Args:
        when: datetime or ISO 8601 text.
        reason: text.
        by: URI.
    """

    when = XMLElementChild('when', type=When)
    reason = XMLElementChild('reason', type=Reason)
    by = XMLElementChild('by', type=By)
    _xml_children_order = {When.qname: 0, Reason.qname: 1, By.qname: 2}

    def __init__(self, when: Any = None, reason: str | None = None, by: str | None = None) -> None:
        super().__init__()
        self.when = when
        self.reason = reason
        self.by = by


class UrisTypeModified(ExecutionInfo, tag='modified'):
    """The last change of a URI's entry."""


class URI(XMLAnyURIElement, ConferenceElement, tag='uri'):
    """The URI of an entry."""


class Purpose(XMLStringElement, ConferenceElement, tag='purpose'):
    """What a URI is for."""


class UrisTypeEntry(ConferenceElement, tag='entry'):
    """A URI.

    Args:
        uri: the URI.
        state: of the entry, for partial updates.
        display_text, purpose: text.
        modified: `UrisTypeModified`.
    """

    state = XMLAttribute('state', type=State, default='full')
    uri = XMLElementChild('uri', type=URI, required=True)
    display_text = XMLElementChild('display_text', type=DisplayText)
    purpose = XMLElementChild('purpose', type=Purpose)
    modified = XMLElementChild('modified', type=UrisTypeModified)
    _xml_children_order = {URI.qname: 0, DisplayText.qname: 1, Purpose.qname: 2, UrisTypeModified.qname: 3}

    def __init__(self, uri: str, state: str | None = None, display_text: str | None = None, purpose: str | None = None,
                 modified: UrisTypeModified | None = None) -> None:
        super().__init__()
        self.uri = uri
        self.state = state
        self.display_text = display_text
        self.purpose = purpose
        self.modified = modified


class UrisType(XMLListElement, ConferenceElement):
    """A list of URIs."""

    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, entries: Iterable[UrisTypeEntry] = (), state: str | None = None) -> None:
        super().__init__()
        self.state = state
        self.update(entries)


class MediaType(XMLStringElement, ConferenceElement, tag='type'):
    """`audio`, `video`, `text`, `message`, or another top-level media type."""


class MediaStatus(XMLKeywordElement, ConferenceElement, tag='status'):
    """`sendrecv`, `sendonly`, `recvonly` or `inactive`, seen from the focus for available media, from the participant otherwise."""

    _xml_value_words = ('sendrecv', 'sendonly', 'recvonly', 'inactive')
