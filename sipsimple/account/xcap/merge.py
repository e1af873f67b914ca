"""From what is on the server and what the user did since, to what has to be there: a function without network, files or time.

Which operations a document already has in it stands in the document itself, as an attribute of the addressbook list (`applied`): for each run of a program
the number of its last one. Whoever wrote and did not hear whether it arrived, or was killed then, finds it there, also after somebody
else has changed the document again: no operation is carried out twice. Of the other documents, which hold one value each, see `manager`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sipsimple.account.xcap import normalform, operations, plainrules
from sipsimple.account.xcap.addressbook import ADDRESSBOOK, Addressbook, read_addressbook
from sipsimple.account.xcap.errors import DocumentError
from sipsimple.account.xcap.items import Icon, Item, OfflineStatus
from sipsimple.account.xcap.operations import Operation
from sipsimple.account.xcap.uri import list_selector, node_url
from sipsimple.payloads import BuilderError, ParserError, dialogrules, presrules
from sipsimple.payloads.pidf import PIDFDocument
from sipsimple.payloads.prescontent import PresenceContent, PresenceContentDocument
from sipsimple.payloads.resourcelists import ResourceLists, ResourceListsDocument
from sipsimple.payloads.rlsservices import RLSServices, RLSServicesDocument
from sipsimple.util import collector_paused

__all__ = ['Facts', 'Merged', 'Rules', 'ServerData', 'Told', 'merge']

log = logging.getLogger('sipsimple.account.xcap')

JOURNAL_NAMESPACE = 'urn:sipsimple:xml:ns:xcap-journal'
APPLIED = f'{{{JOURNAL_NAMESPACE}}}applied'
MAX_RUNS = 64           # of which the last operation is remembered in a document

ResourceListsDocument.register_namespace(JOURNAL_NAMESPACE, prefix='journal')


@dataclass(frozen=True)
class Facts:
    """What a merge needs to know.

    Attributes:
        account: `alice@example.com`.
        urls: name of a document -> its URL, for those that the server supports.
        plain: whether the server may know no other conditions of rules than those of RFC 4745, see `plainrules`.
    """

    account: str
    urls: Mapping[str, str]
    plain: bool = False

    @property
    def presence_service(self) -> str:
        """URI of the service that has everybody whose presence we want to see."""
        return self._service('presence')

    @property
    def dialog_service(self) -> str:
        """The same for dialogs."""
        return self._service('dialog')

    def _service(self, event: str) -> str:
        user, _, domain = self.account.partition('@')
        return f'sip:{user}+{event}@{domain}'

    def list_url(self, name: str) -> str:
        """URL of a list of the resource-lists document."""
        return node_url(self.urls['resource_lists'], list_selector(name))


@dataclass(frozen=True)
class Rules:
    """What others may see.

    Attributes:
        default_policy: what happens to those of whom nothing is said: `allow`, `confirm`, `block` or `polite-block`.
    """

    default_policy: str


@dataclass(frozen=True)
class ServerData:
    """All that the documents say.

    Attributes:
        addressbook: `Addressbook`.
        presence_rules: `Rules`.
        dialog_rules: `Rules`, or None if the server does not support them.
        status_icon: `Icon`, or None.
        offline_status: `OfflineStatus`, or None.
    """

    addressbook: Addressbook
    presence_rules: Rules
    dialog_rules: Rules | None
    status_icon: Icon | None
    offline_status: OfflineStatus | None


class Told(NamedTuple):
    """An operation that took effect.

    Attributes:
        verb, kind: `add`, `update` or `remove`; `contact`, `group` or `policy`.
        item: what it was about.
        member: of the group, if it was about that; or None.
    """

    verb: str
    kind: str
    item: Item
    member: Item | None


@dataclass
class Merged:
    """The outcome.

    Attributes:
        changed: name of a document -> its new content, None if it has to go; only those that change.
        data: what they say then.
        effective: the operations that were not carried out before.
        told: those of them that had something to be about, in order.
    """

    changed: dict[str, bytes | None] = field(default_factory=dict)
    data: Any = None
    effective: list[Operation] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def merge(contents: Mapping[str, bytes | None], pending: Iterable[Operation], facts: Facts) -> Merged:
    """Carry out operations on documents and bring all of them into their normal form.

    Args:
        contents: name of a document -> what the server has; None if there is none.
        pending: in order.

    Raises:
        DocumentError: a document cannot be understood.
    """
    with collector_paused():        # of a big addressbook it would look at hundreds of thousands of objects several times, and hold up all threads
        return _merge(contents, pending, facts)


def _merge(contents: Mapping[str, bytes | None], pending: Iterable[Operation], facts: Facts) -> Merged:
    todo: dict[str, list[Operation]] = {}
    for operation in pending:
        todo.setdefault(operation.document, []).append(operation)
    result = Merged()
    book, watchers = _merge_lists(result, contents.get('resource_lists'), todo.get('resource_lists', []), facts)
    _merge_services(result, contents.get('rls_services'), facts)
    presence_rules = _merge_presence_rules(result, contents, todo, watchers, facts)
    dialog_rules = _merge_dialog_rules(result, contents, todo, facts) if 'dialog_rules' in facts.urls else None
    status = _merge_status(result, contents.get('pidf_manipulation'), todo) if 'pidf_manipulation' in facts.urls else None
    icon = _merge_icon(result, contents.get('status_icon'), todo) if 'status_icon' in facts.urls else None
    for name in todo:
        if name not in facts.urls:
            log.warning('%s: the server does not support %s, %d changes of it are dropped', facts.account, name, len(todo[name]))
    result.data = ServerData(book, presence_rules, dialog_rules, icon, status)
    return result


def _parse(kind: Any, data: bytes, name: str) -> Any:
    try:
        return kind.parse(data)
    except ParserError as error:
        raise DocumentError(f'{name}: {error}') from error


def _build(root: Any, name: str) -> bytes:
    try:
        written: bytes = root.toxml()
        return written
    except BuilderError as error:
        raise DocumentError(f'{name}: {error}') from error


def _finish(result: Merged, name: str, root: Any, old: bytes | None) -> None:
    """Note the new content of a document, if it is another one."""
    if old is None or root._is_changed():
        new = _build(root, name)
        if new != old:
            result.changed[name] = new


# ---- addressbook ---------------------------------------------------------------------------------------------------


def _read_applied(items: Any) -> dict[str, int]:
    applied: dict[str, int] = {}
    for word in (items.element.get(APPLIED) or '').split():
        run, _, place = word.rpartition(':')
        if run and place.isdecimal() and len(place) < 16:
            applied[run] = int(place)
    return applied


def _write_applied(items: Any, applied: dict[str, int], done: list[Operation]) -> None:
    for operation in done:
        run, place = operation.number
        applied.pop(run, None)          # to the end: those that wrote last are kept longest
        applied[run] = place
    while len(applied) > MAX_RUNS:
        del applied[next(iter(applied))]
    items.element.set(APPLIED, ' '.join(f'{run}:{place}' for run, place in applied.items()))


def _merge_lists(result: Merged, old: bytes | None, todo: list[Operation], facts: Facts) -> tuple[Addressbook, dict[str, dict[str, None]]]:
    """The addressbook, and whose presence and for whom it is, as URIs (`normalform.lists_of`)."""
    root = ResourceLists() if old is None else _parse(ResourceListsDocument, old, 'resource_lists')
    items = normalform.book_of(root)
    applied = _read_applied(items)
    fresh = [operation for operation in todo if operation.number[1] > applied.get(operation.number[0], -1)]
    for operation in fresh:
        try:
            before = operations.find(items, *operations.subject_of(operation))
            operations.carry_out(operation, items)
            result.told += _told(operation, items, before)
        except Exception:               # what cannot be done must not stop what comes behind it for ever
            log.exception('%s: an operation makes no sense and is dropped: %r', facts.account, operation)
    result.effective += fresh
    items = normalform.book_of(root)
    book = read_addressbook(items)
    watchers = normalform.lists_of(book, 'presence')
    normalform.derive_lists(root, watchers, normalform.lists_of(book, 'dialog'), facts.urls['resource_lists'])
    if fresh and (root._is_changed() or old is None):
        _write_applied(root[ADDRESSBOOK], applied, fresh)
    _finish(result, 'resource_lists', root, old)
    return book, watchers


def _told(operation: Operation, items: Any, before: Item | None) -> list[Told]:
    """What to tell of an operation, if there was something that it is about."""
    verb, _, rest = operation.name.partition('_')
    kind, id = operations.subject_of(operation)
    item = operations.find(items, kind, id) or before
    if rest == 'group_member':
        member = operations.find(items, 'contact', operation.arguments['contact'])
        return [] if item is None or member is None else [Told(verb, kind, item, member)]
    return [] if item is None else [Told('update' if rest == 'contact_uri' else verb, kind, item, None)]


def _merge_services(result: Merged, old: bytes | None, facts: Facts) -> None:
    root = RLSServices() if old is None else _parse(RLSServicesDocument, old, 'rls_services')
    normalform.normalise_services(root, {
        facts.presence_service: ('presence', facts.list_url(normalform.PRESENCE_LISTS['rls'])),
        facts.dialog_service: ('dialog', facts.list_url(normalform.DIALOG_LISTS['rls']))})
    _finish(result, 'rls_services', root, old)


# ---- rules ---------------------------------------------------------------------------------------------------------


def _normal_rules(result: Merged, rules: Any, prefix: str, action: Any, lists: dict[str, str], todo: list[Operation], facts: Facts) -> Rules:
    for operation in todo:
        normalform.set_default_policy(rules, prefix, action, operation.arguments['value'])
        result.effective.append(operation)
    normalform.normalise_rules(rules, prefix, action, facts.list_url(lists['granted']), facts.list_url(lists['blocked']), f'sip:{facts.account}')
    return Rules(normalform.default_policy(rules, prefix, action))


def _merge_presence_rules(result: Merged, contents: Mapping[str, bytes | None], todo: dict[str, list[Operation]], watchers: dict[str, dict[str, None]],
                          facts: Facts) -> Rules:
    """The rules, and the same for those who know RFC 5025 only: in the document of that, and in the other one too, unless its server knows more."""
    old = contents.get('pres_rules')
    rules = presrules.PresRules() if old is None else _parse(presrules.PresRulesDocument, old, 'pres_rules')
    found = _normal_rules(result, rules, 'wp_prs', presrules.SubHandling, normalform.PRESENCE_LISTS, todo.get('pres_rules', []), facts)
    decisions = plainrules.Decisions(f'sip:{facts.account}', watchers['granted'], watchers['blocked'],
                                     normalform.anonymous_policy(rules, 'wp_prs', presrules.SubHandling), found.default_policy)
    if facts.plain:
        plainrules.normalise(rules, decisions)
    else:
        plainrules.drop(rules)
    _finish(result, 'pres_rules', rules, old)
    if 'ietf_pres_rules' in facts.urls:
        _merge_ietf_rules(result, contents.get('ietf_pres_rules'), decisions)
    return found


def _merge_ietf_rules(result: Merged, old: bytes | None, decisions: plainrules.Decisions) -> None:
    """The document beside. One that makes no sense is left to whom it belongs: all the rest does without it."""
    try:
        rules = presrules.PresRules() if old is None else _parse(presrules.PresRulesDocument, old, 'ietf_pres_rules')
    except DocumentError as error:
        log.warning('rules for plain presence servers: %s', error)
        return
    plainrules.normalise(rules, decisions)
    _finish(result, 'ietf_pres_rules', rules, old)


def _merge_dialog_rules(result: Merged, contents: Mapping[str, bytes | None], todo: dict[str, list[Operation]], facts: Facts) -> Rules:
    old = contents.get('dialog_rules')
    rules = dialogrules.DialogRules() if old is None else _parse(dialogrules.DialogRulesDocument, old, 'dialog_rules')
    found = _normal_rules(result, rules, 'wp_dlg', dialogrules.SubHandling, normalform.DIALOG_LISTS, todo.get('dialog_rules', []), facts)
    _finish(result, 'dialog_rules', rules, old)
    return found


# ---- status while offline, icon ------------------------------------------------------------------------------------


def _merge_status(result: Merged, old: bytes | None, todo: dict[str, list[Operation]]) -> OfflineStatus | None:
    pidf = present = None if old is None else _parse(PIDFDocument, old, 'pidf_manipulation')
    for operation in todo.get('pidf_manipulation', ()):
        try:
            pidf = operations.status_pidf(operation)
        except ParserError:
            log.exception('an offline status makes no sense and is dropped')
            continue
        result.effective.append(operation)
    if pidf is None:
        if present is not None:
            result.changed['pidf_manipulation'] = None
        return None
    if pidf is not present and (present is None or pidf != present):
        result.changed['pidf_manipulation'] = _build(pidf, 'pidf_manipulation')
    return OfflineStatus(pidf)


def _merge_icon(result: Merged, old: bytes | None, todo: dict[str, list[Operation]]) -> Icon | None:
    present: Icon | None = None
    if old is not None:
        try:
            present = normalform.icon_of(PresenceContentDocument.parse(old))
        except ParserError:
            log.info('the status icon on the server cannot be read and is removed')
    icon = present
    for operation in todo.get('status_icon', ()):
        data = operations.icon_data(operation)
        icon = None if data is None else Icon(base64.b64decode(data['data']), data['mime_type'], data['description'])
        result.effective.append(operation)
    if icon is None:
        if old is not None:
            result.changed['status_icon'] = None
        return None
    if icon != present:
        content = PresenceContent(base64.b64encode(icon.data).decode(), icon.mime_type, 'base64', icon.description)
        result.changed['status_icon'] = _build(content, 'status_icon')
    return icon
