"""A callee that is elsewhere: which contacts of a 3xx are called, and in what order. RFC 3261 §8.1.3.4.

An account follows redirections if its setting `sip.follow_redirects` says so; else the application hears of them in `SIPSessionDidFail`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.core import SIPURI

__all__ = ['MAX_TARGETS', 'Targets', 'follows', 'is_redirection']

MAX_TARGETS = 10
"""How many URIs a call may be sent to: two servers could lead us around for ever, each time to a new one."""

_FOLLOWED = frozenset((300, 301, 302))         # 305 names a proxy, 380 something that is no call


def follows(account: Any) -> bool:
    """Return whether the account follows redirections."""
    return bool(getattr(getattr(account, 'sip', None), 'follow_redirects', False))


def is_redirection(data: Any) -> bool:
    """Return whether an invitation has ended because the callee is elsewhere."""
    return data.originator == 'remote' and data.code in _FOLLOWED


def _identity(uri: SIPURI) -> tuple[Any, ...]:
    return uri.user, uri.host.lower().rstrip('.'), uri.port, uri.secure, (uri.parameters.get('transport') or '').lower()


class Targets:
    """The URIs to call, each one once.

    Args:
        first: the URI of the callee.
    """

    def __init__(self, first: SIPURI) -> None:
        self._secure = first.secure
        self._known = {_identity(first)}
        self._waiting: list[SIPURI] = []

    def add(self, contacts: Iterable[Any]) -> bool:
        """Take the contacts of a redirection, to be called before those of redirections before it; return whether there is one that may be called.

        It may if it is a SIP URI that was not called yet, and a `sips` one if the callee's was: what was to be secure on the whole way stays so.
        """
        new: list[tuple[float, SIPURI]] = []
        for contact in contacts:
            if contact.uri is None:
                continue
            uri = SIPURI.new(contact.uri)
            method = uri.parameters.pop('method', None)
            uri.headers.clear()                 # they are another's: RFC 3261 §19.1.5
            if (method or 'INVITE').upper() != 'INVITE' or (self._secure and not uri.secure) or _identity(uri) in self._known \
                    or len(self._known) >= MAX_TARGETS:
                continue
            self._known.add(_identity(uri))
            new.append((1.0 if contact.q is None else contact.q, uri))
        new.sort(key=lambda item: -item[0])             # those of the same q stay in their order
        self._waiting[:0] = [uri for _, uri in new]
        return bool(new)

    def next(self) -> SIPURI | None:
        """Return the next URI to call, None when there is none left."""
        return self._waiting.pop(0) if self._waiting else None
