"""Desktops shared between two processes: a real VNC server on one side, a real viewer on the other, and RFB data of the application."""

from __future__ import annotations

import hashlib
import socket

import pytest

from sipsimple.demo.desktop import Viewer
from tests.calls.test_session_chat import Chat
from tests.support.desktop import desktop_fixture

SEEN = ('MediaStreamDidFail', 'DesktopSharingHandlerDidFail')


class Desktops(Chat):
    """A caller and a callee who can share desktops."""

    SCRIPT = 'desktop_agent.py'

    def handlers(self, **options):
        for process in (self.caller, self.callee):
            process.do('handlers', **options)

    def add(self, *streams):
        """Add streams to the running call."""
        self.caller.do('add', session='s', streams=list(streams))
        self.callee.wait('SIPSessionGotProposal')
        self.callee.do('accept_proposal', session='in1')
        for process in (self.caller, self.callee):
            process.wait('SIPSessionDidRenegotiateStreams')

    def failures(self):
        return [name for process in (self.caller, self.callee) for name, _, _ in process.events if name in SEEN]


@pytest.fixture(scope='module')
def processes():
    made = Desktops()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def calls(processes):
    processes.settings()
    processes.reset()
    return processes


desktop = desktop_fixture()
big_desktop = desktop_fixture(size=(1920, 1080))


def look(process, session, desktop, folder, seed=1):
    """A viewer sees the whole screen, then a change of it."""
    expected = desktop.paint(seed)
    viewer = Viewer(process.do('address', session=session)['address'])
    try:
        assert viewer.see('all', folder / 'all.png') == expected
        viewer.ask('changes', folder / 'changes.png')
        expected = desktop.paint(seed + 1, (40, 30, 120, 90))
        viewer.wait()
        assert viewer.see_changes(folder / 'changes.png', expected) == expected
    finally:
        viewer.stop()


@pytest.mark.parametrize('transport', ['tcp', 'tls'])
def test_a_big_screen(calls, big_desktop, tmp_path, transport):
    """More bytes than all queues and sockets hold."""
    calls.settings(transport=transport)
    calls.handlers(internal=False, port=big_desktop.port)
    calls.connected('viewer')
    expected = big_desktop.paint(1)
    program = Viewer(calls.caller.do('address', session='s')['address'])
    try:
        assert program.see('all', tmp_path / 'all.bmp') == expected
    finally:
        program.stop()


ROLES = pytest.mark.parametrize('calling', ['viewer', 'server'])


@ROLES
@pytest.mark.parametrize('transport', ['tcp', 'tls'])
def test_a_desktop_is_seen(calls, desktop, tmp_path, calling, transport):
    """Every pixel of it, and of a change, whoever called; when the viewer is closed, the session ends."""
    calls.settings(transport=transport)
    calls.handlers(internal=False, port=desktop.port)
    calls.connected(calling)
    viewer, session = (calls.caller, 's') if calling == 'viewer' else (calls.callee, 'in1')
    look(viewer, session, desktop, tmp_path)
    failed = viewer.wait('DesktopSharingHandlerDidFail')
    assert (failed['context'], failed['failure']) == ('reading', 'Failure') and failed['reason']
    assert viewer.seen('MediaStreamDidFail') == {'context': 'reading', 'reason': failed['reason']}
    for process in (calls.caller, calls.callee):
        process.wait('SIPSessionDidEnd')
    other = calls.callee if viewer is calls.caller else calls.caller
    assert not [name for name, _, _ in other.events if name in SEEN]


@ROLES
def test_beside_audio(calls, desktop, tmp_path, calling):
    """Added to a running call and removed from it; the audio goes on."""
    calls.handlers(internal=False, port=desktop.port)
    calls.connected('audio')
    calls.add(calling)
    viewer, session = (calls.caller, 's') if calling == 'viewer' else (calls.callee, 'in1')
    expected = desktop.paint(3)
    program = Viewer(viewer.do('address', session=session)['address'])
    try:
        assert program.see('all', tmp_path / 'all.png') == expected
        calls.caller.do('remove', session='s', type='desktop-sharing')
        for process in (calls.caller, calls.callee):
            process.wait('SIPSessionDidRenegotiateStreams')
            process.seen('MediaStreamDidEnd')
    finally:
        program.stop()
    assert calls.failures() == []
    assert calls.caller.do('get', args=['s', 'streams'])['streams'] == calls.callee.do('get', args=['in1', 'streams'])['streams'] == ['audio']


def test_with_audio_and_chat_from_the_start(calls, desktop, tmp_path):
    calls.handlers(internal=False, port=desktop.port)
    calls.connected('audio', 'chat', 'viewer')
    look(calls.caller, 's', desktop, tmp_path, 5)
    # It ends with its viewer; the others go on.
    for process in (calls.caller, calls.callee):
        process.wait('SIPSessionDidRenegotiateStreams')
    calls.caller.do('send', session='s', content='Have you seen it?')
    assert calls.callee.wait('ChatStreamGotMessage')['message']['content'] == 'Have you seen it?'
    assert calls.caller.do('get', args=['s', 'streams'])['streams'] == ['audio', 'chat']


@ROLES
def test_data_of_the_application(calls, calling):
    calls.connected(calling)
    sides = (calls.caller, 's'), (calls.callee, 'in1')
    for one, other in (sides, sides[::-1]):
        assert one[0].do('write', session=one[1], text='RFB 003.008\n')['room'] is True
        assert other[0].wait('DesktopSharingStreamGotData') == {'size': 12, 'total': 12}
    facts = calls.caller.do('get', args=['s', 'streams.0.handler.type'])['streams.0.handler.type']
    assert facts == {'viewer': 'active', 'server': 'passive'}[calling]
    calls.caller.call('end')
    for process in (calls.caller, calls.callee):
        process.seen('MediaStreamDidEnd')
    assert calls.failures() == []


def test_who_takes_nothing_holds_up_the_sender(calls):
    """Nobody holds more than what fits into queues and sockets; nothing is lost, and all goes on when it is taken again."""
    size, count = 1 << 20, 0
    calls.connected('viewer')
    calls.caller.do('flow', session='s', method='pause')
    expected = hashlib.sha256()
    piece = bytes(range(256)) * (size // 256)
    while count < 14:                   # more than sockets and queues hold; the rest waits where the application can see it
        calls.callee.do('write', session='in1', size=size)
        expected.update(piece)
        count += 1
    held = calls.caller.do('got', session='s')
    assert held['size'] == 0 and held['incoming'] < 2 * 256 * 1024 and calls.callee.do('got', session='in1')['outgoing'] > 0
    with pytest.raises(AssertionError, match='DesktopSharingError: .* wait to be sent'):
        calls.callee.do('write', session='in1', size=15 << 20)
    assert calls.callee.do('write', session='in1', size=256)['room'] is False
    expected.update(bytes(range(256)))
    calls.caller.do('flow', session='s', method='resume')
    calls.callee.wait('DesktopSharingHandlerGotRoom')
    total = count * size + 256
    while calls.caller.wait('DesktopSharingStreamGotData')['total'] < total:
        pass
    assert calls.caller.do('got', session='s')['hash'] == expected.hexdigest()
    assert calls.callee.do('write', session='in1', size=256)['room'] is True and calls.failures() == []


def test_no_server(calls):
    """The stream of the side without a server fails, and the session with it; the other side is told by its end."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))            # and nobody listens
        calls.handlers(internal=False, port=taken.getsockname()[1])
        calls.call('viewer')
        calls.callee.do('accept', session='in1')
        failed = calls.callee.wait('DesktopSharingHandlerDidFail')
        assert (failed['context'], failed['failure']) == ('connecting', 'Failure') and 'refused' in failed['reason']
        assert calls.callee.seen('MediaStreamDidFail') == {'context': 'connecting', 'reason': failed['reason']}
        for process in (calls.caller, calls.callee):
            process.wait('SIPSessionDidEnd')
    assert [name for name, _, _ in calls.caller.events if name in SEEN] == []


def test_a_server_that_says_nothing_and_closes(calls):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(20)
        calls.handlers(internal=False, port=listener.getsockname()[1])
        calls.connected('viewer')
        listener.accept()[0].close()
    assert calls.callee.wait('DesktopSharingHandlerDidFail')['context'] == 'reading'
    for process in (calls.caller, calls.callee):
        process.wait('SIPSessionDidEnd')


def test_the_last_words_of_a_server_are_heard(calls):
    """What it wrote before it closed, as it does when it refuses a password."""
    calls.caller.do('handlers', internal=True)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(20)
        calls.callee.do('handlers', internal=False, port=listener.getsockname()[1])
        calls.connected('viewer')
        connection, _ = listener.accept()
        connection.sendall(b'x' * 200_000)
        connection.close()
    while calls.caller.wait('DesktopSharingStreamGotData')['total'] < 200_000:
        pass


def test_no_viewer_connects(calls, desktop):
    calls.handlers(internal=False, port=desktop.port, connect_timeout=0.2)
    calls.call('viewer')
    calls.callee.do('accept', session='in1')
    failed = calls.caller.wait('DesktopSharingHandlerDidFail')
    assert failed['context'] == 'connecting' and failed['reason'] == 'no VNC viewer has connected in 0.2 seconds'
    for process in (calls.caller, calls.callee):
        process.wait('SIPSessionDidEnd')


def test_the_connection_is_cut(calls, desktop, tmp_path):
    """In the middle of it; the programs at both ends are told by the end of theirs."""
    calls.handlers(internal=False, port=desktop.port)
    calls.connected('viewer')
    program = Viewer(calls.caller.do('address', session='s')['address'])
    try:
        expected = desktop.paint(7)
        assert program.see('all', tmp_path / 'all.png') == expected
        program.ask('changes', tmp_path / 'changes.png')
        calls.callee.do('drop_desktop', session='in1')
        for process in (calls.caller, calls.callee):
            assert process.wait('MediaStreamDidFail')['context'] == 'reading'
            process.wait('SIPSessionDidEnd')
    finally:
        program.stop()


def test_both_are_viewers(calls):
    """A peer that answers as if it were the same is refused by us."""
    calls.callee.do('handlers', internal=True)
    calls.callee.do('set', args=['agent'], contrary=True)
    calls.call('viewer')
    calls.callee.do('accept', session='in1')
    assert calls.caller.wait('MediaStreamDidFail') == {'context': 'start', 'reason': 'both sides are viewers'}
    calls.callee.do('set', args=['agent'], contrary=False)


def test_a_nickname_is_not_for_a_desktop(calls):
    calls.connected('viewer')
    assert calls.caller.do('nickname_code', session='s')['code'] == 501
    calls.caller.do('write', session='s', text='still there')
    calls.callee.wait('DesktopSharingStreamGotData')


def test_other_types_are_refused(calls):
    calls.connected('viewer')
    assert calls.caller.do('send_other', session='s')['code'] == 415
    calls.caller.do('write', session='s', text='still there')
    calls.callee.wait('DesktopSharingStreamGotData')


def test_a_process_that_is_killed(desktop):
    made = Desktops()
    try:
        made.handlers(internal=False, port=desktop.port)
        made.connected('viewer')
        with socket.create_connection(tuple(made.caller.do('address', session='s')['address']), 20) as viewer:
            assert viewer.recv(12) == b'RFB 003.008\n'
            made.callee.kill()
            assert made.caller.wait('MediaStreamDidFail')['context'] == 'reading'
            assert viewer.recv(1) == b''
    finally:
        made.caller.kill()
        made.callee.kill()
