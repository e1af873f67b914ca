"""What the system tells of the network."""

from __future__ import annotations

import os
import queue
import socket
import struct
import sys

import pytest

from sipsimple.application import watch
from sipsimple.threading import reactor

LIMIT = 20

pytestmark = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='the system has none of these descriptors')


def in_sdk_thread(function, *args):
    """Call it there and return its result."""
    reactor.start()
    results: queue.Queue = queue.Queue()

    def call():
        try:
            results.put((function(*args), None))
        except BaseException as error:
            results.put((None, error))
    reactor.call_from_thread(call)
    result, error = results.get(timeout=LIMIT)
    if error is not None:
        raise error
    return result


class Seen:
    """What a watch calls."""

    def __init__(self):
        self.calls = queue.Queue()

    def __call__(self, *args):
        self.calls.put(args)

    def wait(self):
        return self.calls.get(timeout=LIMIT)

    def none(self):
        """True if nothing was called, nor is about to be."""
        in_sdk_thread(lambda: None)
        return self.calls.empty()


@pytest.fixture
def started():
    """Make a watch in the SDK thread; all are stopped."""
    made = []

    def start(kind, *args):
        made.append(in_sdk_thread(kind, *args))
        return made[-1]
    yield start
    for each in made:
        descriptor = each._descriptor
        in_sdk_thread(each.stop)
        with pytest.raises(OSError):
            os.fstat(descriptor) if descriptor is not None else os.fstat(-1)


# ---- addresses -----------------------------------------------------------------------------------------------------

def message(kind, address, *, scope=0, index=2, flags=0, wide_flags=None, local=True):
    """An RTM_NEWADDR or RTM_DELADDR as the kernel sends it."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    body = watch.IFADDRMSG.pack(family, 24, flags, scope, index)
    attributes = [(watch.IFA_ADDRESS, raw)] + [(watch.IFA_LOCAL, raw)] * local + [(3, b'eth0\0')]
    if wide_flags is not None:
        attributes.append((watch.IFA_FLAGS, struct.pack('=I', wide_flags)))
    for number, value in attributes:
        body += (watch.RTATTR.pack(4 + len(value), number) + value).ljust((4 + len(value) + 3) & ~3, b'\0')
    return watch.NLM_HEADER.pack(watch.NLM_HEADER.size + len(body), kind, 0, 0, 0) + body


NEW, DEL = watch.RTM_NEWADDR, watch.RTM_DELADDR


def test_messages_of_the_kernel():
    data = message(NEW, '192.0.2.1') + message(DEL, '2001:db8::1', local=False) + b'short'
    parsed = [(kind, watch.parse_address(body)) for kind, body in watch.netlink_messages(data)]
    assert parsed == [(NEW, ((2, socket.inet_aton('192.0.2.1')), True)), (DEL, ((2, socket.inet_pton(socket.AF_INET6, '2001:db8::1')), True))]
    for useless in (message(NEW, 'fe80::1', scope=253), message(NEW, '127.0.0.1', scope=254)):
        assert [watch.parse_address(body) for _, body in watch.netlink_messages(useless)] == [None]
    for waiting in (message(NEW, '2001:db8::1', flags=0x40), message(NEW, '2001:db8::1', wide_flags=0x240), message(NEW, '2001:db8::1', wide_flags=8)):
        assert [watch.parse_address(body)[1] for _, body in watch.netlink_messages(waiting)] == [False]
    assert watch.parse_address(b'') is None and watch.parse_address(watch.IFADDRMSG.pack(17, 0, 0, 0, 1)) is None
    assert list(watch.netlink_messages(watch.NLM_HEADER.pack(3, NEW, 0, 0, 0))) == []
    damaged = watch.IFADDRMSG.pack(socket.AF_INET, 0, 0, 0, 1) + watch.RTATTR.pack(2, watch.IFA_LOCAL) + b'1234'
    assert watch.parse_address(damaged) is None


def test_addresses_that_come_and_go(monkeypatch, started):
    """Only what is different counts: the kernel repeats addresses whose lifetime is renewed."""
    defaults = ['192.0.2.1', None]
    monkeypatch.setattr(watch, 'default_addresses', lambda: tuple(defaults))
    # What the kernel of this machine has to tell is not looked at.
    monkeypatch.setattr(watch.AddressWatch, '_list', lambda self: None)
    monkeypatch.setattr(watch.AddressWatch, '_readable', lambda self: self._socket.recv(65536))
    seen = Seen()
    watched = started(watch.AddressWatch, seen)

    def tell(*messages):
        def take():
            for data in messages:
                for kind, body in watch.netlink_messages(data):
                    watched._take(kind, body)
            watched._compare()
        in_sdk_thread(take)
    in_sdk_thread(lambda: watched._take(watch.NLMSG_DONE, b''))
    tell(message(NEW, '192.0.2.1'))
    assert seen.wait() == ('192.0.2.1', '192.0.2.1')         # another address than the default one, perhaps
    tell(message(NEW, '192.0.2.1'), message(NEW, 'fe80::1', scope=253), message(NEW, '2001:db8::1', flags=0x40))
    assert seen.none()
    tell(message(DEL, '192.0.2.1'), message(NEW, '192.0.2.1'))
    assert seen.none()
    defaults[0] = None
    tell(message(DEL, '192.0.2.1'))
    assert seen.wait() == ('192.0.2.1', None)
    defaults[:] = None, '2001:db8::1'
    tell(message(NEW, '2001:db8::1'))
    assert seen.wait() == (None, '2001:db8::1')
    assert seen.none()


def test_the_addresses_of_this_host(monkeypatch, started):
    """They are asked for at the start, which is no change."""
    listed = Seen()
    take = watch.AddressWatch._take

    def note(self, kind, body):
        take(self, kind, body)
        if kind == watch.NLMSG_DONE:
            listed(self._known)
    monkeypatch.setattr(watch.AddressWatch, '_take', note)
    seen = Seen()
    watched = started(watch.AddressWatch, seen)
    (known,) = listed.wait()
    assert known == (watch.default_addresses(), frozenset(watched._addresses))
    in_sdk_thread(watched._compare)
    assert seen.none()


# ---- links ---------------------------------------------------------------------------------------------------------

def test_links_that_come_up(monkeypatch, started):
    """What the kernel says of links is said often; what counts is one that others can be reached by from now on."""
    running = {2}
    monkeypatch.setattr(watch, 'running_links', lambda: frozenset(running))
    monkeypatch.setattr(watch.LinkWatch, '_readable', lambda self: self._socket.recv(65536))
    seen = Seen()
    watched = started(watch.LinkWatch, seen)
    for links, told in (({2}, False), ({2, 3}, True), ({2, 3}, False), ({3}, False), (set(), False), ({3}, True)):
        running.clear()
        running.update(links)
        in_sdk_thread(watched._compare)
        assert seen.none() is not told
        while not seen.none():
            seen.wait()


def test_the_links_of_this_host():
    names = {index: name for index, name in socket.if_nameindex() if index in watch.running_links()}
    assert 'lo' not in names.values()


# ---- sleep ---------------------------------------------------------------------------------------------------------

def test_sleep_is_told_from_a_clock_that_was_set(monkeypatch, started):
    asleep = [100.0]
    monkeypatch.setattr(watch, 'time_asleep', lambda: asleep[0])
    seen = Seen()
    watched = started(watch.SleepWatch, seen)
    in_sdk_thread(watched.clock_jumped)
    asleep[0] += 0.5
    in_sdk_thread(watched.clock_jumped)
    assert seen.none()
    asleep[0] += 60
    in_sdk_thread(watched.clock_jumped)
    assert seen.wait() == ()
    in_sdk_thread(watched.clock_jumped)
    assert seen.none()


def test_the_timer_is_armed_again(monkeypatch, started):
    """The kernel cancels it when the clock jumps; what a read returns then is played, as the clock of this machine is not ours to set."""
    asleep = [0.0]
    monkeypatch.setattr(watch, 'time_asleep', lambda: asleep[0])
    seen = Seen()
    watched = started(watch.SleepWatch, seen)
    armed = Seen()
    arm = watched._arm
    watched._arm = lambda descriptor: (arm(descriptor), armed())

    def jump():
        def cancelled(descriptor, size):
            raise OSError(125, 'cancelled')
        monkeypatch.setattr(watch.os, 'read', cancelled)
        try:
            watched._readable()
        finally:
            monkeypatch.undo()
    asleep[0] = 10.0
    monkeypatch.setattr(watch, 'time_asleep', lambda: asleep[0])
    in_sdk_thread(jump)
    assert armed.wait() == () and seen.wait() == ()


def test_time_asleep_is_no_large_number_by_mistake():
    assert watch.time_asleep() >= -0.1


# ---- files ---------------------------------------------------------------------------------------------------------

def test_a_file_is_changed_in_every_way(tmp_path, started):
    folder, other = tmp_path / 'etc', tmp_path / 'run'
    folder.mkdir()
    other.mkdir()
    path = folder / 'resolv.conf'
    path.write_text('1')
    seen = Seen()
    started(watch.FileWatch, str(path), seen)
    steps = [
        lambda: path.write_text('2'),                                                           # in place
        lambda: ((folder / 'new').write_text('3'), os.rename(folder / 'new', path)),            # replaced
        lambda: path.write_text('4'),                                                           # the one that took its place
        path.unlink,
        lambda: path.write_text('5'),
        lambda: ((other / 'stub').write_text('6'), path.unlink(), path.symlink_to('../run/stub')),
        lambda: (other / 'stub').write_text('7'),
        lambda: ((other / 'new').write_text('8'), os.rename(other / 'new', other / 'stub')),
        (other / 'stub').unlink,
        lambda: (other / 'stub').write_text('9'),
    ]
    for step in steps:
        step()
        assert seen.wait() == ()
        while not seen.none():
            seen.wait()


def test_other_files_do_not_matter(tmp_path, monkeypatch, started):
    monkeypatch.setattr(watch, 'QUIET_TIME', 0.0)
    path = tmp_path / 'resolv.conf'
    path.write_text('1')
    seen = Seen()
    watched = started(watch.FileWatch, str(path), seen)
    read = Seen()
    readable = watched._readable
    in_sdk_thread(lambda: (reactor.get_loop().remove_reader(watched._descriptor),
                           reactor.get_loop().add_reader(watched._descriptor, lambda: (readable(), read()))))
    (tmp_path / 'hosts').write_text('2')
    read.wait()
    assert seen.none()


def test_what_cannot_be_watched_is_left_out(monkeypatch, caplog):
    def refused(*args):
        raise OSError(1, 'not permitted')
    monkeypatch.setattr(watch, 'AddressWatch', refused)
    monkeypatch.setattr(watch, 'LinkWatch', refused)
    monkeypatch.setattr(watch, 'SleepWatch', refused)
    watches = in_sdk_thread(watch.start, print, print, print, print)
    assert [type(each) for each in watches] == [watch.FileWatch]
    assert 'addresses' in caplog.text and 'links' in caplog.text and 'sleep' in caplog.text
    for each in watches:
        in_sdk_thread(each.stop)
    monkeypatch.setattr(watch.sys, 'platform', 'darwin')
    assert in_sdk_thread(watch.start, print, print, print, print) == []
