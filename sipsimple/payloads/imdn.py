"""Disposition notifications: message/imdn+xml, RFC 5438."""

from __future__ import annotations

from sipsimple.payloads import (
    XMLAnyURIElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementChoiceChild,
    XMLEmptyElementRegistryType,
    XMLRootElement,
    XMLStringChoiceChild,
    XMLStringElement,
)

__all__ = [
    'DateTime', 'DeliveryNotification', 'DeliveryStatus', 'DisplayNotification', 'DisplayStatus', 'IMDNDocument', 'IMDNMessage', 'MessageID',
    'OriginalRecipientURI', 'ProcessingNotification', 'ProcessingStatus', 'RecipientURI', 'Subject', 'namespace',
]

namespace = 'urn:ietf:params:xml:ns:imdn'


class IMDNDocument(XMLDocument):
    """A disposition notification."""

    content_type = 'message/imdn+xml'
    max_size = 1 << 16


IMDNDocument.register_namespace(namespace, prefix=None, schema='imdn.xsd')


class _Element(XMLElement):
    _xml_namespace = namespace
    _xml_document = IMDNDocument


class MessageID(XMLStringElement, _Element, tag='message-id'):
    """The Message-ID of the message that the notification is about."""


class DateTime(XMLStringElement, _Element, tag='datetime'):
    """The DateTime of that message, as its sender wrote it."""


class RecipientURI(XMLAnyURIElement, _Element, tag='recipient-uri'):
    """Whom the message reached."""


class OriginalRecipientURI(XMLAnyURIElement, _Element, tag='original-recipient-uri'):
    """Whom the message was sent to."""


class Subject(XMLStringElement, _Element, tag='subject'):
    """The subject of the message."""


class _Words(metaclass=XMLEmptyElementRegistryType):
    _xml_namespace = namespace
    _xml_document = IMDNDocument


class _DeliveryWords(_Words):
    names = ('delivered', 'failed', 'forbidden', 'error')


class _DisplayWords(_Words):
    names = ('displayed', 'forbidden', 'error')


class _ProcessingWords(_Words):
    names = ('processed', 'stored', 'forbidden', 'error')


class _Status(_Element):
    value: XMLStringChoiceChild

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value

    def __str__(self) -> str:
        return str(self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == other) if isinstance(other, str) else super().__eq__(other)

    __hash__ = _Element.__hash__


class DeliveryStatus(_Status, tag='status'):
    """`delivered`, `failed`, `forbidden` or `error`."""

    value = XMLStringChoiceChild('value', registry=_DeliveryWords, required=True)


class DisplayStatus(_Status, tag='status'):
    """`displayed`, `forbidden` or `error`."""

    value = XMLStringChoiceChild('value', registry=_DisplayWords, required=True)


class ProcessingStatus(_Status, tag='status'):
    """`processed`, `stored`, `forbidden` or `error`."""

    value = XMLStringChoiceChild('value', registry=_ProcessingWords, required=True)


class DeliveryNotification(_Element, tag='delivery-notification'):
    """Whether the message was delivered; `status` is one of the words of `DeliveryStatus`."""

    status = XMLElementChild('status', type=DeliveryStatus, required=True)

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status = status


class DisplayNotification(_Element, tag='display-notification'):
    """Whether the message was shown; `status` is one of the words of `DisplayStatus`."""

    status = XMLElementChild('status', type=DisplayStatus, required=True)

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status = status


class ProcessingNotification(_Element, tag='processing-notification'):
    """What an intermediary did with the message; `status` is one of the words of `ProcessingStatus`."""

    status = XMLElementChild('status', type=ProcessingStatus, required=True)

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status = status


class IMDNMessage(XMLRootElement, _Element, tag='imdn'):
    """A disposition notification.

    Args:
        message_id, datetime: of the message it is about; the latter as it was written there.
        recipient_uri: whom the message reached.
        original_recipient_uri: whom it was sent to; the same unless told.
        subject: text.
        notification: `DeliveryNotification`, `DisplayNotification` or `ProcessingNotification`.
    """

    message_id = XMLElementChild('message_id', type=MessageID, required=True)
    datetime = XMLElementChild('datetime', type=DateTime, required=True)
    recipient_uri = XMLElementChild('recipient_uri', type=RecipientURI)
    original_recipient_uri = XMLElementChild('original_recipient_uri', type=OriginalRecipientURI)
    subject = XMLElementChild('subject', type=Subject)
    notification = XMLElementChoiceChild('notification', types=(DeliveryNotification, DisplayNotification, ProcessingNotification), required=True)
    _xml_children_order = {kind.qname: rank for rank, kind in enumerate(
        (MessageID, DateTime, RecipientURI, OriginalRecipientURI, Subject, DeliveryNotification, DisplayNotification, ProcessingNotification))}

    def __init__(self, message_id: str, datetime: str, recipient_uri: str | None = None, original_recipient_uri: str | None = None, subject: str | None = None,
                 notification: DeliveryNotification | DisplayNotification | ProcessingNotification | None = None) -> None:
        super().__init__()
        self.message_id = message_id
        self.datetime = str(datetime)
        self.recipient_uri = recipient_uri
        self.original_recipient_uri = recipient_uri if original_recipient_uri is None else original_recipient_uri
        self.subject = subject
        self.notification = notification
