"""Types of attributes and elements, after XML Schema part 2 and the URIs of SIP (RFC 3261) and XCAP (RFC 4825).

A type is called with a value and raises ValueError when it is none; `__xmlparse__` reads and `__xmlbuild__` writes the text of a document.
"""

from __future__ import annotations

import functools
import re
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlsplit

from lxml import etree

from sipsimple.util import ISOTimestamp

__all__ = [
    'AnyURI', 'Boolean', 'Byte', 'DateTime', 'ID', 'Int', 'Keyword', 'Long', 'NegativeInteger', 'NonNegativeInteger', 'NonPositiveInteger',
    'PositiveInteger', 'SIPURI', 'Short', 'UnsignedByte', 'UnsignedInt', 'UnsignedLong', 'UnsignedShort', 'XCAPURI',
]


class Boolean:
    """True or false; `Boolean(value)` is a bool. Text is `true` or `false` (`1` and `0` are read too)."""

    def __new__(cls, value: Any) -> bool:   # type: ignore[misc]
        return cls.__xmlparse__(value) if isinstance(value, str) else bool(value)

    @staticmethod
    def __xmlparse__(text: str) -> bool:
        word = text.strip()
        if word in ('true', '1'):
            return True
        if word in ('false', '0'):
            return False
        raise ValueError(f'{text!r} is no boolean')

    @staticmethod
    def __xmlbuild__(value: bool) -> str:
        return 'true' if value else 'false'


class DateTime(ISOTimestamp):
    """A moment with its zone; text without one is in local time."""

    def __xmlbuild__(self) -> str:
        return self.isoformat()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return DateTime, (self.isoformat(),)


class _Integer(int):
    """An integer in a range."""

    _lowest: ClassVar[int | None] = None
    _highest: ClassVar[int | None] = None

    def __new__(cls, value: Any) -> Self:
        self = super().__new__(cls, value)
        if (cls._lowest is not None and self < cls._lowest) or (cls._highest is not None and self > cls._highest):
            raise ValueError(f'{int(self)} is out of the range of {cls.__name__}')
        return self


class Byte(_Integer):
    """-128 to 127."""

    _lowest, _highest = -(1 << 7), (1 << 7) - 1


class UnsignedByte(_Integer):
    """0 to 255."""

    _lowest, _highest = 0, (1 << 8) - 1


class Short(_Integer):
    """16 bits with sign."""

    _lowest, _highest = -(1 << 15), (1 << 15) - 1


class UnsignedShort(_Integer):
    """16 bits."""

    _lowest, _highest = 0, (1 << 16) - 1


class Int(_Integer):
    """32 bits with sign."""

    _lowest, _highest = -(1 << 31), (1 << 31) - 1


class UnsignedInt(_Integer):
    """32 bits."""

    _lowest, _highest = 0, (1 << 32) - 1


class Long(_Integer):
    """64 bits with sign."""

    _lowest, _highest = -(1 << 63), (1 << 63) - 1


class UnsignedLong(_Integer):
    """64 bits."""

    _lowest, _highest = 0, (1 << 64) - 1


class PositiveInteger(_Integer):
    """Above 0."""

    _lowest = 1


class NegativeInteger(_Integer):
    """Below 0."""

    _highest = -1


class NonNegativeInteger(_Integer):
    """0 or above."""

    _lowest = 0


class NonPositiveInteger(_Integer):
    """0 or below."""

    _highest = 0


class ID(str):
    """A name in a document: a letter or `_`, then letters, digits, `_`, `.`, `-`."""

    __slots__ = ()
    _pattern: ClassVar[re.Pattern[str]] = re.compile(r'[^\W\d][\w.-]*')

    def __new__(cls, value: Any) -> Self:
        text = str(value)
        if not cls._pattern.fullmatch(text):
            raise ValueError(f'{text!r} is no id')
        return super().__new__(cls, text)


class Keyword(str):
    """One of the words that the class names in `words`."""

    __slots__ = ()
    words: ClassVar[frozenset[str]] = frozenset()

    def __new__(cls, value: Any) -> Self:
        text = str(value)
        if text not in cls.words:
            raise ValueError(f'{text!r} is none of {", ".join(sorted(cls.words))}')
        return super().__new__(cls, text)


_ESCAPES = re.compile(r'(?:%[0-9A-Fa-f]{2})+')
# Reserved and unreserved characters of RFC 3986 besides letters and digits; a percent sign that begins an escape is one.
_URI_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"
_NOT_URI = re.compile(rf'[^A-Za-z0-9{re.escape(_URI_CHARACTERS)}]|%(?![0-9A-Fa-f]{{2}})')
_STRAY_PERCENT = re.compile(r'%(?![0-9A-Fa-f]{2})')
# Written by programs that escape everything: even the colon of the scheme.
_WHOLLY_ESCAPED = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*%3[Aa]')
_NOTHING_RESERVED = re.compile(r'(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})*')
_RESERVED = frozenset("%:/?#[]@!$&'()*+,;=")


# Such texts are of the type anyURI; others may be or not.
_PLAIN_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?!//)(?:[A-Za-z0-9._~!$&'()*+,;=@/?-]|%[0-9A-Fa-f]{2})*")
_URI_TYPE = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="uri" type="xs:anyURI"/></xs:schema>"""


@functools.lru_cache(maxsize=1000)
def _is_uri(text: str) -> bool:
    """Whether schemas take a text for a URI. They do not expect brackets around the address in a SIP URI, `:` without scheme, a port that is no number."""
    if _PLAIN_URI.fullmatch(text):
        return True
    node = etree.Element('uri')
    node.text = text
    return bool(etree.XMLSchema(etree.fromstring(_URI_TYPE)).validate(node))


def _escape(text: str) -> str:
    """A text as what schemas take for a URI: what URIs cannot have is escaped, or all of it."""
    escaped = text if _NOT_URI.search(text) is None else quote(_STRAY_PERCENT.sub('%25', text), safe=_URI_CHARACTERS)
    return escaped if _is_uri(escaped) else quote(escaped, safe='%')


def _unescape(match: re.Match[str], keep: frozenset[str] = _RESERVED) -> str:
    """The characters of escapes; what is no UTF-8, a control character, or means something else when it is not escaped stays."""
    text = bytes.fromhex(match[0].replace('%', '')).decode('utf-8', 'surrogateescape')
    return ''.join(f'%{ord(character) & 0xff:02X}' if character in keep or character < ' ' or character == '\x7f' or '\udc80' <= character <= '\udcff'
                   else character for character in text)


def _unescape_all(match: re.Match[str]) -> str:
    return _unescape(match, frozenset('%'))


def _unescaped(text: str) -> str:
    if _WHOLLY_ESCAPED.match(text):
        return _ESCAPES.sub(_unescape_all, text)
    if _NOTHING_RESERVED.fullmatch(text):
        whole = _ESCAPES.sub(_unescape_all, text)
        if _escape(whole) == text:          # it had to be
            return whole
    return _ESCAPES.sub(_unescape, text)


class AnyURI(str):
    """A URI or IRI, its percent escapes resolved as far as that does not change what it means.

    In documents what URIs must not have is escaped, and nothing else; if schemas do not take it for a URI even then, as `sip:alice@[::1]`, all of it is. A URI
    that is escaped as a whole (`sip%3Aalice%40example.com`) is read as what was meant.
    """

    __slots__ = ()

    def __new__(cls, value: Any) -> Self:
        text = str(value)
        if '%' in text:
            text = _unescaped(text)
        return super().__new__(cls, text)

    @classmethod
    def __xmlparse__(cls, text: str) -> Self:
        # The short way for most of them; derived classes look closer.
        return cls(text.strip()) if cls is not AnyURI or '%' in text else str.__new__(cls, text.strip())

    def __xmlbuild__(self) -> str:
        return str(self) if _PLAIN_URI.fullmatch(self) else _escape(str(self))


class SIPURI(AnyURI):
    """A SIP or SIPS URI (RFC 3261, 19.1.1).

    Attributes:
        scheme: `sip` or `sips`.
        username, password, port: None when there is none.
        domain: host, without the port.
        params, headers: name -> value; a parameter without value has None.
    """

    _pattern: ClassVar[re.Pattern[str]] = re.compile(
        r'(?P<scheme>sips?):(?:(?P<username>[^:@]+)(?::(?P<password>[^@]*))?@)?(?P<domain>\[[0-9a-fA-F:.]+\]|[^\[\]:;?@\s]+)(?::(?P<port>\d{1,5}))?'
        r'(?P<params>;[^?]*)?(?:\?(?P<headers>.*))?', re.IGNORECASE | re.DOTALL)

    scheme: str
    username: str | None
    password: str | None
    domain: str
    port: int | None
    params: dict[str, str | None]
    headers: dict[str, str]

    def __new__(cls, value: Any) -> Self:
        self = super().__new__(cls, value)
        match = cls._pattern.fullmatch(self)
        if match is None:
            raise ValueError(f'{str(self)!r} is no SIP URI')
        self.scheme = match['scheme'].lower()
        self.username, self.password, self.domain = match['username'], match['password'], match['domain']
        self.port = None if match['port'] is None else int(match['port'])
        pairs = (item.partition('=') for item in (match['params'] or '').split(';') if item)
        self.params = {name: text if sign else None for name, sign, text in pairs}
        self.headers = {name: text for name, _, text in (item.partition('=') for item in (match['headers'] or '').split('&') if item)}
        return self


class XCAPURI(AnyURI):
    """A URI of XCAP (RFC 4825, 6): absolute with http or https, or relative to an XCAP root.

    Attributes:
        scheme, username, password, hostname, port: of an absolute URI, else None.
        root: the XCAP root, '' for a relative URI.
        auid: the application.
        globaltree: whether the document is in the global tree.
        userstree: the user whose document it is, or None.
        document: path of the document below that.
        node: the node selector behind `~~`, or None.
        query: or None.
        relative: whether the URI is relative.
    """

    _pattern: ClassVar[re.Pattern[str]] = re.compile(
        r'(?P<root>(?:https?://[^/?#\s]+/(?:.*/)?)?|/)(?P<auid>[^/]+)/(?:(?P<globaltree>global)|users/(?P<userstree>[^/]+))/(?P<document>.+)', re.DOTALL)

    scheme: str | None
    username: str | None
    password: str | None
    hostname: str | None
    port: int | None
    root: str
    auid: str
    globaltree: bool
    userstree: str | None
    document: str
    node: str | None
    query: str | None
    relative: bool

    def __new__(cls, value: Any) -> Self:
        self = super().__new__(cls, value)
        path, sign, node = str(self).partition('/~~/')
        if sign:
            node, mark, query = node.partition('?')
        else:
            path, mark, query = path.partition('?')
        match = cls._pattern.fullmatch(path)
        if match is None:
            raise ValueError(f'{str(self)!r} is no XCAP URI')
        root = urlsplit(match['root'])
        self.scheme = root.scheme or None
        self.username, self.password, self.hostname, self.port = root.username, root.password, root.hostname, root.port
        self.root, self.auid, self.document = match['root'].strip('/') + '/' if root.scheme else '', match['auid'], match['document']
        self.globaltree, self.userstree = match['globaltree'] is not None, match['userstree']
        self.node, self.query = node if sign else None, query if mark else None
        self.relative = not root.scheme
        return self
