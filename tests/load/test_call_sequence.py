"""Calls one after the other leave nothing behind: no native objects, memory pools, transports, threads, descriptors, no Python objects, no memory.

What a call leaves for a while by protocol, transactions of up to 32 s (RFC 3261 section 17.2.2, RFC 6026), is waited for.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.load.conftest import Amount
from tests.load.rig import Process, processes

SETTLE = 80             # seconds; 32 for transactions, then 33 for connections that nobody uses any more
# Never smaller, or not what a call leaves: counters, and memory, which is looked at on its own.
COUNTERS = {'events_posted', 'events_dropped', 'late_callbacks', 'worker_wakeups', 'worker_rounds', 'malformed', 'out_of_memory'}
MEMORY = {'rss_bytes', 'pool_bytes', 'cached_pool_bytes'}
SOME = 30               # Python objects may come and go: a cache is filled


def settled(processes: dict[str, Process]) -> dict[str, dict[str, int]]:
    """What each process holds when it is at rest; they wait for that at the same time."""
    for process in processes.values():
        process.begin('settle', limit=SETTLE)
    for process in processes.values():
        process.result(within=SETTLE + 10)
    return {name: process.usage() for name, process in processes.items()}


def assert_no_growth(process: Process, before: dict[str, int], after: dict[str, int], what: str) -> None:
    grown = {name: (before[name], after[name]) for name in before if name not in COUNTERS | MEMORY | {'python_objects'} and after[name] > before[name]}
    assert grown == {}, f'{what}: {grown}, pools {process.do("pools")["pools"]}'
    assert after['python_objects'] <= before['python_objects'] + SOME, f'{what}: Python objects {before["python_objects"]} -> {after["python_objects"]}'
    assert after['out_of_memory'] == 0


def call(app: Process, peer: Process, ports: tuple[dict[str, Any], dict[str, Any]], side: str, transport: str, count: int) -> float:
    """Make calls; calls a second."""
    app_ports, peer_ports = ports
    if side == 'caller':
        seconds = app.do('sequence', within=200, count=count, port=peer_ports[transport], transport=transport)['seconds']
    else:
        seconds = peer.do('sequence', within=200, count=count, port=app_ports[transport], user=app_ports['user'], transport=transport)['seconds']
    return float(count / seconds)


# The application calls, or is called; the ports of its media.
SIDES = {'caller': [10000, 19998], 'callee': [20000, 29998]}


def test_calls_in_sequence(amount: Amount) -> None:
    """Over UDP, then over TCP; each side is a pair of processes of its own, and both pairs settle at the same time."""
    with processes(*['app', 'peer'] * len(SIDES)) as running:
        apps = dict(zip(SIDES, running[::2], strict=True))
        peers = dict(zip(SIDES, running[1::2], strict=True))
        ports = {side: (apps[side].do('start', ports=SIDES[side]), peers[side].do('start', srtp=True)) for side in SIDES}
        fresh = {side: app.usage() for side, app in apps.items()}

        def calls(side: str, count: int) -> dict[str, float]:
            return {transport: call(apps[side], peers[side], ports[side], side, transport, count) for transport in ('udp', 'tcp')}

        for side in SIDES:
            # What it takes at most at this rate is taken once; then the memory is to stay as it is.
            calls(side, amount.sequence if amount.full else 5)
        before = settled(apps) if amount.full else {side: app.usage() for side, app in apps.items()}
        rates = {side: calls(side, amount.sequence) for side in SIDES}
        after = settled(apps)
        for side, app in apps.items():
            print(f'\n{amount.sequence} calls in sequence ({side}): ' + ', '.join(f'{rate:.0f} a second over {name}' for name, rate in rates[side].items()) +
                  f'; RSS {before[side]["rss_bytes"] / 1e6:.1f} -> {after[side]["rss_bytes"] / 1e6:.1f} MB')
            # Small pieces of Python are made by the first call; of everything else the first call makes nothing that stays.
            assert_no_growth(app, {**fresh[side], 'python_objects': before[side]['python_objects']}, after[side], f'{amount.sequence} calls ({side})')
            assert after[side]['late_callbacks'] == 0
            if amount.full:
                assert after[side]['rss_bytes'] < before[side]['rss_bytes'] * 1.01, side
            facts = app.do('facts')
            assert facts['live'] == facts['sessions'] == 0
            assert facts['problems'] == facts['log'] == peers[side].do('facts')['problems'] == []


# What the peer is told to do, how the calls go, what becomes of them.
KINDS = [('accept', 'held', 'ended_by_local: user_request'), ('accept', 'dtmf', 'ended_by_local: user_request'),
         ('accept', 'recorded', 'ended_by_local: user_request'), (486, 'refused', 'failed: 486 Busy Here'),
         (488, 'refused', 'failed: 488 Not Acceptable Here'), ('ring', 'cancelled', 'failed: 487 user_request'), ('accept', 'unreachable', None)]


def test_other_calls_in_sequence(amount: Amount, tmp_path: Path) -> None:
    """Calls that are held and taken back, with DTMF, recorded, busy, refused, cancelled, and to where nobody is; ours and the peer's."""
    with processes('app', 'peer') as (app, peer):
        app_ports, peer_ports = app.do('start', ports=[10000, 19998]), peer.do('start', srtp=True)

        def all_kinds(count: int) -> None:
            for answer, kind, outcome in KINDS:
                peer.do('set', answer=answer)
                had = app.counts().get(outcome, 0)
                port = peer_ports['tcp'] if kind != 'unreachable' else 1
                app.do('sequence', within=200, count=count if kind != 'dtmf' else min(count, 100), port=port, transport='tcp',
                       kind=kind if kind != 'unreachable' else 'refused', folder=str(tmp_path))
                if outcome is not None:
                    assert app.counts()[outcome] - had == (count if kind != 'dtmf' else min(count, 100)), (kind, app.counts())
            peer.do('set', answer='accept')
            for answer, kind in (('busy', 'refused'), ('ring', 'cancelled')):
                app.do('set', answer=answer)
                peer.do('sequence', within=200, count=count, port=app_ports['tcp'], user=app_ports['user'], transport='tcp', kind=kind)
            app.do('set', answer='accept')

        fresh = app.usage()
        all_kinds(amount.others if amount.full else 2)
        before = settled({'app': app})['app'] if amount.full else app.usage()
        all_kinds(amount.others)
        after = settled({'app': app})['app']
        assert_no_growth(app, {**fresh, 'python_objects': before['python_objects']}, after, 'calls of all kinds')
        facts = app.do('facts')
        assert facts['live'] == facts['sessions'] == 0
        assert facts['problems'] == facts['log'] == peer.do('facts')['problems'] == []
        print(f'\ncalls of all kinds: RSS {before["rss_bytes"] / 1e6:.1f} -> {after["rss_bytes"] / 1e6:.1f} MB')
        if amount.full:
            assert after['rss_bytes'] < before['rss_bytes'] * 1.01


def test_starts_and_stops_of_the_application(amount: Amount, tmp_path: Path) -> None:
    """The application starts, makes a call and stops; again and again in one process."""
    count = 50 if amount.full else 5
    with processes('app', 'peer') as (app, peer):
        app.do('start', ports=[10000, 19998])
        port = peer.do('start', srtp=True)['tcp']
        app.do('sequence', within=200, count=5, port=port, transport='tcp', kind='restart')
        before = app.usage()
        app.do('sequence', within=200, count=count, port=port, transport='tcp', kind='restart')
        until = time.monotonic() + SETTLE
        after = app.usage()
        while after['descriptors'] > before['descriptors'] and time.monotonic() < until:        # one is closed by a thread in its own time
            after = app.usage()
        assert_no_growth(app, before, after, f'{count} starts and stops')
        print(f'\n{count} starts and stops: RSS {before["rss_bytes"] / 1e6:.1f} -> {after["rss_bytes"] / 1e6:.1f} MB')
        assert app.do('facts')['problems'] == []
