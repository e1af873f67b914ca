"""What becomes of subscriptions and referrals, both roles, when the Engine stops under them; each test has an Engine of its own."""

import gc
from functools import partial

import pytest

from sipsimple.core import (
    ContactHeader,
    FromHeader,
    Referral,
    ReferToHeader,
    RouteHeader,
    SIPCoreError,
    SIPCoreInvalidStateError,
    SIPURI,
    Subscription,
    ToHeader,
    _event_dialog,
)
from sipsimple.core._handles import live_objects
from sipsimple.core.subscriber import TRANSITIONS
from tests.support.engine import Seen, running_engine, wait_until
from tests.support.sip_peer import UDPPeer


def headers(engine, port):
    uri = SIPURI(host='127.0.0.1', user='bob', port=port)
    return (FromHeader(SIPURI(host='a.example', user='alice')), ToHeader(uri)), ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=engine.udp_port)), \
        RouteHeader(SIPURI(host='127.0.0.1', port=port))


def make_subscription(engine, port):
    ends, contact, route = headers(engine, port)
    return Subscription(SIPURI(host='127.0.0.1', user='bob', port=port), *ends, contact, 'presence', route)


def make_referral(engine, port):
    ends, contact, route = headers(engine, port)
    return Referral(SIPURI(host='127.0.0.1', user='bob', port=port), *ends, ReferToHeader('sip:carol@example.com'), contact, route)


def test_the_engine_stops():
    """All states at once: fresh, waiting for an answer, active, ending; unanswered and active on the other side."""
    seen = Seen()
    gc.collect()
    before = live_objects()['bound']        # requests that were under way when the Engine of other tests stopped
    with running_engine(detect_sip_loops=False, incoming_events={'presence'}) as engine, UDPPeer(engine.udp_port) as silent:
        ours, theirs = [], []
        for _ in range(10):
            ours.append(fresh := make_subscription(engine, silent.port))
            waiting = make_subscription(engine, silent.port)
            waiting.subscribe()
            ending = make_subscription(engine, silent.port)
            ending.subscribe()
            ending.end()
            ours += [waiting, ending]
            for answered in (False, True):
                subscription, referral = make_subscription(engine, engine.udp_port), make_referral(engine, engine.udp_port)
                subscription.subscribe()
                theirs.append(seen.wait('SIPIncomingSubscriptionGotSubscribe').sender)
                referral.send_refer()
                theirs.append(seen.wait('SIPIncomingReferralGotRefer').sender)
                ours += [subscription, referral]
                if answered:
                    theirs[-2].accept('application/pidf+xml', '<one/>')
                    theirs[-1].accept()
                    seen.wait('SIPReferralGotNotify', sender=referral)
        count = len(seen.past)
    assert {name: number for name, number in live_objects().items() if number} == ({'bound': before} if before else {})
    assert all(one.state == 'TERMINATED' for one in ours + theirs if one.state != 'NULL')
    assert fresh.state == 'NULL'
    for call in (fresh.subscribe, waiting.subscribe, partial(make_subscription, engine, 1), partial(make_referral, engine, 1)):
        with pytest.raises((SIPCoreError, AttributeError)):
            call()
    for one in theirs:
        with pytest.raises(SIPCoreInvalidStateError):
            one.accept()
        one.end(*([] if 'Subscription' in type(one).__name__ else [200]))
    for one in ours:
        if one.state != 'NULL':
            one.end()
    del one
    assert count
    seen.stop()


def test_a_new_engine_is_not_bothered():
    """What was left of the last one says nothing and hears nothing."""
    gc.collect()
    before = live_objects()['bound']
    with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
        subscription = make_subscription(engine, peer.port)
        subscription.subscribe()
        peer.expect('SUBSCRIBE')
    with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
        subscription.end()
        with pytest.raises(SIPCoreError):
            subscription.subscribe()
        another = make_subscription(engine, peer.port)
        another.subscribe()
        seen = Seen()
        peer.answer(peer.expect('SUBSCRIBE'), 404)
        seen.wait('SIPSubscriptionDidFail', sender=another)
        assert not any(past.sender is subscription for past in seen.past)
        seen.stop()
        del another, subscription
        gc.collect()
        assert wait_until(lambda: sum(live_objects().values()) == before)


def test_a_call_that_comes_too_late():
    """The dialog was closed by the Engine thread between the check and the call of another thread."""
    with running_engine() as engine, UDPPeer(engine.udp_port) as peer:
        seen = Seen()
        handle = _event_dialog.create(_event_dialog.SUBSCRIPTION, 'call-id', 'tag')
        handle.close()
        _event_dialog.call(handle)
        subscription = make_subscription(engine, peer.port)
        subscription.subscribe()
        peer.answer(peer.expect('SUBSCRIBE'), 404)
        seen.wait('SIPSubscriptionDidFail', sender=subscription)        # an exception of the Engine thread before it would fail the test
        seen.stop()


def test_every_move():
    """The table is what there is: a state goes nowhere else, whoever asks."""
    with running_engine() as engine:
        for state, followers in TRANSITIONS.items():
            for wanted in TRANSITIONS:
                subscription = make_subscription(engine, 5060)
                subscription._state = state
                assert (subscription._move(wanted) == state) == (wanted in followers)
                assert subscription.state == (wanted if wanted in followers else state)
