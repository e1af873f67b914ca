"""The command loop that all subjects share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

__all__ = ['options', 'say', 'serve', 'stay_here']


def options() -> dict[str, Any]:
    """The options the measurement gave to this process."""
    result: dict[str, Any] = json.loads(sys.argv[1])
    return result


def stay_here() -> None:
    """Keep the application from asking nameservers, which are elsewhere: nothing may leave the machine."""
    from sipsimple.lookup import DNSManager
    manager: Any = DNSManager()
    manager.probe_domain, manager.public_nameservers, manager.nameservers = None, [], []


def say(what: str, **fields: Any) -> None:
    """Answer."""
    print(json.dumps({'done': what, **fields}), flush=True)


def serve(**commands: Callable[..., dict[str, Any] | None]) -> None:
    """Carry out commands until the input ends."""
    for line in sys.stdin:
        arguments = json.loads(line)
        name = arguments.pop('do')
        try:
            say(name, **(commands[name](**arguments) or {}))
        except Exception as error:
            say(name, error=f'{type(error).__name__}: {error}')
