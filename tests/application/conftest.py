"""Scripts with a SIPApplication, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120         # seconds a script may take

PRELUDE = '''
import gc, os, queue, socket, sys, threading, time
from sipsimple.account import Account, AccountManager, BonjourAccount
from sipsimple.account.settings import BonjourDiscoverySettings
from sipsimple.application import SIPApplication, application, devices, network
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Engine
from sipsimple.lookup import DNSManager
from sipsimple.notification import NotificationCenter, NotificationData, NotificationQueue
from sipsimple.session import SessionManager
from sipsimple.storage import FileStorage, MemoryStorage
from sipsimple.threading import ThreadManager, call_in_thread, call_in_twisted_thread, reactor

BonjourDiscoverySettings.enabled.default = False        # nothing is sent into the networks of this machine
dns = DNSManager()
dns.probe_domain, dns.public_nameservers, dns.nameservers = None, [], []        # asks nobody
app = SIPApplication()
events = NotificationQueue()
events.start()
past = []


def wait(*names, limit=30):
    """The next notification of one of these names; what comes before it is kept in `past`."""
    until = time.monotonic() + limit
    while True:
        try:
            notification = events.get(max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f'no {names}; seen {[item.name for item in past]}') from None
        past.append(notification)
        if notification.name in names:
            return notification


def seen(prefix='SIPApplication'):
    """The names in `past` that begin so, which is emptied."""
    names = [item.name.removeprefix(prefix) for item in past if item.name.startswith(prefix)]
    past.clear()
    return names


def start(storage=None):
    app.start(storage if storage is not None else MemoryStorage())
    return wait('SIPApplicationDidStart', 'SIPApplicationDidEnd')


def stop():
    app.stop()
    return wait('SIPApplicationDidEnd')


def saved():
    """Save the settings and wait until what follows from it is done."""
    SIPSimpleSettings().save()
    wait('CFGSettingsObjectDidChange')
    done = threading.Event()
    call_in_thread('file-io', call_in_twisted_thread, done.set)         # behind what the observers have handed over
    assert done.wait(30)
    while not events.empty():
        past.append(events.get())


def until(condition, limit=30):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, 'it does not come true'
        time.sleep(0.005)
'''


@pytest.fixture
def run(tmp_path):
    """Run a script in an own process, in an own folder; it must succeed and leave no traceback. Returns what it printed."""
    def call(script, *arguments, traceback=False, status=0):
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        done = subprocess.run([sys.executable, '-X', 'faulthandler', '-c', PRELUDE + script, *map(str, arguments)], cwd=tmp_path, timeout=LIMIT, check=False,
                              env={**os.environ, 'PYTHONPATH': path, 'HOME': str(tmp_path)}, capture_output=True, text=True)
        assert done.returncode == status, f'{done.returncode}\n{done.stdout}\n{done.stderr}'
        assert traceback or 'Traceback' not in done.stderr, done.stderr
        return done.stdout
    return call
