"""XCAPManager: keeps an account's documents on its XCAP server in step with what the user does here, and with what other programs do.

What the user does is an operation in the journal, which is on disk before anything is sent. A run of the manager reads all documents (only those that changed
are transferred), carries the journal out on them, and writes those that became others, each under the condition that it is still the one that was read. If
it is not, everything begins again with what is there now; so whoever writes does it on top of what all others have written.

What was written to the addressbook may be lost by a server that takes two writes at once, and is written again then (see `unconfirmed`).

The documents are read, merged and written by one green thread in the SDK thread; parsing and merging run in a worker.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.account.xcap import patience
from sipsimple.account.xcap.client import XCAPClient
from sipsimple.account.xcap.documents import DOCUMENTS, Document
from sipsimple.account.xcap.editing import Editor
from sipsimple.account.xcap.errors import (
    AuthenticationError,
    CapabilityError,
    ConflictError,
    DocumentError,
    HTTPError,
    PreconditionError,
    XCAPError,
)
from sipsimple.account.xcap.exchange import FILES, Exchange
from sipsimple.account.xcap.finding import find_root, make_client
from sipsimple.account.xcap.journal import Journal
from sipsimple.account.xcap.merge import Facts, Merged, merge
from sipsimple.account.xcap.operations import Operation
from sipsimple.account.xcap.patience import Patience
from sipsimple.account.xcap.seen import Seen
from sipsimple.account.xcap.states import TRANSITIONS, ManagerInput, ManagerState
from sipsimple.account.xcap.storage import XCAPStorageError
from sipsimple.account.xcap.telling import Teller
from sipsimple.account.xcap.unconfirmed import Unconfirmed
from sipsimple.account.xcap.waiting import Interrupted, Waiting
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.payloads import omapolicy
from sipsimple.statemachine import StateMachine
from sipsimple.threading import call_in_thread, call_in_twisted_thread, reactor, schedule_in_thread
from sipsimple.threading.green import Event, Lock, spawn
from sipsimple.util import ISOTimestamp

if TYPE_CHECKING:
    from sipsimple.account.xcap.diff import XCAPSubscriber
    from sipsimple.notification import Notification

__all__ = ['XCAPManager']

log = logging.getLogger('sipsimple.account.xcap')

WORK = 'xcap'               # the worker that parses and merges
POLL = 600.0                # seconds between looks at the server when it does not tell of changes
STOP_LIMIT = 5.0            # for the end of what is under way
UNSUBSCRIBE_LIMIT = 4.0     # for the end of the subscription; it has limits of its own, which are shorter
# Of the account; the manager begins anew when they change.
SETTINGS = frozenset(('__id__', 'auth.username', 'auth.password', 'xcap.xcap_root'))


class _Later(Exception):
    """Nothing more can be done now: wait for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@implementer(IObserver)
class XCAPManager(Editor, Teller):
    """The XCAP documents of an account. Made by `Account`, which starts and stops it.

    The methods that change something may be called from any thread at any time, also while the manager is stopped: they are noted on disk and carried out
    as soon as the server can be reached, once, in order. What they are about may be gone by then; then they do nothing.

    Args:
        account: whose.

    Attributes:
        resource_lists, rls_services, pres_rules, dialog_rules, pidf_manipulation, status_icon, ietf_pres_rules, server_caps: `Document`.
        client: `XCAPClient`, or None while the server is not known.
        journal: what is not on the server yet.
        seen: what of the application's addressbook the server has had, a `seen.Seen`; of another server or user, nothing.
        data: what the documents said when they were last in step (`merge.ServerData`), or None.
    Notifications: the XCAPManager... family, XCAPDocumentsDidChange, XCAPTrace (its sender is the document); docs/notifications.md.
    """

    def __init__(self, account: Any) -> None:
        self.account = account
        self.storage: Any = None
        self.client: XCAPClient | None = None
        self.journal: Any = None
        self.seen: Any = None
        self.xcap_root: str | None = None
        self.last_fetch_time: datetime | None = None
        self.last_update_time: datetime | None = None
        self.data: Any = None
        self.documents: list[Document] = []
        self._machine: StateMachine[ManagerState, ManagerInput] = StateMachine(TRANSITIONS, ManagerState.STOPPED, self._moved)
        self._waiting = Waiting()
        self._exchange: Exchange | None = None      # with the server of `client`
        self._start_lock = Lock()
        self._ended: Event[None] | None = None      # of the green thread, if there is one
        self._stopping = self._restarting = False
        self._to_fetch: set[str] = set()
        self._patience = Patience()
        self._knows_oma = False                     # the server says that it knows the conditions of OMA's rules
        self._is_told = False                       # whether the application knows what is there
        self._unconfirmed = Unconfirmed()
        self._merged: Any = None                    # the documents that `data` was made of
        self._diff: XCAPSubscriber | None = None    # the subscription to changes

    def __repr__(self) -> str:
        return f'<XCAPManager of {self.account.id}: {self.state}>'

    # ---- what there is -----------------------------------------------------------------------------------------

    resource_lists: Document
    rls_services: Document
    pres_rules: Document
    dialog_rules: Document
    pidf_manipulation: Document
    status_icon: Document
    ietf_pres_rules: Document
    server_caps: Document

    @property
    def state(self) -> ManagerState:
        """A `ManagerState`, which is a str."""
        return self._machine.state

    @property
    def document_names(self) -> list[str]:
        """Names of the documents, without that of the server."""
        return [document.name for document in self._own()]

    @property
    def rls_presence_uri(self) -> str:
        """Whom to subscribe to for the presence of all contacts with `presence.subscribe`."""
        return Facts(str(self.account.id), {}).presence_service

    @property
    def rls_dialog_uri(self) -> str:
        """The same for dialogs."""
        return Facts(str(self.account.id), {}).dialog_service

    @property
    def has_pending_operations(self) -> bool:
        """Whether the user did something that the server does not have yet.

        While that is so, what an XCAPManagerDidReloadData says may lack it; another one follows when all is on the server. Thread: any.
        """
        return len(self.journal) > 0

    def _own(self) -> list[Document]:
        return [document for document in self.documents if not document.global_tree]

    def _supported(self) -> list[Document]:
        return [document for document in self._own() if document.supported]

    # ---- life --------------------------------------------------------------------------------------------------

    def init(self, storage: Any) -> None:
        """Read what earlier runs left; called once, by the account.

        Args:
            storage: an `IXCAPStorage`.
        """
        self.storage = storage
        self.journal = Journal(storage)
        self.journal.load()
        self.seen = Seen(storage)
        self.seen.load()
        self.documents = [Document(kind, storage) for kind in DOCUMENTS.values()]
        for document in self.documents:
            setattr(self, document.name, document)
            document.load()
        center = NotificationCenter()
        center.add_observer(self, name='CFGSettingsObjectDidChange', sender=self.account)
        center.add_observer(self, name='CFGSettingsObjectDidChange', sender=SIPSimpleSettings())
        center.add_observer(self, name='NetworkConditionsDidChange')

    def start(self) -> None:
        """Begin to synchronise; no-op when that is so already. Thread: a green thread."""
        with self._start_lock:
            if self.state is not ManagerState.STOPPED:
                return
            self._post('XCAPManagerWillStart')
            self._stopping = self._restarting = False
            self._waiting = Waiting()
            self._patience = Patience()
            self._machine.fire(ManagerInput.START)
            self._post('XCAPManagerDidStart')
            self._ended = Event()
            spawn(self._run, self._ended)

    def stop(self) -> None:
        """Do nothing any more, and wait for the end of what is under way; no-op when stopped. Thread: a green thread."""
        with self._start_lock:
            if self._ended is None:
                return
            self._post('XCAPManagerWillEnd')
            self._stopping = True
            self._waiting.interrupt()
            self._ended.wait(STOP_LIMIT)
            self._ended = None
            self._end_diff(wait=True)
            client, self.client = self.client, None
            self._exchange = None
            if client is not None:
                client.close()
            self._waiting.resume()
            schedule_in_thread(FILES, self.journal.save)
            self._post('XCAPManagerDidEnd')

    def delete(self) -> None:
        """The account is gone: stop, and remove what is stored. Thread: a green thread."""
        self.stop()
        if self.state is ManagerState.STOPPED:
            self._machine.fire(ManagerInput.TERMINATE)
        self.forget()
        self.journal.clear()
        schedule_in_thread(FILES, self._purge, self.storage)

    def forget(self) -> None:
        """Hear of nothing any more. Called by the account."""
        NotificationCenter().discard_observer(self, name='CFGSettingsObjectDidChange', sender=self.account)
        NotificationCenter().discard_observer(self, name='CFGSettingsObjectDidChange', sender=SIPSimpleSettings())
        NotificationCenter().discard_observer(self, name='NetworkConditionsDidChange')

    def refresh(self) -> None:
        """Look now whether somebody else has changed something; no-op while stopped. Thread: any."""
        call_in_twisted_thread(self._fetch_all)

    @staticmethod
    def _purge(storage: Any) -> None:
        try:
            storage.purge()
        except XCAPStorageError as error:
            log.warning('%s', error)

    def _do(self, name: str, *arguments: Any) -> None:
        if self.state is not ManagerState.TERMINATED and self.journal.add(name, *arguments):
            self._noted()

    def _noted(self) -> None:
        """There is something new in the journal: at once on disk for who is in the thread for that."""
        call_in_thread(FILES, self.journal.save)
        if self._ended is not None:
            call_in_twisted_thread(self._waiting.wake)

    # ---- the green thread --------------------------------------------------------------------------------------

    def _run(self, ended: Event[None]) -> None:
        try:
            while not self._stopping:
                try:
                    self._step()
                except Interrupted:
                    pass
                except _Later as later:
                    self._pause(later.seconds)
                except Exception:           # whatever it is, it must not end synchronisation for good
                    log.exception('%r failed', self)
                    self._pause(patience.RETRY)
                if self._restarting and not self._stopping:
                    self._restarting = False
                    self._machine.fire(ManagerInput.RESTART)
            self._machine.fire(ManagerInput.STOP)
        finally:
            ended.send()

    def _step(self) -> None:
        if self.state is ManagerState.INITIALIZING:
            self._initialize()
        elif self.state is ManagerState.FETCHING:
            self._fetch()
        elif self.state is ManagerState.UPDATING:
            self._update()
        elif self._to_fetch:
            self._machine.fire(ManagerInput.FETCH)
        elif self.journal.pending():
            self._machine.fire(ManagerInput.CHANGE)
        else:
            told = self._diff is not None and self._diff.is_subscribed
            self._waiting.sleep(None if told else POLL)
            if not told and not self._to_fetch and not self.journal.pending():
                self._to_fetch.update(document.name for document in self._supported())

    def _pause(self, seconds: float) -> None:
        """Wait after a failure; who does something meanwhile does not shorten it."""
        clock = reactor.get_loop().time
        until = clock() + seconds
        try:
            while not self._stopping and (left := until - clock()) > 0:
                self._waiting.sleep(left)
        except Interrupted:
            pass

    def _failed(self, context: str, error: XCAPError) -> _Later:
        """Tell of a failure; when to try again."""
        log.warning('%r: %s: %s', self, context, error)
        self._post('XCAPManagerClientError', client=self.client, context=context, error=error)
        return _Later(self._patience.after(error))

    # ---- initializing ------------------------------------------------------------------------------------------

    def _initialize(self) -> None:
        self._end_diff()
        old, self.client = self.client, None
        self._exchange = None
        if old is not None:
            old.close()
        self._patience.answered()
        try:
            root = self._waiting.green(find_root, self.account)
            self._post('XCAPManagerClientWillInitialize', root=root)
            client = make_client(self.account, root)
        except Exception as error:
            if isinstance(error, Interrupted):
                raise
            log.warning('%r: %s', self, error)
            self._post('XCAPManagerClientDidNotInitialize', error=error)
            raise _Later(patience.RETRY) from None
        self.client = client
        self._exchange = Exchange(client, self._waiting, self.journal)
        self._post('XCAPManagerClientDidInitialize', client=client, root=root)
        self._locate(root)
        try:
            self._learn_capabilities()
        except XCAPError as error:
            raise self._failed('capabilities', error) from None
        self._to_fetch = {document.name for document in self._supported()}
        self._is_told = False
        self._machine.fire(ManagerInput.CAPABLE)
        self._begin_diff()

    def _locate(self, root: str) -> None:
        """The documents are on that server; what is known of another one is of no use."""
        self.xcap_root = root
        if self.journal.root != root:
            for document in self._own():
                Exchange.take(document, None, None)
            self._unconfirmed.clear()
            if self.journal.root is not None:
                self.journal.sent.clear()
                self.seen.marks = frozenset()
                schedule_in_thread(FILES, self.seen.clear)
            self.journal.root = root
            self.journal.note()
            schedule_in_thread(FILES, self.journal.save)
        for document in self.documents:
            document.locate(root, str(self.account.id))

    def _learn_capabilities(self) -> None:
        document = self.server_caps
        assert self._exchange is not None
        answer = self._exchange.request(document, 'GET')
        document.take(answer.data, answer.etag)
        document.fetched()
        content = document.content
        auids = [] if content is None else [auid.strip() for auid in content.auids]
        self._knows_oma = content is not None and omapolicy.namespace in (name.strip() for name in content.namespaces)
        if not auids:
            raise DocumentError('the server does not tell what it can do')
        for item in self._own():
            item.support(auids)
            item.locate(self.xcap_root or '', str(self.account.id))
            if not item.supported:
                Exchange.take(item, None, None)
        self._post('XCAPManagerDidDiscoverServerCapabilities', auids=auids)
        missing = [item.application for item in self._own() if DOCUMENTS[item.name].mandatory and not item.supported]
        if missing:
            raise CapabilityError(f'the server does not support {", ".join(missing)}')

    # ---- fetching ----------------------------------------------------------------------------------------------

    def _fetch_all(self) -> None:
        self._fetch_soon(document.name for document in self._supported())

    def _fetch_soon(self, names: Any) -> None:
        self._to_fetch.update(names)
        self._waiting.wake()

    def _fetch(self) -> None:
        for document in self._supported():
            if document.name in self._to_fetch:
                try:
                    self._fetch_one(document)
                except XCAPError as error:
                    if not self._does_without(document, error):
                        raise self._failed('fetch', error) from None
                self._to_fetch.discard(document.name)
        self._patience.answered()
        self.last_fetch_time = ISOTimestamp.utcnow()
        self._machine.fire(ManagerInput.FETCHED)

    def _fetch_one(self, document: Document) -> None:
        assert self._exchange is not None
        is_known = self._exchange.read(document)
        if document is self.resource_lists:
            self._unconfirmed.fetched(exists=document.data is not None, is_ours=is_known)

    # ---- updating ----------------------------------------------------------------------------------------------

    def _update(self) -> None:
        if self._to_fetch:
            self._machine.fire(ManagerInput.FETCH)
            return
        pending: list[Operation] = self.journal.pending()
        state = self._state_of_documents()
        if not pending and state == self._merged and self._is_told:
            self._machine.fire(ManagerInput.UPDATED)            # nobody has changed anything
            return
        facts = Facts(str(self.account.id), {document.name: document.url for document in self._supported()}, not self._knows_oma)
        contents = {document.name: document.data for document in self._supported()}
        try:
            merged: Merged = self._waiting.call(WORK, merge, contents, self._unconfirmed.operations + pending, facts)
        except XCAPError as error:
            self._to_fetch = {document.name for document in self._supported()}
            later = self._failed('update', error)
            self._machine.fire(ManagerInput.FETCH)
            raise later from None
        for name in merged.changed:
            getattr(self, name).dirty = True
        for document in self._supported():
            operations = [operation for operation in pending if operation.document == document.name]
            if document.name in merged.changed and not self._write(document, merged.changed[document.name], operations):
                return
            if document is self.resource_lists:
                self._unconfirmed.merged(merged.effective)
                if document.name in merged.changed:
                    self._unconfirmed.written(operations)
            if operations:
                self._done(operations)
        if any(not getattr(self, operation.document).supported for operation in pending):
            self._done([operation for operation in pending if not getattr(self, operation.document).supported])
        self._patience.succeeded()
        self._merged = self._state_of_documents()
        self._machine.fire(ManagerInput.UPDATED)
        self._tell_of_support()
        self._tell(merged)

    def _state_of_documents(self) -> dict[str, tuple[str | None, bytes | None]]:
        return {document.url: (document.etag, document.data) for document in self._supported()}

    def _done(self, operations: list[Operation]) -> None:
        self._is_told = False
        self.journal.remove(operation.number for operation in operations)
        schedule_in_thread(FILES, self.journal.save)

    def _write(self, document: Document, data: bytes | None, operations: list[Operation]) -> bool:
        """Write or delete a document; False when everything has to begin again."""
        assert self._exchange is not None
        is_new = document.data is None
        try:
            self._exchange.write(document, data, operations)
        except (PreconditionError, ConflictError) as error:
            seconds = self._patience.conflict(error)
            if seconds is None:
                raise self._write_failed(document, error) from None
            log.info('%r: %s is another one by now: %s', self, document.name, error)
            self._begin_again()
            if seconds:
                raise _Later(seconds) from None
            return False
        except XCAPError as error:
            raise self._write_failed(document, error) from None
        if document is self.resource_lists:
            if is_new:
                self._unconfirmed.created()
            schedule_in_thread(FILES, self.seen.add, data)      # before the journal forgets what is in it
        self.last_update_time = ISOTimestamp.utcnow()
        if data is not None and document.etag is None:
            self._to_fetch.add(document.name)               # to learn its tag
        return True

    def _begin_again(self) -> None:
        self._to_fetch = {document.name for document in self._supported()}
        for document in self._own():
            document.dirty = False
        self._machine.fire(ManagerInput.FETCH)

    def _write_failed(self, document: Document, error: XCAPError) -> _Later:
        """Whether it arrived is not known, or it cannot be done: read everything again, later."""
        later = _Later(0) if self._does_without(document, error) else self._failed('update', error)
        self._begin_again()
        return later

    def _does_without(self, document: Document, error: XCAPError) -> bool:
        """Whether the document beside is refused, and is left alone until we begin anew: nothing else depends on it."""
        refused = isinstance(error, HTTPError) and 400 <= error.code < 500 and not isinstance(error, AuthenticationError)
        if document is not self.ietf_pres_rules or not refused:
            return False
        log.warning('%r: %s is not used: %s', self, document.application, error)
        document.supported = False
        document.take(None, None)
        return True

    # ---- telling -----------------------------------------------------------------------------------------------

    def _tell(self, merged: Merged) -> None:
        data = merged.data
        if data.status_icon is not None:
            data.status_icon.url, data.status_icon.etag = self.status_icon.url, self.status_icon.etag
        if self._is_told and self._waiting.call(WORK, lambda: self.data != data):
            self._is_told = False
        self.data = data
        for told in merged.told:
            self._tell_of(told)
        # What the user did meanwhile is not in it: that would look as if somebody else had undone it. It is told when that is done as well.
        if not self._is_told and not self.journal.pending():
            self._is_told = True
            schedule_in_thread(FILES, self.seen.tell, self.resource_lists.data)
            self._post('XCAPManagerDidReloadData', addressbook=data.addressbook, presence_rules=data.presence_rules, dialog_rules=data.dialog_rules,
                       status_icon=data.status_icon, offline_status=data.offline_status)

    def _tell_of_support(self) -> None:
        """The server has what the account needs, and the documents that others make use of: whoever subscribes to its lists finds them."""
        account = self.account
        if not account.xcap.discovered:
            account.xcap.discovered = True
            account.save()
            NotificationCenter().post_notification('SIPAccountDidDiscoverXCAPSupport', sender=account, data=TimestampedNotificationData())

    def _moved(self, state: ManagerState, what: ManagerInput, following: ManagerState) -> None:
        if following is not state:
            self._post('XCAPManagerDidChangeState', prev_state=state, state=following)

    # ---- being told --------------------------------------------------------------------------------------------

    def _begin_diff(self) -> None:
        """Subscribe to changes, if the account wants that."""
        from sipsimple.account.xcap.diff import XCAPSubscriber
        self._diff = XCAPSubscriber(self.account, self._supported(), self._hear)
        self._diff.start()

    def _end_diff(self, wait: bool = False) -> None:
        """Leave the subscription."""
        diff, self._diff = self._diff, None
        if diff is not None:
            ended: Event[None] = Event()
            diff.stop(ended.send)
            if wait:
                ended.wait(UNSUBSCRIBE_LIMIT)

    def _hear(self, changes: dict[str, dict[str, Any]] | None) -> None:
        """Documents have changed on the server, or may have (None)."""
        if self._ended is None or self.state is ManagerState.INITIALIZING:
            return
        if changes is None:
            self._post('XCAPDocumentsDidChange', root=self.xcap_root, documents=['all'])
            self._fetch_all()
        else:
            self._post('XCAPDocumentsDidChange', root=self.xcap_root, documents=list(changes), notified_etags=changes)
            self._fetch_soon(changes)

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        call_in_twisted_thread(getattr(self, f'_NH_{notification.name}'), notification)

    def _NH_CFGSettingsObjectDidChange(self, notification: Notification) -> None:
        modified = notification.data.modified
        if notification.sender is not self.account:
            if any(name.startswith('tls.') for name in modified) and (self.xcap_root or '').lower().startswith('https:'):
                self._restart()
            return
        if '__id__' in modified:
            self._move_storage(str(modified['__id__'].old))
        if SETTINGS & set(modified):
            if ('__id__' in modified or 'xcap.xcap_root' in modified) and self.account.xcap.discovered:
                # Another server, or another user's documents: what is there is not what we had there.
                self.account.xcap.discovered = False
                self.account.save()
            self._restart()
        if self._diff is not None:
            self._diff.update()

    def _NH_NetworkConditionsDidChange(self, notification: Notification) -> None:
        """What was missed while there was no network, and what could not be written: try at once."""
        if self._ended is not None:
            self._fetch_all()
            if self.state is not ManagerState.INSYNC:
                self._restart()

    def _restart(self) -> None:
        if self._ended is not None:
            self._restarting = True
            self._waiting.interrupt()

    def _move_storage(self, old: str) -> None:
        """The account has another id: its documents are others, and what was done as somebody else is not done again."""
        from sipsimple.account.xcap.factory import make_storage
        schedule_in_thread(FILES, self._purge, self.storage)
        self.storage = make_storage(str(self.account.id))
        self.journal, self.seen = Journal(self.storage), Seen(self.storage)
        for document in self._own():
            document.use(self.storage)
            document.take(None, None)
        self.data = None
        self._unconfirmed.clear()
        log.info('%s was %s: its documents are read anew', self.account.id, old)
