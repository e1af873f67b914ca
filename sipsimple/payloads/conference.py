"""State of conferences: application/conference-info+xml, RFC 4575."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import (
    ValidationError,
    XMLAnyURIElement,
    XMLAttribute,
    XMLBooleanElement,
    XMLElementChild,
    XMLElementID,
    XMLKeywordElement,
    XMLListElement,
    XMLRootElement,
    XMLStringElement,
    XMLUnsignedIntElement,
)
from sipsimple.payloads._conference_parts import (
    ConferenceDocument,
    ConferenceElement,
    DisplayText,
    ExecutionInfo,
    MediaStatus,
    MediaType,
    State,
    UrisType,
    UrisTypeEntry,
    UrisTypeModified,
    agp_conf_namespace,
    namespace,
)
from sipsimple.payloads._conference_users import (
    AssociatedAors,
    CallInfo,
    CascadedFocus,
    DisconnectionInfo,
    DisconnectionMethod,
    Endpoint,
    EndpointExtension,
    EndpointStatus,
    JoiningInfo,
    JoiningMethod,
    Languages,
    Media,
    Referred,
    Role,
    Roles,
    ScreenImageURL,
    Sip,
    User,
    UserExtension,
    Users,
)
from sipsimple.payloads.datatypes import AnyURI, UnsignedInt

__all__ = [
    'Active', 'AssociatedAors', 'AvailableMedia', 'AvailableMediaEntry', 'CallInfo', 'CascadedFocus', 'ConfUris', 'ConfUrisEntry', 'Conference',
    'ConferenceDescription', 'ConferenceDescriptionExtension', 'ConferenceDocument', 'ConferenceState', 'DisconnectionInfo', 'DisconnectionMethod',
    'DisplayText', 'Endpoint', 'EndpointExtension', 'EndpointStatus', 'ExecutionInfo', 'FileResource', 'FileResources', 'FreeText', 'HostInfo',
    'HostInfoUris', 'JoiningInfo', 'JoiningMethod', 'Keywords', 'Languages', 'Locked', 'MaximumUserCount', 'Media', 'MediaStatus', 'Referred', 'Resources',
    'Role', 'Roles', 'ScreenImageURL', 'ServiceUris', 'ServiceUrisEntry', 'SidebarsByRef', 'SidebarsByVal', 'SidebarsByValEntry', 'Sip', 'State',
    'Subject', 'UrisTypeEntry', 'UrisTypeModified', 'User', 'UserCount', 'UserExtension', 'Users', 'WebPage', 'agp_conf_namespace', 'namespace',
]


class ConferenceDescriptionExtension:
    """Marker of extensions of `ConferenceDescription`."""


# conference-description

class Subject(XMLStringElement, ConferenceElement, tag='subject'):
    """What the conference is about."""


class FreeText(XMLStringElement, ConferenceElement, tag='free-text'):
    """Anything about the conference."""


class Keywords(XMLStringElement, ConferenceElement, tag='keywords'):
    """Words to find the conference by, separated by blanks."""


class ConfUriPurpose(XMLKeywordElement, ConferenceElement, tag='purpose'):
    """`participation` or `streaming`."""

    _xml_value_words = ('participation', 'streaming')


class ConfUrisEntry(UrisTypeEntry):
    """A URI by which the conference is joined."""

    purpose = XMLElementChild('purpose', type=ConfUriPurpose)


class ConfUris(UrisType, tag='conf-uris'):
    """URIs by which the conference is joined."""

    _xml_item_types = (ConfUrisEntry,)


class ServiceUriPurpose(XMLKeywordElement, ConferenceElement, tag='purpose'):
    """`web-page`, `recording` or `event`."""

    _xml_value_words = ('web-page', 'recording', 'event')


class ServiceUrisEntry(UrisTypeEntry):
    """A URI of a service of the conference."""

    purpose = XMLElementChild('purpose', type=ServiceUriPurpose)


class ServiceUris(UrisType, tag='service-uris'):
    """URIs of services of the conference."""

    _xml_item_types = (ServiceUrisEntry,)


class MaximumUserCount(XMLUnsignedIntElement, ConferenceElement, tag='maximum-user-count'):
    """How many may take part."""


class AvailableMediaEntry(ConferenceElement, tag='entry'):
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


class AvailableMedia(XMLListElement, ConferenceElement, tag='available-media'):
    """The media of the conference."""

    _xml_item_types = (AvailableMediaEntry,)

    def __init__(self, entries: Iterable[AvailableMediaEntry] = ()) -> None:
        super().__init__()
        self.update(entries)


class ConferenceDescription(ConferenceElement, tag='conference-description'):
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

class WebPage(XMLAnyURIElement, ConferenceElement, tag='web-page'):
    """The page of whoever hosts the conference."""


class HostInfoUris(UrisType, tag='uris'):
    """URIs of whoever hosts the conference."""

    _xml_item_types = (UrisTypeEntry,)


class HostInfo(ConferenceElement, tag='host-info'):
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

class UserCount(XMLUnsignedIntElement, ConferenceElement, tag='user-count'):
    """How many take part."""


class Active(XMLBooleanElement, ConferenceElement, tag='active'):
    """Whether the conference goes on."""


class Locked(XMLBooleanElement, ConferenceElement, tag='locked'):
    """Whether nobody may join any more."""


class ConferenceState(ConferenceElement, tag='conference-state'):
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


# The conference and its sidebars

class SidebarsByRef(UrisType, tag='sidebars-by-ref'):
    """URIs of the conferences beside this one."""

    _xml_item_types = (UrisTypeEntry,)


class SidebarsByVal(XMLListElement, ConferenceElement, tag='sidebars-by-val'):
    """The conferences beside this one."""

    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, entries: Iterable[SidebarsByValEntry] = (), state: str = 'full') -> None:
        super().__init__()
        self.state = state
        self.update(entries)


class _ConferenceType(ConferenceElement):
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

class FileResource(ConferenceElement, tag='file'):
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


class FileResources(XMLListElement, ConferenceElement, tag='files'):
    """The files that were sent to the conference."""

    _xml_namespace = agp_conf_namespace
    _xml_item_types = (FileResource,)

    def __init__(self, files: Iterable[FileResource] = ()) -> None:
        super().__init__()
        self.update(files)


class Resources(ConferenceElement, ConferenceDescriptionExtension, tag='resources'):
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


