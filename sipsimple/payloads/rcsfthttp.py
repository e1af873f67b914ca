"""Files that were put on a server for the receiver: application/vnd.gsma.rcs-ft-http+xml, GSMA RCC.07."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLListRootElement,
    XMLNonNegativeIntegerElement,
    XMLStringElement,
)
from sipsimple.payloads.datatypes import AnyURI, DateTime, Keyword

__all__ = [
    'BrandedURL', 'ContentType', 'Data', 'FTHTTPDocument', 'FTHTTPMessage', 'FileHash', 'FileInfo', 'FileName', 'FileSize', 'FileType',
    'extension_namespace', 'namespace',
]

namespace = 'urn:gsma:params:xml:ns:rcs:rcs:fthttp'
extension_namespace = 'urn:gsma:params:xml:ns:rcs:rcs:up:fthttpext'


class FTHTTPDocument(XMLDocument):
    """A document about files."""

    content_type = 'application/vnd.gsma.rcs-ft-http+xml'


FTHTTPDocument.register_namespace(namespace, prefix=None, schema='rcs-ft-http.xsd')
FTHTTPDocument.register_namespace(extension_namespace, prefix='x', schema='rcs-ft-http-ext.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = FTHTTPDocument


class FileType(Keyword):
    """`file` or `thumbnail`."""

    __slots__ = ()
    words = frozenset({'file', 'thumbnail'})


class FileSize(XMLNonNegativeIntegerElement, _Element, tag='file-size'):
    """Bytes."""


class FileName(XMLStringElement, _Element, tag='file-name'):
    """The name of the file."""


class ContentType(XMLStringElement, _Element, tag='content-type'):
    """The MIME type of the file."""


class Data(_Element, tag='data'):
    """Where the file is.

    Args:
        url: URL to get it from.
        until: how long it is there: datetime, or ISO 8601 text.
    """

    url = XMLAttribute('url', type=AnyURI, required=True)
    until = XMLAttribute('until', type=DateTime)

    def __init__(self, url: str, until: Any = None) -> None:
        super().__init__()
        self.url = url
        self.until = until


class BrandedURL(XMLAnyURIElement, _Element, tag='branded-url'):
    """Where people may look at the file."""

    _xml_namespace = extension_namespace


class FileHash(XMLStringElement, _Element, tag='file-hash'):
    """A hash of the file."""

    _xml_namespace = extension_namespace


class FileInfo(_Element, tag='file-info'):
    """A file.

    Args:
        type: `file`, or `thumbnail` for a small picture of it.
        file_disposition: what to do with it: `attachment` or `render`.
        file_size: bytes.
        file_name: needed for a file.
        content_type: MIME type.
        data: `Data`; made of `url` and `until` when it is not told.
        branded_url, hash: text.
        url, until: see `Data`.
    """

    _xml_children_order = {FileSize.qname: 0, FileName.qname: 1, ContentType.qname: 2, Data.qname: 3, BrandedURL.qname: 4, FileHash.qname: 5}
    type = XMLAttribute('type', type=FileType, required=True)
    file_disposition = XMLAttribute('file_disposition', xmlname='file-disposition', type=str)
    file_size = XMLElementChild('file_size', type=FileSize, required=True)
    file_name = XMLElementChild('file_name', type=FileName)
    content_type = XMLElementChild('content_type', type=ContentType, required=True)
    data = XMLElementChild('data', type=Data, required=True)
    branded_url = XMLElementChild('branded_url', type=BrandedURL)
    hash = XMLElementChild('hash', type=FileHash)

    def __init__(self, type: str = 'file', file_disposition: str | None = None, file_size: int | None = None, file_name: str | None = None,
                 content_type: str | None = None, data: Data | None = None, branded_url: str | None = None, hash: str | None = None, url: str | None = None,
                 until: Any = None) -> None:
        super().__init__()
        self.type = type
        self.file_disposition = file_disposition
        self.file_size = file_size
        self.file_name = file_name
        self.content_type = content_type
        self.data = Data(url, until) if data is None and url is not None else data
        self.branded_url = branded_url
        self.hash = hash

    def check_validity(self) -> None:
        """Look whether a file has its name."""
        super().check_validity()
        if self.type == 'file' and self.file_name is None:
            raise ValidationError('a file has a name')


class FTHTTPMessage(XMLListRootElement, _Element, tag='file'):
    """Files: a file, and maybe its thumbnail.

    Args:
        files: what to begin with.
    """

    _xml_item_types = (FileInfo,)

    def __init__(self, files: Iterable[FileInfo] = ()) -> None:
        super().__init__()
        self.update(files)
