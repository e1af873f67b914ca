"""The headers of MSRP: a class for each, found by name. Values are decoded when somebody looks, and encoded again when somebody changed them.

Byte-Range and Status have values of their own, `ByteRange` and `Status`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from msrplib.errors import HeaderParsingError, ParsingError
from msrplib.uri import URI, format_path, parse_path

__all__ = ['AuthenticationInfoHeader', 'AuthorizationHeader', 'ByteRange', 'ByteRangeHeader', 'ContentDescriptionHeader', 'ContentDispositionHeader',
           'ContentIDHeader', 'ContentTypeHeader', 'DigestHeaderType', 'ExpiresHeader', 'FailureReportHeader', 'FromPathHeader', 'HEADER_NAMES', 'HeaderType',
           'IntegerHeaderType', 'KeywordHeaderType', 'LimitedChoiceHeaderType', 'MSRPHeader', 'MSRPNamedHeader', 'MaxExpiresHeader', 'MessageIDHeader',
           'MinExpiresHeader', 'PathHeaderType', 'Status', 'StatusHeader', 'SuccessReportHeader', 'ToPathHeader', 'UTF8HeaderType', 'UseNicknameHeader',
           'UsePathHeader', 'WWWAuthenticateHeader', 'canonical_name', 'parse_byte_range', 'parse_challenges',
           'parse_status']

IDENT = re.compile(r'[A-Za-z0-9][A-Za-z0-9.+%=\-]{3,31}')
MAX_NUMBER = 2 ** 63 - 1

_BYTE_RANGE = re.compile(r'([0-9]{1,19})-(\*|[0-9]{1,19})/(\*|[0-9]{1,19})', re.ASCII)
_STATUS = re.compile(r'([0-9]{3}) ([0-9]{3})(?: (.*))?', re.ASCII | re.DOTALL)
_PARAMETER = re.compile(r'''\s*([A-Za-z0-9\-.!%*_+`'~]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(,|$)''', re.ASCII | re.DOTALL)


class ByteRange(NamedTuple):
    """Which bytes of a message a chunk has, counted from 1, and how many the message has; None stands for `*`, not known."""

    start: int = 1
    end: int | None = None
    total: int | None = None

    @property
    def fro(self) -> int:
        """The first byte, by its old name."""
        return self.start

    def __str__(self) -> str:
        return f'{self.start}-{"*" if self.end is None else self.end}/{"*" if self.total is None else self.total}'


def parse_byte_range(text: str) -> ByteRange:
    """The value of a Byte-Range header.

    Raises:
        HeaderParsingError: malformed, or it starts before 1, ends more than one byte before its start, or lies outside the message.
    """
    match = _BYTE_RANGE.fullmatch(text.strip())
    if match is None:
        raise HeaderParsingError('Byte-Range', f'{text[:80]!r}')
    start = int(match[1])
    end = None if match[2] == '*' else int(match[2])
    total = None if match[3] == '*' else int(match[3])
    # An empty chunk ends one before its start, as in 1-0/0.
    if start < 1 or (end is not None and end < start - 1) or (total is not None and (start > total + 1 or (end is not None and end > total))):
        raise HeaderParsingError('Byte-Range', f'{text[:80]!r} is no range')
    if max(start, end or 0, total or 0) > MAX_NUMBER:
        raise HeaderParsingError('Byte-Range', 'too big')
    return ByteRange(start, end, total)


class Status(NamedTuple):
    """The value of a Status header: namespace 000 is that of the status codes of responses."""

    code: int
    comment: str | None = None
    namespace: str = '000'


def parse_status(text: str) -> Status:
    """The value of a Status header.

    Raises:
        HeaderParsingError: malformed.
    """
    match = _STATUS.fullmatch(text.strip())
    if match is None:
        raise HeaderParsingError('Status', f'{text[:80]!r}')
    return Status(int(match[2]), match[3], match[1])


class HeaderType:
    """How the value of a header is decoded and encoded: text as it is. Subclasses raise ParsingError or ValueError for what they do not like."""

    @classmethod
    def decode(cls, text: str) -> Any:
        """The value for a text."""
        return text

    @classmethod
    def encode(cls, value: Any) -> str:
        """The text for a value."""
        return str(value)


class UTF8HeaderType(HeaderType):
    """Any text."""


class KeywordHeaderType(HeaderType):
    """One word without spaces."""

    @classmethod
    def decode(cls, text: str) -> str:
        if len(text.split()) != 1:
            raise ParsingError('not one word')
        return text.strip()


class IdentHeaderType(HeaderType):
    """An identifier of RFC 4975: 4 to 32 of letters, digits and some signs."""

    @classmethod
    def decode(cls, text: str) -> str:
        text = text.strip()
        if not IDENT.fullmatch(text):
            raise ParsingError(f'{text[:80]!r} is no identifier')
        return text


class IntegerHeaderType(HeaderType):
    """A number, not negative."""

    @classmethod
    def decode(cls, text: str) -> int:
        text = text.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise ParsingError(f'{text[:80]!r} is no number')
        return int(text)


class LimitedChoiceHeaderType(HeaderType):
    """One of a few words."""

    choices: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def decode(cls, text: str) -> str:
        text = text.strip().lower()
        if text not in cls.choices:
            raise ParsingError(f'{text[:80]!r} is none of {", ".join(sorted(cls.choices))}')
        return text


class SuccessReportHeaderType(LimitedChoiceHeaderType):
    """yes or no."""

    choices = frozenset({'yes', 'no'})


class FailureReportHeaderType(LimitedChoiceHeaderType):
    """yes, no or partial."""

    choices = frozenset({'yes', 'no', 'partial'})


class QuotedHeaderType(HeaderType):
    """A quoted text; a bare one is read, too."""

    @classmethod
    def decode(cls, text: str) -> str:
        text = text.strip()
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = re.sub(r'\\(.)', r'\1', text[1:-1], flags=re.DOTALL)
        return text

    @classmethod
    def encode(cls, value: str) -> str:
        return '"' + value.replace('\\', r'\\').replace('"', r'\"') + '"'


class PathHeaderType(HeaderType):
    """One or more URIs, a deque."""

    @classmethod
    def decode(cls, text: str) -> deque[URI]:
        return deque(parse_path(text))

    @classmethod
    def encode(cls, value: Iterable[URI]) -> str:
        return format_path(value)


class ByteRangeHeaderType(HeaderType):
    """A `ByteRange`; any three values are taken for one."""

    @classmethod
    def decode(cls, text: str) -> ByteRange:
        return parse_byte_range(text)

    @classmethod
    def encode(cls, value: Iterable[int | None]) -> str:
        return str(ByteRange(*value))       # type: ignore[arg-type]


class StatusHeaderType(HeaderType):
    """A `Status`."""

    @classmethod
    def decode(cls, text: str) -> Status:
        return parse_status(text)

    @classmethod
    def encode(cls, value: Iterable[Any]) -> str:
        code, comment, *rest = value
        return f'{rest[0] if rest else "000"} {code:03}{f" {comment}" if comment else ""}'


def parse_parameters(text: str) -> dict[str, str]:
    """`name=value, name="value"` as a dictionary with names in small letters.

    Raises:
        ParsingError: malformed, or a name comes twice.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise ParsingError('malformed parameters')
        name = match[1].lower()
        if name in found:
            raise ParsingError(f'{name} comes twice')
        found[name] = match[3] if match[2] is None else re.sub(r'\\(.)', r'\1', match[2], flags=re.DOTALL)
        position = match.end()
    return found


def format_parameters(values: Mapping[str, Any]) -> str:
    """The same as text, every value quoted but those that must not be."""
    def quoted(name: str, value: str) -> str:
        if name in ('nc', 'algorithm', 'stale'):
            return value
        return '"' + value.replace('\\', r'\\').replace('"', r'\"') + '"'
    return ', '.join(f'{name}={quoted(name, str(value))}' for name, value in values.items() if value is not None)


_SCHEME = re.compile(r'(?:^|,)\s*([A-Za-z0-9!#$%&\'*+.^_`|~\-]+)\s+(?=[A-Za-z0-9\-_]+\s*=)')


def parse_challenges(text: str) -> list[dict[str, str]]:
    """The Digest challenges of a WWW-Authenticate header, which may have several (a relay that knows two algorithms); malformed ones are left out."""
    marks = list(_SCHEME.finditer(text))
    found = []
    for number, mark in enumerate(marks):
        if mark[1].lower() != 'digest':
            continue
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        try:
            found.append(parse_parameters(text[mark.end():end].strip().rstrip(',')))
        except ParsingError:
            continue
    return found


class ParametersHeaderType(HeaderType):
    """Parameters, a dictionary."""

    @classmethod
    def decode(cls, text: str) -> dict[str, str]:
        return parse_parameters(text.strip())

    @classmethod
    def encode(cls, value: Mapping[str, Any]) -> str:
        return format_parameters(value)


class DigestHeaderType(HeaderType):
    """The parameters of the Digest scheme, a dictionary; of several challenges the first."""

    @classmethod
    def decode(cls, text: str) -> dict[str, str]:
        challenges = parse_challenges(text.strip())
        if not challenges:
            raise ParsingError('no Digest')
        return challenges[0]

    @classmethod
    def encode(cls, value: Mapping[str, Any]) -> str:
        return 'Digest ' + format_parameters(value)


class MSRPHeader:
    """A header. `MSRPHeader(name, value)` makes one of the class for that name.

    Attributes:
        name: as it is written.
        encoded: the value as text.
        decoded: the value in the type of the header.

    Args:
        value: a str is taken as encoded, anything else as decoded.
    Raises (when `encoded` or `decoded` is read):
        HeaderParsingError: the value does not fit.
    """

    __slots__ = ('_decoded', '_encoded', 'name')
    value_type: ClassVar[type[HeaderType]] = UTF8HeaderType
    _classes: ClassVar[dict[str, type[MSRPNamedHeader]]] = {}

    def __new__(cls, name: str, value: Any) -> MSRPHeader:
        return object.__new__(MSRPHeader._classes.get(name.lower(), cls) if cls is MSRPHeader else cls)

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self._encoded: str | None = None
        self._decoded: Any = None
        if isinstance(value, str):
            self._encoded = value
        else:
            self._decoded = value

    @property
    def encoded(self) -> str:
        """The value as text."""
        if self._encoded is None:
            try:
                text = self.value_type.encode(self._decoded)
            except (TypeError, ValueError) as error:
                raise HeaderParsingError(self.name, str(error)) from None
            if '\r' in text or '\n' in text:
                raise HeaderParsingError(self.name, 'more than one line')
            self._encoded = text
        return self._encoded

    @encoded.setter
    def encoded(self, value: str) -> None:
        self._encoded, self._decoded = value, None

    @property
    def decoded(self) -> Any:
        """The value in the type of the header."""
        if self._decoded is None:
            try:
                self._decoded = self.value_type.decode(self._encoded or '')
            except HeaderParsingError:
                raise
            except (ParsingError, ValueError) as error:
                raise HeaderParsingError(self.name, str(error)) from None
        return self._decoded

    @decoded.setter
    def decoded(self, value: Any) -> None:
        self._encoded, self._decoded = None, value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MSRPHeader):
            return NotImplemented
        return self.name.lower() == other.name.lower() and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash((self.name.lower(), self.encoded))

    def __str__(self) -> str:
        return f'{self.name}: {self.encoded}'

    def __repr__(self) -> str:
        value = self._encoded if self._decoded is None else self._decoded
        return f'<{self.__class__.__name__} {self.name}: {value!r}>'


class MSRPNamedHeader(MSRPHeader):
    """A header with a class of its own: `class OffsetHeader(MSRPNamedHeader, name='Offset')` with a
    `value_type` is found by its name from then on."""

    __slots__ = ()
    header_name: ClassVar[str] = ''

    def __init_subclass__(cls, name: str = '', **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            cls.header_name = name
            MSRPHeader._classes[name.lower()] = cls

    def __new__(cls, *arguments: Any) -> MSRPNamedHeader:
        return object.__new__(cls)

    def __init__(self, *arguments: Any) -> None:
        """Args: the value alone, or name and value."""
        super().__init__(self.header_name, arguments[-1])


class ToPathHeader(MSRPNamedHeader, name='To-Path'):
    """The hops still to go, a deque of URI."""

    __slots__ = ()
    value_type = PathHeaderType


class FromPathHeader(MSRPNamedHeader, name='From-Path'):
    """The hops gone, the last one first, a deque of URI."""

    __slots__ = ()
    value_type = PathHeaderType


class UsePathHeader(MSRPNamedHeader, name='Use-Path'):
    """What a relay gives us to put before our own URI, a deque of URI (RFC 4976)."""

    __slots__ = ()
    value_type = PathHeaderType


class MessageIDHeader(MSRPNamedHeader, name='Message-ID'):
    """Which message the chunk belongs to."""

    __slots__ = ()
    value_type = IdentHeaderType


class SuccessReportHeader(MSRPNamedHeader, name='Success-Report'):
    """Whether a report is wanted when all has arrived: yes, no."""

    __slots__ = ()
    value_type = SuccessReportHeaderType


class FailureReportHeader(MSRPNamedHeader, name='Failure-Report'):
    """Whether failures are to be told: yes, no, or partial (only if one is noticed: no success and no timeout)."""

    __slots__ = ()
    value_type = FailureReportHeaderType


class ByteRangeHeader(MSRPNamedHeader, name='Byte-Range'):
    """Which bytes of the message these are, a `ByteRange`."""

    __slots__ = ()
    value_type = ByteRangeHeaderType

    @property
    def start(self) -> int:
        """The first byte, counted from 1."""
        return int(self.decoded.start)

    fro = start

    @property
    def end(self) -> int | None:
        """The last byte, None if it was not known."""
        return self.decoded.end     # type: ignore[no-any-return]

    @property
    def total(self) -> int | None:
        """How many bytes the message has, None if that was not known."""
        return self.decoded.total   # type: ignore[no-any-return]


class StatusHeader(MSRPNamedHeader, name='Status'):
    """What a REPORT tells, a `Status`."""

    __slots__ = ()
    value_type = StatusHeaderType

    @property
    def code(self) -> int:
        """The status code."""
        return int(self.decoded.code)

    @property
    def comment(self) -> str | None:
        """The phrase."""
        return self.decoded.comment     # type: ignore[no-any-return]


class ExpiresHeader(MSRPNamedHeader, name='Expires'):
    """How long a relay keeps our session, in seconds."""

    __slots__ = ()
    value_type = IntegerHeaderType


class MinExpiresHeader(MSRPNamedHeader, name='Min-Expires'):
    """The shortest Expires a relay takes, in seconds."""

    __slots__ = ()
    value_type = IntegerHeaderType


class MaxExpiresHeader(MSRPNamedHeader, name='Max-Expires'):
    """The longest Expires a relay takes, in seconds."""

    __slots__ = ()
    value_type = IntegerHeaderType


class WWWAuthenticateHeader(MSRPNamedHeader, name='WWW-Authenticate'):
    """A relay's challenge, a dictionary; `parse_challenges` reads all of several."""

    __slots__ = ()
    value_type = DigestHeaderType


class AuthorizationHeader(MSRPNamedHeader, name='Authorization'):
    """The answer to a challenge, a dictionary."""

    __slots__ = ()
    value_type = DigestHeaderType


class AuthenticationInfoHeader(MSRPNamedHeader, name='Authentication-Info'):
    """How a relay proves that it knows the password, a dictionary."""

    __slots__ = ()
    value_type = ParametersHeaderType


class ContentTypeHeader(MSRPNamedHeader, name='Content-Type'):
    """The MIME type of the body."""

    __slots__ = ()


class ContentIDHeader(MSRPNamedHeader, name='Content-ID'):
    """The MIME id of the body."""

    __slots__ = ()


class ContentDescriptionHeader(MSRPNamedHeader, name='Content-Description'):
    """What the body is, in words."""

    __slots__ = ()


class ContentDispositionHeader(MSRPNamedHeader, name='Content-Disposition'):
    """What to do with the body."""

    __slots__ = ()


class UseNicknameHeader(MSRPNamedHeader, name='Use-Nickname'):
    """The nickname to be used in a chat room, quoted on the wire (RFC 7701); '' gives it up."""

    __slots__ = ()
    value_type = QuotedHeaderType


HEADER_NAMES = frozenset(named.header_name for named in MSRPHeader._classes.values())
_CANONICAL = {name: named.header_name for name, named in MSRPHeader._classes.items()}


def canonical_name(name: str) -> str:
    """The usual spelling of a header's name, which may come in any case."""
    return _CANONICAL.get(name.lower(), name)
