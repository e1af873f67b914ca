"""Answers to the challenges of an HTTP server: Digest (RFC 7616, and RFC 2069 for those who know no better) and Basic (RFC 7617)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ['Authenticator', 'Challenge', 'parse_challenges', 'parse_parameters']

# The best first.
_HASHES: dict[str, Callable[[bytes], hashlib._Hash]] = {'SHA-256': hashlib.sha256, 'MD5': hashlib.md5}
_ALGORITHMS = {f'{name}{end}': (make, bool(end)) for name, make in _HASHES.items() for end in ('', '-SESS')}

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>{_TOKEN}))\s*(?:,|\Z)', re.DOTALL)
_SCHEME = re.compile(rf'\s*(?P<scheme>{_TOKEN})(?:\s+|\s*(?=,|\Z))')
_COMMAS = re.compile(r'[\s,]*')


@dataclass
class Challenge:
    """What a server asks for.

    Attributes:
        scheme: in lower case.
        parameters: by name in lower case.
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while (match := _PARAMETER.match(text, position)) is not None:
        quoted = match['quoted']
        found.setdefault(match['name'].lower(), match['token'] if quoted is None else re.sub(r'\\(.)', r'\1', quoted))
        position = match.end()
    return found, position


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of an Authentication-Info header; those that are malformed are left out."""
    return _parameters(text, 0)[0]


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of WWW-Authenticate headers, several to a header or one; what cannot be read ends its header."""
    found: list[Challenge] = []
    for value in values:
        position = 0
        while position < len(value):
            position = _COMMAS.match(value, position).end()     # type: ignore[union-attr]
            match = _SCHEME.match(value, position)
            if match is None:
                break
            challenge = Challenge(match['scheme'].lower())
            challenge.parameters, position = _parameters(value, match.end())
            found.append(challenge)
    return found


def _quote(text: str) -> str:
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


class Authenticator:
    """Knows a password, and the last challenge, so that only the first request of many is challenged.

    Args:
        username, password: whose.
        basic: whether the password itself may be sent: not over a connection that others can read.
    """

    def __init__(self, username: str, password: str, basic: bool) -> None:
        self._username = username
        self._password = password
        self._basic = basic
        self._challenge: Challenge | None = None
        self._session: tuple[str, str] = '', ''     # nonce and cnonce of a -sess algorithm, which the key is made of
        self._count = 0
        self._answered: dict[str, str] = {}         # of the last answer: what is needed to check the server

    def challenge(self, challenges: Iterable[Challenge]) -> bool:
        """Take the best of the challenges of a 401; False when it is of no use to answer any of them."""
        offered = list(challenges)
        digests = [item for item in offered if item.scheme == 'digest' and self._usable(item.parameters)]
        order = list(_ALGORITHMS)
        best = min(digests, key=lambda item: order.index(item.parameters.get('algorithm', 'MD5').upper()), default=None)
        if best is None and self._basic:
            best = next((item for item in offered if item.scheme == 'basic'), None)
        refused = self._challenge is not None and best is not None and self._is_refusal(best)
        self._challenge = best
        self._count = 0
        return best is not None and not refused

    def _is_refusal(self, new: Challenge) -> bool:
        """Whether the answer to the last challenge was wrong, and not only late: a nonce that was good before may become old without being called so."""
        return new.scheme == 'basic' or (new.parameters.get('stale', '').lower() != 'true' and self._count <= 1)

    @staticmethod
    def _usable(parameters: Mapping[str, str]) -> bool:
        words = {word.strip().lower() for word in parameters.get('qop', 'auth').split(',')}
        return (parameters.get('algorithm', 'MD5').upper() in _ALGORITHMS and 'nonce' in parameters and 'realm' in parameters
                and bool(words & {'auth', 'auth-int'}))

    def forget(self) -> None:
        """Begin anew, as if nothing had been tried."""
        self._challenge = None
        self._count = 0

    def header(self, method: str, uri: str, body: bytes = b'') -> str | None:
        """The Authorization header of a request; None as long as nothing is asked for.

        Args:
            uri: as it stands in the request.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        if challenge.scheme == 'basic':
            self._count += 1
            return 'Basic ' + base64.b64encode(f'{self._username}:{self._password}'.encode()).decode()
        return self._digest(challenge.parameters, method, uri, body)

    def _digest(self, asked: dict[str, str], method: str, uri: str, body: bytes) -> str:
        make, is_session = _ALGORITHMS[asked.get('algorithm', 'MD5').upper()]

        def digest(*words: str) -> str:
            return make(':'.join(words).encode()).hexdigest()

        nonce = asked['nonce']
        self._count += 1
        count, cnonce = f'{self._count:08x}', secrets.token_hex(16)
        secret = digest(self._username, asked['realm'], self._password)
        if is_session:
            if self._session[0] != nonce:
                self._session = nonce, cnonce
            secret = digest(secret, *self._session)
            cnonce = self._session[1]
        words = [word.strip().lower() for word in asked['qop'].split(',')] if 'qop' in asked else []
        qop = 'auth' if 'auth' in words else 'auth-int' if words else None
        parts = {'username': _quote(self._username), 'realm': _quote(asked['realm']), 'nonce': _quote(nonce), 'uri': _quote(uri)}

        def respond(method: str, body: bytes) -> str:
            request = [method, uri] + ([make(body).hexdigest()] if qop == 'auth-int' else [])
            return digest(secret, nonce, *((count, cnonce, qop) if qop else ()), digest(*request))

        parts['response'] = _quote(respond(method, body))
        if 'algorithm' in asked:
            parts['algorithm'] = asked['algorithm']
        if qop or is_session:
            parts['cnonce'] = _quote(cnonce)
        if qop:
            parts.update(qop=qop, nc=count)
        if 'opaque' in asked:
            parts['opaque'] = _quote(asked['opaque'])
        self._answered = {'cnonce': cnonce, 'nc': count, 'rspauth': respond('', b'')} if qop == 'auth' else {}
        return 'Digest ' + ', '.join(f'{name}={value}' for name, value in parts.items())

    def confirm(self, info: str | None) -> bool:
        """Look at the Authentication-Info header of an answer; False when who answers does not know the password."""
        if info is None or self._challenge is None:
            return True
        told = parse_parameters(info)
        answered, self._answered = self._answered, {}
        if 'nextnonce' in told and self._challenge.scheme == 'digest':
            self._challenge.parameters['nonce'] = told['nextnonce']
            self._count = 0
        if 'rspauth' not in told or not answered or told.get('cnonce', answered['cnonce']) != answered['cnonce']:
            return True
        return secrets.compare_digest(told['rspauth'].lower().encode(), answered['rspauth'].encode())
