"""Register an account and wait for Enter: register.py alice@example.com PASSWORD [PROXY]"""
import sys

from sipsimple.account import Account
from sipsimple.application import SIPApplication
from sipsimple.notification import NotificationQueue
from sipsimple.storage import MemoryStorage

with NotificationQueue() as events:

    def wait_for(*names):
        while (event := events.get(timeout=60)).name not in names:
            pass
        return event

    SIPApplication().start(MemoryStorage())         # FileStorage('~/.my-phone') would remember the account
    wait_for('SIPApplicationDidStart')
    account = Account(sys.argv[1])
    account.auth.password = sys.argv[2]
    if len(sys.argv) > 3:
        account.sip.outbound_proxy = sys.argv[3]    # '192.0.2.7:5060;transport=tcp'; else DNS says (RFC 3263)
    account.enabled = True
    account.save()                                  # from here on it registers, refreshes, and retries
    outcome = wait_for('SIPAccountRegistrationDidSucceed', 'SIPAccountRegistrationDidFail')
    if outcome.name == 'SIPAccountRegistrationDidSucceed':
        print('registered at', outcome.data.registrar, 'for', outcome.data.expires, 'seconds')
        input('Enter ends it: ')
    else:
        print('not registered:', outcome.data.error)
    SIPApplication().stop()                         # unregisters
    wait_for('SIPApplicationDidEnd')
