"""State of dialogs: application/dialog-info+xml, RFC 4235."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    KeyedList,
    XMLAttribute,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementID,
    XMLKeywordElement,
    XMLListElement,
    XMLListRootElement,
    XMLNonNegativeIntegerElement,
    XMLStringElement,
)
from sipsimple.payloads.datatypes import Keyword, NonNegativeInteger

__all__ = [
    'Dialog', 'DialogInfo', 'DialogInfoDocument', 'DialogState', 'Duration', 'Identity', 'Local', 'Param', 'ReferredBy', 'Remote', 'Replaces', 'State',
    'Target', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:dialog-info'


class DialogInfoDocument(XMLDocument):
    """A document of dialogs."""

    content_type = 'application/dialog-info+xml'


DialogInfoDocument.register_namespace(namespace, prefix=None, schema='dialog-info.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = DialogInfoDocument


class State(Keyword):
    """`full` or `partial`."""

    __slots__ = ()
    words = frozenset({'full', 'partial'})


class _Direction(Keyword):
    __slots__ = ()
    words = frozenset({'initiator', 'recipient'})


class _Event(Keyword):
    __slots__ = ()
    words = frozenset({'rejected', 'cancelled', 'replaced', 'local-bye', 'remote-bye', 'error', 'timeout'})


class DialogState(XMLKeywordElement, _Element, tag='state'):
    """`trying`, `proceeding`, `early`, `confirmed` or `terminated`.

    Args:
        value: the state.
        code: of the last response, 100 to 699.
        event: what made it so: `rejected`, `cancelled`, `replaced`, `local-bye`, `remote-bye`, `error` or `timeout`.
    """

    _xml_value_words = ('trying', 'proceeding', 'early', 'confirmed', 'terminated')
    code = XMLAttribute('code', type=int)
    event = XMLAttribute('event', type=_Event)

    def __init__(self, value: str, code: int | None = None, event: str | None = None) -> None:
        super().__init__(value)
        self.code = code
        self.event = event


class Duration(XMLNonNegativeIntegerElement, _Element, tag='duration'):
    """Seconds that the dialog has been there."""


class Replaces(_Element, tag='replaces'):
    """The dialog that this one replaces (RFC 3891)."""

    call_id = XMLAttribute('call_id', xmlname='call-id', type=str, required=True)
    local_tag = XMLAttribute('local_tag', xmlname='local-tag', type=str, required=True)
    remote_tag = XMLAttribute('remote_tag', xmlname='remote-tag', type=str, required=True)

    def __init__(self, call_id: str, local_tag: str, remote_tag: str) -> None:
        super().__init__()
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag


class ReferredBy(XMLStringElement, _Element, tag='referred-by'):
    """Who referred to this dialog (RFC 3892).

    Args:
        value: URI.
        display: name.
    """

    display = XMLAttribute('display', type=str)

    def __init__(self, value: str, display: str | None = None) -> None:
        super().__init__(value)
        self.display = display


class Identity(XMLStringElement, _Element, tag='identity'):
    """Who takes part.

    Args:
        value: URI.
        display: name.
    """

    display = XMLAttribute('display', type=str)

    def __init__(self, value: str, display: str | None = None) -> None:
        super().__init__(value)
        self.display = display


class Param(_Element, tag='param'):
    """A parameter of a Contact header (RFC 3840)."""

    pname = XMLAttribute('pname', type=str, required=True)
    pval = XMLAttribute('pval', type=str, required=True)

    def __init__(self, pname: str, pval: str) -> None:
        super().__init__()
        self.pname = pname
        self.pval = pval


class Target(XMLListElement, _Element, tag='target'):
    """Where the participant is: a Contact header.

    Args:
        uri: URI.
        params: the parameters.
    """

    _xml_item_types = (Param,)
    uri = XMLAttribute('uri', type=str, required=True)

    def __init__(self, uri: str, params: Iterable[Param] = ()) -> None:
        super().__init__()
        self.uri = uri
        self.update(params)


class _Participant(_Element):
    _xml_children_order = {Identity.qname: 0, Target.qname: 1}
    identity = XMLElementChild('identity', type=Identity)
    target = XMLElementChild('target', type=Target)

    def __init__(self, identity: Any = None, target: Any = None) -> None:
        super().__init__()
        self.identity = identity
        self.target = target


class Local(_Participant, tag='local'):
    """The side that tells of the dialog.

    Args:
        identity: `Identity`, or URI.
        target: `Target`, or URI.
    """


class Remote(_Participant, tag='remote'):
    """The other side.

    Args:
        identity: `Identity`, or URI.
        target: `Target`, or URI.
    """


class Dialog(_Element, tag='dialog'):
    """A dialog.

    Args:
        id: unique in the document.
        state: `DialogState`, or keyword.
        call_id, local_tag, remote_tag: text.
        direction: `initiator` or `recipient`: who made it.
        duration: seconds.
        replaces, referred_by, local, remote: elements.
    """

    id = XMLElementID('id', type=str, required=True)
    call_id = XMLAttribute('call_id', xmlname='call-id', type=str)
    local_tag = XMLAttribute('local_tag', xmlname='local-tag', type=str)
    remote_tag = XMLAttribute('remote_tag', xmlname='remote-tag', type=str)
    direction = XMLAttribute('direction', type=_Direction)
    state = XMLElementChild('state', type=DialogState, required=True)
    duration = XMLElementChild('duration', type=Duration)
    replaces = XMLElementChild('replaces', type=Replaces)
    referred_by = XMLElementChild('referred_by', type=ReferredBy)
    local = XMLElementChild('local', type=Local)
    remote = XMLElementChild('remote', type=Remote)
    _xml_children_order = {DialogState.qname: 0, Duration.qname: 1, Replaces.qname: 2, ReferredBy.qname: 3, f'{{{namespace}}}route-set': 4, Local.qname: 5,
                           Remote.qname: 6}

    def __init__(self, id: str, state: Any, call_id: str | None = None, local_tag: str | None = None, remote_tag: str | None = None,
                 direction: str | None = None, duration: int | None = None, replaces: Replaces | None = None, referred_by: Any = None,
                 local: Local | None = None, remote: Remote | None = None) -> None:
        super().__init__()
        self.id = id
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.direction = direction
        self.state = state
        self.duration = duration
        self.replaces = replaces
        self.referred_by = referred_by
        self.local = local
        self.remote = remote


class DialogInfo(KeyedList, XMLListRootElement, _Element, tag='dialog-info'):
    """The dialogs of somebody, by id.

    Args:
        version: number of the document; grows by one with each.
        state: `full`, or `partial` when only what changed is here.
        entity: URI of whose dialogs they are.
        dialogs: what to begin with.
    """

    _xml_item_types = (Dialog,)
    _xml_children_order = {Dialog.qname: 0}
    version = XMLAttribute('version', type=NonNegativeInteger, required=True)
    state = XMLAttribute('state', type=State, required=True)
    entity = XMLAttribute('entity', type=str, required=True)

    def __init__(self, version: int, state: str, entity: str, dialogs: Iterable[Dialog] = ()) -> None:
        super().__init__()
        self.version = version
        self.state = state
        self.entity = entity
        self.update(dialogs)
