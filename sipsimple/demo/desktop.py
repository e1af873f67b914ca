"""A desktop to be shared, and who looks at it: an X server without a screen with the VNC server of TigerVNC, and vncdotool as the viewer."""

from __future__ import annotations

import importlib.util
import os
import queue
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from sipsimple.demo.process import DemoError

__all__ = ['Desktop', 'Viewer', 'difference', 'missing', 'pixels']

SIZE = 320, 240
START_LIMIT = 20.0              # seconds
VIEW_LIMIT = 20.0
END_LIMIT = 5.0


def missing() -> list[str]:
    """What is not installed, with the command that installs it."""
    lack = [] if shutil.which('Xtigervnc') else ['Xtigervnc (apt-get install tigervnc-standalone-server)']
    modules = {'vncdotool': 'vncdotool', 'Xlib': 'python-xlib'}
    return lack + [f'{package} (pip install {package})' for name, package in modules.items() if importlib.util.find_spec(name) is None]


class Desktop:
    """The desktop, and its VNC server at 127.0.0.1.

    Args:
        size: width and height in pixels.
    Attributes:
        size: the same.
        port: where a viewer can connect.
        process: the server.
    Raises:
        DemoError: it does not start.
    """

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        self.size = size
        self._log = tempfile.TemporaryFile()        # noqa: SIM115 - lives as long as the process
        self.port = 0
        self._display: Any = None
        for _ in range(5):              # the port may be taken meanwhile
            with socket.create_server(('127.0.0.1', 0)) as probe:
                self.port = probe.getsockname()[1]
            name = self._start()
            if name is not None:
                break
        else:
            raise DemoError(f'Xtigervnc does not start{_last_words(self._log)}')
        try:
            from Xlib import display
            self._display = display.Display(f':{name}')
            self._root: Any = self._display.screen().root
            self._context: Any = self._root.create_gc()
            from PIL import Image
            self._picture = Image.new('RGB', size)
        except Exception as error:
            self.stop()
            raise DemoError(f'the X server cannot be used: {error}') from error

    def _start(self) -> str | None:
        """Start the server; returns the number of its display, None if it does not get so far."""
        reading, writing = os.pipe()
        # No cursor, which is part of the picture for some viewers; and what was painted stays when its painter has gone.
        self.process = subprocess.Popen(
            ['Xtigervnc', '-displayfd', str(writing), '-rfbport', str(self.port), '-interface', '127.0.0.1', '-localhost=1', '-SecurityTypes', 'None',
             '-desktop', 'sipsimple', '-geometry', f'{self.size[0]}x{self.size[1]}', '-depth', '24', '-nolisten', 'tcp', '-nocursor', '-noreset'],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, pass_fds=[writing], env={**os.environ, 'LD_PRELOAD': ''})
        os.close(writing)
        answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def read() -> None:
            with os.fdopen(reading, 'rb') as file:
                answers.put(file.readline())
        threading.Thread(target=read, daemon=True).start()
        try:
            number = answers.get(timeout=START_LIMIT).decode().strip()
        except queue.Empty:
            number = ''
        if number and self._listens():
            return number
        self._end()
        return None

    def _listens(self) -> bool:
        try:
            with socket.create_connection(('127.0.0.1', self.port), START_LIMIT) as connection:
                return connection.recv(3) == b'RFB'
        except OSError:
            return False

    def paint(self, seed: int, box: tuple[int, int, int, int] | None = None) -> bytes:
        """Paint a rectangle (left, top, width, height; None for all) in many colours; returns the pixels of the whole screen."""
        from PIL import Image
        left, top, width, height = box or (0, 0, *self.size)
        picture = Image.frombytes('RGB', (width, height), random.Random(seed).randbytes(width * height * 3))
        self._root.put_pil_image(self._context, left, top, picture)
        self._display.sync()
        self._picture.paste(picture, (left, top))
        return bytes(self._picture.tobytes())

    def stop(self) -> None:
        """End the server."""
        if self._display is not None:
            self._display.close()
            self._display = None
        self._end()

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Viewer:
    """A viewer, looking at the server at an address. See `viewer`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._log = tempfile.TemporaryFile()        # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen([sys.executable, '-m', 'sipsimple.demo.viewer', address[0], str(address[1])], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line.strip())
        self._answers.put('')

    def ask(self, what: str, file: Path) -> None:
        """Have 'all' of the screen or its 'changes' saved to a file; see `wait`."""
        assert self._process.stdin is not None
        try:
            print(what, file, file=self._process.stdin, flush=True)
        except OSError:
            pass                        # it has ended, which `wait` says

    def wait(self, limit: float = VIEW_LIMIT) -> None:
        """Wait until it is saved.

        Raises:
            DemoError: the viewer has ended, or nothing comes.
        """
        try:
            answer = self._answers.get(timeout=limit)
        except queue.Empty:
            raise DemoError(f'the VNC viewer has got no picture in {limit:.0f} seconds') from None
        if answer != 'done':
            raise DemoError(f'the VNC viewer has ended{_last_words(self._log)}')

    def see(self, what: str, file: Path) -> bytes:
        """`ask` and `wait`; returns the pixels."""
        self.ask(what, file)
        self.wait()
        return pixels(file)

    def see_changes(self, file: Path, expected: bytes, limit: float = VIEW_LIMIT) -> bytes:
        """Follow further changes until the screen, last saved in the file, is as expected, as a server may tell them bit by bit; returns its pixels."""
        until = time.monotonic() + limit
        seen = pixels(file)
        while seen != expected and time.monotonic() < until:
            self.ask('changes', file)
            try:
                self.wait(max(0.1, until - time.monotonic()))
            except DemoError:
                break
            seen = pixels(file)
        return seen

    def stop(self) -> None:
        """Close the viewer, whatever it waits for."""
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def pixels(file: Path) -> bytes:
    """The pixels of a picture, row by row, three bytes each: red, green, blue."""
    from PIL import Image
    with Image.open(file) as picture:
        return bytes(picture.convert('RGB').tobytes())


def difference(one: bytes, other: bytes) -> int:
    """How many pixels differ; all if the sizes do."""
    if len(one) != len(other):
        return max(len(one), len(other)) // 3
    return sum(one[place:place + 3] != other[place:place + 3] for place in range(0, len(one), 3))


def _last_words(log: IO[bytes]) -> str:
    """What a process wrote last into its log."""
    size = os.fstat(log.fileno()).st_size
    lines = [line.strip() for line in os.pread(log.fileno(), size, 0).decode('utf-8', 'replace').splitlines() if line.strip()]
    return f' ({lines[-1]})' if lines else ''
