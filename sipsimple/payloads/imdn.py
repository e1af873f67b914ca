"""Disposition notifications: message/imdn+xml, RFC 5438."""

from __future__ import annotations

from sipsimple.payloads import (
    XMLAnyURIElement,
    XMLDocument,
    XMLElement,
    XMLElementChild,
    XMLElementChoiceChild,
    XMLRootElement,
    XMLStringElement,
)
from sipsimple.payloads._words import WordElement

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


class DeliveryStatus(WordElement, _Element, tag='status'):
    """`delivered`, `failed`, `forbidden` or `error`."""

    _xml_value_words = ('delivered', 'failed', 'forbidden', 'error')


class DisplayStatus(WordElement, _Element, tag='status'):
    """`displayed`, `forbidden` or `error`."""

    _xml_value_words = ('displayed', 'forbidden', 'error')


class ProcessingStatus(WordElement, _Element, tag='status'):
    """`processed`, `stored`, `forbidden` or `error`."""

    _xml_value_words = ('processed', 'stored', 'forbidden', 'error')


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
