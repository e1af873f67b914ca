"""MSRP URIs and paths of them (RFC 4975 sections 6 and 9)."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from msrplib.errors import ParsingError

__all__ = ['ConnectInfo', 'DEFAULT_PORT', 'MAX_PATH', 'URI', 'format_path', 'local_address', 'new_session_id', 'parse_path', 'parse_uri']

DEFAULT_PORT = 2855
MAX_PATH = 16               # URIs in a path; a message passes two relays as a rule

_URI = re.compile(r'''
    (?P<scheme>msrps?)://
    (?:(?P<user>[A-Za-z0-9\-_.!~*'()%&=+$,;?/]+)@)?
    (?P<host>\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~\-]+)?\]|[A-Za-z0-9._~\-%]+)
    (?::(?P<port>[0-9]{1,5}))?
    (?:/(?P<session>[A-Za-z0-9\-._~+=/]+))?
    ;(?P<transport>[A-Za-z0-9]+)
    (?P<parameters>(?:;[A-Za-z0-9\-.!%*_+`'~]+(?:=(?:[A-Za-z0-9\-.!%*_+`'~]+|"[^"\\]*"))?)*)
''', re.VERBOSE | re.IGNORECASE)


def new_session_id() -> str:
    """A session id nobody can guess: 80 random bits, as RFC 4975 section 14.1 wants."""
    return secrets.token_hex(10)


def local_address() -> str:
    """The address of this host that the way to the Internet has, '127.0.0.1' when there is no such way. Nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))
            return str(probe.getsockname()[0])
        except OSError:
            return '127.0.0.1'


class ConnectInfo:
    """Where to connect to, and how.

    Attributes:
        host: name or address, without brackets; the address of this host when None was given.
        use_tls: True by default.
        port: 2855 by default; 0 means any, and is not printed.
        transport: 'tcp'.
        credentials: what to show and what to believe with TLS, a `msrplib.tls.X509Credentials`; None for the usual.
    """

    def __init__(self, host: str | None = None, use_tls: bool | None = None, port: int | None = None, transport: str = 'tcp', credentials: Any = None) -> None:
        self.host = local_address() if host is None else host
        self.use_tls = True if use_tls is None else bool(use_tls)
        self.port = DEFAULT_PORT if port is None else port
        self.transport = transport
        self.credentials = credentials

    @property
    def scheme(self) -> str:
        """'msrps' with TLS, else 'msrp'."""
        return 'msrps' if self.use_tls else 'msrp'


class URI(ConnectInfo):
    """An MSRP URI: `msrps://user@host:port/session-id;tcp`.

    Equal are URIs with the same scheme, host (in any case), port, session id and transport (RFC 4975 section 6.1).

    Args:
        session_id: None for a new random one, '' for none (the URI of a relay).
        parameters: what comes after the transport; a value of None for a parameter without one.
    """

    def __init__(self, host: str | None = None, use_tls: bool | None = None, user: str | None = None, port: int | None = None,
                 session_id: str | None = None, transport: str = 'tcp', parameters: Mapping[str, str | None] | None = None, credentials: Any = None) -> None:
        super().__init__(host, use_tls, port, transport, credentials)
        self.user = user
        self.session_id = new_session_id() if session_id is None else session_id
        self.parameters: dict[str, str | None] = dict(parameters or {})

    @classmethod
    def parse(cls, text: str) -> URI:
        """Make a URI of its text.

        Raises:
            ParsingError: it is none, or its transport is not tcp.
        """
        match = _URI.fullmatch(text)
        if match is None:
            raise ParsingError(f'not an MSRP URI: {text[:200]!r}')
        if match['transport'].lower() != 'tcp':
            raise ParsingError(f'MSRP over {match["transport"]} is unknown')
        port = int(match['port']) if match['port'] else None
        if port is not None and not 0 < port < 65536:
            raise ParsingError(f'not a port: {port}')
        parameters = {}
        for item in filter(None, match['parameters'].split(';')):
            name, equals, value = item.partition('=')
            parameters[name] = value.strip('"') if equals else None
        host = match['host']
        return cls(host[1:-1] if host[0] == '[' else host, match['scheme'].lower() == 'msrps', match['user'], port, match['session'] or '', 'tcp', parameters)

    def __str__(self) -> str:
        host = f'[{self.host}]' if ':' in self.host else self.host
        parameters = ''.join(f';{name}' if value is None else f';{name}={value}' for name, value in self.parameters.items())
        return (f'{self.scheme}://{f"{self.user}@" if self.user else ""}{host}{f":{self.port}" if self.port else ""}'
                f'{f"/{self.session_id}" if self.session_id else ""};{self.transport}{parameters}')

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} "{self}">'

    def _key(self) -> tuple[object, ...]:
        return self.use_tls, self.host.lower(), self.port, self.session_id, self.transport.lower()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self._key() == other._key() if isinstance(other, URI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def copy(self, **changes: Any) -> URI:
        """The same URI, with some of the constructor's arguments changed."""
        values = {name: getattr(self, name) for name in ('host', 'use_tls', 'user', 'port', 'session_id', 'transport', 'parameters', 'credentials')}
        return URI(**{**values, **changes})


def parse_uri(text: str) -> URI:
    """`URI.parse`, by its old name."""
    return URI.parse(text)


@lru_cache(maxsize=256)
def parse_path(text: str) -> tuple[URI, ...]:
    """The URIs of a path, separated by spaces. The result is shared: do not change its URIs.

    Raises:
        ParsingError: it is empty or too long, or one of its URIs is bad.
    """
    words = text.split()
    if not 0 < len(words) <= MAX_PATH:
        raise ParsingError(f'a path of {len(words)} URIs')
    return tuple(URI.parse(word) for word in words)


def format_path(path: Iterable[URI]) -> str:
    """A path as text."""
    return ' '.join(str(uri) for uri in path)
