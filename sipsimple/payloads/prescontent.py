"""Content that presence refers to, such as icons: application/vnd.oma.pres-content+xml, OMA Presence SIMPLE Content XDM."""

from __future__ import annotations

from typing import Any

from sipsimple.payloads import XMLDocument, XMLElement, XMLElementChild, XMLLocalizedStringElement, XMLRootElement, XMLStringElement

__all__ = ['Data', 'Description', 'Encoding', 'MIMEType', 'PresenceContent', 'PresenceContentDocument', 'namespace']

namespace = 'urn:oma:xml:prs:pres-content'


class PresenceContentDocument(XMLDocument):
    """A document with content."""

    content_type = 'application/vnd.oma.pres-content+xml'


PresenceContentDocument.register_namespace(namespace, prefix=None, schema='pres-content.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = PresenceContentDocument


class MIMEType(XMLStringElement, _Element, tag='mime-type'):
    """The MIME type of the content."""


class Encoding(XMLStringElement, _Element, tag='encoding'):
    """How the content is written; base64."""


class Description(XMLLocalizedStringElement, _Element, tag='description'):
    """What it is, in words."""


class Data(XMLStringElement, _Element, tag='data'):
    """The content, as it is written."""


class PresenceContent(XMLRootElement, _Element, tag='content'):
    """Content.

    Args:
        data: text, in base64 when the encoding is that.
        mime_type, encoding: text.
        description: text, or `Description`.
    """

    _xml_children_order = {MIMEType.qname: 0, Encoding.qname: 1, Description.qname: 2, Data.qname: 3}
    mime_type = XMLElementChild('mime_type', type=MIMEType)
    encoding = XMLElementChild('encoding', type=Encoding)
    description = XMLElementChild('description', type=Description)
    data = XMLElementChild('data', type=Data, required=True)

    def __init__(self, data: str, mime_type: str | None = None, encoding: str | None = None, description: Any = None) -> None:
        super().__init__()
        self.mime_type = mime_type
        self.encoding = encoding
        self.description = description
        self.data = data
