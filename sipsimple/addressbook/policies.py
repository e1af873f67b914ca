"""Policy: what is done with the events of somebody who is no contact."""

from __future__ import annotations

from typing import Any

from sipsimple.addressbook.datatypes import EventSettings, SyncedSetting
from sipsimple.addressbook.model import AddressbookExtension, AddressbookObject

__all__ = ['Policy', 'PolicyExtension']


class PolicyExtension(AddressbookExtension):
    """Base of what an application adds to policies."""


class Policy(AddressbookObject):
    """What is done with the events of an address that no contact has.

    Attributes:
        id: a random name; it does not change.
        uri: the address.
        name: what to show.
        dialog, presence: what is done with these events, `EventSettings`.
    Notifications: AddressbookPolicyWasActivated, AddressbookPolicyWasCreated, AddressbookPolicyDidChange(modified), AddressbookPolicyWasDeleted;
        CFGManagerSaveFailed from the ConfigurationManager.
    """

    __group__ = 'Policies'
    _extension_type = PolicyExtension
    uri = SyncedSetting(type=str, default='')
    name = SyncedSetting(type=str, default='')
    dialog = EventSettings
    presence = EventSettings

    def _post_activated(self) -> None:
        self._post('AddressbookPolicyWasActivated')

    def _post_created(self) -> None:
        self._post('AddressbookPolicyWasCreated')

    def _post_changed(self, modified: dict[str, Any]) -> None:
        self._post('AddressbookPolicyDidChange', modified=modified)

    def _post_deleted(self) -> None:
        self._post('AddressbookPolicyWasDeleted')
