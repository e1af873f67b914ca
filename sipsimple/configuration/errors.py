"""
ConfigurationError              misuse of the configuration
    ObjectNotFoundError         nothing stored under a path
ValueError
    DuplicateIDError            another live object has the id
"""

__all__ = ['ConfigurationError', 'DuplicateIDError', 'ObjectNotFoundError']


class ConfigurationError(Exception):
    """Root of the package's errors."""


class ObjectNotFoundError(ConfigurationError):
    """Nothing is stored under that path."""


class DuplicateIDError(ValueError):
    """A live object of the class has that id."""
