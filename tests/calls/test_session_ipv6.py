"""Calls over IPv6, signalling and media, between two processes."""

from __future__ import annotations

import pytest

from tests.support.dns_server import ScriptedServer, answer
from tests.support.sip_peer import has_ipv6

pytestmark = pytest.mark.skipif(not has_ipv6(), reason='this machine has no IPv6 loopback address (::1)')

FACTS = ('streams.0.local_rtp_address', 'streams.0.remote_rtp_address_sdp', 'streams.0.local_rtp_port', 'streams.0.remote_rtp_port_sdp', 'streams.0.srtp_active',
         '_local_sdp.connection', '_remote_sdp.connection')


def check(pair, address, encrypted=False, bound=True):
    """Both ends say that media go over these addresses, and they do. The streams of an engine bound to no address name the machine's."""
    kind = 'IP6' if ':' in address else 'IP4'
    caller, callee = (side.do('get', args=[session, *FACTS]) for side, session in ((pair.caller, 's'), (pair.callee, 'in1')))
    for facts, other in ((caller, callee), (callee, caller)):
        assert facts['streams.0.remote_rtp_address_sdp'] == address
        assert facts['streams.0.local_rtp_address'] == address or not bound and (':' in facts['streams.0.local_rtp_address']) == (':' in address)
        assert facts['streams.0.remote_rtp_port_sdp'] == other['streams.0.local_rtp_port']
        assert f'IN {kind} {address}' in facts['_local_sdp.connection'] and f'IN {kind} {address}' in facts['_remote_sdp.connection']
        assert facts['streams.0.srtp_active'] is encrypted
    for side, session, other, digits in ((pair.caller, 's', pair.callee, '15'), (pair.callee, 'in1', pair.caller, '9#')):
        for digit in digits:
            side.do('stream', args=[session, 'send_dtmf', digit])
            assert other.wait('AudioStreamGotDTMF') == {'digit': digit}


def end(pair):
    pair.caller.call('end')
    for side in (pair.caller, pair.callee):
        assert side.wait('SIPSessionDidEnd')['end_reason'] == 'user_request'


def answered(pair):
    pair.callee.wait('SIPSessionNewIncoming')
    pair.callee.do('accept', session='in1')
    for side in (pair.caller, pair.callee):
        side.wait('SIPSessionDidStart')


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
@pytest.mark.parametrize('encryption', [None, 'sdes_mandatory'])
def test_call(audio_pair, transport, encryption):
    audio_pair.start(ip_address='::1', tcp_port=0)
    if encryption:
        for side in (audio_pair.caller, audio_pair.callee):
            side.do('set', target='account', **{'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': encryption})
    audio_pair.connect(hosts=['::1'], transport=transport, ports=[audio_pair.port if transport == 'udp' else audio_pair.tcp_port])
    answered(audio_pair)
    check(audio_pair, '::1', encryption is not None)
    for held in (True, False):          # later offers keep the addresses
        audio_pair.caller.call('hold' if held else 'unhold')
        assert audio_pair.callee.wait('SIPSessionDidChangeHoldState')['on_hold'] is held
        assert audio_pair.caller.wait('SIPSessionDidChangeHoldState')['on_hold'] is held
    check(audio_pair, '::1', encryption is not None)
    end(audio_pair)


def test_ice(audio_pair):
    audio_pair.start(ip_address='::1')
    for side in (audio_pair.caller, audio_pair.callee):
        side.do('set', target='account', **{'nat_traversal.use_ice': True, 'id': 'agent@local'})
    audio_pair.connect(hosts=['::1'])
    answered(audio_pair)
    for side, session in ((audio_pair.caller, 's'), (audio_pair.callee, 'in1')):
        facts = side.do('get', args=[session, 'streams.0.ice_active', 'streams.0.local_rtp_candidate_type'])
        assert facts == {'done': 'get', 'streams.0.ice_active': True, 'streams.0.local_rtp_candidate_type': 'HOST'}
    check(audio_pair, '::1')
    end(audio_pair)


def test_route_by_an_address_record_of_ipv6(audio_pair):
    """RFC 3596."""
    audio_pair.start(ip_address='::1')

    def serve(query, protocol):
        question = query.question[0]
        return [answer(query, *([f'{question.name} 60 IN AAAA ::1'] if question.rdtype == 28 else []))]
    with ScriptedServer(serve) as server:
        found = audio_pair.caller.do('look_up', session='s', nameserver=server.endpoint, name='six.test', port=audio_pair.port, streams=['audio'])
    assert found['routes'] == [f'sip:[::1]:{audio_pair.port}']
    answered(audio_pair)
    check(audio_pair, '::1')
    end(audio_pair)


@pytest.mark.parametrize('hosts', [['::1', '127.0.0.1'], ['127.0.0.1', '::1']])
def test_both_kinds_of_address(audio_pair, hosts):
    """An engine at all addresses offers media over the kind of its first route."""
    audio_pair.start(ip_address=None)
    audio_pair.connect(hosts=hosts)
    answered(audio_pair)
    check(audio_pair, hosts[0], bound=False)
    end(audio_pair)


def test_media_stay_when_the_invite_takes_another_route(audio_pair):
    """They were opened for the first route, at which nobody listens."""
    audio_pair.caller.do('start', audio=True, ip_address=None, t1=20)
    audio_pair.port = audio_pair.callee.do('start', audio=True)['port']
    audio_pair.connect(hosts=['::1', '127.0.0.1'])
    answered(audio_pair)
    check(audio_pair, '::1', bound=False)
    end(audio_pair)
