"""SDPNegotiator: offer and answer by themselves."""

import gc
import os

import pytest

from sipsimple.core import FrozenSDPSession, PJSIPError, SDPNegotiator, SDPSession


def sdp(*lines, address='192.0.2.1', version=1, extra=''):
    """A description with these m-lines: (port, formats)."""
    media = ''.join(f'm=audio {port} RTP/AVP {formats}\r\n' + (extra if port else '') for port, formats in lines)
    return SDPSession.parse(f'v=0\r\no=- 1 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{media}')


OURS, THEIRS = sdp((4000, '0 8')), sdp((5000, '8 9'), address='192.0.2.2')


def formats(description):
    return [media.formats for media in description.media]


def descriptions(negotiator):
    return [getattr(negotiator, f'{kind}_{side}') is not None for kind in ('active', 'current') for side in ('local', 'remote')]


def test_our_offer():
    negotiator = SDPNegotiator.create_with_local_offer(OURS)
    assert negotiator.state == 'STATE_LOCAL_OFFER' and descriptions(negotiator) == [False, False, True, False]
    assert formats(negotiator.current_local) == [['0', '8']] and isinstance(negotiator.current_local, FrozenSDPSession)
    negotiator.set_remote_answer(FrozenSDPSession.new(sdp((5000, '8'), address='192.0.2.2')))
    assert negotiator.state == 'STATE_WAIT_NEGO' and descriptions(negotiator) == [False, False, True, True]
    negotiator.negotiate()
    assert negotiator.state == 'STATE_DONE' and descriptions(negotiator) == [True, True, False, False]
    assert formats(negotiator.active_local) == formats(negotiator.active_remote) == [['8']]
    assert negotiator.active_remote.connection.address == '192.0.2.2'


def test_the_offer_of_the_peer():
    negotiator = SDPNegotiator.create_with_remote_offer(THEIRS)
    assert negotiator.state == 'STATE_REMOTE_OFFER' and descriptions(negotiator) == [False, False, False, True]
    negotiator.set_local_answer(OURS)
    assert negotiator.state == 'STATE_WAIT_NEGO'
    negotiator.negotiate()
    assert formats(negotiator.active_local) == [['8']] and formats(negotiator.active_remote) == [['8', '9']]


def test_offers_that_follow():
    negotiator = SDPNegotiator.create_with_local_offer(OURS)
    negotiator.set_remote_answer(THEIRS)
    negotiator.negotiate()
    version = negotiator.active_local.version
    negotiator.set_local_offer(sdp((4000, '8'), (4002, '0')))
    assert negotiator.current_local.version == version + 1
    negotiator.cancel_offer()
    assert negotiator.state == 'STATE_DONE' and descriptions(negotiator) == [True, True, False, False] and len(negotiator.active_local.media) == 1
    negotiator.set_remote_offer(sdp((5000, '8'), (5002, '0'), address='192.0.2.2', version=2))
    negotiator.set_local_answer(sdp((4000, '8'), (0, '0')))
    negotiator.negotiate()
    assert [media.port for media in negotiator.active_local.media] == [4000, 0]


def test_nothing_in_common():
    negotiator = SDPNegotiator.create_with_remote_offer(sdp((5000, '9'), address='192.0.2.2'))
    negotiator.set_local_answer(OURS)
    with pytest.raises(PJSIPError):
        negotiator.negotiate()
    assert negotiator.state == 'STATE_DONE' and descriptions(negotiator) == [False] * 4


@pytest.mark.parametrize('method', ['set_local_offer', 'set_local_answer', 'set_remote_offer', 'set_remote_answer', 'cancel_offer', 'negotiate'])
@pytest.mark.parametrize('state', ['LOCAL_OFFER', 'REMOTE_OFFER', 'WAIT_NEGO', 'DONE', 'failed'])
def test_every_method_in_every_state(state, method):
    """What is out of turn is an error and changes nothing."""
    if state == 'REMOTE_OFFER':
        negotiator = SDPNegotiator.create_with_remote_offer(THEIRS)
    else:
        negotiator = SDPNegotiator.create_with_local_offer(OURS)
    if state in ('WAIT_NEGO', 'DONE'):
        negotiator.set_remote_answer(THEIRS)
    if state == 'DONE':
        negotiator.negotiate()
    if state == 'failed':
        negotiator.cancel_offer()
    allowed = {'LOCAL_OFFER': ('set_remote_answer', 'cancel_offer'), 'REMOTE_OFFER': ('set_local_answer', 'cancel_offer'), 'WAIT_NEGO': ('negotiate',),
               'DONE': ('set_local_offer', 'set_remote_offer'), 'failed': ('set_remote_offer',)}[state]
    arguments = {'set_local': [OURS], 'set_remote': [THEIRS]}.get('_'.join(method.split('_')[:2]), [])
    before = negotiator.state, descriptions(negotiator)
    if method in allowed:
        getattr(negotiator, method)(*arguments)
        assert (negotiator.state, descriptions(negotiator)) != before
    else:
        with pytest.raises(PJSIPError):
            getattr(negotiator, method)(*arguments)
        assert (negotiator.state, descriptions(negotiator)) == before


def test_bad_descriptions():
    for text in ('', 'v=0', 'nonsense'):
        with pytest.raises(PJSIPError):
            SDPNegotiator.create_with_remote_offer(text)
    negotiator = SDPNegotiator.create_with_local_offer(OURS)
    with pytest.raises(PJSIPError):
        negotiator.set_remote_answer('nonsense')
    assert negotiator.state == 'STATE_LOCAL_OFFER'


def test_without_a_factory():
    negotiator = SDPNegotiator()
    for use in (lambda: negotiator.state, lambda: negotiator.active_local, negotiator.negotiate, lambda: negotiator.set_local_answer(OURS)):
        with pytest.raises(RuntimeError):
            use()


def test_a_subclass_keeps_its_class():
    class Mine(SDPNegotiator):
        pass
    assert type(Mine.create_with_local_offer(OURS)) is Mine


@pytest.mark.skipif(os.environ.get('SIPSIMPLE_FLAVOUR') == 'asan', reason='AddressSanitizer keeps freed memory, to see who uses it')
def test_many_do_not_grow():
    import resource
    def some():
        for _ in range(2000):
            negotiator = SDPNegotiator.create_with_local_offer(OURS)
            negotiator.set_remote_answer(THEIRS)
            negotiator.negotiate()
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    some()
    assert some() - some() > -2000          # kB
