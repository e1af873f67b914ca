"""The Engine in a process whose SDK thread runs: events of the core are served there."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PREAMBLE = '''
import os, threading
from sipsimple.core import Engine, SIPCoreError, _timers
from sipsimple.notification import NotificationCenter, NotificationQueue
from sipsimple.threading import reactor
from tests.support.sip_peer import UDPPeer

class Observer:
    def __init__(self, function, name):
        self.function = function
        NotificationCenter().add_observer(self, name=name)
    def handle_notification(self, notification):
        self.function(notification)

seen = NotificationQueue()
seen.start()

def wait(name):
    while (notification := seen.get(20)).name != name:
        pass
    return notification

def start(**options):
    engine = Engine()
    engine.start(udp_port=0, ip_address='127.0.0.1', **options)
    wait('SIPEngineDidStart')
    return engine

def in_sdk_thread(function):
    done = threading.Event()
    def call():
        try:
            function()
        finally:
            done.set()
    reactor.call_from_thread(call)
    assert done.wait(20)
'''


def run(code):
    done = subprocess.run([sys.executable, '-c', PREAMBLE + textwrap.dedent(code) + "\nprint('well done')"], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0 and 'well done' in done.stdout, done.stdout + done.stderr


def test_events_are_served_in_the_sdk_thread_and_in_order():
    run('''
        threads = []
        observer = Observer(lambda notification: threads.append(threading.current_thread().name), 'SIPEngineGotMessage')
        reactor.start()
        for turn in range(3):
            engine = start()
            with UDPPeer(engine.udp_port) as peer:
                for number in range(20):
                    peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\\r\\n', body=str(number)))
                bodies = [wait('SIPEngineGotMessage').data.body for _ in range(20)]
            assert bodies == [str(number).encode() for number in range(20)], bodies
            engine.stop()
            wait('SIPEngineDidEnd')
            assert engine.join(10)
            in_sdk_thread(lambda: None)         # it closes the descriptor
            files = len(os.listdir('/proc/self/fd'))
            assert not turn or files <= first
            first = files
        assert set(threads) == {'SIPSimpleThread'} and len(threads) == 60, threads
    ''')


def test_without_the_sdk_thread_the_engine_thread_serves_them():
    run('''
        threads = []
        observer = Observer(lambda notification: threads.append(threading.current_thread().name), 'SIPEngineGotMessage')
        engine = start()
        reactor.start()             # too late for this run of the Engine
        with UDPPeer(engine.udp_port) as peer:
            peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\\r\\n', body='x'))
            wait('SIPEngineGotMessage')
        assert threads == ['EngineThread']
    ''')


def test_an_observer_that_exits_ends_neither_the_loop_nor_the_engine():
    run('''
        reactor.start()
        def leave(notification):
            raise SystemExit
        observer = Observer(leave, 'SIPEngineGotMessage')
        engine = start()
        with UDPPeer(engine.udp_port) as peer:
            for number in range(3):
                peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\\r\\n', body=str(number)))
                assert wait('SIPEngineGotException').data.type is SystemExit
        in_sdk_thread(lambda: None)
        engine.stop()
        wait('SIPEngineDidEnd')
    ''')


def test_it_can_be_ended_and_started_from_the_sdk_thread():
    run('''
        reactor.start()
        engine = start()
        refused = []
        def end(notification):
            engine.stop()
            try:
                engine.join(1)
            except RuntimeError:
                refused.append(True)
        observer = Observer(end, 'SIPEngineGotMessage')
        with UDPPeer(engine.udp_port) as peer:
            peer.send(peer.request('MESSAGE', headers='Content-Type: text/plain\\r\\n', body='end'))
            wait('SIPEngineDidEnd')
        assert refused == [True]
        def again():
            engine.start(udp_port=0, ip_address='127.0.0.1')
            engine.stop()
            assert engine.join(20)
        in_sdk_thread(again)
        wait('SIPEngineDidEnd')
    ''')


def test_many_events_leave_room_for_others():
    run('''
        reactor.start()
        start()
        served = []
        entered, go = threading.Event(), threading.Event()
        def block():
            entered.set()
            go.wait(20)
            reactor.get_loop().call_later(0, lambda: order.append(len(served)))
        order = []
        reactor.call_from_thread(block)
        entered.wait(20)
        for number in range(2000):
            _timers.call_later(0, served.append, number)
        last = threading.Event()
        _timers.call_later(0.5, last.set)       # all others are due by then
        go.set()
        assert last.wait(20)
        assert sorted(served) == list(range(2000)), len(served)
        assert order and order[0] < 2000, order
    ''')
