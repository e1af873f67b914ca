"""Envelopes of chat messages (RFC 3862)."""

import random
from datetime import UTC, datetime

import pytest

from sipsimple.payloads.cpim import (
    ChatIdentity,
    ChatMessage,
    CPIMHeader,
    CPIMIdentity,
    CPIMMessage,
    CPIMNamespace,
    CPIMParserError,
    CPIMPayload,
    Message,
    SimplePayload,
)
from sipsimple.util import ISOTimestamp, MultilingualText

# After the example of RFC 3862, section 4.1
EXAMPLE = '''\
From: MR SANDERS <im:piglet@100akerwood.com>
To: Depressed Donkey <im:eeyore@100akerwood.com>
cc: <im:tigger@100akerwood.com>
DateTime: 2000-12-13T13:40:00-08:00
Subject: the weather will be fine today
Subject:;lang=fr beau temps prevu pour aujourd'hui
NS: MyFeatures <mid:MessageFeatures@id.foo.com>
Required: MyFeatures.VitalMessageOption
MyFeatures.VitalMessageOption: Confirmation-requested
MyFeatures.WackyMessageOption: Use-silly-font
X-Unknown: a \\\\ b \\u00e9

Content-type: text/xml; charset=utf-8
Content-ID: <1234567890@foo.com>

<body>
Here is the text of my message.
</body>
'''


@pytest.mark.parametrize('form', [EXAMPLE, EXAMPLE.replace('\n', '\r\n'), EXAMPLE.encode(), EXAMPLE.replace('\n', '\r\n').encode()])
def test_the_example(form):
    message = CPIMMessage.parse(form)
    assert message.sender == CPIMIdentity('im:piglet@100akerwood.com') and message.sender.display_name == 'MR SANDERS'
    [recipient] = message.recipients
    assert (str(recipient.uri), recipient.display_name) == ('im:eeyore@100akerwood.com', 'Depressed Donkey')
    [courtesy] = message.courtesy_recipients
    assert (str(courtesy.uri), courtesy.display_name) == ('im:tigger@100akerwood.com', None)
    assert message.timestamp == datetime(2000, 12, 13, 21, 40, tzinfo=UTC) and isinstance(message.timestamp, ISOTimestamp)
    assert message.subject == 'the weather will be fine today' and message.subject.get_translation('fr') == "beau temps prevu pour aujourd'hui"
    assert message.required == ['MyFeatures.VitalMessageOption']
    vital, wacky, unknown = message.additional_headers
    assert (vital.name, vital.namespace, vital.namespace.prefix, vital.value) == ('VitalMessageOption', 'mid:MessageFeatures@id.foo.com', 'MyFeatures', 'Confirmation-requested')
    assert wacky.value == 'Use-silly-font' and unknown == CPIMHeader('X-Unknown', CPIMNamespace('urn:ietf:params:cpim-headers:'), 'a \\ b é')
    assert message.content_type == 'text/xml' and message.charset == 'utf-8' and message.body == message.content
    assert message.body.replace('\r', '') == '<body>\nHere is the text of my message.\n</body>\n'
    again = CPIMMessage.parse(str(message))
    for name in ('sender', 'recipients', 'courtesy_recipients', 'timestamp', 'subject', 'required', 'additional_headers', 'content', 'content_type', 'charset'):
        assert getattr(again, name) == getattr(message, name), name
    assert again.subject.translations == message.subject.translations


def test_what_is_written():
    message = CPIMPayload('Grüße\n', 'text/plain', sender=ChatIdentity('sip:alice@example.com', 'Alice'), recipients=[ChatIdentity('sip:bob@example.com')],
                          courtesy_recipients=[ChatIdentity('sips:carol@example.com', 'Carol "C" <x> \\')], subject=MultilingualText('Hello', fr='Salut'),
                          timestamp='2026-01-01T00:00:00Z', required=['imdn.Message-ID', 'X'],
                          additional_headers=[CPIMHeader('Message-ID', CPIMNamespace('urn:ietf:params:imdn', 'imdn'), '3\r\nFrom: <sip:evil@example.com>'),
                                              CPIMHeader('Other', CPIMNamespace('urn:example:other', 'imdn'), 'x'), CPIMHeader('Extra', 'urn:ietf:params:cpim-headers:', 'y')])
    text, kind = message.encode()
    assert kind == 'message/cpim' and text == (
        'From: Alice <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\ncc: "Carol \\"C\\" <x> \\\\" <sips:carol@example.com>\r\n'
        'Subject: Hello\r\nSubject:;lang=fr Salut\r\nDateTime: 2026-01-01T00:00:00+00:00\r\nRequired: imdn.Message-ID,X\r\n'
        'NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 3\\u000D\\u000AFrom: <sip:evil@example.com>\r\nNS: imdn2 <urn:example:other>\r\nimdn2.Other: x\r\nExtra: y\r\n'
        '\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\n')
    read = CPIMPayload.decode(text)
    assert read.content == 'Grüße\n' and read.sender == message.sender and read.courtesy_recipients[0].display_name == 'Carol "C" <x> \\'
    assert [header.value for header in read.additional_headers] == ['3\r\nFrom: <sip:evil@example.com>', 'x', 'y'] and read.recipients == ['sip:bob@example.com']
    assert str(message) == text and read.additional_headers[:1] == message.additional_headers[:1]


def test_content_that_is_no_text_stays_as_it_is():
    picture = bytes(range(256))
    text, _ = CPIMPayload(picture, 'image/png', sender=ChatIdentity('sip:a@b')).encode()
    assert isinstance(text, bytes) and b'Content-Type: image/png\r\n\r\n' in text
    assert CPIMPayload.decode(text).content == picture
    report = CPIMMessage.parse('\r\nContent-Type: message/imdn+xml; disposition="notification"\r\n\r\n<imdn/>')
    assert report.content == b'<imdn/>' and report.content_type == 'message/imdn+xml; disposition="notification"'
    assert CPIMMessage.parse(b'\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC').content == b'\0\1\2'
    assert CPIMMessage.parse(b'\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=C3=A9').content == 'aé'
    encoded, _ = CPIMPayload('é', 'text/plain', charset='iso-8859-1').encode()
    assert encoded.endswith(b'charset=iso-8859-1\r\n\r\n\xe9') and CPIMPayload.decode(encoded).content == 'é'


def test_simple():
    assert SimplePayload('é', 'text/plain').encode() == ('é'.encode(), 'text/plain; charset=utf-8')
    assert SimplePayload(b'\xe9', 'text/plain', 'iso-8859-1').encode() == (b'\xe9', 'text/plain; charset=iso-8859-1')
    assert SimplePayload(b'x', 'application/pdf').encode() == (b'x', 'application/pdf')
    read = SimplePayload.decode(b'\xe9', 'text/plain; charset="ISO-8859-1"')
    assert (read.content, read.content_type, read.charset) == ('é', 'text/plain', 'iso-8859-1')
    assert SimplePayload.decode(b'\xff', 'image/x').content == b'\xff'
    with pytest.raises(CPIMParserError):
        SimplePayload.decode(b'\xff', 'text/plain')


@pytest.mark.parametrize('broken', ['', 'From: <sip:a@b>', 'From: <sip:a@b>\r\nTo: <sip:a@b>\r\n', 'From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\nbody',
                                    b'From: \xff\r\n\r\nContent-Type: text/plain\r\n\r\nx', b'\r\nContent-Type: text/plain\r\n\r\n\xff',
                                    '\r\nContent-Type: text/plain; charset=klingon\r\n\r\nx', '\r\nContent-Transfer-Encoding: base64\r\n\r\nA'])
def test_what_is_no_message(broken):
    with pytest.raises(CPIMParserError):
        CPIMMessage.parse(broken)


def test_single_headers_that_make_no_sense_are_left_out():
    message = CPIMMessage.parse('From: nobody\r\nTo: <:>\r\nTo: <sip:b@c>\r\nDateTime: yesterday\r\ngibberish\r\n: x\r\nno.Prefix: 1\r\nNS: broken\r\nSubject: yes\r\n'
                                'Subject: no\r\ncc: <sip:>\r\n\r\nContent-Type: text/plain\r\n\r\n')
    assert message.sender is None and message.recipients == [ChatIdentity('sip:b@c')] and message.timestamp is None and message.additional_headers == []
    assert message.subject == 'yes' and message.content == '' and message.courtesy_recipients == []


def test_the_standard_namespace_may_be_another_one():
    message = CPIMMessage.parse('NS: <urn:example:mine>\r\nFrom: x\r\nNS: a <urn:a>\r\n\r\nContent-Type: text/plain\r\n\r\n')
    assert message.sender is None and [(header.name, header.namespace, header.value) for header in message.additional_headers] == [
        ('From', 'urn:example:mine', 'x'), ('NS', 'urn:example:mine', 'a <urn:a>')]


class URI:
    def __init__(self, user, host):
        self.user, self.host = user, host

    def __str__(self):
        return f'sip:{self.user}@{self.host}'


def test_identities_are_compared_by_user_and_host():
    alice = ChatIdentity('sip:alice@example.com:5061;transport=tls', 'Alice')
    same = ['sips:alice@EXAMPLE.com', URI('alice', 'example.com'), URI(b'alice', b'example.com'), CPIMIdentity('im:alice@example.com'), ChatIdentity(URI('alice', 'example.com'))]
    other = ['sip:bob@example.com', 'sip:example.com', 'sip:alice@example.org', 'alice', URI('bob', 'example.com'), ChatIdentity('nothing'), None, 5]
    assert all(alice == one and not alice != one for one in same) and all(alice != one for one in other)
    assert {alice, ChatIdentity('sip:alice@example.com')} == {alice}
    assert str(alice) == 'Alice <sip:alice@example.com:5061;transport=tls>' and str(ChatIdentity(URI('a', 'b'))) == '<sip:a@b>'
    assert str(ChatIdentity('sip:a@b>\r\nTo: <sip:c@d')) == '<sip:a@b%3E%0D%0ATo:%20%3Csip:c@d>'


@pytest.mark.parametrize('text, name, uri', [
    ('Alice Wonder <sip:alice@example.com>', 'Alice Wonder', 'sip:alice@example.com'), ('"Alice" <sips:alice@example.com>', 'Alice', 'sips:alice@example.com'),
    ('<sip:alice@example.com>', None, 'sip:alice@example.com'), (' "" <sip:a@b> ', None, 'sip:a@b'), ('"a \\"b\\" \\\\ <c>"<sip:a@b>', 'a "b" \\ <c>', 'sip:a@b'),
    ('Al\\u0009ice <im:a@b>', 'Al\tice', 'im:a@b'), ('Zo\\u00eb <sip:[2001:db8::1]>', 'Zoë', 'sip:[2001:db8::1]'), ('x\\ud800 <im:a@b>', 'x\\ud800', 'im:a@b')])
def test_identities_are_read(text, name, uri):
    identity = ChatIdentity.parse(text)
    assert (identity.display_name, str(identity.uri)) == (name, uri)
    again = CPIMIdentity.parse(str(identity))
    assert (again.display_name, str(again.uri)) == (name, uri)


@pytest.mark.parametrize('text', ['', 'alice', 'sip:alice@example.com', '<alice>', 'Alice <sip:a@b', 'Alice <sip:a@b> x', '<sip:>', '<a:b> <sip:a@b>'])
def test_what_is_no_identity(text):
    with pytest.raises(CPIMParserError):
        ChatIdentity.parse(text)


def test_names_that_break_the_header_are_refused():
    for header in (CPIMHeader('a b', 'urn:x', 'y'), CPIMHeader('a\r\n', 'urn:x', 'y'), CPIMHeader('a', CPIMNamespace('urn:x', 'p:q'), 'y')):
        with pytest.raises(ValueError):
            CPIMPayload('x', 'text/plain', additional_headers=[header]).encode()
    with pytest.raises(ValueError):
        CPIMPayload('x', 'text/plain\r\nEvil: 1').encode()
    with pytest.raises(ValueError):
        CPIMPayload('x', 'text/plain', charset='klingon').encode()


def test_the_seed_names():
    message = ChatMessage('x', 'text/plain')
    assert Message is ChatMessage and message.body == 'x' and message.recipients == [] and message.subject is None and message.timestamp is None
    message.body = 'y'
    assert message.content == 'y' and issubclass(CPIMMessage, ChatMessage) and issubclass(CPIMIdentity, ChatIdentity)


def test_damaged_messages_are_refused_or_read():
    dice = random.Random(3862)
    data = EXAMPLE.replace('\n', '\r\n').encode()
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.choice(b'\r\n:;.<>"\\\0 \xff%ux') if dice.random() < 0.7 else dice.randrange(256)
        try:
            message = CPIMMessage.parse(bytes(damaged[:dice.randint(0, len(damaged))] if dice.random() < 0.3 else damaged))
        except CPIMParserError:
            continue
        str(message.sender), str(message.subject), repr(message)


def test_long_headers_take_no_long_time():
    for header in ('From: "' + '\\' * 50000, 'From: ' + ' ' * 50000 + 'x', 'From: ' + '<' * 50000, 'a' * 50000, 'X:' + ';a=' * 30000, 'X:' + ';a="' * 30000,
                   'Subject: ' + '\\u' * 30000, 'NS: ' + '<' * 50000, 'From: <sip:' + ':' * 50000 + '>', 'From: "' + 'a' * 50000 + '" ' + ' ' * 20000):
        CPIMMessage.parse(f'{header}\r\n\r\nContent-Type: text/plain\r\n\r\n')
