"""Subscription, Referral and Publication of the core without a core: the notifier is played by the methods that end in `_by_peer` and by `tell`."""

from __future__ import annotations

from types import SimpleNamespace

from sipsimple.core import PublicationETagError, SIPCoreError, SubscriptionStateHeader
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
    def target(self):
        return str(self.arguments[0])

    @property
    def refresh(self):
        return self.arguments[7]

    @property
    def route(self):
        return self.arguments[5]

    def subscribe(self, extra_headers=(), content_type=None, body=None, timeout=None):
        self.extra_headers, self.document = list(extra_headers), None if body is None else (content_type, body)
        if self.state == 'TERMINATED':
            raise SIPCoreError('over')
        self._send('subscribe', timeout)
        if self.state == 'NULL':
            self.state = 'SENT'

    def failed_by_peer(self, code, reason='No', min_expires=None):
        super().failed_by_peer(code, reason, min_expires=min_expires)

    def tell(self, body=None, content_type='application/conference-info+xml', state='active', require=(), **parameters):
        """A NOTIFY."""
        header = SubscriptionStateHeader(state, {name.replace('_', '-'): str(value) for name, value in parameters.items()})
        headers = {'Subscription-State': header, 'Require': list(require)}
        if body is not None and content_type is not None:
            headers['Content-Type'] = SimpleNamespace(body=content_type)
        self.post('GotNotify', body=body, content_type=content_type and content_type.partition(';')[0], headers=headers, request_uri=None, from_header=None, to_header=None,
                  event=self.arguments[4])

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


class FakePublication(FakeEventDialog):
    prefix = 'SIPPublication'

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.bodies = []                # None for a refresh
        self.routes = []
        self.etag = None
        self.is_pending = False
        self.duration = self.credentials = None

    @property
    def is_published(self):
        return self.state == 'PUBLISHED'

    def publish(self, body, route, timeout=None):
        if body is None and self.etag is None:
            raise PublicationETagError('there is nothing to refresh')
        self.bodies.append(body)
        self.routes.append(route)
        self.is_pending = True
        self._send('publish', timeout)

    def end(self, timeout=None):
        if self.is_published:
            self.is_pending = True
            self._send('end', timeout)

    def accepted_by_peer(self, etag='tag', expires=600):
        self.state, self.etag, self.is_pending = 'PUBLISHED', etag, False
        self.post('DidSucceed', code=200, reason='OK', expires_in=expires)

    def failed_by_peer(self, code, reason='No', min_expires=None, retry_after=None):
        self.is_pending = False
        if code == 412:
            self.state, self.etag = 'NULL', None
        self.post('DidFail', code=code, reason=reason, min_expires=min_expires, retry_after=retry_after)

    def will_expire(self):
        self.post('WillExpire', expires=30)

    def ended(self, expired=False):
        self.state, self.etag, self.is_pending = 'NULL', None, False
        self.post('DidEnd', expired=expired)

    def not_ended(self):
        self.state, self.etag, self.is_pending = 'NULL', None, False
        self.post('DidNotEnd', code=408, reason='Request Timeout')
