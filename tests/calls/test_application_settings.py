"""Settings that change while the application starts, and while it runs; the size of its mixer."""

from __future__ import annotations

from tests.support.child import run_script

PROGRAM = """
import time
from sipsimple.account.settings import BonjourDiscoverySettings
from sipsimple.application import SIPApplication
from sipsimple.configuration.datatypes import PortRange
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Engine
from sipsimple.lookup import DNSManager
from sipsimple.notification import NotificationCenter, NotificationQueue
from sipsimple.storage import MemoryStorage

BonjourDiscoverySettings.enabled.default = False
Engine.default_start_options = {**Engine.default_start_options, 'ip_address': '127.0.0.1'}
dns = DNSManager()
dns.probe_domain, dns.public_nameservers = None, []


class Changer:
    def handle_notification(self, notification):
        # The engine has its options by now, and goes on when everybody was told of the change.
        told = NotificationQueue('CFGSettingsObjectDidChange', SIPSimpleSettings())
        told.start()
        settings = SIPSimpleSettings()
        settings.rtp.port_range = PortRange(12000, 12100)
        settings.sip.transport_list = ['udp']
        settings.user_agent = 'changed'
        settings.save()
        told.get(10)
        told.stop()


changer = Changer()
NotificationCenter().add_observer(changer, name='SIPEngineWillStart')
events = NotificationQueue()
events.start()


def wait(name):
    while events.get(30).name != name:
        pass


SIPApplication().start(MemoryStorage())
wait('SIPApplicationDidStart')
engine = Engine()
assert engine.rtp_port_range == (12000, 12100), engine.rtp_port_range
assert engine.user_agent == 'changed', engine.user_agent
assert engine.tcp_port is None, engine.tcp_port

# Room for as many calls as ports can be given to, and for their recorders.
assert SIPApplication.voice_audio_mixer.slot_count >= 2000, SIPApplication.voice_audio_mixer.slot_count

# Another transport leaves those that are open alone, with the calls on them.
port = engine.udp_port
settings = SIPSimpleSettings()
settings.sip.transport_list = ['tcp', 'udp']
settings.save()
deadline = time.monotonic() + 30
while engine.tcp_port is None:
    assert time.monotonic() < deadline, 'no TCP'
    time.sleep(0.01)
assert engine.udp_port == port, (engine.udp_port, port)
SIPApplication().stop()
wait('SIPApplicationDidEnd')
"""


def test_settings_of_the_application() -> None:
    """What is saved between start() and SIPApplicationDidStart holds, and does not wait for the next change; a change leaves alone what it does not concern."""
    result = run_script(PROGRAM)
    assert result.returncode == 0, result.stderr
