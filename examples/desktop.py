"""Share the desktop of the VNC server at a port: desktop.py 5900; see it: desktop.py sip:desktop@192.0.2.7, and start a VNC viewer as it says."""
import sys
import threading

from sipsimple.account import BonjourAccount, ContactURIFactory
from sipsimple.application import SIPApplication
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import SIPURI, ToHeader
from sipsimple.lookup import DNSLookup
from sipsimple.notification import NotificationCenter
from sipsimple.session import Session
from sipsimple.storage import MemoryStorage
from sipsimple.streams import DesktopSharingStream, ExternalVNCServerHandler, ExternalVNCViewerHandler
from sipsimple.threading.green import run_in_green_thread


class Sharer:
    def __init__(self, what):
        self.port = int(what) if what.isdigit() else None
        self.target = None if what.isdigit() else what
        self.viewer = None
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _NH_SIPApplicationWillStart(self, notification):
        settings = SIPSimpleSettings()
        settings.audio.input_device = settings.audio.output_device = None
        settings.save()
        BonjourAccount().contact = ContactURIFactory('desktop')

    def _NH_SIPApplicationDidStart(self, notification):
        print(f'reachable at sip:desktop@127.0.0.1:{SIPApplication().engine.udp_port}', flush=True)
        if self.target is not None:
            self.call()

    @run_in_green_thread
    def call(self):
        uri = SIPURI.parse(self.target)
        routes = DNSLookup().lookup_sip_proxy(uri, ['udp', 'tcp']).wait()
        self.viewer = ExternalVNCViewerHandler(connect_timeout=60)
        Session(BonjourAccount()).connect(ToHeader(uri), routes, [DesktopSharingStream(BonjourAccount(), self.viewer)])

    def _NH_SIPSessionNewIncoming(self, notification):
        # Of the two sides of a desktop we take that of the server.
        desktops = [stream for stream in notification.data.streams if stream.type == 'desktop-sharing' and stream.handler.type == 'passive']
        if desktops and self.port is not None:
            desktops[0].handler = ExternalVNCServerHandler(('127.0.0.1', self.port))
            notification.sender.accept(desktops[:1])
        else:
            notification.sender.reject(488)

    def _NH_SIPSessionDidStart(self, notification):
        if self.viewer is None:
            print('the desktop is seen by', notification.sender.remote_identity.uri, flush=True)
        else:
            print('connect a VNC viewer to {}::{}'.format(*self.viewer.address), flush=True)

    def _NH_MediaStreamDidFail(self, notification):
        print('the desktop is gone:', notification.data.reason, flush=True)

    def _NH_SIPSessionDidFail(self, notification):
        print('no desktop:', notification.data.code, notification.data.reason, flush=True)
        self._over()

    def _NH_SIPSessionDidEnd(self, notification):
        self._over()

    def _over(self):
        if self.target is not None:
            SIPApplication().stop()

    def _NH_SIPApplicationDidEnd(self, notification):
        self.ended.set()


if __name__ == '__main__':
    sharer = Sharer(sys.argv[1])
    NotificationCenter().add_observer(sharer)
    SIPApplication().start(MemoryStorage())
    if sharer.target is None:
        sys.stdin.read()                                # until the end of the input: Control-D
        SIPApplication().stop()
    sharer.ended.wait()
