"""What services and devices can do: extensions of presence documents, RFC 5196.

Importing the module adds `capabilities` to `pidf.Service` and `pidf.Device`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sipsimple.payloads import (
    XMLAttribute,
    XMLBooleanElement,
    XMLElement,
    XMLElementChild,
    XMLListElement,
    XMLLocalizedStringElement,
    XMLStringElement,
    XMLStringListElement,
)
from sipsimple.payloads.pidf import Device, DeviceExtension, PIDFDocument, Service, ServiceExtension

__all__ = [
    'Actor', 'ActorNotSupported', 'ActorSupported', 'Application', 'Audio', 'Automata', 'Class', 'ClassNotSupported', 'ClassSupported', 'Control', 'Data',
    'Description', 'DeviceCapabilities', 'DeviceCapabilitiesExtension', 'Duplex', 'DuplexNotSupported', 'DuplexSupported', 'EventPackages',
    'EventPackagesExtension', 'EventPackagesNotSupported', 'EventPackagesSupported', 'Extensions', 'ExtensionsExtension', 'ExtensionsNotSupported',
    'ExtensionsSupported', 'FileTransfer', 'IsFocus', 'Language', 'Languages', 'LanguagesNotSupported', 'LanguagesSupported', 'Message', 'Methods',
    'MethodsExtension', 'MethodsNotSupported', 'MethodsSupported', 'Mobility', 'MobilityExtension', 'MobilityNotSupported', 'MobilitySupported',
    'Priority', 'PriorityEquals', 'PriorityExtension', 'PriorityHigherthan', 'PriorityLowerthan', 'PriorityNotSupported', 'PriorityRange',
    'PrioritySupported', 'Scheme', 'Schemes', 'SchemesNotSupported', 'SchemesSupported', 'ScreenSharing', 'ScreenSharingClient', 'ScreenSharingServer',
    'ServiceCapabilities', 'ServiceCapabilitiesExtension', 'Text', 'Type', 'Video', 'agp_caps_namespace', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:pidf:caps'
agp_caps_namespace = 'urn:ag-projects:xml:ns:pidf:caps'

PIDFDocument.register_namespace(namespace, prefix='caps', schema='caps.xsd')
PIDFDocument.register_namespace(agp_caps_namespace, prefix='agp-caps', schema='agp-caps.xsd')


class ServiceCapabilitiesExtension:
    """Marker of extensions of `ServiceCapabilities`."""


class DeviceCapabilitiesExtension:
    """Marker of extensions of `DeviceCapabilities`."""


class EventPackagesExtension:
    """Marker of further event packages."""


class PriorityExtension:
    """Marker of further kinds of priorities."""


class MethodsExtension:
    """Marker of further methods."""


class ExtensionsExtension:
    """Marker of further extensions of SIP."""


class MobilityExtension:
    """Marker of further kinds of mobility."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = PIDFDocument


# Groups: what is supported, and what is not

class _Words(XMLStringListElement, _Element):
    """A list of keywords."""

    _xml_is_base = True

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(items)


class _Group(_Element):
    """What is supported, and what is not: two lists, which may be None.

    Args:
        supported, not_supported: lists, or the items of them.
    """

    _xml_is_base = True
    _xml_children_order = {f'{{{namespace}}}{tag}': rank for rank, tag in enumerate(('supported', 'notsupported'))}
    supported: Any
    not_supported: Any

    def __init__(self, supported: Any = None, not_supported: Any = None) -> None:
        super().__init__()
        self.supported = supported
        self.not_supported = not_supported


class _Classes(_Words):
    _xml_item_words = ('business', 'personal')


class ClassSupported(_Classes, tag='supported'):
    """The classes of communication that are supported."""


class ClassNotSupported(_Classes, tag='notsupported'):
    """The classes of communication that are not."""


class Class(_Group, tag='class'):
    """Class of communication: `business`, `personal`."""

    supported = XMLElementChild('supported', type=ClassSupported)
    not_supported = XMLElementChild('not_supported', type=ClassNotSupported)


class _Duplexes(_Words):
    _xml_item_words = ('full', 'half', 'receive-only', 'send-only')


class DuplexSupported(_Duplexes, tag='supported'):
    """The ways of talking that are supported."""


class DuplexNotSupported(_Duplexes, tag='notsupported'):
    """The ways of talking that are not."""


class Duplex(_Group, tag='duplex'):
    """Who may talk when: `full`, `half`, `receive-only`, `send-only`."""

    supported = XMLElementChild('supported', type=DuplexSupported)
    not_supported = XMLElementChild('not_supported', type=DuplexNotSupported)


class _EventPackages(_Words):
    _xml_item_words = (
        'conference', 'dialog', 'kpml', 'message-summary', 'poc-settings', 'presence', 'reg', 'refer', 'Siemens-RTP-Stats', 'spirits-INDPs',
        'spirits-user-prof', 'winfo')
    _xml_item_extension_type = EventPackagesExtension


class EventPackagesSupported(_EventPackages, tag='supported'):
    """The event packages that are supported."""


class EventPackagesNotSupported(_EventPackages, tag='notsupported'):
    """The event packages that are not."""


class EventPackages(_Group, tag='event-packages'):
    """Event packages of SIP."""

    supported = XMLElementChild('supported', type=EventPackagesSupported)
    not_supported = XMLElementChild('not_supported', type=EventPackagesNotSupported)


class PriorityLowerthan(_Element, tag='lowerthan'):
    """Priorities up to a value."""

    maxvalue = XMLAttribute('maxvalue', type=int, required=True)

    def __init__(self, maxvalue: int) -> None:
        super().__init__()
        self.maxvalue = maxvalue


class PriorityHigherthan(_Element, tag='higherthan'):
    """Priorities from a value."""

    minvalue = XMLAttribute('minvalue', type=int, required=True)

    def __init__(self, minvalue: int) -> None:
        super().__init__()
        self.minvalue = minvalue


class PriorityEquals(_Element, tag='equals'):
    """One priority."""

    value = XMLAttribute('value', type=int, required=True)

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value


class PriorityRange(_Element, tag='range'):
    """Priorities between two values."""

    maxvalue = XMLAttribute('maxvalue', type=int, required=True)
    minvalue = XMLAttribute('minvalue', type=int, required=True)

    def __init__(self, maxvalue: int, minvalue: int) -> None:
        super().__init__()
        self.maxvalue = maxvalue
        self.minvalue = minvalue


class _Priorities(XMLListElement, _Element):
    _xml_is_base = True
    _xml_item_types = (PriorityLowerthan, PriorityHigherthan, PriorityEquals, PriorityRange, PriorityExtension)

    def __init__(self, priorities: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(priorities)


class PrioritySupported(_Priorities, tag='supported'):
    """The priorities that are supported."""


class PriorityNotSupported(_Priorities, tag='notsupported'):
    """The priorities that are not."""


class Priority(_Group, tag='priority'):
    """Priorities of calls."""

    supported = XMLElementChild('supported', type=PrioritySupported)
    not_supported = XMLElementChild('not_supported', type=PriorityNotSupported)


class _Methods(_Words):
    _xml_item_words = ('ACK', 'BYE', 'CANCEL', 'INFO', 'INVITE', 'MESSAGE', 'NOTIFY', 'OPTIONS', 'PRACK', 'PUBLISH', 'REFER', 'REGISTER', 'SUBSCRIBE', 'UPDATE')
    _xml_item_extension_type = MethodsExtension


class MethodsSupported(_Methods, tag='supported'):
    """The methods that are supported."""


class MethodsNotSupported(_Methods, tag='notsupported'):
    """The methods that are not."""


class Methods(_Group, tag='methods'):
    """Methods of SIP."""

    supported = XMLElementChild('supported', type=MethodsSupported)
    not_supported = XMLElementChild('not_supported', type=MethodsNotSupported)


class _Extensions(_Words):
    _xml_item_words = (
        'rel100', 'early-session', 'eventlist', 'from-change', 'gruu', 'histinfo', 'join', 'norefsub', 'path', 'precondition', 'pref', 'privacy',
        'recipient-list-invite', 'recipient-list-subscribe', 'replaces', 'resource-priority', 'sdp-anat', 'sec-agree', 'tdialog', 'timer')
    _xml_item_extension_type = ExtensionsExtension


class ExtensionsSupported(_Extensions, tag='supported'):
    """The extensions that are supported."""


class ExtensionsNotSupported(_Extensions, tag='notsupported'):
    """The extensions that are not."""


class Extensions(_Group, tag='extensions'):
    """Extensions of SIP, by their option tags; 100rel is called rel100."""

    supported = XMLElementChild('supported', type=ExtensionsSupported)
    not_supported = XMLElementChild('not_supported', type=ExtensionsNotSupported)


class Scheme(XMLStringElement, _Element, tag='s'):
    """A scheme of URIs; seen as str."""


class _Schemes(_Words):
    _xml_item_other_type = Scheme


class SchemesSupported(_Schemes, tag='supported'):
    """The schemes that are supported."""


class SchemesNotSupported(_Schemes, tag='notsupported'):
    """The schemes that are not."""


class Schemes(_Group, tag='schemes'):
    """Schemes of URIs."""

    supported = XMLElementChild('supported', type=SchemesSupported)
    not_supported = XMLElementChild('not_supported', type=SchemesNotSupported)


class _Actors(_Words):
    _xml_item_words = ('principal', 'attendant', 'msg-taker', 'information')


class ActorSupported(_Actors, tag='supported'):
    """Who may answer."""


class ActorNotSupported(_Actors, tag='notsupported'):
    """Who will not answer."""


class Actor(_Group, tag='actor'):
    """Who answers: `principal`, `attendant`, `msg-taker`, `information`."""

    supported = XMLElementChild('supported', type=ActorSupported)
    not_supported = XMLElementChild('not_supported', type=ActorNotSupported)


class Language(XMLStringElement, _Element, tag='l'):
    """A language; seen as str."""


class _Languages(_Words):
    _xml_item_other_type = Language


class LanguagesSupported(_Languages, tag='supported'):
    """The languages that are supported."""


class LanguagesNotSupported(_Languages, tag='notsupported'):
    """The languages that are not."""


class Languages(_Group, tag='languages'):
    """Language tags."""

    supported = XMLElementChild('supported', type=LanguagesSupported)
    not_supported = XMLElementChild('not_supported', type=LanguagesNotSupported)


# Services

class Audio(XMLBooleanElement, _Element, tag='audio'):
    """Whether audio is a medium of the service."""


class Application(XMLBooleanElement, _Element, tag='application'):
    """Whether application is a medium of the service."""


class Data(XMLBooleanElement, _Element, tag='data'):
    """Whether data is a medium of the service."""


class Control(XMLBooleanElement, _Element, tag='control'):
    """Whether control is a medium of the service."""


class Video(XMLBooleanElement, _Element, tag='video'):
    """Whether video is a medium of the service."""


class Text(XMLBooleanElement, _Element, tag='text'):
    """Whether text is a medium of the service."""


class Message(XMLBooleanElement, _Element, tag='message'):
    """Whether message is a medium of the service."""


class Automata(XMLBooleanElement, _Element, tag='automata'):
    """Whether a machine answers."""


class IsFocus(XMLBooleanElement, _Element, tag='isfocus'):
    """Whether the service is a conference."""


class Type(XMLStringElement, _Element, tag='type'):
    """A MIME type of content, such as text/plain."""


class Description(XMLLocalizedStringElement, _Element, tag='description'):
    """What it is, in words."""


class ServiceCapabilities(XMLListElement, _Element, ServiceExtension, tag='servcaps'):
    """What a service can do: `Service.capabilities`. Items are its descriptions.

    Args:
        audio, application, data, control, video, text, message, automata, is_focus: bool.
        communication_class, duplex, event_packages, priority, methods, extensions, schemes, actor, languages: groups.
        mime_type: type/subtype.
        descriptions: `Description`, or texts.
    """

    _xml_extension_type = ServiceCapabilitiesExtension
    _xml_item_types = (Description,)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate(
        (Actor, Application, Audio, Automata, Class, Control, Data, Description, Duplex, EventPackages, Extensions, IsFocus, Message, Methods, Languages,
         Priority, Schemes, Text, Type, Video))}
    audio = XMLElementChild('audio', type=Audio)
    application = XMLElementChild('application', type=Application)
    data = XMLElementChild('data', type=Data)
    control = XMLElementChild('control', type=Control)
    video = XMLElementChild('video', type=Video)
    text = XMLElementChild('text', type=Text)
    message = XMLElementChild('message', type=Message)
    mime_type = XMLElementChild('mime_type', type=Type)
    automata = XMLElementChild('automata', type=Automata)
    communication_class = XMLElementChild('communication_class', type=Class)
    duplex = XMLElementChild('duplex', type=Duplex)
    event_packages = XMLElementChild('event_packages', type=EventPackages)
    priority = XMLElementChild('priority', type=Priority)
    methods = XMLElementChild('methods', type=Methods)
    extensions = XMLElementChild('extensions', type=Extensions)
    schemes = XMLElementChild('schemes', type=Schemes)
    actor = XMLElementChild('actor', type=Actor)
    is_focus = XMLElementChild('is_focus', type=IsFocus)
    languages = XMLElementChild('languages', type=Languages)

    def __init__(self, audio: bool | None = None, application: bool | None = None, data: bool | None = None, control: bool | None = None,
                 video: bool | None = None, text: bool | None = None, message: bool | None = None, mime_type: str | None = None, automata: bool | None = None,
                 communication_class: Class | None = None, duplex: Duplex | None = None, event_packages: EventPackages | None = None,
                 priority: Priority | None = None, methods: Methods | None = None, extensions: Extensions | None = None, schemes: Schemes | None = None,
                 actor: Actor | None = None, is_focus: bool | None = None, languages: Languages | None = None, descriptions: Iterable[Any] = ()) -> None:
        super().__init__()
        self.audio = audio
        self.application = application
        self.data = data
        self.control = control
        self.video = video
        self.text = text
        self.message = message
        self.mime_type = mime_type
        self.automata = automata
        self.communication_class = communication_class
        self.duplex = duplex
        self.event_packages = event_packages
        self.priority = priority
        self.methods = methods
        self.extensions = extensions
        self.schemes = schemes
        self.actor = actor
        self.is_focus = is_focus
        self.languages = languages
        self.update(descriptions)

    def _encode_item(self, value: Any) -> XMLElement:
        return Description(value) if isinstance(value, str) else super()._encode_item(value)


Service.register_extension('capabilities', type=ServiceCapabilities)


# Devices

class _Mobilities(_Words):
    _xml_item_words = ('fixed', 'mobile')
    _xml_item_extension_type = MobilityExtension


class MobilitySupported(_Mobilities, tag='supported'):
    """Whether the device stays or moves."""


class MobilityNotSupported(_Mobilities, tag='notsupported'):
    """Whether the device does not stay, or not move."""


class Mobility(_Group, tag='mobility'):
    """`fixed`, `mobile`."""

    supported = XMLElementChild('supported', type=MobilitySupported)
    not_supported = XMLElementChild('not_supported', type=MobilityNotSupported)


class DeviceCapabilities(XMLListElement, _Element, DeviceExtension, tag='devcaps'):
    """What a device can do: `Device.capabilities`. Items are its descriptions.

    Args:
        mobility: `Mobility`.
        descriptions: `Description`, or texts.
    """

    _xml_extension_type = DeviceCapabilitiesExtension
    _xml_item_types = (Description,)
    _xml_children_order = {Description.qname: 0, Mobility.qname: 1}
    mobility = XMLElementChild('mobility', type=Mobility)

    def __init__(self, mobility: Mobility | None = None, descriptions: Iterable[Any] = ()) -> None:
        super().__init__()
        self.mobility = mobility
        self.update(descriptions)

    def _encode_item(self, value: Any) -> XMLElement:
        return Description(value) if isinstance(value, str) else super()._encode_item(value)


Device.register_extension('capabilities', type=DeviceCapabilities)


# Private extensions

class _Private(XMLBooleanElement, ServiceCapabilitiesExtension):
    _xml_is_base: ClassVar[bool] = True
    _xml_namespace = agp_caps_namespace
    _xml_document = PIDFDocument


class FileTransfer(_Private, tag='file-transfer'):
    """Whether files may be sent: `ServiceCapabilities.file_transfer`."""


class ScreenSharing(_Private, tag='screen-sharing'):
    """Whether screens may be shared, as earlier releases say it: `ServiceCapabilities.screen_sharing`."""


class ScreenSharingServer(_Private, tag='screen-sharing-server'):
    """Whether the screen may be shown to others: `ServiceCapabilities.screen_sharing_server`."""


class ScreenSharingClient(_Private, tag='screen-sharing-client'):
    """Whether others may show their screens: `ServiceCapabilities.screen_sharing_client`."""


ServiceCapabilities.register_extension('file_transfer', type=FileTransfer)
ServiceCapabilities.register_extension('screen_sharing', type=ScreenSharing)
ServiceCapabilities.register_extension('screen_sharing_server', type=ScreenSharingServer)
ServiceCapabilities.register_extension('screen_sharing_client', type=ScreenSharingClient)
