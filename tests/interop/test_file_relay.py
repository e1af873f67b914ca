"""Files through Kamailio's MSRP relay, which drops what its queue cannot hold: one or two relays between sessions of two processes."""

from __future__ import annotations

import os
import random

import pytest

from sipsimple.streams import FileSelector
from tests.calls.conftest import Process
from tests.calls.test_session_files import FULL, Files, fields, sha
from tests.interop.test_msrp_relay import BEHIND, TLS, behind
from tests.support.lab import lab_fixture

pytestmark = pytest.mark.interop
relay_lab = lab_fixture('msrp')
second_lab = lab_fixture('msrp')

SIZE, BREAKS = (100_000_000, 20) if FULL else (3_000_000, 2)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A big file takes its time, and so does noticing that something is lost: 15 seconds if nothing came after it."""
    monkeypatch.setitem(Process.wait.__globals__, 'LIMIT', 200 if FULL else 60)


@pytest.fixture(scope='module')
def processes():
    files = Files(None)
    try:
        yield files
    finally:
        files.stop()


@pytest.fixture
def relayed(relay_lab, second_lab, processes, tmp_path):
    def use(use_tls, who):
        processes.reset()
        behind(processes, relay_lab, second_lab, who, use_tls)
        return processes.use(tmp_path)
    return use


@BEHIND
@TLS
def test_files_both_ways(relayed, use_tls, who):
    files = relayed(use_tls, who)
    path = files.file(size=SIZE)
    files.transfer(path=str(path))
    assert sha(files.finished(files.caller, files.callee)) == sha(path)
    files.callee.do('folder', folder=str(files.folder / 'callee'), found=str(path))
    files.transfer(direction='recvonly', name='file.bin')
    assert sha(files.finished(files.callee, files.caller)) == sha(path)


@pytest.mark.parametrize('who', ['callee', 'both'])
def test_a_receiver_that_is_slow(relayed, who):
    """It stands still for a moment now and then, and the relay has nowhere to keep what is sent."""
    files = relayed(False, who)
    path = files.file(size=SIZE)
    files.transfer(path=str(path))
    for _ in range(3):
        files.caller.wait('FileTransferHandlerProgress')
        files.callee.pause()
        confirmed = fields(files.caller, 'FileTransferHandlerProgress')[-1]['transferred_bytes']
        facts = files.caller.do('facts')
        assert facts['state'] == 'STARTED' or confirmed == SIZE
        files.callee.resume()
    assert sha(files.finished(files.caller, files.callee)) == sha(path)


@pytest.mark.parametrize('direction', ['sendonly', 'recvonly'])
@pytest.mark.parametrize('relays', ['one', 'two'])
def test_broken_connections(relayed, direction, relays):
    """Between either side and its relay or the peer's, at random moments; each time it goes on where it was."""
    seed = random.randrange(1 << 32)
    print(f'seed {seed}')
    randomly = random.Random(seed)
    files = relayed(relays == 'two' and randomly.random() < 0.5, 'both' if relays == 'two' else 'callee' if direction == 'sendonly' else 'caller')
    path = files.file(size=SIZE)
    files.callee.do('folder', folder=str(files.folder / 'callee'), found=str(path))
    receiver, sender = (files.callee, files.caller) if direction == 'sendonly' else (files.caller, files.callee)
    inbox = 'callee' if direction == 'sendonly' else 'caller'
    hash = FileSelector.for_file(path)
    hash.compute_hash()
    hash.fd.close()
    options = {'path': str(path)} if direction == 'sendonly' else {'direction': 'recvonly', 'name': 'file.bin', 'size': SIZE, 'hash': hash.hash}
    reached = 0
    for place in sorted(randomly.randrange(1, SIZE - 1_000_000) for _ in range(BREAKS)):
        randomly.choice([receiver, sender]).do('act_at', transferred=place, action='drop')
        files.transfer(**options)
        for process in (receiver, sender):
            process.seen('FileTransferHandlerDidEnd')
            process.seen('SIPSessionDidEnd')
            assert fields(process, 'FileTransferHandlerDidEnd')[-1]['error'] is True
        for process in (receiver, sender):
            process.do('act_at', transferred=1 << 62, action='drop')
            process.do('reset')
            process.forget()
        part, = files.parts(inbox)
        length = os.stat(files.folder / inbox / part).st_size
        assert reached <= length < SIZE, 'what had come was thrown away'
        reached = length
    files.transfer(**options)
    received = files.finished(sender, receiver)
    assert sha(received) == sha(path) and files.parts(inbox) == []
    assert reached and receiver.do('facts')['offset'] == reached


def test_what_a_relay_loses(relayed):
    """It goes on as if nothing had happened: both sides notice it soon, and the next attempt begins there."""
    files = relayed(False, 'callee')
    path = files.file(size=SIZE)
    files.caller.do('act_at', transferred=500_000, action='lose')
    files.transfer(path=str(path))
    for process in (files.caller, files.callee):
        assert 'some of the file was lost on the way' in process.wait('FileTransferHandlerDidEnd')['reason']
        process.seen('SIPSessionDidEnd')
        process.do('reset')
        process.forget()
    files.transfer(path=str(path))
    assert sha(files.finished(files.caller, files.callee)) == sha(path)
    assert 500_000 <= files.callee.do('facts')['offset'] < 700_000
