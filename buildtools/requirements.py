"""Which Debian packages the project needs, and which of them are missing here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence

from buildtools.report import BuildError

__all__ = ['BUILD_HEADERS', 'BUILD_PROGRAMS', 'DEMO_PACKAGES', 'OPTIONAL_HEADERS', 'TEST_PACKAGES', 'build_packages', 'check_toolchain', 'compiler',
           'has_header', 'missing_headers', 'not_installed']

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

# The desktop that the demo shares.
DEMO_PACKAGES = ('tigervnc-standalone-server',)

# Servers and peers of the interoperability tests, and what makes speech samples. None of them needs to run as a service.
TEST_PACKAGES = (
    'kamailio', 'kamailio-presence-modules', 'kamailio-xml-modules', 'kamailio-tls-modules', 'kamailio-websocket-modules', 'kamailio-extra-modules',
    'kamailio-outbound-modules', 'kamailio-utils-modules', 'coturn', 'dnsmasq-base', 'openssl', 'sip-tester', 'baresip-core', 'linphone-cli',
    'espeak-ng', 'sox', 'iproute2', 'avahi-daemon', 'avahi-utils', 'dbus-daemon', 'git', *DEMO_PACKAGES,
)

TEST_SERVICES = ('kamailio', 'coturn', 'dnsmasq', 'avahi-daemon')


def compiler() -> list[str]:
    """The C compiler as words of a command: $CC, else the one Python was built with when it is installed, else gcc or cc.

    Raises:
        BuildError: there is none, or $CC names one that is not there.
    """
    chosen = os.environ.get('CC', '').split()
    if chosen:
        if shutil.which(chosen[0]):
            return chosen
        raise BuildError(f'the C compiler that $CC names, {chosen[0]!r}, is not installed')
    for candidate in (sysconfig.get_config_var('CC') or '', 'gcc', 'cc'):
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
        words = done.stderr.strip().splitlines()[-1:]
        raise BuildError(f'the C compiler {" ".join(compiler())!r} does not work: ' + (words[0] if words else f'it ends with status {done.returncode}'))
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


def _missing_build_packages(python_headers: bool) -> list[str]:
    packages = [package for program, package in BUILD_PROGRAMS.items() if not shutil.which(program)]
    if _has_compiler():
        packages += missing_headers(BUILD_HEADERS)
    else:
        # Nobody can say now which headers there are; naming them all costs nothing, and one command does.
        packages += ['gcc', *BUILD_HEADERS.values()]
    python = python_dev_package() if python_headers else None
    return list(dict.fromkeys([*packages, *([python] if python else [])]))


def _has_compiler() -> bool:
    if os.environ.get('CC'):
        return True             # a wrong one is an error of its own
    try:
        return bool(compiler())
    except BuildError:
        return False


def check_toolchain(python_headers: bool = False) -> None:
    """Check that everything a build needs is installed.

    Raises:
        BuildError: names in one line all packages to install.
    """
    packages = _missing_build_packages(python_headers)
    if packages:
        raise BuildError('missing for the build; install with: apt-get install ' + ' '.join(packages))


def build_packages() -> tuple[list[str], list[str]]:
    """The Debian packages that this machine lacks: what a build needs, and what it makes use of. An installed equivalent counts."""
    optional = missing_headers(OPTIONAL_HEADERS) if _has_compiler() else list(OPTIONAL_HEADERS.values())
    return _missing_build_packages(python_headers=True), optional


def not_installed(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    try:
        done = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Abbrev}\n', *packages], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ['ii']}
    return [package for package in packages if package not in installed]
