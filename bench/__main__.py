"""`python -m bench`: measure sipsimple beside programs in C that use the same build of PJSIP, and print the ratios.

    .venv/bin/python -m bench                       # everything; some ten minutes, on a machine that does nothing else
    .venv/bin/python -m bench requests sessions     # only these
    .venv/bin/python -m bench --quick               # a tenth of the operations, one round: to see that it works

The status is 1 when a target is missed. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.context import Bench
from bench.measures import ALL, MORE
from bench.programs import ROOT, BenchError, Peers
from bench.report import Row, table
from buildtools import cython_ext, pjsip
from buildtools.inplace import override
from buildtools.report import BuildError, say

BYTE_CODE = ROOT / 'build' / 'bench-bytecode'


def peers() -> Peers:
    """The programs in C, built when they are not there yet."""
    programs = pjsip.build_apps('release')
    programs['handoff'] = pjsip.build_program('handoff', [Path(__file__).parent / 'handoff.c'], ROOT / 'build' / 'bench')
    return Peers(programs)


def prepare(flavour: str) -> None:
    """Let our processes run as an installed package does: the core compiled as for a wheel (`release`), byte code on disk."""
    os.environ.update(override(flavour, cython_ext.build(flavour)))
    os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
    os.environ['PYTHONPYCACHEPREFIX'] = str(BYTE_CODE)


def machine() -> str:
    """What the figures were taken on."""
    model = next((line.split(':', 1)[1].strip() for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines() if line.startswith('model name')),
                 platform.machine())
    commit = '?'
    if shutil.which('git'):
        commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or '?'
    return f'{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, commit {commit}'


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m bench', description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('measures', nargs='*', metavar='MEASURE', help=f'one of {", ".join(ALL)}; default: all of these. Also: {", ".join(MORE)}')
    parser.add_argument('--rounds', type=int, default=3, help='how often each side is measured, in turn (default: 3)')
    parser.add_argument('--scale', type=float, default=1.0, help='factor for the number of operations')
    parser.add_argument('--quick', action='store_true', help='the same as --rounds 1 --scale 0.1')
    parser.add_argument('--flavour', choices=('release', 'develop'), default='release', help='of the native core: as in a wheel (default), or as in place')
    parser.add_argument('--json', metavar='FILE', type=Path, help='write all figures there, too')
    arguments = parser.parse_args()
    measures = {**ALL, **MORE}
    unknown = set(arguments.measures) - measures.keys()
    if unknown:
        parser.error(f'unknown: {", ".join(sorted(unknown))}')
    if arguments.quick:
        arguments.rounds, arguments.scale = 1, 0.1
    rows: list[Row] = []
    try:
        bench = Bench(peers(), arguments.rounds, arguments.scale)
        prepare(arguments.flavour)
        for name in arguments.measures or ALL:
            begin = time.monotonic()
            rows += measures[name](bench)
            say(f'{name}: {time.monotonic() - begin:.0f} s')
    except (BenchError, BuildError) as error:
        say(f'error: {error}', sys.stderr)
        return 2
    say(f'\n{machine()}; median of {arguments.rounds}\n')
    say(table(rows))
    for remark in bench.remarks:
        say(f'remark: {remark}')
    if arguments.json:
        arguments.json.write_text(json.dumps({'machine': machine(), 'rows': [
            {'name': row.name, 'unit': row.unit, 'ours': row.ours.values, 'peer': row.peer.values, 'ratio': row.ratio, 'met': row.met} for row in rows]},
            indent=1) + '\n', encoding='utf-8')
    return int(any(row.met is False for row in rows))


if __name__ == '__main__':
    sys.exit(main())
