"""Those whom an account watches: through a list at the server, or one by one.

With XCAP (`xcap.enabled` and `xcap.discovered`) the server has a list of them, and one subscription to `user+presence@domain` or `user+dialog@domain` tells
of all (RFC 4662). Without it, or when the server does not know that list, each URI that `watch` was given is subscribed to; the list is tried again
after LIST_RETRY, and once when the XCAP manager has written the documents that make it. A server that has not told of a change of these documents after
UNHEARD_LIMIT is asked for the list as it is now.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from sipsimple.account.keeper import KeeperState
from sipsimple.account.services import uri_of
from sipsimple.account.versions import VersionedSubscriber, Versions
from sipsimple.core import Header, SIPURI
from sipsimple.notification import Notification, NotificationCenter
from sipsimple.threading.scheduler import Scheduler, Timer, reactor_scheduler

__all__ = ['DialogSubscriber', 'ListSubscriber', 'PresenceSubscriber']

log = logging.getLogger('sipsimple.account')

LIST_RETRY = 900.0          # seconds until a server that did not know the list is asked again
UNHEARD_LIMIT = 5.0         # seconds in which a server should have told that the list is another one
PACE = 0.02                 # seconds between the beginnings of single subscriptions: a server need not have hundreds of them at once
XCAP_NEWS = ('XCAPManagerDidChangeState', 'XCAPManagerDidReloadData')
NO_LIST = frozenset((403, 404, 405, 420, 480, 489, 501))        # answers of a server that does not know the list


class _Contact:
    """One who is watched by a subscription of their own. Thread: the SDK thread."""

    def __init__(self, service: ListSubscriber, uri: str, target: SIPURI, scheduler: Scheduler) -> None:
        self.uri = uri
        self._service = service
        self._is_known = False                  # something of it was told
        self.keeper = service._make(target, self._heard, self._told)
        self._versions = Versions(self.keeper.refresh, scheduler)

    def _told(self, what: str, **data: Any) -> None:
        if what == 'started':
            self._service._told_of_contact(what, data)
            return
        self._versions.clear()
        self._service._told_of_contact(what, data)
        if self._is_known and what == 'failed':
            self._is_known = False
            self._tell('terminated', data['reason'])

    def _heard(self, data: Any) -> None:
        self._service._post_notify(data)
        documents: list[Any] = []
        if data.body is not None:
            document = self._service._parse_document(data)
            if document is None:
                return
            if getattr(document, 'version', None) is not None and not self._versions.accept(document.version, document.state == 'full'):
                return
            documents.append(document)
        word = data.headers.get('Subscription-State')
        state = 'active' if word is None else word.state.lower()
        self._is_known = state != 'terminated'
        self._tell(state, None if word is None else word.reason, documents)

    def _tell(self, state: str, reason: str | None, documents: Iterable[Any] = ()) -> None:
        from sipsimple.payloads.rlsnotify import Resource
        self._service._tell_contact(Resource(self.uri, state=state, reason=reason, pidf_list=documents))


class ListSubscriber(VersionedSubscriber):
    """Subscribed to the contacts of an account while `presence.enabled`."""

    headers = (Header('Supported', 'eventlist'),)       # RFC 4662 section 4.2
    content_type: ClassVar[str]                         # of the documents about one contact

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self._sources: dict[str, dict[str, SIPURI]] = {}     # who says so -> text and URI
        self._uris: dict[str, SIPURI] = {}              # all of them
        self._contacts: dict[str, _Contact] = {}
        self._unstarted: deque[str] = deque()
        self._pacer: Timer | None = None
        self._is_list_unknown = False
        self._is_tried_in_sync = False                  # after the documents that make the list were written
        self._list_timer: Timer | None = None
        self._listed: frozenset[Any] = frozenset()      # of whom the server has told
        self._expected: frozenset[Any] | None = None    # those in the list, as the XCAP manager wrote it; None: not known
        self._unheard_timer: Timer | None = None
        self._version = 0                               # of what is told of single contacts

    # ---- what the classes do -----------------------------------------------------------------------------------

    def _parse(self, body: bytes) -> Any:
        """The document about one contact. ParserError."""
        raise NotImplementedError

    def _tell_state(self, version: int, full_state: bool, resources: Iterable[Any]) -> None:
        """Post what contacts do."""
        raise NotImplementedError

    # ---- who is watched ----------------------------------------------------------------------------------------

    @property
    def uses_list(self) -> bool:
        """Whether one subscription to a list at the server is what is wanted."""
        xcap = self.account.xcap
        return bool(xcap.enabled and xcap.discovered) and not self._is_list_unknown

    def watch(self, uris: Iterable[str], source: str = 'application') -> None:
        """Say who is watched when there is no list at the server; `sip:` may be missing. Thread: any.

        Args:
            source: of those who say so, each has its own.
        Raises:
            SIPCoreError: one is no URI.
        """
        self._scheduler.call(self._watch, {str(uri): uri_of(uri) for uri in uris}, source)

    def _watch(self, given: dict[str, SIPURI], source: str) -> None:
        self._sources[source] = given
        by_uri = {str(uri): text for uris in self._sources.values() for text, uri in uris.items()}      # the same URI is watched once
        self._uris = uris = {text: self._uri(text) for text in by_uri.values()}
        if self._is_active and not self.uses_list:
            for uri in [uri for uri in self._contacts if uri not in uris]:
                self._leave(self._contacts.pop(uri).keeper)
            self._watch_singly()

    def _uri(self, text: str) -> SIPURI:
        return next(uris[text] for uris in self._sources.values() if text in uris)

    def _watch_singly(self) -> None:
        for uri in self._uris:
            if uri not in self._contacts:
                self._contacts[uri] = _Contact(self, uri, self._uris[uri], self._scheduler)
                self._unstarted.append(uri)
        if self._unstarted and self._pacer is None:
            self._start_next()

    def _start_next(self) -> None:
        self._pacer = None
        while self._unstarted:
            contact = self._contacts.get(self._unstarted.popleft())
            if contact is not None and contact.keeper.state is None:
                contact.keeper.start()
                break
        if self._unstarted:
            self._pacer = self._scheduler.call_later(PACE, self._start_next)

    # ---- EventSubscriber ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """See AccountService."""
        for name in XCAP_NEWS:
            NotificationCenter().add_observer(self, name=name)
        super().start()

    def stop(self, done: Callable[[], object]) -> None:
        """See AccountService."""
        for name in XCAP_NEWS:
            NotificationCenter().discard_observer(self, name=name)
        super().stop(done)

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        if notification.name not in XCAP_NEWS:
            super().handle_notification(notification)
        elif notification.sender.account is not self.account:
            return
        elif notification.name == 'XCAPManagerDidReloadData':
            self._scheduler.call_soon(self._has_changed, notification.data.addressbook)
        elif notification.data.state == 'insync':
            self._scheduler.call_soon(self._is_in_sync)

    def _has_changed(self, addressbook: Any) -> None:
        """The documents that make the list are others by now."""
        from sipsimple.account.xcap.normalform import watched_uris
        from sipsimple.payloads.rlsnotify import ResourceURI
        self._expected = frozenset(map(ResourceURI, watched_uris(addressbook, self.event)))
        if self._unheard_timer is None and self._listed != self._expected and self.uses_list:
            self._unheard_timer = self._scheduler.call_later(UNHEARD_LIMIT, self._is_unheard)

    def _is_unheard(self) -> None:
        self._unheard_timer = None
        log.info('%r: the server has not told of the change of its list', self)
        self.refresh()

    def _is_heard(self, notify: Any) -> None:
        """The server has told of these resources."""
        told = frozenset(resource.uri for resource in notify)
        self._listed = told if notify.full_state else self._listed | told
        if self._unheard_timer is not None and self._listed == self._expected:
            self._unheard_timer.cancel()
            self._unheard_timer = None

    def _is_in_sync(self) -> None:
        if self._is_active and self._is_list_unknown and not self._is_tried_in_sync:
            self._try_list()
            self._is_tried_in_sync = True

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.presence.enabled)

    @property
    def target(self) -> SIPURI:
        """The list."""
        return SIPURI(user=f'{self.account.id.username}+{self.event}', host=self.account.id.domain)

    @property
    def is_subscribed(self) -> bool:
        """Whether the notifier has agreed: that of the list, or of any contact."""
        return super().is_subscribed or any(contact.keeper.state is KeeperState.KEPT for contact in self._contacts.values())

    def resubscribe(self) -> None:
        """Leave the subscriptions and make others, to the list if there may be one; no-op when not active."""
        if self._is_active and self._is_list_unknown:
            self._try_list()
        elif self._keeper is not None:
            super().resubscribe()
        else:
            for contact in self._contacts.values():
                contact.keeper.renew()

    def _parameters(self) -> tuple[Any, ...]:
        return (*super()._parameters(), self.account.xcap.enabled, self.account.xcap.discovered)

    def _begin(self) -> None:
        self._is_list_unknown = self._is_tried_in_sync = False
        self._begin_as_it_is()

    def _begin_as_it_is(self) -> None:
        if self.uses_list:
            super()._begin()
        else:
            self._watch_singly()

    def _end(self) -> None:
        for timer in (self._pacer, self._list_timer, self._unheard_timer):
            if timer is not None:
                timer.cancel()
        self._pacer = self._list_timer = self._unheard_timer = None
        self._listed = frozenset()
        self._unstarted.clear()
        contacts, self._contacts = self._contacts, {}
        for contact in contacts.values():
            self._leave(contact.keeper)
        super()._end()

    # ---- the list ----------------------------------------------------------------------------------------------

    def _told(self, what: str, **data: Any) -> None:
        super()._told(what, **data)
        if what == 'failed' and data['code'] in NO_LIST:
            self._go_without_list(f'{data["code"]} {data["reason"]}')

    def _go_without_list(self, reason: str) -> None:
        log.warning('%r: the server has no list for us (%s): contacts are subscribed to one by one', self, reason)
        self._end()
        self._is_list_unknown = True
        self._list_timer = self._scheduler.call_later(LIST_RETRY, self._try_list)
        self._begin_as_it_is()

    def _try_list(self) -> None:
        self._end()
        self._begin()

    def _heard(self, data: Any) -> None:
        content_type = data.headers.get('Content-Type')
        if data.body is None or content_type is None or str(data.content_type).lower() != 'multipart/related':
            if 'eventlist' not in (data.headers.get('Require') or ()) and self._keeper is not None:     # RFC 4662 section 4.3
                self._go_without_list('no Require: eventlist in its NOTIFY')
            elif data.body is not None:
                self._tell_invalid(data, 'it is no multipart/related')
            return
        from sipsimple.payloads import ParserError
        from sipsimple.payloads.rlsnotify import ResourceURI, RLSNotify
        try:
            notify = RLSNotify.parse(b'Content-Type: ' + content_type.body.encode() + b'\r\n\r\n' + data.body)
        except ParserError as error:
            self._tell_invalid(data, error)
            return
        if ResourceURI(notify.uri) != str(self.target):
            self._tell_invalid(data, f'it is about {notify.uri}')
        elif self._versions.accept(notify.version, notify.full_state):
            self._is_heard(notify)
            self._tell_state(notify.version, notify.full_state, notify)

    # ---- single contacts ---------------------------------------------------------------------------------------

    def _told_of_contact(self, what: str, data: dict[str, Any]) -> None:
        super()._told(what, **data)

    def _parse_document(self, data: Any) -> Any:
        """The document of a NOTIFY about one contact, None when it is none, which is told."""
        from sipsimple.payloads import ParserError
        if str(data.content_type or '').lower() != self.content_type:
            self._tell_invalid(data, f'it is no {self.content_type}')
            return None
        try:
            return self._parse(data.body)
        except ParserError as error:
            self._tell_invalid(data, error)
            return None

    def _tell_contact(self, resource: Any) -> None:
        self._version += 1
        self._tell_state(self._version, False, [resource])


class PresenceSubscriber(ListSubscriber):
    """Subscribed to the presence of the contacts.

    Notifications: SIPAccountGotPresenceState (`version`, `full_state`, `resource_map`: URI -> `sipsimple.payloads.rlsnotify.Resource`) of the account. Of
    contacts that are subscribed to one by one it has one at a time, `full_state` is False, and `version` counts these notifications. Those of
    EventSubscriber.
    """

    event = 'presence'
    content_type = 'application/pidf+xml'

    def _parse(self, body: bytes) -> Any:
        from sipsimple.payloads.pidf import PIDF
        return PIDF.parse(body)

    def _tell_state(self, version: int, full_state: bool, resources: Iterable[Any]) -> None:
        self._post_for_account('SIPAccountGotPresenceState', version=version, full_state=full_state,
                               resource_map={str(resource.uri): resource for resource in resources})


class DialogSubscriber(ListSubscriber):
    """Subscribed to the calls of the contacts.

    Notifications: SIPAccountGotDialogState (`version`, `full_state`, `resource_map`) of the account, as for PresenceSubscriber; those of EventSubscriber.
    """

    event = 'dialog'
    content_type = 'application/dialog-info+xml'

    def _parse(self, body: bytes) -> Any:
        from sipsimple.payloads.dialoginfo import DialogInfo
        return DialogInfo.parse(body)

    def _tell_state(self, version: int, full_state: bool, resources: Iterable[Any]) -> None:
        self._post_for_account('SIPAccountGotDialogState', version=version, full_state=full_state,
                               resource_map={str(resource.uri): resource for resource in resources})
