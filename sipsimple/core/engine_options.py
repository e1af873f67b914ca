"""What the Engine is started with, and what values it takes."""

from __future__ import annotations

import re
from typing import Any

from sipsimple.__info__ import __version__
from sipsimple.core import _endpoint

__all__ = ['CORE_REVISION', 'DEFAULTS', 'FORBIDDEN_INCOMING', 'MAX_ACCEPT_TYPES', 'check_ip', 'check_options', 'check_port', 'is_ipv4']

CORE_REVISION = 1

FORBIDDEN_INCOMING = frozenset(('ACK', 'BYE', 'INVITE', 'REFER', 'SUBSCRIBE'))      # the core has a life of its own for them
MAX_ACCEPT_TYPES = 32
IPV4 = re.compile(r'(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\Z')

DEFAULTS: dict[str, Any] = {
    'ip_address': None,
    'udp_port': 0,
    'tcp_port': None,
    'tls_port': None,
    'tls_verify_server': False,
    'tls_ca_file': None,
    'tls_cert_file': None,
    'tls_privkey_file': None,
    'tls_timeout': 3000,
    'user_agent': f'sipsimple-{__version__}-pjsip-{_endpoint.PJ_VERSION}-r{CORE_REVISION}',
    'log_level': 0,
    'trace_sip': False,
    'detect_sip_loops': True,
    'rtp_port_range': (50000, 50500),
    'zrtp_cache': None,
    'codecs': ['G722', 'speex', 'PCMU', 'PCMA'],
    'video_codecs': [],
    'enable_colorbar_device': False,
    'events': {
        'conference': ['application/conference-info+xml'],
        'dialog': ['multipart/related', 'application/rlmi+xml', 'application/dialog-info+xml'],
        'dialog.winfo': ['application/watcherinfo+xml'],
        'message-summary': ['application/simple-message-summary'],
        'presence': ['multipart/related', 'application/rlmi+xml', 'application/pidf+xml'],
        'presence.winfo': ['application/watcherinfo+xml'],
        'refer': ['message/sipfrag;version=2.0'],
        'xcap-diff': ['application/xcap-diff+xml'],
    },
    'incoming_events': set(),
    'incoming_requests': set(),
}


def check_port(value: int | None) -> int | None:
    """Return a port (0 for any) or None as it is. ValueError."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535):
        raise ValueError(f'not a port: {value!r}')
    return value


def check_ip(value: str | None) -> str | None:
    """Return an IP address or None as it is. ValueError."""
    if value is not None:
        import ipaddress
        ipaddress.ip_address(value)
    return value


def is_ipv4(value: object) -> bool:
    """True for a text that looks like an IPv4 address."""
    return isinstance(value, str) and IPV4.match(value) is not None


def check_options(options: dict[str, Any], defaults: dict[str, Any] = DEFAULTS) -> dict[str, Any]:
    """Return a copy of the defaults with `options` in it.

    Raises:
        TypeError: an unknown option.
        ValueError: a bad value.
    """
    unknown = options.keys() - defaults.keys()
    if unknown:
        raise TypeError(f'unknown Engine options: {", ".join(sorted(unknown))}')
    result = {**defaults, **options}
    check_ip(result['ip_address'])
    for name in ('udp_port', 'tcp_port', 'tls_port'):
        check_port(result[name])
    if result['tls_timeout'] < 0:
        raise ValueError('tls_timeout is negative')
    if not 0 <= result['log_level'] <= _endpoint.LOG_MAX_LEVEL:
        raise ValueError(f'log_level is outside 0..{_endpoint.LOG_MAX_LEVEL}')
    result['events'] = {name: list(types) for name, types in result['events'].items()}
    result['incoming_events'] = set(result['incoming_events'])
    result['incoming_requests'] = set(result['incoming_requests'])
    if result['incoming_events'] - result['events'].keys():
        raise ValueError('incoming_events names packages that events does not have')
    if result['incoming_requests'] & FORBIDDEN_INCOMING:
        raise ValueError('methods that cannot be handed over: ' + ' '.join(sorted(result['incoming_requests'] & FORBIDDEN_INCOMING)))
    result['codecs'] = list(result['codecs'])
    return result
