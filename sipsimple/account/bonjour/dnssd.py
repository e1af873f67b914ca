"""The binding to the `zeroconf` package: what of DNS-SD the account needs, on the loop of the SDK thread.

Importing this module imports that package, so it is imported when an account is activated. Everything here is to be used in the SDK thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from zeroconf import (  # type: ignore[attr-defined, unused-ignore]
    DNSOutgoing,
    DNSQuestion,
    DNSService,
    Error,
    RecordUpdate,
    RecordUpdateListener,
    ServiceInfo,
    ServiceNameAlreadyRegistered,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from sipsimple.account.bonjour.wire import join_labels

__all__ = ['Browser', 'Listener', 'Published', 'Resolved', 'Responder', 'Service']

log = logging.getLogger('sipsimple.account')

HOST_TTL = 120              # seconds, of what has the name of a host in it; RFC 6762 section 10
OTHER_TTL = 4500            # of the rest
RESOLVE_TIME = 3000         # milliseconds
START_TIME = 5.0            # seconds for the sockets
SRV, IN, QUERY = 33, 1, 0


def _shorten(record: logging.LogRecord) -> bool:
    """What cannot be sent for want of a network is worth a line, and no trace."""
    if str(record.msg).startswith('Error with socket'):
        record.exc_info = None
    return True


logging.getLogger('zeroconf').addFilter(_shorten)


class Service(NamedTuple):
    """An instance to publish.

    Attributes:
        type: "_sipuri._udp" or "_sipuri._tcp".
        text: its TXT record.
        server: label of the host.
        addresses: of the host.
    """

    type: str
    instance: str
    port: int
    text: bytes
    server: str
    addresses: tuple[str, ...]


class Resolved(NamedTuple):
    """What is known of an instance.

    Attributes:
        server: the host, ends in `.local.`.
        addresses: of the host; those of one link with `%` and the number of the interface.
        expires: time of the loop at which it is gone if nobody says anything of it.
        ttl: seconds.
    """

    text: bytes
    server: str
    port: int
    addresses: tuple[str, ...]
    expires: float
    ttl: float


class Listener(Protocol):
    """Who browses. Names are those of instances, with type and domain."""

    def seen(self, name: str) -> None:
        """There is an instance, or it publishes something else."""

    def lost(self, name: str) -> None:
        """It says that it is gone."""

    def alive(self, name: str, expires: float, ttl: float) -> None:
        """It is there for so long: time of the loop, and seconds."""


class _Packets:
    """What Zeroconf.async_send needs of a DNSOutgoing."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = packets

    def packets(self) -> list[bytes]:
        return self._packets


class _Zeroconf(Zeroconf):
    """One that keeps the names of instances together, and survives what cannot be sent.

    Names that others publish go into our queries, as what we know already (RFC 6762 §7.1), and not each of them can be written.
    """

    def async_send(self, out: Any, *args: Any, **kwargs: Any) -> None:
        for attempt in (lambda: out, lambda: _questions_of(out)):
            try:
                packets = [join_labels(packet) for packet in attempt().packets()]
                break
            except (Error, ValueError, OverflowError) as error:
                log.debug('an mDNS message cannot be written: %s', error)
        else:
            return
        super().async_send(_Packets(packets), *args, **kwargs)      # type: ignore[arg-type]


def _questions_of(out: DNSOutgoing) -> DNSOutgoing:
    bare = DNSOutgoing(out.flags, out.multicast)
    for question in out.questions:
        bare.add_question(question)
    return bare


class Published:
    """An instance of ours.

    Attributes:
        conflict: called when somebody else has taken its name.
    """

    def __init__(self, info: ServiceInfo, conflict: Callable[[], object]) -> None:
        self.info = info
        self.conflict = conflict

    @property
    def name(self) -> str:
        """The name it has, with type and domain."""
        return self.info.name


class Browser:
    """A search for instances of one type that goes on until it is cancelled."""

    def __init__(self, responder: Responder, type: str, listener: Listener) -> None:
        self.type = f'{type}.local.'
        self.listener = listener
        self._responder = responder
        self._browser = AsyncServiceBrowser(responder.zeroconf, self.type, handlers=[self._changed])

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            self.listener.lost(name)
        else:
            self.listener.seen(name)

    async def cancel(self) -> None:
        """Search no more; what is known stays known."""
        self._responder.browsers.discard(self)
        await self._browser.async_cancel()


class _Watch(RecordUpdateListener):
    """Looks at the SRV records that come: whether they are of an instance of ours, and how long those of others last."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            record = update.new
            if isinstance(record, DNSService) and not record.is_expired(now):
                try:
                    self._take(record)
                except Exception:
                    log.exception('an SRV record could not be looked at')

    def async_update_records_complete(self) -> None:
        """Nothing more to do."""

    def _take(self, record: DNSService) -> None:
        name = record.name.lower()
        published = self._responder.published.get(name)
        if published is not None:
            info = published.info
            if (record.server.lower(), record.port) != (str(info.server).lower(), info.port):
                published.conflict()
            return
        for browser in list(self._responder.browsers):
            if name.endswith('.' + browser.type):
                browser.listener.alive(record.name, record.get_expiration_time(100) / 1000, record.ttl)


class Responder:
    """mDNS on some interfaces. Made by `open`.

    Attributes:
        zeroconf: the instance below.
        published: ours, by the name in lower case.
    """

    def __init__(self, interfaces: list[str | int]) -> None:
        self.zeroconf = _Zeroconf(interfaces=interfaces)
        self._asynchronous = AsyncZeroconf(zc=self.zeroconf)
        self._watch = _Watch(self)
        self.published: dict[str, Published] = {}
        self.browsers: set[Browser] = set()

    @classmethod
    async def open(cls, interfaces: list[str | int]) -> Responder:
        """Open the sockets.

        Raises:
            OSError: that failed.
        """
        try:
            responder = cls(interfaces)
        except (Error, RuntimeError, ValueError) as error:
            raise OSError(str(error) or type(error).__name__) from error
        try:
            await asyncio.wait_for(responder.zeroconf.async_wait_for_start(), START_TIME)
            if not responder.zeroconf.engine.senders:
                raise OSError('no interface can be used for multicast')
        except BaseException as error:
            await responder.close()
            if isinstance(error, Error):
                raise OSError(str(error) or type(error).__name__) from error
            raise
        responder.zeroconf.async_add_listener(responder._watch, None)
        return responder

    # ---- what we publish ---------------------------------------------------------------------------------------

    async def publish(self, service: Service, conflict: Callable[[], object]) -> Published:
        """Look whether the name is free (RFC 6762 §8.1), take another one if it is not, and announce the instance; a second and a half.

        Args:
            conflict: called when somebody takes the name later.
        Raises:
            OSError: that failed.
        """
        published = Published(self._info(service, service.instance), conflict)
        try:
            announcement = await self.zeroconf.async_register_service(published.info, allow_name_change=True, strict=False)
            self.published[published.name.lower()] = published
            await announcement
        except asyncio.CancelledError:
            await self.withdraw(published)
            raise
        except BaseException as error:
            self.abandon(published)
            if isinstance(error, (Error, ValueError)):
                raise OSError(_text(error)) from error
            raise
        return published

    def _info(self, service: Service, instance: str) -> ServiceInfo:
        type = f'{service.type}.local.'
        return ServiceInfo(type, f'{instance}.{type}', port=service.port, properties=service.text, server=f'{service.server}.local.',
                           parsed_addresses=list(service.addresses), host_ttl=HOST_TTL, other_ttl=OTHER_TTL)

    async def update(self, published: Published, service: Service) -> None:
        """Announce another TXT record of an instance of ours (RFC 6762 §8.4).

        Raises:
            OSError: that failed.
        """
        info = self._info(service, published.name[:-len(f'.{service.type}.local.')])
        try:
            announcement = await self.zeroconf.async_update_service(info)
            published.info = info
            await announcement
        except (Error, ValueError) as error:
            raise OSError(_text(error)) from error

    async def withdraw(self, published: Published) -> None:
        """Say goodbye for an instance (RFC 6762 §10.1)."""
        if self.published.pop(published.name.lower(), None) is None:
            self.abandon(published)         # nobody has heard of it
        else:
            await (await self.zeroconf.async_unregister_service(published.info))

    def abandon(self, published: Published) -> None:
        """Publish an instance no more, without a word."""
        registry = self.zeroconf.registry
        if registry.async_get_info_name(published.info.key) is published.info:
            registry.async_remove(published.info)
        self.published.pop(published.name.lower(), None)

    # ---- what others do ----------------------------------------------------------------------------------------

    def browse(self, type: str, listener: Listener) -> Browser:
        """Begin to search for instances of a type."""
        browser = Browser(self, type, listener)
        self.browsers.add(browser)
        return browser

    async def resolve(self, type: str, name: str) -> Resolved | None:
        """Return what an instance publishes, asking for it where it is not known; None if nobody says."""
        try:
            info = AsyncServiceInfo(f'{type}.local.', name)
            await info.async_request(self.zeroconf, RESOLVE_TIME)
        except (Error, ValueError):
            return None
        return self._resolved(info)

    def known(self, type: str, name: str) -> Resolved | None:
        """The same without asking."""
        try:
            info = ServiceInfo(f'{type}.local.', name)
            info.load_from_cache(self.zeroconf)
        except (Error, ValueError):
            return None
        return self._resolved(info)

    def _resolved(self, info: ServiceInfo) -> Resolved | None:
        record = self.zeroconf.cache.get_by_details(info.name, SRV, IN)
        if record is None or info.server is None or not info.text:
            return None
        addresses = tuple(info.parsed_scoped_addresses())
        return Resolved(info.text, info.server, info.port or 0, addresses, record.get_expiration_time(100) / 1000, record.ttl)

    def ask(self, name: str) -> None:
        """Ask whether an instance is still there; the answer comes to the listener."""
        query = DNSOutgoing(QUERY)
        query.add_question(DNSQuestion(name, SRV, IN))
        self.zeroconf.async_send(query)

    # ---- the end -----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Say goodbye for what is still published, and close the sockets."""
        for browser in list(self.browsers):
            await browser.cancel()
        self.published.clear()
        try:
            await asyncio.wait_for(self._asynchronous.async_close(), START_TIME)
        except (Error, TimeoutError) as error:
            log.debug('mDNS did not end in order: %s', error)


def _text(error: BaseException) -> str:
    if isinstance(error, ServiceNameAlreadyRegistered):
        return 'the name is published already'
    return str(error) or type(error).__name__
