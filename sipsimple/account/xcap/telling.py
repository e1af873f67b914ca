"""What a manager tells the application."""

from __future__ import annotations

from typing import Any

from sipsimple.account.xcap.merge import Told
from sipsimple.notification import NotificationCenter, TimestampedNotificationData

__all__ = ['Teller']


class Teller:
    """Posts notifications of the manager that derives from it."""

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**data))

    def _tell_of(self, told: Told) -> None:
        item, what = told.item, (told.verb, told.kind)
        if told.member is not None:
            # As it is spelt by the original, and as it should be.
            if told.verb == 'add':
                self._post('XCAPManageDidAddGroupMember', group=item, contact=told.member)
                self._post('XCAPManagerDidAddGroupMember', group=item, contact=told.member)
            else:
                self._post('XCAPManageDidRemoveGroupMember', group=item, contact=told.member)
                self._post('XCAPManagerDidRemoveGroupMember', group=item, contact=told.member)
        elif what == ('add', 'contact'):
            self._post('XCAPManagerDidAddContact', contact=item)
        elif what == ('update', 'contact'):
            self._post('XCAPManagerDidUpdateContact', contact=item)
        elif what == ('remove', 'contact'):
            self._post('XCAPManagerDidRemoveContact', contact=item)
        elif what == ('add', 'group'):
            self._post('XCAPManagerDidAddGroup', group=item)
        elif what == ('update', 'group'):
            self._post('XCAPManagerDidUpdateGroup', group=item)
        elif what == ('remove', 'group'):
            self._post('XCAPManagerDidRemoveGroup', group=item)
