"""An account's documents: where they are, what we last saw of them, and the copies of that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sipsimple.account.xcap.storage import XCAPStorageError
from sipsimple.account.xcap.uri import document_path
from sipsimple.payloads import ParserError
from sipsimple.payloads.dialogrules import DialogRulesDocument
from sipsimple.payloads.pidf import PIDFDocument
from sipsimple.payloads.prescontent import PresenceContentDocument
from sipsimple.payloads.presrules import PresRulesDocument
from sipsimple.payloads.resourcelists import ResourceListsDocument
from sipsimple.payloads.rlsservices import RLSServicesDocument
from sipsimple.payloads.xcapcaps import XCAPCapabilitiesDocument
from sipsimple.util import ISOTimestamp

__all__ = ['DOCUMENTS', 'Document', 'DocumentType']

log = logging.getLogger('sipsimple.account.xcap')


@dataclass(frozen=True)
class DocumentType:
    """One kind of document.

    Attributes:
        name: attribute of the manager.
        applications: AUIDs, the best first.
        filename: below the user's or the global tree.
        payload: class of the document.
        content_type: what it is written as.
        cache: name of the copy, or None to keep none.
        mandatory: whether there is no addressbook without it.
        global_tree: whether it is not the user's.
        beside: AUID of another document, without which it is not used; or None.
    """

    name: str
    applications: tuple[str, ...]
    filename: str
    payload: Any
    content_type: str
    cache: str | None
    mandatory: bool = False
    global_tree: bool = False
    beside: str | None = None


OMA_RULES, IETF_RULES = 'org.openmobilealliance.pres-rules', 'pres-rules'

# In the order in which they are written: what others refer to comes first.
DOCUMENTS = {kind.name: kind for kind in (
    DocumentType('resource_lists', ('resource-lists',), 'index', ResourceListsDocument, 'application/resource-lists+xml', 'resource-lists', True),
    DocumentType('rls_services', ('rls-services',), 'index', RLSServicesDocument, 'application/rls-services+xml', 'rls-services', True),
    DocumentType('pres_rules', (OMA_RULES, IETF_RULES), 'index', PresRulesDocument, 'application/auth-policy+xml', 'pres-rules', True),
    DocumentType('dialog_rules', ('org.openxcap.dialog-rules',), 'index', DialogRulesDocument, 'application/auth-policy+xml', 'dialog-rules'),
    DocumentType('pidf_manipulation', ('pidf-manipulation',), 'index', PIDFDocument, 'application/pidf+xml', 'pidf-manipulation'),
    DocumentType('status_icon', ('org.openmobilealliance.pres-content',), 'oma_status-icon/index', PresenceContentDocument,
                 'application/vnd.oma.pres-content+xml', 'status-icon'),
    # Where there are both, nobody says which of them the presence server reads. Should it be refused, all the rest is there.
    DocumentType('ietf_pres_rules', (IETF_RULES,), 'index', PresRulesDocument, 'application/auth-policy+xml', 'ietf-pres-rules', beside=OMA_RULES),
    DocumentType('server_caps', ('xcap-caps',), 'index', XCAPCapabilitiesDocument, 'application/xcap-caps+xml', None, global_tree=True),
)}


class Document:
    """A document on the server, as it was last seen; true if there is one.

    Attributes:
        name, filename, global_tree: what and where it is.
        application: AUID.
        data: its text as bytes; None if there is no document.
        etag: its entity tag; None if there is no document, or the server does not give tags.
        supported: whether the server has a place for it.
        dirty: whether we have another content for it, which is not written yet.
        fetch_time, update_time: when it was last read and written (`ISOTimestamp`); None for never in this run.
    """

    def __init__(self, kind: DocumentType, storage: Any) -> None:
        self._kind = kind
        self._storage = storage
        self._user: str | None = None
        self._root = ''
        self._parsed: tuple[bytes, Any] | None = None
        self.application = kind.applications[0]
        self.data: bytes | None = None
        self.etag: str | None = None
        self.supported = kind.global_tree
        self.dirty = False
        self.fetch_time: datetime | None = None
        self.update_time: datetime | None = None

    def __repr__(self) -> str:
        return f'<Document {self.relative_url}, {"no document" if self.data is None else f"{len(self.data)} bytes, {self.etag}"}>'

    def __bool__(self) -> bool:
        return self.data is not None

    @property
    def name(self) -> str:
        """Of the attribute of the manager."""
        return self._kind.name

    @property
    def filename(self) -> str:
        """Below the tree of the application."""
        return self._kind.filename

    @property
    def global_tree(self) -> bool:
        """Whether it is the server's and not the user's."""
        return self._kind.global_tree

    @property
    def content_type(self) -> str:
        """MIME type."""
        return self._kind.content_type

    @property
    def relative_url(self) -> str:
        """Its place below the root."""
        return document_path(self.application, None if self.global_tree else self._user, self.filename)

    @property
    def url(self) -> str:
        """Its place."""
        return f'{self._root.rstrip("/")}/{self.relative_url}'

    @property
    def content(self) -> Any:
        """The root element of the document, a copy to look at; None if there is no document, or none that can be understood."""
        data = self.data
        if data is None:
            return None
        if self._parsed is None or self._parsed[0] is not data:
            try:
                self._parsed = data, self._kind.payload.parse(data)
            except ParserError:
                self._parsed = data, None
        return self._parsed[1]

    def locate(self, root: str, account: str) -> None:
        """Say where the server is and whose document it is."""
        self._root, self._user = root, f'sip:{account}'

    def support(self, applications: list[str]) -> None:
        """Take note of what the server supports."""
        known = [auid for auid in self._kind.applications if auid in applications]
        self.supported = (bool(known) and self._kind.beside in (None, *applications)) or self.global_tree
        self.application = known[0] if known else self._kind.applications[0]

    def take(self, data: bytes | None, etag: str | None) -> None:
        """It is so on the server."""
        self.data, self.etag = data, etag if data is not None else None

    def fetched(self) -> None:
        """It was just read."""
        self.fetch_time = ISOTimestamp.utcnow()

    def updated(self) -> None:
        """It was just written."""
        self.update_time, self.dirty = ISOTimestamp.utcnow(), False

    # ---- copy ------------------------------------------------------------------------------------------------------

    def use(self, storage: Any) -> None:
        """Keep copies there from now on."""
        self._storage = storage

    def load(self) -> None:
        """Take the copy of an earlier run. Blocks."""
        if self._kind.cache is None:
            return
        try:
            etag, newline, data = self._storage.load(self._kind.cache).partition(b'\n')
        except XCAPStorageError:
            return
        try:
            tag = etag.decode('ascii')
        except UnicodeDecodeError:
            return
        if newline and tag and data:
            self.data, self.etag = data, tag

    def store(self, data: bytes | None, etag: str | None) -> None:
        """Store, or remove, a copy. Blocks; failures are logged."""
        if self._kind.cache is None:
            return
        try:
            if data is None or not etag:
                self._storage.delete(self._kind.cache)
            else:
                self._storage.save(self._kind.cache, etag.encode('ascii', 'replace') + b'\n' + data)
        except XCAPStorageError as error:
            log.warning('no copy of %s: %s', self.name, error)

    def forget(self) -> None:
        """Nothing is known of it, and no copy is kept. Blocks."""
        self.take(None, None)
        self.dirty = False
        self.store(None, None)
