"""Referral and IncomingReferral: REFER outside of a call (RFC 3515, 4488), against scripted peers and against each other."""

import gc
import re
from functools import partial

import pytest

from sipsimple.core import (
    ContactHeader,
    Credentials,
    FromHeader,
    Header,
    Referral,
    ReferToHeader,
    RouteHeader,
    SIPCoreError,
    SIPCoreInvalidStateError,
    SIPURI,
    ToHeader,
)
from sipsimple.core.incoming_referral import IncomingReferral
from tests.support.engine import Forgetful, nothing_left
from tests.support.sip_peer import tag_of

ENGINE_OPTIONS = {'detect_sip_loops': False}
SIPFRAG = 'message/sipfrag;version=2.0'


def referral_to(engine, port, **kwargs):
    uri = SIPURI(host='127.0.0.1', user='focus', port=port)
    return Referral(uri, FromHeader(SIPURI(host='a.example', user='alice')), ToHeader(uri), ReferToHeader('sip:carol@example.com;method=INVITE'),
                    ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.udp_port)), RouteHeader(SIPURI(host='127.0.0.1', port=port)), **kwargs)


class Referee:
    """The end that was sent a REFER."""

    def __init__(self, peer, refer):
        self.peer, self.refer = peer, refer
        self.cseq = 0

    def accept(self, code=202, headers='', contact=True):
        text = self.peer.response(self.refer, code, headers=headers, to_tag='referee')
        self.peer.send(text if contact else re.sub('Contact: .*\r\n', '', text))

    def notified(self, code, state='active;expires=60', reason='Test', event='refer', content_type=SIPFRAG):
        self.cseq += 1
        self.peer.send(self.peer.request(
            'NOTIFY', uri=re.search('<(.*?)>', self.refer.get('contact')).group(1), call_id=self.refer.get('call-id'), cseq=self.cseq, from_tag='referee',
            to_tag=tag_of(self.refer.get('from')), body=f'SIP/2.0 {code} {reason}\r\n' if code else '',
            headers=f'Event: {event}\r\nSubscription-State: {state}\r\n' + (f'Content-Type: {content_type}\r\n' if code else '')))
        return self.peer.receive().code


def of(seen, referral):
    return [(past.name.removeprefix('SIPReferral'), getattr(past.data, 'state', None)) for past in seen.past if past.sender is referral]


# ---- ours ------------------------------------------------------------------------------------------------------------


def test_life(engine, peer, seen):
    referral = referral_to(engine, peer.port, credentials=Credentials('alice', 'secret'))
    with pytest.raises(SIPCoreError):
        referral.end()
    with pytest.raises(SIPCoreError):
        referral.refresh()
    referral.send_refer(extra_headers=[Header('X-One', '1')])
    with pytest.raises(SIPCoreError):
        referral.send_refer()
    sent = peer.expect('REFER')
    assert sent.get('refer-to') == '<sip:carol@example.com;method=INVITE>' and sent.get('referred-by') == '<sip:alice@a.example>' and sent.get('x-one') == '1'
    assert sent.get('refer-sub') is None and sent.get('contact')
    referee = Referee(peer, sent)
    referee.accept()
    seen.wait('SIPReferralDidStart', sender=referral)
    assert referee.notified(100, reason='Trying', state='active;expires=60') == 200
    data = seen.wait('SIPReferralGotNotify', sender=referral).data
    assert (data.event, data.content_type, data.body) == ('refer', 'message/sipfrag', b'SIP/2.0 100 Trying\r\n') and data.headers['Subscription-State'].expires == 60
    assert referee.notified(200, state='terminated;reason=noresource') == 200
    seen.wait('SIPReferralDidEnd', sender=referral)
    assert of(seen, referral) == [('WillStart', None), ('ChangedState', 'SENT'), ('DidStart', None), ('ChangedState', 'ACCEPTED'), ('GotNotify', None),
                                  ('ChangedState', 'ACTIVE'), ('GotNotify', None), ('ChangedState', 'TERMINATED'), ('DidEnd', None)]
    assert referral.state == 'TERMINATED' and referral.peer_address.port == peer.port and referral.remote_contact_header.uri.port == peer.port
    assert referral.refer_to_header.uri == 'sip:carol@example.com;method=INVITE' and referral.extra_headers == [Header('X-One', '1')]
    assert referral.local_contact_header.uri.user == 'alice' and referral.credentials.username == 'alice' and referral.route_header.uri.port == peer.port
    assert referral.from_header.uri.user == 'alice' and referral.to_header.uri.user == 'focus'
    referral.end()
    assert referee.notified(200) == 481
    del referral
    seen.past.clear()
    assert nothing_left()


@pytest.mark.parametrize('notifies, outcome', [
    ([(100, 'active'), (486, 'terminated;reason=noresource')], (486, 'Busy')),
    ([(603, 'active'), (None, 'terminated;reason=timeout')], (603, 'Busy')),
    ([(100, 'active'), (None, 'terminated;reason=rejected')], (100, 'Busy')),
    ([(None, 'terminated;reason=giveup')], (0, 'The peer has ended it')),
    ([(202, 'terminated')], None)])
def test_outcome(engine, peer, seen, notifies, outcome):
    """Code and reason are those of the last status that was told."""
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    referee = Referee(peer, peer.expect('REFER'))
    referee.accept()
    for code, state in notifies:
        assert referee.notified(code, state=state, reason='Busy') == 200
    if outcome is None:
        seen.wait('SIPReferralDidEnd', sender=referral)
    else:
        data = seen.wait('SIPReferralDidFail', sender=referral).data
        assert (data.code, data.reason) == outcome


@pytest.mark.parametrize('code', [302, 403, 405, 481, 503, 603])
def test_refused(engine, peer, seen, code):
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    peer.answer(peer.expect('REFER'), code, 'Because')
    data = seen.wait('SIPReferralDidFail', sender=referral).data
    assert (data.code, data.reason) == (code, 'Because')


def test_silence(engine, peer, seen):
    referral = referral_to(engine, peer.port)
    referral.send_refer(timeout=0.2)
    seen.wait('SIPReferralDidFail', sender=referral, code=408)


def test_digest(engine, peer, seen):
    referral = referral_to(engine, peer.port, credentials=Credentials('alice', 'secret'))
    referral.send_refer(create_subscription=0)
    peer.answer(peer.expect('REFER'), 407, headers='Proxy-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\n')
    again = peer.expect('REFER')
    assert 'nonce="n"' in again.get('proxy-authorization')
    peer.answer(again, 202)
    seen.wait('SIPReferralDidEnd', sender=referral)


@pytest.mark.parametrize('asked, told', [(0, True), (0, False), (1, True)])
def test_without_subscription(engine, peer, seen, asked, told):
    """RFC 4488: whether we asked for it or the peer decided it, the 2xx is the end."""
    referral = referral_to(engine, peer.port)
    referral.send_refer(create_subscription=asked)
    sent = peer.expect('REFER')
    assert sent.get('refer-sub') == (None if asked else 'false') and sent.get('supported') == (None if asked else 'norefersub')
    Referee(peer, sent).accept(200, headers='Refer-Sub: false\r\n' if told else '', contact=False)
    seen.wait('SIPReferralDidStart', sender=referral)
    seen.wait('SIPReferralDidEnd', sender=referral)
    assert of(seen, referral)[-2:] == [('ChangedState', 'TERMINATED'), ('DidEnd', None)]


def test_2xx_without_contact(engine, peer, seen):
    """The outcome can be told all the same."""
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    referee = Referee(peer, peer.expect('REFER'))
    referee.accept(contact=False)
    seen.wait('SIPReferralDidStart', sender=referral)
    assert referral.remote_contact_header is None
    assert referee.notified(200, state='terminated') == 200
    seen.wait('SIPReferralDidEnd', sender=referral)


def test_refresh_and_end(engine, peer, seen):
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    referee = Referee(peer, peer.expect('REFER'))
    referee.accept()
    assert referee.notified(100, state='active;expires=2', event='refer;id=7') == 200
    automatic = peer.expect('SUBSCRIBE')
    assert automatic.get('expires') == '600' and automatic.get('event') == 'refer;id=7' and tag_of(automatic.get('to')) == 'referee'
    peer.answer(automatic, 200, headers='Expires: 600\r\n')
    seen.wait('SIPReferralChangedState', sender=referral, state='ACTIVE')
    referral.refresh(ContactHeader(SIPURI(host='127.0.0.1', user='moved', port=engine.udp_port)), [Header('X-Two', '2')])
    refresh = peer.expect('SUBSCRIBE')
    assert 'moved' in refresh.get('contact') and refresh.get('x-two') == '2' and referral.local_contact_header.uri.user == 'moved'
    peer.answer(refresh, 200, headers='Expires: 600\r\n')
    referral.end()
    with pytest.raises(SIPCoreError):
        referral.refresh()
    last = peer.expect('SUBSCRIBE')
    assert last.get('expires') == '0'
    peer.answer(last, 200)
    assert referee.notified(100, state='terminated;reason=timeout', event='refer;id=7') == 200
    seen.wait('SIPReferralWillEnd', sender=referral)
    seen.wait('SIPReferralDidEnd', sender=referral)


@pytest.mark.parametrize('status, outcome', [(None, 481), (100, 481), (486, 486), (200, None)])
def test_refresh_refused(engine, peer, seen, status, outcome):
    """A final status that was told before counts for more."""
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    referee = Referee(peer, peer.expect('REFER'))
    referee.accept()
    assert referee.notified(status, state='active;expires=300') == 200
    seen.wait('SIPReferralChangedState', sender=referral, state='ACTIVE')
    referral.refresh()
    peer.answer(peer.expect('SUBSCRIBE'), 481)
    if outcome:
        seen.wait('SIPReferralDidFail', sender=referral, code=outcome)
    else:
        seen.wait('SIPReferralDidEnd', sender=referral)


@pytest.mark.parametrize('code, wrong', [(481, {'event': 'presence'}), (489, {'event': 'unheard-of'}), (415, {'content_type': 'text/plain'})])
def test_notify_that_is_not_for_us(engine, peer, seen, code, wrong):
    referral = referral_to(engine, peer.port)
    referral.send_refer()
    referee = Referee(peer, peer.expect('REFER'))
    referee.accept()
    seen.wait('SIPReferralDidStart', sender=referral)
    assert referee.notified(603, state='terminated', **wrong) == code
    assert referee.notified(200, state='terminated') == 200
    seen.wait('SIPReferralDidEnd', sender=referral)


# ---- the peer's ------------------------------------------------------------------------------------------------------


class Referrer:
    """The end that sends us a REFER."""

    def __init__(self, peer, seen, headers=''):
        self.peer = peer
        self.call_id = f'referrer-{id(self)}-{peer.port}@127.0.0.1'
        peer.send(peer.request('REFER', call_id=self.call_id, headers='Refer-To: <sip:carol@example.com>\r\n' + headers))
        self.data = (notification := seen.wait('SIPIncomingReferralGotRefer')).data
        self.referral = notification.sender

    def answered(self):
        while True:
            message = self.peer.receive()
            if message.code is not None:
                self.tag = tag_of(message.get('to'))
                return message
            self.peer.answer(message, 200)

    def notified(self, code=200):
        message = self.peer.expect('NOTIFY')
        self.peer.answer(message, code)
        return message


def test_incoming_life(peer, seen):
    referrer = Referrer(peer, seen)
    referral = referrer.referral
    assert (referrer.data.method, referrer.data.prev_state, referrer.data.state, referrer.data.refer_to.uri) == ('REFER', None, 'INCOMING', 'sip:carol@example.com')
    assert referral.state == 'INCOMING' and referral.peer_address.port == peer.port and referral.remote_contact_header.uri.port == peer.port
    assert referral.local_contact_header.uri.user == 'engine'
    for wrong in (partial(referral.send_notify, 180), partial(referral.end, 200)):
        with pytest.raises(SIPCoreInvalidStateError):
            wrong()
    for wrong in (partial(referral.accept, 404), partial(referral.accept, duration=0), partial(referral.reject, 202), partial(referral.end, 99)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(SIPCoreError):
        referral.send_notify(180, 'one\r\ntwo')
    referral.accept(duration=60)
    assert referrer.answered().code == 202
    assert seen.wait('SIPIncomingReferralAnsweredRefer', sender=referral).data.code == 202
    notify = referrer.notified()
    assert notify.body == 'SIP/2.0 100 Trying\r\n' and notify.get('content-type') == SIPFRAG and notify.get('event') == 'refer'
    assert re.fullmatch('active;expires=(60|59)', notify.get('subscription-state')) and tag_of(notify.get('from')) == referrer.tag
    assert seen.wait('SIPIncomingReferralSentNotify', sender=referral).data.body == b'SIP/2.0 100 Trying\r\n'
    assert seen.wait('SIPIncomingReferralNotifyDidSucceed', sender=referral).data.code == 200
    referral.send_notify(180)
    assert referrer.notified().body == 'SIP/2.0 180 Ringing\r\n'
    peer.send(peer.request('SUBSCRIBE', call_id=referrer.call_id, cseq=2, to_tag=referrer.tag, headers='Event: refer\r\nExpires: 30\r\n'))
    answer = referrer.answered()
    assert (answer.code, answer.get('expires')) == (200, '30')
    seen.wait('SIPIncomingReferralGotRefreshingSubscribe', sender=referral)
    assert referrer.notified().body == 'SIP/2.0 180 Ringing\r\n'
    referral.end(486, 'Taken')
    referral.end(200)
    notify = referrer.notified()
    assert notify.body == 'SIP/2.0 486 Taken\r\n' and notify.get('subscription-state') == 'terminated;reason=noresource'
    seen.wait('SIPIncomingReferralDidEnd', sender=referral)
    names = [(past.name, past.data.state) for past in seen.past if past.name.endswith('ChangedState')]
    assert names == [('SIPIncomingReferralChangedState', 'ACTIVE'), ('SIPIncomingReferralChangedState', 'TERMINATED')]
    del referral, referrer
    seen.past.clear()
    assert nothing_left()


def test_incoming_reject(peer, seen):
    with pytest.raises(SIPCoreError):
        IncomingReferral()
    referrer = Referrer(peer, seen)
    referrer.referral.reject(603)
    assert referrer.answered().code == 603
    assert seen.wait('SIPIncomingReferralAnsweredRefer', sender=referrer.referral).data.code == 603
    seen.wait('SIPIncomingReferralDidEnd', sender=referrer.referral)
    with pytest.raises(SIPCoreInvalidStateError):
        referrer.referral.accept()


def test_incoming_without_subscription(peer, seen):
    referrer = Referrer(peer, seen, 'Refer-Sub: false\r\n')
    referrer.referral.accept()
    answer = referrer.answered()
    assert (answer.code, answer.get('refer-sub')) == (202, 'false')
    seen.wait('SIPIncomingReferralDidEnd', sender=referrer.referral)
    assert referrer.referral.state == 'TERMINATED' and peer.silent()


@pytest.mark.parametrize('headers', ['', 'Refer-To: nonsense <\r\n', 'Refer-To: <sip:a@b>, <sip:c@d>\r\n'])
def test_bad_refer_to(peer, seen, headers):
    peer.send(peer.request('REFER', headers=headers))
    assert peer.receive().code == 400
    peer.send(peer.request('OPTIONS'))
    assert peer.receive().code == 200
    assert not any(past.name.startswith('SIPIncomingReferral') for past in seen.past)


def test_no_contact(peer):
    peer.send(re.sub('Contact: .*\r\n', '', peer.request('REFER', headers='Refer-To: <sip:a@b>\r\n')))
    assert peer.receive().code == 400


def test_unknown_dialog(peer):
    peer.send(peer.request('REFER', headers='Refer-To: <sip:a@b>\r\n', to_tag='nobody'))
    assert peer.receive().code == 481


def test_incoming_unsubscribe(peer, seen):
    referrer = Referrer(peer, seen)
    referrer.referral.accept()
    assert referrer.answered().code == 202
    referrer.notified()
    peer.send(peer.request('SUBSCRIBE', call_id=referrer.call_id, cseq=2, to_tag=referrer.tag, headers='Event: refer\r\nExpires: 0\r\n'))
    assert referrer.answered().code == 200
    seen.wait('SIPIncomingReferralGotUnsubscribe', sender=referrer.referral)
    assert referrer.notified().get('subscription-state') == 'terminated;reason=timeout'
    seen.wait('SIPIncomingReferralDidEnd', sender=referrer.referral)


@pytest.mark.parametrize('code, request_', [(489, 'Event: presence\r\n'), (489, ''), (500, 'Event: refer\r\nOld: 1\r\n')])
def test_wrong_request_in_the_dialog(peer, seen, code, request_):
    referrer = Referrer(peer, seen)
    referrer.referral.accept()
    assert referrer.answered().code == 202
    referrer.notified()
    peer.send(peer.request('SUBSCRIBE', call_id=referrer.call_id, cseq=1 if code == 500 else 2, to_tag=referrer.tag, headers=request_))
    assert referrer.answered().code == code
    assert referrer.referral.state == 'ACTIVE'


def test_incoming_runs_out(peer, seen):
    referrer = Referrer(peer, seen)
    referrer.referral.accept(duration=1)
    assert referrer.answered().code == 202
    referrer.notified()
    assert referrer.notified().get('subscription-state') == 'terminated;reason=timeout'
    seen.wait('SIPIncomingReferralDidEnd', sender=referrer.referral)


def test_notify_refused(peer, seen):
    referrer = Referrer(peer, seen)
    referrer.referral.accept()
    assert referrer.answered().code == 202
    referrer.notified(481)
    assert seen.wait('SIPIncomingReferralNotifyDidFail', sender=referrer.referral).data.code == 481
    seen.wait('SIPIncomingReferralDidEnd', sender=referrer.referral)


def test_nobody_answers(peer, seen):
    Referrer(peer, seen)
    seen.past.clear()
    gc.collect()
    assert peer.expect(500)
    assert nothing_left()


def test_refused_and_forgotten(peer):
    with Forgetful('SIPIncomingReferralGotRefer', lambda referral: referral.reject(603)):
        peer.send(peer.request('REFER', headers='Refer-To: <sip:carol@example.com>\r\n'))
        assert peer.receive().code == 603
    assert nothing_left()


def test_accepted_and_forgotten(peer):
    """One that is told the outcome at once."""
    with Forgetful('SIPIncomingReferralGotRefer', lambda referral: (referral.accept(), referral.end(200))):
        peer.send(peer.request('REFER', headers='Refer-To: <sip:carol@example.com>\r\n'))
        assert peer.receive().code == 202
        for line in ('SIP/2.0 100 Trying\r\n', 'SIP/2.0 200 OK\r\n'):
            notify = peer.expect('NOTIFY')
            assert notify.body == line
            peer.answer(notify, 200)
    assert nothing_left()


# ---- both ends -------------------------------------------------------------------------------------------------------


def test_both_ends_are_ours(engine, seen):
    assert nothing_left()
    for number in range(100):
        code = 200 if number % 2 else 486
        referral = referral_to(engine, engine.udp_port)
        referral.send_refer(create_subscription=number % 3)
        incoming = seen.wait('SIPIncomingReferralGotRefer').sender
        incoming.accept()
        if number % 3:
            incoming.send_notify(180)
            incoming.end(code)
            if code == 200:
                seen.wait('SIPReferralDidEnd', sender=referral)
            else:
                seen.wait('SIPReferralDidFail', sender=referral, code=486, reason='Busy Here')
        else:
            seen.wait('SIPReferralDidEnd', sender=referral)
        seen.past.clear()
    del referral, incoming
    assert nothing_left()
