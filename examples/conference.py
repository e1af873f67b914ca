"""Host a conference: who calls is let in, hears the others and is told who is there; a REFER has somebody called, or thrown out (RFC 4579). conference.py"""
import sys
import threading

from sipsimple.account import BonjourAccount, ContactURIFactory
from sipsimple.application import SIPApplication
from sipsimple.conference import AudioConference
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import SIPCoreError, SIPURI, ToHeader
from sipsimple.lookup import DNSLookup, DNSLookupError
from sipsimple.notification import NotificationCenter
from sipsimple.payloads.conference import Conference, ConferenceDescription, Endpoint, User, Users
from sipsimple.session import Session
from sipsimple.storage import MemoryStorage
from sipsimple.streams import AudioStream
from sipsimple.threading.green import run_in_green_thread

CONTENT_TYPE = 'application/conference-info+xml'


def address(uri):
    return f'sip:{uri.user}@{uri.host}'


class Focus:
    def __init__(self):
        self.members = {}               # session -> address
        self.subscriptions = []
        self.referrals = {}             # session -> the REFER that it is for
        self.version = 0
        self.ended = threading.Event()

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification.sender, notification.data)

    def _NH_SIPApplicationWillStart(self, application, data):
        settings = SIPSimpleSettings()
        settings.audio.input_device = None              # nobody sits here
        settings.audio.output_device = None
        settings.save()
        BonjourAccount().contact = ContactURIFactory('conference')

    def _NH_SIPApplicationDidStart(self, application, data):
        application.engine.add_incoming_event('conference')
        self.audio = AudioConference()
        self.audio.hold()
        self.uri = f'sip:conference@127.0.0.1:{application.engine.udp_port}'
        print('call', self.uri, flush=True)

    # Who is in

    def _NH_SIPSessionNewIncoming(self, session, data):
        audio = [stream for stream in data.streams if stream.type == 'audio']
        if audio:
            session.accept(audio[:1], is_focus=True)
        else:
            session.reject(488)

    def _NH_SIPSessionDidStart(self, session, data):
        self.audio.add(data.streams[0])
        self.members[session] = address(session.remote_identity.uri)
        self.tell(session, 200)

    def _NH_MediaStreamWillEnd(self, stream, data):
        if stream in self.audio.streams:
            self.audio.remove(stream)

    def _NH_SIPSessionDidEnd(self, session, data):
        self.members.pop(session, None)
        self.tell(session, 200)

    # Who wants to know that

    def _NH_SIPIncomingSubscriptionGotSubscribe(self, subscription, data):
        self.subscriptions.append(subscription)
        subscription.accept(CONTENT_TYPE, self.document())

    def _NH_SIPIncomingSubscriptionDidEnd(self, subscription, data):
        self.subscriptions.remove(subscription)

    def document(self):
        self.version += 1
        users = [User(member, endpoints=[Endpoint(member, status='connected')]) for member in self.members.values()]
        description = ConferenceDescription(display_text='Everybody')
        return Conference(self.uri, version=self.version, conference_description=description, users=Users(users)).toxml()

    def tell(self, session, code, reason=None):
        """The list has changed, or could not be: tell whoever asked for that, and everybody else."""
        referral = self.referrals.pop(session, None)
        if referral is not None:
            referral.end(code, reason)
        document = self.document()
        for subscription in self.subscriptions:
            if subscription.state == 'ACTIVE':
                subscription.push_content(CONTENT_TYPE, document)

    # Who is to be in

    def _NH_SIPIncomingReferralGotRefer(self, referral, data):
        try:
            uri = SIPURI.parse(data.refer_to.uri)
        except SIPCoreError:
            referral.reject(400)
            return
        method = uri.parameters.pop('method', None) or 'INVITE'
        referral.accept()
        if method != 'BYE':
            self.invite(referral, uri)
            return
        for session, member in self.members.items():
            if member == address(uri):
                self.referrals[session] = referral
                session.end()
                return
        referral.end(404)

    @run_in_green_thread
    def invite(self, referral, uri):
        try:
            routes = DNSLookup().lookup_sip_proxy(uri, ['udp', 'tcp']).wait()
        except DNSLookupError:
            referral.end(404)
            return
        session = Session(BonjourAccount())
        self.referrals[session] = referral
        session.connect(ToHeader(uri), routes, [AudioStream()], is_focus=True)

    def _NH_SIPSessionGotProvisionalResponse(self, session, data):
        if session in self.referrals:
            self.referrals[session].send_notify(data.code, data.reason)

    def _NH_SIPSessionDidFail(self, session, data):
        self.tell(session, data.code or 500, data.reason)

    def _NH_SIPApplicationDidEnd(self, application, data):
        self.ended.set()


if __name__ == '__main__':
    focus = Focus()
    NotificationCenter().add_observer(focus)
    SIPApplication().start(MemoryStorage())
    sys.stdin.read()                                    # until the end of the input: Control-D
    SIPApplication().stop()
    focus.ended.wait(15)
