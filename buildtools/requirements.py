"""Which Debian packages the project needs, and which of them are missing here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig

from buildtools.report import BuildError

__all__ = ['BUILD_HEADERS', 'BUILD_PROGRAMS', 'OPTIONAL_HEADERS', 'TEST_PACKAGES', 'build_packages', 'check_toolchain', 'compiler', 'has_header',
           'missing_headers', 'test_packages']

# program -> package
BUILD_PROGRAMS = {'make': 'make', 'patch': 'patch', 'ar': 'binutils', 'xz': 'xz-utils'}

# header -> package
BUILD_HEADERS = {
    'stdlib.h': 'libc6-dev',
    'alsa/asoundlib.h': 'libasound2-dev',
    'gsm/gsm.h': 'libgsm1-dev',
    'openssl/ssl.h': 'libssl-dev',
    'opus/opus.h': 'libopus-dev',
    'speex/speex.h': 'libspeex-dev',
    'speex/speex_resampler.h': 'libspeexdsp-dev',
    'srtp2/srtp.h': 'libsrtp2-dev',
    'uuid/uuid.h': 'uuid-dev',
}

# Used when present, never required.
OPTIONAL_HEADERS = {'bcg729/encoder.h': 'libbcg729-dev'}

# Servers and peers of the interoperability tests, and what makes speech samples. None of them needs to run as a service.
TEST_PACKAGES = (
    'kamailio', 'kamailio-presence-modules', 'kamailio-xml-modules', 'kamailio-tls-modules', 'kamailio-websocket-modules', 'kamailio-extra-modules',
    'kamailio-outbound-modules', 'kamailio-utils-modules', 'coturn', 'dnsmasq-base', 'openssl', 'sip-tester', 'baresip-core', 'linphone-cli',
    'espeak-ng', 'sox',
)

TEST_SERVICES = ('kamailio', 'coturn', 'dnsmasq')


def compiler() -> list[str]:
    """The C compiler as words of a command: $CC, else the one Python was built with when it is installed, else cc or gcc.

    Raises:
        BuildError: there is none.
    """
    candidates = [os.environ.get('CC', ''), sysconfig.get_config_var('CC') or '', 'gcc', 'cc']
    for candidate in candidates:
        words = candidate.split()
        if words and shutil.which(words[0]):
            return words
    raise BuildError('no C compiler found: install one with "apt-get install gcc libc6-dev"')


def missing_headers(headers: dict[str, str], include: tuple[str, ...] = ()) -> list[str]:
    """The packages of those `headers` the compiler does not find (one run of its preprocessor)."""
    text = ''.join(f'#if !__has_include(<{header}>)\nMISSING {package}\n#endif\n' for header, package in headers.items())
    command = [*compiler(), *(f'-I{folder}' for folder in include), '-E', '-P', '-x', 'c', '-']
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f'the C compiler {compiler()[0]!r} does not work: {done.stderr.strip().splitlines()[-1:]}')
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith('MISSING ')]


def has_header(header: str) -> bool:
    """Whether the compiler finds `header`."""
    return not missing_headers({header: 'x'})


def python_dev_package() -> str | None:
    """The package with this Python's headers when they are missing; None when they are there.

    Raises:
        BuildError: they are missing, and this Python is not the system's, so no package brings them.
    """
    folders = dict.fromkeys([sysconfig.get_path('include'), sysconfig.get_path('platinclude')])
    if any(os.path.isfile(os.path.join(folder, 'Python.h')) for folder in folders):
        return None
    if os.path.dirname(os.path.realpath(sys.executable)) != '/usr/bin':
        raise BuildError(f'{sys.executable} has no header files (looked for Python.h in {" and ".join(folders)}): install the development part of that Python')
    return f'python{sys.version_info[0]}.{sys.version_info[1]}-dev'


def _missing(headers: dict[str, str], python_headers: bool) -> list[str]:
    """The packages of the programs and of those `headers` that are not there, in one list for one command."""
    packages = [package for program, package in BUILD_PROGRAMS.items() if not shutil.which(program)]
    try:
        packages += missing_headers(headers)
    except BuildError:
        if any(shutil.which(program) for program in ('gcc', 'cc')) or os.environ.get('CC'):
            raise               # there is a compiler, but it does not work
        # Without a compiler nobody can say which headers there are; naming them all costs nothing.
        packages += ['gcc', *headers.values()]
    python = python_dev_package() if python_headers else None
    return list(dict.fromkeys([*packages, *([python] if python else [])]))


def check_toolchain(python_headers: bool = False) -> None:
    """Check that everything a build needs is installed.

    Raises:
        BuildError: names in one line all packages to install.
    """
    packages = _missing(BUILD_HEADERS, python_headers)
    if packages:
        raise BuildError('missing for the build; install with: apt-get install ' + ' '.join(packages))


def build_packages() -> list[str]:
    """The Debian packages a build needs and this machine lacks; optional ones included, an installed equivalent counts."""
    return _missing({**BUILD_HEADERS, **OPTIONAL_HEADERS}, python_headers=True)


def test_packages() -> list[str]:
    """The packages of TEST_PACKAGES that are not installed."""
    try:
        done = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Abbrev}\n', *TEST_PACKAGES], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ['ii']}
    return [package for package in TEST_PACKAGES if package not in installed]
