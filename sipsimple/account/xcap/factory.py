"""What an account needs to begin with XCAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.configuration.manager import get_storage

if TYPE_CHECKING:
    from sipsimple.account.xcap.manager import XCAPManager

__all__ = ['make_manager', 'make_storage']


def make_manager(account: Any) -> XCAPManager:
    """The manager of an account, which knows what earlier runs left."""
    from sipsimple.account.xcap.manager import XCAPManager
    manager = XCAPManager(account)
    manager.init(make_storage(str(account.id)))
    return manager


def make_storage(account_id: str) -> Any:
    """The storage of an account, of the application's; one in memory for who has none."""
    storage = get_storage()
    if storage is not None and hasattr(storage, 'xcap_storage_factory'):
        return storage.xcap_storage_factory(account_id)
    from sipsimple.account.xcap.storage.memory import MemoryStorage
    return MemoryStorage(account_id)
