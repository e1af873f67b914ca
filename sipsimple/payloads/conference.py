"""State of conferences: application/conference-info+xml, RFC 4575."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLBooleanElement,
    XMLDateTimeElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementID,
    XMLKeywordElement,
    XMLListElement,
    XMLRootElement,
    XMLStringElement,
    XMLUnsignedIntElement,
)
from sipsimple.payloads.datatypes import AnyURI, Keyword, UnsignedInt

__all__ = [
    'Active', 'AssociatedAors', 'AvailableMedia', 'AvailableMediaEntry', 'CallInfo', 'CascadedFocus', 'ConfUris', 'ConfUrisEntry', 'Conference',
    'ConferenceDescription', 'ConferenceDescriptionExtension', 'ConferenceDocument', 'ConferenceState', 'DisconnectionInfo', 'DisconnectionMethod',
    'DisplayText', 'Endpoint', 'EndpointExtension', 'EndpointStatus', 'ExecutionInfo', 'FileResource', 'FileResources', 'FreeText', 'HostInfo',
    'HostInfoUris', 'JoiningInfo', 'JoiningMethod', 'Keywords', 'Languages', 'Locked', 'MaximumUserCount', 'Media', 'MediaStatus', 'Referred', 'Resources',
    'Role', 'Roles', 'ScreenImageURL', 'ServiceUris', 'ServiceUrisEntry', 'SidebarsByRef', 'SidebarsByVal', 'SidebarsByValEntry', 'Sip', 'State',
    'Subject', 'UrisTypeEntry', 'UrisTypeModified', 'User', 'UserCount', 'UserExtension', 'Users', 'WebPage', 'agp_conf_namespace', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:conference-info'
agp_conf_namespace = 'urn:ag-projects:xml:ns:conference-info'


class ConferenceDocument(XMLDocument):
    """A document of conference state."""

    content_type = 'application/conference-info+xml'


ConferenceDocument.register_namespace(namespace, prefix=None, schema='conference.xsd')
ConferenceDocument.register_namespace(agp_conf_namespace, prefix='agp-conf', schema='agp-conference.xsd')


class ConferenceDescriptionExtension:
    """Marker of extensions of `ConferenceDescription`."""


class UserExtension:
    """Marker of extensions of `User`."""


class EndpointExtension:
    """Marker of extensions of `Endpoint`."""


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = ConferenceDocument


# Values

class State(Keyword):
    """`full`, `partial` or `deleted` (RFC 4575, 4.4)."""

    __slots__ = ()
    words = frozenset({'full', 'partial', 'deleted'})


# Small elements

class DisplayText(XMLStringElement, _Element, tag='display-text'):
    """What to show of the thing."""


class When(XMLDateTimeElement, _Element, tag='when'):
    """When something was done."""


class Reason(XMLStringElement, _Element, tag='reason'):
    """Why something was done."""


class By(XMLStringElement, _Element, tag='by'):
    """Who did it."""


class ExecutionInfo(_Element):
    """When, why and by whom something was done.

    Args:
        when: datetime or ISO 8601 text.
        reason: text.
        by: URI.
    """

    when = XMLElementChild('when', type=When)
    reason = XMLElementChild('reason', type=Reason)
    by = XMLElementChild('by', type=By)
    _xml_children_order = {When.qname: 0, Reason.qname: 1, By.qname: 2}

    def __init__(self, when: Any = None, reason: str | None = None, by: str | None = None) -> None:
        super().__init__()
        self.when = when
        self.reason = reason
        self.by = by


class UrisTypeModified(ExecutionInfo, tag='modified'):
    """The last change of a URI's entry."""


class URI(XMLAnyURIElement, _Element, tag='uri'):
    """The URI of an entry."""


class Purpose(XMLStringElement, _Element, tag='purpose'):
    """What a URI is for."""


class UrisTypeEntry(_Element, tag='entry'):
    """A URI.

    Args:
        uri: the URI.
        state: of the entry, for partial updates.
        display_text, purpose: text.
        modified: `UrisTypeModified`.
    """

    state = XMLAttribute('state', type=State, default='full')
    uri = XMLElementChild('uri', type=URI, required=True)
    display_text = XMLElementChild('display_text', type=DisplayText)
    purpose = XMLElementChild('purpose', type=Purpose)
    modified = XMLElementChild('modified', type=UrisTypeModified)
    _xml_children_order = {URI.qname: 0, DisplayText.qname: 1, Purpose.qname: 2, UrisTypeModified.qname: 3}

    def __init__(self, uri: str, state: str | None = None, display_text: str | None = None, purpose: str | None = None,
                 modified: UrisTypeModified | None = None) -> None:
        super().__init__()
        self.uri = uri
        self.state = state
        self.display_text = display_text
        self.purpose = purpose
        self.modified = modified


class _Uris(XMLListElement, _Element):
    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, entries: Iterable[UrisTypeEntry] = (), state: str | None = None) -> None:
        super().__init__()
        self.state = state
        self.update(entries)


# conference-description

class Subject(XMLStringElement, _Element, tag='subject'):
    """What the conference is about."""


class FreeText(XMLStringElement, _Element, tag='free-text'):
    """Anything about the conference."""


class Keywords(XMLStringElement, _Element, tag='keywords'):
    """Words to find the conference by, separated by blanks."""


class ConfUriPurpose(XMLKeywordElement, _Element, tag='purpose'):
    """`participation` or `streaming`."""

    _xml_value_words = ('participation', 'streaming')


class ConfUrisEntry(UrisTypeEntry):
    """A URI by which the conference is joined."""

    purpose = XMLElementChild('purpose', type=ConfUriPurpose)


class ConfUris(_Uris, tag='conf-uris'):
    """URIs by which the conference is joined."""

    _xml_item_types = (ConfUrisEntry,)


class ServiceUriPurpose(XMLKeywordElement, _Element, tag='purpose'):
    """`web-page`, `recording` or `event`."""

    _xml_value_words = ('web-page', 'recording', 'event')


class ServiceUrisEntry(UrisTypeEntry):
    """A URI of a service of the conference."""

    purpose = XMLElementChild('purpose', type=ServiceUriPurpose)


class ServiceUris(_Uris, tag='service-uris'):
    """URIs of services of the conference."""

    _xml_item_types = (ServiceUrisEntry,)


class MaximumUserCount(XMLUnsignedIntElement, _Element, tag='maximum-user-count'):
    """How many may take part."""




class MediaType(XMLStringElement, _Element, tag='type'):
    """`audio`, `video`, `text`, `message`, or another top-level media type."""


class MediaStatus(XMLKeywordElement, _Element, tag='status'):
    """`sendrecv`, `sendonly`, `recvonly` or `inactive`, seen from the focus for available media, from the participant otherwise."""

    _xml_value_words = ('sendrecv', 'sendonly', 'recvonly', 'inactive')


class AvailableMediaEntry(_Element, tag='entry'):
    """A medium of the conference.

    Args:
        label: how participants' media name it (RFC 4574).
        media_type: `audio`, `video`, `text` or `message`.
        display_text: text.
        status: direction.
    """

    label = XMLElementID('label', type=str, required=True)
    display_text = XMLElementChild('display_text', type=DisplayText)
    media_type = XMLElementChild('media_type', type=MediaType, required=True)
    status = XMLElementChild('status', type=MediaStatus)
    _xml_children_order = {DisplayText.qname: 0, MediaType.qname: 1, MediaStatus.qname: 2}

    def __init__(self, label: str, media_type: str, display_text: str | None = None, status: str | None = None) -> None:
        super().__init__()
        self.label = label
        self.media_type = media_type
        self.display_text = display_text
        self.status = status


class AvailableMedia(XMLListElement, _Element, tag='available-media'):
    """The media of the conference."""

    _xml_item_types = (AvailableMediaEntry,)

    def __init__(self, entries: Iterable[AvailableMediaEntry] = ()) -> None:
        super().__init__()
        self.update(entries)


class ConferenceDescription(_Element, tag='conference-description'):
    """What the conference is.

    Args:
        display_text, subject, free_text, keywords: text.
        conf_uris, service_uris, available_media: lists, or the entries of them.
        maximum_user_count: number.
        state: of the element, for partial updates.
    """

    _xml_extension_type = ConferenceDescriptionExtension
    state = XMLAttribute('state', type=State, default='full')
    display_text = XMLElementChild('display_text', type=DisplayText)
    subject = XMLElementChild('subject', type=Subject)
    free_text = XMLElementChild('free_text', type=FreeText)
    keywords = XMLElementChild('keywords', type=Keywords)
    conf_uris = XMLElementChild('conf_uris', type=ConfUris)
    service_uris = XMLElementChild('service_uris', type=ServiceUris)
    maximum_user_count = XMLElementChild('maximum_user_count', type=MaximumUserCount)
    available_media = XMLElementChild('available_media', type=AvailableMedia)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate(
        (DisplayText, Subject, FreeText, Keywords, ConfUris, ServiceUris, MaximumUserCount, AvailableMedia))}

    def __init__(self, display_text: str | None = None, subject: str | None = None, free_text: str | None = None, keywords: str | None = None,
                 conf_uris: Any = None, service_uris: Any = None, maximum_user_count: int | None = None, available_media: Any = None,
                 state: str | None = None) -> None:
        super().__init__()
        self.state = state
        self.display_text = display_text
        self.subject = subject
        self.free_text = free_text
        self.keywords = keywords
        self.conf_uris = conf_uris
        self.service_uris = service_uris
        self.maximum_user_count = maximum_user_count
        self.available_media = available_media


# host-info

class WebPage(XMLAnyURIElement, _Element, tag='web-page'):
    """The page of whoever hosts the conference."""


class HostInfoUris(_Uris, tag='uris'):
    """URIs of whoever hosts the conference."""

    _xml_item_types = (UrisTypeEntry,)


class HostInfo(_Element, tag='host-info'):
    """Who hosts the conference."""

    display_text = XMLElementChild('display_text', type=DisplayText)
    web_page = XMLElementChild('web_page', type=WebPage)
    uris = XMLElementChild('uris', type=HostInfoUris)
    _xml_children_order = {DisplayText.qname: 0, WebPage.qname: 1, HostInfoUris.qname: 2}

    def __init__(self, display_text: str | None = None, web_page: str | None = None, uris: Any = None) -> None:
        super().__init__()
        self.display_text = display_text
        self.web_page = web_page
        self.uris = uris


# conference-state

class UserCount(XMLUnsignedIntElement, _Element, tag='user-count'):
    """How many take part."""


class Active(XMLBooleanElement, _Element, tag='active'):
    """Whether the conference goes on."""


class Locked(XMLBooleanElement, _Element, tag='locked'):
    """Whether nobody may join any more."""


class ConferenceState(_Element, tag='conference-state'):
    """How the conference is."""

    user_count = XMLElementChild('user_count', type=UserCount)
    active = XMLElementChild('active', type=Active)
    locked = XMLElementChild('locked', type=Locked)
    _xml_children_order = {UserCount.qname: 0, Active.qname: 1, Locked.qname: 2}

    def __init__(self, user_count: int | None = None, active: bool | None = None, locked: bool | None = None) -> None:
        super().__init__()
        self.user_count = user_count
        self.active = active
        self.locked = locked


# users

class AssociatedAors(_Uris, tag='associated-aors'):
    """Other addresses of a participant."""

    _xml_item_types = (UrisTypeEntry,)


class Role(XMLStringElement, _Element, tag='entry'):
    """What a participant is there: any text."""


class Roles(XMLListElement, _Element, tag='roles'):
    """What a participant is in the conference."""

    _xml_item_types = (Role,)

    def __init__(self, roles: Iterable[Role | str] = ()) -> None:
        super().__init__()
        self.update(roles)

    def _encode_item(self, value: Any) -> XMLElement:
        return Role(value) if isinstance(value, str) else super()._encode_item(value)


class Languages(XMLStringElement, _Element, tag='languages'):
    """Language tags, separated by blanks."""


class CascadedFocus(XMLAnyURIElement, _Element, tag='cascaded-focus'):
    """The URI of the conference that the user is."""


class Referred(ExecutionInfo, tag='referred'):
    """How an endpoint was sent here."""


class EndpointStatus(XMLKeywordElement, _Element, tag='status'):
    """`connected`, `disconnected`, `on-hold`, `muted-via-focus`, `pending`, `alerting`, `dialing-in`, `dialing-out` or `disconnecting`."""

    _xml_value_words = ('connected', 'disconnected', 'on-hold', 'muted-via-focus', 'pending', 'alerting', 'dialing-in', 'dialing-out', 'disconnecting')


class JoiningMethod(XMLKeywordElement, _Element, tag='joining-method'):
    """`dialed-in`, `dialed-out` or `focus-owner`."""

    _xml_value_words = ('dialed-in', 'dialed-out', 'focus-owner')


class JoiningInfo(ExecutionInfo, tag='joining-info'):
    """How an endpoint came."""


class DisconnectionMethod(XMLKeywordElement, _Element, tag='disconnection-method'):
    """`departed`, `booted`, `failed` or `busy`."""

    _xml_value_words = ('departed', 'booted', 'failed', 'busy')


class DisconnectionInfo(ExecutionInfo, tag='disconnection-info'):
    """How an endpoint went."""


class Label(XMLStringElement, _Element, tag='label'):
    """The label of a medium (RFC 4574)."""


class SrcId(XMLStringElement, _Element, tag='src-id'):
    """What marks the packets of a medium, for RTP the SSRC."""


class Media(_Element, tag='media'):
    """A medium of an endpoint.

    Args:
        id: unique in the endpoint.
        display_text, media_type, label, src_id: text.
        status: direction.
    """

    id = XMLElementID('id', type=str, required=True)
    display_text = XMLElementChild('display_text', type=DisplayText)
    media_type = XMLElementChild('media_type', type=MediaType)
    label = XMLElementChild('label', type=Label)
    src_id = XMLElementChild('src_id', type=SrcId)
    status = XMLElementChild('status', type=MediaStatus)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate((DisplayText, MediaType, Label, SrcId, MediaStatus))}

    def __init__(self, id: str, display_text: str | None = None, media_type: str | None = None, label: str | None = None, src_id: str | None = None,
                 status: str | None = None) -> None:
        super().__init__()
        self.id = id
        self.display_text = display_text
        self.media_type = media_type
        self.label = label
        self.src_id = src_id
        self.status = status


class CallId(XMLStringElement, _Element, tag='call-id'):
    """Call-ID of the dialog."""


class FromTag(XMLStringElement, _Element, tag='from-tag'):
    """Tag of the From header."""


class ToTag(XMLStringElement, _Element, tag='to-tag'):
    """Tag of the To header."""


class Sip(_Element, tag='sip'):
    """The dialog of an endpoint."""

    display_text = XMLElementChild('display_text', type=DisplayText)
    call_id = XMLElementChild('call_id', type=CallId, required=True)
    from_tag = XMLElementChild('from_tag', type=FromTag, required=True)
    to_tag = XMLElementChild('to_tag', type=ToTag, required=True)
    _xml_children_order = {DisplayText.qname: 0, CallId.qname: 1, FromTag.qname: 2, ToTag.qname: 3}

    def __init__(self, display_text: str | None = None, call_id: str | None = None, from_tag: str | None = None, to_tag: str | None = None) -> None:
        super().__init__()
        self.display_text = display_text
        self.call_id = call_id
        self.from_tag = from_tag
        self.to_tag = to_tag


class CallInfo(_Element, tag='call-info'):
    """The call of an endpoint."""

    sip = XMLElementChild('sip', type=Sip)

    def __init__(self, sip: Sip | None = None) -> None:
        super().__init__()
        self.sip = sip


class Endpoint(XMLListElement, _Element, tag='endpoint'):
    """A device of a participant.

    Args:
        entity: what tells the endpoints of a user apart, usually the contact URI.
        state: of the element, for partial updates; full when not told.
        display_text: text.
        referred, joining_info, disconnection_info: `ExecutionInfo` of their kind.
        status, joining_method, disconnection_method: keywords.
        call_info: `CallInfo`.
        media: the media.
    """

    _xml_extension_type = EndpointExtension
    _xml_item_types = (Media,)
    entity = XMLElementID('entity', type=str, required=True)
    state = XMLAttribute('state', type=State, default='full')
    display_text = XMLElementChild('display_text', type=DisplayText)
    referred = XMLElementChild('referred', type=Referred)
    status = XMLElementChild('status', type=EndpointStatus)
    joining_method = XMLElementChild('joining_method', type=JoiningMethod)
    joining_info = XMLElementChild('joining_info', type=JoiningInfo)
    disconnection_method = XMLElementChild('disconnection_method', type=DisconnectionMethod)
    disconnection_info = XMLElementChild('disconnection_info', type=DisconnectionInfo)
    call_info = XMLElementChild('call_info', type=CallInfo)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate(
        (DisplayText, Referred, EndpointStatus, JoiningMethod, JoiningInfo, DisconnectionMethod, DisconnectionInfo, Media, CallInfo))}

    def __init__(self, entity: str, state: str = 'full', display_text: str | None = None, referred: Referred | None = None, status: str | None = None,
                 joining_method: str | None = None, joining_info: JoiningInfo | None = None, disconnection_method: str | None = None,
                 disconnection_info: DisconnectionInfo | None = None, call_info: CallInfo | None = None, media: Iterable[Media] = ()) -> None:
        super().__init__()
        self.entity = entity
        self.state = state
        self.display_text = display_text
        self.referred = referred
        self.status = status
        self.joining_method = joining_method
        self.joining_info = joining_info
        self.disconnection_method = disconnection_method
        self.disconnection_info = disconnection_info
        self.call_info = call_info
        self.update(media)


class User(XMLListElement, _Element, tag='user'):
    """A participant.

    Args:
        entity: URI of the participant.
        state: of the element, for partial updates.
        display_text, languages: text.
        associated_aors, roles: lists, or the entries of them.
        cascaded_focus: URI of the conference that the user is.
        endpoints: the devices.
    """

    _xml_extension_type = UserExtension
    _xml_item_types = (Endpoint,)
    entity = XMLElementID('entity', type=AnyURI, required=True)
    state = XMLAttribute('state', type=State, default='full')
    display_text = XMLElementChild('display_text', type=DisplayText)
    associated_aors = XMLElementChild('associated_aors', type=AssociatedAors)
    roles = XMLElementChild('roles', type=Roles)
    languages = XMLElementChild('languages', type=Languages)
    cascaded_focus = XMLElementChild('cascaded_focus', type=CascadedFocus)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate((DisplayText, AssociatedAors, Roles, Languages, CascadedFocus, Endpoint))}

    def __init__(self, entity: str, state: str = 'full', display_text: str | None = None, associated_aors: Any = None, roles: Any = None,
                 languages: str | None = None, cascaded_focus: str | None = None, endpoints: Iterable[Endpoint] = ()) -> None:
        super().__init__()
        self.entity = entity
        self.state = state
        self.display_text = display_text
        self.associated_aors = associated_aors
        self.roles = roles
        self.languages = languages
        self.cascaded_focus = cascaded_focus
        self.update(endpoints)


class Users(XMLListElement, _Element, tag='users'):
    """The participants."""

    _xml_item_types = (User,)
    _xml_children_order = {User.qname: 0}
    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, users: Iterable[User] = (), state: str = 'full') -> None:
        super().__init__()
        self.state = state
        self.update(users)


# The conference and its sidebars

class SidebarsByRef(_Uris, tag='sidebars-by-ref'):
    """URIs of the conferences beside this one."""

    _xml_item_types = (UrisTypeEntry,)


class SidebarsByVal(XMLListElement, _Element, tag='sidebars-by-val'):
    """The conferences beside this one."""

    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, entries: Iterable[SidebarsByValEntry] = (), state: str = 'full') -> None:
        super().__init__()
        self.state = state
        self.update(entries)


class _ConferenceType(_Element):
    entity = XMLElementID('entity', type=AnyURI, required=True)
    state = XMLAttribute('state', type=State, default='full')
    version = XMLAttribute('version', type=UnsignedInt)
    conference_description = XMLElementChild('conference_description', type=ConferenceDescription)
    host_info = XMLElementChild('host_info', type=HostInfo)
    conference_state = XMLElementChild('conference_state', type=ConferenceState)
    users = XMLElementChild('users', type=Users)
    sidebars_by_ref = XMLElementChild('sidebars_by_ref', type=SidebarsByRef)
    sidebars_by_val = XMLElementChild('sidebars_by_val', type=SidebarsByVal)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate(
        (ConferenceDescription, HostInfo, ConferenceState, Users, SidebarsByRef, SidebarsByVal))}

    def __init__(self, entity: str, state: str = 'full', version: int | None = None, conference_description: ConferenceDescription | None = None,
                 host_info: HostInfo | None = None, conference_state: ConferenceState | None = None, users: Any = None, sidebars_by_ref: Any = None,
                 sidebars_by_val: Any = None) -> None:
        super().__init__()
        self.entity = entity
        self.state = state
        self.version = version
        self.conference_description = conference_description
        self.host_info = host_info
        self.conference_state = conference_state
        self.users = users
        self.sidebars_by_ref = sidebars_by_ref
        self.sidebars_by_val = sidebars_by_val
        if self.state == 'full' and (conference_description is None or users is None):
            raise ValidationError('the full state of a conference has its description and its users')

    def check_validity(self) -> None:
        """Look whether a full state has description and users."""
        super().check_validity()
        if self.state == 'full' and (self.conference_description is None or self.users is None):
            raise ValidationError('the full state of a conference has its description and its users')


class SidebarsByValEntry(_ConferenceType, tag='entry'):
    """A conference beside another one; arguments as of `Conference`."""


SidebarsByVal._add_item_type(SidebarsByValEntry)


class Conference(XMLRootElement, _ConferenceType, tag='conference-info'):
    """The state of a conference.

    Args:
        entity: URI of the conference.
        state: `full` (description and users are needed then), `partial` or `deleted`.
        version: number of the document; grows by one with each.
        conference_description, host_info, conference_state: elements.
        users, sidebars_by_ref, sidebars_by_val: lists, or the entries of them.

    Raises:
        ValidationError: a full state without description or users.
    """

    def changed_by(self, partial: Conference) -> Conference:
        """Return the full state that there is after a partial document, RFC 4575 section 4.6; this one, which is full, stays as it is.

        Raises:
            ValidationError: what comes of it is no valid state.
        """
        from sipsimple.payloads._conference_changes import apply
        return apply(self, partial)


# Extensions

class FileResource(_Element, tag='file'):
    """A file that was sent to the conference.

    Args:
        name: of the file.
        hash: as in SDP (RFC 5547).
        size: bytes.
        sender: URI.
        status: text.
    """

    _xml_namespace = agp_conf_namespace
    name = XMLAttribute('name', type=str, required=True)
    hash = XMLAttribute('hash', type=str, required=True)
    size = XMLAttribute('size', type=int, required=True)
    sender = XMLAttribute('sender', type=str, required=True)
    status = XMLAttribute('status', type=str, required=True)

    def __init__(self, name: str, hash: str, size: int, sender: str, status: str) -> None:
        super().__init__()
        self.name = name
        self.hash = hash
        self.size = size
        self.sender = sender
        self.status = status


class FileResources(XMLListElement, _Element, tag='files'):
    """The files that were sent to the conference."""

    _xml_namespace = agp_conf_namespace
    _xml_item_types = (FileResource,)

    def __init__(self, files: Iterable[FileResource] = ()) -> None:
        super().__init__()
        self.update(files)


class Resources(_Element, ConferenceDescriptionExtension, tag='resources'):
    """What the conference keeps: `ConferenceDescription.resources`.

    Args:
        files: `FileResources`, or the files.
    """

    _xml_namespace = agp_conf_namespace
    files = XMLElementChild('files', type=FileResources)

    def __init__(self, files: Any = None) -> None:
        super().__init__()
        self.files = files


ConferenceDescription.register_extension('resources', type=Resources)


class ScreenImageURL(XMLStringElement, _Element, UserExtension, tag='screen_image_url'):
    """Where the participant's screen is seen: `User.screen_image_url`."""

    _xml_namespace = agp_conf_namespace


User.register_extension('screen_image_url', type=ScreenImageURL)
