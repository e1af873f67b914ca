"""Where the documents of an account are, and the client for that server."""

from __future__ import annotations

import random
from typing import Any

from sipsimple.account.xcap.client import XCAPClient
from sipsimple.account.xcap.errors import RootNotFound
from sipsimple.configuration.settings import SIPSimpleSettings

__all__ = ['find_root', 'make_client']


def find_root(account: Any) -> str:
    """The XCAP root that the account names, or one that DNS does. Thread: a green thread.

    Raises:
        RootNotFound: neither does.
    """
    if account.xcap.xcap_root:
        return str(account.xcap.xcap_root)
    from sipsimple.core import SIPURI
    from sipsimple.lookup import DNSLookup, DNSLookupError
    try:
        found: list[str] = DNSLookup().lookup_xcap_server(SIPURI(host=account.id.domain)).wait()
    except DNSLookupError as error:
        raise RootNotFound(f'no XCAP root for {account.id.domain}: {error}') from None
    return random.choice(found)


def make_client(account: Any, root: str) -> XCAPClient:
    """A client with what the account shows of itself, and with the certificates that it trusts."""
    credentials = None
    if root.lower().startswith('https:'):
        from sipsimple.account.tls import tls_credentials
        credentials = tls_credentials()
    return XCAPClient(root, account.auth.username or account.id.username, account.auth.password, credentials, SIPSimpleSettings().user_agent)
