"""Browsing for one type of service. TRANSITIONS says what is done with each input in each state; anything else is ignored there.

    starting    waits for the sockets
    browsing    hears of instances, each of which is a Neighbour
    waiting     the sockets could not be opened; waits for the retry time
    ended       stopped
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from sipsimple.account.bonjour.neighbour import Neighbour, NeighbourState
from sipsimple.account.bonjour.records import BonjourNeighbourRecord
from sipsimple.account.bonjour.tasks import begin
from sipsimple.account.bonjour.txt import Found
from sipsimple.statemachine import StateMachine

if TYPE_CHECKING:
    from sipsimple.account.bonjour.dnssd import Browser, Resolved, Responder

__all__ = ['Discovery', 'Input', 'State', 'TRANSITIONS', 'TYPES']

log = logging.getLogger('sipsimple.account')

TYPES = {'udp': '_sipuri._udp', 'tcp': '_sipuri._tcp', 'tls': '_sipuri._tcp'}       # transport: type of service
DISCOVERY_RETRY = 5.0       # seconds
CONFIRM_TIME = 10.0         # seconds in which neighbours are heard of again after a change of the network; a search asks three times in 5
MAX_NEIGHBOURS = 500        # of one type; a network has no more, but somebody may pretend to be any number
MAX_UNRESOLVED = 100        # of those that have to be asked what they publish
MAX_LOOKS = 16              # at a time


class State(StrEnum):
    """What a Discovery does."""

    STARTING = 'starting'
    BROWSING = 'browsing'
    WAITING = 'waiting'
    ENDED = 'ended'


class Input(Enum):
    """What makes it do something else."""

    START = 'start()'
    DONE = 'sockets open'
    FAILED = 'failed'
    RETRY = 'time for the next try'
    STOP = 'stop() or pause()'


TRANSITIONS: dict[tuple[State, Input], State] = {
    # State: ended
    (State.ENDED, Input.START): State.STARTING,
    # State: starting
    (State.STARTING, Input.DONE): State.BROWSING,
    (State.STARTING, Input.FAILED): State.WAITING,
    (State.STARTING, Input.STOP): State.ENDED,
    # State: browsing
    (State.BROWSING, Input.STOP): State.ENDED,
    # State: waiting
    (State.WAITING, Input.RETRY): State.STARTING,
    (State.WAITING, Input.STOP): State.ENDED,
}


class Discovery:
    """Finds the neighbours of one type of service.

    Args:
        open: gives the responder; OSError.
        transports: those that are enabled, as they are now.
        is_own: whether an instance is one of ours.
        post: of the account.
    Attributes:
        neighbours: by the name of the instance in lower case.
    Notifications: BonjourAccountWillInitateDiscovery (and the same with Initiate), BonjourAccountDiscoveryDidFail, BonjourAccountDiscoveryFailure,
        BonjourAccountDidAddNeighbour, BonjourAccountDidUpdateNeighbour, BonjourAccountDidRemoveNeighbour.
    Thread: the SDK thread.
    """

    def __init__(self, type: str, open: Callable[[], Awaitable[Responder]], transports: Callable[[], list[str]], is_own: Callable[[Found], bool],
                 post: Callable[..., object]) -> None:
        self.type = type
        self.neighbours: dict[str, Neighbour] = {}
        self._open = open
        self._transports = transports
        self._is_own = is_own
        self._post = post
        self._machine = StateMachine(TRANSITIONS, State.ENDED)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._responder: Responder | None = None
        self._browser: Browser | None = None
        self._looks = asyncio.Semaphore(MAX_LOOKS)
        self._ignored = 0               # instances that were too many

    @property
    def state(self) -> State:
        """What it does now."""
        return self._machine.state

    def start(self) -> None:
        """Begin to browse; for one that has ended or was not started."""
        self._fire(Input.START)

    async def stop(self) -> None:
        """Browse no more, and have no neighbours."""
        await self.pause()
        for neighbour in list(self.neighbours.values()):
            neighbour.lost()

    async def pause(self) -> None:
        """Browse no more, until `start`. Neighbours that are not found again soon are gone then."""
        self._fire(Input.STOP)
        browser, self._browser, self._responder = self._browser, None, None
        if browser is not None:
            await browser.cancel()
        for neighbour in list(self.neighbours.values()):
            neighbour.doubt(CONFIRM_TIME)

    async def repeat(self) -> None:
        """Ask everybody once more."""
        if self._browser is not None and self._responder is not None:
            browser, self._browser = self._browser, None
            await browser.cancel()
            self._browser = self._responder.browse(self.type, self)

    def review(self) -> None:
        """Look at all neighbours again: other transports are enabled."""
        for neighbour in list(self.neighbours.values()):
            neighbour.changed()

    # ---- the machine -------------------------------------------------------------------------------------------

    def _fire(self, what: Input) -> None:
        if not self._machine.check(what):
            return
        state = self._machine.fire(what)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if state is State.STARTING:
            self._task = begin(self._begin())
        elif state is State.WAITING:
            self._timer = asyncio.get_running_loop().call_later(DISCOVERY_RETRY, self._fire, Input.RETRY)

    async def _begin(self) -> None:
        for transport in self._of_this_type():
            self._post('BonjourAccountWillInitateDiscovery', transport=transport)       # as the API document spells it, and as it is spelt
            self._post('BonjourAccountWillInitiateDiscovery', transport=transport)
        try:
            self._responder = await self._open()
            self._browser = self._responder.browse(self.type, self)
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception('the search for %s failed', self.type)
            self._fire(Input.FAILED)
            for transport in self._of_this_type():
                self._post('BonjourAccountDiscoveryDidFail', reason=str(error) or type(error).__name__, transport=transport)
        else:
            self._fire(Input.DONE)

    def _of_this_type(self) -> list[str]:
        return [transport for transport in self._transports() if TYPES[transport] == self.type]

    # ---- what the browser says ---------------------------------------------------------------------------------

    def seen(self, name: str) -> None:
        """There is an instance, or it publishes something else."""
        neighbour = self.neighbours.get(name.lower())
        if neighbour is not None:
            neighbour.changed()
        elif name.lower().endswith(f'.{self.type}.local.') and self._has_room(name):
            self.neighbours[name.lower()] = Neighbour(self, name)

    def lost(self, name: str) -> None:
        """An instance says that it is gone."""
        neighbour = self.neighbours.get(name.lower())
        if neighbour is not None:
            neighbour.lost()

    def alive(self, name: str, expires: float, ttl: float) -> None:
        """An instance is there for so long."""
        neighbour = self.neighbours.get(name.lower())
        if neighbour is None:
            self.seen(name)
        elif neighbour.state in (NeighbourState.SHOWN, NeighbourState.HIDDEN):
            neighbour.alive(expires, ttl)

    def _has_room(self, name: str) -> bool:
        if len(self.neighbours) < MAX_NEIGHBOURS:
            unresolved = sum(each.record is None and each.state is not NeighbourState.HIDDEN for each in self.neighbours.values())
            if unresolved < MAX_UNRESOLVED or self._known(name) is not None:
                return True
        self._ignored += 1
        if self._ignored == 1 or self._ignored % 1000 == 0:
            log.warning('there are too many instances of %s; %d were ignored, the last is %r', self.type, self._ignored, name)
        return False

    # ---- what neighbours need ----------------------------------------------------------------------------------

    async def resolve(self, name: str) -> Resolved | None:
        """Return what an instance publishes, None if it does not say. One that has said so already does not wait for those that have to be asked."""
        known = self._known(name)
        if known is not None:
            return known
        async with self._looks:
            return None if self._responder is None else await self._responder.resolve(self.type, name)

    def _known(self, name: str) -> Resolved | None:
        return None if self._responder is None else self._responder.known(self.type, name)

    def ask(self, name: str) -> None:
        """Ask whether an instance is there."""
        if self._responder is not None:
            self._responder.ask(name)

    def wants(self, found: Found) -> bool:
        """Whether an instance is one that can be called."""
        return TYPES.get(found.transport) == self.type and found.transport in self._transports() and not self._is_own(found)

    def report(self, error: str) -> None:
        """Tell of an instance that does not say what it publishes."""
        self._post('BonjourAccountDiscoveryFailure', error=error, transport=self.type.rpartition('_')[2])

    def forget(self, neighbour: Neighbour) -> None:
        """An instance is gone."""
        if self.neighbours.get(neighbour.name.lower()) is neighbour:
            del self.neighbours[neighbour.name.lower()]

    def tell(self, neighbour: Neighbour, before: BonjourNeighbourRecord | None) -> None:
        """Tell the application of a neighbour that is new, gone or another one than before."""
        description, record = neighbour.description, neighbour.record
        if record is None:
            self._post('BonjourAccountDidRemoveNeighbour', service_description=description, neighbour=description, record=before)
            return
        about: dict[str, Any] = {'service_description': description, 'neighbour': description, 'record': record,
                                 'display_name': record.name, 'host': record.host, 'uri': record.uri}
        if before is None:
            self._post('BonjourAccountDidAddNeighbour', **about)
        else:
            self._post('BonjourAccountDidUpdateNeighbour', **about)
