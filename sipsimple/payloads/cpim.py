"""Envelopes of chat messages: message/cpim, RFC 3862.

Names of headers and prefixes are case-sensitive. Lines end with CRLF; a bare LF is read too, as some write it. Values have the escapes of RFC 3862, 2.3.3.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

from sipsimple.payloads.datatypes import AnyURI, SIPURI
from sipsimple.util import ISOTimestamp, MultilingualText

__all__ = [
    'CPIMHeader', 'CPIMIdentity', 'CPIMMessage', 'CPIMNamespace', 'CPIMParserError', 'CPIMPayload', 'ChatIdentity', 'ChatMessage', 'Message', 'Namespace',
    'SimplePayload',
]


class CPIMParserError(Exception):
    """A message is no CPIM, or its content is not what it says."""


class CPIMNamespace(str):
    """The URI of a namespace of headers, with the prefix it is to have."""

    prefix: str

    def __new__(cls, value: str, prefix: str = '') -> Self:
        self = super().__new__(cls, value)
        self.prefix = prefix
        return self


Namespace = CPIMNamespace

_STANDARD = CPIMNamespace('urn:ietf:params:cpim-headers:')


class CPIMHeader:
    """A header that has no attribute of its own.

    Attributes:
        name: without prefix.
        namespace: `CPIMNamespace`.
        value: text.
    """

    def __init__(self, name: str, namespace: str, value: str) -> None:
        self.name = name
        self.namespace = namespace if isinstance(namespace, CPIMNamespace) else CPIMNamespace(namespace)
        self.value = value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CPIMHeader):
            return (self.name, self.namespace, self.value) == (other.name, other.namespace, other.value)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.namespace, self.value))

    def __repr__(self) -> str:
        return f'CPIMHeader({self.name!r}, {self.namespace!r}, {self.value!r})'


# Escapes

_NEED_ESCAPE = re.compile(r'[\\\x00-\x1f\x7f\x85\u2028\u2029]')
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(.))', re.DOTALL)
_SHORT = {'b': '\b', 't': '\t', 'n': '\n', 'r': '\r', '"': '"', "'": "'", '\\': '\\'}


def _escape(text: str) -> str:
    return _NEED_ESCAPE.sub(lambda match: '\\\\' if match[0] == '\\' else f'\\u{ord(match[0]):04X}', text)


def _unescape(text: str) -> str:
    """The text without escapes; one that RFC 3862 does not have stays, and so does half of a character."""
    if '\\' not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        if match[1] is not None:
            character = chr(int(match[1], 16))
            return match[0] if '\ud800' <= character <= '\udfff' else character
        return _SHORT.get(match[2], match[0])
    return _ESCAPE.sub(plain, text)


# Identities

_ADDRESS = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^<>]*?))\s*<\s*(?P<uri>[^<>\s]+)\s*>\s*', re.DOTALL)
_URI = re.compile(r'(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?:(?P<user>[^@:;?]*)(?::[^@]*)?@)?(?P<host>\[[^\]]*\]|[^:;?@>\s]+)')


def _user_and_host(uri: Any) -> tuple[str | None, str] | None:
    """What identities are compared by, of a URI object or text; None when it has none."""
    host = getattr(uri, 'host', None)
    if host is not None and not isinstance(uri, str):
        user = uri.user
        return (_text(user) if user else None), _text(host).lower()
    if isinstance(uri, str):
        match = _URI.match(AnyURI.__xmlparse__(uri))
        return (match['user'] or None, match['host'].lower()) if match else None
    return None


def _text(value: Any) -> str:
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)


class ChatIdentity:
    """Somebody in a chat: a URI and a name; equal to whatever has the same user and host.

    Args:
        uri: URI object of the core, or text.
        display_name: or None.

    Class attributes:
        uri_type: what `parse` makes URIs with the scheme sip or sips of; ValueError or another exception when it is none. Others are `AnyURI`.
    """

    uri_type: ClassVar[Callable[[str], Any]] = SIPURI

    def __init__(self, uri: Any, display_name: str | None = None) -> None:
        self.uri = uri
        self.display_name = display_name

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identity of `Name <uri>`, `"Name" <uri>` or `<uri>`.

        Raises:
            CPIMParserError: it is none of these.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or not _URI.match(match['uri']):
            raise CPIMParserError(f'{text!r} is no address')
        uri: Any = AnyURI(match['uri'])
        if uri.partition(':')[0].lower() in ('sip', 'sips'):
            try:
                uri = ChatIdentity.uri_type(match['uri'])
            except Exception as error:
                raise CPIMParserError(f'{text!r} has no SIP URI: {error}') from error
        name = match['plain'] if match['quoted'] is None else match['quoted']
        return cls(uri, _unescape(name) or None)

    def __str__(self) -> str:
        if not self.display_name:
            return f'<{_safe_uri(self.uri)}>'
        name = _escape(self.display_name)
        if any(character in name for character in '"<>\\') or name != name.strip():
            name = '"' + name.replace('"', '\\"') + '"'
        return f'{name} <{_safe_uri(self.uri)}>'

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.uri!r}, {self.display_name!r})'

    def __eq__(self, other: object) -> bool:
        mine = _user_and_host(self.uri)
        theirs = _user_and_host(other.uri if isinstance(other, ChatIdentity) else other)
        if theirs is None and not isinstance(other, ChatIdentity):
            return NotImplemented
        return mine is not None and mine == theirs

    def __hash__(self) -> int:
        return hash(_user_and_host(self.uri))


class CPIMIdentity(ChatIdentity):
    """`ChatIdentity`, by the name it had in envelopes."""


def _safe_uri(uri: Any) -> str:
    """The text of a URI, with what would end it or its line escaped."""
    return re.sub(r'[\x00-\x20<>"\x7f]', lambda match: f'%{ord(match[0]):02X}', str(uri))


# Messages

class ChatMessage:
    """A message of a chat.

    Attributes:
        content, body: str for text, else bytes; the same thing by two names.
        content_type: MIME type.
        sender: `ChatIdentity`, or None.
        recipients, courtesy_recipients: lists of them.
        subject: `MultilingualText`, or None.
        timestamp: `ISOTimestamp`, or None.
        required: names of headers that the receiver must understand.
        additional_headers: list of `CPIMHeader`.
    """

    def __init__(self, content: str | bytes, content_type: str, sender: ChatIdentity | None = None, recipients: Sequence[ChatIdentity] | None = None,
                 courtesy_recipients: Sequence[ChatIdentity] | None = None, subject: str | None = None, timestamp: datetime | str | None = None,
                 required: Sequence[str] | None = None, additional_headers: Sequence[CPIMHeader] | None = None) -> None:
        self.content = content
        self.content_type = content_type
        self.sender = sender
        self.recipients = list(recipients or ())
        self.courtesy_recipients = list(courtesy_recipients or ())
        self.subject: MultilingualText | None = subject if subject is None or isinstance(subject, MultilingualText) else MultilingualText(subject)
        self.timestamp: ISOTimestamp | None = timestamp if timestamp is None or isinstance(timestamp, ISOTimestamp) else ISOTimestamp(timestamp)
        self.required = list(required or ())
        self.additional_headers = list(additional_headers or ())

    @property
    def body(self) -> str | bytes:
        """The content."""
        return self.content

    @body.setter
    def body(self, content: str | bytes) -> None:
        self.content = content

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.content_type!r}, sender={self.sender!r})'


Message = ChatMessage

_HEADER = re.compile(r'(?:(?P<prefix>[^\s.:;]+)\.)?(?P<name>[^\s:;.]+):(?P<parameters>(?:;[^\s;=]+=(?:"[^"]*"|[^\s;]*))*) ?(?P<value>.*)', re.DOTALL)
_NAMESPACE = re.compile(r'(?:(?P<prefix>[^\s<>.:;]+)\s*)?<(?P<uri>[^<>\s]+)>\s*')
_LANGUAGE = re.compile(r';lang=([A-Za-z0-9-]+)', re.IGNORECASE)
_EMPTY_LINE = re.compile(rb'\r?\n\r?\n')
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+^_`|~-]+")


class CPIMMessage(ChatMessage):
    """A message with its envelope; `str()` is the text of it."""

    def __init__(self, content: str | bytes, content_type: str, sender: ChatIdentity | None = None, recipients: Sequence[ChatIdentity] | None = None,
                 courtesy_recipients: Sequence[ChatIdentity] | None = None, subject: str | None = None, timestamp: datetime | str | None = None,
                 required: Sequence[str] | None = None, additional_headers: Sequence[CPIMHeader] | None = None) -> None:
        super().__init__(content, content_type, sender, recipients, courtesy_recipients, subject, timestamp, required, additional_headers)
        self.charset: str | None = None

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The message of an envelope. A header that makes no sense is left out.

        Raises:
            CPIMParserError: there is no empty line behind the headers or behind those of the content, or the content is not in its charset.
        """
        fields, content, content_type, charset = _split(text)
        self = cls(content, content_type)
        self.charset = charset
        self._read(fields)
        return self

    def _read(self, lines: Iterable[str]) -> None:
        """Take the headers of the envelope."""
        namespaces = {'': _STANDARD}
        subject: str | None = None
        translations: dict[str, str] = {}
        for line in lines:
            match = _HEADER.fullmatch(line)
            if match is None:
                continue
            name, raw = match['name'], match['value'].strip()
            namespace = namespaces.get(match['prefix'] or '')
            if namespace is None:
                continue
            if namespace != _STANDARD:
                self.additional_headers.append(CPIMHeader(name, namespace, _unescape(raw)))
                continue
            try:
                if name == 'From':
                    self.sender = CPIMIdentity.parse(raw)
                elif name == 'To':
                    self.recipients.append(CPIMIdentity.parse(raw))
                elif name == 'cc':
                    self.courtesy_recipients.append(CPIMIdentity.parse(raw))
                elif name == 'Subject':
                    language = _LANGUAGE.search(match['parameters'])
                    if language is not None:
                        translations.setdefault(language[1], _unescape(raw))
                    elif subject is None:
                        subject = _unescape(raw)
                elif name == 'DateTime':
                    self.timestamp = ISOTimestamp(raw)
                elif name == 'Required':
                    self.required.extend(word for word in (word.strip() for word in raw.split(',')) if word)
                elif name == 'NS':
                    declared = _NAMESPACE.fullmatch(raw)
                    if declared is not None:
                        prefix = declared['prefix'] or ''
                        namespaces[prefix] = CPIMNamespace(declared['uri'], prefix)
                else:
                    self.additional_headers.append(CPIMHeader(name, namespace, _unescape(raw)))
            except (CPIMParserError, ValueError):
                continue
        if subject is not None or translations:
            self.subject = MultilingualText(*(() if subject is None else (subject,)), **translations)

    def _envelope(self) -> str:
        """The headers, each with its CRLF."""
        lines = []
        if self.sender is not None:
            lines.append(f'From: {self.sender}')
        lines += [f'To: {identity}' for identity in self.recipients]
        lines += [f'cc: {identity}' for identity in self.courtesy_recipients]
        if self.subject is not None:
            if str(self.subject) or not self.subject.translations:
                lines.append(f'Subject: {_escape(str(self.subject))}')
            for language, text in self.subject.translations.items():
                lines.append(f'Subject:;lang={_token(language.replace("_", "-"))} {_escape(text)}')
        if self.timestamp is not None:
            lines.append(f'DateTime: {self.timestamp.isoformat()}')
        if self.required:
            lines.append('Required: ' + ','.join(_escape(word) for word in self.required))
        prefixes: dict[str, str] = {}
        for header in self.additional_headers:
            if header.namespace == _STANDARD:
                lines.append(f'{_token(header.name)}: {_escape(str(header.value))}')
                continue
            prefix = prefixes.get(header.namespace)
            if prefix is None:
                wanted = header.namespace.prefix or 'ns'
                prefix, number = _token(wanted), 1
                while prefix in prefixes.values():
                    number += 1
                    prefix = f'{wanted}{number}'
                prefixes[header.namespace] = prefix
                lines.append(f'NS: {prefix} <{_safe_uri(header.namespace)}>')
            lines.append(f'{prefix}.{_token(header.name)}: {_escape(str(header.value))}')
        return ''.join(line + '\r\n' for line in lines)

    def _encoded(self) -> str | bytes:
        """The whole message: str when the content is, in UTF-8; else bytes."""
        content, content_type = _coded(self.content, self.content_type, self.charset)
        head = f'{self._envelope()}\r\nContent-Type: {content_type}\r\n\r\n'
        if isinstance(self.content, str) and (self.charset or 'utf-8').lower() in ('utf-8', 'utf8'):
            return head + self.content
        return head.encode('utf-8') + content

    def __str__(self) -> str:
        text = self._encoded()
        return text if isinstance(text, str) else text.decode('utf-8', 'replace')


class CPIMPayload(CPIMMessage):
    """A message with its envelope, to be sent.

    Args:
        charset: of the content when it is text; UTF-8 when not told.
        others: see `ChatMessage`.
    """

    content_type: str

    def __init__(self, content: str | bytes, content_type: str, charset: str | None = None, sender: ChatIdentity | None = None,
                 recipients: Sequence[ChatIdentity] | None = None, courtesy_recipients: Sequence[ChatIdentity] | None = None, subject: str | None = None,
                 timestamp: datetime | str | None = None, required: Sequence[str] | None = None,
                 additional_headers: Sequence[CPIMHeader] | None = None) -> None:
        super().__init__(content, content_type, sender, recipients, courtesy_recipients, subject, timestamp, required, additional_headers)
        self.charset = charset

    def encode(self) -> tuple[str | bytes, str]:
        """The message, and `message/cpim`. It is str when the content is str (in UTF-8), and bytes when the content is bytes.

        Raises:
            ValueError: a name of a header, prefix or language has what such a name cannot have, or the content cannot be written in the charset.
        """
        return self._encoded(), 'message/cpim'

    @classmethod
    def decode(cls, message: str | bytes) -> Self:
        """The same as `parse`.

        Raises:
            CPIMParserError: it is no message.
        """
        return cls.parse(message)


class SimplePayload:
    """A message without envelope.

    Args:
        content: bytes, or str for text.
        content_type: MIME type.
        charset: of the content when it is text.
    """

    def __init__(self, content: str | bytes, content_type: str, charset: str | None = None) -> None:
        self.content = content
        self.content_type = content_type
        self.charset = charset

    def encode(self) -> tuple[bytes, str]:
        """The content as bytes, and the MIME type with the charset."""
        return _coded(self.content, self.content_type, self.charset)

    @classmethod
    def decode(cls, content: str | bytes, content_type: str) -> Self:
        """The payload of content and MIME type; text becomes str.

        Raises:
            CPIMParserError: the content is not in its charset.
        """
        kind, charset = _content_type(content_type)
        data = content.encode('utf-8') if isinstance(content, str) else bytes(content)
        return cls(_content(data, kind, charset), kind, charset)


# The content

def _is_text(content_type: str) -> bool:
    return content_type.lower().startswith('text/')


def _token(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f'{name!r} is no name of a header, prefix or language')
    return name


def _coded(content: str | bytes, content_type: str, charset: str | None) -> tuple[bytes, str]:
    """Content as bytes and its type with the charset, which only text has."""
    if re.search(r'[\r\n]', content_type):
        raise ValueError(f'{content_type!r} is no MIME type')
    if isinstance(content, str):
        charset = charset or 'utf-8'
        try:
            content = content.encode(charset)
        except LookupError as error:
            raise ValueError(f'{charset!r} is no charset') from error
        if not _is_text(content_type):
            charset = None
    if charset and 'charset=' not in content_type.lower():
        content_type += f'; charset={_token(charset)}'
    return content, content_type


def _content_type(text: str) -> tuple[str, str | None]:
    """MIME type without charset, and the charset."""
    kind, *parameters = (part.strip() for part in text.split(';'))
    charset = None
    for parameter in parameters:
        name, _, value = parameter.partition('=')
        if name.strip().lower() == 'charset':
            charset = value.strip().strip('"').lower() or None
        elif parameter:
            kind += f'; {parameter}'
    return kind, charset


def _content(data: bytes, kind: str, charset: str | None) -> str | bytes:
    if not _is_text(kind):
        return data
    try:
        return data.decode(charset or 'utf-8')
    except (LookupError, ValueError) as error:
        raise CPIMParserError(f'the content is no {charset or "utf-8"}: {error}') from error


def _split(message: str | bytes) -> tuple[list[str], str | bytes, str, str | None]:
    """The lines of the envelope, then content, MIME type and charset."""
    try:
        data = message.encode('utf-8') if isinstance(message, str) else bytes(message)
        # A message without headers begins with the empty line.
        first = re.match(rb'\r?\n', data) or _EMPTY_LINE.search(data)
        if first is None:
            raise CPIMParserError('there is no empty line behind the headers')
        envelope, rest = data[:first.start()].decode('utf-8'), data[first.end():]
        second = re.match(rb'\r?\n', rest) or _EMPTY_LINE.search(rest)
        if second is None:
            raise CPIMParserError('there is no empty line before the content')
        head, body = rest[:second.start()].decode('utf-8'), rest[second.end():]
    except UnicodeError as error:
        raise CPIMParserError(f'the headers are not in UTF-8: {error}') from error
    fields: dict[str, str] = {}
    for line in re.sub(r'\r?\n[ \t]+', ' ', head).split('\n'):
        name, colon, value = line.partition(':')
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    kind, charset = _content_type(fields.get('content-type') or 'text/plain')
    coding = fields.get('content-transfer-encoding', '').lower()
    try:
        if coding == 'base64':
            body = base64.b64decode(body)
        elif coding == 'quoted-printable':
            body = binascii.a2b_qp(body)
    except binascii.Error as error:
        raise CPIMParserError(f'the content is no {coding}: {error}') from error
    return [line.rstrip('\r') for line in envelope.split('\n')], _content(body, kind, charset), kind, charset
