"""The program behind ./build_inplace: system packages, virtual environment, PJSIP and the extension in place; then the demo or the tests.

Every step looks first whether there is anything to do, so a second run takes seconds. Needs nothing but Python 3.11 and apt.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from buildtools import check_system, requirements
from buildtools.report import BuildError, run, say, step

__all__ = ['main', 'override']

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
USAGE = 'usage: ./build_inplace [--debug | --asan] [demo [arguments] | test [pytest arguments]]'


# ---- system packages ----

def _privileged() -> list[str] | None:
    """The prefix that makes a command run as root; None when there is no way."""
    if os.geteuid() == 0:
        return []
    if shutil.which('sudo'):
        if subprocess.run(['sudo', '-n', 'true'], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0:
            return ['sudo', '-n']
        if sys.stdin.isatty():
            return ['sudo']
    return None


def _known_to_apt(packages: Sequence[str]) -> set[str]:
    """Those of the packages that apt could install, by its lists as they are now."""
    known: set[str] = set()
    done = subprocess.run(['apt-cache', 'policy', *packages], capture_output=True, text=True, env={**os.environ, 'LC_ALL': 'C'}, check=False)
    name = ''
    for line in done.stdout.splitlines():
        if line and not line.startswith(' '):
            name = line.rstrip(':')
        elif line.startswith('  Candidate:') and '(none)' not in line:
            known.add(name)
    return known


@contextlib.contextmanager
def _no_services(prefix: list[str]) -> Iterator[None]:
    """Keep packages that are installed meanwhile from starting services (Debian's policy-rc.d)."""
    policy = Path('/usr/sbin/policy-rc.d')
    if policy.exists():
        yield
        return
    run([*prefix, 'sh', '-c', f"printf '#!/bin/sh\\nexit 101\\n' > {policy} && chmod 755 {policy}"], what='writing policy-rc.d')
    try:
        yield
    finally:
        run([*prefix, 'rm', '-f', str(policy)], what='removing policy-rc.d')


def _install(required: list[str], optional: list[str]) -> str:
    """Install Debian packages, the optional ones as far as there are such; returns the closing word of the step.

    Raises:
        BuildError: required ones are missing; the text is the one command that installs everything when this process may not.
    """
    # What the archive does not have is looked for once, or every run would fetch its lists anew.
    record = ROOT / 'build' / 'packages-not-available'
    unavailable = set(record.read_text(encoding='utf-8').split()) if record.is_file() else set()
    optional = [package for package in optional if package not in unavailable]
    if not required and not optional:
        return f'up to date, not available: {" ".join(sorted(unavailable))}' if unavailable else 'up to date'
    if not shutil.which('apt-get'):
        if not required:
            return f'no apt here; missing, but not required: {" ".join(optional)}'
        raise BuildError(f'these Debian packages (or what your system calls them) are missing: {" ".join(required)}')
    prefix = _privileged()
    if prefix is None:
        words = 'apt-get install -y --no-install-recommends ' + ' '.join([*required, *optional])
        if required:
            raise BuildError(f'run this as root first: {words}')
        say(f'  (missing, but not required; run this as root to have them: {words})')
        return 'some optional ones missing'
    apt = [*prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C', 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=600']
    if not _known_to_apt([*required, *optional]) >= {*required, *optional}:
        _run_installer([*apt, 'update'], 'apt-get update')
    install = ['install', '-y', '--no-install-recommends']
    known = _known_to_apt(optional) if optional else set()
    if known and not _succeeds([*apt, '-s', *install, *required, *sorted(known)]):
        # One that conflicts, or whose dependencies are broken, must not keep out the others.
        known = {package for package in known if _succeeds([*apt, '-s', *install, *required, package])}
    unavailable |= {*optional} - known
    wanted = [*required, *(package for package in optional if package in known)]
    if wanted:
        with _no_services(prefix):
            _run_installer([*apt, *install, *wanted], 'apt-get install')
    if unavailable:
        record.parent.mkdir(exist_ok=True)
        record.write_text(' '.join(sorted(unavailable)) + '\n', encoding='utf-8')
    if Path('/run/systemd/system').is_dir():
        for service in requirements.TEST_SERVICES:
            if service in wanted:
                subprocess.run([*prefix, 'systemctl', 'disable', '--now', service], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return f'{len(wanted)} installed' + (f', not available: {" ".join(sorted(unavailable))}' if unavailable else '')


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _run_installer(command: list[str | Path], what: str) -> None:
    """Run apt or pip; of what they write, only the reasons of an error are of interest."""
    try:
        run(command, what=what)
    except BuildError as error:
        lines = str(error).splitlines()
        reasons = [line.split(': ', 1)[1] for line in lines[1:] if line.startswith(('E: ', 'ERROR: '))]
        raise BuildError(f'{lines[0]}: {"; ".join(reasons[:3])}' if reasons else str(error)) from None


def system_packages(command: str = '') -> None:
    """Install what the build needs; for 'test' also the servers and peers of the tests, for 'demo' its desktop: what of those is missing, they say."""
    with step('system packages') as current:
        required, optional = requirements.build_packages()
        if not VENV.is_dir() and not _has_venv():
            required.append(f'python{sys.version_info[0]}.{sys.version_info[1]}-venv')
        if command == 'test':
            optional += requirements.not_installed(requirements.TEST_PACKAGES)
        elif command == 'demo':
            optional += requirements.not_installed(requirements.DEMO_PACKAGES)
        current.outcome = _install(required, optional)


# ---- Python ----

def _has_venv() -> bool:
    return subprocess.run([sys.executable, '-c', 'import venv, ensurepip'], capture_output=True, check=False).returncode == 0


def _python() -> Path:
    return VENV / 'bin' / 'python'


def environment(groups: Sequence[str], wanted: Sequence[str] = ()) -> None:
    """Create .venv when there is none and install the project's dependencies and those of `groups` into it, and those of `wanted` if that is possible."""
    if not _python().exists():
        with step('virtual environment (.venv)'):
            run([sys.executable, '-m', 'venv', VENV], what='creation of .venv')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
    extras: dict[str, list[str]] = project['project']['optional-dependencies']
    required = [*project['build-system']['requires'], *project['project']['dependencies'], *(item for group in groups for item in extras[group])]
    with step('Python dependencies') as current:
        count = _pip(required)
        try:
            count += _pip([item for group in wanted for item in extras[group]])
        except BuildError as error:
            say(f'  (missing, but not required: {error})')
        current.outcome = f'{count} checked or installed' if count else 'up to date'
        # Makes the tree importable from anywhere with .venv/bin/python.
        for packages in (VENV / 'lib').glob('python3*/site-packages'):
            path = packages / 'sipsimple-inplace.pth'
            if not path.is_file() or path.read_text(encoding='utf-8').strip() != str(ROOT):
                path.write_text(f'{ROOT}\n', encoding='utf-8')


def _pip(wanted: list[str]) -> int:
    """Install packages into .venv unless that was done before; returns how many were new."""
    marker = VENV / '.sipsimple-dependencies'
    wanted = list(dict.fromkeys(wanted))
    done = set(marker.read_text(encoding='utf-8').splitlines()) if marker.is_file() else set()
    missing = [item for item in wanted if item not in done]
    if missing:
        _run_installer([_python(), '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-input', *wanted], 'pip install')
        marker.write_text('\n'.join(sorted(done | set(wanted))) + '\n', encoding='utf-8')
    return len(missing)


# ---- the native core, and what runs with it ----

def native(flavour: str, in_place: bool) -> Path:
    """Build the native core with the environment's Python (it has Cython); returns the shared object."""
    code = ('import sys\nfrom buildtools import cython_ext\nfrom buildtools.report import BuildError\n'
            f'build = cython_ext.build_inplace if {in_place} else cython_ext.build\n'
            'try:\n    path = build(sys.argv[1])\nexcept BuildError as error:\n    sys.exit(f"error: {error}")\n'
            'open(sys.argv[2], "w").write(str(path))\n')
    answer = ROOT / 'build' / f'.result-{os.getpid()}'
    answer.parent.mkdir(exist_ok=True)
    try:
        if subprocess.run([_python(), '-c', code, flavour, answer], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            raise SystemExit(1)
        return Path(answer.read_text(encoding='utf-8'))
    finally:
        answer.unlink(missing_ok=True)


def _sanitizer_environment(reports: Path) -> dict[str, str]:
    preload = [run([*requirements.compiler(), f'-print-file-name={name}']).strip() for name in ('libasan.so', 'libubsan.so', 'libstdc++.so.6')]
    missing = [path for path in preload if not os.path.isabs(path)]
    if missing:
        raise BuildError(f'the sanitizer library {missing[0]} is missing; install with: apt-get install gcc libstdc++6')
    reports.mkdir(parents=True, exist_ok=True)
    log = reports / 'report'
    # An abort is a report, too: of a failed assert in a child process nothing would be seen but its status.
    # UBSan beside ASan does not heed log_path; buildtools/override/sitecustomize.py tells it by a call, else its reports end in captured output.
    return {'LD_PRELOAD': ' '.join(preload), 'PYTHONMALLOC': 'malloc', 'ASAN_OPTIONS': f'detect_leaks=0:handle_abort=1:log_path={log}',
            'UBSAN_OPTIONS': 'print_stacktrace=1', 'SIPSIMPLE_UBSAN': preload[1], 'SIPSIMPLE_SANITIZER_REPORT': str(log)}


def override(flavour: str, shared_object: Path) -> dict[str, str]:
    """The environment in which Python loads `shared_object` instead of the build in place, which other processes may be using."""
    search = [str(ROOT / 'buildtools' / 'override'), os.environ.get('PYTHONPATH', '')]
    return {'SIPSIMPLE_NATIVE': str(shared_object), 'SIPSIMPLE_FLAVOUR': flavour, 'PYTHONPATH': os.pathsep.join(filter(None, search))}


def _reports(folder: Path) -> int:
    """Print what the sanitizers wrote during the run; returns how many processes had something to say."""
    found = [path for path in sorted(folder.glob('report.*')) if path.stat().st_size]
    for path in found[:5]:
        say(f'---- {path.name}')
        say('\n'.join(path.read_text(encoding='utf-8', errors='replace').splitlines()[:60]))
    if found:
        say(f'error: the sanitizers reported in {len(found)} processes; the reports are in {folder}', sys.stderr)
    return len(found)


def launch(words: list[str], flavour: str, shared_object: Path) -> int:
    """Run .venv/bin/python with `words` on the given build; returns its exit status, or 1 when a sanitizer reported."""
    changed: dict[str, str] = {}
    # A folder of this run: another one in the same tree must not find, or remove, its reports.
    reports = ROOT / 'build' / 'asan-reports' / f'{time.strftime("%Y%m%d-%H%M%S")}-{os.getpid()}'
    if flavour != 'develop':
        changed.update(override(flavour, shared_object))
    if flavour == 'asan':
        changed.update(_sanitizer_environment(reports))
    if os.environ.get('SIPSIMPLE_BUILD_VERBOSE'):
        say('+ ' + shlex.join([f'{name}={value}' for name, value in changed.items()] + words))
    status = subprocess.run([_python(), *words], cwd=ROOT, env={**os.environ, **changed}, check=False).returncode
    if flavour == 'asan':
        if _reports(reports):
            return status or 1
        shutil.rmtree(reports)
    return status if status >= 0 else 128 - status


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of ./build_inplace; returns the exit status."""
    check_system()
    words = list(sys.argv[1:] if arguments is None else arguments)
    flavour = 'develop'
    while words and words[0] in ('--debug', '--asan'):
        flavour = words.pop(0)[2:]
    if words[:1] in (['-h'], ['--help']):
        say(USAGE)
        return 0
    command = words.pop(0) if words else ''
    if command not in ('', 'demo', 'test'):
        say(f'error: unknown argument {command!r}\n{USAGE}', sys.stderr)
        return 2
    try:
        system_packages(command)
        environment(['test', 'demo'] if command == 'test' else [], ['demo'] if command == 'demo' else [])
        shared_object = native(flavour, in_place=flavour == 'develop' or not command)
        if command == 'test':
            extra = ['-p', 'no:faulthandler', '-p', 'no:cacheprovider'] if flavour == 'asan' else []
            return launch(['-m', 'pytest', *extra, *words], flavour, shared_object)
        if command == 'demo':
            return launch(['-m', 'sipsimple.demo', *words], flavour, shared_object)
        if flavour == 'asan':
            settings = ' '.join(f'{name}={shlex.quote(value)}' for name, value in _sanitizer_environment(ROOT / 'build' / 'asan-reports').items())
            say(f'The sanitized core is in place; start Python with: {settings} .venv/bin/python')
    except BuildError as error:
        say(f'error: {error}', sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
