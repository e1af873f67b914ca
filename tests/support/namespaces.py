"""Hosts of their own for tests: network namespaces of Linux, with links between them that tests can spoil.

    with Network('client', 'server') as network:
        link = network.link('client', 'server', loss=0.1)
        network.host('client').address('10.20.0.2/24')
        ...

They have nothing but these links and a loopback interface, so no packet leaves the machine. It takes root; without it tests are skipped.

A link is a pair of virtual cables (veth). One that loses, doubles and reorders packets goes through this process, which has both ends of it as TUN
devices. The usual way, the queueing discipline netem, is not in every kernel (not in the one of the CI); this one is the same everywhere, needs no
module but `tun`, draws from a seed, counts what it does, and can also cut a TCP connection as a router does that has forgotten it.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.require import SEARCH_PATH, require

__all__ = ['Host', 'Link', 'Network', 'SpoiledLink', 'require_namespaces']

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
FOLDER = Path('/run/netns')
CONFIGURATION = Path('/etc/netns')      # `ip netns exec` puts what is there for a namespace in place of the files of /etc

_numbers = itertools.count()


def _ip(*arguments: str) -> None:
    done = subprocess.run(['ip', *arguments], env={**os.environ, 'PATH': SEARCH_PATH}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f'ip {" ".join(arguments)}: {done.stderr.strip()}')


def require_namespaces(spoiled: bool = False) -> None:
    """Go on only if this process may make network namespaces, and TUN devices if links are to be spoiled."""
    require('ip')
    if os.geteuid() != 0:
        pytest.skip('network namespaces take root')
    name = f'sipsimple-{os.getpid()}-try'
    try:
        _ip('netns', 'add', name)
    except OSError as error:
        pytest.skip(f'no network namespaces: {error}')
    try:
        _ip('-n', name, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
        if spoiled:
            os.close(_tun(name, 'three'))
    except OSError as error:
        pytest.skip(f'no virtual links: {error}')
    finally:
        _ip('netns', 'del', name)


def _in_namespace(name: str, function: Callable[[], Any]) -> Any:
    """Call it in a thread of the namespace; sockets and devices made there stay in it."""
    result: list[Any] = []

    def run() -> None:
        try:
            descriptor = os.open(FOLDER / name, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f'setns to {name}')
            finally:
                os.close(descriptor)
            result.append(function())
        except BaseException as error:
            result.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def _tun(name: str, device: str) -> int:
    def make() -> int:
        descriptor = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack('16sH22x', device.encode(), IFF_TUN | IFF_NO_PI))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    found: int = _in_namespace(name, make)
    return found


class Host:
    """A namespace.

    Attributes:
        prefix: what to begin a command with that is to run there.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self.prefix = [shutil.which('ip', path=SEARCH_PATH) or 'ip', 'netns', 'exec', namespace]
        _ip('netns', 'add', namespace)
        self.ip('link', 'set', 'lo', 'up')

    def ip(self, *arguments: str) -> None:
        """The program of that name, in the namespace."""
        _ip('-n', self.namespace, *arguments)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function there, in a thread of its own."""
        return _in_namespace(self.namespace, function)

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a program there."""
        return subprocess.Popen([*self.prefix, *command], **{'env': {**os.environ, 'PATH': SEARCH_PATH}, 'stdin': subprocess.DEVNULL, **options})

    def add_address(self, address: str, gateway: str | None = None, device: str = 'eth0') -> None:
        """Give it an address ("10.20.0.2/24") and a way to everybody else."""
        self.ip('address', 'add', address, 'dev', device, *(['nodad'] if ':' in address else []))
        if gateway is not None:
            self.ip('route', 'replace', 'default', 'via', gateway, 'dev', device)

    def delete_address(self, address: str, device: str = 'eth0') -> None:
        """Take an address away, with the routes that need it."""
        self.ip('address', 'del', address, 'dev', device)

    def set_link(self, up: bool, device: str = 'eth0') -> None:
        """Switch an interface on or off."""
        self.ip('link', 'set', device, 'up' if up else 'down')

    def file(self, name: str) -> Path:
        """The file that programs there have as /etc/`name`."""
        return CONFIGURATION / self.namespace / name

    def write(self, name: str, text: str) -> None:
        """Give it a file in /etc. It exists before the program starts that is to see it, and is written in place afterwards."""
        path = self.file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _remove(self) -> None:
        shutil.rmtree(CONFIGURATION / self.namespace, ignore_errors=True)
        _ip('netns', 'del', self.namespace)


class Link:
    """Two devices and what is between them."""

    def stop(self) -> None:
        """Cut it."""


@dataclass
class Spoiling:
    """Shares of the packets, 0 to 1, and how long (in seconds) one is held back that is to come too late."""

    loss: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    hold: tuple[float, float] = (0.02, 0.06)


class SpoiledLink(Link):
    """A link through this process.

    Attributes:
        spoiling: what is done to packets from now on; may be changed, and replaced.
        counts: packets 'passed', 'lost', 'doubled', 'reordered', 'reset'.
    """

    def __init__(self, ends: Sequence[int], spoiling: Spoiling, seed: int) -> None:
        self.spoiling = spoiling
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._reset_port: int | None = None
        self._resets: set[tuple[bytes, int, bytes, int]] = set()
        self._held: list[tuple[float, int, int, bytes]] = []
        self._stopping, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name='link', daemon=True)
        self._thread.start()

    def reset_connections(self, port: int) -> None:
        """Answer each packet of the present TCP connections with this port by a reset, whoever sends it; connections made later work.

        Both ends learn of it when they next send something.
        """
        self._resets = set()
        self._reset_port = port

    def stop(self) -> None:
        os.write(self._wake, b'.')
        self._thread.join()
        for descriptor in (*self._other, self._stopping, self._wake):
            os.close(descriptor)

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            while self._held and self._held[0][0] <= now:
                self._pass(*heapq.heappop(self._held)[2:])
            timeout = max(0.0, self._held[0][0] - now) if self._held else None
            ready, _, _ = select.select([self._stopping, *self._other], [], [], timeout)
            if self._stopping in ready:
                return
            for descriptor in ready:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        for _ in range(64):
            try:
                packet = os.read(descriptor, 65536)
            except BlockingIOError:
                return
            except OSError:             # the device is down
                return
            self._take(descriptor, packet)

    def _take(self, source: int, packet: bytes) -> None:
        if self._is_to_reset(packet):
            self.counts['reset'] += 1
            self._write(source, reset_for(packet))
            return
        spoiling, draw = self.spoiling, self._random.random
        if draw() < spoiling.loss:
            self.counts['lost'] += 1
            return
        copies = 2 if draw() < spoiling.double else 1
        self.counts['doubled'] += copies - 1
        for _ in range(copies):
            if draw() < spoiling.reorder:
                self.counts['reordered'] += 1
                heapq.heappush(self._held, (time.monotonic() + self._random.uniform(*spoiling.hold), next(_numbers), self._other[source], packet))
            else:
                self._pass(self._other[source], packet)

    def _is_to_reset(self, packet: bytes) -> bool:
        port = self._reset_port
        if port is None or len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return False
        start = (packet[0] & 15) * 4
        source, destination = struct.unpack_from('!HH', packet, start)
        if port not in (source, destination):
            return False
        ends = (packet[12:16], source, packet[16:20], destination)
        if packet[start + 13] & 0x02:           # a SYN: a new connection, spared from now on in both directions
            self._resets.add(ends)
            self._resets.add((*ends[2:], *ends[:2]))
        return ends not in self._resets and not packet[start + 13] & 0x04

    def _pass(self, target: int, packet: bytes) -> None:
        self.counts['passed'] += 1
        self._write(target, packet)

    @staticmethod
    def _write(target: int, packet: bytes) -> None:
        try:
            os.write(target, packet)
        except OSError:                 # that device is down, or full
            pass


def _sum(data: bytes) -> int:
    """The checksum of the Internet protocols (RFC 1071)."""
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def reset_for(packet: bytes) -> bytes:
    """The TCP reset that answers a packet of IPv4, as if its receiver knew no such connection (RFC 9293 section 3.10.7.1)."""
    start = (packet[0] & 15) * 4
    source, destination, sequence, acknowledged, offset, flags = struct.unpack_from('!HHIIBB', packet, start)
    if flags & 0x10:
        answer = struct.pack('!HHIIBBHHH', destination, source, acknowledged, 0, 5 << 4, 0x04, 0, 0, 0)
    else:
        length = len(packet) - start - (offset >> 4) * 4 + bool(flags & 0x02) + bool(flags & 0x01)
        answer = struct.pack('!HHIIBBHHH', destination, source, 0, (sequence + length) & 0xFFFFFFFF, 5 << 4, 0x14, 0, 0, 0)
    ends = packet[16:20] + packet[12:16]
    checksum = _sum(ends + struct.pack('!BBH', 0, socket.IPPROTO_TCP, len(answer)) + answer)
    answer = answer[:16] + struct.pack('!H', checksum) + answer[18:]
    header = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(answer), 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
    return header[:10] + struct.pack('!H', _sum(header)) + header[12:] + answer


class Network:
    """Some hosts without anything between them yet. A context manager: nothing is left afterwards."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._hosts: dict[str, Host] = {}
        self._links: list[Link] = []

    def __enter__(self) -> Self:
        number = next(_numbers)
        try:
            for name in self._names:
                self._hosts[name] = Host(name, f'sipsimple-{os.getpid()}-{number}-{name}')
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        for link in self._links:
            link.stop()
        for host in self._hosts.values():
            host._remove()

    def host(self, name: str) -> Host:
        """One of the hosts."""
        return self._hosts[name]

    def link(self, one: str, two: str, device: str = 'eth0') -> Link:
        """Connect two hosts by devices of that name, which are up."""
        hosts = self.host(one), self.host(two)
        _ip('link', 'add', 'name', device, 'netns', hosts[0].namespace, 'type', 'veth', 'peer', 'name', device, 'netns', hosts[1].namespace)
        for host in hosts:
            host.set_link(True, device)
        self._links.append(Link())
        return self._links[-1]

    def spoiled_link(self, one: str, two: str, device: str = 'eth0', seed: int = 1, **spoiling: Any) -> SpoiledLink:
        """The same, through this process; see Spoiling."""
        hosts = self.host(one), self.host(two)
        link = SpoiledLink([_tun(host.namespace, device) for host in hosts], Spoiling(**spoiling), seed)
        self._links.append(link)
        for host in hosts:
            # What waits for this process on a busy machine is late, but not lost beyond what was asked for.
            host.ip('link', 'set', device, 'txqueuelen', '10000')
            host.set_link(True, device)
        return link
