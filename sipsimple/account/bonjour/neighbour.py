"""The life of one instance that was found. NEIGHBOUR_TRANSITIONS says what is done with each input in each state; anything else is ignored there.

    resolving   is being asked what it publishes
    shown       the application knows it
    hidden      is nothing for us: our own, a transport that we do not have, no SIP URI
    waiting     did not say; waits for another try
    gone        has said goodbye, or nothing for too long

One that was shown stays so while it is resolving and waiting: `record` is what the application knows. An instance that vanishes without goodbye is gone
when its SRV record expires, two minutes after it was last heard of; from 80 % of that time on it is asked whether it is there (RFC 6762 section 5.2).
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from sipsimple.account.bonjour.records import BonjourNeighbourRecord, BonjourServiceDescription
from sipsimple.account.bonjour.tasks import begin
from sipsimple.account.bonjour.txt import read
from sipsimple.core import FrozenSIPURI
from sipsimple.core.helpers import outgoing_ip_for
from sipsimple.statemachine import StateMachine

if TYPE_CHECKING:
    from sipsimple.account.bonjour.discovery import Discovery
    from sipsimple.account.bonjour.dnssd import Resolved

__all__ = ['NEIGHBOUR_TRANSITIONS', 'Neighbour', 'NeighbourInput', 'NeighbourState']

log = logging.getLogger('sipsimple.account')

RESOLVE_RETRY = 5.0         # seconds
MAX_TRIES = 3               # of one that was never heard of; it is tried anew when it says something
MIN_TTL = 15.0              # seconds; who says less is asked less often than it wants
QUIET_TIME = 0.5            # seconds between two looks at what one publishes
ASK_AT = (0.80, 0.85, 0.90, 0.95)       # of the TTL; RFC 6762 section 5.2


class NeighbourState(StrEnum):
    """Where a Neighbour is in its life."""

    RESOLVING = 'resolving'
    SHOWN = 'shown'
    HIDDEN = 'hidden'
    WAITING = 'waiting'
    GONE = 'gone'


class NeighbourInput(Enum):
    """What happens to it."""

    TAKEN = 'says who it is'
    REFUSED = 'is nothing for us'
    FAILED = 'does not say'
    CHANGED = 'changed()'           # it publishes something else, or we look for something else
    RETRY = 'time for the next try'
    LOST = 'lost()'


NEIGHBOUR_TRANSITIONS: dict[tuple[NeighbourState, NeighbourInput], NeighbourState] = {
    # State: resolving
    (NeighbourState.RESOLVING, NeighbourInput.TAKEN): NeighbourState.SHOWN,
    (NeighbourState.RESOLVING, NeighbourInput.REFUSED): NeighbourState.HIDDEN,
    (NeighbourState.RESOLVING, NeighbourInput.FAILED): NeighbourState.WAITING,
    (NeighbourState.RESOLVING, NeighbourInput.CHANGED): NeighbourState.RESOLVING,
    (NeighbourState.RESOLVING, NeighbourInput.LOST): NeighbourState.GONE,
    # State: shown
    (NeighbourState.SHOWN, NeighbourInput.CHANGED): NeighbourState.RESOLVING,
    (NeighbourState.SHOWN, NeighbourInput.LOST): NeighbourState.GONE,
    # State: hidden
    (NeighbourState.HIDDEN, NeighbourInput.CHANGED): NeighbourState.RESOLVING,
    (NeighbourState.HIDDEN, NeighbourInput.LOST): NeighbourState.GONE,
    # State: waiting
    (NeighbourState.WAITING, NeighbourInput.RETRY): NeighbourState.RESOLVING,
    (NeighbourState.WAITING, NeighbourInput.CHANGED): NeighbourState.RESOLVING,
    (NeighbourState.WAITING, NeighbourInput.LOST): NeighbourState.GONE,
}


class Neighbour:
    """An instance of a service; made when it was seen.

    Attributes:
        name: of the instance, with type and domain.
        record: what the application knows of it; None for one that it does not know.
    Thread: the SDK thread.
    """

    def __init__(self, discovery: Discovery, name: str) -> None:
        self.name = name
        self.description = BonjourServiceDescription(name[:-len(f'.{discovery.type}.local.')], discovery.type, 'local')
        self.record: BonjourNeighbourRecord | None = None
        self._discovery = discovery
        self._machine = StateMachine(NEIGHBOUR_TRANSITIONS, NeighbourState.RESOLVING)
        self._task: asyncio.Task[None] | None = None
        self._again = False                     # something has changed while it was looked at
        self._tries = 0
        self._looked_at: float | None = None    # of the loop's clock
        self._retry: asyncio.TimerHandle | None = None
        self._next: asyncio.TimerHandle | None = None           # to ask whether it is there, or to take it for gone
        self._resolve()

    @property
    def state(self) -> NeighbourState:
        """Where it is in its life."""
        return self._machine.state

    def changed(self) -> None:
        """Look at what it publishes."""
        self._again = True
        if self._task is None:
            self._fire(NeighbourInput.CHANGED)

    def lost(self) -> None:
        """It is gone."""
        self._fire(NeighbourInput.LOST)

    def alive(self, expires: float, ttl: float) -> None:
        """It was heard of: it is there until then (time of the loop), which is so many seconds after that."""
        self._plan(max(expires, expires - ttl + MIN_TTL), max(ttl, MIN_TTL))

    def doubt(self, seconds: float) -> None:
        """The network is another one: it is gone unless it is heard of again within so many seconds."""
        self._cancel_next()
        self._next = asyncio.get_running_loop().call_later(seconds, self.lost)

    # ---- the machine -------------------------------------------------------------------------------------------

    def _fire(self, what: NeighbourInput) -> None:
        if not self._machine.check(what):
            return
        state = self._machine.fire(what)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if state is NeighbourState.RESOLVING:
            self._resolve()
        elif state is NeighbourState.WAITING:
            self._retry = asyncio.get_running_loop().call_later(RESOLVE_RETRY, self._fire, NeighbourInput.RETRY)
        elif state is NeighbourState.HIDDEN:
            self._show(None)
        elif state is NeighbourState.GONE:
            self._end()

    def _end(self) -> None:
        self._cancel_next()
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._show(None)
        self._discovery.forget(self)

    # ---- what it publishes -------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        self._task = begin(self._look())

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if self._looked_at is not None:
            await asyncio.sleep(self._looked_at + QUIET_TIME - loop.time())
        self._again = False
        self._looked_at = loop.time()
        try:
            resolved = await self._discovery.resolve(self.name)
        except Exception:
            log.exception('%s could not be resolved', self.name)
            resolved = None
        self._task = None
        if resolved is None:
            self._failed()
        else:
            self._tries = 0
            self.alive(resolved.expires, resolved.ttl)
            self._take(resolved)
        if self._again:
            self._fire(NeighbourInput.CHANGED)

    def _failed(self) -> None:
        self._tries += 1
        self._fire(NeighbourInput.FAILED)
        self._discovery.report(f'{self.description.name!r} does not say where it is')
        if self._tries >= MAX_TRIES and self.record is None:
            self.lost()

    def _take(self, resolved: Resolved) -> None:
        try:
            found = read(resolved.text, self.description.name, resolved.server)
            wanted = self._discovery.wants(found)
        except ValueError as error:
            log.debug('%s publishes nothing that can be called: %s', self.name, error)
            wanted = False
        if not wanted:
            self._fire(NeighbourInput.REFUSED)
            return
        uri = _reachable(found.record.uri, resolved.addresses)
        self._show(BonjourNeighbourRecord(found.record.id, found.record.name, found.record.host, uri, found.record.presence))
        self._fire(NeighbourInput.TAKEN)

    def _show(self, record: BonjourNeighbourRecord | None) -> None:
        before, self.record = self.record, record
        if record != before:
            self._discovery.tell(self, before)

    # ---- whether it is there -----------------------------------------------------------------------------------

    def _plan(self, expires: float, ttl: float) -> None:
        self._cancel_next()
        loop = asyncio.get_running_loop()
        for share in ASK_AT:
            when = expires - ttl * (1 - share)
            if when > loop.time():
                self._next = loop.call_at(when, self._ask, expires, ttl)
                return
        self._next = loop.call_at(expires, self.lost)

    def _ask(self, expires: float, ttl: float) -> None:
        self._plan(expires, ttl)
        self._discovery.ask(self.name)

    def _cancel_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None


def _reachable(uri: FrozenSIPURI, addresses: tuple[str, ...]) -> FrozenSIPURI:
    """The URI, with another address of the same machine if there is no way to the one in it: it has one, we may share the network of another one."""
    host = uri.host.strip('[]')
    if outgoing_ip_for(host) is not None:
        return uri
    for address in addresses:
        if '%' not in address and outgoing_ip_for(address) is not None:
            return FrozenSIPURI(address, user=uri.user, password=uri.password, port=uri.port, secure=uri.secure, parameters=uri.parameters,
                                headers=uri.headers)
    return uri
