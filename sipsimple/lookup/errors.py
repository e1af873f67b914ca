"""Errors of address resolution.

    DNSLookupError
"""

from __future__ import annotations

from typing import Literal

Originator = Literal['local', 'remote']


class DNSLookupError(Exception):
    """A lookup found nothing.

    `originator` tells who is to blame: 'local' when no answer arrived or the arguments are unusable, 'remote' when the
    servers answered and what they said leaves no route.
    """

    def __init__(self, message: str, originator: Originator = 'remote') -> None:
        super().__init__(message)
        self.originator: Originator = originator
