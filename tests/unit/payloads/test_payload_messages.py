"""What goes with chat messages: composing indications (RFC 3994) and disposition notifications (RFC 5438)."""

from datetime import UTC, datetime

import pytest

from sipsimple.payloads import BuilderError, ParserError
from sipsimple.payloads.imdn import DeliveryNotification, DisplayNotification, IMDNDocument, IMDNMessage, ProcessingNotification
from sipsimple.payloads.iscomposing import IsComposingDocument, IsComposingMessage
from tests.unit.payloads.documents import load


def test_composing_is_read():
    active = IsComposingMessage.parse(load('iscomposing-active.xml')[1])
    assert (active.state.value, active.last_active, str(active.content_type), active.refresh.value) == ('active', None, 'text/plain', 90)
    idle = IsComposingDocument.parse(load('iscomposing-idle.xml')[1])
    assert idle.state == 'idle' and idle.last_active.value == datetime(2003, 1, 27, 10, 43, tzinfo=UTC) and idle.refresh is None


def test_composing_is_made():
    text = IsComposingDocument.create(state='active', refresh=60, last_active=datetime(2026, 1, 1, tzinfo=UTC), content_type='text/html')
    message = IsComposingDocument.parse(text)
    assert message == IsComposingMessage('active', refresh=60, last_active='2026-01-01T00:00:00Z', content_type='text/html')
    assert IsComposingDocument.content_type == 'application/im-iscomposing+xml'
    for wrong in ({'state': 'busy'}, {'state': 'active', 'refresh': 0}, {'state': 'active', 'refresh': 'soon'}):
        with pytest.raises(ValueError):
            IsComposingDocument.create(**wrong)
    with pytest.raises(BuilderError):
        IsComposingDocument.create(state=None)


@pytest.mark.parametrize('state, read', [('active', 'active'), ('idle', 'idle'), ('asleep', 'idle'), ('', 'idle')])
def test_states_nobody_knows_are_idle(state, read):
    message = IsComposingDocument.parse(f'<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>{state}</state></isComposing>')
    assert message.state == read and message.state.value == read


@pytest.mark.parametrize('inner', ['<refresh>90</refresh>', '<state>active</state><refresh>0</refresh>', '<state>active</state><lastactive>now</lastactive>', ''])
def test_composing_against_the_schema(inner):
    with pytest.raises(ParserError):
        IsComposingDocument.parse(f'<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">{inner}</isComposing>')


def test_disposition_is_read():
    delivery = IMDNMessage.parse(load('imdn-delivery.xml')[1])
    assert (str(delivery.message_id), str(delivery.datetime), str(delivery.recipient_uri)) == ('34jk324j', '2008-04-04T12:16:49-05:00', 'im:bob@example.com')
    assert type(delivery.notification) is DeliveryNotification and str(delivery.notification.status) == 'delivered' and delivery.notification.status == 'delivered'
    display = IMDNMessage.parse(load('imdn-display.xml')[1])
    assert type(display.notification) is DisplayNotification and str(display.notification.status) == 'displayed' and display.subject == 'the weather will be fine today'
    processing = IMDNMessage.parse(load('imdn-processing.xml')[1])
    assert type(processing.notification) is ProcessingNotification and str(processing.notification.status) == 'stored' and processing.recipient_uri is None


@pytest.mark.parametrize('kind, words', [(DeliveryNotification, 'delivered failed forbidden error'), (DisplayNotification, 'displayed forbidden error'),
                                         (ProcessingNotification, 'processed stored forbidden error')])
def test_every_disposition(kind, words):
    for word in words.split():
        message = IMDNMessage('1', '2026-01-01T00:00:00Z', recipient_uri='sip:a@b', notification=kind(word))
        parsed = IMDNDocument.parse(message.toxml())
        assert parsed == message and str(parsed.notification.status) == word and str(parsed.original_recipient_uri) == 'sip:a@b'
    with pytest.raises(ValueError):
        kind('eaten')


def test_the_disposition_may_change_its_kind():
    message = IMDNMessage('1', '2026', notification=DeliveryNotification('delivered'))
    message.notification = DisplayNotification('displayed')
    message.notification.status = 'error'
    assert str(IMDNDocument.parse(message.toxml()).notification.status) == 'error' and b'delivery' not in message.toxml()
    with pytest.raises(TypeError):
        message.notification = 'displayed'
    message.notification = None
    with pytest.raises(BuilderError):
        message.toxml()
