"""Publishing one transport of the account. TRANSITIONS says what is done with each input in each state; anything else is ignored there.

    registering     looks whether the name is free, and announces it
    registered      everybody can find us
    updating        announces another TXT record
    stale           that failed: what is published is not what it should be
    waiting         could not be published; waits for the retry time
    ended           stopped
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sipsimple.account.bonjour.tasks import begin
from sipsimple.statemachine import StateMachine

if TYPE_CHECKING:
    from sipsimple.account.bonjour.dnssd import Published, Responder, Service

__all__ = ['Input', 'Offer', 'Registration', 'State', 'TRANSITIONS']

log = logging.getLogger('sipsimple.account')

REGISTER_RETRY = 10.0       # seconds
UPDATE_RETRY = 1.0
CONFLICTS = 5               # within CONFLICT_TIME; whoever takes our name that often does so on purpose, or by mistake, and is left alone for a while
CONFLICT_TIME = 60.0        # seconds


class State(StrEnum):
    """What a Registration does."""

    REGISTERING = 'registering'
    REGISTERED = 'registered'
    UPDATING = 'updating'
    STALE = 'stale'
    WAITING = 'waiting'
    ENDED = 'ended'


class Input(Enum):
    """What makes it do something else."""

    START = 'start()'
    DONE = 'announced'
    FAILED = 'failed'
    CHANGED = 'changed() or repeat()'       # the first when there is something else to be published
    CONFLICT = 'somebody has taken the name'
    RETRY = 'time for the next try'
    STOP = 'stop()'


TRANSITIONS: dict[tuple[State, Input], State] = {
    # State: ended
    (State.ENDED, Input.START): State.REGISTERING,
    # State: registering
    (State.REGISTERING, Input.DONE): State.REGISTERED,
    (State.REGISTERING, Input.FAILED): State.WAITING,
    (State.REGISTERING, Input.STOP): State.ENDED,
    # State: registered
    (State.REGISTERED, Input.CHANGED): State.UPDATING,
    (State.REGISTERED, Input.CONFLICT): State.REGISTERING,
    (State.REGISTERED, Input.STOP): State.ENDED,
    # State: updating
    (State.UPDATING, Input.DONE): State.REGISTERED,
    (State.UPDATING, Input.FAILED): State.STALE,
    (State.UPDATING, Input.CHANGED): State.UPDATING,
    (State.UPDATING, Input.CONFLICT): State.REGISTERING,
    (State.UPDATING, Input.STOP): State.ENDED,
    # State: stale
    (State.STALE, Input.RETRY): State.UPDATING,
    (State.STALE, Input.CHANGED): State.UPDATING,
    (State.STALE, Input.CONFLICT): State.REGISTERING,
    (State.STALE, Input.STOP): State.ENDED,
    # State: waiting
    (State.WAITING, Input.RETRY): State.REGISTERING,
    (State.WAITING, Input.STOP): State.ENDED,
}


class Offer(NamedTuple):
    """What is to be published, and the contact address in it."""

    service: Service
    contact: str

    def same_place(self, other: Offer) -> bool:
        """Whether only the TXT record is another one."""
        return self.service._replace(text=b'') == other.service._replace(text=b'')


class Registration:
    """Keeps one transport published.

    Args:
        open: gives the responder; OSError.
        offer: what to publish, as it is now; OSError or ValueError when that is nothing.
        post: of the account.
    Notifications: BonjourAccountWillRegister, BonjourAccountRegistrationDidSucceed, BonjourAccountRegistrationDidFail,
        BonjourAccountRegistrationUpdateDidFail, BonjourAccountRegistrationDidEnd.
    Thread: the SDK thread.
    """

    def __init__(self, transport: str, open: Callable[[], Awaitable[Responder]], offer: Callable[[], Offer], post: Callable[..., object]) -> None:
        self.transport = transport
        self._open = open
        self._make_offer = offer
        self._post = post
        self._machine = StateMachine(TRANSITIONS, State.ENDED)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._responder: Responder | None = None
        self._published: Published | None = None
        self._offer: Offer | None = None                # what is published
        self._conflicts: deque[float] = deque(maxlen=CONFLICTS)         # when they were, of the loop's clock

    @property
    def state(self) -> State:
        """What it does now."""
        return self._machine.state

    @property
    def contact(self) -> str | None:
        """The address that is published, or is about to be."""
        return None if self._offer is None else self._offer.contact

    def start(self) -> None:
        """Begin to publish; for one that has ended or was not started."""
        self._fire(Input.START)

    def changed(self) -> None:
        """Publish what there is to publish now, if that is something else."""
        if self._offer is not None and self._is_other():
            self._fire(Input.CHANGED)

    def repeat(self) -> None:
        """Announce once more what is published."""
        self._fire(Input.CHANGED)

    def moved(self) -> bool:
        """Return whether the present contact is another one than that which is published, which takes a new registration."""
        try:
            return self._offer is None or not self._offer.same_place(self._make_offer())
        except (OSError, ValueError):
            return True

    async def stop(self) -> None:
        """Say goodbye; for one that is running."""
        announced, task = self.state in (State.REGISTERED, State.UPDATING, State.STALE), self._task
        self._fire(Input.STOP)
        if task is not None:
            await asyncio.wait([task])          # it may have a goodbye to say
        published, self._published, responder = self._published, None, self._responder
        self._offer = None
        if published is not None and responder is not None:
            try:
                await responder.withdraw(published)
            except Exception:
                log.exception('no goodbye could be said for %s', published.name)
        if announced:
            self._post('BonjourAccountRegistrationDidEnd', transport=self.transport)

    # ---- the machine -------------------------------------------------------------------------------------------

    def _fire(self, what: Input) -> None:
        if not self._machine.check(what):
            return
        state = self._machine.fire(what)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # What is done in a state is not done any more in the next one.
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if state is State.REGISTERING:
            self._task = begin(self._register())
        elif state is State.UPDATING:
            self._task = begin(self._update())
        elif state in (State.WAITING, State.STALE):
            seconds = REGISTER_RETRY if state is State.WAITING else UPDATE_RETRY
            self._timer = asyncio.get_running_loop().call_later(seconds, self._fire, Input.RETRY)
        elif state is State.REGISTERED:
            self.changed()              # there may be something else to publish since this one was begun

    async def _register(self) -> None:
        self._post('BonjourAccountWillRegister', transport=self.transport)
        self._published = None
        try:
            await asyncio.sleep(self._patience())
            self._responder = await self._open()
            self._offer = self._make_offer()
            service = self._offer.service
            if self._conflicts:         # a name that the other one, who also looks for another one now, will not find
                service = service._replace(instance=f'{service.instance}-{random.randrange(0x10000):04x}')
            self._published = await self._responder.publish(service, self._conflict)
        except Exception as error:
            self._offer = None
            self._failed(error)
            self._fire(Input.FAILED)
            self._post('BonjourAccountRegistrationDidFail', reason=_reason(error), transport=self.transport)
        else:
            self._post('BonjourAccountRegistrationDidSucceed', name=self._offer.contact, transport=self.transport)
            self._fire(Input.DONE)

    async def _update(self) -> None:
        assert self._responder is not None and self._published is not None
        try:
            offer = self._make_offer()
            await self._responder.update(self._published, offer.service)
        except Exception as error:
            self._failed(error)
            self._fire(Input.FAILED)
            self._post('BonjourAccountRegistrationUpdateDidFail', reason=_reason(error), transport=self.transport)
        else:
            self._offer = offer
            self._fire(Input.DONE)

    def _is_other(self) -> bool:
        """Whether the TXT record is to be another one. A contact that is another one takes a new registration, which whoever made this one sees to."""
        try:
            offer = self._make_offer()
        except (OSError, ValueError):
            return False
        return self._offer is not None and offer.same_place(self._offer) and offer != self._offer

    def _patience(self) -> float:
        """Seconds to wait before a name is taken: a while after many conflicts (RFC 6762 §8.1)."""
        now = asyncio.get_running_loop().time()
        crowded = len(self._conflicts) == CONFLICTS and now - self._conflicts[0] < CONFLICT_TIME
        return REGISTER_RETRY if crowded else 0.0

    def _conflict(self) -> None:
        """RFC 6762 §9. The name is left to the other one without a goodbye, which would be one for it."""
        if self._published is None or not self._machine.check(Input.CONFLICT):
            return
        log.info('%s is published by somebody else as well', self._published.name)
        if self._responder is not None:
            self._responder.abandon(self._published)
        self._conflicts.append(asyncio.get_running_loop().time())
        self._fire(Input.CONFLICT)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, (OSError, ValueError)):
            log.error('%s could not be published', self.transport, exc_info=error)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
