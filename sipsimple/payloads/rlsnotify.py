"""Notifications about lists of resources: multipart/related with a document of `rlmi` and those of the resources, RFC 4662."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from sipsimple.payloads import ParserError
from sipsimple.payloads.dialoginfo import DialogInfoDocument
from sipsimple.payloads.pidf import PIDFDocument
from sipsimple.payloads.rlmi import Instance, Name, Resource as RLMIResource, RLMIDocument

__all__ = ['RLSNotify', 'Resource', 'ResourceURI']

_DOCUMENTS: dict[str, Any] = {str(kind.content_type): kind for kind in (PIDFDocument, DialogInfoDocument)}
_PARAMETER = re.compile(r'''\s*;\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)''')
_BEST_FIRST = ('active', 'pending', 'terminated')


class ResourceURI(str):
    """A URI that is compared without the scheme sip."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self.removeprefix('sip:') == other.removeprefix('sip:') if isinstance(other, str) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.removeprefix('sip:'))


class _Part:
    """A part of a multipart body."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body

    @classmethod
    def split(cls, data: bytes) -> Self:
        """The part of its text: headers, an empty line, body."""
        match = re.match(rb'\r?\n', data) or re.search(rb'\r?\n\r?\n', data)
        head, body = (data, b'') if match is None else (data[:match.start()], data[match.end():])
        text = re.sub(r'\r?\n[ \t]+', ' ', head.decode('utf-8', 'replace'))
        headers: dict[str, str] = {}
        for line in text.splitlines():
            name, colon, value = line.partition(':')
            if colon:
                headers.setdefault(name.strip().lower(), value.strip())
        return cls(headers, body)

    @property
    def content_type(self) -> str:
        return self.headers.get('content-type', '').partition(';')[0].strip().lower()

    @property
    def parameters(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in _PARAMETER.findall(self.headers.get('content-type', '')):
            found.setdefault(name.lower(), re.sub(r'\\(.)', r'\1', value[1:-1]) if value[:1] == '"' else value)
        return found

    @property
    def content_id(self) -> str | None:
        return self.headers.get('content-id', '').strip('<> \t') or None

    def content(self) -> bytes:
        """The body without its transfer encoding; ValueError when it is not in that."""
        coding = self.headers.get('content-transfer-encoding', '').lower()
        if coding == 'base64':
            return base64.b64decode(self.body)
        return binascii.a2b_qp(self.body) if coding == 'quoted-printable' else self.body

    def parts(self) -> list[_Part]:
        """The parts of a multipart body; what is before the first and behind the last delimiter is none."""
        boundary = self.parameters.get('boundary')
        if not boundary:
            raise ParserError('the multipart body has no boundary')
        delimiter = re.compile(rb'(?:\A|\r?\n)--' + re.escape(boundary.encode('utf-8')) + rb'(--)?[ \t]*(?=\r?\n|\Z)')
        parts: list[_Part] = []
        begin: int | None = None
        for match in delimiter.finditer(self.body):
            if begin is not None:
                parts.append(_Part.split(re.sub(rb'\A\r?\n', b'', self.body[begin:match.start()], count=1)))
            begin = match.end()
            if match[1]:
                break
        return parts


class Resource:
    """What the notification says of a resource.

    Attributes:
        uri: compared without the scheme sip.
        name: what to show of it, or None.
        state: of its best instance: `active`, before `pending`, before `terminated`; None without instance.
        reason: of the same instance, or None.
    """

    def __init__(self, uri: str, name: str | None = None, state: str | None = None, reason: str | None = None, pidf_list: Iterable[Any] = ()) -> None:
        self.uri = ResourceURI(uri)
        self.name = name
        self.state = state
        self.reason = reason
        self._documents = list(pidf_list)
        self._parts: list[_Part] = []

    @property
    def pidf_list(self) -> list[Any]:
        """The documents of all instances: `PIDF`, or `DialogInfo` for the event package dialog. Those that are missing or make no sense are left out."""
        for part in self._parts:
            try:
                self._documents.append(_DOCUMENTS[part.content_type].parse(part.content()))
            except (ParserError, ValueError):
                continue
        self._parts = []
        return self._documents

    @classmethod
    def _from_rlmi(cls, resource: RLMIResource, parts: dict[str, _Part]) -> Self:
        names = [item for item in resource if isinstance(item, Name)]
        instances = [item for item in resource if isinstance(item, Instance)]
        best = min(instances, key=lambda instance: _BEST_FIRST.index(instance.state), default=None)
        self = cls(resource.uri, names[0].value if names else None, None if best is None else str(best.state), None if best is None else best.reason)
        found = (parts.get(instance.cid) for instance in instances if instance.cid)
        self._parts = [part for part in found if part is not None and part.content_type in _DOCUMENTS]
        return self

    def __repr__(self) -> str:
        return f'Resource({str(self.uri)!r}, {self.name!r}, {self.state!r})'


class RLSNotify:
    """A notification about a list of resources; iterates over the resources.

    Attributes:
        uri: of the list.
        version: number of the notification; grows by one with each.
        full_state: whether all resources are here.
        resources: list of `Resource`.
    """

    content_type: ClassVar[str] = 'multipart/related'
    max_size: ClassVar[int] = 16 << 20

    def __init__(self, uri: str, version: int, full_state: bool, resources: Iterable[Resource] = ()) -> None:
        self.uri = uri
        self.version = version
        self.full_state = full_state
        self.resources = list(resources)

    @classmethod
    def parse(cls, payload: str | bytes) -> Self:
        """The notification of a body that has the Content-Type header and an empty line before it. Documents are parsed when they are looked at.

        Raises:
            ParserError: it is of another type, has no parts, or its start part is missing or no RLMI.
        """
        data = payload.encode('utf-8', 'surrogateescape') if isinstance(payload, str) else bytes(payload)
        if len(data) > cls.max_size:
            raise ParserError(f'the body has more than {cls.max_size} bytes')
        whole = _Part.split(data)
        if whole.content_type != cls.content_type or whole.parameters.get('type', RLMIDocument.content_type) != RLMIDocument.content_type:
            raise ParserError(f'the body is {whole.headers.get("content-type", "nothing")!r}, not multipart/related with RLMI')
        parts = whole.parts()
        if not parts:
            raise ParserError('the body has no parts')
        start = whole.parameters.get('start')
        by_id = {part.content_id: part for part in reversed(parts) if part.content_id}
        root = parts[0] if start is None else by_id.get(start.strip('<> \t'))
        if root is None or root.content_type != RLMIDocument.content_type:
            raise ParserError('the body has no document about the list')
        try:
            rlmi = RLMIDocument.parse(root.content())
        except ValueError as error:
            raise ParserError(f'the document about the list cannot be decoded: {error}') from error
        return cls(rlmi.uri, rlmi.version, rlmi.full_state, [Resource._from_rlmi(item, by_id) for item in rlmi if isinstance(item, RLMIResource)])

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)
