"""Route and ContactURIFactory: where a request goes, and the address by which its answer finds us."""

from __future__ import annotations

import random
from socket import AF_INET, AF_INET6, SOCK_DGRAM, inet_pton, socket
from string import ascii_lowercase
from typing import Any, Protocol

from sipsimple.core.values import BaseSIPURI, SIPURI

__all__ = [
    'Route', 'ContactURIFactory', 'NoGRUU', 'PublicGRUU', 'TemporaryGRUU', 'PublicGRUUIfAvailable',
    'TemporaryGRUUIfAvailable', 'is_address', 'is_null_address', 'local_ip_for', 'outgoing_ip_for', 'set_engine_provider']

TRANSPORTS = ('udp', 'tcp', 'tls')


class EngineProvider(Protocol):
    """What this module needs to know of the Engine. A port is None when its transport is off."""

    @property
    def running(self) -> bool:
        """True while the Engine runs."""
    @property
    def ip_address(self) -> str | None:
        """The address it is bound to, None for all."""
    @property
    def udp_port(self) -> int | None:
        """Bound UDP port."""
    @property
    def tcp_port(self) -> int | None:
        """Bound TCP port."""
    @property
    def tls_port(self) -> int | None:
        """Bound TLS port."""


_provider: EngineProvider | None = None


def set_engine_provider(provider: EngineProvider | None) -> None:
    """Register the source of the Engine's addresses; the engine module does so when it is imported."""
    global _provider
    _provider = provider


def _address_family(address: str) -> Any:
    """AF_INET, AF_INET6, or None when `address` is not an IP literal."""
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return family
    return None


def outgoing_ip_for(address: str | None = None) -> str | None:
    """The local address from which packets to `address` leave; None when there is no way to it.

    Args:
        address: IPv4 or IPv6 literal; None asks for the default IPv4 address, as seen on the way to the Internet.
    Thread: any. Nothing is sent: a UDP socket is connected, which only asks the routing table.
    """
    target = '192.0.2.1' if address is None else address.strip('[]')  # RFC 5737: nobody's
    family = _address_family(target)
    if family is None:
        return None
    try:
        with socket(family, SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            local = str(probe.getsockname()[0]).partition('%')[0]
    except OSError:
        return None
    return None if is_null_address(local) else local


def local_ip_for(address: str) -> str | None:
    """The local address to talk with `address` from: that of the Engine if it is bound to one of the same family, else `outgoing_ip_for`; None when
    there is no way. Thread: any."""
    local = outgoing_ip_for(address)
    bound = _bound_address()
    return bound if local is not None and bound is not None and (':' in bound) == (':' in local) else local


def _bound_address() -> str | None:
    """The only address at which the Engine listens, None if it listens at all of them."""
    bound = _provider.ip_address if _provider is not None and _provider.running else None
    return None if not bound or is_null_address(bound) else bound


def is_address(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 literal, and no name."""
    return _address_family(host) is not None


def is_null_address(address: str | None) -> bool:
    """Whether an address is the unspecified one, 0.0.0.0 or ::, which in SDP is the old way to say "send nothing": RFC 3264 §8.4."""
    return bool(address) and not set(address or '').difference('0:.')


class Route:
    """Where to send a request: address, port and transport of the next hop. The attributes may be changed.

    Args:
        address: IPv4 or IPv6 literal.
        port: None for the transport's default: 5061 for tls, else 5060.
        transport: "udp", "tcp" or "tls" in any case.
        tls_name: host name that the server's certificate must carry.
    Raises:
        ValueError: one of the arguments is not as above.
    """

    __slots__ = ('_address', '_port', '_transport', '_tls_name')

    def __init__(self, address: str, port: int | None = None, transport: str = 'udp', tls_name: str | None = None) -> None:
        self.address = address
        self.port = port
        self.transport = transport
        self.tls_name = tls_name

    @property
    def address(self) -> str:
        """IPv4 or IPv6 literal, without brackets."""
        return self._address

    @address.setter
    def address(self, value: str) -> None:
        literal = value.removeprefix('[').removesuffix(']') if isinstance(value, str) else ''
        if _address_family(literal) is None:
            raise ValueError(f'not an IP address: {value!r}')
        self._address = literal

    @property
    def port(self) -> int:
        """The port; the transport's default when None was given."""
        if self._port is not None:
            return self._port
        return 5061 if self._transport == 'tls' else 5060

    @port.setter
    def port(self, value: int | None) -> None:
        port = None if value is None else int(value)
        if port is not None and not 0 < port < 65536:
            raise ValueError(f'invalid port: {value!r}')
        self._port = port

    @property
    def transport(self) -> str:
        """"udp", "tcp" or "tls"."""
        return self._transport

    @transport.setter
    def transport(self, value: str) -> None:
        transport = value.lower() if isinstance(value, str) else value
        if transport not in TRANSPORTS:
            raise ValueError(f'invalid transport: {value!r}')
        self._transport = transport

    @property
    def tls_name(self) -> str | None:
        """Host name to verify in the server's certificate, or None."""
        return self._tls_name

    @tls_name.setter
    def tls_name(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise ValueError(f'invalid TLS name: {value!r}')
        self._tls_name = value

    @property
    def uri(self) -> SIPURI:
        """A new SIPURI with the address; port and transport where they are not the default, the name to verify for tls."""
        parameters: dict[str, str | None] = {}
        default_port = 5060
        if self._transport != 'udp':
            parameters['transport'] = self._transport
        if self._transport == 'tls':
            default_port = 5061
            if self._tls_name is not None:
                parameters['tls_name'] = self._tls_name
        port = None if self._port == default_port else self._port
        return SIPURI(self._address, port=port, parameters=parameters)

    def get_uri(self) -> SIPURI:
        """The same as `uri`."""
        return self.uri

    def _key(self) -> tuple[Any, ...]:
        return self._address, self.port, self._transport, self._tls_name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Route):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:  # like any key, a Route in a set must not be changed
        return hash(self._key())

    def __str__(self) -> str:
        return str(self.uri)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({self._address!r}, port={self.port!r}, transport={self._transport!r}, '
                f'tls_name={self._tls_name!r})')


class ContactURIType:
    """Kind of contact URI asked of a ContactURIFactory (RFC 5627)."""

    __slots__ = ('_name', 'gruu', 'required')

    def __init__(self, name: str, gruu: str | None, required: bool) -> None:
        self._name = name
        self.gruu = gruu  # attribute of the factory that has the GRUU
        self.required = required

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name  # a global of this module: copies and pickles are the same object


NoGRUU = ContactURIType('NoGRUU', None, False)
PublicGRUU = ContactURIType('PublicGRUU', 'public_gruu', True)
TemporaryGRUU = ContactURIType('TemporaryGRUU', 'temporary_gruu', True)
PublicGRUUIfAvailable = ContactURIType('PublicGRUUIfAvailable', 'public_gruu', False)
TemporaryGRUUIfAvailable = ContactURIType('TemporaryGRUUIfAvailable', 'temporary_gruu', False)


class ContactURIFactory:
    """Makes contact URIs: `factory[key]` or `factory[uri_type, key]`, `key` a transport name or a Route.

    `public_gruu` and `temporary_gruu` are a URI or None; `outbound` adds the parameter `ob` to the others, so that requests in dialogs come by the way that
    the dialog began (RFC 5626 section 4.3). They are kept here by whoever registers the account.

    Args:
        username: user part of the contacts; None for 8 random lower-case letters.
    """

    def __init__(self, username: str | None = None) -> None:
        self.username = username or ''.join(random.choices(ascii_lowercase, k=8))
        self.public_gruu: BaseSIPURI | None = None
        self.temporary_gruu: BaseSIPURI | None = None
        self.outbound = False

    def __repr__(self) -> str:
        return f'{type(self).__name__}(username={self.username})'

    def __getitem__(self, key: Any) -> SIPURI:
        """A new SIPURI.

        Raises:
            KeyError: unknown type of URI or key, no such GRUU, the transport is off, no usable local address.
        """
        uri_type, target = key if isinstance(key, tuple) and len(key) == 2 else (NoGRUU, key)
        if not isinstance(uri_type, ContactURIType):
            raise KeyError(f'unknown type of contact URI: {uri_type!r}')
        if isinstance(target, Route):
            transport = target.transport
        elif isinstance(target, str) and target.lower() in TRANSPORTS:
            transport = target.lower()
        else:
            raise KeyError(f'expected transport name or Route: {target!r}')

        if uri_type.gruu is not None:
            gruu: BaseSIPURI | None = getattr(self, uri_type.gruu)
            if gruu is not None:
                uri = SIPURI.new(gruu)
                if transport != 'udp':
                    uri.parameters['transport'] = transport
                return uri
            if uri_type.required:
                raise KeyError(f'no {uri_type.gruu.replace("_", " ")}')

        provider = _provider
        port = getattr(provider, transport + '_port') if provider is not None and provider.running else None
        if provider is None or port is None:
            raise KeyError(f'the {transport} transport is not running')
        address = local_ip_for(target.address) if isinstance(target, Route) else _bound_address() or outgoing_ip_for()
        if address is None:
            raise KeyError('no usable local IP address' + (f' for {target}' if isinstance(target, Route) else ''))
        parameters: dict[str, str | None] = {} if transport == 'udp' else {'transport': transport}
        if self.outbound:
            parameters['ob'] = None
        return SIPURI(address, user=self.username, port=port, parameters=parameters)
