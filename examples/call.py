"""Call a SIP address from this machine, without an account, and talk for ten seconds: call.py sip:bob@192.0.2.7"""
import sys
import time

from sipsimple.account import BonjourAccount
from sipsimple.application import SIPApplication
from sipsimple.core import SIPURI, ToHeader
from sipsimple.lookup import DNSLookup
from sipsimple.notification import NotificationQueue
from sipsimple.session import Session
from sipsimple.storage import MemoryStorage
from sipsimple.streams import AudioStream

with NotificationQueue() as events:                         # everything that happens, in order

    def wait_for(*names):
        while (event := events.get(timeout=60)).name not in names:
            pass
        return event

    SIPApplication().start(MemoryStorage())
    wait_for('SIPApplicationDidStart')
    uri = SIPURI.parse(sys.argv[1])
    routes = DNSLookup().lookup_sip_proxy(uri, ['udp', 'tcp']).result()
    session = Session(BonjourAccount())
    session.connect(ToHeader(uri), routes, [AudioStream()])
    outcome = wait_for('SIPSessionDidStart', 'SIPSessionDidFail')
    if outcome.name == 'SIPSessionDidStart':
        print('talking to', session.remote_identity.uri, 'with', session.streams[0].codec)
        time.sleep(10)
        session.end()
        wait_for('SIPSessionDidEnd')
    else:
        print('no call:', outcome.data.code, outcome.data.reason)
    SIPApplication().stop()
    wait_for('SIPApplicationDidEnd')
