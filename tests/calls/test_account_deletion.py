"""What becomes of an account object that nobody needs any more."""

from __future__ import annotations

from tests.support.child import run_script

PROGRAM = """
import gc
import weakref
from sipsimple.account import Account, AccountManager
from sipsimple.account.settings import BonjourDiscoverySettings
from sipsimple.application import SIPApplication
from sipsimple.core import Engine
from sipsimple.lookup import DNSManager
from sipsimple.notification import NotificationCenter, NotificationQueue
from sipsimple.storage import MemoryStorage

BonjourDiscoverySettings.enabled.default = False
Engine.default_start_options = {**Engine.default_start_options, 'ip_address': '127.0.0.1'}
dns = DNSManager()
dns.probe_domain, dns.public_nameservers = None, []
events = NotificationQueue()
events.start()


def wait(name, sender=None):
    while True:
        event = events.get(30)
        if event.name == name and sender in (None, event.sender):
            return


def gone(reference, what):
    global events
    events.stop()
    events = NotificationQueue()        # the old one holds what was posted
    events.start()
    gc.collect()
    assert reference() is None, what + ' is held by ' + repr(gc.get_referrers(reference()))


SIPApplication().start(MemoryStorage())
wait('SIPApplicationDidStart')
account = Account('somebody@example.com')
account.sip.register.enabled = False
account.enabled = True
account.save()
wait('SIPAccountDidActivate', account)
account.delete()
wait('SIPAccountDidDeactivate', account)
wait('SIPAccountManagerDidRemoveAccount')
assert not AccountManager().has_account('somebody@example.com')
reference = weakref.ref(account)
del account
SIPApplication().stop()             # whatever was under way is over then
wait('SIPApplicationDidEnd')
gone(reference, 'a deleted account')

SIPApplication().start(MemoryStorage())
wait('SIPApplicationDidStart')
reference = weakref.ref(AccountManager().get_account('bonjour@local'))
SIPApplication().stop()
wait('SIPApplicationDidEnd')
gone(reference, 'an account of an earlier run')
"""


def test_accounts_that_are_gone() -> None:
    """A deleted account stops what it does; neither it nor an account of an earlier run of the application is kept."""
    result = run_script(PROGRAM)
    assert result.returncode == 0, result.stderr
