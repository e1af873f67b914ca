"""Digest authentication of AUTH requests (RFC 4976 section 5.1; RFC 7616 for SHA-256), both sides."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping

from msrplib.errors import MSRPError

__all__ = ['AuthChallenger', 'LoginFailed', 'choose_challenge', 'process_www_authenticate']

# What we can do, the best first.
_HASHES: dict[str, Callable[[bytes], hashlib._Hash]] = {'SHA-256': hashlib.sha256, 'MD5': hashlib.md5}


class LoginFailed(MSRPError):
    """The answer to a challenge is not right, or not (any more) to a challenge of ours. Attribute: `stale`, the nonce is too old and all else was right."""

    def __init__(self, reason: str, stale: bool = False) -> None:
        super().__init__(reason)
        self.stale = stale


def _algorithm(challenge: Mapping[str, str]) -> str:
    return challenge.get('algorithm', 'MD5').upper()


def choose_challenge(challenges: Iterable[Mapping[str, str]]) -> Mapping[str, str] | None:
    """The challenge to answer, of those that can be answered the one with the best algorithm, or None."""
    order = list(_HASHES)
    usable = [item for item in challenges if _algorithm(item) in _HASHES and 'realm' in item and 'nonce' in item
              and 'auth' in [word.strip().lower() for word in item.get('qop', 'auth').split(',')]]
    return min(usable, key=lambda item: order.index(_algorithm(item)), default=None)


def _response(algorithm: str, username: str, realm: str, password: str, nonce: str, count: str, cnonce: str, method: str, uri: str) -> str:
    make = _HASHES[algorithm]

    def digest(*words: str) -> str:
        return make(':'.join(words).encode()).hexdigest()
    return digest(digest(username, realm, password), nonce, count, cnonce, 'auth', digest(method, uri) if method else digest('', uri))


def process_www_authenticate(username: str, password: str, method: str, uri: str, **challenge: str) -> tuple[dict[str, str], str]:
    """Answer a challenge.

    Args:
        uri: of the request, the last of its To-Path.
        challenge: its parameters.
    Returns:
        the parameters of the Authorization header, without the uri, which is that of the request; and the `rspauth` with which the relay proves in
        Authentication-Info that it knows the password.
    Raises:
        MSRPError: the challenge is of a kind that cannot be answered.
    """
    if choose_challenge([challenge]) is None:
        raise MSRPError(f'a challenge with algorithm {challenge.get("algorithm", "MD5")} and qop {challenge.get("qop")} cannot be answered')
    algorithm, realm, nonce = _algorithm(challenge), challenge['realm'], challenge['nonce']
    cnonce, used = secrets.token_hex(16), '00000001'
    answer = {'username': username, 'realm': realm, 'nonce': nonce, 'qop': 'auth', 'nc': used, 'cnonce': cnonce,
              'response': _response(algorithm, username, realm, password, nonce, used, cnonce, method, uri)}
    if 'opaque' in challenge:
        answer['opaque'] = challenge['opaque']
    if 'algorithm' in challenge:
        answer['algorithm'] = challenge['algorithm']
    return answer, _response(algorithm, username, realm, password, nonce, used, cnonce, '', uri)


class AuthChallenger:
    """The relay's side: makes challenges, and checks the answers to them.

    Args:
        expire_time: how long a challenge may be answered, in seconds.
        algorithm: 'MD5' or 'SHA-256'.
        limit: challenges that are remembered.
    """

    def __init__(self, expire_time: float, algorithm: str = 'MD5', limit: int = 10_000) -> None:
        self.expire_time = expire_time
        self.algorithm = algorithm
        self._limit = limit
        self._issued: dict[str, tuple[float, str, int]] = {}     # nonce: (when it expires, opaque, the last count)

    def make_challenge(self, realm: str, now: float, stale: bool = False) -> dict[str, str]:
        """The parameters of a WWW-Authenticate header."""
        nonce, opaque = secrets.token_hex(16), secrets.token_hex(8)
        self._issued[nonce] = now + self.expire_time, opaque, 0
        while len(self._issued) > self._limit:
            del self._issued[next(iter(self._issued))]
        challenge = {'realm': realm, 'qop': 'auth', 'nonce': nonce, 'opaque': opaque}
        if self.algorithm != 'MD5':
            challenge['algorithm'] = self.algorithm
        if stale:
            challenge['stale'] = 'true'
        return challenge

    def check(self, password: str, method: str, uri: str, now: float, **answer: str) -> str:
        """Check the parameters of an Authorization header and return the `rspauth` of an Authentication-Info header.

        Raises:
            LoginFailed: it is not right, or its challenge is not ours or too old.
        """
        try:
            nonce, username, realm, cnonce, count = (answer[name] for name in ('nonce', 'username', 'realm', 'cnonce', 'nc'))
            number = int(count, 16)
        except (KeyError, ValueError):
            raise LoginFailed('something is missing') from None
        expected = _response(self.algorithm, username, realm, password, nonce, count, cnonce, method, uri)
        if not secrets.compare_digest(expected.encode(), answer.get('response', '').encode()):
            raise LoginFailed('wrong password')
        expires, opaque, last = self._issued.get(nonce, (0.0, '', 0))
        if expires <= now or number <= last:
            self._issued.pop(nonce, None)
            raise LoginFailed('the challenge is too old', stale=True)
        if answer.get('opaque', opaque) != opaque:
            raise LoginFailed('not our challenge')
        self._issued[nonce] = expires, opaque, number
        return _response(self.algorithm, username, realm, password, nonce, count, cnonce, '', uri)
