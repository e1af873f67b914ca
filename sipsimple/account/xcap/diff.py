"""Being told of changes on the XCAP server: the event package xcap-diff (RFC 5875)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from sipsimple.account.services import EventSubscriber
from sipsimple.account.xcap.documents import Document
from sipsimple.payloads import ParserError
from sipsimple.payloads.resourcelists import Entry, List, ResourceLists, ResourceListsDocument
from sipsimple.payloads.xcapdiff import Document as Change, XCAPDiffDocument
from sipsimple.threading.scheduler import Scheduler, reactor_scheduler

__all__ = ['XCAPSubscriber']


def _place(path: str) -> str:
    """A document's place, however it is written: relative to the root or below it, with more or fewer escapes, with a node or without."""
    return unquote(path.partition('/~~/')[0]).strip('/')


def _tag(etag: str | None) -> str | None:
    """An entity tag without the quotes of HTTP, which xcap-diff does not have."""
    return None if etag is None else etag.removeprefix('W/').strip('"')


class XCAPSubscriber(EventSubscriber):
    """Subscribed to the changes of an account's documents while `xcap.xcap_diff`.

    Args:
        account: whose.
        documents: those to be told of.
        changed: called with what is not as it is known here any more: name -> what the notifier says of it (`new_etag`, `previous_etag`, `auid`, `url`); or
            with None: it may be anything.
    """

    event = 'xcap-diff'

    def __init__(self, account: Any, documents: list[Document], changed: Callable[[dict[str, dict[str, Any]] | None], object],
                 scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self._documents = documents
        self._changed = changed

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.xcap.xcap_diff)

    def document(self) -> tuple[str, bytes]:
        """What is to be told of."""
        entries = [Entry(document.relative_url) for document in self._documents]
        return ResourceListsDocument.content_type or '', ResourceLists([List(entries)]).toxml()

    def _has_begun(self) -> None:
        self._changed(None)         # what happened before

    def _is_over(self) -> None:
        self._changed(None)

    def _heard(self, data: Any) -> None:
        if not data.body:
            return
        if str(data.content_type or '').partition(';')[0].strip().lower() != XCAPDiffDocument.content_type:
            self._tell_invalid(data, f'it is no {XCAPDiffDocument.content_type}')
            self._changed(None)
            return
        try:
            changes = list(XCAPDiffDocument.parse(data.body))
        except ParserError as error:
            self._tell_invalid(data, error)
            self._changed(None)
            return
        found: dict[str, dict[str, Any]] = {}
        for change in changes:
            place = _place(str(change.selector))
            document = next((item for item in self._documents if place in (_place(item.relative_url), _place(item.url))), None)
            if document is None:
                continue
            new, previous = (change.new_etag, change.previous_etag) if isinstance(change, Change) else (None, None)
            if not isinstance(change, Change) or _tag(new) != _tag(document.etag):
                found[document.name] = {'new_etag': new, 'previous_etag': previous, 'auid': document.application, 'url': document.url}
        if found:
            self._changed(found)
