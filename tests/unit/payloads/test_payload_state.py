"""What notifications bring: dialogs (RFC 4235), watchers (RFC 3858), lists of resources (RFC 4662), message summaries (RFC 3842)."""

import base64
import random

import pytest

from sipsimple.payloads import IterateIDs, IterateItems, ParserError, ValidationError
from sipsimple.payloads.dialoginfo import Dialog, DialogInfo, DialogState, Identity, Local, Param, ReferredBy, Remote, Replaces, Target
from sipsimple.payloads.messagesummary import MessageSummary
from sipsimple.payloads.pidf import PIDF, Service
from sipsimple.payloads.rlmi import Instance, List, Name, Resource as RLMIResource
from sipsimple.payloads.rlsnotify import Resource, RLSNotify
from sipsimple.payloads.watcherinfo import NeedFullUpdateError, Watcher, WatcherInfo, WatcherList
from tests.unit.payloads.documents import load


def test_dialogs_are_read():
    info = DialogInfo.parse(load('dialoginfo-full.xml')[1])
    assert (info.version, info.state, info.entity, len(info)) == (0, 'full', 'sip:alice@example.com', 2)
    assert list(info[IterateIDs]) == ['as7d900as8', 'zxcnm3'] and [dialog.id for dialog in info[IterateItems]] == ['as7d900as8', 'zxcnm3']
    first, second = info
    assert first.state == 'trying' and (first.call_id, first.local_tag, first.remote_tag, first.direction) == ('a84b4c76e66710', '1928301774', None, 'initiator')
    assert info['zxcnm3'] is second and (second.state.value, second.state.code, second.state.event) == ('terminated', 487, 'cancelled')
    [rich] = DialogInfo.parse(load('dialoginfo-rich.xml')[1])
    assert rich.duration == 274 and (rich.replaces.call_id, rich.replaces.local_tag, rich.replaces.remote_tag) == ('hh76a', '7', '8')
    assert rich.referred_by == 'sip:bob@example.com' and rich.referred_by.display == 'Bob' and rich.local.identity.display == 'Alice'
    assert rich.local.target.uri == 'sip:alice@pc33.example.com' and [(param.pname, param.pval) for param in rich.local.target] == [('isfocus', 'true'), ('class', 'personal')]
    assert rich.remote.target.uri == 'sip:bobster@phone21.example.org' and rich.remote.identity.display is None


def test_dialogs_are_written():
    dialog = Dialog('1', DialogState('terminated', code=487, event='cancelled'), call_id='c', local_tag='l', remote_tag='r', direction='recipient', duration=5,
                    replaces=Replaces('a', 'b', 'c'), referred_by=ReferredBy('sip:x@y', 'X'), local=Local(Identity('sip:a@b', 'A'), Target('sip:a@c', [Param('p', 'v')])),
                    remote=Remote('sip:z@z', 'sip:z@1'))
    info = DialogInfo(3, 'partial', 'sip:a@b', [dialog, Dialog('2', 'early')])
    again = DialogInfo.parse(info.toxml())
    assert again == info and again['1'].replaces.remote_tag == 'c' and again.get('3') is None
    again['2'].state = 'confirmed'
    del again['1']
    assert [(item.id, item.state.value) for item in DialogInfo.parse(again.toxml())] == [('2', 'confirmed')]
    for wrong in (lambda: DialogInfo(-1, 'full', 'x'), lambda: DialogInfo(1, 'some', 'x'), lambda: Dialog('1', 'ringing'), lambda: DialogState('early', event='luck')):
        with pytest.raises(ValueError):
            wrong()


def test_dialogs_in_the_order_of_common_servers_are_read():
    info = DialogInfo.parse('<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="full" entity="sip:a@b"><dialog id="1"><remote><target uri="sip:x@y"/>'
                            '<identity>sip:x@y</identity></remote><local/><state>early</state></dialog><dialog id="2"/></dialog-info>')
    [dialog] = info     # the other one has no state
    assert dialog.state == 'early' and dialog.remote.identity == 'sip:x@y' and dialog.local.target is None


def test_watchers_are_read():
    info = WatcherInfo.parse(load('watcherinfo-full.xml')[1])
    wlist = info['sip:professor@example.net']
    assert (info.version, info.state, wlist.package, len(wlist), list(info.wlists)) == (0, 'full', 'presence', 2, [wlist])
    one, two = wlist
    assert (one.sipuri, one.id, one.status, one.event, one.duration, one.expiration) == ('sip:userA@example.net', '8ajksjda7s', 'active', 'approved', 509, None)
    assert str(one) == 'sip:userA@example.net' and str(two) == '"Mr. Subscriber" <sip:userB@example.org>' and one.sipuri.domain == 'example.net'
    assert list(wlist.active) == [one] and list(wlist.pending) == [two] and list(wlist.waiting) == list(wlist.terminated) == []
    assert info.active == {wlist: [one]} and info.pending == {wlist: [two]} and wlist['8ajksjda7s'] is one and one == '8ajksjda7s'
    partial = WatcherInfo.parse(load('watcherinfo-partial.xml')[1])
    assert list(partial.waiting.values()) == [[partial['sip:professor@example.net']['a']], []] and len(partial.terminated['sip:professor@example.net']) == 1
    assert issubclass(NeedFullUpdateError, Exception)


def test_watchers_are_written():
    info = WatcherInfo(1, 'partial', [WatcherList('sip:a@b', 'presence', [Watcher('sip:c@d', 'x', 'pending', 'subscribe', display_name='C', expiration=1, duration=2)])])
    again = WatcherInfo.parse(info.toxml())
    assert again == info and str(again['sip:a@b']['x']) == '"C" <sip:c@d>'
    for wrong in (lambda: Watcher('http://a', 'x', 'pending', 'subscribe'), lambda: Watcher('sip:a@b', 'x', 'asleep', 'subscribe'), lambda: WatcherInfo(0, 'no')):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        info.add(Watcher('sip:c@d', 'y', 'active', 'approved'))


def test_lists_of_resources():
    rlmi = List.parse(load('rlmi-full.xml')[1])
    assert (rlmi.uri, rlmi.version, rlmi.full_state, rlmi.cid) == ('sip:adam-friends@pres.vancouver.example.com', 1, True, 'c@x')
    assert [name.lang for name in rlmi if isinstance(name, Name)] == ['en', 'de']
    jim = rlmi[RLMIResource, 'sip:jim@vancouver.example.com']
    instance = jim[Instance, 'oflzxqzuvg']
    assert (instance.state, instance.reason, instance.cid) == ('terminated', 'rejected', None)
    made = List('sip:l@x', 2, False, elements=[RLMIResource('sip:a@b', [Instance('1', 'pending'), Name('A', 'en')]), Name('L')])
    assert List.parse(made.toxml()) == made and b'fullState="false"' in made.toxml()


PART = '--bound\r\nContent-Transfer-Encoding: {coding}\r\nContent-ID: <{cid}>\r\nContent-Type: {kind}\r\n\r\n{body}\r\n'
PRESENCE = '<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{0}"><tuple id="t"><status><basic>open</basic></status><note>é</note></tuple></presence>'


def notification(resources, parts, start='<root@x>', head='multipart/related;type="application/rlmi+xml";\r\n start="{start}";boundary="bound"'):
    rlmi = '<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:l@x" version="3" fullState="true">' + resources + '</list>'
    return (f'Content-Type: {head.format(start=start)}\r\n\r\nPreamble\r\n' + PART.format(coding='binary', cid='root@x', kind='application/rlmi+xml;charset="UTF-8"', body=rlmi)
            + ''.join(parts) + '--bound--\r\nEpilogue --bound\r\n')


def test_notifications_about_lists():
    def instances(*items):
        return ''.join(f'<instance id="{number}" {item}/>' for number, item in enumerate(items))
    resources = ''.join(f'<resource uri="sip:{user}@x">{inner}</resource>' for user, inner in [
        ('a', '<name>Anna</name>' + instances('state="active" cid="a@x"')), ('b', instances('state="terminated" reason="rejected" cid="b@x"', 'state="pending"')),
        ('c', ''), ('d', instances('state="active" cid="gone@x"', 'state="active" cid="bad@x"', 'state="active" cid="other@x"', 'state="active" cid="d64@x"',
                                   'state="active" cid="qp@x"', 'state="active" cid="64@x"'))])
    parts = [PART.format(coding='binary', cid='a@x', kind='application/pidf+xml', body=PRESENCE.format('a@x')),
             PART.format(coding='binary', cid='b@x', kind='application/dialog-info+xml',
                         body='<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="full" entity="sip:b@x"/>'),
             PART.format(coding='binary', cid='bad@x', kind='application/pidf+xml', body='<presence'), PART.format(coding='binary', cid='other@x', kind='text/plain', body='x'),
             PART.format(coding='base64', cid='d64@x', kind='application/pidf+xml', body=base64.b64encode(PRESENCE.format('d@x').encode()).decode()),
             PART.format(coding='quoted-printable', cid='qp@x', kind='application/pidf+xml', body=PRESENCE.format('q@x').replace('=', '=3D').replace('é', '=C3=A9')),
             PART.format(coding='base64', cid='64@x', kind='application/pidf+xml', body='A')]
    text = notification(resources, parts)
    for payload in (text, text.encode(), text.replace('\r\n', '\n')):
        rls = RLSNotify.parse(payload)
        assert (rls.uri, rls.version, rls.full_state, len(rls)) == ('sip:l@x', 3, True, 4) and list(rls) == rls.resources
        anna, bob, carol, dave = rls
        assert (anna.uri, anna.name, anna.state, anna.reason) == ('sip:a@x', 'Anna', 'active', None) and anna.uri == 'a@x' and hash(anna.uri) == hash('a@x')
        assert [type(document) for document in anna.pidf_list] == [PIDF] and list(anna.pidf_list[0][Service, 't'].notes) == ['é']
        assert (bob.state, bob.reason, bob.name) == ('pending', None, None) and [type(document) for document in bob.pidf_list] == [DialogInfo]
        assert (carol.state, carol.reason, carol.pidf_list) == (None, None, [])
        assert [document.entity for document in dave.pidf_list] == ['sip:d@x', 'sip:q@x'] and dave.pidf_list is dave.pidf_list
    assert RLSNotify.content_type == 'multipart/related' and Resource('sip:a@b').pidf_list == []


@pytest.mark.parametrize('payload', [
    '', 'nonsense', 'Content-Type: application/pidf+xml\r\n\r\n' + PRESENCE, 'Content-Type: multipart/related\r\n\r\nx', 'Content-Type: multipart/related; boundary="b"\r\n\r\nx',
    'Content-Type: multipart/related; boundary="b"\r\n\r\n--b\r\n\r\nx\r\n--b--', notification('', [], start='<gone@x>'), notification('<resource/>', []),
    notification('', [], head='multipart/related;type="text/plain";boundary="bound"'), notification('', [], head='multipart/mixed;boundary="bound"'),
    notification('', []).replace('binary', 'base64')])
def test_what_is_no_notification_about_lists(payload):
    with pytest.raises(ParserError):
        RLSNotify.parse(payload)


def test_without_start_the_first_part_counts():
    assert RLSNotify.parse(notification('', [], head='multipart/related;boundary=bound')).uri == 'sip:l@x'


def test_damaged_notifications_are_refused_or_read():
    dice = random.Random(4662)
    text = notification('<resource uri="sip:a@x"><instance id="1" state="active" cid="a@x"/></resource>',
                        [PART.format(coding='binary', cid='a@x', kind='application/pidf+xml', body=PRESENCE.format('a@x'))]).encode()
    read = 0
    for _ in range(500):
        data = bytearray(text)
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.choice(b'\r\n-;:"<>=ab\xff')
        try:
            read += sum(len(resource.pidf_list) for resource in RLSNotify.parse(bytes(data)))
        except ParserError:
            continue
    assert read


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_message_summaries_are_read(end):
    text = end.join(['Messages-Waiting: yes', 'Message-Account: sip:alice@vmail.example.com', 'voice-message: 2/8 (0/2)', 'Fax-Message: 1 / 0', 'X-Other: 3/4', 'Comment: hello', '',
                     'To: <alice@atlanta.example.com>', 'From: <bob@biloxi.example.com>', 'Subject: carpool tomorrow', '', 'To: x', ''])
    for form in (text, text.encode()):
        summary = MessageSummary.parse(form)
        assert summary.messages_waiting is True and summary.message_account == 'sip:alice@vmail.example.com'
        assert summary.summaries['voice-message'] == {'new_messages': 2, 'old_messages': 8, 'new_urgent_messages': 0, 'old_urgent_messages': 2}
        assert summary.summaries['fax-message'] == {'new_messages': 1, 'old_messages': 0, 'new_urgent_messages': 0, 'old_urgent_messages': 0}
        assert list(summary.summaries) == ['voice-message', 'fax-message', 'x-other']
        assert summary.optional_headers == ['To: <alice@atlanta.example.com>\r\nFrom: <bob@biloxi.example.com>\r\nSubject: carpool tomorrow', 'To: x']
        assert MessageSummary.parse(summary.to_string()) == summary and '\n\n' not in summary.to_string()


def test_message_summaries_are_written():
    assert MessageSummary().to_string() == 'Messages-Waiting: no\r\n' and MessageSummary.parse('Messages-Waiting: NO') == MessageSummary()
    summary = MessageSummary(True, 'sip:a@b', {'Voice-Message': {'new_messages': 1}}, [['To: a', 'From: b'], 'To: c'])
    assert summary.to_string() == str(summary) == 'Messages-Waiting: yes\r\nMessage-Account: sip:a@b\r\nVoice-Message: 1/0 (0/0)\r\n\r\nTo: a\r\nFrom: b\r\n\r\nTo: c\r\n'
    for wrong in (MessageSummary(message_account='a\r\nb'), MessageSummary(summaries={'a b': {}})):
        with pytest.raises(ValueError):
            wrong.to_string()


@pytest.mark.parametrize('text', ['', 'Messages-Waiting: perhaps', 'Message-Account: sip:a@b', 'Messages-Waiting: yes\r\nVoice-Message: many', 'Messages-Waiting: yes\r\njunk', b'\xff',
                                  'Messages-Waiting: yes\r\nVoice-Message: 1/99999999999', 'Messages-Waiting: yes' + ' ' * 70000])
def test_what_is_no_message_summary(text):
    with pytest.raises(ValidationError):
        MessageSummary.parse(text)
