"""Components of the interop lab, started on demand.

The lab is a script beside the project (`../shared/interop/lab`, or where SIPSIMPLE_LAB points to); it starts real servers
on loopback. Each Lab has its own folder and its own ports, so that several may run at once, and stops exactly what it
started.

In a test module:

    dns_lab = lab_fixture('dns')

    def test_it(dns_lab):
        dns_lab.port('DNS')
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Self

import pytest

from tests.support.require import SEARCH_PATH, not_installed

PROJECT = Path(__file__).resolve().parents[2]

# component: (Debian packages, programs of theirs)
REQUIREMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    'certs': ('openssl', ('openssl',)),
    'dns': ('dnsmasq-base', ('dnsmasq',)),
    'kamailio': ('kamailio and its modules', ('kamailio',)),
    'kamailio256': ('kamailio and its modules', ('kamailio',)),
    'msrp': ('kamailio and its modules', ('kamailio',)),
    'turn': ('coturn', ('turnserver',)),
    'vnc': ('tigervnc-standalone-server, tigervnc-tools', ('Xtigervnc', 'vncpasswd')),
    'avahi': ('avahi-daemon, avahi-utils, dbus-daemon', ('avahi-daemon', 'avahi-publish', 'dbus-daemon')),
}
# component: its ports in the lab's environment
PORTS: dict[str, tuple[str, ...]] = {
    'dns': ('DNS_PORT',),
    'kamailio': ('SIP_PORT', 'SIPS_PORT', 'SIPS_MTLS_PORT', 'HTTP_PORT', 'HTTPS_PORT'),
    'msrp': ('MSRP_PORT', 'MSRPS_PORT'),
    'turn': ('TURN_PORT', 'TURNS_PORT', 'TURN_ALT_PORT', 'TURNS_ALT_PORT'),
    'vnc': ('VNC_PORT', 'VNC_NONE_PORT', 'VNC_TLS_PORT'),
}
OFFSETS = range(300, 6300, 300)     # offset 0 is left to a lab started by hand
START_LIMIT = 60                    # seconds


class LabError(Exception):
    """The lab did not do what it was told; the text has what it printed."""


def lab_script() -> Path | None:
    """Return the lab's control script, if it is there."""
    path = Path(os.environ.get('SIPSIMPLE_LAB') or PROJECT.parent / 'shared' / 'interop' / 'lab')
    return path.resolve() if path.is_file() else None


def missing_requirements(*components: str) -> list[str]:
    """Return what has to be installed for the components, as text."""
    missing: dict[str, list[str]] = {}
    for component in ('certs', *components):
        packages, programs = REQUIREMENTS[component]
        for program in programs:
            if shutil.which(program, path=SEARCH_PATH) is None:
                missing.setdefault(packages, []).append(program)
    return [f'{packages} ({", ".join(sorted(set(programs)))})' for packages, programs in missing.items()]


def require(*components: str) -> Path:
    """Return the lab's script, or end the running test: skipped, or failed in CI when only a package is missing."""
    script = lab_script()
    if script is None:
        pytest.skip('no interop lab: neither SIPSIMPLE_LAB nor ../shared/interop/lab is a file')
    missing = missing_requirements(*components)
    if missing:
        not_installed(f'the interop lab needs the packages {"; ".join(missing)}')
    return script


class Lab:
    """Some components, from `start()` to `stop()`; a context manager as well.

    Args:
        components: of REQUIREMENTS
        settings: LAB_... variables, such as LAB_NONCE_EXPIRE='5'
        kamailio_memory: shared memory of Kamailio in MB; None: what the lab gives it

    Attributes:
        env: what `lab env` says: LAB_SIP_PORT, LAB_CERTS ... (after start)
        dir: the state folder, logs in `run/<name>.log`
    """

    def __init__(self, *components: str, settings: Mapping[str, str] | None = None, kamailio_memory: int | None = None) -> None:
        unknown = set(components) - set(REQUIREMENTS)
        if unknown or not components:
            raise ValueError(f'no components {sorted(unknown)}; there are {sorted(REQUIREMENTS)}')
        self.components = components
        self.settings = dict(settings or {})
        self._kamailio_memory = kamailio_memory
        self.env: dict[str, str] = {}
        self._script: Path | None = None
        self._reservation: IO[bytes] | None = None
        self._dir: Path | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def dir(self) -> Path:
        if self._dir is None:
            raise LabError('the lab is not started')
        return self._dir

    @property
    def certs(self) -> Path:
        """The folder with ca.pem, server.pem, client.pem ..."""
        return self.dir / 'certs'

    def port(self, name: str) -> int:
        """Return a port by its name in the lab's README: 'SIP', 'DNS', 'TURN' ..."""
        return int(self.env[f'LAB_{name}_PORT'])

    @property
    def nameservers(self) -> list[tuple[str, int]]:
        """For DNSManager().nameservers; set before anything starts the manager, no packet leaves the machine."""
        return [('127.0.0.1', self.port('DNS'))]

    def log(self, name: str) -> str:
        """Return what a component has written."""
        return (self.dir / 'run' / f'{name}.log').read_text(errors='replace')

    def start(self) -> Self:
        """Start the components and return when they answer; skip or fail the test when they are not there."""
        self._script = require(*self.components)
        self._dir = Path(tempfile.mkdtemp(prefix='sipsimple-lab-'))
        atexit.register(self.stop)
        try:
            if self._kamailio_memory is not None:
                self._wrap_kamailio(self._kamailio_memory)
            self._reserve_ports()
            self._run('start', *self.components)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what was started and remove its folder; does nothing when nothing runs."""
        if self._dir is None:
            return
        atexit.unregister(self.stop)
        self._run('stop', *self.components)     # when this fails, the folder stays: it knows the process ids
        shutil.rmtree(self._dir, ignore_errors=True)
        self._dir = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def stop_component(self, *components: str) -> None:
        """Stop some of the components, to see what clients make of it."""
        self._run('stop', *components)

    def start_component(self, *components: str) -> None:
        """Start components again, or further ones."""
        require(*components)
        self.components = tuple(dict.fromkeys([*self.components, *components]))
        self._run('start', *components)

    def _wrap_kamailio(self, megabytes: int) -> None:
        """Put a program of that name before the real one: of several -m the last one counts."""
        folder = self.dir / 'programs'
        folder.mkdir()
        program = folder / 'kamailio'
        program.write_text(f'#!/bin/sh\nexec "{shutil.which("kamailio", path=SEARCH_PATH)}" "$@" -m {megabytes}\n')
        program.chmod(0o755)

    def _reserve_ports(self) -> None:
        """Take an offset which no other lab has and whose ports are free."""
        for offset in OFFSETS:
            reservation = open(Path(tempfile.gettempdir()) / f'sipsimple-lab-{os.getuid()}-{offset}.lock', 'ab')  # noqa: SIM115 - held until stop()
            try:
                fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                reservation.close()
                continue
            self.settings['LAB_PORT_OFFSET'] = str(offset)
            output = self._run('env')
            self.env = dict(item.split('=', 1) for item in shlex.split(output))
            if all(_is_free(port) for port in self._ports()):
                self._reservation = reservation
                return
            reservation.close()
        raise LabError('no free ports for the lab')

    def _ports(self) -> list[int]:
        ports: list[int] = []
        for component in self.components:
            shift = 100 if component == 'kamailio256' else 0
            names = PORTS.get('kamailio' if component == 'kamailio256' else component, ())
            ports += [int(self.env[f'LAB_{name}']) + shift for name in names]
        return ports

    def _run(self, *arguments: str) -> str:
        # The servers keep their standard streams in their logs, but a file is safer than a pipe, which they could hold open.
        environment = {**os.environ, 'LD_PRELOAD': '', **self.settings, 'LAB_DIR': str(self.dir), 'PATH': f'{self.dir / "programs"}:{SEARCH_PATH}'}
        with tempfile.TemporaryFile() as output:
            process = subprocess.run(['bash', str(self._script), *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, timeout=START_LIMIT, check=False)
            output.seek(0)
            text = output.read().decode(errors='replace')
        if process.returncode != 0:
            raise LabError(f'lab {" ".join(arguments)} failed with {process.returncode}:\n{text}')
        return text


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with contextlib.closing(socket.socket(socket.AF_INET, kind)) as test_socket:
            if kind == socket.SOCK_STREAM:
                test_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                test_socket.bind(('127.0.0.1', port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
                raise
    return True


def lab_fixture(*components: str, scope: Literal['session', 'module', 'function'] = 'module', kamailio_memory: int | None = None,
                **settings: str) -> Callable[..., Any]:
    """Make a fixture which is a running Lab; assign it to a name in the test module."""
    @pytest.fixture(scope=scope)
    def lab() -> Iterator[Lab]:
        with Lab(*components, settings=settings, kamailio_memory=kamailio_memory) as running:
            yield running
    return lab
