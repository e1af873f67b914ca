"""Who watches the presence and the calls of an account (RFC 3857)."""

from __future__ import annotations

from typing import Any

from sipsimple.account.versions import VersionedSubscriber

__all__ = ['DialogWinfoSubscriber', 'PresenceWinfoSubscriber', 'same_address']

CONTENT_TYPE = 'application/watcherinfo+xml'


def same_address(uri: str, address: str) -> bool:
    """Return whether a URI, of whatever scheme and with whatever parameters, is that address (user@domain)."""
    scheme, colon, rest = uri.partition(':')
    rest = rest if colon and scheme.lower() in ('sip', 'sips', 'pres', 'im') else uri
    user, at, domain = rest.partition(';')[0].rpartition('@')
    own_user, _, own_domain = address.rpartition('@')
    return bool(at) and user == own_user and domain.lower() == own_domain.lower()


class _WinfoSubscriber(VersionedSubscriber):
    """Subscribed to the watchers of the account while `presence.enabled`, XCAP or not. The event is <package>.winfo."""

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.presence.enabled)

    def _heard(self, data: Any) -> None:
        if data.body is None:
            return
        from sipsimple.payloads import ParserError
        from sipsimple.payloads.watcherinfo import WatcherInfo
        if str(data.content_type or '').lower() != CONTENT_TYPE:
            self._tell_invalid(data, f'it is no {CONTENT_TYPE}')
            return
        try:
            info = WatcherInfo.parse(data.body)
        except ParserError as error:
            self._tell_invalid(data, error)
            return
        package = self.event.removesuffix('.winfo')
        watchers = next((item for item in info.wlists if item.package == package and same_address(item.resource, self.account.id)), None)
        if watchers is None and len(info):
            self._tell_invalid(data, 'it is about somebody else')
        elif self._versions.accept(info.version, info.state == 'full') and watchers is not None:
            self._tell_watchers(info, watchers)

    def _tell_watchers(self, info: Any, watchers: Any) -> None:
        raise NotImplementedError


class PresenceWinfoSubscriber(_WinfoSubscriber):
    """Subscribed to those who watch our presence.

    Notifications: SIPAccountGotPresenceWinfo (`version`, `state`, `watcher_list`) of the account; those of EventSubscriber.
    """

    event = 'presence.winfo'

    def _tell_watchers(self, info: Any, watchers: Any) -> None:
        self._post_for_account('SIPAccountGotPresenceWinfo', version=info.version, state=info.state, watcher_list=watchers)


class DialogWinfoSubscriber(_WinfoSubscriber):
    """Subscribed to those who watch our calls.

    Notifications: SIPAccountGotDialogWinfo (`version`, `state`, `watcher_list`) of the account; those of EventSubscriber.
    """

    event = 'dialog.winfo'

    def _tell_watchers(self, info: Any, watchers: Any) -> None:
        self._post_for_account('SIPAccountGotDialogWinfo', version=info.version, state=info.state, watcher_list=watchers)
