"""The Engine under its public name of the middleware API."""

from sipsimple.core.engine import Engine

__all__ = ['Engine']
