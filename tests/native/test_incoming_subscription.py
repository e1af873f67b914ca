"""IncomingSubscription against a scripted subscriber, and against a Subscription of the same Engine (RFC 6665)."""

import gc
import re
from functools import partial

import pytest

from sipsimple.core import ContactHeader, ContentType, Engine, FromHeader, RouteHeader, SIPCoreError, SIPCoreInvalidStateError, SIPURI, Subscription, ToHeader
from sipsimple.core.incoming_subscription import IncomingSubscription
from sipsimple.core.notifier import TRANSITIONS
from tests.support.engine import Forgetful, nothing_left
from tests.support.sip_peer import tag_of

ENGINE_OPTIONS = {'detect_sip_loops': False, 'incoming_events': {'presence', 'conference'}}
PIDF = 'application/pidf+xml'


class Subscriber:
    """The other end of one dialog."""

    def __init__(self, peer, seen, expires='600', event='presence', headers=''):
        self.peer = peer
        self.call_id = f'subscriber-{id(self)}-{peer.port}@127.0.0.1'
        self.cseq = 0
        self.our_tag = None
        self.event = event
        self.target = None
        self.answers = []
        self.send(expires, headers=headers)
        self.subscription = seen.wait('SIPIncomingSubscriptionGotSubscribe').sender

    def send(self, expires='600', method='SUBSCRIBE', event=None, headers='', cseq=None):
        self.cseq = self.cseq + 1 if cseq is None else cseq
        headers += f'Event: {event or self.event}\r\n' + (f'Expires: {expires}\r\n' if expires is not None else '')
        self.peer.send(self.peer.request(method, uri=self.target, headers=headers, cseq=self.cseq, call_id=self.call_id, to_tag=self.our_tag, from_tag='watcher'))

    def answered(self):
        """The answer to our request; NOTIFYs in between are answered with 200."""
        while True:
            message = self.peer.receive()
            if message.code is not None:
                self.our_tag = tag_of(message.get('to'))
                if message.get('contact'):
                    self.target = re.search('<(.*?)>', message.get('contact')).group(1)
                return message
            self.peer.answer(message, 200)

    def notified(self, code=200):
        """The next NOTIFY, answered with that."""
        message = self.peer.expect('NOTIFY')
        if code:
            self.peer.answer(message, code)
        return message


def of(seen, subscription):
    return [(past.name.removeprefix('SIPIncomingSubscription'), getattr(past.data, 'state', None)) for past in seen.past if past.sender is subscription]


def active(peer, seen, **kwargs):
    subscriber = Subscriber(peer, seen, **kwargs)
    subscriber.subscription.accept(PIDF, '<one/>')
    assert subscriber.answered().code == 200
    assert subscriber.notified().body == '<one/>'
    seen.wait('SIPIncomingSubscriptionNotifyDidSucceed', sender=subscriber.subscription)
    return subscriber


def test_life(peer, seen):
    subscriber = Subscriber(peer, seen)
    subscription = subscriber.subscription
    data = seen.past[-1].data
    assert (data.method, data.body) == ('SUBSCRIBE', None) and data.request_uri.user == 'engine' and data.headers['Event'].event == 'presence'
    assert (subscription.state, subscription.event, subscription.call_id) == ('INCOMING', 'presence', subscriber.call_id)
    assert subscription.peer_address.port == peer.port and subscription.content is None and subscription.content_type is None
    for wrong in (partial(subscription.push_content, PIDF, 'x'), subscription.end):
        with pytest.raises(SIPCoreInvalidStateError):
            wrong()
    subscription.accept_pending()
    answer = subscriber.answered()
    assert answer.code == 202 and answer.get('expires') == '600' and answer.get('contact')
    data = seen.wait('SIPIncomingSubscriptionAnsweredSubscribe', sender=subscription).data
    assert (data.code, data.headers['Expires'], data.body) == (202, 600, None)
    notify = subscriber.notified()
    assert notify.start.startswith(f'NOTIFY {peer.uri} ') and notify.get('event') == 'presence' and notify.body == ''
    assert re.fullmatch(r'pending;expires=(600|599)', notify.get('subscription-state'))
    assert tag_of(notify.get('from')) == subscriber.our_tag and tag_of(notify.get('to')) == 'watcher' and notify.get('contact')
    data = seen.wait('SIPIncomingSubscriptionSentNotify', sender=subscription).data
    assert data.method == 'NOTIFY' and data.headers['Subscription-State'].state == 'pending' and data.request_uri.port == peer.port
    assert seen.wait('SIPIncomingSubscriptionNotifyDidSucceed', sender=subscription).data.code == 200
    with pytest.raises(SIPCoreInvalidStateError):
        subscription.accept_pending()
    with pytest.raises(SIPCoreInvalidStateError):
        subscription.reject(403)
    subscription.accept(PIDF, '<one/>')
    with pytest.raises(SIPCoreInvalidStateError):
        subscription.accept()
    notify = subscriber.notified()
    assert notify.body == '<one/>' and notify.get('content-type') == PIDF and notify.get('subscription-state').startswith('active;expires=')
    subscription.push_content(PIDF, b'<two/>')
    assert subscription.content == b'<two/>' and isinstance(subscription.content_type, ContentType)
    assert subscriber.notified().body == '<two/>'
    subscription.end('giveup')
    subscription.end()
    assert subscriber.notified().get('subscription-state') == 'terminated;reason=giveup'
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscription)
    subscription.end()
    assert [item for item in of(seen, subscription) if item[0] in ('ChangedState', 'DidEnd')] == [
        ('ChangedState', 'PENDING'), ('ChangedState', 'ACTIVE'), ('ChangedState', 'TERMINATED'), ('DidEnd', None)]
    assert peer.silent()
    subscriber.send()
    assert subscriber.answered().code == 481
    del subscription
    subscriber.subscription = None
    seen.past.clear()
    assert nothing_left()


def test_arguments(peer, seen):
    with pytest.raises(SIPCoreError):
        IncomingSubscription()
    subscription = Subscriber(peer, seen).subscription
    for code in (200, 299, 700):
        with pytest.raises(ValueError):
            subscription.reject(code)
    for pair in ((PIDF, None), (None, 'x'), ('pidf', 'x')):
        with pytest.raises(ValueError):
            subscription.accept(*pair)
    subscription.accept()
    with pytest.raises(ValueError):
        subscription.push_content('text', 'x')
    with pytest.raises(ValueError):
        subscription.push_content(None, None)
    seen.wait('SIPIncomingSubscriptionSentNotify', sender=subscription)


@pytest.mark.parametrize('code', [403, 489, 603])
def test_reject(peer, seen, code):
    subscriber = Subscriber(peer, seen)
    subscriber.subscription.reject(code)
    assert subscriber.subscription.state == 'TERMINATED'
    assert subscriber.answered().code == code
    seen.wait('SIPIncomingSubscriptionChangedState', sender=subscriber.subscription, prev_state='INCOMING', state='TERMINATED')
    assert seen.wait('SIPIncomingSubscriptionAnsweredSubscribe', sender=subscriber.subscription).data.code == code
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscriber.subscription)
    assert peer.silent()


@pytest.mark.parametrize('headers, code', [('Event: dialog\r\n', 489), ('', 489), ('Event: presence\r\nRequire: magic\r\n', 420)])
def test_refused_by_the_core(peer, seen, headers, code):
    peer.send(peer.request('SUBSCRIBE', headers=headers))
    answer = peer.receive()
    assert answer.code == code
    assert answer.get('allow-events' if code == 489 else 'unsupported') == ('conference, presence' if code == 489 else 'magic')


def test_no_contact(peer):
    peer.send(re.sub('Contact: .*\r\n', '', peer.request('SUBSCRIBE', headers='Event: presence\r\n')))
    assert peer.receive().code == 400


def test_unknown_dialog(peer):
    peer.send(peer.request('SUBSCRIBE', headers='Event: presence\r\n', to_tag='nobody'))
    assert peer.receive().code == 481


def test_packages_at_run_time(engine, peer, seen):
    peer.send(peer.request('SUBSCRIBE', headers='Event: dialog\r\n'))
    assert peer.receive().code == 489
    engine.add_incoming_event('dialog')
    Subscriber(peer, seen, event='dialog').subscription.reject(486)
    assert peer.receive().code == 486
    engine.remove_incoming_event('dialog')
    peer.send(peer.request('SUBSCRIBE', headers='Event: dialog\r\n'))
    assert peer.receive().code == 489


@pytest.mark.parametrize('asked, granted', [('7200', '3600'), (None, '3600'), ('10', '10')])
def test_granted_time(peer, seen, asked, granted):
    subscriber = Subscriber(peer, seen, expires=asked)
    subscriber.subscription.accept()
    assert subscriber.answered().get('expires') == granted
    notify = subscriber.notified()
    assert notify.body == '' and notify.get('content-type') is None


def test_fetch(peer, seen):
    """Expires 0: one NOTIFY."""
    subscriber = Subscriber(peer, seen, expires='0')
    subscriber.subscription.accept(PIDF, '<one/>')
    answer = subscriber.answered()
    assert (answer.code, answer.get('expires')) == (200, '0')
    notify = subscriber.notified()
    assert notify.get('subscription-state') == 'terminated;reason=timeout' and notify.body == '<one/>'
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscriber.subscription)


def test_refresh_and_unsubscribe(peer, seen):
    subscriber = active(peer, seen)
    subscription = subscriber.subscription
    subscriber.send('100')
    answer = subscriber.answered()
    assert (answer.code, answer.get('expires')) == (200, '100')
    assert seen.wait('SIPIncomingSubscriptionGotRefreshingSubscribe', sender=subscription).data.method == 'SUBSCRIBE'
    seen.wait('SIPIncomingSubscriptionAnsweredSubscribe', sender=subscription)
    notify = subscriber.notified()
    assert notify.body == '<one/>' and re.fullmatch('active;expires=(100|99)', notify.get('subscription-state'))
    subscriber.send('0')
    answer = subscriber.answered()
    assert (answer.code, answer.get('expires')) == (200, '0')
    seen.wait('SIPIncomingSubscriptionGotUnsubscribe', sender=subscription)
    assert subscriber.notified().get('subscription-state') == 'terminated;reason=timeout'
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscription)
    assert subscription.state == 'TERMINATED'


@pytest.mark.parametrize('code, request_', [
    (489, {'event': 'conference'}), (489, {'event': 'presence;id=3'}), (405, {'method': 'NOTIFY'}), (405, {'method': 'REFER'}), (500, {'cseq': 1})])
def test_wrong_request_in_the_dialog(peer, seen, code, request_):
    subscriber = active(peer, seen)
    subscriber.send(**request_)
    assert subscriber.answered().code == code
    subscriber.cseq = 10
    subscriber.send()
    assert subscriber.answered().code == 200


def test_id_of_the_event(peer, seen):
    subscriber = Subscriber(peer, seen, event='presence;id=12')
    subscriber.subscription.accept()
    subscriber.answered()
    assert subscriber.notified().get('event') == 'presence;id=12' and subscriber.subscription.event == 'presence'


def test_not_refreshed(peer, seen):
    subscriber = active(peer, seen, expires='1')
    seen.wait('SIPIncomingSubscriptionDidTimeout', sender=subscriber.subscription)
    assert subscriber.notified().get('subscription-state') == 'terminated;reason=timeout'
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscriber.subscription)


@pytest.mark.parametrize('code, ends', [(481, True), (489, True), (500, False), (503, False), (401, False)])
def test_notify_refused(peer, seen, code, ends):
    subscriber = active(peer, seen)
    subscription = subscriber.subscription
    subscription.push_content(PIDF, '<two/>')
    subscriber.notified(code)
    data = seen.wait('SIPIncomingSubscriptionNotifyDidFail', sender=subscription).data
    assert (data.code, data.reason, data.body) == (code, 'Test', None) and data.headers['Call-ID'].body == subscriber.call_id
    if ends:
        seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscription)
        with pytest.raises(SIPCoreInvalidStateError):
            subscription.push_content(PIDF, 'x')
    else:
        subscription.push_content(PIDF, '<three/>')
        assert subscriber.notified().body == '<three/>'
        assert subscription.state == 'ACTIVE'


def test_notifies_wait_for_each_other(peer, seen):
    """Each has the next CSeq, and goes out when the one before is answered."""
    subscriber = active(peer, seen)
    for number in range(5):
        subscriber.subscription.push_content(PIDF, str(number))
    subscriber.subscription.end()
    first = peer.expect('NOTIFY')
    assert first.body == '0' and peer.silent(0.1)
    peer.answer(first, 200)
    cseq = int(first.get('cseq').split()[0])
    for number in range(1, 5):
        notify = subscriber.notified()
        assert notify.body == str(number) and notify.get('cseq') == f'{cseq + number} NOTIFY'
    assert subscriber.notified().get('subscription-state') == 'terminated'
    seen.wait('SIPIncomingSubscriptionDidEnd', sender=subscriber.subscription)


def test_nobody_answers(peer, seen):
    """The SUBSCRIBE of one that the application does not keep."""
    for _ in range(3):
        peer.send(peer.request('SUBSCRIBE', headers='Event: presence\r\n'))
        seen.wait('SIPIncomingSubscriptionGotSubscribe')
        seen.past.clear()
        gc.collect()
        assert peer.expect(500)
    assert nothing_left()


def test_refused_and_forgotten(peer):
    with Forgetful('SIPIncomingSubscriptionGotSubscribe', lambda subscription: subscription.reject(403)):
        peer.send(peer.request('SUBSCRIBE', headers='Event: presence\r\n'))
        assert peer.receive().code == 403
    assert nothing_left()


def test_ended_and_forgotten(peer, seen):
    subscriber = active(peer, seen)
    seen.past.clear()
    seen.stop()
    with Forgetful('SIPIncomingSubscriptionGotRefreshingSubscribe', lambda subscription: subscription.end('noresource'), subscriber.subscription):
        subscriber.subscription = None
        subscriber.send()
        assert subscriber.answered().code == 200
        assert subscriber.notified().get('subscription-state') == 'terminated;reason=noresource'
    assert nothing_left()


def test_dropped(peer, seen):
    subscriber = active(peer, seen)
    subscriber.subscription = None
    seen.past.clear()
    gc.collect()
    assert nothing_left()
    subscriber.send()
    assert subscriber.answered().code == 481


def subscribe_to_ourselves(engine, **kwargs):
    uri = SIPURI(host='127.0.0.1', user='bob', port=engine.udp_port)
    subscription = Subscription(uri, FromHeader(SIPURI(host='a.example', user='alice'), 'Älice'), ToHeader(SIPURI(host='a.example', user='bob')),
                                ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.udp_port)), 'conference',
                                RouteHeader(SIPURI(host='127.0.0.1', port=engine.udp_port)), **kwargs)
    subscription.subscribe()
    return subscription


def test_both_ends_are_ours(engine, seen):
    content_type = 'application/conference-info+xml'
    assert nothing_left()
    for number in range(200):
        subscription = subscribe_to_ourselves(engine)
        incoming = seen.wait('SIPIncomingSubscriptionGotSubscribe').sender
        incoming.accept(content_type, f'<first number="{number}"/>')
        assert seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.body == f'<first number="{number}"/>'.encode()
        incoming.push_content(content_type, '<second/>')
        assert seen.wait('SIPSubscriptionGotNotify', sender=subscription).data.body == b'<second/>'
        assert (subscription.state, incoming.state) == ('ACTIVE', 'ACTIVE')
        (subscription if number % 2 else incoming).end()
        seen.wait('SIPSubscriptionDidEnd', sender=subscription)
        if number % 2 == 0:
            assert not any(past.name == 'SIPSubscriptionWillEnd' and past.sender is subscription for past in seen.past)
        seen.past.clear()
    del subscription, incoming
    assert nothing_left()


def test_refreshed_between_our_ends(engine, seen):
    subscription = subscribe_to_ourselves(engine, refresh=2)
    incoming = seen.wait('SIPIncomingSubscriptionGotSubscribe').sender
    incoming.accept()
    for _ in range(2):
        seen.wait('SIPIncomingSubscriptionGotRefreshingSubscribe', sender=incoming)
        seen.wait('SIPSubscriptionGotNotify', sender=subscription)
    subscription.end()
    seen.wait('SIPSubscriptionDidEnd', sender=subscription)
    assert not any('Fail' in past.name or 'Timeout' in past.name for past in seen.past)


def test_every_move(engine):
    """The table is what there is: a state goes nowhere else, whoever asks."""
    assert Engine().is_running
    for state, followers in TRANSITIONS.items():
        for wanted in TRANSITIONS:
            subscription = IncomingSubscription.__new__(IncomingSubscription)
            subscription._setup(state, 'call-id', 'tag')
            assert (subscription._move(wanted) == state) == (wanted in followers)
            assert subscription.state == (wanted if wanted in followers else state)
