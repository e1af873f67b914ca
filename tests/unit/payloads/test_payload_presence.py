"""Presence documents and what extends them (RFC 3863, 4479, 4480, 4482, 5196)."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sipsimple.payloads import BuilderError, ParserError, XMLEmptyElement
from sipsimple.payloads.caps import (
    Actor,
    Class,
    DeviceCapabilities,
    EventPackages,
    Languages,
    Methods,
    Mobility,
    Priority,
    PriorityEquals,
    PriorityHigherthan,
    PriorityLowerthan,
    PriorityRange,
    Schemes,
    ServiceCapabilities,
)
from sipsimple.payloads.cipid import Card, DisplayName
from sipsimple.payloads.pidf import PIDF, Contact, Device, DeviceID, DeviceInfo, Note, Person, PIDFDocument, Service, Status, TimeOffset
from sipsimple.payloads.rpid import (
    Activities,
    ActivityElement,
    Mood,
    Other,
    PlaceIs,
    Privacy,
    Relationship,
    ServiceClass,
    StatusIcon,
    TimeOffset as PersonTimeOffset,
    UserInput,
)
from tests.unit.payloads.documents import load


def parsed(name):
    return PIDFDocument.parse(load(name)[1])


def test_services_are_read():
    pidf = parsed('pidf-notes.xml')
    assert pidf.entity == 'pres:someone@example.com' and list(pidf.persons) == list(pidf.devices) == []
    one, two = pidf.services
    assert one == 'bs35r9' and pidf[Service, 'eg92n8'] is two and one.status.basic == 'open' and one.status.extended is None
    assert str(one.contact) == 'im:someone@mobilecarrier.net' and one.contact.priority == 0.8 and two.contact.priority == 1
    assert one.timestamp.value == datetime(2001, 10, 27, 16, 49, 29, tzinfo=UTC)
    assert list(one.notes) == [Note("Don't Disturb Please!", 'en'), Note("Ne derangez pas, s'il vous plait", 'fr')] and [note.lang for note in one.notes] == ['en', 'fr']
    assert list(pidf.notes) == ["I'll be in Tokyo next week"] and len(pidf.notes) == 1 and "I'll be in Tokyo next week" in pidf.notes
    assert [type(item) for item in pidf] == [Service, Service, Note]
    assert str(next(parsed('pidf-service.xml').services).contact) == 'tel:+09012345678'


def test_notes():
    assert Note('a') == 'a' != Note('a', 'en') and Note('a', 'en') != 'a' and Note('a', 'en') == Note('a', 'en') and Note('a', 'en') != Note('a', 'fr')
    assert hash(Note('a')) == hash('a') and Note(Note('a', 'en')).lang == 'en'
    person = Person('p', notes=['one', Note('zwei', 'de')])
    assert list(person.notes) == ['one', Note('zwei', 'de')] and 'zwei' not in person.notes and len(person) == 0
    person.notes.add('three')
    person.notes.remove(Note('zwei', 'de'))
    with pytest.raises(KeyError):
        person.notes.remove('zwei')
    with pytest.raises(TypeError):
        person.notes.add(3)
    assert list(person.notes) == ['one', 'three']
    person.notes.clear()
    assert len(person.notes) == 0 and b'note' not in PIDF('sip:a@b', [person]).toxml()


def test_built_from_nothing():
    service = Service('s1', notes=[Note('hello', 'en')], status=Status('open'), contact=Contact('sip:a@192.0.2.1', 0.125), timestamp='2026-01-01T00:00:00Z')
    service.add(DeviceID('urn:x:1'))
    service.device_info = DeviceInfo('d', description='laptop', user_agent='Phone', time_offset=TimeOffset(-300, 'EST'))
    service.status.extended = 'busy'
    service.status.type = 'manual'
    person = Person('p1', notes=['x'], timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    device = Device('d1', device_id='urn:x:1', notes=['y'], timestamp='2026-01-01T00:00:00+01:00')
    pidf = PIDF('sip:a@b', [device, person, Note('all'), service])
    text = pidf.toxml()
    places = [text.index(word) for word in (b'<tuple', b'<status', b'deviceID', b'device-info', b'<contact', b'<note xml', b'<timestamp', b'<note>all', b'dm:person', b'dm:device ')]
    assert places == sorted(places) and b'priority="0.125"' in text and text.count(b'xmlns') == 3
    again = PIDF.parse(text)
    assert again == pidf and int(next(again.services).device_info.time_offset) == -300 and list(next(again.services)) == ['urn:x:1']
    assert pidf.__dirty__ and not again.__dirty__
    next(again.services).status.basic = 'closed'
    assert again.__dirty__ and again != pidf
    again.__dirty__ = False
    assert not again.__dirty__ and PIDF.parse(again.toxml()) != pidf and b'closed' in again.toxml()


def test_what_is_incomplete_is_not_written():
    for wrong in (PIDF('sip:a@b', [Service('a')]), PIDF('sip:a@b', [Service('a', status=Status())]), PIDF(None)):
        with pytest.raises(BuilderError):
            wrong.toxml()
    for wrong in (lambda: Service('1a'), lambda: Status('ajar'), lambda: Contact('sip:a@b', 1.5), lambda: Service('a').id.__class__('a b')):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        PIDF('sip:a@b').add(Status('open'))
    service = Service('a', status='open')
    with pytest.raises(AttributeError):
        service.id = 'b'


def test_invalid_children_are_skipped():
    pidf = PIDF.parse('<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b"><tuple id="a"><status/></tuple>'
                      '<tuple id="b"><status><basic>open</basic></status><note>1</note></tuple><tuple id="b"><status><basic>closed</basic></status></tuple></presence>')
    [service] = pidf.services
    assert service == 'b' and service.status.basic == 'open'        # the first of two with one id
    pidf.remove(service)
    assert list(pidf) == [] and b'id="b"' not in pidf.toxml() and b'id="a"' in pidf.toxml()


def test_documents_in_another_order_are_read():
    """As an old server writes them: the note first, a person with an element of PIDF, the contact before the status."""
    pidf = PIDF.parse('<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:pp="urn:ietf:params:xml:ns:pidf:data-model" xmlns:ep="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:a@b">'
                      '<pp:person id="p"><pp:note>n</pp:note><status><ep:activities><ep:away/></ep:activities></status><ep:activities><ep:busy/></ep:activities></pp:person>'
                      '<note>Ready</note><tuple id="a"><status/></tuple><tuple id="t"><contact>sip:a@b</contact><timestamp>2026-01-01T00:00:00Z</timestamp>'
                      '<status><ep:x/><basic>open</basic></status></tuple></presence>')
    [service], [person] = pidf.services, pidf.persons
    assert service.status.basic == 'open' and service.contact == 'sip:a@b' and list(pidf.notes) == ['Ready'] and list(person.activities) == ['busy'] and list(person.notes) == ['n']
    person.notes.add('m')
    service.notes.add('s')
    assert PIDF.parse(pidf.toxml()) == pidf


def test_rich_presence_is_read():
    pidf = parsed('pidf-rpid.xml')
    [person], [device] = pidf.persons, pidf.devices
    assert list(person.activities) == ['away'] and person.activities.since == datetime(2005, 5, 30, 7, tzinfo=UTC) and list(person.activities.notes) == ['Far away']
    assert list(person.mood) == ['angry', 'brooding'] and 'brooding' in person.mood and isinstance(list(person.mood)[1], Other)
    assert person.place_is.audio == 'noisy' and person.place_is.video is None and person.place_type.value is None
    assert person.privacy.unknown and person.privacy.audio is None and person.sphere.value == 'bowling league'
    assert person.status_icon == 'http://example.com/play.gif' and person.time_offset.value == -240 and int(person.time_offset) == -240 and person.rpid_class == 'calendar'
    assert device.user_input == 'idle' and device.user_input.idle_threshold == 600 and device.device_id == 'urn:device:0003ba4811e3'
    services = list(pidf.services)
    assert [service.relationship and service.relationship.value for service in services] == ['self', 'assistant', None]
    assert [service.service_class and service.service_class.value for service in services] == ['electronic', None, 'electronic']
    assert list(services[0]) == ['urn:device:0003ba4811e3']
    private = next(parsed('pidf-private.xml').persons)
    assert list(private.activities) == ['busy', 'on-the-phone', Other('döst', 'de')] and private.place_type.value == 'cellar' and list(private.place_type.notes) == ['a']
    assert private.privacy.audio and private.privacy.video and private.privacy.text is None and not private.privacy.unknown
    assert private.sphere.value == 'work' and private.time_offset.description == 'EST'


def test_private_extensions_are_read():
    pidf = parsed('pidf-private.xml')
    [service] = pidf.services
    assert pidf.entity == 'sip:alice@example.com' and str(service.contact) == 'sip:alice@192.0.2.1:5061;transport=tls'
    assert service.status.extended == 'away' and service.status.type == 'manual'
    assert (service.device_info.id, str(service.device_info.user_agent), int(service.device_info.time_offset)) == ('urn:uuid:1', 'Phone 1.0', -300)
    assert service.timestamp.value == datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    capabilities = service.capabilities
    assert capabilities.audio and not capabilities.text and capabilities.text is not None and capabilities.video is None
    assert capabilities.file_transfer and capabilities.screen_sharing is None and capabilities.screen_sharing_server and not capabilities.screen_sharing_client


def test_rich_presence_is_written():
    person = Person('p')
    person.activities = ['busy', 'juggling', Other('tanzen', 'de')]
    person.mood = Mood(['happy'], id='m', since='2026-01-01T00:00:00Z', until=datetime(2026, 1, 2, tzinfo=UTC), notes=['why not'])
    person.place_is = PlaceIs(audio='quiet', video='dark', text='ok')
    person.place_type = 'cellar'
    person.privacy = Privacy(audio=True, video=True)
    person.sphere = 'home'
    person.time_offset = PersonTimeOffset(-300, 'EST')
    person.status_icon = StatusIcon('http://example.com/i?a=1')
    person.user_input = UserInput('idle', idle_threshold=60, last_input='2026-01-01T00:00:00Z')
    person.rpid_class = 'x'
    person.card = 'http://example.com/card'
    person.display_name = DisplayName('Zoë', 'fr')
    service = Service('s', status='open')
    service.relationship = Relationship()
    service.service_class = ServiceClass('in-person')
    service.card = Card('http://example.com/c')
    pidf = PIDF('sip:a@b', [service, person])
    again = PIDF.parse(pidf.toxml())
    assert again == pidf
    [person] = again.persons
    assert list(person.activities) == ['busy', 'juggling', Other('tanzen', 'de')] and person.place_type.value == 'cellar' and person.sphere.value == 'home'
    assert person.display_name.value == 'Zoë' and person.display_name.lang == 'fr' and person.display_name != 'Zoë' and person.card == 'http://example.com/card'
    assert next(again.services).relationship.value == 'self'
    person.privacy.audio = person.privacy.video = False
    person.sphere.value = None
    person.place_is.text = None
    person.place_type.value = Other('Keller', 'de')
    third = next(PIDF.parse(again.toxml()).persons)
    assert third.privacy.unknown and b'rpid:unknown' in again.toxml() and third.place_is.text is None and third.place_type.value == Other('Keller', 'de')
    person.privacy.text = True
    assert b'rpid:unknown' not in again.toxml()
    [person] = PIDF.parse(again.toxml().replace(b'<rpid:text/>', b'<x:smell xmlns:x="urn:x"/>')).persons
    person.privacy.notes.add('n')
    assert not person.privacy.unknown and b'rpid:unknown' not in PIDF('sip:a@b', [person]).toxml()


def test_unknown_stands_alone():
    activities = Activities(['busy', 'away'], notes=['n'])
    activities.add('unknown')
    assert list(activities) == ['unknown'] and list(activities.notes) == ['n']
    activities.add('busy')
    activities.add('busy')
    assert list(activities) == ['busy'] and 'unknown' not in activities and len(activities) == 1
    activities.remove('busy')
    with pytest.raises(KeyError):
        activities.remove('busy')
    person = Person('p')
    person.activities = activities
    with pytest.raises(BuilderError, match='no activity'):
        PIDF('sip:a@b', [person]).toxml()


def test_other_vocabularies():
    class Juggling(XMLEmptyElement, ActivityElement):
        _xml_tag = 'juggling'
        _xml_namespace = 'urn:example:circus'
        _xml_document = PIDFDocument
    PIDFDocument.register_namespace('urn:example:circus', prefix='circus')
    try:
        person = Person('p')
        person.activities = ['busy', Juggling()]
        again = next(PIDF.parse(PIDF('sip:a@b', [person]).toxml()).persons)
        assert [str(item) if isinstance(item, str) else type(item) for item in again.activities] == ['busy', Juggling] and Juggling() in again.activities
    finally:
        PIDFDocument.unregister_namespace('urn:example:circus')


@pytest.mark.parametrize('zone, minutes', [('UTC', 0), ('America/New_York', -300), ('Asia/Kolkata', 330)])
def test_the_local_offset(monkeypatch, zone, minutes):
    monkeypatch.setenv('TZ', zone)
    time.tzset()
    try:
        assert int(TimeOffset()) in (minutes, minutes + 60) and PersonTimeOffset().value == int(TimeOffset())
        assert str(TimeOffset(-300)) == '-300'
    finally:
        monkeypatch.undo()
        time.tzset()


def test_capabilities_are_read():
    pidf = parsed('pidf-caps.xml')
    [service], [device] = pidf.services, pidf.devices
    can = service.capabilities
    assert can.audio and can.control and can.automata and can.is_focus and not can.video and can.mime_type == 'text/plain'
    assert list(can.actor.supported) == ['principal'] and list(can.actor.not_supported) == ['attendant', 'msg-taker']
    assert list(can.communication_class.supported) == ['business'] and list(can.duplex.supported) == ['full'] and can.duplex.not_supported is None
    assert list(can.event_packages.supported) == ['conference', 'message-summary'] and list(can.extensions.supported) == ['rel100']
    assert 'INVITE' in can.methods.supported and 'MESSAGE' in can.methods.not_supported and 'MESSAGE' not in can.methods.supported
    assert list(can.languages.supported) == ['en', 'de'] and list(can.schemes.not_supported) == ['mailto']
    equals, higher, between = can.priority.supported
    assert (equals.value, higher.minvalue, between.minvalue, between.maxvalue) == (10, 15, 2, 5) and [item.maxvalue for item in can.priority.not_supported] == [1]
    [description] = can
    assert description.value == 'Example service' and description.lang == 'en'
    assert list(device.capabilities.mobility.supported) == ['mobile'] and list(device.capabilities.mobility.not_supported) == ['fixed'] and list(device.capabilities) == ['phone']


def test_capabilities_are_written():
    service = Service('s', status='open')
    service.capabilities = ServiceCapabilities(
        audio=True, text=False, is_focus=True, mime_type='text/html', communication_class=Class(['personal'], ['business']), event_packages=EventPackages(['winfo']),
        priority=Priority([PriorityLowerthan(1), PriorityHigherthan(2)], [PriorityEquals(3), PriorityRange(5, 4)]), methods=Methods(['ACK']), schemes=Schemes(['sip']),
        actor=Actor(['information']), languages=Languages(['en']), descriptions=['it'])
    service.capabilities.file_transfer = True
    service.capabilities.screen_sharing_client = False
    device = Device('d')
    device.capabilities = DeviceCapabilities(mobility=Mobility(['mobile'], ['fixed']), descriptions=['that'])
    pidf = PIDF('sip:a@b', [service, device])
    text = pidf.toxml()
    again = PIDF.parse(text)
    assert again == pidf and list(next(again.devices).capabilities.mobility.supported) == ['mobile']
    places = [text.index(word) for word in (b'caps:actor', b'caps:audio', b'caps:class', b'caps:description', b'caps:event', b'caps:isfocus', b'caps:methods', b'caps:languages',
                                            b'caps:priority', b'caps:schemes', b'caps:text', b'caps:type', b'agp-caps:file')]
    assert places == sorted(places)
    with pytest.raises(ValueError):
        service.capabilities.methods.supported.add('HOLD')


def test_extensions_are_checked_by_the_schema():
    for inner in ('<rpid:time-offset>soon</rpid:time-offset>', '<rpid:activities><rpid:flying/></rpid:activities>', '<rpid:privacy><rpid:unknown/><rpid:audio/></rpid:privacy>'):
        with pytest.raises(ParserError):
            PIDF.parse('<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" '
                       f'entity="sip:a@b"><dm:person id="p">{inner}</dm:person></presence>')
