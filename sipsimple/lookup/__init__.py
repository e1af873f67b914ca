"""Address resolution: SIP proxies (RFC 3263), STUN, TURN and MSRP relay servers, XCAP roots."""

from sipsimple.lookup.errors import DNSLookupError
from sipsimple.lookup.lookup import DNSLookup
from sipsimple.lookup.manager import DNSManager

__all__ = ['DNSLookup', 'DNSLookupError', 'DNSManager']
