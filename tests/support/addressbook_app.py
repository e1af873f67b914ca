"""The other end of `addressbook_agent.py`.

    with AddressbookApp(folder, 'one', {'alice@example.com': server.root}) as app:
        app('random', 'a', 100)
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any, Self

from tests.support.child import environment

LIMIT = 120.0           # seconds for one answer; the machine may be busy


class AddressbookApp:
    """The process. Kill it, and start it again with the same folder, at any time."""

    def __init__(self, folder: Path, name: str, accounts: dict[str, str], password: str = 'secret') -> None:
        self.folder = folder
        self.name = name
        self.accounts = accounts
        self.password = password
        self.process: Any = None
        self.errors: deque[str] = deque(maxlen=200)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *rest: object) -> None:
        if self.process is not None:
            self.kill()

    def start(self) -> None:
        words = [word for account in self.accounts.items() for word in account]
        self.process = subprocess.Popen([sys.executable, '-X', 'faulthandler', str(Path(__file__).with_name('addressbook_agent.py')), str(self.folder), self.name,
                                         self.password, *words], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        assert self._answer() == 'ready'

    def _read_errors(self, stream: Any) -> None:
        for line in stream:
            self.errors.append(line)

    def _answer(self) -> Any:
        timer = threading.Timer(LIMIT, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert line, ''.join(self.errors)
        return json.loads(line)

    def send(self, *command: Any) -> None:
        """Give a command; `answer` gets its result."""
        self.process.stdin.write(json.dumps(command) + '\n')
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The result of the oldest command that has not got one."""
        return self._answer()

    def __call__(self, *command: Any) -> Any:
        self.send(*command)
        return self._answer()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(60)
        self._reader.join(60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process = None

    def quit(self) -> None:
        """Stop the application and wait."""
        self.send('quit')
        assert self.process.wait(LIMIT) == 0, ''.join(self.errors)
        self.kill()
