"""How fast MSRP is, beside a bare copy in memory: what the protocol itself costs, without sockets.

    python bench/msrp_bench.py [--scale FACTOR]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msrplib.chunking import CHUNK_SIZE, OutgoingMessage
from msrplib.endpoint import Endpoint, MessageDelivered
from msrplib.uri import URI

PIECE = 65536


class Bytes:
    """A source of so many bytes, all from the same buffer."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.buffer = os.urandom(1 << 20)

    def read(self, size: int) -> bytes:
        size = min(size, self.left, len(self.buffer))
        self.left -= size
        return self.buffer[:size]


def pair(chunk_size: int = CHUNK_SIZE) -> tuple[Endpoint, Endpoint]:
    """Two ends of a session; what is sent to the second is thrown away as it comes."""
    uris = URI('127.0.0.1', False), URI('127.0.0.1', False, port=2856)
    ends = Endpoint(uris[0], chunk_size=chunk_size), Endpoint(uris[1], accept=lambda message: lambda offset, piece: None)
    ends[0].set_remote_path([uris[1]])
    ends[1].set_remote_path([uris[0]])
    return ends


def carry(ends: tuple[Endpoint, Endpoint]) -> int:
    """Carry bytes both ways until there are none; returns how many messages were reported delivered."""
    delivered = 0
    busy = True
    while busy:
        busy = False
        for one, other in (ends, ends[::-1]):
            data = b''.join(one.take(PIECE, 0))
            delivered += sum(isinstance(event, MessageDelivered) for event in one.events())
            if data:
                busy = True
                delivered += sum(isinstance(event, MessageDelivered) for event in other.receive(data, 0))
    return delivered


def small(count: int) -> float:
    """Short messages a second, each with an answer and a report; both ends in this thread."""
    ends = pair()
    begin = time.perf_counter()
    for _ in range(count):
        ends[0].send(OutgoingMessage('text/plain', b'Not a long message, as they are in a chat.', success_report='yes'))
    if carry(ends) != count:
        raise SystemExit('messages were lost')
    return count / (time.perf_counter() - begin)


def big(size: int, chunk_size: int) -> float:
    """MB/s of one message, both ends in this thread."""
    ends = pair(chunk_size)
    begin = time.perf_counter()
    ends[0].send(OutgoingMessage('application/octet-stream', Bytes(size), size=size, success_report='yes'))
    if carry(ends) != 1:
        raise SystemExit('the message was lost')
    return size / (time.perf_counter() - begin) / 1e6


def copy(size: int) -> float:
    """MB/s of what any two ends in one thread do: bytes are read, joined and looked at."""
    source = Bytes(size)
    begin = time.perf_counter()
    while piece := source.read(PIECE):
        memoryview(b''.join((piece, b'\r\n')))[:PIECE]
    return size / (time.perf_counter() - begin) / 1e6


def show(rows: Iterable[tuple[str, float, str]]) -> None:
    for name, value, unit in rows:
        print(f'{name:60} {value:12,.0f} {unit}')


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--scale', type=float, default=1.0, help='factor for the amount of data')
    scale = parser.parse_args().scale
    size = int(400e6 * scale)
    show([
        ('in memory: a bare copy', copy(size), 'MB/s'),
        ('in memory: one big message, chunks of 1 MiB', big(size, 1 << 20), 'MB/s'),
        ('in memory: one big message, chunks of 64 KiB', big(size, 65536), 'MB/s'),
        ('in memory: one big message, chunks of 10 kB', big(size // 4, 10_000), 'MB/s'),
        ('in memory: short messages with reports', small(int(20_000 * scale)), '/s'),
    ])


if __name__ == '__main__':
    main()
