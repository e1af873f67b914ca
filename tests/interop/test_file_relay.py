"""Files through Kamailio's MSRP relay, which drops what its queue cannot hold: one relay between sessions of two processes, two between streams."""

from __future__ import annotations

import os
import random
from types import SimpleNamespace

import pytest

from msrplib.connect import RelayConnection
from sipsimple.notification import NotificationCenter
from sipsimple.streams import FileSelector, FileTransferStream
from sipsimple.streams.msrp.base import MSRPStreamState
from tests.calls.test_session_files import Files, fields, sha
from tests.interop.test_msrp_relay import TLS, settings, uri
from tests.support.lab import lab_fixture
from tests.support.msrp import in_reactor

pytestmark = pytest.mark.interop
relay_lab = lab_fixture('msrp')
second_lab = lab_fixture('msrp')

SIZE = 100_000_000 if os.environ.get('SIPSIMPLE_FULL_LOAD') else 3_000_000


@pytest.fixture(scope='module')
def processes():
    files = Files(None)
    try:
        yield files
    finally:
        files.stop()


@pytest.fixture
def relayed(relay_lab, processes, tmp_path):
    def use(use_tls, outbound):
        processes.reset()
        processes.settings(transport='tls' if use_tls else 'tcp', model='relay', relay=['127.0.0.1', relay_lab.port('MSRPS' if use_tls else 'MSRP')],
                           outbound=outbound, username='alice', password='alice-pw', ca_list=str(relay_lab.certs / 'ca.pem'))
        return processes.use(tmp_path)
    return use


@pytest.mark.parametrize('outbound', [True, False], ids=['caller behind it', 'callee behind it'])
@TLS
def test_files_both_ways(relayed, use_tls, outbound):
    files = relayed(use_tls, outbound)
    path = files.file(size=SIZE)
    files.transfer(path=str(path))
    assert sha(files.finished(files.caller, files.callee)) == sha(path)
    files.callee.do('folder', folder=str(files.folder / 'callee'), found=str(path))
    files.transfer(direction='recvonly', name='file.bin')
    assert sha(files.finished(files.callee, files.caller)) == sha(path)


def test_a_receiver_that_is_slow(relayed):
    """It stands still for a moment now and then, and the relay has nowhere to keep what is sent."""
    files = relayed(False, False)
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
def test_broken_connections(relayed, direction):
    """Between either side and the relay, and gone on with through it."""
    files = relayed(False, direction == 'recvonly')
    path = files.file(size=SIZE)
    files.callee.do('folder', folder=str(files.folder / 'callee'), found=str(path))
    receiver, sender = (files.callee, files.caller) if direction == 'sendonly' else (files.caller, files.callee)
    hash = FileSelector.for_file(path)
    hash.compute_hash()
    hash.fd.close()
    options = {'path': str(path)} if direction == 'sendonly' else {'direction': 'recvonly', 'name': 'file.bin', 'size': SIZE, 'hash': hash.hash}
    for place, who in ((500_000, receiver), (1_500_000, sender)):
        who.do('act_at', transferred=place, action='drop')
        files.transfer(**options)
        for process in (receiver, sender):
            assert process.wait('FileTransferHandlerDidEnd')['error'] is True
            process.seen('SIPSessionDidEnd')
        for process in (receiver, sender):
            process.do('reset')
            process.forget()
    files.transfer(**options)
    received = files.finished(sender, receiver)
    assert sha(received) == sha(path) and receiver.do('facts')['offset'] > 1_000_000


class Watcher:
    """What a transfer tells, and waiting for its end."""

    def __init__(self, stream):
        from twisted.internet.defer import Deferred
        self.names = []
        self.ended = Deferred()
        for sender in (stream, stream.handler):
            NotificationCenter().add_observer(self, sender=sender)

    def handle_notification(self, notification):
        self.names.append(notification.name)
        if notification.name == 'FileTransferHandlerDidEnd':
            self.ended.callback(notification.data)


@TLS
def test_two_relays(relay_lab, second_lab, tmp_path, use_tls):
    """A caller with a relay calls one with another: a session of ours uses one of them, so these are streams that are connected by hand."""
    source = tmp_path / 'source.bin'
    source.write_bytes(random.Random(5).randbytes(SIZE))

    def ready(stream):
        from twisted.internet.defer import Deferred
        done = Deferred()
        stream.handler.initialize(done.callback)
        return done

    def run():
        account = SimpleNamespace(msrp=SimpleNamespace(transport='tcp', connection_model='relay'), tls_credentials=None)
        selector = FileSelector.for_file(source)
        ours = FileTransferStream(account, selector)
        failed = yield ready(ours)
        assert failed is None
        theirs = FileTransferStream(account, FileSelector.parse(selector.sdp_repr), 'recvonly')
        theirs.handler.save_directory = str(tmp_path)
        failed = yield ready(theirs)
        assert failed is None
        connectors = RelayConnection(settings(relay_lab, 'alice', use_tls), 'active'), RelayConnection(settings(second_lab, 'bob', use_tls), 'passive')
        paths = []
        for stream, connector, lab in ((ours, connectors[0], relay_lab), (theirs, connectors[1], second_lab)):
            connector.accept = stream._accept_message
            stream._machine._state = MSRPStreamState.STARTING
            stream.session = object()
            stream.msrp_connector = connector
            paths.append((yield connector.prepare(uri(lab, use_tls))))
        watchers = Watcher(ours), Watcher(theirs)
        waiting = connectors[1].complete(paths[0])
        waiting.addCallback(theirs._connected)
        transport = yield connectors[0].complete(paths[1])
        assert len(transport.full_remote_path) == 3
        ours._connected(transport)
        yield waiting
        for watcher in watchers:
            data = yield watcher.ended
            assert (data.error, data.reason) == (False, None) and 'FileTransferStreamDidFinish' in watcher.names
        for stream in (ours, theirs):
            stream.end()
        for connector in connectors:
            yield connector.cleanup()
        return theirs.handler.filename
    try:
        assert sha(in_reactor(run, 300)) == sha(source)
    except BaseException:
        for lab in (relay_lab, second_lab):         # what the relays have to say
            print(lab.log('msrp-relay')[-5000:])
        raise
