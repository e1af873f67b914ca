"""Show that the tests of our PJSIP patches fail without them.

    python tools/check_patches.py [NN ...]

For every patch (or those with the given numbers): a copy of the PJSIP build gets the files of the patch as they were, the native core is linked with it,
and the tests its `Test:` line names must fail. Patches with a line `Without it:` change no behaviour that a test could see fail and are left out. Takes
some 20 seconds for each patch; ./build_inplace must have run, and ./build_inplace --debug for tests on a build with asserts.

A `Test:` line is a list of `FILE`, `FILE (EXPRESSION)` or `FILE::NAME, NAME`; an expression is one of pytest's -k. At its end, `on a build with asserts`
says that only such a build fails.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from buildtools import cython_ext, pjsip, pjsip_source
from buildtools.requirements import compiler

UNPATCHED = 'SIPSIMPLE_TEST_PJSIP'      # tells the plug-in below which tree the programs of the tests are compiled with
SRTP = '-DPJMEDIA_EXTERNAL_SRTP=2'       # what PJSIP's makefiles add by themselves: the system's libsrtp2
ASSERTS = 'on a build with asserts'


def header(patch: Path, name: str) -> str:
    """The text after `NAME:` at the top of a patch, over all its lines; empty when there is none."""
    head = patch.read_text(encoding='utf-8').split('\n--- ', 1)[0].split('\ndiff ', 1)[0]
    found = re.search(rf'^{name}: (.*?)(?=^\w[\w ]*: |\n\n|\Z)', head, re.MULTILINE | re.DOTALL)
    return ' '.join(found[1].split()) if found else ''


def touched(patch: Path) -> list[str]:
    """The files that a patch changes."""
    return re.findall(r'^\+\+\+ b/(\S+)', patch.read_text(encoding='utf-8'), re.MULTILINE)


def tests_of(patch: Path) -> tuple[list[tuple[str, str]], bool]:
    """What the `Test:` line names, as (file, -k expression); and whether it takes a build with asserts."""
    text = header(patch, 'Test')
    found = []
    for file, expression, names in re.findall(r'(tests/\S+?\.py)(?: \(([^)]*)\)|::(test_\w+(?:, test_\w+)*))?', text):
        found.append((file, expression or names.replace(', ', ' or ')))
    return found, text.rstrip('.').endswith(ASSERTS)


def pytest_configure(config: Any) -> None:
    """As a pytest plug-in: programs of tests/native/hardening are built from the tree in $SIPSIMPLE_TEST_PJSIP."""
    tree = os.environ.get(UNPATCHED)
    if tree:
        ensure: Callable[[str], pjsip.PJSIPBuild] = pjsip.ensure
        pjsip.ensure = lambda flavour='release': moved(ensure(flavour), Path(tree))  # type: ignore[assignment]


def moved(build: pjsip.PJSIPBuild, folder: Path) -> pjsip.PJSIPBuild:
    """The same build in another folder."""
    def here(words: list[str]) -> list[str]:
        return [word.replace(str(build.folder), str(folder)) for word in words]

    return replace(build, folder=folder, cflags=here(build.cflags), libraries=here(build.libraries))


class Tree:
    """A copy of a PJSIP build that patches can be taken out of."""

    def __init__(self, flavour: str, folder: Path) -> None:
        self.flavour = flavour
        self.original = pjsip.ensure(flavour)
        self.build = moved(self.original, folder)
        shutil.copytree(self.original.folder, folder)

    def without(self, patch: Path, scratch: Path) -> Path:
        """Take the patch out; returns the native core linked with the result. Later patches that build on it go too."""
        names = set(touched(patch))
        later = [other for other in pjsip_source.patch_files() if other.name > patch.name and names & set(touched(other))]
        for other in [*reversed(later), patch]:
            self._patch('-R', other)
        for other in later:
            if self._patch('--dry-run', other, check=False):
                self._patch('--forward', other)
            else:
                print(f'{patch.name}: taken out together with {other.name}, which builds on it', flush=True)
        changed = sorted(names.union(*map(touched, later)))
        sources = [name for name in changed if name.endswith('.c')]
        if sources:
            # All the rest was compiled with the headers as they are: with other sizes of structures it would fail, and not for what the patch mends.
            for name in set(changed).difference(sources):
                shutil.copyfile(self.original.folder / name, self.build.folder / name)
        for name in sources:
            self._compile(name)
        return self._link(scratch)

    def _patch(self, how: str, patch: Path, check: bool = True) -> bool:
        command = ['patch', '-p1', how, '--batch', '--no-backup-if-mismatch', '-r', '-', '-i', str(patch)]
        return subprocess.run(command, cwd=self.build.folder, check=check, stdout=subprocess.DEVNULL).returncode == 0

    def restore(self) -> None:
        for name in {name for other in pjsip_source.patch_files() for name in touched(other)}:
            shutil.copyfile(self.original.folder / name, self.build.folder / name)
        for archive in self.original.folder.glob('*/lib/*.a'):
            shutil.copyfile(archive, self.build.folder / archive.relative_to(self.original.folder))

    def _compile(self, name: str) -> None:
        source = self.build.folder / name
        for other in source.parent.glob('*.c'):         # transport_srtp_sdes.c and the like are parts of others
            if re.search(rf'^#\s*include\s*["<]{re.escape(source.name)}[">]', other.read_text(encoding='utf-8', errors='replace'), re.MULTILINE):
                self._compile(other.relative_to(self.build.folder).as_posix())
                return
        member = f'{source.stem}.o'
        archives = [path for path in self.build.folder.glob(f'{name.split("/")[0]}/lib/*.a')
                    if member in subprocess.run(['ar', 't', path], capture_output=True, text=True, check=True).stdout.split()]
        assert len(archives) == 1, f'{member} is in {len(archives)} archives'
        output = source.with_suffix('.o')
        subprocess.run([*compiler(), *pjsip.FLAVOURS[self.flavour], '-w', *self.build.cflags, SRTP, '-c', source, '-o', output], check=True)
        subprocess.run(['ar', 'r', archives[0], output], check=True)
        output.unlink()

    def _link(self, scratch: Path) -> Path:
        builds = list((ROOT / 'build').glob(f'{"debug" if self.flavour == "debug" else "develop"}-*'))
        assert builds, f'no {self.flavour} build of the native core'
        folder = max(builds, key=lambda path: path.stat().st_mtime)
        name = cython_ext.so_name()
        words = shlex.split(json.loads((folder / 'state.json').read_text(encoding='utf-8'))['outputs'][name]['command'])[1:]
        target = scratch / name
        words[words.index('-o') + 1] = str(target)
        words = [word.replace(str(self.original.folder), str(self.build.folder)) for word in words if not word.startswith('-Wl,-Map=')]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
        return target


def run_tests(file: str, expression: str, tree: Tree, core: Path) -> tuple[bool, str]:
    """Whether the tests failed (as tests do), and pytest's summary."""
    path = [str(ROOT / 'buildtools' / 'override'), str(ROOT), str(ROOT / 'tools')]
    environment = {**os.environ, UNPATCHED: str(tree.build.folder), 'SIPSIMPLE_NATIVE': str(core), 'SIPSIMPLE_FLAVOUR': tree.flavour,
                   'PYTHONPATH': os.pathsep.join(path)}
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'check_patches', '-p', 'no:cacheprovider', file, *(['-k', expression] if expression else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    missing = re.search(r'undefined symbol: \w+', done.stdout + done.stderr)
    if missing and done.returncode > 1:
        return True, f'the core does not load: {missing[0]}'        # of a function that the patch adds
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    # A negative code: an assert ended the test process itself.
    return done.returncode in (1, -6, -11), lines[-1] if done.returncode >= 0 and lines else f'ended by signal {-done.returncode}'


def main(arguments: Sequence[str] | None = None) -> int:
    numbers = list(sys.argv[1:] if arguments is None else arguments)
    wrong = []
    with tempfile.TemporaryDirectory(prefix='patches-') as folder:
        scratch = Path(folder)
        trees: dict[str, Tree] = {}
        for patch in pjsip_source.patch_files():
            if numbers and patch.name.split('_')[0] not in numbers:
                continue
            if header(patch, 'Without it'):
                print(f'{patch.name}: left out', flush=True)
                continue
            tests, asserts = tests_of(patch)
            flavour = 'debug' if asserts else 'release'
            if flavour not in trees:
                trees[flavour] = Tree(flavour, scratch / flavour)
            core = trees[flavour].without(patch, scratch)
            for file, expression in tests:
                failed, summary = run_tests(file, expression, trees[flavour], core)
                print(f'{patch.name}: {file} ({expression}): {"fails" if failed else "DOES NOT FAIL"} without it: {summary}', flush=True)
                if not failed:
                    wrong.append(patch.name)
            trees[flavour].restore()
    if wrong:
        print(f'error: tests do not notice that these patches are missing: {", ".join(wrong)}', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
