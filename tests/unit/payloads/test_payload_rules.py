"""Rules: common policy (RFC 4745), presence (RFC 5025), OMA, dialogs."""

from datetime import UTC, datetime

import pytest

from sipsimple.payloads import All, BuilderError, IterateIDs
from sipsimple.payloads.commonpolicy import (
    Conditions,
    FalseCondition,
    Identity,
    IdentityExcept,
    IdentityMany,
    IdentityOne,
    Rule,
    RuleSet,
    Sphere,
    Validity,
    ValidityInterval,
)
from sipsimple.payloads.dialogrules import DialogRules, SubHandling as DialogSubHandling
from sipsimple.payloads.omapolicy import AnonymousRequest, ExternalList, OtherIdentity
from sipsimple.payloads.presrules import (
    Class,
    DeviceID,
    OccurenceID,
    PresRules,
    PresRulesDocument,
    ProvideActivities,
    ProvideAllAttributes,
    ProvideDevices,
    ProvidePersons,
    ProvideServices,
    ProvideUnknownAttribute,
    ProvideUserInput,
    ServiceURI,
    ServiceURIScheme,
    SubHandling,
)
from tests.unit.payloads.documents import load


def test_rules_are_read():
    rules = RuleSet.parse(load('commonpolicy-rules.xml')[1])
    assert list(rules[IterateIDs]) == ['f3g44r1', 'AA56i09']
    first, second = rules
    identity, sphere, validity = first.conditions
    assert [type(item) for item in (identity, sphere, validity)] == [Identity, Sphere, Validity] and sphere.value == 'work' and first.display_name.value == 'First'
    assert len(validity) == 2 and next(iter(validity)).from_timestamp == datetime(2003, 12, 24, 16, tzinfo=UTC)
    assert len(first.actions) == 0 and len(first.transformations) == 0 and second.actions is None and [type(item) for item in second.conditions] == [Identity, FalseCondition]


@pytest.mark.parametrize('uri, matches', [('sip:alice@example.com', True), ('sip:bob@example.com', False), ('sip:bob@EXAMPLE.com;a=b', False), ('sip:bad@example.org', False),
                                          ('sip:good@example.org', True), ('bob@example.com', False)])
def test_identities_match(uri, matches):
    [identity, *_] = RuleSet.parse(load('commonpolicy-rules.xml')[1])['f3g44r1'].conditions
    assert identity.matches(uri) is matches


def test_each_kind_of_identity_matches():
    assert IdentityOne('sip:a@b').matches('sip:a@b') and not IdentityOne('sip:a@b').matches('sip:c@b')
    assert IdentityMany('b').matches('sip:a@b:5060') and not IdentityMany('b').matches('sip:a@bb') and IdentityMany().matches('sip:a@b')
    assert IdentityExcept(id='sip:a@b').matches('sip:c@b') and not IdentityExcept(id='sip:a@b').matches('sip:a@b') and not IdentityExcept(domain='b').matches('sip:a@b')
    assert not Identity().matches('sip:a@b')


def test_rules_are_written():
    interval = ValidityInterval('2026-01-01T00:00:00Z', datetime(2026, 1, 2, tzinfo=UTC))
    rule = Rule('r', conditions=[Identity([IdentityOne('sip:a@b'), IdentityMany('x.org', [IdentityExcept(id='sip:c@x.org')])]), Sphere('home'), Validity([interval]), FalseCondition()])
    rule.display_name = 'Rule'
    rules = RuleSet([rule])
    again = RuleSet.parse(rules.toxml())
    assert again == rules and interval in list(again['r'].conditions)[2] and rules.toxml().count(b'xmlns') == 2
    validity = list(again['r'].conditions)[2]
    validity.remove(interval)
    with pytest.raises(KeyError):
        validity.remove(interval)
    with pytest.raises(TypeError):
        validity.add('now')
    with pytest.raises(BuilderError):
        again.toxml()
    for wrong in (IdentityExcept(), IdentityExcept('sip:a@b', 'c')):
        with pytest.raises(BuilderError):
            RuleSet([Rule('r', Conditions([Identity([IdentityMany(exceptions=[wrong])])]))]).toxml()


def test_rules_about_presence_are_read():
    rules = PresRulesDocument.parse(load('presrules-rules.xml')[1])
    assert type(rules) is PresRules
    one, two = rules
    [handling] = one.actions
    assert handling == 'allow' and type(handling) is SubHandling and handling.value.priority == 30
    services, persons, devices, activities, user_input, unknown = one.transformations
    assert [type(item) for item in services] == [ServiceURIScheme, ServiceURIScheme, OccurenceID, Class, ServiceURI] and [str(item) for item in services] == ['sip', 'mailto', 'x', 'y', 'sip:a@b']
    assert list(persons) == [All] and All in persons and list(devices) == ['urn:x:1'] and bool(activities) and user_input == 'bare'
    assert (unknown.ns, unknown.name, unknown.value) == ('urn:vendor-specific:foo-namespace', 'foo', True)
    other, anonymous, external = two.conditions
    assert [type(item) for item in (other, anonymous, external)] == [OtherIdentity, AnonymousRequest, ExternalList]
    assert [entry[:33] for entry in external] == ['http://example.com/resource-lists'] and next(iter(two.actions)).value.priority == 20
    assert [type(item) for item in two.transformations] == [ProvideAllAttributes]
    assert [SubHandling(word).value.priority for word in ('block', 'confirm', 'polite-block', 'allow')] == [0, 10, 20, 30]


def test_rules_about_presence_are_written():
    rule = Rule('r', conditions=[OtherIdentity(), ExternalList(['http://a/b'])], actions=[SubHandling('block')], transformations=[
        ProvideDevices([DeviceID('d'), OccurenceID('o'), Class('c')]), ProvidePersons(All), ProvideServices([ServiceURI('sip:a@b')]), ProvideActivities(False), ProvideUserInput('full'),
        ProvideUnknownAttribute('urn:x', 'y', True), ProvideAllAttributes()])
    rules = PresRules([rule])
    again = PresRules.parse(rules.toxml())
    assert again == rules and list(list(again['r'].conditions)[1]) == ['http://a/b']
    devices, persons, *_ = again['r'].transformations
    devices.add(All)
    persons.add(Class('c'))
    assert list(devices) == [All] and [str(item) for item in persons] == ['c'] and b'all-persons' not in again.toxml() and b'occurence-id' not in again.toxml()
    devices.remove(All)
    assert list(devices) == []
    with pytest.raises(TypeError):
        rule.actions.add(ProvideActivities(True))
    with pytest.raises(ValueError):
        SubHandling('ask')


def test_rules_about_dialogs():
    rules = DialogRules.parse(load('dialogrules-rules.xml')[1])
    assert type(rules) is DialogRules and [type(item) for item in rules['a'].conditions] == [OtherIdentity] and [item.value.priority for item in rules['a'].actions] == [10]
    made = DialogRules([Rule('a', [ExternalList(['http://a/b']), AnonymousRequest()], [DialogSubHandling('allow')])])
    assert DialogRules.parse(made.toxml()) == made
