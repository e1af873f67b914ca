#!/usr/bin/env python3
"""Feed damaged MSRP to the parser and to a session, for as long as wanted: not a part of the tests.

    pip install atheris
    python tools/fuzz_msrp.py [--seconds 1800] [--corpus FOLDER]    # guided by coverage, with atheris
    python tools/fuzz_msrp.py --plain                               # mutations at random; also when atheris is not installed

What is wrong ends the run with a traceback and leaves the input in the folder; `keep` is for those that the tests are to try again. Wrong is: any
exception, more memory held than the limits allow, other events when the same bytes come in pieces, a message told complete whose bytes have not come,
an answer to an answer.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import random
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

atheris: ModuleType | None
try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None:
    with atheris.instrument_imports(include=['msrplib']):
        import msrplib.endpoint
        import msrplib.parser
        import msrplib.trafficlog
else:
    import msrplib.endpoint
    import msrplib.parser
    import msrplib.trafficlog

from msrplib.chunking import OutgoingMessage
from msrplib.endpoint import Endpoint
from msrplib.errors import ParsingError
from msrplib.events import MessageReceived
from msrplib.parser import Begin, Data, End, Parser, Whole
from msrplib.reassembly import ReassemblyLimits
from msrplib.uri import URI
from tests.support.mutation import Mutator
from tests.unit.msrplib.rfc_examples import EXAMPLES

KEPT = ROOT / 'tests' / 'unit' / 'msrplib' / 'fuzz_inputs.xz'
MINE = URI('bob.example.com', False, port=8888, session_id='9di4eae923wzd')
THEIRS = URI('alicepc.example.com', False, port=7777, session_id='iau39soe2843z')


def complete(events: list) -> list[str]:
    """The chunks that are told complete."""
    return [event.chunk.first_line for event in events if isinstance(event, (Whole, End))]


def look(chunk: object) -> None:
    """Read everything of a chunk: only documented exceptions."""
    try:
        chunk.verify_headers()      # type: ignore[attr-defined]
    except ParsingError:
        pass
    for name in ('to_path', 'from_path', 'byte_range', 'status'):
        try:
            getattr(chunk, name)
        except ParsingError:
            pass
    assert chunk.headers is not None and chunk.encoded_header.endswith(b'\r\n')     # type: ignore[attr-defined]


def check(data: bytes) -> None:
    """One input."""
    whole = Parser()
    events = whole.feed(data)
    for event in events:
        if isinstance(event, (Whole, Begin)):
            look(event.chunk)
    parser = Parser()
    in_pieces = []
    step = 1 + len(data) % 97
    for start in range(0, len(data), step):
        in_pieces += parser.feed(data[start:start + step])
        assert parser.held <= 65536 + 16384 + step
    assert complete(events) == complete(in_pieces)
    size = sum(len(event.data) for event in in_pieces if isinstance(event, Data))
    assert size + sum(len(event.chunk.data) for event in in_pieces if isinstance(event, Whole)) <= len(data)
    msrplib.trafficlog.Tracer().feed(data)

    end = Endpoint(MINE, methods=['NICKNAME'], reassembly=ReassemblyLimits(messages=4, size=4096, memory=8192, spans=8), sessmatch=bool(len(data) % 2))
    end.set_remote_path([THEIRS])
    end.send(OutgoingMessage('text/plain', b'x' * 5000, success_report='yes', message_id='12339sdqwer'))
    end.take(1 << 16, 0)
    told = end.receive(data, 0)
    for event in told:
        if isinstance(event, MessageReceived):
            assert event.message.complete and len(event.message.data) == event.message.total
    assert end.reassembler.held <= 8192 and len(end.reassembler.messages) <= 4
    written = Parser().feed(b''.join(end.take(1 << 20, 0)))
    requests = sum(1 for event in events if isinstance(event, (Whole, Begin)) and event.chunk.method is not None)
    assert len(written) <= 2 * requests + 2
    end.tick(100)
    end.closed()


def kept() -> list[bytes]:
    """Inputs of earlier runs that were worth keeping: what atheris found to reach other code, and what was wrong once."""
    data = lzma.decompress(KEPT.read_bytes())
    found, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position:position + 4], 'big')
        found.append(data[position + 4:position + 4 + size])
        position += 4 + size
    return found


def keep(inputs: list[bytes]) -> None:
    """Keep these inputs."""
    KEPT.write_bytes(lzma.compress(b''.join(len(data).to_bytes(4, 'big') + data for data in inputs), preset=9))


def seeds() -> list[bytes]:
    """What to begin with: the examples of the specification, one by one and together, chunks that belong together, and what was kept."""
    several = EXAMPLES['first chunk'] + EXAMPLES['second chunk']
    return [*EXAMPLES.values(), several, EXAMPLES['second chunk'] + EXAMPLES['first chunk'], b''.join(EXAMPLES.values()), *kept()]


def plain(seconds: float, folder: Path, seed: int) -> None:
    """Mutations at random."""
    mutator, choose = Mutator(seed), random.Random(seed)
    corpus = seeds()
    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        data = mutator.text(choose.choice(corpus))
        try:
            check(data)
        except Exception:
            path = folder / f'crash-{hashlib.sha256(data).hexdigest()[:16]}'
            path.write_bytes(data)
            traceback.print_exc()
            sys.exit(f'the input is in {path}')
        count += 1
    print(f'{count} inputs in {seconds:.0f} s, seed {seed}: nothing wrong')


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--corpus', type=Path, default=ROOT / 'build' / 'fuzz-msrp', help='where inputs are kept')
    parser.add_argument('--plain', action='store_true', help='without atheris')
    parser.add_argument('--seed', type=int, default=None, help='of the plain mutations')
    arguments = parser.parse_args()
    arguments.corpus.mkdir(parents=True, exist_ok=True)
    if arguments.plain or atheris is None:
        plain(arguments.seconds, arguments.corpus, random.randrange(1 << 30) if arguments.seed is None else arguments.seed)
        return
    for number, data in enumerate(seeds()):
        (arguments.corpus / f'seed-{number}').write_bytes(data)
    atheris.Setup([sys.argv[0], f'-max_total_time={arguments.seconds}', '-max_len=4096', '-print_final_stats=1',
                   f'-artifact_prefix={arguments.corpus}/', str(arguments.corpus)], check)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
