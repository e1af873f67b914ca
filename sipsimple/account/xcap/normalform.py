"""The form in which an account's documents are kept, so that every program that reads them finds the same.

Of the addressbook follow the lists of who may see presence and dialogs and of whom we want to see, of these the services of the resource list server
and the rules. Lists, services and rules of other programs are none of our business and stay as they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from sipsimple.account.xcap.addressbook import ADDRESSBOOK, Addressbook
from sipsimple.account.xcap.items import Icon
from sipsimple.account.xcap.uri import list_selector, node_url
from sipsimple.payloads import addressbook as xml
from sipsimple.payloads.commonpolicy import Actions, Conditions, Identity, IdentityOne, Rule, RuleSet
from sipsimple.payloads.omapolicy import AnonymousRequest, ExternalList, OtherIdentity
from sipsimple.payloads.prescontent import PresenceContent
from sipsimple.payloads.resourcelists import Entry, EntryRef, External, List, ResourceLists
from sipsimple.payloads.rlsservices import Packages, ResourceList, RLSServices, Service

__all__ = ['DIALOG_LISTS', 'PRESENCE_LISTS', 'anonymous_policy', 'book_of', 'default_policy', 'derive_lists', 'handling_of', 'icon_of', 'lists_of',
           'normalise_rules', 'normalise_services', 'set_default_policy', 'watched_uris']

PRESENCE_LISTS = {'granted': 'oma_grantedcontacts', 'blocked': 'oma_blockedcontacts', 'rls': 'sipsimple_presence_rls'}
DIALOG_LISTS = {'granted': 'dialog_grantedcontacts', 'blocked': 'dialog_blockedcontacts', 'rls': 'sipsimple_dialog_rls'}
BUDDIES = 'oma_buddylist'
ALL_CONTACTS = 'oma_allcontacts'


def _list(lists: ResourceLists, name: str) -> List:
    found = lists.get(name)
    if found is None:
        lists.add(List(name=name))
        found = lists[name]
    return found    # type: ignore[no-any-return]


def book_of(lists: ResourceLists) -> List:
    """The addressbook list, made if it is missing. Entries and other things of plain lists are taken out of it."""
    book = _list(lists, ADDRESSBOOK)
    node = book.element
    if any(isinstance(child.tag, str) and child.tag in _PLAIN for child in node):
        for item in list(book):
            if not isinstance(item, (xml.Contact, xml.Group, xml.Policy)):
                book.remove(item)
    known = {child.get('id') for child in node.iterchildren(xml.Contact.qname)}
    for group in node.iterchildren(xml.Group.qname):
        if any((member.text or '') not in known for member in group.iter(xml.ContactID.qname)):
            contacts = book[xml.Group, group.get('id')].contacts
            for member in list(contacts):
                if member not in known:
                    contacts.remove(member)
    return book


_PLAIN = frozenset((Entry.qname, EntryRef.qname, External.qname, List.qname))


# ---- lists ---------------------------------------------------------------------------------------------------------

_ASKED = ('sip', 'sips', 'pres', 'tel')
_NOT_ASKED = ('mailto', 'xmpp', 'http', 'https', 'im', 'msrp', 'msrps', 'h323', 'urn', 'callto', 'skype')


def _uri(text: str) -> str | None:
    """An address of the addressbook as the URI of a resource; None when nobody can be asked about it."""
    scheme, colon, _ = text.partition(':')
    if colon and scheme.lower() in _ASKED:
        return text
    return f'sip:{text}' if '@' in text and not (colon and scheme.lower() in _NOT_ASKED) else None


def _uris(texts: Iterable[str]) -> dict[str, None]:
    return {uri: None for uri in map(_uri, texts) if uri is not None}


def _fill(lists: ResourceLists, name: str, uris: dict[str, None]) -> None:
    """Let a list have entries for these URIs and no others; entries that stay keep what others have put into them."""
    found = _list(lists, name)
    entries = {str(item.uri): item for item in found if isinstance(item, Entry)}
    for item in list(found):
        if not isinstance(item, Entry) or str(item.uri) not in uris:
            found.remove(item)
    for uri in uris:
        if uri not in entries:
            found.add(Entry(uri))


def lists_of(book: Addressbook, event: str) -> dict[str, dict[str, None]]:
    """The URIs of the three lists of an event, `presence` or `dialog`: of `granted`, `blocked` and `rls`."""
    owned = _uris(uri.uri for contact in book.contacts for uri in contact.uris)

    def contacts(wanted: Any) -> dict[str, None]:
        return _uris(uri.uri for contact in book.contacts if wanted(getattr(contact, event)) for uri in contact.uris)

    def policies(wanted: Any) -> dict[str, None]:
        return {uri: None for uri in _uris(policy.uri for policy in book.policies if wanted(getattr(policy, event))) if uri not in owned}

    blocked, blocked_policies = contacts(lambda handling: handling.policy == 'block'), policies(lambda handling: handling.policy == 'block')
    allowed, allowed_policies = contacts(lambda handling: handling.policy == 'allow'), policies(lambda handling: handling.policy == 'allow')
    granted = {uri: None for uri in allowed if uri not in blocked} | {uri: None for uri in allowed_policies if uri not in blocked_policies}
    return {'granted': granted, 'blocked': blocked | blocked_policies,
            'rls': contacts(lambda handling: handling.subscribe) | policies(lambda handling: handling.subscribe)}


def watched_uris(book: Addressbook, event: str) -> frozenset[str]:
    """The URIs that the list of an event has, to which the server is to subscribe."""
    return frozenset(lists_of(book, event)['rls'])


def derive_lists(lists: ResourceLists, presence: dict[str, dict[str, None]], dialog: dict[str, dict[str, None]], url: str) -> None:
    """Bring the lists that follow from the addressbook up to date.

    Args:
        presence, dialog: the URIs that they have to have, see `lists_of`.
        url: of the document.
    """
    _list(lists, BUDDIES)
    for wanted, names in ((presence, PRESENCE_LISTS), (dialog, DIALOG_LISTS)):
        for kind, name in names.items():
            _fill(lists, name, wanted[kind])
    anchors = [node_url(url, list_selector(name)) for name in (BUDDIES, PRESENCE_LISTS['granted'], PRESENCE_LISTS['blocked'])]
    everybody = _list(lists, ALL_CONTACTS)
    if [External(anchor) for anchor in anchors] != list(everybody):
        everybody.clear()
        everybody.update(map(External, anchors))


# ---- services ------------------------------------------------------------------------------------------------------


def normalise_services(services: RLSServices, wanted: dict[str, tuple[str, str]]) -> None:
    """Let there be our services.

    Args:
        wanted: URI of a service -> (event package, URL of the list).
    """
    for uri, (package, url) in wanted.items():
        service = services.get(uri)
        if service is None or not isinstance(service.list, ResourceList) or service.list.value != ResourceList(url).value:
            services.add(Service(uri, ResourceList(url), [package]))
        elif service.packages is None or list(service.packages) != [package]:
            service.packages = Packages([package])


# ---- rules ---------------------------------------------------------------------------------------------------------


def handling_of(rule: Rule, action: Any) -> str:
    """What a rule does: the most permissive of several words, block if there is none.

    Args:
        action: class of the sub-handling element.
    """
    values = [item.value for item in rule.actions or () if isinstance(item, action)]
    return str(max(values, key=lambda value: value.priority)) if values else 'block'


def _set_rule(rules: RuleSet, id: str, action: Any, handling: str, conditions: list[Any]) -> None:
    rule = rules.get(id)
    if rule is None:
        rules.add(Rule(id, conditions=conditions, actions=[action(handling)]))
        return
    if rule.conditions is None or list(rule.conditions) != conditions:
        rule.conditions = Conditions(conditions)
    if rule.actions is None:
        rule.actions = Actions([action(handling)])
    elif [str(item.value) for item in rule.actions if isinstance(item, action)] != [handling]:
        for item in list(rule.actions):
            if isinstance(item, action):
                rule.actions.remove(item)
        rule.actions.add(action(handling))


def default_policy(rules: RuleSet, prefix: str, action: Any) -> str:
    """What happens to those of whom nothing is said: `allow`, `confirm`, `block` or `polite-block`."""
    unlisted, allow = rules.get(f'{prefix}_unlisted'), rules.get(f'{prefix}_allow_unlisted')
    if unlisted is not None:
        return handling_of(unlisted, action)
    return 'confirm' if allow is None else 'allow'


def anonymous_policy(rules: RuleSet, prefix: str, action: Any) -> str:
    """What happens to those who do not say who they are: `block`, or `polite-block` if somebody has decided so."""
    rule = rules.get(f'{prefix}_block_anonymous')
    return 'polite-block' if rule is not None and handling_of(rule, action) == 'polite-block' else 'block'


def set_default_policy(rules: RuleSet, prefix: str, action: Any, value: str) -> None:
    """Decide it. The rule that allows has another name than the one that does not; there is never more than one of both."""
    right, wrong = f'{prefix}_unlisted', f'{prefix}_allow_unlisted'
    if value == 'allow':
        right, wrong = wrong, right
    if rules.get(wrong) is not None:
        del rules[wrong]
    _set_rule(rules, right, action, value, [OtherIdentity()])


def normalise_rules(rules: RuleSet, prefix: str, action: Any, granted: str, blocked: str, own: str) -> None:
    """Let there be our rules.

    Args:
        prefix: of their ids.
        action: class of the sub-handling element.
        granted, blocked: URLs of the lists.
        own: URI of the account.
    """
    _set_rule(rules, f'{prefix}_grantedcontacts', action, 'allow', [ExternalList([granted])])
    _set_rule(rules, f'{prefix}_blockedcontacts', action, 'polite-block', [ExternalList([blocked])])
    set_default_policy(rules, prefix, action, default_policy(rules, prefix, action))
    _set_rule(rules, f'{prefix}_block_anonymous', action, anonymous_policy(rules, prefix, action), [AnonymousRequest()])
    _set_rule(rules, f'{prefix}_allow_own', action, 'allow', [Identity([IdentityOne(own)])])


# ---- icon ----------------------------------------------------------------------------------------------------------


def icon_of(content: PresenceContent) -> Icon | None:
    """The picture in a document; None when it is none that others could show."""
    encoding = 'base64' if content.encoding is None else content.encoding.value.strip().lower()
    if encoding != 'base64' or content.mime_type is None:
        return None
    try:
        data = base64.b64decode(''.join(content.data.value.split()), validate=True)
        return Icon(data, content.mime_type.value.strip().lower(), None if content.description is None else content.description.value)
    except (binascii.Error, ValueError):
        return None
