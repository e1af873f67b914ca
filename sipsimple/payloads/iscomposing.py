"""Composing indications: application/im-iscomposing+xml, RFC 3994."""

from __future__ import annotations

from typing import Any, Self

from sipsimple.payloads import XMLDateTimeElement, XMLDocument, XMLElementChild, XMLPositiveIntegerElement, XMLRootElement, XMLSimpleElement, XMLStringElement
from sipsimple.payloads.datatypes import Keyword

__all__ = ['ContentType', 'IsComposingDocument', 'IsComposingMessage', 'LastActive', 'Refresh', 'State', 'namespace']

namespace = 'urn:ietf:params:xml:ns:im-iscomposing'


class IsComposingDocument(XMLDocument):
    """A composing indication."""

    content_type = 'application/im-iscomposing+xml'
    max_size = 1 << 16


IsComposingDocument.register_namespace(namespace, prefix=None, schema='im-iscomposing.xsd')


class _StateValue(Keyword):
    """A state that nobody knows means idle (RFC 3994, 3.2)."""

    __slots__ = ()
    words = frozenset({'active', 'idle'})

    @classmethod
    def __xmlparse__(cls, text: str) -> Self:
        return cls(text if text in cls.words else 'idle')


class State(XMLSimpleElement, tag='state'):
    """`active` or `idle`."""

    _xml_namespace = namespace
    _xml_document = IsComposingDocument
    _xml_value_type = _StateValue


class LastActive(XMLDateTimeElement, tag='lastactive'):
    """When there was the last keystroke."""

    _xml_namespace = namespace
    _xml_document = IsComposingDocument


class ContentType(XMLStringElement, tag='contenttype'):
    """The MIME type, or the first part of it, of what is being composed."""

    _xml_namespace = namespace
    _xml_document = IsComposingDocument


class Refresh(XMLPositiveIntegerElement, tag='refresh'):
    """Seconds between indications while composing goes on."""

    _xml_namespace = namespace
    _xml_document = IsComposingDocument


class IsComposingMessage(XMLRootElement, tag='isComposing'):
    """A composing indication.

    Args:
        state: `active` or `idle`.
        last_active: datetime, or ISO 8601 text.
        content_type: MIME type of what is being composed.
        refresh: seconds, above 0.
    """

    _xml_namespace = namespace
    _xml_document = IsComposingDocument
    state = XMLElementChild('state', type=State, required=True)
    last_active = XMLElementChild('last_active', type=LastActive)
    content_type = XMLElementChild('content_type', type=ContentType)
    refresh = XMLElementChild('refresh', type=Refresh)
    _xml_children_order = {State.qname: 0, LastActive.qname: 1, ContentType.qname: 2, Refresh.qname: 3}

    def __init__(self, state: str, last_active: Any = None, content_type: str | None = None, refresh: int | None = None) -> None:
        super().__init__()
        self.state = state
        self.last_active = last_active
        self.content_type = content_type
        self.refresh = refresh
