"""SIP accounts: Account (registered at a provider), BonjourAccount (peer to peer) and their AccountManager."""

from sipsimple.account.account import Account
from sipsimple.account.bonjour_account import BonjourAccount
from sipsimple.account.manager import AccountManager
from sipsimple.core import ContactURIFactory

__all__ = ['Account', 'AccountManager', 'BonjourAccount', 'ContactURIFactory']
