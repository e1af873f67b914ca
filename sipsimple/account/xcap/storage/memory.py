"""Copies that last as long as the process."""

from __future__ import annotations

from zope.interface import implementer

from sipsimple.account.xcap.storage import IXCAPStorage, XCAPStorageError

__all__ = ['MemoryStorage']


@implementer(IXCAPStorage)
class MemoryStorage:
    """Keeps the items of an account in memory.

    Args:
        account_id: whose they are.
    """

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self._items: dict[str, bytes] = {}

    def load(self, name: str) -> bytes:
        """The bytes stored under a name; XCAPStorageError when there are none."""
        try:
            return self._items[name]
        except KeyError:
            raise XCAPStorageError(f'there is no {name} of {self.account_id}') from None

    def save(self, name: str, data: bytes | str) -> None:
        """Store bytes, or text, under a name."""
        self._items[name] = data.encode() if isinstance(data, str) else bytes(data)

    def delete(self, name: str) -> None:
        """Forget a name; no harm if there is nothing."""
        self._items.pop(name, None)

    def purge(self) -> None:
        """Forget everything."""
        self._items.clear()
