"""Print who is near, as they come and go, and be one of them: neighbours.py NAME. Ends when its input does (Ctrl-D)."""
import sys
import threading

from sipsimple.account import BonjourAccount
from sipsimple.account.bonjour import BonjourPresenceState
from sipsimple.application import SIPApplication
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.notification import NotificationCenter
from sipsimple.storage import MemoryStorage


class Street:
    def __init__(self, name):
        self.name = name
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _NH_SIPApplicationWillStart(self, notification):
        settings = SIPSimpleSettings()
        settings.audio.input_device = settings.audio.output_device = None
        settings.sip.transport_list = ['udp']
        settings.save()
        account = BonjourAccount()
        account.display_name = self.name
        account.presence.enabled = True
        account.presence_state = BonjourPresenceState('available', 'waiting for neighbours')
        account.save()

    def _NH_BonjourAccountDidAddNeighbour(self, notification):
        self.show('here', notification.data.record)

    def _NH_BonjourAccountDidUpdateNeighbour(self, notification):
        self.show('changed', notification.data.record)

    def _NH_BonjourAccountDidRemoveNeighbour(self, notification):
        self.show('gone', notification.data.record)

    def show(self, what, record):
        presence = f', {record.presence.state} ({record.presence.note})' if record.presence else ''
        print(f'{what}: {record.name} at {record.host}, {record.uri}{presence}', flush=True)

    def _NH_BonjourAccountDiscoveryDidFail(self, notification):
        print('nobody can be found:', notification.data.reason, flush=True)

    def _NH_SIPApplicationDidEnd(self, notification):
        self.ended.set()


street = Street(sys.argv[1])
NotificationCenter().add_observer(street)
SIPApplication().start(MemoryStorage())
sys.stdin.read()
SIPApplication().stop()
street.ended.wait()
