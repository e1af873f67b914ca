"""Who takes part in a conference, with which devices and media (RFC 4575)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipsimple.payloads import XMLAnyURIElement, XMLAttribute, XMLElement, XMLElementChild, XMLElementID, XMLKeywordElement, XMLListElement, XMLStringElement
from sipsimple.payloads._conference_parts import (
    ConferenceElement,
    DisplayText,
    ExecutionInfo,
    MediaStatus,
    MediaType,
    State,
    UrisType,
    UrisTypeEntry,
    agp_conf_namespace,
)
from sipsimple.payloads.datatypes import AnyURI

__all__ = [
    'AssociatedAors', 'CallId', 'CallInfo', 'CascadedFocus', 'DisconnectionInfo', 'DisconnectionMethod', 'Endpoint', 'EndpointExtension',
    'EndpointStatus', 'FromTag', 'JoiningInfo', 'JoiningMethod', 'Label', 'Languages', 'Media', 'Referred', 'Role', 'Roles', 'ScreenImageURL', 'Sip',
    'SrcId', 'ToTag', 'User', 'UserExtension', 'Users',
]


class UserExtension:
    """Marker of extensions of `User`."""


class EndpointExtension:
    """Marker of extensions of `Endpoint`."""


class AssociatedAors(UrisType, tag='associated-aors'):
    """Other addresses of a participant."""

    _xml_item_types = (UrisTypeEntry,)


class Role(XMLStringElement, ConferenceElement, tag='entry'):
    """What a participant is there: any text."""


class Roles(XMLListElement, ConferenceElement, tag='roles'):
    """What a participant is in the conference."""

    _xml_item_types = (Role,)

    def __init__(self, roles: Iterable[Role | str] = ()) -> None:
        super().__init__()
        self.update(roles)

    def _encode_item(self, value: Any) -> XMLElement:
        return Role(value) if isinstance(value, str) else super()._encode_item(value)


class Languages(XMLStringElement, ConferenceElement, tag='languages'):
    """Language tags, separated by blanks."""


class CascadedFocus(XMLAnyURIElement, ConferenceElement, tag='cascaded-focus'):
    """The URI of the conference that the user is."""


class Referred(ExecutionInfo, tag='referred'):
    """How an endpoint was sent here."""


class EndpointStatus(XMLKeywordElement, ConferenceElement, tag='status'):
    """`connected`, `disconnected`, `on-hold`, `muted-via-focus`, `pending`, `alerting`, `dialing-in`, `dialing-out` or `disconnecting`."""

    _xml_value_words = ('connected', 'disconnected', 'on-hold', 'muted-via-focus', 'pending', 'alerting', 'dialing-in', 'dialing-out', 'disconnecting')


class JoiningMethod(XMLKeywordElement, ConferenceElement, tag='joining-method'):
    """`dialed-in`, `dialed-out` or `focus-owner`."""

    _xml_value_words = ('dialed-in', 'dialed-out', 'focus-owner')


class JoiningInfo(ExecutionInfo, tag='joining-info'):
    """How an endpoint came."""


class DisconnectionMethod(XMLKeywordElement, ConferenceElement, tag='disconnection-method'):
    """`departed`, `booted`, `failed` or `busy`."""

    _xml_value_words = ('departed', 'booted', 'failed', 'busy')


class DisconnectionInfo(ExecutionInfo, tag='disconnection-info'):
    """How an endpoint went."""


class Label(XMLStringElement, ConferenceElement, tag='label'):
    """The label of a medium (RFC 4574)."""


class SrcId(XMLStringElement, ConferenceElement, tag='src-id'):
    """What marks the packets of a medium, for RTP the SSRC."""


class Media(ConferenceElement, tag='media'):
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


class CallId(XMLStringElement, ConferenceElement, tag='call-id'):
    """Call-ID of the dialog."""


class FromTag(XMLStringElement, ConferenceElement, tag='from-tag'):
    """Tag of the From header."""


class ToTag(XMLStringElement, ConferenceElement, tag='to-tag'):
    """Tag of the To header."""


class Sip(ConferenceElement, tag='sip'):
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


class CallInfo(ConferenceElement, tag='call-info'):
    """The call of an endpoint."""

    sip = XMLElementChild('sip', type=Sip)

    def __init__(self, sip: Sip | None = None) -> None:
        super().__init__()
        self.sip = sip


class Endpoint(XMLListElement, ConferenceElement, tag='endpoint'):
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


class User(XMLListElement, ConferenceElement, tag='user'):
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


class Users(XMLListElement, ConferenceElement, tag='users'):
    """The participants."""

    _xml_item_types = (User,)
    _xml_children_order = {User.qname: 0}
    state = XMLAttribute('state', type=State, default='full')

    def __init__(self, users: Iterable[User] = (), state: str = 'full') -> None:
        super().__init__()
        self.state = state
        self.update(users)


# Extensions

class ScreenImageURL(XMLStringElement, ConferenceElement, UserExtension, tag='screen_image_url'):
    """Where the participant's screen is seen: `User.screen_image_url`."""

    _xml_namespace = agp_conf_namespace


User.register_extension('screen_image_url', type=ScreenImageURL)
