"""Chats between two processes, signalling and all."""

from __future__ import annotations

import pytest

from tests.calls.conftest import Process


class Chat:
    """A caller and a callee who can chat."""

    SCRIPT = 'chat_agent.py'

    def __init__(self, **options):
        self.caller, self.callee = Process('caller', self.SCRIPT), Process('callee', self.SCRIPT)
        for process in (self.caller, self.callee):
            process.port = process.do('start', audio=True)['port']
        self.settings(**options)

    def settings(self, **options):
        for process in (self.caller, self.callee):
            process.do('msrp', **options)

    def call(self, *streams):
        self.caller.do('connect', session='s', ports=[self.callee.port], streams=list(streams) or ['chat'])
        self.callee.wait('SIPSessionNewIncoming')

    def connected(self, *streams):
        self.call(*streams)
        self.callee.do('accept', session='in1')
        for process in (self.caller, self.callee):
            process.wait('SIPSessionDidStart')

    def reset(self):
        for process in (self.caller, self.callee):
            assert process.do('reset')['left'] == 0
            process.forget()

    def stop(self):
        try:
            self.caller.stop()
        finally:
            self.callee.stop()


@pytest.fixture(scope='module')
def processes():
    chat = Chat()
    try:
        yield chat
    finally:
        chat.stop()


@pytest.fixture
def chat(processes):
    processes.settings()
    processes.reset()
    return processes


def test_a_chat_with_reports(chat):
    chat.connected()
    for one, other, names in ((chat.caller, chat.callee, ('s', 'in1')), (chat.callee, chat.caller, ('in1', 's'))):
        identity = one.do('send', session=names[0], content='Grüße, <b>☺</b>\r\nzwei')['id']
        message = other.wait('ChatStreamGotMessage')
        assert message['private'] is False
        message = message['message']
        assert (message['class'], message['content'], message['content_type']) == ('CPIMMessage', 'Grüße, <b>☺</b>\r\nzwei', 'text/plain')
        assert '<sip:agent@127.0.0.1' in message['sender'] and len(message['recipients']) == 1 and message['timestamp'] and message['subject'] is None
        sent = one.wait('ChatStreamDidSendMessage')['message']
        assert sent['message_id'] == identity and sent['headers']['Success-Report'] == 'yes' and sent['headers']['Failure-Report'] == 'partial'
        assert sent['headers']['Content-Type'] == 'message/cpim' and sent['class'] == 'MSRPData'
        delivered = one.wait('ChatStreamDidDeliverMessage')
        assert (delivered['message_id'], delivered['code'], delivered['reason']) == (identity, 200, 'OK')
        assert delivered['chunk'] == delivered['message'] and delivered['chunk']['headers']['Status'] == '000 200 OK'
    facts = chat.caller.do('get', args=['s', 'streams.0.local_role', 'streams.0.remote_role', 'streams.0.cpim_enabled', 'streams.0.state'])
    assert (facts['streams.0.local_role'], facts['streams.0.remote_role'], facts['streams.0.cpim_enabled']) == ('passive', 'active', True)
    chat.caller.call('end')
    for process in (chat.caller, chat.callee):
        process.wait('MediaStreamDidEnd')
        assert not [name for name, _, _ in process.events if name in ('MediaStreamDidFail', 'ChatStreamDidNotDeliverMessage')]


def test_everything_in_the_envelope(chat):
    chat.connected()
    chat.caller.do('send', session='s', content='text', subject='Hello', translations={'de': 'Hallo'}, required=['x'],
                   headers=[('Mood', 'urn:example:mood', 'good\nvery')])
    message = chat.callee.wait('ChatStreamGotMessage')['message']
    assert message['subject'] == ['Hello', {'de': 'Hallo'}] and message['required'] == ['x'] and message['headers'] == [['Mood', 'urn:example:mood', 'good\nvery']]
    data = bytes(range(256)).decode('latin-1')
    chat.caller.do('send', session='s', content=data, content_type='image/png', binary=True)
    message = chat.callee.wait('ChatStreamGotMessage')['message']
    assert message['content'] == data and message['content_type'] == 'image/png'


def test_messages_wait_for_the_start(chat):
    chat.call()
    identities = [chat.caller.do('send', session='s', content=f'early {number}')['id'] for number in range(3)]
    chat.callee.do('accept', session='in1')
    assert [chat.callee.wait('ChatStreamGotMessage')['message']['content'] for _ in range(3)] == ['early 0', 'early 1', 'early 2']
    assert [chat.caller.wait('ChatStreamDidDeliverMessage')['message_id'] for _ in range(3)] == identities
    names = [name for name, _, _ in chat.caller.events]
    assert names.index('MediaStreamDidStart') < names.index('ChatStreamDidSendMessage')


def test_messages_that_were_never_sent(chat):
    chat.call()
    identity = chat.caller.do('send', session='s', content='early')['id']
    chat.callee.call('reject', 'in1')
    failed = chat.caller.wait('ChatStreamDidNotDeliverMessage')
    assert (failed['message_id'], failed['code'], failed['chunk']) == (identity, 0, None)


def test_what_the_peer_cannot_read(chat):
    """Its report says so."""
    chat.connected()
    identity = chat.caller.do('send', session='s', content='no XML', content_type='application/im-iscomposing+xml')['id']
    failed = chat.caller.wait('ChatStreamDidNotDeliverMessage')
    assert (failed['message_id'], failed['code'], failed['chunk']) == (identity, 400, failed['message'])
    assert failed['chunk']['headers']['Status'].startswith('000 400') and failed['reason'] in failed['chunk']['headers']['Status']
    assert not [name for name, _, _ in chat.callee.events if name.startswith('ChatStreamGot')]


def test_a_long_text(chat):
    """In many chunks, of several megabytes."""
    chat.connected()
    identity = chat.caller.do('big', session='s', size=5_000_000)['id']
    short = chat.caller.do('send', session='s', content='short')['id']
    delivered = {chat.caller.wait('ChatStreamDidDeliverMessage')['message_id'] for _ in range(2)}
    assert delivered == {identity, short}
    lengths = {len(chat.callee.wait('ChatStreamGotMessage')['message']['content']) for _ in range(2)}
    assert lengths == {5_000_000, 5}


def test_what_the_peer_does_not_take(chat):
    chat.connected()
    for options, reason in (({'recipients': ['<sip:other@example.com>']}, 'private'), ({'courtesy_recipients': ['x']}, 'private')):
        with pytest.raises(AssertionError, match=f'ChatStreamError: .*{reason}'):
            chat.caller.do('send', session='s', content='x', **options)
    with pytest.raises(AssertionError, match='ChatStreamError: .*nicknames'):
        chat.caller.do('nickname', session='s', nickname='x')
    with pytest.raises(AssertionError, match='ValueError'):
        chat.caller.do('compose', session='s', state='sleeping')


def test_composing(chat):
    chat.connected()
    chat.caller.do('compose', session='s', state='active', refresh=60, last_active='2026-01-02T03:04:05+00:00')
    told = chat.callee.wait('ChatStreamGotComposingIndication')
    assert (told['state'], told['refresh'], told['private']) == ('active', 60, False) and told['last_active'].startswith('2026-01-02T03:04:05')
    assert '<sip:agent@127.0.0.1' in told['sender'] and len(told['recipients']) == 1 and told['content_type'] == 'text'
    chat.caller.do('compose', session='s', state='idle')
    told = chat.callee.wait('ChatStreamGotComposingIndication')
    assert (told['state'], told['refresh'], told['last_active']) == ('idle', None, None)
    # One who does not refresh it has stopped.
    chat.caller.do('compose', session='s', state='active', refresh=1)
    assert [chat.callee.wait('ChatStreamGotComposingIndication')['state'] for _ in range(2)] == ['active', 'idle']
    chat.caller.do('send', session='s', content='done')
    chat.caller.wait('ChatStreamDidDeliverMessage')
    assert [name for name, _, _ in chat.caller.events if name.startswith('ChatStreamDid')] == ['ChatStreamDidSendMessage', 'ChatStreamDidDeliverMessage']


def test_a_chat_room(chat):
    chat.connected()
    chat.caller.do('room', args=['s', 'nickname', 'private-messages'])
    chat.caller.do('nickname', session='s', nickname='x')
    assert chat.caller.wait('ChatStreamDidNotSetNickname')['code'] == 501          # the callee is none
    for code, name in ((200, 'ChatStreamDidSetNickname'), (425, 'ChatStreamDidNotSetNickname')):
        chat.callee.do('answer_nicknames', session='in1', code=code)
        identity = chat.caller.do('nickname', session='s', nickname='Al "the" ice')['id']
        told = chat.caller.wait(name)
        assert told['message_id'] == identity and str(code) in str(told)
    assert told['code'] == 425 and told['reason'] == 'Nickname Usage Failed'
    chat.callee.do('room', args=['in1'])
    chat.caller.do('send', session='s', content='secret', recipients=['Bob <sip:bob@example.com>'])
    told = chat.callee.wait('ChatStreamGotMessage')
    assert told['private'] is True and told['message']['recipients'] == ['Bob <sip:bob@example.com>']


def test_a_broken_connection(chat):
    chat.connected()
    chat.callee.do('drop', session='in1')
    for process in (chat.caller, chat.callee):
        assert process.wait('MediaStreamDidFail')['context'] == 'reading'
        process.wait('SIPSessionDidEnd')


def test_with_audio_added_and_removed(chat):
    chat.connected('audio')
    chat.caller.do('add', session='s', streams=['chat'])
    chat.callee.wait('SIPSessionGotProposal')
    chat.callee.do('accept_proposal', session='in1')
    for process in (chat.caller, chat.callee):
        process.wait('SIPSessionDidRenegotiateStreams')
    chat.caller.do('send', session='s', content='with audio')
    assert chat.callee.wait('ChatStreamGotMessage')['message']['content'] == 'with audio'
    chat.caller.wait('ChatStreamDidDeliverMessage')
    chat.caller.do('remove', session='s', type='chat')
    for process in (chat.caller, chat.callee):
        process.wait('SIPSessionDidRenegotiateStreams')
        assert not [name for name, _, _ in process.events if name == 'MediaStreamDidFail']
    assert chat.caller.do('get', args=['s', 'streams'])['streams'] == chat.callee.do('get', args=['in1', 'streams'])['streams'] == ['audio']


@pytest.mark.parametrize('model', ['acm', None], ids=['acm', 'neighbours'])
def test_tls(chat, model):
    """Without certificates of anybody: each process has its own, and its fingerprint is in the session description."""
    chat.settings(transport='tls', model=model)
    chat.connected()
    chat.caller.do('send', session='s', content='secret')
    assert chat.callee.wait('ChatStreamGotMessage')['message']['content'] == 'secret'
    chat.caller.wait('ChatStreamDidDeliverMessage')


def test_another_transport_is_refused(chat):
    chat.caller.do('msrp', transport='tls')
    chat.caller.do('connect', session='s', ports=[chat.callee.port], streams=['chat'])
    assert chat.callee.wait('SIPSessionNewIncoming')['streams'] == []
    chat.callee.call('reject', 'in1', 488)
    assert chat.caller.wait('SIPSessionDidFail')['code'] == 488


def test_the_traffic(chat):
    for process in (chat.caller, chat.callee):
        process.do('set', args=['settings'], **{'logs.trace_msrp': True})
    chat.connected()
    chat.caller.do('send', session='s', content='traced')
    chat.caller.wait('ChatStreamDidDeliverMessage')
    traced = [fields for name, _, fields in chat.caller.events if name == 'MSRPTransportTrace']
    out = next(item for item in traced if 'traced' in item['data'])
    assert out['direction'] == 'outgoing' and out['illegal'] is False and out['data'].startswith('MSRP ')
    assert out['local_address'].startswith('127.0.0.1:') and out['remote_address'].startswith('127.0.0.1:')
    assert any(item['direction'] == 'incoming' and ' REPORT\r\n' in item['data'] for item in traced)
    chat.caller.do('garbage', session='s', text='no MSRP at all\r\n')
    logged = chat.callee.wait('MSRPLibraryLog')
    assert logged['level'] == 'WARNING' and logged['message'].startswith('left out: ')
    assert chat.callee.seen('MSRPTransportTrace') and [fields['data'] for name, _, fields in chat.callee.events if name == 'MSRPTransportTrace' and fields['illegal']]
    for process in (chat.caller, chat.callee):
        process.do('set', args=['settings'], **{'logs.trace_msrp': False})


def test_who_is_killed_has_not_got_it():
    """A process that is killed in the middle of a message has not reported it, so it is not told to be delivered."""
    chat = Chat()
    try:
        chat.connected()
        chat.caller.do('send', session='s', content='before')
        chat.caller.wait('ChatStreamDidDeliverMessage')
        chat.callee.pause()             # it takes nothing any more
        identity = chat.caller.do('big', session='s', size=30_000_000)['id']
        chat.callee.kill()
        failed = chat.caller.wait('ChatStreamDidNotDeliverMessage')
        assert (failed['message_id'], failed['code']) == (identity, 0)
        assert [name for name, _, _ in chat.caller.events if name == 'ChatStreamDidDeliverMessage'] == ['ChatStreamDidDeliverMessage']
    finally:
        chat.caller.kill()
        chat.callee.kill()
