"""Compile and run the C programs of this folder against the PJSIP build of the tree.

The PJSIP sources a test is about are compiled anew with AddressSanitizer, once as in a release (NDEBUG) and once with asserts: nothing received may
reach an assert, and none may be what protects memory. Their objects take precedence over the archive members of the same name.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path

from buildtools import pjsip
from buildtools.report import BuildError
from buildtools.requirements import compiler

FOLDER = Path(__file__).parent
VARIANTS = {'release': [], 'asserts': ['-UNDEBUG', '-DPJ_TIMER_DEBUG=0']}
LIMIT = 60      # seconds; far more than any program needs


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix='hardening-')


@functools.cache
def _pjsip() -> pjsip.PJSIPBuild:
    flavour = os.environ.get('SIPSIMPLE_FLAVOUR', 'release')
    return pjsip.ensure(flavour if flavour in pjsip.FLAVOURS else 'release')


@functools.cache
def program(name: str, sources: tuple[str, ...], variant: str) -> Path:
    """The path of the program NAME.c, compiled with these PJSIP sources (paths below its root) in this variant."""
    try:
        build = _pjsip()
    except BuildError as error:
        raise AssertionError(f'the tests of PJSIP patches need a C compiler and the build of PJSIP: {error}') from error
    target = Path(_scratch().name) / f'{name}-{variant}'
    command = [*compiler(), '-O1', '-g', '-w', '-fsanitize=address', *(['-fsanitize=undefined'] if build.flavour == 'asan' else []), *build.cflags, '-DPJMEDIA_EXTERNAL_SRTP=2',
               *(VARIANTS[variant] if build.flavour == 'release' else []), '-o', target, FOLDER / f'{name}.c', *(build.folder / path for path in sources),
               *build.libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f'{name}.c does not compile:\n{done.stderr}'
    return target


def run(path: Path, *arguments: object) -> str:
    """Run a program, which must end with code 0 and without a report of the sanitizer; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=LIMIT,
                          env={**environment, 'ASAN_OPTIONS': 'detect_leaks=0'})
    assert done.returncode == 0, f'{path.name} {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr[:6000]}'
    assert 'runtime error:' not in done.stderr, f'{path.name} {arguments}:\n{done.stderr[:6000]}'      # of UBSan, which goes on
    return done.stdout.strip()
