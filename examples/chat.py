"""Send a text to a SIP address and print what comes back, without an account: chat.py sip:bob@192.0.2.7 TEXT; without arguments, wait and answer."""
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
from sipsimple.streams import ChatStream
from sipsimple.threading.green import run_in_green_thread


class Chatter:
    def __init__(self, target=None, text=None):
        self.target = target
        self.text = text
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification)

    def _NH_SIPApplicationWillStart(self, notification):
        settings = SIPSimpleSettings()
        settings.audio.input_device = settings.audio.output_device = None
        settings.save()
        BonjourAccount().contact = ContactURIFactory('chatter')

    def _NH_SIPApplicationDidStart(self, notification):
        print(f'reachable at sip:chatter@127.0.0.1:{SIPApplication().engine.udp_port}', flush=True)
        if self.target is not None:
            self.call()

    @run_in_green_thread
    def call(self):
        uri = SIPURI.parse(self.target)
        routes = DNSLookup().lookup_sip_proxy(uri, ['udp', 'tcp']).wait()
        chat = ChatStream()
        Session(BonjourAccount()).connect(ToHeader(uri), routes, [chat])
        chat.send_message(self.text)                    # it waits for the start of the stream

    def _NH_SIPSessionNewIncoming(self, notification):
        chats = [stream for stream in notification.data.streams if stream.type == 'chat']
        if chats:
            notification.sender.accept(chats[:1])
        else:
            notification.sender.reject(488)

    def _NH_ChatStreamGotMessage(self, notification):
        message = notification.data.message
        print(f'{message.sender.uri}: {message.content}', flush=True)
        if self.target is None:
            notification.sender.send_message(f'You said: {message.content}')
        else:
            notification.sender.session.end()

    def _NH_ChatStreamDidDeliverMessage(self, notification):
        print('delivered', flush=True)

    def _NH_ChatStreamDidNotDeliverMessage(self, notification):
        print('not delivered:', notification.data.code, notification.data.reason, flush=True)

    def _NH_SIPSessionDidFail(self, notification):
        print('no chat:', notification.data.code, notification.data.reason, flush=True)
        self._over()

    def _NH_SIPSessionDidEnd(self, notification):
        self._over()

    def _over(self):
        if self.target is not None:
            SIPApplication().stop()

    def _NH_SIPApplicationDidEnd(self, notification):
        self.ended.set()


if __name__ == '__main__':
    chatter = Chatter(*sys.argv[1:3])
    NotificationCenter().add_observer(chatter)
    SIPApplication().start(MemoryStorage())
    if chatter.target is None:
        sys.stdin.read()                                # until the end of the input: Control-D
        SIPApplication().stop()
    chatter.ended.wait()
