"""MSRP between two processes on `msrplib`, beside a bare copy of as many bytes through Python sockets in the same run; the protocol alone, in memory.

`measure_relay` goes through the relay of the lab (SIPSIMPLE_LAB), and is made only when it is asked for.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.context import Bench
from bench.programs import BenchError, Subject
from bench.report import Row
from bench.subjects.msrp import TEXT, Bytes

SIZE = 2_000_000_000        # bytes of the big message, and of the bare copy
COUNT = 20_000              # short messages
RELAYED = 100_000           # bytes of each message through a relay
PIECE = 65536


def pair(chunk_size: int) -> Any:
    """Two ends of a session; what is sent to the second is thrown away as it comes."""
    from msrplib.endpoint import Endpoint
    from msrplib.uri import URI
    uris = URI('127.0.0.1', False), URI('127.0.0.1', False, port=2856)
    ends = Endpoint(uris[0], chunk_size=chunk_size), Endpoint(uris[1], accept=lambda message: lambda offset, piece: None)
    ends[0].set_remote_path([uris[1]])
    ends[1].set_remote_path([uris[0]])
    return ends


def carry(ends: Any, count: int) -> None:
    """Carry bytes both ways until there are none; so many messages have to be reported delivered."""
    from msrplib.events import MessageDelivered
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
    if delivered != count:
        raise BenchError(f'{delivered} of {count} messages were delivered')


def in_memory(size: int, count: int, chunk_size: int) -> float:
    """Messages of one size a second, each with its answers and reports, both ends in this thread. Size 0: short texts."""
    from msrplib.chunking import OutgoingMessage
    ends = pair(chunk_size)
    begin = time.perf_counter()
    for _ in range(count):
        ends[0].send(OutgoingMessage('application/octet-stream', Bytes(size), size=size, success_report='yes') if size
                     else OutgoingMessage('text/plain', TEXT, success_report='yes'))
    carry(ends, count)
    return count / (time.perf_counter() - begin)


def make_certificate(folder: str) -> str:
    """A certificate for this host, signed by itself, with its key in the same file."""
    from tests.support.certificates import Authority
    path = Authority(Path(folder)).issue('bench', '127.0.0.1', 'localhost')
    joined = Path(folder) / 'both.pem'
    joined.write_bytes(path.with_suffix('.pem').read_bytes() + path.with_suffix('.key').read_bytes())
    return str(joined)


def copied(size: int, certificate: str | None) -> float:
    """MB/s of the bare copy."""
    with Subject('msrp', role='bare receive', certificate=certificate) as receiver, Subject('msrp', role='bare send', certificate=certificate) as sender:
        port = receiver.ready()['port']
        sender.ready()
        return float(sender.do('copy', port=port, size=size)['rate'])


@contextmanager
def session(certificate: str | None, relay: tuple[str, int] | None = None) -> Iterator[tuple[Subject, Subject]]:
    """Sender and receiver of a session."""
    with Subject('msrp', role='receive', certificate=certificate, relay=relay) as receiver, \
            Subject('msrp', role='send', certificate=certificate, relay=relay) as sender:
        theirs, ours = receiver.ready()['path'], sender.ready()['path']
        receiver.do('connect', path=ours)
        sender.do('connect', path=theirs)
        yield sender, receiver


def measure(bench: Bench) -> list[Row]:
    rows = [Row('MSRP in memory: one message, chunks of 1 MiB', 'MB/s'), Row('MSRP in memory: one message, chunks of 10 kB', 'MB/s'),
            Row('MSRP in memory: short messages with reports', '/s')]
    big, small = bench.count(SIZE), bench.count(COUNT)
    for _ in bench.turns():
        rows[0].ours.values.append(big // 5 * in_memory(big // 5, 1, 1 << 20) / 1e6)
        rows[1].ours.values.append(big // 20 * in_memory(big // 20, 1, 10_000) / 1e6)
        rows[2].ours.values.append(in_memory(0, small, 1 << 20))
    with tempfile.TemporaryDirectory() as folder:
        for name, certificate in (('TCP', None), ('TLS', make_certificate(folder))):
            large = Row(f'MSRP over {name}: one message of {big / 1e9:.3g} GB; a bare copy', 'MB/s', target=0.25, at_least=True)
            short = Row(f'MSRP over {name}: short messages with reports', '/s', target=10_000 if certificate is None else None, absolute=True, at_least=True)
            memory = Row(f'MSRP over {name}: most memory of either side', 'MB', target=80, absolute=True)
            rows += [large, short, memory]
            for _ in bench.turns():
                large.peer.values.append(copied(big, certificate))
                with session(certificate) as (sender, receiver):
                    large.ours.values.append(sender.do('big', size=big)['rate'])
                    memory.ours.values.append(max(side.do('peak')['peak'] for side in (sender, receiver)))
                with session(certificate) as (sender, _):
                    short.ours.values.append(sender.do('many', count=small, window=100)['rate'])
    return rows


def measure_relay(bench: Bench) -> list[Row]:
    """One relay: it drops a receiver that is slower than the sender, so reports, which come from the far end, say when the next message goes."""
    from tests.support.lab import Lab
    rows = []
    count, small = bench.count(SIZE // RELAYED // 20), bench.count(COUNT)
    with tempfile.TemporaryDirectory() as folder, Lab('msrp') as lab:
        for name, certificate, port in (('TCP', None, lab.port('MSRP')), ('TLS', make_certificate(folder), lab.port('MSRPS'))):
            large = Row(f'MSRP over {name}, relayed: messages of 100 kB, four under way; a bare copy', 'MB/s')
            short = Row(f'MSRP over {name}, relayed: short messages with reports', '/s')
            rows += [large, short]
            for _ in bench.turns():
                large.peer.values.append(copied(count * RELAYED, certificate))
                with session(certificate, ('127.0.0.1', port)) as (sender, _):
                    large.ours.values.append(sender.do('many', count=count, window=4, size=RELAYED)['rate'] * RELAYED / 1e6)
                with session(certificate, ('127.0.0.1', port)) as (sender, _):
                    short.ours.values.append(sender.do('many', count=small, window=100)['rate'])
    return rows
