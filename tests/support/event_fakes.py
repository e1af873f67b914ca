"""Subscription and Referral of the core without a core: the notifier is played by the methods that end in `_by_peer` and by `tell`."""

from __future__ import annotations

from types import SimpleNamespace

from sipsimple.core import SIPCoreError, SubscriptionStateHeader
from sipsimple.notification import NotificationCenter, NotificationData


class FakeEventDialog:
    """What both have in common. Every object is in `made` of its class, which `fresh()` makes."""

    made: list
    prefix = ''

    def __init__(self, *arguments):
        self.arguments = arguments
        self.state = 'NULL'
        self.sent = []                  # names of the methods called
        self.timeouts = []
        self.made.append(self)

    @classmethod
    def fresh(cls):
        """A class of its own for one test."""
        return type(cls.__name__, (cls,), {'made': []})

    def post(self, name, **fields):
        NotificationCenter().post_notification(self.prefix + name, sender=self, data=NotificationData(**fields))

    def _send(self, method, timeout):
        self.sent.append(method)
        self.timeouts.append(timeout)

    def end(self, timeout=None):
        if self.state == 'NULL':
            raise SIPCoreError('there is nothing to end yet')
        if self.state != 'TERMINATED':
            self._send('end', timeout)

    def accepted_by_peer(self):
        self.state = 'ACCEPTED'
        self.post('DidStart')

    def ended(self):
        self.state = 'TERMINATED'
        self.post('DidEnd')

    def failed_by_peer(self, code, reason='No', **fields):
        self.state = 'TERMINATED'
        self.post('DidFail', code=code, reason=reason, **fields)


class FakeSubscription(FakeEventDialog):
    prefix = 'SIPSubscription'

    @property
    def refresh(self):
        return self.arguments[7]

    @property
    def route(self):
        return self.arguments[5]

    def subscribe(self, timeout=None):
        if self.state == 'TERMINATED':
            raise SIPCoreError('over')
        self._send('subscribe', timeout)
        if self.state == 'NULL':
            self.state = 'SENT'

    def failed_by_peer(self, code, reason='No', min_expires=None):
        super().failed_by_peer(code, reason, min_expires=min_expires)

    def tell(self, body=None, content_type='application/conference-info+xml', state='active', **parameters):
        """A NOTIFY."""
        header = SubscriptionStateHeader(state, {name.replace('_', '-'): str(value) for name, value in parameters.items()})
        self.post('GotNotify', body=body, content_type=content_type, headers={'Subscription-State': header})

    def ended_by_peer(self, **parameters):
        self.tell(state='terminated', **parameters)
        self.ended()


class FakeReferral(FakeEventDialog):
    prefix = 'SIPReferral'

    @property
    def sent_to(self):
        names = ('request_uri', 'from_header', 'to_header', 'refer_to', 'contact', 'route', 'credentials')
        return SimpleNamespace(**dict(zip(names, self.arguments, strict=True)))

    def send_refer(self, timeout=None):
        self._send('refer', timeout)
        self.state = 'SENT'

    def tell(self, status_line):
        """A NOTIFY."""
        self.post('GotNotify', body=None if status_line is None else status_line.encode(), headers={})
