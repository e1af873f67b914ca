"""What documents a user has on an XCAP server: application/vnd.oma.xcap-directory+xml, OMA XDM Core 1.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLAttribute, XMLDocument, XMLElement, XMLElementChild, XMLElementID, XMLListElement, XMLListRootElement, XMLStringElement
from sipsimple.payloads.datatypes import AnyURI, DateTime, PositiveInteger

__all__ = ['Entry', 'ErrorCode', 'Folder', 'XCAPDirectory', 'XCAPDirectoryDocument', 'namespace']

namespace = 'urn:oma:xml:xdm:xcap-directory'


class XCAPDirectoryDocument(XMLDocument):
    """A directory of documents."""

    content_type = 'application/vnd.oma.xcap-directory+xml'


XCAPDirectoryDocument.register_namespace(namespace, prefix=None, schema='xcap-directory.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = XCAPDirectoryDocument


class Entry(_Element, tag='entry'):
    """A document.

    Args:
        uri: where it is.
        etag: its entity tag.
        last_modified: datetime, or ISO 8601 text.
        size: bytes, above 0.
    """

    uri = XMLElementID('uri', type=AnyURI, required=True)
    etag = XMLAttribute('etag', type=str, required=True)
    last_modified = XMLAttribute('last_modified', xmlname='last-modified', type=DateTime)
    size = XMLAttribute('size', type=PositiveInteger)

    def __init__(self, uri: str, etag: str, last_modified: Any = None, size: int | None = None) -> None:
        super().__init__()
        self.uri = uri
        self.etag = etag
        self.last_modified = last_modified
        self.size = size


class ErrorCode(XMLStringElement, _Element, tag='error-code'):
    """Why the documents of a folder are not told."""


class Folder(XMLListElement, _Element, tag='folder'):
    """The documents of an application.

    Args:
        auid: the application.
        entries: what to begin with.

    Attributes:
        error_code: why they are not told, or None; setting it takes the entries away, and none may be added then (ValueError).
    """

    _xml_item_types = (Entry,)
    auid = XMLElementID('auid', type=str, required=True)
    error_code = XMLElementChild('error_code', type=ErrorCode, onset=lambda folder, descriptor, value: folder.clear())

    def __init__(self, auid: str, entries: Iterable[Entry] = (), error_code: str | None = None) -> None:
        super().__init__()
        self.auid = auid
        self.error_code = error_code
        self.update(entries)

    def add(self, item: Any) -> None:
        if self.error_code is not None:
            raise ValueError('a folder with an error code has no entries')
        super().add(item)


class XCAPDirectory(XMLListRootElement, _Element, tag='xcap-directory'):
    """The documents of a user.

    Args:
        folders: what to begin with.
    """

    _xml_item_types = (Folder,)
    _xml_children_order = {Folder.qname: 0}

    def __init__(self, folders: Iterable[Folder] = ()) -> None:
        super().__init__()
        self.update(folders)
