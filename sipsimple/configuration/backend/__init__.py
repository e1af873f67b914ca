"""Configuration backends: where the tree of settings is kept."""

from __future__ import annotations

from typing import Any

from zope.interface import Interface

__all__ = ['ConfigurationBackendError', 'IConfigurationBackend']


class ConfigurationBackendError(Exception):
    """Root of the backends' errors."""


class IConfigurationBackend(Interface):
    """A place for a tree: a dict with str keys and values that are such dicts, str, lists of str, or None."""

    def load() -> dict[str, Any]:
        """The stored tree, {} when nothing was stored yet. ConfigurationBackendError."""

    def save(data: dict[str, Any]) -> None:
        """Store the tree, whole or not at all. ConfigurationBackendError."""
