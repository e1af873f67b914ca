"""The Engine ends, or the interpreter does, while calls are up; what comes too late is counted."""

import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from sipsimple.core import Engine, FromHeader, Invitation, Request, RouteHeader, SDPSession, SIPCoreError, SIPURI, ToHeader, _invitation
from sipsimple.core._handles import counters
from sipsimple.notification import NotificationCenter
from tests.support.engine import Seen, nothing_left, running_engine, wait_until
from tests.support.sip_calls import Incoming, Outgoing
from tests.support.sip_peer import UDPPeer, audio_sdp

ROOT = Path(__file__).resolve().parents[2]

WITH_A_CALL = '''
import os, sys, threading
from sipsimple.core import Engine
from tests.support.engine import Seen
from tests.support.sip_calls import Incoming, Outgoing
from tests.support.sip_peer import UDPPeer

seen = Seen()
engine = Engine()
engine.start(udp_port=0, ip_address='127.0.0.1')
seen.wait('SIPEngineDidStart')
peer = UDPPeer(engine.udp_port)
outgoing = Outgoing(peer, seen).connect()
incoming = Incoming(peer, seen)
ringing = Outgoing(peer, seen)
print('up', flush=True)
'''


def run_child(end, timeout=60):
    code = WITH_A_CALL + textwrap.dedent(end)
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize('end, status', [
    ('', 0),
    ('sys.exit(3)', 3),
    ('engine.stop()', 0),
    ('engine.stop(); engine.join(20); del outgoing', 0),
    ('threading.Thread(target=lambda: outgoing.invitation.end(), daemon=True).start()', 0),
])
def test_exit_with_calls_up_is_clean(end, status):
    done = run_child(end)
    assert (done.stdout, done.stderr, done.returncode) == ('up\n', '', status)


def test_exit_by_an_exception_shows_only_that():
    done = run_child('raise ZeroDivisionError')
    assert done.stdout == 'up\n' and done.returncode == 1
    assert done.stderr.rstrip().endswith('ZeroDivisionError') and done.stderr.count('Traceback') == 1


def test_stop_with_calls_up_and_start_again():
    seen = Seen()
    for _ in range(2):
        with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
            call = Outgoing(peer, seen).connect()
            waiting = Incoming(peer, seen)
            engine.stop()
            assert engine.join(15)
            for invitation in (call.invitation, waiting.invitation):
                assert invitation.call_id is not None or invitation.dialog_id is not None     # getters go on
            with pytest.raises(SIPCoreError):
                call.invitation.send_reinvite()
            with pytest.raises(SIPCoreError):
                waiting.invitation.send_response(200, sdp=SDPSession.parse(audio_sdp()))
    seen.stop()
    del call, waiting, invitation
    gc.collect()
    assert nothing_left()


def test_end_of_what_has_just_ended():
    """The session is gone, and whoever ends it has not been told yet."""
    seen = Seen()
    with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
        call = Outgoing(peer, seen).connect()
        handle = call.invitation._handle
        engine.stop()
        assert engine.join(15)
        _invitation.end(handle, 200, ())
    seen.stop()
    del call, handle
    gc.collect()
    assert nothing_left()


def test_nothing_is_made_while_the_engine_is_off():
    uri = SIPURI(host='example.com', user='bob')
    with pytest.raises(SIPCoreError):
        Invitation()
    with pytest.raises(SIPCoreError):
        Request('OPTIONS', uri, FromHeader(uri), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1')))


def test_events_for_the_dead_are_dropped_and_counted():
    """The answer waits in the queue when the last reference to its request goes."""
    blocked, go_on = threading.Event(), threading.Event()

    class Blocker:
        def handle_notification(self, notification):
            blocked.set()
            go_on.wait(20)
    blocker = Blocker()
    seen = Seen()
    with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
        uri = SIPURI(host='example.com', user='bob')
        request = Request('OPTIONS', uri, FromHeader(uri), ToHeader(uri), RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)))
        request.send()
        sent = peer.expect('OPTIONS')
        NotificationCenter().add_observer(blocker, name='SIPEngineGotMessage')
        try:
            peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\r\n', body='x'))
            assert blocked.wait(15)
            before = counters()
            peer.answer(sent, 200)
            assert wait_until(lambda: counters()['events_posted'] > before['events_posted'])
            del request
            gc.collect()
        finally:
            go_on.set()
            NotificationCenter().remove_observer(blocker, name='SIPEngineGotMessage')
        assert wait_until(lambda: counters()['late_callbacks'] > before['late_callbacks'])
    assert not [past for past in seen.past if past.name.startswith('SIPRequest')]
    seen.stop()
    assert nothing_left()


def test_an_application_may_have_defaults_of_its_own(monkeypatch):
    monkeypatch.setattr(Engine, 'default_start_options', {**Engine.default_start_options, 'user_agent': 'mine'})
    with running_engine() as engine:
        assert engine.user_agent == 'mine'
