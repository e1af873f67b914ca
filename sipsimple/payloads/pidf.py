"""Presence documents: application/pidf+xml, RFC 3863, with the persons and devices of RFC 4479.

What persons, services and devices say beyond that is in `rpid`, `cipid` and `caps`, which add to the classes here when they are imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sipsimple.payloads import (
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLDateTimeElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementID,
    XMLKeywordElement,
    XMLListRootElement,
    XMLLocalizedStringElement,
    XMLStringElement,
)
from sipsimple.payloads._notes import Note, NoteList, WithNotes
from sipsimple.payloads.datatypes import ID, AnyURI

__all__ = [
    'Basic', 'Contact', 'DMNote', 'Description', 'Device', 'DeviceExtension', 'DeviceID', 'DeviceInfo', 'DeviceTimestamp', 'ExtendedStatus', 'Note',
    'NoteList', 'PIDF', 'PIDFDocument', 'PIDFNote', 'Person', 'PersonExtension', 'PersonTimestamp', 'Service', 'ServiceExtension', 'ServiceTimestamp',
    'Status', 'StatusExtension', 'StatusType', 'TimeOffset', 'UserAgent', 'agp_pidf_namespace', 'dm_namespace', 'local_offset', 'pidf_namespace',
]

pidf_namespace = 'urn:ietf:params:xml:ns:pidf'
dm_namespace = 'urn:ietf:params:xml:ns:pidf:data-model'
agp_pidf_namespace = 'urn:ag-projects:xml:ns:pidf'


class PIDFDocument(XMLDocument):
    """A presence document."""

    content_type = 'application/pidf+xml'


PIDFDocument.register_namespace(pidf_namespace, prefix=None, schema='pidf.xsd')
PIDFDocument.register_namespace(dm_namespace, prefix='dm', schema='data-model.xsd')
PIDFDocument.register_namespace(agp_pidf_namespace, prefix='agp-pidf', schema='agp-pidf.xsd')


class ServiceExtension:
    """Marker of extensions of `Service`."""


class StatusExtension:
    """Marker of extensions of `Status`."""


class PersonExtension:
    """Marker of extensions of `Person`."""


class DeviceExtension:
    """Marker of extensions of `Device`."""


class _Element(XMLElement):
    _xml_namespace = pidf_namespace
    _xml_document = PIDFDocument


class _DMElement(XMLElement):
    _xml_namespace = dm_namespace
    _xml_document = PIDFDocument


# Notes and timestamps

class PIDFNote(XMLLocalizedStringElement, _Element, tag='note'):
    """A note of a document or service; seen as `Note`."""


class DMNote(XMLLocalizedStringElement, _DMElement, tag='note'):
    """A note of a person or device; seen as `Note`."""


class ServiceTimestamp(XMLDateTimeElement, _Element, tag='timestamp'):
    """When the state of a service changed; now, unless told."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(datetime.now().astimezone() if value is None else value)


class DeviceTimestamp(XMLDateTimeElement, _DMElement, tag='timestamp'):
    """When the state of a device changed; now, unless told."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(datetime.now().astimezone() if value is None else value)


class PersonTimestamp(DeviceTimestamp):
    """When the state of a person changed; now, unless told."""


# Services

class Basic(XMLKeywordElement, _Element, tag='basic'):
    """`open` or `closed`."""

    _xml_value_words = ('open', 'closed')


class Status(_Element, tag='status'):
    """The status of a service; says at least something.

    Args:
        basic: `open` or `closed`.
    """

    _xml_extension_type = StatusExtension
    _xml_children_order = {Basic.qname: 0}
    basic = XMLElementChild('basic', type=Basic)

    def __init__(self, basic: str | None = None) -> None:
        super().__init__()
        self.basic = basic

    def check_validity(self) -> None:
        """Look whether the status says anything."""
        super().check_validity()
        if not self._names():
            raise ValidationError('a status says at least something')


class _Priority(float):
    """RFC 3863 has three digits at most, and no exponent."""

    def __new__(cls, value: Any) -> _Priority:
        self = super().__new__(cls, value)
        if not 0 <= self <= 1:
            raise ValueError(f'the priority {value} is not from 0 to 1')
        return self

    def __xmlbuild__(self) -> str:
        return f'{self:.3f}'.rstrip('0').rstrip('.')


class Contact(XMLAnyURIElement, _Element, tag='contact'):
    """A URI of a service.

    Args:
        value: the URI.
        priority: 0 to 1, or None.
    """

    priority = XMLAttribute('priority', type=_Priority)

    def __init__(self, value: str, priority: float | None = None) -> None:
        super().__init__(value)
        self.priority = priority


class DeviceID(XMLStringElement, _DMElement, tag='deviceID'):
    """The URI of a device."""


class Service(WithNotes, _Element, tag='tuple'):
    """A way to communicate: the tuple of RFC 3863. Items are the ids of devices that it runs on.

    Args:
        id: name, unique in the document.
        notes: texts or `Note`.
        status: `Status`, or the basic one.
        contact: `Contact`, or URI.
        timestamp: moment of the last change.
    """

    _xml_extension_type = ServiceExtension
    _xml_item_types = (PIDFNote, DeviceID)
    _xml_note_type = PIDFNote
    _xml_children_order = {Status.qname: 0, None: 1, Contact.qname: 2, PIDFNote.qname: 3, ServiceTimestamp.qname: 4}
    id = XMLElementID('id', type=ID, required=True)
    status = XMLElementChild('status', type=Status, required=True)
    contact = XMLElementChild('contact', type=Contact)
    timestamp = XMLElementChild('timestamp', type=ServiceTimestamp)

    def __init__(self, id: str, notes: Iterable[str] = (), status: Any = None, contact: Any = None, timestamp: Any = None) -> None:
        super().__init__()
        self.id = id
        self.status = status
        self.contact = contact
        self.timestamp = timestamp
        self.notes.update(notes)


# Persons and devices

class Person(WithNotes, _DMElement, tag='person'):
    """The presentity itself.

    Args:
        id: name, unique in the document.
        notes: texts or `Note`.
        timestamp: moment of the last change.
    """

    _xml_extension_type = PersonExtension
    _xml_item_types = (DMNote,)
    _xml_note_type = DMNote
    _xml_children_order = {None: 0, DMNote.qname: 1, PersonTimestamp.qname: 2}
    id = XMLElementID('id', type=ID, required=True)
    timestamp = XMLElementChild('timestamp', type=PersonTimestamp)

    def __init__(self, id: str, notes: Iterable[str] = (), timestamp: Any = None) -> None:
        super().__init__()
        self.id = id
        self.timestamp = timestamp
        self.notes.update(notes)


class Device(WithNotes, _DMElement, tag='device'):
    """A device of the presentity.

    Args:
        id: name, unique in the document.
        device_id: URI of the device.
        notes: texts or `Note`.
        timestamp: moment of the last change.
    """

    _xml_extension_type = DeviceExtension
    _xml_item_types = (DMNote,)
    _xml_note_type = DMNote
    _xml_children_order = {None: 0, DeviceID.qname: 1, DMNote.qname: 2, DeviceTimestamp.qname: 3}
    id = XMLElementID('id', type=ID, required=True)
    device_id = XMLElementChild('device_id', type=DeviceID)
    timestamp = XMLElementChild('timestamp', type=DeviceTimestamp)

    def __init__(self, id: str, device_id: str | None = None, notes: Iterable[str] = (), timestamp: Any = None) -> None:
        super().__init__()
        self.id = id
        self.device_id = device_id
        self.timestamp = timestamp
        self.notes.update(notes)


class PIDF(XMLListRootElement, _Element, tag='presence'):
    """The presence of somebody: services, notes, persons and devices.

    Args:
        entity: whose presence it is.
        elements: what to begin with.
    """

    _xml_item_types = (Service, PIDFNote, Person, Device)
    _xml_children_order = {Service.qname: 0, PIDFNote.qname: 1, Person.qname: 2, Device.qname: 3}
    _xml_note_type = PIDFNote
    entity = XMLAttribute('entity', type=AnyURI, required=True)

    def __init__(self, entity: str, elements: Iterable[Any] = ()) -> None:
        super().__init__()
        self.entity = entity
        self.update(elements)

    @property
    def services(self) -> Iterator[Service]:
        """The services."""
        return iter([item for item in self._elements() if isinstance(item, Service)])

    @property
    def notes(self) -> NoteList:
        """The notes of the document."""
        return NoteList(self)   # type: ignore[arg-type]

    @property
    def persons(self) -> Iterator[Person]:
        """The persons."""
        return iter([item for item in self._elements() if isinstance(item, Person)])

    @property
    def devices(self) -> Iterator[Device]:
        """The devices."""
        return iter([item for item in self._elements() if isinstance(item, Device)])

    def _encode_item(self, value: Any) -> XMLElement:
        return PIDFNote(value, getattr(value, 'lang', None)) if isinstance(value, str) else super()._encode_item(value)

    def _decode_item(self, item: XMLElement) -> Any:
        return Note(item.value, item.lang) if isinstance(item, PIDFNote) else item


# Private extensions

class _Private(XMLElement):
    _xml_namespace = agp_pidf_namespace
    _xml_document = PIDFDocument


class ExtendedStatus(XMLKeywordElement, _Private, StatusExtension, tag='extended'):
    """`available`, `offline`, `away` or `busy`: `Status.extended`. Earlier releases also said `extended-away`."""

    _xml_value_words = ('available', 'offline', 'away', 'busy', 'extended-away')


Status.register_extension('extended', type=ExtendedStatus)


class StatusType(XMLStringElement, _Private, StatusExtension, tag='type'):
    """What kind of status it is: `Status.type`."""


Status.register_extension('type', type=StatusType)


class Description(XMLStringElement, _Private, tag='description'):
    """What the device is."""


class UserAgent(XMLStringElement, _Private, tag='user-agent'):
    """The program."""


def local_offset() -> int:
    """Minutes that local time is ahead of UTC now; less than zero in the west."""
    offset = datetime.now().astimezone().utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


class TimeOffset(XMLStringElement, _Private, tag='time-offset'):
    """Minutes that the device's time is ahead of UTC, as text; `int()` is the number.

    Args:
        value: minutes; the local offset unless told.
        description: name of the zone, or any text.
    """

    description = XMLAttribute('description', type=str)

    def __init__(self, value: int | str | None = None, description: str | None = None) -> None:
        super().__init__(str(local_offset() if value is None else int(value)))
        self.description = description

    def __int__(self) -> int:
        return int(self.value)


class DeviceInfo(_Private, ServiceExtension, tag='device-info'):
    """The device that a service runs on: `Service.device_info`.

    Args:
        id: unique among the devices of the account.
        description, user_agent: text.
        time_offset: `TimeOffset`, or minutes.
    """

    _xml_children_order = {Description.qname: 0, UserAgent.qname: 1, TimeOffset.qname: 2}
    id = XMLElementID('id', type=str, required=True)
    description = XMLElementChild('description', type=Description)
    user_agent = XMLElementChild('user_agent', type=UserAgent)
    time_offset = XMLElementChild('time_offset', type=TimeOffset)

    def __init__(self, id: str, description: str | None = None, user_agent: str | None = None, time_offset: Any = None) -> None:
        super().__init__()
        self.id = id
        self.description = description
        self.user_agent = user_agent
        self.time_offset = time_offset


Service.register_extension('device_info', type=DeviceInfo)
