"""Headers with a plain value: Content-Type, Event, Reason, Replaces, Retry-After, Subject, Subscription-State, Via, Warning."""

from __future__ import annotations

import re
from typing import Any, Self

from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import Shortcut, abstract, number, optional_text, parameters_field, port_field, text_field, twins
from sipsimple.core.headers.base import BaseHeader, ParametersHeader, copied_parameters, int_parameter, text_parameter, write_parameter
from sipsimple.core.headers.syntax import format_parameters, parse_parameters, quote, split_list, split_value, unquote

__all__ = [
    'ContentType', 'BaseContentTypeHeader', 'ContentTypeHeader', 'FrozenContentTypeHeader', 'BaseRetryAfterHeader',
    'RetryAfterHeader', 'FrozenRetryAfterHeader', 'BaseViaHeader', 'ViaHeader', 'FrozenViaHeader', 'BaseWarningHeader',
    'WarningHeader', 'FrozenWarningHeader', 'BaseEventHeader', 'EventHeader', 'FrozenEventHeader',
    'BaseSubscriptionStateHeader', 'SubscriptionStateHeader', 'FrozenSubscriptionStateHeader', 'BaseReasonHeader',
    'ReasonHeader', 'FrozenReasonHeader', 'BaseSubjectHeader', 'SubjectHeader', 'FrozenSubjectHeader',
    'BaseReplacesHeader', 'ReplacesHeader', 'FrozenReplacesHeader']


class ContentType(str):
    """A media type `type/subtype`; ValueError when either is empty."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        major, _sign, minor = value.partition('/')
        if not major.strip() or not minor.strip():
            raise ValueError(f'not a media type: {value!r}')
        return super().__new__(cls, value)

    @property
    def type(self) -> str:
        """The part before the slash."""
        return self.partition('/')[0]

    @property
    def subtype(self) -> str:
        """The part behind the slash."""
        return self.partition('/')[2]


def _read_content_type(self: Any) -> ContentType | None:
    try:
        return ContentType(self._content_type)
    except ValueError:
        return None


def _write_content_type(self: Any, value: Any) -> None:
    self._content_type = text_field(self, value)


@abstract
class BaseContentTypeHeader(ParametersHeader):
    """Parent of ContentTypeHeader and FrozenContentTypeHeader."""

    __slots__ = ('_content_type',)
    name = 'Content-Type'
    _fields = {'content_type': text_field, 'parameters': parameters_field}
    _shortcuts = {'content_type': (_read_content_type, _write_content_type)}
    content_type: ContentType | None
    _content_type: str

    def __init__(self, content_type: str, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._content_type = text_field(self, content_type)
        self._set_parameters(parameters)

    def _format(self) -> str:
        return self._content_type + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        self = cls.__new__(cls)
        self._content_type, parameters = split_value(body)
        self._set_parsed(parameters)
        return self


class ContentTypeHeader(BaseContentTypeHeader):
    """Content-Type (RFC 3261 §20.15). `content_type` reads as ContentType, or None when it is not type/subtype."""

    __slots__ = ()


@twins(BaseContentTypeHeader, ContentTypeHeader, 'body')
class FrozenContentTypeHeader(BaseContentTypeHeader):
    """A ContentTypeHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


def _seconds_field(owner: Any, value: Any) -> int:
    seconds = int(value)
    if seconds < 0:
        raise ValueError(f'seconds must not be negative: {value!r}')
    return seconds


_retry_after = re.compile(r'\s*(\d{1,19})\s*(?:\(((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+)\)\s*)?(?=;|$)', re.ASCII | re.DOTALL)
_comment_special = re.compile(r'([()\\])')
_comment_escaped = re.compile(r'\\(.)', re.DOTALL)


@abstract
class BaseRetryAfterHeader(ParametersHeader):
    """Parent of RetryAfterHeader and FrozenRetryAfterHeader."""

    __slots__ = ('_seconds', '_comment')
    name = 'Retry-After'
    _fields = {'seconds': _seconds_field, 'comment': optional_text, 'parameters': parameters_field}
    _shortcuts = {'duration': int_parameter('duration')}
    seconds: int
    comment: str | None
    duration: int | None
    _seconds: int
    _comment: str | None

    def __init__(
            self, seconds: int, comment: str | None = None, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._seconds = _seconds_field(self, seconds)
        self._comment = optional_text(self, comment)
        self._set_parameters(parameters)

    def _format(self) -> str:
        text = str(self._seconds)
        if self._comment:
            text += ' (' + _comment_special.sub(r'\\\1', self._comment) + ')'
        return text + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        match = _retry_after.match(body)
        if match is None:
            raise SIPCoreError(f'invalid Retry-After: {body[:300]!r}')
        self = cls.__new__(cls)
        self._seconds = min(int(match[1]), 0xFFFFFFFF)
        self._comment = _comment_escaped.sub(r'\1', match[2]) if match[2] else None
        self._set_parsed(parse_parameters(body[match.end():]))
        return self


class RetryAfterHeader(BaseRetryAfterHeader):
    """Retry-After (RFC 3261 §20.33). `seconds` int, `comment` str or None, `duration` int (seconds) or None."""

    __slots__ = ()


@twins(BaseRetryAfterHeader, RetryAfterHeader, 'body')
class FrozenRetryAfterHeader(BaseRetryAfterHeader):
    """A RetryAfterHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


@abstract
class BaseViaHeader(ParametersHeader):
    """Parent of ViaHeader and FrozenViaHeader.

    Raises:
        ValueError: port outside 1..65535.
    """

    __slots__ = ('_transport', '_host', '_port')
    name = 'Via'
    _fields = {'transport': text_field, 'host': text_field, 'port': port_field, 'parameters': parameters_field}
    _shortcuts = {
        'ttl': int_parameter('ttl'), 'maddr': text_parameter('maddr'), 'received': text_parameter('received'),
        'branch': text_parameter('branch'), 'compression': text_parameter('comp'), 'rport': int_parameter('rport')}
    transport: str
    host: str
    port: int
    ttl: int | None
    maddr: str | None
    received: str | None
    branch: str | None
    compression: str | None
    rport: int | None
    _transport: str
    _host: str
    _port: int

    def __init__(
            self, transport: str, host: str, port: int = 5060,
            parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._transport = text_field(self, transport)
        self._host = text_field(self, host)
        self._port = port_field(self, port)
        self._set_parameters(parameters)

    def _format(self) -> str:
        host = f'[{self._host}]' if ':' in self._host and self._host[:1] != '[' else self._host
        return f'SIP/2.0/{self._transport} {host}:{self._port}' + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        value, parameters = split_value(body)
        protocol, sign, sent_by = ' '.join(value.split()).replace(' /', '/').replace('/ ', '/').partition(' ')
        name, version, transport = (protocol.split('/', 3) + ['', '', ''])[:3]
        sent_by = sent_by.replace(' ', '')
        if name.upper() != 'SIP' or version != '2.0' or not transport or not sent_by:
            raise SIPCoreError(f'invalid Via: {body[:300]!r}')
        if sent_by[0] == '[':
            host, bracket, digits = sent_by[1:].partition(']')
            sign, digits = digits[:1] if bracket else '?', digits[1:]
        else:
            host, sign, digits = sent_by.partition(':')
        if digits:
            port = number(digits)
        else:
            port = 5061 if transport.upper() == 'TLS' else 5060  # RFC 3261 §18.2.2
        if not host or sign not in ('', ':') or port is None or not 0 < port < 65536:
            raise SIPCoreError(f'invalid Via: {body[:300]!r}')
        self = cls.__new__(cls)
        self._transport = transport
        self._host = host
        self._port = port
        self._set_parsed(parameters)
        return self


class ViaHeader(BaseViaHeader):
    """Via (RFC 3261 §20.42). `ttl`, `maddr`, `received`, `branch`, `compression` and `rport` are parameters or None."""

    __slots__ = ()


@twins(BaseViaHeader, ViaHeader, 'body')
class FrozenViaHeader(BaseViaHeader):
    """A ViaHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


def _code_field(owner: Any, value: Any) -> int:
    code = int(value)
    if not 100 <= code <= 999:
        raise ValueError(f'warning code must be within 100..999: {value!r}')
    return code


_warning = re.compile(r'\s*(\d{3})\s+(\S+)\s+("(?:[^"\\]|\\.)*+")', re.ASCII | re.DOTALL)


@abstract
class BaseWarningHeader(BaseHeader):
    """Parent of WarningHeader and FrozenWarningHeader.

    Raises:
        ValueError: code outside 100..999.
    """

    __slots__ = ('_code', '_agent', '_text', '_printed')
    name = 'Warning'
    _fields = {'code': _code_field, 'agent': text_field, 'text': text_field}
    code: int
    agent: str
    text: str
    _code: int
    _agent: str
    _text: str
    _printed: str | None

    def __init__(self, code: int, agent: str, text: str) -> None:
        if getattr(self, '_code', None) is not None:
            raise self._initialized_again()
        checked = _code_field(self, code)
        self._agent = text_field(self, agent)
        self._text = text_field(self, text)
        self._printed = None
        self._code = checked

    def _format(self) -> str:
        return f'{self._code} {self._agent} {quote(self._text)}'

    @classmethod
    def parse(cls, body: str) -> Self:
        match = _warning.match(body)
        if match is None or match[1] < '100':
            raise SIPCoreError(f'invalid Warning: {body[:300]!r}')
        return cls(int(match[1]), match[2], unquote(match[3]))


class WarningHeader(BaseWarningHeader):
    """Warning (RFC 3261 §20.43): `code`, `agent`, `text`. Of several warnings in one field the first is parsed."""

    __slots__ = ()


@twins(BaseWarningHeader, WarningHeader, 'body')
class FrozenWarningHeader(BaseWarningHeader):
    """A WarningHeader that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseEventHeader(ParametersHeader):
    """Parent of EventHeader and FrozenEventHeader."""

    __slots__ = ('_event',)
    name = 'Event'
    _fields = {'event': text_field, 'parameters': parameters_field}
    _shortcuts = {'id': text_parameter('id'), 'parameters': copied_parameters}
    event: str
    id: str | None
    _event: str

    def __init__(self, event: str, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._event = text_field(self, event)
        self._set_parameters(parameters)

    def _format(self) -> str:
        return self._event + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        self = cls.__new__(cls)
        self._event, parameters = split_value(body)
        self._set_parsed(parameters)
        return self


class EventHeader(BaseEventHeader):
    """Event (RFC 6665 §8.2.1). `id` is a parameter or None; `parameters` reads as a copy."""

    __slots__ = ()


@twins(BaseEventHeader, EventHeader, 'body')
class FrozenEventHeader(BaseEventHeader):
    """An EventHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


@abstract
class BaseSubscriptionStateHeader(ParametersHeader):
    """Parent of SubscriptionStateHeader and FrozenSubscriptionStateHeader."""

    __slots__ = ('_state',)
    name = 'Subscription-State'
    _fields = {'state': text_field, 'parameters': parameters_field}
    _shortcuts = {
        'reason': text_parameter('reason'), 'expires': int_parameter('expires'),
        'retry_after': int_parameter('retry-after'), 'parameters': copied_parameters}
    state: str
    reason: str | None
    expires: int | None
    retry_after: int | None
    _state: str

    def __init__(self, state: str, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._state = text_field(self, state)
        self._set_parameters(parameters)

    def _format(self) -> str:
        return self._state + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        self = cls.__new__(cls)
        self._state, parameters = split_value(body)
        self._set_parsed(parameters)
        return self


class SubscriptionStateHeader(BaseSubscriptionStateHeader):
    """Subscription-State (RFC 6665 §8.2.3). `reason`, `expires`, `retry_after` (seconds) are parameters or None."""

    __slots__ = ()


@twins(BaseSubscriptionStateHeader, SubscriptionStateHeader, 'body')
class FrozenSubscriptionStateHeader(BaseSubscriptionStateHeader):
    """A SubscriptionStateHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


def _read_reason_text(self: ParametersHeader) -> str | None:
    value = self._parameters.get('text')
    return None if value is None else unquote(value)


def _write_reason_text(self: ParametersHeader, value: Any) -> None:
    write_parameter(self, 'text', None if value is None else quote(text_field(self, value)))


_reason_text: Shortcut = (_read_reason_text, _write_reason_text)


@abstract
class BaseReasonHeader(ParametersHeader):
    """Parent of ReasonHeader and FrozenReasonHeader."""

    __slots__ = ('_protocol',)
    name = 'Reason'
    _fields = {'protocol': text_field, 'parameters': parameters_field}
    _shortcuts = {'cause': int_parameter('cause'), 'text': _reason_text}
    protocol: str
    cause: int | None
    text: str | None
    _protocol: str

    def __init__(self, protocol: str, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._protocol = text_field(self, protocol)
        self._set_parameters(parameters)

    def _format(self) -> str:
        return self._protocol + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        items = split_list(body) if ',' in body else [body]
        self = cls.__new__(cls)
        self._protocol, parameters = split_value(items[0] if items else '')
        if '"' in self._protocol:       # a token; the lone quote would take in what follows when it is parsed again
            raise SIPCoreError(f'malformed Reason: {body[:300]!r}')
        self._set_parsed(parameters)
        return self


class ReasonHeader(BaseReasonHeader):
    """Reason (RFC 3326). `cause` int or None; `text` without its quotes, or None. Of several reasons the first is parsed."""

    __slots__ = ()


@twins(BaseReasonHeader, ReasonHeader, 'body')
class FrozenReasonHeader(BaseReasonHeader):
    """A ReasonHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]


def _subject_field(owner: Any, subject: Any) -> str:
    if subject is None:
        raise ValueError('subject must not be None')
    return text_field(owner, subject)


@abstract
class BaseSubjectHeader(BaseHeader):
    """Parent of SubjectHeader and FrozenSubjectHeader.

    Raises:
        ValueError: `subject` is None.
    """

    __slots__ = ('_subject', '_printed')
    name = 'Subject'
    _fields = {'subject': _subject_field}
    subject: str
    _subject: str
    _printed: str | None

    def __init__(self, subject: str) -> None:
        if getattr(self, '_subject', None) is not None:
            raise self._initialized_again()
        self._printed = None
        self._subject = _subject_field(self, subject)

    def _format(self) -> str:
        return self._subject

    @classmethod
    def parse(cls, body: str) -> Self:
        return cls(body.strip())


class SubjectHeader(BaseSubjectHeader):
    """Subject (RFC 3261 §20.36)."""

    __slots__ = ()


@twins(BaseSubjectHeader, SubjectHeader, 'body')
class FrozenSubjectHeader(BaseSubjectHeader):
    """A SubjectHeader that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseReplacesHeader(ParametersHeader):
    """Parent of ReplacesHeader and FrozenReplacesHeader."""

    __slots__ = ('_call_id', '_from_tag', '_to_tag', '_early_only')
    name = 'Replaces'
    _fields = {
        'call_id': text_field, 'from_tag': text_field, 'to_tag': text_field,
        'early_only': lambda owner, value: int(value), 'parameters': parameters_field}
    call_id: str
    from_tag: str
    to_tag: str
    early_only: int
    _call_id: str
    _from_tag: str
    _to_tag: str
    _early_only: int

    def __init__(
            self, call_id: str, from_tag: str, to_tag: str, early_only: int = 0,
            parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._call_id = text_field(self, call_id)
        self._from_tag = text_field(self, from_tag)
        self._to_tag = text_field(self, to_tag)
        self._early_only = int(early_only)
        self._set_parameters(parameters)

    def _format(self) -> str:
        text = f'{self._call_id};from-tag={self._from_tag};to-tag={self._to_tag}'
        if self._early_only:
            text += ';early-only'
        return text + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        call_id, parameters = split_value(body)
        from_tag = parameters.pop('from-tag', None)
        to_tag = parameters.pop('to-tag', None)
        if not from_tag or not to_tag:
            raise SIPCoreError(f'Replaces without both tags: {body[:300]!r}')
        self = cls.__new__(cls)
        self._call_id = call_id
        self._from_tag = from_tag
        self._to_tag = to_tag
        self._early_only = 0
        if 'early-only' in parameters:
            del parameters['early-only']
            self._early_only = 1
        self._set_parsed(parameters)
        return self


class ReplacesHeader(BaseReplacesHeader):
    """Replaces (RFC 3891): the dialog to replace, as seen by the recipient; `early_only` 0 or 1."""

    __slots__ = ()


@twins(BaseReplacesHeader, ReplacesHeader, 'body')
class FrozenReplacesHeader(BaseReplacesHeader):
    """A ReplacesHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]
