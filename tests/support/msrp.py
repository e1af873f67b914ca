"""MSRP sessions over loopback, in the SDK thread, and what they tell."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

from msrplib.chunking import OutgoingMessage
from msrplib.events import Event, MessageDelivered, MessageFailed, MessageReceived
from msrplib.session import MSRPSession
from msrplib.transport import MSRPTransport
from msrplib.uri import URI
from sipsimple.threading import call_in_twisted_thread, reactor
from tests.support.waiting import LIMIT

__all__ = ['Side', 'in_reactor', 'in_turn', 'local']


def local(use_tls: bool = False, **options: Any) -> URI:
    """A URI at any port of this host."""
    return URI('127.0.0.1', use_tls, port=0, **options)


def in_reactor(function: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Call a function in the SDK thread, with `inlineCallbacks` if it is a generator, and return its result (of its Deferred)."""
    from twisted.internet.defer import inlineCallbacks, maybeDeferred
    reactor.start()
    future: Future[Any] = Future()

    def fail(failure: Any) -> None:
        future.set_exception(failure.value)

    def call() -> None:
        def run() -> Any:
            made = function()
            if not isinstance(made, Generator):
                return made

            @inlineCallbacks
            def steps() -> Any:
                return (yield from made)
            return steps()
        maybeDeferred(run).addCallbacks(future.set_result, fail)
    call_in_twisted_thread(call)
    return future.result(limit)


def in_turn(count: int) -> Any:
    """A Deferred that fires when the reactor has gone round some times."""
    from twisted.internet import reactor
    from twisted.internet.defer import DeferredList
    from twisted.internet.task import deferLater
    clock: Any = reactor
    return DeferredList([deferLater(clock, number / 100, lambda: None) for number in range(count)])


class Side:
    """One side of a session: its events, and waiting for them."""

    def __init__(self, transport: MSRPTransport, **options: Any) -> None:
        self.events: list[Event] = []
        self.chunks: list[Any] = []
        self.errors: list[Any] = []
        self._waiting: list[tuple[Callable[[], Any], Any]] = []
        self.transport = transport
        options.setdefault('on_incoming_cb', self._incoming)
        self.session = MSRPSession(transport, on_event=self._event, **options)

    def _event(self, event: Event) -> None:
        self.events.append(event)
        self._look()

    def _incoming(self, chunk: Any, error: Any) -> None:
        (self.chunks if error is None else self.errors).append(chunk if error is None else error)
        self._look()

    def _look(self) -> None:
        for item in list(self._waiting):
            condition, deferred = item
            result = condition()
            if result:
                self._waiting.remove(item)
                deferred.callback(result)

    def until(self, condition: Callable[[], Any]) -> Any:
        """A Deferred that fires when an event makes the condition true."""
        from twisted.internet.defer import Deferred
        deferred: Any = Deferred()
        self._waiting.append((condition, deferred))
        self._look()
        return deferred

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def received(self, count: int = 1) -> Any:
        """Wait for so many messages, and return their data."""
        return self.until(lambda: len(self.of(MessageReceived)) >= count and [event.message.data for event in self.of(MessageReceived)])

    def done(self, *messages: OutgoingMessage) -> Any:
        """Wait until messages are delivered or have failed."""
        return self.until(lambda: {event.message for event in self.events if isinstance(event, (MessageDelivered, MessageFailed))} >= set(messages))

    def lost(self) -> Any:
        """Wait for the end of the connection, and return its reason."""
        return self.until(lambda: self.errors)
