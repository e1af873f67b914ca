"""Send a file to a SIP address, without an account: files.py sip:bob@192.0.2.7 FILE; with a folder alone, wait and put what comes there: files.py FOLDER."""
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
from sipsimple.streams import FileSelector, FileTransferStream
from sipsimple.threading.green import run_in_green_thread


class Files:
    def __init__(self, path, target=None):
        self.path = path
        self.target = target
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _NH_SIPApplicationWillStart(self, notification):
        settings = SIPSimpleSettings()
        settings.audio.input_device = settings.audio.output_device = None
        settings.save()
        BonjourAccount().contact = ContactURIFactory('files')

    def _NH_SIPApplicationDidStart(self, notification):
        print(f'reachable at sip:files@127.0.0.1:{SIPApplication().engine.udp_port}', flush=True)
        if self.target is not None:
            self.send()

    @run_in_green_thread
    def send(self):
        uri = SIPURI.parse(self.target)
        routes = DNSLookup().lookup_sip_proxy(uri, ['udp', 'tcp']).wait()
        stream = FileTransferStream(BonjourAccount(), FileSelector.for_file(self.path))
        Session(BonjourAccount()).connect(ToHeader(uri), routes, [stream])      # or session.add_stream(stream), in a call

    def _NH_SIPSessionNewIncoming(self, notification):
        files = [stream for stream in notification.data.streams if stream.type == 'file-transfer' and stream.direction == 'recvonly']
        if not files:
            notification.sender.reject(488)
            return
        for stream in files:
            print(f'{notification.sender.remote_identity.uri} sends {stream.file_selector.name}, {stream.file_selector.size} bytes', flush=True)
            stream.handler.save_directory = self.path
        notification.sender.accept(files)

    def _NH_FileTransferHandlerProgress(self, notification):
        print(f'{notification.data.transferred_bytes} of {notification.data.total_bytes} bytes', flush=True)

    def _NH_FileTransferHandlerDidEnd(self, notification):
        handler = notification.sender
        print(f'failed: {notification.data.reason}' if notification.data.error else f'complete: {handler.filename}', flush=True)
        if self.target is not None:
            handler.stream.session.end()

    def _NH_SIPSessionDidFail(self, notification):
        print('no transfer:', notification.data.code, notification.data.reason, flush=True)
        self._over()

    def _NH_SIPSessionDidEnd(self, notification):
        self._over()

    def _over(self):
        if self.target is not None:
            SIPApplication().stop()

    def _NH_SIPApplicationDidEnd(self, notification):
        self.ended.set()


if __name__ == '__main__':
    files = Files(sys.argv[2], sys.argv[1]) if len(sys.argv) > 2 else Files(sys.argv[1])
    NotificationCenter().add_observer(files)
    SIPApplication().start(MemoryStorage())
    if files.target is None:
        sys.stdin.read()                                # until the end of the input: Control-D
        SIPApplication().stop()
    files.ended.wait()
