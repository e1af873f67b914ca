"""Calls that end in some violent way, many at a time: while they are set up, with the application, with the peer."""

from __future__ import annotations

import pytest

from tests.load.conftest import Amount
from tests.load.rig import Process, processes, until

PORTS = [10000, 19998]


def assert_nothing_left(app: Process) -> None:
    """No session, no native object of a call."""
    def left() -> dict[str, int]:
        usage = app.usage()
        return {name: usage[name] for name in ('live_invitation', 'live_audio_stream', 'live_rtp_transport', 'live_wave_player', 'live_wave_recorder', 'bound')
                if usage[name]}
    assert until(lambda: not left(), 10), left()
    facts = app.do('facts')
    assert facts['live'] == facts['sessions'] == 0, facts


def finished(counts: dict[str, int]) -> int:
    return counts.get('SIPSessionDidEnd', 0) + counts.get('SIPSessionDidFail', 0)


# What the peer does with our calls: it answers at once, only rings, or says nothing at all.
@pytest.mark.parametrize('answer', ['accept', 'ring', 'silent'])
@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_calls_ended_while_they_are_set_up(amount: Amount, answer: str, transport: str) -> None:
    """end() after 0, 1, 2 ... milliseconds: before anything was sent, before and after the first answer, before and after the ACK."""
    count = 50
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=PORTS)
        port = peer.do('start', srtp=True)[transport]
        peer.do('set', answer=answer)
        app.do('call_and_end', count=count, port=port, transport=transport, step=0.001)
        assert until(lambda: finished(app.counts()) == count), app.counts()
        counts = app.counts()
        assert counts['SIPSessionNewOutgoing'] == count
        assert finished(counts) == count            # each once
        assert counts.get('SIPSessionWillEnd', 0) == counts.get('SIPSessionDidEnd', 0)
        assert_nothing_left(app)
        # The peer has heard the end of every call that it has heard of.
        assert until(lambda: peer.do('facts')['live'] == 0), peer.counts()
        assert app.do('facts')['problems'] == peer.do('facts')['problems'] == []


@pytest.mark.parametrize('who', ['caller', 'callee', 'both'])
def test_incoming_calls_ended_while_they_are_set_up(amount: Amount, who: str) -> None:
    """The peer calls; it, or we, or both end the call at any moment."""
    count = 50
    with processes('app', 'peer') as (app, peer):
        ports = app.do('start', ports=PORTS)
        peer.do('start', srtp=True)
        app.do('set', end_after=None if who == 'caller' else 0.001)
        peer.do('call_and_end', count=count, port=ports['udp'], user=ports['user'], step=0.001 if who != 'callee' else None)
        assert until(lambda: peer.do('facts')['live'] == 0), peer.counts()
        assert until(lambda: finished(app.counts()) == app.counts().get('SIPSessionNewIncoming', 0)), app.counts()
        assert_nothing_left(app)
        assert app.do('facts')['problems'] == peer.do('facts')['problems'] == []


def test_application_stops_with_calls_up(amount: Amount) -> None:
    """Every peer is told with a BYE, every session posts its end, and it does not take long. Then everything works again."""
    count = amount.abrupt
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=PORTS)
        port = peer.do('start', srtp=True)['udp']
        for number in (1, 2):
            app.do('call', count=count, port=port)
            app.wait(SIPSessionDidStart=count * number)
            stopped = app.do('finish')
            assert stopped['ended'] and stopped['seconds'] < 8, stopped
            counts = app.counts()
            for name in ('SIPSessionWillEnd', 'SIPSessionDidEnd', 'MediaStreamDidEnd', 'BYE_local_200'):
                assert counts[name] == count * number, (name, counts)
            assert peer.wait(disconnected=count * number)['disconnected_by_remote: 200 user request'] == count * number
            assert_nothing_left(app)
            app.do('begin')
        facts = app.do('facts')
        assert facts['problems'] == facts['log'] == []
        print(f'\n{count} calls: the application stopped in {stopped["seconds"]:.2f} s')


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_peer_is_killed_with_calls_up(amount: Amount, transport: str) -> None:
    """Each stream says that nothing comes any more; the sessions can be ended; the next peer can be called."""
    count = amount.abrupt
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=PORTS, timeout=1)
        app.do('call', count=count, port=peer.do('start', srtp=True)[transport], transport=transport)
        app.wait(SIPSessionDidStart=count)
        peer.kill()
        counts = app.wait(AudioStreamDidTimeout=count)
        assert counts.get('SIPSessionDidEnd', 0) == 0           # to end them is up to the application
        app.do('end')
        counts = app.wait(SIPSessionDidEnd=count, MediaStreamDidEnd=count)
        assert counts['SIPSessionWillEnd'] == count and counts.get('SIPSessionDidFail', 0) == 0
        assert counts['BYE_local_408'] == count
        assert_nothing_left(app)
        with processes('peer') as (other,):
            app.do('call', count=count, port=other.do('start', srtp=True)[transport], transport=transport)
            app.wait(SIPSessionDidStart=2 * count)
            app.do('end')
            counts = app.wait(SIPSessionDidEnd=2 * count)
            assert counts['BYE_local_200'] == count
        assert app.do('facts')['problems'] == []


def test_ports_are_used_up(amount: Amount) -> None:
    """The range of ports limits the calls; one more fails, says why, and leaves the others alone. Ports come back."""
    with processes('app', 'peer') as (app, peer):
        ports = app.do('start', ports=[30400, 30440])           # 20 pairs
        port = peer.do('start', srtp=True)['udp']
        app.do('call', count=25, port=port)
        assert until(lambda: finished(app.counts()) + app.counts().get('SIPSessionDidStart', 0) == 25)
        counts = app.counts()
        assert 15 < counts['SIPSessionDidStart'] <= 20           # something else may use one of them
        assert counts['SIPSessionDidFail'] == 25 - counts['SIPSessionDidStart']
        reason = 'no free pair of UDP ports for RTP in 30400-30439: the range of ports limits the number of streams'
        assert counts[f'failed: 0 media stream failed: {reason}'] == counts['SIPSessionDidFail']
        # Nor can we be called; the caller is told.
        peer.do('call', count=1, port=ports['udp'], user=ports['user'])
        refused = peer.wait(disconnected=1)
        assert refused.keys() >= {'disconnected_by_remote: 500 Server Internal Error'}, refused
        running = counts['SIPSessionDidStart']
        app.do('end', count=5)
        app.wait(MediaStreamDidEnd=25 - running + 1 + 5)
        app.do('call', count=5, port=port)
        assert app.wait(SIPSessionDidStart=running + 5)['SIPSessionDidFail'] == 25 - running + 1
        app.do('end')
        app.wait(SIPSessionDidEnd=running + 5)
        assert_nothing_left(app)


def test_descriptors_are_used_up(amount: Amount) -> None:
    """The limit of open files (ulimit -n) is met in the middle of calls: some fail, with the reason; nothing breaks."""
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=PORTS)
        port = peer.do('start', srtp=True)['udp']
        app.do('sequence', count=3, port=port)
        app.do('limit_descriptors', more=31)            # 15 pairs of sockets and one
        app.do('call', count=25, port=port)
        assert until(lambda: finished(app.counts()) + app.counts().get('SIPSessionDidStart', 0) == 3 + 3 + 25), app.counts()
        counts = app.counts()
        assert counts['SIPSessionDidFail'] >= 10
        # Asking the routing table takes a descriptor, and so does a cipher of the library behind libsrtp, which does not say why it fails.
        reasons = {'failed: 0 media stream failed: initialize the RTP transport: Too many open files', 'failed: 480 could not find a contact for the route',
                   'failed: 0 media stream failed: start the audio stream: cipher failure'}
        assert sum(counts.get(reason, 0) for reason in reasons) == counts['SIPSessionDidFail'], sorted(counts.items())
        app.do('end')
        app.wait(SIPSessionDidEnd=counts['SIPSessionDidStart'], MediaStreamDidEnd=28)
        app.do('limit_descriptors', more=1000)
        app.do('sequence', count=3, port=port)
        assert_nothing_left(app)
