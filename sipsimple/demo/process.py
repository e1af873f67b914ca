"""The other end of an `agent`: starts the process, gives it commands and waits for what it tells."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, ClassVar

__all__ = ['AgentProcess', 'DemoError']

END_LIMIT = 20.0                        # seconds
SHORT_LIMIT = 5.0
LAST_BYTES = 20000


class DemoError(Exception):
    """The demo cannot go on; the text says why, in one line."""


class AgentProcess:
    """One process of the demo.

    Args:
        configuration: see `agent.Agent`.

    Attributes:
        name: from the configuration.
        trace: the "sip" events so far, in order.
        digits: DTMF received so far.
        partner: the process of the other party, which is told when something goes wrong here; None for none.
    """

    # What ends any waiting: the words for the reader.
    PROBLEMS: ClassVar[dict[str, str]] = {
        'error': '{text}',
        'failed': 'the call failed: {code} {reason}',
        'ended': 'the call ended too early (by the {originator} side)',
        'stopped': 'the application stopped: {reason}',
        'not_delivered': 'a message was not delivered: {code} {reason}',
        'not_accepted': 'what was added to the call was not accepted: {code} {reason}',
        'stream_failed': '{type} failed: {reason}',
        'not_registered': 'the registration failed: {reason}',
    }

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.name: str = configuration['name']
        self.trace: list[dict[str, Any]] = []
        self.digits = ''
        self.partner: AgentProcess | None = None
        self._stopping = False
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()        # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen([sys.executable, '-m', 'sipsimple.demo.agent'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=None if configuration['verbose'] else self._errors, text=True, encoding='utf-8')
        self._send(configuration)
        self._reader = threading.Thread(target=self._read, name=f'reader of {self.name}', daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue                # somebody printed something
            if event['event'] == 'sip':
                self.trace.append(event)
            else:
                self._events.put(event)
                if event['event'] in ('error', 'failed'):
                    self._tell_partner(self._problem(event))
        self._events.put(None)
        if not self._stopping:
            self._tell_partner(f'{self.name}: the process has ended')

    def _problem(self, event: dict[str, Any]) -> str:
        return f'{self.name}: {self.PROBLEMS[event["event"]].format_map(event)}{self._last_words()}'

    def _has_died(self) -> bool:
        """Whether the process is gone, or is about to be, without having been told to end."""
        if self._stopping:
            return False
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _tell_partner(self, text: str) -> None:
        if self.partner is not None:
            self.partner._events.put({'event': 'partner', 'text': text})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + '\n')
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass                        # it ended; whoever waits for it is told

    def do(self, name: str, **arguments: Any) -> None:
        """Give a command; it is carried out after the ones before."""
        self._send({'do': name, **arguments})

    def wait(self, wanted: str, limit: float = 20.0) -> dict[str, Any]:
        """Return the next event of that name.

        Raises:
            DemoError: something went wrong, or it does not come in `limit` seconds.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise DemoError(f'{self.name}: no "{wanted}" in {limit:.0f} seconds{self._last_words()}') from None
            if event is None:
                self._events.put(None)
                raise DemoError(f'{self.name}: the process ended with status {self._process.wait()}{self._last_words()}')
            name = event['event']
            if name == 'dtmf':
                self.digits += event['digit']
            if name == wanted:
                return event
            if name == 'partner':
                raise DemoError(event['text'])
            if name in self.PROBLEMS:
                if self.partner is not None and self.partner._has_died():       # which is why, and the news
                    raise DemoError(f'{self.partner.name}: the process has ended')
                raise DemoError(self._problem(event))

    def wait_digits(self, count: int) -> str:
        """Return the DTMF received so far, when there are that many digits or no more come."""
        try:
            while len(self.digits) < count:
                self.wait('dtmf', 5.0)
        except DemoError:
            pass                        # the check tells what is missing
        return self.digits

    def _last_words(self) -> str:
        """What the process wrote to its standard error last."""
        try:
            # The process writes on at its position in the file, which it shares with us: do not move it.
            descriptor = self._errors.fileno()
            tail = os.pread(descriptor, LAST_BYTES, max(0, os.fstat(descriptor).st_size - LAST_BYTES))
        except (OSError, ValueError):
            return ''                   # closed
        lines = [line.strip() for line in tail.decode('utf-8', 'replace').splitlines() if line.strip()]
        return f' ({lines[-1]})' if lines else ''

    def stop(self) -> None:
        """End the process in order: its application stops first.

        Raises:
            DemoError: it did not end, or not well.
        """
        self._stopping = True
        self._send({'do': 'stop'})
        try:
            status = self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DemoError(f'{self.name}: the process did not end{self._last_words()}') from None
        self._reader.join(END_LIMIT)
        words = self._last_words()
        self._close()
        if status:
            raise DemoError(f'{self.name}: the process ended with status {status}{words}')

    def end(self) -> None:
        """End the process, whatever has happened; without effect when it has ended."""
        self._stopping = True
        self._send({'do': 'stop'})
        try:
            self._process.wait(SHORT_LIMIT)     # it hangs up and unregisters
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_LIMIT)
        self._close()

    def _close(self) -> None:
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file is not None:
                try:
                    file.close()
                except OSError:
                    pass
