"""Many calls, and something breaks: packets are lost, the proxy dies, a connection is cut, the address changes. All of them are to come out of it.

Small by default, with timers of transactions a tenth of those of RFC 3261. With SIPSIMPLE_FULL_LOAD=1 in the environment 200 calls go over the link that
loses packets, with the timers of RFC 3261; and calls that something else has happened to go on for a minute, with session timers, registrations and
transactions that are renewed or end ten times as fast as usual, or faster.

What is left is counted against what there was after calls to which nothing happened: native objects, dialogs, transactions, timers, sessions,
descriptors; and memory in the full run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import IPV4, IPV6, Addresses, Rig, until
from tests.support.namespaces import Network, require_namespaces
from tests.support.require import require
from tests.support.sdk import SDK

FULL = os.environ.get('SIPSIMPLE_FULL_LOAD') == '1'
CALLS = 20
ALICE = 'alice@lab.test'
LIMIT = 90.0
ROOM = 4 << 20          # bytes that memory may have grown by in a full run; 20 calls that are kept take as much, 200 take 40 MB
# What a call leaves for a while, and what it must not leave at all.
PASSING = ('transactions', 'dialogs', 'timers')
COUNTED = (*PASSING, 'bound', 'timers_of_core', 'descriptors', 'observers')
QUIET = {'logs.trace_sip': False}
SANITIZED = 'SIPSIMPLE_SANITIZER_REPORT' in os.environ          # which keeps memory on purpose


@contextmanager
def made(folder: Path, addresses: Addresses = IPV4, **spoiling: Any) -> Iterator[Rig]:
    """A rig; its link goes through the test if it is to be spoiled."""
    require_namespaces(spoiled=bool(spoiling))
    require('kamailio')
    with Network('client', 'server') as network:
        rig = Rig(network, folder, addresses, **spoiling)
        with rig.stack:
            rig.kamailio.start()
            yield rig


class Pair:
    """Alice on the client and Bob on the server, registered, and their calls."""

    def __init__(self, rig: Rig, transport: str, fast: bool = True) -> None:
        self.rig = rig
        self.transport = transport
        self.alice, self.bob = rig.user('alice', rig.client, transport, settings=QUIET), rig.user('bob', rig.server, 'udp', settings=QUIET)
        for sdk in (self.alice, self.bob):
            if fast:
                sdk.do('evaluate', expression='importlib.import_module("sipsimple.core._endpoint").set_sip_timers(50, 400, 500, 3200)')
                sdk.do('evaluate', expression='importlib.import_module("sipsimple.core._invitation").set_session_timer(20, 2)')
            sdk.do('answer', steps=['accept'])
        self.fresh: dict[str, dict[str, int]] = {}
        self.count = 0

    @staticmethod
    def held(sdk: SDK) -> dict[str, int]:
        held: dict[str, int] = sdk.do('evaluate', expression='importlib.import_module("tests.load.usage").usage()')
        return held

    def warm_up(self) -> None:
        """Have some calls, as many at a time as there will be: what is there after them may be there in the end."""
        self.call(CALLS if FULL else 2)
        self.all_hear()
        self.end(self.alice)
        self.forget()
        fresh = {sdk.name: self.held(sdk) for sdk in (self.alice, self.bob)}

        def settled() -> bool:
            """What a transaction or a dialog leaves for a while is gone."""
            for sdk in (self.alice, self.bob):
                held = self.held(sdk)
                fresh[sdk.name] = {name: min(value, held[name]) for name, value in fresh[sdk.name].items()} | {'rss_bytes': held['rss_bytes']}
            return all(not fresh[sdk.name][name] for sdk in (self.alice, self.bob) for name in ('transactions', 'dialogs'))
        until(settled, lambda: f'transactions and dialogs stay: {fresh}', LIMIT)
        self.fresh = fresh

    def forget(self) -> None:
        """Drop the sessions of calls that are over."""
        names = [f'call{number}' for number in range(self.count)] + [f'in{number}' for number in range(1, self.count + 1)]
        for sdk in (self.alice, self.bob):
            sdk.do('forget', names=names)

    def call(self, count: int) -> None:
        """So many calls, every other one from Bob; they are set up at the same time, and all of them are."""
        started = {sdk.name: len(sdk.events('SIPSessionDidStart')) for sdk in (self.alice, self.bob)}
        for number in range(self.count, self.count + count):
            caller, callee = (self.alice, 'bob') if number % 2 == 0 else (self.bob, 'alice')
            caller.do('connect', session=f'call{number}', account=f'{caller.name}@lab.test', uri=f'sip:{callee}@lab.test',
                      route=self.rig.route(self.transport if caller is self.alice else 'udp'))
        self.count += count
        for sdk in (self.alice, self.bob):
            self.wait(sdk, 'SIPSessionDidStart', started[sdk.name] + count)

    def wait(self, sdk: SDK, name: str, count: int, **fields: Any) -> None:
        """Wait until a notification has come so often since the start."""
        def events() -> list[Any]:
            return [event for event in sdk.events(name) if all(event.fields.get(key) == value for key, value in fields.items())]
        until(lambda: len(events()) >= count, lambda: f'{sdk.name}: {len(events())} of {count} {name} {fields}; {self.outcome(sdk)}', LIMIT)
        assert len(events()) == count, (name, len(events()), count)

    @staticmethod
    def outcome(sdk: SDK) -> list[Any]:
        """How calls ended, for messages."""
        return [(event.name, event.sender, event.fields) for event in sdk.events('SIPSession*') if event.name in ('SIPSessionDidFail', 'SIPSessionDidEnd')][-10:]

    def all_hear(self) -> None:
        """Wait until each side has got new packets in each call."""
        expression = '[session.streams[0].statistics["rx"]["packets"] for session in agent.session_manager.sessions]'
        for sdk in (self.alice, self.bob):
            before = sdk.do('evaluate', expression=expression)
            until(lambda sdk=sdk, before=before: all(new > old for new, old in zip(sdk.do('evaluate', expression=expression), before, strict=True)),
                  f'{sdk.name} does not hear everybody')

    def go_on(self) -> None:
        """Ten minutes' worth of timers, in the full run."""
        if FULL:
            self.alice.do('sleep', seconds=55)
            self.all_hear()
            for sdk in (self.alice, self.bob):
                assert sdk.do('evaluate', expression='{session.state for session in agent.session_manager.sessions}') == ['connected']

    def end(self, sdk: SDK) -> None:
        """One side ends all calls."""
        ended = {side.name: len(side.events('SIPSessionDidEnd')) for side in (self.alice, self.bob)}
        live = {side.name: len(side.do('evaluate', expression='agent.session_manager.sessions')) for side in (self.alice, self.bob)}
        sdk.do('end_sessions')
        for side in (self.alice, self.bob):
            self.wait(side, 'SIPSessionDidEnd', ended[side.name] + live[side.name])

    def check(self) -> None:
        """Nothing is stuck, nothing is left, every session has told of its life in order."""
        for sdk in (self.alice, self.bob):
            assert sdk.do('evaluate', expression='agent.session_manager.sessions') == []
            for session in {event.sender for event in sdk.events('SIPSession*')} - {'SessionManager'}:
                names = [event.name.removeprefix('SIPSession') for event in sdk.events('SIPSession*', session)
                         if event.name.endswith(('NewIncoming', 'NewOutgoing', 'DidStart', 'WillEnd', 'DidEnd', 'DidFail'))]
                assert names in (['NewIncoming', 'DidStart', 'WillEnd', 'DidEnd'], ['NewOutgoing', 'DidStart', 'WillEnd', 'DidEnd']), (session, names)
            assert not sdk.events('MediaStreamDidFail')
        self.forget()

        def left(sdk: SDK) -> dict[str, Any]:
            held, fresh = self.held(sdk), self.fresh[sdk.name]
            return {name: (fresh[name], held[name]) for name in held if (name in COUNTED or name.startswith('live_')) and held[name] > fresh[name]}
        for sdk in (self.alice, self.bob):
            until(lambda sdk=sdk: not left(sdk), lambda sdk=sdk: f'{sdk.name}: {left(sdk)}', LIMIT)
        if FULL:
            for sdk in (self.alice, self.bob):
                before, after = self.fresh[sdk.name], self.held(sdk)
                print(f'\n{sdk.name}: memory {before["rss_bytes"] / 1e6:.1f} to {after["rss_bytes"] / 1e6:.1f} MB, '
                      f'descriptors {before["descriptors"]} to {after["descriptors"]}, {self.count} calls')
                assert after['rss_bytes'] - before['rss_bytes'] < ROOM or SANITIZED


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
def test_a_tenth_of_the_packets_is_lost(tmp_path: Path, transport: str) -> None:
    """And some come twice, or too late: all calls are set up, heard, and ended on both sides."""
    count = 200 if FULL else CALLS
    with made(tmp_path, loss=0.1, double=0.05, reorder=0.1) as rig:
        pair = Pair(rig, transport, fast=not FULL)
        pair.warm_up()
        for _ in range(count // 10):
            pair.call(10)
            pair.all_hear()
            pair.end(pair.alice)
        counts = rig.link.counts
        assert counts['lost'] > counts['passed'] / 20 and counts['doubled'] and counts['reordered'], counts
        print(f'\n{count} calls over {transport}: {dict(counts)}')
        pair.check()


@pytest.mark.parametrize('transport', ['udp', 'tcp'] if FULL else ['tcp'])
def test_the_proxy_dies(rig: Rig, transport: str) -> None:
    """The calls go on without it. Those that are ended meanwhile are over for who ended them; the others can be used again when it is back."""
    pair = Pair(rig, transport)
    pair.warm_up()
    pair.call(CALLS)
    moved = len(moves(pair))
    rig.kamailio.kill()
    if transport == 'tcp':
        pair.alice.wait('SIPEngineTransportDidDisconnect')
        pair.alice.wait('SIPAccountRegistrationDidFail', ALICE)
    pair.all_hear()
    assert pair.alice.do('evaluate', expression='{session.state for session in agent.session_manager.sessions}') == ['connected']
    ended, done = len(pair.alice.events('SIPSessionDidEnd')), len(pair.alice.events('SIPSessionDidProcessTransaction'))
    pair.alice.do('evaluate', expression='[session.end() for session in agent.session_manager.sessions[:5]] and None')
    pair.wait(pair.alice, 'SIPSessionDidEnd', ended + 5)
    gone = pair.alice.events('SIPSessionDidProcessTransaction')[done:]
    assert [event.code for event in gone if event.method == 'BYE'] == [408] * 5
    rig.kamailio.start()
    if transport == 'tcp':
        pair.alice.wait('SIPAccountRegistrationDidSucceed', ALICE, timeout=LIMIT)
        until(lambda: len(moves(pair)) == moved + CALLS - 5, lambda: f'{len(moves(pair)) - moved} dialogs are moved', LIMIT)
    pair.go_on()
    pair.end(pair.bob)
    pair.check()


def test_a_connection_is_cut(tmp_path: Path) -> None:
    """In the middle of the calls, by a reset: the account registers, the dialogs are moved onto the new connection, and can be ended by the peer."""
    with made(tmp_path, loss=0.0) as rig:
        pair = Pair(rig, 'tcp')
        pair.warm_up()
        pair.call(CALLS)
        before = len(moves(pair))
        rig.link.reset_connections(5060)
        pair.alice.do('evaluate', expression='[session.send_message("text/plain", "anybody there?") for session in agent.session_manager.sessions[:1]] and None')
        pair.alice.wait('SIPEngineTransportDidDisconnect', transport='tcp', remote_address=f'{IPV4.server}:5060')
        pair.alice.wait('SIPAccountRegistrationDidFail', ALICE, error='Connection lost')
        pair.alice.wait('SIPAccountRegistrationDidSucceed', ALICE, timeout=LIMIT)
        until(lambda: len(moves(pair)) == before + CALLS, lambda: f'{len(moves(pair)) - before} dialogs are moved', LIMIT)
        assert rig.link.counts['reset']
        pair.go_on()
        pair.end(pair.bob)
        pair.check()


@pytest.mark.parametrize('transport, addresses', [('udp', IPV4), ('tls', IPV6)] if not FULL else
                         [(transport, addresses) for addresses in (IPV4, IPV6) for transport in ('udp', 'tcp', 'tls')],
                         ids=lambda value: value if isinstance(value, str) else {IPV4: 'IPv4', IPV6: 'IPv6'}[value])
def test_the_address_changes(tmp_path: Path, transport: str, addresses: Addresses) -> None:
    """Each peer is told, hears the other side at the new address, and can end the call."""
    with made(tmp_path, addresses) as rig:
        pair = Pair(rig, transport)
        pair.warm_up()
        pair.call(CALLS)
        before = len(moves(pair))
        rig.move()
        until(lambda: len(moves(pair)) == before + CALLS, lambda: f'{len(moves(pair)) - before} peers are told', LIMIT)
        # Bob's 200 is on its way before he has looked at what it agreed to.
        expression = '{session.streams[0].remote_rtp_address_sdp for session in agent.session_manager.sessions}'
        until(lambda: pair.bob.do('evaluate', expression=expression) == [addresses.elsewhere],
              lambda: f'Bob sends to {pair.bob.do("evaluate", expression=expression)}', LIMIT)
        pair.all_hear()
        pair.go_on()
        pair.end(pair.bob)
        pair.check()


def moves(pair: Pair) -> list[Any]:
    """The re-INVITEs of Alice, and her INVITEs."""
    return [event for event in pair.alice.events('SIPSessionDidProcessTransaction') if event.method == 'INVITE' and event.originator == 'local' and event.code == 200]
