"""Calls with linphone, without any server, in both directions, with sound that is listened to at both ends after each step."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.linphone import Linphone
from tests.support.programs import hear, write_notes
from tests.support.sdk import SDK

pytestmark = pytest.mark.interop

OUR_NOTES = ((523.0, 0.2), (659.0, 0.2), (784.0, 0.2))
THEIR_NOTES = ((600.0, 0.2), (900.0, 0.2))
THIRD_NOTES = ((450.0, 0.2), (1100.0, 0.2))
_numbers = itertools.count(1)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('calls')
    write_notes(folder / 'ours.wav', OUR_NOTES)
    write_notes(folder / 'theirs.wav', THEIR_NOTES * 150, 8000)
    write_notes(folder / 'third.wav', THIRD_NOTES * 150, 8000)
    return folder


@pytest.fixture(scope='module')
def sdk():
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp']}, accounts={'bonjour': {'rtp.encryption.enabled': False, 'rtp.audio_codec_list': ['PCMU']}})
        yield sdk


@pytest.fixture(scope='module')
def peer(folder):
    with Linphone(folder / 'linphone', folder / 'theirs.wav') as peer:
        peer.enable_codec('G722 (8000)')
        yield peer


@pytest.fixture(scope='module')
def third(folder):
    """Whom a call is transferred to."""
    with Linphone(folder / 'third', folder / 'third.wav') as third:
        yield third


class Call(NamedTuple):
    """The two ends of calls in one test."""

    sdk: SDK
    peer: Linphone
    folder: Path

    @property
    def uri(self):
        """To call us at."""
        return f'sip:{self.sdk.get("bonjour", "contact.username")}@127.0.0.1:{self.sdk.ports["udp"]}'

    def ring(self, direction, name='out'):
        """Begin a call until it rings at the other side; the name of our session."""
        if direction == 'out':
            self.sdk.do('connect', session=name, account='bonjour', uri=self.peer.uri)
            self.peer.wait('Receiving new incoming call')
            self.sdk.wait('SIPSessionGotRingIndication', name, unless='SIPSessionDidFail')
            return name
        self.peer.dial(self.uri)
        session = self.sdk.wait('SIPSessionNewIncoming').sender
        self.sdk.call(session, 'send_ring_indication')
        self.peer.wait(' ringing')
        return session

    def connect(self, direction='out', name='out'):
        session = self.ring(direction, name)
        if direction == 'out':
            self.peer.accept()
        else:
            self.sdk.do('accept', session=session)
        self.sdk.wait('SIPSessionDidStart', session, unless='SIPSessionDidFail')
        self.peer.wait('Media streams established')
        return session

    def record(self, *peers):
        """Begin to listen at the given ends; returns what ends that: name -> notes heard."""
        number = next(_numbers)
        paths = {peer: self.folder / f'heard-{number}-{index}.wav' for index, peer in enumerate(peers)}
        for peer, path in paths.items():
            peer.record(path)

        def stop():
            for peer in paths:
                peer.record(self.folder / 'unheard.wav')
            return [hear(path, OUR_NOTES + THEIR_NOTES + THIRD_NOTES) for path in paths.values()]
        return stop

    def talk(self, session, notes=THEIR_NOTES):
        """Say something, and press a key, at both ends; listen at both. On a busy machine linphone misses a note now and then: there are three tries."""
        for tries_left in (2, 1, 0):
            theirs, ours = self._talk_once(session)
            is_heard = [note for note, _ in itertools.groupby(ours)] == [frequency for frequency, _ in OUR_NOTES]
            if set(theirs) == {frequency for frequency, _ in notes} and len(theirs) >= 3 and is_heard:
                return
            assert tries_left, (theirs, ours)

    def _talk_once(self, session):
        """Returns the notes heard at our end, and at theirs."""
        heard = self.folder / 'heard.wav'
        stop = self.record(self.peer)
        self.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
        self.sdk.do('play', player='player', session=session, filename=str(self.folder / 'ours.wav'))
        self.sdk.wait('WavePlayerDidEnd')
        self.sdk.call(f'{session}/streams.0', 'send_dtmf', '5')
        self.peer.send_digits('7')
        assert self.peer.digits(1) == '5'
        assert self.sdk.wait('AudioStreamGotDTMF', session).fields == {'digit': '7'}
        self.sdk.do('stop_record', recorder='recorder')
        theirs = hear(heard, OUR_NOTES + THEIR_NOTES + THIRD_NOTES)
        [ours] = stop()
        return theirs, ours

    def held_sound(self, session, music=False):
        """What is heard while somebody holds: of us nothing, of linphone nothing or, when it is who holds, what it plays to those who wait."""
        heard = self.folder / 'waiting.wav'
        stop = self.record(*([] if music else [self.peer]))         # a linphone that holds has nothing to record
        self.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
        self.sdk.do('play', player='player', session=session, filename=str(self.folder / 'ours.wav'))
        self.sdk.wait('WavePlayerDidEnd')
        self.sdk.do('stop_record', recorder='recorder')
        assert set(hear(heard, OUR_NOTES + THEIR_NOTES)) == ({frequency for frequency, _ in THEIR_NOTES} if music else set())
        assert stop() in ([], [[]])

    def held(self, session, originator, on_hold):
        change = self.sdk.wait('SIPSessionDidChangeHoldState', session, unless='SIPSessionHadProposalFailure')
        assert change.fields == {'originator': originator, 'on_hold': on_hold, 'partial': False}

    def hang_up(self, session, who='sdk'):
        """End the call at one side, and see that both know."""
        if who == 'sdk':
            self.sdk.call(session, 'end')
        else:
            self.peer.hang_up()
        end = self.sdk.wait('SIPSessionDidEnd', session)
        assert (end.originator, end.end_reason) == ('local' if who == 'sdk' else 'remote', 'user_request')
        self.peer.wait(' ended ')


@pytest.fixture
def call(sdk, peer, folder):
    sdk.mark()
    peer.mark()
    yield Call(sdk, peer, folder)
    sdk.do('end_sessions')                  # of a test that failed in the middle
    peer.hang_up()


@pytest.fixture
def codec(call):
    """Ours; linphone has all of them."""
    def use(name):
        call.sdk.account('bonjour', {'rtp.audio_codec_list': [name]})
    yield use
    use('PCMU')


# ---- whole calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name, direction, who', [('PCMU', 'out', 'sdk'), ('opus', 'in', 'peer'), ('G722', 'out', 'peer')])
def test_call(call, codec, name, direction, who):
    codec(name)
    session = call.connect(direction)
    facts = call.sdk.facts(session, 'transport', 'streams.0.codec', 'streams.0.srtp_active', 'remote_user_agent')
    assert facts == {'transport': 'udp', 'streams.0.codec': name, 'streams.0.srtp_active': False, 'remote_user_agent': facts['remote_user_agent']}
    assert facts['remote_user_agent'].startswith('Linphone')
    call.talk(session)
    call.hang_up(session, who)


@pytest.fixture(scope='module', params=['wanted', 'mandatory'])
def secure_peer(folder, request):
    with Linphone(folder / f'srtp-{request.param}', folder / 'theirs.wav', srtp=request.param) as peer:
        yield request.param, peer


@pytest.fixture
def secure_call(call, secure_peer):
    """The policy of the peer, and a call with it."""
    policy, peer = secure_peer
    peer.mark()
    yield policy, Call(call.sdk, peer, call.folder)
    call.sdk.do('end_sessions')
    peer.hang_up()
    call.sdk.account('bonjour', {'rtp.encryption.enabled': False})


@pytest.mark.parametrize('ours, direction', [('sdes_mandatory', 'out'), ('sdes_mandatory', 'in'), ('sdes_optional', 'out'), ('opportunistic', 'in')])
def test_encrypted(secure_call, ours, direction):
    """What it offers is RTP/SAVP. Keys in an offer of RTP/AVP are nothing to it: it does without, or refuses."""
    theirs, call = secure_call
    call.sdk.account('bonjour', {'rtp.encryption.enabled': True, 'rtp.encryption.key_negotiation': ours})
    in_vain = ours == 'sdes_optional' and direction == 'out'
    if in_vain and theirs == 'mandatory':
        call.sdk.do('connect', session='out', account='bonjour', uri=call.peer.uri)
        assert call.sdk.wait('SIPSessionDidFail', 'out').code == 488
        return
    session = call.connect(direction)
    facts = call.sdk.facts(session, 'streams.0.srtp_active', 'streams.0.encryption.type')
    assert facts == {'streams.0.srtp_active': not in_vain, 'streams.0.encryption.type': None if in_vain else 'SRTP/SDES'}
    call.talk(session)
    call.hang_up(session)


def test_encryption_refused(secure_call):
    """We have none: who insists on it is refused and refuses us, the other one calls again without."""
    theirs, call = secure_call
    if theirs == 'mandatory':
        call.sdk.do('connect', session='out', account='bonjour', uri=call.peer.uri)
        failure = call.sdk.wait('SIPSessionDidFail', 'out')
        assert (failure.originator, failure.code) == ('remote', 488)
        call.peer.dial(call.uri)
        incoming = call.sdk.wait('SIPSessionNewIncoming')
        assert incoming.streams == []
        call.sdk.call(incoming.sender, 'reject', 488)
        call.peer.wait(' error')
    else:
        call.peer.dial(call.uri)
        incoming = call.sdk.wait('SIPSessionNewIncoming')
        assert incoming.streams == []
        call.sdk.call(incoming.sender, 'reject', 488)
        again = call.sdk.wait('SIPSessionNewIncoming')
        assert again.streams != []
        call.sdk.do('accept', session=again.sender)
        call.sdk.wait('SIPSessionDidStart', again.sender)
        assert call.sdk.get(again.sender, 'streams.0.srtp_active') is False
        call.talk(again.sender)
        call.hang_up(again.sender)


@pytest.mark.parametrize('code, told', [(486, ' error'), (603, ' ended ')])
def test_we_decline(call, code, told):
    session = call.ring('in')
    call.sdk.call(session, 'reject', code)
    assert call.sdk.wait('SIPSessionDidFail', session).code == code
    call.peer.wait(told)


def test_they_decline(call):
    session = call.ring('out')
    call.peer.hang_up()
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code) == ('remote', 603)


def test_we_cancel(call):
    session = call.ring('out')
    call.sdk.call(session, 'end')
    assert call.sdk.wait('SIPSessionDidFail', session).code == 487
    call.peer.wait(' ended ')


def test_they_cancel(call):
    session = call.ring('in')
    call.peer.hang_up()
    failure = call.sdk.wait('SIPSessionDidFail', session)
    assert (failure.originator, failure.code, failure.reason) == ('remote', 487, 'Session Cancelled')


def test_all_digits(call):
    session = call.connect()
    digits = '0123456789*#ABCD'
    for digit in digits:
        call.sdk.call(f'{session}/streams.0', 'send_dtmf', digit)
    assert call.peer.digits(len(digits)) == digits
    for digit in '09*#':        # it takes a second for each, and of those pressed during another one it sends the last; it has no A to D
        call.peer.send_digits(digit)
        assert call.sdk.wait('AudioStreamGotDTMF', session).digit == digit
    call.hang_up(session)


# ---- hold ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_we_hold(call, direction):
    session = call.connect(direction)
    call.sdk.call(session, 'hold')
    call.held(session, 'local', True)
    call.peer.wait('has been paused by')
    call.held_sound(session)
    call.sdk.call(session, 'unhold')
    call.held(session, 'local', False)
    call.peer.wait('Media streams established')
    call.talk(session)
    call.hang_up(session)


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_they_hold(call, direction):
    session = call.connect(direction)
    call.peer.hold()
    call.held(session, 'remote', True)
    call.peer.wait('is now paused')
    call.held_sound(session, music=True)
    call.peer.resume()
    call.held(session, 'remote', False)
    call.peer.wait('Media streams established')
    call.talk(session)
    call.hang_up(session, 'peer')


def test_both_hold(call):
    """One after the other, in either order of letting go."""
    session = call.connect()
    call.sdk.call(session, 'hold')
    call.held(session, 'local', True)
    call.peer.wait('has been paused by')
    call.peer.hold()
    call.held(session, 'remote', True)
    call.peer.wait('is now paused')
    assert call.sdk.facts(session, 'streams.0.direction', 'on_hold') == {'streams.0.direction': 'inactive', 'on_hold': True}
    call.sdk.call(session, 'unhold')
    call.held(session, 'local', False)
    call.held_sound(session, music=True)
    call.peer.resume()
    call.held(session, 'remote', False)
    call.peer.wait('Media streams established')
    call.talk(session)
    call.hang_up(session)


def test_both_hold_at_once(call):
    """We get there, at once or after a 491. Linphone does not try again after one: it has stopped its stream, takes the call for running, and begins to send
    again with our next re-INVITE; from then on both hear each other. Its commands do not find the call any more, so it is told what to record before."""
    session = call.connect()
    path = call.folder / 'glare.wav'
    call.peer.record(path)
    call.sdk.call(session, 'hold')
    call.peer.hold()
    for on_hold in (True, False):
        call.sdk.wait('SIPSessionDidChangeHoldState', session, unless='SIPSessionHadProposalFailure', originator='local', on_hold=on_hold)
        call.sdk.call(session, 'unhold')
    if not any(message.startswith('SIP/2.0 491') for message in call.sdk.messages(received=False)):
        call.peer.wait('is now paused')
        call.peer.resume()
        call.sdk.wait('SIPSessionDidChangeHoldState', session, originator='remote', on_hold=False)
    heard = call.folder / 'heard.wav'
    call.sdk.do('record', recorder='recorder', session=session, filename=str(heard))
    call.sdk.do('play', player='player', session=session, filename=str(call.folder / 'ours.wav'))
    call.sdk.wait('WavePlayerDidEnd')
    call.sdk.do('sleep', seconds=1)
    call.sdk.do('stop_record', recorder='recorder')
    theirs = hear(heard, OUR_NOTES + THEIR_NOTES)
    assert set(theirs) == {frequency for frequency, _ in THEIR_NOTES} and len(theirs) >= 3, theirs
    call.hang_up(session)
    call.peer.record(call.folder / 'unheard.wav')
    ours = hear(path, OUR_NOTES + THEIR_NOTES)
    assert {frequency for frequency, _ in OUR_NOTES} <= set(ours), ours


def test_more_streams(call):
    """A second audio stream: linphone takes one only. It is told, and the call goes on."""
    session = call.connect()
    call.sdk.do('add', session=session)
    proposed = call.sdk.wait('SIPSessionGotProposal', session)
    assert proposed.originator == 'local'
    call.sdk.wait_until(lambda event: event.name in ('SIPSessionGotAcceptProposal', 'SIPSessionGotRejectProposal'), 'no outcome')
    call.sdk.do('wait_for', target=session, name='state', value='connected')
    call.talk(session)
    call.hang_up(session)


# ---- transfer ------------------------------------------------------------------------------------------------------


def test_we_transfer(call, third):
    """Linphone follows: it calls the third party, and both hear each other."""
    third.mark()
    stop = call.record(call.peer, third)            # between two calls it must not be told to
    session = call.connect()
    call.sdk.call(session, 'transfer', third.uri)
    call.sdk.wait('SIPSessionTransferDidStart', session)
    third.wait('Receiving new incoming call')
    third.accept()
    call.sdk.wait('SIPSessionTransferDidEnd', session, unless='SIPSessionTransferDidFail')
    assert call.sdk.wait('SIPSessionDidEnd', session).originator == 'local'
    third.wait('Media streams established')
    call.sdk.do('sleep', seconds=1)
    heard, by_third = stop()
    assert set(heard) == {frequency for frequency, _ in THIRD_NOTES}, heard
    assert set(by_third) == {frequency for frequency, _ in THEIR_NOTES}, by_third
    third.hang_up()
    third.wait(' ended ')


def test_we_transfer_with_replaces(call, third):
    """We have called both; linphone's call takes the place of ours with the third party."""
    third.mark()
    stop = call.record(call.peer, third)
    session = call.connect()
    call.sdk.call(session, 'hold')
    call.held(session, 'local', True)
    call.sdk.do('connect', session='consulted', account='bonjour', uri=third.uri)
    third.wait('Receiving new incoming call')
    third.accept()
    call.sdk.wait('SIPSessionDidStart', 'consulted')
    call.sdk.do('evaluate', expression=f"agent.find('{session}').transfer('{third.uri}', agent.find('consulted'))")
    call.sdk.wait('SIPSessionTransferDidEnd', session, unless='SIPSessionTransferDidFail')
    call.sdk.wait('SIPSessionDidEnd', session)
    assert call.sdk.wait('SIPSessionDidEnd', 'consulted').originator == 'remote'
    call.sdk.do('sleep', seconds=1)
    heard, by_third = stop()
    assert {frequency for frequency, _ in THIRD_NOTES} <= set(heard), heard
    assert {frequency for frequency, _ in THEIR_NOTES} <= set(by_third), by_third
    third.hang_up()


def test_our_transfer_fails(call, third):
    """The third party is busy: the call goes on."""
    third.mark()
    session = call.connect()
    call.sdk.call(session, 'transfer', third.uri)
    third.wait('Receiving new incoming call')
    third.hang_up()
    failure = call.sdk.wait('SIPSessionTransferDidFail', session)
    assert failure.code == 603
    call.talk(session)
    call.hang_up(session)


def test_they_transfer_us(call, third):
    third.mark()
    session = call.connect('in')
    call.peer.command(f'transfer {third.uri}')
    assert call.sdk.wait('SIPSessionTransferNewIncoming', session).transfer_destination == third.uri
    call.sdk.call(session, 'accept_transfer')
    new = call.sdk.wait('SIPSessionNewOutgoing', unless='SIPSessionTransferDidFail').sender
    third.wait('Receiving new incoming call')
    third.accept()
    call.sdk.wait('SIPSessionTransferDidEnd', session)
    call.sdk.wait('SIPSessionDidEnd', session)
    call.sdk.wait('SIPSessionDidStart', new)
    Call(call.sdk, third, call.folder).talk(new, THIRD_NOTES)
    Call(call.sdk, third, call.folder).hang_up(new)


def test_they_transfer_us_with_replaces(call, third):
    """Linphone has called us and the third party; our call takes the place of its own there. It names that party without a port, which in life is a matter
    of the proxy."""
    third.mark()
    call.sdk.account('us@lab.test', {'sip.outbound_proxy': f'127.0.0.1:{third.port};transport=udp', 'sip.register.enabled': False,
                                     'rtp.encryption.enabled': False, 'enabled': True})
    call.peer.dial(f'sip:us@127.0.0.1:{call.sdk.ports["udp"]}')
    session = call.sdk.wait('SIPSessionNewIncoming').sender
    assert call.sdk.get(session, 'account.id') == 'us@lab.test'
    call.sdk.do('accept', session=session)
    call.sdk.wait('SIPSessionDidStart', session)
    call.peer.wait('Media streams established')
    call.peer.hold()
    call.held(session, 'remote', True)
    call.peer.dial(third.uri)
    third.wait('Receiving new incoming call')
    third.accept()
    third.wait('Media streams established')
    call.peer.wait('Media streams established')
    first, second = call.peer.calls()
    call.peer.command(f'transfer {first} --to-call {second}')
    call.sdk.wait('SIPSessionTransferNewIncoming', session)
    call.sdk.call(session, 'accept_transfer')
    new = call.sdk.wait('SIPSessionNewOutgoing', unless='SIPSessionTransferDidFail').sender
    call.sdk.wait('SIPSessionDidStart', new, unless='SIPSessionDidFail')
    call.sdk.wait('SIPSessionTransferDidEnd', session)
    call.sdk.wait('SIPSessionDidEnd', session)
    Call(call.sdk, third, call.folder).talk(new, THIRD_NOTES)
    Call(call.sdk, third, call.folder).hang_up(new)
    call.sdk.call('us@lab.test', 'delete')
