"""Subscription and Publication against the lab's presence server: Kamailio, with its digest, its routes and its habits."""

from __future__ import annotations

import pytest

from sipsimple.core import ContactHeader, Credentials, FromHeader, Publication, PublicationETagError, RouteHeader, SIPURI, Subscription, ToHeader
from tests.support.engine import Seen, nothing_left, running_engine
from tests.support.lab import lab_fixture

pytestmark = pytest.mark.interop

lab = lab_fixture('kamailio', LAB_FORCE_ACTIVE='1')         # presence without rules
strict_lab = lab_fixture('kamailio')                        # and with them, of which there are none
SECONDS = 20

PIDF = ('<?xml version="1.0" encoding="UTF-8"?>\r\n<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{user}@lab.test"><tuple id="t1"><status><basic>{basic}</basic></status>'
        '<note>{note}</note></tuple></presence>\r\n')


@pytest.fixture(scope='module')
def engine():
    with running_engine(tcp_port=0) as engine:
        yield engine


@pytest.fixture
def seen(engine):
    seen = Seen()
    yield seen
    seen.stop()


def route(lab, transport='udp'):
    return RouteHeader(SIPURI(host='127.0.0.1', port=lab.port('SIP'), parameters={} if transport == 'udp' else {'transport': transport}))


def subscription(engine, lab, watcher='alice', target='bob', event='presence', transport='udp', **kwargs):
    uri = SIPURI(host='lab.test', user=target)
    parameters = {} if transport == 'udp' else {'transport': transport}
    contact = SIPURI(host='127.0.0.1', user=watcher, port=engine.udp_port if transport == 'udp' else engine.tcp_port, parameters=parameters)
    return Subscription(uri, FromHeader(SIPURI(host='lab.test', user=watcher)), ToHeader(SIPURI(host='lab.test', user=target)), ContactHeader(contact), event,
                        route(lab, transport), credentials=Credentials(watcher, f'{watcher}-pw'), **kwargs)


def publication(user='bob', **kwargs):
    return Publication(FromHeader(SIPURI(host='lab.test', user=user)), 'presence', 'application/pidf+xml', credentials=Credentials(user, f'{user}-pw'), **kwargs)


def note(seen, subscription, text):
    """Wait for the NOTIFY with that note."""
    while True:
        data = seen.wait('SIPSubscriptionGotNotify', sender=subscription, timeout=SECONDS).data
        if data.body is not None and text.encode() in data.body:
            assert data.event == 'presence' and data.content_type == 'application/pidf+xml'
            return data


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_presence(engine, lab, seen, transport):
    """Subscribed, published, modified, refreshed, removed, unsubscribed."""
    user = {'udp': 'bob', 'tcp': 'carol'}[transport]
    watching = subscription(engine, lab, target=user, transport=transport)
    watching.subscribe()
    seen.wait('SIPSubscriptionDidStart', sender=watching)
    seen.wait('SIPSubscriptionChangedState', sender=watching, state='ACTIVE')
    published = publication(user)
    published.publish(PIDF.format(user=user, basic='open', note='first word'), route(lab, transport))
    success = seen.wait('SIPPublicationDidSucceed', sender=published).data
    assert success.code == 200 and success.expires_in > 0
    note(seen, watching, 'first word')
    published.publish(PIDF.format(user=user, basic='open', note='second word'), route(lab, transport))
    seen.wait('SIPPublicationDidSucceed', sender=published)
    note(seen, watching, 'second word')
    published.publish(None, route(lab, transport))
    seen.wait('SIPPublicationDidSucceed', sender=published)
    watching.subscribe()
    note(seen, watching, 'second word')         # a refresh is answered with the whole state
    published.end()
    seen.wait('SIPPublicationDidEnd', sender=published, expired=False)
    seen.wait('SIPSubscriptionGotNotify', sender=watching, timeout=SECONDS)
    watching.end()
    data = seen.wait('SIPSubscriptionDidEnd', sender=watching)
    assert watching.state == 'TERMINATED' and data is not None
    last = [past for past in seen.past if past.name == 'SIPSubscriptionGotNotify'][-1].data
    assert last.headers['Subscription-State'].state == 'terminated'
    del watching, published
    seen.past.clear()
    assert nothing_left()


def test_pending_without_rules(engine, strict_lab, seen):
    """And refreshed, which this server answers with a NOTIFY each time."""
    watching = subscription(engine, strict_lab, target='dave', refresh=16)
    watching.subscribe()
    seen.wait('SIPSubscriptionDidStart', sender=watching)
    seen.wait('SIPSubscriptionChangedState', sender=watching, state='PENDING')
    for _ in range(2):
        seen.wait('SIPSubscriptionGotNotify', sender=watching, timeout=SECONDS)     # each half of the time
    assert watching.state == 'PENDING'
    watching.end()
    seen.wait('SIPSubscriptionDidEnd', sender=watching)
    assert not any(past.name == 'SIPSubscriptionDidFail' for past in seen.past)


def test_refused(engine, lab, seen):
    wrong = subscription(engine, lab)
    wrong._credentials = Credentials('alice', 'wrong')
    wrong.subscribe()
    seen.wait('SIPSubscriptionDidFail', sender=wrong, code=407)
    elsewhere = subscription(engine, lab, event='xcap-diff', target='eve')
    elsewhere.subscribe()
    assert seen.wait('SIPSubscriptionDidFail', sender=elsewhere).data.code in (480, 489)


def test_unknown_etag(engine, lab, seen):
    """The server does not know the tag: 412, and a refresh is refused until it was published anew."""
    published = publication('eve')
    text = PIDF.format(user='eve', basic='open', note='here')
    published.publish(text, route(lab))
    seen.wait('SIPPublicationDidSucceed', sender=published)
    published._etag += '9'
    published.publish(None, route(lab))
    seen.wait('SIPPublicationDidFail', sender=published, code=412)
    with pytest.raises(PublicationETagError):
        published.publish(None, route(lab))
    published.publish(text, route(lab))
    seen.wait('SIPPublicationDidSucceed', sender=published)
    published.end()
    seen.wait('SIPPublicationDidEnd', sender=published)
