"""Subscription against a scripted notifier (RFC 6665)."""

import gc
import re
import threading

import pytest

from sipsimple.core import (
    ContactHeader,
    ContentType,
    Credentials,
    Engine,
    FromHeader,
    FrozenContactHeader,
    FrozenRouteHeader,
    Header,
    RouteHeader,
    SIPCoreError,
    SIPURI,
    Subscription,
    ToHeader,
    _endpoint,
)
from sipsimple.notification import NotificationCenter
from tests.support.engine import Forgetful, nothing_left
from tests.support.sip_peer import StreamPeer, UDPPeer, tag_of

ENGINE_OPTIONS = {'tcp_port': 0}
PIDF = '<presence/>'


def subscription_to(peer, event='presence', transport='udp', **kwargs):
    parameters = {} if transport == 'udp' else {'transport': transport}
    port = {'udp': Engine().udp_port, 'tcp': Engine().tcp_port}[transport]
    return Subscription(
        SIPURI(host='example.com', user='bob'), FromHeader(SIPURI(host='example.com', user='alice'), 'Alice'), ToHeader(SIPURI(host='example.com', user='bob')),
        ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=port, parameters=parameters)), event,
        RouteHeader(SIPURI(host='127.0.0.1', port=peer.port, parameters=parameters)), **kwargs)


class Notifier:
    """The other end of one dialog."""

    def __init__(self, peer, subscribe):
        self.peer = peer
        self.subscribe = subscribe
        self.call_id = subscribe.get('call-id')
        self.our_tag = 'peer-to'
        self.their_tag = tag_of(subscribe.get('from'))
        self.target = re.search('<(.*?)>', subscribe.get('contact')).group(1)
        self.cseq = 0

    def accept(self, code=200, expires='300', headers='', **kwargs):
        self.peer.answer(self.subscribe, code, headers=(f'Expires: {expires}\r\n' if expires is not None else '') + headers, to_tag=self.our_tag, **kwargs)

    def notify(self, state='active;expires=300', event='presence', body='', content_type='application/pidf+xml', method='NOTIFY', from_tag=None, cseq=None,
               headers='', call_id=None):
        self.cseq = self.cseq + 1 if cseq is None else cseq
        lines = headers
        if event is not None:
            lines += f'Event: {event}\r\n'
        if state is not None:
            lines += f'Subscription-State: {state}\r\n'
        if body:
            lines += f'Content-Type: {content_type}\r\n'
        self.peer.send(self.peer.request(method, uri=self.target, headers=lines, body=body, cseq=self.cseq, call_id=call_id or self.call_id,
                                         from_tag=from_tag or self.our_tag, to_tag=self.their_tag))

    def notified(self, **kwargs):
        """The code that a NOTIFY is answered with."""
        self.notify(**kwargs)
        return self.answered()

    def answered(self):
        return self.message().code

    def message(self):
        while True:
            message = self.peer.receive()
            if message.code is not None:
                return message


def begun(peer, seen, state='active;expires=300', timeout=None, **kwargs):
    """A Subscription that has started and got its first NOTIFY."""
    subscription = subscription_to(peer, **kwargs)
    subscription.subscribe(timeout=timeout)
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    notifier.accept(expires=str(subscription.refresh))
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    assert notifier.notified(state=state, event=subscription.event) == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    seen.wait('SIPSubscriptionChangedState', sender=subscription)
    return subscription, notifier


def of(seen, subscription):
    return [(past.name.removeprefix('SIPSubscription'), getattr(past.data, 'state', None)) for past in seen.past if past.sender is subscription]


def test_arguments(peer):
    with pytest.raises(ValueError):
        subscription_to(peer, event='unheard-of')
    with pytest.raises(ValueError):
        subscription_to(peer, refresh=0)
    subscription = subscription_to(peer)
    with pytest.raises(SIPCoreError):
        subscription.__init__(None, None, None, None, None, None)
    with pytest.raises(SIPCoreError):
        subscription.end()
    for wrong in ({'content_type': 'text/plain'}, {'body': b'x'}, {'timeout': 0}, {'timeout': -1}, {'extra_headers': [Header('Event', 'x')]}):
        with pytest.raises(ValueError):
            subscription.subscribe(**wrong)
    with pytest.raises(TypeError):
        Subscription(SIPURI(host='a'), None, None, None, 'presence', None)
    assert subscription.state == 'NULL' and subscription.peer_address is None and subscription.credentials is None


def test_life(peer, seen):
    subscription = subscription_to(peer, credentials=Credentials('alice', 'secret'), refresh=600)
    subscription.subscribe(extra_headers=[Header('Supported', 'eventlist')], content_type='text/plain', body='filter')
    assert subscription.state == 'SENT'
    sent = peer.expect('SUBSCRIBE')
    assert sent.start == 'SUBSCRIBE sip:bob@example.com SIP/2.0'
    assert sent.get('event') == 'presence' and sent.get('expires') == '600' and sent.body == 'filter'
    assert sent.get('accept') == 'multipart/related, application/rlmi+xml, application/pidf+xml'
    assert sent.get('supported') == 'eventlist' and sent.get('route') == f'<sip:127.0.0.1:{peer.port};lr>'
    notifier = Notifier(peer, sent)
    assert sent.get('call-id') == subscription.call_id and notifier.their_tag
    notifier.accept(202, '600')
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    seen.wait('SIPSubscriptionChangedState', sender=subscription, prev_state='SENT', state='ACCEPTED')
    assert notifier.notified(state='pending') == 200
    data = seen.wait('SIPSubscriptionGotNotify', sender=subscription).data
    assert (data.body, data.content_type, data.event) == (None, None, 'presence') and data.request_uri.user == 'alice'
    assert data.from_header.tag == 'peer-to' and data.to_header.tag == notifier.their_tag
    assert data.headers['Subscription-State'].state == 'pending'
    seen.wait('SIPSubscriptionChangedState', sender=subscription, prev_state='ACCEPTED', state='PENDING')
    for number in range(3):
        assert notifier.notified(body=f'{PIDF}{number}') == 200
        data = seen.wait('SIPSubscriptionGotNotify', sender=subscription).data
        assert data.body == f'{PIDF}{number}'.encode() and data.content_type == 'application/pidf+xml' and isinstance(data.content_type, ContentType)
    assert subscription.state == 'ACTIVE' and subscription.peer_address.port == peer.port
    assert (subscription.event, subscription.refresh, subscription.content_type, subscription.body) == ('presence', 600, 'text/plain', b'filter')
    assert subscription.extra_headers == [Header('Supported', 'eventlist')] and subscription.credentials.username == 'alice'
    assert isinstance(subscription.contact_header, FrozenContactHeader) and isinstance(subscription.route_header, FrozenRouteHeader)
    assert subscription.from_header.display_name == 'Alice' and subscription.to_header.uri.user == 'bob'
    subscription.end()
    subscription.end()
    last = peer.expect('SUBSCRIBE')
    assert last.get('expires') == '0' and last.start == f'SUBSCRIBE {peer.uri} SIP/2.0'
    assert tag_of(last.get('from')) == notifier.their_tag and tag_of(last.get('to')) == 'peer-to' and last.get('call-id') == subscription.call_id
    assert int(last.get('cseq').split()[0]) == int(sent.get('cseq').split()[0]) + 1
    peer.answer(last, 200, headers='Expires: 0\r\n')
    assert notifier.notified(state='terminated;reason=timeout') == 200
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert of(seen, subscription) == [
        ('WillStart', None), ('ChangedState', 'SENT'), ('DidStart', None), ('ChangedState', 'ACCEPTED'), ('GotNotify', None), ('ChangedState', 'PENDING'),
        ('GotNotify', None), ('ChangedState', 'ACTIVE'), ('GotNotify', None), ('GotNotify', None), ('WillEnd', None), ('GotNotify', None),
        ('ChangedState', 'TERMINATED'), ('DidEnd', None)]
    assert peer.silent()
    subscription.end()
    with pytest.raises(SIPCoreError):
        subscription.subscribe()
    assert notifier.notified() == 481
    subscription = None
    seen.past.clear()
    assert nothing_left()


def test_caller_keeps_what_it_gave(peer, seen):
    contact = ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=Engine().udp_port))
    route = RouteHeader(SIPURI(host='127.0.0.1', port=peer.port))
    headers = [Header('X-One', '1')]
    subscription = Subscription(SIPURI(host='example.com'), FromHeader(SIPURI(host='a')), ToHeader(SIPURI(host='b')), contact, 'presence', route)
    subscription.subscribe(headers)
    route.uri.port = 1
    contact.uri.user = 'mallory'
    headers.clear()
    sent = peer.expect('SUBSCRIBE')
    assert 'alice' in sent.get('contact') and sent.get('x-one') == '1' and subscription.route_header.uri.port == peer.port
    peer.answer(sent, 404)
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=404)


@pytest.mark.parametrize('code, headers, min_expires', [
    (403, '', None), (404, '', None), (423, 'Min-Expires: 3600\r\n', 3600), (481, '', None), (489, 'Allow-Events: dialog\r\n', None),
    (302, 'Contact: <sip:elsewhere@127.0.0.1>\r\n', None), (500, '', None), (503, 'Retry-After: 5\r\n', None), (603, '', None)])
def test_refused(peer, seen, code, headers, min_expires):
    subscription = subscription_to(peer)
    subscription.subscribe()
    peer.answer(peer.expect('SUBSCRIBE'), code, 'Because', headers=headers)
    data = seen.wait('SIPSubscriptionDidFail', sender=subscription).data
    assert (data.code, data.reason, data.min_expires) == (code, 'Because', min_expires)
    assert of(seen, subscription) == [('WillStart', None), ('ChangedState', 'SENT'), ('ChangedState', 'TERMINATED'), ('DidFail', None)]


@pytest.mark.parametrize('code, name', [(401, 'WWW-Authenticate'), (407, 'Proxy-Authenticate')])
def test_digest(peer, seen, code, name):
    subscription = subscription_to(peer, credentials=Credentials('alice', 'secret'))
    subscription.subscribe()
    first = peer.expect('SUBSCRIBE')
    peer.answer(first, code, headers=f'{name}: Digest realm="example.com", nonce="one", qop="auth"\r\n')
    second = peer.expect('SUBSCRIBE')
    assert (second.get('authorization') or second.get('proxy-authorization')).count('nonce="one"')
    peer.answer(second, code, headers=f'{name}: Digest realm="example.com", nonce="two", qop="auth", stale=true\r\n')
    third = peer.expect('SUBSCRIBE')
    assert 'nonce="two"' in (third.get('authorization') or third.get('proxy-authorization'))
    assert tag_of(third.get('from')) == tag_of(first.get('from')) and 'tag=' not in third.get('to')
    notifier = Notifier(peer, third)
    notifier.accept()
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    assert notifier.notified() == 200
    subscription.end()
    last = peer.expect('SUBSCRIBE')
    assert int(last.get('cseq').split()[0]) == int(third.get('cseq').split()[0]) + 1
    peer.answer(last, 481)
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)


def test_challenge_without_credentials(peer, seen):
    subscription = subscription_to(peer)
    subscription.subscribe()
    peer.answer(peer.expect('SUBSCRIBE'), 407, headers='Proxy-Authenticate: Digest realm="x", nonce="n"\r\n')
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=407)


def test_wrong_password(peer, seen):
    subscription = subscription_to(peer, credentials=Credentials('alice', 'wrong'))
    subscription.subscribe()
    for _ in range(2):
        peer.answer(peer.expect('SUBSCRIBE'), 401, headers='WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\n')
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=401)


def test_server_silence(peer, seen):
    subscription = subscription_to(peer)
    subscription.subscribe(timeout=0.2)
    peer.expect('SUBSCRIBE')
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=408, min_expires=None)
    assert subscription.state == 'TERMINATED'


def test_nobody_there(engine, seen):
    with UDPPeer(engine.udp_port) as gone:
        pass
    with StreamPeer(engine.tcp_port) as stream:
        pass
    for peer, transport in ((gone, 'udp'), (stream, 'tcp')):
        subscription = subscription_to(peer, transport=transport)
        subscription.subscribe(timeout=5)
        assert seen.wait('SIPSubscriptionDidFail', sender=subscription).data.code in (408, 503)


def test_bad_header_is_a_failure(peer, seen):
    subscription = subscription_to(peer)
    subscription.subscribe([Header('X-Bad', 'one\r\ntwo')])
    data = seen.wait('SIPSubscriptionDidFail', sender=subscription).data
    assert data.code == 0 and 'line break' in data.reason


def test_no_contact_in_the_2xx(peer, seen):
    subscription = subscription_to(peer)
    subscription.subscribe()
    sent = peer.expect('SUBSCRIBE')
    peer.send(re.sub('Contact: .*\r\n', '', peer.response(sent, 200, headers='Expires: 300\r\n')))
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=1400, reason='Contact header missing')
    assert Notifier(peer, sent).notified() == 481


@pytest.mark.parametrize('says_so', [True, False])
def test_no_time_granted(peer, seen, says_so, monkeypatch):
    monkeypatch.setattr('sipsimple.core.subscriber.FINAL_NOTIFY_WAIT', 0.3)
    subscription = subscription_to(peer)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    notifier.accept(expires='0')
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    if says_so:
        assert notifier.notified(state='terminated;reason=timeout', body=PIDF) == 200
        seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert subscription.state == 'TERMINATED'


@pytest.mark.parametrize('code, wrong', [
    (489, {'event': None}), (489, {'event': 'unheard-of'}), (481, {'event': 'dialog'}), (481, {'event': 'presence;id=7'}),
    (415, {'body': '{}', 'content_type': 'application/json'}), (481, {'from_tag': 'fork'}), (405, {'method': 'SUBSCRIBE'}),
    (481, {'call_id': 'another'}), (500, {'cseq': 1})])
def test_notify_that_is_not_for_us(peer, seen, code, wrong):
    subscription, notifier = begun(peer, seen)
    notifier.notify(**wrong)
    answer = notifier.message()
    assert answer.code == code
    if code == 489:
        assert 'presence' in answer.get('allow-events')
    if code == 415:
        assert 'application/pidf+xml' in answer.get('accept')
    notifier.cseq = 10
    assert notifier.notified(body=PIDF) == 200
    assert seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.body == PIDF.encode()        # the next one: the other was not told of
    assert subscription.state == 'ACTIVE'


def test_body_without_type(peer, seen):
    subscription, notifier = begun(peer, seen)
    peer.send(peer.request('NOTIFY', uri=notifier.target, headers='Event: presence\r\nSubscription-State: active\r\n', body='x', cseq=5, call_id=notifier.call_id,
                           from_tag='peer-to', to_tag=notifier.their_tag))
    assert notifier.answered() in (200, 400, 415)
    notifier.cseq = 10
    assert notifier.notified() == 200
    assert subscription.state == 'ACTIVE'


def test_retransmitted_notify(peer, seen):
    subscription, notifier = begun(peer, seen)
    text = peer.request('NOTIFY', uri=notifier.target, headers='Event: presence\r\nSubscription-State: active\r\n', cseq=5, call_id=notifier.call_id,
                        from_tag='peer-to', to_tag=notifier.their_tag)
    for _ in range(3):
        peer.send(text)
        assert notifier.answered() == 200
    notifier.cseq = 10
    assert notifier.notified(body=PIDF) == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    assert seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.body == PIDF.encode()


@pytest.mark.parametrize('state, name', [('active', 'ACTIVE'), ('pending;expires=100', 'PENDING'), (None, 'ACTIVE')])
def test_notify_before_the_2xx(peer, seen, state, name):
    subscription = subscription_to(peer)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    assert notifier.notified(state=state, body=PIDF) == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    seen.wait('SIPSubscriptionChangedState', sender=subscription, state=name)
    assert notifier.notified(from_tag='fork') == 481
    notifier.accept()
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    assert subscription.state == name


@pytest.mark.parametrize('code', [200, 403])
def test_terminated_before_the_answer(peer, seen, code):
    subscription = subscription_to(peer)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    assert notifier.notified(state='terminated;reason=rejected') == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    notifier.accept(code)
    seen.wait('SIPSubscriptionDidEnd' if code == 200 else 'SIPSubscriptionDidFail', sender=subscription)
    assert subscription.state == 'TERMINATED'


@pytest.mark.parametrize('reason, retry_after', [('deactivated', None), ('probation', 30), ('rejected', None), ('timeout', None), ('giveup', 5), ('noresource', None)])
def test_terminated_by_the_notifier(peer, seen, reason, retry_after):
    subscription, notifier = begun(peer, seen)
    assert notifier.notified(state=f'terminated;reason={reason}' + (f';retry-after={retry_after}' if retry_after else '')) == 200
    header = seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.headers['Subscription-State']
    assert (header.state, header.reason, header.retry_after) == ('terminated', reason, retry_after)
    seen.wait('SIPSubscriptionChangedState', sender=subscription, prev_state='ACTIVE', state='TERMINATED')
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert notifier.notified() == 481


def test_refresh(peer, seen):
    """Due after half of the time when that is short."""
    subscription, _notifier = begun(peer, seen, state='active', refresh=2)
    refresh = peer.expect('SUBSCRIBE')
    assert refresh.get('expires') == '2' and tag_of(refresh.get('to')) == 'peer-to' and refresh.start == f'SUBSCRIBE {peer.uri} SIP/2.0'
    peer.answer(refresh, 200, headers='Expires: 300\r\n')
    subscription.subscribe(extra_headers=[Header('X-Now', 'yes')])
    refresh = peer.expect('SUBSCRIBE')
    assert refresh.get('x-now') == 'yes' and refresh.get('expires') == '2'
    peer.answer(refresh, 200, headers='Expires: 2\r\n')
    again = peer.expect('SUBSCRIBE')
    assert again.get('x-now') == 'yes'
    peer.answer(again, 481, 'Gone')
    seen.wait('SIPSubscriptionChangedState', sender=subscription, prev_state='ACTIVE', state='TERMINATED')
    seen.wait('SIPSubscriptionDidFail', sender=subscription, code=481, reason='Gone')


def test_notify_shortens_the_time(peer, seen):
    """And cannot make it longer."""
    _subscription, notifier = begun(peer, seen)
    assert notifier.notified(state='active;expires=4294967295') == 200
    assert notifier.notified(state='active;expires=2') == 200
    assert peer.expect('SUBSCRIBE', timeout=5).get('expires') == '300'


def test_first_notify_does_not_come(peer, seen):
    _endpoint.set_sip_timers(t1=50, t2=400, t4=500, td=400)
    try:
        subscription = subscription_to(peer)
        subscription.subscribe()
        notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
        notifier.accept()
        seen.wait('SIPSubscriptionDidFail', sender=subscription, code=408, reason='No NOTIFY received')
    finally:
        _endpoint.set_sip_timers()


def test_routes_and_target(peer, seen):
    """In the dialog the route set is that of the 2xx, in reverse, and a NOTIFY may change the target."""
    subscription = subscription_to(peer)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    routes = f'Record-Route: <sip:127.0.0.1:{peer.port};lr;n=2>\r\nRecord-Route: <sip:127.0.0.1:{peer.port};lr;n=1>\r\n'
    notifier.accept(headers=routes)
    seen.wait('SIPSubscriptionDidStart', sender=subscription)
    peer.send(peer.request('NOTIFY', uri=notifier.target, headers='Event: presence\r\nSubscription-State: active\r\n', call_id=notifier.call_id, cseq=1,
                           from_tag='peer-to', to_tag=notifier.their_tag).replace(f'Contact: <{peer.uri}>', f'Contact: <sip:moved@127.0.0.1:{peer.port}>'))
    assert notifier.answered() == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    subscription.subscribe()
    refresh = peer.expect('SUBSCRIBE')
    assert refresh.start == f'SUBSCRIBE sip:moved@127.0.0.1:{peer.port} SIP/2.0'
    assert refresh.headers['route'] == [f'<sip:127.0.0.1:{peer.port};lr;n=1>', f'<sip:127.0.0.1:{peer.port};lr;n=2>']


@pytest.mark.parametrize('answer', [200, 481, 500, None])
def test_end_without_last_notify(peer, seen, answer, monkeypatch):
    monkeypatch.setattr('sipsimple.core.subscriber.FINAL_NOTIFY_WAIT', 0.3)
    subscription, _notifier = begun(peer, seen)
    subscription.end(timeout=None if answer else 0.3)
    sent = peer.expect('SUBSCRIBE')
    if answer:
        peer.answer(sent, answer)
    seen.wait('SIPSubscriptionWillEnd', sender=subscription)
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert subscription.state == 'TERMINATED'


@pytest.mark.parametrize('code', [200, 404])
def test_end_before_the_answer(peer, seen, code):
    subscription = subscription_to(peer)
    subscription.subscribe()
    first = peer.expect('SUBSCRIBE')
    subscription.end()
    seen.wait('SIPSubscriptionWillEnd', sender=subscription)
    with pytest.raises(SIPCoreError):
        subscription.subscribe()
    notifier = Notifier(peer, first)
    notifier.accept(code)
    if code == 200:
        last = peer.expect('SUBSCRIBE')
        assert last.get('expires') == '0' and tag_of(last.get('to')) == 'peer-to'
        peer.answer(last, 200)
        assert notifier.notified(state='terminated') == 200
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)


def test_over_tcp(engine, seen):
    """And the connection is held as long as it lasts, for the NOTIFYs come over it."""
    with StreamPeer(engine.tcp_port) as peer:
        held = engine.diagnostics()['live_request']
        subscription = subscription_to(peer, transport='tcp')
        subscription.subscribe()
        notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
        notifier.accept()
        seen.wait('SIPSubscriptionDidStart', sender=subscription)
        assert notifier.notified(body=PIDF * 1000) == 200
        assert len(seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.body) == len(PIDF) * 1000
        assert engine.diagnostics()['live_request'] == held + 1
        subscription.end()
        peer.answer(peer.expect('SUBSCRIBE'), 200)
        assert notifier.notified(state='terminated') == 200
        seen.wait('SIPSubscriptionDidEnd', sender=subscription)
        assert engine.diagnostics()['live_request'] == held


def test_dropped(peer, seen):
    """Nothing is said, not even to the notifier, until it asks."""
    subscription, notifier = begun(peer, seen)
    timers = Engine().diagnostics()['timers_of_core']
    assert subscription.state == 'ACTIVE'
    del subscription
    seen.past.clear()
    gc.collect()
    assert nothing_left()
    assert Engine().diagnostics()['timers_of_core'] < timers
    assert notifier.notified() == 481


def test_ended_and_forgotten(peer, seen):
    """It unsubscribes all the same."""
    subscription, notifier = begun(peer, seen)
    seen.past.clear()
    seen.stop()
    with Forgetful('SIPSubscriptionGotNotify', lambda subscription: subscription.end(), subscription):
        del subscription
        assert notifier.notified() == 200
        unsubscribe = peer.expect('SUBSCRIBE')
        assert unsubscribe.get('expires') == '0'
    peer.answer(unsubscribe, 481)
    assert nothing_left()


def test_dropped_while_it_begins(peer):
    for _ in range(20):
        subscription_to(peer).subscribe()
    gc.collect()
    assert nothing_left()


def test_observer_may_end_it(peer, seen):
    """In the notification, from the Engine thread."""
    class Observer:
        def handle_notification(self, notification):
            if notification.name == 'SIPSubscriptionGotNotify':
                notification.sender.end(timeout=2)
    observer = Observer()
    subscription = subscription_to(peer)
    NotificationCenter().add_observer(observer, sender=subscription)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    notifier.accept()
    notifier.notify()
    sent = peer.expect('SUBSCRIBE')
    assert sent.get('expires') == '0'
    peer.answer(sent, 481)
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    NotificationCenter().remove_observer(observer, sender=subscription)


def test_threads(peer, seen):
    """Who calls from many threads at once gets one beginning and one end."""
    subscription = subscription_to(peer)
    subscription.subscribe()
    notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
    notifier.accept()
    assert notifier.notified() == 200
    seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    threads = [threading.Thread(target=subscription.end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peer.answer(peer.expect('SUBSCRIBE'), 200)
    assert notifier.notified(state='terminated') == 200
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert [name for name, _ in of(seen, subscription)].count('WillEnd') == 1


ROUNDS = 2000


def test_many_rounds_leave_nothing(peer, seen):
    assert nothing_left()
    before = Engine().diagnostics()
    for _ in range(ROUNDS):
        subscription = subscription_to(peer)
        subscription.subscribe()
        notifier = Notifier(peer, peer.expect('SUBSCRIBE'))
        notifier.accept()
        assert notifier.notified() == 200
        seen.wait('SIPSubscriptionDidStart', sender=subscription)
        subscription.end()
        peer.answer(peer.expect('SUBSCRIBE'), 200)
        assert notifier.notified(state='terminated') == 200
        seen.wait('SIPSubscriptionDidEnd', sender=subscription)
        seen.past.clear()
    subscription = None
    assert nothing_left()
    after = Engine().diagnostics()
    assert after['timers_of_core'] == before['timers_of_core'] and after['dialogs'] == before['dialogs']
