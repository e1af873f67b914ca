"""The rules that presence servers without OMA's conditions go by: read as RFC 5025 says, as Kamailio does, and as OMA does, all say the same of everybody."""

from __future__ import annotations

import random
from urllib.parse import unquote

import pytest

from sipsimple.account.xcap import Contact, ContactURI, EventHandling, Policy, operations
from sipsimple.account.xcap.merge import Facts, merge
from sipsimple.payloads import omapolicy
from sipsimple.payloads.commonpolicy import Identity, IdentityOne
from sipsimple.payloads.presrules import PresRulesDocument, SubHandling
from sipsimple.payloads.resourcelists import Entry, ResourceListsDocument

ROOT = 'http://xcap.example.com/root'
URLS = {name: f'{ROOT}/{name}' for name in ('resource_lists', 'rls_services', 'pres_rules', 'ietf_pres_rules')}
OWN, ANONYMOUS = 'sip:alice@example.com', 'sip:anonymous@anonymous.invalid'
ORDER = ('block', 'confirm', 'polite-block', 'allow')
RULESET = ('<cp:ruleset xmlns:cp="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules" xmlns:ocp="urn:oma:xml:xdm:common-policy">'
           '{}</cp:ruleset>')


def rule(conditions, handling, id='theirs', more=''):
    return f'<cp:rule id="{id}">{conditions}<cp:actions><pr:sub-handling>{handling}</pr:sub-handling></cp:actions>{more}</cp:rule>'


def people(*uris):
    return '<cp:conditions><cp:identity>' + ''.join(f'<cp:one id="{uri}"/>' for uri in uris) + '</cp:identity></cp:conditions>'


class Server:
    """Documents of a server, and what they say of people."""

    def __init__(self, plain=True, **contents):
        self.facts = Facts('alice@example.com', URLS, plain)
        self.contents = {name: RULESET.format(text).encode() for name, text in contents.items()}
        self.number = 0
        self.todo = []

    def note(self, name, *arguments):
        """An operation that the next merge carries out."""
        self.number += 1
        self.todo.append(operations.make(('run', self.number), name, *arguments))

    def do(self, name, *arguments):
        """Carry out an operation; the documents that changed."""
        self.note(name, *arguments)
        return self.merge()

    def merge(self):
        merged = merge(self.contents, self.todo, self.facts)
        self.todo = []
        self.contents.update(merged.changed)
        self.data = merged.data
        return sorted(merged.changed)

    def rules(self, name='pres_rules'):
        return list(PresRulesDocument.parse(self.contents[name]))

    def ids(self, name='pres_rules'):
        return [str(item.id) for item in self.rules(name)]

    def rule(self, id, name='pres_rules'):
        return next(item for item in self.rules(name) if item.id == id)

    def by_ietf(self, uri, name='pres_rules'):
        """RFC 4745 and 5025: of all rules that match, what allows most; conditions that are not known do not match."""
        return max([handling(item) for item in self.rules(name) if all(isinstance(part, Identity) and part.matches(uri) for part in conditions(item))
                    and not has_others(item)], key=ORDER.index, default='block')

    def by_kamailio(self, uri, name='pres_rules'):
        """The first rule that matches; exceptions of `many` are domains only; at a rule without conditions it gives up; rules without identity are left out."""
        for item in self.rules(name):
            if item.conditions is None:
                break
            for part in conditions(item):
                if isinstance(part, Identity) and any(_seen_by_kamailio(one, uri) for one in part):
                    return handling(item)
        return 'confirm'

    def by_oma(self, uri, name='pres_rules'):
        """As RFC 5025, with lists and everybody else: who is meant by no other rule."""
        lists = {f'{URLS["resource_lists"]}/~~/resource-lists/list[@name="{item.name}"]': {str(entry.uri) for entry in item if isinstance(entry, Entry)}
                 for item in ResourceListsDocument.parse(self.contents['resource_lists'])}
        found, others = [], []
        for item in self.rules(name):
            for part in conditions(item):
                if isinstance(part, omapolicy.OtherIdentity):
                    others.append(handling(item))
                elif ((isinstance(part, omapolicy.ExternalList) and any(uri in lists[unquote(url)] for url in part)) or (isinstance(part, Identity) and part.matches(uri))
                      or (isinstance(part, omapolicy.AnonymousRequest) and uri == ANONYMOUS)):
                    found.append(handling(item))
        return max(found or others, key=ORDER.index, default='block')


def conditions(item):
    return [] if item.conditions is None else list(item.conditions)


def has_others(item):
    return item.conditions is not None and len(conditions(item)) != len(item.conditions.element)


def handling(item):
    return str(next(action.value for action in item.actions if isinstance(action, SubHandling)))


def _seen_by_kamailio(part, uri):
    if isinstance(part, IdentityOne):
        return str(part.id) == uri
    return part.domain in (None, uri.partition('@')[2]) and uri.partition('@')[2] not in [item.domain for item in part]


def contact(id, policy, *uris):
    return Contact(id, id, [ContactURI(f'u{number}', uri, None) for number, uri in enumerate(uris)], EventHandling(policy, False))


WAYS = [(True, Server.by_ietf, 'pres_rules'), (True, Server.by_ietf, 'ietf_pres_rules'), (True, Server.by_kamailio, 'pres_rules'),
        (True, Server.by_kamailio, 'ietf_pres_rules'), (True, Server.by_oma, 'pres_rules'), (False, Server.by_oma, 'pres_rules'),
        (False, Server.by_ietf, 'ietf_pres_rules')]


@pytest.mark.parametrize('default', ORDER)
@pytest.mark.parametrize('plain, read, name', WAYS)
def test_every_server_does_as_the_addressbook_says(plain, read, name, default):
    choose, server = random.Random(default), Server(plain)
    server.note('set_default_presence_policy', default)
    expected = {OWN: 'allow', 'sip:stranger@example.org': default}
    for number in range(40):
        policy, uri = choose.choice(['allow', 'block', 'default']), f'sip:user{number}@example.com'
        if choose.random() < 0.5:
            server.note('add_contact', contact(f'c{number}', policy, uri))
        else:
            server.note('add_policy', Policy(f'p{number}', uri, '', EventHandling(policy, False)))
        expected[uri] = {'allow': 'allow', 'block': 'polite-block', 'default': default}[policy]
        if choose.random() < 0.15:
            server.merge()
            new = choose.choice(['allow', 'block', 'default'])
            server.note('update_contact', contact(f'c{number}', policy), {'presence.policy': new})
            server.note('update_policy', Policy(f'p{number}', '', ''), {'presence.policy': new})
            expected[uri] = {'allow': 'allow', 'block': 'polite-block', 'default': default}[new]
    server.merge()
    assert {uri: read(server, uri, name) for uri in expected} == expected
    if plain:
        assert read(server, ANONYMOUS, name) == 'block'
    before = dict(server.contents)
    assert server.merge() == [] and server.contents == before


@pytest.mark.parametrize('default', ORDER)
@pytest.mark.parametrize('theirs', ORDER)
@pytest.mark.parametrize('known', [Server.by_ietf, Server.by_kamailio, Server.by_oma])
def test_rules_of_others_keep_what_they_mean(known, theirs, default):
    """Whom they name everybody else does not mean; whom we allow is allowed."""
    server = Server(pres_rules=rule(people('sip:z@example.com', 'sip:friend@example.com'), theirs), ietf_pres_rules='')
    server.do('set_default_presence_policy', default)
    server.do('add_contact', contact('c1', 'allow', 'sip:friend@example.com'))
    assert known(server, 'sip:friend@example.com') == 'allow'
    assert known(server, 'sip:z@example.com') == theirs
    assert known(server, 'sip:stranger@example.com') == default
    assert handling(server.rule('theirs')) == theirs and server.merge() == []


def test_a_part_of_what_is_shown_stays_a_part():
    """What several rules provide is added up: who sees a mood only does not see all because everybody does."""
    mood = '<cp:transformations><pr:provide-mood>true</pr:provide-mood></cp:transformations>'
    server = Server(pres_rules=rule(people('sip:z@example.com'), 'allow', more=mood))
    server.do('set_default_presence_policy', 'allow')
    matching = [str(item.id) for item in server.rules() if any(isinstance(part, Identity) and part.matches('sip:z@example.com') for part in conditions(item))]
    assert matching == ['theirs'] and server.by_ietf('sip:z@example.com') == 'allow' == server.by_ietf('sip:y@example.com')
    assert [type(item).__name__ for item in server.rule('sipsimple_unlisted').transformations] == [
        'ProvideServices', 'ProvidePersons', 'ProvideDevices', 'ProvideAllAttributes']
    server.do('set_default_presence_policy', 'confirm')
    assert server.rule('sipsimple_unlisted').transformations is None
    assert [type(item).__name__ for item in server.rule('theirs').transformations] == ['ProvideMood']


@pytest.mark.parametrize('theirs', [
    '<cp:conditions><ocp:external-list><ocp:entry anc="http://x/y"/></ocp:external-list></cp:conditions>',
    '<cp:conditions><x:unknown xmlns:x="urn:x"/></cp:conditions>',
    '<cp:conditions><cp:identity><cp:many/></cp:identity></cp:conditions>',
])
def test_nothing_is_said_of_everybody_else_where_others_say_less_of_some(theirs):
    """Who they are cannot be told here."""
    server = Server(pres_rules=rule(theirs, 'block'))
    server.do('set_default_presence_policy', 'polite-block')
    assert 'sipsimple_unlisted' not in server.ids() and 'sipsimple_granted' in server.ids() and server.ids('ietf_pres_rules')[-1] == 'sipsimple_unlisted'
    server.do('set_default_presence_policy', 'block')
    assert server.ids()[-1] == 'sipsimple_unlisted'
    server.do('set_default_presence_policy', 'allow')
    assert 'sipsimple_unlisted' not in server.ids()


def test_a_domain_of_others_is_an_exception():
    server = Server(pres_rules=rule('<cp:conditions><cp:identity><cp:many domain="bad.example"/></cp:identity></cp:conditions>', 'block'))
    server.do('set_default_presence_policy', 'allow')
    for read in (server.by_ietf, server.by_kamailio):
        assert (read('sip:x@bad.example'), read('sip:x@good.example')) == ('block', 'allow')


def test_the_order_is_kept_whatever_others_add():
    server = Server(pres_rules=rule('', 'confirm', 'always') + rule(people('sip:z@example.com'), 'block'))
    server.do('add_contact', contact('c1', 'allow', 'sip:friend@example.com'))
    server.do('add_contact', contact('c2', 'block', 'sip:enemy@example.com'))
    oma = ['wp_prs_grantedcontacts', 'wp_prs_blockedcontacts', 'wp_prs_unlisted', 'wp_prs_block_anonymous', 'wp_prs_allow_own']
    assert server.ids() == ['sipsimple_granted', 'always', 'theirs', *oma, 'sipsimple_blocked', 'sipsimple_anonymous', 'sipsimple_unlisted']
    assert server.by_kamailio('sip:friend@example.com') == 'allow'
    assert server.ids('ietf_pres_rules') == ['sipsimple_granted', 'sipsimple_blocked', 'sipsimple_anonymous', 'sipsimple_unlisted']
    server.contents['pres_rules'] = server.contents['pres_rules'].replace(b'</cp:ruleset>', rule(people('sip:y@example.com'), 'block', 'later').encode() + b'</cp:ruleset>')
    assert server.merge() == ['pres_rules'] and server.ids()[-4:] == ['later', 'sipsimple_blocked', 'sipsimple_anonymous', 'sipsimple_unlisted']
    assert server.merge() == []


def test_who_leaves_a_list_leaves_the_rule():
    server = Server()
    server.do('add_contact', contact('c1', 'block', 'sip:a@example.com', 'b@example.com'))
    assert [str(item.id) for part in server.rule('sipsimple_blocked').conditions for item in part] == ['sip:a@example.com', 'sip:b@example.com']
    server.do('remove_contact_uri', contact('c1', 'block', 'sip:a@example.com'), ContactURI('u0', '', None))
    assert [str(item.id) for part in server.rule('sipsimple_blocked').conditions for item in part] == ['sip:b@example.com']
    assert server.do('update_contact', contact('c1', 'block'), {'name': 'Another'}) == ['resource_lists']
    server.do('remove_contact', contact('c1', 'block'))
    assert 'sipsimple_blocked' not in server.ids() and 'sipsimple_blocked' not in server.ids('ietf_pres_rules')


@pytest.mark.parametrize('text, identity', [
    ('SIP:Bob@EXAMPLE.com;transport=tcp?Subject=x', 'sip:Bob@example.com'), ('sips:bob;x=1@h.example:5061;lr', 'sips:bob;x=1@h.example:5061'),
    ('sip:Example.COM', 'sip:example.com'), ('tel:+31;ext=1', 'tel:+31;ext=1'), ('bob@Example.com', 'sip:bob@example.com')])
def test_uris_are_as_servers_compare_them(text, identity):
    server = Server()
    server.do('add_contact', contact('c1', 'allow', text))
    assert [str(item.id) for part in server.rule('sipsimple_granted').conditions for item in part] == [OWN, identity]
    assert server.merge() == []


def test_whoever_is_blocked_by_one_of_two_spellings_is_not_allowed_by_the_other():
    server = Server()
    server.do('add_contact', contact('c1', 'allow', 'sip:bob@EXAMPLE.com'))
    server.do('add_contact', contact('c2', 'block', 'sip:bob@example.com', OWN))
    assert server.by_ietf('sip:bob@example.com') == 'polite-block' and server.by_ietf(OWN) == 'allow'


def test_a_server_that_knows_the_conditions_gets_no_second_rules():
    server = Server()
    server.do('add_contact', contact('c1', 'block', 'sip:a@example.com'))
    assert 'sipsimple_blocked' in server.ids()
    server.facts = Facts('alice@example.com', URLS, False)
    assert server.merge() == ['pres_rules'] and not [id for id in server.ids() if id.startswith('sipsimple')]
    assert 'sipsimple_blocked' in server.ids('ietf_pres_rules') and server.merge() == []


def test_what_stands_in_our_rules_is_put_right():
    server = Server()
    server.do('add_contact', contact('c1', 'allow', 'sip:a@example.com'))
    good = server.contents['pres_rules']
    for old, new in [(b'<cp:one id="sip:a@example.com"/>', b'<cp:one id="sip:other@example.com"/><cp:many/>'), (b'<cp:identity>', b'<cp:sphere value="x"/><cp:identity>'),
                     (b'>allow<', b'>confirm<'), (b'<cp:many>', b'<cp:many domain="x.example">'), (b'domain="anonymous.invalid"', b'domain="other.invalid"')]:
        assert old in good
        server.contents['pres_rules'] = good.replace(old, new)
        assert server.merge() == ['pres_rules']
        assert server.by_ietf('sip:a@example.com') == 'allow' and server.by_ietf('sip:other@example.com') == 'confirm' and server.by_ietf(ANONYMOUS) == 'block'
        assert server.merge() == []


def test_rules_that_nobody_understands_are_left_to_whom_they_belong():
    server = Server()
    server.contents['ietf_pres_rules'] = b'<something-else/>'
    assert server.merge() == ['pres_rules', 'resource_lists', 'rls_services'] and server.contents['ietf_pres_rules'] == b'<something-else/>'
