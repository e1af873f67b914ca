"""What goes wrong with a document."""

__all__ = ['BuilderError', 'ParserError', 'ValidationError']


class ParserError(Exception):
    """A document is not well-formed, over a limit, not what its schema says, or makes no sense."""


class ValidationError(ParserError):
    """A part of an element is missing or not allowed."""


class BuilderError(Exception):
    """An object lacks something that its document must have, or has something that its schema forbids."""
