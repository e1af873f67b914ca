"""What persons do, where and how: rich presence, extensions of presence documents, RFC 4480.

Importing the module adds `activities`, `mood`, `place_is`, `place_type`, `privacy`, `sphere`, `time_offset`, `status_icon`, `user_input` and `rpid_class` to
`pidf.Person`; `relationship`, `service_class`, `status_icon`, `user_input` and `rpid_class` to `pidf.Service`; `user_input` and `rpid_class` to `pidf.Device`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.payloads import (
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLElement,
    XMLElementChild,
    XMLEmptyElement,
    XMLEmptyElementRegistryType,
    XMLIntegerElement,
    XMLKeywordElement,
    XMLLocalizedStringElement,
    XMLStringChoiceChild,
    XMLStringElement,
    XMLStringListElement,
)
from sipsimple.payloads._notes import Note, WithNotes
from sipsimple.payloads._words import WordElement
from sipsimple.payloads._xml.elements import text_of
from sipsimple.payloads.datatypes import ID, DateTime, UnsignedLong
from sipsimple.payloads.pidf import Device, DeviceExtension, Person, PersonExtension, PIDFDocument, Service, ServiceExtension, local_offset

__all__ = [
    'Activities', 'ActivityElement', 'AudioPlaceInformation', 'Class', 'Mood', 'MoodElement', 'Note', 'Other', 'PlaceIs', 'PlaceType', 'PlaceTypeElement',
    'Privacy', 'PrivacyElement', 'PrivateAudio', 'PrivateText', 'PrivateVideo', 'RPIDNote', 'RPIDOther', 'Relationship', 'RelationshipElement',
    'ServiceClass', 'ServiceClassElement', 'Sphere', 'SphereElement', 'StatusIcon', 'TextPlaceInformation', 'TimeOffset', 'UserInput',
    'VideoPlaceInformation', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:pidf:rpid'

PIDFDocument.register_namespace(namespace, prefix='rpid', schema='rpid.xsd')


class ActivityElement:
    """Marker of further activities."""


class MoodElement:
    """Marker of further moods."""


class PlaceTypeElement:
    """Marker of further types of places."""


class PrivacyElement:
    """Marker of further media that are private."""


class RelationshipElement:
    """Marker of further relationships."""


class ServiceClassElement:
    """Marker of further classes of services."""


class SphereElement:
    """Marker of further spheres."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = PIDFDocument


class _Timed(_Element):
    """What is true for a time only."""

    id = XMLAttribute('id', type=ID)
    since = XMLAttribute('since', xmlname='from', type=DateTime)
    until = XMLAttribute('until', type=DateTime)

    def _set_time(self, id: str | None, since: Any, until: Any) -> None:
        self.id = id
        self.since = since
        self.until = until


class RPIDNote(XMLLocalizedStringElement, _Element, tag='note'):
    """A note; seen as `Note`."""


class Other(Note):
    """A text in the place of a keyword."""


class RPIDOther(XMLLocalizedStringElement, _Element, tag='other'):
    """The element of a text in the place of a keyword; seen as `Other`."""


class _Words(WithNotes, XMLStringListElement):
    """Keywords and texts, with notes; `unknown` stands alone."""

    _xml_is_base = True
    _xml_note_type = RPIDNote
    _xml_item_other_type = RPIDOther
    _xml_children_order: ClassVar[Any] = {RPIDNote.qname: 0}

    @classmethod
    def _xml_more_item_types(cls) -> tuple[type, ...]:
        return (RPIDNote,)

    def _encode_item(self, value: Any) -> XMLElement:
        return RPIDOther(value, value.lang) if isinstance(value, Other) else super()._encode_item(value)

    def _decode_item(self, item: XMLElement) -> Any:
        return Other(item.value, item.lang) if isinstance(item, RPIDOther) else super()._decode_item(item)

    def _make_other(self, value: str) -> XMLElement:
        return RPIDOther(value, getattr(value, 'lang', None))

    def add(self, item: Any) -> None:
        """Add a keyword, text or element, unless it is there; `unknown` takes the place of all others, and any other that of `unknown`."""
        element = self._encode_item(item)
        if str(self._decode_item(element)) == 'unknown':
            self.clear()
        elif 'unknown' in self:
            self.remove('unknown')
        if self._lookup(element) is None:
            self._add_element(element)


class Activities(_Words, _Timed, PersonExtension, tag='activities'):
    """What the person does: `Person.activities`, a list of keywords, other texts, and elements of the kind `ActivityElement`.

    Args:
        activities: what to begin with; there must be at least one when it is written.
        id, since, until: name and time.
        notes: texts or `Note`.
    """

    _xml_item_words = (
        'appointment', 'away', 'breakfast', 'busy', 'dinner', 'holiday', 'in-transit', 'looking-for-work', 'meal', 'meeting', 'on-the-phone',
        'performance', 'permanent-absence', 'playing', 'presentation', 'shopping', 'sleeping', 'spectator', 'steering', 'travel', 'tv', 'vacation',
        'working', 'worship', 'unknown')
    _xml_item_extension_type = ActivityElement

    def __init__(self, activities: Iterable[Any] = (), id: str | None = None, since: Any = None, until: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.notes.update(notes)
        self.update([activities] if isinstance(activities, str) else activities)

    def check_validity(self) -> None:
        """Look whether there is an activity."""
        super().check_validity()
        if not any(name != RPIDNote.qname for name in self._names()):
            raise ValidationError('there is no activity')


Person.register_extension('activities', type=Activities)


class Mood(_Words, _Timed, PersonExtension, tag='mood'):
    """How the person feels: `Person.mood`, a list of keywords, other texts, and elements of the kind `MoodElement`.

    Args:
        moods: what to begin with; there must be at least one when it is written.
        id, since, until: name and time.
        notes: texts or `Note`.
    """

    _xml_item_words = (
        'afraid', 'amazed', 'angry', 'annoyed', 'anxious', 'ashamed', 'bored', 'brave', 'calm', 'cold', 'confused', 'contended', 'cranky', 'curious',
        'depressed', 'disappointed', 'disgusted', 'distracted', 'embarrassed', 'excited', 'flirtatious', 'frustrated', 'grumpy', 'guilty', 'happy',
        'hot', 'humbled', 'humiliated', 'hungry', 'hurt', 'impressed', 'in_awe', 'in_love', 'indignant', 'interested', 'invisible', 'jealous',
        'lonely', 'mean', 'moody', 'nervous', 'neutral', 'offended', 'playful', 'proud', 'relieved', 'remorseful', 'restless', 'sad', 'sarcastic',
        'serious', 'shocked', 'shy', 'sick', 'sleepy', 'stressed', 'surprised', 'thirsty', 'worried', 'unknown')
    _xml_item_extension_type = MoodElement

    def __init__(self, moods: Iterable[Any] = (), id: str | None = None, since: Any = None, until: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.notes.update(notes)
        self.update([moods] if isinstance(moods, str) else moods)

    def check_validity(self) -> None:
        """Look whether there is a mood."""
        super().check_validity()
        if not any(name != RPIDNote.qname for name in self._names()):
            raise ValidationError('there is no mood')


Person.register_extension('mood', type=Mood)


# Where the person is

class AudioPlaceInformation(WordElement, _Element, tag='audio'):
    """`noisy`, `ok`, `quiet` or `unknown`."""

    _xml_value_words = ('noisy', 'ok', 'quiet', 'unknown')


class VideoPlaceInformation(WordElement, _Element, tag='video'):
    """`toobright`, `ok`, `dark` or `unknown`."""

    _xml_value_words = ('toobright', 'ok', 'dark', 'unknown')


class TextPlaceInformation(WordElement, _Element, tag='text'):
    """`uncomfortable`, `inappropriate`, `ok` or `unknown`."""

    _xml_value_words = ('uncomfortable', 'inappropriate', 'ok', 'unknown')


class _Noted(WithNotes, _Element):
    _xml_is_base = True
    _xml_item_types = (RPIDNote,)
    _xml_note_type = RPIDNote
    _xml_children_order: ClassVar[Any] = {RPIDNote.qname: 0}


class PlaceIs(_Noted, _Timed, PersonExtension, tag='place-is'):
    """What can be done at the place of the person: `Person.place_is`.

    Args:
        audio, video, text: keywords, see `AudioPlaceInformation` and so on.
        id, since, until: name and time.
        notes: texts or `Note`.
    """

    _xml_children_order = {RPIDNote.qname: 0, AudioPlaceInformation.qname: 1, VideoPlaceInformation.qname: 2, TextPlaceInformation.qname: 3}
    audio = XMLElementChild('audio', type=AudioPlaceInformation)
    video = XMLElementChild('video', type=VideoPlaceInformation)
    text = XMLElementChild('text', type=TextPlaceInformation)

    def __init__(self, audio: str | None = None, video: str | None = None, text: str | None = None, id: str | None = None, since: Any = None,
                 until: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.audio = audio
        self.video = video
        self.text = text
        self.notes.update(notes)


Person.register_extension('place_is', type=PlaceIs)


class _Text(XMLStringChoiceChild):
    """A keyword or a text; texts are read as `Other`."""

    def _encode(self, value: Any) -> XMLElement:
        return RPIDOther(value, value.lang) if isinstance(value, Other) else super()._encode(value)

    def _decode(self, child: XMLElement | None) -> Any:
        return Other(child.value, child.lang) if isinstance(child, RPIDOther) else super()._decode(child)


class PlaceType(_Noted, _Timed, PersonExtension, tag='place-type'):
    """What kind of place the person is at: `Person.place_type`. `value` is None when it is said in a vocabulary that nobody registered.

    Args:
        value: any text, or a `PlaceTypeElement`.
        id, since, until: name and time.
        notes: texts or `Note`.
    """

    value = _Text('value', other_type=RPIDOther, extension_type=PlaceTypeElement)

    def __init__(self, value: Any = None, id: str | None = None, since: Any = None, until: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.value = value
        self.notes.update(notes)


Person.register_extension('place_type', type=PlaceType)


# Privacy

class PrivateAudio(XMLEmptyElement, _Element, tag='audio'):
    """Others may not hear."""


class PrivateText(XMLEmptyElement, _Element, tag='text'):
    """Others may not read."""


class PrivateVideo(XMLEmptyElement, _Element, tag='video'):
    """Others may not see."""


class _PrivacyUnknown(XMLEmptyElement, _Element, tag='unknown'):
    pass


class Privacy(_Noted, _Timed, PersonExtension, tag='privacy'):
    """Which media others in the place will not notice: `Person.privacy`. Set them to True or False.

    Args:
        audio, text, video: whether that is private.
        id, since, until: name and time.
        notes: texts or `Note`.
    """

    _xml_extension_type = PrivacyElement
    _xml_children_order = {RPIDNote.qname: 0, _PrivacyUnknown.qname: 1, PrivateAudio.qname: 2, PrivateText.qname: 3, PrivateVideo.qname: 4}
    audio = XMLElementChild('audio', type=PrivateAudio)
    text = XMLElementChild('text', type=PrivateText)
    video = XMLElementChild('video', type=PrivateVideo)
    _unknown = XMLElementChild('_unknown', type=_PrivacyUnknown, test_equal=False)

    def __init__(self, audio: bool | None = None, text: bool | None = None, video: bool | None = None, id: str | None = None, since: Any = None,
                 until: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.audio = audio
        self.text = text
        self.video = video
        self.notes.update(notes)

    @property
    def unknown(self) -> bool:
        """Whether nothing is known to be private, here or in a vocabulary that nobody registered."""
        return all(name in (RPIDNote.qname, _PrivacyUnknown.qname) for name in self._names())

    def _check(self) -> None:
        self._unknown = self.unknown or None
        super()._check()


Person.register_extension('privacy', type=Privacy)


class _Registry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument


class _SphereRegistry(_Registry):
    names = ('home', 'work', 'unknown')


class _SphereChild(XMLStringChoiceChild):
    """RFC 4480 has an example where the sphere is the text of the element."""

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        value = super().__get__(obj, owner)
        return text_of(obj._node).strip() or None if value is None and obj._node is not None else value

    def put(self, obj: XMLElement, child: XMLElement | None) -> None:
        if obj._node is not None and not len(obj._node):
            obj._node.text = None
        super().put(obj, child)


class Sphere(_Timed, PersonExtension, tag='sphere'):
    """Which part of life the person is in: `Person.sphere`.

    Args:
        value: `home`, `work` or `unknown`, or a `SphereElement`; any text may be read.
        id, since, until: name and time.
    """

    value = _SphereChild('value', registry=_SphereRegistry, extension_type=SphereElement)

    def __init__(self, value: Any = None, id: str | None = None, since: Any = None, until: Any = None) -> None:
        super().__init__()
        self._set_time(id, since, until)
        self.value = value

    def _content(self) -> Any:
        return self.value


Person.register_extension('sphere', type=Sphere)


class TimeOffset(XMLIntegerElement, _Timed, PersonExtension, tag='time-offset'):
    """Minutes that the person's time is ahead of UTC: `Person.time_offset`.

    Args:
        value: minutes; the local offset unless told.
        description: name of the zone, or any text.
        id, since, until: name and time.
    """

    description = XMLAttribute('description', type=str)

    def __init__(self, value: int | None = None, description: str | None = None, id: str | None = None, since: Any = None, until: Any = None) -> None:
        super().__init__(local_offset() if value is None else value)
        self._set_time(id, since, until)
        self.description = description

    def __int__(self) -> int:
        return int(self.value)


Person.register_extension('time_offset', type=TimeOffset)


# Services

class _RelationshipRegistry(_Registry):
    names = ('assistant', 'associate', 'family', 'friend', 'self', 'supervisor', 'unknown')


class Relationship(_Noted, ServiceExtension, tag='relationship'):
    """Who answers there, seen from the presentity: `Service.relationship`.

    Args:
        value: a keyword or any text, or a `RelationshipElement`.
        notes: texts or `Note`.
    """

    value = _Text('value', registry=_RelationshipRegistry, other_type=RPIDOther, extension_type=RelationshipElement)

    def __init__(self, value: Any = 'self', notes: Iterable[str] = ()) -> None:
        super().__init__()
        self.value = value
        self.notes.update(notes)


Service.register_extension('relationship', type=Relationship)


class _ServiceClassRegistry(_Registry):
    names = ('courier', 'electronic', 'freight', 'in-person', 'postal', 'unknown')


class ServiceClass(_Noted, ServiceExtension, tag='service-class'):
    """What kind of service it is: `Service.service_class`.

    Args:
        value: `courier`, `electronic`, `freight`, `in-person`, `postal` or `unknown`, or a `ServiceClassElement`.
        notes: texts or `Note`.
    """

    value = XMLStringChoiceChild('value', registry=_ServiceClassRegistry, extension_type=ServiceClassElement)

    def __init__(self, value: Any = None, notes: Iterable[str] = ()) -> None:
        super().__init__()
        self.value = value
        self.notes.update(notes)


Service.register_extension('service_class', type=ServiceClass)


# Several

class StatusIcon(XMLAnyURIElement, _Timed, PersonExtension, ServiceExtension, tag='status-icon'):
    """URI of a picture of the state: `Person.status_icon`, `Service.status_icon`.

    Args:
        value: the URI.
        id, since, until: name and time.
    """

    def __init__(self, value: str, id: str | None = None, since: Any = None, until: Any = None) -> None:
        super().__init__(value)
        self._set_time(id, since, until)


class UserInput(XMLKeywordElement, _Element, PersonExtension, ServiceExtension, DeviceExtension, tag='user-input'):
    """Whether anybody uses it: `user_input` of persons, services and devices.

    Args:
        value: `active` or `idle`.
        id: name.
        last_input: when anybody did.
        idle_threshold: seconds without input after which it is idle.
    """

    _xml_value_words = ('active', 'idle')
    id = XMLAttribute('id', type=ID)
    last_input = XMLAttribute('last_input', xmlname='last-input', type=DateTime)
    idle_threshold = XMLAttribute('idle_threshold', xmlname='idle-threshold', type=UnsignedLong)

    def __init__(self, value: str = 'active', id: str | None = None, last_input: Any = None, idle_threshold: int | None = None) -> None:
        super().__init__(value)
        self.id = id
        self.last_input = last_input
        self.idle_threshold = idle_threshold


class Class(XMLStringElement, _Element, PersonExtension, ServiceExtension, DeviceExtension, tag='class'):
    """Any word that groups persons, services or devices: their `rpid_class`."""


Person.register_extension('status_icon', type=StatusIcon)
Service.register_extension('status_icon', type=StatusIcon)
for _owner in (Person, Service, Device):
    _owner.register_extension('user_input', type=UserInput)
    _owner.register_extension('rpid_class', type=Class)
