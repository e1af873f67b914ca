"""Kamailio with a configuration of the tests, where the one of the lab will not do."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.require import SEARCH_PATH

__all__ = ['Kamailio']

LIMIT = 30.0            # seconds


class Kamailio:
    """A process from start() to kill(); a context manager as well.

    Args:
        config: the configuration, that answers OPTIONS.
        values: what takes the place of @NAME@ in it; @RUN@ is the folder.
        folder: for what it writes, its configuration included.
        address: where it listens for UDP.
        defines: names for `#!ifdef`.
        popen, call: start a process, and call a function, in the namespace it is to be in.
    """

    def __init__(self, config: Path, values: Mapping[str, str], folder: Path, address: tuple[str, int], defines: tuple[str, ...] = (),
                 popen: Callable[..., subprocess.Popen[Any]] = subprocess.Popen, call: Callable[[Callable[[], object]], object] = lambda function: function()) -> None:
        self.folder = folder
        self.address = address
        self._defines = defines
        self._popen, self._call = popen, call
        self._process: subprocess.Popen[Any] | None = None
        text = config.read_text()
        for name, value in {**values, 'RUN': str(folder)}.items():
            text = text.replace(f'@{name}@', value)
        (folder / 'kamailio.cfg').write_text(text)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> Self:
        """Start it and return when it answers."""
        program = shutil.which('kamailio', path=SEARCH_PATH)
        assert program is not None
        command = [program, '-DD', '-E', '-m', '32', '-M', '8', '-Y', str(self.folder), '-w', str(self.folder), '-f', str(self.folder / 'kamailio.cfg')]
        for name in self._defines:
            command += ['-A', name]
        with open(self.folder / 'kamailio.log', 'ab') as log:
            popen: Any = self._popen
            self._process = popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self._call(self._wait)
        return self

    def _wait(self) -> None:
        host = f'[{self.address[0]}]' if ':' in self.address[0] else self.address[0]
        request = (f'OPTIONS sip:{host}:{self.address[1]} SIP/2.0\r\nVia: SIP/2.0/UDP {host};rport;branch=z9hG4bKtest{{}}\r\nFrom: <sip:test@{host}>;tag=1\r\n'
                   f'To: <sip:{host}>\r\nCall-ID: test{{}}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n')
        with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((self.address[0], 0))
            probe.settimeout(0.1)
            end = time.monotonic() + LIMIT
            for number in range(100000):
                assert time.monotonic() < end, self.log()
                assert self._process is not None and self._process.poll() is None, self.log()
                try:
                    probe.sendto(request.format(number, number).encode(), self.address)
                    if probe.recv(4096).startswith(b'SIP/2.0'):
                        return
                except OSError:
                    pass

    def kill(self) -> None:
        """End it without giving it a chance to say so to anybody."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / 'kamailio.log').read_text(errors='replace')[-4000:]
