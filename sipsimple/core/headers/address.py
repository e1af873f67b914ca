"""Headers that carry an address: From, To, Route, Record-Route, Contact, Refer-To (RFC 3261 §20, RFC 3515)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from sipsimple.core.containers import frozendict
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.fields import abstract, optional_text, parameters_field, text_field, twins
from sipsimple.core.headers.base import ParametersHeader, int_parameter, text_parameter, write_parameter
from sipsimple.core.headers.syntax import format_parameters, parse_parameters, quote, split_list, split_name_addr
from sipsimple.core.values import BaseSIPURI, FrozenSIPURI, SIPURI

__all__ = [
    'BaseIdentityHeader', 'IdentityHeader', 'FrozenIdentityHeader', 'BaseFromHeader', 'FromHeader', 'FrozenFromHeader',
    'BaseToHeader', 'ToHeader', 'FrozenToHeader', 'BaseRouteHeader', 'RouteHeader', 'FrozenRouteHeader',
    'BaseRecordRouteHeader', 'RecordRouteHeader', 'FrozenRecordRouteHeader', 'BaseContactHeader', 'ContactHeader',
    'FrozenContactHeader', 'BaseReferToHeader', 'ReferToHeader', 'FrozenReferToHeader']


def _uri_field(owner: Any, uri: Any) -> BaseSIPURI:
    expected = owner._uri_type
    if not isinstance(uri, expected):
        raise TypeError(f'{type(owner).__name__}: expected {expected.__name__}, got {type(uri).__name__}')
    return uri  # type: ignore[no-any-return]


@abstract
class BaseIdentityHeader(ParametersHeader):
    """Parent of the headers with display name, URI and parameters.

    Args:
        uri: SIPURI for mutable headers, FrozenSIPURI for frozen ones.
        display_name: without quotes; None for none.
        parameters: name -> value, or None for a flag; a frozendict for frozen headers.
    """

    __slots__ = ('_uri', '_display_name')
    _fields = {'uri': _uri_field, 'display_name': optional_text, 'parameters': parameters_field}
    _uri_type: ClassVar[type[BaseSIPURI]]

    uri: BaseSIPURI
    display_name: str | None
    _uri: BaseSIPURI
    _display_name: str | None

    def __init__(
            self, uri: BaseSIPURI, display_name: str | None = None,
            parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._uri = uri if type(uri) is self._uri_type else _uri_field(self, uri)
        self._display_name = optional_text(self, display_name)
        self._set_parameters(parameters)

    def _format(self) -> str:
        text = f'<{self._uri}>'
        if self._display_name:
            text = f'{quote(self._display_name)} {text}'
        return text + format_parameters(self._parameters) if self._parameters else text

    @classmethod
    def parse(cls, body: str) -> Self:
        """The header whose text, after the colon, is `body`. SIPCoreError."""
        display_name, uri, rest = split_name_addr(body)
        self = cls.__new__(cls)
        self._uri = cls._uri_type.parse(uri)
        self._display_name = display_name
        self._set_parsed(parse_parameters(rest) if rest else {})
        return self


@abstract
class IdentityHeader(BaseIdentityHeader):
    """Parent of the mutable From, To, Route and Record-Route headers."""

    __slots__ = ()
    _uri_type = SIPURI
    uri: SIPURI


@abstract
class FrozenIdentityHeader(BaseIdentityHeader):
    """Parent of the frozen From, To, Route and Record-Route headers."""

    __slots__ = ()
    _uri_type = FrozenSIPURI
    uri: FrozenSIPURI
    parameters: frozendict[str, str | None]


@abstract
class BaseFromHeader(BaseIdentityHeader):
    """Parent of FromHeader and FrozenFromHeader."""

    __slots__ = ()
    name = 'From'
    _shortcuts = {'tag': text_parameter('tag')}
    tag: str | None


class FromHeader(IdentityHeader, BaseFromHeader):
    """From (RFC 3261 §20.20). `tag` is the tag parameter, or None."""

    __slots__ = ()


@twins(BaseFromHeader, FromHeader, 'body')
class FrozenFromHeader(FrozenIdentityHeader, BaseFromHeader):
    """A FromHeader that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseToHeader(BaseIdentityHeader):
    """Parent of ToHeader and FrozenToHeader."""

    __slots__ = ()
    name = 'To'
    _shortcuts = {'tag': text_parameter('tag')}
    tag: str | None


class ToHeader(IdentityHeader, BaseToHeader):
    """To (RFC 3261 §20.39). `tag` is the tag parameter, or None."""

    __slots__ = ()


@twins(BaseToHeader, ToHeader, 'body')
class FrozenToHeader(FrozenIdentityHeader, BaseToHeader):
    """A ToHeader that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseRouteHeader(BaseIdentityHeader):
    """Parent of RouteHeader and FrozenRouteHeader."""

    __slots__ = ()
    name = 'Route'


class RouteHeader(IdentityHeader, BaseRouteHeader):
    """Route (RFC 3261 §20.34)."""

    __slots__ = ()


@twins(BaseRouteHeader, RouteHeader, 'body')
class FrozenRouteHeader(FrozenIdentityHeader, BaseRouteHeader):
    """A RouteHeader that cannot change; hashable."""

    __slots__ = ()


@abstract
class BaseRecordRouteHeader(BaseIdentityHeader):
    """Parent of RecordRouteHeader and FrozenRecordRouteHeader."""

    __slots__ = ()
    name = 'Record-Route'


class RecordRouteHeader(IdentityHeader, BaseRecordRouteHeader):
    """Record-Route (RFC 3261 §20.30)."""

    __slots__ = ()


@twins(BaseRecordRouteHeader, RecordRouteHeader, 'body')
class FrozenRecordRouteHeader(FrozenIdentityHeader, BaseRecordRouteHeader):
    """A RecordRouteHeader that cannot change; hashable."""

    __slots__ = ()


def _read_q(self: ParametersHeader) -> float | None:
    text = self._parameters.get('q') or ''
    if len(text) > 16 or not text.isascii() or not text.replace('.', '', 1).isdigit():
        return None
    value = float(text)
    return value if value <= 1 else None


def _write_q(self: ParametersHeader, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f'q must be within 0..1: {value!r}')
    write_parameter(self, 'q', None if value is None else f'{value:.3f}'.rstrip('0').rstrip('.'))


def _contact_uri_field(owner: Any, uri: Any) -> BaseSIPURI | None:
    if uri is None:
        if owner._display_name or owner._parameters:
            raise ValueError('the contact "*" has neither display name nor parameters')
        return None
    return _uri_field(owner, uri)


def _contact_name_field(owner: Any, display_name: Any) -> str | None:
    if display_name is not None and owner._uri is None:
        raise ValueError('the contact "*" has no display name')
    return optional_text(owner, display_name)


def _contact_parameters_field(owner: Any, parameters: Any) -> dict[str, str | None]:
    if parameters and owner._uri is None:
        raise ValueError('the contact "*" has no parameters')
    return parameters_field(owner, parameters)


def _not_star(write: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def guarded(self: Any, value: Any) -> None:
        if value is not None and self._uri is None:
            raise ValueError('the contact "*" has no parameters')
        write(self, value)
    return guarded


@abstract
class BaseContactHeader(ParametersHeader):
    """Parent of ContactHeader and FrozenContactHeader.

    Args:
        uri: SIPURI or FrozenSIPURI as for From; None is the contact `*`, which takes nothing else (ValueError).
    """

    __slots__ = ('_uri', '_display_name')
    name = 'Contact'
    _fields = {'uri': _contact_uri_field, 'display_name': _contact_name_field, 'parameters': _contact_parameters_field}
    _shortcuts = {
        'q': (_read_q, _not_star(_write_q)),
        'expires': (int_parameter('expires')[0], _not_star(int_parameter('expires')[1]))}
    _uri_type: ClassVar[type[BaseSIPURI]]

    uri: BaseSIPURI | None
    display_name: str | None
    q: float | None
    expires: int | None
    _uri: BaseSIPURI | None
    _display_name: str | None

    def __init__(
            self, uri: BaseSIPURI | None, display_name: str | None = None,
            parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        if uri is None and (display_name or parameters):
            raise ValueError('the contact "*" has neither display name nor parameters')
        self._uri = uri if uri is None or type(uri) is self._uri_type else _uri_field(self, uri)
        self._display_name = optional_text(self, display_name)
        self._set_parameters(parameters)

    def _format(self) -> str:
        if self._uri is None:
            return '*'
        text = f'<{self._uri}>'
        if self._display_name:
            text = f'{quote(self._display_name)} {text}'
        return text + format_parameters(self._parameters) if self._parameters else text

    @classmethod
    def parse(cls, body: str) -> Self:
        """The header whose text is `body`; `*` has no uri. SIPCoreError."""
        if body.strip() == '*':
            return cls(None)
        display_name, uri, rest = split_name_addr(body)
        self = cls.__new__(cls)
        self._uri = cls._uri_type.parse(uri)
        self._display_name = display_name
        self._set_parsed(parse_parameters(rest) if rest else {})
        return self


class ContactHeader(BaseContactHeader):
    """Contact (RFC 3261 §20.10). `q` float and `expires` int (seconds) are parameters, None when absent or malformed."""

    __slots__ = ()
    _uri_type = SIPURI
    uri: SIPURI | None


@twins(BaseContactHeader, ContactHeader, 'body')
class FrozenContactHeader(BaseContactHeader):
    """A ContactHeader that cannot change; hashable."""

    __slots__ = ()
    _uri_type = FrozenSIPURI
    uri: FrozenSIPURI | None
    parameters: frozendict[str, str | None]


def _refer_uri_field(owner: Any, uri: Any) -> str:
    text = text_field(owner, uri)
    if '<' in text or '>' in text:
        raise ValueError(f'invalid URI: {text[:300]!r}')
    return text


@abstract
class BaseReferToHeader(ParametersHeader):
    """Parent of ReferToHeader and FrozenReferToHeader.

    Args:
        uri: any URI as text, without `<>`.
    """

    __slots__ = ('_uri',)
    name = 'Refer-To'
    _fields = {'uri': _refer_uri_field, 'parameters': parameters_field}

    uri: str
    _uri: str

    def __init__(self, uri: str, parameters: dict[str, str | None] | None = None) -> None:
        if getattr(self, '_parameters', None) is not None:
            raise self._initialized_again()
        self._uri = _refer_uri_field(self, uri)
        self._set_parameters(parameters)

    def _format(self) -> str:
        return f'<{self._uri}>' + format_parameters(self._parameters)

    @classmethod
    def parse(cls, body: str) -> Self:
        """The header whose text is `body`. SIPCoreError, also for more than one address (RFC 3515 §2.1)."""
        items = split_list(body)
        if len(items) != 1:  # RFC 3515 §2.1: exactly one
            raise SIPCoreError(f'expected one address in Refer-To: {body[:300]!r}')
        _display_name, uri, rest = split_name_addr(items[0])
        uri = uri.strip()
        if not uri or '<' in uri or '>' in uri:
            raise SIPCoreError(f'invalid address in Refer-To: {body[:300]!r}')
        self = cls.__new__(cls)
        self._uri = uri
        self._set_parsed(parse_parameters(rest) if rest else {})
        return self


class ReferToHeader(BaseReferToHeader):
    """Refer-To (RFC 3515). `uri` is text: it may be of any scheme."""

    __slots__ = ()


@twins(BaseReferToHeader, ReferToHeader, 'body')
class FrozenReferToHeader(BaseReferToHeader):
    """A ReferToHeader that cannot change; hashable."""

    __slots__ = ()
    parameters: frozendict[str, str | None]
