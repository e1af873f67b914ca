"""Many calls at the same time, in one process.

The process under test is an application with default settings, but for G.711 as the only codecs (the counterpart has to fit on the same two cores) and a wider
range of ports than the default, which is enough for 250 calls. All calls are set up at once, and end at once. Both sides play a tone into every call; what
arrives is counted by the streams of the receiver, and recorded in some calls.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.load.conftest import Amount
from tests.load.rig import Process, gaps, processes, until, write_tone

PEER_TONE, APP_TONE = 1000, 600         # Hz
MIXER_RATE = 32000                      # the default of `audio.sample_rate`
RECORDED = 3                            # calls, on each side
PACKETS = 50                            # a second

# side of the process under test, SRTP (the default), transport
VARIANTS = [pytest.param('caller', True, 'udp', id='caller-srtp-udp'), pytest.param('callee', False, 'tcp', id='callee-plain-tcp')]


def set_up(app: Process, peer: Process, side: str, transport: str, count: int, ports: tuple[dict[str, Any], dict[str, Any]]) -> float:
    """Make calls as fast as possible; seconds until all of them run."""
    app_ports, peer_ports = ports
    started = time.monotonic()
    if side == 'caller':
        app.do('call', count=count, port=peer_ports[transport], transport=transport)
    else:
        peer.do('call', count=count, port=app_ports[transport], user=app_ports['user'], transport=transport)
    app.wait(SIPSessionDidStart=count)
    peer.wait(connected=count)
    return time.monotonic() - started


@pytest.mark.parametrize(('side', 'srtp', 'transport'), VARIANTS)
def test_calls_held_at_once(amount: Amount, tmp_path: Path, side: str, srtp: bool, transport: str) -> None:
    lasts = amount.seconds + 60
    peer_tone, app_tone = write_tone(tmp_path / 'peer.wav', PEER_TONE, lasts, 8000), write_tone(tmp_path / 'app.wav', APP_TONE, lasts, MIXER_RATE)
    with processes('app', 'peer') as (app, peer):
        app_ports = app.do('start', ports=[10000, 19998], codecs=['PCMU', 'PCMA'], **({} if srtp else {'srtp': False}))
        peer_ports = peer.do('start', srtp=srtp, tone=str(peer_tone), slots=amount.calls + 20)
        setup = set_up(app, peer, side, transport, amount.calls, (app_ports, peer_ports))
        app.do('play', filename=str(app_tone))
        peer.do('play')
        app.wait(WavePlayerDidStart=1)
        # From here on everything is to run evenly.
        time.sleep(1)
        before = [process.do('media') for process in (app, peer)]
        clock = time.monotonic()
        cpu = [process.do('cpu')['cpu'] for process in (app, peer)]
        recordings = [(app.do('record', count=RECORDED, folder=str(tmp_path))['files'], PEER_TONE),
                      (peer.do('record', count=RECORDED, folder=str(tmp_path))['files'], APP_TONE)]
        app.wait(AudioStreamDidStartRecordingAudio=RECORDED)
        time.sleep(amount.seconds)      # this is what is tested: time that passes
        after = [process.do('media') for process in (app, peer)]
        clock = time.monotonic() - clock
        cpu = [process.do('cpu')['cpu'] - used for process, used in zip((app, peer), cpu, strict=True)]
        for process in (app, peer):
            process.do('stop_recording')
        app.wait(AudioStreamDidStopRecordingAudio=RECORDED)

        assert app.counts().get('SIPSessionDidEnd', 0) == app.counts().get('SIPSessionDidFail', 0) == peer.counts().get('disconnected', 0) == 0
        finished = time.monotonic()
        app.do('end')
        counts = app.wait(SIPSessionDidEnd=amount.calls, MediaStreamDidEnd=amount.calls)
        answered = peer.wait(disconnected=amount.calls)
        end = time.monotonic() - finished
        facts, peer_facts = app.do('facts'), peer.do('facts')

    print(f'\n{amount.calls} calls ({side}, {"SRTP" if srtp else "RTP"}, {transport}): set up in {setup:.2f} s, held for {clock:.1f} s with '
          f'{cpu[0] / clock:.0%} (application) and {cpu[1] / clock:.0%} (peer) of a core, ended in {end:.2f} s')
    assert facts['problems'] == peer_facts['problems'] == facts['log'] == peer_facts['log'] == []
    assert counts['BYE_local_200'] == answered['disconnected_by_remote: 200 user request'] == amount.calls
    for name, first, last in zip(('application', 'peer'), before, after, strict=True):
        streams = last['streams']
        assert len(streams) == len(first['streams']) == amount.calls
        assert {(stream['codec'], stream['srtp']) for stream in streams} == {('PCMU', srtp)}
        print(f'  {name}: {sum(stream["received"] for stream in streams)} packets received, {sum(stream["lost"] for stream in streams)} lost, '
              f'{sum(stream["discarded"] for stream in streams)} discarded')
        assert sum(stream['lost'] for stream in streams) == 0
        for early, late in zip(first['streams'], streams, strict=True):
            assert late['received'] > early['received'], f'{name}: nothing is received'
        if amount.full:
            assert sum(stream['discarded'] for stream in streams) == 0
            assert abs((last['frames_mixed'] - first['frames_mixed']) / clock / PACKETS - 1) < 0.01
            for early, late in zip(first['streams'], streams, strict=True):
                assert late['received'] - early['received'] > clock * PACKETS * 0.98
                assert late['sent'] - early['sent'] > clock * PACKETS * 0.98
    for files, tone in recordings:
        for file in files:
            blocks, silent = gaps(file, tone)
            assert blocks > amount.seconds * 0.5 * PACKETS
            if amount.full:             # on a busy machine a pause is nobody's fault
                assert silent == [], f'gaps in {file}'


def test_bursts_again_and_again(amount: Amount) -> None:
    """All calls at once, audio in every one of them, all ended at once; a few times over."""
    rounds = 8 if amount.full else 2
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=[10000, 19998])
        port = peer.do('start', srtp=True, slots=amount.calls + 20)['udp']
        for number in range(1, rounds + 1):
            app.do('call', count=amount.calls, port=port)
            app.wait(SIPSessionDidStart=amount.calls * number)

            def deaf() -> list[Any]:
                return [stream for process in (app, peer) for stream in process.do('media')['streams'] if not stream['received']]
            assert until(lambda: not deaf()), f'{len(deaf())} streams receive nothing: {deaf()[:3]}'
            app.do('end')
            counts = app.wait(SIPSessionDidEnd=amount.calls * number, MediaStreamDidEnd=amount.calls * number)
            assert counts['BYE_local_200'] == amount.calls * number
            peer.wait(disconnected=amount.calls * number)
        assert app.do('facts')['problems'] == peer.do('facts')['problems'] == []
