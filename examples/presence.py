"""Say how you are, and see how others are, until Enter: presence.py alice@example.com PASSWORD PROXY|- NOTE CONTACT..."""
import sys

from sipsimple.account import Account
from sipsimple.application import SIPApplication
from sipsimple.notification import NotificationCenter, NotificationQueue
from sipsimple.payloads import rpid
from sipsimple.payloads.pidf import PIDF, Person, Service
from sipsimple.storage import MemoryStorage


class Contacts:
    def handle_notification(self, notification):
        for uri, resource in notification.data.resource_map.items():
            notes = [note for pidf in resource.pidf_list for service in pidf.services for note in service.notes]
            print(uri, resource.state, *notes, flush=True)


with NotificationQueue() as events:

    def wait_for(name):
        while events.get(timeout=60).name != name:
            pass

    contacts = Contacts()
    NotificationCenter().add_observer(contacts, name='SIPAccountGotPresenceState')
    SIPApplication().start(MemoryStorage())
    wait_for('SIPApplicationDidStart')
    name, password, proxy, note, *watched = sys.argv[1:]
    account = Account(name)
    account.auth.password = password
    account.sip.outbound_proxy = None if proxy == '-' else proxy
    account.presence.enabled = True
    account.watch(presence=watched)                 # one by one, as long as the server has no list of them
    service = Service('me', status='open', contact=f'sip:{name}', notes=[note])
    person = Person('person')
    person.activities = rpid.Activities(['busy'])
    account.presence_state = PIDF(f'sip:{name}', [service, person])
    account.enabled = True
    account.save()
    input()
    SIPApplication().stop()                         # unsubscribes, and takes the presence back
    wait_for('SIPApplicationDidEnd')
