"""The documents of an account, read from its XCAP server and written to it: what we know of them is on disk before, and after."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from sipsimple.account.xcap.client import Answer, XCAPClient
from sipsimple.account.xcap.documents import Document
from sipsimple.account.xcap.errors import AuthenticationError, DocumentError, HTTPError, NotFoundError, XCAPError
from sipsimple.account.xcap.journal import Journal
from sipsimple.account.xcap.operations import Operation
from sipsimple.account.xcap.waiting import Waiting
from sipsimple.notification import NotificationCenter, TimestampedNotificationData
from sipsimple.threading import schedule_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ['FILES', 'Exchange']

log = logging.getLogger('sipsimple.account.xcap')

FILES = 'file-io'           # the worker that writes files


def _digest(data: bytes | None) -> str:
    return 'none' if data is None else hashlib.sha256(data).hexdigest()


class Exchange:
    """The requests to one server. Thread: a green thread of the SDK thread, one at a time.

    Whether a write arrived is not known when the connection breaks or the program is killed. So the journal remembers the digest of what was sent, and the
    next `read` compares. (The addressbook remembers the operations it has in it by itself, see `merge`.)

    Args:
        client: for the server.
        waiting: the waits of the green thread; who is interrupted in one gets `Interrupted`.
        journal: of the account.
    Notifications: XCAPTrace; its sender is the document.
    """

    def __init__(self, client: XCAPClient, waiting: Waiting, journal: Journal) -> None:
        self._client = client
        self._waiting = waiting
        self._journal = journal

    @staticmethod
    def take(document: Document, data: bytes | None, etag: str | None) -> None:
        """That is what the server has, or None when it has nothing; a copy is kept."""
        document.take(data, etag)
        schedule_in_thread(FILES, document.store, data, etag)

    def read(self, document: Document) -> bool:
        """Read a document, if it has changed; whether it is as it was known.

        Raises:
            XCAPError: it could not be read.
        """
        known = document.etag if document.data is not None else None
        try:
            answer = self.request(document, 'GET', etag=known)
        except NotFoundError:
            data, etag = None, None
        else:
            if answer.code == 304 and known is not None:
                data, etag = document.data, known
            elif not answer.data:
                raise DocumentError(f'{document.name}: the server has an empty document')
            else:
                data, etag = answer.data, answer.etag
        is_known = (data, etag) == (document.data, document.etag)
        if not is_known:
            self.take(document, data, etag)
        document.fetched()
        self._settle_sent(document)
        return is_known

    def _settle_sent(self, document: Document) -> None:
        """See whether what we sent last has arrived, if that is not known."""
        sent = self._journal.sent.pop(document.name, None)
        if sent is not None:
            if sent[0] == _digest(document.data):
                self._journal.remove(sent[1])
            self._journal.note()
            schedule_in_thread(FILES, self._journal.save)

    def write(self, document: Document, data: bytes | None, operations: list[Operation]) -> None:
        """Write a document, or delete it (None), if it is still the one that was read.

        Args:
            operations: those of the journal that are in it.
        Raises:
            XCAPError: it was not written, or that is not known; PreconditionError and ConflictError: it is another one by now.
        """
        if operations and document.name != 'resource_lists':
            self._journal.sent[document.name] = _digest(data), [operation.number for operation in operations]
            self._journal.note()
        self._waiting.call(FILES, self._journal.save)       # nothing is sent that is not on disk
        etag = None
        try:
            etag = self.request(document, 'DELETE' if data is None else 'PUT', data, document.etag, create=document.data is None).etag
        except NotFoundError:
            if data is not None:
                raise
        self.take(document, data, etag)
        document.updated()
        self._journal.sent.pop(document.name, None)

    def request(self, document: Document, method: str, data: bytes | None = None, etag: str | None = None, create: bool = False) -> Answer:
        """Make one request, and tell of it.

        Args:
            method: GET, PUT or DELETE.
            etag: the condition: of the document that is not wanted again, or that is to be replaced.
            create: whether there must be none (If-None-Match), where there is no `etag`.
        Raises:
            XCAPError: it failed.
        """
        client = self._client
        begin: dict[str, Callable[[], Any]] = {
            'GET': lambda: client.get(document.url, etag),
            'PUT': lambda: client.put(document.url, data or b'', document.content_type, etag, create and etag is None),
            'DELETE': lambda: client.delete(document.url, etag)}
        try:
            answer: Answer = self._waiting.deferred(begin[method]())
        except XCAPError as error:
            code, reason = (error.code, error.reason) if isinstance(error, HTTPError) else (None, str(error))
            size = len(error.body) if isinstance(error, HTTPError) else 0
            self._trace(document, method, etag, 'failure' if method == 'GET' else 'failed', code, reason, size)
            if isinstance(error, AuthenticationError):
                log.warning('%s: the server does not accept the password', document.url)
            raise
        self._trace(document, method, answer.etag, 'fetch' if method == 'GET' and answer.code != 304 else 'success', answer.code, answer.reason,
                    len(answer.data) if data is None else len(data))
        return answer

    @staticmethod
    def _trace(document: Document, method: str, etag: str | None, result: str, code: int | None, reason: str, size: int) -> None:
        """Tell of a request. `result`: `fetch` (something was read), `success`, `failure` (to read) or `failed` (to write)."""
        NotificationCenter().post_notification('XCAPTrace', sender=document, data=TimestampedNotificationData(
            method=method, url=document.url, application=document.application, etag=etag, result=result, code=code, reason=reason, size=size))
