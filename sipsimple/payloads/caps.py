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
    XMLEmptyElementRegistryType,
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
    supported: Any
    not_supported: Any

    def __init__(self, supported: Any = None, not_supported: Any = None) -> None:
        super().__init__()
        self.supported = supported
        self.not_supported = not_supported


_TAGS = ('supported', 'notsupported')
_ORDER: dict[str | None, int] = {f'{{{namespace}}}{tag}': rank for rank, tag in enumerate(_TAGS)}


class _CommunicationClassRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('business', 'personal')


class ClassSupported(_Words):
    """The classes of communication that are supported."""

    _xml_tag = 'supported'
    _xml_item_registry = _CommunicationClassRegistry


class ClassNotSupported(_Words):
    """The classes of communication that are not."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _CommunicationClassRegistry


class Class(_Group):
    """Class of communication: `business`, `personal`."""

    _xml_tag = 'class'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=ClassSupported)
    not_supported = XMLElementChild('not_supported', type=ClassNotSupported)


class _DuplexRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('full', 'half', 'receive-only', 'send-only')


class DuplexSupported(_Words):
    """The ways of talking that are supported."""

    _xml_tag = 'supported'
    _xml_item_registry = _DuplexRegistry


class DuplexNotSupported(_Words):
    """The ways of talking that are not."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _DuplexRegistry


class Duplex(_Group):
    """Who may talk when: `full`, `half`, `receive-only`, `send-only`."""

    _xml_tag = 'duplex'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=DuplexSupported)
    not_supported = XMLElementChild('not_supported', type=DuplexNotSupported)


class _EventPackagesRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('conference', 'dialog', 'kpml', 'message-summary', 'poc-settings', 'presence', 'reg', 'refer', 'Siemens-RTP-Stats', 'spirits-INDPs',
             'spirits-user-prof', 'winfo')


class EventPackagesSupported(_Words):
    """The event packages that are supported."""

    _xml_tag = 'supported'
    _xml_item_registry = _EventPackagesRegistry
    _xml_item_extension_type = EventPackagesExtension


class EventPackagesNotSupported(_Words):
    """The event packages that are not."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _EventPackagesRegistry
    _xml_item_extension_type = EventPackagesExtension


class EventPackages(_Group):
    """Event packages of SIP."""

    _xml_tag = 'event-packages'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=EventPackagesSupported)
    not_supported = XMLElementChild('not_supported', type=EventPackagesNotSupported)


class PriorityLowerthan(_Element):
    """Priorities up to a value."""

    _xml_tag = 'lowerthan'
    maxvalue = XMLAttribute('maxvalue', type=int, required=True)

    def __init__(self, maxvalue: int) -> None:
        super().__init__()
        self.maxvalue = maxvalue


class PriorityHigherthan(_Element):
    """Priorities from a value."""

    _xml_tag = 'higherthan'
    minvalue = XMLAttribute('minvalue', type=int, required=True)

    def __init__(self, minvalue: int) -> None:
        super().__init__()
        self.minvalue = minvalue


class PriorityEquals(_Element):
    """One priority."""

    _xml_tag = 'equals'
    value = XMLAttribute('value', type=int, required=True)

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value


class PriorityRange(_Element):
    """Priorities between two values."""

    _xml_tag = 'range'
    maxvalue = XMLAttribute('maxvalue', type=int, required=True)
    minvalue = XMLAttribute('minvalue', type=int, required=True)

    def __init__(self, maxvalue: int, minvalue: int) -> None:
        super().__init__()
        self.maxvalue = maxvalue
        self.minvalue = minvalue


class _Priorities(XMLListElement, _Element):
    _xml_is_base = True

    def __init__(self, priorities: Iterable[Any] = ()) -> None:
        super().__init__()
        self.update(priorities)


class PrioritySupported(_Priorities):
    """The priorities that are supported."""

    _xml_tag = 'supported'
    _xml_item_types = (PriorityLowerthan, PriorityHigherthan, PriorityEquals, PriorityRange, PriorityExtension)


class PriorityNotSupported(_Priorities):
    """The priorities that are not."""

    _xml_tag = 'notsupported'
    _xml_item_types = (PriorityLowerthan, PriorityHigherthan, PriorityEquals, PriorityRange, PriorityExtension)


class Priority(_Group):
    """Priorities of calls."""

    _xml_tag = 'priority'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=PrioritySupported)
    not_supported = XMLElementChild('not_supported', type=PriorityNotSupported)


class _MethodsRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('ACK', 'BYE', 'CANCEL', 'INFO', 'INVITE', 'MESSAGE', 'NOTIFY', 'OPTIONS', 'PRACK', 'PUBLISH', 'REFER', 'REGISTER', 'SUBSCRIBE', 'UPDATE')


class MethodsSupported(_Words):
    """The methods that are supported."""

    _xml_tag = 'supported'
    _xml_item_registry = _MethodsRegistry
    _xml_item_extension_type = MethodsExtension


class MethodsNotSupported(_Words):
    """The methods that are not."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _MethodsRegistry
    _xml_item_extension_type = MethodsExtension


class Methods(_Group):
    """Methods of SIP."""

    _xml_tag = 'methods'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=MethodsSupported)
    not_supported = XMLElementChild('not_supported', type=MethodsNotSupported)


class _ExtensionsRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('rel100', 'early-session', 'eventlist', 'from-change', 'gruu', 'histinfo', 'join', 'norefsub', 'path', 'precondition', 'pref', 'privacy',
             'recipient-list-invite', 'recipient-list-subscribe', 'replaces', 'resource-priority', 'sdp-anat', 'sec-agree', 'tdialog', 'timer')


class ExtensionsSupported(_Words):
    """The extensions that are supported."""

    _xml_tag = 'supported'
    _xml_item_registry = _ExtensionsRegistry
    _xml_item_extension_type = ExtensionsExtension


class ExtensionsNotSupported(_Words):
    """The extensions that are not."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _ExtensionsRegistry
    _xml_item_extension_type = ExtensionsExtension


class Extensions(_Group):
    """Extensions of SIP, by their option tags; 100rel is called rel100."""

    _xml_tag = 'extensions'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=ExtensionsSupported)
    not_supported = XMLElementChild('not_supported', type=ExtensionsNotSupported)


class Scheme(XMLStringElement, _Element):
    """A scheme of URIs; seen as str."""

    _xml_tag = 's'


class SchemesSupported(_Words):
    """The schemes that are supported."""

    _xml_tag = 'supported'
    _xml_item_other_type = Scheme


class SchemesNotSupported(_Words):
    """The schemes that are not."""

    _xml_tag = 'notsupported'
    _xml_item_other_type = Scheme


class Schemes(_Group):
    """Schemes of URIs."""

    _xml_tag = 'schemes'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=SchemesSupported)
    not_supported = XMLElementChild('not_supported', type=SchemesNotSupported)


class _ActorRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('principal', 'attendant', 'msg-taker', 'information')


class ActorSupported(_Words):
    """Who may answer."""

    _xml_tag = 'supported'
    _xml_item_registry = _ActorRegistry


class ActorNotSupported(_Words):
    """Who will not answer."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _ActorRegistry


class Actor(_Group):
    """Who answers: `principal`, `attendant`, `msg-taker`, `information`."""

    _xml_tag = 'actor'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=ActorSupported)
    not_supported = XMLElementChild('not_supported', type=ActorNotSupported)


class Language(XMLStringElement, _Element):
    """A language; seen as str."""

    _xml_tag = 'l'


class LanguagesSupported(_Words):
    """The languages that are supported."""

    _xml_tag = 'supported'
    _xml_item_other_type = Language


class LanguagesNotSupported(_Words):
    """The languages that are not."""

    _xml_tag = 'notsupported'
    _xml_item_other_type = Language


class Languages(_Group):
    """Language tags."""

    _xml_tag = 'languages'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=LanguagesSupported)
    not_supported = XMLElementChild('not_supported', type=LanguagesNotSupported)


# Services

class Audio(XMLBooleanElement, _Element):
    """Whether audio is a medium of the service."""

    _xml_tag = 'audio'


class Application(XMLBooleanElement, _Element):
    """Whether application is a medium of the service."""

    _xml_tag = 'application'


class Data(XMLBooleanElement, _Element):
    """Whether data is a medium of the service."""

    _xml_tag = 'data'


class Control(XMLBooleanElement, _Element):
    """Whether control is a medium of the service."""

    _xml_tag = 'control'


class Video(XMLBooleanElement, _Element):
    """Whether video is a medium of the service."""

    _xml_tag = 'video'


class Text(XMLBooleanElement, _Element):
    """Whether text is a medium of the service."""

    _xml_tag = 'text'


class Message(XMLBooleanElement, _Element):
    """Whether message is a medium of the service."""

    _xml_tag = 'message'


class Automata(XMLBooleanElement, _Element):
    """Whether a machine answers."""

    _xml_tag = 'automata'


class IsFocus(XMLBooleanElement, _Element):
    """Whether the service is a conference."""

    _xml_tag = 'isfocus'


class Type(XMLStringElement, _Element):
    """A MIME type of content, such as text/plain."""

    _xml_tag = 'type'


class Description(XMLLocalizedStringElement, _Element):
    """What it is, in words."""

    _xml_tag = 'description'


class ServiceCapabilities(XMLListElement, _Element, ServiceExtension):
    """What a service can do: `Service.capabilities`. Items are its descriptions.

    Args:
        audio, application, data, control, video, text, message, automata, is_focus: bool.
        communication_class, duplex, event_packages, priority, methods, extensions, schemes, actor, languages: groups.
        mime_type: type/subtype.
        descriptions: `Description`, or texts.
    """

    _xml_tag = 'servcaps'
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

class _MobilityRegistry(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = PIDFDocument
    names = ('fixed', 'mobile')


class MobilitySupported(_Words):
    """Whether the device stays or moves."""

    _xml_tag = 'supported'
    _xml_item_registry = _MobilityRegistry
    _xml_item_extension_type = MobilityExtension


class MobilityNotSupported(_Words):
    """Whether the device does not stay, or not move."""

    _xml_tag = 'notsupported'
    _xml_item_registry = _MobilityRegistry
    _xml_item_extension_type = MobilityExtension


class Mobility(_Group):
    """`fixed`, `mobile`."""

    _xml_tag = 'mobility'
    _xml_children_order = _ORDER
    supported = XMLElementChild('supported', type=MobilitySupported)
    not_supported = XMLElementChild('not_supported', type=MobilityNotSupported)


class DeviceCapabilities(XMLListElement, _Element, DeviceExtension):
    """What a device can do: `Device.capabilities`. Items are its descriptions.

    Args:
        mobility: `Mobility`.
        descriptions: `Description`, or texts.
    """

    _xml_tag = 'devcaps'
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


class FileTransfer(_Private):
    """Whether files may be sent: `ServiceCapabilities.file_transfer`."""

    _xml_tag = 'file-transfer'


class ScreenSharing(_Private):
    """Whether screens may be shared, as earlier releases say it: `ServiceCapabilities.screen_sharing`."""

    _xml_tag = 'screen-sharing'


class ScreenSharingServer(_Private):
    """Whether the screen may be shown to others: `ServiceCapabilities.screen_sharing_server`."""

    _xml_tag = 'screen-sharing-server'


class ScreenSharingClient(_Private):
    """Whether others may show their screens: `ServiceCapabilities.screen_sharing_client`."""

    _xml_tag = 'screen-sharing-client'


ServiceCapabilities.register_extension('file_transfer', type=FileTransfer)
ServiceCapabilities.register_extension('screen_sharing', type=ScreenSharing)
ServiceCapabilities.register_extension('screen_sharing_server', type=ScreenSharingServer)
ServiceCapabilities.register_extension('screen_sharing_client', type=ScreenSharingClient)
