"""Processes that are killed (SIGKILL) at random moments of chats and of file transfers: what anybody was told to be delivered is there, and no file is there that is not right.

A few kills by default; with SIPSIMPLE_FULL_LOAD=1 as many as SIPSIMPLE_KILLS says, 150 by default. SIPSIMPLE_SEED repeats a run, as far as moments can be repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import time
from collections import Counter

import pytest

from tests.calls.conftest import Process
from tests.calls.test_session_files import sha

FULL = bool(os.environ.get('SIPSIMPLE_FULL_LOAD'))
KILLS = int(os.environ.get('SIPSIMPLE_KILLS', '150')) if FULL else 4
LIMIT = 60              # seconds for what should take none
SIDES = ('a', 'b')
SIZES = {'empty.txt': 0, 'small.txt': 900, 'page.bin': 70_000, 'big.bin': 20_000_000}


class Agents:
    """Two processes, and one that is started meanwhile, to take the place of the next that is killed."""

    def __init__(self, folder):
        self.folder = folder
        self.spare = self._begin()
        self.sides = {}
        for side in SIDES:
            self.replace(side)

    @staticmethod
    def _begin():
        process = Process('agent', 'kill_agent.py')
        process.ask('start', audio=True, t1=50)
        process.ask('msrp')
        return process

    def replace(self, side):
        process, self.spare = self.spare, self._begin()
        process.port = process.answer('start')['port']
        process.answer('msrp')
        self.sides[side] = process

    def free(self, side):
        """Have a side end what is left of its sessions, and let go of its files."""
        process = self.sides[side]
        process.do('end_all')
        settled = process.do('settle')
        assert settled['settled'], settled
        process.forget()

    def stop(self):
        for process in (self.spare, *self.sides.values()):
            process.kill()


@pytest.fixture
def agents(tmp_path):
    agents = Agents(tmp_path)
    try:
        yield agents
    finally:
        agents.stop()


@pytest.fixture
def seed():
    seed = int(os.environ.get('SIPSIMPLE_SEED') or random.randrange(1 << 32))
    print(f'SIPSIMPLE_SEED={seed}')
    return random.Random(seed)


@contextlib.contextmanager
def reported(what):
    """Say at the end what was seen, for those who want to know how much the masses meant."""
    begin = time.monotonic()
    seen = Counter()
    try:
        yield seen
    finally:
        print(f'{what}: {json.dumps(dict(sorted(seen.items())))} in {time.monotonic() - begin:.0f} s')


def notes(path):
    """The facts in a file of notes, each a list of words; the last line only if it is whole."""
    try:
        with open(path, encoding='utf-8') as file:
            return [line.split() for line in file if line.endswith('\n')]
    except FileNotFoundError:
        return []


def wait_for(condition, what):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until, what()
        time.sleep(0.005)


# Chats

def numbers(facts, name):
    return [int(fact[1]) for fact in facts if fact[0] == name]


def untold(facts):
    """The messages of which their sender has not heard what became of them."""
    return set(numbers(facts, 'sent')) - {number for name in ('delivered', 'failed', 'refused') for number in numbers(facts, name)}


def check_chat(mine, theirs, alive):
    """What one side was told, against what the other one has."""
    sent, told = numbers(mine, 'sent'), Counter(number for name in ('delivered', 'failed', 'refused') for number in numbers(mine, name))
    got = [fact for fact in theirs if fact[0] == 'got']
    assert [fact for fact in got if fact[2] != 'True'] == [], 'a message came that is not what was sent'
    received = numbers(theirs, 'got')
    assert len(received) == len(set(received)) and set(received) <= set(sent)
    missing = set(numbers(mine, 'delivered')) - set(received)
    assert not missing, f'told to be delivered, and not there: {sorted(missing)}'
    assert all(count == 1 for count in told.values()), f'told twice: {told}'
    if alive:
        assert set(told) == set(sent), 'nobody has told what became of a message'


def chat(agents, seed, folder, number, taken, seen, relays=None):
    """A chat in both directions, and a kill; without `taken`, the seconds that this may take, it comes to its end, and they are returned.

    `relays(side, transport)`: what a side is told of its MSRP relay; None: connections are direct.
    """
    caller, callee = seed.sample(SIDES, 2)
    transport = 'tls' if seed.random() < 0.2 else 'tcp'
    first = {caller: 2 * number * 10**6, callee: (2 * number + 1) * 10**6}
    files = {side: folder / f'{number}-{side}' for side in SIDES}
    count = 60 if taken is None else 10**6
    for side in SIDES:
        agents.sides[side].do('msrp', transport=transport, **(relays(side, transport) if relays is not None else {}))
        agents.sides[side].do('begin', user=f'chat{number}', path=str(files[side]), expected=(first[side], count) if side == callee else None)
    begin = time.monotonic()
    agents.sides[caller].do('chat', session=f's{number}', port=agents.sides[callee].port, first=first[caller], count=count)
    if taken is None:
        wait_for(lambda: all(len(numbers(notes(files[side]), 'delivered')) == count for side in SIDES), lambda: [notes(files[side])[-50:] for side in SIDES])
        taken = time.monotonic() - begin
    else:
        if seed.random() < 0.5:         # else while the call is set up, as likely as not
            wait_for(lambda: ['started'] in notes(files[caller]), lambda: notes(files[caller]))
        time.sleep(seed.random() * taken)
    victim, survivor = seed.sample(SIDES, 2)
    agents.sides[victim].kill()
    # Without a connection, or with one to a relay, nothing tells that the peer is gone, before time is over; somebody gives up.
    if seed.random() < 0.3 or relays is not None or ['started'] not in notes(files[survivor]):
        agents.sides[survivor].do('end_all')
    wait_for(lambda: not untold(notes(files[survivor])), lambda: f'{survivor}: nobody has told what became of {untold(notes(files[survivor]))}')
    facts = {side: notes(files[side]) for side in SIDES}
    check_chat(facts[survivor], facts[victim], alive=True)
    check_chat(facts[victim], facts[survivor], alive=False)
    seen['kills'] += 1
    seen[f'kills of who {"called" if victim == caller else "was called"}'] += 1
    seen['kills while messages were under way'] += bool(untold(facts[victim]) and numbers(facts[victim], 'delivered'))
    for name in ('delivered', 'failed'):
        seen[f'messages {name}'] += sum(len(numbers(facts[side], name)) for side in SIDES)
    seen['messages that came, and were not confirmed'] += sum(
        len(set(numbers(facts[one], 'got')) - set(numbers(facts[other], 'delivered'))) for one, other in (SIDES, SIDES[::-1]))
    agents.free(survivor)
    agents.replace(victim)
    return taken


def test_chats_are_killed(agents, seed, tmp_path):
    with reported('chats') as seen:
        taken = chat(agents, seed, tmp_path, 0, None, seen)
        for number in range(1, KILLS + 1):
            chat(agents, seed, tmp_path, number, taken, seen)
    assert seen['messages delivered'] >= 120


# Files

class Series:
    """Some files on their way from one side to the other, as often as it takes."""

    def __init__(self, agents, folder, randomly, number):
        self.agents = agents
        self.folder = folder
        self.number = number
        self.sender, self.receiver = randomly.sample(SIDES, 2)
        self.caller = randomly.choice(SIDES)
        self.source, self.inbox, self.notes = folder / 'source', folder / 'inbox', folder / 'notes'
        for path in (self.source, self.inbox, self.notes):
            path.mkdir(parents=True)
        self.hashes, self.selectors = {}, {}
        for name, size in SIZES.items():
            data = random.Random(f'{number} {name}').randbytes(size)
            (self.source / name).write_bytes(data)
            self.hashes[name] = sha(self.source / name)
        self.left = list(SIZES)         # what the side that calls has not heard to be there
        self.attempts = 0
        self.parts = {}                 # what had come after the last attempt

    def process(self, side):
        return self.agents.sides[side]

    def begin(self):
        """Offer what is left, or ask for it."""
        self.attempts += 1
        self.before = [name for name in os.listdir(self.inbox) if not name.startswith('.')]
        self.files = {side: self.notes / f'{self.attempts}-{side}' for side in SIDES}
        for side in SIDES:
            self.process(side).do('begin', user=f'{self.number}-{self.attempts}', path=str(self.files[side]))
            self.agents.free(side)          # a call that came late
            self.process(side).do('folder', folder=str(self.inbox), found=str(self.source))
        callee = next(side for side in SIDES if side != self.caller)
        if self.caller == self.sender:
            files = [{'path': str(self.source / name)} for name in self.left]
        else:
            files = [{'direction': 'recvonly', 'name': name, 'size': SIZES[name], 'hash': sha1(self.source / name)} for name in self.left]
        self.process(self.caller).do('transfer_files', session=f's{self.attempts}', port=self.process(callee).port, files=files)

    def facts(self, side):
        return notes(self.files[side])

    def finished(self, side):
        return [fact[1] for fact in self.facts(side) if fact[0] == 'finished']

    def begun(self):
        return any(fact[0] == 'offset' for fact in self.facts(self.receiver))

    def all_there(self):
        """Whether all bytes of the big file have come, or it is not among those that are left."""
        if 'big.bin' not in self.left:
            return True
        with os.scandir(self.inbox) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.inbox / name).st_size == SIZES['big.bin'] and name not in self.before:
                    return True
        return False

    def over(self):
        """Whether both sides have heard of all that was left."""
        return all(sorted(self.finished(side)) == sorted(self.left) for side in SIDES)

    def check(self):
        """Look at what there is, when no process works with it any more."""
        assert sorted(os.listdir(self.folder)) == ['inbox', 'notes', 'source'] and sorted(os.listdir(self.source)) == sorted(SIZES)
        complete, parts = [], {}
        for name in os.listdir(self.inbox):
            if re.fullmatch(r'\.sipsimple-[0-9a-f]+-\d+\.part', name):
                status = os.stat(self.inbox / name)
                parts[int(name.removesuffix('.part').rpartition('-')[2])] = None if status.st_nlink > 1 else status.st_size
                continue
            of = re.sub(r'-\d+(?=\.)', '', name)
            assert of in SIZES and sha(self.inbox / name) == self.hashes[of], f'{name} is not right'
            complete.append(of)
        for side in SIDES:
            told = self.finished(side)
            assert set(told) <= set(complete), f'{side} was told of files that are not there: {sorted(set(told) - set(complete))}'
        for fact in self.facts(self.sender):
            if fact[0] == 'confirmed' and fact[1] not in complete:
                assert int(fact[2]) <= parts[SIZES[fact[1]]], 'more was confirmed than is there'
        for fact in self.facts(self.receiver):
            if fact[0] == 'offset':
                before = self.parts.get(SIZES[fact[1]]) or 0
                assert int(fact[2]) == min(before, max(0, SIZES[fact[1]] - 1)), f'{fact[1]} was gone on with at {fact[2]}, and {before} were there'
        self.parts = parts
        self.left = [name for name in self.left if name not in self.finished(self.caller)]
        return parts


def sha1(path):
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(file, 'sha1').hexdigest().upper()
    return 'sha-1:' + ':'.join(digest[place:place + 2] for place in range(0, 40, 2))


def test_transfers_are_killed(agents, seed, tmp_path):
    with reported('files') as seen:
        taken = None
        number = 0
        while seen['kills'] < KILLS:
            number += 1
            series = Series(agents, tmp_path / str(number), seed, number)
            for _ in range(0 if taken is None else seed.randrange(1, 5)):
                if not series.left or seen['kills'] >= KILLS:
                    break
                series.begin()
                # At any moment of the call, of the transfer, or while the file gets its name.
                event, span = seed.choice([(None, taken), (series.begun, taken), (series.begun, taken), (series.all_there, 0.05)])
                if event is not None:
                    wait_for(event, lambda series=series: [series.facts(side) for side in SIDES])
                time.sleep(seed.random() * span)
                victim = seed.choice(SIDES)
                agents.sides[victim].kill()
                survivor = next(side for side in SIDES if side != victim)
                # Without a connection nothing tells that the peer is gone, before time is over; somebody gives up.
                if seed.random() < 0.2 or sum(fact[0] == 'offset' for fact in series.facts(survivor)) < len(series.left):
                    agents.sides[survivor].do('end_all')
                settled = agents.sides[survivor].do('settle')
                assert settled['settled'], settled
                parts = series.check()
                seen['kills'] += 1
                seen[f'kills of who {"sent" if victim == series.sender else "received"}'] += 1
                seen['kills with some bytes there'] += any(parts.values())
                seen['kills between name and tidying up'] += None in parts.values()
                agents.replace(victim)
            if series.left:
                series.begin()
                wait_for(series.begun, lambda series=series: [series.facts(side) for side in SIDES])
                begin = time.monotonic()
                wait_for(series.over, lambda series=series: [series.facts(side) for side in SIDES])
                taken = taken or time.monotonic() - begin
                for side in SIDES:
                    agents.free(side)
                series.check()
            assert series.left == []
            assert [name for name in os.listdir(series.inbox) if name.startswith('.')] == [], 'something is left'
            seen['files'] += len(SIZES)
            seen['copies'] += len(os.listdir(series.inbox)) - len(SIZES)
            seen['pushed' if series.caller == series.sender else 'asked for'] += 1
        assert seen['kills with some bytes there'] or not FULL
