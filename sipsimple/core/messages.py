"""Raw SIP messages as facts for notifications; nothing is parsed before somebody looks at it.

The native core validates messages before it hands them up; what it lets through may still be hostile. Only
parse_message() raises on a malformed message (and Request.request_uri on a URI that is not a SIP one); a header that
cannot be parsed is absent.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from functools import lru_cache
from typing import Any

from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import number
from sipsimple.core.headers.address import (
    FrozenContactHeader,
    FrozenFromHeader,
    FrozenRecordRouteHeader,
    FrozenReferToHeader,
    FrozenRouteHeader,
    FrozenToHeader,
)
from sipsimple.core.headers.base import BaseHeader, FrozenHeader
from sipsimple.core.headers.general import (
    FrozenContentTypeHeader,
    FrozenEventHeader,
    FrozenReasonHeader,
    FrozenReplacesHeader,
    FrozenRetryAfterHeader,
    FrozenSubjectHeader,
    FrozenSubscriptionStateHeader,
    FrozenViaHeader,
    FrozenWarningHeader,
)
from sipsimple.core.headers.syntax import split_list
from sipsimple.core.values import FrozenSIPURI

__all__ = ['MessageHeaders', 'Request', 'Response', 'parse_message', 'parse_request', 'parse_response', 'parse_sipfrag']

MAX_LIST_ITEMS = 1024  # of one list header; more are ignored

_compact_forms = {
    'a': 'accept-contact', 'b': 'referred-by', 'c': 'content-type', 'd': 'request-disposition', 'e': 'content-encoding',
    'f': 'from', 'i': 'call-id', 'j': 'reject-contact', 'k': 'supported', 'l': 'content-length', 'm': 'contact',
    'n': 'identity-info', 'o': 'event', 'r': 'refer-to', 's': 'subject', 't': 'to', 'u': 'allow-events', 'v': 'via',
    'x': 'session-expires', 'y': 'identity'}

# Names whose spelling is settled; any other keeps the spelling of its first appearance.
_spellings = {name.lower(): name for name in """
    Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Call-ID Call-Info Contact
    Content-Disposition Content-Encoding Content-ID Content-Language Content-Length Content-Type CSeq Date Diversion
    Error-Info Event Expires Feature-Caps Flow-Timer From Geolocation History-Info Identity Identity-Info In-Reply-To
    Info-Package Join Max-Breadth Max-Forwards MIME-Version Min-Expires Min-SE Organization P-Access-Network-Info
    P-Asserted-Identity P-Associated-URI P-Called-Party-ID P-Preferred-Identity Path Permission-Missing Policy-Contact
    Priority Privacy Proxy-Require RAck Reason Record-Route Recv-Info Refer-Sub Refer-To Referred-By Reject-Contact
    Remote-Party-ID Replaces Reply-To Request-Disposition Require Resource-Priority Retry-After Route RSeq Security-Client
    Security-Server Security-Verify Server Service-Route Session-Expires Session-ID SIP-ETag SIP-If-Match Subject
    Subscription-State Supported Suppress-If-Match Target-Dialog Timestamp To Unsupported User-Agent User-to-User Via
    Warning""".split()}

# The names as they are nearly always written -> lower case.
_usual_names = {name: lowered for lowered, name in _spellings.items()} | _compact_forms

_never_shown = {'authorization', 'proxy-authenticate', 'proxy-authorization', 'www-authenticate'}

# Found on demand by Request.body and Response.body, without splitting the headers.
_content_length = re.compile(rb'\n(?:content-length|l)[ \t]*:[ \t]*([0-9]+)', re.IGNORECASE)


def decode(data: bytes) -> str:
    """Text from the wire: UTF-8, or else Latin-1, which cannot fail."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode('latin-1')


def _parse_tokens(values: list[str]) -> list[str]:
    items = [item for value in values for item in split_list(value)]
    return items[:MAX_LIST_ITEMS]


def _parse_list(cls: type[BaseHeader]) -> Callable[[list[str]], list[BaseHeader]]:
    def parse(values: list[str]) -> list[BaseHeader]:
        headers: list[BaseHeader] = []
        for value in values:
            for item in split_list(value) if ',' in value else (value,):
                try:
                    headers.append(cls.parse(item))
                except SIPCoreError:
                    continue
                if len(headers) == MAX_LIST_ITEMS:
                    return headers
        if not headers:
            raise SIPCoreError(f'no valid {cls.name} header')
        return headers
    return parse


def _parse_first(cls: type[BaseHeader]) -> Callable[[list[str]], BaseHeader]:
    return lambda values: cls.parse(values[0])


def _parse_number(values: list[str]) -> int:
    # RFC 3261 §20.19: a number, which parameters or a comment may follow in the wild.
    value = number(values[0].partition(';')[0].strip())
    if value is None:
        raise SIPCoreError(f'not a number: {values[0][:300]!r}')
    return value


def _parse_cseq(values: list[str]) -> tuple[int, str]:
    digits, _sign, method = values[0].strip().replace('\t', ' ').partition(' ')
    value, method = number(digits), method.strip()
    if value is None or not method:
        raise SIPCoreError(f'invalid CSeq: {values[0][:300]!r}')
    return value, method


_parsers: dict[str, Callable[[list[str]], Any]] = {
    'accept': _parse_tokens, 'allow': _parse_tokens, 'require': _parse_tokens, 'supported': _parse_tokens,
    'unsupported': _parse_tokens, 'allow-events': _parse_tokens,
    'contact': _parse_list(FrozenContactHeader), 'route': _parse_list(FrozenRouteHeader),
    'record-route': _parse_list(FrozenRecordRouteHeader), 'via': _parse_list(FrozenViaHeader),
    'cseq': _parse_cseq, 'content-length': _parse_number, 'expires': _parse_number, 'max-forwards': _parse_number,
    'min-expires': _parse_number,
    'from': _parse_first(FrozenFromHeader), 'to': _parse_first(FrozenToHeader),
    'content-type': _parse_first(FrozenContentTypeHeader), 'event': _parse_first(FrozenEventHeader),
    'subscription-state': _parse_first(FrozenSubscriptionStateHeader), 'reason': _parse_first(FrozenReasonHeader),
    'retry-after': _parse_first(FrozenRetryAfterHeader), 'warning': _parse_first(FrozenWarningHeader),
    'refer-to': _parse_first(FrozenReferToHeader), 'subject': _parse_first(FrozenSubjectHeader),
    'replaces': _parse_first(FrozenReplacesHeader)}


_folding = re.compile(rb'\n[ \t]++')
_load_lock = threading.Lock()


class MessageHeaders(dict[str, Any]):
    """Headers of a message by canonical name; a dict whose values are parsed on first access.

    Names are looked up in any case and in compact form too; iteration gives canonical names, in order of appearance.
    Values are as in the notifications' `headers`: lists for Contact, Route, Record-Route, Via and the token lists,
    int for Content-Length, Expires, Max-Forwards and Min-Expires, (int, method) for CSeq, Frozen*Header for the rest.
    Headers that cannot be parsed and those with authentication data are absent.

    Thread: reading from several threads is safe (a value may be parsed twice); changing is not.
    """

    __slots__ = ('_raw', '_index')
    _raw: bytes
    _index: dict[str, list[str]] | None

    def __init__(self, raw: bytes = b'') -> None:
        """`raw`: the header block, without the first line of the message."""
        self._raw = raw
        self._index = None

    def _split(self) -> dict[str, list[str]]:
        """Lower-case name -> its spelling and the field values. The same result for all threads that come here at once."""
        index: dict[str, list[str]] = {}
        raw = self._raw.replace(b'\r\n', b'\n')
        if b'\n ' in raw or b'\n\t' in raw:
            raw = _folding.sub(b' ', raw)  # RFC 3261 §7.3.1
        try:
            lines = raw.decode().split('\n')
        except UnicodeDecodeError:  # only the lines concerned are Latin-1
            lines = [decode(line) for line in raw.split(b'\n')]
        for line in lines:
            name, sign, value = line.partition(':')
            if not sign:
                continue
            lowered = _usual_names.get(name)
            if lowered is None:
                name = name.strip()
                lowered = name.lower()
                lowered = _compact_forms.get(lowered, lowered)
                if not lowered or lowered in _never_shown:
                    continue
            entry = index.get(lowered)
            if entry is not None:
                entry.append(value.strip())
            else:
                index[lowered] = [_spellings.get(lowered) or name, value.strip()]
        self._index = index
        return index

    def _parse(self, lowered: str, entry: list[str]) -> Any:
        parser = _parsers.get(lowered)
        if parser is None:
            return FrozenHeader(entry[0], entry[1].replace('\r', ' ').replace('\0', ' '))
        return parser(entry[1:])

    def __missing__(self, name: str) -> Any:
        index = self._index
        if index is None:
            index = self._split()
        if not isinstance(name, str):
            raise KeyError(name)
        lowered = name.lower()
        lowered = _compact_forms.get(lowered, lowered)
        entry = index.get(lowered)
        if entry is None:
            for known in dict.__iter__(self) if not index else ():  # after _load() only this dict knows the names
                if known.lower() == lowered:
                    return dict.__getitem__(self, known)
            raise KeyError(name)
        canonical = entry[0]
        if canonical != name and dict.__contains__(self, canonical):
            return dict.__getitem__(self, canonical)
        try:
            value = self._parse(lowered, entry)
        except SIPCoreError:
            raise KeyError(name) from None
        dict.__setitem__(self, canonical, value)
        return value

    def _load(self) -> None:
        """Parse everything; from then on this is an ordinary dict."""
        if self._index is not None and not self._index:
            return
        with _load_lock:
            index = self._index
            if index is None:
                index = self._split()
            items: dict[str, Any] = {}
            for lowered, entry in index.items():
                canonical = entry[0]
                try:
                    items[canonical] = dict.__getitem__(self, canonical) if dict.__contains__(self, canonical) \
                        else self._parse(lowered, entry)
                except SIPCoreError:
                    continue
            if index:
                dict.clear(self)  # for the order of appearance
                dict.update(self, items)
                self._index = {}

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index]  # anything else than str is not contained
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        self._load()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[str]:
        self._load()
        return dict.__reversed__(self)

    def __len__(self) -> int:
        self._load()
        return dict.__len__(self)

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # dict_keys has no public type
        self._load()
        return dict.keys(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self._load()
        return dict.values(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        self._load()
        return dict.items(self)

    def __eq__(self, other: object) -> bool:
        self._load()
        if isinstance(other, MessageHeaders):
            other._load()
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._load()
        return dict.__repr__(self)

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        return other | dict(self)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """A plain dict."""
        return dict(self)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __setitem__(self, name: str, value: Any) -> None:
        self._load()
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        self._load()
        dict.__delitem__(self, name)

    def clear(self) -> None:
        self._load()
        dict.clear(self)

    def pop(self, *args: Any) -> Any:
        self._load()
        return dict.pop(self, *args)

    def popitem(self) -> tuple[str, Any]:
        self._load()
        return dict.popitem(self)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._load()
        return dict.setdefault(self, name, default)

    def update(self, *args: Any, **kw: Any) -> None:
        self._load()
        dict.update(self, *args, **kw)


class _Message:
    """What requests and responses have in common."""

    __slots__ = ('_data', '_body_start', 'headers')
    _data: bytes
    _body_start: int
    headers: MessageHeaders

    def __init__(self, data: bytes, head_start: int, head_end: int, body_start: int) -> None:
        self._data = data
        self._body_start = body_start
        self.headers = MessageHeaders(data[head_start:head_end])

    @property
    def body(self) -> bytes | None:
        """The body, cut at Content-Length (RFC 3261 §18.3); None when empty."""
        start = self._body_start
        if start >= len(self._data):
            return None
        match = _content_length.search(self._data, 0, start)
        length = number(match[1].decode()) if match is not None else None
        return self._data[start:None if length is None else start + length] or None


_parse_request_uri = lru_cache(64)(FrozenSIPURI.parse)      # mostly one of our few contacts


class Request(_Message):
    """Facts of a SIP request: `method`, `request_uri`, `headers`, `body`."""

    __slots__ = ('method', 'request_uri_text', '_request_uri')
    method: str
    request_uri_text: str
    _request_uri: FrozenSIPURI | None

    @property
    def request_uri(self) -> FrozenSIPURI:
        """The request URI, parsed on first access.

        Raises:
            SIPCoreError: it is not a valid SIP URI; `request_uri_text` has what was received.
        """
        uri = self._request_uri
        if uri is None:
            uri = self._request_uri = _parse_request_uri(self.request_uri_text)
        return uri

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.method} {self.request_uri_text}>'


class Response(_Message):
    """Facts of a SIP response: `code`, `reason`, `headers`, `body`."""

    __slots__ = ('code', 'reason')
    code: int
    reason: str

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.code} {self.reason}>'


def parse_message(data: bytes) -> Request | Response:
    """The request or response in `data`, one whole message; only its first line is parsed now.

    Raises:
        SIPCoreError: the first line is not that of a SIP message.
    """
    start = 0
    while data[start:start + 1] in (b'\r', b'\n'):  # RFC 3261 §7.5: empty lines before a message are ignored
        start += 1
    line_end = data.find(b'\n', start)
    if line_end < 0:
        line_end = len(data)
    head_end = data.find(b'\r\n\r\n', line_end - 1)
    body_start = head_end + 4
    if head_end < 0:
        head_end = data.find(b'\n\n', line_end)
        body_start = head_end + 2
        if head_end < 0:
            head_end = body_start = len(data)
    words = data[start:line_end].split(None, 2)
    if len(words) >= 2:
        if words[0].upper() == b'SIP/2.0':
            code = words[1]
            if len(code) == 3 and code.isdigit():
                response = Response(data, line_end, head_end, body_start)
                response.code = int(code)
                response.reason = decode(words[2]).strip() if len(words) == 3 else ''
                return response
        elif len(words) == 3 and words[2].strip().upper() == b'SIP/2.0':
            request = Request(data, line_end, head_end, body_start)
            request.method = decode(words[0])
            request.request_uri_text = decode(words[1])
            request._request_uri = None
            return request
    raise SIPCoreError(f'not a SIP message: {data[start:min(line_end, start + 300)]!r}')


def parse_request(data: bytes) -> Request:
    """As parse_message, for what must be a request."""
    message = parse_message(data)
    if not isinstance(message, Request):
        raise SIPCoreError(f'not a SIP request: {message!r}')
    return message


def parse_response(data: bytes) -> Response:
    """As parse_message, for what must be a response."""
    message = parse_message(data)
    if not isinstance(message, Response):
        raise SIPCoreError(f'not a SIP response: {message!r}')
    return message


_sipfrag = re.compile(rb'SIP/2\.0[ \t]+([0-9]{3})(?:[ \t]+([^\r\n]*))?(?=[\r\n]|\Z)', re.IGNORECASE)


def parse_sipfrag(body: bytes | None) -> tuple[int, str] | None:
    """(code, reason) of the status line of a message/sipfrag body (RFC 3420); None when there is none."""
    match = _sipfrag.match(body.lstrip()) if body else None
    return None if match is None else (int(match[1]), decode(match[2] or b'').strip())
