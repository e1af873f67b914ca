"""A process that hosts a conference: a focus (RFC 4579) made of the parts of the SDK, as an application would make one. Steered like session_agent.

Who calls gets in. A SUBSCRIBE to `conference` is answered with the list of those who are in, and each change is told to all subscribers (RFC 4575). A REFER has
the focus call somebody, or hang up on one who is in. What it refuses is set by `do_set('agent', ...)`.
"""

from __future__ import annotations

import logging
import sys

from session_agent import Agent

from sipsimple.core import Engine, Route, SIPURI, ToHeader
from sipsimple.notification import NotificationCenter
from sipsimple.payloads.conference import Conference, ConferenceDescription, Endpoint, User, Users
from sipsimple.session import Session

CONTENT_TYPE = 'application/conference-info+xml'


class FocusAgent(Agent):
    TOLD = ('SIPSession', 'SIPIncomingSubscription', 'SIPIncomingReferral', 'SIPEngineGotException')

    def __init__(self):
        super().__init__()
        self.version = 0
        self.members = {}               # URI -> session
        self.subscriptions = []
        self.referrals = {}             # session -> the REFER that it is for
        self.subscribe_code = self.refer_code = None            # what these requests are refused with

    def start(self, **options):
        return super().start(incoming_events={'conference'}, own_uri=True, **options)

    def handle_notification(self, notification):
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            handler(notification.sender, notification.data)
        super().handle_notification(notification)

    def name_of(self, session):
        return super().name_of(session) if isinstance(session, Session) else None

    # ---- who is in

    def _NH_SIPSessionNewIncoming(self, session, data):
        session.accept(data.streams, is_focus=True)

    def _NH_SIPSessionDidStart(self, session, data):
        # An address of record would do at home; here all have the same one, and From and To have no ports.
        self.members[f'sip:{session.remote_identity.uri.user}@{session.peer_address}'] = session
        self._tell_all()
        referral = self.referrals.pop(session, None)
        if referral is not None:
            referral.end(200)

    def _NH_SIPSessionGotProvisionalResponse(self, session, data):
        if session in self.referrals:
            self.referrals[session].send_notify(data.code, data.reason)

    def _NH_SIPSessionDidFail(self, session, data):
        referral = self.referrals.pop(session, None)
        if referral is not None:
            referral.end(data.code or 500, data.reason or None)

    def _NH_SIPSessionDidEnd(self, session, data):
        self.members = {uri: member for uri, member in self.members.items() if member is not session}
        self._tell_all()
        referral = self.referrals.pop(session, None)
        if referral is not None:
            referral.end(200)

    # ---- who is told

    def _document(self):
        self.version += 1
        users = [User(uri, endpoints=[Endpoint(uri, status='connected')]) for uri in self.members]
        return Conference(str(self.account.uri), version=self.version, conference_description=ConferenceDescription(display_text='Test'), users=Users(users)).toxml()

    def _NH_SIPIncomingSubscriptionGotSubscribe(self, subscription, data):
        if self.subscribe_code is not None:
            subscription.reject(self.subscribe_code)
        else:
            self.subscriptions.append(subscription)
            subscription.accept(CONTENT_TYPE, self._document())

    def _NH_SIPIncomingSubscriptionDidEnd(self, subscription, data):
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def _tell_all(self):
        document = self._document()
        for subscription in self.subscriptions:
            if subscription.state == 'ACTIVE':
                subscription.push_content(CONTENT_TYPE, document)

    def do_end_subscriptions(self, reason):
        for subscription in list(self.subscriptions):
            subscription.end(reason)

    def do_tell(self, content_type, content):
        """Send anything to the subscribers."""
        for subscription in self.subscriptions:
            subscription.push_content(content_type, content)

    # ---- who is wanted

    def _NH_SIPIncomingReferralGotRefer(self, referral, data):
        if self.refer_code is not None:
            referral.reject(self.refer_code)
            return
        uri = SIPURI.parse(data.refer_to.uri)
        method = (uri.parameters.pop('method', None) or 'INVITE').upper()
        referral.accept()
        if method == 'BYE':
            member = self.members.get(str(uri))
            if member is None:
                referral.end(404)
            else:
                self.referrals[member] = referral
                member.end()
        else:
            session = Session(self.account)
            self.referrals[session] = referral
            session.connect(ToHeader(uri), [Route(uri.host, port=uri.port)], self.make(['plain']), is_focus=True)


if __name__ == '__main__':
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = FocusAgent()
    try:
        agent.run()
    finally:
        Engine().stop()
        NotificationCenter().remove_observer(agent)
