"""What an account does beside registering, as long as it is active and a setting says so: the bases of its subscribers and publishers.

A service stands for the whole life of its account. What is subscribed or published at a time is the business of a `Keeper`, which the service makes when
it becomes active, replaces when settings change that matter to it, and stops.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from zope.interface import implementer

from sipsimple.account.keeper import Keeper, KeeperState
from sipsimple.account.publisher import Publisher
from sipsimple.account.subscriber import Subscriber
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Header, SIPURI
from sipsimple.notification import IObserver, Notification, NotificationCenter, TimestampedNotificationData
from sipsimple.threading.scheduler import Scheduler, reactor_scheduler

__all__ = ['AccountService', 'EventPublisher', 'EventSubscriber', 'uri_of']

log = logging.getLogger('sipsimple.account')

DEFAULT_INTERVAL = 600                  # seconds, for a setting of 0
REFUSAL_WAIT = (3600.0, 4200.0)         # seconds until a server that does not know the event, or us, is asked again


def uri_of(text: Any) -> SIPURI:
    """Return the URI of an address with or without scheme. SIPCoreError: it is none."""
    address = str(text)
    return SIPURI.parse(address if address.lower().startswith(('sip:', 'sips:')) else f'sip:{address}')


@implementer(IObserver)
class AccountService:
    """A service of an account. Thread: the SDK thread, unless told.

    A class says with `wanted` when it is active, with `_parameters` which settings make it begin anew, and begins and ends in `_begin` and `_end`.
    Notifications, with the service as their sender and the name of its class before them: WillStart, DidStart, DidActivate, DidDeactivate, WillEnd, DidEnd.
    """

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        self.account = account
        self._scheduler = scheduler
        self._is_started = False
        self._is_active = False
        self._present: tuple[Any, ...] = ()         # the parameters it is active with
        self._ending: set[object] = set()           # what is being ended
        self._done: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.account.id}>'

    @property
    def _prefix(self) -> str:
        return type(self).__name__

    @property
    def is_active(self) -> bool:
        """Whether the account and its settings want it."""
        return self._is_active

    # ---- what the classes do -----------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        raise NotImplementedError

    def _parameters(self) -> tuple[Any, ...]:
        """What it begins anew for when it changes."""
        account, sip = self.account, self.account.sip
        return (str(account.id), account.display_name, account.auth.username, account.auth.password, str(sip.outbound_proxy), sip.always_use_my_proxy,
                sip.tls_name, sip.use_gruu, self.transports())

    def _begin(self) -> None:
        """Begin, with the settings as they are."""
        raise NotImplementedError

    def _end(self) -> None:
        """End; `_leave` is for what takes time."""
        raise NotImplementedError

    def transports(self) -> list[str]:
        """Return the transports that may be used, best first."""
        return list(SIPSimpleSettings().sip.transport_list)

    # ---- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The account is active."""
        if self._is_started:
            return
        self._post(f'{self._prefix}WillStart')
        self._is_started = True
        NotificationCenter().add_observer(self, name='CFGSettingsObjectDidChange', sender=SIPSimpleSettings())
        self.update()
        self._post(f'{self._prefix}DidStart')

    def stop(self, done: Callable[[], object]) -> None:
        """The account is active no more. `done` is called when all is ended, within some seconds."""
        if not self._is_started:
            done()
            return
        self._post(f'{self._prefix}WillEnd')
        self._is_started = False
        NotificationCenter().discard_observer(self, name='CFGSettingsObjectDidChange', sender=SIPSimpleSettings())
        self.update()
        self._done.append(done)
        self._settle()

    def update(self) -> None:
        """See whether the settings, as they are now, want something else."""
        wanted = self._is_started and self.wanted
        if self._is_active and not wanted:
            self._is_active = False
            self._end()
            self._post(f'{self._prefix}DidDeactivate')
        elif wanted and not self._is_active:
            self._is_active = True
            self._present = self._parameters()
            self._begin()
            self._post(f'{self._prefix}DidActivate')
        elif wanted and self._present != self._parameters():
            self._present = self._parameters()
            self._end()
            self._begin()

    def _leave(self, keeper: Keeper) -> None:
        """Stop something; `stop` waits for it."""
        self._ending.add(keeper)
        keeper.stop(lambda: self._left(keeper))

    def _left(self, keeper: Keeper) -> None:
        self._ending.discard(keeper)
        self._settle()

    def _settle(self) -> None:
        if self._done and not self._ending:
            done, self._done = self._done, []
            self._post(f'{self._prefix}DidEnd')
            for function in done:
                function()

    # ---- notifications -----------------------------------------------------------------------------------------

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**data))

    def _post_for_account(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self.account, data=TimestampedNotificationData(**data))

    def handle_notification(self, notification: Notification) -> None:
        """Any thread."""
        self._scheduler.call_soon(self.update)


class EventSubscriber(AccountService):
    """A service that is subscribed to an event at a resource.

    A subclass sets `event` and implements `wanted`, `target` and `_heard`; it may have `headers`, `document`, and what there is to do when the
    subscription has begun (`_has_begun`) and is over (`_is_over`).

    Notifications, named after the class without `Subscriber`: <N>SubscriptionDidStart, GotNotify, DidEnd (`originator`: 'remote' when the notifier ended it),
    DidFail (`code`, `reason`, and `retry_after`, the seconds to the next try, None when there is none by itself).
    SIPAccountGotInvalidNotify, of the account: a body that cannot be used.
    """

    event: ClassVar[str]
    headers: ClassVar[tuple[Header, ...]] = ()      # of the SUBSCRIBEs, beside those that each has
    needs_stream: ClassVar[bool] = True             # what is told does not fit into a datagram

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self._keeper: Subscriber | None = None

    @property
    def _subscription_prefix(self) -> str:
        return type(self).__name__.removesuffix('Subscriber') + 'Subscription'

    # ---- what the classes do -----------------------------------------------------------------------------------

    @property
    def target(self) -> SIPURI:
        """The resource; of the account itself unless a class says otherwise."""
        uri: SIPURI = self.account.uri
        return uri

    def document(self) -> tuple[str, str | bytes] | None:
        """Return type and text of the body of a SUBSCRIBE, or None; asked for each one but the automatic refreshes."""
        return None

    def _heard(self, data: Any) -> None:
        """A NOTIFY has come: `data` is that of SIPSubscriptionGotNotify."""
        raise NotImplementedError

    def _has_begun(self) -> None:
        """The notifier has agreed."""

    def _is_over(self) -> None:
        """The subscription has ended or failed, or is left: what comes next is another one."""

    # ---- control -----------------------------------------------------------------------------------------------

    @property
    def is_subscribed(self) -> bool:
        """Whether the notifier has agreed, and still does."""
        return self._keeper is not None and self._keeper.state is KeeperState.KEPT

    def resubscribe(self) -> None:
        """Leave the subscription and make another one; no-op when not active."""
        if self._keeper is not None:
            self._keeper.renew()

    def refresh(self) -> None:
        """Ask for the whole state; no-op when not subscribed."""
        if self._keeper is not None:
            self._keeper.refresh()

    def transports(self) -> list[str]:
        """Return the transports that may be used, best first: streams for what is long, unless the account has a proxy that says otherwise."""
        names = super().transports()
        proxy = self.account.sip.outbound_proxy
        if not self.needs_stream or proxy is not None and proxy.transport in names:
            return names
        return [name for name in names if name != 'udp'] or names

    # ---- AccountService ----------------------------------------------------------------------------------------

    def _parameters(self) -> tuple[Any, ...]:
        return (*super()._parameters(), self.account.sip.subscribe_interval, str(self.target))

    def _begin(self) -> None:
        self._keeper = self._make(self.target, self._on_notify, self._told, self.headers, self.document)
        self._keeper.start()

    def _end(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self._leave(keeper)

    def _make(self, target: SIPURI, heard: Callable[[Any], object], tell: Callable[..., object], headers: Iterable[Header] = (),
              document: Callable[[], tuple[str, str | bytes] | None] | None = None) -> Subscriber:
        return Subscriber(self.account, self.event, target, self.account.sip.subscribe_interval or DEFAULT_INTERVAL, self.transports, heard, self._scheduler,
                          tell, REFUSAL_WAIT, headers, document)

    def _told(self, what: str, **data: Any) -> None:
        if what == 'started':
            self._has_begun()
            self._post(f'{self._subscription_prefix}DidStart')
        elif what == 'ended':
            self._is_over()
            self._post(f'{self._subscription_prefix}DidEnd', originator=data['originator'])
        elif what == 'failed':
            self._is_over()
            self._post(f'{self._subscription_prefix}DidFail', code=data['code'], reason=data['reason'], retry_after=data['retry_after'])

    def _on_notify(self, data: Any) -> None:
        self._post_notify(data)
        self._heard(data)

    def _post_notify(self, data: Any) -> None:
        self._post(f'{self._subscription_prefix}GotNotify', request_uri=data.request_uri, from_header=data.from_header, to_header=data.to_header,
                   headers=data.headers, body=data.body, content_type=data.content_type, event=data.event)

    def _tell_invalid(self, data: Any, error: object) -> None:
        """A body makes no sense."""
        log.warning('%r: a NOTIFY of type %s cannot be used: %s', self, data.content_type, error)
        self._post_for_account('SIPAccountGotInvalidNotify', event=self.event, content_type=data.content_type, body=data.body, error=str(error))


class EventPublisher(AccountService):
    """A service that publishes a state. `state` may be set whether it is active or not.

    Notifications: <C>WillPublish (`state`, `duration` in seconds), <C>WillRefresh (`state`); named after the class without `Publisher`:
    <N>PublicationDidSucceed (`code`, `reason`, `expires`), <N>PublicationDidFail (`code`, `reason`, and `retry_after`, the seconds to the next try),
    <N>PublicationDidEnd, <N>PublicationDidNotEnd.
    """

    event: ClassVar[str]
    content_type: ClassVar[str]

    def __init__(self, account: Any, scheduler: Scheduler = reactor_scheduler) -> None:
        super().__init__(account, scheduler)
        self._keeper: Publisher | None = None
        self._state: tuple[Any, bytes] | None = None
        self._sent: bytes | None = None             # the text of the one that the keeper has

    @property
    def _publisher_prefix(self) -> str:
        return type(self).__name__

    @property
    def _publication_prefix(self) -> str:
        return type(self).__name__.removesuffix('Publisher') + 'Publication'

    @property
    def state(self) -> Any:
        """What is to be published; None for nothing."""
        return None if self._state is None else self._state[0]

    @property
    def is_published(self) -> bool:
        """Whether the server has the state, or an earlier one."""
        return self._keeper is not None and self._keeper.state is KeeperState.KEPT

    def _check(self, state: Any) -> None:
        """ValueError: it is no state for this event."""
        raise NotImplementedError

    def set(self, state: Any) -> None:
        """Publish a state, None for none any more; what says the same as the one before is not sent. Thread: any.

        Raises:
            ValueError: it is no state for this event, or cannot be written.
        """
        if state is None:
            self._state = None
        else:
            self._check(state)
            self._state = state, _written(state)        # as it is now: it may be changed and set again
        self._scheduler.call(self._follow)

    def _follow(self) -> None:
        """Publish what is to be published now."""
        if not self._is_active:
            return
        state = self._state
        if state is None:
            self._end()
        elif self._keeper is None:
            self._begin()
        elif state[1] != self._sent:
            self._sent = state[1]
            self._keeper.publish(*state)

    def republish(self) -> None:
        """Publish anew; no-op when there is nothing, or it is not active."""
        if self._keeper is not None:
            self._keeper.renew()

    # ---- AccountService ----------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether the settings want it."""
        return bool(self.account.presence.enabled)

    def _parameters(self) -> tuple[Any, ...]:
        return (*super()._parameters(), self.account.sip.publish_interval)

    def _begin(self) -> None:
        present = self._state
        if present is not None:
            self._sent = present[1]
            self._keeper = Publisher(self.account, self.event, self.content_type, *present, self.account.sip.publish_interval or DEFAULT_INTERVAL,
                                     self.transports, self._scheduler, self._told, REFUSAL_WAIT)
            self._keeper.start()

    def _end(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self._leave(keeper)

    def _told(self, what: str, **data: Any) -> None:
        if what == 'publishing':
            self._post(f'{self._publisher_prefix}WillPublish', state=data['state'], duration=data['duration'])
        elif what == 'refreshing':
            self._post(f'{self._publisher_prefix}WillRefresh', state=data['state'])
        elif what == 'published':
            self._post(f'{self._publication_prefix}DidSucceed', code=data['code'], reason=data['reason'], expires=data['expires'])
        elif what == 'failed':
            self._post(f'{self._publication_prefix}DidFail', code=data['code'], reason=data['reason'], retry_after=data['retry_after'])
        elif what == 'ended':
            self._post(f'{self._publication_prefix}DidEnd')
        elif what == 'not ended':
            self._post(f'{self._publication_prefix}DidNotEnd')


def _written(state: Any) -> bytes:
    """The text of a state. ValueError: it has none."""
    from sipsimple.payloads import BuilderError
    try:
        text: bytes = state.toxml()
    except BuilderError as error:
        raise ValueError(f'the state cannot be written: {error}') from error
    return text
