"""MemoryBackend: nothing survives the process."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from sipsimple.configuration.backend import IConfigurationBackend

__all__ = ['MemoryBackend']


@implementer(IConfigurationBackend)
class MemoryBackend:
    """Keeps the tree it was given."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def load(self) -> dict[str, Any]:
        return self.data

    def save(self, data: dict[str, Any]) -> None:
        self.data = data
