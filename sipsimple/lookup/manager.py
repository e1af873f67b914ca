"""Which name servers to ask.

The system's servers are preferred. Many home routers drop or break NAPTR and SRV queries, so they are probed with a domain
known to have such records; when they fail, public servers stand in and the probe is repeated until the system's servers
work. Probe domain and public servers are attributes, because both tell third parties that this program runs: set
`probe_domain = None` for no probe, `public_nameservers = []` for no stand-in, or `nameservers` itself for servers of your own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from zope.interface import implementer

from sipsimple.lookup.resolver import AnswerCache, Nameserver, Resolver, normalize_nameserver, system_configuration
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData

if TYPE_CHECKING:
    from sipsimple.notification import Notification

__all__ = ['DNSManager']

log = logging.getLogger(__name__)

SystemConfiguration = tuple[list[Nameserver], list[str], str]


@implementer(IObserver)
class DNSManager:
    """Holds the name servers of all lookups; a singleton.

    Attributes:
        probe_domain: has NAPTR records, and SRV records for SIP over UDP; None for no probe
        public_nameservers: used while the system's servers fail the probe; empty for none
        reprobe_interval: seconds to the next probe while the system's servers fail
        wakeup_delay: seconds from the wake-up of the system to a probe
        ip_versions: IP versions of the addresses lookups return, in the order of preference
        read_configuration: returns the system's nameservers, search domains and domain
        cache: answers of all lookups

    Notifications:
        DNSResolverDidInitialize(timestamp, nameservers): the first list is set (at start, or when first asked for)
        DNSNameserversDidChange(timestamp, nameservers): another list is set

    Thread: any. Probes run on the SDK thread.
    """

    _instance: ClassVar[DNSManager | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    probe_domain: str | None
    public_nameservers: Sequence[Nameserver]
    reprobe_interval: float
    wakeup_delay: float
    ip_versions: Sequence[int]
    read_configuration: Callable[[], SystemConfiguration]
    cache: AnswerCache

    def __new__(cls) -> DNSManager:
        with cls._instance_lock:
            if cls._instance is None:
                manager = super().__new__(cls)
                manager._setup()
                cls._instance = manager
            return cls._instance

    def _setup(self) -> None:
        self.probe_domain = 'sip2sip.info'
        self.public_nameservers = ['8.8.8.8', '8.8.4.4']
        self.reprobe_interval = 15.0
        self.wakeup_delay = 5.0
        self.ip_versions = (4, 6)
        self.read_configuration = system_configuration
        self.cache = AnswerCache()
        self._lock = threading.Lock()
        self._nameservers: tuple[Nameserver, ...] | None = None
        self._pinned = False
        self._search: list[str] | None = None   # None: the system's configuration was not read yet
        self._domain = ''
        # Below: SDK thread only.
        self._task: asyncio.Task[None] | None = None
        self._wakeup: asyncio.Event | None = None
        self._wakeup_timer: asyncio.TimerHandle | None = None

    @property
    def nameservers(self) -> list[Nameserver]:
        """The servers in use, each "address" or ("address", port) when the port is not 53.

        Setting a list replaces the system's servers and ends their probing; setting None brings them back.
        """
        if self._nameservers is None:
            self._read_once()
        with self._lock:
            return list(self._nameservers or ())

    @nameservers.setter
    def nameservers(self, nameservers: Iterable[Nameserver] | None) -> None:
        if nameservers is None:
            with self._lock:
                self._pinned = False
            self._set_system(self._read_configuration())
            self._probe_again()
            return
        if isinstance(nameservers, str):
            raise ValueError('nameservers must be a list')
        self._use([normalize_nameserver(nameserver) for nameserver in nameservers], pinned=True)

    @property
    def search(self) -> list[str]:
        """The system's search domains without those of multicast DNS; names looked up are absolute and do not use them."""
        self._read_once()
        return list(self._search or ())

    @property
    def domain(self) -> str:
        """The system's own domain, empty when it has none."""
        self._read_once()
        return self._domain

    def start(self) -> None:
        """Start probing; returns at once. Starts the SDK thread when it does not run."""
        from sipsimple.threading import call_in_twisted_thread, reactor
        reactor.start()
        call_in_twisted_thread(self._start)

    def stop(self) -> None:
        """Stop probing; the servers in use stay. Returns at once."""
        from sipsimple.threading import call_in_twisted_thread, reactor
        if reactor.is_running():
            call_in_twisted_thread(self._stop)

    def refresh(self) -> None:
        """Read the system's configuration again, as it has changed; servers that were set stay. Returns at once. Thread: any."""
        self.cache.clear()
        self._probe_again()

    def _start(self) -> None:
        if self._task is not None:
            return
        center = NotificationCenter()
        center.add_observer(self, name='SystemIPAddressDidChange')
        center.add_observer(self, name='SystemDidWakeUpFromSleep')
        self._wakeup = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(self._wakeup))

    def _stop(self) -> None:
        if self._task is None:
            return
        center = NotificationCenter()
        center.remove_observer(self, name='SystemIPAddressDidChange')
        center.remove_observer(self, name='SystemDidWakeUpFromSleep')
        self._task.cancel()
        self._task = self._wakeup = None
        if self._wakeup_timer is not None:
            self._wakeup_timer.cancel()
            self._wakeup_timer = None

    async def _run(self, wakeup: asyncio.Event) -> None:
        while True:
            wakeup.clear()
            try:
                settled = await self._probe()
            except Exception:   # probing must go on
                log.exception('DNS probe failed')
                settled = False
            try:
                async with asyncio.timeout(None if settled else self.reprobe_interval):
                    await wakeup.wait()
            except TimeoutError:
                pass

    async def _probe(self) -> bool:
        """Choose the servers; return False when the choice has to be looked at again soon."""
        system = self._read_configuration()
        if self._nameservers is None or self._pinned or self.probe_domain is None:
            self._set_system(system)
        if self._pinned or self.probe_domain is None:
            return True
        domain = self.probe_domain.rstrip('.')
        if await self._works(system[0], [(domain, 'NAPTR'), (f'_sip._udp.{domain}', 'SRV')], timeout=1, lifetime=3):
            self._set_system(system)
            return True
        public = [normalize_nameserver(server) for server in self.public_nameservers]
        if await self._works(public, [(domain, 'NAPTR')], timeout=2, lifetime=4):
            log.warning('the system nameservers %s do not answer NAPTR and SRV queries, using %s', system[0], public)
            self._set_system((public, *system[1:]))
        else:
            log.info('no nameserver answers the DNS probe, keeping those of the system: %s', system[0])
            self._set_system(system)
        return False

    async def _works(self, nameservers: Sequence[Nameserver], queries: Iterable[tuple[str, str]], timeout: float, lifetime: float) -> bool:
        """Tell whether the servers answer all queries with records."""
        import dns.exception
        if not nameservers:
            return False
        resolver = Resolver(nameservers, timeout)
        results = await asyncio.gather(*(resolver.query(name, kind, lifetime) for name, kind in queries), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, dns.exception.DNSException):
                raise result
        return not any(isinstance(result, BaseException) for result in results)

    def _read_once(self) -> None:
        if self._search is None:
            self._set_system(self._read_configuration())

    def _read_configuration(self) -> SystemConfiguration:
        nameservers, search, domain = self.read_configuration()
        return [normalize_nameserver(server) for server in nameservers], search, domain

    def _set_system(self, configuration: SystemConfiguration) -> None:
        """Use `configuration`, whose servers give way to those the application has set."""
        nameservers, search, domain = configuration
        with self._lock:
            self._search, self._domain = search, domain
        self._use(nameservers)

    def _use(self, nameservers: Sequence[Nameserver], pinned: bool = False) -> None:
        """Set the servers and tell observers; without `pinned`, servers set by the application stay."""
        with self._lock:
            if self._pinned and not pinned:
                return
            self._pinned = pinned
            previous, self._nameservers = self._nameservers, tuple(nameservers)
        if previous == tuple(nameservers):
            return
        if previous is not None:
            self.cache.clear()
        # Without the lock: an observer may wait for another thread which asks for the servers.
        name = 'DNSResolverDidInitialize' if previous is None else 'DNSNameserversDidChange'
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(nameservers=list(nameservers)))

    def _probe_again(self) -> None:
        """Probe now, when probing is on."""
        if self._task is not None:
            from sipsimple.threading import call_in_twisted_thread
            call_in_twisted_thread(self._wake)

    def _wake(self) -> None:
        self._wakeup_timer = None
        if self._wakeup is not None:
            self._wakeup.set()

    def handle_notification(self, notification: Notification) -> None:
        """React to changes of the network; what was true of the old network may not be of the new."""
        from sipsimple.threading import call_in_twisted_thread
        self.cache.clear()
        if notification.name == 'SystemIPAddressDidChange':
            call_in_twisted_thread(self._wake)
        else:
            call_in_twisted_thread(self._wake_later)

    def _wake_later(self) -> None:
        if self._task is not None:
            if self._wakeup_timer is not None:
                self._wakeup_timer.cancel()
            self._wakeup_timer = asyncio.get_running_loop().call_later(self.wakeup_delay, self._wake)
