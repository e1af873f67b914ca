"""BonjourAccount: the account for calls without a server, whose neighbours are found by multicast DNS."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from sipsimple.account import settings as groups
from sipsimple.account.account import AccountLife
from sipsimple.account.bonjour.records import BonjourPresenceState
from sipsimple.configuration import Setting, SettingsObject
from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.core import ContactURIFactory, Credentials, SIPURI
from sipsimple.core.helpers import outgoing_ip_for
from sipsimple.threading.green import call_in_green_thread
from sipsimple.util import user_info

__all__ = ['BonjourAccount']

BONJOUR_ID = 'bonjour@local'


@cache
def _has_mdns() -> bool:
    return importlib.util.find_spec('zeroconf') is not None


class _MDNSAvailable:
    """A property of the class."""

    def __get__(self, account: Any, owner: type | None = None) -> bool:
        return _has_mdns()


class _Enabled(Setting):
    """Without mDNS it reads False, and cannot be set."""

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        value = super().__get__(obj, owner)
        return value if obj is None else bool(value and _has_mdns())

    def __set__(self, obj: Any, value: Any) -> None:
        if not _has_mdns():
            raise RuntimeError('there is no mDNS: the zeroconf package is not installed')
        super().__set__(obj, value)


class BonjourAccount(AccountLife, SettingsObject):
    """The one account for calls from peer to peer; it registers nowhere.

    While it is active it publishes its contacts on the local network, one for each enabled transport (TLS only with a certificate), and tells of others
    that are found there; see `sipsimple.account.bonjour`.

    Notifications: SIPAccountWillActivate, SIPAccountDidActivate, SIPAccountWillDeactivate, SIPAccountDidDeactivate,
        CFGSettingsObjectDidChange; BonjourAccountWillStart, BonjourAccountWillStop; BonjourAccountWillRegister, BonjourAccountRegistrationDidSucceed,
        BonjourAccountRegistrationDidFail, BonjourAccountRegistrationUpdateDidFail, BonjourAccountRegistrationDidEnd; BonjourAccountWillInitateDiscovery,
        BonjourAccountDiscoveryDidFail, BonjourAccountDiscoveryFailure; BonjourAccountDidAddNeighbour, BonjourAccountDidUpdateNeighbour,
        BonjourAccountDidRemoveNeighbour.
    """

    __group__ = 'Accounts'
    __id__ = BONJOUR_ID

    id = property(lambda self: SIPAddress(BONJOUR_ID))
    enabled = _Enabled(type=bool, default=True)
    display_name = Setting(type=str, default=user_info.fullname)
    discovery = groups.BonjourDiscoverySettings
    msrp = groups.BonjourMSRPSettings
    presence = groups.BonjourPresenceSettings
    rtp = groups.RTPSettings
    sip = groups.BonjourSIPSettings
    tls = groups.TLSSettings

    mdns_available = _MDNSAvailable()

    def __init__(self) -> None:
        self.contact = ContactURIFactory()
        self.nat_traversal: Any = groups.BonjourNATTraversal()
        self.xcap: Any = groups.BonjourXCAP()
        self._presence_state: BonjourPresenceState | None = None
        self._services: Any = None
        self._setup_life()
        from sipsimple.account.manager import AccountManager
        AccountManager().adopt(self)

    @property
    def uri(self) -> SIPURI:
        """The contact address on this machine's own address, 127.0.0.1 without a network."""
        from sipsimple.core import Engine
        host = Engine().ip_address if Engine().is_running else None
        host = host or outgoing_ip_for('192.0.2.1') or (self._services.address if self._services is not None else None)
        return SIPURI(user=self.contact.username, host=host or '127.0.0.1')

    @property
    def credentials(self) -> Credentials:
        """A user name without a password: there is no server that would ask for one."""
        return Credentials(username=self.contact.username, password='')

    @property
    def tls_credentials(self) -> Any:
        """Certificates for MSRP connections, an `msrplib.tls.X509Credentials`, made of the present settings.

        Raises:
            msrplib.tls.TLSError: a file of theirs cannot be used.
        """
        from sipsimple.account.tls import tls_credentials
        return tls_credentials()

    @property
    def registered(self) -> bool:
        """False: it registers nowhere."""
        return False

    @property
    def presence_state(self) -> BonjourPresenceState | None:
        """What neighbours are told of the user, if `presence.enabled`; None for nothing. Thread: any.

        Raises:
            TypeError: assigned something that is neither a BonjourPresenceState nor None.
        """
        return self._presence_state

    @presence_state.setter
    def presence_state(self, state: BonjourPresenceState | None) -> None:
        if state is not None and not isinstance(state, BonjourPresenceState):
            raise TypeError(f'expected a BonjourPresenceState or None, got {state!r}')
        self._presence_state = state
        services = self._services
        if services is not None:
            services.update()

    # ---- services ----------------------------------------------------------------------------------------------

    def reregister(self) -> None:
        """Publish the present contacts: transports, ports, or `contact` are others. Thread: any."""
        services = self._services
        if services is not None:
            services.adjust()

    def _activate(self) -> None:
        if self.discovery.enabled:
            from sipsimple.account.bonjour.services import BonjourServices
            self._services = BonjourServices(self)
            self._services.start()

    def _deactivate(self) -> None:
        services, self._services = self._services, None
        if services is not None:
            services.stop()

    def _update_services(self) -> None:
        with self._life_lock:
            if self._active and self.discovery.enabled and self._services is None:
                self._activate()
            elif not self.discovery.enabled:
                self._deactivate()
            elif self._services is not None:
                self._services.update()

    def _NH_CFGSettingsObjectWasActivated(self, notification: Any) -> None:
        from sipsimple.account.manager import AccountManager
        AccountManager().add_account(self)

    def _NH_CFGSettingsObjectDidChange(self, notification: Any) -> None:
        super()._NH_CFGSettingsObjectDidChange(notification)
        call_in_green_thread(self._update_services)         # after the activation, which has the lock by now

    def __repr__(self) -> str:
        return 'BonjourAccount()'
