"""The other end of `sdk_agent.py`: a process with the whole SDK in it, driven by a test.

    with SDK('alice') as sdk:
        sdk.start(nameservers=lab.nameservers, settings={'sip.transport_list': ['udp']})
        sdk.account('alice@lab.test', {'auth.password': 'alice-pw', 'enabled': True})
        sdk.wait('SIPAccountRegistrationDidSucceed', 'alice@lab.test')

`wait` finds a notification whatever came before or after it, and finds each one once. What several tests share a process for begins with `sdk.mark()`,
which forgets what happened before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.child import environment
from tests.support.waiting import wait_until

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
LIMIT = 30.0            # seconds for one step; the machine may be busy


@dataclass
class Event:
    """A notification of the process.

    Attributes:
        types: class names of the fields, `timestamp` among them.
        time: of the process's monotonic clock, which is ours as well.
    """

    name: str
    sender: str
    fields: dict[str, Any]
    types: dict[str, str] = field(repr=False)
    time: float
    taken: bool = field(default=False, repr=False)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(f'{self.name} has no field {name}: {sorted(self.fields)}') from None


class SDK:
    """The process. A context manager, which ends it in order.

    Args:
        name: for messages.
        prefix: a command that runs another one somewhere else.
    """

    def __init__(self, name: str = 'sdk', prefix: Sequence[str] = ()) -> None:
        self.name = name
        self.ports: dict[str, int] = {}
        self._events: list[Event] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._mark = self._number = 0
        self._ended = False
        self.killed_at: float | None = None         # of the monotonic clock
        self._errors = tempfile.TemporaryFile()         # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen([*prefix, sys.executable, str(HERE / 'sdk_agent.py')], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                                         text=True, env=environment())
        self._reader = threading.Thread(target=self._read, name=f'reader of {name}', daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.close(check=kind is None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._changed:
                if 'event' in message:
                    self._events.append(Event(message['event'], message['sender'], message['fields'], message['types'], message['time']))
                else:
                    self._answers[message['id']] = message
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def errors(self) -> str:
        """What the process wrote to its standard error."""
        self._errors.flush()
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode('utf-8', 'replace')

    # ---- commands ------------------------------------------------------------------------------------------------

    def do(self, command: str, **arguments: Any) -> Any:
        """Carry out a command and return its result. AssertionError: it failed."""
        self._number += 1
        number = self._number
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({'do': command, 'id': number, **arguments}) + '\n')
        self._process.stdin.flush()
        with self._changed:
            assert self._changed.wait_for(lambda: number in self._answers or self._ended, 2 * LIMIT), f'{self.name}: no answer to {command}'
            assert number in self._answers, f'{self.name} has ended with {self._process.wait()} during {command}: {self.errors()[-3000:]}'
            answer = self._answers.pop(number)
        assert 'error' not in answer, f'{self.name}: {command} {arguments}: {answer["error"]}'
        return answer['result']

    def start(self, nameservers: Sequence[Any] = (), settings: Mapping[str, Any] | None = None, accounts: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Start the application."""
        self.ports = self.do('start', nameservers=list(nameservers), settings=dict(settings or {}), accounts=dict(accounts or {}), **more)
        return self

    def account(self, name: str, values: Mapping[str, Any]) -> None:
        """Make an account, or change it; requests for it are taken as soon as this returns."""
        def is_known() -> Any:
            return name == 'bonjour' or self.do('evaluate', expression=f'AccountManager().has_account({name!r})')
        is_new = not is_known()
        self.do('account', name=name, values=dict(values))
        if is_new:                  # the manager hears of it from the thread that stores it
            assert wait_until(is_known), f'{self.name}: {name} is not known'

    def set(self, target: str, **values: Any) -> None:
        """Set attributes of an object; `_` for the first dot of a path is written `__`."""
        self.do('set', target=target, values={name.replace('__', '.'): value for name, value in values.items()})

    def get(self, target: str, name: str) -> Any:
        """The value of one attribute."""
        return self.do('get', target=target, names=[name])[name]

    def facts(self, target: str, *names: str) -> dict[str, Any]:
        """The values of several."""
        result: dict[str, Any] = self.do('get', target=target, names=list(names))
        return result

    def call(self, target: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an object."""
        return self.do('call', target=target, method=method, args=list(args), kwargs=kwargs)

    # ---- notifications -------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Forget what has happened until now."""
        with self._changed:
            self._mark = len(self._events)

    def events(self, name: str | None = None, sender: str | None = None) -> list[Event]:
        """The notifications since the mark; `name` may end in `*`."""
        with self._changed:
            events = self._events[self._mark:]
        return [event for event in events if _named(event, name) and sender in (None, event.sender)]

    def names(self, sender: str | None = None, prefix: str = '') -> list[str]:
        """Their names, in order."""
        return [event.name for event in self.events(sender=sender) if event.name.startswith(prefix)]

    def wait(self, name: str, sender: str | None = None, *, timeout: float = LIMIT, unless: str | None = None, **fields: Any) -> Event:
        """Wait for a notification with these fields; each is found once.

        Args:
            unless: fail at once when this one comes from the same sender.
        """
        def matches(event: Event) -> bool:
            return (not event.taken and event.name == name and sender in (None, event.sender)
                    and all(event.fields.get(key) == value for key, value in fields.items()))
        return self.wait_until(matches, f'no {name} of {sender} {fields or ""}', timeout=timeout,
                               fails=lambda event: unless is not None and event.name == unless and sender in (None, event.sender) and not event.taken)

    def wait_until(self, matches: Callable[[Event], bool], text: str, *, timeout: float = LIMIT, fails: Callable[[Event], bool] = lambda event: False) -> Event:
        """Wait for a notification that is as wanted."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self._events[self._mark:]:
                    if matches(event):
                        event.taken = True
                        return event
                    assert not fails(event), f'{self.name}: {text}, but {event}'
                left = until - time.monotonic()
                assert not self._ended, f'{self.name} has ended with {self._process.wait()}: {text}: {self.errors()[-3000:]}'
                if left <= 0:
                    raise AssertionError(f'{self.name}: {text} in {timeout} s; there were {self._summary()}; {self.errors()[-2000:]}')
                self._changed.wait(left)

    def _summary(self) -> str:
        return ', '.join(f'{event.name}({event.sender})' for event in self._events[self._mark:] if event.name != 'SIPEngineSIPTrace')

    def messages(self, received: bool | None = None) -> list[str]:
        """The SIP messages since the mark."""
        return [event.data for event in self.events('SIPEngineSIPTrace') if received in (None, event.received)]

    # ---- the end -------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the process without giving it a chance to say so to anybody."""
        self._process.kill()
        self.killed_at = time.monotonic()
        self._process.wait()

    def close(self, check: bool = True) -> None:
        """End the process; AssertionError when it does not end well."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        try:
            status: int | str = self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)           # its threads tell where they are
            try:
                self._process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            last = [(event.name, event.sender) for event in self._events[-12:] if event.name != 'SIPEngineSIPTrace']
            status = f'nothing within {LIMIT} s, after {last}'
        self._reader.join(LIMIT)
        self._process.stdout.close()
        text = self.errors()
        self._errors.close()
        if check and self.killed_at is None:
            assert status == 0, f'{self.name} ended with {status}: {text[-8000:]}'
            faults = [event for event in self._events if event.name in ('SIPEngineGotException', 'SIPApplicationGotFatalError')]
            assert not faults, f'{self.name}: {faults}'


def _named(event: Event, name: str | None) -> bool:
    return name is None or event.name == name or (name.endswith('*') and event.name.startswith(name[:-1]))
