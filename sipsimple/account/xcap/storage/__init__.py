"""Where an account keeps copies of its XCAP documents, and the journal of changes that the server has not seen yet."""

from __future__ import annotations

from zope.interface import Interface

__all__ = ['IXCAPStorage', 'XCAPStorageError']


class XCAPStorageError(Exception):
    """Something cannot be read or written."""


class IXCAPStorage(Interface):
    """Named items of one account. Thread: one at a time."""

    def load(name):     # type: ignore[no-untyped-def]
        """The bytes stored under a name.

        Raises:
            XCAPStorageError: there are none, or they cannot be read.
        """

    def save(name, data):       # type: ignore[no-untyped-def]
        """Store bytes (text is encoded as UTF-8) under a name; as a whole or not at all.

        Raises:
            XCAPStorageError: that is not possible; what was stored before stays.
        """

    def delete(name):       # type: ignore[no-untyped-def]
        """Forget a name; no harm if there is nothing.

        Raises:
            XCAPStorageError: that is not possible.
        """

    def purge():        # type: ignore[no-untyped-def]
        """Forget everything of the account.

        Raises:
            XCAPStorageError: that is not possible.
        """
