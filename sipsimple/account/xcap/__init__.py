"""An account's documents on an XCAP server (RFC 4825): addressbook, rules, icon, status while offline.

The classes of values come with this package; `XCAPManager`, which needs XML and HTTP, when it is asked for.
"""

from __future__ import annotations

from sipsimple.account.xcap.items import (
    Contact,
    ContactList,
    ContactURI,
    ContactURIList,
    EventHandling,
    Group,
    Icon,
    ItemCollection,
    OfflineStatus,
    Policy,
)

__all__ = ['Contact', 'ContactList', 'ContactURI', 'ContactURIList', 'EventHandling', 'Group', 'Icon', 'ItemCollection', 'OfflineStatus', 'Policy']
