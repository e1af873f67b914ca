"""What the application does about the network: address changes, wake-up, nameservers, the type of the NAT. `watch` is where it learns of them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.application import watch
from sipsimple.core import SIPCoreError
from sipsimple.lookup import DNSManager
from sipsimple.notification import IObserver, NotificationCenter, NotificationData, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.threading.green import Event, call_in_green_thread, sleep

if TYPE_CHECKING:
    from sipsimple.application.application import SIPApplication
    from sipsimple.notification import Notification

__all__ = ['NetworkWatch']

log = logging.getLogger('sipsimple.application')

SETTLING_TIME = 5.0                     # seconds after a change before anything is done about it
SETTLED_TIME = 1.0                      # the same when the system itself says that we have another address, and may use it
NAT_RETRY = 60.0
NAT_TEST_LIMIT = 30.0


@implementer(IObserver)
class NetworkWatch:
    """Turns SystemIPAddressDidChange, SystemDidWakeUpFromSleep and DNSNameserversDidChange into NetworkConditionsDidChange.

    The first two are posted here when the system tells of such a thing, or by the application. After that everything settles: for 5 seconds, or for one
    when it was the system that told of an address.
    """

    def __init__(self, application: SIPApplication) -> None:
        self.application = application
        self._timer: asyncio.TimerHandle | None = None
        self._changed: set[str] = set()                     # what is to be told when it has settled
        self._reconnect = False
        self._addresses: tuple[str | None, ...] = ()
        self._watches: list[watch.Watch] = []
        self._nat_round = 0
        self._nat_result: Event[Any] | None = None

    def start(self) -> None:
        """Note the present address, tell the engine the nameservers, and watch. Thread: the SDK thread, as for the other methods."""
        self._addresses = watch.default_addresses()
        self._watches = watch.start(self._address_changed, self._woken_up, DNSManager().refresh, self._link_came_up)
        center = NotificationCenter()
        for name in ('SystemIPAddressDidChange', 'SystemDidWakeUpFromSleep', 'SIPEngineDetectedNATType'):
            center.add_observer(self, name=name)
        self._tell_nameservers()

    def stop(self) -> None:
        """Watch no more; what a NAT detection finds from now on is ignored."""
        self._nat_round += 1
        watches, self._watches = self._watches, []
        for each in watches:
            each.stop()
        center = NotificationCenter()
        for name in ('SystemIPAddressDidChange', 'SystemDidWakeUpFromSleep', 'SIPEngineDetectedNATType'):
            center.discard_observer(self, name=name)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _post_changed(self, changed: list[str]) -> None:
        NotificationCenter().post_notification('NetworkConditionsDidChange', sender=self.application, data=TimestampedNotificationData(changed=changed))

    # ---- nameservers -------------------------------------------------------------------------------------------

    def _tell_nameservers(self) -> None:
        """PJSIP's resolver speaks to port 53 of IPv4 servers only; names are resolved here, it is a fallback."""
        servers = [server for server in DNSManager().nameservers if isinstance(server, str)]
        try:
            self.application.engine.set_nameservers(servers)
        except SIPCoreError:
            log.exception('the nameservers could not be handed to the engine')

    def nameservers_changed(self) -> None:
        """Pass the new nameservers on, post NetworkConditionsDidChange (`changed`: ['dns']) and look for the NAT type again."""
        self._tell_nameservers()
        if self._timer is not None:
            self._changed.add('dns')            # another network has other nameservers: nobody is to act before it has settled
        else:
            self._post_changed(['dns'])
            self.detect_nat_type()

    # ---- addresses ---------------------------------------------------------------------------------------------

    def _address_changed(self, old: str | None, new: str | None) -> None:
        log.info('the address of this host was %s and is %s', old, new)
        self._settle(SETTLED_TIME if new is not None else SETTLING_TIME)
        self._changed.add('ip')
        NotificationCenter().post_notification('SystemIPAddressDidChange', sender=self.application, data=TimestampedNotificationData(
            old_ip_address=old, new_ip_address=new))

    def _woken_up(self) -> None:
        log.info('the system has slept')
        NotificationCenter().post_notification('SystemDidWakeUpFromSleep', sender=self.application, data=TimestampedNotificationData())

    def _link_came_up(self) -> None:
        """Nothing that has an address waits for that, but neighbours are to be looked for anew."""
        NotificationCenter().post_notification('SystemNetworkLinkDidComeUp', sender=self.application, data=TimestampedNotificationData())

    def handle_notification(self, notification: Notification) -> None:
        call_in_twisted_thread(self._handle, notification.name, notification.data)

    def _handle(self, name: str, data: NotificationData) -> None:
        if name == 'SIPEngineDetectedNATType':
            if self._nat_result is not None and data.user_data is self._nat_result and not self._nat_result.ready():
                self._nat_result.send(data)
            return
        if name == 'SystemDidWakeUpFromSleep':
            self._reconnect = True
        self._settle(SETTLING_TIME)

    def _settle(self, seconds: float) -> None:
        """Look at the network in so many seconds, unless that is to be done sooner."""
        if self._timer is not None and self._timer.when() <= reactor.get_loop().time() + seconds:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = reactor.call_later(seconds, self._settled)

    def _settled(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, set()
        reconnect, self._reconnect = self._reconnect, False
        if not self.application.running:
            return
        addresses = watch.default_addresses()
        if addresses != self._addresses:
            changed.add('ip')
        self._addresses = addresses
        try:
            self.application.engine.update_addresses(reconnect=reconnect)
        except SIPCoreError:
            log.exception('the engine could not be told of the present addresses')
        self._post_changed([name for name in ('ip', 'dns') if name in changed])
        self.detect_nat_type()

    # ---- NAT type ----------------------------------------------------------------------------------------------

    def detect_nat_type(self) -> None:
        """Find local_nat_type in the background, from the accounts' STUN servers."""
        self._nat_round += 1
        call_in_green_thread(self._detect, self._nat_round)

    def _detect(self, number: int) -> None:
        while number == self._nat_round and self.application.running:
            found = None
            servers = self._stun_servers()
            for address, port in servers:
                result = self._ask(address, port)
                if number != self._nat_round:
                    return
                if result is not None and result.succeeded:
                    found = result.nat_type.lower()
                    if found != 'blocked':
                        break           # else it may be that server alone that does not answer
            self.application.local_nat_type = found or 'unknown'
            if found or not servers:
                return                  # with nobody to ask, settings or nameservers must change first
            sleep(NAT_RETRY)

    def _stun_servers(self) -> list[tuple[str, int]]:
        from sipsimple.account import Account, AccountManager
        from sipsimple.streams.rtp.ice import Servers, find_servers
        servers: dict[tuple[str, int], None] = {}
        for account in AccountManager().get_accounts():
            if account.enabled and isinstance(account, Account):
                found: Event[Servers] = Event()
                find_servers(account, found.send)
                result = found.wait()
                servers.update(dict.fromkeys(result.stun if result is not None else ()))
        return list(servers)

    def _ask(self, address: str, port: int) -> Any:
        result: Event[Any] = Event()
        self._nat_result = result
        try:
            self.application.engine.detect_nat_type(address, port, user_data=result)
        except (SIPCoreError, ValueError):
            return None
        return result.wait(NAT_TEST_LIMIT)
