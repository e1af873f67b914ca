"""Calls with baresip: through the lab's Kamailio and without any server, in both directions, with sound that is listened to at both ends."""

from __future__ import annotations

import contextlib
import signal
import warnings
from typing import NamedTuple

import pytest

from tests.support.baresip import Baresip, BaresipEnded
from tests.support.lab import lab_fixture
from tests.support.programs import hear, write_notes
from tests.support.sdk import SDK

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures('idle_accounts')]

lab = lab_fixture('dns', 'kamailio')
TRANSPORTS = ('udp', 'tcp', 'tls')
OURS = {'udp': 'alice@lab.test', 'tcp': 'carol@lab.test', 'tls': 'eve@lab.test'}
THEIRS = {'udp': 'bob@lab.test', 'tcp': 'dave@lab.test', 'tls': '1001@lab.test'}
OUR_NOTES = ((523.0, 0.2), (659.0, 0.2), (784.0, 0.2), (1047.0, 0.2))
THEIR_NOTES = ((600.0, 0.2), (900.0, 0.2))
ECHO_NOTES = ((700.0, 0.35), (1200.0, 0.35))


def proxy(lab, transport):
    return f'127.0.0.1:{lab.port("SIPS" if transport == "tls" else "SIP")};transport={transport}'


def password(name):
    return f'{name.partition("@")[0]}-pw'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'ours.wav', OUR_NOTES)
    write_notes(folder / 'echo-notes.wav', ECHO_NOTES)
    write_notes(folder / 'theirs.wav', THEIR_NOTES * 150, 8000)
    return folder


@pytest.fixture(scope='module')
def peers(lab, folder):
    """What baresip is there; a new one when the last has ended by itself."""
    with contextlib.ExitStack() as stack:
        started = []

        def running():
            if not started or started[-1].ended:
                peer = stack.enter_context(Baresip(folder / f'baresip-{len(started)}', folder / 'theirs.wav', lab.certs / 'server-with-key.pem'))
                started.append(peer)
                for transport, name in THEIRS.items():
                    peer.add(f'sip:{name}', transport, auth_user=name.partition('@')[0], auth_pass=password(name), regint=600,
                             outbound=f'sip:{proxy(lab, transport)}')
                    peer.wait('REGISTER_OK', accountaor=f'sip:{name}')
            return started[-1]
        yield running


@pytest.fixture
def peer(peers):
    return peers()


@contextlib.contextmanager
def tidying():
    """What is done after a test, which has seen all that it wanted of a baresip that has crashed since."""
    try:
        yield
    except BaresipEnded as error:
        warnings.warn(str(error), stacklevel=3)


@pytest.fixture(scope='module')
def sdk(lab):
    with SDK() as sdk:
        sdk.start(nameservers=lab.nameservers, settings={
            'sip.transport_list': list(TRANSPORTS), 'tls.verify_server': True, 'tls.ca_list': str(lab.certs / 'ca.pem'),
            'tls.certificate': str(lab.certs / 'client-with-key.pem')})
        for transport, name in OURS.items():
            sdk.account(name, {'auth.password': password(name), 'sip.outbound_proxy': proxy(lab, transport), 'rtp.encryption.enabled': False, 'enabled': True})
            sdk.wait('SIPAccountRegistrationDidSucceed', name)
        sdk.account('bonjour', {'rtp.encryption.enabled': False})
        yield sdk


class Call(NamedTuple):
    """The two ends of calls in one test."""

    sdk: SDK
    peer: Baresip
    folder: object

    def ring(self, direction, account, uri, via=None):
        """Begin a call until it rings at the other side; the name of our session."""
        if direction == 'out':
            self.sdk.do('connect', session='out', account=account, uri=uri, via=via)
            self.peer.wait('CALL_INCOMING')
            self.sdk.wait('SIPSessionGotRingIndication', 'out', unless='SIPSessionDidFail')
            return 'out'
        self.peer.dial(uri)
        session = self.sdk.wait('SIPSessionNewIncoming').sender
        self.sdk.call(session, 'send_ring_indication')
        self.peer.wait('CALL_RINGING')
        return session

    def connect(self, direction, account, uri, via=None):
        session = self.ring(direction, account, uri, via)
        if direction == 'out':
            self.peer.accept()
        else:
            self.sdk.do('accept', session=session)
        self.sdk.wait('SIPSessionDidStart', session, unless='SIPSessionDidFail')
        self.peer.wait('CALL_ESTABLISHED')
        return session

    def talk(self, session):
        """Say something, and press a key, at both ends; listen at ours."""
        heard = self.folder / 'heard.wav'
        self.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
        self.sdk.do('play', player='player', session=session, filename=str(self.folder / 'ours.wav'))
        self.sdk.wait('WavePlayerDidEnd')
        self.sdk.call(f'{session}/streams.0', 'send_dtmf', '5')
        self.peer.send_digits('7')
        assert self.peer.digits(1) == '5'
        assert self.sdk.wait('AudioStreamGotDTMF', session).fields == {'digit': '7'}
        self.sdk.do('stop_record', recorder='recorder')
        theirs = hear(heard, OUR_NOTES + THEIR_NOTES)
        assert set(theirs) == {600.0, 900.0} and len(theirs) >= 3, theirs

    def echo(self, session):
        """Let the peer send back what it hears, and listen. Its recorder does not survive a hold. PCMU only: nothing is resampled on the way."""
        heard = self.folder / 'echo.wav'
        self.peer.command('ausrc', 'aubridge,player')
        try:
            self.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
            self.sdk.do('play', player='player', session=session, filename=str(self.folder / 'echo-notes.wav'))
            self.sdk.wait('WavePlayerDidEnd')
            self.sdk.do('sleep', seconds=0.3)
            self.sdk.do('stop_record', recorder='recorder')
        finally:
            self.peer.command('ausrc', f'aufile,{self.folder / "theirs.wav"}')
        ours = hear(heard, ECHO_NOTES + OUR_NOTES + THEIR_NOTES)        # what it still had from before comes first; there may be gaps
        assert list(dict.fromkeys(note for note in ours if note in dict(ECHO_NOTES))) == [note for note, _ in ECHO_NOTES], ours

    def silence(self, session):
        """During a hold nothing comes."""
        heard = self.folder / 'held.wav'
        self.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
        self.sdk.do('sleep', seconds=0.5)
        self.sdk.do('stop_record', recorder='recorder')
        assert hear(heard, OUR_NOTES + THEIR_NOTES) == []

    def hang_up(self, session, who='sdk'):
        """End the call at one side, and see that both know."""
        if who == 'sdk':
            self.sdk.call(session, 'end')
        else:
            self.peer.hang_up()
        end = self.sdk.wait('SIPSessionDidEnd', session)
        assert (end.originator, end.end_reason) == ('local' if who == 'sdk' else 'remote', 'user_request')
        self.peer.wait('CALL_CLOSED')

    def check_heard(self):
        """What the peer has heard of `talk`."""
        ours = hear(self.peer.heard(), OUR_NOTES + THEIR_NOTES)
        assert ours == [frequency for frequency, _ in OUR_NOTES], ours


@pytest.fixture
def call(sdk, peer, folder):
    sdk.mark()
    peer.mark()
    yield Call(sdk, peer, folder)
    sdk.do('end_sessions')                  # of a test that failed in the middle
    with tidying():
        if 'No active calls' not in peer.command('listcalls'):
            peer.hang_up()


@pytest.fixture
def direct(call):
    """Makes an account of the peer for calls without a server: `direct('tcp', mediaenc='srtp')` -> URI to call."""
    def make(transport='udp', **parameters):
        port = call.peer.port + (transport == 'tls')
        name = f'sip:direct@127.0.0.1:{port}'
        call.peer.add(name, transport, **parameters)
        username = call.sdk.get('bonjour', 'contact.username')
        return f'{name};transport={transport}', f'sip:{username}@127.0.0.1:{call.sdk.ports[transport]};transport={transport}'
    yield make
    with tidying():
        call.peer.remove_accounts('sip:direct@')


# ---- through the server --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction', ['out', 'in'])
@pytest.mark.parametrize('transport, codec', [('udp', 'PCMU'), ('tcp', 'G722'), ('tls', 'opus'), ('udp', 'opus'), ('tls', 'G722')])
def test_call_through_the_server(call, lab, transport, codec, direction):
    account, other = OURS[transport], THEIRS[transport]
    call.sdk.account(account, {'rtp.audio_codec_list': [codec]})
    call.peer.use(f'sip:{other}')
    session = call.connect(direction, account, f'sip:{other if direction == "out" else account}', f'sip:{proxy(lab, transport)}')
    facts = call.sdk.facts(session, 'transport', 'state', 'direction', 'streams.0.codec', 'streams.0.sample_rate', 'streams.0.srtp_active', 'account.id',
                           'remote_user_agent', 'remote_identity.uri.user')
    assert facts == {'transport': transport, 'state': 'connected', 'direction': 'outgoing' if direction == 'out' else 'incoming', 'streams.0.codec': codec,
                     'streams.0.sample_rate': {'PCMU': 8000, 'G722': 16000, 'opus': 48000}[codec], 'streams.0.srtp_active': False, 'account.id': account,
                     'remote_user_agent': facts['remote_user_agent'], 'remote_identity.uri.user': other.partition('@')[0]}
    assert facts['remote_user_agent'].startswith('baresip')
    call.talk(session)
    call.hang_up(session, 'sdk' if codec == 'opus' else 'peer')
    call.check_heard()


def test_notifications_of_an_outgoing_call(call, lab):
    session = call.connect('out', OURS['udp'], f'sip:{THEIRS["udp"]}', f'sip:{proxy(lab, "udp")}')
    call.hang_up(session)
    assert [name.removeprefix('SIPSession') for name in call.sdk.names('out', 'SIPSession')] == [
        'NewOutgoing', 'GotRingIndication', 'GotProvisionalResponse', 'WillStart', 'DidProcessTransaction', 'DidStart',
        'WillEnd', 'DidProcessTransaction', 'DidEnd']
    for event in call.sdk.events('SIPSessionDidProcessTransaction', 'out'):
        assert (event.originator, event.code, event.reason) == ('local', 200, {'INVITE': 'Answering', 'BYE': 'OK'}[event.method])


@pytest.mark.parametrize('transport', TRANSPORTS)
def test_connection_is_reused(call, lab, transport):
    """One connection to the server carries registration, the call, and everything in it: with TLS, also under the name it was verified for."""
    call.peer.use(f'sip:{THEIRS[transport]}')
    session = call.connect('in', OURS[transport], f'sip:{OURS[transport]}')
    call.hang_up(session)
    assert not call.sdk.events('SIPEngineTransportDidConnect')


def test_wrong_password(call, lab):
    call.sdk.account('bob@lab.test', {'auth.password': 'wrong', 'sip.outbound_proxy': proxy(lab, 'udp'), 'sip.register.enabled': False, 'enabled': True})
    call.sdk.do('connect', session='out', account='bob@lab.test', uri='sip:carol@lab.test', via=f'sip:{proxy(lab, "udp")}')
    failure = call.sdk.wait('SIPSessionDidFail', 'out')
    assert (failure.originator, failure.code, failure.reason) == ('remote', 407, 'Proxy Authentication Required')
    assert sum(message.startswith('INVITE') for message in call.sdk.messages(received=False)) == 2
    call.sdk.call('bob@lab.test', 'delete')
    call.sdk.wait('SIPAccountManagerDidRemoveAccount')


def test_nobody_is_registered(call, lab):
    call.sdk.do('connect', session='out', account=OURS['udp'], uri='sip:1002@lab.test', via=f'sip:{proxy(lab, "udp")}')
    failure = call.sdk.wait('SIPSessionDidFail', 'out')
    assert (failure.originator, failure.code, failure.reason) == ('remote', 480, 'Temporarily Unavailable')


# ---- without a server ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction', ['out', 'in'])
@pytest.mark.parametrize('transport', TRANSPORTS)
def test_direct_call(call, direct, transport, direction):
    theirs, ours = direct(transport)
    session = call.connect(direction, 'bonjour', theirs if direction == 'out' else ours)
    assert call.sdk.get(session, 'transport') == transport
    call.talk(session)
    call.hang_up(session)
    call.check_heard()


# ---- encryption ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction', ['out', 'in'])
@pytest.mark.parametrize('ours, theirs', [
    ('sdes_mandatory', 'srtp'), ('sdes_mandatory', 'srtp-mand'), ('sdes_optional', 'srtp'), ('opportunistic', 'srtp')])
def test_encrypted(call, direct, encryption, ours, theirs, direction):
    encryption(ours)
    uri, our_uri = direct(mediaenc=theirs)
    session = call.connect(direction, 'bonjour', uri if direction == 'out' else our_uri)
    facts = call.sdk.facts(session, 'streams.0.srtp_active', 'streams.0.encryption.type', 'streams.0.encryption.cipher', 'streams.0.encryption.active')
    assert facts['streams.0.srtp_active'] is facts['streams.0.encryption.active'] is True
    assert facts['streams.0.encryption.type'] == 'SRTP/SDES' and 'AES' in facts['streams.0.encryption.cipher']
    assert call.sdk.wait('RTPStreamDidEnableEncryption', session)
    call.talk(session)
    call.hang_up(session)
    call.check_heard()


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_dtls(call, direct, encryption, direction):
    """RTP and RTCP on ports of their own, with a handshake each."""
    encryption('dtls_mandatory')
    uri, our_uri = direct(mediaenc='dtls_srtp')
    session = call.connect(direction, 'bonjour', uri if direction == 'out' else our_uri)
    assert call.sdk.wait('RTPStreamDidEnableEncryption', session)
    facts = call.sdk.facts(session, 'streams.0.encryption.type', 'streams.0.encryption.cipher')
    assert facts['streams.0.encryption.type'] == 'SRTP/DTLS' and 'AES' in facts['streams.0.encryption.cipher']
    call.talk(session)
    call.hang_up(session)
    call.check_heard()


@pytest.mark.parametrize('ours', ['sdes_optional', 'opportunistic', None])
@pytest.mark.parametrize('direction', ['out', 'in'])
def test_not_encrypted(call, direct, encryption, ours, direction):
    """A peer without encryption, and an account that can do without."""
    encryption(ours)
    uri, our_uri = direct()
    session = call.connect(direction, 'bonjour', uri if direction == 'out' else our_uri)
    assert call.sdk.get(session, 'streams.0.srtp_active') is False
    call.talk(session)
    call.hang_up(session)
    call.check_heard()


@pytest.mark.parametrize('ours', ['sdes_optional', 'opportunistic'])
def test_they_insist_on_encryption(call, direct, encryption, ours):
    encryption(ours)
    _, uri = direct(mediaenc='srtp-mand')
    session = call.connect('in', 'bonjour', uri)
    assert call.sdk.get(session, 'streams.0.srtp_active') is True
    call.hang_up(session)


@pytest.mark.parametrize('ours, theirs', [('sdes_mandatory', None), (None, 'srtp-mand')])
def test_encryption_refused(call, direct, encryption, ours, theirs):
    """One side insists, the other one cannot: no call, in either direction."""
    encryption(ours)
    uri, our_uri = direct(mediaenc=theirs)
    call.sdk.do('connect', session='out', account='bonjour', uri=uri)
    failure = call.sdk.wait('SIPSessionDidFail', 'out')
    assert (failure.originator, failure.code) == ('remote', 488)
    call.peer.wait('CALL_CLOSED')
    call.peer.dial(our_uri)
    incoming = call.sdk.wait('SIPSessionNewIncoming')
    assert incoming.streams == []
    call.sdk.call(incoming.sender, 'reject', 488)
    assert call.peer.wait('CALL_CLOSED')['param'].startswith('488')


@pytest.fixture
def encryption(call):
    def use(policy):
        call.sdk.account('bonjour', {'rtp.encryption.enabled': policy is not None, **({'rtp.encryption.key_negotiation': policy} if policy else {})})
    yield use
    call.sdk.account('bonjour', {'rtp.encryption.enabled': False})


# ---- before the answer ---------------------------------------------------------------------------------------------


def test_callee_is_busy(call, direct):
    uri, _ = direct()
    session = call.ring('out', 'bonjour', uri)
    call.peer.hang_up()
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code, failure.reason) == ('remote', 486, 'Rejected')
    assert failure.types['failure_reason'] == 'str'


@pytest.mark.parametrize('code, text', [(486, '486 Busy Here'), (603, '603 Decline'), (480, '480 Temporarily Unavailable')])
def test_we_decline(call, direct, code, text):
    _, uri = direct()
    session = call.ring('in', 'bonjour', uri)
    call.sdk.call(session, 'reject', code)
    assert call.peer.wait('CALL_CLOSED')['param'] == text
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code) == ('local', code)


def test_we_cancel(call, direct):
    uri, _ = direct()
    session = call.ring('out', 'bonjour', uri)
    call.sdk.call(session, 'end')
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code, failure.failure_reason) == ('local', 487, 'user_request')
    call.peer.wait('CALL_CLOSED')
    assert [message.split()[0] for message in call.sdk.messages(received=False)] == ['INVITE', 'CANCEL', 'ACK']


def test_caller_cancels(call, direct):
    _, uri = direct()
    session = call.ring('in', 'bonjour', uri)
    call.peer.hang_up()
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code, failure.reason) == ('remote', 487, 'Session Cancelled')
    call.peer.wait('CALL_CLOSED')


def test_nobody_answers(call, direct):
    """`sip.invite_timeout` seconds of ringing are enough."""
    uri, _ = direct()
    call.sdk.set('settings', sip__invite_timeout=1)
    try:
        session = call.ring('out', 'bonjour', uri)
        failure = call.sdk.wait('SIPSessionDidFail', session)
    finally:
        call.sdk.set('settings', sip__invite_timeout=90)
    assert (failure.originator, failure.code) == ('local', 487)
    call.peer.wait('CALL_CLOSED')


def test_early_media(call, direct):
    """A 183 with a description: our sound is on its way before the call is answered. (baresip's is not, in this state; see the tests with sipp.)"""
    uri, _ = direct(answermode='early')
    call.sdk.do('connect', session='out', account='bonjour', uri=uri)
    assert call.sdk.wait('SIPSessionGotProvisionalResponse', 'out', code=183).reason == 'Session Progress'
    call.sdk.wait('MediaStreamDidStart', 'out')
    call.peer.wait('CALL_RTPESTAB', param='audio')
    assert call.sdk.events('SIPSessionDidStart', 'out') == []
    call.peer.accept()
    call.sdk.wait('SIPSessionDidStart', 'out')
    call.talk('out')
    call.hang_up('out')
    call.check_heard()


# ---- during the call -----------------------------------------------------------------------------------------------


@pytest.fixture
def pcmu(call):
    call.sdk.account('bonjour', {'rtp.audio_codec_list': ['PCMU']})
    yield
    call.sdk.account('bonjour', {'rtp.audio_codec_list': None})


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_we_hold(call, direct, pcmu, direction):
    theirs, ours = direct()
    session = call.connect(direction, 'bonjour', theirs if direction == 'out' else ours)
    call.sdk.call(session, 'hold')
    assert call.sdk.wait('SIPSessionDidChangeHoldState', session).fields == {'originator': 'local', 'on_hold': True, 'partial': False}
    assert call.sdk.facts(session, 'streams.0.direction', 'on_hold') == {'streams.0.direction': 'sendonly', 'on_hold': True}
    assert 'a=sendonly' in [message for message in call.sdk.messages(received=False) if message.startswith('INVITE')][-1]
    call.silence(session)
    call.sdk.call(session, 'unhold')
    assert call.sdk.wait('SIPSessionDidChangeHoldState', session).fields == {'originator': 'local', 'on_hold': False, 'partial': False}
    call.talk(session)
    call.echo(session)
    call.hang_up(session)


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_they_hold(call, direct, pcmu, direction):
    theirs, ours = direct()
    session = call.connect(direction, 'bonjour', theirs if direction == 'out' else ours)
    call.peer.command('hold')
    assert call.sdk.wait('SIPSessionDidChangeHoldState', session).fields == {'originator': 'remote', 'on_hold': True, 'partial': False}
    assert call.sdk.facts(session, 'on_hold', 'streams.0.on_hold_by_remote') == {'on_hold': True, 'streams.0.on_hold_by_remote': True}
    call.silence(session)
    call.peer.command('resume')
    assert call.sdk.wait('SIPSessionDidChangeHoldState', session).fields == {'originator': 'remote', 'on_hold': False, 'partial': False}
    call.talk(session)
    call.echo(session)
    call.hang_up(session, 'peer')


def test_both_hold_at_once(call, direct, pcmu):
    """Whoever is first: both get there (the other one after a 491, or in turn), and back."""
    theirs, _ = direct()
    session = call.connect('out', 'bonjour', theirs)
    for on_hold, ours, command in ((True, 'hold', 'hold'), (False, 'unhold', 'resume')):
        call.sdk.call(session, ours)
        call.peer.command(command)
        for originator in ('local', 'remote'):
            change = call.sdk.wait('SIPSessionDidChangeHoldState', session, unless='SIPSessionHadProposalFailure', originator=originator)
            assert (change.on_hold, change.partial) == (on_hold, False)
        assert call.sdk.get(session, 'on_hold') is on_hold
    call.talk(session)
    call.hang_up(session)


def test_more_streams(call, direct, pcmu):
    """Baresip takes one audio stream only: the second one is refused, in its answer, and the first one goes on."""
    theirs, _ = direct()
    session = call.connect('out', 'bonjour', theirs)
    call.sdk.do('add', session=session)
    accepted = call.sdk.wait('SIPSessionGotAcceptProposal', session, unless='SIPSessionGotRejectProposal')
    assert accepted.streams == [] and len(accepted.proposed_streams) == 1
    call.talk(session)
    call.hang_up(session)


def test_they_renegotiate(call, direct):
    """A re-INVITE that changes nothing changes nothing."""
    theirs, _ = direct()
    session = call.connect('out', 'bonjour', theirs)
    call.peer.command('reinvite')
    call.peer.wait('CALL_REMOTE_SDP', param='answer')
    call.talk(session)
    call.hang_up(session)
    call.check_heard()


def test_all_digits(call, direct):
    theirs, _ = direct()
    session = call.connect('out', 'bonjour', theirs)
    digits = '0123456789*#ABCD'
    for digit in digits:
        call.sdk.call(f'{session}/streams.0', 'send_dtmf', digit)
    call.peer.send_digits(digits)
    assert call.peer.digits(len(digits)) == digits
    assert ''.join(call.sdk.wait('AudioStreamGotDTMF', session).digit for _ in digits) == digits
    call.hang_up(session)


def test_two_calls(call, direct):
    """A second call comes in during the first one, which is held meanwhile."""
    theirs, ours = direct()
    first = call.connect('out', 'bonjour', theirs)
    call.sdk.call(first, 'hold')
    call.sdk.wait('SIPSessionDidChangeHoldState', first)
    second = call.connect('in', 'bonjour', ours)
    assert call.sdk.get('engine', 'is_running') and call.sdk.do('evaluate', expression='len(agent.session_manager.sessions)') == 2
    call.talk(second)
    call.hang_up(second, 'sdk')
    call.sdk.call(first, 'unhold')
    call.sdk.wait('SIPSessionDidChangeHoldState', first, on_hold=False)
    call.sdk.call(first, 'end')
    call.sdk.wait('SIPSessionDidEnd', first)


def test_we_transfer(call, direct):
    """Baresip follows: it calls back, to another account of ours."""
    theirs, ours = direct()
    session = call.connect('out', 'bonjour', theirs)
    call.sdk.call(session, 'transfer', ours)
    call.sdk.wait('SIPSessionTransferDidStart', session)
    back = call.sdk.wait('SIPSessionNewIncoming').sender
    call.sdk.do('accept', session=back)
    call.sdk.wait('SIPSessionTransferDidEnd', session)
    assert call.sdk.wait('SIPSessionDidEnd', session).originator == 'local'
    call.sdk.wait('SIPSessionDidStart', back)
    call.talk(back)
    call.hang_up(back)


def test_they_transfer_us(call, direct):
    """To themselves, as a second call."""
    theirs, ours = direct()
    session = call.connect('in', 'bonjour', ours)
    call.peer.command('transfer', theirs)
    call.sdk.wait('SIPSessionTransferNewIncoming', session)
    call.sdk.call(session, 'accept_transfer')
    new = call.sdk.wait('SIPSessionNewOutgoing', unless='SIPSessionTransferDidFail').sender
    call.sdk.wait('SIPSessionGotRingIndication', new, unless='SIPSessionDidFail')
    call.peer.accept()
    call.sdk.wait('SIPSessionTransferDidEnd', session)
    call.sdk.wait('SIPSessionDidEnd', session)
    call.talk(new)
    call.hang_up(new)


def test_stopping_hangs_up(lab, call, direct):
    """The application ends in the middle of a call."""
    with SDK('leaver') as leaver:
        leaver.start(settings={'sip.transport_list': ['udp']}, accounts={'bonjour': {'rtp.encryption.enabled': False}})
        theirs, _ = direct(answermode='auto')
        leaver.do('connect', session='out', account='bonjour', uri=theirs)
        leaver.wait('SIPSessionDidStart', 'out')
        leaver.do('stop')
        assert leaver.wait('SIPSessionDidEnd', 'out').originator == 'local'
        call.peer.wait('CALL_CLOSED')


def test_a_crash_of_theirs_is_no_fault_of_ours(peers):
    """The next test gets a new one."""
    peer = peers()
    with pytest.warns(UserWarning, match='baresip has ended with -11 before uadel'), tidying():
        peer._process.send_signal(signal.SIGSEGV)
        peer._process.wait(30)
        peer.remove_accounts()
    again = peers()
    assert again is not peer and 'ctive calls' in again.command('listcalls')
