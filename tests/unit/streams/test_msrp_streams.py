"""Streams over MSRP without a session: what media lines say, who connects to whom, what is refused, and their states."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from types import SimpleNamespace

import pytest
from OpenSSL import SSL

from msrplib.uri import URI
from sipsimple.core import FrozenSDPSession, SDPAttribute, SDPConnection, SDPMediaStream, SDPSession
from sipsimple.streams import ChatStream, InvalidStreamError, MediaStreamRegistry, MSRPStreamBase, UnknownStreamError
from sipsimple.streams.msrp.base import TRANSITIONS, MSRPStreamInput, MSRPStreamState
from sipsimple.streams.msrp.chat import ChatStreamError
from sipsimple.streams.msrp.connecting import make_plan, relay_settings, remote_setup
from sipsimple.streams.msrp.description import MSRPMedia, make_media

PLAIN = 'msrp://192.0.2.1:2855/s3cr3t;tcp'
PATH = 'msrps://192.0.2.1:2855/s3cr3t;tcp'
FINGERPRINT = 'sha-256 ' + ':'.join(['AB'] * 32)


def offer(media='message', transport='TCP/TLS/MSRP', formats=('*',), session_attributes=(), **attributes):
    lines = {'path': PATH, 'accept-types': 'message/cpim text/*', **{name.replace('_', '-'): value for name, value in attributes.items()}}
    line = SDPMediaStream(media, 2855, transport, formats=list(formats), attributes=[SDPAttribute(name, value) for name, value in lines.items() if value is not None])
    return FrozenSDPSession.new(SDPSession('192.0.2.1', id=1, version=1, connection=SDPConnection('192.0.2.1'), media=[line],
                                           attributes=[SDPAttribute(*item) for item in session_attributes]))


def account(transport='tls', model='relay', outbound=False, relay=None):
    msrp = SimpleNamespace(transport=transport, connection_model=model) if model else SimpleNamespace(transport=transport)
    return SimpleNamespace(msrp=msrp, nat_traversal=SimpleNamespace(use_msrp_relay_for_outbound=outbound, msrp_relay=relay), tls_credentials=None,
                           id=SimpleNamespace(username='alice', domain='example.com'), auth=SimpleNamespace(username=None, password='secret'))


def test_a_media_line_is_read():
    media = MSRPMedia.of(offer(setup='ActPass', sendonly='', accept_wrapped_types='*', fingerprint=FINGERPRINT, chatroom='nickname private-messages'), 0)
    assert media == MSRPMedia('tls', (URI.parse(PATH),), 'actpass', 'sendonly', ('message/cpim', 'text/*'), ('*',), FINGERPRINT,
                              frozenset({'nickname', 'private-messages'}))
    plain = MSRPMedia.of(offer(path='msrp://a.example.com/1;tcp msrp://b.example.com/2;tcp', transport='TCP/MSRP', accept_types=None), 0)
    assert plain.transport == 'tcp' and len(plain.path) == 2 and plain.setup is plain.accept_types is plain.fingerprint is None
    assert MSRPMedia.of(offer(session_attributes=[('fingerprint', FINGERPRINT)]), 0).fingerprint == FINGERPRINT


@pytest.mark.parametrize('changes', [
    {'transport': 'RTP/AVP'}, {'formats': ('0',)}, {'path': None}, {'path': 'nowhere'}, {'path': 'msrp://192.0.2.1/s;tcp'}, {'setup': 'perhaps'},
    {'fingerprint': 'sha-256 00'}])
def test_lines_that_cannot_be_used(changes):
    with pytest.raises(InvalidStreamError):
        MSRPMedia.of(offer(**changes), 0)


def test_a_media_line_is_made():
    media = make_media('message', 'tls', [URI('relay.example.com', session_id='r'), URI.parse(PATH)], setup='active', direction='recvonly', accept_types=['text/*'],
                       accept_wrapped_types=['*'], fingerprint=FINGERPRINT, attributes=[('chatroom', 'nickname')])
    sdp = FrozenSDPSession.new(SDPSession('192.0.2.1', id=1, version=1, connection=SDPConnection('192.0.2.1'), media=[media]))
    read = MSRPMedia.of(sdp, 0)
    assert (read.setup, read.direction, read.accept_types, read.fingerprint) == ('active', 'recvonly', ('text/*',), FINGERPRINT)
    assert [uri.host for uri in read.path] == ['relay.example.com', '192.0.2.1'] and media.port == 2855 and media.transport == 'TCP/TLS/MSRP'


@pytest.mark.parametrize(('model', 'outbound', 'direction', 'setup', 'way', 'role'), [
    ('relay', False, 'incoming', 'actpass', 'connect', 'active'), ('acm', False, 'incoming', 'passive', 'connect', 'active'),
    ('relay', True, 'incoming', 'actpass', 'relay', 'active'), ('relay', True, 'incoming', 'passive', 'relay', 'active'), ('acm', True, 'incoming', 'actpass', 'connect', 'active'),
    ('relay', False, 'outgoing', None, 'connect', 'active'), ('relay', True, 'outgoing', None, 'relay', 'actpass'),
    ('relay', False, 'incoming', 'active', 'relay', 'passive'), ('relay', True, 'incoming', None, 'relay', 'passive'),
    ('acm', False, 'outgoing', None, 'listen', 'actpass'), ('acm', True, 'incoming', 'active', 'listen', 'passive'), ('acm', False, 'incoming', None, 'listen', 'passive'),
    (None, False, 'outgoing', None, 'connect', 'active'), (None, False, 'incoming', 'actpass', 'listen', 'passive')])
def test_who_connects_to_whom(model, outbound, direction, setup, way, role):
    remote = MSRPMedia.of(offer(setup=setup), 0) if direction == 'incoming' else None
    plan = make_plan(account(model=model, outbound=outbound), direction, remote)
    assert (plan.way, plan.role) == (way, role)


def test_roles_that_are_not_told():
    silent = MSRPMedia.of(offer(), 0)
    assert remote_setup(silent, offer=True) == 'active' and remote_setup(silent, offer=False) == 'passive'


def test_the_relay_of_an_account():
    from sipsimple.configuration.datatypes import MSRPRelayAddress
    named = relay_settings(account(relay=MSRPRelayAddress('relay.example.com', 1234)), True, None)
    assert (named.domain, named.username, named.password, named.host, named.port, named.use_tls, named.explicit) == \
        ('example.com', 'alice', 'secret', 'relay.example.com', 1234, True, True)
    found = relay_settings(account(), False, None)
    assert (found.host, found.explicit, found.use_tls) == ('example.com', False, False)
    with pytest.raises(Exception, match='another'):
        relay_settings(account(relay=MSRPRelayAddress('relay.example.com')), False, None)


def test_chats_are_found_by_their_line():
    assert MediaStreamRegistry.get('chat') is ChatStream and issubclass(ChatStream, MSRPStreamBase)
    stream = ChatStream.new_from_sdp(account(), offer(sendonly=''), 0)
    assert stream.direction == 'recvonly' and stream.index == 0 and stream.state == 'NULL' and not stream.on_hold and repr(stream) == '<ChatStream NULL at index 0>'
    for changes in ({'media': 'audio'}, {'media': 'application'}):
        with pytest.raises(UnknownStreamError):
            ChatStream.new_from_sdp(account(), offer(**changes), 0)
    for changes in ({'accept_types': None}, {'accept_types': 'application/x-rfb'}, {'inactive': ''}):
        with pytest.raises(InvalidStreamError):
            ChatStream.new_from_sdp(account(), offer(**changes), 0)
    with pytest.raises(InvalidStreamError, match='transport'):
        ChatStream.new_from_sdp(account(transport='tcp'), offer(), 0)
    for types in ('*', 'text/plain', 'text/*', 'image/png audio/x', 'MESSAGE/CPIM'):
        assert ChatStream.new_from_sdp(account(), offer(accept_types=types), 0)
    with pytest.raises(UnknownStreamError):
        MSRPStreamBase.new_from_sdp(account(), offer(), 0)


def test_directions():
    with pytest.raises(ValueError):
        ChatStream(account(), 'inactive')
    with pytest.raises(ChatStreamError):
        ChatStream(account(), 'recvonly').send_message('x')
    with pytest.raises(ChatStreamError):
        ChatStream(account()).set_local_nickname('x')


@pytest.mark.parametrize(('state', 'what'), list(itertools.product(MSRPStreamState, MSRPStreamInput)))
def test_every_pair_of_state_and_input(state, what):
    stream = ChatStream(account())
    stream._machine._state = state
    if (state, what) in TRANSITIONS:
        stream._fire(what)
        assert stream.state == TRANSITIONS[state, what]
    else:
        with pytest.raises(RuntimeError):
            stream._fire(what)
        assert stream.state == state


def test_what_is_too_early():
    stream = ChatStream(account())
    with pytest.raises(RuntimeError):
        stream.get_local_media(True)
    with pytest.raises(RuntimeError):
        stream.start(offer(), offer(), 0)
    stream.end()
    stream.end()
    assert stream.state == 'ENDED' and stream.shutting_down
    with pytest.raises(RuntimeError):
        stream.initialize(None, 'outgoing')


@pytest.mark.parametrize('ipv6', [False, True])
def test_the_path_is_of_the_family_of_the_session(ipv6):
    stream = ChatStream(account())
    stream.session = SimpleNamespace(ipv6_media=ipv6)
    assert (':' in stream._local_host()) is ipv6


def test_a_stream_that_is_never_used_is_not_kept():
    import gc
    import weakref
    stream = weakref.ref(ChatStream(account()))
    gc.collect()
    assert stream() is None


@pytest.mark.parametrize(('closed', 'ended', 'failures'), [(True, True, 0), (True, False, 1), (False, False, 1)])
def test_a_connection_may_end_before_its_session(monkeypatch, closed, ended, failures):
    """In good order, that is no failure unless nobody ends the session either."""
    from twisted.internet.error import ConnectionDone, ConnectionLost
    later, failed = [], []
    monkeypatch.setattr('sipsimple.streams.msrp.base.reactor', SimpleNamespace(call_later=lambda seconds, function, *arguments: later.append((function, arguments))))
    stream = ChatStream(account())
    monkeypatch.setattr(stream, 'post', lambda name, **fields: failed.append((name, fields['context'])))
    stream._connection_lost(ConnectionDone() if closed else ConnectionLost())
    assert len(later) == closed and len(failed) == (not closed)
    if ended:
        stream.deactivate()
    for function, arguments in later:
        function(*arguments)
    assert failed == [('MediaStreamDidFail', 'reading')] * failures


def test_a_relay_that_does_not_keep_us_fails_the_stream(monkeypatch):
    from twisted.internet.defer import Deferred

    from msrplib.errors import MSRPRelayAuthError
    made = SimpleNamespace(prepare=lambda uri: Deferred(), cleanup=Deferred)
    monkeypatch.setattr('sipsimple.streams.msrp.connecting.make_connector', lambda *arguments: made)
    failed = []
    stream = ChatStream(account(transport='tcp'))
    monkeypatch.setattr(stream, 'post', lambda name, **fields: failed.append((name, fields.get('context'), fields.get('reason'))))
    stream.initialize(SimpleNamespace(ipv6_media=False), 'outgoing')
    made.on_failed(MSRPRelayAuthError('The Relay Has Given Other URIs', 200))
    made.on_failed(MSRPRelayAuthError('again', 500))
    assert failed == [('MediaStreamDidFail', 'relay', '200 The Relay Has Given Other URIs')]
    stream.end()


def test_delivered_is_what_the_application_has(monkeypatch):
    """A message is reported when all who observe it have returned; also one that comes with the binding of the session, which waits for the start."""
    from msrplib.connect import DirectAcceptor
    from tests.support.msrp import in_reactor, in_turn, local
    from tests.support.waiting import LIMIT

    def chunk(to, number):
        return (f'MSRP abcd{number} SEND\r\nTo-Path: {to}\r\nFrom-Path: {PLAIN}\r\nMessage-ID: 1234567{number}\r\nByte-Range: 1-1/1\r\nSuccess-Report: yes\r\n'
                f'Content-Type: text/plain\r\n\r\n{number}\r\n-------abcd{number}$\r\n').encode()

    def run():
        stream, told, got = ChatStream(account(transport='tcp')), [], b''
        stream.session = SimpleNamespace(local_identity=None, remote_identity=None)
        stream.remote_media = MSRPMedia.of(offer(transport='TCP/MSRP', path=PLAIN), 0)
        stream._machine._state = MSRPStreamState.STARTING

        def reports():
            nonlocal got
            with contextlib.suppress(BlockingIOError):
                while data := peer.recv(65536):
                    got += data
            return got.count(b' REPORT\r\n')

        def reported(count):
            until = time.monotonic() + LIMIT / 2
            while reports() < count:
                assert time.monotonic() < until, got
                yield in_turn(2)

        def post(name, **fields):
            told.append((name, fields['message'].content if 'message' in fields else None, reports()))
        monkeypatch.setattr(stream, 'post', post)
        stream.msrp_connector = acceptor = DirectAcceptor()
        acceptor.accept = stream._accept_message
        path, = yield acceptor.prepare(local())
        completed = acceptor.complete([URI.parse(PLAIN)])
        peer = socket.create_connection(('127.0.0.1', path.port))
        peer.setblocking(False)
        peer.sendall(chunk(path, 1) + chunk(path, 2))
        transport = yield completed
        yield in_turn(5)
        stream._connected(transport)
        yield from reported(2)
        peer.sendall(chunk(path, 3))
        yield from reported(3)
        assert told == [('MediaStreamDidStart', None, 0), ('ChatStreamGotMessage', '1', 0), ('ChatStreamGotMessage', '2', told[2][2]), ('ChatStreamGotMessage', '3', 2)]
        assert told[2][2] <= 1
        stream.deactivate()
        yield transport.loseConnection(wait=False)
        assert reports() == 3
        peer.close()
    in_reactor(run)


@pytest.mark.parametrize(('error', 'ours'), [(SSL.Error([('SSL routines', '', 'protocol is shutdown')]), False), (RuntimeError('x'), True)])
def test_a_broken_connection_is_no_fault_of_ours(caplog, error, ours):
    """With TLS or without: only what is one goes to the log, with its traceback."""
    ChatStream(account())._fail('reading', error)
    assert bool(caplog.records) is ours
