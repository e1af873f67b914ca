"""What the system itself tells of the network: addresses, sleep, and the list of name servers.

On Linux the kernel reports each of them through a descriptor, which the SDK thread waits for like for a socket; nothing is looked at on a timer.
Other systems have none of these: there the application posts SystemIPAddressDidChange and SystemDidWakeUpFromSleep when it is told of such things
(by Cocoa, Qt ...), and calls `DNSManager().refresh()`; everything that follows from them is the same.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sipsimple.core.helpers import outgoing_ip_for
from sipsimple.threading import reactor

__all__ = ['AddressWatch', 'FileWatch', 'LinkWatch', 'SleepWatch', 'start']

log = logging.getLogger('sipsimple.application')

RESOLVER_FILE = '/etc/resolv.conf'
QUIET_TIME = 0.2                        # seconds: changes come in bursts, one for each address and route
PROBES = ('192.0.2.1', '2001:db8::1')   # RFC 5737, RFC 3849; only the routing table is asked about them
MIN_SLEEP = 1.0                         # seconds; less is the error of two clocks that are not read at once


class Watch:
    """A descriptor of which the SDK thread is told when there is something to read. Thread: the SDK thread."""

    def __init__(self, changed: Callable[..., object]) -> None:
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor: int | None = None

    def _watch(self, descriptor: int) -> None:
        self._descriptor = descriptor
        reactor.get_loop().add_reader(descriptor, self._readable)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._descriptor is not None:
            reactor.get_loop().remove_reader(self._descriptor)
            self._close(self._descriptor)
            self._descriptor = None

    def _close(self, descriptor: int) -> None:
        os.close(descriptor)

    def _readable(self) -> None:
        raise NotImplementedError

    def _after_burst(self, function: Callable[[], object]) -> None:
        """Call it once, a moment from now, for all that comes meanwhile."""
        if self._timer is None:
            def call() -> None:
                self._timer = None
                function()
            self._timer = reactor.call_later(QUIET_TIME, call)


# ---- addresses -----------------------------------------------------------------------------------------------------

NLM_HEADER = struct.Struct('=IHHII')    # length, type, flags, sequence, port
IFADDRMSG = struct.Struct('=BBBBI')     # family, prefix length, flags, scope, index of the interface
RTATTR = struct.Struct('=HH')           # length, type
NLMSG_ERROR, NLMSG_DONE, RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 2, 3, 20, 21, 22
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
RT_SCOPE_LINK = 253                     # link-local addresses and, above it, loopback
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x40, 0x08
# RTMGRP_LINK, and addresses and routes of both families: a link that goes down takes routes along without a word of them.
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

Address = tuple[int, bytes]             # interface, address


def netlink_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of a datagram: type and what follows the header."""
    offset = 0
    while offset + NLM_HEADER.size <= len(data):
        length, kind, *_ = NLM_HEADER.unpack_from(data, offset)
        if length < NLM_HEADER.size:
            return
        yield kind, data[offset + NLM_HEADER.size:offset + length]
        offset += (length + 3) & ~3


def parse_address(body: bytes) -> tuple[Address, bool] | None:
    """The address that an RTM_NEWADDR or RTM_DELADDR is about, and whether it can be used; None for those of one link or of this host only."""
    if len(body) < IFADDRMSG.size:
        return None
    family, _, flags, scope, index = IFADDRMSG.unpack_from(body)
    if scope >= RT_SCOPE_LINK or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    found: dict[int, bytes] = {}
    offset = IFADDRMSG.size
    while offset + RTATTR.size <= len(body):
        length, kind = RTATTR.unpack_from(body, offset)
        if length < RTATTR.size:
            break
        found[kind] = body[offset + RTATTR.size:offset + length]
        offset += (length + 3) & ~3
    address = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)        # a point-to-point link has its peer in the other one
    if not address:
        return None
    if len(found.get(IFA_FLAGS, b'')) == 4:
        flags = struct.unpack('=I', found[IFA_FLAGS])[0]
    return (index, address), not flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)


def default_addresses() -> tuple[str | None, ...]:
    """Our addresses on the way to everybody, of IPv4 and IPv6."""
    return tuple(outgoing_ip_for(probe) for probe in PROBES)


class AddressWatch(Watch):
    """Calls `changed(old, new)` when the addresses of this host are others, with the default address (IPv4, else IPv6; None without a network) before and
    now. These are equal when only others came or went, as with a VPN.

    By rtnetlink. OSError: the system has none, or does not let us.
    """

    def __init__(self, changed: Callable[[str | None, str | None], object]) -> None:
        super().__init__(changed)
        self._addresses: set[Address] = set()
        self._known: tuple[Any, ...] | None = None
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, GROUPS))
            self._list()
            self._watch(self._socket.fileno())
        except BaseException:
            self._socket.close()
            raise

    def _list(self) -> None:
        """Ask for all addresses; they come like those that are new."""
        self._addresses = set()
        body = IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        self._socket.send(NLM_HEADER.pack(NLM_HEADER.size + len(body), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)

    def _close(self, descriptor: int) -> None:
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    log.exception('the system does not tell of addresses any more')
                    self.stop()
                    return
                self._list()            # there were more changes than the socket holds
                continue
            for kind, body in netlink_messages(data):
                self._take(kind, body)
        self._after_burst(self._compare)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == NLMSG_DONE and self._known is None:
            self._known = self._present()
        parsed = parse_address(body) if kind in (RTM_NEWADDR, RTM_DELADDR) else None
        if parsed is not None:
            address, usable = parsed
            if kind == RTM_NEWADDR and usable:
                self._addresses.add(address)
            else:
                self._addresses.discard(address)

    def _present(self) -> tuple[Any, ...]:
        return (default_addresses(), frozenset(self._addresses))

    def _compare(self) -> None:
        """Addresses of IPv6 are told again and again, as their lifetimes are renewed: only what is different counts."""
        if self._known is None:
            return
        before, self._known = self._known, self._present()
        if before != self._known:
            self._changed(*(next(filter(None, addresses), None) for addresses in (before[0], self._known[0])))


# ---- links ---------------------------------------------------------------------------------------------------------

RTMGRP_LINK = 0x1
SIOCGIFFLAGS = 0x8913
IFF_LOOPBACK, IFF_RUNNING = 0x8, 0x40
IFREQ = struct.Struct('16sH22x')        # struct ifreq with the flags of an interface


def running_links() -> frozenset[int]:
    """The interfaces that others can be reached by, loopback not among them: they are up and connected."""
    import fcntl
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for index, name in socket.if_nameindex():
            try:
                _, flags = IFREQ.unpack(fcntl.ioctl(probe, SIOCGIFFLAGS, IFREQ.pack(name.encode(), 0)))
            except OSError:             # it is gone by now
                continue
            if flags & IFF_RUNNING and not flags & IFF_LOOPBACK:
                found.add(index)
    return frozenset(found)


class LinkWatch(Watch):
    """Calls `changed()` when a link has come up: whoever is on it was not heard, perhaps, for a while. The addresses may be what they were.

    By rtnetlink. OSError: the system has none, or does not let us.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        super().__init__(changed)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, RTMGRP_LINK))
            self._running = running_links()
            self._watch(self._socket.fileno())
        except BaseException:
            self._socket.close()
            raise

    def _close(self, descriptor: int) -> None:
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:        # there was more news than the socket holds: what there is now is looked at anyway
                    log.exception('the system does not tell of links any more')
                    self.stop()
                    return
        self._after_burst(self._compare)

    def _compare(self) -> None:
        before, self._running = self._running, running_links()
        if self._running - before:
            self._changed()


# ---- sleep ---------------------------------------------------------------------------------------------------------

TFD_FLAGS = getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_CLOEXEC', 0)
TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET = 1, 2
NEVER = 1 << 33                         # seconds since 1970


class _Timer(ctypes.Structure):
    """struct itimerspec: interval and value, each in seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ('interval', 'interval_ns', 'value', 'value_ns')]


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def time_asleep() -> float:
    """Seconds this system has slept since it was started: one of its clocks runs on meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class SleepWatch(Watch):
    """Calls `changed()` after the system has slept.

    By a timer that never expires but is cancelled when the time of day jumps, as it does at the wake-up; when somebody has only set the clock, the time
    asleep has not grown. OSError, AttributeError: the system does not have that.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        super().__init__(changed)
        self._library = _library()
        self._asleep = time_asleep()
        descriptor = _checked(self._library.timerfd_create(time.CLOCK_REALTIME, TFD_FLAGS))
        try:
            self._arm(descriptor)
            self._watch(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def _arm(self, descriptor: int) -> None:
        _checked(self._library.timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, ctypes.byref(_Timer(value=NEVER)), None))

    def _readable(self) -> None:
        assert self._descriptor is not None
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm(self._descriptor)
        self.clock_jumped()

    def clock_jumped(self) -> None:
        """The time of day is another one: see whether that was a sleep."""
        before, self._asleep = self._asleep, time_asleep()
        if self._asleep - before > MIN_SLEEP:
            self._changed()


# ---- name servers --------------------------------------------------------------------------------------------------

INOTIFY_EVENT = struct.Struct('=iIII')  # watch, mask, cookie, length of the name that follows
IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x4, 0x8, 0x80, 0x100, 0x200, 0x400, 0x800
IN_ONLYDIR = 0x1000000
MAX_LINKS = 8


class FileWatch(Watch):
    """Calls `changed()` when a file has another content, or another file is in its place; also where the path is a symbolic link, or leads to nothing.

    By inotify. OSError, AttributeError: the system has none.
    """

    def __init__(self, path: str, changed: Callable[[], object]) -> None:
        super().__init__(changed)
        self._path = path
        self._library = _library()
        self._names: dict[int, set[bytes]] = {}         # watched folder: the names in it that count, b'' for a file
        descriptor = _checked(self._library.inotify_init1(TFD_FLAGS))
        try:
            self._add(descriptor)
            self._watch(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def _add(self, descriptor: int) -> None:
        """Watch the folder of each link on the way, and the file itself, which may be changed by another path."""
        self._names = {}
        path = Path(self._path)
        for _ in range(MAX_LINKS):
            self._add_one(descriptor, path.parent, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR, os.fsencode(path.name))
            try:
                path = path.parent / os.readlink(path)
            except OSError:
                break
        self._add_one(descriptor, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF, b'')

    def _add_one(self, descriptor: int, path: Path, mask: int, name: bytes) -> None:
        watch = self._library.inotify_add_watch(descriptor, os.fsencode(path), mask)
        if watch >= 0:                  # else it is not there: it will be news of its folder when it is
            self._names.setdefault(watch, set()).add(name)

    def _readable(self) -> None:
        assert self._descriptor is not None
        concerned = False
        while True:
            try:
                data = os.read(self._descriptor, 65536)
            except BlockingIOError:
                break
            offset = 0
            while offset < len(data):
                watch, _, _, length = INOTIFY_EVENT.unpack_from(data, offset)
                offset += INOTIFY_EVENT.size
                name = data[offset:offset + length].rstrip(b'\0')
                offset += length
                concerned = concerned or name in self._names.get(watch, ())
        if concerned:
            self._after_burst(self._report)

    def _report(self) -> None:
        if self._descriptor is not None:
            self._add(self._descriptor)
        self._changed()


# ---- all of them ---------------------------------------------------------------------------------------------------

def start(addresses: Callable[[str | None, str | None], object], awake: Callable[[], object], nameservers: Callable[[], object],
          links: Callable[[], object]) -> list[Watch]:
    """Watch what this system lets us watch. Thread: the SDK thread."""
    if not sys.platform.startswith('linux'):
        return []
    watches: list[Watch] = []
    for name, make in (('addresses', lambda: AddressWatch(addresses)), ('links', lambda: LinkWatch(links)), ('sleep', lambda: SleepWatch(awake)),
                       ('name servers', lambda: FileWatch(RESOLVER_FILE, nameservers))):
        try:
            watches.append(make())
        except (OSError, AttributeError) as error:
            log.warning('this system does not tell of changed %s: %s', name, error)
    return watches
