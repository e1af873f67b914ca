"""Publication against a scripted server (RFC 3903)."""

import pytest

from sipsimple.core import Credentials, Engine, FromHeader, Header, Publication, PublicationError, PublicationETagError, RouteHeader, SIPCoreError, SIPURI
from tests.support.engine import nothing_left, wait_until


def make_publication(**kwargs):
    return Publication(FromHeader(SIPURI(host='example.com', user='alice'), 'Alice'), 'presence', 'application/pidf+xml', **kwargs)


def route(peer):
    return RouteHeader(SIPURI(host='127.0.0.1', port=peer.port))


def published(peer, seen, expires=300, **kwargs):
    publication = make_publication(**kwargs)
    publication.publish('<one/>', route(peer))
    peer.answer(peer.expect('PUBLISH'), 200, headers=f'SIP-ETag: tag-1\r\nExpires: {expires}\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    return publication


def test_life(peer, seen):
    publication = make_publication(duration=600, extra_headers=[Header('X-One', '1')])
    assert (publication.event, publication.content_type, publication.duration) == ('presence', 'application/pidf+xml', 600)
    assert not publication.is_published and publication.expires_in == 0 and publication.peer_address is None
    publication.end()
    with pytest.raises(ValueError):
        publication.publish(None, route(peer))
    publication.publish('<öne/>', route(peer))
    sent = peer.expect('PUBLISH')
    assert sent.start == 'PUBLISH sip:alice@example.com SIP/2.0' and sent.body == '<öne/>' and sent.get('content-type') == 'application/pidf+xml'
    assert (sent.get('event'), sent.get('expires'), sent.get('x-one'), sent.get('sip-if-match'), sent.get('contact')) == ('presence', '600', '1', None, None)
    peer.answer(sent, 200, headers='SIP-ETag: one\r\nExpires: 500\r\n')
    data = seen.wait('SIPPublicationDidSucceed', sender=publication).data
    assert (data.code, data.reason, data.expires_in, data.route_header.uri.port) == (200, 'Test', 500, peer.port)
    assert publication.is_published and 495 <= publication.expires_in <= 500 and publication.peer_address.port == peer.port
    publication.publish(None, route(peer))
    refresh = peer.expect('PUBLISH')
    assert refresh.get('sip-if-match') == 'one' and refresh.body == '' and refresh.get('content-type') is None
    assert refresh.get('call-id') == sent.get('call-id') and int(refresh.get('cseq').split()[0]) == int(sent.get('cseq').split()[0]) + 1
    peer.answer(refresh, 200, headers='SIP-ETag: two\r\nExpires: 500\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    publication.publish(b'<two/>', route(peer))
    modify = peer.expect('PUBLISH')
    assert modify.get('sip-if-match') == 'two' and modify.body == '<two/>'
    peer.answer(modify, 200, headers='SIP-ETag: three\r\nExpires: 500\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    publication.end()
    seen.wait('SIPPublicationWillEnd', sender=publication)
    last = peer.expect('PUBLISH')
    assert (last.get('sip-if-match'), last.get('expires'), last.body) == ('three', '0', '')
    peer.answer(last, 200, headers='SIP-ETag: four\r\nExpires: 0\r\n')
    seen.wait('SIPPublicationDidEnd', sender=publication, expired=False)
    assert not publication.is_published
    with pytest.raises(PublicationETagError):
        publication.publish(None, route(peer))
    assert issubclass(PublicationETagError, PublicationError)
    seen.past.clear()
    assert wait_until(nothing_left)
    publication.publish('<again/>', route(peer))
    again = peer.expect('PUBLISH')
    assert again.get('sip-if-match') is None
    peer.answer(again, 403)
    seen.wait('SIPPublicationDidFail', sender=publication, code=403)


@pytest.mark.parametrize('code', [403, 404, 423, 489, 500, 503])
@pytest.mark.parametrize('headers, told', [('', (None, None)), ('Min-Expires: 900\r\nRetry-After: 90\r\n', (900, 90))])
def test_refused(peer, seen, code, headers, told):
    publication = make_publication()
    publication.publish('x', route(peer))
    peer.answer(peer.expect('PUBLISH'), code, 'Because', headers=headers)
    data = seen.wait('SIPPublicationDidFail', sender=publication).data
    assert (data.code, data.reason, data.route_header.uri.port) == (code, 'Because', peer.port)
    assert data.min_expires == (told[0] if code == 423 else None) and data.retry_after == told[1]
    assert not publication.is_published
    with pytest.raises(ValueError):
        publication.publish(None, route(peer))


def test_etag_is_forgotten(peer, seen):
    """412: the server does not know it any more; the state has to be published anew."""
    publication = published(peer, seen)
    publication.publish(None, route(peer))
    peer.answer(peer.expect('PUBLISH'), 412)
    seen.wait('SIPPublicationDidFail', sender=publication, code=412)
    assert not publication.is_published
    with pytest.raises(PublicationETagError):
        publication.publish(None, route(peer))
    publication.publish('<one/>', route(peer))
    sent = peer.expect('PUBLISH')
    assert sent.get('sip-if-match') is None
    peer.answer(sent, 200, headers='SIP-ETag: new\r\nExpires: 300\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)


def test_failed_refresh_keeps_what_is_there(peer, seen):
    publication = published(peer, seen)
    publication.publish(None, route(peer))
    peer.answer(peer.expect('PUBLISH'), 503)
    seen.wait('SIPPublicationDidFail', sender=publication, code=503)
    assert publication.is_published
    publication.publish(None, route(peer))
    assert peer.expect('PUBLISH').get('sip-if-match') == 'tag-1'


def test_digest(peer, seen):
    publication = make_publication(credentials=Credentials('alice', 'secret'))
    publication.publish('x', route(peer))
    first = peer.expect('PUBLISH')
    peer.answer(first, 407, headers='Proxy-Authenticate: Digest realm="x", nonce="one", qop="auth"\r\n')
    second = peer.expect('PUBLISH')
    peer.answer(second, 407, headers='Proxy-Authenticate: Digest realm="x", nonce="two", stale=true, qop="auth"\r\n')
    third = peer.expect('PUBLISH')
    assert 'nonce="two"' in third.get('proxy-authorization')
    peer.answer(third, 200, headers='SIP-ETag: one\r\nExpires: 300\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    publication.publish(None, route(peer))
    assert int(peer.expect('PUBLISH').get('cseq').split()[0]) == int(third.get('cseq').split()[0]) + 1


def test_silence(peer, seen):
    publication = make_publication()
    publication.publish('x', route(peer), timeout=0.2)
    seen.wait('SIPPublicationDidFail', sender=publication, code=408)


def test_superseded(peer, seen):
    publication = make_publication()
    publication.publish('one', route(peer))
    first = peer.expect('PUBLISH')
    publication.publish('two', route(peer))
    second = peer.expect('PUBLISH')
    peer.answer(first, 500)
    peer.answer(second, 200, headers='SIP-ETag: one\r\nExpires: 300\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    assert not any(past.name == 'SIPPublicationDidFail' for past in seen.past)


def test_expiry(peer, seen):
    publication = published(peer, seen, expires=2)
    assert seen.wait('SIPPublicationWillExpire', sender=publication).data.expires in (0, 1)
    seen.wait('SIPPublicationDidEnd', sender=publication, expired=True)
    assert not publication.is_published
    with pytest.raises(PublicationETagError):
        publication.publish(None, route(peer))


def test_not_stored(peer, seen):
    publication = make_publication()
    publication.publish('x', route(peer))
    peer.answer(peer.expect('PUBLISH'), 200, headers='SIP-ETag: one\r\nExpires: 0\r\n')
    seen.wait('SIPPublicationDidFail', sender=publication, code=200)
    assert not publication.is_published


def test_no_etag(peer, seen):
    """What came without a tag cannot be refreshed or removed."""
    publication = make_publication()
    publication.publish('x', route(peer))
    peer.answer(peer.expect('PUBLISH'), 200, headers='Expires: 300\r\n')
    seen.wait('SIPPublicationDidSucceed', sender=publication)
    with pytest.raises(PublicationETagError):
        publication.publish(None, route(peer))
    publication.end()
    assert publication.is_published


def test_end_refused(peer, seen):
    publication = published(peer, seen)
    publication.end()
    publication.end()
    peer.answer(peer.expect('PUBLISH'), 412, 'Unknown')
    data = seen.wait('SIPPublicationDidNotEnd', sender=publication).data
    assert (data.code, data.reason) == (412, 'Unknown')
    assert [past.name for past in seen.past].count('SIPPublicationWillEnd') == 1


def test_local_errors_are_raised(peer, seen):
    publication = make_publication()
    with pytest.raises(TypeError):
        publication.publish('x', None)
    with pytest.raises(ValueError):
        publication.publish('x', route(peer), timeout=0)
    publication.extra_headers.append(Header('X-Bad', 'a\r\nb'))
    with pytest.raises(SIPCoreError):
        publication.publish('x', route(peer))
    assert Engine().is_running and not publication.is_published
