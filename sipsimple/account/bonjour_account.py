"""BonjourAccount: the account for calls without a server; finding neighbours by mDNS comes later."""

from __future__ import annotations

from typing import Any

from sipsimple.account import settings as groups
from sipsimple.account.account import AccountLife
from sipsimple.configuration import Setting, SettingsObject
from sipsimple.configuration.datatypes import SIPAddress
from sipsimple.core import ContactURIFactory, Credentials, SIPURI
from sipsimple.core.helpers import outgoing_ip_for
from sipsimple.util import user_info

__all__ = ['BonjourAccount']

BONJOUR_ID = 'bonjour@local'


class BonjourAccount(AccountLife, SettingsObject):
    """The one account for calls from peer to peer; it registers nowhere.

    Notifications: SIPAccountWillActivate, SIPAccountDidActivate, SIPAccountWillDeactivate, SIPAccountDidDeactivate,
        CFGSettingsObjectDidChange.
    """

    __group__ = 'Accounts'
    __id__ = BONJOUR_ID

    id = property(lambda self: SIPAddress(BONJOUR_ID))
    enabled = Setting(type=bool, default=True)
    display_name = Setting(type=str, default=user_info.fullname)
    msrp = groups.BonjourMSRPSettings
    presence = groups.BonjourPresenceSettings
    rtp = groups.RTPSettings
    sip = groups.BonjourSIPSettings
    tls = groups.TLSSettings

    def __init__(self) -> None:
        self.contact = ContactURIFactory()
        self.nat_traversal: Any = groups.BonjourNATTraversal()
        self._setup_life()
        from sipsimple.account.manager import AccountManager
        AccountManager().adopt(self)

    @property
    def uri(self) -> SIPURI:
        """The contact address on this machine's own address, 127.0.0.1 without a network."""
        from sipsimple.core import Engine
        host = Engine().ip_address if Engine().is_running else None
        return SIPURI(user=self.contact.username, host=host or outgoing_ip_for('192.0.2.1') or '127.0.0.1')

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

    def _NH_CFGSettingsObjectWasActivated(self, notification: Any) -> None:
        from sipsimple.account.manager import AccountManager
        AccountManager().add_account(self)

    def __repr__(self) -> str:
        return 'BonjourAccount()'
