"""Open the sockets of a stream and gather its ICE candidates: one STUN server after another is asked, at last none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.streams.rtp import ice

__all__ = ['Gathering']

log = logging.getLogger('sipsimple.streams')

RESULTS = frozenset(('RTPTransportDidInitialize', 'RTPTransportDidFail'))


@implementer(IObserver)
class Gathering:
    """One opening. Reactor thread.

    Either `ready` or `failed` is called, once, from within `begin` or later; neither after `stop`.

    Args:
        make: returns a transport in state NULL; it gets the arguments of `RTPTransport` that name servers.
        ready: called with the transport, which has its sockets and its candidates.
        failed: there will be none; called with the reason, a text or an exception.

    """

    def __init__(self, make: Callable[[dict[str, Any]], Any], ready: Callable[[Any], None], failed: Callable[[Exception | str], None]) -> None:
        self._transport: Any = None             # being opened
        self._make = make
        self._ready = ready
        self._failed = failed
        self._stun_servers: list[ice.Server | None] = []        # those to try yet; None: without
        self._turn_server: ice.TURNServer | None = None
        self._over = False

    def begin(self, account: Any) -> None:
        """Begin, with the servers of an account; None: ask nobody."""
        if account is None:
            self._open(None)
        else:
            ice.find_servers(account, self._found)

    def stop(self) -> None:
        """Nobody waits for the result any more. Idempotent."""
        self._over = True
        self._forget()
        self._transport = None                  # its ports are free when it is gone

    def handle_notification(self, notification: Notification) -> None:
        """Hand the result of the transport over to the reactor thread; any thread."""
        if not self._over and notification.name in RESULTS:     # or it is known since `_open`: not worth waking the reactor
            from sipsimple.threading import call_in_twisted_thread
            call_in_twisted_thread(self._heard, notification)

    def _found(self, servers: ice.Servers) -> None:
        self._stun_servers = [*servers.stun, None]
        self._turn_server = servers.turn
        if not self._over:
            self._open(self._stun_servers.pop(0))

    def _open(self, stun_server: ice.Server | None) -> None:
        options: dict[str, Any] = {} if self._turn_server is None else self._turn_server.arguments
        if stun_server is not None:
            options.update(ice_stun_address=stun_server[0], ice_stun_port=stun_server[1])
        try:
            transport = self._transport = self._make(options)
            NotificationCenter().add_observer(self, sender=transport)
            transport.set_INIT()
        except Exception as error:
            self._fail(error)
            return
        if transport.state == 'INIT' and transport is self._transport:
            self._succeed()             # without servers to ask there is nothing to wait for

    def _heard(self, notification: Notification) -> None:
        if self._over or notification.sender is not self._transport:
            return
        if notification.name == 'RTPTransportDidInitialize':
            self._succeed()
        elif self._stun_servers:
            if self._transport.turn_failed:
                self._turn_server = None            # it has had its time
            self._forget()
            self._open(self._stun_servers.pop(0))
        else:
            self._fail(notification.data.reason)

    def _succeed(self) -> None:
        if self._over:
            return
        transport = self._transport
        self.stop()
        if self._turn_server is not None and transport.turn_failed:
            log.warning('going on without a relay: none from the TURN server %s (%s); the log of PJSIP says why', self._turn_server.name,
                        self._turn_server.transport)
        self._ready(transport)

    def _fail(self, error: Exception | str) -> None:
        if not self._over:
            self.stop()
            self._failed(error)

    def _forget(self) -> None:
        if self._transport is not None:
            NotificationCenter().discard_observer(self, sender=self._transport)
