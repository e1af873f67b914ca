"""Compile the native core: many Cython modules and plain C files, linked with static PJSIP into one shared object.

Rules:
- Every sipsimple/core/_*.pyx is a Cython module of its own, every sipsimple/core/native/*.c a plain C file; both are found by looking.
- Only what changed is compiled again. "Changed" means: the content of the file or of any file it depends on (Cython's own list for .pyx, the
  compiler's -MMD list for C), or the command line. Time stamps only save reading files again.
- Objects live in build/<flavour>-<python tag>/, the shared object is replaced atomically: a process that runs from the old one is not disturbed.

Flavours:
    develop  in-place builds: PJSIP release, native C -O2, Cython modules -O1
    release  wheels: -O2 for all, stripped
    debug    -O0 -g with assertions, in PJSIP too
    asan     AddressSanitizer and UBSan, in PJSIP too
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildtools import pjsip
from buildtools.report import BuildError, file_lock, jobs, step
from buildtools.requirements import check_toolchain, compiler

__all__ = ['FLAVOURS', 'Extension', 'build', 'build_inplace']

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class _Flavour:
    pjsip: str
    native: list[str]
    cython: list[str]
    link: list[str] = field(default_factory=list)


FLAVOURS: dict[str, _Flavour] = {
    'develop': _Flavour('release', ['-O2', '-g1'], ['-O1', '-g1']),
    'release': _Flavour('release', ['-O2', '-g0'], ['-O2', '-g0'], ['-s']),
    'debug': _Flavour('debug', ['-O0', '-g'], ['-O0', '-g']),
    'asan': _Flavour('asan', ['-O1', '-g', *pjsip.SANITIZE], ['-O1', '-g', *pjsip.SANITIZE], pjsip.SANITIZE),
}

_NATIVE_WARNINGS = ['-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-missing-field-initializers', '-Werror=implicit-function-declaration',
                    '-Werror=incompatible-pointer-types', '-Werror=int-conversion', '-Werror=return-type']
_CYTHON_WARNINGS = ['-Wno-unused-function', '-Wno-discarded-qualifiers', '-Wno-unused-variable', '-Werror=incompatible-pointer-types',
                    '-Werror=implicit-function-declaration']

# Undefined symbols that the interpreter or the sanitizer's run time provides.
_PROVIDED = re.compile(r'_?Py[A-Z_]|_Py|__asan_|__ubsan_|__sanitizer_|__lsan_')


@dataclass(frozen=True)
class Extension:
    """What to build: a folder of Cython modules and C files, and the module that gives the shared object its name."""

    package: str
    folder: Path
    main: str = '_native'
    link_pjsip: bool = True
    root: Path = ROOT

    @property
    def modules(self) -> list[Path]:
        return sorted(self.folder.glob('_*.pyx'))

    @property
    def sources(self) -> list[Path]:
        return sorted((self.folder / 'native').glob('*.c'))


CORE = Extension('sipsimple.core', ROOT / 'sipsimple' / 'core')


def so_name(main: str = '_native') -> str:
    """File name of the shared object for this Python, for example _native.cpython-311-x86_64-linux-gnu.so."""
    return main + str(sysconfig.get_config_var('EXT_SUFFIX') or '.so')


class _State:
    """What was built from which inputs; content digests are remembered by size and time stamp, so unchanged files are not read again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outputs: dict[str, dict[str, Any]] = {}
        self._digests: dict[str, list[Any]] = {}
        try:
            data = json.loads(path.read_text(encoding='utf-8'))
            self.outputs, self._digests = data['outputs'], data['digests']
        except (OSError, ValueError, KeyError):
            pass

    def save(self) -> None:
        scratch = self.path.with_suffix('.new')
        scratch.write_text(json.dumps({'outputs': self.outputs, 'digests': self._digests}), encoding='utf-8')
        scratch.replace(self.path)

    def digest(self, path: str | Path) -> str | None:
        try:
            facts = os.stat(path)
        except OSError:
            return None
        known = self._digests.get(str(path))
        if known and known[0] == facts.st_size and known[1] == facts.st_mtime_ns:
            return str(known[2])
        value = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        self._digests[str(path)] = [facts.st_size, facts.st_mtime_ns, value]
        return value

    def current(self, output: Path, command: str) -> bool:
        """Whether `output` was made by `command` from inputs that are all as they were."""
        record = self.outputs.get(output.name)
        if record is None or record['command'] != command or not output.is_file():
            return False
        facts = output.stat()
        if record['made'] != [facts.st_size, facts.st_mtime_ns]:
            return False
        return all(self.digest(path) == value for path, value in record['inputs'].items())

    def record(self, output: Path, command: str, inputs: dict[str, str | None]) -> None:
        facts = output.stat()
        self.outputs[output.name] = {'command': command, 'made': [facts.st_size, facts.st_mtime_ns], 'inputs': inputs}


def _rule_prerequisites(path: Path) -> list[str]:
    """The prerequisites of a make rule as compilers and Cython write it."""
    text = path.read_text(encoding='utf-8', errors='surrogateescape').replace('\\\n', ' ')
    _, _, words = text.partition(': ')
    return [word.replace('\0', ' ') for word in words.split('\n')[0].replace('\\ ', '\0').split()]


def _run(command: Sequence[str], cwd: Path, what: str) -> str:
    if os.environ.get('SIPSIMPLE_BUILD_VERBOSE'):
        print('+ ' + shlex.join(command), flush=True)
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          check=False)
    if done.returncode:
        raise BuildError(f'{what} does not compile\n{done.stdout.rstrip()}')
    return done.stdout


class _Builder:
    def __init__(self, extension: Extension, flavour: str) -> None:
        self.extension = extension
        self.flavour = FLAVOURS[flavour]
        tag = sysconfig.get_config_var('SOABI') or 'python'
        self.folder = extension.root / 'build' / f'{flavour}-{tag}'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = _State(self.folder / 'state.json')
        self.pjsip = pjsip.ensure(self.flavour.pjsip) if extension.link_pjsip else None
        self.warnings: list[str] = []
        python = dict.fromkeys([sysconfig.get_path('include'), sysconfig.get_path('platinclude')])
        definitions = ['-DNDEBUG'] if self.flavour.pjsip == 'release' else []
        pj_flags = self.pjsip.cflags if self.pjsip else []
        common = ['-fPIC', '-fvisibility=hidden', '-fwrapv', '-fno-strict-aliasing', '-pthread', *definitions,
                  f'-ffile-prefix-map={extension.root}=.', *pj_flags, f'-I{extension.folder}', f'-I{extension.folder / "native"}']
        # UBSan sees signed overflow in our own C only where it is not defined to wrap.
        native_common = [word for word in common if word != '-fwrapv'] if self.flavour.pjsip == 'asan' else common
        self.native_flags = [*self.flavour.native, *_NATIVE_WARNINGS, *native_common]
        self.cython_flags = [*self.flavour.cython, *_CYTHON_WARNINGS, *common, *(f'-I{path}' for path in python)]

    def run(self) -> Path:
        modules, sources = self.extension.modules, self.extension.sources
        if not any(path.stem == self.extension.main for path in modules):
            raise BuildError(f'{self.extension.folder} has no {self.extension.main}.pyx')
        clash = {path.stem for path in modules} & {path.stem for path in sources}
        if clash:
            raise BuildError(f'a Cython module and a C file have the same name: {", ".join(sorted(clash))}')
        with step('native core') as current, concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
            # Longest first: a big module that starts last would leave the other cores idle.
            work = sorted([*modules, *sources], key=lambda path: (path.suffix != '.pyx', -path.stat().st_size))
            futures = {pool.submit(self._one, path): path for path in work}
            failures, compiled, objects = [], 0, []
            try:
                for future in concurrent.futures.as_completed(futures):
                    try:
                        made, item = future.result()
                    except BuildError as error:
                        failures.append(str(error))
                        continue
                    compiled += made
                    objects.append(item)
            finally:
                self.state.save()
            if failures:
                raise BuildError('\n'.join(failures))
            linked, output = self._link(sorted(objects))
            self.state.save()
            self._drop_orphans(modules, sources)
            current.outcome = f'{compiled} of {len(work)} files compiled' if compiled else 'linked' if linked else 'up to date'
        for text in self.warnings:
            print(text, flush=True)
        return output

    def _one(self, path: Path) -> tuple[bool, Path]:
        if path.suffix == '.pyx':
            generated, source = self._cythonize(path)
            made, output = self._compile(source, self.cython_flags, path.name)
            return made or generated, output
        return self._compile(path, self.native_flags, path.name)

    def _cythonize(self, path: Path) -> tuple[bool, Path]:
        output = self.folder / f'{path.stem}.c'
        module = f'{self.extension.package}.{path.stem}'
        root = self.extension.root
        relative = path.relative_to(root)
        command = [sys.executable, '-m', 'cython', '-3', '-M', '-X', 'embedsignature=True', '--module-name', module, '-I', '.',
                   '-o', str(output), str(relative)]
        key = shlex.join([_cython_version(), *command])
        if self.state.current(output, key):
            return False, output
        text = _run(command, root, str(relative))
        if text.strip():
            self.warnings.append(text.rstrip())
        rule = output.with_name(output.name + '.dep')
        names = _rule_prerequisites(rule) if rule.is_file() else []
        inputs = {str(relative): None, **dict.fromkeys(names)}
        resolved: dict[str, str | None] = {}
        for name in inputs:
            file = Path(name) if os.path.isabs(name) else _first_existing(name, root, self.folder)
            if file is not None and '/Cython/Includes/' not in str(file):
                resolved[str(file)] = self.state.digest(file)
        # A declaration file that appears later changes the meaning of the module without being listed now.
        for suffix in ('.pxd', '.pxi'):
            twin = path.with_suffix(suffix)
            resolved.setdefault(str(twin), self.state.digest(twin))
        self.state.record(output, key, resolved)
        return True, output

    def _compile(self, source: Path, flags: list[str], name: str) -> tuple[bool, Path]:
        output = self.folder / f'{source.stem}.o'
        rule = output.with_suffix('.d')
        command = [*compiler(), *flags, '-MMD', '-MF', str(rule), '-c', str(source), '-o', str(output)]
        key = shlex.join([self.pjsip.key if self.pjsip else '', *command])
        if self.state.current(output, key):
            return False, output
        text = _run(command, self.extension.root, name)
        if text.strip():
            self.warnings.append(text.rstrip())
        outside = str(self.pjsip.folder) if self.pjsip else None
        inputs: dict[str, str | None] = {}
        for word in _rule_prerequisites(rule):
            file = self.extension.root / word
            # PJSIP's headers are covered by the key of its build, Python's by the folder name.
            if (outside and str(file).startswith(outside)) or str(file).startswith((sysconfig.get_path('include'), '/usr/')):
                continue
            inputs[str(file)] = self.state.digest(file)
        self.state.record(output, key, inputs)
        return True, output

    def _link(self, objects: list[Path]) -> tuple[bool, Path]:
        output = self.folder / so_name(self.extension.main)
        link_map = self.folder / 'link.map'
        libraries = self.pjsip.libraries if self.pjsip else []
        names = [path.name for path in objects]
        command = [*compiler(), '-shared', '-pthread', *self.flavour.link, '-o', output.name + '.new', *names, *libraries,
                   '-Wl,-Bsymbolic', '-Wl,--exclude-libs,ALL', '-Wl,-z,defs', '-Wl,--warn-unresolved-symbols', '-Wl,-z,relro,-z,now',
                   f'-Wl,-Map={link_map.name}']
        key = shlex.join([self.pjsip.key if self.pjsip else '', *command])
        if self.state.current(output, key):
            return False, output
        text = _run(command, self.folder, 'the shared object')
        missing = sorted({name for name in re.findall(r"undefined reference to [`']([^']+)'", text) if not _PROVIDED.match(name)})
        if missing:
            more = f' and {len(missing) - 20} more' if len(missing) > 20 else ''
            raise BuildError(f'the native core uses symbols that nothing defines: {", ".join(missing[:20])}{more}')
        forbidden = pjsip.forbidden_members(link_map.read_text(encoding='utf-8', errors='replace'))
        if forbidden:
            raise BuildError(f'the native core pulls in parts of PJSIP that have known faults: {", ".join(forbidden)} (see {link_map})')
        os.replace(self.folder / (output.name + '.new'), output)
        self.state.record(output, key, {str(path): self.state.digest(path) for path in objects})
        return True, output

    def _drop_orphans(self, modules: list[Path], sources: list[Path]) -> None:
        wanted = {path.stem for path in [*modules, *sources]}
        for path in [*self.folder.glob('*.o'), *self.folder.glob('*.c')]:
            if path.stem not in wanted:
                path.unlink()
                self.state.outputs.pop(path.name, None)


def _first_existing(name: str, *folders: Path) -> Path | None:
    for folder in folders:
        path = Path(os.path.normpath(folder / name))
        if path.is_file():
            return path
    return None


def _cython_version() -> str:
    from importlib.metadata import PackageNotFoundError, version
    try:
        found = version('Cython')
    except PackageNotFoundError:
        raise BuildError('Cython 3 is not installed for this Python; install with: pip install "Cython>=3.1"') from None
    if int(found.split('.')[0]) < 3:
        raise BuildError(f'Cython {found} is too old; install with: pip install "Cython>=3.1"')
    return found


def build(flavour: str = 'develop', extension: Extension = CORE) -> Path:
    """Bring the shared object of `flavour` up to date and return its path in the build folder.

    Raises:
        BuildError: a tool is missing, or something does not compile or link.
    """
    if flavour not in FLAVOURS:
        raise BuildError(f'unknown flavour {flavour!r}; there are {", ".join(FLAVOURS)}')
    check_toolchain(python_headers=True)
    with file_lock(extension.root / 'build' / 'lock'):
        return _Builder(extension, flavour).run()


def build_inplace(flavour: str = 'develop', extension: Extension = CORE) -> Path:
    """build(), then put the shared object beside the Python modules; returns where it is."""
    made = build(flavour, extension)
    target = extension.folder / made.name
    if not (target.is_file() and target.stat().st_size == made.stat().st_size and target.stat().st_mtime_ns == made.stat().st_mtime_ns):
        scratch = target.with_name(f'.{target.name}.{os.getpid()}')
        shutil.copy2(made, scratch)
        scratch.replace(target)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of `python -m buildtools.cython_ext [flavour]`: build in place."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        print(build_inplace(words[0] if words else 'develop'))
    except BuildError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
