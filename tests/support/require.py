"""What a test needs beside Python and the project, and what becomes of the test when it is not there.

One rule: what can be installed here is a skip on a developer's machine and a failure in CI, where `./build_inplace test` was to install it. What
the machine itself lacks (IPv6, the lab) is a skip everywhere.

    from tests.support.require import require, require_module

    def test_call():
        require('baresip', 'sipp')
        aioice = require_module('aioice')
"""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

__all__ = ['PACKAGES', 'SEARCH_PATH', 'in_ci', 'missing_programs', 'native_core', 'not_installed', 'require', 'require_module']

# Servers are in the folders of the administrator's programs, which a user's PATH need not have.
SEARCH_PATH = os.pathsep.join([os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin'])

# program: its Debian package. All of them are in buildtools.requirements.TEST_PACKAGES, or nobody would install them.
PACKAGES = {
    'Xtigervnc': 'tigervnc-standalone-server',
    'avahi-browse': 'avahi-utils',
    'avahi-daemon': 'avahi-daemon',
    'baresip': 'baresip-core',
    'dbus-daemon': 'dbus-daemon',
    'dnsmasq': 'dnsmasq-base',
    'espeak-ng': 'espeak-ng',
    'git': 'git',
    'ip': 'iproute2',
    'kamailio': 'kamailio',
    'linphonec': 'linphone-cli',
    'openssl': 'openssl',
    'sipp': 'sip-tester',
    'sox': 'sox',
    'turnserver': 'coturn',
}


def in_ci() -> bool:
    """Tell whether this is a CI run."""
    return os.environ.get('CI', '').lower() in ('1', 'true', 'yes')


def not_installed(reason: str) -> NoReturn:
    """End the running test because something that can be installed is not: skipped, or failed in CI."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def native_core() -> Path:
    """Return the shared object that this run imports: the one in place, or another build that takes its place ($SIPSIMPLE_NATIVE)."""
    instead = os.environ.get('SIPSIMPLE_NATIVE')
    built = [Path(instead)] if instead else sorted((Path(__file__).parents[2] / 'sipsimple' / 'core').glob('_native*.so'))
    if not built:
        not_installed('the native core is not built; ./build_inplace does it')
    return built[0]


def missing_programs(*programs: str) -> list[str]:
    """Return those of the programs that are not there, as text with their packages."""
    return [f'{program} (apt-get install {PACKAGES[program]})' for program in programs if shutil.which(program, path=SEARCH_PATH) is None]


def require(*programs: str) -> None:
    """Go on only if all programs are there; they must be in PACKAGES."""
    missing = missing_programs(*programs)
    if missing:
        not_installed(f'not installed: {", ".join(missing)}')


def require_module(name: str) -> ModuleType:
    """Return a Python module of the `test` extra, or of the native core, which a checkout has only once it is built."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        not_installed(f'{name} cannot be imported ({error}); ./build_inplace test installs what the tests need')
