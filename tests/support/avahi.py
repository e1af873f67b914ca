"""Avahi in a namespace: another implementation of mDNS and DNS-SD. It has a message bus of its own, over which its tools ask it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Self

from tests.support.namespaces import Host
from tests.support.programs import environment
from tests.support.require import SEARCH_PATH

__all__ = ['Avahi']

LIMIT = 30.0            # seconds

BUS = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
'''

SETTINGS = '''[server]
host-name=avahi
use-ipv4=yes
use-ipv6=yes
allow-interfaces={device}
[publish]
publish-workstation=no
[rlimits]
'''

# Its files have fixed places; those of the namespace get folders of their own there.
START = 'mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && exec "$@"'


class Avahi:
    """The daemon on a host. A context manager.

    Args:
        folder: for its files.
    """

    def __init__(self, host: Host, folder: Path, device: str = 'eth0') -> None:
        self.host = host
        self.folder = folder
        self._environment = {**environment(), 'PATH': SEARCH_PATH, 'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={folder}/bus', 'LC_ALL': 'C.UTF-8'}
        (folder / 'bus.conf').write_text(BUS.format(folder=folder))
        (folder / 'avahi.conf').write_text(SETTINGS.format(device=device))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            with open(self.folder / 'avahi.log', 'ab') as log:
                self._start(log, 'dbus-daemon', f'--config-file={self.folder}/bus.conf', '--nofork', '--nopidfile')
                self._until((self.folder / 'bus').exists)
                self._start(log, 'sh', '-c', START, 'sh', 'avahi-daemon', '-f', str(self.folder / 'avahi.conf'), '--no-drop-root', '--no-chroot', '--no-rlimits', '--debug')
                self._until(lambda: 'Server startup complete' in self.log())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        self._stop()

    def _start(self, log: IO[bytes], *command: str) -> None:
        self._processes.append(self.host.popen(*command, stdout=log, stderr=log, env=self._environment, start_new_session=True))

    def _until(self, condition: object) -> None:
        end = time.monotonic() + LIMIT
        while not condition():      # type: ignore[operator]
            assert time.monotonic() < end and all(process.poll() is None for process in self._processes), self.log()
            time.sleep(0.02)

    def _stop(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / 'avahi.log').read_text(errors='replace')[-6000:]

    def browse(self, type: str) -> list[list[str]]:
        """Instances of a type, resolved, as `avahi-browse` prints them: interface, protocol, name, type, domain, host, address, port, TXT."""
        done = subprocess.run([*self.host.prefix, 'avahi-browse', '--resolve', '--parsable', '--no-db-lookup', '--terminate', type], env=self._environment, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.decode('utf-8', 'replace').splitlines()
        return [line.split(';', 9)[1:] for line in lines if line.startswith('=')]

    def publish(self, name: str, type: str, port: int, *texts: str) -> subprocess.Popen[bytes]:
        """Publish an instance, until the process is ended."""
        with open(self.folder / 'avahi.log', 'ab') as log:
            self._start(log, 'avahi-publish', '--service', name, type, str(port), *texts)
        return self._processes[-1]
