"""Our rules about presence once more, for presence servers that know nothing but RFC 4745 and RFC 5025.

The rules of the normal form refer to lists (`external-list`) and to everybody else (`other-identity`), conditions of the Open Mobile Alliance. To other
servers a rule with such a condition is one that never matches. So the same is said with `identity`: the addresses one by one, and `many` for everybody else.

- RFC 4745 takes, of the rules that match, what allows most; there are servers that take the first one. Hence the order: who is allowed comes first, everybody
  else last, so that both take the same.
- `many` has as exceptions those for whom the other rules of the document have less; `other-identity` does not mean them either. If a rule says less of people
  that cannot be told one by one, there is none of ours about everybody else.
- RFC 5025 shows nothing but what transformations provide.
- Rules of other programs stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sipsimple.account.xcap.normalform import handling_of
from sipsimple.payloads import All, omapolicy
from sipsimple.payloads.commonpolicy import Identity, IdentityExcept, IdentityMany, IdentityOne, Rule, Sphere, Validity
from sipsimple.payloads.presrules import (
    PresRules,
    ProvideAllAttributes,
    ProvideDevices,
    ProvidePersons,
    ProvideServices,
    SubHandling,
    SubHandlingValue,
)

__all__ = ['Decisions', 'drop', 'normalise']

ALLOWED, BLOCKED, ANONYMOUS, OTHERS = RULES = ('sipsimple_granted', 'sipsimple_blocked', 'sipsimple_anonymous', 'sipsimple_unlisted')
# In the order of the document; rules of others stand where `None` does.
_PLACES = {id: place for place, id in enumerate((ALLOWED, None, BLOCKED, ANONYMOUS, OTHERS))}
# Those of the normal form, which say the same.
_SAME = frozenset(f'wp_prs_{name}' for name in ('grantedcontacts', 'blockedcontacts', 'unlisted', 'allow_unlisted', 'block_anonymous', 'allow_own'))
_ANONYMOUS_DOMAIN = 'anonymous.invalid'         # RFC 3323 section 4.1.1.3
_ANONYMOUS_URI = f'sip:anonymous@{_ANONYMOUS_DOMAIN}'
# Conditions whose people are told one by one, or do not matter to `many`.
_KNOWN = frozenset(kind.qname for kind in (Identity, Sphere, Validity, omapolicy.OtherIdentity, omapolicy.AnonymousRequest))


@dataclass(frozen=True)
class Decisions:
    """What is to be said.

    Attributes:
        own: URI of the account, which sees everything.
        allowed, blocked: URIs.
        anonymous: `block` or `polite-block`.
        others: `allow`, `confirm`, `block` or `polite-block`: what happens to everybody else.
    """

    own: str
    allowed: Iterable[str]
    blocked: Iterable[str]
    anonymous: str
    others: str


def normalise(rules: PresRules, decisions: Decisions) -> None:
    """Let there be our rules, each in its place."""
    own = _identity_of(decisions.own)
    blocked = dict.fromkeys(uri for uri in map(_identity_of, decisions.blocked) if uri != own)
    allowed = dict.fromkeys([own, *(uri for uri in map(_identity_of, decisions.allowed) if uri not in blocked)])
    _set_ones(rules, ALLOWED, 'allow', allowed)
    _set_ones(rules, BLOCKED, 'polite-block', blocked)
    _set_ones(rules, ANONYMOUS, decisions.anonymous, {_ANONYMOUS_URI: None})
    _set_many(rules, decisions.others, blocked)
    _sort(rules)


def drop(rules: PresRules) -> None:
    """Let there be none of them."""
    for id in RULES:
        if rules.get(id) is not None:
            del rules[id]


def _identity_of(uri: str) -> str:
    """The URI as servers have it of who asks: no parameters, no headers. They compare letter by letter, so the domain is in small ones."""
    scheme, _, rest = uri.partition(':')
    if scheme.lower() not in ('sip', 'sips', 'pres'):
        return uri
    user, at, host = rest.partition('@') if '@' in rest else ('', '', rest)
    return f'{scheme.lower()}:{user}{at}{host.partition("?")[0].partition(";")[0].lower()}'


def _rule(id: str, handling: str, identity: Identity) -> Rule:
    shown = [ProvideServices(All), ProvidePersons(All), ProvideDevices(All), ProvideAllAttributes()] if handling == 'allow' else None
    return Rule(id, [identity], [SubHandling(handling)], shown)


def _identity_in(rules: PresRules, id: str, handling: str) -> Identity | None:
    """The only condition of a rule of ours that does this; None when there is no such rule."""
    rule = rules.get(id)
    if rule is None or handling_of(rule, SubHandling) != handling:
        return None
    conditions = [] if rule.conditions is None else list(rule.conditions)
    return conditions[0] if len(conditions) == 1 == len(rule.conditions.element) and isinstance(conditions[0], Identity) else None


def _set_ones(rules: PresRules, id: str, handling: str, uris: Mapping[str, None]) -> None:
    if not uris:                                    # an identity without anybody is not valid
        if rules.get(id) is not None:
            del rules[id]
        return
    identity = _identity_in(rules, id, handling)
    if identity is None:
        rules.add(_rule(id, handling, Identity(map(IdentityOne, uris))))
        return
    # The nodes: of ten thousand addresses that takes a tenth of the time, and mostly nothing has changed.
    if [node.tag for node in identity.element] == [IdentityOne.qname] * len(uris) and {node.get('id') for node in identity.element} == uris.keys():
        return
    present = set()
    for item in list(identity):
        if isinstance(item, IdentityOne) and item.id in uris:
            present.add(str(item.id))
        else:
            identity.remove(item)
    for uri in uris:
        if uri not in present:
            identity.add(IdentityOne(uri))


def _set_many(rules: PresRules, handling: str, blocked: Mapping[str, None]) -> None:
    exceptions = _exceptions(rules, SubHandlingValue(handling), blocked)
    if exceptions is None:
        if rules.get(OTHERS) is not None:
            del rules[OTHERS]
        return
    identity = _identity_in(rules, OTHERS, handling)
    if identity is not None and len(identity.element) == 1:
        many = next(iter(identity), None)
        if isinstance(many, IdentityMany) and many.domain is None and {(node.get('id'), node.get('domain')) for node in many.element} == exceptions.keys():
            return
    rules.add(_rule(OTHERS, handling, Identity([IdentityMany(exceptions=[IdentityExcept(*exception) for exception in exceptions])])))


def _exceptions(rules: PresRules, handling: SubHandlingValue, blocked: Mapping[str, None]) -> dict[tuple[str | None, str | None], None] | None:
    """Whom everybody else does not include, as URI or domain; None when they cannot be told."""
    allows = str(handling) == 'allow'
    found: dict[tuple[str | None, str | None], None] = {(None, _ANONYMOUS_DOMAIN): None}
    for rule in rules:
        # Who allows a part of it to somebody does not want that everything is.
        if rule.id in RULES or rule.id in _SAME or (SubHandlingValue(handling_of(rule, SubHandling)).priority >= handling.priority and not allows):
            continue
        conditions = [] if rule.conditions is None else list(rule.conditions)
        if rule.conditions is not None and any(isinstance(node.tag, str) and node.tag not in _KNOWN for node in rule.conditions.element):
            return None
        for identity in (item for item in conditions if isinstance(item, Identity)):
            for item in identity:
                if isinstance(item, IdentityMany) and item.domain is None:
                    return None
                found[(str(item.id), None) if isinstance(item, IdentityOne) else (None, str(item.domain))] = None
    if allows:
        found.update(((uri, None), None) for uri in blocked)
    return found


def _sort(rules: PresRules) -> None:
    """Bring ours into their places; the others stay in their order."""
    there = list(rules)
    sorted_rules = sorted(there, key=lambda rule: _PLACES.get(rule.id, _PLACES[None]))
    if [rule.id for rule in there] != [rule.id for rule in sorted_rules]:
        rules.clear()
        rules.update(sorted_rules)
