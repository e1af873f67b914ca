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
