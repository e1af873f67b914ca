"""Life of the Engine: restart, failed start, exit of the interpreter."""

import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from sipsimple.core import Engine
from tests.support.engine import Seen, nothing_left, running_engine

ROOT = Path(__file__).parent.parent.parent


def run_child(code, timeout=30):
    return subprocess.run([sys.executable, '-c', textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def test_restart_leaks_nothing():
    import os
    with running_engine(tcp_port=0):
        pass
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(5):
        with running_engine(tcp_port=0) as engine:
            assert engine.is_running
        assert not engine.is_running
    assert nothing_left()
    assert len(os.listdir('/proc/self/fd')) <= before


def test_failed_start_is_reported_and_can_be_repeated():
    blocker = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    blocker.bind(('127.0.0.1', 0))
    blocker.listen()
    seen = Seen()
    engine = Engine()
    try:
        engine.start(ip_address='127.0.0.1', udp_port=0, tcp_port=blocker.getsockname()[1])
        names = []
        while not names or names[-1] != 'SIPEngineDidFail':
            names.append(seen.queue.get(10).name)
        assert names[0] == 'SIPEngineWillStart'
        assert 'SIPEngineGotException' in names
        assert not engine.is_running
    finally:
        seen.stop()
        blocker.close()
    assert engine.join(5)
    with running_engine() as again:
        assert again.udp_port


def test_exit_without_stop_is_clean():
    result = run_child('''
        from sipsimple.core import Engine
        from sipsimple.notification import NotificationQueue
        with NotificationQueue() as queue:
            Engine().start(ip_address='127.0.0.1')
            while queue.get(10).name != 'SIPEngineDidStart':
                pass
        print('running')
    ''')
    assert result.stdout == 'running\n'
    assert result.stderr == ''
    assert result.returncode == 0


def test_stop_from_the_engine_thread():
    result = run_child('''
        import threading
        from sipsimple.core import Engine
        from sipsimple.notification import NotificationCenter
        ended = threading.Event()
        class Observer:
            def handle_notification(self, notification):
                if notification.name == 'SIPEngineDidStart':
                    Engine().stop()
                elif notification.name == 'SIPEngineDidEnd':
                    ended.set()
        observer = Observer()
        NotificationCenter().add_observer(observer, sender=Engine())
        Engine().start(ip_address='127.0.0.1')
        print(ended.wait(10))
    ''')
    assert (result.stdout, result.returncode) == ('True\n', 0)
