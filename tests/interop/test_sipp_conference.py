"""A conference at sipp, which is the focus: what goes over the wire to one (RFC 4579, RFC 4575), and what is made of its answers."""

from __future__ import annotations

import pytest

from tests.support.programs import free_ports
from tests.support.sdk import SDK
from tests.support.sipp import Sipp, pause, receive, receive_first, receive_invite, reply, reply_within, request, sdp

pytestmark = pytest.mark.interop

INFO = 'application/conference-info+xml'
FOCUS = '<sip:room@[local_ip]:[local_port];transport=[transport]>;isfocus'
DOCUMENT = ('<?xml version="1.0" encoding="UTF-8"?>\n<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:room@127.0.0.1" state="full" version="{version}">\n'
            '<conference-description><subject>Lunch</subject></conference-description>\n<users><user entity="sip:bob@example.com" state="full"><endpoint entity="sip:bob@192.0.2.1">'
            '<status>connected</status></endpoint></user></users>\n</conference-info>\n')
CALLED = [receive_invite(), reply(200, sdp=sdp(), contact=FOCUS), receive('ACK')]


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp', 'tcp']}, accounts={'bonjour': {'rtp.encryption.enabled': False}})
        yield sdk


@pytest.fixture
def conference(sdk, tmp_path):
    """How a test talks to the focus: the call is with one sipp, what is outside of it comes to others at the port in the URI of the conference."""
    sdk.mark()
    yield Conference(sdk, tmp_path)
    sdk.do('end_sessions')


class Conference:
    def __init__(self, sdk, folder):
        self.sdk, self.folder = sdk, folder
        self.port = free_ports()
        self.uri = f'sip:room@127.0.0.1:{self.port}'

    def peer(self, steps, transport='udp'):
        """Whoever is asked next."""
        return Sipp(self.folder, steps, port=self.port, transport=transport)

    def call(self, steps=CALLED, transport='udp'):
        """Call the focus, which goes on after the steps with the end of the call."""
        peer = Sipp(self.folder, [*steps, receive('BYE'), reply_within(200)], transport=transport)
        more = ';transport=tcp' if transport == 'tcp' else ''
        self.sdk.do('connect', session='out', account='bonjour', uri=self.uri + more, route=['127.0.0.1', peer.port, transport])
        self.sdk.wait('SIPSessionDidStart', 'out', unless='SIPSessionDidFail')
        return peer

    def hang_up(self, peer):
        self.sdk.call('out', 'end')
        self.sdk.wait('SIPSessionDidEnd', 'out')
        peer.finish()


def notify(cseq, state, event='conference', body=None, content_type=INFO):
    return request('NOTIFY', cseq, body, headers=f'Event: {event}\nSubscription-State: {state}\n', content_type=content_type)


def sipfrag(cseq, line, state='active;expires=60'):
    return notify(cseq, state, 'refer', f'SIP/2.0 {line}\n', 'message/sipfrag;version=2.0')


OK = receive(200)
REFUSED = [receive('SUBSCRIBE'), reply(489, headers='Allow-Events: presence\n')]


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_subscription(conference, transport):
    """From the 200 with isfocus to the end of the call."""
    checks = {'Event': '^ *conference *$', 'Accept': 'application/conference-info.xml', 'Expires': '^ *600 *$', 'To': '<sip:room@127.0.0.1', 'Contact': 'sip:', '': f'^SUBSCRIBE {conference.uri}'}
    steps = [receive_first('SUBSCRIBE', checks), reply(200, headers='Expires: 600\n', contact=FOCUS),
             notify(1, 'active;expires=600', body=DOCUMENT.format(version=1)), OK, notify(2, 'active;expires=590', body=DOCUMENT.format(version=2)), OK,
             receive('SUBSCRIBE', checks={'Expires': '^ *0 *$', 'To': 'tag=sipp'}), reply_within(200, headers='Expires: 0\n'), notify(3, 'terminated;reason=timeout'), OK]
    with conference.peer(steps, transport) as peer, conference.call(transport=transport) as call:
        assert conference.sdk.get('out', 'remote_focus') is True
        for _ in range(2):
            event = conference.sdk.wait('SIPSessionGotConferenceInfo', 'out')
            assert event.types['conference_info'] == 'Conference'
        conference.hang_up(call)
        peer.finish()


@pytest.mark.parametrize('method, refer_to', [('add_participant', '<sip:bob@example.com>;method=INVITE'),
                                              ('remove_participant', '<sip:bob@example.com;method=BYE>;method=BYE')])
def test_refer(conference, method, refer_to):
    """RFC 4579: a REFER to the URI of the conference, in a dialog of its own; the outcome comes by NOTIFY."""
    word = 'Add' if method == 'add_participant' else 'Remove'
    with conference.peer(REFUSED) as peer, conference.call() as call:
        peer.finish()
        checks = {'Refer-To': f'^ *{refer_to} *$', 'Referred-By': 'sip:', 'Contact': 'sip:', 'To': '<sip:room@127.0.0.1>$', '': f'^REFER {conference.uri} '}
        steps = [receive_first('REFER', checks), reply(202, contact=FOCUS), sipfrag(1, '100 Trying'), OK, sipfrag(2, '180 Ringing'), OK,
                 sipfrag(3, '200 OK', 'terminated;reason=noresource'), OK]
        with conference.peer(steps) as asked:
            conference.sdk.call('out/conference', method, 'bob@example.com')
            for code, reason in ((100, 'Trying'), (180, 'Ringing'), (200, 'OK')):
                progress = conference.sdk.wait(f'SIPConferenceGot{word}ParticipantProgress', 'out')
                assert progress.fields == {'participant': 'sip:bob@example.com', 'code': code, 'reason': reason}
            assert conference.sdk.wait(f'SIPConferenceDid{word}Participant', 'out').fields == {'participant': 'sip:bob@example.com'}
            asked.finish()
        conference.hang_up(call)


@pytest.mark.parametrize('steps, code, reason', [
    pytest.param([receive('REFER'), reply(403, 'Only for moderators')], 403, 'Only for moderators', id='refused'),
    pytest.param([receive_first('REFER'), reply(202, contact=FOCUS), sipfrag(1, '486 Busy Here', 'terminated;reason=noresource'), OK], 486, 'Busy Here', id='busy'),
    pytest.param([receive_first('REFER'), reply(202, contact=FOCUS), sipfrag(1, '180 Ringing'), OK, sipfrag(2, '180 Ringing', 'terminated;reason=timeout'), OK],
                 0, 'the focus did not tell the outcome', id='untold'),
])
def test_refused_refer(conference, steps, code, reason):
    with conference.peer(REFUSED) as peer, conference.call() as call:
        peer.finish()
        with conference.peer(steps) as asked:
            conference.sdk.call('out/conference', 'add_participant', 'sip:bob@example.com')
            failure = conference.sdk.wait('SIPConferenceDidNotAddParticipant', 'out')
            assert failure.fields == {'participant': 'sip:bob@example.com', 'code': code, 'reason': reason}
            asked.finish()
        conference.hang_up(call)


def test_call_becomes_a_conference(conference):
    """The peer says so in a re-INVITE of its own: RFC 4579 section 5.3."""
    reinvite = request('INVITE', 1, sdp(version=2)).replace('Contact: <sip:peer@[local_ip]:[local_port];transport=[transport]>', f'Contact: {FOCUS}')
    steps = [receive_invite(), reply(200, sdp=sdp()), receive('ACK'), pause(0.3), reinvite, receive(100, optional=True), OK, request('ACK', 1)]
    with conference.peer(REFUSED) as peer, conference.call(steps) as call:
        peer.finish()
        assert conference.sdk.get('out', 'remote_focus') is True
        conference.hang_up(call)
