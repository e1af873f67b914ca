"""Who watches: application/watcherinfo+xml, RFC 3857 and 3858."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sipsimple.payloads import KeyedList, XMLAttribute, XMLDocument, XMLElement, XMLElementID, XMLListRootElement, XMLSimpleElement
from sipsimple.payloads.datatypes import Keyword, NonNegativeInteger, SIPURI, UnsignedLong

__all__ = ['NeedFullUpdateError', 'State', 'Watcher', 'WatcherEvent', 'WatcherInfo', 'WatcherInfoDocument', 'WatcherList', 'WatcherStatus', 'namespace']

namespace = 'urn:ietf:params:xml:ns:watcherinfo'


class WatcherInfoDocument(XMLDocument):
    """A document of watchers."""

    content_type = 'application/watcherinfo+xml'


WatcherInfoDocument.register_namespace(namespace, prefix=None, schema='watcherinfo.xsd')


class NeedFullUpdateError(Exception):
    """A partial document cannot be used without the full one before it; for those who keep state."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = WatcherInfoDocument


class State(Keyword):
    """`full` or `partial`."""

    __slots__ = ()
    words = frozenset({'full', 'partial'})


class WatcherStatus(Keyword):
    """`pending`, `active`, `waiting` or `terminated` (RFC 3857, 4.7.1)."""

    __slots__ = ()
    words = frozenset({'pending', 'active', 'waiting', 'terminated'})


class WatcherEvent(Keyword):
    """What made the status so (RFC 3857, 4.7.1)."""

    __slots__ = ()
    words = frozenset({'subscribe', 'approved', 'deactivated', 'probation', 'rejected', 'timeout', 'giveup', 'noresource'})


class Watcher(XMLSimpleElement, _Element, tag='watcher'):
    """Somebody who watches. `str()` is `"name" <uri>`, or the URI when there is no name.

    Args:
        sipuri: URI.
        id: unique in the list.
        status, event: keywords, see `WatcherStatus` and `WatcherEvent`.
        display_name: or None.
        expiration: seconds until the subscription ends.
        duration: seconds that it has been there.
    """

    _xml_value_type = SIPURI
    id = XMLElementID('id', type=str, required=True)
    status = XMLAttribute('status', type=WatcherStatus, required=True)
    event = XMLAttribute('event', type=WatcherEvent, required=True)
    display_name = XMLAttribute('display_name', xmlname='display-name', type=str)
    expiration = XMLAttribute('expiration', type=UnsignedLong)
    duration = XMLAttribute('duration', xmlname='duration-subscribed', type=UnsignedLong)

    def __init__(self, sipuri: str, id: str, status: str, event: str, display_name: str | None = None, expiration: int | None = None,
                 duration: int | None = None) -> None:
        super().__init__(sipuri)
        self.id = id
        self.status = status
        self.event = event
        self.display_name = display_name
        self.expiration = expiration
        self.duration = duration

    @property
    def sipuri(self) -> SIPURI:
        """The URI."""
        uri: SIPURI = self.value
        return uri

    @sipuri.setter
    def sipuri(self, uri: str) -> None:
        self.value = uri

    def __str__(self) -> str:
        return f'"{self.display_name}" <{self.sipuri}>' if self.display_name else str(self.sipuri)

    # It has an id, and is compared by that as other elements are.
    __eq__ = XMLElement.__eq__
    __hash__ = XMLElement.__hash__


class WatcherList(KeyedList, _Element, tag='watcher-list'):
    """Who watches a resource, by id.

    Args:
        resource: URI of what is watched.
        package: event package.
        watchers: what to begin with.
    """

    _xml_item_types = (Watcher,)
    _xml_children_order = {Watcher.qname: 0}
    resource = XMLElementID('resource', type=SIPURI, required=True)
    package = XMLAttribute('package', type=str, required=True)

    def __init__(self, resource: str, package: str, watchers: Iterable[Watcher] = ()) -> None:
        super().__init__()
        self.resource = resource
        self.package = package
        self.update(watchers)

    def _with_status(self, status: str) -> list[Watcher]:
        return [item for item in self._elements() if isinstance(item, Watcher) and item.status == status]

    @property
    def pending(self) -> Iterator[Watcher]:
        """Those who wait for a decision and are subscribed."""
        return iter(self._with_status('pending'))

    @property
    def waiting(self) -> Iterator[Watcher]:
        """Those who wait for a decision, and whose subscription ended."""
        return iter(self._with_status('waiting'))

    @property
    def active(self) -> Iterator[Watcher]:
        """Those who see the resource."""
        return iter(self._with_status('active'))

    @property
    def terminated(self) -> Iterator[Watcher]:
        """Those who just ceased to."""
        return iter(self._with_status('terminated'))


class WatcherInfo(KeyedList, XMLListRootElement, _Element, tag='watcherinfo'):
    """Who watches what: lists by their resource.

    Args:
        version: number of the document; grows by one with each.
        state: `full`, or `partial` when only what changed is here.
        wlists: what to begin with.
    """

    _xml_item_types = (WatcherList,)
    _xml_children_order = {WatcherList.qname: 0}
    version = XMLAttribute('version', type=NonNegativeInteger, required=True)
    state = XMLAttribute('state', type=State, required=True)

    def __init__(self, version: int, state: str, wlists: Iterable[WatcherList] = ()) -> None:
        super().__init__()
        self.version = version
        self.state = state
        self.update(wlists)

    @property
    def wlists(self) -> Iterator[WatcherList]:
        """The lists."""
        return iter(self._lists())

    def _lists(self) -> list[Any]:
        return list(self._elements())

    @property
    def pending(self) -> dict[WatcherList, list[Watcher]]:
        """Those of each list who wait for a decision and are subscribed."""
        return {wlist: list(wlist.pending) for wlist in self._lists()}

    @property
    def waiting(self) -> dict[WatcherList, list[Watcher]]:
        """Those of each list who wait for a decision, and whose subscription ended."""
        return {wlist: list(wlist.waiting) for wlist in self._lists()}

    @property
    def active(self) -> dict[WatcherList, list[Watcher]]:
        """Those of each list who see the resource."""
        return {wlist: list(wlist.active) for wlist in self._lists()}

    @property
    def terminated(self) -> dict[WatcherList, list[Watcher]]:
        """Those of each list who just ceased to."""
        return {wlist: list(wlist.terminated) for wlist in self._lists()}
