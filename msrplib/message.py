"""`MSRPData`: one chunk as it is on the wire, a request or a response, with its headers and its part of the body.

A parsed chunk keeps the text of its headers, and makes objects of them when somebody asks for them: most are only compared or copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from msrplib.errors import ChunkParseError, HeaderParsingError
from msrplib.headers import ByteRange, MSRPHeader, Status, parse_byte_range, parse_status
from msrplib.uri import URI

__all__ = ['ABORTED', 'CONTINUED', 'COMPLETE', 'HeaderMap', 'MSRPData']

# How a chunk ends (RFC 4975 section 7.1): the message is complete, goes on in another chunk, or was given up.
COMPLETE, CONTINUED, ABORTED = '$', '+', '#'

_FIRST = ('To-Path', 'From-Path', 'Status', 'Message-ID', 'Byte-Range', 'Success-Report', 'Failure-Report', 'WWW-Authenticate', 'Authorization',
          'Authentication-Info')
_ORDER = {name: position for position, name in enumerate(_FIRST)}


def _position(name: str) -> int:
    if name == 'Content-Type':
        return len(_FIRST) + 2
    return _ORDER.get(name, len(_FIRST) + name.startswith('Content-'))


class HeaderMap(dict[str, MSRPHeader]):
    """Headers by name. Besides, it can be given the text of a header, of which it makes one when it is asked for.

    Iteration is in the order of insertion; `wire_order()` is that of the wire.
    """

    __slots__ = ('_texts',)

    def __init__(self, headers: Mapping[str, MSRPHeader] | Iterable[MSRPHeader] = (), texts: dict[str, str] | None = None) -> None:
        super().__init__()
        self._texts = texts or {}
        for header in headers.values() if isinstance(headers, Mapping) else headers:
            self[header.name] = header

    def text(self, name: str) -> str | None:
        """The encoded value of a header, None if there is no such header."""
        text = self._texts.get(name)
        if text is None and self:
            header = dict.get(self, name)
            return header.encoded if header is not None else None
        return text

    def _make(self) -> None:
        """Make objects of all texts; the order stays."""
        texts, self._texts = self._texts, {}
        later = dict(dict.items(self))
        dict.clear(self)
        for name, text in texts.items():
            dict.__setitem__(self, name, MSRPHeader(name, text))
        dict.update(self, later)

    def __getitem__(self, name: str) -> MSRPHeader:
        if self._texts:
            self._make()
        return dict.__getitem__(self, name)

    def __setitem__(self, name: str, header: MSRPHeader) -> None:
        if self._texts:
            self._make()
        dict.__setitem__(self, name, header)

    def __delitem__(self, name: str) -> None:
        if self._texts:
            self._make()
        dict.__delitem__(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._texts or dict.__contains__(self, name)

    def __iter__(self) -> Iterator[str]:
        if self._texts:
            self._make()
        return dict.__iter__(self)

    def __len__(self) -> int:
        return len(self._texts) or dict.__len__(self)

    def __bool__(self) -> bool:
        return dict.__len__(self) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeaderMap):
            return NotImplemented
        return {name.lower(): text for name, text in self.encoded()} == {name.lower(): text for name, text in other.encoded()}

    __hash__ = None

    def get(self, name: str, default: Any = None) -> Any:
        """The header, or `default`."""
        if self._texts:
            self._make()
        return dict.get(self, name, default)

    def keys(self) -> Any:
        """The names."""
        if self._texts:
            self._make()
        return dict.keys(self)

    def values(self) -> Any:
        """The headers."""
        if self._texts:
            self._make()
        return dict.values(self)

    def items(self) -> Any:
        """Names and headers."""
        if self._texts:
            self._make()
        return dict.items(self)

    def encoded(self) -> Iterator[tuple[str, str]]:
        """Names and values as text."""
        if self._texts:
            yield from self._texts.items()
        else:
            for name in dict.keys(self):
                yield name, dict.__getitem__(self, name).encoded

    def wire_order(self) -> list[tuple[str, str]]:
        """The same as they are written: paths first, Content-Type last."""
        return sorted(self.encoded(), key=lambda item: _position(item[0]))

    def clone(self) -> HeaderMap:
        """A copy with headers of its own."""
        return HeaderMap((), dict(self.encoded()))


def _line(text: str) -> str:
    if '\r' in text or '\n' in text:
        raise ValueError('more than one line')
    return text


class MSRPData:
    """A chunk: a request with a `method`, or a response with a `code`.

    Args:
        transaction_id: of the request, or of the request that is answered; may be changed.
        method: 'SEND', 'REPORT' ...
        code, comment: of a response.
        headers: by name, or a list of them.
        data: what it has of the body; the body is sent if there is a Content-Type.
        contflag: '$' if the message ends with it, '+' if it goes on, '#' if it was given up.
    Attributes:
        problem: why the chunk is not well-formed (a header comes twice), or None.
    Raises:
        ValueError: neither method nor code, or both; a comment without a code.
    """

    __slots__ = ('_code', '_comment', '_headers', '_method', 'contflag', 'data', 'problem', 'transaction_id')

    def __init__(self, transaction_id: str, method: str | None = None, code: int | None = None, comment: str | None = None,
                 headers: Mapping[str, MSRPHeader] | Iterable[MSRPHeader] | None = None, data: bytes = b'', contflag: str = COMPLETE) -> None:
        if (method is None) == (code is None):
            raise ValueError('either a method or a code')
        if comment is not None and code is None:
            raise ValueError('a comment without a code')
        self.transaction_id = transaction_id
        self._method = method
        self._code = code
        self._comment = comment
        self._headers = HeaderMap(headers or ())
        self.data = data
        self.contflag = contflag
        self.problem: str | None = None

    @classmethod
    def parsed(cls, transaction_id: str, method: str | None, code: int | None, comment: str | None, texts: dict[str, str]) -> MSRPData:
        """The parser's way: headers as texts, nothing is checked."""
        self = object.__new__(cls)
        self.transaction_id = transaction_id
        self._method = method
        self._code = code
        self._comment = comment
        self._headers = HeaderMap((), texts)
        self.data = b''
        self.contflag = COMPLETE
        self.problem = None
        return self

    @property
    def method(self) -> str | None:
        """The method of a request, None for a response."""
        return self._method

    @property
    def code(self) -> int | None:
        """The status code of a response, None for a request."""
        return self._code

    @property
    def comment(self) -> str | None:
        """The phrase of a response."""
        return self._comment

    @property
    def headers(self) -> HeaderMap:
        """The headers by name."""
        return self._headers

    def header_text(self, name: str) -> str | None:
        """The encoded value of a header, None if there is no such header."""
        return self._headers.text(name)

    @property
    def first_line(self) -> str:
        """The first line, without its end."""
        if self._method is not None:
            return f'MSRP {self.transaction_id} {self._method}'
        return f'MSRP {self.transaction_id} {self._code:03}{f" {self._comment}" if self._comment else ""}'

    def _decoded(self, name: str) -> Any:
        header = self._headers.get(name)
        return None if header is None else header.decoded

    @property
    def to_path(self) -> deque[URI] | None:
        """Where it goes. Raises HeaderParsingError if malformed, as all of these do."""
        return self._decoded('To-Path')     # type: ignore[no-any-return]

    @property
    def from_path(self) -> deque[URI] | None:
        """Where it comes from."""
        return self._decoded('From-Path')   # type: ignore[no-any-return]

    @property
    def content_type(self) -> str | None:
        """The MIME type of the body."""
        return self._headers.text('Content-Type')

    @property
    def message_id(self) -> str | None:
        """The id of the message of which this is a chunk, or which is reported."""
        return self._headers.text('Message-ID')

    @property
    def byte_range(self) -> ByteRange | None:
        """Which bytes of the message these are."""
        text = self._headers.text('Byte-Range')
        return None if text is None else parse_byte_range(text)

    @property
    def status(self) -> Status | None:
        """What a REPORT tells."""
        text = self._headers.text('Status')
        return None if text is None else parse_status(text)

    @property
    def failure_report(self) -> str:
        """'yes' (also without the header), 'no' or 'partial'."""
        text = self._headers.text('Failure-Report')
        return 'yes' if text is None else text.strip().lower()

    @property
    def success_report(self) -> str:
        """'yes' or 'no' (also without the header)."""
        text = self._headers.text('Success-Report')
        return 'no' if text is None else text.strip().lower()

    @property
    def size(self) -> int:
        """How many bytes of the body are here."""
        return len(self.data)

    @property
    def encoded_header(self) -> bytes:
        """Everything before the body, with the empty line when there is a Content-Type."""
        lines = [_line(self.first_line), *(f'{name}: {_line(text)}' for name, text in self._headers.wire_order())]
        if 'Content-Type' in self._headers:
            lines.append('')
        return ('\r\n'.join(lines) + '\r\n').encode('utf-8', 'surrogateescape')

    @property
    def encoded_footer(self) -> bytes:
        """Everything after the body."""
        line = f'-------{self.transaction_id}{self.contflag}\r\n'
        return f'\r\n{line}'.encode() if 'Content-Type' in self._headers else line.encode()

    @property
    def chunk_header(self) -> str:
        """`encoded_header` as text."""
        return self.encoded_header.decode('utf-8', 'replace')

    @property
    def chunk_footer(self) -> str:
        """`encoded_footer` as text."""
        return self.encoded_footer.decode('utf-8', 'replace')

    def encode(self) -> bytes:
        """The chunk as it is on the wire.

        Raises:
            ValueError: a text has more than one line, or the body has the line that ends the chunk.
        """
        if 'Content-Type' not in self._headers:
            if self.data:
                raise ValueError('a body needs a Content-Type')
            return self.encoded_header + self.encoded_footer
        if f'-------{self.transaction_id}'.encode() in self.data:
            raise ValueError('the body has the line that ends the chunk: choose another transaction id')
        return b''.join((self.encoded_header, self.data, self.encoded_footer))

    def add_header(self, header: MSRPHeader) -> None:
        """Add a header, or replace the one of its name."""
        self._headers[header.name] = header

    def verify_headers(self) -> None:
        """Check what every chunk must have, and that all headers are well-formed.

        Raises:
            ChunkParseError: a path is missing, or the chunk has a `problem`.
            HeaderParsingError: a header is malformed.
        """
        if self.problem is not None:
            raise ChunkParseError(self.problem)
        for name in ('To-Path', 'From-Path'):
            if name not in self._headers:
                raise ChunkParseError(f'no {name} header')
        for header in self._headers.values():
            if header.decoded is None:
                raise HeaderParsingError(header.name)

    def copy(self) -> MSRPData:
        """A copy with headers of its own."""
        copied = self.parsed(self.transaction_id, self._method, self._code, self._comment, {})
        copied._headers = self._headers.clone()
        copied.data, copied.contflag, copied.problem = self.data, self.contflag, self.problem
        return copied

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MSRPData):
            return NotImplemented
        return (self.first_line, self.contflag, self.data) == (other.first_line, other.contflag, other.data) and self._headers == other._headers

    __hash__ = None     # type: ignore[assignment]

    def __str__(self) -> str:
        return self.first_line

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.first_line!r}, {len(self.data)} bytes, {self.contflag}>'

    def __reduce__(self) -> NoReturn:
        raise TypeError(f'{self.__class__.__name__} cannot be pickled')
