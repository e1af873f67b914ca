"""Conference state (RFC 4575)."""

from datetime import UTC, datetime

import pytest

from sipsimple.payloads import BuilderError, IterateIDs, ParserError, ValidationError
from sipsimple.payloads.conference import (
    AvailableMediaEntry,
    CallInfo,
    Conference,
    ConferenceDescription,
    ConferenceDocument,
    ConferenceState,
    ConfUrisEntry,
    Endpoint,
    FileResource,
    HostInfo,
    JoiningInfo,
    Media,
    Resources,
    ServiceUrisEntry,
    SidebarsByValEntry,
    Sip,
    UrisTypeEntry,
    User,
    Users,
)
from tests.unit.payloads.documents import load


def rich():
    return ConferenceDocument.parse(load('conference-rich.xml')[1])


def test_the_parts_are_where_they_belong():
    conference = rich()
    assert (conference.entity, conference.state, conference.version) == ('sips:conf233@example.com', 'full', 5)
    description = conference.conference_description
    assert [str(entry.uri) for entry in description.conf_uris] == ['tel:+18882934234', 'http://real.example.com/conf?a=1&b=2']
    assert [entry.purpose.value for entry in description.conf_uris] == ['participation', 'streaming']
    assert [entry.purpose.value for entry in description.service_uris] == ['web-page', 'recording']
    assert {type(entry) for entry in description.conf_uris} == {ConfUrisEntry} and {type(entry) for entry in description.service_uris} == {ServiceUrisEntry}
    assert description.maximum_user_count == 100 and description.maximum_user_count > 99
    assert [(entry.label, str(entry.media_type), str(entry.status)) for entry in description.available_media] == [('34567', 'audio', 'sendrecv'), ('34568', 'video', 'recvonly')]
    assert description.available_media[AvailableMediaEntry, '34568'].display_text == 'main video'
    [file] = description.resources.files
    assert (file.name, file.hash, file.size, file.sender, file.status) == ('a.pdf', 'sha-1:72:24', 4092, 'sip:bob@example.com', 'OK')
    assert [str(entry.uri) for entry in conference.host_info.uris] == ['sip:sales@example.com']
    assert conference.conference_state.user_count == 33 and conference.conference_state.active and not conference.conference_state.locked
    bob = conference.users[User, 'sip:bob@example.com']
    assert bob == 'sip:bob@example.com' and bob in list(conference.users) and bob.state == 'full'
    assert [str(role) for role in bob.roles] == ['participant', 'chair'] and 'chair' in bob.roles and 'cook' not in bob.roles
    [aor] = bob.associated_aors
    assert aor.modified.when.value == datetime(2005, 3, 4, 20, tzinfo=UTC) and aor.modified.by == 'sip:bob@example.com'
    assert bob.screen_image_url == 'http://example.com/screen'
    [endpoint] = bob
    assert (endpoint.status.value, endpoint.joining_method.value, endpoint.disconnection_method) == ('on-hold', 'dialed-in', None)
    assert endpoint.state == 'full' and endpoint.referred.reason == 'expert required'
    [media] = endpoint
    assert (media.id, str(media.media_type), str(media.src_id)) == ('1', 'audio', '432424')
    assert str(endpoint.call_info.sip.call_id) == 'hsjh8980vhsb78'
    [sidebar] = conference.sidebars_by_val
    assert type(sidebar) is SidebarsByValEntry and list(sidebar.users[User, IterateIDs]) == ['sip:alice@example.com']


def test_built_from_nothing():
    conference = Conference(
        'sip:room@example.com', version=3,
        conference_description=ConferenceDescription(display_text='Room', conf_uris=[ConfUrisEntry('sip:room@example.com', purpose='participation')],
                                                     service_uris=[ServiceUrisEntry('http://example.com', purpose='event')], maximum_user_count=7,
                                                     available_media=[AvailableMediaEntry('1', 'audio', status='sendrecv')]),
        host_info=HostInfo(web_page='http://example.com/', uris=[UrisTypeEntry('sip:host@example.com')]),
        conference_state=ConferenceState(user_count=1, active=True, locked=False),
        users=[User('sip:alice@example.com', display_text='Alicé', roles=['chair'], languages='en', endpoints=[
            Endpoint('sip:alice@192.0.2.1', status='connected', joining_method='dialed-in', joining_info=JoiningInfo(when='2026-01-01T00:00:00Z', by='sip:bob@example.com'),
                     call_info=CallInfo(Sip(call_id='a', from_tag='b', to_tag='c')), media=[Media('1', media_type='audio', status='sendonly')])])])
    conference.conference_description.resources = Resources([FileResource('a', 'sha-1:0', 1, 'sip:alice@example.com', 'OK')])
    conference.users[User, 'sip:alice@example.com'].screen_image_url = 'http://example.com/1'
    assert conference.__dirty__
    text = conference.toxml()
    assert text.startswith(b'<?xml') and text.count(b'xmlns') == 2 and text.index(b'xmlns:agp-conf') < text.index(b'conference-description')
    parsed = Conference.parse(text)
    assert parsed == conference and not parsed.__dirty__
    assert ConferenceDocument.create(entity='sip:a@b', state='partial') == Conference('sip:a@b', state='partial').toxml()


def test_a_full_state_is_complete():
    with pytest.raises(ValidationError, match='description'):
        Conference('sip:a@b')
    conference = Conference('sip:a@b', conference_description=ConferenceDescription(), users=Users())
    assert conference.toxml()
    conference.users = None
    with pytest.raises(BuilderError, match='users'):
        conference.toxml()
    conference.state = 'deleted'
    assert b'deleted' in conference.toxml()
    with pytest.raises(ParserError):
        Conference.parse(b'<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:a@b"/>')


def test_words_are_checked():
    endpoint = Endpoint('sip:a@b')
    with pytest.raises(ValueError, match='none of'):
        endpoint.status = 'gone'
    with pytest.raises(ValueError, match='none of'):
        endpoint.state = 'gone'
    with pytest.raises(AttributeError):
        endpoint.entity = 'sip:c@d'
    assert endpoint.status is None and endpoint.state == 'full'


def test_changes_reach_the_document():
    conference = rich()
    bob = conference.users[User, 'sip:bob@example.com']
    bob.display_text = 'Robert'
    assert conference.__dirty__ and bob.__dirty__
    bob.roles.remove('chair')
    bob.cascaded_focus = None
    conference.users.add(User('sip:carol@example.com', endpoints=[Endpoint('sip:carol@192.0.2.3', status='pending')]))
    del conference.users[User, 'sip:bob@example.com'][Endpoint, 'sip:bob@pc33.example.com']
    parsed = Conference.parse(conference.toxml())
    assert parsed == conference
    assert [user.entity for user in parsed.users] == ['sip:bob@example.com', 'sip:carol@example.com']
    assert parsed.users[User, 'sip:bob@example.com'].display_text == 'Robert' and len(parsed.users[User, 'sip:bob@example.com']) == 0
    text = parsed.toxml()
    assert b'urn:example:unknown' in text and b'x:noise' in text and b'x:mood="fine"' in text


# ---- partial documents, RFC 4575 section 4.6 -------------------------------------------------------------------------


def change(body, **attributes):
    attributes = {'entity': 'sips:conf233@example.com', 'state': 'partial', 'version': '6', **attributes}
    told = ' '.join(f'{name}="{value}"' for name, value in attributes.items())
    return Conference.parse(f'<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" {told}>{body}</conference-info>'.encode())


def after(*bodies):
    """The rich conference after changes; it is valid, and what it was before stays as it was."""
    conference = rich()
    for number, body in enumerate(bodies, 6):
        before = conference.toxml()
        changed = conference.changed_by(change(body, version=number))
        assert conference.toxml() == before
        conference = ConferenceDocument.parse(changed.toxml())
        assert conference.state == 'full' and conference.version == number and b'"deleted"' not in changed.toxml()
    return conference


def test_nothing_changes():
    conference, before = after(''), rich()
    before.version = 6
    assert conference == before and b'in spirit' not in conference.toxml() and b':noise level="3"' in conference.toxml()


def test_users_come_and_go():
    conference = after('<users state="partial"><user entity="sip:carol@example.com" state="full"><display-text>Carol</display-text></user></users>',
                       '<users state="partial"><user entity="sip:bob@example.com" state="deleted"/><user entity="sip:nobody@example.com" state="deleted"/></users>')
    assert [user.entity for user in conference.users][-1] == 'sip:carol@example.com'
    assert 'sip:bob@example.com' not in [user.entity for user in conference.users] and conference.users[User, 'sip:carol@example.com'].display_text == 'Carol'


def test_a_user_changes():
    conference = after('<users state="partial"><user entity="sip:bob@example.com" state="partial"><languages>fr</languages>'
                       '<endpoint entity="sip:bob@phone.example.com"><status>alerting</status></endpoint></user></users>')
    bob, before = conference.users[User, 'sip:bob@example.com'], rich().users[User, 'sip:bob@example.com']
    assert bob.languages == 'fr' and bob.display_text == 'Bob Hoskins' and bob.roles == before.roles and bob.screen_image_url == before.screen_image_url
    assert [endpoint.entity for endpoint in bob] == [*(endpoint.entity for endpoint in before), 'sip:bob@phone.example.com']
    assert len(list(conference.users)) == len(list(rich().users))


def test_an_endpoint_and_its_media_change():
    conference = after('<users state="partial"><user entity="sip:bob@example.com" state="partial"><endpoint entity="sip:bob@pc33.example.com" state="partial">'
                       '<status>connected</status><media id="1"><status>inactive</status></media><media id="9"><type>text</type></media></endpoint></user></users>')
    [endpoint] = conference.users[User, 'sip:bob@example.com']
    [before] = rich().users[User, 'sip:bob@example.com']
    assert endpoint.status.value == 'connected' and endpoint.joining_method.value == 'dialed-in' and endpoint.referred == before.referred
    assert [(media.id, str(media.media_type), str(media.status)) for media in endpoint] == [('1', 'None', 'inactive'), ('9', 'text', 'None')]
    assert endpoint.call_info == before.call_info


def test_a_full_element_takes_the_place_of_the_old_one():
    conference = after('<users state="partial"><user entity="sip:bob@example.com" state="full"><endpoint entity="sip:x@example.com"/></user></users>')
    bob = conference.users[User, 'sip:bob@example.com']
    assert [endpoint.entity for endpoint in bob] == ['sip:x@example.com'] and bob.display_text is None
    assert [user.entity for user in conference.users] == [user.entity for user in rich().users]
    assert [user.entity for user in after('<users><user entity="sip:dave@example.com"/></users>').users] == ['sip:dave@example.com']


def test_description_and_state_change():
    conference = after('<conference-description state="partial"><subject>Lunch</subject><conf-uris state="partial"><entry state="deleted"><uri>tel:+18882934234</uri></entry>'
                       '<entry><uri>sip:new@example.com</uri></entry></conf-uris></conference-description><conference-state><user-count>2</user-count></conference-state>')
    description = conference.conference_description
    assert (str(description.subject), str(description.display_text), str(description.keywords)) == ('Lunch', 'Conference', 'sales goals')
    assert [str(entry.uri) for entry in description.conf_uris] == ['http://real.example.com/conf?a=1&b=2', 'sip:new@example.com']
    assert len(description.service_uris) == 2 and description.resources.files
    assert conference.conference_state.user_count == 2 and conference.conference_state.active is None and str(conference.host_info.display_text) == 'Sales Host'


def test_what_is_new_stands_where_it_belongs():
    conference = Conference.parse(b'<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:c@example.com" state="full" version="1">'
                                  b'<conference-description/><users><user entity="sip:a@example.com"><endpoint entity="sip:a@1"/></user></users></conference-info>')
    first = change('<conference-state><locked>true</locked></conference-state><users state="partial"><user entity="sip:a@example.com" state="partial">'
                   '<display-text>A</display-text></user></users>', version=2)
    second = change('<host-info><display-text>H</display-text></host-info><sidebars-by-val state="partial"><entry entity="sip:s@example.com" state="partial">'
                    '<users state="partial"><user entity="sip:b@example.com" state="partial"/><user entity="sip:x@example.com" state="deleted"/></users></entry></sidebars-by-val>',
                    version=3)
    conference = conference.changed_by(first).changed_by(second)
    assert [node.tag.partition('}')[2] for node in conference.element] == ['conference-description', 'host-info', 'conference-state', 'users', 'sidebars-by-val']
    assert [node.tag.partition('}')[2] for node in conference.users[User, 'sip:a@example.com'].element] == ['display-text', 'endpoint']
    assert conference.entity == 'sips:conf233@example.com' and conference.version == 3
    [sidebar] = conference.sidebars_by_val.element
    assert len(sidebar) == 1 and len(sidebar[0]) == 1


@pytest.mark.parametrize('body', ['<users state="deleted"/>', '<conference-description state="deleted"/>'])
def test_change_that_leaves_no_conference(body):
    with pytest.raises(ValidationError):
        rich().changed_by(change(body))
